//! `notify`: tell people through a webhook.
//!
//! The address of a webhook lets anybody write there, so it is a secret: it stands in no document, in no journal and in
//! no fault. What is sent is what most of them take: `{"text": …}`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Act, Done, Hands};
use crate::domain::{Clean, FaultKind, SecretPlace};
use crate::engine::{Finding, Repeat, Undo};
use crate::link::fetch::{Bounds, Fetcher, Sent};

const ANSWER: Bounds = Bounds {
    total: Duration::from_secs(20),
    body_bytes_max: 64 * 1024,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// Where the address lies: `{ env = "NAME" }` or `{ file = "path" }`.
    pub url: SecretPlace,
    pub text: Clean,
}

impl Act for Notify {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Tell people: {}", self.text))
    }

    /// Told twice is better than a run that holds because nobody knows whether it was told once.
    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::None
    }

    /// A place without a secret is found before anything happens.
    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        (hands.secret)(&self.url).map(|_| Value::Null)
    }

    async fn perform(&self, hands: &Hands, _: &Value) -> Result<Done, Clean> {
        let url = (hands.secret)(&self.url)?;
        let body = json!({"text": self.text.as_str()}).to_string();
        let sent = Sent {
            method: "POST",
            url: &url,
            body: Some(&body),
        };
        let place = self.url.shown();
        let wrong = |why: &str| {
            Clean::line(&format!(
                "people were not told: the webhook in {place} {why}"
            ))
        };
        // The text of a fault names the address.
        let answer = Fetcher::default()
            .send(sent, ANSWER)
            .await
            .map_err(|fault| wrong(why(fault.kind)))?;
        match answer.status {
            200..=299 => Ok(Done {
                said: Clean::from("people are told"),
            }),
            status => Err(wrong(&format!("answered {status}; check its address"))),
        }
    }

    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::DidNotHappen
    }
}

fn why(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Silent => "did not answer in time",
        FaultKind::Name => "has a host whose name does not resolve",
        FaultKind::Refused => "cannot be reached",
        FaultKind::Denied => "has a certificate that is not trusted",
        FaultKind::Misconfigured => "is no address; write one such as https://host/path",
        FaultKind::Garbled
        | FaultKind::TooLarge
        | FaultKind::Unsupported
        | FaultKind::Missing
        | FaultKind::Broken => "does not answer as a webhook does",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{hands, listening};
    use super::*;

    fn notify() -> Notify {
        Notify {
            url: SecretPlace::Env("HOOK".to_owned()),
            text: Clean::from("server is \"back\""),
        }
    }

    fn knowing(url: &str) -> Hands {
        let url = url.to_owned();
        Hands {
            secret: Arc::new(move |_| Ok(url.clone())),
            ..hands()
        }
    }

    #[tokio::test]
    async fn people_are_told_at_the_secret_address() {
        let (url, heard) = listening("200 OK", "ok").await;
        let hands = knowing(&url);
        let before = notify().before(&hands).await.unwrap();
        assert_eq!(before, Value::Null, "the address is not kept");
        notify().perform(&hands, &before).await.unwrap();
        let heard = heard.await.unwrap();
        assert!(
            heard.ends_with(r#"{"text":"server is \"back\""}"#),
            "{heard}"
        );
    }

    #[tokio::test]
    async fn no_fault_shows_the_address() {
        let (gone, _) = listening("410 Gone", "").await;
        for url in [&gone, "http://127.0.0.1:1/T0KEN", "T0KEN", "ftp://T0KEN/x"] {
            let fault = notify().perform(&knowing(url), &Value::Null).await;
            let fault = fault.unwrap_err();
            assert!(fault.contains("the webhook in $HOOK"), "{fault}");
            assert!(
                !fault.contains("T0KEN") && !fault.contains("127.0.0.1"),
                "{fault}"
            );
        }
    }

    #[tokio::test]
    async fn a_secret_that_is_not_there_is_found_before_anything_happens() {
        let fault = notify().before(&hands()).await.unwrap_err();
        assert!(fault.contains("$HOOK"), "{fault}");
    }
}
