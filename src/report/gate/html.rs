//! One page that holds everything: no script, no font, no picture from elsewhere. Read on a phone, printed, archived.

use std::fmt::Write;

use super::{Told, age, chart, sign};
use crate::app::Listed;
use crate::checklist::{Call, Decision, Judged, Part, PartState, Signature, State};
use crate::domain::Timestamp;
use crate::report::gate::{Seal, is_bad};

/// Lines of evidence on the page; the whole of it is in the journal, under its hash.
const EVIDENCE_BYTES_MAX: usize = 8 * 1024;

/// Text of others as text of the page.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn class(call: Call) -> &'static str {
    match call {
        Call::Go => "good",
        Call::NoGo => "bad",
        Call::CouldNotTell => "unknown",
    }
}

/// The decision as a page.
pub fn gate_html(page: &Listed, seal: &Seal) -> String {
    let told = Told::of(page, seal);
    let title = escaped(page.title());
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{}: {title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        told.decision.call.word(),
        include_str!("page.css"),
    );
    head(&mut out, &told);
    reasons(&mut out, &told.decision);
    for (phase, decision, judged) in &told.phases {
        let _ = write!(
            out,
            "<section>\n<h2>{}</h2>\n<p class=\"{}\">{}</p>\n",
            escaped(&told.path(phase)),
            class(decision.call),
            escaped(&decision.line()),
        );
        for one in judged {
            item(&mut out, one, seal.now);
        }
        out.push_str("</section>\n");
    }
    people(&mut out, &told.decision);
    let _ = write!(
        out,
        "<h2>Record</h2>\n<dl><dt>journal</dt><dd><code id=\"head\">{}</code></dd><dt>page</dt><dd>{}</dd><dt>written</dt><dd>{} by quarterdeck {}</dd></dl>\n<p class=\"dim\"><code>quarterdeck journal verify --anchor</code> with this head shows whether the record behind this page is whole.</p>\n</body>\n</html>\n",
        escaped(&seal.head()),
        escaped(&page.list.name),
        seal.now.rfc3339(),
        escaped(&seal.version),
    );
    out
}

fn head(out: &mut String, told: &Told<'_>) {
    let decision = &told.decision;
    let _ = write!(
        out,
        "<div class=\"call {}\" id=\"decision\"><b>{}</b>{}</div>\n<dl><dt>stack</dt><dd>{}</dd><dt>at</dt><dd>{}</dd><dt>proven</dt><dd>{} of {}</dd><dt>signed</dt><dd>{}</dd><dt>waived</dt><dd>{}</dd></dl>\n",
        class(decision.call),
        decision.call.word(),
        escaped(&decision.line()),
        escaped(&told.seal.stack),
        told.seal.now.date_minute(),
        decision.proven,
        decision.of,
        decision.signed,
        decision.waived,
    );
}

fn reasons(out: &mut String, decision: &Decision) {
    if decision.reasons.is_empty() {
        return;
    }
    out.push_str(
        "<h2>What does not hold</h2>\n<table>\n<tr><th>item</th><th>state</th><th>why</th></tr>\n",
    );
    for reason in &decision.reasons {
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#{0}\">{1}</a></td><td class=\"{2}\">{3}</td><td>{4}</td></tr>",
            escaped(&reason.item.0),
            escaped(&reason.title),
            class(reason.call),
            reason.state.word(),
            escaped(&reason.why),
        );
    }
    out.push_str("</table>\n");
}

fn item(out: &mut String, one: &Judged<'_>, now: Timestamp) {
    let state = one.state;
    let word = if one.is_old() {
        "proven, old"
    } else {
        state.word()
    };
    let _ = write!(
        out,
        "<article class=\"{}\" id=\"{}\">\n<h3>{} {}</h3>\n<p class=\"{0}\"><b>{word}</b></p>\n",
        class(state.call()),
        escaped(&one.item.id.0),
        escaped(sign(state)),
        escaped(&one.item.title),
    );
    if one.parts.is_empty() || one.why != *state.word() {
        let _ = writeln!(out, "<p>{}</p>", escaped(&one.why));
    }
    for line in &one.item.detail {
        let _ = writeln!(out, "<p class=\"dim\">{}</p>", escaped(line));
    }
    if !one.item.fields.is_empty() {
        out.push_str("<dl>");
        for field in &one.item.fields {
            let (name, value) = (escaped(&field.name), escaped(&field.value));
            let _ = write!(out, "<dt>{name}</dt><dd>{value}</dd>");
        }
        out.push_str("</dl>\n");
    }
    for part in &one.parts {
        proof(out, part, now);
    }
    if let (State::Failed, Some(helps)) = (state, &one.item.demand.helps) {
        let _ = writeln!(
            out,
            "<p>The runbook <code>{}</code> helps.</p>",
            escaped(helps)
        );
    }
    for signature in &one.signers {
        let _ = writeln!(out, "<p>signed by {}</p>", by(signature));
    }
    if let Some(waiver) = one.waiver {
        let _ = writeln!(out, "<p>waived by {}</p>", by(waiver));
    }
    out.push_str("</article>\n");
}

fn by(signature: &Signature) -> String {
    format!(
        "{} (uid {}), {}: {}",
        escaped(&signature.who),
        signature.uid,
        signature.at.date_minute(),
        escaped(&signature.said.reason),
    )
}

fn proof(out: &mut String, part: &Part<'_>, now: Timestamp) {
    let class = match part.state {
        PartState::Failed => "bad",
        _ if is_bad(part) => "unknown",
        _ => "good",
    };
    let Some(known) = part.known else {
        let _ = writeln!(
            out,
            "<p class=\"{class}\">{} check: {}</p>",
            escaped(&part.asked.kind),
            part.state.word()
        );
        return;
    };
    let outcome = &known.proof.outcome;
    let _ = write!(
        out,
        "<p><code>{}</code></p>\n<p class=\"{class}\">{}: {}</p>\n{}",
        escaped(&known.proof.asked),
        part.state.word(),
        escaped(&outcome.said),
        chart::charts(known),
    );
    let mut evidence = super::super::json::write(&outcome.evidence);
    if evidence.len() > EVIDENCE_BYTES_MAX {
        let mut ends = (0..=EVIDENCE_BYTES_MAX).rev();
        let end = ends.find(|at| evidence.is_char_boundary(*at));
        evidence.truncate(end.unwrap_or_default());
        evidence.push_str("\n… the rest is in the journal");
    }
    let _ = write!(
        out,
        "<details><summary>evidence, {}, took {} ms, seen {} by {}</summary>\n<pre>{}</pre>\n<p class=\"dim\">SHA-256 <code>{}</code>, check <code>{}</code></p></details>\n",
        escaped(&age(part, now)),
        outcome.took_ms,
        outcome.at.date_minute(),
        escaped(&known.who),
        escaped(&evidence),
        escaped(&known.proof.sha256),
        escaped(&known.proof.check),
    );
}

fn people(out: &mut String, decision: &Decision) {
    out.push_str("<h2>Signers</h2>\n");
    if decision.signers.is_empty() {
        out.push_str("<p class=\"dim\">Nobody has signed.</p>\n");
    } else {
        out.push_str("<table>\n<tr><th>who</th><th>items</th><th>last</th></tr>\n");
        for signer in &decision.signers {
            let _ = writeln!(
                out,
                "<tr><td>{} (uid {})</td><td>{}</td><td>{}</td></tr>",
                escaped(&signer.who),
                signer.uid,
                signer.items,
                signer.last.date_minute(),
            );
        }
        out.push_str("</table>\n");
    }
    if decision.waivers.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Waivers</h2>\n<table>\n<tr><th>item</th><th>who</th><th>until</th><th>why</th></tr>\n",
    );
    for waiver in &decision.waivers {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&waiver.title),
            escaped(&waiver.who),
            escaped(&waiver.until),
            escaped(&waiver.reason),
        );
    }
    out.push_str("</table>\n");
}
