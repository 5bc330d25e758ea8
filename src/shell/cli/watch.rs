//! `quarterdeck watch`: a line for each change, for a terminal that scrolls, a file or a script.
//!
//! A change is a subject that turns to another health, a finding that comes or goes, and what the engine says has
//! happened. The last line is no summary: the exit code is.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr};
use std::io::{self, ErrorKind, Write};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Call, session, span};
use crate::config::Config;
use crate::domain::{Board, EngineEvent, Timestamp};
use crate::link::docker::Engine;
use crate::report;
use crate::shell::changes::{Change, Seen, changes, happening};
use crate::shell::clock::Clock;
use crate::shell::collect::{PATIENCE, runtime, subject, unseen};
use crate::shell::proofs;
use crate::shell::watches::{Streams, Watches, engine_of};

/// What grows old is looked for this often.
const TICK: Duration = Duration::from_secs(1);
const EXIT_INTERRUPTED: u8 = 130;
const EXIT_TERMINATED: u8 = 143;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Lines for people (the default)
    #[arg(long, conflicts_with = "jsonl")]
    plain: bool,
    /// One JSON document a line
    #[arg(long)]
    jsonl: bool,
    /// End after this time, such as `10m`; without it, at a signal
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    span: Option<Duration>,
}

/// Why the watch ended.
enum End {
    Signal(u8),
    /// The time is over, or nobody reads any more.
    State(u8),
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let form = if ask.jsonl { Form::Json } else { Form::Plain };
    let engine = engine_of(&config);
    let runtime = runtime()?;
    let end = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt()).wrap_err("cannot listen for an interrupt")?,
            signal(SignalKind::terminate()).wrap_err("cannot listen for a request to end")?,
        );
        tokio::select! {
            _ = interrupt.recv() => Ok(End::Signal(EXIT_INTERRUPTED)),
            _ = terminate.recv() => Ok(End::Signal(EXIT_TERMINATED)),
            code = follow(&config, &engine, call.project.as_deref(), ask.span, form) => code.map(End::State),
        }
    });
    runtime.shutdown_background();
    Ok(ExitCode::from(match end? {
        End::Signal(code) | End::State(code) => code,
    }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Json,
}

/// Watches until `span` is over or nobody reads; the exit code of the last state.
async fn follow(
    config: &Config,
    engine: &Engine,
    project: Option<&str>,
    span: Option<Duration>,
    form: Form,
) -> Result<u8> {
    let clock = Clock::start();
    let end = span.and_then(|span| Instant::now().checked_add(span));
    let mut teller = Teller {
        form,
        last: Seen::default(),
    };
    let code = |board: &Board| report::status(board, clock.now(), &session(config)).exit_code;
    let stack = match subject(config, engine, project, Instant::now() + PATIENCE, PATIENCE).await {
        Ok(stack) => Arc::new(stack),
        // Nothing to watch: that is the state, and it is told once.
        Err(fault) => {
            let board = unseen(engine, project, fault, clock.now());
            teller.state(&board, clock.now())?;
            return Ok(code(&board));
        }
    };
    let (watches, streams) = Watches::start(
        engine,
        &stack,
        config.prometheus_token.as_ref(),
        proofs::place(config),
        clock,
    );
    let Streams {
        mut sightings,
        mut happenings,
        batches: _batches,
    } = streams;
    let mut board = Board::new((*stack).clone());
    for (source, period) in &watches.expected {
        board.expect(source.clone(), *period, clock.now());
    }
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let read = tokio::select! {
            Some(sighting) = sightings.recv() => {
                board.take(sighting);
                teller.state(&board, clock.now())?
            }
            Some(event) = happenings.recv() => teller.happened(&event, clock.now())?,
            _ = tick.tick() => teller.state(&board, clock.now())?,
            () = until(end) => return Ok(code(&board)),
        };
        if !read {
            return Ok(code(&board));
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

struct Teller {
    form: Form,
    last: Seen,
}

impl Teller {
    /// Tells what differs from before; `false`: nobody reads any more.
    fn state(&mut self, board: &Board, now: Timestamp) -> Result<bool> {
        let (changes, seen) = changes(&self.last, board, now);
        self.last = seen;
        self.tell(&changes)
    }

    fn happened(&self, event: &EngineEvent, now: Timestamp) -> Result<bool> {
        self.tell(&[happening(event, now)])
    }

    fn tell(&self, changes: &[Change]) -> Result<bool> {
        let mut text = String::new();
        for change in changes {
            match self.form {
                Form::Plain => text.push_str(&change.plain()),
                Form::Json => text.push_str(&serde_json::to_string(change)?),
            }
            text.push('\n');
        }
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            result => result
                .wrap_err("cannot write to standard output")
                .map(|()| true),
        }
    }
}
