//! `quarterdeck completions SHELL`: to standard output, for the file where that shell looks.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;
use color_eyre::eyre::Result;

use super::{definition, put};

#[derive(Debug, Args)]
pub(super) struct Ask {
    shell: Shell,
}

pub(super) fn run(ask: &Ask) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(ask.shell, &mut definition(), "quarterdeck", &mut script);
    put(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
