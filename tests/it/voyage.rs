//! A rolling restart of three replicas, as the journal tells of it: told as far as a test wants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quarterdeck::app::{Event, Model, Offer, Parameter, Recording, Source, update};
use quarterdeck::domain::{Clean, Timestamp};
use quarterdeck::engine::{
    Decision, DriverId, EventKind, Evidence, EvidenceKind, Finished, Gate, Holder, OnFailure,
    Person, Plan, PlanId, Recorded, Repeat, Requested, Resume, RunEvent, RunId, Source as Origin,
    StepId, StepPlan, TakenUp, Target, Token, Undo, Verdict, Version,
};
use quarterdeck::journal::{Actor, Claims, Code, Draft, Entry, Head, Mode, Moment};
use quarterdeck::probe::check::{Outcome, Verdict as Found};
use quarterdeck::probe::tap::TapCount;
use quarterdeck::runbook::{
    Attached, Brief, Confirmation, Floor, GuardSpec, Planned, Precheck, Risk, Scope, TapSpec,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::fixture::NOW;

pub(crate) const RUN: &str = "r-20261120-120110-4f2a";

pub(crate) fn run_id() -> RunId {
    RunId(Clean::from(RUN))
}

pub(crate) fn step(n: u16) -> StepId {
    StepId(n)
}

/// Four steps for each replica, the sick one first.
pub(crate) fn plan(risk: Risk) -> Plan {
    let mut steps = Vec::new();
    for replica in ["server-2", "server-1", "server-3"] {
        for (title, repeat, deadline, act) in [
            (
                "Take it out of the gateway",
                Repeat::Safe,
                30,
                json!({"kind": "drain"}),
            ),
            (
                "Restart it (10 s to end by itself)",
                Repeat::Safe,
                60,
                json!({"kind": "restart"}),
            ),
            (
                "Look until it is healthy 3 times in a row",
                Repeat::Safe,
                120,
                json!({"kind": "exec", "argv": ["/healthcheck", "--timeout", "2"]}),
            ),
            (
                "Put it back into the gateway",
                Repeat::Safe,
                30,
                json!({"kind": "undrain"}),
            ),
        ] {
            steps.push(StepPlan {
                title: Clean::from(title),
                gate: Gate::Open,
                repeat,
                undo: if title.starts_with("Restart") {
                    Undo::None
                } else {
                    Undo::Present
                },
                on_failure: None,
                deadline: Duration::from_secs(deadline),
                facts: quarterdeck::engine::Facts::default(),
                group: Clean::from(replica),
                act,
            });
        }
    }
    let attached = Attached {
        document_sha256: Clean::from("19ac02d5".repeat(8)),
        risk,
        stack: Clean::from("hyper-mission"),
        tap: Some(TapSpec {
            url: Clean::from("https://localhost:8443/"),
            rate: 50,
            method: Clean::from("GET"),
            failures_max: 0,
        }),
        on_guard: OnFailure::Stop,
        guards: vec![GuardSpec {
            id: quarterdeck::engine::GuardId(Clean::from("errors")),
            title: Clean::from("fewer than 1 % of requests fail"),
            check: json!({}),
            every: Duration::from_secs(2),
            in_a_row: 3,
        }],
    };
    Plan {
        id: PlanId(Clean::from(
            "9c41d20277f0e1d2c3b4a5968778695a4b3c2d1e0f9e8d7c6b5a4938271605e0",
        )),
        runbook: Clean::from("rolling-restart"),
        title: Clean::from("Rolling restart of server"),
        target: Target(Clean::from("service/server")),
        parameters: BTreeMap::from([(Clean::from("service"), Clean::from("server"))]),
        requested_by: Person(Clean::from("anna")),
        on_failure: OnFailure::Stop,
        resume: Resume::Ask,
        patience: Duration::from_hours(1),
        guards: BTreeSet::new(),
        facts: quarterdeck::engine::Facts::default(),
        steps,
        attached: serde_json::to_value(attached).unwrap(),
    }
}

fn checked(title: &str, verdict: Found, said: &str) -> Precheck {
    Precheck {
        title: Clean::from(title),
        outcome: Outcome {
            verdict,
            said: Clean::from(said),
            evidence: Value::Null,
            at: NOW,
            took_ms: 3,
        },
    }
}

pub(crate) fn planned(confirmation: Confirmation) -> Planned {
    let risk = match confirmation {
        Confirmation::Yes => Risk::Low,
        Confirmation::Typed { .. } => Risk::Users,
        Confirmation::Approved { .. } => Risk::Data,
    };
    let lines = |all: &[&str]| {
        all.iter()
            .map(|text| Clean::from(*text))
            .collect::<Vec<_>>()
    };
    Planned {
        plan: plan(risk),
        brief: Brief {
            made_at: NOW,
            changes: lines(&[
                "restart server-2 (UNHEALTHY, so it goes first)",
                "restart server-1",
                "restart server-3",
            ]),
            unchanged: lines(&[
                "the image hyper-mission/server:1.42.0 stays",
                "gateway, client, postgres and redis are not touched",
                "no volume, network or setting changes",
            ]),
            floor: Some(Floor {
                service: Clean::from("server"),
                serving_min: 2,
                of: 3,
                at_once: 1,
            }),
            worst_case: lines(&["one replica stays out, the other two serve"]),
            undo: lines(&["a restart has no undo; a replica that was taken out is put back"]),
            expected: Some((95_000, 3)),
            checks: vec![
                checked(
                    "two replicas serve",
                    Found::Pass,
                    "2 of 3 healthy, expected >= 2",
                ),
                checked("the gateway answers", Found::Pass, "200 in 12 ms"),
            ],
            confirmation,
            notes: lines(&["requests in flight are waited for before a restart"]),
        },
    }
}

pub(crate) fn typed() -> Confirmation {
    Confirmation::Typed {
        word: Clean::from("server"),
    }
}

/// The runbook as the console offers it.
pub(crate) fn offers() -> Vec<Offer> {
    let service = Parameter {
        name: Clean::from("service"),
        help: Clean::from("whose replicas are restarted"),
        source: Source::Service,
        default: None,
        is_needed: true,
        choices: Vec::new(),
    };
    let image = Parameter {
        name: Clean::from("image"),
        help: Clean::from("what the replicas run afterwards"),
        source: Source::Text,
        default: None,
        is_needed: true,
        choices: vec![Clean::from("server:1.42.0"), Clean::from("server:1.43.0")],
    };
    vec![
        Offer {
            id: Clean::from("rolling-restart"),
            title: Clean::from(
                "Restart the replicas of a service one by one, without a lost request",
            ),
            risk: Risk::Users,
            scope: Scope::Service,
            key: Some('R'),
            parameters: vec![service.clone()],
        },
        Offer {
            id: Clean::from("deploy"),
            title: Clean::from("Run another image, one replica after the other"),
            risk: Risk::Users,
            scope: Scope::Service,
            key: None,
            parameters: vec![service, image],
        },
        Offer {
            id: Clean::from("gateway-reload"),
            title: Clean::from("Test the gateway's configuration, then reload it"),
            risk: Risk::Low,
            scope: Scope::Gateway,
            key: Some('W'),
            parameters: Vec::new(),
        },
    ]
}

/// What a driver writes, one entry after the other.
pub(crate) struct Voyage {
    pub entries: Vec<Entry>,
    head: Option<Head>,
    pub at: Timestamp,
    by: &'static str,
}

impl Voyage {
    pub(crate) fn requested() -> Self {
        let mut voyage = Self {
            entries: Vec::new(),
            head: None,
            at: Timestamp(NOW.0 - 151_000),
            by: "anna",
        };
        let planned = planned(typed());
        voyage.entry(
            Code::RunRequested,
            &Requested {
                run: run_id(),
                plan: planned.plan,
                brief: serde_json::to_value(planned.brief).unwrap(),
            },
        );
        voyage
    }

    /// Confirmed, taken up and begun.
    pub(crate) fn begun() -> Self {
        let mut voyage = Self::requested();
        let decision = Decision {
            run: run_id(),
            plan: Some(plan(Risk::Users).id),
            step: None,
            reason: Clean::from("server-2 is exhausted"),
        };
        voyage.entry(Code::DecisionConfirm, &decision);
        let driver = DriverId(Clean::from("ops-1/b/4711/9"));
        voyage.entry(
            Code::RunStarted,
            &TakenUp {
                run: run_id(),
                driver,
                token: Token(1),
            },
        );
        voyage.event(EventKind::Begun {
            plan: plan(Risk::Users).id,
            by: Person(Clean::from("anna")),
            token: Token(1),
        });
        voyage
    }

    pub(crate) fn entry(&mut self, code: Code, body: &impl Serialize) {
        let draft = Draft {
            moment: Moment {
                at: self.at,
                monotonic_ms: 1,
                boot_id: Clean::from("b"),
            },
            actor: Actor {
                uid: 1004,
                login_uid: Some(1004),
                user: Clean::from(self.by),
                claims: Claims::default(),
            },
            mode: Mode::Live,
            code,
            target: Clean::from("service/server"),
            body: serde_json::to_value(body).unwrap(),
        };
        let record = draft.after(self.head).unwrap();
        let entry = record.entry().unwrap();
        self.head = Some(Head {
            seq: entry.seq,
            hash: entry.hash,
        });
        self.entries.push(entry);
    }

    pub(crate) fn event(&mut self, kind: EventKind) {
        let event = RunEvent {
            version: Version::default(),
            at: self.at,
            kind,
        };
        self.entry(
            Code::RunEvent,
            &Recorded {
                run: run_id(),
                token: Token(1),
                decision: None,
                event,
            },
        );
    }

    pub(crate) fn start(&mut self, n: u16) {
        self.event(EventKind::Started {
            step: step(n),
            attempt: 1,
            by: None,
        });
    }

    /// Steps up to this one, each done after so many milliseconds.
    pub(crate) fn done(&mut self, n: std::ops::Range<u16>, took_ms: u64) {
        for n in n {
            self.start(n);
            self.at = self.at.plus(Duration::from_millis(took_ms));
            self.event(EventKind::Succeeded {
                step: step(n),
                source: Origin::Outcome,
            });
        }
    }

    pub(crate) fn fail(&mut self, n: u16, fault: &str) {
        self.start(n);
        self.at = self.at.plus(Duration::from_secs(20));
        self.event(EventKind::Failed {
            step: step(n),
            fault: Clean::from(fault),
            source: Origin::Outcome,
        });
    }

    pub(crate) fn evidence(&mut self, what: EvidenceKind, n: Option<u16>, value: Value) {
        self.entry(
            Code::Evidence,
            &Evidence {
                run: run_id(),
                step: n.map(StepId),
                what,
                value,
            },
        );
    }

    pub(crate) fn end(&mut self, verdict: Verdict, tap: Value) {
        self.event(EventKind::Ended { verdict });
        self.entry(
            Code::RunFinished,
            &Finished {
                run: run_id(),
                verdict,
                tap,
                serving: None,
            },
        );
    }
}

pub(crate) fn tap(failed: u64) -> Value {
    let count = TapCount {
        sent: 6214,
        answered: 6214 - failed,
        failed,
        p99_ms: Some(38),
        ..TapCount::default()
    };
    serde_json::to_value(count).unwrap()
}

/// The model after it has heard of it, with its driver alive or not.
pub(crate) fn heard(mut model: Model, voyage: &Voyage, alive: bool) -> Model {
    let state = Recording::Open;
    let place = Clean::from("/var/lib/quarterdeck/journal.db");
    update(&mut model, Event::Recording { place, state });
    update(&mut model, Event::Offered(offers()));
    update(&mut model, Event::Journaled(voyage.entries.clone()));
    let life = if alive { 20_000 } else { 0 };
    let holder = Holder {
        run: run_id(),
        driver: DriverId(Clean::from("ops-1/b/4711/9")),
        by: Person(Clean::from("anna")),
        since: Timestamp(NOW.0 - 150_000),
        expires_at: Timestamp(NOW.0 - 10_000 + life),
    };
    let target = Target(Clean::from("service/server"));
    update(&mut model, Event::Held(BTreeMap::from([(target, holder)])));
    model
}

/// The second replica is being looked at.
pub(crate) fn under_way() -> Voyage {
    let mut way = Voyage::begun();
    way.done(0..4, 10_000);
    way.done(4..6, 8_100);
    way.evidence(EvidenceKind::Said, Some(5), "server-1 answers again".into());
    way.evidence(EvidenceKind::Tap, None, tap(0));
    let serving = json!({"service": "server", "least": 2, "of": 3, "looks": 40, "unseen": 0});
    way.evidence(EvidenceKind::Serving, None, serving);
    way.start(6);
    way
}

/// The first restart failed, and a person is asked.
pub(crate) fn failed() -> Voyage {
    let mut failed = Voyage::begun();
    failed.done(0..1, 2_000);
    failed.evidence(EvidenceKind::Tap, None, tap(2));
    let request = json!({
        "at": NOW.0 - 140_000, "failure": "status", "status": 502, "latency_ms": 12, "replica": "server-2",
    });
    failed.evidence(EvidenceKind::Request, None, request);
    let guard = json!({"guard": "errors", "verdict": "pass", "said": "0.03 %, expected < 1 %"});
    failed.evidence(EvidenceKind::Guard, None, guard);
    failed.fail(
        1,
        "server-2 did not stop within 10 s; look at its log, then retry",
    );
    failed
}

/// A replica never became healthy, and a person had it undone.
pub(crate) fn unwound() -> Voyage {
    let mut unwound = Voyage::begun();
    unwound.done(0..2, 2_000);
    unwound.fail(2, "not healthy within 120 s: connect ECONNREFUSED");
    let by = Person(Clean::from("anna"));
    unwound.event(EventKind::UndoAsked { by: by.clone() });
    unwound.event(EventKind::UnwindBegun { by: Some(by) });
    for n in [2, 0] {
        if n == 0 {
            unwound.event(EventKind::Kept { step: step(1) });
        }
        let attempt = 1;
        unwound.event(EventKind::UndoStarted {
            step: step(n),
            attempt,
        });
        unwound.event(EventKind::Undone { step: step(n) });
    }
    unwound.end(Verdict::Unwound, tap(1));
    unwound
}

pub(crate) fn completed() -> Voyage {
    let mut done = Voyage::begun();
    done.done(0..12, 8_000);
    done.end(Verdict::Completed, tap(0));
    done
}
