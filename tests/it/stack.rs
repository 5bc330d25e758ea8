//! The reference stack, looked at from outside: what `assets/stack/up` promises is what these tests see.
//!
//! One bring-up serves all of them. The stack is one per machine (fixed ports, fixed project name), so a test holds it
//! alone: against the other threads by a mutex, against other processes by a lock on a file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

const HTTPS: &str = "https://localhost:8443";
const HTTP: &str = "http://127.0.0.1:8080";
const PROMETHEUS: &str = "http://127.0.0.1:9092";
const PROJECT: &str = "hyper-mission";
const REPLICAS: usize = 3;

/// Another test process may have the stack for as long as its whole run takes.
const LOCK_LIMIT: Duration = Duration::from_mins(10);
/// How often something that must become true is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The gateway tries for 5 s and reads for 15 s; nobody waits longer for an answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// The running stack, held alone until dropped.
pub(crate) struct Stack {
    folder: PathBuf,
    project: &'static str,
    _alone: MutexGuard<'static, ()>,
}

/// A test that failed halfway may have left a container stopped: the next one brings the stack up again.
static DIRTY: AtomicBool = AtomicBool::new(false);

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            DIRTY.store(true, Ordering::SeqCst);
        }
    }
}

/// The reference stack, up and healthy; `None` where there is no Docker engine.
pub(crate) fn reference_stack() -> Option<Stack> {
    static ALONE: Mutex<()> = Mutex::new(());
    static PROCESS: OnceLock<Option<File>> = OnceLock::new();

    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let here = PROCESS.get_or_init(|| {
        has_engine().then(|| {
            let lock = locked();
            up();
            lock
        })
    });
    if here.is_none() {
        let required = std::env::var("QUARTERDECK_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "no Docker engine, and QUARTERDECK_REQUIRE_DOCKER=1"
        );
        eprintln!("skipped: no Docker engine");
        return None;
    }
    if DIRTY.swap(false, Ordering::SeqCst) {
        up();
    }
    Some(Stack {
        folder: folder(),
        project: PROJECT,
        _alone: alone,
    })
}

fn has_engine() -> bool {
    Command::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn locked() -> File {
    let path = std::env::temp_dir().join("quarterdeck-reference-stack.lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return file,
            Err(TryLockError::Error(error)) => panic!("cannot lock {}: {error}", path.display()),
            Err(TryLockError::WouldBlock) => {
                assert!(
                    began.elapsed() < LOCK_LIMIT,
                    "{} is held by another process",
                    path.display()
                );
                std::thread::park_timeout(LOOK_EVERY);
            }
        }
    }
}

fn up() {
    run(Command::new(folder().join("../up")));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/stack/hyper-mission")
}

/// Standard output of a command; its failure fails the test with all it said.
#[track_caller]
fn run(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}\n{problem}",
        output.status
    );
    said
}

#[track_caller]
fn docker(words: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(words);
    run(command).trim().to_owned()
}

impl Stack {
    /// A client that trusts the stack's own authority and nobody else, and follows no redirection.
    pub(crate) fn client(&self) -> Client {
        Client::builder()
            .tls_backend_preconfigured(self.tls(&[]))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(REQUEST_LIMIT)
            .build()
            .unwrap()
    }

    /// A TLS configuration that trusts the stack's own authority and nobody else.
    pub(crate) fn tls(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConfig {
        let versions = if versions.is_empty() {
            rustls::ALL_VERSIONS
        } else {
            versions
        };
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.ca()).unwrap())
            .unwrap();
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// The authority that signed the gateway's certificate, PEM.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.join("tls/ca.pem")
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How Quarterdeck looks at it.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("quarterdeck.toml")
    }

    /// Ids of the running containers of a service.
    pub(crate) fn containers(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let filters = ["--filter", &project, "--filter", &service];
        let ids = docker(&[&["ps", "-q", "--no-trunc"], filters.as_slice()].concat());
        ids.lines().map(str::to_owned).collect()
    }

    /// Address of a container in the network that the gateway shares with it.
    pub(crate) fn address(&self, container: &str) -> String {
        let network = format!("{}_edge", self.project);
        let format = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
        docker(&["inspect", "--format", &format, container])
    }
}

/// Looks until there is an answer; fails the test when there is none in time.
async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let seen = timeout(limit, async {
        loop {
            ticks.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    });
    seen.await
        .unwrap_or_else(|_| panic!("not within {limit:?}: {what}"))
}

async fn healthy(container: &str) {
    let state = ["inspect", "--format", "{{.State.Health.Status}}", container];
    let look = async || (docker(&state) == "healthy").then_some(());
    eventually(
        &format!("{container} is healthy"),
        Duration::from_mins(1),
        look,
    )
    .await;
}

async fn get(client: &Client, url: &str) -> Response {
    client.get(url).send().await.unwrap()
}

async fn parsed(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn plain_http_is_redirected_to_the_tls_port() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let client = stack.client();
    for (host, path) in [("127.0.0.1", "/"), ("localhost", "/deep/link?a=b&c=%20")] {
        let answer = get(&client, &format!("http://{host}:8080{path}")).await;
        assert_eq!(answer.status(), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(
            answer.headers()[LOCATION],
            format!("https://{host}:8443{path}").as_str()
        );
    }
    let answer = client
        .post(format!("{HTTP}/api/login"))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::MOVED_PERMANENTLY,
        "not even a POST is answered in the clear"
    );
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let client = stack.client();
    let paths = [
        ("/", 200),
        ("/assets/none.css", 404),
        ("/api/ping", 200),
        ("/api/none", 404),
        ("/api/missions", 401),
    ];
    for (path, status) in paths {
        let answer = get(&client, &format!("{HTTPS}{path}")).await;
        assert_eq!(answer.status(), status, "{path}");
        let headers = answer.headers();
        assert_eq!(header(headers, "x-frame-options"), "DENY", "{path}");
        assert_eq!(
            header(headers, "x-content-type-options"),
            "nosniff",
            "{path}"
        );
        assert_eq!(header(headers, "referrer-policy"), "no-referrer", "{path}");
        assert!(
            header(headers, "content-security-policy").contains("default-src 'self'"),
            "{path}"
        );
        assert_eq!(
            header(headers, "server"),
            "nginx",
            "{path}: says its version"
        );
        let hsts = header(headers, "strict-transport-security");
        let age = hsts
            .strip_prefix("max-age=")
            .and_then(|rest| rest.split(';').next())
            .unwrap();
        assert!(
            age.parse::<u64>().unwrap() >= 15_552_000 && hsts.contains("includeSubDomains"),
            "{path}: {hsts}"
        );
        for name in [
            "strict-transport-security",
            "content-security-policy",
            "x-frame-options",
        ] {
            assert_eq!(headers.get_all(name).iter().count(), 1, "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn the_certificate_is_verified_and_only_modern_tls_is_spoken() {
    let Some(stack) = reference_stack() else {
        return;
    };
    for (versions, name) in [
        (&rustls::version::TLS12, "localhost"),
        (&rustls::version::TLS13, "127.0.0.1"),
    ] {
        let mut config = stack.tls(&[versions]);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect("127.0.0.1:8443").await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector
            .connect(ServerName::try_from(name).unwrap(), stream)
            .await
            .unwrap();
        assert_eq!(
            stream.get_ref().1.alpn_protocol(),
            Some(&b"h2"[..]),
            "{name}"
        );
    }
    assert_eq!(
        answer_to_hello(0x02).await,
        [0x15, 0x46],
        "TLS 1.1 is refused: alert, protocol_version"
    );
    assert_eq!(
        answer_to_hello(0x03).await[0],
        0x16,
        "the same hello with TLS 1.2 is taken"
    );
}

/// Sends a bare hello of TLS 1.(minor - 1); returns the kind of the answer, and the reason when that is an alert.
async fn answer_to_hello(minor: u8) -> [u8; 2] {
    // ECDHE-ECDSA with AES, first as TLS 1.2 has it, then as TLS 1.0 and 1.1 had it.
    let ciphers = [0xc0, 0x2b, 0xc0, 0x09];
    // Groups: P-256. Point format: uncompressed. Signature: ECDSA with SHA-256.
    let extensions = [
        0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3,
    ];
    let mut hello = vec![0x03, minor];
    hello.extend([7; 32]);
    hello.extend([0, 0, u8::try_from(ciphers.len()).unwrap()]);
    hello.extend(ciphers);
    hello.extend([1, 0, 0, u8::try_from(extensions.len()).unwrap()]);
    hello.extend(extensions);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 0x03, 0x01, 0, length + 4, 0x01, 0, 0, length];
    record.extend(hello);
    let mut stream = TcpStream::connect("127.0.0.1:8443").await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = [0; 7];
    timeout(REQUEST_LIMIT, stream.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    [answer[0], answer[6]]
}

#[tokio::test]
async fn the_page_is_compressed_and_cached_by_the_hash_in_its_names() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let client = stack.client();
    let page = get(&client, &format!("{HTTPS}/")).await;
    assert_eq!(header(page.headers(), "cache-control"), "no-cache");
    let page = page.text().await.unwrap();
    let deep = get(&client, &format!("{HTTPS}/missions/42")).await;
    assert_eq!(
        deep.text().await.unwrap(),
        page,
        "a path of the page is the page"
    );

    let assets: Vec<&str> = page
        .split('"')
        .filter(|text| text.starts_with("/assets/"))
        .collect();
    assert_eq!(assets.len(), 2, "{page}");
    for path in assets {
        let url = format!("{HTTPS}{path}");
        let plain = get(&client, &url).await;
        assert_eq!(
            header(plain.headers(), "cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(header(plain.headers(), "content-encoding"), "");
        let content = plain.bytes().await.unwrap();
        let hash = Sha256::digest(&content);
        let hash = hash
            .iter()
            .take(6)
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(
            path.split('.').nth(1),
            Some(hash.as_str()),
            "{path} is named for its content"
        );
        let small = client
            .get(&url)
            .header("accept-encoding", "gzip")
            .send()
            .await
            .unwrap();
        assert_eq!(
            header(small.headers(), "content-encoding"),
            "gzip",
            "{path}"
        );
        let small = small.bytes().await.unwrap();
        assert!(
            small.starts_with(&[0x1f, 0x8b]) && small.len() * 10 < content.len() * 7,
            "{path}: {}",
            small.len()
        );
    }
}

#[tokio::test]
async fn each_request_is_one_line_of_json_in_the_log_soon_after() {
    /// Flushed after 250 ms; the rest is for a busy machine.
    const SOON: Duration = Duration::from_secs(3);
    let Some(stack) = reference_stack() else {
        return;
    };
    let gateway = stack.containers("gateway").remove(0);
    let url = format!("{HTTPS}/api/ping?quote=%22&raw=\"\\");
    let answer = get(&stack.client(), &url).await;
    let id = header(answer.headers(), "x-request-id").to_owned();
    assert_eq!(id.len(), 32);

    let tail = ["logs", "--tail", "200", &gateway];
    let line = eventually("the request is in the log", SOON, async || {
        docker(&tail)
            .lines()
            .find(|line| line.contains(&id))
            .map(str::to_owned)
    });
    let line: Value = serde_json::from_str(&line.await).unwrap();
    assert_eq!(
        (line["method"].as_str(), line["status"].as_u64()),
        (Some("GET"), Some(200))
    );
    assert!(
        line["uri"]
            .as_str()
            .unwrap()
            .starts_with("/api/ping?quote=%22&raw="),
        "{line}"
    );
    assert!(
        line["upstream_addr"].as_str().unwrap().ends_with(":5000"),
        "{line}"
    );
    assert_eq!(line["upstream_status"], "200");
    let seconds: f64 = line["upstream_response_time"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((0.0..5.0).contains(&seconds));

    for line in docker(&tail).lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for number in ["time", "status", "bytes", "request_time"] {
            assert!(line[number].is_number(), "{number}: {line}");
        }
        for text in [
            "remote_addr",
            "method",
            "uri",
            "upstream_addr",
            "upstream_status",
            "request_id",
        ] {
            assert!(line[text].is_string(), "{text}: {line}");
        }
    }
}

/// Who answered how many of so many requests. The error is one of the connection; a wrong answer fails the test.
async fn try_served(
    client: &Client,
    method: Method,
    count: usize,
) -> reqwest::Result<BTreeMap<String, usize>> {
    let mut replicas = BTreeMap::new();
    for _ in 0..count {
        let request = client.request(method.clone(), format!("{HTTPS}/api/ping"));
        let answer = request.send().await?;
        assert_eq!(answer.status(), 200);
        let answer = parsed(answer).await;
        assert_eq!(answer["method"], method.as_str());
        *replicas
            .entry(answer["replica"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    Ok(replicas)
}

async fn served(client: &Client, method: Method, count: usize) -> BTreeMap<String, usize> {
    try_served(client, method, count).await.unwrap()
}

#[tokio::test]
async fn requests_are_spread_evenly_over_the_replicas() {
    let Some(stack) = reference_stack() else {
        return;
    };
    for method in [Method::GET, Method::POST] {
        let served = served(&stack.client(), method.clone(), 300).await;
        let ids: BTreeSet<String> = stack
            .containers("server")
            .iter()
            .map(|id| id[..12].to_owned())
            .collect();
        assert_eq!(served.keys().cloned().collect::<BTreeSet<_>>(), ids);
        // A third is 100; below 60 would be one in two million.
        assert!(
            served.values().all(|count| *count >= 60),
            "{method}: {served:?}"
        );
    }
}

/// A user nobody else has, and the bodies to be one.
fn newcomer() -> Value {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    json!({ "name": format!("crew-{}", now.as_nanos()), "password": "ad astra 1969" })
}

fn post(client: &Client, path: &str, body: &Value) -> RequestBuilder {
    client.post(format!("{HTTPS}{path}")).json(body)
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

/// Logs in; returns the whole cookie.
async fn login(client: &Client, user: &Value) -> String {
    let answer = post(client, "/api/login", user).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()[SET_COOKIE].to_str().unwrap().to_owned()
}

fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap()
}

#[tokio::test]
async fn a_user_registers_logs_in_creates_a_mission_and_logs_out() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let client = stack.client();
    let (user, mission) = (
        newcomer(),
        json!({ "title": "to the far side; drop table missions" }),
    );
    assert_eq!(
        status(post(&client, "/api/missions", &mission)).await,
        401,
        "nobody yet"
    );
    assert_eq!(status(post(&client, "/api/register", &user)).await, 201);
    assert_eq!(
        status(post(&client, "/api/register", &user)).await,
        409,
        "the name is taken"
    );
    let wrong = json!({ "name": user["name"], "password": "ad astra 1970" });
    assert_eq!(status(post(&client, "/api/login", &wrong)).await, 401);

    let cookie = login(&client, &user).await;
    for word in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(
            cookie.split("; ").any(|part| part == word),
            "{word}: {cookie}"
        );
    }
    let cookie = pair(&cookie);
    let created = post(&client, "/api/missions", &mission)
        .header("cookie", cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), 201);
    let created = parsed(created).await;
    let missions = client
        .get(format!("{HTTPS}/api/missions"))
        .header("cookie", cookie);
    let listed = parsed(missions.try_clone().unwrap().send().await.unwrap()).await;
    assert_eq!(listed["missions"], json!([created]));
    assert_eq!(created["title"], mission["title"]);

    assert_eq!(
        status(post(&client, "/api/logout", &json!({})).header("cookie", cookie)).await,
        200
    );
    assert_eq!(
        status(missions).await,
        401,
        "the session ended on every replica"
    );
}

/// Sum of a counter over its labels.
fn sum(exposition: &str, name: &str, labels: &str) -> f64 {
    let lines = exposition
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(labels));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[tokio::test]
async fn every_replica_counts_its_requests() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let client = stack.client();
    let addresses: Vec<String> = stack
        .containers("server")
        .iter()
        .map(|id| stack.address(id))
        .collect();
    assert_eq!(addresses.len(), REPLICAS);
    let scrape = async || {
        let mut all = String::new();
        for address in &addresses {
            let answer = get(&client, &format!("http://{address}:5000/metrics")).await;
            assert_eq!(
                header(answer.headers(), "content-type"),
                "text/plain; version=0.0.4; charset=utf-8"
            );
            all += &answer.text().await.unwrap();
        }
        all
    };
    let before = scrape().await;
    for line in before.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
        assert!(
            series.starts_with(|c: char| c.is_ascii_lowercase()),
            "{line}"
        );
    }
    let served = served(&client, Method::GET, 60).await;
    assert_eq!(served.values().sum::<usize>(), 60);
    let after = scrape().await;
    for name in ["http_requests_total", "http_request_duration_seconds_count"] {
        let labels = "method=\"GET\",route=\"/api/ping\"";
        let rise = sum(&after, name, labels) - sum(&before, name, labels);
        assert!((rise - 60.0).abs() < 0.5, "{name} rose by {rise}");
    }
    for once in [
        "process_start_time_seconds ",
        "http_requests_in_flight ",
        "app_database_up 1",
    ] {
        assert_eq!(
            after.matches(&format!("\n{once}")).count(),
            REPLICAS,
            "{once}"
        );
    }
    let outside = get(&client, &format!("{HTTPS}/metrics"))
        .await
        .text()
        .await
        .unwrap();
    assert!(
        outside.starts_with("<!doctype html>"),
        "the figures are not for everybody"
    );
}

#[tokio::test]
async fn prometheus_sees_three_replicas_and_has_the_rules() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let client = stack.client();
    let look = async || {
        let targets = parsed(
            get(
                &client,
                &format!("{PROMETHEUS}/api/v1/targets?state=active"),
            )
            .await,
        )
        .await;
        let targets = targets["data"]["activeTargets"].as_array().unwrap().clone();
        let up = |target: &&Value| target["labels"]["job"] == "server" && target["health"] == "up";
        (targets.iter().filter(up).count() == REPLICAS).then_some(())
    };
    eventually(
        "three servers are up in Prometheus",
        Duration::from_secs(30),
        look,
    )
    .await;

    let rules = parsed(get(&client, &format!("{PROMETHEUS}/api/v1/rules?type=alert")).await).await;
    let rules = rules["data"]["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .clone();
    let names: BTreeSet<&str> = rules
        .iter()
        .map(|rule| rule["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        BTreeSet::from([
            "AllReplicasDown",
            "HighErrorRate",
            "HighLatency",
            "ReplicaDown"
        ])
    );
    for rule in &rules {
        assert_ne!(rule["health"], "err", "{rule}");
        assert!(
            rule["labels"]["severity"].is_string() && rule["annotations"]["summary"].is_string(),
            "{rule}"
        );
    }
}

/// 50 GET a second for so long; every failed one in words. Each is started in time, however slow the others are.
async fn steady(client: Client, lasting: Duration) -> (usize, Vec<String>) {
    const PERIOD: Duration = Duration::from_millis(20);
    let (began, mut ticks, mut requests) = (Instant::now(), interval(PERIOD), JoinSet::new());
    while began.elapsed() < lasting {
        ticks.tick().await;
        let client = client.clone();
        requests.spawn(async move {
            match client.get(format!("{HTTPS}/api/ping")).send().await {
                Ok(answer) if answer.status() == 200 => None,
                Ok(answer) => Some(answer.status().to_string()),
                Err(error) => Some(format!("{error:?}")),
            }
        });
    }
    let answers = requests.join_all().await;
    (answers.len(), answers.into_iter().flatten().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_a_replica_stops_and_comes_back() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let replica = stack.containers("server").remove(0);
    let load = tokio::spawn(steady(stack.client(), Duration::from_secs(6)));
    let stopped = tokio::task::spawn_blocking({
        let replica = replica.clone();
        move || {
            let began = Instant::now();
            docker(&["stop", &replica]);
            let took = began.elapsed();
            let code = docker(&["inspect", "--format", "{{.State.ExitCode}}", &replica]);
            docker(&["start", &replica]);
            (took, code)
        }
    });
    let (took, code) = stopped.await.unwrap();
    let (count, failed) = load.await.unwrap();
    healthy(&replica).await;
    assert!(
        took < Duration::from_secs(10),
        "the replica was killed after {took:?}"
    );
    assert_eq!(code, "0", "it ended by itself");
    assert!(count >= 250, "only {count} requests in 6 s");
    assert!(
        failed.is_empty(),
        "{} of {count} failed: {:?}",
        failed.len(),
        &failed[..failed.len().min(5)]
    );
}

#[tokio::test]
async fn a_replica_taken_out_of_the_list_gets_no_more_requests() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let client = stack.client();
    let gateway = stack.containers("gateway").remove(0);
    let list = stack.folder.join("gateway/upstream/api.conf");
    let put = |content: &str| {
        let fresh = list.with_extension("conf.new");
        fs::write(&fresh, content).unwrap();
        fs::rename(&fresh, &list).unwrap();
        docker(&["kill", "--signal", "HUP", &gateway]);
    };
    let servers = stack.containers("server");
    let kept: Vec<String> = servers[1..]
        .iter()
        .map(|id| format!("server {}:5000 max_fails=0;", stack.address(id)))
        .collect();
    put(&format!(
        "upstream listed {{ {} keepalive 8; }}\nmap \"\" $api {{ default listed; }}\n",
        kept.concat()
    ));

    // Each look opens new connections: those before the reload belong to the workers that leave, which close them
    // when they are idle. A client opens another one then, and so does the next look.
    let look = async || {
        let served = try_served(&stack.client(), Method::GET, 30).await.ok()?;
        (!served.contains_key(&servers[0][..12])).then_some(())
    };
    eventually(
        "the gateway has read the list",
        Duration::from_secs(10),
        look,
    )
    .await;
    let drained = served(&client, Method::POST, 100).await;
    put(&fs::read_to_string(stack.folder.join("gateway/upstream.default")).unwrap());
    assert_eq!(drained.len(), REPLICAS - 1, "{drained:?}");
    let look = async || {
        let served = try_served(&stack.client(), Method::GET, 30).await.ok()?;
        (served.len() == REPLICAS).then_some(())
    };
    eventually("all replicas serve again", Duration::from_secs(10), look).await;
}

#[tokio::test]
async fn rows_and_servers_survive_a_restart_of_the_database() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let client = stack.client();
    let user = newcomer();
    assert_eq!(status(post(&client, "/api/register", &user)).await, 201);
    let cookie = login(&client, &user).await;
    let mission =
        post(&client, "/api/missions", &json!({ "title": "stay" })).header("cookie", pair(&cookie));
    let mission = parsed(mission.send().await.unwrap()).await;
    let servers = stack.containers("server");

    docker(&["restart", &stack.containers("postgres")[0]]);
    let missions = client
        .get(format!("{HTTPS}/api/missions"))
        .header("cookie", pair(&cookie));
    let look = async || {
        let answer = missions.try_clone().unwrap().send().await.unwrap();
        if answer.status() == 503 {
            None
        } else {
            Some(answer)
        }
    };
    let answer = eventually(
        "the servers found the database again",
        Duration::from_secs(30),
        look,
    )
    .await;
    assert_eq!(parsed(answer).await["missions"], json!([mission]));
    assert_eq!(stack.containers("server"), servers);
    for server in &servers {
        assert_eq!(
            docker(&["inspect", "--format", "{{.RestartCount}}", server]),
            "0"
        );
        healthy(server).await;
    }
}
