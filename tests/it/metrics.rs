//! Traffic and alerts over real sockets: hostile exporters, and Prometheus' API as it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quarterdeck::config::SecretRef;
use quarterdeck::domain::{
    Address, CheckState, Clean, Container, ContainerId, ContainerState, Detail, Drift, FaultKind,
    Health, Image, Limits, Thresholds, Timestamp,
};
use quarterdeck::link::fetch::{Bounds, Fetcher};
use quarterdeck::link::prometheus::Prometheus;
use quarterdeck::probe::Look;
use quarterdeck::probe::alerts::AlertsProbe;
use quarterdeck::probe::traffic::{MetricsProbe, PrometheusProbe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(5),
    body_bytes_max: 8 * 1024 * 1024,
};

/// A server that lives as long as the test.
struct Server {
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers every connection by the given function, which gets the request's head and body.
async fn serve<F, T>(answer: F) -> Server
where
    F: Fn(String, TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = request(&mut stream).await;
            tokio::spawn(answer(request, stream));
        }
    });
    Server { url, task }
}

async fn request(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk).await.unwrap_or(0);
        all.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&all).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if n == 0 {
                return text;
            }
            continue;
        };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0);
        if n == 0 || body.len() >= length {
            return text;
        }
    }
}

async fn reply(mut stream: TcpStream, status: &str, body: String) {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
}

/// Memory of this process in bytes, by the kernel.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    kilobytes
        .and_then(|n| n.parse::<u64>().ok())
        .expect("VmRSS")
        * 1024
}

#[tokio::test]
async fn an_exposition_of_200_mb_is_left_at_the_limit() {
    const ALL: u64 = 200 * 1024 * 1024;
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let server = serve(move |_, mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let line = format!("http_requests_total{{user=\"{}\"}} 1\n", "x".repeat(65_000));
            while counter.load(Ordering::Relaxed) < ALL {
                if stream.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
                counter.fetch_add(line.len() as u64, Ordering::Relaxed);
            }
        }
    })
    .await;
    let before = resident();
    let fault = Fetcher::default()
        .get(&server.url, BOUNDS)
        .await
        .expect_err("too much");
    assert_eq!(fault.kind, FaultKind::TooLarge, "{fault}");
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 32 * 1024 * 1024, "{sent} bytes were taken");
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes of memory");
}

#[tokio::test]
async fn an_answer_that_drips_is_silent_at_the_deadline() {
    let server = serve(|_, mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        // Stays open and says no more, until the other side ends it.
        let _ = stream.read(&mut [0; 1]).await;
    })
    .await;
    let bounds = Bounds {
        total: Duration::from_millis(200),
        ..BOUNDS
    };
    let fault = Fetcher::default().get(&server.url, bounds).await;
    assert_eq!(fault.expect_err("no end").kind, FaultKind::Silent);
}

#[tokio::test]
async fn redirects_are_not_followed_and_closed_ports_refuse() {
    let server = serve(|_, stream| {
        reply(
            stream,
            "302 Found\r\nLocation: http://192.0.2.1/",
            String::new(),
        )
    })
    .await;
    let fetch = Fetcher::default();
    let answer = fetch.get(&server.url, BOUNDS).await.expect("an answer");
    assert_eq!(answer.status, 302);
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", closed.local_addr().expect("an address"));
    drop(closed);
    let fault = fetch.get(&url, BOUNDS).await.expect_err("nobody there");
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
}

/// Prometheus' answers, by path and by what the query contains.
async fn prometheus(down: bool) -> Server {
    serve(move |request, stream| async move {
        let body = match request.split(' ').nth(1).unwrap_or_default() {
            "/api/v1/alerts" => r#"{"status":"success","data":{"alerts":[]}}"#.to_owned(),
            "/api/v1/rules" => {
                r#"{"status":"success","data":{"groups":[{"name":"g","rules":[
                {"state":"inactive","name":"Slow","query":"up==0","health":"ok","type":"alerting"}]}]}}"#
                    .to_owned()
            }
            "/api/v1/targets?state=active" => {
                let health = if down { "down" } else { "up" };
                format!(
                    r#"{{"status":"success","data":{{"activeTargets":[{{"labels":{{"job":"server","instance":"10.0.0.1:5000"}},
                "lastError":"","lastScrape":"2026-11-20T12:00:00Z","health":"{health}","scrapeInterval":"5s"}}]}}}}"#
                )
            }
            _ => query(&request),
        };
        reply(stream, "200 OK", body).await;
    })
    .await
}

fn query(request: &str) -> String {
    let rows = if request.contains("timestamp") {
        r#"{"metric":{"instance":"10.0.0.1:5000"},"value":[1000.5,"998"]}"#
    } else if request.contains("_bucket") {
        r#"{"metric":{"instance":"10.0.0.1:5000","le":"0.1"},"value":[1000.5,"5"]},
           {"metric":{"instance":"10.0.0.1:5000","le":"+Inf"},"value":[1000.5,"5"]}"#
    } else {
        r#"{"metric":{"instance":"10.0.0.1:5000","code":"200"},"value":[1000.5,"5"]}"#
    };
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{rows}]}}}}"#)
}

#[tokio::test]
async fn prometheus_is_asked_and_understood() {
    let server = prometheus(false).await;
    let (_sender, roster) = tokio::sync::watch::channel(Arc::from(Vec::new()));
    let mut probe = PrometheusProbe::new(
        Clean::from("server"),
        Prometheus::new(&server.url),
        Clean::from("job=\"server\""),
        Duration::from_secs(5),
        Thresholds::default(),
        roster,
    );
    let reading = probe.look(Timestamp(0)).await.expect("a reading");
    assert_eq!(reading.health, Health::Good, "{}", reading.summary);
    assert!(
        reading
            .summary
            .starts_with("5.0/s, 0 % errors, p95 95 ms, 1 of 1 counted"),
        "{}",
        reading.summary
    );
}

#[tokio::test]
async fn alerts_are_asked_and_understood() {
    for (down, health) in [(false, Health::Good), (true, Health::Poor)] {
        let server = prometheus(down).await;
        let mut probe = AlertsProbe::new(Prometheus::new(&server.url));
        let reading = probe.look(Timestamp(0)).await.expect("a reading");
        assert_eq!(reading.health, health, "{}", reading.summary);
    }
}

#[tokio::test]
async fn a_prometheus_that_is_not_there_is_a_fault() {
    let mut probe = AlertsProbe::new(Prometheus::new("http://127.0.0.1:1"));
    let fault = probe.look(Timestamp(0)).await.expect_err("nobody there");
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
}

#[tokio::test]
async fn the_token_goes_to_prometheus_and_is_shown_nowhere() {
    let server = serve(|request, mut stream| async move {
        let known = request
            .to_lowercase()
            .contains("authorization: bearer hunter2");
        let status = if known { "200 OK" } else { "401 Unauthorized" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let token = |value: Option<&'static str>| {
        SecretRef::Env("TOKEN".to_owned()).read(|_| value.map(Into::into))
    };
    let signed = Prometheus::new(&server.url).token(token(Some("hunter2")));
    assert_eq!(signed.ready().await, Ok(()));
    assert!(!format!("{signed:?}").contains("hunter2"));

    let unsigned = Prometheus::new(&server.url).ready().await.unwrap_err();
    assert_eq!(unsigned.kind, FaultKind::Denied);
    assert!(unsigned.to_string().contains("token"), "{unsigned}");

    let unset = Prometheus::new(&server.url).token(token(None));
    let fault = unset.ready().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Misconfigured, "{fault}");
    assert!(fault.text.contains("TOKEN"), "{fault}");
}

/// A running replica of `server` at an address of its own.
fn replica(number: u32, ip: &str) -> Container {
    Container {
        id: ContainerId(Clean::from(format!("id{number}"))),
        name: Clean::from(format!("lab-server-{number}")),
        project: Clean::from("lab"),
        service: Clean::from("server"),
        number: Some(number),
        state: ContainerState::Running,
        check: CheckState::None,
        check_streak: 0,
        check_log: Vec::new(),
        check_command: Clean::default(),
        restarts: 0,
        exit_code: None,
        oom_killed: false,
        error: Clean::default(),
        created_at: None,
        started_at: None,
        finished_at: None,
        image: Image::default(),
        drift: Drift::Same,
        addresses: vec![Address {
            network: Clean::from("lab_default"),
            ip: Clean::from(ip),
        }],
        ports: Vec::new(),
        mounts: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        limits: Limits::default(),
        restart_policy: Clean::default(),
        user: Clean::default(),
        pid: None,
    }
}

#[tokio::test]
async fn a_frozen_exporter_costs_its_own_figures_and_no_others() {
    let requests = AtomicU64::new(100);
    let alive = serve(move |_, stream| {
        let n = requests.fetch_add(50, Ordering::Relaxed);
        let body = format!("http_requests_total{{status=\"200\"}} {n}\n");
        reply(stream, "200 OK", body)
    })
    .await;
    let port: u16 = alive
        .url
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .expect("a port");
    // Same port, another loopback address: connections are made, and nothing ever comes.
    let frozen = TcpListener::bind(("127.0.0.2", port)).await.expect("free");
    let all = vec![replica(1, "127.0.0.1"), replica(2, "127.0.0.2")];
    let (_sender, roster) = tokio::sync::watch::channel(Arc::from(all));
    let mut probe = MetricsProbe::new(
        Clean::from("server"),
        port,
        Clean::from("/metrics"),
        Duration::from_secs(2),
        Thresholds::default(),
        roster,
    );
    probe.look(Timestamp(0)).await.expect("a first look");
    let reading = probe.look(Timestamp(10_000)).await.expect("a reading");
    assert_eq!(reading.health, Health::Poor, "{}", reading.summary);
    let Detail::Traffic(traffic) = reading.detail else {
        panic!("no traffic");
    };
    assert_eq!((traffic.counted, traffic.total.requests), ((1, 2), 50));
    let fault = traffic.replicas[1].fault.as_ref().expect("a fault");
    assert_eq!(fault.kind, FaultKind::Silent, "{fault}");
    drop(frozen);
}
