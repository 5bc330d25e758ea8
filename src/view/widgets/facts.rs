//! A list of named facts, wrapped and scrolled; and bars.

use std::borrow::Cow;

use ratatui::layout::Rect;

use crate::view::canvas::Canvas;
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::words::columns;

/// Lines under construction: names in a column of their own.
pub(in crate::view) struct Facts<'a> {
    pub lines: Vec<Line<'a>>,
    name: usize,
    width: usize,
}

impl<'a> Facts<'a> {
    pub(in crate::view) fn new(width: u16, name: usize) -> Self {
        Self {
            lines: Vec::new(),
            name,
            width: usize::from(width),
        }
    }

    /// A fact with its name; an empty text leaves it out.
    pub(in crate::view) fn fact(&mut self, name: &'static str, text: impl Into<Cow<'a, str>>) {
        self.line(name, Line::plain(text));
    }

    pub(in crate::view) fn line(&mut self, name: &'static str, line: Line<'a>) {
        if line.width() == 0 {
            return;
        }
        let named = Line::faint(name).to(self.name + 1).join(line);
        self.lines.extend(named.wrap(self.width, self.name + 1));
    }

    /// A line across both columns.
    pub(in crate::view) fn free(&mut self, line: Line<'a>) {
        self.lines.extend(line.wrap(self.width, 2));
    }

    pub(in crate::view) fn gap(&mut self) {
        self.lines.push(Line::new());
    }

    pub(in crate::view) fn heading(&mut self, text: &'static str) {
        if !self.lines.is_empty() {
            self.gap();
        }
        self.lines.push(Line::of(Role::Title, text));
    }

    /// Draws from `scroll` on; says what is left below.
    pub(in crate::view) fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, scroll: u16) {
        scrolled(canvas, area, &self.lines, scroll);
    }
}

pub(in crate::view) fn scrolled(
    canvas: &mut Canvas<'_>,
    area: Rect,
    lines: &[Line<'_>],
    scroll: u16,
) {
    let height = usize::from(area.height);
    let first = usize::from(scroll).min(lines.len().saturating_sub(height));
    canvas.lines(area, &lines[first..]);
    let below = lines.len().saturating_sub(first + height);
    if below > 0 && area.height > 0 {
        let last = Rect {
            y: area.bottom() - 1,
            height: 1,
            ..area
        };
        let note = Line::of(Role::Accent, format!(" ↓ {} more", below + 1));
        canvas.clear(last);
        canvas.line(last, &lines[first + height - 1]);
        let width = columns(note.width()).min(area.width);
        canvas.clear(Rect {
            x: last.right() - width,
            width,
            ..last
        });
        canvas.line_right(last, &note);
    }
}

/// `████░░░░`: a part of a whole, 0 to 1.
pub(in crate::view) fn bar(part: f64, width: usize, role: Role) -> Line<'static> {
    let full = filled(part, width);
    Line::of(role, "█".repeat(full)).dim("░".repeat(width - full))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to the width of a bar"
)]
fn filled(part: f64, width: usize) -> usize {
    if !part.is_finite() {
        return 0;
    }
    let cells = (part.clamp(0.0, 1.0) * width as f64).round() as usize;
    // Something that is there is never shown as nothing.
    if part > 0.0 {
        cells.max(1).min(width)
    } else {
        0
    }
}
