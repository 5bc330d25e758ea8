//! One subject each, as a table and as a document.

use serde::Serialize;

use super::json::{self, Document, days_left};
use super::table::Align::{self, Left as L, Right as R};
use super::table::render;
use super::{Report, Session, doubt, exit_code, heading, sign};
use crate::domain::{
    Age, Board, Clean, Container, Flow, Health, SourceKind, Subject, Timestamp, Trust, Unit,
};

const CONTAINERS: [Align; 9] = [L, L, L, R, R, R, R, L, L];
const TRAFFIC: [Align; 10] = [L, L, L, R, R, R, R, R, R, L];
const CERTS: [Align; 7] = [L, L, R, L, L, L, L];
const BACKUPS: [Align; 9] = [L, L, L, R, R, R, R, L, L];

/// Containers of the stack. Schema `quarterdeck.containers/1`.
pub fn containers(board: &Board, now: Timestamp, session: &Session) -> Report {
    #[derive(Serialize)]
    struct Body<T> {
        containers: T,
    }
    let mut rows = vec![cells([
        "", "REPLICA", "STATE", "FOR", "RESTARTS", "CPU", "MEMORY", "IMAGE", "NOTE",
    ])];
    let all = board
        .containers()
        .map_or(&[][..], |containers| &containers.all);
    rows.extend(
        all.iter()
            .map(|container| container_row(board, container, now)),
    );
    let missing = board
        .containers()
        .map_or(&[][..], |containers| &containers.missing);
    rows.extend(missing.iter().map(|(service, running, expected)| {
        let note = format!("{running} of {expected} replicas running");
        let mut row = cells(["[X]", service, "missing", "-", "-", "-", "-", "-"]);
        row.push(Clean::from(note));
        row
    }));
    let body = Body {
        containers: json::containers(board, now),
    };
    report(
        board,
        now,
        session,
        &[SourceKind::Containers, SourceKind::Usage],
        "quarterdeck.containers/1",
        (&CONTAINERS, &rows),
        body,
    )
}

fn container_row(board: &Board, container: &Container, now: Timestamp) -> Vec<Clean> {
    let usage = super::usage_of(board, container, now);
    let trouble = board.trouble_of(container);
    let health = super::health_of(board, container, now);
    let state = match (container.state.word(), container.check) {
        (state, crate::domain::CheckState::None) => state.to_owned(),
        ("running", check) => json::check_word(check).to_owned(),
        (state, _) => state.to_owned(),
    };
    vec![
        Clean::from(sign(health)),
        container.replica(),
        Clean::from(state),
        Clean::from(super::ago(container.since(), now)),
        Clean::from(container.restarts.to_string()),
        Clean::from(
            usage
                .and_then(|usage| usage.cpu_percent)
                .map_or_else(dash, |percent| format!("{percent:.0} %")),
        ),
        Clean::from(
            usage
                .and_then(|usage| usage.memory_bytes)
                .map_or_else(dash, size),
        ),
        container.image.name.clone(),
        trouble.map(|(_, text)| text).unwrap_or_default(),
    ]
}

/// Requests by replica. Schema `quarterdeck.traffic/1`.
pub fn traffic(board: &Board, now: Timestamp, session: &Session) -> Report {
    #[derive(Serialize)]
    struct Body<T> {
        traffic: T,
    }
    let mut rows = vec![cells([
        "", "REPLICA", "BY", "REQ/S", "ERRORS", "P50", "P95", "P99", "SHARE", "NOTE",
    ])];
    for (_, watched, traffic) in board.traffic() {
        let health = watched.health(now);
        let by = Clean::from(traffic.source.word());
        for replica in &traffic.replicas {
            let note = replica
                .fault
                .as_ref()
                .map(|fault| fault.text.clone())
                .unwrap_or_default();
            // A single replica is judged by nobody: it has a sign only when it does not count.
            let doubtful = replica.fault.is_some() || health == Health::Unknown;
            let mark = if doubtful { "[?]" } else { "" };
            rows.push(flow_row(
                mark,
                replica.replica.clone(),
                by.clone(),
                &replica.flow,
                note,
            ));
        }
        let (counted, all) = traffic.counted;
        let uneven = traffic
            .uneven
            .as_ref()
            .map(|uneven| format!(", {uneven}"))
            .unwrap_or_default();
        let note = Clean::from(format!("{counted} of {all} counted{uneven}"));
        rows.push(flow_row(
            sign(health),
            Clean::from(format!("{} (all)", traffic.service)),
            by,
            &traffic.total,
            note,
        ));
    }
    let body = Body {
        traffic: json::traffic(board, now),
    };
    report(
        board,
        now,
        session,
        &[SourceKind::Traffic],
        "quarterdeck.traffic/1",
        (&TRAFFIC, &rows),
        body,
    )
}

fn flow_row(mark: &str, name: Clean, by: Clean, flow: &Flow, note: Clean) -> Vec<Clean> {
    let show = |value: Option<f64>, unit: Unit| {
        Clean::from(value.map_or_else(dash, |value| unit.show(value)))
    };
    vec![
        Clean::from(mark),
        name,
        by,
        show(flow.requests_per_s, Unit::PerSecond),
        show(flow.error_ratio(), Unit::Ratio),
        show(flow.p50_ms, Unit::Milliseconds),
        show(flow.p95_ms, Unit::Milliseconds),
        show(flow.p99_ms, Unit::Milliseconds),
        show(flow.share, Unit::Ratio),
        note,
    ]
}

/// Certificates, served and on disk. Schema `quarterdeck.certs/1`.
pub fn certs(board: &Board, now: Timestamp, session: &Session) -> Report {
    #[derive(Serialize)]
    struct Body<T> {
        certificates: T,
    }
    let mut rows = vec![cells([
        "", "PLACE", "LEFT", "EXPIRES", "NAME", "TRUST", "NOTE",
    ])];
    for (_, watched, certificate) in board.certificates() {
        let trust = match &certificate.trust {
            Trust::System => "system",
            Trust::Given => "given authority",
            Trust::No(_) => "NOT TRUSTED",
            Trust::NotAsked => "not asked",
        };
        let mut notes: Vec<&str> = certificate.findings.iter().map(Clean::as_str).collect();
        if let (Trust::No(why), true) = (&certificate.trust, notes.is_empty()) {
            notes.push(why);
        }
        rows.push(vec![
            Clean::from(sign(watched.health(now))),
            certificate.place.clone(),
            Clean::from(format!("{} d", days_left(certificate.earliest_expiry, now))),
            Clean::from(certificate.earliest_expiry.date_minute()),
            certificate.name.clone(),
            Clean::from(trust),
            Clean::from(notes.join("; ")),
        ]);
    }
    let body = Body {
        certificates: json::certificates(board, now),
    };
    report(
        board,
        now,
        session,
        &[SourceKind::Certificate],
        "quarterdeck.certs/1",
        (&CERTS, &rows),
        body,
    )
}

/// Backups by target. Schema `quarterdeck.backups/1`.
pub fn backups(board: &Board, now: Timestamp, session: &Session) -> Report {
    #[derive(Serialize)]
    struct Body<T> {
        backups: T,
    }
    let mut rows = vec![cells([
        "",
        "TARGET",
        "NEWEST GOOD",
        "AGE",
        "PROMISE",
        "SIZE",
        "KEPT",
        "RESTORED",
        "NOTE",
    ])];
    for (_, watched, backup) in board.backups() {
        let good = backup.last_good();
        let reject = backup.files.first().and_then(|file| {
            file.reject
                .as_ref()
                .map(|why| format!("{}: {why}", file.name))
        });
        rows.push(vec![
            Clean::from(sign(watched.health(now))),
            backup.target.clone(),
            good.map_or_else(|| Clean::from("none"), |file| file.name.clone()),
            Clean::from(super::ago(good.map(|file| file.at), now)),
            Clean::from(Age(std::time::Duration::from_secs(backup.age_max_s)).to_string()),
            Clean::from(good.map_or_else(dash, |file| size(file.bytes))),
            Clean::from(format!("{} of {}", backup.kept, backup.keep_min)),
            Clean::from(
                backup
                    .proven
                    .map_or_else(|| "never".to_owned(), Timestamp::date_minute),
            ),
            Clean::from(reject.unwrap_or_default()),
        ]);
    }
    let body = Body {
        backups: json::backups(board, now),
    };
    report(
        board,
        now,
        session,
        &[SourceKind::Backup],
        "quarterdeck.backups/1",
        (&BACKUPS, &rows),
        body,
    )
}

/// Puts both forms together; the health is that of the subject on the overview.
fn report(
    board: &Board,
    now: Timestamp,
    session: &Session,
    kinds: &[SourceKind],
    schema: &'static str,
    (aligns, rows): (&[Align], &[Vec<Clean>]),
    body: impl Serialize,
) -> Report {
    let subject = kinds.first().map(|kind| Subject::of(*kind));
    let concern = board
        .concerns(now)
        .into_iter()
        .find(|concern| Some(concern.subject) == subject);
    let health = concern
        .as_ref()
        .map_or(Health::Unknown, |concern| concern.health);
    let exit_code = exit_code(health, concern.is_some());
    let document = Document {
        schema,
        generated_at: now.rfc3339(),
        version: session.version.clone(),
        config: session.config.clone(),
        stack: board.stack.name.clone(),
        environment: Clean::from(board.stack.environment.word()),
        health: health.word(),
        exit_code,
        body,
    };
    Report {
        text: page(board, now, kinds, health, aligns, rows),
        json: json::write(&document),
        exit_code,
    }
}

fn page(
    board: &Board,
    now: Timestamp,
    kinds: &[SourceKind],
    health: Health,
    aligns: &[Align],
    rows: &[Vec<Clean>],
) -> String {
    let mut out = format!(
        "{} {} {}\n\n",
        sign(health),
        heading(board, now),
        health.word()
    );
    if rows.len() > 1 {
        out.push_str(&render(aligns, rows));
    } else {
        out.push_str("Nothing to list.\n");
    }
    let sources = kinds.iter().flat_map(|kind| board.of_kind(*kind));
    let doubts: Vec<String> = sources
        .filter_map(|(id, watched)| doubt(&id.to_string(), watched, now))
        .collect();
    if !doubts.is_empty() {
        out.push('\n');
    }
    for line in doubts {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn cells<const N: usize>(texts: [&str; N]) -> Vec<Clean> {
    texts.into_iter().map(Clean::from).collect()
}

fn dash() -> String {
    "-".to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
fn size(bytes: u64) -> String {
    Unit::Bytes.show(bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::super::yard::{NOW, board, later, session};
    use super::*;
    use crate::domain::Stack;

    #[test]
    fn every_list_reads_well_and_its_document_is_whole() {
        let all = [
            ("containers", containers(&board(), NOW, &session())),
            ("traffic", traffic(&board(), NOW, &session())),
            ("certs", certs(&board(), NOW, &session())),
            ("backups", backups(&board(), NOW, &session())),
        ];
        for (name, report) in all {
            insta::assert_snapshot!(
                format!("list_{name}"),
                format!("{}\n{}", report.text, report.json)
            );
            let document: serde_json::Value = serde_json::from_str(&report.json).unwrap();
            assert_eq!(document["schema"], format!("quarterdeck.{name}/1"));
            assert_eq!(document["exit_code"], report.exit_code);
        }
    }

    #[test]
    fn old_lists_say_that_they_do_not_count() {
        let report = containers(&board(), later(), &session());
        assert_eq!(report.exit_code, 3);
        assert!(!report.text.contains("[ok]"), "{}", report.text);
        assert!(!report.json.contains("\"ok\""), "{}", report.json);
        assert!(
            report.text.contains("old and does not count"),
            "{}",
            report.text
        );
    }

    #[test]
    fn an_empty_list_is_unknown_not_well() {
        let board = Board::new(Stack::discovered(Clean::from("shop")));
        for report in super::super::yard::lists(&board) {
            assert_eq!(report.exit_code, 3);
            assert!(report.text.contains("Nothing to list."));
        }
    }
}
