//! What lies over a screen before and after a plan: runbooks to choose, their questions, answers to a run.

use ratatui::layout::{Position, Rect};

use super::canvas::{Canvas, rows_of};
use super::frame;
use super::line::Line;
use super::overlays::{middle, over};
use super::theme::Role;
use super::words::columns;
use crate::app::story::Standing;
use crate::app::{Form, Model, Offer, Pending, Selection, Sure, answers, risk_word, suiting};
use crate::domain::{Age, Clean, Health};
use crate::engine::{RunId, Verdict};

/// The last runs of a runbook that are named beside it.
const LAST_RUNS: usize = 3;
const WIDTH: u16 = 92;

fn choice(chosen: bool) -> Line<'static> {
    Line::of(Role::Accent, if chosen { "▸ " } else { "  " })
}

pub(super) fn menu(canvas: &mut Canvas<'_>, area: Rect, model: &Model, selected: usize) {
    let subject = Selection::of(model);
    let offers = suiting(model, &subject);
    let about = match subject.name() {
        Some(name) => format!("  for {name}"),
        None => String::new(),
    };
    let height = columns(offers.len() * 2).saturating_add(2);
    let inside = over(
        canvas,
        middle(area, WIDTH, height),
        Line::of(Role::Title, "Runbooks").text(about),
        &Line::faint("Enter opens the plan  Esc closes"),
    );
    let at = selected.min(offers.len().saturating_sub(1));
    let first = super::widgets::table::first_seen(offers.len(), at, usize::from(inside.height / 2));
    let pairs = rows_of(inside).collect::<Vec<_>>();
    for (rows, (n, offer)) in pairs.chunks(2).zip(offers.iter().enumerate().skip(first)) {
        offer_lines(canvas, rows, model, offer, n == at);
    }
}

fn offer_lines(canvas: &mut Canvas<'_>, rows: &[Rect], model: &Model, offer: &Offer, chosen: bool) {
    let key = offer.key.map_or(String::new(), |key| key.to_string());
    let (health, risk) = risk_word(offer.risk);
    let line = choice(chosen)
        .add(Role::Key, format!("{key:<2}"))
        .add(Role::Title, offer.id.to_string());
    let risk = match health {
        Health::None => Line::faint(format!("risk {risk}")),
        health => Line::faint("risk ").join(canvas.verdict(health, risk)),
    };
    let Some(first) = rows.first() else { return };
    canvas.line(*first, &line);
    canvas.line_right(*first, &risk);
    if chosen {
        canvas.tint(*first, Role::Selected);
    }
    if let Some(second) = rows.get(1) {
        let line = Line::plain("    ")
            .dim(offer.title.to_string())
            .dim(lasted(model, &offer.id));
        canvas.line(*second, &line);
    }
}

/// `  last: 4m50s, 5m02s`
fn lasted(model: &Model, runbook: &Clean) -> String {
    let took: Vec<String> = model
        .story
        .newest()
        .filter(|run| run.plan.runbook == *runbook)
        .filter(|run| model.story.standing(run, model.now) == Standing::Ended(Verdict::Completed))
        .take(LAST_RUNS)
        .map(|run| Age(run.took(model.now)).to_string())
        .collect();
    if took.is_empty() {
        return String::new();
    }
    format!("   last: {}", took.join(", "))
}

pub(super) fn form(
    canvas: &mut Canvas<'_>,
    area: Rect,
    model: &Model,
    form: &Form,
) -> Option<Position> {
    let here = &form.parameters[form.at];
    let choices = here.choices(model);
    let height = columns(form.parameters.len()).saturating_add(7);
    let inside = over(
        canvas,
        middle(area, WIDTH, height),
        Line::of(Role::Title, form.runbook.to_string()).text(format!("  {}", form.title)),
        &Line::faint("changes nothing: a plan follows"),
    );
    let width = form
        .parameters
        .iter()
        .map(|parameter| parameter.name.width())
        .max()
        .unwrap_or(0);
    let mut cursor = None;
    let mut rows = rows_of(inside);
    for (n, parameter) in form.parameters.iter().enumerate() {
        let row = rows.next()?;
        let name = choice(n == form.at).text(format!("{:<width$}  ", parameter.name));
        let used = canvas.line(row, &name);
        let rest = Rect {
            x: row.x + used,
            width: row.width.saturating_sub(used),
            ..row
        };
        if n == form.at {
            cursor = model
                .field
                .as_ref()
                .map(|field| frame::field_line(canvas, rest, field));
            continue;
        }
        let line = match (form.answers.get(&parameter.name), &parameter.default) {
            (Some(answer), _) => Line::plain(answer.to_string()),
            (None, Some(default)) => Line::faint(format!("{default} (as the runbook says)")),
            (None, None) if parameter.is_needed => {
                canvas.verdict(Health::Poor, "has to be answered")
            }
            (None, None) => Line::faint("found while planning"),
        };
        canvas.line(rest, &line);
    }
    let mut below = vec![Line::new()];
    let wide = usize::from(inside.width);
    below.extend(Line::faint(here.help.to_string()).wrap(wide, 0));
    if !choices.is_empty() {
        let names: Vec<&str> = choices.iter().map(Clean::as_str).collect();
        let line = Line::faint("one of: ").text(names.join("  "));
        below.extend(line.wrap(wide, 8).into_iter().take(2));
    }
    for (row, line) in rows.zip(&below) {
        canvas.line(row, line);
    }
    cursor
}

pub(super) fn pending(canvas: &mut Canvas<'_>, area: Rect, pending: &Pending) {
    let (title, text) = match pending {
        Pending::Plan { runbook } => (
            format!("Planning {runbook}"),
            "Looking at the stack and making the checks. Nothing is changed.",
        ),
        Pending::Start { runbook } => (
            format!("Starting {runbook}"),
            "Recording the request and your confirmation; then its driver starts.",
        ),
    };
    let inside = over(
        canvas,
        middle(area, 76, 4),
        Line::of(Role::Title, title),
        &Line::faint("Esc leaves it"),
    );
    canvas.lines(inside, &[Line::of(Role::Busy, text)]);
}

pub(super) fn told(canvas: &mut Canvas<'_>, area: Rect, title: &Clean, lines: &[Clean]) {
    let width = WIDTH.min(area.width);
    let inner = usize::from(width.saturating_sub(4));
    let lines: Vec<Line<'_>> = lines
        .iter()
        .flat_map(|line| Line::plain(line.as_str()).wrap(inner, 2))
        .collect();
    let height = columns(lines.len()).saturating_add(2).max(4);
    let title = Line::new().join(canvas.verdict(Health::Poor, title));
    let inside = over(
        canvas,
        middle(area, width, height),
        title,
        &Line::faint("Esc closes"),
    );
    canvas.lines(inside, &lines);
}

pub(super) fn choices(
    canvas: &mut Canvas<'_>,
    area: Rect,
    model: &Model,
    id: &RunId,
    selected: usize,
) {
    let Some(run) = model.story.get(id) else {
        return;
    };
    let answers = answers(model, run);
    let height = columns(answers.len()).saturating_add(3);
    let inside = over(
        canvas,
        middle(area, WIDTH, height),
        Line::of(Role::Title, format!("Run {}", id.0)).text("  what now?"),
        &Line::faint("Enter takes it  Esc closes"),
    );
    let nothing = ("leave it", "decide nothing now; the question stays open");
    let all = std::iter::once(nothing).chain(answers.iter().map(|a| (a.word, a.follows)));
    for (row, (n, (word, follows))) in rows_of(inside).zip(all.enumerate()) {
        let line = choice(n == selected)
            .add(Role::Title, word)
            .to(13)
            .dim(follows);
        canvas.line(row, &line);
        if n == selected {
            canvas.tint(row, Role::Selected);
        }
    }
}

pub(super) fn sure(canvas: &mut Canvas<'_>, area: Rect, model: &Model, sure: &Sure) {
    let inside = over(
        canvas,
        middle(area, 76, 6),
        Line::of(Role::Title, sure.question.to_string()),
        &Line::new(),
    );
    let (loud, word) = frame::environment(model);
    let keys = Line::of(Role::Key, "y")
        .dim(" yes    ")
        .add(Role::Key, "n")
        .dim(" no    ")
        .add(Role::Key, "Esc")
        .dim(" no");
    let mut lines = Line::of(loud, format!(" {word} "))
        .text(" ")
        .text(sure.follows.to_string())
        .wrap(usize::from(inside.width), 2);
    lines.push(Line::new());
    lines.push(keys);
    canvas.lines(inside, &lines);
}
