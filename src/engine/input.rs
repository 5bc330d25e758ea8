//! What the world tells a run, what the run asks of the world, and what it refuses.

use thiserror::Error;

use super::event::{Interruption, RunEvent};
use super::lease::Token;
use super::plan::{Facts, Gate, GuardId, Person, PlanId, StepId};
use super::state::{Act, Look, Question};
use crate::domain::{Clean, Timestamp};

/// Something happened, and when. An earlier time than the last event's counts as that event's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub at: Timestamp,
    pub kind: InputKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    Begin {
        by: Person,
        token: Token,
    },
    /// The first input after a replay, with the new driver's token.
    Recover {
        cause: Interruption,
        token: Token,
    },
    /// Only time has passed.
    Tick,
    /// Answer to `Perform` and `PerformUndo`.
    Outcome {
        act: Act,
        result: Result<(), Clean>,
    },
    /// Answer to `Check`.
    Checked {
        act: Act,
        finding: Finding,
    },
    /// Answer to `Observe`.
    Observed {
        look: Look,
        result: Result<Facts, Clean>,
    },
    /// A person confirms or approves a step of the plan they saw.
    Open {
        step: StepId,
        plan: PlanId,
        by: Person,
    },
    /// A person's answer to a failed or doubtful step.
    Choose {
        step: StepId,
        choice: Choice,
        by: Person,
    },
    Pause {
        by: Person,
    },
    Resume {
        by: Person,
    },
    Abort {
        by: Person,
    },
    Undo {
        by: Person,
    },
    GuardFailed {
        guard: GuardId,
        fault: Clean,
    },
    /// The driver may not, or cannot, go on with this run. Another replay may.
    Lost(Loss),
}

impl InputKind {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Begin { .. } => "begin",
            Self::Recover { .. } => "recover",
            Self::Tick => "tick",
            Self::Outcome { .. } => "outcome",
            Self::Checked { .. } => "check's answer",
            Self::Observed { .. } => "facts",
            Self::Open { .. } => "open the gate",
            Self::Choose { choice, .. } => choice.word(),
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Abort { .. } => "abort",
            Self::Undo { .. } => "undo",
            Self::GuardFailed { .. } => "guard failed",
            Self::Lost(_) => "lost",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Happened,
    DidNotHappen,
    /// The check could not tell.
    Unclear(Clean),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Retry,
    Skip,
    /// The doubtful step did happen.
    Happened,
    /// It did not: it has failed, and what follows a failure follows.
    DidNotHappen,
    Undo,
    Abort,
}

impl Choice {
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Happened => "happened",
            Self::DidNotHappen => "did not happen",
            Self::Undo => "undo",
            Self::Abort => "abort",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Another driver holds the target, or nobody knows.
    Lease,
    /// A record could not be written, or it is not known whether it was.
    Journal,
}

/// To be carried out in order. At the first that fails the rest is dropped, and the run with it: replay the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Make it durable, in one transaction with asking the lease whether [`super::Run::token`] may still write.
    Record(RunEvent),
    Perform(Act),
    PerformUndo(Act),
    /// Its deadline has passed: cancel it, wait for nothing.
    GiveUp(Act),
    /// A person wants the run to end: what only looks or waits ends now, what acts is finished. Its outcome is awaited.
    Hasten(Act),
    /// Ask the step's own check whether it happened. Looks only.
    Check(Act),
    /// See what the expected facts are now. Looks only.
    Observe(Look),
    Ask(Question),
}

/// The input makes no sense now. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{input} is refused while {position}: {reason}")]
pub struct Refusal {
    pub input: &'static str,
    /// Where the run is, in words.
    pub position: String,
    pub reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    #[error("the run has not begun")]
    NotBegun,
    #[error("the run has begun already")]
    BegunAlready,
    #[error("the run has ended")]
    Ended,
    #[error("it was made from the journal, recover first")]
    RecoverFirst,
    #[error("it never stopped, there is nothing to recover from")]
    NothingToRecover,
    #[error("token {} is not newer than {}", .given.0, .held.0)]
    StaleToken { given: Token, held: Token },
    #[error("this driver lost the lease")]
    LeaseLost,
    #[error("the journal is in doubt, replay it")]
    JournalLost,
    #[error("nobody waits for this answer (late, doubled, or of another step)")]
    NotAwaited,
    #[error("no such question is open")]
    NotAsked,
    #[error("it is another plan than the one that runs")]
    OtherPlan,
    #[error("who asked for the run cannot approve it")]
    OwnRequest,
    #[error("only of a step in doubt can a person say whether it happened")]
    NotInDoubt,
    #[error("it is so already")]
    Already,
    #[error("the run is not paused")]
    NotPaused,
    #[error("the plan has no such guard")]
    UnknownGuard,
    #[error("guards hold the way forward, not the way back")]
    Unwinding,
}

/// What a gate wants, in words.
pub(super) fn gate_word(gate: Gate) -> &'static str {
    match gate {
        Gate::Open => "an open gate",
        Gate::Confirm => "confirmation",
        Gate::Approve => "approval",
    }
}
