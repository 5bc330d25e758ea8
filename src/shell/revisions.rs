//! What services ran before, and how that behaved: read from the runs of the journal.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::app::story::{RunStory, Story};
use crate::domain::{Clean, Timestamp};
use crate::engine::{Phase, Verdict as End};
use crate::journal::Mode;
use crate::probe::check::Verdict;
use crate::runbook::Revision;

/// Going back with this runbook says that what ran was not good.
const ROLLBACK: &str = "rollback";

/// What the first step of a kind saw before it replaced a container.
struct Replaced {
    old_image: Clean,
    image_id: Clean,
}

/// Every image that a finished run put under a service, newest first; last what ran before the first of them.
pub(super) fn revisions(story: &Story, mode: Mode) -> Vec<Revision> {
    let mut all: Vec<Revision> = Vec::new();
    let mut known = BTreeSet::new();
    let finished = story
        .newest()
        .rev()
        .filter(|run| run.mode == mode && run.state.phase() == Phase::Ended(End::Completed));
    for run in finished {
        let named = |name: &str| run.plan.parameters.get(&Clean::from(name)).cloned();
        let (Some(service), Some(image), Some(replaced)) =
            (named("service"), named("image"), replaced(run))
        else {
            continue;
        };
        if known.insert(service.clone()) {
            all.push(before(run, &service, &replaced));
        }
        if &*run.plan.runbook == ROLLBACK {
            let left = all.iter_mut().filter(|one| {
                one.service == service && one.image == replaced.old_image && one.image != image
            });
            for one in left {
                one.good = Some(false);
                one.said = Clean::line(&format!(
                    "{} went back to {image}; {}",
                    run.plan.requested_by.0, one.said
                ));
            }
        }
        all.push(Revision {
            service,
            image,
            image_id: replaced.image_id,
            at: ended_at(run),
            by: run.plan.requested_by.0.clone(),
            good: good(run),
            said: said(run),
        });
    }
    all.reverse();
    all
}

/// The run replaced at least one container.
fn replaced(run: &RunStory) -> Option<Replaced> {
    let steps = run.plan.steps.iter().zip(&run.steps);
    let mut replacing = steps.filter(|(step, _)| step.act["kind"] == "replace");
    replacing.find_map(|(_, story)| {
        let seen = story.before.as_ref()?;
        Some(Replaced {
            old_image: Clean::line(seen["old_image"].as_str()?),
            image_id: Clean::line(seen["image_id"].as_str()?),
        })
    })
}

/// What ran before the first run that the journal knows. It was good if it was found healthy when it was replaced.
fn before(run: &RunStory, service: &Clean, replaced: &Replaced) -> Revision {
    let checks = run.brief.as_ref().map(|brief| brief.checks.as_slice());
    let checks = checks.unwrap_or_default();
    let healthy = checks
        .iter()
        .all(|check| check.outcome.verdict == Verdict::Pass);
    let good = (!checks.is_empty()).then_some(healthy);
    let said = match good {
        Some(true) => "healthy when it was replaced",
        Some(false) => "not healthy when it was replaced",
        None => "nobody measured it",
    };
    Revision {
        service: service.clone(),
        image: replaced.old_image.clone(),
        image_id: Clean::default(),
        at: run.asked_at,
        by: Clean::from("before the first run"),
        good,
        said: Clean::from(said),
    }
}

fn ended_at(run: &RunStory) -> Timestamp {
    run.finished.as_ref().map_or(run.last_at, |(_, at)| *at)
}

fn tap(run: &RunStory) -> Option<&Value> {
    let (finished, _) = run.finished.as_ref()?;
    (!finished.tap.is_null()).then_some(&finished.tap)
}

/// No request failed while it was put there. Without a tap nobody knows.
fn good(run: &RunStory) -> Option<bool> {
    let failed = tap(run)?.get("failed")?.as_u64()?;
    Some(failed == 0)
}

/// `0 of 6214 failed, p95 38 ms`
fn said(run: &RunStory) -> Clean {
    let line = tap(run).and_then(|tap| tap.get("line")?.as_str());
    Clean::line(line.unwrap_or("nobody measured it"))
}
