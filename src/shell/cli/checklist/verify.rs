//! `quarterdeck checklist verify` and `prove`: make the checks, record what they saw, decide.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr};
use futures_util::StreamExt;

use super::super::{Call, EXIT_CANNOT_CREATE, EXIT_UNREADABLE, EXIT_USAGE, exit_of, put, say};
use super::{find, journal};
use crate::app::Listed;
use crate::app::story::Story;
use crate::checklist::{Call as Gate, Checklist, ItemId, PartState};
use crate::config::Config;
use crate::domain::{Clean, Timestamp, Verdict};
use crate::journal::{Access, Head, Journal, Seq};
use crate::report::{Seal, gate_json, gate_text};
use crate::shell::clock::Clock;
use crate::shell::collect::runtime;
use crate::shell::driver::Requester;
use crate::shell::identity::Identity;
use crate::shell::proving::{self, Looker};
use crate::shell::scene::Sight;
use crate::shell::watches::engine_of;
use crate::shell::{checklists, sanitised};

const EXIT_NO_GO: u8 = 1;
const EXIT_CANNOT_TELL: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The plan's file, or its name
    #[arg(value_name = "LIST")]
    file: PathBuf,
    /// Decide by what is on record; measure nothing
    #[arg(long)]
    recorded: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Prove {
    /// The plan's file, or its name
    #[arg(value_name = "LIST")]
    file: PathBuf,
    /// One item: its id, or the beginning of its id or of its title
    item: Option<String>,
}

/// What is needed to prove something.
struct Ready {
    config: Config,
    page: Listed,
    requester: Requester,
    clock: Clock,
}

fn ready(call: &Call, file: &Path) -> Result<Result<Ready, ExitCode>> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(Err(code)),
    };
    let page = checklists::find(Some(&config), file)?;
    say_problems(&page.list);
    let requester = Requester {
        identity: Identity::look(&call.env),
        mode: checklists::mode(&config),
    };
    Ok(Ok(Ready {
        config,
        page,
        requester,
        clock: Clock::start(),
    }))
}

fn say_problems(list: &Checklist) -> usize {
    let problems = proving::problems(list);
    for problem in &problems {
        say(&format!("{}:{problem}", list.name));
    }
    problems.len()
}

pub(super) fn lint(call: &Call, file: &Path) -> Result<ExitCode> {
    let config = Config::load(&call.flags, &call.env, &call.here);
    let list = checklists::find(config.as_ref().ok(), file)?.list;
    let problems = say_problems(&list);
    let asked: usize = list.items().map(|(_, item)| item.demand.asked.len()).sum();
    let items = list.items().count();
    put(&format!(
        "{}: {items} items, {asked} checks, {problems} problems\n",
        list.name
    ))?;
    Ok(if problems == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_UNREADABLE)
    })
}

pub(super) fn run(call: &Call, ask: &Verify) -> Result<ExitCode> {
    let mut ready = match ready(call, &ask.file)? {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    let runtime = runtime()?;
    let head = if ask.recorded {
        runtime.block_on(recorded(&mut ready))?
    } else {
        match runtime.block_on(measured(call, &mut ready, &[]))? {
            Ok((_, head)) => head,
            Err(code) => return Ok(code),
        }
    };
    runtime.shutdown_background();
    let seal = seal(&ready, head);
    put(&if ask.json {
        gate_json(&ready.page, &seal)
    } else {
        gate_text(&ready.page, &seal)
    })?;
    Ok(exit(ready.page.decide(seal.now).call))
}

pub(super) fn prove(call: &Call, ask: &Prove) -> Result<ExitCode> {
    let mut ready = match ready(call, &ask.file)? {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    let only = match &ask.item {
        None => Vec::new(),
        Some(word) => match find(&ready.page.list, word) {
            Some((_, item)) => vec![item.id.clone()],
            None => return Ok(ExitCode::from(EXIT_USAGE)),
        },
    };
    let runtime = runtime()?;
    let verdicts = match runtime.block_on(measured(call, &mut ready, &only))? {
        Ok((verdicts, _)) => verdicts,
        Err(code) => return Ok(code),
    };
    runtime.shutdown_background();
    put(&proven(&ready, &only))?;
    Ok(match verdicts.iter().max_by_key(|one| weight(**one)) {
        Some(Verdict::Pass) => ExitCode::SUCCESS,
        Some(Verdict::Fail) => ExitCode::from(EXIT_NO_GO),
        Some(Verdict::CouldNotRun) => ExitCode::from(EXIT_CANNOT_TELL),
        None => {
            say("nothing measures that: a person signs it");
            ExitCode::from(EXIT_CANNOT_TELL)
        }
    })
}

/// What is known to be bad says more than what is not known.
fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::CouldNotRun => 1,
        Verdict::Fail => 2,
    }
}

/// The last proof of each check, a line each.
fn proven(ready: &Ready, only: &[ItemId]) -> String {
    let judged = ready.page.marks.judge_all(&ready.page.list, now(ready));
    let mut out = String::new();
    for one in judged
        .iter()
        .filter(|one| only.is_empty() || only.contains(&one.item.id))
    {
        for part in &one.parts {
            let said = part
                .known
                .map_or("", |known| known.proof.outcome.said.as_str());
            let sign = match part.state {
                PartState::Fresh | PartState::Old => "[ok]",
                PartState::Failed => "[X]",
                PartState::Unproven
                | PartState::Expired
                | PartState::Changed
                | PartState::CouldNotRun => "[?]",
            };
            let _ = writeln!(out, "{sign:<5}{} {}: {said}", one.item.id, one.item.title);
        }
    }
    out
}

fn exit(call: Gate) -> ExitCode {
    ExitCode::from(match call {
        Gate::Go => 0,
        Gate::NoGo => EXIT_NO_GO,
        Gate::CouldNotTell => EXIT_CANNOT_TELL,
    })
}

fn now(ready: &Ready) -> Timestamp {
    ready.requester.identity.moment().at
}

fn seal(ready: &Ready, head: Option<Head>) -> Seal {
    let stack = ready.config.stack.as_ref();
    Seal {
        now: now(ready),
        head: head.map(|head| (head.seq.0, Clean::line(&head.hash.to_string()))),
        version: Clean::from(env!("CARGO_PKG_VERSION")),
        stack: stack.map_or_else(Clean::default, |stack| stack.name.clone()),
    }
}

/// A page with what is on record, for those who only read.
pub(super) fn on_record(call: &Call, file: &Path) -> Result<Result<(Listed, Seal), ExitCode>> {
    let mut ready = match ready(call, file)? {
        Ok(ready) => ready,
        Err(code) => return Ok(Err(code)),
    };
    let head = runtime()?.block_on(recorded(&mut ready))?;
    let seal = seal(&ready, head);
    Ok(Ok((ready.page, seal)))
}

async fn recorded(ready: &mut Ready) -> Result<Option<Head>> {
    let pages = std::slice::from_mut(&mut ready.page);
    checklists::mark(&ready.config, pages).await?;
    checklists::head(&ready.config).await
}

/// Makes the checks and records them; returns what they said, and the head of the journal after the last.
async fn measured(
    call: &Call,
    ready: &mut Ready,
    only: &[ItemId],
) -> Result<Result<(Vec<Verdict>, Option<Head>), ExitCode>> {
    let address = journal::address(&ready.config)?;
    let opened = Journal::open(&address, Access::Write).await;
    let record = match opened.and_then(|it| it.preflight().map(|()| it)) {
        Ok(record) => record,
        Err(error) => {
            eprintln!("{}", sanitised(&error.into()));
            say("nothing is proven without a record");
            return Ok(Err(ExitCode::from(EXIT_CANNOT_CREATE)));
        }
    };
    for notice in record.notices() {
        say(&notice.to_string());
    }
    let engine = engine_of(&ready.config);
    let sight = match Sight::of(&ready.config, &engine, call.project.as_deref()).await {
        Ok(sight) => sight,
        Err(fault) => {
            say(&fault.to_string());
            return Ok(Err(exit_of(&fault)));
        }
    };
    let mut story = Story::default();
    super::super::plan::catch_up(&record, &mut story).await?;
    let verdicts = look(ready, &record, &sight, &story, only).await?;
    let pages = std::slice::from_mut(&mut ready.page);
    checklists::catch_up(&record, Seq(0), ready.requester.mode, pages).await?;
    let head = record.head().await?;
    record.close().await;
    Ok(Ok((verdicts, head)))
}

async fn look(
    ready: &Ready,
    record: &Journal,
    sight: &Sight,
    story: &Story,
    only: &[ItemId],
) -> Result<Vec<Verdict>> {
    let looker = Looker {
        eyes: &sight.eyes,
        story,
        mode: ready.requester.mode,
        clock: ready.clock,
    };
    let list = &ready.page.list;
    let jobs = proving::jobs(list, only);
    let of = jobs.len();
    let mut verdicts = Vec::new();
    let mut made = std::pin::pin!(proving::look(&looker, jobs));
    while let Some(made) = made.next().await {
        proving::record(record, &ready.requester, list, &made)
            .await
            .wrap_err("an outcome is not recorded, so it proves nothing")?;
        verdicts.push(made.outcome.verdict);
        let sign = match made.outcome.verdict {
            Verdict::Pass => "[ok]",
            Verdict::Fail => "[X]",
            Verdict::CouldNotRun => "[?]",
        };
        let text = format!(
            "{sign:<5}{}/{of} {}: {}: {}",
            verdicts.len(),
            made.job.items()[0],
            made.line,
            made.outcome.said
        );
        eprintln!("{}", Clean::line(&text));
    }
    Ok(verdicts)
}
