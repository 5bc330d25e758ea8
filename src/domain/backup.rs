//! Backups as files that can be judged by age and size.

use serde::{Deserialize, Serialize};

use super::{Clean, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    pub name: Clean,
    pub at: Timestamp,
    pub bytes: u64,
    /// Why it does not count: empty, a link, written this very moment, far smaller than the one before.
    pub reject: Option<Clean>,
}

/// One pattern in one directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    pub target: Clean,
    pub directory: Clean,
    pub pattern: Clean,
    /// Newest first, at most a hundred.
    pub files: Vec<BackupFile>,
    /// How many there are in all.
    pub kept: u32,
    /// The promise: no older than this, in seconds.
    pub age_max_s: u64,
    pub keep_min: u32,
    /// Nobody has restored it: never good, at best poor, until a rehearsal has been recorded.
    pub proven: Option<Timestamp>,
    /// What only a catalogue of ours knows; `None`: somebody else makes them.
    #[serde(default)]
    pub ours: Option<Ours>,
}

/// A restore that was rehearsed with success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    pub at: Timestamp,
    /// From its start to the proof.
    pub rto_ms: u64,
}

/// What the manifests and the other stores say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ours {
    /// Of the newest good one.
    pub newest: Option<Made>,
    /// The other stores.
    pub copies: Vec<Copies>,
    /// Beyond what the policy keeps.
    pub removable: u32,
    /// The promise: a restore takes no longer than this, in seconds.
    pub rto_max_s: Option<u64>,
    /// What the last rehearsed one took.
    pub rto_ms: Option<u64>,
}

/// What a manifest says, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub name: Clean,
    pub sha256: Clean,
    /// `database app of PostgreSQL 15.7, system 7391…`
    pub source: Clean,
    /// `88 tables, 190200000 rows`
    pub content: Clean,
    pub run: Clean,
    pub took_ms: u64,
    /// How many keys open it; `None`: it is not encrypted.
    pub keys: Option<u32>,
}

/// Another store, beside the nearest one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    pub store: Clean,
    pub place: Clean,
    /// Good ones that it has.
    pub kept: u32,
    /// Good ones of the nearest store that it has not, or not the same.
    pub lacking: u32,
    /// Why it could not be looked at.
    pub fault: Option<Clean>,
}

impl Backup {
    /// The newest one that counts.
    pub fn last_good(&self) -> Option<&BackupFile> {
        self.files.iter().find(|file| file.reject.is_none())
    }
}
