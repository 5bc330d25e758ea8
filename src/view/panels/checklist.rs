//! Checklists: phases with their gates, items with how they stand, the evidence beside the item.
//!
//! An item is proven, signed, waived, or it is open; how old a proof is, is said, and one that is too old is none. What
//! its author ticked is told as that.

use ratatui::layout::Rect;

use super::{cursor, cursor_style, keys, seen_note, split};
use crate::app::{Model, Pane, Place, Row, last_good, rows};
use crate::checklist::{Call, Known, Mark, State, item_lines, standing};
use crate::domain::{Age, Clean, Environment};
use crate::journal::Mode;
use crate::view::attest::{call_health, owner};
use crate::view::canvas::Canvas;
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::widgets::facts::Facts;
use crate::view::widgets::panel::{foot, panel};
use crate::view::widgets::table::{Column, Table, column};

const COLUMNS: [Column; 4] = [
    column("item", 34).keep().grow(30),
    column("kind", 11),
    column("owner", 10),
    column("state", 26).keep().grow(24),
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
        let facts = facts(canvas, place, model, inside.width);
        facts.draw(canvas, inside, model.list().scroll_detail);
    }
}

fn table(canvas: &mut Canvas<'_>, area: Rect, model: &Model, rows: &[Row<'_>], at: usize) {
    let title = heading(model, rows, at);
    let note = gate(canvas, model, rows, at);
    let inside = panel(canvas, area, title, &note, keys(model, Pane::List));
    if rows.is_empty() {
        let text = if model.checklists.only_open {
            "every item holds; o shows all"
        } else {
            "no row matches the filter; Esc clears it"
        };
        canvas.line(inside, &Line::faint(text));
        return;
    }
    let marks = &model.list().marks;
    let cells = |row: usize, column: usize| match &rows[row] {
        Row::Listed(place) => cell(*place, model, column),
        _ => Line::new(),
    };
    let seen = Table {
        columns: &COLUMNS,
        len: rows.len(),
        cursor: Some(cursor_style(model, at)),
        wide: model.wide,
        cell: &|row, column, _| cells(row, column),
        marked: &|row| !marks.is_empty() && marks.contains(&rows[row].key()),
    }
    .draw(canvas, inside);
    foot(canvas, area, &seen_note(seen, rows.len()));
}

/// The page under the cursor, and what is left out: a plan stays in its author's order.
fn heading(model: &Model, rows: &[Row<'_>], at: usize) -> Line<'static> {
    let mut line = Line::of(Role::Title, "Checklist");
    if let Some(Row::Listed(place)) = rows.get(at) {
        line = line.dim(format!("  {}", place.page.title()));
    }
    if model.checklists.only_open {
        line = line.add(Role::Accent, "  open only");
    }
    let filter = &model.list().filter;
    if !filter.is_empty() {
        line = line.add(Role::Accent, format!("  filter: {}", filter.text()));
    }
    line
}

/// The decision of the page under the cursor, or how far the verification is.
fn gate(canvas: &Canvas<'_>, model: &Model, rows: &[Row<'_>], at: usize) -> Line<'static> {
    if let Some(proving) = &model.checklists.proving {
        let text = format!("verifying {} of {}", proving.done, proving.of);
        return Line::of(Role::Busy, text);
    }
    let Some(Row::Listed(place)) = rows.get(at).or(rows.first()) else {
        return Line::new();
    };
    let decision = place.page.decide(model.shown_at());
    canvas.verdict(call_health(decision.call), &decision.line())
}

fn cell<'a>(place: Place<'a>, model: &Model, column: usize) -> Line<'a> {
    let deep = place.page.list.path(place.phase).len() - 1;
    let Some(item) = place.item else {
        return match column {
            0 => Line::of(
                Role::Title,
                format!("{}{}", "  ".repeat(deep), place.title()),
            ),
            3 => phase_state(place, model),
            _ => Line::new(),
        };
    };
    match column {
        0 => Line::plain(format!("{}{}", "  ".repeat(deep + 1), item.title)),
        1 => Line::faint(item.kind.word()),
        2 => owner(place.page, place.phase, item)
            .map_or_else(Line::new, |owner| Line::faint(owner.as_str())),
        _ => item_state(place, model),
    }
}

fn item_state<'a>(place: Place<'a>, model: &Model) -> Line<'a> {
    let (Some(item), now) = (place.item, model.shown_at()) else {
        return Line::new();
    };
    let page = place.page;
    let verifies =
        model.checklists.proving.as_ref().is_some_and(|proving| {
            proving.list == page.list.name && proving.items.contains(&item.id)
        });
    if verifies {
        return Line::of(Role::Busy, "[>] verifying");
    }
    let (sign, word) = standing(&page.list, place.phase, item, &page.marks, now);
    let judged = page.judge(place.phase, item, now);
    let role = match (sign, judged.is_old()) {
        (_, true) => Role::Poor,
        ("[x]", _) => Role::Good,
        ("[!]" | "[X]", _) => Role::Bad,
        ("[>]", _) => Role::Busy,
        ("[?]", _) => Role::Unknown,
        _ => Role::Dim,
    };
    let line = Line::of(role, format!("{sign} {word}"));
    let seen = judged
        .parts
        .iter()
        .filter_map(|part| part.known)
        .map(Known::at)
        .min();
    match seen {
        Some(at) if judged.state == State::Proven => line.dim(format!("  {}", Age(now.since(at)))),
        _ => line,
    }
}

fn phase_state(place: Place<'_>, model: &Model) -> Line<'static> {
    let decision = place.page.decide_phase(place.phase, model.shown_at());
    let mut line = Line::new();
    if decision.of > 0 {
        let held = decision.proven + decision.signed + decision.waived;
        let role = match decision.call {
            Call::Go => Role::Good,
            Call::NoGo => Role::Text,
            Call::CouldNotTell => Role::Unknown,
        };
        let word = decision.call.word();
        line = line.add(role, format!("{word}  {held} of {}", decision.of));
    }
    match place.phase.mark {
        Mark::Open => line,
        mark => line.dim(format!("  {}", mark.word())),
    }
}

fn facts<'a>(canvas: &Canvas<'_>, place: Place<'a>, model: &Model, width: u16) -> Facts<'a> {
    let mut facts = Facts::new(width, NAMES);
    let (list, now) = (&place.page.list, model.shown_at());
    if let Some(item) = place.item {
        let judged = place.page.judge(place.phase, item, now);
        if judged.state == State::Failed {
            facts.line("fails", Line::of(Role::Bad, judged.why.to_string()));
        }
        if let (State::Failed, Some(helps)) = (judged.state, &item.demand.helps) {
            facts.line("helps", Line::of(Role::Key, "a ").text(helps.to_string()));
        }
        drill(&mut facts, place, model);
        for line in item_lines(list, place.phase, item, &place.page.marks, now) {
            facts.free(Line::plain(line.to_string()));
        }
        return facts;
    }
    let decision = place.page.decide_phase(place.phase, now);
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
    facts.line(
        "gate",
        canvas.verdict(call_health(decision.call), &decision.line()),
    );
    for field in &place.phase.fields {
        facts.free(Line::faint(field.name.as_str()).text(format!("  {}", field.value)));
    }
    for reason in &decision.reasons {
        facts.free(
            Line::faint(reason.item.0.clone())
                .text(format!("  {}", reason.title))
                .dim(format!("  {}", reason.why)),
        );
    }
    for problem in &list.problems {
        facts.free(Line::of(Role::Bad, format!("{}:{problem}", list.name)));
    }
    facts
}

/// The last good run of the runbook that an item wants, and how to plan the next.
fn drill(facts: &mut Facts<'_>, place: Place<'_>, model: &Model) {
    let Some(drill) = place.drill() else { return };
    let mode = match model.shown().stack.environment {
        Environment::Training => Mode::Training,
        Environment::Production
        | Environment::Staging
        | Environment::Development
        | Environment::Other(_) => Mode::Live,
    };
    let told = match last_good(&model.story, &drill, mode) {
        Some(run) => format!(
            "{} ended well {} ago, took {}",
            run.id.0,
            Age(model.shown_at().since(run.last_at)),
            Age(run.took(run.last_at)),
        ),
        None => "no good run yet".to_owned(),
    };
    let line = Line::of(Role::Key, "a ").text(format!("{}  ", drill.runbook));
    facts.line("drill", line.dim(told));
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
            "A checklist is a Markdown file named under [[checklist]] in quarterdeck.toml.",
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
