//! A command inside a container: started with its streams attached, waited for, its exit code asked for.

use std::fmt;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{Engine, EngineError};
use crate::domain::{Clean, ContainerId};

/// A reason to fail is at the beginning or at the end of what a command says; nobody reads more than this of either.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// What is run.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The program and its arguments: no shell reads them.
    pub argv: Vec<String>,
    /// `None`: the container's own user.
    pub user: Option<String>,
    /// `NAME=value`, beside what the container has. Not on the command line, so a secret may be in it.
    pub env: Vec<String>,
    /// All of the standard input. `None`: there is none.
    pub input: Option<Vec<u8>>,
    pub deadline: Duration,
}

impl fmt::Debug for Command {
    /// Without its environment and its input: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("argv", &self.argv)
            .field("user", &self.user)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// What came of it. Of each output, the first 64 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    pub exit: i64,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// There was more output than is kept.
    pub cut: bool,
}

impl Ended {
    /// The last lines that say why: of the errors, else of the output.
    pub fn reason(&self) -> Clean {
        let said = if self.stderr.trim_ascii().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        let text = String::from_utf8_lossy(said.trim_ascii());
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.len().saturating_sub(REASON_LINES);
        Clean::line(&lines[last..].join(" / "))
    }
}

/// nginx says what is wrong, and then that its test failed.
const REASON_LINES: usize = 3;

impl Engine {
    /// Runs a command and waits until it ends. When the deadline passes, the command goes on inside the container: the
    /// engine has no way to end it.
    pub async fn exec(&self, id: &ContainerId, command: &Command) -> Result<Ended, EngineError> {
        match timeout(command.deadline, self.exec_whole(id, command)).await {
            Ok(ended) => ended,
            Err(_) => {
                let program = command.argv.first().map_or("", String::as_str);
                Err(self.shared.wire.silent(program, command.deadline))
            }
        }
    }

    async fn exec_whole(&self, id: &ContainerId, command: &Command) -> Result<Ended, EngineError> {
        const WHAT: &str = "the command in a container";
        let failed = |error| self.of_bollard(WHAT, error);
        let docker = self.bollard().map_err(failed)?;
        let config = ExecConfig {
            cmd: Some(command.argv.clone()),
            user: command.user.clone(),
            env: Some(command.env.clone()),
            attach_stdin: Some(command.input.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let created = docker.create_exec(&id.0, config).await.map_err(failed)?;
        let started = docker.start_exec(&created.id, None::<StartExecOptions>);
        let StartExecResults::Attached {
            mut output,
            mut input,
        } = started.await.map_err(failed)?
        else {
            return Err(self.garbled(WHAT, "its output is not attached"));
        };
        let feeding = async {
            if let Some(bytes) = &command.input {
                // A command that ends without reading everything says so by its exit code.
                drop(input.write_all(bytes).await);
                drop(input.shutdown().await);
            }
        };
        let reading = async {
            let mut ended = Ended::default();
            while let Some(frame) = output.next().await {
                match frame.map_err(failed)? {
                    LogOutput::StdErr { message } => {
                        ended.cut |= keep(&mut ended.stderr, &message);
                    }
                    other => ended.cut |= keep(&mut ended.stdout, &other.into_bytes()),
                }
            }
            Ok::<_, EngineError>(ended)
        };
        let ((), ended) = tokio::join!(feeding, reading);
        let mut ended = ended?;
        let looked = docker.inspect_exec(&created.id).await.map_err(failed)?;
        match looked.exit_code {
            Some(exit) if looked.running != Some(true) => ended.exit = exit,
            _ => {
                let reason = Clean::from("its output ended and it did not");
                return Err(EngineError::BrokenOff {
                    address: self.shared.wire.shown(),
                    what: Clean::from(WHAT),
                    reason,
                });
            }
        }
        Ok(ended)
    }
}

/// Adds what still fits. Says whether anything did not.
pub(super) fn keep(kept: &mut Vec<u8>, more: &[u8]) -> bool {
    let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
    kept.extend_from_slice(&more[..more.len().min(room)]);
    more.len() > room
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_beyond_the_bound_is_dropped_and_said() {
        let mut kept = Vec::new();
        assert!(!keep(&mut kept, &vec![b'a'; OUTPUT_BYTES_MAX - 1]));
        assert!(keep(&mut kept, b"bc"));
        assert!(keep(&mut kept, b"d"));
        assert_eq!(kept.len(), OUTPUT_BYTES_MAX);
        assert_eq!(kept.last(), Some(&b'b'));
    }

    #[test]
    fn the_reason_is_the_end_of_the_errors_else_of_the_output() {
        let of = |stdout: &str, stderr: &str| {
            let (stdout, stderr) = (stdout.into(), stderr.into());
            let ended = Ended {
                stdout,
                stderr,
                ..Ended::default()
            };
            ended.reason().as_str().to_owned()
        };
        assert_eq!(of("out\n", " \n"), "out");
        assert_eq!(of("out", "1\n2\n3\n\u{1b}4\n"), "2 / 3 / ^[4");
        assert_eq!(of("", ""), "");
    }
}
