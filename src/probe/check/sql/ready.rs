//! The ready-made questions: what is asked of PostgreSQL, and what its rows say.
//!
//! They tell the truth of an idle database too: a lag without anything to replay is none, an index that nobody used
//! since the figures began yesterday is not unused.

mod judge;
mod query;

use super::ask::Row;
use super::{About, NAMES_MAX, Sql};
use crate::domain::{Clean, Expectation, Fault, Timestamp, Unit};
use crate::probe::check::seen::{Seen, suits_number, suits_text, wishes};

impl About {
    fn word(self) -> &'static str {
        match self {
            Self::Counts => "row counts",
            Self::ReplicationLag => "replication lag",
            Self::PgbouncerPools => "pgBouncer's pools",
            Self::Partitions => "partitions",
            Self::Indexes => "indexes",
            Self::RowLevelSecurity => "row-level security",
            Self::TlsRequired => "TLS required",
            Self::Settings => "settings",
        }
    }
}

impl Sql {
    pub(super) fn describe_ready(&self, about: About) -> Clean {
        let named = |map: &std::collections::BTreeMap<Clean, Expectation>| {
            let parts: Vec<String> = map.iter().map(|(k, e)| format!("{k} {e}")).collect();
            parts.join(", ")
        };
        let mut parts = vec![named(&self.counts), named(&self.settings)];
        parts.push(
            self.tables
                .iter()
                .map(Clean::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        );
        let first = match about {
            About::ReplicationLag => "lag",
            About::PgbouncerPools => "waiting",
            About::Partitions => "partitions",
            About::Indexes => "invalid",
            About::TlsRequired => "plain sessions",
            About::Counts | About::RowLevelSecurity | About::Settings => "value",
        };
        parts.push(wishes([
            (first, self.value.as_ref()),
            ("standbys", self.standbys.as_ref()),
            ("longest wait", self.maxwait.as_ref()),
            ("pool mode", self.pool_mode.as_ref()),
            ("ahead", self.ahead.as_ref()),
            ("unused", self.unused.as_ref()),
            ("foreign keys without an index", self.missing.as_ref()),
        ]));
        parts.retain(|part| !part.is_empty());
        let colon = if parts.is_empty() { "" } else { ": " };
        Clean::from(format!(
            "{} of {}{colon}{}",
            about.word(),
            self.database,
            parts.join(", ")
        ))
    }

    pub(super) fn ready_query(&self, about: About) -> String {
        match about {
            About::Counts => query::counts(self.counts.keys()),
            About::ReplicationLag => query::LAG.to_owned(),
            About::PgbouncerPools => "SHOW POOLS".to_owned(),
            About::Partitions => query::partitions(&self.tables),
            About::Indexes => query::INDEXES.to_owned(),
            About::RowLevelSecurity => query::row_security(&self.tables),
            About::TlsRequired => query::TLS.to_owned(),
            About::Settings => query::settings(self.settings.keys()),
        }
    }

    pub(super) fn ready_seen(
        &self,
        about: About,
        rows: &[Row],
        now: Timestamp,
    ) -> Result<Seen, Fault> {
        match about {
            About::Counts => judge::counts(&self.counts, rows),
            About::ReplicationLag => judge::lag(self, rows),
            About::PgbouncerPools => judge::pools(self, rows),
            About::Partitions => judge::partitions(self, rows, now),
            About::Indexes => judge::indexes(self, rows),
            About::RowLevelSecurity => judge::row_security(&self.tables, rows),
            About::TlsRequired => judge::tls(self, rows),
            About::Settings => Ok(judge::settings(&self.settings, rows)),
        }
    }

    pub(super) fn ready_problems(&self, about: About) -> Vec<Clean> {
        let mut problems = self.strangers(about);
        if !self.query.is_empty() {
            problems.push("say either query or about".into());
        }
        let names = self.counts.len() + self.tables.len() + self.settings.len();
        if names > NAMES_MAX {
            problems.push(format!("more than {NAMES_MAX} names; make two checks of it").into());
        }
        let none = |what: &str, example: &str| Clean::from(format!("{what}; write {example}"));
        match about {
            About::Counts if self.counts.is_empty() => {
                problems.push(none("no table is named", "counts = { users = \">= 1\" }"));
            }
            About::Settings if self.settings.is_empty() => problems.push(none(
                "no setting is named",
                "settings = { max_connections = \">= 100\" }",
            )),
            About::Partitions if self.tables.is_empty() => {
                problems.push(none("no table is named", "tables = [\"events\"]"));
            }
            _ => {}
        }
        for name in self.counts.keys().chain(&self.tables) {
            problems.extend(query::table_problem(name));
        }
        for name in self.settings.keys() {
            problems.extend(query::setting_problem(name));
        }
        problems.extend(self.unsuited(about));
        problems
    }

    /// Fields that belong to another question.
    fn strangers(&self, about: About) -> Vec<Clean> {
        use About::{Counts, Indexes, Partitions, PgbouncerPools, ReplicationLag};
        use About::{RowLevelSecurity, Settings};
        let all: [(&str, bool, &[About]); 9] = [
            ("counts", !self.counts.is_empty(), &[Counts]),
            (
                "tables",
                !self.tables.is_empty(),
                &[Partitions, RowLevelSecurity],
            ),
            ("settings", !self.settings.is_empty(), &[Settings]),
            ("standbys", self.standbys.is_some(), &[ReplicationLag]),
            ("maxwait", self.maxwait.is_some(), &[PgbouncerPools]),
            ("pool_mode", self.pool_mode.is_some(), &[PgbouncerPools]),
            ("ahead", self.ahead.is_some(), &[Partitions]),
            ("unused", self.unused.is_some(), &[Indexes]),
            ("missing", self.missing.is_some(), &[Indexes]),
        ];
        let mut problems: Vec<Clean> = all
            .into_iter()
            .filter(|(_, is_there, of)| *is_there && !of.contains(&about))
            .map(|(what, ..)| {
                Clean::from(format!(
                    "{what} says nothing of {}; take it out",
                    about.word()
                ))
            })
            .collect();
        if self.value.is_some() && matches!(about, Counts | RowLevelSecurity | Settings) {
            problems.push(format!("value says nothing of {}; take it out", about.word()).into());
        }
        problems
    }

    fn unsuited(&self, about: About) -> Vec<Clean> {
        let value = match about {
            About::ReplicationLag => Unit::Seconds,
            _ => Unit::Count,
        };
        let numbers = [
            ("value", &self.value, value),
            ("standbys", &self.standbys, Unit::Count),
            ("maxwait", &self.maxwait, Unit::Seconds),
            ("ahead", &self.ahead, Unit::Seconds),
            ("unused", &self.unused, Unit::Count),
            ("missing", &self.missing, Unit::Count),
        ];
        let numbers = numbers
            .into_iter()
            .filter_map(|(what, expected, unit)| suits_number(what, expected.as_ref()?, unit));
        let counts = self
            .counts
            .iter()
            .filter_map(|(name, expected)| suits_number(name, expected, Unit::Count));
        let mode = self.pool_mode.as_ref();
        let mode = mode.and_then(|expected| suits_text("pool_mode", expected));
        numbers.chain(counts).chain(mode).collect()
    }
}
