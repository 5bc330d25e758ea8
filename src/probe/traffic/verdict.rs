//! One judgement for all three sources: what was counted becomes a reading.

use super::{WINDOW, real};
use crate::domain::{
    Clean, Detail, Fault, Flow, Health, Measure, Reading, ReplicaTraffic, Thresholds, Traffic,
    TrafficSource, Unit,
};

/// Below so many requests a ratio is an anecdote: said, and poor, but not bad.
const REQUESTS_MIN: u64 = 20;

/// Requests per replica from which on a share off the even one is no chance: half of forty is three standard
/// deviations away.
const EVEN_REQUESTS_MIN: u64 = 40;

/// Requests per replica from which on none at all is no chance.
const SILENT_REQUESTS_MIN: u64 = 10;

/// More unreadable lines than this part of the requests, and the counts are not what users got.
const UNREADABLE_RATIO_MAX: f64 = 0.01;

/// Has every replica been there for the whole window?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mix {
    Settled,
    /// Some came or went: shares are on their way, and no finding.
    Changing,
}

/// What a source counted.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: TrafficSource,
    pub(super) service: Clean,
    pub(super) replicas: Vec<ReplicaTraffic>,
    /// Of the counted replicas only; for the gateway's log, of the users.
    pub(super) total: Flow,
    /// Requests of which it is not known how they ended.
    pub(super) unclassed: u64,
    pub(super) dropped: u64,
    pub(super) unreadable: u64,
    pub(super) mix: Mix,
    /// Doubts about the whole; each makes it poor.
    pub(super) notes: Vec<String>,
    /// Worth a word, and no trouble.
    pub(super) asides: Vec<String>,
}

/// Judges; a fault when no replica at all could be counted.
pub(super) fn reading(found: Found, thresholds: &Thresholds) -> Result<Reading, Fault> {
    let Found {
        source,
        service,
        mut replicas,
        total,
        unclassed,
        dropped,
        unreadable,
        mix,
        notes,
        asides,
    } = found;
    let counted = replicas.iter().filter(|r| r.fault.is_none()).count();
    if counted == 0 {
        return Err(uncounted(&service, &replicas));
    }
    replicas.sort_by(|a, b| (&a.replica, &a.container).cmp(&(&b.replica, &b.container)));
    share(&mut replicas);
    let uneven = match mix {
        Mix::Settled => uneven(&replicas, thresholds.share_off).map(Clean::from),
        Mix::Changing => None,
    };
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let traffic = Traffic {
        source,
        service,
        window: WINDOW,
        counted: (number(counted), number(replicas.len())),
        replicas,
        total,
        uneven,
        dropped,
        unreadable,
    };
    let (health, mut words) = weigh(&traffic, thresholds, unclassed);
    let doubt = if notes.is_empty() {
        Health::None
    } else {
        Health::Poor
    };
    words.extend(notes);
    words.extend(asides);
    Ok(Reading {
        health: health.max(doubt),
        summary: Clean::from(words.join(", ")),
        measures: measures(&traffic),
        detail: Detail::Traffic(traffic),
    })
}

fn uncounted(service: &Clean, replicas: &[ReplicaTraffic]) -> Fault {
    let all = replicas.len();
    match replicas.iter().find_map(|r| r.fault.clone()) {
        Some(first) => {
            let text = format!("0 of {all} replicas of {service} counted: {}", first.text);
            Fault {
                text: Clean::from(text),
                ..first
            }
        }
        None => super::replicas::none_running(service),
    }
}

/// By rate, since a new replica has been counted for less time than the others.
fn share(replicas: &mut [ReplicaTraffic]) {
    let weight = |r: &ReplicaTraffic| match r.fault {
        Some(_) => 0.0,
        None => r.flow.requests_per_s.unwrap_or(0.0),
    };
    let sum: f64 = replicas.iter().map(weight).sum();
    if sum > 0.0 && sum.is_finite() {
        for replica in replicas.iter_mut().filter(|r| r.fault.is_none()) {
            replica.flow.share = Some(weight(replica) / sum);
        }
    }
}

/// The replica that is furthest off the even share, if any is too far.
fn uneven(replicas: &[ReplicaTraffic], share_off: f64) -> Option<String> {
    let counted: Vec<&ReplicaTraffic> = replicas.iter().filter(|r| r.fault.is_none()).collect();
    let n = counted.len() as u64;
    let requests: u64 = counted.iter().map(|r| r.flow.requests).sum();
    if n < 2 {
        return None;
    }
    if requests >= SILENT_REQUESTS_MIN * n
        && let Some(silent) = counted.iter().find(|r| r.flow.requests == 0)
    {
        return Some(format!(
            "{} gets no requests while others do",
            silent.replica
        ));
    }
    if requests < EVEN_REQUESTS_MIN * n {
        return None;
    }
    let even = 1.0 / real(n);
    let off = |r: &ReplicaTraffic| (r.flow.share.unwrap_or(even) - even).abs() / even;
    let worst = counted.iter().max_by(|a, b| off(a).total_cmp(&off(b)))?;
    (off(worst) > share_off).then(|| {
        let has = Unit::Ratio.show(worst.flow.share.unwrap_or(even));
        let should = Unit::Ratio.show(even);
        format!(
            "{} has {has} of the requests, even is {should}",
            worst.replica
        )
    })
}

fn weigh(traffic: &Traffic, thresholds: &Thresholds, unclassed: u64) -> (Health, Vec<String>) {
    let total = &traffic.total;
    let mut health = match (total.requests_per_s, total.requests) {
        (None, _) => Health::Busy,
        // Nothing came: nothing to judge.
        (Some(_), 0) => Health::None,
        (Some(_), _) => Health::Good,
    };
    let mut words = headline(total, unclassed);
    let (counted, all) = traffic.counted;
    words.push(format!("{counted} of {all} counted"));
    let mut find = |worse: Health, what: Option<String>| {
        health = health.max(worse);
        words.extend(what);
    };
    let enough = total.requests >= REQUESTS_MIN;
    let severe = if enough { Health::Bad } else { Health::Poor };
    if total
        .error_ratio()
        .is_some_and(|r| r > thresholds.error_ratio)
    {
        find(severe, None);
    }
    if total.p95_ms.is_some_and(|p95| p95 > thresholds.latency_ms) {
        find(severe, None);
    }
    if counted < all {
        let first = traffic.replicas.iter().find_map(|r| r.fault.as_ref());
        find(Health::Poor, first.map(|fault| fault.text.to_string()));
    }
    for replica in traffic.replicas.iter().filter(|r| r.fault.is_none()) {
        let ratio = replica.flow.error_ratio().unwrap_or(0.0);
        if ratio > thresholds.error_ratio && replica.flow.requests >= REQUESTS_MIN {
            let shown = Unit::Ratio.show(ratio);
            find(
                Health::Poor,
                Some(format!("{} fails {shown}", replica.replica)),
            );
        }
    }
    if let Some(uneven) = &traffic.uneven {
        find(Health::Poor, Some(uneven.to_string()));
    }
    if unclassed > 0 {
        let what = format!("{unclassed} requests without a status");
        find(Health::Poor, Some(what));
    }
    if traffic.dropped > 0 {
        find(Health::Poor, Some(format!("{} dropped", traffic.dropped)));
    }
    if is_unreadable(traffic) {
        let what = format!("{} lines unreadable", traffic.unreadable);
        find(Health::Poor, Some(what));
    }
    (health, words)
}

/// Only of a log is an unreadable line a request. An exporter's own odd lines are not ours to judge; where one of them
/// spoils a figure, its replica has a fault.
fn is_unreadable(traffic: &Traffic) -> bool {
    match traffic.source {
        TrafficSource::AccessLog => {
            real(traffic.unreadable) > real(traffic.total.requests) * UNREADABLE_RATIO_MAX
        }
        TrafficSource::Metrics | TrafficSource::Prometheus => false,
    }
}

fn headline(total: &Flow, unclassed: u64) -> Vec<String> {
    let Some(rate) = total.requests_per_s else {
        return vec!["first look, rates follow".to_owned()];
    };
    if total.requests == 0 {
        return vec![format!("no requests in {}s", WINDOW.as_secs())];
    }
    let mut words = vec![Unit::PerSecond.show(rate)];
    // Where no request says how it ended, no error ratio is known: none is shown, rather than zero.
    if let Some(ratio) = total.error_ratio().filter(|_| unclassed < total.requests) {
        words.push(format!("{} errors", Unit::Ratio.show(ratio)));
    }
    if let Some(p95) = total.p95_ms {
        words.push(format!("p95 {}", Unit::Milliseconds.show(p95)));
    }
    words
}

fn measures(traffic: &Traffic) -> Vec<Measure> {
    let total = &traffic.total;
    let named = [
        ("requests", total.requests_per_s, Unit::PerSecond),
        ("errors", total.error_ratio(), Unit::Ratio),
        ("p50", total.p50_ms, Unit::Milliseconds),
        ("p95", total.p95_ms, Unit::Milliseconds),
        ("p99", total.p99_ms, Unit::Milliseconds),
        (
            "replicas counted",
            Some(f64::from(traffic.counted.0)),
            Unit::Count,
        ),
    ];
    named
        .into_iter()
        .filter_map(|(name, value, unit)| Some(Measure::new(name, value?, unit)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FaultKind;

    fn flow(requests: u64, errors: u64) -> Flow {
        Flow {
            requests_per_s: Some(real(requests) / 60.0),
            requests,
            errors,
            p95_ms: Some(118.0),
            ..Flow::default()
        }
    }

    fn row(name: &str, flow: Flow) -> ReplicaTraffic {
        ReplicaTraffic {
            replica: Clean::from(name),
            container: None,
            flow,
            resets: 0,
            fault: None,
        }
    }

    fn found(total: Flow, each: &[u64]) -> Found {
        let rows = each.iter().enumerate();
        Found {
            source: TrafficSource::Metrics,
            service: Clean::from("server"),
            replicas: rows
                .map(|(i, &n)| row(&format!("server-{}", i + 1), flow(n, 0)))
                .collect(),
            total,
            unclassed: 0,
            dropped: 0,
            unreadable: 0,
            mix: Mix::Settled,
            notes: Vec::new(),
            asides: Vec::new(),
        }
    }

    #[track_caller]
    fn check(found: Found, health: Health, words: &str) -> Traffic {
        let reading = reading(found, &Thresholds::default()).expect("a reading");
        assert_eq!(reading.health, health, "{}", reading.summary);
        assert!(reading.summary.contains(words), "{}", reading.summary);
        match reading.detail {
            Detail::Traffic(traffic) => traffic,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn even_traffic_without_errors_is_good() {
        let traffic = check(
            found(flow(6000, 1), &[2000, 2000, 2000]),
            Health::Good,
            "100/s, 0.02 % errors, p95 118 ms, 3 of 3 counted",
        );
        assert_eq!(traffic.uneven, None);
        let third = traffic.replicas[0].flow.share.expect("a share");
        assert!((third - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn errors_above_the_limit_are_bad_and_few_requests_only_poor() {
        check(found(flow(100, 6), &[50, 50]), Health::Bad, "6.00 % errors");
        check(
            found(flow(100, 5), &[50, 50]),
            Health::Good,
            "5.00 % errors",
        );
        check(found(flow(19, 19), &[9, 10]), Health::Poor, "100 % errors");
    }

    #[test]
    fn slow_answers_are_bad() {
        let slow = Flow {
            p95_ms: Some(501.0),
            ..flow(100, 0)
        };
        check(found(slow, &[50, 50]), Health::Bad, "p95 501 ms");
    }

    #[test]
    fn a_replica_without_traffic_is_named() {
        let uneven = check(
            found(flow(200, 0), &[100, 0, 100]),
            Health::Poor,
            "server-2 gets no requests",
        )
        .uneven;
        assert!(uneven.is_some());
    }

    #[test]
    fn a_share_far_off_is_named_and_chance_is_not() {
        check(
            found(flow(1000, 0), &[700, 200, 100]),
            Health::Poor,
            "server-1 has 70 % of the requests, even is 33 %",
        );
        check(found(flow(20, 0), &[14, 4, 2]), Health::Good, "counted");
    }

    #[test]
    fn while_replicas_come_and_go_shares_are_no_finding() {
        let changing = Found {
            mix: Mix::Changing,
            ..found(flow(1000, 0), &[900, 100])
        };
        check(changing, Health::Good, "2 of 2 counted");
    }

    #[test]
    fn a_replica_that_was_not_counted_makes_it_poor_and_says_so() {
        let mut part = found(flow(100, 0), &[50, 50, 9_999]);
        part.replicas[2].fault = Some(Fault::new(FaultKind::Silent, "no answer from server-3"));
        let traffic = check(
            part,
            Health::Poor,
            "2 of 3 counted, no answer from server-3",
        );
        assert_eq!(traffic.counted, (2, 3));
        assert_eq!(traffic.replicas[2].flow.share, None);
        assert_eq!(traffic.replicas[0].flow.share, Some(0.5));
    }

    #[test]
    fn nothing_counted_is_a_fault() {
        let mut none = found(Flow::default(), &[0]);
        none.replicas[0].fault = Some(Fault::new(FaultKind::Refused, "cannot reach 10.0.0.1"));
        let fault = reading(none, &Thresholds::default()).expect_err("nothing seen");
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.text.contains("0 of 1 replicas of server counted"));
    }

    #[test]
    fn the_first_look_and_no_traffic_are_not_good() {
        check(found(Flow::default(), &[0]), Health::Busy, "first look");
        let idle = flow(0, 0);
        check(found(idle, &[0, 0]), Health::None, "no requests in 60s");
    }

    #[test]
    fn requests_without_a_status_are_never_without_errors() {
        let blind = Found {
            unclassed: 100,
            ..found(flow(100, 0), &[50, 50])
        };
        let reading = reading(blind, &Thresholds::default()).expect("a reading");
        assert_eq!(reading.health, Health::Poor);
        assert!(!reading.summary.contains("errors"), "{}", reading.summary);
    }

    #[test]
    fn one_failing_replica_is_poor_though_the_whole_is_well() {
        let mut part = found(flow(1000, 20), &[900, 100]);
        part.mix = Mix::Changing;
        part.replicas[1].flow.errors = 20;
        check(part, Health::Poor, "server-2 fails 20 %");
    }

    #[test]
    fn a_log_that_cannot_be_read_is_not_trusted() {
        let log = |unreadable| Found {
            source: TrafficSource::AccessLog,
            unreadable,
            ..found(flow(1000, 0), &[500, 500])
        };
        check(log(11), Health::Poor, "11 lines unreadable");
        check(log(10), Health::Good, "counted");
    }
}
