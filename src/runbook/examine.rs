//! Whether a block fits its kind: unknown kinds and fields, missing fields, values of another type. All of them at once,
//! each with its own line, although the kinds themselves stop at the first.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::problem::{Problems, meant};
use super::table::Table;

/// A kind has fewer fields; each can be wrong once.
const ROUNDS_MAX: usize = 64;

/// Tries to read `filled` (the table with its templates filled in) as a `T`, and says what is in the way.
pub(super) fn examine<T: DeserializeOwned>(
    table: &Table,
    filled: Map<String, Value>,
    what: &str,
    problems: &mut Problems,
) -> Option<T> {
    let read = |map: &Map<String, Value>| serde_json::from_value::<T>(Value::Object(map.clone()));
    let mut map = filled;
    let mut wrong = false;
    for _ in 0..ROUNDS_MAX {
        let error = match read(&map) {
            Ok(read) => return (!wrong).then_some(read),
            Err(error) => error.to_string(),
        };
        wrong = true;
        if let Some(field) = quoted_after(&error, "missing field ") {
            let says = format!("`{field}` is missing in {what}");
            problems.add(table.line, "", &says, &format!("add {field} = …"));
            if !filled_in(&mut map, &field, |map| read(map).err()) {
                return None;
            }
            continue;
        }
        let unknown =
            quoted_after(&error, "unknown field ").filter(|field| map.contains_key(field));
        let Some(key) = unknown
            .clone()
            .or_else(|| culprit(&map, &error, |map| read(map).err()))
        else {
            problems.add(
                table.line,
                "",
                &format!("{what}: {error}"),
                "correct the block",
            );
            return None;
        };
        say(table, &key, unknown.is_some(), &error, what, problems);
        map.remove(&key);
        // Without a kind nothing else can be told.
        if key == "kind" {
            return None;
        }
        if let Some(missing) = read(&map).err().map(|error| error.to_string())
            && quoted_after(&missing, "missing field ").as_ref() == Some(&key)
            && !filled_in(&mut map, &key, |map| read(map).err())
        {
            return None;
        }
    }
    None
}

/// The key whose value is in the way: without it, the complaint is another one.
fn culprit(
    map: &Map<String, Value>,
    error: &str,
    read: impl Fn(&Map<String, Value>) -> Option<serde_json::Error>,
) -> Option<String> {
    if map
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| error.starts_with(&format!("unknown variant `{kind}`")))
    {
        return Some("kind".to_owned());
    }
    map.keys()
        .filter(|key| *key != "kind")
        .find(|key| {
            let mut without = map.clone();
            without.remove(*key);
            read(&without).is_none_or(|other| other.to_string() != error)
        })
        .cloned()
}

/// Puts some value where one is missing, so that what comes after it can be looked at too. `false`: none will do.
fn filled_in(
    map: &mut Map<String, Value>,
    field: &str,
    read: impl Fn(&Map<String, Value>) -> Option<serde_json::Error>,
) -> bool {
    let candidates = [json!("1s"), json!(1), json!(["x"]), json!({}), json!(true)];
    for candidate in candidates {
        map.insert(field.to_owned(), candidate);
        let better = read(map).is_none_or(|error| {
            quoted_after(&error.to_string(), "missing field ").is_some_and(|next| next != field)
        });
        if better {
            return true;
        }
    }
    map.remove(field);
    false
}

fn say(table: &Table, key: &str, unknown: bool, error: &str, what: &str, problems: &mut Problems) {
    let (line, shown) = table
        .get(key)
        .map_or((table.line, ""), |entry| (entry.line, &entry.shown));
    if problems.on_line(line) {
        return;
    }
    let known = expected(error);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if unknown {
        let says = format!("unknown key `{key}` in {what}");
        let remedy = if known.is_empty() {
            "take it out".to_owned()
        } else {
            meant(key, &known)
        };
        problems.add(line, shown, &says, &remedy);
    } else if let Some(word) = quoted_after(error, "unknown variant ") {
        let says = format!("`{key}` does not know \"{word}\"");
        problems.add(line, shown, &says, &meant(&word, &known));
    } else {
        let (says, remedy) = error.split_once(", ").unwrap_or((error, ""));
        let remedy = match remedy.strip_prefix("expected ") {
            Some(expected) => format!("write {}", in_our_words(expected)),
            None => error
                .split_once("; ")
                .map_or("write a value of its kind", |(_, remedy)| remedy)
                .to_owned(),
        };
        let says = says.split("; ").next().unwrap_or(says);
        problems.add(line, shown, &format!("`{key}`: {says}"), &remedy);
    }
}

fn in_our_words(expected: &str) -> &str {
    match expected {
        "a string" => "a text in quotes",
        "a sequence" => "a list: [\"a\", \"b\"]",
        "a boolean" => "true or false",
        "u16" | "u32" | "u64" => "a whole number from 0",
        "i32" | "i64" => "a whole number",
        other => other,
    }
}

/// The word in backquotes behind `mark`.
fn quoted_after(error: &str, mark: &str) -> Option<String> {
    let rest = error.strip_prefix(mark)?.strip_prefix('`')?;
    rest.split_once('`').map(|(word, _)| word.to_owned())
}

/// The words in backquotes behind "expected one of".
fn expected(error: &str) -> Vec<String> {
    let Some((_, list)) = error.split_once("expected ") else {
        return Vec::new();
    };
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}
