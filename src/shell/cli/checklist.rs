//! `quarterdeck checklist`: read plans as they are, write the annotated page, sign and waive items.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::NaiveDate;
use clap::{Args, Subcommand};
use color_eyre::eyre::{Result, WrapErr, eyre};

use super::{Call, EXIT_CANNOT_CREATE, EXIT_USAGE, journal, put, say};
use crate::checklist::{
    Act, Checklist, Item, Phase, Signatures, annotate, item_json, item_text, list_json, list_text,
    sign_off,
};
use crate::config::Config;
use crate::domain::{Clean, Timestamp};
use crate::journal::{Access, Code, Draft, Journal, Mode, Record, Seq};
use crate::shell::identity::Identity;

/// A plan is a page or thirty; what is larger is no plan.
const PLAN_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Entries of the journal asked for at a time.
const PAGE: u32 = 500;
/// A reason is a sentence.
const REASON_BYTES_MAX: usize = 2000;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Ask {
    /// A plan, imported or not; without it, the configured ones
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
    Import(Import),
    /// Print one item: the author's words, what is proposed for it, who signed it
    Show {
        file: PathBuf,
        /// Its id, or the beginning of its id or of its title
        item: String,
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// Sign an item for what a machine cannot measure
    Sign {
        file: PathBuf,
        item: String,
        /// What was seen, in a sentence
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Go on without an item until a day
    Waive {
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

#[derive(Debug, Args)]
struct Import {
    plan: PathBuf,
    /// The page to write; `-` is standard output [default: the plan's name with .checklist.md]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// An annotated page of an earlier version, whose ids, accepted checks and notes are kept
    #[arg(long, value_name = "OLD")]
    onto: Option<PathBuf>,
    /// Write over a page that is there
    #[arg(long)]
    force: bool,
}

fn day(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|_| "expected a day such as 2026-12-31".to_owned())
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    match &ask.act {
        None => show_lists(call, ask),
        Some(What::Import(import)) => run_import(import),
        Some(What::Show { file, item, json }) => {
            let list = read(file)?;
            let Some((phase, found)) = find(&list, item) else {
                return Ok(ExitCode::from(EXIT_USAGE));
            };
            let (signatures, now) = signatures(call, &list);
            put(&if *json {
                format!("{:#}\n", item_json(&list, phase, found, &signatures, now))
            } else {
                item_text(&list, phase, found, &signatures, now)
            })?;
            Ok(ExitCode::SUCCESS)
        }
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
    let files = match &ask.file {
        Some(file) => vec![file.clone()],
        None => match call.config() {
            Ok(config) => config.stack.map_or_else(Vec::new, |stack| stack.checklists),
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
        let list = read(file)?;
        for remark in &list.remarks {
            say(&format!("{}:{}: {}", list.name, remark.line, remark.text));
        }
        let (signatures, now) = signatures(call, &list);
        if ask.json {
            told.push(list_json(&list, &signatures, now));
        } else {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&list_text(&list, &signatures, now));
        }
    }
    put(&if ask.json {
        format!("{:#}\n", serde_json::json!({ "checklists": told }))
    } else {
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

fn load(file: &Path) -> Result<Vec<u8>> {
    let shown = Clean::line(&file.to_string_lossy());
    let mut bytes = Vec::new();
    fs::File::open(file)
        .and_then(|open| open.take(PLAN_BYTES_MAX + 1).read_to_end(&mut bytes))
        .wrap_err_with(|| format!("cannot read {shown}"))?;
    if bytes.len() as u64 > PLAN_BYTES_MAX {
        return Err(eyre!(
            "{shown} has more than 16 MB: that is no plan; name the Markdown file itself"
        ));
    }
    Ok(bytes)
}

fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

pub(in crate::shell) fn read(file: &Path) -> Result<Checklist> {
    Ok(Checklist::read(&name_of(file), &load(file)?))
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

fn run_import(ask: &Import) -> Result<ExitCode> {
    let plan = load(&ask.plan)?;
    let out = match (&ask.out, &ask.onto) {
        (Some(out), _) => out.clone(),
        (None, Some(onto)) => onto.clone(),
        (None, None) => ask.plan.with_extension("checklist.md"),
    };
    let to_stdout = out.as_os_str() == "-";
    let there = match fs::symlink_metadata(&out) {
        Ok(_) if !to_stdout => Some(load(&out)?),
        _ => None,
    };
    // What is written over is carried on, named or not: nobody's decisions are lost to a forgotten flag.
    let onto = match &ask.onto {
        Some(onto) => Some(load(onto)?),
        None => there.clone(),
    };
    let made = annotate(&name_of(&ask.plan), &plan, onto.as_deref());
    for remark in &made.list.remarks {
        say(&format!(
            "{}:{}: {}",
            made.list.name, remark.line, remark.text
        ));
    }
    if onto.is_some() {
        for line in made.difference.to_string().lines() {
            eprintln!("{}", Clean::line(line));
        }
    }
    if to_stdout {
        put(&made.text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = Clean::line(&out.to_string_lossy());
    if there.as_deref() == Some(made.text.as_bytes()) {
        say(&format!(
            "{shown} is as it would be written: nothing changes"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    if there.is_some() && !ask.force {
        say(&format!(
            "{shown} is there already, and nothing was written; --force writes over it, --out names another file"
        ));
        return Ok(ExitCode::from(EXIT_CANNOT_CREATE));
    }
    write(&out, &made.text).wrap_err_with(|| format!("cannot write {shown}"))?;
    let (items, proposed) = made
        .list
        .items()
        .fold((0, 0), |(items, blocks), (_, item)| {
            (items + 1, blocks + item.blocks.len())
        });
    say(&format!(
        "{shown}: {items} items, {proposed} checks under them; read them, fill in what is open, and set `accepted = true`"
    ));
    Ok(ExitCode::SUCCESS)
}

/// All of it or nothing: beside the file first, then in its place.
fn write(out: &Path, text: &str) -> io::Result<()> {
    let mut beside = out.as_os_str().to_owned();
    beside.push(format!(".new-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)?;
    let done = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, out));
    if done.is_err() {
        let _ = fs::remove_file(&beside);
    }
    done
}

pub(in crate::shell) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .wrap_err("cannot start the clockwork")
}

/// The sign-offs of a page and the time. Without a journal, or with one that cannot be read, nobody has signed, and
/// that is said.
fn signatures(call: &Call, list: &Checklist) -> (Signatures, Timestamp) {
    let now = Identity::look(&call.env).moment().at;
    let config = match Config::load(&call.flags, &call.env, &call.here) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            say("without a configuration there are no signatures");
            return (Signatures::default(), now);
        }
    };
    let found = runtime().and_then(|runtime| runtime.block_on(signed(&config, list)));
    match found {
        Ok(signatures) => (signatures, now),
        Err(error) => {
            say(&format!("signatures cannot be read: {error:#}"));
            (Signatures::default(), now)
        }
    }
}

pub(in crate::shell) async fn signed(config: &Config, list: &Checklist) -> Result<Signatures> {
    let mut signatures = Signatures::default();
    let address = journal::address(config)?;
    if let crate::journal::Address::Sqlite(path) = &address
        && !path.exists()
    {
        return Ok(signatures);
    }
    let store = Journal::open(&address, Access::Read).await?;
    let mut at = Seq(0);
    loop {
        let rows = store.after(at, PAGE).await?;
        let Some(end) = rows.last() else { break };
        at = Seq(u64::try_from(end.seq).unwrap_or(u64::MAX));
        for row in &rows {
            let Some(entry) = row.record.as_ref().ok().and_then(Record::entry) else {
                continue;
            };
            if entry.code == Code::SignedOff {
                signatures.take(list, &entry.body, &entry.actor.user, entry.moment.at);
            }
        }
    }
    store.close().await;
    Ok(signatures)
}

fn record(call: &Call, file: &Path, word: &str, act: Act, reason: &str) -> Result<ExitCode> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        say("a signature has a reason of a sentence or two; say what was seen: --reason \"…\"");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let list = read(file)?;
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
        mode: Mode::Live,
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
