//! One line for Nagios and its heirs: `QUARTERDECK OK - text | figures`.

use std::fmt::Write;

use super::json::days_left;
use crate::domain::{
    Board, Clean, Concern, Finding, Freshness, SourceKind, Timestamp, Watched, text::fit,
};

/// Old receivers cut a line at a kilobyte; the figures behind the bar matter more than the seventh finding.
const FINDINGS_MAX: usize = 3;
const FINDING_COLUMNS: usize = 100;

pub(super) fn line(
    board: &Board,
    concerns: &[Concern],
    findings: &[Finding],
    now: Timestamp,
    exit_code: u8,
) -> String {
    let word = word(exit_code);
    let said = said(concerns, findings);
    // The bar parts text from figures.
    let text = format!("{}: {said}", board.stack.name).replace('|', "/");
    format!(
        "QUARTERDECK {word} - {text} |{}",
        figures(board, findings, now)
    )
}

fn word(exit_code: u8) -> &'static str {
    match exit_code {
        0 => "OK",
        1 => "WARNING",
        2 => "CRITICAL",
        _ => "UNKNOWN",
    }
}

/// The same of backups alone.
pub fn backups_line(board: &Board, now: Timestamp, exit_code: u8) -> String {
    let all: Vec<String> = board
        .of_kind(SourceKind::Backup)
        .map(|(source, watched)| {
            let said = match (watched.reading(), &watched.fault) {
                (_, Some((_, fault))) => fault.to_string(),
                (Some(reading), None) => reading.summary.to_string(),
                (None, None) => "not seen yet".to_owned(),
            };
            let about = format!("{}: {said}", source.name);
            fit(&about, FINDING_COLUMNS).to_owned()
        })
        .collect();
    let said = if all.is_empty() {
        "no backup is configured".to_owned()
    } else {
        all.join("; ")
    };
    format!(
        "QUARTERDECK BACKUPS {} - {} |{}",
        word(exit_code),
        said.replace('|', "/"),
        backup_figures(board, now)
    )
}

fn said(concerns: &[Concern], findings: &[Finding]) -> String {
    if concerns.is_empty() {
        return "nothing is watched yet".to_owned();
    }
    if findings.is_empty() {
        let trouble: Vec<&str> = concerns
            .iter()
            .filter(|c| c.health.is_trouble())
            .map(|c| c.subject.word())
            .collect();
        return match trouble.as_slice() {
            [] => format!("{} subjects, nothing abnormal", concerns.len()),
            trouble => format!("look at {}", trouble.join(", ")),
        };
    }
    let first: Vec<String> = findings
        .iter()
        .take(FINDINGS_MAX)
        .map(|finding| {
            fit(
                &format!("{}: {}", finding.about, finding.text),
                FINDING_COLUMNS,
            )
            .to_owned()
        })
        .collect();
    let more = match findings.len().saturating_sub(FINDINGS_MAX) {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    format!("{}{more}", first.join("; "))
}

/// `'label'=value[unit];warn;crit`, only of what was seen lately.
fn figures(board: &Board, findings: &[Finding], now: Timestamp) -> String {
    let mut out = format!(" 'findings'={}", findings.len());
    let fresh = |watched: &Watched| is_fresh(watched, now);
    let limits = &board.stack.thresholds;
    let seen = board
        .of_kind(SourceKind::Containers)
        .any(|(_, watched)| fresh(watched));
    if seen {
        let services = board.services();
        let running: u32 = services.iter().map(|service| service.running).sum();
        let well: u32 = services.iter().map(|service| service.well).sum();
        let _ = write!(out, " 'running'={running} 'well'={well}");
    }
    if let Some((_, watched, traffic)) = board.best_traffic(now)
        && fresh(watched)
    {
        let total = &traffic.total;
        let figure = |value: Option<f64>| value.filter(|value| value.is_finite());
        if let Some(rate) = figure(total.requests_per_s) {
            let _ = write!(out, " 'requests_per_s'={rate:.1}");
        }
        if let Some(ratio) = figure(total.error_ratio()) {
            let _ = write!(
                out,
                " 'errors'={:.2}%;;{}",
                ratio * 100.0,
                limits.error_ratio * 100.0
            );
        }
        if let Some(p95) = figure(total.p95_ms) {
            let _ = write!(out, " 'p95'={p95:.0}ms;;{}", limits.latency_ms);
        }
    }
    let expiries = board
        .certificates()
        .filter(|(_, watched, _)| fresh(watched));
    if let Some(end) = expiries
        .map(|(_, _, certificate)| certificate.earliest_expiry)
        .min()
    {
        let [notice, bad, _] = limits.certificate_days;
        let _ = write!(
            out,
            " 'certificate_days'={};{notice}:;{bad}:",
            days_left(end, now)
        );
    }
    out.push_str(&backup_figures(board, now));
    out
}

fn is_fresh(watched: &Watched, now: Timestamp) -> bool {
    matches!(watched.freshness(now), Freshness::Fresh | Freshness::Old(_))
}

fn backup_figures(board: &Board, now: Timestamp) -> String {
    let mut out = String::new();
    for (_, watched, backup) in board.backups() {
        if let Some(file) = backup.last_good().filter(|_| is_fresh(watched, now)) {
            let age = now.since(file.at).as_secs();
            let _ = write!(
                out,
                " 'backup_age_{}'={age}s;;{}",
                label(&backup.target),
                backup.age_max_s
            );
        }
    }
    out
}

/// A label has no quotes, no equals sign and no bar.
fn label(text: &Clean) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect()
}
