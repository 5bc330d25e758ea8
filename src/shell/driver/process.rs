//! The driver as a process: detached from the terminal it was started at, and known by its name.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::config::{Config, Origin};
use crate::domain::Clean;
use crate::engine::{DriverId, RunId};
use crate::journal::Seq;
use crate::shell::stat::ProcessStat;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "driver";

/// Our own name: the host, its boot, the world of process numbers, our number and when we started.
pub fn own_id(boot_id: &str) -> DriverId {
    let pid = std::process::id();
    let started = started(pid).unwrap_or_default();
    let name = format!("{}/{}/{pid}/{started}", host(), place(boot_id));
    DriverId(Clean::from(name))
}

/// Whether this driver is known to be gone: it was on this host, in this boot and this world of process numbers, and no
/// process has its number and its start. Of every other nothing is known.
pub fn is_gone(driver: &DriverId) -> bool {
    gone(driver, &host(), &place(&boot_id()), started)
}

/// Signals this driver, if it is on this host and lives: the process that has its number and its start, never another
/// one that got the number later. Whether there was such a process.
pub fn signal(driver: &DriverId, signal: Signal) -> bool {
    let Some((pid, start)) = number_here(driver, &host(), &place(&boot_id())) else {
        return false;
    };
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    process
        .is_some_and(|process| started(pid) == Some(start) && kill_process(process, signal).is_ok())
}

fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn gone(driver: &DriverId, host: &str, place: &str, started: impl Fn(u32) -> Option<u64>) -> bool {
    number_here(driver, host, place).is_some_and(|(pid, start)| started(pid) != Some(start))
}

/// Its number and its start; `None`: it is of another host, boot or world of process numbers.
fn number_here(driver: &DriverId, host: &str, place: &str) -> Option<(u32, u64)> {
    let mut parts = driver.0.rsplitn(4, '/');
    let (start, pid) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (of, on) = (parts.next()?, parts.next()?);
    (on == host && of == place).then_some((pid, start))
}

fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Where a process number means something: one boot of one kernel, one namespace.
fn place(boot_id: &str) -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
    };
    let boot: String = digits(boot_id).chars().take(8).collect();
    format!("{boot}-{}", digits(&namespace.to_string_lossy()))
}

/// When a process started, in ticks since the boot; `None`: there is no such process, or only its remains.
fn started(pid: u32) -> Option<u64> {
    let stat = ProcessStat::of(pid)?;
    (!matches!(stat.state, 'Z' | 'X')).then_some(stat.started)
}

/// Starts the driver of a run and lets go of it. It makes itself a session of its own; what it has to say for itself
/// goes to its log, where there is a state folder.
pub fn spawn_driver(
    config: &Config,
    project: Option<&str>,
    run: &RunId,
    since: Seq,
) -> io::Result<()> {
    let log = match &config.paths.state_dir {
        Some(folder) => Some(log_file(&folder.join("log"), run)?),
        None => None,
    };
    let stdio = |log: &Option<File>| -> io::Result<Stdio> {
        Ok(match log {
            Some(log) => log.try_clone()?.into(),
            None => Stdio::null(),
        })
    };
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments(config, project))
        .arg(SUBCOMMAND)
        .arg(run.0.as_str())
        .arg("--since")
        .arg(since.0.to_string())
        .stdin(Stdio::null())
        .stdout(stdio(&log)?)
        .stderr(stdio(&log)?);
    let mut child = command.spawn()?;
    // Nobody waits for the run here; only what is left of the process afterwards is taken away.
    std::thread::Builder::new()
        .name("quarterdeck-driver".to_owned())
        .spawn(move || child.wait())?;
    Ok(())
}

/// The driver reads the same configuration as who starts it, with the flags that were given there. The environment it
/// has from us.
fn arguments(config: &Config, project: Option<&str>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    if let Some(file) = &config.file {
        arguments.extend(["--config".into(), file.into()]);
    }
    if matches!(config.engine.origin, Origin::Flag(_)) {
        let address = config.engine.address.to_string();
        arguments.extend(["--host".into(), address.into()]);
    }
    if let Some(project) = project {
        arguments.extend(["--project".into(), project.into()]);
    }
    arguments
}

/// Lines of one run, for its owner alone.
fn log_file(folder: &Path, run: &RunId) -> io::Result<File> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let name = file_name(run);
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(folder.join(format!("driver-{name}.log")))
}

/// Where the spool of a run lies while its journal is away.
pub(super) fn spool_folder(config: &Config, run: &RunId) -> Option<PathBuf> {
    let state = config.paths.state_dir.as_ref()?;
    Some(state.join("spool").join(file_name(run)))
}

/// A run's name has no slash; one from elsewhere must not lead out of the folder.
fn file_name(run: &RunId) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    run.0.chars().map(plain).collect()
}

/// Leaves the terminal and the session of whoever started us. A process that leads its group already is as far away as
/// it can get.
pub fn leave_session() {
    if let Err(error) = rustix::process::setsid() {
        tracing::debug!("no session of its own: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let me = own_id("0123-4567-89");
        let (host, place) = (host(), place("0123-4567-89"));
        let is_gone = |id: &DriverId| gone(id, &host, &place, started);
        assert!(!is_gone(&me), "{me:?}");
        let before = DriverId(Clean::from(format!(
            "{host}/{place}/{}/1",
            std::process::id()
        )));
        assert!(is_gone(&before), "another process had this number");
        // A process on another host, or in another boot, may be alive.
        for other in [
            format!("else/{place}/1/1"),
            format!("{host}/x/1/1"),
            "a/1".into(),
        ] {
            assert!(!is_gone(&DriverId(Clean::from(other))));
        }
    }

    #[test]
    fn a_process_that_ended_is_gone() {
        let mut child = Command::new("true").spawn().unwrap();
        let (pid, start) = (child.id(), started(child.id()));
        child.wait().unwrap();
        assert_ne!(started(pid), start.or(Some(0)));
    }
}
