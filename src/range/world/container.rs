//! One simulated container: its state as the engine would report it, and its process' inner life.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::Ms;
use super::routes::ROUTES;
use crate::range::figures::real_ms;

/// At 50 lines a second this is some minutes of the gateway's log: more than a console asks for at its start.
pub const LOG_LINES_MAX: usize = 20_000;
/// As many as the engine keeps.
const HEALTH_LOG_MAX: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Gateway,
    Client,
    Server,
    Postgres,
    Redis,
    Prometheus,
    Grafana,
    /// Created through the engine, of no service that we know.
    Other,
}

impl Service {
    pub fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Client => "client",
            Self::Server => "server",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Prometheus => "prometheus",
            Self::Grafana => "grafana",
            Self::Other => "other",
        }
    }

    pub fn parse(word: &str) -> Self {
        match word {
            "gateway" => Self::Gateway,
            "client" => Self::Client,
            "server" => Self::Server,
            "postgres" => Self::Postgres,
            "redis" => Self::Redis,
            "prometheus" => Self::Prometheus,
            "grafana" => Self::Grafana,
            _ => Self::Other,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Starting,
    Healthy,
    Unhealthy,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Examination {
    pub at: Ms,
    pub exit: i64,
    pub output: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    pub verdict: Verdict,
    pub streak: u32,
    pub log: VecDeque<Examination>,
    pub next_at: Ms,
}

impl Health {
    pub fn starting(now: Ms) -> Self {
        Self {
            verdict: Verdict::Starting,
            streak: 0,
            log: VecDeque::new(),
            next_at: now,
        }
    }

    pub fn note(&mut self, examination: Examination) {
        if self.log.len() == HEALTH_LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(examination);
    }
}

/// What a line says; the servers stamp it with the time as people's clocks show it.
#[derive(Debug, Clone, PartialEq)]
pub enum Saying {
    /// One request, as the gateway's access log shows it.
    Access(Box<super::Request>),
    /// The server's own structured line.
    Json { level: &'static str, text: String },
    /// `PostgreSQL`'s manner.
    Postgres { level: &'static str, text: String },
    /// Redis' manner.
    Redis { text: String },
    /// Prometheus' and Grafana's manner.
    Logfmt { level: &'static str, text: String },
    /// nginx' error log.
    Nginx { level: &'static str, text: String },
    /// As it is.
    Plain(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// Counted per container from 0, never reused.
    pub seq: u64,
    pub at: Ms,
    pub is_error: bool,
    pub saying: Saying,
}

/// Upper bounds of the duration histogram, in seconds.
pub const BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Not cumulative; the last one is +Inf.
    pub buckets: Vec<u64>,
    pub sum_s: f64,
    pub count: u64,
}

impl Histogram {
    fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS.len() + 1],
            sum_s: 0.0,
            count: 0,
        }
    }

    fn add(&mut self, seconds: f64) {
        let at = BUCKETS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BUCKETS.len());
        self.buckets[at] += 1;
        self.sum_s += seconds;
        self.count += 1;
    }
}

/// What a replica's `/metrics` counts. It begins anew with the process.
#[derive(Debug, Clone, PartialEq)]
pub struct Counters {
    /// By index into `ROUTES` and status.
    pub requests: BTreeMap<(usize, u16), u64>,
    pub durations: Vec<Histogram>,
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl Counters {
    pub fn new() -> Self {
        Self {
            requests: BTreeMap::new(),
            durations: vec![Histogram::new(); ROUTES.len()],
        }
    }

    pub fn add(&mut self, route: usize, status: u16, ms: f64) {
        *self.requests.entry((route, status)).or_default() += 1;
        self.durations[route].add(ms / 1000.0);
    }

    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}

/// What is wrong with this container, by a scenario's will.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ailment {
    /// So many times slower; 0 is none. Gone with the process.
    pub slow: f64,
    /// Part of the answers that are 500. Gone with the process.
    pub errors: f64,
    /// Gone with the container only.
    pub leak_mb_per_s: f64,
    /// Ends so long after its start. Gone with the container only.
    pub crash_after_ms: Option<Ms>,
    /// Grows its own file system. Gone with the container only.
    pub fill_mb_per_s: f64,
    /// Redis: writes are refused. Gone with the process.
    pub read_only: bool,
}

/// An end that was asked for and is under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    pub at: Ms,
    pub exit: i64,
    pub then_start: bool,
}

/// Figures that the engine's stats report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    pub cpu_ns: u64,
    pub memory_bytes: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub service: Service,
    /// Compose's container number.
    pub number: u32,
    /// As it was asked for.
    pub image: String,
    pub image_id: String,
    pub created: Ms,
    /// The create call's body without `HostConfig` and `NetworkingConfig`: kept whole, unknown fields too.
    pub config: Value,
    pub host_config: Value,
    pub networking: Value,
    pub state: State,
    pub started: Option<Ms>,
    pub finished: Option<Ms>,
    pub exit: i64,
    pub oom_killed: bool,
    pub restarts: u32,
    /// Stopped by a person: no restart policy brings it back.
    pub stopped_by_hand: bool,
    /// Last part of its address while it runs.
    pub host: Option<u8>,
    /// The last one it had: a gateway that has not asked again still goes there.
    pub last_host: u8,
    pub pid: u32,
    pub health: Option<Health>,
    pub ailment: Ailment,
    pub ending: Option<Ending>,
    /// When the restart policy acts, and how long it waited before.
    pub restart_at: Option<Ms>,
    pub backoff_ms: Ms,
    /// Ends that nobody asked for, newest last.
    pub crashes: VecDeque<Ms>,
    pub counters: Counters,
    pub usage: Usage,
    /// Requests that reached it since the last beat, and their smoothed rate per second.
    pub arrivals: u64,
    pub rate: f64,
    /// Bytes of its own writable layer.
    pub layer_bytes: u64,
    pub logs: VecDeque<LogLine>,
    pub next_line: u64,
}

impl Container {
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// `server-2`, `redis`: as scenarios name it.
    pub fn replica(&self) -> String {
        match self.service {
            Service::Server => format!("server-{}", self.number),
            Service::Other => self.name.clone(),
            service => service.word().to_owned(),
        }
    }

    /// Milliseconds since the process began; 0 while there is none.
    pub fn uptime(&self, now: Ms) -> Ms {
        match (self.state, self.started) {
            (State::Running | State::Paused, Some(started)) => now - started,
            _ => 0,
        }
    }

    /// Does its port accept connections?
    pub fn accepts(&self, now: Ms) -> bool {
        /// A Node.js process needs this long until it listens.
        const SERVER_BOOT_MS: Ms = 1_200;
        const BOOT_MS: Ms = 300;
        let boot = match self.service {
            Service::Server => SERVER_BOOT_MS,
            Service::Gateway
            | Service::Client
            | Service::Postgres
            | Service::Redis
            | Service::Prometheus
            | Service::Grafana
            | Service::Other => BOOT_MS,
        };
        self.is_running() && self.ending.is_none() && self.uptime(now) >= boot
    }

    /// Bytes; `None` where there is no limit.
    pub fn memory_limit(&self) -> Option<u64> {
        self.host_config["Memory"].as_u64().filter(|m| *m > 0)
    }

    pub fn restart_policy(&self) -> &str {
        self.host_config["RestartPolicy"]["Name"]
            .as_str()
            .unwrap_or("no")
    }

    /// What the process needs now, without page cache, in MB.
    pub fn working_set_mb(&self, now: Ms) -> f64 {
        /// Start, plateau: caches fill within some minutes.
        const FILL_MS: f64 = 40_000.0;
        let (start, plateau) = match self.service {
            Service::Gateway => (9.0, 14.0),
            Service::Client => (5.0, 7.0),
            Service::Server => (88.0, 165.0),
            Service::Postgres => (60.0, 240.0),
            Service::Redis => (8.0, 22.0),
            Service::Prometheus => (70.0, 180.0),
            Service::Grafana => (80.0, 120.0),
            Service::Other => (4.0, 6.0),
        };
        let uptime = real_ms(self.uptime(now));
        let grown = 1.0 - (-uptime / FILL_MS).exp();
        start + (plateau - start) * grown + self.ailment.leak_mb_per_s * uptime / 1000.0
    }

    pub fn say(&mut self, at: Ms, is_error: bool, saying: Saying) {
        if self.logs.len() == LOG_LINES_MAX {
            self.logs.pop_front();
        }
        self.logs.push_back(LogLine {
            seq: self.next_line,
            at,
            is_error,
            saying,
        });
        self.next_line += 1;
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.config["Labels"][key].as_str()
    }
}
