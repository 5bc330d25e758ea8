//! The Docker Engine API on a unix socket, as far as a console calls it; everything else answers 501 with the call's name.

mod command;
mod inspect;
mod route;
mod stats;
mod stream;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::body::{self, Body};
use super::door;
use super::world::{EngineMode, Refusal};
use super::yard::Yard;

/// As a current engine says it.
const API_VERSION: &str = "1.45";
const API_MIN: &str = "1.24";
const ENGINE_VERSION: &str = "26.1.5";
/// Commands that were created; the oldest are forgotten, as the engine forgets them after a while.
const EXECS_MAX: usize = 1_000;
/// Connections at once: a console has some dozens.
const CONNECTIONS_MAX: usize = 512;

/// A command that was created in a container.
#[derive(Debug, Clone)]
struct Exec {
    container: String,
    argv: Vec<String>,
    takes_input: bool,
    is_tty: bool,
    is_running: bool,
    exit: Option<i64>,
}

/// What the engine knows beside the world.
#[derive(Debug)]
pub(super) struct Engine {
    yard: Arc<Yard>,
    execs: Mutex<BTreeMap<u64, Exec>>,
}

impl Engine {
    fn execs<T>(&self, look: impl FnOnce(&mut BTreeMap<u64, Exec>) -> T) -> T {
        look(&mut self.execs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Binds the socket, for its owner only.
pub(super) fn bind(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    Ok(listener)
}

/// Serves for ever; closes the socket while the world's engine refuses.
pub(super) async fn keep(yard: Arc<Yard>, first: UnixListener, path: PathBuf) {
    let engine = Arc::new(Engine {
        yard: yard.clone(),
        execs: Mutex::new(BTreeMap::new()),
    });
    let mut beats = yard.beats();
    let mut listener = Some(first);
    let mut connections = JoinSet::new();
    loop {
        let refuses = yard.with(|w| w.engine == EngineMode::Refuses);
        match (refuses, &listener) {
            (true, Some(_)) => {
                // The file stays and nobody listens: that is what "connection refused" is.
                listener = None;
                connections.abort_all();
            }
            (false, None) => listener = bind(&path).ok(),
            _ => {}
        }
        tokio::select! {
            accepted = accept(listener.as_ref()) => {
                if let Ok(stream) = accepted
                    && connections.len() < CONNECTIONS_MAX
                {
                    connections.spawn(serve(engine.clone(), stream));
                }
            }
            changed = beats.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&UnixListener>) -> std::io::Result<UnixStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn serve(engine: Arc<Engine>, stream: UnixStream) {
    door::http(stream, move |request| {
        let engine = engine.clone();
        async move {
            engine.yard.engine_ready().await;
            let mut response = route::respond(&engine, request).await;
            sign(&mut response);
            response
        }
    })
    .await;
}

/// The headers that every answer of an engine has.
fn sign(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert("Api-Version", HeaderValue::from_static(API_VERSION));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    headers.insert("Server", HeaderValue::from_static("Docker/26.1.5 (linux)"));
}

fn error(status: StatusCode, message: &str) -> Response<Body> {
    body::json(status, &json!({ "message": message }))
}

fn refused(refusal: &Refusal) -> Response<Body> {
    match refusal {
        Refusal::NotFound(text) => error(StatusCode::NOT_FOUND, text),
        Refusal::Conflict(text) => error(StatusCode::CONFLICT, text),
        Refusal::BadRequest(text) => error(StatusCode::BAD_REQUEST, text),
    }
}
