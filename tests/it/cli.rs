//! The binary without a screen: what scripts, monitoring systems and people behind a pipe rely on.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_engine::{FakeEngine, Script, container};
use crate::stack::{Stack, reference_stack};

/// No command here may take longer, whatever the machine is busy with.
const LIMIT: Duration = Duration::from_mins(1);

/// A home of its own, and an environment of which nothing of this machine is known.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn of(mut command: Command) -> Self {
        Self::ended(command.spawn().unwrap())
    }

    /// Waits with a limit: a command that hangs is a failure, not a test run that hangs.
    #[track_caller]
    fn ended(mut child: Child) -> Self {
        let pid = child.id();
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (mut said, mut complained) = (Vec::new(), Vec::new());
            let reader =
                std::thread::spawn(move || err.read_to_end(&mut complained).map(|_| complained));
            out.read_to_end(&mut said).unwrap();
            let complained = reader.join().unwrap().unwrap();
            let status = child.wait().unwrap();
            let output = Output {
                status,
                stdout: said,
                stderr: complained,
            };
            let _ = sender.send(output);
        });
        let Ok(output) = ended.recv_timeout(LIMIT) else {
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("did not end within {LIMIT:?}");
        };
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Nothing in it is obeyed by a terminal.
    #[track_caller]
    fn is_safe(&self) {
        let fine =
            |c: char| c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        assert!(self.out.chars().all(fine), "{:?}", self.out);
        assert!(self.err.chars().all(fine), "{:?}", self.err);
    }
}

const COMMANDS: [&str; 12] = [
    "status",
    "containers",
    "traffic",
    "certs",
    "backups",
    "watch",
    "doctor",
    "config",
    "init",
    "completions",
    "man",
    "version",
];

#[test]
fn help_names_every_command_and_every_command_has_help() {
    let home = Home::new();
    let help = home.run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    for command in COMMANDS {
        let named = help
            .out
            .lines()
            .any(|line| line.trim_start().split(' ').next() == Some(command));
        assert!(named, "{command} is not in:\n{}", help.out);
        let own = home.run(&[command, "--help"]);
        assert_eq!(own.code, Some(0), "{command}: {own:?}");
        assert!(own.out.contains("Usage: quarterdeck "), "{own:?}");
    }
}

#[test]
fn bad_use_ends_with_64_and_says_so_on_standard_error() {
    let home = Home::new();
    let mut cases: Vec<Vec<&str>> = COMMANDS
        .map(|command| vec![command, "--no-such-flag"])
        .to_vec();
    cases.extend([
        vec!["--no-such-flag"],
        vec!["no-such-command"],
        vec!["status", "--json", "--check"],
        vec!["status", "--timeout", "8"],
        vec!["status", "--timeout", "0s"],
        vec!["watch", "--plain", "--jsonl"],
        vec!["watch", "--for", "soon"],
        vec!["config"],
        vec!["completions", "cmd"],
        vec!["init", "--stdout", "file.toml"],
        vec!["--screen", "nowhere"],
        vec!["\x1b]0;x\x07"],
    ]);
    for words in cases {
        let ran = home.run(&words);
        assert_eq!(ran.code, Some(64), "{words:?}: {ran:?}");
        assert_eq!(ran.out, "", "{words:?}");
        assert!(!ran.err.is_empty(), "{words:?}");
        ran.is_safe();
    }
}

#[test]
fn problems_of_the_configuration_end_with_78_and_are_all_named_with_their_place() {
    let home = Home::new();
    let path = home.write(
        "bad.toml",
        "[stack]\nname = 7\nnmae = \"\\u001b]0;x\\u0007\"\n\n[[trafic]]\n",
    );
    let path = path.to_str().unwrap();
    for words in [
        &["-c", path, "status"][..],
        &["-c", path, "containers", "--json"],
        &["-c", path, "watch"],
        &["-c", path, "config", "show"],
        &["config", "check", path],
        &["-c", path],
    ] {
        let ran = home.run(words);
        assert_eq!(ran.code, Some(78), "{words:?}: {ran:?}");
        assert_eq!(ran.out, "", "{words:?}");
        for place in ["bad.toml:2:", "bad.toml:3:", "bad.toml:5:"] {
            assert!(
                ran.err.contains(place),
                "{words:?}: no {place} in {}",
                ran.err
            );
        }
        ran.is_safe();
    }
    let ran = home.run(&["-c", "missing.toml", "status"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.contains("missing.toml"), "{ran:?}");
}

#[test]
fn a_good_configuration_is_said_to_be_good_and_shows_its_origins() {
    let home = Home::new();
    home.write("quarterdeck.toml", "[stack]\nname = \"shop\"\n");
    let check = home.run(&["config", "check"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.out.contains("no problem"), "{check:?}");
    let show = home.run(&[
        "-H",
        "tcp://127.0.0.1:1",
        "--local-time",
        "config",
        "show",
        "--origin",
    ]);
    assert_eq!(show.code, Some(0), "{show:?}");
    for part in [
        "stack.name = \"shop\"",
        "quarterdeck.toml:2",
        "flag --host",
        "flag --local-time",
    ] {
        assert!(show.out.contains(part), "no {part} in {}", show.out);
    }
}

#[test]
fn without_an_engine_the_state_is_unknown_and_the_path_is_named() {
    let home = Home::new();
    let socket = home.path().join("nobody.sock");
    let address = format!("unix://{}", socket.display());
    home.write(
        "shop.toml",
        "[stack]\nname = \"shop\"\n[[traffic]]\nkind = \"metrics\"\nservice = \"server\"\nport = 1\n",
    );
    for words in [&["status"][..], &["-c", "shop.toml", "status"]] {
        let began = Instant::now();
        let mut command = home.command(words);
        command.env("DOCKER_HOST", &address);
        let ran = Ran::of(command);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.out.contains(socket.to_str().unwrap()), "{ran:?}");
        assert!(
            ran.out.contains("[?]") && !ran.out.contains("[ok] ok Containers"),
            "{ran:?}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{:?}",
            began.elapsed()
        );
    }
    let check = home.run(&["-H", &address, "status", "--check"]);
    assert_eq!(check.code, Some(3), "{check:?}");
    assert!(check.out.starts_with("QUARTERDECK UNKNOWN - "), "{check:?}");
    assert_eq!(check.out.lines().count(), 1);

    let init = home.run(&["-H", &address, "init"]);
    assert_eq!(init.code, Some(69), "{init:?}");
    assert!(!home.path().join("quarterdeck.toml").exists());

    let watch = home.run(&["-H", &address, "watch", "--jsonl"]);
    assert_eq!(watch.code, Some(3), "{watch:?}");
    let first: Value = serde_json::from_str(watch.out.lines().next().unwrap()).unwrap();
    assert_eq!(first["schema"], "quarterdeck.watch/1");

    let doctor = home.run(&["-H", &address, "doctor"]);
    assert_eq!(doctor.code, Some(2), "{doctor:?}");
    assert!(doctor.out.contains("nobody.sock"), "{doctor:?}");
}

#[test]
fn the_console_without_a_terminal_names_the_command_to_use() {
    let home = Home::new();
    let config = home.write("shop.toml", "[stack]\nname = \"shop\"\n");
    let config = config.to_str().unwrap();
    for words in [&[][..], &["-c", config]] {
        for term in ["xterm-256color", "dumb", ""] {
            let mut command = home.command(words);
            command.env("TERM", term);
            let ran = Ran::of(command);
            assert_eq!(ran.code, Some(64), "{words:?} {term}: {ran:?}");
            assert!(ran.err.contains("quarterdeck status"), "{ran:?}");
            assert_eq!(ran.out, "");
        }
    }
}

#[test]
fn completions_and_the_manual_are_there_for_everybody() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = home.run(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for command in ["containers", "doctor"] {
            assert!(
                ran.out.contains(command),
                "{shell} does not complete {command}"
            );
        }
    }
    let man = home.run(&["man"]);
    assert_eq!(man.code, Some(0));
    for part in [".TH", "EXIT STATUS", "QUARTERDECK_CONFIG", "status"] {
        assert!(man.out.contains(part), "no {part} in the manual");
    }
    let version = home.run(&["version", "--json"]).json();
    assert_eq!(version["schema"], "quarterdeck.version/1");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let home = Home::new();
    let mut child = home.command(&["completions", "bash"]).spawn().unwrap();
    let (end, _kept) = (child.stdout.take().unwrap(), child.id());
    drop(end);
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert_eq!(said, "");
}

/// An engine with one container whose every text is hostile.
fn hostile() -> FakeEngine {
    const CANARY: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}evil\nline|x";
    let engine = FakeEngine::start(Script::speaking("1.41"));
    let mut one = container("server", 1, "running", Some("unhealthy"));
    one["Name"] = json!(format!("/{CANARY}"));
    one["Config"]["Image"] = json!(CANARY);
    one["Config"]["Labels"]["com.docker.compose.service"] = json!(CANARY);
    one["State"]["Error"] = json!(CANARY);
    one["State"]["Health"]["Log"] = json!([{"End": "", "ExitCode": 1, "Output": CANARY}]);
    engine.set(|world| world.containers = vec![one]);
    engine
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_texts_are_shown_by_every_command_and_obeyed_by_none() {
    let engine = hostile();
    let address = format!("unix://{}", engine.socket.display());
    tokio::task::spawn_blocking(move || {
        let home = Home::new();
        for words in [
            &["status"][..],
            &["status", "--json"],
            &["status", "--check"],
            &["containers"],
            &["containers", "--json"],
            &["traffic"],
            &["certs"],
            &["backups"],
            &["watch", "--plain", "--for", "2s"],
            &["watch", "--jsonl", "--for", "2s"],
            &["doctor"],
            &["doctor", "--json"],
            &["init", "--stdout"],
        ] {
            let ran = home.run(&[&["-H", &address][..], words].concat());
            ran.is_safe();
            assert!(!ran.out.is_empty(), "{words:?}: {ran:?}");
            if words.contains(&"--json") {
                let schema = ran.json()["schema"].as_str().unwrap_or_default().to_owned();
                assert!(schema.starts_with("quarterdeck."), "{words:?}: {ran:?}");
            }
            if words[0] == "containers" || words == ["status"] {
                assert!(ran.out.contains("evil"), "{words:?}: {ran:?}");
                assert_eq!(ran.code, Some(2), "{words:?}: {ran:?}");
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_never_answers_costs_the_patience_and_no_more() {
    let engine = FakeEngine::start(Script::speaking("1.41"));
    engine.set(|world| world.hangs = true);
    let address = format!("unix://{}", engine.socket.display());
    tokio::task::spawn_blocking(move || {
        let home = Home::new();
        home.write("quarterdeck.toml", "[stack]\nname = \"lab\"\n");
        let began = Instant::now();
        let ran = home.run(&["-H", &address, "status", "--timeout", "1s"]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.out.contains("no answer within 1s"), "{ran:?}");
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_at_a_signal_with_the_code_of_a_shell() {
    let engine = hostile();
    let address = format!("unix://{}", engine.socket.display());
    tokio::task::spawn_blocking(move || {
        let home = Home::new();
        for (signal, code) in [
            (rustix::process::Signal::INT, 130),
            (rustix::process::Signal::TERM, 143),
        ] {
            let mut child = home.command(&["-H", &address, "watch"]).spawn().unwrap();
            // The first line says that it listens.
            let mut byte = [0];
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut byte)
                .unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, signal).unwrap();
            assert_eq!(Ran::ended(child).code, Some(code));
        }
    })
    .await
    .unwrap();
}

/// Asks until the state is as expected; fails with the last answer.
#[track_caller]
fn until(home: &Home, words: &[&str], limit: Duration, fits: impl Fn(&Ran) -> bool) -> Ran {
    let began = Instant::now();
    loop {
        let ran = home.run(words);
        if fits(&ran) {
            return ran;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {ran:?}");
    }
}

fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// All is well, but for the host perhaps: a machine that compiles or is nearly full is not the stack's trouble.
fn is_well(ran: &Ran) -> bool {
    match ran.code {
        Some(0) => true,
        Some(1) => {
            let status = ran.json();
            let concerns = status["concerns"].as_array().unwrap();
            concerns.iter().all(|concern| {
                concern["subject"] == "Host"
                    || ["ok", "none", "busy"]
                        .iter()
                        .any(|w| concern["health"] == *w)
            })
        }
        _ => false,
    }
}

/// The binary asks the engine that the `docker` command asks.
fn address() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| {
        docker(&[
            "context",
            "inspect",
            "--format",
            "{{.Endpoints.docker.Host}}",
        ])
    })
}

/// The replicas of the API in a report.
fn servers(report: &Value) -> Vec<Value> {
    let all = report["containers"]["items"].as_array().cloned();
    let is_server = |c: &Value| c["service"] == "server";
    all.unwrap_or_default()
        .into_iter()
        .filter(is_server)
        .collect()
}

/// So that there is something to count: a replica that nobody has asked has no figures.
fn send_requests(stack: &Stack) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = stack.client();
    runtime.block_on(async {
        for _ in 0..30 {
            let sent = client.get("https://localhost:8443/api/ping").send().await;
            assert_eq!(sent.unwrap().status(), 200);
        }
    });
}

#[test]
fn the_reference_stack_is_well_and_a_stopped_replica_is_found() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let home = Home::new();
    let config =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/stack/hyper-mission/quarterdeck.toml");
    let (config, address) = (config.to_str().unwrap(), address());
    let words = ["-c", config, "-H", &address, "status", "--json"];
    let limit = Duration::from_mins(2);

    send_requests(&stack);
    let well = until(&home, &words, limit, is_well).json();
    assert_eq!(servers(&well).len(), 3, "{well}");
    let days = well["certificates"].as_array().unwrap().iter();
    assert!(
        days.clone().any(|c| c["days_left"].as_i64() > Some(0)),
        "{well}"
    );
    let rates = well["traffic"].as_array().unwrap().iter();
    let seen = rates.filter(|t| t["total"]["requests"].as_u64() > Some(0));
    assert!(seen.count() > 0, "{well}");
    assert_eq!(well["schema"], "quarterdeck.status/1");
    assert_eq!(well["stack"], "hyper-mission");
    let containers = home
        .run(&["-c", config, "-H", &address, "containers", "--json"])
        .json();
    let found = servers(&containers);
    assert_eq!(found.len(), 3, "{containers}");
    assert!(
        found.iter().all(|c| c["check"] == "healthy"),
        "{containers}"
    );
    let traffic = home
        .run(&["-c", config, "-H", &address, "traffic", "--json"])
        .json();
    let counted = traffic["traffic"].as_array().unwrap().iter().any(|source| {
        source["replicas"]
            .as_array()
            .is_some_and(|replicas| replicas.len() == 3)
    });
    assert!(counted, "{traffic}");
    let certs = home
        .run(&["-c", config, "-H", &address, "certs", "--json"])
        .json();
    let days = certs["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|c| c["days_left"].as_i64());
    assert!(days.is_some_and(|days| days > 0), "{certs}");

    let id = stack.containers("server")[0].clone();
    let name = docker(&[
        "inspect",
        "--format",
        "{{index .Config.Labels \"com.docker.compose.service\"}}-{{index .Config.Labels \"com.docker.compose.container-number\"}}",
        &id,
    ]);
    docker(&["stop", &id]);
    let bad = home.run(&["-c", config, "-H", &address, "status"]);
    docker(&["start", &id]);
    assert_eq!(bad.code, Some(2), "{bad:?}");
    assert!(bad.out.contains(&name), "{name} is not in {}", bad.out);
    until(&home, &words, limit, is_well);
}

#[test]
fn init_writes_what_runs_and_status_works_with_it() {
    let Some(stack) = reference_stack() else {
        return;
    };
    send_requests(&stack);
    let (home, address) = (Home::new(), address());
    let words = ["-H", &address, "-p", "hyper-mission"];
    let ran = home.run(&[&words[..], &["init"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = fs::read_to_string(home.path().join("quarterdeck.toml")).unwrap();
    for part in [
        "name = \"hyper-mission\"",
        "replicas = 3",
        "url = \"https://localhost:8443\"",
        "kind = \"metrics\"",
        "port = 5000",
        "url = \"http://127.0.0.1:9092\"",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(part)),
            "no {part} in\n{text}\n{ran:?}"
        );
    }
    let again = home.run(&[&words[..], &["init"]].concat());
    assert_eq!(again.code, Some(73), "{again:?}");
    assert_eq!(
        fs::read_to_string(home.path().join("quarterdeck.toml")).unwrap(),
        text
    );
    assert_eq!(home.run(&["config", "check"]).code, Some(0));
    let status = home.run(&["-H", &address, "status", "--json"]);
    assert!(matches!(status.code, Some(0 | 1)), "{status:?}");
    assert_eq!(status.json()["stack"], "hyper-mission");
    let doctor = home.run(&["-H", &address, "doctor", "--json"]).json();
    let engine = doctor["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["check"] == "engine");
    assert_eq!(engine.unwrap()["health"], "ok", "{doctor}");
}

const RUNBOOK: &str = "+++\nid = \"deploy\"\ntitle = \"Ours\"\nrisk = \"low\"\n+++\n```toml step\nkind = \"wait\"\ntime = \"1s\"\n```\n";

#[test]
fn lint_names_every_problem_and_ends_with_1() {
    let home = Home::new();
    home.write("good.md", RUNBOOK);
    let bad = RUNBOOK
        .replace("risk =", "rsk =")
        .replace("kind = \"wait\"", "kind = \"wiat\"");
    home.write("bad.md", &bad);
    let ran = home.run(&["lint", "good.md"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "good.md: no problem\n")
    );
    let ran = home.run(&["lint", "good.md", "bad.md"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.out
            .contains("bad.md:4: unknown key `rsk` in the front matter"),
        "{ran:?}"
    );
    assert!(ran.out.contains("did you mean `risk`?"), "{ran:?}");
    assert_eq!(home.run(&["lint", "none.md"]).code, Some(66));
}

#[test]
fn runbooks_of_a_folder_stand_beside_those_that_ship_and_say_where_they_are_from() {
    let home = Home::new();
    fs::create_dir(home.path().join("own")).unwrap();
    home.write("own/deploy.md", RUNBOOK);
    home.write("quarterdeck.toml", "[runbooks]\nfolder = \"own\"\n");
    let ran = home.run(&["runbook", "list"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out
            .contains("own/deploy.md (instead of the built-in one)"),
        "{ran:?}"
    );
    assert!(ran.out.contains("rolling-restart"), "{ran:?}");
    let ran = home.run(&["runbook", "show", "deploy", "--json"]);
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown["title"], json!("Ours"));
    let ran = home.run(&["runbook", "show", "deplyo"]);
    assert_eq!(ran.code, Some(64));
    assert!(ran.err.contains("did you mean `deploy`?"), "{ran:?}");
}

#[test]
fn a_folder_of_runbooks_that_is_not_there_or_is_the_users_own_is_refused() {
    let home = Home::new();
    home.write("quarterdeck.toml", "[runbooks]\nfolder = \"gone\"\n");
    let ran = home.run(&["runbook", "list"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(78), ""), "{ran:?}");
    assert!(
        ran.err.contains("cannot read the folder of runbooks"),
        "{ran:?}"
    );
    let own = home.path().join(".config/quarterdeck/runbooks");
    fs::create_dir_all(&own).unwrap();
    home.write(
        "quarterdeck.toml",
        &format!("[runbooks]\nfolder = \"{}\"\n", own.display()),
    );
    let ran = home.run(&["runbook", "list"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(
        ran.err
            .contains("put them beside the stack's configuration"),
        "{ran:?}"
    );
}
