//! `http`: one request that changes something.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Act, Done, Hands, target};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};
use crate::link::fetch::{Bounds, Fetcher, Sent};

/// A request that works longer than this is better asked to begin, and then waited for by a check. The answer is only
/// looked at for the reason of a refusal.
const ANSWER: Bounds = Bounds {
    total: Duration::from_mins(1),
    body_bytes_max: 256 * 1024,
};
/// Of an answer that was not expected, as much as explains it.
const REASON_BYTES: usize = 300;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// `POST`, `PUT`, `PATCH`, `DELETE`, `GET`
    pub method: Clean,
    pub url: Clean,
    /// The answer that means success.
    pub status: u16,
    /// Sent as it is; JSON where it is JSON.
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default = "super::unsafe_to_repeat")]
    pub repeat: Repeat,
}

impl Act for Http {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Send {} {}", self.method, self.url))
    }

    fn repeat(&self) -> Repeat {
        self.repeat
    }

    fn undoable(&self) -> Undo {
        Undo::None
    }

    async fn before(&self, _: &Hands) -> Result<Value, Clean> {
        Ok(Value::Null)
    }

    async fn perform(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        let sent = Sent {
            method: &self.method,
            url: &self.url,
            body: self.body.as_deref(),
        };
        let answer = Fetcher::default()
            .send(sent, ANSWER)
            .await
            .map_err(target::fault)?;
        if answer.status == self.status {
            return Ok(Done {
                said: Clean::line(&format!("{} {}: {}", self.method, self.url, answer.status)),
            });
        }
        let reason = &answer.body[..answer.body.len().min(REASON_BYTES)];
        Err(Clean::line(&format!(
            "{} {} answered {}, expected {}: {}",
            self.method,
            self.url,
            answer.status,
            self.status,
            Clean::bytes(reason.trim_ascii())
        )))
    }

    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::Unclear(Clean::line(&format!(
            "whether {} took the request is not known here: look there, then answer",
            self.url
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hands, listening};
    use super::*;

    fn post(url: String, status: u16) -> Http {
        Http {
            method: Clean::from("POST"),
            url: Clean::from(url),
            status,
            body: Some("{\"a\": 1}".to_owned()),
            repeat: Repeat::Unsafe,
        }
    }

    #[tokio::test]
    async fn the_answer_decides_and_a_refusal_tells_its_reason() {
        let (url, heard) = listening("204 No Content", "").await;
        post(url, 204)
            .perform(&hands(), &Value::Null)
            .await
            .unwrap();
        let heard = heard.await.unwrap();
        assert!(heard.starts_with("POST /x HTTP/1.1"), "{heard}");
        assert!(heard.contains("content-type: application/json"), "{heard}");
        assert!(heard.ends_with("{\"a\": 1}"), "{heard}");
        let (url, _) = listening("409 Conflict", "it is\u{1b} locked").await;
        let fault = post(url, 204).perform(&hands(), &Value::Null).await;
        let fault = fault.unwrap_err();
        assert!(
            fault.contains("answered 409, expected 204: it is^[ locked"),
            "{fault}"
        );
    }

    #[tokio::test]
    async fn a_method_that_sends_nothing_is_refused() {
        let odd = Http {
            method: Clean::from("TRACE"),
            ..post("http://127.0.0.1:1/x".to_owned(), 200)
        };
        let fault = odd.perform(&hands(), &Value::Null).await.unwrap_err();
        assert!(fault.contains("write POST"), "{fault}");
    }
}
