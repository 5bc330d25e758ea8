//! The decision as Markdown, for a wiki or a release note.

use std::fmt::Write;

use super::{Seal, Told, age, sign};
use crate::app::Listed;
use crate::checklist::State;

/// Text of others as text: nothing of it is markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_{}[]<>#|!&~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The decision as Markdown.
pub fn gate_markdown(page: &Listed, seal: &Seal) -> String {
    let told = Told::of(page, seal);
    let mut out = String::new();
    let _ = writeln!(out, "# {}\n", escaped(page.title()));
    let _ = writeln!(out, "**{}**\n", escaped(&told.decision.line()));
    let _ = writeln!(
        out,
        "Stack {}, {}, journal `{}`.",
        escaped(&seal.stack),
        seal.now.date_minute(),
        seal.head()
    );
    for (phase, decision, judged) in &told.phases {
        let path = escaped(&told.path(phase));
        let _ = writeln!(out, "\n## {path}\n\n{}\n", escaped(&decision.line()));
        out.push_str("| | item | state | why |\n|---|---|---|---|\n");
        for one in judged {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                escaped(sign(one.state)),
                escaped(&one.item.title),
                one.state.word(),
                escaped(&one.why),
            );
        }
        for one in judged {
            for part in &one.parts {
                let Some(known) = part.known else { continue };
                let _ = writeln!(
                    out,
                    "\n- {}: {}: {} ({}, evidence `{}`)",
                    escaped(&one.item.title),
                    escaped(&known.proof.asked),
                    escaped(&known.proof.outcome.said),
                    age(part, seal.now),
                    known.proof.sha256,
                );
            }
            if let (State::Failed, Some(helps)) = (one.state, &one.item.demand.helps) {
                let _ = writeln!(out, "  The runbook {} helps.", escaped(helps));
            }
        }
    }
    out.push_str("\n## Signers\n\n");
    if told.decision.signers.is_empty() {
        out.push_str("Nobody has signed.\n");
    }
    for signer in &told.decision.signers {
        let _ = writeln!(
            out,
            "- {} (uid {}): {} items, last {}",
            escaped(&signer.who),
            signer.uid,
            signer.items,
            signer.last.date_minute(),
        );
    }
    for waiver in &told.decision.waivers {
        let _ = writeln!(
            out,
            "- waived until {} by {}: {}: {}",
            escaped(&waiver.until),
            escaped(&waiver.who),
            escaped(&waiver.title),
            escaped(&waiver.reason),
        );
    }
    out
}
