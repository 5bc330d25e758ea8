//! Restores that were rehearsed with success, as the journal knows them: read again and again while watches run.

use std::collections::BTreeMap;
use std::time::Duration;

use color_eyre::eyre::Result;
use tokio::sync::watch;
use tokio::time::sleep;

use super::cli::plan::catch_up;
use crate::app::story::{RunStory, Story};
use crate::config::Config;
use crate::domain::{Clean, Environment, Proven, Stack};
use crate::engine::{Phase, Verdict};
use crate::journal::{Access, Address, Journal, Mode, StoreError};
use crate::probe::check;

/// The runbook whose end is a proof.
const REHEARSAL: &str = "restore-rehearsal";

/// How its runs call what they hold: `rehearsal/app`.
const TARGET: &str = "rehearsal/";

/// A rehearsal takes minutes; seconds later is soon enough.
const EVERY: Duration = Duration::from_secs(15);

/// `None`: the journal has not been read.
pub(super) type Known = Option<BTreeMap<Clean, Proven>>;

/// Where the journal is; `None` where there is none to be had, and then nobody can tell.
pub(super) fn place(config: &Config) -> Option<Address> {
    super::cli::journal_address(config).ok()
}

/// Reads for ever. Where it cannot, what is known stays as it is.
pub(super) async fn follow(address: Address, mode: Mode, known: watch::Sender<Known>) {
    let mut story = Story::default();
    loop {
        match read(&address, &mut story).await {
            Ok(()) => {
                known.send_replace(Some(proofs(&story, mode)));
            }
            Err(error) => tracing::warn!("whether backups were restored is not known: {error}"),
        }
        sleep(EVERY).await;
    }
}

/// In which world the runs of a stack are.
pub(super) fn mode(stack: &Stack) -> Mode {
    match stack.environment {
        Environment::Training => Mode::Training,
        Environment::Production
        | Environment::Staging
        | Environment::Development
        | Environment::Other(_) => Mode::Live,
    }
}

async fn read(address: &Address, story: &mut Story) -> Result<()> {
    match Journal::open(address, Access::Read).await {
        Ok(journal) => {
            let read = catch_up(&journal, story).await;
            journal.close().await;
            read
        }
        // Nothing ever ran.
        Err(StoreError::Absent { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The last of each target.
fn proofs(story: &Story, mode: Mode) -> BTreeMap<Clean, Proven> {
    let mut proofs = BTreeMap::new();
    for run in story.newest().filter(|run| run.mode == mode) {
        if let Some((target, proven)) = proof(run) {
            proofs.entry(target).or_insert(proven);
        }
    }
    proofs
}

/// A run that ended well proves nothing unless a step measured the restore and found it right.
fn proof(run: &RunStory) -> Option<(Clean, Proven)> {
    let ended = run.state.phase() == Phase::Ended(Verdict::Completed);
    if !ended || run.plan.runbook != *REHEARSAL {
        return None;
    }
    let target = run.plan.target.0.strip_prefix(TARGET)?;
    let measured = run.steps.iter().find_map(|step| {
        let outcome = step.outcome.as_ref()?;
        let rto_ms = outcome.evidence.get("rto_ms")?.as_u64()?;
        (outcome.verdict == check::Verdict::Pass).then_some(Proven {
            at: outcome.at,
            rto_ms,
        })
    });
    Some((Clean::line(target), measured?))
}
