//! What is different from before: subjects that turn to another health, findings that come and go.
//!
//! Told by `quarterdeck watch` as it happens, and looked for in recordings.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{Board, Clean, EngineEvent, Finding, Health, SourceId, Subject, Timestamp};
use crate::report::sign;

/// A finding, as it is told apart from others. Its text may change every second and is not part of it.
type Key = (SourceId, Clean);

/// What was told, to tell only what differs.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    subjects: BTreeMap<Subject, Health>,
    findings: BTreeMap<Key, (Subject, Health, Clean)>,
}

/// One line. Schema `quarterdeck.watch/1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Change {
    schema: &'static str,
    at: String,
    /// `health`, `finding`, `cleared`, `engine`.
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'static str>,
    subject: Clean,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<Clean>,
    text: Clean,
    #[serde(skip)]
    sign: &'static str,
}

impl Change {
    fn new(event: &'static str, now: Timestamp, subject: Subject, health: Health) -> Self {
        Self {
            schema: "quarterdeck.watch/1",
            at: now.rfc3339(),
            event,
            health: Some(health.word()),
            subject: Clean::from(subject.word()),
            about: None,
            text: Clean::default(),
            sign: sign(health),
        }
    }

    pub(super) fn plain(&self) -> String {
        let about = self.about.as_ref().map(|about| format!("{about}: "));
        let health = match self.event {
            "health" => self.health.unwrap_or_default(),
            other => other,
        };
        format!(
            "{} {} {} {health}: {}{}",
            self.at,
            self.sign,
            self.subject,
            about.unwrap_or_default(),
            self.text
        )
    }
}

/// The changes between what was last seen and the board now, and what is seen now.
pub(super) fn changes(last: &Seen, board: &Board, now: Timestamp) -> (Vec<Change>, Seen) {
    let (mut seen, mut changes) = (Seen::default(), Vec::new());
    for concern in board.concerns(now) {
        // A source that is still given time for its first answer is no news.
        let first_time = concern.freshness.age.is_none() && concern.health == Health::Unknown;
        let before = last.subjects.get(&concern.subject);
        if before.is_none() && first_time {
            continue;
        }
        if before != Some(&concern.health) {
            changes.push(Change {
                text: concern.summary,
                ..Change::new("health", now, concern.subject, concern.health)
            });
        }
        seen.subjects.insert(concern.subject, concern.health);
    }
    for finding in board.findings(now) {
        let Finding {
            health,
            subject,
            source,
            about,
            text,
            since: _,
        } = finding;
        let key = (source, about);
        let known = last.findings.get(&key).or_else(|| seen.findings.get(&key));
        if known.is_none_or(|(_, before, _)| *before != health) {
            changes.push(Change {
                about: Some(key.1.clone()),
                text: text.clone(),
                ..Change::new("finding", now, subject, health)
            });
        }
        seen.findings.entry(key).or_insert((subject, health, text));
    }
    let gone = last
        .findings
        .iter()
        .filter(|(key, _)| !seen.findings.contains_key(key));
    changes.extend(gone.map(|((_, about), (subject, _, text))| Change {
        about: Some(about.clone()),
        text: text.clone(),
        ..Change::new("cleared", now, *subject, Health::Good)
    }));
    (changes, seen)
}

/// What the engine says has happened.
pub(super) fn happening(event: &EngineEvent, now: Timestamp) -> Change {
    Change {
        health: None,
        about: (!event.service.is_empty()).then(|| event.service.clone()),
        text: event.text.clone(),
        ..Change::new(
            "engine",
            event.at.unwrap_or(now),
            Subject::Engine,
            event.kind.health(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Detail, Fault, FaultKind, Reading, Sighting, SourceKind, Stack};

    const NOW: Timestamp = Timestamp(100_000);

    fn sighting(result: Result<Health, &str>) -> Sighting {
        Sighting {
            source: SourceId::new(SourceKind::Endpoint, "page"),
            at: NOW,
            took: Duration::ZERO,
            period: Duration::from_secs(5),
            result: match result {
                Ok(health) => Ok(Reading {
                    health,
                    summary: Clean::line("a\x1b[2Jb"),
                    measures: Vec::new(),
                    detail: Detail::None,
                }),
                Err(text) => Err(Fault::new(FaultKind::Silent, text)),
            },
        }
    }

    fn told(last: &Seen, board: &Board) -> (Vec<String>, Seen) {
        let (changes, seen) = changes(last, board, NOW);
        let lines = changes.iter().map(|change| {
            let json = serde_json::to_string(change).unwrap();
            let line = change.plain();
            assert!(!line.contains(char::is_control) && !json.contains(char::is_control));
            line
        });
        (lines.collect(), seen)
    }

    #[test]
    fn a_change_is_told_once_and_its_end_too() {
        let mut board = Board::new(Stack::discovered(Clean::from("shop")));
        board.expect(
            SourceId::new(SourceKind::Endpoint, "page"),
            Duration::from_secs(5),
            NOW,
        );
        let (lines, seen) = told(&Seen::default(), &board);
        assert!(lines.is_empty(), "not looked at yet is no news: {lines:?}");
        board.take(sighting(Ok(Health::Bad)));
        let (lines, seen) = told(&seen, &board);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(
            lines[0],
            "1970-01-01T00:01:40.000Z [X] Endpoints bad: a^[[2Jb"
        );
        assert!(lines[1].contains("finding: page: a^[[2Jb"), "{lines:?}");
        let (lines, seen) = told(&seen, &board);
        assert!(lines.is_empty(), "{lines:?}");
        board.take(sighting(Ok(Health::Good)));
        let (lines, _) = told(&seen, &board);
        assert!(lines[0].contains("[ok] Endpoints ok"), "{lines:?}");
        assert!(
            lines[1].contains("[ok] Endpoints cleared: page"),
            "{lines:?}"
        );
    }

    #[test]
    fn a_fault_after_a_good_look_keeps_the_state_until_it_is_stale() {
        let mut board = Board::new(Stack::discovered(Clean::from("shop")));
        board.take(sighting(Ok(Health::Good)));
        let (_, seen) = told(&Seen::default(), &board);
        board.take(sighting(Err("no answer")));
        let (lines, _) = told(&seen, &board);
        assert!(lines.is_empty(), "{lines:?}");
        let later = NOW.plus(Duration::from_mins(1));
        let (changes, _) = changes(&seen, &board, later);
        assert_eq!(changes[0].health, Some("unknown"), "{changes:?}");
    }
}
