//! `quarterdeck range` as a process: ready, refused, ended.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn quarterdeck(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
    command.args(words).stdin(Stdio::null());
    command
}

/// A range that serves; ended when dropped.
pub(crate) struct Served(Child);

impl Served {
    /// Starts it and waits for the line that says that it is ready.
    pub(crate) fn start(scenario: &str, dir: &Path) -> (Self, String) {
        Self::at_speed(scenario, dir, "1")
    }

    pub(crate) fn at_speed(scenario: &str, dir: &Path, speed: &str) -> (Self, String) {
        let dir = dir.to_str().unwrap();
        let chance = ["--seed", "7", "--speed", speed];
        let mut child = quarterdeck(&[&["range", scenario, "--dir", dir], &chance[..]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        (Self(child), line)
    }

    pub(crate) fn end(&mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Ended already, or ended here; a test that failed has said why.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `status --json` says of a range that is served.
fn status(dir: &Path) -> Value {
    let config = dir.join("quarterdeck.toml");
    let words = ["status", "--json", "-c", config.to_str().unwrap()];
    let output = quarterdeck(&words).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The health of the containers, and what is found there; without the moments, which are of our clock.
fn containers(status: &Value) -> (String, Vec<[String; 3]>) {
    let is_about = |value: &&Value| value["subject"] == "Containers";
    let all = |what: &str| status[what].as_array().unwrap().clone();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let (concerns, findings) = (all("concerns"), all("findings"));
    let concern = concerns.iter().find(is_about).unwrap();
    let findings = findings.iter().filter(is_about);
    let findings = findings.map(|found| ["about", "health", "text"].map(|key| text(found, key)));
    let mut findings: Vec<[String; 3]> = findings.collect();
    findings.sort();
    (text(concern, "health"), findings)
}

#[test]
fn the_same_seed_kills_the_same_replica_and_status_tells_before_and_after() {
    /// Fast enough to wait for, slow enough to be looked at before: the fault comes after fifteen of our seconds.
    const SPEED: &str = "3";
    let folder = tempfile::tempdir().unwrap();
    let dirs = ["one", "two"].map(|name| folder.path().join(name));
    let served = dirs.clone().map(|dir| {
        let (served, line) = Served::at_speed("replica-dies", &dir, SPEED);
        assert!(line.starts_with("ready "), "{line}");
        served
    });
    for dir in &dirs {
        let before = status(dir);
        assert_eq!(containers(&before), ("ok".to_owned(), Vec::new()));
        // A new stack has never restored a backup: that is poor, and all there is to be said. The host is the one that tests.
        let findings = before["findings"].as_array().unwrap().iter();
        let subjects = findings.map(|found| &found["subject"]);
        let subjects: Vec<&Value> = subjects.filter(|subject| **subject != "Host").collect();
        assert_eq!(subjects, ["Backups"], "{before}");
    }
    let began = Instant::now();
    let after = dirs.map(|dir| {
        loop {
            let now = status(&dir);
            if now["exit_code"] == 2 && containers(&now).0 == "bad" {
                return containers(&now);
            }
            assert!(began.elapsed() < PATIENCE, "never: {now}");
        }
    });
    let found = [
        ["server", "bad", "2 of 3 replicas running"],
        ["server-2", "bad", "exited 137"],
    ];
    let found: Vec<[String; 3]> = found.map(|one| one.map(str::to_owned)).to_vec();
    assert_eq!(after[0], ("bad".to_owned(), found));
    assert_eq!(after[0], after[1], "the seed decides");
    drop(served);
}

fn refused(words: &[&str]) -> Output {
    let output = quarterdeck(words).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"");
    output
}

#[test]
fn it_says_when_it_is_ready_and_ends_when_told() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().canonicalize().unwrap().join("range");
        let (mut served, line) = Served::start("replica-dies", &dir);
        let config = dir.join("quarterdeck.toml");
        assert_eq!(line, format!("ready {}\n", config.display()));
        let socket = dir.join("docker.sock");
        let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(served.end(signal), Some(0), "{signal:?}");
        assert!(!socket.exists(), "the socket is gone");
        assert!(config.exists(), "the files stay for whoever wants to look");
    }
}

#[test]
fn a_folder_that_is_served_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (mut served, _) = Served::start("calm", folder.path());
    let dir = folder.path().to_str().unwrap();
    let output = refused(&["range", "--dir", dir]);
    assert_eq!(output.status.code(), Some(73));
    assert!(String::from_utf8_lossy(&output.stderr).contains("already"));
    assert!(folder.path().join("docker.sock").exists());
    assert_eq!(served.end(Signal::TERM), Some(0));
    let (mut again, line) = Served::start("calm", folder.path());
    assert!(line.starts_with("ready "), "{line}");
    assert_eq!(again.end(Signal::TERM), Some(0));
}

#[test]
fn what_cannot_be_served_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let output = refused(&["range", "meteor", "--dir", dir]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("replica-dies"));
    let output = refused(&["range", "--dir", dir, "--speed", "0"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("between 0.1 and 1000"));
    let output = refused(&["range", "--dir", "/proc/nowhere"]);
    assert_eq!(output.status.code(), Some(73));
}

fn inject(words: &[&str], dir: &Path) -> (Option<i32>, String) {
    let dir = dir.to_str().unwrap();
    let output = quarterdeck(&[&["inject", "--dir", dir], words].concat())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn an_instructor_lets_a_fault_begin_while_it_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let (code, said) = inject(&["die", "server-2"], dir);
    assert_eq!(code, Some(69), "{said}");
    let (mut served, _) = Served::start("calm", dir);
    let control = dir.join("control.sock");
    let mode = std::fs::metadata(&control).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let (code, said) = inject(&[], dir);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("certificate-not-loaded") && said.contains("A calm day: "),
        "{said}"
    );
    let (code, said) = inject(&["die", "server-2"], dir);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "server-2 is killed: now\n")
    );
    let socket = format!("unix://{}", dir.join("docker.sock").display());
    let docker = bollard::Docker::connect_with_unix(&socket, 20, bollard::API_DEFAULT_VERSION);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let one = runtime.block_on(docker.unwrap().inspect_container(
        "hyper-mission-server-2",
        None::<bollard::query_parameters::InspectContainerOptions>,
    ));
    let state = one.unwrap().state.unwrap();
    assert_eq!((state.running, state.exit_code), (Some(false), Some(137)));
    let (code, said) = inject(&["die", "server-9"], dir);
    assert_eq!(code, Some(64), "{said}");
    assert_eq!(served.end(Signal::TERM), Some(0));
    assert!(!control.exists());
}
