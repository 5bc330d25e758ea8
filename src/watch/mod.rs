//! Look for ever: one supervised task per source.
//!
//! A probe only knows how to look once. When to look, how long to wait and how to back off is decided here, for all of
//! them. The shell spawns these tasks and ends them; the one that follows logs owns its readers, which end with it.
//! **Invariant:** nothing here reads configuration.

pub mod events;
pub mod logs;

use std::any::Any;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use crate::domain::{Fault, FaultKind, Reading, Sighting, SourceId, Timestamp};
use crate::probe::Look;

/// A source that fails is looked at ever less often, but an operator waits for its return.
pub const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// Many wakes in a row become one look: a deploy makes hundreds of events.
pub const WAKE_GAP: Duration = Duration::from_millis(50);
/// So that sources which failed together do not come back together: up to a fifth less.
const JITTER_PER_MILLE: u64 = 200;

/// Looks for ever, until nobody reads `sightings` any more.
///
/// A wake looks at once, [`WAKE_GAP`] after the last look at the earliest. A look over its deadline is a fault, and so
/// is a panic inside it; the probe is looked at again after either.
pub async fn supervise<P: Look>(
    mut probe: P,
    wake: Arc<Notify>,
    clock: impl Fn() -> Timestamp,
    sightings: mpsc::Sender<Sighting>,
) {
    let mut pace = Pace::new(&probe.source());
    loop {
        let begun = Instant::now();
        let result = look(&mut probe, clock()).await;
        let sighting = Sighting {
            source: probe.source(),
            at: clock(),
            took: begun.elapsed(),
            period: probe.period(),
            result,
        };
        let wait = pace.after(probe.period(), sighting.result.is_ok());
        if sightings.send(sighting).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep_until(begun + wait) => {}
            () = wake.notified() => sleep_until(begun + WAKE_GAP).await,
            () = sightings.closed() => return,
        }
        // The look that begins now answers every wake so far.
        let _ = wake.notified().now_or_never();
    }
}

async fn look<P: Look>(probe: &mut P, now: Timestamp) -> Result<Reading, Fault> {
    let deadline = probe.deadline();
    let source = probe.source();
    // A broken look leaves at worst a wrong value in the probe, which the next look replaces.
    let looked = AssertUnwindSafe(async { probe.look(now).await }).catch_unwind();
    match timeout(deadline, looked).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(broken(&source, panic.as_ref())),
        Err(_) => Err(Fault::new(
            FaultKind::Silent,
            format!("no answer from {source} within {deadline:?}"),
        )),
    }
}

fn broken(source: &SourceId, panic: &(dyn Any + Send)) -> Fault {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "no text",
    };
    Fault::new(
        FaultKind::Broken,
        format!("the probe of {source} broke: {text}"),
    )
    .remedy("report this line; it is looked at again")
}

/// How long to wait until the next look.
#[derive(Debug)]
struct Pace {
    faults: u32,
    /// Of a small generator of numbers: the same source waits the same way in every run.
    seed: u64,
}

impl Pace {
    fn new(source: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        Self {
            faults: 0,
            seed: hasher.finish() | 1,
        }
    }

    /// From the begin of this look to the begin of the next.
    fn after(&mut self, period: Duration, well: bool) -> Duration {
        if well {
            self.faults = 0;
            return period;
        }
        self.faults = self.faults.saturating_add(1);
        // Six doublings of a second are more than a minute.
        let doubled = period.saturating_mul(1 << self.faults.min(6));
        let wait = doubled.min(BACKOFF_MAX.max(period));
        self.jittered(wait)
    }

    fn jittered(&mut self, wait: Duration) -> Duration {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let less = u32::try_from(self.seed % JITTER_PER_MILLE).expect("less than a thousand");
        wait.saturating_sub(wait / 1000 * less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clean, Detail, Health, SourceKind};

    /// What a scripted probe does at each look; the last goes on for ever.
    #[derive(Clone, Copy)]
    enum Act {
        Well,
        Refused,
        Hang,
        Panic,
    }

    struct Scripted {
        acts: Vec<Act>,
        looks: usize,
    }

    impl Look for Scripted {
        fn source(&self) -> SourceId {
            SourceId::new(SourceKind::Endpoint, "scripted")
        }

        fn period(&self) -> Duration {
            Duration::from_secs(2)
        }

        async fn look(&mut self, _now: Timestamp) -> Result<Reading, Fault> {
            let act = self.acts[self.looks.min(self.acts.len() - 1)];
            self.looks += 1;
            match act {
                Act::Well => Ok(Reading {
                    health: Health::Good,
                    summary: Clean::line(&self.looks.to_string()),
                    measures: Vec::new(),
                    detail: Detail::None,
                }),
                Act::Refused => Err(Fault::new(FaultKind::Refused, "nobody there")),
                Act::Hang => std::future::pending().await,
                Act::Panic => panic!("index out of reach"),
            }
        }
    }

    /// Starts a supervised probe and returns its sightings and its wake.
    fn start(acts: &[Act]) -> (mpsc::Receiver<Sighting>, Arc<Notify>) {
        let (sender, receiver) = mpsc::channel(64);
        let wake = Arc::new(Notify::new());
        let probe = Scripted {
            acts: acts.to_vec(),
            looks: 0,
        };
        let began = Instant::now();
        let clock = move || Timestamp(0).plus(began.elapsed());
        tokio::spawn(supervise(probe, wake.clone(), clock, sender));
        (receiver, wake)
    }

    async fn fault(receiver: &mut mpsc::Receiver<Sighting>) -> Fault {
        receiver.recv().await.unwrap().result.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_well_source_is_looked_at_once_a_period() {
        let (mut seen, _wake) = start(&[Act::Well]);
        let times: Vec<u64> = [seen.recv().await, seen.recv().await, seen.recv().await]
            .map(|s| s.unwrap().at.0)
            .into();
        assert_eq!(times, [0, 2000, 4000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusing_source_is_looked_at_ever_less_often_but_each_minute() {
        let (mut seen, _wake) = start(&[Act::Refused]);
        let mut times = Vec::new();
        for _ in 0..12 {
            times.push(seen.recv().await.unwrap().at.0);
        }
        let gaps: Vec<u64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        assert!((3200..=4000).contains(&gaps[0]), "{gaps:?}");
        assert!(gaps[..4].is_sorted(), "{gaps:?}");
        assert!(
            gaps[8..].iter().all(|gap| (48_000..=60_000).contains(gap)),
            "{gaps:?}"
        );
        assert!(gaps[8] != gaps[9], "jitter: {gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_source_is_a_fault_after_its_deadline() {
        let (mut seen, _wake) = start(&[Act::Hang, Act::Well]);
        assert_eq!(fault(&mut seen).await.kind, FaultKind::Silent);
        assert!(
            seen.recv().await.unwrap().result.is_ok(),
            "and it is looked at again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_fault_and_the_probe_goes_on() {
        let (mut seen, _wake) = start(&[Act::Panic, Act::Panic, Act::Well]);
        let first = fault(&mut seen).await;
        assert_eq!(first.kind, FaultKind::Broken);
        assert!(first.text.contains("index out of reach"), "{first}");
        assert_eq!(fault(&mut seen).await.kind, FaultKind::Broken);
        assert!(seen.recv().await.unwrap().result.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_looks_at_once_and_many_wakes_look_once() {
        let (mut seen, wake) = start(&[Act::Well]);
        assert_eq!(seen.recv().await.unwrap().at.0, 0);
        for _ in 0..100 {
            wake.notify_one();
        }
        assert_eq!(seen.recv().await.unwrap().at.0, 50, "after the gap");
        let next = seen.recv().await.unwrap().at.0;
        assert!(
            next >= 2050,
            "one look for a hundred wakes, then the period: {next}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_ends_the_wait_of_a_backoff() {
        let (mut seen, wake) = start(&[
            Act::Refused,
            Act::Refused,
            Act::Refused,
            Act::Refused,
            Act::Well,
        ]);
        for _ in 0..4 {
            fault(&mut seen).await;
        }
        let before = Instant::now();
        wake.notify_one();
        assert!(seen.recv().await.unwrap().result.is_ok());
        assert!(before.elapsed() <= WAKE_GAP);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_listening_ends_the_watch() {
        let (sender, receiver) = mpsc::channel(1);
        let probe = Scripted {
            acts: vec![Act::Hang],
            looks: 0,
        };
        drop(receiver);
        let task = tokio::spawn(supervise(probe, Arc::default(), || Timestamp(0), sender));
        timeout(Duration::from_mins(1), task)
            .await
            .unwrap()
            .unwrap();
    }
}
