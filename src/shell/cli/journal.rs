//! `quarterdeck journal`: show the record, verify it, take it along, and write a sentence into it.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use color_eyre::eyre::{Report, Result, WrapErr, eyre};

use crate::config::{Config, Env, JournalStore};
use crate::domain::{Clean, text::fit};
use crate::journal::chain::Row;
use crate::journal::{
    Access, Address, Anchor, Code, Condition, Draft, Entry, Head, Journal, Mode, Record, Seq, Span,
    StoreError, Verdict, salvage,
};
use crate::shell::identity::Identity;

const EXIT_BROKEN: u8 = 2;
const EXIT_CANNOT_DECIDE: u8 = 3;
/// `EX_CANTCREAT`: the journal cannot be written.
const EXIT_NOT_WRITTEN: u8 = 73;
/// `EX_IOERR`: it cannot be read.
const EXIT_NOT_READ: u8 = 74;
/// `EX_TEMPFAIL`: somebody else writes.
const EXIT_LOCKED: u8 = 75;

/// Entries asked for at a time.
const PAGE: u32 = 500;
/// A follower looks at least this often, for a server that forgot to tell.
const LOOK_AT_LEAST: Duration = Duration::from_secs(10);
/// Of an entry's body on a line for people.
const BODY_COLUMNS: usize = 160;
/// A note is a sentence; what is longer becomes two.
const NOTE_BYTES_MAX: u64 = 16 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Ask {
    /// Print the last entries
    Tail {
        /// How many
        #[arg(short, long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
        number: u32,
        /// Wait for new ones and print them too
        #[arg(short, long)]
        follow: bool,
        /// Whole entries, a JSON document on each line
        #[arg(long)]
        json: bool,
    },
    /// Look whether the chain of entries is whole: 0 it is, 2 it is broken, 3 that cannot be decided
    Verify {
        /// First entry to look at
        #[arg(long, value_name = "SEQ")]
        from: Option<u64>,
        /// Last entry to look at
        #[arg(long, value_name = "SEQ")]
        to: Option<u64>,
        /// A head that was seen before, as `SEQ:HASH` or `HASH`; only this shows that the end was cut
        #[arg(long, value_name = "HASH", value_parser = anchor)]
        anchor: Vec<Anchor>,
    },
    /// Print all entries
    Export {
        #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
        format: Format,
        /// Save what can be read of a damaged journal
        #[arg(long)]
        salvage: bool,
    },
    /// Write a note; with `-` each line of standard input is one
    Note {
        #[arg(required = true, value_name = "TEXT")]
        text: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Jsonl,
    Md,
}

fn anchor(text: &str) -> Result<Anchor, String> {
    let told = "expected SEQ:HASH or HASH, as `journal verify` prints it";
    let (seq, hash) = match text.split_once(':') {
        Some((seq, hash)) => (Some(seq.parse().map_err(|_| told)?), hash),
        None => (None, text),
    };
    Ok(Anchor {
        seq: seq.map(Seq),
        hash: hash.parse().map_err(|_| told)?,
    })
}

/// Runs one of them.
pub(super) fn run(config: &Config, env: &Env, ask: &Ask) -> Result<ExitCode> {
    let address = address(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .wrap_err("cannot start the clockwork")?;
    let done = runtime.block_on(async {
        match ask {
            Ask::Tail {
                number,
                follow,
                json,
            } => tail(&address, *number, *follow, *json).await,
            Ask::Verify { from, to, anchor } => {
                let span = Span {
                    from: from.map(Seq),
                    to: to.map(Seq),
                };
                let mut anchors = anchor.clone();
                if let Some(path) = &config.journal.witness {
                    let Some(heads) = heads(path) else {
                        return Ok(ExitCode::from(EXIT_CANNOT_DECIDE));
                    };
                    anchors.extend(
                        heads
                            .into_iter()
                            .filter(|head| head.seq <= span.to.or(head.seq)),
                    );
                }
                verify(&address, span, &anchors).await
            }
            Ask::Export { format, salvage } => export(&address, *format, *salvage).await,
            Ask::Note { text } => note(&address, &Identity::look(env), &text.join(" ")).await,
        }
    });
    done.or_else(|error| failed(ask, error))
}

/// What the witness has seen. One that is not there yet has seen nothing; one that cannot be asked is said.
fn heads(path: &Path) -> Option<Vec<Anchor>> {
    match crate::shell::witness::heads(path) {
        Ok(heads) => {
            let text = format!(
                "the witness {} has seen {} heads",
                path.display(),
                heads.len()
            );
            super::say(&Clean::line(&text));
            Some(heads)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = format!("there is no witness at {} yet", path.display());
            super::say(&Clean::line(&text));
            Some(Vec::new())
        }
        Err(error) => {
            let text = format!(
                "cannot decide: the witness {} cannot be asked: {error}",
                path.display()
            );
            super::say(&Clean::line(&text));
            None
        }
    }
}

/// The store that was configured, with its password where it has one.
pub(in crate::shell) fn address(config: &Config) -> Result<Address> {
    match &config.journal.store {
        None => Err(eyre!(
            "there is no home folder for the journal; write [journal] store = \"sqlite:/path/journal.db\""
        )),
        Some(JournalStore::Sqlite(path)) => Ok(Address::Sqlite(path.clone())),
        Some(JournalStore::Postgres(url)) => {
            let secret = config.journal.password.as_ref();
            let secret = secret.map(|secret| secret.read(|name| std::env::var_os(name)));
            Ok(Address::Postgres {
                url: url.to_string(),
                password: secret.transpose()?.map(|secret| secret.expose().to_owned()),
            })
        }
    }
}

fn failed(ask: &Ask, error: Report) -> Result<ExitCode> {
    if let Some(io) = error.downcast_ref::<io::Error>()
        && io.kind() == ErrorKind::BrokenPipe
    {
        return Ok(ExitCode::SUCCESS);
    }
    let code = match (error.downcast_ref::<StoreError>(), ask) {
        (None, _) => return Err(error),
        (Some(StoreError::Locked { .. }), Ask::Note { .. }) => EXIT_LOCKED,
        (
            Some(StoreError::Corrupt { .. } | StoreError::Emptied { .. } | StoreError::Gone { .. }),
            Ask::Verify { .. },
        ) => EXIT_BROKEN,
        (Some(_), Ask::Verify { .. }) => EXIT_CANNOT_DECIDE,
        (Some(_), Ask::Note { .. }) => EXIT_NOT_WRITTEN,
        (Some(_), Ask::Tail { .. } | Ask::Export { .. }) => EXIT_NOT_READ,
    };
    eprintln!("{}", crate::shell::sanitised(&error));
    Ok(ExitCode::from(code))
}

/// A message for people.
fn put(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(())
}

async fn reader(address: &Address) -> Result<Journal> {
    let journal = Journal::open(address, Access::Read).await?;
    match journal.condition() {
        Condition::Sound | Condition::Asked => {}
        condition => super::say(&format!("{}: {condition}", address.place())),
    }
    Ok(journal)
}

async fn tail(address: &Address, number: u32, follow: bool, json: bool) -> Result<ExitCode> {
    let journal = reader(address).await?;
    // Listening begins before looking, so that nothing falls between the two.
    let watch = if follow {
        Some(journal.follow().await?)
    } else {
        None
    };
    let rows = journal.last(number).await?;
    let mut at = match rows.last() {
        Some(row) => row.seq,
        None => i64::try_from(journal.head().await?.map_or(0, |head| head.seq.0))?,
    };
    print(&rows, json)?;
    if let Some(mut watch) = watch {
        loop {
            let rows = journal
                .after(Seq(u64::try_from(at).unwrap_or(0)), PAGE)
                .await?;
            print(&rows, json)?;
            match rows.last() {
                Some(last) => at = last.seq,
                None => {
                    watch.news(LOOK_AT_LEAST).await?;
                }
            }
        }
    }
    journal.close().await;
    Ok(ExitCode::SUCCESS)
}

fn print(rows: &[Row], json: bool) -> Result<()> {
    for row in rows {
        match &row.record {
            Ok(record) if json => put(&record.json())?,
            Ok(record) => put(&line(record))?,
            Err(why) => super::say(&format!("entry {} cannot be read: {why}", row.seq)),
        }
    }
    Ok(())
}

fn line(record: &Record) -> String {
    let Some(entry) = record.entry() else {
        return format!(
            "{:>6}  [X] nothing that this console would write: {}",
            record.seq,
            Clean::line(&record.json())
        );
    };
    let target = match entry.target.as_str() {
        "" => String::new(),
        target => format!("  {target}"),
    };
    format!(
        "{:>6}  {}  {}  {}  {}{target}  {}",
        entry.seq,
        entry.moment.at.rfc3339(),
        entry.mode.word(),
        who(&entry),
        entry.code.word(),
        what(&entry)
    )
}

fn who(entry: &Entry) -> String {
    use std::fmt::Write;
    let actor = &entry.actor;
    let mut text = actor.user.to_string();
    if let Some(login) = actor.login_uid.filter(|login| *login != actor.uid) {
        let _ = write!(text, " (logged in as uid {login})");
    }
    if let Some(sudo) = &actor.claims.sudo_user {
        let _ = write!(text, " (sudo by {sudo}, as claimed)");
    }
    text
}

/// A note's own sentence; else the body as it is hashed.
fn what(entry: &Entry) -> Clean {
    let text = match entry.body.get("text").and_then(|text| text.as_str()) {
        Some(text) if entry.code == Code::Note => Clean::line(text),
        _ => Clean::line(&crate::journal::canonical::write(&entry.body).unwrap_or_default()),
    };
    match fit(&text, BODY_COLUMNS) {
        all if all.len() == text.len() => text,
        part => Clean::from(format!("{part} …")),
    }
}

async fn verify(address: &Address, span: Span, anchors: &[Anchor]) -> Result<ExitCode> {
    let journal = reader(address).await?;
    let verdict = journal.verify(span, anchors).await?;
    let damaged = match journal.condition() {
        Condition::Damaged(what) => Some(what.clone()),
        _ => None,
    };
    journal.close().await;
    match (verdict, damaged) {
        (
            Verdict::Ok {
                head,
                count,
                anchors_met,
            },
            None,
        ) => {
            put(&format!("ok: {count} entries, head {}", shown(head)))?;
            if anchors_met == 0 {
                super::say(
                    "a cut end shows only against an anchor: keep this head elsewhere, and name it with --anchor",
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        (Verdict::Ok { count, .. }, Some(what)) => {
            put(&format!(
                "cannot decide: {count} entries are whole, and the database is damaged: {what}"
            ))?;
            Ok(ExitCode::from(EXIT_CANNOT_DECIDE))
        }
        (Verdict::Broken { seq, flaw, last }, _) => {
            put(&format!("broken: entry {seq}: {flaw}"))?;
            if last {
                super::say("nothing follows it: a crash may have torn it");
            }
            Ok(ExitCode::from(EXIT_BROKEN))
        }
        (Verdict::CannotDecide(why), _) => {
            put(&format!("cannot decide: {why}"))?;
            Ok(ExitCode::from(EXIT_CANNOT_DECIDE))
        }
    }
}

fn shown(head: Head) -> String {
    format!("{}:{}", head.seq, head.hash)
}

async fn export(address: &Address, format: Format, damaged: bool) -> Result<ExitCode> {
    if format == Format::Md {
        put(&format!("# Journal\n\n{}\n", escaped(&address.place())))?;
        put("| entry | when | world | who | what | about | | hash |")?;
        put("|---|---|---|---|---|---|---|---|")?;
    }
    let write = |record: &Record| match format {
        Format::Jsonl => put(&record.json()),
        Format::Md => put(&row(record)),
    };
    if damaged {
        let found = salvage(address).await?;
        found.records.iter().try_for_each(write)?;
        for why in &found.lost {
            super::say(&format!("lost: {why}"));
        }
        let code = if found.lost.is_empty() {
            0
        } else {
            EXIT_BROKEN
        };
        return Ok(ExitCode::from(code));
    }
    let journal = reader(address).await?;
    let mut at = Seq(0);
    let mut lost = false;
    loop {
        let rows = journal.after(at, PAGE).await?;
        let Some(end) = rows.last() else { break };
        at = Seq(u64::try_from(end.seq).unwrap_or(u64::MAX));
        for row in &rows {
            match &row.record {
                Ok(record) => write(record)?,
                Err(why) => {
                    lost = true;
                    super::say(&format!("entry {} cannot be read: {why}", row.seq));
                }
            }
        }
    }
    journal.close().await;
    Ok(ExitCode::from(if lost { EXIT_BROKEN } else { 0 }))
}

fn row(record: &Record) -> String {
    let Some(entry) = record.entry() else {
        return format!(
            "| {} | | | | | | {} | |",
            record.seq,
            escaped(&record.json())
        );
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | `{}` |",
        entry.seq,
        entry.moment.at.rfc3339(),
        entry.mode.word(),
        escaped(&who(&entry)),
        entry.code.word(),
        escaped(&entry.target),
        escaped(&what(&entry)),
        entry.hash
    )
}

/// Text that Markdown leaves alone.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_{}[]<>#|~!&".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

async fn note(address: &Address, identity: &Identity, text: &str) -> Result<ExitCode> {
    let journal = Journal::open(address, Access::Write).await?;
    for notice in journal.notices() {
        super::say(&notice.to_string());
    }
    if text == "-" {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        while input
            .by_ref()
            .take(NOTE_BYTES_MAX)
            .read_until(b'\n', &mut line)?
            > 0
        {
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            line.clear();
            if !text.is_empty() {
                record(&journal, identity, &text).await?;
            }
        }
    } else {
        record(&journal, identity, text).await?;
    }
    journal.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Records a note and prints its place, once it is durable.
async fn record(journal: &Journal, identity: &Identity, text: &str) -> Result<()> {
    let draft = Draft {
        moment: identity.moment(),
        actor: identity.actor.clone(),
        mode: Mode::Live,
        code: Code::Note,
        target: Clean::default(),
        body: serde_json::json!({ "text": text }),
    };
    let head = journal.append(&draft).await?;
    put(&shown(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_read_as_verify_prints_it() {
        let hash = "ab".repeat(32);
        let read = anchor(&format!("12:{hash}")).unwrap();
        assert_eq!((read.seq, read.hash.to_string()), (Some(Seq(12)), hash));
        assert_eq!(anchor(&"0".repeat(64)).unwrap().seq, None);
        assert!(anchor("x:00").is_err() && anchor("").is_err());
    }

    #[test]
    fn markdown_cannot_be_broken_out_of() {
        assert_eq!(escaped("a|b`c<d>"), "a\\|b\\`c\\<d\\>");
    }
}
