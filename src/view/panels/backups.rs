//! Backups: how old the newest good one is beside what was promised, and the files with their sizes.

use ratatui::layout::Rect;
use std::time::Duration;

use super::{cursor, cursor_style, empty, fault, keys, seen_note, split, title};
use crate::app::{Model, Pane, Row, rows};
use crate::domain::{Backup, BackupFile, Clean, Health, Ours, SourceKind, Watched};
use crate::view::Charset;
use crate::view::canvas::{Canvas, role, sign};
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::widgets::facts::{Facts, bar};
use crate::view::widgets::panel::{foot, panel};
use crate::view::widgets::table::{Column, Table, column};
use crate::view::words::{self, bytes, columns};

const COLUMNS: [Column; 8] = [
    column("target", 14).keep().grow(10),
    column("state", 11).keep(),
    column("last good", 10).right().keep(),
    column("promised", 8).right(),
    column("size", 8).right(),
    column("kept", 8).right(),
    column("restored", 12),
    column("age of data", 11).right(),
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
    let (name, note, lines) = match rows.get(at) {
        Some(Row::Backup {
            source,
            watched,
            backup,
        }) => {
            let width = detail.width.saturating_sub(4);
            let facts = facts(canvas, model, watched, *backup, width);
            let pattern = backup.map_or_else(Line::new, |backup| {
                Line::faint(format!("{}/{}", backup.directory, backup.pattern))
            });
            (source.name.to_string(), pattern, Some(facts))
        }
        _ => ("Backup".to_owned(), Line::new(), None),
    };
    let heading = Line::of(Role::Title, name);
    let inside = panel(canvas, detail, heading, &note, keys(model, Pane::Detail));
    if let Some(facts) = lines {
        facts.draw(canvas, inside, model.list().scroll_detail);
    }
}

fn table(canvas: &mut Canvas<'_>, area: Rect, model: &Model, rows: &[Row<'_>], at: usize) {
    let title = title(model, "Backups", rows.len());
    let inside = panel(canvas, area, title, &Line::new(), keys(model, Pane::List));
    if rows.is_empty() {
        let nothing = "no backup is configured: nobody would notice if there were none";
        canvas.line(inside, &empty(model, SourceKind::Backup, nothing));
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
            Row::Backup {
                source,
                watched,
                backup,
            } => cell(model, charset, (&source.name, watched, *backup), column),
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
    (name, watched, backup): (&'a Clean, &Watched, Option<&'a Backup>),
    column: usize,
) -> Line<'a> {
    let now = model.shown_at();
    let health = watched.health(now);
    let Some(backup) = backup else {
        return match column {
            0 => Line::plain(name.as_str()),
            1 if watched.fault.is_none() => Line::faint(words::LOOKING),
            1 => Line::of(
                Role::Unknown,
                format!("{} not seen", sign(Health::Unknown, charset)),
            ),
            7 => words::age(watched, now),
            _ => Line::faint("-"),
        };
    };
    let last = backup.last_good();
    match column {
        0 => Line::plain(name.as_str()),
        1 => Line::of(
            role(health),
            format!("{} {}", sign(health, charset), health.word()),
        ),
        2 => match last {
            Some(file) => {
                let late = now.since(file.at).as_secs() > backup.age_max_s;
                let said = if late { Role::Bad } else { Role::Text };
                Line::of(said, words::since(now, file.at))
            }
            None => Line::of(Role::Bad, "NONE"),
        },
        3 => Line::faint(words::calm(Duration::from_secs(backup.age_max_s))),
        4 => Line::plain(bytes(last.map(|file| file.bytes))),
        5 => {
            let said = if backup.kept < backup.keep_min {
                Role::Poor
            } else {
                Role::Text
            };
            Line::of(said, format!("{}/{}", backup.kept, backup.keep_min))
        }
        6 => match backup.proven {
            Some(at) => Line::plain(format!("{} ago", words::since(now, at))),
            None => Line::of(Role::Poor, "never proven"),
        },
        _ => words::age(watched, now),
    }
}

fn facts<'a>(
    canvas: &Canvas<'_>,
    model: &'a Model,
    watched: &'a Watched,
    backup: Option<&'a Backup>,
    width: u16,
) -> Facts<'a> {
    let now = model.shown_at();
    let mut facts = Facts::new(width, 9);
    if let Some(line) = fault(model, watched) {
        facts.line("fault", line);
    }
    let Some(backup) = backup else {
        if watched.fault.is_none() {
            facts.free(Line::faint(words::LOOKING));
        }
        return facts;
    };
    let health = watched.health(now);
    if let Some(reading) = watched.reading() {
        facts.line("state", canvas.verdict(health, reading.summary.as_str()));
    }
    promise(&mut facts, model, backup);
    facts.line(
        "proof",
        match backup.proven {
            Some(at) => Line::plain(format!("restored in a rehearsal {}", at.date_minute())),
            None => Line::of(Role::Poor, "never restored: ")
                .dim("a backup that nobody has restored is a hope"),
        },
    );
    if let Some(ours) = &backup.ours {
        manifest(&mut facts, ours);
    }
    facts.heading("Files, newest first");
    let most = backup.files.iter().map(|file| file.bytes).max();
    for file in &backup.files {
        let line = file_line(model, file, most.unwrap_or(1));
        facts.lines.extend(line.wrap(usize::from(width), 19));
    }
    if backup.files.is_empty() {
        facts.free(Line::of(Role::Bad, "no file matches"));
    }
    let more = usize::try_from(backup.kept)
        .unwrap_or(usize::MAX)
        .saturating_sub(backup.files.len());
    if more > 0 {
        facts.free(Line::faint(format!("{more} older ones are not shown")));
    }
    facts
}

/// What the manifest of the newest good one says, and where there are copies.
fn manifest<'a>(facts: &mut Facts<'a>, ours: &'a Ours) {
    let calm = |ms| words::calm(Duration::from_millis(ms));
    let measured = ours.rto_ms.map(|took| format!("took {}", calm(took)));
    let promised = ours
        .rto_max_s
        .map(|most| format!("promised within {}", calm(most * 1000)));
    let said: Vec<String> = measured.into_iter().chain(promised).collect();
    if !said.is_empty() {
        facts.line("restore", Line::plain(said.join(", ")));
    }
    if let Some(made) = &ours.newest {
        facts.line("source", Line::plain(made.source.as_str()));
        facts.line("content", Line::plain(made.content.as_str()));
        facts.line("sha256", Line::faint(made.sha256.as_str()));
        let sealed = match made.keys {
            Some(keys) => format!("encrypted for {keys} keys"),
            None => "not encrypted".to_owned(),
        };
        let took = words::calm(Duration::from_millis(made.took_ms));
        let said = format!("by run {} in {took}, {sealed}", made.run);
        facts.line("made", Line::plain(said));
    }
    for copies in &ours.copies {
        let line = match &copies.fault {
            Some(fault) => Line::of(Role::Poor, format!("cannot look: {fault}")),
            None if copies.lacking > 0 => Line::of(
                Role::Poor,
                format!(
                    "{} there, {} are missing: backup-copy brings them",
                    copies.kept, copies.lacking
                ),
            ),
            None => Line::plain(format!("{} there, none is missing", copies.kept)),
        };
        facts.line(
            "copies",
            line.dim(format!("  {} {}", copies.store, copies.place)),
        );
    }
    if ours.removable > 0 {
        let said = format!("{} more than the policy keeps", ours.removable);
        facts.line("policy", Line::faint(said));
    }
}

/// The age beside what was promised, as a bar that is full when the promise is broken.
fn promise(facts: &mut Facts<'_>, model: &Model, backup: &Backup) {
    const BAR: usize = 24;
    let now = model.shown_at();
    let promised = words::calm(Duration::from_secs(backup.age_max_s));
    let Some(file) = backup.last_good() else {
        facts.line(
            "promise",
            Line::of(Role::Bad, format!("no good one; promised every {promised}")),
        );
        return;
    };
    let age = now.since(file.at);
    let part = words::float(age.as_secs()) / words::float(backup.age_max_s.max(1));
    let said = if part > 1.0 { Role::Bad } else { Role::Chart1 };
    facts.line(
        "promise",
        bar(part, BAR, said).add(
            if part > 1.0 { Role::Bad } else { Role::Text },
            format!(" {} of {promised}", words::calm(age)),
        ),
    );
}

fn file_line<'a>(model: &Model, file: &'a BackupFile, most: u64) -> Line<'a> {
    const BAR: usize = 16;
    let part = words::float(file.bytes) / words::float(most.max(1));
    let said = if file.reject.is_some() {
        Role::Poor
    } else {
        Role::Chart1
    };
    let line = Line::faint(words::date(model, file.at))
        .to(19)
        .join(bar(part, BAR, said))
        .text(format!(" {:>7}  ", bytes(Some(file.bytes))))
        .text(file.name.as_str());
    match &file.reject {
        Some(why) => line.add(Role::Poor, format!("  does not count: {why}")),
        None => line,
    }
}
