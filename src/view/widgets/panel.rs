//! A box with a title, a note at the right of it, and a note at the bottom.

use ratatui::layout::Rect;

use crate::view::canvas::Canvas;
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::words::columns;

/// Which pane has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::view) enum Keys {
    Here,
    Elsewhere,
}

impl Keys {
    pub(in crate::view) fn here(yes: bool) -> Self {
        if yes { Self::Here } else { Self::Elsewhere }
    }
}

/// Draws the box and returns what is inside. Too small for a box: everything is inside.
pub(in crate::view) fn panel(
    canvas: &mut Canvas<'_>,
    area: Rect,
    title: Line<'_>,
    note: &Line<'_>,
    keys: Keys,
) -> Rect {
    const WIDTH_MIN: u16 = 12;
    if area.height < 3 || area.width < WIDTH_MIN {
        return area;
    }
    border(canvas, area, keys);
    let inside = Rect {
        x: area.x + 2,
        y: area.y,
        width: area.width - 4,
        height: 1,
    };
    let mut framed = Line::plain(" ");
    framed.pieces.extend(title.pieces);
    let framed = framed.text(" ");
    let used = canvas.line(inside, &framed);
    let width = columns(note.width());
    if width > 0 && used + width + 4 <= inside.width {
        let framed = Line::plain(" ").join(note.clone()).text(" ");
        canvas.line_right(inside, &framed);
    }
    Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width - 4,
        height: area.height - 2,
    }
}

/// A note in the bottom border, at the right.
pub(in crate::view) fn foot(canvas: &mut Canvas<'_>, area: Rect, note: &Line<'_>) {
    if area.height < 3 || usize::from(area.width) < note.width() + 6 || note.width() == 0 {
        return;
    }
    let inside = Rect {
        x: area.x + 2,
        y: area.bottom() - 1,
        width: area.width - 4,
        height: 1,
    };
    let framed = Line::plain(" ").join(note.clone()).text(" ");
    canvas.line_right(inside, &framed);
}

fn border(canvas: &mut Canvas<'_>, area: Rect, keys: Keys) {
    let style = canvas.style(match keys {
        Keys::Here => Role::Focus,
        Keys::Elsewhere => Role::Border,
    });
    let (left, right) = (area.x, area.right() - 1);
    let (top, bottom) = (area.y, area.bottom() - 1);
    for x in left..=right {
        canvas.symbol(x, top, "─", style);
        canvas.symbol(x, bottom, "─", style);
    }
    for y in top..=bottom {
        canvas.symbol(left, y, "│", style);
        canvas.symbol(right, y, "│", style);
    }
    for (x, y, corner) in [
        (left, top, "╭"),
        (right, top, "╮"),
        (left, bottom, "╰"),
        (right, bottom, "╯"),
    ] {
        canvas.symbol(x, y, corner, style);
    }
}
