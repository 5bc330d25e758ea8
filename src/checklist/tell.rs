//! A checklist as text and as a document: for people and for scripts.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    Call, Checklist, Item, Judged, Mark, Marks, Phase, Proposal, Standing, State, propose,
};
use crate::domain::{Age, Clean, Timestamp};

/// How an item stands, in a sign and a word: by proofs and signatures where there are any, else as its author says.
pub fn standing(
    list: &Checklist,
    phase: &Phase,
    item: &Item,
    marks: &Marks,
    now: Timestamp,
) -> (&'static str, String) {
    let judged = marks.judge(list, phase, item, now);
    let signed = marks.signatures.of(item, now);
    let word = || judged.state.word().to_owned();
    match judged.state {
        State::Proven if judged.is_old() => ("[x]", "proven, old".to_owned()),
        State::Proven => ("[x]", word()),
        State::Signed | State::Waived => ("[x]", signed.word().unwrap_or_else(word)),
        State::Failed => ("[X]", word()),
        State::Open => match signed.word() {
            Some(word) => ("[?]", word),
            None if item.demand.person => ("[ ]", word()),
            None => {
                let standing = item.standing();
                (sign(standing), standing.word().to_owned())
            }
        },
        State::Dropped => (sign(item.standing()), item.standing().word().to_owned()),
        State::Unproven if item.demand.asked.is_empty() => {
            (sign(item.standing()), item.standing().word().to_owned())
        }
        State::Unproven => ("[=]", word()),
        State::HalfSigned
        | State::Expired
        | State::Changed
        | State::Unreadable
        | State::CouldNotRun => ("[?]", word()),
    }
}

fn sign(standing: Standing) -> &'static str {
    match standing {
        Standing::Accepted => "[=]",
        Standing::Proposed => "[?]",
        Standing::Said(Mark::Open | Mark::Planned) => "[ ]",
        Standing::Said(Mark::InProgress) => "[>]",
        Standing::Said(Mark::Blocked) => "[!]",
        Standing::Said(Mark::Done) => "[x]",
        Standing::Said(Mark::Dropped) => "[-]",
    }
}

/// Whether nobody has to look at it any more: proven, signed, waived, dropped, or ticked where nothing measures it.
pub fn is_settled(
    list: &Checklist,
    phase: &Phase,
    item: &Item,
    marks: &Marks,
    now: Timestamp,
) -> bool {
    let judged = marks.judge(list, phase, item, now);
    let ticked = item.mark == Mark::Done && item.demand.asked.is_empty();
    ticked || judged.state.call() == Call::Go
}

/// How many of a phase's items are settled, and how many there are.
pub fn count(list: &Checklist, phase: &Phase, marks: &Marks, now: Timestamp) -> (usize, usize) {
    let settled = |item: &&Item| is_settled(list, phase, item, marks, now);
    (
        phase.items.iter().filter(settled).count(),
        phase.items.len(),
    )
}

fn depth(list: &Checklist, phase: &Phase) -> usize {
    list.path(phase).len() - 1
}

/// The list, for people.
pub fn list_text(list: &Checklist, marks: &Marks, now: Timestamp) -> String {
    let mut out = String::new();
    let title = if list.title.is_empty() {
        &list.name
    } else {
        &list.title
    };
    let _ = writeln!(out, "{title}");
    let (settled, all) = list
        .phases
        .iter()
        .map(|phase| count(list, phase, marks, now))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let _ = writeln!(out, "{settled} of {all} settled");
    for phase in &list.phases {
        let blanks = "  ".repeat(depth(list, phase));
        let (settled, all) = count(list, phase, marks, now);
        let counted = if all == 0 {
            String::new()
        } else {
            format!("  {settled} of {all}")
        };
        let mark = match phase.mark {
            Mark::Open => String::new(),
            mark => format!("  ({})", mark.word()),
        };
        let _ = writeln!(out, "\n{blanks}{}{counted}{mark}", phase.title);
        for item in &phase.items {
            let (sign, word) = standing(list, phase, item, marks, now);
            let _ = writeln!(
                out,
                "{blanks}  {sign} {:<10} {:<11} {}  ({word})",
                item.id.0,
                item.kind.word(),
                item.title
            );
        }
    }
    out
}

/// The list, for scripts.
pub fn list_json(list: &Checklist, marks: &Marks, now: Timestamp) -> Value {
    let phases: Vec<Value> = list
        .phases
        .iter()
        .map(|phase| {
            let (settled, all) = count(list, phase, marks, now);
            let items: Vec<Value> = phase
                .items
                .iter()
                .map(|item| item_json(list, phase, item, marks, now))
                .collect();
            json!({
                "title": phase.title,
                "path": list.path(phase),
                "kind": phase.kind,
                "number": phase.number,
                "line": phase.line,
                "mark": phase.mark,
                "fields": phase.fields,
                "settled": settled,
                "count": all,
                "items": items,
            })
        })
        .collect();
    json!({
        "name": list.name,
        "title": list.title,
        "phases": phases,
        "remarks": list.remarks,
        "orphans": list.orphans,
    })
}

/// One item, for scripts.
pub fn item_json(
    list: &Checklist,
    phase: &Phase,
    item: &Item,
    marks: &Marks,
    now: Timestamp,
) -> Value {
    let (_, state) = standing(list, phase, item, marks, now);
    json!({
        "id": item.id,
        "title": item.title,
        "phase": list.path(phase),
        "kind": item.kind,
        "mark": item.mark,
        "state": state,
        "settled": is_settled(list, phase, item, marks, now),
        "line": item.line,
        "text_hash": item.text_hash(),
        "fields": item.fields,
        "detail": item.detail,
        "checks": item.checks,
        "blocks": item.blocks,
    })
}

/// One item, for people: the author's words, what is proposed, who signed.
pub fn item_text(
    list: &Checklist,
    phase: &Phase,
    item: &Item,
    marks: &Marks,
    now: Timestamp,
) -> String {
    let mut out = String::new();
    for line in item_lines(list, phase, item, marks, now) {
        let _ = writeln!(out, "{line}");
    }
    out
}

/// The lines of [`item_text`], for a screen.
pub fn item_lines(
    list: &Checklist,
    phase: &Phase,
    item: &Item,
    marks: &Marks,
    now: Timestamp,
) -> Vec<Clean> {
    let mut out: Vec<String> = vec![item.title.to_string()];
    out.extend(item.detail.iter().map(|line| format!("  {line}")));
    let path: Vec<&str> = list.path(phase).into_iter().map(Clean::as_str).collect();
    let (sign, word) = standing(list, phase, item, marks, now);
    out.push(String::new());
    out.push(format!("state     {sign} {word}"));
    out.push(format!("id        {}", item.id));
    out.push(format!("kind      {}", item.kind.word()));
    out.push(format!("phase     {}", path.join(" > ")));
    out.push(format!("place     {}, line {}", list.name, item.line));
    out.push(format!("text      {}", item.text_hash()));
    for field in &item.fields {
        out.push(format!("{:<9} {}", field.name, field.value));
    }
    let judged = marks.judge(list, phase, item, now);
    out.extend(proof_lines(&judged, now));
    for check in &item.checks {
        out.push(String::new());
        out.push("check, as the author wrote it:".to_owned());
        out.extend(check.lines().map(|line| format!("  {line}")));
    }
    for block in &item.blocks {
        out.push(String::new());
        out.push(if block.accepted {
            format!("check, accepted, for `{}`:", block.words)
        } else {
            format!("check, proposed for `{}`:", block.words)
        });
        out.extend(block.toml.lines().map(|line| format!("  {line}")));
    }
    if item.blocks.is_empty() && item.checks.is_empty() {
        out.extend(unwritten(&propose(item)));
    }
    out.iter().map(|line| Clean::line(line)).collect()
}

/// What its checks said, why it fails and what helps, who signed.
fn proof_lines(judged: &Judged<'_>, now: Timestamp) -> Vec<String> {
    let mut out = Vec::new();
    for part in &judged.parts {
        out.push(String::new());
        let Some(known) = part.known else {
            out.push(format!("{} check: {}", part.asked.kind, part.state.word()));
            continue;
        };
        let age = Age(now.since(known.at()));
        let limit = Age(part.max_age);
        let state = part.state.word();
        out.push(format!(
            "{}: {state}, seen {age} ago of {limit}, by {}",
            known.proof.asked, known.who
        ));
        out.push(format!("  {}", known.proof.outcome.said));
        out.push(format!("  evidence  {}", known.proof.sha256));
        out.extend(evidence_lines(&known.proof.outcome.evidence));
    }
    if let Some(helps) = &judged.item.demand.helps
        && judged.state == State::Failed
    {
        out.push(format!("runbook   {helps} helps"));
    }
    for signature in &judged.signers {
        out.push(format!(
            "signed    by {} (uid {}) {}: {}",
            signature.who,
            signature.uid,
            signature.at.date_minute(),
            signature.said.reason
        ));
    }
    if judged.item.demand.second {
        out.push("signed    by two people, where it is".to_owned());
    }
    out
}

/// Lines of evidence that are shown; all of it is in the journal.
const EVIDENCE_LINES: usize = 12;

fn evidence_lines(evidence: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for key in ["sent", "got", "fault"] {
        if let Some(value) = evidence.get(key).filter(|value| !value.is_null()) {
            out.push(format!("  {key:<5} {value}"));
        }
    }
    out.truncate(EVIDENCE_LINES);
    out
}

/// What an import would propose.
fn unwritten(proposals: &[Proposal]) -> Vec<String> {
    let mut out = Vec::new();
    if !proposals.is_empty() {
        out.push(String::new());
        out.push("an import would propose:".to_owned());
    }
    for proposal in proposals {
        out.push(format!("  {} for `{}`", proposal.kind, proposal.words));
        out.extend(proposal.lines.iter().map(|line| format!("    {line}")));
    }
    out
}
