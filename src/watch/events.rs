//! Follows the engine's events: each wakes the look at the containers at once and is passed on as a happening.
//!
//! The stream is a hint, not a log: the engine drops events for a slow listener and keeps only 256. So an event never
//! changes what is known; it makes us look. A break is counted, said, and followed by a look at everything.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Pace;
use crate::domain::{Clean, EngineEvent, EngineEventKind, Timestamp};
use crate::link::docker::{Engine, EngineError, Happened, LogTime};

/// After the first break; doubles up to the supervisor's limit.
const RETRY: Duration = Duration::from_millis(250);
/// A stream that stood so long was well: the next break begins with the short wait again.
const WELL_AFTER: Duration = Duration::from_secs(10);
/// Silence is normal, a dead line looks the same: after so much of it the stream is opened anew, which is no break.
const SILENCE_MAX: Duration = Duration::from_mins(5);
/// The engine refuses at once or not at all: a stream without an error for so long stands.
const STANDS_AFTER: Duration = Duration::from_millis(500);
/// The engine tells of a death before its own list knows it: a look at once sees the container still running (seen with
/// 20.10, two times of three on a busy machine). So the last event of a burst wakes again a little later.
const ECHOES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
];
const ENDED: &str = "the engine ended the stream";
/// Events remembered to tell a repeated one after a reconnect: as many as the engine keeps.
const REMEMBERED: usize = 256;

/// Where the events go.
pub struct Outlet {
    /// Wakes the look at the containers.
    pub wake: Arc<Notify>,
    /// For people to read. A full channel loses happenings, never looks.
    pub happenings: mpsc::Sender<EngineEvent>,
    /// How often the stream broke.
    pub gaps: watch::Sender<u32>,
}

/// Follows the events of `project` until nobody reads the happenings any more.
pub async fn follow(engine: Engine, project: Clean, clock: impl Fn() -> Timestamp, outlet: Outlet) {
    let listener = outlet.happenings.clone();
    let mut state = State {
        outlet,
        last: None,
        seen: VecDeque::with_capacity(REMEMBERED),
        echoes: VecDeque::with_capacity(ECHOES.len()),
        standing: false,
    };
    let mut pace = Pace::new(&project);
    loop {
        let begun = Instant::now();
        let ended = tokio::select! {
            ended = state.read(&engine, &project) => ended,
            () = listener.closed() => return,
        };
        match ended {
            Ended::Silence => continue,
            Ended::Broke(why) => state.gap(clock(), &why),
        }
        let wait = pace.after(RETRY, begun.elapsed() >= WELL_AFTER);
        tokio::select! {
            () = sleep(wait) => {}
            () = listener.closed() => return,
        }
    }
}

/// How a stream ended.
enum Ended {
    /// We closed it ourselves.
    Silence,
    Broke(Clean),
}

struct State {
    outlet: Outlet,
    last: Option<LogTime>,
    seen: VecDeque<Happened>,
    /// When to wake again for the last event.
    echoes: VecDeque<Instant>,
    /// The stream stands: a break is a gap. One that never stood breaks nothing, and is the engine probe's news.
    standing: bool,
}

impl State {
    async fn read(&mut self, engine: &Engine, project: &Clean) -> Ended {
        let mut events = match engine.events(project, self.last).await {
            Ok(events) => events,
            Err(error) => return broke(&error),
        };
        if let Ok(next) = timeout(STANDS_AFTER, events.next()).await {
            match next {
                Some(Ok(happened)) => self.take(happened),
                Some(Err(error)) => return broke(&error),
                None => return Ended::Broke(Clean::from(ENDED)),
            }
        }
        self.standing = true;
        // What happened before the stream stood is found by looking.
        self.outlet.wake.notify_one();
        loop {
            let echo = self.echoes.front().copied();
            let next = tokio::select! {
                next = timeout(SILENCE_MAX, events.next()) => next,
                () = sleep_until(echo.unwrap_or_else(Instant::now)), if echo.is_some() => {
                    self.echoes.pop_front();
                    self.outlet.wake.notify_one();
                    continue;
                }
            };
            match next {
                Ok(Some(Ok(happened))) => self.take(happened),
                Ok(Some(Err(error))) => return broke(&error),
                Ok(None) => return Ended::Broke(Clean::from(ENDED)),
                Err(_) => return Ended::Silence,
            }
        }
    }

    fn take(&mut self, happened: Happened) {
        self.last = self.last.max(happened.time);
        if self.seen.contains(&happened) {
            return;
        }
        self.outlet.wake.notify_one();
        let now = Instant::now();
        self.echoes = ECHOES.map(|after| now + after).into();
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        // Full: the reader is behind, and what the containers are is known from the look.
        let _ = self.outlet.happenings.try_send(happened.event.clone());
        self.seen.push_back(happened);
    }

    /// Counts a break, once for each time the stream stood.
    fn gap(&mut self, at: Timestamp, why: &Clean) {
        if !std::mem::take(&mut self.standing) {
            return;
        }
        self.outlet
            .gaps
            .send_modify(|gaps| *gaps = gaps.saturating_add(1));
        let event = EngineEvent {
            at: Some(at),
            kind: EngineEventKind::Gap,
            container: None,
            service: Clean::default(),
            text: Clean::line(&format!("events were lost, the list is read anew: {why}")),
        };
        let _ = self.outlet.happenings.try_send(event);
        self.outlet.wake.notify_one();
    }
}

fn broke(error: &EngineError) -> Ended {
    Ended::Broke(Clean::line(&error.to_string()))
}
