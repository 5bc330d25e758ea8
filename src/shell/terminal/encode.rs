//! Cells become bytes: what must be sent so that a terminal that shows one frame shows the next.
//!
//! A link of a few kilobytes a second is the case this is built for. A frame is compared cell by cell with what the
//! terminal shows; moves, colours and erasures take their shortest form. It never asks the terminal anything, and no
//! control character of a cell ever leaves it.
//!
//! **Invariant:** between two frames the terminal's pen is the default pen. **Not here:** when to draw, and the wire.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Position;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

use crate::domain::Clean;

/// A changed frame shorter than this is never worth comparing with a full repaint.
const REPAINT_WORTH_BYTES_MIN: usize = 24;

/// How many bytes of unchanged cells are looked at before a move is certainly shorter.
const REWRITE_MAX: usize = 10;

/// Which colours the terminal is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorMode {
    TrueColor,
    Ansi256,
    Ansi16,
    /// `NO_COLOR`: bold and reverse only.
    None,
}

/// Colours and attributes of one cell, as far as this terminal can show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pen {
    pub fg: Color,
    pub bg: Color,
    pub modifier: Modifier,
}

impl Pen {
    pub const DEFAULT: Self = Self {
        fg: Color::Reset,
        bg: Color::Reset,
        modifier: Modifier::empty(),
    };
}

/// What stands in one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbol {
    One(char),
    /// A letter with its marks, or a sequence that is one picture.
    Cluster(Box<str>),
    /// The second column of the wide symbol to the left.
    Tail,
}

/// One column of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glyph {
    pub symbol: Symbol,
    pub pen: Pen,
}

impl Glyph {
    const BLANK: Self = Self {
        symbol: Symbol::One(' '),
        pen: Pen::DEFAULT,
    };

    /// How far a terminal may disagree with us about the width.
    fn trust(&self) -> Trust {
        match &self.symbol {
            Symbol::One(c) if c.is_ascii() => Trust::Sure,
            Symbol::One('\u{2500}'..='\u{259f}' | '\u{2800}'..='\u{28ff}') => Trust::Ruling,
            Symbol::One(_) | Symbol::Tail => Trust::Foreign,
            Symbol::Cluster(_) => Trust::Cluster,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Sure,
    /// Our own lines, bars and graphs. Runs of them are sent in one piece: a position after each would make a border
    /// cost six times as much. What follows the run is positioned.
    Ruling,
    Foreign,
    /// May be shown as many pictures side by side by a terminal that does not join them.
    Cluster,
}

/// A frame in the form in which it can be compared and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    pub width: u16,
    pub height: u16,
    glyphs: Vec<Glyph>,
}

impl Grid {
    /// An empty screen.
    pub fn blank(width: u16, height: u16) -> Self {
        Self {
            width,
            height,
            glyphs: vec![Glyph::BLANK; usize::from(width) * usize::from(height)],
        }
    }

    /// Takes a frame apart: colours the terminal has, no control characters, wide symbols with their tails.
    pub fn new(buffer: &Buffer, mode: ColorMode) -> Self {
        let mut grid = Self::blank(buffer.area.width, buffer.area.height);
        let width = usize::from(grid.width);
        if width == 0 {
            return grid;
        }
        for (row, cells) in grid
            .glyphs
            .chunks_mut(width)
            .zip(buffer.content.chunks(width))
        {
            fill_row(row, cells, mode);
        }
        grid
    }

    pub fn row(&self, y: u16) -> &[Glyph] {
        let start = usize::from(y) * usize::from(self.width);
        &self.glyphs[start..start + usize::from(self.width)]
    }
}

fn fill_row(row: &mut [Glyph], cells: &[Cell], mode: ColorMode) {
    let mut x = 0;
    while x < row.len() {
        let (symbol, columns) = symbol_of(&cells[x], row.len() - x);
        let pen = pen_of(&cells[x], mode, &symbol);
        row[x] = Glyph { symbol, pen };
        if columns == 2 {
            row[x + 1] = Glyph {
                symbol: Symbol::Tail,
                pen,
            };
        }
        x += columns;
    }
}

/// The symbol of a cell and its columns, at most `room` of them.
fn symbol_of(cell: &Cell, room: usize) -> (Symbol, usize) {
    let text = cell.symbol();
    let mut chars = text.chars();
    let (first, more) = (chars.next(), chars.next().is_some());
    if cell.modifier.contains(Modifier::HIDDEN) {
        return (Symbol::One(' '), 1);
    }
    match first {
        None => (Symbol::One(' '), 1),
        Some(c) if !more && is_plain(c) => (Symbol::One(c), 1),
        // The sanitiser changes whatever could steer a terminal: such a symbol is not sent at all.
        Some(_) if Clean::line(text) != *text => (Symbol::One('?'), 1),
        Some(c) => match text.width() {
            columns @ (1 | 2) if columns > room => {
                debug_assert!(room > 0, "a cell has at least its own column");
                (Symbol::One(' '), 1)
            }
            columns @ (1 | 2) if more => (Symbol::Cluster(text.into()), columns),
            columns @ (1 | 2) => (Symbol::One(c), columns),
            _ => (Symbol::One('?'), 1),
        },
    }
}

/// One column everywhere and harmless, decided without the sanitiser: nearly every cell.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{2500}'..='\u{259f}' | '\u{2800}'..='\u{28ff}')
}

fn pen_of(cell: &Cell, mode: ColorMode, symbol: &Symbol) -> Pen {
    let mut modifier = cell.modifier - Modifier::HIDDEN;
    if modifier.contains(Modifier::RAPID_BLINK) {
        modifier = (modifier - Modifier::RAPID_BLINK) | Modifier::SLOW_BLINK;
    }
    if mode == ColorMode::None {
        modifier &= Modifier::BOLD | Modifier::REVERSED;
    }
    let mut pen = Pen {
        fg: fitted(cell.fg, mode),
        bg: fitted(cell.bg, mode),
        modifier,
    };
    // Ink does not show on an empty cell, so it is not worth a byte.
    let lines = Modifier::REVERSED | Modifier::UNDERLINED | Modifier::CROSSED_OUT;
    if *symbol == Symbol::One(' ') && !modifier.intersects(lines) {
        pen.fg = Color::Reset;
        pen.modifier = Modifier::empty();
    }
    pen
}

fn fitted(color: Color, mode: ColorMode) -> Color {
    match (mode, color) {
        (ColorMode::None, _) => Color::Reset,
        (ColorMode::Ansi256, Color::Rgb(r, g, b)) => Color::Indexed(nearest_256(r, g, b)),
        (ColorMode::Ansi16, Color::Rgb(r, g, b)) => nearest_16(r, g, b),
        (ColorMode::Ansi16, Color::Indexed(i)) => {
            let (r, g, b) = rgb_of(i);
            match i {
                0..=15 => NAMED[usize::from(i)],
                _ => nearest_16(r, g, b),
            }
        }
        // One word for one colour, or the same ink would be sent twice.
        (_, Color::Indexed(i @ 0..=15)) => NAMED[usize::from(i)],
        (_, kept) => kept,
    }
}

const NAMED: [Color; 16] = [
    Color::Black,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Gray,
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

/// xterm's own values of the sixteen.
const NAMED_RGB: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

fn rgb_of(index: u8) -> (u8, u8, u8) {
    match index {
        0..=15 => NAMED_RGB[usize::from(index)],
        16..=231 => {
            let i = usize::from(index - 16);
            (CUBE[i / 36], CUBE[i / 6 % 6], CUBE[i % 6])
        }
        232..=255 => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    }
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let square = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    // The eye sees green best and blue worst.
    2 * square(a.0, b.0) + 4 * square(a.1, b.1) + 3 * square(a.2, b.2)
}

fn nearest_256(r: u8, g: u8, b: u8) -> u8 {
    (16..=255)
        .min_by_key(|&i| distance(rgb_of(i), (r, g, b)))
        .expect("the range is not empty")
}

fn nearest_16(r: u8, g: u8, b: u8) -> Color {
    let nearest = (0..16usize)
        .min_by_key(|&i| distance(NAMED_RGB[i], (r, g, b)))
        .expect("the range is not empty");
    NAMED[nearest]
}

/// What is known about where the terminal will put the next symbol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Unknown,
    /// The row is sure; the column is not (behind a ruling, or at the right edge).
    Row(u16),
    At(u16, u16),
}

/// Turns frames into bytes and remembers what the terminal shows.
#[derive(Debug)]
pub struct Encoder {
    shown: Option<Grid>,
    cursor: Option<Position>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Knows nothing yet: the first frame is a full repaint.
    pub fn new() -> Self {
        Self {
            shown: None,
            cursor: None,
        }
    }

    /// Forgets what the terminal shows: the next frame is a full repaint.
    pub fn forget(&mut self) {
        self.shown = None;
        self.cursor = None;
    }

    /// The bytes that make the terminal show `next`, and the cursor at `cursor` (hidden if `None`). No bytes if nothing
    /// has changed.
    pub fn encode(&mut self, next: Grid, cursor: Option<Position>) -> Vec<u8> {
        let cursor = cursor.filter(|at| at.x < next.width && at.y < next.height);
        let bytes = match self
            .shown
            .as_ref()
            .filter(|shown| (shown.width, shown.height) == (next.width, next.height))
        {
            None => repaint(&next, cursor),
            Some(shown) => {
                let mut bytes = changes(shown, &next);
                place_cursor(&mut bytes, self.cursor, cursor);
                if bytes.len() > REPAINT_WORTH_BYTES_MIN {
                    let full = repaint(&next, cursor);
                    if full.len() < bytes.len() {
                        bytes = full;
                    }
                }
                bytes
            }
        };
        self.shown = Some(next);
        self.cursor = cursor;
        bytes
    }
}

/// The whole frame, whatever was there, as one synchronized update.
fn repaint(next: &Grid, cursor: Option<Position>) -> Vec<u8> {
    let mut bytes = b"\x1b[?2026h\x1b[?25l\x1b[m\x1b[2J".to_vec();
    bytes.extend(changes(&Grid::blank(next.width, next.height), next));
    place_cursor(&mut bytes, None, cursor);
    bytes.extend_from_slice(b"\x1b[?2026l");
    bytes
}

fn place_cursor(bytes: &mut Vec<u8>, before: Option<Position>, now: Option<Position>) {
    match (before, now) {
        (None, None) => {}
        (Some(_), None) => bytes.extend_from_slice(b"\x1b[?25l"),
        (before, Some(at)) => {
            if before != now || !bytes.is_empty() {
                bytes.extend(absolute(at.x, at.y));
            }
            if before.is_none() {
                bytes.extend_from_slice(b"\x1b[?25h");
            }
        }
    }
}

fn changes(shown: &Grid, next: &Grid) -> Vec<u8> {
    let mut sheet = Sheet {
        out: Vec::new(),
        place: Place::Unknown,
        pen: Pen::DEFAULT,
        after: Trust::Sure,
    };
    for y in 0..next.height {
        sheet.row(shown.row(y), next.row(y), y);
    }
    sheet.ink(Pen::DEFAULT);
    sheet.out
}

/// The bytes so far, and what the terminal is like after them.
struct Sheet {
    out: Vec<u8>,
    place: Place,
    pen: Pen,
    /// What was printed last.
    after: Trust,
}

impl Sheet {
    fn row(&mut self, shown: &[Glyph], next: &[Glyph], y: u16) {
        let mut dirty = dirty_columns(shown, next);
        let Some(last) = dirty.iter().rposition(|&d| d) else {
            return;
        };
        let tail = next
            .iter()
            .rposition(|glyph| *glyph != Glyph::BLANK)
            .map_or(0, |x| x + 1);
        let erase = (tail..=last)
            .find(|&x| dirty[x])
            // Erasing takes three bytes: fewer blanks than that are printed.
            .filter(|&x| last - x >= 3);
        if let Some(from) = erase {
            dirty[from..].fill(false);
        }
        for x in 0..next.len() {
            if dirty[x] && next[x].symbol != Symbol::Tail {
                self.go(x, y, next);
                self.print(x, y, next);
            }
        }
        if let Some(from) = erase {
            self.go(from, y, next);
            self.ink(Pen::DEFAULT);
            self.out.extend_from_slice(b"\x1b[K");
        }
    }

    fn print(&mut self, x: usize, y: u16, row: &[Glyph]) {
        let glyph = &row[x];
        self.ink(glyph.pen);
        match &glyph.symbol {
            Symbol::One(c) => {
                let mut utf8 = [0; 4];
                self.out
                    .extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            }
            Symbol::Cluster(text) => self.out.extend_from_slice(text.as_bytes()),
            Symbol::Tail => {}
        }
        self.after = glyph.trust();
        let end = x + 1;
        self.place = match self.after {
            Trust::Sure if end < row.len() => Place::At(column(end), y),
            Trust::Ruling if end < row.len() && self.place != Place::Unknown => {
                Place::At(column(end), y)
            }
            Trust::Sure | Trust::Ruling => Place::Row(y),
            Trust::Foreign | Trust::Cluster => Place::Unknown,
        };
    }

    /// Moves to a column, in the shortest way that is certain to arrive there.
    fn go(&mut self, x: usize, y: u16, row: &[Glyph]) {
        let to = column(x);
        if self.place == Place::At(to, y)
            && (self.after != Trust::Ruling || row[x].trust() == Trust::Ruling)
        {
            return;
        }
        // Behind a ruling only the row is certain.
        if let (Trust::Ruling, Place::At(_, y)) = (self.after, self.place) {
            self.place = Place::Row(y);
        }
        let mut best = absolute(to, y);
        for way in [self.sideways(to, y), self.downwards(to, y)]
            .into_iter()
            .flatten()
        {
            if way.len() < best.len() {
                best = way;
            }
        }
        match self.rewritten(x, y, row, best.len()) {
            Some(cells) => self.out.extend_from_slice(&cells),
            None => self.out.extend_from_slice(&best),
        }
        self.place = Place::At(to, y);
        self.after = Trust::Sure;
    }

    /// Printing the few unchanged cells in between, if that is shorter than a move.
    fn rewritten(&self, x: usize, y: u16, row: &[Glyph], limit: usize) -> Option<Vec<u8>> {
        let Place::At(from, at_y) = self.place else {
            return None;
        };
        let from = usize::from(from);
        if at_y != y || from >= x || x - from > limit.min(REWRITE_MAX) {
            return None;
        }
        row[from..x]
            .iter()
            .map(|glyph| match glyph.symbol {
                Symbol::One(c) if c.is_ascii() && glyph.pen == self.pen => u8::try_from(c).ok(),
                Symbol::One(_) | Symbol::Cluster(_) | Symbol::Tail => None,
            })
            .collect()
    }

    fn sideways(&self, x: u16, y: u16) -> Option<Vec<u8>> {
        let from = match self.place {
            Place::At(from, at_y) if at_y == y => Some(from),
            Place::Row(at_y) if at_y == y => None,
            Place::Unknown | Place::Row(_) | Place::At(..) => return None,
        };
        if x == 0 {
            return Some(b"\r".to_vec());
        }
        let mut best = sequence(x + 1, b'G');
        if let Some(from) = from {
            let relative = match x.checked_sub(from) {
                Some(right) => sequence(right, b'C'),
                None if from - x <= 3 => vec![8; usize::from(from - x)],
                None => sequence(from - x, b'D'),
            };
            if relative.len() <= best.len() {
                best = relative;
            }
        }
        Some(best)
    }

    fn downwards(&self, x: u16, y: u16) -> Option<Vec<u8>> {
        let (from, at_y) = match self.place {
            Place::At(from, at_y) => (Some(from), at_y),
            Place::Row(at_y) => (None, at_y),
            Place::Unknown => return None,
        };
        let down = usize::from(y.checked_sub(at_y)?);
        // A line feed never scrolls here: it goes no further than a row of the frame.
        let mut way = match (from, down) {
            (_, 0) => return None,
            (Some(from), _) if from == x => return Some(short(vec![b'\n'; down], y)),
            (_, 1..=3) => vec![b'\n'; down],
            _ => return None,
        };
        way.insert(0, b'\r');
        if x > 0 {
            way.extend(sequence(x, b'C'));
        }
        Some(way)
    }

    /// Changes the pen with the shorter of a difference and a fresh start.
    fn ink(&mut self, pen: Pen) {
        if pen == self.pen {
            return;
        }
        let fresh = if pen == Pen::DEFAULT {
            Vec::new()
        } else {
            [vec![0], codes_from(Pen::DEFAULT, pen)].concat()
        };
        let [fresh, delta] = [fresh, codes_from(self.pen, pen)].map(|codes| sgr(&codes));
        self.out.extend(if fresh.len() < delta.len() {
            fresh
        } else {
            delta
        });
        self.pen = pen;
    }
}

fn short(feeds: Vec<u8>, y: u16) -> Vec<u8> {
    let row = sequence(y + 1, b'd');
    if feeds.len() <= row.len() { feeds } else { row }
}

/// Which columns must be sent: those that differ, and what stands behind a cluster whose width the terminal may have seen
/// differently. Wide symbols need no rule: where one comes or goes, its tail or what follows it differs too.
fn dirty_columns(shown: &[Glyph], next: &[Glyph]) -> Vec<bool> {
    let mut dirty: Vec<bool> = shown.iter().zip(next).map(|(a, b)| a != b).collect();
    if let Some(cluster) = (0..next.len()).find(|&x| {
        dirty[x] && (shown[x].trust() == Trust::Cluster || next[x].trust() == Trust::Cluster)
    }) {
        for x in cluster..next.len() {
            dirty[x] |= next[x] != Glyph::BLANK;
        }
    }
    dirty
}

fn column(x: usize) -> u16 {
    u16::try_from(x).expect("a column of a buffer whose width is a u16")
}

/// `ESC [ n final`, with the usual short form for one.
fn sequence(n: u16, last: u8) -> Vec<u8> {
    let mut bytes = b"\x1b[".to_vec();
    if n != 1 {
        bytes.extend(n.to_string().into_bytes());
    }
    bytes.push(last);
    bytes
}

fn absolute(x: u16, y: u16) -> Vec<u8> {
    if x == 0 {
        return sequence(y + 1, b'H');
    }
    let row = match y {
        0 => String::new(),
        _ => (y + 1).to_string(),
    };
    format!("\x1b[{row};{}H", x + 1).into_bytes()
}

fn sgr(codes: &[u16]) -> Vec<u8> {
    let list: Vec<String> = codes.iter().map(ToString::to_string).collect();
    format!("\x1b[{}m", list.join(";")).into_bytes()
}

/// Attribute, the code that sets it, the code that ends it.
const ATTRIBUTES: [(Modifier, u16, u16); 7] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::SLOW_BLINK, 5, 25),
    (Modifier::REVERSED, 7, 27),
    (Modifier::CROSSED_OUT, 9, 29),
];

/// The codes that turn one pen into another. At least one, for different pens.
fn codes_from(from: Pen, to: Pen) -> Vec<u16> {
    let mut codes = Vec::new();
    let mut kept = from.modifier;
    for (attribute, _, off) in ATTRIBUTES {
        if kept.contains(attribute) && !to.modifier.contains(attribute) {
            codes.push(off);
            // Bold and dim end together.
            kept -= match off {
                22 => Modifier::BOLD | Modifier::DIM,
                _ => attribute,
            };
        }
    }
    for (attribute, on, _) in ATTRIBUTES {
        if to.modifier.contains(attribute) && !kept.contains(attribute) {
            codes.push(on);
        }
    }
    if from.fg != to.fg {
        color_codes(to.fg, 30, &mut codes);
    }
    if from.bg != to.bg {
        color_codes(to.bg, 40, &mut codes);
    }
    codes
}

/// `base` is 30 for the ink and 40 for the ground.
fn color_codes(color: Color, base: u16, codes: &mut Vec<u16>) {
    let named = NAMED.iter().position(|&named| named == color);
    match (color, named) {
        (Color::Indexed(i), _) => codes.extend([base + 8, 5, u16::from(i)]),
        (Color::Rgb(r, g, b), _) => {
            codes.extend([base + 8, 2, u16::from(r), u16::from(g), u16::from(b)]);
        }
        (_, Some(i)) => {
            let i = u16::try_from(i).expect("sixteen names");
            codes.push(if i < 8 { base + i } else { base + 52 + i });
        }
        (_, None) => codes.push(base + 9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    const MODES: [ColorMode; 4] = [
        ColorMode::TrueColor,
        ColorMode::Ansi256,
        ColorMode::Ansi16,
        ColorMode::None,
    ];

    fn buffer(lines: &[&str]) -> Buffer {
        Buffer::with_lines(lines.iter().map(ToString::to_string))
    }

    fn seen_color(color: Color) -> vt100::Color {
        match color {
            Color::Indexed(i) => vt100::Color::Idx(i),
            Color::Rgb(r, g, b) => vt100::Color::Rgb(r, g, b),
            named => match NAMED.iter().position(|&n| n == named) {
                Some(i) => vt100::Color::Idx(u8::try_from(i).unwrap()),
                None => vt100::Color::Default,
            },
        }
    }

    /// What the emulator shows is `grid`, cell by cell.
    #[track_caller]
    fn assert_shows(parser: &vt100::Parser, grid: &Grid) {
        for y in 0..grid.height {
            for (x, glyph) in grid.row(y).iter().enumerate() {
                let cell = parser.screen().cell(y, column(x)).unwrap();
                let text = match &glyph.symbol {
                    Symbol::One(c) => c.to_string(),
                    Symbol::Cluster(text) => text.to_string(),
                    Symbol::Tail => {
                        assert!(cell.is_wide_continuation(), "no tail at {x},{y}");
                        continue;
                    }
                };
                let shown = match cell.contents() {
                    "" => " ",
                    some => some,
                };
                assert_eq!(shown, text, "symbol at {x},{y}");
                let m = glyph.pen.modifier;
                assert_eq!(cell.fgcolor(), seen_color(glyph.pen.fg), "ink at {x},{y}");
                assert_eq!(
                    cell.bgcolor(),
                    seen_color(glyph.pen.bg),
                    "ground at {x},{y}"
                );
                assert_eq!(cell.italic(), m.contains(Modifier::ITALIC));
                assert_eq!(cell.underline(), m.contains(Modifier::UNDERLINED));
                assert_eq!(cell.inverse(), m.contains(Modifier::REVERSED));
                // The emulator knows one intensity at a time.
                assert_eq!(
                    cell.bold() || cell.dim(),
                    m.intersects(Modifier::BOLD | Modifier::DIM),
                    "intensity at {x},{y}"
                );
            }
        }
    }

    fn any_color() -> impl Strategy<Value = Color> {
        prop_oneof![
            4 => Just(Color::Reset),
            3 => (0..16usize).prop_map(|i| NAMED[i]),
            2 => any::<u8>().prop_map(Color::Indexed),
            1 => any::<(u8, u8, u8)>().prop_map(|(r, g, b)| Color::Rgb(r, g, b)),
        ]
    }

    fn any_symbol() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => Just(" ".to_owned()),
            8 => proptest::char::range('!', '~').prop_map(String::from),
            3 => proptest::char::range('─', '╿').prop_map(String::from),
            1 => Just("日".to_owned()),
            1 => Just("é".to_owned()),
            1 => Just("e\u{301}".to_owned()),
            1 => Just("\x1b".to_owned()),
            1 => Just("\u{202e}".to_owned()),
            1 => Just("\u{9b}2J".to_owned()),
        ]
    }

    type Run = (u16, String, Color, Color, u16);

    /// Runs of equal cells, which is what frames are made of.
    fn any_runs() -> impl Strategy<Value = Vec<Run>> {
        let run = (
            1..9u16,
            any_symbol(),
            any_color(),
            any_color(),
            prop_oneof![3 => Just(0u16), 1 => 0..0x200u16],
        );
        proptest::collection::vec(run, 0..40)
    }

    fn painted(width: u16, height: u16, runs: &[Run]) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        let mut cells = buffer.content.iter_mut();
        for (n, symbol, fg, bg, modifier) in runs {
            for cell in cells.by_ref().take(usize::from(*n)) {
                let style = Style::new()
                    .fg(*fg)
                    .bg(*bg)
                    .add_modifier(Modifier::from_bits_truncate(*modifier));
                cell.set_symbol(symbol).set_style(style);
            }
        }
        buffer
    }

    proptest! {
        #[test]
        fn a_terminal_shows_the_frame_it_was_sent(
            (width, height) in (1..30u16, 1..8u16),
            frames in proptest::collection::vec(any_runs(), 1..5),
            mode in proptest::sample::select(&MODES[..]),
            cursor in proptest::option::of((0..30u16, 0..8u16)),
        ) {
            let mut parser = vt100::Parser::new(height, width, 0);
            let mut encoder = Encoder::new();
            for runs in &frames {
                let grid = Grid::new(&painted(width, height, runs), mode);
                let at = cursor.map(|(x, y)| Position { x: x % width, y: y % height });
                let bytes = encoder.encode(grid.clone(), at);
                prop_assert!(bytes.len() <= repaint(&grid, at).len(), "never more than a repaint");
                parser.process(&bytes);
                assert_shows(&parser, &grid);
                prop_assert_eq!(parser.screen().hide_cursor(), at.is_none());
                if let Some(at) = at {
                    prop_assert_eq!(parser.screen().cursor_position(), (at.y, at.x));
                }
                prop_assert_eq!(encoder.encode(grid, at), Vec::<u8>::new(), "the same frame again is free");
            }
        }

        #[test]
        fn no_size_is_too_small_or_too_large((width, height) in (0..300u16, 0..70u16)) {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
            if width > 0 && height > 0 {
                buffer.set_string(0, height - 1, "日本語 größe │ x", Style::new());
            }
            let mut encoder = Encoder::new();
            encoder.encode(Grid::blank(80, 24), None);
            encoder.encode(Grid::new(&buffer, ColorMode::Ansi16), None);
        }
    }

    #[test]
    fn every_width_and_many_heights_are_encoded() {
        for width in 1..=200 {
            for height in [1, 2, 5, 15, 24, 60] {
                let mut frame = Buffer::empty(Rect::new(0, 0, width, height));
                frame.set_stringn(0, height - 1, "│日本語 größe", width.into(), Style::new());
                let grid = Grid::new(&frame, ColorMode::Ansi256);
                let bytes = changes(&Grid::blank(width, height), &grid);
                assert!(!bytes.is_empty(), "{width}x{height}");
            }
        }
    }

    #[track_caller]
    fn cost(before: &[&str], after: &[&str], style: Style) -> Vec<u8> {
        let grid = |lines: &[&str]| {
            let mut frame = buffer(lines);
            let area = frame.area;
            frame.set_style(area, style);
            Grid::new(&frame, ColorMode::TrueColor)
        };
        let mut encoder = Encoder::new();
        let mut parser = vt100::Parser::new(
            u16::try_from(before.len()).unwrap(),
            u16::try_from(before[0].chars().count()).unwrap(),
            0,
        );
        parser.process(&encoder.encode(grid(before), None));
        let bytes = encoder.encode(grid(after), None);
        parser.process(&bytes);
        assert_shows(&parser, &grid(after));
        bytes
    }

    #[test]
    fn a_clock_that_ticks_costs_less_than_twenty_bytes() {
        let dim = Style::new().add_modifier(Modifier::DIM);
        let bytes = cost(
            &["stack shop                    12:04:58"],
            &["stack shop                    12:04:59"],
            dim,
        );
        assert!(bytes.len() < 20, "{bytes:?}");
        let bytes = cost(
            &["stack shop                    12:04:59"],
            &["stack shop                    12:05:00"],
            dim,
        );
        assert!(bytes.len() < 20, "{bytes:?}");
    }

    #[test]
    fn a_row_that_becomes_short_is_erased_not_overwritten() {
        let bytes = cost(
            &["a long line of a log that goes away"],
            &["a                                  "],
            Style::new(),
        );
        assert_eq!(bytes, b"\x1b[;3H\x1b[K");
    }

    #[test]
    fn what_follows_foreign_text_is_positioned() {
        let bytes = cost(&["      "], &["é日x "], Style::new());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("é\x1b[;2H日\x1b[;4Hx"), "{text:?}");
    }

    #[test]
    fn the_column_behind_any_text_is_right() {
        for i in 0..500u32 {
            let c = char::from_u32(0xa1 + i * 97).unwrap_or('x');
            let mut frame = Buffer::empty(Rect::new(0, 0, 20, 1));
            frame.set_string(0, 0, format!("{c}{c}"), Style::new());
            frame.set_string(10, 0, "|", Style::new());
            let mut parser = vt100::Parser::new(1, 20, 0);
            parser.process(&Encoder::new().encode(Grid::new(&frame, ColorMode::None), None));
            assert_eq!(
                parser.screen().cell(0, 10).unwrap().contents(),
                "|",
                "U+{:04X}",
                u32::from(c)
            );
        }
    }

    #[test]
    fn a_border_is_sent_in_one_piece() {
        let bytes = cost(&["          "], &["┌────────┐"], Style::new());
        assert!(bytes.len() <= 3 + 30, "{bytes:?}");
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_sent() {
        for evil in [
            "\x1b[2J",
            "\x07",
            "\r",
            "\t",
            "\u{9b}",
            "\u{202e}",
            "a\u{200b}",
            "\u{7f}",
        ] {
            let mut frame = buffer(&["abc"]);
            frame.content[1].set_symbol(evil);
            let grid = Grid::new(&frame, ColorMode::TrueColor);
            assert_eq!(grid.row(0)[1].symbol, Symbol::One('?'), "{evil:?}");
        }
    }

    #[test]
    fn a_wide_symbol_at_the_edge_does_not_wrap() {
        let mut frame = buffer(&["abc"]);
        frame.content[2].set_symbol("日");
        let grid = Grid::new(&frame, ColorMode::TrueColor);
        assert_eq!(grid.row(0)[2], Glyph::BLANK);
    }

    #[test]
    fn colours_go_to_their_nearest_neighbour() {
        let rgb = Color::Rgb(255, 0, 0);
        assert_eq!(fitted(rgb, ColorMode::TrueColor), rgb);
        assert_eq!(fitted(rgb, ColorMode::Ansi256), Color::Indexed(196));
        assert_eq!(fitted(rgb, ColorMode::Ansi16), Color::LightRed);
        assert_eq!(fitted(rgb, ColorMode::None), Color::Reset);
        assert_eq!(fitted(Color::Indexed(250), ColorMode::Ansi16), Color::Gray);
        assert_eq!(fitted(Color::Green, ColorMode::Ansi16), Color::Green);
    }

    #[test]
    fn without_colour_only_bold_and_reverse_are_left() {
        let mut frame = buffer(&["x"]);
        let all = Modifier::all() - Modifier::HIDDEN;
        frame.content[0].set_style(Style::new().fg(Color::Red).add_modifier(all));
        let bytes = Encoder::new().encode(Grid::new(&frame, ColorMode::None), None);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("\x1b[1;7mx"), "{text:?}");
    }

    #[test]
    fn the_terminal_is_left_with_the_default_pen() {
        let bytes = cost(&["  "], &["ab"], Style::new().fg(Color::Red));
        assert!(bytes.ends_with(b"\x1b[m"), "{bytes:?}");
    }
}
