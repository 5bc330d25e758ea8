//! The annotated page: the author's text with ids at its items and proposed checks under them.
//!
//! What is written is taken out again and compared before it is handed on, so that no page loses a byte to us.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;

use super::annotated::{self, FORMAT, FRONT, Page};
use super::difference::{self, Difference};
use super::propose::quoted;
use super::{Block, Checklist, Item, ItemId, Remark, identity, propose, read, repair};
use crate::domain::Clean;

/// Digits of the hash of the author's file.
const HASH_DIGITS: usize = 64;

/// An annotated page.
#[derive(Debug)]
pub struct Annotation {
    pub text: String,
    /// The page as it reads now.
    pub list: Checklist,
    /// Since the page it was written onto; else everything that had no id.
    pub difference: Difference,
}

/// Annotates a plan. `onto` is an annotated page of an earlier version: ids, accepted checks and notes of the items
/// that are the same are taken from it.
pub fn annotate(name: &str, bytes: &[u8], onto: Option<&[u8]>) -> Annotation {
    let (text, mut remarks) = repair::repair(bytes);
    let page = annotated::strip(&text);
    let repairs = remarks.clone();
    remarks.extend(page.remarks.iter().cloned());
    let mut list = read::read(name, &page, remarks);
    let mut known: HashSet<ItemId> = page.ids.values().cloned().collect();
    let older = onto.map(|bytes| repair::repair(bytes).0);
    let older = older.map(|text| annotated::strip(&text));
    let difference = match &older {
        Some(older) => {
            let old = read::read(name, older, Vec::new());
            difference::carry(&old, &mut list, &mut known)
        }
        None => Difference {
            added: list
                .items()
                .filter(|(_, item)| !known.contains(&item.id))
                .map(|(_, item)| difference::named(item))
                .collect(),
            ..Difference::default()
        },
    };
    for item in list.phases.iter_mut().flat_map(|phase| &mut phase.items) {
        if !known.contains(&item.id) {
            add_proposals(item);
        }
    }
    list.orphans
        .retain(|block| block.accepted || block.note.is_some());
    let front = front(name, bytes, &page, older.as_ref(), &list, &repairs);
    let text = match written(&page.text, &front, &list) {
        Some(text) => text,
        None => {
            list.remarks.push(Remark {
                line: 1,
                text: Clean::line(
                    "the page has lines that look like ours and are not: it is left without ids and proposals",
                ),
            });
            page.text
        }
    };
    Annotation {
        text,
        list,
        difference,
    }
}

fn add_proposals(item: &mut Item) {
    for proposal in propose(item) {
        let block = Block {
            item: item.id.clone(),
            accepted: false,
            words: proposal.words.clone(),
            kind: Clean::from(proposal.kind),
            note: None,
            toml: proposal.toml(&item.id),
            line: 0,
        };
        let known = item
            .blocks
            .iter()
            .any(|other| other.kind == block.kind && other.words == block.words);
        if !known {
            item.blocks.push(block);
        }
    }
}

/// The front matter: the page's own as it is, the older page's with the new source, or a new one.
fn front(
    name: &str,
    bytes: &[u8],
    page: &Page,
    older: Option<&Page>,
    list: &Checklist,
    repairs: &[Remark],
) -> String {
    if let Some(front) = &page.front {
        return front.clone();
    }
    let source = [
        format!("source = {}", quoted(&Clean::line(name))),
        format!(
            "source_sha256 = {}",
            quoted(&identity::hex(bytes, HASH_DIGITS))
        ),
    ];
    if let Some(front) = older.and_then(|page| page.front.as_ref()) {
        let mut out = String::new();
        for line in front.lines() {
            let key = line.split('=').next().unwrap_or_default().trim();
            let line = match key {
                "source" => &source[0],
                "source_sha256" => &source[1],
                _ => line,
            };
            out.push_str(line);
            out.push('\n');
        }
        return out;
    }
    let mut out = format!("{FRONT}\n{FORMAT}\n");
    let _ = writeln!(out, "title = {}", quoted(&list.title));
    let _ = writeln!(out, "{}\n{}", source[0], source[1]);
    if !repairs.is_empty() {
        out.push_str("repaired = [\n");
        for remark in repairs {
            let told = format!("line {}: {}", remark.line, remark.text);
            let _ = writeln!(out, "  {},", quoted(&told));
        }
        out.push_str("]\n");
    }
    let words = placeholders(list);
    if !words.is_empty() {
        // Not on a line of its own: Markdown would make a heading of it.
        out.push_str("\n[fill] # what the proposed checks leave open; fill it in before a check is accepted\n");
        for word in words {
            let _ = writeln!(out, "{word} = \"\"");
        }
    }
    let _ = writeln!(out, "{FRONT}");
    out
}

/// The words in braces of all blocks.
fn placeholders(list: &Checklist) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for (_, item) in list.items() {
        for block in &item.blocks {
            for part in block.toml.split('{').skip(1) {
                let word = part.split('}').next().unwrap_or_default();
                let plain = word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                if plain && !word.is_empty() && part.contains('}') {
                    words.insert(word.to_owned());
                }
            }
        }
    }
    words
}

/// The page, if taking our lines out of it gives the author's text back.
fn written(author: &str, front: &str, list: &Checklist) -> Option<String> {
    let text = write(author, front, list);
    (annotated::strip(&text).text == author).then_some(text)
}

fn write(author: &str, front: &str, list: &Checklist) -> String {
    let mut marks: BTreeMap<usize, &ItemId> = BTreeMap::new();
    let mut blocks: BTreeMap<(usize, Reverse<usize>), Vec<&Block>> = BTreeMap::new();
    for (_, item) in list.items() {
        marks.entry(item.line).or_insert(&item.id);
        blocks
            .entry((item.place.after, Reverse(item.place.indent)))
            .or_default()
            .extend(&item.blocks);
    }
    let mut out = String::with_capacity(author.len() * 2);
    out.push_str(front);
    let end = if author.contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    let mut waiting = blocks.into_iter().peekable();
    let mut open = false;
    for (n, whole) in author.split_inclusive('\n').enumerate() {
        let body = whole.trim_end_matches(['\r', '\n']);
        out.push_str(body);
        if let Some(id) = marks.get(&(n + 1)) {
            out.push_str(&annotated::mark(id));
        }
        out.push_str(&whole[body.len()..]);
        open = !whole.ends_with('\n');
        while let Some(((_, Reverse(indent)), blocks)) =
            waiting.next_if(|((after, _), _)| *after == n + 1)
        {
            for block in blocks {
                add_block(&mut out, block, indent, end, open);
            }
        }
    }
    for block in &list.orphans {
        add_block(&mut out, block, 0, end, open || author.is_empty());
    }
    out
}

/// A block on lines of its own. In a page without a last newline, `open`, it brings one and ends without.
fn add_block(out: &mut String, block: &Block, indent: usize, end: &str, open: bool) {
    if open {
        out.push_str(end);
    }
    out.push_str(&annotated::fenced(&block.toml, indent, end));
    if !open {
        out.push_str(end);
    }
}
