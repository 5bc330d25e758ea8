//! `quarterdeck train --instructor`: a second terminal beside a training, for the person who teaches.
//!
//! Plain lines, no screen: they can be typed with one hand, piped from a prepared lesson, and kept as a record of it.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use color_eyre::eyre::{Result, WrapErr};

use super::inject::{fault, inject, list, place, status, tell};
use super::range::refuse;
use super::{EXIT_UNREACHABLE, EXIT_USAGE};
use crate::config::Paths;
use crate::range::scenario::{self, Fault, SHIPPED};

/// A line that is longer was not typed.
const LINE_BYTES_MAX: u64 = 1_000;
const HELP: &str = "Write a fault by number or name, with its target: `1 server-2`, `engine-hangs`.
  scenario NAME  all faults of a scenario, now
  list           the faults and scenarios there are
  Enter          how it stands: what you let begin, what was done
  quit           leave; the training goes on
";

pub(super) fn run(dir: Option<&Path>, wanted: Option<&str>, paths: &Paths) -> Result<ExitCode> {
    let dir = match place(dir, paths) {
        Ok(dir) => dir,
        Err(text) => return Ok(refuse(&text, EXIT_UNREACHABLE)),
    };
    let Ok(stands) = status(&dir) else {
        let text = format!("no range answers in {}", dir.display());
        return Ok(refuse(&text, EXIT_UNREACHABLE));
    };
    if let Some(wanted) = wanted {
        match scenario::load(wanted) {
            Ok(wanted) if stands.starts_with(&format!("{}: ", wanted.title)) => {}
            Ok(_) => {
                let runs = stands.split(": ").next().unwrap_or_default();
                let text =
                    format!("another scenario runs: {runs}; leave the name out to instruct it");
                return Ok(refuse(&text, EXIT_USAGE));
            }
            Err(error) => return Ok(refuse(&error.to_string(), EXIT_USAGE)),
        }
    }
    tell(&format!("{}\n{HELP}\n{stands}", menu()))?;
    converse(&dir)
}

fn converse(dir: &Path) -> Result<ExitCode> {
    let mut input = io::stdin().lock();
    loop {
        prompt()?;
        let mut line = String::new();
        let read = input
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_line(&mut line)
            .wrap_err("cannot read what is typed")?;
        if read == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = match words.as_slice() {
            ["quit" | "q" | "exit"] => return Ok(ExitCode::SUCCESS),
            ["list" | "help" | "?"] => Ok(format!("{}\n{HELP}", menu())),
            [] | ["status"] => status(dir),
            ["scenario", name] => match faults_of(name) {
                Ok(faults) => all(dir, &faults)?,
                Err(text) => Ok(text),
            },
            [name] => one(dir, name, None)?,
            [name, target] => one(dir, name, Some(target))?,
            _ => Ok("a fault, and its target; `list` shows them\n".to_owned()),
        };
        let Ok(text) = said else {
            tell("the training has ended\n")?;
            return Ok(ExitCode::SUCCESS);
        };
        tell(&text)?;
    }
}

fn prompt() -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(b"instructor> ")
        .and_then(|()| out.flush())
        .wrap_err("cannot write to standard output")
}

fn one(dir: &Path, name: &str, target: Option<&str>) -> Result<io::Result<String>> {
    match fault(name, target) {
        Ok(fault) => inject(dir, &fault),
        Err(text) => Ok(Ok(format!("{text}\n"))),
    }
}

/// All of them now: what a scenario spreads over minutes, an instructor times by hand.
fn all(dir: &Path, faults: &[Fault]) -> Result<io::Result<String>> {
    let mut said = String::new();
    for fault in faults {
        match inject(dir, fault)? {
            Ok(text) => said.push_str(&text),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(said))
}

fn faults_of(name: &str) -> Result<Vec<Fault>, String> {
    match SHIPPED.iter().find(|(id, _)| *id == name) {
        Some((id, _)) => scenario::load(id)
            .map(|scenario| {
                scenario
                    .faults
                    .into_iter()
                    .map(|timed| timed.what)
                    .collect()
            })
            .map_err(|error| format!("{error}\n")),
        None => Err(format!(
            "there is no scenario `{name}`; `list` names them\n"
        )),
    }
}

fn menu() -> String {
    let names: Vec<&str> = SHIPPED.iter().map(|(id, _)| *id).collect();
    format!("{}Scenarios: {}\n", list(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_faults_that_can_be_let_begin_by_hand() {
        for (id, _) in SHIPPED {
            let faults = faults_of(id).unwrap();
            assert!(!faults.is_empty() || *id == "calm", "{id}");
            assert!(menu().contains(id));
        }
        assert!(faults_of("meteor").unwrap_err().contains("no scenario"));
    }
}
