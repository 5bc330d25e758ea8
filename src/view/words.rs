//! Figures and ages in words. Ages of fresh data are bounds, so that a quiet screen does not tick.

use std::time::Duration;

use super::line::Line;
use super::theme::Role;
use crate::app::{Model, Times};
use crate::domain::{Age, Freshness, Timestamp, Unit, Watched};

/// Nothing has been seen.
pub(super) const LOOKING: &str = "looking…";

/// How old the last reading is: a bound while it is fresh, the age when it is old, loud when it no longer counts.
pub(super) fn age(watched: &Watched, now: Timestamp) -> Line<'static> {
    match (watched.freshness(now), &watched.fault) {
        (Freshness::Never, None) => Line::faint(LOOKING),
        (Freshness::Never, Some(_)) => Line::of(Role::Unknown, "never seen"),
        (Freshness::Fresh, _) => Line::faint(bound(watched.period)),
        (Freshness::Old(age), _) => Line::of(Role::Poor, format!("old {}", calm(age))),
        (Freshness::Stale(age), _) => Line::of(Role::Unknown, format!("[?] {}", calm(age))),
    }
}

/// `<5s`: what fresh data of this period is never older than. It is what freshness allows: two periods and a half.
pub(super) fn bound(period: Duration) -> String {
    let most = (period * 5 / 2).as_millis().div_ceil(1000).max(1);
    match most {
        0..120 => format!("<{most}s"),
        120..7200 => format!("<{}m", most.div_ceil(60)),
        _ => format!("<{}h", most.div_ceil(3600)),
    }
}

/// An age that does not tick every second once it is over a minute: `40s`, `4m`, `9h49m`, `6d 02h`.
pub(super) fn calm(age: Duration) -> String {
    match age.as_secs() {
        s @ 60..3600 => format!("{}m", s / 60),
        _ => Age(age).to_string(),
    }
}

pub(super) fn since(now: Timestamp, at: Timestamp) -> String {
    calm(now.since(at))
}

/// A moment as the operator wants moments written.
pub(super) fn moment(model: &Model, at: Timestamp) -> String {
    match model.times {
        Times::Utc => at.clock(),
        Times::Ago => format!("{} ago", since(model.shown_at(), at)),
    }
}

/// A day and minute, or how long ago or ahead.
pub(super) fn date(model: &Model, at: Timestamp) -> String {
    let now = model.shown_at();
    match model.times {
        Times::Utc => at.date_minute(),
        Times::Ago if at > now => format!("in {}", since(at, now)),
        Times::Ago => format!("{} ago", since(now, at)),
    }
}

pub(super) fn number(value: Option<f64>, unit: Unit) -> String {
    value.map_or_else(|| "-".to_owned(), |value| unit.show(value))
}

/// Bytes that fit into seven columns.
pub(super) fn bytes(value: Option<u64>) -> String {
    number(value.map(float), Unit::Bytes)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes and counts on a screen are far below 2^52"
)]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

pub(super) fn columns(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// `3 containers`, `1 container`.
pub(super) fn plural(n: usize, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}
