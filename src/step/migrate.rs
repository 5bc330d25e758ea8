//! `copy-beside`: a source database of the stack into a new one beside the live one, counted on both sides.
//!
//! Nothing lies on a disk in between, nothing of the source is changed, and nothing is dropped but what an earlier
//! attempt of the same run left. A source that is written to meanwhile is no source: its counts before and after differ.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::database::place::{self, Place};
use super::database::refill::{Goal, Strictness};
use super::database::{Server, WORK_MAX, literal, named, owners, quoted, tally};
use super::proof::{matched, prove};
use super::target::{self, finding, keep, kept};
use super::{Act, Done, Hands};
use crate::domain::{Clean, SecretPlace};
use crate::engine::{Finding, Repeat, Undo};

/// Between the two tools.
const PIPE_BYTES: usize = 256 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyBeside {
    /// The target of a `[[backup]]`: what is live.
    pub target: Clean,
    /// In whose container the source is.
    pub from_service: Clean,
    pub from_database: Clean,
    #[serde(default = "superuser")]
    pub from_user: Clean,
    #[serde(default)]
    pub from_password: Option<SecretPlace>,
}

fn superuser() -> Clean {
    Clean::from("postgres")
}

#[derive(Serialize, Deserialize)]
struct Seen {
    place: Place,
    source: Server,
}

impl CopyBeside {
    /// Stands on the new database when it is whole.
    fn mark(&self) -> String {
        format!(
            "quarterdeck-copy: {} of {}",
            self.from_database, self.from_service
        )
    }

    async fn copied(&self, hands: &Hands, seen: &Seen) -> Result<Done, Clean> {
        let (place, source) = (&seen.place, &seen.source);
        let began = (hands.now)();
        let before = tally::tally(hands, source, &self.from_database).await?;
        let (beside, restorer) = (place.beside(), place.restorer());
        let goal = Goal {
            server: &place.server,
            apart: place.apart(),
            database: &beside,
            restorer: &restorer,
            like: &owners::like_live(hands, place).await?,
            strictness: Strictness::Live,
        };
        goal.prepare(hands).await?;
        self.flow(hands, source, &goal).await?;
        let after = tally::tally(hands, source, &self.from_database).await?;
        if before != after {
            return Err(Clean::line(&format!(
                "{} was written to while it was copied ({}); stop its writers, then try again",
                self.from_database,
                tally::said(&tally::differences(&before, &after))
            )));
        }
        let found = tally::tally(hands, &place.server, &beside).await?;
        let matched = matched(&before, &found);
        let evidence = json!({
            "kind": "copy-beside", "target": self.target,
            "from": {"service": self.from_service, "database": self.from_database}, "matched": matched,
        });
        prove(hands, began, matched.verdict(), &matched.said(), evidence);
        let done = matched.done()?;
        goal.analyze(hands).await?;
        owners::hand_over(hands, place, &beside).await?;
        let statement = format!(
            "COMMENT ON DATABASE {} IS {}",
            quoted(&beside),
            literal(&self.mark())
        );
        place
            .server
            .tell(hands, place.apart(), &[statement])
            .await?;
        Ok(done)
    }

    /// Out of the one and into the other, at the pace of the slower.
    async fn flow(&self, hands: &Hands, source: &Server, goal: &Goal<'_>) -> Result<(), Clean> {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let argv = [
            "pg_dump".to_owned(),
            "--no-password".to_owned(),
            "--format=custom".to_owned(),
            // It is read again at once.
            "--compress=0".to_owned(),
            format!("--username={}", source.user),
            format!("--dbname={}", named(&self.from_database)),
        ];
        let dumping = source.through(hands, argv.into(), tokio::io::empty(), near, WORK_MAX);
        let (dumped, poured) =
            futures_util::future::join(dumping, goal.pour(hands, far, false)).await;
        source.succeeded("pg_dump", &dumped?.ended)?;
        poured
    }
}

impl Act for CopyBeside {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Copy the database {} of {} into a new one beside the live {}, and count both",
            self.from_database, self.from_service, self.target
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let (place, live) = place::find(hands, &self.target).await?;
        let container = target::find(hands, &self.from_service).await?;
        if container.id == live.id && self.from_database == place.database {
            return Err(Clean::line(&format!(
                "{} would be copied into itself",
                self.from_database
            )));
        }
        let source = Server {
            id: container.id.clone(),
            replica: container.replica(),
            user: self.from_user.clone(),
            password: self.from_password.clone(),
        };
        let there = tally::tally(hands, &source, &self.from_database).await?;
        if tally::rows(&there) == 0 {
            return Err(Clean::line(&format!(
                "{} of {} holds no row in {} tables: there is nothing to copy",
                self.from_database,
                self.from_service,
                there.len()
            )));
        }
        keep(&Seen { place, source })
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        self.copied(hands, &kept(before)?).await
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let Seen { place, .. } = kept(before)?;
        place.drop_beside(hands).await?;
        Ok(Done {
            said: Clean::line(&format!("{} is not there", place.beside())),
        })
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looking = async {
            let Seen { place, .. } = kept(before)?;
            let question = format!(
                "SELECT to_json(coalesce((SELECT shobj_description(oid, 'pg_database') \
                 FROM pg_catalog.pg_database WHERE datname = {}), ''))",
                literal(&place.beside())
            );
            let found: String = place.server.row(hands, place.apart(), &question).await?;
            Ok(found == self.mark())
        };
        finding(looking.await)
    }
}
