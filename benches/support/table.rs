//! The table that a bench prints: what was promised beside what was measured.

use std::fmt::Write;

/// One figure.
pub(crate) struct Figure {
    what: String,
    target: Option<f64>,
    measured: Option<f64>,
    unit: &'static str,
}

/// Figures in the order in which they were measured.
#[derive(Default)]
pub(crate) struct Table {
    title: String,
    figures: Vec<Figure>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            figures: Vec::new(),
        }
    }

    /// A figure that must stay below `target`; `None` was not seen at all, which is over.
    pub(crate) fn below(
        &mut self,
        what: impl Into<String>,
        target: f64,
        measured: Option<f64>,
        unit: &'static str,
    ) {
        self.figures.push(Figure {
            what: what.into(),
            target: Some(target),
            measured,
            unit,
        });
    }

    /// A figure that nothing was promised about.
    pub(crate) fn note(
        &mut self,
        what: impl Into<String>,
        measured: Option<f64>,
        unit: &'static str,
    ) {
        self.figures.push(Figure {
            what: what.into(),
            target: None,
            measured,
            unit,
        });
    }

    /// Aligned for a terminal, or as Markdown.
    pub(crate) fn show(&self, markdown: bool) -> String {
        let heads = ["what", "target", "measured", ""].map(str::to_owned);
        let cells: Vec<[String; 4]> = self.figures.iter().map(Figure::cells).collect();
        let mut widths = [0; 4];
        for row in std::iter::once(&heads).chain(&cells) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let edge = if markdown { "|" } else { " " };
        let mut out = format!("{}{}\n\n", if markdown { "### " } else { "" }, self.title);
        let mut line = |row: &[String; 4]| {
            let cells = [
                format!("{:<1$}", row[0], widths[0]),
                format!("{:>1$}", row[1], widths[1]),
                format!("{:>1$}", row[2], widths[2]),
                format!("{:<1$}", row[3], widths[3]),
            ];
            let text = format!("{edge} {} {edge}", cells.join(&format!(" {edge} ")));
            writeln!(out, "{}", text.trim_end()).expect("a text takes any text");
        };
        line(&heads);
        if markdown {
            line(&["---", "--:", "--:", "---"].map(str::to_owned));
        }
        cells.iter().for_each(&mut line);
        out
    }
}

impl Figure {
    fn cells(&self) -> [String; 4] {
        let show = |value: f64| match value.abs() {
            100.0.. => format!("{value:.0} {}", self.unit),
            10.0.. => format!("{value:.1} {}", self.unit),
            _ => format!("{value:.2} {}", self.unit),
        };
        let verdict = match (self.target, self.measured) {
            (None, _) => "",
            (Some(target), Some(measured)) if measured < target => "ok",
            (Some(_), _) => "over",
        };
        [
            self.what.clone(),
            self.target
                .map_or_else(String::new, |target| format!("< {target} {}", self.unit)),
            self.measured.map_or_else(|| "not seen".to_owned(), show),
            verdict.to_owned(),
        ]
    }
}

/// The value below which `part` (0 to 1) of the values lie. Sorts them.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list of a few thousand"
    )]
    let at = (part * values.len() as f64) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied()
}

/// What was asked for on the command line.
pub(crate) struct Asked {
    pub(crate) markdown: bool,
    rest: Vec<String>,
}

impl Asked {
    /// `None` when nobody wants figures: `cargo test --all-targets` starts benches too.
    pub(crate) fn read() -> Option<Self> {
        let rest: Vec<String> = std::env::args().skip(1).collect();
        rest.iter().any(|word| word == "--bench").then(|| Self {
            markdown: rest.iter().any(|word| word == "--markdown"),
            rest,
        })
    }

    /// The number behind `--name`.
    pub(crate) fn number(&self, name: &str, otherwise: u32) -> u32 {
        let at = self.rest.iter().position(|word| word == name);
        at.and_then(|at| self.rest.get(at + 1)?.parse().ok())
            .unwrap_or(otherwise)
    }
}
