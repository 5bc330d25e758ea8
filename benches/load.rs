//! What the load generator gets out of an nginx beside what `wrk` gets out of it, and how many connections it holds.
//!
//! `cargo bench --bench load` prints both, in one run, against the same nginx with the same connections. Needs `nginx`
//! and `wrk`. Figures never fail a run.

#![expect(
    clippy::print_stdout,
    reason = "a table on the standard output is what a bench is for"
)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quarterdeck::domain::Timestamp;
use quarterdeck::link::kept::Way;
use quarterdeck::link::tls::Roots;
use quarterdeck::link::url::Url;
use quarterdeck::probe::load::{self, Harm, Outcome, Plan};

const CONNECTIONS: u32 = 64;
const MANY: u32 = 10_000;
const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(4);

/// Ended with the bench.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let url = format!("http://127.0.0.1:{port}/");
    let Some(_nginx) = nginx(dir.path(), port) else {
        println!("load     no nginx here");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let Some(theirs) = wrk(&url) else {
            println!("load     no wrk here");
            return;
        };
        let outcome = runtime.block_on(ours(&url, CONNECTIONS, Duration::ZERO));
        let ours = each_second(&outcome);
        ratios.push(ours / theirs);
        println!(
            "load     wrk {theirs:.0}/s, ours {ours:.0}/s: {:.0} %, {} failed",
            100.0 * ours / theirs,
            outcome.tally.failed
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "load     {:.0} % of wrk at the median of {ROUNDS}, {CONNECTIONS} connections",
        100.0 * ratios[ROUNDS / 2]
    );
    let outcome = runtime.block_on(ours(&url, MANY, Duration::from_secs(2)));
    println!(
        "load     {} connections open after {:?}; {} requests on them, {} failed, p99 {:.0} ms",
        outcome.open,
        outcome.arrival,
        outcome.tally.sent,
        outcome.tally.failed,
        outcome.tally.percentile_ms(99).unwrap_or(f64::NAN)
    );
}

async fn ours(url: &str, users: u32, pause: Duration) -> Outcome {
    let url = Url::parse(url).expect("a URL");
    let way = Way::to(url, None, None, Roots::system_lazily())
        .await
        .expect("a way");
    let plan = Plan {
        head: false,
        rate: None,
        users: Some(users),
        pause,
        time: TIME,
        deadline: load::DEADLINE,
        harm: Harm::default(),
    };
    load::run(plan, way, Timestamp(0)).await.expect("a load")
}

#[expect(clippy::cast_precision_loss, reason = "requests are far below 2^52")]
fn each_second(outcome: &Outcome) -> f64 {
    outcome.tally.answered as f64 / outcome.took.as_secs_f64()
}

fn wrk(url: &str) -> Option<f64> {
    let time = format!("{}s", TIME.as_secs());
    let connections = CONNECTIONS.to_string();
    let output = Command::new("wrk")
        .args(["-t", "2", "-c", &connections, "-d", &time, url])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("Requests/sec"))?;
    line.split_whitespace().last()?.parse().ok()
}

fn nginx(dir: &Path, port: u16) -> Option<Nginx> {
    let folder = dir.display();
    let config = format!(
        "daemon off; pid {folder}/pid; error_log {folder}/error crit; worker_processes 1; worker_rlimit_nofile 12000;\n\
         events {{ worker_connections 11000; }}\n\
         http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s;\n\
         client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ default_type text/plain; return 200 \"ok\\n\"; }} }} }}\n"
    );
    let path = dir.join("nginx.conf");
    std::fs::write(&path, config).expect("a file");
    let child = Command::new("nginx")
        .args(["-e", "stderr", "-c"])
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let nginx = Nginx(child);
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if began.elapsed() > Duration::from_secs(5) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(nginx)
}
