//! Checks, the tap and what they say of a whole stack: asserted alike on the practice range and on the reference stack.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use quarterdeck::config::SecretRef;
use quarterdeck::domain::{Clean, Stack, Timestamp, TrafficSpec};
use quarterdeck::link::docker::{Address, Engine, LogRange};
use quarterdeck::link::prometheus::Prometheus;
use quarterdeck::link::tls::Roots;
use quarterdeck::probe::check::{Check, Eyes, Outcome, Reach, Verdict};
use quarterdeck::probe::tap::{Failure, Tap, TapCount, TapSettings};
use quarterdeck::range::scenario::{Fault, Scenario};
use quarterdeck::range::{Options, Range};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const PROJECT: &str = "hyper-mission";

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// One of the two, and what differs between them.
struct Place {
    eyes: Eyes,
    ca: PathBuf,
    gateway: String,
    /// Answered by a replica, without a login.
    api: &'static str,
    /// Database and user.
    database: (&'static str, &'static str),
}

fn eyes(socket: &Path, gateway: &str, ca: &Path, prometheus: &str, metrics_port: u16) -> Eyes {
    let every = Duration::from_secs(2);
    let service = Clean::from("server");
    let mut stack = Stack::discovered(PROJECT.into());
    stack.prometheus = Some(prometheus.into());
    stack.traffic = vec![TrafficSpec::Metrics {
        service,
        port: metrics_port,
        path: "/metrics".into(),
        every,
    }];
    Eyes {
        engine: Engine::new(Address::Unix(socket.to_owned()), std::env::temp_dir()),
        stack: Arc::new(stack),
        prometheus: Some(Prometheus::new(prometheus)),
        roots: Roots::system_lazily(),
        ca_file: Some(ca.to_owned()),
        gateway: Some(gateway.into()),
        reach: Reach::nothing(),
    }
}

impl Place {
    async fn run(&self, toml: &str) -> Outcome {
        let check: Check = toml::from_str(toml).unwrap();
        check.run(&self.eyes, now()).await
    }

    async fn check(&self, verdict: Verdict, toml: &str) -> Outcome {
        let outcome = self.run(toml).await;
        assert_eq!(outcome.verdict, verdict, "{toml}\n{outcome:#?}");
        outcome
    }

    fn tap(&self, rate: u32) -> Tap {
        let url = format!("{}{}", self.gateway, self.api);
        let mut settings = TapSettings::new(&url, "GET", rate).unwrap();
        settings.ca_file = Some(self.ca.clone());
        Tap::start(settings, Roots::system_lazily(), now)
    }

    /// The same eyes, with another source of traffic.
    fn traffic_from(&self, spec: TrafficSpec) -> Place {
        let mut stack = Stack::clone(&self.eyes.stack);
        stack.traffic = vec![spec];
        Place {
            eyes: Eyes {
                stack: Arc::new(stack),
                ..self.eyes.clone()
            },
            ca: self.ca.clone(),
            gateway: self.gateway.clone(),
            ..*self
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

async fn range(dir: &Path) -> (Range, Place) {
    let options = Options {
        scenario: Scenario::calm(),
        dir: dir.join("range"),
        seed: 11,
        speed: 1.0,
    };
    let range = Range::start(options).await.unwrap();
    let gateway = format!("https://localhost:{}", range.https_port);
    let prometheus = format!("http://127.0.0.1:{}", range.prometheus_port);
    let (_, metrics) = range.metrics_addresses()[0].clone();
    let ca = range.ca_path();
    let socket = range.socket_path();
    let place = Place {
        eyes: eyes(&socket, &gateway, &ca, &prometheus, metrics.port()),
        ca,
        gateway,
        api: "/api/health",
        database: ("app", "app"),
    };
    (range, place)
}

async fn on_the_range(assertions: impl AsyncFn(&Place)) {
    let dir = tempfile::tempdir().unwrap();
    let (range, place) = range(dir.path()).await;
    assertions(&place).await;
    range.stop().await;
}

async fn on_the_reference_stack(assertions: impl AsyncFn(&Place)) {
    let Some(stack) = crate::stack::reference_stack() else {
        return;
    };
    let gateway = "https://localhost:8443".to_owned();
    let socket = Path::new("/var/run/docker.sock");
    let prometheus = "http://127.0.0.1:9092";
    let place = Place {
        eyes: eyes(socket, &gateway, &stack.ca(), prometheus, 5000),
        ca: stack.ca(),
        gateway,
        api: "/api/ping",
        database: ("hyper_mission", "hyper"),
    };
    assertions(&place).await;
}

/// A contract is one set of assertions and two tests.
macro_rules! contract {
    ($name:ident) => {
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_the_range() {
                super::on_the_range(async |place| super::$name(place).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_the_reference_stack() {
                super::on_the_reference_stack(async |place| super::$name(place).await).await;
            }
        }
    };
}

contract!(containers_are_counted);
contract!(the_gateways_answer_is_compared);
contract!(the_certificate_is_judged);
contract!(prometheus_is_asked);
contract!(the_database_is_asked_and_not_changed);
contract!(traffic_is_judged_from_every_source);
contract!(a_tap_on_a_sound_stack_loses_nothing);

async fn containers_are_counted(place: &Place) {
    let good = "kind = 'containers'\nservice = 'server'\nhealthy = '>= 3'\nreplicas = 3\nimage = 'contains server'";
    let outcome = place.check(Verdict::Pass, good).await;
    assert_eq!(outcome.evidence["got"]["of"], 3);
    let more = "kind = 'containers'\nservice = 'server'\nhealthy = '>= 4'";
    let outcome = place.check(Verdict::Fail, more).await;
    assert_eq!(outcome.said, "healthy 3, expected >= 4");
    let none = "kind = 'containers'\nservice = 'nobody'\nreplicas = '>= 1'";
    place.check(Verdict::Fail, none).await;
}

async fn the_gateways_answer_is_compared(place: &Place) {
    let api = place.api;
    let good = format!(
        "kind = 'http'\nurl = '{api}'\nstatus = 200\nttfb = '< 5 s'\ntotal = '< 5 s'\nbody = 'matches .'\nheader = {{ 'Strict-Transport-Security' = 'contains max-age' }}"
    );
    let outcome = place.check(Verdict::Pass, &good).await;
    assert!(outcome.said.contains("status 200 (== 200)"), "{outcome:?}");
    let wrong = format!(
        "kind = 'http'\nurl = '{api}'\nstatus = 404\nheader = {{ 'X-Nobody' = '== 1' }}\nbody = 'contains no such word'"
    );
    let outcome = place.check(Verdict::Fail, &wrong).await;
    for says in [
        "status 200, expected == 404",
        "X-Nobody is missing",
        "no such word",
    ] {
        assert!(outcome.said.contains(says), "{outcome:?}");
    }
    let blind = Place {
        eyes: Eyes {
            ca_file: None,
            ..place.eyes.clone()
        },
        ca: place.ca.clone(),
        gateway: place.gateway.clone(),
        ..*place
    };
    let untrusted = blind.run(&good).await;
    assert_ne!(untrusted.verdict, Verdict::Pass, "{untrusted:?}");
}

async fn the_certificate_is_judged(place: &Place) {
    let endpoint = place.gateway.trim_start_matches("https://");
    let check = |days: &str| format!("kind = 'tls'\nendpoint = '{endpoint}'\ndays = '{days}'");
    let outcome = place.check(Verdict::Pass, &check("> 1")).await;
    assert_eq!(outcome.evidence["got"]["protocol"], "TLS 1.3");
    let outcome = place.check(Verdict::Fail, &check("> 9999 days")).await;
    assert!(outcome.said.contains("expected > 9999 days"), "{outcome:?}");
}

async fn prometheus_is_asked(place: &Place) {
    let check =
        |query: &str, value: &str| format!("kind = 'promql'\nquery = '{query}'\nvalue = '{value}'");
    // It may just have been started, and have scraped nobody yet.
    let query = "sum(up{job=\"server\"})";
    let began = Instant::now();
    while place.run(&check(query, "== 3")).await.verdict != Verdict::Pass {
        assert!(began.elapsed() < PATIENCE, "never: three replicas are up");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    place.check(Verdict::Fail, &check(query, "> 99")).await;
    let nothing = check("sum(nobody_counts_this)", "< 1");
    let outcome = place.check(Verdict::CouldNotRun, &nothing).await;
    assert!(outcome.said.contains("no data"), "{outcome:?}");
}

async fn the_database_is_asked_and_not_changed(place: &Place) {
    let (database, user) = place.database;
    let check = |query: &str, value: &str| {
        format!(
            "kind = 'sql'\nservice = 'postgres'\ndatabase = '{database}'\nuser = '{user}'\nquery = \"{query}\"\nvalue = '{value}'"
        )
    };
    let count = "SELECT count(*) FROM pg_stat_activity";
    place.check(Verdict::Pass, &check(count, ">= 1")).await;
    place.check(Verdict::Fail, &check(count, "< 0")).await;
    let outcome = place
        .check(
            Verdict::CouldNotRun,
            &check("SELECT count(*) FROM nobody", "> 0"),
        )
        .await;
    assert!(outcome.said.contains("nobody"), "{outcome:?}");
    let outcome = place
        .check(
            Verdict::CouldNotRun,
            &check("CREATE TABLE trespass (n int)", "> 0"),
        )
        .await;
    assert!(!outcome.evidence["fault"].is_null(), "{outcome:?}");
}

async fn traffic_is_judged_from_every_source(place: &Place) {
    let tap = place.tap(50);
    let service = Clean::from("server");
    let every = Duration::from_secs(2);
    let Some(metrics) = place.eyes.stack.traffic.first() else {
        panic!("a place has a source")
    };
    let prometheus = TrafficSpec::Prometheus {
        service: service.clone(),
        url: place.eyes.stack.prometheus.clone().unwrap(),
        selector: "job=\"server\"".into(),
        every,
    };
    let log = TrafficSpec::AccessLog {
        gateway: "gateway".into(),
        service,
        every,
    };
    for source in [metrics.clone(), log, prometheus] {
        let place = place.traffic_from(source.clone());
        let good = "kind = 'traffic'\nservice = 'server'\nerrors = '< 5 %'\np95 = '< 4 s'";
        // Prometheus needs two scrapes before it knows a rate.
        let began = Instant::now();
        let outcome = loop {
            let outcome = place.run(good).await;
            if outcome.verdict == Verdict::Pass || began.elapsed() > PATIENCE {
                break outcome;
            }
        };
        assert_eq!(outcome.verdict, Verdict::Pass, "{source:?}\n{outcome:#?}");
        let strict = "kind = 'traffic'\nservice = 'server'\np95 = '< 0 ms'";
        place.check(Verdict::Fail, strict).await;
    }
    let other = "kind = 'traffic'\nservice = 'redis'\nerrors = '< 5 %'";
    place.check(Verdict::CouldNotRun, other).await;
    adds_up(&tap.stop().await);
}

/// What the tap counted is what the gateway saw, request by request.
async fn a_tap_on_a_sound_stack_loses_nothing(place: &Place) {
    let mark = format!("mark={}", now().0);
    let url = format!("{}{}?{mark}", place.gateway, place.api);
    let mut settings = TapSettings::new(&url, "GET", 50).unwrap();
    settings.ca_file = Some(place.ca.clone());
    let tap = Tap::start(settings, Roots::system_lazily(), now);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let count = tap.stop().await;
    adds_up(&count);
    assert_eq!((count.failed, count.against()), (0, 0), "{count:#?}");
    assert!(count.sent >= 120, "{count:#?}");
    assert!(count.p99_ms.is_some(), "{count:#?}");
    eprintln!("{}: {}", place.gateway, count.line());
    let began = Instant::now();
    // The log is written after the answer.
    while served(place, &mark).await < count.sent && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(served(place, &mark).await, count.sent);
}

/// Requests with this mark in the gateway's log.
async fn served(place: &Place, mark: &str) -> u64 {
    let engine = &place.eyes.engine;
    let listed = engine.list(PROJECT).await.unwrap();
    let gateway = listed.iter().find(|one| one.service == "gateway").unwrap();
    let range = LogRange {
        tail: Some(5_000),
        ..LogRange::default()
    };
    let mut lines = engine.logs(&gateway.id, false, range).await.unwrap();
    let mut marked = 0;
    while let Some(line) = lines.next().await {
        marked += u64::from(String::from_utf8_lossy(&line.unwrap().bytes).contains(mark));
    }
    marked
}

#[track_caller]
fn adds_up(count: &TapCount) {
    assert_eq!(count.in_flight, 0, "{count:#?}");
    assert_eq!(count.sent, count.answered + count.failed, "{count:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_dies_is_seen_by_the_tap_and_by_the_checks() {
    let dir = tempfile::tempdir().unwrap();
    let (range, place) = range(dir.path()).await;
    let tap = place.tap(50);
    let healthy = "kind = 'containers'\nservice = 'server'\nhealthy = '>= 2'";
    place.check(Verdict::Pass, healthy).await;
    assert_eq!(tap.count().failed, 0);
    for number in 1..=3 {
        let target = format!("server-{number}");
        range.inject(&Fault::Die { target });
    }
    let began = Instant::now();
    while tap.count().failed < 10 {
        assert!(began.elapsed() < PATIENCE, "never: {:#?}", tap.count());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let outcome = place.check(Verdict::Fail, healthy).await;
    assert_eq!(outcome.said, "healthy 0, expected >= 2");
    let count = tap.stop().await;
    adds_up(&count);
    assert_eq!(count.by_kind[&Failure::Status], count.failed, "{count:#?}");
    let first = count.first_failure.unwrap();
    assert!(
        first.status.is_some_and(|status| status >= 502),
        "{first:?}"
    );
    range.stop().await;
}

#[tokio::test]
async fn a_tap_sends_nothing_to_a_server_that_it_does_not_trust() {
    let dir = tempfile::tempdir().unwrap();
    let (range, place) = range(dir.path()).await;
    let settings = TapSettings::new(&format!("{}/", place.gateway), "GET", 50).unwrap();
    let tap = Tap::start(settings, Roots::system_lazily(), now);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let count = tap.stop().await;
    adds_up(&count);
    assert!(count.sent > 0);
    assert_eq!(count.answered, 0, "{count:#?}");
    range.stop().await;
}

/// A server that answers everybody with the same bytes, and keeps what it was asked.
async fn parrot(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 8192];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            // Who reads only so much hangs up.
            let _ = stream.write_all(&answer(&head)).await;
        }
    });
    (url, task)
}

/// Reaches nothing but what is named: an engine that is not there, and this Prometheus.
fn lone(prometheus: Prometheus) -> Eyes {
    let nowhere = Path::new("/nowhere");
    let eyes = eyes(
        nowhere,
        "http://127.0.0.1:1",
        nowhere,
        "http://127.0.0.1:1",
        1,
    );
    Eyes {
        prometheus: Some(prometheus),
        ca_file: None,
        ..eyes
    }
}

async fn run_lone(toml: &str, prometheus: Prometheus) -> Outcome {
    let check: Check = toml::from_str(toml).unwrap();
    check.run(&lone(prometheus), now()).await
}

#[tokio::test]
async fn a_cookies_value_is_in_no_record() {
    let (url, server) = parrot(|_| {
        b"HTTP/1.1 200 OK\r\nSet-Cookie: session=canary-7f3a; Secure; HttpOnly\r\nContent-Length: 0\r\n\r\n"
            .to_vec()
    })
    .await;
    for (expected, verdict) in [
        ("contains Secure", Verdict::Pass),
        ("contains SameSite", Verdict::Fail),
    ] {
        let check =
            format!("kind = 'http'\nurl = '{url}/'\nheader = {{ 'Set-Cookie' = '{expected}' }}");
        let outcome = run_lone(&check, Prometheus::new(&url)).await;
        assert_eq!(outcome.verdict, verdict, "{outcome:#?}");
        let kept = serde_json::to_string(&outcome).unwrap();
        assert!(!kept.contains("canary"), "{kept}");
        assert!(kept.contains("session=[kept out]"), "{kept}");
    }
    server.abort();
}

#[tokio::test]
async fn the_token_of_prometheus_is_in_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "canary-7f3a\n").unwrap();
    let (asked, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let (url, server) = parrot(move |head| {
        asked.send(head.to_owned()).unwrap();
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec()
    })
    .await;
    let token = SecretRef::File(path).read(|_| None);
    let outcome = run_lone(
        "kind = 'promql'\nquery = 'sum(up)'\nvalue = '> 1'",
        Prometheus::new(&url).token(token),
    )
    .await;
    let head = heads.recv().await.unwrap();
    assert!(head.contains("Bearer canary-7f3a"), "it was used: {head}");
    assert_eq!(outcome.verdict, Verdict::CouldNotRun);
    let kept = serde_json::to_string(&outcome).unwrap();
    assert!(!kept.contains("canary"), "{kept}");
    server.abort();
}

#[tokio::test]
async fn a_huge_hostile_body_is_compared_in_part_and_kept_in_less() {
    let (url, server) = parrot(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n\x1b]52;c;aGk=\x07".to_vec();
        answer.resize(60_000, b'x');
        answer.extend(b"needle");
        answer.resize(10_000_000, b'y');
        answer
    })
    .await;
    let check = |body: &str| format!("kind = 'http'\nurl = '{url}/'\nbody = '{body}'");
    let found = run_lone(&check("contains needle"), Prometheus::new(&url)).await;
    assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.said);
    let lost = run_lone(&check("contains nobody"), Prometheus::new(&url)).await;
    assert_eq!(lost.verdict, Verdict::Fail, "{:?}", lost.said);
    let kept = serde_json::to_string(&lost).unwrap();
    assert!(kept.len() < 8_000, "{} bytes", kept.len());
    assert!(
        !kept.contains("\\u001b") && !kept.contains('\u{1b}'),
        "{kept}"
    );
    server.abort();
}
