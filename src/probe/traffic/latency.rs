//! Quantiles from histograms: cumulative buckets as exporters write them, and a small histogram of our own.

/// Cumulative counts by upper bound in milliseconds, sorted by bound.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Buckets(pub(super) Vec<(f64, f64)>);

/// p50, p95 and p99, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Quantiles {
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
    pub(super) p99: Option<f64>,
}

impl Buckets {
    pub(super) fn add(&mut self, bound_ms: f64, count: f64) {
        match self.0.binary_search_by(|(le, _)| le.total_cmp(&bound_ms)) {
            Ok(at) => self.0[at].1 += count,
            Err(at) => self.0.insert(at, (bound_ms, count)),
        }
    }

    /// Adds another histogram of the same bounds. Histograms of different bounds have no sum: then false.
    #[must_use]
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return true;
        }
        let bounds = |of: &Self| of.0.iter().map(|(le, _)| le.to_bits()).collect::<Vec<_>>();
        if bounds(self) != bounds(other) {
            return false;
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.1 += theirs.1;
        }
        true
    }

    pub(super) fn quantiles(&self) -> Quantiles {
        Quantiles {
            p50: self.quantile(0.50),
            p95: self.quantile(0.95),
            p99: self.quantile(0.99),
        }
    }

    /// As `histogram_quantile` of Prometheus does it: linear inside the bucket that holds the rank.
    ///
    /// - No `+Inf` bucket, fewer than two buckets, nothing counted, or a count that is no number: `None` (there `NaN`).
    /// - The rank falls into the `+Inf` bucket: the highest finite bound. The truth is that or more.
    /// - The first bucket begins at 0, unless its bound is not above 0; then its bound is the answer.
    /// - Counts that fall with the bound (torn between two scrapes) are raised to the one before.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let (&(last_bound, _), finite) = self.0.split_last()?;
        if last_bound != f64::INFINITY || finite.is_empty() {
            return None;
        }
        let mut highest = 0.0_f64;
        let mut counts = Vec::with_capacity(self.0.len());
        for &(_, count) in &self.0 {
            if !count.is_finite() {
                return None;
            }
            highest = highest.max(count);
            counts.push(highest);
        }
        let total = highest;
        if total <= 0.0 {
            return None;
        }
        let rank = q * total;
        let at = counts[..finite.len()].iter().position(|&c| c >= rank);
        let Some(at) = at else {
            return finite.last().map(|(bound, _)| *bound);
        };
        let end = finite[at].0;
        let (start, below) = match at {
            0 if end <= 0.0 => return Some(end),
            0 => (0.0, 0.0),
            _ => (finite[at - 1].0, counts[at - 1]),
        };
        let inside = counts[at] - below;
        if inside <= 0.0 {
            return Some(end);
        }
        Some(start + (end - start) * ((rank - below) / inside))
    }
}

/// Sixteen steps per doubling: a bucket is at most 6.25 % wide.
const STEPS_LOG2: u32 = 4;
const STEPS: usize = 1 << STEPS_LOG2;

/// One step per millisecond up to 16 ms, then sixteen per doubling up to 2^20 ms (17 min), which no gateway waits.
const SLOTS: usize = STEPS + 16 * STEPS;

/// Times in milliseconds in a fixed number of slots. The gateway's log has no finer time than a millisecond.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Histogram {
    /// Empty until the first time is recorded: most replicas of most windows see none.
    slots: Vec<u32>,
    /// Times beyond the last slot.
    above: u32,
}

impl Histogram {
    pub(super) fn record(&mut self, took_ms: f64) {
        if self.slots.is_empty() {
            self.slots = vec![0; SLOTS];
        }
        match self.slots.get_mut(slot(took_ms)) {
            Some(count) => *count = count.saturating_add(1),
            None => self.above = self.above.saturating_add(1),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.slots.is_empty() {
            self.slots.clone_from(&other.slots);
        } else {
            for (mine, theirs) in self.slots.iter_mut().zip(&other.slots) {
                *mine = mine.saturating_add(*theirs);
            }
        }
        self.above = self.above.saturating_add(other.above);
    }

    pub(super) fn quantiles(&self) -> Quantiles {
        self.buckets().quantiles()
    }

    /// Bounds of used slots and of those just below them are enough for a quantile.
    fn buckets(&self) -> Buckets {
        let mut all = Buckets::default();
        let mut sum = 0.0;
        for (index, &count) in self.slots.iter().enumerate() {
            let next_is_used = self.slots.get(index + 1).is_some_and(|&next| next > 0);
            sum += f64::from(count);
            if count > 0 || next_is_used || index + 1 == SLOTS {
                all.0.push((bound(index), sum));
            }
        }
        if !self.slots.is_empty() {
            all.0.push((f64::INFINITY, sum + f64::from(self.above)));
        }
        all
    }
}

/// The slot of a time: those at a bound belong to the slot above it, as whole milliseconds are lower ends.
fn slot(took_ms: f64) -> usize {
    let whole = super::whole(took_ms.floor());
    if whole < STEPS as u64 {
        return usize::try_from(whole).unwrap_or(SLOTS);
    }
    let octave = whole.ilog2() - STEPS_LOG2;
    let step = usize::try_from(whole >> octave).unwrap_or(SLOTS) - STEPS;
    STEPS + octave as usize * STEPS + step
}

/// The upper end of a slot, in milliseconds.
fn bound(slot: usize) -> f64 {
    let next = slot + 1;
    if next <= STEPS {
        return super::real(next as u64);
    }
    let (octave, step) = ((slot - STEPS) / STEPS, (slot - STEPS) % STEPS);
    super::real(((STEPS + step + 1) as u64) << octave)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buckets(all: &[(f64, f64)]) -> Buckets {
        let mut out = Buckets::default();
        for &(bound, count) in all {
            out.add(bound, count);
        }
        out
    }

    #[track_caller]
    fn check(all: &[(f64, f64)], q: f64, expected: Option<f64>) {
        let found = buckets(all).quantile(q);
        match (found, expected) {
            (Some(a), Some(b)) => assert!((a - b).abs() < 1e-9, "{a} {b}"),
            _ => assert_eq!(found, expected),
        }
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let usual = [(100.0, 50.0), (500.0, 90.0), (1000.0, 100.0), (INF, 100.0)];
        check(&usual, 0.5, Some(100.0));
        check(&usual, 0.25, Some(50.0));
        check(&usual, 0.95, Some(750.0));
        check(&usual, 0.7, Some(300.0));
    }

    #[test]
    fn edges_are_those_of_prometheus_too() {
        check(&[(10.0, 1.0), (INF, 100.0)], 0.95, Some(10.0));
        check(&[(10.0, 0.0), (INF, 0.0)], 0.5, None);
        check(&[(10.0, 5.0)], 0.5, None);
        check(&[(INF, 5.0)], 0.5, None);
        check(&[], 0.5, None);
        check(&[(10.0, f64::NAN), (INF, 5.0)], 0.5, None);
        check(&[(0.0, 5.0), (INF, 5.0)], 0.5, Some(0.0));
        check(&[(1.0, 50.0), (2.0, 40.0), (INF, 100.0)], 0.5, Some(1.0));
    }

    #[test]
    fn histograms_of_different_bounds_have_no_sum() {
        let mut one = buckets(&[(10.0, 1.0), (INF, 2.0)]);
        assert!(one.merge(&buckets(&[(10.0, 1.0), (INF, 2.0)])));
        assert_eq!(one.0[1].1.to_bits(), 4.0_f64.to_bits());
        assert!(!one.merge(&buckets(&[(20.0, 1.0), (INF, 2.0)])));
    }

    #[test]
    fn slots_follow_each_other_without_gap() {
        let mut last = 0.0;
        for index in 0..SLOTS {
            assert!(bound(index) > last);
            assert_eq!(slot(last), index, "{last}");
            last = bound(index);
        }
        assert_eq!(slot(last), SLOTS);
    }

    #[test]
    fn a_time_beyond_all_slots_is_the_last_bound_or_more() {
        let mut seen = Histogram::default();
        seen.record(1e300);
        assert_eq!(seen.quantiles().p50, Some(bound(SLOTS - 1)));
        assert_eq!(Histogram::default().quantiles(), Quantiles::default());
    }

    proptest! {
        #[test]
        fn our_quantile_is_within_a_slot_of_the_true_one(mut times in proptest::collection::vec(0_u32..1_000_000, 1..300)) {
            let mut seen = Histogram::default();
            for &t in &times {
                seen.record(f64::from(t));
            }
            times.sort_unstable();
            let rank = (times.len() * 95).div_ceil(100).max(1);
            let truth = f64::from(times[rank - 1]);
            let found = seen.quantiles().p95.expect("something was recorded");
            prop_assert!(found >= truth - truth * 0.0625 - 1.0, "{found} for {truth}");
            prop_assert!(found <= truth * 1.0625 + 1.0, "{found} for {truth}");
        }

        #[test]
        fn no_counts_whatever_break_a_quantile(all in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..12), q in 0.0_f64..1.0) {
            let _ = buckets(&all).quantile(q);
        }
    }
}
