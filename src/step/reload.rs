//! `reload`: let the gateway read its configuration again, if its own test accepts it.
//!
//! What the test refuses is never read. Where the list of replicas is the reason, the list that was last in force is put
//! back, so that a restart of the gateway finds a configuration that works.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gateway::{Gateway, plain_reload};
use super::target::{self, Seen};
use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};

/// Of an nginx whose files are where nginx looks for them.
const TEST: [&str; 3] = ["nginx", "-t", "-q"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reload {
    #[serde(default = "super::gateway_service")]
    pub service: Clean,
}

impl Act for Reload {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Test and reload the configuration of {}",
            self.service
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    /// What the files said before is not known here.
    fn undoable(&self) -> Undo {
        Undo::None
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        target::keep(&Seen::of(&target::find(hands, &self.service).await?))
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen = Seen::read(before)?;
        seen.again(hands).await?;
        let is_listed = |service: &Clean| *service == self.service;
        if hands
            .upstream
            .as_ref()
            .is_some_and(|u| is_listed(&u.gateway))
        {
            Gateway::find(hands).await?.reread().await?;
        } else {
            plain_reload(hands, &seen, &TEST.map(str::to_owned)).await?;
        }
        Ok(Done {
            said: Clean::line(&format!(
                "{} serves by its configuration as it is now",
                seen.name
            )),
        })
    }

    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::Unclear(Clean::line(&format!(
            "whether {} has read its configuration is not known: retry, which is safe",
            self.service
        )))
    }
}
