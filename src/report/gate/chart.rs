//! Figures of a proof as pictures: what was measured beside what was allowed, and how it went before. SVG, inline.

use std::fmt::Write;

use serde_json::Value;

use super::html::escaped;
use crate::checklist::Known;

/// Bars of one picture; the rest stands in the table beside it.
const BARS_MAX: usize = 8;
const WIDTH: f64 = 320.0;
const LABEL: f64 = 90.0;
const ROW: f64 = 18.0;

struct Bar {
    what: String,
    shown: String,
    value: f64,
    /// The number of the expectation, in the same unit.
    limit: Option<f64>,
    holds: bool,
}

/// The pictures of one proof; empty where nothing of it is a figure worth a picture.
pub(super) fn charts(known: &Known) -> String {
    let bars = bars(&known.proof.outcome.evidence);
    let mut out = String::new();
    if bars.iter().any(|bar| bar.limit.is_some()) {
        out.push_str(&drawn(&bars));
    }
    out.push_str(&trend(known));
    out
}

fn bars(evidence: &Value) -> Vec<Bar> {
    let rows = evidence.get("measured").and_then(Value::as_array);
    let rows = rows.into_iter().flatten();
    let unit = |row: &Value| row.get("unit").cloned().unwrap_or_default();
    let timed: Vec<&Value> = rows.filter(|row| is_time(&unit(row))).collect();
    timed.into_iter().filter_map(bar).take(BARS_MAX).collect()
}

fn is_time(unit: &Value) -> bool {
    matches!(unit.as_str(), Some("milliseconds" | "seconds"))
}

fn bar(row: &Value) -> Option<Bar> {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
    let millis = row.get("unit")?.as_str()? == "milliseconds";
    let per_unit = if millis { 1.0 } else { 1000.0 };
    Some(Bar {
        what: text("what").to_owned(),
        shown: text("measured").to_owned(),
        value: row.get("value")?.as_f64()? * per_unit,
        limit: limit_ms(text("expected")),
        holds: row.get("holds").and_then(Value::as_bool) == Some(true),
    })
}

/// `< 100 ms` is 100, `< 2 s` is 2000.
fn limit_ms(expected: &str) -> Option<f64> {
    let rest = expected.trim_start_matches(['<', '>', '=', ' ']);
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let number: f64 = rest[..end].parse().ok()?;
    match rest[end..].trim() {
        "ms" => Some(number),
        "s" => Some(number * 1000.0),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
fn drawn(bars: &[Bar]) -> String {
    let largest = bars
        .iter()
        .flat_map(|bar| [Some(bar.value), bar.limit])
        .flatten()
        .fold(f64::MIN_POSITIVE, f64::max);
    let room = WIDTH - LABEL - 60.0;
    let height = ROW * bars.len() as f64 + 4.0;
    let mut out = format!(
        "<svg role=\"img\" aria-label=\"measured and allowed\" viewBox=\"0 0 {WIDTH} {height}\" class=\"chart\">"
    );
    for (n, bar) in bars.iter().enumerate() {
        let y = ROW * n as f64 + 2.0;
        let middle = y + ROW * 0.65;
        let long = (bar.value / largest * room).max(1.0);
        let class = if bar.holds { "good" } else { "bad" };
        let _ = write!(
            out,
            "<text x=\"0\" y=\"{middle:.1}\">{}</text><rect class=\"{class}\" x=\"{LABEL}\" y=\"{:.1}\" width=\"{long:.1}\" height=\"{:.1}\"/><text x=\"{:.1}\" y=\"{middle:.1}\">{}</text>",
            escaped(&bar.what),
            y + 2.0,
            ROW - 6.0,
            LABEL + long + 4.0,
            escaped(&bar.shown),
        );
        if let Some(limit) = bar.limit {
            let x = LABEL + limit / largest * room;
            let _ = write!(
                out,
                "<line class=\"limit\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y:.1}\" y2=\"{:.1}\"/>",
                y + ROW - 2.0
            );
        }
    }
    out.push_str("</svg>");
    out
}

/// The first figure of this proof after those of the earlier ones.
#[expect(clippy::cast_precision_loss, reason = "a handful of points")]
fn trend(known: &Known) -> String {
    const HEIGHT: f64 = 40.0;
    let now = known.proof.outcome.evidence.pointer("/measured/0/value");
    let mut points: Vec<f64> = known
        .earlier
        .iter()
        .filter_map(|(_, figure)| figure.0.parse().ok())
        .collect();
    points.extend(now.and_then(Value::as_f64));
    if points.len() < 3 {
        return String::new();
    }
    let most = points.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let step = WIDTH / (points.len() - 1) as f64;
    let line: Vec<String> = points
        .iter()
        .enumerate()
        .map(|(n, value)| {
            let y = HEIGHT - 4.0 - value.max(0.0) / most * (HEIGHT - 8.0);
            format!("{:.1},{y:.1}", step * n as f64)
        })
        .collect();
    format!(
        "<svg role=\"img\" aria-label=\"this figure in the last {} proofs\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" class=\"chart\"><polyline points=\"{}\"/></svg>",
        points.len(),
        line.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_in_milliseconds() {
        assert_eq!(limit_ms("< 100 ms"), Some(100.0));
        assert_eq!(limit_ms("<= 1.5 s"), Some(1500.0));
        assert_eq!(limit_ms("== 200"), None);
        assert_eq!(limit_ms("contains x"), None);
    }
}
