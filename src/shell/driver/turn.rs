//! One taking-up of a run, under one token: what the engine puts out is carried out here, in order.

mod away;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::timeout;

use super::beside::{beside_serving, together};
use super::deck::{Aside, Deck, Said, Say};
use super::desk::{Book, Desk};
use super::owner::Broken;
use super::past::Past;
use super::spool::Spool;
use super::word;
use super::work::{Befores, Work, evidence, seen};
use crate::app::story::run_of;
use crate::domain::Clean;
use crate::engine::{
    Act, EvidenceKind, Facts, Finding, HEARTBEAT, Input, InputKind, Look, OnFailure, Output,
    Recorded, Refusal, Run, RunEvent, Serving, StepId, TakenUp, Token, Wait,
};
use crate::journal::{Actor, Code, Entry, LeaseError, Record, Seq};
use crate::step::{Done, Hasten};

/// Lines that wait to be journaled; a step that says more in one breath is cut short.
const LINES_WAITING_MAX: usize = 64;

/// Lines of one taking-up that are journaled.
const LINES_MAX: u32 = 2000;

/// Entries asked for at a time.
const PAGE: u32 = 200;

/// How long acts that were cancelled may take to notice.
const QUIET_LIMIT: Duration = Duration::from_secs(5);

/// What a task was started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Act(Act),
    Check(Act),
    Look(Look),
}

/// What it came back with.
pub(super) enum Answer {
    Outcome(Act, Result<Done, Clean>),
    Checked(Act, Finding),
    Observed(Look, Result<Facts, Clean>),
    /// The act was not begun: its record could not be made durable.
    Unrecorded(LeaseError),
}

/// What the loop has to see to next.
pub(super) enum Next {
    Answer(Answer),
    Said(StepId, Said),
    News,
}

pub(super) struct Turn<B, D> {
    pub(super) run: Run,
    pub(super) token: Token,
    /// The last figures of the tap, of the whole run.
    pub(super) tap: Value,
    /// How many replicas served at least, of the whole run.
    pub(super) serving: Option<Serving>,
    /// Those of earlier drivers.
    tap_before: Value,
    serving_before: Option<Serving>,
    desk: Arc<Desk<B>>,
    deck: Arc<D>,
    requester: Actor,
    seq: Seq,
    /// Where the run was asked for.
    since: Seq,
    /// What happened while the journal was away.
    spool: Spool,
    befores: Befores,
    tasks: JoinSet<Answer>,
    purposes: HashMap<Id, (Purpose, AbortHandle)>,
    /// Of the act that was begun last: there is never another.
    hasten: Option<(Act, Hasten)>,
    line: mpsc::Sender<(StepId, Said)>,
    lines: mpsc::Receiver<(StepId, Said)>,
    lines_left: u32,
    /// What a failed guard does.
    on_guard: OnFailure,
    news: mpsc::Receiver<()>,
    /// Ends the listening with the turn.
    _ear: JoinSet<()>,
}

impl<B: Book, D: Deck> Turn<B, D> {
    pub(super) fn new(
        desk: &Arc<Desk<B>>,
        world: &Arc<D>,
        run: Run,
        token: Token,
        past: &Past,
    ) -> Self {
        let (voice, lines) = mpsc::channel(LINES_WAITING_MAX);
        let (told, news) = mpsc::channel(1);
        // A plan that does not say more is paused.
        let on_guard = run.plan().attached.get("on_guard");
        let on_guard = on_guard.and_then(|word| OnFailure::deserialize(word).ok());
        let mut ear = JoinSet::new();
        ear.spawn(listen(desk.clone(), told));
        Self {
            run,
            token,
            tap: past.tap.clone(),
            tap_before: past.tap.clone(),
            serving: past.serving.clone(),
            serving_before: past.serving.clone(),
            desk: desk.clone(),
            deck: world.clone(),
            requester: past.request.actor.clone(),
            seq: past.seq,
            since: past.request.seq,
            spool: Spool::of(desk.spool.as_deref()),
            befores: Arc::new(Mutex::new(past.befores.clone())),
            tasks: JoinSet::new(),
            purposes: HashMap::new(),
            hasten: None,
            line: voice,
            lines,
            lines_left: LINES_MAX,
            on_guard: on_guard.unwrap_or(OnFailure::Stop),
            news,
            _ear: ear,
        }
    }

    /// Says who took the run up, and gives the run its first input.
    pub(super) async fn begin(
        &mut self,
        first: InputKind,
        heard: Option<Seq>,
    ) -> Result<(), Broken> {
        let up = TakenUp {
            run: self.desk.run.clone(),
            driver: self.desk.driver.clone(),
            token: self.token,
        };
        self.desk.record(self.token, Code::RunStarted, &up).await?;
        let refused = self.feed(first, heard).await?;
        if let Err(refusal) = refused {
            tracing::error!("the run cannot be taken up: {refusal}");
        }
        Ok(())
    }

    /// How long until the passing of time alone changes something.
    pub(super) fn wakes_in(&self) -> Duration {
        let now = self.desk.at();
        self.run.wakes_at().map_or(HEARTBEAT, |at| at.since(now))
    }

    pub(super) async fn tick(&mut self) -> Result<(), Broken> {
        self.tell(InputKind::Tick).await
    }

    /// The heartbeat; and a look at the journal, for a server that forgot to tell.
    pub(super) async fn beat(&mut self) -> Result<(), Broken> {
        match self.desk.renew(self.token).await {
            Ok(()) => self.catch_up().await?,
            Err(LeaseError::Store(error)) => {
                // The lease outlives two lost heartbeats, and every record asks for it.
                tracing::warn!("a heartbeat was lost: {error}");
            }
            Err(lost) => return Err(lost.into()),
        }
        self.hear().await
    }

    /// Waits for whatever comes first. Cancelled without loss.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            tokio::select! {
                Some(done) = self.tasks.join_next_with_id() => {
                    if let Some(answer) = self.answer_of(done) {
                        return Next::Answer(answer);
                    }
                }
                Some((step, said)) = self.lines.recv() => return Next::Said(step, said),
                Some(()) = self.news.recv() => return Next::News,
                else => return Next::News,
            }
        }
    }

    pub(super) async fn take(&mut self, next: Next) -> Result<(), Broken> {
        match next {
            Next::Said(step, said) => self.say(step, said).await,
            Next::News => self.hear().await,
            Next::Answer(Answer::Outcome(act, result)) => {
                // What it said while it was at work comes first.
                while let Ok((step, said)) = self.lines.try_recv() {
                    self.say(step, said).await?;
                }
                let result = match result {
                    Ok(done) => {
                        if !done.said.is_empty() {
                            self.say(act.step, Said::Line(done.said)).await?;
                        }
                        Ok(())
                    }
                    Err(fault) => Err(fault),
                };
                self.tell(InputKind::Outcome { act, result }).await
            }
            Next::Answer(Answer::Checked(act, finding)) => {
                self.tell(InputKind::Checked { act, finding }).await
            }
            Next::Answer(Answer::Observed(look, result)) => {
                self.tell(InputKind::Observed { look, result }).await
            }
            Next::Answer(Answer::Unrecorded(error)) => Err(error.into()),
        }
    }

    pub(super) async fn aside(&mut self, aside: Aside) -> Result<(), Broken> {
        match aside {
            Aside::Failed { guard, fault } => {
                self.tell(InputKind::GuardFailed { guard, fault }).await?;
                if self.on_guard != OnFailure::Undo {
                    return Ok(());
                }
                // The plan that was confirmed says so: it is the word of who asked for it.
                let by = self.run.plan().requested_by.clone();
                self.tell(InputKind::Undo { by }).await
            }
            Aside::Seen {
                what: EvidenceKind::Tap,
                value,
            } => {
                self.measured(&value);
                self.evidence(None, EvidenceKind::Tap, self.tap.clone())
                    .await
            }
            Aside::Seen {
                what: EvidenceKind::Serving,
                value,
            } => {
                if let Ok(serving) = Serving::deserialize(&value) {
                    self.counted(serving);
                }
                let value = serde_json::to_value(&self.serving).unwrap_or_default();
                self.evidence(None, EvidenceKind::Serving, value).await
            }
            Aside::Seen { what, value } => self.evidence(None, what, value).await,
            // The loop sees to it.
            Aside::EngineGone { .. } => Ok(()),
        }
    }

    /// Figures of this driver's tap.
    pub(super) fn measured(&mut self, figures: &Value) {
        let tap = together(&self.tap_before, figures);
        self.tap = beside_serving(&tap, self.serving.as_ref());
    }

    /// What this driver saw of the replicas.
    pub(super) fn counted(&mut self, serving: Serving) {
        self.serving = Some(match &self.serving_before {
            Some(earlier) => serving.after(earlier),
            None => serving,
        });
    }

    /// It has nothing to do but to wait for somebody.
    pub(super) fn waits_for_a_person(&self) -> bool {
        matches!(self.run.wait(), Wait::Person(_))
    }

    /// Cancels whatever is under way, and waits for it to notice.
    pub(super) async fn quiet(&mut self) {
        if timeout(QUIET_LIMIT, self.tasks.shutdown()).await.is_err() {
            tracing::warn!("something that was cancelled has not ended yet");
        }
        self.purposes.clear();
    }

    /// A person's entry: it becomes an event, or it is refused with its reason. Never both, never neither, so that the
    /// next driver knows what was heard.
    pub(super) async fn decide(&mut self, entry: &Entry) -> Result<(), Broken> {
        let input = if entry.mode == self.desk.mode {
            word::input_of(entry, &self.run, &self.requester)
        } else {
            Err(Clean::from("it was said in another world"))
        };
        let why = match input {
            Ok(input) => match self.feed(input, Some(entry.seq)).await? {
                Ok(()) => return Ok(()),
                Err(refusal) => Clean::from(refusal.to_string()),
            },
            Err(why) => why,
        };
        let refused = json!({
            "run": self.desk.run.0,
            "decision": entry.seq.0,
            "said": entry.code.word(),
            "by": entry.actor.user,
            "reason": why,
        });
        self.desk
            .record(self.token, Code::Refused, &refused)
            .await?;
        Ok(())
    }

    async fn hear(&mut self) -> Result<(), Broken> {
        loop {
            let rows = match self.desk.book.journal().after(self.seq, PAGE).await {
                Ok(rows) => rows,
                Err(error) => {
                    // What was said is still there at the next beat.
                    tracing::warn!("the journal cannot be read: {error}");
                    return Ok(());
                }
            };
            let Some(last) = rows.last() else {
                return Ok(());
            };
            let last = Seq(u64::try_from(last.seq).unwrap_or(u64::MAX));
            let records = rows.iter().filter_map(|row| row.record.as_ref().ok());
            for entry in records.filter_map(Record::entry) {
                let mine =
                    entry.code.is_decision() && run_of(&entry).as_ref() == Some(&self.desk.run);
                if mine {
                    self.decide(&entry).await?;
                }
            }
            self.seq = last;
        }
    }

    /// An input of the world: a refusal means that nobody waits for it any more.
    async fn tell(&mut self, kind: InputKind) -> Result<(), Broken> {
        if let Err(refusal) = self.feed(kind, None).await? {
            tracing::debug!("{refusal}");
        }
        Ok(())
    }

    /// Gives the run an input and carries out what follows, in order; the first that fails ends the turn.
    async fn feed(
        &mut self,
        kind: InputKind,
        decision: Option<Seq>,
    ) -> Result<Result<(), Refusal>, Broken> {
        let at = self.desk.at();
        let outputs = match self.run.handle(Input { at, kind }) {
            Ok(outputs) => outputs,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for output in outputs {
            self.carry(output, decision).await?;
        }
        Ok(Ok(()))
    }

    async fn carry(&mut self, output: Output, decision: Option<Seq>) -> Result<(), Broken> {
        match output {
            Output::Record(event) => self.event(event, decision).await?,
            Output::Perform(act) | Output::PerformUndo(act) => self.act(act),
            Output::GiveUp(act) => self.cancel(|purpose| purpose == Purpose::Act(act)),
            Output::Hasten(act) => self.hasten(act),
            Output::Check(act) => self.check(act),
            Output::Observe(look) => self.look(look),
            // The question is on record by the events that led to it; the answer comes through the journal.
            Output::Ask(_) => {}
        }
        Ok(())
    }

    async fn event(&mut self, event: RunEvent, decision: Option<Seq>) -> Result<(), Broken> {
        let is_outcome = event.kind.is_outcome();
        let recorded = Recorded {
            run: self.desk.run.clone(),
            token: self.token,
            decision: decision.map(|seq| seq.0),
            event,
        };
        let draft = self.desk.draft(Code::RunEvent, &recorded)?;
        let written = match self.catch_up().await {
            Ok(()) => match self.desk.append(self.token, &draft).await {
                Ok(_) => Ok(()),
                Err(error) => Err(Broken::from(error)),
            },
            Err(broken) => Err(broken),
        };
        if let (Err(Broken::Journal(_)), true) = (&written, is_outcome) {
            self.spool.keep(&draft).await;
        }
        written
    }

    /// Evidence that nothing hangs on: a journal that is away gets it later, a lost lease ends the turn.
    async fn evidence(
        &mut self,
        step: Option<StepId>,
        what: EvidenceKind,
        value: Value,
    ) -> Result<(), Broken> {
        let evidence = evidence(&self.desk, step, what, value);
        let draft = self.desk.draft(Code::Evidence, &evidence)?;
        if self.spool.is_empty() {
            match self.desk.append(self.token, &draft).await {
                Ok(_) => return Ok(()),
                Err(LeaseError::Store(error)) => {
                    tracing::warn!("evidence is not in the journal yet: {error}");
                }
                Err(lost) => return Err(lost.into()),
            }
        }
        // It is away, or what was kept before this has to come first.
        self.spool.keep(&draft).await;
        Ok(())
    }

    async fn say(&mut self, step: StepId, said: Said) -> Result<(), Broken> {
        if self.lines_left == 0 {
            return Ok(());
        }
        self.lines_left -= 1;
        let (what, value) = shown(said);
        self.evidence(Some(step), what, value).await
    }

    fn spawn(&mut self, purpose: Purpose, task: impl Future<Output = Answer> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.purposes.insert(handle.id(), (purpose, handle));
    }

    fn cancel(&mut self, which: impl Fn(Purpose) -> bool) {
        for (purpose, handle) in self.purposes.values() {
            if which(*purpose) {
                handle.abort();
            }
        }
    }

    /// What only waits ends now.
    fn hasten(&self, act: Act) {
        if let Some((of, hasten)) = &self.hasten
            && *of == act
        {
            hasten.ask();
        }
    }

    fn act(&mut self, act: Act) {
        let (hasten, hurry) = Hasten::pair();
        self.hasten = Some((act, hasten));
        let work = Work {
            hurry,
            desk: self.desk.clone(),
            deck: self.deck.clone(),
            befores: self.befores.clone(),
            say: self.voice(act.step),
            act,
        };
        self.spawn(Purpose::Act(act), work.carry_out());
    }

    fn check(&mut self, act: Act) {
        self.cancel(|purpose| matches!(purpose, Purpose::Check(_)));
        let (deck, say) = (self.deck.clone(), self.voice(act.step));
        let before = seen(&self.befores, act.step);
        self.spawn(Purpose::Check(act), async move {
            // Nothing is done before what was seen is durable: without it, nothing was done.
            let finding = match before {
                Some(before) => deck.happened(act.step, before, say).await,
                None => Finding::DidNotHappen,
            };
            Answer::Checked(act, finding)
        });
    }

    fn look(&mut self, look: Look) {
        self.cancel(|purpose| matches!(purpose, Purpose::Look(_)));
        let deck = self.deck.clone();
        let expected = self.run.expected(look.step);
        self.spawn(Purpose::Look(look), async move {
            Answer::Observed(look, deck.observe(expected).await)
        });
    }

    fn voice(&self, step: StepId) -> Say {
        let line = self.line.clone();
        Arc::new(move |said| {
            if line.try_send((step, said)).is_err() {
                tracing::debug!("a line of {step} was left out");
            }
        })
    }

    /// What a task's end means. One that was cancelled means nothing any more.
    fn answer_of(&mut self, done: Result<(Id, Answer), JoinError>) -> Option<Answer> {
        let error = match done {
            Ok((id, answer)) => {
                self.purposes.remove(&id);
                return Some(answer);
            }
            Err(error) => error,
        };
        let (purpose, _) = self.purposes.remove(&error.id())?;
        if error.is_cancelled() {
            return None;
        }
        let fault = Clean::from("a fault in quarterdeck itself broke it off; see its log");
        Some(match purpose {
            Purpose::Act(act) => Answer::Outcome(act, Err(fault)),
            Purpose::Check(act) => Answer::Checked(act, Finding::Unclear(fault)),
            Purpose::Look(look) => Answer::Observed(look, Err(fault)),
        })
    }
}

/// What a step said, as evidence.
fn shown(said: Said) -> (EvidenceKind, Value) {
    match said {
        Said::Line(line) => (EvidenceKind::Said, Value::from(line.as_str())),
        Said::Check(outcome) => {
            let value = serde_json::to_value(&outcome).unwrap_or_default();
            (EvidenceKind::Check, value)
        }
    }
}

/// Tells that there may be something new in the journal.
async fn listen<B: Book>(desk: Arc<Desk<B>>, told: mpsc::Sender<()>) {
    /// After a server was away.
    const LISTEN_AGAIN: Duration = Duration::from_secs(1);
    loop {
        match desk.book.journal().follow().await {
            Ok(mut follow) => {
                while follow.news(HEARTBEAT).await.is_ok() {
                    if told.is_closed() {
                        return;
                    }
                    // One notice that waits is enough.
                    let _ = told.try_send(());
                }
            }
            Err(error) => tracing::warn!("the journal does not tell of news: {error}"),
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}
