//! Answers that go on: events and logs.

use std::fmt::Write as _;
use std::sync::Arc;

use hyper::Response;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::route::Call;
use super::{inspect, refused};
use crate::range::body::{self, Body};
use crate::range::figures::{count, index, whole_ms};
use crate::range::voice;
use crate::range::world::{Event, LogLine, Ms, World};
use crate::range::yard::Yard;

/// Entries that are written between two looks at whether the reader is still there.
const BATCH_MAX: usize = 500;

/// Seconds since 1970, perhaps with a fraction, as a moment of the world.
fn moment(yard: &Yard, call: &Call, name: &str) -> Option<Ms> {
    let text = call.query.get(name).filter(|t| !t.is_empty())?;
    let wall_ms = match text.parse::<f64>() {
        Ok(0.0) => return None,
        Ok(seconds) => whole_ms(seconds * 1_000.0),
        Err(_) => chrono::DateTime::parse_from_rfc3339(text)
            .ok()?
            .timestamp_millis(),
    };
    Some(yard.clock.world_ms(wall_ms))
}

pub(super) fn events(yard: &Arc<Yard>, call: &Call) -> Response<Body> {
    let (sender, response) = body::stream("application/json");
    let since = moment(yard, call, "since");
    let until = moment(yard, call, "until");
    let wanted = Wanted::new(call);
    let next = yard.with(|w| match since {
        Some(_) => 0,
        None => w.next_event(),
    });
    let tail = EventTail {
        since,
        until,
        wanted,
        next,
    };
    tokio::spawn(send_events(yard.clone(), sender, tail));
    response
}

struct EventTail {
    since: Option<Ms>,
    until: Option<Ms>,
    wanted: Wanted,
    next: u64,
}

/// The filters of an event stream; an empty list lets everything through.
struct Wanted {
    events: Vec<String>,
    kinds: Vec<String>,
    containers: Vec<String>,
    labels: Vec<String>,
}

impl Wanted {
    fn new(call: &Call) -> Self {
        Self {
            events: call.filter("event"),
            kinds: call.filter("type"),
            containers: call.filter("container"),
            labels: call.filter("label"),
        }
    }

    fn fits(&self, event: &Event) -> bool {
        let word = event.action.split(':').next().unwrap_or_default();
        let name = event.attributes.get("name").map_or("", String::as_str);
        let any = |list: &[String], fits: &dyn Fn(&str) -> bool| {
            list.is_empty() || list.iter().any(|v| fits(v))
        };
        any(&self.events, &|e| e == event.action || e == word)
            && any(&self.kinds, &|k| k == "container")
            && any(&self.containers, &|c| c == name || event.id.starts_with(c))
            && self.labels.iter().all(|label| match label.split_once('=') {
                Some((key, value)) => event.attributes.get(key).is_some_and(|v| v == value),
                None => event.attributes.contains_key(label),
            })
    }
}

async fn send_events(yard: Arc<Yard>, sender: mpsc::Sender<Bytes>, mut tail: EventTail) {
    let mut beats = yard.beats();
    loop {
        yard.engine_ready().await;
        let (text, now) = yard.with(|w| (due_events(w, &yard, &mut tail), w.now()));
        if !text.is_empty() && sender.send(Bytes::from(text)).await.is_err() {
            return;
        }
        if tail.until.is_some_and(|until| now >= until) {
            return;
        }
        tokio::select! {
            changed = beats.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
        }
    }
}

fn due_events(world: &World, yard: &Yard, tail: &mut EventTail) -> String {
    let mut text = String::new();
    for event in world.events().iter().filter(|e| e.seq >= tail.next) {
        let is_in_time = tail.since.is_none_or(|since| event.at >= since)
            && tail.until.is_none_or(|until| event.at <= until);
        if is_in_time && tail.wanted.fits(event) {
            let _ = writeln!(text, "{}", event_json(event, yard));
        }
    }
    tail.next = world.next_event();
    text
}

fn event_json(event: &Event, yard: &Yard) -> Value {
    let wall_ms = yard.clock.wall_ms(event.at);
    json!({
        "status": event.action,
        "id": event.id,
        "from": event.attributes.get("image"),
        "Type": "container",
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": event.attributes},
        "scope": "local",
        "time": wall_ms / 1_000,
        "timeNano": wall_ms * 1_000_000,
    })
}

/// What a reader of logs wants.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the switches of the call, one by one"
)]
struct LogTail {
    id: String,
    since: Option<Ms>,
    until: Option<Ms>,
    next: u64,
    has_timestamps: bool,
    has_out: bool,
    has_err: bool,
    is_following: bool,
}

pub(super) fn logs(yard: &Arc<Yard>, id: &str, call: &Call) -> Response<Body> {
    let found = yard.with(|w| inspect::at(w, id).map(|at| w.containers[at].id.clone()));
    let id = match found {
        Ok(id) => id,
        Err(refusal) => return refused(&refusal),
    };
    let (has_out, has_err) = (
        call.flag("stdout").unwrap_or(false),
        call.flag("stderr").unwrap_or(false),
    );
    if !has_out && !has_err {
        return super::error(
            hyper::StatusCode::BAD_REQUEST,
            "Bad parameters: you must choose at least one stream",
        );
    }
    let mut tail = LogTail {
        id,
        since: moment(yard, call, "since"),
        until: moment(yard, call, "until"),
        next: 0,
        has_timestamps: call.flag("timestamps").unwrap_or(false),
        has_out,
        has_err,
        is_following: call.flag("follow").unwrap_or(false),
    };
    let last = call.query.get("tail").and_then(|t| t.parse::<u64>().ok());
    tail.next = yard.with(|w| first_line(w, &tail, last));
    let (sender, response) = body::stream("application/vnd.docker.multiplexed-stream");
    tokio::spawn(send_logs(yard.clone(), sender, tail));
    response
}

impl LogTail {
    fn fits(&self, line: &LogLine) -> bool {
        let is_wanted = if line.is_error {
            self.has_err
        } else {
            self.has_out
        };
        is_wanted
            && self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at <= until)
    }
}

/// The number of the line with which the last `last` lines begin.
fn first_line(world: &World, tail: &LogTail, last: Option<u64>) -> u64 {
    let Some(last) = last else {
        return 0;
    };
    let Some(at) = world.find(&tail.id) else {
        return 0;
    };
    let container = &world.containers[at];
    let fitting: Vec<u64> = container
        .logs
        .iter()
        .filter(|l| tail.fits(l))
        .map(|l| l.seq)
        .collect();
    let skipped = index(count(fitting.len()).saturating_sub(last));
    fitting.get(skipped).copied().unwrap_or(container.next_line)
}

async fn send_logs(yard: Arc<Yard>, sender: mpsc::Sender<Bytes>, mut tail: LogTail) {
    let mut beats = yard.beats();
    loop {
        yard.engine_ready().await;
        let Some(batch) = yard.with(|w| due_lines(w, &yard, &mut tail)) else {
            return;
        };
        if !batch.bytes.is_empty() && sender.send(Bytes::from(batch.bytes)).await.is_err() {
            return;
        }
        if batch.has_more {
            continue;
        }
        if !tail.is_following || !batch.is_running {
            return;
        }
        tokio::select! {
            changed = beats.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
        }
    }
}

struct Batch {
    bytes: Vec<u8>,
    has_more: bool,
    is_running: bool,
}

/// The next lines; `None` when the container is gone.
fn due_lines(world: &World, yard: &Yard, tail: &mut LogTail) -> Option<Batch> {
    let container = &world.containers[world.find(&tail.id)?];
    let mut bytes = Vec::new();
    let oldest = container
        .logs
        .front()
        .map_or(container.next_line, |l| l.seq);
    let skipped = index(tail.next.saturating_sub(oldest));
    for (taken, line) in container.logs.iter().skip(skipped).enumerate() {
        if taken == BATCH_MAX {
            return Some(Batch {
                bytes,
                has_more: true,
                is_running: true,
            });
        }
        tail.next = line.seq + 1;
        if tail.fits(line) {
            frame_line(&mut bytes, line, yard, tail.has_timestamps);
        }
    }
    tail.next = container.next_line;
    let is_running = container.is_running() || container.restart_at.is_some();
    Some(Batch {
        bytes,
        has_more: false,
        is_running,
    })
}

fn frame_line(bytes: &mut Vec<u8>, line: &LogLine, yard: &Yard, has_timestamps: bool) {
    let stamp = if has_timestamps {
        format!("{} ", yard.clock.rfc3339(line.at))
    } else {
        String::new()
    };
    for text in voice::lines(line, &yard.clock, yard.network) {
        frame(bytes, line.is_error, format!("{stamp}{text}\n").as_bytes());
    }
}

/// One frame of the multiplexed stream: which stream, how long, what.
pub(super) fn frame(bytes: &mut Vec<u8>, is_error: bool, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a log line or chunk is far below 4 GB");
    bytes.extend([if is_error { 2 } else { 1 }, 0, 0, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(payload);
}
