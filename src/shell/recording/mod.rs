//! A recording: what the watches of a stack saw, in a file that can be played again.
//!
//! Lines of JSON in frames of zstd. Each frame stands on its own, so what was written before an accident can be read. The
//! first line says what this is ([`Header`]); each other line is one [`Record`]; the last one says why it ended, and where it
//! is missing the recording was cut.
//!
//! **Invariant:** only what the console shows gets in. Labels of containers, which it does not show and which may hold
//! passwords, are left out; configuration is there as the `Stack` that the screen names, which holds no secret.

mod player;
mod read;
mod write;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    Clean, Detail, Flow, Health, LogLine, Reading, Sighting, SourceId, Stack, Timestamp,
};

pub(super) use player::Player;
pub(super) use read::{Tape, TapeError};
pub(super) use write::{RecordError, Recorder, Room};

/// The form of the file: grows within its number, and gets another one when an older program would misread it.
const SCHEMA: &str = "quarterdeck.recording/1";
/// All before the number.
const FAMILY: &str = "quarterdeck.recording/";
/// What a recording may hold before it is compressed: a replay keeps all of it in memory.
pub(super) const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// So many things seen are a working day of a large stack.
pub(super) const LINES_MAX: u64 = 500_000;
/// A thousand containers fill a tenth of this.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub schema: Clean,
    /// Of the program that wrote it.
    pub version: Clean,
    pub started_at: Timestamp,
    pub host: Clean,
    pub stack: Stack,
    /// What was looked at, and how often.
    pub sources: Vec<(SourceId, Duration)>,
}

impl Header {
    pub(super) fn new(
        stack: Stack,
        sources: Vec<(SourceId, Duration)>,
        host: Clean,
        started_at: Timestamp,
    ) -> Self {
        Self {
            schema: Clean::from(SCHEMA),
            version: Clean::from(env!("CARGO_PKG_VERSION")),
            started_at,
            host,
            stack,
            sources,
        }
    }
}

/// Any other line: when it came in, and what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    at: Timestamp,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Sighted(Box<Sighting>),
    /// The source saw once more exactly what it saw before.
    Again {
        source: SourceId,
        seen_at: Timestamp,
        took: Duration,
    },
    Logged(Vec<LogLine>),
    /// So many log lines came too fast to be kept.
    Lost(u64),
    Told {
        at: Timestamp,
        health: Health,
        about: Clean,
        text: Clean,
    },
    Ended(End),
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// Somebody ended it.
    Asked,
    /// It was to be so long.
    Time,
    /// It reached the bound of bytes or of lines.
    Full,
}

/// Stands for a number that JSON has no word for: no source measures these.
const WORDS: [(f64, f64); 3] = [
    (f64::NAN, -1.797e308),
    (f64::INFINITY, 1.796e308),
    (f64::NEG_INFINITY, -1.796e308),
];

fn worded(value: f64) -> f64 {
    let same =
        |special: f64| special.to_bits() == value.to_bits() || (special.is_nan() && value.is_nan());
    let word = WORDS.iter().find(|(special, _)| same(*special));
    word.map_or(value, |(_, word)| *word)
}

fn meant(value: f64) -> f64 {
    let said = |word: f64| word.to_bits() == value.to_bits();
    let special = WORDS.iter().find(|(_, word)| said(*word));
    special.map_or(value, |(special, _)| *special)
}

/// Rewrites the numbers that may be none: those that were computed from foreign figures.
fn renumber(reading: &mut Reading, map: fn(f64) -> f64) {
    for measure in &mut reading.measures {
        measure.value = map(measure.value);
    }
    if let Detail::Traffic(traffic) = &mut reading.detail {
        flow(&mut traffic.total, map);
        for replica in &mut traffic.replicas {
            flow(&mut replica.flow, map);
        }
    }
}

fn flow(flow: &mut Flow, map: fn(f64) -> f64) {
    for number in [
        &mut flow.requests_per_s,
        &mut flow.p50_ms,
        &mut flow.p95_ms,
        &mut flow.p99_ms,
        &mut flow.share,
    ] {
        *number = number.map(map);
    }
}

#[cfg(test)]
mod tests;
