//! One file per screen, listed in [`PANELS`].

mod backups;
mod certificates;
mod checklist;
mod containers;
mod journal;
mod logs;
mod overview;
pub(super) mod run;
pub(super) mod runs;
mod traffic;

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::line::Line;
use super::theme::Role;
use super::widgets::panel::Keys;
use super::widgets::table::Cursor;
use crate::app::{Model, Pane, Row, Screen};
use crate::domain::{Health, SourceKind, Watched};

type Draw = fn(&mut Canvas<'_>, Rect, &Model);

/// Every screen and what draws it.
const PANELS: [(Screen, Draw); 9] = [
    (Screen::Overview, overview::draw),
    (Screen::Containers, containers::draw),
    (Screen::Traffic, traffic::draw),
    (Screen::Certificates, certificates::draw),
    (Screen::Backups, backups::draw),
    (Screen::Checklist, checklist::draw),
    (Screen::Runs, runs::draw),
    (Screen::Logs, logs::draw),
    (Screen::Journal, journal::draw),
];

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    for (screen, draw) in PANELS {
        if screen == model.screen {
            draw(canvas, area, model);
        }
    }
}

/// The row under the cursor: its own row, or the place where it was before it went away.
fn cursor(model: &Model, rows: &[Row<'_>]) -> usize {
    let list = model.list();
    list.selected
        .as_ref()
        .and_then(|selected| rows.iter().position(|row| row.is(selected)))
        .unwrap_or(list.at)
        .min(rows.len().saturating_sub(1))
}

fn cursor_style(model: &Model, at: usize) -> Cursor {
    let role = match model.pane {
        Pane::List => Role::Selected,
        Pane::Detail => Role::Chosen,
    };
    Cursor { at, role }
}

fn keys(model: &Model, pane: Pane) -> Keys {
    Keys::here(model.pane == pane)
}

/// Upper part for the list, lower part for the detail; one alone when zoomed.
fn split(model: &Model, area: Rect, list_lines: u16) -> (Rect, Rect) {
    let none = Rect { height: 0, ..area };
    match (model.zoomed, model.pane) {
        (true, Pane::List) => (area, none),
        (true, Pane::Detail) => (none, area),
        (false, _) => {
            let list = list_lines.min(area.height);
            (
                Rect {
                    height: list,
                    ..area
                },
                Rect {
                    y: area.y + list,
                    height: area.height - list,
                    ..area
                },
            )
        }
    }
}

fn halves(area: Rect, left: u16) -> (Rect, Rect) {
    let left = left.min(area.width);
    (
        Rect {
            width: left,
            ..area
        },
        Rect {
            x: area.x + left,
            width: area.width - left,
            ..area
        },
    )
}

/// `worst`, the filter and the marks: what decides which rows are shown.
fn title(model: &Model, name: &str, shown: usize) -> Line<'static> {
    let list = model.list();
    let mut line = Line::of(Role::Title, name.to_owned())
        .dim(format!("  {shown}  sort: {}", list.sort.word()));
    if !list.filter.is_empty() {
        line = line.add(Role::Accent, format!("  filter: {}", list.filter.text()));
    }
    if !list.marks.is_empty() {
        line = line.add(Role::Accent, format!("  marked: {}", list.marks.len()));
    }
    line
}

/// `3-12 of 40`, when not all rows are seen.
fn seen_note((first, last): (usize, usize), len: usize) -> Line<'static> {
    if last - first >= len {
        Line::new()
    } else {
        Line::faint(format!("{}-{last} of {len}", first + 1))
    }
}

/// Why a list is empty, honestly.
fn empty(model: &Model, kind: SourceKind, nothing: &'static str) -> Line<'static> {
    let board = model.shown();
    if !model.list().filter.is_empty() {
        return Line::faint("no row matches the filter; Esc clears it");
    }
    let mut watched = board.of_kind(kind).map(|(_, watched)| watched).peekable();
    if watched.peek().is_none() {
        return Line::faint(nothing);
    }
    match watched.find_map(|watched| watched.fault.as_ref()) {
        Some((_, fault)) => Line::of(Role::Unknown, format!("not seen: {fault}")),
        None if board
            .of_kind(kind)
            .all(|(_, watched)| watched.last.is_none()) =>
        {
            Line::faint(super::words::LOOKING)
        }
        None => Line::faint("none there"),
    }
}

/// A fault that stands beside the last good reading.
fn fault(model: &Model, watched: &Watched) -> Option<Line<'static>> {
    let (since, fault) = watched.fault.as_ref()?;
    Some(Line::of(
        Role::Unknown,
        format!(
            "cannot be seen for {}: {fault}",
            super::words::since(model.shown_at(), *since)
        ),
    ))
}

/// Kept, but no longer counted.
fn stale(watched: &Watched, model: &Model) -> bool {
    watched.health(model.shown_at()) == Health::Unknown
}
