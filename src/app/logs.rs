//! Log lines that are kept, and how they are looked at.

use std::collections::VecDeque;

use regex::{Regex, RegexBuilder};

use crate::domain::{Clean, ContainerId, Level, LogLine};

/// Lines kept in memory. Bytes are the real bound, lines bound the book-keeping.
const LINES_MAX: usize = 50_000;
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// A ring of lines, oldest first.
#[derive(Debug, Clone, Default)]
pub struct LogBook {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// Lines that went out of the ring.
    pub forgotten: u64,
    /// Lines that never came in: the link dropped them.
    pub lost: u64,
    /// Number of the oldest line, counted from the start.
    pub first: u64,
}

impl LogBook {
    pub fn push(&mut self, line: LogLine) {
        self.bytes += weight(&line);
        self.lines.push_back(line);
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(old) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= weight(&old);
            self.forgotten += 1;
            self.first += 1;
        }
    }

    pub fn clear(&mut self) {
        self.first += self.lines.len() as u64;
        self.lines.clear();
        self.bytes = 0;
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &LogLine> + ExactSizeIterator {
        self.lines.iter()
    }

    /// Lines with their number, newest first.
    pub fn newest(&self) -> impl Iterator<Item = (u64, &LogLine)> {
        let end = self.first + self.lines.len() as u64;
        self.lines
            .iter()
            .rev()
            .enumerate()
            .map(move |(back, line)| (end - 1 - back as u64, line))
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

fn weight(line: &LogLine) -> usize {
    /// The struct itself and its place in the ring.
    const FRAME: usize = 128;
    line.text.len() + line.source.len() + FRAME
}

/// Whose lines are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    All,
    Service(Clean),
    /// One container, with the name it is shown under.
    Container(ContainerId, Clean),
}

/// How the log screen looks at the book.
#[derive(Debug, Clone)]
pub struct LogView {
    pub level: Level,
    pub follow: bool,
    pub wrap: bool,
    pub source: LogSource,
    /// The line at the bottom of the screen; `None` follows the newest.
    pub bottom: Option<u64>,
    pub search: Search,
}

impl Default for LogView {
    fn default() -> Self {
        Self {
            level: Level::Debug,
            follow: true,
            wrap: false,
            source: LogSource::All,
            bottom: None,
            search: Search::default(),
        }
    }
}

impl LogView {
    pub fn shows(&self, line: &LogLine) -> bool {
        line.level >= self.level && self.search.keeps(&line.text)
    }
}

/// What was typed behind `/`: a regular expression, or plain text where it is none; `!` in front turns it round.
#[derive(Debug, Clone, Default)]
pub struct Search {
    text: String,
    pattern: Option<Regex>,
    inverse: bool,
}

impl Search {
    pub(super) const NONE: Self = Self {
        text: String::new(),
        pattern: None,
        inverse: false,
    };

    pub fn new(text: &str) -> Self {
        /// A compiled pattern above this is an accident.
        const SIZE_MAX: usize = 1 << 20;
        let (inverse, bare) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let build = |source: &str| {
            RegexBuilder::new(source)
                .case_insensitive(true)
                .size_limit(SIZE_MAX)
                .build()
        };
        let pattern = if bare.is_empty() {
            None
        } else {
            build(bare).or_else(|_| build(&regex::escape(bare))).ok()
        };
        Self {
            text: text.to_owned(),
            pattern,
            inverse,
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn keeps(&self, text: &str) -> bool {
        self.pattern
            .as_ref()
            .is_none_or(|pattern| pattern.is_match(text) != self.inverse)
    }

    /// Where the text matches, for highlighting; nothing for an inverse search.
    pub fn find(&self, text: &str) -> Vec<(usize, usize)> {
        /// No line needs more marks than this.
        const MARKS_MAX: usize = 32;
        match &self.pattern {
            Some(pattern) if !self.inverse => pattern
                .find_iter(text)
                .take(MARKS_MAX)
                .map(|found| (found.start(), found.end()))
                .collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Stream;

    fn line(text: &str) -> LogLine {
        LogLine {
            at: None,
            container: None,
            source: Clean::from("web-1"),
            stream: Stream::Out,
            level: Level::Info,
            text: Clean::line(text),
        }
    }

    #[test]
    fn the_book_is_bounded_in_bytes_and_counts_what_it_forgets() {
        let mut book = LogBook::default();
        let long = "x".repeat(4000);
        for _ in 0..10_000 {
            book.push(line(&long));
        }
        assert!(book.bytes <= BYTES_MAX && book.len() < 10_000);
        assert_eq!(book.forgotten + book.len() as u64, 10_000);
        assert_eq!(book.newest().next().map(|(n, _)| n), Some(9_999));
    }

    #[test]
    fn a_search_is_a_pattern_or_else_plain_text() {
        assert!(Search::new("po+l").keeps("pooool"));
        assert!(Search::new("pool (").keeps("the POOL ( is full"));
        assert!(!Search::new("!pool").keeps("pool"));
        assert!(Search::new("").keeps("anything"));
    }
}
