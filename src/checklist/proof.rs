//! Proofs: what a check of an item said, for which words of the author and which check, and when.
//!
//! They are entries of the journal. A proof is for the text and the check that were there: when either changes, it is
//! shown and proves nothing any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Checklist, Item, ItemId, identity};
use crate::domain::{Clean, Outcome, Timestamp};

/// Digits of the hash of the evidence: all of it.
const HASH_DIGITS: usize = 64;
/// Earlier proofs of one check that are kept for a chart.
const EARLIER_MAX: usize = 40;

/// The body of an `evidence` entry about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The page, by its file's name.
    pub list: Clean,
    pub item: Clean,
    /// The item's words, for those who read the journal.
    pub title: Clean,
    /// Hash of the item's words.
    pub text: Clean,
    /// Hash of the check as it was asked.
    pub check: Clean,
    /// The check in a line.
    pub asked: Clean,
    pub outcome: Outcome,
    /// SHA-256 of the evidence as it is written in one line of JSON with sorted keys.
    pub sha256: Clean,
}

impl Proof {
    pub fn of(list: &Checklist, item: &Item, asked: &Asked, line: Clean, outcome: Outcome) -> Self {
        Self {
            list: list.name.clone(),
            item: Clean::line(&item.id.0),
            title: item.title.clone(),
            text: Clean::line(&item.text_hash()),
            check: Clean::line(&asked.hash),
            asked: line,
            sha256: digest(&outcome.evidence),
            outcome,
        }
    }

    /// The same without its evidence, which was too much for an entry; its hash and its size stay.
    #[must_use]
    pub fn without_evidence(mut self) -> Self {
        let bytes = self.outcome.evidence.to_string().len();
        self.outcome.evidence = serde_json::json!({ "left_out_bytes": bytes });
        self
    }

    pub fn is_whole(&self) -> bool {
        self.sha256 == digest(&self.outcome.evidence)
    }
}

fn digest(evidence: &Value) -> Clean {
    Clean::line(&identity::hex(evidence.to_string().as_bytes(), HASH_DIGITS))
}

/// A proof with what the journal knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    #[serde(flatten)]
    pub proof: Proof,
    pub who: Clean,
    pub recorded_at: Timestamp,
    /// What the same check measured before, oldest first: the first figure of each proof.
    #[serde(skip)]
    pub earlier: Vec<(Timestamp, Figure)>,
}

/// A measured number as text, so that proofs can be compared whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure(pub String);

impl Known {
    /// When it was seen: never later than it was written down.
    pub fn at(&self) -> Timestamp {
        self.proof.outcome.at.min(self.recorded_at)
    }
}

/// The first number that was measured.
fn figure(evidence: &Value) -> Option<Figure> {
    let value = evidence.get("measured")?.get(0)?.get("value")?;
    value.as_f64().map(|value| Figure(value.to_string()))
}

/// The last proof of each check of each item of one page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proofs(BTreeMap<ItemId, Vec<Known>>);

impl Proofs {
    /// Takes the body of an entry, in the order of the journal. What is about another page, or about no item, is left.
    pub fn take(&mut self, list: &Checklist, body: &Value, who: &Clean, at: Timestamp) {
        let Ok(proof) = Proof::deserialize(body) else {
            return;
        };
        if proof.list != list.name || list.find_id(&proof.item).is_none() {
            return;
        }
        let all = self.0.entry(ItemId(proof.item.to_string())).or_default();
        let place = all
            .iter()
            .position(|known| known.proof.check == proof.check);
        let mut earlier = match place {
            Some(place) => {
                let before = all.remove(place);
                // The console hears some entries twice: from the journal's past and from its news.
                if before.recorded_at > at || (before.recorded_at == at && before.proof == proof) {
                    return all.push(before);
                }
                let mut earlier = before.earlier;
                let measured = figure(&before.proof.outcome.evidence);
                earlier.extend(measured.map(|figure| (before.recorded_at, figure)));
                earlier
            }
            None => Vec::new(),
        };
        let too_many = earlier.len().saturating_sub(EARLIER_MAX);
        earlier.drain(..too_many);
        // Those of checks that are gone are of no use beside the last one.
        all.retain(|known| item_asks(list, &proof.item, &known.proof.check));
        all.push(Known {
            proof,
            who: who.clone(),
            recorded_at: at,
            earlier,
        });
    }

    /// The last proof of a check of an item, whatever the item's words were.
    pub fn of(&self, item: &Item, asked: &Asked) -> Option<&Known> {
        let all = self.0.get(&item.id)?;
        all.iter().find(|known| *known.proof.check == *asked.hash)
    }

    /// Whether the item was proven once, by a check that is no longer asked.
    pub fn has_others(&self, item: &Item) -> bool {
        self.0.get(&item.id).is_some_and(|all| {
            all.iter().any(|known| {
                item.demand
                    .asked
                    .iter()
                    .all(|asked| *known.proof.check != *asked.hash)
            })
        })
    }
}

fn item_asks(list: &Checklist, item: &str, check: &str) -> bool {
    list.find_id(item)
        .is_some_and(|(_, item)| item.demand.asked.iter().any(|asked| asked.hash == check))
}
