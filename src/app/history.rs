//! Figures over time, for sparklines and charts.
//!
//! Time is cut into buckets of [`BUCKET`]; a chart moves on only when a bucket closes, so that a quiet screen stays
//! quiet. A bucket without a look is a gap, never a zero.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::domain::{Clean, ContainerId, Detail, Sighting, Timestamp};

const BUCKET: Duration = Duration::from_secs(5);

/// An hour of traffic.
const TRAFFIC_BUCKETS_MAX: usize = 720;
/// Five minutes of CPU for each container.
const USAGE_BUCKETS_MAX: usize = 60;
/// More replicas than this get no history: memory stays bounded whatever a source reports.
const SERIES_MAX: usize = 1_200;

/// One closed or current bucket.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bucket {
    pub requests_per_s: Option<f32>,
    pub error_ratio: Option<f32>,
    pub p95_ms: Option<f32>,
}

/// Values by bucket, the newest last.
#[derive(Debug, Clone, PartialEq)]
pub struct Series<T> {
    /// Number of the newest bucket since the epoch.
    newest: u64,
    values: VecDeque<Option<T>>,
    most: usize,
}

impl<T: Copy> Series<T> {
    fn new(most: usize) -> Self {
        Self {
            newest: 0,
            values: VecDeque::new(),
            most,
        }
    }

    fn put(&mut self, at: Timestamp, value: T) {
        let number = bucket_number(at);
        if self.values.is_empty() {
            self.newest = number;
            self.values.push_back(Some(value));
            return;
        }
        // Late news for an older bucket changes nothing: the chart has moved on.
        if number < self.newest {
            return;
        }
        let missed = usize::try_from(number - self.newest)
            .unwrap_or(usize::MAX)
            .min(self.most);
        for _ in 0..missed {
            self.values.push_back(None);
        }
        while self.values.len() > self.most {
            self.values.pop_front();
        }
        self.newest = number;
        if let Some(last) = self.values.back_mut() {
            *last = Some(value);
        }
    }

    /// The values of the last `buckets` buckets up to `now`, oldest first; what nobody saw is `None`.
    pub fn last(&self, buckets: usize, now: Timestamp) -> Vec<Option<T>> {
        let ahead =
            usize::try_from(bucket_number(now).saturating_sub(self.newest)).unwrap_or(usize::MAX);
        let mut out = vec![None; buckets];
        for (back, value) in self.values.iter().rev().enumerate() {
            let Some(at) = buckets.checked_sub(1 + back + ahead) else {
                break;
            };
            out[at] = *value;
        }
        out
    }
}

fn bucket_number(at: Timestamp) -> u64 {
    at.0 / u64::try_from(BUCKET.as_millis()).unwrap_or(u64::MAX)
}

/// How much time a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Window {
    #[default]
    Minutes5,
    Minutes15,
    Hour,
}

impl Window {
    pub fn span(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minutes5 => 300,
            Self::Minutes15 => 900,
            Self::Hour => 3600,
        })
    }

    pub fn buckets(self) -> usize {
        usize::try_from(self.span().as_secs() / BUCKET.as_secs()).unwrap_or(usize::MAX)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Minutes5 => "5m",
            Self::Minutes15 => "15m",
            Self::Hour => "1h",
        }
    }

    #[must_use]
    pub fn shorter(self) -> Self {
        match self {
            Self::Hour => Self::Minutes15,
            Self::Minutes15 | Self::Minutes5 => Self::Minutes5,
        }
    }

    #[must_use]
    pub fn longer(self) -> Self {
        match self {
            Self::Minutes5 => Self::Minutes15,
            Self::Minutes15 | Self::Hour => Self::Hour,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// By source name and replica.
    replicas: BTreeMap<(Clean, Clean), Series<Bucket>>,
    /// By source name: all replicas together.
    totals: BTreeMap<Clean, Series<Bucket>>,
    cpu: BTreeMap<ContainerId, Series<f32>>,
}

impl History {
    pub fn replica(&self, source: &Clean, replica: &Clean) -> Option<&Series<Bucket>> {
        self.replicas.get(&(source.clone(), replica.clone()))
    }

    pub fn total(&self, source: &Clean) -> Option<&Series<Bucket>> {
        self.totals.get(source)
    }

    pub fn cpu(&self, container: &ContainerId) -> Option<&Series<f32>> {
        self.cpu.get(container)
    }

    pub(super) fn take(&mut self, sighting: &Sighting) {
        let Ok(reading) = &sighting.result else {
            return;
        };
        match &reading.detail {
            Detail::Traffic(traffic) => {
                let source = &sighting.source.name;
                if traffic.counted.0 > 0 {
                    self.totals
                        .entry(source.clone())
                        .or_insert_with(|| Series::new(TRAFFIC_BUCKETS_MAX))
                        .put(sighting.at, bucket(&traffic.total));
                }
                for replica in traffic
                    .replicas
                    .iter()
                    .filter(|replica| replica.fault.is_none())
                {
                    let key = (source.clone(), replica.replica.clone());
                    if self.replicas.len() < SERIES_MAX || self.replicas.contains_key(&key) {
                        self.replicas
                            .entry(key)
                            .or_insert_with(|| Series::new(TRAFFIC_BUCKETS_MAX))
                            .put(sighting.at, bucket(&replica.flow));
                    }
                }
            }
            Detail::Usage(table) => {
                self.cpu.retain(|id, _| table.by_id.contains_key(id));
                for (id, usage) in table.by_id.iter().take(SERIES_MAX) {
                    if let Some(cpu) = usage.cpu_percent {
                        self.cpu
                            .entry(id.clone())
                            .or_insert_with(|| Series::new(USAGE_BUCKETS_MAX))
                            .put(sighting.at, narrow(cpu));
                    }
                }
            }
            _ => {}
        }
    }
}

fn bucket(flow: &crate::domain::Flow) -> Bucket {
    Bucket {
        requests_per_s: flow.requests_per_s.map(narrow),
        error_ratio: flow.error_ratio().map(narrow),
        p95_ms: flow.p95_ms.filter(|p95| p95.is_finite()).map(narrow),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a chart has fewer dots than an f32 has digits"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bucket: u64) -> Timestamp {
        Timestamp(bucket * 5000 + 100)
    }

    #[test]
    fn a_bucket_nobody_saw_is_a_gap() {
        let mut series = Series::new(10);
        series.put(at(100), 1);
        series.put(at(103), 4);
        assert_eq!(
            series.last(5, at(104)),
            [Some(1), None, None, Some(4), None]
        );
    }

    #[test]
    fn the_last_value_of_a_bucket_counts_and_late_news_is_dropped() {
        let mut series = Series::new(10);
        series.put(at(100), 1);
        series.put(Timestamp(at(100).0 + 3000), 2);
        series.put(at(99), 9);
        assert_eq!(series.last(2, at(100)), [None, Some(2)]);
    }

    #[test]
    fn a_series_never_grows_over_its_bound() {
        let mut series = Series::new(4);
        for n in 0..100 {
            series.put(at(n * 3), n);
        }
        assert_eq!(series.values.len(), 4);
        assert_eq!(series.last(1, at(1000)), [None]);
    }
}
