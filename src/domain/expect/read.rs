//! Reads an expectation: its comparison, its number, its unit. Every slip is met with what was probably meant.

use regex::RegexBuilder;

use super::{Bound, Operator, Quantity, Test};
use crate::domain::Clean;

/// Of a compiled pattern. Patterns are words and anchors; more is an accident or an attack.
const PATTERN_BYTES_MAX: usize = 64 * 1024;

const FORMS: &str = "write one such as \"< 100 ms\", \">= 2\", \"== 301\", \"between 1 and 3\", \"contains max-age\" or \"matches ^nginx\"";

/// What is wrong, and what to write instead.
pub(super) struct Problem {
    pub(super) problem: String,
    pub(super) remedy: String,
}

fn problem<T>(problem: impl Into<String>, remedy: impl Into<String>) -> Result<T, Problem> {
    Err(Problem {
        problem: problem.into(),
        remedy: remedy.into(),
    })
}

pub(super) fn read(text: &str) -> Result<Test, Problem> {
    if text.is_empty() {
        return problem("nothing is expected", FORMS);
    }
    // The longer sign first: `<=` begins with `<`.
    let compares = [
        ("<=", Operator::AtMost),
        (">=", Operator::AtLeast),
        ("<", Operator::Less),
        (">", Operator::More),
    ];
    for (sign, operator) in compares {
        if let Some(rest) = text.strip_prefix(sign) {
            return match rest.trim().parse() {
                Ok(grade) => Ok(Test::Grade(operator, grade)),
                Err(_) => Ok(Test::Compare(operator, bound(rest)?)),
            };
        }
    }
    if let Some(rest) = text.strip_prefix("==") {
        let word = operand("==", rest)?;
        return Ok(Test::Same(Clean::line(word), number(word)?));
    }
    if let Some(rest) = text.strip_prefix("!=") {
        let word = operand("!=", rest)?;
        return Ok(Test::Differs(Clean::line(word), number(word)?));
    }
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match word {
        "between" => between(rest),
        "contains" => Ok(Test::Contains(Clean::line(operand(word, rest)?))),
        "matches" => pattern(operand(word, rest)?),
        _ => unknown(text, word),
    }
}

fn unknown(text: &str, word: &str) -> Result<Test, Problem> {
    if let Some(rest) = text.strip_prefix('=') {
        let meant = rest.trim_start_matches(['=', '<', '>']).trim();
        return problem(
            "a single = compares nothing",
            format!("did you mean \"== {meant}\""),
        );
    }
    if bound(text).is_ok() {
        return problem(
            "it does not say how to compare",
            format!("did you mean \"== {text}\" or \"<= {text}\""),
        );
    }
    let meant = match word.to_ascii_lowercase().as_str() {
        "contains" | "contain" | "has" | "includes" | "include" => "contains",
        "matches" | "match" | "like" | "~" | "=~" => "matches",
        "between" | "within" | "in" => "between",
        "under" | "below" | "less" => "<",
        "over" | "above" | "more" => ">",
        "is" | "equals" | "equal" => "==",
        "not" => "!=",
        _ => return problem(format!("{word:?} is no comparison"), FORMS),
    };
    problem(
        format!("{word:?} is no comparison"),
        format!("did you mean {meant:?}"),
    )
}

fn operand<'a>(sign: &str, rest: &'a str) -> Result<&'a str, Problem> {
    match rest.trim() {
        "" => problem(format!("nothing follows {sign}"), FORMS),
        word => Ok(word),
    }
}

fn between(rest: &str) -> Result<Test, Problem> {
    let Some((low, high)) = rest.split_once(" and ") else {
        return problem("between has two ends", "write \"between 1 and 3\"");
    };
    let high = bound(high)?;
    let mut low = bound(low)?;
    // `between 10 and 20 ms`: the unit of the second end holds for both.
    if low.quantity == Quantity::Plain && high.quantity != Quantity::Plain {
        low = bound(&format!("{} {}", low.value, unit_word(rest)))?;
    }
    if low.quantity != high.quantity {
        return problem("the two ends have different units", "give both the same");
    }
    if low.value > high.value {
        return problem("nothing is between these ends", "write the lower end first");
    }
    Ok(Test::Between(low, high))
}

/// What follows the last digit.
fn unit_word(text: &str) -> &str {
    text.rsplit(|c: char| c.is_ascii_digit())
        .next()
        .unwrap_or_default()
        .trim()
}

fn pattern(source: &str) -> Result<Test, Problem> {
    let built = RegexBuilder::new(source)
        .size_limit(PATTERN_BYTES_MAX)
        .build();
    match built {
        Ok(pattern) => Ok(Test::Matches(pattern)),
        Err(error) => {
            // The last line says what is wrong; the ones before draw an arrow at it.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            problem(
                last.trim_start_matches("error: ").to_owned(),
                "mend the pattern; for plain text write \"contains …\"",
            )
        }
    }
}

/// A number with its unit where the text begins as one; `None` where it is a word.
fn number(word: &str) -> Result<Option<Bound>, Problem> {
    let begins = word.trim_start_matches(['-', '+', '.']);
    let is_version = word.matches('.').count() > 1;
    if is_version || !begins.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(None);
    }
    match bound(word) {
        Ok(bound) => Ok(Some(bound)),
        // `== 2026-11-21` and `== 3abc` are texts; `== 3 sec` is a number with a slip.
        Err(_) if !word.contains(' ') => Ok(None),
        Err(error) => Err(error),
    }
}

fn bound(text: &str) -> Result<Bound, Problem> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let Some(value) = digits.parse::<f64>().ok().filter(|value| value.is_finite()) else {
        return problem(format!("{text:?} does not begin with a number"), FORMS);
    };
    let (quantity, factor) = unit_of(unit.trim())?;
    Ok(Bound {
        value: value * factor,
        quantity,
    })
}

const KB: f64 = 1024.0;

/// Sizes are binary, as they are shown: 1 KB is 1024 bytes.
const UNITS: [(&str, Quantity, f64); 18] = [
    ("%", Quantity::Part, 0.01),
    ("ms", Quantity::Time, 1.0),
    ("s", Quantity::Time, 1e3),
    ("min", Quantity::Time, 60e3),
    ("h", Quantity::Time, 3_600e3),
    ("d", Quantity::Time, 86_400e3),
    ("day", Quantity::Time, 86_400e3),
    ("days", Quantity::Time, 86_400e3),
    ("B", Quantity::Size, 1.0),
    ("KB", Quantity::Size, KB),
    ("MB", Quantity::Size, KB * KB),
    ("GB", Quantity::Size, KB * KB * KB),
    ("TB", Quantity::Size, KB * KB * KB * KB),
    ("B/s", Quantity::SizeRate, 1.0),
    ("KB/s", Quantity::SizeRate, KB),
    ("MB/s", Quantity::SizeRate, KB * KB),
    ("GB/s", Quantity::SizeRate, KB * KB * KB),
    ("/s", Quantity::Rate, 1.0),
];

fn unit_of(word: &str) -> Result<(Quantity, f64), Problem> {
    if word.is_empty() {
        return Ok((Quantity::Plain, 1.0));
    }
    if let Some((_, quantity, factor)) = UNITS.iter().find(|(unit, ..)| *unit == word) {
        return Ok((*quantity, *factor));
    }
    let remedy = match meant_unit(word) {
        Some(unit) => format!("did you mean {unit:?}"),
        None => {
            let known: Vec<&str> = UNITS.iter().map(|(unit, ..)| *unit).collect();
            format!("known units are {}", known.join(", "))
        }
    };
    problem(format!("unknown unit {word:?}"), remedy)
}

/// The unit behind a slip or another habit.
fn meant_unit(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let habit = match word.as_str() {
        "percent" | "pct" | "pc" => "%",
        "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "mins" | "minute" | "minutes" => "min",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "byte" | "bytes" => "B",
        "k" | "kib" => "KB",
        "mib" => "MB",
        "g" | "gib" => "GB",
        "t" | "tib" => "TB",
        "rps" | "req/s" | "requests/s" | "per second" | "hz" => "/s",
        _ => "",
    };
    if !habit.is_empty() {
        return Some(habit);
    }
    let alike = UNITS
        .iter()
        .find(|(unit, ..)| unit.eq_ignore_ascii_case(&word));
    alike.map(|(unit, ..)| *unit)
}
