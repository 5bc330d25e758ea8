//! What the loop acts upon: steps and facts, behind a trait so that a script can stand in for them.

use std::future::Future;
use std::sync::Arc;

use serde_json::Value;

use crate::domain::Clean;
use crate::engine::{EvidenceKind, Facts, Finding, GuardId, StepId};
use crate::probe::check::Outcome;
use crate::step::{Done, Hurry};

/// What a step has to say while it is at work.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A line for the run's log.
    Line(Clean),
    /// What a check saw.
    Check(Outcome),
}

/// Takes what a step says. Never waits.
pub type Say = Arc<dyn Fn(Said) + Send + Sync>;

/// The steps of one plan and the world they act on. Every answer may be late or never come; the loop has deadlines.
pub trait Deck: Send + Sync + 'static {
    /// Looks at what the step will change. Changes nothing.
    fn before(&self, step: StepId, say: Say) -> impl Future<Output = Result<Value, Clean>> + Send;

    /// Dropped when the step's deadline passes; told by `hurry` when a person wants the run to end.
    fn perform(
        &self,
        step: StepId,
        before: Value,
        say: Say,
        hurry: Hurry,
    ) -> impl Future<Output = Result<Done, Clean>> + Send;

    /// Puts back what `before` saw.
    fn undo(
        &self,
        step: StepId,
        before: Value,
        say: Say,
        hurry: Hurry,
    ) -> impl Future<Output = Result<Done, Clean>> + Send;

    /// Did it happen? Looks only.
    fn happened(
        &self,
        step: StepId,
        before: Value,
        say: Say,
    ) -> impl Future<Output = Finding> + Send;

    /// What the expected facts are now. Looks only.
    fn observe(&self, expected: Facts) -> impl Future<Output = Result<Facts, Clean>> + Send;
}

/// What goes on beside the steps: the guards and the tap tell the loop.
#[derive(Debug, Clone, PartialEq)]
pub enum Aside {
    /// A guard's failure pauses the run.
    Failed { guard: GuardId, fault: Clean },
    /// Something for the journal.
    Seen { what: EvidenceKind, value: Value },
    /// The engine has given no answer for so long that it may be gone for good.
    EngineGone { fault: Clean },
}
