//! What the tap has counted.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latency::Latencies;
use crate::domain::{Clean, Timestamp};

/// Failed requests that are told one by one; all are counted.
const LAST_FAILURES_MAX: usize = 20;

/// Gaps that are told one by one; all are counted.
const LAST_GAPS_MAX: usize = 10;

/// Replicas that are told apart; more than this no gateway names.
const REPLICAS_MAX: usize = 100;

/// In which way a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The name did not resolve.
    Name,
    /// Nobody listened, or there was no way there.
    Refused,
    /// The connection ended before the answer.
    Reset,
    /// No answer, or not all of it, within the deadline.
    Timeout,
    /// Answered with a status of 400 and above.
    Status,
    /// The handshake broke, or the certificate is not trusted.
    Tls,
    /// The body ended before its end.
    Truncated,
    /// Answered with something that is no HTTP.
    Garbled,
    /// Not sent: too many were in flight.
    Unsent,
    /// A bug of ours.
    Broken,
}

/// One request that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRequest {
    /// When it was sent.
    pub at: Timestamp,
    pub kind: Failure,
    pub status: Option<u16>,
    /// From when it was due until it had failed.
    pub latency_ms: u64,
    /// Where the answer said who gave it.
    pub replica: Option<Clean>,
}

/// A time during which nothing was sent although it was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When it ended.
    pub at: Timestamp,
    pub ms: u64,
    /// Requests that were due in it.
    pub missed: u64,
}

/// How a tap stands. `sent = answered + failed + in_flight`, always.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TapCount {
    pub sent: u64,
    /// Served: a whole answer with a status below 400.
    pub answered: u64,
    pub failed: u64,
    pub in_flight: u64,
    /// Due and never sent, because we ourselves were held up.
    pub missed: u64,
    /// How often that was.
    pub gaps: u64,
    pub last_gaps: Vec<Gap>,
    /// Of the answered ones, from when they were due. `None` while there are none.
    pub p50_ms: Option<u64>,
    pub p95_ms: Option<u64>,
    pub p99_ms: Option<u64>,
    pub max_ms: Option<u64>,
    pub by_kind: BTreeMap<Failure, u64>,
    /// Answered ones, where the answers say who gave them.
    pub by_replica: BTreeMap<Clean, u64>,
    /// The newest, oldest first.
    pub last_failures: Vec<FailedRequest>,
    /// The first of all: where it began.
    pub first_failure: Option<FailedRequest>,
    /// The tap itself broke and sends no more.
    pub broken: bool,
}

impl TapCount {
    /// What counts against the run's budget: failed requests, and those that are missing.
    pub fn against(&self) -> u64 {
        self.failed + self.missed + u64::from(self.broken)
    }

    /// `0 of 6,214 failed, p99 38 ms`; says what is missing.
    pub fn line(&self) -> Clean {
        self.line_with(None)
    }

    /// `0 of 6,214 failed, at least 2 of 3 serving, p99 38 ms`: with what else was measured meanwhile.
    pub fn line_with(&self, beside: Option<&str>) -> Clean {
        let mut words = vec![format!(
            "{} of {} failed",
            grouped(self.failed),
            grouped(self.sent)
        )];
        if !self.by_kind.is_empty() {
            let kinds: Vec<String> = self
                .by_kind
                .iter()
                .map(|(kind, n)| format!("{} {}", grouped(*n), kind.word()))
                .collect();
            words[0] = format!("{} ({})", words[0], kinds.join(", "));
        }
        words.extend(beside.map(str::to_owned));
        if let Some(p99) = self.p99_ms {
            words.push(format!("p99 {p99} ms"));
        }
        if self.missed > 0 {
            words.push(format!(
                "{} missing in {} gaps",
                grouped(self.missed),
                self.gaps
            ));
        }
        if self.broken {
            words.push("the tap itself broke".to_owned());
        }
        Clean::from(words.join(", "))
    }
}

impl Failure {
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name not found",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timed out",
            Self::Status => "bad status",
            Self::Tls => "TLS",
            Self::Truncated => "truncated",
            Self::Garbled => "garbled",
            Self::Unsent => "not sent",
            Self::Broken => "broken here",
        }
    }
}

/// `6,214`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Rounded up: what took time took at least one.
pub(super) fn millis(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// The counting itself; a [`TapCount`] is its picture.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: u64,
    answered: u64,
    failed: u64,
    missed: u64,
    gaps: u64,
    last_gaps: VecDeque<Gap>,
    latencies: Latencies,
    by_kind: BTreeMap<Failure, u64>,
    by_replica: BTreeMap<Clean, u64>,
    last_failures: VecDeque<FailedRequest>,
    first_failure: Option<FailedRequest>,
}

impl Tally {
    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    pub(super) fn answered(&mut self, latency: Duration, replica: Option<Clean>) {
        self.answered += 1;
        self.latencies.note(latency);
        let Some(replica) = replica else { return };
        if self.by_replica.len() < REPLICAS_MAX || self.by_replica.contains_key(&replica) {
            *self.by_replica.entry(replica).or_default() += 1;
        }
    }

    pub(super) fn failed(&mut self, failed: FailedRequest) {
        self.failed += 1;
        *self.by_kind.entry(failed.kind).or_default() += 1;
        self.first_failure.get_or_insert_with(|| failed.clone());
        push(&mut self.last_failures, failed, LAST_FAILURES_MAX);
    }

    pub(super) fn gap(&mut self, at: Timestamp, late: Duration, missed: u64) {
        self.gaps += 1;
        self.missed += missed;
        let gap = Gap {
            at,
            ms: millis(late),
            missed,
        };
        push(&mut self.last_gaps, gap, LAST_GAPS_MAX);
    }

    pub(super) fn count(&self) -> TapCount {
        let ms = |percent| self.latencies.percentile(percent).map(millis);
        TapCount {
            sent: self.sent,
            answered: self.answered,
            failed: self.failed,
            in_flight: self.sent - self.answered - self.failed,
            missed: self.missed,
            gaps: self.gaps,
            last_gaps: self.last_gaps.iter().copied().collect(),
            p50_ms: ms(50),
            p95_ms: ms(95),
            p99_ms: ms(99),
            max_ms: self.latencies.max().map(millis),
            by_kind: self.by_kind.clone(),
            by_replica: self.by_replica.clone(),
            last_failures: self.last_failures.iter().cloned().collect(),
            first_failure: self.first_failure.clone(),
            broken: false,
        }
    }
}

fn push<T>(list: &mut VecDeque<T>, one: T, most: usize) {
    if list.len() == most {
        list.pop_front();
    }
    list.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(at: u64, kind: Failure) -> FailedRequest {
        FailedRequest {
            at: Timestamp(at),
            kind,
            status: None,
            latency_ms: 1,
            replica: None,
        }
    }

    #[test]
    fn all_are_counted_and_the_newest_are_told() {
        let mut tally = Tally::default();
        for at in 0..100 {
            tally.sent();
            tally.failed(failed(at, Failure::Refused));
        }
        tally.sent();
        let count = tally.count();
        assert_eq!((count.sent, count.failed, count.in_flight), (101, 100, 1));
        assert_eq!(count.by_kind[&Failure::Refused], 100);
        assert_eq!(count.last_failures.len(), LAST_FAILURES_MAX);
        assert_eq!(count.last_failures.last().unwrap().at, Timestamp(99));
        assert_eq!(count.first_failure.unwrap().at, Timestamp(0));
    }

    #[test]
    fn what_is_missing_counts_against_the_run() {
        let mut tally = Tally::default();
        tally.gap(Timestamp(7), Duration::from_secs(3), 150);
        let count = tally.count();
        assert_eq!((count.failed, count.against()), (0, 150));
        assert_eq!(count.line(), "0 of 0 failed, 150 missing in 1 gaps");
    }

    #[test]
    fn the_line_says_it_all() {
        let mut tally = Tally::default();
        for _ in 0..6_214 {
            tally.sent();
            tally.answered(Duration::from_millis(38), None);
        }
        assert_eq!(tally.count().line(), "0 of 6,214 failed, p99 38 ms");
        let beside = Some("at least 2 of 3 serving");
        assert_eq!(
            tally.count().line_with(beside),
            "0 of 6,214 failed, at least 2 of 3 serving, p99 38 ms"
        );
        tally.sent();
        tally.failed(failed(1, Failure::Reset));
        assert_eq!(
            tally.count().line(),
            "1 of 6,215 failed (1 reset), p99 38 ms"
        );
    }

    #[test]
    fn it_can_be_kept_and_read_again() {
        let mut tally = Tally::default();
        tally.sent();
        tally.failed(failed(1, Failure::Tls));
        let count = tally.count();
        let kept = serde_json::to_string(&count).unwrap();
        assert!(kept.contains("\"tls\":1"), "{kept}");
        assert_eq!(serde_json::from_str::<TapCount>(&kept).unwrap(), count);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
