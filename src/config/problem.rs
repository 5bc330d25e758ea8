//! What is wrong with a configuration, said so that it can be mended: where, what stands there, what to write instead.
//!
//! Problems are data and are all reported at once. A drawing shows the line with carets under the offending text. No
//! secret gets in: credentials in URLs and the values of keys that sound like secrets are masked before anything is kept.

use std::fmt;
use std::ops::Range;

use crate::domain::{Clean, text::fit};

/// More problems than this are counted, not kept: nobody reads them, and a broken file can have one for each of its bytes.
const PROBLEMS_MAX: usize = 100;

/// Characters of the line shown before and after the place: a line may be a megabyte.
const CONTEXT_CHARS: usize = 60;

/// How much of a line is searched for secrets on each side of the place: a file may be one line of a megabyte.
const LINE_BYTES_AROUND: usize = 4096;

/// Longest offending text that is repeated in words.
const TEXT_COLUMNS: usize = 60;

/// One mistake. `says` and `remedy` are phrases that stand on their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or the variable or flag that the text came from.
    pub file: Clean,
    /// Counted from 1; 0 where the text came from a variable or a flag.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The offending text, masked where it may be a secret.
    pub text: Clean,
    pub says: Clean,
    pub remedy: Clean,
    drawing: Drawing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Drawing {
    line: Clean,
    /// Columns before the caret, and carets.
    indent: usize,
    carets: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match self.line {
            0 => String::new(),
            line => line.to_string(),
        };
        match self.line {
            0 => writeln!(f, "{}: {}", self.file, self.says)?,
            line => writeln!(f, "{}:{line}:{}: {}", self.file, self.column, self.says)?,
        }
        let (gutter, space) = (number.len().max(4), "");
        let Drawing {
            line,
            indent,
            carets,
        } = &self.drawing;
        writeln!(f, "{number:>gutter$} | {line}")?;
        writeln!(
            f,
            "{space:gutter$} | {space:indent$}{}",
            "^".repeat(*carets)
        )?;
        writeln!(f, "{space:gutter$} = {}", self.remedy)
    }
}

/// All problems of one reading, in the order in which they stand in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    pub all: Vec<Problem>,
    /// Counted, not kept.
    pub more: usize,
}

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn push(&mut self, problem: impl FnOnce() -> Problem) {
        if self.all.len() < PROBLEMS_MAX {
            self.all.push(problem());
        } else {
            self.more += 1;
        }
    }

    pub(super) fn append(&mut self, others: Self) {
        for problem in others.all {
            self.push(|| problem);
        }
        self.more += others.more;
    }

    pub(super) fn sort(&mut self) {
        self.all
            .sort_by_key(|problem| (problem.line, problem.column));
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.all {
            writeln!(f, "{problem}")?;
        }
        let count = self.all.len() + self.more;
        match (count, self.more) {
            (1, _) => write!(f, "1 problem; nothing was changed"),
            (_, 0) => write!(f, "{count} problems; nothing was changed"),
            (_, more) => write!(
                f,
                "{count} problems, {more} of them not shown; nothing was changed"
            ),
        }
    }
}

/// A text with a name: a file, or the value of a variable or a flag.
pub(super) struct Source<'t> {
    name: Clean,
    text: &'t str,
    /// Where each line begins; empty for a text that has no lines to count.
    starts: Vec<usize>,
}

impl<'t> Source<'t> {
    pub(super) fn file(name: Clean, text: &'t str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after).collect();
        Self { name, text, starts }
    }

    /// `environment variable DOCKER_HOST`, `--theme`.
    pub(super) fn value(name: &str, text: &'t str) -> Self {
        Self {
            name: Clean::line(name),
            text,
            starts: Vec::new(),
        }
    }

    /// Line and column, counted from 1; line 0 where there are no lines.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).map_or(0, |index| self.starts[index]);
        let before = self.text.get(start..at).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The line on which `at` stands, without its end; of a huge line the part around `at`.
    fn line_range(&self, at: usize) -> Range<usize> {
        let first = self
            .text
            .floor_char_boundary(at.saturating_sub(LINE_BYTES_AROUND));
        let last = self.text.floor_char_boundary(at + LINE_BYTES_AROUND);
        let start = self.text[first..at]
            .rfind('\n')
            .map_or(first, |found| first + found + 1);
        let end = self.text[at..last]
            .find('\n')
            .map_or(last, |found| at + found);
        let end = if self.text[start..end].ends_with('\r') {
            end - 1
        } else {
            end
        };
        start..end.max(start)
    }

    /// What stands at `span`, for showing: one line, masked, not long.
    pub(super) fn shown(&self, span: &Range<usize>, secret: Option<&Range<usize>>) -> Clean {
        let span = self.within(span);
        let line = self.line_range(span.start);
        let masked = self.masked(&line, secret);
        let cut = span.start.min(line.end) - line.start..span.end.min(line.end) - line.start;
        let clean = Clean::line(&masked[cut]);
        let short = fit(&clean, TEXT_COLUMNS);
        if short.len() < clean.len() || span.end > line.end {
            Clean::line(&format!("{}...", short.trim_end()))
        } else {
            clean
        }
    }

    /// `secret` is masked in what is kept, beside what [`mask`] finds by itself.
    pub(super) fn problem(
        &self,
        span: &Range<usize>,
        secret: Option<&Range<usize>>,
        says: &str,
        remedy: &str,
    ) -> Problem {
        let span = self.within(span);
        let (line, column) = self.place(span.start);
        Problem {
            file: self.name.clone(),
            line,
            column,
            text: self.shown(&span, secret),
            says: Clean::line(says),
            remedy: Clean::line(remedy),
            drawing: self.draw(&span, secret),
        }
    }

    fn draw(&self, span: &Range<usize>, secret: Option<&Range<usize>>) -> Drawing {
        let line = self.line_range(span.start);
        let masked = self.masked(&line, secret);
        let from = span.start.min(line.end) - line.start;
        let to = span.end.min(line.end) - line.start;
        let (before, under, after) = (
            &masked[..from],
            &masked[from..to.max(from)],
            &masked[to.max(from)..],
        );
        let head = tail_chars(before);
        let dots = if head.len() < before.len() { "..." } else { "" };
        let body = head_chars(under, CONTEXT_CHARS);
        let rest = if body.len() < under.len() {
            ""
        } else {
            head_chars(after, CONTEXT_CHARS)
        };
        let cut = body.len() + rest.len() < under.len() + after.len();
        let shown = format!("{dots}{head}{body}{rest}{}", if cut { "..." } else { "" });
        Drawing {
            line: Clean::line(shown.trim_end()),
            indent: Clean::line(&format!("{dots}{head}")).width(),
            carets: Clean::line(body).width().max(1),
        }
    }

    /// The span moved onto character boundaries inside the text.
    fn within(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        start..self.text.floor_char_boundary(span.end).max(start)
    }

    /// One line with secrets replaced byte by byte, so that places in it stay what they were.
    fn masked(&self, line: &Range<usize>, secret: Option<&Range<usize>>) -> String {
        let mut bytes = self.text[line.clone()].as_bytes().to_vec();
        for range in secrets(&self.text[line.clone()]) {
            bytes[range].fill(b'*');
        }
        if let Some(secret) = secret {
            let from = secret.start.clamp(line.start, line.end) - line.start;
            let to = secret.end.clamp(line.start, line.end) - line.start;
            bytes[from..to.max(from)].fill(b'*');
        }
        String::from_utf8(bytes).expect("whole characters are replaced by ASCII")
    }
}

fn head_chars(text: &str, most: usize) -> &str {
    let end = text
        .char_indices()
        .nth(most)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn tail_chars(text: &str) -> &str {
    let start = text
        .char_indices()
        .rev()
        .nth(CONTEXT_CHARS - 1)
        .map_or(0, |(at, _)| at);
    &text[start..]
}

/// A text that may hold credentials, with them masked: for values that did not come out of a file.
pub(super) fn mask(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in secrets(text) {
        bytes[range].fill(b'*');
    }
    String::from_utf8(bytes).expect("whole characters are replaced by ASCII")
}

/// Words in the name of a key that make its value a secret, whatever the file says about it.
const SECRET_WORDS: [&str; 7] = [
    "passw",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "api_key",
];

pub(super) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Where in one line secrets stand: `://user:pass@`, and what follows `password =`.
fn secrets(line: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = line
        .match_indices("://")
        .filter_map(|(at, _)| userinfo(line, at + 3))
        .collect();
    found.extend(
        line.match_indices('=')
            .filter_map(|(at, _)| assigned_secret(line, at)),
    );
    found
}

/// What stands before the last `@` of the authority. A lone user name is no secret: `ssh://deploy@host`.
fn userinfo(line: &str, start: usize) -> Option<Range<usize>> {
    let rest = &line[start..];
    let end = rest
        .find(['/', '?', '#', '"', '\'', ' '])
        .unwrap_or(rest.len());
    // A password may itself hold a slash or a quote; then the `@` stands further on, and all before it is masked.
    let at = rest[..end].rfind('@').or_else(|| {
        let colon = rest[..end].contains(':');
        let far = rest.find(['"', '\'', ' ']).unwrap_or(rest.len());
        rest[..far].rfind('@').filter(|_| colon)
    })?;
    rest[..at].contains(':').then_some(start..start + at)
}

/// The value after this `=`, if what stands before it sounds like a secret. A reference in braces is none.
fn assigned_secret(line: &str, equals: usize) -> Option<Range<usize>> {
    let before = line[..equals].trim_end().trim_end_matches(['"', '\'']);
    let key_from = before
        .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    let value = line[equals + 1..].trim_start();
    if !sounds_secret(&before[key_from..]) || value.starts_with('{') {
        return None;
    }
    let from = line.len() - value.len();
    // In a URL's query the secret ends where the next parameter begins; in TOML it is the rest of the line.
    let query = line[..key_from].ends_with(['?', '&']);
    let to = if query {
        value.find(['&', '"', '\'', ' ', '#'])
    } else {
        None
    };
    Some(from..from + to.unwrap_or(value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, marked: &str) -> String {
        let at = text.find(marked).unwrap();
        Source::file(Clean::from("f.toml"), text)
            .problem(&(at..at + marked.len()), None, "says", "remedy")
            .to_string()
    }

    #[test]
    fn a_problem_points_at_its_text() {
        assert_eq!(
            drawn("a = 1\nservce = 2\n", "servce"),
            "f.toml:2:1: says\n   2 | servce = 2\n     | ^^^^^^\n     = remedy\n"
        );
    }

    #[test]
    fn carets_stand_under_wide_letters_and_behind_tabs() {
        assert_eq!(
            drawn("\t日本 = x\n", "x"),
            "f.toml:1:7: says\n   1 |     日本 = x\n     |            ^\n     = remedy\n"
        );
        assert!(drawn("\t日本 = x\n", "日本").contains("     |     ^^^^\n"));
    }

    #[test]
    fn escape_sequences_in_the_file_are_shown_not_sent() {
        let shown = drawn("a = \"\x1b]52;c;x\x07\"", "a");
        assert!(shown.contains("^[]52;c;x^G"), "{shown}");
        assert!(!shown.contains('\x1b'));
    }

    #[test]
    fn of_a_megabyte_line_only_the_place_is_shown() {
        let text = format!(
            "a = \"{}\" oops {}",
            "x".repeat(500_000),
            "y".repeat(500_000)
        );
        let shown = drawn(&text, "oops");
        assert!(shown.len() < 600, "{}", shown.len());
        assert!(shown.contains("..."));
        let (line, carets) = (shown.lines().nth(1).unwrap(), shown.lines().nth(2).unwrap());
        assert_eq!(line.find("oops"), carets.find("^^^^"));
    }

    #[test]
    fn credentials_are_masked_wherever_they_stand() {
        for (raw, masked) in [
            (
                "url = \"https://me:hunter2@host/x\"",
                "url = \"https://**********@host/x\"",
            ),
            (
                "url = \"https://me:hun/ter2@host/x\"",
                "url = \"https://***********@host/x\"",
            ),
            ("a = \"ssh://deploy@host\"", "a = \"ssh://deploy@host\""),
            ("db_password = hunter2", "db_password = *******"),
            ("x = { \"api-key\" = 'k' }", "x = { \"api-key\" = *****"),
            ("token = { file = \"a\" }", "token = { file = \"a\" }"),
            (
                "u = \"http://h/?token=abc&x=1\"",
                "u = \"http://h/?token=***&x=1\"",
            ),
        ] {
            assert_eq!(mask(raw), masked);
        }
    }

    #[test]
    fn a_span_past_the_end_is_drawn_at_the_end() {
        let source = Source::file(Clean::from("f"), "a =");
        let problem = source.problem(&(3..9), None, "s", "r");
        assert_eq!((problem.line, problem.column), (1, 4));
        assert!(problem.to_string().contains("   1 | a =\n     |    ^\n"));
    }
}
