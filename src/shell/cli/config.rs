//! `quarterdeck config check` and `config show`: every problem of a file, and every value with who set it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::Result;

use super::{Call, put};
use crate::config::Flags;
use crate::domain::Clean;

#[derive(Debug, Subcommand)]
pub(super) enum Ask {
    /// Name every problem of the configuration
    Check(Check),
    /// Print the values that hold
    Show(Show),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file; without it, the one that would be used
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Who set each value: the file and its line, a variable, a flag, the default
    #[arg(long)]
    origin: bool,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    match ask {
        Ask::Check(check) => run_check(call, check),
        Ask::Show(show) => run_show(call, show),
    }
}

fn run_check(call: &Call, check: &Check) -> Result<ExitCode> {
    let call = Call {
        flags: Flags {
            config: check.file.clone().or_else(|| call.flags.config.clone()),
            ..call.flags.clone()
        },
        env: call.env.clone(),
        here: call.here.clone(),
        project: None,
    };
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let text = match &config.file {
        Some(path) => format!("{}: no problem\n", Clean::line(&path.to_string_lossy())),
        None => "no configuration file; `quarterdeck init` writes one from what runs\n".to_owned(),
    };
    put(&text)?;
    for distrust in config.permissions(rustix::process::geteuid().as_raw()) {
        super::say(&format!("{distrust}; {}", distrust.remedy()));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_show(call: &Call, show: &Show) -> Result<ExitCode> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    put(&config.settings.table(show.origin))?;
    Ok(ExitCode::SUCCESS)
}
