//! `quarterdeck record`: what the watches see, into a file, until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Report, Result};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::range::{Ends, refuse};
use super::{Call, EXIT_CANNOT_CREATE, exit_of, say, span};
use crate::app::Event;
use crate::domain::{Clean, ContainerId, Detail, Sighting, Stack};
use crate::shell::backstage::told;
use crate::shell::clock::Clock;
use crate::shell::collect::{PATIENCE, runtime, subject};
use crate::shell::proofs;
use crate::shell::recording::{BYTES_MAX, End, Header, LINES_MAX, RecordError, Recorder, Room};
use crate::shell::watches::{Streams, Watches, engine_of};

/// After a kill, no more than this is missing.
const FLUSH: Duration = Duration::from_secs(1);
/// Logs are followed of so many containers, and usage is asked for of so many: as many as a console looks at.
const FOLLOWED_MAX: usize = 64;
const WANTED_MAX: usize = 128;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The file to write; it must not be there yet
    file: PathBuf,
    /// End after this time, such as `10m`; without it, at Ctrl-C
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    span: Option<Duration>,
    /// Leave the containers' logs out
    #[arg(long)]
    without_logs: bool,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    if ask.file.symlink_metadata().is_ok() {
        let there = RecordError::Exists(ask.file.clone());
        return Ok(refuse(&there.to_string(), EXIT_CANNOT_CREATE));
    }
    let engine = engine_of(&config);
    let runtime = runtime()?;
    let recorded = runtime.block_on(async {
        let mut ends = Ends::listen()?;
        let clock = Clock::start();
        let patient_until = Instant::now() + PATIENCE;
        let search = subject(
            &config,
            &engine,
            call.project.as_deref(),
            patient_until,
            PATIENCE,
        );
        let stack = tokio::select! {
            stack = search => stack,
            () = ends.next() => return Ok(ExitCode::SUCCESS),
        };
        let stack = match stack {
            Ok(stack) => Arc::new(stack),
            Err(fault) => {
                say(&format!("nothing to record: {fault}"));
                return Ok(exit_of(&fault));
            }
        };
        let token = config.prometheus_token.as_ref();
        let watching = Watches::start(&engine, &stack, token, proofs::place(&config), clock);
        let scene = Scene {
            ask,
            stack: &stack,
            clock,
        };
        match scene.record(watching, &mut ends).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                eprintln!("{}", crate::shell::sanitised(&Report::new(error)));
                Ok(ExitCode::from(EXIT_CANNOT_CREATE))
            }
        }
    });
    runtime.shutdown_background();
    recorded
}

struct Scene<'a> {
    ask: &'a Ask,
    stack: &'a Stack,
    clock: Clock,
}

impl Scene<'_> {
    async fn record(
        &self,
        (watches, streams): (Watches, Streams),
        ends: &mut Ends,
    ) -> Result<(), RecordError> {
        let host = rustix::system::uname();
        let header = Header::new(
            self.stack.clone(),
            watches.expected.clone(),
            Clean::bytes(host.nodename().to_bytes()),
            self.clock.now(),
        );
        let file = &self.ask.file;
        let mut recorder = Recorder::create(file, &header)?;
        say(&format!(
            "recording {} into {}; Ctrl-C ends it",
            self.stack.name,
            file.display()
        ));
        let why = self
            .until_ended(&mut recorder, &watches, streams, ends)
            .await?;
        let (lines, bytes) = recorder.size();
        recorder.end(self.clock.now(), why)?;
        if why == End::Full {
            say(&format!(
                "the recording is full ({LINES_MAX} lines or {BYTES_MAX} bytes at most) and ended; record the rest into another file"
            ));
        }
        say(&format!(
            "recorded {lines} lines, {bytes} bytes before compression; quarterdeck replay {} plays them",
            file.display()
        ));
        Ok(())
    }

    async fn until_ended(
        &self,
        recorder: &mut Recorder,
        watches: &Watches,
        streams: Streams,
        ends: &mut Ends,
    ) -> Result<End, RecordError> {
        let Streams {
            mut sightings,
            mut happenings,
            mut batches,
        } = streams;
        let end = self.ask.span.and_then(|s| Instant::now().checked_add(s));
        let mut flush = interval(FLUSH);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                () = ends.next() => return Ok(End::Asked),
                () = until(end) => return Ok(End::Time),
                Some(sighting) = sightings.recv() => {
                    self.follow(watches, &sighting);
                    Some(Event::Sighted(Box::new(sighting)))
                }
                Some(happened) = happenings.recv() => told(happened),
                Some(lines) = batches.recv() => Some(Event::Logged(lines)),
                _ = flush.tick() => None,
            };
            let now = self.clock.now();
            let room = match event {
                Some(event) => recorder.take(now, event)?,
                None => recorder.beat(now)?,
            };
            if room == Room::Full {
                return Ok(End::Full);
            }
        }
    }

    /// Asks for the logs and the usage of what is there: nobody looks at a screen that would.
    fn follow(&self, watches: &Watches, sighting: &Sighting) {
        let Ok(reading) = &sighting.result else {
            return;
        };
        let Detail::Containers(containers) = &reading.detail else {
            return;
        };
        let all = containers.all.iter();
        let ids: Vec<ContainerId> = all
            .filter(|container| self.stack.matters(&container.service))
            .map(|container| container.id.clone())
            .take(WANTED_MAX)
            .collect();
        if !self.ask.without_logs {
            let followed = ids.iter().take(FOLLOWED_MAX).cloned().collect();
            replace(&watches.follow, followed);
        }
        replace(&watches.want_usage, ids);
    }
}

fn replace(sender: &tokio::sync::watch::Sender<Vec<ContainerId>>, ids: Vec<ContainerId>) {
    sender.send_if_modified(|now| {
        let changed = *now != ids;
        *now = ids;
        changed
    });
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
