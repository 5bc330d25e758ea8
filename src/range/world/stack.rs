//! The Hyper-Mission stack as it stands at the start: images, containers, tables.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::container::{Ailment, Container, Counters, Health, Service, State, Usage, Verdict};
use super::dice::Dice;
use super::{Image, Ms};

pub const PROJECT: &str = "hyper-mission";
/// How long before the start the stack was brought up.
pub const AGE_MS: Ms = 3 * 24 * 3600 * 1000;
const WORKING_DIR: &str = "/srv/hyper-mission";
const MB: u64 = 1024 * 1024;

struct Piece {
    service: Service,
    number: u32,
    host: u8,
    image: &'static str,
    memory_mb: u64,
    cpus: f64,
    port: u16,
    published: &'static [(u16, u16)],
    check: &'static [&'static str],
    env: &'static [&'static str],
    cmd: &'static [&'static str],
    mounts: &'static [&'static str],
    user: &'static str,
}

const NONE: Piece = Piece {
    service: Service::Other,
    number: 1,
    host: 0,
    image: "",
    memory_mb: 0,
    cpus: 0.0,
    port: 0,
    published: &[],
    check: &[],
    env: &[],
    cmd: &[],
    mounts: &[],
    user: "",
};

const fn server(number: u32, host: u8) -> Piece {
    Piece {
        service: Service::Server,
        number,
        host,
        image: "hyper-mission/server:1.42.0",
        memory_mb: 512,
        cpus: 0.5,
        port: 5000,
        check: &["CMD", "wget", "-qO-", "http://127.0.0.1:5000/api/health"],
        env: &[
            "NODE_ENV=production",
            "PORT=5000",
            "DATABASE_URL=postgres://app:range@postgres:5432/app",
            "REDIS_URL=redis://redis:6379",
        ],
        cmd: &["node", "dist/main.js"],
        user: "node",
        ..NONE
    }
}

const PIECES: &[Piece] = &[
    Piece {
        service: Service::Gateway,
        host: 10,
        image: "nginx:1.27-alpine",
        memory_mb: 128,
        cpus: 0.5,
        port: 443,
        published: &[(80, 8080), (443, 8443)],
        check: &["CMD", "wget", "-qO-", "http://127.0.0.1:8081/gw-health"],
        cmd: &["nginx", "-g", "daemon off;"],
        mounts: &["/srv/hyper-mission/gateway/nginx.conf:/etc/nginx/nginx.conf:ro"],
        ..NONE
    },
    Piece {
        service: Service::Client,
        host: 11,
        image: "hyper-mission/client:1.42.0",
        memory_mb: 64,
        cpus: 0.25,
        port: 80,
        check: &["CMD", "wget", "-qO-", "http://127.0.0.1/"],
        cmd: &["nginx", "-g", "daemon off;"],
        ..NONE
    },
    server(1, 21),
    server(2, 22),
    server(3, 23),
    Piece {
        service: Service::Postgres,
        host: 31,
        image: "postgres:15-alpine",
        memory_mb: 1024,
        cpus: 1.0,
        port: 5432,
        check: &["CMD-SHELL", "pg_isready -U app -d app"],
        env: &[
            "POSTGRES_USER=app",
            "POSTGRES_PASSWORD=range",
            "POSTGRES_DB=app",
            "PGDATA=/var/lib/postgresql/data",
        ],
        cmd: &["postgres"],
        mounts: &["hyper-mission_pg_data:/var/lib/postgresql/data:rw"],
        ..NONE
    },
    Piece {
        service: Service::Redis,
        host: 32,
        image: "redis:7-alpine",
        memory_mb: 128,
        cpus: 0.25,
        port: 6379,
        check: &["CMD", "redis-cli", "ping"],
        cmd: &["redis-server", "--appendonly", "yes"],
        mounts: &["hyper-mission_redis_data:/data:rw"],
        ..NONE
    },
    Piece {
        service: Service::Prometheus,
        host: 41,
        image: "prom/prometheus:v2.53.0",
        memory_mb: 512,
        cpus: 0.5,
        port: 9090,
        published: &[(9090, 9092)],
        cmd: &["--config.file=/etc/prometheus/prometheus.yml"],
        mounts: &["hyper-mission_prometheus_data:/prometheus:rw"],
        user: "nobody",
        ..NONE
    },
    Piece {
        service: Service::Grafana,
        host: 42,
        image: "grafana/grafana:11.1.0",
        memory_mb: 256,
        cpus: 0.5,
        port: 3000,
        published: &[(3000, 3003)],
        check: &["CMD", "wget", "-qO-", "http://127.0.0.1:3000/api/health"],
        cmd: &["/run.sh"],
        user: "472",
        ..NONE
    },
];

/// What an image does when it runs.
pub(super) fn images(dice: &mut Dice) -> Vec<Image> {
    let plain = |tag: &str, mb: u64, dice: &mut Dice| Image {
        id: format!("sha256:{}", dice.hex(64)),
        tag: tag.to_owned(),
        bytes: mb * MB,
        created: -AGE_MS * 4,
        crash_after_ms: None,
        errors: 0.0,
        slow: 0.0,
    };
    let mut images: Vec<Image> = [
        ("nginx:1.27-alpine", 49),
        ("hyper-mission/client:1.42.0", 27),
        ("hyper-mission/server:1.42.0", 182),
        ("hyper-mission/server:1.41.2", 181),
        ("hyper-mission/server:1.41.1", 181),
        ("postgres:15-alpine", 243),
        ("redis:7-alpine", 41),
        ("prom/prometheus:v2.53.0", 272),
        ("grafana/grafana:11.1.0", 453),
    ]
    .iter()
    .map(|(tag, mb)| plain(tag, *mb, dice))
    .collect();
    // 1.43.0 misses an environment variable and ends at once; 1.43.1 answers, every fifth time wrongly.
    let mut crashing = plain("hyper-mission/server:1.43.0", 184, dice);
    crashing.crash_after_ms = Some(1_500);
    let mut failing = plain("hyper-mission/server:1.43.1", 184, dice);
    failing.errors = 0.2;
    images.extend([crashing, failing]);
    images
}

pub(super) fn containers(images: &[Image], dice: &mut Dice) -> Vec<Container> {
    PIECES
        .iter()
        .map(|piece| container(piece, images, dice))
        .collect()
}

fn container(piece: &Piece, images: &[Image], dice: &mut Dice) -> Container {
    let image = images
        .iter()
        .find(|image| image.tag == piece.image)
        .expect("every piece names an image of the list");
    let id = dice.hex(64);
    let started = -AGE_MS + i64::from(piece.host) * 120;
    let health = (!piece.check.is_empty()).then(|| Health {
        verdict: Verdict::Healthy,
        next_at: super::LEAD_IN_FROM_MS + i64::from(piece.host) * 37,
        ..Health::starting(started)
    });
    Container {
        name: format!("{PROJECT}-{}-{}", piece.service.word(), piece.number),
        service: piece.service,
        number: piece.number,
        image: piece.image.to_owned(),
        image_id: image.id.clone(),
        created: started - 900,
        config: config(piece, &id, dice),
        host_config: host_config(piece),
        networking: json!({"EndpointsConfig": {format!("{PROJECT}_default"): {
            "Aliases": [piece.service.word()]
        }}}),
        state: State::Running,
        started: Some(started),
        finished: None,
        exit: 0,
        oom_killed: false,
        restarts: 0,
        stopped_by_hand: false,
        host: Some(piece.host),
        last_host: piece.host,
        pid: 1_400 + u32::from(piece.host) * 31,
        health,
        ailment: Ailment::default(),
        ending: None,
        restart_at: None,
        backoff_ms: 0,
        crashes: VecDeque::new(),
        counters: Counters::new(),
        usage: Usage {
            cpu_ns: 900_000_000_000 + dice.below(900_000_000_000),
            rx_bytes: 4_000_000_000 + dice.below(1_000_000_000),
            tx_bytes: 9_000_000_000 + dice.below(1_000_000_000),
            read_bytes: dice.below(400_000_000),
            written_bytes: dice.below(900_000_000),
            memory_bytes: 0,
        },
        arrivals: 0,
        rate: 0.0,
        layer_bytes: 40_000 + dice.below(900_000),
        logs: VecDeque::new(),
        next_line: 0,
        id,
    }
}

fn config(piece: &Piece, id: &str, dice: &mut Dice) -> Value {
    let mut config = json!({
        "Hostname": &id[..12],
        "Domainname": "",
        "User": piece.user,
        "AttachStdin": false,
        "AttachStdout": true,
        "AttachStderr": true,
        "ExposedPorts": {format!("{}/tcp", piece.port): {}},
        "Tty": false,
        "OpenStdin": false,
        "StdinOnce": false,
        "Env": piece.env,
        "Cmd": piece.cmd,
        "Image": piece.image,
        "Volumes": null,
        "WorkingDir": "",
        "Entrypoint": null,
        "OnBuild": null,
        "StopTimeout": 10,
        "Labels": {
            "com.docker.compose.project": PROJECT,
            "com.docker.compose.service": piece.service.word(),
            "com.docker.compose.container-number": piece.number.to_string(),
            "com.docker.compose.config-hash": dice.hex(64),
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.version": "2.26.1",
            "com.docker.compose.project.config_files": format!("{WORKING_DIR}/docker-compose.prod.yml"),
            "com.docker.compose.project.working_dir": WORKING_DIR,
        },
    });
    if !piece.check.is_empty() {
        config["Healthcheck"] = json!({
            "Test": piece.check,
            "Interval": 5_000_000_000_u64,
            "Timeout": 2_000_000_000_u64,
            "StartPeriod": 5_000_000_000_u64,
            "Retries": 3
        });
    }
    config
}

fn host_config(piece: &Piece) -> Value {
    let bindings: serde_json::Map<String, Value> = piece
        .published
        .iter()
        .map(|(inside, outside)| {
            let binding = json!([{"HostIp": "127.0.0.1", "HostPort": outside.to_string()}]);
            (format!("{inside}/tcp"), binding)
        })
        .collect();
    json!({
        "Binds": piece.mounts,
        "NetworkMode": format!("{PROJECT}_default"),
        "PortBindings": bindings,
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "AutoRemove": false,
        "Memory": piece.memory_mb * MB,
        "MemorySwap": piece.memory_mb * MB,
        "MemoryReservation": 0,
        "NanoCpus": crate::range::figures::whole(piece.cpus * 1e9),
        "CpuShares": 0,
        "PidsLimit": 256,
        "Privileged": false,
        "ReadonlyRootfs": false,
        "OomKillDisable": false,
        "ShmSize": 67_108_864,
        "Runtime": "runc"
    })
}

/// Rows of the application's tables at the start.
pub(super) fn tables() -> BTreeMap<String, u64> {
    [
        ("users", 1_240),
        ("missions", 8_312),
        ("mission_events", 45_219),
        ("sessions", 322),
    ]
    .into_iter()
    .map(|(name, rows)| (name.to_owned(), rows))
    .collect()
}
