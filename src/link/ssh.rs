//! One `ssh` process that carries a socket of another host to a socket of this one.
//!
//! The system's own `ssh` is used, so that its configuration, keys, agent and jump hosts apply. It never asks anything
//! (`BatchMode`), ends by itself when the line is dead, and ends with us.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::domain::{Clean, FaultKind};

/// A new connection over a bad line (150 ms, 5 % loss) was seen to take 3 s; a jump host doubles it.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);
/// How often to look whether the socket is there.
const POLL: Duration = Duration::from_millis(25);
/// What `ssh` says before it gives up is short; a banner may not be.
const STDERR_BYTES_MAX: usize = 4096;
/// How long a dead `ssh`'s last words may take.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why there is no way to the other host.
#[derive(Debug, Error)]
pub enum SshError {
    #[error("{0} could be taken for an option of ssh")]
    Option(Clean),
    #[error("cannot make a private directory {}: {source}", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot start ssh: {0}")]
    Start(#[source] std::io::Error),
    #[error("ssh to {host} ended: {said}")]
    Ended { host: Clean, said: Clean },
    #[error("ssh to {host} did not get through within {limit:?}")]
    Silent { host: Clean, limit: Duration },
}

impl SshError {
    pub(crate) fn kind(&self) -> FaultKind {
        match self {
            Self::Option(_) | Self::Directory { .. } | Self::Start(_) => FaultKind::Misconfigured,
            Self::Ended { said, .. } if said.contains("Could not resolve") => FaultKind::Name,
            Self::Ended { said, .. } if said.contains("ermission denied") => FaultKind::Denied,
            Self::Ended { .. } => FaultKind::Refused,
            Self::Silent { .. } => FaultKind::Silent,
        }
    }

    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Ended { said, .. } if said.contains("ermission denied") => {
                "load the key into the agent, or name it in ~/.ssh/config: nothing is asked here"
            }
            Self::Ended { said, .. } if said.contains("ost key verification") => {
                "connect once by hand and check the host's key"
            }
            Self::Ended { .. } | Self::Silent { .. } => "try it by hand: ssh -v <host> true",
            Self::Start(_) => "install the OpenSSH client",
            Self::Option(_) => "give the host in ~/.ssh/config a name that begins with a letter",
            Self::Directory { .. } => "make the runtime directory writable to us alone",
        }
    }
}

/// Which socket on which host.
#[derive(Debug, Clone, Copy)]
pub struct Far<'a> {
    pub user: Option<&'a str>,
    pub host: &'a str,
    pub port: Option<u16>,
    pub socket: &'a Path,
}

/// A running `ssh` and the socket on our side. Dropping it ends the process and removes the socket.
#[derive(Debug)]
pub struct Tunnel {
    child: Child,
    directory: PathBuf,
}

impl Tunnel {
    /// Opens one below `runtime`, a directory that is ours.
    pub async fn open(far: Far<'_>, runtime: &Path) -> Result<Self, SshError> {
        Self::open_with("ssh", far, runtime).await
    }

    /// As [`Tunnel::open`], with another program in place of `ssh`.
    pub async fn open_with(program: &str, far: Far<'_>, runtime: &Path) -> Result<Self, SshError> {
        for word in [Some(far.host), far.user].into_iter().flatten() {
            if word.starts_with('-') || word.is_empty() {
                return Err(SshError::Option(Clean::line(word)));
            }
        }
        let directory = private_directory(runtime)?;
        let child = command(program, far, &directory.join(SOCKET)).spawn();
        let child = child.map_err(|source| {
            // Nothing was put into it, so removing it is all there is to do.
            let _ = std::fs::remove_dir(&directory);
            SshError::Start(source)
        })?;
        let mut tunnel = Self { child, directory };
        tunnel.wait_until_open(Clean::line(far.host)).await?;
        Ok(tunnel)
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join(SOCKET)
    }

    /// Whether the process still runs.
    pub fn is_open(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    async fn wait_until_open(&mut self, host: Clean) -> Result<(), SshError> {
        let until = Instant::now() + OPEN_DEADLINE;
        while Instant::now() < until {
            if !self.is_open() {
                let said = self.last_words().await;
                return Err(SshError::Ended { host, said });
            }
            if self.socket().exists() {
                return Ok(());
            }
            sleep(POLL).await;
        }
        Err(SshError::Silent {
            host,
            limit: OPEN_DEADLINE,
        })
    }

    async fn last_words(&mut self) -> Clean {
        let mut said = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            let mut bounded = stderr.take(STDERR_BYTES_MAX as u64);
            // What was read until the deadline is what there is to say.
            let _ = timeout(LAST_WORDS, bounded.read_to_end(&mut said)).await;
        }
        let text = String::from_utf8_lossy(&said);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        Clean::line(last.unwrap_or("without a word"))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // The process ends by `kill_on_drop`; a directory that is left over holds a dead socket and nothing else.
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_dir(&self.directory);
    }
}

const SOCKET: &str = "engine.sock";

fn command(program: &str, far: Far<'_>, socket: &Path) -> Command {
    let mut command = Command::new(program);
    command.args([
        "-nNT",
        "-o",
        "BatchMode=yes",
        "-o",
        "ExitOnForwardFailure=yes",
    ]);
    command.args([
        "-o",
        "ServerAliveInterval=15",
        "-o",
        "StreamLocalBindMask=0177",
    ]);
    if let Some(port) = far.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = far.user {
        command.arg("-l").arg(user);
    }
    command
        .arg("-L")
        .arg(format!("{}:{}", socket.display(), far.socket.display()))
        .arg("--")
        .arg(far.host)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Makes a directory that did not exist before, mode 0700: nobody can have put a socket there for us to trust.
fn private_directory(runtime: &Path) -> Result<PathBuf, SshError> {
    /// Names left over by crashed predecessors of the same process id.
    const TRIES: u32 = 100;
    let mut refused = None;
    for n in 0..TRIES {
        let path = runtime.join(format!("quarterdeck-ssh-{}-{n}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                refused = Some(SshError::Directory { path, source });
            }
            Err(source) => return Err(SshError::Directory { path, source }),
        }
    }
    Err(refused.expect("the loop ran at least once"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn script(directory: &Path, text: &str) -> String {
        let path = directory.join("ssh");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn far(host: &str) -> Far<'_> {
        Far {
            user: Some("ops"),
            host,
            port: Some(2222),
            socket: Path::new("/run/far.sock"),
        }
    }

    #[tokio::test]
    async fn what_ssh_said_last_is_the_fault() {
        let home = tempfile::tempdir().unwrap();
        let program = script(
            home.path(),
            "echo 'banner' >&2; echo 'ops@db1: Permission denied (publickey).' >&2; exit 255",
        );
        let error = Tunnel::open_with(&program, far("db1"), home.path())
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("Permission denied (publickey)"),
            "{error}"
        );
        assert_eq!(error.kind(), FaultKind::Denied);
        assert_eq!(
            std::fs::read_dir(home.path()).unwrap().count(),
            1,
            "nothing is left over"
        );
    }

    #[tokio::test]
    async fn the_arguments_are_a_list_and_the_directory_is_private() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("argv");
        let program = script(
            home.path(),
            &format!(
                "printf '%s\\n' \"$@\" > {}; for a; do case $a in */engine.sock:*) touch ${{a%%:*}};; esac; done; exec sleep 60",
                log.display()
            ),
        );
        let mut tunnel = Tunnel::open_with(&program, far("db1"), home.path())
            .await
            .unwrap();
        let mode = std::fs::metadata(tunnel.socket().parent().unwrap())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        let argv = std::fs::read_to_string(log).unwrap();
        assert!(
            argv.contains("BatchMode=yes\n") && argv.ends_with("--\ndb1\n"),
            "{argv}"
        );
        assert!(argv.contains(":/run/far.sock\n"));
        assert!(tunnel.is_open());
        let socket = tunnel.socket();
        drop(tunnel);
        assert!(!socket.exists());
    }

    #[tokio::test]
    async fn a_host_that_looks_like_an_option_starts_nothing() {
        let home = tempfile::tempdir().unwrap();
        let error = Tunnel::open_with("/nonexistent", far("-oProxyCommand=x"), home.path())
            .await
            .unwrap_err();
        assert!(matches!(error, SshError::Option(_)));
    }
}
