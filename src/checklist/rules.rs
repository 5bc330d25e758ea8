//! What the front matter of a page says of all its items: how old a proof may be, what the gate is made of, and the
//! words that the proposed checks leave open.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Kind;
use super::annotated::FRONT;
use crate::domain::Clean;

/// Where neither the page nor the configuration says how old a proof may be.
pub const MAX_AGE: Duration = Duration::from_hours(24);

/// What is asked of a person who presents an item, where the page does not say.
pub const MINUTES: u32 = 2;

/// Something wrong with what we or a person wrote into a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// From 1, in the file as it lies.
    pub line: usize,
    pub text: Clean,
    pub remedy: Clean,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.line, self.text, self.remedy)
    }
}

pub(super) fn problem(line: usize, text: &str, remedy: &str) -> Problem {
    Problem {
        line: line.max(1),
        text: Clean::line(text),
        remedy: Clean::line(remedy),
    }
}

/// What holds for all items of a page that do not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// A proof that is older proves nothing any more.
    pub max_age: Option<Duration>,
    /// Only these kinds of items decide; without it all do.
    pub gate: Option<Vec<Kind>>,
    /// Planned for presenting one item.
    pub minutes: Option<u32>,
    /// What stands for `{word}` in the checks.
    pub fill: BTreeMap<String, String>,
}

const KINDS: [Kind; 6] = [
    Kind::Task,
    Kind::Deliverable,
    Kind::Criterion,
    Kind::Milestone,
    Kind::Gap,
    Kind::Risk,
];

impl Rules {
    /// Reads our front matter. What cannot be read is said, and the rest holds.
    pub(super) fn read(front: Option<&str>, problems: &mut Vec<Problem>) -> Self {
        let mut rules = Self::default();
        let Some(front) = front else { return rules };
        let inner: Vec<&str> = front
            .lines()
            .filter(|line| line.trim_end() != FRONT)
            .collect();
        let table: toml::Table = match inner.join("\n").parse() {
            Ok(table) => table,
            Err(error) => {
                let error: toml::de::Error = error;
                let text = format!("the front matter cannot be read: {}", error.message());
                problems.push(problem(
                    1,
                    &text,
                    "mend it: until then no check is filled in",
                ));
                return rules;
            }
        };
        let line = |key: &str| line_of(front, key);
        if let Some(value) = table.get("max_age") {
            match span(value) {
                Ok(age) => rules.max_age = Some(age),
                Err(text) => problems.push(problem(line("max_age"), &text, SPANS)),
            }
        }
        if let Some(value) = table.get("minutes") {
            match value.as_integer().and_then(|n| u32::try_from(n).ok()) {
                Some(minutes) if minutes > 0 => rules.minutes = Some(minutes),
                _ => problems.push(problem(
                    line("minutes"),
                    "`minutes` is no number of minutes",
                    "write minutes = 2",
                )),
            }
        }
        if let Some(value) = table.get("gate") {
            rules.gate = gate(value, line("gate"), problems);
        }
        if let Some(fill) = table.get("fill").and_then(toml::Value::as_table) {
            for (word, value) in fill {
                let text = match value {
                    toml::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                rules.fill.insert(word.clone(), text);
            }
        }
        rules
    }

    pub(super) fn gates(&self, kind: Kind) -> bool {
        self.gate.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }
}

fn gate(value: &toml::Value, line: usize, problems: &mut Vec<Problem>) -> Option<Vec<Kind>> {
    let words = value.as_array().map_or(&[][..], Vec::as_slice);
    let kinds: Option<Vec<Kind>> = words
        .iter()
        .map(|word| {
            KINDS
                .into_iter()
                .find(|kind| Some(kind.word()) == word.as_str())
        })
        .collect();
    if kinds.as_ref().is_none_or(Vec::is_empty) {
        let known = KINDS.map(Kind::word).join(", ");
        let remedy = format!("write a list of {known}, or leave it out: then every item decides");
        problems.push(problem(line, "`gate` names no kinds of items", &remedy));
        return None;
    }
    kinds
}

/// The line of the front matter on which a key stands.
fn line_of(front: &str, key: &str) -> usize {
    let is_it = |line: &str| line.split('=').next().map(str::trim) == Some(key);
    front.lines().position(is_it).map_or(1, |at| at + 1)
}

/// What to write instead.
pub(super) const SPANS: &str = "write a time such as \"24 h\", \"30 min\" or \"7 days\"";

/// A time as people write it.
pub(super) fn span(value: &toml::Value) -> Result<Duration, String> {
    let said = value.to_string();
    let text = value.as_str().unwrap_or_default();
    match humantime::parse_duration(text) {
        Ok(span) if !span.is_zero() => Ok(span),
        _ => Err(format!("{said} is no time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> (Rules, Vec<Problem>) {
        let mut problems = Vec::new();
        let front = format!("+++\nformat = \"quarterdeck-checklist-1\"\n{lines}\n+++\n");
        (Rules::read(Some(&front), &mut problems), problems)
    }

    #[test]
    fn the_front_matter_says_what_holds_for_all() {
        let (rules, problems) = read(
            "max_age = \"12 h\"\ngate = [\"criterion\"]\nminutes = 3\n[fill]\naddress = \"localhost\"\nrows = 3",
        );
        assert_eq!(problems, []);
        assert_eq!(rules.max_age, Some(Duration::from_hours(12)));
        assert!(rules.gates(Kind::Criterion) && !rules.gates(Kind::Task));
        assert_eq!(rules.fill["rows"], "3");
    }

    #[test]
    fn every_slip_is_said_with_its_line_and_the_rest_holds() {
        let (rules, problems) = read("max_age = 12\ngate = [\"boxes\"]\nminutes = 4");
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [3, 5 - 1]);
        assert_eq!(rules.minutes, Some(4));
        let (_, problems) = read("max_age = ");
        assert_eq!(problems.len(), 1);
    }
}
