//! What is on record, and beside it what this console saw: one order of time, newest first.

use std::fmt::Write;

use ratatui::layout::Rect;
use serde::Deserialize;

use super::{cursor, cursor_style, keys, seen_note, split};
use crate::app::story::told;
use crate::app::{Happening, Model, Pane, Recording, Row, rows};
use crate::domain::{Clean, Health};
use crate::engine::{Evidence, Finished, Recorded, Requested, TakenUp};
use crate::journal::{Code, Entry, Mode};
use crate::view::canvas::{Canvas, role, sign};
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::widgets::facts::Facts;
use crate::view::widgets::panel::{foot, panel};
use crate::view::widgets::table::{Column, Table, column};
use crate::view::words;

const COLUMNS: [Column; 5] = [
    column("time", 11).keep(),
    column("entry", 6).right(),
    column("what", 18).keep(),
    column("about", 22).keep(),
    column("who and why", 16).keep().grow(300),
];

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let rows = rows(model);
    let detail_lines = if area.height >= 24 { 9 } else { 6 };
    let (list, detail) = split(model, area, area.height.saturating_sub(detail_lines));
    let at = cursor(model, &rows);
    if list.height > 0 {
        table(canvas, list, model, &rows, at);
    }
    if detail.height < 3 {
        return;
    }
    let title = match rows.get(at) {
        Some(Row::Entry(entry)) => Line::of(Role::Title, format!("Entry {}", entry.seq)),
        _ => Line::of(Role::Title, "Seen by this console").dim("  not on record"),
    };
    let inside = panel(
        canvas,
        detail,
        title,
        &Line::new(),
        keys(model, Pane::Detail),
    );
    let facts = match rows.get(at) {
        Some(Row::Happening(happening)) => facts(canvas, model, happening, inside.width),
        Some(Row::Entry(entry)) => of_entry(model, entry, inside.width),
        _ => return,
    };
    facts.draw(canvas, inside, model.list().scroll_detail);
}

fn table(canvas: &mut Canvas<'_>, area: Rect, model: &Model, rows: &[Row<'_>], at: usize) {
    let mut title = Line::of(Role::Title, "Journal").dim(format!("  {}  newest first", rows.len()));
    let filter = &model.list().filter;
    if !filter.is_empty() {
        title = title.add(Role::Accent, format!("  filter: {}", filter.text()));
    }
    let note = match &model.record.recording {
        Recording::Open => Line::faint(model.record.place.to_string()),
        Recording::Opening => Line::faint("the journal is being opened"),
        Recording::ReadOnly(_) => canvas.verdict(Health::Poor, "it cannot be written"),
        Recording::Closed(_) => canvas.verdict(Health::Bad, "it cannot be read"),
    };
    let inside = panel(canvas, area, title, &note, keys(model, Pane::List));
    let inside = match model.record.recording.obstacle() {
        Some(why) if model.record.recording != Recording::Opening => {
            let line = Line::of(Role::Unknown, format!("not recorded: {why}"));
            canvas.line(inside, &line);
            Rect {
                y: inside.y + 1,
                height: inside.height.saturating_sub(1),
                ..inside
            }
        }
        _ => inside,
    };
    if rows.is_empty() {
        let text = if filter.is_empty() {
            "nothing has changed since we look"
        } else {
            "no row matches the filter; Esc clears it"
        };
        canvas.line(inside, &Line::faint(text));
        return;
    }
    let look = canvas.look;
    let marks = &model.list().marks;
    let seen = Table {
        columns: &COLUMNS,
        len: rows.len(),
        cursor: Some(cursor_style(model, at)),
        wide: false,
        cell: &|row, column, _| match &rows[row] {
            Row::Happening(happening) => match column {
                0 => Line::faint(words::moment(model, happening.at)),
                1 => Line::faint("seen"),
                2 => Line::of(
                    role(happening.health),
                    format!(
                        "{} {}",
                        sign(happening.health, look.charset),
                        happening.health.word()
                    ),
                ),
                3 => Line::plain(happening.about.as_str()),
                _ => Line::plain(happening.text.as_str()),
            },
            Row::Entry(entry) => match column {
                0 => Line::faint(words::moment(model, entry.moment.at)),
                1 => Line::faint(entry.seq.to_string()),
                2 => Line::of(weight(entry.code), entry.code.word()),
                3 => Line::plain(entry.target.as_str()),
                _ => Line::plain(entry.actor.user.as_str())
                    .text("  ")
                    .dim(said(model, entry).to_string()),
            },
            _ => Line::new(),
        },
        marked: &|row| !marks.is_empty() && marks.contains(&rows[row].key()),
    }
    .draw(canvas, inside);
    let mut note = seen_note(seen, rows.len());
    if model.record.older > 0 {
        note = note.dim(format!(
            "  {} older entries: `quarterdeck journal`",
            model.record.older
        ));
    }
    if model.happenings.forgotten > 0 {
        note = note.dim(format!("  {} older forgotten", model.happenings.forgotten));
    }
    foot(canvas, area, &note);
}

/// Decisions of people stand out; what a driver writes is quiet.
fn weight(code: Code) -> Role {
    match code {
        Code::Refused | Code::Failed | Code::JournalRecovered => Role::Poor,
        Code::SessionArmed | Code::RunRequested | Code::RunFinished | Code::SignedOff => {
            Role::Accent
        }
        code if code.is_decision() => Role::Accent,
        _ => Role::Text,
    }
}

/// What an entry says, as a person reads it; else the body as it is.
fn said(model: &Model, entry: &Entry) -> Clean {
    let words = match entry.code {
        Code::RunEvent => Recorded::deserialize(&entry.body).ok().map(|recorded| {
            match model.story.get(&recorded.run) {
                Some(run) => told(&run.plan, &recorded.event.kind).0,
                None => recorded.event.kind.word().to_owned(),
            }
        }),
        Code::RunRequested => Requested::deserialize(&entry.body).ok().map(|requested| {
            let plan = &requested.plan;
            format!("{} as {}", plan.runbook, requested.run.0)
        }),
        Code::RunStarted => TakenUp::deserialize(&entry.body)
            .ok()
            .map(|up| format!("driver {}", up.driver.0)),
        Code::RunFinished => Finished::deserialize(&entry.body)
            .ok()
            .map(|finished| finished.verdict.word().to_owned()),
        Code::Evidence => Evidence::deserialize(&entry.body).ok().map(|evidence| {
            let value = evidence.value.as_str().map(str::to_owned);
            let value = value.unwrap_or_else(|| evidence.value.to_string());
            format!("{}: {value}", evidence.what.word())
        }),
        _ => ["text", "reason"].iter().find_map(|key| {
            let text = entry.body.get(*key)?.as_str()?;
            Some(text.to_owned())
        }),
    };
    Clean::line(&words.unwrap_or_else(|| entry.body.to_string()))
}

fn of_entry<'a>(model: &'a Model, entry: &'a Entry, width: u16) -> Facts<'a> {
    let mut facts = Facts::new(width, 7);
    let at = entry.moment.at;
    facts.fact(
        "at",
        format!("{} ({} ago)", at.rfc3339(), words::since(model.now, at)),
    );
    facts.fact("what", entry.code.word());
    facts.fact("about", entry.target.as_str());
    let actor = &entry.actor;
    let mut who = format!("{} (uid {})", actor.user, actor.uid);
    if let Some(login) = actor.login_uid.filter(|login| *login != actor.uid) {
        let _ = write!(who, ", logged in as uid {login}");
    }
    if let Some(ssh) = &actor.claims.ssh {
        let _ = write!(who, ", over SSH from {ssh} as claimed");
    }
    if entry.mode == Mode::Training {
        who.push_str(", in practice");
    }
    facts.fact("who", who);
    facts.fact("says", said(model, entry).to_string());
    facts.fact("body", Clean::line(&entry.body.to_string()).to_string());
    facts.fact("hash", entry.hash.short());
    facts
}

fn facts<'a>(
    canvas: &Canvas<'_>,
    model: &Model,
    happening: &'a Happening,
    width: u16,
) -> Facts<'a> {
    let mut facts = Facts::new(width, 7);
    facts.fact(
        "at",
        format!(
            "{} ({} ago)",
            happening.at.rfc3339(),
            words::since(model.shown_at(), happening.at)
        ),
    );
    facts.line(
        "state",
        canvas.verdict(happening.health, happening.health.word()),
    );
    facts.fact("about", happening.about.as_str());
    facts.fact("what", happening.text.as_str());
    facts
}
