//! The events a run is made of. The journal stores exactly these, and a run is nothing but them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::lease::Token;
use super::plan::{FactChange, GuardId, Person, PlanId, StepId};
use crate::domain::{Clean, Timestamp};

/// The version written. A journal may be read by a newer console, never by an older one.
const CURRENT: u8 = 1;

/// The version of an event's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Version(u8);

impl Default for Version {
    fn default() -> Self {
        Self(CURRENT)
    }
}

impl From<Version> for u8 {
    fn from(version: Version) -> Self {
        version.0
    }
}

#[derive(Debug, Error)]
#[error("event of version {0}: this console reads version {CURRENT}, use a newer one")]
pub struct UnknownVersion(u8);

impl TryFrom<u8> for Version {
    type Error = UnknownVersion;

    fn try_from(version: u8) -> Result<Self, UnknownVersion> {
        if version == CURRENT {
            Ok(Self(version))
        } else {
            Err(UnknownVersion(version))
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEvent {
    #[serde(rename = "v")]
    pub version: Version,
    pub at: Timestamp,
    #[serde(flatten)]
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    Begun {
        plan: PlanId,
        by: Person,
        token: Token,
    },
    /// A driver took the run up again from its journal.
    Interrupted {
        cause: Interruption,
        token: Token,
    },
    GateOpened {
        step: StepId,
        by: Person,
    },
    /// An approval lay unused for too long.
    GateLapsed {
        step: StepId,
    },
    FactsChanged {
        step: StepId,
        changes: Vec<FactChange>,
    },
    /// `by`: the person who asked for another attempt.
    Started {
        step: StepId,
        attempt: u32,
        by: Option<Person>,
    },
    Succeeded {
        step: StepId,
        source: Source,
    },
    Failed {
        step: StepId,
        fault: Clean,
        source: Source,
    },
    /// Whether the step happened is not known; its own check is asked.
    Doubted {
        step: StepId,
        cause: DoubtCause,
    },
    /// Its check does not know either; a person is asked.
    Unclear {
        step: StepId,
        fault: Clean,
    },
    Skipped {
        step: StepId,
        by: Person,
    },
    Paused {
        cause: HoldCause,
    },
    Resumed {
        by: Person,
    },
    AbortAsked {
        by: Person,
    },
    UndoAsked {
        by: Person,
    },
    /// `by` is `None` when the runbook says `on_failure = "undo"`.
    UnwindBegun {
        by: Option<Person>,
    },
    UndoStarted {
        step: StepId,
        attempt: u32,
    },
    Undone {
        step: StepId,
    },
    UndoFailed {
        step: StepId,
        fault: Clean,
    },
    /// The step has no undo; what it did stays.
    Kept {
        step: StepId,
    },
    /// Nobody answered in time.
    Unanswered,
    Ended {
        verdict: Verdict,
    },
}

/// How the driver before this one went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interruption {
    Process,
    /// The host was started anew since.
    Host,
}

/// Who says that a step succeeded or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Outcome,
    Check,
    Person(Person),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtCause {
    /// A crash hid the outcome.
    Interrupted,
    /// No outcome within this time.
    Deadline(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCause {
    Person(Person),
    Guard { guard: GuardId, fault: Clean },
    HostRestarted,
    FactsUnseen { fault: Clean },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Completed,
    /// Every step that ever started was undone, or is openly kept.
    Unwound,
    /// The facts changed, or nobody answered. Nothing was undone by itself.
    Stopped,
    Aborted,
    /// An undo failed; only a person can say what the world looks like now.
    Stuck,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Unwound => "unwound",
            Self::Stopped => "stopped",
            Self::Aborted => "aborted",
            Self::Stuck => "stuck",
        }
    }
}

impl EventKind {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Begun { .. } => "begun",
            Self::Interrupted { .. } => "interrupted",
            Self::GateOpened { .. } => "gate opened",
            Self::GateLapsed { .. } => "gate lapsed",
            Self::FactsChanged { .. } => "facts changed",
            Self::Started { .. } => "started",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Doubted { .. } => "doubted",
            Self::Unclear { .. } => "unclear",
            Self::Skipped { .. } => "skipped",
            Self::Paused { .. } => "paused",
            Self::Resumed { .. } => "resumed",
            Self::AbortAsked { .. } => "abort asked",
            Self::UndoAsked { .. } => "undo asked",
            Self::UnwindBegun { .. } => "unwind begun",
            Self::UndoStarted { .. } => "undo started",
            Self::Undone { .. } => "undone",
            Self::UndoFailed { .. } => "undo failed",
            Self::Kept { .. } => "kept",
            Self::Unanswered => "unanswered",
            Self::Ended { .. } => "ended",
        }
    }

    /// Whether it tells what became of an act. The world has done that by now, whether or not it is on record.
    pub fn is_outcome(&self) -> bool {
        match self {
            Self::Succeeded { source, .. } | Self::Failed { source, .. } => {
                *source == Source::Outcome
            }
            Self::Undone { .. } | Self::UndoFailed { .. } => true,
            Self::Begun { .. }
            | Self::Interrupted { .. }
            | Self::GateOpened { .. }
            | Self::GateLapsed { .. }
            | Self::FactsChanged { .. }
            | Self::Started { .. }
            | Self::Doubted { .. }
            | Self::Unclear { .. }
            | Self::Skipped { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::AbortAsked { .. }
            | Self::UndoAsked { .. }
            | Self::UnwindBegun { .. }
            | Self::UndoStarted { .. }
            | Self::Kept { .. }
            | Self::Unanswered
            | Self::Ended { .. } => false,
        }
    }

    pub fn step(&self) -> Option<StepId> {
        match self {
            Self::GateOpened { step, .. }
            | Self::GateLapsed { step }
            | Self::FactsChanged { step, .. }
            | Self::Started { step, .. }
            | Self::Succeeded { step, .. }
            | Self::Failed { step, .. }
            | Self::Doubted { step, .. }
            | Self::Unclear { step, .. }
            | Self::Skipped { step, .. }
            | Self::UndoStarted { step, .. }
            | Self::Undone { step }
            | Self::UndoFailed { step, .. }
            | Self::Kept { step } => Some(*step),
            Self::Begun { .. }
            | Self::Interrupted { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::AbortAsked { .. }
            | Self::UndoAsked { .. }
            | Self::UnwindBegun { .. }
            | Self::Unanswered
            | Self::Ended { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_this_form_on_disk() {
        let event = RunEvent {
            version: Version::default(),
            at: Timestamp(5),
            kind: EventKind::Failed {
                step: StepId(2),
                fault: "exit 1".into(),
                source: Source::Person(Person("bob".into())),
            },
        };
        let text = r#"{"v":1,"at":5,"event":"failed","step":2,"fault":"exit 1","source":{"person":"bob"}}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
        assert_eq!(serde_json::from_str::<RunEvent>(text).unwrap(), event);
    }

    #[test]
    fn an_event_of_a_newer_console_is_refused_not_guessed() {
        let text = r#"{"v":2,"at":5,"event":"unanswered"}"#;
        let fault = serde_json::from_str::<RunEvent>(text)
            .unwrap_err()
            .to_string();
        assert!(fault.contains("version 2"), "{fault}");
    }
}
