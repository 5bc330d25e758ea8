//! Requests, by replica.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Clean, ContainerId, Fault};

/// Where the figures come from. They differ in what they can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrafficSource {
    /// The replicas' own `/metrics`, scraped by us: works when Prometheus is down.
    Metrics,
    /// Prometheus' HTTP API.
    Prometheus,
    /// The gateway's JSON access log: the only truth about what users got.
    AccessLog,
}

impl TrafficSource {
    pub fn word(self) -> &'static str {
        match self {
            Self::Metrics => "replica metrics",
            Self::Prometheus => "prometheus",
            Self::AccessLog => "gateway log",
        }
    }
}

/// Requests over a window. What was not seen is `None`, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Flow {
    pub requests_per_s: Option<f64>,
    /// Requests seen in the window.
    pub requests: u64,
    /// Of them answered with 5xx, or not at all.
    pub errors: u64,
    /// Of them answered with 4xx.
    pub client_errors: u64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Part of all requests of the service, 0 to 1.
    pub share: Option<f64>,
}

impl Flow {
    /// Failed part of the requests; `None` while there were none.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a window are far below 2^52"
    )]
    pub fn error_ratio(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.errors as f64 / self.requests as f64)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicaTraffic {
    /// `server-1`, or the upstream's address where no container is known for it.
    pub replica: Clean,
    pub container: Option<ContainerId>,
    pub flow: Flow,
    /// Counter resets seen since we look: a restart of the replica.
    pub resets: u32,
    /// Why this replica is not counted in the total.
    pub fault: Option<Fault>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    pub source: TrafficSource,
    pub service: Clean,
    pub window: Duration,
    /// Sorted by name.
    pub replicas: Vec<ReplicaTraffic>,
    pub total: Flow,
    /// `5 of 6 counted`: replicas in the total, and all.
    pub counted: (u32, u32),
    /// The load is spread unevenly: which replica, and how far off the even share.
    pub uneven: Option<Clean>,
    /// Series or lines left out because of our limits.
    pub dropped: u64,
    /// Lines that could not be read.
    pub unreadable: u64,
}
