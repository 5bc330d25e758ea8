//! Whether a rule's expression compares with the number that a plan names.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::{Clean, Expectation, Measured};

/// A comparison with a number, as `PromQL` writes both.
static COMPARISON: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(>=|<=|==|!=|>|<)\s*(?:bool\s+)?(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)")
        .expect("a pattern of ours is a pattern")
});

/// Far below what separates two thresholds that people write.
const NEAR: f64 = 1e-6;

/// The sign that it begins with.
fn sign(expected: &Expectation) -> Option<&'static str> {
    [">=", "<=", "==", "!=", ">", "<"]
        .into_iter()
        .find(|sign| expected.as_str().starts_with(sign))
}

/// Why it is no threshold, for the lint.
pub(super) fn problem(expected: &Expectation) -> Option<Clean> {
    let compares = Measured::Number(0.0, expected.natural_unit());
    match (sign(expected), expected.compare(&compares)) {
        (Some(_), Ok(_)) => None,
        _ => Some(Clean::from(format!(
            "threshold: {expected:?} is no comparison with a number; write one such as \"> 5 %\""
        ))),
    }
}

/// Whether the expression holds this comparison, its number taken as Prometheus writes it: in seconds, in parts of one.
pub(super) fn is_in(expected: &Expectation, query: &str) -> bool {
    let unit = expected.natural_unit();
    let holds = |value: f64| expected.holds(&Measured::Number(value, unit));
    COMPARISON.captures_iter(query).any(|found| {
        let Ok(value) = found[2].parse::<f64>() else {
            return false;
        };
        let step = NEAR * value.abs().max(NEAR);
        // The number at which the answer turns is the threshold itself.
        sign(expected) == Some(&found[1])
            && (holds(value - step) != holds(value + step) || holds(value) != holds(value + step))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(threshold: &str, query: &str, expected: bool) {
        let threshold = Expectation::parse(threshold).unwrap();
        assert_eq!(is_in(&threshold, query), expected, "{threshold} in {query}");
    }

    #[test]
    fn a_plans_threshold_is_found_in_the_rules_own_units() {
        let errors = "sum by (job) (rate(http_requests_total{status=~\"5..\"}[1m])) / sum(rate(http_requests_total[1m])) > 0.05";
        check("> 5 %", errors, true);
        check("> 0.05", errors, true);
        check("> 6 %", errors, false);
        check("< 5 %", errors, false);
        let latency = "histogram_quantile(0.95, rate(x_bucket[1m])) >0.5";
        check("> 500 ms", latency, true);
        check("> 0.95", latency, false);
        check("== 0", "absent(up) or sum(up) == 0", true);
        check("< 3", "sum(up) < 3", true);
        check("< 3", "sum(up) <= 3", false);
    }
}
