//! What a run may do, and under which promises.
//!
//! A plan is a runbook resolved against live facts. It is a value: once a person has confirmed it, nothing in it changes,
//! and its [`PlanId`] (a digest over [`Plan::digest_input`]) is what confirmations and the journal name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::domain::Clean;

/// More steps than this are several plans; nobody reads and confirms them as one.
pub const STEPS_MAX: usize = 500;

/// Digest of the plan, as text. Made by the journal's hash; compared here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub Clean);

/// What a run holds alone: `service/shop-app`, `database/shop`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Target(pub Clean);

/// Who said so, as the operating system knows them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Person(pub Clean);

/// A check that is watched while the run goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GuardId(pub Clean);

/// Position of a step in its plan, from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StepId(pub u16);

impl StepId {
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for StepId {
    /// People count from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.index() + 1)
    }
}

/// Name of a fact: `container/shop-app-1`, `image/shop-app`, `config`.
pub type Fact = Clean;

/// What the plan was made from: each fact with its value at that time (a container id, a digest, a version).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(pub BTreeMap<Fact, Clean>);

/// One fact that is no longer what the plan was made from. `None`: it was, or is, not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactChange {
    pub fact: Fact,
    pub was: Option<Clean>,
    pub is: Option<Clean>,
}

impl Facts {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What differs in `seen`. Facts that nobody planned with do not matter.
    pub fn changes(&self, seen: &Self) -> Vec<FactChange> {
        let changed = self.0.iter().filter_map(|(fact, was)| {
            let is = seen.0.get(fact);
            (is != Some(was)).then(|| FactChange {
                fact: fact.clone(),
                was: Some(was.clone()),
                is: is.cloned(),
            })
        });
        changed.collect()
    }
}

/// May the step be performed again when its outcome is unknown?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// It looks first and does what is missing.
    Safe,
    Unsafe,
}

/// An undo looks first and does what is missing, so it may always be repeated. A step that has none says so openly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    Present,
    None,
}

/// Who opens the way to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    Open,
    /// Any person.
    Confirm,
    /// A person who did not ask for the run.
    Approve,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Hold at the failed step and ask a person.
    Stop,
    /// Undo every step that ever started.
    Undo,
}

/// After the host itself went down in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// Go on as after any crash.
    Auto,
    /// Hold until a person says so.
    Ask,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPlan {
    pub title: Clean,
    pub gate: Gate,
    pub repeat: Repeat,
    pub undo: Undo,
    /// Longest that performing, undoing or checking this step may take.
    pub deadline: Duration,
    /// Instead of the plan's, where this step's failure has to be answered otherwise: behind a step that burns the way
    /// back, going back would end half-way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// What must be true right before the step first starts.
    pub facts: Facts,
    /// What the step belongs to, as a person reads it: `server-2`, or a heading of the runbook.
    pub group: Clean,
    /// What is performed, in the words of the steps. Opaque here; the digest covers it.
    pub act: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub id: PlanId,
    pub runbook: Clean,
    pub title: Clean,
    pub target: Target,
    pub parameters: BTreeMap<Clean, Clean>,
    pub requested_by: Person,
    pub on_failure: OnFailure,
    pub resume: Resume,
    /// Longest that a question to a person, or a pause, stays open. Then the run stops where it is.
    pub patience: Duration,
    pub guards: BTreeSet<GuardId>,
    /// What must be true right before the first step that starts.
    pub facts: Facts,
    pub steps: Vec<StepPlan>,
    /// What the driver needs beside the steps: guards, tap, the runbook's digest. Opaque here; the digest covers it.
    pub attached: Value,
}

/// Why a plan cannot be run at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanFault {
    #[error("the plan has no steps")]
    Empty,
    #[error("the plan has {0} steps, more than {STEPS_MAX}: split the runbook")]
    TooLong(usize),
    #[error("{0} has no time at all: give it a deadline")]
    NoDeadline(StepId),
    #[error("the plan leaves a person no time to answer: give it patience")]
    NoPatience,
}

impl Plan {
    pub fn check(&self) -> Result<(), PlanFault> {
        match self.steps.len() {
            0 => return Err(PlanFault::Empty),
            1..=STEPS_MAX => {}
            many => return Err(PlanFault::TooLong(many)),
        }
        if self.patience.is_zero() {
            return Err(PlanFault::NoPatience);
        }
        match self.ids().find(|id| self.step(*id).deadline.is_zero()) {
            Some(step) => Err(PlanFault::NoDeadline(step)),
            None => Ok(()),
        }
    }

    /// The bytes whose digest is the plan's id: everything but the id, always in the same order.
    ///
    /// # Panics
    /// Never: a plan has text keys and finite numbers.
    pub fn digest_input(&self) -> Vec<u8> {
        let nameless = Self {
            id: PlanId(Clean::default()),
            ..self.clone()
        };
        serde_json::to_vec(&nameless).expect("a plan has text keys and finite numbers")
    }

    /// # Panics
    /// If the step is of another plan. [`Plan::get`] asks.
    /// Does the failure of this step undo whatever was started, without asking?
    pub fn undoes_after(&self, step: StepId) -> bool {
        let own = self.step(step).on_failure;
        own.unwrap_or(self.on_failure) == OnFailure::Undo
    }

    pub fn step(&self, step: StepId) -> &StepPlan {
        &self.steps[step.index()]
    }

    pub fn get(&self, step: StepId) -> Option<&StepPlan> {
        self.steps.get(step.index())
    }

    pub fn ids(&self) -> impl Iterator<Item = StepId> + use<> {
        (0..u16::try_from(self.steps.len()).unwrap_or(u16::MAX)).map(StepId)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::engine) fn plan(steps: usize) -> Plan {
        let step = StepPlan {
            title: Clean::from("restart"),
            gate: Gate::Open,
            repeat: Repeat::Unsafe,
            undo: Undo::Present,
            on_failure: None,
            deadline: Duration::from_mins(1),
            facts: Facts::default(),
            group: Clean::from("app-1"),
            act: Value::Null,
        };
        Plan {
            id: PlanId(Clean::from("p1")),
            runbook: Clean::from("rolling-restart"),
            title: Clean::from("Rolling restart"),
            target: Target(Clean::from("service/app")),
            parameters: BTreeMap::new(),
            requested_by: Person(Clean::from("ann")),
            on_failure: OnFailure::Stop,
            resume: Resume::Ask,
            patience: Duration::from_hours(1),
            guards: BTreeSet::new(),
            facts: Facts::default(),
            steps: vec![step; steps],
            attached: Value::Null,
        }
    }

    #[test]
    fn a_plan_without_an_end_is_no_plan() {
        assert_eq!(plan(0).check(), Err(PlanFault::Empty));
        assert_eq!(plan(501).check(), Err(PlanFault::TooLong(501)));
        let mut hasty = plan(2);
        hasty.steps[1].deadline = Duration::ZERO;
        assert_eq!(hasty.check(), Err(PlanFault::NoDeadline(StepId(1))));
        hasty.patience = Duration::ZERO;
        assert_eq!(hasty.check(), Err(PlanFault::NoPatience));
        assert_eq!(plan(500).check(), Ok(()));
    }

    #[test]
    fn any_change_but_the_id_changes_the_digest() {
        let first = plan(2).digest_input();
        let mut other = plan(2);
        other.id = PlanId(Clean::from("p2"));
        assert_eq!(other.digest_input(), first);
        other.facts.0.insert("image".into(), "sha256:1".into());
        assert_ne!(other.digest_input(), first);
    }

    #[test]
    fn a_change_says_what_was_and_what_is() {
        let of = |pairs: &[(&str, &str)]| {
            Facts(
                pairs
                    .iter()
                    .map(|(k, v)| ((*k).into(), (*v).into()))
                    .collect(),
            )
        };
        let planned = of(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let changes = planned.changes(&of(&[("a", "1"), ("b", "9"), ("d", "4")]));
        let shown: Vec<_> = changes.iter().map(|c| (c.fact.as_str(), &c.is)).collect();
        assert_eq!(shown, [("b", &Some("9".into())), ("c", &None)]);
    }
}
