//! What is operated, as `quarterdeck.toml` names it: plain values that probes and the board are built from.
//!
//! Reading the file, defaults and errors are the business of `config`; here is only the outcome.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Clean, SecretPlace};

/// How loud the header is about where we are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    Production,
    Staging,
    Development,
    /// The practice range: cannot be mistaken for production.
    Training,
    Other(Clean),
}

impl Environment {
    pub fn word(&self) -> &str {
        match self {
            Self::Production => "PROD",
            Self::Staging => "STAGING",
            Self::Development => "DEV",
            Self::Training => "TRAINING",
            Self::Other(word) => word,
        }
    }
}

/// A service that matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    pub name: Clean,
    /// Fewer than this is a finding. `None`: as many as there are.
    pub replicas: Option<u32>,
    /// Its trouble is trouble of the stack; else it is shown, and quiet.
    pub matters: bool,
}

/// Limits with the plans' values as defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Errors above this part of the requests are bad. Plans: 5 %.
    pub error_ratio: f64,
    /// The p95 above this is bad. Plans: 500 ms.
    pub latency_ms: f64,
    /// A replica whose share is off the even share by more than this part is flagged.
    pub share_off: f64,
    /// Time to first byte above this is poor. Plans: 100 ms.
    pub ttfb_ms: f64,
    /// Days left: notice, bad, urgent. 21, 7, 3.
    pub certificate_days: [u32; 3],
    /// Free part of a disk under which it is poor, and bad.
    pub disk_free_poor: f64,
    pub disk_free_bad: f64,
    /// Part of its memory limit above which a container is poor.
    pub memory_ratio: f64,
    /// Restarts since the container was created from which on it is poor.
    pub restarts: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            error_ratio: 0.05,
            latency_ms: 500.0,
            share_off: 0.5,
            ttfb_ms: 100.0,
            certificate_days: [21, 7, 3],
            disk_free_poor: 0.15,
            disk_free_bad: 0.05,
            memory_ratio: 0.9,
            restarts: 3,
        }
    }
}

/// Where requests per replica are learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrafficSpec {
    /// Scrape every replica of the service itself.
    Metrics {
        service: Clean,
        port: u16,
        path: Clean,
        every: Duration,
    },
    /// Ask Prometheus. `selector` limits the series: `job="server"`.
    Prometheus {
        service: Clean,
        url: Clean,
        selector: Clean,
        every: Duration,
    },
    /// Follow the JSON access log that the gateway's containers write to their standard output.
    AccessLog {
        gateway: Clean,
        service: Clean,
        every: Duration,
    },
}

/// One URL that is asked for, and what is expected of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    pub name: Clean,
    pub url: Clean,
    /// `GET` or `HEAD`: a probe never changes anything.
    pub method: Clean,
    /// Expected status; `None` means any below 400.
    pub status: Option<u16>,
    /// Header name to the text it must contain; empty means it must be there.
    pub headers: BTreeMap<Clean, Clean>,
    /// The Location of a redirect must begin with this.
    pub redirect_to: Option<Clean>,
    /// Follow redirects, on the same host only.
    pub follow: bool,
    pub content_type: Option<Clean>,
    /// TTFB above this is poor; `None`: the stack's threshold.
    pub ttfb_ms: Option<u32>,
    /// Certificates of this authority are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Connect here instead of where the name leads.
    pub connect_to: Option<Clean>,
    pub every: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateAt {
    /// `host:port`.
    Endpoint(Clean),
    /// A PEM file on this host.
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSpec {
    pub at: CertificateAt,
    /// Name to ask for and to check; `None`: the host of the endpoint.
    pub name: Option<Clean>,
    pub ca_file: Option<PathBuf>,
    /// The file that the server should be serving: renewed but not loaded is a finding.
    pub on_disk: Option<PathBuf>,
    /// Self-signed is expected here (a lab, a private network): said, but not bad.
    pub self_signed: bool,
    pub every: Duration,
}

/// Backups of one target: files by pattern in a directory, or a catalogue of ours in one or more stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSpec {
    pub target: Clean,
    pub directory: PathBuf,
    /// `*` and `?`, in the file's name only.
    pub pattern: Clean,
    /// The promise (RPO): the newest good one is no older than this.
    pub age_max: Duration,
    /// At least so many are kept.
    pub keep_min: u32,
    /// Smaller than this does not count.
    pub bytes_min: u64,
    /// Smaller than its predecessor by more than this part is a finding.
    pub shrink_max_percent: u32,
    pub every: Duration,
    /// What is backed up by us; `None`: somebody else makes the files, and they are only judged.
    #[serde(default)]
    pub source: Option<BackupSource>,
    /// Where ours lie, the nearest first. The others hold copies: with more than one, a copy is promised.
    #[serde(default)]
    pub stores: Vec<StoreSpec>,
    /// Public keys of `age`, one a line: whose private keys open a backup.
    #[serde(default)]
    pub recipients_file: Option<PathBuf>,
    /// The private key for rehearsals and restores. Only its place is known here.
    #[serde(default)]
    pub identity_file: Option<PathBuf>,
    /// What is kept beyond the last `keep_min`.
    #[serde(default)]
    pub keep: Keep,
    /// The promise (RTO): a restore takes no longer than this.
    #[serde(default)]
    pub rto: Option<Duration>,
    /// A rehearsed restore older than this proves no more.
    #[serde(default)]
    pub proof_max: Option<Duration>,
}

impl BackupSpec {
    /// Files that somebody else makes, with the values that hold by default.
    pub fn of_files(target: Clean, directory: PathBuf, pattern: Clean) -> Self {
        Self {
            target,
            directory,
            pattern,
            age_max: Duration::from_hours(26),
            keep_min: 3,
            bytes_min: 1024,
            shrink_max_percent: 20,
            every: Duration::from_mins(1),
            source: None,
            stores: Vec::new(),
            recipients_file: None,
            identity_file: None,
            keep: Keep::default(),
            rto: None,
            proof_max: None,
        }
    }

    /// `None`: it has no store of that name.
    pub fn store(&self, name: &str) -> Option<&StoreSpec> {
        self.stores.iter().find(|store| store.name == *name)
    }
}

/// What is backed up, in which service of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BackupSource {
    Postgres {
        service: Clean,
        database: Clean,
        user: Clean,
        /// `None`: the server lets that user in from inside its container.
        password: Option<SecretPlace>,
    },
    Redis {
        service: Clean,
        user: Option<Clean>,
        password: Option<SecretPlace>,
    },
    /// A folder in the container, such as the place where a volume is mounted.
    Files { service: Clean, path: Clean },
}

impl BackupSource {
    pub fn service(&self) -> &Clean {
        match self {
            Self::Postgres { service, .. }
            | Self::Redis { service, .. }
            | Self::Files { service, .. } => service,
        }
    }
}

/// Where backups lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreSpec {
    /// `local`, `offsite`: as people and runbooks name it.
    pub name: Clean,
    /// `file:///var/backups/app` or `s3://bucket/prefix`
    pub url: Clean,
    /// `https://…` of an S3-compatible server; `None`: Amazon's.
    #[serde(default)]
    pub endpoint: Option<Clean>,
    #[serde(default)]
    pub region: Option<Clean>,
    #[serde(default)]
    pub access_key: Option<SecretPlace>,
    #[serde(default)]
    pub secret_key: Option<SecretPlace>,
}

/// How many are kept: the newest of each of the last so many days, weeks and months that have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Keep {
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    /// The newest so many are kept whatever their age. Never less than one.
    pub min: u32,
}

/// A go-live plan to prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecklistSpec {
    pub file: PathBuf,
    /// How old a proof may be where the page does not say.
    pub max_age: Duration,
}

/// What is operated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// The Compose project's name.
    pub name: Clean,
    pub environment: Environment,
    pub services: Vec<ServiceSpec>,
    pub gateway: Option<Clean>,
    pub thresholds: Thresholds,
    pub traffic: Vec<TrafficSpec>,
    pub endpoints: Vec<EndpointSpec>,
    pub certificates: Vec<CertificateSpec>,
    pub backups: Vec<BackupSpec>,
    /// Base URL of Prometheus, for alerts, rules and targets.
    pub prometheus: Option<Clean>,
    /// Directories whose file systems are watched.
    pub disks: Vec<PathBuf>,
    pub checklists: Vec<ChecklistSpec>,
}

impl Stack {
    /// A stack of which only the name is known: discovered, not configured.
    pub fn discovered(name: Clean) -> Self {
        Self {
            name,
            environment: Environment::Other(Clean::from("UNCONFIGURED")),
            services: Vec::new(),
            gateway: None,
            thresholds: Thresholds::default(),
            traffic: Vec::new(),
            endpoints: Vec::new(),
            certificates: Vec::new(),
            backups: Vec::new(),
            prometheus: None,
            disks: vec![PathBuf::from("/")],
            checklists: Vec::new(),
        }
    }

    /// `None`: no `[[backup]]` has that target.
    pub fn backup(&self, target: &str) -> Option<&BackupSpec> {
        self.backups.iter().find(|backup| backup.target == *target)
    }

    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services.iter().find(|service| service.name == *name)
    }

    /// Unnamed services matter too: a stack without a list is watched whole.
    pub fn matters(&self, service: &str) -> bool {
        self.services.is_empty() || self.service(service).is_some_and(|spec| spec.matters)
    }
}
