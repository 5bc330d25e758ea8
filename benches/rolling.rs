//! What a rolling restart costs beside plain `docker restart`, one replica after the other, with the same waits.
//!
//! `cargo bench --bench rolling` does both on the reference stack (`assets/stack/up` first), one right after the other,
//! with short waits and with the runbook's own, and prints the ratios. What the runbook adds is the drain, the return
//! into the gateway's list, and the record; what it saves is that it asks the replica itself while the engine's health
//! check, which looks every other second, is still to come.

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
const IN_A_ROW: usize = 3;
const PROBE_EVERY: Duration = Duration::from_secs(1);
const HEALTHY_LIMIT: Duration = Duration::from_mins(2);
/// As the issue promises it.
const RATIO_MAX: f64 = 1.15;

/// How long both wait for the same.
struct Waits {
    title: &'static str,
    min_healthy_time: Duration,
    settle: Duration,
}

const WAITS: [Waits; 2] = [
    Waits {
        title: "short waits",
        min_healthy_time: Duration::from_secs(1),
        settle: Duration::from_secs(1),
    },
    Waits {
        title: "the runbook's own waits",
        min_healthy_time: Duration::from_secs(10),
        settle: Duration::from_secs(2),
    },
];

fn main() {
    let servers = servers();
    if servers.is_empty() {
        println!("skipped: the reference stack is not up (assets/stack/up)");
        return;
    }
    for waits in &WAITS {
        let plain = timed(|| servers.iter().for_each(|id| plain_restart(id, waits)));
        let ours = timed(|| rolling_restart(waits));
        let ratio = ours.as_secs_f64() / plain.as_secs_f64();
        let verdict = if ratio <= RATIO_MAX { "kept" } else { "BROKEN" };
        println!("{}, {} replicas", waits.title, servers.len());
        println!("  docker restart, one after the other, with the same waits   {plain:.1?}");
        println!("  quarterdeck run rolling-restart                            {ours:.1?}");
        println!(
            "  ratio                                                      {ratio:.2} (promised: at most {RATIO_MAX}: {verdict})"
        );
    }
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

fn plain_restart(id: &str, waits: &Waits) {
    docker(&["restart", "--time", "10", id]);
    let began = Instant::now();
    let (mut row, mut since) = (0, Instant::now());
    while row < IN_A_ROW || since.elapsed() < waits.min_healthy_time {
        assert!(began.elapsed() < HEALTHY_LIMIT, "{id} does not get healthy");
        if docker(&["inspect", "--format", "{{.State.Health.Status}}", id]) == "healthy" {
            if row == 0 {
                since = Instant::now();
            }
            row += 1;
            let left = waits.min_healthy_time.saturating_sub(since.elapsed());
            if row < IN_A_ROW || !left.is_zero() {
                sleep(PROBE_EVERY);
            }
        } else {
            row = 0;
            sleep(LOOK_EVERY);
        }
    }
    sleep(waits.settle);
}

fn rolling_restart(waits: &Waits) {
    let word = |name: &str, span: Duration| format!("{name}={}s", span.as_secs());
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
        .arg(word("min_healthy_time", waits.min_healthy_time))
        .arg(word("settle", waits.settle))
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{output:?}");
}
