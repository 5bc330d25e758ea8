//! A table whose columns give way in a fixed order, and which formats only the rows that are seen.

use ratatui::layout::Rect;

use crate::view::canvas::Canvas;
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::words::columns;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::view) enum Side {
    Left,
    Right,
}

/// One column. Those that are not `keep` give way from the right.
#[derive(Debug, Clone, Copy)]
pub(in crate::view) struct Column {
    pub title: &'static str,
    pub width: u16,
    /// May take so many columns more when there is room.
    pub grow: u16,
    pub side: Side,
    pub keep: bool,
}

pub(in crate::view) const fn column(title: &'static str, width: u16) -> Column {
    Column {
        title,
        width,
        grow: 0,
        side: Side::Left,
        keep: false,
    }
}

impl Column {
    #[must_use]
    pub(in crate::view) const fn right(mut self) -> Self {
        self.side = Side::Right;
        self
    }

    #[must_use]
    pub(in crate::view) const fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    #[must_use]
    pub(in crate::view) const fn grow(mut self, most: u16) -> Self {
        self.grow = most;
        self
    }
}

/// Blanks between columns.
const GAP: u16 = 2;
/// Cursor and mark stand before the first column.
const GUTTER: u16 = 2;

/// Which columns are shown, and how wide. With `wide`, those that would not fit come first.
fn shown(all: &[Column], width: u16, wide: bool) -> Vec<(usize, u16)> {
    let mut kept: Vec<usize> = (0..all.len()).collect();
    let takes = |kept: &[usize]| {
        kept.iter().map(|at| all[*at].width).sum::<u16>()
            + GAP * columns(kept.len().saturating_sub(1))
    };
    while takes(&kept) > width {
        let next = if wide {
            kept.iter().position(|at| !all[*at].keep)
        } else {
            kept.iter().rposition(|at| !all[*at].keep)
        };
        match next {
            Some(next) => {
                kept.remove(next);
            }
            None => break,
        }
    }
    let mut left = width.saturating_sub(takes(&kept));
    kept.into_iter()
        .map(|at| {
            let more = all[at].grow.min(left);
            left -= more;
            (at, all[at].width + more)
        })
        .collect()
}

/// The first row that is seen: the cursor stays in the middle where it can.
pub(in crate::view) fn first_seen(len: usize, cursor: usize, height: usize) -> usize {
    if len <= height {
        return 0;
    }
    cursor.saturating_sub(height / 2).min(len - height)
}

/// How the cursor's row is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::view) struct Cursor {
    pub at: usize,
    pub role: Role,
}

pub(in crate::view) struct Table<'a> {
    pub columns: &'a [Column],
    pub len: usize,
    pub cursor: Option<Cursor>,
    pub wide: bool,
    /// Row, column, columns it may take.
    pub cell: &'a dyn Fn(usize, usize, usize) -> Line<'a>,
    pub marked: &'a dyn Fn(usize) -> bool,
}

impl Table<'_> {
    /// Draws heading and rows; returns which rows are seen.
    pub(in crate::view) fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) -> (usize, usize) {
        if area.height < 2 || area.width <= GUTTER {
            return (0, 0);
        }
        let shown = shown(self.columns, area.width - GUTTER, self.wide);
        self.heading(canvas, area, &shown);
        let height = usize::from(area.height - 1);
        let first = first_seen(self.len, self.cursor.map_or(0, |c| c.at), height);
        let last = self.len.min(first + height);
        for (n, row) in (first..last).enumerate() {
            let line = Rect {
                y: area.y + 1 + columns(n),
                height: 1,
                ..area
            };
            self.row(canvas, line, row, &shown);
        }
        (first, last)
    }

    fn heading(&self, canvas: &mut Canvas<'_>, area: Rect, shown: &[(usize, u16)]) {
        let mut x = area.x + GUTTER;
        for (at, width) in shown {
            let column = &self.columns[*at];
            let cell = Rect {
                x,
                y: area.y,
                width: (*width).min(area.right().saturating_sub(x)),
                height: 1,
            };
            let title = Line::faint(column.title);
            match column.side {
                Side::Left => canvas.line(cell, &title),
                Side::Right => canvas.line_right(cell, &title),
            };
            x = x.saturating_add(width + GAP);
        }
    }

    fn row(&self, canvas: &mut Canvas<'_>, area: Rect, row: usize, shown: &[(usize, u16)]) {
        let cursor = self.cursor.filter(|cursor| cursor.at == row);
        let pointer = if cursor.is_some() { "▸" } else { " " };
        let mark = if (self.marked)(row) { "*" } else { " " };
        let gutter = Line::of(Role::Accent, pointer).add(Role::Accent, mark);
        canvas.line(area, &gutter);
        let mut x = area.x + GUTTER;
        for (at, width) in shown {
            let cell = Rect {
                x,
                width: (*width).min(area.right().saturating_sub(x)),
                ..area
            };
            let line = (self.cell)(row, *at, usize::from(cell.width));
            match self.columns[*at].side {
                Side::Left => canvas.line(cell, &line),
                Side::Right => canvas.line_right(cell, &line),
            };
            x = x.saturating_add(width + GAP);
        }
        if let Some(cursor) = cursor {
            canvas.tint(area, cursor.role);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        column("name", 10).keep(),
        column("state", 8).keep(),
        column("up", 6),
        column("image", 10).grow(20),
    ];

    fn titles(width: u16, wide: bool) -> Vec<&'static str> {
        shown(&COLUMNS, width, wide)
            .into_iter()
            .map(|(at, _)| COLUMNS[at].title)
            .collect()
    }

    #[test]
    fn columns_give_way_from_the_right_but_name_and_state_stay() {
        assert_eq!(titles(60, false), ["name", "state", "up", "image"]);
        assert_eq!(titles(30, false), ["name", "state", "up"]);
        assert_eq!(titles(5, false), ["name", "state"]);
    }

    #[test]
    fn wide_shows_what_would_not_fit() {
        assert_eq!(titles(34, true), ["name", "state", "image"]);
    }

    #[test]
    fn the_cursor_stays_in_the_middle() {
        assert_eq!(first_seen(100, 50, 10), 45);
        assert_eq!(first_seen(100, 99, 10), 90);
        assert_eq!(first_seen(5, 4, 10), 0);
    }
}
