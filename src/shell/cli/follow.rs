//! A run as it goes, a line for each thing that happens, until it ends or nobody here can help it on.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr};
use tokio::signal::unix::{SignalKind, signal};

use super::plan::catch_up;
use super::{put, say};
use crate::app::story::{Line, RunStory, Standing, Story, Weight};
use crate::domain::{Clean, Timestamp};
use crate::engine::{Gate, Question, RunId, Verdict};
use crate::journal::{Journal, Seq};
use crate::shell::clock::Clock;

pub(super) const EXIT_APPROVAL_NEEDED: u8 = 11;
pub(super) const EXIT_PUT_BACK: u8 = 12;
pub(super) const EXIT_NEEDS_A_PERSON: u8 = 13;
pub(super) const EXIT_ABORTED: u8 = 14;
pub(super) const EXIT_INTERRUPTED: u8 = 130;

/// A follower looks at least this often: leases change without an entry.
const LOOK_AT_LEAST: Duration = Duration::from_secs(1);

/// How long a run may be without a driver before that is said: a driver that journals again is back by then.
const OWNERLESS_FOR: Duration = Duration::from_secs(5);

/// Follows a run to its end. An interrupt leaves it alone and says how to come back.
/// Lines up to `told` are known already.
pub(super) async fn follow(
    journal: Journal,
    story: Story,
    run: &RunId,
    told: Seq,
) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).wrap_err("cannot listen for signals")?;
    let code = tokio::select! {
        code = watch(&journal, story, run, told) => code?,
        _ = interrupt.recv() => {
            say(&format!(
                "detached, the run goes on; `quarterdeck runs {0}` shows it, `quarterdeck abort {0}` ends it",
                run.0
            ));
            EXIT_INTERRUPTED
        }
    };
    journal.close().await;
    Ok(ExitCode::from(code))
}

async fn watch(journal: &Journal, mut story: Story, run: &RunId, mut told: Seq) -> Result<u8> {
    let clock = Clock::start();
    let mut news = journal.follow().await?;
    let mut asked = None;
    let mut ownerless_since: Option<Timestamp> = None;
    let somebody = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    loop {
        catch_up(journal, &mut story).await?;
        let Some(one) = story.get(run) else {
            news.news(LOOK_AT_LEAST).await?;
            continue;
        };
        for line in one.lines.iter().filter(|line| line.seq > told) {
            put(&shown(line))?;
        }
        told = story.seq;
        let now = clock.now();
        let standing = story.standing(one, now);
        match standing {
            Standing::Ended(verdict) if one.finished.is_some() || story.holder(one).is_none() => {
                put(&summary(one))?;
                return Ok(exit_of(verdict));
            }
            Standing::Asking(question) => {
                if asked.replace(question) != Some(question) {
                    say(&help(run, question));
                }
                if !somebody {
                    return Ok(exit_when_asked(question));
                }
            }
            Standing::Ownerless => {
                let since = *ownerless_since.get_or_insert(now);
                if now.since(since) >= OWNERLESS_FOR {
                    say(&format!(
                        "nobody drives the run; `quarterdeck resume {}` takes it up where it is",
                        run.0
                    ));
                    return Ok(EXIT_NEEDS_A_PERSON);
                }
            }
            Standing::Ended(_) | Standing::Unconfirmed | Standing::Starting => {}
            Standing::UnderWay => asked = None,
        }
        if standing != Standing::Ownerless {
            ownerless_since = None;
        }
        if let Some(refused) = refused_to_start(one) {
            say(&format!("the run was not begun: {refused}"));
            return Ok(EXIT_NEEDS_A_PERSON);
        }
        news.news(LOOK_AT_LEAST).await?;
    }
}

/// A driver that could not begin has said why, and gone.
fn refused_to_start(run: &RunStory) -> Option<&Clean> {
    let begun = run.driver.is_some();
    let line = run.lines.back().filter(|line| line.weight == Weight::Loud);
    line.filter(|_| !begun).map(|line| &line.text)
}

/// `03:15:02Z  step 4  server-2: restarted, healthy after 3.1 s`
pub(super) fn shown(line: &Line) -> String {
    let sign = match line.weight {
        Weight::Quiet => "   ",
        Weight::Notable => "[~]",
        Weight::Loud => "[!]",
    };
    let step = line.step.map_or(String::new(), |step| step.to_string());
    format!("{}  {sign} {step:<8} {}\n", line.at.clock(), line.text)
}

/// How it ended, with what users noticed of it.
fn summary(run: &RunStory) -> String {
    let verdict = run.finished.as_ref().map(|(finished, _)| finished);
    let requests = verdict.and_then(|finished| finished.tap.get("line")?.as_str());
    let serving = verdict.and_then(|finished| finished.serving.as_ref());
    let users = match (requests, serving) {
        (Some(line), _) => format!("; users' requests: {line}"),
        (None, Some(serving)) => format!("; {}", serving.line()),
        (None, None) => String::new(),
    };
    let word = verdict.map_or("ended", |finished| finished.verdict.word());
    let took = crate::domain::Age(run.took(run.last_at));
    format!("run {} {word} in {took}{}\n", run.id.0, Clean::line(&users))
}

pub(super) fn exit_of(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Completed => 0,
        Verdict::Unwound => EXIT_PUT_BACK,
        Verdict::Stopped | Verdict::Stuck => EXIT_NEEDS_A_PERSON,
        Verdict::Aborted => EXIT_ABORTED,
    }
}

fn exit_when_asked(question: Question) -> u8 {
    match question {
        Question::Open { .. } => EXIT_APPROVAL_NEEDED,
        Question::Failed { .. } | Question::Doubt { .. } | Question::Resume => EXIT_NEEDS_A_PERSON,
    }
}

/// What a person can do about it.
pub(super) fn help(run: &RunId, question: Question) -> String {
    let run = &run.0;
    match question {
        Question::Open {
            step,
            gate: Gate::Approve,
        } => format!("{step} waits for a second person: `quarterdeck approve {run}`"),
        Question::Open { step, .. } => {
            format!("{step} waits for a yes: `quarterdeck confirm {run}`")
        }
        Question::Doubt { step } => format!(
            "nobody knows whether {step} happened; look, then `quarterdeck answer {run} happened` or `did-not-happen`, else `retry`, `skip`, `undo` or `abort`"
        ),
        Question::Failed { step } => {
            format!("{step} needs a person: `quarterdeck retry {run}`, `skip`, `undo` or `abort`")
        }
        Question::Resume => format!("it is paused: `quarterdeck resume {run}`, `undo` or `abort`"),
    }
}
