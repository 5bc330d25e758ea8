//! A checklist and its decision, to read, to script against and to keep: text, JSON, Markdown, HTML and `JUnit`.
//!
//! All five say the same: who decided what by which proof, and with which head of the journal that can be looked up.
//! Texts of others are escaped for the form they stand in.

mod chart;
mod html;
mod junit;
mod markdown;

use std::fmt::Write;

use serde_json::{Value, json};

use crate::app::Listed;
use crate::checklist::{Call, Decision, Judged, Part, PartState, Phase, State};
use crate::domain::{Age, Clean, Timestamp};

pub use html::gate_html;
pub use junit::gate_junit;
pub use markdown::gate_markdown;

/// What a decision is sealed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    pub now: Timestamp,
    /// Number and hash of the journal's last entry.
    pub head: Option<(u64, Clean)>,
    pub version: Clean,
    pub stack: Clean,
}

impl Seal {
    fn head(&self) -> String {
        match &self.head {
            Some((seq, hash)) => format!("{seq}:{hash}"),
            None => "no journal yet".to_owned(),
        }
    }
}

/// Told apart without colour.
fn sign(state: State) -> &'static str {
    match state {
        State::Proven | State::Signed => "[ok]",
        State::Waived => "[~]",
        State::Dropped => "[-]",
        State::Failed | State::Open | State::HalfSigned => "[X]",
        State::Unproven
        | State::Expired
        | State::Changed
        | State::Unreadable
        | State::CouldNotRun => "[?]",
    }
}

fn exit_code(call: Call) -> u8 {
    match call {
        Call::Go => 0,
        Call::NoGo => 1,
        Call::CouldNotTell => 3,
    }
}

/// Everything that is told of a page, in its order.
struct Told<'a> {
    page: &'a Listed,
    seal: &'a Seal,
    decision: Decision,
    /// Phases that have items, with how they stand.
    phases: Vec<(&'a Phase, Decision, Vec<Judged<'a>>)>,
}

impl<'a> Told<'a> {
    fn of(page: &'a Listed, seal: &'a Seal) -> Self {
        let phases = page
            .list
            .phases
            .iter()
            .filter(|phase| !phase.items.is_empty())
            .map(|phase| {
                let judged = phase.items.iter();
                let judged = judged.map(|item| page.judge(phase, item, seal.now));
                (phase, page.decide_phase(phase, seal.now), judged.collect())
            })
            .collect();
        Self {
            page,
            seal,
            decision: page.decide(seal.now),
            phases,
        }
    }

    fn path(&self, phase: &Phase) -> String {
        let path = self.page.list.path(phase).into_iter();
        let path: Vec<&str> = path.map(Clean::as_str).collect();
        path.join(" > ")
    }
}

/// How old a proof is, and how old it may be.
fn age(part: &Part<'_>, now: Timestamp) -> String {
    let limit = Age(part.max_age);
    match part.known {
        Some(known) => format!("{} old of {limit}", Age(now.since(known.at()))),
        None => format!("no proof yet, good for {limit}"),
    }
}

/// The decision, for people on a terminal.
pub fn gate_text(page: &Listed, seal: &Seal) -> String {
    let told = Told::of(page, seal);
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}", told.decision.line(), page.title());
    for (phase, decision, judged) in &told.phases {
        let _ = writeln!(out, "\n{}  {}", told.path(phase), decision.line());
        for one in judged {
            let sign = sign(one.state);
            let _ = writeln!(out, "  {sign:<5}{:<12} {}", one.item.id.0, one.item.title);
            let _ = writeln!(out, "       {}: {}", one.state.word(), one.why);
            if let (State::Failed, Some(helps)) = (one.state, &one.item.demand.helps) {
                let _ = writeln!(out, "       the runbook {helps} helps");
            }
        }
    }
    for signer in &told.decision.signers {
        let at = signer.last.date_minute();
        let _ = writeln!(
            out,
            "\nsigned by {} (uid {}): {} items, last {at}",
            signer.who, signer.uid, signer.items
        );
    }
    for waiver in &told.decision.waivers {
        let _ = writeln!(
            out,
            "\nwaived until {} by {}: {}: {}",
            waiver.until, waiver.who, waiver.title, waiver.reason
        );
    }
    let _ = writeln!(out, "\njournal {}", seal.head());
    out
}

/// The same, for scripts.
pub fn gate_json(page: &Listed, seal: &Seal) -> String {
    let told = Told::of(page, seal);
    let phases: Vec<Value> = told
        .phases
        .iter()
        .map(|(phase, decision, judged)| {
            let items: Vec<Value> = judged.iter().map(|one| item_json(one, seal.now)).collect();
            json!({
                "title": phase.title,
                "path": told.path(phase),
                "call": decision.call,
                "line": decision.line(),
                "items": items,
            })
        })
        .collect();
    let head = seal.head.as_ref();
    super::json::write(&json!({
        "schema": "quarterdeck.checklist/1",
        "generated_at": seal.now.rfc3339(),
        "version": seal.version,
        "stack": seal.stack,
        "list": page.list.name,
        "title": page.title(),
        "call": told.decision.call,
        "exit_code": exit_code(told.decision.call),
        "line": told.decision.line(),
        "decision": told.decision,
        "problems": page.list.problems,
        "phases": phases,
        "journal": head.map(|(seq, hash)| json!({ "seq": seq, "hash": hash })),
    }))
}

fn item_json(one: &Judged<'_>, now: Timestamp) -> Value {
    let checks: Vec<Value> = one.parts.iter().map(|part| part_json(part, now)).collect();
    json!({
        "id": one.item.id,
        "title": one.item.title,
        "kind": one.item.kind,
        "gate": one.gates(),
        "state": one.state,
        "call": one.state.call(),
        "why": one.why,
        "proof_until": one.until().map(Timestamp::rfc3339),
        "second_signature": one.item.demand.second,
        "helps": one.item.demand.helps,
        "fields": one.item.fields,
        "checks": checks,
        "signers": one.signers,
        "waiver": one.waiver,
    })
}

fn part_json(part: &Part<'_>, now: Timestamp) -> Value {
    let outcome = part.known.map(|known| &known.proof.outcome);
    json!({
        "kind": part.asked.kind,
        "hash": part.asked.hash,
        "asked": part.known.map(|known| &known.proof.asked),
        "state": part.state,
        "max_age_s": part.max_age.as_secs(),
        "age_s": part.known.map(|known| now.since(known.at()).as_secs()),
        "verdict": outcome.map(|outcome| outcome.verdict),
        "said": outcome.map(|outcome| &outcome.said),
        "at": outcome.map(|outcome| outcome.at.rfc3339()),
        "took_ms": outcome.map(|outcome| outcome.took_ms),
        "by": part.known.map(|known| &known.who),
        "evidence": outcome.map(|outcome| &outcome.evidence),
        "sha256": part.known.map(|known| &known.proof.sha256),
    })
}

/// Whether this part keeps the item from being proven.
fn is_bad(part: &Part<'_>) -> bool {
    match part.state {
        PartState::Fresh | PartState::Old => false,
        PartState::Unproven
        | PartState::Expired
        | PartState::Changed
        | PartState::CouldNotRun
        | PartState::Failed => true,
    }
}

#[cfg(test)]
mod tests;
