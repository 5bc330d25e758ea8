//! One JSON object per line on stdout. Events, not requests: the gateway logs those.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

pub(crate) fn info(event: &str, detail: &Value) {
    line("info", event, detail);
}

pub(crate) fn warn(event: &str, detail: &Value) {
    line("warn", event, detail);
}

pub(crate) fn error(event: &str, detail: &Value) {
    line("error", event, detail);
}

fn line(level: &str, event: &str, detail: &Value) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut object = Map::new();
    object.insert("time".to_owned(), json!(now.as_secs_f64()));
    object.insert("level".to_owned(), json!(level));
    object.insert("event".to_owned(), json!(event));
    if let Value::Object(fields) = detail {
        object.extend(fields.clone());
    }
    let mut text = Value::Object(object).to_string();
    text.push('\n');
    // Nobody is left to tell when stdout is gone, and a server must not die of it.
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
}
