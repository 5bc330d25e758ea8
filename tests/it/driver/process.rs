//! The driver as a process, on the practice range: detached, killed between any two steps, refused, told to go.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::death::killed;
use crate::range_command::Served;

/// A machine with many tests at once is slow.
const PATIENCE: Duration = Duration::from_secs(90);

const STEPS: usize = 5;

/// A range, a configuration of it with a runbook that only waits, and a journal.
pub(super) struct Yard {
    dir: tempfile::TempDir,
    config: PathBuf,
    range: Served,
}

impl Yard {
    fn new() -> Self {
        Self::at_speed("1")
    }

    pub(super) fn at_speed(speed: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (range, _) = Served::at_speed("calm", &dir.path().join("range"), speed);
        let books = dir.path().join("books");
        std::fs::create_dir(&books).unwrap();
        let step = "```toml step\nkind = \"wait\"\ntime = \"600ms\"\n```\n\n".repeat(STEPS);
        let page = format!(
            "+++\nid = \"patience\"\ntitle = \"Patience\"\nrisk = \"low\"\nscope = \"stack\"\n\
            target = \"stack/patience\"\n+++\n\n# Patience\n\nWaits.\n\n{step}"
        );
        std::fs::write(books.join("patience.md"), page).unwrap();
        let made = dir.path().join("range/quarterdeck.toml");
        let text = std::fs::read_to_string(made).unwrap();
        // The journal is the range's own, wherever the configuration lies.
        let text = text.replace("sqlite:journal.db", "sqlite:range/journal.db");
        let text = format!("{text}\n[runbooks]\nfolder = \"{}\"\n", books.display());
        let config = dir.path().join("quarterdeck.toml");
        std::fs::write(&config, text).unwrap();
        Self { dir, config, range }
    }

    pub(super) fn home(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn ask(&self, words: &[&str]) -> (Option<i32>, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .env_clear()
            .env("HOME", self.home())
            .env("XDG_STATE_HOME", self.home().join("state"))
            .current_dir(self.home())
            .stdin(Stdio::null())
            .arg("-c")
            .arg(&self.config)
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        (status.code(), said)
    }

    fn begin(&self) -> String {
        let (code, said) = self.ask(&["run", "patience", "--confirm=yes", "--detach"]);
        assert_eq!(code, Some(0), "{said}");
        said.lines().next().unwrap().to_owned()
    }

    pub(super) fn run(&self, run: &str) -> Value {
        let (code, said) = self.ask(&["runs", run, "--json"]);
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str::<Value>(&said).unwrap()["run"].take()
    }

    pub(super) fn until(&self, run: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let seen = self.run(run);
            if is_so(&seen) {
                return seen;
            }
            assert!(began.elapsed() < PATIENCE, "never {what}: {seen:#}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

pub(super) fn done(run: &Value) -> usize {
    let steps = run["steps"].as_array().unwrap();
    steps.iter().filter(|step| step["state"] == "done").count()
}

/// Of `host/place/pid/start`.
pub(super) fn driver(run: &Value) -> Pid {
    let name = run["driver"].as_str().unwrap();
    let pid = name.rsplit('/').nth(1).unwrap().parse().unwrap();
    Pid::from_raw(pid).unwrap()
}

#[test]
fn a_driver_killed_after_each_step_is_replaced_and_the_run_is_done() {
    let yard = Yard::new();
    let run = yard.begin();
    for n in 1..STEPS {
        let seen = yard.until(&run, "a step further", |run| {
            done(run) >= n && run["standing"] == "under way"
        });
        assert!(killed(driver(&seen)), "the driver had gone already");
        let (code, said) = yard.ask(&["resume", &run, "--detach"]);
        assert_eq!(code, Some(0), "{said}");
    }
    let seen = yard.until(&run, "completed, and its target free", |run| {
        run["standing"] == "completed" && run["driver"].is_null()
    });
    assert_eq!(done(&seen), STEPS);
    assert_eq!(yard.ask(&["journal", "verify"]).0, Some(0));
    let (code, said) = yard.ask(&["resume", &run]);
    assert_eq!(code, Some(64), "{said}");
}

#[test]
fn a_run_goes_on_when_its_terminal_is_closed_and_all_that_sat_at_it_is_killed() {
    let yard = Yard::new();
    let size = PtySize {
        rows: 24,
        cols: 80,
        pixel_width: 0,
        pixel_height: 0,
    };
    let pty = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_quarterdeck"));
    command.env_clear();
    command.env("HOME", yard.home());
    command.env("XDG_STATE_HOME", yard.home().join("state"));
    command.cwd(yard.home());
    command.args(["-c".as_ref(), yard.config.as_os_str()]);
    command.args(["run", "patience", "--confirm=yes"]);
    let mut child = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let began = Instant::now();
    while !yard.ask(&["runs"]).1.contains("under way") {
        assert!(began.elapsed() < PATIENCE, "it never began");
    }
    let group = Pid::from_raw(i32::try_from(child.process_id().unwrap()).unwrap()).unwrap();
    kill_process_group(group, Signal::KILL).unwrap();
    drop(pty.master);
    child.wait().unwrap();
    yard.until("last", "completed", |run| run["standing"] == "completed");
}

#[test]
fn a_second_run_is_refused_and_people_decide_about_the_first() {
    let yard = Yard::new();
    let run = yard.begin();
    yard.until(&run, "under way", |run| run["standing"] == "under way");
    let (code, said) = yard.ask(&["run", "patience", "--confirm=yes"]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains(&format!("held by run {run} of ")), "{said}");
    assert_eq!(yard.ask(&["pause", &run]).0, Some(0));
    let seen = yard.until(&run, "paused", |run| run["standing"] == "paused");
    let (code, said) = yard.ask(&["approve", &run]);
    assert_eq!(code, Some(77), "{said}");
    // Told to go, it leaves the run as it is; it goes on where it was.
    kill_process(driver(&seen), Signal::TERM).unwrap();
    yard.until(&run, "ownerless", |run| run["standing"] == "ownerless");
    let (code, said) = yard.ask(&["resume", &run, "--detach"]);
    assert_eq!(code, Some(0), "{said}");
    yard.until(&run, "under way", |run| run["standing"] == "under way");
    assert_eq!(yard.ask(&["abort", &run]).0, Some(0));
    yard.until(&run, "aborted", |run| run["standing"] == "aborted");
    let (code, said) = yard.ask(&["abort", &run]);
    assert_eq!(code, Some(64), "{said}");
}

/// A process that still runs; of one that has ended and is not yet taken away, nothing is left but its number.
fn runs(process: Pid) -> bool {
    let path = format!("/proc/{}/cmdline", process.as_raw_nonzero());
    std::fs::read(path).is_ok_and(|words| !words.is_empty())
}

#[test]
fn a_range_that_ends_leaves_no_driver_behind() {
    let mut yard = Yard::new();
    let run = yard.begin();
    let seen = yard.until(&run, "a step further", |run| done(run) > 0);
    let driver = driver(&seen);
    assert!(runs(driver));
    assert_eq!(yard.range.end(Signal::TERM), Some(0));
    assert!(!runs(driver));
    let seen = yard.run(&run);
    assert_eq!(seen["standing"], "ownerless");
    assert!(done(&seen) < STEPS, "{seen:#}");
}

#[test]
fn nothing_runs_without_the_word_that_the_plan_asks_for() {
    let yard = Yard::new();
    let (code, said) = yard.ask(&["run", "patience"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("--confirm=yes"), "{said}");
    let (code, said) = yard.ask(&["run", "patience", "--confirm=server"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(yard.ask(&["runs"]).1.contains("no runs yet"));
    let plan = yard.home().join("plan.json");
    let plan = plan.to_str().unwrap();
    assert_eq!(yard.ask(&["plan", "patience", "--out", plan]).0, Some(0));
    let (code, said) = yard.ask(&["apply", plan, "--confirm=yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("completed"), "{said}");
    // A plan that was changed after it was made is not the one that its number names.
    let changed = std::fs::read_to_string(plan)
        .unwrap()
        .replace("600ms", "1ms");
    std::fs::write(plan, changed).unwrap();
    let (code, said) = yard.ask(&["apply", plan, "--confirm=yes"]);
    assert_eq!(code, Some(64), "{said}");
}
