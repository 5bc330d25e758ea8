//! `wait`: let time pass, so that what was changed can settle.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// `10s`, `2m`
    #[serde(with = "super::span")]
    pub time: Duration,
}

impl Act for Wait {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Wait {}", humantime::format_duration(self.time)))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, _: &Hands) -> Result<Value, Clean> {
        Ok(Value::Null)
    }

    async fn perform(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        tokio::time::sleep(self.time).await;
        Ok(Done::default())
    }

    /// Time cannot be given back, and nothing was changed.
    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::DidNotHappen
    }
}
