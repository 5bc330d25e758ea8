//! `stop`: end one container.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::target::{self, Seen, runs};
use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// A container of the project by its name, or a replica: `server-2`.
    pub container: Clean,
    /// How long it may take to end by itself.
    #[serde(with = "super::span", default = "super::grace")]
    pub grace: Duration,
}

impl Act for Stop {
    fn describe(&self) -> Clean {
        let grace = humantime::format_duration(self.grace);
        Clean::line(&format!(
            "Stop {} ({grace} to end by itself)",
            self.container
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        target::keep(&Seen::of(&target::find(hands, &self.container).await?))
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen = Seen::read(before)?;
        let how = if target::stopped(hands, &seen, self.grace).await? {
            "stopped"
        } else {
            "was stopped already"
        };
        Ok(Done {
            said: Clean::line(&format!("{} {how}", seen.replica)),
        })
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen = Seen::read(before)?;
        let how = if seen.runs && target::started(hands, &seen).await? {
            "started"
        } else {
            "is as it was"
        };
        Ok(Done {
            said: Clean::line(&format!("{} {how}", seen.replica)),
        })
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looking = async { Ok(!runs(&Seen::read(before)?.again(hands).await?)) };
        target::finding(looking.await)
    }
}
