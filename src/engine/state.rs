//! What a run is: a fold of its events.
//!
//! **Invariant:** [`State::apply`] is the only function that changes a state, and it refuses every event the laws do not
//! allow where the run stands. Live and replayed runs both go through it, so a replay is the same run.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::event::{EventKind, HoldCause, Interruption, RunEvent, Source, Verdict};
use super::input::gate_word;
use super::lease::Token;
use super::plan::{Gate, Person, Plan, Repeat, Resume, StepId, Undo};
use crate::domain::{Clean, Timestamp};

/// A step that brings its driver down each time is not repeated for ever without a person.
pub const REPEATS_MAX: u32 = 3;

/// An approval is for now, not for tonight.
pub const APPROVAL_LIFE: Duration = Duration::from_mins(15);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    phase: Phase,
    steps: Vec<StepRecord>,
    hold: Option<HoldCause>,
    asked: Option<Asked>,
    token: Token,
    /// Since when the run waits for what it waits for.
    since: Timestamp,
    now: Timestamp,
    events: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    New,
    Forward,
    Unwinding,
    /// Nothing more will be done; the verdict is not on record yet.
    Closing(Verdict),
    Ended(Verdict),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRecord {
    pub state: StepState,
    /// Times the step was started. More than 0: it may have changed the world, whatever became of it.
    pub attempts: u32,
    /// Starts in a row that no person asked for.
    pub repeats: u32,
    pub undo_attempts: u32,
    opened_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepState {
    Waiting,
    /// Its gate was opened.
    Ready,
    Running,
    /// A crash hid the outcome.
    Interrupted,
    /// In doubt; its own check is asked.
    Doubted,
    /// In doubt; a person is asked.
    Unclear,
    Done,
    Failed,
    Skipped,
    Undoing,
    UndoInterrupted,
    Undone,
    UndoFailed,
    Kept,
}

/// A person's word that waits for the act under way to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Abort(Person),
    Undo(Person),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    Perform,
    Undo,
}

/// One act, told from every other: an answer counts only if it names the act that is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Act {
    pub deed: Deed,
    pub step: StepId,
    pub attempt: u32,
    pub token: Token,
}

impl Act {
    /// The event that its outcome is.
    pub fn became(self, result: Result<(), Clean>) -> EventKind {
        let (step, source) = (self.step, Source::Outcome);
        match (self.deed, result) {
            (Deed::Perform, Ok(())) => EventKind::Succeeded { step, source },
            (Deed::Perform, Err(fault)) => EventKind::Failed {
                step,
                fault,
                source,
            },
            (Deed::Undo, Ok(())) => EventKind::Undone { step },
            (Deed::Undo, Err(fault)) => EventKind::UndoFailed { step, fault },
        }
    }
}

/// One look at the facts. `events` is how many events the run had: a look from before the last event is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look {
    pub step: StepId,
    pub events: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    Open { step: StepId, gate: Gate },
    Failed { step: StepId },
    Doubt { step: StepId },
    Resume,
}

/// What the run waits for. There is always exactly one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wait {
    Begin,
    Act(Act),
    Look(Look),
    Check(Act),
    Person(Question),
    /// A replayed run between two events: `Recover` moves it on.
    Recovery,
    Nothing(Verdict),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("event {number}: `{event}` cannot follow while {position}")]
pub struct IllegalEvent {
    /// Counted from 1.
    pub number: u32,
    pub event: &'static str,
    pub position: String,
}

impl State {
    pub fn new(plan: &Plan) -> Self {
        let record = StepRecord {
            state: StepState::Waiting,
            attempts: 0,
            repeats: 0,
            undo_attempts: 0,
            opened_at: Timestamp::default(),
        };
        Self {
            phase: Phase::New,
            steps: vec![record; plan.steps.len()],
            hold: None,
            asked: None,
            token: Token::default(),
            since: Timestamp::default(),
            now: Timestamp::default(),
            events: 0,
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn steps(&self) -> &[StepRecord] {
        &self.steps
    }

    /// Why the run is paused, if it is.
    pub fn hold(&self) -> Option<&HoldCause> {
        self.hold.as_ref()
    }

    pub fn asked(&self) -> Option<&Asked> {
        self.asked.as_ref()
    }

    pub fn token(&self) -> Token {
        self.token
    }

    pub fn since(&self) -> Timestamp {
        self.since
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn events(&self) -> u32 {
        self.events
    }

    /// The step that decides what happens next. On the way back: every step that ever started, the last one first.
    ///
    /// # Panics
    /// Never: a plan that was checked has at most `STEPS_MAX` steps.
    pub fn current(&self) -> Option<StepId> {
        use StepState as S;
        let found = match self.phase {
            Phase::New | Phase::Closing(_) | Phase::Ended(_) => None,
            Phase::Forward => self
                .steps
                .iter()
                .position(|step| !matches!(step.state, S::Done | S::Skipped)),
            Phase::Unwinding => self.steps.iter().rposition(|step| {
                step.attempts > 0 && !matches!(step.state, S::Undone | S::Kept | S::UndoFailed)
            }),
        };
        found.map(|at| StepId(u16::try_from(at).expect("a plan has at most STEPS_MAX steps")))
    }

    pub fn record(&self, step: StepId) -> &StepRecord {
        &self.steps[step.index()]
    }

    pub fn current_state(&self) -> Option<StepState> {
        self.current().map(|step| self.record(step).state)
    }

    pub fn nothing_started(&self) -> bool {
        self.steps.iter().all(|step| step.attempts == 0)
    }

    pub fn wait(&self, plan: &Plan) -> Wait {
        use StepState as S;
        let step = match (self.phase, self.current()) {
            (Phase::New, _) => return Wait::Begin,
            (Phase::Ended(verdict), _) => return Wait::Nothing(verdict),
            (Phase::Closing(_), _) | (_, None) => return Wait::Recovery,
            (Phase::Forward | Phase::Unwinding, Some(step)) => step,
        };
        let state = self.record(step).state;
        match state {
            S::Running | S::Undoing => Wait::Act(self.act(step)),
            S::Doubted if self.phase == Phase::Forward => Wait::Check(self.act(step)),
            S::Unclear if self.phase == Phase::Forward => Wait::Person(Question::Doubt { step }),
            S::Failed if self.phase == Phase::Forward => Wait::Person(Question::Failed { step }),
            _ if self.hold.is_some() => Wait::Person(Question::Resume),
            S::Waiting if plan.step(step).gate != Gate::Open => {
                let gate = plan.step(step).gate;
                Wait::Person(Question::Open { step, gate })
            }
            S::Waiting | S::Ready => Wait::Look(Look {
                step,
                events: self.events,
            }),
            S::Interrupted
            | S::Doubted
            | S::Unclear
            | S::Failed
            | S::Done
            | S::Skipped
            | S::UndoInterrupted
            | S::Undone
            | S::UndoFailed
            | S::Kept => Wait::Recovery,
        }
    }

    /// The latest act of a step.
    pub fn act(&self, step: StepId) -> Act {
        let record = self.record(step);
        let (deed, attempt) = match self.phase {
            Phase::Unwinding => (Deed::Undo, record.undo_attempts),
            Phase::New | Phase::Forward | Phase::Closing(_) | Phase::Ended(_) => {
                (Deed::Perform, record.attempts)
            }
        };
        Act {
            deed,
            step,
            attempt,
            token: self.token,
        }
    }

    /// The verdict that is due now, without anybody's word.
    pub fn due(&self) -> Option<Verdict> {
        use StepState as S;
        let busy = matches!(
            self.current_state(),
            Some(S::Running | S::Undoing | S::Interrupted)
        );
        match (self.phase, self.current(), &self.asked) {
            (Phase::New | Phase::Ended(_), _, _) => None,
            (Phase::Closing(verdict), _, _) => Some(verdict),
            (_, _, Some(Asked::Abort(_))) => (!busy).then_some(Verdict::Aborted),
            (Phase::Forward, None, None) => Some(Verdict::Completed),
            (Phase::Unwinding, None, _) => Some(Verdict::Unwound),
            (Phase::Forward, None, Some(Asked::Undo(_)))
            | (Phase::Forward | Phase::Unwinding, Some(_), _) => None,
        }
    }

    /// Has this step's approval lain too long by `at`?
    pub fn is_lapsed(&self, plan: &Plan, step: StepId, at: Timestamp) -> bool {
        let record = self.record(step);
        plan.step(step).gate == Gate::Approve
            && record.state == StepState::Ready
            && at.since(record.opened_at) >= APPROVAL_LIFE
    }

    /// Where the run stands, in words.
    pub fn position(&self, plan: &Plan) -> String {
        match (self.phase, self.current()) {
            (Phase::New, _) => "not begun".to_owned(),
            (Phase::Closing(verdict), _) => format!("about to end as {}", verdict.word()),
            (Phase::Ended(verdict), _) => format!("ended as {}", verdict.word()),
            (Phase::Forward | Phase::Unwinding, None) => "nothing is left to do".to_owned(),
            (Phase::Forward | Phase::Unwinding, Some(step)) => {
                let state = self.record(step).state.word();
                let way = if self.phase == Phase::Unwinding {
                    ", unwinding"
                } else {
                    ""
                };
                let hold = if self.hold.is_some() { ", paused" } else { "" };
                let gate = match self.wait(plan) {
                    Wait::Person(Question::Open { gate, .. }) => {
                        format!(" for {}", gate_word(gate))
                    }
                    _ => String::new(),
                };
                format!("{step} is {state}{gate}{way}{hold}")
            }
        }
    }

    /// The only function that changes a state.
    pub fn apply(&mut self, plan: &Plan, event: &RunEvent) -> Result<(), IllegalEvent> {
        let legal = match event.kind.step() {
            Some(step) => self.apply_step(plan, step, event),
            None => self.apply_run(plan, event),
        };
        if !legal {
            return Err(IllegalEvent {
                number: self.events + 1,
                event: event.kind.word(),
                position: self.position(plan),
            });
        }
        self.now = self.now.max(event.at);
        self.events += 1;
        if !matches!(
            event.kind,
            EventKind::AbortAsked { .. } | EventKind::UndoAsked { .. }
        ) && !self.pauses_under_way(&event.kind)
        {
            self.since = self.now;
        }
        Ok(())
    }

    /// A pause does not give the act under way more time.
    fn pauses_under_way(&self, kind: &EventKind) -> bool {
        use StepState as S;
        matches!(kind, EventKind::Paused { .. } | EventKind::Resumed { .. })
            && matches!(
                self.current_state(),
                Some(S::Running | S::Undoing | S::Doubted)
            )
    }

    fn apply_step(&mut self, plan: &Plan, step: StepId, event: &RunEvent) -> bool {
        if self.current() != Some(step) || self.due().is_some() {
            return false;
        }
        let Some(next) = self.next(plan, step, &event.kind) else {
            return false;
        };
        let at = self.now.max(event.at);
        let record = &mut self.steps[step.index()];
        record.state = next;
        match &event.kind {
            EventKind::GateOpened { .. } => record.opened_at = at,
            EventKind::Started { attempt, by, .. } => {
                record.attempts = *attempt;
                record.repeats = match by {
                    Some(_) => 0,
                    None => record.repeats + 1,
                };
            }
            EventKind::UndoStarted { attempt, .. } => record.undo_attempts = *attempt,
            EventKind::FactsChanged { .. } => self.phase = Phase::Closing(Verdict::Stopped),
            EventKind::UndoFailed { .. } => self.phase = Phase::Closing(Verdict::Stuck),
            _ => {}
        }
        true
    }

    /// The table of legal transitions of a step.
    fn next(&self, plan: &Plan, step: StepId, kind: &EventKind) -> Option<StepState> {
        use EventKind as E;
        use StepState as S;
        let record = self.record(step);
        let promise = plan.step(step);
        let forward = self.phase == Phase::Forward;
        let held = self.hold.is_some();
        let open = record.state == S::Ready || promise.gate == Gate::Open;
        match (record.state, kind) {
            (S::Waiting, E::GateOpened { by, .. }) if forward && !held => match promise.gate {
                Gate::Open => None,
                Gate::Confirm => Some(S::Ready),
                Gate::Approve => (*by != plan.requested_by).then_some(S::Ready),
            },
            (S::Ready, E::GateLapsed { .. }) if forward => Some(S::Waiting),
            (state @ (S::Waiting | S::Ready), E::FactsChanged { .. }) if forward && open => {
                Some(state)
            }
            (_, E::Started { attempt, .. }) if *attempt != record.attempts + 1 || !forward => None,
            (S::Waiting | S::Ready, E::Started { by: None, .. }) if open && !held => {
                Some(S::Running)
            }
            (S::Interrupted, E::Started { by: None, .. }) => {
                (promise.repeat == Repeat::Safe && record.repeats <= REPEATS_MAX && !held)
                    .then_some(S::Running)
            }
            (S::Failed | S::Doubted | S::Unclear, E::Started { by: Some(_), .. }) => {
                Some(S::Running)
            }
            (S::Running, E::Succeeded { source, .. }) => {
                (*source == Source::Outcome).then_some(S::Done)
            }
            (S::Running, E::Failed { source, .. }) => {
                (*source == Source::Outcome).then_some(S::Failed)
            }
            (S::Doubted | S::Unclear, E::Succeeded { .. }) if forward => Some(S::Done),
            (S::Doubted | S::Unclear, E::Failed { .. }) if forward => Some(S::Failed),
            (S::Running | S::Interrupted, E::Doubted { .. }) => Some(S::Doubted),
            (S::Doubted, E::Unclear { .. }) if forward => Some(S::Unclear),
            (S::Failed | S::Doubted | S::Unclear, E::Skipped { .. }) if forward => Some(S::Skipped),
            (_, E::UndoStarted { attempt, .. }) => (!forward
                && !held
                && promise.undo == Undo::Present
                && record.state != S::Undoing
                && *attempt == record.undo_attempts + 1)
                .then_some(S::Undoing),
            (_, E::Kept { .. }) => (!forward && promise.undo == Undo::None).then_some(S::Kept),
            (S::Undoing, E::Undone { .. }) => Some(S::Undone),
            (S::Undoing | S::UndoInterrupted, E::UndoFailed { .. }) => Some(S::UndoFailed),
            _ => None,
        }
    }

    fn apply_run(&mut self, plan: &Plan, event: &RunEvent) -> bool {
        use EventKind as E;
        let on_way = matches!(self.phase, Phase::Forward | Phase::Unwinding);
        let settled = self.due().is_some();
        match &event.kind {
            E::Begun {
                plan: id, token, ..
            } => {
                let legal = self.phase == Phase::New && *id == plan.id && *token > self.token;
                if legal {
                    self.phase = Phase::Forward;
                    self.token = *token;
                }
                legal
            }
            E::Interrupted { cause, token } => {
                let legal = !matches!(self.phase, Phase::New | Phase::Ended(_));
                legal && *token > self.token && self.interrupt(plan, *cause, *token)
            }
            E::Paused { cause } if on_way && self.hold.is_none() && !settled => {
                self.hold = Some(cause.clone());
                true
            }
            E::Resumed { .. } if self.hold.is_some() && on_way && !settled => {
                self.hold = None;
                true
            }
            E::AbortAsked { by } if on_way && !matches!(self.asked, Some(Asked::Abort(_))) => {
                self.asked = Some(Asked::Abort(by.clone()));
                true
            }
            E::UndoAsked { by }
                if self.phase == Phase::Forward
                    && !settled
                    && !matches!(self.asked, Some(Asked::Undo(_))) =>
            {
                self.asked = Some(Asked::Undo(by.clone()));
                true
            }
            E::UnwindBegun { by } => self.unwind(plan, by.as_ref()),
            E::Unanswered if matches!(self.wait(plan), Wait::Person(_)) && !settled => {
                self.phase = Phase::Closing(Verdict::Stopped);
                true
            }
            E::Ended { verdict } if self.due() == Some(*verdict) => {
                self.phase = Phase::Ended(*verdict);
                true
            }
            _ => false,
        }
    }

    fn interrupt(&mut self, plan: &Plan, cause: Interruption, token: Token) -> bool {
        use StepState as S;
        self.token = token;
        for record in &mut self.steps {
            record.state = match record.state {
                S::Running => S::Interrupted,
                S::Undoing => S::UndoInterrupted,
                other => other,
            };
        }
        let ask = cause == Interruption::Host && plan.resume == Resume::Ask;
        if ask && self.hold.is_none() {
            self.hold = Some(HoldCause::HostRestarted);
        }
        true
    }

    /// Nothing undoes itself: a person's word, or a failed step under `on_failure = "undo"`.
    fn unwind(&mut self, plan: &Plan, by: Option<&Person>) -> bool {
        if self.phase != Phase::Forward || self.current_state() == Some(StepState::Running) {
            return false;
        }
        let legal = match (&self.asked, by) {
            (Some(Asked::Undo(asked)), Some(by)) => asked == by,
            (None, None) => {
                self.current_state() == Some(StepState::Failed)
                    && self.current().is_some_and(|step| plan.undoes_after(step))
            }
            (Some(Asked::Abort(_) | Asked::Undo(_)), None)
            | (Some(Asked::Abort(_)) | None, Some(_)) => false,
        };
        if legal {
            self.phase = Phase::Unwinding;
            self.asked = None;
            if by.is_some() {
                self.hold = None;
            }
        }
        legal
    }
}

impl StepState {
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Doubted => "in doubt, its check is asked",
            Self::Unclear => "in doubt, a person is asked",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Undoing => "being undone",
            Self::UndoInterrupted => "interrupted in its undo",
            Self::Undone => "undone",
            Self::UndoFailed => "not undone",
            Self::Kept => "kept",
        }
    }
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
