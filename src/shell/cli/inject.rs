//! `quarterdeck inject`: an instructor lets a fault begin in a range or a training that runs, while others watch it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr};

use super::range::refuse;
use super::{Call, EXIT_UNREACHABLE, EXIT_USAGE};
use crate::config::Paths;
use crate::domain::Clean;
use crate::range::scenario::{Fault, REPLICAS};
use crate::shell::training::control::{self, call};

/// What a range has to say is a page.
const LINES_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Where the range is served [default: the training of yours that runs]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The fault; without it, the faults there are and how the range stands
    fault: Option<String>,
    /// The replica that it strikes, such as server-2
    target: Option<String>,
}

/// A fault as an instructor names it.
struct Kind {
    name: &'static str,
    help: &'static str,
    make: Make,
}

enum Make {
    At(fn(String) -> Fault),
    Alone(fn() -> Fault),
}

const fn at(name: &'static str, help: &'static str, make: fn(String) -> Fault) -> Kind {
    let make = Make::At(make);
    Kind { name, help, make }
}

const fn alone(name: &'static str, help: &'static str, make: fn() -> Fault) -> Kind {
    let make = Make::Alone(make);
    Kind { name, help, make }
}

const KINDS: &[Kind] = &[
    at("die", "killed by hand: no restart", |target| Fault::Die {
        target,
    }),
    at("slow", "answers 25 times slower", |target| Fault::Slow {
        target,
        factor: 25.0,
    }),
    at("errors", "fails three requests of ten", |target| {
        Fault::Errors { target, ratio: 0.3 }
    }),
    at("crash-loop", "ends 5 s after each start", |target| {
        Fault::CrashLoop {
            target,
            after_ms: 5_000,
        }
    }),
    at("leak", "grows by 4 MB a second", |target| Fault::Leak {
        target,
        mb_per_s: 4.0,
    }),
    at("limit-memory", "may use 128 MB only", |target| {
        Fault::LimitMemory { target, mb: 128 }
    }),
    at("disk-fill", "writes 120 MB a second", |target| {
        Fault::DiskFill {
            target,
            mb_per_s: 120.0,
        }
    }),
    at(
        "one-upstream",
        "the gateway knows this one only",
        |target| Fault::OneUpstream { target },
    ),
    alone(
        "certificate-expiring",
        "three days left, and no newer one",
        || Fault::Certificate {
            served_days: 3.0,
            disk_days: 3.0,
        },
    ),
    alone(
        "certificate-not-loaded",
        "three days left, a newer one on disk",
        || Fault::Certificate {
            served_days: 3.0,
            disk_days: 80.0,
        },
    ),
    alone("wrong-name", "the certificate names another host", || {
        Fault::WrongName {}
    }),
    alone("backup-truncated", "last night's dump is cut", || {
        Fault::BackupTruncated {}
    }),
    alone("backup-missing", "no dump for two nights", || {
        Fault::BackupMissing { nights: 2 }
    }),
    alone("redis-read-only", "redis refuses writes", || {
        Fault::RedisReadOnly {}
    }),
    alone("scrape-stalls", "prometheus stops scraping", || {
        Fault::ScrapeStalls {}
    }),
    alone(
        "engine-hangs",
        "the engine takes calls and says nothing",
        || Fault::EngineHangs {},
    ),
    alone("engine-refuses", "the engine refuses connections", || {
        Fault::EngineRefuses {}
    }),
    alone("engine-returns", "the engine is back", || {
        Fault::EngineReturns {}
    }),
];

/// Asks the range that is served in a folder, or the training that runs.
pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let dir = place(ask.dir.as_deref(), &Paths::new(&call.env, &call.here));
    let Some(name) = &ask.fault else {
        let said = match dir {
            Ok(dir) => status(&dir)
                .unwrap_or_else(|_| format!("no range is served in {}\n", dir.display())),
            Err(text) => format!("{text}\n"),
        };
        return tell(&format!("{}\n{said}", list()));
    };
    let dir = match dir {
        Ok(dir) => dir,
        Err(text) => return Ok(refuse(&text, EXIT_UNREACHABLE)),
    };
    let fault = match fault(name, ask.target.as_deref()) {
        Ok(fault) => fault,
        Err(text) => return Ok(refuse(&text, EXIT_USAGE)),
    };
    match inject(&dir, &fault)? {
        Ok(text) => tell(&text),
        Err(error) => {
            let text = format!("no range answers in {}: {error}", dir.display());
            Ok(refuse(&text, EXIT_UNREACHABLE))
        }
    }
}

/// The folder that was named, or that of the one training that runs.
pub(super) fn place(named: Option<&Path>, paths: &Paths) -> Result<PathBuf, String> {
    if let Some(dir) = named {
        return Ok(dir.to_owned());
    }
    let mut running = control::running(paths);
    match (running.pop(), running.is_empty()) {
        (Some(dir), true) => Ok(dir),
        (None, _) => Err(
            "no training of yours runs; start one with `quarterdeck train` in another terminal, or name a range with --dir"
                .to_owned(),
        ),
        (Some(last), false) => {
            running.push(last);
            let dirs: Vec<String> = running.iter().map(|dir| dir.display().to_string()).collect();
            Err(format!("several trainings run; name one with --dir: {}", dirs.join(" ")))
        }
    }
}

/// How the range stands, what was let begin, and what was done.
pub(super) fn status(dir: &Path) -> std::io::Result<String> {
    call(dir, "status\n")
}

/// Lets a fault begin; the range's own words for it.
pub(super) fn inject(dir: &Path, fault: &Fault) -> Result<std::io::Result<String>> {
    let line = serde_json::to_string(fault).wrap_err("cannot write the fault as JSON")?;
    Ok(call(dir, &format!("inject {line}\n")))
}

/// The faults there are, numbered.
pub(super) fn list() -> String {
    let lines = KINDS.iter().enumerate().map(|(n, kind)| {
        let target = match kind.make {
            Make::At(_) => "TARGET",
            Make::Alone(_) => "",
        };
        format!("{:>2} {:<23} {target:<7} {}\n", n + 1, kind.name, kind.help)
    });
    let lines: Vec<String> = lines.collect();
    format!(
        "{}TARGET is one of {}\n",
        lines.concat(),
        REPLICAS.join(", ")
    )
}

/// The fault of this name, or of this number in the list.
pub(super) fn fault(name: &str, target: Option<&str>) -> Result<Fault, String> {
    let number = name.parse::<usize>().ok();
    let at_number = number.and_then(|n| KINDS.get(n.checked_sub(1)?));
    let Some(kind) = at_number.or_else(|| KINDS.iter().find(|kind| kind.name == name)) else {
        return Err(format!(
            "there is no fault `{name}`; without one, they are listed"
        ));
    };
    match (&kind.make, target) {
        (Make::At(make), Some(target)) if REPLICAS.contains(&target) => Ok(make(target.to_owned())),
        (Make::At(_), _) => Err(format!(
            "`{}` strikes one of {}",
            kind.name,
            REPLICAS.join(", ")
        )),
        (Make::Alone(make), None) => Ok(make()),
        (Make::Alone(_), Some(_)) => Err(format!("`{}` takes no target", kind.name)),
    }
}

pub(super) fn tell(text: &str) -> Result<ExitCode> {
    let lines = Clean::lines(text, LINES_MAX);
    let text: String = lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect();
    super::train::put(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_can_be_named_and_is_taken_as_it_is_sent() {
        for kind in KINDS {
            let target = match kind.make {
                Make::At(_) => Some("server-2"),
                Make::Alone(_) => None,
            };
            let made = fault(kind.name, target).unwrap();
            let sent = serde_json::to_string(&made).unwrap();
            assert_eq!(serde_json::from_str::<Fault>(&sent).unwrap(), made);
            assert!(list().contains(kind.name));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (name, target) in [
            ("melt", None),
            ("die", None),
            ("die", Some("server-9")),
            ("engine-hangs", Some("server-1")),
        ] {
            assert!(fault(name, target).is_err(), "{name} {target:?}");
        }
    }
}
