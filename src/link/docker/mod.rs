//! A Docker Engine API endpoint: asked for facts, lists, events and log lines, and told what to do.
//!
//! Two clients on one wire. Short questions and logs go through our own thin client, because every path must carry the
//! version that both sides speak, every answer must have a largest size, and one unknown word must not cost the whole
//! reply. The event stream (and commands in containers) go through `bollard`, which knows those protocols; it runs over
//! our wire too ([`Engine::bollard`]), so that address, TLS, ssh, deadlines and version hold for it as well.
//!
//! What changes a container is in `act` and `exec` alone.

mod act;
mod address;
mod api;
mod archive;
mod container;
mod error;
mod events;
mod exec;
mod labelled;
mod logs;
mod reply;
mod stats;
mod through;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, Stream};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::timeout;

pub use act::Process;
pub use address::Address;
pub use api::Api;
pub use archive::Inside;
pub use container::{KEPT, Listed, NEXT, NUMBER, Project};
pub use error::{Access, EngineError};
pub use events::Happened;
pub use exec::{Command, Ended};
pub use labelled::Labelled;
pub use logs::{LINE_BYTES_MAX, Lines, LogTime, RawLine};
pub use stats::Sample;
pub use through::Flowed;
pub use wire::{CONNECT_DEADLINE, HEADER_DEADLINE, TOTAL_DEADLINE};

use crate::domain::{Clean, Container, ContainerId, EngineFacts};
use reply::At;
use wire::{Reply, Wire};

/// A list of 1,000 containers is 900 KB; every label can be 64 KiB.
const LIST_BYTES_MAX: usize = 32 * 1024 * 1024;
/// One inspected container is 8 KB; five health outputs and many labels make it more.
const ONE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// `/_ping`, `/version`, `/info`.
const SMALL_BYTES_MAX: usize = 256 * 1024;
/// Of an error text inside a stream's answer.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// One question, and once more with another version.
const VERSION_TRIES: usize = 2;

/// The engine. Cheap to clone; all clones share connections and what was negotiated.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    wire: Wire,
    spoken: Mutex<Option<Spoken>>,
}

/// What both sides speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spoken {
    /// `None`: the engine did not say, so paths carry no version and it takes its own.
    api: Option<Api>,
    max: Option<Api>,
}

/// What an image's tag points at now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    pub id: Clean,
    /// The registry's digest, where it came from one.
    pub digest: Option<Clean>,
}

/// What is needed to follow a container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHead {
    /// `server-1`.
    pub source: Clean,
    /// Has a terminal, so its output comes without frames.
    pub terminal: bool,
    pub running: bool,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogRange {
    /// Only so many from the end; `None`: all.
    pub tail: Option<u32>,
    /// Lines of this moment and later.
    pub since: Option<LogTime>,
    /// Stay until the container ends.
    pub follow: bool,
}

impl Engine {
    /// Does not connect yet. `runtime` is a directory of ours for the socket of an ssh tunnel.
    pub fn new(address: Address, runtime: impl Into<PathBuf>) -> Self {
        Self {
            shared: Arc::new(Shared {
                wire: Wire::new(address, runtime.into()),
                spoken: Mutex::default(),
            }),
        }
    }

    pub fn address(&self) -> &Address {
        self.shared.wire.address()
    }

    /// The cheapest question: whether it is there. Says the newest API it speaks, and renegotiates if that has changed.
    pub async fn ping(&self) -> Result<Option<Api>, EngineError> {
        let offered = self.ask_ping().await?;
        if offered.is_some() && self.spoken_now().is_some_and(|s| s.max != offered) {
            self.forget_version();
        }
        Ok(offered)
    }

    /// The API version in use.
    pub async fn api(&self) -> Result<Option<Api>, EngineError> {
        Ok(self.spoken().await?.api)
    }

    /// Who the engine is. Three to five questions: ask once per connection, not per look.
    pub async fn facts(&self) -> Result<EngineFacts, EngineError> {
        let version = self.json("/version", SMALL_BYTES_MAX).await?;
        let info = self.json("/info", SMALL_BYTES_MAX).await?;
        let spoken = self.spoken().await?;
        let (version, info) = (At::root(&version), At::root(&info));
        let shown = |api: Option<Api>| {
            api.map_or_else(|| Clean::from("not said"), |a| Clean::line(&a.to_string()))
        };
        let os = match info.at("OperatingSystem").str() {
            "" => version.at("Os").text(),
            os => Clean::line(os),
        };
        Ok(EngineFacts {
            address: self.shared.wire.shown(),
            version: version.at("Version").text(),
            api: shown(spoken.api),
            api_max: shown(spoken.max),
            os,
            local: self.is_local(info).await,
            swarm: info.at("Swarm").at("LocalNodeState").text(),
        })
    }

    /// All Compose projects and Swarm stacks that have containers.
    pub async fn projects(&self) -> Result<Vec<Project>, EngineError> {
        let all = self
            .json("/containers/json?all=true", LIST_BYTES_MAX)
            .await?;
        Ok(container::projects(&listed(&all)?))
    }

    /// The containers of a project, whatever their state.
    pub async fn list(&self, project: &str) -> Result<Vec<Listed>, EngineError> {
        let filters = filters(&[("label", &[&format!("{}={project}", container::PROJECT)])]);
        let path = format!("/containers/json?all=true&filters={filters}");
        listed(&self.json(&path, LIST_BYTES_MAX).await?)
    }

    pub async fn inspect(&self, id: &ContainerId) -> Result<Container, EngineError> {
        let value = self.inspect_raw(id).await?;
        container::inspected(&value).ok_or_else(|| self.garbled("inspect", "no id in it"))
    }

    /// The engine's own JSON of a container: every field, also those nobody here knows.
    pub async fn inspect_raw(&self, id: &ContainerId) -> Result<Value, EngineError> {
        let path = format!("/containers/{}/json", escape(&id.0));
        self.json(&path, ONE_BYTES_MAX).await
    }

    /// What an image's name points at now; `None` where there is no such image.
    pub async fn image(&self, name: &str) -> Result<Option<ImageFacts>, EngineError> {
        let Some(value) = self.image_raw(name).await? else {
            return Ok(None);
        };
        let root = At::root(&value);
        let digest = root.at("RepoDigests").items().next();
        Ok(Some(ImageFacts {
            id: root.at("Id").text(),
            digest: digest.map(|d| Clean::line(d.str().rsplit('@').next().unwrap_or_default())),
        }))
    }

    /// The engine's own JSON of an image, by its name or its id; `None` where there is no such image.
    pub async fn image_raw(&self, name: &str) -> Result<Option<Value>, EngineError> {
        let path = format!("/images/{}/json", escape(name));
        match self.json(&path, ONE_BYTES_MAX).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `sha256:…` of what an image's name points at now.
    pub async fn image_id(&self, name: &str) -> Result<Option<Clean>, EngineError> {
        Ok(self.image(name).await?.map(|image| image.id))
    }

    /// What a container has used so far, as the engine counts it. Takes an older engine a second: for a few only.
    pub async fn stats_once(&self, id: &ContainerId) -> Result<Sample, EngineError> {
        let path = format!(
            "/containers/{}/stats?stream=false&one-shot=true",
            escape(&id.0)
        );
        let value = self.json(&path, SMALL_BYTES_MAX).await?;
        Ok(stats::sample(
            At::root(&value),
            tokio::time::Instant::now().into_std(),
        ))
    }

    /// What a follower of the log must know first.
    pub async fn log_head(&self, id: &ContainerId) -> Result<LogHead, EngineError> {
        let value = self.inspect_raw(id).await?;
        let container =
            container::inspected(&value).ok_or_else(|| self.garbled("inspect", "no id in it"))?;
        Ok(LogHead {
            source: container.replica(),
            terminal: At::root(&value).at("Config").at("Tty").flag(),
            running: At::root(&value).at("State").at("Running").flag(),
        })
    }

    /// The lines of a container, oldest first. Silence is normal; the stream ends when the container does.
    pub async fn logs(
        &self,
        id: &ContainerId,
        terminal: bool,
        range: LogRange,
    ) -> Result<impl Stream<Item = Result<RawLine, EngineError>> + Send + Unpin + use<>, EngineError>
    {
        let path = format!(
            "/containers/{}/logs?stdout=true&stderr=true&timestamps=true&follow={}{}{}",
            escape(&id.0),
            range.follow,
            range.tail.map(|n| format!("&tail={n}")).unwrap_or_default(),
            range
                .since
                .map(|t| format!("&since={}", t.since()))
                .unwrap_or_default(),
        );
        let body = self.open(&path).await?;
        let state = Following {
            engine: self.clone(),
            body,
            lines: Lines::new(terminal),
            ready: Vec::new().into_iter(),
            ended: false,
        };
        Ok(Box::pin(stream::unfold(state, Following::next)))
    }

    /// bollard over our own wire: address, TLS, ssh, connect and header deadlines and the negotiated version are ours.
    ///
    /// Bodies are not bounded there, and their silence neither: wrap every `next()` where silence is not normal.
    pub fn bollard(&self) -> Result<bollard::Docker, bollard::errors::Error> {
        let engine = self.clone();
        let transport = move |request: bollard::BollardRequest| {
            let engine = engine.clone();
            async move {
                let carried = engine.carry(request).await;
                carried.map_err(|error| bollard::errors::Error::IOError {
                    err: std::io::Error::other(error),
                })
            }
        };
        bollard::Docker::connect_with_custom_transport(
            transport,
            Some("http://engine"),
            TOTAL_DEADLINE.as_secs(),
            bollard::API_DEFAULT_VERSION,
        )
    }

    async fn carry(
        &self,
        request: bollard::BollardRequest,
    ) -> Result<hyper::Response<hyper::body::Incoming>, EngineError> {
        let spoken = self.spoken().await?;
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
        head.uri = versioned(spoken.api, path)
            .parse()
            .map_err(|_| self.garbled(path, "not a path"))?;
        if let Ok(host) = self.shared.wire.host().parse() {
            head.headers.insert("host", host);
        }
        self.shared
            .wire
            .carry(hyper::Request::from_parts(head, body))
            .await
    }

    /// bollard's error, or ours inside it.
    fn of_bollard(&self, what: &str, error: bollard::errors::Error) -> EngineError {
        match error {
            bollard::errors::Error::IOError { err } => match err.downcast::<EngineError>() {
                Ok(ours) => ours,
                Err(err) => EngineError::BrokenOff {
                    address: self.shared.wire.shown(),
                    what: Clean::line(what),
                    reason: Clean::line(&err.to_string()),
                },
            },
            bollard::errors::Error::DockerResponseServerError {
                status_code,
                message,
            } => refused(what, status_code, Clean::line(&message)),
            other => self.garbled(what, &other.to_string()),
        }
    }

    /// Opens a stream, and tells a refusal from it.
    async fn open(&self, path: &str) -> Result<hyper::body::Incoming, EngineError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let spoken = self.spoken().await?;
            let response = self.shared.wire.open(&versioned(spoken.api, path)).await?;
            let status = response.status().as_u16();
            if status == 200 {
                return Ok(response.into_body());
            }
            let body =
                http_body_util::Limited::new(response.into_body(), REFUSAL_BYTES_MAX).collect();
            let body = match timeout(HEADER_DEADLINE, body).await {
                Ok(Ok(body)) => body.to_bytes(),
                // The status says enough.
                Ok(Err(_)) | Err(_) => hyper::body::Bytes::new(),
            };
            let message = message(&body);
            if tries < VERSION_TRIES && status == 400 && api::is_refusal(&message) {
                self.learn(&message)?;
                continue;
            }
            return Err(refused(path, status, message));
        }
    }

    async fn json(&self, path: &str, bytes_max: usize) -> Result<Value, EngineError> {
        let reply = self.get(path, bytes_max).await?;
        serde_json::from_slice(&reply.body).map_err(|error| self.garbled(path, &error.to_string()))
    }

    async fn get(&self, path: &str, bytes_max: usize) -> Result<Reply, EngineError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let spoken = self.spoken().await?;
            let reply = self
                .shared
                .wire
                .get(&versioned(spoken.api, path), bytes_max)
                .await?;
            if reply.status == 200 {
                return Ok(reply);
            }
            let message = message(&reply.body);
            if tries < VERSION_TRIES && reply.status == 400 && api::is_refusal(&message) {
                self.learn(&message)?;
                continue;
            }
            return Err(refused(path, reply.status, message));
        }
    }

    async fn ask_ping(&self) -> Result<Option<Api>, EngineError> {
        let reply = self.shared.wire.get("/_ping", SMALL_BYTES_MAX).await?;
        let header = reply.headers.get("api-version");
        let offered = header.and_then(|v| v.to_str().ok()).and_then(Api::parse);
        match reply.status {
            200 => Ok(offered),
            404 => Err(self.garbled("/_ping", "it does not know the question")),
            status => Err(refused("/_ping", status, message(&reply.body))),
        }
    }

    async fn spoken(&self) -> Result<Spoken, EngineError> {
        if let Some(spoken) = self.spoken_now() {
            return Ok(spoken);
        }
        let offered = match self.ask_ping().await? {
            Some(offered) => Some(offered),
            None => self.ask_version().await?,
        };
        let spoken = negotiate(offered)?;
        self.keep_version(spoken);
        Ok(spoken)
    }

    /// The version by the longer way, for engines (or proxies) without the header.
    async fn ask_version(&self) -> Result<Option<Api>, EngineError> {
        let reply = self.shared.wire.get("/version", SMALL_BYTES_MAX).await?;
        // A garbled answer is the same as none here: the next question will tell.
        let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        Ok(Api::parse(At::root(&value).at("ApiVersion").str()))
    }

    /// Takes the version that a refusal offers, if we speak it.
    fn learn(&self, refusal: &Clean) -> Result<(), EngineError> {
        let ours = Api::OURS_MIN..=Api::OURS_MAX;
        match api::offered_instead(refusal).filter(|api| ours.contains(api)) {
            Some(api) => {
                self.keep_version(Spoken {
                    api: Some(api),
                    max: Some(api),
                });
                Ok(())
            }
            None => Err(EngineError::Version {
                message: refusal.clone(),
            }),
        }
    }

    fn spoken_now(&self) -> Option<Spoken> {
        *self
            .shared
            .spoken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_version(&self, spoken: Spoken) {
        *self
            .shared
            .spoken
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(spoken);
    }

    fn forget_version(&self) {
        *self
            .shared
            .spoken
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the engine's processes are processes of this host. A socket may be forwarded from anywhere, so a running
    /// container's own process is looked for; without one, the host's name and kernel must be ours.
    async fn is_local(&self, info: At<'_>) -> bool {
        if !self.address().is_local_socket() {
            return false;
        }
        let running = self.json(
            "/containers/json?limit=1&filters=%7B%22status%22%3A%5B%22running%22%5D%7D",
            LIST_BYTES_MAX,
        );
        let id = match running.await {
            Ok(value) => listed(&value)
                .ok()
                .and_then(|l| l.into_iter().next())
                .map(|l| l.id),
            Err(_) => None,
        };
        if let Some(id) = id
            && let Ok(container) = self.inspect(&id).await
        {
            return container
                .pid
                .is_some_and(|pid| super::cgroup::is_of(pid, &container.id.0));
        }
        let ours = |file: &str, theirs: &str| {
            std::fs::read_to_string(format!("/proc/sys/kernel/{file}"))
                .is_ok_and(|own| own.trim() == theirs)
        };
        ours("hostname", info.at("Name").str()) && ours("osrelease", info.at("KernelVersion").str())
    }

    fn garbled(&self, what: &str, reason: &str) -> EngineError {
        EngineError::Garbled {
            address: self.shared.wire.shown(),
            what: Clean::line(what),
            reason: Clean::line(reason),
        }
    }
}

/// A log that is being read.
struct Following {
    engine: Engine,
    body: hyper::body::Incoming,
    lines: Lines,
    ready: std::vec::IntoIter<RawLine>,
    ended: bool,
}

impl Following {
    async fn next(mut self) -> Option<(Result<RawLine, EngineError>, Self)> {
        loop {
            if let Some(line) = self.ready.next() {
                return Some((Ok(line), self));
            }
            if self.ended {
                return None;
            }
            let mut lines = Vec::new();
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.lines.take(bytes, &mut lines);
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    let error = self.engine.shared.wire.broken("the log", &error);
                    return Some((Err(error), self));
                }
                None => {
                    self.ended = true;
                    self.lines.finish(&mut lines);
                }
            }
            self.ready = lines.into_iter();
        }
    }
}

fn negotiate(offered: Option<Api>) -> Result<Spoken, EngineError> {
    match offered {
        Some(theirs) if theirs < Api::OURS_MIN => Err(EngineError::TooOld {
            theirs,
            ours: Api::OURS_MIN,
        }),
        offered => Ok(Spoken {
            api: offered.map(|theirs| theirs.min(Api::OURS_MAX)),
            max: offered,
        }),
    }
}

fn versioned(api: Option<Api>, path: &str) -> String {
    match api {
        Some(api) => format!("/v{api}{path}"),
        None => path.to_owned(),
    }
}

fn listed(value: &Value) -> Result<Vec<Listed>, EngineError> {
    if value.is_array() {
        Ok(At::root(value).items().filter_map(Listed::read).collect())
    } else {
        Err(EngineError::Garbled {
            address: Clean::from("the engine"),
            what: Clean::from("the list of containers"),
            reason: Clean::from("not a list"),
        })
    }
}

/// The engine's error text: `{"message": …}`, or whatever it sent.
fn message(body: &[u8]) -> Clean {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if !At::root(&value).at("message").str().is_empty() => {
            At::root(&value).at("message").text()
        }
        Ok(_) | Err(_) => Clean::bytes(body.trim_ascii()),
    }
}

fn refused(path: &str, status: u16, message: Clean) -> EngineError {
    let what = Clean::line(path.split('?').next().unwrap_or(path));
    match status {
        404 => EngineError::Missing { what, message },
        status => EngineError::Answered {
            what,
            status,
            message,
        },
    }
}

fn filters(all: &[(&str, &[&str])]) -> String {
    let map: serde_json::Map<String, Value> = all
        .iter()
        .map(|(key, values)| ((*key).to_owned(), Value::from(values.to_vec())))
        .collect();
    escape(&Value::Object(map).to_string())
}

/// Percent-encodes what is not plain in a path or a query. `/` and `:` stand in image names and are meant.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b':' | b'@' => {
                out.push(char::from(byte));
            }
            byte => out.extend(['%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    out
}

fn hex(digit: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(digit & 15)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_both_newest_versions_is_spoken() {
        let spoken = |text: &str| negotiate(Api::parse(text)).unwrap().api;
        assert_eq!(spoken("1.41"), Some(Api::new(1, 41)));
        assert_eq!(spoken("9.99"), Some(Api::OURS_MAX));
        assert_eq!(spoken("garbage"), None, "then the engine takes its own");
        assert!(matches!(
            negotiate(Api::parse("1.12")),
            Err(EngineError::TooOld { .. })
        ));
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(escape("a b?c#d%"), "a%20b%3Fc%23d%25");
        assert_eq!(
            escape("registry:5000/x/y@sha256:1"),
            "registry:5000/x/y@sha256:1"
        );
        assert_eq!(
            filters(&[("label", &["a=b"])]),
            "%7B%22label%22:%5B%22a%3Db%22%5D%7D"
        );
    }

    #[test]
    fn an_error_text_is_found_in_json_and_without() {
        assert_eq!(
            message(b"{\"message\":\"no such container\"}").as_str(),
            "no such container"
        );
        assert_eq!(
            message(b"502 Bad\x1b Gateway\n").as_str(),
            "502 Bad^[ Gateway"
        );
    }
}
