//! A runbook as it was written: its front matter, its blocks with their places, its page.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::parameter::Parameter;
use super::planned::Risk;
use super::table::Table;
use crate::domain::Clean;
use crate::engine::{Gate, GuardId, OnFailure, Resume};

/// A page that is longer is a book.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Which selection on screen it applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Stack,
    Service,
    Replica,
    Gateway,
}

impl Scope {
    pub fn word(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Service => "service",
            Self::Replica => "replica",
            Self::Gateway => "gateway",
        }
    }
}

/// What happens when a step fails, as it is written: it may hang on a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureRule {
    Stop,
    Undo,
    /// Undo where this condition holds, else stop.
    UndoIf(Clean),
}

/// `[floor]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorRule {
    /// A template.
    pub service: Clean,
    pub at_once: u32,
    /// A template for a number; `None`: all wanted replicas but those that are out at once.
    pub serving_min: Option<Clean>,
    pub(super) line: usize,
}

/// `[tap]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapRule {
    /// A template.
    pub path: Clean,
    pub rate: u32,
    pub failures: u64,
}

/// `[[guard]]`
#[derive(Debug, Clone, PartialEq)]
pub struct GuardRule {
    pub id: GuardId,
    pub title: Clean,
    pub every: Duration,
    pub in_a_row: u32,
    pub(super) check: Table,
}

/// A heading with the blocks below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    pub heading: Clean,
    pub line: usize,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Of the fence, counted from 1.
    pub line: usize,
    pub is: BlockIs,
}

#[derive(Debug, Clone, PartialEq)]
pub enum BlockIs {
    Step(StepBlock),
    Check(CheckBlock),
    Ask(AskBlock),
    Each(EachBlock),
}

#[derive(Debug, Clone, PartialEq)]
pub struct StepBlock {
    pub kind: Clean,
    /// A template; `None`: what the step says of itself.
    pub title: Option<Clean>,
    pub deadline: Option<Duration>,
    pub gate: Gate,
    /// Left out of the plan where this does not hold.
    pub condition: Option<Clean>,
    /// The author knows that there is no way back.
    pub no_undo: bool,
    /// `kind` and its fields.
    pub(super) act: Table,
}

/// When a check is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// While planning; the plan shows it.
    Before,
    /// As a step, where it stands.
    Step,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CheckBlock {
    pub kind: Clean,
    pub title: Clean,
    pub when: When,
    pub deadline: Option<Duration>,
    pub condition: Option<Clean>,
    /// `kind` and its fields.
    pub(super) check: Table,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskBlock {
    pub question: Clean,
    /// Anyone, or somebody who did not ask for the run.
    pub gate: Gate,
    pub condition: Option<Clean>,
}

/// The blocks that follow under the same heading are repeated for each replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EachBlock {
    /// A template for a service.
    pub replica_of: Clean,
    pub order: Order,
    /// Only those that are not well.
    pub only_sick: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    SickFirst,
    Number,
}

/// A runbook, read without a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The file, as errors name it.
    pub name: Clean,
    /// Of its bytes, hexadecimal.
    pub sha256: Clean,
    pub id: Clean,
    pub title: Clean,
    pub risk: Risk,
    pub scope: Scope,
    /// A Shift letter.
    pub key: Option<char>,
    /// Templates.
    pub target: Clean,
    pub confirm: Option<Clean>,
    pub on_failure: FailureRule,
    /// What a failed guard does, and a tap with too many failures: the run pauses and asks, or is put back at once.
    pub on_guard: OnFailure,
    pub resume: Resume,
    pub patience: Duration,
    pub parameters: Vec<Parameter>,
    pub floor: Option<FloorRule>,
    pub tap: Option<TapRule>,
    pub guards: Vec<GuardRule>,
    pub sections: Vec<Section>,
    /// The page for people: everything behind the front matter, as it was written.
    pub page: Vec<Clean>,
    /// Line of the file on which that begins.
    pub page_line: usize,
}

impl Document {
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|p| &*p.name == name)
    }

    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.sections.iter().flat_map(|section| &section.blocks)
    }
}
