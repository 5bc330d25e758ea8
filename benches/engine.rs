//! What the engine decides in a second, and what a record costs on this disk.
//!
//! `cargo bench --bench engine` prints both. Figures never fail a run.

#![expect(
    clippy::print_stdout,
    reason = "a table on the standard output is what a bench is for"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::time::{Duration, Instant};

use quarterdeck::domain::{Clean, Timestamp};
use quarterdeck::engine::{
    Facts, Gate, Input, InputKind, OnFailure, Output, Person, Plan, PlanId, Repeat, Resume, Run,
    StepPlan, Target, Token, Undo,
};
use quarterdeck::journal::{Access, Actor, Address, Claims, Code, Draft, Journal, Mode, Moment};
use serde_json::{Value, json};

const STEPS: usize = 100;
const RUNS: u32 = 200;
const RECORDS: usize = 301;

fn main() {
    let (events, took) = transitions();
    let each = f64::from(events) / took.as_secs_f64();
    println!("engine   {events} events in {took:?}: {each:.0} a second");
    let median = append();
    println!("journal  a record is durable after {median:?} at the median of {RECORDS}");
}

/// Runs of a hundred steps from their beginning to their end; the events they are made of.
fn transitions() -> (u32, Duration) {
    let plan = plan();
    let began = Instant::now();
    let mut events = 0;
    for _ in 0..RUNS {
        let mut run = Run::new(plan.clone()).expect("a plan with steps");
        let by = Person(Clean::from("ann"));
        let token = Token(1);
        let mut next = Some(InputKind::Begin { by, token });
        while let Some(kind) = next.take() {
            let at = Timestamp(1000);
            let outputs = run.handle(Input { at, kind }).expect("what was asked for");
            for output in outputs {
                match output {
                    Output::Record(event) => {
                        black_box(event);
                        events += 1;
                    }
                    Output::Perform(act) => {
                        let result = Ok(());
                        next = Some(InputKind::Outcome { act, result });
                    }
                    _ => {}
                }
            }
        }
    }
    (events, began.elapsed())
}

fn append() -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir().expect("a folder");
    let address = Address::Sqlite(dir.path().join("journal.db"));
    runtime.block_on(async {
        let journal = Journal::open(&address, Access::Write)
            .await
            .expect("a journal");
        let mut taken = Vec::new();
        for _ in 0..RECORDS {
            let began = Instant::now();
            journal.append(&draft()).await.expect("an entry");
            taken.push(began.elapsed());
        }
        journal.close().await;
        taken.sort();
        taken[RECORDS / 2]
    })
}

fn draft() -> Draft {
    Draft {
        moment: Moment {
            at: Timestamp(1_795_000_000_000),
            monotonic_ms: 7,
            boot_id: Clean::from("boot"),
        },
        actor: Actor {
            uid: 1000,
            login_uid: None,
            user: Clean::from("ann"),
            claims: Claims::default(),
        },
        mode: Mode::Training,
        code: Code::RunEvent,
        target: Clean::from("service/app"),
        body: json!({ "run": "r-1", "event": { "v": 1, "at": 5, "event": "unanswered" } }),
    }
}

fn plan() -> Plan {
    let step = StepPlan {
        title: Clean::from("do it"),
        gate: Gate::Open,
        repeat: Repeat::Safe,
        undo: Undo::Present,
        on_failure: None,
        deadline: Duration::from_secs(30),
        facts: Facts::default(),
        group: Clean::default(),
        act: Value::Null,
    };
    Plan {
        id: PlanId(Clean::from("plan-1")),
        runbook: Clean::from("bench"),
        title: Clean::from("Bench"),
        target: Target(Clean::from("service/app")),
        parameters: BTreeMap::new(),
        requested_by: Person(Clean::from("ann")),
        on_failure: OnFailure::Stop,
        resume: Resume::Auto,
        patience: Duration::from_hours(1),
        guards: BTreeSet::new(),
        facts: Facts::default(),
        steps: vec![step; STEPS],
        attached: Value::Null,
    }
}
