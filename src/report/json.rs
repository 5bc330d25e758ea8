//! The JSON documents, as structs: their fields are the schema, in this order.
//!
//! Times are RFC 3339 in UTC, ages and spans are seconds, parts are 0 to 1. Nothing in it can act on a terminal: what
//! [`Clean`] would not let through is escaped once more on the way out.

use std::time::Duration;

use serde::Serialize;

use crate::domain::{
    Alerts, Backup, Board, Certificate, CheckState, Clean, Concern, Container, Detail, Drift,
    Endpoint, EngineFacts, Finding, Flow, Freshness, Host, SourceId, SourceKind, Timestamp,
    Traffic, Trust, Usage, Watched,
};

/// Writes a document that is safe on a terminal.
pub(super) fn write(document: &impl Serialize) -> String {
    let plain = serde_json::to_string_pretty(document)
        .expect("our documents have text keys and no maps of other kinds");
    let mut out = String::with_capacity(plain.len() + 1);
    let mut units = [0; 2];
    for c in plain.chars() {
        if c == '\n'
            || matches!(c, ' '..='~')
            || (!c.is_ascii()
                && Clean::line(c.encode_utf8(&mut [0; 4])) == *c.encode_utf8(&mut [0; 4]))
        {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                use std::fmt::Write;
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.push('\n');
    out
}

/// The head of every document, then its own part.
#[derive(Serialize)]
pub(super) struct Document<T> {
    pub(super) schema: &'static str,
    pub(super) generated_at: String,
    pub(super) version: Clean,
    pub(super) config: Option<Clean>,
    pub(super) stack: Clean,
    pub(super) environment: Clean,
    pub(super) health: &'static str,
    pub(super) exit_code: u8,
    #[serde(flatten)]
    pub(super) body: T,
}

/// What one source said, and how far it can be trusted.
#[derive(Serialize)]
pub(super) struct Block<T> {
    source: String,
    health: &'static str,
    summary: Option<Clean>,
    since: String,
    age_s: Option<f64>,
    freshness: &'static str,
    fault: Option<FaultView>,
    /// Missing until something has been seen.
    #[serde(flatten)]
    seen: Option<T>,
}

#[derive(Serialize)]
struct FaultView {
    kind: &'static str,
    text: Clean,
    remedy: Option<Clean>,
    since: String,
}

/// All sources of a kind.
pub(super) fn blocks<'b, T>(
    board: &'b Board,
    kind: SourceKind,
    now: Timestamp,
    view: impl Fn(&'b Detail) -> Option<T>,
) -> Vec<Block<T>> {
    board
        .of_kind(kind)
        .map(|(id, watched)| {
            block(
                id,
                watched,
                now,
                watched.reading().and_then(|reading| view(&reading.detail)),
            )
        })
        .collect()
}

fn block<T>(id: &SourceId, watched: &Watched, now: Timestamp, seen: Option<T>) -> Block<T> {
    Block {
        source: id.to_string(),
        health: watched.health(now).word(),
        summary: watched.reading().map(|reading| reading.summary.clone()),
        since: watched.since.rfc3339(),
        age_s: watched.age(now).map(seconds),
        freshness: match watched.freshness(now) {
            Freshness::Never => "never",
            Freshness::Fresh => "fresh",
            Freshness::Old(_) => "old",
            Freshness::Stale(_) => "stale",
        },
        fault: watched.fault.as_ref().map(|(since, fault)| FaultView {
            kind: fault.kind.word(),
            text: fault.text.clone(),
            remedy: fault.remedy.clone(),
            since: since.rfc3339(),
        }),
        seen,
    }
}

fn seconds(span: Duration) -> f64 {
    // Milliseconds are as exact as our clock.
    (span.as_secs_f64() * 1000.0).round() / 1000.0
}

fn at(time: Option<Timestamp>) -> Option<String> {
    time.map(Timestamp::rfc3339)
}

#[derive(Serialize)]
pub(super) struct StatusView {
    pub(super) concerns: Vec<ConcernView>,
    pub(super) findings: Vec<FindingView>,
    engine: Option<Block<EngineFacts>>,
    containers: Option<Block<ContainersView>>,
    traffic: Vec<Block<TrafficView>>,
    endpoints: Vec<Block<EndpointView>>,
    certificates: Vec<Block<CertificateView>>,
    backups: Vec<Block<BackupView>>,
    alerts: Option<Block<AlertsView>>,
    host: Option<Block<Host>>,
}

impl StatusView {
    pub(super) fn new(
        board: &Board,
        concerns: &[Concern],
        findings: &[Finding],
        now: Timestamp,
    ) -> Self {
        let engine = |detail: &Detail| match detail {
            Detail::Engine(facts) => Some(facts.clone()),
            _ => None,
        };
        let host = |detail: &Detail| match detail {
            Detail::Host(host) => Some(host.clone()),
            _ => None,
        };
        let alerts = |detail: &Detail| match detail {
            Detail::Alerts(alerts) => Some(AlertsView::new(alerts)),
            _ => None,
        };
        Self {
            concerns: concerns.iter().map(ConcernView::new).collect(),
            findings: findings.iter().map(FindingView::new).collect(),
            engine: blocks(board, SourceKind::Engine, now, engine)
                .into_iter()
                .next(),
            containers: containers(board, now),
            traffic: traffic(board, now),
            endpoints: endpoints(board, now),
            certificates: certificates(board, now),
            backups: backups(board, now),
            alerts: blocks(board, SourceKind::Alerts, now, alerts)
                .into_iter()
                .next(),
            host: blocks(board, SourceKind::Host, now, host)
                .into_iter()
                .next(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ConcernView {
    subject: &'static str,
    health: &'static str,
    summary: Clean,
    since: Option<String>,
    age_s: Option<f64>,
    period_s: f64,
    stale: bool,
    sources: u32,
    blind: u32,
}

impl ConcernView {
    fn new(concern: &Concern) -> Self {
        Self {
            subject: concern.subject.word(),
            health: concern.health.word(),
            summary: concern.summary.clone(),
            since: at(concern.since),
            age_s: concern.freshness.age.map(seconds),
            period_s: seconds(concern.freshness.period),
            stale: concern.freshness.stale,
            sources: concern.sources,
            blind: concern.blind,
        }
    }
}

#[derive(Serialize)]
pub(super) struct FindingView {
    health: &'static str,
    subject: &'static str,
    source: String,
    about: Clean,
    text: Clean,
    since: String,
}

impl FindingView {
    fn new(finding: &Finding) -> Self {
        Self {
            health: finding.health.word(),
            subject: finding.subject.word(),
            source: finding.source.to_string(),
            about: finding.about.clone(),
            text: finding.text.clone(),
            since: finding.since.rfc3339(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ContainersView {
    event_gaps: u32,
    missing: Vec<MissingView>,
    items: Vec<ContainerView>,
}

#[derive(Serialize)]
struct MissingView {
    service: Clean,
    running: u32,
    expected: u32,
}

pub(super) fn containers(board: &Board, now: Timestamp) -> Option<Block<ContainersView>> {
    let view = |detail: &Detail| match detail {
        Detail::Containers(containers) => Some(ContainersView {
            event_gaps: containers.event_gaps,
            missing: containers
                .missing
                .iter()
                .map(|(service, running, expected)| MissingView {
                    service: service.clone(),
                    running: *running,
                    expected: *expected,
                })
                .collect(),
            items: containers
                .all
                .iter()
                .map(|container| ContainerView::new(board, container, now))
                .collect(),
        }),
        _ => None,
    };
    blocks(board, SourceKind::Containers, now, view)
        .into_iter()
        .next()
}

/// Without labels and the check's output: they can hold what should not be in a report.
#[derive(Serialize)]
struct ContainerView {
    name: Clean,
    replica: Clean,
    service: Clean,
    project: Clean,
    number: Option<u32>,
    id: Clean,
    health: &'static str,
    state: Clean,
    check: &'static str,
    check_streak: u32,
    trouble: Option<Clean>,
    restarts: u32,
    exit_code: Option<i64>,
    oom_killed: bool,
    error: Clean,
    since: Option<String>,
    created_at: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    image: Clean,
    image_id: Clean,
    image_digest: Option<Clean>,
    drift: &'static str,
    drift_text: Option<Clean>,
    addresses: Vec<crate::domain::Address>,
    ports: Vec<PortView>,
    memory_limit_bytes: Option<u64>,
    cpus_limit: Option<f64>,
    pids_limit: Option<u64>,
    /// `null` also where it was seen too long ago.
    usage: Option<Usage>,
    restart_policy: Clean,
    user: Clean,
    pid: Option<u32>,
}

#[derive(Serialize)]
struct PortView {
    host_address: Option<Clean>,
    host_port: Option<u16>,
    container_port: u16,
    protocol: Clean,
}

pub(super) fn check_word(check: CheckState) -> &'static str {
    match check {
        CheckState::None => "none",
        CheckState::Starting => "starting",
        CheckState::Healthy => "healthy",
        CheckState::Unhealthy => "unhealthy",
    }
}

impl ContainerView {
    fn new(board: &Board, c: &Container, now: Timestamp) -> Self {
        let (drift, drift_text) = match &c.drift {
            Drift::Same => ("same", None),
            Drift::Differs(how) => ("differs", Some(how.clone())),
            Drift::Unknown(why) => ("unknown", Some(why.clone())),
        };
        Self {
            name: c.name.clone(),
            replica: c.replica(),
            service: c.service.clone(),
            project: c.project.clone(),
            number: c.number,
            id: c.id.0.clone(),
            health: super::health_of(board, c, now).word(),
            state: Clean::from(c.state.word()),
            check: check_word(c.check),
            check_streak: c.check_streak,
            trouble: board.trouble_of(c).map(|(_, text)| text),
            restarts: c.restarts,
            exit_code: c.exit_code,
            oom_killed: c.oom_killed,
            error: c.error.clone(),
            since: at(c.since()),
            created_at: at(c.created_at),
            started_at: at(c.started_at),
            finished_at: at(c.finished_at),
            image: c.image.name.clone(),
            image_id: c.image.id.clone(),
            image_digest: c.image.digest.clone(),
            drift,
            drift_text,
            addresses: c.addresses.clone(),
            ports: c
                .ports
                .iter()
                .map(|port| PortView {
                    host_address: port.host.as_ref().map(|(address, _)| address.clone()),
                    host_port: port.host.as_ref().map(|(_, number)| *number),
                    container_port: port.container,
                    protocol: port.protocol.clone(),
                })
                .collect(),
            memory_limit_bytes: c.limits.memory_bytes,
            cpus_limit: c.limits.cpus,
            pids_limit: c.limits.pids,
            usage: super::usage_of(board, c, now).copied(),
            restart_policy: c.restart_policy.clone(),
            user: c.user.clone(),
            pid: c.pid,
        }
    }
}

#[derive(Serialize)]
pub(super) struct TrafficView {
    service: Clean,
    by: &'static str,
    window_s: f64,
    counted: u32,
    replicas_all: u32,
    total: FlowView,
    replicas: Vec<ReplicaView>,
    uneven: Option<Clean>,
    dropped: u64,
    unreadable: u64,
}

#[derive(Serialize)]
struct FlowView {
    #[serde(flatten)]
    flow: Flow,
    error_ratio: Option<f64>,
}

#[derive(Serialize)]
struct ReplicaView {
    replica: Clean,
    container: Option<Clean>,
    #[serde(flatten)]
    flow: FlowView,
    resets: u32,
    fault: Option<Clean>,
}

fn flow(flow: Flow) -> FlowView {
    FlowView {
        error_ratio: flow.error_ratio(),
        flow,
    }
}

pub(super) fn traffic(board: &Board, now: Timestamp) -> Vec<Block<TrafficView>> {
    blocks(board, SourceKind::Traffic, now, |detail| match detail {
        Detail::Traffic(traffic) => Some(TrafficView::new(traffic)),
        _ => None,
    })
}

impl TrafficView {
    fn new(traffic: &Traffic) -> Self {
        Self {
            service: traffic.service.clone(),
            by: traffic.source.word(),
            window_s: seconds(traffic.window),
            counted: traffic.counted.0,
            replicas_all: traffic.counted.1,
            total: flow(traffic.total),
            replicas: traffic
                .replicas
                .iter()
                .map(|replica| ReplicaView {
                    replica: replica.replica.clone(),
                    container: replica.container.as_ref().map(|id| id.0.clone()),
                    flow: flow(replica.flow),
                    resets: replica.resets,
                    fault: replica.fault.as_ref().map(|fault| fault.text.clone()),
                })
                .collect(),
            uneven: traffic.uneven.clone(),
            dropped: traffic.dropped,
            unreadable: traffic.unreadable,
        }
    }
}

/// Without headers of the answer: they can hold cookies.
#[derive(Serialize)]
pub(super) struct EndpointView {
    name: Clean,
    url: Clean,
    status: u16,
    address: Clean,
    content_type: Clean,
    phases: crate::domain::Phases,
    hops: Vec<crate::domain::Hop>,
    failures: Vec<Clean>,
    looks: u64,
    looks_good: u64,
}

fn endpoints(board: &Board, now: Timestamp) -> Vec<Block<EndpointView>> {
    let view = |endpoint: &Endpoint| EndpointView {
        name: endpoint.name.clone(),
        url: endpoint.url.clone(),
        status: endpoint.status,
        address: endpoint.address.clone(),
        content_type: endpoint.content_type.clone(),
        phases: endpoint.phases,
        hops: endpoint.hops.clone(),
        failures: endpoint.failures.clone(),
        looks: endpoint.looks,
        looks_good: endpoint.looks_good,
    };
    blocks(board, SourceKind::Endpoint, now, |detail| match detail {
        Detail::Endpoint(endpoint) => Some(view(endpoint)),
        _ => None,
    })
}

#[derive(Serialize)]
pub(super) struct CertificateView {
    place: Clean,
    name: Clean,
    name_matches: bool,
    days_left: i64,
    expires_at: String,
    chain_days_left: i64,
    chain_expires_at: String,
    trust: &'static str,
    trust_text: Option<Clean>,
    subject: Option<Clean>,
    issuer: Option<Clean>,
    names: Vec<Clean>,
    fingerprint: Option<Clean>,
    protocol: Clean,
    findings: Vec<Clean>,
}

/// Whole days until then, rounded down; negative when it has passed.
pub(super) fn days_left(end: Timestamp, now: Timestamp) -> i64 {
    end.seconds_from(now).div_euclid(86_400)
}

pub(super) fn certificates(board: &Board, now: Timestamp) -> Vec<Block<CertificateView>> {
    blocks(board, SourceKind::Certificate, now, |detail| match detail {
        Detail::Certificate(certificate) => Some(CertificateView::new(certificate, now)),
        _ => None,
    })
}

impl CertificateView {
    fn new(c: &Certificate, now: Timestamp) -> Self {
        let (trust, trust_text) = match &c.trust {
            Trust::System => ("system", None),
            Trust::Given => ("given", None),
            Trust::No(why) => ("no", Some(why.clone())),
            Trust::NotAsked => ("not asked", None),
        };
        let leaf = c.chain.first();
        Self {
            place: c.place.clone(),
            name: c.name.clone(),
            name_matches: c.name_matches,
            days_left: days_left(c.leaf_expiry, now),
            expires_at: c.leaf_expiry.rfc3339(),
            chain_days_left: days_left(c.earliest_expiry, now),
            chain_expires_at: c.earliest_expiry.rfc3339(),
            trust,
            trust_text,
            subject: leaf.map(|leaf| leaf.subject.clone()),
            issuer: leaf.map(|leaf| leaf.issuer.clone()),
            names: leaf.map(|leaf| leaf.names.clone()).unwrap_or_default(),
            fingerprint: leaf.map(|leaf| leaf.fingerprint.clone()),
            protocol: c.protocol.clone(),
            findings: c.findings.clone(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct BackupView {
    target: Clean,
    directory: Clean,
    pattern: Clean,
    newest: Option<FileView>,
    newest_good: Option<FileView>,
    age_max_s: u64,
    kept: u32,
    keep_min: u32,
    proven_at: Option<String>,
    /// What the manifest says, and what the other stores have; `null` where somebody else makes them.
    ours: Option<crate::domain::Ours>,
}

#[derive(Serialize)]
struct FileView {
    name: Clean,
    at: String,
    old_s: f64,
    bytes: u64,
    reject: Option<Clean>,
}

pub(super) fn backups(board: &Board, now: Timestamp) -> Vec<Block<BackupView>> {
    let file = |file: &crate::domain::BackupFile| FileView {
        name: file.name.clone(),
        at: file.at.rfc3339(),
        old_s: seconds(now.since(file.at)),
        bytes: file.bytes,
        reject: file.reject.clone(),
    };
    let view = |backup: &Backup| BackupView {
        target: backup.target.clone(),
        directory: backup.directory.clone(),
        pattern: backup.pattern.clone(),
        newest: backup.files.first().map(file),
        newest_good: backup.last_good().map(file),
        age_max_s: backup.age_max_s,
        kept: backup.kept,
        keep_min: backup.keep_min,
        proven_at: at(backup.proven),
        ours: backup.ours.clone(),
    };
    blocks(board, SourceKind::Backup, now, |detail| match detail {
        Detail::Backup(backup) => Some(view(backup)),
        _ => None,
    })
}

/// Alerts that fire or are about to, and targets that are down: the rest is Prometheus' to list.
#[derive(Serialize)]
struct AlertsView {
    alerts: Vec<AlertView>,
    rules: usize,
    targets: usize,
    targets_down: Vec<TargetView>,
}

#[derive(Serialize)]
struct AlertView {
    name: Clean,
    state: crate::domain::AlertState,
    severity: Clean,
    summary: Clean,
    since: Option<String>,
}

#[derive(Serialize)]
struct TargetView {
    job: Clean,
    instance: Clean,
    error: Clean,
}

impl AlertsView {
    fn new(alerts: &Alerts) -> Self {
        Self {
            alerts: alerts
                .alerts
                .iter()
                .map(|alert| AlertView {
                    name: alert.name.clone(),
                    state: alert.state,
                    severity: alert.severity.clone(),
                    summary: alert.summary.clone(),
                    since: at(alert.since),
                })
                .collect(),
            rules: alerts.rules.len(),
            targets: alerts.targets.len(),
            targets_down: alerts
                .targets
                .iter()
                .filter(|target| !target.up)
                .map(|target| TargetView {
                    job: target.job.clone(),
                    instance: target.instance.clone(),
                    error: target.error.clone(),
                })
                .collect(),
        }
    }
}
