//! `swap-database`: what was restored beside the live database takes its name; the old one is kept under another.
//!
//! Both names change in one transaction, so that at every moment a database answers under the live name. Before that,
//! writers are held off and what they wrote since the comparison is looked for once more.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::sleep;

use super::compare;
use super::database::place::{self, Place, end_sessions};
use super::database::{literal, quoted};
use super::target::{finding, keep, kept};
use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};

/// A rename waits 5 s for sessions to end, and gives up. Sessions are ended all that time.
const TRIES_MAX: usize = 4;
const END_EVERY: Duration = Duration::from_millis(150);
/// Holds writers off; readers go on.
const READ_ONLY: &str = "default_transaction_read_only";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// The target of a `[[backup]]`.
    pub target: Clean,
    /// So many rows that only the live database has may be left behind.
    #[serde(default, deserialize_with = "super::compare::number")]
    pub lose_rows: u64,
}

/// The two databases by their numbers: names change, numbers do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    place: Place,
    live: u32,
    restored: u32,
}

/// Who has the live name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Old,
    Restored,
}

impl Swap {
    async fn swapped(&self, hands: &Hands, seen: &Seen) -> Result<Done, Clean> {
        let place = &seen.place;
        if standing(hands, seen).await? == Standing::Restored {
            return Ok(Done {
                said: Clean::line(&format!("{} is the restored database", place.database)),
            });
        }
        freeze(hands, place).await?;
        if let Err(fault) = compare::accepted(hands, place, self.lose_rows).await {
            thaw(hands, place).await?;
            return Err(fault);
        }
        let renames = [
            (place.database.to_string(), place.before()),
            (place.beside(), place.database.to_string()),
        ];
        if let Err(fault) = rename(hands, seen, &renames, None).await {
            // The transaction may have been made although its answer is lost.
            if standing(hands, seen).await? == Standing::Old {
                thaw(hands, place).await?;
                return Err(fault);
            }
        }
        Ok(Done {
            said: Clean::line(&format!(
                "{} is the restored database now; the old one is kept as {}",
                place.database,
                place.before()
            )),
        })
    }
}

/// From here on sessions of the live database can read only, those that are open included.
async fn freeze(hands: &Hands, place: &Place) -> Result<(), Clean> {
    let statements = [
        format!(
            "ALTER DATABASE {} SET {READ_ONLY} = on",
            quoted(&place.database)
        ),
        end_sessions(&place.database),
    ];
    place.server.tell(hands, place.apart(), &statements).await
}

async fn thaw(hands: &Hands, place: &Place) -> Result<(), Clean> {
    let statements = [
        format!(
            "ALTER DATABASE {} RESET {READ_ONLY}",
            quoted(&place.database)
        ),
        end_sessions(&place.database),
    ];
    place.server.tell(hands, place.apart(), &statements).await
}

async fn standing(hands: &Hands, seen: &Seen) -> Result<Standing, Clean> {
    let place = &seen.place;
    match place.number_of(hands, &place.database).await? {
        Some(number) if number == seen.live => Ok(Standing::Old),
        Some(number) if number == seen.restored => Ok(Standing::Restored),
        Some(_) => Err(Clean::line(&format!(
            "{} is neither the database that was live when this step began nor the restored one: somebody renamed databases meanwhile; look at them (\\l), then decide",
            place.database
        ))),
        None => Err(Clean::line(&format!(
            "there is no database {} any more: somebody renamed or dropped it; look at what is there (\\l)",
            place.database
        ))),
    }
}

/// Renames in one transaction, while the sessions in the way are ended: new ones wait at its locks and find the new
/// names. `thawed`: a database that gets its writers back in the same transaction.
async fn rename(
    hands: &Hands,
    seen: &Seen,
    renames: &[(String, String)],
    thawed: Option<&str>,
) -> Result<(), Clean> {
    let place = &seen.place;
    let mut statements = vec!["BEGIN".to_owned()];
    statements.extend(
        renames
            .iter()
            .map(|(from, to)| format!("ALTER DATABASE {} RENAME TO {}", quoted(from), quoted(to))),
    );
    statements
        .extend(thawed.map(|name| format!("ALTER DATABASE {} RESET {READ_ONLY}", quoted(name))));
    statements.push("COMMIT".to_owned());
    let names: Vec<&str> = renames.iter().map(|(from, _)| from.as_str()).collect();
    let mut fault = Clean::default();
    for _ in 0..TRIES_MAX {
        let renaming = place.server.tell(hands, place.apart(), &statements);
        let made = tokio::select! {
            made = renaming => made,
            never = ending(hands, place, &names) => match never {},
        };
        match made {
            Ok(()) => return Ok(()),
            Err(said) => fault = said,
        }
    }
    Err(Clean::line(&format!(
        "{} could not be renamed: {fault}; see who holds it: SELECT * FROM pg_stat_activity WHERE datname = {}",
        place.database,
        literal(&place.database)
    )))
}

/// Ends sessions for as long as it is polled.
async fn ending(hands: &Hands, place: &Place, databases: &[&str]) -> std::convert::Infallible {
    let statements: Vec<String> = databases.iter().map(|name| end_sessions(name)).collect();
    loop {
        // If nobody can be ended, the rename says why.
        drop(place.server.tell(hands, place.apart(), &statements).await);
        sleep(END_EVERY).await;
    }
}

impl Act for Swap {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Hold writers off, and give the name of {} to what was restored; keep the old one",
            self.target
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let (place, _) = place::find(hands, &self.target).await?;
        let live = place.number_of(hands, &place.database).await?;
        let restored = place.number_of(hands, &place.beside()).await?;
        let (Some(live), Some(restored)) = (live, restored) else {
            return Err(Clean::line(&format!(
                "{} and {} both have to be there; look at the databases (\\l), then plan again",
                place.database,
                place.beside()
            )));
        };
        keep(&Seen {
            place,
            live,
            restored,
        })
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        self.swapped(hands, &kept(before)?).await
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen: Seen = kept(before)?;
        let place = &seen.place;
        if standing(hands, &seen).await? == Standing::Old {
            thaw(hands, place).await?;
            return Ok(Done {
                said: Clean::line(&format!("{} is the one it was", place.database)),
            });
        }
        let renames = [
            (place.database.to_string(), place.undone()),
            (place.before(), place.database.to_string()),
        ];
        if let Err(fault) = rename(hands, &seen, &renames, Some(&place.database)).await
            && standing(hands, &seen).await? == Standing::Restored
        {
            return Err(fault);
        }
        Ok(Done {
            said: Clean::line(&format!(
                "{} is the one it was before; what was restored is kept as {} with all that was written since",
                place.database,
                place.undone()
            )),
        })
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looking = async {
            let seen: Seen = kept(before)?;
            Ok(standing(hands, &seen).await? == Standing::Restored)
        };
        finding(looking.await)
    }
}
