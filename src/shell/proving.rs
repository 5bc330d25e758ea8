//! Makes the checks of a checklist's items: a few at a time, those with load of their own last and alone.
//!
//! A check that is asked for several items is made once. What it saw is evidence of each of them, and goes into the
//! journal before anybody is told: an outcome that is not on record proves nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};

use crate::app::last_good;
use crate::app::story::Story;
use crate::checklist::{Asked, Checklist, Drill, Item, ItemId, Problem, Proof, What};
use crate::domain::{Age, Clean, Outcome, Timestamp, Verdict};
use crate::journal::{Code, Draft, Head, Journal, Mode, StoreError, Unfit};
use crate::probe::check::{Check, Eyes};

use super::clock::Clock;
use super::driver::Requester;

/// Checks at the same time: enough to be quick, too few to be felt by what is looked at.
const CONCURRENCY: usize = 8;
/// A check ends by itself; this is for one whose own deadline is broken.
const CHECK_LIMIT: Duration = Duration::from_mins(20);

/// One thing to look at, and the items it is asked for.
#[derive(Debug, Clone)]
pub(super) struct Job {
    asked: Asked,
    items: Vec<ItemId>,
}

/// What the checks look with.
pub(super) struct Looker<'a> {
    pub(super) eyes: &'a Eyes,
    pub(super) story: &'a Story,
    pub(super) mode: Mode,
    pub(super) clock: Clock,
}

/// The checks of a page, or of some items of it, each once.
pub(super) fn jobs(list: &Checklist, only: &[ItemId]) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let wanted = list
        .items()
        .filter(|(_, item)| only.is_empty() || only.contains(&item.id));
    for (_, item) in wanted {
        for asked in &item.demand.asked {
            if let Some(at) = known.get(asked.hash.as_str()) {
                let items = &mut jobs[*at].items;
                if !items.contains(&item.id) {
                    items.push(item.id.clone());
                }
                continue;
            }
            known.insert(&asked.hash, jobs.len());
            jobs.push(Job {
                asked: asked.clone(),
                items: vec![item.id.clone()],
            });
        }
    }
    jobs
}

/// What is wrong with a page's accepted checks, whatever they may see: every problem, in the order of the page.
pub(super) fn problems(list: &Checklist) -> Vec<Problem> {
    let mut all = list.problems.clone();
    for (_, item) in list.items() {
        for asked in &item.demand.asked {
            let What::Check(check) = &asked.what else {
                continue;
            };
            let wrong = match serde_json::from_value::<Check>(check.clone()) {
                Ok(check) => check.problems(),
                Err(error) => vec![Clean::line(&error.to_string())],
            };
            all.extend(wrong.into_iter().map(|text| Problem {
                line: asked.line,
                text: Clean::line(&format!("{}: {text}", item.id)),
                remedy: Clean::line(
                    "mend the check; until then it could not run, and the others do",
                ),
            }));
        }
    }
    all.sort_by_key(|problem| problem.line);
    all
}

/// A check that was made.
pub(super) struct Made {
    pub(super) job: Job,
    /// What was asked, in a line.
    pub(super) line: Clean,
    pub(super) outcome: Outcome,
}

/// Makes all of them and hands on each as it ends. Dropping it stops everything.
pub(super) fn look<'a>(
    looker: &'a Looker<'a>,
    jobs: Vec<Job>,
) -> impl Stream<Item = Made> + Send + 'a {
    let (alone, together): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|job| job.asked.is_alone());
    let make = move |job: Job| async move {
        let (line, outcome) = looker.make(&job.asked).await;
        Made { job, line, outcome }
    };
    let together = stream::iter(together).map(make);
    let alone = stream::iter(alone).map(make);
    together
        .buffer_unordered(CONCURRENCY)
        .chain(alone.buffer_unordered(1))
}

impl Looker<'_> {
    /// Makes one check; with it what it was, in a line.
    async fn make(&self, asked: &Asked) -> (Clean, Outcome) {
        let now = self.clock.now();
        match &asked.what {
            What::Drill(drill) => (drill_line(drill), self.drill(drill, now)),
            What::Check(check) => match serde_json::from_value::<Check>(check.clone()) {
                Err(error) => {
                    let said = format!("the check in line {} cannot be read: {error}", asked.line);
                    (asked.kind.clone(), blind(check, &said, now))
                }
                Ok(read) => {
                    let line = read.describe();
                    let made = tokio::time::timeout(CHECK_LIMIT, read.run(self.eyes, now)).await;
                    let outcome = made.unwrap_or_else(|_| {
                        blind(check, &format!("no end within {CHECK_LIMIT:?}"), now)
                    });
                    (line, outcome)
                }
            },
        }
    }

    /// The last good run of a runbook, as it stands in the journal.
    fn drill(&self, drill: &Drill, now: Timestamp) -> Outcome {
        let sent = json!({ "journal": "last good run", "runbook": drill.runbook });
        let Some(run) = last_good(self.story, drill, self.mode) else {
            let said = format!(
                "no run of {} ended well yet; `quarterdeck run {}` plans one",
                drill.runbook, drill.runbook
            );
            return Outcome {
                verdict: Verdict::Fail,
                said: Clean::line(&said),
                evidence: json!({ "sent": sent, "got": Value::Null }),
                at: now,
                took_ms: 0,
            };
        };
        let took = run.took(run.last_at);
        let said = format!(
            "run {} of {} ended well {} ago and took {}",
            run.id.0,
            drill.runbook,
            Age(now.since(run.last_at)),
            Age(took)
        );
        let got = json!({
            "run": run.id,
            "plan": run.plan.id,
            "asked_at": run.asked_at,
            "ended_at": run.last_at,
        });
        Outcome {
            verdict: Verdict::Pass,
            said: Clean::line(&said),
            evidence: json!({ "sent": sent, "got": got }),
            // It proves what was so when the run ended, and ages from then on.
            at: run.last_at,
            took_ms: 0,
        }
    }
}

fn drill_line(drill: &Drill) -> Clean {
    Clean::line(&format!("{} has been run", drill.runbook))
}

fn blind(check: &Value, said: &str, at: Timestamp) -> Outcome {
    Outcome {
        verdict: Verdict::CouldNotRun,
        said: Clean::line(said),
        evidence: json!({ "sent": check, "got": Value::Null, "fault": { "text": Clean::line(said) } }),
        at,
        took_ms: 0,
    }
}

/// Puts an outcome on record as evidence of every item that it was asked for.
pub(super) async fn record(
    journal: &Journal,
    requester: &Requester,
    list: &Checklist,
    made: &Made,
) -> Result<(), StoreError> {
    let Made { job, line, outcome } = made;
    for id in &job.items {
        let Some((_, item)) = list.find_id(&id.0) else {
            continue;
        };
        let proof = Proof::of(list, item, &job.asked, line.clone(), outcome.clone());
        match append(journal, requester, item, &proof).await {
            // An entry has its bounds; what does not fit is named by its hash.
            Err(StoreError::Unfit(Unfit::Body { .. })) => {
                append(journal, requester, item, &proof.without_evidence()).await?;
            }
            done => {
                done?;
            }
        }
    }
    Ok(())
}

async fn append(
    journal: &Journal,
    requester: &Requester,
    item: &Item,
    proof: &Proof,
) -> Result<Head, StoreError> {
    let draft = Draft {
        moment: requester.identity.moment(),
        actor: requester.identity.actor.clone(),
        mode: requester.mode,
        code: Code::Evidence,
        target: Clean::line(&format!("{}/{}", proof.list, item.id)),
        body: serde_json::to_value(proof).unwrap_or_default(),
    };
    journal.append(&draft).await
}

impl Job {
    /// Whether both ask the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.asked.hash == other.asked.hash
    }

    pub(super) fn items(&self) -> &[ItemId] {
        &self.items
    }
}
