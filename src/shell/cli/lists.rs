//! `quarterdeck containers`, `traffic`, `certs`, `backups`: one subject each, as a table or as a document.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::{Call, Form, put};
use crate::domain::{Board, Timestamp};
use crate::report::{Report, Session};

#[derive(Debug, Args)]
pub(super) struct Ask {
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(
    call: &Call,
    ask: &Ask,
    report: impl FnOnce(&Board, Timestamp, &Session) -> Report,
) -> Result<ExitCode> {
    let report = match call.look(ask.form.timeout, report)? {
        Ok(report) => report,
        Err(code) => return Ok(code),
    };
    put(if ask.form.json {
        &report.json
    } else {
        &report.text
    })?;
    Ok(ExitCode::from(report.exit_code))
}
