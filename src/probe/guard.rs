//! A check that is watched while a run goes on.
//!
//! What was not seen counts like what was seen to be bad: while something is being changed, missing data is no reason
//! to go on. What follows from a guard that has tripped is the driver's business.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::check::{Check, Eyes, Outcome, Verdict};
use crate::domain::{Clean, Timestamp};

/// A check opens connections: more often than this it is a load of its own.
const EVERY_MIN: Duration = Duration::from_millis(200);

/// One guard, as a runbook names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    pub id: Clean,
    pub check: Check,
    pub every: Duration,
    /// So many failures in a row trip it; at least 1.
    pub in_a_row: u32,
}

impl Guard {
    /// Looks for ever, the first time at once, and tells every outcome; with it why the guard trips when it does. Looks
    /// never overlap: one that takes longer than `every` is followed by the next after a full `every`.
    pub async fn stand(
        &self,
        eyes: &Eyes,
        now: impl Fn() -> Timestamp + Send,
        mut tell: impl FnMut(Outcome, Option<Clean>) + Send,
    ) {
        let mut state = GuardState::new(self.in_a_row);
        let mut ticks = interval(self.every.max(EVERY_MIN));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let outcome = self.check.run(eyes, now()).await;
            let tripped = state.seen(&outcome);
            tell(outcome, tripped);
        }
    }
}

/// How many times in a row a guard's check has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardState {
    in_a_row: u32,
    streak: u32,
}

impl GuardState {
    pub fn new(in_a_row: u32) -> Self {
        Self {
            in_a_row: in_a_row.max(1),
            streak: 0,
        }
    }

    /// Failures in a row until now.
    pub fn streak(self) -> u32 {
        self.streak
    }

    /// Takes one outcome in, and says why the guard trips if it now does.
    ///
    /// After it has tripped it counts anew: a run that a person lets go on is held again by as many failures more.
    pub fn seen(&mut self, outcome: &Outcome) -> Option<Clean> {
        let words = match outcome.verdict {
            Verdict::Pass => {
                self.streak = 0;
                return None;
            }
            Verdict::Fail => "failed",
            Verdict::CouldNotRun => "could not be checked",
        };
        self.streak += 1;
        if self.streak < self.in_a_row {
            return None;
        }
        self.streak = 0;
        let said = &outcome.said;
        let text = match self.in_a_row {
            1 => format!("{words}: {said}"),
            n => format!("{words}, {n} times in a row without a pass: {said}"),
        };
        Some(Clean::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::{blind, read};
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    fn outcome(verdict: Verdict) -> Outcome {
        Outcome {
            verdict,
            said: "p95 612 ms, expected < 500 ms".into(),
            evidence: Value::Null,
            at: Timestamp(0),
            took_ms: 1,
        }
    }

    /// After which of the outcomes does it trip?
    #[track_caller]
    fn check(in_a_row: u32, outcomes: &str, trips: &[usize]) {
        let mut state = GuardState::new(in_a_row);
        let tripped: Vec<usize> = outcomes
            .chars()
            .enumerate()
            .filter(|(_, letter)| state.seen(&outcome(verdict(*letter))).is_some())
            .map(|(n, _)| n)
            .collect();
        assert_eq!(tripped, trips, "{outcomes}");
    }

    fn verdict(letter: char) -> Verdict {
        match letter {
            'p' => Verdict::Pass,
            'f' => Verdict::Fail,
            _ => Verdict::CouldNotRun,
        }
    }

    #[test]
    fn failures_in_a_row_trip_it_and_a_pass_begins_anew() {
        check(3, "ffpff", &[]);
        check(3, "ffpfff", &[5]);
        check(1, "pfp", &[1]);
        check(0, "pf", &[1]);
    }

    #[test]
    fn what_could_not_be_seen_counts_like_a_failure() {
        check(3, "???", &[2]);
        check(3, "f?f", &[2]);
        check(2, "?p?", &[]);
    }

    #[test]
    fn it_trips_again_when_it_goes_on_failing() {
        check(2, "ffffff", &[1, 3, 5]);
    }

    #[test]
    fn it_says_what_was_seen_last() {
        let mut state = GuardState::new(2);
        assert_eq!(state.seen(&outcome(Verdict::Fail)), None);
        assert_eq!(state.streak(), 1);
        assert_eq!(
            state.seen(&outcome(Verdict::CouldNotRun)).unwrap(),
            "could not be checked, 2 times in a row without a pass: p95 612 ms, expected < 500 ms"
        );
    }

    #[tokio::test]
    async fn it_looks_again_and_again_and_says_when_it_trips() {
        let guard = Guard {
            id: "true".into(),
            check: read("kind = 'command'\nargv = ['/bin/false']"),
            every: Duration::ZERO,
            in_a_row: 2,
        };
        let eyes = blind();
        let (tell, mut told) = mpsc::unbounded_channel();
        let stand = guard.stand(
            &eyes,
            || Timestamp(3),
            move |outcome, tripped| tell.send((outcome.verdict, tripped.is_some())).unwrap(),
        );
        let four = async {
            let mut seen = Vec::new();
            while seen.len() < 4 {
                seen.push(told.recv().await.unwrap());
            }
            seen
        };
        let seen = tokio::select! {
            () = stand => unreachable!("it stands for ever"),
            seen = timeout(Duration::from_secs(20), four) => seen.unwrap(),
        };
        let expected = [false, true, false, true].map(|trips| (Verdict::Fail, trips));
        assert_eq!(seen, expected);
    }

    proptest! {
        #[test]
        fn it_never_trips_sooner_than_it_should(in_a_row in 1..6_u32, letters in "[pf?]{0,60}") {
            let mut state = GuardState::new(in_a_row);
            let mut bad = 0;
            for letter in letters.chars() {
                bad = if letter == 'p' { 0 } else { bad + 1 };
                let trips = state.seen(&outcome(verdict(letter))).is_some();
                prop_assert_eq!(trips, bad > 0 && bad % in_a_row == 0);
            }
        }
    }
}
