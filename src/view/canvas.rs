//! The buffer with the look: the only place where text and styles meet cells.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::line::Line;
use super::theme::Role;
use super::{Charset, Look};
use crate::domain::Health;
use crate::domain::text::fit;

pub(super) struct Canvas<'a> {
    pub buffer: &'a mut Buffer,
    pub look: &'a Look,
}

impl Canvas<'_> {
    pub(super) fn style(&self, role: Role) -> Style {
        self.look.theme.style(role)
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.look.charset == Charset::Ascii
    }

    /// Sign of a health: told apart without colour.
    pub(super) fn sign(&self, health: Health) -> &'static str {
        sign(health, self.look.charset)
    }

    /// `● ok`: sign and word in their colour.
    pub(super) fn verdict(&self, health: Health, word: &str) -> Line<'static> {
        Line::of(role(health), format!("{} {word}", self.sign(health)))
    }

    /// Writes text, cut with an ellipsis where it does not fit. Returns the columns used.
    pub(super) fn put(&mut self, x: u16, y: u16, columns: u16, text: &str, style: Style) -> u16 {
        let area = self.buffer.area;
        if y < area.y || y >= area.bottom() || x < area.x || x >= area.right() || columns == 0 {
            return 0;
        }
        let columns = columns.min(area.right() - x);
        let width = text.width();
        let (shown, cut) = if width > usize::from(columns) {
            (fit(text, usize::from(columns) - 1), true)
        } else {
            (text, false)
        };
        let width = u16::try_from(width).unwrap_or(u16::MAX).min(columns);
        self.wipe(x, y, width);
        let (mut end, _) = self
            .buffer
            .set_stringn(x, y, shown, usize::from(columns), style);
        if cut && end < x + columns {
            self.buffer[(end, y)].set_symbol("…").set_style(style);
            end += 1;
        }
        end - x
    }

    /// Writes a line into the first row of `area`, over a base style.
    pub(super) fn line_on(&mut self, area: Rect, line: &Line<'_>, base: Style) -> u16 {
        if area.height == 0 {
            return 0;
        }
        let mut x = area.x;
        let last = line.pieces.len().saturating_sub(1);
        for (n, (role, text)) in line.pieces.iter().enumerate() {
            let left = area.right().saturating_sub(x);
            if left == 0 {
                break;
            }
            let style = self.style(*role).patch(base);
            // When the next piece does not get a single column, this one carries the ellipsis.
            let full = text.width() >= usize::from(left) && n < last;
            if full && text.width() == usize::from(left) {
                let used = self.put(x, area.y, left.saturating_sub(1), text, style);
                x += used + self.put(x + used, area.y, 1, "…", style);
            } else {
                x += self.put(x, area.y, left, text, style);
            }
        }
        x - area.x
    }

    pub(super) fn line(&mut self, area: Rect, line: &Line<'_>) -> u16 {
        self.line_on(area, line, Style::new())
    }

    /// Writes a line that ends at the right edge; returns the columns used.
    pub(super) fn line_right(&mut self, area: Rect, line: &Line<'_>) -> u16 {
        let width = u16::try_from(line.width())
            .unwrap_or(u16::MAX)
            .min(area.width);
        let at = Rect {
            x: area.right() - width,
            width,
            ..area
        };
        self.line(at, line);
        width
    }

    /// Lines from the top of `area`, as many as fit.
    pub(super) fn lines(&mut self, area: Rect, lines: &[Line<'_>]) {
        for (row, line) in rows_of(area).zip(lines) {
            self.line(row, line);
        }
    }

    /// Lays a style over cells without changing their text. Bars are left out: reversed, a low one would look high.
    pub(super) fn tint(&mut self, area: Rect, role: Role) {
        let style = self.style(role);
        let area = area.intersection(self.buffer.area);
        for y in area.y..area.bottom() {
            for x in area.x..area.right() {
                let cell = &mut self.buffer[(x, y)];
                let bar = cell
                    .symbol()
                    .starts_with(|c| matches!(c, '▁'..='█' | '░' | '\u{2800}'..='\u{28ff}'));
                if !(bar && style.add_modifier.contains(Modifier::REVERSED)) {
                    cell.set_style(style);
                }
            }
        }
    }

    pub(super) fn clear(&mut self, area: Rect) {
        let style = self.style(Role::Text);
        let area = area.intersection(self.buffer.area);
        for y in area.y..area.bottom() {
            for x in area.x..area.right() {
                let cell = &mut self.buffer[(x, y)];
                cell.reset();
                cell.set_style(style);
            }
        }
    }

    /// Cells as they were before anything was drawn: styles add up, and a border's must not shine through a title.
    fn wipe(&mut self, x: u16, y: u16, width: u16) {
        let style = self.style(Role::Text);
        for x in x..x.saturating_add(width) {
            if let Some(cell) = self.buffer.cell_mut((x, y)) {
                cell.reset();
                cell.set_style(style);
            }
        }
    }

    pub(super) fn symbol(&mut self, x: u16, y: u16, symbol: &str, style: Style) {
        self.wipe(x, y, 1);
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.set_symbol(symbol).set_style(style);
        }
    }
}

/// The rows of an area, top to bottom.
pub(super) fn rows_of(area: Rect) -> impl Iterator<Item = Rect> {
    (area.y..area.bottom()).map(move |y| Rect {
        y,
        height: 1,
        ..area
    })
}

pub(super) fn role(health: Health) -> Role {
    match health {
        Health::None => Role::Dim,
        Health::Good => Role::Good,
        Health::Busy => Role::Busy,
        Health::Poor => Role::Poor,
        Health::Unknown => Role::Unknown,
        Health::Bad => Role::Bad,
    }
}

pub(super) fn sign(health: Health, charset: Charset) -> &'static str {
    match (charset, health) {
        (Charset::Unicode, Health::None) => "–",
        (Charset::Unicode, Health::Good) => "●",
        (Charset::Unicode, Health::Busy) => "◐",
        (Charset::Unicode, Health::Poor) => "▲",
        (Charset::Unicode, Health::Unknown) => "?",
        (Charset::Unicode, Health::Bad) => "✖",
        (Charset::Ascii, Health::None) => "[-]",
        (Charset::Ascii, Health::Good) => "[ok]",
        (Charset::Ascii, Health::Busy) => "[~]",
        (Charset::Ascii, Health::Poor) => "[!]",
        (Charset::Ascii, Health::Unknown) => "[?]",
        (Charset::Ascii, Health::Bad) => "[X]",
    }
}

/// Turns every cell into one of ASCII. Our own drawing characters have a counterpart; foreign letters become `?`.
pub(super) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let c = cell.symbol().chars().next().unwrap_or('?');
            cell.set_char(ascii(c));
        }
    }
}

fn ascii(c: char) -> char {
    match c {
        '─' | '╌' | '–' | '━' | '▄' | '▅' => '-',
        '│' | '┊' | '┃' | '▌' => '|',
        '╭' | '╮' | '╰' | '╯' | '├' | '┤' | '┬' | '┴' | '┼' => '+',
        '▸' | '→' => '>',
        '◂' => '<',
        '…' => '~',
        '↑' => '^',
        '↓' => 'v',
        '▁' => '_',
        '·' | '▂' | '▃' | '░' => '.',
        '▆' | '▇' => '=',
        '█' => '#',
        '✓' => 'x',
        '\u{2801}'..='\u{28ff}' => match (u32::from(c) - 0x2800).count_ones() {
            1..=2 => '.',
            3..=5 => ':',
            _ => '#',
        },
        '\u{2800}' => ' ',
        _ => '?',
    }
}

/// Signs of the header's tabs: one column in both sets.
pub(super) fn small_sign(health: Health, charset: Charset) -> &'static str {
    match (charset, health) {
        (_, Health::None | Health::Good | Health::Busy) => " ",
        (Charset::Unicode, Health::Poor | Health::Unknown | Health::Bad) => sign(health, charset),
        (Charset::Ascii, Health::Poor) => "!",
        (Charset::Ascii, Health::Unknown) => "?",
        (Charset::Ascii, Health::Bad) => "X",
    }
}
