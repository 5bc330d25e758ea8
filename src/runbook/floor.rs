//! How many replicas serve at least, step by step, while a plan goes on.

use std::collections::BTreeSet;

use super::document::FloorRule;
use super::planned::Floor;
use super::planning::Draft;
use super::problem::Problems;
use super::scene::{Scene, is_well};
use crate::domain::{Clean, Container};
use crate::step::Step;

/// The lowest point of a plan.
pub(super) struct Lowest {
    pub(super) floor: Floor,
    /// How many serve before anything happens.
    pub(super) well: u32,
    /// How many serve at the worst moment that the plan itself makes.
    pub(super) worst: u32,
}

/// How many have to go on serving: as written, else all that are wanted but those that are out at once.
pub(super) fn least(
    rule: &FloorRule,
    service: &Clean,
    written: Option<&str>,
    scene: &Scene,
    problems: &mut Problems,
) -> Option<u32> {
    let Some(written) = written else {
        return Some(wanted(service, scene).saturating_sub(rule.at_once));
    };
    let least = written.parse().ok();
    if least.is_none() {
        let says = format!("`serving_min` is no whole number: {written}");
        let remedy = "write a number, or a parameter of type integer";
        problems.add(rule.line, "[floor]", &says, remedy);
    }
    least
}

/// How many replicas the configuration wants; without a word of it, as many as there are.
fn wanted(service: &Clean, scene: &Scene) -> u32 {
    let spec = scene.services.iter().find(|spec| spec.name == *service);
    spec.and_then(|spec| spec.replicas)
        .unwrap_or_else(|| count(scene.replicas_of(service).len()))
}

/// Follows the steps: who is taken out, who is back. Says of a plan that goes below its floor that it does.
pub(super) fn judge(
    rule: &FloorRule,
    service: &Clean,
    serving_min: u32,
    drafts: &[Draft],
    scene: &Scene,
    problems: &mut Problems,
) -> Option<Lowest> {
    let replicas = scene.replicas_of(service);
    let of = count(replicas.len());
    let wanted = wanted(service, scene);
    let mut serving = Serving {
        up: replicas
            .iter()
            .filter(|container| is_well(container))
            .map(|container| container.replica())
            .collect(),
        drained: BTreeSet::new(),
        out: BTreeSet::new(),
        took_one: false,
    };
    let well = serving.count();
    let (mut lowest, mut at_once) = (well, 0);
    for draft in drafts {
        serving.follow(draft, service, scene);
        lowest = lowest.min(serving.count());
        at_once = at_once.max(count(serving.out.len()));
        if serving.took_one && serving.count() < serving_min {
            let says = format!(
                "\"{}\" leaves {} of {of} replicas of `{service}` serving, and the floor is {serving_min}",
                draft.title,
                serving.count(),
            );
            let remedy = if well < wanted {
                format!(
                    "{well} of {wanted} are healthy now: bring the others back first (`restart-unhealthy`, `scale`)"
                )
            } else {
                "scale the service up first, or set a lower floor with serving_min=".to_owned()
            };
            problems.add(draft.line, "", &says, &remedy);
            return None;
        }
        if at_once > rule.at_once {
            let says = format!(
                "\"{}\" is the {at_once}. replica of `{service}` that is out at the same time",
                draft.title
            );
            let remedy =
                "wait with a `healthy` step until the one before is back, or raise at_once";
            problems.add(draft.line, "", &says, remedy);
            return None;
        }
    }
    Some(Lowest {
        floor: Floor {
            service: service.clone(),
            serving_min,
            of,
            at_once: rule.at_once,
        },
        well,
        worst: lowest,
    })
}

/// Who serves, by replica word.
struct Serving {
    up: BTreeSet<Clean>,
    drained: BTreeSet<Clean>,
    /// Taken out by the plan, and not back.
    out: BTreeSet<Clean>,
    /// The last step took out one that served.
    took_one: bool,
}

impl Serving {
    fn count(&self) -> u32 {
        count(self.up.difference(&self.drained).count())
    }

    fn follow(&mut self, draft: &Draft, service: &Clean, scene: &Scene) {
        let before = self.count();
        let container = draft.touches().and_then(|name| scene.container(name));
        let touched = container
            .filter(|container| container.service == *service)
            .map(Container::replica);
        match (&draft.step, touched) {
            (Step::Scale(scale), _) if scale.service == *service => {
                // The highest numbers go first.
                while self.up.len() > scale.replicas as usize {
                    let highest = self.up.iter().max_by_key(|word| number(word)).cloned();
                    let Some(highest) = highest else { break };
                    self.up.remove(&highest);
                }
            }
            (Step::Drain(_), Some(replica)) => {
                self.out.insert(replica.clone());
                self.drained.insert(replica);
            }
            (Step::Restart(_) | Step::Stop(_), Some(replica)) => {
                self.up.remove(&replica);
                self.out.insert(replica);
            }
            (Step::Replace(replace), Some(replica)) if !replace.start_first => {
                self.up.remove(&replica);
                self.out.insert(replica);
            }
            (Step::Healthy(_), Some(replica)) => {
                if !self.drained.contains(&replica) {
                    self.out.remove(&replica);
                }
                self.up.insert(replica);
            }
            (Step::Undrain(_), Some(replica)) => {
                if self.up.contains(&replica) {
                    self.out.remove(&replica);
                }
                self.drained.remove(&replica);
            }
            _ => {}
        }
        self.took_one = self.count() < before;
    }
}

fn number(word: &str) -> u32 {
    word.rsplit('-')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}
