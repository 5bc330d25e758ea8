//! Runbooks: read, lint and explain documents, and resolve one against live facts into a plan.
//!
//! A runbook is a page of Markdown that a person can follow by hand, with TOML for the console: a front matter between
//! two lines `+++`, and fenced blocks (```` ```toml step ````, `check`, `ask`, `each`) where the console does something
//! itself. [`Document::read`] says everything that is wrong with one at once. Nothing here does IO or knows the time: what
//! the stack looks like is a [`Scene`], gathered by the shell.

mod brief;
mod document;
mod examine;
mod explain;
mod floor;
mod front;
mod lint;
mod parameter;
mod plan;
mod planned;
mod planning;
mod problem;
mod read;
mod scan;
mod scene;
mod shelf;
mod table;
mod template;

/// What a check said; a plan's brief holds some.
pub use crate::probe::check::Outcome;
pub use document::{
    AskBlock, Block, BlockIs, CheckBlock, DOCUMENT_BYTES_MAX, Document, EachBlock, FailureRule,
    FloorRule, GuardRule, Order, Scope, Section, StepBlock, TapRule, When,
};
pub use explain::{list_json, list_text, show_json, show_text};
pub use parameter::{Kind, Parameter};
pub use plan::{Wanted, plan, prechecks};
pub use planned::{
    Attached, Brief, Confirmation, Floor, GuardSpec, Planned, Precheck, Risk, TAP_GUARD, TapSpec,
};
pub use problem::{PROBLEMS_MAX, Problem};
pub use scene::{Behind, BlockLine, Earlier, Entrance, Revision, Scene, observe};
pub use shelf::{BUILT_IN, Book, Origin, Shelf};

#[cfg(test)]
mod tests;
