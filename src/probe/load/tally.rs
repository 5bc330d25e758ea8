//! What was counted: by one user while it asks, and by all of them in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::domain::Clean;
use crate::probe::tap::Failure;
use crate::probe::tap::latency::Latencies;

/// Replicas that are told apart; more than this no gateway names.
const REPLICAS_MAX: usize = 100;

/// `sent = answered + failed`, except for who never came and what was never sent, which have failed only.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub sent: u64,
    /// A whole answer with a status below 400.
    pub answered: u64,
    pub failed: u64,
    /// Connections that the server had closed between two requests.
    pub reopened: u64,
    pub bytes: u64,
    pub by_kind: BTreeMap<Failure, u64>,
    pub by_status: BTreeMap<u16, u64>,
    /// Answered ones, where the answers say who gave them.
    pub by_replica: BTreeMap<Clean, u64>,
    latencies: Latencies,
}

/// One second as it was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Second {
    pub answered: u64,
    pub failed: u64,
    /// Answered, and later than is no harm.
    pub slow: u64,
}

impl Tally {
    pub(super) fn answered(&mut self, status: u16, bytes: u64, latency: Duration) {
        self.sent += 1;
        self.answered += 1;
        self.bytes += bytes;
        *self.by_status.entry(status).or_default() += 1;
        self.latencies.note(latency);
    }

    pub(super) fn by(&mut self, replica: &str) {
        if let Some(count) = self.by_replica.get_mut(replica) {
            *count += 1;
        } else if self.by_replica.len() < REPLICAS_MAX {
            self.by_replica.insert(Clean::line(replica), 1);
        }
    }

    pub(super) fn failed(&mut self, kind: Failure, status: Option<u16>) {
        self.sent += 1;
        self.failed += 1;
        *self.by_kind.entry(kind).or_default() += 1;
        if let Some(status) = status {
            *self.by_status.entry(status).or_default() += 1;
        }
    }

    /// A user who could not connect.
    pub(super) fn never_came(&mut self, kind: Failure) {
        self.failed += 1;
        *self.by_kind.entry(kind).or_default() += 1;
    }

    /// Requests that were due and that nobody was free to send.
    pub(super) fn missed(&mut self, count: u64) {
        if count > 0 {
            self.failed += count;
            *self.by_kind.entry(Failure::Unsent).or_default() += count;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.failed += other.failed;
        self.reopened += other.reopened;
        self.bytes += other.bytes;
        self.latencies.add(&other.latencies);
        for (kind, count) in &other.by_kind {
            *self.by_kind.entry(*kind).or_default() += count;
        }
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        for (replica, count) in &other.by_replica {
            *self.by_replica.entry(replica.clone()).or_default() += count;
        }
    }

    /// The time that so many of a hundred answers did not exceed, from when they were due; `None` without an answer.
    pub fn percentile_ms(&self, percent: u64) -> Option<f64> {
        self.latencies.percentile(percent).map(ms)
    }

    pub fn max_ms(&self) -> Option<f64> {
        self.latencies.max().map(ms)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
