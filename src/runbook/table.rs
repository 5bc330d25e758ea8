//! TOML of a document, as owned values that know their line in it.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problems, meant};
use crate::domain::Clean;

/// A value, and the line of the document on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) is: Is,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Is {
    Text(String),
    Integer(i64),
    Number(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Table {
    /// Where it begins.
    pub(super) line: usize,
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    /// The line as it stands in the document.
    pub(super) shown: String,
    pub(super) value: Node,
}

impl Is {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// As JSON, every text replaced by what `fill` makes of it.
    pub(super) fn json(&self, fill: &mut impl FnMut(&str, usize) -> Value) -> Value {
        match &self.is {
            Is::Text(text) => fill(text, self.line),
            Is::Integer(number) => Value::from(*number),
            Is::Number(number) => Value::from(*number),
            Is::Flag(flag) => Value::from(*flag),
            Is::List(items) => items.iter().map(|item| item.json(fill)).collect(),
            Is::Table(table) => Value::Object(table.json(fill)),
        }
    }

    /// Every text in it, with its line.
    pub(super) fn each_text(&self, see: &mut impl FnMut(&str, usize)) {
        match &self.is {
            Is::Text(text) => see(text, self.line),
            Is::Integer(_) | Is::Number(_) | Is::Flag(_) => {}
            Is::List(items) => items.iter().for_each(|item| item.each_text(see)),
            Is::Table(table) => table.each_text(see),
        }
    }
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn json(&self, fill: &mut impl FnMut(&str, usize) -> Value) -> Map<String, Value> {
        let filled = self
            .entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.json(fill)));
        filled.collect()
    }

    pub(super) fn each_text(&self, see: &mut impl FnMut(&str, usize)) {
        for entry in &self.entries {
            entry.value.each_text(see);
        }
    }

    /// Splits off the keys that are ours; what is left belongs to the kind.
    pub(super) fn without(&self, keys: &[&str]) -> Self {
        Self {
            line: self.line,
            entries: self
                .entries
                .iter()
                .filter(|entry| !keys.contains(&entry.key.as_str()))
                .cloned()
                .collect(),
        }
    }
}

/// A piece of TOML in a document. `first_line` is where its text begins, counted from 1.
pub(super) struct Piece<'t> {
    pub(super) first_line: usize,
    pub(super) text: &'t str,
}

impl Piece<'_> {
    /// Reads it whole; what is no TOML is a problem on its own line, and the rest is read all the same.
    pub(super) fn read(&self, problems: &mut Problems) -> Table {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let mut last = 0;
        for error in &errors {
            let span = error.span().unwrap_or_default();
            let line = self.line(span.start);
            // One slip makes the parser complain more than once about a line; the first complaint is the one that helps.
            if line == last {
                continue;
            }
            last = line;
            let says = format!("this is not TOML: {}", error.message());
            problems.add(line, self.shown(span.start), &says, remedy(error.message()));
        }
        // What follows from a broken table would only be noise.
        if errors.is_empty() {
            self.table(table.get_ref(), self.first_line)
        } else {
            Table {
                line: 0,
                entries: Vec::new(),
            }
        }
    }

    fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        self.first_line + before.split(|byte| *byte == b'\n').count() - 1
    }

    fn shown(&self, at: usize) -> &str {
        let at = self.text.floor_char_boundary(at);
        let start = self.text[..at].rfind('\n').map_or(0, |found| found + 1);
        let end = self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |found| at + found);
        self.text[start..end].trim()
    }

    fn table(&self, table: &DeTable<'_>, line: usize) -> Table {
        let entries = table.iter().map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            line: self.line(key.span().start),
            shown: self.shown(key.span().start).to_owned(),
            value: self.node(value),
        });
        Table {
            line,
            entries: entries.collect(),
        }
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let Range { start, .. } = value.span();
        let line = self.line(start);
        let is = match value.get_ref() {
            DeValue::String(text) => Is::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(
                    |_| Is::Number(number.as_str().parse().unwrap_or(f64::NAN)),
                    Is::Integer,
                ),
            DeValue::Float(number) => Is::Number(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Is::Flag(*flag),
            DeValue::Datetime(at) => Is::Text(at.to_string()),
            DeValue::Array(items) => Is::List(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Is::Table(self.table(table, line)),
        };
        Node { line, is }
    }
}

fn remedy(message: &str) -> &'static str {
    let has = |part: &str| message.contains(part);
    if has("duplicate key") {
        "keep one of the two"
    } else if has("must be quoted") || has("quote") || has("basic string") {
        "put the text in quotes: \"...\""
    } else if has("unclosed array") {
        "close the list with a bracket"
    } else {
        "write key = value on one line, with texts in quotes"
    }
}

/// Takes the known keys of one table, and says what is wrong with them.
pub(super) struct Fields<'a, 'p> {
    table: &'a Table,
    /// As people call it: "a step", "[floor]".
    what: &'a str,
    problems: &'p mut Problems,
}

impl<'a, 'p> Fields<'a, 'p> {
    pub(super) fn of(table: &'a Table, what: &'a str, problems: &'p mut Problems) -> Self {
        Self {
            table,
            what,
            problems,
        }
    }

    /// Says of every key that is not `known`, and that it was meant to be one.
    pub(super) fn refuse_others(&mut self, known: &[&str]) {
        for entry in &self.table.entries {
            if !known.contains(&entry.key.as_str()) {
                let says = format!("unknown key `{}` in {}", entry.key, self.what);
                let remedy = meant(&entry.key, known);
                self.problems.add(entry.line, &entry.shown, &says, &remedy);
            }
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    pub(super) fn wrong(&mut self, key: &str, says: &str, remedy: &str) {
        let (line, shown) = self
            .table
            .get(key)
            .map_or((self.table.line, ""), |entry| (entry.line, &entry.shown));
        self.problems.add(line, shown, says, remedy);
    }

    /// Takes a value that is there, or says that it is of another kind.
    fn take<T>(
        &mut self,
        key: &str,
        wanted: &str,
        take: impl FnOnce(&'a Is) -> Option<T>,
    ) -> Option<T> {
        let table = self.table;
        let entry = table.get(key)?;
        let taken = take(&entry.value.is);
        if taken.is_none() {
            let says = format!("`{key}` is {wanted}, found {}", entry.value.is.word());
            self.wrong(key, &says, &format!("write {wanted}"));
        }
        taken
    }

    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        self.take(key, "a text in quotes", |is| match is {
            Is::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// A text, or a number or flag that becomes one: defaults and counts may be templates.
    pub(super) fn scalar(&mut self, key: &str) -> Option<String> {
        self.take(key, "one value", |is| match is {
            Is::Text(text) => Some(text.clone()),
            Is::Integer(number) => Some(number.to_string()),
            Is::Flag(flag) => Some(flag.to_string()),
            Is::Number(_) | Is::List(_) | Is::Table(_) => None,
        })
    }

    pub(super) fn required(&mut self, key: &str, example: &str) -> Option<&'a str> {
        if self.table.get(key).is_none() {
            let says = format!("`{key}` is missing in {}", self.what);
            self.problems
                .add(self.table.line, "", &says, &format!("add {example}"));
            return None;
        }
        self.text(key)
    }

    pub(super) fn integer(&mut self, key: &str) -> Option<i64> {
        self.take(key, "a whole number", |is| match is {
            Is::Integer(number) => Some(*number),
            _ => None,
        })
    }

    /// A whole number within bounds.
    pub(super) fn within(&mut self, key: &str, bounds: Range<u32>) -> Option<u32> {
        let number = self.integer(key)?;
        let fits = u32::try_from(number).ok().filter(|n| bounds.contains(n));
        if fits.is_none() {
            let says = format!("`{key}` is {number}");
            let remedy = format!("write {} to {}", bounds.start, bounds.end - 1);
            self.wrong(key, &says, &remedy);
        }
        fits
    }

    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<Clean>> {
        self.take(key, "a list of texts", |is| match is {
            Is::List(items) => items
                .iter()
                .map(|item| match &item.is {
                    Is::Text(text) => Some(Clean::line(text)),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    pub(super) fn table(&mut self, key: &str) -> Option<&'a Table> {
        self.take(key, "a table", |is| match is {
            Is::Table(table) => Some(table),
            _ => None,
        })
    }

    pub(super) fn tables(&mut self, key: &str) -> Vec<&'a Table> {
        let wanted = format!("a list of tables: [[{key}]]");
        let taken = self.take(key, &wanted, |is| match is {
            Is::List(items) => items
                .iter()
                .map(|item| match &item.is {
                    Is::Table(table) => Some(table),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>(),
            _ => None,
        });
        taken.unwrap_or_default()
    }

    pub(super) fn span(&mut self, key: &str) -> Option<Duration> {
        let text = self.text(key)?;
        match humantime::parse_duration(text) {
            Ok(span) if !span.is_zero() => Some(span),
            Ok(_) => {
                let says = format!("`{key}` is no time at all");
                self.wrong(key, &says, "write a span such as 30s or 2m");
                None
            }
            Err(error) => {
                let says = format!("`{key}`: {error}");
                self.wrong(key, &says, "write a span such as 30s or 2m");
                None
            }
        }
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let says = format!("`{key}` does not know \"{text}\"");
            self.wrong(key, &says, &meant(text, &known));
        }
        found.map(|(_, value)| *value)
    }
}
