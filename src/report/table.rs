//! Columns for a terminal or a mail, without colour: widths count what is seen, not bytes.

use crate::domain::{Clean, text::fit};

/// One column of foreign text must not push the others off the line.
const COLUMN_MAX: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Lays out rows below an optional head. The last column is neither cut nor padded.
pub(super) fn render(aligns: &[Align], rows: &[Vec<Clean>]) -> String {
    let last = aligns.len().saturating_sub(1);
    let cells: Vec<Vec<Clean>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .enumerate()
                .map(|(at, cell)| if at == last { cell.clone() } else { cut(cell) })
                .collect()
        })
        .collect();
    let width = |at: usize| {
        cells
            .iter()
            .filter_map(|row: &Vec<Clean>| row.get(at))
            .map(Clean::width)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..aligns.len()).map(width).collect();
    let mut out = String::new();
    for row in &cells {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[at].saturating_sub(cell.width()));
            let (before, after) = match aligns[at] {
                Align::Left => ("", pad.as_str()),
                Align::Right => (pad.as_str(), ""),
            };
            let gap = if at == 0 { "" } else { "  " };
            line.extend([gap, before, cell.as_str(), after]);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn cut(cell: &Clean) -> Clean {
    if cell.width() <= COLUMN_MAX {
        return cell.clone();
    }
    Clean::from(format!("{}...", fit(cell, COLUMN_MAX - 3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_whatever_the_letters() {
        let row = |a: &str, b: &str, c: &str| vec![Clean::from(a), Clean::from(b), Clean::from(c)];
        let shown = render(
            &[Align::Left, Align::Right, Align::Left],
            &[
                row("NAME", "N", "NOTE"),
                row("日本", "12", ""),
                row("e\u{301}", "3", "x"),
                row(&"y".repeat(99), "4", "z"),
            ],
        );
        let columns: Vec<usize> = shown
            .lines()
            .filter_map(|line| {
                line.find(['N', '1', '3', '4'])
                    .map(|_| Clean::from(line).width())
            })
            .collect();
        assert_eq!(columns, [70, 64, 67, 67], "{shown}");
        assert!(shown.lines().all(|line| !line.ends_with(' ')));
    }
}
