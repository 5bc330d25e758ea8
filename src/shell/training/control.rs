//! How an instructor reaches a range that runs: a socket in its folder, for its owner alone.
//!
//! One line asks, the answer follows, the connection ends: `status`, or `inject` and a fault as JSON.

use std::fs::{DirEntry, Metadata};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::folder;
use crate::config::Paths;
use crate::range::Desk;
use crate::range::scenario::Fault;

/// A fault is a short line; what a range has to say is a page.
const LINE_MAX: u64 = 4 * 1024;
const ANSWER_MAX: u64 = 256 * 1024;
/// Both sides are on this machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// More trainings than this nobody runs at once.
const TRAININGS_MAX: usize = 64;

/// The trainings of this user that run now, by the folders of their ranges.
pub(in crate::shell) fn running(paths: &Paths) -> Vec<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    // Another user may put anything into a folder that all share; what is not ours is not asked.
    let is_ours = |data: &Metadata| data.is_dir() && data.uid() == uid;
    let is_training = |entry: &DirEntry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(folder::PREFIX)
            && entry.metadata().is_ok_and(|data| is_ours(&data))
    };
    let Ok(entries) = std::fs::read_dir(folder::above(paths)) else {
        return Vec::new();
    };
    let ours = entries.flatten().filter(is_training);
    let mut dirs: Vec<PathBuf> = ours
        .map(|entry| entry.path().join(folder::RANGE))
        .filter(|dir| UnixStream::connect(socket(dir)).is_ok())
        .take(TRAININGS_MAX)
        .collect();
    dirs.sort();
    dirs
}

/// Asks the range that is served in a folder; its answer as it came.
pub(in crate::shell) fn call(dir: &Path, line: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket(dir))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(line.as_bytes())?;
    let mut text = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

/// The range's own end. The file goes with it.
pub(in crate::shell) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    pub(in crate::shell) fn open(dir: &Path) -> Result<Self> {
        let path = socket(dir);
        // One that was left behind by a range that was killed.
        drop(std::fs::remove_file(&path));
        let bind = || -> std::io::Result<UnixListener> {
            let listener = UnixListener::bind(&path)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
            Ok(listener)
        };
        let listener = bind().wrap_err_with(|| format!("cannot listen at {}", path.display()))?;
        Ok(Self { listener, path })
    }

    /// Answers one asker after the other, for ever.
    pub(in crate::shell) async fn serve(&self, desk: &Desk) {
        /// Out of file handles, most likely: not for long.
        const PAUSE: Duration = Duration::from_millis(100);
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Who does not ask in time, or has gone, gets no answer.
                    let _ = tokio::time::timeout(PATIENCE, converse(stream, desk)).await;
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The folder may be gone already, with everything in it.
        drop(std::fs::remove_file(&self.path));
    }
}

async fn converse(stream: tokio::net::UnixStream, desk: &Desk) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader.take(LINE_MAX))
        .read_line(&mut line)
        .await?;
    writer
        .write_all(answer(line.trim(), desk).as_bytes())
        .await?;
    writer.shutdown().await
}

fn answer(line: &str, desk: &Desk) -> String {
    match line.split_once(' ') {
        None if line == "status" => status(desk),
        Some(("inject", fault)) => match serde_json::from_str::<Fault>(fault) {
            Ok(fault) => {
                desk.inject(&fault);
                format!("{}: now\n", fault.describe())
            }
            Err(error) => format!("not a fault: {error}\n"),
        },
        _ => "ask `status`, or `inject` and a fault as JSON\n".to_owned(),
    }
}

fn status(desk: &Desk) -> String {
    let world = desk.snapshot();
    let seconds = world.now() / 1_000;
    let deeds = world.deeds.iter().map(|deed| {
        format!(
            "{:>6} s  {} {}\n",
            deed.at / 1_000,
            deed.does.word(),
            deed.target
        )
    });
    let deeds: Vec<String> = deeds.collect();
    let injected = world.injected.iter();
    let injected: Vec<String> = injected
        .map(|(at, text)| format!("{:>6} s  the instructor: {text}\n", at / 1_000))
        .collect();
    format!(
        "{}: {seconds} s since the start, {} requests of users lost, {} acts\n{}{}",
        world.scenario.title,
        world.users.lost,
        deeds.len(),
        injected.concat(),
        deeds.concat()
    )
}
