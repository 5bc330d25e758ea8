//! One measured number with its unit.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Clean;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Count,
    /// 0.05 is 5 %.
    Ratio,
    Milliseconds,
    Seconds,
    Bytes,
    BytesPerSecond,
    PerSecond,
    Days,
}

/// A named number that a check, a guard or a report can use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    pub name: Clean,
    pub value: f64,
    pub unit: Unit,
}

impl Measure {
    pub fn new(name: impl Into<Clean>, value: f64, unit: Unit) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.unit.show(self.value))
    }
}

impl Unit {
    /// Writes a number as a person reads it. A number that is none (`NaN`, infinite) is shown as such, never as zero.
    pub fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return format!("[?] {value}");
        }
        match self {
            Self::Count => format!("{value:.0}"),
            Self::Ratio => match value * 100.0 {
                0.0 => "0 %".to_owned(),
                p if p.abs() < 0.01 => "<0.01 %".to_owned(),
                p if p.abs() < 10.0 => format!("{p:.2} %"),
                p => format!("{p:.0} %"),
            },
            Self::Milliseconds if value.abs() < 10.0 => format!("{value:.1} ms"),
            Self::Milliseconds if value.abs() < 10_000.0 => format!("{value:.0} ms"),
            Self::Milliseconds => format!("{:.1} s", value / 1000.0),
            Self::Seconds => format!("{value:.1} s"),
            Self::Bytes => bytes(value),
            Self::BytesPerSecond => format!("{}/s", bytes(value)),
            Self::PerSecond if value.abs() < 10.0 => format!("{value:.1}/s"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Days => format!("{value:.0} d"),
        }
    }
}

/// Binary sizes with the units operators read: 1 KB = 1024 B, as the engine's own tools print it.
fn bytes(value: f64) -> String {
    const STEP: f64 = 1024.0;
    let mut left = value;
    for unit in ["B", "KB", "MB", "GB"] {
        if left.abs() < STEP {
            return match unit {
                "B" => format!("{left:.0} B"),
                _ if left.abs() < 10.0 => format!("{left:.1} {unit}"),
                _ => format!("{left:.0} {unit}"),
            };
        }
        left /= STEP;
    }
    format!("{left:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(Unit::Ratio.show(0.0002), "0.02 %");
        assert_eq!(Unit::Ratio.show(0.31), "31 %");
        assert_eq!(Unit::Bytes.show(325_058_560.0), "310 MB");
        assert_eq!(Unit::Milliseconds.show(118.4), "118 ms");
        assert_eq!(Unit::PerSecond.show(1842.0), "1842/s");
    }

    #[test]
    fn what_is_no_number_never_looks_like_one() {
        assert_eq!(Unit::Count.show(f64::NAN), "[?] NaN");
        assert_eq!(Unit::Ratio.show(f64::INFINITY), "[?] inf");
    }
}
