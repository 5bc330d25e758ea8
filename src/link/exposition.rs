//! The Prometheus text format, read line by line.
//!
//! Borrows from the body, goes on after a line it cannot read, and counts what it left out. Types and help texts are
//! not read, and neither are the sample times that an exporter may add: a figure is as old as its arrival here says,
//! never as it claims itself. Exemplars and `# EOF` are passed over.

use std::borrow::Cow;

use thiserror::Error;

use crate::domain::Clean;

/// An exposition above this is a mistake of the exporter; what a replica needs to say fits in a hundredth of it.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Series kept of one body. An exporter that labels by user or by URL has millions, and none is worth our memory.
pub const SERIES_MAX: usize = 2_000;

/// A person reads no label that is longer.
pub const LABEL_SHOWN_BYTES_MAX: usize = 256;

/// Labels of one series; Prometheus itself is seldom configured to take more than 30.
const LABELS_MAX: usize = 64;

/// One line: a series and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    pub name: Cow<'a, str>,
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub value: f64,
}

impl Sample<'_> {
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    }
}

/// What a body said, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition<'a> {
    /// At most [`SERIES_MAX`], in the order of the body.
    pub samples: Vec<Sample<'a>>,
    /// Wanted series beyond [`SERIES_MAX`].
    pub dropped: u64,
    /// Lines that could not be read, wanted or not.
    pub unreadable: u64,
    /// The first line of a wanted series that could not be read: figures made from the others are not complete.
    pub spoilt: Option<Spoilt>,
}

/// Where a wanted series could not be read, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoilt {
    /// Counted from 1.
    pub line: usize,
    pub name: Clean,
    pub why: Unreadable,
}

/// Why a line could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    #[error("not UTF-8")]
    NotText,
    #[error("no metric name")]
    NoName,
    #[error("a label without a name, a value or its quotes")]
    Label,
    #[error("more than {LABELS_MAX} labels")]
    TooManyLabels,
    #[error("no value")]
    NoValue,
    #[error("the value is no number")]
    NotANumber,
}

/// A label's value as it may be shown: cleaned and cut.
pub fn shown(value: &str) -> Clean {
    if value.len() <= LABEL_SHOWN_BYTES_MAX {
        return Clean::line(value);
    }
    let end = (0..=LABEL_SHOWN_BYTES_MAX)
        .rev()
        .find(|&i| value.is_char_boundary(i))
        .unwrap_or(0);
    let more = value.len() - end;
    Clean::line(&format!("{} [cut: {more} bytes more]", &value[..end]))
}

/// Reads a body; keeps the series whose name is wanted.
pub fn parse(body: &[u8], wanted: impl Fn(&str) -> bool) -> Exposition<'_> {
    let mut seen = Exposition::default();
    for (index, raw) in body.split(|&byte| byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(raw) else {
            seen.unreadable += 1;
            spoil(&mut seen, index, &wanted, raw);
            continue;
        };
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match name_of(line) {
            Ok((name, rest)) => take(&mut seen, index, &wanted, name, rest),
            Err(_) => seen.unreadable += 1,
        }
    }
    seen
}

/// A line that is no text may still begin with the name of a series that matters.
fn spoil(seen: &mut Exposition<'_>, index: usize, wanted: &impl Fn(&str) -> bool, raw: &[u8]) {
    let end = raw
        .iter()
        .position(|b| matches!(b, b'{' | b' ' | b'\t'))
        .unwrap_or(raw.len());
    let Ok(name) = std::str::from_utf8(&raw[..end]) else {
        return;
    };
    if wanted(name) {
        seen.spoilt.get_or_insert_with(|| Spoilt {
            line: index + 1,
            name: shown(name),
            why: Unreadable::NotText,
        });
    }
}

fn take<'a>(
    seen: &mut Exposition<'a>,
    index: usize,
    wanted: &impl Fn(&str) -> bool,
    name: Cow<'a, str>,
    rest: &'a str,
) {
    let is_wanted = wanted(&name);
    // Beyond the limit, a series costs its name and no more.
    if is_wanted && seen.samples.len() >= SERIES_MAX {
        seen.dropped += 1;
        return;
    }
    match series(rest) {
        Ok((labels, value)) if is_wanted => seen.samples.push(Sample {
            name,
            labels,
            value,
        }),
        Ok(_) => {}
        Err(why) => {
            seen.unreadable += 1;
            if is_wanted {
                seen.spoilt.get_or_insert_with(|| Spoilt {
                    line: index + 1,
                    name: shown(&name),
                    why,
                });
            }
        }
    }
}

/// The name, and what comes after it. Prometheus 3 also writes a quoted name inside the braces: `{"my.name",a="b"} 1`.
fn name_of(line: &str) -> Result<(Cow<'_, str>, &str), Unreadable> {
    if let Some(inside) = line.strip_prefix('{') {
        let quoted = inside.trim_start().strip_prefix('"');
        let (name, rest) = unquote(quoted.ok_or(Unreadable::NoName)?)?;
        let rest = rest.trim_start();
        return Ok((name, rest.strip_prefix(',').unwrap_or(rest)));
    }
    let end = line
        .find(|c: char| c == '{' || c.is_ascii_whitespace())
        .ok_or(Unreadable::NoValue)?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return Err(Unreadable::NoName);
    }
    let rest = rest.trim_start();
    Ok((Cow::Borrowed(name), rest))
}

/// Labels and value: all that follows the name.
fn series(rest: &str) -> Result<(Labels<'_>, f64), Unreadable> {
    let is_bare = || {
        let first = rest.split_ascii_whitespace().next();
        first.is_some_and(|word| word.parse::<f64>().is_ok())
    };
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None if is_bare() => (Vec::new(), rest),
        // A quoted name has consumed the opening brace; the closing one is still to come.
        None if rest.contains('}') => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest
        .split('#')
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace();
    let value = number(words.next().ok_or(Unreadable::NoValue)?)?;
    Ok((labels, value))
}

type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// `a="b",c="d"}` and what follows.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), Unreadable> {
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((all, after));
        }
        if all.len() == LABELS_MAX {
            return Err(Unreadable::TooManyLabels);
        }
        let (key, after) = label_name(rest)?;
        let quoted = after.trim_start().strip_prefix('"');
        let (value, after) = unquote(quoted.ok_or(Unreadable::Label)?)?;
        all.push((key, value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.starts_with('}') => after,
            None => return Err(Unreadable::Label),
        };
    }
}

/// The name before `=`, plain or quoted, and what comes after the `=`.
fn label_name(rest: &str) -> Result<(Cow<'_, str>, &str), Unreadable> {
    let (key, after) = match rest.strip_prefix('"') {
        Some(quoted) => {
            let (key, after) = unquote(quoted)?;
            (key, after.trim_start())
        }
        None => {
            let end = rest.find('=').ok_or(Unreadable::Label)?;
            (Cow::Borrowed(rest[..end].trim_end()), &rest[end..])
        }
    };
    let is_name = !key.is_empty() && !key.contains(['"', '{', '}', ',']);
    match after.strip_prefix('=') {
        Some(after) if is_name => Ok((key, after)),
        _ => Err(Unreadable::Label),
    }
}

/// Reads up to the closing quote; the opening one is already gone.
fn unquote(rest: &str) -> Result<(Cow<'_, str>, &str), Unreadable> {
    let bytes = rest.as_bytes();
    let mut end = 0;
    let mut escaped = false;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'"' => {
                let raw = &rest[..end];
                let value = if escaped {
                    Cow::Owned(unescape(raw))
                } else {
                    Cow::Borrowed(raw)
                };
                return Ok((value, &rest[end + 1..]));
            }
            b'\\' => {
                escaped = true;
                end += 2;
            }
            _ => end += 1,
        }
    }
    Err(Unreadable::Label)
}

/// `\n`, `\\` and `\"`; any other backslash stands for itself.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(known @ ('\\' | '"')) => out.push(known),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// Rust reads `+Inf`, `-Inf`, `NaN` in any case, as the format asks; only `infinity` is too lenient, and harmless.
fn number(word: &str) -> Result<f64, Unreadable> {
    word.parse().map_err(|_| Unreadable::NotANumber)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(body: &str) -> Exposition<'_> {
        parse(body.as_bytes(), |_| true)
    }

    #[track_caller]
    fn check(line: &str, name: &str, labels: &[(&str, &str)], value: f64) {
        let seen = all(line);
        assert_eq!(seen.unreadable, 0, "{line}");
        let [sample] = &*seen.samples else {
            panic!("not one sample: {seen:?}");
        };
        let found: Vec<_> = sample.labels.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!((&*sample.name, &*found), (name, labels));
        assert!(sample.value.total_cmp(&value).is_eq(), "{}", sample.value);
    }

    #[track_caller]
    fn unreadable(line: &str, why: Unreadable) {
        let seen = all(line);
        assert!(seen.samples.is_empty(), "{seen:?}");
        assert_eq!(seen.unreadable, 1, "{line}");
        if let Some(spoilt) = seen.spoilt {
            assert_eq!(spoilt.why, why);
        }
    }

    #[test]
    fn every_form_of_a_line_is_read() {
        check("up 1", "up", &[], 1.0);
        check("a{} 2\r", "a", &[], 2.0);
        check("a {b=\"c\"}3", "a", &[("b", "c")], 3.0);
        check(
            "m{method=\"post\",code=\"200\",} 1027 1395066363000",
            "m",
            &[("method", "post"), ("code", "200")],
            1027.0,
        );
        check(
            "  spaced  {a = \"b\" , c=\"}{#\"}  3.5e-3",
            "spaced",
            &[("a", "b"), ("c", "}{#")],
            0.0035,
        );
        check(
            "b{le=\"+Inf\"} 5 # {trace_id=\"x\"} 0.67 1.2",
            "b",
            &[("le", "+Inf")],
            5.0,
        );
        check("{\"my.name\",a=\"b\"} 1", "my.name", &[("a", "b")], 1.0);
        check("{\"my.name\"} 1", "my.name", &[], 1.0);
        check("a{\"my.label\"=\"b\"} 1", "a", &[("my.label", "b")], 1.0);
    }

    #[test]
    fn escapes_are_undone_and_unknown_ones_kept() {
        check(
            r#"a{p="C:\\d\"q\n\x"} 1"#,
            "a",
            &[("p", "C:\\d\"q\n\\x")],
            1.0,
        );
    }

    #[test]
    fn numbers_that_are_none_are_kept_as_such() {
        check("a NaN", "a", &[], f64::NAN);
        check("a +Inf", "a", &[], f64::INFINITY);
        check("a -Inf", "a", &[], f64::NEG_INFINITY);
        check("a 1e308", "a", &[], 1e308);
    }

    #[test]
    fn a_bad_line_is_counted_and_the_next_is_read() {
        let seen = all("bad{x=1} 2\ngood 1\nalone\nfoo bar\n{} 1\na{b=\"c} 1\n# EOF\n");
        assert_eq!((seen.samples.len(), seen.unreadable), (1, 5));
        let spoilt = seen.spoilt.expect("a wanted line was bad");
        assert_eq!((spoilt.line, spoilt.name.as_str()), (1, "bad"));
        unreadable("x text", Unreadable::NotANumber);
        unreadable("x{a=\"b\"c=\"d\"} 1", Unreadable::Label);
        unreadable("x{a=\"b\"}", Unreadable::NoValue);
    }

    #[test]
    fn a_bad_line_of_an_unwanted_series_spoils_nothing() {
        let body = b"other{x=1} 2\nother{\xff} 2\nwanted 1\nwanted{\xff} 2";
        let seen = parse(body, |name| name == "wanted");
        assert_eq!((seen.samples.len(), seen.unreadable), (1, 3));
        assert_eq!(seen.spoilt.map(|s| s.line), Some(4));
        assert_eq!(parse(&body[..30], |name| name == "x").spoilt, None);
    }

    #[test]
    fn series_beyond_the_limit_are_counted_not_kept() {
        use std::fmt::Write;
        let mut body = String::new();
        for i in 0..SERIES_MAX + 10 {
            let _ = writeln!(body, "other 1\nx{{i=\"{i}\"}} 1");
        }
        let seen = parse(body.as_bytes(), |name| name == "x");
        assert_eq!((seen.samples.len(), seen.dropped), (SERIES_MAX, 10));
    }

    #[test]
    fn a_long_label_is_shown_cut() {
        let long = "é".repeat(40_000);
        let clean = shown(&long);
        assert!(clean.len() < LABEL_SHOWN_BYTES_MAX + 40, "{}", clean.len());
        assert!(clean.ends_with("bytes more]"), "{clean}");
        assert_eq!(shown("\x1b[2J").as_str(), "^[[2J");
    }

    fn escape(raw: &str) -> String {
        raw.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    }

    proptest! {
        #[test]
        fn whatever_comes_in_nothing_breaks(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let seen = parse(&body, |_| true);
            let lines = body.split(|&b| b == b'\n').count();
            prop_assert!(seen.samples.len() as u64 + seen.unreadable + seen.dropped <= lines as u64);
        }

        #[test]
        fn near_misses_do_not_break_either(body in "[a-b]{0,2}[{ ]?[a-b=\"\\\\,}{# ]{0,20}[0-9eE+. -]{0,6}\n?") {
            let _ = all(&body);
        }

        #[test]
        fn what_is_written_is_read_back(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
            labels in proptest::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,8}", any::<String>()), 0..6),
            value in any::<f64>(),
            stamp in proptest::option::of(any::<i64>()),
        ) {
            let inner: Vec<_> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escape(v))).collect();
            let stamp = stamp.map(|t| format!(" {t}")).unwrap_or_default();
            let line = format!("# TYPE {name} counter\n{name}{{{}}} {value:?}{stamp}\r\n# EOF", inner.join(","));
            let seen = all(&line);
            prop_assert_eq!(seen.unreadable, 0, "{}", line);
            let sample = &seen.samples[0];
            prop_assert_eq!(&*sample.name, name.as_str());
            let found: Vec<_> = sample.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            prop_assert_eq!(found, labels);
            prop_assert!(sample.value.total_cmp(&value).is_eq() || (sample.value.is_nan() && value.is_nan()));
        }
    }
}
