//! A world that is scripted, a journal that dies where it is told to, and people who say things.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quarterdeck::app::story::{RunStory, Story};
use quarterdeck::domain::{Clean, Timestamp};
use quarterdeck::engine::{
    Decision, DriverId, Facts, Finding, Gate, OnFailure, Person, Plan, PlanId, Question, Repeat,
    Requested, Resume, RunId, StepId, StepPlan, Target, Token, Undo, Verdict, Wait,
};
use quarterdeck::journal::{
    Access, Actor, Address, Claims, Code, Draft, Entry, Head, Journal, LeaseError, Mode, Moment,
    Seq, StoreError,
};
use quarterdeck::shell::driver::{Aside, Book, Deck, Desk, DriveError, Left, Owner, Said, Say};
use quarterdeck::step::{Done, Hurry};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

pub(super) const RUN: &str = "r-1";

/// Longer than anything here takes.
pub(super) const LIMIT: Duration = Duration::from_mins(1);

/// What a step of the script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Good,
    Fails,
    /// Never answers; its effect is there.
    Hangs,
    /// The same, and its check cannot tell.
    Doubtful,
    /// It is under way until it is told to go on.
    Waits,
    /// It only looks, for ever, until a person wants the run to end.
    Looks,
    UndoFails,
    Panics,
}

/// The world: what is there, and every act that reached it.
#[derive(Default)]
pub(super) struct World {
    pub(super) acts: Mutex<Vec<(&'static str, u16)>>,
    there: Mutex<BTreeMap<u16, bool>>,
    pub(super) scripts: Mutex<BTreeMap<u16, Script>>,
    pub(super) facts: Mutex<Facts>,
    pub(super) go_on: tokio::sync::Notify,
}

impl World {
    pub(super) fn count(&self, what: &str, step: u16) -> usize {
        let acts = self.acts.lock().unwrap();
        acts.iter()
            .filter(|act| **act == (known(what), step))
            .count()
    }

    pub(super) fn is_there(&self, step: u16) -> bool {
        self.there
            .lock()
            .unwrap()
            .get(&step)
            .copied()
            .unwrap_or(false)
    }

    fn script(&self, step: StepId) -> Script {
        let scripts = self.scripts.lock().unwrap();
        scripts.get(&step.0).copied().unwrap_or(Script::Good)
    }

    fn act(&self, what: &'static str, step: StepId, there: Option<bool>) {
        self.acts.lock().unwrap().push((what, step.0));
        if let Some(there) = there {
            self.there.lock().unwrap().insert(step.0, there);
        }
    }
}

fn known(what: &str) -> &'static str {
    ["before", "perform", "undo", "happened", "observe"]
        .into_iter()
        .find(|word| *word == what)
        .unwrap()
}

/// The world as the driver reaches it; safe steps look first.
pub(super) struct Hand {
    pub(super) world: Arc<World>,
    pub(super) repeat: Repeat,
}

impl Deck for Hand {
    async fn before(&self, step: StepId, _: Say) -> Result<Value, Clean> {
        self.world.act("before", step, None);
        Ok(json!({ "there": self.world.is_there(step.0) }))
    }

    async fn perform(
        &self,
        step: StepId,
        before: Value,
        say: Say,
        hurry: Hurry,
    ) -> Result<Done, Clean> {
        assert_eq!(before["there"], false, "another attempt's look was used");
        if self.repeat == Repeat::Safe && self.world.is_there(step.0) {
            return Ok(Done::default());
        }
        say(Said::Line(Clean::from("at work")));
        match self.world.script(step) {
            Script::Good | Script::UndoFails => {
                self.world.act("perform", step, Some(true));
                let said = Clean::from("done it");
                Ok(Done { said })
            }
            Script::Fails => {
                self.world.act("perform", step, None);
                Err(Clean::from("it does not work"))
            }
            Script::Hangs | Script::Doubtful => {
                self.world.act("perform", step, Some(true));
                std::future::pending().await
            }
            Script::Waits => {
                self.world.act("perform", step, Some(true));
                self.world.go_on.notified().await;
                Ok(Done::default())
            }
            Script::Looks => {
                self.world.act("perform", step, None);
                hurry.asked().await;
                Err(Clean::from("broken off"))
            }
            Script::Panics => panic!("a step with a fault"),
        }
    }

    async fn undo(&self, step: StepId, before: Value, _: Say, _: Hurry) -> Result<Done, Clean> {
        assert_eq!(before["there"], false);
        if self.world.script(step) == Script::UndoFails {
            self.world.act("undo", step, None);
            return Err(Clean::from("it stays"));
        }
        self.world.act("undo", step, Some(false));
        Ok(Done::default())
    }

    async fn happened(&self, step: StepId, _: Value, _: Say) -> Finding {
        self.world.act("happened", step, None);
        if self.world.script(step) == Script::Doubtful {
            return Finding::Unclear(Clean::from("nobody but a person can tell"));
        }
        if self.world.is_there(step.0) {
            Finding::Happened
        } else {
            Finding::DidNotHappen
        }
    }

    async fn observe(&self, expected: Facts) -> Result<Facts, Clean> {
        self.world.act("observe", StepId(0), None);
        let seen = self.world.facts.lock().unwrap();
        let of = |fact: &Clean| Some((fact.clone(), seen.0.get(fact)?.clone()));
        Ok(Facts(expected.0.keys().filter_map(of).collect()))
    }
}

/// Where a process dies, by the number of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    Never,
    Before(usize),
    After(usize),
    /// It does not die: the record is refused once, as by a full disk.
    Refused(usize),
    /// The same from here on.
    Away(usize),
    /// It is written, and the receipt is lost.
    Unheard(usize),
}

/// A journal whose writer dies: it waits for ever, and the test drops it with all its tasks.
pub(super) struct Mortal {
    journal: Journal,
    death: Death,
    written: AtomicUsize,
    died: watch::Sender<bool>,
}

impl Mortal {
    async fn die(&self) {
        self.died.send_replace(true);
        std::future::pending::<()>().await;
    }
}

impl Book for Mortal {
    fn journal(&self) -> &Journal {
        &self.journal
    }

    async fn append(
        &self,
        draft: &Draft,
        target: &Target,
        token: Token,
        now: Timestamp,
    ) -> Result<Head, LeaseError> {
        let n = self.written.fetch_add(1, Ordering::SeqCst);
        let lost = || {
            let place = Clean::from("the test's disk");
            Err(quarterdeck::journal::StoreError::InDoubt { place }.into())
        };
        match self.death {
            Death::Before(at) if at == n => self.die().await,
            Death::Refused(at) if at == n => return lost(),
            Death::Away(at) if at <= n => return lost(),
            _ => {}
        }
        let written = self.journal.append_fenced(draft, target, token, now).await;
        match self.death {
            Death::After(at) if at == n => self.die().await,
            Death::Unheard(at) if at == n => return lost(),
            _ => {}
        }
        written
    }
}

pub(super) struct Stage {
    pub(super) dir: tempfile::TempDir,
    pub(super) world: Arc<World>,
    pub(super) plan: Plan,
    pub(super) repeat: Repeat,
    /// What a clock shows beside the real one: people's patience is not waited for.
    pub(super) ahead_ms: Arc<AtomicU64>,
    pub(super) boot_id: &'static str,
    pub(super) address: Address,
    /// Whether drivers are on a host that keeps what happens while the journal is away.
    pub(super) spools: bool,
    drivers: u32,
}

/// How one driver came to its end.
pub(super) enum Fate {
    Died,
    Left(Result<Left, DriveError>),
}

impl Stage {
    pub(super) fn new(steps: usize, repeat: Repeat) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            address: Address::Sqlite(dir.path().join("journal.db")),
            spools: false,
            dir,
            world: Arc::new(World::default()),
            plan: plan(steps, repeat),
            repeat,
            ahead_ms: Arc::default(),
            boot_id: "boot-1",
            drivers: 0,
        }
    }

    pub(super) fn spool(&self) -> std::path::PathBuf {
        self.dir.path().join("spool")
    }

    pub(super) fn script(&self, step: u16, script: Script) {
        self.world.scripts.lock().unwrap().insert(step, script);
    }

    fn moment(&self) -> impl Fn() -> Moment + Send + Sync + use<> {
        let (ahead, boot_id) = (self.ahead_ms.clone(), Clean::from(self.boot_id));
        move || {
            let wall = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
            let at = u64::try_from(wall).unwrap() + ahead.load(Ordering::SeqCst);
            Moment {
                at: Timestamp(at),
                monotonic_ms: at,
                boot_id: boot_id.clone(),
            }
        }
    }

    /// Time passes at once.
    pub(super) fn later(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap();
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub(super) async fn say(&self, who: &str, code: Code, body: Value) -> Seq {
        let journal = Journal::open(&self.address, Access::Write).await.unwrap();
        let draft = Draft {
            moment: self.moment()(),
            actor: actor(who),
            mode: Mode::Training,
            code,
            target: self.plan.target.0.clone(),
            body,
        };
        // A person tries again when the store is busy with another's record, as it may be on a slow disk.
        let mut head = journal.append(&draft).await;
        for _ in 0..5 {
            if matches!(head, Err(StoreError::Locked { .. })) {
                head = journal.append(&draft).await;
            }
        }
        journal.close().await;
        head.unwrap().seq
    }

    /// Asks for the run, and says yes to it.
    pub(super) async fn request(&self) {
        let requested = Requested {
            run: RunId(RUN.into()),
            plan: self.plan.clone(),
            brief: Value::Null,
        };
        let body = serde_json::to_value(requested).unwrap();
        self.say("ann", Code::RunRequested, body).await;
        self.decide("ann", Code::DecisionConfirm).await;
    }

    pub(super) async fn decide(&self, who: &str, code: Code) -> Seq {
        let decision = Decision {
            run: RunId(RUN.into()),
            plan: Some(self.plan.id.clone()),
            step: None,
            reason: Clean::default(),
        };
        self.say(who, code, serde_json::to_value(decision).unwrap())
            .await
    }

    pub(super) async fn driver(&mut self, death: Death) -> Driver {
        self.drivers += 1;
        let (stop, stopped) = watch::channel(false);
        let (tell, asides) = mpsc::channel(8);
        let (died, dead) = watch::channel(false);
        let book = Mortal {
            journal: Journal::open(&self.address, Access::Write).await.unwrap(),
            death,
            written: AtomicUsize::new(0),
            died,
        };
        let desk = Desk {
            book,
            now: Arc::new(self.moment()),
            actor: actor("driver"),
            mode: Mode::Training,
            run: RunId(RUN.into()),
            target: self.plan.target.clone(),
            driver: DriverId(format!("test/{}", self.drivers).into()),
            spool: self.spools.then(|| self.spool()),
        };
        let owner = Owner {
            desk: Arc::new(desk),
            deck: Arc::new(Hand {
                world: self.world.clone(),
                repeat: self.repeat,
            }),
            asides,
            beside: None,
            stop: stopped,
            since: Seq(0),
        };
        Driver {
            owner: Some(owner),
            dead,
            stop,
            tell,
        }
    }

    /// Runs a driver to its end or its death; a dead one's lease runs out.
    pub(super) async fn run(&mut self, death: Death) -> Fate {
        let driver = self.driver(death).await;
        let fate = Box::pin(driver.live()).await;
        if matches!(fate, Fate::Died) {
            self.later(quarterdeck::engine::LEASE_TTL);
        }
        fate
    }

    /// The same, with somebody who has a step tried again that failed: of a step that may not be repeated, the driver
    /// finds out that nothing was done, and asks.
    pub(super) async fn run_attended(&mut self, death: Death) -> Fate {
        let driver = self.driver(death).await;
        let mut life = Box::pin(driver.live());
        let fate = loop {
            tokio::select! {
                fate = &mut life => break fate,
                () = tokio::time::sleep(Duration::from_millis(80)) => {}
            }
            let story = self.story().await;
            let failed = Wait::Person(Question::Failed {
                step: story.state.current().unwrap_or_default(),
            });
            if story.state.wait(&story.plan) == failed {
                self.decide("ann", Code::DecisionRetry).await;
            }
        };
        if matches!(fate, Fate::Died) {
            self.later(quarterdeck::engine::LEASE_TTL);
        }
        fate
    }

    #[track_caller]
    pub(super) fn ended(fate: Fate) -> Verdict {
        match fate {
            Fate::Left(Ok(Left::Ended(verdict))) => verdict,
            Fate::Left(other) => panic!("{other:?}"),
            Fate::Died => panic!("it died"),
        }
    }

    pub(super) async fn entries(&self) -> Vec<Entry> {
        let journal = Journal::open(&self.address, Access::Read).await.unwrap();
        let rows = journal.after(Seq(0), 10_000).await.unwrap();
        let entries = rows
            .iter()
            .map(|row| row.record.as_ref().unwrap().entry().unwrap());
        let entries = entries.collect();
        journal.close().await;
        entries
    }

    pub(super) async fn story(&self) -> RunStory {
        let mut story = Story::default();
        for entry in self.entries().await {
            story.take(&entry);
        }
        story.find(RUN).unwrap().clone()
    }

    pub(super) async fn is_free(&self) -> bool {
        let journal = Journal::open(&self.address, Access::Read).await.unwrap();
        let tenure = journal.tenure(&self.plan.target).await.unwrap();
        journal.close().await;
        tenure.holder().is_none()
    }

    /// Waits until the world or the journal is as it has to be.
    pub(super) async fn until(&self, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let until = tokio::time::Instant::now() + LIMIT;
        while !is_so(self).await {
            assert!(tokio::time::Instant::now() < until, "it never came");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(super) struct Driver {
    owner: Option<Owner<Mortal, Hand>>,
    dead: watch::Receiver<bool>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) tell: mpsc::Sender<Aside>,
}

impl Driver {
    /// Gives it another run of the same target.
    pub(super) fn takes(&mut self, run: &str) {
        let owner = self.owner.as_mut().unwrap();
        Arc::get_mut(&mut owner.desk).unwrap().run = RunId(run.into());
    }

    pub(super) async fn live(mut self) -> Fate {
        let owner = self.owner.take().unwrap();
        let life = tokio::time::timeout(LIMIT, owner.drive());
        tokio::select! {
            left = life => Fate::Left(left.expect("a driver that never ends")),
            _ = self.dead.wait_for(|dead| *dead) => Fate::Died,
        }
    }

    /// Lives beside the test. Aborting it is its death.
    pub(super) fn start(
        mut self,
    ) -> (
        tokio::task::JoinHandle<Fate>,
        watch::Sender<bool>,
        mpsc::Sender<Aside>,
    ) {
        let (stop, tell) = (self.stop.clone(), self.tell.clone());
        let owner = self.owner.take();
        let driver = Driver { owner, ..self };
        (tokio::spawn(driver.live()), stop, tell)
    }
}

pub(super) fn actor(who: &str) -> Actor {
    let uid = match who {
        "ann" => 1000,
        "bob" => 1001,
        _ => 0,
    };
    Actor {
        uid,
        login_uid: Some(uid),
        user: Clean::from(who),
        claims: Claims::default(),
    }
}

pub(super) fn plan(steps: usize, repeat: Repeat) -> Plan {
    let step = StepPlan {
        title: Clean::from("do it"),
        gate: Gate::Open,
        repeat,
        undo: Undo::Present,
        on_failure: None,
        deadline: Duration::from_secs(30),
        facts: Facts::default(),
        group: Clean::default(),
        act: Value::Null,
    };
    Plan {
        id: PlanId(Clean::from("plan-1")),
        runbook: Clean::from("test"),
        title: Clean::from("Test"),
        target: Target(Clean::from("service/app")),
        parameters: BTreeMap::new(),
        requested_by: Person(Clean::from("ann")),
        on_failure: OnFailure::Stop,
        resume: Resume::Auto,
        patience: Duration::from_hours(1),
        guards: [quarterdeck::engine::GuardId("floor".into())].into(),
        facts: Facts::default(),
        steps: vec![step; steps],
        attached: Value::Null,
    }
}
