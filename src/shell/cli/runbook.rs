//! `quarterdeck runbook list` and `runbook show`: what can be done, and how, for people and for scripts.

use std::process::ExitCode;

use clap::Subcommand;
use color_eyre::eyre::Result;
use serde_json::Value;

use super::{Call, EXIT_CONFIG, EXIT_USAGE, put, say};
use crate::runbook::{list_json, list_text, show_json, show_text};
use crate::shell::runbooks::shelf;
use crate::shell::sanitised;

#[derive(Debug, Subcommand)]
pub(super) enum Ask {
    /// Name all runbooks
    List {
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// Print a runbook: its parameters, what it does, its page to follow by hand
    Show {
        #[arg(value_name = "NAME")]
        name: String,
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let shelf = match shelf(&config) {
        Ok(shelf) => shelf,
        Err(error) => {
            eprintln!("{}", sanitised(&error));
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
    };
    for problem in &shelf.problems {
        eprintln!("{problem}");
    }
    match ask {
        Ask::List { json } => put(&if *json {
            document(&list_json(&shelf))
        } else {
            list_text(&shelf)
        })?,
        Ask::Show { name, json } => match shelf.find(name) {
            Ok(book) => put(&if *json {
                document(&show_json(book))
            } else {
                show_text(book)
            })?,
            Err(remedy) => {
                say(&remedy);
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        },
    }
    Ok(if shelf.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_CONFIG)
    })
}

/// Every text in it is clean already.
fn document(value: &Value) -> String {
    format!("{value:#}\n")
}
