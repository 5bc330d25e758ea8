//! Counters become counts over the last minute.
//!
//! A counter only grows. One that is smaller than before has begun anew, so its new value is what happened since: not
//! more than the truth, never less than nothing. **Invariant:** what is counted never exceeds what happened.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::latency::Buckets;
use super::status::Class;
use super::{WINDOW, whole};
use crate::domain::{Flow, Timestamp};

/// One look a second fills a window; faster looks shorten it.
const DELTAS_MAX: usize = 64;

/// Twice what one body may hold, requests and buckets: labels that change with every scrape must not fill the memory.
const SERIES_MAX: usize = 8_000;

/// After a gap this long, what was counted in it says nothing about the last minute.
const GAP_MAX: Duration = Duration::from_mins(2);

/// One counter of one replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Of its name and labels.
    pub(super) key: u64,
    /// Finite and not negative.
    pub(super) value: f64,
    pub(super) part: Part,
}

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    /// Requests, by how they ended where that is known.
    Requests(Option<Class>),
    /// Requests that took at most so many milliseconds.
    Within(f64),
}

/// Was every series there, or were some left out because of our limits?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Cut,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) requests: f64,
    pub(super) server_errors: f64,
    pub(super) client_errors: f64,
    /// Requests of which it is not known how they ended.
    pub(super) unclassed: f64,
    pub(super) buckets: Buckets,
}

impl Counts {
    pub(super) fn add(&mut self, part: Part, count: f64) {
        match part {
            Part::Within(bound_ms) => self.buckets.add(bound_ms, count),
            Part::Requests(class) => {
                self.requests += count;
                match class {
                    Some(Class::Fine) => {}
                    Some(Class::Client) => self.client_errors += count,
                    Some(Class::Server) => self.server_errors += count,
                    None => self.unclassed += count,
                }
            }
        }
    }

    /// False: the latencies could not be added, and are left out of the sum.
    #[must_use]
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        self.requests += other.requests;
        self.server_errors += other.server_errors;
        self.client_errors += other.client_errors;
        self.unclassed += other.unclassed;
        self.buckets.merge(&other.buckets)
    }

    pub(super) fn flow(&self, requests_per_s: Option<f64>) -> Flow {
        let quantiles = self.buckets.quantiles();
        Flow {
            requests_per_s,
            requests: whole(self.requests),
            errors: whole(self.server_errors),
            client_errors: whole(self.client_errors),
            p50_ms: quantiles.p50,
            p95_ms: quantiles.p95,
            p99_ms: quantiles.p99,
            share: None,
        }
    }
}

/// What was counted between two looks.
#[derive(Debug)]
struct Delta {
    from: Timestamp,
    to: Timestamp,
    counts: Counts,
}

/// All counters of one replica, over time.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    last: HashMap<u64, f64>,
    last_at: Option<Timestamp>,
    extent: Option<Extent>,
    /// When the replica's process says it began, in seconds of its own clock.
    began_s: Option<f64>,
    deltas: VecDeque<Delta>,
    /// Looks that found a counter smaller than before.
    pub(super) resets: u32,
}

impl Tracker {
    pub(super) fn last_at(&self) -> Option<Timestamp> {
        self.last_at
    }

    /// Takes in one scrape.
    pub(super) fn take(
        &mut self,
        at: Timestamp,
        points: &[Point],
        extent: Extent,
        began_s: Option<f64>,
    ) {
        if self.is_restart(began_s) {
            self.resets = self.resets.saturating_add(1);
            // Every counter began at zero, also one that has overtaken its old value since.
            self.last.values_mut().for_each(|value| *value = 0.0);
        }
        self.began_s = began_s.or(self.began_s);
        let counts = self.count(points);
        match self.last_at {
            Some(from) if at > from && at.since(from) <= GAP_MAX => self.deltas.push_back(Delta {
                from,
                to: at,
                counts,
            }),
            Some(_) => self.deltas.clear(),
            None => {}
        }
        self.last_at = Some(at);
        self.extent = Some(extent);
        self.prune(at);
    }

    /// A process that says it began at another time is another process. Its clock may be a little off each time.
    fn is_restart(&self, began_s: Option<f64>) -> bool {
        match (self.began_s, began_s) {
            (Some(before), Some(now)) => (before - now).abs() > 1.0,
            _ => false,
        }
    }

    fn count(&mut self, points: &[Point]) -> Counts {
        let mut counts = Counts::default();
        let mut is_reset = false;
        for point in points {
            let before = self.last.insert(point.key, point.value);
            let grown = match before {
                Some(before) if point.value < before => {
                    is_reset = true;
                    point.value
                }
                Some(before) => point.value - before,
                // New since the last look, which saw all there was: it has counted from zero.
                None if self.extent == Some(Extent::Whole) => point.value,
                // The first look, or it may have been among those left out.
                None => 0.0,
            };
            counts.add(point.part, grown);
        }
        self.resets = self.resets.saturating_add(u32::from(is_reset));
        if self.last.len() > SERIES_MAX {
            // Without a memory of them, series would count from zero again: begin anew with those of this look.
            self.last = points.iter().map(|p| (p.key, p.value)).collect();
            self.extent = Some(Extent::Cut);
        }
        counts
    }

    fn prune(&mut self, now: Timestamp) {
        let is_past = |delta: &Delta| now.since(delta.to) >= WINDOW;
        while self.deltas.len() > DELTAS_MAX || self.deltas.front().is_some_and(is_past) {
            self.deltas.pop_front();
        }
    }

    /// The counts of the window and the time they took. `None`: only one look so far.
    pub(super) fn window(&self) -> Option<(Counts, Duration)> {
        let (first, last) = (self.deltas.front()?, self.deltas.back()?);
        let mut sum = Counts::default();
        let mut is_one_layout = true;
        for delta in &self.deltas {
            is_one_layout &= sum.merge(&delta.counts);
        }
        if !is_one_layout {
            sum.buckets = Buckets::default();
        }
        Some((sum, last.to.since(first.from)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(key: u64, value: f64) -> Point {
        Point {
            key,
            value,
            part: Part::Requests(Some(Class::Fine)),
        }
    }

    fn at(s: u64) -> Timestamp {
        Timestamp(s * 1000)
    }

    fn seen(tracker: &Tracker) -> Option<(u64, u64)> {
        tracker
            .window()
            .map(|(counts, span)| (whole(counts.requests), span.as_secs()))
    }

    #[test]
    fn the_first_look_knows_no_rate() {
        let mut tracker = Tracker::default();
        tracker.take(at(0), &[point(1, 1e6)], Extent::Whole, None);
        assert_eq!(seen(&tracker), None);
        tracker.take(at(2), &[point(1, 1e6 + 10.0)], Extent::Whole, None);
        assert_eq!(seen(&tracker), Some((10, 2)));
    }

    #[test]
    fn a_reset_counts_from_zero_and_is_seen() {
        let mut tracker = Tracker::default();
        for (s, value) in [(0, 1000.0), (2, 1010.0), (4, 3.0), (6, 5.0)] {
            tracker.take(at(s), &[point(1, value)], Extent::Whole, None);
        }
        assert_eq!(seen(&tracker), Some((15, 6)));
        assert_eq!(tracker.resets, 1);
    }

    #[test]
    fn a_restart_is_seen_even_if_the_counter_has_overtaken_itself() {
        let mut tracker = Tracker::default();
        tracker.take(at(0), &[point(1, 10.0)], Extent::Whole, Some(100.0));
        tracker.take(at(30), &[point(1, 50.0)], Extent::Whole, Some(100.5));
        assert_eq!(seen(&tracker), Some((40, 30)));
        tracker.take(at(60), &[point(1, 70.0)], Extent::Whole, Some(140.0));
        assert_eq!((seen(&tracker), tracker.resets), (Some((110, 60)), 1));
    }

    #[test]
    fn a_series_that_appears_counts_from_zero_unless_it_was_left_out() {
        let mut tracker = Tracker::default();
        tracker.take(at(0), &[point(1, 5.0)], Extent::Whole, None);
        tracker.take(at(2), &[point(1, 5.0), point(2, 3.0)], Extent::Cut, None);
        assert_eq!(seen(&tracker), Some((3, 2)));
        tracker.take(at(4), &[point(1, 5.0), point(3, 9e9)], Extent::Whole, None);
        assert_eq!(seen(&tracker), Some((3, 4)));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_and_memory_stays_bounded() {
        let mut tracker = Tracker::default();
        for s in 0..1000_u32 {
            let now = at(u64::from(s));
            tracker.take(now, &[point(1, f64::from(s))], Extent::Whole, None);
        }
        assert_eq!(seen(&tracker), Some((60, 60)));
        assert!(tracker.deltas.len() <= DELTAS_MAX);
        for key in 0..3 * SERIES_MAX as u64 {
            tracker.take(at(2000), &[point(key, 1.0)], Extent::Whole, None);
        }
        assert!(tracker.last.len() <= SERIES_MAX);
    }

    #[test]
    fn after_a_long_gap_counting_begins_anew() {
        let mut tracker = Tracker::default();
        tracker.take(at(0), &[point(1, 5.0)], Extent::Whole, None);
        tracker.take(at(1000), &[point(1, 5_000.0)], Extent::Whole, None);
        assert_eq!(seen(&tracker), None);
        tracker.take(at(1002), &[point(1, 5_004.0)], Extent::Whole, None);
        assert_eq!(seen(&tracker), Some((4, 2)));
    }

    #[derive(Debug, Clone)]
    enum Happens {
        Requests(u16),
        Restart,
        Look,
        Garbled,
    }

    proptest! {
        #[test]
        fn what_is_counted_never_exceeds_what_happened(
            story in proptest::collection::vec(prop_oneof![
                4 => (0_u16..500).prop_map(Happens::Requests),
                1 => Just(Happens::Restart),
                4 => Just(Happens::Look),
                1 => Just(Happens::Garbled),
            ], 1..80),
        ) {
            let mut tracker = Tracker::default();
            let (mut counter, mut happened, mut integral, mut now) = (0.0_f64, 0.0, 0.0, 0);
            for event in story {
                match event {
                    Happens::Requests(n) => { counter += f64::from(n); happened += f64::from(n); }
                    Happens::Restart => counter = 0.0,
                    Happens::Look | Happens::Garbled => {
                        now += 1;
                        let points = if matches!(event, Happens::Look) { vec![point(1, counter)] } else { vec![] };
                        tracker.take(at(now), &points, Extent::Whole, None);
                        let newest = tracker.deltas.back().map_or(0.0, |delta| delta.counts.requests);
                        prop_assert!(newest >= 0.0);
                        integral += newest;
                        prop_assert!(integral <= happened, "{integral} counted, {happened} happened");
                    }
                }
            }
        }
    }
}
