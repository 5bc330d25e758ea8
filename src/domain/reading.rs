//! What one look at one source saw, or why it could not look.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Alerts, Backup, Certificate, Clean, Containers, Endpoint, EngineFacts, Health, Host, Measure,
    Timestamp, Traffic, UsageTable,
};

/// Kinds of sources, in the order in which the overview shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    Engine,
    Containers,
    Usage,
    Traffic,
    Endpoint,
    Certificate,
    Backup,
    Alerts,
    Host,
}

impl SourceKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Containers => "containers",
            Self::Usage => "usage",
            Self::Traffic => "traffic",
            Self::Endpoint => "endpoint",
            Self::Certificate => "certificate",
            Self::Backup => "backup",
            Self::Alerts => "alerts",
            Self::Host => "host",
        }
    }
}

/// Names one thing we watch, such as `certificate/localhost:8443`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId {
    pub kind: SourceKind,
    pub name: Clean,
}

impl SourceId {
    pub fn new(kind: SourceKind, name: impl Into<Clean>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}

/// What a probe saw when it looked once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub health: Health,
    /// One line that stands on its own: `3/3 healthy`, `12 d left`.
    pub summary: Clean,
    pub measures: Vec<Measure>,
    pub detail: Detail,
}

/// The whole of what was seen, by kind of source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    None,
    Engine(EngineFacts),
    Containers(Containers),
    Usage(UsageTable),
    Traffic(Traffic),
    Endpoint(Box<Endpoint>),
    Certificate(Box<Certificate>),
    Backup(Backup),
    Alerts(Alerts),
    Host(Host),
}

/// Why a probe could not look. Data, not an error that climbs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: FaultKind,
    /// What happened, naming the thing: `no answer from 127.0.0.1:9092 within 5 s`.
    pub text: Clean,
    /// What to do next, where we know it.
    pub remedy: Option<Clean>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The name does not resolve.
    Name,
    /// Nobody listens, or the way there is broken.
    Refused,
    /// It was there and answered nothing in time.
    Silent,
    /// We are not allowed: socket mode, credentials.
    Denied,
    /// It answered something that is not what was asked for.
    Garbled,
    /// The answer is over our limit.
    TooLarge,
    /// The other side is too old or too new for this.
    Unsupported,
    /// The thing is not there: container, file, directory.
    Missing,
    /// Our own configuration does not allow the look.
    Misconfigured,
    /// A bug of ours: the probe itself broke.
    Broken,
}

impl FaultKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Denied => "denied",
            Self::Garbled => "garbled",
            Self::TooLarge => "too large",
            Self::Unsupported => "unsupported",
            Self::Missing => "missing",
            Self::Misconfigured => "misconfigured",
            Self::Broken => "bug",
        }
    }
}

impl Fault {
    pub fn new(kind: FaultKind, text: impl Into<Clean>) -> Self {
        Self {
            kind,
            text: text.into(),
            remedy: None,
        }
    }

    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Clean>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// What one look saw, stamped with when it ended and how long it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    pub source: SourceId,
    pub at: Timestamp,
    pub took: Duration,
    /// How often this source is looked at.
    pub period: Duration,
    pub result: Result<Reading, Fault>,
}
