//! `compare-live`: what the live database has and the restored one has not, row by row.
//!
//! These rows are what a swap leaves behind. More than somebody has said yes to, by their number, is refused.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::database::loss::{Apart, apart};
use super::database::place::{self, Place};
use super::database::tally::{self, Tally, shown};
use super::proof::prove;
use super::target::{keep, kept};
use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};
use crate::probe::check::Verdict;

/// Tables that are told of in the run's log, the most changed first; all are in the evidence.
const TOLD_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The target of a `[[backup]]`.
    pub target: Clean,
    /// So many rows that only the live database has may be left behind.
    #[serde(default, deserialize_with = "number")]
    pub lose_rows: u64,
}

/// As a number, or as the text that a parameter is.
pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match Value::deserialize(from)? {
        Value::Number(number) if number.is_u64() => Ok(number.as_u64().unwrap_or_default()),
        Value::String(text) => text
            .parse()
            .map_err(|_| serde::de::Error::custom(format!("{text:?} is no number of rows"))),
        other => Err(serde::de::Error::custom(format!(
            "{other} is no number of rows"
        ))),
    }
}

/// How the two differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct Change {
    /// Tables that differ, the most rows first.
    tables: Vec<(Clean, Apart)>,
    lost: u64,
    back: u64,
}

impl Change {
    fn of(mut tables: Vec<(Clean, Apart)>) -> Self {
        tables.sort_by_key(|(_, apart)| std::cmp::Reverse(apart.only_left + apart.only_right));
        Self {
            lost: tables.iter().map(|(_, apart)| apart.only_left).sum(),
            back: tables.iter().map(|(_, apart)| apart.only_right).sum(),
            tables,
        }
    }

    fn lines(&self) -> Vec<Clean> {
        let line = |(name, apart): &(Clean, Apart)| {
            Clean::line(&format!(
                "{name}: {} rows only in the live database, {} come back",
                apart.only_left, apart.only_right
            ))
        };
        self.tables.iter().take(TOLD_MAX).map(line).collect()
    }

    fn said(&self) -> Clean {
        if self.tables.is_empty() {
            return Clean::from("the live database and the restored one hold the same rows");
        }
        Clean::line(&format!(
            "{} tables differ: {} rows are only in the live database, {} come back",
            self.tables.len(),
            self.lost,
            self.back
        ))
    }

    /// Why this is more than was said yes to.
    fn refusal(&self, accepted: u64) -> Option<Clean> {
        if self.lost <= accepted {
            return None;
        }
        let of = |(name, apart): &(Clean, Apart)| format!("{name} {}", apart.only_left);
        let tables: Vec<String> = self
            .tables
            .iter()
            .filter(|(_, apart)| apart.only_left > 0)
            .take(TOLD_MAX)
            .map(of)
            .collect();
        Some(Clean::line(&format!(
            "the live database has {} rows that the restored one lacks ({}), and {accepted} were accepted; back it up first, or say lose_rows={}",
            self.lost,
            tables.join(", "),
            self.lost
        )))
    }
}

/// The difference as it is now.
pub(super) async fn change(hands: &Hands, place: &Place) -> Result<Change, Clean> {
    let (live, beside) = (&*place.database, place.beside());
    let ours = tally::tally(hands, &place.server, live).await?;
    let theirs = tally::tally(hands, &place.server, &beside).await?;
    let mut tables = Vec::new();
    for (name, _) in tally::differences(&ours, &theirs) {
        let rows = |tally: &Tally| tally.get(&name).map_or(0, |count| count.rows);
        let apart = if ours.contains_key(&name) && theirs.contains_key(&name) {
            let table: (&str, &str) = (&name.0, &name.1);
            apart(hands, &place.server, (live, &beside), table).await?
        } else {
            Apart {
                only_left: rows(&ours),
                only_right: rows(&theirs),
            }
        };
        tables.push((shown(&name), apart));
    }
    Ok(Change::of(tables))
}

/// The difference, if it is no more than was said yes to.
pub(super) async fn accepted(hands: &Hands, place: &Place, rows: u64) -> Result<Change, Clean> {
    let change = change(hands, place).await?;
    match change.refusal(rows) {
        Some(refusal) => Err(refusal),
        None => Ok(change),
    }
}

impl Act for Compare {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Compare what was restored with the live {}, row by row",
            self.target
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    /// It changes nothing.
    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        keep(&place::find(hands, &self.target).await?.0)
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let place: Place = kept(before)?;
        let began = (hands.now)();
        let change = change(hands, &place).await?;
        for line in change.lines() {
            (hands.say)(line);
        }
        let refusal = change.refusal(self.lose_rows);
        let verdict = if refusal.is_some() {
            Verdict::Fail
        } else {
            Verdict::Pass
        };
        let said = change.said();
        let evidence = json!({
            "kind": "compare-live", "target": self.target, "change": change, "accepted": self.lose_rows,
        });
        prove(hands, began, verdict, &said, evidence);
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(Done { said }),
        }
    }

    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::DidNotHappen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(tables: &[(&str, u64, u64)]) -> Change {
        let one = |&(name, only_left, only_right): &(&str, u64, u64)| {
            let apart = Apart {
                only_left,
                only_right,
            };
            (Clean::from(name), apart)
        };
        Change::of(tables.iter().map(one).collect())
    }

    #[test]
    fn rows_that_would_be_lost_are_refused_by_table_and_number() {
        let change = change(&[("public.a", 1, 0), ("public.b", 3, 9)]);
        let refusal = change.refusal(3).unwrap();
        assert!(refusal.contains("public.b 3, public.a 1"), "{refusal}");
        assert!(refusal.contains("lose_rows=4"), "{refusal}");
        assert_eq!(change.refusal(4), None);
    }

    #[test]
    fn rows_that_come_back_need_no_yes() {
        assert_eq!(change(&[("public.a", 0, 5)]).refusal(0), None);
        assert_eq!(change(&[]).refusal(0), None);
    }

    #[test]
    fn a_number_is_read_as_a_parameter_writes_it() {
        let read = |value: Value| {
            serde_json::from_value::<Compare>(json!({"target": "app", "lose_rows": value}))
        };
        assert_eq!(read(json!("15")).unwrap().lose_rows, 15);
        assert_eq!(read(json!(15)).unwrap().lose_rows, 15);
        for wrong in [json!("-1"), json!(1.5), json!(null), json!("all")] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
