//! What is shown beside the steps of a plan: what changes and what does not, the worst case, the way back.

use std::collections::BTreeSet;

use super::document::Document;
use super::floor::Lowest;
use super::plan::{Wanted, one_way_steps, unsafe_steps};
use super::planned::{Attached, Brief, Confirmation, Precheck, Risk};
use super::planning::Draft;
use super::scene::{Scene, is_well};
use crate::domain::{Age, CheckState, Clean, Container, ContainerState};
use crate::engine::{OnFailure, Plan};
use crate::probe::check::{Outcome, Verdict};
use crate::step::Step;

/// What a brief is made from.
pub(super) struct Ground<'a> {
    pub(super) document: &'a Document,
    pub(super) scene: &'a Scene,
    pub(super) plan: &'a Plan,
    pub(super) drafts: &'a [Draft],
    pub(super) floor: Option<Lowest>,
    pub(super) attached: &'a Attached,
    pub(super) wanted: &'a [Wanted],
    /// The name that is typed to confirm.
    pub(super) word: Clean,
}

pub(super) fn brief(ground: &Ground<'_>) -> Brief {
    let word = ground.word.clone();
    Brief {
        made_at: ground.scene.at,
        changes: changes(ground),
        unchanged: unchanged(ground),
        floor: ground.floor.as_ref().map(|lowest| lowest.floor.clone()),
        worst_case: worst_case(ground),
        undo: undo(ground.plan),
        expected: expected(ground),
        checks: checks(ground),
        confirmation: match ground.document.risk {
            Risk::Low => Confirmation::Yes,
            Risk::Users => Confirmation::Typed { word },
            Risk::Destructive if !ground.scene.second_person => Confirmation::Typed { word },
            Risk::Destructive | Risk::Data => Confirmation::Approved { word },
        },
        notes: notes(ground),
    }
}

fn lines<T: Into<String>>(lines: impl IntoIterator<Item = T>) -> Vec<Clean> {
    lines
        .into_iter()
        .map(|line| Clean::from(line.into()))
        .collect()
}

/// Does it leave something other than it was, or only look and wait?
fn changes_something(step: &Step) -> bool {
    match step {
        Step::Restart(_)
        | Step::Stop(_)
        | Step::Start(_)
        | Step::Replace(_)
        | Step::Retire(_)
        | Step::Scale(_)
        | Step::Exec(_)
        | Step::Command(_)
        | Step::Http(_)
        | Step::Reload(_)
        | Step::Switch(_)
        | Step::Notify(_)
        | Step::Rehearse(_)
        | Step::RestoreBeside(_)
        | Step::CopyBeside(_)
        | Step::SwapDatabase(_)
        | Step::Persistence(_)
        | Step::Backup(_)
        | Step::BackupCopy(_)
        | Step::BackupPrune(_) => true,
        // Out of the gateway and back is how, not what; a drain that stays is said as a note.
        Step::Drain(_)
        | Step::Undrain(_)
        | Step::Wait(_)
        | Step::Healthy(_)
        | Step::Check(_)
        | Step::VerifyBeside(_)
        | Step::CompareLive(_)
        | Step::Answers(_) => false,
    }
}

fn touched<'s>(draft: &Draft, scene: &'s Scene) -> Option<&'s Container> {
    draft.touches().and_then(|name| scene.container(name))
}

fn changes(ground: &Ground<'_>) -> Vec<Clean> {
    let mut sick_said = BTreeSet::new();
    let changing = ground
        .drafts
        .iter()
        .filter(|draft| changes_something(&draft.step));
    changing
        .map(|draft| match touched(draft, ground.scene) {
            Some(container) if !is_well(container) && sick_said.insert(container.replica()) => {
                Clean::from(format!("{} ({})", draft.title, ailment(container)))
            }
            _ => draft.title.clone(),
        })
        .collect()
}

/// How a replica that is not well is, in a word.
fn ailment(container: &Container) -> String {
    match (&container.state, container.check) {
        (ContainerState::Running, CheckState::Unhealthy) => "unhealthy".to_owned(),
        (ContainerState::Running, CheckState::Starting) => "still starting".to_owned(),
        (state, _) => state.word().to_owned(),
    }
}

fn unchanged(ground: &Ground<'_>) -> Vec<Clean> {
    let scene = ground.scene;
    let mut services = BTreeSet::new();
    let mut images = BTreeSet::new();
    let mut tied = true;
    let mut replaced = false;
    let mut databases = false;
    for draft in ground.drafts {
        if let Some(container) = touched(draft, scene) {
            services.insert(container.service.clone());
            images.insert(container.image.name.clone());
        }
        match &draft.step {
            Step::Exec(_) | Step::Command(_) | Step::Http(_) => tied = false,
            Step::Replace(_) => replaced = true,
            Step::Scale(scale) => {
                services.insert(scale.service.clone());
            }
            Step::Reload(reload) => {
                services.insert(reload.service.clone());
            }
            Step::Switch(_) => services.extend(scene.gateway.service.clone()),
            Step::RestoreBeside(_) | Step::CopyBeside(_) | Step::SwapDatabase(_) => {
                databases = true;
            }
            _ => {}
        }
    }
    let mut said = Vec::new();
    if !replaced && !images.is_empty() {
        said.push(format!("images stay: {}", listed(&images)));
    }
    // What a command of the runbook does, nobody here knows.
    if tied {
        let others: BTreeSet<Clean> = scene
            .service_names()
            .into_iter()
            .filter(|name| !services.contains(*name))
            .cloned()
            .collect();
        if !others.is_empty() {
            said.push(format!("not touched: {}", listed(&others)));
        }
        said.push(if databases {
            "no container, volume or network is replaced".to_owned()
        } else {
            "volumes and networks stay as they are".to_owned()
        });
    }
    lines(said)
}

fn listed(names: &BTreeSet<Clean>) -> String {
    let names: Vec<&str> = names.iter().map(Clean::as_str).collect();
    names.join(", ")
}

fn worst_case(ground: &Ground<'_>) -> Vec<Clean> {
    let mut said = Vec::new();
    if let Some(Lowest { floor, worst, .. }) = &ground.floor {
        said.push(format!(
            "{worst} of {} replicas of {} go on serving; the floor is {}",
            floor.of, floor.service, floor.serving_min
        ));
    }
    said.push(match ground.plan.on_failure {
        OnFailure::Stop => {
            "a step that fails holds the run there: what is out stays out until a person decides"
                .to_owned()
        }
        OnFailure::Undo => {
            "a step that fails puts back all that was begun, in reverse order".to_owned()
        }
    });
    let then = match ground.attached.on_guard {
        OnFailure::Stop => "stop the run",
        OnFailure::Undo => "put everything back",
    };
    if let Some(tap) = &ground.attached.tap {
        said.push(format!(
            "{} requests a second to {}: more than {} failed {then}",
            tap.rate, tap.url, tap.failures_max
        ));
    }
    for guard in &ground.attached.guards {
        said.push(format!(
            "watched every {}: {}; {} failures in a row {then}",
            Age(guard.every),
            guard.title,
            guard.in_a_row
        ));
    }
    for step in unsafe_steps(ground.plan) {
        said.push(format!(
            "after a crash in the middle of \"{}\" a person has to say whether it happened",
            step.title
        ));
    }
    lines(said)
}

fn undo(plan: &Plan) -> Vec<Clean> {
    let one_way: BTreeSet<&Clean> = one_way_steps(plan).map(|step| &step.title).collect();
    let all = plan.steps.len();
    if one_way.is_empty() {
        return lines([format!("all {all} steps can be put back, in reverse order")]);
    }
    let back = all - one_way_steps(plan).count();
    let mut said = vec![format!(
        "{back} of {all} steps can be put back, in reverse order"
    )];
    said.extend(
        one_way
            .iter()
            .map(|title| format!("no way back from: {title}")),
    );
    lines(said)
}

/// The middle of what earlier runs took, and how many there were.
fn expected(ground: &Ground<'_>) -> Option<(u64, u32)> {
    let plan = ground.plan;
    let mut took: Vec<u64> = ground
        .scene
        .earlier
        .iter()
        .filter(|run| run.runbook == plan.runbook && run.target == plan.target)
        .map(|run| run.took_ms)
        .collect();
    took.sort_unstable();
    let middle = took.len() / 2;
    let median = match took.len() % 2 {
        1 => took[middle],
        _ => {
            let below = *took.get(middle.checked_sub(1)?)?;
            below.midpoint(took[middle])
        }
    };
    Some((median, u32::try_from(took.len()).unwrap_or(u32::MAX)))
}

fn checks(ground: &Ground<'_>) -> Vec<Precheck> {
    let precheck = |wanted: &Wanted| Precheck {
        title: wanted.title.clone(),
        outcome: ground
            .scene
            .prechecks
            .get(&wanted.block)
            .cloned()
            .unwrap_or_else(|| Outcome {
                verdict: Verdict::CouldNotRun,
                said: Clean::from("nobody looked"),
                evidence: serde_json::Value::Null,
                at: ground.scene.at,
                took_ms: 0,
            }),
    };
    ground.wanted.iter().map(precheck).collect()
}

fn notes(ground: &Ground<'_>) -> Vec<Clean> {
    let mut said = Vec::new();
    let mut seen = BTreeSet::new();
    for container in ground
        .drafts
        .iter()
        .filter_map(|draft| touched(draft, ground.scene))
    {
        if !is_well(container) && seen.insert(container.replica()) {
            said.push(format!(
                "{} is {} already",
                container.replica(),
                ailment(container)
            ));
        }
    }
    if let Some(Lowest { floor, well, .. }) = &ground.floor
        && *well < floor.serving_min
    {
        said.push(format!(
            "{well} of {} replicas of {} serve now, which is below the floor of {} before anything is done",
            floor.of, floor.service, floor.serving_min
        ));
    }
    if ground.document.tap.is_some() && ground.attached.tap.is_none() {
        said.push(
            "nobody counts the users' requests in this run: [gateway] url is not configured"
                .to_owned(),
        );
    }
    said.extend(stays_out(ground));
    let mut replaced = BTreeSet::new();
    for draft in ground.drafts {
        if matches!(draft.step, Step::Replace(_))
            && let Some(container) = touched(draft, ground.scene)
            && replaced.insert(container.service.clone())
        {
            let drifted = ground.scene.drifted(&container.service);
            said.extend(drifted.map(|text| text.to_string()));
        }
    }
    lines(said)
}

/// Replicas that the plan takes out of the gateway for good.
fn stays_out(ground: &Ground<'_>) -> Vec<String> {
    let mut out: Vec<Clean> = Vec::new();
    for draft in ground.drafts {
        let Some(container) = touched(draft, ground.scene) else {
            continue;
        };
        match draft.step {
            Step::Drain(_) => out.push(container.replica()),
            Step::Undrain(_) => out.retain(|replica| *replica != container.replica()),
            _ => {}
        }
    }
    out.iter()
        .map(|replica| format!("{replica} stays out of the gateway afterwards"))
        .collect()
}
