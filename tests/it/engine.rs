//! The way to the engine, and what looks at its containers: on a scripted engine, and on a real one where there is one.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use quarterdeck::domain::{
    Clean, ContainerId, ContainerState, Detail, Drift, EngineEventKind, Fault, FaultKind, Health,
    Reading, Sighting, Stack, Stream, Timestamp,
};
use quarterdeck::link::docker::{Address, Api, Engine, LogRange};
use quarterdeck::probe::Look;
use quarterdeck::probe::containers::ContainersProbe;
use quarterdeck::probe::engine::EngineProbe;
use quarterdeck::probe::roster::{Roster, roster};
use quarterdeck::probe::usage::UsageProbe;
use quarterdeck::watch;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::fake_engine::{FakeEngine, Script, container, frame};

/// For anything that should take milliseconds, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

fn stack(name: &str) -> Arc<Stack> {
    Arc::new(Stack::discovered(Clean::from(name)))
}

fn probe(
    engine: Engine,
    project: &str,
) -> (ContainersProbe, Roster, tokio::sync::watch::Sender<u32>) {
    let (roster, view) = roster();
    let (gaps, gaps_seen) = tokio::sync::watch::channel(0);
    (
        ContainersProbe::new(engine, stack(project), roster, gaps_seen),
        view,
        gaps,
    )
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::default().plus(since)
}

fn states(reading: &Reading) -> Vec<(String, String)> {
    let Detail::Containers(seen) = &reading.detail else {
        panic!("not of containers: {reading:?}");
    };
    seen.all
        .iter()
        .map(|c| {
            (
                c.id.0.to_string(),
                format!("{} {:?}", c.state.word(), c.check),
            )
        })
        .collect()
}

/// F04: every version an engine may speak, and everything it may say instead of one.
#[tokio::test]
async fn every_api_version_is_spoken_with_or_refused_with_a_reason() {
    let cases: [(Option<&str>, &str); 7] = [
        (Some("1.24"), "1.24"),
        (Some("1.40"), "1.40"),
        (Some("1.41"), "1.41"),
        (Some("1.52"), "1.52"),
        (Some("9.99"), "1.52"),
        (Some("latest \u{1b}[31m?"), "1.41"),
        (None, "1.41"),
    ];
    for (header, spoken) in cases {
        let mut script = Script::speaking(header.unwrap_or("1.41"));
        script.header = header.map(|h| h.replace('\u{1b}', "~"));
        if spoken == "1.41" {
            script.version = Some("1.41".to_owned());
        }
        let fake = FakeEngine::start(script);
        fake.set(|w| w.containers = vec![container("server", 1, "running", Some("healthy"))]);
        let engine = fake.engine();
        assert_eq!(
            engine.api().await.unwrap(),
            Api::parse(spoken),
            "{header:?}"
        );
        assert_eq!(engine.list("lab").await.unwrap().len(), 1, "{header:?}");
        assert_eq!(
            fake.asked(&format!("/v{spoken}/containers/json")),
            1,
            "{header:?}"
        );
        let reading = EngineProbe::new(engine).look(now()).await.unwrap();
        assert_eq!(
            reading.health == Health::Poor,
            spoken == "1.24",
            "{}",
            reading.summary
        );
    }
}

#[tokio::test]
async fn an_engine_that_says_no_version_anywhere_is_asked_without_one() {
    let mut script = Script::speaking("1.41");
    (script.header, script.version) = (None, Some("garbage".to_owned()));
    let fake = FakeEngine::start(script);
    assert_eq!(fake.engine().list("lab").await.unwrap(), []);
    assert_eq!(fake.asked("/v1"), 0);
}

#[tokio::test]
async fn too_new_is_learned_from_and_too_old_is_a_fault_that_says_so() {
    let mut script = Script::speaking("1.52");
    script.max = (1, 41);
    let fake = FakeEngine::start(script);
    let engine = fake.engine();
    assert!(
        engine.list("lab").await.is_ok(),
        "asked again with what the refusal offered"
    );
    assert_eq!(engine.api().await.unwrap(), Some(Api::new(1, 41)));

    let mut script = Script::speaking("1.60");
    script.min = (1, 55);
    let fault = Fault::from(
        FakeEngine::start(script)
            .engine()
            .list("lab")
            .await
            .unwrap_err(),
    );
    assert_eq!(fault.kind, FaultKind::Unsupported);
    assert!(
        fault.text.contains("too old") && fault.remedy.is_some(),
        "{fault}"
    );

    let ancient = FakeEngine::start(Script::speaking("1.12"))
        .engine()
        .list("lab")
        .await
        .unwrap_err();
    assert_eq!(Fault::from(ancient).kind, FaultKind::Unsupported);
}

/// F03.
#[tokio::test]
async fn no_socket_and_what_is_no_socket_are_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| Engine::new(Address::Unix(home.path().join(name)), home.path());
    let fault = Fault::from(at("missing.sock").ping().await.unwrap_err());
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(
        fault.text.contains("missing.sock") && fault.remedy.is_some(),
        "{fault}"
    );
    std::fs::write(home.path().join("file"), "").unwrap();
    let fault = Fault::from(at("file").ping().await.unwrap_err());
    assert_eq!(fault.kind, FaultKind::Misconfigured, "{fault}");
    drop(tokio::net::UnixListener::bind(home.path().join("dead")).unwrap());
    let fault = Fault::from(at("dead").ping().await.unwrap_err());
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
}

/// F08.
#[tokio::test]
async fn an_engine_that_accepts_and_never_answers_is_silent_after_the_header_deadline() {
    let fake = FakeEngine::start(Script::speaking("1.41"));
    fake.set(|w| w.hangs = true);
    let begun = Instant::now();
    let fault = Fault::from(fake.engine().ping().await.unwrap_err());
    assert_eq!(fault.kind, FaultKind::Silent, "{fault}");
    assert!(
        (4..9).contains(&begun.elapsed().as_secs()),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn what_is_no_engine_is_garbled_and_its_text_is_cleaned() {
    let fake = FakeEngine::start(Script::speaking("1.41"));
    fake.set(|w| w.garbage = Some((404, "<html>\u{1b}]0;x\u{7}")));
    assert_eq!(
        Fault::from(fake.engine().ping().await.unwrap_err()).kind,
        FaultKind::Garbled
    );
    fake.set(|w| w.garbage = Some((500, "starting\u{1b}[2J")));
    let fault = Fault::from(fake.engine().list("lab").await.unwrap_err());
    assert!(fault.text.contains("starting^[[2J"), "{fault}");
    fake.set(|w| w.garbage = Some((200, "{\"not\": \"a list\"}")));
    assert_eq!(
        Fault::from(fake.engine().list("lab").await.unwrap_err()).kind,
        FaultKind::Garbled
    );
}

/// F01, the looking side: the engine goes away and comes back between two looks.
#[tokio::test]
async fn a_restarted_engine_is_seen_again_over_a_new_connection() {
    let mut fake = FakeEngine::start(Script::speaking("1.41"));
    let engine = fake.engine();
    let mut probe = EngineProbe::new(engine.clone());
    assert_eq!(probe.look(now()).await.unwrap().health, Health::Good);
    let newer = FakeEngine::start(Script::speaking("1.45"));
    std::fs::remove_file(&fake.socket).unwrap();
    assert_eq!(
        probe.look(now()).await.unwrap().health,
        Health::Good,
        "kept connections still serve"
    );
    std::os::unix::fs::symlink(&newer.socket, &fake.socket).unwrap();
    let old = std::mem::replace(&mut fake.socket, newer.socket.clone());
    let engine = Engine::new(Address::Unix(old), std::env::temp_dir());
    let reading = EngineProbe::new(engine).look(now()).await.unwrap();
    assert!(reading.summary.contains("API 1.45"), "{}", reading.summary);
}

/// F10, F06: what the looks at containers say.
#[tokio::test]
async fn drift_health_and_death_are_in_the_reading() {
    let fake = FakeEngine::start(Script::speaking("1.41"));
    fake.set(|w| {
        w.containers = vec![
            container("server", 1, "running", Some("healthy")),
            container("server", 2, "running", Some("starting")),
            container("redis", 1, "running", None),
        ];
        w.images = vec![("server:1".to_owned(), "sha256:two".to_owned())];
    });
    let (mut probe, view, _gaps) = probe(fake.engine(), "lab");
    let reading = probe.look(now()).await.unwrap();
    assert_eq!(reading.health, Health::Busy);
    assert_eq!(
        reading.summary.as_str(),
        "1/3 healthy, 1 without a health check, 1 starting"
    );
    assert!(
        view.borrow()
            .iter()
            .all(|c| matches!(&c.drift, Drift::Differs(_)))
    );
    fake.set(|w| {
        w.containers[0]["State"] = serde_json::json!({"Status": "exited", "ExitCode": 137, "OOMKilled": true, "FinishedAt": "2026-11-20T13:00:00Z"});
    });
    let reading = probe.look(now()).await.unwrap();
    assert_eq!(reading.health, Health::Bad);
    assert!(
        reading.summary.starts_with("server-1 out of memory"),
        "{}",
        reading.summary
    );
    assert_eq!(view.borrow().len(), 3);
}

#[tokio::test]
async fn only_what_changed_is_inspected_again() {
    let fake = FakeEngine::start(Script::speaking("1.41"));
    fake.set(|w| {
        w.containers = (1..=20)
            .map(|n| container("server", n, "running", Some("healthy")))
            .collect();
    });
    let (mut probe, _view, _gaps) = probe(fake.engine(), "lab");
    let inspections = || fake.asked("/containers/server");
    let at = now();
    probe.look(at).await.unwrap();
    assert_eq!(inspections(), 20);
    probe.look(at.plus(Duration::from_secs(10))).await.unwrap();
    assert_eq!(inspections(), 20, "nothing changed");
    fake.set(|w| w.containers[3]["State"]["Health"]["Status"] = "unhealthy".into());
    probe.look(at.plus(Duration::from_secs(20))).await.unwrap();
    assert_eq!(inspections(), 21);
    probe.look(at.plus(Duration::from_secs(90))).await.unwrap();
    assert!(inspections() >= 41, "all once a minute: {}", inspections());
}

/// Breaks the event stream; returns when the gap is counted and a new stream stands.
async fn break_and_follow_again(
    fake: &FakeEngine,
    wake: &Notify,
    mut gaps: tokio::sync::watch::Receiver<u32>,
) {
    let before = *gaps.borrow();
    fake.break_events();
    let counted = timeout(PATIENCE, gaps.wait_for(|n| *n > before)).await;
    counted.expect("a gap is counted").unwrap();
    timeout(PATIENCE, wake.notified())
        .await
        .expect("a gap wakes");
    let stands = async {
        while fake.listeners() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Whatever woke before; what wakes next is the stream that stands.
        let _ = wake.notified().now_or_never();
        wake.notified().await;
    };
    timeout(PATIENCE, stands).await.expect("it follows again");
}

/// F07: whatever happens to the events, the reading equals the list.
#[tokio::test]
async fn with_a_third_of_the_events_lost_the_reading_equals_the_truth() {
    let mut dice = 0x05ee_d007_u64;
    eprintln!("seed {dice:#x}");
    let mut random = move |below: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % below
    };
    let fake = FakeEngine::start(Script::speaking("1.41"));
    fake.set(|w| {
        w.containers = (1..=12)
            .map(|n| container("server", n, "running", Some("healthy")))
            .collect();
    });
    let (mut probe, _view, _gaps) = probe(fake.engine(), "lab");
    let wake = Arc::new(Notify::new());
    let (happenings, mut heard) = mpsc::channel(1024);
    let (gaps, gaps_seen) = tokio::sync::watch::channel(0);
    let outlet = watch::events::Outlet {
        wake: wake.clone(),
        happenings,
        gaps,
    };
    let task = tokio::spawn(watch::events::follow(
        fake.engine(),
        Clean::from("lab"),
        now,
        outlet,
    ));
    timeout(PATIENCE, wake.notified())
        .await
        .expect("the stream stands");
    let at = now();
    for step in 1..=200_u64 {
        let which = usize::try_from(random(12)).unwrap();
        let (word, action) = [("running", "start"), ("exited", "die"), ("paused", "pause")]
            [usize::try_from(random(3)).unwrap()];
        let id = format!("server{:060}", which + 1);
        fake.set(|w| w.containers[which]["State"]["Status"] = word.into());
        let nanos = (at.0 + step) * 1_000_000;
        match random(10) {
            0..3 => {}
            3 => {
                fake.emit(action, &id, nanos);
                fake.emit(action, &id, nanos);
            }
            _ => fake.emit(action, &id, nanos),
        }
        if step % 50 == 0 {
            break_and_follow_again(&fake, &wake, gaps_seen.clone()).await;
        }
    }
    let reading = probe.look(now()).await.unwrap();
    let truth: Vec<String> = fake
        .world
        .lock()
        .unwrap()
        .containers
        .iter()
        .map(|c| c["State"]["Status"].as_str().unwrap().to_owned())
        .collect();
    let mut seen = states(&reading);
    seen.sort();
    let seen: Vec<String> = seen
        .iter()
        .map(|(_, state)| state.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(seen, truth);
    assert!(*gaps_seen.borrow() >= 4);
    task.abort();
    let mut events = Vec::new();
    while let Ok(event) = heard.try_recv() {
        events.push(event);
    }
    assert!(
        events
            .iter()
            .filter(|e| e.kind == EngineEventKind::Gap)
            .count()
            >= 4
    );
    let mut moments: Vec<_> = events
        .iter()
        .filter(|e| e.kind != EngineEventKind::Gap)
        .collect();
    let all = moments.len();
    moments.dedup();
    assert_eq!(moments.len(), all, "a repeated event is passed on once");
}

#[tokio::test]
async fn log_lines_come_whole_and_cleaned_and_a_gone_container_ends_quietly() {
    let fake = FakeEngine::start(Script::speaking("1.41"));
    let stamp = "2026-11-20T12:00:00.000000001Z ";
    fake.set(|w| {
        w.containers = vec![container("server", 1, "running", None)];
        w.log = [
            frame(&format!("{stamp}GET \u{1b}]52;c;x\u{7} 200\n")),
            frame(&format!("{stamp}ERROR be")),
            frame(&format!("{stamp}gin\n")),
        ]
        .concat();
    });
    let id = ContainerId(Clean::line(&format!("server{:060}", 1)));
    let (ids, wanted) =
        tokio::sync::watch::channel(vec![id.clone(), ContainerId(Clean::from("gone"))]);
    let (batches, mut read) = mpsc::channel(4);
    let task = tokio::spawn(watch::logs::follow(
        fake.engine(),
        wanted,
        100,
        now,
        batches,
    ));
    let mut lines = Vec::new();
    while lines.len() < 2 {
        lines.extend(timeout(PATIENCE, read.recv()).await.unwrap().unwrap());
    }
    assert_eq!(lines[0].text.as_str(), "GET ^[]52;c;x^G 200");
    assert_eq!(lines[1].text.as_str(), "ERROR begin");
    assert_eq!(
        (lines[1].source.as_str(), lines[1].stream),
        ("server-1", Stream::Out)
    );
    // The same lines are sent at each attach; none may come twice.
    let attached = async {
        while fake.asked("/logs") < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, attached)
        .await
        .expect("it attaches again");
    assert!(read.try_recv().is_err(), "seen lines are not repeated");
    drop(ids);
    timeout(PATIENCE, task).await.unwrap().unwrap();
}

/// F56: more lines than anybody reads.
#[tokio::test]
async fn a_flood_of_lines_is_bounded_and_what_is_lost_is_said() {
    const LINES: usize = 100_000;
    let fake = FakeEngine::start(Script::speaking("1.41"));
    fake.set(|w| {
        w.containers = vec![container("server", 1, "running", None)];
        w.log = (0..LINES)
            .flat_map(|n| frame(&format!("2026-11-20T12:00:00.{n:09}Z line {n}\n")))
            .collect();
    });
    let id = ContainerId(Clean::line(&format!("server{:060}", 1)));
    let (_ids, wanted) = tokio::sync::watch::channel(vec![id]);
    let (batches, mut read) = mpsc::channel(1);
    tokio::spawn(watch::logs::follow(
        fake.engine(),
        wanted,
        1000,
        now,
        batches,
    ));
    // The reader is away until the whole log was read once and is asked for again.
    let away = async {
        while fake.asked("/logs") < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, away)
        .await
        .expect("reading goes on without a reader");
    let (mut lines, mut lost) = (0, 0);
    while lines + lost < LINES {
        let batch = timeout(PATIENCE, read.recv())
            .await
            .expect("goes on")
            .unwrap();
        assert!(batch.len() <= watch::logs::BATCH_MAX + 1);
        for line in batch {
            match line.stream {
                Stream::Note => {
                    lost += line
                        .text
                        .split(' ')
                        .next()
                        .unwrap()
                        .parse::<usize>()
                        .unwrap();
                }
                Stream::Out | Stream::Err => lines += 1,
            }
        }
    }
    assert_eq!(lines + lost, LINES, "every line is shown or counted");
    assert!(lost > 0, "the reader was away");
}

/// Answers every request over TLS with the pong of an engine; returns the port.
async fn tls_engine(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // A client that does not trust us goes away here.
            let Ok(mut stream) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut request = [0; 1024];
            while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                let pong = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
                if stream.write_all(pong).await.is_err() {
                    break;
                }
            }
        }
    });
    port
}

#[tokio::test]
async fn over_tls_only_the_named_authority_is_trusted_and_only_for_its_name() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let port = tls_engine(&certificate, &key).await;
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("ca.pem"), certificate.pem()).unwrap();
    let ask = async |host: &str, certs: Option<&std::path::Path>| {
        let address = Address::Tls {
            host: host.to_owned(),
            port,
            certs: certs.map(std::path::Path::to_owned),
        };
        Engine::new(address, home.path())
            .ping()
            .await
            .map_err(Fault::from)
    };
    let trusted = ask("localhost", Some(home.path())).await;
    assert_eq!(trusted, Ok(Some(Api::new(1, 41))));
    let wrong_name = ask("127.0.0.1", Some(home.path())).await.unwrap_err();
    assert!(wrong_name.text.contains("TLS"), "{wrong_name}");
    assert!(ask("localhost", None).await.is_err(), "not of the system's");
    let nowhere = ask("localhost", Some(&home.path().join("none")))
        .await
        .unwrap_err();
    assert_eq!(nowhere.kind, FaultKind::Misconfigured, "{nowhere}");
}

// From here on: a real engine.

/// The default engine, or a line that says there is none.
async fn real() -> Option<Engine> {
    let engine = Engine::new(Address::default(), std::env::temp_dir());
    match engine.ping().await {
        Ok(_) => Some(engine),
        Err(error) => {
            assert!(
                std::env::var_os("QUARTERDECK_REQUIRE_DOCKER").is_none(),
                "{error}"
            );
            eprintln!("skipped: no Docker engine");
            None
        }
    }
}

/// Containers of a project of this test's own; removed at the end, whatever happens.
struct Yard {
    project: String,
}

impl Yard {
    fn new(name: &str) -> Option<Self> {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"]
            .into_iter()
            .find(|p| std::path::Path::new(p).exists())?;
        let yard = Self {
            project: format!("docker-it-{name}-{}", std::process::id()),
        };
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::copy(busybox, bin.join("busybox")).unwrap();
        for tool in ["sh", "sleep", "echo", "seq"] {
            std::os::unix::fs::symlink("busybox", bin.join(tool)).unwrap();
        }
        let tar = home.path().join("root.tar");
        run(
            "tar",
            &[
                "-C",
                home.path().to_str().unwrap(),
                "-cf",
                tar.to_str().unwrap(),
                "bin",
            ],
        );
        run("docker", &["import", tar.to_str().unwrap(), &yard.image()]);
        Some(yard)
    }

    fn image(&self) -> String {
        format!("{}:1", self.project)
    }

    fn start(&self, service: &str, number: u32, command: &str) -> String {
        let name = format!("{}-{service}-{number}", self.project);
        let project = format!("com.docker.compose.project={}", self.project);
        let service = format!("com.docker.compose.service={service}");
        let number = format!("com.docker.compose.container-number={number}");
        let labels = ["--label", &project, "--label", &service, "--label", &number];
        let head = [
            "run",
            "-d",
            "--name",
            &name,
            "--memory",
            "64m",
            "--network",
            "none",
        ];
        let image = self.image();
        run(
            "docker",
            &[&head[..], &labels[..], &[&image, "sh", "-c", command][..]].concat(),
        )
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let out = Command::new("docker")
            .args(["ps", "-aq", "--filter", &filter])
            .output()
            .unwrap();
        let ids = String::from_utf8_lossy(&out.stdout).into_owned();
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = Command::new("docker").args(["rm", "-f"]).args(ids).output();
        }
        let _ = Command::new("docker").args(["rmi", &self.image()]).output();
    }
}

#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(
        out.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_engine_is_listed_inspected_measured_and_read() {
    let Some(engine) = real().await else { return };
    let Some(yard) = Yard::new("look") else {
        return eprintln!("skipped: no busybox");
    };
    yard.start("server", 1, "echo hello; echo oops >&2; sleep 1000");
    yard.start("server", 2, "while :; do :; done");
    let ended = yard.start("job", 1, "exit 3");
    run("docker", &["wait", &ended]);

    let facts = engine.facts().await.unwrap();
    assert!(facts.local && !facts.version.is_empty(), "{facts:?}");
    let projects = engine.projects().await.unwrap();
    let project = projects
        .iter()
        .find(|p| p.name == yard.project.as_str())
        .unwrap();
    assert_eq!((project.services.len(), project.running), (2, 2));

    let (mut probe, view, _gaps) = probe(engine.clone(), &yard.project);
    let reading = probe.look(now()).await.unwrap();
    assert_eq!(reading.health, Health::Bad, "{}", reading.summary);
    assert!(
        reading.summary.contains("job-1 exited, exit code 3"),
        "{}",
        reading.summary
    );
    assert!(
        view.borrow()
            .iter()
            .all(|c| c.drift == Drift::Same && c.limits.memory_bytes == Some(64 << 20))
    );

    let (_shown, shown) = tokio::sync::watch::channel(Vec::new());
    let mut usage = UsageProbe::new(engine.clone(), stack(&yard.project), view.clone(), shown);
    let busy = async {
        loop {
            let reading = usage.look(now()).await.unwrap();
            let Detail::Usage(table) = &reading.detail else {
                panic!("{reading:?}")
            };
            assert!(table.source.starts_with("cgroup"), "{}", table.source);
            assert_eq!(table.by_id.len(), 2);
            let cpu = table.by_id.values().filter_map(|u| u.cpu_percent);
            if cpu.fold(0.0, f64::max) > 5.0 {
                return format!("{} ({})", reading.summary, table.source);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let seen = timeout(PATIENCE, busy).await;
    eprintln!("{}", seen.expect("a busy loop is seen to be busy"));

    let id = view.borrow()[1].id.clone();
    let sample = engine.stats_once(&id).await.unwrap();
    assert!(
        sample.cpu_ns.is_some() && sample.memory_bytes.is_some(),
        "{sample:?}"
    );
    let id = view
        .borrow()
        .iter()
        .find(|c| c.replica() == "server-1")
        .unwrap()
        .id
        .clone();
    let head = engine.log_head(&id).await.unwrap();
    assert!(head.running && !head.terminal);
    let range = LogRange {
        tail: Some(10),
        ..LogRange::default()
    };
    let lines: Vec<_> = engine
        .logs(&id, head.terminal, range)
        .await
        .unwrap()
        .collect()
        .await;
    let mut texts: Vec<_> = lines
        .iter()
        .map(|l| l.as_ref().unwrap())
        .map(|l| (l.stream, String::from_utf8_lossy(&l.bytes).into_owned()))
        .collect();
    texts.sort_by_key(|(_, text)| text.clone());
    assert_eq!(
        texts,
        [
            (Stream::Out, "hello".to_owned()),
            (Stream::Err, "oops".to_owned())
        ]
    );
    assert!(
        engine
            .inspect(&ContainerId(Clean::from("nosuch")))
            .await
            .unwrap_err()
            .is_missing()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_dies_is_in_the_reading_at_once() {
    let Some(engine) = real().await else { return };
    let Some(yard) = Yard::new("die") else {
        return eprintln!("skipped: no busybox");
    };
    let victim = yard.start("server", 1, "sleep 1000");
    yard.start("server", 2, "sleep 1000");
    let wake = Arc::new(Notify::new());
    let (happenings, mut heard) = mpsc::channel(64);
    let (roster, _view) = roster();
    let (gaps, gaps_seen) = tokio::sync::watch::channel(0);
    let outlet = watch::events::Outlet {
        wake: wake.clone(),
        happenings,
        gaps,
    };
    tokio::spawn(watch::events::follow(
        engine.clone(),
        Clean::line(&yard.project),
        now,
        outlet,
    ));
    let probe = ContainersProbe::new(engine, stack(&yard.project), roster, gaps_seen);
    let (sightings, mut seen) = mpsc::channel::<Sighting>(16);
    tokio::spawn(watch::supervise(probe, wake, now, sightings));
    let first = timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();
    assert_eq!(states(&first.result.unwrap()).len(), 2);
    // The events stream stands and has woken one more look.
    timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();

    run("docker", &["kill", &victim]);
    let inspected = run(
        "docker",
        &["inspect", "-f", "{{.State.FinishedAt}}", &victim],
    );
    let died = Timestamp::parse_rfc3339(&inspected).unwrap();
    let at = loop {
        let sighting = timeout(PATIENCE, seen.recv())
            .await
            .expect("woken")
            .unwrap();
        let reading = sighting.result.unwrap();
        let Detail::Containers(containers) = &reading.detail else {
            continue;
        };
        if containers
            .all
            .iter()
            .any(|c| c.state == ContainerState::Exited)
        {
            assert_eq!(reading.health, Health::Bad);
            break sighting.at;
        }
    };
    let took = at.since(died);
    eprintln!("in the reading {took:?} after its death");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let heard = async {
        loop {
            let event = heard.recv().await.unwrap();
            if event.kind == EngineEventKind::Die {
                return event;
            }
        }
    };
    let event = timeout(PATIENCE, heard).await.unwrap();
    assert_eq!(event.text.as_str(), "server-1 died, exit code 137");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_restarted_container_goes_on_where_it_stopped() {
    let Some(engine) = real().await else { return };
    let Some(yard) = Yard::new("log") else {
        return eprintln!("skipped: no busybox");
    };
    let id = yard.start("server", 1, "seq 1 3; exec sleep 1000");
    let (_ids, wanted) = tokio::sync::watch::channel(vec![ContainerId(Clean::line(&id))]);
    let (batches, mut read) = mpsc::channel(4);
    tokio::spawn(watch::logs::follow(engine, wanted, 100, now, batches));
    let mut lines: Vec<String> = Vec::new();
    let mut restarted = false;
    while lines.len() < 6 {
        let batch = timeout(PATIENCE, read.recv())
            .await
            .expect("a line")
            .unwrap();
        lines.extend(batch.into_iter().map(|line| line.text.to_string()));
        if lines.len() == 3 && !restarted {
            restarted = true;
            run("docker", &["restart", "-t", "0", &id]);
        }
    }
    assert_eq!(
        lines,
        ["1", "2", "3", "1", "2", "3"],
        "none lost, none twice"
    );
}

/// Processor time in clock ticks, of each process of the engine, and of ourselves.
fn ticks() -> (BTreeMap<std::ffi::OsString, u64>, u64) {
    let of = |path: std::path::PathBuf| {
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let mut fields = tail.split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some((head.split_once('(')?.1.to_owned(), user + system))
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let engine = all
        .filter(|e| e.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .filter_map(|e| Some((e.file_name(), of(e.path())?)))
        .filter(|(_, (name, _))| name == "dockerd" || name.starts_with("containerd"))
        .map(|(pid, (_, ticks))| (pid, ticks));
    let own = of("/proc/self".into()).unwrap().1;
    (engine.collect(), own)
}

/// Percent of a core over `span`: the engine, and we. A process that came or went meanwhile is of somebody else.
async fn cost(span: Duration) -> (f64, f64) {
    let (engine, own) = ticks();
    tokio::time::sleep(span).await;
    let (engine_after, own_after) = ticks();
    let spent = engine.iter().filter_map(|(pid, before)| {
        let after = engine_after.get(pid)?;
        Some(after.saturating_sub(*before))
    });
    // A clock tick is a hundredth of a second.
    let percent = |ticks: u64| f64::from(u32::try_from(ticks).unwrap()) / span.as_secs_f64();
    (percent(spent.sum()), percent(own_after - own))
}

/// Prints what watching costs, for `QUARTERDECK_MEASURE` containers. A measurement and no test: other users of the engine
/// would decide its outcome.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_watching_costs_is_measured() {
    const SPAN: Duration = Duration::from_secs(20);
    let Ok(count) = std::env::var("QUARTERDECK_MEASURE") else {
        return eprintln!("skipped: QUARTERDECK_MEASURE names no number of containers");
    };
    let Some(engine) = real().await else { return };
    let Some(yard) = Yard::new("cost") else {
        return eprintln!("skipped: no busybox");
    };
    for number in 1..=count.parse().unwrap() {
        yard.start("server", number, "exec sleep 1000");
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = cost(SPAN).await;

    let wake = Arc::new(Notify::new());
    let (happenings, _heard) = mpsc::channel(64);
    let (roster, view) = roster();
    let (gaps, gaps_seen) = tokio::sync::watch::channel(0);
    let (_shown, shown) = tokio::sync::watch::channel(Vec::new());
    let (sightings, mut seen) = mpsc::channel::<Sighting>(64);
    let outlet = watch::events::Outlet {
        wake: wake.clone(),
        happenings,
        gaps,
    };
    let stack = stack(&yard.project);
    tokio::spawn(watch::events::follow(
        engine.clone(),
        stack.name.clone(),
        now,
        outlet,
    ));
    let containers = ContainersProbe::new(engine.clone(), stack.clone(), roster, gaps_seen);
    let usage = UsageProbe::new(engine.clone(), stack, view, shown);
    tokio::spawn(watch::supervise(containers, wake, now, sightings.clone()));
    tokio::spawn(watch::supervise(
        usage,
        Arc::default(),
        now,
        sightings.clone(),
    ));
    tokio::spawn(watch::supervise(
        EngineProbe::new(engine),
        Arc::default(),
        now,
        sightings,
    ));
    tokio::spawn(async move { while seen.recv().await.is_some() {} });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let watched = cost(SPAN).await;
    eprintln!(
        "{count} containers: engine {:.2} % of a core idle, {:.2} % watched; we use {:.2} %",
        idle.0, watched.0, watched.1
    );
}
