//! What the driver sees of the engine beside its steps: how many replicas serve, and whether it is still there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::beside::Now;
use super::deck::Aside;
use crate::domain::{CheckState, Clean, ContainerState};
use crate::engine::{EvidenceKind, Serving};
use crate::link::docker::{Engine, Listed};
use crate::probe::check::Eyes;
use crate::runbook::Floor;
use crate::step::{Upstream, drained_of};

/// A replica that is restarted is away for a second or more; a look is one short question.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A list that takes longer is no look.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// How often the engine is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// An engine that is restarted, or upgraded, is back within a minute or two. A driver with nothing to do but to wait for
/// a person goes after this long: whoever comes finds the run as it is, and takes it up when the engine is back.
const GONE_AFTER: Duration = Duration::from_mins(5);

/// Whose replicas are counted, and by what.
pub(in crate::shell) struct Watched {
    pub(in crate::shell) floor: Floor,
    /// The gateway's list: who is left out of it gets no requests, however healthy.
    pub(in crate::shell) upstream: Option<Arc<Upstream>>,
}

impl Watched {
    /// Looks for ever. What is news goes to the journal, all of it to `seen`.
    pub(super) async fn count(
        self,
        eyes: Eyes,
        now: Now,
        told: mpsc::Sender<Aside>,
        seen: watch::Sender<Option<Serving>>,
    ) {
        let mut serving = Serving::new(self.floor.service.clone(), self.floor.of);
        let mut beat = interval(LOOK_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let look = timeout(LOOK_LIMIT, self.look(&eyes)).await;
            let look = look.ok().and_then(Result::ok);
            let is_news = serving.saw(look, now());
            seen.send_replace(Some(serving.clone()));
            if !is_news {
                continue;
            }
            let Ok(value) = serde_json::to_value(&serving) else {
                continue;
            };
            let what = EvidenceKind::Serving;
            if told.send(Aside::Seen { what, value }).await.is_err() {
                return;
            }
        }
    }

    async fn look(&self, eyes: &Eyes) -> Result<u32, Clean> {
        let all = eyes.engine.list(&eyes.stack.name).await;
        let all = all.map_err(|error| Clean::from(error.to_string()))?;
        let service = &self.floor.service;
        let drained = match &self.upstream {
            Some(upstream) => drained_of(upstream, service).await?,
            None => Vec::new(),
        };
        let serving = all.iter().filter(|one| serves(one, service, &drained));
        Ok(serving.count().try_into().unwrap_or(u32::MAX))
    }
}

/// It runs, its own health check has nothing against it, and the gateway sends it requests.
fn serves(one: &Listed, service: &Clean, drained: &[Clean]) -> bool {
    let is_well = one.state == ContainerState::Running
        && matches!(one.check, CheckState::Healthy | CheckState::None);
    let is_listed = !drained.iter().any(|out| is_replica(one, out));
    one.service == *service && !one.one_off && is_well && is_listed
}

/// As `server-2`, or by its name where it has no number.
fn is_replica(one: &Listed, word: &Clean) -> bool {
    match one.number {
        Some(number) => word.as_str() == format!("{}-{number}", one.service),
        None => one.name == *word,
    }
}

/// Asks the engine for ever; tells again and again while it has been away for too long.
pub(super) async fn stand_by(engine: Engine, told: mpsc::Sender<Aside>) {
    let mut answered = Instant::now();
    let mut beat = interval(ASK_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let Err(error) = engine.ping().await else {
            answered = Instant::now();
            continue;
        };
        if answered.elapsed() < GONE_AFTER {
            continue;
        }
        let fault = Clean::from(format!(
            "the engine has not answered for {}: {error}",
            humantime::format_duration(GONE_AFTER)
        ));
        if told.send(Aside::EngineGone { fault }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::docker::Address;

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_is_gone_for_good_is_told_after_a_bounded_time_and_again() {
        let engine = Engine::new(Address::Unix("/nowhere/docker.sock".into()), "/nowhere");
        let (tell, mut told) = mpsc::channel(1);
        let began = Instant::now();
        let task = tokio::spawn(stand_by(engine, tell));
        for _ in 0..2 {
            let Some(Aside::EngineGone { fault }) = told.recv().await else {
                panic!("something else was told");
            };
            assert!(fault.contains("has not answered for 5m"), "{fault}");
        }
        assert!(began.elapsed() >= GONE_AFTER);
        task.abort();
    }
}
