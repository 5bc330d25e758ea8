//! The journal's server is away in the middle of a run: what was under way ends, nothing begins, and nothing that
//! happened is forgotten or done twice.

use quarterdeck::engine::{EvidenceKind, Repeat, Verdict};
use quarterdeck::journal::{Access, Code, Journal, StoreError};

use super::script::{Death, Script, Stage};
use crate::journal::postgres::Server;

/// What the journal says of the run, one word for each entry that tells what happened.
async fn told(stage: &Stage) -> Vec<String> {
    let entries = stage.entries().await;
    let told = entries.iter().filter_map(|entry| match entry.code {
        Code::RunEvent => Some(entry.body["event"]["event"].as_str()?.to_owned()),
        Code::JournalRecovered => Some("recovered".to_owned()),
        Code::Evidence if entry.body["what"] == EvidenceKind::Said.word() => {
            Some(entry.body["value"].as_str()?.to_owned())
        }
        _ => None,
    });
    told.collect()
}

/// Each step was performed once, and nobody had to ask whether it was.
async fn nothing_is_lost_or_done_twice(stage: &Stage) {
    for step in 0..2 {
        assert_eq!(stage.world.count("perform", step), 1, "step {step}");
        assert_eq!(stage.world.count("happened", step), 0, "step {step}");
    }
    let told = told(stage).await;
    let at = |word: &str| told.iter().position(|one| one == word);
    assert_eq!(at("doubted"), None, "{told:?}");
    let recovered = at("recovered").expect("what was kept came into the journal");
    assert_eq!(
        told[..recovered],
        ["begun", "started", "at work", "succeeded"]
    );
    assert!(
        !stage.spool().exists(),
        "what the journal has is kept no longer"
    );
    let story = stage.story().await;
    assert_eq!(story.unsound, None);
}

/// A run whose first step is under way, on a server of its own.
async fn under_way(server: &Server) -> Stage {
    let mut stage = Stage::new(2, Repeat::Unsafe);
    stage.address = server.address();
    stage.spools = true;
    stage.script(0, Script::Waits);
    stage.request().await;
    stage
}

async fn until_kept(stage: &Stage) {
    let file = stage.spool().join("journal.db");
    stage.until(async |_| file.exists()).await;
    // The outcome is in it, and not only the lines before it.
    let address = quarterdeck::journal::Address::Sqlite(file);
    stage
        .until(async |_| {
            let Ok(spool) = Journal::open(&address, Access::Read).await else {
                return false;
            };
            // It may be in the making.
            let last = spool.last(1).await.ok().and_then(|mut rows| rows.pop());
            let entry = last.and_then(|row| row.record.ok()?.entry());
            entry.is_some_and(|entry| entry.code == Code::RunEvent)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_while_the_server_is_away_is_in_the_journal_when_it_is_back() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let mut stage = under_way(&server).await;
    let (driver, _stop, _tell) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| stage.world.count("perform", 0) == 1)
        .await;
    server.stop();
    stage.world.go_on.notify_one();
    until_kept(&stage).await;
    assert_eq!(
        stage.world.count("before", 1),
        0,
        "a step began without a record"
    );
    // Nor may anything new begin.
    let closed = Journal::open(&stage.address, Access::Write).await.err();
    assert!(
        matches!(closed, Some(StoreError::Unreachable { .. })),
        "{closed:?}"
    );
    server.start_again().await;
    assert_eq!(Stage::ended(driver.await.unwrap()), Verdict::Completed);
    nothing_is_lost_or_done_twice(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_driver_kept_before_it_died_is_brought_back_by_the_next_one() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let mut stage = under_way(&server).await;
    let (driver, _stop, _tell) = stage.driver(Death::Never).await.start();
    stage
        .until(async |stage| stage.world.count("perform", 0) == 1)
        .await;
    server.stop();
    stage.world.go_on.notify_one();
    until_kept(&stage).await;
    driver.abort();
    let _ = driver.await;
    server.start_again().await;
    stage.later(quarterdeck::engine::LEASE_TTL);
    assert_eq!(
        Stage::ended(stage.run(Death::Never).await),
        Verdict::Completed
    );
    nothing_is_lost_or_done_twice(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_and_came_too_late_is_said_and_changes_nothing() {
    let mut stage = Stage::new(1, Repeat::Unsafe);
    stage.spools = true;
    stage.request().await;
    // Taken up, begun, started, seen before, two lines: the outcome is refused, and kept. Then the driver dies.
    let outcome = 6;
    let (driver, ..) = stage.driver(Death::Away(outcome)).await.start();
    until_kept(&stage).await;
    driver.abort();
    let _ = driver.await;
    let kept = stage.dir.path().join("kept");
    std::fs::rename(stage.spool(), &kept).unwrap();
    stage.later(quarterdeck::engine::LEASE_TTL);
    // A driver of another host goes on without it: the step's own check answers.
    assert_eq!(
        Stage::ended(stage.run_attended(Death::Never).await),
        Verdict::Completed
    );
    assert_eq!(stage.world.count("happened", 0), 1);
    std::fs::rename(&kept, stage.spool()).unwrap();
    let (events, steps) = (
        stage.story().await.state.events(),
        stage.world.count("perform", 0),
    );
    stage.later(quarterdeck::engine::LEASE_TTL);
    assert_eq!(
        Stage::ended(stage.run(Death::Never).await),
        Verdict::Completed
    );
    let story = stage.story().await;
    assert_eq!(
        (story.state.events(), stage.world.count("perform", 0)),
        (events, steps)
    );
    let said: Vec<&str> = story.lines.iter().map(|line| line.text.as_str()).collect();
    let late = said.iter().find(|line| line.contains("without knowing it"));
    assert!(late.is_some(), "{said:#?}");
    assert!(!stage.spool().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_whose_receipt_was_lost_is_not_written_twice() {
    let mut stage = Stage::new(1, Repeat::Unsafe);
    stage.spools = true;
    stage.request().await;
    let outcome = 6;
    assert_eq!(
        Stage::ended(stage.run(Death::Unheard(outcome)).await),
        Verdict::Completed
    );
    let told = told(&stage).await;
    let times = told.iter().filter(|word| *word == "succeeded").count();
    assert_eq!(times, 1, "{told:?}");
    assert_eq!(stage.world.count("perform", 0), 1);
}
