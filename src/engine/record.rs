//! What the journal says of a run, beside its events: who asked for what, who decided what, what the steps saw.
//!
//! Each is the body of one journal entry; the entry's code says which. A reader that meets a body it cannot read shows
//! it as it is and goes on.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Verdict;
use super::event::RunEvent;
use super::lease::{DriverId, RunId, Token};
use super::plan::{Plan, PlanId, StepId};
use crate::domain::Clean;

/// `run.requested`: the plan as it was shown, before anybody confirmed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    pub run: RunId,
    pub plan: Plan,
    /// What was shown beside the plan: floor, worst case, expected time. Made by the room that plans; shown again by the screens.
    pub brief: Value,
}

/// `decision.*`: the entry's code says which, its actor who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub run: RunId,
    /// Which plan the person saw. Confirmations and approvals without it count for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// The step that is asked about, for retry, skip and gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    #[serde(default, skip_serializing_if = "no_text")]
    pub reason: Clean,
}

fn no_text(text: &Clean) -> bool {
    text.is_empty()
}

/// `run.started`: a driver took the run up, for the first time or again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenUp {
    pub run: RunId,
    pub driver: DriverId,
    pub token: Token,
}

/// `run.event`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    pub run: RunId,
    pub token: Token,
    /// The number of the entry whose decision it follows from. A driver that takes the run up again does not hear it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<u64>,
    pub event: RunEvent,
}

/// `evidence` of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub run: RunId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    pub what: EvidenceKind,
    pub value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// What a step saw before it acted; undo and repeat go by it.
    Before,
    /// What a step has to say after it acted: lines.
    Said,
    /// The outcome of a check, with what was sent and what came back.
    Check,
    /// The users' requests so far.
    Tap,
    /// One request of the tap that failed.
    Request,
    /// How a guard stands.
    Guard,
}

impl EvidenceKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Before => "seen before",
            Self::Said => "said",
            Self::Check => "check",
            Self::Tap => "requests",
            Self::Request => "failed request",
            Self::Guard => "guard",
        }
    }
}

/// `run.finished`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    pub run: RunId,
    pub verdict: Verdict,
    /// The last figures of the tap, where there was one.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub tap: Value,
}
