//! `persistence`: restart the database of a target and count again: what was there is there.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::database::place::{self, Place};
use super::database::tally::{self, Difference, Name, Tally};
use super::proof::prove;
use super::restart::Restart;
use super::target::{finding, keep, kept};
use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};
use crate::probe::check::Verdict;

/// Replaying the log of a crash takes longer than a start.
const READY_MAX: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Persistence {
    /// The target of a `[[backup]]`.
    pub target: Clean,
    /// How long the database may take to end by itself.
    #[serde(with = "super::span", default = "grace")]
    pub grace: Duration,
}

fn grace() -> Duration {
    Duration::from_secs(30)
}

/// What was there, and which container holds it.
#[derive(Serialize, Deserialize)]
struct Seen {
    place: Place,
    restart: Value,
    #[serde(with = "as_list")]
    tally: Tally,
}

/// A JSON object has texts for keys, and a table has two.
mod as_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Tally;

    pub(super) fn serialize<S: Serializer>(tally: &Tally, to: S) -> Result<S::Ok, S::Error> {
        tally.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Tally, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

impl Persistence {
    fn restart(&self, place: &Place) -> Restart {
        Restart {
            container: place.server.replica.clone(),
            grace: self.grace,
        }
    }
}

/// What went, of all that is different: rows that writers added meanwhile are no loss.
fn lost(before: &Tally, after: &Tally) -> Vec<(Name, Difference)> {
    let mut all = tally::differences(before, after);
    all.retain(|(_, difference)| match difference {
        Difference::Missing { .. } => true,
        Difference::Rows { expected, found } => found < expected,
        Difference::Unexpected { .. } | Difference::Content { .. } => false,
    });
    all
}

/// The database answers, as itself and not as the server of its own recovery.
async fn ready(hands: &Hands, place: &Place) -> Result<(), Clean> {
    let began = Instant::now();
    loop {
        match place.number_of(hands, &place.database).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {
                return Err(Clean::line(&format!(
                    "there is no database {} after the restart",
                    place.database
                )));
            }
            Err(fault) if began.elapsed() > READY_MAX => return Err(fault),
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

impl Act for Persistence {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Restart the database of {} and compare what it holds with what it held",
            self.target
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    /// One that was left stopped half way is started again.
    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let (place, _) = place::find(hands, &self.target).await?;
        let tally = tally::tally(hands, &place.server, &place.database).await?;
        if tally::rows(&tally) == 0 {
            return Err(Clean::line(&format!(
                "{} holds no row in {} tables: nothing would be shown by a restart",
                place.database,
                tally.len()
            )));
        }
        let restart = self.restart(&place).before(hands).await?;
        keep(&Seen {
            place,
            restart,
            tally,
        })
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen: Seen = kept(before)?;
        let began = (hands.now)();
        self.restart(&seen.place)
            .perform(hands, &seen.restart)
            .await?;
        ready(hands, &seen.place).await?;
        let after = tally::tally(hands, &seen.place.server, &seen.place.database).await?;
        let lost = lost(&seen.tally, &after);
        let verdict = if lost.is_empty() {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        let said = if lost.is_empty() {
            Clean::line(&format!(
                "{} tables, {} rows are there after the restart ({} before it)",
                after.len(),
                tally::rows(&after),
                tally::rows(&seen.tally)
            ))
        } else {
            Clean::line(&format!("after the restart: {}", tally::said(&lost)))
        };
        let evidence = json!({
            "kind": "persistence", "target": self.target,
            "tables": after.len(), "rows": tally::rows(&after), "rows_before": tally::rows(&seen.tally),
            "lost": lost,
        });
        prove(hands, began, verdict, &said, evidence);
        if lost.is_empty() {
            Ok(Done { said })
        } else {
            Err(said)
        }
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen: Seen = kept(before)?;
        self.restart(&seen.place).undo(hands, &seen.restart).await
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        // The comparison is what counts; performed again, it is made without a second restart.
        finding(Ok(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::database::tally::Count;

    fn of(rows: u64) -> Tally {
        let checksum = rows.to_string();
        let name = ("public".to_owned(), "users".to_owned());
        [(name, Count { rows, checksum })].into()
    }

    #[test]
    fn fewer_rows_are_a_loss_and_more_are_not() {
        assert_eq!(lost(&of(3), &of(3)), []);
        assert_eq!(lost(&of(3), &of(4)), []);
        assert_eq!(lost(&of(3), &of(2)).len(), 1);
        assert_eq!(lost(&of(3), &Tally::new()).len(), 1);
    }

    #[test]
    fn what_was_seen_comes_back_from_the_journal() {
        let seen = Seen {
            place: serde_json::from_value(json!({
                "server": {"id": "a", "replica": "postgres-1", "user": "u"},
                "database": "d", "run": "r_1",
            }))
            .unwrap(),
            restart: Value::Null,
            tally: of(3),
        };
        let kept: Seen = kept(&keep(&seen).unwrap()).unwrap();
        assert_eq!(kept.tally, seen.tally);
    }
}
