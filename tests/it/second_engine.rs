//! A Docker engine that is killed and started again in the middle of a run: one of our own, beside the machine's.
//!
//! It has a network of its own, so that no bridge and no rule of the machine is touched, and keeps its containers alive
//! while it is away (`--live-restore`). Each container writes down its own starts: the engine's memory is not asked.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::runs::{ended, until};

const LIMIT: Duration = Duration::from_mins(2);
const PROJECT: &str = "second";

/// It tells its starts and its ends, and takes two seconds to end.
const PROGRAM: &str = "#!/bin/sh\nme=/told/$NAME\necho start >>$me\n\
    trap 'echo ending >>$me; sleep 2; exit 0' TERM\nwhile :; do sleep 1 & wait $!; done\n";

const BOOK: &str = r#"+++
id = "bounce"
title = "Bounce"
risk = "low"
target = "service/app"
on_failure = "stop"
+++

# Bounce

```toml step
kind = "restart"
container = "app-1"
grace = "20s"
```

```toml step
kind = "restart"
container = "app-2"
grace = "20s"
```

```toml step
kind = "restart"
container = "app-3"
grace = "20s"
```
"#;

struct SecondEngine {
    dir: tempfile::TempDir,
    child: Child,
}

impl SecondEngine {
    /// `None`, with the reason, where no second engine can be started.
    fn start() -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            eprintln!("skipped: only root can start a second Docker engine");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let child = match spawn(dir.path()) {
            Ok(child) => child,
            Err(error) => {
                eprintln!("skipped: no second Docker engine: {error}");
                return None;
            }
        };
        let mut engine = Self { dir, child };
        if engine.is_up() {
            return Some(engine);
        }
        let said = fs::read_to_string(engine.dir.path().join("log")).unwrap_or_default();
        let why = said.lines().last().unwrap_or("it says nothing");
        eprintln!("skipped: a second Docker engine does not come up here: {why}");
        None
    }

    fn is_up(&mut self) -> bool {
        for _ in 0..300 {
            if self.docker(&["version"]).status.success() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = spawn(self.dir.path()).unwrap();
        assert!(self.is_up(), "the engine did not come back");
    }

    fn address(&self) -> String {
        format!("unix://{}", self.dir.path().join("s").display())
    }

    fn docker(&self, words: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["-H", &self.address()]).args(words);
        command.output().unwrap()
    }

    #[track_caller]
    fn must(&self, words: &[&str]) -> String {
        let output = self.docker(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// An image of a shell and one script, made of this machine's busybox.
    fn make_image(&self) {
        let root = self.dir.path().join("root");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("told")).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        for applet in ["sh", "sleep", "echo"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        crate::deeds::executable(&root.join("app"), PROGRAM);
        let tar = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .args(["-c", "."])
            .output()
            .unwrap();
        let mut import = Command::new("docker")
            .args([
                "-H",
                &self.address(),
                "import",
                "-c",
                "CMD [\"/app\"]",
                "-",
                "app:1",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        import.stdin.take().unwrap().write_all(&tar.stdout).unwrap();
        let made = ended(import, LIMIT);
        assert!(made.status.success(), "{made:?}");
    }

    fn run_three(&self) {
        let told = self.dir.path().join("told");
        fs::create_dir(&told).unwrap();
        let volume = format!("{}:/told", told.display());
        for n in 1..=3 {
            let (name, number) = (
                format!("app-{n}"),
                format!("com.docker.compose.container-number={n}"),
            );
            let environment = format!("NAME={name}");
            let project = format!("com.docker.compose.project={PROJECT}");
            self.must(&[
                "run",
                "-d",
                "--network",
                "none",
                "--restart",
                "unless-stopped",
                "--name",
                &name,
                "-e",
                &environment,
                "-v",
                &volume,
                "-l",
                &project,
                "-l",
                "com.docker.compose.service=app",
                "-l",
                &number,
                "-l",
                "com.docker.compose.oneoff=False",
                "app:1",
            ]);
        }
        for n in 1..=3 {
            until("each has started", LIMIT, || {
                (self.told(n) == ["start"]).then_some(())
            });
        }
    }

    /// What a container wrote down.
    fn told(&self, n: u32) -> Vec<String> {
        let said = fs::read_to_string(self.dir.path().join(format!("told/app-{n}")));
        said.unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        let ids = self.docker(&["ps", "-aq"]).stdout;
        let ids = String::from_utf8_lossy(&ids).into_owned();
        let ids: Vec<&str> = ids.lines().collect();
        if !ids.is_empty() {
            self.docker(&[&["rm", "-f", "-v"], ids.as_slice()].concat());
        }
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path) -> std::io::Result<Child> {
    let at = |name: &str| dir.join(name).display().to_string();
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))?;
    Command::new("unshare")
        .args([
            "--net",
            "--",
            "dockerd",
            "--bridge=none",
            "--iptables=false",
            "--live-restore",
        ])
        .args([
            "--data-root",
            &at("data"),
            "--exec-root",
            &at("exec"),
            "--pidfile",
            &at("pid"),
        ])
        .args(["-H", &format!("unix://{}", at("s")), "--log-level", "warn"])
        .args(["--cgroup-parent", "/quarterdeck-second"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// An operator of that engine, with the one runbook.
struct Operator<'e> {
    engine: &'e SecondEngine,
    home: tempfile::TempDir,
}

impl<'e> Operator<'e> {
    fn new(engine: &'e SecondEngine) -> Self {
        let home = tempfile::tempdir().unwrap();
        let books = home.path().join("books");
        fs::create_dir(&books).unwrap();
        fs::write(books.join("bounce.md"), BOOK).unwrap();
        let text = format!(
            "[stack]\nname = \"{PROJECT}\"\n\n[engine]\naddress = \"{}\"\n\n[runbooks]\nfolder = \"books\"\n\n\
            [[service]]\nname = \"app\"\nreplicas = 3\n",
            engine.address()
        );
        fs::write(home.path().join("quarterdeck.toml"), text).unwrap();
        Self { engine, home }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
        command
            .args(words)
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn events(&self) -> Vec<Value> {
        let tail = self
            .command(&["journal", "tail", "--json", "-n", "1000"])
            .output()
            .unwrap();
        let said = String::from_utf8(tail.stdout).unwrap();
        let entries = said
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let events = entries.filter(|entry| entry["code"] == "run.event");
        events.map(|entry| entry["body"]["event"].clone()).collect()
    }
}

#[test]
fn an_engine_that_is_killed_in_a_restart_is_waited_for_and_nothing_is_done_twice() {
    let Some(mut engine) = SecondEngine::start() else {
        return;
    };
    engine.make_image();
    engine.run_three();
    let home = Operator::new(&engine).home;
    let operator = Operator {
        engine: &engine,
        home,
    };
    let run = operator
        .command(&["run", "bounce", "--confirm=yes"])
        .spawn()
        .unwrap();
    // The second one has been told to end, and is about to.
    until("app-2 ends", LIMIT, || {
        (operator.engine.told(2).len() == 2).then_some(())
    });
    let home = operator.home;
    engine.kill();
    std::thread::sleep(Duration::from_secs(1));
    engine.start_again();
    let run = ended(run, LIMIT);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    for n in 1..=3 {
        assert_eq!(engine.told(n), ["start", "ending", "start"], "app-{n}");
    }
    let operator = Operator {
        engine: &engine,
        home,
    };
    let events = operator.events();
    let succeeded = events.iter().filter(|event| event["event"] == "succeeded");
    assert_eq!(succeeded.count(), 3, "{events:?}");
    let verified = operator.command(&["journal", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}
