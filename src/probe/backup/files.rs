//! Files by pattern, whoever made them: which of them count?

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::size;
use crate::domain::{BackupFile, BackupSpec, Clean, Fault, Timestamp};
use crate::link::files::{self, Ends, Entry, Kind};

/// Files whose content is looked at; older ones were looked at when they were new.
const CONTENTS_MAX: usize = 20;

/// A writer that pauses longer than this between two writes is not told from one that has ended.
const WRITING: Duration = Duration::from_secs(5);

/// A file dated later than this was made by a wrong clock, and would be young for ever.
const FUTURE_MAX: Duration = Duration::from_mins(5);

/// Names that tools give to what is not finished.
const UNFINISHED: [&str; 5] = [".part", ".partial", ".tmp", ".temp", ".inprogress"];

/// An entry, and how it begins and ends where that was looked at.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) entry: Entry,
    ends: Option<Result<Ends, Fault>>,
}

pub(super) fn find(directory: &Path, pattern: &str) -> Result<Vec<Found>, Fault> {
    let mut read = 0;
    let listed = files::list(directory, pattern)?;
    Ok(listed
        .into_iter()
        .map(|entry| {
            let worth = entry.kind == Kind::File && entry.bytes > 0 && read < CONTENTS_MAX;
            read += usize::from(worth);
            let ends = worth.then(|| files::ends(directory, &entry));
            Found { entry, ends }
        })
        .collect())
}

/// Judges each file, oldest first, since a file is measured against the last one that counted.
pub(super) fn sift(
    spec: &BackupSpec,
    sizes: &BTreeMap<OsString, u64>,
    found: &[Found],
    now: Timestamp,
) -> Vec<BackupFile> {
    let mut last_good: Option<u64> = None;
    let mut files: Vec<BackupFile> = found
        .iter()
        .rev()
        .map(|one| {
            let entry = &one.entry;
            let reject = reject_kind(entry)
                .or_else(|| reject_time(entry, sizes.get(&entry.name), now))
                .or_else(|| reject_size(spec, entry.bytes, last_good))
                .or_else(|| reject_content(one.ends.as_ref()));
            if reject.is_none() {
                last_good = Some(entry.bytes);
            }
            BackupFile {
                name: entry.shown(),
                at: entry.modified,
                bytes: entry.bytes,
                reject: reject.map(Clean::from),
            }
        })
        .collect();
    files.reverse();
    files
}

fn reject_kind(entry: &Entry) -> Option<String> {
    match entry.kind {
        Kind::File if entry.names > 1 => Some(format!(
            "has {} names (hard link): it can change under the other one",
            entry.names
        )),
        Kind::File => None,
        Kind::Link => Some("a link, not a file".to_owned()),
        Kind::Directory => Some("a directory, not a file".to_owned()),
        Kind::Pipe => Some("a pipe, not a file".to_owned()),
        Kind::Other => Some("a device or socket, not a file".to_owned()),
    }
}

fn reject_time(entry: &Entry, before: Option<&u64>, now: Timestamp) -> Option<String> {
    let name = entry.name.to_string_lossy();
    let unfinished = UNFINISHED.iter().any(|ending| name.ends_with(ending));
    if name.starts_with('.') || unfinished {
        return Some("a temporary name: not finished".to_owned());
    }
    if entry.modified > now.plus(FUTURE_MAX) {
        return Some(format!(
            "dated in the future: {}",
            entry.modified.date_minute()
        ));
    }
    let grown = before.is_some_and(|&bytes| entry.bytes > bytes);
    if grown || now.since(entry.modified) < WRITING {
        return Some("being written".to_owned());
    }
    None
}

pub(super) fn reject_size(spec: &BackupSpec, bytes: u64, last_good: Option<u64>) -> Option<String> {
    if bytes == 0 {
        return Some("empty".to_owned());
    }
    if bytes < spec.bytes_min {
        return Some(format!(
            "{}, and {} is the least",
            size(bytes),
            size(spec.bytes_min)
        ));
    }
    let before = last_good.filter(|&before| before > bytes)?;
    // In percent, by integers: a backup may be larger than a double counts exactly.
    let lost = u128::from(before - bytes) * 100 / u128::from(before);
    (lost > u128::from(spec.shrink_max_percent))
        .then(|| format!("{lost} % smaller than the one before ({})", size(before)))
}

fn reject_content(ends: Option<&Result<Ends, Fault>>) -> Option<String> {
    match ends? {
        Ok(ends) => cut_short(ends).map(ToOwned::to_owned),
        Err(fault) => Some(fault.to_string()),
    }
}

/// What `pg_dump` writes last in its custom format: the number 0, as a sign byte and four bytes.
const CUSTOM_END: [u8; 5] = [0; 5];

/// Cheap signs that a dump of `pg_dump` was cut. Their absence proves nothing.
fn cut_short(ends: &Ends) -> Option<&'static str> {
    let has = |bytes: &[u8], words: &[u8]| bytes.windows(words.len()).any(|w| w == words);
    if ends.head.starts_with(b"PGDMP") {
        return (!ends.tail.ends_with(&CUSTOM_END)).then_some("cut: a pg_dump without its end");
    }
    let is_sql = has(&ends.head, b"-- PostgreSQL database dump")
        || has(&ends.head, b"-- PostgreSQL database cluster dump");
    (is_sql && !has(&ends.tail, b" dump complete")).then_some("cut: an SQL dump without its end")
}
