//! `port`: somebody takes connections there within a time, or nobody does.
//!
//! A port that must be closed is closed when it refuses and when it is silent, and which of the two is told: a firewall
//! that drops is something else than a service that is not there. That there is no way from here to the host says
//! nothing about the port.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_number, suits_text, wishes};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, FaultKind, Timestamp, Unit};
use crate::link::dial::{self, CONNECT_DEADLINE, DialError, RESOLVE_DEADLINE};
use crate::link::url::{Place, Url};

/// Where no host is written and no gateway known.
const HERE: &str = "127.0.0.1";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// `host:port`; `:port` alone is one of the gateway's host, or of this one where there is no gateway.
    pub address: Clean,
    /// False: it must be closed, on every address that the name has.
    #[serde(default = "yes")]
    pub open: bool,
    /// How long connecting takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Expectation>,
    /// `open`, `refused` or `silent`, for a port that must be closed in one way and not in the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Expectation>,
}

fn yes() -> bool {
    true
}

/// What one address did.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Open { ms: f64 },
    Refused,
    Silent,
}

impl Answer {
    fn word(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Refused => "refused",
            Self::Silent => "silent",
        }
    }
}

impl Port {
    fn place(&self, gateway: Option<&Clean>) -> Result<Place, Fault> {
        if !self.address.starts_with(':') {
            return Place::parse(&self.address, None);
        }
        let host = match gateway {
            Some(url) => Url::parse(url)?.place.host,
            None => HERE.to_owned(),
        };
        let mut place = Place::parse(&format!("{HERE}{}", self.address), None)?;
        place.host = host;
        Ok(place)
    }

    fn judged(&self, place: &Place, answers: &[(SocketAddr, Answer)]) -> Seen {
        let rows: Vec<Value> = answers
            .iter()
            .map(|(address, answer)| {
                json!({ "address": address.to_string(), "answer": answer.word() })
            })
            .collect();
        let mut seen = Seen {
            got: json!({ "place": place.to_string(), "addresses": rows }),
            ..Seen::default()
        };
        let fastest = answers
            .iter()
            .filter_map(|(_, answer)| match answer {
                Answer::Open { ms } => Some(*ms),
                Answer::Refused | Answer::Silent => None,
            })
            .min_by(f64::total_cmp);
        match (self.open, fastest) {
            (true, None) => seen.failures.push(Clean::from(format!(
                "{place} is not open: {}",
                told(answers)
            ))),
            (false, Some(_)) => seen.failures.push(Clean::from(format!(
                "{place} is open, and must be closed: {}",
                told(answers)
            ))),
            (true, Some(_)) | (false, None) => {}
        }
        if let (Some(expected), Some(ms)) = (&self.within, fastest) {
            seen.number("connected in", ms, Unit::Milliseconds, expected);
        }
        if let Some(expected) = &self.answer {
            for (address, answer) in answers {
                let what = format!("answer of {address}");
                seen.text(&what, &Clean::from(answer.word()), expected);
            }
        }
        if seen.tests.is_empty() && seen.failures.is_empty() {
            seen.note(told(answers));
        }
        seen
    }
}

fn told(answers: &[(SocketAddr, Answer)]) -> String {
    let words: Vec<String> = answers
        .iter()
        .map(|(address, answer)| format!("{address} {}", answer.word()))
        .collect();
    words.join(", ")
}

/// What cannot be told from here is a fault, not an answer.
async fn knock(place: &Place, address: SocketAddr) -> Result<(SocketAddr, Answer), Fault> {
    let begun = Instant::now();
    let answer = match dial::connect_one(place, address).await {
        Ok(_) => Answer::Open {
            ms: begun.elapsed().as_secs_f64() * 1000.0,
        },
        Err(DialError::Refused { .. }) => Answer::Refused,
        Err(DialError::Silent { .. }) => Answer::Silent,
        Err(error) => return Err(error.into()),
    };
    Ok((address, answer))
}

impl Kind for Port {
    fn describe(&self) -> Clean {
        let state = if self.open { "open" } else { "closed" };
        let more = wishes([
            ("connected in", self.within.as_ref()),
            ("answer", self.answer.as_ref()),
        ]);
        let comma = if more.is_empty() { "" } else { ", " };
        Clean::from(format!("port {}: {state}{comma}{more}", self.address))
    }

    fn problems(&self) -> Vec<Clean> {
        let mut problems = Vec::new();
        if let Err(fault) = self.place(None) {
            problems.push(Clean::from(format!(
                "{fault}; write host:port, or :port of the gateway's host"
            )));
        }
        if let Some(expected) = &self.within {
            problems.extend(suits_number("within", expected, Unit::Milliseconds));
            if !self.open {
                problems.push("a closed port takes no time; take `within` out".into());
            }
        }
        if let Some(expected) = &self.answer {
            problems.extend(suits_text("answer", expected));
        }
        problems
    }

    fn deadline(&self) -> Duration {
        RESOLVE_DEADLINE + CONNECT_DEADLINE + Duration::from_secs(1)
    }

    fn sent(&self) -> Value {
        json!({ "connect": self.address, "must_be": if self.open { "open" } else { "closed" } })
    }

    async fn look(&self, eyes: &Eyes, _: Timestamp) -> Result<Seen, Fault> {
        let place = self.place(eyes.gateway.as_ref())?;
        let addresses = dial::resolve(&place).await?;
        let asked = addresses.iter().map(|address| knock(&place, *address));
        let mut answers = Vec::new();
        let mut untold = None;
        for answer in join_all(asked).await {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(fault) => untold = Some(fault),
            }
        }
        let is_open = |(_, answer): &(_, Answer)| matches!(answer, Answer::Open { .. });
        match untold {
            // One that is open is enough to know.
            Some(fault) if !answers.iter().any(is_open) => Err(fault),
            _ if answers.is_empty() => Err(Fault::new(
                FaultKind::Name,
                format!("{place} has no address"),
            )),
            _ => Ok(self.judged(&place, &answers)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::tests::{blind, read};
    use super::*;
    use tokio::net::TcpListener;

    async fn check(fields: &str, verdict: Verdict, says: &str) {
        let check = read(&format!("kind = 'port'\n{fields}"));
        let outcome = check.run(&blind(), Timestamp(0)).await;
        assert_eq!(outcome.verdict, verdict, "{outcome:#?}");
        assert!(outcome.said.contains(says), "{outcome:#?}");
    }

    #[tokio::test]
    async fn open_and_closed_are_what_was_asked_or_the_opposite() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap().port();
        let shut = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = shut.local_addr().unwrap().port();
        drop(shut);
        let at = |port: u16, rest: &str| format!("address = '127.0.0.1:{port}'\n{rest}");
        check(&at(open, ""), Verdict::Pass, "open").await;
        check(&at(open, "within = '< 5 s'"), Verdict::Pass, "connected in").await;
        check(&at(open, "open = false"), Verdict::Fail, "must be closed").await;
        check(&at(closed, ""), Verdict::Fail, "refused").await;
        check(&at(closed, "open = false"), Verdict::Pass, "refused").await;
        let dropped = "open = false\nanswer = '== silent'";
        check(&at(closed, dropped), Verdict::Fail, "refused").await;
        check(&format!("address = ':{open}'"), Verdict::Pass, "open").await;
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_no_closed_port() {
        let fields = "address = 'does-not-exist.invalid:443'\nopen = false";
        check(fields, Verdict::CouldNotRun, "does not resolve").await;
    }

    #[test]
    fn silence_and_refusal_are_told_apart() {
        let port = |toml: &str| -> Port { toml::from_str(toml).unwrap() };
        let at: SocketAddr = "192.0.2.1:22".parse().unwrap();
        let place = Place::parse("192.0.2.1:22", None).unwrap();
        let closed = port("address = '192.0.2.1:22'\nopen = false\nanswer = '== silent'");
        for (answer, holds) in [(Answer::Silent, true), (Answer::Refused, false)] {
            let seen = closed.judged(&place, &[(at, answer)]);
            assert_eq!(seen.tests[0].expected.holds(&seen.tests[0].measured), holds);
        }
    }
}
