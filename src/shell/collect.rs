//! One look at everything, for the commands without a screen: until all have answered, or patience ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep_until};

use crate::config::Config;
use crate::domain::{
    Board, Clean, Fault, FaultKind, Sighting, SourceId, SourceKind, Stack, Timestamp,
};
use crate::link::docker::Engine;

use super::clock::Clock;
use super::discover::{blind, discover};
use super::proofs;
use super::watches::{Streams, Watches};

/// How long the commands wait for answers when nobody says otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);
/// Between the two looks that a rate is made of: long enough for a figure, short enough for a person.
const RATE_SPAN: Duration = Duration::from_millis(1200);
/// The clock tells whole milliseconds: a look may seem to have begun this much earlier than it did.
const ROUNDING: Duration = Duration::from_millis(2);

/// A runtime for one command. Files and names are looked up by blocking calls; a few at a time are enough.
pub(super) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .wrap_err("cannot start the watches")
}

/// Looks at the configured stack, or at the project that runs, for at most `patience`; and when that was.
///
/// What has not answered by then is on the board with that as its fault.
pub(super) fn collect(
    config: &Config,
    engine: &Engine,
    project: Option<&str>,
    clock: Clock,
    patience: Duration,
) -> Result<(Board, Timestamp)> {
    let runtime = runtime()?;
    let board = runtime.block_on(async {
        let deadline = Instant::now() + patience;
        match subject(config, engine, project, deadline, patience).await {
            Ok(stack) => gather(config, engine, stack, clock, deadline, patience).await,
            Err(fault) => unseen(engine, project, fault, clock.now()),
        }
    });
    // A disk that hangs or a name that does not resolve may still be waited for; not by us.
    runtime.shutdown_background();
    Ok((board, clock.now()))
}

/// The configured stack, or the one that is found to run.
pub(super) async fn subject(
    config: &Config,
    engine: &Engine,
    project: Option<&str>,
    deadline: Instant,
    patience: Duration,
) -> Result<Stack, Fault> {
    if let Some(stack) = &config.stack {
        return Ok(stack.clone());
    }
    let here = config.paths.working_dir.to_string_lossy();
    let search = discover(engine, project, &here);
    match tokio::time::timeout_at(deadline, search).await {
        Ok(Ok(found)) => {
            if let Some(text) = found.others() {
                tell(&text);
            }
            Ok(found.stack)
        }
        Ok(Err(fault)) => Err(fault),
        Err(_) => Err(silent(patience)),
    }
}

/// A message is no report: it goes to standard error.
fn tell(text: &Clean) {
    eprintln!("quarterdeck: {text}");
}

/// The board of a stack that could not even be named.
pub(super) fn unseen(
    engine: &Engine,
    project: Option<&str>,
    fault: Fault,
    now: Timestamp,
) -> Board {
    let mut board = Board::new(Stack::discovered(Clean::line(
        project.unwrap_or("(no project)"),
    )));
    board.take(blind(engine, fault, now));
    board
}

fn silent(patience: Duration) -> Fault {
    Fault::new(
        FaultKind::Silent,
        format!("no answer within {}", humantime::format_duration(patience)),
    )
    .remedy("look again with a longer --timeout")
}

async fn gather(
    config: &Config,
    engine: &Engine,
    stack: Stack,
    clock: Clock,
    deadline: Instant,
    patience: Duration,
) -> Board {
    let stack = Arc::new(stack);
    let token = config.prometheus_token.as_ref();
    let (watches, streams) = Watches::start(engine, &stack, token, proofs::place(config), clock);
    let mut board = Board::new(Stack::clone(&stack));
    let mut waiting = Waiting::default();
    for (source, period) in &watches.expected {
        board.expect(source.clone(), *period, clock.now());
        waiting.expect(source.clone());
    }
    // The other streams are kept, so that nobody finds their ends closed.
    let Streams { mut sightings, .. } = streams;
    while !waiting.is_over() {
        let again = waiting.next().unwrap_or(deadline);
        tokio::select! {
            sighting = sightings.recv() => {
                let Some(sighting) = sighting else { break };
                let wake = waiting.take(&sighting, Instant::now());
                board.take(sighting);
                for source in wake {
                    watches.recheck(Some(&source));
                }
            }
            () = sleep_until(again.min(deadline)) => {
                if Instant::now() >= deadline {
                    break;
                }
                for source in waiting.due(Instant::now(), clock.now()) {
                    watches.recheck(Some(&source));
                }
            }
        }
    }
    for source in waiting.never {
        let at = clock.now();
        board.take(Sighting {
            period: board.sources[&source].period,
            source,
            at,
            took: patience,
            result: Err(silent(patience)),
        });
    }
    board
}

/// What a source still owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owes {
    /// Any answer.
    One,
    /// First the containers must be known, then so many looks.
    AfterContainers,
    /// So many answers to looks that began at this moment or later.
    Looks { left: u8, from: Timestamp },
    /// The next look of so many, at this moment.
    Pause { left: u8, until: Instant },
}

/// Who has not answered enough yet.
#[derive(Debug, Default)]
struct Waiting {
    owed: BTreeMap<SourceId, Owes>,
    /// Those that have not answered at all.
    never: Vec<SourceId>,
}

impl Waiting {
    fn expect(&mut self, source: SourceId) {
        let owes = match source.kind {
            // Rates need two looks, and both need to know whom to look at.
            SourceKind::Usage | SourceKind::Traffic => Owes::AfterContainers,
            SourceKind::Engine
            | SourceKind::Containers
            | SourceKind::Endpoint
            | SourceKind::Certificate
            | SourceKind::Backup
            | SourceKind::Alerts
            | SourceKind::Host => Owes::One,
        };
        self.owed.insert(source.clone(), owes);
        self.never.push(source);
    }

    fn is_over(&self) -> bool {
        self.owed.is_empty()
    }

    /// Takes an answer in; returns who must be looked at again now.
    fn take(&mut self, sighting: &Sighting, now: Instant) -> Vec<SourceId> {
        let source = &sighting.source;
        self.never.retain(|other| other != source);
        let began = Timestamp(
            sighting
                .at
                .0
                .saturating_sub(u64::try_from(sighting.took.as_millis()).unwrap_or(u64::MAX)),
        );
        match self.owed.get(source) {
            Some(Owes::One) => {
                self.owed.remove(source);
            }
            Some(Owes::Looks { left, from }) if began.plus(ROUNDING) >= *from => {
                let left = left.saturating_sub(1);
                if left == 0 {
                    self.owed.remove(source);
                } else {
                    let until = now + RATE_SPAN;
                    self.owed
                        .insert(source.clone(), Owes::Pause { left, until });
                }
            }
            Some(Owes::AfterContainers | Owes::Looks { .. } | Owes::Pause { .. }) | None => {}
        }
        if source.kind == SourceKind::Containers {
            // Without them nobody can be counted, and a second look would say the same.
            let left = if sighting.result.is_ok() { 2 } else { 1 };
            return self.begin(left, sighting.at);
        }
        Vec::new()
    }

    fn begin(&mut self, left: u8, from: Timestamp) -> Vec<SourceId> {
        let mut begun = Vec::new();
        for (source, owes) in &mut self.owed {
            if *owes == Owes::AfterContainers {
                *owes = Owes::Looks { left, from };
                begun.push(source.clone());
            }
        }
        begun
    }

    /// When the next pause ends.
    fn next(&self) -> Option<Instant> {
        let pauses = self.owed.values().filter_map(|owes| match owes {
            Owes::Pause { until, .. } => Some(*until),
            Owes::One | Owes::AfterContainers | Owes::Looks { .. } => None,
        });
        pauses.min()
    }

    /// Whose pause has ended: they must be looked at again now.
    fn due(&mut self, instant: Instant, now: Timestamp) -> Vec<SourceId> {
        let mut due = Vec::new();
        for (source, owes) in &mut self.owed {
            if let Owes::Pause { left, until } = *owes
                && until <= instant
            {
                *owes = Owes::Looks { left, from: now };
                due.push(source.clone());
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(kind: SourceKind, began: u64, at: u64) -> Sighting {
        Sighting {
            source: SourceId::new(kind, "x"),
            at: Timestamp(at),
            took: Duration::from_millis(at - began),
            period: Duration::from_secs(5),
            result: Err(Fault::new(FaultKind::Silent, "no")),
        }
    }

    fn known(at: u64) -> Sighting {
        Sighting {
            result: Ok(crate::domain::Reading {
                health: crate::domain::Health::Good,
                summary: Clean::from("well"),
                measures: Vec::new(),
                detail: crate::domain::Detail::None,
            }),
            ..sighting(SourceKind::Containers, at, at)
        }
    }

    fn waiting() -> Waiting {
        let mut waiting = Waiting::default();
        waiting.expect(SourceId::new(SourceKind::Containers, "x"));
        waiting.expect(SourceId::new(SourceKind::Traffic, "x"));
        waiting
    }

    #[test]
    fn a_rate_is_made_of_two_looks_that_began_after_the_containers_were_known() {
        let (mut waiting, now) = (waiting(), Instant::now());
        assert!(
            waiting
                .take(&sighting(SourceKind::Traffic, 0, 10), now)
                .is_empty()
        );
        assert_eq!(
            waiting.take(&known(100), now).len(),
            1,
            "it is looked at again"
        );
        waiting.take(&sighting(SourceKind::Traffic, 50, 120), now);
        assert_eq!(waiting.next(), None, "that look began too early");
        waiting.take(&sighting(SourceKind::Traffic, 130, 140), now);
        assert_eq!(waiting.next(), Some(now + RATE_SPAN));
        assert!(waiting.due(now, Timestamp(200)).is_empty());
        assert_eq!(waiting.due(now + RATE_SPAN, Timestamp(1400)).len(), 1);
        assert!(!waiting.is_over());
        waiting.take(&sighting(SourceKind::Traffic, 1400, 1410), now);
        assert!(waiting.is_over());
    }

    #[test]
    fn without_containers_one_look_tells_all() {
        let (mut waiting, now) = (waiting(), Instant::now());
        waiting.take(&sighting(SourceKind::Containers, 0, 10), now);
        waiting.take(&sighting(SourceKind::Traffic, 20, 30), now);
        assert!(waiting.is_over());
    }
}
