//! A chart over time with labels, a limit and gaps. Drawn in braille dots: two columns and four rows to a cell.

use ratatui::layout::Rect;

use super::spark::{greatest, resample};
use crate::view::canvas::Canvas;
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::words::columns;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::view) enum Fill {
    Area,
    Line,
}

pub(in crate::view) struct Chart<'a> {
    /// Oldest first, a value per bucket.
    pub values: &'a [Option<f32>],
    /// Number of the newest bucket since the epoch.
    pub newest: u64,
    pub fill: Fill,
    pub role: Role,
    /// Drawn across, and named.
    pub limit: Option<f32>,
    /// The axis reaches at least this far: noise is no mountain.
    pub floor: f32,
    pub label: &'a dyn Fn(f32) -> String,
    /// What stands under the left end: `5m ago`.
    pub from: &'a str,
}

/// Columns for the labels of the vertical axis.
const AXIS: u16 = 8;

impl Chart<'_> {
    pub(in crate::view) fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        if area.height < 3 || area.width < AXIS + 8 {
            return;
        }
        let plot = Rect {
            x: area.x + AXIS,
            y: area.y,
            width: area.width - AXIS,
            height: area.height - 1,
        };
        let most = greatest(self.values);
        if !self.values.iter().any(Option::is_some) {
            canvas.line(area, &Line::faint("no data in this window"));
            return;
        }
        // The limit belongs into the picture when the values come near it.
        let seen = self.limit.filter(|limit| most >= limit * 0.25);
        let top = nice(
            seen.map_or(most, |limit| most.max(limit * 1.1))
                .max(self.floor),
        );
        self.axis(canvas, area, plot, top);
        self.limit_line(canvas, plot, top);
        self.curve(canvas, plot, top);
    }

    fn axis(&self, canvas: &mut Canvas<'_>, area: Rect, plot: Rect, top: f32) {
        let style = canvas.style(Role::Border);
        for y in plot.y..plot.bottom() {
            canvas.symbol(plot.x - 1, y, "│", style);
        }
        for x in plot.x..plot.right() {
            canvas.symbol(x, plot.bottom(), "─", style);
        }
        canvas.symbol(plot.x - 1, plot.bottom(), "╰", style);
        let label = |value: f32| Line::faint((self.label)(value));
        let row = |y| Rect {
            x: area.x,
            y,
            width: AXIS - 2,
            height: 1,
        };
        canvas.line_right(row(plot.y), &label(top));
        if plot.height >= 5 {
            let middle = plot.y + plot.height / 2;
            let value = top * (1.0 - f32::from(plot.height / 2) / f32::from(plot.height));
            canvas.line_right(row(middle), &label(value));
        }
        canvas.line_right(row(plot.bottom()), &label(0.0));
        let under = Rect {
            y: plot.bottom(),
            height: 1,
            ..plot
        };
        let from = Line::faint(format!("{} ", self.from));
        canvas.line(under, &from);
        canvas.line_right(under, &Line::faint(" now"));
    }

    fn limit_line(&self, canvas: &mut Canvas<'_>, plot: Rect, top: f32) {
        let Some(limit) = self.limit.filter(|limit| *limit < top) else {
            return;
        };
        let dots = dots(limit / top, plot.height);
        let y = plot.bottom() - 1 - columns(dots / 4).min(plot.height - 1);
        let style = canvas.style(Role::Limit);
        for x in plot.x..plot.right() {
            canvas.symbol(x, y, "╌", style);
        }
        let note = Line::of(Role::Limit, format!(" limit {} ", (self.label)(limit)));
        canvas.line_right(
            Rect {
                y,
                height: 1,
                ..plot
            },
            &note,
        );
    }

    fn curve(&self, canvas: &mut Canvas<'_>, plot: Rect, top: f32) {
        let cells = usize::from(plot.width);
        let sampled = resample(self.values, self.newest, cells * 2);
        // A short history has fewer buckets than dots: each bucket then is as wide as it must be.
        let stretched = if self.values.len() < cells * 2 {
            stretch(self.values, cells * 2)
        } else {
            sampled
        };
        let heights: Vec<Option<usize>> = stretched
            .iter()
            .map(|value| value.map(|value| dots(value / top, plot.height)))
            .collect();
        let style = canvas.style(self.role);
        for (cell, x) in (plot.x..plot.right()).enumerate() {
            let columns = [cell * 2, cell * 2 + 1].map(|at| self.reach(&heights, at));
            for (row, y) in (plot.y..plot.bottom()).rev().enumerate() {
                let bits = cell_bits(&columns, row * 4);
                if let Some(c) = char::from_u32(0x2800 + bits).filter(|_| bits > 0) {
                    canvas.symbol(x, y, c.encode_utf8(&mut [0; 4]), style);
                }
            }
        }
    }

    /// Lowest and highest dot of one column of dots; a line reaches to its neighbour.
    fn reach(&self, heights: &[Option<usize>], at: usize) -> Option<(usize, usize)> {
        let height = heights[at]?;
        let before = at.checked_sub(1).and_then(|before| heights[before]);
        Some(match (self.fill, before) {
            (Fill::Area, _) => (0, height),
            (Fill::Line, None) => (height, height),
            (Fill::Line, Some(before)) => (
                (before + 1).min(height),
                before.saturating_sub(1).max(height),
            ),
        })
    }
}

/// The dots of one cell whose lowest dot row is `low`.
fn cell_bits(columns: &[Option<(usize, usize)>; 2], low: usize) -> u32 {
    let mut bits = 0;
    for (column, marks) in columns.iter().zip(BITS) {
        let Some((from, to)) = column else { continue };
        for (dot, mark) in marks.into_iter().enumerate() {
            if (*from..=*to).contains(&(low + dot)) {
                bits |= mark;
            }
        }
    }
    bits
}

/// Dots of a braille cell, by side, from the lowest up.
const BITS: [[u32; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];

fn stretch(values: &[Option<f32>], to: usize) -> Vec<Option<f32>> {
    (0..to).map(|at| values[at * values.len() / to]).collect()
}

/// Which dot row a part of the height reaches, counted from the bottom.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the height of the plot"
)]
fn dots(part: f32, height: u16) -> usize {
    let most = f32::from(height) * 4.0 - 1.0;
    if part.is_finite() {
        (part.clamp(0.0, 1.0) * most).round() as usize
    } else {
        0
    }
}

/// The next of 1, 2, 2.5, 5, 10 … above a value: an axis that does not jump about.
fn nice(value: f32) -> f32 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10_f32.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|top| *top >= value)
        .unwrap_or(value)
        .clamp(f32::MIN_POSITIVE, f32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_an_axis_is_a_round_number_that_holds_the_value() {
        for (value, top) in [(371.0, 400.0), (0.02, 0.02), (0.0, 1.0), (1200.0, 1500.0)] {
            assert!((nice(value) - top).abs() < top / 1000.0, "{value}");
        }
        assert!(nice(f32::MAX).is_finite());
    }
}
