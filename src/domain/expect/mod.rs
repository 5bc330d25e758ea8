//! What a check expects of what it measured, as a person writes it: `< 100 ms`, `>= 2`, `contains max-age`.
//!
//! A number without a unit is meant in the unit of what is measured. Times, sizes, parts and rates are different
//! things, and comparing one with another is a mistake that is named, never a "no". What is no number (`NaN`,
//! infinite) never holds: unknown is never good.

mod read;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::{Clean, Grade, Unit};
use read::Problem;

/// A sentence is longer than any expectation that is still understood.
const BYTES_MAX: usize = 512;

/// Reckoned from the larger of two numbers; far below what anybody measures, far above what arithmetic loses.
const EQUAL_WITHIN: f64 = 1e-9;

/// An expectation. Two are equal when they are written alike.
#[derive(Clone)]
pub struct Expectation {
    text: Clean,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Compare(Operator, Bound),
    /// `>= A`
    Grade(Operator, Grade),
    /// Both ends belong to it.
    Between(Bound, Bound),
    /// Of texts, or of numbers where the text is one.
    Same(Clean, Option<Bound>),
    Differs(Clean, Option<Bound>),
    Contains(Clean),
    Matches(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A number and what it is a number of.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound {
    /// In the base of its quantity: milliseconds, bytes, a part of one.
    value: f64,
    quantity: Quantity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    /// Without a unit: meant in the unit of what is measured.
    Plain,
    Part,
    Time,
    Size,
    SizeRate,
    Rate,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    Number(f64, Unit),
    Text(Clean),
    Grade(Grade),
}

/// Why a text is no expectation, or why it says nothing about what is measured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?}: {problem}; {remedy}")]
pub struct ExpectError {
    pub text: Clean,
    pub problem: Clean,
    pub remedy: Clean,
}

impl Expectation {
    /// Reads one; surrounding blanks do not count.
    pub fn parse(text: &str) -> Result<Self, ExpectError> {
        let text = text.trim();
        let fail = |problem: String, remedy: &str| ExpectError {
            text: Clean::line(text),
            problem: Clean::from(problem),
            remedy: Clean::from(remedy),
        };
        if text.len() > BYTES_MAX {
            return Err(fail(
                format!("over {BYTES_MAX} bytes long"),
                "make several of it",
            ));
        }
        let holds =
            read::read(text).map_err(|Problem { problem, remedy }| fail(problem, &remedy))?;
        Ok(Self {
            text: Clean::line(text),
            test: holds,
        })
    }

    /// Exactly this number.
    pub fn equals(number: i64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "statuses and exit codes are far below 2^52"
        )]
        let value = number as f64;
        let plain = Bound {
            value,
            quantity: Quantity::Plain,
        };
        let word = Clean::from(number.to_string());
        Self {
            text: Clean::from(format!("== {number}")),
            test: Test::Same(word, Some(plain)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Does it hold? Never for what cannot be compared with it, and never for what is no number.
    pub fn holds(&self, measured: &Measured) -> bool {
        self.compare(measured).unwrap_or(false)
    }

    /// Does it hold of a text that is longer than one we keep, such as a whole page? Never shown, so not cleaned.
    pub fn holds_in(&self, text: &str) -> bool {
        self.compare_text(text).unwrap_or(false)
    }

    /// Whether it holds, or why that cannot be said of such a measurement.
    pub fn compare(&self, measured: &Measured) -> Result<bool, ExpectError> {
        match measured {
            Measured::Text(text) => self.compare_text(text),
            Measured::Number(value, unit) => self.compare_number(*value, *unit),
            Measured::Grade(grade) => self.compare_grade(*grade),
        }
    }

    /// The unit that a number without one of its own is taken to have, as Prometheus writes numbers: seconds, bytes,
    /// parts of one.
    pub fn natural_unit(&self) -> Unit {
        let quantity = match &self.test {
            Test::Compare(_, bound)
            | Test::Between(bound, _)
            | Test::Same(_, Some(bound))
            | Test::Differs(_, Some(bound)) => bound.quantity,
            Test::Grade(..)
            | Test::Same(_, None)
            | Test::Differs(_, None)
            | Test::Contains(_)
            | Test::Matches(_) => Quantity::Plain,
        };
        match quantity {
            Quantity::Plain => Unit::Count,
            Quantity::Part => Unit::Ratio,
            Quantity::Time => Unit::Seconds,
            Quantity::Size => Unit::Bytes,
            Quantity::SizeRate => Unit::BytesPerSecond,
            Quantity::Rate => Unit::PerSecond,
        }
    }

    fn compare_text(&self, text: &str) -> Result<bool, ExpectError> {
        match &self.test {
            Test::Same(word, _) => Ok(*text == **word),
            Test::Differs(word, _) => Ok(*text != **word),
            Test::Contains(part) => Ok(contains(text, part)),
            Test::Matches(pattern) => Ok(pattern.is_match(text)),
            Test::Compare(..) | Test::Between(..) | Test::Grade(..) => Err(self.mismatch(
                "a text is not compared with a number",
                "for a text write \"== word\", \"contains part\" or \"matches pattern\"",
            )),
        }
    }

    fn compare_grade(&self, grade: Grade) -> Result<bool, ExpectError> {
        let named = |word: &Clean| word.parse::<Grade>().ok();
        let mismatch = || {
            self.mismatch(
                "a grade is measured, and this is none",
                "for a grade write \">= A\", \">= B+\" or \"== A+\"",
            )
        };
        match &self.test {
            Test::Grade(operator, bound) => Ok(operator.orders(grade.cmp(bound))),
            Test::Same(word, _) => Ok(named(word).ok_or_else(mismatch)? == grade),
            Test::Differs(word, _) => Ok(named(word).ok_or_else(mismatch)? != grade),
            Test::Compare(..) | Test::Between(..) | Test::Contains(_) | Test::Matches(_) => {
                Err(mismatch())
            }
        }
    }

    fn compare_number(&self, value: f64, unit: Unit) -> Result<bool, ExpectError> {
        let is_equal = |bound: &Bound| Ok(same(self.in_base(value, unit, bound)?, bound.value));
        let holds = match &self.test {
            Test::Compare(operator, bound) => {
                operator.holds(self.in_base(value, unit, bound)?, bound.value)
            }
            Test::Between(low, high) => {
                Operator::AtLeast.holds(self.in_base(value, unit, low)?, low.value)
                    && Operator::AtMost.holds(self.in_base(value, unit, high)?, high.value)
            }
            Test::Same(_, Some(bound)) => is_equal(bound)?,
            Test::Differs(_, Some(bound)) => !is_equal(bound)?,
            Test::Grade(..)
            | Test::Same(_, None)
            | Test::Differs(_, None)
            | Test::Contains(_)
            | Test::Matches(_) => {
                return Err(self.mismatch(
                    "a number is not compared with a text",
                    "for a number write \"< 100\", \">= 2\" or \"== 301\"",
                ));
            }
        };
        Ok(holds && value.is_finite())
    }

    /// The measured number in the base of the bound.
    fn in_base(&self, value: f64, unit: Unit, bound: &Bound) -> Result<f64, ExpectError> {
        let (quantity, factor) = base_of(unit);
        if bound.quantity == Quantity::Plain {
            return Ok(value);
        }
        if bound.quantity == quantity {
            return Ok(value * factor);
        }
        let problem = format!(
            "{} is measured, and this is {}",
            quantity.words(),
            bound.quantity.words()
        );
        Err(self.mismatch(&problem, quantity.remedy()))
    }

    fn mismatch(&self, problem: &str, remedy: &str) -> ExpectError {
        ExpectError {
            text: self.text.clone(),
            problem: Clean::from(problem),
            remedy: Clean::from(remedy),
        }
    }
}

impl Operator {
    fn holds(self, left: f64, right: f64) -> bool {
        let equal = same(left, right);
        match self {
            Self::Less => left < right && !equal,
            Self::AtMost => left < right || equal,
            Self::More => left > right && !equal,
            Self::AtLeast => left > right || equal,
        }
    }

    /// As [`Self::holds`], of what has no distance.
    fn orders(self, left_to_right: Ordering) -> bool {
        match self {
            Self::Less => left_to_right.is_lt(),
            Self::AtMost => left_to_right.is_le(),
            Self::More => left_to_right.is_gt(),
            Self::AtLeast => left_to_right.is_ge(),
        }
    }
}

impl Quantity {
    fn words(self) -> &'static str {
        match self {
            Self::Plain => "a plain number",
            Self::Part => "a part of the whole",
            Self::Time => "a time",
            Self::Size => "a size",
            Self::SizeRate => "a size per second",
            Self::Rate => "a number per second",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Plain => "write the number without a unit",
            Self::Part => "write a part such as 5 %",
            Self::Time => "write a time such as 100 ms",
            Self::Size => "write a size such as 10 MB",
            Self::SizeRate => "write a rate such as 10 MB/s",
            Self::Rate => "write a rate such as 50/s",
        }
    }
}

/// What a unit is a unit of, and how many of the base one of it is.
fn base_of(unit: Unit) -> (Quantity, f64) {
    match unit {
        Unit::Count => (Quantity::Plain, 1.0),
        Unit::Ratio => (Quantity::Part, 1.0),
        Unit::Milliseconds => (Quantity::Time, 1.0),
        Unit::Seconds => (Quantity::Time, 1e3),
        Unit::Days => (Quantity::Time, 86_400e3),
        Unit::Bytes => (Quantity::Size, 1.0),
        Unit::BytesPerSecond => (Quantity::SizeRate, 1.0),
        Unit::PerSecond => (Quantity::Rate, 1.0),
    }
}

fn same(left: f64, right: f64) -> bool {
    (left - right).abs() <= EQUAL_WITHIN * left.abs().max(right.abs())
}

/// As header values are compared: `NoSniff` and `nosniff` mean the same.
fn contains(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase()
        .contains(&part.to_ascii_lowercase())
}

impl FromStr for Expectation {
    type Err = ExpectError;

    fn from_str(text: &str) -> Result<Self, ExpectError> {
        Self::parse(text)
    }
}

impl PartialEq for Expectation {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expectation {}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.text, f)
    }
}

impl fmt::Debug for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Expectation {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

/// A text; or a whole number, which means exactly that number: `status = 301`.
impl<'de> Deserialize<'de> for Expectation {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Expectation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an expectation such as \"< 100 ms\" or \"== 301\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Expectation, E> {
                Expectation::parse(text).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Expectation, E> {
                Ok(Expectation::equals(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Expectation, E> {
                i64::try_from(number)
                    .map(Expectation::equals)
                    .map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A count that is none, such as a value of Prometheus, keeps its digits.
            Self::Number(value, Unit::Count) if value.is_finite() => write!(f, "{value}"),
            Self::Number(value, unit) => f.write_str(&unit.show(*value)),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Grade(grade) => write!(f, "{grade}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expect(text: &str) -> Expectation {
        Expectation::parse(text).unwrap()
    }

    fn word(text: &str) -> Measured {
        Measured::Text(text.into())
    }

    fn count(value: f64) -> Measured {
        Measured::Number(value, Unit::Count)
    }

    #[track_caller]
    fn check(text: &str, measured: &Measured, holds: bool) {
        assert_eq!(expect(text).compare(measured), Ok(holds), "{text}");
        assert_eq!(expect(text).holds(measured), holds);
    }

    #[track_caller]
    fn refused(text: &str, says: &str) {
        let error = Expectation::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn numbers_are_compared() {
        for (text, yes, no) in [
            ("< 3", 2.0, 3.0),
            ("<= 3", 3.0, 3.5),
            ("> 3", 4.0, 3.0),
            (">= 2", 2.0, 1.0),
            ("== 301", 301.0, 302.0),
            ("!= 3", 4.0, 3.0),
            ("between 1 and 3", 3.0, 3.1),
            (">=2", 2.0, 1.0),
            ("> -1.5", 0.0, -2.0),
        ] {
            check(text, &count(yes), true);
            check(text, &count(no), false);
        }
    }

    #[test]
    fn units_meet_in_their_base() {
        let ms = |value| Measured::Number(value, Unit::Milliseconds);
        check("< 1 s", &ms(999.0), true);
        check("< 1 s", &ms(1000.0), false);
        check("between 10 and 20 ms", &ms(15.0), true);
        check("< 5 %", &Measured::Number(0.049, Unit::Ratio), true);
        check("< 5 %", &Measured::Number(0.05, Unit::Ratio), false);
        check("> 21 days", &Measured::Number(22.0, Unit::Days), true);
        check("> 21", &Measured::Number(21.0, Unit::Days), false);
        check("< 0.05", &Measured::Number(0.04, Unit::Ratio), true);
        check(">= 1 MB", &Measured::Number(1_048_576.0, Unit::Bytes), true);
        check("> 49/s", &Measured::Number(50.0, Unit::PerSecond), true);
    }

    #[test]
    fn texts_are_compared() {
        check("contains max-age", &word("Max-Age=300"), true);
        check("contains max-age", &word("no-store"), false);
        check("matches ^nginx", &word("nginx/1.22"), true);
        check("matches ^nginx", &word("not nginx"), false);
        check("== TLSv1.3", &word("TLSv1.3"), true);
        check("!= ok", &word("ok"), false);
        check("== 301", &word("301"), true);
        check("== 2026-11-21", &word("2026-11-21"), true);
        check("== 1.2.3", &word("1.2.3"), true);
    }

    #[test]
    fn unlike_things_are_a_mistake_and_never_hold() {
        let mistaken = |text: &str, measured: &Measured, says: &str| {
            let error = expect(text).compare(measured).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!expect(text).holds(measured));
        };
        mistaken("< 100 ms", &word("fast"), "a text is not compared");
        mistaken("contains a", &count(1.0), "a number is not compared");
        mistaken("< 100 ms", &count(1.0), "without a unit");
        mistaken("!= 100 ms", &count(1.0), "without a unit");
        let ratio = Measured::Number(0.1, Unit::Ratio);
        mistaken("< 100 ms", &ratio, "write a part such as 5 %");
    }

    #[test]
    fn grades_are_compared_in_their_order() {
        let grade = |word: &str| Measured::Grade(word.parse().unwrap());
        for (text, yes, no) in [
            (">= A", "A+", "A-"),
            (">= A", "A", "B"),
            ("> B", "B+", "B"),
            ("<= C", "D", "C+"),
            ("< A", "A-", "A"),
            ("== A+", "A+", "A"),
            ("!= F", "T", "F"),
            (">= F", "F", "T"),
        ] {
            check(text, &grade(yes), true);
            check(text, &grade(no), false);
        }
        for (text, like) in [
            ("< 3", grade("A")),
            ("contains A", grade("A")),
            (">= A", count(1.0)),
            (">= A", word("A")),
            ("== good", grade("A")),
        ] {
            assert!(expect(text).compare(&like).is_err(), "{text}");
        }
        refused(">= A++", "does not begin with a number");
    }

    #[test]
    fn what_is_no_number_never_holds() {
        for text in ["< 3", ">= 3", "!= 3", "== 3", "between 1 and 3"] {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                check(text, &count(value), false);
            }
        }
    }

    #[test]
    fn every_slip_is_named_with_its_remedy() {
        refused("", "nothing is expected");
        refused("301", "did you mean \"== 301\"");
        refused("= 301", "did you mean \"== 301\"");
        refused("< 100 sec", "did you mean \"s\"");
        refused("< 100 mS", "did you mean \"ms\"");
        refused("< 5 percent", "did you mean \"%\"");
        refused("< 5 parsecs", "known units are %, ms, s");
        refused("<", "does not begin with a number");
        refused("< inf", "does not begin with a number");
        refused("== ", "nothing follows ==");
        refused("== 3 sec", "did you mean \"s\"");
        refused("below 3", "did you mean \"<\"");
        refused("has nginx", "did you mean \"contains\"");
        refused("roughly 3", "\"roughly\" is no comparison");
        refused("between 1", "two ends");
        refused("between 3 and 1", "lower end first");
        refused("between 1 s and 3 %", "different units");
        refused("matches (", "unclosed group");
        refused("matches (a{999}){999}", "mend the pattern");
        refused(&format!("== {}", "x".repeat(BYTES_MAX)), "bytes long");
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        let read = |json: &str| serde_json::from_str::<Expectation>(json).unwrap();
        let written = serde_json::to_string(&read("\" < 100 ms \"")).unwrap();
        assert_eq!(written, "\"< 100 ms\"");
        assert_eq!(read("301"), expect("== 301"));
        assert!(read("0").holds(&count(0.0)));
        let error = serde_json::from_str::<Expectation>("\"< 1 sec\"").unwrap_err();
        assert!(error.to_string().contains("did you mean"), "{error}");
        assert!(serde_json::from_str::<Expectation>("true").is_err());
    }

    #[test]
    fn a_number_of_prometheus_takes_the_unit_that_is_expected() {
        assert_eq!(expect("< 100 ms").natural_unit(), Unit::Seconds);
        assert_eq!(expect("< 5 %").natural_unit(), Unit::Ratio);
        assert_eq!(expect("< 0.05").natural_unit(), Unit::Count);
    }

    #[test]
    fn measurements_read_as_people_write_them() {
        assert_eq!(count(0.031).to_string(), "0.031");
        assert_eq!(
            Measured::Number(12.0, Unit::Milliseconds).to_string(),
            "12 ms"
        );
        assert_eq!(word("a\u{1b}b").to_string(), "\"a^[b\"");
        assert_eq!(count(f64::NAN).to_string(), "[?] NaN");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_remedy(text in any::<String>()) {
            match Expectation::parse(&text) {
                Ok(read) => prop_assert_eq!(Expectation::parse(read.as_str()).ok(), Some(read)),
                Err(error) => prop_assert!(!error.remedy.is_empty()),
            }
        }

        #[test]
        fn opposites_never_both_hold(value in any::<f64>(), bound in -1e12..1e12_f64) {
            let value = count(value);
            let pair = |a: &str, b: &str| {
                let holds = |sign: &str| expect(&format!("{sign} {bound:.3}")).holds(&value);
                (holds(a), holds(b))
            };
            for (a, b) in [("<", ">="), (">", "<="), ("==", "!=")] {
                prop_assert_ne!(pair(a, b), (true, true));
            }
            if let Measured::Number(number, _) = value && number.is_finite() {
                for (a, b) in [("<", ">="), (">", "<="), ("==", "!=")] {
                    prop_assert_ne!(pair(a, b), (false, false));
                }
            }
        }

        #[test]
        fn the_unit_of_the_bound_changes_nothing(ms in 0.0..1e9_f64, bound in 0.0..1e6_f64) {
            let measured = Measured::Number(ms, Unit::Milliseconds);
            let in_ms = expect(&format!("<= {bound:.3} ms"));
            let in_s = expect(&format!("<= {:.6} s", (bound * 1e3).round() / 1e6));
            prop_assert_eq!(in_ms.holds(&measured), in_s.holds(&measured));
        }

        #[test]
        fn the_same_time_holds_alike_in_every_unit(days in 0.0..1e4_f64) {
            let limit = expect("<= 36 h");
            let in_days = Measured::Number(days, Unit::Days);
            let in_seconds = Measured::Number(days * 86_400.0, Unit::Seconds);
            prop_assert_eq!(limit.holds(&in_days), limit.holds(&in_seconds));
        }
    }
}
