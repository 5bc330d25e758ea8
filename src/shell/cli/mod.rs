//! The command line: what can be asked, and who answers. One file per subcommand.
//!
//! Standard output carries what was asked for, standard error what there is to say about it. Everything from outside
//! is `Clean` before it is written, so that a terminal, a file and a script may read the same bytes.

mod apply;
mod begin;
pub(super) mod checklist;
mod completions;
mod config;
mod doctor;
mod driver;
mod follow;
mod init;
mod inject;
mod instruct;
pub(in crate::shell) mod journal;
mod lint;
mod lists;
mod man;
mod plan;
mod range;
mod record;
mod replay;
mod resume;
mod run;
mod runbook;
mod runs;
mod status;
mod train;
mod version;
mod watch;
mod word;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use color_eyre::eyre::{Result, WrapErr};

use crate::config::{Config, Env, Flags};
use crate::domain::{Clean, Fault, FaultKind, Timestamp};
use crate::journal::Code;
use crate::report::Session;

use super::collect;
use super::console::{self, ConsoleOptions, screen_named};
use super::watches::engine_of;

/// Nothing else is wrong with the call: `EX_CONFIG`.
const EXIT_CONFIG: u8 = 78;
/// `EX_USAGE`
const EXIT_USAGE: u8 = 64;
/// `EX_DATAERR`
const EXIT_UNREADABLE: u8 = 65;
/// `EX_NOINPUT`
const EXIT_NO_INPUT: u8 = 66;
/// `EX_UNAVAILABLE`
const EXIT_UNREACHABLE: u8 = 69;
/// `EX_CANTCREAT`
const EXIT_CANNOT_CREATE: u8 = 73;
/// `EX_NOPERM`
const EXIT_NOT_PERMITTED: u8 = 77;
/// A usage message is a page.
const USAGE_LINES_MAX: usize = 100;

/// A terminal console for the people who run a production stack.
#[derive(Debug, Parser)]
#[command(
    name = "quarterdeck",
    version,
    about,
    disable_help_subcommand = true,
    after_help = "Without a command the console opens; it needs a terminal."
)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Draw half as often, for a slow line
    #[arg(long)]
    slow_link: bool,
    /// Screen to begin with: overview, containers, traffic …
    #[arg(long, value_name = "NAME")]
    screen: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command understands.
#[derive(Debug, Args)]
struct Common {
    /// Configuration file [default: ./quarterdeck.toml, then the user's, then /etc/quarterdeck]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the engine: `unix:///path`, `tcp://host:port`, `ssh://user@host`
    #[arg(short = 'H', long, global = true, value_name = "ADDRESS")]
    host: Option<String>,
    /// Compose project to show when there is no configuration
    #[arg(short, long, global = true, value_name = "NAME")]
    project: Option<String>,
    /// Theme of the screen
    #[arg(long, global = true, value_name = "NAME")]
    theme: Option<String>,
    /// Signs and frames in plain ASCII
    #[arg(long, global = true)]
    ascii: bool,
    /// Show the time of this host instead of UTC
    #[arg(long, global = true)]
    local_time: bool,
    /// Colours on the screen
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How the stack is, on one page
    Status(status::Ask),
    /// Containers, their state and what they use
    Containers(lists::Ask),
    /// Requests by replica
    Traffic(lists::Ask),
    /// Certificates and their days left
    Certs(lists::Ask),
    /// Backups and their age
    Backups(lists::Ask),
    /// Go-live plans: list, import, show, sign
    Checklist(checklist::Ask),
    /// Print a line for each change
    Watch(watch::Ask),
    /// Look over this host, the engine and the configuration
    Doctor(doctor::Ask),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::Ask),
    /// Write a first quarterdeck.toml from what runs
    Init(init::Ask),
    /// Print completions for a shell
    Completions(completions::Ask),
    /// Print the manual page
    Man,
    /// Print the version
    Version(version::Ask),
    /// Practise on a pretend production, with the console
    Train(train::Ask),
    /// Serve a pretend production to practise on
    Range(range::Ask),
    /// Let a fault begin in a training or a range that runs
    Inject(inject::Ask),
    /// Write what the watches see into a file, to be replayed
    Record(record::Ask),
    /// Open the console on a recording
    Replay(replay::Ask),
    /// Show, verify, export the journal, or write a note into it
    #[command(subcommand)]
    Journal(journal::Ask),
    /// Show what a runbook would do here and now
    Plan(plan::Ask),
    /// Plan a runbook, have it confirmed, run it
    Run(run::Ask),
    /// Run a plan that was written to a file
    Apply(apply::Ask),
    /// Runs and how they stand
    Runs(runs::Ask),
    /// Take a run up again that nobody drives, or that is paused
    Resume(resume::Ask),
    /// Pause a run after the step under way
    Pause(word::Ask),
    /// End a run after the step under way; what was done stays
    Abort(word::Ask),
    /// Undo whatever a run has started, the last step first
    Undo(word::Ask),
    /// Say yes to a step that waits for anybody's yes
    Confirm(word::Ask),
    /// Say yes to another person's run
    Approve(word::Ask),
    /// Try the step again that failed or is in doubt
    Retry(word::Ask),
    /// Go on without the step that failed or is in doubt
    Skip(word::Ask),
    /// Say whether a step in doubt happened
    Answer(word::Answer),
    /// Drive a run: started by `run` and by the console
    #[command(hide = true)]
    Driver(driver::Ask),
    /// List the runbooks, or show one
    #[command(subcommand)]
    Runbook(runbook::Ask),
    /// Name every problem of runbooks
    Lint(lint::Ask),
}

/// How a report is wanted.
#[derive(Debug, Args)]
struct Form {
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    /// How long to wait for answers, such as `8s`
    #[arg(long, value_name = "SPAN", value_parser = patience, default_value = "8s")]
    timeout: Duration,
}

/// What a command is called with, beside its own arguments.
struct Call {
    flags: Flags,
    env: Env,
    here: PathBuf,
    project: Option<String>,
}

impl Arguments {
    /// Reads the command line. What is asked for instead (help, a usage error) is printed, and its exit code returned.
    pub fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            if error.use_stderr() {
                let text = error.render().to_string();
                for line in Clean::lines(&text, USAGE_LINES_MAX) {
                    eprintln!("{line}");
                }
                ExitCode::from(EXIT_USAGE)
            } else {
                // Nobody who closed the pipe wants to know.
                let _ = error.print();
                ExitCode::SUCCESS
            }
        })
    }
}

/// Runs what the command line asks for.
pub fn main(arguments: Arguments) -> Result<ExitCode> {
    let common = arguments.common;
    let colorless = common.color == Color::Never;
    let call = Call {
        flags: Flags {
            config: common.config,
            host: common.host,
            theme: common.theme,
            ascii: common.ascii,
            local_time: common.local_time,
        },
        env: Env::read(|name| std::env::var_os(name)),
        here: std::env::current_dir().wrap_err("cannot tell the working folder")?,
        project: common.project,
    };
    match arguments.command {
        None => console(&call, arguments.screen, arguments.slow_link, colorless),
        Some(Command::Status(ask)) => status::run(&call, &ask),
        Some(Command::Containers(ask)) => lists::run(&call, &ask, crate::report::containers),
        Some(Command::Traffic(ask)) => lists::run(&call, &ask, crate::report::traffic),
        Some(Command::Certs(ask)) => lists::run(&call, &ask, crate::report::certs),
        Some(Command::Backups(ask)) => lists::run(&call, &ask, crate::report::backups),
        Some(Command::Checklist(ask)) => checklist::run(&call, &ask),
        Some(Command::Watch(ask)) => watch::run(&call, &ask),
        Some(Command::Doctor(ask)) => doctor::run(&call, &ask),
        Some(Command::Config(ask)) => config::run(&call, &ask),
        Some(Command::Init(ask)) => init::run(&call, &ask),
        Some(Command::Completions(ask)) => completions::run(&ask),
        Some(Command::Man) => man::run(),
        Some(Command::Version(ask)) => version::run(&ask),
        Some(Command::Range(ask)) => range::run(&ask),
        Some(Command::Inject(ask)) => inject::run(&call, &ask),
        Some(Command::Record(ask)) => record::run(&call, &ask),
        Some(Command::Replay(ask)) => {
            let options = ConsoleOptions {
                slow_link: arguments.slow_link,
                colorless,
                ..ConsoleOptions::default()
            };
            replay::run(&call, &ask, &options)
        }
        Some(Command::Journal(ask)) => match call.config() {
            Ok(config) => journal::run(&config, &call.env, &ask),
            Err(code) => Ok(code),
        },
        Some(Command::Plan(ask)) => plan::run(&call, &ask),
        Some(Command::Run(ask)) => run::run(&call, &ask),
        Some(Command::Apply(ask)) => apply::run(&call, &ask),
        Some(Command::Runs(ask)) => runs::run(&call, &ask),
        Some(Command::Resume(ask)) => resume::run(&call, &ask),
        Some(Command::Pause(ask)) => word::run(&call, &ask, Code::DecisionPause),
        Some(Command::Abort(ask)) => word::run(&call, &ask, Code::DecisionAbort),
        Some(Command::Undo(ask)) => word::run(&call, &ask, Code::DecisionUndo),
        Some(Command::Confirm(ask)) => word::run(&call, &ask, Code::DecisionConfirm),
        Some(Command::Approve(ask)) => word::run(&call, &ask, Code::DecisionApprove),
        Some(Command::Retry(ask)) => word::run(&call, &ask, Code::DecisionRetry),
        Some(Command::Skip(ask)) => word::run(&call, &ask, Code::DecisionSkip),
        Some(Command::Answer(answer)) => word::answer_doubt(&call, &answer),
        Some(Command::Driver(ask)) => driver::run(&call, &ask),
        Some(Command::Runbook(ask)) => runbook::run(&call, &ask),
        Some(Command::Lint(ask)) => lint::run(&ask),
        Some(Command::Train(ask)) => {
            let around = train::Around {
                flags: &call.flags,
                env: &call.env,
                here: &call.here,
                slow_link: arguments.slow_link,
                colorless,
            };
            train::run(&ask, &around)
        }
    }
}

fn console(
    call: &Call,
    screen: Option<String>,
    slow_link: bool,
    colorless: bool,
) -> Result<ExitCode> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let screen = match screen.map(|word| screen_named(&word).ok_or(word)) {
        None => None,
        Some(Ok(screen)) => Some(screen),
        Some(Err(word)) => {
            say(&format!("there is no screen `{word}`; `--help` names some"));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let options = ConsoleOptions {
        project: call.project.clone(),
        screen,
        slow_link,
        colorless,
    };
    console::run(&config, &call.env, engine_of(&config), &options)
}

impl Call {
    /// The configuration; where there is none to be had, its problems are said, and the exit code returned.
    fn config(&self) -> Result<Config, ExitCode> {
        Config::load(&self.flags, &self.env, &self.here).map_err(|error| {
            // An error of this kind is made of cleaned lines.
            eprintln!("{error}");
            ExitCode::from(EXIT_CONFIG)
        })
    }

    /// Looks once at everything and makes a report of it.
    fn look<T>(
        &self,
        patience: Duration,
        report: impl FnOnce(&crate::domain::Board, Timestamp, &Session) -> T,
    ) -> Result<Result<T, ExitCode>> {
        let config = match self.config() {
            Ok(config) => config,
            Err(code) => return Ok(Err(code)),
        };
        let engine = engine_of(&config);
        let clock = super::clock::Clock::start();
        let (board, now) =
            collect::collect(&config, &engine, self.project.as_deref(), clock, patience)?;
        Ok(Ok(report(&board, now, &session(&config))))
    }
}

fn session(config: &Config) -> Session {
    Session {
        version: Clean::from(env!("CARGO_PKG_VERSION")),
        config: config
            .file
            .as_ref()
            .map(|path| Clean::line(&path.to_string_lossy())),
    }
}

/// Writes all of it at once. A reader that has gone is no error.
fn put(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.wrap_err("cannot write to standard output"),
    }
}

/// A message for people.
fn say(text: &str) {
    eprintln!("quarterdeck: {}", Clean::line(text));
}

/// A span such as `8s`, `10m`, `1h 30m`.
fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a span such as 30s, 10m or 1h"))?;
    if span.is_zero() {
        return Err("expected more than nothing".to_owned());
    }
    Ok(span)
}

/// Nobody waits longer for a page.
fn patience(text: &str) -> Result<Duration, String> {
    const PATIENCE_MAX: Duration = Duration::from_mins(5);
    match span(text)? {
        span if span > PATIENCE_MAX => Err("expected 5 minutes at most".to_owned()),
        span => Ok(span),
    }
}

/// What a command that cannot do without the engine ends with.
fn exit_of(fault: &Fault) -> ExitCode {
    ExitCode::from(match fault.kind {
        FaultKind::Denied => EXIT_NOT_PERMITTED,
        FaultKind::Misconfigured => EXIT_CONFIG,
        FaultKind::Name
        | FaultKind::Refused
        | FaultKind::Silent
        | FaultKind::Garbled
        | FaultKind::TooLarge
        | FaultKind::Unsupported
        | FaultKind::Missing
        | FaultKind::Broken => EXIT_UNREACHABLE,
    })
}

/// The command line as `clap` knows it, for completions and the manual.
fn definition() -> clap::Command {
    Arguments::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn flags_are_named_as_the_origins_of_settings_name_them() {
        let command = definition();
        let long: Vec<&str> = command
            .get_arguments()
            .filter_map(|a| a.get_long())
            .collect();
        for flag in ["config", "host", "theme", "ascii", "local-time", "project"] {
            assert!(long.contains(&flag), "--{flag} is missing in {long:?}");
        }
    }

    #[test]
    fn spans_have_units_and_ends() {
        assert_eq!(span("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "8", "0s", "-1s", "soon"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
        assert!(patience("1h").is_err());
    }
}
