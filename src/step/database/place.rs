//! Where the database of a backup's target lives, and the names that a run gives to databases beside it.

use serde::{Deserialize, Serialize};

use super::{NAME_BYTES_MAX, Server, apart_from, literal, quoted};
use crate::domain::{BackupSource, BackupSpec, Clean, Container};
use crate::step::Hands;
use crate::step::target;

/// A database of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::step) struct Place {
    pub(in crate::step) server: Server,
    /// The live name.
    pub(in crate::step) database: Clean,
    /// `r_20261121_031502_ab12`: in the names of what this run makes.
    pub(in crate::step) run: Clean,
}

/// What the configuration says of a target.
pub(in crate::step) fn spec<'a>(hands: &'a Hands, target: &Clean) -> Result<&'a BackupSpec, Clean> {
    hands.eyes.stack.backup(target).ok_or_else(|| {
        let known = hands.eyes.stack.backups.iter();
        let known: Vec<&str> = known.map(|one| one.target.as_str()).collect();
        Clean::line(&format!(
            "no [[backup]] of the configuration has the target {target}; there are: {}",
            known.join(", ")
        ))
    })
}

/// The live database of a target, and its container.
pub(in crate::step) async fn find(
    hands: &Hands,
    target: &Clean,
) -> Result<(Place, Container), Clean> {
    let Some(BackupSource::Postgres {
        service,
        database,
        user,
        ..
    }) = &spec(hands, target)?.source
    else {
        return Err(Clean::line(&format!(
            "{target} is no PostgreSQL database of the stack; name its service, database and user in [backup.postgres]"
        )));
    };
    let container = target::find(hands, service).await?;
    let place = Place {
        server: Server::of(&container, user),
        database: database.clone(),
        run: Clean::line(&hands.run.0.replace('-', "_")),
    };
    let longest = place.before().len().max(place.undone().len());
    if longest > NAME_BYTES_MAX {
        return Err(Clean::line(&format!(
            "{database} is too long a name: {} would be cut by PostgreSQL",
            place.undone()
        )));
    }
    Ok((place, container))
}

impl Place {
    /// What is restored, until it is swapped in.
    pub(in crate::step) fn beside(&self) -> String {
        format!("{}_new_{}", self.database, self.run)
    }

    /// What was live, once something else is.
    pub(in crate::step) fn before(&self) -> String {
        format!("{}_before_{}", self.database, self.run)
    }

    /// What was swapped in and out again.
    pub(in crate::step) fn undone(&self) -> String {
        format!("{}_restored_{}", self.database, self.run)
    }

    /// Who restores: may do nothing beyond one database.
    pub(in crate::step) fn restorer(&self) -> String {
        format!("quarterdeck_{}", self.run)
    }

    /// From where databases are made and renamed.
    pub(in crate::step) fn apart(&self) -> &'static str {
        apart_from(&self.database)
    }

    /// The server's own number of a database; `None`: there is none of that name.
    pub(in crate::step) async fn number_of(
        &self,
        hands: &Hands,
        database: &str,
    ) -> Result<Option<u32>, Clean> {
        let question = format!(
            "SELECT coalesce((SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = {}), 0)",
            literal(database)
        );
        let number: u32 = self.server.row(hands, self.apart(), &question).await?;
        Ok((number > 0).then_some(number))
    }

    /// Ends all sessions of a database and removes it. One that is not there is fine.
    pub(in crate::step) async fn drop_database(
        &self,
        hands: &Hands,
        database: &str,
    ) -> Result<(), Clean> {
        let statements = [
            end_sessions(database),
            format!("DROP DATABASE IF EXISTS {}", quoted(database)),
        ];
        self.server.work(hands, self.apart(), &statements).await
    }

    /// Removes what was restored and not swapped in, and its role.
    pub(in crate::step) async fn drop_beside(&self, hands: &Hands) -> Result<(), Clean> {
        self.drop_database(hands, &self.beside()).await?;
        let role = format!("DROP ROLE IF EXISTS {}", quoted(&self.restorer()));
        self.server.work(hands, self.apart(), &[role]).await
    }
}

/// Sessions come back by themselves; who is in the way is ended, not refused.
pub(in crate::step) fn end_sessions(database: &str) -> String {
    format!(
        "SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity \
         WHERE datname = {} AND pid <> pg_catalog.pg_backend_pid()",
        literal(database)
    )
}
