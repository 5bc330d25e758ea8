//! Scrapes every replica itself: works when Prometheus is down.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::status::{self, LABELS};
use super::verdict::{self, Found, Mix};
use super::window::{Counts, Extent, Part, Point, Tracker};
use super::{WINDOW, replicas, whole};
use crate::domain::{
    Age, Clean, Container, ContainerId, Fault, FaultKind, Flow, Reading, ReplicaTraffic, SourceId,
    SourceKind, Thresholds, Timestamp, TrafficSource, Unit,
};
use crate::link::exposition::{self, BODY_BYTES_MAX, Exposition, Sample};
use crate::link::fetch::{Bounds, Fetcher};
use crate::probe::roster::Roster;
use crate::probe::{Look, ways};

/// Replicas asked at once: enough for a quick look, few enough not to be a load of its own.
const CONCURRENCY: usize = 8;

/// A replica that needs longer for its own metrics has no time for its users.
const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(2),
    body_bytes_max: BODY_BYTES_MAX,
};

/// Inside the deadline of a look: who has not answered by then is not counted, and the others are.
const LOOK_MAX: Duration = Duration::from_secs(4);

/// Above this a double no longer counts one by one.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// Counters of requests. The first that is there is used; the others would count the same requests again.
pub const REQUESTS: [&str; 6] = [
    "http_requests_total",
    "http_request_duration_seconds_count",
    "http_request_duration_milliseconds_count",
    "http_request_duration_ms_count",
    "http_server_requests_seconds_count",
    "http_server_request_duration_seconds_count",
];

/// Histograms of their durations, and how many milliseconds their unit has.
const BUCKETS: [(&str, f64); 5] = [
    ("http_request_duration_seconds_bucket", 1000.0),
    ("http_request_duration_milliseconds_bucket", 1.0),
    ("http_request_duration_ms_bucket", 1.0),
    ("http_server_requests_seconds_bucket", 1000.0),
    ("http_server_request_duration_seconds_bucket", 1000.0),
];

const BEGAN: &str = "process_start_time_seconds";

/// See the module.
#[derive(Debug)]
pub struct MetricsProbe {
    service: Clean,
    port: u16,
    path: Clean,
    every: Duration,
    thresholds: Thresholds,
    roster: Roster,
    fetch: Fetcher,
    replicas: BTreeMap<ContainerId, Replica>,
}

/// What is remembered of a replica from look to look.
#[derive(Debug, Default)]
struct Replica {
    tracker: Tracker,
    /// The address that answered last time is asked first.
    way: Option<String>,
}

/// What one body said.
#[derive(Debug, PartialEq)]
struct Scrape {
    points: Vec<Point>,
    extent: Extent,
    began_s: Option<f64>,
    dropped: u64,
    unreadable: u64,
}

/// One replica's answer.
#[derive(Debug)]
struct Answered {
    id: ContainerId,
    at: Timestamp,
    result: Result<(String, Scrape), Fault>,
}

impl MetricsProbe {
    pub fn new(
        service: Clean,
        port: u16,
        path: Clean,
        every: Duration,
        thresholds: Thresholds,
        roster: Roster,
    ) -> Self {
        Self {
            service,
            port,
            path,
            every,
            thresholds,
            roster,
            fetch: Fetcher::default(),
            replicas: BTreeMap::new(),
        }
    }

    async fn scrape_all(
        &self,
        containers: &[Container],
        now: Timestamp,
    ) -> BTreeMap<ContainerId, Answered> {
        let started = Instant::now();
        let jobs: Vec<_> = containers
            .iter()
            .map(|c| self.scrape(c.id.clone(), self.ways(c), now, started))
            .collect();
        let mut answers = stream::iter(jobs).buffer_unordered(CONCURRENCY);
        let mut all = BTreeMap::new();
        while let Ok(Some(answer)) = timeout_at(started + LOOK_MAX, answers.next()).await {
            all.insert(answer.id.clone(), answer);
        }
        all
    }

    async fn scrape(
        &self,
        id: ContainerId,
        ways: Vec<String>,
        now: Timestamp,
        started: Instant,
    ) -> Answered {
        let result = self.ask(&ways).await;
        Answered {
            id,
            // The figures are as old as their arrival here, not as the beginning of the look.
            at: now.plus(started.elapsed()),
            result,
        }
    }

    /// Goes on to the next address only where nobody was reached at all.
    async fn ask(&self, ways: &[String]) -> Result<(String, Scrape), Fault> {
        let mut last = Fault::new(
            FaultKind::Missing,
            format!("no address, and port {} is not published", self.port),
        )
        .remedy("attach the service to a network, or publish its metrics port on 127.0.0.1");
        for way in ways {
            match self.fetch.get(way, BOUNDS).await {
                Ok(answer) if answer.status == 200 => {
                    return read(&answer.body).map(|scrape| (way.clone(), scrape));
                }
                Ok(answer) => {
                    let text = format!("{way} answered {}", answer.status);
                    return Err(Fault::new(FaultKind::Garbled, text)
                        .remedy("check the port and the path of the metrics"));
                }
                Err(fault) => {
                    let goes_on = matches!(fault.kind, FaultKind::Refused | FaultKind::Silent);
                    last = fault;
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// The way that answered last time first.
    fn ways(&self, container: &Container) -> Vec<String> {
        let mut all = ways::ways(container, self.port, &self.path);
        let known = self.replicas.get(&container.id);
        let known = known.and_then(|replica| replica.way.as_ref());
        if let Some(at) = known.and_then(|known| all.iter().position(|way| way == known)) {
            all.swap(0, at);
        }
        all
    }

    /// Takes in the answers and makes a row of each replica.
    fn rows(
        &mut self,
        containers: &[Container],
        mut answers: BTreeMap<ContainerId, Answered>,
        now: Timestamp,
    ) -> Found {
        let conflicts = replicas::conflicts(containers);
        let mut sum = Sum::default();
        let mut rows = Vec::with_capacity(containers.len());
        for container in containers {
            let name = container.replica();
            let replica = self.replicas.entry(container.id.clone()).or_default();
            let answer = answers.remove(&container.id);
            let fault = replica
                .take(answer, &mut sum)
                .err()
                .map(|fault| since(fault, replica.tracker.last_at(), now))
                .or_else(|| conflicts.get(&name).cloned());
            let flow = match fault {
                Some(_) => Flow::default(),
                None => sum.add(&replica.tracker),
            };
            rows.push(ReplicaTraffic {
                replica: name,
                container: Some(container.id.clone()),
                flow,
                resets: replica.tracker.resets,
                fault,
            });
        }
        sum.found(self.service.clone(), rows)
    }
}

fn since(fault: Fault, last_at: Option<Timestamp>, now: Timestamp) -> Fault {
    match last_at {
        Some(at) => Fault {
            text: Clean::from(format!(
                "{}, last counted {} ago",
                fault.text,
                Age(now.since(at))
            )),
            ..fault
        },
        None => fault,
    }
}

impl Replica {
    fn take(&mut self, answer: Option<Answered>, sum: &mut Sum) -> Result<(), Fault> {
        let Some(answer) = answer else {
            return Err(Fault::new(
                FaultKind::Silent,
                format!("not answered within the {LOOK_MAX:?} of a look"),
            ));
        };
        let (way, scrape) = answer.result?;
        self.way = Some(way);
        self.tracker
            .take(answer.at, &scrape.points, scrape.extent, scrape.began_s);
        sum.dropped += scrape.dropped;
        sum.unreadable += scrape.unreadable;
        Ok(())
    }
}

/// The service as the sum of its counted replicas.
#[derive(Debug, Default)]
struct Sum {
    counts: Counts,
    rate: Option<f64>,
    dropped: u64,
    unreadable: u64,
    unrated: usize,
    /// Replicas whose histograms have other bounds than the first: no sum of latencies.
    other_bounds: usize,
}

impl Sum {
    fn add(&mut self, tracker: &Tracker) -> Flow {
        let Some((counts, span)) = tracker.window() else {
            self.unrated += 1;
            return Flow::default();
        };
        let rate = counts.requests / span.as_secs_f64();
        self.rate = Some(self.rate.unwrap_or(0.0) + rate);
        if !self.counts.merge(&counts) {
            self.other_bounds += 1;
        }
        counts.flow(Some(rate))
    }

    fn found(self, service: Clean, rows: Vec<ReplicaTraffic>) -> Found {
        let mut total = self.counts.flow(self.rate);
        let mut notes = Vec::new();
        if self.other_bounds > 0 {
            (total.p50_ms, total.p95_ms, total.p99_ms) = (None, None, None);
            notes.push("no latency in all: the replicas' histograms differ".to_owned());
        }
        let is_mixed = self.unrated > 0 && self.rate.is_some();
        Found {
            source: TrafficSource::Metrics,
            service,
            replicas: rows,
            total,
            unclassed: whole(self.counts.unclassed),
            dropped: self.dropped,
            unreadable: self.unreadable,
            mix: if is_mixed {
                Mix::Changing
            } else {
                Mix::Settled
            },
            notes,
            asides: Vec::new(),
        }
    }
}

impl Look for MetricsProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Traffic, format!("{} metrics", self.service))
    }

    fn period(&self) -> Duration {
        self.every
    }

    async fn look(&mut self, now: Timestamp) -> Result<Reading, Fault> {
        let containers = replicas::running(&self.roster, &self.service);
        if containers.is_empty() {
            return Err(replicas::none_running(&self.service));
        }
        self.replicas
            .retain(|id, _| containers.iter().any(|c| c.id == *id));
        let answers = self.scrape_all(&containers, now).await;
        let mut found = self.rows(&containers, answers, now);
        if containers.iter().any(|c| is_young(c, now)) {
            found.mix = Mix::Changing;
        }
        verdict::reading(found, &self.thresholds)
    }
}

pub(super) fn is_young(container: &Container, now: Timestamp) -> bool {
    let started = container.started_at;
    started.is_some_and(|at| now.since(at) < WINDOW)
}

fn read(body: &[u8]) -> Result<Scrape, Fault> {
    // Two passes, so that a flood of buckets never pushes a counter of requests over the limit.
    let counters = exposition::parse(body, |name| REQUESTS.contains(&name) || name == BEGAN);
    let buckets = exposition::parse(body, |name| BUCKETS.iter().any(|(known, _)| *known == name));
    unspoilt(&counters)?;
    unspoilt(&buckets)?;
    let mut points = Vec::new();
    match REQUESTS
        .iter()
        .find(|name| counters.samples.iter().any(|s| s.name == **name))
    {
        Some(name) => {
            for sample in counters.samples.iter().filter(|s| s.name == *name) {
                points.push(request(sample)?);
            }
        }
        None if declares_requests(body) => {}
        None => return Err(no_counter()),
    }
    if let Some((name, unit_ms)) = BUCKETS
        .iter()
        .find(|(name, _)| buckets.samples.iter().any(|s| s.name == *name))
    {
        for sample in buckets.samples.iter().filter(|s| s.name == *name) {
            points.push(bucket(sample, *unit_ms)?);
        }
    }
    once(&points)?;
    let dropped = counters.dropped + buckets.dropped;
    Ok(Scrape {
        points,
        extent: if dropped > 0 {
            Extent::Cut
        } else {
            Extent::Whole
        },
        began_s: counters
            .samples
            .iter()
            .find(|s| s.name == BEGAN && s.value.is_finite())
            .map(|s| s.value),
        dropped,
        // Both passes have seen the same bad lines.
        unreadable: counters.unreadable,
    })
}

/// A counter with labels has no line until the first request; its type is declared all the same.
fn declares_requests(body: &[u8]) -> bool {
    body.split(|&byte| byte == b'\n').any(|line| {
        let line = std::str::from_utf8(line).unwrap_or_default();
        let declared = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split(' ').next());
        declared.is_some_and(|name| {
            REQUESTS.iter().any(|known| {
                let family = known.strip_suffix("_count").unwrap_or(known);
                family == name || family.strip_suffix("_total") == Some(name)
            })
        })
    })
}

fn no_counter() -> Fault {
    Fault::new(FaultKind::Missing, "no counter of requests in its metrics")
        .remedy(format!("export {} with a label status", REQUESTS[0]))
}

fn unspoilt(seen: &Exposition<'_>) -> Result<(), Fault> {
    match &seen.spoilt {
        None => Ok(()),
        Some(spoilt) => Err(Fault::new(
            FaultKind::Garbled,
            format!(
                "{} cannot be read in line {}: {}",
                spoilt.name, spoilt.line, spoilt.why
            ),
        )),
    }
}

/// A figure that is no count never takes part in anything.
fn count(sample: &Sample<'_>) -> Result<f64, Fault> {
    if (0.0..=COUNT_MAX).contains(&sample.value) {
        return Ok(sample.value);
    }
    let value = if sample.value.is_finite() {
        format!("[?] {:e}", sample.value)
    } else {
        Unit::Count.show(sample.value)
    };
    Err(Fault::new(
        FaultKind::Garbled,
        format!("{} is no count: {value}", exposition::shown(&sample.name)),
    ))
}

fn request(sample: &Sample<'_>) -> Result<Point, Fault> {
    let label = LABELS.iter().find_map(|name| sample.label(name));
    Ok(Point {
        key: key(sample),
        value: count(sample)?,
        part: Part::Requests(label.and_then(status::class)),
    })
}

fn bucket(sample: &Sample<'_>, unit_ms: f64) -> Result<Point, Fault> {
    let bound = sample.label("le").and_then(|le| le.parse::<f64>().ok());
    let Some(bound) = bound.filter(|le| !le.is_nan() && *le != f64::NEG_INFINITY) else {
        let text = format!("{} has no bound", exposition::shown(&sample.name));
        return Err(Fault::new(FaultKind::Garbled, text));
    };
    Ok(Point {
        key: key(sample),
        value: count(sample)?,
        part: Part::Within(bound * unit_ms),
    })
}

/// The same name and the same labels in any order are the same series.
fn key(sample: &Sample<'_>) -> u64 {
    let mut labels: Vec<_> = sample.labels.iter().collect();
    labels.sort();
    let mut hasher = DefaultHasher::new();
    (&sample.name, labels).hash(&mut hasher);
    hasher.finish()
}

fn once(points: &[Point]) -> Result<(), Fault> {
    let mut keys = HashSet::with_capacity(points.len());
    if points.iter().all(|point| keys.insert(point.key)) {
        return Ok(());
    }
    Err(Fault::new(
        FaultKind::Garbled,
        "one series is there twice, with two values",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::replicas::tests::{replica, roster};
    use super::*;
    use crate::domain::{Detail, Health, Port, Traffic};

    const BODY: &str = "# TYPE http_requests_total counter\n\
        http_requests_total{status=\"200\"} 100\n\
        http_requests_total{status=\"503\"} 7\n\
        http_request_duration_seconds_bucket{le=\"0.1\"} 90\n\
        http_request_duration_seconds_bucket{le=\"+Inf\"} 107\n\
        http_request_duration_seconds_count 107\n\
        process_start_time_seconds 1.7e9\n";

    #[track_caller]
    fn garbled(body: &str, words: &str) {
        let fault = read(body.as_bytes()).expect_err("cannot be counted");
        assert!(fault.text.contains(words), "{fault}");
    }

    fn probe(containers: Vec<Container>) -> MetricsProbe {
        let (sender, roster) = roster(containers);
        drop(sender);
        MetricsProbe::new(
            Clean::from("server"),
            5000,
            Clean::from("/metrics"),
            Duration::from_secs(2),
            Thresholds::default(),
            roster,
        )
    }

    fn answers(
        now: Timestamp,
        bodies: &[(&str, Result<&str, Fault>)],
    ) -> BTreeMap<ContainerId, Answered> {
        bodies
            .iter()
            .map(|(id, body)| {
                let id = ContainerId(Clean::from(*id));
                let result = body
                    .clone()
                    .and_then(|body| read(body.as_bytes()))
                    .map(|scrape| (String::new(), scrape));
                let at = now;
                (id.clone(), Answered { id, at, result })
            })
            .collect()
    }

    fn seen(
        probe: &mut MetricsProbe,
        now: Timestamp,
        bodies: &[(&str, Result<&str, Fault>)],
    ) -> Result<(Health, Traffic), Fault> {
        let containers = replicas::running(&probe.roster, "server");
        let found = probe.rows(&containers, answers(now, bodies), now);
        let reading = verdict::reading(found, &probe.thresholds)?;
        match reading.detail {
            Detail::Traffic(traffic) => Ok((reading.health, traffic)),
            other => panic!("{other:?}"),
        }
    }

    fn body(requests: u64) -> String {
        format!("http_requests_total{{code=\"200\"}} {requests}\n")
    }

    #[test]
    fn one_family_of_requests_is_counted_once() {
        let scrape = read(BODY.as_bytes()).expect("a scrape");
        let requests: f64 = scrape
            .points
            .iter()
            .filter(|p| matches!(p.part, Part::Requests(_)))
            .map(|p| p.value)
            .sum();
        assert_eq!(whole(requests), 107);
        assert_eq!(scrape.points.len(), 4);
        assert!(scrape.began_s.is_some() && scrape.extent == Extent::Whole);
    }

    #[test]
    fn figures_that_are_none_count_for_nothing() {
        garbled("http_requests_total{code=\"200\"} NaN\n", "[?] NaN");
        garbled("http_requests_total +Inf\n", "[?] inf");
        garbled("http_requests_total -1\n", "[?] -1e0");
        garbled("http_requests_total 1e308\n", "[?] 1e308");
        garbled("http_requests_total many\n", "the value is no number");
        garbled(
            "http_requests_total 1\nhttp_request_duration_seconds_bucket{le=\"x\"} 1\n",
            "no bound",
        );
        garbled("a 1\n", "no counter of requests");
        garbled("http_requests_total 1\nhttp_requests_total 2\n", "twice");
    }

    #[test]
    fn a_counter_that_is_declared_and_not_there_yet_is_zero() {
        for kind in [
            "# TYPE http_requests_total counter\n",
            "# TYPE http_request_duration_seconds histogram\n",
            "# TYPE http_requests counter\n# EOF\n",
        ] {
            let scrape = read(kind.as_bytes()).expect("no request yet");
            assert!(scrape.points.is_empty());
        }
    }

    #[test]
    fn too_many_series_are_dropped_and_said() {
        use std::fmt::Write;
        let mut body = String::new();
        for i in 0..exposition::SERIES_MAX + 5 {
            let _ = writeln!(body, "http_requests_total{{status=\"200\",user=\"{i}\"}} 1");
        }
        let scrape = read(body.as_bytes()).expect("a scrape");
        assert_eq!((scrape.dropped, scrape.extent), (5, Extent::Cut));
    }

    #[test]
    fn the_containers_address_comes_before_the_published_port() {
        let mut container = replica("a", 1, "10.0.0.1");
        container.ports = vec![Port {
            host: Some((Clean::from("0.0.0.0"), 15000)),
            container: 5000,
            protocol: Clean::from("tcp"),
        }];
        let mut probe = probe(vec![container.clone()]);
        let own = "http://10.0.0.1:5000/metrics";
        let published = "http://127.0.0.1:15000/metrics";
        assert_eq!(probe.ways(&container), [own, published]);
        let known = Replica {
            way: Some(published.to_owned()),
            ..Replica::default()
        };
        probe.replicas.insert(container.id.clone(), known);
        assert_eq!(probe.ways(&container), [published, own]);
    }

    #[test]
    fn a_frozen_replica_is_not_counted_and_never_green() {
        let mut probe = probe(vec![
            replica("a", 1, "10.0.0.1"),
            replica("b", 2, "10.0.0.2"),
        ]);
        let frozen = Fault::new(FaultKind::Silent, "no whole answer from 10.0.0.2:5000");
        for (s, b) in [(0, Ok("")), (2, Ok("")), (4, Err(frozen))] {
            let counter = body(100 + 50 * s);
            let b = b.map(|_: &str| counter.as_str());
            let now = Timestamp(s * 1000);
            let (health, traffic) =
                seen(&mut probe, now, &[("a", Ok(&counter)), ("b", b)]).expect("a reading");
            match s {
                0 => assert_eq!(health, Health::Busy),
                2 => assert_eq!((health, traffic.total.requests), (Health::Good, 200)),
                _ => {
                    assert_eq!((health, traffic.counted), (Health::Poor, (1, 2)));
                    assert_eq!(traffic.total.requests, 200, "only of the first");
                    let fault = traffic.replicas[1].fault.as_ref().expect("a fault");
                    assert!(fault.text.contains("last counted 2s ago"), "{fault}");
                    assert_eq!(traffic.replicas[1].flow, Flow::default());
                }
            }
        }
    }

    #[test]
    fn two_owners_of_a_name_are_not_merged() {
        let mut probe = probe(vec![
            replica("a", 1, "10.0.0.1"),
            replica("b", 1, "10.0.0.2"),
            replica("c", 2, "10.0.0.3"),
        ]);
        let all = body(5);
        let bodies = ["a", "b", "c"].map(|id| (id, Ok(all.as_str())));
        let (health, traffic) = seen(&mut probe, Timestamp(0), &bodies).expect("a reading");
        assert_eq!((health, traffic.counted), (Health::Poor, (1, 3)));
        assert_eq!(traffic.replicas.len(), 3);
        let fault = traffic.replicas[0].fault.as_ref().expect("a conflict");
        assert!(fault.text.contains("2 containers are named"), "{fault}");
    }

    #[test]
    fn times_given_by_the_exporter_are_passed_over() {
        let mut probe = probe(vec![replica("a", 1, "10.0.0.1")]);
        for (s, stamp) in [(0, "99999999999999"), (2, "1")] {
            let all = format!("http_requests_total{{code=\"200\"}} {} {stamp}\n", s * 100);
            let now = Timestamp(s * 1000);
            let (_, traffic) = seen(&mut probe, now, &[("a", Ok(&all))]).expect("a reading");
            if s == 2 {
                assert_eq!(traffic.total.requests_per_s, Some(100.0));
            }
        }
    }

    #[test]
    fn nobody_counted_is_a_fault() {
        let mut probe = probe(vec![replica("a", 1, "10.0.0.1")]);
        let fault = seen(&mut probe, Timestamp(0), &[]).expect_err("nothing seen");
        assert_eq!(fault.kind, FaultKind::Silent);
    }

    #[tokio::test]
    async fn a_service_without_replicas_is_missing() {
        let fault = probe(Vec::new()).look(Timestamp(0)).await;
        assert_eq!(fault.expect_err("nobody there").kind, FaultKind::Missing);
    }
}
