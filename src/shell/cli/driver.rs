//! `quarterdeck driver`: the process that owns a run. Started by `run`, `resume` and the console, never typed.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Call;
use super::journal::address;
use crate::domain::Clean;
use crate::engine::RunId;
use crate::journal::Seq;
use crate::shell::driver::run::{Errand, run as drive};
use crate::shell::own_log;

#[derive(Debug, Args)]
pub(super) struct Ask {
    run: String,
    /// Number of the entry that asked for it, or of one before
    #[arg(long, default_value_t = 0)]
    since: u64,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    own_log::start(&config);
    drive(&Errand {
        config: &config,
        env: &call.env,
        project: call.project.as_deref(),
        address: address(&config)?,
        run: RunId(Clean::line(&ask.run)),
        since: Seq(ask.since),
    })
}
