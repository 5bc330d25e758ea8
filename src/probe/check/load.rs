//! `load`: requests at a rate, or by so many users at once, through the real gateway.
//!
//! Latencies count from when a request was due. It asks this host and the stack's own endpoints only, and ends itself
//! when it does harm: then the check has failed, and says why.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::hosts;
use super::seen::{Seen, Tested, real, suits_number, wishes};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, FaultKind, Measured, Timestamp, Unit};
use crate::probe::load::even::{P_MIN, evenness};
use crate::probe::load::{self, Harm, Outcome, Plan, RATE_MAX, TIME_MAX, USERS_MAX};
use crate::probe::span;

/// Where nothing is said: long enough to see a p99, short enough to wait for.
const TIME: Duration = Duration::from_secs(10);

/// A person who reads a page.
const PAUSE: Duration = Duration::from_secs(1);

const QUANTILES: [u64; 9] = [10, 25, 50, 75, 90, 95, 98, 99, 100];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Whole, or only a path, which is then asked of the stack's gateway.
    #[serde(default = "front")]
    pub url: Clean,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub head: bool,
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Connections that are open at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// From one request of a user to its next, where there is no rate; `0s`: the next follows the answer.
    #[serde(with = "span", default = "pause")]
    pub pause: Duration,
    #[serde(rename = "for", with = "span", default = "time")]
    pub time: Duration,
    /// Of each request.
    #[serde(with = "span", default = "deadline")]
    pub deadline: Duration,
    /// How many were not served, for whatever reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Expectation>,
    /// The part that was not served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Expectation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<Expectation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<Expectation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<Expectation>,
    /// Served a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Expectation>,
    /// Connections that were open at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Expectation>,
    /// Replicas that served, by the gateway's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Expectation>,
    /// The share of each replica is by chance no other than even.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub even: bool,
    /// It ends itself when a second's part of failed requests is more than this, for some seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm_errors: Option<Expectation>,
    /// As above, of a second's 95th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm_p95: Option<Expectation>,
}

fn front() -> Clean {
    Clean::from("/")
}

fn pause() -> Duration {
    PAUSE
}

fn time() -> Duration {
    TIME
}

fn deadline() -> Duration {
    load::DEADLINE
}

/// The number behind `> 5 %` or `> 2 s`: where it stops to hold.
fn bound(expected: &Expectation) -> Option<f64> {
    let number = expected.as_str().trim_start().strip_prefix('>')?;
    let exactly = Expectation::parse(&format!("=={number}")).ok()?;
    let unit = exactly.natural_unit();
    let digits: String = number
        .trim()
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let plain: f64 = digits.parse().ok()?;
    // The factor of the unit is the one by which it holds.
    [1.0, 0.01, 0.001, 60.0, 3600.0]
        .into_iter()
        .map(|factor| plain * factor)
        .find(|value| exactly.holds(&Measured::Number(*value, unit)))
}

impl Load {
    fn harm(&self) -> Harm {
        let usual = Harm::default();
        let of = |expected: &Option<Expectation>| expected.as_ref().and_then(bound);
        Harm {
            errors: of(&self.harm_errors).unwrap_or(usual.errors),
            slow: of(&self.harm_p95).map_or(usual.slow, Duration::from_secs_f64),
            ..usual
        }
    }

    fn plan(&self) -> Plan {
        Plan {
            head: self.head,
            rate: self.rate,
            users: self.users,
            pause: self.pause,
            time: self.time,
            deadline: self.deadline,
            harm: self.harm(),
        }
    }

    fn expectations(&self) -> [(&'static str, Option<&Expectation>); 8] {
        [
            ("failed", self.failed.as_ref()),
            ("errors", self.errors.as_ref()),
            ("p50", self.p50.as_ref()),
            ("p95", self.p95.as_ref()),
            ("p99", self.p99.as_ref()),
            ("throughput", self.throughput.as_ref()),
            ("open", self.open.as_ref()),
            ("replicas", self.replicas.as_ref()),
        ]
    }

    fn seen(&self, outcome: &Outcome) -> Result<Seen, Fault> {
        let tally = &outcome.tally;
        let mut seen = Seen {
            got: got(outcome),
            ..Seen::default()
        };
        if let Some(why) = &outcome.harmed {
            let after = outcome.took.as_secs();
            seen.failures
                .push(format!("ended after {after} s, because it does harm: {why}").into());
        }
        let all = tally.answered + tally.failed;
        if all == 0 {
            let text = "no request was sent";
            return Err(Fault::new(FaultKind::Broken, text).remedy("let it run longer"));
        }
        let values = [
            (&self.failed, "failed", whole(tally.failed), Unit::Count),
            (
                &self.errors,
                "errors",
                whole(tally.failed) / whole(all),
                Unit::Ratio,
            ),
        ];
        for (expected, what, value, unit) in values {
            if let Some(expected) = expected {
                seen.number(what, value, unit, expected);
            }
        }
        if tally.failed > 0 {
            let missed = |test: &Tested| !test.expected.holds(&test.measured);
            if seen.tests.iter().any(missed) {
                seen.failures.push(kinds(outcome).into());
            } else {
                seen.note(kinds(outcome));
            }
        }
        for (expected, percent) in [(&self.p50, 50), (&self.p95, 95), (&self.p99, 99)] {
            if let Some(expected) = expected {
                let ms = tally.percentile_ms(percent).unwrap_or(f64::NAN);
                seen.number(&format!("p{percent}"), ms, Unit::Milliseconds, expected);
            }
        }
        if let Some(expected) = &self.throughput {
            let each = whole(tally.answered) / outcome.took.as_secs_f64().max(0.001);
            seen.number("throughput", each, Unit::PerSecond, expected);
        }
        if let Some(expected) = &self.open {
            seen.number("open", whole(outcome.open), Unit::Count, expected);
        }
        if let Err(fault) = self.replicas_seen(outcome, &mut seen) {
            // What is bad stays bad, whatever else could not be told.
            let missed = |test: &Tested| !test.expected.holds(&test.measured);
            if seen.failures.is_empty() && !seen.tests.iter().any(missed) {
                return Err(fault);
            }
            seen.failures.push(fault.text);
        }
        seen.note(format!(
            "{all} requests in {:.0} s",
            outcome.took.as_secs_f64()
        ));
        Ok(seen)
    }

    fn replicas_seen(&self, outcome: &Outcome, seen: &mut Seen) -> Result<(), Fault> {
        if self.replicas.is_none() && !self.even {
            return Ok(());
        }
        let by = &outcome.tally.by_replica;
        if by.is_empty() && outcome.tally.answered > 0 {
            let text = "no answer says which replica gave it";
            return Err(Fault::new(FaultKind::Unsupported, text).remedy(
                "let the gateway or the server say so in a header X-Served-By or X-Replica",
            ));
        }
        if let Some(expected) = &self.replicas {
            seen.number("replicas", real(by.len()), Unit::Count, expected);
        }
        if !self.even {
            return Ok(());
        }
        let counts: Vec<u64> = by.values().copied().collect();
        let shares: Vec<String> = by.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let shares = shares.join(", ");
        if let [_] = counts.as_slice() {
            seen.failures
                .push(format!("one replica served all: {shares}").into());
            return Ok(());
        }
        let Some(even) = evenness(&counts) else {
            let text = format!("too few answers to say whether they are spread evenly: {shares}");
            return Err(Fault::new(FaultKind::Missing, text).remedy("let it run longer"));
        };
        if even.p < P_MIN {
            let text = format!(
                "not spread evenly (chi-square {:.1}): {shares}",
                even.chi_square
            );
            seen.failures.push(text.into());
        } else {
            seen.note(format!("spread evenly: {shares}"));
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "requests are far below 2^52")]
fn whole(count: u64) -> f64 {
    count as f64
}

/// `status 3, timeout 1`
fn kinds(outcome: &Outcome) -> String {
    let words: Vec<String> = outcome
        .tally
        .by_kind
        .iter()
        .map(|(kind, count)| {
            let word = serde_json::to_value(kind).unwrap_or_default();
            format!("{} {count}", word.as_str().unwrap_or_default())
        })
        .collect();
    format!("failed by {}", words.join(", "))
}

fn got(outcome: &Outcome) -> Value {
    let tally = &outcome.tally;
    let counts: Vec<u64> = tally.by_replica.values().copied().collect();
    let even = evenness(&counts);
    let quantiles: Vec<(u64, Option<f64>)> = QUANTILES
        .into_iter()
        .map(|percent| (percent, tally.percentile_ms(percent)))
        .collect();
    json!({
        "sent": tally.sent,
        "answered": tally.answered,
        "failed": tally.failed,
        "failed_by": tally.by_kind,
        "by_status": tally.by_status,
        "by_replica": tally.by_replica,
        "chi_square": even.map(|even| even.chi_square),
        "p_even": even.map(|even| even.p),
        "bytes": tally.bytes,
        "reopened": tally.reopened,
        "latency_ms": quantiles,
        "max_ms": tally.max_ms(),
        "open": outcome.open,
        "arrival_ms": outcome.arrival.as_millis(),
        "took_ms": outcome.took.as_millis(),
        "seconds": outcome.seconds,
        "harmed": outcome.harmed,
    })
}

impl Kind for Load {
    fn describe(&self) -> Clean {
        let span = humantime::format_duration(self.time);
        let what = match (self.rate, self.users) {
            (Some(rate), Some(users)) => format!("{rate} requests a second by {users} users"),
            (Some(rate), None) => format!("{rate} requests a second"),
            (None, users) => format!("{} users", users.unwrap_or_default()),
        };
        let mut wishes = wishes(self.expectations());
        if self.even {
            let comma = if wishes.is_empty() { "" } else { ", " };
            wishes = format!("{wishes}{comma}even share");
        }
        Clean::from(format!(
            "load of {what} on {} for {span}: {wishes}",
            self.url
        ))
    }

    fn problems(&self) -> Vec<Clean> {
        let mut problems: Vec<Clean> = Vec::new();
        let url = hosts::url(&self.url, Some(&Clean::from("https://gateway/")));
        problems.extend(url.err().map(|fault| Clean::from(fault.to_string())));
        if self.rate.is_none() && self.users.is_none() {
            problems.push("say rate (requests a second) or users".into());
        }
        let most = [
            ("rate", self.rate, RATE_MAX),
            ("users", self.users, USERS_MAX),
        ];
        for (what, value, most) in most {
            if value.is_some_and(|value| !(1..=most).contains(&value)) {
                problems.push(format!("{what}: choose between 1 and {most}").into());
            }
        }
        if self.time < Duration::from_secs(1) || self.time > TIME_MAX {
            problems.push("for: choose between 1s and 10m".into());
        }
        if self.deadline.is_zero() || self.deadline > Duration::from_mins(1) {
            problems.push("deadline: choose between 1ms and 1m".into());
        }
        if self.pause > self.time {
            problems.push("pause: longer than all of it; make it shorter".into());
        }
        let expectations = self.expectations();
        if !self.even && expectations.iter().all(|(_, wanted)| wanted.is_none()) {
            problems.push("nothing is expected; say failed, errors, p95 or throughput".into());
        }
        for (what, expected) in expectations {
            let unit = match what {
                "errors" => Unit::Ratio,
                "p50" | "p95" | "p99" => Unit::Milliseconds,
                "throughput" => Unit::PerSecond,
                _ => Unit::Count,
            };
            problems.extend(expected.and_then(|expected| suits_number(what, expected, unit)));
        }
        let harms = [
            ("harm_errors", &self.harm_errors, Unit::Ratio, "> 20 %"),
            ("harm_p95", &self.harm_p95, Unit::Seconds, "> 5 s"),
        ];
        for (what, expected, unit, example) in harms {
            let Some(expected) = expected else { continue };
            if bound(expected).is_none() || suits_number(what, expected, unit).is_some() {
                problems.push(format!("{what}: write one such as \"{example}\"").into());
            }
        }
        problems
    }

    fn deadline(&self) -> Duration {
        self.plan().limit()
    }

    fn sent(&self) -> Value {
        json!({
            "method": if self.head { "HEAD" } else { "GET" },
            "url": self.url,
            "rate": self.rate,
            "users": self.users,
            "pause_ms": self.pause.as_millis(),
            "for_ms": self.time.as_millis(),
        })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let url = hosts::url(&self.url, eyes.gateway.as_ref())?;
        let way = hosts::way(url, eyes).await?;
        let outcome = load::run(self.plan(), way, now).await?;
        self.seen(&outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::load::Second;

    fn kind(fields: &str) -> Load {
        let kind: Load = toml::from_str(&format!("url = '/'\n{fields}")).unwrap();
        assert_eq!(kind.problems(), Vec::<Clean>::new(), "{fields}");
        kind
    }

    fn outcome(answered: u64, failed: u64, replicas: &[(&str, u64)]) -> Outcome {
        let mut outcome = Outcome {
            seconds: vec![Second::default()],
            open: 8,
            took: Duration::from_secs(10),
            ..Outcome::default()
        };
        outcome.tally.answered = answered;
        outcome.tally.failed = failed;
        outcome.tally.by_replica = replicas
            .iter()
            .map(|(name, count)| ((*name).into(), *count))
            .collect();
        outcome
    }

    #[track_caller]
    fn check(fields: &str, outcome: &Outcome, holds: bool) {
        let seen = kind(fields).seen(outcome).unwrap();
        let all = seen.tests.iter().all(|t| t.expected.holds(&t.measured));
        assert_eq!(all && seen.failures.is_empty(), holds, "{fields}: {seen:?}");
    }

    #[test]
    fn what_came_of_it_is_compared() {
        let sound = outcome(1000, 0, &[("a", 500), ("b", 500)]);
        check("rate = 100\nfailed = 0", &sound, true);
        check("rate = 100\nfailed = 0", &outcome(999, 1, &[]), false);
        check("rate = 100\nerrors = '< 1 %'", &outcome(999, 1, &[]), true);
        check("users = 8\nopen = 8\nthroughput = '>= 99/s'", &sound, true);
        check("users = 8\nthroughput = '> 101/s'", &sound, false);
        check("rate = 100\neven = true\nreplicas = 2", &sound, true);
        let skewed = outcome(1000, 0, &[("a", 900), ("b", 100)]);
        check("rate = 100\neven = true", &skewed, false);
        check(
            "rate = 100\neven = true",
            &outcome(1000, 0, &[("a", 1000)]),
            false,
        );
        // Nothing was answered, so nothing was quick.
        check("rate = 100\np95 = '< 1 s'", &outcome(0, 10, &[]), false);
    }

    #[test]
    fn what_is_bad_stays_bad_where_the_shares_cannot_be_told() {
        let all_failed = outcome(0, 300, &[]);
        check("rate = 100\nfailed = 0\neven = true", &all_failed, false);
    }

    #[test]
    fn harm_fails_whatever_was_expected() {
        let mut harmed = outcome(1000, 0, &[]);
        harmed.harmed = Some("too slow".into());
        check("rate = 100\nfailed = 0", &harmed, false);
    }

    #[test]
    fn who_is_not_told_who_served_does_not_know() {
        let seen = kind("rate = 100\neven = true").seen(&outcome(1000, 0, &[]));
        assert_eq!(seen.unwrap_err().kind, FaultKind::Unsupported);
    }

    #[test]
    fn bounds_are_found_before_anything_is_sent() {
        for (fields, says) in [
            ("failed = 0", "say rate"),
            ("rate = 0\nfailed = 0", "between 1 and"),
            ("users = 99999\nfailed = 0", "between 1 and"),
            ("rate = 5\nfor = '1h'\nfailed = 0", "for:"),
            ("rate = 5", "nothing is expected"),
            ("rate = 5\np95 = '< 5 %'", "p95"),
            ("rate = 5\nfailed = 0\nharm_errors = '< 5 %'", "harm_errors"),
        ] {
            let kind: Load = toml::from_str(&format!("url = '/'\n{fields}")).unwrap();
            let problems = kind.problems();
            assert!(
                problems.iter().any(|p| p.contains(says)),
                "{fields}: {problems:?}"
            );
        }
        let harm =
            kind("rate = 5\nfailed = 0\nharm_errors = '> 5 %'\nharm_p95 = '> 500 ms'").harm();
        assert!((harm.errors - 0.05).abs() < 1e-9);
        assert_eq!(harm.slow, Duration::from_millis(500));
    }
}
