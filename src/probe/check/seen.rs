//! What a check saw beside what it expected, and the verdict that follows.

use serde::Serialize;
use serde_json::{Value, json};

use super::Verdict;
use crate::domain::{Clean, Expectation, Fault, FaultKind, Grade, Measured, Unit};

/// Tests of one check that are told one by one; more are counted.
const TOLD_MAX: usize = 20;

/// What came back, and how it compares.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Bounded, cleaned, without secrets.
    pub(super) got: Value,
    pub(super) tests: Vec<Tested>,
    /// What is bad whatever was expected.
    pub(super) failures: Vec<Clean>,
    /// What is said of it when all is well, beside the tests.
    pub(super) notes: Vec<Clean>,
}

/// One measurement beside its expectation.
#[derive(Debug)]
pub(super) struct Tested {
    pub(super) what: Clean,
    pub(super) measured: Measured,
    pub(super) expected: Expectation,
}

impl Seen {
    pub(super) fn number(&mut self, what: &str, value: f64, unit: Unit, expected: &Expectation) {
        self.test(what, Measured::Number(value, unit), expected);
    }

    pub(super) fn text(&mut self, what: &str, text: &Clean, expected: &Expectation) {
        self.test(what, Measured::Text(text.clone()), expected);
    }

    pub(super) fn note(&mut self, text: impl Into<Clean>) {
        self.notes.push(text.into());
    }

    pub(super) fn measured(&mut self, what: &str, measured: Measured, expected: &Expectation) {
        self.test(what, measured, expected);
    }

    pub(super) fn grade(&mut self, what: &str, grade: Grade, expected: &Expectation) {
        self.test(what, Measured::Grade(grade), expected);
    }

    fn test(&mut self, what: &str, measured: Measured, expected: &Expectation) {
        self.tests.push(Tested {
            what: Clean::line(what),
            measured,
            expected: expected.clone(),
        });
    }
}

/// A count as a double.
#[expect(
    clippy::cast_precision_loss,
    reason = "what is counted here is far below 2^52"
)]
pub(super) fn real(count: usize) -> f64 {
    count as f64
}

/// What an expectation of a number of this unit says, if it says nothing. For the lint.
pub(super) fn suits_number(what: &str, expected: &Expectation, unit: Unit) -> Option<Clean> {
    suits(what, expected, &Measured::Number(0.0, unit))
}

/// As [`suits_number`], of a text.
pub(super) fn suits_text(what: &str, expected: &Expectation) -> Option<Clean> {
    suits(what, expected, &Measured::Text(Clean::default()))
}

/// As [`suits_number`], of a grade.
pub(super) fn suits_grade(what: &str, expected: &Expectation) -> Option<Clean> {
    suits(what, expected, &Measured::Grade(Grade::F))
}

fn suits(what: &str, expected: &Expectation, like: &Measured) -> Option<Clean> {
    let error = expected.compare(like).err()?;
    Some(Clean::from(format!("{what}: {error}")))
}

/// `status == 200, ttfb < 100 ms`: the expectations that are there.
pub(super) fn wishes<'a>(
    all: impl IntoIterator<Item = (&'a str, Option<&'a Expectation>)>,
) -> String {
    let wishes: Vec<String> = all
        .into_iter()
        .filter_map(|(what, expected)| Some(format!("{what} {}", expected?)))
        .collect();
    wishes.join(", ")
}

/// The verdict, one line, and the evidence.
pub(super) fn judged(sent: &Value, seen: Result<Seen, Fault>) -> (Verdict, Clean, Value) {
    let seen = match seen {
        Ok(seen) => seen,
        Err(fault) => return blind(sent, &Value::Null, &fault),
    };
    let mut rows = Vec::new();
    let mut met = Vec::new();
    let mut missed: Vec<String> = seen.failures.iter().map(Clean::to_string).collect();
    for test in &seen.tests {
        let Tested {
            what,
            measured,
            expected,
        } = test;
        match expected.compare(measured) {
            Err(error) => {
                let text = format!("{what}: {error}");
                let fault = Fault::new(FaultKind::Misconfigured, text);
                return blind(sent, &seen.got, &fault);
            }
            Ok(true) => met.push(format!("{what} {measured} ({expected})")),
            Ok(false) => missed.push(format!("{what} {measured}, expected {expected}")),
        }
        if rows.len() < TOLD_MAX {
            rows.push(row(test));
        }
    }
    let (verdict, words) = if missed.is_empty() {
        met.extend(seen.notes.iter().map(Clean::to_string));
        (Verdict::Pass, met)
    } else {
        (Verdict::Fail, missed)
    };
    let evidence = json!({
        "sent": sent,
        "got": seen.got,
        "measured": rows,
        "failures": seen.failures,
    });
    (verdict, said(&words), evidence)
}

fn said(words: &[String]) -> Clean {
    let told = words[..words.len().min(TOLD_MAX)].join("; ");
    match words.len().saturating_sub(TOLD_MAX) {
        0 => Clean::from(told),
        more => Clean::from(format!("{told}; and {more} more")),
    }
}

fn blind(sent: &Value, got: &Value, fault: &Fault) -> (Verdict, Clean, Value) {
    let evidence = json!({ "sent": sent, "got": got, "fault": fault });
    let said = Clean::from(format!("could not look: {fault}"));
    (Verdict::CouldNotRun, said, evidence)
}

#[derive(Serialize)]
struct Row<'a> {
    what: &'a Clean,
    measured: String,
    /// Not there for a text, and for what is no number.
    value: Option<f64>,
    unit: Option<Unit>,
    expected: &'a Expectation,
    holds: bool,
}

fn row(test: &Tested) -> Value {
    let (value, unit) = match &test.measured {
        Measured::Number(value, unit) => (Some(*value).filter(|v| v.is_finite()), Some(*unit)),
        Measured::Text(_) | Measured::Grade(_) => (None, None),
    };
    let row = Row {
        what: &test.what,
        measured: test.measured.to_string(),
        value,
        unit,
        expected: &test.expected,
        holds: test.expected.holds(&test.measured),
    };
    serde_json::to_value(row).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(text: &str) -> Expectation {
        Expectation::parse(text).unwrap()
    }

    fn seen(tests: &[(&str, f64, &str)]) -> Seen {
        let mut seen = Seen::default();
        for (what, value, expected) in tests {
            seen.number(what, *value, Unit::Milliseconds, &expect(expected));
        }
        seen
    }

    #[track_caller]
    fn check(seen: Result<Seen, Fault>, verdict: Verdict, line: &str) -> Value {
        let (got, said, evidence) = judged(&Value::Null, seen);
        assert_eq!((got, said.as_str()), (verdict, line));
        evidence
    }

    #[test]
    fn all_must_hold() {
        let both = [("ttfb", 12.0, "< 100 ms"), ("total", 40.0, "< 1 s")];
        let line = "ttfb 12 ms (< 100 ms); total 40 ms (< 1 s)";
        let evidence = check(Ok(seen(&both)), Verdict::Pass, line);
        assert_eq!(evidence["measured"][1]["value"], 40.0);
        let one = [("ttfb", 120.0, "< 100 ms"), ("total", 40.0, "< 1 s")];
        let line = "ttfb 120 ms, expected < 100 ms";
        check(Ok(seen(&one)), Verdict::Fail, line);
    }

    #[test]
    fn what_is_bad_whatever_was_expected_fails() {
        let mut seen = seen(&[("ttfb", 12.0, "< 100 ms")]);
        seen.failures
            .push("certificate not trusted: expired".into());
        let line = "certificate not trusted: expired";
        check(Ok(seen), Verdict::Fail, line);
    }

    #[test]
    fn what_is_no_number_fails_and_is_written_as_none() {
        let seen = seen(&[("ttfb", f64::NAN, "< 100 ms")]);
        let line = "ttfb [?] NaN, expected < 100 ms";
        let evidence = check(Ok(seen), Verdict::Fail, line);
        assert_eq!(evidence["measured"][0]["value"], Value::Null);
    }

    #[test]
    fn what_cannot_be_compared_was_not_checked() {
        let seen = seen(&[("ttfb", 12.0, "contains a")]);
        let (verdict, said, _) = judged(&Value::Null, Ok(seen));
        assert_eq!(verdict, Verdict::CouldNotRun);
        assert!(said.contains("a number is not compared"), "{said}");
    }

    #[test]
    fn a_fault_is_told_with_its_remedy() {
        let fault = Fault::new(FaultKind::Silent, "no answer").remedy("look at it");
        let line = "could not look: no answer; look at it";
        let evidence = check(Err(fault), Verdict::CouldNotRun, line);
        assert_eq!(evidence["fault"]["kind"], "silent");
    }
}
