//! All state, and the one function that changes it.
//!
//! No clock, no channel, no lock, no IO: time arrives in events, and what the shell must do leaves as effects.
//! What can be derived is derived when asked for ([`rows`], the findings of the board), never stored.

mod arms;
mod attest;
mod checklists;
mod command;
mod event;
mod field;
mod history;
mod journal;
mod logs;
mod model;
mod offer;
mod record;
mod replay;
mod rows;
mod runs;
pub mod story;
mod told;
mod training;
mod update;

#[cfg(test)]
mod tests;

pub use arms::{ARMED_FOR, Form, PLAN_GUARD, PLAN_LIFE, Pending, Readiness, Sheet};
pub use attest::{Attest, Present, Saying, Step};
pub use checklists::{Checklists, Listed, Place, Proving, last_good};
pub use command::{COMMANDS, Command, matching};
pub use event::{Effect, Event, Intent};
pub use field::{Field, FieldUse};
pub use history::{Bucket, History, Series, Window};
pub use journal::{Happening, Happenings};
pub use logs::{LogBook, LogSource, LogView, Search};
pub use model::{
    Context, Frozen, ListState, Mode, Model, Overlay, Pane, Screen, Session, Size, Sort, Times,
    is_text,
};
pub use offer::{Offer, Parameter, Selection, Source, risk_word, suiting};
pub use record::{ENTRIES_MAX, Record, Recording};
pub use replay::{Playback, Played, Replay, SPEEDS};
pub use rows::{Row, RowKey, rows};
pub use runs::{Answer, Deed, Sure, answers, current, health as run_health, is_own, on as run_on};
pub use training::{Drill, Menu, MenuEntry, Page, Progress, Question, Trained, Training};
pub use update::update;
