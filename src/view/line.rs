//! One line of text in pieces, each with its meaning.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

use super::theme::Role;
use crate::domain::text::fit;

/// Pieces of one line, left to right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub pieces: Vec<(Role, Cow<'a, str>)>,
}

impl<'a> Line<'a> {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn of(role: Role, text: impl Into<Cow<'a, str>>) -> Self {
        Self::new().add(role, text)
    }

    pub(super) fn plain(text: impl Into<Cow<'a, str>>) -> Self {
        Self::of(Role::Text, text)
    }

    pub(super) fn faint(text: impl Into<Cow<'a, str>>) -> Self {
        Self::of(Role::Dim, text)
    }

    #[must_use]
    pub(super) fn add(mut self, role: Role, text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.pieces.push((role, text));
        }
        self
    }

    #[must_use]
    pub(super) fn text(self, text: impl Into<Cow<'a, str>>) -> Self {
        self.add(Role::Text, text)
    }

    #[must_use]
    pub(super) fn dim(self, text: impl Into<Cow<'a, str>>) -> Self {
        self.add(Role::Dim, text)
    }

    #[must_use]
    pub(super) fn join(mut self, other: Line<'a>) -> Self {
        self.pieces.extend(other.pieces);
        self
    }

    /// Blanks up to a column, at least one.
    #[must_use]
    pub(super) fn to(self, column: usize) -> Self {
        let missing = column.saturating_sub(self.width()).max(1);
        self.text(" ".repeat(missing))
    }

    pub(super) fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| text.width()).sum()
    }

    /// Cut into lines of at most `columns`; those after the first are indented. Breaks at blanks where there are some.
    pub(super) fn wrap(self, columns: usize, indent: usize) -> Vec<Line<'a>> {
        if self.width() <= columns || columns <= indent + 1 {
            return vec![self];
        }
        let mut wrapping = Wrapping {
            lines: Vec::new(),
            line: Line::new(),
            left: columns,
            columns,
            indent,
        };
        for (role, text) in self.pieces {
            wrapping.piece(role, &text);
        }
        if wrapping.line.width() > indent || wrapping.lines.is_empty() {
            wrapping.lines.push(wrapping.line);
        }
        wrapping.lines
    }
}

/// Lines under way.
struct Wrapping<'a> {
    lines: Vec<Line<'a>>,
    line: Line<'a>,
    left: usize,
    columns: usize,
    indent: usize,
}

impl Wrapping<'_> {
    fn piece(&mut self, role: Role, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            // At the start of a line a long word is cut; further on it waits for the next line.
            let fresh = self.left >= self.columns - self.indent;
            let part = break_at(rest, self.left, fresh);
            if part.is_empty() && fresh {
                // One letter that is wider than the line: nothing can be done but to leave it out.
                return;
            }
            self.left -= part.width();
            self.line.pieces.push((role, Cow::Owned(part.to_owned())));
            rest = &rest[part.len()..];
            if !rest.is_empty() {
                self.end_line();
                rest = rest.trim_start();
            }
        }
    }

    fn end_line(&mut self) {
        let next = Line::plain(" ".repeat(self.indent));
        self.lines.push(std::mem::replace(&mut self.line, next));
        self.left = self.columns - self.indent;
    }
}

/// What of `text` fits into `columns`, preferably up to a blank.
fn break_at(text: &str, columns: usize, fresh: bool) -> &str {
    let part = fit(text, columns);
    if part.len() == text.len() {
        return part;
    }
    match part.rfind(' ') {
        Some(at) if at > part.len() / 3 || !fresh => &part[..=at],
        None if !fresh => "",
        _ => part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: Line<'_>, columns: usize) -> Vec<String> {
        line.wrap(columns, 2)
            .into_iter()
            .map(|line| line.pieces.iter().map(|(_, t)| t.as_ref()).collect())
            .collect()
    }

    #[test]
    fn long_lines_break_at_blanks_and_are_indented() {
        let line = Line::plain("the pool is exhausted and closed");
        assert_eq!(
            shown(line, 14),
            ["the pool is ", "  exhausted ", "  and closed"]
        );
    }

    #[test]
    fn a_word_that_begins_late_waits_for_the_next_line() {
        let line = Line::plain("first byte 40 ms").add(Role::Dim, "  transfer 0.3 ms");
        assert_eq!(shown(line, 24), ["first byte 40 ms  ", "  transfer 0.3 ms"]);
    }

    #[test]
    fn a_word_without_blanks_is_cut_and_nothing_is_lost() {
        let text = "x".repeat(50);
        let lines = shown(Line::plain(text.clone()), 10);
        let joined: String = lines.iter().map(|l| l.trim()).collect();
        assert_eq!(joined, text);
    }
}
