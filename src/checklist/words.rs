//! The words plans are made of: what a heading, a label, a column or a sign says. One table each.

use std::sync::LazyLock;

use regex::Regex;

use super::{Kind, Mark, PhaseKind};

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of ours is a pattern")
}

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| pattern($text));
    };
}

pattern!(
    PHASE,
    r"(?i)^(phase|stage|milestone|part|sprint|iteration|wave|step|days?|weeks?|months?)\s+(\d+(?:\s*[-–—]\s*\d+)?|[ivx]+\b|[a-z]\b)"
);
pattern!(NUMBERED, r"^(?:\d+[.)]|\d+(?:\.\d+)+[.)]?)\s+");
pattern!(PARENTHESIS, r"\s*\([^)]*\)\s*$");
pattern!(LABELLED, r"\(([A-Za-z ]{3,20}):\s*([^)]+)\)\s*$");
pattern!(
    CRITERIA,
    r"(?x)\b(?:criteri(?:a|on)|definition\ of\ done|kpis?|slos?|(?:quality|release|exit)\ gates?)$
      | \bmetrics$ | \bmetrics\ (?:and|&)\ slos?$ | ^service\ level\ objectives$"
);
pattern!(DELIVERABLES, r"\bdeliverables?$");
pattern!(
    TASKS,
    r"(?x)^(?:.*\b)?(?:tasks?|to-?dos?|action\ items|actions|next\ steps|work\ items|checklist|check\ list)$
      | \b(?:tests?|testing|validation|verification|acceptance|smoke)\b.*\b(?:procedures?|tests|steps|checks)$"
);
pattern!(MILESTONES, r"\bmilestones$");
pattern!(
    QUIET,
    r"\b(?:notes?|background|overview|architecture|summary|context|budget|costs?|appendix|references?|examples?|conclusion|out of scope|assumptions?|glossary|rollback)\b"
);
pattern!(
    LABEL,
    r"(?i)^(?:(actions?|tasks?|to-?dos?)|(deliverables?)|((?:success|acceptance|exit)\s+(?:criteri(?:a|on)|metrics?)|metrics?))$"
);
pattern!(
    STATUS_AT_END,
    r"(?i)(?:[⏳🚧🔄📋🕒⌛🔜✅✔☑🟡🟢🔴⛔❌]\u{FE0F}?\s*|[-–—(\[]\s*)(?P<word>in progress|wip|done|completed?|planned|blocked|pending|to ?do|not started|cancelled|dropped)[)\]]?\s*$"
);
pattern!(
    STATUS_WORD,
    r"(?i)^\W*(?:(?P<progress>in[ -]progress|wip|started|ongoing|underway)|(?P<blocked>blocked|on hold|stuck|waiting)|(?P<done>done|completed?|closed|finished|resolved|mitigated|yes)|(?P<planned>planned|scheduled)|(?P<dropped>dropped|cancell?ed|won't do|not applicable|n/a)|(?P<open>open|pending|to ?do|not started|no))\b"
);

/// Text without what stands before its first word: emoji, what is left of broken ones, arrows.
pub(super) fn undressed(text: &str) -> &str {
    let mut rest = text.trim();
    loop {
        let word = rest.split_whitespace().next().unwrap_or_default();
        let says = word.chars().any(|c| c.is_ascii_alphanumeric())
            || word
                .chars()
                .all(|c| c.is_alphanumeric() && !"ğðŸ†".contains(c));
        if word.is_empty() || says {
            return rest;
        }
        rest = rest[word.len()..].trim_start();
    }
}

/// A heading that divides a plan, with what it is counted by.
pub(super) fn phase(heading: &str) -> Option<(PhaseKind, String)> {
    let text = undressed(heading);
    let text = NUMBERED.replace(text, "");
    let found = PHASE.captures(&text)?;
    let number: String = found[2]
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| if matches!(c, '–' | '—') { '-' } else { c })
        .collect();
    let kind = match found[1].to_lowercase().chars().next() {
        Some('d') => PhaseKind::Days,
        Some('w') if !found[1].eq_ignore_ascii_case("wave") => PhaseKind::Days,
        Some('m') if !found[1].eq_ignore_ascii_case("milestone") => PhaseKind::Days,
        _ => PhaseKind::Phase,
    };
    Some((kind, number.to_lowercase()))
}

/// The words of a heading, for comparison: without ornaments, number, parenthesis and case.
fn bare(heading: &str) -> String {
    let text = NUMBERED.replace(undressed(heading), "").into_owned();
    let text = PARENTHESIS.replace(&text, "");
    text.trim().trim_end_matches(':').trim().to_lowercase()
}

/// What stands under a heading, where the heading says that it is items.
pub(super) fn group(heading: &str) -> Option<Kind> {
    let text = bare(heading);
    let kinds: [(&Regex, Kind); 4] = [
        (&CRITERIA, Kind::Criterion),
        (&DELIVERABLES, Kind::Deliverable),
        (&MILESTONES, Kind::Milestone),
        (&TASKS, Kind::Task),
    ];
    kinds
        .into_iter()
        .find(|(pattern, _)| pattern.is_match(&text))
        .map(|(_, kind)| kind)
}

/// A heading under which nothing is an item but a ticked box, whatever is around it.
pub(super) fn is_quiet(heading: &str) -> bool {
    QUIET.is_match(&bare(heading))
}

/// `Action`, `Deliverable`, `Success criteria` as the label of a point.
pub(super) fn label(text: &str) -> Option<Kind> {
    let found = LABEL.captures(text.trim())?;
    let kinds = [
        (1, Kind::Task),
        (2, Kind::Deliverable),
        (3, Kind::Criterion),
    ];
    kinds
        .into_iter()
        .find(|(group, _)| found.get(*group).is_some())
        .map(|(_, kind)| kind)
}

/// `(Priority: High)` at the end of a heading.
pub(super) fn labelled(heading: &str) -> Option<(&str, &str)> {
    let found = LABELLED.captures(heading)?;
    Some((found.get(1)?.as_str(), found.get(2)?.as_str()))
}

/// What a status column or a status line says.
pub(super) fn status(text: &str) -> Option<Mark> {
    if let Some(mark) = sign(text) {
        return Some(mark);
    }
    let found = STATUS_WORD.captures(text)?;
    let marks = [
        ("progress", Mark::InProgress),
        ("blocked", Mark::Blocked),
        ("done", Mark::Done),
        ("planned", Mark::Planned),
        ("dropped", Mark::Dropped),
        ("open", Mark::Open),
    ];
    marks
        .into_iter()
        .find(|(name, _)| found.name(name).is_some())
        .map(|(_, mark)| mark)
}

/// The sign a text begins with: `✅`, `[x]`, `⏳`.
pub(super) fn sign(text: &str) -> Option<Mark> {
    const SIGNS: [(&str, Mark); 16] = [
        ("✅", Mark::Done),
        ("☑", Mark::Done),
        ("✔", Mark::Done),
        ("[x]", Mark::Done),
        ("[X]", Mark::Done),
        ("☐", Mark::Open),
        ("[ ]", Mark::Open),
        ("⬜", Mark::Open),
        ("⏳", Mark::InProgress),
        ("🚧", Mark::InProgress),
        ("🔄", Mark::InProgress),
        ("[~]", Mark::InProgress),
        ("[/]", Mark::InProgress),
        ("⛔", Mark::Blocked),
        ("🚫", Mark::Blocked),
        ("[-]", Mark::Dropped),
    ];
    let text = text.trim_start();
    SIGNS
        .into_iter()
        .find(|(sign, _)| text.starts_with(sign))
        .map(|(_, mark)| mark)
}

/// What a heading says at its end: `⏳ IN PROGRESS`. A sign at its beginning is an ornament.
pub(super) fn status_at_end(heading: &str) -> Option<Mark> {
    let found = STATUS_AT_END.captures(heading)?;
    status(found.name("word")?.as_str())
}

/// What the columns of a table say about its rows; `None`: they are no items.
pub(super) fn table(head: &[String]) -> Option<Kind> {
    let has = |words: &[&str]| {
        head.iter().any(|column| {
            let column = column.to_lowercase();
            words.iter().any(|word| column.contains(word))
        })
    };
    let tracked = has(&["severity", "acceptance", "done"])
        || has(&["status", "state"]) && has(&["owner", "assignee", "responsible", "due"]);
    if !tracked {
        return None;
    }
    Some(if has(&["risk", "mitigation"]) {
        Kind::Risk
    } else if has(&["milestone"]) {
        Kind::Milestone
    } else if has(&["gap", "target"]) {
        Kind::Gap
    } else {
        Kind::Task
    })
}

/// A column that counts the rows and does not name them.
pub(super) fn is_number_column(column: &str) -> bool {
    let column = column.trim().to_lowercase();
    matches!(
        column.as_str(),
        "" | "#" | "no" | "no." | "nr" | "number" | "id" | "done" | "✓"
    ) || column.ends_with(" id")
}

/// A column that says how far a row is.
pub(super) fn is_status_column(column: &str) -> bool {
    matches!(
        column.trim().to_lowercase().as_str(),
        "status" | "state" | "done" | "✓" | "progress"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_that_divide_a_plan_are_known_with_their_number() {
        let some = |kind, number: &str| Some((kind, number.to_owned()));
        assert_eq!(phase("✅ Phase 5: Testing"), some(PhaseKind::Phase, "5"));
        assert_eq!(phase("Day 1-2: Environment"), some(PhaseKind::Days, "1-2"));
        assert_eq!(phase("Days 3 – 4"), some(PhaseKind::Days, "3-4"));
        assert_eq!(phase("Month 1 After"), some(PhaseKind::Days, "1"));
        assert_eq!(phase("Milestone B"), some(PhaseKind::Phase, "b"));
        assert_eq!(phase("2. Stage IV"), some(PhaseKind::Phase, "iv"));
        assert_eq!(phase("Phased rollout"), None);
        assert_eq!(phase("Implementation Phases"), None);
        assert_eq!(phase("Part of the plan"), None);
    }

    #[test]
    fn headings_say_what_stands_under_them() {
        for (heading, kind) in [
            ("📋 Tasks", Some(Kind::Task)),
            ("ğŸ† Success Metrics", Some(Kind::Criterion)),
            ("1.2. Success Metrics and SLOs", Some(Kind::Criterion)),
            ("5. Testing & Validation Procedures", Some(Kind::Task)),
            ("Documentation Deliverables", Some(Kind::Deliverable)),
            ("Definition of Done", Some(Kind::Criterion)),
            ("2.1. Milestones", Some(Kind::Milestone)),
            ("Go-Live Checklist", Some(Kind::Task)),
            ("Rollback Procedures", None),
            ("Testing & Validation", None),
            ("2. Current Architecture Status", None),
            ("4. Detailed Implementation Plan (Next Steps)", None),
            ("Mitigation Strategies", None),
            ("🎯 Goals", None),
        ] {
            assert_eq!(group(heading), kind, "{heading}");
        }
    }

    #[test]
    fn a_status_is_said_at_the_end_of_a_heading_and_an_ornament_at_its_beginning() {
        assert_eq!(
            status_at_end("Stage 1: Setup ⏳ IN PROGRESS"),
            Some(Mark::InProgress)
        );
        assert_eq!(status_at_end("Stage 2: CI 📋 PLANNED"), Some(Mark::Planned));
        assert_eq!(status_at_end("Stage 3 (done)"), Some(Mark::Done));
        assert_eq!(status_at_end("✅ Phase 5: Testing"), None);
        assert_eq!(status_at_end("What is to be done"), None);
    }

    #[test]
    fn status_words_and_signs_are_marks() {
        for (text, mark) in [
            ("✅ 100% Complete", Some(Mark::Done)),
            ("Open", Some(Mark::Open)),
            ("In Progress", Some(Mark::InProgress)),
            ("**Blocked** by X", Some(Mark::Blocked)),
            ("Not started", Some(Mark::Open)),
            ("somewhere", None),
        ] {
            assert_eq!(status(text), mark, "{text}");
        }
    }
}
