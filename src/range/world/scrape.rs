//! What Prometheus has seen of the servers, and the alerts that follow from it.

use std::collections::BTreeMap;

use super::{Counters, Ms, Service, World};
use crate::range::figures::{real, real_ms};
use crate::range::promql::{self, Labels, Point, Series, Value};
use crate::range::world::container::{BUCKETS, Histogram};
use crate::range::world::routes::ROUTES;

/// As the reference stack's `prometheus.yml` says.
pub(super) const SCRAPE_EVERY_MS: Ms = 5_000;
/// A quarter of an hour: longer than every range of a rule or a panel.
const SAMPLES_MAX: usize = 180;

/// One scrape of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub at: Ms,
    /// `None`: the target is no longer known to service discovery.
    pub up: Option<bool>,
    /// Absent where the scrape failed.
    pub counters: Option<Counters>,
    pub started: Ms,
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertPhase {
    Inactive,
    Pending,
    Firing,
}

impl AlertPhase {
    pub fn word(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub name: &'static str,
    pub query: &'static str,
    pub for_ms: Ms,
    pub severity: &'static str,
    pub summary: &'static str,
}

/// The alerts that the go-live plan asks for.
pub const RULES: &[Rule] = &[
    Rule {
        name: "HighErrorRate",
        query: "sum(rate(http_requests_total{status=~\"5..\"}[1m])) / sum(rate(http_requests_total[1m])) > 0.05",
        for_ms: 30_000,
        severity: "critical",
        summary: "more than 5 % of the requests fail",
    },
    Rule {
        name: "HighLatency",
        query: "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1m]))) > 0.5",
        for_ms: 30_000,
        severity: "warning",
        summary: "the 95th percentile of the latency is above 500 ms",
    },
    Rule {
        name: "ReplicasMissing",
        query: "count(up{job=\"server\"} == 1) < 3",
        for_ms: 15_000,
        severity: "warning",
        summary: "fewer than 3 servers answer their scrape",
    },
];

/// A rule's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Alerting {
    pub phase: AlertPhase,
    /// Since when the expression is true.
    pub since: Option<Ms>,
    pub value: f64,
}

/// All rules at rest.
pub(super) fn quiet() -> Vec<Alerting> {
    RULES
        .iter()
        .map(|_| Alerting {
            phase: AlertPhase::Inactive,
            since: None,
            value: 0.0,
        })
        .collect()
}

impl World {
    pub(super) fn scrape(&mut self) {
        if self.now.rem_euclid(SCRAPE_EVERY_MS) != 0
            || self.scrape_stalled
            || !self.serves(Service::Prometheus)
        {
            return;
        }
        self.scraped = self.now;
        let seen: Vec<(u8, Sample)> = self
            .of_service(Service::Server)
            .filter_map(|c| {
                let up = c.accepts(self.now);
                let sample = Sample {
                    at: self.now,
                    up: Some(up),
                    counters: up.then(|| c.counters.clone()),
                    started: c.started.unwrap_or_default(),
                    memory_bytes: c.usage.memory_bytes,
                };
                c.host.map(|host| (host, sample))
            })
            .collect();
        self.mark_gone(&seen);
        for (host, sample) in seen {
            let ring = self.samples.entry(host).or_default();
            if ring.len() == SAMPLES_MAX {
                ring.pop_front();
            }
            ring.push_back(sample);
        }
        self.judge_rules();
    }

    fn mark_gone(&mut self, seen: &[(u8, Sample)]) {
        let now = self.now;
        for (host, ring) in &mut self.samples {
            let is_seen = seen.iter().any(|(h, _)| h == host);
            let was_there = ring.back().is_some_and(|s| s.up.is_some());
            if !is_seen && was_there {
                ring.push_back(Sample {
                    at: now,
                    up: None,
                    counters: None,
                    started: 0,
                    memory_bytes: 0,
                });
            }
        }
    }

    fn judge_rules(&mut self) {
        for (at, rule) in RULES.iter().enumerate() {
            let value = match self.query(rule.query, self.now, &|at| real_ms(at) / 1_000.0) {
                Ok(Value::Vector(vector)) => vector.first().map(|(_, value)| *value),
                Ok(Value::Scalar(_)) | Err(_) => None,
            };
            let alert = &mut self.alerts[at];
            match value {
                None => {
                    alert.phase = AlertPhase::Inactive;
                    alert.since = None;
                }
                Some(value) => {
                    let since = *alert.since.get_or_insert(self.now);
                    alert.value = value;
                    alert.phase = if self.now - since >= rule.for_ms {
                        AlertPhase::Firing
                    } else {
                        AlertPhase::Pending
                    };
                }
            }
        }
    }

    /// Answers a `PromQL` expression out of what was scraped. Instances are named `HOST:5000`, with the address' last part only.
    pub fn query(
        &self,
        text: &str,
        at: Ms,
        wall_s: &dyn Fn(Ms) -> f64,
    ) -> Result<Value, promql::QueryError> {
        let source = promql::Source {
            series: &|metric, from| self.series(metric, from),
            wall_s,
        };
        promql::evaluate(text, at, source)
    }

    /// All series of a metric with their points after `from`; empty for a metric that Prometheus does not know.
    fn series(&self, metric: &str, from: Ms) -> Vec<Series> {
        let mut all: BTreeMap<(u8, Key), Vec<Point>> = BTreeMap::new();
        for (host, ring) in &self.samples {
            for sample in ring.iter().filter(|sample| sample.at > from) {
                let at = sample.at;
                for (key, value) in values(sample, metric) {
                    let points = all.entry((*host, key)).or_default();
                    points.push(Point { at, value });
                }
                let is_over = match metric {
                    "up" => sample.up.is_none(),
                    _ => sample.up != Some(true),
                };
                if is_over {
                    stop(&mut all, *host, at);
                }
            }
        }
        all.into_iter()
            .map(|((host, key), points)| Series {
                labels: labels(host, key),
                points,
            })
            .collect()
    }
}

/// A target that cannot be scraped ends its series there: Prometheus' staleness marker.
fn stop(all: &mut BTreeMap<(u8, Key), Vec<Point>>, host: u8, at: Ms) {
    for (_, points) in all.iter_mut().filter(|((h, _), _)| *h == host) {
        points.push(Point {
            at,
            value: promql::STALE,
        });
    }
}

/// What tells the series of one instance apart. Labels are made of it at the end, once per series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Instance,
    Route(usize),
    Status(usize, u16),
    Bucket(usize, usize),
}

fn labels(host: u8, key: Key) -> Labels {
    let mut labels = Labels::from([
        ("instance".to_owned(), format!("{host}:5000")),
        ("job".to_owned(), "server".to_owned()),
    ]);
    let route = match key {
        Key::Instance => None,
        Key::Route(route) => Some(route),
        Key::Status(route, status) => {
            labels.insert("status".into(), status.to_string());
            Some(route)
        }
        Key::Bucket(route, at) => {
            let le = BUCKETS.get(at).map_or("+Inf".into(), ToString::to_string);
            labels.insert("le".into(), le);
            Some(route)
        }
    };
    if let Some(route) = route {
        labels.insert("method".into(), ROUTES[route].method.into());
        labels.insert("route".into(), ROUTES[route].route.into());
    }
    labels
}

fn values(sample: &Sample, metric: &str) -> Vec<(Key, f64)> {
    let Some(up) = sample.up else {
        return Vec::new();
    };
    if metric == "up" {
        return vec![(Key::Instance, if up { 1.0 } else { 0.0 })];
    }
    let Some(counters) = &sample.counters else {
        return Vec::new();
    };
    match metric {
        "http_requests_total" => {
            let one = |((route, status), n): (&(usize, u16), &u64)| {
                (Key::Status(*route, *status), real(*n))
            };
            counters.requests.iter().map(one).collect()
        }
        "http_request_duration_seconds_bucket" => buckets(counters),
        "http_request_duration_seconds_sum" => durations(counters, |h| h.sum_s),
        "http_request_duration_seconds_count" => durations(counters, |h| real(h.count)),
        "process_start_time_seconds" => vec![(Key::Instance, real_ms(sample.started) / 1_000.0)],
        "process_resident_memory_bytes" => vec![(Key::Instance, real(sample.memory_bytes))],
        _ => Vec::new(),
    }
}

fn used(counters: &Counters) -> impl Iterator<Item = (usize, &Histogram)> {
    let all = counters.durations.iter().enumerate();
    all.filter(|(_, histogram)| histogram.count > 0)
}

fn buckets(counters: &Counters) -> Vec<(Key, f64)> {
    let mut all = Vec::new();
    for (route, histogram) in used(counters) {
        let mut sum = 0;
        for (at, n) in histogram.buckets.iter().enumerate() {
            sum += n;
            all.push((Key::Bucket(route, at), real(sum)));
        }
    }
    all
}

fn durations(counters: &Counters, figure: impl Fn(&Histogram) -> f64) -> Vec<(Key, f64)> {
    let one = |(route, histogram)| (Key::Route(route), figure(histogram));
    used(counters).map(one).collect()
}
