//! `containers`: how many replicas of a service run and are healthy by their own health check.
//!
//! A replica without a health check is not healthy: nobody has asked it.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, real, suits_number, suits_text, wishes};
use super::{Eyes, Kind, unconfigured};
use crate::domain::{
    CheckState, Clean, Container, ContainerState, Expectation, Fault, Timestamp, Unit,
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
}

impl Kind for Containers {
    fn describe(&self) -> Clean {
        let wishes = wishes([
            ("healthy", self.healthy.as_ref()),
            ("replicas", self.replicas.as_ref()),
            ("image", self.image.as_ref()),
        ]);
        Clean::from(format!("{}: {wishes}", self.service))
    }

    fn problems(&self) -> Vec<Clean> {
        let count = |what, expected: &Option<Expectation>| {
            suits_number(what, expected.as_ref()?, Unit::Count)
        };
        let image = |expected: &Expectation| suits_text("image", expected);
        let mut problems: Vec<Clean> = count("healthy", &self.healthy)
            .into_iter()
            .chain(count("replicas", &self.replicas))
            .chain(self.image.as_ref().and_then(image))
            .collect();
        if self.healthy.is_none() && self.replicas.is_none() && self.image.is_none() {
            let text = "nothing is expected; say healthy, replicas or image";
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
