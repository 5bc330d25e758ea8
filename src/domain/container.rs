//! Containers as the engine reports them, and what they use.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Clean, Health, Timestamp};

/// The engine's full id: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub Clean);

impl ContainerId {
    /// The twelve digits people know.
    pub fn short(&self) -> &str {
        super::text::fit(&self.0, 12)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
    /// A word this version does not know (Podman says `stopped`, for one).
    Other(Clean),
}

impl ContainerState {
    pub fn parse(word: &str) -> Self {
        match word {
            "created" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "removing" => Self::Removing,
            "exited" => Self::Exited,
            "dead" => Self::Dead,
            other => Self::Other(Clean::line(other)),
        }
    }

    pub fn word(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Other(word) => word,
        }
    }
}

/// The verdict of the container's own health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// No health check is defined. Not the same as healthy.
    None,
    Starting,
    Healthy,
    Unhealthy,
}

/// One entry of the health check's log, as the engine keeps the last five.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOutput {
    pub at: Option<Timestamp>,
    pub exit: i64,
    pub output: Clean,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    /// As the container was started with: `hyper-mission/server:1`.
    pub name: Clean,
    /// `sha256:…` of the image configuration: what really runs.
    pub id: Clean,
    /// The registry's digest, where the image came from one.
    pub digest: Option<Clean>,
}

/// Whether what runs is what the Compose file names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// The tag points at the image that runs.
    Same,
    /// The tag points elsewhere by now, or the Compose file names another image. The text says which.
    Differs(Clean),
    /// Could not tell: the tag is gone or the Compose file cannot be read here.
    Unknown(Clean),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub network: Clean,
    pub ip: Clean,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// `None` where the port is not published on the host.
    pub host: Option<(Clean, u16)>,
    pub container: u16,
    pub protocol: Clean,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub source: Clean,
    pub target: Clean,
    pub writable: bool,
}

/// Zero and absent both mean "no limit" to the engine; here absent does.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Limits {
    pub memory_bytes: Option<u64>,
    pub cpus: Option<f64>,
    pub pids: Option<u64>,
}

/// One container: what `list` and `inspect` say together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub id: ContainerId,
    pub name: Clean,
    /// Of the Compose or Swarm label; empty where there is none.
    pub project: Clean,
    pub service: Clean,
    pub number: Option<u32>,
    pub state: ContainerState,
    pub check: CheckState,
    /// Failed health checks in a row.
    pub check_streak: u32,
    /// Newest last, at most five.
    pub check_log: Vec<CheckOutput>,
    /// The health check's command, as one line.
    pub check_command: Clean,
    pub restarts: u32,
    /// Of the last exit; `None` while it has never ended.
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    /// The engine's own error text of the last start.
    pub error: Clean,
    pub created_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub image: Image,
    pub drift: Drift,
    pub addresses: Vec<Address>,
    pub ports: Vec<Port>,
    pub mounts: Vec<Mount>,
    pub labels: BTreeMap<Clean, Clean>,
    pub limits: Limits,
    pub restart_policy: Clean,
    pub user: Clean,
    /// Of its first process, as this engine's host numbers it.
    pub pid: Option<u32>,
}

impl Container {
    /// `server-1`: the same for both generations of Compose, which name containers differently.
    pub fn replica(&self) -> Clean {
        match self.number {
            Some(n) if !self.service.is_empty() => Clean::line(&format!("{}-{n}", self.service)),
            _ => self.name.clone(),
        }
    }

    /// How this container is, by its own state and health check alone.
    pub fn health(&self) -> Health {
        match (&self.state, self.check) {
            (ContainerState::Running, CheckState::Healthy) => Health::Good,
            (ContainerState::Running, CheckState::None) => Health::None,
            (ContainerState::Running, CheckState::Starting) | (ContainerState::Created, _) => {
                Health::Busy
            }
            (ContainerState::Exited, _) if self.ended_well() => Health::None,
            (ContainerState::Running, CheckState::Unhealthy)
            | (
                ContainerState::Restarting
                | ContainerState::Dead
                | ContainerState::Exited
                | ContainerState::Removing,
                _,
            ) => Health::Bad,
            (ContainerState::Paused, _) => Health::Poor,
            (ContainerState::Other(_), _) => Health::Unknown,
        }
    }

    /// A job that has done its work: exit code 0 and not meant to be restarted.
    fn ended_well(&self) -> bool {
        self.exit_code == Some(0)
            && !self.oom_killed
            && (self.restart_policy.is_empty() || self.restart_policy == "no")
    }

    /// Since when it is in its state.
    pub fn since(&self) -> Option<Timestamp> {
        match self.state {
            ContainerState::Exited | ContainerState::Dead => self.finished_at,
            ContainerState::Created => self.created_at,
            _ => self.started_at,
        }
    }
}

/// All containers of the stack, sorted by service and number.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Containers {
    pub all: Vec<Container>,
    /// Services that should have more replicas than are there: name, there, expected.
    pub missing: Vec<(Clean, u32, u32)>,
    /// How often the event stream broke since the start; after each the list is read anew.
    pub event_gaps: u32,
}

/// What one container uses, over the time between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// 100 is one core.
    pub cpu_percent: Option<f64>,
    /// Without the page cache that the kernel can drop.
    pub memory_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub network_rx_per_s: Option<f64>,
    pub network_tx_per_s: Option<f64>,
    pub block_read_per_s: Option<f64>,
    pub block_write_per_s: Option<f64>,
    pub pids: Option<u64>,
}

/// Usage of the containers that were looked at.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UsageTable {
    pub by_id: BTreeMap<ContainerId, Usage>,
    /// Where the figures come from: `cgroup v1`, `cgroup v2`, `engine one-shot`.
    pub source: Clean,
}
