//! Which backups are kept: the newest of each of the last days, weeks and months that have one, and never too few.
//!
//! Pure: what is removed is decided here and can be shown before it happens. Nothing that is not a whole, readable
//! backup is ever counted as kept, and the newest good one is never removed, whatever the policy says.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Utc};

use super::{Keep, Timestamp};

/// One backup as the policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    pub at: Timestamp,
    /// Its file is there, as it was written.
    pub good: bool,
}

/// The positions in `all` of what may be removed, in the order of `all`.
///
/// A backup that does not count is never removed by age alone: it goes once the policy is satisfied without it, which is
/// when at least `min` good ones are newer.
pub fn removable(all: &[Made], keep: Keep) -> Vec<usize> {
    let least = usize::try_from(keep.min.max(1)).unwrap_or(usize::MAX);
    let mut good: Vec<usize> = (0..all.len()).filter(|&i| all[i].good).collect();
    good.sort_by_key(|&i| std::cmp::Reverse(all[i].at));
    if good.len() < least {
        return Vec::new();
    }
    let mut kept: BTreeSet<usize> = good.iter().copied().take(least).collect();
    for (many, period) in [
        (keep.daily, day as fn(Timestamp) -> (i32, u32)),
        (keep.weekly, week),
        (keep.monthly, month),
    ] {
        kept.extend(newest_of_each(all, &good, many, period));
    }
    let oldest_needed = all[good[least - 1]].at;
    (0..all.len())
        .filter(|i| !kept.contains(i) && (all[*i].good || all[*i].at < oldest_needed))
        .collect()
}

/// `good` is newest first.
fn newest_of_each(
    all: &[Made],
    good: &[usize],
    many: u32,
    period: fn(Timestamp) -> (i32, u32),
) -> Vec<usize> {
    let many = usize::try_from(many).unwrap_or(usize::MAX);
    let mut newest: BTreeMap<(i32, u32), usize> = BTreeMap::new();
    for &at in good {
        newest.entry(period(all[at].at)).or_insert(at);
    }
    newest.into_values().rev().take(many).collect()
}

fn date(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0.cast_signed()).unwrap_or_default()
}

fn day(at: Timestamp) -> (i32, u32) {
    let at = date(at);
    (at.year(), at.ordinal())
}

fn week(at: Timestamp) -> (i32, u32) {
    let week = date(at).iso_week();
    (week.year(), week.week())
}

fn month(at: Timestamp) -> (i32, u32) {
    let at = date(at);
    (at.year(), at.month())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY_MS: u64 = 86_400_000;
    /// A Saturday, 12:00.
    const NOW: u64 = 1_795_262_400_000;

    fn keep(daily: u32, weekly: u32, monthly: u32, min: u32) -> Keep {
        Keep {
            daily,
            weekly,
            monthly,
            min,
        }
    }

    fn ago(days: u64, good: bool) -> Made {
        Made {
            at: Timestamp(NOW - days * DAY_MS),
            good,
        }
    }

    #[track_caller]
    fn check(ages: &[(u64, bool)], policy: Keep, removed: &[u64]) {
        let all: Vec<Made> = ages.iter().map(|&(days, good)| ago(days, good)).collect();
        let ages: Vec<u64> = removable(&all, policy)
            .into_iter()
            .map(|i| ages[i].0)
            .collect();
        assert_eq!(ages, removed);
    }

    #[test]
    fn the_newest_of_each_period_stay() {
        let daily: Vec<(u64, bool)> = (0..5).map(|day| (day, true)).collect();
        check(&daily, keep(3, 0, 0, 1), &[3, 4]);
        check(&daily, keep(0, 0, 0, 2), &[2, 3, 4]);
        // The week began on Monday, five days ago.
        check(
            &[(0, true), (5, true), (6, true), (12, true), (13, true)],
            keep(0, 2, 0, 1),
            &[5, 12, 13],
        );
        check(
            &[(0, true), (20, true), (21, true), (60, true)],
            keep(0, 0, 3, 1),
            &[20],
        );
    }

    #[test]
    fn a_policy_of_nothing_keeps_the_last_good_one() {
        check(
            &[(0, false), (9, true), (10, true)],
            keep(0, 0, 0, 0),
            &[10],
        );
        check(&[(9, true)], keep(0, 0, 0, 0), &[]);
    }

    #[test]
    fn too_few_good_ones_and_nothing_goes() {
        check(
            &[(0, false), (1, true), (400, true), (500, false)],
            keep(1, 0, 0, 3),
            &[],
        );
    }

    #[test]
    fn a_broken_one_is_neither_counted_nor_a_reason_to_remove_a_good_one() {
        check(
            &[(0, false), (1, true), (2, true), (3, false)],
            keep(2, 0, 0, 2),
            &[3],
        );
    }

    proptest! {
        #[test]
        fn never_the_last_good_one_and_never_below_the_minimum(
            ages in prop::collection::vec((0_u64..2000, any::<bool>()), 0..60),
            (daily, weekly, monthly, min) in (0_u32..9, 0_u32..9, 0_u32..9, 0_u32..9),
        ) {
            let all: Vec<Made> = ages.iter().map(|&(days, good)| ago(days, good)).collect();
            let policy = keep(daily, weekly, monthly, min);
            let removed = removable(&all, policy);
            let good = all.iter().filter(|made| made.good).count();
            let left: Vec<&Made> = (0..all.len())
                .filter(|i| !removed.contains(i) && all[*i].good)
                .map(|i| &all[i])
                .collect();
            prop_assert!(left.len() >= good.min(min.max(1) as usize));
            let newest = all.iter().filter(|made| made.good).map(|made| made.at).max();
            prop_assert_eq!(left.iter().map(|made| made.at).max(), newest);
            let kept: Vec<Made> = (0..all.len())
                .filter(|i| !removed.contains(i))
                .map(|i| all[i])
                .collect();
            prop_assert_eq!(removable(&kept, policy), Vec::<usize>::new(), "a second time removes no more");
        }
    }
}
