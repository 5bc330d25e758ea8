//! What people, guards and other drivers say to a run, and what it makes of it.

use std::time::Duration;

use quarterdeck::engine::{
    Facts, Gate, GuardId, HoldCause, LEASE_TTL, OnFailure, Phase, Question, Repeat, StepId,
    StepState, Verdict, Wait,
};
use quarterdeck::journal::Code;
use quarterdeck::shell::driver::{Aside, DriveError, Left};

use super::script::{Death, Fate, Script, Stage};

async fn asked(stage: &Stage) -> Option<Question> {
    let story = stage.story().await;
    match story.state.wait(&story.plan) {
        Wait::Person(question) => Some(question),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_nobody_confirmed_is_not_begun() {
    let mut stage = Stage::new(1, Repeat::Safe);
    let requested = quarterdeck::engine::Requested {
        run: quarterdeck::engine::RunId(super::script::RUN.into()),
        plan: stage.plan.clone(),
        brief: serde_json::Value::Null,
    };
    let body = serde_json::to_value(requested).unwrap();
    stage.say("ann", Code::RunRequested, body).await;
    let other = serde_json::json!({ "run": super::script::RUN, "plan": "another" });
    stage.say("ann", Code::DecisionConfirm, other).await;
    let Fate::Left(Ok(left)) = stage.run(Death::Never).await else {
        panic!("it did not come back");
    };
    assert_eq!(left, Left::Unconfirmed);
    assert!(stage.is_free().await);
    assert!(stage.world.acts.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asked_cannot_approve_and_another_person_can() {
    let mut stage = Stage::new(1, Repeat::Safe);
    stage.plan.steps[0].gate = Gate::Approve;
    stage.request().await;
    let (driver, _stop, _tell) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| asked(stage).await.is_some())
        .await;
    let own = stage.decide("ann", Code::DecisionApprove).await;
    let weak = stage.decide("bob", Code::DecisionConfirm).await;
    stage
        .until(async |stage| {
            let entries = stage.entries().await;
            let refused = entries.iter().filter(|entry| entry.code == Code::Refused);
            refused.count() == 2
        })
        .await;
    let entries = stage.entries().await;
    let refused: Vec<_> = entries
        .iter()
        .filter(|entry| entry.code == Code::Refused)
        .map(|entry| {
            (
                entry.body["decision"].as_u64().unwrap(),
                entry.body["reason"].to_string(),
            )
        })
        .collect();
    assert_eq!((refused[0].0, refused[1].0), (own.0, weak.0));
    assert!(refused[0].1.contains("another person"), "{refused:?}");
    assert_eq!(stage.world.count("perform", 0), 0);
    stage.decide("bob", Code::DecisionApprove).await;
    assert_eq!(Stage::ended(driver.await.unwrap()), Verdict::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_step_waits_for_a_person_and_is_retried_skipped_or_undone() {
    for (code, verdict, undone) in [
        (Code::DecisionRetry, Verdict::Completed, 0),
        (Code::DecisionSkip, Verdict::Completed, 0),
        (Code::DecisionUndo, Verdict::Unwound, 1),
        (Code::DecisionAbort, Verdict::Aborted, 0),
    ] {
        let mut stage = Stage::new(2, Repeat::Unsafe);
        stage.script(1, Script::Fails);
        stage.request().await;
        let (driver, _stop, _tell) = stage.driver(Death::Never).await.start();
        stage
            .until(async |stage| asked(stage).await.is_some())
            .await;
        stage.script(1, Script::Good);
        stage.decide("bob", code).await;
        assert_eq!(Stage::ended(driver.await.unwrap()), verdict, "{code:?}");
        assert_eq!(stage.world.count("undo", 0), undone, "{code:?}");
        assert_eq!(stage.world.is_there(0), undone == 0, "{code:?}");
        let performed = if code == Code::DecisionRetry { 2 } else { 1 };
        assert_eq!(stage.world.count("perform", 1), performed, "{code:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_in_doubt_is_answered_by_a_person_who_looked() {
    for (code, policy, verdict) in [
        (Code::DecisionHappened, OnFailure::Stop, Verdict::Completed),
        (
            Code::DecisionDidNotHappen,
            OnFailure::Undo,
            Verdict::Unwound,
        ),
        (
            Code::DecisionDidNotHappen,
            OnFailure::Stop,
            Verdict::Completed,
        ),
    ] {
        let mut stage = Stage::new(2, Repeat::Unsafe);
        stage.plan.on_failure = policy;
        stage.plan.steps[0].deadline = Duration::from_millis(200);
        stage.script(0, Script::Doubtful);
        stage.request().await;
        let (driver, _stop, _tell) = stage.driver(Death::Never).await.start();
        let doubt = Some(Question::Doubt { step: StepId(0) });
        stage.until(async |stage| asked(stage).await == doubt).await;
        assert_eq!(stage.world.count("perform", 1), 0, "it went on in doubt");
        stage.script(0, Script::Good);
        stage.decide("bob", code).await;
        if (code, policy) == (Code::DecisionDidNotHappen, OnFailure::Stop) {
            let failed = Some(Question::Failed { step: StepId(0) });
            stage
                .until(async |stage| asked(stage).await == failed)
                .await;
            // Of a step that has failed there is no doubt.
            stage.decide("bob", Code::DecisionHappened).await;
            stage.decide("bob", Code::DecisionSkip).await;
        }
        assert_eq!(Stage::ended(driver.await.unwrap()), verdict, "{code:?}");
        assert_eq!(stage.world.count("perform", 0), 1, "{code:?}");
        let undone = usize::from(verdict == Verdict::Unwound);
        assert_eq!(stage.world.count("undo", 0), undone, "{code:?}");
        let entries = stage.entries().await;
        let refused = entries.iter().filter(|entry| entry.code == Code::Refused);
        let refused: Vec<_> = refused.map(|entry| &entry.body["reason"]).collect();
        let once = usize::from((code, policy) == (Code::DecisionDidNotHappen, OnFailure::Stop));
        assert_eq!(refused.len(), once, "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_was_heard_is_not_heard_again_by_the_next_driver() {
    let mut stage = Stage::new(2, Repeat::Unsafe);
    stage.script(0, Script::Fails);
    stage.request().await;
    let (driver, ..) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| asked(stage).await.is_some())
        .await;
    stage.decide("ann", Code::DecisionRetry).await;
    stage
        .until(async |stage| {
            let story = stage.story().await;
            stage.world.count("perform", 0) == 2
                && asked(stage).await.is_some()
                && story.state.events() > 4
        })
        .await;
    driver.abort();
    let _ = driver.await;
    stage.later(LEASE_TTL);
    let (driver, stop, _tell) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| {
            let story = stage.story().await;
            story.driver.as_ref().is_some_and(|(up, _)| up.token.0 == 2)
                && story.state.token().0 == 2
        })
        .await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(
        stage.world.count("perform", 0),
        2,
        "the old retry was heard again"
    );
    stop.send_replace(true);
    assert!(matches!(driver.await.unwrap(), Fate::Left(Ok(Left::Told))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_paused_between_steps_by_a_person_and_by_a_guard() {
    let mut stage = Stage::new(2, Repeat::Unsafe);
    stage.script(0, Script::Waits);
    stage.request().await;
    let (driver, _stop, tell) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| stage.world.count("perform", 0) == 1)
        .await;
    let fault = Aside::Failed {
        guard: GuardId("floor".into()),
        fault: "1 of 3 serve, expected >= 2".into(),
    };
    tell.send(fault).await.unwrap();
    stage
        .until(async |stage| stage.story().await.state.hold().is_some())
        .await;
    let hold = stage.story().await.state.hold().cloned();
    assert!(matches!(hold, Some(HoldCause::Guard { .. })), "{hold:?}");
    stage.world.go_on.notify_one();
    stage
        .until(async |stage| asked(stage).await == Some(Question::Resume))
        .await;
    assert_eq!(stage.world.count("perform", 1), 0, "a paused run went on");
    stage.script(1, Script::Waits);
    stage.decide("bob", Code::DecisionResume).await;
    stage
        .until(async |stage| stage.world.count("perform", 1) == 1)
        .await;
    stage.decide("bob", Code::DecisionAbort).await;
    stage
        .until(async |stage| stage.story().await.state.asked().is_some())
        .await;
    stage.world.go_on.notify_one();
    assert_eq!(Stage::ended(driver.await.unwrap()), Verdict::Aborted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_without_an_answer_is_given_up_at_its_deadline_and_its_check_is_asked() {
    let mut stage = Stage::new(1, Repeat::Unsafe);
    stage.plan.steps[0].deadline = Duration::from_millis(300);
    stage.script(0, Script::Hangs);
    stage.request().await;
    assert_eq!(
        Stage::ended(stage.run(Death::Never).await),
        Verdict::Completed
    );
    assert_eq!(stage.world.count("happened", 0), 1);
    assert_eq!(stage.world.count("perform", 0), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_panics_has_failed_and_the_driver_lives() {
    let mut stage = Stage::new(1, Repeat::Unsafe);
    stage.script(0, Script::Panics);
    stage.plan.on_failure = OnFailure::Undo;
    stage.request().await;
    assert_eq!(
        Stage::ended(stage.run(Death::Never).await),
        Verdict::Unwound
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_that_changed_since_the_plan_stop_the_run_before_it_acts() {
    for (value, verdict) in [("c1", Verdict::Completed), ("c2", Verdict::Stopped)] {
        let mut stage = Stage::new(1, Repeat::Safe);
        let facts = &mut stage.plan.facts.0;
        facts.insert("container/app-1".into(), "c1".into());
        let seen = [("container/app-1".into(), value.into())].into();
        *stage.world.facts.lock().unwrap() = Facts(seen);
        stage.request().await;
        assert_eq!(Stage::ended(stage.run(Death::Never).await), verdict);
        let performed = usize::from(verdict == Verdict::Completed);
        assert_eq!(stage.world.count("perform", 0), performed, "{value}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_drivers_one_drives_and_the_other_is_told_who() {
    let mut stage = Stage::new(1, Repeat::Unsafe);
    stage.script(0, Script::Waits);
    stage.request().await;
    let (first, ..) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| stage.world.count("perform", 0) == 1)
        .await;
    // The same target for another run.
    let mut requested = quarterdeck::engine::Requested {
        run: quarterdeck::engine::RunId("r-2".into()),
        plan: stage.plan.clone(),
        brief: serde_json::Value::Null,
    };
    requested.plan.requested_by.0 = "bob".into();
    let body = serde_json::to_value(requested).unwrap();
    stage.say("bob", Code::RunRequested, body).await;
    let mut second = stage.driver(Death::Never).await;
    second.takes("r-2");
    let Fate::Left(Err(DriveError::Held(held))) = second.live().await else {
        panic!("a second run took the target");
    };
    assert!(
        held.to_string().starts_with("held by run r-1 of ann since"),
        "{held}"
    );
    stage.world.go_on.notify_one();
    assert_eq!(Stage::ended(first.await.unwrap()), Verdict::Completed);
    assert_eq!(stage.world.count("perform", 0), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_was_replaced_falls_silent() {
    let mut stage = Stage::new(2, Repeat::Unsafe);
    stage.script(0, Script::Waits);
    stage.request().await;
    let (sleeper, ..) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| stage.world.count("perform", 0) == 1)
        .await;
    // It was asleep for longer than its lease; another takes the run up and finds the step in doubt, and there.
    stage.later(LEASE_TTL);
    let second = stage.driver(Death::Never).await.live().await;
    assert_eq!(Stage::ended(second), Verdict::Completed);
    stage.world.go_on.notify_one();
    let left = match sleeper.await.unwrap() {
        Fate::Left(left) => left,
        Fate::Died => panic!("it died"),
    };
    assert!(matches!(left, Ok(Left::Replaced(_))), "{left:?}");
    assert_eq!(stage.world.count("perform", 0), 1);
    assert_eq!(stage.world.count("perform", 1), 1);
    let story = stage.story().await;
    assert_eq!(story.unsound, None);
    let tokens: Vec<u64> = stage
        .entries()
        .await
        .iter()
        .filter_map(|entry| entry.body["token"].as_u64())
        .collect();
    assert!(
        tokens.is_sorted(),
        "an older token wrote after a newer one: {tokens:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_is_told_to_go_leaves_a_run_that_is_resumed_at_once() {
    let mut stage = Stage::new(2, Repeat::Unsafe);
    stage.script(0, Script::Waits);
    stage.request().await;
    let (driver, stop, _tell) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| stage.world.count("perform", 0) == 1)
        .await;
    stop.send_replace(true);
    assert!(matches!(driver.await.unwrap(), Fate::Left(Ok(Left::Told))));
    let story = stage.story().await;
    assert_eq!(story.state.phase(), Phase::Forward);
    assert_eq!(story.steps.len(), 2);
    assert_eq!(story.state.steps()[0].state, StepState::Running);
    let said = story.lines.back().unwrap().text.to_string();
    assert!(said.contains("quarterdeck resume r-1"), "{said}");
    // No time passes: the lease ended with its driver.
    assert_eq!(
        Stage::ended(stage.run(Death::Never).await),
        Verdict::Completed
    );
    assert_eq!(stage.world.count("perform", 0), 1, "it had happened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_and_an_undo_do_not_wait_for_a_step_that_only_looks() {
    for (code, verdict, undone) in [
        (Code::DecisionAbort, Verdict::Aborted, 0),
        (Code::DecisionUndo, Verdict::Unwound, 1),
    ] {
        let mut stage = Stage::new(3, Repeat::Safe);
        stage.script(1, Script::Looks);
        stage.request().await;
        let (driver, _stop, _tell) = stage.driver(Death::Never).await.start();
        stage
            .until(async |stage| stage.world.count("perform", 1) == 1)
            .await;
        stage.decide("ann", code).await;
        assert_eq!(Stage::ended(driver.await.unwrap()), verdict, "{code:?}");
        assert_eq!(stage.world.count("undo", 0), undone, "{code:?}");
        assert_eq!(stage.world.count("perform", 2), 0, "{code:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_lets_a_step_that_acts_come_to_its_end() {
    let mut stage = Stage::new(2, Repeat::Unsafe);
    stage.script(0, Script::Waits);
    stage.request().await;
    let (driver, _stop, _tell) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| stage.world.count("perform", 0) == 1)
        .await;
    stage.decide("ann", Code::DecisionAbort).await;
    stage
        .until(async |stage| stage.story().await.state.asked().is_some())
        .await;
    stage.world.go_on.notify_one();
    assert_eq!(Stage::ended(driver.await.unwrap()), Verdict::Aborted);
    let story = stage.story().await;
    assert_eq!(story.state.steps()[0].state, StepState::Done);
    assert_eq!(stage.world.count("perform", 1), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_whose_engine_is_gone_leaves_a_run_that_waits_for_a_person_and_says_so() {
    let mut stage = Stage::new(2, Repeat::Unsafe);
    stage.script(0, Script::Waits);
    stage.script(1, Script::Fails);
    stage.request().await;
    let (driver, _stop, tell) = stage.driver(Death::Never).await.start();
    let gone = || Aside::EngineGone {
        fault: "the engine has not answered for 5m".into(),
    };
    stage
        .until(async |stage| stage.world.count("perform", 0) == 1)
        .await;
    // An act is under way: its own deadline is its bound.
    tell.send(gone()).await.unwrap();
    tell.send(gone()).await.unwrap();
    stage.world.go_on.notify_one();
    stage
        .until(async |stage| asked(stage).await.is_some())
        .await;
    tell.send(gone()).await.unwrap();
    let Fate::Left(Ok(left)) = driver.await.unwrap() else {
        panic!("it did not come back");
    };
    assert_eq!(left, Left::Forsaken);
    let entries = stage.entries().await;
    let last = entries.last().unwrap();
    let text = last.body["text"].as_str().unwrap();
    assert_eq!(last.code, Code::Note);
    assert!(text.contains("has not answered for 5m"), "{text}");
    assert!(text.contains("quarterdeck resume"), "{text}");

    // The engine is back: the next driver need not wait for the lease, and finds the question as it was.
    let (driver, _stop, _tell) = stage.driver(Death::Never).await.start();
    stage.script(1, Script::Good);
    stage
        .until(async |stage| {
            let story = stage.story().await;
            story.state.token().0 == 2 && asked(stage).await.is_some()
        })
        .await;
    stage.decide("bob", Code::DecisionRetry).await;
    assert_eq!(Stage::ended(driver.await.unwrap()), Verdict::Completed);
    assert_eq!(stage.world.count("perform", 0), 1);
}
