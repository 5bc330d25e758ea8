//! `quarterdeck apply`: run a plan that was written to a file before.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr};

use super::begin::{Consent, begin};
use super::plan::ready;
use super::{Call, EXIT_USAGE, say};
use crate::runbook::Planned;

/// What was seen this long ago is not what a person says yes to now.
const PLAN_LIFE: Duration = Duration::from_mins(10);

/// A plan of five hundred steps.
const BYTES_MAX: u64 = 8 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// A plan that `quarterdeck plan --out` has written
    file: PathBuf,
    #[command(flatten)]
    consent: Consent,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let planned = match read(ask)? {
        Ok(planned) => planned,
        Err(why) => {
            say(&format!("{}: {why}", ask.file.display()));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let runtime = crate::shell::collect::runtime()?;
    let done = runtime.block_on(async {
        let ready = match ready(call, config).await? {
            Ok(ready) => ready,
            Err(code) => return Ok(code),
        };
        let now = ready.requester.identity.moment().at;
        if now.since(planned.brief.made_at) > PLAN_LIFE {
            say("this plan is older than 10 minutes: plan again, and look at what changed");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        begin(call, ready, &planned, &ask.consent).await
    });
    runtime.shutdown_background();
    done
}

fn read(ask: &Ask) -> Result<Result<Planned, String>> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(&ask.file)
        .and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text))
        .wrap_err_with(|| format!("cannot read {}", ask.file.display()))?;
    let planned: Planned = match serde_json::from_str(&text) {
        Ok(planned) => planned,
        Err(error) => return Ok(Err(format!("this is no plan: {error}"))),
    };
    Ok(match crate::shell::driver::run::unchanged(&planned.plan) {
        Ok(()) => Ok(planned),
        Err(why) => Err(why.to_string()),
    })
}
