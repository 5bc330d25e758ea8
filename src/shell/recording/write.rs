//! Writes a recording: bounded, for its owner alone, readable up to the last frame whatever happens to us.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zstd::bulk::Compressor;

use super::{BYTES_MAX, End, Header, LINES_MAX, Record, What, renumber, worded};
use crate::app::Event;
use crate::domain::{Detail, Fault, Level, LogLine, Reading, Sighting, SourceId, Timestamp};

/// A frame is written when so much waits, or when [`Recorder::flush`] says so.
const FRAME_BYTES: usize = 256 * 1024;
/// Small and quick; a recorder must not be seen in the figures it records.
const LEVEL: i32 = 3;
/// Left free of the bound, for the line that says that it was reached.
const RESERVE: u64 = 1024;
/// Log lines kept in a second, and at once: the logs begin with what is there already. The rest is counted as lost, so that
/// one loud container does not fill the file.
const LOG_LINES_PER_S: u64 = 25;
const LOG_LINES_AT_ONCE: u64 = 5_000;
/// Of these at once, so many are kept for warnings and errors.
const LOUD_LINES: u64 = 1_000;
/// Logs take half of a recording at most: what the watches saw goes on after them.
const LOGS_PART: u64 = 2;

#[derive(Debug, Error)]
pub(in crate::shell) enum RecordError {
    #[error("{} is there already; a recording never writes over a file, name another one", .0.display())]
    Exists(PathBuf),
    #[error("cannot make {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write to {}; what was written before can be replayed", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Whether more can be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::shell) enum Room {
    Left,
    Full,
}

/// How much a recording may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub bytes: u64,
    pub lines: u64,
}

#[derive(Debug)]
pub(in crate::shell) struct Recorder {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
    bounds: Bounds,
    /// Before compression.
    bytes: u64,
    lines: u64,
    /// What each source saw last, to say "again" in a line.
    last: BTreeMap<SourceId, Result<Reading, Fault>>,
    logs: LogBudget,
}

impl Recorder {
    /// Makes the file and writes the header at once.
    pub(in crate::shell) fn create(path: &Path, header: &Header) -> Result<Self, RecordError> {
        let bounds = Bounds {
            bytes: BYTES_MAX,
            lines: LINES_MAX,
        };
        Self::bounded(path, header, bounds)
    }

    pub(super) fn bounded(
        path: &Path,
        header: &Header,
        bounds: Bounds,
    ) -> Result<Self, RecordError> {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let file = made.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => RecordError::Exists(path.to_owned()),
            _ => RecordError::Create {
                path: path.to_owned(),
                source,
            },
        })?;
        let mut recorder = Self {
            path: path.to_owned(),
            file,
            pending: Vec::new(),
            bounds,
            bytes: 0,
            lines: 0,
            last: BTreeMap::new(),
            logs: LogBudget::new(header.started_at),
        };
        let line = serde_json::to_vec(header).map_err(|error| recorder.failed(error.into()))?;
        recorder.put(&line)?;
        recorder.flush()?;
        Ok(recorder)
    }

    /// Lines so far, with the header, and bytes before compression.
    pub(in crate::shell) fn size(&self) -> (u64, u64) {
        (self.lines, self.bytes)
    }

    /// Takes down what came in at `at`. Once there is no room left, nothing more is taken.
    pub(in crate::shell) fn take(
        &mut self,
        at: Timestamp,
        event: Event,
    ) -> Result<Room, RecordError> {
        let what = match event {
            Event::Sighted(sighting) => self.sighted(*sighting),
            Event::Logged(lines) => return self.logged(at, lines),
            Event::LogLost(lines) => What::Lost(lines),
            Event::Told {
                at,
                health,
                about,
                text,
            } => What::Told {
                at,
                health,
                about,
                text,
            },
            // What a person does at a console was not seen by a watch.
            _ => return Ok(Room::Left),
        };
        self.write(at, what)
    }

    fn logged(&mut self, at: Timestamp, lines: Vec<LogLine>) -> Result<Room, RecordError> {
        if self.logs.bytes >= self.bounds.bytes / LOGS_PART {
            self.logs.lost += lines.len() as u64;
            return Ok(Room::Left);
        }
        let kept = self.logs.keep(at, lines);
        if kept.is_empty() {
            return Ok(Room::Left);
        }
        let before = self.bytes;
        let room = self.write(at, What::Logged(kept))?;
        self.logs.bytes += self.bytes - before;
        Ok(room)
    }

    fn sighted(&mut self, mut sighting: Sighting) -> What {
        if let Ok(reading) = &mut sighting.result {
            strip(reading);
        }
        if self.last.get(&sighting.source) == Some(&sighting.result) {
            return What::Again {
                source: sighting.source,
                seen_at: sighting.at,
                took: sighting.took,
            };
        }
        let (source, result) = (sighting.source.clone(), sighting.result.clone());
        self.last.insert(source, result);
        What::Sighted(Box::new(sighting))
    }

    fn write(&mut self, at: Timestamp, what: What) -> Result<Room, RecordError> {
        let line =
            serde_json::to_vec(&Record { at, what }).map_err(|error| self.failed(error.into()))?;
        let bytes = self.bytes + line.len() as u64 + 1;
        if bytes + RESERVE > self.bounds.bytes || self.lines + 1 >= self.bounds.lines {
            return Ok(Room::Full);
        }
        self.put(&line)?;
        Ok(Room::Left)
    }

    fn put(&mut self, line: &[u8]) -> Result<(), RecordError> {
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        self.bytes += line.len() as u64 + 1;
        self.lines += 1;
        if self.pending.len() >= FRAME_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what waits as a frame of its own. Whatever happens afterwards, it can be read.
    pub(in crate::shell) fn flush(&mut self) -> Result<(), RecordError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let frame = Compressor::new(LEVEL)
            .and_then(|mut compressor| {
                compressor.include_checksum(true)?;
                compressor.compress(&self.pending)
            })
            .and_then(|frame| self.file.write_all(&frame));
        frame.map_err(|source| self.failed(source))?;
        self.pending.clear();
        Ok(())
    }

    /// Takes down how many log lines were left out since the last time. For once a second.
    pub(in crate::shell) fn beat(&mut self, now: Timestamp) -> Result<Room, RecordError> {
        let room = match std::mem::take(&mut self.logs.lost) {
            0 => Room::Left,
            lost => self.write(now, What::Lost(lost))?,
        };
        self.flush()?;
        Ok(room)
    }

    /// Writes why it ended, and makes it safe on the disk.
    pub(in crate::shell) fn end(mut self, at: Timestamp, why: End) -> Result<(), RecordError> {
        let what = What::Ended(why);
        let line =
            serde_json::to_vec(&Record { at, what }).map_err(|error| self.failed(error.into()))?;
        self.put(&line)?;
        self.flush()?;
        self.file.sync_all().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> RecordError {
        RecordError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

/// Takes out what the screen does not show, and words the numbers that JSON has no word for.
fn strip(reading: &mut Reading) {
    renumber(reading, worded);
    if let Detail::Containers(containers) = &mut reading.detail {
        for container in &mut containers.all {
            container.labels.clear();
        }
    }
}

/// How many log lines may still be kept.
#[derive(Debug)]
struct LogBudget {
    left: u64,
    filled_at: Timestamp,
    lost: u64,
    /// What the kept ones took.
    bytes: u64,
}

impl LogBudget {
    fn new(now: Timestamp) -> Self {
        Self {
            left: LOG_LINES_AT_ONCE,
            filled_at: now,
            lost: 0,
            bytes: 0,
        }
    }

    fn keep(&mut self, now: Timestamp, mut lines: Vec<LogLine>) -> Vec<LogLine> {
        let seconds = now.since(self.filled_at).as_secs();
        if seconds > 0 {
            let more = seconds.saturating_mul(LOG_LINES_PER_S);
            self.left = self.left.saturating_add(more).min(LOG_LINES_AT_ONCE);
            self.filled_at = now;
        }
        let came = lines.len();
        lines.retain(|line| {
            let spared = if line.level >= Level::Warn {
                0
            } else {
                LOUD_LINES
            };
            let is_kept = self.left > spared;
            self.left -= u64::from(is_kept);
            is_kept
        });
        self.lost += (came - lines.len()) as u64;
        lines
    }
}
