//! A plan with all that a person is shown before anything happens.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Clean, Health, Timestamp};
use crate::engine::{GuardId, OnFailure, Plan};
use crate::probe::check::{Outcome, Verdict};

/// What can be lost. Decides how much a person has to do to say yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Reversible, and no user notices: `y`.
    Low,
    /// Serves users: type the object's name.
    Users,
    /// Replaces data and keeps what was there: type the name; a second person approves where the configuration says so.
    Destructive,
    /// Replaces or destroys data: type the name, and a second person approves.
    Data,
}

/// What a person has to do to say yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Confirmation {
    Yes,
    /// Type this word: the object's name, never "yes".
    Typed {
        word: Clean,
    },
    /// Type this word; then somebody else approves.
    Approved {
        word: Clean,
    },
}

/// How many replicas serve at least, while one after the other is out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    pub service: Clean,
    pub serving_min: u32,
    pub of: u32,
    pub at_once: u32,
}

/// Steady requests through the real gateway during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TapSpec {
    pub url: Clean,
    /// Requests a second, 1 to 500.
    pub rate: u32,
    /// `GET` or `HEAD`: the tap changes nothing.
    pub method: Clean,
    /// So many failed requests are tolerated; one more stops the run.
    pub failures_max: u64,
}

/// The guard of a plan that stands for the tap: more failed requests than are tolerated pause the run.
pub const TAP_GUARD: &str = "tap";

/// A check that is watched while the run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSpec {
    pub id: GuardId,
    pub title: Clean,
    /// A `probe::check::Check`, as the runbook wrote it.
    pub check: Value,
    #[serde(with = "crate::runbook::planned::millis")]
    pub every: Duration,
    /// So many failures in a row stop the run.
    pub in_a_row: u32,
}

/// `Plan::attached`: what the driver needs beside the steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Of the document's bytes, as hexadecimal SHA-256.
    pub document_sha256: Clean,
    pub risk: Risk,
    pub stack: Clean,
    pub tap: Option<TapSpec>,
    pub guards: Vec<GuardSpec>,
    /// What a failed guard does, and a tap with too many failures. Who asked for the run has said yes to it.
    #[serde(default = "stop")]
    pub on_guard: OnFailure,
}

/// A guard that nobody gave more power pauses the run and asks.
fn stop() -> OnFailure {
    OnFailure::Stop
}

/// A check that was made while planning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precheck {
    pub title: Clean,
    pub outcome: Outcome,
}

impl Precheck {
    /// What could not be looked at is never good.
    pub fn health(&self) -> Health {
        match self.outcome.verdict {
            Verdict::Pass => Health::Good,
            Verdict::Fail => Health::Bad,
            Verdict::CouldNotRun => Health::Unknown,
        }
    }
}

/// What is shown beside the steps. Not part of the plan's digest: it explains, it decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    pub made_at: Timestamp,
    pub changes: Vec<Clean>,
    pub unchanged: Vec<Clean>,
    pub floor: Option<Floor>,
    pub worst_case: Vec<Clean>,
    pub undo: Vec<Clean>,
    /// Median of earlier runs of the same runbook on the same target, and how many there were.
    pub expected: Option<(u64, u32)>,
    pub checks: Vec<Precheck>,
    pub confirmation: Confirmation,
    pub notes: Vec<Clean>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub plan: Plan,
    pub brief: Brief,
}

pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_millis(u64::deserialize(from)?))
    }
}
