//! A checklist as text and as a document: for people and for scripts.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Checklist, Item, Mark, Phase, Proposal, Signatures, Standing, propose};
use crate::domain::{Clean, Timestamp};

/// How an item stands, in a sign and a word.
pub fn standing(item: &Item, signatures: &Signatures, now: Timestamp) -> (&'static str, String) {
    let signed = signatures.of(item, now);
    let standing = item.standing();
    match signed.word() {
        Some(word) if signed.counts() => ("[x]", word),
        Some(word) => ("[?]", word),
        None => (sign(standing), standing.word().to_owned()),
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

/// Whether nobody has to look at it any more: ticked, dropped, signed or waived.
pub fn is_settled(item: &Item, signatures: &Signatures, now: Timestamp) -> bool {
    matches!(item.mark, Mark::Done | Mark::Dropped) || signatures.of(item, now).counts()
}

/// How many of a phase's items are settled, and how many there are.
pub fn count(phase: &Phase, signatures: &Signatures, now: Timestamp) -> (usize, usize) {
    let settled = |item: &&Item| is_settled(item, signatures, now);
    (
        phase.items.iter().filter(settled).count(),
        phase.items.len(),
    )
}

fn depth(list: &Checklist, phase: &Phase) -> usize {
    list.path(phase).len() - 1
}

/// The list, for people.
pub fn list_text(list: &Checklist, signatures: &Signatures, now: Timestamp) -> String {
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
        .map(|phase| count(phase, signatures, now))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let _ = writeln!(out, "{settled} of {all} settled");
    for phase in &list.phases {
        let blanks = "  ".repeat(depth(list, phase));
        let (settled, all) = count(phase, signatures, now);
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
            let (sign, word) = standing(item, signatures, now);
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
pub fn list_json(list: &Checklist, signatures: &Signatures, now: Timestamp) -> Value {
    let phases: Vec<Value> = list
        .phases
        .iter()
        .map(|phase| {
            let (settled, all) = count(phase, signatures, now);
            let items: Vec<Value> = phase
                .items
                .iter()
                .map(|item| item_json(list, phase, item, signatures, now))
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
    signatures: &Signatures,
    now: Timestamp,
) -> Value {
    let (_, state) = standing(item, signatures, now);
    json!({
        "id": item.id,
        "title": item.title,
        "phase": list.path(phase),
        "kind": item.kind,
        "mark": item.mark,
        "state": state,
        "settled": is_settled(item, signatures, now),
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
    signatures: &Signatures,
    now: Timestamp,
) -> String {
    let mut out = String::new();
    for line in item_lines(list, phase, item, signatures, now) {
        let _ = writeln!(out, "{line}");
    }
    out
}

/// The lines of [`item_text`], for a screen.
pub fn item_lines(
    list: &Checklist,
    phase: &Phase,
    item: &Item,
    signatures: &Signatures,
    now: Timestamp,
) -> Vec<Clean> {
    let mut out: Vec<String> = vec![item.title.to_string()];
    out.extend(item.detail.iter().map(|line| format!("  {line}")));
    let path: Vec<&str> = list.path(phase).into_iter().map(Clean::as_str).collect();
    let (sign, word) = standing(item, signatures, now);
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
