//! `containers`: how many replicas of a service run and are healthy by their own health check, and how they are set up.
//!
//! A replica without a health check is not healthy: nobody has asked it.

mod setup;

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, real, suits_number, suits_text, wishes};
use super::{Eyes, Kind, unconfigured};
use crate::domain::{
    CheckState, Clean, Container, ContainerId, ContainerState, Expectation, Fault, FaultKind,
    Timestamp, Unit,
};
use crate::link::docker::Listed;

/// One list, over a bad line.
const DEADLINE: Duration = Duration::from_secs(10);

/// Replicas told one by one in the evidence.
const TOLD_MAX: usize = 50;

/// Questions at the same time. More would only queue in the engine.
const CONCURRENCY: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Containers {
    pub service: Clean,
    /// How many are healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<Expectation>,
    /// How many run, healthy or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Expectation>,
    /// The name of the image of every one that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Expectation>,
    /// What the image takes on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<Expectation>,
    /// `sha256:…` of what really runs: the registry's digest where it has one, else the image's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Expectation>,
    /// Whom its first process runs as; `root` where nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Expectation>,
    /// The limit of its memory; none is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Expectation>,
    /// The limit of its cores; none is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Expectation>,
    /// `always`, `unless-stopped`, `on-failure` or `no`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Expectation>,
    /// What each one must be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must: Vec<Must>,
}

pub(super) use setup::Must;

impl Containers {
    fn counts(&self) -> [(&'static str, Option<&Expectation>); 2] {
        [
            ("healthy", self.healthy.as_ref()),
            ("replicas", self.replicas.as_ref()),
        ]
    }

    fn wants_anything(&self) -> bool {
        self.counts().iter().any(|(_, wanted)| wanted.is_some())
            || self.image.is_some()
            || self.wants_setup()
    }
}

impl Kind for Containers {
    fn describe(&self) -> Clean {
        let mut all = vec![wishes(
            self.counts()
                .into_iter()
                .chain([("image", self.image.as_ref())])
                .chain(self.setup_wishes()),
        )];
        all.extend(self.must.iter().map(|must| must.word().to_owned()));
        all.retain(|part| !part.is_empty());
        Clean::from(format!("{}: {}", self.service, all.join(", ")))
    }

    fn problems(&self) -> Vec<Clean> {
        let counts = self.counts().into_iter();
        let mut problems: Vec<Clean> = counts
            .filter_map(|(what, expected)| suits_number(what, expected?, Unit::Count))
            .collect();
        let image = self.image.as_ref();
        problems.extend(image.and_then(|expected| suits_text("image", expected)));
        problems.extend(self.setup_problems());
        if !self.wants_anything() {
            let text = "nothing is expected; say healthy, replicas, image or must";
            problems.push(text.into());
        }
        problems
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        json!({ "engine": "list of containers", "service": self.service })
    }

    async fn look(&self, eyes: &Eyes, _: Timestamp) -> Result<Seen, Fault> {
        let all = listed(eyes, &self.service).await?;
        let running: Vec<&Listed> = all
            .iter()
            .filter(|one| one.state == ContainerState::Running)
            .collect();
        let healthy = running
            .iter()
            .filter(|one| one.check == CheckState::Healthy)
            .count();
        let mut seen = Seen {
            got: got(&all),
            ..Seen::default()
        };
        if let Some(expected) = &self.healthy {
            let unchecked = |one: &&Listed| one.check == CheckState::None;
            let what = if !running.is_empty() && running.iter().all(unchecked) {
                "healthy (without a health check)"
            } else {
                "healthy"
            };
            seen.number(what, real(healthy), Unit::Count, expected);
        }
        if let Some(expected) = &self.replicas {
            seen.number("replicas", real(running.len()), Unit::Count, expected);
        }
        if self.wants_setup() {
            self.setup_seen(eyes, &running, &mut seen).await?;
        }
        if let Some(expected) = &self.image {
            for one in &running {
                let what = format!("image of {}", one.name);
                seen.text(&what, &one.image, expected);
            }
            if running.is_empty() {
                let text = format!("no running container of {} has an image", self.service);
                seen.failures.push(text.into());
            }
        }
        Ok(seen)
    }
}

fn got(all: &[Listed]) -> Value {
    let rows: Vec<Value> = all
        .iter()
        .take(TOLD_MAX)
        .map(|one| {
            json!({
                "name": one.name,
                "id": one.id.short(),
                "state": one.state.word(),
                "check": one.check,
                "image": one.image,
            })
        })
        .collect();
    json!({ "containers": rows, "of": all.len() })
}

/// The replicas of a service as the engine lists them now. None at all is an answer.
pub(super) async fn listed(eyes: &Eyes, service: &str) -> Result<Vec<Listed>, Fault> {
    let project = &eyes.stack.name;
    if project.is_empty() {
        return Err(unconfigured("no project is named", "name the stack"));
    }
    let mut all = eyes.engine.list(project).await?;
    all.retain(|one| one.service == *service && !one.one_off);
    all.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
    Ok(all)
}

/// Where a question is asked that any replica can answer: one that is healthy goes before one that only runs.
pub(super) async fn first_running(eyes: &Eyes, service: &str) -> Result<ContainerId, Fault> {
    let mut all = listed(eyes, service).await?;
    all.retain(|one| one.state == ContainerState::Running);
    all.sort_by_key(|one| one.check != CheckState::Healthy);
    match all.into_iter().next() {
        Some(one) => Ok(one.id),
        None => {
            let text = format!("no running container of {service} is known");
            Err(Fault::new(FaultKind::Missing, text)
                .remedy("start it, or check the service's name"))
        }
    }
}

/// The same with all that the engine knows of them: their addresses, their start.
pub(super) async fn inspected(eyes: &Eyes, service: &str) -> Result<Vec<Container>, Fault> {
    let all = listed(eyes, service).await?;
    let answers: Vec<_> = stream::iter(all)
        .map(|one| async move { eyes.engine.inspect(&one.id).await })
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let mut containers = Vec::new();
    for answer in answers {
        match answer {
            Ok(container) => containers.push(container),
            // Gone between the list and now.
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(containers)
}
