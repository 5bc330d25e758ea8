//! `command`: a program on this host, without a shell.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Act, Done, Hands, target};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};
use crate::link::process::{self, Exit, Output};

/// The deadline of the step is nearer; this is only for a step that has a very long one.
const COMMAND_MAX: Duration = Duration::from_hours(6);
/// Lines of each output that go into the run's log.
const LINES_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program's absolute path and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// The exit code that means success.
    #[serde(default)]
    pub exit: i32,
    /// Shorter than the deadline of the step, if given.
    #[serde(
        default,
        with = "super::span::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<Duration>,
    #[serde(default = "super::unsafe_to_repeat")]
    pub repeat: Repeat,
    #[serde(default)]
    pub undo_argv: Option<Vec<String>>,
}

impl Command {
    fn of(&self, argv: &[String]) -> process::Command {
        process::Command {
            argv: argv.to_vec(),
            deadline: self.timeout.unwrap_or(COMMAND_MAX),
        }
    }

    async fn run(&self, hands: &Hands, argv: &[String]) -> Result<Done, Clean> {
        let ended = process::run(&self.of(argv)).await.map_err(target::fault)?;
        for line in [&ended.out, &ended.err]
            .into_iter()
            .flat_map(|output| output.lines(LINES_MAX))
        {
            (hands.say)(line);
        }
        let program = argv.first().map_or("", String::as_str);
        if ended.exit == Exit::Code(self.exit) {
            return Ok(Done {
                said: Clean::line(&format!("{program}: {}", ended.exit)),
            });
        }
        Err(Clean::line(&format!(
            "{program}: {}, expected exit {}: {}",
            ended.exit,
            self.exit,
            reason(&ended.err, &ended.out)
        )))
    }
}

/// The last line of the errors, else of the output.
fn reason(err: &Output, out: &Output) -> Clean {
    let last = |output: &Output| {
        let text = String::from_utf8_lossy(&output.kept);
        let line = text.lines().rfind(|line| !line.trim().is_empty());
        line.map(Clean::line)
    };
    last(err).or_else(|| last(out)).unwrap_or_default()
}

impl Act for Command {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Run {} on this host", super::shown(&self.argv)))
    }

    fn repeat(&self) -> Repeat {
        self.repeat
    }

    fn undoable(&self) -> Undo {
        super::undo_by(self.undo_argv.as_deref())
    }

    /// What cannot be started is refused before anything happens.
    async fn before(&self, _: &Hands) -> Result<Value, Clean> {
        let all = [Some(&self.argv), self.undo_argv.as_ref()];
        for argv in all.into_iter().flatten() {
            if let Some(problem) = self.of(argv).problem() {
                return Err(target::fault(problem));
            }
        }
        Ok(Value::Null)
    }

    async fn perform(&self, hands: &Hands, _: &Value) -> Result<Done, Clean> {
        self.run(hands, &self.argv).await
    }

    async fn undo(&self, hands: &Hands, _: &Value) -> Result<Done, Clean> {
        match &self.undo_argv {
            Some(argv) => self.run(hands, argv).await,
            None => Ok(Done::default()),
        }
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::Unclear(Clean::line(&format!(
            "nobody but a person can tell what {} did: look, then answer",
            super::shown(&self.argv)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::hands;
    use super::*;

    fn command(argv: &[&str]) -> Command {
        Command {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            exit: 0,
            timeout: Some(Duration::from_secs(10)),
            repeat: Repeat::Unsafe,
            undo_argv: None,
        }
    }

    #[tokio::test]
    async fn the_exit_code_decides_and_a_failure_tells_its_reason() {
        let hands = hands();
        let echo = command(&["/bin/echo", "$(id)"]);
        let before = echo.before(&hands).await.unwrap();
        let done = echo.perform(&hands, &before).await.unwrap();
        assert_eq!(done.said.as_str(), "/bin/echo: exit 0");
        let missing = command(&["/bin/ls", "/nowhere/at/all"]);
        let fault = missing.perform(&hands, &before).await.unwrap_err();
        assert!(fault.contains("expected exit 0"), "{fault}");
        assert!(fault.contains("/nowhere/at/all"), "{fault}");
        assert!(matches!(
            missing.happened(&hands, &before).await,
            Finding::Unclear(_)
        ));
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_refused_before_anything_happens() {
        let mut relative = command(&["ls"]);
        relative.before(&hands()).await.unwrap_err();
        relative.argv = vec!["/bin/true".to_owned()];
        relative.undo_argv = Some(Vec::new());
        relative.before(&hands()).await.unwrap_err();
    }
}
