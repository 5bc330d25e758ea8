//! Certificates: time left, name, trust and strength of each; the chain and what to do about the one under the cursor.

use ratatui::layout::Rect;

use super::{cursor, cursor_style, empty, fault, halves, keys, seen_note, split, title};
use crate::app::{Model, Pane, Row, rows};
use crate::domain::{
    Certificate, ChainLink, Clean, Health, SourceKind, Stapling, Timestamp, Trust, Watched,
};
use crate::view::canvas::{Canvas, role, sign};
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::widgets::facts::Facts;
use crate::view::widgets::panel::{Keys, foot, panel};
use crate::view::widgets::table::{Column, Table, column};
use crate::view::words::{self, columns};
use crate::view::{Charset, canvas};

const COLUMNS: [Column; 9] = [
    column("place", 26).keep().grow(16),
    column("left", 13).keep(),
    column("not after", 17),
    column("name", 5),
    column("chain", 11),
    column("age", 7).right(),
    column("key", 8),
    column("issuer", 12).grow(12),
    column("signature", 13),
];

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let rows = rows(model);
    let wanted = columns(rows.len()).saturating_add(3).max(5);
    let (list, detail) = split(model, area, wanted.min(area.height / 2));
    let at = cursor(model, &rows);
    if list.height > 0 {
        table(canvas, list, model, &rows, at);
    }
    if detail.height < 3 {
        return;
    }
    let Some(Row::Certificate {
        source,
        watched,
        certificate,
    }) = rows.get(at)
    else {
        panel(
            canvas,
            detail,
            Line::of(Role::Title, "Certificate"),
            &Line::new(),
            keys(model, Pane::Detail),
        );
        return;
    };
    let side_by_side = detail.width >= 110;
    let (left, right) = if side_by_side {
        halves(detail, detail.width * 62 / 100)
    } else {
        (detail, Rect { width: 0, ..detail })
    };
    let heading = Line::of(Role::Title, source.name.as_str()).dim("  as presented");
    let inside = panel(
        canvas,
        left,
        heading,
        &Line::new(),
        keys(model, Pane::Detail),
    );
    let mut facts = Facts::new(inside.width, 9);
    if !side_by_side {
        advice(&mut facts, canvas, model, watched, *certificate);
    }
    presented(&mut facts, model, watched, *certificate);
    if !side_by_side {
        legend(&mut facts, canvas.look.charset, model);
    }
    facts.draw(canvas, inside, model.list().scroll_detail);
    if side_by_side {
        let heading = Line::of(Role::Title, "What to do");
        let inside = panel(canvas, right, heading, &Line::new(), Keys::Elsewhere);
        let mut facts = Facts::new(inside.width, 9);
        advice(&mut facts, canvas, model, watched, *certificate);
        legend(&mut facts, canvas.look.charset, model);
        facts.draw(canvas, inside, 0);
    }
}

fn table(canvas: &mut Canvas<'_>, area: Rect, model: &Model, rows: &[Row<'_>], at: usize) {
    let title = title(model, "Certificates", rows.len());
    let inside = panel(canvas, area, title, &Line::new(), keys(model, Pane::List));
    if rows.is_empty() {
        let nothing = "no certificate is configured";
        canvas.line(inside, &empty(model, SourceKind::Certificate, nothing));
        return;
    }
    let charset = canvas.look.charset;
    let marks = &model.list().marks;
    let seen = Table {
        columns: &COLUMNS,
        len: rows.len(),
        cursor: Some(cursor_style(model, at)),
        wide: model.wide,
        cell: &|row, column, _| match &rows[row] {
            Row::Certificate {
                source,
                watched,
                certificate,
            } => cell(
                model,
                charset,
                (&source.name, watched, *certificate),
                column,
            ),
            _ => Line::new(),
        },
        marked: &|row| !marks.is_empty() && marks.contains(&rows[row].key()),
    }
    .draw(canvas, inside);
    foot(canvas, area, &seen_note(seen, rows.len()));
}

fn cell<'a>(
    model: &Model,
    charset: Charset,
    (name, watched, certificate): (&'a Clean, &Watched, Option<&'a Certificate>),
    column: usize,
) -> Line<'a> {
    let now = model.shown_at();
    let health = watched.health(now);
    match (column, certificate) {
        (0, _) => Line::plain(name.as_str()),
        (1, None) if watched.fault.is_none() => Line::faint(words::LOOKING),
        (1, None) => Line::of(
            Role::Unknown,
            format!("{} not seen", sign(Health::Unknown, charset)),
        ),
        (1, Some(certificate)) => Line::of(
            role(health),
            format!(
                "{} {}",
                sign(health, charset),
                left(certificate.leaf_expiry, now)
            ),
        ),
        (5, _) => words::age(watched, now),
        (_, None) => Line::faint("-"),
        (2, Some(certificate)) => Line::plain(words::date(model, certificate.leaf_expiry)),
        (3, Some(certificate)) if certificate.name_matches => Line::faint("ok"),
        (3, Some(_)) => Line::of(Role::Bad, "WRONG"),
        (4, Some(certificate)) => trust(certificate),
        (6..=8, Some(certificate)) => leaf_cell(certificate, column),
        (_, Some(_)) => Line::new(),
    }
}

fn leaf_cell(certificate: &Certificate, column: usize) -> Line<'_> {
    let Some(leaf) = certificate.chain.first() else {
        return Line::faint("-");
    };
    let said = if leaf.weak.is_some() {
        Role::Poor
    } else {
        Role::Dim
    };
    match column {
        6 => Line::of(said, leaf.key.as_str()),
        7 => Line::faint(leaf.issuer.as_str()),
        _ => Line::of(said, leaf.signature.as_str()),
    }
}

fn trust(certificate: &Certificate) -> Line<'_> {
    let links = certificate.chain.len();
    match &certificate.trust {
        Trust::System => Line::faint(format!("ok, {links}")),
        Trust::Given => Line::faint(format!("own CA, {links}")),
        Trust::No(_) => Line::of(Role::Bad, "NOT TRUSTED"),
        Trust::NotAsked => Line::faint(format!("a file, {links}")),
    }
}

/// `12 d`, `5h10m`, or since when it is over.
fn left(end: Timestamp, now: Timestamp) -> String {
    const DAY: i64 = 86_400;
    let seconds = end.seconds_from(now);
    match seconds {
        s if s < 0 => format!("EXPIRED {}", words::since(now, end)),
        s if s < 2 * DAY => words::since(end, now),
        s => format!("{} d", s / DAY),
    }
}

fn presented<'a>(
    facts: &mut Facts<'a>,
    model: &Model,
    watched: &Watched,
    certificate: Option<&'a Certificate>,
) {
    let Some(certificate) = certificate else {
        let text = if watched.fault.is_some() {
            "never seen"
        } else {
            words::LOOKING
        };
        facts.free(Line::faint(text));
        return;
    };
    let now = model.shown_at();
    facts.fact(
        "ends",
        format!(
            "{} (leaf, {})",
            certificate.leaf_expiry.date_minute(),
            left(certificate.leaf_expiry, now)
        ),
    );
    facts.line(
        "",
        Line::faint(format!(
            "{} (earliest of all that is sent, {})",
            certificate.earliest_expiry.date_minute(),
            left(certificate.earliest_expiry, now)
        )),
    );
    if let Trust::No(why) = &certificate.trust {
        facts.line(
            "trust",
            Line::of(Role::Bad, "NOT TRUSTED: ").text(why.as_str()),
        );
    }
    for (n, link) in certificate.chain.iter().enumerate() {
        chain_link(facts, n, link);
    }
    if !certificate.protocol.is_empty() {
        facts.fact(
            "link",
            format!("{}, {}", certificate.protocol, certificate.cipher),
        );
    }
    facts.fact(
        "stapling",
        match certificate.stapling {
            Stapling::Absent => "no OCSP answer is stapled",
            Stapling::Given => "an OCSP answer is stapled",
            Stapling::Owed => "OWED: the leaf says must-staple and nothing was stapled",
        },
    );
    if certificate.client_auth {
        facts.fact("client", "the server asks for a client certificate");
    }
    facts.fact("address", certificate.address.as_str());
}

fn chain_link<'a>(facts: &mut Facts<'a>, n: usize, link: &'a ChainLink) {
    let mut head = Line::plain(format!("{n} ")).add(Role::Title, link.subject.as_str());
    if let Some(weak) = &link.weak {
        head = head.add(Role::Poor, format!("  WEAK: {weak}"));
    }
    facts.line(if n == 0 { "chain" } else { "" }, head);
    facts.line(
        "",
        Line::faint(format!("  by {}", link.issuer)).dim(format!(
            "; {} to {}; {}; {}",
            link.not_before.date_minute(),
            link.not_after.date_minute(),
            link.key,
            link.signature
        )),
    );
    if !link.names.is_empty() {
        let names: Vec<&str> = link.names.iter().map(Clean::as_str).collect();
        let more = match link.names_more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        facts.line("", Line::faint(format!("  for {}{more}", names.join(", "))));
    }
    facts.line(
        "",
        Line::faint(format!(
            "  serial {}  sha256 {}",
            link.serial,
            crate::domain::text::fit(&link.fingerprint, 16)
        )),
    );
}

fn advice<'a>(
    facts: &mut Facts<'a>,
    canvas: &Canvas<'_>,
    model: &'a Model,
    watched: &'a Watched,
    certificate: Option<&'a Certificate>,
) {
    let health = watched.health(model.shown_at());
    if let Some(line) = fault(model, watched) {
        facts.free(line);
    }
    if let Some(reading) = watched.reading() {
        facts.free(canvas.verdict(health, reading.summary.as_str()));
    }
    let Some(certificate) = certificate else {
        return;
    };
    for finding in &certificate.findings {
        facts.free(Line::of(role(health), "- ").text(finding.as_str()));
    }
    if certificate.findings.is_empty() && !health.is_trouble() {
        facts.free(Line::faint("nothing to do"));
    }
    let [notice, ..] = model.shown().stack.thresholds.certificate_days;
    let days = certificate.leaf_expiry.seconds_from(model.shown_at()) / 86_400;
    if days < i64::from(notice) {
        facts.free(Line::plain(
            "- renew it, load it into the gateway, and see here that the new serial is served",
        ));
    }
}

/// What the signs of this table mean.
fn legend(facts: &mut Facts<'_>, charset: Charset, model: &Model) {
    let [notice, bad, _] = model.shown().stack.thresholds.certificate_days;
    let sign = |health| canvas::sign(health, charset);
    facts.gap();
    facts.free(Line::faint(format!(
        "{} more than {notice} d   {} {notice} d or less, or weak",
        sign(Health::Good),
        sign(Health::Poor)
    )));
    facts.free(Line::faint(format!(
        "{} {bad} d or less, expired, wrong name, broken chain",
        sign(Health::Bad)
    )));
    facts.free(Line::faint(format!(
        "{} no fresh answer: the last date is shown and never counts as ok",
        sign(Health::Unknown)
    )));
}
