//! A document, answers and a scene become a plan: pure, so the same three always make the same one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::brief;
use super::document::Document;
use super::planned::{Attached, Planned, Risk, TAP_GUARD};
use super::planning::{Draft, Planning};
use super::problem::Problem;
use super::scene::{BlockLine, Scene, hex, of_replica, set_name, set_of};
use super::template::Names;
use crate::domain::Clean;
use crate::engine::{
    Facts, Gate, GuardId, OnFailure, Person, Plan, PlanId, Repeat, StepPlan, Target, Undo,
};
use crate::step::{Act, Step};

/// A check that has to be made before planning: its outcome goes into [`Scene::prechecks`] under `block`.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub block: BlockLine,
    pub title: Clean,
    /// A `probe::check::Check`, filled in.
    pub check: Value,
}

/// The prechecks of a runbook with these answers, to be made by whoever can look.
pub fn prechecks(
    document: &Document,
    answers: &BTreeMap<String, String>,
    scene: &Scene,
) -> Result<Vec<Wanted>, Vec<Problem>> {
    let mut planning = Planning::begin(document, answers, scene)?;
    let wanted = planning.wanted();
    planning.end(wanted)
}

/// Resolves a runbook against live facts. All problems at once: answers, replicas that are not there, the floor.
pub fn plan(
    document: &Document,
    answers: &BTreeMap<String, String>,
    scene: &Scene,
    requested_by: Person,
) -> Result<Planned, Vec<Problem>> {
    let mut planning = Planning::begin(document, answers, scene)?;
    let drafts = planning.drafts();
    let floor = planning.floor(&drafts);
    let on_failure = planning.on_failure();
    let attached = planning.attached();
    let wanted = planning.wanted();
    let (drafts, floor) = planning.end((drafts, floor))?;

    let mut plan = Plan {
        id: PlanId(Clean::default()),
        runbook: document.id.clone(),
        title: document.title.clone(),
        target: Target(planning.filled(&document.target)),
        parameters: planning
            .values
            .iter()
            .map(|(name, value)| (Clean::line(name), Clean::line(value)))
            .collect(),
        requested_by,
        on_failure,
        resume: document.resume,
        patience: document.patience,
        guards: guards(&attached),
        facts: facts_of_plan(&drafts, document, &planning.names, scene),
        steps: approved(document, scene, steps(&drafts, scene)),
        attached: serde_json::to_value(&attached).unwrap_or_default(),
    };
    if let Err(fault) = plan.check() {
        planning
            .problems
            .add(0, "", &fault.to_string(), "shorten or complete the runbook");
        return Err(planning.problems.sorted());
    }
    plan.id = PlanId(Clean::from(hex(&Sha256::digest(plan.digest_input()))));
    let brief = brief::brief(&brief::Ground {
        document,
        scene,
        plan: &plan,
        drafts: &drafts,
        floor,
        attached: &attached,
        wanted: &wanted,
        word: planning.word(),
    });
    Ok(Planned { plan, brief })
}

/// Where data can be lost, nothing begins before a second person has said yes.
fn approved(document: &Document, scene: &Scene, mut steps: Vec<StepPlan>) -> Vec<StepPlan> {
    let wanted = match document.risk {
        Risk::Low | Risk::Users => false,
        Risk::Destructive => scene.second_person,
        Risk::Data => true,
    };
    if let (true, Some(first)) = (wanted, steps.first_mut()) {
        first.gate = Gate::Approve;
    }
    steps
}

/// Whatever may pause the run by itself.
fn guards(attached: &Attached) -> BTreeSet<GuardId> {
    let tap = attached.tap.as_ref().map(|_| GuardId(TAP_GUARD.into()));
    let own = attached.guards.iter().map(|guard| guard.id.clone());
    own.chain(tap).collect()
}

/// What must be true right before the first step: which containers the services consist of.
fn facts_of_plan(drafts: &[Draft], document: &Document, names: &Names, scene: &Scene) -> Facts {
    let mut services = BTreeSet::new();
    let mut facts = Facts::default();
    if let Some(floor) = &document.floor {
        services.insert(Clean::from(names.text(&floor.service)));
    }
    for draft in drafts {
        if let Some(container) = draft.touches().and_then(|name| scene.container(name)) {
            services.insert(container.service.clone());
        }
        if matches!(draft.step, Step::Scale(_))
            && let Some(service) = draft.text("service")
        {
            services.insert(Clean::line(service));
        }
        if is_at_the_gateway(&draft.step)
            && let Some(gateway) = &scene.gateway.service
        {
            for container in scene.replicas_of(gateway) {
                facts.0.extend(of_replica(container).0);
            }
        }
    }
    for service in services.iter().filter(|service| !service.is_empty()) {
        let set = set_of(&scene.replicas_of(service));
        facts.0.insert(set_name(service), set);
    }
    facts
}

fn is_at_the_gateway(step: &Step) -> bool {
    matches!(
        step,
        Step::Drain(_) | Step::Undrain(_) | Step::Reload(_) | Step::Switch(_)
    )
}

/// Facts of a replica stand on the first step that touches it: what the run itself does to it later is no surprise.
fn steps(drafts: &[Draft], scene: &Scene) -> Vec<StepPlan> {
    let mut touched = BTreeSet::new();
    let plan = |draft: &Draft| {
        let container = draft.touches().and_then(|name| scene.container(name));
        let facts = match container {
            Some(container) if touched.insert(container.replica()) => of_replica(container),
            _ => Facts::default(),
        };
        StepPlan {
            title: draft.title.clone(),
            gate: draft.gate,
            repeat: draft.step.repeat(),
            undo: draft.step.undoable(),
            deadline: draft.deadline,
            // What is removed cannot be put back: from here on a failure asks.
            on_failure: matches!(draft.step, Step::Retire(_)).then_some(OnFailure::Stop),
            facts,
            group: draft.group.clone(),
            act: serde_json::to_value(&draft.step).unwrap_or_default(),
        }
    };
    drafts.iter().map(plan).collect()
}

/// Steps of which nobody knows, after a crash, whether they happened.
pub(super) fn unsafe_steps(plan: &Plan) -> impl Iterator<Item = &StepPlan> {
    plan.steps
        .iter()
        .filter(|step| step.repeat == Repeat::Unsafe)
}

pub(super) fn one_way_steps(plan: &Plan) -> impl Iterator<Item = &StepPlan> {
    plan.steps.iter().filter(|step| step.undo == Undo::None)
}
