//! The whole stack on one page.

use super::json::{Document, StatusView};
use super::table::{Align, render};
use super::{Session, ago, check, exit_code, heading, json, sign};
use crate::domain::{Age, Board, Clean, Concern, Finding, Health, Timestamp};

/// How the stack is, in three forms that agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    pub health: Health,
    pub text: String,
    /// Schema `quarterdeck.status/1`.
    pub json: String,
    /// One line for Nagios and its heirs, with performance data.
    pub check: String,
    /// 0 all well, 1 poor, 2 bad, 3 unknown or stale: the same for `status` and `status --check`.
    pub exit_code: u8,
}

pub fn status(board: &Board, now: Timestamp, session: &Session) -> StatusReport {
    let concerns = board.concerns(now);
    let findings = board.findings(now);
    let health = board.health(now);
    let exit_code = exit_code(health, !concerns.is_empty());
    let document = Document {
        schema: "quarterdeck.status/1",
        generated_at: now.rfc3339(),
        version: session.version.clone(),
        config: session.config.clone(),
        stack: board.stack.name.clone(),
        environment: Clean::from(board.stack.environment.word()),
        health: health.word(),
        exit_code,
        body: StatusView::new(board, &concerns, &findings, now),
    };
    StatusReport {
        health,
        text: text(board, &concerns, &findings, now),
        json: json::write(&document),
        check: check::line(board, &concerns, &findings, now, exit_code),
        exit_code,
    }
}

fn text(board: &Board, concerns: &[Concern], findings: &[Finding], now: Timestamp) -> String {
    let health = board.health(now);
    let mut out = format!(
        "{} {} {}\n\n",
        sign(health),
        heading(board, now),
        health.word()
    );
    if concerns.is_empty() {
        out.push_str("Nothing is watched yet, so nothing is known.\n");
        return out;
    }
    let rows: Vec<Vec<Clean>> = concerns.iter().map(|concern| row(concern, now)).collect();
    out.push_str(&render(&[Align::Left; 6], &rows));
    let needs: Vec<Vec<Clean>> = findings
        .iter()
        .map(|finding| needs_you(finding, now))
        .chain(unexplained(concerns, findings).map(|concern| only_concern(concern, now)))
        .collect();
    if !needs.is_empty() {
        out.push_str("\nNeeds you:\n");
        out.push_str(&render(&[Align::Left; 4], &needs));
    }
    out.push('\n');
    let unseen: Vec<&str> = not_seen_yet(concerns, findings)
        .map(|concern| concern.subject.word())
        .collect();
    if !unseen.is_empty() {
        out.extend(["Not seen yet: ", &unseen.join(", "), ". Of the rest:\n"]);
    }
    out.push_str("Nothing else is abnormal.\n");
    out
}

fn row(concern: &Concern, now: Timestamp) -> Vec<Clean> {
    let seen = match concern.freshness.age {
        Some(age) if concern.freshness.stale => format!("STALE {}", Age(age)),
        Some(age) => format!("seen {} ago", Age(age)),
        None => "never seen".to_owned(),
    };
    vec![
        Clean::from(sign(concern.health)),
        Clean::from(concern.health.word()),
        Clean::from(concern.subject.word()),
        concern.summary.clone(),
        Clean::from(format!("since {}", ago(concern.since, now))),
        Clean::from(seen),
    ]
}

fn needs_you(finding: &Finding, now: Timestamp) -> Vec<Clean> {
    vec![
        Clean::from(sign(finding.health)),
        Clean::from(finding.subject.word()),
        Clean::from(format!("since {}", ago(Some(finding.since), now))),
        Clean::from(format!("{}: {}", finding.about, finding.text)),
    ]
}

fn only_concern(concern: &Concern, now: Timestamp) -> Vec<Clean> {
    vec![
        Clean::from(sign(concern.health)),
        Clean::from(concern.subject.word()),
        Clean::from(format!("since {}", ago(concern.since, now))),
        concern.summary.clone(),
    ]
}

fn without_finding<'c>(
    concerns: &'c [Concern],
    findings: &[Finding],
) -> impl Iterator<Item = &'c Concern> {
    concerns.iter().filter(|concern| {
        concern.health.is_trouble()
            && !findings
                .iter()
                .any(|finding| finding.subject == concern.subject)
    })
}

/// Trouble that no finding speaks of: then the concern itself is what needs a person.
fn unexplained<'c>(
    concerns: &'c [Concern],
    findings: &[Finding],
) -> impl Iterator<Item = &'c Concern> {
    without_finding(concerns, findings).filter(|concern| concern.health != Health::Unknown)
}

/// Sources that are still given time for their first answer. They are unknown, and no news.
fn not_seen_yet<'c>(
    concerns: &'c [Concern],
    findings: &[Finding],
) -> impl Iterator<Item = &'c Concern> {
    without_finding(concerns, findings).filter(|concern| concern.health == Health::Unknown)
}

#[cfg(test)]
mod tests {
    use super::super::yard::{NOW, board, hostile, later, session};
    use super::*;
    use crate::domain::{SourceId, SourceKind, Stack};

    #[test]
    fn the_page_reads_well() {
        insta::assert_snapshot!(status(&board(), NOW, &session()).text);
    }

    #[test]
    fn the_document_holds_what_people_script_against() {
        insta::assert_snapshot!(status(&board(), NOW, &session()).json);
    }

    #[test]
    fn the_check_line_is_one_line_with_figures() {
        let check = status(&board(), NOW, &session()).check;
        insta::assert_snapshot!(check);
        assert_eq!(check.lines().count(), 1);
        assert_eq!(check.matches('|').count(), 1);
    }

    #[test]
    fn exit_codes_follow_the_worst() {
        let code = |health, seen| super::exit_code(health, seen);
        let all = [
            Health::None,
            Health::Good,
            Health::Busy,
            Health::Poor,
            Health::Bad,
            Health::Unknown,
        ];
        assert_eq!(all.map(|health| code(health, true)), [0, 0, 0, 1, 2, 3]);
        assert_eq!(
            all.map(|health| code(health, false)),
            [3; 6],
            "nothing watched is never green"
        );
    }

    #[test]
    fn what_is_too_old_is_unknown_everywhere() {
        let report = status(&board(), later(), &session());
        assert_eq!((report.health, report.exit_code), (Health::Unknown, 3));
        assert!(
            report.check.starts_with("QUARTERDECK UNKNOWN - "),
            "{}",
            report.check
        );
        assert!(!report.text.contains("[ok]"), "{}", report.text);
        assert!(report.text.contains("STALE"), "{}", report.text);
        let document: serde_json::Value = serde_json::from_str(&report.json).unwrap();
        assert_eq!(document["containers"]["freshness"], "stale");
        assert_eq!(document["containers"]["health"], "unknown");
    }

    #[test]
    fn an_empty_board_is_unknown_and_says_so() {
        let board = Board::new(Stack::discovered(Clean::from("shop")));
        let report = status(&board, NOW, &session());
        assert_eq!(report.exit_code, 3);
        assert!(report.text.contains("Nothing is watched yet"));
        assert!(report.check.starts_with("QUARTERDECK UNKNOWN - "));
    }

    #[test]
    fn a_source_that_was_not_seen_yet_is_no_finding_but_is_named() {
        let mut board = Board::new(Stack::discovered(Clean::from("shop")));
        board.expect(
            SourceId::new(SourceKind::Host, "host"),
            std::time::Duration::from_secs(5),
            NOW,
        );
        let report = status(&board, NOW, &session());
        assert!(
            report
                .text
                .ends_with("Not seen yet: Host. Of the rest:\nNothing else is abnormal.\n"),
            "{}",
            report.text
        );
        assert!(!report.text.contains("Needs you"));
        assert_eq!(report.exit_code, 3);
    }

    #[test]
    fn hostile_text_in_every_field_acts_on_nothing() {
        let report = status(&hostile(), NOW, &session());
        let mut all = vec![report.text, report.json, report.check];
        for report in super::super::yard::lists(&hostile()) {
            all.extend([report.text, report.json]);
        }
        for text in all {
            let line = text.replace('\n', "");
            assert_eq!(
                Clean::bytes(&line.as_bytes()[..line.len().min(4096)])
                    .matches("[cut")
                    .count(),
                0
            );
            assert!(
                line.chars()
                    .all(|c| !c.is_control() && !('\u{200b}'..='\u{202e}').contains(&c)),
                "{text}"
            );
            assert!(
                text.contains("evil"),
                "the field is shown, not dropped: {text}"
            );
        }
    }

    #[test]
    fn what_is_not_clean_would_still_be_escaped() {
        let written = json::write(&"a\u{1b}\u{9b}\u{7f}\u{202e}\u{e0041}\u{feff}z");
        assert_eq!(
            written,
            "\"a\\u001b\\u009b\\u007f\\u202e\\udb40\\udc41\\ufeffz\"\n"
        );
        assert_eq!(
            serde_json::from_str::<String>(&written).unwrap(),
            "a\u{1b}\u{9b}\u{7f}\u{202e}\u{e0041}\u{feff}z"
        );
    }
}
