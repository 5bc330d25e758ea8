//! Everything that waits, on a thread of its own: the watches, and the search for a stack when none is configured.
//!
//! The console never waits for any of it. Orders go in, turns come out, both through bounded queues.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr};
use tokio::sync::mpsc;

use crate::app::Event;
use crate::config::SecretRef;
use crate::domain::{Clean, ContainerId, EngineEvent, Health, SourceId, Stack};
use crate::journal::Address;
use crate::link::docker::Engine;

use super::accident::Accident;
use super::clock::Clock;
use super::console::Turn;
use super::discover::{DISCOVER_PERIOD, blind, discover};
use super::watches::{Streams, Watches};

/// Orders that wait: an operator gives one with each key at most.
const ORDERS_MAX: usize = 64;
/// How long a full queue of turns is left alone before the next try.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// What the console asks of the watches.
#[derive(Debug)]
pub(super) enum Order {
    Follow(Vec<ContainerId>),
    WantUsage(Vec<ContainerId>),
    Recheck(Option<SourceId>),
}

/// What is to be watched.
pub(super) enum Subject {
    Stack {
        stack: Arc<Stack>,
        /// For its Prometheus.
        token: Option<SecretRef>,
        /// Knows which restores were proven.
        journal: Option<Address>,
    },
    /// Find out: the project of this name, or the one that suits best.
    Discover {
        project: Option<String>,
        here: String,
    },
}

/// The thread behind the console. Dropping it ends the watches.
pub(super) struct Backstage {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Backstage {
    pub(super) fn start(
        engine: Engine,
        subject: Subject,
        clock: Clock,
        turns: SyncSender<Turn>,
        accident: Option<Accident>,
    ) -> Result<Self> {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Files and names are looked up by blocking calls; a few at a time are enough.
            .max_blocking_threads(8)
            .build()
            .wrap_err("cannot start the watches")?;
        let thread = thread::Builder::new()
            .name("watches".to_owned())
            .spawn(move || {
                if let Some(accident) = accident {
                    runtime.spawn(async move { accident.in_worker() });
                }
                runtime.block_on(work(engine, subject, clock, Outbox::new(turns), inbox));
                // A name that does not resolve may still be looked up; nobody waits for that.
                runtime.shutdown_background();
            })
            .wrap_err("cannot start the thread of the watches")?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// Nobody: of a recording nothing can be asked.
    pub(super) fn silent() -> Self {
        Self {
            orders: None,
            thread: None,
        }
    }

    /// Passes an order on. One that finds the queue full is dropped and logged: the next key repeats it.
    pub(super) fn order(&self, order: Order) {
        if let Some(orders) = &self.orders
            && let Err(error) = orders.try_send(order)
        {
            tracing::warn!("the watches are busy: {error}");
        }
    }
}

impl Drop for Backstage {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the watches has panicked");
        }
    }
}

/// The way to the console's loop. Waits where the queue is full: the console is never flooded.
#[derive(Clone)]
pub(super) struct Outbox {
    turns: SyncSender<Turn>,
}

impl Outbox {
    pub(super) fn new(turns: SyncSender<Turn>) -> Self {
        Self { turns }
    }

    /// `false`: the console has gone.
    pub(super) async fn say(&self, event: Event) -> bool {
        self.turn(Turn::App(event)).await
    }

    async fn turn(&self, turn: Turn) -> bool {
        let mut turn = turn;
        loop {
            match self.turns.try_send(turn) {
                Ok(()) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => turn = back,
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }
}

async fn work(
    engine: Engine,
    subject: Subject,
    clock: Clock,
    outbox: Outbox,
    mut orders: mpsc::Receiver<Order>,
) {
    let (stack, token, journal) = match subject {
        Subject::Stack {
            stack,
            token,
            journal,
        } => (stack, token, journal),
        Subject::Discover { project, here } => {
            tokio::select! {
                found = search(&engine, project.as_deref(), &here, clock, &outbox) => match found {
                    Some(stack) => (stack, None, None),
                    None => return,
                },
                () = closed(&mut orders) => return,
            }
        }
    };
    let (watches, streams) = Watches::start(&engine, &stack, token.as_ref(), journal, clock);
    if outbox.turn(Turn::Watching(watches.expected.clone())).await {
        pass_on(&watches, streams, &outbox, &mut orders).await;
    }
}

/// Ends when the console has gone. Orders that come before there is anything to order about are passed over.
async fn closed(orders: &mut mpsc::Receiver<Order>) {
    while orders.recv().await.is_some() {}
}

async fn pass_on(
    watches: &Watches,
    streams: Streams,
    outbox: &Outbox,
    orders: &mut mpsc::Receiver<Order>,
) {
    let Streams {
        mut sightings,
        mut happenings,
        mut batches,
    } = streams;
    loop {
        let alive = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => {
                    carry_out(watches, order);
                    true
                }
                None => false,
            },
            Some(sighting) = sightings.recv() => outbox.say(Event::Sighted(Box::new(sighting))).await,
            Some(happened) = happenings.recv() => match told(happened) {
                Some(event) => outbox.say(event).await,
                None => true,
            },
            Some(lines) = batches.recv() => outbox.say(Event::Logged(lines)).await,
            else => false,
        };
        if !alive {
            return;
        }
    }
}

fn carry_out(watches: &Watches, order: Order) {
    match order {
        Order::Follow(ids) => {
            watches.follow.send_replace(ids);
        }
        Order::WantUsage(ids) => {
            watches.want_usage.send_replace(ids);
        }
        Order::Recheck(only) => watches.recheck(only.as_ref()),
    }
}

/// Of the engine's events only those are news that no reading shows: the readings tell the rest, and truthfully.
pub(super) fn told(event: EngineEvent) -> Option<Event> {
    let health = event.kind.health();
    if health == Health::None {
        return None;
    }
    let about = if event.service.is_empty() {
        Clean::from("engine")
    } else {
        event.service
    };
    Some(Event::Told {
        at: event.at?,
        health,
        about,
        text: event.text,
    })
}

/// Looks for a project until there is one; says what it sees meanwhile. `None`: the console has gone.
async fn search(
    engine: &Engine,
    named: Option<&str>,
    here: &str,
    clock: Clock,
    outbox: &Outbox,
) -> Option<Arc<Stack>> {
    loop {
        let fault = match discover(engine, named, here).await {
            Ok(found) => {
                if let Some(text) = found.others() {
                    let health = Health::None;
                    outbox.say(Event::Noted { health, text }).await;
                }
                let turn = Turn::Found(Box::new(found.stack.clone()));
                return outbox.turn(turn).await.then(|| Arc::new(found.stack));
            }
            Err(fault) => fault,
        };
        let sighting = blind(engine, fault, clock.now());
        if !outbox.say(Event::Sighted(Box::new(sighting))).await {
            return None;
        }
        tokio::time::sleep(DISCOVER_PERIOD).await;
    }
}
