//! `command`: a program of this host, and what its exit code and its output say.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_number, suits_text, wishes};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, Timestamp, Unit};
use crate::link::process::{self, Exit, GRACE};

/// Checks are asked again and again: what takes longer is a step.
const DEADLINE: Duration = Duration::from_secs(10);

/// Lines of each output kept in the evidence.
const LINES_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program's absolute path, then its arguments: no shell.
    pub argv: Vec<String>,
    #[serde(default = "success")]
    pub exit: Expectation,
    /// All it writes to its standard output, as one line without the blanks at its ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Expectation>,
}

fn success() -> Expectation {
    Expectation::equals(0)
}

impl Command {
    fn command(&self) -> process::Command {
        process::Command {
            argv: self.argv.clone(),
            deadline: DEADLINE,
        }
    }
}

impl Kind for Command {
    fn describe(&self) -> Clean {
        let wishes = wishes([("exit", Some(&self.exit)), ("stdout", self.stdout.as_ref())]);
        Clean::from(format!("{}: {wishes}", self.argv.join(" ")))
    }

    fn problems(&self) -> Vec<Clean> {
        let argv = self.command().problem();
        let stdout = self.stdout.as_ref();
        argv.map(|fault| Clean::from(fault.to_string()))
            .into_iter()
            .chain(suits_number("exit", &self.exit, Unit::Count))
            .chain(stdout.and_then(|expected| suits_text("stdout", expected)))
            .collect()
    }

    /// The program is ended before this.
    fn deadline(&self) -> Duration {
        DEADLINE + GRACE * 2 + Duration::from_secs(1)
    }

    fn sent(&self) -> Value {
        let argv: Vec<Clean> = self.argv.iter().map(|word| Clean::line(word)).collect();
        json!({ "argv": argv })
    }

    async fn look(&self, _: &Eyes, _: Timestamp) -> Result<Seen, Fault> {
        let ended = process::run(&self.command()).await?;
        let mut seen = Seen {
            got: json!({
                "exit": ended.exit.to_string(),
                "stdout": ended.out.lines(LINES_MAX),
                "stderr": ended.err.lines(LINES_MAX),
            }),
            ..Seen::default()
        };
        match ended.exit {
            Exit::Code(code) => seen.number("exit", code.into(), Unit::Count, &self.exit),
            Exit::Signal(_) => seen.failures.push(ended.exit.to_string().into()),
        }
        if let Some(expected) = &self.stdout {
            seen.text("stdout", &ended.out.text(), expected);
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::tests::{blind, read};
    use super::*;

    async fn check(fields: &str, verdict: Verdict, line: &str) -> Value {
        let check = read(&format!("kind = 'command'\n{fields}"));
        let outcome = check.run(&blind(), Timestamp(0)).await;
        assert_eq!((outcome.verdict, &*outcome.said), (verdict, line));
        outcome.evidence
    }

    #[tokio::test]
    async fn the_exit_code_and_the_output_are_compared() {
        let yes = "exit 0 (== 0)";
        check("argv = ['/bin/true']", Verdict::Pass, yes).await;
        let no = "exit 1, expected == 0";
        check("argv = ['/bin/false']", Verdict::Fail, no).await;
        let one = "argv = ['/bin/false']\nexit = 1";
        check(one, Verdict::Pass, "exit 1 (== 1)").await;
        let echo = "argv = ['/bin/echo', 'mode: a']\nstdout = 'matches ^mode: (a|b)$'";
        let said = "exit 0 (== 0); stdout \"mode: a\" (matches ^mode: (a|b)$)";
        let evidence = check(echo, Verdict::Pass, said).await;
        assert_eq!(evidence["sent"]["argv"][1], "mode: a");
        assert_eq!(evidence["got"]["stdout"][0], "mode: a");
    }

    #[tokio::test]
    async fn a_program_that_a_signal_ended_fails() {
        let killed = "argv = ['/bin/sh', '-c', 'kill -9 $$']";
        check(killed, Verdict::Fail, "ended by signal 9").await;
    }
}
