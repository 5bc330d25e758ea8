//! What a plan is made from: the stack as it is, gathered by the shell and handed in as plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{
    CheckState, Clean, Container, ContainerState, Environment, ServiceSpec, Timestamp,
};
use crate::engine::{Facts, Target};
use crate::probe::check::Outcome;

/// Replicas of a service are named one by one up to here; of more, the digest is compared.
const NAMED_MAX: usize = 100;

/// The fence line of a block, counted from 1: what a precheck's outcome is filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockLine(pub usize);

/// The entrance of the stack, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entrance {
    pub service: Option<Clean>,
    /// `https://shop.example/`
    pub url: Option<Clean>,
    /// Whose replicas it lists; `None`: it cannot be told which.
    pub behind: Option<Behind>,
}

/// The service behind the entrance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    pub service: Clean,
    /// Where each replica listens.
    pub port: u16,
    /// `/api/ping`: answers GET through the entrance, without a login.
    pub path: Clean,
    /// `/healthz`: of a replica, at its own address.
    pub health: Clean,
}

/// A run that ended well, for the expected time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    pub runbook: Clean,
    pub target: Target,
    pub took_ms: u64,
}

/// What a service ran before, and how that behaved while it was live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    pub service: Clean,
    /// As a container is started with it: `hyper-mission/server:1`.
    pub image: Clean,
    /// What the name pointed at then; empty where nobody looked.
    pub image_id: Clean,
    pub at: Timestamp,
    pub by: Clean,
    /// Whether it was seen to serve: `None` where nobody measured.
    pub good: Option<bool>,
    /// One line: `0 of 6214 failed, p95 38 ms`.
    pub said: Clean,
}

/// The stack at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    pub at: Timestamp,
    pub stack: Clean,
    pub environment: Environment,
    /// Of the stack's project only.
    pub containers: Vec<Container>,
    pub gateway: Entrance,
    /// What the configuration says of services: how many replicas are wanted.
    pub services: Vec<ServiceSpec>,
    pub earlier: Vec<Earlier>,
    /// Newest first.
    pub revisions: Vec<Revision>,
    /// Outcomes of [`super::prechecks`], by the line of their block.
    pub prechecks: BTreeMap<BlockLine, Outcome>,
    /// Destructive runs begin when somebody else has said yes too.
    pub second_person: bool,
}

impl Scene {
    /// Names of the services that have a container or are configured, sorted.
    pub fn service_names(&self) -> BTreeSet<&Clean> {
        let there = self.replicas().map(|container| &container.service);
        let configured = self.services.iter().map(|service| &service.name);
        there
            .chain(configured)
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// Containers that stand for a replica. One that a deploy keeps for its undo is none.
    pub fn replicas(&self) -> impl Iterator<Item = &Container> {
        self.containers
            .iter()
            .filter(|container| !is_aside(container))
    }

    /// Replicas of a service by number.
    pub fn replicas_of(&self, service: &str) -> Vec<&Container> {
        let mut all: Vec<_> = self
            .replicas()
            .filter(|container| &*container.service == service)
            .collect();
        all.sort_by_key(|container| (container.number, &container.name));
        all
    }

    /// What runs where the last revision should: somebody else deployed since, or a run was left half-way. `None`: all
    /// is as the last run left it, or there was none.
    pub fn drifted(&self, service: &str) -> Option<Clean> {
        let last = self.revisions.iter().find(|one| &*one.service == service)?;
        let replicas = self.replicas_of(service);
        let other = replicas.iter().find(|replica| {
            let is_other = !last.image_id.is_empty() && replica.image.id != last.image_id;
            replica.image.name != last.image || is_other
        })?;
        let what = if other.image.name == last.image {
            "another build of it".to_owned()
        } else {
            other.image.name.to_string()
        };
        Some(Clean::line(&format!(
            "the last run put {} under {service} ({}, {}), and {} runs {what}: somebody else deployed since",
            last.image,
            last.by,
            last.at.rfc3339(),
            other.replica()
        )))
    }

    /// A container by its name, or by its replica word: `server-2`.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.replicas()
            .find(|container| &*container.name == name)
            .or_else(|| {
                self.replicas()
                    .find(|container| *container.replica() == *name)
            })
    }
}

/// `replace` keeps the old container, stopped, as `NAME-before-RUN`, and makes the new one as `NAME-next-RUN`.
fn is_aside(container: &Container) -> bool {
    ["-before-r-", "-next-r-"]
        .iter()
        .any(|sign| container.name.contains(sign))
}

/// Does this replica do its work, as far as the engine can tell? Running without a health check counts.
pub(super) fn is_well(container: &Container) -> bool {
    container.state == ContainerState::Running
        && matches!(container.check, CheckState::Healthy | CheckState::None)
}

/// Every fact that a plan may have been made from, as this scene shows them.
pub fn observe(scene: &Scene) -> Facts {
    let mut facts = Facts::default();
    for container in scene.replicas() {
        facts.0.extend(of_replica(container).0);
    }
    for service in scene.service_names() {
        facts
            .0
            .insert(set_name(service), set_of(&scene.replicas_of(service)));
    }
    facts
}

/// What one replica is: which container, of which image, since when.
pub(super) fn of_replica(container: &Container) -> Facts {
    let replica = container.replica();
    let fact = |what: &str, value: &str| {
        (
            Clean::line(&format!("{what}/{replica}")),
            Clean::line(value),
        )
    };
    let started = container
        .started_at
        .map_or_else(|| "never".to_owned(), Timestamp::rfc3339);
    Facts(BTreeMap::from([
        fact("container", &container.id.0),
        fact("image", &container.image.id),
        fact("started", &started),
    ]))
}

pub(super) fn set_name(service: &str) -> Clean {
    Clean::line(&format!("replicas/{service}"))
}

/// Which containers a service consists of.
pub(super) fn set_of(replicas: &[&Container]) -> Clean {
    let named: Vec<String> = replicas
        .iter()
        .map(|container| format!("{}={}", container.replica(), container.id.short()))
        .collect();
    if named.len() <= NAMED_MAX {
        return Clean::line(&named.join(" "));
    }
    let digest = hex(&Sha256::digest(named.join(" ").as_bytes()));
    Clean::line(&format!("{} containers, sha256 {digest}", named.len()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
