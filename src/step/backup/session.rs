//! A `psql` that stays: one session, one transaction, one snapshot, for as long as somebody talks to it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::time::timeout;

use crate::domain::{Clean, ContainerId};
use crate::link::docker::{Command, Engine, EngineError, Flowed};

/// A day: the deadline of the step is nearer.
pub(super) const WORK_MAX: Duration = Duration::from_hours(24);

/// A short question: a name, a size.
const ASK_MAX: Duration = Duration::from_mins(1);

const PIPE_BYTES: usize = 64 * 1024;

/// What `psql` says after each answer. A row of JSON begins otherwise.
const END: &str = "--quarterdeck: that was all--";

/// Settings under which a value has one text, whoever wrote the defaults of the role or the database.
pub(super) const SAME_TEXT: &str = "SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; \
    SET intervalstyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'; \
    SET lc_monetary = 'C'; SET xmloption = 'content'; SET search_path = pg_catalog; \
    SET row_security = off; SET statement_timeout = 0; SET lock_timeout = 0; \
    SET idle_in_transaction_session_timeout = 0;";

/// Who talks to which database, inside which container.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) engine: Engine,
    pub(super) id: ContainerId,
    /// `postgres-1`, for sentences.
    pub(super) replica: Clean,
    pub(super) database: Clean,
    pub(super) user: Clean,
    pub(super) password: Option<String>,
    /// By which the server's list of sessions knows ours.
    pub(super) application: Clean,
}

impl Server {
    /// A program of PostgreSQL, told where to connect.
    pub(super) fn client(&self, program: &str, more: &[&str]) -> Command {
        // A name is a name here, never a connection string that leads elsewhere.
        let place = format!(
            "dbname='{}' application_name='{}'",
            escaped(&self.database),
            escaped(&self.application)
        );
        let own = ["-w", "-U", self.user.as_str(), "-d", &place];
        let argv = own.iter().chain(more).map(|word| (*word).to_owned());
        Command {
            argv: std::iter::once(program.to_owned()).chain(argv).collect(),
            env: self.env(),
            deadline: WORK_MAX,
            ..Command::default()
        }
    }

    fn env(&self) -> Vec<String> {
        let password = self.password.as_ref();
        password
            .map(|word| format!("PGPASSWORD={word}"))
            .into_iter()
            .collect()
    }

    /// Asks and hangs up.
    pub(super) async fn ask(&self, question: &str) -> Result<Clean, Clean> {
        let command = Command {
            deadline: ASK_MAX,
            ..self.client("psql", &["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", question])
        };
        let ended = self.engine.exec(&self.id, &command).await;
        let ended = ended.map_err(|error| Clean::line(&error.to_string()))?;
        match ended.exit {
            0 => Ok(Clean::bytes(ended.stdout.trim_ascii())),
            exit => Err(Clean::line(&format!(
                "psql in {} ended with exit {exit}: {}",
                self.replica,
                ended.reason()
            ))),
        }
    }

    /// Ends what an attempt of ours that broke off has left at work in the server. Answers how many sessions.
    pub(super) async fn end_leftovers(&self) -> Result<u32, Clean> {
        let question = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name = {} AND pid <> pg_backend_pid()",
            literal(&self.application)
        );
        let said = self.ask(&question).await?;
        said.parse()
            .map_err(|_| Clean::line(&format!("{} did not say how many: {said}", self.replica)))
    }
}

/// A value inside the quotes of a connection string.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

/// A text inside a statement.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The session. Dropped, the connection closes and `psql` ends with its transaction.
pub(super) struct Session {
    say: DuplexStream,
    heard: Lines<BufReader<DuplexStream>>,
    running: BoxFuture<'static, Result<Flowed, EngineError>>,
    replica: Clean,
}

impl Session {
    pub(super) fn open(server: &Server) -> Self {
        let command = server.client("psql", &["-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let (say, source) = tokio::io::duplex(PIPE_BYTES);
        let (sink, heard) = tokio::io::duplex(PIPE_BYTES);
        let (engine, id) = (server.engine.clone(), server.id.clone());
        let running = async move { engine.exec_through(&id, &command, source, sink).await };
        Self {
            say,
            heard: BufReader::new(heard).lines(),
            running: Box::pin(running),
            replica: server.replica.clone(),
        }
    }

    /// The rows of an answer, each a JSON document. `tell` hears each as it comes.
    pub(super) async fn rows<T: DeserializeOwned>(
        &mut self,
        statements: &str,
        mut tell: impl FnMut(&T),
    ) -> Result<Vec<T>, Clean> {
        let (say, heard, replica) = (&mut self.say, &mut self.heard, &self.replica);
        let talking = async {
            let asked = format!("{statements}\n\\echo {END}\n");
            if say.write_all(asked.as_bytes()).await.is_err() {
                return Ok::<_, Clean>(None);
            }
            let mut rows = Vec::new();
            loop {
                match heard.next_line().await {
                    Ok(Some(line)) if line == END => return Ok(Some(rows)),
                    Ok(Some(line)) if line.is_empty() => {}
                    Ok(Some(line)) => {
                        let row: T = serde_json::from_str(&line).map_err(|error| {
                            Clean::line(&format!(
                                "the answer of {replica} cannot be read: {error}: {line}"
                            ))
                        })?;
                        tell(&row);
                        rows.push(row);
                    }
                    Ok(None) | Err(_) => return Ok(None),
                }
            }
        };
        let ended = tokio::select! {
            rows = talking => match rows? {
                Some(rows) => return Ok(rows),
                None => (&mut self.running).await,
            },
            ended = &mut self.running => ended,
        };
        Err(match ended {
            Ok(flowed) => Clean::line(&format!(
                "psql in {replica} ended with exit {}: {}",
                flowed.ended.exit,
                flowed.ended.reason()
            )),
            Err(error) => Clean::line(&error.to_string()),
        })
    }

    /// The only row of an answer.
    pub(super) async fn row<T: DeserializeOwned>(&mut self, statements: &str) -> Result<T, Clean> {
        let replica = self.replica.clone();
        let rows = timeout(ASK_MAX, self.rows(statements, |_: &T| ())).await;
        let mut rows = rows.map_err(|_| {
            Clean::line(&format!(
                "the database in {replica} did not answer within 1 min"
            ))
        })??;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(Clean::line(&format!(
                "{replica} did not answer with one row"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        assert_eq!(escaped(r"a' host='evil\"), r"a\' host=\'evil\\");
        assert_eq!(literal(r"a'; DROP --\"), r"E'a''; DROP --\\'");
    }
}
