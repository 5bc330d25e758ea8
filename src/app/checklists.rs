//! The configured checklists, and what the journal says of them.

use std::collections::BTreeMap;

use crate::checklist::{
    Asked, Checklist, Decision, Drill, Item, ItemId, Judged, Marks, Phase, Signer, decide,
};
use crate::domain::{Clean, Environment, Timestamp};
use crate::engine::{Phase as RunPhase, Verdict};
use crate::journal::{Code, Entry, Mode};

use super::story::{RunStory, Story};
use super::update::selected;
use super::{Effect, Model, Row, arms, rows};

/// A page with its signatures and proofs.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    pub list: Checklist,
    pub marks: Marks,
}

/// What is being verified now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proving {
    pub list: Clean,
    /// Items whose checks have not all ended.
    pub items: Vec<ItemId>,
    pub done: usize,
    pub of: usize,
}

/// All pages, as they were read. They are read once, when the console starts.
#[derive(Debug, Clone, Default)]
pub struct Checklists {
    pub pages: Vec<Listed>,
    /// Pages and journals that could not be read, each in a sentence.
    pub problems: Vec<Clean>,
    pub proving: Option<Proving>,
    /// Only items that do not hold are shown.
    pub only_open: bool,
}

/// A heading of a page, or an item under it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub page: &'a Listed,
    pub phase: &'a Phase,
    /// `None`: the heading itself.
    pub item: Option<&'a Item>,
}

impl Listed {
    /// Takes an entry, in the order of the journal. Practice proves nothing of production, nor the other way round.
    pub fn take(&mut self, entry: &Entry, mode: Mode) {
        if entry.mode != mode {
            return;
        }
        let Entry { actor, body, .. } = entry;
        let at = entry.moment.at;
        match entry.code {
            Code::SignedOff => {
                let by = Signer {
                    name: actor.user.clone(),
                    uid: actor.login_uid.unwrap_or(actor.uid),
                };
                self.marks.sign(&self.list, body, &by, at);
            }
            Code::Evidence => self.marks.prove(&self.list, body, &actor.user, at),
            _ => {}
        }
    }

    pub fn judge<'a>(&'a self, phase: &'a Phase, item: &'a Item, now: Timestamp) -> Judged<'a> {
        self.marks.judge(&self.list, phase, item, now)
    }

    /// Whether the gate of the whole page opens.
    pub fn decide(&self, now: Timestamp) -> Decision {
        decide(&self.list, &self.marks.judge_all(&self.list, now))
    }

    /// The same of one phase and what is within it.
    pub fn decide_phase(&self, phase: &Phase, now: Timestamp) -> Decision {
        decide(&self.list, &self.marks.judge_phase(&self.list, phase, now))
    }

    /// What the page calls itself.
    pub fn title(&self) -> &Clean {
        if self.list.title.is_empty() {
            &self.list.name
        } else {
            &self.list.title
        }
    }
}

impl Checklists {
    /// Headings and items in the order of the pages.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.pages.iter().flat_map(|page| {
            page.list.phases.iter().flat_map(move |phase| {
                let heading = Place {
                    page,
                    phase,
                    item: None,
                };
                let items = phase.items.iter().map(move |item| Place {
                    item: Some(item),
                    ..heading
                });
                std::iter::once(heading).chain(items)
            })
        })
    }

    pub fn page(&self, name: &Clean) -> Option<&Listed> {
        self.pages.iter().find(|page| page.list.name == *name)
    }

    pub fn take(&mut self, entry: &Entry, mode: Mode) {
        for page in &mut self.pages {
            page.take(entry, mode);
        }
    }
}

impl<'a> Place<'a> {
    /// Names it for as long as it is on the page.
    pub fn key(&self) -> Clean {
        let name = &self.page.list.name;
        Clean::line(&match self.item {
            Some(item) => format!("{name} {}", item.id),
            None => format!("{name}:{}", self.phase.line),
        })
    }

    pub fn title(&self) -> &Clean {
        match (self.item, self.phase.title.is_empty()) {
            (Some(item), _) => &item.title,
            (None, false) => &self.phase.title,
            // Items before the first heading.
            (None, true) => &self.page.list.name,
        }
    }

    pub fn judged(&self, now: Timestamp) -> Option<Judged<'a>> {
        Some(self.page.judge(self.phase, self.item?, now))
    }

    /// The runbook that the item wants to have been run.
    pub fn drill(&self) -> Option<Drill> {
        self.item?.demand.asked.iter().find_map(Asked::drill)
    }
}

/// The pages were read. Entries that came meanwhile are taken in again: taking one twice changes nothing.
pub(super) fn read(model: &mut Model, mut read: Checklists) {
    let mode = mode(model);
    for entry in model.record.newest().rev() {
        read.take(entry, mode);
    }
    read.only_open = model.checklists.only_open;
    read.proving = model.checklists.proving.take();
    model.checklists = read;
}

/// Which entries count here.
pub(super) fn mode(model: &Model) -> Mode {
    if model.board.stack.environment == Environment::Training {
        Mode::Training
    } else {
        Mode::Live
    }
}

/// `a` on an item: the plan of its drill, or of the runbook that helps; else the runbooks there are.
pub(super) fn act(model: &mut Model) -> Vec<Effect> {
    let wanted = {
        let all = rows(model);
        match selected(model, &all) {
            Some(Row::Listed(place)) => place.drill().or_else(|| {
                let runbook = place.item?.demand.helps.clone()?;
                let answers = BTreeMap::new();
                Some(Drill { runbook, answers })
            }),
            _ => None,
        }
    };
    match wanted {
        Some(drill) => arms::open(model, &drill.runbook, &drill.answers),
        None => {
            arms::menu(model);
            Vec::new()
        }
    }
}

/// The last run of a runbook that ended well, told so.
pub fn last_good<'a>(story: &'a Story, drill: &Drill, mode: Mode) -> Option<&'a RunStory> {
    story.newest().find(|run| {
        run.mode == mode
            && run.plan.runbook == drill.runbook
            && run.state.phase() == RunPhase::Ended(Verdict::Completed)
    })
}
