//! Status and reports as text and JSON, from the same [`Board`] that the screen draws.
//!
//! Pure: a board and a moment in, texts and an exit code out. JSON documents carry `schema` and grow only by new keys;
//! the order of keys is that of the structs in `json`. A figure that was not seen is `null` or `-`, never zero.
//!
//! Exit codes of all reports: 0 all well, 1 poor, 2 bad, 3 unknown or stale. Nothing watched is unknown: it is not green.

mod check;
mod gate;
mod json;
mod lists;
mod status;
mod table;
#[cfg(test)]
mod yard;

pub use gate::{Seal, gate_html, gate_json, gate_junit, gate_markdown, gate_text};
pub use lists::{backups, certs, containers, traffic};
pub use status::{StatusReport, status};

use crate::domain::{
    Age, Board, Clean, Container, Freshness, Health, SourceKind, Timestamp, Usage, Watched,
};

/// What a report says about the console itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    pub version: Clean,
    /// The file that was read, if any.
    pub config: Option<Clean>,
}

/// One report in both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Lines for people, the last one ended.
    pub text: String,
    /// One document, its last line ended.
    pub json: String,
    pub exit_code: u8,
}

/// The exit code of a health; `seen` says whether anything was looked at.
fn exit_code(health: Health, seen: bool) -> u8 {
    match health {
        _ if !seen => 3,
        Health::None | Health::Good | Health::Busy => 0,
        Health::Poor => 1,
        Health::Bad => 2,
        Health::Unknown => 3,
    }
}

/// Told apart without colour.
pub fn sign(health: Health) -> &'static str {
    match health {
        Health::None => "[-]",
        Health::Good => "[ok]",
        Health::Busy => "[~]",
        Health::Poor => "[!]",
        Health::Unknown => "[?]",
        Health::Bad => "[X]",
    }
}

/// `4m12s`, or `-` for what has no beginning.
fn ago(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(|| "-".to_owned(), |at| Age(now.since(at)).to_string())
}

/// The line about a source that cannot be trusted now, if it is one.
fn doubt(name: &str, watched: &Watched, now: Timestamp) -> Option<String> {
    let why = |watched: &Watched| match &watched.fault {
        Some((_, fault)) => format!(": {fault}"),
        None => String::new(),
    };
    match watched.freshness(now) {
        Freshness::Fresh => None,
        Freshness::Old(age) => Some(format!("[~] {name} is {} old{}", Age(age), why(watched))),
        Freshness::Stale(age) => Some(format!(
            "[?] {name} is {} old and does not count{}",
            Age(age),
            why(watched)
        )),
        Freshness::Never => Some(format!("[?] {name} has not been seen{}", why(watched))),
    }
}

/// Whether any source of a kind was seen so lately that it counts.
fn counts(board: &Board, kind: SourceKind, now: Timestamp) -> bool {
    board
        .of_kind(kind)
        .any(|(_, watched)| match watched.freshness(now) {
            Freshness::Fresh | Freshness::Old(_) => true,
            Freshness::Stale(_) | Freshness::Never => false,
        })
}

/// How a container is now; what was seen too long ago is unknown, whatever it was.
fn health_of(board: &Board, container: &Container, now: Timestamp) -> Health {
    if !counts(board, SourceKind::Containers, now) {
        return Health::Unknown;
    }
    let trouble = board.trouble_of(container).map(|(health, _)| health);
    trouble.unwrap_or_else(|| container.health())
}

/// What a container uses, unless that was seen too long ago.
fn usage_of<'b>(board: &'b Board, container: &Container, now: Timestamp) -> Option<&'b Usage> {
    let counts = counts(board, SourceKind::Usage, now);
    board.usage(&container.id).filter(|_| counts)
}

/// `shop PROD 2026-11-20 12:03Z`
fn heading(board: &Board, now: Timestamp) -> String {
    format!(
        "{} {} {}",
        board.stack.name,
        board.stack.environment.word(),
        now.date_minute()
    )
}
