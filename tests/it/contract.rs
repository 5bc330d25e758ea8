//! What the console relies on, asserted alike on the practice range and on the reference stack, so that neither drifts from the
//! other: the engine's facts, the gateway, the replicas' metrics, Prometheus, the access log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ContainerInspectResponse, ContainerStatsResponse, ExecConfig};
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    LogsOptionsBuilder, StartContainerOptions, StatsOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::StreamExt;
use quarterdeck::range::scenario::Scenario;
use quarterdeck::range::{Options, Range};
use serde_json::Value;

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const PROJECT: &str = "hyper-mission";

/// One of the two: where its doors are.
struct Place {
    docker: Docker,
    /// Trusts the place's own authority and nobody else, follows no redirection.
    http: reqwest::Client,
    https: String,
    plain: String,
    prometheus: String,
    /// Answered by a replica, without a login.
    api: &'static str,
    /// Each replica's exposition.
    metrics: Vec<String>,
}

async fn on_the_range(assertions: impl AsyncFn(&Place)) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        scenario: Scenario::calm(),
        dir: dir.path().join("range"),
        seed: 11,
        speed: 1.0,
    };
    let range = Range::start(options).await.unwrap();
    let socket = range.socket_path().display().to_string();
    let addresses = range.metrics_addresses();
    let place = Place {
        docker: Docker::connect_with_unix(&socket, 20, bollard::API_DEFAULT_VERSION).unwrap(),
        http: super::range::client(&range),
        https: format!("https://localhost:{}", range.https_port),
        plain: format!("http://localhost:{}", range.http_port),
        prometheus: format!("http://127.0.0.1:{}/api/v1", range.prometheus_port),
        api: "/api/health",
        metrics: addresses
            .iter()
            .map(|(_, address)| format!("http://{address}/metrics"))
            .collect(),
    };
    assertions(&place).await;
    range.stop().await;
}

async fn on_the_reference_stack(assertions: impl AsyncFn(&Place)) {
    let Some(stack) = crate::stack::reference_stack() else {
        return;
    };
    let servers = stack.containers("server");
    let place = Place {
        docker: Docker::connect_with_local_defaults()
            .unwrap()
            .negotiate_version()
            .await
            .unwrap(),
        http: stack.client(),
        https: "https://localhost:8443".to_owned(),
        plain: "http://localhost:8080".to_owned(),
        prometheus: "http://127.0.0.1:9092/api/v1".to_owned(),
        api: "/api/ping",
        metrics: servers
            .iter()
            .map(|id| format!("http://{}:5000/metrics", stack.address(id)))
            .collect(),
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

contract!(the_engine_lists_and_inspects);
contract!(the_gateways_log_is_json_with_these_fields);
contract!(the_engine_tells_what_a_replica_uses);
contract!(commands_end_with_their_exit_code);
contract!(stop_and_start_are_seen_as_events);
contract!(the_gateway_redirects_and_is_verified);
contract!(replicas_expose_these_families_and_labels);
contract!(prometheus_answers_in_these_shapes);

/// Looks again and again until it fits.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The name of a replica's container. Which sign stands between its parts is Compose's business; the labels are the contract.
async fn name_of(place: &Place, service: &str, number: u32) -> String {
    let labels = [
        format!("com.docker.compose.project={PROJECT}"),
        format!("com.docker.compose.service={service}"),
        format!("com.docker.compose.container-number={number}"),
    ];
    let filters = HashMap::from([("label", labels.to_vec())]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let found = place.docker.list_containers(Some(options)).await.unwrap();
    assert_eq!(found.len(), 1, "{service} {number}: {found:?}");
    let name = &found[0].names.as_ref().unwrap()[0];
    name.trim_start_matches('/').to_owned()
}

async fn inspect(place: &Place, name: &str) -> ContainerInspectResponse {
    let asked = place
        .docker
        .inspect_container(name, None::<InspectContainerOptions>);
    asked.await.unwrap()
}

fn is_moment(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

async fn the_engine_lists_and_inspects(place: &Place) {
    let version = place.docker.version().await.unwrap();
    assert!(version.api_version.is_some() && version.version.is_some());
    let project = format!("com.docker.compose.project={PROJECT}");
    let labels = HashMap::from([("label", vec![project.as_str()])]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&labels)
        .build();
    let all = place.docker.list_containers(Some(options)).await.unwrap();
    let mut services = BTreeMap::<String, usize>::new();
    for one in &all {
        let labels = one.labels.as_ref().unwrap();
        let service = labels["com.docker.compose.service"].clone();
        let number = &labels["com.docker.compose.container-number"];
        let names = one.names.as_ref().unwrap();
        let ours = ['-', '_'].map(|sign| format!("/{PROJECT}{sign}{service}{sign}{number}"));
        assert!(names.len() == 1 && ours.contains(&names[0]), "{names:?}");
        assert_eq!(labels["com.docker.compose.project"], PROJECT);
        assert!(one.status.as_ref().unwrap().starts_with("Up "), "{one:?}");
        assert_eq!(one.id.as_ref().unwrap().len(), 64);
        assert!(one.created.unwrap() > 1_600_000_000);
        assert!(!one.image.as_ref().unwrap().is_empty() && one.image_id.is_some());
        *services.entry(service).or_default() += 1;
    }
    assert_eq!(services["server"], 3, "{services:?}");
    for service in ["gateway", "postgres", "redis", "prometheus"] {
        assert_eq!(services[service], 1, "{services:?}");
    }
    for number in 1..=3 {
        let name = name_of(place, "server", number).await;
        inspected(&inspect(place, &name).await);
    }
    let missing = place
        .docker
        .inspect_container("nobody-here", None::<InspectContainerOptions>);
    let text = missing.await.unwrap_err().to_string();
    assert!(text.contains("No such container: nobody-here"), "{text}");
}

fn inspected(one: &ContainerInspectResponse) {
    let state = one.state.as_ref().unwrap();
    assert_eq!((state.running, state.paused), (Some(true), Some(false)));
    assert_eq!(state.oom_killed, Some(false));
    assert!(state.pid.unwrap() > 0);
    assert!(is_moment(state.started_at.as_ref().unwrap()));
    assert!(is_moment(one.created.as_ref().unwrap()));
    let check = state.health.as_ref().unwrap();
    assert_eq!(check.status.unwrap().to_string(), "healthy");
    let looks = check.log.as_ref().unwrap();
    assert!(!looks.is_empty() && looks.len() <= 5);
    // The first looks may have come before the service did; the newest found it.
    assert_eq!(looks.last().unwrap().exit_code, Some(0));
    for look in looks {
        assert!(look.exit_code.is_some() && look.start.is_some() && look.output.is_some());
    }
    assert!(one.restart_count.is_some());
    let host = one.host_config.as_ref().unwrap();
    assert!(host.restart_policy.as_ref().unwrap().name.is_some());
    assert!(host.memory.is_some());
    let networks = one.network_settings.as_ref().unwrap().networks.as_ref();
    let has_address = networks.unwrap().values().any(|network| {
        let address = network.ip_address.as_ref();
        address.is_some_and(|ip| ip.parse::<std::net::Ipv4Addr>().is_ok())
    });
    assert!(has_address);
    let config = one.config.as_ref().unwrap();
    assert!(config.image.is_some() && config.labels.is_some() && config.env.is_some());
}

async fn the_gateways_log_is_json_with_these_fields(place: &Place) {
    let answer = place
        .http
        .get(format!("{}{}?quote=%22", place.https, place.api))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let options = || {
        LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .tail("200")
            .build()
    };
    let gateway = name_of(place, "gateway", 1).await;
    let line = eventually("the request is in the log", async || {
        let frames: Vec<_> = place.docker.logs(&gateway, Some(options())).collect().await;
        frames.into_iter().find_map(|frame| match frame.unwrap() {
            LogOutput::StdOut { message } => {
                let text = String::from_utf8(message.to_vec()).unwrap();
                text.contains(&id).then_some(text)
            }
            _ => None,
        })
    })
    .await;
    let (moment, line) = line.split_once(' ').unwrap();
    assert!(is_moment(moment), "{moment}");
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["request_id"], id.as_str());
    assert_eq!(
        (line["method"].as_str(), line["status"].as_u64()),
        (Some("GET"), Some(200))
    );
    let uri = line["uri"].as_str().unwrap();
    assert!(uri.starts_with(place.api), "{line}");
    assert!(
        line["upstream_addr"].as_str().unwrap().ends_with(":5000"),
        "{line}"
    );
    assert_eq!(line["upstream_status"], "200", "{line}");
    for seconds in ["upstream_response_time", "request_time", "time"] {
        let figure = &line[seconds];
        let read = figure
            .as_f64()
            .or_else(|| figure.as_str().and_then(|text| text.parse().ok()));
        assert!(read.is_some_and(|s: f64| s >= 0.0), "{seconds}: {line}");
    }
    assert!(
        line["bytes"].is_u64() && line["remote_addr"].is_string(),
        "{line}"
    );
}

async fn the_engine_tells_what_a_replica_uses(place: &Place) {
    let options = StatsOptionsBuilder::default().stream(true).build();
    let mut stats = place
        .docker
        .stats(&name_of(place, "server", 2).await, Some(options));
    let mut next = async || -> ContainerStatsResponse {
        let one = tokio::time::timeout(PATIENCE, stats.next()).await.unwrap();
        one.unwrap().unwrap()
    };
    let (first, second) = (next().await, next().await);
    let spent = |s: &ContainerStatsResponse| {
        let cpu = s.cpu_stats.as_ref().unwrap();
        let used = cpu.cpu_usage.as_ref().unwrap().total_usage.unwrap();
        (
            used,
            cpu.system_cpu_usage.unwrap(),
            cpu.online_cpus.unwrap(),
        )
    };
    assert!(spent(&second).0 >= spent(&first).0);
    assert!(spent(&second).1 > spent(&first).1);
    assert!(spent(&second).2 > 0);
    let memory = second.memory_stats.unwrap();
    assert!(memory.usage.unwrap() > 100_000 && memory.limit.unwrap() >= memory.usage.unwrap());
    assert!(second.networks.is_some_and(|networks| !networks.is_empty()));
}

/// Exit code, standard output, standard error.
async fn exec(place: &Place, container: &str, argv: &[&str]) -> (i64, String, String) {
    let config = ExecConfig {
        cmd: Some(argv.iter().map(|a| (*a).to_owned()).collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let id = place
        .docker
        .create_exec(container, config)
        .await
        .unwrap()
        .id;
    let started = place.docker.start_exec(&id, None::<StartExecOptions>);
    let StartExecResults::Attached { mut output, .. } = started.await.unwrap() else {
        panic!("not attached");
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(frame) = tokio::time::timeout(PATIENCE, output.next()).await.unwrap() {
        match frame.unwrap() {
            LogOutput::StdErr { message } => err.extend(message),
            other => out.extend(other.into_bytes()),
        }
    }
    let exit = place.docker.inspect_exec(&id).await.unwrap().exit_code;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (exit.unwrap(), text(out), text(err))
}

async fn commands_end_with_their_exit_code(place: &Place) {
    let (exit, out, err) = exec(place, &name_of(place, "gateway", 1).await, &["nginx", "-v"]).await;
    assert_eq!((exit, out.as_str()), (0, ""));
    assert!(err.contains("nginx version: nginx/"), "{err}");
    let postgres = name_of(place, "postgres", 1).await;
    let (exit, out, _) = exec(place, &postgres, &["pg_isready"]).await;
    assert_eq!(exit, 0);
    assert!(out.contains("accepting connections"), "{out}");
    let (exit, _, err) = exec(place, &postgres, &["pg_restore", "-l", "/nowhere.dump"]).await;
    assert_eq!(exit, 1);
    assert!(err.contains("pg_restore: error:"), "{err}");
}

async fn stop_and_start_are_seen_as_events(place: &Place) {
    let name = name_of(place, "server", 3).await;
    let filters = HashMap::from([
        ("type", vec!["container"]),
        ("container", vec![name.as_str()]),
    ]);
    // What happens before the stream is open is replayed.
    let since = chrono::Utc::now().timestamp().to_string();
    let options = EventsOptionsBuilder::default()
        .since(&since)
        .filters(&filters)
        .build();
    let mut events = place.docker.events(Some(options));
    let stop = StopContainerOptionsBuilder::default().t(5).build();
    let stopped = place.docker.stop_container(&name, Some(stop)).await;
    // What was stopped is started again whatever the assertions say.
    let state = inspect(place, &name).await.state.unwrap();
    let started = place
        .docker
        .start_container(&name, None::<StartContainerOptions>)
        .await;
    stopped.unwrap();
    started.unwrap();
    assert_eq!(state.running, Some(false));
    assert!(is_moment(state.finished_at.as_ref().unwrap()));
    let mut wanted = ["kill", "die", "stop", "start"].into_iter().peekable();
    while let Some(next) = wanted.peek() {
        let event = tokio::time::timeout(PATIENCE, events.next())
            .await
            .unwrap_or_else(|_| panic!("no event {next}"))
            .unwrap()
            .unwrap();
        let action = event.action.unwrap();
        // Health checks are commands of the engine's own.
        if action.starts_with("exec_") || action.starts_with("health_status") {
            continue;
        }
        assert_eq!(&action, next);
        let actor = event.actor.unwrap();
        assert_eq!(actor.attributes.unwrap()["name"], name);
        assert!(event.time.is_some() && actor.id.unwrap().len() == 64);
        wanted.next();
    }
    eventually("the replica is healthy again", async || {
        let health = inspect(place, &name).await.state?.health?.status?;
        (health.to_string() == "healthy").then_some(())
    })
    .await;
}

async fn the_gateway_redirects_and_is_verified(place: &Place) {
    let path = format!("{}?a=b&c=%20", place.api);
    let ask = |url: String| place.http.get(url).send();
    let moved = ask(format!("{}{path}", place.plain)).await.unwrap();
    assert_eq!(moved.status(), 301);
    assert_eq!(
        moved.headers()["location"],
        format!("{}{path}", place.https).as_str()
    );
    let answer = ask(format!("{}{path}", place.https)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"].to_str().unwrap();
    assert!(
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    for header in [
        "strict-transport-security",
        "x-content-type-options",
        "x-frame-options",
        "content-security-policy",
        "referrer-policy",
    ] {
        let count = answer.headers().get_all(header).iter().count();
        assert_eq!(count, 1, "{header}");
    }
    assert_eq!(answer.headers()["server"], "nginx");
    assert_eq!(
        ask(format!("{}/", place.https)).await.unwrap().status(),
        200
    );
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let stranger = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let refused = stranger.get(format!("{}/", place.https)).send().await;
    assert!(refused.unwrap_err().is_connect(), "not verified");
}

/// Names of a family's labels, as they stand in one of its samples.
fn labels_of(sample: &str) -> BTreeSet<&str> {
    let inside = sample
        .split_once('{')
        .and_then(|(_, rest)| rest.rsplit_once('}'));
    let Some((inside, _)) = inside else {
        return BTreeSet::new();
    };
    inside
        .split("\",")
        .filter_map(|pair| pair.split_once('=').map(|(name, _)| name))
        .collect()
}

async fn replicas_expose_these_families_and_labels(place: &Place) {
    assert_eq!(place.metrics.len(), 3);
    for _ in 0..12 {
        let url = format!("{}{}", place.https, place.api);
        assert_eq!(place.http.get(url).send().await.unwrap().status(), 200);
    }
    for url in &place.metrics {
        let text = eventually("the replica has answered requests", async || {
            let answer = place.http.get(url).send().await.ok()?;
            let kind = answer.headers()["content-type"].to_str().unwrap();
            assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
            let text = answer.text().await.ok()?;
            text.contains("\nhttp_requests_total{").then_some(text)
        })
        .await;
        for (family, kind) in [
            ("http_requests_total", "counter"),
            ("http_request_duration_seconds", "histogram"),
            ("process_start_time_seconds", "gauge"),
        ] {
            assert!(
                text.contains(&format!("# TYPE {family} {kind}\n")),
                "{url}: {family}"
            );
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            let wanted: &[&str] = match line.split(['{', ' ']).next().unwrap() {
                "http_requests_total" => &["method", "route", "status"],
                "http_request_duration_seconds_bucket" => &["le", "method", "route"],
                "http_request_duration_seconds_sum" | "http_request_duration_seconds_count" => {
                    &["method", "route"]
                }
                "process_start_time_seconds" => &[],
                _ => continue,
            };
            assert_eq!(labels_of(line), wanted.iter().copied().collect(), "{line}");
        }
        assert!(text.contains(",le=\"+Inf\"} "), "{url}");
    }
}

async fn prometheus_answers_in_these_shapes(place: &Place) {
    let get = async |path: &str, query: &[(&str, &str)]| -> (u16, Value) {
        let url = format!("{}{path}", place.prometheus);
        let answer = place.http.get(url).query(query).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    };
    let rate = "sum by (instance) (rate(http_requests_total[1m]))";
    let answer = eventually("three instances have a rate", async || {
        let (_, answer) = get("/query", &[("query", rate)]).await;
        (answer["data"]["result"].as_array()?.len() == 3).then_some(answer)
    })
    .await;
    assert_eq!(answer["status"], "success");
    assert_eq!(answer["data"]["resultType"], "vector");
    for one in answer["data"]["result"].as_array().unwrap() {
        assert!(
            one["metric"]["instance"]
                .as_str()
                .unwrap()
                .ends_with(":5000"),
            "{one}"
        );
        assert!(one["value"][0].is_number(), "{one}");
        assert!(
            one["value"][1].as_str().unwrap().parse::<f64>().is_ok(),
            "{one}"
        );
    }
    let stamp = "max by (instance) (timestamp(http_requests_total))";
    let (_, stamps) = get("/query", &[("query", stamp)]).await;
    let now = chrono::Utc::now();
    // A stack that was started anew keeps the old one's series for five minutes; they have no rate.
    let rated = |one: &&Value| {
        let rates = answer["data"]["result"].as_array().unwrap();
        let mut instances = rates.iter().map(|rate| &rate["metric"]["instance"]);
        instances.any(|instance| *instance == one["metric"]["instance"])
    };
    let stamps = stamps["data"]["result"].as_array().unwrap().iter();
    for one in stamps.filter(rated) {
        let at = one["value"][1].as_str().unwrap();
        let whole: i64 = at.split('.').next().unwrap().parse().unwrap();
        let age = (now.timestamp() - whole).abs();
        assert!(age < 60, "{one} at {now}");
    }
    let (status, bad) = get("/query", &[("query", "sum(")]).await;
    assert_eq!(
        (status, &bad["status"], &bad["errorType"]),
        (400, &"error".into(), &"bad_data".into())
    );
    assert!(bad["error"].is_string());
    let servers = eventually("all servers are scraped", async || {
        let (_, targets) = get("/targets", &[]).await;
        let mut targets = targets["data"]["activeTargets"].as_array()?.clone();
        targets.retain(|t| {
            let url = t["scrapeUrl"].as_str();
            url.is_some_and(|url| url.ends_with(":5000/metrics")) && t["health"] == "up"
        });
        (targets.len() == 3).then_some(targets)
    })
    .await;
    for target in servers {
        assert!(
            is_moment(target["lastScrape"].as_str().unwrap()),
            "{target}"
        );
        assert!(target["lastError"].is_string() && target["labels"]["instance"].is_string());
    }
    let (_, rules) = get("/rules", &[]).await;
    let groups = rules["data"]["groups"].as_array().unwrap().clone();
    assert!(!groups.is_empty());
    for rule in groups.iter().flat_map(|g| g["rules"].as_array().unwrap()) {
        assert!(
            rule["name"].is_string() && rule["query"].is_string(),
            "{rule}"
        );
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let (_, alerts) = get("/alerts", &[]).await;
    assert!(alerts["data"]["alerts"].is_array(), "{alerts}");
}
