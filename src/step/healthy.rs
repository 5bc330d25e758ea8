//! `healthy`: wait until one container is healthy, and stays so.
//!
//! Two witnesses: the container's own health check, where it has one, and an answer over HTTP at the container's own
//! address, where a port is named. Good N times in a row over a least time: one that flaps is not healthy. Where a port is
//! named it is the answers that are counted, from the first good one, beside the engine's own check: that looks every few
//! seconds only. It must not fail meanwhile, and it must have passed at the end.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::target::{self, Seen, ended, finding};
use super::{Act, Done, Hands};
use crate::domain::{CheckState, Clean, Container, ContainerState, FaultKind};
use crate::engine::{Finding, Repeat, Undo};
use crate::link::fetch::{Bounds, Fetcher};
use crate::probe::ways::ways;

/// A healthy replica answers its health page in milliseconds; one that takes longer is not ready for users.
const ANSWER: Bounds = Bounds {
    total: Duration::from_secs(2),
    body_bytes_max: 64 * 1024,
};

/// While it starts, and when only its own health check is missing: a look costs a millisecond, and what is seen late is
/// lost once per replica.
const EAGER_EVERY: Duration = Duration::from_millis(100);

/// What takes longer than this to start is not made faster by looking.
const EAGER_FOR: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthy {
    /// A container of the project by its name, or a replica: `server-2`.
    pub container: Clean,
    /// Where it is asked over HTTP, at its own address. Without a port only its own health check counts.
    #[serde(default)]
    pub port: Option<u16>,
    /// `/` if there is a port and no path.
    #[serde(default)]
    pub path: Option<Clean>,
    /// So many good answers in a row.
    #[serde(default = "in_a_row")]
    pub in_a_row: u32,
    #[serde(default = "every", with = "super::span")]
    pub every: Duration,
    /// Over at least this time.
    #[serde(default = "min_healthy_time", with = "super::span")]
    pub min_healthy_time: Duration,
    /// If it has not become so within this time, the step has failed.
    #[serde(default = "within", with = "super::span")]
    pub within: Duration,
}

fn in_a_row() -> u32 {
    3
}

fn every() -> Duration {
    Duration::from_secs(1)
}

fn min_healthy_time() -> Duration {
    Duration::from_secs(10)
}

/// As long as a step of this kind gets by itself.
fn within() -> Duration {
    Duration::from_mins(3)
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Good,
    /// It answers, and its own health check has not passed yet.
    Answers(Clean),
    /// What is missing.
    NotYet(Clean),
    /// It will not become healthy by waiting.
    Hopeless(Clean),
}

/// Good looks in a row. Those that came sooner than they were asked for count as one.
#[derive(Debug, Default)]
struct Streak {
    looks: u32,
    since: Option<Instant>,
    counted: Option<Instant>,
}

impl Streak {
    fn take(&mut self, is_good: bool, every: Duration, now: Instant) {
        if !is_good {
            *self = Self::default();
            return;
        }
        self.since.get_or_insert(now);
        if self.counted.is_none_or(|at| now - at >= every) {
            self.looks += 1;
            self.counted = Some(now);
        }
    }

    fn holds(&self, wanted: &Healthy, now: Instant) -> bool {
        let long = self
            .since
            .is_some_and(|since| now - since >= wanted.min_healthy_time);
        long && self.looks >= wanted.in_a_row
    }

    /// Until the next look: soon as long as nothing is to be counted, then as often as it was asked for.
    fn pause(&self, wanted: &Healthy, began: Instant, now: Instant) -> Duration {
        let counts = self.since.is_some() && !self.holds(wanted, now);
        if counts || now - began >= EAGER_FOR {
            return wanted.every;
        }
        wanted.every.min(EAGER_EVERY)
    }
}

impl Healthy {
    async fn look(&self, fetch: &Fetcher, container: &Container, restarts: u32) -> Look {
        if let Some(look) = by_state(container, restarts) {
            return look;
        }
        let missing = by_check(container);
        let starts = container.check == CheckState::Starting;
        match (self.port, missing) {
            (None, None) => Look::Good,
            (Some(port), None) => self.by_answer(fetch, container, port).await,
            (Some(port), Some(missing)) if starts => {
                match self.by_answer(fetch, container, port).await {
                    Look::Good => Look::Answers(missing),
                    other => other,
                }
            }
            (_, Some(missing)) => Look::NotYet(missing),
        }
    }

    async fn by_answer(&self, fetch: &Fetcher, container: &Container, port: u16) -> Look {
        let path = self.path.as_ref().map_or("/", Clean::as_str);
        let nowhere = format!("{} has no address on port {port}", container.replica());
        let mut last = Clean::line(&nowhere);
        for way in ways(container, port, path) {
            match fetch.get(&way, ANSWER).await {
                Ok(answer) if (200..300).contains(&answer.status) => return Look::Good,
                Ok(answer) => {
                    return Look::NotYet(Clean::line(&format!("{way} answers {}", answer.status)));
                }
                Err(fault) => {
                    let goes_on = matches!(fault.kind, FaultKind::Refused | FaultKind::Silent);
                    last = fault.text;
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        Look::NotYet(last)
    }

    /// By what it is judged, for the log.
    fn witnesses(&self, container: &Container) -> &'static str {
        match (self.port, container.check) {
            (None, CheckState::None) => "running; it has no health check, and no port is named",
            (None, _) => "healthy by its health check",
            (Some(_), CheckState::None) => "answering; it has no health check",
            (Some(_), _) => "healthy by its health check and answering",
        }
    }
}

fn by_state(container: &Container, restarts: u32) -> Option<Look> {
    if container.restarts > restarts {
        let text = format!("{}; it was started again meanwhile", ended(container));
        return Some(Look::Hopeless(Clean::line(&text)));
    }
    match container.state {
        ContainerState::Running => None,
        ContainerState::Exited | ContainerState::Dead | ContainerState::Removing => {
            Some(Look::Hopeless(ended(container)))
        }
        ContainerState::Created
        | ContainerState::Paused
        | ContainerState::Restarting
        | ContainerState::Other(_) => {
            let text = format!("{} is {}", container.replica(), container.state.word());
            Some(Look::NotYet(Clean::line(&text)))
        }
    }
}

/// What its own health check misses.
fn by_check(container: &Container) -> Option<Clean> {
    let word = match container.check {
        CheckState::None | CheckState::Healthy => return None,
        CheckState::Starting => "has not passed yet",
        CheckState::Unhealthy => "fails",
    };
    // Looks from before it was started say nothing of it now, and one that passed is no reason.
    let last = container.check_log.last();
    let last = last.filter(|look| look.exit != 0 && look.at >= container.started_at);
    let last = match last {
        Some(look) => format!(": exit {}, {}", look.exit, look.output.trim()),
        None => String::new(),
    };
    Some(Clean::line(&format!(
        "the health check of {} {word}{last}",
        container.replica()
    )))
}

impl Act for Healthy {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Wait until {} is healthy {} times in a row over {}",
            self.container,
            self.in_a_row,
            humantime::format_duration(self.min_healthy_time)
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    /// It changes nothing.
    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        target::keep(&Seen::of(&target::find(hands, &self.container).await?))
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen = Seen::read(before)?;
        let fetch = Fetcher::default();
        let began = Instant::now();
        let restarts = seen.again(hands).await?.restarts;
        let mut streak = Streak::default();
        let mut missing = Clean::default();
        loop {
            let container = seen.again(hands).await?;
            let look = self.look(&fetch, &container, restarts).await;
            let is_good = matches!(look, Look::Good | Look::Answers(_));
            let is_whole = look == Look::Good;
            streak.take(is_good, self.every, Instant::now());
            match look {
                Look::Hopeless(why) => return Err(why),
                // Said when it changes: the deadline may cut this off at any moment.
                Look::NotYet(why) | Look::Answers(why) if why != missing => {
                    (hands.say)(why.clone());
                    missing = why;
                }
                Look::NotYet(_) | Look::Answers(_) | Look::Good => {}
            }
            if is_whole && streak.holds(self, Instant::now()) {
                let said = format!(
                    "{} {} ({} in a row, after {:.1} s)",
                    seen.replica,
                    self.witnesses(&container),
                    streak.looks,
                    began.elapsed().as_secs_f64()
                );
                return Ok(Done {
                    said: Clean::line(&said),
                });
            }
            if began.elapsed() >= self.within {
                let within = humantime::format_duration(self.within);
                let text = match missing.as_str() {
                    "" => format!(
                        "{} was not healthy for long enough within {within}",
                        seen.replica
                    ),
                    missing => format!("not healthy within {within}: {missing}"),
                };
                return Err(Clean::line(&text));
            }
            sleep(streak.pause(self, began, Instant::now())).await;
        }
    }

    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    /// Healthy at this one look is not healthy over a time: only that it is not can be told at once.
    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looking = async {
            let container = Seen::read(before)?.again(hands).await?;
            match self
                .look(&Fetcher::default(), &container, container.restarts)
                .await
            {
                Look::Good => Ok(true),
                Look::NotYet(why) | Look::Answers(why) | Look::Hopeless(why) => {
                    (hands.say)(why);
                    Ok(false)
                }
            }
        };
        match looking.await {
            Ok(true) => Finding::Unclear(Clean::line(&format!(
                "{} is healthy now; whether it stays so was not waited for",
                self.container
            ))),
            other => finding(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(in_a_row: u32, over: u64) -> Healthy {
        Healthy {
            container: Clean::from("server-1"),
            port: None,
            path: None,
            in_a_row,
            every: every(),
            min_healthy_time: Duration::from_secs(over),
            within: within(),
        }
    }

    #[track_caller]
    fn check(wanted: &Healthy, looks: &[bool], holds: bool) {
        let start = Instant::now();
        let mut streak = Streak::default();
        let mut now = start;
        for (at, is_good) in (0..).zip(looks) {
            now = start + Duration::from_secs(at);
            streak.take(*is_good, wanted.every, now);
        }
        assert_eq!(streak.holds(wanted, now), holds, "{looks:?}");
    }

    #[test]
    fn one_that_flaps_begins_anew() {
        check(&wanted(3, 0), &[true, true, true], true);
        check(&wanted(3, 0), &[true, true, false, true, true], false);
        check(&wanted(3, 0), &[true, true, false, true, true, true], true);
    }

    #[test]
    fn good_looks_in_no_time_do_not_count() {
        check(&wanted(2, 3), &[true, true, true], false);
        check(&wanted(2, 3), &[true, true, true, true], true);
        check(&wanted(1, 0), &[], false);
    }

    #[test]
    fn looks_that_come_sooner_than_asked_for_count_as_one() {
        let (start, wanted) = (Instant::now(), wanted(3, 0));
        let mut streak = Streak::default();
        for tenth in 0..10 {
            let now = start + Duration::from_millis(tenth * 100);
            streak.take(true, wanted.every, now);
            assert!(!streak.holds(&wanted, now), "after {tenth} tenths");
        }
        for second in 1..3 {
            streak.take(true, wanted.every, start + Duration::from_secs(second));
        }
        assert!(streak.holds(&wanted, start + Duration::from_secs(2)));
    }

    #[test]
    fn it_is_looked_at_often_while_it_starts_and_as_asked_for_while_it_is_counted() {
        let (start, wanted) = (Instant::now(), wanted(2, 0));
        let mut streak = Streak::default();
        assert_eq!(streak.pause(&wanted, start, start), EAGER_EVERY);
        let late = start + EAGER_FOR;
        assert_eq!(streak.pause(&wanted, start, late), wanted.every);
        streak.take(true, wanted.every, start);
        assert_eq!(streak.pause(&wanted, start, start), wanted.every);
        // Only its own health check is missing now.
        let then = start + wanted.every;
        streak.take(true, wanted.every, then);
        assert_eq!(streak.pause(&wanted, start, then), EAGER_EVERY);
    }
}
