//! A training: what the trainee has been told, has found and has been asked. The score is kept by whoever runs the scenario.
//!
//! **When a fault counts as noticed.** Looking around is not noticing. It counts when the trainee, while something is
//! abnormal on the board, goes to the worst item (`!`) or opens an item that is not well, or when the trainee asks for the
//! list of causes (`F3`). What was abnormal before the fault does not count, and what is pressed before it never does.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{Clean, Finding, Health, SourceId};

use super::rows::{Row, rows};
use super::{Effect, Intent, Model, Overlay};

/// A page of text that lies over the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Briefing,
    Hints,
    Debrief,
}

/// What is asked before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    GiveUp,
    Restart,
}

/// What the trainee did, for whoever keeps the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drill {
    Noticed,
    Hint,
    /// Names a cause, by its place in the list.
    Diagnosed(usize),
    GiveUp,
    Restart,
}

/// What whoever keeps the score has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trained {
    Progress(Progress),
    Hint(Clean),
    Answered {
        cause: usize,
        right: bool,
    },
    /// The training is over: its debrief.
    Ended(Vec<Clean>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// In the scenario's own time; `None` before the fault.
    pub since_fault: Option<Duration>,
    pub points: u32,
    pub requests_lost: u64,
    /// All that the scenario wants back holds again.
    pub is_over: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    pub title: Clean,
    pub brief: Clean,
    /// How to act on the stack from another terminal.
    pub act_with: Clean,
    pub causes: Vec<Clean>,
    pub hints: Vec<Clean>,
    pub hints_left: usize,
    pub progress: Progress,
    pub noticed: bool,
    /// What was abnormal before the fault, by source and name: it is not what is to be noticed.
    pub usual: BTreeSet<(SourceId, Clean, Health)>,
    /// Causes that were named and are not it.
    pub wrong: BTreeSet<usize>,
    pub right: Option<usize>,
    pub debrief: Option<Vec<Clean>>,
}

/// The scenarios there are, to choose one of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    pub entries: Vec<MenuEntry>,
    pub selected: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MenuEntry {
    pub id: &'static str,
    pub title: Clean,
    pub teaches: Clean,
    pub difficulty: &'static str,
}

pub(super) fn trained(model: &mut Model, news: Trained) -> Option<(Health, Clean)> {
    let findings = model.board.findings(model.now);
    let training = model.training.as_mut()?;
    match news {
        Trained::Progress(progress) => {
            if progress.since_fault.is_none() {
                training.usual = findings.iter().map(named).collect();
            }
            let over_now = progress.is_over && !training.progress.is_over;
            training.progress = progress;
            let unnamed = over_now && training.right.is_none() && training.debrief.is_none();
            unnamed.then(|| {
                let text = "the trouble is over; F3 names its cause and ends the training";
                (Health::Good, Clean::from(text))
            })
        }
        Trained::Hint(text) => {
            training.hints.push(text);
            training.hints_left = training.hints_left.saturating_sub(1);
            model.overlay = Some(page(Page::Hints));
            None
        }
        Trained::Answered { cause, right: true } => {
            training.right = Some(cause);
            Some((
                Health::Good,
                Clean::from(if training.progress.is_over {
                    "that is it"
                } else {
                    "that is it; now bring the stack back to normal"
                }),
            ))
        }
        Trained::Answered {
            cause,
            right: false,
        } => {
            training.wrong.insert(cause);
            Some((Health::Poor, Clean::from("that is not it")))
        }
        Trained::Ended(lines) => {
            training.debrief = Some(lines);
            model.field = None;
            model.overlay = Some(page(Page::Debrief));
            None
        }
    }
}

pub(super) fn page(page: Page) -> Overlay {
    Overlay::Page { page, scroll: 0 }
}

/// Does this show that the trainee has noticed the fault? Said once.
pub(super) fn notice(model: &mut Model, intent: &Intent) -> Option<Effect> {
    let training = model.training.as_ref()?;
    if training.noticed || training.progress.since_fault.is_none() || training.debrief.is_some() {
        return None;
    }
    let noticed = match intent {
        Intent::Diagnose => true,
        Intent::Worst => is_something_new(model, training),
        Intent::Open => opens_what_is_not_well(model, training),
        _ => false,
    };
    if !noticed {
        return None;
    }
    if let Some(training) = model.training.as_mut() {
        training.noticed = true;
    }
    Some(Effect::Drill(Drill::Noticed))
}

fn named(finding: &Finding) -> (SourceId, Clean, Health) {
    (
        finding.source.clone(),
        finding.about.clone(),
        finding.health,
    )
}

fn is_something_new(model: &Model, training: &Training) -> bool {
    let findings = model.shown().findings(model.shown_at());
    findings
        .iter()
        .any(|finding| !training.usual.contains(&named(finding)))
}

fn opens_what_is_not_well(model: &Model, training: &Training) -> bool {
    let all = rows(model);
    let is_new = |row: &Row<'_>| {
        let (name, health) = (row.name(), row.health(model.shown_at()));
        let mut usual = training.usual.iter();
        matches!(health, Health::Poor | Health::Unknown | Health::Bad)
            && !usual.any(|(_, about, before)| *about == name && *before == health)
    };
    super::update::selected(model, &all).is_some_and(is_new)
}

/// Keys of a training. Without one they mean nothing.
pub(super) fn intend(model: &mut Model, intent: &Intent) -> Vec<Effect> {
    let Some(training) = &model.training else {
        return Vec::new();
    };
    let is_over = training.debrief.is_some();
    match intent {
        Intent::RestartScenario if is_over => return vec![Effect::Drill(Drill::Restart)],
        Intent::RestartScenario => model.overlay = Some(Overlay::Ask(Question::Restart)),
        Intent::Hint | Intent::Diagnose | Intent::GiveUp if is_over => {
            model.overlay = Some(page(Page::Debrief));
        }
        Intent::Hint if training.hints_left > 0 => return vec![Effect::Drill(Drill::Hint)],
        Intent::Hint => model.overlay = Some(page(Page::Hints)),
        Intent::Diagnose => model.overlay = Some(Overlay::Causes { selected: 0 }),
        Intent::GiveUp => model.overlay = Some(Overlay::Ask(Question::GiveUp)),
        _ => {}
    }
    Vec::new()
}

/// Keys while a page, the list of causes or a question lies over the screen; `None`: not ours.
pub(super) fn overlaid(model: &mut Model, intent: &Intent) -> Option<Vec<Effect>> {
    let last = model.training.as_ref()?.causes.len().saturating_sub(1);
    let mut close = Vec::new();
    match (model.overlay.as_mut()?, intent) {
        (Overlay::Page { scroll, .. }, Intent::Down(n)) => *scroll = scroll.saturating_add(*n),
        (Overlay::Page { scroll, .. }, Intent::Up(n)) => *scroll = scroll.saturating_sub(*n),
        (
            Overlay::Page { .. },
            Intent::Hint | Intent::Diagnose | Intent::GiveUp | Intent::RestartScenario,
        ) => {
            model.overlay = None;
            let noticed = notice(model, intent);
            close.extend(noticed);
            close.extend(self::intend(model, intent));
        }
        (Overlay::Causes { selected }, Intent::Down(n)) => {
            *selected = selected.saturating_add(usize::from(*n)).min(last);
        }
        (Overlay::Causes { selected }, Intent::Up(n)) => {
            *selected = selected.saturating_sub(usize::from(*n));
        }
        (Overlay::Causes { selected }, Intent::Open) => {
            close.push(Effect::Drill(Drill::Diagnosed(*selected)));
            model.overlay = None;
        }
        (Overlay::Ask(question), Intent::Yes) => {
            close.push(Effect::Drill(match question {
                Question::GiveUp => Drill::GiveUp,
                Question::Restart => Drill::Restart,
            }));
            model.overlay = None;
        }
        _ => return None,
    }
    Some(close)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Context, Event, Mode, Screen, Session, update};
    use crate::domain::{Board, Stack, Timestamp};

    fn model() -> Model {
        let session = Session {
            host: Clean::from("host"),
            user: Clean::from("user"),
            mode: Mode::Training,
            pid: 1,
            version: "0",
            config: Clean::from("c"),
            remote: false,
            started: Timestamp(0),
        };
        let board = Board::new(Stack::discovered(Clean::from("demo")));
        let mut model = Model::new(board, session, Timestamp(1_000));
        model.training = Some(Training {
            title: Clean::from("A replica dies"),
            brief: Clean::from("You have the watch."),
            act_with: Clean::from("DOCKER_HOST=unix:///x"),
            causes: ["killed", "memory", "disk"].map(Clean::from).to_vec(),
            hints: Vec::new(),
            hints_left: 1,
            progress: Progress::default(),
            noticed: false,
            usual: BTreeSet::new(),
            wrong: BTreeSet::new(),
            right: None,
            debrief: None,
        });
        model
    }

    fn fault_began(model: &mut Model) {
        let progress = Progress {
            since_fault: Some(Duration::from_secs(3)),
            ..Progress::default()
        };
        update(model, Event::Trained(Trained::Progress(progress)));
    }

    fn press(model: &mut Model, intent: Intent) -> Vec<Drill> {
        let effects = update(model, Event::Intent(intent));
        let drills = effects.into_iter().filter_map(|effect| match effect {
            Effect::Drill(drill) => Some(drill),
            _ => None,
        });
        drills.collect()
    }

    #[test]
    fn a_cause_is_picked_from_the_list_and_asking_for_it_is_noticing() {
        let mut model = model();
        fault_began(&mut model);
        assert_eq!(press(&mut model, Intent::Diagnose), [Drill::Noticed]);
        assert_eq!(model.context(), Context::Choice);
        assert_eq!(press(&mut model, Intent::Down(9)), []);
        assert_eq!(press(&mut model, Intent::Up(1)), []);
        assert_eq!(press(&mut model, Intent::Open), [Drill::Diagnosed(1)]);
        assert_eq!(press(&mut model, Intent::Diagnose), [], "noticed once");
    }

    #[test]
    fn before_the_fault_and_on_a_healthy_board_nothing_is_noticed() {
        let mut model = model();
        assert_eq!(press(&mut model, Intent::Diagnose), []);
        model.overlay = None;
        fault_began(&mut model);
        assert_eq!(press(&mut model, Intent::Worst), []);
        assert_eq!(press(&mut model, Intent::Open), []);
    }

    #[test]
    fn giving_up_and_starting_anew_are_asked_first() {
        let mut model = model();
        assert_eq!(press(&mut model, Intent::GiveUp), []);
        assert_eq!(press(&mut model, Intent::Back), []);
        assert_eq!(model.overlay, None);
        press(&mut model, Intent::GiveUp);
        assert_eq!(press(&mut model, Intent::Yes), [Drill::GiveUp]);
        press(&mut model, Intent::RestartScenario);
        assert_eq!(press(&mut model, Intent::Yes), [Drill::Restart]);
    }

    #[test]
    fn the_debrief_opens_by_itself_and_comes_back() {
        let mut model = model();
        let text = vec![Clean::from("42 points")];
        update(&mut model, Event::Trained(Trained::Ended(text)));
        assert_eq!(model.context(), Context::Page);
        press(&mut model, Intent::Back);
        assert_eq!(model.context(), Context::Training(Screen::Overview));
        assert_eq!(press(&mut model, Intent::Diagnose), []);
        assert_eq!(model.overlay, Some(page(Page::Debrief)));
        assert_eq!(press(&mut model, Intent::RestartScenario), [Drill::Restart]);
    }

    #[test]
    fn a_hint_is_shown_once_it_has_come_and_kept() {
        let mut model = model();
        assert_eq!(press(&mut model, Intent::Hint), [Drill::Hint]);
        update(
            &mut model,
            Event::Trained(Trained::Hint(Clean::from("look"))),
        );
        assert_eq!(model.overlay, Some(page(Page::Hints)));
        assert_eq!(press(&mut model, Intent::Hint), [], "none is left");
        let training = model.training.as_ref().unwrap();
        assert_eq!((training.hints.len(), training.hints_left), (1, 0));
    }

    #[test]
    fn outside_a_training_its_keys_mean_nothing() {
        let mut model = model();
        model.training = None;
        for intent in [
            Intent::Hint,
            Intent::Diagnose,
            Intent::GiveUp,
            Intent::RestartScenario,
        ] {
            assert_eq!(press(&mut model, intent), []);
            assert_eq!(model.overlay, None);
        }
        assert_eq!(model.context(), Context::Screen(Screen::Overview));
    }
}
