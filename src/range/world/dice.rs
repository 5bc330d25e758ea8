//! Seeded randomness of our own: the same on every machine and in every version of the tool chain.

use std::fmt::Write as _;

/// A splitmix64 generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// One stream per purpose, so that one more request does not change the ids of containers.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0xA24B_AED4_963E_E407));
        dice.roll();
        dice
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to but not including 1.
    pub fn unit(&mut self) -> f64 {
        crate::range::figures::real(self.roll() >> 12) / 4_503_599_627_370_496.0
    }

    /// From 0 up to but not including `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.roll() % bound }
    }

    pub fn chance(&mut self, part: f64) -> bool {
        self.unit() < part
    }

    /// Around 0, mostly between -1 and 1: six uniform throws, close enough to a bell.
    pub fn bell(&mut self) -> f64 {
        (0..6).map(|_| self.unit()).sum::<f64>() * std::f64::consts::FRAC_1_SQRT_2 * 2.0
            - 3.0 * std::f64::consts::SQRT_2
    }

    /// Lower-case hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            let _ = write!(text, "{:016x}", self.roll());
        }
        text.truncate(digits);
        text
    }
}
