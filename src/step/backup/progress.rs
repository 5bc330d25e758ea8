//! How far a long act is, in lines for people: bytes, rate, and how long it will take where that can be known.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Age, Clean, Timestamp, Unit};
use crate::step::Hands;

/// Every line is journaled.
const EVERY: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    say: Arc<dyn Fn(Clean) + Send + Sync>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    begun: Timestamp,
    said: Timestamp,
    /// As large as the last one was; `None`: there was none.
    expected: Option<u64>,
}

impl Progress {
    pub(super) fn begin(hands: &Hands, expected: Option<u64>) -> Self {
        let now = (hands.now)();
        Self {
            say: hands.say.clone(),
            now: hands.now.clone(),
            begun: now,
            said: now,
            expected: expected.filter(|bytes| *bytes > 0),
        }
    }

    pub(super) fn at(&mut self, bytes: u64) {
        let now = (self.now)();
        if now.since(self.said) < EVERY {
            return;
        }
        self.said = now;
        (self.say)(Clean::line(&line(
            bytes,
            now.since(self.begun),
            self.expected,
        )));
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn line(bytes: u64, took: Duration, expected: Option<u64>) -> String {
    let rate = bytes as f64 / took.as_secs_f64().max(0.001);
    let said = format!(
        "{} so far, {}",
        Unit::Bytes.show(bytes as f64),
        Unit::BytesPerSecond.show(rate)
    );
    let Some(expected) = expected else {
        return said;
    };
    let last = Unit::Bytes.show(expected as f64);
    if bytes >= expected || rate <= 0.0 {
        return format!("{said}; the last one had {last}");
    }
    let left = Duration::from_secs_f64((expected - bytes) as f64 / rate);
    format!("{said}, about {} left (the last one had {last})", Age(left))
}

/// Bytes as people read them.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub(super) fn size(bytes: u64) -> String {
    Unit::Bytes.show(bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_made_only_from_a_size_that_was() {
        let ten = Duration::from_secs(10);
        let first = line(50_000_000, ten, None);
        assert!(!first.contains("left"), "{first}");
        let half = line(50_000_000, ten, Some(100_000_000));
        assert!(half.contains("about 10s left"), "{half}");
        let over = line(200_000_000, ten, Some(100_000_000));
        assert!(over.contains("; the last one had"), "{over}");
    }
}
