//! What Prometheus says.

use serde::{Deserialize, Serialize};

use super::{Clean, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    Inactive,
    Pending,
    Firing,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub name: Clean,
    pub state: AlertState,
    pub severity: Clean,
    pub summary: Clean,
    pub labels: Vec<(Clean, Clean)>,
    pub since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub group: Clean,
    pub name: Clean,
    pub query: Clean,
    pub state: AlertState,
    /// `ok`, `err`, `unknown`: Prometheus' own word.
    pub health: Clean,
    pub error: Clean,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScrapeTarget {
    pub job: Clean,
    pub instance: Clean,
    pub up: bool,
    pub error: Clean,
    pub last_scrape: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Alerts {
    pub alerts: Vec<Alert>,
    pub rules: Vec<Rule>,
    pub targets: Vec<ScrapeTarget>,
}
