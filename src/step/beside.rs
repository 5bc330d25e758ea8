//! `restore-beside`: a backup into a new database beside the live one.
//!
//! Everything that speaks against the restore is looked for before anything is made: the wrong database, an altered
//! dump, tools that are too old, too little disk, newer rows. The live database is only read.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::database::place::{self, Place};
use super::database::refill::{Goal, Strictness};
use super::database::version::Version;
use super::database::{owners, tally};
use super::supply::{self, Chosen, NEWEST, Pinned};
use super::target::{finding, keep, kept};
use super::{Act, Done, Hands};
use crate::domain::{BackupSpec, Clean};
use crate::engine::{Finding, Repeat, Undo};

/// A new database of the same rows is smaller than the old one; indexes are built on the same disk.
const DISK_PERCENT: u64 = 120;
/// The least that stays free: a server whose disk is full stops.
const DISK_SPARE_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// The target of a `[[backup]]`.
    pub target: Clean,
    /// Its name, or `newest`.
    #[serde(default = "newest")]
    pub backup: Clean,
    /// Takes a backup of a database of another name: that name. `same`: it has to be the same.
    #[serde(default = "same")]
    pub from_database: Clean,
    /// Takes a backup of another cluster: its system identifier. `same`: it has to be the same.
    #[serde(default = "same")]
    pub from_cluster: Clean,
    /// So many rows that only the live database has may be left behind.
    #[serde(default, deserialize_with = "super::compare::number")]
    pub lose_rows: u64,
}

const SAME: &str = "same";

fn newest() -> Clean {
    Clean::from(NEWEST)
}

fn same() -> Clean {
    Clean::from(SAME)
}

#[derive(Serialize, Deserialize)]
struct Seen {
    place: Place,
    backup: Pinned,
}

/// What the live server says of itself.
#[derive(Deserialize)]
struct Facts {
    cluster: String,
    version: u32,
    directory: String,
}

const FACTS: &str = "SELECT json_build_object('cluster', system_identifier::text, \
    'version', current_setting('server_version_num')::int, 'directory', current_setting('data_directory')) \
    FROM pg_catalog.pg_control_system()";

impl Beside {
    async fn examined(&self, hands: &Hands) -> Result<Seen, Clean> {
        let spec = place::spec(hands, &self.target)?;
        let (place, _) = place::find(hands, &self.target).await?;
        let chosen = supply::choose(spec, &self.backup).await?;
        let facts: Facts = place.server.row(hands, place.apart(), FACTS).await?;
        self.is_the_one(&chosen, &place, &facts)?;
        tools(hands, &place, &chosen, &facts).await?;
        room(hands, &place, &chosen, &facts).await?;
        self.not_newer(hands, &place, &chosen).await?;
        (hands.say)(Clean::line(&format!(
            "reading all of {} before anything is made",
            chosen.name()
        )));
        chosen.examine(spec).await?;
        Ok(Seen {
            place,
            backup: chosen.pinned(),
        })
    }

    /// The backup is of this database of this cluster, or somebody has said of which.
    fn is_the_one(&self, chosen: &Chosen, place: &Place, facts: &Facts) -> Result<(), Clean> {
        let content = &chosen.content;
        let said = |word: &Clean, otherwise: &str| {
            if *word == *SAME {
                otherwise.to_owned()
            } else {
                word.to_string()
            }
        };
        let database = said(&self.from_database, &place.database);
        if *content.database != database {
            return Err(Clean::line(&format!(
                "{} is a backup of the database {}, not of {database}; if that is meant, say from_database={}",
                chosen.name(),
                content.database,
                content.database
            )));
        }
        let cluster = said(&self.from_cluster, &facts.cluster);
        if *content.system_identifier != cluster {
            return Err(Clean::line(&format!(
                "{} is a backup of the cluster {}, not of {cluster}; if that is meant, say from_cluster={}",
                chosen.name(),
                content.system_identifier,
                content.system_identifier
            )));
        }
        Ok(())
    }

    /// More rows now than then are newer rows. The exact comparison comes when the backup is restored.
    async fn not_newer(&self, hands: &Hands, place: &Place, chosen: &Chosen) -> Result<(), Clean> {
        let live = tally::tally(hands, &place.server, &place.database).await?;
        let then = chosen.tally();
        let more = live.iter().map(|(name, now)| {
            let before = then.get(name).map_or(0, |count| count.rows);
            (name, now.rows.saturating_sub(before))
        });
        let more: Vec<_> = more.filter(|(_, rows)| *rows > 0).collect();
        let rows: u64 = more.iter().map(|(_, rows)| rows).sum();
        if rows <= self.lose_rows {
            return Ok(());
        }
        let tables: Vec<String> = more
            .iter()
            .map(|(name, rows)| format!("{} {rows}", tally::shown(name)))
            .collect();
        Err(Clean::line(&format!(
            "{} has at least {rows} rows more than {} ({}): a restore would lose them; make a backup first, or accept it with lose_rows={rows}",
            place.database,
            chosen.name(),
            tables.join(", ")
        )))
    }
}

/// The tools are safe, and no older than what made the dump.
pub(super) async fn tools_of(
    hands: &Hands,
    server: &super::database::Server,
    chosen: &Chosen,
) -> Result<(), Clean> {
    let asked = server.tool(hands, &["pg_restore", "--version"]).await?;
    server.succeeded("pg_restore", &asked)?;
    let text = String::from_utf8_lossy(&asked.stdout);
    let unread =
        |what: &str| Clean::line(&format!("nobody can tell which version this is: {what}"));
    let tools = Version::read(&text).ok_or_else(|| unread(&text))?;
    if let Some(problem) = tools.problem() {
        return Err(problem);
    }
    let dumped = &chosen.content.dumped_by;
    let dumped = Version::read(dumped).ok_or_else(|| unread(dumped))?;
    if dumped.major > tools.major {
        return Err(Clean::line(&format!(
            "{} was made by pg_dump {}, and pg_restore {} of {} cannot read it; use an image of PostgreSQL {}",
            chosen.name(),
            dumped.major,
            tools.major,
            server.replica,
            dumped.major
        )));
    }
    Ok(())
}

async fn tools(hands: &Hands, place: &Place, chosen: &Chosen, facts: &Facts) -> Result<(), Clean> {
    const MAJOR: u32 = 10_000;
    tools_of(hands, &place.server, chosen).await?;
    let (then, now) = (
        chosen.content.server_version_num / MAJOR,
        facts.version / MAJOR,
    );
    if then > now {
        return Err(Clean::line(&format!(
            "{} is of PostgreSQL {then}, and {} is {now}: an older server does not take it",
            chosen.name(),
            place.server.replica
        )));
    }
    Ok(())
}

/// The disk holds the new database beside the old one.
async fn room(hands: &Hands, place: &Place, chosen: &Chosen, facts: &Facts) -> Result<(), Clean> {
    let needed = chosen.content.database_bytes / 100 * DISK_PERCENT + DISK_SPARE_BYTES;
    let free = free_bytes(hands, place, &facts.directory).await?;
    if free < needed {
        return Err(Clean::line(&format!(
            "{} has {} MB free for {}, and a second database needs {} MB; make room first",
            place.server.replica,
            free / 1_000_000,
            facts.directory,
            needed / 1_000_000
        )));
    }
    Ok(())
}

async fn free_bytes(hands: &Hands, place: &Place, directory: &str) -> Result<u64, Clean> {
    let asked = place.server.tool(hands, &["df", "-Pk", directory]).await;
    let said = match asked {
        Ok(ended) if ended.exit == 0 => String::from_utf8_lossy(&ended.stdout).into_owned(),
        Ok(ended) => return Err(unknown_room(place, &ended.reason())),
        Err(fault) => return Err(unknown_room(place, &fault)),
    };
    free_of(&said).ok_or_else(|| unknown_room(place, &Clean::line(&said)))
}

/// Of POSIX `df`: the fourth column of the last line, in 1024 bytes.
fn free_of(said: &str) -> Option<u64> {
    let last = said.lines().filter(|line| !line.trim().is_empty()).nth(1)?;
    let free: u64 = last.split_whitespace().nth(3)?.parse().ok()?;
    free.checked_mul(1024)
}

fn unknown_room(place: &Place, why: &Clean) -> Clean {
    Clean::line(&format!(
        "nobody can tell how much disk {} has left: {why}; the image needs `df`",
        place.server.replica
    ))
}

/// What a later step reads to know what was restored: it stands on the database itself.
fn mark(backup: &Pinned) -> String {
    format!(
        "quarterdeck: {} sha256 {}",
        backup.name, backup.digest.sha256
    )
}

/// The backup that the new database of this run was made from.
pub(super) async fn restored_from(
    hands: &Hands,
    spec: &BackupSpec,
    place: &Place,
) -> Result<Chosen, Clean> {
    let beside = place.beside();
    let question = format!(
        "SELECT to_json(coalesce(shobj_description(oid, 'pg_database'), '')) \
         FROM pg_catalog.pg_database WHERE datname = {}",
        super::database::literal(&beside)
    );
    let found: String = place.server.row(hands, place.apart(), &question).await?;
    let name = found
        .strip_prefix("quarterdeck: ")
        .and_then(|rest| rest.split(' ').next())
        .ok_or_else(|| {
            Clean::line(&format!(
                "{beside} does not say from which backup it was made: its restore has not ended"
            ))
        })?;
    let chosen = supply::choose(spec, &Clean::line(name)).await?;
    if mark(&chosen.pinned()) != found {
        return Err(Clean::line(&format!(
            "the manifest of {name} has changed since {beside} was restored from it; plan again"
        )));
    }
    Ok(chosen)
}

impl Act for Beside {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Restore the {} backup of {} into a new database beside the live one",
            self.backup, self.target
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        keep(&self.examined(hands).await?)
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let Seen { place, backup } = kept(before)?;
        let spec = place::spec(hands, &self.target)?;
        let chosen = supply::choose(spec, &Clean::from(backup.name.as_str())).await?;
        if chosen.pinned() != backup {
            return Err(Clean::line(&format!(
                "{} is another one than when this step began; plan again",
                backup.name
            )));
        }
        let (beside, restorer) = (place.beside(), place.restorer());
        let goal = Goal {
            server: &place.server,
            apart: place.apart(),
            database: &beside,
            restorer: &restorer,
            like: &owners::like_live(hands, &place).await?,
            strictness: Strictness::Live,
        };
        goal.prepare(hands).await?;
        let made = goal.extensions(hands, &chosen.content).await?;
        let dump = chosen.open(spec).await?;
        goal.pour(hands, dump, made).await?;
        goal.analyze(hands).await?;
        owners::hand_over(hands, &place, &beside).await?;
        // Last: what carries the mark is whole.
        let statement = format!(
            "COMMENT ON DATABASE {} IS {}",
            super::database::quoted(&beside),
            super::database::literal(&mark(&backup))
        );
        place
            .server
            .tell(hands, place.apart(), &[statement])
            .await?;
        Ok(Done {
            said: Clean::line(&format!("{} is restored as {beside}", backup.name)),
        })
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
            let spec = place::spec(hands, &self.target)?;
            if place.number_of(hands, &place.beside()).await?.is_none() {
                return Ok(false);
            }
            Ok(restored_from(hands, spec, &place).await.is_ok())
        };
        finding(looking.await)
    }
}

/// `verify-beside`: what was restored is what the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The target of a `[[backup]]`.
    pub target: Clean,
}

impl Act for Verify {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Count what was restored for {} and compare it with the manifest",
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
        let spec = place::spec(hands, &self.target)?;
        let chosen = restored_from(hands, spec, &place).await?;
        let began = (hands.now)();
        let found = tally::tally(hands, &place.server, &place.beside()).await?;
        let matched = super::proof::matched(&chosen.tally(), &found);
        let evidence = json!({
            "kind": "verify-beside", "target": self.target, "backup": chosen.name(), "matched": matched,
        });
        super::proof::prove(hands, began, matched.verdict(), &matched.said(), evidence);
        matched.done()
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

    #[test]
    fn free_disk_is_read_as_posix_writes_it() {
        let said =
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/a 100 40 60 40% /\n";
        assert_eq!(free_of(said), Some(60 * 1024));
        assert_eq!(free_of("nothing"), None);
        assert_eq!(free_of("a\nb c d lots e\n"), None);
    }
}
