//! `quarterdeck train`: a practice range and the console on it, in one process, on machines with no engine at all.
//!
//! Nothing that is configured for a real stack is used here: the engine, the endpoints and the files are the range's own.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr};

use crate::config::{Config, Env, Flags, Paths};
use crate::domain::Clean;
use crate::range::scenario;
use crate::shell::console::{self, ConsoleOptions};
use crate::shell::look::user_name;
use crate::shell::training::menu::{self, Choice};
use crate::shell::training::{Course, Folder, Trainer, records};
use crate::shell::watches::engine_of;

use super::instruct;
use super::range::{any_seed, refuse, speed};
use super::{EXIT_CONFIG, EXIT_USAGE};

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Name of a scenario, or a file of one; without it there is a menu
    scenario: Option<String>,
    /// Print the scenarios there are
    #[arg(long, conflicts_with_all = ["scenario", "history"])]
    list: bool,
    /// Print what past trainings came to
    #[arg(long, conflicts_with = "scenario")]
    history: bool,
    /// Form of the history
    #[arg(
        long,
        value_name = "FORM",
        default_value = "text",
        requires = "history"
    )]
    format: Format,
    /// Instruct: let faults begin in the training that runs in another terminal, and see what is done
    #[arg(long, conflicts_with_all = ["list", "history", "seed", "speed"])]
    instructor: bool,
    /// With --instructor: where a range is served [default: the training of yours that runs]
    #[arg(long, value_name = "DIR", requires = "instructor")]
    dir: Option<PathBuf>,
    /// Chance begins here: the same seed gives the same training [default: another one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Seconds of the training in one of ours
    #[arg(long, value_name = "X", default_value = "1", value_parser = speed)]
    speed: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Md,
    Json,
}

/// What every command is called with, as far as a training understands it.
pub(super) struct Around<'a> {
    pub flags: &'a Flags,
    pub env: &'a Env,
    pub here: &'a Path,
    pub slow_link: bool,
    pub colorless: bool,
}

pub(super) fn run(ask: &Ask, around: &Around<'_>) -> Result<ExitCode> {
    let paths = Paths::new(around.env, around.here);
    if ask.list {
        return put(&list());
    }
    if ask.history {
        return history(&paths, ask.format);
    }
    if ask.instructor {
        return instruct::run(ask.dir.as_deref(), ask.scenario.as_deref(), &paths);
    }
    if around.flags.host.is_some() || around.flags.config.is_some() {
        let text = "a training brings its own stack: leave out --host and --config";
        return Ok(refuse(text, EXIT_USAGE));
    }
    let folder = Folder::new(&paths)?;
    let name = match &ask.scenario {
        Some(name) => name.clone(),
        None => match chosen(&folder, around)? {
            Ok(id) => id.to_owned(),
            Err(code) => return Ok(code),
        },
    };
    let scenario = match scenario::load(&name) {
        Ok(scenario) => scenario,
        Err(error) => return Ok(refuse(&error.to_string(), EXIT_USAGE)),
    };
    let course = Course {
        scenario,
        seed: ask.seed.unwrap_or_else(any_seed),
        speed: ask.speed,
    };
    loop {
        let (code, trainer) = match train(&course, &folder, &paths, around)? {
            Ok(played) => played,
            Err(code) => return Ok(code),
        };
        if trainer.wants_again() {
            continue;
        }
        if let Some(text) = trainer.debrief() {
            put(&cleaned(text))?;
        }
        return Ok(code);
    }
}

/// One attempt.
fn train(
    course: &Course,
    folder: &Folder,
    paths: &Paths,
    around: &Around<'_>,
) -> Result<Result<(ExitCode, Trainer), ExitCode>> {
    let records = paths.state_dir.as_ref();
    let records = records.map(|dir| (dir.join("training.jsonl"), user_name(around.env)));
    let trainer = Trainer::start(course.clone(), &folder.range(), records)?;
    let flags = Flags {
        config: Some(trainer.config_path()),
        // Said once more, where it goes before everything that is configured.
        host: Some(trainer.engine()),
        ..around.flags.clone()
    };
    let config = match configured(&flags, around) {
        Ok(config) => config,
        Err(code) => return Ok(Err(code)),
    };
    let options = ConsoleOptions {
        slow_link: around.slow_link,
        colorless: around.colorless,
        ..ConsoleOptions::default()
    };
    let engine = engine_of(&config);
    console::train(&config, around.env, engine, &options, trainer).map(Ok)
}

fn configured(flags: &Flags, around: &Around<'_>) -> Result<Config, ExitCode> {
    Config::load(flags, around.env, around.here).map_err(|error| {
        // An error of this kind is made of cleaned lines.
        eprintln!("{error}");
        ExitCode::from(EXIT_CONFIG)
    })
}

fn chosen(folder: &Folder, around: &Around<'_>) -> Result<Result<&'static str, ExitCode>> {
    // How the screen looks comes from flags and environment; a real stack's configuration is none of its business.
    let empty = folder.path().join("menu.toml");
    std::fs::write(&empty, "# Nothing is configured in a menu.\n")
        .wrap_err_with(|| format!("cannot write {}", empty.display()))?;
    let flags = Flags {
        config: Some(empty),
        ..around.flags.clone()
    };
    let config = match configured(&flags, around) {
        Ok(config) => config,
        Err(code) => return Ok(Err(code)),
    };
    Ok(match menu::choose(&config, around.env, around.colorless)? {
        Ok(Choice::Scenario(id)) => Ok(id),
        Ok(Choice::Leave(code)) => Err(ExitCode::from(code)),
        Err(refusal) => {
            eprintln!("quarterdeck: {refusal}; `quarterdeck train --list` prints the scenarios");
            Err(ExitCode::from(refusal.exit_code()))
        }
    })
}

fn list() -> String {
    let menu = menu::menu();
    let width = menu.entries.iter().map(|e| e.id.len()).max().unwrap_or(0);
    let lines = menu.entries.iter().map(|entry| {
        format!(
            "{:<width$}  {:<13}  {}\n{:<width$}  {:<13}  {}\n",
            entry.id, entry.difficulty, entry.title, "", "", entry.teaches
        )
    });
    lines.collect()
}

fn history(paths: &Paths, format: Format) -> Result<ExitCode> {
    let Some(dir) = &paths.state_dir else {
        return Ok(refuse(
            "there is no home, so no training was kept",
            EXIT_CONFIG,
        ));
    };
    let (all, problems) = records::read(&dir.join("training.jsonl"))?;
    for problem in problems {
        eprintln!("quarterdeck: passed over {}", Clean::line(&problem));
    }
    put(&match format {
        Format::Text => records::text(&all),
        Format::Md => records::markdown(&all),
        Format::Json => records::json(&all)?,
    })
}

fn cleaned(text: &str) -> String {
    /// A debrief is two pages.
    const LINES_MAX: usize = 500;
    let lines = Clean::lines(text, LINES_MAX);
    lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}

/// Writes all of it at once. A reader that has gone is no error.
pub(super) fn put(text: &str) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).wrap_err("cannot write to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_scenario_and_what_it_teaches() {
        let text = list();
        for (id, _) in scenario::SHIPPED {
            let scenario = scenario::load(id).unwrap();
            assert!(
                text.contains(id) && text.contains(&scenario.title),
                "{text}"
            );
            assert!(
                text.contains(Clean::line(&scenario.teaches).as_str()),
                "{text}"
            );
        }
    }
}
