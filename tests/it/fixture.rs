//! One realistic model for all tests of the view: the Hyper-Mission stack with trouble of several kinds.

use std::collections::BTreeMap;
use std::time::Duration;

use quarterdeck::app::{Event, Happenings, Mode, Model, Session, update};
use quarterdeck::domain::{
    Address, Alert, AlertState, Alerts, Backup, BackupFile, BackupSpec, Board, Certificate,
    CertificateAt, CertificateSpec, ChainLink, CheckOutput, CheckState, Clean, Container,
    ContainerId, ContainerState, Containers, Detail, Disk, Drift, Endpoint, EngineFacts,
    Environment, Fault, FaultKind, Flow, Health, Hop, Host, Image, Level, Limits, LogLine, Measure,
    Mount, Phases, Port, Reading, ReplicaTraffic, Rule, ScrapeTarget, ServiceSpec, Sighting,
    SourceId, SourceKind, Stack, Stapling, Stream, Timestamp, Traffic, TrafficSource, Trust, Usage,
    UsageTable,
};

/// 2026-11-20 12:03:41Z.
pub(crate) const NOW: Timestamp = Timestamp(1_795_176_221_000);

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn ago(ms: u64) -> Timestamp {
    Timestamp(NOW.0 - ms)
}

fn ahead(ms: u64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

fn c(text: &str) -> Clean {
    Clean::from(text)
}

pub(crate) fn stack() -> Stack {
    let mut stack = Stack::discovered(c("hyper-mission"));
    stack.environment = Environment::Production;
    stack.services = [
        ("gateway", 1),
        ("client", 1),
        ("server", 3),
        ("postgres", 1),
        ("redis", 1),
        ("prometheus", 1),
    ]
    .map(|(name, replicas)| ServiceSpec {
        name: c(name),
        replicas: Some(replicas),
        matters: true,
    })
    .to_vec();
    stack.gateway = Some(c("gateway"));
    stack.certificates = vec![CertificateSpec {
        at: CertificateAt::Endpoint(c("localhost:8443")),
        name: None,
        ca_file: None,
        on_disk: Some("/srv/hyper-mission/tls/fullchain.pem".into()),
        self_signed: false,
        every: Duration::from_mins(10),
    }];
    stack.backups = vec![BackupSpec {
        keep_min: 7,
        ..BackupSpec::of_files(
            c("postgres"),
            "/var/backups/hyper-mission".into(),
            c("missions-*.dump"),
        )
    }];
    stack.disks = vec!["/".into(), "/var/lib/docker".into()];
    stack
}

pub(crate) fn session() -> Session {
    Session {
        host: c("ops-1"),
        user: c("anna"),
        mode: Mode::ReadOnly,
        pid: 40_991,
        version: "0.1.0",
        config: c("/etc/quarterdeck/quarterdeck.toml"),
        remote: true,
        started: ago(HOUR),
    }
}

pub(crate) fn container(service: &str, number: u32, image: &str) -> Container {
    let id = format!("{:x<64}", format!("{service}{number}"));
    Container {
        id: ContainerId(c(&id)),
        name: c(&format!("hyper-mission-{service}-{number}")),
        project: c("hyper-mission"),
        service: c(service),
        number: Some(number),
        state: ContainerState::Running,
        check: CheckState::Healthy,
        check_streak: 0,
        check_log: vec![CheckOutput {
            at: Some(ago(7 * SECOND)),
            exit: 0,
            output: c("ok"),
        }],
        check_command: c("CMD /healthcheck --timeout 2"),
        restarts: 0,
        exit_code: None,
        oom_killed: false,
        error: Clean::default(),
        created_at: Some(ago(6 * DAY)),
        started_at: Some(ago(6 * DAY - 10 * HOUR)),
        finished_at: None,
        image: Image {
            name: c(image),
            id: c("sha256:5d0a1c44be9f0f0b7f1d1c1f2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c"),
            digest: Some(c(
                "sha256:19acd20277f0e1d2c3b4a5968778695a4b3c2d1e0f9e8d7c6b5a493827160502",
            )),
        },
        drift: Drift::Same,
        addresses: vec![Address {
            network: c("hyper-mission_default"),
            ip: c(&format!("172.20.0.{}", 10 + number)),
        }],
        ports: Vec::new(),
        mounts: Vec::new(),
        labels: BTreeMap::from([
            (c("com.docker.compose.project"), c("hyper-mission")),
            (c("com.docker.compose.service"), c(service)),
        ]),
        limits: Limits {
            memory_bytes: Some(512 << 20),
            cpus: Some(2.0),
            pids: Some(256),
        },
        restart_policy: c("unless-stopped"),
        user: c("app"),
        pid: Some(40_100 + number),
    }
}

fn containers() -> Containers {
    let mut all = vec![
        container("client", 1, "hyper-mission/client:1.42.0"),
        container("gateway", 1, "nginx:1.29.1"),
        container("postgres", 1, "postgres:17.6"),
        container("prometheus", 1, "prom/prometheus:v3.7"),
        container("redis", 1, "redis:8.2"),
        container("server", 1, "hyper-mission/server:1.42.0"),
        container("server", 2, "hyper-mission/server:1.42.0"),
        container("server", 3, "hyper-mission/server:1.42.0"),
    ];
    all[1].ports = vec![
        Port {
            host: Some((c("127.0.0.1"), 8443)),
            container: 443,
            protocol: c("tcp"),
        },
        Port {
            host: Some((c("127.0.0.1"), 8080)),
            container: 80,
            protocol: c("tcp"),
        },
    ];
    all[2].mounts = vec![Mount {
        source: c("hyper-mission_pgdata"),
        target: c("/var/lib/postgresql/data"),
        writable: true,
    }];
    all[2].drift = Drift::Unknown(c("the tag is gone"));
    all[3].check = CheckState::None;
    let bad = &mut all[6];
    bad.check = CheckState::Unhealthy;
    bad.check_streak = 9;
    bad.restarts = 2;
    bad.exit_code = Some(1);
    bad.started_at = Some(ago(4 * MINUTE + 12 * SECOND));
    bad.check_log = vec![
        CheckOutput {
            at: Some(ago(40 * SECOND)),
            exit: 1,
            output: Clean::line("connect ECONNREFUSED 127.0.0.1:8080\u{1b}[0m"),
        },
        CheckOutput {
            at: Some(ago(10 * SECOND)),
            exit: 1,
            output: Clean::line("connect ECONNREFUSED 127.0.0.1:8080\u{1b}[0m"),
        },
    ];
    all[7].drift = Drift::Differs(c("runs 5d0a1c44be9f, the tag names 77e1b2c3d4e5"));
    Containers {
        all,
        missing: Vec::new(),
        event_gaps: 0,
    }
}

fn usage(step: u64) -> UsageTable {
    let wave = |n: u64| f64::from(u8::try_from((step + n * 7) % 13).expect("below 13"));
    UsageTable {
        by_id: containers()
            .all
            .iter()
            .zip(0..)
            .map(|(container, n)| {
                let bad = container.check == CheckState::Unhealthy;
                let usage = Usage {
                    cpu_percent: Some(if bad { 0.1 } else { 4.0 + wave(n) * 2.5 }),
                    memory_bytes: Some(if n == 2 {
                        470 << 20
                    } else {
                        (90 + n * 23) << 20
                    }),
                    memory_limit_bytes: Some(512 << 20),
                    network_rx_per_s: Some(12_000.0 + wave(n) * 900.0),
                    network_tx_per_s: Some(48_000.0),
                    block_read_per_s: Some(0.0),
                    block_write_per_s: Some(4096.0),
                    pids: Some(12),
                };
                (container.id.clone(), usage)
            })
            .collect(),
        source: c("cgroup v2"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates of a fixture are small and positive"
)]
fn flow(rate: f64, share: f64) -> Flow {
    let requests = (rate * 60.0) as u64;
    Flow {
        requests_per_s: Some(rate),
        requests,
        errors: requests / 4000,
        client_errors: requests / 110,
        p50_ms: Some(41.0),
        p95_ms: Some(118.0 + share * 30.0),
        p99_ms: Some(242.0),
        share: Some(share),
    }
}

fn traffic(step: u64) -> Traffic {
    let wave = f64::from(u8::try_from(step % 40).expect("below 40")) * 3.0;
    let base = 280.0 + if step % 80 < 40 { wave } else { 120.0 - wave };
    let replica = |n: u32, flow: Flow, fault: Option<&str>| ReplicaTraffic {
        replica: c(&format!("server-{n}")),
        container: Some(container("server", n, "").id),
        flow,
        resets: u32::from(n == 2),
        fault: fault.map(|text| {
            Fault::new(FaultKind::Refused, text).remedy("is the replica listening on 8080?")
        }),
    };
    Traffic {
        source: TrafficSource::Metrics,
        service: c("server"),
        window: Duration::from_mins(1),
        replicas: vec![
            replica(1, flow(base, 0.34), None),
            replica(
                2,
                Flow::default(),
                Some("server-2:8080 refused the connection"),
            ),
            replica(3, flow(base * 1.9, 0.66), None),
        ],
        total: flow(base * 2.9, 1.0),
        counted: (2, 3),
        uneven: Some(c("server-3 carries 66 %, 16 points over its even share")),
        dropped: 0,
        unreadable: 3,
    }
}

fn endpoint(name: &str, url: &str, ttfb: f64) -> Endpoint {
    Endpoint {
        name: c(name),
        url: c(url),
        hops: vec![
            Hop {
                url: c(&url.replace("https://localhost:8443", "http://localhost:8080")),
                status: 301,
                location: Some(c(url)),
            },
            Hop {
                url: c(url),
                status: 200,
                location: None,
            },
        ],
        status: 200,
        phases: Phases {
            resolve_ms: Some(0.4),
            connect_ms: Some(0.2),
            tls_ms: Some(3.1),
            first_byte_ms: Some(ttfb),
            transfer_ms: Some(0.3),
            ttfb_ms: Some(ttfb + 3.7),
            total_ms: Some(ttfb + 4.0),
        },
        address: c("127.0.0.1:8443"),
        headers: vec![
            (
                c("strict-transport-security"),
                c("max-age=31536000; includeSubDomains"),
            ),
            (c("content-security-policy"), c("default-src 'self'")),
            (c("x-frame-options"), c("DENY")),
        ],
        body_bytes: 1532,
        body_cut: false,
        content_type: c("text/html; charset=utf-8"),
        failures: Vec::new(),
        looks: 720,
        looks_good: 718,
    }
}

fn link(subject: &str, issuer: &str, end: Timestamp, ca: bool) -> ChainLink {
    ChainLink {
        subject: c(subject),
        issuer: c(issuer),
        serial: c("04:9a:11:8e:55:21:90:1f"),
        not_before: ago(78 * DAY),
        not_after: end,
        key: c("EC P-256"),
        signature: c("ECDSA SHA-256"),
        names: if ca {
            Vec::new()
        } else {
            vec![c("localhost"), c("hyper-mission.example")]
        },
        names_more: 0,
        fingerprint: c("8c1e4f0277d0b2f190aa19ac02e1d3c4b5a6978890817263544536271809fa0b"),
        is_ca: ca,
        weak: None,
    }
}

fn certificate(place: &str, left: u64, findings: &[&str]) -> Certificate {
    let end = ahead(left);
    Certificate {
        place: c(place),
        address: c("127.0.0.1:8443"),
        name: c("localhost"),
        chain: vec![
            link("CN=localhost", "CN=E7, O=Let's Encrypt", end, false),
            link(
                "CN=E7, O=Let's Encrypt",
                "CN=ISRG Root X1",
                ahead(900 * DAY),
                true,
            ),
        ],
        name_matches: true,
        trust: Trust::System,
        earliest_expiry: end,
        leaf_expiry: end,
        protocol: c("TLS 1.3"),
        cipher: c("TLS_AES_256_GCM_SHA384"),
        stapling: Stapling::Absent,
        client_auth: false,
        findings: findings.iter().map(|text| c(text)).collect(),
    }
}

fn backup() -> Backup {
    let file = |n: u64, bytes: u64, reject: Option<&str>| BackupFile {
        name: c(&format!("missions-2026-11-{:02}.dump", 19 - n)),
        at: ago((33 + n * 24) * HOUR),
        bytes,
        reject: reject.map(c),
    };
    Backup {
        target: c("postgres"),
        directory: c("/var/backups/hyper-mission"),
        pattern: c("missions-*.dump"),
        files: vec![
            file(0, 43_200_000, None),
            file(1, 43_000_000, None),
            file(2, 42_100_000, None),
            file(3, 12_000_000, Some("72 % smaller than the one before")),
            file(4, 41_600_000, None),
            file(5, 41_000_000, None),
            file(6, 40_400_000, None),
        ],
        kept: 7,
        age_max_s: 26 * 3600,
        keep_min: 7,
        proven: None,
    }
}

fn alerts() -> Alerts {
    let alert = |name: &str, state, severity: &str, summary: &str| Alert {
        name: c(name),
        state,
        severity: c(severity),
        summary: c(summary),
        labels: vec![(c("job"), c("server"))],
        since: Some(ago(3 * MINUTE)),
    };
    Alerts {
        alerts: vec![
            alert(
                "ReplicaDown",
                AlertState::Firing,
                "critical",
                "1 of 3 server replicas is down",
            ),
            alert(
                "SlowRequests",
                AlertState::Pending,
                "warning",
                "p95 over 500 ms",
            ),
        ],
        rules: vec![Rule {
            group: c("server"),
            name: c("ReplicaDown"),
            query: c("up{job=\"server\"} == 0"),
            state: AlertState::Firing,
            health: c("ok"),
            error: Clean::default(),
        }],
        targets: vec![
            ScrapeTarget {
                job: c("server"),
                instance: c("server-1:8080"),
                up: true,
                error: Clean::default(),
                last_scrape: Some(ago(4 * SECOND)),
            },
            ScrapeTarget {
                job: c("server"),
                instance: c("server-2:8080"),
                up: false,
                error: c("connection refused"),
                last_scrape: Some(ago(4 * SECOND)),
            },
        ],
    }
}

fn host() -> Host {
    Host {
        name: c("ops-1"),
        disks: vec![
            Disk {
                path: c("/"),
                size_bytes: 200 << 30,
                free_bytes: 78 << 30,
                inodes_free_ratio_percent: Some(91),
            },
            Disk {
                path: c("/var/lib/docker"),
                size_bytes: 500 << 30,
                free_bytes: 60 << 30,
                inodes_free_ratio_percent: Some(80),
            },
        ],
        load1: 1.4,
        load5: 1.1,
        cores: 8,
        memory_bytes: 32 << 30,
        memory_available_bytes: 19 << 30,
        clock_error_ms: Some(4.0),
        clock_synced: Some(true),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the result of a look, as a probe gives it"
)]
fn reading(health: Health, summary: &str, detail: Detail) -> Result<Reading, Fault> {
    Ok(Reading {
        health,
        summary: c(summary),
        measures: vec![Measure::new("n", 1.0, quarterdeck::domain::Unit::Count)],
        detail,
    })
}

pub(crate) fn sight(
    model: &mut Model,
    kind: SourceKind,
    name: &str,
    at: Timestamp,
    period_s: u64,
    result: Result<Reading, Fault>,
) {
    let sighting = Sighting {
        source: SourceId::new(kind, name),
        at,
        took: Duration::from_millis(12),
        period: Duration::from_secs(period_s),
        result,
    };
    update(model, Event::Sighted(Box::new(sighting)));
}

/// Nothing has been seen: sources are expected, and that is all.
pub(crate) fn unseen() -> Model {
    let mut board = Board::new(stack());
    for (kind, name) in [
        (SourceKind::Engine, "engine"),
        (SourceKind::Containers, "engine"),
        (SourceKind::Usage, "engine"),
        (SourceKind::Traffic, "server metrics"),
        (SourceKind::Endpoint, "app"),
        (SourceKind::Certificate, "localhost:8443"),
        (SourceKind::Backup, "postgres"),
        (SourceKind::Alerts, "prometheus"),
        (SourceKind::Host, "host"),
    ] {
        board.expect(SourceId::new(kind, name), Duration::from_secs(2), NOW);
    }
    Model::new(board, session(), NOW)
}

/// A stack in production with trouble of several kinds.
pub(crate) fn troubled() -> Model {
    let mut model = Model::new(Board::new(stack()), session(), ago(HOUR));
    model.themes = ["default", "dark"].map(c).to_vec();
    past(&mut model);
    present(&mut model);
    present_files_and_alerts(&mut model);
    told(&mut model);
    update(&mut model, Event::Tick(NOW));
    logged(&mut model);
    model
}

/// An hour of traffic and of use, with a gap of four minutes.
fn past(model: &mut Model) {
    for step in 0..720_u64 {
        let at = ago((720 - step) * 5 * SECOND);
        if (300..348).contains(&step) {
            continue;
        }
        sight(
            model,
            SourceKind::Traffic,
            "server metrics",
            at,
            5,
            reading(
                Health::Poor,
                "1842 requests/s, uneven",
                Detail::Traffic(traffic(step)),
            ),
        );
        if step > 650 {
            sight(
                model,
                SourceKind::Usage,
                "engine",
                at,
                5,
                reading(Health::Good, "8 looked at", Detail::Usage(usage(step))),
            );
        }
    }
}

fn present(model: &mut Model) {
    let s = SECOND;
    let mut now = |kind, name: &str, age, period, result| {
        sight(model, kind, name, ago(age), period, result);
    };
    now(
        SourceKind::Engine,
        "engine",
        s,
        10,
        reading(
            Health::Good,
            "answers in 2 ms",
            Detail::Engine(EngineFacts {
                address: c("unix:///var/run/docker.sock"),
                version: c("28.2.2"),
                api: c("1.50"),
                api_max: c("1.50"),
                os: c("linux"),
                local: true,
                swarm: c("inactive"),
            }),
        ),
    );
    now(
        SourceKind::Containers,
        "engine",
        s,
        2,
        reading(
            Health::Bad,
            "7 of 8 well; server-2 UNHEALTHY",
            Detail::Containers(containers()),
        ),
    );
    now(
        SourceKind::Endpoint,
        "app",
        2 * s,
        5,
        reading(
            Health::Good,
            "200 in 44 ms",
            Detail::Endpoint(Box::new(endpoint("app", "https://localhost:8443/", 40.0))),
        ),
    );
    let mut slow = endpoint("api", "https://localhost:8443/api/missions", 180.0);
    slow.failures = vec![c("first byte after 184 ms, expected under 100 ms")];
    now(
        SourceKind::Endpoint,
        "api",
        2 * s,
        5,
        reading(
            Health::Poor,
            "200, but first byte after 184 ms",
            Detail::Endpoint(Box::new(slow)),
        ),
    );
}

fn present_files_and_alerts(model: &mut Model) {
    let s = SECOND;
    let mut now = |kind, name: &str, age, period, result| {
        sight(model, kind, name, ago(age), period, result);
    };
    let file = "/srv/hyper-mission/tls/fullchain.pem";
    now(
        SourceKind::Certificate,
        "localhost:8443",
        60 * s,
        600,
        reading(
            Health::Poor,
            "12 d left",
            Detail::Certificate(Box::new(certificate(
                "localhost:8443",
                12 * DAY + 4 * HOUR,
                &["renewed on disk, but the old one is still served: reload the gateway"],
            ))),
        ),
    );
    now(
        SourceKind::Certificate,
        file,
        60 * s,
        600,
        reading(
            Health::Good,
            "88 d left",
            Detail::Certificate(Box::new(Certificate {
                trust: Trust::NotAsked,
                protocol: Clean::default(),
                ..certificate(file, 88 * DAY + HOUR, &[])
            })),
        ),
    );
    now(
        SourceKind::Backup,
        "postgres",
        20 * s,
        60,
        reading(
            Health::Bad,
            "newest is 33h old, promised 26h; never restored",
            Detail::Backup(backup()),
        ),
    );
    now(
        SourceKind::Alerts,
        "prometheus",
        4 * s,
        10,
        reading(
            Health::Bad,
            "1 firing: ReplicaDown",
            Detail::Alerts(alerts()),
        ),
    );
    now(
        SourceKind::Host,
        "host",
        3 * s,
        10,
        reading(
            Health::Poor,
            "/var/lib/docker 12 % free",
            Detail::Host(host()),
        ),
    );
}

fn told(model: &mut Model) {
    for (age, health, about, text) in [
        (
            50 * MINUTE,
            Health::None,
            "server-1",
            "new container, running",
        ),
        (
            9 * MINUTE,
            Health::Poor,
            "localhost:8443",
            "certificate ok -> poor: 12 d left",
        ),
        (6 * MINUTE, Health::Poor, "server-2", "restarted (2 times)"),
        (
            4 * MINUTE,
            Health::Bad,
            "server-2",
            "running -> UNHEALTHY, check failed 3 times",
        ),
        (3 * MINUTE, Health::Bad, "ReplicaDown", "alerts ok -> bad"),
    ] {
        update(
            model,
            Event::Told {
                at: ago(age),
                health,
                about: c(about),
                text: c(text),
            },
        );
    }
}

/// Lines of the two servers, for whichever of them is followed on this screen.
pub(crate) fn logged(model: &mut Model) {
    let bad = container("server", 2, "").id;
    let good = container("server", 1, "").id;
    let line = |age: u64, two: bool, level, text: &str| LogLine {
        at: Some(ago(age * SECOND)),
        container: Some(if two { bad.clone() } else { good.clone() }),
        source: c(if two { "server-2" } else { "server-1" }),
        stream: Stream::Out,
        level,
        text: Clean::line(text),
    };
    let lines = vec![
        line(260, true, Level::Info, "INFO pool 20/20 in use"),
        line(255, false, Level::Info, "INFO GET /api/missions 200 41 ms"),
        line(252, true, Level::Warn, "WARN pool wait 1200 ms"),
        line(251, true, Level::Warn, "WARN pool wait 4001 ms"),
        line(
            250,
            true,
            Level::Error,
            "ERROR pool exhausted, closing listener",
        ),
        line(250, true, Level::Error, "ERROR listen tcp :8080 closed"),
        line(
            240,
            false,
            Level::Warn,
            "WARN upstream server-2 refused, retry server-3",
        ),
        line(
            230,
            false,
            Level::Warn,
            "WARN user-agent \u{1b}]52;c;Y3VybA==\u{7} name \u{202e}gpj.exe\u{202c}",
        ),
        line(
            120,
            false,
            Level::Info,
            "INFO Zürich 漢字 mission accepted by a very long line of text that will not fit into eighty columns of any terminal, and so it is cut or wrapped",
        ),
        line(60, false, Level::Info, "INFO GET /api/missions 200 39 ms"),
    ];
    update(model, Event::Logged(lines));
    update(model, Event::LogLost(12));
}

/// Everything as it should be.
pub(crate) fn calm() -> Model {
    let mut model = troubled();
    model.happenings = Happenings::default();
    for watched in model.board.sources.values_mut() {
        if let Some((_, reading)) = &mut watched.last {
            reading.health = Health::Good;
            reading.summary = c("as it should be");
            match &mut reading.detail {
                Detail::Containers(containers) => {
                    for container in &mut containers.all {
                        container.check = CheckState::Healthy;
                        container.check_streak = 0;
                        container.check_log.clear();
                        container.restarts = 0;
                        container.drift = Drift::Same;
                    }
                }
                Detail::Usage(table) => {
                    for usage in table.by_id.values_mut() {
                        usage.memory_bytes = Some(100 << 20);
                    }
                }
                Detail::Host(host) => {
                    for disk in &mut host.disks {
                        disk.free_bytes = disk.size_bytes / 2;
                    }
                }
                Detail::Alerts(alerts) => {
                    alerts.alerts.clear();
                    for target in &mut alerts.targets {
                        target.up = true;
                    }
                }
                _ => {}
            }
        }
    }
    model
}

/// The engine has not answered for two minutes.
pub(crate) fn stale() -> Model {
    let mut model = troubled();
    for kind in [SourceKind::Containers, SourceKind::Engine] {
        let fault = Fault::new(
            FaultKind::Silent,
            "no answer from /var/run/docker.sock within 5 s",
        )
        .remedy("is the engine running?");
        sight(&mut model, kind, "engine", NOW, 2, Err(fault));
    }
    update(&mut model, Event::Tick(ahead(2 * MINUTE)));
    model
}
