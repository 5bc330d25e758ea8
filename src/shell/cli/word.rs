//! A person's word to a run: pause, abort, undo, confirm, approve, retry, skip, answer. It is an entry in the journal; the
//! driver reads it there, and what it makes of it is told here.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use color_eyre::eyre::Result;
use serde_json::Value;
use tokio::time::Instant;

use super::begin::open;
use super::plan::{Ready, catch_up, ready};
use super::{Call, EXIT_NOT_PERMITTED, EXIT_USAGE, put, say};
use crate::app::story::{RunStory, Standing};
use crate::domain::Clean;
use crate::journal::{Code, Entry, Journal, Seq};

/// A driver answers within a look at the journal; one that does not is busy, and hears it then.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Entries asked for at a time.
const PAGE: u32 = 200;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The run, or a part of its name that no other has; `last` is the newest
    #[arg(value_name = "RUN")]
    pub(super) run: String,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) reason: String,
}

/// What only a person can say of a step in doubt.
#[derive(Debug, Args)]
pub(super) struct Answer {
    #[command(flatten)]
    ask: Ask,
    /// Whether the step in doubt happened
    #[arg(value_name = "ANSWER")]
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Happened,
    DidNotHappen,
}

pub(super) fn answer_doubt(call: &Call, answer: &Answer) -> Result<ExitCode> {
    let code = match answer.what {
        What::Happened => Code::DecisionHappened,
        What::DidNotHappen => Code::DecisionDidNotHappen,
    };
    run(call, &answer.ask, code)
}

pub(super) fn run(call: &Call, ask: &Ask, code: Code) -> Result<ExitCode> {
    let runtime = crate::shell::collect::runtime()?;
    let done = runtime.block_on(async {
        let found = match find(call, &ask.run).await? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        tell(found, code, &ask.reason).await
    });
    runtime.shutdown_background();
    done
}

/// A run that was named, and what is needed to say something to it.
pub(super) struct Found {
    pub(super) ready: Ready,
    pub(super) journal: Journal,
    pub(super) run: RunStory,
    pub(super) standing: Standing,
}

pub(super) async fn find(call: &Call, name: &str) -> Result<Result<Found, ExitCode>> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(Err(code)),
    };
    let mut ready = match ready(call, config).await? {
        Ok(ready) => ready,
        Err(code) => return Ok(Err(code)),
    };
    let journal = match open(&ready).await? {
        Ok(journal) => journal,
        Err(code) => return Ok(Err(code)),
    };
    catch_up(&journal, &mut ready.story).await?;
    let run = match ready.story.find(name) {
        Ok(run) => run.clone(),
        Err(unfound) => {
            say(&unfound.to_string());
            return Ok(Err(ExitCode::from(EXIT_USAGE)));
        }
    };
    let now = ready.requester.identity.moment().at;
    let standing = ready.story.standing(&run, now);
    Ok(Ok(Found {
        ready,
        journal,
        run,
        standing,
    }))
}

pub(super) async fn tell(found: Found, code: Code, reason: &str) -> Result<ExitCode> {
    let Found {
        ready,
        journal,
        run,
        standing,
    } = found;
    if let Standing::Ended(verdict) = standing {
        say(&format!("run {} has ended: {}", run.id.0, verdict.word()));
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let reason = Clean::line(reason);
    let head = ready
        .requester
        .decide(&journal, code, &run.id, &run.plan.id, None, &reason)
        .await?;
    if standing == Standing::Ownerless {
        say(&format!(
            "it is on record, and nobody drives the run: `quarterdeck resume {}` lets it be heard",
            run.id.0
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let answered = answer(&journal, head.seq).await?;
    journal.close().await;
    Ok(match answered {
        Some(entry) if entry.code == Code::Refused => {
            let why = entry.body.get("reason").and_then(Value::as_str);
            say(&format!(
                "refused: {}",
                why.unwrap_or("the driver does not say why")
            ));
            ExitCode::from(EXIT_NOT_PERMITTED)
        }
        Some(_) => {
            put(&format!("run {}: heard\n", run.id.0))?;
            ExitCode::SUCCESS
        }
        None => {
            say("it is on record; the driver has not answered yet");
            ExitCode::SUCCESS
        }
    })
}

/// What the driver made of a decision: an event or a refusal that names it.
async fn answer(journal: &Journal, decision: Seq) -> Result<Option<Entry>> {
    let until = Instant::now() + ANSWER_LIMIT;
    let mut news = journal.follow().await?;
    let mut at = decision;
    while Instant::now() < until {
        let rows = journal.after(at, PAGE).await?;
        let records = rows.iter().filter_map(|row| row.record.as_ref().ok());
        for entry in records.filter_map(crate::journal::Record::entry) {
            at = entry.seq;
            let of = entry.body.get("decision").and_then(Value::as_u64);
            if of == Some(decision.0) {
                return Ok(Some(entry));
            }
        }
        if rows.is_empty() {
            news.news(until.saturating_duration_since(Instant::now()))
                .await?;
        }
    }
    Ok(None)
}
