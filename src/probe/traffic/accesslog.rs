//! Counts the gateway's access log: what users got, and what each replica did.
//!
//! A request may be tried at several replicas. What the user got is the status of the line; it decides the errors of the
//! service. Every try counts at its own replica: one that failed and was tried elsewhere with success is an error of
//! that replica and none of the service. The requests of the replicas may therefore be more than those of the service.
//!
//! Lines are counted when they arrive here, whatever time they carry. Who follows the log begins with its end, not with
//! its past. Silence is a true zero only while somebody follows the log.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::latency::Histogram;
use super::metrics::is_young;
use super::status::{Class, class_of};
use super::verdict::{self, Found, Mix};
use super::{WINDOW, real, replicas};
use crate::domain::{
    Clean, Container, ContainerId, Fault, FaultKind, Flow, Reading, ReplicaTraffic, SourceId,
    SourceKind, Thresholds, Timestamp, TrafficSource,
};
use crate::link::accesslog::{AccessLine, Attempt, Feed, QUEUE_LINES_MAX};
use crate::probe::Look;
use crate::probe::roster::Roster;

/// One look a second fills a window; faster looks shorten it.
const SLOTS_MAX: usize = 64;

/// Replicas and unknown addresses counted apart in one slot.
const ROWS_MAX: usize = 200;

/// Addresses remembered of containers that are gone: lines of them arrive late, and the window still holds some.
const KNOWN_MAX: usize = 1_000;

/// See the module.
#[derive(Debug)]
pub struct AccessLogProbe {
    gateway: Clean,
    service: Clean,
    every: Duration,
    thresholds: Thresholds,
    roster: Roster,
    feed: Feed,
    counted_to: Option<Timestamp>,
    slots: VecDeque<Slot>,
    /// Whose address it is, or was: newest knowledge wins.
    known: BTreeMap<Clean, Owner>,
}

#[derive(Debug, Clone, PartialEq)]
struct Owner {
    id: ContainerId,
    service: Clean,
    replica: Clean,
    /// When it was last in the roster.
    seen: Timestamp,
}

/// Who answered: a container, or an address that is none's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Container(ContainerId, Clean),
    Address(Clean),
}

/// What was counted between two looks.
#[derive(Debug)]
struct Slot {
    from: Timestamp,
    to: Timestamp,
    sum: Tallies,
}

#[derive(Debug, Default)]
struct Tallies {
    users: Tally,
    by: BTreeMap<Key, Tally>,
    retried: u64,
    unreadable: u64,
    dropped: u64,
}

#[derive(Debug, Default, Clone)]
struct Tally {
    requests: u64,
    errors: u64,
    client_errors: u64,
    times: Histogram,
}

impl AccessLogProbe {
    pub fn new(
        gateway: Clean,
        service: Clean,
        every: Duration,
        thresholds: Thresholds,
        roster: Roster,
        feed: Feed,
    ) -> Self {
        Self {
            gateway,
            service,
            every,
            thresholds,
            roster,
            feed,
            counted_to: None,
            slots: VecDeque::new(),
            known: BTreeMap::new(),
        }
    }

    /// Learns whose addresses there are now, before the lines that name them are counted.
    fn learn(&mut self, now: Timestamp) {
        for container in self.roster.borrow().iter() {
            for address in container.addresses.iter().filter(|a| !a.ip.is_empty()) {
                let owner = Owner {
                    id: container.id.clone(),
                    service: container.service.clone(),
                    replica: container.replica(),
                    seen: now,
                };
                self.known.insert(address.ip.clone(), owner);
            }
        }
        while self.known.len() > KNOWN_MAX {
            let oldest = self.known.iter().min_by_key(|(_, owner)| owner.seen);
            let Some(ip) = oldest.map(|(ip, _)| ip.clone()) else {
                return;
            };
            self.known.remove(&ip);
        }
    }

    /// Empties the queue: at most what it can hold, for more may arrive all the while.
    fn drain(&mut self) -> Tallies {
        let mut sum = Tallies {
            dropped: self.feed.take_lost(),
            ..Tallies::default()
        };
        for _ in 0..QUEUE_LINES_MAX {
            match self.feed.take() {
                Some(Ok(line)) => self.count(&line, &mut sum),
                Some(Err(_)) => sum.unreadable += 1,
                None => break,
            }
        }
        sum
    }

    fn count(&self, line: &AccessLine, sum: &mut Tallies) {
        let mut is_ours = false;
        for attempt in &line.attempts {
            match self.whose(attempt) {
                Whose::Replica(key) => {
                    is_ours = true;
                    let class = class_of(attempt.status);
                    sum.replica(key, class, attempt.took_ms);
                }
                // No server of the upstream was left to try: the user waited for the service all the same.
                Whose::Nobody => is_ours = true,
                Whose::Other => {}
            }
        }
        if is_ours {
            sum.retried += u64::from(line.attempts.len() > 1);
            let class = class_of(Some(line.status).filter(|status| *status > 0));
            sum.users.add(class, line.took_ms);
        }
    }

    fn whose(&self, attempt: &Attempt) -> Whose {
        let address = &attempt.address;
        let Some((ip, _port)) = address.rsplit_once(':') else {
            let is_others = self
                .roster
                .borrow()
                .iter()
                .any(|c| c.service == **address && c.service != self.service);
            return if is_others {
                Whose::Other
            } else {
                Whose::Nobody
            };
        };
        let ip = ip.trim_start_matches('[').trim_end_matches(']');
        match self.known.get(ip) {
            Some(owner) if owner.service == self.service => {
                Whose::Replica(Key::Container(owner.id.clone(), owner.replica.clone()))
            }
            Some(_) => Whose::Other,
            None => Whose::Replica(Key::Address(address.clone())),
        }
    }

    fn push(&mut self, from: Timestamp, to: Timestamp, sum: Tallies) {
        self.slots.push_back(Slot { from, to, sum });
        let is_past = |slot: &Slot| to.since(slot.to) >= WINDOW;
        while self.slots.len() > SLOTS_MAX || self.slots.front().is_some_and(is_past) {
            self.slots.pop_front();
        }
    }

    /// The sum of the window, and the seconds it took. No seconds: the first look.
    fn window(&self) -> (Tallies, Option<f64>) {
        let mut sum = Tallies::default();
        for slot in &self.slots {
            sum.merge(&slot.sum);
        }
        let span = self.slots.front().zip(self.slots.back());
        let seconds = span.map(|(first, last)| last.to.since(first.from).as_secs_f64());
        (sum, seconds.filter(|s| *s > 0.0))
    }

    fn found(&self, containers: &[Container]) -> Found {
        let (mut sum, seconds) = self.window();
        let conflicts = replicas::conflicts(containers);
        let mut rows: Vec<ReplicaTraffic> = Vec::new();
        for container in containers {
            let name = container.replica();
            let key = Key::Container(container.id.clone(), name.clone());
            let tally = sum.by.remove(&key).unwrap_or_default();
            rows.push(ReplicaTraffic {
                fault: conflicts.get(&name).cloned(),
                replica: name,
                container: Some(container.id.clone()),
                flow: tally.flow(seconds),
                resets: 0,
            });
        }
        // What is left answered in the window and is no running replica: gone by now, or nobody we know.
        let is_mixed = !sum.by.is_empty();
        for (key, tally) in &sum.by {
            let (container, replica) = match key {
                Key::Container(id, name) => (Some(id.clone()), name.clone()),
                Key::Address(address) => (None, address.clone()),
            };
            rows.push(ReplicaTraffic {
                replica,
                container,
                flow: tally.flow(seconds),
                resets: 0,
                fault: None,
            });
        }
        let retried = (sum.retried > 0).then(|| format!("{} retried", sum.retried));
        Found {
            source: TrafficSource::AccessLog,
            service: self.service.clone(),
            replicas: rows,
            total: sum.users.flow(seconds),
            unclassed: 0,
            dropped: sum.dropped,
            unreadable: sum.unreadable,
            mix: if is_mixed {
                Mix::Changing
            } else {
                Mix::Settled
            },
            notes: Vec::new(),
            asides: retried.into_iter().collect(),
        }
    }

    fn unlinked(&mut self) -> Fault {
        // What comes after a gap is a new count: the gap was no zero.
        self.slots.clear();
        self.counted_to = None;
        Fault::new(
            FaultKind::Silent,
            format!("the log of {} is not followed", self.gateway),
        )
        .remedy("check that the gateway runs and logs JSON lines to its standard output")
    }
}

/// To whom a try belongs.
#[derive(Debug)]
enum Whose {
    Replica(Key),
    /// The name of an upstream: nobody was tried.
    Nobody,
    /// Another service's.
    Other,
}

impl Tallies {
    fn replica(&mut self, key: Key, class: Class, took_ms: Option<f64>) {
        if self.by.len() >= ROWS_MAX && !self.by.contains_key(&key) {
            self.dropped += 1;
            return;
        }
        self.by.entry(key).or_default().add(class, took_ms);
    }

    fn merge(&mut self, other: &Self) {
        self.users.merge(&other.users);
        self.retried += other.retried;
        self.unreadable += other.unreadable;
        self.dropped += other.dropped;
        for (key, tally) in &other.by {
            self.by.entry(key.clone()).or_default().merge(tally);
        }
    }
}

impl Tally {
    fn add(&mut self, class: Class, took_ms: Option<f64>) {
        self.requests += 1;
        match class {
            Class::Fine => {}
            Class::Client => self.client_errors += 1,
            Class::Server => self.errors += 1,
        }
        if let Some(took_ms) = took_ms {
            self.times.record(took_ms);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.client_errors += other.client_errors;
        self.times.merge(&other.times);
    }

    fn flow(&self, seconds: Option<f64>) -> Flow {
        let quantiles = self.times.quantiles();
        Flow {
            requests_per_s: seconds.map(|seconds| real(self.requests) / seconds),
            requests: self.requests,
            errors: self.errors,
            client_errors: self.client_errors,
            p50_ms: quantiles.p50,
            p95_ms: quantiles.p95,
            p99_ms: quantiles.p99,
            share: None,
        }
    }
}

impl Look for AccessLogProbe {
    fn source(&self) -> SourceId {
        let name = format!("{} gateway log", self.service);
        SourceId::new(SourceKind::Traffic, name)
    }

    fn period(&self) -> Duration {
        self.every
    }

    async fn look(&mut self, now: Timestamp) -> Result<Reading, Fault> {
        self.learn(now);
        let sum = self.drain();
        if !self.feed.is_linked() {
            return Err(self.unlinked());
        }
        // Lines from before the first look belong to no known span of time.
        if let Some(from) = self.counted_to.replace(now) {
            self.push(from, now, sum);
        }
        let containers = replicas::running(&self.roster, &self.service);
        let mut found = self.found(&containers);
        if containers.iter().any(|c| is_young(c, now)) {
            found.mix = Mix::Changing;
        }
        verdict::reading(found, &self.thresholds)
    }
}

#[cfg(test)]
mod tests {
    use super::super::replicas::tests::{replica, roster};
    use super::*;
    use crate::domain::{Detail, Health, Traffic};
    use crate::link::accesslog::{Feeder, Link, feed};
    use crate::probe::roster::RosterSender;

    struct Yard {
        probe: AccessLogProbe,
        feeder: Feeder,
        link: Option<Link>,
        now: Timestamp,
        containers: RosterSender,
    }

    impl Yard {
        fn new() -> Self {
            let mut other = replica("client", 1, "10.0.0.9");
            other.service = Clean::from("client");
            let (containers, roster) = roster(vec![
                replica("a", 1, "10.0.0.1"),
                replica("b", 2, "10.0.0.2"),
                other,
            ]);
            let (feeder, feed) = feed();
            let probe = AccessLogProbe::new(
                Clean::from("gateway"),
                Clean::from("server"),
                Duration::from_secs(2),
                Thresholds::default(),
                roster,
                feed,
            );
            let link = Some(feeder.link());
            Self {
                probe,
                feeder,
                link,
                now: Timestamp(1_000_000),
                containers,
            }
        }

        fn line(&self, status: u16, addresses: &str, statuses: &str, times: &str) {
            let line = serde_json::json!({
                "time": 1, "status": status, "request_time": 0.25, "upstream_addr": addresses,
                "upstream_status": statuses, "upstream_response_time": times,
            });
            self.feeder.line(&line.to_string());
        }

        async fn look(&mut self, later_s: u64) -> Result<(Health, String, Traffic), Fault> {
            self.now = self.now.plus(Duration::from_secs(later_s));
            let reading = self.probe.look(self.now).await?;
            match reading.detail {
                Detail::Traffic(t) => Ok((reading.health, reading.summary.to_string(), t)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn lines_are_counted_by_replica() {
        let mut yard = Yard::new();
        let (health, ..) = yard.look(2).await.expect("a first look");
        assert_eq!(health, Health::Busy);
        for i in 0..100 {
            let ip = if i % 2 == 0 {
                "10.0.0.1:5000"
            } else {
                "10.0.0.2:5000"
            };
            yard.line(200, ip, "200", "0.100");
        }
        yard.line(404, "10.0.0.9:80", "404", "0.1");
        yard.line(301, "-", "-", "-");
        let (health, summary, traffic) = yard.look(2).await.expect("a reading");
        assert_eq!(health, Health::Good, "{summary}");
        assert_eq!((traffic.total.requests, traffic.counted), (100, (2, 2)));
        assert_eq!(traffic.total.requests_per_s, Some(50.0));
        assert_eq!(traffic.replicas[0].flow.share, Some(0.5));
        let p95 = traffic.replicas[0].flow.p95_ms.expect("a latency");
        assert!((96.0..=104.0).contains(&p95), "{p95}");
    }

    #[tokio::test]
    async fn a_retried_try_is_the_replicas_error_and_not_the_users() {
        let mut yard = Yard::new();
        yard.look(2).await.expect("a first look");
        for _ in 0..30 {
            yard.line(
                200,
                "10.0.0.1:5000, 10.0.0.2:5000",
                "502, 200",
                "0.001, 0.200",
            );
        }
        let (health, summary, traffic) = yard.look(2).await.expect("a reading");
        assert_eq!((traffic.total.errors, traffic.total.requests), (0, 30));
        assert_eq!(traffic.replicas[0].flow.errors, 30);
        assert_eq!(traffic.replicas[1].flow.errors, 0);
        assert_eq!(health, Health::Poor);
        assert!(summary.contains("30 retried"), "{summary}");
        assert!(summary.contains("server-1 fails 100 %"), "{summary}");
    }

    #[tokio::test]
    async fn what_users_did_not_get_is_bad() {
        let mut yard = Yard::new();
        yard.look(2).await.expect("a first look");
        for _ in 0..30 {
            yard.line(502, "server", "502", "0.000");
        }
        let (health, _, traffic) = yard.look(2).await.expect("a reading");
        assert_eq!((health, traffic.total.errors), (Health::Bad, 30));
        assert_eq!(traffic.replicas[0].flow.requests, 0);
    }

    #[tokio::test]
    async fn silence_is_zero_only_while_somebody_listens() {
        let mut yard = Yard::new();
        yard.look(2).await.expect("a first look");
        let (health, _, traffic) = yard.look(2).await.expect("a reading");
        assert_eq!(traffic.total.requests_per_s, Some(0.0));
        assert_eq!(health, Health::None);
        yard.link = None;
        let fault = yard.look(2).await.expect_err("nobody listens");
        assert_eq!(fault.kind, FaultKind::Silent);
        yard.link = Some(yard.feeder.link());
        let (health, ..) = yard.look(2).await.expect("it begins anew");
        assert_eq!(health, Health::Busy);
    }

    #[tokio::test]
    async fn the_window_slides() {
        let mut yard = Yard::new();
        yard.look(2).await.expect("a first look");
        for _ in 0..100 {
            yard.line(200, "10.0.0.1:5000", "200", "0.1");
            let (_, _, traffic) = yard.look(2).await.expect("a reading");
            assert!(traffic.total.requests <= 30, "{}", traffic.total.requests);
        }
        let (_, _, traffic) = yard.look(2).await.expect("a reading");
        assert_eq!(traffic.total.requests, 29);
    }

    #[tokio::test]
    async fn garbage_is_counted_and_seen() {
        let mut yard = Yard::new();
        yard.look(2).await.expect("a first look");
        yard.feeder.line("\x1b]0;owned\x07");
        let (health, summary, traffic) = yard.look(2).await.expect("a reading");
        assert_eq!((health, traffic.unreadable), (Health::Poor, 1));
        assert!(!summary.contains('\x1b'));
    }

    #[tokio::test]
    async fn a_replaced_replica_keeps_its_name_and_shares_are_no_finding() {
        let mut yard = Yard::new();
        yard.look(2).await.expect("a first look");
        let next = vec![replica("a", 1, "10.0.0.1"), replica("c", 2, "10.0.0.7")];
        yard.containers.send_replace(next.into());
        for _ in 0..90 {
            yard.line(200, "10.0.0.2:5000", "200", "0.1");
        }
        let (_, _, traffic) = yard.look(2).await.expect("a reading");
        assert_eq!(traffic.replicas.len(), 3);
        assert_eq!(traffic.uneven, None);
        let gone = traffic.replicas.iter().find(|r| r.flow.requests == 90);
        assert_eq!(gone.map(|r| r.replica.as_str()), Some("server-2"));
    }

    #[tokio::test]
    async fn an_unknown_address_stands_for_itself() {
        let mut yard = Yard::new();
        yard.look(2).await.expect("a first look");
        yard.line(200, "192.0.2.1:5000", "200", "0.1");
        let (_, _, traffic) = yard.look(2).await.expect("a reading");
        assert_eq!(traffic.replicas[0].replica, "192.0.2.1:5000");
        assert_eq!(traffic.replicas[0].container, None);
    }
}
