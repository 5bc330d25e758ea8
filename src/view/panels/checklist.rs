//! Checklists: phases with their count, items with how they stand, the author's words beside what is proposed.
//!
//! Nothing here is proven: an item is ticked by its author, signed by a person, or open. The words say which.

use ratatui::layout::Rect;

use super::{cursor, cursor_style, keys, seen_note, split};
use crate::app::{Model, Pane, Place, Row, rows};
use crate::checklist::{Mark, count, item_lines, standing};
use crate::domain::{Clean, Timestamp};
use crate::view::canvas::Canvas;
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::widgets::facts::Facts;
use crate::view::widgets::panel::{foot, panel};
use crate::view::widgets::table::{Column, Table, column};

const COLUMNS: [Column; 3] = [
    column("item", 34).keep().grow(30),
    column("kind", 11),
    column("state", 24).keep().grow(24),
];

/// Width of the names of a phase's facts.
const NAMES: usize = 10;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let pages = &model.checklists;
    if pages.pages.is_empty() {
        return nothing(canvas, area, model);
    }
    let rows = rows(model);
    let (list, detail) = split(model, area, area.height * 3 / 5);
    let at = cursor(model, &rows);
    if list.height > 0 {
        table(canvas, list, model, &rows, at);
    }
    if detail.height < 3 {
        return;
    }
    let place = match rows.get(at) {
        Some(Row::Listed(place)) => Some(*place),
        _ => None,
    };
    let heading = place.map_or_else(
        || "Item".to_owned(),
        |place| match place.item {
            Some(item) => format!("{} {}", item.kind.word(), item.id),
            None => place.title().to_string(),
        },
    );
    let heading = Line::of(Role::Title, heading);
    let inside = panel(
        canvas,
        detail,
        heading,
        &Line::new(),
        keys(model, Pane::Detail),
    );
    if let Some(place) = place {
        let facts = facts(place, model.shown_at(), inside.width);
        facts.draw(canvas, inside, model.list().scroll_detail);
    }
}

fn table(canvas: &mut Canvas<'_>, area: Rect, model: &Model, rows: &[Row<'_>], at: usize) {
    let now = model.shown_at();
    let places = model.checklists.places();
    let (settled, all) = places
        .filter(|place| place.item.is_none())
        .map(|place| count(&place.page.list, place.phase, &place.page.marks, now))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let note = Line::faint(format!("{settled} of {all} settled, none proven"));
    let title = heading(model, rows, at);
    let inside = panel(canvas, area, title, &note, keys(model, Pane::List));
    if rows.is_empty() {
        canvas.line(
            inside,
            &Line::faint("no row matches the filter; Esc clears it"),
        );
        return;
    }
    let marks = &model.list().marks;
    let seen = Table {
        columns: &COLUMNS,
        len: rows.len(),
        cursor: Some(cursor_style(model, at)),
        wide: model.wide,
        cell: &|row, column, _| match &rows[row] {
            Row::Listed(place) => cell(*place, now, column),
            _ => Line::new(),
        },
        marked: &|row| !marks.is_empty() && marks.contains(&rows[row].key()),
    }
    .draw(canvas, inside);
    foot(canvas, area, &seen_note(seen, rows.len()));
}

/// The page under the cursor, and the filter: a plan stays in its author's order.
fn heading(model: &Model, rows: &[Row<'_>], at: usize) -> Line<'static> {
    let mut line = Line::of(Role::Title, "Checklist");
    if let Some(Row::Listed(place)) = rows.get(at) {
        let list = &place.page.list;
        let name = if list.title.is_empty() {
            &list.name
        } else {
            &list.title
        };
        line = line.dim(format!("  {name}"));
    }
    let filter = &model.list().filter;
    if !filter.is_empty() {
        line = line.add(Role::Accent, format!("  filter: {}", filter.text()));
    }
    line
}

fn cell(place: Place<'_>, now: Timestamp, column: usize) -> Line<'_> {
    let deep = place.page.list.path(place.phase).len() - 1;
    let Some(item) = place.item else {
        return match column {
            0 => Line::of(
                Role::Title,
                format!("{}{}", "  ".repeat(deep), place.title()),
            ),
            2 => phase_state(place, now),
            _ => Line::new(),
        };
    };
    match column {
        0 => Line::plain(format!("{}{}", "  ".repeat(deep + 1), item.title)),
        1 => Line::faint(item.kind.word()),
        _ => {
            let (sign, word) =
                standing(&place.page.list, place.phase, item, &place.page.marks, now);
            let role = match sign {
                "[x]" => Role::Good,
                "[!]" => Role::Bad,
                "[>]" => Role::Busy,
                "[?]" => Role::Unknown,
                _ => Role::Dim,
            };
            Line::of(role, format!("{sign} {word}"))
        }
    }
}

fn phase_state(place: Place<'_>, now: Timestamp) -> Line<'static> {
    let (settled, all) = count(&place.page.list, place.phase, &place.page.marks, now);
    let mut line = Line::new();
    if all > 0 {
        let role = if settled == all {
            Role::Good
        } else {
            Role::Text
        };
        line = line.add(role, format!("{settled} of {all}"));
    }
    match place.phase.mark {
        Mark::Open => line,
        mark => line.dim(format!("  {}", mark.word())),
    }
}

fn facts(place: Place<'_>, now: Timestamp, width: u16) -> Facts<'_> {
    let mut facts = Facts::new(width, NAMES);
    let list = &place.page.list;
    match place.item {
        Some(item) => {
            for line in item_lines(list, place.phase, item, &place.page.marks, now) {
                facts.free(Line::plain(line.to_string()));
            }
        }
        None => {
            let path: Vec<&str> = list
                .path(place.phase)
                .into_iter()
                .map(Clean::as_str)
                .collect();
            facts.line("phase", Line::plain(path.join(" > ")));
            facts.line(
                "place",
                Line::plain(format!("{}, line {}", list.name, place.phase.line)),
            );
            facts.line("settled", phase_state(place, now));
            for field in &place.phase.fields {
                facts.free(Line::faint(field.name.as_str()).text(format!("  {}", field.value)));
            }
        }
    }
    facts
}

/// No page to show, and why.
fn nothing(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let title = Line::of(Role::Title, "Checklist");
    let inside = panel(canvas, area, title, &Line::new(), keys(model, Pane::List));
    let files = &model.shown().stack.checklists;
    let mut lines = Vec::new();
    if files.is_empty() {
        lines.push(Line::plain("No checklist is configured."));
        lines.push(Line::new());
        lines.push(Line::faint(
            "A checklist is a Markdown file named under `checklists` in quarterdeck.toml.",
        ));
    } else if model.checklists.problems.is_empty() {
        lines.push(Line::plain(super::super::words::LOOKING));
    } else {
        let problems = &model.checklists.problems;
        lines.extend(problems.iter().map(|text| Line::plain(text.as_str())));
    }
    lines.push(Line::faint(
        "Here will stand its phases and items, each proven by a check or signed by a person, with evidence and age.",
    ));
    lines.push(Line::faint(
        "Nothing has been checked: an empty page is not a pass.",
    ));
    let lines: Vec<Line<'_>> = lines
        .into_iter()
        .flat_map(|line| line.wrap(usize::from(inside.width), 2))
        .collect();
    canvas.lines(inside, &lines);
}
