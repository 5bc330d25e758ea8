//! What a backup costs beside `docker exec … pg_dump -Fc > file` on the same database, and the memory it takes.
//!
//! `cargo bench --bench backup` prints both. Promised: within 10 %, and less than 32 MiB whatever the size. The database
//! is pgbench's, `SCALE` times 100,000 rows (default 20, about 300 MB). Figures never fail a run.

#![expect(
    clippy::print_stdout,
    reason = "a table on the standard output is what a bench is for"
)]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quarterdeck::domain::{BackupSource, BackupSpec, Clean, Stack, StoreSpec, Timestamp};
use quarterdeck::engine::RunId;
use quarterdeck::link::docker::{Address, Engine};
use quarterdeck::link::tls::Roots;
use quarterdeck::probe::check::{Eyes, Reach};
use quarterdeck::step::{Act, Hands, Hurry, Step};
use serde_json::json;

const IMAGE: &str = "hyper-mission/postgres:15";
const ROUNDS: usize = 3;

/// Removed whatever happens.
struct Server(String);

impl Drop for Server {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

fn docker(words: &[&str]) -> bool {
    let mut command = Command::new("docker");
    command
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn main() {
    if !docker(&["image", "inspect", IMAGE]) {
        println!("skipped: no Docker engine, or no {IMAGE} (assets/stack/up builds it)");
        return;
    }
    let server = start();
    fill(&server);
    let dir = Path::new("target").join("bench-backup");
    let home = dir.join("home");
    std::fs::create_dir_all(&home).expect("a folder for backups");
    let home = home.canonicalize().expect("a folder that is there");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    // Once each, so that both find the same caches.
    plain(&server, &dir);
    ours(&runtime, &server, &home);
    let (mut by_hand, mut by_us, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let (took, written) = plain(&server, &dir);
        by_hand.push(took);
        bytes = written;
        by_us.push(ours(&runtime, &server, &home));
    }
    by_hand.sort();
    by_us.sort();
    let (hand, us) = (by_hand[ROUNDS / 2], by_us[ROUNDS / 2]);
    let ratio = us.as_secs_f64() / hand.as_secs_f64();
    println!(
        "backup   {bytes} bytes: pg_dump -Fc > file {hand:?}, with manifest, list, hash and fsync {us:?}"
    );
    println!("backup   takes {ratio:.2} times as long (promised: at most 1.10)");
    println!(
        "backup   peak memory {} KiB (promised: less than 32768)",
        peak_kib()
    );
    std::fs::remove_dir_all(&dir).expect("the folder goes");
}

fn start() -> Server {
    let name = format!("bench-backup-{}", std::process::id());
    let server = Server(name.clone());
    let project = format!("com.docker.compose.project={name}");
    let run = [
        "run",
        "--detach",
        "--name",
        &name,
        "--label",
        &project,
        "--label",
        "com.docker.compose.service=postgres",
        "--env",
        "POSTGRES_PASSWORD=none",
        "--env",
        "POSTGRES_USER=postgres",
        "--env",
        "POSTGRES_DB=app",
        IMAGE,
    ];
    assert!(docker(&run), "the container starts");
    let begun = Instant::now();
    while !docker(&[
        "exec",
        &name,
        "pg_isready",
        "-q",
        "-h",
        "127.0.0.1",
        "-d",
        "app",
    ]) {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "PostgreSQL gets up"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    server
}

/// The tables of pgbench, made in the server.
fn fill(server: &Server) {
    let scale = std::env::var("SCALE")
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    let rows = u64::from(scale.unwrap_or(20)) * 100_000;
    let script = format!(
        "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)); \
         INSERT INTO pgbench_accounts SELECT n, n / 100000, 0, '' FROM generate_series(1, {rows}) n; \
         CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22)); \
         INSERT INTO pgbench_history SELECT n % 10, n % 7, n, n % 5000, now(), md5(n::text) FROM generate_series(1, {rows} / 4) n; \
         VACUUM ANALYZE;"
    );
    let parts: Vec<&str> = script.split_inclusive(';').collect();
    for part in parts {
        let words = [
            "exec", &server.0, "psql", "-Xq", "-U", "postgres", "-d", "app", "-c", part,
        ];
        assert!(docker(&words), "{part}");
    }
}

fn plain(server: &Server, dir: &Path) -> (Duration, u64) {
    let path = dir.join("plain.dump");
    let out = File::create(&path).expect("a file");
    let begun = Instant::now();
    let status = Command::new("docker")
        .args([
            "exec", &server.0, "pg_dump", "-Fc", "-U", "postgres", "-d", "app",
        ])
        .stdout(out)
        .status()
        .expect("docker runs");
    let took = begun.elapsed();
    assert!(status.success(), "pg_dump ends well");
    (took, path.metadata().expect("written").len())
}

fn ours(runtime: &tokio::runtime::Runtime, server: &Server, home: &Path) -> Duration {
    let hands = hands(server, home);
    let step: Step = serde_json::from_value(json!({"kind": "backup", "target": "app"}))
        .expect("a step as a runbook writes it");
    let begun = Instant::now();
    runtime.block_on(async {
        let before = step.before(&hands).await.expect("looked");
        step.perform(&hands, &before).await.expect("made");
    });
    let took = begun.elapsed();
    for entry in std::fs::read_dir(home).expect("listed") {
        std::fs::remove_file(entry.expect("read").path()).expect("removed");
    }
    took
}

fn hands(server: &Server, home: &Path) -> Hands {
    let project = Clean::from(server.0.as_str());
    let mut stack = Stack::discovered(project.clone());
    stack.backups = vec![BackupSpec {
        source: Some(BackupSource::Postgres {
            service: Clean::from("postgres"),
            database: Clean::from("app"),
            user: Clean::from("postgres"),
            password: None,
        }),
        stores: vec![StoreSpec {
            name: Clean::from("local"),
            url: Clean::from(format!("file://{}", home.display())),
            endpoint: None,
            region: None,
            access_key: None,
            secret_key: None,
        }],
        ..BackupSpec::of_files(Clean::from("app"), home.to_owned(), Clean::from("app-*"))
    }];
    let engine = Engine::new(
        Address::Unix("/var/run/docker.sock".into()),
        home.join("runtime"),
    );
    Hands {
        eyes: Eyes {
            engine: engine.clone(),
            stack: Arc::new(stack),
            prometheus: None,
            roots: Roots::system_lazily(),
            ca_file: None,
            gateway: None,
            reach: Reach::nothing(),
        },
        engine,
        now: Arc::new(now),
        project,
        run: RunId(Clean::from("bench")),
        upstream: None,
        secret: Arc::new(|place| Err(Clean::line(&format!("no {}", place.shown())))),
        say: Arc::new(|_| ()),
        prove: Arc::new(|_| ()),
        hurry: Hurry::never(),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    Timestamp(u64::try_from(since.as_millis()).expect("before the year 500,000,000"))
}

/// The most this process ever held.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits = line.and_then(|line| line.split_whitespace().next());
    digits
        .and_then(|digits| digits.parse().ok())
        .expect("a number of kB")
}
