//! The journal as the console follows it: its newest entries, and whether it can be written.

use std::collections::VecDeque;

use crate::domain::Clean;
use crate::journal::Entry;

/// What a person scrolls back over; the rest is read with `quarterdeck journal`.
pub const ENTRIES_MAX: usize = 2000;

/// What becomes of a record that the console wants to make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Recording {
    #[default]
    Opening,
    Open,
    /// It can be read and followed, not written; why.
    ReadOnly(Clean),
    /// It cannot even be read; why.
    Closed(Clean),
}

impl Recording {
    /// Why nothing can be recorded.
    pub fn obstacle(&self) -> Option<Clean> {
        match self {
            Self::Open => None,
            Self::Opening => Some(Clean::from("the journal is still being opened")),
            Self::ReadOnly(why) | Self::Closed(why) => Some(why.clone()),
        }
    }
}

/// Oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    pub place: Clean,
    pub recording: Recording,
    entries: VecDeque<Entry>,
    /// Entries there are that are no longer kept here.
    pub older: u64,
}

impl Record {
    pub fn push(&mut self, entry: Entry) {
        // Reading may begin in the middle, and may begin again after a break: nothing is kept twice.
        if self
            .entries
            .back()
            .is_some_and(|last| last.seq >= entry.seq)
        {
            return;
        }
        if self.entries.is_empty() {
            self.older = entry.seq.0.saturating_sub(1);
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
            self.older += 1;
        }
        self.entries.push_back(entry);
    }

    pub fn newest(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter().rev()
    }
}
