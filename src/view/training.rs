//! A training: its bar in the frame, its pages, the list of causes, and the menu of scenarios.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::canvas::{Canvas, rows_of};
use super::line::Line;
use super::overlays::{middle, over};
use super::theme::Role;
use super::widgets::facts::scrolled;
use super::widgets::panel::{Keys, panel};
use super::widgets::table::first_seen;
use super::words::columns;
use super::{Charset, Look, canvas};
use crate::app::{Menu, Model, Page, Question, Training};
use crate::domain::{Clean, Health};

/// The longest form of the training bar that fits.
pub(super) fn bar(model: &Model, width: u16) -> Option<String> {
    let training = model.training.as_ref()?;
    let since = since(training);
    let points = format!("{} points", training.progress.points);
    let keys = format!(
        "F2 hint ({} left)  F3 cause  F5 restart  F10 give up",
        training.hints_left
    );
    let forms = [
        format!(" {} │ {since} │ {points} │ {keys} ", training.title),
        format!(" {since} │ {points} │ {keys} "),
        format!(" {since} │ {points} │ F2 hint F3 cause F10 give up "),
        format!(" {since} │ {points} "),
    ];
    forms
        .into_iter()
        .find(|form| form.width() < usize::from(width))
}

fn since(training: &Training) -> String {
    if training.debrief.is_some() {
        return "ended".to_owned();
    }
    match training.progress.since_fault {
        None => "nothing has happened yet".to_owned(),
        Some(_) if training.progress.is_over => "the trouble is over".to_owned(),
        Some(span) => {
            let seconds = span.as_secs();
            format!("fault {:02}:{:02} ago", seconds / 60, seconds % 60)
        }
    }
}

pub(super) fn page(canvas: &mut Canvas<'_>, area: Rect, model: &Model, page: Page, scroll: u16) {
    let Some(training) = &model.training else {
        return;
    };
    let (title, note) = match page {
        Page::Briefing => ("Training", "Enter begins"),
        Page::Hints => ("Hints", "Enter closes"),
        Page::Debrief => ("Debrief", "j/k scroll  F5 again  Esc closes"),
    };
    let wide = if page == Page::Debrief { 110 } else { 76 };
    let width = wide.min(area.width);
    let text = usize::from(width.saturating_sub(4));
    let lines = match page {
        Page::Briefing => briefing(training, text),
        Page::Hints => hints(training, text),
        Page::Debrief => debrief(training, text),
    };
    let height = columns(lines.len()).saturating_add(2).min(area.height);
    let title = Line::of(Role::Title, title)
        .dim("  ")
        .text(training.title.as_str());
    let inside = over(
        canvas,
        middle(area, width, height),
        title,
        &Line::faint(note),
    );
    scrolled(canvas, inside, &lines, scroll);
}

fn briefing(training: &Training, width: usize) -> Vec<Line<'_>> {
    let mut lines = Line::plain(training.brief.as_str()).wrap(width, 0);
    lines.push(Line::new());
    for text in [
        "Sooner or later something goes wrong. Notice it, name its cause, bring the stack back.",
        "Act as you would in the night: `:arm REASON`, then `a` on a row for its runbooks; or docker's own commands in a second terminal, after",
    ] {
        lines.extend(Line::plain(text).wrap(width, 0));
    }
    lines.extend(Line::of(Role::Accent, format!("  export {}", training.act_with)).wrap(width, 4));
    lines.push(Line::new());
    for (key, text) in [
        ("F2 ", "a hint; each costs points"),
        (
            "F3 ",
            "name the cause, from a list; a wrong one costs points",
        ),
        ("F5 ", "the same scenario from its start"),
        ("F10", "give up and see what happened"),
    ] {
        lines.push(Line::of(Role::Key, format!("  {key}")).text("  ").dim(text));
    }
    let rule = "It counts as noticed when you go to the worst item (!), open an item that is not well, or ask for the causes (F3).";
    lines.push(Line::new());
    lines.extend(Line::faint(rule).wrap(width, 0));
    lines
}

fn hints(training: &Training, width: usize) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for (n, hint) in training.hints.iter().enumerate() {
        lines.extend(Line::plain(format!("{}. {hint}", n + 1)).wrap(width, 3));
    }
    if training.hints.is_empty() {
        lines.push(Line::faint("This scenario has no hints."));
    } else if training.hints_left == 0 {
        lines.push(Line::faint("There are no more hints."));
    }
    lines.push(Line::new());
    let how = format!("To act, in a second terminal: export {}", training.act_with);
    lines.extend(Line::faint(how).wrap(width, 4));
    lines
}

fn debrief(training: &Training, width: usize) -> Vec<Line<'_>> {
    let text = training.debrief.iter().flatten();
    text.flat_map(|line| Line::plain(line.as_str()).wrap(width, 9))
        .collect()
}

pub(super) fn causes(canvas: &mut Canvas<'_>, area: Rect, model: &Model, selected: usize) {
    let Some(training) = &model.training else {
        return;
    };
    let height = columns(training.causes.len()).saturating_add(2);
    let inside = over(
        canvas,
        middle(area, 76, height),
        Line::of(Role::Title, "What is the cause?"),
        &Line::faint("Enter names it  Esc closes"),
    );
    let first = first_seen(training.causes.len(), selected, usize::from(inside.height));
    let rows = rows_of(inside).zip(training.causes.iter().enumerate().skip(first));
    for (row, (n, cause)) in rows {
        let mut line = choice(n == selected).text(cause.as_str());
        if training.wrong.contains(&n) {
            line = line.text("  ").join(canvas.verdict(Health::Poor, "not it"));
        }
        if training.right == Some(n) {
            line = line
                .text("  ")
                .join(canvas.verdict(Health::Good, "that is it"));
        }
        canvas.line(row, &line);
        if n == selected {
            canvas.tint(row, Role::Selected);
        }
    }
}

fn choice(chosen: bool) -> Line<'static> {
    Line::of(Role::Accent, if chosen { "▸ " } else { "  " })
}

pub(super) fn question(canvas: &mut Canvas<'_>, area: Rect, question: Question) {
    let (title, text) = match question {
        Question::GiveUp => (
            "Give up?",
            "What you have earned so far stays; the debrief follows.",
        ),
        Question::Restart => (
            "Start again?",
            "This attempt is thrown away and not recorded.",
        ),
    };
    let inside = over(
        canvas,
        middle(area, 62, 5),
        Line::of(Role::Title, title),
        &Line::new(),
    );
    let keys = Line::of(Role::Key, "y")
        .dim(" yes    ")
        .add(Role::Key, "n")
        .dim(" no");
    canvas.lines(inside, &[Line::plain(text), Line::new(), keys]);
}

/// Draws the list of scenarios into the whole screen.
pub fn menu(buffer: &mut Buffer, menu: &Menu, look: &Look) {
    let area = buffer.area;
    let mut canvas = Canvas { buffer, look };
    canvas.clear(area);
    let inside = panel(
        &mut canvas,
        area,
        Line::of(Role::Training, " TRAINING ").add(Role::Title, " Which scenario?"),
        &Line::faint("j/k move  Enter starts  Esc leaves"),
        Keys::Here,
    );
    let foot = inside.height.min(4);
    let list = Rect {
        height: inside.height - foot,
        ..inside
    };
    let first = first_seen(menu.entries.len(), menu.selected, usize::from(list.height));
    let entries = menu.entries.iter().enumerate().skip(first);
    for (row, (n, entry)) in rows_of(list).zip(entries) {
        let line = choice(n == menu.selected).text(entry.title.as_str());
        canvas.line(row, &line);
        canvas.line_right(row, &Line::faint(entry.difficulty));
        if n == menu.selected {
            canvas.tint(row, Role::Selected);
        }
    }
    let below = Rect {
        y: list.bottom(),
        height: foot,
        ..inside
    };
    let lines = lesson(menu, usize::from(inside.width));
    canvas.lines(below, &lines);
    if look.charset == Charset::Ascii {
        canvas::to_ascii(canvas.buffer);
    }
}

fn lesson(menu: &Menu, width: usize) -> Vec<Line<'_>> {
    let mut lines = vec![Line::new()];
    if let Some(entry) = menu.entries.get(menu.selected) {
        let teaches: &Clean = &entry.teaches;
        lines.extend(
            Line::faint("teaches: ")
                .text(teaches.as_str())
                .wrap(width, 9),
        );
    }
    lines.push(Line::faint(
        "The console looks; to act you use docker in a second terminal, on a pretend engine.",
    ));
    lines
}
