//! What the journal says of a run, beside its events: who asked for what, who decided what, what the steps saw.
//!
//! Each is the body of one journal entry; the entry's code says which. A reader that meets a body it cannot read shows
//! it as it is and goes on.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Verdict;
use super::event::RunEvent;
use super::lease::{DriverId, RunId, Token};
use super::plan::{Plan, PlanId, StepId};
use crate::domain::{Clean, Timestamp};

/// `run.requested`: the plan as it was shown, before anybody confirmed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    pub run: RunId,
    pub plan: Plan,
    /// What was shown beside the plan: floor, worst case, expected time. Made by the room that plans; shown again by the screens.
    pub brief: Value,
}

/// `decision.*`: the entry's code says which, its actor who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub run: RunId,
    /// Which plan the person saw. Confirmations and approvals without it count for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// The step that is asked about, for retry, skip and gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    #[serde(default, skip_serializing_if = "no_text")]
    pub reason: Clean,
}

fn no_text(text: &Clean) -> bool {
    text.is_empty()
}

/// `run.started`: a driver took the run up, for the first time or again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenUp {
    pub run: RunId,
    pub driver: DriverId,
    pub token: Token,
}

/// `run.event`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    pub run: RunId,
    pub token: Token,
    /// The number of the entry whose decision it follows from. A driver that takes the run up again does not hear it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<u64>,
    pub event: RunEvent,
}

/// `evidence` of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub run: RunId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    pub what: EvidenceKind,
    pub value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// What a step saw before it acted; undo and repeat go by it.
    Before,
    /// What a step has to say after it acted: lines.
    Said,
    /// The outcome of a check, with what was sent and what came back.
    Check,
    /// The users' requests so far.
    Tap,
    /// One request of the tap that failed.
    Request,
    /// How a guard stands.
    Guard,
    /// The fewest replicas that served so far.
    Serving,
}

impl EvidenceKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Before => "seen before",
            Self::Said => "said",
            Self::Check => "check",
            Self::Tap => "requests",
            Self::Request => "failed request",
            Self::Guard => "guard",
            Self::Serving => "serving",
        }
    }
}

/// `run.finished`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    pub run: RunId,
    pub verdict: Verdict,
    /// The last figures of the tap, where there was one.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub tap: Value,
    /// How many replicas served at least, where the run is about a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
}

/// How many replicas of a service served while a run went on, as its drivers saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    pub service: Clean,
    /// The fewest at any look. `None`: no look has seen any.
    pub least: Option<u32>,
    /// How many there were when the plan was made.
    pub of: u32,
    /// When they were first so few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    pub looks: u64,
    /// Looks at which it could not be told. They are no proof of anything.
    pub unseen: u64,
}

impl Serving {
    pub fn new(service: Clean, of: u32) -> Self {
        Self {
            service,
            least: None,
            of,
            at: None,
            looks: 0,
            unseen: 0,
        }
    }

    /// Takes in what one look saw. Says whether it is news: fewer than ever, or blind for the first time.
    pub fn saw(&mut self, serving: Option<u32>, at: Timestamp) -> bool {
        self.looks += 1;
        let Some(now) = serving else {
            self.unseen += 1;
            return self.unseen == 1;
        };
        let is_fewer = self.least.is_none_or(|least| now < least);
        if is_fewer {
            self.least = Some(now);
            self.at = Some(at);
        }
        is_fewer
    }

    /// Those of an earlier driver and these: nobody looked in between.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        self.looks += earlier.looks;
        self.unseen += earlier.unseen;
        let was_fewer = match (earlier.least, self.least) {
            (Some(before), Some(now)) => before <= now,
            (before, _) => before.is_some(),
        };
        if was_fewer {
            self.least = earlier.least;
            self.at = earlier.at;
        }
        self
    }

    /// `at least 2 of 3 serving`, and how often nobody could tell.
    pub fn line(&self) -> Clean {
        let Some(least) = self.least else {
            return Clean::from("how many served could not be seen");
        };
        let mut line = format!("at least {least} of {} serving", self.of);
        if self.unseen > 0 {
            line = format!("{line} (unseen at {} of {} looks)", self.unseen, self.looks);
        }
        Clean::from(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(looks: &[Option<u32>]) -> Serving {
        let mut serving = Serving::new(Clean::from("server"), 3);
        for (at, look) in (0..).zip(looks) {
            serving.saw(*look, Timestamp(at));
        }
        serving
    }

    #[test]
    fn the_fewest_at_any_look_are_said_with_when_it_was() {
        let serving = seen(&[Some(3), Some(2), Some(3), Some(2)]);
        assert_eq!(serving.line(), "at least 2 of 3 serving");
        assert_eq!((serving.at, serving.looks), (Some(Timestamp(1)), 4));
    }

    #[test]
    fn what_was_not_seen_is_never_good() {
        assert_eq!(seen(&[]).line(), "how many served could not be seen");
        assert_eq!(seen(&[None]).line(), "how many served could not be seen");
        assert_eq!(
            seen(&[Some(3), None]).line(),
            "at least 3 of 3 serving (unseen at 1 of 2 looks)"
        );
    }

    #[test]
    fn only_news_is_told() {
        let mut serving = seen(&[]);
        let told = [Some(3), Some(3), None, None, Some(2), Some(3), Some(0)]
            .map(|look| serving.saw(look, Timestamp(0)));
        assert_eq!(told, [true, false, true, false, true, false, true]);
    }

    #[test]
    fn two_drivers_saw_what_one_would_have_seen() {
        let all = [Some(3), Some(1), None, Some(2)];
        for cut in 0..=all.len() {
            let (before, now) = all.split_at(cut);
            let both = seen(now).after(&seen(before));
            assert_eq!((both.least, both.looks, both.unseen), (Some(1), 4, 1));
        }
    }
}
