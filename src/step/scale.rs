//! `scale`: add replicas of a service, or remove those with the highest numbers.
//!
//! What is removed is gone; undoing makes it anew from a replica that is left. A replica holds nothing of its own, or it
//! is none.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::recreate::alone;
use super::replace::copied;
use super::target::{self, Seen, Told, patiently, sentence, told};
use super::{Act, Done, Hands, replicas};
use crate::domain::{Clean, ContainerId, ContainerState};
use crate::engine::{Finding, Repeat, Undo};
use crate::link::docker::{Listed, NUMBER};

/// Far more than one host carries; a slip of the finger stays below it.
const REPLICAS_MAX: u32 = 100;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    pub service: Clean,
    pub replicas: u32,
}

/// The numbers of the replicas that were there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Were {
    numbers: BTreeSet<u32>,
}

impl Scale {
    /// The numbers that are wanted: the lowest of those that were there, and the next ones.
    fn wanted(&self, were: &BTreeSet<u32>) -> BTreeSet<u32> {
        let most = self.replicas as usize;
        let mut wanted: BTreeSet<u32> = were.iter().take(most).copied().collect();
        let mut next = were.last().copied().unwrap_or_default();
        while wanted.len() < most {
            next += 1;
            wanted.insert(next);
        }
        wanted
    }

    async fn there(&self, hands: &Hands) -> Result<Vec<Listed>, Clean> {
        let mut all = replicas(hands).await?;
        all.retain(|one| one.service == self.service);
        Ok(all)
    }

    /// Makes what is missing, then removes what is too much. Says how many of each.
    async fn reach(&self, hands: &Hands, numbers: &BTreeSet<u32>) -> Result<(usize, usize), Clean> {
        let mut there = self.there(hands).await?;
        // One that was made and never started may lack a network: the run was cut off while it was made.
        for one in there.extract_if(.., |one| one.state == ContainerState::Created) {
            self.removed(hands, &one).await?;
        }
        let is_there = |number: &u32| there.iter().any(|one| one.number == Some(*number));
        let mut added = 0;
        for number in numbers.iter().filter(|number| !is_there(number)) {
            let id = self.added(hands, &there, *number).await?;
            target::started(hands, &seen(hands, &id).await?).await?;
            added += 1;
        }
        let mut removed = 0;
        let is_wanted = |one: &&Listed| one.number.is_some_and(|n| numbers.contains(&n));
        for one in there.iter().rev().filter(|one| !is_wanted(one)) {
            self.removed(hands, one).await?;
            removed += 1;
        }
        Ok((added, removed))
    }

    async fn added(
        &self,
        hands: &Hands,
        there: &[Listed],
        number: u32,
    ) -> Result<ContainerId, Clean> {
        let runs = |one: &&Listed| one.state == ContainerState::Running;
        let Some(like) = there.iter().find(runs).or_else(|| there.first()) else {
            return Err(Clean::line(&format!(
                "no container of {} is left to copy: start it with Compose",
                self.service
            )));
        };
        let raw = patiently(hands, || hands.engine.inspect_raw(&like.id))
            .await
            .map_err(sentence)?;
        if let Some(why) = alone(&raw) {
            return Err(Clean::line(&format!(
                "{} cannot run twice: {why}; scale it by its Compose file",
                self.service
            )));
        }
        let name = numbered(&like.name, like.number, number)?;
        // The name may point elsewhere by now; a copy runs what its sibling runs.
        let image = match patiently(hands, || hands.engine.image_id(&like.image)).await {
            Ok(Some(id)) if id == like.image_id => like.image.clone(),
            Ok(_) => like.image_id.clone(),
            Err(error) => return Err(sentence(error)),
        };
        let relabel = |body: &mut Value| {
            body["Labels"][NUMBER] = number.to_string().into();
        };
        copied(hands, &like.id, &image, &name, relabel).await
    }

    async fn removed(&self, hands: &Hands, one: &Listed) -> Result<(), Clean> {
        let seen = seen(hands, &one.id).await?;
        target::stopped(hands, &seen, super::GRACE).await?;
        for _ in 0..target::TRIES_MAX {
            if told(hands, hands.engine.remove(&one.id, false)).await? == Told::Done {
                return Ok(());
            }
        }
        Err(target::unanswered(&one.name))
    }
}

async fn seen(hands: &Hands, id: &ContainerId) -> Result<Seen, Clean> {
    let container = patiently(hands, || hands.engine.inspect(id))
        .await
        .map_err(sentence)?;
    Ok(Seen::of(&container))
}

/// `shop_server_1` with another number at its end.
fn numbered(name: &str, was: Option<u32>, number: u32) -> Result<String, Clean> {
    let was = was.map(|n| n.to_string()).unwrap_or_default();
    match name.strip_suffix(&was) {
        Some(stem) if !was.is_empty() && stem.ends_with(['-', '_']) => {
            Ok(format!("{stem}{number}"))
        }
        _ => Err(Clean::line(&format!(
            "the name {name} does not end in its number, so there cannot be a second one: take container_name out of the Compose file"
        ))),
    }
}

impl Act for Scale {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Scale {} to {}", self.service, self.replicas))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        if !(1..=REPLICAS_MAX).contains(&self.replicas) {
            return Err(Clean::line(&format!(
                "replicas = {}: write 1 to {REPLICAS_MAX}; to take a service down, stop it",
                self.replicas
            )));
        }
        let numbers: BTreeSet<u32> = self
            .there(hands)
            .await?
            .iter()
            .filter_map(|one| one.number)
            .collect();
        if numbers.is_empty() {
            return Err(Clean::line(&format!(
                "there is no replica of {} in the project {}",
                self.service, hands.project
            )));
        }
        target::keep(&Were { numbers })
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let were: Were = target::kept(before)?;
        let (added, removed) = self.reach(hands, &self.wanted(&were.numbers)).await?;
        Ok(Done {
            said: Clean::line(&format!(
                "{} has {} replicas: {added} added, {removed} removed",
                self.service, self.replicas
            )),
        })
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let were: Were = target::kept(before)?;
        let (added, removed) = self.reach(hands, &were.numbers).await?;
        Ok(Done {
            said: Clean::line(&format!(
                "{} has {} replicas again: {added} added, {removed} removed",
                self.service,
                were.numbers.len()
            )),
        })
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looking = async {
            let were: Were = target::kept(before)?;
            let there = self.there(hands).await?;
            let running = there
                .iter()
                .filter(|one| one.state != ContainerState::Created);
            let numbers: BTreeSet<u32> = running.filter_map(|one| one.number).collect();
            Ok(numbers == self.wanted(&were.numbers))
        };
        target::finding(looking.await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(were: &[u32], replicas: u32, wanted: &[u32]) {
        let scale = Scale {
            service: Clean::from("server"),
            replicas,
        };
        let were = were.iter().copied().collect();
        let wanted: BTreeSet<u32> = wanted.iter().copied().collect();
        assert_eq!(scale.wanted(&were), wanted);
    }

    #[test]
    fn the_highest_numbers_go_and_the_next_ones_come() {
        check(&[1, 2, 3], 2, &[1, 2]);
        check(&[1, 2, 3], 5, &[1, 2, 3, 4, 5]);
        check(&[2, 4], 3, &[2, 4, 5]);
        check(&[2, 4], 2, &[2, 4]);
    }

    #[test]
    fn a_copy_is_named_by_its_number() {
        assert_eq!(
            numbered("shop_server_1", Some(1), 4).unwrap(),
            "shop_server_4"
        );
        assert_eq!(
            numbered("shop-server-12", Some(12), 3).unwrap(),
            "shop-server-3"
        );
        for (name, number) in [("server", Some(1)), ("server1", Some(1)), ("a-1", None)] {
            let fault = numbered(name, number, 2).unwrap_err();
            assert!(fault.contains("container_name"), "{fault}");
        }
    }
}
