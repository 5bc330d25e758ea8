//! A model becomes a frame: theme, panels, widgets.
//!
//! [`draw`] is pure: the same model and look give the same cells. Nothing here keeps state, asks for the time or does IO.
//! What is scrolled follows from the cursor, so no offset is stored; only the rows that are seen are formatted.
//! **Invariant:** foreign text comes as `domain::Clean` and reaches cells only through `canvas`.

pub mod picture;
pub mod theme;

mod asking;
mod attest;
mod canvas;
mod frame;
mod line;
mod overlays;
mod panels;
mod plan;
mod replay;
mod small;
mod training;
mod widgets;
mod words;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

pub use training::menu;

pub use theme::{BUILT_IN, Role, Theme, ThemeError, ThemeFile, ThemeProblem};

use crate::app::Model;
use crate::domain::{Finding, Health};
use canvas::Canvas;

/// Which characters may be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    #[default]
    Unicode,
    /// For terminals and locales without UTF-8: every cell is ASCII.
    Ascii,
}

/// How a frame looks; what it says comes from the model alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    pub theme: Theme,
    pub charset: Charset,
}

/// Below this the screens have no room for their boxes: a few lines of text say the same.
const COLUMNS_MIN: u16 = 60;
const LINES_MIN: u16 = 15;

/// Draws the whole screen into `buffer`. Returns where the cursor stands when a text field is open.
pub fn draw(buffer: &mut Buffer, model: &Model, look: &Look) -> Option<Position> {
    let area = buffer.area;
    let mut canvas = Canvas { buffer, look };
    canvas.clear(area);
    let glance = Glance::of(model);
    let cursor = if area.width < COLUMNS_MIN || area.height < LINES_MIN {
        small::draw(&mut canvas, area, model, &glance)
    } else {
        screen(&mut canvas, area, model, &glance)
    };
    if look.charset == Charset::Ascii {
        canvas::to_ascii(canvas.buffer);
    }
    cursor
}

fn screen(canvas: &mut Canvas<'_>, area: Rect, model: &Model, glance: &Glance) -> Option<Position> {
    let (body, cursor) = frame::draw(canvas, area, model, glance);
    panels::draw(canvas, body, model);
    overlays::draw(canvas, body, model).or(cursor)
}

/// What the first three lines are made of, at every size.
struct Glance {
    findings: Vec<Finding>,
    /// Sources that are watched, and how many of them have been seen at all.
    sources: usize,
    seen: usize,
}

impl Glance {
    fn of(model: &Model) -> Self {
        let board = model.shown();
        Self {
            findings: board.findings(model.shown_at()),
            sources: board.sources.len(),
            seen: board
                .sources
                .values()
                .filter(|watched| watched.last.is_some())
                .count(),
        }
    }

    fn count(&self, health: Health) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.health == health)
            .count()
    }
}
