//! `sql`: one value that the database gives, asked with the `psql` of its own container.
//!
//! The session is read-only and gives up by itself, so that a slip in a document changes nothing and holds nothing up.
//! The question is one argument of `psql`; no shell and no file of commands is involved.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::containers::listed;
use super::seen::{Seen, suits_number, suits_text, wishes};
use super::{Eyes, Kind};
use crate::domain::{
    CheckState, Clean, ContainerId, ContainerState, Expectation, Fault, FaultKind, Measured,
    Timestamp,
};
use crate::link::docker::{Command, Ended};

/// Then the database itself ends the question.
const STATEMENT_SECONDS: u32 = 5;

/// The question, `psql`'s start and the way there.
const EXEC_DEADLINE: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(20);

/// A question is a line or ten.
const QUERY_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// In whose container `psql` runs.
    pub service: Clean,
    pub database: Clean,
    #[serde(default = "superuser")]
    pub user: Clean,
    /// Gives one row of one column.
    pub query: String,
    pub value: Expectation,
}

fn superuser() -> Clean {
    Clean::from("postgres")
}

impl Sql {
    fn argv(&self) -> Vec<String> {
        let limit = format!("SET statement_timeout = '{STATEMENT_SECONDS}s'");
        [
            "psql",
            // Nobody's settings, no tags, one bare value, no password asked for.
            "-X",
            "-q",
            "-A",
            "-t",
            "-w",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            &self.user,
            "-d",
            &self.database,
            "-c",
            "SET default_transaction_read_only = on",
            "-c",
            &limit,
            "-c",
            &self.query,
        ]
        .map(str::to_owned)
        .into()
    }

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

    /// A replica that is healthy goes before one that only runs.
    async fn container(&self, eyes: &Eyes) -> Result<ContainerId, Fault> {
        let mut all = listed(eyes, &self.service).await?;
        all.retain(|one| one.state == ContainerState::Running);
        all.sort_by_key(|one| one.check != CheckState::Healthy);
        match all.into_iter().next() {
            Some(one) => Ok(one.id),
            None => {
                let text = format!("no running container of {} is known", self.service);
                Err(Fault::new(FaultKind::Missing, text)
                    .remedy("start it, or check the service's name"))
            }
        }
    }

    fn seen(&self, ended: &Ended) -> Result<Seen, Fault> {
        if ended.exit != 0 {
            let text = format!("psql could not answer: {}", ended.reason());
            return Err(Fault::new(FaultKind::Misconfigured, text)
                .remedy("try the query by hand, and check database and user"));
        }
        let text = String::from_utf8_lossy(&ended.stdout);
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
        match self.number(value) {
            Some(number) => {
                let unit = self.value.natural_unit();
                seen.number("value", number, unit, &self.value);
            }
            None => seen.text("value", &Clean::line(value), &self.value),
        }
        Ok(seen)
    }

    /// A value that reads as a number is one where a number is expected.
    fn number(&self, value: &str) -> Option<f64> {
        let number: f64 = value.trim().parse().ok()?;
        let measured = Measured::Number(number, self.value.natural_unit());
        self.value.compare(&measured).is_ok().then_some(number)
    }
}

/// As databases and roles are named; also no connection string, which could lead elsewhere.
fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(fine)
}

impl Kind for Sql {
    fn describe(&self) -> Clean {
        let query = self.query.split_whitespace().collect::<Vec<_>>().join(" ");
        let wishes = wishes([("value", Some(&self.value))]);
        Clean::from(format!("{query} in {}: {wishes}", self.database))
    }

    fn problems(&self) -> Vec<Clean> {
        let name = |what: &str, name: &Clean| {
            let text = format!("{what}: {name:?} is no name; letters, digits and _ make one");
            (!is_name(name)).then(|| Clean::from(text))
        };
        let number = suits_number("value", &self.value, self.value.natural_unit());
        let suits = number.and_then(|_| suits_text("value", &self.value));
        name("database", &self.database)
            .into_iter()
            .chain(name("user", &self.user))
            .chain(self.query_problem())
            .chain(suits)
            .collect()
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        json!({
            "service": self.service,
            "database": self.database,
            "user": self.user,
            "query": Clean::line(&self.query),
        })
    }

    async fn look(&self, eyes: &Eyes, _: Timestamp) -> Result<Seen, Fault> {
        let id = self.container(eyes).await?;
        let command = Command {
            argv: self.argv(),
            user: None,
            env: Vec::new(),
            input: None,
            deadline: EXEC_DEADLINE,
        };
        let ended = eyes.engine.exec(&id, &command).await?;
        self.seen(&ended)
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
            value: Expectation::parse(value).unwrap(),
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
        let argv = sql.argv();
        assert_eq!(argv.last(), Some(&sql.query));
        assert!(argv.contains(&"SET default_transaction_read_only = on".to_owned()));
    }
}
