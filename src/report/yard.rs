//! A board for the tests of this room: a stack of everything, a little ill.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Report, Session, backups, certs, containers, traffic};
use crate::domain::{
    Address, Alert, AlertState, Alerts, Backup, BackupFile, Board, Certificate, ChainLink,
    CheckOutput, CheckState, Clean, Container, ContainerId, ContainerState, Containers, Detail,
    Disk, Drift, Endpoint, EngineFacts, Environment, Fault, FaultKind, Flow, Health, Hop, Host,
    Image, Limits, Phases, Port, Reading, ReplicaTraffic, ScrapeTarget, Sighting, SourceId,
    SourceKind, Stack, Stapling, Timestamp, Traffic, TrafficSource, Trust, Usage, UsageTable,
};

/// 2026-11-20 12:03:41.250Z
pub(super) const NOW: Timestamp = Timestamp(1_795_176_221_250);
const DAY: u64 = 86_400_000;

pub(super) fn later() -> Timestamp {
    NOW.plus(Duration::from_hours(1))
}

pub(super) fn session() -> Session {
    Session {
        version: Clean::from("0.1.0"),
        config: Some(Clean::from("/etc/quarterdeck/quarterdeck.toml")),
    }
}

pub(super) fn lists(board: &Board) -> [Report; 4] {
    [
        containers(board, NOW, &session()),
        traffic(board, NOW, &session()),
        certs(board, NOW, &session()),
        backups(board, NOW, &session()),
    ]
}

pub(super) fn board() -> Board {
    filled("")
}

/// The same with foreign text in every field that holds text.
pub(super) fn hostile() -> Board {
    filled("evil\x1b]52;c;x\x07\u{9b}31m\u{202e}\u{200b}|\"'\r\n\0")
}

/// `bad` is put behind every text.
fn filled(bad: &str) -> Board {
    let text = |good: &str| Clean::from(format!("{good}{bad}"));
    let mut stack = Stack::discovered(text("shop"));
    stack.environment = match bad {
        "" => Environment::Production,
        _ => Environment::Other(text("x")),
    };
    let mut board = Board::new(stack);
    let mut see = |kind, name: &str, health, summary: &str, detail| {
        board.take(Sighting {
            source: SourceId::new(kind, text(name)),
            at: Timestamp(NOW.0 - 2000),
            took: Duration::from_millis(3),
            period: Duration::from_secs(5),
            result: Ok(Reading {
                health,
                summary: text(summary),
                measures: Vec::new(),
                detail,
            }),
        });
    };
    let all = Containers {
        all: vec![container(&text, 1, true), container(&text, 2, false)],
        missing: vec![(text("redis"), 0, 1)],
        event_gaps: 1,
    };
    see(
        SourceKind::Engine,
        "local",
        Health::Good,
        "20.10.24",
        Detail::Engine(engine(&text)),
    );
    see(
        SourceKind::Containers,
        "shop",
        Health::Bad,
        "1 of 2 healthy",
        Detail::Containers(all),
    );
    see(
        SourceKind::Usage,
        "shop",
        Health::Good,
        "2 containers",
        Detail::Usage(usage(&text)),
    );
    see(
        SourceKind::Traffic,
        "server",
        Health::Good,
        "36.8/s",
        Detail::Traffic(flows(&text)),
    );
    see(
        SourceKind::Endpoint,
        "health",
        Health::Poor,
        "200, slow",
        Detail::Endpoint(Box::new(endpoint(&text))),
    );
    see(
        SourceKind::Certificate,
        "localhost:8443",
        Health::Poor,
        "12 d left",
        Detail::Certificate(Box::new(certificate(&text))),
    );
    see(
        SourceKind::Backup,
        "postgres",
        Health::Good,
        "newest 3h00m",
        Detail::Backup(backup(&text)),
    );
    see(
        SourceKind::Alerts,
        "prometheus",
        Health::Poor,
        "1 firing",
        Detail::Alerts(alerts(&text)),
    );
    see(
        SourceKind::Host,
        "host",
        Health::Good,
        "load 0.4",
        Detail::Host(host(&text)),
    );
    board.take(Sighting {
        source: SourceId::new(SourceKind::Endpoint, text("shop")),
        at: Timestamp(NOW.0 - 1000),
        took: Duration::from_secs(5),
        period: Duration::from_secs(5),
        result: Err(Fault::new(FaultKind::Silent, text("no answer within 5 s"))
            .remedy(text("is it running?"))),
    });
    board
}

fn container(text: &impl Fn(&str) -> Clean, number: u32, well: bool) -> Container {
    Container {
        id: ContainerId(text(&number.to_string().repeat(64))),
        name: text(&format!("shop_server_{number}")),
        project: text("shop"),
        service: text("server"),
        number: Some(number),
        state: ContainerState::Running,
        check: if well {
            CheckState::Healthy
        } else {
            CheckState::Unhealthy
        },
        check_streak: u32::from(!well) * 4,
        check_log: vec![CheckOutput {
            at: Some(NOW),
            exit: 7,
            output: text("connection refused"),
        }],
        check_command: text("curl -f http://localhost/health"),
        restarts: 0,
        exit_code: None,
        oom_killed: false,
        error: text(""),
        created_at: Some(Timestamp(NOW.0 - 2 * DAY)),
        started_at: Some(Timestamp(NOW.0 - DAY)),
        finished_at: None,
        image: Image {
            name: text("shop/server:1"),
            id: text("sha256:1234"),
            digest: Some(text("sha256:5678")),
        },
        drift: if well {
            Drift::Same
        } else {
            Drift::Differs(text("the tag points at sha256:9"))
        },
        addresses: vec![Address {
            network: text("shop_default"),
            ip: text("172.18.0.4"),
        }],
        ports: vec![Port {
            host: Some((text("127.0.0.1"), 8443)),
            container: 443,
            protocol: text("tcp"),
        }],
        mounts: Vec::new(),
        labels: BTreeMap::from([(text("secret.label"), text("hunter2"))]),
        limits: Limits {
            memory_bytes: Some(256 << 20),
            cpus: Some(0.5),
            pids: None,
        },
        restart_policy: text("always"),
        user: text("app"),
        pid: Some(4242),
    }
}

fn engine(text: &impl Fn(&str) -> Clean) -> EngineFacts {
    EngineFacts {
        address: text("unix:///var/run/docker.sock"),
        version: text("20.10.24"),
        api: text("1.41"),
        api_max: text("1.41"),
        os: text("Debian 12"),
        local: true,
        swarm: text("inactive"),
    }
}

fn usage(text: &impl Fn(&str) -> Clean) -> UsageTable {
    let one = Usage {
        cpu_percent: Some(12.5),
        memory_bytes: Some(64 << 20),
        memory_limit_bytes: Some(256 << 20),
        network_rx_per_s: None,
        network_tx_per_s: None,
        block_read_per_s: Some(f64::NAN),
        block_write_per_s: None,
        pids: Some(9),
    };
    UsageTable {
        by_id: BTreeMap::from([(ContainerId(text(&"1".repeat(64))), one)]),
        source: text("cgroup v1"),
    }
}

fn flows(text: &impl Fn(&str) -> Clean) -> Traffic {
    let flow = |requests, errors, share| Flow {
        requests_per_s: Some(18.4),
        requests,
        errors,
        client_errors: 2,
        p50_ms: Some(12.0),
        p95_ms: Some(118.4),
        p99_ms: None,
        share,
    };
    let replica = |name: &str, fault| ReplicaTraffic {
        replica: text(name),
        container: Some(ContainerId(text("abc"))),
        flow: flow(1104, 1, Some(0.5)),
        resets: 0,
        fault,
    };
    Traffic {
        source: TrafficSource::Metrics,
        service: text("server"),
        window: Duration::from_mins(1),
        replicas: vec![
            replica("server-1", None),
            replica(
                "server-2",
                Some(Fault::new(FaultKind::Refused, text("nobody listens"))),
            ),
        ],
        total: flow(2208, 2, None),
        counted: (1, 2),
        uneven: Some(text("server-1 has 31 % more")),
        dropped: 0,
        unreadable: 0,
    }
}

fn endpoint(text: &impl Fn(&str) -> Clean) -> Endpoint {
    Endpoint {
        name: text("health"),
        url: text("https://localhost:8443/health"),
        hops: vec![Hop {
            url: text("https://localhost:8443/health"),
            status: 200,
            location: Some(text("/")),
        }],
        status: 200,
        phases: Phases {
            ttfb_ms: Some(141.0),
            ..Phases::default()
        },
        address: text("127.0.0.1:8443"),
        headers: vec![(text("set-cookie"), text("session=hunter2"))],
        body_bytes: 2,
        body_cut: false,
        content_type: text("text/plain"),
        failures: vec![text("slower than 100 ms")],
        looks: 10,
        looks_good: 9,
    }
}

fn certificate(text: &impl Fn(&str) -> Clean) -> Certificate {
    let end = Timestamp(NOW.0 + 12 * DAY + 1000);
    Certificate {
        place: text("localhost:8443"),
        address: text("127.0.0.1:8443"),
        name: text("localhost"),
        chain: vec![ChainLink {
            subject: text("CN=localhost"),
            issuer: text("CN=lab"),
            serial: text("01"),
            not_before: Timestamp(NOW.0 - DAY),
            not_after: end,
            key: text("EC P-256"),
            signature: text("ECDSA SHA-256"),
            names: vec![text("localhost")],
            names_more: 0,
            fingerprint: text("ab:cd"),
            is_ca: false,
            weak: None,
        }],
        name_matches: true,
        trust: Trust::No(text("self-signed")),
        earliest_expiry: end,
        leaf_expiry: end,
        protocol: text("TLS 1.3"),
        cipher: text("AES"),
        stapling: Stapling::Absent,
        client_auth: false,
        findings: vec![text("renewed on disk, not loaded")],
    }
}

fn backup(text: &impl Fn(&str) -> Clean) -> Backup {
    let file = |name: &str, hours: u64, reject| BackupFile {
        name: text(name),
        at: Timestamp(NOW.0 - hours * 3_600_000),
        bytes: 325_058_560,
        reject,
    };
    Backup {
        target: text("postgres"),
        directory: text("/var/backups"),
        pattern: text("*.dump"),
        files: vec![
            file("c.dump", 1, Some(text("empty"))),
            file("b.dump", 3, None),
        ],
        kept: 7,
        age_max_s: 93_600,
        keep_min: 3,
        proven: None,
        ours: None,
    }
}

fn alerts(text: &impl Fn(&str) -> Clean) -> Alerts {
    Alerts {
        alerts: vec![Alert {
            name: text("HighLatency"),
            state: AlertState::Firing,
            severity: text("warning"),
            summary: text("p95 above 500 ms"),
            labels: vec![(text("job"), text("server"))],
            since: Some(Timestamp(NOW.0 - 300_000)),
        }],
        rules: Vec::new(),
        targets: vec![ScrapeTarget {
            job: text("server"),
            instance: text("172.18.0.5:9100"),
            up: false,
            error: text("connection refused"),
            last_scrape: None,
        }],
    }
}

fn host(text: &impl Fn(&str) -> Clean) -> Host {
    Host {
        name: text("prod-1"),
        disks: vec![Disk {
            path: text("/"),
            size_bytes: 100 << 30,
            free_bytes: 40 << 30,
            inodes_free_ratio_percent: Some(90),
        }],
        load1: 0.4,
        load5: 0.3,
        cores: 2,
        memory_bytes: 8 << 30,
        memory_available_bytes: 4 << 30,
        clock_error_ms: None,
        clock_synced: Some(true),
    }
}
