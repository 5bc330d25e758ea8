//! `http`: one answer of one URL, on a connection of its own.
//!
//! Nothing is followed: a redirect is an answer. Without an expected status anything below 400 will do.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_number, suits_text, wishes};
use super::{Eyes, Kind, unconfigured};
use crate::domain::{Clean, Expectation, Fault, Timestamp, Unit};
use crate::link::http::{Answer, Ask, Body, DEADLINE, Follow, Method, fetch};
use crate::link::url::Url;

/// Bytes of a body kept in the evidence, where the body is expected to say something.
const EXCERPT_BYTES: usize = 500;

/// Headers that carry a secret: their values stay out of every record.
const SECRET_HEADERS: [&str; 4] = [
    "set-cookie",
    "authorization",
    "www-authenticate",
    "proxy-authenticate",
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Whole, or only a path, which is then asked of the stack's gateway.
    pub url: Clean,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Expectation>,
    /// From the very start to the first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttfb: Option<Expectation>,
    /// From the very start to the last byte, of at most 64 KB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Expectation>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<Clean, Expectation>,
    /// The first 64 KB, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Expectation>,
}

impl Http {
    fn url(&self, gateway: Option<&Clean>) -> Result<Url, Fault> {
        if !self.url.starts_with('/') {
            return Url::parse(&self.url);
        }
        let gateway = gateway.ok_or_else(|| {
            let text = format!("{} is only a path, and no gateway is known", self.url);
            unconfigured(&text, "write the whole URL")
        })?;
        Url::parse(gateway)?.join(&self.url)
    }

    fn header_tests(&self, answer: &Answer, seen: &mut Seen) {
        for (name, expected) in &self.header {
            let what = format!("header {name}");
            let values: Vec<Clean> = answer
                .headers
                .iter()
                .filter(|(header, _)| header.eq_ignore_ascii_case(name))
                .map(|(_, value)| shown_value(name, value))
                .collect();
            match values.as_slice() {
                [] => seen
                    .failures
                    .push(format!("{what} is missing, expected {expected}").into()),
                // Of several of one name one must be as expected.
                [first, ..] => {
                    let value = values.iter().find(|value| {
                        expected.holds(&crate::domain::Measured::Text((*value).clone()))
                    });
                    seen.text(&what, value.unwrap_or(first), expected);
                }
            }
        }
    }
}

/// A cookie's name and attributes are worth a look, its value is nobody's business; of the others even less is.
fn shown_value(name: &str, value: &Clean) -> Clean {
    const KEPT_OUT: &str = "[kept out]";
    if !SECRET_HEADERS
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
    {
        return value.clone();
    }
    if !name.eq_ignore_ascii_case("set-cookie") {
        return Clean::from(KEPT_OUT);
    }
    let (cookie, attributes) = value.split_once(';').unwrap_or((value, ""));
    let label = cookie.split('=').next().unwrap_or_default();
    Clean::from(format!("{label}={KEPT_OUT};{attributes}"))
}

impl Kind for Http {
    fn describe(&self) -> Clean {
        let headers: Vec<(String, &Expectation)> = self
            .header
            .iter()
            .map(|(name, expected)| (format!("header {name}"), expected))
            .collect();
        let wishes = wishes(
            [
                ("status", self.status.as_ref()),
                ("ttfb", self.ttfb.as_ref()),
                ("total", self.total.as_ref()),
            ]
            .into_iter()
            .chain(headers.iter().map(|(name, e)| (name.as_str(), Some(*e))))
            .chain([("body", self.body.as_ref())]),
        );
        let wishes = if wishes.is_empty() {
            "status below 400"
        } else {
            &wishes
        };
        Clean::from(format!("GET {}: {wishes}", self.url))
    }

    fn problems(&self) -> Vec<Clean> {
        let number = |what, expected: &Option<Expectation>, unit| {
            suits_number(what, expected.as_ref()?, unit)
        };
        // A path is joined to whatever the gateway is.
        let url = self.url(Some(&Clean::from("https://gateway/"))).err();
        let headers = self
            .header
            .iter()
            .filter_map(|(name, expected)| suits_text(&format!("header {name}"), expected));
        let body = self.body.as_ref();
        url.map(|fault| Clean::from(fault.to_string()))
            .into_iter()
            .chain(number("status", &self.status, Unit::Count))
            .chain(number("ttfb", &self.ttfb, Unit::Milliseconds))
            .chain(number("total", &self.total, Unit::Milliseconds))
            .chain(headers)
            .chain(body.and_then(|expected| suits_text("body", expected)))
            .collect()
    }

    /// The link's own deadline names the phase that was too slow, so it comes first.
    fn deadline(&self) -> Duration {
        DEADLINE + Duration::from_secs(1)
    }

    fn sent(&self) -> Value {
        json!({ "method": "GET", "url": self.url })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let url = self.url(eyes.gateway.as_ref())?;
        let configured = eyes
            .stack
            .endpoints
            .iter()
            .find(|spec| Url::parse(&spec.url).is_ok_and(|known| known.place == url.place));
        let ca_file = configured.and_then(|spec| spec.ca_file.clone());
        let ask = Ask {
            method: Method::Get,
            connect_to: configured.and_then(|spec| spec.connect_to.clone()),
            follow: Follow::Never,
            body: match self.body {
                Some(_) => Body::Keep,
                None => Body::Count,
            },
            ca_file: ca_file.or_else(|| eyes.ca_file.clone()),
            deadline: DEADLINE,
            url,
        };
        let answer = fetch(&ask, &eyes.roots, now).await?;
        Ok(self.seen(&answer))
    }
}

impl Http {
    fn seen(&self, answer: &Answer) -> Seen {
        let mut seen = Seen {
            got: self.got(answer),
            failures: answer.failures.clone(),
            ..Seen::default()
        };
        // Not asked, so there is nothing to compare.
        if answer.status == 0 {
            return seen;
        }
        match &self.status {
            Some(expected) => seen.number("status", answer.status.into(), Unit::Count, expected),
            None if answer.status >= 400 => {
                let text = format!("status {}, expected below 400", answer.status);
                seen.failures.push(text.into());
            }
            None => {}
        }
        let times = [
            ("ttfb", answer.phases.ttfb_ms, &self.ttfb),
            ("total", answer.phases.total_ms, &self.total),
        ];
        for (what, ms, expected) in times {
            if let Some(expected) = expected {
                seen.number(what, ms.unwrap_or(f64::NAN), Unit::Milliseconds, expected);
            }
        }
        self.header_tests(answer, &mut seen);
        if let Some(expected) = &self.body {
            let body = String::from_utf8_lossy(&answer.body);
            // A text of ours is cut at 4 KB; the expectation is asked about all that was read.
            let holds = expected.holds_in(&body);
            let excerpt = excerpt(&answer.body);
            if !holds {
                let text = format!("body {excerpt:?}, expected {expected}");
                seen.failures.push(text.into());
            }
        }
        if seen.tests.is_empty() && seen.failures.is_empty() {
            let any = Expectation::equals(answer.status.into());
            seen.number("status", answer.status.into(), Unit::Count, &any);
        }
        seen
    }

    fn got(&self, answer: &Answer) -> Value {
        let told = |name: &str| {
            name == "content-type"
                || self
                    .header
                    .keys()
                    .any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let headers: Vec<(&Clean, Clean)> = answer
            .headers
            .iter()
            .filter(|(name, _)| told(name))
            .map(|(name, value)| (name, shown_value(name, value)))
            .collect();
        json!({
            "status": answer.status,
            "address": answer.address,
            "phases": answer.phases,
            "headers": headers,
            "body_bytes": answer.body_bytes,
            "body": self.body.as_ref().map(|_| excerpt(&answer.body)),
        })
    }
}

fn excerpt(body: &[u8]) -> Clean {
    Clean::bytes(&body[..body.len().min(EXCERPT_BYTES)])
}
