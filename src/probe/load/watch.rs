//! Who watches the load while it runs: a look each second, and an end to it when it does harm.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::tally::{Second, Tally};
use super::{Harm, Shared};
use crate::domain::{Clean, Unit};
use crate::probe::tap::Failure;

const SECOND: Duration = Duration::from_secs(1);

/// Fewer requests than this in a second are too few to judge by.
const SAMPLE_MIN: u64 = 5;

/// More than one answer in so many is late: the 95th percentile is.
const LATE_OF: u64 = 20;

/// What all workers count while they ask.
#[derive(Debug, Default)]
pub(super) struct Live {
    answered: AtomicU64,
    failed: AtomicU64,
    slow: AtomicU64,
}

impl Live {
    pub(super) fn answered(&self, slow: bool) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if slow {
            self.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// What came since the last time.
    fn second(&self) -> Second {
        Second {
            answered: self.answered.swap(0, Ordering::Relaxed),
            failed: self.failed.swap(0, Ordering::Relaxed),
            slow: self.slow.swap(0, Ordering::Relaxed),
        }
    }
}

/// Until all have ended. Tells them to when harm is done.
pub(super) async fn over(
    shared: &Shared,
    start: Instant,
    asking: &mut JoinSet<Tally>,
    tally: &mut Tally,
) -> (Vec<Second>, Option<Clean>) {
    let (mut seconds, mut harmed, mut in_a_row) = (Vec::new(), None, 0);
    let mut tick = start + SECOND;
    loop {
        tokio::select! {
            ended = asking.join_next() => match ended {
                None => {
                    let last = shared.live.second();
                    if last != Second::default() {
                        seconds.push(last);
                    }
                    return (seconds, harmed);
                }
                Some(Ok(counted)) => tally.add(&counted),
                // A bug of ours has not shown that anything works.
                Some(Err(_)) => tally.never_came(Failure::Broken),
            },
            () = sleep_until(tick) => {
                tick += SECOND;
                let second = shared.live.second();
                seconds.push(second);
                let harm = harm_of(second, shared.plan.harm);
                in_a_row = if harm.is_some() { in_a_row + 1 } else { 0 };
                if in_a_row >= shared.plan.harm.seconds && harmed.is_none() {
                    harmed = harm;
                    shared.stop.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

/// What is wrong with a second, if it is enough to judge by.
#[expect(
    clippy::cast_precision_loss,
    reason = "requests of a second are far below 2^52"
)]
fn harm_of(second: Second, harm: Harm) -> Option<Clean> {
    let all = second.answered + second.failed;
    if all < SAMPLE_MIN {
        return None;
    }
    let errors = second.failed as f64 / all as f64;
    if errors > harm.errors {
        return Some(Clean::from(format!(
            "{} of the requests of a second failed, over {}",
            Unit::Ratio.show(errors),
            Unit::Ratio.show(harm.errors)
        )));
    }
    (second.slow * LATE_OF > all).then(|| {
        let limit = Unit::Milliseconds.show(harm.slow.as_secs_f64() * 1000.0);
        Clean::from(format!("the 95th percentile of a second was over {limit}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answered: u64, failed: u64, slow: u64, harmed: bool) {
        let second = Second {
            answered,
            failed,
            slow,
        };
        let harm = harm_of(second, Harm::default());
        assert_eq!(harm.is_some(), harmed, "{second:?}: {harm:?}");
    }

    #[test]
    fn a_second_is_harm_by_its_errors_or_by_its_slow_answers() {
        check(100, 0, 0, false);
        check(80, 20, 0, false);
        check(79, 21, 0, true);
        check(0, 4, 0, false);
        check(100, 0, 5, false);
        check(100, 0, 6, true);
    }
}
