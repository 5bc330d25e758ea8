//! What happened to the stack while we looked: the changes of health, and what the engine told.

use std::collections::VecDeque;

use crate::domain::{Clean, Health, Timestamp};

/// A night's worth.
const HAPPENINGS_MAX: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    pub at: Timestamp,
    pub health: Health,
    pub about: Clean,
    pub text: Clean,
}

/// Oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Happenings {
    all: VecDeque<Happening>,
    pub forgotten: u64,
}

impl Happenings {
    pub fn push(&mut self, happening: Happening) {
        if self.all.len() == HAPPENINGS_MAX {
            self.all.pop_front();
            self.forgotten += 1;
        }
        self.all.push_back(happening);
    }

    /// Newest first.
    pub fn newest(&self) -> impl DoubleEndedIterator<Item = &Happening> + ExactSizeIterator {
        self.all.iter().rev()
    }

    /// About one thing, oldest first.
    pub fn about<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Happening> {
        self.all
            .iter()
            .filter(move |happening| happening.about == *name)
    }
}
