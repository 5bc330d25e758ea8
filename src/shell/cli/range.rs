//! `quarterdeck range`: a pretend production, served in the foreground until it is told to stop.
//!
//! Standard output carries one line, `ready DIR/quarterdeck.toml`, once every port is open. With that configuration each
//! other command works on the range as on a real stack.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use color_eyre::eyre::{Report, Result, WrapErr};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::domain::Clean;
use crate::range::scenario;
use crate::range::{Options, Range};

use super::EXIT_USAGE;
use crate::shell::training::control::Control;
use crate::shell::training::drivers;

/// One serves, one lets time run: a slow client never holds the world up.
const WORKERS: usize = 2;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Name of a scenario, or a file of one; `quarterdeck train --list` names them
    #[arg(default_value = "calm")]
    scenario: String,
    /// Where socket, certificates, backups and quarterdeck.toml are put
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Chance begins here: the same seed gives the same range [default: another one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Seconds of the range in one of ours
    #[arg(long, value_name = "X", default_value = "1", value_parser = speed)]
    speed: f64,
}

/// Serves until a signal ends it.
pub(super) fn run(ask: &Ask) -> Result<ExitCode> {
    let scenario = match scenario::load(&ask.scenario) {
        Ok(scenario) => scenario,
        Err(error) => return Ok(refuse(&error.to_string(), EXIT_USAGE)),
    };
    if is_served(&ask.dir) {
        let text = format!("a range is served in {} already", ask.dir.display());
        return Ok(refuse(&text, super::EXIT_CANNOT_CREATE));
    }
    let options = Options {
        scenario,
        dir: ask.dir.clone(),
        seed: ask.seed.unwrap_or_else(any_seed),
        speed: ask.speed,
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .wrap_err("cannot start the range")?
        .block_on(serve(options))
}

async fn serve(options: Options) -> Result<ExitCode> {
    // Before anything is opened: a signal in between would leave the socket behind.
    let mut ends = Ends::listen()?;
    let intro = introduction(&options);
    let range = match Range::start(options).await {
        Ok(range) => range,
        Err(error) => {
            eprintln!("{}", crate::shell::sanitised(&Report::new(error)));
            return Ok(ExitCode::from(super::EXIT_CANNOT_CREATE));
        }
    };
    eprintln!("{intro}");
    let served = until_ended(&mut ends, &range).await;
    drivers::end(range.dir()).await;
    range.stop().await;
    served.map(|()| ExitCode::SUCCESS)
}

async fn until_ended(ends: &mut Ends, range: &Range) -> Result<()> {
    let control = Control::open(range.dir())?;
    let desk = range.desk();
    say_ready(&range.config_path())?;
    tokio::select! {
        () = ends.next() => {}
        () = control.serve(&desk) => {}
    }
    Ok(())
}

fn introduction(options: &Options) -> Clean {
    Clean::line(&format!(
        "quarterdeck: practice range, nothing here is production: {} (seed {}, speed {}); Ctrl-C ends it",
        options.scenario.title, options.seed, options.speed
    ))
}

fn say_ready(config: &Path) -> Result<()> {
    let line = Clean::line(&format!("ready {}", config.display()));
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .wrap_err("cannot say that the range is ready")
}

/// Somebody answers at the socket of this folder.
fn is_served(dir: &Path) -> bool {
    UnixStream::connect(dir.join("docker.sock")).is_ok()
}

pub(super) fn refuse(text: &str, code: u8) -> ExitCode {
    /// Problems of one scenario file.
    const LINES_MAX: usize = 50;
    for line in Clean::lines(text, LINES_MAX) {
        eprintln!("quarterdeck: {line}");
    }
    ExitCode::from(code)
}

/// A seed that nobody chose.
pub(super) fn any_seed() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // Small enough to be typed.
    u64::from(since.subsec_micros())
}

pub(super) fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=1_000.0).contains(&speed) => Ok(speed),
        _ => Err("expected a number between 0.1 and 1000".to_owned()),
    }
}

/// The signals that end a server in the foreground.
pub(super) struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Ends {
    pub(super) fn listen() -> Result<Self> {
        let on = |kind| signal(kind).wrap_err("cannot listen for signals");
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::{Config, Env, Flags};
    use crate::domain::{Board, Finding, Health, SourceKind, Timestamp};
    use crate::range::scenario::Scenario;
    use crate::shell::clock::Clock;
    use crate::shell::watches::{Watches, engine_of};

    /// Nothing here takes longer on a busy machine.
    const PATIENCE: Duration = Duration::from_mins(1);

    async fn start(scenario: Scenario, speed: f64) -> (Range, Config, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            scenario,
            dir: dir.path().join("range"),
            seed: 7,
            speed,
        };
        let range = Range::start(options).await.unwrap();
        let flags = Flags {
            config: Some(range.config_path()),
            ..Flags::default()
        };
        let config = Config::load(&flags, &Env::default(), dir.path()).unwrap();
        (range, config, dir)
    }

    /// Watches the range until the board fits; says what it saw when it never does.
    async fn watch(
        config: &Config,
        fits: impl Fn(&Board, Timestamp) -> bool,
    ) -> (Board, Timestamp) {
        let clock = Clock::start();
        let stack = Arc::new(config.stack.clone().unwrap());
        let (watches, mut streams) = Watches::start(&engine_of(config), &stack, None, None, clock);
        let mut board = Board::new((*stack).clone());
        for (source, period) in &watches.expected {
            board.expect(source.clone(), *period, clock.now());
        }
        let began = Instant::now();
        loop {
            let seen: BTreeMap<String, String> = board
                .sources
                .iter()
                .map(|(id, watched)| {
                    let health = watched.health(clock.now()).word();
                    let said = watched.reading().map(|r| r.summary.to_string());
                    let fault = watched.fault.as_ref().map(|f| f.1.text.to_string());
                    (id.to_string(), format!("{health} {said:?} {fault:?}"))
                })
                .collect();
            assert!(
                began.elapsed() < PATIENCE,
                "never; the sources are {seen:#?}"
            );
            let wait = tokio::time::timeout(Duration::from_secs(1), streams.sightings.recv());
            if let Ok(Some(sighting)) = wait.await {
                board.take(sighting);
            }
            if fits(&board, clock.now()) {
                return (board, clock.now());
            }
        }
    }

    /// Everything has been seen, and nothing is to be said but that no backup of a new stack was ever restored.
    fn all_are_well(board: &Board, now: Timestamp) -> bool {
        let is_known = |finding: &Finding| {
            let is_backup = finding.source.kind == SourceKind::Backup
                && finding.health == Health::Poor
                && finding.text.contains("restored");
            // The host is the one that tests; its disk is not the range's.
            is_backup || finding.source.kind == SourceKind::Host
        };
        board.findings(now).iter().all(is_known)
            && board.sources.values().all(|watched| watched.last.is_some())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_a_calm_day_every_source_is_seen_and_well() {
        let (range, config, _dir) = start(Scenario::calm(), 1.0).await;
        let (board, _) = watch(&config, all_are_well).await;
        assert_eq!(
            board.stack.environment,
            crate::domain::Environment::Training
        );
        assert!(board.sources.len() >= 10, "{:?}", board.sources.keys());
        range.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_replica_that_dies_is_the_one_that_is_named() {
        let scenario = scenario::load("replica-dies").unwrap();
        let sign_ms = scenario.shown_at_s() * 1_000.0;
        let (range, config, _dir) = start(scenario, 3.0).await;
        watch(&config, all_are_well).await;
        assert!(
            range.timeline().entries.is_empty(),
            "all was seen to be well before the fault"
        );
        let (board, now) = watch(&config, |board, now| {
            board.findings(now).iter().any(|f| f.about == "server-2")
        })
        .await;
        // The world shows it until then; the console looks every few seconds, which the speed multiplies.
        let late = sign_ms + 30_000.0;
        let at = range.now_ms();
        assert!(f64::from(u32::try_from(at).unwrap()) < late, "{at} ms");
        let findings = board.findings(now);
        let dead = findings.iter().find(|f| f.about == "server-2").unwrap();
        assert_eq!(dead.health, Health::Bad, "{findings:?}");
        assert!(
            !findings
                .iter()
                .any(|f| f.about == "server-1" || f.about == "server-3"),
            "{findings:?}"
        );
        range.stop().await;
    }

    #[test]
    fn a_speed_is_a_number_within_bounds() {
        assert_eq!(speed("2.5"), Ok(2.5));
        for wrong in ["", "0", "-1", "1001", "NaN", "inf", "fast"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }
}
