//! The stack's containers: the engine's list is the truth, and a container is inspected only when the list says that it
//! changed, when it is in trouble, and once a minute.
//!
//! Events are not believed here; they only wake the look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Look;
use super::roster::RosterSender;
use crate::domain::{
    CheckState, Clean, Container, ContainerId, ContainerState, Containers, Detail, Drift, Fault,
    FaultKind, Health, Measure, Reading, SourceId, SourceKind, Stack, Timestamp, Unit,
};
use crate::link::docker::{Engine, ImageFacts, Listed};

/// Without any event the truth is at most this old.
const PERIOD: Duration = Duration::from_secs(10);
/// One list and one round of inspections, over a bad line.
const DEADLINE: Duration = Duration::from_secs(12);
/// All inspections of one look together: one container that hangs must not hide the others.
const INSPECT_DEADLINE: Duration = Duration::from_secs(4);
/// Questions at the same time. More would only queue in the engine.
const CONCURRENCY: usize = 8;
/// What the list does not tell (restart count, limits, addresses) is at most this old.
const REFRESH: Duration = Duration::from_mins(1);
/// So that containers that were started together are not inspected together for ever.
const STAGGER_S: u64 = 20;
/// How long a tag is taken to point where it pointed.
const IMAGE_REFRESH: Duration = Duration::from_mins(1);

pub struct ContainersProbe {
    engine: Engine,
    stack: Arc<Stack>,
    roster: RosterSender,
    /// How often the event stream broke.
    gaps: watch::Receiver<u32>,
    known: BTreeMap<ContainerId, Known>,
    images: BTreeMap<Clean, (Timestamp, Option<ImageFacts>)>,
}

/// An inspected container, and what the list said of it then.
struct Known {
    listed: Listed,
    container: Container,
    at: Timestamp,
}

impl ContainersProbe {
    pub fn new(
        engine: Engine,
        stack: Arc<Stack>,
        roster: RosterSender,
        gaps: watch::Receiver<u32>,
    ) -> Self {
        Self {
            engine,
            stack,
            roster,
            gaps,
            known: BTreeMap::new(),
            images: BTreeMap::new(),
        }
    }

    /// Inspects what must be, and forgets what is gone.
    async fn refresh(&mut self, listed: &[Listed], now: Timestamp) {
        let there: BTreeSet<&ContainerId> = listed.iter().map(|one| &one.id).collect();
        self.known.retain(|id, _| there.contains(id));
        let due: Vec<Listed> = listed
            .iter()
            .filter(|one| self.is_due(one, now))
            .cloned()
            .collect();
        let until = Instant::now() + INSPECT_DEADLINE;
        let engine = &self.engine;
        let answers: Vec<_> = stream::iter(due)
            .map(|one| async move {
                let answer = timeout_at(until, engine.inspect(&one.id)).await;
                (one, answer)
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        for (listed, answer) in answers {
            let container = match answer {
                Ok(Ok(container)) => container,
                // Gone between the list and now: the next list will not have it.
                Ok(Err(error)) if error.is_missing() => continue,
                Ok(Err(error)) => {
                    listed.as_container(Clean::line(&format!("cannot be inspected: {error}")))
                }
                Err(_) => listed.as_container(Clean::line(&format!(
                    "cannot be inspected: no answer within {INSPECT_DEADLINE:?}"
                ))),
            };
            let known = Known {
                container,
                at: now,
                listed,
            };
            self.known.insert(known.listed.id.clone(), known);
        }
    }

    fn is_due(&self, listed: &Listed, now: Timestamp) -> bool {
        let Some(known) = self.known.get(&listed.id) else {
            return true;
        };
        let stagger = listed.id.0.bytes().fold(0, |sum, b| sum + u64::from(b)) % STAGGER_S;
        known.listed != *listed
            || matches!(listed.check, CheckState::Unhealthy | CheckState::Starting)
            || listed.state == ContainerState::Restarting
            // Only from the list: the inspection failed.
            || known.container.labels.is_empty()
            || now.since(known.at) + Duration::from_secs(stagger) >= REFRESH
    }

    /// Asks where the tags of all known containers point now.
    async fn refresh_images(&mut self, now: Timestamp) {
        let mut names: Vec<Clean> = self
            .known
            .values()
            .map(|k| k.container.image.name.clone())
            .collect();
        names.sort();
        names.dedup();
        self.images.retain(|name, _| names.contains(name));
        names.retain(|name| {
            let asked = self.images.get(name);
            !is_bare_id(name) && asked.is_none_or(|(at, _)| now.since(*at) >= IMAGE_REFRESH)
        });
        let until = Instant::now() + INSPECT_DEADLINE;
        let engine = &self.engine;
        let answers: Vec<_> = stream::iter(names)
            .map(|name| async move {
                let answer = timeout_at(until, engine.image(&name)).await;
                (name, answer)
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        for (name, answer) in answers {
            match answer {
                Ok(Ok(facts)) => {
                    self.images.insert(name, (now, facts));
                }
                // Not known is what drift then says; the next look asks again.
                Ok(Err(_)) | Err(_) => {
                    self.images.remove(&name);
                }
            }
        }
    }

    fn containers(&self) -> Vec<Container> {
        let mut all: Vec<Container> = self
            .known
            .values()
            .filter(|known| !known.listed.one_off)
            .map(|known| {
                let mut container = known.container.clone();
                let facts = self
                    .images
                    .get(&container.image.name)
                    .map(|(_, facts)| facts);
                container.drift = drift(&container, facts);
                container.image.digest = match facts {
                    Some(Some(facts)) if facts.id == container.image.id => facts.digest.clone(),
                    _ => None,
                };
                container
            })
            .collect();
        all.sort_by(|a, b| (&a.service, a.number, &a.name).cmp(&(&b.service, b.number, &b.name)));
        all
    }
}

impl Look for ContainersProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Containers, self.stack.name.clone())
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    async fn look(&mut self, now: Timestamp) -> Result<Reading, Fault> {
        if self.stack.name.is_empty() {
            return Err(Fault::new(FaultKind::Misconfigured, "no project is named")
                .remedy("name the stack"));
        }
        let listed = self.engine.list(&self.stack.name).await?;
        self.refresh(&listed, now).await;
        self.refresh_images(now).await;
        let all = self.containers();
        self.roster.send_replace(Arc::from(all.as_slice()));
        Ok(judge(&self.stack, all, *self.gaps.borrow()))
    }
}

/// A container that was started by an image's id says nothing about a tag.
fn is_bare_id(name: &str) -> bool {
    name.is_empty()
        || name.starts_with("sha256:")
        || (name.len() >= 12 && name.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn drift(container: &Container, now: Option<&Option<ImageFacts>>) -> Drift {
    let name = &container.image.name;
    match now {
        _ if is_bare_id(name) => {
            Drift::Unknown(Clean::from("started by an image id, not by a tag"))
        }
        None => Drift::Unknown(Clean::line(&format!("could not ask where {name} points"))),
        Some(None) => Drift::Unknown(Clean::line(&format!("{name} is gone from the engine"))),
        Some(Some(facts)) if facts.id == container.image.id => Drift::Same,
        Some(Some(facts)) => Drift::Differs(Clean::line(&format!(
            "{name} is {} by now",
            short(&facts.id)
        ))),
    }
}

fn short(image: &str) -> &str {
    let hex = image.strip_prefix("sha256:").unwrap_or(image);
    crate::domain::text::fit(hex, 12)
}

/// What the containers mean for the stack.
fn judge(stack: &Stack, all: Vec<Container>, event_gaps: u32) -> Reading {
    let missing = missing(stack, &all);
    let mut findings = findings(stack, &all, &missing);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.0));
    let count = Count::of(stack, &all);
    let health = match findings.first() {
        Some((worst, _)) => *worst,
        None => count.health(),
    };
    let summary = match findings.as_slice() {
        [] => count.text(),
        [(_, only)] => format!("{only}, {}", count.text()),
        [(_, worst), rest @ ..] => format!("{worst} and {} more, {}", rest.len(), count.text()),
    };
    Reading {
        health,
        summary: Clean::line(&summary),
        measures: measures(&count, &all, &missing),
        detail: Detail::Containers(Containers {
            all,
            missing,
            event_gaps,
        }),
    }
}

/// Services with fewer running replicas than they should have.
fn missing(stack: &Stack, all: &[Container]) -> Vec<(Clean, u32, u32)> {
    let short = stack.services.iter().filter_map(|spec| {
        let of = || all.iter().filter(|c| c.service == spec.name);
        let running = of().filter(|c| c.state == ContainerState::Running).count();
        let running = u32::try_from(running).unwrap_or(u32::MAX);
        // Without a number there must be at least something of that name.
        let expected = spec.replicas.unwrap_or(u32::from(of().next().is_none()));
        (running < expected).then(|| (spec.name.clone(), running, expected))
    });
    short.collect()
}

/// What needs a person, each with one line that names it.
fn findings(
    stack: &Stack,
    all: &[Container],
    missing: &[(Clean, u32, u32)],
) -> Vec<(Health, String)> {
    let mut found: Vec<(Health, String)> = all
        .iter()
        .filter(|c| stack.matters(&c.service))
        .filter_map(|c| finding(stack, c))
        .collect();
    let short = missing
        .iter()
        .filter(|(service, ..)| stack.matters(service));
    found.extend(short.map(|(service, there, expected)| {
        (
            Health::Bad,
            format!("{service} {there} of {expected} running"),
        )
    }));
    if all.is_empty() && stack.services.is_empty() {
        found.push((
            Health::Bad,
            format!("no containers of project {}", stack.name),
        ));
    }
    found
}

fn finding(stack: &Stack, container: &Container) -> Option<(Health, String)> {
    let who = container.replica();
    match container.health() {
        health @ (Health::Bad | Health::Unknown) => {
            let how = match (container.oom_killed, container.exit_code, &container.state) {
                (true, ..) => "out of memory".to_owned(),
                (false, Some(code), ContainerState::Exited | ContainerState::Dead) => {
                    format!("{}, exit code {code}", container.state.word())
                }
                (false, _, ContainerState::Running) => "unhealthy".to_owned(),
                (false, _, state) => state.word().to_owned(),
            };
            Some((health, format!("{who} {how}")))
        }
        Health::Poor => Some((Health::Poor, format!("{who} {}", container.state.word()))),
        _ if container.oom_killed => Some((Health::Poor, format!("{who} was out of memory"))),
        _ if stack.thresholds.restarts > 0 && container.restarts >= stack.thresholds.restarts => {
            Some((
                Health::Poor,
                format!("{who} restarted {} times", container.restarts),
            ))
        }
        Health::None | Health::Good | Health::Busy => None,
    }
}

/// Containers that matter, by how they are.
#[derive(Default)]
struct Count {
    total: u32,
    healthy: u32,
    unchecked: u32,
    busy: u32,
    running: u32,
}

impl Count {
    fn of(stack: &Stack, all: &[Container]) -> Self {
        let mut count = Self::default();
        for container in all.iter().filter(|c| stack.matters(&c.service)) {
            let running = container.state == ContainerState::Running;
            count.running += u32::from(running);
            match container.health() {
                Health::Good => count.healthy += 1,
                Health::None if running => count.unchecked += 1,
                // A job that has done its work is not part of what should run.
                Health::None => continue,
                Health::Busy => count.busy += 1,
                Health::Poor | Health::Unknown | Health::Bad => {}
            }
            count.total += 1;
        }
        count
    }

    fn health(&self) -> Health {
        match self {
            Self { busy: 1.., .. } => Health::Busy,
            Self { healthy: 1.., .. } => Health::Good,
            _ => Health::None,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}/{} healthy", self.healthy, self.total);
        if self.unchecked > 0 {
            text = format!("{text}, {} without a health check", self.unchecked);
        }
        if self.busy > 0 {
            text = format!("{text}, {} starting", self.busy);
        }
        text
    }
}

fn measures(count: &Count, all: &[Container], missing: &[(Clean, u32, u32)]) -> Vec<Measure> {
    let of = |name: &str, value: u32| Measure::new(name, f64::from(value), Unit::Count);
    let lacking = missing
        .iter()
        .map(|(_, there, expected)| expected - there)
        .sum();
    let mut measures = vec![
        of("containers", count.total),
        of("running", count.running),
        of("healthy", count.healthy),
        of("missing", lacking),
    ];
    let mut services: BTreeMap<&Clean, u32> = BTreeMap::new();
    for container in all {
        let good = matches!(container.health(), Health::Good);
        *services.entry(&container.service).or_default() += u32::from(good);
    }
    measures.extend(
        services
            .into_iter()
            .map(|(service, healthy)| of(&format!("{service}.healthy"), healthy)),
    );
    measures
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::{Image, Limits, ServiceSpec};

    pub(crate) fn container(
        service: &str,
        number: u32,
        state: ContainerState,
        check: CheckState,
    ) -> Container {
        Container {
            id: ContainerId(Clean::line(&format!("{service}{number}"))),
            name: Clean::line(&format!("lab_{service}_{number}")),
            project: Clean::from("lab"),
            service: Clean::from(service),
            number: Some(number),
            state,
            check,
            check_streak: 0,
            check_log: Vec::new(),
            check_command: Clean::default(),
            restarts: 0,
            exit_code: None,
            oom_killed: false,
            error: Clean::default(),
            created_at: None,
            started_at: None,
            finished_at: None,
            image: Image::default(),
            drift: Drift::Same,
            addresses: Vec::new(),
            ports: Vec::new(),
            mounts: Vec::new(),
            labels: BTreeMap::new(),
            limits: Limits::default(),
            restart_policy: Clean::from("always"),
            user: Clean::default(),
            pid: None,
        }
    }

    fn healthy(service: &str, number: u32) -> Container {
        container(
            service,
            number,
            ContainerState::Running,
            CheckState::Healthy,
        )
    }

    fn stack(services: &[(&str, Option<u32>, bool)]) -> Stack {
        let mut stack = Stack::discovered(Clean::from("lab"));
        stack.services = services
            .iter()
            .map(|(name, replicas, matters)| ServiceSpec {
                name: Clean::from(*name),
                replicas: *replicas,
                matters: *matters,
            })
            .collect();
        stack
    }

    #[track_caller]
    fn check(stack: &Stack, all: Vec<Container>, health: Health, summary: &str) {
        let reading = judge(stack, all, 0);
        assert_eq!(
            (reading.summary.as_str(), reading.health),
            (summary, health)
        );
    }

    #[test]
    fn all_healthy_is_good() {
        check(
            &stack(&[]),
            vec![healthy("a", 1), healthy("a", 2)],
            Health::Good,
            "2/2 healthy",
        );
    }

    #[test]
    fn without_a_health_check_running_is_told_apart_from_healthy() {
        let bare = container("b", 1, ContainerState::Running, CheckState::None);
        check(
            &stack(&[]),
            vec![healthy("a", 1), bare.clone()],
            Health::Good,
            "1/2 healthy, 1 without a health check",
        );
        check(
            &stack(&[]),
            vec![bare],
            Health::None,
            "0/1 healthy, 1 without a health check",
        );
    }

    #[test]
    fn one_bad_replica_is_bad_though_others_serve() {
        let sick = container("a", 2, ContainerState::Running, CheckState::Unhealthy);
        check(
            &stack(&[]),
            vec![healthy("a", 1), sick],
            Health::Bad,
            "a-2 unhealthy, 1/2 healthy",
        );
        let mut dead = container("a", 2, ContainerState::Exited, CheckState::None);
        dead.exit_code = Some(137);
        check(
            &stack(&[]),
            vec![healthy("a", 1), dead.clone()],
            Health::Bad,
            "a-2 exited, exit code 137, 1/2 healthy",
        );
        dead.oom_killed = true;
        check(
            &stack(&[]),
            vec![healthy("a", 1), dead],
            Health::Bad,
            "a-2 out of memory, 1/2 healthy",
        );
    }

    #[test]
    fn fewer_replicas_than_named_are_bad() {
        let stack = stack(&[("a", Some(3), true), ("b", None, true)]);
        let reading = judge(&stack, vec![healthy("a", 1), healthy("a", 2)], 0);
        assert_eq!(reading.health, Health::Bad);
        assert_eq!(
            reading.summary.as_str(),
            "a 2 of 3 running and 1 more, 2/2 healthy"
        );
        let Detail::Containers(seen) = reading.detail else {
            panic!("wrong detail")
        };
        assert_eq!(
            seen.missing,
            [(Clean::from("a"), 2, 3), (Clean::from("b"), 0, 1)]
        );
    }

    #[test]
    fn what_does_not_matter_is_shown_and_quiet() {
        let stack = stack(&[("a", None, true), ("toy", Some(2), false)]);
        let dead = container("toy", 1, ContainerState::Dead, CheckState::None);
        check(
            &stack,
            vec![healthy("a", 1), dead],
            Health::Good,
            "1/1 healthy",
        );
    }

    #[test]
    fn a_finished_job_is_no_missing_replica() {
        let mut job = container("migrate", 1, ContainerState::Exited, CheckState::None);
        (job.exit_code, job.restart_policy) = (Some(0), Clean::from("no"));
        let stack = stack(&[("a", None, true), ("migrate", None, true)]);
        check(
            &stack,
            vec![healthy("a", 1), job],
            Health::Good,
            "1/1 healthy",
        );
    }

    #[test]
    fn many_restarts_are_poor() {
        let mut flapping = healthy("a", 1);
        flapping.restarts = 3;
        check(
            &stack(&[]),
            vec![flapping],
            Health::Poor,
            "a-1 restarted 3 times, 1/1 healthy",
        );
    }

    #[test]
    fn no_containers_at_all_are_never_good() {
        check(
            &stack(&[]),
            vec![],
            Health::Bad,
            "no containers of project lab, 0/0 healthy",
        );
    }

    #[test]
    fn a_tag_that_moved_is_drift_and_what_is_not_known_says_why() {
        let mut one = healthy("a", 1);
        (one.image.name, one.image.id) = (Clean::from("a:1"), Clean::from("sha256:1111"));
        let at = |id: &str| {
            Some(ImageFacts {
                id: Clean::from(id),
                digest: None,
            })
        };
        assert_eq!(drift(&one, Some(&at("sha256:1111"))), Drift::Same);
        assert_eq!(
            drift(&one, Some(&at("sha256:2222"))),
            Drift::Differs(Clean::from("a:1 is 2222 by now"))
        );
        assert!(matches!(drift(&one, Some(&None)), Drift::Unknown(_)));
        one.image.name = Clean::from("sha256:1111");
        assert!(matches!(drift(&one, None), Drift::Unknown(why) if why.contains("not by a tag")));
    }
}
