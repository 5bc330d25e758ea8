//! One line of nginx's JSON access log, and the bounded way from its follower to the probe.
//!
//! The gateway's log is the only source that knows what users got. Who follows the gateway's output hands each line to
//! a [`Feeder`]; the probe takes them from the [`Feed`]. Keys that are not known are passed over. A value may be a
//! number or a text: both are seen in the wild.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::domain::{Clean, Timestamp};

/// A request line is at most 8 KB in nginx's defaults; with headers in the log four times that is plenty.
pub const LINE_BYTES_MAX: usize = 32 * 1024;

/// Lines between two looks: 10,000 a second over a look of two seconds, and half as much again.
pub const QUEUE_LINES_MAX: usize = 32_768;

/// nginx tries each server of an upstream at most once; a hundred replicas are more than we hold.
const ATTEMPTS_MAX: usize = 100;

/// One request as a user made it.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLine {
    /// The gateway's own clock; for showing, not for reckoning.
    pub at: Option<Timestamp>,
    /// What the user got; 0 where the connection ended without an answer.
    pub status: u16,
    /// From the first byte of the request to the last of the answer, in milliseconds.
    pub took_ms: Option<f64>,
    /// In the order in which nginx tried them. Empty: answered without an upstream.
    pub attempts: Vec<Attempt>,
    pub method: Clean,
    pub uri: Clean,
    pub remote: Clean,
}

/// One try at one upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// `172.20.0.5:5000`; or the name of the upstream block, when no server of it was left to try.
    pub address: Clean,
    /// `None`: no answer came.
    pub status: Option<u16>,
    pub took_ms: Option<f64>,
}

/// Why a line could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    #[error("over {LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("not a JSON object")]
    NotJson,
    #[error("no status")]
    NoStatus,
    #[error("the status is none of HTTP's")]
    BadStatus,
}

/// Reads one line.
pub fn parse(raw: &str) -> Result<AccessLine, Unreadable> {
    if raw.len() > LINE_BYTES_MAX {
        return Err(Unreadable::TooLong);
    }
    let fields: Map<String, Value> =
        serde_json::from_str(raw.trim()).map_err(|_| Unreadable::NotJson)?;
    let text = |name: &str| fields.get(name).map(word).unwrap_or_default();
    Ok(AccessLine {
        at: moment(&text("time")),
        status: status(&text("status"))?,
        took_ms: milliseconds(&text("request_time")),
        attempts: attempts(
            &text("upstream_addr"),
            &text("upstream_status"),
            &text("upstream_response_time"),
        ),
        method: Clean::line(&text("method")),
        uri: super::exposition::shown(&text("uri")),
        remote: Clean::line(&text("remote_addr")),
    })
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

fn status(text: &str) -> Result<u16, Unreadable> {
    if text.is_empty() || text == "-" {
        return Err(Unreadable::NoStatus);
    }
    match text.parse() {
        Ok(code @ (0 | 100..=599)) => Ok(code),
        _ => Err(Unreadable::BadStatus),
    }
}

/// `$msec` (seconds with a fraction) or `$time_iso8601`.
fn moment(text: &str) -> Option<Timestamp> {
    match text.parse::<f64>() {
        Ok(seconds) => std::time::Duration::try_from_secs_f64(seconds)
            .ok()
            .map(|span| Timestamp::default().plus(span)),
        Err(_) => Timestamp::parse_rfc3339(text),
    }
}

/// nginx writes `-` for what did not happen. A negative or infinite time is no time.
fn milliseconds(text: &str) -> Option<f64> {
    let seconds: f64 = text.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds * 1000.0)
}

/// The three variables are lists of equal length: `, ` parts the tries, ` : ` the groups of an internal redirect.
fn attempts(addresses: &str, statuses: &str, times: &str) -> Vec<Attempt> {
    let mut statuses = tries(statuses);
    let mut times = tries(times);
    tries(addresses)
        .take(ATTEMPTS_MAX)
        .map(|address| Attempt {
            address: Clean::line(address),
            status: statuses.next().and_then(|text| text.parse().ok()),
            took_ms: times.next().and_then(milliseconds),
        })
        .collect()
}

fn tries(list: &str) -> impl Iterator<Item = &str> {
    let list = if list == "-" { "" } else { list };
    list.split(", ")
        .flat_map(|group| group.split(" : "))
        .map(str::trim)
        .filter(|one| !one.is_empty())
}

/// Makes the way from followers to the probe.
pub fn feed() -> (Feeder, Feed) {
    let (sender, lines) = mpsc::channel(QUEUE_LINES_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let followers = Arc::new(AtomicUsize::new(0));
    let feeder = Feeder {
        lines: sender,
        lost: Arc::clone(&lost),
        followers: Arc::clone(&followers),
    };
    (
        feeder,
        Feed {
            lines,
            lost,
            followers,
        },
    )
}

/// The end that followers hold; one clone per gateway container.
#[derive(Debug, Clone)]
pub struct Feeder {
    lines: mpsc::Sender<Result<AccessLine, Unreadable>>,
    lost: Arc<AtomicU64>,
    followers: Arc<AtomicUsize>,
}

impl Feeder {
    /// Says that a follower is connected, until the returned value is dropped. Without any, silence is no zero.
    pub fn link(&self) -> Link {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Link(Arc::clone(&self.followers))
    }

    /// Takes one line of the log as it was written. Never waits: a line that finds the queue full is counted as lost.
    pub fn line(&self, raw: &str) {
        // A closed queue belongs to a probe that has ended; there is nobody left to miss the line.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.lines.try_send(parse(raw)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A follower is connected as long as this lives.
#[derive(Debug)]
pub struct Link(Arc<AtomicUsize>);

impl Drop for Link {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The probe's end.
#[derive(Debug)]
pub struct Feed {
    lines: mpsc::Receiver<Result<AccessLine, Unreadable>>,
    lost: Arc<AtomicU64>,
    followers: Arc<AtomicUsize>,
}

impl Feed {
    /// What has come since the last time; `None` when nothing is left.
    pub fn take(&mut self) -> Option<Result<AccessLine, Unreadable>> {
        self.lines.try_recv().ok()
    }

    /// Lines lost since the last time.
    pub fn take_lost(&mut self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// Is anybody following the log?
    pub fn is_linked(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn tried(raw: &str, expected: &[(&str, Option<u16>, Option<f64>)]) {
        let line = parse(raw).expect("a line");
        let found: Vec<_> = line
            .attempts
            .iter()
            .map(|a| (a.address.as_str(), a.status, a.took_ms))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_line_is_read_with_numbers_or_texts() {
        for raw in [
            r#"{"time":1763640000.25,"status":200,"request_time":0.2,"method":"GET","uri":"/a","remote_addr":"10.1.1.1","new":[1]}"#,
            r#"{"time":"2025-11-20T12:00:00.25+00:00","status":"200","request_time":"0.200","method":"GET","uri":"/a","remote_addr":"10.1.1.1"}"#,
        ] {
            let line = parse(raw).expect("a line");
            assert_eq!(line.at, Some(Timestamp(1_763_640_000_250)));
            assert_eq!((line.status, line.took_ms), (200, Some(200.0)));
            assert_eq!((line.method.as_str(), line.uri.as_str()), ("GET", "/a"));
            assert!(line.attempts.is_empty());
        }
    }

    #[test]
    fn tries_and_groups_are_told_apart() {
        tried(
            r#"{"status":"200","upstream_addr":"a:1, b:2","upstream_status":"502, 200","upstream_response_time":"0.001, 0.200"}"#,
            &[
                ("a:1", Some(502), Some(1.0)),
                ("b:2", Some(200), Some(200.0)),
            ],
        );
        tried(
            r#"{"status":"504","upstream_addr":"a:1 : c:3","upstream_status":"200 : -","upstream_response_time":"0.002 : -"}"#,
            &[("a:1", Some(200), Some(2.0)), ("c:3", None, None)],
        );
        tried(
            r#"{"status":"301","upstream_addr":"-","upstream_status":"-"}"#,
            &[],
        );
        tried(
            r#"{"status":"301","upstream_addr":"","upstream_response_time":""}"#,
            &[],
        );
        tried(
            r#"{"status":"502","upstream_addr":"server","upstream_status":"502","upstream_response_time":"0.000"}"#,
            &[("server", Some(502), Some(0.0))],
        );
    }

    #[test]
    fn what_is_no_line_is_said_to_be_none() {
        let why = |raw: &str| parse(raw).expect_err("no line");
        assert_eq!(why("10.0.0.1 - - [x] \"GET /\" 200"), Unreadable::NotJson);
        assert_eq!(why("[]"), Unreadable::NotJson);
        assert_eq!(why("{}"), Unreadable::NoStatus);
        assert_eq!(why(r#"{"status":"-"}"#), Unreadable::NoStatus);
        assert_eq!(why(r#"{"status":70000}"#), Unreadable::BadStatus);
        assert_eq!(why(&"x".repeat(LINE_BYTES_MAX + 1)), Unreadable::TooLong);
    }

    #[test]
    fn times_that_are_none_are_left_out() {
        let raw = r#"{"status":200,"request_time":"NaN","time":"1e308"}"#;
        let line = parse(raw).expect("a line");
        assert_eq!((line.took_ms, line.at), (None, None));
    }

    #[test]
    fn a_full_queue_loses_lines_and_counts_them() {
        let (feeder, mut feed) = feed();
        for _ in 0..QUEUE_LINES_MAX + 7 {
            feeder.line("{\"status\":200}");
        }
        assert_eq!((feed.take_lost(), feed.take_lost()), (7, 0));
        assert_eq!(std::iter::from_fn(|| feed.take()).count(), QUEUE_LINES_MAX);
    }

    #[test]
    fn the_log_is_linked_while_a_follower_lives() {
        let (feeder, feed) = feed();
        assert!(!feed.is_linked());
        let (one, two) = (feeder.link(), feeder.clone().link());
        drop(one);
        assert!(feed.is_linked());
        drop(two);
        assert!(!feed.is_linked());
    }

    proptest! {
        #[test]
        fn whatever_comes_in_nothing_breaks(raw in any::<String>()) {
            let _ = parse(&raw);
            let _ = parse(&serde_json::json!({"status": "200", "upstream_addr": raw, "request_time": raw}).to_string());
        }
    }
}
