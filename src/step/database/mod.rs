//! PostgreSQL as the steps reach it: through the tools of the container it runs in.
//!
//! Nothing is installed on this host and no port is needed. Every word of a question is an argument of `psql`, names
//! are quoted by one function, and no question is a command of `psql` itself.

pub(super) mod loss;
pub(super) mod owners;
pub(super) mod place;
pub(super) mod refill;
pub(super) mod tally;
pub(super) mod version;

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Hands;
use super::target::sentence;
use crate::domain::{Clean, Container, ContainerId};
use crate::link::docker::{Command, Ended, Flowed};

/// A short question: a name, a size, a list of databases.
const ASK_MAX: Duration = Duration::from_secs(30);
/// Counting, hashing, restoring: the deadline of the step is nearer.
pub(super) const WORK_MAX: Duration = Duration::from_hours(24);
/// What PostgreSQL keeps of a name; it cuts longer ones without a word.
pub(super) const NAME_BYTES_MAX: usize = 63;
/// The rows of an answer: ten thousand tables with long names.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A server: the container it runs in, and whom `psql` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Server {
    pub(super) id: ContainerId,
    /// `postgres-1`, for sentences.
    pub(super) replica: Clean,
    /// The role that may make databases.
    pub(super) user: Clean,
}

impl Server {
    pub(super) fn of(container: &Container, user: &Clean) -> Self {
        Self {
            id: container.id.clone(),
            replica: container.replica(),
            user: user.clone(),
        }
    }

    /// Says statements to a database, each for itself.
    pub(super) async fn tell(
        &self,
        hands: &Hands,
        database: &str,
        statements: &[String],
    ) -> Result<(), Clean> {
        self.run(hands, database, statements, ASK_MAX).await?;
        Ok(())
    }

    /// Says statements that may take long.
    pub(super) async fn work(
        &self,
        hands: &Hands,
        database: &str,
        statements: &[String],
    ) -> Result<(), Clean> {
        self.run(hands, database, statements, WORK_MAX).await?;
        Ok(())
    }

    /// The rows of one question, each a JSON document.
    pub(super) async fn rows<T: DeserializeOwned>(
        &self,
        hands: &Hands,
        database: &str,
        question: &str,
        deadline: Duration,
    ) -> Result<Vec<T>, Clean> {
        let statements = [
            // Whoever wrote the defaults of the role, a text is the same everywhere.
            SAME_TEXT.to_owned(),
            question.to_owned(),
        ];
        let answer = self.run(hands, database, &statements, deadline).await?;
        let text = String::from_utf8_lossy(&answer);
        let rows = text.lines().filter(|line| !line.is_empty());
        rows.map(|line| {
            serde_json::from_str(line).map_err(|error| {
                Clean::line(&format!(
                    "the answer of {} cannot be read: {error}: {line}",
                    self.replica
                ))
            })
        })
        .collect()
    }

    /// The only row of a question.
    pub(super) async fn row<T: DeserializeOwned>(
        &self,
        hands: &Hands,
        database: &str,
        question: &str,
    ) -> Result<T, Clean> {
        let mut rows = self.rows(hands, database, question, ASK_MAX).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(Clean::line(&format!(
                "{} did not answer with one row: {question}",
                self.replica
            ))),
        }
    }

    /// The only value of a question that somebody else wrote, which may only read.
    pub(super) async fn value(
        &self,
        hands: &Hands,
        database: &str,
        question: &str,
    ) -> Result<Clean, Clean> {
        let statements = [
            "SET default_transaction_read_only = on".to_owned(),
            "SET search_path = \"$user\", public".to_owned(),
            question.to_owned(),
        ];
        let answer = self.run(hands, database, &statements, WORK_MAX).await?;
        let text = String::from_utf8_lossy(&answer);
        let mut rows = text.lines();
        match (rows.next(), rows.next()) {
            (Some(value), None) => Ok(Clean::line(value)),
            _ => Err(Clean::line(&format!(
                "the question gives {} rows, and one value is compared: {question}",
                text.lines().count()
            ))),
        }
    }

    /// Hands the rows of a question on as they come.
    pub(super) async fn pour<W: AsyncWrite + Send + Unpin>(
        &self,
        hands: &Hands,
        database: &str,
        statements: &[String],
        sink: W,
    ) -> Result<(), Clean> {
        let argv = psql(&self.user, database, statements);
        let flowed = self
            .through(hands, argv, tokio::io::empty(), sink, WORK_MAX)
            .await?;
        self.succeeded("psql", &flowed.ended)?;
        match flowed.drawn {
            Ok(_) => Ok(()),
            Err(error) => Err(Clean::line(&format!(
                "the answer of {} broke off: {error}",
                self.replica
            ))),
        }
    }

    /// A tool of the container with its streams.
    pub(super) async fn through<R, W>(
        &self,
        hands: &Hands,
        argv: Vec<String>,
        source: R,
        sink: W,
        deadline: Duration,
    ) -> Result<Flowed, Clean>
    where
        R: AsyncRead + Send + Unpin,
        W: AsyncWrite + Send + Unpin,
    {
        let command = Command {
            argv,
            user: None,
            input: None,
            deadline,
        };
        let flowed = hands.engine.exec_through(&self.id, &command, source, sink);
        flowed.await.map_err(sentence)
    }

    /// A tool of the container that says little.
    pub(super) async fn tool(&self, hands: &Hands, argv: &[&str]) -> Result<Ended, Clean> {
        let command = Command {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            user: None,
            input: None,
            deadline: ASK_MAX,
        };
        let ended = hands.engine.exec(&self.id, &command);
        ended.await.map_err(sentence)
    }

    async fn run(
        &self,
        hands: &Hands,
        database: &str,
        statements: &[String],
        deadline: Duration,
    ) -> Result<Vec<u8>, Clean> {
        let argv = psql(&self.user, database, statements);
        let mut answer = Bounded::default();
        let flowed = self
            .through(hands, argv, tokio::io::empty(), &mut answer, deadline)
            .await?;
        self.succeeded("psql", &flowed.ended)?;
        if flowed.drawn.is_err() {
            return Err(Clean::line(&format!(
                "the answer of {} is over {ANSWER_BYTES_MAX} bytes long",
                self.replica
            )));
        }
        Ok(answer.0)
    }

    pub(super) fn succeeded(&self, program: &str, ended: &Ended) -> Result<(), Clean> {
        if ended.exit == 0 {
            return Ok(());
        }
        Err(Clean::line(&format!(
            "{program} in {} ended with exit {}: {}",
            self.replica,
            ended.exit,
            ended.reason()
        )))
    }
}

/// What a text form depends on, set to one value for all who compare texts.
pub(super) const SAME_TEXT: &str = "SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; \
    SET intervalstyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'; \
    SET lc_monetary = 'C'; SET xmloption = 'content'; SET search_path = pg_catalog; \
    SET row_security = off; SET statement_timeout = 0; SET lock_timeout = 0";

/// Nobody's settings, no tags, bare values, no password asked for, the first error ends it.
fn psql(user: &str, database: &str, statements: &[String]) -> Vec<String> {
    let mut argv: Vec<String> = [
        "psql",
        "-X",
        "-q",
        "-A",
        "-t",
        "-w",
        "-v",
        "ON_ERROR_STOP=1",
        "-U",
        user,
    ]
    .map(str::to_owned)
    .into();
    // A name is a name here, never a connection string that leads elsewhere.
    argv.push("-d".to_owned());
    argv.push(format!("dbname='{}'", escaped(database)));
    for statement in statements {
        // A leading blank: `psql` takes a backslash at the beginning for a command of its own.
        argv.extend(["-c".to_owned(), format!(" {statement}")]);
    }
    argv
}

/// In a connection string.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

/// The connection string of a database, for tools beside `psql`.
pub(super) fn named(database: &str) -> String {
    format!("dbname='{}'", escaped(database))
}

/// A name in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in a statement.
pub(super) fn literal(text: &str) -> String {
    // `E''` has one meaning whatever `standard_conforming_strings` says.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Where databases are renamed and made from: one that is neither.
pub(super) fn apart_from(database: &str) -> &'static str {
    if database == "postgres" {
        "template1"
    } else {
        "postgres"
    }
}

/// Takes as much as an answer may hold.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        piece: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        if self.0.len() + piece.len() > ANSWER_BYTES_MAX {
            let full = std::io::Error::other("more than an answer holds");
            return std::task::Poll::Ready(Err(full));
        }
        self.0.extend_from_slice(piece);
        std::task::Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_statement() {
        assert_eq!(
            quoted("a\"; DROP DATABASE b; --"),
            "\"a\"\"; DROP DATABASE b; --\""
        );
        assert_eq!(literal("a'b\\c"), "E'a\\'b\\\\c'");
        assert_eq!(named("x' host='evil"), "dbname='x\\' host=\\'evil'");
    }

    #[test]
    fn no_statement_is_a_command_of_psql() {
        let argv = psql("u", "d", &["\\! true".to_owned()]);
        assert!(!argv.iter().any(|word| word.starts_with('\\')), "{argv:?}");
    }
}
