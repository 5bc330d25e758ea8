//! `sql`: what the database says of its contents and of itself, asked with the `psql` of its own container.
//!
//! One value that a query gives, or one of the ready-made questions (`about`). The session is read-only and gives up by
//! itself, so that a slip in a document changes nothing and holds nothing up. The question is one argument of `psql`;
//! no shell and no file of commands is involved.

mod ask;
mod ready;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_number, suits_text, wishes};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, FaultKind, Measured, Timestamp};
use crate::link::docker::Ended;

/// The question, `psql`'s start and the way there.
const DEADLINE: Duration = Duration::from_secs(20);

/// A question is a line or ten.
const QUERY_BYTES_MAX: usize = 4096;

/// Tables or settings of one check.
const NAMES_MAX: usize = 50;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// In whose container `psql` runs.
    pub service: Clean,
    pub database: Clean,
    #[serde(default = "superuser")]
    pub user: Clean,
    /// Where `psql` connects to, as seen from that container; without it, to the database beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Clean>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Gives one row of one column.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// A ready-made question instead of a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// Of the query's value, or of what the ready-made question measures first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Expectation>,
    /// How many rows each table has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<Clean, Expectation>,
    /// The tables that are meant; of `row-level-security` without them every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Clean>,
    /// What each setting is; one with a unit is compared as a time or a size.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<Clean, Expectation>,
    /// How many standbys follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standbys: Option<Expectation>,
    /// Of `PgBouncer`: how long the first client in a queue has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maxwait: Option<Expectation>,
    /// Of `PgBouncer`: `transaction`, `session` or `statement`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_mode: Option<Expectation>,
    /// For how long the newest partition will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Expectation>,
    /// How many indexes nobody has used since the figures began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<Expectation>,
    /// How many foreign keys have no index behind them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Expectation>,
}

/// What the ready-made questions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    Counts,
    ReplicationLag,
    PgbouncerPools,
    Partitions,
    Indexes,
    RowLevelSecurity,
    TlsRequired,
    Settings,
}

fn superuser() -> Clean {
    Clean::from("postgres")
}

impl Sql {
    fn query_problem(&self) -> Option<Clean> {
        let query = self.query.trim();
        if query.is_empty() {
            return Some("the query is empty; write one such as SELECT 1".into());
        }
        // psql would take it for a command of its own, and some of those start a shell.
        if query.starts_with('\\') {
            return Some("the query begins with a backslash; write plain SQL".into());
        }
        if query.len() > QUERY_BYTES_MAX {
            return Some("the query is over 4 KB long; make it a view".into());
        }
        query
            .contains('\0')
            .then(|| "the query holds a NUL; take it out".into())
    }

    fn own_problems(&self) -> Vec<Clean> {
        let mut problems: Vec<Clean> = self.query_problem().into_iter().collect();
        match &self.value {
            None => problems.push("nothing is expected; say value".into()),
            Some(value) => {
                let number = suits_number("value", value, value.natural_unit());
                problems.extend(number.and_then(|_| suits_text("value", value)));
            }
        }
        problems
    }

    fn seen(&self, ended: &Ended) -> Result<Seen, Fault> {
        let text = ask::answered(ended)?;
        let mut rows = text.lines();
        let (Some(value), None) = (rows.next(), rows.next()) else {
            let count = text.lines().count();
            let text = format!("the query gives {count} rows, and one is compared");
            return Err(Fault::new(FaultKind::Misconfigured, text)
                .remedy("count or sum them, or ask for one"));
        };
        let mut seen = Seen {
            got: json!({ "value": Clean::line(value) }),
            ..Seen::default()
        };
        if let Some(expected) = &self.value {
            match number(value, expected) {
                Some(number) => seen.number("value", number, expected.natural_unit(), expected),
                None => seen.text("value", &Clean::line(value), expected),
            }
        }
        Ok(seen)
    }
}

/// A value that reads as a number is one where a number is expected.
fn number(value: &str, expected: &Expectation) -> Option<f64> {
    let number: f64 = value.trim().parse().ok()?;
    let measured = Measured::Number(number, expected.natural_unit());
    expected.compare(&measured).is_ok().then_some(number)
}

/// As databases and roles are named; also no connection string, which could lead elsewhere.
fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(fine)
}

impl Kind for Sql {
    fn describe(&self) -> Clean {
        if let Some(about) = self.about {
            return self.describe_ready(about);
        }
        let query = self.query.split_whitespace().collect::<Vec<_>>().join(" ");
        let wishes = wishes([("value", self.value.as_ref())]);
        Clean::from(format!("{query} in {}: {wishes}", self.database))
    }

    fn problems(&self) -> Vec<Clean> {
        let name = |what: &str, name: &Clean| {
            let text = format!("{what}: {name:?} is no name; letters, digits and _ make one");
            (!is_name(name)).then(|| Clean::from(text))
        };
        let host = self.host.as_ref();
        let more = match self.about {
            None => self.own_problems(),
            Some(about) => self.ready_problems(about),
        };
        name("database", &self.database)
            .into_iter()
            .chain(name("user", &self.user))
            .chain(host.and_then(|host| name("host", host)))
            .chain(more)
            .collect()
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        let query = match self.about {
            None => self.query.clone(),
            Some(about) => self.ready_query(about),
        };
        json!({
            "service": self.service,
            "database": self.database,
            "user": self.user,
            "host": self.host,
            "query": Clean::line(&query),
        })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        match self.about {
            None => {
                let ended = self.ask(&self.query, eyes).await?;
                self.seen(&ended)
            }
            Some(about) => {
                let ended = self.ask(&self.ready_query(about), eyes).await?;
                self.ready_seen(about, &ask::rows(&ended)?, now)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(value: &str) -> Sql {
        Sql {
            service: "postgres".into(),
            database: "app".into(),
            user: superuser(),
            query: "SELECT count(*) FROM orders".into(),
            value: Some(Expectation::parse(value).unwrap()),
            ..Sql::default()
        }
    }

    fn answer(text: &str) -> Ended {
        Ended {
            stdout: text.into(),
            ..Ended::default()
        }
    }

    #[track_caller]
    fn check(value: &str, text: &str, holds: bool) {
        let seen = sql(value).seen(&answer(text)).unwrap();
        let checked = &seen.tests[0];
        assert_eq!(
            checked.expected.compare(&checked.measured),
            Ok(holds),
            "{checked:?}"
        );
    }

    #[test]
    fn a_value_is_a_number_where_a_number_is_expected() {
        check(">= 12", "12\n", true);
        check("< 5 %", "0.06\n", false);
        check("== t", "t\n", true);
        check("contains 15", "15.8\n", true);
        check("== 12", "12\n", true);
    }

    #[test]
    fn what_is_no_single_value_was_not_seen() {
        let fault = |ended: &Ended| sql("> 1").seen(ended).unwrap_err().to_string();
        assert!(fault(&answer("")).contains("0 rows"));
        assert!(fault(&answer("1\n2\n")).contains("2 rows"));
        let failed = Ended {
            exit: 1,
            stderr: b"ERROR:  relation \"orders\" does not exist".to_vec(),
            ..Ended::default()
        };
        assert!(fault(&failed).contains("relation \"orders\""));
    }

    #[test]
    fn what_would_leave_plain_sql_is_refused() {
        let problem = |change: fn(&mut Sql)| {
            let mut sql = sql("> 1");
            change(&mut sql);
            let problems = sql.problems();
            assert_eq!(problems.len(), 1, "{problems:?}");
            problems[0].to_string()
        };
        assert!(problem(|sql| sql.query = "\\! rm -rf /".into()).contains("backslash"));
        assert!(problem(|sql| sql.query = "  ".into()).contains("empty"));
        assert!(problem(|sql| sql.database = "host=evil.com".into()).contains("database"));
        assert!(problem(|sql| sql.user = "-c".into()).contains("user"));
        assert!(sql("> 1").problems().is_empty());
    }

    #[test]
    fn the_query_is_one_argument_whatever_it_holds() {
        let mut sql = sql("> 1");
        sql.query = "SELECT '; $(id) `id` -c \" '".into();
        let argv = sql.argv(&sql.query);
        assert_eq!(argv.last(), Some(&sql.query));
        assert!(argv.contains(&"SET default_transaction_read_only = on".to_owned()));
    }
}
