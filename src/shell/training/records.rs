//! What past trainings came to: one line of JSON each, for the trainee alone to read.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use color_eyre::eyre::{Result, WrapErr};
use serde::{Deserialize, Serialize};

use crate::domain::Clean;
use crate::range::score::{Score, Timeline};

/// A training is a few kilobytes; nobody trains ten thousand times.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::shell) struct Record {
    /// When it ended, RFC 3339.
    pub at: String,
    pub user: Clean,
    pub title: Clean,
    pub seed: u64,
    pub speed: f64,
    pub score: Score,
    pub timeline: Timeline,
}

/// Adds a record at the end. The file is made where there is none, for its owner alone.
pub(super) fn append(path: &Path, record: &Record) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).wrap_err_with(|| format!("cannot make {}", dir.display()))?;
    }
    let mut line = serde_json::to_string(record).wrap_err("cannot write the record as JSON")?;
    line.push('\n');
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        // One write, so that two consoles do not mix their lines.
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .wrap_err_with(|| format!("cannot write {}", path.display()))
}

/// All records, oldest first, and what could not be read of the file. No file: no training yet.
pub(in crate::shell) fn read(path: &Path) -> Result<(Vec<Record>, Vec<String>)> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(error) => {
            return Err(error).wrap_err_with(|| format!("cannot read {}", path.display()));
        }
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .wrap_err_with(|| format!("cannot read {}", path.display()))?;
    let mut problems = Vec::new();
    let mut records = Vec::new();
    for (n, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(error) => problems.push(format!("{}:{}: {error}", path.display(), n + 1)),
        }
    }
    Ok((records, problems))
}

/// Minutes and seconds, or `-`.
fn span(ms: Option<i64>) -> String {
    ms.map_or("-".to_owned(), |ms| {
        format!("{:02}:{:02}", ms / 60_000, ms / 1_000 % 60)
    })
}

/// One row of a history: date, scenario, points, then the three times, harm, hints, requests lost, how it ended.
fn row(record: &Record) -> [String; 10] {
    let score = &record.score;
    [
        Clean::line(&record.at).to_string(),
        Clean::line(&score.scenario).to_string(),
        score.points.to_string(),
        span(score.noticed_ms),
        span(score.diagnosed_ms),
        span(score.mitigated_ms),
        format!("{}/{}", score.actions_wrong, score.actions_harmful),
        format!("{}/{}", score.hints, score.diagnoses_wrong),
        score.requests_lost.to_string(),
        if score.gave_up { "gave up" } else { "played" }.to_owned(),
    ]
}

const HEADINGS: [&str; 10] = [
    "ended",
    "scenario",
    "points",
    "noticed",
    "diagnosed",
    "over",
    "wrong/harmful",
    "hints/wrong causes",
    "requests lost",
    "how",
];

pub(in crate::shell) fn text(records: &[Record]) -> String {
    if records.is_empty() {
        return "no training yet\n".to_owned();
    }
    let rows: Vec<[String; 10]> = std::iter::once(HEADINGS.map(str::to_owned))
        .chain(records.iter().map(row))
        .collect();
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0))
        .collect();
    rows.iter().fold(String::new(), |mut text, row| {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
        text
    })
}

/// For a training record.
pub(in crate::shell) fn markdown(records: &[Record]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = String::from("# Training record\n\n");
    text += &line(&HEADINGS.map(str::to_owned));
    text += &line(&HEADINGS.map(|_| "---".to_owned()));
    for record in records {
        text += &line(&row(record).map(|cell| cell.replace('|', "\\|")));
    }
    text
}

pub(in crate::shell) fn json(records: &[Record]) -> Result<String> {
    let mut text = serde_json::to_string_pretty(records).wrap_err("cannot write JSON")?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::range::scenario::load;
    use crate::range::score::score;

    fn record() -> Record {
        let timeline = Timeline::default();
        Record {
            at: "2026-11-20T10:00:00Z".to_owned(),
            user: Clean::from("crew"),
            title: Clean::from("A replica dies"),
            seed: 7,
            speed: 1.0,
            score: score(&load("replica-dies").unwrap(), &timeline),
            timeline,
        }
    }

    #[test]
    fn records_are_kept_in_order_and_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/training.jsonl");
        assert_eq!(read(&path).unwrap(), (Vec::new(), Vec::new()));
        let mut second = record();
        second.seed = 8;
        append(&path, &record()).unwrap();
        append(&path, &second).unwrap();
        assert_eq!(read(&path).unwrap(), (vec![record(), second], Vec::new()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_line_is_named_and_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("training.jsonl");
        fs::write(&path, "{\"at\": 3}\n\n").unwrap();
        append(&path, &record()).unwrap();
        let (records, problems) = read(&path).unwrap();
        assert_eq!(records.len(), 1);
        assert!(
            problems.len() == 1 && problems[0].contains("training.jsonl:1: "),
            "{problems:?}"
        );
    }

    #[test]
    fn every_form_shows_the_points_and_nothing_hostile() {
        let mut hostile = record();
        hostile.score.scenario = "a|b\u{1b}[2J\n".to_owned();
        let all = [record(), hostile];
        for text in [text(&all), markdown(&all), json(&all).unwrap()] {
            assert!(text.contains("replica-dies"), "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
        }
        assert_eq!(markdown(&all).lines().count(), 6);
        assert!(markdown(&all).contains("a\\|b^["));
        assert_eq!(text(&[]), "no training yet\n");
        let back: Vec<Record> = serde_json::from_str(&json(&[record()]).unwrap()).unwrap();
        assert_eq!(back, [record()]);
    }
}
