//! A scripted Docker engine on a socket of its own: as much of the API as a look needs, and every way to misbehave.
//!
//! Knows nothing of the code under test: it speaks HTTP.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// What the engine says of its version.
#[derive(Clone)]
pub(crate) struct Script {
    /// The `Api-Version` header of `/_ping`.
    pub(crate) header: Option<String>,
    /// `ApiVersion` of `/version`.
    pub(crate) version: Option<String>,
    /// Paths with a newer version are refused, as the real one does.
    pub(crate) max: (u16, u16),
    pub(crate) min: (u16, u16),
}

impl Script {
    pub(crate) fn speaking(version: &str) -> Self {
        let max = parse(version).unwrap_or((1, 41));
        Self {
            header: Some(version.to_owned()),
            version: Some(version.to_owned()),
            max,
            min: (1, 12),
        }
    }
}

/// The engine's world; tests change it while it runs.
pub(crate) struct World {
    pub(crate) script: Script,
    pub(crate) containers: Vec<Value>,
    pub(crate) images: Vec<(String, String)>,
    /// Raw bytes of every container's log.
    pub(crate) log: Vec<u8>,
    /// Paths without query, in the order they were asked.
    pub(crate) asked: Vec<String>,
    /// Accepts and never answers.
    pub(crate) hangs: bool,
    /// Logs have no end: so many lines a second for each container that is followed.
    pub(crate) flood: u32,
    /// Answers this to everything.
    pub(crate) garbage: Option<(u16, &'static str)>,
}

pub(crate) struct FakeEngine {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) socket: PathBuf,
    events: broadcast::Sender<Option<Bytes>>,
    server: JoinHandle<()>,
    home: tempfile::TempDir,
}

impl FakeEngine {
    pub(crate) fn start(script: Script) -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("engine.sock");
        let world = Arc::new(Mutex::new(World {
            script,
            containers: Vec::new(),
            images: Vec::new(),
            log: Vec::new(),
            asked: Vec::new(),
            hangs: false,
            flood: 0,
            garbage: None,
        }));
        let (events, _) = broadcast::channel(4096);
        let server = tokio::spawn(serve(
            UnixListener::bind(&socket).unwrap(),
            world.clone(),
            events.clone(),
        ));
        Self {
            world,
            socket,
            events,
            server,
            home,
        }
    }

    pub(crate) fn engine(&self) -> quarterdeck::link::docker::Engine {
        let address = quarterdeck::link::docker::Address::Unix(self.socket.clone());
        quarterdeck::link::docker::Engine::new(address, self.home.path())
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    pub(crate) fn asked(&self, part: &str) -> usize {
        self.world
            .lock()
            .unwrap()
            .asked
            .iter()
            .filter(|path| path.contains(part))
            .count()
    }

    pub(crate) fn emit(&self, action: &str, id: &str, nanos: u64) {
        let event = json!({
            "Type": "container", "Action": action, "time": nanos / 1_000_000_000, "timeNano": nanos,
            "Actor": {"ID": id, "Attributes": {
                "com.docker.compose.project": "lab", "com.docker.compose.service": "server",
                "com.docker.compose.container-number": "1", "exitCode": "137"
            }}
        });
        // Nobody listening is no error.
        let _ = self.events.send(Some(Bytes::from(format!("{event}\n"))));
    }

    /// Ends all event streams.
    pub(crate) fn break_events(&self) {
        let _ = self.events.send(None);
    }

    pub(crate) fn listeners(&self) -> usize {
        self.events.receiver_count()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A container of project `lab`, as `inspect` shows it.
pub(crate) fn container(service: &str, number: u32, status: &str, health: Option<&str>) -> Value {
    let mut value = json!({
        "Id": format!("{service}{number:060}"), "Name": format!("/lab-{service}-{number}"), "Image": "sha256:one", "RestartCount": 0,
        "Created": "2026-11-20T12:00:00Z",
        "State": {"Status": status, "Running": status == "running", "ExitCode": 0, "Pid": 0,
            "StartedAt": "2026-11-20T12:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"},
        "Config": {"Image": "server:1", "Tty": false, "Labels": {
            "com.docker.compose.project": "lab", "com.docker.compose.service": service,
            "com.docker.compose.container-number": number.to_string()}},
        "HostConfig": {"RestartPolicy": {"Name": "always"}}, "NetworkSettings": {"Networks": {}}, "Mounts": []
    });
    if let Some(health) = health {
        value["State"]["Health"] = json!({"Status": health, "FailingStreak": 0, "Log": []});
    }
    value
}

pub(crate) fn frame(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[1, 0, 0, 0][..], &length, text.as_bytes()].concat()
}

async fn serve(
    listener: UnixListener,
    world: Arc<Mutex<World>>,
    events: broadcast::Sender<Option<Bytes>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (world, events) = (world.clone(), events.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (world, events) = (world.clone(), events.clone());
                async move {
                    if world.lock().unwrap().hangs {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, Infallible>(answer(&request, &world, &events))
                }
            });
            // A client that goes away is no error here.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    world: &Mutex<World>,
    events: &broadcast::Sender<Option<Bytes>>,
) -> Answer {
    let mut world = world.lock().unwrap();
    let path = request.uri().path().to_owned();
    world.asked.push(path.clone());
    if let Some((status, text)) = world.garbage {
        return whole(status, text.to_owned());
    }
    let (version, path) = match path
        .strip_prefix("/v")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((version, rest)) if parse(version).is_some() => (parse(version), format!("/{rest}")),
        _ => (None, path),
    };
    if let Some(refusal) = refusal(version, &world.script) {
        return whole(400, json!({"message": refusal}).to_string());
    }
    match path
        .trim_matches('/')
        .split('/')
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["_ping"] => ping(&world.script),
        ["version"] => {
            let version = world.script.version.clone();
            whole(
                200,
                json!({"Version": "20.10.24", "ApiVersion": version, "Os": "linux"}).to_string(),
            )
        }
        ["info"] => whole(
            200,
            json!({"Name": "elsewhere", "Swarm": {"LocalNodeState": "inactive"}}).to_string(),
        ),
        ["containers", "json"] => {
            let list: Vec<Value> = world.containers.iter().map(listed).collect();
            whole(200, Value::from(list).to_string())
        }
        ["containers", id, "json"] => match world.containers.iter().find(|c| c["Id"] == **id) {
            Some(container) => whole(200, container.to_string()),
            None => whole(
                404,
                json!({"message": format!("No such container: {id}")}).to_string(),
            ),
        },
        ["containers", _, "logs"] if world.flood > 0 => flooded(world.flood),
        ["containers", _, "logs"] => whole(200, world.log.clone()),
        ["images", name, "json"] => match world.images.iter().find(|(n, _)| n == name) {
            Some((_, id)) => whole(
                200,
                json!({"Id": id, "RepoDigests": ["x@sha256:d"]}).to_string(),
            ),
            None => whole(404, json!({"message": "no such image"}).to_string()),
        },
        ["events"] => streamed(events.subscribe()),
        _ => whole(404, json!({"message": "page not found"}).to_string()),
    }
}

fn ping(script: &Script) -> Answer {
    let mut answer = whole(200, "OK");
    if let Some(header) = &script.header {
        answer
            .headers_mut()
            .insert("api-version", header.parse().unwrap());
    }
    answer
}

fn refusal(asked: Option<(u16, u16)>, script: &Script) -> Option<String> {
    let ((major, minor), show) = (asked?, |(a, b): (u16, u16)| format!("{a}.{b}"));
    if (major, minor) > script.max {
        return Some(format!(
            "client version {major}.{minor} is too new. Maximum supported API version is {}",
            show(script.max)
        ));
    }
    let old = (major, minor) < script.min;
    old.then(|| format!("client version {major}.{minor} is too old. Minimum supported API version is {}, please upgrade", show(script.min)))
}

/// What the list says of an inspected container.
fn listed(container: &Value) -> Value {
    let health = match container["State"]["Health"]["Status"].as_str() {
        Some("starting") => " (health: starting)".to_owned(),
        Some(word) => format!(" ({word})"),
        None => String::new(),
    };
    json!({
        "Id": container["Id"], "Names": [container["Name"]], "Image": container["Config"]["Image"], "ImageID": container["Image"],
        "State": container["State"]["Status"], "Status": format!("Up 5 minutes{health}"), "Labels": container["Config"]["Labels"]
    })
}

fn whole(status: u16, body: impl Into<Bytes>) -> Answer {
    Response::builder()
        .status(status)
        .body(Full::new(body.into()).boxed())
        .unwrap()
}

fn streamed(receiver: broadcast::Receiver<Option<Bytes>>) -> Answer {
    let frames = stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(Some(bytes)) => Some((Ok::<_, Infallible>(Frame::data(bytes)), receiver)),
            Ok(None) | Err(_) => None,
        }
    });
    // The test's body must be shared between threads, as hyper asks of a boxed one.
    Response::new(BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(
        frames,
    )))))
}

/// A hundred times a second, a hundredth of the lines.
fn flooded(lines_per_second: u32) -> Answer {
    let frames = stream::unfold(0_u64, move |sent| async move {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        let count = u64::from(lines_per_second / 100);
        let lines: Vec<u8> = (sent..sent + count)
            .flat_map(|n| {
                frame(&format!(
                    "2026-11-20T12:00:00.{n:09}Z INFO request {n} answered\n"
                ))
            })
            .collect();
        Some((
            Ok::<_, Infallible>(Frame::data(Bytes::from(lines))),
            sent + count,
        ))
    });
    Response::new(BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(
        frames,
    )))))
}

type Frames = std::pin::Pin<
    Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync>,
>;
struct SyncStream(Frames);

impl futures_util::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

fn parse(version: &str) -> Option<(u16, u16)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
