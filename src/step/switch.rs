//! `switch`: let the gateway send all requests to the other colour.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gateway::{Gateway, configured};
use super::upstream::Listing;
use super::{Act, Done, Hands, target};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    pub to: Colour,
    /// The service of each colour; by default the configured one is blue, and the same with `-green` is green.
    #[serde(default)]
    pub blue: Option<Clean>,
    #[serde(default)]
    pub green: Option<Clean>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    Blue,
    Green,
}

impl Colour {
    pub fn word(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }
}

/// Where requests went before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Went {
    service: Clean,
    drained: Vec<Clean>,
}

impl Switch {
    fn service(&self, hands: &Hands) -> Result<Clean, Clean> {
        let usual = &configured(hands)?.service;
        Ok(match (self.to, &self.blue, &self.green) {
            (Colour::Blue, Some(blue), _) => blue.clone(),
            (Colour::Blue, None, _) => usual.clone(),
            (Colour::Green, _, Some(green)) => green.clone(),
            (Colour::Green, _, None) => Clean::line(&format!("{usual}-green")),
        })
    }
}

impl Act for Switch {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Send all requests to {}", self.to.word()))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let listing = Gateway::find(hands).await?.listing().await?;
        target::keep(&Went {
            service: listing.service,
            drained: listing.drained,
        })
    }

    async fn perform(&self, hands: &Hands, _: &Value) -> Result<Done, Clean> {
        let service = self.service(hands)?;
        Gateway::find(hands)
            .await?
            .put(&Listing::of(&service))
            .await?;
        Ok(Done {
            said: Clean::line(&format!(
                "all requests go to {service} ({})",
                self.to.word()
            )),
        })
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let went: Went = target::kept(before)?;
        let said = Clean::line(&format!("all requests go to {} again", went.service));
        let listing = Listing {
            service: went.service,
            drained: went.drained,
        };
        Gateway::find(hands).await?.put(&listing).await?;
        Ok(Done { said })
    }

    async fn happened(&self, hands: &Hands, _: &Value) -> Finding {
        let looking = async {
            let listing = Gateway::find(hands).await?.listing().await?;
            Ok(listing.service == self.service(hands)?)
        };
        match looking.await {
            Ok(true) => Finding::Unclear(Clean::from(
                "the list is as it should be; whether the gateway has read it is not known: retry, which is safe",
            )),
            other => target::finding(other),
        }
    }
}
