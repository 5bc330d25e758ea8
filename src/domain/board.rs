//! All that is known about the stack, and what follows from it.
//!
//! The screen, the reports and the exit codes are drawn from one [`Board`], so that they cannot disagree. Only the
//! sightings are stored; concerns, findings and roll-ups are derived when asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    AlertState, Alerts, Backup, Certificate, CheckState, Clean, Container, ContainerId,
    ContainerState, Containers, Detail, Drift, Endpoint, EngineFacts, Freshness, Health, Host,
    ReplicaTraffic, Sighting, SourceId, SourceKind, Stack, Timestamp, Traffic, Unit, Usage,
    Watched,
};

/// A source that has not answered yet is no news while the console is still starting.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Board {
    pub stack: Stack,
    /// In a list of pairs when written: JSON has no other keys than texts.
    #[serde(with = "pairs")]
    pub sources: BTreeMap<SourceId, Watched>,
}

/// What an operator asks about, each with a screen of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Engine,
    Containers,
    Traffic,
    Endpoints,
    Certificates,
    Backups,
    Alerts,
    Host,
}

impl Subject {
    pub const ALL: [Self; 8] = [
        Self::Engine,
        Self::Containers,
        Self::Traffic,
        Self::Endpoints,
        Self::Certificates,
        Self::Backups,
        Self::Alerts,
        Self::Host,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Engine => "Engine",
            Self::Containers => "Containers",
            Self::Traffic => "Traffic",
            Self::Endpoints => "Endpoints",
            Self::Certificates => "Certificates",
            Self::Backups => "Backups",
            Self::Alerts => "Alerts",
            Self::Host => "Host",
        }
    }

    /// The subject that a kind of source belongs to.
    pub fn of(kind: SourceKind) -> Self {
        match kind {
            SourceKind::Engine => Self::Engine,
            SourceKind::Containers | SourceKind::Usage => Self::Containers,
            SourceKind::Traffic => Self::Traffic,
            SourceKind::Endpoint => Self::Endpoints,
            SourceKind::Certificate => Self::Certificates,
            SourceKind::Backup => Self::Backups,
            SourceKind::Alerts => Self::Alerts,
            SourceKind::Host => Self::Host,
        }
    }
}

/// One line of the overview.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Concern {
    pub subject: Subject,
    pub health: Health,
    pub summary: Clean,
    /// Since when it is in this health; `None` while nothing has been seen.
    pub since: Option<Timestamp>,
    /// Age of the oldest reading that went into it, in whole looks: `None` while nothing has been seen.
    pub freshness: ConcernAge,
    /// Sources, and how many of them could not be looked at.
    pub sources: u32,
    pub blind: u32,
}

/// The age of the oldest reading in a concern, beside the period it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ConcernAge {
    pub age: Option<Duration>,
    pub period: Duration,
    pub stale: bool,
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub health: Health,
    pub subject: Subject,
    pub source: SourceId,
    /// What it is about: `server-2`, `localhost:8443`.
    pub about: Clean,
    pub text: Clean,
    pub since: Timestamp,
}

/// The replicas of one service, counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceState {
    pub name: Clean,
    /// Running, whatever their health check says.
    pub running: u32,
    /// Running, and their health check does not object.
    pub well: u32,
    pub there: u32,
    pub expected: Option<u32>,
    pub matters: bool,
    pub health: Health,
}

impl Board {
    pub fn new(stack: Stack) -> Self {
        Self {
            stack,
            sources: BTreeMap::new(),
        }
    }

    /// Says that a source will be watched, before the first look at it has ended.
    pub fn expect(&mut self, source: SourceId, period: Duration, now: Timestamp) {
        self.sources
            .entry(source)
            .or_insert_with(|| Watched::unseen(period, now));
    }

    pub fn take(&mut self, sighting: Sighting) {
        let watched = self
            .sources
            .entry(sighting.source)
            .or_insert_with(|| Watched::unseen(sighting.period, sighting.at));
        watched.period = sighting.period;
        watched.take(sighting.at, sighting.result);
    }

    pub fn of_kind(&self, kind: SourceKind) -> impl Iterator<Item = (&SourceId, &Watched)> {
        self.sources.iter().filter(move |(id, _)| id.kind == kind)
    }

    pub fn details(
        &self,
        kind: SourceKind,
    ) -> impl Iterator<Item = (&SourceId, &Watched, &Detail)> {
        self.of_kind(kind)
            .filter_map(|(id, watched)| Some((id, watched, &watched.reading()?.detail)))
    }

    /// The containers as last seen, however long ago; ask [`Self::of_kind`] for their age.
    pub fn containers(&self) -> Option<&Containers> {
        self.details(SourceKind::Containers)
            .find_map(|(_, _, detail)| match detail {
                Detail::Containers(containers) => Some(containers),
                _ => None,
            })
    }

    pub fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.containers()?
            .all
            .iter()
            .find(|container| container.id == *id)
    }

    pub fn usage(&self, id: &ContainerId) -> Option<&Usage> {
        self.details(SourceKind::Usage)
            .find_map(|(_, _, detail)| match detail {
                Detail::Usage(table) => table.by_id.get(id),
                _ => None,
            })
    }

    pub fn traffic(&self) -> impl Iterator<Item = (&SourceId, &Watched, &Traffic)> {
        self.details(SourceKind::Traffic)
            .filter_map(|(id, watched, detail)| match detail {
                Detail::Traffic(traffic) => Some((id, watched, traffic)),
                _ => None,
            })
    }

    /// The traffic reading to believe first: what the gateway logged, then the replicas' own word, then Prometheus';
    /// a fresh one before a stale one.
    pub fn best_traffic(&self, now: Timestamp) -> Option<(&SourceId, &Watched, &Traffic)> {
        use super::TrafficSource as T;
        self.traffic().min_by_key(|(_, watched, traffic)| {
            let stale = matches!(
                watched.freshness(now),
                Freshness::Stale(_) | Freshness::Never
            );
            let idle = traffic.total.requests == 0;
            let rank = match traffic.source {
                T::AccessLog => 0,
                T::Metrics => 1,
                T::Prometheus => 2,
            };
            (stale, idle, rank)
        })
    }

    pub fn certificates(&self) -> impl Iterator<Item = (&SourceId, &Watched, &Certificate)> {
        self.details(SourceKind::Certificate)
            .filter_map(|(id, watched, detail)| match detail {
                Detail::Certificate(certificate) => Some((id, watched, &**certificate)),
                _ => None,
            })
    }

    pub fn endpoints(&self) -> impl Iterator<Item = (&SourceId, &Watched, &Endpoint)> {
        self.details(SourceKind::Endpoint)
            .filter_map(|(id, watched, detail)| match detail {
                Detail::Endpoint(endpoint) => Some((id, watched, &**endpoint)),
                _ => None,
            })
    }

    pub fn backups(&self) -> impl Iterator<Item = (&SourceId, &Watched, &Backup)> {
        self.details(SourceKind::Backup)
            .filter_map(|(id, watched, detail)| match detail {
                Detail::Backup(backup) => Some((id, watched, backup)),
                _ => None,
            })
    }

    pub fn alerts(&self) -> Option<&Alerts> {
        self.details(SourceKind::Alerts)
            .find_map(|(_, _, detail)| match detail {
                Detail::Alerts(alerts) => Some(alerts),
                _ => None,
            })
    }

    pub fn host(&self) -> Option<&Host> {
        self.details(SourceKind::Host)
            .find_map(|(_, _, detail)| match detail {
                Detail::Host(host) => Some(host),
                _ => None,
            })
    }

    pub fn engine(&self) -> Option<&EngineFacts> {
        self.details(SourceKind::Engine)
            .find_map(|(_, _, detail)| match detail {
                Detail::Engine(facts) => Some(facts),
                _ => None,
            })
    }

    /// The services of the stack: those that are configured first, in that order, then the others by name.
    pub fn services(&self) -> Vec<ServiceState> {
        let mut states: Vec<ServiceState> = self
            .stack
            .services
            .iter()
            .map(|spec| ServiceState {
                name: spec.name.clone(),
                running: 0,
                well: 0,
                there: 0,
                expected: spec.replicas,
                matters: spec.matters,
                health: Health::None,
            })
            .collect();
        let mut places: BTreeMap<Clean, usize> = states
            .iter()
            .enumerate()
            .map(|(at, state)| (state.name.clone(), at))
            .collect();
        for container in self
            .containers()
            .map_or(&[][..], |containers| &containers.all)
        {
            let name = if container.service.is_empty() {
                &container.name
            } else {
                &container.service
            };
            let at = places.get(name).copied().unwrap_or_else(|| {
                places.insert(name.clone(), states.len());
                states.push(ServiceState {
                    name: name.clone(),
                    running: 0,
                    well: 0,
                    there: 0,
                    expected: None,
                    matters: self.stack.matters(name),
                    health: Health::None,
                });
                states.len() - 1
            });
            let state = &mut states[at];
            let running = container.state == ContainerState::Running;
            let well = running && matches!(container.check, CheckState::Healthy | CheckState::None);
            state.there += 1;
            state.running += u32::from(running);
            state.well += u32::from(well);
            state.health = state.health.max(container.health());
        }
        for state in &mut states {
            if state
                .expected
                .is_some_and(|expected| state.running < expected)
            {
                state.health = Health::Bad;
            }
        }
        states
    }

    /// How the stack is, as one word.
    pub fn health(&self, now: Timestamp) -> Health {
        Health::worst(self.concerns(now).iter().map(|concern| concern.health))
    }

    /// One line per subject that has a source, in the fixed order of [`Subject`].
    pub fn concerns(&self, now: Timestamp) -> Vec<Concern> {
        Subject::ALL
            .into_iter()
            .filter_map(|subject| self.concern(subject, now))
            .collect()
    }

    fn concern(&self, subject: Subject, now: Timestamp) -> Option<Concern> {
        let mine: Vec<(&SourceId, &Watched)> = self
            .sources
            .iter()
            .filter(|(id, _)| Subject::of(id.kind) == subject)
            .collect();
        // Usage colours the containers' rows; the containers themselves speak for the subject.
        let speaking: Vec<&(&SourceId, &Watched)> = mine
            .iter()
            .filter(|(id, _)| id.kind != SourceKind::Usage)
            .collect();
        let worst = speaking
            .iter()
            .max_by_key(|(_, watched)| watched.health(now))?;
        let health = worst.1.health(now);
        let blind = count(
            speaking
                .iter()
                .filter(|(_, watched)| watched.health(now) == Health::Unknown),
        );
        let sources = count(speaking.iter());
        let oldest = speaking.iter().max_by_key(|(_, watched)| watched.age(now));
        Some(Concern {
            subject,
            health,
            summary: summary(worst.0, worst.1, sources, blind, now),
            since: match worst.1.freshness(now) {
                Freshness::Never => None,
                Freshness::Stale(_) => worst.1.last.as_ref().map(|(at, _)| *at),
                Freshness::Fresh | Freshness::Old(_) => Some(worst.1.since),
            },
            freshness: ConcernAge {
                age: oldest.and_then(|(_, watched)| watched.age(now)),
                period: worst.1.period,
                stale: speaking
                    .iter()
                    .any(|(_, watched)| matches!(watched.freshness(now), Freshness::Stale(_))),
            },
            sources,
            blind,
        })
    }

    /// What needs a person: worst first, and among equals what came last first.
    pub fn findings(&self, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (id, watched) in &self.sources {
            self.find_in(&mut findings, id, watched, now);
        }
        findings.sort_by(|a, b| {
            b.health
                .cmp(&a.health)
                .then(b.since.cmp(&a.since))
                .then(a.about.cmp(&b.about))
        });
        findings
    }

    fn find_in(
        &self,
        findings: &mut Vec<Finding>,
        id: &SourceId,
        watched: &Watched,
        now: Timestamp,
    ) {
        let finding = |health, about: &Clean, text: Clean, since| Finding {
            health,
            subject: Subject::of(id.kind),
            source: id.clone(),
            about: about.clone(),
            text,
            since,
        };
        let blind = matches!(
            watched.freshness(now),
            Freshness::Never | Freshness::Stale(_)
        );
        if blind {
            let text = match &watched.fault {
                Some((_, fault)) => fault.text.clone(),
                None if now.since(watched.since) < PATIENCE => return,
                None => Clean::from("no answer yet"),
            };
            let since = watched.last.as_ref().map_or(watched.since, |(at, _)| *at);
            findings.push(finding(Health::Unknown, &id.name, text, since));
            return;
        }
        let Some(reading) = watched.reading() else {
            return;
        };
        match &reading.detail {
            Detail::Containers(containers) => {
                for (service, there, expected) in &containers.missing {
                    let text = Clean::line(&format!("{there} of {expected} replicas running"));
                    findings.push(finding(Health::Bad, service, text, watched.since));
                }
                for container in &containers.all {
                    if let Some((health, text)) = self.trouble_of(container) {
                        let since = container.since().unwrap_or(watched.since);
                        findings.push(finding(health, &container.replica(), text, since));
                    }
                }
            }
            Detail::Usage(table) => {
                for (container, usage) in &table.by_id {
                    let Some(text) = self.pressure_of(usage) else {
                        continue;
                    };
                    let about = self
                        .container(container)
                        .map_or_else(|| container.0.clone(), Container::replica);
                    findings.push(finding(Health::Poor, &about, text, watched.since));
                }
            }
            Detail::Alerts(alerts) => {
                for alert in alerts
                    .alerts
                    .iter()
                    .filter(|alert| alert.state == AlertState::Firing)
                {
                    let health = if alert.severity == "critical" {
                        Health::Bad
                    } else {
                        Health::Poor
                    };
                    let text = if alert.summary.is_empty() {
                        Clean::from("firing")
                    } else {
                        alert.summary.clone()
                    };
                    findings.push(finding(
                        health,
                        &alert.name,
                        text,
                        alert.since.unwrap_or(watched.since),
                    ));
                }
                for target in alerts.targets.iter().filter(|target| !target.up) {
                    let text = Clean::line(&format!(
                        "scrape of {} fails: {}",
                        target.instance, target.error
                    ));
                    findings.push(finding(Health::Poor, &target.job, text, watched.since));
                }
            }
            _ if reading.health.is_trouble() => {
                findings.push(finding(
                    reading.health,
                    &id.name,
                    reading.summary.clone(),
                    watched.since,
                ));
            }
            _ => {}
        }
    }

    /// What is wrong with a container, if anything: in words that stand behind its name.
    pub fn trouble_of(&self, container: &Container) -> Option<(Health, Clean)> {
        if !self.stack.matters(&container.service) {
            return None;
        }
        let health = container.health();
        if health.is_trouble() {
            return Some((health, Clean::line(&state_in_words(container))));
        }
        if container.restarts >= self.stack.thresholds.restarts {
            return Some((
                Health::Poor,
                Clean::line(&format!("restarted {} times", container.restarts)),
            ));
        }
        match &container.drift {
            Drift::Differs(how) => {
                Some((Health::Poor, Clean::line(&format!("image drift: {how}"))))
            }
            Drift::Same | Drift::Unknown(_) => None,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes of memory are far below 2^52"
    )]
    fn pressure_of(&self, usage: &Usage) -> Option<Clean> {
        let ratio = usage.memory_bytes? as f64
            / usage.memory_limit_bytes.filter(|limit| *limit > 0)? as f64;
        (ratio >= self.stack.thresholds.memory_ratio).then(|| {
            Clean::line(&format!(
                "memory at {} of its limit",
                Unit::Ratio.show(ratio)
            ))
        })
    }

    /// Replicas of a traffic reading that nobody could count.
    pub fn uncounted(traffic: &Traffic) -> impl Iterator<Item = &ReplicaTraffic> {
        traffic
            .replicas
            .iter()
            .filter(|replica| replica.fault.is_some())
    }
}

/// `exited 137, killed for memory`: the state of a container as one says it aloud.
pub fn state_in_words(container: &Container) -> String {
    let mut words = match (&container.state, container.check) {
        (ContainerState::Running, CheckState::Unhealthy) => {
            let mut words = "UNHEALTHY".to_owned();
            if container.check_streak > 0 {
                words = format!("{words}, check failed {} times", container.check_streak);
            }
            match container.check_log.last() {
                Some(last) if !last.output.is_empty() => {
                    format!(
                        "{words}, exit {}: {}",
                        last.exit,
                        super::text::fit(&last.output, 80)
                    )
                }
                Some(last) => format!("{words}, exit {}", last.exit),
                None => words,
            }
        }
        (ContainerState::Exited | ContainerState::Dead | ContainerState::Restarting, _) => {
            match container.exit_code {
                Some(code) => format!("{} {code}", container.state.word()),
                None => container.state.word().to_owned(),
            }
        }
        (state, _) => state.word().to_owned(),
    };
    if container.oom_killed {
        words.push_str(", killed for memory (OOM)");
    }
    if !container.error.is_empty() {
        words = format!("{words}: {}", super::text::fit(&container.error, 120));
    }
    words
}

fn summary(id: &SourceId, watched: &Watched, sources: u32, blind: u32, now: Timestamp) -> Clean {
    let own = match (watched.freshness(now), &watched.last, &watched.fault) {
        (Freshness::Never, _, None) => "looking".to_owned(),
        (Freshness::Never | Freshness::Stale(_), _, Some((_, fault))) => fault.text.to_string(),
        (Freshness::Stale(_), Some((_, reading)), None) => {
            format!("no news; last: {}", reading.summary)
        }
        (_, Some((_, reading)), _) => reading.summary.to_string(),
        (_, None, _) => "looking".to_owned(),
    };
    if sources == 1 {
        return Clean::line(&own);
    }
    let others = if blind > 0 {
        format!("; {blind} of {sources} not seen")
    } else {
        format!("; {sources} in all")
    };
    Clean::line(&format!("{}: {own}{others}", id.name))
}

fn count<T>(all: impl Iterator<Item = T>) -> u32 {
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}

/// A map with structured keys as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{SourceId, Watched};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<SourceId, Watched>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map.iter())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<SourceId, Watched>, D::Error> {
        Ok(Vec::<(SourceId, Watched)>::deserialize(from)?
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fault, FaultKind, Reading, ServiceSpec};
    use super::*;

    const NOW: Timestamp = Timestamp(100_000);

    fn board() -> Board {
        let mut stack = Stack::discovered(Clean::from("shop"));
        stack.services = vec![ServiceSpec {
            name: Clean::from("web"),
            replicas: Some(2),
            matters: true,
        }];
        Board::new(stack)
    }

    fn sight(board: &mut Board, name: &str, at: u64, result: Result<Health, &str>) {
        let result = match result {
            Ok(health) => Ok(Reading {
                health,
                summary: Clean::from("seen"),
                measures: Vec::new(),
                detail: Detail::None,
            }),
            Err(text) => Err(Fault::new(FaultKind::Silent, text)),
        };
        board.take(Sighting {
            source: SourceId::new(SourceKind::Endpoint, name),
            at: Timestamp(at),
            took: Duration::ZERO,
            period: Duration::from_secs(5),
            result,
        });
    }

    #[test]
    fn one_bad_source_makes_the_subject_bad_and_is_named() {
        let mut board = board();
        sight(&mut board, "a", 99_000, Ok(Health::Good));
        sight(&mut board, "b", 99_000, Ok(Health::Bad));
        let concern = &board.concerns(NOW)[0];
        assert_eq!(
            (concern.health, concern.summary.as_str()),
            (Health::Bad, "b: seen; 2 in all")
        );
        assert_eq!(board.findings(NOW).len(), 1);
    }

    #[test]
    fn a_source_that_stops_answering_turns_unknown_and_keeps_its_reason() {
        let mut board = board();
        sight(&mut board, "a", 10_000, Ok(Health::Good));
        sight(&mut board, "a", 20_000, Err("no answer within 5 s"));
        assert_eq!(board.health(NOW), Health::Unknown);
        let finding = &board.findings(NOW)[0];
        assert_eq!(
            (finding.text.as_str(), finding.since),
            ("no answer within 5 s", Timestamp(10_000))
        );
    }

    #[test]
    fn what_has_not_been_seen_yet_is_unknown_but_no_news_at_first() {
        let mut board = board();
        board.expect(
            SourceId::new(SourceKind::Host, "host"),
            Duration::from_secs(5),
            NOW,
        );
        assert_eq!(board.health(NOW), Health::Unknown);
        assert!(board.findings(NOW).is_empty());
        assert_eq!(board.findings(NOW.plus(PATIENCE)).len(), 1);
    }

    #[test]
    fn a_configured_service_without_containers_is_bad() {
        let state = &board().services()[0];
        assert_eq!((state.running, state.health), (0, Health::Bad));
    }
}
