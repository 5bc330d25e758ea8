//! Logs: the merged lines of what is followed, each with time, source and level in a gutter of our own.

use ratatui::layout::Rect;

use super::keys;
use crate::app::{LogSource, Model, Pane};
use crate::domain::{ContainerId, Level, LogLine, Stream};
use crate::view::canvas::Canvas;
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::widgets::panel::{foot, panel};
use crate::view::words;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let view = &model.log_view;
    let source = match &view.source {
        LogSource::All => "all services".to_owned(),
        LogSource::Service(name) | LogSource::Container(_, name) => name.to_string(),
    };
    let mut title = Line::of(Role::Title, "Logs")
        .text(format!("  {source}"))
        .dim(format!("  level: {} and above", view.level.word()))
        .dim(if view.wrap { "  wrapped" } else { "" });
    if !view.search.is_empty() {
        title = title.add(Role::Accent, format!("  only: {}", view.search.text()));
    }
    let note = if view.follow {
        Line::faint("following the newest")
    } else {
        Line::of(Role::Accent, "standing still: f follows")
    };
    let inside = panel(canvas, area, title, &note, keys(model, Pane::List));
    let book = &model.logs;
    let mut kept = Line::faint(format!("{} kept", words::plural(book.len(), "line")));
    if book.forgotten > 0 {
        kept = kept.dim(format!(", {} older forgotten", book.forgotten));
    }
    kept = if book.lost > 0 {
        kept.add(Role::Poor, format!(", {} lost on the way", book.lost))
    } else {
        kept.dim(", 0 lost")
    };
    foot(canvas, area, &kept);
    let gutter = gutter_width(model, inside.width);
    if draw_lines(canvas, inside, model, gutter) == 0 {
        canvas.line(inside, &nothing(model));
    }
}

fn nothing(model: &Model) -> Line<'static> {
    if !model.logs.is_empty() {
        return Line::faint(
            "no kept line matches level and search; d shows every level, Esc clears the search",
        );
    }
    if model.followed.is_empty() {
        return Line::faint("no container is followed: none is known yet");
    }
    Line::faint(format!(
        "{} no line has come from {} yet",
        words::LOOKING,
        words::plural(model.followed.len(), "followed container")
    ))
}

/// Columns for the source's name: as wide as the services' names, within reason.
fn gutter_width(model: &Model, width: u16) -> usize {
    const NAME_MAX: usize = 18;
    let most = if width >= 100 { NAME_MAX } else { 10 };
    model
        .shown()
        .services()
        .iter()
        .map(|service| service.name.width() + 2)
        .max()
        .unwrap_or(8)
        .clamp(6, most)
}

/// From the bottom up: only the lines that are seen are made.
fn draw_lines(canvas: &mut Canvas<'_>, area: Rect, model: &Model, gutter: usize) -> usize {
    /// Looked at for each frame at most: a search that matches nothing must not cost a frame its time.
    const LOOKED_AT_MAX: usize = 20_000;
    let view = &model.log_view;
    let width = usize::from(area.width);
    let indent = gutter + 16;
    let mut bottom = area.bottom();
    let mut drawn = 0;
    let from = model
        .logs
        .newest()
        .take(LOOKED_AT_MAX)
        .filter(|(number, line)| {
            view.bottom.is_none_or(|bottom| *number <= bottom) && view.shows(line)
        });
    for (_, line) in from {
        if bottom <= area.y {
            break;
        }
        let made = log_line(model, line, gutter);
        let made = if view.wrap && width > indent + 10 {
            made.wrap(width, indent)
        } else {
            vec![made]
        };
        for part in made.iter().rev() {
            if bottom <= area.y {
                break;
            }
            bottom -= 1;
            let row = Rect {
                y: bottom,
                height: 1,
                ..area
            };
            canvas.line(row, part);
        }
        drawn += 1;
    }
    drop_up(canvas, area, bottom);
    drawn
}

/// A screen that is not full begins at its top.
fn drop_up(canvas: &mut Canvas<'_>, area: Rect, first: u16) {
    if first <= area.y || first >= area.bottom() {
        return;
    }
    let shift = first - area.y;
    for y in area.y..area.bottom() - shift {
        for x in area.x..area.right() {
            let cell = canvas.buffer[(x, y + shift)].clone();
            canvas.buffer[(x, y)] = cell;
        }
    }
    canvas.clear(Rect {
        y: area.bottom() - shift,
        height: shift,
        ..area
    });
}

fn log_line<'a>(model: &'a Model, line: &'a LogLine, gutter: usize) -> Line<'a> {
    let at = line
        .at
        .map_or_else(|| "--:--:--".to_owned(), |at| words::moment(model, at));
    let source = crate::domain::text::fit(&line.source, gutter);
    let (said, word) = match (line.stream, line.level) {
        (Stream::Note, _) => (Role::Accent, "NOTE "),
        (_, Level::Debug) => (Role::Dim, "DEBUG"),
        (_, Level::Info) => (Role::Dim, "INFO "),
        (_, Level::Warn) => (Role::Poor, "WARN "),
        (_, Level::Error) => (Role::Bad, "ERROR"),
    };
    let head = Line::faint(format!("{at:<9} "))
        .dim(source)
        .to(11 + gutter)
        .add(said, word)
        .text(" ");
    marked(head, model, &line.text)
}

/// The text with what the search matched.
fn marked<'a>(mut line: Line<'a>, model: &Model, text: &'a str) -> Line<'a> {
    let mut done = 0;
    for (start, end) in model.log_view.search.find(text) {
        if start < done || end <= start {
            continue;
        }
        line = line
            .text(&text[done..start])
            .add(Role::Match, &text[start..end]);
        done = end;
    }
    line.text(&text[done..])
}

/// The newest lines of one container, for the pane beside its facts.
pub(super) fn tail(canvas: &mut Canvas<'_>, area: Rect, model: &Model, id: &ContainerId) {
    /// Lines of other containers may lie between; looking further back is the log screen's business.
    const LOOKED_AT_MAX: usize = 2_000;
    let mut lines: Vec<Line<'_>> = model
        .logs
        .newest()
        .take(LOOKED_AT_MAX)
        .filter(|(_, line)| line.container.as_ref() == Some(id))
        .take(usize::from(area.height))
        .map(|(_, line)| {
            let said = match line.level {
                Level::Debug | Level::Info => Role::Text,
                Level::Warn => Role::Poor,
                Level::Error => Role::Bad,
            };
            let at = line
                .at
                .map_or_else(String::new, |at| format!("{} ", words::moment(model, at)));
            Line::faint(at).add(said, line.text.as_str())
        })
        .collect();
    if lines.is_empty() {
        let text = if model.followed.contains(id) {
            "no line yet"
        } else {
            "not followed now; l opens its log"
        };
        canvas.line(area, &Line::faint(text));
    }
    lines.reverse();
    canvas.lines(area, &lines);
}
