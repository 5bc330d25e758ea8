//! Where things stand on a page: front matter, headings, and the fenced blocks that are ours. Everything else is prose.

use super::problem::{Problems, meant};

/// Words of the blocks, as they stand behind `toml` on the line of the fence.
const WORDS: &[(&str, Word)] = &[
    ("step", Word::Step),
    ("check", Word::Check),
    ("ask", Word::Ask),
    ("each", Word::Each),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Step,
    Check,
    Ask,
    Each,
}

/// A page, cut into its parts. Lines count from 1.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The text between the two `+++`, and the line of the first.
    pub(super) front: Option<(usize, String)>,
    pub(super) parts: Vec<Part>,
    /// Where the prose begins.
    pub(super) body_line: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Heading {
        line: usize,
        text: String,
    },
    Block {
        /// Of the fence.
        line: usize,
        word: Word,
        text: String,
    },
}

/// A fence: its sign, how many of them, and how far it is indented.
struct Fence {
    sign: char,
    count: usize,
    indent: usize,
}

pub(super) fn scan(text: &str, problems: &mut Problems) -> Page {
    let lines: Vec<&str> = text.lines().collect();
    let mut page = Page {
        body_line: 1,
        ..Page::default()
    };
    let mut at = front(&lines, &mut page, problems);
    while let Some(line) = lines.get(at) {
        if let Some((fence, info)) = opening(line) {
            at = block(&lines, at, &fence, info, &mut page, problems);
        } else {
            if let Some(text) = heading(line) {
                page.parts.push(Part::Heading {
                    line: at + 1,
                    text: text.to_owned(),
                });
            }
            at += 1;
        }
    }
    page
}

/// Takes the front matter; where the body begins, as an index.
fn front(lines: &[&str], page: &mut Page, problems: &mut Problems) -> usize {
    if lines.first().is_none_or(|line| line.trim_end() != "+++") {
        let first = lines.first().copied().unwrap_or_default();
        problems.add(
            1,
            first,
            "a runbook begins with its front matter",
            "begin with a line +++, then id = \"…\", title = \"…\", risk = \"…\", then a line +++",
        );
        return 0;
    }
    let end = lines
        .iter()
        .skip(1)
        .position(|line| line.trim_end() == "+++");
    let Some(end) = end.map(|end| end + 1) else {
        problems.add(
            1,
            lines[0],
            "the front matter has no end",
            "end it with a line +++ of its own",
        );
        return lines.len();
    };
    page.front = Some((1, lines[1..end].join("\n")));
    page.body_line = end + 2;
    end + 1
}

fn opening(line: &str) -> Option<(Fence, &str)> {
    let inner = line.trim_start();
    let sign = inner.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = inner.chars().take_while(|c| *c == sign).count();
    let info = inner[count..].trim();
    // Three backquotes around a word on one line are code in a sentence.
    if count < 3 || (sign == '`' && info.contains('`')) {
        return None;
    }
    let fence = Fence {
        sign,
        count,
        indent: line.len() - inner.len(),
    };
    Some((fence, info))
}

fn closes(line: &str, fence: &Fence) -> bool {
    let inner = line.trim();
    inner.len() >= fence.count && inner.chars().all(|c| c == fence.sign)
}

/// Takes one fenced block; where it goes on after it, as an index.
fn block(
    lines: &[&str],
    at: usize,
    fence: &Fence,
    info: &str,
    page: &mut Page,
    problems: &mut Problems,
) -> usize {
    let body = lines[at + 1..]
        .iter()
        .position(|line| closes(line, fence))
        .map(|end| at + 1 + end);
    let Some(end) = body else {
        problems.add(
            at + 1,
            lines[at],
            "this block has no end",
            "end it with a line of the same signs",
        );
        return lines.len();
    };
    let mut info = info.split_whitespace();
    if info.next() == Some("toml")
        && let Some(said) = info.next()
    {
        let known: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        match WORDS.iter().find(|(word, _)| *word == said) {
            Some((_, word)) => page.parts.push(Part::Block {
                line: at + 1,
                word: *word,
                text: dedented(&lines[at + 1..end], fence.indent),
            }),
            None => {
                let says = format!("there is no block `{said}`");
                problems.add(at + 1, lines[at].trim(), &says, &meant(said, &known));
            }
        }
    }
    end + 1
}

/// A block in a list item is indented with it.
fn dedented(lines: &[&str], indent: usize) -> String {
    let cut = |line: &&str| {
        let blank = line.len() - line.trim_start().len();
        line[line.floor_char_boundary(blank.min(indent))..].to_owned()
    };
    lines.iter().map(cut).collect::<Vec<_>>().join("\n")
}

fn heading(line: &str) -> Option<&str> {
    let level = line.chars().take_while(|c| *c == '#').count();
    let text = line.get(level..)?.strip_prefix(' ')?;
    (1..=6)
        .contains(&level)
        .then(|| text.trim().trim_end_matches('#').trim_end())
}
