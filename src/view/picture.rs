//! A frame as text and as SVG, for `save` and for looking at it without a terminal.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// The frame as lines of text, without colours and without blanks at the ends of lines.
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.y..buffer.area.bottom() {
        let mut line = String::new();
        let mut x = buffer.area.x;
        while x < buffer.area.right() {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += wide(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Size of a cell, in pixels.
const CELL_WIDTH: f32 = 8.4;
const CELL_HEIGHT: f32 = 18.0;
const MARGIN: f32 = 12.0;

const BACKGROUND: &str = "#10171d";
const FOREGROUND: &str = "#d7dee5";

/// The frame as an SVG picture: monospaced cells on a dark ground, colours and attributes kept.
pub fn svg(buffer: &Buffer, title: &str) -> String {
    let width = f32::from(buffer.area.width) * CELL_WIDTH + 2.0 * MARGIN;
    let height = f32::from(buffer.area.height) * CELL_HEIGHT + 2.0 * MARGIN;
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">"
    );
    let _ = writeln!(out, "<title>{}</title>", escape(title));
    let _ = writeln!(
        out,
        "<rect width=\"100%\" height=\"100%\" fill=\"{BACKGROUND}\"/>"
    );
    let _ = writeln!(
        out,
        "<g font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\" xml:space=\"preserve\">"
    );
    for y in buffer.area.y..buffer.area.bottom() {
        row(&mut out, buffer, y);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn wide(symbol: &str) -> u16 {
    u16::try_from(symbol.width()).unwrap_or(1).max(1)
}

/// Neighbours of one style are one piece.
fn row(out: &mut String, buffer: &Buffer, y: u16) {
    let mut x = buffer.area.x;
    while x < buffer.area.right() {
        let start = x;
        let first = &buffer[(x, y)];
        let mut piece = String::new();
        while x < buffer.area.right() {
            let cell = &buffer[(x, y)];
            let same =
                cell.fg == first.fg && cell.bg == first.bg && cell.modifier == first.modifier;
            // A letter of unsure width starts a piece of its own, so that the columns after it stay in line.
            let odd = !cell.symbol().is_ascii();
            if !same || (odd && x > start) {
                break;
            }
            piece.push_str(cell.symbol());
            x += wide(cell.symbol());
            if odd {
                break;
            }
        }
        span(
            out,
            first,
            start - buffer.area.x,
            x - start,
            y - buffer.area.y,
            &piece,
        );
    }
}

fn span(out: &mut String, cell: &Cell, x: u16, columns: u16, y: u16, piece: &str) {
    let reversed = cell.modifier.contains(Modifier::REVERSED);
    let (mut ink, mut ground) = (hex(cell.fg), hex(cell.bg));
    if reversed {
        let paper = ink.take().unwrap_or_else(|| FOREGROUND.to_owned());
        ink = Some(ground.take().unwrap_or_else(|| BACKGROUND.to_owned()));
        ground = Some(paper);
    }
    let left = MARGIN + f32::from(x) * CELL_WIDTH;
    let top = MARGIN + f32::from(y) * CELL_HEIGHT;
    let width = f32::from(columns) * CELL_WIDTH;
    if let Some(ground) = ground {
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{ground}\"/>"
        );
    }
    if piece.trim().is_empty() {
        return;
    }
    let ink = ink.unwrap_or_else(|| FOREGROUND.to_owned());
    let mut attributes = String::new();
    for (modifier, attribute) in [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::DIM, " opacity=\"0.6\""),
        (Modifier::ITALIC, " font-style=\"italic\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
    ] {
        if cell.modifier.contains(modifier) {
            attributes.push_str(attribute);
        }
    }
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" fill=\"{ink}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\"{attributes}>{}</text>",
        top + CELL_HEIGHT - 5.0,
        escape(piece)
    );
}

/// The sixteen named colours as a readable palette on the dark ground; `None` is the ground's own.
fn hex(color: Color) -> Option<String> {
    let named = match color {
        Color::Reset => return None,
        Color::Black => "#22303d",
        Color::Red => "#ff6b5e",
        Color::Green => "#7ec98f",
        Color::Yellow => "#f0b24a",
        Color::Blue => "#5aa9e6",
        Color::Magenta => "#c9a0ff",
        Color::Cyan => "#7fd1de",
        Color::Gray => "#aeb9c4",
        Color::DarkGray => "#6f7d8a",
        Color::LightRed => "#ff9287",
        Color::LightGreen => "#a5e0b2",
        Color::LightYellow => "#ffd27f",
        Color::LightBlue => "#8cc6f2",
        Color::LightMagenta => "#dec4ff",
        Color::LightCyan => "#a9e4ed",
        Color::White => "#f2f5f8",
        Color::Rgb(r, g, b) => return Some(format!("#{r:02x}{g:02x}{b:02x}")),
        Color::Indexed(n) => return Some(indexed(n)),
    };
    Some(named.to_owned())
}

/// The 256-colour cube and its greys, as terminals define them.
fn indexed(n: u8) -> String {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    match n {
        0..16 => "#aeb9c4".to_owned(),
        16..232 => {
            let n = usize::from(n - 16);
            let (r, g, b) = (STEPS[n / 36], STEPS[n / 6 % 6], STEPS[n % 6]);
            format!("#{r:02x}{g:02x}{b:02x}")
        }
        232.. => {
            let grey = 8 + (n - 232) * 10;
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    fn frame() -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
        buffer.set_string(0, 0, "<b> & 漢字", Style::new().fg(Color::Red));
        buffer
    }

    #[test]
    fn text_keeps_letters_and_drops_trailing_blanks() {
        assert_eq!(text(&frame()), "<b> & 漢字\n\n");
    }

    #[test]
    fn svg_is_escaped_and_keeps_colour() {
        let picture = svg(&frame(), "a \"<title>\"");
        assert!(picture.contains("&lt;b&gt; &amp; "));
        assert!(picture.contains("fill=\"#ff6b5e\""));
        assert!(picture.contains("<title>a &quot;&lt;title&gt;&quot;</title>"));
        assert!(!picture.contains("<b>"));
    }
}
