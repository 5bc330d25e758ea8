//! One journey: its requests in their order, what they give to the next, and the cleanup.

use std::fmt::Write;
use std::time::Instant;

use regex::Regex;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::fill::{Known, escaped};
use super::jar::Jar;
use super::{DEADLINE, Flow, Request, Source};
use crate::domain::{Clean, Fault, FaultKind, Timestamp, Unit};
use crate::link::kept::{Answer, Broke, Way, Whole};
use crate::link::url::Scheme;
use crate::probe::check::seen::Seen;

/// Walks it, and cleans up after it. A fault only where nothing was ever sent.
pub(super) async fn made(flow: &Flow, way: Way, now: Timestamp) -> Result<Seen, Fault> {
    let mut journey = Journey {
        way,
        now,
        known: Known::new(now),
        jar: Jar::default(),
        sent: 0,
        rows: Vec::new(),
    };
    let mut seen = Seen::default();
    let mut untold = None;
    for request in &flow.steps {
        match journey.step(request, &mut seen).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(fault) => {
                untold = Some(fault);
                break;
            }
        }
    }
    let walked = journey.rows.len();
    // Nothing was sent: nothing is to be taken away, and nothing was seen.
    if let (0, Some(fault)) = (journey.sent, untold.clone()) {
        return Err(fault);
    }
    seen.failures.extend(untold.map(|fault| fault.text));
    for request in &flow.cleanup {
        journey.cleanup(request, &mut seen).await;
    }
    seen.note(format!("{walked} requests as expected"));
    seen.got = json!({ "requests": journey.rows });
    Ok(seen)
}

struct Journey {
    way: Way,
    now: Timestamp,
    known: Known,
    jar: Jar,
    /// Requests that may have reached the other side.
    sent: usize,
    rows: Vec<Value>,
}

/// Why a request has no answer.
enum Unasked {
    /// Nothing gives this name.
    Unknown(String),
    /// Not sent.
    NoWay(Fault),
    /// Sent, and maybe done.
    NoAnswer(Clean),
}

impl Journey {
    /// Whether it goes on.
    async fn step(&mut self, request: &Request, seen: &mut Seen) -> Result<bool, Fault> {
        let line = request.line();
        let (answer, whole, ms) = match self.asked(request).await {
            Ok(asked) => asked,
            Err(Unasked::Unknown(name)) => {
                let text = format!("{line}: nothing has given {{{name}}}");
                return Err(Fault::new(FaultKind::Misconfigured, Clean::line(&text)));
            }
            Err(Unasked::NoWay(fault)) => {
                let text = format!("{line}: {fault}");
                return Err(Fault::new(fault.kind, text));
            }
            Err(Unasked::NoAnswer(why)) => {
                seen.failures.push(format!("{line}: {why}").into());
                return Ok(false);
            }
        };
        let before = (seen.failures.len(), seen.tests.len());
        judged(request, &line, &answer, &whole, ms, seen);
        let holds = seen.failures.len() == before.0
            && seen.tests[before.1..]
                .iter()
                .all(|test| test.expected.holds(&test.measured));
        Ok(holds && self.captured(request, &line, &whole, seen))
    }

    /// What was made is taken away; where that fails, it is said: somebody has to do it by hand.
    async fn cleanup(&mut self, request: &Request, seen: &mut Seen) {
        let line = request.line();
        match self.asked(request).await {
            Ok((answer, whole, ms)) => {
                let line = format!("cleanup {line}");
                judged(request, &line, &answer, &whole, ms, seen);
            }
            // What was never given was never made.
            Err(Unasked::Unknown(_)) => seen.note(format!("cleanup {line} was not needed")),
            Err(Unasked::NoWay(Fault { text: why, .. }) | Unasked::NoAnswer(why)) => {
                seen.failures
                    .push(format!("cleanup {line}: {why}; take away by hand what is left").into());
            }
        }
    }

    async fn asked(&mut self, request: &Request) -> Result<(Answer, Whole, f64), Unasked> {
        let bytes = self.written(request).map_err(Unasked::Unknown)?;
        let begun = Instant::now();
        let Ok(opened) = timeout(DEADLINE, self.way.open(self.now)).await else {
            return Err(Unasked::NoWay(silent()));
        };
        let mut kept = opened.map_err(|broke| Unasked::NoWay(unopened(broke)))?;
        self.sent += 1;
        let mut whole = Whole::default();
        let left = DEADLINE.saturating_sub(begun.elapsed());
        let asking = kept.ask(&bytes, request.method == "HEAD", Some(&mut whole));
        let answer = match timeout(left, asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(broke)) => return Err(Unasked::NoAnswer(Clean::from(broke.to_string()))),
            Err(_) => return Err(Unasked::NoAnswer(silent().text)),
        };
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        for (name, value) in &whole.headers {
            if name == "set-cookie" {
                self.jar.take(value);
            }
        }
        self.rows.push(json!({
            "request": Clean::from(request.line()),
            "status": answer.status,
            "ms": (ms * 10.0).round() / 10.0,
            "body_bytes": answer.body_bytes,
        }));
        Ok((answer, whole, ms))
    }

    /// The request as it goes over the wire; the error is a name that nothing has given.
    fn written(&self, request: &Request) -> Result<Vec<u8>, String> {
        let url = &self.way.url;
        let path = one_line(&self.known.fill(&request.path)?).replace(' ', "%20");
        let mut head = format!(
            "{} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: quarterdeck/{}\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n",
            request.method,
            url.authority(),
            env!("CARGO_PKG_VERSION"),
        );
        if let Some(cookies) = self.jar.header(url.scheme == Scheme::Https) {
            let _ = write!(head, "Cookie: {}\r\n", one_line(&cookies));
        }
        for (name, value) in &request.header {
            let value = one_line(&self.known.fill(value)?);
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let body = match (&request.json, request.form.is_empty()) {
            (Some(json), _) => {
                head.push_str("Content-Type: application/json\r\n");
                Some(self.known.fill_json(json)?.to_string())
            }
            (None, false) => {
                head.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
                let pairs = request.form.iter().map(|(key, value)| {
                    let value = self.known.fill(value)?;
                    Ok(format!("{}={}", escaped(key), escaped(&value)))
                });
                Some(pairs.collect::<Result<Vec<_>, String>>()?.join("&"))
            }
            (None, true) => None,
        };
        if request.writes() {
            let length = body.as_ref().map_or(0, String::len);
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        head.push_str("\r\n");
        head.push_str(body.as_deref().unwrap_or_default());
        Ok(head.into_bytes())
    }

    /// Takes what later requests name. What is not there ends the journey; its value is never shown.
    fn captured(&mut self, request: &Request, line: &str, whole: &Whole, seen: &mut Seen) -> bool {
        for (name, source) in &request.capture {
            let value = match source {
                Source::Json(pointer) => serde_json::from_slice::<Value>(&whole.body)
                    .ok()
                    .and_then(|body| body.pointer(pointer).cloned()),
                Source::Header(header) => whole
                    .headers
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(header))
                    .map(|(_, value)| Value::from(value.as_str())),
                Source::Cookie(cookie) => self.jar.get(cookie).map(Value::from),
                Source::Matches(pattern) => group(pattern, &whole.body),
            };
            let Some(value) = value else {
                let text = format!("{line}: the answer has nothing to capture as {name}");
                seen.failures.push(Clean::line(&text));
                return false;
            };
            self.known.set(name, value);
        }
        true
    }
}

fn group(pattern: &str, body: &[u8]) -> Option<Value> {
    let pattern = Regex::new(pattern).ok()?;
    let text = String::from_utf8_lossy(body);
    let found = pattern.captures(&text)?.get(1)?;
    Some(Value::from(found.as_str()))
}

/// A value from outside opens no second line: it would be another header, or another request.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn silent() -> Fault {
    let text = format!("no answer within {} s", DEADLINE.as_secs());
    Fault::new(FaultKind::Silent, text)
}

fn unopened(broke: Broke) -> Fault {
    match broke {
        Broke::Connect(error) => error.into(),
        Broke::Shake(fault) => fault,
        other => Fault::new(FaultKind::Garbled, other.to_string()),
    }
}

/// What is expected of one answer. Of its body only whether it is as expected is told: it holds tokens and people's data.
fn judged(request: &Request, line: &str, answer: &Answer, whole: &Whole, ms: f64, seen: &mut Seen) {
    match &request.status {
        Some(expected) => {
            let what = format!("{line}: status");
            seen.number(&what, answer.status.into(), Unit::Count, expected);
        }
        None if answer.status >= 400 => {
            let text = format!("{line}: status {}, expected below 400", answer.status);
            seen.failures.push(text.into());
        }
        None => {}
    }
    if let Some(expected) = &request.total {
        seen.number(&format!("{line}: total"), ms, Unit::Milliseconds, expected);
    }
    if let Some(expected) = &request.body
        && !expected.holds_in(&String::from_utf8_lossy(&whole.body))
    {
        let text = format!("{line}: the body is not as expected: {expected}");
        seen.failures.push(text.into());
    }
    for (name, expected) in &request.answer {
        let holds = whole
            .headers
            .iter()
            .any(|(known, value)| known.eq_ignore_ascii_case(name) && expected.holds_in(value));
        if !holds {
            let text = format!("{line}: the header {name} is not as expected: {expected}");
            seen.failures.push(text.into());
        }
    }
    if request.value.is_empty() {
        return;
    }
    let body: Option<Value> = serde_json::from_slice(&whole.body).ok();
    for (pointer, expected) in &request.value {
        let value = body.as_ref().and_then(|body| body.pointer(pointer));
        let holds = match value {
            None => false,
            Some(Value::String(text)) => expected.holds_in(text),
            Some(Value::Number(number)) => {
                let unit = expected.natural_unit();
                let number = number.as_f64().unwrap_or(f64::NAN);
                expected.holds(&crate::domain::Measured::Number(number, unit))
            }
            Some(other) => expected.holds_in(&other.to_string()),
        };
        if !holds {
            let text = format!("{line}: the value {pointer} is not as expected: {expected}");
            seen.failures.push(text.into());
        }
    }
}
