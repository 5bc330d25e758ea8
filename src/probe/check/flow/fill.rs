//! `{name}` in the values of a request. Only values are filled, never a method, a name or the host.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use serde_json::Value;

use super::Request;
use crate::domain::Timestamp;

/// A name that every journey has: letters and digits that nobody else has.
pub(super) const UNIQUE: &str = "unique";

/// What is known by name, so far.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<String, Value>);

impl Known {
    pub(super) fn new(now: Timestamp) -> Self {
        let random = RandomState::new().build_hasher().finish();
        let unique = format!("{:x}{:08x}", now.0, random & 0xffff_ffff);
        Self([(UNIQUE.to_owned(), Value::from(unique))].into())
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The text with every name replaced; the error is a name that nothing has given.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        for part in parts(text) {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(name) => match self.0.get(name) {
                    None => return Err(name.to_owned()),
                    Some(Value::String(value)) => out.push_str(value),
                    Some(value) => out.push_str(&value.to_string()),
                },
            }
        }
        Ok(out)
    }

    /// As [`Self::fill`], in every text of a value. A text that is one name alone becomes the value itself.
    pub(super) fn fill_json(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => match parts(text).as_slice() {
                [Part::Name(name)] => self.0.get(*name).cloned().ok_or((*name).to_owned())?,
                _ => Value::String(self.fill(text)?),
            },
            Value::Array(all) => {
                let filled = all.iter().map(|one| self.fill_json(one));
                Value::Array(filled.collect::<Result<_, _>>()?)
            }
            Value::Object(all) => {
                let filled = all
                    .iter()
                    .map(|(key, one)| Ok((key.clone(), self.fill_json(one)?)));
                Value::Object(filled.collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }
}

#[derive(Debug, PartialEq)]
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// Braces around a word are a name; all others are text.
fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut out, mut rest) = (Vec::new(), text);
    let mut from = 0;
    while let Some(open) = rest[from..].find('{').map(|at| from + at) {
        let inside = &rest[open + 1..];
        let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        match end {
            Some(end) if end > 0 && inside.as_bytes()[end] == b'}' => {
                if open > 0 {
                    out.push(Part::Text(&rest[..open]));
                }
                out.push(Part::Name(&inside[..end]));
                rest = &inside[end + 1..];
                from = 0;
            }
            _ => from = open + 1,
        }
    }
    if !rest.is_empty() {
        out.push(Part::Text(rest));
    }
    out
}

/// Every name that a request uses.
pub(super) fn names(request: &Request) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |text: &str| {
        for part in parts(text) {
            if let Part::Name(name) = part {
                found.push(name.to_owned());
            }
        }
    };
    note(&request.path);
    for text in request.form.values() {
        note(text);
    }
    for text in request.header.values() {
        note(text);
    }
    let mut open: Vec<&Value> = request.json.iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => note(text),
            Value::Array(all) => open.extend(all),
            Value::Object(all) => open.extend(all.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

/// As a form and a path write what is not plain.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            byte => {
                out.push('%');
                out.extend(char::from_digit(u32::from(byte >> 4), 16));
                out.extend(char::from_digit(u32::from(byte & 15), 16));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_replaced_and_other_braces_are_text() {
        let mut known = Known::new(Timestamp(5));
        known.set("id", json!(7));
        assert_eq!(
            known.fill("/m/{id}?x={{id}}&y={a b}{").unwrap(),
            "/m/7?x={7}&y={a b}{"
        );
        assert_eq!(known.fill("{nobody}"), Err("nobody".to_owned()));
        let body = json!({ "id": "{id}", "text": "of {id}", "list": ["{id}", true] });
        let filled = json!({ "id": 7, "text": "of 7", "list": [7, true] });
        assert_eq!(known.fill_json(&body).unwrap(), filled);
        assert!(known.fill_json(&json!(["{nobody}"])).is_err());
    }

    #[test]
    fn two_journeys_are_never_the_same_person() {
        let one = Known::new(Timestamp(5)).fill("{unique}").unwrap();
        let other = Known::new(Timestamp(5)).fill("{unique}").unwrap();
        assert_ne!(one, other);
    }
}
