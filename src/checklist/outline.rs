//! Markdown as a row of blocks: headings, paragraphs, lists and tables with their lines. Nothing is judged here.
//!
//! Lists are flat, each row knowing its parent: a hostile page nests a list a million deep, and nothing may recurse
//! over that.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Text without its stars. What was bold at its beginning is remembered: people write labels so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) plain: String,
    /// Bytes of `plain` that were bold, from its beginning.
    pub(super) bold: usize,
}

impl Text {
    /// `**Label**: rest`, `**Label:** rest`: both parts, the second perhaps empty.
    pub(super) fn label(&self) -> Option<(&str, &str)> {
        let (bold, rest) = self.plain.split_at_checked(self.bold)?;
        let label = bold.trim();
        let (label, rest) = match label.strip_suffix(':') {
            Some(label) => (label, rest),
            None => (label, rest.trim_start().strip_prefix(':')?),
        };
        (!label.is_empty()).then(|| (label.trim(), rest.trim()))
    }

    /// Nothing but bold words, perhaps with a colon: a heading of those who dislike headings.
    pub(super) fn bold_heading(&self) -> Option<&str> {
        let (bold, rest) = self.plain.split_at_checked(self.bold)?;
        let words = bold.trim().trim_end_matches(':');
        (!words.is_empty() && matches!(rest.trim(), "" | ":")).then_some(words)
    }
}

#[derive(Debug)]
pub(super) enum Block {
    Heading {
        level: u8,
        text: String,
        line: usize,
    },
    /// One text a line.
    Paragraph { lines: Vec<Text>, line: usize },
    List {
        rows: Vec<Row>,
        /// The last line of all of it.
        line_last: usize,
        /// Inside a quotation nothing of ours can stand.
        quoted: bool,
    },
    Table {
        head: Vec<String>,
        rows: Vec<(usize, Vec<String>)>,
        line_last: usize,
    },
}

/// A point of a list.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Its parent in the same list.
    pub(super) parent: Option<usize>,
    pub(super) text: Text,
    /// `[ ]` or `[x]`
    pub(super) ticked: Option<bool>,
    pub(super) line: usize,
    pub(super) line_last: usize,
    /// Column of the row's text.
    pub(super) indent: usize,
    /// Further paragraphs.
    pub(super) more: Vec<String>,
    /// `toml check` blocks inside it.
    pub(super) checks: Vec<String>,
}

/// The blocks of a page.
pub(super) fn outline(text: &str) -> Vec<Block> {
    let skipped = front_matter(text);
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_STRIKETHROUGH;
    let mut builder = Builder {
        source: text,
        lines: std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect(),
        ..Builder::default()
    };
    for (event, range) in Parser::new_ext(&text[skipped..], options).into_offset_iter() {
        builder.take(event, range.start + skipped..range.end + skipped);
    }
    builder.blocks
}

/// Bytes of a front matter of the author's own: no heading, whatever its last line looks like.
fn front_matter(text: &str) -> usize {
    /// A front matter is a dozen lines; a page that begins with a rule is none.
    const LINES_MAX: usize = 200;
    let mut lines = text.split_inclusive('\n');
    let Some(first) = lines.next() else { return 0 };
    let fence = first.trim_end();
    if !matches!(fence, "---" | "+++") {
        return 0;
    }
    let mut length = first.len();
    for line in lines.take(LINES_MAX) {
        length += line.len();
        if line.trim_end() == fence {
            return length;
        }
        if line.trim().is_empty() && fence == "---" {
            return 0;
        }
    }
    0
}

#[derive(Default)]
struct Builder<'a> {
    source: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    blocks: Vec<Block>,
    /// The list that is being read, and the rows of it that are open.
    rows: Vec<Row>,
    open: Vec<usize>,
    lists: usize,
    quotes: usize,
    /// Inline text as it comes, in lines.
    said: Vec<Text>,
    strong_from_start: bool,
    code: Option<(bool, String)>,
    head: Vec<String>,
    cells: Vec<String>,
    table: Vec<(usize, Vec<String>)>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(&tag, range),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) => match &mut self.code {
                Some((_, code)) => code.push_str(&text),
                None => self.say(&text),
            },
            Event::Code(code) => {
                self.say("`");
                self.say(&code);
                self.say("`");
            }
            Event::SoftBreak | Event::HardBreak => self.said.push(Text::default()),
            Event::InlineHtml(html) if html.starts_with("<br") => self.say(" "),
            Event::TaskListMarker(ticked) => {
                if let Some(&row) = self.open.last() {
                    self.rows[row].ticked = Some(ticked);
                }
            }
            Event::InlineHtml(_)
            | Event::Html(_)
            | Event::Rule
            | Event::FootnoteReference(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_) => {}
        }
    }

    fn say(&mut self, text: &str) {
        match self.said.last_mut() {
            Some(last) => last.plain.push_str(text),
            None => self.said.push(Text {
                plain: text.to_owned(),
                bold: 0,
            }),
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::List(_) => {
                self.settle();
                self.lists += 1;
            }
            Tag::Item => {
                self.settle();
                let row = Row {
                    parent: self.open.last().copied(),
                    line: self.line(range.start),
                    line_last: self.last_line(&range),
                    indent: self.indent(range.start),
                    ..Row::default()
                };
                self.open.push(self.rows.len());
                self.rows.push(row);
            }
            Tag::Paragraph | Tag::Heading { .. } => {
                self.settle();
            }
            Tag::BlockQuote(_) => {
                self.settle();
                self.quotes += 1;
            }
            Tag::CodeBlock(kind) => {
                self.settle();
                let check = match kind {
                    CodeBlockKind::Fenced(info) => info.split_whitespace().eq(["toml", "check"]),
                    CodeBlockKind::Indented => false,
                };
                self.code = Some((check, String::new()));
            }
            Tag::Table(_) => {
                self.settle();
                self.head.clear();
                self.table.clear();
            }
            Tag::TableHead | Tag::TableRow => self.cells.clear(),
            Tag::TableCell => self.said.clear(),
            Tag::Strong => {
                self.strong_from_start = self
                    .said
                    .last()
                    .is_none_or(|text| text.plain.trim().is_empty());
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: Range<usize>) {
        match tag {
            TagEnd::Strong => {
                if self.strong_from_start
                    && let Some(last) = self.said.last_mut()
                {
                    last.bold = last.plain.len();
                }
                self.strong_from_start = false;
            }
            TagEnd::Paragraph => self.settle_paragraph(&range),
            TagEnd::Heading(level) => {
                let text = joined(std::mem::take(&mut self.said)).plain;
                match self.open.last() {
                    Some(&row) => self.rows[row].more.push(text),
                    None => self.blocks.push(Block::Heading {
                        level: level as u8,
                        text,
                        line: self.line(range.start),
                    }),
                }
            }
            TagEnd::Item => {
                self.settle();
                self.open.pop();
            }
            TagEnd::List(_) => {
                self.lists = self.lists.saturating_sub(1);
                if self.lists == 0 {
                    self.blocks.push(Block::List {
                        rows: std::mem::take(&mut self.rows),
                        line_last: self.last_line(&range),
                        quoted: self.quotes > 0,
                    });
                }
            }
            TagEnd::BlockQuote(_) => self.quotes = self.quotes.saturating_sub(1),
            TagEnd::CodeBlock => {
                if let Some((true, code)) = self.code.take()
                    && let Some(&row) = self.open.last()
                {
                    self.rows[row].checks.push(code);
                }
            }
            TagEnd::TableCell => {
                let cell = joined(std::mem::take(&mut self.said)).plain;
                self.cells.push(cell.trim().to_owned());
            }
            TagEnd::TableHead => self.head = std::mem::take(&mut self.cells),
            TagEnd::TableRow => {
                let cells = std::mem::take(&mut self.cells);
                let line = self.line(range.start);
                self.table.push((line, cells));
            }
            TagEnd::Table => self.end_table(&range),
            _ => {}
        }
    }

    fn end_table(&mut self, range: &Range<usize>) {
        let rows = std::mem::take(&mut self.table);
        match self.open.last() {
            Some(&row) => {
                let lines = rows.into_iter().map(|(_, cells)| cells.join(" | "));
                self.rows[row].more.extend(lines);
            }
            None => self.blocks.push(Block::Table {
                head: std::mem::take(&mut self.head),
                rows,
                line_last: self.last_line(range),
            }),
        }
    }

    /// Inline text of a row ends where the next block begins.
    fn settle(&mut self) {
        let said = std::mem::take(&mut self.said);
        let Some(&at) = self.open.last() else { return };
        let text = joined(said);
        if text.plain.trim().is_empty() {
            return;
        }
        let has_children = self.rows.len() > at + 1;
        let row = &mut self.rows[at];
        if row.text.plain.is_empty() && row.more.is_empty() && !has_children {
            row.text = text;
        } else {
            row.more.push(text.plain);
        }
    }

    fn settle_paragraph(&mut self, range: &Range<usize>) {
        if self.open.is_empty() {
            let lines = std::mem::take(&mut self.said);
            self.blocks.push(Block::Paragraph {
                lines,
                line: self.line(range.start),
            });
        } else {
            self.settle();
        }
    }

    /// From 1.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).max(1)
    }

    /// The last line of a range that says something.
    fn last_line(&self, range: &Range<usize>) -> usize {
        let said = self.source[range.clone()].trim_end().len();
        self.line(range.start + said.saturating_sub(1))
    }

    /// The column in which the text of a row begins, after its bullet or number.
    fn indent(&self, at: usize) -> usize {
        let start = self.lines[self.line(at) - 1];
        let line = self.source[start..].lines().next().unwrap_or_default();
        let blanks = line.len() - line.trim_start_matches(' ').len();
        let rest = &line[blanks..];
        let marker = rest.find(' ').unwrap_or(rest.len());
        let after = rest[marker..].len() - rest[marker..].trim_start_matches(' ').len();
        // Five blanks and more after a bullet are code, and the text begins after one.
        blanks + marker + if (1..=4).contains(&after) { after } else { 1 }
    }
}

fn joined(lines: Vec<Text>) -> Text {
    let mut lines = lines.into_iter();
    let mut whole = lines.next().unwrap_or_default();
    for line in lines {
        whole.plain.push(' ');
        whole.plain.push_str(&line.plain);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Row> {
        outline(text)
            .into_iter()
            .filter_map(|block| match block {
                Block::List { rows, .. } => Some(rows),
                _ => None,
            })
            .flatten()
            .collect()
    }

    #[test]
    fn rows_know_their_parents_lines_and_ticks() {
        let rows = rows("- [x] **A**: one\n  two\n  - b\n\n    more\n1. [ ] c\n");
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].text.label(), Some(("A", "one two")));
        assert_eq!(
            (rows[0].ticked, rows[0].line, rows[0].line_last),
            (Some(true), 1, 5)
        );
        assert_eq!((rows[1].parent, rows[1].indent), (Some(0), 4));
        assert_eq!(rows[1].more, ["more"]);
        assert_eq!((rows[2].ticked, rows[2].line), (Some(false), 6));
    }

    #[test]
    fn a_list_nested_without_end_is_read() {
        let deep = "- + ".repeat(5000) + "end";
        assert!(!outline(&deep).is_empty());
    }

    #[test]
    fn a_front_matter_is_no_heading_and_a_rule_is_no_front_matter() {
        assert_eq!(outline("---\ntitle: x\n---\n").len(), 0);
        let blocks = outline("---\n\n- a\n\n---\n");
        assert!(matches!(blocks[..], [Block::List { .. }]), "{blocks:?}");
    }
}
