//! The annotated page: what we wrote between the author's lines, and the author's lines without it.
//!
//! Three things are ours: a front matter whose first line is [`FORMAT`], a comment with the id at the end of an item's
//! line, which Markdown does not show, and fenced `toml check` blocks whose first line names their item. Each is taken
//! out by lines, so that what remains is the author's page byte for byte, whatever else is in it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ItemId, Remark};
use crate::domain::Clean;

/// The first line of our front matter.
pub(super) const FORMAT: &str = "format = \"quarterdeck-checklist-1\"";
/// What fences a front matter.
pub(super) const FRONT: &str = "+++";
/// What fences a check.
pub(super) const FENCE: &str = "```toml check";
const FENCE_END: &str = "```";
const MARK: &str = " <!-- item:";
const MARK_END: &str = " -->";
/// An id is a handful of letters; what is longer is somebody's comment.
const ID_BYTES_MAX: usize = 40;

/// A check block of ours, proposed or accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Block {
    pub item: ItemId,
    /// Whether a person said yes to it.
    pub accepted: bool,
    /// The author's words it was proposed for.
    pub words: Clean,
    pub kind: Clean,
    /// What a person wrote beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Clean>,
    /// The lines between the fences, as they stand.
    pub toml: String,
    /// Where its fence stands in the file, from 1; 0: nowhere yet.
    #[serde(skip)]
    pub line: usize,
}

/// A page, taken apart.
pub(super) struct Page {
    /// The author's text.
    pub(super) text: String,
    /// Our front matter with its fences.
    pub(super) front: Option<String>,
    /// Ids by the author's line.
    pub(super) ids: BTreeMap<usize, ItemId>,
    pub(super) blocks: Vec<Block>,
    pub(super) remarks: Vec<Remark>,
    /// Where each line of the author stands in the file, from 1.
    pub(super) places: Vec<usize>,
}

/// Whether the page was written by us.
pub(super) fn is_ours(text: &str) -> bool {
    let mut lines = text.lines();
    lines.next().map(str::trim_end) == Some(FRONT)
        && lines.next().map(str::trim_end) == Some(FORMAT)
}

/// The comment that names an item at the end of its line.
pub(super) fn mark(id: &ItemId) -> String {
    format!("{MARK}{id}{MARK_END}")
}

/// The lines of a block, each indented, without the last line's end.
pub(super) fn fenced(toml: &str, indent: usize, end: &str) -> String {
    let blanks = " ".repeat(indent);
    let mut out = format!("{blanks}{FENCE}");
    for line in toml.lines() {
        out.push_str(end);
        if !line.is_empty() {
            out.push_str(&blanks);
            out.push_str(line);
        }
    }
    out.push_str(end);
    out.push_str(&blanks);
    out.push_str(FENCE_END);
    out
}

/// Takes our notes out of a page.
pub(super) fn strip(text: &str) -> Page {
    let mut page = Page {
        text: String::with_capacity(text.len()),
        front: None,
        ids: BTreeMap::new(),
        blocks: Vec::new(),
        remarks: Vec::new(),
        places: Vec::new(),
    };
    let mut rest = text;
    let mut above = 0;
    if let Some(length) = front_length(text) {
        page.front = Some(text[..length].to_owned());
        above = text[..length].lines().count();
        rest = &text[length..];
    }
    let lines: Vec<&str> = rest.split_inclusive('\n').collect();
    let mut at = 0;
    let mut line = 1;
    while let Some(whole) = lines.get(at) {
        if let Some(length) = block_length(&lines[at..]) {
            let mut block = read_block(&lines[at..at + length], line, &mut page.remarks);
            block.line = above + at + 1;
            page.blocks.push(block);
            at += length;
            // At the end of a page without a last newline, the one before the block is ours too.
            if at == lines.len() && !lines[at - 1].ends_with('\n') {
                let end = page.text.trim_end_matches('\n').len();
                let end = end.max(page.text.len().saturating_sub(1));
                page.text.truncate(end);
                if page.text.ends_with('\r') {
                    page.text.pop();
                }
            }
            continue;
        }
        let body = whole.trim_end_matches(['\r', '\n']);
        let mut author = body;
        // A line that was copied and annotated again: the last mark is the newest.
        while let Some((before, id)) = marked(author) {
            author = before;
            page.ids.entry(line).or_insert(id);
        }
        page.places.push(above + at + 1);
        page.text.push_str(author);
        page.text.push_str(&whole[body.len()..]);
        line += 1;
        at += 1;
    }
    page
}

fn front_length(text: &str) -> Option<usize> {
    if !is_ours(text) {
        return None;
    }
    let mut length = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        length += line.len();
        if n > 1 && line.trim_end() == FRONT {
            return Some(length);
        }
    }
    None
}

/// How many of these lines are a block of ours.
fn block_length(lines: &[&str]) -> Option<usize> {
    let [first, second, ..] = lines else {
        return None;
    };
    if first.trim() != FENCE || !second.trim_start().starts_with("item = \"") {
        return None;
    }
    lines
        .iter()
        .position(|line| line.trim() == FENCE_END)
        .map(|end| end + 1)
}

fn read_block(lines: &[&str], line: usize, remarks: &mut Vec<Remark>) -> Block {
    let indent = lines[0].len() - lines[0].trim_start_matches(' ').len();
    let mut toml = String::new();
    for line in &lines[1..lines.len() - 1] {
        let line = line.trim_end_matches(['\r', '\n']);
        let blanks = line.len() - line.trim_start_matches(' ').len();
        toml.push_str(&line[blanks.min(indent)..]);
        toml.push('\n');
    }
    let table: toml::Table = toml.parse().unwrap_or_else(|error: toml::de::Error| {
        remarks.push(Remark {
            line: line.saturating_sub(1).max(1),
            text: Clean::line(&format!(
                "the check block after this line cannot be read: {}; it counts as not accepted",
                error.message()
            )),
        });
        toml::Table::new()
    });
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
    // The item is known even where the rest is broken: the line was looked at to find the block.
    let item = lines[1].split('"').nth(1).unwrap_or_default().to_owned();
    Block {
        item: ItemId(item),
        accepted: table.get("accepted").and_then(toml::Value::as_bool) == Some(true),
        words: Clean::line(text("proposed").unwrap_or_default()),
        kind: Clean::line(text("kind").unwrap_or_default()),
        note: text("note").map(Clean::line),
        toml,
        line: 0,
    }
}

fn marked(body: &str) -> Option<(&str, ItemId)> {
    let inner = body.strip_suffix(MARK_END)?;
    let at = inner.rfind(MARK)?;
    let id = &inner[at + MARK.len()..];
    let known = !id.is_empty()
        && id.len() <= ID_BYTES_MAX
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    known.then(|| (&body[..at], ItemId(id.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_notes_are_taken_out_and_the_rest_is_the_authors() {
        let page = strip(
            "+++\nformat = \"quarterdeck-checklist-1\"\n+++\n# A\n- [ ] one <!-- item:ab12 -->\n  ```toml check\n  item = \"ab12\"\n  accepted = true\n  proposed = \"one\"\n  kind = \"http\"\n  note = \"mine\"\n  ```\n- two <!-- a comment -->",
        );
        assert_eq!(page.text, "# A\n- [ ] one\n- two <!-- a comment -->");
        assert_eq!(page.ids[&2], ItemId("ab12".to_owned()));
        let block = &page.blocks[0];
        assert!(block.accepted && block.kind.as_str() == "http");
        assert_eq!(block.note, Some(Clean::from("mine")));
        assert!(page.front.is_some() && page.remarks.is_empty());
    }

    #[test]
    fn a_block_at_the_end_of_a_page_takes_its_own_newline_with_it() {
        for (author, end) in [("- a", "\n"), ("- a\r\n- b", "\r\n")] {
            let block = fenced("item = \"x\"\nkind = \"tls\"\n", 2, end);
            assert_eq!(strip(&format!("{author}{end}{block}")).text, author);
            assert_eq!(
                strip(&format!("{author}{end}{block}{end}")).text,
                format!("{author}{end}")
            );
        }
    }

    #[test]
    fn a_check_the_author_wrote_is_not_ours() {
        let text = "- a\n  ```toml check\n  kind = \"tls\"\n  ```\n";
        assert_eq!(strip(text).text, text);
        let open = "```toml check\nitem = \"x\"\n";
        assert_eq!(strip(open).text, open, "a fence that is never closed");
    }

    #[test]
    fn a_block_that_cannot_be_read_is_kept_and_said() {
        let page = strip("- a\n```toml check\nitem = \"x\"\naccepted = yes\n```\n");
        assert_eq!(page.blocks[0].item, ItemId("x".to_owned()));
        assert!(!page.blocks[0].accepted);
        assert_eq!(page.remarks[0].line, 1);
    }
}
