//! One user: a connection, and one request after the other on it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::Shared;
use super::tally::Tally;
use crate::link::dial::DialError;
use crate::link::kept::{Answer, Broke, Kept};
use crate::probe::tap::{Failure, REPLICA_HEADERS};

pub(super) struct Worker {
    kept: Option<Kept>,
    tally: Tally,
}

/// An answer, whatever it says, or why there is none.
type Asked = Result<Answer, Failure>;

impl Worker {
    pub(super) async fn arrive(shared: &Shared) -> Result<Self, Failure> {
        Ok(Self {
            kept: Some(open(shared).await?),
            tally: Tally::default(),
        })
    }

    /// Asks until the time is over or all are told to stop, and says what came of it.
    pub(super) async fn ask(
        mut self,
        shared: Arc<Shared>,
        start: Instant,
        offset: Duration,
    ) -> Tally {
        let plan = &shared.plan;
        let end = start + plan.time;
        let mut own = start + offset;
        let mut alarm = Box::pin(sleep_until(end + plan.deadline));
        loop {
            let due = match plan.rate {
                Some(rate) => {
                    let number = shared.next.fetch_add(1, Ordering::Relaxed);
                    start + after(number, rate)
                }
                None if plan.pause.is_zero() => Instant::now(),
                None => own,
            };
            if due >= end {
                return self.tally;
            }
            if due > Instant::now() {
                sleep_until(due).await;
            }
            own += plan.pause;
            // What was due until now and nobody was free to send is counted in the end.
            if shared.stopped() || Instant::now() >= end {
                return self.tally;
            }
            self.one(&shared, due, &mut alarm).await;
        }
    }

    async fn one(&mut self, shared: &Shared, due: Instant, alarm: &mut Pin<Box<Sleep>>) {
        alarm.as_mut().reset(Instant::now() + shared.plan.deadline);
        let asked = tokio::select! {
            biased;
            asked = self.asked(shared) => asked,
            () = alarm.as_mut() => Err(Failure::Timeout),
        };
        let live = &shared.live;
        let answer = match asked {
            Ok(answer) => answer,
            Err(kind) => {
                self.kept = None;
                live.failed();
                return self.tally.failed(kind, None);
            }
        };
        if answer.status >= 400 {
            live.failed();
            self.tally.failed(Failure::Status, Some(answer.status));
        } else {
            let latency = due.elapsed();
            live.answered(latency > shared.plan.harm.slow);
            self.tally
                .answered(answer.status, answer.body_bytes, latency);
            let header = |name| self.kept.as_ref().and_then(|kept| kept.header(name));
            if let Some(replica) = REPLICA_HEADERS.into_iter().find_map(header) {
                self.tally.by(replica);
            }
        }
        if !answer.keep {
            self.kept = None;
        }
    }

    /// One request. A kept connection that turns out to be closed says nothing about the server: it is asked on another.
    async fn asked(&mut self, shared: &Shared) -> Asked {
        let head = shared.plan.head;
        if let Some(kept) = &mut self.kept {
            match kept.ask(&shared.request, head, None).await {
                Err(Broke::Closed) => {
                    self.kept = None;
                    self.tally.reopened += 1;
                }
                asked => return asked.map_err(|broke| kind_of(&broke)),
            }
        }
        let kept = self.kept.insert(open(shared).await?);
        let asked = kept.ask(&shared.request, head, None).await;
        asked.map_err(|broke| kind_of(&broke))
    }
}

async fn open(shared: &Shared) -> Result<Kept, Failure> {
    match timeout(shared.plan.deadline, shared.way.open(shared.now)).await {
        Ok(opened) => opened.map_err(|broke| kind_of(&broke)),
        Err(_) => Err(Failure::Timeout),
    }
}

/// When the request of this number is due, from the start.
fn after(number: u64, rate: u32) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn kind_of(broke: &Broke) -> Failure {
    match broke {
        Broke::Connect(DialError::Name { .. } | DialError::NameSilent { .. }) => Failure::Name,
        Broke::Connect(DialError::Silent { .. }) => Failure::Timeout,
        Broke::Connect(_) => Failure::Refused,
        Broke::Shake(_) | Broke::Distrust(_) => Failure::Tls,
        Broke::Closed | Broke::Io(_) => Failure::Reset,
        Broke::Truncated => Failure::Truncated,
        Broke::Garbled => Failure::Garbled,
    }
}
