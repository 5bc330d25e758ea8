//! The one clock: wall time taken once, then monotonic time added to it.
//!
//! A step of the wall clock (NTP, a person, summer time) therefore never changes an age, a deadline or an order.

use std::time::{Duration, Instant, SystemTime};

use crate::domain::Timestamp;

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    wall_at_start: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        let wall_at_start = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started: Instant::now(),
            wall_at_start,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        let millis = (self.wall_at_start + self.started.elapsed()).as_millis();
        Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// How far the wall clock has moved away from ours since the start; positive when it was set forward.
    pub(super) fn wall_moved(&self) -> chrono::TimeDelta {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let ours = self.wall_at_start + self.started.elapsed();
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        chrono::TimeDelta::milliseconds(millis(wall) - millis(ours))
    }
}
