//! What an author changed between two versions of a plan, and what stays true of the items that are the same.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::Serialize;

use super::{Block, Checklist, Item, ItemId, identity};
use crate::domain::Clean;

/// Items left over in one phase that are compared word by word; with more, the phase was written anew.
const COMPARED_MAX: usize = 200;
/// Half of the words in common: the same item in other words.
const ALIKE_PERCENT: usize = 50;

/// An item of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    pub id: ItemId,
    pub title: Clean,
}

/// The same item in other words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub id: ItemId,
    pub before: Clean,
    /// The same where only its detail or its fields are others.
    pub after: Clean,
}

/// What is new, gone and other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    pub added: Vec<Named>,
    pub removed: Vec<Named>,
    pub changed: Vec<Change>,
    /// The same words under another heading.
    pub moved: Vec<Named>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && self.moved.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Named { id, title } in &self.added {
            writeln!(f, "added    {id}  {title}")?;
        }
        for Named { id, title } in &self.removed {
            writeln!(f, "removed  {id}  {title}")?;
        }
        for Named { id, title } in &self.moved {
            writeln!(f, "moved    {id}  {title}")?;
        }
        for Change { id, before, after } in &self.changed {
            writeln!(f, "changed  {id}  {before}")?;
            if before == after {
                writeln!(f, "              to: other details")?;
            } else {
                writeln!(f, "              to: {after}")?;
            }
        }
        Ok(())
    }
}

pub(super) fn named(item: &Item) -> Named {
    Named {
        id: item.id.clone(),
        title: item.title.clone(),
    }
}

/// Where an item stands in its list: phase, index.
type At = (usize, usize);

struct Side {
    at: At,
    id: ItemId,
    path: String,
    text: String,
    hash: String,
    kind: super::Kind,
}

/// Gives the items of `new` the ids and blocks they had in `old`. `marked` are ids that the page itself names; those
/// that were matched are added to it.
pub(super) fn carry(
    old: &Checklist,
    new: &mut Checklist,
    marked: &mut HashSet<ItemId>,
) -> Difference {
    let (before, after) = (sides(old), sides(new));
    let pairs = pair(&before, &after, marked);
    let mut difference = Difference::default();
    let mut carried: HashSet<ItemId> = HashSet::new();
    for (after, pair) in after.iter().zip(&pairs) {
        let Some(pair) = *pair else { continue };
        let before = &before[pair];
        let was = &old.phases[before.at.0].items[before.at.1];
        let item = &mut new.phases[after.at.0].items[after.at.1];
        item.id = was.id.clone();
        carried.insert(was.id.clone());
        if item.blocks.is_empty() {
            item.blocks.clone_from(&was.blocks);
        }
        if before.hash == after.hash {
            marked.insert(was.id.clone());
            if before.path != after.path {
                difference.moved.push(named(item));
            }
        } else {
            marked.remove(&was.id);
            item.blocks = item.blocks.iter().filter_map(demoted).collect();
            difference.changed.push(Change {
                id: was.id.clone(),
                before: was.title.clone(),
                after: item.title.clone(),
            });
        }
    }
    let mut taken = carried.clone();
    for (after, _) in after.iter().zip(&pairs).filter(|(_, pair)| pair.is_none()) {
        let item = &mut new.phases[after.at.0].items[after.at.1];
        let first = item.id.0.clone();
        let mut nth = 1;
        while !taken.insert(item.id.clone()) {
            nth += 1;
            item.id = ItemId(format!("{first}-{nth}"));
        }
        difference.added.push(named(item));
    }
    let matched: HashSet<usize> = pairs.iter().flatten().copied().collect();
    for (at, side) in before.iter().enumerate() {
        if !matched.contains(&at) {
            let item = &old.phases[side.at.0].items[side.at.1];
            difference.removed.push(named(item));
            new.orphans.extend(item.blocks.iter().cloned());
        }
    }
    new.orphans.extend(old.orphans.iter().cloned());
    difference
}

/// A check that was accepted for other words is a proposal again; one that nobody had touched is made anew.
fn demoted(block: &Block) -> Option<Block> {
    if !block.accepted && block.note.is_none() {
        return None;
    }
    let lines: Vec<String> = block
        .toml
        .lines()
        .map(|line| {
            let key = line.split('=').next().unwrap_or_default().trim();
            if key == "accepted" && block.accepted {
                "accepted = false # was accepted for the item's older words".to_owned()
            } else {
                line.to_owned()
            }
        })
        .collect();
    Some(Block {
        accepted: false,
        toml: lines.join("\n") + "\n",
        ..block.clone()
    })
}

fn sides(list: &Checklist) -> Vec<Side> {
    let mut sides = Vec::new();
    for (at, phase) in list.phases.iter().enumerate() {
        let path: Vec<String> = list
            .path(phase)
            .iter()
            .map(|title| identity::normal(title))
            .collect();
        let path = path.join("\n");
        for (index, item) in phase.items.iter().enumerate() {
            sides.push(Side {
                at: (at, index),
                id: item.id.clone(),
                path: path.clone(),
                text: identity::normal(&item.title),
                hash: item.text_hash(),
                kind: item.kind,
            });
        }
    }
    sides
}

/// For each new item the old one it is: by the id in the page, by phase and words, by words alone, by most of the words.
fn pair(before: &[Side], after: &[Side], marked: &HashSet<ItemId>) -> Vec<Option<usize>> {
    let mut pairs: Vec<Option<usize>> = vec![None; after.len()];
    let mut used = vec![false; before.len()];
    let by_id: BTreeMap<&ItemId, usize> = before
        .iter()
        .enumerate()
        .map(|(at, side)| (&side.id, at))
        .collect();
    for (side, pair) in after.iter().zip(&mut pairs) {
        if marked.contains(&side.id)
            && let Some(&at) = by_id.get(&side.id)
            && !std::mem::replace(&mut used[at], true)
        {
            *pair = Some(at);
        }
    }
    for key in [
        |side: &Side| format!("{}\0{}", side.path, side.text),
        |side: &Side| side.text.clone(),
    ] {
        let mut waiting: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, side) in before.iter().enumerate().rev() {
            if !used[at] {
                waiting.entry(key(side)).or_default().push(at);
            }
        }
        for (side, pair) in after.iter().zip(&mut pairs) {
            if pair.is_none()
                && let Some(at) = waiting.get_mut(&key(side)).and_then(Vec::pop)
            {
                *pair = Some(at);
                used[at] = true;
            }
        }
    }
    pair_alike(before, after, &mut used, &mut pairs);
    pairs
}

fn pair_alike(before: &[Side], after: &[Side], used: &mut [bool], pairs: &mut [Option<usize>]) {
    let mut left: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (at, side) in before.iter().enumerate().filter(|(at, _)| !used[*at]) {
        left.entry((&side.path, side.kind.word()))
            .or_default()
            .push(at);
    }
    for (side, pair) in after.iter().zip(pairs) {
        let Some(left) = left.get(&(side.path.as_str(), side.kind.word())) else {
            continue;
        };
        if pair.is_some() || left.len() > COMPARED_MAX {
            continue;
        }
        let best = left
            .iter()
            .filter(|at| !used[**at])
            .map(|at| (alike(&before[*at].text, &side.text), *at))
            .max();
        if let Some((percent, at)) = best
            && percent >= ALIKE_PERCENT
        {
            *pair = Some(at);
            used[at] = true;
        }
    }
}

/// Words in common, of all words of both.
fn alike(a: &str, b: &str) -> usize {
    let a: HashSet<&str> = a.split(' ').collect();
    let b: HashSet<&str> = b.split(' ').collect();
    let common = a.intersection(&b).count();
    common * 200 / (a.len() + b.len()).max(1)
}
