//! What steps do to a stack, asserted alike on the practice range and on the reference stack.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quarterdeck::config::{Config, Env, Flags};
use quarterdeck::domain::{Clean, Container, ContainerId, Stack, Timestamp};
use quarterdeck::engine::{Finding, RunId};
use quarterdeck::link::docker::{Address, Engine};
use quarterdeck::link::tls::Roots;
use quarterdeck::probe::check::{Eyes, Reach};
use quarterdeck::range::scenario::Scenario;
use quarterdeck::range::{Options, Range};
use quarterdeck::step::{Act, Done, Hands, Hurry, Step, Upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const RUN: &str = "r-20261121-031502-ab12";

/// One of the two: hands on it, and what differs.
struct Place {
    hands: Hands,
    said: Arc<Mutex<Vec<String>>>,
    http: reqwest::Client,
    https: String,
    /// Answered by a replica, without a login.
    api: &'static str,
    /// Another image of the server that works, and one that does not.
    good: &'static str,
    bad: &'static str,
    /// A path of a replica itself that answers 200.
    health: &'static str,
}

impl Place {
    fn new(engine: Engine, config: &Path, http: reqwest::Client) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let log = said.clone();
        let eyes = Eyes {
            engine: engine.clone(),
            stack: Arc::new(Stack::discovered(Clean::from("hyper-mission"))),
            prometheus: None,
            roots: Roots::system_lazily(),
            ca_file: None,
            gateway: None,
            reach: Reach::nothing(),
        };
        let hands = Hands {
            engine,
            eyes,
            now: Arc::new(|| Timestamp(1_795_176_221_000)),
            project: Clean::from("hyper-mission"),
            run: RunId(Clean::from(RUN)),
            upstream: Some(Arc::new(upstream(config))),
            secret: Arc::new(|place| Err(Clean::line(&format!("no {}", place.shown())))),
            say: Arc::new(move |line: Clean| log.lock().unwrap().push(line.as_str().to_owned())),
            prove: Arc::new(|_| ()),
            hurry: Hurry::never(),
        };
        Self {
            hands,
            said,
            http,
            https: String::new(),
            api: "",
            good: "",
            bad: "",
            health: "",
        }
    }

    fn list(&self) -> PathBuf {
        let upstream = self.hands.upstream.as_ref().unwrap();
        upstream.directory.join(&upstream.file)
    }

    fn default_list(&self) -> Vec<u8> {
        std::fs::read(&self.hands.upstream.as_ref().unwrap().default).unwrap()
    }

    async fn replica(&self, word: &str) -> Container {
        let all = self.hands.engine.list("hyper-mission").await.unwrap();
        let (service, number) = word.rsplit_once('-').unwrap();
        let fits = |one: &&quarterdeck::link::docker::Listed| {
            one.service.as_str() == service
                && one.number == number.parse().ok()
                && !one.name.contains(RUN)
        };
        let found: Vec<_> = all.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "{word}: {found:?}");
        self.hands.engine.inspect(&found[0].id).await.unwrap()
    }

    async fn raw(&self, id: &ContainerId) -> Value {
        self.hands.engine.inspect_raw(id).await.unwrap()
    }

    async fn before(&self, step: &Step) -> Value {
        step.before(&self.hands).await.unwrap()
    }

    /// Looks and performs.
    async fn done(&self, step: &Step) -> Value {
        let before = self.before(step).await;
        step.perform(&self.hands, &before).await.unwrap();
        before
    }

    /// Requests through the gateway that a replica says it answered.
    async fn answered(&self, replica: &str) -> u64 {
        let container = self.replica(replica).await;
        let ip = container.addresses[0].ip.as_str().to_owned();
        let url = format!("http://{ip}:5000/metrics");
        let text = self.http.get(url).send().await;
        let text = text.unwrap().text().await.unwrap();
        let ours = format!("route=\"{}\"", self.api);
        let lines = text
            .lines()
            .filter(|line| line.starts_with("http_requests_total{"));
        let counts = lines.filter(|line| line.contains(&ours));
        counts
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    /// Waits until a replica is healthy again, for whoever comes next.
    async fn whole(&self) {
        for word in ["server-1", "server-2", "server-3"] {
            let healthy = step(json!({
                "kind": "healthy", "container": word, "in_a_row": 1, "min_healthy_time": "0s", "every": "100ms",
            }));
            let before = self.before(&healthy).await;
            let waited = tokio::time::timeout(PATIENCE, healthy.perform(&self.hands, &before));
            waited.await.unwrap().unwrap();
        }
    }
}

fn upstream(file: &Path) -> Upstream {
    let flags = Flags {
        config: Some(file.to_owned()),
        ..Flags::default()
    };
    let config = Config::load(&flags, &Env::default(), Path::new("/")).unwrap();
    let gateway = config.gateway.unwrap();
    let list = gateway.upstream.unwrap();
    Upstream {
        gateway: gateway.service.unwrap(),
        directory: list.directory,
        file: list.file.as_str().to_owned(),
        default: list.default,
        service: list.service,
        port: list.port,
        variable: list.variable.as_str().to_owned(),
        test: list
            .test
            .iter()
            .map(|word| word.as_str().to_owned())
            .collect(),
        in_flight_limit: list.in_flight_limit,
    }
}

fn step(written: Value) -> Step {
    serde_json::from_value(written).unwrap()
}

async fn on_the_range(assertions: impl AsyncFn(&Place)) {
    let dir = tempfile::tempdir().unwrap();
    let range = Range::start(options(dir.path())).await.unwrap();
    let engine = Engine::new(Address::Unix(range.socket_path()), dir.path());
    let place = Place {
        https: format!("https://localhost:{}", range.https_port),
        api: "/api/health",
        good: "hyper-mission/server:1.41.2",
        bad: "hyper-mission/server:1.43.0",
        health: "/metrics",
        ..Place::new(engine, &range.config_path(), super::range::client(&range))
    };
    assertions(&place).await;
    range.stop().await;
}

fn options(dir: &Path) -> Options {
    Options {
        scenario: Scenario::calm(),
        dir: dir.join("range"),
        seed: 11,
        speed: 1.0,
    }
}

async fn on_the_reference_stack(assertions: impl AsyncFn(&Place)) {
    let Some(stack) = crate::stack::reference_stack() else {
        return;
    };
    let config =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/stack/hyper-mission/quarterdeck.toml");
    let place = Place {
        https: "https://localhost:8443".to_owned(),
        api: "/api/ping",
        good: "hyper-mission/server:2",
        // It has no /server that the health check could ask.
        bad: "hyper-mission/redis:7",
        health: "/healthz",
        ..Place::new(
            Engine::new(Address::default(), "/tmp"),
            &config,
            stack.client(),
        )
    };
    place.whole().await;
    assertions(&place).await;
    place.whole().await;
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

contract!(a_restart_happens_exactly_once);
contract!(stop_and_start_undo_each_other);
contract!(a_drained_replica_gets_nothing_and_nobody_notices);
contract!(the_last_replica_that_serves_is_not_drained);
contract!(a_list_that_the_gateway_refuses_never_comes_into_force);
contract!(a_reload_takes_a_broken_list_back);
contract!(a_switch_sends_everything_elsewhere_and_back);
contract!(a_replaced_container_differs_by_its_image_alone_and_comes_back);
contract!(a_new_container_that_is_not_healthy_costs_nobody_anything);
contract!(a_service_is_scaled_up_and_back);
contract!(commands_end_as_expected_or_say_why);
contract!(words_find_one_container_or_say_why_not);

async fn a_restart_happens_exactly_once(place: &Place) {
    let hands = &place.hands;
    let restart = step(json!({"kind": "restart", "container": "server-2", "grace": "5s"}));
    let before = place.before(&restart).await;
    assert!(!before.to_string().contains("PASSWORD"), "{before}");
    assert_eq!(
        restart.happened(hands, &before).await,
        Finding::DidNotHappen
    );
    let first = place.replica("server-2").await.started_at;
    let done = restart.perform(hands, &before).await.unwrap();
    assert_eq!(done.said.as_str(), "server-2 restarted");
    let second = place.replica("server-2").await.started_at;
    assert_ne!(first, second);
    let done = restart.perform(hands, &before).await.unwrap();
    assert_eq!(done.said.as_str(), "server-2 already restarted");
    assert_eq!(
        place.replica("server-2").await.started_at,
        second,
        "restarted twice"
    );
    assert_eq!(restart.happened(hands, &before).await, Finding::Happened);
    let healthy = step(json!({
        "kind": "healthy", "container": "server-2", "port": 5000, "path": place.health, "in_a_row": 2, "min_healthy_time": "1s",
    }));
    place.done(&healthy).await;
}

async fn stop_and_start_undo_each_other(place: &Place) {
    let hands = &place.hands;
    let stop = step(json!({"kind": "stop", "container": "server-3", "grace": "5s"}));
    let before = place.done(&stop).await;
    let runs = async || place.replica("server-3").await.state.word() == "running";
    assert!(!runs().await);
    // As after a crash: done already.
    stop.perform(hands, &before).await.unwrap();
    assert_eq!(stop.happened(hands, &before).await, Finding::Happened);
    stop.undo(hands, &before).await.unwrap();
    assert!(runs().await);
    let start = step(json!({"kind": "start", "container": "server-3"}));
    let ran = place.done(&start).await;
    start.undo(hands, &ran).await.unwrap();
    assert!(runs().await, "what ran before goes on");
}

/// Requests, one after the other on fresh connections, until it is told to stop.
struct Hammer {
    goes_on: Arc<AtomicBool>,
    failed: Arc<Mutex<Vec<String>>>,
    sent: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Hammer {
    fn on(place: &Place) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let failed = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::new(AtomicU64::new(0));
        let (going, faults, count) = (goes_on.clone(), failed.clone(), sent.clone());
        let (http, url) = (place.http.clone(), format!("{}{}", place.https, place.api));
        let task = tokio::spawn(async move {
            while going.load(Ordering::SeqCst) {
                match http.get(&url).header("connection", "close").send().await {
                    Ok(answer) if answer.status() == 200 => {}
                    Ok(answer) => faults.lock().unwrap().push(answer.status().to_string()),
                    Err(error) => faults.lock().unwrap().push(format!("{error:?}")),
                }
                count.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        });
        Self {
            goes_on,
            failed,
            sent,
            task,
        }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    async fn more(&self, requests: u64) {
        let (began, wanted) = (Instant::now(), self.sent() + requests);
        while self.sent() < wanted {
            assert!(began.elapsed() < PATIENCE, "the requests hang");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn nobody_noticed(self) {
        self.goes_on.store(false, Ordering::SeqCst);
        self.task.await.unwrap();
        let failed = self.failed.lock().unwrap();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

async fn a_drained_replica_gets_nothing_and_nobody_notices(place: &Place) {
    let hands = &place.hands;
    let drain = step(json!({"kind": "drain", "replica": "server-2"}));
    let restart = step(json!({"kind": "restart", "container": "server-2", "grace": "5s"}));
    let healthy =
        step(json!({"kind": "healthy", "container": "server-2", "min_healthy_time": "1s"}));
    let undrain = step(json!({"kind": "undrain", "replica": "server-2"}));
    let hammer = Hammer::on(place);
    hammer.more(20).await;
    let before = place.done(&drain).await;
    let answered = place.answered("server-2").await;
    hammer.more(60).await;
    assert_eq!(
        place.answered("server-2").await,
        answered,
        "drained and asked"
    );
    let text = std::fs::read_to_string(place.list()).unwrap();
    assert!(text.contains("# drained: server-2\n"), "{text}");
    // As after a crash: the file tells, and it is put in force once more.
    drain.perform(hands, &before).await.unwrap();
    place.done(&restart).await;
    place.done(&healthy).await;
    let fresh = place.answered("server-2").await;
    let out = place.done(&undrain).await;
    assert_eq!(std::fs::read(place.list()).unwrap(), place.default_list());
    hammer.more(60).await;
    assert!(
        place.answered("server-2").await > fresh,
        "put back and not asked"
    );
    undrain.undo(hands, &out).await.unwrap();
    assert_ne!(std::fs::read(place.list()).unwrap(), place.default_list());
    drain.undo(hands, &before).await.unwrap();
    assert_eq!(std::fs::read(place.list()).unwrap(), place.default_list());
    hammer.nobody_noticed().await;
}

async fn the_last_replica_that_serves_is_not_drained(place: &Place) {
    let hands = &place.hands;
    let drain = |replica: &str| step(json!({"kind": "drain", "replica": replica}));
    place.done(&drain("server-1")).await;
    place.done(&drain("server-3")).await;
    let third = drain("server-2");
    let before = place.before(&third).await;
    let list = std::fs::read(place.list()).unwrap();
    let fault = third.perform(hands, &before).await.unwrap_err();
    assert!(fault.contains("users would get nothing"), "{fault}");
    assert_eq!(std::fs::read(place.list()).unwrap(), list);
    assert_eq!(third.happened(hands, &before).await, Finding::DidNotHappen);
    for replica in ["server-3", "server-1"] {
        let undrain = step(json!({"kind": "undrain", "replica": replica}));
        place.done(&undrain).await;
    }
    assert_eq!(std::fs::read(place.list()).unwrap(), place.default_list());
    let gateway = drain("gateway");
    let fault = gateway.before(hands).await.unwrap_err();
    assert!(fault.contains("is of the service gateway"), "{fault}");
}

async fn a_list_that_the_gateway_refuses_never_comes_into_force(place: &Place) {
    // A list that defines another variable leaves the gateway's own undefined.
    let upstream = Upstream {
        variable: "other".to_owned(),
        ..Upstream::clone(place.hands.upstream.as_ref().unwrap())
    };
    let hands = Hands {
        upstream: Some(Arc::new(upstream)),
        ..place.hands.clone()
    };
    let hammer = Hammer::on(place);
    let drain = step(json!({"kind": "drain", "replica": "server-2"}));
    let before = drain.before(&hands).await.unwrap();
    let fault = drain.perform(&hands, &before).await.unwrap_err();
    assert!(fault.contains("refuses the new list"), "{fault}");
    assert!(fault.contains("unknown \"api\" variable"), "{fault}");
    assert_eq!(std::fs::read(place.list()).unwrap(), place.default_list());
    assert_eq!(drain.happened(&hands, &before).await, Finding::DidNotHappen);
    hammer.more(10).await;
    hammer.nobody_noticed().await;
}

async fn a_reload_takes_a_broken_list_back(place: &Place) {
    let hands = &place.hands;
    let reload = step(json!({"kind": "reload"}));
    let before = place.done(&reload).await;
    let hammer = Hammer::on(place);
    std::fs::write(place.list(), "nonsense;\n").unwrap();
    let fault = reload.perform(hands, &before).await.unwrap_err();
    assert!(
        fault.contains("nonsense") && fault.contains("put back"),
        "{fault}"
    );
    assert_eq!(std::fs::read(place.list()).unwrap(), place.default_list());
    reload.perform(hands, &before).await.unwrap();
    hammer.more(10).await;
    hammer.nobody_noticed().await;
}

async fn a_switch_sends_everything_elsewhere_and_back(place: &Place) {
    let hands = &place.hands;
    let missing = step(json!({"kind": "switch", "to": "green"}));
    let before = place.before(&missing).await;
    let fault = missing.perform(hands, &before).await.unwrap_err();
    assert!(fault.contains("no replica of server-green"), "{fault}");
    // There is no other colour: any other service is one, and answers nothing where the servers did.
    let switch = step(json!({"kind": "switch", "to": "green", "green": "client"}));
    assert_eq!(switch.happened(hands, &before).await, Finding::DidNotHappen);
    switch.perform(hands, &before).await.unwrap();
    let text = std::fs::read_to_string(place.list()).unwrap();
    assert!(
        text.contains("# service: client\n") && !text.contains("server-1"),
        "{text}"
    );
    let url = format!("{}{}", place.https, place.api);
    let ask = async || place.http.get(&url).send().await.unwrap().status();
    assert_eq!(ask().await, 502);
    // The drained replica of a colour that gets nothing is a mistake.
    let drain = step(json!({"kind": "drain", "replica": "server-1"}));
    let fault = drain.before(hands).await.unwrap_err();
    assert!(fault.contains("lists the replicas of client"), "{fault}");
    switch.undo(hands, &before).await.unwrap();
    assert_eq!(std::fs::read(place.list()).unwrap(), place.default_list());
    assert_eq!(ask().await, 200);
}

/// What of a container must survive: everything but its image, its ids and what the engine filled in.
async fn character(place: &Place, container: &Container) -> Value {
    let raw = place.raw(&container.id).await;
    let mut env: Vec<String> = serde_json::from_value(raw["Config"]["Env"].clone()).unwrap();
    // RELEASE is what the images of the reference stack bring.
    env.retain(|one| !one.starts_with("RELEASE="));
    env.sort();
    let short = container.id.short().to_owned();
    let networks = raw["NetworkSettings"]["Networks"].as_object().unwrap();
    let aliases = networks.iter().map(|(name, network)| {
        let aliases = network["Aliases"].as_array().into_iter().flatten();
        let mut aliases: Vec<&str> = aliases.filter_map(Value::as_str).collect();
        aliases.retain(|alias| *alias != short);
        (name.clone(), json!(aliases))
    });
    json!({
        "name": container.name.as_str(),
        "env": env,
        "host": raw["HostConfig"],
        "labels": raw["Config"]["Labels"],
        "check": raw["Config"]["Healthcheck"],
        "entry": raw["Config"]["Entrypoint"],
        "user": raw["Config"]["User"],
        "stop": raw["Config"]["StopTimeout"],
        "networks": aliases.collect::<serde_json::Map<_, _>>(),
    })
}

async fn names(place: &Place) -> Vec<String> {
    let all = place.hands.engine.list("hyper-mission").await.unwrap();
    all.iter().map(|one| one.name.as_str().to_owned()).collect()
}

async fn a_replaced_container_differs_by_its_image_alone_and_comes_back(place: &Place) {
    let hands = &place.hands;
    let old = place.replica("server-2").await;
    let was = character(place, &old).await;
    let replace = step(json!({
        "kind": "replace", "container": "server-2", "image": place.good, "grace": "5s",
    }));
    let before = place.before(&replace).await;
    assert!(!before.to_string().contains("PASSWORD"), "{before}");
    assert_eq!(
        replace.happened(hands, &before).await,
        Finding::DidNotHappen
    );
    replace.perform(hands, &before).await.unwrap();
    replace.perform(hands, &before).await.unwrap();
    assert_eq!(replace.happened(hands, &before).await, Finding::Happened);
    let new = place.replica("server-2").await;
    assert_ne!(new.id, old.id);
    assert_eq!(
        (new.image.name.as_str(), new.state.word()),
        (place.good, "running")
    );
    let mut is = character(place, &new).await;
    // The image's own labels change with it.
    if let Some(label) = was["labels"].get("hyper-mission.inputs") {
        is["labels"]["hyper-mission.inputs"] = label.clone();
    }
    assert_eq!(is, was);
    let kept = format!("{}-before-{RUN}", old.name);
    assert!(names(place).await.contains(&kept));
    replace.undo(hands, &before).await.unwrap();
    let back = place.replica("server-2").await;
    assert_eq!((&back.id, back.state.word()), (&old.id, "running"));
    assert_eq!(character(place, &back).await, was);
    assert!(!names(place).await.iter().any(|name| name.contains(RUN)));
    // And for good: what was kept is removed, and the copy of the copy is still the same container.
    for image in [place.good, old.image.name.as_str()] {
        place
            .done(&step(json!({"kind": "replace", "container": "server-2", "image": image, "start_first": true})))
            .await;
        place
            .done(&step(json!({"kind": "retire", "container": "server-2"})))
            .await;
        assert!(!names(place).await.iter().any(|name| name.contains(RUN)));
    }
    let again = place.replica("server-2").await;
    assert_eq!(character(place, &again).await, was);
    assert_eq!(again.image.id, old.image.id);
}

async fn a_new_container_that_is_not_healthy_costs_nobody_anything(place: &Place) {
    let hands = &place.hands;
    let old = place.replica("server-2").await;
    let missing = step(json!({"kind": "replace", "container": "server-2", "image": "no/such:1"}));
    let fault = missing.before(hands).await.unwrap_err();
    assert!(fault.contains("pull or build it first"), "{fault}");
    let hammer = Hammer::on(place);
    let first = step(json!({
        "kind": "replace", "container": "server-2", "image": place.bad, "start_first": true, "grace": "1s",
    }));
    let before = place.before(&first).await;
    let fault = first.perform(hands, &before).await.unwrap_err();
    assert!(fault.contains("the old one serves as before"), "{fault}");
    let now = place.replica("server-2").await;
    assert_eq!((&now.id, now.started_at), (&old.id, old.started_at));
    assert!(!names(place).await.iter().any(|name| name.contains(RUN)));
    hammer.nobody_noticed().await;
    // Without start_first the old one is stopped by then; undoing brings it back.
    let plain = step(json!({
        "kind": "replace", "container": "server-2", "image": place.bad, "grace": "1s",
    }));
    let before = place.done(&plain).await;
    let healthy = step(json!({"kind": "healthy", "container": "server-2"}));
    let new = place.before(&healthy).await;
    let waited = healthy.perform(hands, &new);
    match tokio::time::timeout(Duration::from_secs(15), waited).await {
        Ok(Ok(Done { said })) => panic!("healthy: {said}"),
        Ok(Err(fault)) => assert!(fault.contains("does not stay up"), "{fault}"),
        Err(_) => {
            let said = place.said.lock().unwrap().join("\n");
            assert!(said.contains("the health check of server-2"), "{said}");
        }
    }
    plain.undo(hands, &before).await.unwrap();
    let back = place.replica("server-2").await;
    assert_eq!((&back.id, back.state.word()), (&old.id, "running"));
}

async fn a_service_is_scaled_up_and_back(place: &Place) {
    let hands = &place.hands;
    let count = async || {
        let names = names(place).await;
        names.iter().filter(|name| name.contains("server")).count()
    };
    let scale = step(json!({"kind": "scale", "service": "server", "replicas": 4}));
    let before = place.done(&scale).await;
    scale.perform(hands, &before).await.unwrap();
    assert_eq!(count().await, 4);
    let fourth = place.replica("server-4").await;
    assert_eq!(fourth.state.word(), "running");
    assert_eq!(scale.happened(hands, &before).await, Finding::Happened);
    scale.undo(hands, &before).await.unwrap();
    assert_eq!(count().await, 3);
    for (replicas, says) in [(0, "stop it"), (101, "1 to 100")] {
        let wrong = step(json!({"kind": "scale", "service": "server", "replicas": replicas}));
        let fault = wrong.before(hands).await.unwrap_err();
        assert!(fault.contains(says), "{fault}");
    }
    let gateway = step(json!({"kind": "scale", "service": "gateway", "replicas": 2}));
    let before = place.before(&gateway).await;
    let fault = gateway.perform(hands, &before).await.unwrap_err();
    assert!(fault.contains("cannot run twice"), "{fault}");
}

async fn commands_end_as_expected_or_say_why(place: &Place) {
    let hands = &place.hands;
    let exec = |argv: &[&str], exit: i64| {
        step(json!({"kind": "exec", "container": "gateway", "argv": argv, "exit": exit}))
    };
    place.done(&exec(&["nginx", "-v"], 0)).await;
    let said = place.said.lock().unwrap().join("\n");
    assert!(said.contains("nginx version: nginx/"), "{said}");
    let test = ["nginx", "-t", "-c", "/nowhere.conf"];
    place.done(&exec(&test, 1)).await;
    let wrong = exec(&test, 0);
    let before = place.before(&wrong).await;
    let fault = wrong.perform(hands, &before).await.unwrap_err();
    assert!(fault.contains("exit 1, expected 0"), "{fault}");
    assert!(fault.contains("/nowhere.conf"), "{fault}");
    assert!(matches!(
        wrong.happened(hands, &before).await,
        Finding::Unclear(_)
    ));
    let empty = exec(&[], 0).before(hands).await.unwrap_err();
    assert!(empty.contains("argv is empty"), "{empty}");
}

async fn words_find_one_container_or_say_why_not(place: &Place) {
    let hands = &place.hands;
    let start = |word: &str| step(json!({"kind": "start", "container": word}));
    let name = place.replica("server-1").await.name;
    for word in ["server-1", name.as_str(), "postgres"] {
        start(word).before(hands).await.unwrap();
    }
    for (word, says) in [
        ("server", "server can be any of"),
        ("server-9", "there is no container server-9 among"),
        ("nobody", "in the project hyper-mission"),
    ] {
        let fault = start(word).before(hands).await.unwrap_err();
        assert!(fault.contains(says), "{fault}");
    }
    let stranger = Hands {
        project: Clean::from("another"),
        ..hands.clone()
    };
    let fault = start(&name).before(&stranger).await.unwrap_err();
    assert!(fault.contains("touches no container outside it"), "{fault}");
}

/// A line to an engine that cuts the connection after it has passed a restart on: the engine acts, its answer is lost.
async fn cutting(listener: UnixListener, engine: PathBuf) {
    while let Ok((mut near, _)) = listener.accept().await {
        let mut far = UnixStream::connect(&engine).await.unwrap();
        tokio::spawn(async move {
            let mut first = vec![0; 4096];
            let read = near.read(&mut first).await.unwrap_or(0);
            far.write_all(&first[..read]).await.unwrap();
            let head = String::from_utf8_lossy(&first[..read]).into_owned();
            if head.starts_with("POST") && head.contains("/restart") {
                // The engine reads and acts; nobody hears what it says.
                let mut answer = vec![0; 64];
                drop(far.read(&mut answer).await);
                return;
            }
            drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_whose_answer_is_lost_is_looked_for_and_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let range = Range::start(options(dir.path())).await.unwrap();
    let socket = dir.path().join("cut.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let line = tokio::spawn(cutting(listener, range.socket_path()));
    let engine = Engine::new(Address::Unix(socket), dir.path());
    let place = Place::new(engine, &range.config_path(), super::range::client(&range));
    let restart = step(json!({"kind": "restart", "container": "server-2", "grace": "5s"}));
    place.done(&restart).await;
    let said = place.said.lock().unwrap().join("\n");
    assert!(
        said.contains("looking again before anything is sent"),
        "{said}"
    );
    let restarts = range
        .snapshot()
        .deeds
        .iter()
        .filter(|d| d.target == "server-2")
        .count();
    assert_eq!(restarts, 1, "sent twice");
    line.abort();
    range.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_somebody_made_anew_is_not_touched() {
    on_the_range(async |place| {
        let hands = &place.hands;
        let all = ["restart", "stop", "start", "exec", "healthy"];
        let steps = all.map(|kind| match kind {
            "exec" => step(json!({"kind": kind, "container": "server-2", "argv": ["true"]})),
            _ => step(json!({"kind": kind, "container": "server-2"})),
        });
        let mut befores = Vec::new();
        for step in &steps {
            befores.push(place.before(step).await);
        }
        // Somebody else deploys meanwhile.
        let replace = json!({"kind": "replace", "container": "server-2", "image": place.good});
        place.done(&step(replace)).await;
        place
            .done(&step(json!({"kind": "retire", "container": "server-2"})))
            .await;
        let new = place.replica("server-2").await;
        for (step, before) in steps.iter().zip(&befores) {
            let fault = step.perform(hands, before).await.unwrap_err();
            assert!(fault.contains("somebody removed or replaced it"), "{fault}");
            assert!(!matches!(
                step.happened(hands, before).await,
                Finding::Happened
            ));
        }
        let now = place.replica("server-2").await;
        assert_eq!((now.id, now.started_at), (new.id, new.started_at));
    })
    .await;
}
