//! Changing containers. Each call is sent once, on a connection of its own.
//!
//! An engine that says "it is so already" has done what was asked. When the answer is lost, nobody here knows whether
//! the act took effect: [`EngineError::leaves_doubt`] says so, and whoever asked looks again.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::reply::At;
use super::{
    Engine, EngineError, ONE_BYTES_MAX, Reply, SMALL_BYTES_MAX, TOTAL_DEADLINE, escape, message,
    refused, versioned,
};
use crate::domain::{Clean, ContainerId};

/// Beyond the grace: the engine kills what did not end, unmounts its layer and tears its network down.
const END_MARGIN: Duration = Duration::from_secs(30);
/// Creating copies the image's volumes into fresh ones.
const CREATE_MAX: Duration = Duration::from_mins(2);
/// More processes than this in one container are not a list that anybody reads.
const PROCESSES_MAX: usize = 10_000;

impl Engine {
    /// Starts a container. One that runs already is fine.
    pub async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        let path = format!("/containers/{}/start", escape(&id.0));
        self.told(Method::POST, &path, None, TOTAL_DEADLINE).await
    }

    /// Asks the process to end, and ends it after `grace`. One that does not run is fine.
    pub async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        let path = format!("/containers/{}/stop?t={}", escape(&id.0), grace.as_secs());
        self.told(Method::POST, &path, None, grace + END_MARGIN)
            .await
    }

    /// Stops and starts. One that does not run is started.
    pub async fn restart(&self, id: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        let path = format!(
            "/containers/{}/restart?t={}",
            escape(&id.0),
            grace.as_secs()
        );
        self.told(Method::POST, &path, None, grace + END_MARGIN)
            .await
    }

    /// Sends a signal by its name: `HUP`.
    pub async fn kill(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError> {
        let path = format!(
            "/containers/{}/kill?signal={}",
            escape(&id.0),
            escape(signal)
        );
        self.told(Method::POST, &path, None, TOTAL_DEADLINE).await
    }

    /// Makes a container, which is not started by this. Answers its id.
    pub async fn create(&self, name: &str, body: &Value) -> Result<ContainerId, EngineError> {
        let path = format!("/containers/create?name={}", escape(name));
        let reply = self
            .tell(Method::POST, &path, Some(body), CREATE_MAX)
            .await?;
        let answer: Value = serde_json::from_slice(&reply.body)
            .map_err(|error| self.garbled(&path, &error.to_string()))?;
        match At::root(&answer).at("Id").text() {
            id if id.is_empty() => Err(self.garbled(&path, "no id in it")),
            id => Ok(ContainerId(id)),
        }
    }

    pub async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{}/rename?name={}", escape(&id.0), escape(name));
        self.told(Method::POST, &path, None, TOTAL_DEADLINE).await
    }

    /// Removes a container that does not run. With `volumes`, also those that have no name. One that is gone is fine.
    pub async fn remove(&self, id: &ContainerId, volumes: bool) -> Result<(), EngineError> {
        let path = format!("/containers/{}?v={volumes}", escape(&id.0));
        match self.told(Method::DELETE, &path, None, CREATE_MAX).await {
            Err(error) if error.is_missing() => Ok(()),
            done => done,
        }
    }

    /// Attaches a container to one more network. `settings` is the engine's own `EndpointConfig`.
    pub async fn connect(
        &self,
        id: &ContainerId,
        network: &str,
        settings: &Value,
    ) -> Result<(), EngineError> {
        let path = format!("/networks/{}/connect", escape(network));
        let body = serde_json::json!({"Container": id.0.as_str(), "EndpointConfig": settings});
        self.told(Method::POST, &path, Some(&body), TOTAL_DEADLINE)
            .await
    }

    /// The command line of each process in a running container.
    pub async fn top(&self, id: &ContainerId) -> Result<Vec<Process>, EngineError> {
        let path = format!("/containers/{}/top", escape(&id.0));
        let value = self.json(&path, ONE_BYTES_MAX).await?;
        let root = At::root(&value);
        let column = |wanted: &[&str]| {
            let mut titles = root.at("Titles").items();
            titles.position(|title| wanted.contains(&title.str()))
        };
        let (Some(pid), Some(command)) = (column(&["PID"]), column(&["CMD", "COMMAND"])) else {
            return Err(self.garbled(&path, "no column PID or no column CMD"));
        };
        let rows = root.at("Processes").items().take(PROCESSES_MAX);
        Ok(rows
            .map(|row| Process {
                pid: row.items().nth(pid).map(At::text).unwrap_or_default(),
                command: row.items().nth(command).map(At::text).unwrap_or_default(),
            })
            .collect())
    }

    async fn told(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        answer_max: Duration,
    ) -> Result<(), EngineError> {
        self.tell(method, path, body, answer_max).await.map(drop)
    }

    /// 304 says that it is so already.
    pub(super) async fn tell(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        answer_max: Duration,
    ) -> Result<Reply, EngineError> {
        let spoken = self.spoken().await?;
        let wire = &self.shared.wire;
        let whole = versioned(spoken.api, path);
        let reply = wire
            .act(method, &whole, body, answer_max, SMALL_BYTES_MAX)
            .await?;
        match reply.status {
            200..=299 | 304 => Ok(reply),
            status => Err(refused(path, status, message(&reply.body))),
        }
    }
}

/// A process of a container, as `docker top` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: Clean,
    pub command: Clean,
}
