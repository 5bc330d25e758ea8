//! What a step measured, as the journal's evidence keeps it; and whether a restore is what its manifest says.

use serde::Serialize;
use serde_json::Value;

use super::database::tally::{self, Difference, Name, Tally};
use super::{Done, Hands};
use crate::domain::{Clean, Timestamp};
use crate::probe::check::{Outcome, Verdict};

/// Keeps a measurement that began at `began` and has just ended.
pub(super) fn prove(
    hands: &Hands,
    began: Timestamp,
    verdict: Verdict,
    said: &Clean,
    evidence: Value,
) {
    let at = (hands.now)();
    (hands.prove)(Outcome {
        verdict,
        said: said.clone(),
        evidence,
        at,
        took_ms: u64::try_from(at.since(began).as_millis()).unwrap_or(u64::MAX),
    });
}

/// A restored database beside what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Matched {
    /// Tables that are as the manifest says, of how many.
    tables: usize,
    tables_expected: usize,
    rows: u64,
    rows_expected: u64,
    different: Vec<(Name, Difference)>,
}

pub(super) fn matched(expected: &Tally, found: &Tally) -> Matched {
    let different = tally::differences(expected, found);
    let is_same = |name: &Name| !different.iter().any(|(other, _)| other == name);
    let same = || found.iter().filter(|(name, _)| is_same(name));
    Matched {
        tables: same().count(),
        tables_expected: expected.len(),
        rows: same().map(|(_, count)| count.rows).sum(),
        rows_expected: tally::rows(expected),
        different,
    }
}

impl Matched {
    pub(super) fn is_whole(&self) -> bool {
        self.different.is_empty() && self.tables_expected > 0
    }

    pub(super) fn verdict(&self) -> Verdict {
        if self.is_whole() {
            Verdict::Pass
        } else {
            Verdict::Fail
        }
    }

    /// `3/3 tables, 120/120 rows match`
    pub(super) fn said(&self) -> Clean {
        let figures = format!(
            "{}/{} tables, {}/{} rows match",
            self.tables, self.tables_expected, self.rows, self.rows_expected
        );
        if self.tables_expected == 0 {
            return Clean::from(
                "the manifest has no table: nothing can be shown by a restore of it",
            );
        }
        match tally::said(&self.different) {
            differences if differences.is_empty() => Clean::line(&figures),
            differences => Clean::line(&format!("{figures}: {differences}")),
        }
    }

    pub(super) fn done(&self) -> Result<Done, Clean> {
        if self.is_whole() {
            Ok(Done { said: self.said() })
        } else {
            Err(self.said())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::database::tally::Count;

    fn of(rows: &[u64]) -> Tally {
        let one = |(n, rows): (usize, &u64)| {
            let count = Count {
                rows: *rows,
                checksum: rows.to_string(),
            };
            (("public".to_owned(), format!("t{n}")), count)
        };
        rows.iter().enumerate().map(one).collect()
    }

    #[test]
    fn nothing_cannot_match_nothing() {
        let nothing = matched(&of(&[]), &of(&[]));
        assert!(!nothing.is_whole());
        assert!(nothing.done().unwrap_err().contains("no table"));
    }

    #[test]
    fn what_matches_is_counted_and_what_does_not_is_named() {
        let whole = matched(&of(&[3, 4]), &of(&[3, 4]));
        assert_eq!(whole.done().unwrap().said, "2/2 tables, 7/7 rows match");
        let less = matched(&of(&[3, 4]), &of(&[3, 3]));
        let said = less.done().unwrap_err();
        assert_eq!(
            said,
            "1/2 tables, 3/7 rows match: public.t1 has 3 rows, expected 4"
        );
        let none = matched(&of(&[3, 4]), &of(&[]));
        assert!(none.done().unwrap_err().contains("public.t0 is missing"));
        let more = matched(&of(&[3]), &of(&[3, 1]));
        assert!(!more.is_whole());
    }
}
