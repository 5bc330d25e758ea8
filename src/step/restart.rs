//! `restart`: stop and start one container.
//!
//! The moment at which the container started tells whether the restart took effect, so it happens exactly once however
//! often the step is performed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::target::{self, Seen, Told, ended, runs, told, until_running};
use super::{Act, Done, Hands};
use crate::domain::{Clean, Container};
use crate::engine::{Finding, Repeat, Undo};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// A container of the project by its name, or a replica: `server-2`.
    pub container: Clean,
    /// How long it may take to end by itself.
    #[serde(with = "super::span", default = "super::grace")]
    pub grace: Duration,
}

/// What is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Restart,
    /// It was stopped, and not started again; or it did not run in the first place.
    Start,
    /// It was restarted and has ended since.
    Failed,
}

fn left(before: &Seen, now: &Container) -> Left {
    let is_new = now.started_at != before.started_at;
    match (is_new, runs(now)) {
        (true, true) => Left::Nothing,
        (false, true) => Left::Restart,
        (false, false) => Left::Start,
        (true, false) => Left::Failed,
    }
}

impl Act for Restart {
    fn describe(&self) -> Clean {
        let grace = humantime::format_duration(self.grace);
        Clean::line(&format!(
            "Restart {} ({grace} to end by itself)",
            self.container
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    /// One that was left stopped half way is started again.
    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        target::keep(&Seen::of(&target::find(hands, &self.container).await?))
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen = Seen::read(before)?;
        let mut did = false;
        // One look more than there are acts.
        for _ in 0..=target::TRIES_MAX {
            let now = seen.again(hands).await?;
            let result = match left(&seen, &now) {
                Left::Nothing => {
                    until_running(hands, &seen).await?;
                    let how = if did {
                        "restarted"
                    } else {
                        "already restarted"
                    };
                    return Ok(Done {
                        said: Clean::line(&format!("{} {how}", seen.replica)),
                    });
                }
                Left::Failed => return Err(ended(&now)),
                Left::Restart => told(hands, hands.engine.restart(&seen.id, self.grace)).await?,
                Left::Start => told(hands, hands.engine.start(&seen.id)).await?,
            };
            did |= result == Told::Done;
        }
        Err(target::unanswered(&seen.replica))
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen = Seen::read(before)?;
        let did = if seen.runs {
            target::started(hands, &seen).await?
        } else {
            target::stopped(hands, &seen, self.grace).await?
        };
        let said = match (did, seen.runs) {
            (false, _) => format!("{} is as it was", seen.replica),
            (true, true) => format!("{} started", seen.replica),
            (true, false) => format!("{} stopped", seen.replica),
        };
        Ok(Done {
            said: Clean::line(&said),
        })
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looking = async {
            let seen = Seen::read(before)?;
            let now = seen.again(hands).await?;
            Ok(left(&seen, &now) == Left::Nothing)
        };
        target::finding(looking.await)
    }
}
