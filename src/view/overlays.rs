//! What lies over a screen: help, palette, the question whether to leave, copied text, the console's own log.

use ratatui::layout::{Position, Rect};
use ratatui::widgets::Widget;
use tui_logger::TuiLoggerWidget;

use super::canvas::Canvas;
use super::line::Line;
use super::theme::Role;
use super::widgets::facts::scrolled;
use super::widgets::panel::{Keys, panel};
use super::words::{self, columns};
use super::{asking, attest, frame, plan, training, widgets::table::first_seen};
use crate::app::{Command, FieldUse, Model, Overlay, matching, run_on};
use crate::domain::{Clean, Health};
use crate::keys::{self, Binding, Group, Place, TABLE};

/// Draws the overlay, if there is one; returns the cursor when its text field is open.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) -> Option<Position> {
    match model.overlay.as_ref()? {
        Overlay::Help { scroll, search } => {
            help(canvas, area, model, *scroll, search);
            None
        }
        Overlay::Palette { selected } => palette(canvas, area, model, *selected),
        Overlay::Leave => {
            leave(canvas, area, model);
            None
        }
        Overlay::Copied(text) => {
            copied(canvas, area, text);
            None
        }
        Overlay::OwnLog => {
            own_log(canvas, area);
            None
        }
        Overlay::Page { page, scroll } => {
            training::page(canvas, area, model, *page, *scroll);
            None
        }
        Overlay::Causes { selected } => {
            training::causes(canvas, area, model, *selected);
            None
        }
        Overlay::Ask(question) => {
            training::question(canvas, area, *question);
            None
        }
        Overlay::Menu { selected } => {
            asking::menu(canvas, area, model, *selected);
            None
        }
        Overlay::Form(form) => asking::form(canvas, area, model, form),
        Overlay::Pending(pending) => {
            asking::pending(canvas, area, pending);
            None
        }
        Overlay::Plan(sheet) => plan::draw(canvas, area, model, sheet),
        Overlay::Told { title, lines } => {
            asking::told(canvas, area, title, lines);
            None
        }
        Overlay::Answers { run, selected } => {
            asking::choices(canvas, area, model, run, *selected);
            None
        }
        Overlay::Attest(of) => attest::attest(canvas, area, model, of),
        Overlay::Present(of) => {
            attest::present(canvas, area, model, of);
            None
        }
        Overlay::Sure(sure) => {
            asking::sure(canvas, area, model, sure);
            None
        }
    }
}

pub(super) fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let width = width.min(area.width);
    let height = height.min(area.height);
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}

pub(super) fn over(canvas: &mut Canvas<'_>, area: Rect, title: Line<'_>, note: &Line<'_>) -> Rect {
    canvas.clear(area);
    panel(canvas, area, title, note, Keys::Here)
}

/// All keys there are, those that work on this screen first. Drawn from the table of keys and nothing else.
fn help(canvas: &mut Canvas<'_>, area: Rect, model: &Model, scroll: u16, search: &Clean) {
    let mut title =
        Line::of(Role::Title, "Help").text(format!("  {} first, then all", model.screen.word()));
    if !search.is_empty() {
        title = title.add(Role::Accent, format!("  search: {search}"));
    }
    let inside = over(canvas, area, title, &Line::faint("Esc closes  / searches"));
    let lines = help_lines(canvas, model, search, inside.width);
    scrolled(canvas, inside, &lines, scroll);
}

/// The keys of a place, by group; every binding of the table stands in it.
fn help_lines(canvas: &Canvas<'_>, model: &Model, search: &str, width: u16) -> Vec<Line<'static>> {
    let here = model.place();
    let wanted = |binding: &&Binding| {
        let words = format!("{} {}", binding.written(), binding.help).to_lowercase();
        search
            .to_lowercase()
            .split_whitespace()
            .all(|word| words.contains(word))
    };
    let mut lines = Vec::new();
    for (heading, group) in [
        ("MOVE", Group::Move),
        ("LOOK", Group::Look),
        ("ACT (a plan or a question comes first)", Group::Act),
        ("ANYWHERE", Group::Anywhere),
    ] {
        let bindings: Vec<&Binding> = keys::working(here)
            .filter(|binding| binding.group == group)
            .filter(wanted)
            .collect();
        section(&mut lines, heading, &bindings, width);
    }
    let elsewhere: Vec<&Binding> = TABLE
        .iter()
        .filter(|binding| !binding.works_in(here))
        .filter(|binding| model.training.is_some() || !binding.place.is_of_training())
        .filter(|binding| model.replay.is_some() || binding.place != Place::Replay)
        .filter(wanted)
        .collect();
    section(&mut lines, "ELSEWHERE", &elsewhere, width);
    if lines.is_empty() {
        lines.push(Line::faint("no key matches; Esc closes"));
    }
    if search.is_empty() {
        lines.extend(legend(canvas, model));
    }
    lines
}

fn section(lines: &mut Vec<Line<'static>>, heading: &str, bindings: &[&Binding], width: u16) {
    if bindings.is_empty() {
        return;
    }
    if !lines.is_empty() {
        lines.push(Line::new());
    }
    lines.push(Line::of(Role::Title, heading.to_owned()));
    let elsewhere = heading == "ELSEWHERE";
    // As many columns as there is room for, each as wide as what stands in it.
    let across = (2..=3)
        .rev()
        .find(|across| {
            let down = bindings.len().div_ceil(*across);
            let all: usize = bindings
                .chunks(down)
                .map(|chunk| column_width(chunk, elsewhere).1)
                .sum();
            all <= usize::from(width)
        })
        .unwrap_or(1);
    let down = bindings.len().div_ceil(across);
    let chunks: Vec<(&[&Binding], usize, usize)> = bindings
        .chunks(down)
        .map(|chunk| {
            let (keys, all) = column_width(chunk, elsewhere);
            (chunk, keys, all)
        })
        .collect();
    for row in 0..down {
        let mut line = Line::new();
        let mut start = 0;
        for (chunk, keys, all) in &chunks {
            if let Some(binding) = chunk.get(row) {
                if start > 0 {
                    line = line.to(start);
                }
                line = line
                    .text("  ")
                    .add(Role::Key, binding.written())
                    .to(start + keys)
                    .text(binding.help)
                    .dim(place(binding, elsewhere));
            }
            start += all;
        }
        lines.push(line);
    }
}

/// Columns for the keys, and for keys and words together.
fn column_width(bindings: &[&Binding], elsewhere: bool) -> (usize, usize) {
    let keys = bindings.iter().map(|b| b.written().len()).max();
    let keys = keys.unwrap_or(0) + 4;
    let words = bindings
        .iter()
        .map(|binding| binding.help.len() + place(binding, elsewhere).len())
        .max();
    (keys, keys + words.unwrap_or(0) + 2)
}

/// Where a key works that does not work on this screen.
fn place(binding: &Binding, elsewhere: bool) -> &'static str {
    match binding.place {
        _ if !elsewhere => "",
        keys::Place::Field => " (in a field)",
        keys::Place::Palette => " (in the palette)",
        keys::Place::Help => " (in the help)",
        keys::Place::Leave => " (leave?)",
        keys::Place::Overlays => " (over a screen)",
        keys::Place::Logs => " (logs)",
        keys::Place::Traffic => " (traffic)",
        keys::Place::Rows => " (containers, traffic)",
        keys::Place::Lists | Place::Marks => " (lists)",
        keys::Place::Replay => " (a recording)",
        keys::Place::Training => " (in a training)",
        keys::Place::Page => " (a page)",
        keys::Place::Choice => " (a choice)",
        keys::Place::Runs => " (runs)",
        keys::Place::Checklist => " (checklist)",
        keys::Place::Present => " (a presentation)",
        keys::Place::Form => " (questions of a runbook)",
        keys::Place::Plan | keys::Place::PlanPage | keys::Place::PlanYes => " (a plan)",
        keys::Place::Question => " (a question)",
        keys::Place::Everywhere | keys::Place::Screens => "",
    }
}

fn legend(canvas: &Canvas<'_>, model: &Model) -> Vec<Line<'static>> {
    let session = &model.session;
    let mut signs = Line::plain("  ");
    for (health, word) in [
        (Health::Good, "ok"),
        (Health::Poor, "poor"),
        (Health::Bad, "bad"),
        (Health::Unknown, "unknown or stale"),
        (Health::Busy, "under way"),
        (Health::None, "nothing to judge"),
    ] {
        signs = signs.join(canvas.verdict(health, word)).text("   ");
    }
    vec![
        Line::new(),
        Line::of(Role::Title, "SIGNS"),
        signs,
        Line::faint(
            "  Colour only repeats the sign. <5s: not older than that; old: looks were missed; [?]: no longer counts.",
        ),
        Line::faint(
            "  ^[ and <U+202E> in a line: the sender wrote control characters; they are shown, not obeyed.",
        ),
        Line::faint(
            "  No key changes production. Delete, Backspace, C-k, D and X do nothing, on purpose.",
        ),
        Line::new(),
        Line::of(Role::Title, "CONSOLE"),
        Line::faint(format!(
            "  version {}   pid {}   theme {}   started {}",
            session.version,
            session.pid,
            model.theme,
            session.started.date_minute()
        )),
        Line::faint(format!("  config {}", session.config)),
    ]
}

fn palette(
    canvas: &mut Canvas<'_>,
    area: Rect,
    model: &Model,
    selected: usize,
) -> Option<Position> {
    let typed = model
        .field
        .as_ref()
        .filter(|field| field.purpose == FieldUse::Palette);
    let found = matching(typed.map_or("", |field| field.text()), &model.offers);
    let height = columns(found.len()).saturating_add(3).min(area.height);
    let box_area = Rect {
        height: height.max(4).min(area.height),
        ..middle(area, 76, area.height)
    };
    let title = Line::of(Role::Title, "Command");
    let note = Line::faint(words::plural(found.len(), "match").replace("matchs", "matches"));
    let inside = over(canvas, box_area, title, &note);
    let field_row = Rect {
        height: 1.min(inside.height),
        ..inside
    };
    let cursor = typed.map(|field| frame::field_line(canvas, field_row, field));
    let list = Rect {
        y: inside.y + 1,
        height: inside.height.saturating_sub(1),
        ..inside
    };
    if found.is_empty() {
        canvas.line(list, &Line::faint("no command matches"));
    }
    let at = selected.min(found.len().saturating_sub(1));
    let first = first_seen(found.len(), at, usize::from(list.height));
    let rows = super::canvas::rows_of(list);
    for (row, (n, command)) in rows.zip(found.iter().enumerate().skip(first)) {
        canvas.line(row, &command_line(command, n == at));
        canvas.line_right(row, &Line::of(Role::Key, key_of(command, model)));
        if n == at {
            canvas.tint(row, Role::Selected);
        }
    }
    cursor
}

fn command_line(command: &Command, chosen: bool) -> Line<'static> {
    Line::of(Role::Accent, if chosen { "▸ " } else { "  " })
        .text(command.name.to_string())
        .to(16)
        .dim(command.help.to_string())
}

/// The key that does the same, so that the palette teaches it: one of this screen before one of another.
fn key_of(command: &Command, model: &Model) -> String {
    let here = model.place();
    let same = |binding: &&Binding| binding.intent == command.intent;
    keys::working(here)
        .find(same)
        .or_else(|| TABLE.iter().find(same))
        .map(|binding| binding.keys[0].to_owned())
        .unwrap_or_default()
}

fn leave(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let goes_on = match run_on(model) {
        Some(run) => format!("Run {} goes on: its driver owns it.", run.id.0),
        None => "Leaving changes nothing on the stack.".to_owned(),
    };
    let box_area = middle(area, 60, 6);
    let inside = over(
        canvas,
        box_area,
        Line::of(Role::Title, "Leave the console?"),
        &Line::new(),
    );
    canvas.lines(
        inside,
        &[
            Line::plain(goes_on),
            Line::new(),
            Line::of(Role::Key, "y")
                .dim(" leave    ")
                .add(Role::Key, "n")
                .dim(" stay    ")
                .add(Role::Key, "Esc")
                .dim(" stay"),
        ],
    );
}

fn copied(canvas: &mut Canvas<'_>, area: Rect, text: &Clean) {
    let box_area = middle(area, area.width.saturating_sub(8).max(20), 9);
    let inside = over(
        canvas,
        box_area,
        Line::of(Role::Title, "Copied"),
        &Line::faint("Esc closes"),
    );
    let mut lines = vec![
        Line::faint("Sent to the terminal's clipboard. Where it took nothing, select it here:"),
        Line::new(),
    ];
    lines.extend(Line::plain(text.as_str()).wrap(usize::from(inside.width), 0));
    canvas.lines(inside, &lines);
}

fn own_log(canvas: &mut Canvas<'_>, area: Rect) {
    let inside = over(
        canvas,
        area,
        Line::of(Role::Title, "The console's own log"),
        &Line::faint("Esc closes"),
    );
    if inside.width < 20 || inside.height < 3 {
        return;
    }
    let style = |role| canvas.look.theme.style(role);
    TuiLoggerWidget::default()
        .style(style(Role::Text))
        .style_error(style(Role::Bad))
        .style_warn(style(Role::Poor))
        .style_debug(style(Role::Dim))
        .style_trace(style(Role::Dim))
        .output_file(false)
        .output_line(false)
        .render(inside, canvas.buffer);
    scrub(canvas, inside);
}

/// The logger's widget lets direction controls through: its cells are cleaned after it.
fn scrub(canvas: &mut Canvas<'_>, area: Rect) {
    let area = area.intersection(canvas.buffer.area);
    for y in area.y..area.bottom() {
        for x in area.x..area.right() {
            let cell = &mut canvas.buffer[(x, y)];
            if !cell.symbol().is_ascii() && *Clean::line(cell.symbol()) != *cell.symbol() {
                cell.set_symbol("?");
            }
        }
    }
}
