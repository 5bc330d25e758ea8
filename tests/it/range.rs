//! The practice range, driven from outside as the console drives a real stack.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, ExecConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, InspectContainerOptions,
    KillContainerOptions, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, RestartContainerOptions,
    StartContainerOptions, StatsOptionsBuilder, StopContainerOptions,
};
use futures_util::StreamExt;
use quarterdeck::range::scenario::{self, Fault, Scenario};
use quarterdeck::range::score::{self, Entry, Happening};
use quarterdeck::range::world::LastNight;
use quarterdeck::range::{Options, Range};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct Yard {
    range: Range,
    docker: Docker,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

async fn start(scenario: Scenario, speed: f64) -> Yard {
    let dir = tempfile::tempdir().expect("a folder");
    let options = Options {
        scenario,
        dir: dir.path().join("range"),
        seed: 42,
        speed,
    };
    let range = Range::start(options).await.expect("the range starts");
    let socket = range.socket_path();
    let docker = Docker::connect_with_unix(
        &socket.display().to_string(),
        20,
        bollard::API_DEFAULT_VERSION,
    )
    .expect("a client");
    let http = client(&range);
    Yard {
        range,
        docker,
        http,
        _dir: dir,
    }
}

pub(crate) fn client(range: &Range) -> reqwest::Client {
    builder(range).build().expect("a client")
}

fn builder(range: &Range) -> reqwest::ClientBuilder {
    let ca = std::fs::read(range.ca_path()).expect("the authority");
    let roots: rustls::RootCertStore = {
        let mut roots = rustls::RootCertStore::empty();
        let ca = <rustls::pki_types::CertificateDer as rustls::pki_types::pem::PemObject>::from_pem_slice(&ca).expect("PEM");
        roots.add(ca).expect("a root");
        roots
    };
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
}

/// Looks again and again until it fits.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn exec(
    docker: &Docker,
    container: &str,
    argv: &[&str],
    input: &[u8],
) -> (i64, Vec<u8>, Vec<u8>) {
    let config = ExecConfig {
        cmd: Some(argv.iter().map(|a| (*a).to_owned()).collect()),
        attach_stdin: Some(!input.is_empty()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let id = docker
        .create_exec(container, config)
        .await
        .expect("created")
        .id;
    let started = docker
        .start_exec(&id, None::<StartExecOptions>)
        .await
        .expect("started");
    let StartExecResults::Attached {
        mut output,
        input: mut stdin,
    } = started
    else {
        panic!("not attached");
    };
    if !input.is_empty() {
        stdin.write_all(input).await.expect("input is taken");
    }
    stdin.shutdown().await.expect("end of input");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(chunk) = tokio::time::timeout(PATIENCE, output.next())
        .await
        .expect("in time")
    {
        match chunk.expect("a frame") {
            LogOutput::StdErr { message } => err.extend(message),
            other => out.extend(other.into_bytes()),
        }
    }
    let exit = docker.inspect_exec(&id).await.expect("inspected").exit_code;
    (exit.expect("an exit code"), out, err)
}

#[tokio::test]
async fn the_engine_lists_and_inspects_the_stack() {
    let yard = start(Scenario::calm(), 1.0).await;
    let version = yard.docker.version().await.expect("version");
    assert_eq!(version.api_version.as_deref(), Some("1.45"));
    let label =
        std::collections::HashMap::from([("label", vec!["com.docker.compose.service=server"])]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&label)
        .build();
    let servers = yard
        .docker
        .list_containers(Some(options))
        .await
        .expect("list");
    assert_eq!(servers.len(), 3);
    let all = yard
        .docker
        .list_containers(None::<bollard::query_parameters::ListContainersOptions>)
        .await
        .expect("list");
    assert_eq!(all.len(), 9);
    let one = yard
        .docker
        .inspect_container("hyper-mission-server-1", None::<InspectContainerOptions>)
        .await
        .expect("inspect");
    let state = one.state.expect("a state");
    assert_eq!(state.running, Some(true));
    assert!(
        state
            .health
            .is_some_and(|h| h.log.is_some_and(|l| l.len() == 5))
    );
    let networks = one
        .network_settings
        .and_then(|n| n.networks)
        .expect("networks");
    let ip = networks
        .values()
        .next()
        .and_then(|n| n.ip_address.clone())
        .expect("an address");
    assert!(
        yard.range
            .metrics_addresses()
            .iter()
            .any(|(_, a)| a.ip().to_string() == ip)
    );
    let missing = yard
        .docker
        .inspect_container("nobody", None::<InspectContainerOptions>)
        .await;
    assert!(
        missing
            .expect_err("404")
            .to_string()
            .contains("No such container: nobody")
    );
    yard.range.stop().await;
}

#[tokio::test]
async fn unknown_calls_name_themselves_and_versions_are_checked() {
    let yard = start(Scenario::calm(), 1.0).await;
    let socket = yard.range.socket_path();
    let raw = builder(&yard.range)
        .unix_socket(socket.as_path())
        .build()
        .expect("a client");
    let get = async |path: &str| {
        let answer = raw
            .get(format!("http://docker{path}"))
            .send()
            .await
            .expect("answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let (status, text) = get("/v1.41/plugins").await;
    assert_eq!(status, 501);
    assert!(text.contains("GET /plugins"), "{text}");
    assert_eq!(get("/v1.99/info").await.0, 400);
    assert_eq!(get("/v1.41/containers/json").await.0, 200);
    let ping = raw
        .head("http://docker/_ping")
        .send()
        .await
        .expect("answers");
    assert_eq!(ping.headers()["Api-Version"], "1.45");
    assert_eq!(get("/system/df").await.0, 200);
    assert_eq!(get("/networks").await.0, 200);
    assert_eq!(get("/volumes").await.0, 200);
    assert_eq!(get("/images/hyper-mission/server:1.42.0/json").await.0, 200);
    assert_eq!(get("/containers/hyper-mission-redis-1/top").await.0, 200);
    yard.range.stop().await;
}

#[tokio::test]
async fn logs_follow_the_load_and_end_at_their_tail() {
    let yard = start(Scenario::calm(), 1.0).await;
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .tail("10")
        .build();
    let tail: Vec<_> = yard
        .docker
        .logs("hyper-mission-gateway-1", Some(options))
        .collect()
        .await;
    assert_eq!(tail.len(), 10);
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .follow(true)
        .tail("0")
        .build();
    let mut lines = yard.docker.logs("hyper-mission-gateway-1", Some(options));
    for _ in 0..20 {
        let line = tokio::time::timeout(PATIENCE, lines.next())
            .await
            .expect("in time")
            .expect("a line")
            .expect("a frame");
        let line: Value = serde_json::from_slice(&line.into_bytes()).expect("JSON");
        assert!(
            line["time"]
                .as_str()
                .is_some_and(|t| t.parse::<f64>().is_ok())
        );
        assert!(line["status"].is_u64() && line["upstream_addr"].is_string());
    }
    yard.range.stop().await;
}

#[tokio::test]
async fn stats_tell_what_a_replica_uses() {
    let yard = start(Scenario::calm(), 1.0).await;
    let options = StatsOptionsBuilder::default().stream(true).build();
    let mut stats = yard.docker.stats("hyper-mission-server-2", Some(options));
    let mut next = async || {
        tokio::time::timeout(PATIENCE, stats.next())
            .await
            .expect("in time")
            .expect("one")
            .expect("read")
    };
    let first = next().await;
    let second = next().await;
    let total = |s: &bollard::models::ContainerStatsResponse| {
        let cpu = s.cpu_stats.clone().expect("cpu");
        (
            cpu.cpu_usage.and_then(|u| u.total_usage).expect("usage"),
            cpu.system_cpu_usage.expect("system"),
        )
    };
    assert!(total(&second).0 > total(&first).0 && total(&second).1 > total(&first).1);
    assert!(second.memory_stats.and_then(|m| m.usage).expect("memory") > 50_000_000);
    yard.range.stop().await;
}

#[tokio::test]
async fn stop_start_restart_and_kill_are_seen_as_events() {
    let yard = start(Scenario::calm(), 10.0).await;
    let docker = yard.docker.clone();
    let filters = std::collections::HashMap::from([(
        "event",
        vec!["die", "start", "stop", "kill", "restart"],
    )]);
    // What happens before the stream is open is replayed. A second back: the world's clock moves in beats, and what is
    // asked of it right after a full second may still carry the time before it.
    let since = (chrono::Utc::now().timestamp() - 1).to_string();
    let options = EventsOptionsBuilder::default()
        .since(&since)
        .filters(&filters)
        .build();
    let mut events = docker.events(Some(options));
    let name = "hyper-mission-server-3";
    let mut expect = async |actions: &[&str]| {
        for action in actions {
            let event = tokio::time::timeout(PATIENCE, events.next())
                .await
                .expect("in time")
                .expect("one")
                .expect("read");
            assert_eq!(event.action.as_deref(), Some(*action));
        }
    };
    let act = async {
        yard.docker
            .stop_container(name, None::<StopContainerOptions>)
            .await
            .expect("stops");
        yard.docker
            .start_container(name, None::<StartContainerOptions>)
            .await
            .expect("starts");
        yard.docker
            .restart_container(name, None::<RestartContainerOptions>)
            .await
            .expect("restarts");
        yard.docker
            .kill_container(name, None::<KillContainerOptions>)
            .await
            .expect("kills");
    };
    let seen = expect(&[
        "kill", "die", "stop", "start", "kill", "die", "stop", "start", "restart", "kill", "die",
    ]);
    tokio::join!(seen, act);
    let one = docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await
        .expect("inspect");
    assert_eq!(one.state.and_then(|s| s.exit_code), Some(137));
    yard.range.stop().await;
}

#[tokio::test]
async fn a_container_is_recreated_by_the_engines_own_calls() {
    let yard = start(Scenario::calm(), 10.0).await;
    let (docker, name) = (&yard.docker, "hyper-mission-server-1");
    let old = docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await
        .expect("inspect");
    let config = old.config.expect("config");
    let body = ContainerCreateBody {
        image: Some("hyper-mission/server:1.41.2".into()),
        labels: config.labels,
        env: config.env,
        cmd: config.cmd,
        host_config: old.host_config,
        ..ContainerCreateBody::default()
    };
    let aside = RenameContainerOptionsBuilder::default()
        .name("hyper-mission-server-1-old")
        .build();
    docker.rename_container(name, aside).await.expect("aside");
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let new = docker
        .create_container(Some(options), body)
        .await
        .expect("created")
        .id;
    docker
        .stop_container("hyper-mission-server-1-old", None::<StopContainerOptions>)
        .await
        .expect("stops");
    docker
        .start_container(&new, None::<StartContainerOptions>)
        .await
        .expect("starts");
    let remove = RemoveContainerOptionsBuilder::default().force(true).build();
    docker
        .remove_container("hyper-mission-server-1-old", Some(remove))
        .await
        .expect("removed");
    eventually("the new replica serves metrics", async || {
        let (_, address) = yard
            .range
            .metrics_addresses()
            .into_iter()
            .find(|(n, _)| n == "server-1")?;
        yard.http
            .get(format!("http://{address}/metrics"))
            .send()
            .await
            .ok()
            .filter(|r| r.status() == 200)
    })
    .await;
    yard.range.stop().await;
}

#[tokio::test]
async fn commands_behave_as_the_real_ones() {
    let yard = start(Scenario::calm(), 10.0).await;
    let postgres = "hyper-mission-postgres-1";
    let (exit, out, err) = exec(
        &yard.docker,
        "hyper-mission-gateway-1",
        &["nginx", "-t"],
        &[],
    )
    .await;
    assert_eq!((exit, out.len()), (0, 0));
    assert!(String::from_utf8_lossy(&err).contains("test is successful"));
    let (exit, dump, _) = exec(
        &yard.docker,
        postgres,
        &["pg_dump", "-Fc", "-U", "app", "-d", "app"],
        &[],
    )
    .await;
    assert_eq!(exit, 0);
    assert!(dump.starts_with(b"PGDMP") && dump.len() > 1_000_000);
    let (exit, list, _) = exec(&yard.docker, postgres, &["pg_restore", "--list"], &dump).await;
    assert_eq!(exit, 0);
    assert!(String::from_utf8_lossy(&list).contains("TABLE DATA public missions"));
    let restore = ["pg_restore", "-U", "app", "-d", "scratch"];
    let (exit, _, err) = exec(&yard.docker, postgres, &restore, &dump).await;
    assert_eq!(exit, 1);
    assert!(String::from_utf8_lossy(&err).contains("database \"scratch\" does not exist"));
    assert_eq!(
        exec(&yard.docker, postgres, &["createdb", "scratch"], &[])
            .await
            .0,
        0
    );
    assert_eq!(exec(&yard.docker, postgres, &restore, &dump).await.0, 0);
    let count = [
        "psql",
        "-U",
        "app",
        "-d",
        "scratch",
        "-At",
        "-c",
        "select count(*) from users",
    ];
    let (exit, out, _) = exec(&yard.docker, postgres, &count, &[]).await;
    assert_eq!(exit, 0);
    assert!(
        String::from_utf8_lossy(&out)
            .trim()
            .parse::<u64>()
            .is_ok_and(|n| n >= 1_240)
    );
    yard.range.stop().await;
}

#[tokio::test]
async fn the_gateway_redirects_and_serves_with_its_own_authority() {
    let yard = start(Scenario::calm(), 1.0).await;
    let plain = yard
        .http
        .get(format!(
            "http://localhost:{}/api/health?x=1",
            yard.range.http_port
        ))
        .send()
        .await
        .expect("answers");
    assert_eq!(plain.status(), 301);
    let target = format!("https://localhost:{}/api/health?x=1", yard.range.https_port);
    assert_eq!(plain.headers()["location"], target.as_str());
    let answer = yard.http.get(&target).send().await.expect("trusted");
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("strict-transport-security"));
    let id = answer.headers()["x-request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    let world = yard.range.snapshot();
    let gateway = &world.containers[world.find("hyper-mission-gateway-1").expect("there")];
    let is_ours = |l: &&quarterdeck::range::world::LogLine| matches!(&l.saying, quarterdeck::range::world::Saying::Access(r) if r.id == id);
    assert_eq!(gateway.logs.iter().filter(is_ours).count(), 1);
    assert_eq!(
        yard.http
            .get(format!(
                "https://localhost:{}/nowhere",
                yard.range.https_port
            ))
            .send()
            .await
            .expect("answers")
            .status(),
        404
    );
    yard.range.stop().await;
}

#[tokio::test]
async fn a_certificate_is_swapped_while_the_gateway_runs() {
    let yard = start(Scenario::calm(), 1.0).await;
    let url = format!("https://localhost:{}/", yard.range.https_port);
    let on_disk = std::fs::read_to_string(yard.range.certificate_path()).expect("a file");
    yard.range.inject(&Fault::WrongName {});
    eventually("the wrong name is served", async || {
        let fresh = client(&yard.range);
        fresh.get(&url).send().await.err()
    })
    .await;
    assert_ne!(
        std::fs::read_to_string(yard.range.certificate_path()).expect("a file"),
        on_disk
    );
    for argv in [["certbot", "renew", ""], ["nginx", "-s", "reload"]] {
        let argv: Vec<&str> = argv.into_iter().filter(|a| !a.is_empty()).collect();
        assert_eq!(
            exec(&yard.docker, "hyper-mission-gateway-1", &argv, &[])
                .await
                .0,
            0
        );
    }
    eventually("the right name is served", async || {
        client(&yard.range).get(&url).send().await.ok()
    })
    .await;
    yard.range.stop().await;
}

#[tokio::test]
async fn metrics_and_prometheus_agree_with_the_world() {
    let yard = start(Scenario::calm(), 10.0).await;
    for (name, address) in yard.range.metrics_addresses() {
        let text = eventually("metrics are served", async || {
            yard.http
                .get(format!("http://{address}/metrics"))
                .send()
                .await
                .ok()?
                .text()
                .await
                .ok()
        })
        .await;
        for part in [
            "http_requests_total{method=\"GET\",route=\"/api/missions\",status=\"200\"}",
            "le=\"+Inf\"",
            "process_start_time_seconds",
        ] {
            assert!(text.contains(part), "{name}: {part}");
        }
    }
    let api = format!("http://127.0.0.1:{}/api/v1", yard.range.prometheus_port);
    let get = async |path: &str, query: &[(&str, &str)]| -> Value {
        yard.http
            .get(format!("{api}{path}"))
            .query(query)
            .send()
            .await
            .expect("answers")
            .json()
            .await
            .expect("JSON")
    };
    let rates = get(
        "/query",
        &[("query", "sum by (instance) (rate(http_requests_total[1m]))")],
    )
    .await;
    assert_eq!(
        rates["data"]["result"].as_array().map(Vec::len),
        Some(3),
        "{rates}"
    );
    let instance = rates["data"]["result"][0]["metric"]["instance"]
        .as_str()
        .expect("an instance")
        .to_owned();
    let one = get(
        "/query",
        &[("query", &format!("up{{instance=\"{instance}\"}}"))],
    )
    .await;
    assert_eq!(one["data"]["result"][0]["value"][1], "1", "{one}");
    let bad = get("/query", &[("query", "predict_linear(up[5m], 60)")]).await;
    assert_eq!(
        (bad["status"].as_str(), bad["errorType"].as_str()),
        (Some("error"), Some("bad_data"))
    );
    assert_eq!(
        get("/rules", &[]).await["data"]["groups"][0]["rules"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    assert_eq!(
        get("/targets", &[]).await["data"]["activeTargets"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    assert_eq!(
        get("/alerts", &[]).await["data"]["alerts"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    yard.range.stop().await;
}

#[tokio::test]
async fn nothing_is_reachable_by_others() {
    let yard = start(Scenario::calm(), 1.0).await;
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(yard.range.dir()), 0o700);
    assert_eq!(mode(&yard.range.socket_path()), 0o700);
    assert!(
        yard.range
            .metrics_addresses()
            .iter()
            .all(|(_, a)| a.ip().is_loopback())
    );
    let socket = yard.range.socket_path();
    yard.range.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn the_engine_hangs_refuses_and_returns() {
    let yard = start(Scenario::calm(), 1.0).await;
    let ping = async || tokio::time::timeout(Duration::from_millis(300), yard.docker.ping()).await;
    assert!(matches!(ping().await, Ok(Ok(_))));
    yard.range.inject(&Fault::EngineHangs {});
    eventually("the engine hangs", async || ping().await.err()).await;
    yard.range.inject(&Fault::EngineRefuses {});
    eventually("the engine refuses", async || {
        let connected = tokio::net::UnixStream::connect(yard.range.socket_path()).await;
        connected
            .err()
            .filter(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
    })
    .await;
    yard.range.inject(&Fault::EngineReturns {});
    eventually("the engine is back", async || {
        ping().await.ok().and_then(Result::ok)
    })
    .await;
    yard.range.stop().await;
}

#[tokio::test]
async fn backups_lie_there_and_their_faults_appear() {
    let yard = start(Scenario::calm(), 1.0).await;
    let dumps = || {
        let mut names: Vec<_> = std::fs::read_dir(yard.range.backups_dir())
            .expect("a folder")
            .map(|e| e.expect("entry").path())
            .collect();
        names.retain(|p| p.extension().is_some_and(|e| e == "dump"));
        names.sort();
        names
    };
    assert_eq!(dumps().len(), 7);
    let whole = std::fs::read(dumps().last().expect("one")).expect("read");
    assert!(quarterdeck::range::dump::read(&whole).is_ok());
    yard.range.inject(&Fault::BackupTruncated {});
    eventually("the last dump is cut", async || {
        let cut = std::fs::read(dumps().last()?).ok()?;
        quarterdeck::range::dump::read(&cut).err()
    })
    .await;
    assert_eq!(
        yard.range.snapshot().backups.last_night,
        LastNight::Truncated
    );
    yard.range.inject(&Fault::BackupMissing { nights: 2 });
    eventually("two nights are missing", async || {
        (dumps().len() == 5).then_some(())
    })
    .await;
    yard.range.stop().await;
}

#[tokio::test]
async fn several_ranges_run_side_by_side() {
    let one = start(Scenario::calm(), 1.0).await;
    let two = start(Scenario::calm(), 1.0).await;
    let addresses = |yard: &Yard| yard.range.metrics_addresses();
    assert!(addresses(&one).iter().all(|a| !addresses(&two).contains(a)));
    one.range.stop().await;
    two.range.stop().await;
}

#[tokio::test]
async fn a_training_is_played_and_scored() {
    let yard = start(scenario::load("replica-dies").expect("shipped"), 40.0).await;
    eventually("server-2 is gone", async || {
        let one = yard
            .docker
            .inspect_container("hyper-mission-server-2", None::<InspectContainerOptions>)
            .await
            .ok()?;
        one.state.filter(|s| s.exit_code == Some(137))
    })
    .await;
    let noticed = Entry {
        at_ms: yard.range.now_ms(),
        happening: Happening::Noticed,
    };
    let diagnosed = Entry {
        at_ms: yard.range.now_ms(),
        happening: Happening::Diagnosed {
            id: "killed".into(),
        },
    };
    yard.docker
        .start_container("hyper-mission-server-2", None::<StartContainerOptions>)
        .await
        .expect("starts");
    eventually("the trouble is over", async || {
        yard.range.snapshot().goal_met()
    })
    .await;
    let mut timeline = yard.range.timeline();
    timeline.entries.extend([noticed, diagnosed]);
    let world = yard.range.snapshot();
    let score = score::score(&world.scenario, &timeline);
    assert!(
        score.points >= 90 && score.actions_harmful == 0 && score.actions_wrong == 0,
        "{score:?}"
    );
    yard.range.stop().await;
}

#[tokio::test]
async fn the_configuration_is_toml_and_names_what_is_there() {
    let yard = start(Scenario::calm(), 1.0).await;
    let text = std::fs::read_to_string(yard.range.config_path()).expect("a file");
    let table: toml::Table = text.parse().expect("TOML");
    assert_eq!(table["stack"]["environment"].as_str(), Some("training"));
    assert_eq!(table["service"].as_array().map(Vec::len), Some(7));
    let ca = table["certificate"][0]["ca_file"].as_str().expect("a path");
    assert!(Path::new(ca).exists());
    yard.range.stop().await;
}
