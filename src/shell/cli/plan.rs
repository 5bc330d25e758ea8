//! `quarterdeck plan`: what a runbook would do here and now. Changes nothing, records nothing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr};

use super::journal::address;
use super::{Call, EXIT_UNREACHABLE, EXIT_USAGE, exit_of, put, say};
use crate::app::story::{Story, person};
use crate::config::Config;
use crate::domain::{Age, Clean};
use crate::engine::{Gate, Repeat, Undo};
use crate::journal::{Access, Journal, Seq};
use crate::probe::check::Verdict;
use crate::runbook::{Confirmation, Planned, Problem};
use crate::shell::clock::Clock;
use crate::shell::driver::Requester;
use crate::shell::identity::Identity;
use crate::shell::runbooks::shelf;
use crate::shell::scene::Sight;
use crate::shell::watches::engine_of;

/// `--detailed-exitcode`: the plan has steps.
const EXIT_CHANGES: u8 = 10;

/// Entries asked for at a time.
const PAGE: u32 = 500;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Name of the runbook; `quarterdeck runbook list` names them
    runbook: String,
    /// Its parameters
    #[arg(value_name = "NAME=VALUE", value_parser = answer)]
    answers: Vec<(String, String)>,
    /// The plan as JSON
    #[arg(long)]
    json: bool,
    /// Write the plan to a file, for `quarterdeck apply`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// End with 10 when there is something to do
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) fn answer(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as service=server".to_owned()),
    }
}

/// What is needed to ask for a run of a plan.
pub(super) struct Ready {
    pub(super) config: Config,
    pub(super) requester: Requester,
    pub(super) story: Story,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let runtime = crate::shell::collect::runtime()?;
    let made = runtime.block_on(make(call, &ask.runbook, &ask.answers));
    runtime.shutdown_background();
    let (_, planned) = match made? {
        Ok(made) => made,
        Err(code) => return Ok(code),
    };
    if let Some(path) = &ask.out {
        let text = serde_json::to_string_pretty(&planned)?;
        std::fs::write(path, text + "\n")
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    if ask.json {
        put(&(serde_json::to_string_pretty(&planned)? + "\n"))?;
    } else {
        put(&shown(&planned))?;
    }
    Ok(if ask.detailed_exitcode {
        ExitCode::from(EXIT_CHANGES)
    } else {
        ExitCode::SUCCESS
    })
}

/// Looks at the stack and plans. What is wrong is said, and its exit code returned.
pub(super) async fn make(
    call: &Call,
    runbook: &str,
    answers: &[(String, String)],
) -> Result<Result<(Ready, Planned), ExitCode>> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(Err(code)),
    };
    let shelf = shelf(&config)?;
    let book = match shelf.find(runbook) {
        Ok(book) => book,
        Err(why) => {
            say_problems(&shelf.problems);
            say(&why);
            return Ok(Err(ExitCode::from(EXIT_USAGE)));
        }
    };
    let answers: BTreeMap<String, String> = answers.iter().cloned().collect();
    let ready = match ready(call, config).await? {
        Ok(ready) => ready,
        Err(code) => return Ok(Err(code)),
    };
    let Ready {
        requester, story, ..
    } = &ready;
    let engine = engine_of(&ready.config);
    let sight = Sight::of(&ready.config, &engine, call.project.as_deref()).await;
    let clock = Clock::start();
    let seen = match sight {
        Ok(sight) => sight
            .scene(story, clock.now())
            .await
            .map(|scene| (sight, scene)),
        Err(fault) => Err(fault),
    };
    let (sight, scene) = match seen {
        Ok(seen) => seen,
        Err(fault) => {
            say(&fault.to_string());
            return Ok(Err(exit_of(&fault)));
        }
    };
    let by = person(&requester.identity.actor);
    let planned = sight.plan(&book.document, &answers, scene, by, clock).await;
    Ok(match planned {
        Ok(planned) => Ok((ready, planned)),
        Err(problems) => {
            say_problems(&problems);
            Err(ExitCode::from(EXIT_USAGE))
        }
    })
}

/// Who asks, and what ran before. A journal that is not there yet has nothing to tell.
pub(super) async fn ready(call: &Call, config: Config) -> Result<Result<Ready, ExitCode>> {
    let identity = Identity::look(&call.env);
    let engine = engine_of(&config);
    let mode = match Sight::of(&config, &engine, call.project.as_deref()).await {
        Ok(sight) => sight.mode(),
        Err(fault) => {
            say(&fault.to_string());
            return Ok(Err(ExitCode::from(EXIT_UNREACHABLE)));
        }
    };
    let address = address(&config)?;
    let story = match Journal::open(&address, Access::Read).await {
        Ok(journal) => {
            let mut story = Story::default();
            catch_up(&journal, &mut story).await?;
            journal.close().await;
            story
        }
        Err(crate::journal::StoreError::Absent { .. }) => Story::default(),
        Err(error) => return Err(error.into()),
    };
    let requester = Requester { identity, mode };
    Ok(Ok(Ready {
        config,
        requester,
        story,
    }))
}

/// Takes in whatever the journal has that the story has not; and who holds what now.
pub(in crate::shell) async fn catch_up(journal: &Journal, story: &mut Story) -> Result<()> {
    loop {
        let rows = journal.after(story.seq, PAGE).await?;
        let Some(last) = rows.last() else { break };
        let last = Seq(u64::try_from(last.seq).unwrap_or(u64::MAX));
        for record in rows.iter().filter_map(|row| row.record.as_ref().ok()) {
            if let Some(entry) = record.entry() {
                story.take(&entry);
            }
        }
        story.seq = last;
    }
    let tenures = journal.tenures().await?;
    let held = tenures
        .into_iter()
        .filter_map(|(target, tenure)| Some((target, tenure.holder()?.clone())));
    story.hold(held.collect());
    Ok(())
}

fn say_problems(problems: &[Problem]) {
    for problem in problems {
        // Its place, the line that is wrong and the remedy stand below each other.
        for line in problem.to_string().lines() {
            say(line);
        }
    }
}

/// The plan as a page.
pub(super) fn shown(planned: &Planned) -> String {
    let Planned { plan, brief } = planned;
    let mut out = String::new();
    let short: String = plan.id.0.chars().take(12).collect();
    let _ = writeln!(out, "{} on {}   plan {short}", plan.title, plan.target.0);
    list(&mut out, "what changes", &brief.changes);
    list(&mut out, "what does not change", &brief.unchanged);
    if let Some(floor) = &brief.floor {
        let _ = writeln!(
            out,
            "\nfloor: {} of {} {} serve at least, {} out at a time",
            floor.serving_min, floor.of, floor.service, floor.at_once
        );
    }
    list(&mut out, "if it goes wrong", &brief.worst_case);
    list(&mut out, "undo", &brief.undo);
    if let Some((ms, runs)) = brief.expected {
        let took = Age(std::time::Duration::from_millis(ms));
        let _ = writeln!(out, "\ntakes about {took}, as {runs} earlier runs did");
    }
    if !brief.checks.is_empty() {
        out.push_str("\nchecks\n");
    }
    for check in &brief.checks {
        let sign = match check.outcome.verdict {
            Verdict::Pass => "[ok]",
            Verdict::Fail => "[X]",
            Verdict::CouldNotRun => "[?]",
        };
        let _ = writeln!(out, "  {sign:<5}{}: {}", check.title, check.outcome.said);
    }
    list(&mut out, "notes", &brief.notes);
    out.push_str("\nsteps\n");
    let mut group = &Clean::default();
    for (n, step) in plan.steps.iter().enumerate() {
        if step.group != *group {
            group = &step.group;
            let _ = writeln!(out, "  {group}");
        }
        let mut marks = Vec::new();
        match step.gate {
            Gate::Open => {}
            Gate::Confirm => marks.push("asks first"),
            Gate::Approve => marks.push("a second person approves"),
        }
        if step.repeat == Repeat::Unsafe {
            marks.push("never repeated by itself");
        }
        if step.undo == Undo::None {
            marks.push("no undo");
        }
        let marks = if marks.is_empty() {
            String::new()
        } else {
            format!("   ({})", marks.join(", "))
        };
        let _ = writeln!(out, "  {:>4}  {}{marks}", n + 1, step.title);
    }
    let _ = writeln!(out, "\nto run it: --confirm={}", word(&brief.confirmation));
    out
}

/// What has to be typed.
pub(super) fn word(confirmation: &Confirmation) -> &str {
    match confirmation {
        Confirmation::Yes => "yes",
        Confirmation::Typed { word } | Confirmation::Approved { word } => word,
    }
}

fn list(out: &mut String, heading: &str, lines: &[Clean]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{heading}");
    for line in lines {
        let _ = writeln!(out, "  {line}");
    }
}
