//! What is wrong with a document or with an answer to it: where, what stands there, what to write instead.
//!
//! Problems are data and are all reported at once.

use std::fmt;

use serde::Serialize;

use crate::domain::Clean;

/// Nobody reads more of them, and a broken document can have one on each of its lines.
pub const PROBLEMS_MAX: usize = 100;

/// One mistake. `says` and `remedy` are phrases that stand on their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The document, as it was named when it was read.
    pub file: Clean,
    /// Counted from 1; 0 where it is not the document but an answer or the state of the stack.
    pub line: usize,
    /// The offending text.
    pub text: Clean,
    pub says: Clean,
    pub remedy: Clean,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => writeln!(f, "{}: {}", self.file, self.says)?,
            line => writeln!(f, "{}:{line}: {}", self.file, self.says)?,
        }
        if !self.text.is_empty() {
            match self.line {
                0 => writeln!(f, "     | {}", self.text)?,
                line => writeln!(f, "{line:>4} | {}", self.text)?,
            }
        }
        writeln!(f, "     = {}", self.remedy)
    }
}

/// Problems of one document while it is looked through.
#[derive(Debug)]
pub(super) struct Problems {
    file: Clean,
    all: Vec<Problem>,
}

impl Problems {
    pub(super) fn of(file: &Clean) -> Self {
        Self {
            file: file.clone(),
            all: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, line: usize, text: &str, says: &str, remedy: &str) {
        if self.all.len() < PROBLEMS_MAX {
            self.all.push(Problem {
                file: self.file.clone(),
                line,
                text: Clean::line(text),
                says: Clean::line(says),
                remedy: Clean::line(remedy),
            });
        }
    }

    /// On a line that is known to be wrong, what follows from that would only be noise.
    pub(super) fn on_line(&self, line: usize) -> bool {
        self.all.iter().any(|problem| problem.line == line)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// In the order in which they stand in the document.
    pub(super) fn sorted(mut self) -> Vec<Problem> {
        self.all.sort_by_key(|problem| problem.line);
        self.all
    }
}

/// Nearer than this many single-letter changes is a slip of the finger.
const SLIP_MAX: usize = 3;

/// Nothing longer is a slip, and the comparison takes the product of the lengths.
const WORD_CHARS_MAX: usize = 64;

/// The word that was probably meant.
pub(super) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if word.chars().count() > WORD_CHARS_MAX {
        return None;
    }
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(word, known), known))
        .filter(|(slips, known)| *slips <= SLIP_MAX.min(known.chars().count().max(2) / 2))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
}

/// `did you mean …?`, or what there is.
pub(super) fn meant(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of: {}", known.join(", ")),
    }
}
