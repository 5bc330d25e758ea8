//! One question to `psql`, and its answer as rows.

use std::time::Duration;

use super::{About, Sql};
use crate::domain::{Fault, FaultKind};
use crate::link::docker::{Command, Ended};
use crate::probe::check::Eyes;
use crate::probe::check::containers::first_running;

/// Then the database itself ends the question.
const STATEMENT_SECONDS: u32 = 5;

const EXEC_DEADLINE: Duration = Duration::from_secs(10);

/// Stands between two columns, and in no value that anybody means.
const BETWEEN: char = '\u{1f}';

/// Rows that are read of one answer. A schema has fewer tables than this, and an exec keeps 64 KB.
const ROWS_MAX: usize = 2_000;

pub(super) type Row = Vec<String>;

impl Sql {
    pub(super) async fn ask(&self, query: &str, eyes: &Eyes) -> Result<Ended, Fault> {
        let id = first_running(eyes, &self.service).await?;
        let command = Command {
            argv: self.argv(query),
            user: None,
            env: Vec::new(),
            input: None,
            deadline: EXEC_DEADLINE,
        };
        Ok(eyes.engine.exec(&id, &command).await?)
    }

    pub(super) fn argv(&self, query: &str) -> Vec<String> {
        let limit = format!("SET statement_timeout = '{STATEMENT_SECONDS}s'");
        let mut argv: Vec<String> = [
            "psql",
            // Nobody's settings, one bare value, no password asked for.
            "-X",
            "-q",
            "-A",
            "-w",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            &self.user,
            "-d",
            &self.database,
        ]
        .map(str::to_owned)
        .into();
        if let Some(host) = &self.host {
            argv.extend(["-h".to_owned(), host.to_string()]);
        }
        if let Some(port) = self.port {
            argv.extend(["-p".to_owned(), port.to_string()]);
        }
        let mut set = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
        if self.about.is_some() {
            set(&["-F", &BETWEEN.to_string()]);
        }
        if self.about == Some(About::PgbouncerPools) {
            // Its console knows neither transactions nor settings; its columns go by their names.
            set(&["-P", "footer=off"]);
        } else {
            set(&[
                "-t",
                "-c",
                "SET default_transaction_read_only = on",
                "-c",
                &limit,
            ]);
        }
        set(&["-c", query]);
        argv
    }
}

/// What it wrote, where it answered.
pub(super) fn answered(ended: &Ended) -> Result<String, Fault> {
    if ended.exit == 0 {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let text = format!("psql could not answer: {}", ended.reason());
    Err(Fault::new(FaultKind::Misconfigured, text)
        .remedy("try the query by hand, and check database and user"))
}

/// Its rows. Half an answer is none.
pub(super) fn rows(ended: &Ended) -> Result<Vec<Row>, Fault> {
    let text = answered(ended)?;
    let count = text.lines().count();
    if ended.cut || count > ROWS_MAX {
        let text = format!("the answer of the database is over {ROWS_MAX} rows or 64 KB");
        return Err(Fault::new(FaultKind::TooLarge, text)
            .remedy("name the tables, or ask a query of your own that counts"));
    }
    let cells = |line: &str| line.split(BETWEEN).map(str::to_owned).collect();
    Ok(text.lines().map(cells).collect())
}
