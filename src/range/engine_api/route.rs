//! Method and path to what answers it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{
    API_MIN, API_VERSION, ENGINE_VERSION, Engine, command, error, inspect, refused, stats, stream,
};
use crate::range::body::{self, Body};
use crate::range::world::{Act, Done, State};

/// Stopping takes its grace; nobody waits longer than this for the range.
const STOP_WAIT: Duration = Duration::from_mins(1);
/// As the engine has it when a call names none.
const GRACE_S: i64 = 10;

/// The parts of a call that answers look at.
pub(super) struct Call {
    pub method: String,
    /// Without the version.
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub body: Value,
}

impl Call {
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let value = self.query.get(name)?;
        Some(!matches!(
            value.as_str(),
            "" | "0" | "false" | "no" | "none"
        ))
    }

    fn grace_ms(&self) -> i64 {
        let asked = self.query.get("t").and_then(|t| t.parse::<i64>().ok());
        asked.unwrap_or(GRACE_S).clamp(0, 3_600) * 1_000
    }

    /// A filter's values, in either spelling: a list, or an object of trues.
    pub(super) fn filter(&self, name: &str) -> Vec<String> {
        let filters = self
            .query
            .get("filters")
            .and_then(|f| serde_json::from_str::<Value>(f).ok());
        match filters.as_ref().map(|f| &f[name]) {
            Some(Value::Array(values)) => values
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            Some(Value::Object(values)) => values
                .iter()
                .filter(|(_, v)| **v != Value::Bool(false))
                .map(|(k, _)| k.clone())
                .collect(),
            _ => Vec::new(),
        }
    }
}

pub(super) async fn respond(
    engine: &Arc<Engine>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let full_path = request.uri().path().to_owned();
    let path = match unversioned(&full_path) {
        Ok(path) => body::decoded(path),
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let upgrade = request
        .headers()
        .contains_key(hyper::header::UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let method = request.method().as_str().to_owned();
    let query = body::pairs(request.uri().query().unwrap_or_default());
    let bytes = match method.as_str() {
        "POST" | "PUT" => match body::collected(request.into_body()).await {
            Some(bytes) => bytes,
            None => return error(StatusCode::BAD_REQUEST, "the body is too large or was cut"),
        },
        _ => Bytes::new(),
    };
    let body = match (bytes.is_empty(), serde_json::from_slice(&bytes)) {
        (true, _) => Value::Null,
        (false, Ok(body)) => body,
        (false, Err(fault)) => {
            return error(StatusCode::BAD_REQUEST, &format!("invalid JSON: {fault}"));
        }
    };
    let call = Call {
        method,
        path,
        query,
        body,
    };
    let parts: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("POST", ["exec", id, "start"]) => command::start(engine, id, &call, upgrade),
        ("GET" | "HEAD", _) => look(engine, &call, &parts).await,
        _ => act(engine, &call, &parts).await,
    }
}

/// `/v1.41/containers/json` and `/containers/json` are the same call.
fn unversioned(path: &str) -> Result<&str, String> {
    let versioned = path
        .strip_prefix("/v")
        .and_then(|rest| rest.split_once('/'));
    let Some((version, _)) = versioned else {
        return Ok(path);
    };
    let Some(number) = number(version) else {
        return Ok(path);
    };
    if Some(number) > self::number(API_VERSION) {
        return Err(format!(
            "client version {version} is too new. Maximum supported API version is {API_VERSION}"
        ));
    }
    if Some(number) < self::number(API_MIN) {
        return Err(format!(
            "client version {version} is too old. Minimum supported API version is {API_MIN}, please upgrade your client to a newer version"
        ));
    }
    Ok(&path[2 + version.len()..])
}

fn number(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn unknown(call: &Call) -> Response<Body> {
    error(
        StatusCode::NOT_IMPLEMENTED,
        &format!(
            "the practice range does not know {} {}",
            call.method, call.path
        ),
    )
}

fn ok(value: &Value) -> Response<Body> {
    body::json(StatusCode::OK, value)
}

/// Calls that change nothing.
async fn look(engine: &Arc<Engine>, call: &Call, parts: &[&str]) -> Response<Body> {
    let yard = &engine.yard;
    match parts {
        ["_ping"] => {
            let text = if call.method == "HEAD" { "" } else { "OK" };
            body::answer(StatusCode::OK, "text/plain; charset=utf-8", text)
        }
        ["version"] => ok(&version()),
        ["info"] => ok(&yard.with(|w| inspect::info(w))),
        ["containers", "json"] => ok(&yard.with(|w| inspect::list(w, yard, call))),
        ["containers", id, "json"] => found(yard.with(|w| inspect::container(w, yard, id))),
        ["containers", id, "top"] => found(yard.with(|w| inspect::top(w, id))),
        ["containers", id, "stats"] => stats::respond(yard, id, call).await,
        ["containers", id, "logs"] => stream::logs(yard, id, call),
        ["events"] => stream::events(yard, call),
        ["images", "json"] => ok(&yard.with(|w| inspect::images(w, yard, call))),
        ["images", name @ .., "json"] => {
            found(yard.with(|w| inspect::image(w, yard, &name.join("/"))))
        }
        ["exec", id, "json"] => command::inspect(engine, id),
        ["networks"] => ok(&json!([yard.with(|w| inspect::network(w, yard))])),
        ["networks", name] => network(engine, name),
        ["volumes"] => ok(&json!({"Volumes": inspect::volumes(yard), "Warnings": null})),
        ["volumes", name] => volume(engine, name),
        ["system", "df"] => ok(&yard.with(|w| inspect::df(w, yard))),
        _ => unknown(call),
    }
}

fn found(value: Result<Value, crate::range::world::Refusal>) -> Response<Body> {
    match value {
        Ok(value) => ok(&value),
        Err(refusal) => refused(&refusal),
    }
}

fn network(engine: &Engine, name: &str) -> Response<Body> {
    let network = engine.yard.with(|w| inspect::network(w, &engine.yard));
    if network["Name"] == name || network["Id"] == name {
        ok(&network)
    } else {
        error(StatusCode::NOT_FOUND, &format!("network {name} not found"))
    }
}

fn volume(engine: &Engine, name: &str) -> Response<Body> {
    let volumes = inspect::volumes(&engine.yard);
    let volume = volumes
        .as_array()
        .into_iter()
        .flatten()
        .find(|v| v["Name"] == name);
    match volume {
        Some(volume) => ok(volume),
        None => error(
            StatusCode::NOT_FOUND,
            &format!("get {name}: no such volume"),
        ),
    }
}

fn version() -> Value {
    json!({
        "Platform": {"Name": "Practice range"},
        "Components": [{"Name": "Engine", "Version": ENGINE_VERSION, "Details": {"ApiVersion": API_VERSION, "MinAPIVersion": API_MIN}}],
        "Version": ENGINE_VERSION,
        "ApiVersion": API_VERSION,
        "MinAPIVersion": API_MIN,
        "GitCommit": "range",
        "GoVersion": "go1.21.13",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": "6.1.0-range",
        "BuildTime": "2026-01-01T00:00:00.000000000+00:00"
    })
}

/// Calls that change something.
async fn act(engine: &Arc<Engine>, call: &Call, parts: &[&str]) -> Response<Body> {
    let container = |id: &str| id.to_owned();
    let query = |name: &str| call.query.get(name).cloned().unwrap_or_default();
    let grace_ms = call.grace_ms();
    let act = match (call.method.as_str(), parts) {
        ("POST", ["containers", "create"]) => Act::Create {
            name: query("name"),
            body: call.body.clone(),
        },
        ("POST", ["containers", id, "start"]) => Act::Start {
            container: container(id),
        },
        ("POST", ["containers", id, "stop"]) => Act::Stop {
            container: container(id),
            grace_ms,
        },
        ("POST", ["containers", id, "restart"]) => Act::Restart {
            container: container(id),
            grace_ms,
        },
        ("POST", ["containers", id, "kill"]) => Act::Kill {
            container: container(id),
            signal: query("signal"),
        },
        ("POST", ["containers", id, "pause"]) => Act::Pause {
            container: container(id),
        },
        ("POST", ["containers", id, "unpause"]) => Act::Unpause {
            container: container(id),
        },
        ("POST", ["containers", id, "rename"]) => Act::Rename {
            container: container(id),
            name: query("name"),
        },
        ("POST", ["containers", id, "update"]) => Act::Update {
            container: container(id),
            body: call.body.clone(),
        },
        ("DELETE", ["containers", id]) => Act::Remove {
            container: container(id),
            force: call.flag("force").unwrap_or(false),
        },
        ("POST", ["images", "prune"]) => Act::PruneImages,
        ("POST", ["images", name @ .., "tag"]) => Act::TagImage {
            image: name.join("/"),
            tag: format!(
                "{}:{}",
                query("repo"),
                call.query.get("tag").map_or("latest", String::as_str)
            ),
        },
        ("DELETE", ["images", name @ ..]) => Act::RemoveImage {
            image: name.join("/"),
        },
        ("POST", ["images", "create"]) => return pull(engine, call),
        ("POST", ["containers", id, "exec"]) => return command::create(engine, id, call),
        ("POST", ["containers", id, "wait"]) => return wait(engine, id).await,
        ("POST", ["exec" | "containers", _, "resize"]) => return body::empty(StatusCode::OK),
        _ => return unknown(call),
    };
    // Whoever of them reads the gateway's configuration finds it as it lies there now.
    let may_reload = matches!(
        act,
        Act::Kill { .. } | Act::Start { .. } | Act::Restart { .. }
    );
    if may_reload {
        engine.yard.read_upstream();
    }
    let removes_image = matches!(act, Act::RemoveImage { .. });
    let stops = matches!(act, Act::Stop { .. } | Act::Restart { .. });
    match engine.yard.with(|w| w.act(act)) {
        Err(refusal) => refused(&refusal),
        Ok(Done::AlreadySo) => body::empty(StatusCode::NOT_MODIFIED),
        Ok(Done::Created { id }) => {
            body::json(StatusCode::CREATED, &json!({"Id": id, "Warnings": []}))
        }
        Ok(Done::Pruned { images, .. }) if removes_image => {
            let untagged = |tag: &String| json!({ "Untagged": tag });
            ok(&Value::Array(images.iter().map(untagged).collect()))
        }
        Ok(Done::Pruned { images, bytes }) => {
            let deleted: Vec<Value> = images
                .iter()
                .map(|tag| json!({ "Untagged": tag }))
                .collect();
            ok(&json!({"ImagesDeleted": deleted, "SpaceReclaimed": bytes}))
        }
        Ok(Done::Accepted { id }) => {
            if stops {
                ended(engine, &id).await;
            }
            accepted(call, parts)
        }
    }
}

fn accepted(call: &Call, parts: &[&str]) -> Response<Body> {
    match parts {
        ["containers", _, "update"] => ok(&json!({ "Warnings": null })),
        ["images", ..] if call.method == "POST" => body::empty(StatusCode::CREATED),
        _ => body::empty(StatusCode::NO_CONTENT),
    }
}

/// The engine answers a stop when it is over.
async fn ended(engine: &Engine, id: &str) {
    let over = |w: &crate::range::world::World| {
        w.find(id)
            .is_none_or(|at| w.containers[at].ending.is_none())
    };
    engine.yard.until(STOP_WAIT, over).await;
}

async fn wait(engine: &Engine, id: &str) -> Response<Body> {
    /// A wait has no end of its own; connections that are given up end it earlier.
    const WAIT_MAX: Duration = Duration::from_hours(1);
    if let Err(refusal) = engine.yard.with(|w| inspect::at(w, id).map(|_| ())) {
        return refused(&refusal);
    }
    let stopped = |w: &crate::range::world::World| {
        w.find(id)
            .is_none_or(|at| matches!(w.containers[at].state, State::Exited | State::Created))
    };
    engine.yard.until(WAIT_MAX, stopped).await;
    let exit = engine
        .yard
        .with(|w| w.find(id).map_or(0, |at| w.containers[at].exit));
    ok(&json!({ "StatusCode": exit }))
}

/// Images that the range knows are there already; others are nowhere.
fn pull(engine: &Engine, call: &Call) -> Response<Body> {
    let from = call.query.get("fromImage").cloned().unwrap_or_default();
    let tag = call.query.get("tag").filter(|t| !t.is_empty());
    let name = tag.map_or_else(|| from.clone(), |tag| format!("{from}:{tag}"));
    if engine.yard.with(|w| w.image(&name).is_none()) {
        return error(
            StatusCode::NOT_FOUND,
            &format!(
                "pull access denied for {from}, repository does not exist or may require 'docker login'"
            ),
        );
    }
    let lines = [
        json!({"status": format!("Pulling from {from}"), "id": tag.map_or("latest", String::as_str)}),
        json!({"status": format!("Status: Image is up to date for {name}")}),
    ];
    let text = format!("{}\r\n{}\r\n", lines[0], lines[1]);
    body::answer(StatusCode::OK, "application/json", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_taken_off_and_bounded() {
        assert_eq!(
            unversioned("/v1.41/containers/json"),
            Ok("/containers/json")
        );
        assert_eq!(unversioned("/version"), Ok("/version"));
        assert_eq!(unversioned("/volumes/x"), Ok("/volumes/x"));
        assert!(unversioned("/v1.99/info").is_err_and(|e| e.contains("too new")));
        assert!(unversioned("/v1.12/info").is_err_and(|e| e.contains("too old")));
    }

    #[test]
    fn both_spellings_of_filters_are_read() {
        let call = |filters: &str| Call {
            method: "GET".into(),
            path: "/".into(),
            query: BTreeMap::from([("filters".into(), filters.into())]),
            body: Value::Null,
        };
        assert_eq!(call("{\"label\":[\"a=b\"]}").filter("label"), ["a=b"]);
        assert_eq!(call("{\"label\":{\"a=b\":true}}").filter("label"), ["a=b"]);
        assert!(call("nonsense").filter("label").is_empty());
    }
}
