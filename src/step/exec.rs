//! `exec`: a command inside a container.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::target::{self, Seen, sentence};
use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};
use crate::link::docker::{self, Ended};

/// The deadline of the step is nearer; this is only for a step that has a very long one.
const EXEC_MAX: Duration = Duration::from_hours(6);
/// Lines of output that go into the run's log. The rest is in the container's own log, or nowhere.
const LINES_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// A container of the project by its name, or a replica: `server-2`.
    pub container: Clean,
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    #[serde(default)]
    pub user: Option<String>,
    /// The exit code that means success.
    #[serde(default)]
    pub exit: i64,
    #[serde(default = "super::unsafe_to_repeat")]
    pub repeat: Repeat,
    #[serde(default)]
    pub undo_argv: Option<Vec<String>>,
}

impl Exec {
    async fn run(&self, hands: &Hands, before: &Value, argv: &[String]) -> Result<Done, Clean> {
        let seen = Seen::read(before)?;
        seen.again(hands).await?;
        let command = docker::Command {
            argv: argv.to_vec(),
            user: self.user.clone(),
            env: Vec::new(),
            input: None,
            deadline: EXEC_MAX,
        };
        let ended = hands
            .engine
            .exec(&seen.id, &command)
            .await
            .map_err(sentence)?;
        tell(hands, &ended);
        let program = argv.first().map_or("", String::as_str);
        if ended.exit != self.exit {
            return Err(Clean::line(&format!(
                "{program} in {} ended with exit {}, expected {}: {}",
                seen.replica,
                ended.exit,
                self.exit,
                ended.reason()
            )));
        }
        Ok(Done {
            said: Clean::line(&format!(
                "{program} in {}: exit {}",
                seen.replica, ended.exit
            )),
        })
    }
}

/// What it printed, into the run's log.
fn tell(hands: &Hands, ended: &Ended) {
    for output in [&ended.stdout, &ended.stderr] {
        let text = String::from_utf8_lossy(output);
        for line in Clean::lines(&text, LINES_MAX) {
            (hands.say)(line);
        }
        let more = text.lines().count().saturating_sub(LINES_MAX);
        if more > 0 {
            (hands.say)(Clean::line(&format!("[{more} lines more]")));
        }
    }
}

impl Act for Exec {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Run {} in {}",
            super::shown(&self.argv),
            self.container
        ))
    }

    fn repeat(&self) -> Repeat {
        self.repeat
    }

    fn undoable(&self) -> Undo {
        super::undo_by(self.undo_argv.as_deref())
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        if self.argv.is_empty() {
            return Err(Clean::from(
                "argv is empty: name the program and its arguments",
            ));
        }
        target::keep(&Seen::of(&target::find(hands, &self.container).await?))
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        self.run(hands, before, &self.argv).await
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        match &self.undo_argv {
            Some(argv) => self.run(hands, before, argv).await,
            None => Ok(Done::default()),
        }
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::Unclear(Clean::line(&format!(
            "nobody but a person can tell what {} did in {}: look, then answer",
            super::shown(&self.argv),
            self.container
        )))
    }
}
