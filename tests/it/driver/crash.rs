//! The driver dies, or its journal fails, at every single record; another takes the run up.

use quarterdeck::engine::{Repeat, Verdict};

use super::script::{Death, Fate, Script, Stage};

const STEPS: u16 = 3;

/// The records of a run of three steps: taken up, begun, and for each step started, before, two lines, done; the end.
async fn records() -> usize {
    let mut stage = Stage::new(STEPS.into(), Repeat::Unsafe);
    stage.request().await;
    assert_eq!(
        Stage::ended(stage.run(Death::Never).await),
        Verdict::Completed
    );
    let asked_and_confirmed = 2;
    stage.entries().await.len() - asked_and_confirmed
}

/// Lets the first driver meet its trouble and a second one go on.
async fn survive(repeat: Repeat, death: Death) -> (Stage, Verdict) {
    let mut stage = Stage::new(STEPS.into(), repeat);
    stage.request().await;
    let fate = match stage.run_attended(death).await {
        Fate::Died => stage.run_attended(Death::Never).await,
        left @ Fate::Left(_) => left,
    };
    let verdict = Stage::ended(fate);
    assert!(stage.is_free().await, "{death:?}: the target is still held");
    let story = stage.story().await;
    assert_eq!(story.unsound, None, "{death:?}");
    assert!(
        story.finished.is_some(),
        "{death:?}: nobody said that it ended"
    );
    (stage, verdict)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_killed_at_any_record_leaves_a_run_that_is_done_once() {
    let records = records().await;
    assert!(records >= 18, "{records}");
    for n in 0..records {
        for death in [Death::Before(n), Death::After(n)] {
            for repeat in [Repeat::Unsafe, Repeat::Safe] {
                let (stage, verdict) = survive(repeat, death).await;
                assert_eq!(verdict, Verdict::Completed, "{repeat:?} {death:?}");
                for step in 0..STEPS {
                    let times = stage.world.count("perform", step);
                    assert_eq!(times, 1, "{repeat:?} {death:?}: step {step}");
                    assert_eq!(stage.world.count("undo", step), 0);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_refuses_one_record_stops_the_driver_until_it_has_read_it_again() {
    let records = records().await;
    for n in 0..records {
        for death in [Death::Refused(n), Death::Unheard(n)] {
            let (stage, verdict) = survive(Repeat::Unsafe, death).await;
            assert_eq!(verdict, Verdict::Completed, "{death:?}");
            for step in 0..STEPS {
                assert_eq!(stage.world.count("perform", step), 1, "{death:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_full_from_some_record_on_lets_nothing_happen() {
    let mut stage = Stage::new(1, Repeat::Unsafe);
    stage.request().await;
    // The look before the act cannot be made durable: the act is not begun, whatever comes then.
    let before = 3;
    let fate = stage.run(Death::Before(before)).await;
    assert!(matches!(fate, Fate::Died));
    assert_eq!(stage.world.count("before", 0), 1);
    assert_eq!(stage.world.count("perform", 0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_killed_at_any_record_is_finished_once_resumed() {
    let mut n = 0;
    loop {
        let mut stage = Stage::new(STEPS.into(), Repeat::Unsafe);
        stage.plan.on_failure = quarterdeck::engine::OnFailure::Undo;
        stage.script(2, Script::Fails);
        stage.request().await;
        let fate = stage.run(Death::After(n)).await;
        let survived = !matches!(fate, Fate::Died);
        let fate = if survived {
            fate
        } else {
            stage.run(Death::Never).await
        };
        assert_eq!(
            Stage::ended(fate),
            Verdict::Unwound,
            "killed after record {n}"
        );
        for step in 0..STEPS {
            assert!(
                !stage.world.is_there(step),
                "killed after {n}: {step} is there"
            );
            assert!(stage.world.count("perform", step) <= 1);
        }
        if survived {
            assert!(n > 20, "{n}");
            return;
        }
        n += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_of_the_host_a_person_is_asked() {
    let mut stage = Stage::new(2, Repeat::Safe);
    stage.plan.resume = quarterdeck::engine::Resume::Ask;
    stage.request().await;
    let after_the_first_step = 6;
    assert!(matches!(
        stage.run(Death::After(after_the_first_step)).await,
        Fate::Died
    ));
    stage.boot_id = "boot-2";
    let (driver, _stop, _tell) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| stage.story().await.state.hold().is_some())
        .await;
    assert_eq!(
        stage.world.count("perform", 1),
        0,
        "nothing goes on by itself"
    );
    stage
        .decide("ann", quarterdeck::journal::Code::DecisionResume)
        .await;
    assert_eq!(Stage::ended(driver.await.unwrap()), Verdict::Completed);
    assert_eq!(stage.world.count("perform", 0), 1);
    assert_eq!(stage.world.count("perform", 1), 1);
}
