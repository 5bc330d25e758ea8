//! `quarterdeck run`: plan a runbook, have it confirmed, and watch it go.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Call;
use super::begin::{Consent, begin};
use super::plan::{answer, make};

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Name of the runbook; `quarterdeck runbook list` names them
    runbook: String,
    /// Its parameters
    #[arg(value_name = "NAME=VALUE", value_parser = answer)]
    answers: Vec<(String, String)>,
    #[command(flatten)]
    consent: Consent,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let runtime = crate::shell::collect::runtime()?;
    let done = runtime.block_on(async {
        match make(call, &ask.runbook, &ask.answers).await? {
            Ok((ready, planned)) => begin(call, ready, &planned, &ask.consent).await,
            Err(code) => Ok(code),
        }
    });
    runtime.shutdown_background();
    done
}
