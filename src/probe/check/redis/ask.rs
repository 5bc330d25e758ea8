//! The way to a Redis: its own protocol over TCP, or the `redis-cli` of its container.
//!
//! A password goes over the connection or the program's input: never over a command line, which everybody can read.

use std::fmt::Write;
use std::time::Duration;

use super::{PORT, Redis};
use crate::domain::{Clean, Fault, FaultKind};
use crate::link::docker::{Command, Ended};
use crate::link::redis::{self, Reply};
use crate::link::url::Place;
use crate::probe::check::Eyes;
use crate::probe::check::containers::first_running;

const EXEC_DEADLINE: Duration = Duration::from_secs(8);

/// Words by which Redis begins a refusal. `redis-cli` writes them like any other line.
const REFUSALS: [&str; 11] = [
    "ERR",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "DENIED",
    "LOADING",
    "NOQUORUM",
    "MISCONF",
    "READONLY",
    "MASTERDOWN",
    "IDONTKNOW",
];

impl Redis {
    pub(super) async fn replies(&self, eyes: &Eyes) -> Result<Vec<Reply>, Fault> {
        let password = match &self.password {
            None => None,
            Some(place) => Some(
                (eyes.reach.secret)(place)
                    .map_err(|why| Fault::new(FaultKind::Misconfigured, why))?,
            ),
        };
        let user = self.user.as_deref().unwrap_or_default();
        if let Some(address) = &self.address {
            let place = Place::parse(address, Some(PORT))?;
            let login = password.as_deref().map(|password| (user, password));
            return redis::talk(&place, login, &self.questions()).await;
        }
        let service = self.service.as_deref().unwrap_or_default();
        let id = first_running(eyes, service).await?;
        let mut replies = Vec::new();
        for question in self.questions() {
            let command = self.command(&question, password.as_deref());
            let ended = eyes.engine.exec(&id, &command).await?;
            let reply = read(&ended, password.is_some())?;
            let refused = matches!(reply, Reply::Refused(_));
            replies.push(reply);
            if refused && replies.len() == 1 {
                break;
            }
        }
        Ok(replies)
    }

    /// One question. With a password both lines go in as input: first who we are, then what we want.
    fn command(&self, question: &[String], password: Option<&str>) -> Command {
        let mut argv = vec!["redis-cli".to_owned()];
        if let Some(port) = self.port {
            argv.extend(["-p".to_owned(), port.to_string()]);
        }
        let input = password.map(|password| {
            let user = self.user.as_deref().map(quoted).unwrap_or_default();
            let words: Vec<String> = question.iter().map(|word| quoted(word)).collect();
            format!("AUTH {user} {}\n{}\n", quoted(password), words.join(" ")).into_bytes()
        });
        if input.is_none() {
            argv.extend(question.iter().cloned());
        }
        Command {
            argv,
            user: None,
            env: Vec::new(),
            input,
            deadline: EXEC_DEADLINE,
        }
    }
}

/// As `redis-cli` reads a word of its input.
fn quoted(word: &str) -> String {
    let mut out = String::from("\"");
    for byte in word.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            byte => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

/// What `redis-cli` wrote, which is a reply without its kind.
fn read(ended: &Ended, after_login: bool) -> Result<Reply, Fault> {
    let text = String::from_utf8_lossy(&ended.stdout);
    let text = text.trim_end_matches(['\r', '\n']);
    if ended.exit != 0 {
        let why = Clean::from(format!("redis-cli could not ask: {}", ended.reason()));
        let fault = Fault::new(FaultKind::Refused, why);
        return Err(match ended.exit {
            126 | 127 => fault.remedy("its container has no redis-cli: give its address instead"),
            _ => fault.remedy("check the port, and whether redis runs"),
        });
    }
    // The answer to a login comes first.
    let body = if after_login {
        match text.split_once('\n') {
            Some(("OK", body)) => body.trim_start_matches('\n'),
            _ => {
                let first = text.lines().next().unwrap_or_default();
                return Ok(Reply::Refused(first.to_owned()));
            }
        }
    } else {
        text
    };
    let bare = body.strip_prefix("(error) ").unwrap_or(body);
    let word = bare.split_whitespace().next().unwrap_or_default();
    if REFUSALS.contains(&word) {
        return Ok(Reply::Refused(bare.to_owned()));
    }
    let lines: Vec<&str> = body.lines().collect();
    Ok(match lines.as_slice() {
        // An address: the host, then its port.
        [host, port] if port.parse::<u16>().is_ok() => Reply::List(vec![
            Reply::Text((*host).to_owned()),
            Reply::Text((*port).to_owned()),
        ]),
        _ => Reply::Text(body.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(fields: &str) -> Redis {
        toml::from_str(&format!("service = 'redis'\n{fields}")).unwrap()
    }

    #[test]
    fn a_password_is_on_no_command_line() {
        let kind = kind("port = 6380\nuser = 'ops'");
        let command = kind.command(&["PING".to_owned()], Some("it's \"secret\"\n"));
        assert_eq!(command.argv, ["redis-cli", "-p", "6380"]);
        let input = String::from_utf8(command.input.unwrap()).unwrap();
        assert_eq!(
            input,
            "AUTH \"ops\" \"it's \\\"secret\\\"\\x0a\"\n\"PING\"\n"
        );
        let plain = kind.command(&["PING".to_owned()], None);
        assert_eq!(
            (plain.argv.last().unwrap().as_str(), plain.input),
            ("PING", None)
        );
    }

    #[track_caller]
    fn check(stdout: &str, after_login: bool, expected: &Reply) {
        let ended = Ended {
            stdout: stdout.into(),
            ..Ended::default()
        };
        assert_eq!(&read(&ended, after_login).unwrap(), expected);
    }

    #[test]
    fn what_the_program_writes_is_a_reply_again() {
        check("PONG\n", false, &Reply::Text("PONG".into()));
        check("OK\nPONG\n", true, &Reply::Text("PONG".into()));
        let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
        check(
            &format!("{wrong}\n\nNOAUTH x\n"),
            true,
            &Reply::Refused(wrong.into()),
        );
        check("(error) ERR no\n", false, &Reply::Refused("ERR no".into()));
        let no = "NOQUORUM 1 usable Sentinels.";
        check(&format!("{no}\n"), false, &Reply::Refused(no.into()));
        let list = Reply::List(vec![
            Reply::Text("10.0.0.2".into()),
            Reply::Text("6379".into()),
        ]);
        check("10.0.0.2\n6379\n", false, &list);
    }
}
