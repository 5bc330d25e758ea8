//! `grafana`: it is well, its data sources are there and can be reached by it, its dashboards are there.
//!
//! Asked over its HTTP API. A Grafana that cannot be asked, or that does not let us ask, has shown nothing. A token is
//! named by where it lies, and goes over TLS or stays on this host.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_text};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, FaultKind, SecretPlace, Timestamp};
use crate::link::fetch::{Answer, Bounds, Fetcher};
use crate::link::url::{Scheme, Url};

/// Grafana itself waits for a data source that it asks.
const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(5),
    body_bytes_max: 1024 * 1024,
};

/// Data sources and dashboards of one check, each a question or two.
const NAMES_MAX: usize = 10;

const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grafana {
    /// Where it is, with its path where it lives under one.
    pub url: Clean,
    /// Where the token of a service account lies: `{ env = "NAME" }` or `{ file = "path" }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretPlace>,
    /// Each must be there, and answer Grafana.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasources: Vec<Clean>,
    /// Each must be there, by its title.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dashboards: Vec<Clean>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Expectation>,
}

/// Percent-encodes whatever is not plain in a path or a query.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            byte => {
                out.push('%');
                out.extend(char::from_digit(u32::from(byte >> 4), 16));
                out.extend(char::from_digit(u32::from(byte & 15), 16));
            }
        }
    }
    out
}

fn text(value: &Value, key: &str) -> Clean {
    Clean::line(value.get(key).and_then(Value::as_str).unwrap_or_default())
}

/// One server, asked.
struct Asked<'a> {
    base: &'a str,
    fetch: Fetcher,
}

impl Asked<'_> {
    async fn get(&self, path: &str) -> Result<Answer, Fault> {
        let url = format!("{}{path}", self.base);
        let answer = self.fetch.get(&url, BOUNDS).await?;
        if matches!(answer.status, 401 | 403) {
            let text = format!("grafana answers {} to {path}", answer.status);
            return Err(Fault::new(FaultKind::Denied, text).remedy(
                "say where the token of a service account that may read it lies: token = { env = \"NAME\" }",
            ));
        }
        Ok(answer)
    }

    async fn json(&self, path: &str) -> Result<Value, Fault> {
        let answer = self.get(path).await?;
        if answer.status != 200 {
            return Err(odd(path, answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|_| odd(path, answer.status))
    }

    /// Whether a data source is there and answers; its kind and what it said.
    async fn datasource(&self, name: &Clean, seen: &mut Seen) -> Result<Value, Fault> {
        let path = format!("/api/datasources/name/{}", escaped(name));
        let answer = self.get(&path).await?;
        if answer.status == 404 {
            let text = format!("grafana has no data source {name}");
            seen.failures.push(text.into());
            return Ok(json!({ "datasource": name, "there": false }));
        }
        let found: Value =
            serde_json::from_slice(&answer.body).map_err(|_| odd(&path, answer.status))?;
        let uid = text(&found, "uid");
        let path = format!("/api/datasources/uid/{}/health", escaped(&uid));
        let answer = self.get(&path).await?;
        let health: Value =
            serde_json::from_slice(&answer.body).map_err(|_| odd(&path, answer.status))?;
        let said = text(&health, "message");
        match (answer.status, text(&health, "status").as_str()) {
            (200, "OK") => seen.note(format!("data source {name} answers")),
            (404, _) => {
                let text = format!("this grafana cannot say whether {name} answers: {said}");
                return Err(Fault::new(FaultKind::Unsupported, text)
                    .remedy("update grafana, or ask the data source itself"));
            }
            (status, _) => {
                let text =
                    format!("the data source {name} does not answer grafana ({status}): {said}");
                seen.failures.push(text.into());
            }
        }
        Ok(json!({ "datasource": name, "type": text(&found, "type"), "said": said }))
    }

    async fn dashboard(&self, title: &Clean, seen: &mut Seen) -> Result<Value, Fault> {
        let path = format!("/api/search?type=dash-db&query={}", escaped(title));
        let found = self.json(&path).await?;
        let all = found.as_array().ok_or_else(|| odd("/api/search", 200))?;
        let is_it = |one: &&Value| text(one, "title") == *title;
        match all.iter().find(is_it) {
            Some(one) => {
                seen.note(format!("dashboard {title} is there"));
                Ok(json!({ "dashboard": title, "uid": text(one, "uid") }))
            }
            None => {
                let text = format!("grafana shows us no dashboard {title}");
                seen.failures.push(text.into());
                Ok(json!({ "dashboard": title, "there": false }))
            }
        }
    }
}

fn odd(path: &str, status: u16) -> Fault {
    let path = path.split('?').next().unwrap_or(path);
    let text = format!("status {status} and no answer of grafana's API to {path}");
    Fault::new(FaultKind::Garbled, text)
        .remedy("check that the address is that of Grafana, with its path prefix")
}

impl Grafana {
    fn fetcher(&self, eyes: &Eyes) -> Result<Fetcher, Fault> {
        let Some(place) = &self.token else {
            return Ok(Fetcher::default());
        };
        let secret =
            (eyes.reach.secret)(place).map_err(|why| Fault::new(FaultKind::Misconfigured, why))?;
        Fetcher::bearing(&secret)
    }
}

impl Kind for Grafana {
    fn describe(&self) -> Clean {
        let mut parts = vec!["well".to_owned()];
        for (what, names) in [
            ("data source", &self.datasources),
            ("dashboard", &self.dashboards),
        ] {
            parts.extend(names.iter().map(|name| format!("{what} {name}")));
        }
        if let Some(expected) = &self.version {
            parts.push(format!("version {expected}"));
        }
        Clean::from(format!("grafana at {}: {}", self.url, parts.join(", ")))
    }

    fn problems(&self) -> Vec<Clean> {
        let mut problems = Vec::new();
        match Url::parse(&self.url) {
            Err(fault) => problems.push(Clean::from(fault.to_string())),
            Ok(url) => {
                let here = url.place.host == "localhost"
                    || url.place.ip().is_some_and(|ip| ip.is_loopback());
                if self.token.is_some() && url.scheme == Scheme::Http && !here {
                    problems.push(
                        "url: a token would cross the network in the clear; write https".into(),
                    );
                }
            }
        }
        if self.datasources.len() + self.dashboards.len() > NAMES_MAX {
            let text = format!("more than {NAMES_MAX} names; make two checks of it");
            problems.push(text.into());
        }
        if let Some(expected) = &self.version {
            problems.extend(suits_text("version", expected));
        }
        problems
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        json!({
            "url": self.url,
            "token": self.token.as_ref().map(SecretPlace::shown),
            "datasources": self.datasources,
            "dashboards": self.dashboards,
        })
    }

    async fn look(&self, eyes: &Eyes, _: Timestamp) -> Result<Seen, Fault> {
        let asked = Asked {
            base: self.url.trim_end_matches('/'),
            fetch: self.fetcher(eyes)?,
        };
        let answer = asked.get("/api/health").await?;
        let health: Value =
            serde_json::from_slice(&answer.body).map_err(|_| odd("/api/health", answer.status))?;
        let (database, version) = (text(&health, "database"), text(&health, "version"));
        if database.is_empty() {
            return Err(odd("/api/health", answer.status));
        }
        let mut seen = Seen::default();
        if answer.status == 200 && database == "ok" {
            seen.note("grafana is well");
        } else {
            let text = format!("grafana is not well: its database is {database}");
            seen.failures.push(text.into());
        }
        if let Some(expected) = &self.version {
            seen.text("version", &version, expected);
        }
        let mut rows = Vec::new();
        for name in &self.datasources {
            rows.push(asked.datasource(name, &mut seen).await?);
        }
        for title in &self.dashboards {
            rows.push(asked.dashboard(title, &mut seen).await?);
        }
        seen.got = json!({ "database": database, "version": version, "found": rows });
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_cross_the_network_in_the_clear() {
        let problems = |url: &str| {
            let toml = format!("url = '{url}'\ntoken = {{ env = 'GRAFANA_TOKEN' }}");
            toml::from_str::<Grafana>(&toml).unwrap().problems()
        };
        assert!(problems("http://grafana.shop.eu:3000")[0].contains("https"));
        assert!(problems("http://127.0.0.1:3000").is_empty());
        assert!(problems("https://grafana.shop.eu").is_empty());
        assert!(problems("http://admin:admin@127.0.0.1:3000")[0].contains("credentials"));
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(
            escaped("API application/../x?é"),
            "API%20application%2f..%2fx%3f%c3%a9"
        );
    }
}
