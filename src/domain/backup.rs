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
}

impl Backup {
    /// The newest one that counts.
    pub fn last_good(&self) -> Option<&BackupFile> {
        self.files.iter().find(|file| file.reject.is_none())
    }
}
