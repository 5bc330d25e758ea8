//! Load: requests at a rate, or by so many users at once, and what came of every one.
//!
//! A request is due when the clock says so, whether or not the earlier ones have come back, and its latency counts from
//! when it was due: a gateway that stands still for a second is seen in every request of that second. What was due and
//! never sent has failed. Connections are kept, as browsers keep them; one that the server closed between two requests
//! is opened anew, which is counted and is no failure.
//!
//! `GET` and `HEAD` only. It is bounded in rate, users and time, and ends itself when it does harm.

pub mod even;
mod tally;
mod watch;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::domain::{Clean, Fault, FaultKind, Timestamp};
use crate::link::kept::Way;
use crate::link::limits;

pub use tally::{Second, Tally};
use watch::Live;
use worker::Worker;

/// Requests a second. A stack that takes more is measured by several of us.
pub const RATE_MAX: u32 = 20_000;

/// Connections at the same time: what one address has ports for, twice over.
pub const USERS_MAX: u32 = 10_000;

/// Longer than this is an endurance test, and wants a machine of its own.
pub const TIME_MAX: Duration = Duration::from_mins(10);

/// Of one request.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Handshakes at the same time while the users come: more would be an attack on the gateway's certificate key.
const ARRIVALS: usize = 64;

/// All users must have come by then.
pub const ARRIVAL_LIMIT: Duration = Duration::from_mins(1);

/// Files of ours beside the connections.
const FILES_BESIDE: u64 = 128;

/// Connections where only a rate is wanted: enough for answers that take a quarter of a second.
const CONNECTIONS_MIN: u32 = 8;
const CONNECTIONS_MAX: u32 = 512;

/// What is sent, how often and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    pub head: bool,
    /// Requests a second of all together; without it each user keeps to its pause.
    pub rate: Option<u32>,
    /// Connections that are held open.
    pub users: Option<u32>,
    /// From one request of a user to its next; zero: the next follows the answer.
    pub pause: Duration,
    pub time: Duration,
    pub deadline: Duration,
    pub harm: Harm,
}

/// When it ends itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Harm {
    /// More of a second's requests failed than this part.
    pub errors: f64,
    /// More than one in twenty of a second's answers took longer.
    pub slow: Duration,
    /// So many seconds in a row.
    pub seconds: u32,
}

impl Default for Harm {
    fn default() -> Self {
        Self {
            errors: 0.2,
            slow: Duration::from_secs(5),
            seconds: 3,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub tally: Tally,
    pub seconds: Vec<Second>,
    /// Connections that were open at the same time before the first request.
    pub open: u64,
    /// How long that took.
    pub arrival: Duration,
    /// From the first request to the last.
    pub took: Duration,
    /// Why it ended itself, if it did.
    pub harmed: Option<Clean>,
}

impl Plan {
    pub fn connections(&self) -> u32 {
        let by_rate = self.rate.unwrap_or(0) / 4;
        self.users
            .unwrap_or_else(|| by_rate.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX))
    }

    /// By then it has ended, whatever the other side does.
    pub fn limit(&self) -> Duration {
        ARRIVAL_LIMIT + self.time + self.deadline * 2 + Duration::from_secs(5)
    }

    fn request(&self, way: &Way) -> Vec<u8> {
        let method = if self.head { "HEAD" } else { "GET" };
        format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: quarterdeck/{}\r\nAccept: */*\r\n\r\n",
            way.url.path,
            way.url.authority(),
            env!("CARGO_PKG_VERSION")
        )
        .into_bytes()
    }
}

/// What all workers go by.
struct Shared {
    way: Way,
    plan: Plan,
    request: Vec<u8>,
    now: Timestamp,
    /// Of the next request, where there is a rate.
    next: AtomicU64,
    stop: AtomicBool,
    live: Live,
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Lets the users come, lets them ask, and counts. Dropping it ends all of it.
pub async fn run(plan: Plan, way: Way, now: Timestamp) -> Result<Outcome, Fault> {
    let connections = plan.connections();
    limits::files_for(u64::from(connections) + FILES_BESIDE)?;
    let shared = Arc::new(Shared {
        request: plan.request(&way),
        way,
        plan,
        now,
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        live: Live::default(),
    });
    let begun = Instant::now();
    let (mut workers, mut arrived) = arrive(&shared, connections).await?;
    let open = workers.len() as u64;
    let arrival = begun.elapsed();
    // Who could not come has failed, and asks nothing.
    if workers.is_empty() {
        return Ok(Outcome {
            tally: arrived,
            arrival,
            ..Outcome::default()
        });
    }
    let start = Instant::now();
    let mut asking = JoinSet::new();
    let spread = u32::try_from(workers.len()).unwrap_or(u32::MAX);
    for (number, worker) in (0_u32..).zip(workers.drain(..)) {
        // Users do not ask in step.
        let offset = shared.plan.pause * number / spread;
        asking.spawn(worker.ask(Arc::clone(&shared), start, offset));
    }
    let (seconds, harmed) = watch::over(&shared, start, &mut asking, &mut arrived).await;
    let took = start.elapsed();
    if let (Some(rate), None) = (shared.plan.rate, &harmed) {
        let due = due_in(rate, shared.plan.time);
        arrived.missed(due.saturating_sub(arrived.sent));
    }
    Ok(Outcome {
        tally: arrived,
        seconds,
        open,
        arrival,
        took,
        harmed,
    })
}

/// Requests of a rate that are due within a time.
fn due_in(rate: u32, time: Duration) -> u64 {
    let nanos = time.as_nanos() * u128::from(rate);
    u64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

/// Opens all connections, a few at a time. Those that do not open are counted by why.
async fn arrive(shared: &Arc<Shared>, count: u32) -> Result<(Vec<Worker>, Tally), Fault> {
    let until = Instant::now() + ARRIVAL_LIMIT;
    let turns = Arc::new(Semaphore::new(ARRIVALS));
    let mut coming = JoinSet::new();
    for _ in 0..count {
        let (shared, turns) = (Arc::clone(shared), Arc::clone(&turns));
        coming.spawn(async move {
            let _turn = turns.acquire_owned().await;
            Worker::arrive(&shared).await
        });
    }
    let (mut workers, mut tally) = (Vec::new(), Tally::default());
    loop {
        match timeout_at(until, coming.join_next()).await {
            Ok(Some(Ok(Ok(worker)))) => workers.push(worker),
            Ok(Some(Ok(Err(kind)))) => tally.never_came(kind),
            Ok(Some(Err(error))) => return Err(Fault::new(FaultKind::Broken, error.to_string())),
            Ok(None) => return Ok((workers, tally)),
            Err(_) => {
                let text = format!(
                    "only {} of {count} users were connected within {ARRIVAL_LIMIT:?}",
                    workers.len()
                );
                return Err(Fault::new(FaultKind::Silent, text)
                    .remedy("ask for fewer users, or from a machine that is nearer"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
