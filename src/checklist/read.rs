//! What of a page is a phase and what is an item.
//!
//! The rules, in the order in which they are asked: a ticked or unticked box is always an item. Under a heading that
//! says so, a point of the first level is one, and so is a row of a table. `Action:` and `Deliverable:` make an item of
//! a point in a phase, or of the points under it. A point that says ✅ of itself is an item too. Everything else is
//! prose, and what is nested in an item is its detail.

use std::collections::{BTreeMap, HashSet};

use super::annotated::Page;
use super::outline::{Block, Row, Text, outline};
use super::{
    Checklist, Demand, Field, Item, ItemId, Kind, Mark, Phase, PhaseKind, Place, Remark, naming,
    words,
};
use crate::domain::Clean;

/// A point nested deeper is shown at this depth.
const DETAIL_DEPTH_MAX: usize = 8;
/// Lines of detail kept for one item; a page nested under one point is not read on a screen.
const DETAIL_LINES_MAX: usize = 200;
/// Level of bold words that stand for a heading: below all headings.
const BOLD_LEVEL: u8 = 7;

pub(super) fn read(name: &str, page: &Page, remarks: Vec<Remark>) -> Checklist {
    let blocks = outline(&page.text);
    let mut reader = Reader {
        numbers: blocks
            .iter()
            .filter_map(|block| match block {
                Block::Heading { text, .. } => words::phase(text)
                    .filter(|(kind, _)| *kind == PhaseKind::Phase)
                    .map(|(_, number)| number),
                _ => None,
            })
            .collect(),
        ..Reader::default()
    };
    for block in &blocks {
        reader.take(block);
    }
    let title = reader.title.take().unwrap_or_default();
    let phases = reader.finish();
    let mut list = Checklist {
        name: Clean::line(name),
        title,
        phases,
        remarks,
        orphans: Vec::new(),
        ..Checklist::default()
    };
    naming::name_items(&mut list, &page.ids);
    naming::hand_out_blocks(&mut list, page);
    list
}

/// A heading whose text is still open.
struct Head {
    level: u8,
    phase: Option<usize>,
    group: Option<Kind>,
    quiet: bool,
}

#[derive(Default)]
struct Reader {
    title: Option<Clean>,
    phases: Vec<Phase>,
    heads: Vec<Head>,
    /// Numbers of all phases of the page, for the tables that speak of them.
    numbers: HashSet<String>,
    /// The first phase of each number.
    by_number: BTreeMap<(PhaseKind, String), usize>,
    /// Rows of a table of phases: number, fields.
    told: Vec<(String, Vec<Field>)>,
    /// The group of bold words that stand for a heading, and whether a list of it was seen.
    bold: Option<(Option<Kind>, bool)>,
    /// Deliverables under bold words: phase and index of the item.
    under_bold: Vec<(usize, Kind)>,
}

impl Reader {
    fn take(&mut self, block: &Block) {
        match block {
            Block::Heading { level, text, line } => self.heading(*level, text, *line),
            Block::Paragraph { lines, line } => self.paragraph(lines, *line),
            Block::List {
                rows,
                line_last,
                quoted,
            } => {
                let after = quoted.then_some(*line_last);
                self.list(rows, after);
                if let Some((_, seen)) = &mut self.bold {
                    *seen = true;
                }
            }
            Block::Table {
                head,
                rows,
                line_last,
            } => self.table(head, rows, *line_last),
        }
    }

    fn heading(&mut self, level: u8, text: &str, line: usize) {
        self.bold = None;
        while self.heads.last().is_some_and(|head| head.level >= level) {
            self.heads.pop();
        }
        let phase = words::phase(text);
        if level == 1 && phase.is_none() && self.title.is_none() && self.phases.is_empty() {
            self.title = Some(Clean::line(text));
            return;
        }
        let inherited = self.group();
        let parent = self.phase();
        let (group, index) = match &phase {
            // `Success Criteria` > `Phase 1 (Database)`: of the phase that was there before.
            Some((kind, number)) => {
                let before =
                    inherited.and_then(|_| self.by_number.get(&(*kind, number.clone())).copied());
                let index = before
                    .unwrap_or_else(|| self.open(text, *kind, Some(number.clone()), parent, line));
                (None, Some(index))
            }
            None => {
                let group = words::group(text);
                let index = if group.is_some() && parent.is_some_and(|at| self.in_phase(at)) {
                    None
                } else {
                    Some(self.open(text, PhaseKind::Section, None, parent, line))
                };
                (group, index)
            }
        };
        self.heads.push(Head {
            level,
            phase: index,
            quiet: group.is_none() && phase.is_none() && words::is_quiet(text),
            group,
        });
    }

    fn open(
        &mut self,
        text: &str,
        kind: PhaseKind,
        number: Option<String>,
        parent: Option<usize>,
        line: usize,
    ) -> usize {
        if let Some(number) = &number {
            self.by_number
                .entry((kind, number.clone()))
                .or_insert(self.phases.len());
        }
        let mut fields = Vec::new();
        if let Some((name, value)) = words::labelled(text) {
            fields.push(field(name, value));
        }
        self.phases.push(Phase {
            title: Clean::line(text),
            kind,
            number,
            parent,
            line,
            mark: words::status_at_end(text).unwrap_or_default(),
            fields,
            items: Vec::new(),
        });
        self.phases.len() - 1
    }

    /// Whether the phase, or one around it, is called one.
    fn in_phase(&self, mut at: usize) -> bool {
        loop {
            let phase = &self.phases[at];
            if phase.kind != PhaseKind::Section {
                return true;
            }
            match phase.parent {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    fn phase(&self) -> Option<usize> {
        self.heads.iter().rev().find_map(|head| head.phase)
    }

    /// The phase for an item; a page without headings has one without a title.
    fn phase_or_page(&mut self) -> usize {
        match self.phase() {
            Some(at) => at,
            None => match self.phases.iter().position(|phase| phase.line == 0) {
                Some(at) => at,
                None => self.open("", PhaseKind::Section, None, None, 0),
            },
        }
    }

    /// What stands here, by the nearest heading that says so.
    fn group(&self) -> Option<Kind> {
        if let Some((group, _)) = self.bold {
            return group;
        }
        for head in self.heads.iter().rev() {
            if head.group.is_some() || head.quiet {
                return head.group;
            }
        }
        None
    }

    fn paragraph(&mut self, lines: &[Text], line: usize) {
        let [first, rest @ ..] = lines else { return };
        if rest.is_empty()
            && let Some(words) = first.bold_heading()
        {
            if words::phase(words).is_some() {
                self.heading(BOLD_LEVEL, words, line);
            } else {
                self.bold = Some((words::group(words), false));
            }
            return;
        }
        if rest.is_empty()
            && first.plain.trim_end().ends_with(':')
            && first.plain.split_whitespace().count() <= 4
            && let Some(kind) = words::group(&first.plain)
        {
            self.bold = Some((Some(kind), false));
            return;
        }
        // What comes after the list of bold words is no longer theirs.
        if self.bold.is_some_and(|(_, seen)| seen) {
            self.bold = None;
        }
        let Some(at) = self.phase() else { return };
        for text in lines {
            let Some((name, value)) = text.label().filter(|(_, value)| !value.is_empty()) else {
                continue;
            };
            let phase = &mut self.phases[at];
            if name.eq_ignore_ascii_case("status")
                && let Some(mark) = words::status(value)
            {
                phase.mark = mark;
            }
            phase.fields.push(field(name, value));
        }
    }

    fn list(&mut self, rows: &[Row], after: Option<usize>) {
        let group = self.group();
        let in_phase = self.phase().is_some_and(|at| self.in_phase(at));
        // For each row: the item it is or belongs to (phase, index), and what its children are where it is a mere label.
        let mut item_of: Vec<Option<(usize, usize)>> = vec![None; rows.len()];
        let mut opens: Vec<Option<Kind>> = vec![None; rows.len()];
        for (at, row) in rows.iter().enumerate() {
            let around = row.parent.and_then(|parent| item_of[parent]);
            let here = match row.parent {
                None => group,
                Some(parent) => opens[parent],
            };
            let label = row.text.label().and_then(|(label, rest)| {
                let kind = words::label(label)?;
                (in_phase || here.is_some()).then_some((kind, rest))
            });
            if let Some((kind, rest)) = label
                && rest.is_empty()
                && row.ticked.is_none()
            {
                opens[at] = Some(kind);
                continue;
            }
            if let Some((title, kind, mark)) = self.judge(row, here, label) {
                let phase = self.phase_or_page();
                let item = item(row, &title, kind, mark, after);
                self.phases[phase].items.push(item);
                item_of[at] = Some((phase, self.phases[phase].items.len() - 1));
                if self.bold.is_some() && row.ticked.is_none() {
                    self.under_bold.push((phase, kind));
                }
            } else if row.text.plain.is_empty() && row.parent.is_none() {
                // A number with nothing but a list in it.
                opens[at] = here;
            } else if let Some((phase, index)) = around {
                item_of[at] = around;
                let outer = rows_between(rows, at, &item_of);
                add_detail(&mut self.phases[phase].items[index], row, outer);
            }
        }
    }

    /// The title, kind and mark of a row that is an item.
    fn judge(
        &self,
        row: &Row,
        here: Option<Kind>,
        label: Option<(Kind, &str)>,
    ) -> Option<(String, Kind, Mark)> {
        let text = row.text.plain.trim();
        let said =
            words::sign(text).or_else(|| row.text.label().and_then(|(_, rest)| words::sign(rest)));
        if let Some(ticked) = row.ticked {
            let kind = here.or_else(|| self.group()).unwrap_or(Kind::Task);
            let mark = if ticked {
                Mark::Done
            } else {
                said.unwrap_or_default()
            };
            return Some((text.to_owned(), kind, mark));
        }
        if text.is_empty() {
            return None;
        }
        let bare = |text: &str| text.trim_end_matches(':').trim_end().to_owned();
        let mark = said.unwrap_or_default();
        match (label, here) {
            (Some((kind, rest)), _) => Some((bare(rest), kind, mark)),
            (None, Some(kind)) => Some((bare(text), kind, mark)),
            // Said of itself, in a list that is none of ours.
            (None, None) if said.is_some() && row.parent.is_none() => {
                Some((bare(text), Kind::Criterion, mark))
            }
            (None, None) => None,
        }
    }

    fn table(&mut self, head: &[String], rows: &[(usize, Vec<String>)], line_last: usize) {
        if self.tells_of_phases(head, rows) {
            for (_, cells) in rows {
                let number = cells
                    .first()
                    .map(|cell| number_of(cell))
                    .unwrap_or_default();
                let fields = head.iter().zip(cells).skip(1);
                let fields = fields.map(|(name, value)| field(name, value)).collect();
                self.told.push((number, fields));
            }
            return;
        }
        let quiet = self.heads.last().is_some_and(|head| head.quiet);
        let boxed = rows.iter().any(|(_, cells)| {
            cells.iter().any(|cell| {
                cell.starts_with("[ ]") || cell.starts_with("[x]") || cell.starts_with('☐')
            })
        });
        let kind = match words::table(head) {
            Some(kind) if !quiet => kind,
            _ => match self.group() {
                Some(kind) => kind,
                None if boxed => Kind::Task,
                None => return,
            },
        };
        let title_at = head
            .iter()
            .position(|column| !words::is_number_column(column))
            .unwrap_or(0);
        for (line, cells) in rows {
            let Some(title) = cells.get(title_at).filter(|title| !title.is_empty()) else {
                continue;
            };
            let status = head
                .iter()
                .zip(cells)
                .filter(|(column, _)| words::is_status_column(column))
                .find_map(|(_, cell)| words::status(cell));
            let signed = cells.iter().find_map(|cell| words::sign(cell));
            let fields = head.iter().zip(cells).enumerate();
            let fields = fields
                .filter(|(at, (_, value))| *at != title_at && !value.is_empty())
                .map(|(_, (name, value))| field(name, value))
                .collect();
            let at = self.phase_or_page();
            self.phases[at].items.push(Item {
                id: ItemId(String::new()),
                title: Clean::line(title),
                kind,
                mark: status.or(signed).unwrap_or_default(),
                line: *line,
                line_last: *line,
                fields,
                detail: Vec::new(),
                checks: Vec::new(),
                blocks: Vec::new(),
                demand: Demand::default(),
                place: Place {
                    after: line_last,
                    indent: 0,
                },
            });
        }
    }

    /// A table whose first column counts the phases of this page.
    fn tells_of_phases(&self, head: &[String], rows: &[(usize, Vec<String>)]) -> bool {
        let first = head.first().map(|column| column.to_lowercase());
        let counts = first.is_some_and(|column| {
            ["phase", "stage", "milestone", "part", "sprint"].contains(&column.trim())
        });
        counts
            && rows
                .iter()
                .filter_map(|(_, cells)| cells.first())
                .any(|cell| self.numbers.contains(&number_of(cell)))
    }

    fn finish(mut self) -> Vec<Phase> {
        for (number, fields) in std::mem::take(&mut self.told) {
            if let Some(&at) = self.by_number.get(&(PhaseKind::Phase, number)) {
                self.phases[at].fields.extend(fields);
            }
        }
        self.raise_last_deliverables();
        prune(self.phases)
    }

    /// Bold deliverables after the last day of a phase, and after no other day of it, are of the phase.
    fn raise_last_deliverables(&mut self) {
        let mut days: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, phase) in self.phases.iter().enumerate() {
            if let Some(parent) = phase.parent.filter(|_| phase.kind == PhaseKind::Days) {
                days.entry(parent).or_default().push(at);
            }
        }
        let mut groups: BTreeMap<(usize, Kind), Vec<usize>> = BTreeMap::new();
        for (at, kind) in std::mem::take(&mut self.under_bold) {
            let phase = &self.phases[at];
            if let Some(parent) = phase.parent.filter(|_| phase.kind == PhaseKind::Days) {
                let days = groups.entry((parent, kind)).or_default();
                if days.last() != Some(&at) {
                    days.push(at);
                }
            }
        }
        for ((parent, kind), with) in groups {
            let siblings = &days[&parent];
            if let ([at], Some(last), true) = (&with[..], siblings.last(), siblings.len() > 1)
                && at == last
            {
                let items = std::mem::take(&mut self.phases[*at].items);
                let (up, stay): (Vec<Item>, Vec<Item>) =
                    items.into_iter().partition(|item| item.kind == kind);
                self.phases[*at].items = stay;
                self.phases[parent].items.extend(up);
                self.phases[parent].items.sort_by_key(|item| item.line);
            }
        }
    }
}

/// How many rows lie between this one and the item it belongs to.
fn rows_between(rows: &[Row], at: usize, item_of: &[Option<(usize, usize)>]) -> usize {
    let mut depth = 0;
    let mut up = rows[at].parent;
    while let Some(parent) = up {
        let outer = rows[parent].parent.and_then(|outer| item_of[outer]);
        if depth == DETAIL_DEPTH_MAX || outer != item_of[at] {
            break;
        }
        depth += 1;
        up = rows[parent].parent;
    }
    depth
}

fn add_detail(item: &mut Item, row: &Row, depth: usize) {
    let blanks = "  ".repeat(depth);
    let lines = std::iter::once(&row.text.plain).chain(&row.more);
    for line in lines.filter(|line| !line.is_empty()) {
        if item.detail.len() < DETAIL_LINES_MAX {
            item.detail.push(Clean::line(&format!("{blanks}{line}")));
        }
    }
    item.checks.extend(row.checks.iter().cloned());
}

fn item(row: &Row, title: &str, kind: Kind, mark: Mark, after: Option<usize>) -> Item {
    Item {
        id: ItemId(String::new()),
        title: Clean::line(title),
        kind,
        mark,
        line: row.line,
        line_last: row.line_last,
        fields: Vec::new(),
        detail: row
            .more
            .iter()
            .take(DETAIL_LINES_MAX)
            .map(|line| Clean::line(line))
            .collect(),
        checks: row.checks.clone(),
        blocks: Vec::new(),
        demand: Demand::default(),
        place: match after {
            Some(after) => Place { after, indent: 0 },
            None => Place {
                after: row.line_last,
                indent: row.indent,
            },
        },
    }
}

fn field(name: &str, value: &str) -> Field {
    Field {
        name: Clean::line(name.trim()),
        value: Clean::line(value.trim()),
    }
}

fn number_of(cell: &str) -> String {
    match words::phase(cell) {
        Some((_, number)) => number,
        None => cell.trim().to_lowercase(),
    }
}

/// Headings without items are prose; a phase that is called one stays, empty.
fn prune(phases: Vec<Phase>) -> Vec<Phase> {
    let mut keep: Vec<bool> = phases
        .iter()
        .map(|phase| !phase.items.is_empty() || phase.kind == PhaseKind::Phase)
        .collect();
    // Children stand after their parents, so that one pass from the end is enough.
    for at in (0..phases.len()).rev() {
        if keep[at]
            && let Some(parent) = phases[at].parent
        {
            keep[parent] = true;
        }
    }
    let mut place = vec![0; phases.len()];
    let mut kept = 0;
    for (at, keep) in keep.iter().enumerate() {
        place[at] = kept;
        kept += usize::from(*keep);
    }
    phases
        .into_iter()
        .zip(keep)
        .filter(|(_, keep)| *keep)
        .map(|(mut phase, _)| {
            phase.parent = phase.parent.map(|parent| place[parent]);
            phase
        })
        .collect()
}
