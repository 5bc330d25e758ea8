//! Follows the logs of many containers and merges them into batches.
//!
//! Memory is bounded at every place: lines are cut, queues are short, and what comes faster than it is read is dropped,
//! counted and said. A container that is started anew is followed on from the last line that was seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::domain::{Clean, ContainerId, Level, LogLine, Stream, Timestamp};
use crate::link::docker::{Engine, EngineError, LogHead, LogRange, LogTime, RawLine};

/// Containers followed at once: each is a connection and a reader in the engine.
pub const FOLLOWED_MAX: usize = 64;
/// Lines that wait to be merged: a fifth of a second at the limit of 10,000 lines a second.
const WAITING_MAX: usize = 2048;
/// Of one batch, so that drawing is never far behind.
pub const BATCH_MAX: usize = 500;
/// A batch is handed over after so long at the latest: faster than the screen is drawn.
pub const BATCH_WAIT: Duration = Duration::from_millis(50);
/// How long a full queue holds a reader up before lines are dropped. Old lines come in a burst at the begin; those
/// should not be lost, and the engine can wait.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between looks whether a stopped container runs again; doubles.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Follows the containers that `wanted` names, until nobody reads the batches any more. The first lines of each are its
/// newest `tail`. Only the first [`FOLLOWED_MAX`] are followed; the rest is said.
pub async fn follow(
    engine: Engine,
    mut wanted: watch::Receiver<Vec<ContainerId>>,
    tail: u32,
    clock: impl Fn() -> Timestamp,
    batches: mpsc::Sender<Vec<LogLine>>,
) {
    let (lines, mut merged) = mpsc::channel(WAITING_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let mut followers = Followers {
        engine,
        tail,
        lines,
        dropped: dropped.clone(),
        tasks: JoinSet::new(),
        by_id: BTreeMap::new(),
    };
    let mut note = followers.set(&wanted.borrow_and_update().clone());
    let mut batch = Batch::default();
    loop {
        if let Some(text) = note.take() {
            batch.push(note_line(clock(), None, Clean::default(), &text));
        }
        let due = batch.due;
        tokio::select! {
            changed = wanted.changed() => match changed {
                Ok(()) => note = followers.set(&wanted.borrow_and_update().clone()),
                Err(_) => return,
            },
            Some(line) = merged.recv(), if batch.lines.len() < BATCH_MAX => batch.push(line),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let lost = dropped.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    batch.push(note_line(clock(), None, Clean::default(), &format!("{lost} lines dropped: they came faster than they were read")));
                }
                if batches.send(batch.hand_over()).await.is_err() {
                    return;
                }
            }
            () = batches.closed() => return,
            Some(_) = followers.tasks.join_next(), if !followers.tasks.is_empty() => {}
        }
    }
}

#[derive(Default)]
struct Batch {
    lines: Vec<LogLine>,
    due: Option<Instant>,
}

impl Batch {
    fn push(&mut self, line: LogLine) {
        self.lines.push(line);
        let now = Instant::now();
        if self.lines.len() >= BATCH_MAX {
            self.due = Some(now);
        } else {
            self.due = self.due.or(Some(now + BATCH_WAIT));
        }
    }

    fn hand_over(&mut self) -> Vec<LogLine> {
        self.due = None;
        std::mem::take(&mut self.lines)
    }
}

/// The readers, one for each container.
struct Followers {
    engine: Engine,
    tail: u32,
    lines: mpsc::Sender<LogLine>,
    dropped: Arc<AtomicU64>,
    /// Aborts them all when it is dropped.
    tasks: JoinSet<()>,
    by_id: BTreeMap<ContainerId, AbortHandle>,
}

impl Followers {
    /// Starts and ends readers so that exactly `wanted` are followed; says what could not be.
    fn set(&mut self, wanted: &[ContainerId]) -> Option<String> {
        let kept = &wanted[..wanted.len().min(FOLLOWED_MAX)];
        self.by_id.retain(|id, task| {
            let keep = kept.contains(id);
            if !keep {
                task.abort();
            }
            keep
        });
        for id in kept {
            if !self.by_id.contains_key(id) {
                let reader = Reader {
                    engine: self.engine.clone(),
                    id: id.clone(),
                    tail: self.tail,
                    lines: self.lines.clone(),
                    dropped: self.dropped.clone(),
                    place: Place::default(),
                    behind: false,
                };
                let task = self.tasks.spawn(reader.run());
                self.by_id.insert(id.clone(), task);
            }
        }
        let left = wanted.len() - kept.len();
        (left > 0).then(|| format!("{left} containers are not followed: {FOLLOWED_MAX} at once"))
    }
}

/// Where in a log we are: the newest moment, and how many lines of exactly that moment were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    at: Option<LogTime>,
    lines: u32,
}

impl Place {
    fn pass(&mut self, at: LogTime) {
        match self.at {
            Some(newest) if at == newest => self.lines += 1,
            Some(newest) if at < newest => {}
            _ => {
                *self = Self {
                    at: Some(at),
                    lines: 1,
                }
            }
        }
    }
}

/// Leaves out what was seen before a reconnect: the engine repeats the lines of the moment it is asked to go on from.
#[derive(Debug)]
struct Skip {
    from: Place,
    passed: u32,
}

impl Skip {
    fn is_old(&mut self, at: Option<LogTime>) -> bool {
        match (at, self.from.at) {
            (Some(at), Some(from)) if at < from => true,
            (Some(at), Some(from)) if at == from && self.passed < self.from.lines => {
                self.passed += 1;
                true
            }
            _ => false,
        }
    }
}

struct Reader {
    engine: Engine,
    id: ContainerId,
    tail: u32,
    lines: mpsc::Sender<LogLine>,
    dropped: Arc<AtomicU64>,
    place: Place,
    /// Lines are being dropped until there is room again.
    behind: bool,
}

impl Reader {
    async fn run(mut self) {
        let mut wait = RETRY_MIN;
        let mut attached = false;
        let mut faulty = false;
        loop {
            let outcome = self.once(attached).await;
            match outcome {
                Ok(Some(lines)) => {
                    attached = true;
                    faulty = false;
                    // It ran and said something: be quick when it comes back.
                    wait = if lines > 0 { RETRY_MIN } else { wait };
                }
                Ok(None) => {}
                // Removed: nothing will come any more, and the event says so.
                Err(error) if error.is_missing() => return,
                Err(error) => {
                    if !faulty {
                        self.say(&format!("the log of {} broke off: {error}", self.id))
                            .await;
                    }
                    faulty = true;
                }
            }
            sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// Follows until the container ends. `None`: it does not run, and what it said is known.
    async fn once(&mut self, attached: bool) -> Result<Option<u64>, EngineError> {
        let head = self.engine.log_head(&self.id).await?;
        if attached && !head.running && !self.has_more(&head).await? {
            return Ok(None);
        }
        self.stream(&head, true).await.map(Some)
    }

    /// A container that was started and ended between two looks has said something too.
    async fn has_more(&mut self, head: &LogHead) -> Result<bool, EngineError> {
        Ok(self.stream(head, false).await? > 0)
    }

    async fn stream(&mut self, head: &LogHead, follow: bool) -> Result<u64, EngineError> {
        let range = LogRange {
            tail: self.place.at.is_none().then_some(self.tail),
            since: self.place.at,
            follow,
        };
        let mut skip = Skip {
            from: self.place,
            passed: 0,
        };
        let mut raw = self.engine.logs(&self.id, head.terminal, range).await?;
        let mut new = 0;
        while let Some(line) = raw.next().await {
            let line = line?;
            if skip.is_old(line.at) {
                continue;
            }
            if let Some(at) = line.at {
                self.place.pass(at);
            }
            new += 1;
            let line = shown(&line, &self.id, &head.source);
            self.hand_over(line).await;
        }
        Ok(new)
    }

    async fn hand_over(&mut self, line: LogLine) {
        let line = match self.lines.try_send(line) {
            Ok(()) => {
                self.behind = false;
                return;
            }
            Err(TrySendError::Full(line)) if !self.behind => line,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                // Dropping must not keep the other tasks from reading.
                tokio::task::yield_now().await;
                return;
            }
        };
        if timeout(PATIENCE, self.lines.send(line)).await.is_err() {
            self.behind = true;
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn say(&mut self, text: &str) {
        let line = note_line(
            Timestamp::default(),
            Some(self.id.clone()),
            Clean::default(),
            text,
        );
        self.hand_over(LogLine { at: None, ..line }).await;
    }
}

fn shown(line: &RawLine, id: &ContainerId, source: &Clean) -> LogLine {
    let text = text(line);
    LogLine {
        at: line.at.map(Timestamp::from),
        container: Some(id.clone()),
        source: source.clone(),
        stream: line.stream,
        level: Level::guess(&text),
        text,
    }
}

/// What is shown of a line; what the link left out already counts among what is cut.
fn text(line: &RawLine) -> Clean {
    /// Leaves room for the note within the largest text.
    const SHOWN: usize = crate::domain::text::BYTES_MAX - 64;
    if line.cut == 0 || line.bytes.len() <= SHOWN {
        return Clean::bytes(&line.bytes);
    }
    let left = line.bytes.len() - SHOWN + line.cut;
    let head = Clean::bytes(&line.bytes[..SHOWN]);
    Clean::line(&format!("{head} [cut: {left} bytes more]"))
}

fn note_line(at: Timestamp, container: Option<ContainerId>, source: Clean, text: &str) -> LogLine {
    LogLine {
        at: Some(at),
        container,
        source,
        stream: Stream::Note,
        level: Level::Warn,
        text: Clean::line(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_same_moment_are_neither_lost_nor_repeated() {
        let mut place = Place::default();
        for at in [1, 2, 2] {
            place.pass(LogTime(at));
        }
        let mut skip = Skip {
            from: place,
            passed: 0,
        };
        let repeated = [1, 2, 2, 2, 3].map(|at| skip.is_old(Some(LogTime(at))));
        assert_eq!(repeated, [true, true, true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_due_when_full_or_after_a_moment() {
        let line = || note_line(Timestamp(0), None, Clean::default(), "x");
        let mut batch = Batch::default();
        batch.push(line());
        assert_eq!(batch.due, Some(Instant::now() + BATCH_WAIT));
        for _ in 1..BATCH_MAX {
            batch.push(line());
        }
        assert_eq!(batch.due, Some(Instant::now()));
        assert_eq!((batch.hand_over().len(), batch.due), (BATCH_MAX, None));
    }
}
