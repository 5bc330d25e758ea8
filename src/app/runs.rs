//! What a person decides about a run: abort, pause, undo, and the answers to what it asks.
//!
//! A decision is an entry of the journal; the driver reads it there. Stopping is always allowed. Whatever makes a run act
//! again wants the session to be armed, and every decision but a pause wants a `y`.

use crate::domain::{Clean, Health};
use crate::engine::{Decision, Gate, Question, RunId, StepId, Verdict};
use crate::journal::Code;

use super::story::{RunStory, Standing};
use super::update::{go, note, select};
use super::{Effect, Intent, Model, Overlay, Pane, Row, RowKey, Screen, rows};

/// What is done once it is sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Decide {
        code: Code,
        step: Option<StepId>,
    },
    /// Start a driver again.
    TakeUp,
}

impl Deed {
    /// Stopping needs no arms.
    fn is_safe(self) -> bool {
        matches!(
            self,
            Self::Decide {
                code: Code::DecisionAbort | Code::DecisionPause,
                ..
            }
        )
    }
}

/// A decision that waits for its `y`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sure {
    pub run: RunId,
    pub deed: Deed,
    /// `Abort run r-1?`
    pub question: Clean,
    /// What follows from a yes.
    pub follows: Clean,
}

/// One answer to what a run asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub word: &'static str,
    pub follows: &'static str,
    pub deed: Deed,
}

/// How a run stands, as a health: what is loud and what is not.
pub fn health(standing: Standing) -> Health {
    match standing {
        Standing::Unconfirmed => Health::None,
        Standing::Starting | Standing::UnderWay => Health::Busy,
        Standing::Asking(Question::Failed { .. } | Question::Doubt { .. })
        | Standing::Ownerless
        | Standing::Ended(Verdict::Stuck) => Health::Bad,
        Standing::Ended(Verdict::Completed) => Health::Good,
        Standing::Asking(Question::Open { .. } | Question::Resume)
        | Standing::Ended(Verdict::Unwound | Verdict::Stopped | Verdict::Aborted) => Health::Poor,
    }
}

/// The run that the keys of runs are about: the one under the cursor of their screen, else the one that is on.
pub fn current(model: &Model) -> Option<&RunStory> {
    if model.screen != Screen::Runs {
        return on(model);
    }
    let all = rows(model);
    let id = match super::update::selected(model, &all)? {
        Row::Run(run) => run.id.clone(),
        _ => return None,
    };
    model.story.get(&id)
}

/// The run that needs most attention of those that have not ended: one that asks before one that goes on.
pub fn on(model: &Model) -> Option<&RunStory> {
    model
        .story
        .newest()
        .filter(|run| !model.story.standing(run, model.now).is_over())
        .max_by_key(|run| health(model.story.standing(run, model.now)))
}

/// Shows a run in full.
pub(super) fn show(model: &mut Model, run: &RunId) {
    go(model, Screen::Runs);
    select(model, RowKey(run.0.clone()), 0);
    model.pane = Pane::Detail;
    model.zoomed = true;
}

/// What can be answered to a run as it stands, the mildest first.
pub fn answers(model: &Model, run: &RunStory) -> Vec<Answer> {
    let decide = |code, step| Deed::Decide { code, step };
    let answer = |word, follows, deed| Answer {
        word,
        follows,
        deed,
    };
    let undo = answer(
        "undo",
        "every step that ever started is undone, the last one first",
        decide(Code::DecisionUndo, None),
    );
    let abort = answer(
        "abort",
        "the run ends here; what was done stays as it is",
        decide(Code::DecisionAbort, None),
    );
    let retry = |step| {
        let deed = decide(Code::DecisionRetry, Some(step));
        answer("retry", "the step is performed again", deed)
    };
    let skip = |step| {
        let deed = decide(Code::DecisionSkip, Some(step));
        answer("skip", "the run goes on without this step", deed)
    };
    match model.story.standing(run, model.now) {
        Standing::Asking(Question::Failed { step }) => vec![retry(step), skip(step), undo, abort],
        Standing::Asking(Question::Doubt { step }) => {
            let said = |code| decide(code, Some(step));
            let happened = answer(
                "happened",
                "the step counts as done, and the run goes on",
                said(Code::DecisionHappened),
            );
            let did_not = answer(
                "did not",
                "the step counts as failed, and what follows a failure follows",
                said(Code::DecisionDidNotHappen),
            );
            vec![happened, did_not, retry(step), skip(step), undo, abort]
        }
        Standing::Asking(Question::Open { step, gate }) => {
            let mut all = Vec::new();
            if gate == Gate::Confirm {
                let deed = decide(Code::DecisionConfirm, Some(step));
                all.push(answer("go on", "the step is performed", deed));
            } else if !is_own(model, run) {
                let deed = decide(Code::DecisionApprove, Some(step));
                all.push(answer("approve", "the step is performed", deed));
            }
            all.push(abort);
            all
        }
        Standing::Asking(Question::Resume) => {
            let deed = decide(Code::DecisionResume, None);
            vec![answer("resume", "the run goes on", deed), undo, abort]
        }
        Standing::Ownerless => vec![answer(
            "take up",
            "a new driver replays the journal and goes on from the last step",
            Deed::TakeUp,
        )],
        Standing::Unconfirmed | Standing::Starting | Standing::UnderWay | Standing::Ended(_) => {
            Vec::new()
        }
    }
}

/// Whether the person at this console asked for the run: nobody approves what they asked for.
pub fn is_own(model: &Model, run: &RunStory) -> bool {
    run.plan.requested_by.0 == model.session.user
}

/// Keys that are about a run.
pub(super) fn intend(model: &mut Model, intent: &Intent) -> Vec<Effect> {
    let Some(run) = current(model) else {
        note(model, Health::None, "no run is on");
        return Vec::new();
    };
    let standing = model.story.standing(run, model.now);
    let (id, held) = (run.id.clone(), run.state.hold().is_some());
    if matches!(standing, Standing::Ended(_) | Standing::Unconfirmed) {
        let text = format!("run {} is over: {}", id.0, standing.word());
        note(model, Health::None, text);
        return Vec::new();
    }
    let decide = |code| Deed::Decide { code, step: None };
    let (deed, word, follows) = match intent {
        Intent::Abort => (
            decide(Code::DecisionAbort),
            "Abort",
            "It ends as soon as the step under way has; what was done stays as it is.",
        ),
        Intent::Undo => (
            decide(Code::DecisionUndo),
            "Undo",
            "Every step that ever started is undone, the last one first.",
        ),
        Intent::Pause if held => (
            decide(Code::DecisionResume),
            "Resume",
            "It goes on with the next step.",
        ),
        // A pause only waits: asking whether would take longer than the step.
        Intent::Pause => {
            note(
                model,
                Health::Busy,
                "pause asked for: it holds before the next step",
            );
            return record(model, &id, decide(Code::DecisionPause));
        }
        _ => return Vec::new(),
    };
    sure(model, id, deed, word, follows);
    Vec::new()
}

/// Asks for the `y`, or says why it is not asked.
fn sure(model: &mut Model, run: RunId, deed: Deed, word: &str, follows: &str) {
    if !deed.is_safe() && !model.is_armed() {
        let text = "READ-ONLY: stopping is always allowed, this is not; `:arm REASON` first";
        return note(model, Health::Poor, text);
    }
    let target = model.story.get(&run).map(|run| run.plan.target.0.clone());
    let question = format!("{word} run {}, {}?", run.0, target.unwrap_or_default());
    model.overlay = Some(Overlay::Sure(Sure {
        run,
        deed,
        question: Clean::line(&question),
        follows: Clean::line(follows),
    }));
}

/// Enter in the view of a run: what can be answered.
pub(super) fn ask(model: &mut Model) {
    let Some(run) = current(model) else { return };
    if answers(model, run).is_empty() {
        return note(model, Health::None, "this run asks nothing");
    }
    let run = run.id.clone();
    model.overlay = Some(Overlay::Answers { run, selected: 0 });
}

/// Keys in the list of answers. The first row decides nothing, so that Enter alone never does.
pub(super) fn answer_key(model: &mut Model, intent: &Intent) -> Vec<Effect> {
    let Some(Overlay::Answers { run, .. }) = &model.overlay else {
        return Vec::new();
    };
    let id = run.clone();
    let answers = model.story.get(&id).map(|run| answers(model, run));
    let answers = answers.unwrap_or_default();
    let Some(Overlay::Answers { selected, .. }) = &mut model.overlay else {
        return Vec::new();
    };
    match intent {
        Intent::Down(n) => {
            *selected = selected.saturating_add(usize::from(*n)).min(answers.len());
        }
        Intent::Up(n) => *selected = selected.saturating_sub(usize::from(*n)),
        Intent::Open => {
            let chosen = selected.checked_sub(1).and_then(|at| answers.get(at));
            model.overlay = None;
            if let Some(Answer {
                word,
                follows,
                deed,
            }) = chosen
            {
                sure(
                    model,
                    id,
                    *deed,
                    &capital(word),
                    &format!("{}.", capital(follows)),
                );
            }
        }
        Intent::Back | Intent::Leave => model.overlay = None,
        _ => {}
    }
    Vec::new()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The `y` was given.
pub(super) fn decided(model: &mut Model, sure: &Sure) -> Vec<Effect> {
    model.overlay = None;
    match sure.deed {
        Deed::TakeUp => vec![Effect::Resume(sure.run.clone())],
        deed @ Deed::Decide { .. } => record(model, &sure.run, deed),
    }
}

fn record(model: &mut Model, id: &RunId, deed: Deed) -> Vec<Effect> {
    let Deed::Decide { code, step } = deed else {
        return Vec::new();
    };
    let Some(run) = model.story.get(id) else {
        return Vec::new();
    };
    if let Some(why) = model.record.recording.obstacle() {
        note(
            model,
            Health::Bad,
            format!("not recorded, so not done: {why}"),
        );
        return Vec::new();
    }
    // Who opens a gate says which plan they saw.
    let opens = matches!(code, Code::DecisionConfirm | Code::DecisionApprove);
    vec![Effect::Decide {
        code,
        decision: Decision {
            run: id.clone(),
            plan: opens.then(|| run.plan.id.clone()),
            step,
            reason: model.armed_for.clone(),
        },
    }]
}

/// `d`: out of the run's view.
pub(super) fn detach(model: &mut Model) {
    if model.screen != Screen::Runs || !model.zoomed {
        return;
    }
    let goes_on = current(model).is_some_and(|run| !model.story.standing(run, model.now).is_over());
    model.zoomed = false;
    model.pane = Pane::List;
    if goes_on {
        note(
            model,
            Health::Busy,
            "the run goes on: its driver owns it, not this screen",
        );
    }
}
