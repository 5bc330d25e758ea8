//! `drain`: take one replica out of the gateway, and wait until its last request is answered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::sleep;

use super::gateway::Gateway;
use super::hurry::broken_off;
use super::target::LOOK_EVERY;
use super::{Act, Done, Hands, target};
use crate::domain::{CheckState, Clean, Container, ContainerState};
use crate::engine::{Finding, Repeat, Undo};
use crate::link::fetch::{Bounds, Fetcher};
use crate::probe::ways::ways;

/// Whether a replica listens again is known in milliseconds.
const ANSWER: Bounds = Bounds {
    total: Duration::from_secs(2),
    body_bytes_max: 64 * 1024,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// `server-2`
    pub replica: Clean,
}

/// What was there before a replica was taken out or put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    /// `server-2`, also where the step names the container otherwise.
    pub(super) replica: Clean,
    pub(super) was_drained: bool,
    /// Its container ran, and its health check passed where it has one.
    #[serde(default)]
    pub(super) was_well: bool,
}

fn is_well(container: &Container) -> bool {
    container.state == ContainerState::Running
        && matches!(container.check, CheckState::Healthy | CheckState::None)
}

/// A replica that was just started again gets no request before it can answer one. The step's deadline ends the wait.
async fn until_well(hands: &Hands, replica: &Clean) -> Result<(), Clean> {
    let port = Gateway::find(hands).await?.port();
    let fetch = Fetcher::default();
    let mut has_said = false;
    loop {
        let container = target::find(hands, replica).await?;
        // Its own health check is asked by the engine, which reaches it from wherever this console is.
        let is_checked = container.check == CheckState::Healthy;
        if is_well(&container) && (is_checked || answers(&fetch, &container, port).await) {
            return Ok(());
        }
        if !has_said {
            (hands.say)(Clean::line(&format!(
                "{replica} goes back into the gateway when it is healthy again"
            )));
            has_said = true;
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = hands.hurry.asked() => {
                return Err(broken_off(&format!(
                    "{replica} is not healthy yet, and stays out of the gateway"
                )));
            }
        }
    }
}

/// Whatever it says: somebody is there to say it.
async fn answers(fetch: &Fetcher, container: &Container, port: u16) -> bool {
    for way in ways(container, port, "/") {
        if fetch.get(&way, ANSWER).await.is_ok() {
            return true;
        }
    }
    false
}

/// Looks at the list. Both directions begin so.
pub(super) async fn look(hands: &Hands, word: &Clean) -> Result<Listed, Clean> {
    let container = target::find(hands, word).await?;
    let listing = Gateway::find(hands).await?.listing().await?;
    refuse_foreign(&container, &listing.service)?;
    let replica = container.replica();
    Ok(Listed {
        was_drained: listing.has_drained(&replica),
        was_well: is_well(&container),
        replica,
    })
}

fn refuse_foreign(container: &Container, service: &Clean) -> Result<(), Clean> {
    if container.service == *service {
        return Ok(());
    }
    Err(Clean::line(&format!(
        "{} is of the service {}; the gateway lists the replicas of {service}",
        container.replica(),
        container.service
    )))
}

pub(super) async fn take_out(hands: &Hands, replica: &Clean) -> Result<Done, Clean> {
    let gateway = Gateway::find(hands).await?;
    let wanted = gateway.listing().await?.without(replica);
    let took = gateway.put(&wanted).await?;
    Ok(Done {
        said: Clean::line(&format!(
            "{replica} is out of the gateway; its last requests ended after {:.1} s",
            took.as_secs_f64()
        )),
    })
}

pub(super) async fn put_back(hands: &Hands, replica: &Clean) -> Result<Done, Clean> {
    let gateway = Gateway::find(hands).await?;
    let wanted = gateway.listing().await?.with(replica);
    gateway.put_in_force(&wanted).await?;
    let drained: Vec<&str> = wanted.drained.iter().map(Clean::as_str).collect();
    let others = match drained[..] {
        [] => String::new(),
        _ => format!("; still out: {}", drained.join(", ")),
    };
    Ok(Done {
        said: Clean::line(&format!("{replica} is back in the gateway{others}")),
    })
}

/// The file tells who is drained; whether the gateway has read it since cannot be seen from outside.
pub(super) async fn is_listed_so(hands: &Hands, replica: &Clean, drained: bool) -> Finding {
    let looking = async {
        let listing = Gateway::find(hands).await?.listing().await?;
        Ok(listing.has_drained(replica) == drained)
    };
    match looking.await {
        Ok(false) => Finding::DidNotHappen,
        Ok(true) => Finding::Unclear(Clean::line(&format!(
            "the list is as it should be for {replica}; whether the gateway has read it is not known: retry, which is safe"
        ))),
        Err(fault) => Finding::Unclear(fault),
    }
}

impl Act for Drain {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Take {} out of the gateway and let its requests end",
            self.replica
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        target::keep(&look(hands, &self.replica).await?)
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let listed: Listed = target::kept(before)?;
        take_out(hands, &listed.replica).await
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let listed: Listed = target::kept(before)?;
        if listed.was_drained {
            return Ok(Done {
                said: Clean::line(&format!("{} was out before", listed.replica)),
            });
        }
        if listed.was_well {
            until_well(hands, &listed.replica).await?;
        }
        put_back(hands, &listed.replica).await
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        match target::kept::<Listed>(before) {
            Ok(listed) => is_listed_so(hands, &listed.replica, true).await,
            Err(fault) => Finding::Unclear(fault),
        }
    }
}
