//! The shipped runbooks end to end on the practice range: the binary as an operator calls it, and the world afterwards.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::range_command::Served;

/// What runs at first, and what ran before it.
const NEW: &str = "hyper-mission/server:1.42.0";
const OLD: &str = "hyper-mission/server:1.41.2";
/// It ends one and a half seconds after each start.
const CRASHING: &str = "hyper-mission/server:1.43.0";

/// Short waits: what is shown is what is done, not that a warm-up is long enough.
const SHORT: [&str; 3] = ["min_healthy_time=1s", "in_a_row=2", "grace=1s"];

/// Stops a replica, and is watched by a guard that fails at once.
const DRILL: &str = r#"+++
id = "drill"
title = "Drill"
risk = "low"
target = "service/server"
on_failure = "undo"
on_guard = "undo"

[[guard]]
id = "all"
title = "all are healthy"
every = "500ms"
in_a_row = 1
check = { kind = "containers", service = "server", healthy = ">= 3" }
+++

# Drill

```toml step
kind = "stop"
container = "server-2"
grace = "1s"
```

```toml step
kind = "wait"
time = "2s"
```

```toml step
kind = "wait"
time = "60s"
```
"#;

/// Its check cannot pass.
const DOUBTFUL: &str = r#"+++
id = "doubtful"
title = "Doubtful"
risk = "low"
target = "service/server"
+++

# Doubtful

```toml check
kind = "containers"
title = "nine replicas are healthy"
when = "before"
service = "server"
healthy = ">= 9"
```

```toml step
kind = "wait"
time = "10ms"
```
"#;

/// Nobody but a person can tell what a command did that was given up.
const BLIND: &str = r#"+++
id = "blind"
title = "Blind"
risk = "low"
target = "service/server"
on_failure = "stop"
+++

# Blind

```toml step
kind = "command"
argv = ["/bin/sleep", "600"]
deadline = "500ms"
undo = "none"
```

```toml step
kind = "wait"
time = "10ms"
```
"#;

struct Yard {
    dir: tempfile::TempDir,
    config: PathBuf,
    _range: Served,
}

impl Yard {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (range, _) = Served::start("calm", &dir.path().join("range"));
        let books = dir.path().join("books");
        std::fs::create_dir(&books).unwrap();
        std::fs::write(books.join("drill.md"), DRILL).unwrap();
        std::fs::write(books.join("doubtful.md"), DOUBTFUL).unwrap();
        std::fs::write(books.join("blind.md"), BLIND).unwrap();
        let made = dir.path().join("range/quarterdeck.toml");
        let text = std::fs::read_to_string(&made).unwrap();
        let text = format!("{text}\n[runbooks]\nfolder = \"{}\"\n", books.display());
        // Beside the gateway's list, which it names.
        let config = dir.path().join("range/operator.toml");
        std::fs::write(&config, text).unwrap();
        Self {
            dir,
            config,
            _range: range,
        }
    }

    fn ask(&self, words: &[&str]) -> (Option<i32>, String) {
        let home = self.dir.path();
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .env_clear()
            .env("HOME", home)
            .env("XDG_STATE_HOME", home.join("state"))
            .current_dir(home)
            .stdin(Stdio::null())
            .arg("-c")
            .arg(&self.config)
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        (status.code(), said)
    }

    #[track_caller]
    fn run(&self, words: &[&str], code: i32) -> String {
        let (ended, said) = self.ask(&[&["run"], words].concat());
        assert_eq!(ended, Some(code), "{words:?}: {said}");
        said
    }

    /// Replaces all servers, or tries to.
    #[track_caller]
    fn replace(&self, words: &[&str], code: i32) -> String {
        let more = ["settle=100ms", "--confirm=server"];
        self.run(&[words, &SHORT, &more].concat(), code)
    }

    /// Each server: its state, its health, its image, and since when it is there.
    fn servers(&self) -> BTreeMap<String, [String; 3]> {
        let (code, said) = self.ask(&["containers", "--json"]);
        let all: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{code:?} {said}"));
        let all = all["containers"]["items"].as_array().unwrap().clone();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let servers = all.iter().filter(|one| one["service"] == "server");
        servers
            .map(|one| {
                let seen = [text(one, "state"), text(one, "image"), text(one, "id")];
                (text(one, "name"), seen)
            })
            .collect()
    }

    #[track_caller]
    fn all_run(&self, image: &str, count: usize) {
        let servers = self.servers();
        assert_eq!(servers.len(), count, "{servers:?}");
        for (name, [state, of, _]) in &servers {
            assert_eq!((state.as_str(), of.as_str()), ("running", image), "{name}");
        }
    }

    /// Every replica is listed, each once.
    #[track_caller]
    fn list_is_whole(&self) {
        let list = self.dir.path().join("range/gateway/upstream/api.conf");
        let text = std::fs::read_to_string(list).unwrap();
        assert!(
            text.contains("drained:\n")
                || text.contains("drained: \n")
                || !text.contains("drained"),
            "{text}"
        );
    }
}

#[test]
fn a_deploy_is_taken_back_by_a_rollback_that_knows_what_ran_and_how_it_behaved() {
    let yard = Yard::new();
    yard.all_run(NEW, 3);
    let parameter = format!("image={OLD}");
    yard.replace(&["deploy", "service=server", &parameter], 0);
    yard.all_run(OLD, 3);
    yard.list_is_whole();
    let said = yard.replace(&["rollback", "service=server"], 0);
    assert!(said.contains(&format!("by one of {NEW}")), "{said}");
    yard.all_run(NEW, 3);
    yard.list_is_whole();
    // What somebody went back from is not offered as a way back.
    let said = yard.replace(&["rollback", "service=server"], 64);
    assert!(said.contains("parameter `image` has no value"), "{said}");
    assert_eq!(yard.ask(&["journal", "verify"]).0, Some(0));
}

#[test]
fn a_deploy_of_an_image_that_does_not_stay_up_is_put_back() {
    let yard = Yard::new();
    let before = yard.servers();
    let parameter = format!("image={CRASHING}");
    let said = yard.replace(
        &[
            "deploy",
            "service=server",
            &parameter,
            "healthy_deadline=20s",
        ],
        12,
    );
    assert!(
        said.contains("unwound") || said.contains("put back"),
        "{said}"
    );
    assert_eq!(yard.servers(), before, "the same containers as before");
    yard.list_is_whole();
}

#[test]
fn a_service_is_scaled_up_and_down_again() {
    let yard = Yard::new();
    let before = yard.servers();
    for (replicas, count) in [("replicas=4", 4), ("replicas=3", 3)] {
        yard.run(
            &["scale", "service=server", replicas, "--confirm=server"],
            0,
        );
        yard.all_run(NEW, count);
    }
    assert_eq!(yard.servers(), before);
    yard.list_is_whole();
}

#[test]
fn a_drill_stops_a_replica_and_starts_it_again() {
    let yard = Yard::new();
    let words = ["stop-replica", "replica=server-2", "interval=100ms"];
    let said = yard.run(&[&words[..], &SHORT, &["--confirm=server-2"]].concat(), 0);
    assert!(said.contains("completed"), "{said}");
    yard.all_run(NEW, 3);
}

#[test]
fn a_drill_whose_guard_fails_puts_everything_back_by_itself() {
    let yard = Yard::new();
    let before = yard.servers();
    let said = yard.run(&["drill", "--confirm=yes"], 12);
    assert!(said.contains("all"), "{said}");
    assert_eq!(yard.servers(), before);
}

#[test]
fn the_gateway_reads_its_configuration_anew() {
    let yard = Yard::new();
    let said = yard.run(&["gateway-reload", "--confirm=gateway"], 0);
    assert!(said.contains("completed"), "{said}");
}

#[test]
fn a_check_that_has_not_passed_holds_a_run_back_until_somebody_says_why_not() {
    let yard = Yard::new();
    let said = yard.run(&["doubtful", "--confirm=yes"], 13);
    assert!(said.contains("nine replicas are healthy"), "{said}");
    assert!(said.contains("--despite-checks"), "{said}");
    assert!(yard.ask(&["runs"]).1.contains("no runs yet"));
    let why = "--despite-checks=six are being moved";
    yard.run(&["doubtful", "--confirm=yes", why], 0);
    let (_, journal) = yard.ask(&["journal", "tail", "--json", "-n", "1000"]);
    let confirmed = journal
        .lines()
        .find(|line| line.contains("decision.confirm"));
    let confirmed = confirmed.expect("the yes is on record");
    assert!(confirmed.contains("six are being moved"), "{confirmed}");
    assert!(
        confirmed.contains("nine replicas are healthy"),
        "{confirmed}"
    );
    assert!(journal.lines().any(|line| line.contains("\"refused\"")));
}

#[test]
fn a_command_that_was_given_up_waits_for_the_word_of_a_person() {
    let yard = Yard::new();
    for (word, ends) in [("happened", "completed"), ("did-not-happen", "aborted")] {
        let said = yard.run(&["blind", "--confirm=yes"], 13);
        let asks = format!("answer {} happened` or `did-not-happen`", run_of(&said));
        assert!(said.contains(&asks), "{said}");
        let (code, said) = yard.ask(&["answer", "last", word]);
        assert_eq!(code, Some(0), "{said}");
        if word == "did-not-happen" {
            // Of a step that has failed there is no doubt any more.
            let (code, said) = yard.ask(&["answer", "last", "happened"]);
            assert_eq!(code, Some(77), "{said}");
            assert!(said.contains("only of a step in doubt"), "{said}");
            assert_eq!(yard.ask(&["abort", "last"]).0, Some(0));
        }
        let began = std::time::Instant::now();
        loop {
            let (_, told) = yard.ask(&["runs", "last"]);
            if told.contains(ends) {
                break;
            }
            assert!(began.elapsed().as_secs() < 60, "{told}");
        }
    }
    assert_eq!(yard.ask(&["journal", "verify"]).0, Some(0));
}

/// `r-20261121-031502-ab12` in what a command said.
fn run_of(said: &str) -> &str {
    let at = said.find("r-20").expect("the run is named");
    &said[at..at + "r-20261121-031502-ab12".len()]
}
