//! Runbooks on the reference stack, on real Docker, as an operator uses them: the binary, an outside client that makes
//! the load, and the engine's own word for what happened.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;

use crate::death::killed;
use crate::stack::{Stack, reference_stack};

/// A rolling restart of three replicas with short waits takes 25 s on a calm machine.
pub(crate) const RUN_LIMIT: Duration = Duration::from_mins(4);
/// How often something that must become true is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Short waits: what is shown is that no request is lost, not that a warm-up is long enough.
pub(crate) const SHORT: [&str; 3] = ["min_healthy_time=1s", "settle=1s", "tap_path=/api/ping"];

/// An operator: a home of its own, a journal of its own, the stack's configuration.
pub(crate) struct Operator {
    home: tempfile::TempDir,
    config: PathBuf,
}

impl Operator {
    pub(crate) fn new(stack: &Stack) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            config: stack.config(),
        }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
        command
            .arg("-c")
            .arg(&self.config)
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("LANG", "C.UTF-8")
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[track_caller]
    pub(crate) fn ask(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        let output = self.ask(words);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{words:?}: {error}: {output:?}"))
    }

    pub(crate) fn run(&self, words: &[&str]) -> Command {
        self.command(&[&["run"], words].concat())
    }

    /// The bodies of all entries of a kind, oldest first.
    #[track_caller]
    pub(crate) fn entries(&self, code: &str) -> Vec<Value> {
        let output = self.ask(&["journal", "tail", "--json", "-n", "100000"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let all = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|entry| entry["code"] == code)
            .map(|entry| body(&entry))
            .collect()
    }

    #[track_caller]
    pub(crate) fn journal_is_whole(&self) {
        let output = self.ask(&["journal", "verify"]);
        assert!(output.status.success(), "{output:?}");
    }
}

/// A body is kept as text or as a document.
fn body(entry: &Value) -> Value {
    match &entry["body"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        value => value.clone(),
    }
}

#[track_caller]
pub(crate) fn ended(mut child: Child, limit: Duration) -> Output {
    let began = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return child.wait_with_output().unwrap();
        }
        if began.elapsed() > limit {
            child.kill().unwrap();
            panic!("not within {limit:?}: {:?}", child.wait_with_output());
        }
        sleep(LOOK_EVERY);
    }
}

#[track_caller]
pub(crate) fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(LOOK_EVERY);
    }
}

/// Every start of a replica while it looks, as the engine tells it. The engine itself remembers the last 256 events only,
/// and health checks are most of them, so it is listened to from the beginning.
struct Starts(Child);

impl Starts {
    fn follow() -> Self {
        let child = Command::new("docker")
            .args(["events", "--filter", "event=start"])
            .args(["--filter", "label=com.docker.compose.project=hyper-mission"])
            .args(["--filter", "label=com.docker.compose.service=server"])
            .args(["--format", "{{.Actor.Attributes.name}}"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        sleep(Duration::from_secs(1));
        Self(child)
    }

    /// Every replica was started, and once.
    #[track_caller]
    fn are_one_for_each(self) {
        interrupt(&self.0);
        let output = ended(self.0, RUN_LIMIT);
        let said = String::from_utf8(output.stdout).unwrap();
        let mut names: Vec<&str> = said.lines().collect();
        names.sort_unstable();
        let each: BTreeSet<&str> = names.iter().copied().collect();
        assert!(names.len() == 3 && each.len() == 3, "{names:?}");
    }
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

/// What an outside client counted.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

/// `wrk`, about 100 requests a second, a new connection for each.
pub(crate) struct Load {
    child: Child,
    _script: tempfile::TempDir,
}

impl Load {
    pub(crate) fn start(method: &str, path: &str) -> Self {
        // Each connection waits 45 ms, and 5 or 105 more for its answer.
        let connections = if path.contains("slow") { "-c15" } else { "-c5" };
        let script = format!(
            "wrk.method = \"{method}\"\nwrk.headers[\"Connection\"] = \"close\"\nfunction delay() return 45 end\n\
            function done(s, l, r) local e = s.errors\nio.write(string.format(\"counted %d %d %d %d %d %d\\n\", \
            s.requests, e.connect, e.read, e.write, e.status, e.timeout)) end\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("load.lua");
        fs::write(&file, script).unwrap();
        let longest = format!("-d{}s", RUN_LIMIT.as_secs());
        let child = Command::new("wrk")
            .args(["-t1", connections, &longest, "--timeout", "10s", "-s"])
            .arg(&file)
            .arg(format!("https://localhost:8443{path}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wrk is installed");
        // It has begun before anything happens.
        sleep(Duration::from_secs(1));
        Self {
            child,
            _script: folder,
        }
    }

    /// Ends it, a moment after whatever happened.
    pub(crate) fn stop(self) -> Counted {
        sleep(Duration::from_secs(1));
        interrupt(&self.child);
        let output = ended(self.child, RUN_LIMIT);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find_map(|line| line.strip_prefix("counted "));
        let numbers: Vec<u64> = line
            .unwrap_or_else(|| panic!("{output:?}"))
            .split(' ')
            .map(|n| n.parse().unwrap())
            .collect();
        Counted {
            requests: numbers[0],
            failed: numbers[1..].iter().sum(),
        }
    }
}

fn up(env: &[(&str, &str)]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/stack/up");
    let output = Command::new(script)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn rolling_restart(operator: &Operator) -> Command {
    let words = [
        &["rolling-restart", "service=server"],
        SHORT.as_slice(),
        &["--confirm=server"],
    ];
    operator.run(&words.concat())
}

fn titles(plan: &Value) -> Vec<String> {
    let steps = plan["steps"].as_array().unwrap_or_else(|| panic!("{plan}"));
    steps
        .iter()
        .map(|step| step["title"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_rolling_restart_loses_no_request_and_restarting_all_at_once_loses_many() {
    let Some(stack) = reference_stack() else {
        return;
    };
    up(&[("CHAOS", "1")]);
    let operator = Operator::new(&stack);
    let words = [
        &["plan", "rolling-restart", "service=server"],
        SHORT.as_slice(),
        &["--json"],
    ];
    let shown = operator.json(&words.concat());
    for (n, (method, path)) in [
        ("GET", "/api/ping"),
        ("POST", "/api/ping"),
        ("POST", "/api/slow?ms=100"),
    ]
    .into_iter()
    .enumerate()
    {
        let starts = Starts::follow();
        let load = Load::start(method, path);
        let run = ended(rolling_restart(&operator).spawn().unwrap(), RUN_LIMIT);
        let counted = load.stop();
        assert_eq!(run.status.code(), Some(0), "{method} {path}: {run:?}");
        assert!(counted.requests > 800, "{method} {path}: {counted:?}");
        assert_eq!(counted.failed, 0, "{method} {path}: {counted:?}");
        let tap = operator.entries("run.finished")[n]["tap"].clone();
        assert_eq!(tap["failed"], 0, "{method} {path}: {tap}");
        let line = tap["line"].as_str().unwrap();
        assert!(line.contains(", at least 2 of 3 serving, p99 "), "{line}");
        assert!(
            tap["sent"].as_u64().unwrap() > 500,
            "{method} {path}: {tap}"
        );
        starts.are_one_for_each();
        eprintln!(
            "{method} {path}: client 0 of {}, tap {}",
            counted.requests, tap["line"]
        );
    }
    // The list of the gateway is what it was.
    let list = fs::read(stack.folder().join("gateway/upstream/api.conf")).unwrap();
    let default = fs::read(stack.folder().join("gateway/upstream.default")).unwrap();
    assert_eq!(list, default);

    what_was_shown_is_what_was_done(&operator, &shown);
    operator.journal_is_whole();

    let load = Load::start("GET", "/api/ping");
    let restarts: Vec<Child> = stack
        .containers("server")
        .iter()
        .map(|id| {
            let mut restart = Command::new("docker");
            restart.args(["restart", id]).stdout(Stdio::null());
            restart.spawn().unwrap()
        })
        .collect();
    for restart in restarts {
        assert!(ended(restart, RUN_LIMIT).status.success());
    }
    let counted = load.stop();
    eprintln!(
        "all at once: {} of {} failed",
        counted.failed, counted.requests
    );
    assert!(counted.failed > 10, "{counted:?}");
    up(&[]);
}

/// The plan that `plan` printed, the one that was asked for and the steps that were done, of the first run.
#[track_caller]
fn what_was_shown_is_what_was_done(operator: &Operator, shown: &Value) {
    let requested = operator.entries("run.requested").remove(0);
    assert_eq!(titles(&shown["plan"]), titles(&requested["plan"]));
    let done: Vec<u64> = operator
        .entries("run.event")
        .iter()
        .filter(|entry| entry["run"] == requested["run"] && entry["event"]["event"] == "succeeded")
        .map(|entry| entry["event"]["step"].as_u64().unwrap())
        .collect();
    let planned: Vec<u64> = (0..titles(&shown["plan"]).len() as u64).collect();
    assert_eq!(done, planned, "each step once, in the order that was shown");
}

/// The run that is on and the process that drives it, as the journal names it: `HOST/BOOT/PID/START`.
fn driver(operator: &Operator) -> Option<(String, rustix::process::Pid)> {
    let runs = operator.json(&["runs", "--json"]);
    let mut all = runs["runs"].as_array()?.iter();
    let run = all.find(|run| run["driver"].is_string())?;
    let pid = run["driver"].as_str()?.rsplit('/').nth(1)?.parse().ok()?;
    let pid = rustix::process::Pid::from_raw(pid)?;
    Some((run["run"].as_str()?.to_owned(), pid))
}

fn steps_done(operator: &Operator) -> usize {
    let events = operator.entries("run.event");
    events
        .iter()
        .filter(|entry| entry["event"]["event"] == "succeeded")
        .count()
}

#[test]
fn a_driver_that_is_killed_three_times_is_resumed_and_every_replica_is_restarted_once() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let operator = Operator::new(&stack);
    let starts = Starts::follow();
    let mut watcher = rolling_restart(&operator).spawn().unwrap();
    // Before the first restart, between two replicas, and near the end: so many steps have succeeded.
    for steps in [1, 5, 12] {
        until("the run is so far", RUN_LIMIT, || {
            (steps_done(&operator) >= steps).then_some(())
        });
        let (run, pid) = until("a driver owns the run", RUN_LIMIT, || driver(&operator));
        assert!(killed(pid), "the driver had gone already");
        let _ = watcher.kill();
        let _ = watcher.wait();
        watcher = operator.command(&["resume", &run]).spawn().unwrap();
    }
    let resumed = ended(watcher, RUN_LIMIT);
    assert_eq!(resumed.status.code(), Some(0), "{resumed:?}");
    starts.are_one_for_each();
    let told = operator.ask(&["runs", "last"]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("completed"), "{told}");
    operator.journal_is_whole();
}

#[test]
fn a_run_outlives_the_terminal_it_was_begun_in_and_keeps_its_service_to_itself() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let operator = Operator::new(&stack);
    let starts = Starts::follow();
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_quarterdeck"));
    command.env_clear();
    command.env("HOME", operator.home.path());
    command.env("TERM", "xterm-256color");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.cwd(operator.home.path());
    let config = stack.config();
    let words = [
        &[
            "-c",
            config.to_str().unwrap(),
            "run",
            "rolling-restart",
            "service=server",
        ],
        SHORT.as_slice(),
        &["--confirm=server"],
    ];
    command.args(words.concat());
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    until("the run is under way", RUN_LIMIT, || driver(&operator));
    // The link is cut: the terminal is gone, and with it whoever watched.
    drop(pair.master);
    child.wait().unwrap();

    let second = ended(rolling_restart(&operator).spawn().unwrap(), RUN_LIMIT);
    assert_eq!(second.status.code(), Some(75), "{second:?}");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        said.contains("held by run") && said.contains("since"),
        "{said}"
    );

    until("the run has finished", RUN_LIMIT, || {
        (!operator.entries("run.finished").is_empty()).then_some(())
    });
    assert_eq!(operator.entries("run.finished")[0]["verdict"], "completed");
    starts.are_one_for_each();
    operator.journal_is_whole();
}
