//! What the engine's API can do to the world.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::container::{Ailment, Counters, Ending, Usage};
use super::{Container, Ms, Service, State, World};
use crate::range::scenario::Deed;

/// A call that changes something. Containers are named by id, id prefix or name.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    Start { container: String },
    Stop { container: String, grace_ms: Ms },
    Restart { container: String, grace_ms: Ms },
    Kill { container: String, signal: String },
    Pause { container: String },
    Unpause { container: String },
    Rename { container: String, name: String },
    Remove { container: String, force: bool },
    Create { name: String, body: Value },
    Update { container: String, body: Value },
    PruneImages,
    RemoveImage { image: String },
    TagImage { image: String, tag: String },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// Done, or under way: the container's state tells when it is over.
    Accepted {
        id: String,
    },
    /// There was nothing to do.
    AlreadySo,
    Created {
        id: String,
    },
    Pruned {
        images: Vec<String>,
        bytes: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    NotFound(String),
    Conflict(String),
    BadRequest(String),
}

/// Time that a process takes to end after it was asked to.
fn drain_ms(service: Service) -> Ms {
    match service {
        Service::Gateway | Service::Client => 200,
        Service::Server => 400,
        Service::Postgres => 600,
        Service::Redis | Service::Grafana => 300,
        Service::Prometheus => 500,
        Service::Other => 100,
    }
}

impl World {
    pub fn act(&mut self, act: Act) -> Result<Done, Refusal> {
        match act {
            Act::Start { container } => self.start(&container),
            Act::Stop {
                container,
                grace_ms,
            } => self.stop(&container, grace_ms, Deed::Stop),
            Act::Restart {
                container,
                grace_ms,
            } => self.stop(&container, grace_ms, Deed::Restart),
            Act::Kill { container, signal } => self.kill(&container, &signal),
            Act::Pause { container } => self.pause(&container, State::Running, State::Paused),
            Act::Unpause { container } => self.pause(&container, State::Paused, State::Running),
            Act::Rename { container, name } => self.rename(&container, &name),
            Act::Remove { container, force } => self.remove(&container, force),
            Act::Create { name, body } => self.created(&name, body),
            Act::Update { container, body } => self.update(&container, &body),
            Act::PruneImages => Ok(self.prune_images()),
            Act::RemoveImage { image } => self.remove_image(&image),
            Act::TagImage { image, tag } => self.tag_image(&image, tag),
        }
    }

    pub(super) fn at(&self, reference: &str) -> Result<usize, Refusal> {
        self.find(reference)
            .ok_or_else(|| Refusal::NotFound(format!("No such container: {reference}")))
    }

    fn accepted(&self, at: usize) -> Done {
        Done::Accepted {
            id: self.containers[at].id.clone(),
        }
    }

    fn start(&mut self, container: &str) -> Result<Done, Refusal> {
        let at = self.at(container)?;
        match self.containers[at].state {
            State::Running | State::Restarting => Ok(Done::AlreadySo),
            State::Paused => Err(Refusal::Conflict(
                "cannot start a paused container, try unpause instead".into(),
            )),
            State::Created | State::Exited => {
                self.note_deed(at, Deed::Start, &[]);
                self.containers[at].stopped_by_hand = false;
                self.begin(at);
                Ok(self.accepted(at))
            }
        }
    }

    fn stop(&mut self, container: &str, grace_ms: Ms, does: Deed) -> Result<Done, Refusal> {
        let at = self.at(container)?;
        let then_start = does == Deed::Restart;
        let state = self.containers[at].state;
        match state {
            State::Created | State::Exited if !then_start => return Ok(Done::AlreadySo),
            State::Created | State::Exited => {
                self.note_deed(at, does, &[]);
                self.containers[at].stopped_by_hand = false;
                self.begin(at);
                self.emit(at, "restart", &[]);
                return Ok(self.accepted(at));
            }
            State::Running | State::Paused | State::Restarting => {}
        }
        self.note_deed(at, does, &[]);
        self.emit(at, "kill", &[("signal", "15".into())]);
        let drain = drain_ms(self.containers[at].service);
        let has_process = state == State::Running;
        let (after, exit) = match (has_process, drain <= grace_ms) {
            (false, _) => (0, self.containers[at].exit),
            (true, true) => (drain, 0),
            (true, false) => (grace_ms.max(0), 137),
        };
        let container = &mut self.containers[at];
        container.stopped_by_hand = true;
        container.restart_at = None;
        container.ending = Some(Ending {
            at: self.now + after,
            exit,
            then_start,
        });
        Ok(self.accepted(at))
    }

    fn kill(&mut self, container: &str, signal: &str) -> Result<Done, Refusal> {
        let at = self.at(container)?;
        if !matches!(self.containers[at].state, State::Running | State::Paused) {
            let id = &self.containers[at].id;
            return Err(Refusal::Conflict(format!(
                "cannot kill container: {container}: container {id} is not running"
            )));
        }
        self.note_deed(at, Deed::Kill, &[signal.to_owned()]);
        self.emit(at, "kill", &[("signal", signal.to_owned())]);
        let name = signal.trim_start_matches("SIG");
        match (name, self.containers[at].service) {
            ("HUP" | "1", Service::Gateway) => self.load_gateway(),
            ("HUP" | "1" | "USR1" | "10" | "USR2" | "12" | "WINCH" | "28", _) => {}
            ("KILL" | "9" | "", _) => {
                self.containers[at].stopped_by_hand = true;
                self.end(at, 137, false);
            }
            (_, service) => {
                self.containers[at].stopped_by_hand = true;
                self.containers[at].ending = Some(Ending {
                    at: self.now + drain_ms(service),
                    exit: 0,
                    then_start: false,
                });
            }
        }
        Ok(self.accepted(at))
    }

    fn pause(&mut self, container: &str, from: State, to: State) -> Result<Done, Refusal> {
        let at = self.at(container)?;
        if self.containers[at].state != from {
            let id = &self.containers[at].id;
            return Err(Refusal::Conflict(format!(
                "Container {id} is not {}",
                from.word()
            )));
        }
        let (does, word) = if to == State::Paused {
            (Deed::Pause, "pause")
        } else {
            (Deed::Unpause, "unpause")
        };
        self.note_deed(at, does, &[]);
        self.containers[at].state = to;
        self.emit(at, word, &[]);
        Ok(self.accepted(at))
    }

    fn name_is_free(&self, name: &str) -> Result<(), Refusal> {
        match self.containers.iter().find(|c| c.name == name) {
            None => Ok(()),
            Some(holder) => Err(Refusal::Conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
                holder.id
            ))),
        }
    }

    fn rename(&mut self, container: &str, name: &str) -> Result<Done, Refusal> {
        let at = self.at(container)?;
        let name = name.trim_start_matches('/');
        check_name(name)?;
        self.name_is_free(name)?;
        self.note_deed(at, Deed::Rename, &[name.to_owned()]);
        let old = std::mem::replace(&mut self.containers[at].name, name.to_owned());
        self.emit(at, "rename", &[("oldName", format!("/{old}"))]);
        Ok(self.accepted(at))
    }

    fn remove(&mut self, container: &str, force: bool) -> Result<Done, Refusal> {
        let at = self.at(container)?;
        let is_up = matches!(
            self.containers[at].state,
            State::Running | State::Paused | State::Restarting
        );
        if is_up && !force {
            let id = &self.containers[at].id;
            return Err(Refusal::Conflict(format!(
                "cannot remove container \"{id}\": container is running: stop the container before removing or force remove"
            )));
        }
        self.note_deed(at, Deed::Remove, &[]);
        if is_up {
            self.containers[at].stopped_by_hand = true;
            self.end(at, 137, false);
        }
        let done = self.accepted(at);
        self.emit(at, "destroy", &[]);
        self.containers.remove(at);
        Ok(done)
    }

    fn created(&mut self, name: &str, body: Value) -> Result<Done, Refusal> {
        let id = self.create(name, body)?;
        if let Some(at) = self.find(&id) {
            self.note_deed(at, Deed::Create, &[]);
        }
        Ok(Done::Created { id })
    }

    /// Makes a container out of the create call's body and answers its id.
    pub(super) fn create(&mut self, name: &str, body: Value) -> Result<String, Refusal> {
        let id = self.id_dice.hex(64);
        let name = match name.trim_start_matches('/') {
            "" => format!("range_{}", &id[..8]),
            name => name.to_owned(),
        };
        check_name(&name)?;
        self.name_is_free(&name)?;
        let Value::Object(mut config) = body else {
            return Err(Refusal::BadRequest(
                "invalid JSON: a container's configuration is missing".into(),
            ));
        };
        let asked = config
            .get("Image")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let image = self
            .image(&asked)
            .ok_or_else(|| Refusal::NotFound(format!("No such image: {asked}")))?
            .clone();
        let host_config = config.remove("HostConfig").unwrap_or_else(|| json!({}));
        let networking = config
            .remove("NetworkingConfig")
            .unwrap_or_else(|| json!({}));
        if config
            .get("Hostname")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .is_empty()
        {
            config.insert("Hostname".into(), id[..12].into());
        }
        self.containers.push(fresh(
            id.clone(),
            name,
            asked,
            image.id,
            self.now,
            Value::Object(config),
            host_config,
            networking,
        ));
        self.emit(self.containers.len() - 1, "create", &[]);
        Ok(id)
    }

    fn update(&mut self, container: &str, body: &Value) -> Result<Done, Refusal> {
        let at = self.at(container)?;
        let Some(changes) = body.as_object() else {
            return Err(Refusal::BadRequest(
                "invalid JSON: an object is expected".into(),
            ));
        };
        if let Some(memory) = body["Memory"].as_u64().filter(|m| *m > 0) {
            check_memory(memory)?;
        }
        self.note_deed(at, Deed::Update, &[]);
        for (key, value) in changes {
            // An update speaks of what it names only; zero and empty mean "leave it".
            let leaves = value.is_null() || value == &json!(0) || value == &json!("");
            if !leaves {
                self.containers[at].host_config[key.as_str()] = value.clone();
            }
        }
        self.emit(at, "update", &[]);
        Ok(self.accepted(at))
    }

    fn in_use(&self, image_id: &str) -> bool {
        self.containers.iter().any(|c| c.image_id == image_id)
    }

    fn prune_images(&mut self) -> Done {
        self.note(Deed::PruneImages, String::new(), &[]);
        let (kept, pruned): (Vec<_>, Vec<_>) = std::mem::take(&mut self.images)
            .into_iter()
            .partition(|image| self.in_use(&image.id));
        self.images = kept;
        Done::Pruned {
            bytes: pruned.iter().map(|i| i.bytes).sum(),
            images: pruned.into_iter().map(|i| i.tag).collect(),
        }
    }

    fn remove_image(&mut self, reference: &str) -> Result<Done, Refusal> {
        let Some(image) = self.image(reference).cloned() else {
            return Err(Refusal::NotFound(format!("No such image: {reference}")));
        };
        if self.in_use(&image.id) {
            return Err(Refusal::Conflict(format!(
                "conflict: unable to remove repository reference \"{reference}\" (must force) - a container is using its referenced image"
            )));
        }
        self.images.retain(|i| i.tag != image.tag);
        Ok(Done::Pruned {
            images: vec![image.tag],
            bytes: image.bytes,
        })
    }

    fn tag_image(&mut self, reference: &str, tag: String) -> Result<Done, Refusal> {
        let Some(mut image) = self.image(reference).cloned() else {
            return Err(Refusal::NotFound(format!("No such image: {reference}")));
        };
        self.images.retain(|i| i.tag != tag);
        image.tag = tag;
        let id = image.id.clone();
        self.images.push(image);
        Ok(Done::Accepted { id })
    }
}

impl Container {
    /// The body with which a container like this one is created.
    pub fn creation(&self) -> Value {
        let mut body = self.config.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("HostConfig".into(), self.host_config.clone());
            fields.insert("NetworkingConfig".into(), self.networking.clone());
            fields.remove("Hostname");
        }
        body
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one container, each given once"
)]
fn fresh(
    id: String,
    name: String,
    image: String,
    image_id: String,
    now: Ms,
    config: Value,
    host_config: Value,
    networking: Value,
) -> Container {
    let label = |key: &str| config["Labels"][key].as_str();
    let service = label("com.docker.compose.service").map_or(Service::Other, Service::parse);
    let number = label("com.docker.compose.container-number").and_then(|n| n.parse().ok());
    Container {
        service,
        number: number.unwrap_or(1),
        id,
        name,
        image,
        image_id,
        created: now,
        config,
        host_config,
        networking,
        state: State::Created,
        started: None,
        finished: None,
        exit: 0,
        oom_killed: false,
        restarts: 0,
        stopped_by_hand: false,
        host: None,
        last_host: 0,
        pid: 0,
        health: None,
        ailment: Ailment::default(),
        ending: None,
        restart_at: None,
        backoff_ms: 0,
        crashes: VecDeque::new(),
        counters: Counters::new(),
        usage: Usage::default(),
        arrivals: 0,
        rate: 0.0,
        layer_bytes: 32_768,
        logs: VecDeque::new(),
        next_line: 0,
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let is_right = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if is_right {
        Ok(())
    } else {
        Err(Refusal::BadRequest(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )))
    }
}

fn check_memory(bytes: u64) -> Result<(), Refusal> {
    /// The engine's own lower bound.
    const MEMORY_MIN: u64 = 6 * 1024 * 1024;
    if bytes >= MEMORY_MIN {
        Ok(())
    } else {
        Err(Refusal::BadRequest(
            "Minimum memory limit allowed is 6MB".into(),
        ))
    }
}
