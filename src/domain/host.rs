//! The host that the console runs on, and the engine.

use serde::{Deserialize, Serialize};

use super::Clean;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub path: Clean,
    pub size_bytes: u64,
    pub free_bytes: u64,
    /// `None` where the file system counts no inodes.
    pub inodes_free_ratio_percent: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    pub name: Clean,
    pub disks: Vec<Disk>,
    pub load1: f64,
    pub load5: f64,
    pub cores: u32,
    pub memory_bytes: u64,
    pub memory_available_bytes: u64,
    /// How far the kernel thinks the clock may be off; `None` where it does not say.
    pub clock_error_ms: Option<f64>,
    /// The kernel's own word for it: a time service keeps the clock.
    pub clock_synced: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EngineFacts {
    /// `unix:///var/run/docker.sock`, without credentials.
    pub address: Clean,
    pub version: Clean,
    /// As negotiated: what both sides speak.
    pub api: Clean,
    pub api_max: Clean,
    pub os: Clean,
    /// On this host: its cgroup files and addresses can be reached directly.
    pub local: bool,
    /// Swarm state: `inactive`, `active`.
    pub swarm: Clean,
}
