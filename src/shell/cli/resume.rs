//! `quarterdeck resume`: a run that nobody drives gets a driver; one that is paused goes on.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr};

use super::follow::follow;
use super::word::{self, Found, find};
use super::{Call, EXIT_USAGE, put, say};
use crate::app::story::Standing;
use crate::domain::Clean;
use crate::engine::{Phase, Question, Resume};
use crate::journal::Code;
use crate::shell::driver::past::Past;
use crate::shell::driver::spawn_driver;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The run, or a part of its name that no other has; `last` is the newest
    #[arg(value_name = "RUN")]
    run: String,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Start it and do not wait
    #[arg(long)]
    detach: bool,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let runtime = crate::shell::collect::runtime()?;
    let done = runtime.block_on(async {
        let found = match find(call, &ask.run).await? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        resume(call, ask, found).await
    });
    runtime.shutdown_background();
    done
}

async fn resume(call: &Call, ask: &Ask, found: Found) -> Result<ExitCode> {
    match found.standing {
        Standing::Ended(verdict) => {
            say(&format!(
                "run {} has ended: {}",
                found.run.id.0,
                verdict.word()
            ));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        Standing::Unconfirmed => {
            say("nobody has said yes to this plan: plan again");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        Standing::Ownerless => {}
        Standing::Asking(Question::Resume) => {
            return word::tell(found, Code::DecisionResume, &ask.reason).await;
        }
        Standing::Starting | Standing::UnderWay | Standing::Asking(_) => {
            if driver_lives(&found) {
                say(&format!(
                    "run {} is driven: {}",
                    found.run.id.0,
                    found.standing.word()
                ));
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        }
    }
    let told = found.ready.story.seq;
    if is_held(&found).await? {
        let reason = Clean::line(&ask.reason);
        let (run, plan) = (&found.run.id, &found.run.plan.id);
        let requester = &found.ready.requester;
        requester
            .decide(
                &found.journal,
                Code::DecisionResume,
                run,
                plan,
                None,
                &reason,
            )
            .await?;
    }
    spawn_driver(
        &found.ready.config,
        call.project.as_deref(),
        &found.run.id,
        found.run.seq,
    )
    .wrap_err("cannot start the driver")?;
    if ask.detach {
        put(&format!("{}\n", found.run.id.0))?;
        return Ok(ExitCode::SUCCESS);
    }
    follow(found.journal, found.ready.story, &found.run.id, told).await
}

/// A lease may outlive its driver by some seconds; a process that is known to be gone is not waited for.
fn driver_lives(found: &Found) -> bool {
    let holder = found.ready.story.holder(&found.run);
    holder.is_some_and(|holder| !crate::shell::driver::process::is_gone(&holder.driver))
}

/// Whether the run will hold until somebody says so: then this is what was said.
async fn is_held(found: &Found) -> Result<bool> {
    if found.run.state.phase() == Phase::New {
        return Ok(false);
    }
    if found.run.state.hold().is_some() {
        return Ok(true);
    }
    let past = Past::read(&found.journal, &found.run.id, found.run.seq).await?;
    let boot_id = past.and_then(|past| past.boot_id);
    let here = &found.ready.requester.identity.boot_id;
    Ok(found.run.plan.resume == Resume::Ask && boot_id.as_ref() != Some(here))
}
