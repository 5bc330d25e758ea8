//! How a thing is, and how far the answer can be trusted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Fault, Reading, Timestamp};

/// How a thing is. Ordered by how much it needs a person: `max` of many is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nothing to judge: no health check is defined, nothing is configured. Not the same as good.
    None,
    Good,
    /// Under way: starting, reloading.
    Busy,
    Poor,
    /// Could not look, or what was seen is too old to count.
    Unknown,
    Bad,
}

impl Health {
    /// The word for it, on screen and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Good => "ok",
            Self::Busy => "busy",
            Self::Poor => "poor",
            Self::Unknown => "unknown",
            Self::Bad => "bad",
        }
    }

    /// Somebody must do something.
    pub fn is_trouble(self) -> bool {
        self >= Self::Poor
    }

    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().max().unwrap_or(Self::None)
    }
}

/// How far a reading can be trusted. Derived when asked for, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    Never,
    Fresh,
    /// Two looks were missed: the age is shown.
    Old(Duration),
    /// Five looks were missed: the reading no longer counts.
    Stale(Duration),
}

/// Two missed looks are jitter and may still be said aloud; five are news.
const PERIODS_UNTIL_OLD: u32 = 2;
const PERIODS_UNTIL_STALE: u32 = 5;

/// Everything known about one source: the last reading is kept even while looks fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// How often it is looked at.
    pub period: Duration,
    pub last: Option<(Timestamp, Reading)>,
    /// Why the newest look failed, and when looks began to fail.
    pub fault: Option<(Timestamp, Fault)>,
    /// Since when the reading's health is what it is.
    pub since: Timestamp,
}

impl Watched {
    pub fn unseen(period: Duration, now: Timestamp) -> Self {
        Self {
            period,
            last: None,
            fault: None,
            since: now,
        }
    }

    pub fn freshness(&self, now: Timestamp) -> Freshness {
        let Some((at, _)) = self.last else {
            return Freshness::Never;
        };
        let age = now.since(at);
        // A slow look is not a missed one: the age counts from its end, so half a period of grace is enough.
        let grace = self.period / 2;
        let young = age <= self.period * PERIODS_UNTIL_OLD + grace;
        // Whoever looked and could not see knows at once that the last reading is the past, and need not wait as long
        // as for a look that is merely late.
        if self.fault.is_some() {
            return if young {
                Freshness::Old(age)
            } else {
                Freshness::Stale(age)
            };
        }
        if young {
            Freshness::Fresh
        } else if age <= self.period * PERIODS_UNTIL_STALE + grace {
            Freshness::Old(age)
        } else {
            Freshness::Stale(age)
        }
    }

    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        self.last.as_ref().map(|(at, _)| now.since(*at))
    }

    pub fn reading(&self) -> Option<&Reading> {
        self.last.as_ref().map(|(_, reading)| reading)
    }

    /// What counts now: a stale or missing reading is never good.
    pub fn health(&self, now: Timestamp) -> Health {
        match (self.freshness(now), &self.last) {
            (Freshness::Fresh | Freshness::Old(_), Some((_, reading))) => reading.health,
            _ => Health::Unknown,
        }
    }

    /// Takes in what one look saw.
    pub fn take(&mut self, at: Timestamp, result: Result<Reading, Fault>) {
        match result {
            Ok(reading) => {
                let before = self.last.as_ref().map(|(_, r)| r.health);
                if before != Some(reading.health) {
                    self.since = at;
                }
                self.last = Some((at, reading));
                self.fault = None;
            }
            Err(fault) => {
                let since = self.fault.as_ref().map_or(at, |(since, _)| *since);
                self.fault = Some((since, fault));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Clean, Detail};
    use super::*;

    fn seen(at: u64) -> Watched {
        let reading = Reading {
            health: Health::Good,
            summary: Clean::from("well"),
            measures: Vec::new(),
            detail: Detail::None,
        };
        Watched {
            last: Some((Timestamp(at), reading)),
            ..Watched::unseen(Duration::from_secs(2), Timestamp(at))
        }
    }

    #[test]
    fn two_missed_looks_are_old_and_five_are_stale() {
        let age = |s: u64| seen(0).freshness(Timestamp(s * 1000));
        assert_eq!(age(5), Freshness::Fresh);
        assert_eq!(age(6), Freshness::Old(Duration::from_secs(6)));
        assert_eq!(age(12), Freshness::Stale(Duration::from_secs(12)));
    }

    #[test]
    fn a_failed_look_makes_the_last_reading_old_at_once_and_stale_sooner() {
        let mut watched = seen(0);
        let fault = Fault::new(super::super::FaultKind::Refused, "refused");
        watched.take(Timestamp(2000), Err(fault));
        assert_eq!(
            watched.freshness(Timestamp(2000)),
            Freshness::Old(Duration::from_secs(2))
        );
        assert_eq!(watched.health(Timestamp(6000)), Health::Unknown);
    }

    #[test]
    fn a_stale_reading_is_kept_but_never_good() {
        let watched = seen(0);
        assert_eq!(watched.health(Timestamp(60_000)), Health::Unknown);
        assert!(watched.reading().is_some());
    }

    #[test]
    fn the_worst_of_none_is_none() {
        assert_eq!(Health::worst([]), Health::None);
        assert_eq!(
            Health::worst([Health::Good, Health::Unknown, Health::Poor]),
            Health::Unknown
        );
    }
}
