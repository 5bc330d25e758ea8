//! Values over time in one row of cells. A moment that nobody saw is a blank, never a low bar.

/// Eight heights, lowest first.
const LEVELS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// One cell per value, against `top` or the greatest value.
pub(in crate::view) fn spark(values: &[Option<f32>], top: Option<f32>) -> String {
    let top = top
        .unwrap_or_else(|| greatest(values))
        .max(f32::MIN_POSITIVE);
    values
        .iter()
        .map(|value| match value {
            Some(value) if value.is_finite() => LEVELS[level(*value / top)],
            _ => " ",
        })
        .collect()
}

pub(in crate::view) fn greatest(values: &[Option<f32>]) -> f32 {
    values
        .iter()
        .flatten()
        .copied()
        .filter(|value| value.is_finite())
        .fold(0.0, f32::max)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=7"
)]
fn level(part: f32) -> usize {
    (part.clamp(0.0, 1.0) * 7.0).round() as usize
}

/// Puts buckets into `cells` columns that begin at fixed moments, so that a column moves only when its time is over.
/// `newest` is the number of the last bucket of `values`; each column shows the mean of what was seen in it.
pub(in crate::view) fn resample(
    values: &[Option<f32>],
    newest: u64,
    cells: usize,
) -> Vec<Option<f32>> {
    if cells == 0 || values.is_empty() {
        return Vec::new();
    }
    let per_cell = values.len().div_ceil(cells).max(1);
    let oldest = (newest + 1).saturating_sub(values.len() as u64);
    let last_cell = newest / per_cell as u64;
    let mut out = vec![(0.0_f32, 0.0_f32); cells];
    for (n, value) in values.iter().enumerate() {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            continue;
        };
        let back = last_cell - (oldest + n as u64) / per_cell as u64;
        let Some(at) = usize::try_from(back)
            .ok()
            .and_then(|back| cells.checked_sub(1 + back))
        else {
            continue;
        };
        out[at].0 += value;
        out[at].1 += 1.0;
    }
    out.into_iter()
        .map(|(sum, n)| (n > 0.0).then_some(sum / n))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_blank_and_zero_is_the_lowest_bar() {
        assert_eq!(
            spark(&[Some(0.0), None, Some(8.0), Some(f32::NAN)], None),
            "▁ █ "
        );
    }

    #[test]
    fn columns_stand_still_until_their_time_is_over() {
        let values: Vec<Option<f32>> = (0..60_u8).map(|n| Some(f32::from(n))).collect();
        let before = resample(&values, 1000, 10);
        let after = resample(
            &values[1..]
                .iter()
                .copied()
                .chain([Some(60.0)])
                .collect::<Vec<_>>(),
            1001,
            10,
        );
        // 1000 / 6 and 1001 / 6 are the same column: only its mean may differ.
        assert_eq!(before[1..9], after[1..9]);
    }
}
