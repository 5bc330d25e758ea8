//! The journal's side of the console, on a thread of its own: opens it, follows it, records what the operator decides.
//!
//! Nothing is done that is not on record first: an errand whose entry cannot be written is answered with why, and that
//! is all that happens. A journal that cannot be opened makes the console read-only, openly; it is tried again.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::app::story::{Story, person};
use crate::app::{ENTRIES_MAX, Event, Offer, Parameter, Recording, Source};
use crate::checklist::{Checklist, ItemId, SignOff};
use crate::config::Config;
use crate::domain::{Clean, Fault, Health};
use crate::engine::{Decision, Held, Holder, Phase, Resume, RunId, Target};
use crate::journal::chain::Row;
use crate::journal::{
    Access, Address, Code, Condition, Draft, Entry, Head, Journal, Seq, StoreError,
};
use crate::keys;
use crate::link::docker::Engine;
use crate::runbook::{Document, Kind, Planned};

use super::attesting::{self, Seen};
use super::backstage::Outbox;
use super::clock::Clock;
use super::console::Turn;
use super::driver::past::Past;
use super::driver::{Requester, spawn_driver};
use super::proving;
use super::runbooks::shelf;
use super::scene::Sight;

/// Errands that wait: an operator gives one with each key at most.
const ERRANDS_MAX: usize = 16;
/// Outcomes that wait to be recorded; a check that is faster than the journal waits.
const SEEN_MAX: usize = 16;
/// A page of entries.
const PAGE: u32 = 500;
/// How often the store is looked at although it said nothing: leases change without an entry.
const LOOK_AT_LEAST: Duration = Duration::from_secs(2);
/// A journal that could not be opened is tried again: somebody may have mended it.
const AGAIN: Duration = Duration::from_secs(10);
/// Problems of runbooks that are said; `quarterdeck lint` says all.
const PROBLEMS_SAID: usize = 5;
/// Leaving does not wait longer for the entry that says so.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the console asks for.
#[derive(Debug)]
pub(super) enum Errand {
    Arm {
        reason: Clean,
    },
    Disarm,
    Decide {
        code: Code,
        decision: Decision,
    },
    Plan {
        runbook: Clean,
        answers: BTreeMap<Clean, Clean>,
    },
    Start {
        planned: Box<Planned>,
        reason: Clean,
    },
    /// Make the checks of these items of a checklist, and put what they saw on record.
    Prove {
        list: Box<Checklist>,
        items: Vec<ItemId>,
    },
    /// Put a signature or a waiver on record.
    SignOff(Box<SignOff>),
    /// Start a driver again for a run that has none.
    TakeUp {
        run: RunId,
        reason: Clean,
    },
}

/// What the clerk goes by.
pub(super) struct Desk {
    /// Where the journal lies, or why that is not known.
    pub address: Result<Address, Clean>,
    pub requester: Requester,
    pub config: Config,
    pub project: Option<String>,
    pub engine: Engine,
    pub clock: Clock,
}

/// The thread of the journal. Dropping it records the end of the session and closes the store.
pub(super) struct Clerk {
    errands: Option<mpsc::Sender<Errand>>,
    thread: Option<JoinHandle<()>>,
}

impl Clerk {
    pub(super) fn start(desk: Desk, turns: SyncSender<Turn>) -> Result<Self> {
        let (errands, inbox) = mpsc::channel(ERRANDS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .wrap_err("cannot start the clockwork of the journal")?;
        let outbox = Outbox::new(turns);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                runtime.block_on(work(&Arc::new(desk), inbox, &outbox));
                runtime.shutdown_background();
            })
            .wrap_err("cannot start the thread of the journal")?;
        Ok(Self {
            errands: Some(errands),
            thread: Some(thread),
        })
    }

    /// `false`: the clerk has too much to do, and nothing was taken.
    pub(super) fn send(&self, errand: Errand) -> bool {
        self.errands
            .as_ref()
            .is_some_and(|errands| errands.try_send(errand).is_ok())
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.errands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the journal has panicked");
        }
    }
}

/// Opens the journal until it can be; ends when the console has gone.
async fn work(desk: &Arc<Desk>, mut errands: mpsc::Receiver<Errand>, outbox: &Outbox) {
    offer(desk, outbox).await;
    loop {
        let why = match open(desk).await {
            Ok((journal, recording)) => {
                say_recording(desk, outbox, recording.clone()).await;
                match keep(desk, &journal, &recording, &mut errands, outbox).await {
                    Ok(()) => {
                        farewell(desk, journal, &recording).await;
                        return;
                    }
                    Err(error) => chain(&error),
                }
            }
            Err(why) => why,
        };
        say_recording(desk, outbox, Recording::Closed(why.clone())).await;
        tokio::select! {
            () = refuse(desk, &mut errands, outbox, &why) => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn say_recording(desk: &Desk, outbox: &Outbox, state: Recording) {
    let place = match &desk.address {
        Ok(address) => address.place(),
        Err(_) => Clean::default(),
    };
    outbox.say(Event::Recording { place, state }).await;
}

/// To be written where that is possible, else to be read.
async fn open(desk: &Desk) -> Result<(Journal, Recording), Clean> {
    let address = desk.address.as_ref().map_err(Clone::clone)?;
    match Journal::open(address, Access::Write).await {
        Ok(journal) => {
            let recording = match journal.condition() {
                Condition::Sound => Recording::Open,
                why => Recording::ReadOnly(Clean::from(why.to_string())),
            };
            Ok((journal, recording))
        }
        Err(refused) => {
            let why = chain(&refused);
            match Journal::open(address, Access::Read).await {
                Ok(journal) => Ok((journal, Recording::ReadOnly(why))),
                Err(_) => Err(why),
            }
        }
    }
}

/// Follows the journal and carries out errands; `Ok`: the console has gone.
async fn keep(
    desk: &Arc<Desk>,
    journal: &Journal,
    recording: &Recording,
    errands: &mut mpsc::Receiver<Errand>,
    outbox: &Outbox,
) -> Result<(), StoreError> {
    for notice in journal.notices() {
        tell(desk, outbox, Health::Poor, "journal", &notice.to_string()).await;
    }
    // Listening begins before looking, so that nothing falls between the two.
    let mut follow = journal.follow().await?;
    let most = u32::try_from(ENTRIES_MAX).unwrap_or(u32::MAX);
    let rows = journal.last(most).await?;
    let mut at = Seq(rows
        .last()
        .map_or(0, |row| u64::try_from(row.seq).unwrap_or(0)));
    let mut story = Story::default();
    hear(&mut story, outbox, rows).await;
    if *recording == Recording::Open {
        greet(desk, journal).await?;
    }
    let (tell, mut seen) = mpsc::channel(SEEN_MAX);
    let mut held = None;
    loop {
        at = catch_up(journal, at, &mut story, outbox).await?;
        let now = holders(journal).await?;
        if held.as_ref() != Some(&now) {
            story.hold(now.clone());
            outbox.say(Event::Held(now.clone())).await;
            held = Some(now);
        }
        tokio::select! {
            errand = errands.recv() => match errand {
                Some(Errand::Prove { list, items }) => {
                    attesting::begin(desk, &story, outbox, tell.clone(), *list, items);
                }
                Some(errand) => carry_out(desk, journal, &story, errand, outbox).await,
                None => return Ok(()),
            },
            Some(one) = seen.recv() => keep_seen(desk, journal, one, outbox).await,
            news = follow.news(LOOK_AT_LEAST) => {
                news?;
            }
        }
    }
}

/// Says what came after `at`; returns the last number.
async fn catch_up(
    journal: &Journal,
    mut at: Seq,
    story: &mut Story,
    outbox: &Outbox,
) -> Result<Seq, StoreError> {
    loop {
        let rows = journal.after(at, PAGE).await?;
        let Some(last) = rows.last() else {
            return Ok(at);
        };
        at = Seq(u64::try_from(last.seq).unwrap_or(at.0 + 1));
        hear(story, outbox, rows).await;
    }
}

async fn hear(story: &mut Story, outbox: &Outbox, rows: Vec<Row>) {
    let entries = entries(rows);
    for entry in &entries {
        story.take(entry);
    }
    outbox.say(Event::Journaled(entries)).await;
}

/// What can be read of them. `journal verify` says what is wrong with the others.
fn entries(rows: Vec<Row>) -> Vec<Entry> {
    let readable = rows.into_iter().filter_map(|row| row.record.ok());
    readable.filter_map(|record| record.entry()).collect()
}

async fn holders(journal: &Journal) -> Result<BTreeMap<Target, Holder>, StoreError> {
    let all = journal.tenures().await?.into_iter();
    Ok(all
        .filter_map(|(target, tenure)| Some((target, tenure.holder()?.clone())))
        .collect())
}

async fn greet(desk: &Desk, journal: &Journal) -> Result<(), StoreError> {
    let opened = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
    });
    record(desk, journal, Code::SessionOpened, Clean::default(), opened).await?;
    let file = desk.config.file.as_ref();
    let loaded = json!({
        "file": file.map(|path| Clean::line(&path.to_string_lossy())),
        "stack": desk.config.stack.as_ref().map(|stack| stack.name.clone()),
        "engine": desk.config.engine.address.to_string(),
    });
    record(desk, journal, Code::ConfigLoaded, Clean::default(), loaded).await?;
    Ok(())
}

async fn farewell(desk: &Desk, journal: Journal, recording: &Recording) {
    if *recording == Recording::Open {
        let entry = record(
            desk,
            &journal,
            Code::SessionClosed,
            Clean::default(),
            json!({ "pid": std::process::id() }),
        );
        match tokio::time::timeout(FAREWELL, entry).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!("the end of the session is not recorded: {error}"),
            Err(_) => tracing::warn!("the end of the session is not recorded: no answer"),
        }
    }
    if tokio::time::timeout(FAREWELL, journal.close())
        .await
        .is_err()
    {
        tracing::warn!("the journal was not closed in time");
    }
}

async fn record(
    desk: &Desk,
    journal: &Journal,
    code: Code,
    target: Clean,
    body: Value,
) -> Result<Head, StoreError> {
    let draft = Draft {
        moment: desk.requester.identity.moment(),
        actor: desk.requester.identity.actor.clone(),
        mode: desk.requester.mode,
        code,
        target,
        body,
    };
    journal.append(&draft).await
}

async fn carry_out(
    desk: &Arc<Desk>,
    journal: &Journal,
    story: &Story,
    errand: Errand,
    outbox: &Outbox,
) {
    match errand {
        Errand::Arm { reason } => {
            let body = json!({ "reason": reason });
            match record(desk, journal, Code::SessionArmed, Clean::default(), body).await {
                Ok(_) => {
                    let at = desk.clock.now();
                    outbox.say(Event::Armed { at, reason }).await;
                }
                Err(error) => note(outbox, Health::Bad, "not armed", &error).await,
            }
        }
        Errand::Disarm => {
            let entry = record(
                desk,
                journal,
                Code::SessionDisarmed,
                Clean::default(),
                json!({}),
            );
            if let Err(error) = entry.await {
                let text = "read-only again; that could not be recorded";
                note(outbox, Health::Poor, text, &error).await;
            }
        }
        Errand::Decide { code, decision } => decide(desk, journal, code, &decision, outbox).await,
        Errand::SignOff(said) => sign_off(desk, journal, &said, outbox).await,
        // Begun where the outcomes are heard.
        Errand::Prove { .. } => {}
        Errand::Plan { runbook, answers } => begin_plan(desk, story, outbox, runbook, answers),
        Errand::Start { planned, reason } => {
            let started = start(desk, journal, story, &planned, &reason).await;
            outbox.say(Event::Started(started)).await;
        }
        Errand::TakeUp { run, reason } => {
            let started = take_up(desk, journal, story, &run, &reason).await;
            outbox.say(Event::Started(started)).await;
        }
    }
}

async fn sign_off(desk: &Desk, journal: &Journal, said: &SignOff, outbox: &Outbox) {
    let target = Clean::line(&format!("{}/{}", said.list, said.item));
    let body = serde_json::to_value(said).unwrap_or_default();
    match record(desk, journal, Code::SignedOff, target, body).await {
        Ok(head) => {
            let text = Clean::line(&format!("on record as entry {}", head.seq));
            let health = Health::Good;
            outbox.say(Event::Noted { health, text }).await;
        }
        Err(error) => note(outbox, Health::Bad, "not signed", &error).await,
    }
}

/// An outcome counts when it is on record: then all consoles hear of it.
async fn keep_seen(desk: &Desk, journal: &Journal, seen: Seen, outbox: &Outbox) {
    let kept = proving::record(journal, &desk.requester, &seen.list, &seen.made);
    if let Err(error) = kept.await {
        note(outbox, Health::Bad, "not recorded, so not proven", &error).await;
    }
}

async fn decide(desk: &Desk, journal: &Journal, code: Code, decision: &Decision, outbox: &Outbox) {
    let target = decision.run.0.clone();
    let body = serde_json::to_value(decision).unwrap_or_default();
    match record(desk, journal, code, target, body).await {
        Ok(_) => {
            let text = format!("{}: on record, the driver reads it there", code.word());
            let text = Clean::line(&text);
            let health = Health::Busy;
            outbox.say(Event::Noted { health, text }).await;
        }
        Err(error) => {
            let what = format!("{} is not recorded, so not done", code.word());
            note(outbox, Health::Bad, &what, &error).await;
        }
    }
}

/// Tells which runbooks there are. Those that cannot be read are said: another than meant must not run.
async fn offer(desk: &Desk, outbox: &Outbox) {
    match shelf(&desk.config) {
        Ok(shelf) => {
            for problem in shelf.problems.iter().take(PROBLEMS_SAID) {
                tell(desk, outbox, Health::Poor, "runbooks", &problem.to_string()).await;
            }
            let offers = shelf.books.iter().map(|book| offered(&book.document));
            outbox.say(Event::Offered(offers.collect())).await;
        }
        Err(error) => {
            let text = format!("no runbooks: {error:#}");
            tell(desk, outbox, Health::Bad, "runbooks", &text).await;
        }
    }
}

/// A runbook as the console offers it.
fn offered(document: &Document) -> Offer {
    let parameters = document.parameters.iter().map(|parameter| {
        let (source, choices) = match &parameter.kind {
            Kind::Service => (Source::Service, Vec::new()),
            Kind::Replica => (Source::Replica, Vec::new()),
            Kind::Image { .. } => (Source::Image, Vec::new()),
            Kind::Choice { choices } => (Source::Text, choices.clone()),
            Kind::Flag => (Source::Text, ["true", "false"].map(Clean::from).to_vec()),
            Kind::Integer { .. } | Kind::Duration | Kind::Text { .. } => (Source::Text, Vec::new()),
        };
        let is_found = matches!(parameter.kind, Kind::Image { revisions: true });
        Parameter {
            name: parameter.name.clone(),
            help: parameter.help.clone(),
            source,
            is_needed: parameter.default.is_none() && !is_found,
            default: parameter.default.clone(),
            choices,
        }
    });
    Offer {
        id: document.id.clone(),
        title: document.title.clone(),
        risk: document.risk,
        scope: document.scope,
        // A letter that would do something else, or nothing, is not shown.
        key: document.key.filter(|letter| keys::is_free(*letter)),
        parameters: parameters.collect(),
    }
}

/// Plans aside: looking at a stack may take a while, and the journal is followed meanwhile.
fn begin_plan(
    desk: &Arc<Desk>,
    story: &Story,
    outbox: &Outbox,
    runbook: Clean,
    answers: BTreeMap<Clean, Clean>,
) {
    let (desk, story, outbox) = (desk.clone(), story.clone(), outbox.clone());
    tokio::spawn(async move {
        let result = plan(&desk, &story, &runbook, answers).await;
        let at = desk.clock.now();
        let planned = Event::Planned {
            runbook,
            at,
            result: result.map(Box::new),
        };
        outbox.say(planned).await;
    });
}

async fn plan(
    desk: &Desk,
    story: &Story,
    runbook: &Clean,
    answers: BTreeMap<Clean, Clean>,
) -> Result<Planned, Vec<Clean>> {
    let shelf = shelf(&desk.config).map_err(|error| vec![Clean::line(&format!("{error:#}"))])?;
    let book = shelf.find(runbook).map_err(|why| vec![why])?;
    let fault = |fault: Fault| vec![Clean::line(&fault.to_string())];
    let sight = Sight::of(&desk.config, &desk.engine, desk.project.as_deref());
    let sight = sight.await.map_err(fault)?;
    let scene = sight.scene(story, desk.clock.now()).await.map_err(fault)?;
    let answers = answers
        .into_iter()
        .map(|(name, answer)| (name.to_string(), answer.to_string()))
        .collect();
    let by = person(&desk.requester.identity.actor);
    sight
        .plan(&book.document, &answers, scene, by, desk.clock)
        .await
        .map_err(|problems| {
            let lines = problems
                .iter()
                .map(|problem| Clean::line(&problem.to_string()));
            lines.collect()
        })
}

/// Records the plan and the yes, then starts a driver. What was refused is on record too.
async fn start(
    desk: &Desk,
    journal: &Journal,
    story: &Story,
    planned: &Planned,
    reason: &Clean,
) -> Result<RunId, Clean> {
    let plan = &planned.plan;
    journal.preflight().map_err(|error| chain(&error))?;
    let tenure = journal.tenure(&plan.target).await;
    let tenure = tenure.map_err(|error| chain(&error))?;
    if let Some(holder) = tenure.holder()
        && !is_over(story, &holder.run)
    {
        let why = Held(holder.clone()).to_string();
        let refused = desk.requester.refused(journal, plan, &why).await;
        refused.map_err(|error| chain(&error))?;
        return Err(Clean::line(&format!("{} is {why}", plan.target.0)));
    }
    let asked = desk.requester.request(journal, planned).await;
    let (run, asked) = asked.map_err(|error| chain(&error))?;
    let code = Code::DecisionConfirm;
    let said = desk
        .requester
        .decide(journal, code, &run, &plan.id, None, reason)
        .await;
    said.map_err(|error| chain(&error))?;
    drive(desk, &run, asked.seq)
}

fn is_over(story: &Story, run: &RunId) -> bool {
    let run = story.get(run);
    run.is_some_and(|run| matches!(run.state.phase(), Phase::Ended(_)))
}

fn drive(desk: &Desk, run: &RunId, since: Seq) -> Result<RunId, Clean> {
    match spawn_driver(&desk.config, desk.project.as_deref(), run, since) {
        Ok(()) => Ok(run.clone()),
        Err(error) => Err(Clean::line(&format!(
            "run {} is on record, and its driver did not start: {error}; `quarterdeck resume {}` tries again",
            run.0, run.0
        ))),
    }
}

/// A new driver for a run that has none. What would hold it for a word gets this one.
async fn take_up(
    desk: &Desk,
    journal: &Journal,
    story: &Story,
    run: &RunId,
    reason: &Clean,
) -> Result<RunId, Clean> {
    let Some(told) = story.get(run) else {
        return Err(Clean::line(&format!(
            "the journal does not tell of {}",
            run.0
        )));
    };
    let past = Past::read(journal, run, told.seq).await;
    let boot_id = past
        .map_err(|error| chain(&error))?
        .and_then(|past| past.boot_id);
    let restarted = boot_id.is_some_and(|id| id != desk.requester.identity.boot_id);
    let asks = told.plan.resume == Resume::Ask && restarted;
    let begun = told.state.phase() != Phase::New;
    if begun && (told.state.hold().is_some() || asks) {
        let code = Code::DecisionResume;
        let said = desk
            .requester
            .decide(journal, code, run, &told.plan.id, None, reason)
            .await;
        said.map_err(|error| chain(&error))?;
    }
    drive(desk, run, told.seq)
}

/// Answers errands that cannot be carried out, until the console has gone. Planning needs no journal.
async fn refuse(
    desk: &Arc<Desk>,
    errands: &mut mpsc::Receiver<Errand>,
    outbox: &Outbox,
    why: &Clean,
) {
    while let Some(errand) = errands.recv().await {
        let what = match errand {
            Errand::Arm { .. } => "not armed",
            Errand::Disarm => continue,
            Errand::Decide { .. } => "not recorded, so not done",
            Errand::Prove { .. } => "not recorded, so not proven",
            Errand::SignOff(_) => "not recorded, so not signed",
            Errand::Plan { runbook, answers } => {
                begin_plan(desk, &Story::default(), outbox, runbook, answers);
                continue;
            }
            Errand::Start { .. } | Errand::TakeUp { .. } => {
                outbox.say(Event::Started(Err(why.clone()))).await;
                continue;
            }
        };
        let text = Clean::line(&format!("{what}: {why}"));
        let health = Health::Bad;
        outbox.say(Event::Noted { health, text }).await;
    }
}

async fn note(outbox: &Outbox, health: Health, what: &str, error: &StoreError) {
    let text = Clean::line(&format!("{what}: {}", chain(error)));
    outbox.say(Event::Noted { health, text }).await;
}

async fn tell(desk: &Desk, outbox: &Outbox, health: Health, about: &str, text: &str) {
    let told = Event::Told {
        at: desk.clock.now(),
        health,
        about: Clean::from(about),
        text: Clean::line(text),
    };
    outbox.say(told).await;
}

/// An error with its causes, on one line.
fn chain(error: &dyn Error) -> Clean {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    Clean::line(&text)
}
