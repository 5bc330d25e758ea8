//! Simulated time and the time on people's clocks.
//!
//! With a speed of 10 the world lives ten seconds in one of ours, and everything that it stamps is stamped with our time, so that
//! ages on a console stay true; only rates look ten times higher.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::time::Instant;

use super::figures::{real_ms, whole_ms};
use super::world::Ms;

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// Milliseconds since 1970 at the start.
    start_ms: i64,
    began: Instant,
    speed: f64,
}

impl Clock {
    pub(super) fn start(speed: f64) -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            start_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            began: Instant::now(),
            speed,
        }
    }

    /// The simulated time now.
    pub(super) fn now(&self) -> Ms {
        whole_ms(self.began.elapsed().as_secs_f64() * 1_000.0 * self.speed)
    }

    /// Milliseconds since 1970 for a moment of the world. What was before the start is not compressed.
    pub(super) fn wall_ms(&self, at: Ms) -> i64 {
        if at <= 0 {
            self.start_ms + at
        } else {
            self.start_ms + whole_ms(real_ms(at) / self.speed)
        }
    }

    /// The moment of the world for milliseconds since 1970.
    pub(super) fn world_ms(&self, wall_ms: i64) -> Ms {
        let since = wall_ms.saturating_sub(self.start_ms);
        if since <= 0 {
            since
        } else {
            whole_ms(real_ms(since) * self.speed)
        }
    }

    /// How long something of the world takes here.
    pub(super) fn span(&self, ms: f64) -> std::time::Duration {
        /// Nobody waits longer than this for the range.
        const SPAN_MAX_MS: f64 = 15_000.0;
        std::time::Duration::from_secs_f64((ms / self.speed).clamp(0.0, SPAN_MAX_MS) / 1_000.0)
    }

    fn date(&self, at: Ms) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.wall_ms(at)).unwrap_or_default()
    }

    /// As the engine writes times: `2026-11-20T10:00:00.123000000Z`.
    pub(super) fn rfc3339(&self, at: Ms) -> String {
        self.date(at).to_rfc3339_opts(SecondsFormat::Nanos, true)
    }

    /// With a format of `chrono`.
    pub(super) fn format(&self, at: Ms, format: &str) -> String {
        self.date(at).format(format).to_string()
    }
}
