//! JSON in the one form that is hashed: sorted keys, no blanks, ASCII only.
//!
//! What is not printable ASCII is written as `\uXXXX`, so the bytes are safe on a terminal and no normalisation of
//! Unicode on the way can change them. A number that another reader would read as another number is refused.

use serde_json::{Number, Value};
use thiserror::Error;

/// Deeper nesting is a mistake, and readers of JSON give up at a hundred.
pub const DEPTH_MAX: usize = 32;

/// An entry says what happened; evidence of this size lies in a file that the entry names.
pub const BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotCanonical {
    #[error("the number {0} is not read back as it was written; write it as text")]
    Number(String),
    #[error("it is nested deeper than {DEPTH_MAX}")]
    Deep,
    #[error("it takes more than {BYTES_MAX} bytes; keep it in a file and record the file's hash")]
    Large,
}

/// Writes a value in the canonical form.
pub fn write(value: &Value) -> Result<String, NotCanonical> {
    let mut out = String::new();
    put(&mut out, value, 0)?;
    Ok(out)
}

/// Whether a text is in the canonical form; its value if it is.
pub fn read(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    (write(&value).ok()? == text).then_some(value)
}

fn put(out: &mut String, value: &Value, depth: usize) -> Result<(), NotCanonical> {
    if depth > DEPTH_MAX {
        return Err(NotCanonical::Deep);
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&figure(number)?),
        Value::String(text) => quote(out, text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(out, at);
                put(out, item, depth + 1)?;
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                separate(out, at);
                quote(out, key);
                out.push(':');
                put(out, value, depth + 1)?;
            }
            out.push('}');
        }
    }
    if out.len() > BYTES_MAX {
        return Err(NotCanonical::Large);
    }
    Ok(())
}

fn separate(out: &mut String, at: usize) {
    if at > 0 {
        out.push(',');
    }
}

fn figure(number: &Number) -> Result<String, NotCanonical> {
    let text = number.to_string();
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return Ok(text);
    };
    let same = |read: f64| read.to_bits() == float.to_bits();
    let by_json = serde_json::from_str::<f64>(&text).is_ok_and(same);
    let by_std = text.parse::<f64>().is_ok_and(same);
    if by_json && by_std {
        return Ok(text);
    }
    Err(NotCanonical::Number(text))
}

/// Writes a text as a JSON string in the canonical form.
pub fn quote(out: &mut String, text: &str) {
    use std::fmt::Write;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: &Value, expected: &str) {
        assert_eq!(write(value).as_deref(), Ok(expected));
        assert_eq!(read(expected).as_ref(), Some(value));
    }

    #[test]
    fn keys_are_sorted_and_nothing_but_ascii_is_written() {
        check(
            &json!({"b": [1, -2, 0.5], "a": {"z": null, "y": true}}),
            r#"{"a":{"y":true,"z":null},"b":[1,-2,0.5]}"#,
        );
        check(
            &json!("\u{1b}[31m \"é\\ \u{202e}😀\u{7f}\n"),
            r#""\u001b[31m \"\u00e9\\ \u202e\ud83d\ude00\u007f\u000a""#,
        );
        check(&json!(u64::MAX), "18446744073709551615");
    }

    #[test]
    fn another_writing_of_the_same_value_is_not_canonical() {
        for other in [
            "{\"a\": 1}",
            "{\"b\":1,\"a\":2}",
            "\"\u{e9}\"",
            "1.0e0",
            "{\"a\":1,\"a\":1}",
            "\"\\u00E9\"",
            "01",
            "",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_too_deep_or_too_large_is_refused() {
        let mut deep = json!(1);
        for _ in 0..=DEPTH_MAX {
            deep = json!([deep]);
        }
        assert_eq!(write(&deep), Err(NotCanonical::Deep));
        assert_eq!(
            write(&json!("x".repeat(BYTES_MAX))),
            Err(NotCanonical::Large)
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_or_was_refused(value in values()) {
            match write(&value) {
                Ok(text) => {
                    prop_assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text}");
                    prop_assert_eq!(read(&text), Some(value));
                }
                Err(why) => prop_assert!(matches!(why, NotCanonical::Number(_)), "{why}"),
            }
        }
    }
}
