//! The decision: what holds, what does not, what nobody knows.

use serde_json::{Value, json};

use super::super::sign_off;
use super::*;
use crate::domain::Outcome;

const HOUR_MS: u64 = 3_600_000;
/// 1970-01-10.
const NOW: Timestamp = Timestamp(9 * 24 * HOUR_MS);

const PAGE: &str = "+++\nformat = \"quarterdeck-checklist-1\"\nmax_age = \"10 h\"\n+++\n# P\n## Tasks\n- [ ] one <!-- item:one -->\n  ```toml check\n  kind = \"promql\"\n  query = \"up\"\n  value = \"== 1\"\n  ```\n- [ ] two <!-- item:two -->\n";

struct World {
    list: Checklist,
    marks: Marks,
}

impl World {
    fn new(page: &str) -> Self {
        Self {
            list: Checklist::read("p.md", page.as_bytes()),
            marks: Marks::default(),
        }
    }

    fn prove(mut self, item: &str, verdict: Verdict, hours_ago: u64) -> Self {
        let (_, found) = self.list.find_id(item).unwrap();
        let at = Timestamp(NOW.0 - hours_ago * HOUR_MS);
        for asked in &found.demand.asked {
            let outcome = Outcome {
                verdict,
                said: "up 1 (== 1)".into(),
                evidence: json!({"measured": [{"value": 1.0}]}),
                at,
                took_ms: 3,
            };
            let proof =
                super::super::Proof::of(&self.list, found, asked, "up == 1".into(), outcome);
            let body = serde_json::to_value(proof).unwrap();
            self.marks.prove(&self.list, &body, &"ann".into(), at);
        }
        self
    }

    fn said(mut self, item: &str, act: Act, uid: u32) -> Self {
        let (_, found) = self.list.find_id(item).unwrap();
        let body = serde_json::to_value(sign_off(&self.list, found, act, "seen it")).unwrap();
        let by = Signer {
            name: Clean::from(format!("u{uid}")),
            uid,
        };
        let at = Timestamp(NOW.0 - HOUR_MS + u64::from(uid));
        self.marks.sign(&self.list, &body, &by, at);
        self
    }

    fn sign(self, item: &str, uid: u32) -> Self {
        self.said(item, Act::Signed, uid)
    }

    fn waive(self, item: &str, until: &str) -> Self {
        let until = Clean::from(until);
        self.said(item, Act::Waived { until }, 7)
    }

    /// The same journal for another page.
    fn edited(mut self, from: &str, to: &str, page: &str) -> Self {
        assert!(page.contains(from));
        self.list = Checklist::read("p.md", page.replace(from, to).as_bytes());
        self
    }

    #[track_caller]
    fn check(&self, call: Call, one: State, two: State) -> Decision {
        let judged = self.marks.judge_all(&self.list, NOW);
        let states: Vec<State> = judged.iter().map(|judged| judged.state).collect();
        assert_eq!(states, [one, two]);
        let decision = decide(&self.list, &judged);
        assert_eq!(decision.call, call, "{decision:?}");
        decision
    }
}

fn world() -> World {
    World::new(PAGE)
}

#[test]
fn what_is_proven_and_what_is_signed_open_the_gate() {
    let world = world().prove("one", Verdict::Pass, 1).sign("two", 1);
    let decision = world.check(Call::Go, State::Proven, State::Signed);
    assert_eq!((decision.proven, decision.signed), (1, 1));
    assert_eq!(&*decision.signers[0].who, "u1");
    assert_eq!(decision.line(), "GO: 2 of 2 hold");
}

#[test]
fn what_is_not_known_is_neither_and_what_is_bad_wins() {
    world().check(Call::NoGo, State::Unproven, State::Open);
    let signed = world().sign("two", 1);
    signed.check(Call::CouldNotTell, State::Unproven, State::Signed);
    let blind = signed.prove("one", Verdict::CouldNotRun, 0);
    blind.check(Call::CouldNotTell, State::CouldNotRun, State::Signed);
    let failed = blind.prove("one", Verdict::Fail, 0);
    let decision = failed.check(Call::NoGo, State::Failed, State::Signed);
    assert_eq!(decision.line(), "NO-GO: 1 of 2 hold, 1 do not");
}

#[test]
fn a_proof_ages_and_expires() {
    let world = world().prove("one", Verdict::Pass, 6).sign("two", 1);
    let judged = world.marks.judge_all(&world.list, NOW);
    assert!(judged[0].is_old());
    let world = super::tests::world()
        .prove("one", Verdict::Pass, 11)
        .sign("two", 1);
    world.check(Call::CouldNotTell, State::Expired, State::Signed);
}

#[test]
fn a_signature_helps_where_a_check_could_not_run_and_never_against_one_that_fails() {
    let world = world().sign("one", 1).sign("two", 1);
    let blind = world.prove("one", Verdict::CouldNotRun, 0);
    blind.check(Call::Go, State::Signed, State::Signed);
    let failed = blind.prove("one", Verdict::Fail, 0);
    failed.check(Call::NoGo, State::Failed, State::Signed);
    let waived = failed.waive("one", "1970-01-10");
    let decision = waived.check(Call::Go, State::Waived, State::Signed);
    assert_eq!(&*decision.waivers[0].reason, "seen it");
}

#[test]
fn a_waiver_that_is_over_waives_nothing() {
    let world = world()
        .prove("one", Verdict::Pass, 0)
        .waive("two", "1970-01-09");
    world.check(Call::NoGo, State::Proven, State::Open);
}

#[test]
fn another_text_or_another_check_makes_an_older_proof_void() {
    for (from, to) in [("- [ ] one", "- [ ] one more"), ("== 1", "== 2")] {
        let world = world().prove("one", Verdict::Pass, 0).sign("two", 1);
        let world = world.edited(from, to, PAGE);
        world.check(Call::CouldNotTell, State::Changed, State::Signed);
    }
    let noted = world().prove("one", Verdict::Pass, 0).sign("two", 1);
    let noted = noted.edited("kind =", "note = \"x\"\n  kind =", PAGE);
    noted.check(Call::Go, State::Proven, State::Signed);
}

#[test]
fn a_second_signature_is_somebody_elses() {
    let page = PAGE.replace(
        "<!-- item:two -->\n",
        "<!-- item:two -->\n  ```toml check\n  kind = \"ask\"\n  second = true\n  ```\n",
    );
    let world = World::new(&page).prove("one", Verdict::Pass, 0);
    let half = world.sign("two", 1).sign("two", 1);
    half.check(Call::NoGo, State::Proven, State::HalfSigned);
    half.sign("two", 2)
        .check(Call::Go, State::Proven, State::Signed);
}

#[test]
fn an_item_that_asks_for_a_person_too_is_not_open_for_a_proof_alone() {
    let page = PAGE.replace(
        "value = \"== 1\"\n  ```\n",
        "value = \"== 1\"\n  ```\n  ```toml check\n  kind = \"ask\"\n  ```\n",
    );
    let world = World::new(&page)
        .prove("one", Verdict::Pass, 0)
        .sign("two", 1);
    world.check(Call::NoGo, State::Open, State::Signed);
    world
        .sign("one", 1)
        .check(Call::Go, State::Signed, State::Signed);
}

#[test]
fn what_cannot_be_read_and_a_gate_of_nothing_are_not_open() {
    let page = PAGE.replace("kind = \"promql\"", "kind = ");
    let world = World::new(&page).sign("two", 1);
    world.check(Call::CouldNotTell, State::Unreadable, State::Signed);
    let empty = Checklist::read("p.md", b"# P\n");
    assert_eq!(decide(&empty, &[]).call, Call::CouldNotTell);
}

#[test]
fn what_does_not_decide_is_told_and_does_not_count() {
    let page = PAGE.replace("max_age", "gate = [\"risk\"]\nmax_age");
    let world = World::new(&page);
    let decision = world.check(Call::CouldNotTell, State::Unproven, State::Open);
    assert_eq!(decision.of, 0);
}

#[test]
fn a_proof_from_the_future_is_as_old_as_its_entry() {
    let mut world = world();
    let (_, item) = world.list.find_id("one").unwrap();
    let outcome = Outcome {
        verdict: Verdict::Pass,
        said: "x".into(),
        evidence: Value::Null,
        at: Timestamp(u64::MAX),
        took_ms: 0,
    };
    let asked = &item.demand.asked[0];
    let proof = super::super::Proof::of(&world.list, item, asked, "x".into(), outcome);
    assert!(proof.is_whole());
    let body = serde_json::to_value(proof).unwrap();
    let long_ago = Timestamp(NOW.0 - 20 * HOUR_MS);
    world
        .marks
        .prove(&world.list, &body, &"ann".into(), long_ago);
    world.check(Call::NoGo, State::Expired, State::Open);
}
