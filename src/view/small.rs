//! When there is no room for boxes: environment, counts, the worst items, the keys. Down to one cell.

use ratatui::layout::{Position, Rect};

use super::canvas::{Canvas, role, rows_of};
use super::line::Line;
use super::theme::Role;
use super::{Glance, frame, panels, words};
use crate::app::story::RunStory;
use crate::app::{Model, Overlay, run_health, run_on};
use crate::domain::Health;

pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    area: Rect,
    model: &Model,
    glance: &Glance,
) -> Option<Position> {
    let mut lines = Vec::new();
    let (loud, word) = frame::environment(model);
    let training = match (&model.replay, frame::is_training(model)) {
        (Some(_), _) => "<<<< ",
        (None, true) => "//// ",
        (None, false) => "",
    };
    lines.push(
        Line::of(Role::Training, training)
            .add(loud, word)
            .text(" ")
            .add(Role::Title, frame::stack_name(model)),
    );
    lines.push(short_counts(canvas, glance));
    if matches!(model.overlay, Some(Overlay::Leave)) {
        lines.push(Line::of(Role::Poor, "leave? y yes  n no"));
    }
    if let Some(Overlay::Sure(sure)) = &model.overlay {
        lines.push(Line::of(Role::Poor, "y yes n no: ").text(sure.question.as_str()));
    }
    if matches!(model.overlay, Some(Overlay::Plan(_))) {
        lines.push(Line::of(Role::Poor, "no room for a plan"));
    }
    if let Some(run) = run_on(model) {
        lines.push(run_line(canvas, model, run));
    }
    for (role, mode) in frame::modes(model)
        .into_iter()
        .filter(|(role, _)| *role != Role::Dim)
    {
        lines.push(Line::of(role, mode));
    }
    let worst_at = lines.len();
    for finding in glance.findings.iter().take(usize::from(area.height)) {
        lines.push(
            Line::of(
                role(finding.health),
                format!("{} {} ", canvas.sign(finding.health), finding.about),
            )
            .text(finding.text.as_str())
            .dim(format!(
                " {}",
                words::since(model.shown_at(), finding.since)
            )),
        );
    }
    // The last line belongs to the keys once the worst item has its own.
    let height = usize::from(area.height);
    let with_keys = height > worst_at + 1;
    if with_keys {
        lines.truncate(height - 1);
    }
    canvas.lines(area, &lines);
    let bottom = rows_of(area).last()?;
    if let Some(field) = &model.field {
        canvas.clear(bottom);
        return Some(frame::field_line(canvas, bottom, field));
    }
    if with_keys {
        let room = format!("min {}x{}", super::COLUMNS_MIN, super::LINES_MIN);
        let line = match run_on(model) {
            Some(_) => Line::of(Role::Key, "A").text(" abort  ").dim(room),
            None => Line::faint(room).add(Role::Key, "  ? : q"),
        };
        canvas.line(bottom, &line);
    }
    None
}

/// `~ run 14/26 0 fail`
fn run_line(canvas: &Canvas<'_>, model: &Model, run: &RunStory) -> Line<'static> {
    let standing = model.story.standing(run, model.now);
    let health = run_health(standing);
    let failed = panels::run::tap(run).map(|tap| format!(" {} fail", tap.failed));
    let line = Line::of(role(health), canvas.sign(health)).text(format!(
        " run {}{}",
        panels::run::progress(run),
        failed.unwrap_or_default()
    ));
    match health {
        Health::Busy => line,
        _ => line.add(role(health), format!(" {}", standing.word())),
    }
}

fn short_counts(canvas: &Canvas<'_>, glance: &Glance) -> Line<'static> {
    if glance.findings.is_empty() {
        return frame::counts(canvas, glance);
    }
    let mut line = Line::new();
    for health in [Health::Bad, Health::Poor, Health::Unknown] {
        let n = glance.count(health);
        if n > 0 {
            line = line.add(role(health), format!("{}{n} ", canvas.sign(health)));
        }
    }
    line
}
