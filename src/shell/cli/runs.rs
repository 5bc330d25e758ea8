//! `quarterdeck runs`: all runs, or one of them as far as it has come.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use serde_json::{Value, json};

use super::follow::{help, shown};
use super::journal::address;
use super::plan::catch_up;
use super::{Call, EXIT_USAGE, put, say};
use crate::app::story::{RunStory, Standing, Story};
use crate::domain::{Age, Clean, Timestamp};
use crate::engine::Serving;
use crate::journal::{Access, Journal, StoreError};
use crate::shell::clock::Clock;

/// The last lines of a run that are shown with it.
const LINES: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// One run, or a part of its name that no other has; `last` is the newest
    run: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let address = address(&config)?;
    let runtime = crate::shell::collect::runtime()?;
    let read: Result<Story> = runtime.block_on(async {
        let mut story = Story::default();
        match Journal::open(&address, Access::Read).await {
            Ok(journal) => {
                catch_up(&journal, &mut story).await?;
                journal.close().await;
            }
            Err(StoreError::Absent { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(story)
    });
    let story = read?;
    let now = Clock::start().now();
    let text = match &ask.run {
        None if ask.json => {
            let runs: Vec<Value> = story.newest().map(|run| brief(&story, run, now)).collect();
            document(now, "runs", &json!(runs))?
        }
        None => table(&story, now),
        Some(name) => match story.find(name) {
            Ok(run) if ask.json => document(now, "run", &whole(&story, run, now))?,
            Ok(run) => page(&story, run, now),
            Err(unfound) => {
                say(&unfound.to_string());
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        },
    };
    put(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn document(now: Timestamp, name: &str, value: &Value) -> Result<String> {
    let all = json!({
        "schema": "quarterdeck.runs/1",
        "generated_at": now.rfc3339(),
        name: value,
    });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

fn brief(story: &Story, run: &RunStory, now: Timestamp) -> Value {
    let standing = story.standing(run, now);
    let last = run.last_step();
    json!({
        "run": run.id.0,
        "runbook": run.plan.runbook,
        "target": run.plan.target.0,
        "by": run.actor.user,
        "mode": run.mode.word(),
        "asked_at": run.asked_at.rfc3339(),
        "standing": standing.word(),
        "took_ms": ms(run.took(now)),
        "steps": run.plan.steps.len(),
        "last_step": last.map(|step| step.index() + 1),
        "driver": story.holder(run).map(|holder| holder.driver.0.clone()),
        "next": next(run, standing),
    })
}

fn whole(story: &Story, run: &RunStory, now: Timestamp) -> Value {
    let steps = run.plan.steps.iter().zip(run.state.steps()).zip(&run.steps);
    let steps: Vec<Value> = steps
        .map(|((plan, record), seen)| {
            json!({
                "title": plan.title,
                "group": plan.group,
                "state": record.state.word(),
                "attempts": record.attempts,
                "undo_attempts": record.undo_attempts,
                "started_at": seen.started_at.map(Timestamp::rfc3339),
                "ended_at": seen.ended_at.map(Timestamp::rfc3339),
                "fault": seen.fault,
            })
        })
        .collect();
    let mut all = brief(story, run, now);
    if let Some(fields) = all.as_object_mut() {
        fields.insert("plan".to_owned(), json!(run.plan.id.0));
        fields.insert("steps".to_owned(), json!(steps));
        fields.insert("tap".to_owned(), run.tap.clone().unwrap_or_default());
        fields.insert("serving".to_owned(), json!(serving(run)));
        fields.insert("failed_requests".to_owned(), json!(run.requests));
        fields.insert("guards".to_owned(), json!(run.guards));
        fields.insert("unsound".to_owned(), json!(run.unsound));
    }
    all
}

/// How many replicas served at least: the last word on it.
fn serving(run: &RunStory) -> Option<&Serving> {
    let ended = run.finished.as_ref();
    let last = ended.and_then(|(finished, _)| finished.serving.as_ref());
    last.or(run.serving.as_ref())
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// What can be done about it now.
fn next(run: &RunStory, standing: Standing) -> Option<String> {
    match standing {
        Standing::Asking(question) => Some(help(&run.id, question)),
        Standing::Ownerless => Some(format!("`quarterdeck resume {}` takes it up", run.id.0)),
        Standing::Unconfirmed => Some("plan again: nobody said yes".to_owned()),
        Standing::Starting | Standing::UnderWay | Standing::Ended(_) => None,
    }
}

fn table(story: &Story, now: Timestamp) -> String {
    let mut out = String::new();
    for run in story.newest() {
        let standing = story.standing(run, now);
        let _ = writeln!(
            out,
            "{}  {:<18} {:<24} {:<10} {:>7}  {}{}",
            run.id.0,
            run.plan.runbook,
            run.plan.target.0,
            run.actor.user,
            Age(run.took(now)).to_string(),
            standing.word(),
            progress(run, standing),
        );
    }
    if out.is_empty() {
        out.push_str("no runs yet\n");
    }
    out
}

fn progress(run: &RunStory, standing: Standing) -> String {
    match (standing, run.last_step()) {
        (Standing::Ended(_) | Standing::Unconfirmed, _) | (_, None) => String::new(),
        (_, Some(step)) => format!(" at {step} of {}", run.plan.steps.len()),
    }
}

fn page(story: &Story, run: &RunStory, now: Timestamp) -> String {
    let standing = story.standing(run, now);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "run {}  {} on {}, asked for by {} at {}",
        run.id.0,
        run.plan.title,
        run.plan.target.0,
        run.actor.user,
        run.asked_at.date_minute()
    );
    let _ = writeln!(
        out,
        "{}{}, {}",
        standing.word(),
        progress(run, standing),
        Age(run.took(now))
    );
    if let Some(why) = &run.unsound {
        let _ = writeln!(out, "its journal does not fit together: {why}");
    }
    if let Some(holder) = story.holder(run) {
        let _ = writeln!(
            out,
            "driver {} holds {} since {}",
            holder.driver.0,
            run.plan.target.0,
            holder.since.clock()
        );
    }
    let ended = run.finished.as_ref().map(|(finished, _)| &finished.tap);
    let tap = ended.filter(|tap| !tap.is_null()).or(run.tap.as_ref());
    let line = tap.and_then(|tap| tap.get("line")?.as_str());
    match (line, serving(run)) {
        (Some(line), _) => {
            let _ = writeln!(out, "users' requests: {}", Clean::line(line));
        }
        (None, Some(serving)) => {
            let _ = writeln!(out, "{}", serving.line());
        }
        (None, None) => {}
    }
    if let Some(next) = next(run, standing) {
        let _ = writeln!(out, "next: {next}");
    }
    out.push('\n');
    for ((n, plan), record) in run.plan.steps.iter().enumerate().zip(run.state.steps()) {
        let _ = writeln!(
            out,
            "{:>4}  {:<12} {}  {}",
            n + 1,
            record.state.word(),
            plan.group,
            plan.title
        );
    }
    out.push('\n');
    let skip = run.lines.len().saturating_sub(LINES);
    for line in run.lines.iter().skip(skip) {
        out.push_str(&shown(line));
    }
    out
}
