//! One answer or many: how long each phase took, or what all but a few stayed below.

use crate::domain::Phases;

/// Requests of one check. More is load, and is asked for elsewhere.
pub(super) const TIMES_MAX: u32 = 100;

/// What is told of many where nothing else is asked for.
pub(super) const PERCENTILE_DEFAULT: u8 = 95;

/// What is measured of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dns,
    Connect,
    Tls,
    Ttfb,
    Total,
}

impl Phase {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Ttfb => "ttfb",
            Self::Total => "total",
        }
    }

    /// `None` where there was no such phase: an address is not resolved, plain http shakes no hands.
    pub(super) fn of(self, phases: &Phases) -> Option<f64> {
        match self {
            Self::Dns => phases.resolve_ms,
            Self::Connect => phases.connect_ms,
            Self::Tls => phases.tls_ms,
            Self::Ttfb => phases.ttfb_ms,
            Self::Total => phases.total_ms,
        }
    }
}

/// The smallest of the values that this part of all is not above. No number where there are no values.
pub(super) fn percentile(mut values: Vec<f64>, percent: u8) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * usize::from(percent)).div_ceil(100);
    values
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rank_is_told() {
        let twenty: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        let shown = [1, 50, 95, 100].map(|percent| percentile(twenty.clone(), percent));
        assert_eq!(
            shown.map(|value| value.to_string()),
            ["1", "10", "19", "20"]
        );
        assert_eq!(percentile(vec![7.0], 95).to_string(), "7");
        assert!(percentile(Vec::new(), 95).is_nan());
    }
}
