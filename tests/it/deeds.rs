//! The shipped runbooks that are no rolling restart, on the reference stack and real Docker: what each does to the
//! containers, and that users notice nothing of it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::runs::{Load, Operator, RUN_LIMIT, SHORT, ended, until};
use crate::stack::{Stack, reference_stack};

#[track_caller]
fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Ids of the containers of a service, whether they run or not, in their order.
fn all_of(service: &str) -> Vec<String> {
    let service = format!("label=com.docker.compose.service={service}");
    let project = "label=com.docker.compose.project=hyper-mission";
    let said = docker(&["ps", "-aq", "--no-trunc", "-f", project, "-f", &service]);
    let mut ids: Vec<String> = said.lines().map(str::to_owned).collect();
    ids.sort();
    ids
}

#[track_caller]
fn until_all_are_healthy(service: &str, count: usize) {
    let filter = format!("label=com.docker.compose.service={service}");
    until(service, Duration::from_mins(1), || {
        let said = docker(&["ps", "-f", &filter, "--format", "{{.Status}}"]);
        let healthy = said.lines().filter(|line| line.contains("(healthy)"));
        (healthy.count() == count).then_some(())
    });
}

/// Runs a runbook with a client that looks on: neither it nor the tap may lose a request.
#[track_caller]
fn run(operator: &Operator, words: &[&str], code: i32) {
    let load = Load::start("GET", "/api/ping");
    let run = ended(operator.run(words).spawn().unwrap(), RUN_LIMIT);
    let counted = load.stop();
    assert_eq!(run.status.code(), Some(code), "{words:?}: {run:?}");
    assert!(counted.requests > 100, "{words:?}: {counted:?}");
    assert_eq!(counted.failed, 0, "{words:?}: {counted:?}");
    nothing_failed(operator, words);
    eprintln!("{words:?}: client 0 of {}", counted.requests);
}

/// The tap of the last run that ended.
#[track_caller]
fn nothing_failed(operator: &Operator, words: &[&str]) {
    let finished = operator.entries("run.finished");
    let tap = &finished
        .last()
        .unwrap_or_else(|| panic!("{words:?} has no end"))["tap"];
    assert_eq!(tap["failed"], 0, "{words:?}: {tap}");
    assert!(tap["sent"].as_u64().unwrap() > 50, "{words:?}: {tap}");
}

fn list(stack: &Stack) -> String {
    fs::read_to_string(stack.folder().join("gateway/upstream/api.conf")).unwrap()
}

#[track_caller]
fn list_is_the_default(stack: &Stack) {
    let default = fs::read_to_string(stack.folder().join("gateway/upstream.default")).unwrap();
    assert_eq!(list(stack), default);
}

/// An image whose program runs and never gets well: its health check fails, and it answers nobody.
struct SickImage(&'static str);

impl SickImage {
    fn make() -> Self {
        const SERVER: &str = "#!/bin/sh\n[ \"$1\" = --check ] && { echo nobody is at home; exit 1; }\n\
            trap 'exit 0' TERM\nwhile :; do sleep 1 & wait $!; done\n";
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox-static is installed");
        for applet in ["sh", "sleep", "echo"] {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
        }
        executable(&root.path().join("server"), SERVER);
        let tar = Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .args(["-c", "."])
            .output()
            .unwrap();
        assert!(tar.status.success(), "{tar:?}");
        let tag = "hyper-mission/server:sick";
        let mut import = Command::new("docker")
            .args([
                "import",
                "-c",
                "ENTRYPOINT [\"/server\"]",
                "-c",
                "USER 65534:65534",
                "-",
                tag,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        import.stdin.take().unwrap().write_all(&tar.stdout).unwrap();
        let made = ended(import, RUN_LIMIT);
        assert!(made.status.success(), "{made:?}");
        Self(tag)
    }
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Drop for SickImage {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", self.0]).output();
    }
}

#[test]
fn a_deploy_of_a_sick_image_is_put_back_and_loses_no_request() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let operator = Operator::new(&stack);
    let image = SickImage::make();
    let before = all_of("server");
    let parameter = format!("image={}", image.0);
    let words = [
        &[
            "deploy",
            "service=server",
            &parameter,
            "healthy_deadline=8s",
        ],
        SHORT.as_slice(),
        &["--confirm=server"],
    ];
    run(&operator, &words.concat(), 12);
    let finished = operator.entries("run.finished");
    assert_eq!(finished[0]["verdict"], "unwound");
    assert_eq!(
        all_of("server"),
        before,
        "the same containers, and no other"
    );
    until_all_are_healthy("server", 3);
    list_is_the_default(&stack);
    let ancestor = format!("ancestor={}", image.0);
    assert_eq!(
        docker(&["ps", "-aq", "-f", &ancestor]),
        "",
        "nothing of the new image is left"
    );
    operator.journal_is_whole();
}

/// Three replicas of the other colour, made by Compose beside the stack, on its networks.
struct Green(tempfile::TempDir);

impl Green {
    fn up(stack: &Stack) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let env = stack.folder().join("secrets/db.env");
        let text = format!(
            "services:\n  server-green:\n    image: hyper-mission/server:2\n    env_file: {}\n    \
            environment: {{ POSTGRES_HOST: postgres, REDIS: 'redis:6379', PORT: '5000', DRAIN_MS: '500' }}\n    \
            networks: [edge, data]\n    stop_grace_period: 5s\n    healthcheck:\n      \
            test: [CMD, /server, --check]\n      interval: 1s\n      timeout: 2s\n      retries: 3\n      \
            start_period: 10s\n    scale: 3\nnetworks:\n  edge: {{ external: true, name: hyper-mission_edge }}\n  \
            data: {{ external: true, name: hyper-mission_data }}\nversion: '2.4'\n",
            env.display()
        );
        fs::write(folder.path().join("docker-compose.yml"), text).unwrap();
        let green = Self(folder);
        green.compose(&["up", "-d", "--no-build"]);
        until_all_are_healthy("server-green", 3);
        green
    }

    #[track_caller]
    fn compose(&self, words: &[&str]) {
        let plugin = Command::new("docker").args(["compose", "version"]).output();
        let mut compose = if plugin.is_ok_and(|output| output.status.success()) {
            let mut compose = Command::new("docker");
            compose.arg("compose");
            compose
        } else {
            Command::new("docker-compose")
        };
        let output = compose
            .args(["-p", "hyper-mission"])
            .args(words)
            .current_dir(self.0.path())
            .env("COMPOSE_IGNORE_ORPHANS", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Green {
    fn drop(&mut self) {
        let ids = all_of("server-green");
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let _ = Command::new("docker")
            .args(["rm", "-f", "-v"])
            .args(ids)
            .output();
    }
}

/// Which release answers: blue is 1, green is 2.
async fn releases(stack: &Stack) -> Vec<String> {
    let client = stack.client();
    let mut all = Vec::new();
    for _ in 0..6 {
        let answer = client
            .get("https://localhost:8443/api/ping")
            .send()
            .await
            .unwrap();
        let body: serde_json::Value =
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        all.push(body["release"].as_str().unwrap().to_owned());
    }
    all.sort();
    all.dedup();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_and_green_are_switched_there_and_back_without_a_lost_request() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let operator = Operator::new(&stack);
    let to = |colour: &str| format!("to={colour}");
    // An idle colour that is not there is never switched to.
    let absent = operator.ask(&[
        "run",
        "blue-green",
        &to("green"),
        "watch=1s",
        "--confirm=green",
    ]);
    assert_ne!(absent.status.code(), Some(0), "{absent:?}");
    list_is_the_default(&stack);
    assert_eq!(releases(&stack).await, ["1"]);

    let _green = Green::up(&stack);
    run(
        &operator,
        &["blue-green", &to("green"), "watch=2s", "--confirm=green"],
        0,
    );
    assert!(
        list(&stack).contains("# service: server-green"),
        "{}",
        list(&stack)
    );
    assert_eq!(releases(&stack).await, ["2"]);
    run(
        &operator,
        &["blue-green", &to("blue"), "watch=2s", "--confirm=blue"],
        0,
    );
    list_is_the_default(&stack);
    assert_eq!(releases(&stack).await, ["1"]);

    switched_back_by_one_word(&operator);
    list_is_the_default(&stack);
    assert_eq!(releases(&stack).await, ["1"]);

    // The gateway is put back by a runbook of its own, too.
    run(
        &operator,
        &["blue-green", &to("green"), "watch=1s", "--confirm=green"],
        0,
    );
    assert_eq!(releases(&stack).await, ["2"]);
    run(&operator, &["gateway-rollback", "--confirm=gateway"], 0);
    list_is_the_default(&stack);
    assert_eq!(releases(&stack).await, ["1"]);
    operator.journal_is_whole();
}

/// A word while the new colour is watched sends everybody back.
#[track_caller]
fn switched_back_by_one_word(operator: &Operator) {
    let words = ["blue-green", "to=green", "watch=5s", "--confirm=green"];
    let load = Load::start("POST", "/api/ping");
    let runs = operator.entries("run.started").len();
    let run = operator.run(&words).spawn().unwrap();
    until("the new colour is watched", RUN_LIMIT, || {
        let started = operator.entries("run.started").len() > runs;
        let events = operator.entries("run.event");
        let last = events.last().map(|entry| entry["event"].clone());
        let watched = last.is_some_and(|event| event["event"] == "started" && event["step"] == 2);
        (started && watched).then_some(())
    });
    let undo = operator.ask(&["undo", "last"]);
    assert_eq!(undo.status.code(), Some(0), "{undo:?}");
    let run = ended(run, RUN_LIMIT);
    let counted = load.stop();
    assert_eq!(run.status.code(), Some(12), "{run:?}");
    assert_eq!(counted.failed, 0, "{counted:?}");
    nothing_failed(operator, &words);
}

#[test]
fn a_service_is_scaled_up_and_down_under_load() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let operator = Operator::new(&stack);
    let before = all_of("server");
    for (replicas, count) in [("replicas=4", 4), ("replicas=3", 3)] {
        run(
            &operator,
            &[
                "scale",
                "service=server",
                replicas,
                "settle=5s",
                "--confirm=server",
            ],
            0,
        );
        until_all_are_healthy("server", count);
    }
    assert_eq!(
        all_of("server"),
        before,
        "the new one went, the old ones stayed"
    );
    list_is_the_default(&stack);
}

#[test]
fn only_the_replica_that_does_not_run_is_restarted() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let operator = Operator::new(&stack);
    let started = |id: &String| docker(&["inspect", "--format", "{{.State.StartedAt}}", id]);
    let all = all_of("server");
    let before: Vec<String> = all.iter().map(started).collect();
    docker(&["stop", &all[1]]);
    let words = [
        "restart-unhealthy",
        "service=server",
        "min_healthy_time=1s",
        "--confirm=server",
    ];
    let done = ended(operator.run(&words).spawn().unwrap(), RUN_LIMIT);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    until_all_are_healthy("server", 3);
    let changed: Vec<bool> = all
        .iter()
        .map(started)
        .zip(before)
        .map(|(now, was)| now != was)
        .collect();
    assert_eq!(changed, [false, true, false]);
    list_is_the_default(&stack);
    operator.journal_is_whole();
}
