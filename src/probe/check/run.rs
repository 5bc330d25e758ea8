//! `run`: the last good run of a runbook is not too old, and took no longer than it may.
//!
//! A drill that was never held, or ended badly the last time, has proved nothing since.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reach::{PastRun, PastRuns};
use super::seen::{Seen, suits_number, wishes};
use super::{Eyes, Kind};
use crate::domain::{Age, Clean, Expectation, Fault, Timestamp, Unit};

/// A journal of years is read in less.
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its id.
    pub runbook: Clean,
    /// Since the last good run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Expectation>,
    /// From its begin to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Expectation>,
}

impl Run {
    fn seen(&self, past: &PastRuns, now: Timestamp) -> Seen {
        let row = |run: &PastRun| json!({ "run": run.id, "ended": run.ended_at.rfc3339(), "took_ms": run.took_ms });
        let mut seen = Seen {
            got: json!({
                "good": past.good.as_ref().map(row),
                "last": past.last.as_ref().map(|(run, _)| row(run)),
                "last_verdict": past.last.as_ref().map(|(_, verdict)| verdict),
            }),
            ..Seen::default()
        };
        let Some(good) = &past.good else {
            let why = match &past.last {
                None => Clean::from("it has never run"),
                Some((run, verdict)) => Clean::from(format!("the last one, {}, {verdict}", run.id)),
            };
            seen.failures
                .push(format!("no good run of {}: {why}", self.runbook).into());
            return seen;
        };
        let age = now.since(good.ended_at);
        if let Some(expected) = &self.age {
            seen.number("age", age.as_secs_f64(), Unit::Seconds, expected);
        }
        if let Some(expected) = &self.took {
            let took = Duration::from_millis(good.took_ms).as_secs_f64();
            seen.number("took", took, Unit::Seconds, expected);
        }
        seen.note(format!("{} ended well {} ago", good.id, Age(age)));
        // A bad one after it is said: the good one still shows what it showed.
        if let Some((last, verdict)) = &past.last
            && last.id != good.id
        {
            seen.note(format!("since then {} {verdict}", last.id));
        }
        seen
    }
}

impl Kind for Run {
    fn describe(&self) -> Clean {
        let wishes = wishes([("age", self.age.as_ref()), ("took", self.took.as_ref())]);
        Clean::from(format!("the last good run of {}: {wishes}", self.runbook))
    }

    fn problems(&self) -> Vec<Clean> {
        let mut problems: Vec<Clean> = Vec::new();
        if self.runbook.trim().is_empty() {
            problems.push("runbook: no id; write the one of a runbook".into());
        }
        if self.age.is_none() && self.took.is_none() {
            problems.push("nothing is expected; say age, such as \"< 30 d\"".into());
        }
        for (what, expected) in [("age", &self.age), ("took", &self.took)] {
            let expected = expected.as_ref();
            problems.extend(expected.and_then(|e| suits_number(what, e, Unit::Seconds)));
        }
        problems
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        json!({ "journal": "runs", "runbook": self.runbook })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let past = (eyes.reach.runs)(self.runbook.clone()).await?;
        Ok(self.seen(&past, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn run(id: &str, days_ago: u64) -> PastRun {
        PastRun {
            id: id.into(),
            ended_at: Timestamp(100 * DAY_MS - days_ago * DAY_MS),
            took_ms: 600_000,
        }
    }

    #[track_caller]
    fn check(fields: &str, past: &PastRuns, holds: bool) {
        let kind: Run = toml::from_str(&format!("runbook = 'drill'\n{fields}")).unwrap();
        assert_eq!(kind.problems(), Vec::<Clean>::new());
        let seen = kind.seen(past, Timestamp(100 * DAY_MS));
        let all = seen.tests.iter().all(|t| t.expected.holds(&t.measured));
        assert_eq!(all && seen.failures.is_empty(), holds, "{fields}: {seen:?}");
    }

    #[test]
    fn a_drill_counts_while_it_is_fresh_and_was_quick() {
        let good = PastRuns {
            good: Some(run("r-1", 10)),
            last: Some((run("r-2", 1), "ended with a failure".into())),
        };
        check("age = '< 30 d'", &good, true);
        check("age = '< 7 d'", &good, false);
        check("took = '< 15 min'", &good, true);
        check("took = '< 5 min'", &good, false);
    }

    #[test]
    fn one_that_was_never_held_or_never_ended_well_proves_nothing() {
        check("age = '< 30 d'", &PastRuns::default(), false);
        let bad = PastRuns {
            good: None,
            last: Some((run("r-2", 1), "was aborted".into())),
        };
        check("age = '< 30 d'", &bad, false);
    }
}
