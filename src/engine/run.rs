//! The run itself: one input becomes the events it causes, and what has to be done about them.

use std::time::Duration;

use thiserror::Error;

use super::event::{DoubtCause, EventKind, HoldCause, RunEvent, Source, Version};
use super::input::{Choice, Finding, Input, InputKind, Loss, Output, Reason, Refusal};
use super::lease::Token;
use super::plan::{Facts, Person, Plan, PlanFault, Repeat, StepId, Undo};
use super::state::{
    Act, Asked, Deed, IllegalEvent, Look, Phase, Question, REPEATS_MAX, State, StepState, Wait,
};
use crate::domain::{Clean, Timestamp};

/// Longest that a look at the facts may take; then the run is paused and says so.
pub const LOOK_LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub struct Run {
    plan: Plan,
    state: State,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Live,
    /// Made from a journal: what was asked of the world then is unknown now.
    Replayed,
    /// No output with this token any more.
    Silent(Loss),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplayError {
    #[error("the plan cannot be run")]
    Plan(#[from] PlanFault),
    #[error("the journal is not that of a run of this plan")]
    Event(#[from] IllegalEvent),
}

impl Run {
    pub fn new(plan: Plan) -> Result<Self, PlanFault> {
        plan.check()?;
        Ok(Self {
            state: State::new(&plan),
            plan,
            mode: Mode::Live,
        })
    }

    pub fn replay<'a>(
        plan: Plan,
        events: impl IntoIterator<Item = &'a RunEvent>,
    ) -> Result<Self, ReplayError> {
        let mut run = Self::new(plan)?;
        for event in events {
            run.state.apply(&run.plan, event)?;
            run.mode = Mode::Replayed;
        }
        Ok(run)
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// The token that everything this run puts out belongs to.
    pub fn token(&self) -> Token {
        self.state.token()
    }

    pub fn wait(&self) -> Wait {
        self.state.wait(&self.plan)
    }

    /// When a `Tick` will change something. Every wait has an end, so only an ended run and one not begun have none.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let span = match self.wait() {
            Wait::Act(act) | Wait::Check(act) => self.plan.step(act.step).deadline,
            Wait::Look(_) => LOOK_LIMIT,
            Wait::Person(_) => self.plan.patience,
            Wait::Begin | Wait::Recovery | Wait::Nothing(_) => return None,
        };
        Some(self.state.since().plus(span))
    }

    /// The facts that must hold before this step starts for the first time.
    pub fn expected(&self, step: StepId) -> Facts {
        let own = &self.plan.step(step).facts;
        if !self.state.nothing_started() || self.plan.facts.is_empty() {
            return own.clone();
        }
        let mut all = self.plan.facts.clone();
        all.0
            .extend(own.0.iter().map(|(k, v)| (k.clone(), v.clone())));
        all
    }

    pub fn handle(&mut self, input: Input) -> Result<Vec<Output>, Refusal> {
        let at = self.state.now().max(input.at);
        let before = match self.mode {
            Mode::Live => Some(self.wait()),
            Mode::Replayed | Mode::Silent(_) => None,
        };
        let word = input.kind.word();
        if let InputKind::Lost(loss) = input.kind {
            self.mode = Mode::Silent(loss);
            return Ok(Vec::new());
        }
        let mut outputs = Vec::new();
        let decided = self
            .admit(&input.kind)
            .and_then(|()| self.decide(at, input.kind));
        let mut next = decided.map_err(|reason| Refusal {
            input: word,
            position: self.state.position(&self.plan),
            reason,
        })?;
        self.mode = Mode::Live;
        // Bounded: each event moves the run on, and a plan has at most STEPS_MAX steps.
        while let Some(kind) = next {
            self.commit(at, kind, &mut outputs);
            next = self.advance(at);
        }
        let wait = self.wait();
        if before != Some(wait) {
            outputs.extend(request_of(wait));
        }
        Ok(outputs)
    }

    /// May this run take any such input at all?
    fn admit(&self, kind: &InputKind) -> Result<(), Reason> {
        let recovers = matches!(kind, InputKind::Recover { .. });
        match (self.mode, self.state.phase()) {
            (Mode::Silent(Loss::Lease), _) => Err(Reason::LeaseLost),
            (Mode::Silent(Loss::Journal), _) => Err(Reason::JournalLost),
            (_, Phase::Ended(_)) => Err(Reason::Ended),
            (Mode::Replayed, _) if !recovers => Err(Reason::RecoverFirst),
            (Mode::Live, _) if recovers => Err(Reason::NothingToRecover),
            (_, Phase::New) if !matches!(kind, InputKind::Begin { .. }) => Err(Reason::NotBegun),
            (Mode::Live | Mode::Replayed, _) => Ok(()),
        }
    }

    /// Record the event, then what it permits. The order is the first law.
    fn commit(&mut self, at: Timestamp, kind: EventKind, outputs: &mut Vec<Output>) {
        let event = RunEvent {
            version: Version::default(),
            at,
            kind,
        };
        let told = match (&event.kind, self.wait()) {
            (
                EventKind::Doubted {
                    cause: DoubtCause::Deadline(_),
                    ..
                }
                | EventKind::UndoFailed { .. },
                Wait::Act(act),
            ) if self.is_overdue(at) => Some(Output::GiveUp(act)),
            (EventKind::AbortAsked { .. } | EventKind::UndoAsked { .. }, Wait::Act(act)) => {
                Some(Output::Hasten(act))
            }
            _ => None,
        };
        let applied = self.state.apply(&self.plan, &event);
        assert_eq!(applied, Ok(()), "the engine decided an illegal event");
        let effect = self.effect_of(&event.kind);
        outputs.push(Output::Record(event));
        outputs.extend(told);
        outputs.extend(effect);
    }

    fn effect_of(&self, kind: &EventKind) -> Option<Output> {
        match kind {
            EventKind::Started { step, .. } => Some(Output::Perform(self.state.act(*step))),
            EventKind::UndoStarted { step, .. } => Some(Output::PerformUndo(self.state.act(*step))),
            _ => None,
        }
    }

    /// The event an input causes, if any, or why it is refused.
    fn decide(&self, at: Timestamp, kind: InputKind) -> Result<Option<EventKind>, Reason> {
        use InputKind as I;
        let event = match kind {
            I::Begin { by, token } => return self.begin(by, token).map(Some),
            I::Recover { cause, token } => {
                let held = self.state.token();
                if token <= held {
                    return Err(Reason::StaleToken { given: token, held });
                }
                EventKind::Interrupted { cause, token }
            }
            I::Tick => return Ok(self.is_overdue(at).then(|| self.overdue()).flatten()),
            I::Outcome { act, result } => self.outcome(act, result)?,
            I::Checked { act, finding } => self.checked(act, finding)?,
            I::Observed { look, result } => self.observed(at, look, result)?,
            I::Open { step, plan, by } => self.open(step, &plan, by)?,
            I::Choose { step, choice, by } => self.choose(step, choice, by)?,
            I::Pause { by } => self.pause(HoldCause::Person(by))?,
            I::Resume { by } => match self.state.hold() {
                Some(_) => EventKind::Resumed { by },
                None => return Err(Reason::NotPaused),
            },
            I::Abort { by } => self.ask_abort(by)?,
            I::Undo { by } => self.ask_undo(by)?,
            I::GuardFailed { guard, fault } => {
                if !self.plan.guards.contains(&guard) {
                    return Err(Reason::UnknownGuard);
                }
                if self.state.phase() == Phase::Unwinding {
                    return Err(Reason::Unwinding);
                }
                self.pause(HoldCause::Guard { guard, fault })?
            }
            I::Lost(_) => return Ok(None),
        };
        Ok(Some(event))
    }

    fn begin(&self, by: Person, token: Token) -> Result<EventKind, Reason> {
        if self.state.phase() != Phase::New {
            return Err(Reason::BegunAlready);
        }
        let held = self.state.token();
        if token <= held {
            return Err(Reason::StaleToken { given: token, held });
        }
        let plan = self.plan.id.clone();
        Ok(EventKind::Begun { plan, by, token })
    }

    fn is_overdue(&self, at: Timestamp) -> bool {
        self.wakes_at().is_some_and(|end| end <= at)
    }

    fn overdue(&self) -> Option<EventKind> {
        match self.wait() {
            Wait::Act(Act { deed, step, .. }) => {
                let limit = self.plan.step(step).deadline;
                Some(match deed {
                    Deed::Perform => EventKind::Doubted {
                        step,
                        cause: DoubtCause::Deadline(limit),
                    },
                    Deed::Undo => EventKind::UndoFailed {
                        step,
                        fault: too_late("undo", limit),
                    },
                })
            }
            Wait::Look(_) => Some(EventKind::Paused {
                cause: HoldCause::FactsUnseen {
                    fault: too_late("look at the facts", LOOK_LIMIT),
                },
            }),
            Wait::Check(act) => Some(EventKind::Unclear {
                step: act.step,
                fault: too_late("check", self.plan.step(act.step).deadline),
            }),
            Wait::Person(_) => Some(EventKind::Unanswered),
            Wait::Begin | Wait::Recovery | Wait::Nothing(_) => None,
        }
    }

    /// An outcome counts for the act that is awaited, and for a doubtful one of this driver: it is what was missing.
    fn outcome(&self, act: Act, result: Result<(), Clean>) -> Result<EventKind, Reason> {
        let awaited = match self.wait() {
            Wait::Act(awaited) | Wait::Check(awaited) => awaited == act,
            Wait::Person(Question::Doubt { step }) => self.state.act(step) == act,
            Wait::Person(_) | Wait::Look(_) | Wait::Begin | Wait::Recovery | Wait::Nothing(_) => {
                false
            }
        };
        if !awaited {
            return Err(Reason::NotAwaited);
        }
        Ok(act.became(result))
    }

    fn checked(&self, act: Act, finding: Finding) -> Result<EventKind, Reason> {
        if self.wait() != Wait::Check(act) {
            return Err(Reason::NotAwaited);
        }
        let step = act.step;
        let source = Source::Check;
        Ok(match finding {
            Finding::Happened => EventKind::Succeeded { step, source },
            Finding::DidNotHappen => EventKind::Failed {
                step,
                fault: Clean::from("its check says that it did not happen"),
                source,
            },
            Finding::Unclear(fault) => EventKind::Unclear { step, fault },
        })
    }

    fn observed(
        &self,
        at: Timestamp,
        look: Look,
        result: Result<Facts, Clean>,
    ) -> Result<EventKind, Reason> {
        if self.wait() != Wait::Look(look) {
            return Err(Reason::NotAwaited);
        }
        let step = look.step;
        if self.state.is_lapsed(&self.plan, step, at) {
            return Ok(EventKind::GateLapsed { step });
        }
        Ok(
            match result.map(|seen| self.expected(step).changes(&seen)) {
                Err(fault) => EventKind::Paused {
                    cause: HoldCause::FactsUnseen { fault },
                },
                Ok(changes) if changes.is_empty() => self.start(step, None),
                Ok(changes) => EventKind::FactsChanged { step, changes },
            },
        )
    }

    fn start(&self, step: StepId, by: Option<Person>) -> EventKind {
        let attempt = self.state.record(step).attempts + 1;
        EventKind::Started { step, attempt, by }
    }

    fn open(
        &self,
        step: StepId,
        plan: &super::plan::PlanId,
        by: Person,
    ) -> Result<EventKind, Reason> {
        use super::plan::Gate;
        if *plan != self.plan.id {
            return Err(Reason::OtherPlan);
        }
        match self.wait() {
            Wait::Person(Question::Open { step: of, gate }) if of == step => {
                if gate == Gate::Approve && by == self.plan.requested_by {
                    return Err(Reason::OwnRequest);
                }
                Ok(EventKind::GateOpened { step, by })
            }
            _ => Err(Reason::NotAsked),
        }
    }

    fn choose(&self, step: StepId, choice: Choice, by: Person) -> Result<EventKind, Reason> {
        let in_doubt = match self.wait() {
            Wait::Check(act) if act.step == step => true,
            Wait::Person(Question::Doubt { step: of }) if of == step => true,
            Wait::Person(Question::Failed { step: of }) if of == step => false,
            _ => return Err(Reason::NotAsked),
        };
        match choice {
            Choice::Retry => Ok(self.start(step, Some(by))),
            Choice::Skip => Ok(EventKind::Skipped { step, by }),
            Choice::Happened | Choice::DidNotHappen if !in_doubt => Err(Reason::NotInDoubt),
            Choice::Happened => Ok(EventKind::Succeeded {
                step,
                source: Source::Person(by),
            }),
            Choice::DidNotHappen => Ok(EventKind::Failed {
                step,
                fault: Clean::line(&format!("{} says that it did not happen", by.0)),
                source: Source::Person(by),
            }),
            Choice::Undo => self.ask_undo(by),
            Choice::Abort => self.ask_abort(by),
        }
    }

    fn pause(&self, cause: HoldCause) -> Result<EventKind, Reason> {
        match self.state.hold() {
            None => Ok(EventKind::Paused { cause }),
            Some(_) => Err(Reason::Already),
        }
    }

    fn ask_abort(&self, by: Person) -> Result<EventKind, Reason> {
        match self.state.asked() {
            Some(Asked::Abort(_)) => Err(Reason::Already),
            Some(Asked::Undo(_)) | None => Ok(EventKind::AbortAsked { by }),
        }
    }

    fn ask_undo(&self, by: Person) -> Result<EventKind, Reason> {
        match (self.state.phase(), self.state.asked()) {
            (Phase::Unwinding, _) | (_, Some(Asked::Undo(_))) => Err(Reason::Already),
            (_, Some(Asked::Abort(_)) | None) => Ok(EventKind::UndoAsked { by }),
        }
    }

    /// The event that follows without asking anyone.
    fn advance(&self, at: Timestamp) -> Option<EventKind> {
        if let Some(verdict) = self.state.due() {
            return Some(EventKind::Ended { verdict });
        }
        match self.state.phase() {
            Phase::New | Phase::Closing(_) | Phase::Ended(_) => None,
            Phase::Forward => self.advance_forward(at),
            Phase::Unwinding => self.advance_back(),
        }
    }

    fn advance_forward(&self, at: Timestamp) -> Option<EventKind> {
        use StepState as S;
        let state = self.state.current_state();
        if let (Some(Asked::Undo(by)), false) = (self.state.asked(), state == Some(S::Running)) {
            let by = Some(by.clone());
            return Some(EventKind::UnwindBegun { by });
        }
        let step = self.state.current()?;
        match self.state.record(step).state {
            S::Interrupted => self.after_interruption(step),
            S::Failed if self.plan.undoes_after(step) => Some(EventKind::UnwindBegun { by: None }),
            S::Waiting | S::Ready => {
                let ready = matches!(self.wait(), Wait::Look(_));
                if ready && self.state.is_lapsed(&self.plan, step, at) {
                    return Some(EventKind::GateLapsed { step });
                }
                (ready && self.expected(step).is_empty()).then(|| self.start(step, None))
            }
            S::Running
            | S::Doubted
            | S::Unclear
            | S::Failed
            | S::Done
            | S::Skipped
            | S::Undoing
            | S::UndoInterrupted
            | S::Undone
            | S::UndoFailed
            | S::Kept => None,
        }
    }

    /// A step whose outcome a crash hid is repeated only if that is safe, and not for ever.
    fn after_interruption(&self, step: StepId) -> Option<EventKind> {
        let safe = self.plan.step(step).repeat == Repeat::Safe
            && self.state.record(step).repeats <= REPEATS_MAX
            && self.state.asked().is_none();
        if !safe {
            let cause = DoubtCause::Interrupted;
            return Some(EventKind::Doubted { step, cause });
        }
        self.state.hold().is_none().then(|| self.start(step, None))
    }

    fn advance_back(&self) -> Option<EventKind> {
        let step = self.state.current()?;
        let record = self.state.record(step);
        if record.state == StepState::Undoing {
            return None;
        }
        if self.plan.step(step).undo == Undo::None {
            return Some(EventKind::Kept { step });
        }
        if record.undo_attempts > REPEATS_MAX {
            let fault = Clean::from("each attempt to undo it was interrupted");
            return Some(EventKind::UndoFailed { step, fault });
        }
        let attempt = record.undo_attempts + 1;
        self.state
            .hold()
            .is_none()
            .then_some(EventKind::UndoStarted { step, attempt })
    }
}

/// What has to be asked of the world for what the run waits for now. Acts are not asked for here: see `commit`.
fn request_of(wait: Wait) -> Option<Output> {
    match wait {
        Wait::Look(look) => Some(Output::Observe(look)),
        Wait::Check(act) => Some(Output::Check(act)),
        Wait::Person(question) => Some(Output::Ask(question)),
        Wait::Begin | Wait::Act(_) | Wait::Recovery | Wait::Nothing(_) => None,
    }
}

fn too_late(what: &str, limit: Duration) -> Clean {
    Clean::from(format!(
        "no answer to the {what} within {}s",
        limit.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::*;
    use crate::engine::{Gate, Interruption, Verdict};

    fn by(who: &str) -> Person {
        Person(who.into())
    }

    fn tell(run: &mut Run, kind: InputKind) -> Result<Vec<Output>, String> {
        let at = Timestamp(1000);
        run.handle(Input { at, kind })
            .map_err(|refusal| refusal.to_string())
    }

    fn begun(plan: Plan) -> Run {
        let mut run = Run::new(plan).unwrap();
        let (by, token) = (by("ann"), Token(1));
        tell(&mut run, InputKind::Begin { by, token }).unwrap();
        run
    }

    fn event(kind: EventKind) -> RunEvent {
        RunEvent {
            version: Version::default(),
            at: Timestamp(1000),
            kind,
        }
    }

    #[track_caller]
    fn check_illegal(run: &Run, kind: EventKind, says: &str) {
        let mut state = run.state.clone();
        let illegal = state.apply(&run.plan, &event(kind)).unwrap_err();
        assert_eq!(illegal.to_string(), says);
        assert_eq!(state, run.state, "a refused event changed the state");
    }

    #[test]
    fn an_illegal_event_is_named_with_the_state_it_cannot_follow() {
        let step = StepId(0);
        let run = begun(plan(2));
        for (kind, event) in [
            (
                EventKind::Started {
                    step,
                    attempt: 2,
                    by: None,
                },
                "started",
            ),
            (EventKind::Undone { step }, "undone"),
            (
                EventKind::Skipped {
                    step,
                    by: by("bob"),
                },
                "skipped",
            ),
            (EventKind::UnwindBegun { by: None }, "unwind begun"),
            (EventKind::Unanswered, "unanswered"),
            (EventKind::Resumed { by: by("bob") }, "resumed"),
            (
                EventKind::Ended {
                    verdict: Verdict::Completed,
                },
                "ended",
            ),
            (EventKind::Kept { step: StepId(1) }, "kept"),
        ] {
            let says = format!("event 3: `{event}` cannot follow while step 1 is running");
            check_illegal(&run, kind, &says);
        }
    }

    #[test]
    fn a_refusal_says_where_the_run_is_and_why() {
        let mut gated = plan(1);
        gated.steps[0].gate = Gate::Approve;
        let mut run = begun(gated);
        let open = |plan: &str, who: &str| InputKind::Open {
            step: StepId(0),
            plan: crate::engine::PlanId(plan.into()),
            by: by(who),
        };
        let at = "open the gate is refused while step 1 is waiting for approval: ";
        assert_eq!(
            tell(&mut run, open("p1", "ann")).unwrap_err(),
            format!("{at}who asked for the run cannot approve it")
        );
        assert_eq!(
            tell(&mut run, open("p2", "bob")).unwrap_err(),
            format!("{at}it is another plan than the one that runs")
        );
        let outputs = tell(&mut run, open("p1", "bob")).unwrap();
        assert!(matches!(
            outputs[..],
            [Output::Record(_), Output::Record(_), Output::Perform(_)]
        ));
    }

    #[test]
    fn an_unsafe_step_found_started_is_checked_not_repeated() {
        let run = begun(plan(1));
        let events = [
            event(EventKind::Begun {
                plan: run.plan.id.clone(),
                by: by("ann"),
                token: Token(1),
            }),
            event(EventKind::Started {
                step: StepId(0),
                attempt: 1,
                by: None,
            }),
        ];
        let mut again = Run::replay(plan(1), &events).unwrap();
        assert_eq!(again.state, run.state);
        let recover = |token| InputKind::Recover {
            cause: Interruption::Process,
            token: Token(token),
        };
        assert!(tell(&mut again, InputKind::Tick).is_err());
        assert!(tell(&mut again, recover(1)).is_err());
        let outputs = tell(&mut again, recover(2)).unwrap();
        assert!(matches!(outputs.last(), Some(Output::Check(_))));
        assert!(
            !outputs
                .iter()
                .any(|output| matches!(output, Output::Perform(_)))
        );
    }
}
