//! What goes on beside the steps: the guards, and the users' requests. Both tell the loop, and end with it.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::deck::Aside;
use super::engine::{Watched, stand_by};
use crate::domain::{Clean, Timestamp};
use crate::engine::{EvidenceKind, GuardId, Serving};
use crate::probe::check::{Check, Eyes, Outcome, Verdict};
use crate::probe::guard::GuardState;
use crate::probe::tap::{FailedRequest, Tap, TapCount, TapSettings};
use crate::runbook::{Attached, GuardSpec, TAP_GUARD, TapSpec};

/// How often the tap's figures are journaled.
const FIGURES_EVERY: Duration = Duration::from_secs(2);

/// How often the tap is looked at: a failed request stops the run before the next step begins.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The requests in flight have a deadline; this is more.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Failed requests that are journaled one by one; all are counted.
const REQUESTS_MAX: usize = 200;

pub(super) type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Guards and tap of one run. Dropping it ends them.
pub struct Beside {
    /// Dropped when the tap is to end; it answers with its last figures.
    tap: Option<(oneshot::Sender<()>, oneshot::Receiver<Value>)>,
    /// How many replicas served at least, until now.
    serving: watch::Receiver<Option<Serving>>,
    _tasks: JoinSet<()>,
}

impl Beside {
    /// Starts all that the plan wants to be watched. Needs a runtime around it.
    pub(in crate::shell) fn start(
        attached: &Attached,
        eyes: &Eyes,
        now: &Now,
        told: &mpsc::Sender<Aside>,
        watched: Option<Watched>,
    ) -> Result<Self, Clean> {
        let mut tasks = JoinSet::new();
        tasks.spawn(stand_by(eyes.engine.clone(), told.clone()));
        let (seen, serving) = watch::channel(None);
        if let Some(watched) = watched {
            tasks.spawn(watched.count(eyes.clone(), now.clone(), told.clone(), seen));
        }
        let mut poured = None;
        for spec in &attached.guards {
            let check = Check::deserialize(&spec.check).map_err(|error| {
                Clean::line(&format!("the guard {} cannot be read: {error}", spec.id.0))
            })?;
            let watch = watch(spec.clone(), check, eyes.clone(), now.clone(), told.clone());
            tasks.spawn(watch);
        }
        if let Some(spec) = &attached.tap {
            let settings = settings(spec, eyes)?;
            let clock = now.clone();
            let tap = Tap::start(settings, eyes.roots.clone(), move || clock());
            let (end, ended) = oneshot::channel();
            let (last, figures) = oneshot::channel();
            let pour = pour(tap, spec.failures_max, told.clone(), ended, last);
            tasks.spawn(pour);
            poured = Some((end, figures));
        }
        Ok(Self {
            tap: poured,
            serving,
            _tasks: tasks,
        })
    }

    /// How many replicas served at least, where the run is about a service.
    pub fn serving(&self) -> Option<Serving> {
        self.serving.borrow().clone()
    }

    /// Ends the tap and waits for the requests in flight; its last figures, where there is one.
    pub async fn end(mut self) -> Option<Value> {
        let (end, figures) = self.tap.take()?;
        drop(end);
        timeout(END_LIMIT, figures).await.ok()?.ok()
    }
}

fn settings(spec: &TapSpec, eyes: &Eyes) -> Result<TapSettings, Clean> {
    let settings = TapSettings::new(&spec.url, &spec.method, spec.rate);
    let mut settings = settings.map_err(|fault| Clean::from(fault.to_string()))?;
    settings.ca_file.clone_from(&eyes.ca_file);
    Ok(settings)
}

/// Looks for ever; a change of the verdict is journaled, a failure told.
async fn watch(spec: GuardSpec, check: Check, eyes: Eyes, now: Now, told: mpsc::Sender<Aside>) {
    let mut state = GuardState::new(spec.in_a_row);
    let mut last = None;
    let mut beat = interval(spec.every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let outcome = check.run(&eyes, now()).await;
        let failed = state.seen(&outcome);
        if last != Some(outcome.verdict) {
            last = Some(outcome.verdict);
            let seen = Aside::Seen {
                what: EvidenceKind::Guard,
                value: stands(&spec, &outcome, state.streak()),
            };
            if told.send(seen).await.is_err() {
                return;
            }
        }
        let guard = spec.id.clone();
        if let Some(fault) = failed
            && told.send(Aside::Failed { guard, fault }).await.is_err()
        {
            return;
        }
    }
}

/// How a guard stands, as it is journaled.
fn stands(spec: &GuardSpec, outcome: &Outcome, streak: u32) -> Value {
    let verdict = match outcome.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::CouldNotRun => "could_not_run",
    };
    json!({
        "guard": spec.id.0,
        "title": spec.title,
        "verdict": verdict,
        "said": outcome.said,
        "streak": streak,
        "at": outcome.at,
    })
}

/// Tells of the tap: its figures, each request that failed, and that too many have.
async fn pour(
    tap: Tap,
    failures_max: u64,
    told: mpsc::Sender<Aside>,
    mut ended: oneshot::Receiver<()>,
    last: oneshot::Sender<Value>,
) {
    let mut beat = interval(LOOK_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut figures_due = tokio::time::Instant::now();
    let mut failures = Failures::new(failures_max);
    'pouring: loop {
        tokio::select! {
            _ = &mut ended => break 'pouring,
            _ = beat.tick() => {}
        }
        let count = tap.count();
        for request in failures.news(&count) {
            let Ok(value) = serde_json::to_value(request) else {
                continue;
            };
            let what = EvidenceKind::Request;
            if told.send(Aside::Seen { what, value }).await.is_err() {
                break 'pouring;
            }
        }
        if figures_due <= tokio::time::Instant::now() {
            figures_due += FIGURES_EVERY;
            let what = EvidenceKind::Tap;
            let value = figures(&count);
            if told.send(Aside::Seen { what, value }).await.is_err() {
                break 'pouring;
            }
        }
        if let Some(fault) = failures.too_many(&count) {
            let guard = GuardId(Clean::from(TAP_GUARD));
            if told.send(Aside::Failed { guard, fault }).await.is_err() {
                break 'pouring;
            }
        }
    }
    // Who asked may have gone.
    let _ = last.send(figures(&tap.stop().await));
}

/// The figures without the single requests: those are journaled once each.
fn figures(count: &TapCount) -> Value {
    let mut value = serde_json::to_value(count).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("last_failures");
        fields.insert("line".to_owned(), Value::from(count.line().as_str()));
    }
    value
}

/// The figures of the whole run: what an earlier driver had counted, and what this one has. In between nothing was
/// measured; the journal says for how long.
pub fn together(earlier: &Value, now: &Value) -> Value {
    let (Some(before), Some(mut count)) = (read(earlier), read(now)) else {
        return now.clone();
    };
    count.sent += before.sent;
    count.answered += before.answered;
    // Those that were in flight when the earlier driver went were never heard of again.
    count.missed += before.missed + before.in_flight;
    count.sent -= before.in_flight;
    count.failed += before.failed;
    count.gaps += before.gaps + 1;
    count.max_ms = count.max_ms.max(before.max_ms);
    for (kind, n) in before.by_kind {
        *count.by_kind.entry(kind).or_default() += n;
    }
    count.first_failure = before.first_failure.or(count.first_failure);
    figures(&count)
}

/// The same figures, whose line says also how many replicas served.
pub(super) fn beside_serving(tap: &Value, serving: Option<&Serving>) -> Value {
    let (Some(count), Some(serving)) = (read(tap), serving) else {
        return tap.clone();
    };
    let mut value = tap.clone();
    value["line"] = Value::from(count.line_with(Some(&serving.line())).as_str());
    value
}

/// Figures as they were journaled.
fn read(value: &Value) -> Option<TapCount> {
    let mut value = value.clone();
    let fields = value.as_object_mut()?;
    fields.insert("last_failures".to_owned(), json!([]));
    fields.remove("line");
    serde_json::from_value(value).ok()
}

/// What has been told of the failed requests.
struct Failures {
    budget: u64,
    /// So many against us when the run was last held for it.
    held_at: Option<u64>,
    told: usize,
    last: Option<FailedRequest>,
}

impl Failures {
    fn new(budget: u64) -> Self {
        Self {
            budget,
            held_at: None,
            told: 0,
            last: None,
        }
    }

    /// Those that nobody has been told of, oldest first.
    fn news<'c>(&mut self, count: &'c TapCount) -> Vec<&'c FailedRequest> {
        let all = &count.last_failures;
        let known = self
            .last
            .as_ref()
            .and_then(|last| all.iter().rposition(|request| request == last));
        let new = &all[known.map_or(0, |at| at + 1)..];
        let left = REQUESTS_MAX.saturating_sub(self.told);
        let new: Vec<_> = new.iter().take(left).collect();
        self.told += new.len();
        if let Some(last) = all.last() {
            self.last = Some(last.clone());
        }
        new
    }

    /// Once when the budget is spent, and once more for each failure after somebody let the run go on.
    fn too_many(&mut self, count: &TapCount) -> Option<Clean> {
        let against = count.against();
        let limit = self.held_at.unwrap_or(self.budget);
        if count.broken && self.held_at != Some(u64::MAX) {
            self.held_at = Some(u64::MAX);
            return Some(Clean::from("the users' requests are no longer measured"));
        }
        if against <= limit {
            return None;
        }
        self.held_at = Some(against);
        Some(Clean::from(format!(
            "{} of {} requests failed, {} allowed",
            count.failed, count.sent, self.budget
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(failed: u64) -> TapCount {
        TapCount {
            sent: 100,
            answered: 100 - failed,
            failed,
            ..TapCount::default()
        }
    }

    #[test]
    fn a_spent_budget_is_told_once_until_it_gets_worse() {
        let mut failures = Failures::new(1);
        assert_eq!(failures.too_many(&count(1)), None);
        let said = failures.too_many(&count(2)).unwrap();
        assert_eq!(said, "2 of 100 requests failed, 1 allowed");
        assert_eq!(failures.too_many(&count(2)), None);
        assert!(failures.too_many(&count(3)).is_some());
    }

    #[test]
    fn the_figures_of_two_drivers_are_those_of_one_run() {
        let all = together(&figures(&count(2)), &figures(&count(1)));
        let read = read(&all).unwrap();
        assert_eq!((read.sent, read.answered, read.failed), (200, 197, 3));
        assert!(all["line"].as_str().unwrap().starts_with("3 of 200 failed"));
        let nothing = together(&Value::Null, &figures(&count(1)));
        assert_eq!(nothing, figures(&count(1)));
    }

    #[test]
    fn a_tap_that_broke_is_a_failure_not_a_success() {
        let mut failures = Failures::new(10);
        let broken = TapCount {
            broken: true,
            ..count(0)
        };
        assert!(failures.too_many(&broken).is_some());
        assert_eq!(failures.too_many(&broken), None);
    }
}
