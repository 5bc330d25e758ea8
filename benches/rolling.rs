//! What a rolling restart costs beside plain `docker restart`, one replica after the other, with the same waits.
//!
//! `cargo bench --bench rolling` does both on the reference stack (`assets/stack/up` first), one right after the other,
//! and prints the ratio. What the runbook adds is the drain, the return into the gateway's list, and the record.

#![expect(
    clippy::print_stdout,
    reason = "a table on the standard output is what a bench is for"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PROJECT: &str = "hyper-mission";
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// As the runbook is asked for below.
const IN_A_ROW: usize = 3;
const MIN_HEALTHY_TIME: Duration = Duration::from_secs(1);
const PROBE_EVERY: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(1);
const HEALTHY_LIMIT: Duration = Duration::from_mins(2);

fn main() {
    let servers = servers();
    if servers.is_empty() {
        println!("skipped: the reference stack is not up (assets/stack/up)");
        return;
    }
    let plain = timed(|| servers.iter().for_each(|id| plain_restart(id)));
    let ours = timed(rolling_restart);
    println!("docker restart, one after the other, with the same waits   {plain:.1?}");
    println!("quarterdeck run rolling-restart                            {ours:.1?}");
    println!(
        "ratio                                                      {:.2} (promised: at most 1.15)",
        ours.as_secs_f64() / plain.as_secs_f64()
    );
}

fn timed(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed()
}

fn docker(words: &[&str]) -> String {
    let output = Command::new("docker")
        .args(words)
        .output()
        .expect("docker is installed");
    assert!(output.status.success(), "docker {words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn servers() -> Vec<String> {
    let project = format!("label=com.docker.compose.project={PROJECT}");
    let words = [
        "ps",
        "-q",
        "--filter",
        &project,
        "--filter",
        "label=com.docker.compose.service=server",
    ];
    let output = Command::new("docker").args(words).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn plain_restart(id: &str) {
    docker(&["restart", "--time", "10", id]);
    let began = Instant::now();
    let (mut row, mut since) = (0, Instant::now());
    while row < IN_A_ROW || since.elapsed() < MIN_HEALTHY_TIME {
        assert!(began.elapsed() < HEALTHY_LIMIT, "{id} does not get healthy");
        if docker(&["inspect", "--format", "{{.State.Health.Status}}", id]) == "healthy" {
            if row == 0 {
                since = Instant::now();
            }
            row += 1;
            if row < IN_A_ROW {
                sleep(PROBE_EVERY);
            }
        } else {
            row = 0;
            sleep(LOOK_EVERY);
        }
    }
    sleep(SETTLE);
}

fn rolling_restart() {
    let home = tempfile::tempdir().expect("a folder");
    let config =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/stack/hyper-mission/quarterdeck.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
        .arg("-c")
        .arg(config)
        .args([
            "run",
            "rolling-restart",
            "service=server",
            "--confirm=server",
        ])
        .args(["min_healthy_time=1s", "settle=1s"])
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{output:?}");
}
