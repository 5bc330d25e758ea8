//! Signatures and waivers: who stands for an item, with which words, and for which words of the author.
//!
//! They are entries of the journal, never of the page. A signature is for the text that was read: when the author
//! changes a word, it is shown and no longer counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Checklist, Item, ItemId};
use crate::domain::{Clean, Timestamp};

/// What a person says of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// It is so, whatever measures it.
    Signed,
    /// It is not so, and we go on without it until the end of that day, UTC.
    Waived { until: Clean },
}

/// The body of a `signed-off` entry about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOff {
    #[serde(flatten)]
    pub act: Act,
    /// The page, by its file's name.
    pub list: Clean,
    pub item: Clean,
    /// Hash of the item's words, as [`Item::text_hash`] gives it.
    pub text: Clean,
    /// The words themselves, for those who read the journal.
    pub title: Clean,
    pub reason: Clean,
}

/// A sign-off with what the journal knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    #[serde(flatten)]
    pub said: SignOff,
    pub who: Clean,
    /// Who logged in, or else who it is to the kernel: two signatures of one are one.
    pub uid: u32,
    pub at: Timestamp,
}

/// How the last sign-off of an item stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed<'a> {
    No,
    Yes(&'a Signature),
    Waived(&'a Signature),
    /// The author has changed the words since.
    OlderText(&'a Signature),
    WaiverOver(&'a Signature),
}

impl Signed<'_> {
    /// Whether it settles the item.
    pub fn counts(self) -> bool {
        match self {
            Self::Yes(_) | Self::Waived(_) => true,
            Self::No | Self::OlderText(_) | Self::WaiverOver(_) => false,
        }
    }

    pub fn word(self) -> Option<String> {
        let by =
            |signature: &Signature| format!("{} {}", signature.who, &signature.at.rfc3339()[..10]);
        match self {
            Self::No => None,
            Self::Yes(signature) => Some(format!("signed by {}", by(signature))),
            Self::Waived(signature) => Some(match &signature.said.act {
                Act::Waived { until } => format!("waived until {until} by {}", by(signature)),
                Act::Signed => format!("waived by {}", by(signature)),
            }),
            Self::OlderText(signature) => {
                Some(format!("signed for an older text by {}", by(signature)))
            }
            Self::WaiverOver(signature) => Some(format!("waiver is over, by {}", by(signature))),
        }
    }
}

/// Who says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signer {
    pub name: Clean,
    pub uid: u32,
}

/// The sign-offs of each item of one page, oldest first; of each person the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signatures(BTreeMap<ItemId, Vec<Signature>>);

impl Signatures {
    /// Takes the body of an entry, in the order of the journal. What is about another page, or about no item, is left.
    pub fn take(&mut self, list: &Checklist, body: &Value, by: &Signer, at: Timestamp) {
        let Ok(said) = SignOff::deserialize(body) else {
            return;
        };
        if said.list != list.name {
            return;
        }
        let all = self.0.entry(ItemId(said.item.to_string())).or_default();
        // The console hears some entries twice: from the journal's past and from its news.
        if all.iter().any(|one| one.uid == by.uid && one.at > at) {
            return;
        }
        all.retain(|one| one.uid != by.uid);
        all.push(Signature {
            said,
            who: by.name.clone(),
            uid: by.uid,
            at,
        });
        all.sort_by_key(|one| one.at);
    }

    /// Everybody who signed the item as it reads now, oldest first.
    pub fn signers(&self, item: &Item) -> impl Iterator<Item = &Signature> {
        let text = item.text_hash();
        let all = self.0.get(&item.id).into_iter().flatten();
        all.filter(move |one| one.said.act == Act::Signed && *one.said.text == *text)
    }

    /// How the item stands at `now`.
    pub fn of(&self, item: &Item, now: Timestamp) -> Signed<'_> {
        let Some(signature) = self.0.get(&item.id).and_then(|all| all.last()) else {
            return Signed::No;
        };
        if *signature.said.text != *item.text_hash() {
            return Signed::OlderText(signature);
        }
        match &signature.said.act {
            Act::Signed => Signed::Yes(signature),
            Act::Waived { until } if **until >= now.rfc3339()[..10] => Signed::Waived(signature),
            Act::Waived { .. } => Signed::WaiverOver(signature),
        }
    }
}

/// What is recorded when a person signs an item of a page.
pub fn sign_off(list: &Checklist, item: &Item, act: Act, reason: &str) -> SignOff {
    SignOff {
        act,
        list: list.name.clone(),
        item: Clean::line(&item.id.0),
        text: Clean::line(&item.text_hash()),
        title: item.title.clone(),
        reason: Clean::line(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn list(title: &str) -> Checklist {
        // The id stays as it is written, whatever becomes of the words.
        let text = format!("## Tasks\n- {title} <!-- item:abc -->\n");
        Checklist::read("go.md", text.as_bytes())
    }

    fn signer(name: &str, uid: u32) -> Signer {
        let name = Clean::line(name);
        Signer { name, uid }
    }

    fn signed(list: &Checklist, act: Act) -> Signatures {
        let (_, item) = list.find("abc").unwrap();
        let body = serde_json::to_value(sign_off(list, item, act, "seen it")).unwrap();
        let mut signatures = Signatures::default();
        signatures.take(list, &body, &signer("ann", 1), Timestamp(DAY_MS));
        signatures
    }

    #[test]
    fn a_signature_counts_until_the_author_changes_a_word() {
        let (before, after) = (list("Cables are tied"), list("Cables are tied twice"));
        let signatures = signed(&before, Act::Signed);
        let now = Timestamp(DAY_MS);
        let (_, item) = before.find("abc").unwrap();
        assert!(signatures.of(item, now).counts());
        assert_eq!(
            signatures.of(item, now).word().unwrap(),
            "signed by ann 1970-01-02"
        );
        let (_, item) = after.find("abc").unwrap();
        assert!(!signatures.of(item, now).counts());
        assert!(
            signatures
                .of(item, now)
                .word()
                .unwrap()
                .contains("older text")
        );
    }

    #[test]
    fn a_waiver_ends_with_its_day() {
        let list = list("a");
        let until = Clean::from("1970-01-03");
        let signatures = signed(&list, Act::Waived { until });
        let (_, item) = list.find("abc").unwrap();
        assert!(signatures.of(item, Timestamp(3 * DAY_MS - 1)).counts());
        assert!(!signatures.of(item, Timestamp(3 * DAY_MS)).counts());
    }

    #[test]
    fn one_person_signs_once_whatever_the_name() {
        let list = list("a");
        let (_, item) = list.find("abc").unwrap();
        let body = serde_json::to_value(sign_off(&list, item, Act::Signed, "seen")).unwrap();
        let mut signatures = Signatures::default();
        for (name, uid, count) in [("ann", 1, 1), ("root", 1, 1), ("bo", 2, 2)] {
            signatures.take(&list, &body, &signer(name, uid), Timestamp(u64::from(uid)));
            assert_eq!(signatures.signers(item).count(), count);
        }
    }

    #[test]
    fn entries_about_something_else_are_left() {
        let list = list("a");
        let mut signatures = Signatures::default();
        let who = signer("ann", 1);
        for body in [
            serde_json::json!({ "text": "x" }),
            serde_json::json!({ "act": "signed", "list": "other.md", "item": "abc", "text": "", "title": "", "reason": "" }),
        ] {
            signatures.take(&list, &body, &who, Timestamp(0));
        }
        assert_eq!(signatures, Signatures::default());
    }
}
