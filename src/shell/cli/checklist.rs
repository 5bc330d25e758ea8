//! `quarterdeck checklist`: read plans as they are, prove their items, sign and waive, decide, and take it along.

mod export;
mod import;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::NaiveDate;
use clap::{Args, Subcommand};
use color_eyre::eyre::{Result, WrapErr};

use super::{Call, EXIT_USAGE, journal, put, say};
use crate::app::Listed;
use crate::checklist::{
    Act, Checklist, Item, Phase, item_json, item_text, list_json, list_text, sign_off,
};
use crate::config::Config;
use crate::domain::{Clean, Timestamp};
use crate::journal::{Access, Code, Draft, Journal};
use crate::shell::checklists;
use crate::shell::collect::runtime;
use crate::shell::identity::Identity;

/// A reason is a sentence.
pub(in crate::shell) const REASON_BYTES_MAX: usize = 2000;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Ask {
    /// A plan, imported or not, or the name of one; without it, the configured ones
    file: Option<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    act: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a plan's annotated page: its text as it is, ids, proposed checks
    Import(import::Import),
    /// Print one item: the author's words, what its checks said, who signed it
    Show {
        /// The plan's file, or its name
        file: PathBuf,
        /// Its id, or the beginning of its id or of its title
        item: String,
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// Name every problem of a plan's accepted checks; measures nothing
    Lint {
        /// The plan's file, or its name
        file: PathBuf,
    },
    /// Make the checks of all items, or of one, and put what they saw on record: 0 all pass, 1 one fails, 3 one could not run
    Prove(verify::Prove),
    /// Make all checks and decide: 0 go, 1 no-go, 3 could not tell
    Verify(verify::Verify),
    /// Print the decision with all proofs, signers and waivers as one document
    Export(export::Export),
    /// Sign an item for what a machine cannot measure
    Sign {
        /// The plan's file, or its name
        file: PathBuf,
        item: String,
        /// What was seen, in a sentence
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Go on without an item until a day
    Waive {
        /// The plan's file, or its name
        file: PathBuf,
        item: String,
        /// Why that is acceptable
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The last day on which the waiver holds, such as 2026-12-31 (UTC)
        #[arg(long, value_name = "DATE", value_parser = day)]
        until: NaiveDate,
    },
}

fn day(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|_| "expected a day such as 2026-12-31".to_owned())
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    match &ask.act {
        None => show_lists(call, ask),
        Some(What::Import(ask)) => import::run(ask),
        Some(What::Show { file, item, json }) => {
            let (page, now) = marked(call, file)?;
            let Some((phase, found)) = find(&page.list, item) else {
                return Ok(ExitCode::from(EXIT_USAGE));
            };
            put(&if *json {
                let told = item_json(&page.list, phase, found, &page.marks, now);
                format!("{told:#}\n")
            } else {
                item_text(&page.list, phase, found, &page.marks, now)
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Some(What::Lint { file }) => verify::lint(call, file),
        Some(What::Prove(ask)) => verify::prove(call, ask),
        Some(What::Verify(ask)) => verify::run(call, ask),
        Some(What::Export(ask)) => export::run(call, ask),
        Some(What::Sign { file, item, reason }) => record(call, file, item, Act::Signed, reason),
        Some(What::Waive {
            file,
            item,
            reason,
            until,
        }) => {
            let until = Clean::line(&until.to_string());
            record(call, file, item, Act::Waived { until }, reason)
        }
    }
}

fn show_lists(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let files: Vec<PathBuf> = match &ask.file {
        Some(file) => vec![file.clone()],
        None => match call.config() {
            Ok(config) => {
                let specs = checklists::specs(&config).iter();
                specs.map(|spec| spec.file.clone()).collect()
            }
            Err(code) => return Ok(code),
        },
    };
    if files.is_empty() {
        say(
            "no checklist is configured; name a file, or write [[checklist]] file = \"go-live.md\"",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let mut told = Vec::new();
    let mut text = String::new();
    for file in &files {
        let (Listed { list, marks }, now) = marked(call, file)?;
        for remark in &list.remarks {
            say(&format!("{}:{}: {}", list.name, remark.line, remark.text));
        }
        if ask.json {
            told.push(list_json(&list, &marks, now));
        } else {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&list_text(&list, &marks, now));
        }
    }
    put(&if ask.json {
        format!("{:#}\n", serde_json::json!({ "checklists": told }))
    } else {
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

fn find<'a>(list: &'a Checklist, word: &str) -> Option<(&'a Phase, &'a Item)> {
    let found = list.find(word);
    if found.is_none() {
        say(&format!(
            "no item of {}, or more than one, is called `{word}`; `quarterdeck checklist FILE` names them",
            list.name
        ));
    }
    found
}

/// A page with its signatures and proofs, and the time. Without a journal, or with one that cannot be read, nobody has
/// signed and nothing is proven, and that is said.
fn marked(call: &Call, file: &Path) -> Result<(Listed, Timestamp)> {
    let now = Identity::look(&call.env).moment().at;
    let config = match Config::load(&call.flags, &call.env, &call.here) {
        Ok(config) => config,
        Err(error) => {
            let page = checklists::find(None, file)?;
            eprintln!("{error}");
            say("without a configuration there are no signatures and no proofs");
            return Ok((page, now));
        }
    };
    let mut page = checklists::find(Some(&config), file)?;
    let pages = std::slice::from_mut(&mut page);
    let told = runtime().and_then(|runtime| runtime.block_on(checklists::mark(&config, pages)));
    if let Err(error) = told {
        say(&format!("signatures and proofs cannot be read: {error:#}"));
    }
    Ok((page, now))
}

fn record(call: &Call, file: &Path, word: &str, act: Act, reason: &str) -> Result<ExitCode> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        say("a signature has a reason of a sentence or two; say what was seen: --reason \"…\"");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let config = Config::load(&call.flags, &call.env, &call.here);
    let list = checklists::find(config.as_ref().ok(), file)?.list;
    let Some((_, item)) = find(&list, word) else {
        return Ok(ExitCode::from(EXIT_USAGE));
    };
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let identity = Identity::look(&call.env);
    let moment = identity.moment();
    if let Act::Waived { until } = &act
        && **until < moment.at.rfc3339()[..10]
    {
        say(&format!("a waiver until {until} is over before it begins"));
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let draft = Draft {
        moment,
        actor: identity.actor.clone(),
        mode: checklists::mode(&config),
        code: Code::SignedOff,
        target: Clean::line(&format!("{}/{}", list.name, item.id)),
        body: serde_json::to_value(sign_off(&list, item, act, reason))?,
    };
    let address = journal::address(&config)?;
    let head = runtime()?.block_on(async {
        let store = Journal::open(&address, Access::Write).await?;
        for notice in store.notices() {
            say(&notice.to_string());
        }
        let head = store.append(&draft).await;
        store.close().await;
        head
    });
    let head = head.wrap_err("the signature is not recorded")?;
    put(&format!(
        "{} {}\n{}:{}\n",
        item.id, item.title, head.seq, head.hash
    ))?;
    Ok(ExitCode::SUCCESS)
}
