//! The kinds of checks on the range, on the reference stack and on servers of their own: each passes when all is sound
//! and fails when the thing it looks at is broken.

use std::net::{SocketAddr, TcpListener as Ports};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quarterdeck::config::SecretRef;
use quarterdeck::domain::{Clean, SecretPlace, Stack, Timestamp};
use quarterdeck::link::docker::{Address, Engine};
use quarterdeck::link::prometheus::Prometheus;
use quarterdeck::link::tls::Roots;
use quarterdeck::probe::check::{Check, Eyes, Outcome, Reach, Verdict};
use quarterdeck::range::scenario::{Fault, Scenario};
use quarterdeck::range::{Options, Range};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use Verdict::{CouldNotRun, Fail, Pass};

const PROJECT: &str = "hyper-mission";

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

fn eyes(socket: &Path, gateway: Option<&str>, ca: Option<&Path>, prometheus: &str) -> Eyes {
    Eyes {
        engine: Engine::new(Address::Unix(socket.to_owned()), std::env::temp_dir()),
        stack: Arc::new(Stack::discovered(PROJECT.into())),
        prometheus: Some(Prometheus::new(prometheus)),
        roots: Roots::system_lazily(),
        ca_file: ca.map(Path::to_owned),
        gateway: gateway.map(Clean::from),
        reach: Reach {
            secret: Arc::new(|place| {
                let SecretPlace::File(path) = place else {
                    return Err("only files here".into());
                };
                let secret = SecretRef::File(path.clone()).read(|_| None);
                let secret = secret.map_err(|error| Clean::line(&error.to_string()))?;
                Ok(secret.expose().to_owned())
            }),
            ..Reach::nothing()
        },
    }
}

/// Eyes that reach what listens on this host, and no engine.
fn lone() -> Eyes {
    let nowhere = Path::new("/nowhere/docker.sock");
    eyes(nowhere, None, None, "http://127.0.0.1:1")
}

async fn check(eyes: &Eyes, verdict: Verdict, toml: &str, says: &str) -> Outcome {
    let check: Check = toml::from_str(toml).unwrap();
    let outcome = check.run(eyes, now()).await;
    assert_eq!(outcome.verdict, verdict, "{toml}\n{outcome:#?}");
    assert!(outcome.said.contains(says), "{toml}\n{outcome:#?}");
    outcome
}

/// Until it is so; what was broken or mended takes a moment to be seen.
async fn becomes(eyes: &Eyes, verdict: Verdict, toml: &str) {
    let check: Check = toml::from_str(toml).unwrap();
    let began = Instant::now();
    loop {
        let outcome = check.run(eyes, now()).await;
        if outcome.verdict == verdict {
            return;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "never {verdict:?}: {toml}\n{outcome:#?}"
        );
        sleep(Duration::from_millis(200)).await;
    }
}

async fn range(dir: &Path) -> (Range, Eyes) {
    let options = Options {
        scenario: Scenario::calm(),
        dir: dir.join("range"),
        seed: 11,
        speed: 1.0,
    };
    let range = Range::start(options).await.unwrap();
    let gateway = format!("https://localhost:{}", range.https_port);
    let prometheus = format!("http://127.0.0.1:{}", range.prometheus_port);
    let eyes = eyes(
        &range.socket_path(),
        Some(&gateway),
        Some(&range.ca_path()),
        &prometheus,
    );
    (range, eyes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_range_is_sound_and_then_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (range, eyes) = range(dir.path()).await;
    let port = format!("kind = 'port'\naddress = ':{}'", range.https_port);
    check(&eyes, Pass, &port, "open").await;
    let shut = format!("{port}\nopen = false");
    check(&eyes, Fail, &shut, "must be closed").await;

    let redis = "kind = 'redis'\nservice = 'redis'\npersistence = 'both'\npolicy = '== volatile-ttl'\nmemory = '<= 64 MB'\nrole = '== master'";
    check(&eyes, Pass, redis, "snapshot written well").await;
    range.inject(&Fault::RedisReadOnly {});
    check(&eyes, Fail, redis, "rdb_last_bgsave_status").await;

    let setup = "kind = 'containers'\nservice = 'server'\nmust = ['unprivileged', 'no-socket']\nrestart = 'matches .'";
    check(&eyes, Pass, setup, "unprivileged").await;

    let up = "kind = 'prometheus'\njob = 'server'\nup = '>= 3'";
    becomes(&eyes, Pass, up).await;
    let rules = "kind = 'prometheus'\nrules = ['HighErrorRate', 'HighLatency']";
    check(&eyes, Pass, rules, "is loaded").await;
    let threshold =
        "kind = 'prometheus'\nrule = 'HighErrorRate'\nthreshold = '> 5 %'\nfires = false";
    check(&eyes, Pass, threshold, "compares").await;
    check(
        &eyes,
        Fail,
        &rules.replace("HighLatency", "Nobody"),
        "not loaded",
    )
    .await;

    let load =
        "kind = 'load'\nurl = '/api/health'\nrate = 50\nfor = '2s'\nfailed = 0\np99 = '< 4 s'";
    let outcome = check(&eyes, Pass, load, "failed 0").await;
    assert_eq!(outcome.evidence["got"]["sent"], 100);
    for number in 1..=3 {
        let target = format!("server-{number}");
        range.inject(&Fault::Die { target });
    }
    check(&eyes, Fail, load, "status").await;
    becomes(&eyes, Fail, up).await;
    let harm = load.replace("'2s'", "'60s'");
    let outcome = check(&eyes, Fail, &harm, "does harm").await;
    assert!(outcome.took_ms < 30_000, "{outcome:#?}");
    range.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_stack_is_as_its_files_say() {
    let Some(stack) = crate::stack::reference_stack() else {
        return;
    };
    let socket = Path::new("/var/run/docker.sock");
    let ca = stack.ca();
    let eyes = eyes(
        socket,
        Some("https://localhost:8443"),
        Some(&ca),
        "http://127.0.0.1:9092",
    );
    the_containers(&eyes).await;
    the_data(&eyes).await;
    the_database(&eyes).await;
    the_figures(&eyes).await;
    the_users(&eyes).await;
}

async fn the_containers(eyes: &Eyes) {
    let of = |service: &str, fields: &str| {
        format!("kind = 'containers'\nservice = '{service}'\n{fields}")
    };
    let set = "must = ['memory-limit', 'cpu-limit', 'health-check', 'unprivileged', 'no-socket', 'own-namespaces']\nmemory = '<= 128 MB'\ncpus = '<= 0.5'\nrestart = '== unless-stopped'\nimage_size = '< 20 MB'\ndigest = 'matches ^sha256:'";
    check(eyes, Pass, &of("server", set), "memory limit").await;
    check(
        eyes,
        Fail,
        &of("server", "image_size = '< 1 MB'"),
        "image size",
    )
    .await;
    check(
        eyes,
        Fail,
        &of("server", "memory = '< 1 MB'"),
        "memory limit",
    )
    .await;
    let writable = "must = ['read-only-mounts']";
    check(eyes, Fail, &of("gateway", writable), "may write").await;
    check(eyes, Pass, &of("prometheus", writable), "read-only").await;
    let inside = "kind = 'file'\nin = 'gateway'\npath = '/etc/nginx/hyper/nginx.conf'";
    let content = format!("{inside}\ncontent = 'contains ssl_protocols TLSv1.2'");
    check(eyes, Pass, &content, "content").await;
    check(eyes, Fail, &format!("{inside}\nsize = '< 10 B'"), "size").await;
    check(
        eyes,
        Fail,
        &inside.replace("nginx.conf", "nobody"),
        "is not there",
    )
    .await;
    let nobody = "kind = 'file'\nin = 'nobody'\npath = '/etc/hosts'";
    check(eyes, CouldNotRun, nobody, "no running container").await;
    let plain = "kind = 'port'\naddress = '127.0.0.1:9093'\nopen = false";
    check(eyes, Pass, plain, "refused").await;
    check(
        eyes,
        Fail,
        "kind = 'port'\naddress = '127.0.0.1:8443'\nopen = false",
        "open",
    )
    .await;
}

async fn the_data(eyes: &Eyes) {
    let redis = |fields: &str| format!("kind = 'redis'\nservice = 'redis'\n{fields}");
    let sound = "persistence = 'aof'\npolicy = '== volatile-ttl'\nmemory = '== 64 MB'\nused = '< 90 %'\nrole = '== master'";
    check(eyes, Pass, &redis(sound), "written well").await;
    check(eyes, Fail, &redis("policy = '== allkeys-lru'"), "policy").await;
    check(eyes, Fail, &redis("replicas = '>= 1'"), "replicas").await;
    check(eyes, CouldNotRun, &redis("quorum = 'mymaster'"), "refuses").await;
}

async fn the_database(eyes: &Eyes) {
    let sql = |fields: &str| {
        format!(
            "kind = 'sql'\nservice = 'postgres'\ndatabase = 'hyper_mission'\nuser = 'hyper'\n{fields}"
        )
    };
    let about = |about: &str, fields: &str| sql(&format!("about = '{about}'\n{fields}"));
    let tables = "counts = { users = '>= 0', missions = '>= 0' }";
    check(eyes, Pass, &about("counts", tables), "rows of users").await;
    check(
        eyes,
        Fail,
        &about("counts", "counts = { users = '< 0' }"),
        "users",
    )
    .await;
    check(
        eyes,
        CouldNotRun,
        &about("counts", "counts = { nobody = 1 }"),
        "nobody",
    )
    .await;
    let settings = "settings = { wal_level = 'matches ^(replica|logical)$', max_connections = '>= 10', shared_buffers = '>= 1 MB' }";
    check(eyes, Pass, &about("settings", settings), "wal_level").await;
    check(
        eyes,
        Fail,
        &about("settings", "settings = { max_connections = '> 99999' }"),
        "max_connections",
    )
    .await;
    check(
        eyes,
        Pass,
        &about("indexes", "missing = '>= 0'"),
        "no index is invalid",
    )
    .await;
    // It stands alone, knows no row-level security, no partitions, and speaks no TLS: each is said.
    check(
        eyes,
        Fail,
        &about("replication-lag", "value = '< 1 s'"),
        "no standby",
    )
    .await;
    check(
        eyes,
        Fail,
        &about("row-level-security", "tables = ['users']"),
        "is off",
    )
    .await;
    check(
        eyes,
        Fail,
        &about("partitions", "tables = ['users']"),
        "not partitioned",
    )
    .await;
    check(eyes, Fail, &about("tls-required", ""), "ssl is off").await;
    let elsewhere = about("pgbouncer-pools", "").replace("hyper_mission", "pgbouncer");
    check(eyes, CouldNotRun, &elsewhere, "psql").await;
}

async fn the_figures(eyes: &Eyes) {
    becomes(
        eyes,
        Pass,
        "kind = 'prometheus'\njob = 'server'\nup = '>= 3'",
    )
    .await;
    let rule = |fields: &str| format!("kind = 'prometheus'\nrule = 'HighErrorRate'\n{fields}");
    becomes(eyes, Pass, &rule("threshold = '> 5 %'")).await;
    check(eyes, Fail, &rule("threshold = '> 1 %'"), "does not compare").await;
    check(eyes, Fail, &rule("fires = true"), "does not fire").await;
    let latency = "kind = 'prometheus'\nrule = 'HighLatency'\nthreshold = '> 500 ms'";
    check(eyes, Pass, latency, "compares").await;
}

async fn the_users(eyes: &Eyes) {
    let load = "kind = 'load'\nurl = '/api/ping'\nrate = 100\nfor = '3s'\nfailed = 0\nreplicas = 3\neven = true\np95 = '< 4 s'";
    let outcome = check(eyes, Pass, load, "spread evenly").await;
    assert_eq!(outcome.evidence["got"]["answered"], 300, "{outcome:#?}");
    check(eyes, Fail, &load.replace("ping", "nobody"), "status").await;
    let users = "kind = 'load'\nurl = '/api/ping'\nusers = 100\nfor = '3s'\nfailed = 0\nopen = 100";
    check(eyes, Pass, users, "open 100").await;
    let outside = "kind = 'load'\nurl = 'http://192.0.2.1/'\nrate = 10\nfailed = 0";
    check(eyes, CouldNotRun, outside, "neither this host").await;
    check(eyes, Pass, JOURNEY, "requests as expected").await;
    let wrong = JOURNEY.replace("status = 200 # in", "status = 201");
    check(eyes, Fail, &wrong, "POST /api/login: status").await;
}

const JOURNEY: &str = r#"
kind = "flow"

[[steps]]
method = "POST"
path = "/api/missions"
json = { title = "nobody yet" }
status = 401

[[steps]]
method = "POST"
path = "/api/register"
json = { name = "crew-{unique}", password = "ad astra {unique}" }
status = 201

[[steps]]
method = "POST"
path = "/api/login"
json = { name = "crew-{unique}", password = "ad astra {unique}" }
status = 200 # in
answer = { "set-cookie" = "contains HttpOnly" }

[[steps]]
method = "POST"
path = "/api/missions"
json = { title = "to the far side of {unique}" }
status = 201
capture = { mission = { json = "/id" } }

[[steps]]
path = "/api/missions"
status = 200
value = { "/missions/0/title" = "contains far side" }

[[cleanup]]
method = "POST"
path = "/api/logout"
json = {}

[[cleanup]]
path = "/api/missions"
status = 401
"#;

/// A server that answers everybody by the path that is asked for.
async fn serve(answer: fn(&str, &str) -> (u16, &'static str)) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 8192];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let (status, body) = answer(path, &head);
            let text = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    (url, task)
}

fn grafana(path: &str, head: &str) -> (u16, &'static str) {
    let known = head
        .to_lowercase()
        .contains("authorization: bearer canary-7f3a");
    match path {
        "/api/health" => (200, r#"{"database":"ok","version":"11.6.0"}"#),
        _ if !known => (401, r#"{"message":"Unauthorized"}"#),
        "/api/datasources/name/Prometheus" => (200, r#"{"uid":"p1","type":"prometheus"}"#),
        "/api/datasources/uid/p1/health" => (200, r#"{"status":"OK","message":"it answers"}"#),
        "/api/datasources/name/Dead" => (200, r#"{"uid":"d1","type":"postgres"}"#),
        "/api/datasources/uid/d1/health" => (400, r#"{"status":"ERROR","message":"refused"}"#),
        path if path.starts_with("/api/search") => {
            (200, r#"[{"uid":"x","title":"API application"}]"#)
        }
        _ => (404, r#"{"message":"not found"}"#),
    }
}

#[tokio::test]
async fn grafana_is_well_or_is_not_or_cannot_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "canary-7f3a\n").unwrap();
    let (url, server) = serve(grafana).await;
    let eyes = lone();
    let ask = |fields: &str| {
        let token = token.display();
        format!("kind = 'grafana'\nurl = '{url}'\ntoken = {{ file = '{token}' }}\n{fields}")
    };
    let sound =
        "datasources = ['Prometheus']\ndashboards = ['API application']\nversion = 'matches ^11'";
    let outcome = check(&eyes, Pass, &ask(sound), "Prometheus answers").await;
    assert!(!serde_json::to_string(&outcome).unwrap().contains("canary"));
    check(&eyes, Fail, &ask("datasources = ['Dead']"), "refused").await;
    check(
        &eyes,
        Fail,
        &ask("datasources = ['Nobody']"),
        "no data source",
    )
    .await;
    check(&eyes, Fail, &ask("dashboards = ['API']"), "no dashboard").await;
    let anonymous = format!("kind = 'grafana'\nurl = '{url}'\ndatasources = ['Prometheus']");
    check(&eyes, CouldNotRun, &anonymous, "token").await;
    server.abort();
    let nobody = "kind = 'grafana'\nurl = 'http://127.0.0.1:1'";
    check(&eyes, CouldNotRun, nobody, "could not look").await;
}

/// A name server that knows `shop.eu` and nothing else.
async fn name_server() -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut bytes = [0; 512];
        loop {
            let (read, from) = socket.recv_from(&mut bytes).await.unwrap();
            let mut answer = bytes[..read].to_vec();
            let known = answer.windows(8).any(|part| part == b"\x04shop\x02eu");
            answer[2] = 0x81;
            if answer.windows(6).any(|part| part == b"\x05sulky") {
                answer[3] = 0x82;
            } else if known {
                answer[7] = 1;
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
            } else {
                answer[3] = 0x83;
            }
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_name_is_known_unknown_or_not_to_be_learned() {
    let (server, task) = name_server().await;
    let eyes = lone();
    let ask = |name: &str, fields: &str| {
        format!("kind = 'dns'\nname = '{name}'\nserver = '{server}'\n{fields}")
    };
    check(
        &eyes,
        Pass,
        &ask("shop.eu", "value = '== 192.0.2.7'"),
        "192.0.2.7",
    )
    .await;
    check(
        &eyes,
        Fail,
        &ask("shop.eu", "value = '== 192.0.2.8'"),
        "192.0.2.7",
    )
    .await;
    check(&eyes, Fail, &ask("other.eu", ""), "no such name").await;
    check(&eyes, Pass, &ask("other.eu", "count = 0"), "records 0").await;
    check(&eyes, CouldNotRun, &ask("sulky.eu", ""), "SERVFAIL").await;
    task.abort();
}

/// A process of ours, ended when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    Ports::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn redis(dir: &Path, name: &str, config: &str, sentinel: bool) -> Option<Running> {
    let path = dir.join(format!("{name}.conf"));
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new("redis-server");
    command
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if sentinel {
        command.arg("--sentinel");
    }
    command.spawn().ok().map(Running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_and_its_sentinels_are_asked_over_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    let (master, watcher) = (free_port(), free_port());
    let folder = dir.path().display();
    let config = format!(
        "port {master}\nbind 127.0.0.1\ndir {folder}\nrequirepass canary-7f3a\nappendonly yes\nmaxmemory 32mb\nmaxmemory-policy noeviction\n"
    );
    let Some(server) = redis(dir.path(), "redis", &config, false) else {
        eprintln!("skipped: no redis-server");
        return;
    };
    let config = format!(
        "port {watcher}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor mymaster 127.0.0.1 {master} 1\nsentinel auth-pass mymaster canary-7f3a\nsentinel down-after-milliseconds mymaster 1000\n"
    );
    let sentinel = redis(dir.path(), "sentinel", &config, true).unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "canary-7f3a\n").unwrap();
    let eyes = lone();
    let known = format!(
        "kind = 'redis'\naddress = '127.0.0.1:{master}'\npassword = {{ file = '{}' }}",
        password.display()
    );
    becomes(&eyes, Pass, &known).await;
    let sound = format!(
        "{known}\npersistence = 'both'\npolicy = '== noeviction'\nmemory = '== 32 MB'\nunsaved = '< 1 h'"
    );
    let outcome = check(&eyes, Pass, &sound, "written well").await;
    assert!(!serde_json::to_string(&outcome).unwrap().contains("canary"));
    check(
        &eyes,
        Fail,
        &format!("{known}\nreplicas = '>= 1'"),
        "replicas",
    )
    .await;
    let stranger = format!("kind = 'redis'\naddress = '127.0.0.1:{master}'");
    check(&eyes, CouldNotRun, &stranger, "password").await;

    let quorum =
        |name: &str| format!("kind = 'redis'\naddress = '127.0.0.1:{watcher}'\nquorum = '{name}'");
    let good = format!("{}\nmaster = '== 127.0.0.1:{master}'", quorum("mymaster"));
    becomes(&eyes, Pass, &good).await;
    check(&eyes, Fail, &quorum("nobody"), "no master of the name").await;
    check(
        &eyes,
        Fail,
        &good.replace(&format!(":{master}'"), ":1'"),
        "master",
    )
    .await;
    drop(server);
    check(&eyes, CouldNotRun, &known, "could not look").await;
    drop(sentinel);
    check(&eyes, CouldNotRun, &quorum("mymaster"), "could not look").await;
}
