//! `quarterdeck status`: the whole stack on one page, as a document, or as one line for a monitoring system.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::{Call, Form, put};
use crate::report;

#[derive(Debug, Args)]
pub(super) struct Ask {
    #[command(flatten)]
    form: Form,
    /// One line with figures, as Nagios and its heirs read it
    #[arg(long, conflicts_with = "json")]
    check: bool,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let report = match call.look(ask.form.timeout, report::status)? {
        Ok(report) => report,
        Err(code) => return Ok(code),
    };
    if ask.form.json {
        put(&report.json)?;
    } else if ask.check {
        put(&format!("{}\n", report.check))?;
    } else {
        put(&report.text)?;
    }
    Ok(ExitCode::from(report.exit_code))
}
