//! `quarterdeck lint`: every problem of runbooks, before anybody needs them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::put;
use crate::runbook::Document;
use crate::shell::runbooks::{read, shown};
use crate::shell::sanitised;

/// Problems were found: the call was right, the documents are not.
const EXIT_PROBLEMS: u8 = 1;

/// `EX_NOINPUT`
const EXIT_NO_INPUT: u8 = 66;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Runbooks
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(ask: &Ask) -> Result<ExitCode> {
    let mut wrong = 0;
    for path in &ask.files {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("{}", sanitised(&error));
                return Ok(ExitCode::from(EXIT_NO_INPUT));
            }
        };
        match Document::read(&shown(path), &text) {
            Ok(document) => put(&format!("{}: no problem\n", document.name))?,
            Err(problems) => {
                wrong += problems.len();
                for problem in &problems {
                    put(&format!("{problem}\n"))?;
                }
            }
        }
    }
    Ok(match wrong {
        0 => ExitCode::SUCCESS,
        1 => said("1 problem"),
        many => said(&format!("{many} problems")),
    })
}

fn said(count: &str) -> ExitCode {
    eprintln!("{count}");
    ExitCode::from(EXIT_PROBLEMS)
}
