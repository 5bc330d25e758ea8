//! A PostgreSQL server for one test, on a socket in a folder of its own.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quarterdeck::journal::Address;

use super::suite;

/// A server that can go and come back.
pub(crate) struct Server {
    bin: PathBuf,
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Server {
    /// `None` where there is no such program.
    pub(crate) async fn start() -> Option<Self> {
        let Some(bin) = programs() else {
            assert!(
                std::env::var_os("QUARTERDECK_REQUIRE_DOCKER").is_none_or(|v| v != "1"),
                "no PostgreSQL server program"
            );
            eprintln!("skipped: no PostgreSQL server program");
            return None;
        };
        let dir = made(&bin);
        let child = spawned(&bin, dir.path());
        let server = Self { bin, child, dir };
        server.listening().await;
        Some(server)
    }

    pub(crate) fn address(&self) -> Address {
        Address::Postgres {
            url: self.url(),
            password: None,
        }
    }

    pub(crate) fn url(&self) -> String {
        let folder = self.dir.path().display();
        format!("postgres:///postgres?user=ops&host={folder}")
    }

    /// At once, whoever is connected.
    pub(crate) fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.child.wait();
    }

    pub(crate) async fn start_again(&mut self) {
        self.child = spawned(&self.bin, self.dir.path());
        self.listening().await;
    }

    async fn listening(&self) {
        let until = Instant::now() + Duration::from_mins(1);
        while let Err(error) = suite::execute(&self.address(), "SELECT 1").await {
            assert!(Instant::now() < until, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_keeps_the_journal() {
    if let Some(server) = Server::start().await {
        suite::all(&server.address()).await;
    }
}

fn programs() -> Option<PathBuf> {
    (13..20)
        .rev()
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")))
        .find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
}

/// The server refuses to run as root: then it runs as the user `postgres`, or as nobody.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let ids = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields[0] == "postgres").then(|| (fields[2].parse().unwrap(), fields[3].parse().unwrap()))
    });
    Some(ids.unwrap_or((65_534, 65_534)))
}

fn command(program: &Path, user: Option<(u32, u32)>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .env("LC_ALL", "C")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn made(bin: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let user = user();
    if let Some((uid, gid)) = user {
        chown(dir.path(), Some(uid), Some(gid)).unwrap();
    }
    let made = command(&bin.join("initdb"), user, dir.path())
        .args(["-D", "data", "-U", "ops", "-A", "trust", "-E", "UTF8", "-N"])
        .status()
        .unwrap();
    assert!(made.success(), "initdb: {made}");
    dir
}

fn spawned(bin: &Path, dir: &Path) -> Child {
    command(&bin.join("postgres"), user(), dir)
        .args(["-D", "data", "-c", "listen_addresses=", "-k"])
        .arg(dir)
        .spawn()
        .unwrap()
}
