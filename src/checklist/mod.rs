//! Go-live plans as people write them: a Markdown page becomes phases and items, without being edited.
//!
//! [`Checklist::read`] takes any bytes. What an item is, `read.rs` decides: task lists everywhere, and bullets, numbered
//! points and table rows under headings such as tasks, deliverables or success criteria. [`propose()`] names the
//! checks that an item's wording asks for, and [`annotate()`] writes both into the page beside the author's words.
//! [`Checklist::read`] also takes what is demanded of each item from its accepted checks, and [`decide()`] says from
//! proofs and signatures whether the gate opens. Absent on purpose: files, clocks, and the running of a check.
//!
//! **Invariant:** the author's text is never changed: taking our notes out of an annotated page gives it back, byte
//! for byte.

mod annotate;
mod annotated;
mod decide;
mod demand;
mod difference;
mod identity;
mod measure;
mod naming;
mod outline;
mod proof;
mod propose;
mod read;
mod repair;
mod rules;
mod shelf;
mod sign;
mod tell;
mod words;

use serde::Serialize;

use crate::domain::Clean;

pub use annotate::{Annotation, annotate};
pub use annotated::Block;
pub use decide::{Call, Decision, Judged, Marks, Part, PartState, Reason, State, Waiver, decide};
pub use demand::{Asked, Demand, Drill, What};
pub use difference::{Change, Difference, Named};
pub use proof::{Figure, Known, Proof, Proofs};
pub use propose::{Proposal, propose};
pub use rules::{MAX_AGE, MINUTES, Problem, Rules};
pub use shelf::BUILT_IN;
pub use sign::{Act, SignOff, Signature, Signatures, Signed, Signer, sign_off};
pub use tell::{
    count, is_settled, item_json, item_lines, item_text, list_json, list_text, standing,
};

/// A plan, as its author meant it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Checklist {
    /// What the caller calls it: a file's name.
    pub name: Clean,
    /// The page's first heading; empty where it has none.
    pub title: Clean,
    /// In the order of the page. A parent stands before its children.
    pub phases: Vec<Phase>,
    /// What was repaired or could not be, and what is wrong with our own notes in the page.
    pub remarks: Vec<Remark>,
    /// Our blocks whose item is gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Block>,
    /// What the front matter says of all items.
    #[serde(skip)]
    pub rules: Rules,
    /// What is wrong with accepted checks and with the front matter: all of it, in the order of the page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// Something said of a place in the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// From 1, in the author's text.
    pub line: usize,
    pub text: Clean,
}

/// What a heading divides a plan by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// The heading says so: phase, stage, milestone, part, sprint.
    Phase,
    /// A day, a week, a month.
    Days,
    /// Any other heading with items under it.
    Section,
}

/// A heading and the items that belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    pub title: Clean,
    pub kind: PhaseKind,
    /// What the author counts it by: `1`, `7-8`.
    pub number: Option<String>,
    /// The phase around it, as an index into [`Checklist::phases`].
    pub parent: Option<usize>,
    /// From 1, in the author's text.
    pub line: usize,
    pub mark: Mark,
    /// Objective, duration, priority: from the lines under the heading and from a table of phases.
    pub fields: Vec<Field>,
    pub items: Vec<Item>,
}

/// What an item is to the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something to do.
    Task,
    /// Something to hand over.
    Deliverable,
    /// Something that must be true.
    Criterion,
    /// A row of a milestone table.
    Milestone,
    /// A row of a gap table: what is, and what should be.
    Gap,
    /// A row of a risk register.
    Risk,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Deliverable => "deliverable",
            Self::Criterion => "criterion",
            Self::Milestone => "milestone",
            Self::Gap => "gap",
            Self::Risk => "risk",
        }
    }
}

/// How far the author says it is. A claim, never a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Not done, or nothing said.
    #[default]
    Open,
    Planned,
    InProgress,
    Blocked,
    Done,
    /// Given up by the author.
    Dropped,
}

impl Mark {
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Planned => "planned",
            Self::InProgress => "in progress",
            Self::Blocked => "blocked",
            Self::Done => "ticked by the author",
            Self::Dropped => "dropped by the author",
        }
    }
}

/// A named value the author wrote beside an item or a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    pub name: Clean,
    pub value: Clean,
}

/// Stable name of an item: made of its phase and its words, kept in the annotated page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ItemId(pub String);

impl std::fmt::Display for ItemId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that must be done, handed over or true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    pub id: ItemId,
    /// As the author wrote it, without the stars.
    pub title: Clean,
    pub kind: Kind,
    pub mark: Mark,
    /// From 1, in the author's text.
    pub line: usize,
    /// Where the item ends, with all that is nested in it.
    pub line_last: usize,
    pub fields: Vec<Field>,
    /// What is nested under it, without other items: one line each, deeper ones indented by two.
    pub detail: Vec<Clean>,
    /// Check blocks the author nested under it, as TOML.
    pub checks: Vec<String>,
    /// Our blocks for it in the annotated page, accepted or not.
    pub blocks: Vec<Block>,
    /// What it has to show.
    #[serde(skip)]
    pub demand: Demand,
    #[serde(skip)]
    place: Place,
}

/// Where our lines can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    /// After this line.
    after: usize,
    /// Columns of blanks before them, so that they belong to the item.
    indent: usize,
}

/// How an item stands, as far as the page itself tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A person has accepted a check: it can be measured.
    Accepted,
    /// Checks are proposed, and nobody has accepted one.
    Proposed,
    /// Nothing measures it: what the author says.
    Said(Mark),
}

impl Standing {
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "to be proven",
            Self::Proposed => "proposed",
            Self::Said(mark) => mark.word(),
        }
    }
}

impl Item {
    /// What a signature or a proof is for: changes whenever the author changes a word of it.
    pub fn text_hash(&self) -> String {
        identity::text_hash(self)
    }

    pub fn field(&self, name: &str) -> Option<&Clean> {
        field(&self.fields, name)
    }

    pub fn standing(&self) -> Standing {
        if !self.checks.is_empty() || self.blocks.iter().any(|block| block.accepted) {
            Standing::Accepted
        } else if self.mark == Mark::Done || self.blocks.is_empty() {
            Standing::Said(self.mark)
        } else {
            Standing::Proposed
        }
    }
}

impl Phase {
    pub fn field(&self, name: &str) -> Option<&Clean> {
        field(&self.fields, name)
    }
}

fn field<'a>(fields: &'a [Field], name: &str) -> Option<&'a Clean> {
    fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(name))
        .map(|field| &field.value)
}

impl Checklist {
    /// Reads a plan, annotated or not. Every input gives a checklist; what was odd about it is in the remarks.
    pub fn read(name: &str, bytes: &[u8]) -> Self {
        let (text, mut remarks) = repair::repair(bytes);
        let page = annotated::strip(&text);
        remarks.extend(page.remarks.iter().cloned());
        let mut list = read::read(name, &page, remarks);
        list.demand(&page);
        list
    }

    /// Reads what is demanded of each item.
    fn demand(&mut self, page: &annotated::Page) {
        let mut problems = Vec::new();
        self.rules = Rules::read(page.front.as_deref(), &mut problems);
        for item in self.phases.iter_mut().flat_map(|phase| &mut phase.items) {
            let line = page.places.get(item.line.saturating_sub(1));
            let line = line.copied().unwrap_or(item.line);
            item.demand = demand::demand(&self.rules, item, line, &mut problems);
        }
        problems.sort_by_key(|problem| problem.line);
        self.problems = problems;
    }

    /// The item of exactly this id.
    pub fn find_id(&self, id: &str) -> Option<(&Phase, &Item)> {
        self.items().find(|(_, item)| item.id.0 == id)
    }

    /// All items with the phase they belong to, in the order of the phases.
    pub fn items(&self) -> impl Iterator<Item = (&Phase, &Item)> {
        self.phases
            .iter()
            .flat_map(|phase| phase.items.iter().map(move |item| (phase, item)))
    }

    /// Whether `inner` is `outer` or lies within it.
    pub fn is_within(&self, inner: &Phase, outer: &Phase) -> bool {
        let mut up = Some(inner);
        while let Some(phase) = up {
            if std::ptr::eq(phase, outer) {
                return true;
            }
            up = phase.parent.and_then(|index| self.phases.get(index));
        }
        false
    }

    /// Titles from the outermost phase to this one.
    pub fn path<'a>(&'a self, phase: &'a Phase) -> Vec<&'a Clean> {
        let mut path = vec![&phase.title];
        let mut up = phase.parent;
        while let Some(outer) = up.and_then(|index| self.phases.get(index)) {
            path.push(&outer.title);
            up = outer.parent;
        }
        path.reverse();
        path
    }

    /// The item of that id; else the only one whose id or title begins so.
    pub fn find(&self, word: &str) -> Option<(&Phase, &Item)> {
        if let Some(found) = self.find_id(word) {
            return Some(found);
        }
        let lower = word.to_lowercase();
        let mut alike = self.items().filter(|(_, item)| {
            !lower.is_empty()
                && (item.id.0.starts_with(&lower) || item.title.to_lowercase().starts_with(&lower))
        });
        let found = alike.next()?;
        alike.next().is_none().then_some(found)
    }
}

#[cfg(test)]
mod tests;
