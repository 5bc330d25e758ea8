//! The runs that the journal tells of, each as far as it has come: what screens and commands show.
//!
//! A fold of entries, in their order. A run is made again from its events by the engine's own rules, so what is shown
//! is what the driver goes by. Who holds a target is not in the journal; the shell asks the store and says so here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use crate::domain::{Clean, Timestamp};
use crate::engine::{
    Decision, EventKind, Evidence, EvidenceKind, Finished, Holder, Person, Phase, Plan, Question,
    Recorded, Requested, RunEvent, RunId, Serving, State, StepId, TakenUp, Target, Verdict, Wait,
};
use crate::journal::{Actor, Code, Entry, Mode, Seq};
use crate::runbook::{Brief, Outcome};

pub use super::told::told;

/// Two months of three runs a day. Older ones are in the journal.
pub const RUNS_MAX: usize = 200;

/// What is kept of one run's lines: a screen of them many times over.
const LINES_MAX: usize = 400;

/// Failed requests that are kept one by one; the tap's figures count all.
const REQUESTS_MAX: usize = 100;

/// Every run there is, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Story {
    runs: VecDeque<RunStory>,
    holders: BTreeMap<Target, Holder>,
    /// The last entry that was taken.
    pub seq: Seq,
}

/// One run.
#[derive(Debug, Clone)]
pub struct RunStory {
    pub id: RunId,
    pub seq: Seq,
    pub asked_at: Timestamp,
    /// Who asked, as the kernel knew them.
    pub actor: Actor,
    pub mode: Mode,
    pub plan: Plan,
    /// `None`: what was shown then cannot be read now.
    pub brief: Option<Brief>,
    pub state: State,
    /// An event that cannot follow the ones before it: the run cannot be taken up.
    pub unsound: Option<Clean>,
    pub confirmed: Option<(Person, Timestamp)>,
    pub steps: Vec<StepStory>,
    /// Oldest first.
    pub lines: VecDeque<Line>,
    /// A driver took the run up: which, and when.
    pub driver: Option<(TakenUp, Timestamp)>,
    /// The latest figures of the tap, as the driver wrote them.
    pub tap: Option<Value>,
    /// How many replicas served at least.
    pub serving: Option<Serving>,
    /// Requests of the tap that failed, oldest first.
    pub requests: VecDeque<Value>,
    /// How each guard stands, by its id.
    pub guards: BTreeMap<Clean, Value>,
    pub finished: Option<(Finished, Timestamp)>,
    /// The last thing that the journal says of it.
    pub last_at: Timestamp,
}

/// What is known of one step beside its state.
#[derive(Debug, Clone, Default)]
pub struct StepStory {
    pub started_at: Option<Timestamp>,
    /// When it was done, failed, skipped or undone.
    pub ended_at: Option<Timestamp>,
    /// What it saw before it acted.
    pub before: Option<Value>,
    pub fault: Option<Clean>,
    /// The outcome of its check, where it is one.
    pub outcome: Option<Outcome>,
}

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub seq: Seq,
    pub at: Timestamp,
    pub step: Option<StepId>,
    pub text: Clean,
    pub weight: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    /// What steps say, and what goes as planned.
    Quiet,
    /// A person decided, or has to.
    Notable,
    /// Something went wrong.
    Loud,
}

/// How a run is, in one word that decides what may be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Planned, and nobody has said yes.
    Unconfirmed,
    /// Confirmed; its driver has not begun yet.
    Starting,
    /// A driver is at work.
    UnderWay,
    /// A driver waits for a person.
    Asking(Question),
    /// Nobody is at work on it, and it has not ended: `resume` takes it up.
    Ownerless,
    Ended(Verdict),
}

impl Standing {
    pub fn word(self) -> &'static str {
        match self {
            Self::Unconfirmed => "not confirmed",
            Self::Starting => "starting",
            Self::UnderWay => "under way",
            Self::Asking(Question::Open { .. }) => "waits for a yes",
            Self::Asking(Question::Failed { .. }) => "a step failed",
            Self::Asking(Question::Doubt { .. }) => "a step is in doubt",
            Self::Asking(Question::Resume) => "paused",
            Self::Ownerless => "ownerless",
            Self::Ended(verdict) => verdict.word(),
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended(_) | Self::Unconfirmed)
    }
}

/// A driver that was just started gets this long before its run counts as ownerless.
pub const START_PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfound {
    #[error("there is no run `{0}`; `quarterdeck runs` lists them")]
    None(Clean),
    #[error("`{0}` fits more than one run; write more of it")]
    Many(Clean),
}

/// The person behind an entry, as plans and events name them.
pub fn person(actor: &Actor) -> Person {
    Person(actor.user.clone())
}

/// Which run an entry is of, without reading all of it.
pub fn run_of(entry: &Entry) -> Option<RunId> {
    #[derive(Deserialize)]
    struct Of {
        run: RunId,
    }
    Of::deserialize(&entry.body).ok().map(|of| of.run)
}

impl Story {
    /// Takes in the next entry. Entries of another format are passed over: whoever wants them reads the journal.
    pub fn take(&mut self, entry: &Entry) {
        self.seq = self.seq.max(entry.seq);
        if entry.code == Code::RunRequested {
            if let Some(run) = RunStory::asked(entry) {
                self.begin(run);
            }
            return;
        }
        let Some(id) = run_of(entry) else { return };
        if let Some(run) = self.runs.iter_mut().rev().find(|run| run.id == id) {
            run.take(entry);
        }
    }

    fn begin(&mut self, run: RunStory) {
        if self.runs.iter().any(|known| known.id == run.id) {
            return;
        }
        if self.runs.len() == RUNS_MAX {
            // One that has ended; of those that have not, none is forgotten before them.
            let over = |run: &RunStory| matches!(run.state.phase(), Phase::Ended(_) | Phase::New);
            let at = self.runs.iter().position(over).unwrap_or(0);
            self.runs.remove(at);
        }
        self.runs.push_back(run);
    }

    /// What the store says of the targets now.
    pub fn hold(&mut self, holders: BTreeMap<Target, Holder>) {
        self.holders = holders;
    }

    pub fn newest(&self) -> impl DoubleEndedIterator<Item = &RunStory> + ExactSizeIterator {
        self.runs.iter().rev()
    }

    pub fn get(&self, id: &RunId) -> Option<&RunStory> {
        self.runs.iter().rev().find(|run| run.id == *id)
    }

    /// A run by its id, or by a part of it that no other has; `last` is the newest.
    pub fn find(&self, text: &str) -> Result<&RunStory, Unfound> {
        if text == "last" {
            return self.runs.back().ok_or(Unfound::None(Clean::line(text)));
        }
        if let Some(run) = self.runs.iter().find(|run| run.id.0 == *text) {
            return Ok(run);
        }
        let mut fits = self.runs.iter().filter(|run| {
            !text.is_empty() && (run.id.0.starts_with(text) || run.id.0.ends_with(text))
        });
        match (fits.next(), fits.next()) {
            (Some(run), None) => Ok(run),
            (Some(_), Some(_)) => Err(Unfound::Many(Clean::line(text))),
            (None, _) => Err(Unfound::None(Clean::line(text))),
        }
    }

    /// Who holds the run's target for it, alive or not.
    pub fn holder(&self, run: &RunStory) -> Option<&Holder> {
        self.holders
            .get(&run.plan.target)
            .filter(|holder| holder.run == run.id)
    }

    pub fn standing(&self, run: &RunStory, now: Timestamp) -> Standing {
        if let Phase::Ended(verdict) = run.state.phase() {
            return Standing::Ended(verdict);
        }
        let alive = self
            .holder(run)
            .is_some_and(|holder| holder.expires_at > now);
        match (alive, run.state.wait(&run.plan)) {
            (true, Wait::Person(question)) => Standing::Asking(question),
            (true, Wait::Begin) => Standing::Starting,
            (true, _) => Standing::UnderWay,
            (false, Wait::Begin) => match &run.confirmed {
                None => Standing::Unconfirmed,
                Some((_, at)) if now.since(*at) < START_PATIENCE => Standing::Starting,
                Some(_) => Standing::Ownerless,
            },
            (false, _) => Standing::Ownerless,
        }
    }

    /// The runs that have begun and not ended.
    pub fn open(&self) -> impl Iterator<Item = &RunStory> {
        self.newest()
            .filter(|run| !matches!(run.state.phase(), Phase::New | Phase::Ended(_)))
    }
}

fn body<T: DeserializeOwned>(entry: &Entry) -> Option<T> {
    T::deserialize(&entry.body).ok()
}

impl RunStory {
    fn asked(entry: &Entry) -> Option<Self> {
        let Requested { run, plan, brief } = body(entry)?;
        let fault = plan.check().err();
        Some(Self {
            id: run,
            seq: entry.seq,
            asked_at: entry.moment.at,
            actor: entry.actor.clone(),
            mode: entry.mode,
            brief: Brief::deserialize(&brief).ok(),
            state: State::new(&plan),
            unsound: fault.map(|fault| Clean::from(fault.to_string())),
            confirmed: None,
            steps: vec![StepStory::default(); plan.steps.len()],
            plan,
            lines: VecDeque::new(),
            driver: None,
            tap: None,
            serving: None,
            requests: VecDeque::new(),
            guards: BTreeMap::new(),
            finished: None,
            last_at: entry.moment.at,
        })
    }

    /// How long it took, or takes until now.
    pub fn took(&self, now: Timestamp) -> Duration {
        let end = match self.state.phase() {
            Phase::Ended(_) => self.state.now(),
            Phase::New | Phase::Forward | Phase::Unwinding | Phase::Closing(_) => now,
        };
        end.since(self.began())
    }

    fn began(&self) -> Timestamp {
        let started = self.steps.iter().filter_map(|step| step.started_at).min();
        started.unwrap_or(self.asked_at)
    }

    /// The step that decides what happens next, or the last one that did anything.
    pub fn last_step(&self) -> Option<StepId> {
        self.state.current().or_else(|| {
            let started = self.plan.ids().filter(|id| {
                self.steps
                    .get(id.index())
                    .is_some_and(|step| step.started_at.is_some())
            });
            started.last()
        })
    }

    fn take(&mut self, entry: &Entry) {
        self.last_at = self.last_at.max(entry.moment.at);
        match entry.code {
            Code::RunStarted => self.driver = body(entry).map(|up| (up, entry.moment.at)),
            Code::RunEvent => {
                if let Some(recorded) = body::<Recorded>(entry) {
                    self.event(entry, &recorded.event);
                }
            }
            Code::RunFinished => self.finished = body(entry).map(|end| (end, entry.moment.at)),
            Code::Evidence => {
                if let Some(evidence) = body::<Evidence>(entry) {
                    self.evidence(entry, evidence);
                }
            }
            code if code.is_decision() => {
                if let Some(decision) = body::<Decision>(entry) {
                    self.decision(entry, &decision);
                }
            }
            Code::Refused | Code::Failed | Code::Note | Code::JournalRecovered => {
                let said = entry.body.get("reason").and_then(Value::as_str);
                let said = said.or_else(|| entry.body.get("text").and_then(Value::as_str));
                if let Some(said) = said {
                    let weight = match entry.code {
                        Code::Note => Weight::Quiet,
                        _ => Weight::Loud,
                    };
                    let text = format!("{}: {said}", entry.code.word());
                    self.line(entry, None, &text, weight);
                }
            }
            // Of the session or the journal, no part of a run.
            _ => {}
        }
    }

    fn decision(&mut self, entry: &Entry, decision: &Decision) {
        let by = person(&entry.actor);
        if entry.code == Code::DecisionConfirm
            && decision.plan.as_ref() == Some(&self.plan.id)
            && self.confirmed.is_none()
        {
            self.confirmed = Some((by.clone(), entry.moment.at));
        }
        let word = entry.code.word().trim_start_matches("decision.");
        let word = word.replace('-', " ");
        let reason = match decision.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        let text = format!("{} says {word}{reason}", by.0);
        self.line(entry, decision.step, &text, Weight::Notable);
    }

    fn event(&mut self, entry: &Entry, event: &RunEvent) {
        if self.unsound.is_some() {
            return;
        }
        if let Err(illegal) = self.state.apply(&self.plan, event) {
            self.unsound = Some(Clean::from(illegal.to_string()));
            let text = format!("the journal does not fit together: {illegal}");
            self.line(entry, None, &text, Weight::Loud);
            return;
        }
        if let Some(step) = event.kind.step() {
            self.step_event(step, event);
        }
        let (text, weight) = told(&self.plan, &event.kind);
        self.line(entry, event.kind.step(), &text, weight);
    }

    fn step_event(&mut self, step: StepId, event: &RunEvent) {
        use EventKind as E;
        let Some(story) = self.steps.get_mut(step.index()) else {
            return;
        };
        match &event.kind {
            E::Started { .. } => {
                story.started_at = story.started_at.or(Some(event.at));
                story.ended_at = None;
                story.fault = None;
            }
            E::UndoStarted { .. } => story.ended_at = None,
            E::Succeeded { .. } | E::Skipped { .. } | E::Undone { .. } | E::Kept { .. } => {
                story.ended_at = Some(event.at);
            }
            E::Failed { fault, .. } | E::UndoFailed { fault, .. } | E::Unclear { fault, .. } => {
                story.ended_at = Some(event.at);
                story.fault = Some(fault.clone());
            }
            E::Begun { .. }
            | E::Interrupted { .. }
            | E::GateOpened { .. }
            | E::GateLapsed { .. }
            | E::FactsChanged { .. }
            | E::Doubted { .. }
            | E::Paused { .. }
            | E::Resumed { .. }
            | E::AbortAsked { .. }
            | E::UndoAsked { .. }
            | E::UnwindBegun { .. }
            | E::Unanswered
            | E::Ended { .. } => {}
        }
    }

    fn evidence(&mut self, entry: &Entry, evidence: Evidence) {
        let Evidence {
            step, what, value, ..
        } = evidence;
        let at = step.map(StepId::index);
        match what {
            EvidenceKind::Before => {
                if let Some(story) = at.and_then(|at| self.steps.get_mut(at)) {
                    story.before.get_or_insert(value);
                }
            }
            EvidenceKind::Said => {
                if let Some(said) = value.as_str() {
                    self.line(entry, step, said, Weight::Quiet);
                }
            }
            EvidenceKind::Check => {
                if let Some(story) = at.and_then(|at| self.steps.get_mut(at)) {
                    story.outcome = Outcome::deserialize(&value).ok();
                }
            }
            EvidenceKind::Tap => self.tap = Some(value),
            EvidenceKind::Serving => self.serving = Serving::deserialize(&value).ok(),
            EvidenceKind::Request => {
                if self.requests.len() == REQUESTS_MAX {
                    self.requests.pop_front();
                }
                self.requests.push_back(value);
            }
            EvidenceKind::Guard => {
                if let Some(id) = value.get("guard").and_then(Value::as_str) {
                    self.guards.insert(Clean::line(id), value.clone());
                }
            }
        }
    }

    fn line(&mut self, entry: &Entry, step: Option<StepId>, text: &str, weight: Weight) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(Line {
            seq: entry.seq,
            at: entry.moment.at,
            step,
            text: Clean::line(text),
            weight,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::engine::{DriverId, Token};
    use crate::journal::{Claims, Hash, Moment};

    fn entry(seq: u64, code: Code, body: Value) -> Entry {
        Entry {
            seq: Seq(seq),
            moment: Moment {
                at: Timestamp(seq * 1000),
                monotonic_ms: 0,
                boot_id: Clean::default(),
            },
            actor: Actor {
                uid: 1,
                login_uid: None,
                user: Clean::from("ann"),
                claims: Claims::default(),
            },
            mode: Mode::Training,
            code,
            target: Clean::default(),
            body,
            hash: Hash::NONE,
        }
    }

    fn asked(seq: u64, run: &str) -> Entry {
        let plan = json!({
            "id": "p", "runbook": "b", "title": "B", "target": "service/a", "parameters": {},
            "requested_by": "ann", "on_failure": "stop", "resume": "ask",
            "patience": { "secs": 60, "nanos": 0 }, "guards": [], "facts": {}, "attached": null,
            "steps": [{ "title": "do it", "gate": "open", "repeat": "safe", "undo": "present",
                "deadline": { "secs": 9, "nanos": 0 }, "facts": {}, "group": "a-1", "act": null }],
        });
        let body = json!({ "run": run, "plan": plan, "brief": null });
        entry(seq, Code::RunRequested, body)
    }

    fn event(seq: u64, run: &str, event: &Value) -> Entry {
        let mut event = event.clone();
        event["v"] = json!(1);
        event["at"] = json!(seq * 1000);
        let body = json!({ "run": run, "token": 1, "event": event });
        entry(seq, Code::RunEvent, body)
    }

    fn begun() -> Story {
        let mut story = Story::default();
        story.take(&asked(1, "r-1"));
        let yes = json!({ "run": "r-1", "plan": "p" });
        story.take(&entry(2, Code::DecisionConfirm, yes));
        let began = json!({ "event": "begun", "plan": "p", "by": "ann", "token": 1 });
        story.take(&event(3, "r-1", &began));
        let started = json!({ "event": "started", "step": 0, "attempt": 1, "by": null });
        story.take(&event(4, "r-1", &started));
        story
    }

    #[track_caller]
    fn check(story: &Story, at: u64, standing: Standing) {
        let run = story.find("last").unwrap();
        assert_eq!(story.standing(run, Timestamp(at)), standing);
    }

    #[test]
    fn a_run_without_a_living_driver_is_ownerless_and_names_its_last_step() {
        let mut story = begun();
        check(&story, 5000, Standing::Ownerless);
        let holder = Holder {
            run: RunId("r-1".into()),
            driver: DriverId("d".into()),
            by: Person("ann".into()),
            since: Timestamp(3000),
            expires_at: Timestamp(9000),
        };
        story.hold([(Target("service/a".into()), holder)].into());
        check(&story, 5000, Standing::UnderWay);
        check(&story, 9000, Standing::Ownerless);
        let run = story.find("last").unwrap();
        assert_eq!(run.last_step(), Some(StepId(0)));
        assert_eq!(run.state.token(), Token(1));
    }

    #[test]
    fn what_ended_stays_ended_whoever_holds_the_target() {
        let mut story = begun();
        let done = json!({ "event": "succeeded", "step": 0, "source": "outcome" });
        story.take(&event(5, "r-1", &done));
        let ended = json!({ "event": "ended", "verdict": "completed" });
        story.take(&event(6, "r-1", &ended));
        check(&story, 7000, Standing::Ended(Verdict::Completed));
        let run = story.find("r-1").unwrap();
        assert_eq!(run.took(Timestamp(99_000)), Duration::from_secs(2));
    }

    #[test]
    fn an_event_that_cannot_follow_is_said_and_nothing_is_built_on_it() {
        let mut story = begun();
        story.take(&event(5, "r-1", &json!({ "event": "undone", "step": 0 })));
        let run = story.find("r-1").unwrap();
        assert!(run.unsound.is_some());
        assert_eq!(run.lines.back().unwrap().weight, Weight::Loud);
    }

    #[test]
    fn a_part_of_a_name_finds_one_run_or_none() {
        let mut story = begun();
        story.take(&asked(9, "r-2"));
        assert!(matches!(story.find("r-"), Err(Unfound::Many(_))));
        assert!(matches!(story.find(""), Err(Unfound::None(_))));
        assert!(matches!(story.find("x"), Err(Unfound::None(_))));
        assert_eq!(story.find("2").unwrap().id, RunId("r-2".into()));
    }

    #[test]
    fn old_runs_are_forgotten_before_open_ones() {
        let mut story = begun();
        for n in 0..=RUNS_MAX as u64 {
            story.take(&asked(100 + n, &format!("r-x{n}")));
        }
        assert_eq!(story.newest().len(), RUNS_MAX);
        assert!(story.find("r-1").is_ok(), "an open run was forgotten");
    }
}
