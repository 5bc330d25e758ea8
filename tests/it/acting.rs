//! What it takes to act: arms, a plan that was seen, the word, the `y`; and that nothing less ever does.

use std::collections::BTreeMap;
use std::time::Duration;

use quarterdeck::app::{
    Context, Deed, Effect, Event, FieldUse, Intent, Mode, Model, Overlay, Pending, Readiness,
    Recording, Screen, answers, update,
};
use quarterdeck::domain::Clean;
use quarterdeck::engine::{DoubtCause, EventKind, Gate, HoldCause, Person, StepId};
use quarterdeck::journal::Code;
use quarterdeck::keys;
use quarterdeck::probe::check::Verdict;
use quarterdeck::runbook::{Confirmation, Planned};

use crate::fixture;
use crate::voyage::{self, Voyage, heard};

fn ready() -> Model {
    let mut model = fixture::troubled();
    let place = Clean::from("journal.db");
    let state = Recording::Open;
    update(&mut model, Event::Recording { place, state });
    update(&mut model, Event::Offered(voyage::offers()));
    want(&mut model, Intent::Go(Screen::Containers));
    model
}

fn want(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let effects = update(model, Event::Intent(intent));
    // What is looked at is another matter.
    let acts = effects
        .into_iter()
        .filter(|effect| !matches!(effect, Effect::Follow(_) | Effect::WantUsage(_)));
    acts.collect()
}

fn typed(model: &mut Model, text: &str) {
    for c in text.chars() {
        assert_eq!(want(model, Intent::Type(c)), []);
    }
}

fn command(model: &mut Model, text: &str) -> Vec<Effect> {
    want(model, Intent::Palette);
    typed(model, text);
    want(model, Intent::Submit)
}

fn armed(mut model: Model) -> Model {
    let reason = Clean::from("server-2 is exhausted");
    let effects = command(&mut model, "arm server-2 is exhausted");
    assert_eq!(
        effects,
        [Effect::Arm {
            reason: reason.clone()
        }]
    );
    assert!(!model.is_armed(), "armed before it is on record");
    let at = model.now;
    update(&mut model, Event::Armed { at, reason });
    assert!(model.is_armed());
    model
}

fn later(model: &mut Model, span: Duration) {
    let now = model.now.plus(span);
    update(model, Event::Tick(now));
}

fn answer(model: &mut Model, planned: Planned) {
    let runbook = planned.plan.runbook.clone();
    let at = model.now;
    let result = Ok(Box::new(planned));
    update(
        model,
        Event::Planned {
            runbook,
            at,
            result,
        },
    );
}

/// With the plan of a rolling restart on the screen, just now.
fn planning(mut model: Model, confirmation: Confirmation) -> Model {
    want(&mut model, Intent::Plan(Clean::from("rolling-restart")));
    answer(&mut model, voyage::planned(confirmation));
    assert!(matches!(model.overlay, Some(Overlay::Plan(_))));
    model
}

fn said(model: &Model) -> String {
    let notice = model.notice.as_ref();
    notice.map_or(String::new(), |(.., text)| text.to_string())
}

fn readiness(model: &Model) -> Readiness {
    match &model.overlay {
        Some(Overlay::Plan(sheet)) => sheet.readiness(model),
        other => panic!("no plan is on the screen: {other:?}"),
    }
}

const TWO: Duration = Duration::from_secs(2);

#[test]
fn arming_wants_a_reason_and_a_journal_and_ends_by_itself() {
    let mut model = ready();
    assert_eq!(command(&mut model, "arm"), []);
    assert_eq!(model.context(), Context::Field(FieldUse::Reason));
    assert_eq!(want(&mut model, Intent::Submit), []);
    assert!(said(&model).contains("a reason is needed"));
    let mut model = armed(ready());
    assert_eq!(model.armed_for, "server-2 is exhausted");
    later(&mut model, Duration::from_mins(14));
    assert!(model.is_armed());
    let end = model.now.plus(Duration::from_mins(1));
    let effects = update(&mut model, Event::Tick(end));
    assert_eq!(
        (effects, model.session.mode),
        (vec![Effect::Disarm], Mode::ReadOnly)
    );
    for state in [
        Recording::Opening,
        Recording::ReadOnly(Clean::from("it is damaged")),
        Recording::Closed(Clean::from("the disk is full")),
    ] {
        let mut model = ready();
        let place = Clean::default();
        update(&mut model, Event::Recording { place, state });
        assert_eq!(command(&mut model, "arm because"), []);
        assert!(said(&model).contains("not armed"), "{}", said(&model));
    }
}

#[test]
fn disarming_is_at_once_and_on_record() {
    let mut model = armed(ready());
    assert_eq!(command(&mut model, "disarm"), [Effect::Disarm]);
    assert_eq!(model.session.mode, Mode::ReadOnly);
    assert_eq!(command(&mut model, "disarm"), []);
}

#[test]
fn no_key_of_any_screen_does_more_than_look_plan_or_ask() {
    let running = {
        let mut voyage = Voyage::begun();
        voyage.start(0);
        voyage
    };
    for screen in Screen::ALL {
        let mut start = armed(heard(ready(), &running, true));
        want(&mut start, Intent::Go(screen));
        for binding in keys::working(start.context()) {
            let mut model = start.clone();
            for effect in want(&mut model, binding.intent.clone()) {
                let harmless = match &effect {
                    Effect::StartRun { .. } | Effect::Resume(_) | Effect::Arm { .. } => false,
                    // A pause only waits.
                    Effect::Decide { code, .. } => *code == Code::DecisionPause,
                    _ => true,
                };
                assert!(harmless, "{screen:?} {}: {effect:?}", binding.help);
            }
        }
    }
}

#[test]
fn a_runbook_is_planned_for_the_row_under_the_cursor() {
    let mut model = ready();
    let id = Clean::from("rolling-restart");
    let effects = want(&mut model, Intent::Plan(id.clone()));
    let answers = BTreeMap::from([(Clean::from("service"), Clean::from("server"))]);
    assert_eq!(
        effects,
        [Effect::Plan {
            runbook: id,
            answers: answers.clone()
        }]
    );
    let key = crossterm::event::KeyEvent::new(
        crossterm::event::KeyCode::Char('R'),
        crossterm::event::KeyModifiers::SHIFT,
    );
    model.overlay = None;
    let context = model.context();
    assert_eq!(keys::lookup(context, key), None);
    let intent = keys::runbook(context, key, &model.offers);
    assert_eq!(intent, Some(Intent::Plan(Clean::from("rolling-restart"))));
    let field = Context::Field(FieldUse::Word);
    assert_eq!(keys::runbook(field, key, &model.offers), None);
    // The menu and the palette lead to the same plan.
    want(&mut model, Intent::Act);
    assert_eq!(model.context(), Context::Choice);
    assert!(
        matches!(&want(&mut model, Intent::Open)[..], [Effect::Plan { answers: of, .. }] if *of == answers)
    );
    model.overlay = None;
    let effects = command(&mut model, "rolling-restart service=client");
    assert!(
        matches!(&effects[..], [Effect::Plan { answers, .. }] if answers.values().eq(["client"]))
    );
    model.overlay = None;
    assert_eq!(command(&mut model, "rolling-restart servce=client"), []);
    assert!(
        said(&model).contains("it takes service"),
        "{}",
        said(&model)
    );
}

#[test]
fn a_runbook_gets_no_letter_that_does_something_else_or_deletes_elsewhere() {
    for letter in ['D', 'X', 'G', 'A', 'U', 'S', 'r', '!'] {
        assert!(!keys::is_free(letter), "{letter}");
    }
    assert!(keys::is_free('R') && keys::is_free('B'));
}

#[test]
fn what_is_missing_is_asked_with_live_choices() {
    let mut model = ready();
    assert_eq!(want(&mut model, Intent::Plan(Clean::from("deploy"))), []);
    assert_eq!(model.context(), Context::Field(FieldUse::Answer));
    assert_eq!(
        want(&mut model, Intent::Submit),
        [],
        "an empty answer is none"
    );
    want(&mut model, Intent::NextPane);
    want(&mut model, Intent::NextPane);
    assert_eq!(model.field.as_ref().unwrap().text(), "server:1.43.0");
    want(&mut model, Intent::Up(1));
    assert_eq!(model.field.as_ref().unwrap().text(), "server");
    want(&mut model, Intent::NextPane);
    let service = model.field.as_ref().unwrap().text().to_owned();
    assert_ne!(service, "server", "another service of the stack");
    want(&mut model, Intent::Submit);
    let effects = want(&mut model, Intent::Submit);
    let answers = BTreeMap::from([
        (Clean::from("service"), Clean::from(service)),
        (Clean::from("image"), Clean::from("server:1.43.0")),
    ]);
    let runbook = Clean::from("deploy");
    assert_eq!(effects, [Effect::Plan { runbook, answers }]);
}

#[test]
fn only_the_exact_word_and_then_enter_starts_it() {
    let mut model = planning(armed(ready()), voyage::typed());
    later(&mut model, TWO);
    for wrong in ["", "serve", "Server", "server ", "yes"] {
        want(&mut model, Intent::EraseAll);
        typed(&mut model, wrong);
        assert_eq!(want(&mut model, Intent::Submit), [], "{wrong:?}");
        assert!(matches!(model.overlay, Some(Overlay::Plan(_))), "{wrong:?}");
    }
    assert_eq!(want(&mut model, Intent::Yes), [], "a y is no word");
    want(&mut model, Intent::EraseAll);
    typed(&mut model, "server");
    let effects = want(&mut model, Intent::Submit);
    let planned = Box::new(voyage::planned(voyage::typed()));
    let reason = Clean::from("server-2 is exhausted");
    assert_eq!(effects, [Effect::StartRun { planned, reason }]);
    assert_eq!(want(&mut model, Intent::Submit), [], "once");
}

#[test]
fn nothing_starts_in_the_first_two_seconds() {
    let mut model = planning(armed(ready()), voyage::typed());
    later(&mut model, Duration::from_secs(1));
    typed(&mut model, "server");
    assert_eq!(readiness(&model), Readiness::TooSoon);
    assert_eq!(want(&mut model, Intent::Submit), []);
    later(&mut model, Duration::from_millis(999));
    assert_eq!(want(&mut model, Intent::Submit), []);
    later(&mut model, Duration::from_millis(1));
    assert_eq!(want(&mut model, Intent::Submit).len(), 1);
    let mut model = planning(armed(ready()), Confirmation::Yes);
    assert_eq!(want(&mut model, Intent::Yes), []);
    later(&mut model, TWO);
    assert_eq!(want(&mut model, Intent::Submit), [], "Enter is no y");
    assert_eq!(want(&mut model, Intent::Yes).len(), 1);
}

#[test]
fn what_was_typed_before_the_plan_opened_is_discarded() {
    let mut model = armed(ready());
    want(&mut model, Intent::Plan(Clean::from("rolling-restart")));
    assert!(matches!(
        model.overlay,
        Some(Overlay::Pending(Pending::Plan { .. }))
    ));
    typed(&mut model, "ser");
    want(&mut model, Intent::Submit);
    answer(&mut model, voyage::planned(voyage::typed()));
    assert_eq!(model.field.as_ref().unwrap().text(), "");
    // And what was on its way from the fingers.
    typed(&mut model, "ver");
    assert_eq!(model.field.as_ref().unwrap().text(), "");
    later(&mut model, TWO);
    typed(&mut model, "x");
    assert_eq!(model.field.as_ref().unwrap().text(), "x");
}

#[test]
fn a_plan_that_nobody_waits_for_any_more_does_not_open() {
    let mut model = armed(ready());
    want(&mut model, Intent::Plan(Clean::from("rolling-restart")));
    want(&mut model, Intent::Back);
    answer(&mut model, voyage::planned(voyage::typed()));
    assert_eq!(model.overlay, None);
}

#[test]
fn a_paste_never_confirms() {
    let mut model = planning(armed(ready()), voyage::typed());
    later(&mut model, TWO);
    assert_eq!(update(&mut model, Event::Pasted(Clean::from("server"))), []);
    assert_eq!(model.field.as_ref().unwrap().text(), "");
    assert!(said(&model).contains("paste is ignored"));
}

#[test]
fn a_read_only_console_shows_the_plan_and_says_what_to_do() {
    let mut model = planning(ready(), voyage::typed());
    assert_eq!(model.context(), Context::PlanToRead);
    later(&mut model, TWO);
    assert_eq!(want(&mut model, Intent::Submit), []);
    assert!(said(&model).contains(":arm REASON"), "{}", said(&model));
    // The arms may end while the plan is open.
    let mut model = planning(armed(ready()), voyage::typed());
    later(&mut model, TWO);
    typed(&mut model, "server");
    let mut planned = voyage::planned(voyage::typed());
    planned.brief.made_at = model.now.plus(Duration::from_mins(14));
    later(&mut model, Duration::from_mins(15));
    assert_eq!(readiness(&model), Readiness::Disarmed);
    assert_eq!(want(&mut model, Intent::Submit), []);
}

#[test]
fn an_old_plan_and_a_failed_check_start_nothing() {
    let mut model = planning(armed(ready()), voyage::typed());
    later(&mut model, Duration::from_secs(601));
    typed(&mut model, "server");
    assert_eq!(readiness(&model), Readiness::Expired);
    assert_eq!(want(&mut model, Intent::Submit), []);
    for verdict in [Verdict::Fail, Verdict::CouldNotRun] {
        let mut model = armed(ready());
        want(&mut model, Intent::Plan(Clean::from("rolling-restart")));
        let mut planned = voyage::planned(voyage::typed());
        planned.brief.checks[1].outcome.verdict = verdict;
        answer(&mut model, planned);
        later(&mut model, TWO);
        typed(&mut model, "server");
        assert_eq!(readiness(&model), Readiness::Unproven);
        assert_eq!(want(&mut model, Intent::Submit), []);
    }
}

#[test]
fn practice_has_words_of_its_own() {
    let mut model = ready();
    model.session.mode = Mode::Training;
    model.board.stack.environment = quarterdeck::domain::Environment::Training;
    let mut model = planning(armed(model), voyage::typed());
    later(&mut model, TWO);
    typed(&mut model, "server");
    assert_eq!(want(&mut model, Intent::Submit), []);
    want(&mut model, Intent::EraseAll);
    typed(&mut model, "practice server");
    assert_eq!(want(&mut model, Intent::Submit).len(), 1);
}

#[test]
fn a_run_that_was_started_is_shown_and_one_that_was_not_says_why() {
    let mut model = planning(armed(ready()), voyage::typed());
    later(&mut model, TWO);
    typed(&mut model, "server");
    want(&mut model, Intent::Submit);
    update(&mut model, Event::Journaled(Voyage::begun().entries));
    update(&mut model, Event::Started(Ok(voyage::run_id())));
    assert_eq!((model.screen, model.zoomed), (Screen::Runs, true));
    assert_eq!(model.overlay, None);
    let fault = Clean::from("held by run r-1 of bob");
    update(&mut model, Event::Started(Err(fault.clone())));
    assert!(matches!(&model.overlay, Some(Overlay::Told { lines, .. }) if *lines == [fault]));
}

fn under_way() -> Model {
    let mut voyage = Voyage::begun();
    voyage.done(0..4, 9_000);
    voyage.start(4);
    let mut model = heard(ready(), &voyage, true);
    want(&mut model, Intent::Go(Screen::Runs));
    want(&mut model, Intent::Open);
    model
}

#[test]
fn leaving_never_stops_a_run() {
    for intents in [
        vec![Intent::Detach],
        vec![Intent::Leave, Intent::Leave],
        vec![Intent::Back, Intent::Back, Intent::Back],
        vec![Intent::Go(Screen::Overview), Intent::Leave, Intent::Quit],
        vec![Intent::Interrupt, Intent::Interrupt],
    ] {
        let mut model = under_way();
        for intent in &intents {
            for effect in want(&mut model, intent.clone()) {
                assert_eq!(effect, Effect::Quit, "{intents:?}");
            }
        }
    }
    let mut model = under_way();
    want(&mut model, Intent::Detach);
    assert!(said(&model).contains("the run goes on"));
}

#[test]
fn stopping_needs_a_y_and_no_arms() {
    for screen in Screen::ALL {
        let mut model = under_way();
        want(&mut model, Intent::Go(screen));
        assert_eq!(want(&mut model, Intent::Abort), [], "{screen:?}");
        assert_eq!(model.context(), Context::Question);
        assert_eq!(want(&mut model, Intent::Open), [], "Enter is no y");
        want(&mut model, Intent::Abort);
        let effects = want(&mut model, Intent::Yes);
        assert!(
            matches!(&effects[..], [Effect::Decide { code: Code::DecisionAbort, decision }] if decision.run == voyage::run_id()),
            "{screen:?} {effects:?}"
        );
    }
    let mut model = under_way();
    let effects = want(&mut model, Intent::Pause);
    assert!(matches!(
        &effects[..],
        [Effect::Decide {
            code: Code::DecisionPause,
            ..
        }]
    ));
}

#[test]
fn what_makes_a_run_act_needs_arms() {
    let mut model = under_way();
    want(&mut model, Intent::Undo);
    assert_eq!(model.overlay, None);
    assert!(said(&model).contains(":arm REASON"));
    let mut model = armed(under_way());
    want(&mut model, Intent::Undo);
    assert!(matches!(
        &want(&mut model, Intent::Yes)[..],
        [Effect::Decide {
            code: Code::DecisionUndo,
            ..
        }]
    ));
    let mut voyage = Voyage::begun();
    voyage.event(EventKind::Paused {
        cause: HoldCause::Person(Person(Clean::from("bob"))),
    });
    let mut model = heard(ready(), &voyage, true);
    want(&mut model, Intent::Go(Screen::Runs));
    assert_eq!(want(&mut model, Intent::Pause), []);
    assert_eq!(model.overlay, None, "resuming acts");
}

#[test]
fn a_question_is_answered_from_a_list_whose_first_row_decides_nothing() {
    let mut voyage = Voyage::begun();
    voyage.done(0..1, 1000);
    voyage.fail(1, "no answer from the engine");
    let mut model = armed(heard(ready(), &voyage, true));
    want(&mut model, Intent::Go(Screen::Runs));
    want(&mut model, Intent::Open);
    want(&mut model, Intent::Open);
    assert!(matches!(model.overlay, Some(Overlay::Answers { .. })));
    assert_eq!(want(&mut model, Intent::Open), []);
    assert_eq!(model.overlay, None, "Enter alone decides nothing");
    for (n, code, step) in [
        (1, Code::DecisionRetry, Some(StepId(1))),
        (2, Code::DecisionSkip, Some(StepId(1))),
        (3, Code::DecisionUndo, None),
        (4, Code::DecisionAbort, None),
    ] {
        let mut model = model.clone();
        want(&mut model, Intent::Open);
        want(&mut model, Intent::Down(n));
        assert_eq!(want(&mut model, Intent::Open), []);
        assert!(
            matches!(&model.overlay, Some(Overlay::Sure(sure)) if sure.deed == Deed::Decide { code, step })
        );
        let effects = want(&mut model, Intent::Yes);
        let [Effect::Decide { code: of, decision }] = &effects[..] else {
            panic!("{effects:?}");
        };
        assert_eq!((*of, decision.step), (code, step));
    }
}

#[test]
fn of_a_step_in_doubt_a_person_says_whether_it_happened() {
    let mut voyage = Voyage::begun();
    voyage.start(0);
    let (step, fault) = (StepId(0), Clean::from("nobody but a person can tell"));
    voyage.event(EventKind::Doubted {
        step,
        cause: DoubtCause::Deadline(Duration::from_secs(20)),
    });
    voyage.event(EventKind::Unclear { step, fault });
    let model = armed(heard(ready(), &voyage, true));
    let run = model.story.get(&voyage::run_id()).unwrap();
    let words: Vec<_> = answers(&model, run).iter().map(|a| a.word).collect();
    let all = ["happened", "did not", "retry", "skip", "undo", "abort"];
    assert_eq!(words, all);
    for (n, code) in [(1, Code::DecisionHappened), (2, Code::DecisionDidNotHappen)] {
        let mut model = model.clone();
        want(&mut model, Intent::Go(Screen::Runs));
        want(&mut model, Intent::Open);
        want(&mut model, Intent::Open);
        want(&mut model, Intent::Down(n));
        want(&mut model, Intent::Open);
        let effects = want(&mut model, Intent::Yes);
        let [Effect::Decide { code: of, decision }] = &effects[..] else {
            panic!("{effects:?}");
        };
        assert_eq!((*of, decision.step), (code, Some(step)));
    }
}

#[test]
fn nobody_approves_what_they_asked_for() {
    let mut voyage = Voyage::begun();
    let mut entries = std::mem::take(&mut voyage.entries);
    let gate = serde_json::to_value(Gate::Approve).unwrap();
    entries[0].body["plan"]["steps"][0]["gate"] = gate;
    voyage.entries = entries;
    let words = |user: &str| {
        let mut model = heard(ready(), &voyage, true);
        model.session.user = Clean::from(user);
        let run = model.story.get(&voyage::run_id()).unwrap();
        let words: Vec<_> = answers(&model, run).iter().map(|a| a.word).collect();
        words
    };
    assert_eq!(words("anna"), ["abort"]);
    assert_eq!(words("bob"), ["approve", "abort"]);
}

#[test]
fn an_ownerless_run_is_taken_up_by_a_driver() {
    let mut voyage = Voyage::begun();
    voyage.done(0..1, 1000);
    voyage.start(1);
    let mut model = armed(heard(ready(), &voyage, false));
    want(&mut model, Intent::Go(Screen::Runs));
    want(&mut model, Intent::Open);
    want(&mut model, Intent::Open);
    want(&mut model, Intent::Down(1));
    want(&mut model, Intent::Open);
    assert_eq!(
        want(&mut model, Intent::Yes),
        [Effect::Resume(voyage::run_id())]
    );
}

#[test]
fn without_a_record_nothing_is_decided() {
    let mut model = under_way();
    let state = Recording::Closed(Clean::from("the disk is full"));
    let place = Clean::default();
    update(&mut model, Event::Recording { place, state });
    want(&mut model, Intent::Abort);
    assert_eq!(want(&mut model, Intent::Yes), []);
    assert!(said(&model).contains("not recorded, so not done: the disk is full"));
}
