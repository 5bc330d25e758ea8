//! The runs that the journal knows, for checks that ask when a drill was last held.

use std::sync::Arc;

use color_eyre::eyre::Result;

use super::cli::journal::address;
use crate::app::story::{RunStory, Story};
use crate::config::Config;
use crate::domain::{Clean, Fault, FaultKind};
use crate::engine::{Phase, Verdict};
use crate::journal::{Access, Address, Journal, Mode, Record, Seq, StoreError};
use crate::probe::check::{PastRun, PastRuns, Runs};

/// Entries read at once.
const PAGE: u32 = 500;

/// Asks the journal anew each time: a run that ends while a checklist is proven counts.
pub(super) fn past_runs(config: &Config, mode: Mode) -> Runs {
    let place = address(config).map_err(|error| Clean::line(&format!("{error:#}")));
    Arc::new(move |runbook| {
        let place = place.clone();
        Box::pin(async move {
            let place = place.map_err(|why| Fault::new(FaultKind::Misconfigured, why))?;
            let story = read(&place).await.map_err(|error| {
                let text = format!("the journal cannot be read: {error:#}");
                Fault::new(FaultKind::Broken, Clean::line(&text))
                    .remedy("see what is wrong with it: quarterdeck journal verify")
            })?;
            Ok(of(&story, &runbook, mode))
        })
    })
}

/// A journal that is not there yet knows of no run.
async fn read(place: &Address) -> Result<Story> {
    let mut story = Story::default();
    let journal = match Journal::open(place, Access::Read).await {
        Ok(journal) => journal,
        Err(StoreError::Absent { .. }) => return Ok(story),
        Err(error) => return Err(error.into()),
    };
    loop {
        let rows = journal.after(story.seq, PAGE).await?;
        let Some(last) = rows.last() else { break };
        let last = Seq(u64::try_from(last.seq).unwrap_or(u64::MAX));
        for record in rows.iter().filter_map(|row| row.record.as_ref().ok()) {
            if let Some(entry) = Record::entry(record) {
                story.take(&entry);
            }
        }
        story.seq = last;
    }
    journal.close().await;
    Ok(story)
}

fn of(story: &Story, runbook: &str, mode: Mode) -> PastRuns {
    let verdict = |run: &RunStory| match run.state.phase() {
        Phase::Ended(verdict) => Some(verdict),
        _ => None,
    };
    let ended: Vec<(&RunStory, Verdict)> = story
        .newest()
        .filter(|run| run.mode == mode && *run.plan.runbook == *runbook)
        .filter_map(|run| Some((run, verdict(run)?)))
        .collect();
    let newest = ended.iter().max_by_key(|(run, _)| run.last_at);
    let good = ended
        .iter()
        .filter(|(_, verdict)| *verdict == Verdict::Completed)
        .max_by_key(|(run, _)| run.last_at);
    PastRuns {
        good: good.map(|(run, _)| told(run)),
        last: newest
            .map(|(run, verdict)| (told(run), Clean::from(format!("ended: {}", verdict.word())))),
    }
}

fn told(run: &RunStory) -> PastRun {
    PastRun {
        id: run.id.0.clone(),
        ended_at: run.last_at,
        took_ms: u64::try_from(run.took(run.last_at).as_millis()).unwrap_or(u64::MAX),
    }
}
