//! Ids for the items of a page, and the blocks that belong to them.

use std::collections::{BTreeMap, HashSet};

use super::annotated::Page;
use super::{Block, Checklist, Item, ItemId, Remark, identity};
use crate::domain::Clean;

/// Ids of the page first, so that nobody else takes them; then ids made of the words.
pub(super) fn name_items(list: &mut Checklist, ids: &BTreeMap<usize, ItemId>) {
    let mut taken: HashSet<String> = HashSet::new();
    let paths: Vec<Vec<String>> = list
        .phases
        .iter()
        .map(|phase| list.path(phase).iter().map(ToString::to_string).collect())
        .collect();
    let mut marked = HashSet::new();
    for item in list.phases.iter_mut().flat_map(|phase| &mut phase.items) {
        if let Some(id) = ids.get(&item.line)
            && marked.insert(item.line)
            && taken.insert(id.0.clone())
        {
            item.id = id.clone();
        }
    }
    for (phase, path) in list.phases.iter_mut().zip(&paths) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for item in &mut phase.items {
            let id = identity::id(&path, &item.title);
            let nth = count.entry(id.clone()).or_default();
            *nth += 1;
            if !item.id.0.is_empty() {
                continue;
            }
            let mut free = numbered(&id, *nth);
            while !taken.insert(free.clone()) {
                *nth += 1;
                free = numbered(&id, *nth);
            }
            item.id = ItemId(free);
        }
    }
}

fn numbered(id: &str, nth: usize) -> String {
    if nth == 1 {
        id.to_owned()
    } else {
        format!("{id}-{nth}")
    }
}

pub(super) fn hand_out_blocks(list: &mut Checklist, page: &Page) {
    let mut by_item: BTreeMap<&ItemId, Vec<&Block>> = BTreeMap::new();
    for block in &page.blocks {
        by_item.entry(&block.item).or_default().push(block);
    }
    let mut remarks = Vec::new();
    for item in list.phases.iter_mut().flat_map(|phase| &mut phase.items) {
        let Some(blocks) = by_item.remove(&item.id) else {
            continue;
        };
        item.blocks = blocks.into_iter().cloned().collect();
        for block in &item.blocks {
            if !block.words.is_empty() && !item.says(&block.words) {
                remarks.push(Remark {
                    line: item.line,
                    text: Clean::line(&format!(
                        "the check of item {} was proposed for `{}`, which the item no longer says; look at both",
                        item.id, block.words
                    )),
                });
            }
        }
    }
    list.orphans = by_item.into_values().flatten().cloned().collect();
    list.remarks.extend(remarks);
}

impl Item {
    /// Whether these words are somewhere in it.
    pub(super) fn says(&self, words: &str) -> bool {
        self.title.contains(words)
            || self.detail.iter().any(|line| line.contains(words))
            || self.fields.iter().any(|field| field.value.contains(words))
    }
}
