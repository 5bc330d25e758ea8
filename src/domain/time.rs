//! Moments and ages.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
///
/// Pure code is handed the time, it never asks for it. The shell's clock takes the wall time once, at start, and adds
/// monotonic time to it, so that a step of the wall clock never changes an age.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// Seconds from `now` until this moment; negative when it has passed.
    pub fn seconds_from(self, now: Self) -> i64 {
        (self.0.cast_signed() - now.0.cast_signed()).div_euclid(1000)
    }

    /// Reads RFC 3339, as the Docker engine and Prometheus write it. The engine's `0001-01-01T00:00:00Z` means "never".
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        u64::try_from(at.timestamp_millis()).ok().map(Self)
    }

    fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.cast_signed()).unwrap_or_default()
    }

    /// `12:03:41Z`
    pub fn clock(self) -> String {
        self.utc().format("%H:%M:%SZ").to_string()
    }

    /// `12:03Z`
    pub fn minute(self) -> String {
        self.utc().format("%H:%MZ").to_string()
    }

    /// `2026-11-20 12:03Z`
    pub fn date_minute(self) -> String {
        self.utc().format("%Y-%m-%d %H:%MZ").to_string()
    }

    /// `2026-11-20T12:03:41.250Z`
    pub fn rfc3339(self) -> String {
        self.utc().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }
}

/// A span of time as people read it: `40s`, `4m12s`, `9h49m`, `6d 02h`, `40d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0.as_secs();
        let text = match s {
            0..60 => format!("{s}s"),
            60..3600 => format!("{}m{:02}s", s / 60, s % 60),
            3600..86_400 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
            86_400..864_000 => format!("{}d {:02}h", s / 86_400, s % 86_400 / 3600),
            _ => format!("{}d", s / 86_400),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_well_at_every_size() {
        let shown = |s| Age(Duration::from_secs(s)).to_string();
        assert_eq!(
            [0, 59, 252, 35_340, 525_600, 3_456_000].map(shown),
            ["0s", "59s", "4m12s", "9h49m", "6d 02h", "40d"]
        );
    }

    #[test]
    fn the_engines_never_is_no_time() {
        assert_eq!(Timestamp::parse_rfc3339("0001-01-01T00:00:00Z"), None);
        assert_eq!(
            Timestamp::parse_rfc3339("1970-01-01T00:00:01.5Z"),
            Some(Timestamp(1500))
        );
    }
}
