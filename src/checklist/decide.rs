//! Go or no-go: every item of the gate proven within its age, signed, or waived until a day.
//!
//! A pure function of the page, of what the journal says of it, and of the time. What is known to be bad is a no-go;
//! what nobody knows is neither, and says so. A signature stands for what no machine measures and for what could not
//! be measured; against a check that fails only a waiver helps, which says who, why and until when.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::sign::{Act, Signature, Signatures, Signed, Signer};
use super::{Asked, Checklist, Item, ItemId, Known, MAX_AGE, Mark, Phase, Proofs};
use crate::domain::{Age, Clean, Timestamp, Verdict};

/// A proof older than this part of its age is shown to be ageing.
const OLD_FROM: u32 = 2;

/// Everything the journal says of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    pub signatures: Signatures,
    pub proofs: Proofs,
    /// How old a proof may be where the page does not say.
    pub max_age: Duration,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            signatures: Signatures::default(),
            proofs: Proofs::default(),
            max_age: MAX_AGE,
        }
    }
}

impl Marks {
    pub fn of_age(max_age: Duration) -> Self {
        Self {
            max_age,
            ..Self::default()
        }
    }

    /// Takes the body of a `signed-off` entry.
    pub fn sign(&mut self, list: &Checklist, body: &Value, by: &Signer, at: Timestamp) {
        self.signatures.take(list, body, by, at);
    }

    /// Takes the body of an `evidence` entry.
    pub fn prove(&mut self, list: &Checklist, body: &Value, who: &Clean, at: Timestamp) {
        self.proofs.take(list, body, who, at);
    }
}

/// How one check of an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    Fresh,
    /// It still proves, not for much longer.
    Old,
    /// Nobody has looked yet.
    Unproven,
    /// The proof is older than it may be.
    Expired,
    /// The author has changed the words since.
    Changed,
    CouldNotRun,
    Failed,
}

impl PartState {
    pub fn word(self) -> &'static str {
        match self {
            Self::Fresh => "proven",
            Self::Old => "proven, old",
            Self::Unproven => "not proven yet",
            Self::Expired => "proof expired",
            Self::Changed => "proven for an older text",
            Self::CouldNotRun => "could not run",
            Self::Failed => "fails",
        }
    }
}

/// One check of an item with its last proof.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    pub asked: &'a Asked,
    pub known: Option<&'a Known>,
    pub state: PartState,
    pub max_age: Duration,
}

/// How an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Proven,
    Signed,
    Waived,
    /// The author gave it up: it decides nothing.
    Dropped,
    /// A person has to say it.
    Open,
    /// A second person has to.
    HalfSigned,
    Unproven,
    Expired,
    Changed,
    /// A block of it cannot be read.
    Unreadable,
    CouldNotRun,
    Failed,
}

/// What an item says for the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    Go,
    NoGo,
    CouldNotTell,
}

impl Call {
    pub fn word(self) -> &'static str {
        match self {
            Self::Go => "GO",
            Self::NoGo => "NO-GO",
            Self::CouldNotTell => "COULD NOT TELL",
        }
    }
}

impl State {
    pub fn call(self) -> Call {
        match self {
            Self::Proven | Self::Signed | Self::Waived | Self::Dropped => Call::Go,
            Self::Open | Self::HalfSigned | Self::Failed => Call::NoGo,
            Self::Unproven
            | Self::Expired
            | Self::Changed
            | Self::Unreadable
            | Self::CouldNotRun => Call::CouldNotTell,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Signed => "signed",
            Self::Waived => "waived",
            Self::Dropped => "dropped by the author",
            Self::Open => "waits for a signature",
            Self::HalfSigned => "waits for a second signature",
            Self::Unproven => "not proven yet",
            Self::Expired => "proof expired",
            Self::Changed => "proven for an older text or check",
            Self::Unreadable => "its check cannot be read",
            Self::CouldNotRun => "could not run",
            Self::Failed => "fails",
        }
    }
}

/// An item with all that speaks for and against it.
#[derive(Debug, Clone)]
pub struct Judged<'a> {
    pub phase: &'a Phase,
    pub item: &'a Item,
    pub state: State,
    /// One line: what was measured, who signed, until when it is waived.
    pub why: Clean,
    pub parts: Vec<Part<'a>>,
    pub signers: Vec<&'a Signature>,
    pub waiver: Option<&'a Signature>,
}

impl Judged<'_> {
    /// Whether it decides.
    pub fn gates(&self) -> bool {
        self.item.demand.gate && self.state != State::Dropped
    }

    /// Whether a proof of it will not hold much longer.
    pub fn is_old(&self) -> bool {
        self.state == State::Proven && self.parts.iter().any(|part| part.state == PartState::Old)
    }

    /// When the first of its proofs stops to hold.
    pub fn until(&self) -> Option<Timestamp> {
        let ends = self
            .parts
            .iter()
            .filter_map(|part| Some(part.known?.at().plus(part.max_age)));
        ends.min()
    }
}

impl Marks {
    /// How an item stands at `now`.
    pub fn judge<'a>(
        &'a self,
        list: &'a Checklist,
        phase: &'a Phase,
        item: &'a Item,
        now: Timestamp,
    ) -> Judged<'a> {
        let parts: Vec<Part<'a>> = item
            .demand
            .asked
            .iter()
            .map(|asked| self.part(list, item, asked, now))
            .collect();
        let signers: Vec<&Signature> = self.signatures.signers(item).collect();
        let signed = self.signatures.of(item, now);
        let waiver = match signed {
            Signed::Waived(signature) => Some(signature),
            Signed::No | Signed::Yes(_) | Signed::OlderText(_) | Signed::WaiverOver(_) => None,
        };
        let state = Self::state(item, &parts, signers.len(), waiver.is_some());
        let why = why(item, state, &parts, &signers, signed);
        Judged {
            phase,
            item,
            state,
            why,
            parts,
            signers,
            waiver,
        }
    }

    fn part<'a>(
        &'a self,
        list: &Checklist,
        item: &Item,
        asked: &'a Asked,
        now: Timestamp,
    ) -> Part<'a> {
        let known = self.proofs.of(item, asked);
        let max_age = asked.max_age.or(list.rules.max_age).unwrap_or(self.max_age);
        let state = match known {
            None if self.proofs.has_others(item) => PartState::Changed,
            None => PartState::Unproven,
            Some(known) if *known.proof.text != *item.text_hash() => PartState::Changed,
            Some(known) => {
                let age = now.since(known.at());
                match known.proof.outcome.verdict {
                    Verdict::Fail => PartState::Failed,
                    Verdict::CouldNotRun => PartState::CouldNotRun,
                    Verdict::Pass if age > max_age => PartState::Expired,
                    Verdict::Pass if age > max_age / OLD_FROM => PartState::Old,
                    Verdict::Pass => PartState::Fresh,
                }
            }
        };
        Part {
            asked,
            known,
            state,
            max_age,
        }
    }

    fn state(item: &Item, parts: &[Part<'_>], signers: usize, waived: bool) -> State {
        let needed = 1 + usize::from(item.demand.second);
        let worst = parts.iter().map(|part| part.state).max();
        if item.mark == Mark::Dropped {
            return State::Dropped;
        }
        if waived {
            return State::Waived;
        }
        if worst == Some(PartState::Failed) {
            return State::Failed;
        }
        let proven = matches!(worst, Some(PartState::Fresh | PartState::Old));
        if proven && !item.demand.broken && !item.demand.person && !item.demand.second {
            return State::Proven;
        }
        match signers {
            n if n >= needed => State::Signed,
            n if n > 0 => State::HalfSigned,
            _ if item.demand.broken => State::Unreadable,
            _ => match worst {
                None | Some(PartState::Fresh | PartState::Old | PartState::Failed) => State::Open,
                Some(PartState::Unproven) => State::Unproven,
                Some(PartState::Expired) => State::Expired,
                Some(PartState::Changed) => State::Changed,
                Some(PartState::CouldNotRun) => State::CouldNotRun,
            },
        }
    }
}

/// One line for the state.
fn why(
    item: &Item,
    state: State,
    parts: &[Part<'_>],
    signers: &[&Signature],
    last: Signed<'_>,
) -> Clean {
    let names = || {
        let names: Vec<String> = signers
            .iter()
            .map(|one| format!("{} {}", one.who, &one.at.rfc3339()[..10]))
            .collect();
        names.join(", ")
    };
    let said = |wanted: &[PartState]| {
        let said: Vec<String> = parts
            .iter()
            .filter(|part| wanted.contains(&part.state))
            .filter_map(|part| Some(part.known?.proof.outcome.said.to_string()))
            .collect();
        said.join("; ")
    };
    let text = match state {
        State::Proven => said(&[PartState::Fresh, PartState::Old]),
        State::Failed => said(&[PartState::Failed]),
        State::CouldNotRun => said(&[PartState::CouldNotRun]),
        State::Signed => format!("signed by {}", names()),
        State::HalfSigned => format!("signed by {}; somebody else has to sign too", names()),
        State::Waived | State::Open => match last {
            Signed::Waived(one) | Signed::WaiverOver(one) | Signed::OlderText(one) => {
                format!("{}: {}", last.word().unwrap_or_default(), one.said.reason)
            }
            Signed::No | Signed::Yes(_) => state.word().to_owned(),
        },
        State::Expired => {
            let ages: Vec<String> = parts
                .iter()
                .filter(|part| part.state == PartState::Expired)
                .map(|part| format!("older than {}", Age(part.max_age)))
                .collect();
            format!("the proof is {}", ages.join(", "))
        }
        State::Unreadable => {
            let lines: Vec<String> = item
                .blocks
                .iter()
                .filter(|block| block.accepted)
                .map(|block| block.line.to_string())
                .collect();
            format!("its check cannot be read {}", lines.join(", "))
                .trim_end()
                .to_owned()
        }
        State::Dropped | State::Unproven | State::Changed => state.word().to_owned(),
    };
    Clean::line(&text)
}

/// Why the gate is closed, or not known to be open: one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub item: ItemId,
    pub title: Clean,
    pub phase: Clean,
    pub call: Call,
    pub state: State,
    pub why: Clean,
}

/// An item that is gone on without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiver {
    pub item: ItemId,
    pub title: Clean,
    pub who: Clean,
    pub until: Clean,
    pub reason: Clean,
}

/// Somebody who signed, and for how many items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signatory {
    pub who: Clean,
    pub uid: u32,
    pub items: usize,
    pub last: Timestamp,
}

/// What follows from all items of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub call: Call,
    /// Items that decide.
    pub of: usize,
    pub proven: usize,
    pub signed: usize,
    pub waived: usize,
    /// Of everything that does not hold, the bad before the unknown.
    pub reasons: Vec<Reason>,
    pub signers: Vec<Signatory>,
    pub waivers: Vec<Waiver>,
}

impl Decision {
    /// `GO: 31 of 31 hold`, `NO-GO: 29 of 31 hold, 2 do not`
    pub fn line(&self) -> Clean {
        let held = self.proven + self.signed + self.waived;
        let count = |call: Call| self.reasons.iter().filter(|one| one.call == call).count();
        let mut text = format!("{}: {held} of {} hold", self.call.word(), self.of);
        for (call, words) in [
            (Call::NoGo, "do not"),
            (Call::CouldNotTell, "are not known"),
        ] {
            match count(call) {
                0 => {}
                n => text = format!("{text}, {n} {words}"),
            }
        }
        if self.of == 0 {
            text = format!("{}: no item decides", self.call.word());
        }
        Clean::line(&text)
    }
}

/// The decision of these items: of a page, or of one phase.
pub fn decide(list: &Checklist, judged: &[Judged<'_>]) -> Decision {
    let gate: Vec<&Judged<'_>> = judged.iter().filter(|one| one.gates()).collect();
    let mut reasons: Vec<Reason> = gate
        .iter()
        .filter(|one| one.state.call() != Call::Go)
        .map(|one| reason(list, one))
        .collect();
    reasons.sort_by_key(|reason| reason.call != Call::NoGo);
    let count = |state: State| gate.iter().filter(|one| one.state == state).count();
    let call = match reasons.first() {
        Some(first) => first.call,
        // A gate of nothing is not open.
        None if gate.is_empty() => Call::CouldNotTell,
        None => Call::Go,
    };
    Decision {
        call,
        of: gate.len(),
        proven: count(State::Proven),
        signed: count(State::Signed),
        waived: count(State::Waived),
        reasons,
        signers: signatories(&gate),
        waivers: gate.iter().filter_map(|one| waiver(one)).collect(),
    }
}

fn reason(list: &Checklist, one: &Judged<'_>) -> Reason {
    let path: Vec<&str> = list
        .path(one.phase)
        .into_iter()
        .map(Clean::as_str)
        .collect();
    Reason {
        item: one.item.id.clone(),
        title: one.item.title.clone(),
        phase: Clean::line(&path.join(" > ")),
        call: one.state.call(),
        state: one.state,
        why: one.why.clone(),
    }
}

fn signatories(gate: &[&Judged<'_>]) -> Vec<Signatory> {
    let mut all: BTreeMap<u32, Signatory> = BTreeMap::new();
    for signature in gate.iter().flat_map(|one| &one.signers) {
        let one = all.entry(signature.uid).or_insert_with(|| Signatory {
            who: signature.who.clone(),
            uid: signature.uid,
            items: 0,
            last: signature.at,
        });
        one.items += 1;
        one.last = one.last.max(signature.at);
    }
    all.into_values().collect()
}

fn waiver(one: &Judged<'_>) -> Option<Waiver> {
    let signature = one.waiver.filter(|_| one.state == State::Waived)?;
    let Act::Waived { until } = &signature.said.act else {
        return None;
    };
    Some(Waiver {
        item: one.item.id.clone(),
        title: one.item.title.clone(),
        who: signature.who.clone(),
        until: until.clone(),
        reason: signature.said.reason.clone(),
    })
}

impl Marks {
    /// All items of a page, in its order.
    pub fn judge_all<'a>(&'a self, list: &'a Checklist, now: Timestamp) -> Vec<Judged<'a>> {
        list.items()
            .map(|(phase, item)| self.judge(list, phase, item, now))
            .collect()
    }

    /// The items of a phase and of all phases within it.
    pub fn judge_phase<'a>(
        &'a self,
        list: &'a Checklist,
        phase: &'a Phase,
        now: Timestamp,
    ) -> Vec<Judged<'a>> {
        list.items()
            .filter(|(of, _)| list.is_within(of, phase))
            .map(|(of, item)| self.judge(list, of, item, now))
            .collect()
    }
}

#[cfg(test)]
mod tests;
