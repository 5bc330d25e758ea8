//! The nouns every other room talks in.
//!
//! No clock, no IO, no async, no screen: everything here is a value. Text from outside is a [`Clean`] and nothing else,
//! so it cannot reach a terminal or a report uncleaned.

mod alert;
mod backup;
pub mod board;
mod certificate;
mod container;
mod endpoint;
mod event;
mod expect;
mod grade;
mod health;
mod host;
mod log;
mod manifest;
mod measure;
mod outcome;
mod reading;
mod retention;
mod secret;
mod stack;
pub mod text;
mod time;
mod traffic;

pub use alert::{Alert, AlertState, Alerts, Rule, ScrapeTarget};
pub use backup::{Backup, BackupFile, Copies, Made, Ours, Proven};
pub use board::{Board, Concern, Finding, ServiceState, Subject};
pub use certificate::{Certificate, ChainLink, Stapling, Trust};
pub use container::{
    Address, CheckOutput, CheckState, Container, ContainerId, ContainerState, Containers, Drift,
    Image, Limits, Mount, Port, Usage, UsageTable,
};
pub use endpoint::{Endpoint, Hop, Phases};
pub use event::{EngineEvent, EngineEventKind};
pub use expect::{ExpectError, Expectation, Measured};
pub use grade::{Grade, NoGrade};
pub use health::{Freshness, Health, Watched};
pub use host::{Disk, EngineFacts, Host};
pub use log::{Level, LogLine, Stream};
pub use manifest::{
    BackupForm, BackupName, Content, DatabaseKeys, Digest, Encryption, Extension,
    MANIFEST_BYTES_MAX, MANIFEST_SCHEMA, Manifest, ManifestError, PostgresContent, RedisContent,
    SequenceAt, ServiceImage, StoredFile, TableCount, is_manifest_of,
};
pub use measure::{Measure, Unit};
pub use outcome::{Outcome, Verdict};
pub use reading::{Detail, Fault, FaultKind, Reading, Sighting, SourceId, SourceKind};
pub use retention::{Aged, removable};
pub use secret::SecretPlace;
pub use stack::{
    BackupSource, BackupSpec, CertificateAt, CertificateSpec, ChecklistSpec, EndpointSpec,
    Environment, Keep, RehearsalQuery, ServiceSpec, Stack, StoreSpec, Thresholds, TrafficSpec,
};
pub use text::Clean;
pub use time::{Age, Timestamp};
pub use traffic::{Flow, ReplicaTraffic, Traffic, TrafficSource};
