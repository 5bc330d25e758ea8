//! What an item has to show: its accepted checks, a person's word, a drill; read from its blocks, filled in.
//!
//! A check is handed on as data: which kinds there are, and what their fields mean, others know. What is wrong with a
//! block is said with its line and its remedy, and the item then counts as not readable, never as proven.
//!
//! | key of a block | says of its item |
//! |---|---|
//! | `kind` | a kind of check and its fields; `ask` with a `question`: a person signs; `drill` with `runbook` and `answers`: the runbook has run well |
//! | `proof_max_age = "1 h"` | how old its proof may be; else the front matter's `max_age`, else the configuration's |
//! | `second = true` | two people sign |
//! | `gate = false` | it is told and does not decide; the front matter's `gate = ["criterion"]` names the kinds that do |
//! | `helps = "rolling-restart"` | the runbook that helps where it fails |
//! | `minutes = 3` | planned for presenting it |

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use toml::Table;

use super::rules::{Problem, Rules, SPANS, problem, span};
use super::{Item, identity};
use crate::domain::Clean;

/// Keys of a block that are about the item; the others are the check's.
const OURS: [&str; 9] = [
    "item",
    "accepted",
    "proposed",
    "note",
    "proof_max_age",
    "second",
    "gate",
    "helps",
    "minutes",
];
/// Digits of a check's hash.
const HASH_DIGITS: usize = 16;

/// What an item has to show before its gate opens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is said of an item on its own, as a person writes it"
)]
pub struct Demand {
    pub asked: Vec<Asked>,
    /// A person has to say it, whatever is measured.
    pub person: bool,
    /// Two people have to.
    pub second: bool,
    /// Whether it decides.
    pub gate: bool,
    /// The runbook that helps where it fails.
    pub helps: Option<Clean>,
    /// Planned for presenting it.
    pub minutes: Option<u32>,
    /// A block of it cannot be read.
    pub broken: bool,
}

impl Default for Demand {
    fn default() -> Self {
        Self {
            asked: Vec::new(),
            person: false,
            second: false,
            gate: true,
            helps: None,
            minutes: None,
            broken: false,
        }
    }
}

/// One thing that is measured for an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Where its block begins, from 1, in the file as it lies.
    pub line: usize,
    pub kind: Clean,
    pub what: What,
    /// Of the check as it is asked: another check has another.
    pub hash: String,
    #[serde(skip)]
    pub max_age: Option<Duration>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// `kind` and the fields of that kind.
    Check(Value),
    Drill(Drill),
}

/// A runbook that has to have run well, not too long ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drill {
    pub runbook: Clean,
    /// What the runbook is told.
    pub answers: BTreeMap<Clean, Clean>,
}

impl Asked {
    /// The runbook whose last run is what is asked for.
    pub fn drill(&self) -> Option<Drill> {
        match &self.what {
            What::Drill(drill) => Some(drill.clone()),
            What::Check(check) if *self.kind == *"run" => {
                let runbook = check.get("runbook").and_then(Value::as_str)?;
                Some(Drill {
                    runbook: Clean::line(runbook),
                    answers: BTreeMap::new(),
                })
            }
            What::Check(_) => None,
        }
    }

    /// It brings load of its own, so nothing else is measured meanwhile.
    pub fn is_alone(&self) -> bool {
        ["load", "flow"].contains(&self.kind.as_str())
    }
}

/// Reads what the item's blocks demand.
pub(super) fn demand(rules: &Rules, item: &Item, line: usize, out: &mut Vec<Problem>) -> Demand {
    let mut demand = Demand {
        gate: rules.gates(item.kind),
        ..Demand::default()
    };
    // The author's own block stands under the item's line.
    let own = item.checks.iter().map(|text| (text.as_str(), line + 1));
    let accepted = item.blocks.iter().filter(|block| block.accepted);
    let ours = accepted.map(|block| (block.toml.as_str(), block.line));
    for (text, line) in own.chain(ours) {
        let mut problems = Vec::new();
        read(rules, text, line, &mut demand, &mut problems);
        demand.broken |= !problems.is_empty();
        out.extend(problems);
    }
    demand
}

fn read(rules: &Rules, text: &str, line: usize, demand: &mut Demand, out: &mut Vec<Problem>) {
    let mut table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let error: toml::de::Error = error;
            let before = error.span().map_or(0, |span| {
                text[..span.start.min(text.len())].matches('\n').count()
            });
            let said = format!("the check cannot be read: {}", error.message());
            let remedy = "write TOML: kind = \"http\", and the fields of that kind";
            return out.push(problem(line + 1 + before, &said, remedy));
        }
    };
    let max_age = match table.get("proof_max_age").map(span) {
        Some(Err(text)) => {
            out.push(problem(line, &format!("proof_max_age: {text}"), SPANS));
            None
        }
        Some(Ok(age)) => Some(age),
        None => None,
    };
    about_the_item(&table, line, demand, out);
    for key in OURS {
        table.remove(key);
    }
    fill(rules, &mut table, line, out);
    let Some(kind) = table.get("kind").and_then(toml::Value::as_str) else {
        let remedy = "write kind = \"http\", \"ask\", \"drill\" or another kind of check";
        return out.push(problem(line, "the check says no kind", remedy));
    };
    let kind = Clean::line(kind);
    let what = match kind.as_str() {
        "ask" => {
            demand.person = true;
            return refuse_others(&table, &["kind", "question"], line, out);
        }
        "drill" => {
            refuse_others(&table, &["kind", "runbook", "answers"], line, out);
            match drill(&table) {
                Some(drill) => What::Drill(drill),
                None => {
                    let remedy =
                        "write runbook = \"stop-replica\" and answers = { replica = \"server-2\" }";
                    return out.push(problem(line, "the drill names no runbook", remedy));
                }
            }
        }
        _ => match serde_json::to_value(&table) {
            Ok(check) => What::Check(check),
            Err(error) => {
                let said = format!("the check cannot be told: {error}");
                return out.push(problem(line, &said, "write plain texts and numbers"));
            }
        },
    };
    demand.asked.push(Asked {
        line,
        kind,
        hash: hash(&what),
        what,
        max_age,
    });
}

fn about_the_item(table: &Table, line: usize, demand: &mut Demand, out: &mut Vec<Problem>) {
    let mut flag = |key: &str| match table.get(key) {
        None => None,
        Some(toml::Value::Boolean(flag)) => Some(*flag),
        Some(other) => {
            let said = format!("`{key}` is {other}");
            out.push(problem(line, &said, "write true or false"));
            None
        }
    };
    demand.second |= flag("second") == Some(true);
    demand.gate = flag("gate").unwrap_or(demand.gate);
    if let Some(runbook) = table.get("helps").and_then(toml::Value::as_str) {
        demand.helps = Some(Clean::line(runbook));
    }
    let minutes = table.get("minutes").and_then(toml::Value::as_integer);
    if let Some(minutes) = minutes.and_then(|n| u32::try_from(n).ok()) {
        demand.minutes = Some(minutes);
    }
}

fn refuse_others(table: &Table, known: &[&str], line: usize, out: &mut Vec<Problem>) {
    for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
        let said = format!("`{key}` is no field of this block");
        let remedy = format!("it takes {}", known[1..].join(", "));
        out.push(problem(line, &said, &remedy));
    }
}

fn drill(table: &Table) -> Option<Drill> {
    let runbook = table.get("runbook")?.as_str().filter(|id| !id.is_empty())?;
    let answers = table.get("answers").and_then(toml::Value::as_table);
    let answers = answers.into_iter().flatten().map(|(name, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (Clean::line(name), Clean::line(&value))
    });
    Some(Drill {
        runbook: Clean::line(runbook),
        answers: answers.collect(),
    })
}

fn hash(what: &What) -> String {
    let told = match what {
        What::Check(check) => check.to_string(),
        What::Drill(drill) => json!({ "drill": drill }).to_string(),
    };
    identity::hex(told.as_bytes(), HASH_DIGITS)
}

/// Puts the page's words for the open ones. A flow has words in braces of its own: those that the page does not know
/// are left to it.
fn fill(rules: &Rules, table: &mut Table, line: usize, out: &mut Vec<Problem>) {
    let keeps = table.get("kind").and_then(toml::Value::as_str) == Some("flow");
    let mut open = Vec::new();
    for value in table.iter_mut().map(|(_, value)| value) {
        fill_value(rules, value, &mut open);
    }
    open.sort_unstable();
    open.dedup();
    for word in open {
        if !keeps || rules.fill.contains_key(&word) {
            let said = format!("the check leaves `{word}` open");
            let remedy = format!("write {word} = \"…\" under [fill] at the top of the page");
            out.push(problem(line, &said, &remedy));
        }
    }
}

fn fill_value(rules: &Rules, value: &mut toml::Value, open: &mut Vec<String>) {
    match value {
        toml::Value::String(text) => *text = filled(rules, text, open),
        toml::Value::Array(all) => {
            for one in all {
                fill_value(rules, one, open);
            }
        }
        toml::Value::Table(table) => {
            for one in table.iter_mut().map(|(_, value)| value) {
                fill_value(rules, one, open);
            }
        }
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {}
    }
}

fn filled(rules: &Rules, text: &str, open: &mut Vec<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let word = rest[1..].split('}').next().unwrap_or_default();
        let plain = !word.is_empty()
            && rest.len() > word.len() + 1
            && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let value = rules.fill.get(word).filter(|value| !value.is_empty());
        match value {
            Some(value) if plain => {
                out.push_str(value);
                rest = &rest[word.len() + 2..];
            }
            _ => {
                if plain {
                    open.push(word.to_owned());
                }
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Checklist, Item};
    use super::*;

    fn page(front: &str, block: &str) -> Checklist {
        let lines: Vec<String> = block.lines().map(|line| format!("  {line}\n")).collect();
        let block = lines.concat();
        let text = format!(
            "+++\nformat = \"quarterdeck-checklist-1\"\n{front}\n+++\n# P\n- [ ] one <!-- item:one -->\n  ```toml check\n{block}  ```\n- [ ] two <!-- item:two -->\n"
        );
        Checklist::read("p.md", text.as_bytes())
    }

    fn one(list: &Checklist) -> &Item {
        list.find("one").unwrap().1
    }

    #[test]
    fn a_check_is_filled_in_and_told_without_our_keys() {
        let list = page(
            "[fill]\naddress = \"localhost\"",
            "item = \"one\"\naccepted = true\nkind = \"http\"\nurl = \"https://{address}/\"\nbody = 'matches a{2}'\nproof_max_age = \"2h\"\nsecond = true\nhelps = \"rolling-restart\"",
        );
        assert_eq!(list.problems, []);
        let demand = &one(&list).demand;
        let asked = &demand.asked[0];
        let check = json!({"kind": "http", "url": "https://localhost/", "body": "matches a{2}"});
        assert_eq!(asked.what, What::Check(check));
        assert_eq!(asked.max_age, Some(Duration::from_hours(2)));
        assert!(demand.second && demand.gate && !demand.broken);
        assert_eq!(demand.helps, Some(Clean::from("rolling-restart")));
    }

    #[test]
    fn what_is_proposed_and_not_accepted_asks_for_nothing() {
        let list = page("", "item = \"one\"\naccepted = false\nkind = \"magic\"");
        assert_eq!(one(&list).demand, Demand::default());
    }

    #[track_caller]
    fn wrong(block: &str, line: usize, says: &str) {
        let list = page("[fill]\naddress = \"\"", block);
        assert_eq!(list.problems.len(), 1, "{:?}", list.problems);
        let problem = &list.problems[0];
        assert!(problem.to_string().contains(says), "{problem}");
        assert_eq!(problem.line, line, "{problem}");
        assert!(one(&list).demand.broken);
        assert!(!list.find("two").unwrap().1.demand.broken, "the rest works");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_the_item_is_not_readable() {
        wrong("kind = \"http\"\nurl = \"https://{address}/\"", 8, "[fill]");
        wrong("url = \"/\"", 8, "no kind");
        wrong("kind = \"drill\"", 8, "names no runbook");
        wrong("kind = \"ask\"\nwho = \"me\"", 8, "`who` is no field");
        wrong("kind = \"http\"\nproof_max_age = \"soon\"", 8, "no time");
        wrong("kind = \"http\"\nurl = ", 10, "cannot be read");
    }

    #[test]
    fn another_check_has_another_hash_and_another_note_has_not() {
        let hash = |block: &str| one(&page("", block)).demand.asked[0].hash.clone();
        let before = hash("kind = \"promql\"\nquery = \"up\"");
        assert_eq!(
            before,
            hash("query = \"up\"\nnote = \"mine\"\nkind = \"promql\"")
        );
        assert_ne!(before, hash("kind = \"promql\"\nquery = \"down\""));
    }

    #[test]
    fn a_drill_names_its_runbook_and_what_it_is_told() {
        let list = page(
            "",
            "kind = \"drill\"\nrunbook = \"stop-replica\"\nanswers = { replica = \"server-2\" }",
        );
        let drill = one(&list).demand.asked[0].drill().unwrap();
        assert_eq!(*drill.answers[&Clean::from("replica")], *"server-2");
    }
}
