//! Whether a row of entries is whole: each names the hash of the one before it, and none is missing.
//!
//! A chain shows every change, removal and exchange before its end. It cannot show that its end was cut, or that all of
//! it was replaced by an older copy: that takes an [`Anchor`], a head that somebody else has seen and kept.

use std::fmt;

use super::entry::{Hash, Record, Seq};
use crate::domain::Clean;

/// The last entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub seq: Seq,
    pub hash: Hash,
}

/// A head as it was once seen. Printed reports carry it as `SEQ:HASH`; of older ones only the hash may be at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    pub seq: Option<Seq>,
    pub hash: Hash,
}

/// What a look at the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is as it was written, up to `head`. Without an anchor at or after it, a cut end would not show.
    Ok {
        head: Head,
        count: u64,
        anchors_met: usize,
    },
    /// `seq` is the first that is not as it was written. `last`: nothing follows it, so a crash may have torn it.
    Broken {
        seq: i64,
        flaw: Flaw,
        last: bool,
    },
    CannotDecide(Uncertain),
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// There is none of this number, though later ones are there.
    Missing,
    /// Its number is none that an entry can have.
    Stray,
    /// It cannot be read.
    Unreadable(Clean),
    /// It names another hash than that of the entry before it.
    Unlinked,
    /// It does not have the hash that it bears.
    Changed,
    /// It is whole, but says what no console would write.
    Foreign,
    /// A witness has seen another hash for it.
    Unlike,
    /// A witness has seen it, and the journal ends before it.
    Cut,
    /// A witness has seen a hash that no entry has: the end was cut, or this is another journal or an old copy.
    Unknown,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it is missing",
            Self::Stray => "it has a number that no entry can have",
            Self::Unreadable(why) => return write!(f, "it cannot be read: {why}"),
            Self::Unlinked => "it does not follow from the entry before it",
            Self::Changed => "it was changed after it was written",
            Self::Foreign => "it says what no console of this version writes",
            Self::Unlike => "the anchor has another hash for it",
            Self::Cut => "the anchor names an entry at or after it, and the journal ends before",
            Self::Unknown => {
                "no entry has the anchor's hash: the end was cut, or this is an old copy or another journal"
            }
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uncertain {
    /// Nothing is there. A journal that was emptied looks like a new one.
    Empty,
    /// The range begins or ends after the last entry.
    Beyond { wanted: Seq, head: Seq },
    /// The anchor's number lies outside the range that was looked at.
    AnchorOutside { anchor: Seq },
    /// The anchor is a hash alone, and no entry of the range has it; one outside may.
    AnchorUnmet,
}

impl fmt::Display for Uncertain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "the journal has no entry; only an anchor can tell a new one from an emptied one",
            ),
            Self::Beyond { wanted, head } => {
                write!(
                    f,
                    "there is no entry {wanted}, the journal ends at {head}; no anchor says whether there ever was"
                )
            }
            Self::AnchorUnmet => f.write_str(
                "no entry of the range has the anchor's hash; look at the whole journal",
            ),
            Self::AnchorOutside { anchor } => {
                write!(
                    f,
                    "the anchor is about entry {anchor}, which is outside the range that was looked at"
                )
            }
        }
    }
}

/// A row as a store gives it: with its number even where the rest cannot be read.
pub struct Row {
    pub seq: i64,
    pub record: Result<Record, Clean>,
}

/// A walk along the chain, an entry at a time.
#[derive(Debug, Clone)]
pub struct Walk {
    first: Seq,
    next: i64,
    prev: Hash,
    anchors: Vec<(Anchor, bool)>,
    flaw: Option<(i64, Flaw)>,
    /// Something came after the flaw.
    followed: bool,
}

impl Walk {
    /// From the entry after `before`; from the first one where there is none before.
    pub fn after(before: Option<Head>, anchors: &[Anchor]) -> Self {
        let first = before.map_or(1, |head| head.seq.0.saturating_add(1));
        Self {
            first: Seq(first),
            next: i64::try_from(first).unwrap_or(i64::MAX),
            prev: before.map_or(Hash::NONE, |head| head.hash),
            anchors: anchors.iter().map(|anchor| (*anchor, false)).collect(),
            flaw: None,
            followed: false,
        }
    }

    /// Looks at the next row. After a flaw only one more is of interest, to tell whether the flaw is at the end.
    pub fn step(&mut self, row: &Row) {
        if self.flaw.is_some() {
            self.followed = true;
            return;
        }
        if let Some((seq, flaw)) = self.flaw_of(row) {
            self.followed = seq != row.seq;
            self.flaw = Some((seq, flaw));
            return;
        }
        self.next = self.next.saturating_add(1);
    }

    fn flaw_of(&mut self, row: &Row) -> Option<(i64, Flaw)> {
        if row.seq < self.next {
            return Some((row.seq, Flaw::Stray));
        }
        if row.seq > self.next {
            return Some((self.next, Flaw::Missing));
        }
        let record = match &row.record {
            Ok(record) => record,
            Err(why) => return Some((row.seq, Flaw::Unreadable(why.clone()))),
        };
        let hash = record.hashed();
        if record.hash != hash.to_string() {
            return Some((row.seq, Flaw::Changed));
        }
        if record.prev_hash != self.prev.to_string() {
            return Some((row.seq, Flaw::Unlinked));
        }
        if record.entry().is_none() {
            return Some((row.seq, Flaw::Foreign));
        }
        self.prev = hash;
        self.meet(row.seq, hash)
    }

    fn meet(&mut self, seq: i64, hash: Hash) -> Option<(i64, Flaw)> {
        for (anchor, met) in &mut self.anchors {
            match anchor.seq {
                Some(Seq(at)) if i64::try_from(at) == Ok(seq) => {
                    if anchor.hash != hash {
                        return Some((seq, Flaw::Unlike));
                    }
                    *met = true;
                }
                Some(_) => {}
                None => *met |= anchor.hash == hash,
            }
        }
        None
    }

    pub fn is_over(&self) -> bool {
        self.flaw.is_some() && self.followed
    }

    /// Notes that the store could give no more: what is there cannot be read.
    pub fn unreadable(&mut self, why: Clean) {
        if self.flaw.is_none() {
            self.flaw = Some((self.next, Flaw::Unreadable(why)));
        }
    }

    /// What was found. `to` is the last entry that was asked for; without it all there are.
    pub fn verdict(self, to: Option<Seq>) -> Verdict {
        if let Some((seq, flaw)) = self.flaw {
            let last = !self.followed;
            return Verdict::Broken { seq, flaw, last };
        }
        let seen = u64::try_from(self.next - 1).unwrap_or(0);
        let count = seen + 1 - self.first.0;
        let broken = |flaw| Verdict::Broken {
            seq: self.next,
            flaw,
            last: true,
        };
        let open = || {
            self.anchors
                .iter()
                .filter(|(_, met)| !met)
                .map(|(anchor, _)| anchor)
        };
        let ended = to.is_none_or(|Seq(to)| seen < to);
        if let Some(anchor) = open().find_map(|anchor| anchor.seq) {
            if ended && anchor.0 > seen {
                return broken(Flaw::Cut);
            }
            return Verdict::CannotDecide(Uncertain::AnchorOutside { anchor });
        }
        if ended && self.first.0 == 1 && open().next().is_some() {
            return broken(Flaw::Unknown);
        }
        if let Some(wanted) = to.filter(|_| ended) {
            return Verdict::CannotDecide(Uncertain::Beyond {
                wanted,
                head: Seq(seen),
            });
        }
        if count == 0 {
            return Verdict::CannotDecide(match self.first.0 {
                1 => Uncertain::Empty,
                _ => Uncertain::Beyond {
                    wanted: self.first,
                    head: Seq(seen),
                },
            });
        }
        if open().next().is_some() {
            return Verdict::CannotDecide(Uncertain::AnchorUnmet);
        }
        Verdict::Ok {
            head: Head {
                seq: Seq(seen),
                hash: self.prev,
            },
            count,
            anchors_met: self.anchors.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::draft;
    use super::*;

    fn five() -> Vec<Record> {
        let mut head = None;
        (0..5)
            .map(|n| {
                let record = draft(&n.to_string()).after(head).unwrap();
                head = Some(Head {
                    seq: Seq(n + 1),
                    hash: record.hashed(),
                });
                record
            })
            .collect()
    }

    fn verdict(mut records: Vec<Record>, anchors: &[Anchor]) -> Verdict {
        records.sort_by_key(|record| record.seq);
        let mut walk = Walk::after(None, anchors);
        for record in records {
            walk.step(&Row {
                seq: record.seq,
                record: Ok(record),
            });
        }
        walk.verdict(None)
    }

    #[track_caller]
    fn check(records: Vec<Record>, seq: i64, flaw: &Flaw) {
        match verdict(records, &[]) {
            Verdict::Broken {
                seq: found,
                flaw: said,
                ..
            } => {
                assert_eq!((found, &said), (seq, flaw));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_chain_is_ok_up_to_its_head() {
        let all = five();
        let hash = all[4].hashed();
        let Verdict::Ok { head, count, .. } = verdict(all, &[]) else {
            panic!("not ok")
        };
        assert_eq!((head.seq, head.hash, count), (Seq(5), hash, 5));
    }

    #[test]
    fn removal_exchange_and_a_forged_hash_name_the_first_bad_entry() {
        for n in 0..4 {
            let mut all = five();
            all.remove(n);
            check(all, i64::try_from(n).unwrap() + 1, &Flaw::Missing);
        }
        let mut exchanged = five();
        exchanged[1].seq = 3;
        exchanged[2].seq = 2;
        check(exchanged, 2, &Flaw::Changed);
        let mut forged = five();
        forged[2].target = "other".to_owned();
        forged[2].hash = forged[2].hashed().to_string();
        check(forged, 4, &Flaw::Unlinked);
        let mut stray = five();
        stray[2].seq = -3;
        check(stray, -3, &Flaw::Stray);
    }

    #[test]
    fn a_cut_end_shows_only_against_an_anchor() {
        let all = five();
        let anchor = |seq, hash| Anchor { seq, hash };
        let (fourth, fifth) = (all[3].hashed(), all[4].hashed());
        let cut = all[..4].to_vec();
        assert!(matches!(verdict(cut.clone(), &[]), Verdict::Ok { .. }));
        let by_seq = verdict(cut.clone(), &[anchor(Some(Seq(5)), fifth)]);
        assert!(
            matches!(
                by_seq,
                Verdict::Broken {
                    seq: 5,
                    flaw: Flaw::Cut,
                    ..
                }
            ),
            "{by_seq:?}"
        );
        let by_hash = verdict(cut.clone(), &[anchor(None, fifth)]);
        assert!(
            matches!(
                by_hash,
                Verdict::Broken {
                    seq: 5,
                    flaw: Flaw::Unknown,
                    ..
                }
            ),
            "{by_hash:?}"
        );
        let before = [anchor(None, fourth), anchor(Some(Seq(4)), fourth)];
        assert!(matches!(
            verdict(cut, &before),
            Verdict::Ok { anchors_met: 2, .. }
        ));
        let emptied = verdict(Vec::new(), &[anchor(None, fifth)]);
        assert!(
            matches!(emptied, Verdict::Broken { seq: 1, .. }),
            "{emptied:?}"
        );
    }

    #[test]
    fn a_chain_written_anew_differs_from_its_anchor() {
        let all = five();
        let anchor = Anchor {
            seq: Some(Seq(3)),
            hash: Hash::NONE,
        };
        let found = verdict(all, &[anchor]);
        assert!(
            matches!(
                found,
                Verdict::Broken {
                    seq: 3,
                    flaw: Flaw::Unlike,
                    ..
                }
            ),
            "{found:?}"
        );
    }

    #[test]
    fn nothing_and_what_lies_beyond_cannot_be_decided() {
        assert_eq!(
            verdict(Vec::new(), &[]),
            Verdict::CannotDecide(Uncertain::Empty)
        );
        let walk = Walk::after(None, &[]);
        assert!(matches!(
            walk.verdict(Some(Seq(3))),
            Verdict::CannotDecide(Uncertain::Beyond {
                wanted: Seq(3),
                head: Seq(0)
            })
        ));
    }
}
