//! `replace`: a new container with the configuration of the old one, and another image.
//!
//! The new one is made under a name of its own before anything is touched, so that a configuration that the engine
//! refuses costs nobody anything. The old one is kept, stopped, as `NAME-before-RUN`, until `retire` removes it; undoing
//! gives it its name back. Names and ids tell how far it came, so it can be performed again after any crash.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::hurry::broken_off;
use super::recreate::{alone, recreate};
use super::target::{self, LOOK_EVERY, Seen, Told, ended, patiently, runs, sentence, told};
use super::{Act, Done, Hands};
use crate::domain::{CheckState, Clean, Container, ContainerId, ContainerState};
use crate::engine::{Finding, Repeat, Undo};
use crate::link::docker::{KEPT, Listed, NEXT};

/// A container without a health check counts as good when it has run so long.
const SETTLED: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// A container of the project by its name, or a replica: `server-2`.
    pub container: Clean,
    pub image: Clean,
    /// How long the old one may take to end by itself.
    #[serde(with = "super::span", default = "super::grace")]
    pub grace: Duration,
    /// The old one serves until the new one is healthy. Needs a container that may run twice: no fixed port, no volume
    /// of its own.
    #[serde(default)]
    pub start_first: bool,
}

/// What was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    old: Seen,
    /// Of the old container.
    old_image: Clean,
    /// What the new image's name pointed at when this was planned to happen.
    image_id: Clean,
}

/// Who is who now.
struct Cast {
    old: Container,
    new: Option<Container>,
}

impl Before {
    fn kept_name(&self, hands: &Hands) -> String {
        format!("{}{KEPT}{}", self.old.name, hands.run.0)
    }

    fn next_name(&self, hands: &Hands) -> String {
        format!("{}{NEXT}{}", self.old.name, hands.run.0)
    }

    async fn cast(&self, hands: &Hands) -> Result<Cast, Clean> {
        let old = self.old.again(hands).await?;
        let all = everybody(hands).await?;
        let next = self.next_name(hands);
        let is_new = |one: &&Listed| {
            let name = one.name.as_str();
            one.id != old.id && (name == next || name == self.old.name.as_str())
        };
        let new = match all.iter().find(is_new) {
            Some(one) => Some(inspect(hands, &one.id).await?),
            None => None,
        };
        let in_place = new.as_ref().is_some_and(|new| new.name == self.old.name);
        if in_place && old.name.as_str() != self.kept_name(hands) {
            return Err(Clean::line(&format!(
                "{} is another container by now, and the old one is called {}: somebody else changed them; look at what runs, then plan again",
                self.old.name, old.name
            )));
        }
        Ok(Cast { old, new })
    }
}

async fn everybody(hands: &Hands) -> Result<Vec<Listed>, Clean> {
    patiently(hands, || hands.engine.list(&hands.project))
        .await
        .map_err(sentence)
}

async fn inspect(hands: &Hands, id: &ContainerId) -> Result<Container, Clean> {
    patiently(hands, || hands.engine.inspect(id))
        .await
        .map_err(sentence)
}

/// Makes a container like `like`, under `name`, and attaches it to all of its networks. It does not run yet.
pub(super) async fn copied(
    hands: &Hands,
    like: &ContainerId,
    image: &str,
    name: &str,
    change: impl FnOnce(&mut Value),
) -> Result<ContainerId, Clean> {
    let raw = patiently(hands, || hands.engine.inspect_raw(like))
        .await
        .map_err(sentence)?;
    let old = raw["Image"].as_str().unwrap_or_default();
    let old = patiently(hands, || hands.engine.image_raw(old))
        .await
        .map_err(sentence)?;
    if old.is_none() {
        (hands.say)(Clean::from(
            "the image of the old container is gone: what it brought is carried over as if it had been asked for",
        ));
    }
    let old = old.map(|image| image["Config"].clone()).unwrap_or_default();
    let image_id = existing(hands, image).await?;
    let mut copy = recreate(&raw, &old, image, &image_id);
    change(&mut copy.body);
    let made = hands.engine.create(name, &copy.body).await;
    let id =
        made.map_err(|error| Clean::line(&format!("cannot make {name}: {}", sentence(error))))?;
    for (network, settings) in &copy.networks {
        hands
            .engine
            .connect(&id, network, settings)
            .await
            .map_err(sentence)?;
    }
    Ok(id)
}

/// What an image's name points at; a name without an image is a fault.
pub(super) async fn existing(hands: &Hands, image: &str) -> Result<Clean, Clean> {
    let found = patiently(hands, || hands.engine.image_id(image))
        .await
        .map_err(sentence)?;
    found.ok_or_else(|| {
        Clean::line(&format!(
            "there is no image {image} on the engine: pull or build it first"
        ))
    })
}

/// Removes a container that was made by this run and that nobody needs.
async fn discard(hands: &Hands, container: &Container, grace: Duration) -> Result<(), Clean> {
    let seen = Seen::of(container);
    target::stopped(hands, &seen, grace).await?;
    for _ in 0..target::TRIES_MAX {
        if told(hands, hands.engine.remove(&seen.id, false)).await? == Told::Done {
            return Ok(());
        }
    }
    Err(target::unanswered(&seen.name))
}

async fn renamed(hands: &Hands, container: &Container, name: &str) -> Result<(), Clean> {
    if container.name.as_str() == name {
        return Ok(());
    }
    for _ in 0..target::TRIES_MAX {
        let told = told(hands, hands.engine.rename(&container.id, name)).await?;
        if told == Told::Done || inspect(hands, &container.id).await?.name.as_str() == name {
            return Ok(());
        }
    }
    Err(target::unanswered(&container.name))
}

impl Replace {
    async fn made(&self, hands: &Hands, before: &Before, cast: Cast) -> Result<Container, Clean> {
        match cast.new {
            // It may lack a network where the run was cut off while it was made.
            Some(new) if new.state == ContainerState::Created => {
                discard(hands, &new, self.grace).await?;
            }
            Some(new) => return Ok(new),
            None => {}
        }
        if existing(hands, &self.image).await? != before.image_id {
            return Err(Clean::line(&format!(
                "{} points at another image than when this step looked: somebody built or pulled it anew; plan again",
                self.image
            )));
        }
        let next = before.next_name(hands);
        let id = copied(hands, &cast.old.id, &self.image, &next, |_| {}).await?;
        inspect(hands, &id).await
    }

    /// Starts the new one beside the old one, and ends it again where it does not become healthy: it would get requests.
    async fn proven(&self, hands: &Hands, new: &Container) -> Result<(), Clean> {
        let seen = Seen::of(new);
        let tried = async {
            target::started(hands, &seen).await?;
            until_good(hands, &seen).await
        };
        let Err(why) = tried.await else {
            return Ok(());
        };
        discard(hands, new, self.grace).await?;
        Err(Clean::line(&format!(
            "{why}; the new container is removed, the old one serves as before"
        )))
    }
}

/// Waits until its health check passes, or until it has run for a while where it has none.
async fn until_good(hands: &Hands, seen: &Seen) -> Result<(), Clean> {
    let began = Instant::now();
    loop {
        let now = seen.again(hands).await?;
        match (&now.state, now.check) {
            (ContainerState::Running, CheckState::Healthy) => return Ok(()),
            (ContainerState::Running, CheckState::None) if began.elapsed() >= SETTLED => {
                return Ok(());
            }
            (ContainerState::Running, CheckState::Unhealthy) => {
                let said = now
                    .check_log
                    .last()
                    .map(|look| look.output.trim().to_owned());
                return Err(Clean::line(&format!(
                    "the health check of the new {} fails: {}",
                    now.replica(),
                    said.unwrap_or_default()
                )));
            }
            (ContainerState::Running | ContainerState::Created | ContainerState::Paused, _) => {}
            _ => return Err(ended(&now)),
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = hands.hurry.asked() => {
                let not_yet = format!("the new {} is not healthy yet", now.replica());
                return Err(broken_off(&not_yet));
            }
        }
    }
}

impl Act for Replace {
    fn describe(&self) -> Clean {
        let how = if self.start_first {
            ", the new one first"
        } else {
            ""
        };
        Clean::line(&format!(
            "Replace {} by one of {}{how}",
            self.container, self.image
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let old = target::find(hands, &self.container).await?;
        let image_id = existing(hands, &self.image).await?;
        if self.start_first {
            let raw = patiently(hands, || hands.engine.inspect_raw(&old.id))
                .await
                .map_err(sentence)?;
            if let Some(why) = alone(&raw) {
                return Err(Clean::line(&format!(
                    "{} cannot run twice, so the new one cannot start first: {why}; set start_first = false",
                    old.replica()
                )));
            }
        }
        target::keep(&Before {
            old: Seen::of(&old),
            old_image: old.image.name,
            image_id,
        })
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let before: Before = target::kept(before)?;
        let cast = before.cast(hands).await?;
        let old = cast.old.clone();
        let new = self.made(hands, &before, cast).await?;
        let is_in_place = new.name == before.old.name;
        if self.start_first && !is_in_place {
            self.proven(hands, &new).await?;
        }
        if runs(&old) {
            target::stopped(hands, &before.old, self.grace).await?;
        }
        renamed(hands, &old, &before.kept_name(hands)).await?;
        renamed(hands, &new, &before.old.name).await?;
        target::started(hands, &Seen::of(&new)).await?;
        Ok(Done {
            said: Clean::line(&format!(
                "{} runs {} instead of {}; the old one is kept as {}",
                before.old.replica,
                self.image,
                before.old_image,
                before.kept_name(hands)
            )),
        })
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let before: Before = target::kept(before)?;
        let cast = before.cast(hands).await?;
        if let Some(new) = &cast.new {
            discard(hands, new, self.grace).await?;
        }
        renamed(hands, &cast.old, &before.old.name).await?;
        if before.old.runs {
            target::started(hands, &before.old).await?;
        }
        Ok(Done {
            said: Clean::line(&format!(
                "{} runs {} again",
                before.old.replica, before.old_image
            )),
        })
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looking = async {
            let before: Before = target::kept(before)?;
            let cast = before.cast(hands).await?;
            let new = cast.new.filter(|new| new.name == before.old.name);
            Ok(new.is_some_and(|new| runs(&new)) && !runs(&cast.old))
        };
        target::finding(looking.await)
    }
}
