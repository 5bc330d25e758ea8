//! Conversions between counts and fractions, in one place, with the reason why each is harmless.

/// A count as a fraction's numerator.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and milliseconds of the simulation stay far below 2^52"
)]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// Milliseconds that may be negative: before the start of the range.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of the simulation stay far below 2^52"
)]
pub(crate) fn real_ms(ms: i64) -> f64 {
    ms as f64
}

/// The whole part; negative and not-a-number become zero, too large becomes the largest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, which is what is meant"
)]
pub(crate) fn whole(value: f64) -> u64 {
    value as u64
}

/// The whole part of milliseconds, with their sign.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, which is what is meant"
)]
pub(crate) fn whole_ms(value: f64) -> i64 {
    value as i64
}

/// How many there are, as the wire counts them.
pub(crate) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// An index out of a count that is known to be small.
pub(crate) fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
