//! `flow`: a user's journey of requests, as a user makes it: with cookies, and with what earlier answers gave.
//!
//! It writes: what it makes is made under a name that nobody else has, and taken away again by the cleanup, which is
//! always asked, however far the journey came. It asks this host and the stack's own endpoints only. No request is ever
//! repeated. Values that answers gave are tokens as often as not, and stand in no record.

mod fill;
mod jar;
mod journey;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::hosts;
use super::seen::{Seen, suits_number, suits_text};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, Timestamp, Unit};

/// Of each request.
const DEADLINE: Duration = Duration::from_secs(10);

/// A journey of more is several.
const STEPS_MAX: usize = 30;

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// What the paths belong to; without it the stack's gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Clean>,
    /// In their order; the first that is not as expected ends the journey.
    pub steps: Vec<Request>,
    /// Asked in the end, always. One that needs what was never given is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleanup: Vec<Request>,
}

/// One request, and what its answer must be. `{unique}` and what was captured stand in braces in its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    #[serde(default = "get")]
    pub method: Clean,
    pub path: Clean,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub form: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<Clean, Clean>,
    /// Without it, below 400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Expectation>,
    /// The first 64 KB, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Expectation>,
    /// Values in a body of JSON, by their pointers: `/missions/0/title`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub value: BTreeMap<Clean, Expectation>,
    /// Headers of the answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answer: BTreeMap<Clean, Expectation>,
    /// From the first packet to the last byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Expectation>,
    /// What later requests may name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, Source>,
}

fn get() -> Clean {
    Clean::from("GET")
}

/// Where a value is taken from in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// By its pointer: `/id`.
    Json(String),
    Header(String),
    Cookie(String),
    /// The first group of a pattern in the body.
    Matches(String),
}

impl Request {
    pub(super) fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }

    fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn problems(&self) -> Vec<Clean> {
        let mut problems: Vec<Clean> = Vec::new();
        let line = self.line();
        let mut say = |text: String| problems.push(Clean::from(format!("{line}: {text}")));
        if !METHODS.contains(&self.method.as_str()) {
            say(format!(
                "this is no method; write one of {}",
                METHODS.join(", ")
            ));
        }
        let plain = self.path.starts_with('/') && !self.path.contains([' ', '#']);
        if !plain || self.path.starts_with("//") {
            say("a path begins with one slash and holds no blank".to_owned());
        }
        if self.json.is_some() && !self.form.is_empty() {
            say("a body is json or a form, not both".to_owned());
        }
        if !self.writes() && (self.json.is_some() || !self.form.is_empty()) {
            say("a request that only looks has no body".to_owned());
        }
        for name in self.header.keys() {
            let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || !name.chars().all(fine) {
                say(format!("{name:?} is no name of a header"));
            }
            if [
                "host",
                "content-length",
                "connection",
                "cookie",
                "transfer-encoding",
            ]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
            {
                say(format!("the header {name} is written by us; take it out"));
            }
        }
        for (name, source) in &self.capture {
            if name == fill::UNIQUE || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            {
                say(format!(
                    "capture: {name:?} cannot be a name; letters, digits and _ make one"
                ));
            }
            match source {
                Source::Json(pointer) if !pointer.is_empty() && !pointer.starts_with('/') => {
                    say(format!(
                        "capture {name}: a pointer begins with a slash: /{pointer}"
                    ));
                }
                Source::Matches(pattern) => match regex::Regex::new(pattern) {
                    Ok(pattern) if pattern.captures_len() > 1 => {}
                    Ok(_) => say(format!(
                        "capture {name}: put what is meant into a group: (…)"
                    )),
                    Err(_) => say(format!("capture {name}: this is no pattern")),
                },
                Source::Json(_) | Source::Header(_) | Source::Cookie(_) => {}
            }
        }
        let expected = self.status.as_ref();
        problems.extend(expected.and_then(|e| suits_number("status", e, Unit::Count)));
        let total = self.total.as_ref();
        problems.extend(total.and_then(|e| suits_number("total", e, Unit::Milliseconds)));
        let texts = self.body.iter().chain(self.answer.values());
        problems.extend(texts.filter_map(|e| suits_text("body or answer", e)));
        problems
    }
}

impl Flow {
    /// Names that are used before anything gives them.
    fn unknown_names(&self) -> Vec<Clean> {
        let mut known = vec![fill::UNIQUE.to_owned()];
        let mut problems = Vec::new();
        for request in self.steps.iter().chain(&self.cleanup) {
            for name in fill::names(request) {
                if !known.contains(&name) {
                    let text = format!(
                        "{}: nothing before it gives {{{name}}}; capture it, or write {{unique}}",
                        request.line()
                    );
                    problems.push(Clean::line(&text));
                }
            }
            known.extend(request.capture.keys().cloned());
        }
        problems
    }

    /// It changes something on the other side.
    pub(super) fn writes(&self) -> bool {
        self.steps.iter().chain(&self.cleanup).any(Request::writes)
    }
}

impl Kind for Flow {
    fn describe(&self) -> Clean {
        let path = |request: Option<&Request>| request.map_or(String::new(), Request::line);
        let count = self.steps.len();
        let writes = match (self.writes(), self.cleanup.is_empty()) {
            (false, _) => "only looks",
            (true, false) => "WRITES, and cleans up",
            (true, true) => "WRITES, and leaves what it wrote",
        };
        Clean::from(format!(
            "journey of {count} requests, {} to {} ({writes})",
            path(self.steps.first()),
            path(self.steps.last())
        ))
    }

    fn problems(&self) -> Vec<Clean> {
        let mut problems: Vec<Clean> = Vec::new();
        if self.steps.is_empty() {
            problems.push("no request; write [[steps]]".into());
        }
        if self.steps.len() + self.cleanup.len() > STEPS_MAX {
            let text = format!("more than {STEPS_MAX} requests; make two journeys of it");
            problems.push(text.into());
        }
        if let Some(url) = &self.url {
            let url = hosts::url(url, None).err();
            problems.extend(url.map(|fault| Clean::from(fault.to_string())));
        }
        for request in self.steps.iter().chain(&self.cleanup) {
            problems.extend(request.problems());
        }
        problems.extend(self.unknown_names());
        problems
    }

    /// Every request may take its time, and the cleanup still comes.
    fn deadline(&self) -> Duration {
        let all = u32::try_from(self.steps.len() + self.cleanup.len()).unwrap_or(u32::MAX);
        DEADLINE.saturating_mul(all.saturating_add(1))
    }

    fn sent(&self) -> Value {
        let lines = |all: &[Request]| -> Vec<Clean> {
            all.iter()
                .map(|request| Clean::from(request.line()))
                .collect()
        };
        json!({
            "url": self.url,
            "steps": lines(&self.steps),
            "cleanup": lines(&self.cleanup),
            "writes": self.writes(),
        })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let base = self.url.as_deref().unwrap_or("/");
        let url = hosts::url(base, eyes.gateway.as_ref())?;
        let way = hosts::way(url, eyes).await?;
        journey::made(self, way, now).await
    }
}

#[cfg(test)]
mod tests;
