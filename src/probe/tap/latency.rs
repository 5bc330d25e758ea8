//! Latencies in buckets that are narrow where they are small: quantiles of a whole run in a few kilobytes.

use std::time::Duration;

/// Each doubling is split into so many: a quantile is off by at most 1/32, three percent.
const SPLIT_BITS: u32 = 5;
const SPLIT: u64 = 1 << SPLIT_BITS;

/// Counts of microseconds.
#[derive(Debug, Clone, Default)]
pub(in crate::probe) struct Latencies {
    /// By bucket; grown to the largest that was seen, 1,200 at an hour.
    buckets: Vec<u64>,
    total: u64,
    max_us: u64,
}

impl Latencies {
    pub(in crate::probe) fn note(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let at = bucket(us);
        if self.buckets.len() <= at {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    /// The smallest time that so many of a hundred did not exceed; `None` while there are none.
    pub(in crate::probe) fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut sum = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            sum += count;
            if sum >= rank {
                return Some(Duration::from_micros(upper(at).min(self.max_us)));
            }
        }
        None
    }

    /// Takes in what another has counted.
    pub(in crate::probe) fn add(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max_us = self.max_us.max(other.max_us);
    }

    pub(in crate::probe) fn max(&self) -> Option<Duration> {
        (self.total > 0).then_some(Duration::from_micros(self.max_us))
    }
}

/// Exact below 32; above, the number's magnitude and its next five bits.
fn bucket(us: u64) -> usize {
    let magnitude = us.max(1).ilog2();
    if magnitude < SPLIT_BITS {
        return index(us);
    }
    let shift = magnitude - SPLIT_BITS;
    let split = (us >> shift) & (SPLIT - 1);
    index(u64::from(shift + 1) * SPLIT + split)
}

/// The largest number of a bucket.
fn upper(at: usize) -> u64 {
    let at = at as u64;
    if at < SPLIT {
        return at;
    }
    let (shift, split) = (at / SPLIT - 1, at % SPLIT);
    let lower = (SPLIT + split) << shift;
    lower + ((1 << shift) - 1)
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(us: &[u64]) -> Latencies {
        let mut latencies = Latencies::default();
        for us in us {
            latencies.note(Duration::from_micros(*us));
        }
        latencies
    }

    #[test]
    fn nothing_seen_is_no_zero() {
        assert_eq!(Latencies::default().percentile(99), None);
        assert_eq!(Latencies::default().max(), None);
    }

    #[test]
    fn one_late_one_of_a_hundred_is_no_p95() {
        let mut times = vec![1_000; 99];
        times.push(5_000_000);
        let latencies = all(&times);
        assert!(latencies.percentile(95).unwrap() < Duration::from_micros(1_040));
        assert!(latencies.percentile(99).unwrap() < Duration::from_micros(1_040));
        assert_eq!(latencies.percentile(100), Some(Duration::from_secs(5)));
        assert_eq!(latencies.max(), Some(Duration::from_secs(5)));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_put_into_it(us in 0..1_u64 << 60) {
            let top = upper(bucket(us));
            prop_assert!(top >= us && top - us <= us / 32);
            prop_assert_eq!(bucket(top), bucket(us));
            prop_assert_eq!(bucket(top + 1), bucket(us) + 1);
        }

        #[test]
        fn quantiles_are_those_of_the_sorted_list(mut us in proptest::collection::vec(0..10_000_000_u64, 1..200), percent in 1..=100_u64) {
            let got = all(&us).percentile(percent).unwrap();
            us.sort_unstable();
            let rank = (us.len() as u64 * percent).div_ceil(100).max(1);
            let exact = us[usize::try_from(rank - 1).unwrap()];
            let got = u64::try_from(got.as_micros()).unwrap();
            prop_assert!(got >= exact && got - exact <= exact / 32 + 1);
        }
    }
}
