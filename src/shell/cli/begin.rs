//! From a plan to a run: the word that confirms it, the lock, the entries, the driver. For `run` and `apply`.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr};

use super::follow::{EXIT_NEEDS_A_PERSON, follow};
use super::journal::address;
use super::plan::{Ready, catch_up, shown, word};
use super::{Call, EXIT_CANNOT_CREATE, EXIT_USAGE, put, say};
use crate::domain::Clean;
use crate::engine::{Held, Phase};
use crate::journal::{Access, Code, Journal, StoreError};
use crate::probe::check::Verdict;
use crate::runbook::{Confirmation, Planned};
use crate::shell::driver::spawn_driver;

/// `EX_TEMPFAIL`: another run holds the target.
pub(super) const EXIT_HELD: u8 = 75;

/// A word that is typed is a name.
const WORD_BYTES_MAX: u64 = 4096;

#[derive(Debug, Args)]
pub(super) struct Consent {
    /// The word that the plan asks for: what is about to be changed
    #[arg(long, value_name = "WORD")]
    confirm: Option<String>,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Start it although a check before it has not passed; why, for the journal
    #[arg(long, value_name = "REASON")]
    despite_checks: Option<String>,
    /// Start it and do not wait
    #[arg(long)]
    detach: bool,
}

/// Asks for the run, says yes to it, and starts its driver.
pub(super) async fn begin(
    call: &Call,
    mut ready: Ready,
    planned: &Planned,
    consent: &Consent,
) -> Result<ExitCode> {
    let failed = not_passed(planned);
    if !failed.is_empty() && consent.despite_checks.is_none() {
        let why = format!("a check before the run has not passed: {failed}");
        say(&format!(
            "nothing was done: {why}; see to it, or say why it is to go on nevertheless: --despite-checks=REASON"
        ));
        let journal = match open(&ready).await? {
            Ok(journal) => journal,
            Err(code) => return Ok(code),
        };
        refuse(&journal, &ready, planned, &why).await?;
        return Ok(ExitCode::from(EXIT_NEEDS_A_PERSON));
    }
    if let Some(code) = confirmed(planned, consent)? {
        return Ok(code);
    }
    let journal = match open(&ready).await? {
        Ok(journal) => journal,
        Err(code) => return Ok(code),
    };
    catch_up(&journal, &mut ready.story).await?;
    if let Some(held) = held(&journal, &ready, planned).await? {
        say(&format!("{} is {held}", planned.plan.target.0));
        refuse(&journal, &ready, planned, &held.to_string()).await?;
        return Ok(ExitCode::from(EXIT_HELD));
    }
    let (run, asked) = ready.requester.request(&journal, planned).await?;
    let reason = reason(consent, &failed);
    let plan = &planned.plan.id;
    ready
        .requester
        .decide(&journal, Code::DecisionConfirm, &run, plan, None, &reason)
        .await?;
    spawn_driver(&ready.config, call.project.as_deref(), &run, asked.seq)
        .wrap_err("cannot start the driver; `quarterdeck resume` tries again")?;
    if consent.detach {
        journal.close().await;
        put(&format!("{}\n", run.0))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("run {}", run.0));
    follow(journal, ready.story, &run, asked.seq).await
}

/// The checks before the run that have not passed, in their own words.
fn not_passed(planned: &Planned) -> String {
    let checks = planned.brief.checks.iter();
    let failed = checks.filter(|check| check.outcome.verdict != Verdict::Pass);
    let said = failed.map(|check| format!("{}: {}", check.title, check.outcome.said));
    said.collect::<Vec<_>>().join("; ")
}

/// What the journal says of the yes.
fn reason(consent: &Consent, failed: &str) -> Clean {
    let mut said = vec![consent.reason.clone()];
    if let Some(despite) = consent
        .despite_checks
        .as_ref()
        .filter(|_| !failed.is_empty())
    {
        said.push(format!("despite checks ({failed}): {despite}"));
    }
    said.retain(|part| !part.is_empty());
    Clean::line(&said.join("; "))
}

/// `None`: the person has said yes.
fn confirmed(planned: &Planned, consent: &Consent) -> Result<Option<ExitCode>> {
    let wanted = word(&planned.brief.confirmation);
    let given = match &consent.confirm {
        Some(word) => word.clone(),
        None if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() => {
            put(&shown(planned))?;
            ask(&planned.brief.confirmation)?
        }
        None => {
            say(&format!(
                "nothing was done: confirm it with --confirm={wanted}"
            ));
            return Ok(Some(ExitCode::from(EXIT_USAGE)));
        }
    };
    if given == wanted {
        return Ok(None);
    }
    say(&format!(
        "nothing was done: this plan is confirmed with `{wanted}`"
    ));
    Ok(Some(ExitCode::from(EXIT_USAGE)))
}

/// Whatever is not the word means no.
fn ask(confirmation: &Confirmation) -> Result<String> {
    let prompt = match confirmation {
        Confirmation::Yes => "go on? [y/N] ".to_owned(),
        Confirmation::Typed { word } | Confirmation::Approved { word } => {
            format!("type {word} to begin, anything else to leave: ")
        }
    };
    let mut out = std::io::stderr().lock();
    out.write_all(prompt.as_bytes())?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .take(WORD_BYTES_MAX)
        .read_line(&mut line)
        .wrap_err("cannot read the answer")?;
    let line = line.trim();
    let yes = *confirmation == Confirmation::Yes && matches!(line, "y" | "Y" | "yes");
    Ok(if yes {
        "yes".to_owned()
    } else {
        line.to_owned()
    })
}

/// The journal, with room for a run. Without it nothing is begun.
pub(super) async fn open(ready: &Ready) -> Result<Result<Journal, ExitCode>> {
    let opened = Journal::open(&address(&ready.config)?, Access::Write).await;
    let fit = opened.and_then(|journal| journal.preflight().map(|()| journal));
    Ok(opened_or_said(fit))
}

/// The journal, for a word to a run that is on: stopping must not want for room.
pub(super) async fn open_for_a_word(ready: &Ready) -> Result<Result<Journal, ExitCode>> {
    let opened = Journal::open(&address(&ready.config)?, Access::Write).await;
    Ok(opened_or_said(opened))
}

fn opened_or_said(opened: Result<Journal, StoreError>) -> Result<Journal, ExitCode> {
    match opened {
        Ok(journal) => {
            for notice in journal.notices() {
                say(&notice.to_string());
            }
            Ok(journal)
        }
        Err(error) => {
            let code = match error {
                StoreError::Locked { .. } => EXIT_HELD,
                _ => EXIT_CANNOT_CREATE,
            };
            eprintln!("{}", crate::shell::sanitised(&error.into()));
            Err(ExitCode::from(code))
        }
    }
}

/// Who has the target, unless their run has ended.
async fn held(journal: &Journal, ready: &Ready, planned: &Planned) -> Result<Option<Held>> {
    let tenure = journal.tenure(&planned.plan.target).await?;
    let Some(holder) = tenure.holder() else {
        return Ok(None);
    };
    let run = ready.story.get(&holder.run);
    let over = run.is_some_and(|run| matches!(run.state.phase(), Phase::Ended(_)));
    Ok((!over).then(|| Held(holder.clone())))
}

/// What was asked for and not done is on record too.
async fn refuse(journal: &Journal, ready: &Ready, planned: &Planned, why: &str) -> Result<()> {
    ready.requester.refused(journal, &planned.plan, why).await?;
    Ok(())
}
