//! Read-only, armed, and what lies between an intent and a run: menu, form, plan, the typed word.
//!
//! **Invariant:** nothing here starts anything. The one effect that does is [`Effect::StartRun`], and the only way to
//! it is a plan that was on the screen for [`PLAN_GUARD`] and was answered as it asks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{Clean, Health, Timestamp};
use crate::engine::RunId;
use crate::runbook::{Confirmation, Planned};

use super::offer::{Offer, Parameter, Selection, suiting};
use super::update::note;
use super::{Effect, Field, FieldUse, Intent, Mode, Model, Overlay, Recording};

/// Long enough for one act and its watch, short enough to be forgotten.
pub const ARMED_FOR: Duration = Duration::from_mins(15);

/// Nothing can be started sooner after the plan has appeared: it has to be seen first.
pub const PLAN_GUARD: Duration = Duration::from_secs(2);

/// What is typed in this time was meant for what was there before.
const PLAN_DEAF: Duration = Duration::from_millis(500);

/// The world moves on; an older plan is made again before it is confirmed.
pub const PLAN_LIFE: Duration = Duration::from_mins(10);

/// What a runbook is asked before it is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub runbook: Clean,
    pub title: Clean,
    pub parameters: Vec<Parameter>,
    pub answers: BTreeMap<Clean, Clean>,
    /// Which parameter has the cursor.
    pub at: usize,
}

/// A plan on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub planned: Box<Planned>,
    pub opened_at: Timestamp,
    pub scroll: u16,
}

/// What Enter would do to a plan now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// The console is read-only.
    Disarmed,
    /// A check does not hold, or could not be made.
    Unproven,
    Expired,
    TooSoon,
    /// The word does not match yet.
    Unmatched,
}

/// What waits for the shell, with nothing to decide meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    Plan { runbook: Clean },
    Start { runbook: Clean },
}

impl Sheet {
    pub fn readiness(&self, model: &Model) -> Readiness {
        let brief = &self.planned.brief;
        if !model.is_armed() {
            Readiness::Disarmed
        } else if model.now.since(brief.made_at) > PLAN_LIFE {
            Readiness::Expired
        } else if brief
            .checks
            .iter()
            .any(|check| check.health() != Health::Good)
        {
            Readiness::Unproven
        } else if model.now.since(self.opened_at) < PLAN_GUARD {
            Readiness::TooSoon
        } else if self.is_answered(model) {
            Readiness::Ready
        } else {
            Readiness::Unmatched
        }
    }

    fn is_answered(&self, model: &Model) -> bool {
        match self.word(model) {
            None => true,
            Some(word) => model
                .field
                .as_ref()
                .is_some_and(|field| field.text() == word),
        }
    }

    /// What has to be typed; `None`: a `y` is enough. Practice has words of its own, so that they are no reflex.
    pub fn word(&self, model: &Model) -> Option<String> {
        match &self.planned.brief.confirmation {
            Confirmation::Yes => None,
            Confirmation::Typed { word } | Confirmation::Approved { word } => {
                Some(if model.is_training() {
                    format!("practice {word}")
                } else {
                    word.to_string()
                })
            }
        }
    }
}

impl Readiness {
    /// Why nothing is started, and what to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Ready => "",
            Self::Disarmed => "READ-ONLY: Esc, then `:arm REASON`, then plan again",
            Self::Unproven => "a check does not hold: see CHECKED; Esc, mend it, plan again",
            Self::Expired => "this plan is older than 10 minutes: Esc, and plan again",
            Self::TooSoon => "not yet: read the plan first",
            Self::Unmatched => "the word does not match",
        }
    }
}

/// `:arm`: with a reason at once, without one it is asked for.
pub(super) fn arm(model: &mut Model, reason: &str) -> Vec<Effect> {
    if let Recording::Closed(why) | Recording::ReadOnly(why) = &model.record.recording {
        let text = format!("not armed: nothing is done without a record, and {why}");
        note(model, Health::Poor, text);
        return Vec::new();
    }
    if model.record.recording == Recording::Opening {
        note(
            model,
            Health::Poor,
            "not armed: the journal is still being opened",
        );
        return Vec::new();
    }
    let reason = Clean::line(reason.trim());
    if reason.is_empty() {
        model.field = Some(Field::new(FieldUse::Reason, ""));
        return Vec::new();
    }
    vec![Effect::Arm { reason }]
}

pub(super) fn armed(model: &mut Model, reason: Clean, at: Timestamp) {
    model.now = model.now.max(at);
    let until = model.now.plus(ARMED_FOR);
    model.session.mode = Mode::Armed { until };
    model.armed_for = reason;
    note(
        model,
        Health::Poor,
        "armed for 15 minutes; `:disarm` ends it. Keys still only open plans",
    );
}

pub(super) fn disarm(model: &mut Model) -> Vec<Effect> {
    if !model.is_armed() {
        note(model, Health::None, "it is not armed");
        return Vec::new();
    }
    rest(model);
    note(model, Health::Good, "read-only again");
    vec![Effect::Disarm]
}

/// Back to what the console is without being armed.
fn rest(model: &mut Model) {
    model.session.mode = if model.training.is_some() {
        Mode::Training
    } else {
        Mode::ReadOnly
    };
    model.armed_for = Clean::default();
    if matches!(model.overlay, Some(Overlay::Plan(_))) {
        model.field = None;
    }
}

/// Arming ends by itself.
pub(super) fn tick(model: &mut Model) -> Vec<Effect> {
    match model.session.mode {
        Mode::Armed { until } if until <= model.now => {
            rest(model);
            note(model, Health::None, "15 minutes are over: read-only again");
            vec![Effect::Disarm]
        }
        Mode::Armed { .. } | Mode::ReadOnly | Mode::Training | Mode::Replay => Vec::new(),
    }
}

/// `a`: what can be done about the row under the cursor.
pub(super) fn menu(model: &mut Model) {
    if suiting(model, &Selection::of(model)).is_empty() {
        let text = if model.offers.is_empty() {
            "there are no runbooks here"
        } else {
            "no runbook suits this row"
        };
        return note(model, Health::None, text);
    }
    model.overlay = Some(Overlay::Menu { selected: 0 });
}

/// Opens the way to a runbook's plan: asks what it has to know, or has it planned.
pub(super) fn open(model: &mut Model, id: &Clean, given: &BTreeMap<Clean, Clean>) -> Vec<Effect> {
    let Some(offer) = model.offers.iter().find(|offer| offer.id == *id) else {
        let text = format!("there is no runbook `{id}`; `a` and `:` list them");
        note(model, Health::Poor, text);
        return Vec::new();
    };
    let unknown = given
        .keys()
        .find(|name| offer.parameters.iter().all(|known| known.name != **name));
    if let Some(name) = unknown {
        let names: Vec<&str> = offer.parameters.iter().map(|p| p.name.as_str()).collect();
        let text = format!("{id} has no `{name}`; it takes {}", names.join(", "));
        note(model, Health::Poor, text);
        return Vec::new();
    }
    let answers = offer.answers(&Selection::of(model), given);
    let missing = offer.missing(&answers).next();
    match missing {
        None => plan(model, id.clone(), answers),
        Some(at) => {
            let form = form(offer, answers, at);
            ask(model, form);
            Vec::new()
        }
    }
}

fn form(offer: &Offer, answers: BTreeMap<Clean, Clean>, at: usize) -> Form {
    Form {
        runbook: offer.id.clone(),
        title: offer.title.clone(),
        parameters: offer.parameters.clone(),
        answers,
        at,
    }
}

/// Shows the form with the cursor at its place.
fn ask(model: &mut Model, form: Form) {
    let parameter = &form.parameters[form.at];
    let known = form.answers.get(&parameter.name);
    let text = known.or(parameter.default.as_ref()).cloned();
    let text = text.unwrap_or_default();
    model.field = Some(Field::new(FieldUse::Answer, &text));
    model.overlay = Some(Overlay::Form(form));
}

fn plan(model: &mut Model, runbook: Clean, answers: BTreeMap<Clean, Clean>) -> Vec<Effect> {
    model.field = None;
    model.overlay = Some(Overlay::Pending(Pending::Plan {
        runbook: runbook.clone(),
    }));
    vec![Effect::Plan { runbook, answers }]
}

/// Keys while the form has the cursor.
pub(super) fn form_key(model: &mut Model, intent: &Intent) -> Vec<Effect> {
    let Some(Overlay::Form(form)) = &mut model.overlay else {
        return Vec::new();
    };
    let text = model.field.as_ref().map_or("", |field| field.text()).trim();
    let text = Clean::line(text);
    let here = form.parameters[form.at].clone();
    let last = form.parameters.len() - 1;
    let mut form = form.clone();
    match intent {
        Intent::NextPane | Intent::PreviousPane => {
            if let Some(next) = cycled(&here.choices(model), &text, intent) {
                model.field = Some(Field::new(FieldUse::Answer, &next));
            }
            return Vec::new();
        }
        Intent::Back | Intent::Leave => {
            model.field = None;
            model.overlay = None;
            return Vec::new();
        }
        Intent::Down(_) | Intent::Up(_) | Intent::Submit => {}
        _ => return Vec::new(),
    }
    if text.is_empty() {
        form.answers.remove(&here.name);
    } else {
        form.answers.insert(here.name.clone(), text);
    }
    match intent {
        Intent::Down(_) => form.at = (form.at + 1).min(last),
        Intent::Up(_) => form.at = form.at.saturating_sub(1),
        _ => match unanswered(&form) {
            // Enter stays where nothing was said and nothing can be assumed.
            Some(at) => form.at = at,
            None if form.at < last => form.at += 1,
            None => return plan(model, form.runbook, form.answers),
        },
    }
    ask(model, form);
    Vec::new()
}

fn unanswered(form: &Form) -> Option<usize> {
    form.parameters
        .iter()
        .position(|parameter| parameter.is_needed && !form.answers.contains_key(&parameter.name))
}

/// The choice after, or before, the one that is typed.
fn cycled(choices: &[Clean], typed: &str, intent: &Intent) -> Option<Clean> {
    let last = choices.len().checked_sub(1)?;
    let at = choices.iter().position(|choice| choice == typed);
    let next = match (at, intent) {
        (None, _) => choices
            .iter()
            .position(|choice| choice.starts_with(typed))
            .unwrap_or(0),
        (Some(0), Intent::PreviousPane) => last,
        (Some(at), Intent::PreviousPane) => at - 1,
        (Some(at), _) => (at + 1) % choices.len(),
    };
    choices.get(next).cloned()
}

/// The shell has planned.
pub(super) fn planned(
    model: &mut Model,
    runbook: &Clean,
    at: Timestamp,
    result: Result<Box<Planned>, Vec<Clean>>,
) {
    model.now = model.now.max(at);
    // Whoever has left the waiting does not want to be surprised.
    let waits = matches!(&model.overlay, Some(Overlay::Pending(Pending::Plan { runbook: of })) if of == runbook);
    if !waits {
        return;
    }
    model.overlay = Some(match result {
        Err(lines) => Overlay::Told {
            title: Clean::line(&format!("{runbook} cannot be planned")),
            lines,
        },
        Ok(planned) => {
            let sheet = Sheet {
                planned,
                opened_at: model.now,
                scroll: 0,
            };
            // Whatever was typed until now was meant for something else.
            model.field = match (sheet.word(model), model.is_armed()) {
                (Some(_), true) => Some(Field::new(FieldUse::Word, "")),
                (Some(_) | None, _) => None,
            };
            Overlay::Plan(sheet)
        }
    });
}

/// Keys while a plan is on the screen; `None`: not ours.
pub(super) fn plan_key(model: &mut Model, intent: &Intent) -> Option<Vec<Effect>> {
    let page = model.size.lines / 2;
    let Some(Overlay::Plan(sheet)) = &mut model.overlay else {
        return None;
    };
    match intent {
        Intent::Down(n) => sheet.scroll = sheet.scroll.saturating_add(*n),
        Intent::Up(n) => sheet.scroll = sheet.scroll.saturating_sub(*n),
        Intent::PageDown => sheet.scroll = sheet.scroll.saturating_add(page),
        Intent::PageUp => sheet.scroll = sheet.scroll.saturating_sub(page),
        Intent::Back | Intent::Leave => {
            model.overlay = None;
            model.field = None;
            note(model, Health::None, "cancelled: nothing was changed");
        }
        Intent::Submit | Intent::Yes => return Some(confirm(model, intent)),
        Intent::Redraw | Intent::Suspend | Intent::Save | Intent::Interrupt => return None,
        _ => {}
    }
    Some(Vec::new())
}

fn confirm(model: &mut Model, intent: &Intent) -> Vec<Effect> {
    let Some(Overlay::Plan(sheet)) = &model.overlay else {
        return Vec::new();
    };
    // Enter never starts what asks for a `y`, and a `y` never what asks for a word.
    let typed = sheet.word(model).is_some();
    if typed != (*intent == Intent::Submit) {
        return Vec::new();
    }
    let readiness = sheet.readiness(model);
    if readiness != Readiness::Ready {
        note(model, Health::Poor, readiness.remedy());
        return Vec::new();
    }
    let planned = sheet.planned.clone();
    let runbook = planned.plan.runbook.clone();
    model.field = None;
    model.overlay = Some(Overlay::Pending(Pending::Start { runbook }));
    vec![Effect::StartRun {
        planned,
        reason: model.armed_for.clone(),
    }]
}

/// Whether what is typed now still belongs to what was there before the plan.
pub(super) fn is_deaf(model: &Model) -> bool {
    match &model.overlay {
        Some(Overlay::Plan(sheet)) => model.now.since(sheet.opened_at) < PLAN_DEAF,
        _ => false,
    }
}

/// The shell has recorded the request and started a driver, or could not.
pub(super) fn started(model: &mut Model, result: Result<RunId, Clean>) {
    let waits = matches!(model.overlay, Some(Overlay::Pending(Pending::Start { .. })));
    match result {
        Ok(run) => {
            if waits {
                model.overlay = None;
                super::runs::show(model, &run);
            }
            note(model, Health::Busy, format!("run {} is on its way", run.0));
        }
        Err(fault) => {
            model.overlay = Some(Overlay::Told {
                title: Clean::from("The run was not started"),
                lines: vec![fault],
            });
        }
    }
}

/// Keys in the menu of runbooks.
pub(super) fn menu_key(model: &mut Model, intent: &Intent) -> Vec<Effect> {
    let subject = Selection::of(model);
    let ids: Vec<Clean> = suiting(model, &subject)
        .into_iter()
        .map(|offer| offer.id.clone())
        .collect();
    let last = ids.len().saturating_sub(1);
    let Some(Overlay::Menu { selected }) = &mut model.overlay else {
        return Vec::new();
    };
    match intent {
        Intent::Down(n) => *selected = selected.saturating_add(usize::from(*n)).min(last),
        Intent::Up(n) => *selected = selected.saturating_sub(usize::from(*n)),
        Intent::Open => {
            let chosen = ids.get((*selected).min(last)).cloned();
            model.overlay = None;
            if let Some(id) = chosen {
                return open(model, &id, &BTreeMap::new());
            }
        }
        Intent::Back | Intent::Leave => model.overlay = None,
        _ => {}
    }
    Vec::new()
}

/// `plan RUNBOOK k=v …`, `RUNBOOK k=v …`: what was typed behind `:`, when it names a runbook; else `None`.
pub(super) fn command(model: &mut Model, typed: &str) -> Option<Vec<Effect>> {
    let typed = typed.trim();
    let mut words = typed
        .strip_prefix("plan ")
        .unwrap_or(typed)
        .split_whitespace();
    let id = Clean::line(words.next()?);
    let named = typed.starts_with("plan ") || model.offers.iter().any(|offer| offer.id == id);
    if !named {
        return None;
    }
    let mut given = BTreeMap::new();
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            let text = format!("`{word}` is no answer; write NAME=VALUE");
            note(model, Health::Poor, text);
            return Some(Vec::new());
        };
        given.insert(Clean::line(name), Clean::line(value));
    }
    Some(open(model, &id, &given))
}
