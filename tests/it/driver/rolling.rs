//! The rolling restart on the practice range, as users and an on-call see it: nothing is lost, nothing is done twice.

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use serde_json::Value;

use super::process::{Yard, done, driver};
use crate::death::killed;

/// Each replica: out of the gateway, restarted, healthy, in again, a pause.
const STEPS: usize = 15;

/// The world lives so many of its seconds in one of ours: a replica is healthy sooner.
const SPEED: &str = "8";

const WORDS: [&str; 6] = [
    "run",
    "rolling-restart",
    "min_healthy_time=200ms",
    "settle=100ms",
    "grace=2s",
    "--confirm=server",
];

/// How often each server of the range was started since `since`, by the engine's own word.
fn starts(yard: &Yard, since: i64) -> BTreeMap<String, usize> {
    let socket = yard.home().join("range/docker.sock");
    let options = EventsOptions {
        since: Some(since.to_string()),
        until: Some((chrono::Utc::now().timestamp() + 1).to_string()),
        filters: Some([("event".to_owned(), vec!["start".to_owned()])].into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut counted = BTreeMap::new();
    runtime.block_on(async {
        let docker =
            Docker::connect_with_unix(socket.to_str().unwrap(), 10, bollard::API_DEFAULT_VERSION)
                .unwrap();
        let mut events = docker.events(Some(options));
        while let Some(event) = events.next().await {
            let named = event.unwrap().actor.unwrap().attributes.unwrap();
            let name = named["name"]
                .trim_start_matches("hyper-mission-")
                .to_owned();
            *counted.entry(name).or_default() += 1;
        }
    });
    counted
}

#[track_caller]
fn each_was_restarted_once(yard: &Yard, since: i64) {
    let once = ["server-1", "server-2", "server-3"].map(|name| (name.to_owned(), 1));
    assert_eq!(starts(yard, since), BTreeMap::from(once));
}

/// Steps in the order of the plan, each begun when the one before it was done.
#[track_caller]
fn all_were_done_in_order(run: &Value) {
    let steps = run["steps"].as_array().unwrap();
    assert_eq!((steps.len(), done(run)), (STEPS, STEPS));
    let at = |step: &Value, what: &str| step[what].as_str().unwrap().to_owned();
    for pair in steps.windows(2) {
        assert!(
            at(&pair[0], "ended_at") <= at(&pair[1], "started_at"),
            "{pair:#?}"
        );
    }
}

#[test]
fn a_rolling_restart_loses_no_request_and_restarts_each_replica_once() {
    let yard = Yard::at_speed(SPEED);
    let since = chrono::Utc::now().timestamp();
    let (code, said) = yard.ask(&WORDS);
    assert_eq!(code, Some(0), "{said}");
    let run = yard.run("last");
    assert_eq!(run["standing"], "completed");
    all_were_done_in_order(&run);
    assert_eq!(run["tap"]["failed"], 0, "{:#}", run["tap"]);
    let (least, of) = (&run["serving"]["least"], &run["serving"]["of"]);
    assert_eq!((least, of), (&Value::from(2), &Value::from(3)), "{run:#}");
    assert!(said.contains(", at least 2 of 3 serving"), "{said}");
    assert!(
        run["tap"]["sent"].as_u64().unwrap() > 50,
        "{:#}",
        run["tap"]
    );
    each_was_restarted_once(&yard, since);
    assert_eq!(yard.ask(&["journal", "verify"]).0, Some(0));
}

#[test]
fn a_rolling_restart_whose_driver_is_killed_after_each_step_does_nothing_twice() {
    let yard = Yard::at_speed(SPEED);
    let since = chrono::Utc::now().timestamp();
    let (code, said) = yard.ask(&[&WORDS[..], &["--detach"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let run = said.lines().next().unwrap().to_owned();
    let mut kills = 0;
    let mut reached = 0;
    let mut last = Value::Null;
    while reached < STEPS - 1 {
        // Until the next driver has taken the run up, the store names the one that was killed.
        let seen = yard.until(&run, "a step further", |run| {
            done(run) > reached && (last.is_null() || run["driver"] != last)
        });
        last = seen["driver"].clone();
        reached = done(&seen);
        if seen["driver"].is_null() {
            break;
        }
        if !killed(driver(&seen)) {
            break;
        }
        kills += 1;
        let (code, said) = yard.ask(&["resume", &run, "--detach"]);
        assert_eq!(code, Some(0), "{said}");
    }
    // Two steps may be done between two looks.
    assert!(kills >= STEPS / 2, "killed {kills} times");
    let seen = yard.until(&run, "completed, and its target free", |run| {
        run["standing"] == "completed" && run["driver"].is_null()
    });
    all_were_done_in_order(&seen);
    each_was_restarted_once(&yard, since);
    assert_eq!(yard.ask(&["journal", "verify"]).0, Some(0));
}

/// Begins a rolling restart that will look or wait for half an hour, and waits until that step is under way.
fn begun(yard: &Yard, long: &str, step: usize) -> String {
    let words = [
        "run",
        "rolling-restart",
        "min_healthy_time=200ms",
        "settle=100ms",
        "healthy_deadline=40m",
        "--confirm=server",
        "--detach",
    ];
    let name = long.split('=').next().unwrap();
    let mut words: Vec<&str> = words
        .into_iter()
        .filter(|word| !word.starts_with(name))
        .collect();
    words.push(long);
    let (code, said) = yard.ask(&words);
    assert_eq!(code, Some(0), "{said}");
    let run = said.lines().next().unwrap().to_owned();
    yard.until(&run, "at the long step", |run| {
        run["steps"][step]["state"] == "running"
    });
    run
}

#[test]
fn an_abort_and_an_undo_are_not_kept_waiting_by_a_step_that_looks_or_waits() {
    let yard = Yard::at_speed(SPEED);
    let since = chrono::Utc::now().timestamp();

    let run = begun(&yard, "settle=30m", 4);
    let (code, said) = yard.ask(&["undo", &run]);
    assert_eq!(code, Some(0), "{said}");
    let seen = yard.until(&run, "put back, and its target free", |run| {
        run["standing"] == "unwound" && run["driver"].is_null()
    });
    assert_eq!(seen["steps"][4]["state"], "undone", "{seen:#}");

    let run = begun(&yard, "min_healthy_time=30m", 2);
    let (code, said) = yard.ask(&["abort", &run]);
    assert_eq!(code, Some(0), "{said}");
    let seen = yard.until(&run, "aborted, and its target free", |run| {
        run["standing"] == "aborted" && run["driver"].is_null()
    });
    let healthy = &seen["steps"][2];
    assert_eq!(healthy["state"], "failed", "{seen:#}");
    let fault = healthy["fault"].as_str().unwrap();
    assert!(fault.starts_with("broken off"), "{fault}");
    assert_eq!(done(&seen), 2);
    let twice = BTreeMap::from([("server-1".to_owned(), 2)]);
    assert_eq!(starts(&yard, since), twice, "nothing else was touched");
}
