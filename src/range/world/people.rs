//! How many requests the users make at which time of the day.

use super::Ms;
use crate::range::figures::real_ms;

/// Requests per second at the busiest hour.
const PEAK_PER_S: f64 = 46.0;
/// The quietest hour, as part of the busiest.
const NIGHT: f64 = 0.62;
const DAY_MS: f64 = 86_400_000.0;

/// Requests per second that users make at `now`, when the range began at `clock`.
pub fn users(clock: (u8, u8), now: Ms) -> f64 {
    let began = f64::from(clock.0) / 24.0 + f64::from(clock.1) / 1440.0;
    let day = began + real_ms(now) / DAY_MS;
    // The busiest hour is three in the afternoon.
    let wave = ((day - 15.0 / 24.0) * std::f64::consts::TAU).cos();
    PEAK_PER_S * (NIGHT + (1.0 - NIGHT) * f64::midpoint(1.0, wave))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn afternoon_is_busier_than_night_and_both_are_modest() {
        let afternoon = users((15, 0), 0);
        let night = users((3, 0), 0);
        assert!(afternoon > 45.0 && afternoon < 60.0);
        assert!(night > 25.0 && night < 32.0);
    }
}
