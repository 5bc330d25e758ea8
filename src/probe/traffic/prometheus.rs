//! Asks Prometheus for what it has counted of each replica.
//!
//! Three questions: when each series was last scraped, rates by status, and bucket rates. Quantiles are reckoned here,
//! by the rule of `histogram_quantile`, because the service's own may only contain the replicas that are counted.
//! Whether a replica is stale is told by Prometheus' clock alone: its time of evaluation less that of the last sample.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::metrics::is_young;
use super::status::{self, LABELS};
use super::verdict::{self, Found, Mix};
use super::window::{Counts, Part};
use super::{WINDOW, replicas, whole};
use crate::domain::{
    Clean, Container, Fault, FaultKind, Flow, Reading, ReplicaTraffic, SourceId, SourceKind,
    Thresholds, Timestamp, TrafficSource,
};
use crate::link::exposition::shown;
use crate::link::prometheus::{Prometheus, Vector};
use crate::probe::Look;
use crate::probe::roster::Roster;

/// Counters of requests and the histogram beside each.
const FAMILIES: [(&str, &str); 2] = [
    (
        "http_requests_total",
        "http_request_duration_seconds_bucket",
    ),
    (
        "http_request_duration_seconds_count",
        "http_request_duration_seconds_bucket",
    ),
];

/// Scrape intervals change with the configuration of Prometheus, which is seldom.
const INTERVALS_EVERY: Duration = Duration::from_mins(5);

/// What Prometheus does where nobody told it otherwise.
const INTERVAL_DEFAULT: Duration = Duration::from_mins(1);

/// One missed scrape is jitter, two are news.
const INTERVALS_UNTIL_OLD: u32 = 2;

/// See the module.
#[derive(Debug)]
pub struct PrometheusProbe {
    service: Clean,
    selector: Clean,
    every: Duration,
    thresholds: Thresholds,
    roster: Roster,
    prometheus: Prometheus,
    /// By instance; and when they were asked for.
    intervals: BTreeMap<String, Duration>,
    intervals_at: Option<Timestamp>,
}

/// The answers of one look.
#[derive(Debug, Default)]
struct Answers {
    /// When each instance was last scraped.
    stamps: Vector,
    rates: Vector,
    buckets: Vector,
}

impl PrometheusProbe {
    /// `selector` limits the series, such as `job="server"`; it may be empty.
    pub fn new(
        service: Clean,
        prometheus: Prometheus,
        selector: Clean,
        every: Duration,
        thresholds: Thresholds,
        roster: Roster,
    ) -> Self {
        Self {
            service,
            selector,
            every,
            thresholds,
            roster,
            prometheus,
            intervals: BTreeMap::new(),
            intervals_at: None,
        }
    }

    async fn ask(&self) -> Result<Answers, Fault> {
        let selector = &self.selector;
        for (counter, histogram) in FAMILIES {
            let stamps = format!("max by (instance) (timestamp({counter}{{{selector}}}))");
            let stamps = self.prometheus.query(&stamps).await?;
            if stamps.samples.is_empty() {
                continue;
            }
            let labels = LABELS.join(", ");
            let rates = format!("sum by (instance, {labels}) (rate({counter}{{{selector}}}[1m]))");
            let buckets = format!("sum by (instance, le) (rate({histogram}{{{selector}}}[1m]))");
            let (rates, buckets) = tokio::try_join!(
                self.prometheus.query(&rates),
                self.prometheus.query(&buckets)
            )?;
            return Ok(Answers {
                stamps,
                rates,
                buckets,
            });
        }
        Err(Fault::new(
            FaultKind::Missing,
            format!("prometheus has no {}{{{selector}}}", FAMILIES[0].0),
        )
        .remedy("check the selector, and that Prometheus scrapes the service"))
    }

    /// A failure costs only the intervals: then the default is taken, which is the more patient one.
    async fn learn_intervals(&mut self, now: Timestamp) -> Option<String> {
        let is_due = |at: Timestamp| now.since(at) >= INTERVALS_EVERY;
        if !self.intervals_at.is_none_or(is_due) {
            return None;
        }
        match self.prometheus.targets().await {
            Ok(targets) => {
                self.intervals = targets
                    .rows
                    .into_iter()
                    .filter_map(|row| Some((row.target.instance.to_string(), row.interval?)))
                    .collect();
                self.intervals_at = Some(now);
                None
            }
            Err(fault) => Some(format!("scrape intervals are not known: {}", fault.text)),
        }
    }
}

impl Look for PrometheusProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Traffic, format!("{} prometheus", self.service))
    }

    fn period(&self) -> Duration {
        self.every
    }

    async fn look(&mut self, now: Timestamp) -> Result<Reading, Fault> {
        let note = self.learn_intervals(now).await;
        let answers = self.ask().await?;
        let containers = replicas::running(&self.roster, &self.service);
        let mut found = rows(&self.service, &answers, &containers, &self.intervals)?;
        found.notes.extend(note);
        if containers.iter().any(|c| is_young(c, now)) {
            found.mix = Mix::Changing;
        }
        verdict::reading(found, &self.thresholds)
    }
}

/// What is known of one instance.
#[derive(Debug, Default)]
struct Instance {
    /// Age of its last sample; `None`: Prometheus has marked it as gone.
    age: Option<Duration>,
    counts: Counts,
    is_rated: bool,
    fault: Option<Fault>,
}

fn rows(
    service: &Clean,
    answers: &Answers,
    containers: &[Container],
    intervals: &BTreeMap<String, Duration>,
) -> Result<Found, Fault> {
    let instances = instances(answers);
    too_seldom(&instances, intervals)?;
    let by_ip: BTreeMap<&str, &Container> = containers
        .iter()
        .flat_map(|c| c.addresses.iter().map(move |address| (&*address.ip, c)))
        .collect();
    let owner = |instance: &str| by_ip.get(host(instance)).copied();
    let is_any_mapped = instances.keys().any(|instance| owner(instance).is_some());
    let mut rows = Vec::new();
    let mut sum = Sum::default();
    let conflicts = replicas::conflicts(containers);
    let claims = claims(instances.keys().filter_map(|instance| owner(instance)));
    for (name, instance) in &instances {
        let container = owner(name);
        // A container that was removed: its rate lives on for a minute, its scrapes do not.
        if container.is_none() && is_any_mapped && instance.age.is_none() {
            continue;
        }
        let replica = container.map_or_else(|| shown(name), Container::replica);
        let interval = intervals.get(name).copied();
        let fault = instance
            .fault
            .clone()
            .or_else(|| old(instance, interval.unwrap_or(INTERVAL_DEFAULT)))
            .or_else(|| conflicts.get(&replica).cloned())
            .or_else(|| twice(container, &claims));
        let flow = match fault {
            Some(_) => Flow::default(),
            None => sum.add(instance),
        };
        rows.push(ReplicaTraffic {
            replica,
            container: container.map(|c| c.id.clone()),
            flow,
            resets: 0,
            fault,
        });
    }
    rows.extend(unseen(containers, &rows));
    Ok(sum.found(service, answers, rows))
}

fn instances(answers: &Answers) -> BTreeMap<String, Instance> {
    let mut all: BTreeMap<String, Instance> = BTreeMap::new();
    for stamp in &answers.stamps.samples {
        let instance = all.entry(stamp.label("instance").to_owned()).or_default();
        match Duration::try_from_secs_f64((stamp.at_s - stamp.value).max(0.0)) {
            Ok(age) => instance.age = Some(age),
            Err(_) => instance.fault = Some(no_number("its last scrape", stamp.value)),
        }
    }
    for rate in &answers.rates.samples {
        let label = LABELS.iter().map(|name| rate.label(name));
        let class = label.map(status::class).find_map(|class| class);
        all.entry(rate.label("instance").to_owned())
            .or_default()
            .take("its rate", Part::Requests(class), rate.value);
    }
    for bucket in &answers.buckets.samples {
        let Some(instance) = all.get_mut(bucket.label("instance")) else {
            continue;
        };
        match bucket.label("le").parse::<f64>() {
            Ok(bound) if !bound.is_nan() => {
                instance.take("a bucket", Part::Within(bound * 1000.0), bucket.value);
            }
            _ => instance.fault = Some(no_number("a bound", f64::NAN)),
        }
    }
    all
}

impl Instance {
    /// Rates become counts of the window, as `increase` has them.
    fn take(&mut self, what: &str, part: Part, rate: f64) {
        if !rate.is_finite() || rate < 0.0 {
            self.fault = Some(no_number(what, rate));
            return;
        }
        self.is_rated |= matches!(part, Part::Requests(_));
        self.counts.add(part, rate * WINDOW.as_secs_f64());
    }
}

fn no_number(what: &str, value: f64) -> Fault {
    Fault::new(FaultKind::Garbled, format!("{what} is [?] {value}"))
}

/// `rate` needs two samples in its minute. Where scrapes are rarer, there will never be one.
fn too_seldom(
    instances: &BTreeMap<String, Instance>,
    intervals: &BTreeMap<String, Duration>,
) -> Result<(), Fault> {
    if instances.values().any(|instance| instance.is_rated) {
        return Ok(());
    }
    let slow = instances
        .keys()
        .filter_map(|name| intervals.get(name))
        .find(|interval| **interval > WINDOW / 2);
    match slow {
        None => Ok(()),
        Some(interval) => Err(Fault::new(
            FaultKind::Misconfigured,
            format!(
                "prometheus scrapes every {interval:?}, and a rate per minute needs two scrapes"
            ),
        )
        .remedy("set scrape_interval to 15s for this job")),
    }
}

fn old(instance: &Instance, interval: Duration) -> Option<Fault> {
    let text = match instance.age {
        Some(age) if age <= interval * INTERVALS_UNTIL_OLD => return None,
        Some(age) => format!(
            "its last scrape is {}s old, one is due every {}s",
            age.as_secs(),
            interval.as_secs()
        ),
        None => "its last scrape by prometheus failed".to_owned(),
    };
    Some(Fault::new(FaultKind::Silent, text))
}

/// How many instances each container answers for.
fn claims<'a>(owners: impl Iterator<Item = &'a Container>) -> BTreeMap<&'a str, usize> {
    let mut all = BTreeMap::new();
    for owner in owners {
        *all.entry(&*owner.id.0).or_default() += 1;
    }
    all
}

fn twice(container: Option<&Container>, claims: &BTreeMap<&str, usize>) -> Option<Fault> {
    let container = container?;
    let n = claims.get(&*container.id.0).filter(|n| **n > 1)?;
    let text = format!("{n} instances in prometheus are {}", container.replica());
    Some(Fault::new(FaultKind::Garbled, text).remedy("limit the selector to one job and port"))
}

/// Replicas that run and that Prometheus does not know. Only where every instance has its container: an instance under
/// a name could be any of them.
fn unseen(containers: &[Container], rows: &[ReplicaTraffic]) -> Vec<ReplicaTraffic> {
    let known: BTreeSet<_> = rows
        .iter()
        .filter_map(|row| row.container.as_ref())
        .collect();
    if known.len() < rows.len() && rows.iter().any(|row| row.container.is_none()) {
        return Vec::new();
    }
    containers
        .iter()
        .filter(|container| !known.contains(&container.id))
        .map(|container| ReplicaTraffic {
            replica: container.replica(),
            container: Some(container.id.clone()),
            flow: Flow::default(),
            resets: 0,
            fault: Some(Fault::new(
                FaultKind::Missing,
                "prometheus has no requests of it",
            )),
        })
        .collect()
}

/// `10.0.0.7:5000` and `[::1]:5000` without their ports.
fn host(instance: &str) -> &str {
    let host = instance.rsplit_once(':').map_or(instance, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The service as the sum of its counted instances.
#[derive(Debug, Default)]
struct Sum {
    counts: Counts,
    is_rated: bool,
    unrated: usize,
    other_bounds: usize,
}

impl Sum {
    fn add(&mut self, instance: &Instance) -> Flow {
        if !instance.is_rated {
            self.unrated += 1;
            return Flow::default();
        }
        self.is_rated = true;
        if !self.counts.merge(&instance.counts) {
            self.other_bounds += 1;
        }
        instance.counts.flow(Some(per_second(&instance.counts)))
    }

    fn found(self, service: &Clean, answers: &Answers, rows: Vec<ReplicaTraffic>) -> Found {
        let rate = self.is_rated.then(|| per_second(&self.counts));
        let mut total = self.counts.flow(rate);
        let all = [&answers.stamps, &answers.rates, &answers.buckets];
        let warnings: BTreeSet<&Clean> = all.iter().flat_map(|v| &v.warnings).collect();
        let mut notes: Vec<String> = warnings
            .into_iter()
            .map(|warning| format!("prometheus warns: {warning}"))
            .collect();
        if self.other_bounds > 0 {
            (total.p50_ms, total.p95_ms, total.p99_ms) = (None, None, None);
            notes.push("no latency in all: the replicas' histograms differ".to_owned());
        }
        let is_mixed = self.unrated > 0 && self.is_rated;
        Found {
            source: TrafficSource::Prometheus,
            service: service.clone(),
            replicas: rows,
            total,
            unclassed: whole(self.counts.unclassed),
            dropped: all.iter().map(|v| v.dropped).sum(),
            unreadable: 0,
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

fn per_second(counts: &Counts) -> f64 {
    counts.requests / WINDOW.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::replicas::tests::replica;
    use super::*;
    use crate::domain::{Detail, Health, Traffic};
    use crate::link::prometheus::Point;

    const NOW_S: f64 = 1_000_000.0;

    fn point(labels: &[(&str, &str)], value: f64) -> Point {
        Point {
            labels: labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            at_s: NOW_S,
            value,
        }
    }

    fn vector(samples: Vec<Point>) -> Vector {
        Vector {
            samples,
            ..Vector::default()
        }
    }

    /// Each instance: its name, the age of its last scrape, its rate of good and of failed requests.
    fn answers(all: &[(&str, Option<f64>, f64, f64)]) -> Answers {
        let mut answers = Answers::default();
        for &(instance, age, fine, failed) in all {
            let i = ("instance", instance);
            if let Some(age) = age {
                answers.stamps.samples.push(point(&[i], NOW_S - age));
            }
            answers.rates.samples.extend([
                point(&[i, ("code", "200")], fine),
                point(&[i, ("code", "503")], failed),
            ]);
            answers.buckets.samples.extend([
                point(&[i, ("le", "0.1")], fine / 2.0),
                point(&[i, ("le", "0.3")], fine + failed),
                point(&[i, ("le", "+Inf")], fine + failed),
            ]);
        }
        answers
    }

    fn three() -> Vec<Container> {
        (1..=3)
            .map(|n| replica(&format!("id{n}"), n, &format!("10.0.0.{n}")))
            .collect()
    }

    fn intervals() -> BTreeMap<String, Duration> {
        (1..=3)
            .map(|n| (format!("10.0.0.{n}:5000"), Duration::from_secs(5)))
            .collect()
    }

    fn seen(answers: &Answers) -> Result<(Health, String, Traffic), Fault> {
        let service = Clean::from("server");
        let found = rows(&service, answers, &three(), &intervals())?;
        let reading = verdict::reading(found, &Thresholds::default())?;
        match reading.detail {
            Detail::Traffic(t) => Ok((reading.health, reading.summary.to_string(), t)),
            other => panic!("{other:?}"),
        }
    }

    const ALL: [(&str, Option<f64>, f64, f64); 3] = [
        ("10.0.0.1:5000", Some(1.0), 10.0, 0.0),
        ("10.0.0.2:5000", Some(4.0), 10.0, 0.0),
        ("10.0.0.3:5000", Some(3.0), 10.0, 0.0),
    ];

    #[test]
    fn instances_become_replicas_by_their_address() {
        let (health, _, traffic) = seen(&answers(&ALL)).expect("a reading");
        assert_eq!((health, traffic.counted), (Health::Good, (3, 3)));
        assert_eq!(traffic.replicas[1].replica, "server-2");
        assert_eq!(traffic.total.requests, 1800);
        let p95 = traffic.total.p95_ms.expect("a latency");
        assert!((p95 - 280.0).abs() < 1e-6, "{p95}");
    }

    #[test]
    fn a_series_two_scrapes_old_is_not_counted() {
        let mut all = ALL;
        all[1].1 = Some(11.0);
        let (health, summary, traffic) = seen(&answers(&all)).expect("a reading");
        assert_eq!((health, traffic.counted), (Health::Poor, (2, 3)));
        assert!(summary.contains("last scrape is 11s old, one is due every 5s"));
        assert_eq!(traffic.total.requests, 1200);
    }

    #[test]
    fn a_replica_that_prometheus_does_not_know_is_said() {
        let (health, summary, traffic) = seen(&answers(&ALL[..2])).expect("a reading");
        assert_eq!((health, traffic.counted), (Health::Poor, (2, 3)));
        assert!(summary.contains("no requests of it"), "{summary}");
    }

    #[test]
    fn the_rate_of_a_removed_container_is_not_counted() {
        let mut all = ALL.to_vec();
        all.push(("10.0.0.9:5000", None, 50.0, 50.0));
        let (health, _, traffic) = seen(&answers(&all)).expect("a reading");
        assert_eq!((health, traffic.counted), (Health::Good, (3, 3)));
    }

    #[test]
    fn errors_are_taken_from_the_status() {
        let mut all = ALL;
        all[0].3 = 10.0;
        let (health, _, traffic) = seen(&answers(&all)).expect("a reading");
        assert_eq!((health, traffic.total.errors), (Health::Bad, 600));
    }

    #[test]
    fn what_is_no_number_is_a_fault_of_its_replica() {
        let mut all = ALL;
        all[2].2 = f64::NAN;
        let (health, summary, traffic) = seen(&answers(&all)).expect("a reading");
        assert_eq!((health, traffic.counted), (Health::Poor, (2, 3)));
        assert!(summary.contains("[?] NaN"), "{summary}");
    }

    #[test]
    fn two_instances_of_one_container_are_a_conflict() {
        let mut all = ALL.to_vec();
        all.push(("10.0.0.1:9100", Some(1.0), 1.0, 0.0));
        let (_, _, traffic) = seen(&answers(&all)).expect("a reading");
        assert_eq!(traffic.counted, (2, 4));
    }

    #[test]
    fn warnings_are_kept() {
        let mut all = answers(&ALL);
        all.rates.warnings.push(Clean::from("partial answer"));
        let (health, summary, _) = seen(&all).expect("a reading");
        assert_eq!(health, Health::Poor);
        assert!(summary.contains("prometheus warns: partial answer"));
    }

    #[test]
    fn scrapes_too_seldom_for_a_rate_are_said() {
        let stamps = vec![point(&[("instance", "10.0.0.1:5000")], NOW_S)];
        let answers = Answers {
            stamps: vector(stamps),
            ..Answers::default()
        };
        let slow = BTreeMap::from([("10.0.0.1:5000".to_owned(), Duration::from_mins(1))]);
        let fault = rows(&Clean::from("server"), &answers, &three(), &slow).expect_err("no rate");
        assert_eq!(fault.kind, FaultKind::Misconfigured);
    }

    #[test]
    fn instances_under_a_name_stand_for_themselves() {
        let all = [("server.example:5000", Some(1.0), 10.0, 0.0)];
        let (_, _, traffic) = seen(&answers(&all)).expect("a reading");
        assert_eq!(traffic.replicas[0].replica, "server.example:5000");
        assert_eq!(traffic.replicas[0].container, None);
        assert_eq!((host("[::1]:5000"), host("plain")), ("::1", "plain"));
    }
}
