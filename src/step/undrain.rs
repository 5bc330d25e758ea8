//! `undrain`: put one replica back into the gateway, at the address that it has now.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::drain::{self, Listed};
use super::{Act, Done, Hands, target};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undrain {
    /// `server-2`
    pub replica: Clean,
}

impl Act for Undrain {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Put {} back into the gateway", self.replica))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        target::keep(&drain::look(hands, &self.replica).await?)
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let listed: Listed = target::kept(before)?;
        drain::put_back(hands, &listed.replica).await
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let listed: Listed = target::kept(before)?;
        if listed.was_drained {
            return drain::take_out(hands, &listed.replica).await;
        }
        Ok(Done {
            said: Clean::line(&format!("{} was listed before", listed.replica)),
        })
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        match target::kept::<Listed>(before) {
            Ok(listed) => drain::is_listed_so(hands, &listed.replica, false).await,
            Err(fault) => Finding::Unclear(fault),
        }
    }
}
