//! A dump into an empty database, by a role that may do nothing else.
//!
//! The dump is streamed into `pg_restore`: it lies on no disk on its way. Whatever it holds is done by a role that is no
//! superuser, and the first error ends it.

use tokio::io::{AsyncRead, sink};

use super::{Server, WORK_MAX, literal, named, quoted};
use crate::domain::{Clean, PostgresContent};
use crate::step::Hands;

/// In every cluster, and made by it.
const OWN_EXTENSION: &str = "plpgsql";

/// Where a dump goes.
pub(in crate::step) struct Goal<'a> {
    pub(in crate::step) server: &'a Server,
    /// From where databases are made.
    pub(in crate::step) apart: &'a str,
    pub(in crate::step) database: &'a str,
    pub(in crate::step) restorer: &'a str,
    /// How the new database is made: `TEMPLATE template0 …`.
    pub(in crate::step) like: &'a str,
    pub(in crate::step) strictness: Strictness,
}

/// What of a dump is restored beside tables and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::step) enum Strictness {
    /// Nobody else is in the cluster: no grants, no publications.
    Alone,
    /// It will be the live one: its grants with it.
    Live,
}

impl Goal<'_> {
    /// Makes the role and the empty database; what an earlier attempt made is gone before.
    pub(in crate::step) async fn prepare(&self, hands: &Hands) -> Result<(), Clean> {
        let (role, database) = (quoted(self.restorer), quoted(self.database));
        let statements = [
            format!(
                "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) \
                 THEN CREATE ROLE {role}; END IF; END $do$",
                literal(self.restorer)
            ),
            format!(
                "ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
            ),
            super::place::end_sessions(self.database),
            format!("DROP DATABASE IF EXISTS {database}"),
            format!("CREATE DATABASE {database} OWNER {role} {}", self.like),
        ];
        self.server.work(hands, self.apart, &statements).await
    }

    /// Extensions that only a superuser may make. Says whether there were any.
    pub(in crate::step) async fn extensions(
        &self,
        hands: &Hands,
        content: &PostgresContent,
    ) -> Result<bool, Clean> {
        let mut made = false;
        for extension in &content.extensions {
            if extension.name == *OWN_EXTENSION {
                continue;
            }
            let question = format!(
                "SELECT coalesce((SELECT to_jsonb(bool_or(trusted)) FROM \
                 pg_catalog.pg_available_extension_versions WHERE name = {}), 'null')",
                literal(&extension.name)
            );
            let trusted: Option<bool> = self.server.row(hands, self.database, &question).await?;
            match trusted {
                Some(true) => {}
                Some(false) => {
                    let statement =
                        format!("CREATE EXTENSION IF NOT EXISTS {}", quoted(&extension.name));
                    self.server.work(hands, self.database, &[statement]).await?;
                    made = true;
                }
                None => {
                    return Err(Clean::line(&format!(
                        "the dump needs the extension {} {}, and the image of {} has none of that name",
                        extension.name, extension.version, self.server.replica
                    )));
                }
            }
        }
        Ok(made)
    }

    /// The dump into the database. `made_extensions`: their comments are not the restorer's to write.
    pub(in crate::step) async fn pour<R: AsyncRead + Send + Unpin>(
        &self,
        hands: &Hands,
        dump: R,
        made_extensions: bool,
    ) -> Result<(), Clean> {
        let mut argv: Vec<String> = [
            "pg_restore",
            "--no-password",
            "--exit-on-error",
            "--no-owner",
            "--format=custom",
        ]
        .map(str::to_owned)
        .into();
        if self.strictness == Strictness::Alone {
            let others = ["--no-privileges", "--no-publications", "--no-subscriptions"];
            argv.extend(others.map(str::to_owned));
        }
        if self.strictness == Strictness::Alone || made_extensions {
            argv.push("--no-comments".to_owned());
        }
        argv.push(format!("--username={}", self.restorer));
        argv.push(format!("--dbname={}", named(self.database)));
        let flowed = self
            .server
            .through(hands, argv, dump, sink(), WORK_MAX)
            .await?;
        // Why the dump gave no more says more than what `pg_restore` made of its half.
        flowed
            .fed
            .map_err(|error| Clean::line(&error.to_string()))?;
        self.server.succeeded("pg_restore", &flowed.ended)
    }

    /// Figures for the planner, by the restorer: nothing that the dump brought runs with more rights than its own.
    pub(in crate::step) async fn analyze(&self, hands: &Hands) -> Result<(), Clean> {
        let server = Server {
            user: Clean::from(self.restorer),
            ..self.server.clone()
        };
        server
            .work(hands, self.database, &["ANALYZE".to_owned()])
            .await
    }
}
