//! What a person does with a checklist: have items verified, sign and waive them, show only what is open, present it.
//!
//! **Invariant:** nothing here signs anything. What signs is an entry in the journal, and the way to it is a reason and
//! the item's own name, typed.

use crate::checklist::{Act, Call, Checklist, ItemId, MINUTES, SignOff, sign_off};
use crate::domain::{Clean, Health, Timestamp};

use super::update::{note, select, selected};
use super::{Effect, Field, FieldUse, Intent, Model, Overlay, Place, Row, rows};

/// A reason is a sentence.
const REASON_BYTES_MAX: usize = 2000;

/// What is said of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saying {
    Sign,
    Waive,
}

/// A signature that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    pub saying: Saying,
    pub list: Clean,
    pub item: ItemId,
    pub title: Clean,
    /// Of a waiver: its last day.
    pub until: Clean,
    pub reason: Clean,
    pub at: Step,
    /// Somebody else has to sign too.
    pub second: bool,
}

/// What is asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Until,
    Reason,
    /// The item's name, typed.
    Word,
}

/// A checklist that is presented to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub list: Clean,
    pub item: ItemId,
    pub begun: Timestamp,
    /// When this item came up.
    pub since: Timestamp,
}

fn place<'a>(model: &'a Model, all: &'a [Row<'a>]) -> Option<Place<'a>> {
    match selected(model, all) {
        Some(Row::Listed(place)) => Some(*place),
        _ => None,
    }
}

/// Why nothing can be put on record, said; `None`: it can.
fn refused(model: &mut Model, what: &str) -> bool {
    let why = match (&model.replay, model.record.recording.obstacle()) {
        (Some(_), _) => Clean::from("this is a recording"),
        (None, Some(why)) => why,
        (None, None) => return false,
    };
    let text = format!("{what}: nothing is done without a record, and {why}");
    note(model, Health::Poor, text);
    true
}

/// `r`: the item under the cursor, or all items of the phase; `V`: the whole page.
pub(super) fn prove(model: &mut Model, whole: bool) -> Vec<Effect> {
    if refused(model, "not verified") {
        return Vec::new();
    }
    if let Some(proving) = &model.checklists.proving {
        let text = format!("still verifying: {} of {}", proving.done, proving.of);
        note(model, Health::Busy, text);
        return Vec::new();
    }
    let found = {
        let all = rows(model);
        place(model, &all).map(|place| {
            let items = match (whole, place.item) {
                (true, _) => all_of(&place.page.list, |_| true),
                (false, Some(item)) => vec![item.id.clone()],
                (false, None) => {
                    let list = &place.page.list;
                    let inside = list
                        .items()
                        .filter(|(of, _)| list.is_within(of, place.phase));
                    inside.map(|(_, item)| item.id.clone()).collect()
                }
            };
            (place.page.list.clone(), items)
        })
    };
    let Some((list, mut items)) = found else {
        note(model, Health::None, "there is no checklist here");
        return Vec::new();
    };
    items.retain(|id| {
        list.find_id(&id.0)
            .is_some_and(|(_, item)| !item.demand.asked.is_empty())
    });
    if items.is_empty() {
        note(model, Health::None, "nothing measures that: `e` signs it");
        return Vec::new();
    }
    let text = format!("verifying {} items (reads only)", items.len());
    note(model, Health::Busy, text);
    vec![Effect::Prove {
        list: Box::new(list),
        items,
    }]
}

fn all_of(list: &Checklist, wanted: impl Fn(&ItemId) -> bool) -> Vec<ItemId> {
    let ids = list.items().map(|(_, item)| item.id.clone());
    ids.filter(wanted).collect()
}

/// `e` and `E`: begins to sign or to waive the item under the cursor.
pub(super) fn begin(model: &mut Model, saying: Saying) {
    let what = match saying {
        Saying::Sign => "not signed",
        Saying::Waive => "not waived",
    };
    if refused(model, what) {
        return;
    }
    let attest = {
        let all = rows(model);
        place(model, &all).and_then(|place| {
            let item = place.item?;
            Some(Attest {
                saying,
                list: place.page.list.name.clone(),
                item: item.id.clone(),
                title: item.title.clone(),
                until: Clean::default(),
                reason: Clean::default(),
                at: match saying {
                    Saying::Sign => Step::Reason,
                    Saying::Waive => Step::Until,
                },
                second: item.demand.second,
            })
        })
    };
    match attest {
        Some(attest) => ask(model, attest),
        None => note(
            model,
            Health::None,
            "a heading cannot be signed: choose an item",
        ),
    }
}

fn ask(model: &mut Model, attest: Attest) {
    let (purpose, text) = match attest.at {
        Step::Until => (FieldUse::Answer, attest.until.to_string()),
        Step::Reason => (FieldUse::Answer, attest.reason.to_string()),
        Step::Word => (FieldUse::Word, String::new()),
    };
    model.field = Some(Field::new(purpose, &text));
    model.overlay = Some(Overlay::Attest(attest));
}

/// A key while a signature is being written.
pub(super) fn key(model: &mut Model, intent: &Intent) -> Vec<Effect> {
    let Some(Overlay::Attest(attest)) = &model.overlay else {
        return Vec::new();
    };
    let mut attest = attest.clone();
    let typed = model.field.as_ref().map_or("", |field| field.text());
    let typed = Clean::line(typed.trim());
    match intent {
        Intent::Back | Intent::Leave => {
            model.field = None;
            model.overlay = None;
            return Vec::new();
        }
        Intent::Up(_) => {
            attest.at = match (attest.at, attest.saying) {
                (Step::Reason | Step::Until, Saying::Waive) => Step::Until,
                (Step::Word, _) | (Step::Reason | Step::Until, Saying::Sign) => Step::Reason,
            };
            ask(model, attest);
            return Vec::new();
        }
        Intent::Submit | Intent::Open => {}
        _ => return Vec::new(),
    }
    match attest.at {
        Step::Until => {
            let today = &model.now.rfc3339()[..10];
            if !is_day(&typed) || *typed < *today {
                let text = format!("the last day it holds, such as {today}, and not before that");
                note(model, Health::Poor, text);
                return Vec::new();
            }
            attest.until = typed;
            attest.at = Step::Reason;
            ask(model, attest);
        }
        Step::Reason => {
            if typed.is_empty() || typed.len() > REASON_BYTES_MAX {
                note(model, Health::Poor, "say what was seen, in a sentence");
                return Vec::new();
            }
            attest.reason = typed;
            attest.at = Step::Word;
            ask(model, attest);
        }
        Step::Word if *typed == *attest.item.0 => return signed(model, &attest),
        Step::Word => note(
            model,
            Health::Poor,
            "the word does not match: nothing is signed",
        ),
    }
    Vec::new()
}

/// `2026-12-31`, and a day there is.
fn is_day(text: &str) -> bool {
    chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() && text.len() == 10
}

fn signed(model: &mut Model, attest: &Attest) -> Vec<Effect> {
    model.field = None;
    model.overlay = None;
    let Some(said) = said(model, attest) else {
        note(model, Health::Bad, "the item is gone: nothing is signed");
        return Vec::new();
    };
    vec![Effect::SignOff(Box::new(said))]
}

fn said(model: &Model, attest: &Attest) -> Option<SignOff> {
    let list = &model.checklists.page(&attest.list)?.list;
    let (_, item) = list.find_id(&attest.item.0)?;
    let act = match attest.saying {
        Saying::Sign => Act::Signed,
        Saying::Waive => Act::Waived {
            until: attest.until.clone(),
        },
    };
    Some(sign_off(list, item, act, &attest.reason))
}

/// `o`: only what does not hold, and back.
pub(super) fn only_open(model: &mut Model) {
    model.checklists.only_open = !model.checklists.only_open;
    let text = if model.checklists.only_open {
        "only items that do not hold; o shows all"
    } else {
        "all items"
    };
    note(model, Health::None, text);
}

/// Whether a row is shown while only open items are.
pub(super) fn is_shown(model: &Model, place: &Place<'_>) -> bool {
    let now = model.shown_at();
    !model.checklists.only_open
        || match place.judged(now) {
            Some(judged) => judged.state.call() != Call::Go,
            None => place.phase.items.iter().any(|item| {
                let judged = place.page.judge(place.phase, item, now);
                judged.state.call() != Call::Go
            }),
        }
}

/// `p`: the item under the cursor, large, for a room.
pub(super) fn present(model: &mut Model) {
    let found = {
        let all = rows(model);
        place(model, &all).and_then(|place| {
            let item = match place.item {
                Some(item) => item,
                None => place.phase.items.first()?,
            };
            Some((place.page.list.name.clone(), item.id.clone()))
        })
    };
    let Some((list, item)) = found else {
        return note(model, Health::None, "choose an item to begin with");
    };
    model.overlay = Some(Overlay::Present(Present {
        list,
        item,
        begun: model.now,
        since: model.now,
    }));
}

/// A key while a list is presented.
pub(super) fn present_key(model: &mut Model, intent: &Intent) -> Vec<Effect> {
    let Some(Overlay::Present(present)) = model.overlay.clone() else {
        return Vec::new();
    };
    match intent {
        Intent::Down(_) | Intent::Right | Intent::Open => step(model, present, 1),
        Intent::Up(_) | Intent::Left => step(model, present, -1),
        Intent::Recheck => return prove(model, false),
        Intent::Back | Intent::Leave => model.overlay = None,
        _ => {}
    }
    Vec::new()
}

fn step(model: &mut Model, mut present: Present, by: isize) {
    let Some(page) = model.checklists.page(&present.list) else {
        return;
    };
    let ids = all_of(&page.list, |_| true);
    let at = ids.iter().position(|id| *id == present.item).unwrap_or(0);
    let Some(next) = at.checked_add_signed(by).and_then(|at| ids.get(at)) else {
        let text = if by > 0 {
            "that was the last item"
        } else {
            "this is the first item"
        };
        return note(model, Health::None, text);
    };
    present.item = next.clone();
    present.since = model.now;
    // The list stands at the same item when the presentation ends.
    let key = super::RowKey(Clean::line(&format!("{} {}", present.list, present.item)));
    let at = rows(model).iter().position(|row| row.key() == key);
    model.overlay = Some(Overlay::Present(present));
    if let Some(at) = at {
        select(model, key, at);
    }
}

impl Present {
    /// Number of this item, and of all.
    pub fn position(&self, list: &Checklist) -> (usize, usize) {
        let mut ids = list.items().map(|(_, item)| &item.id);
        let at = ids.position(|id| *id == self.item).unwrap_or(0);
        (at + 1, list.items().count())
    }

    /// Minutes that were planned until this item is over, and for all.
    pub fn planned(&self, list: &Checklist) -> (u32, u32) {
        let (mut so_far, mut all) = (0, 0);
        let mut passed = false;
        for (_, item) in list.items() {
            let minutes = item
                .demand
                .minutes
                .or(list.rules.minutes)
                .unwrap_or(MINUTES);
            all += minutes;
            if !passed {
                so_far += minutes;
            }
            passed |= item.id == self.item;
        }
        (so_far, all)
    }
}
