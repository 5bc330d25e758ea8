//! `headers`: what a page's headers forbid and keep to itself, scored as the HTTP Observatory does it.
//!
//! Three requests: the page, the page in another site's name, and the page over plain http. Redirects are followed on
//! the same host only.

mod csp;
mod page;
mod score;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::http::{ask_for, shown_value, whole_url};
use super::seen::{Seen, suits_grade, suits_number, wishes};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, Measured, Timestamp, Unit};
use crate::link::http::{Answer, Body, DEADLINE, Follow, fetch};
use crate::link::url::{Place, Scheme, Url};
use score::{Modifier, Scored, Site};

/// In whose name the page is asked for to see what is given to others. The name can belong to nobody (RFC 2606).
const OTHER_SITE: &str = "https://other.invalid";

/// Headers that are judged, for the evidence.
const JUDGED: [&str; 12] = [
    "content-security-policy",
    "content-security-policy-report-only",
    "set-cookie",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "cross-origin-resource-policy",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headers {
    /// Whole, or only a path, which is then asked of the stack's gateway.
    pub url: Clean,
    /// Where plain http is served, if that is not port 80 of the same host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain: Option<Clean>,
    /// `>= B`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Expectation>,
    /// `>= 80`; with bonuses it may be over 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Expectation>,
}

impl Kind for Headers {
    fn describe(&self) -> Clean {
        let wishes = wishes([
            ("grade", self.grade.as_ref()),
            ("score", self.score.as_ref()),
        ]);
        Clean::from(format!("headers of {}: {wishes}", self.url))
    }

    fn problems(&self) -> Vec<Clean> {
        let gateway = Clean::from("https://gateway/");
        let urls = [Some(&self.url), self.plain.as_ref()];
        let faults = urls
            .into_iter()
            .flatten()
            .filter_map(|url| whole_url(url, Some(&gateway)).err());
        let none = self.grade.is_none() && self.score.is_none();
        faults
            .map(|fault| Clean::from(fault.to_string()))
            .chain(
                none.then(|| {
                    "nothing is expected; write grade = \">= B\" or score = \">= 80\"".into()
                }),
            )
            .chain(
                self.grade
                    .as_ref()
                    .and_then(|grade| suits_grade("grade", grade)),
            )
            .chain(
                self.score
                    .as_ref()
                    .and_then(|score| suits_number("score", score, Unit::Count)),
            )
            .collect()
    }

    fn deadline(&self) -> Duration {
        3 * DEADLINE + Duration::from_secs(1)
    }

    fn sent(&self) -> Value {
        json!({ "method": "GET", "url": self.url, "also_in_the_name_of": OTHER_SITE })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let url = whole_url(&self.url, eyes.gateway.as_ref())?;
        let mut ask = ask_for(eyes, url.clone(), Body::Keep);
        ask.follow = Follow::SameHost;
        let answer = fetch(&ask, &eyes.roots, now).await?;
        ask.origin = Some(OTHER_SITE.into());
        let foreign = fetch(&ask, &eyes.roots, now).await?;
        let plain = self.ask_plain(eyes, &url, &answer, now).await;
        let end = answer.hops.last().and_then(|hop| Url::parse(&hop.url).ok());
        let scored = Scored::of(&Site {
            answer: &answer,
            url: &end.unwrap_or(url),
            plain: plain.as_ref(),
            foreign: &foreign,
            origin: OTHER_SITE,
        });
        Ok(self.seen(&scored, &answer, &plain))
    }
}

impl Headers {
    /// What plain http says, or why it was not asked or said nothing.
    async fn ask_plain(
        &self,
        eyes: &Eyes,
        url: &Url,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<Answer, Clean> {
        if url.scheme == Scheme::Http {
            return Ok(answer.clone());
        }
        let plain = self.plain_url(eyes, url)?;
        let mut ask = ask_for(eyes, plain, Body::Count);
        ask.follow = Follow::SameHost;
        fetch(&ask, &eyes.roots, now)
            .await
            .map_err(|fault| fault.text)
    }

    /// As it is named, as the configuration watches it, or port 80.
    fn plain_url(&self, eyes: &Eyes, url: &Url) -> Result<Url, Clean> {
        if let Some(plain) = &self.plain {
            return whole_url(plain, eyes.gateway.as_ref()).map_err(|fault| fault.text);
        }
        let known = eyes
            .stack
            .endpoints
            .iter()
            .filter_map(|spec| Url::parse(&spec.url).ok());
        let mut known = known
            .filter(|known| known.scheme == Scheme::Http && known.place.host == url.place.host);
        if let Some(known) = known.next() {
            return Ok(known);
        }
        if url.place.port != Scheme::Https.default_port() {
            return Err(
                "not asked, plain http is at a port that nothing names (plain = \"http://…\")"
                    .into(),
            );
        }
        Ok(Url {
            scheme: Scheme::Http,
            place: Place {
                host: url.place.host.clone(),
                port: Scheme::Http.default_port(),
            },
            path: url.path.clone(),
        })
    }

    fn seen(&self, scored: &Scored, answer: &Answer, plain: &Result<Answer, Clean>) -> Seen {
        let mut seen = Seen {
            got: got(scored, answer, plain),
            ..Seen::default()
        };
        let score = f64::from(scored.score);
        let low = |expected: &Expectation, measured| !expected.holds(&measured);
        let grade_low = self
            .grade
            .as_ref()
            .is_some_and(|e| low(e, Measured::Grade(scored.grade)));
        let score_low = self
            .score
            .as_ref()
            .is_some_and(|e| low(e, Measured::Number(score, Unit::Count)));
        if grade_low || score_low {
            let lost = scored
                .modifiers
                .iter()
                .filter(|modifier| modifier.points < 0);
            seen.failures
                .extend(lost.map(|modifier| Clean::from(modifier.words())));
        }
        if answer.status == 0 {
            seen.failures.extend(answer.failures.iter().cloned());
        } else if answer.status >= 400 {
            let text = format!("status {}: this is no page to judge", answer.status);
            seen.failures.push(text.into());
        }
        if let Some(expected) = &self.grade {
            seen.grade("grade", scored.grade, expected);
        }
        if let Some(expected) = &self.score {
            seen.number("score", score, Unit::Count, expected);
        }
        seen
    }
}

fn got(scored: &Scored, answer: &Answer, plain: &Result<Answer, Clean>) -> Value {
    let judged = answer
        .headers
        .iter()
        .filter(|(name, _)| JUDGED.contains(&name.as_str()));
    let headers: Vec<(&Clean, Clean)> = judged
        .map(|(name, value)| (name, shown_value(name, value)))
        .collect();
    let hops = plain.as_ref().map(|plain| &plain.hops);
    let cut = "only the first 64 KB of the page were searched for scripts";
    json!({
        "status": answer.status,
        "address": answer.address,
        "headers": headers,
        "plain_http": match hops {
            Ok(hops) => json!(hops),
            Err(why) => json!(why),
        },
        "score": scored.score,
        "grade": scored.grade.word(),
        "modifiers": scored.modifiers,
        "would_raise_it": wanting(&scored.modifiers),
        "note": answer.body_cut.then_some(cut),
    })
}

fn wanting(modifiers: &[Modifier]) -> Vec<String> {
    let lost = modifiers.iter().filter(|modifier| modifier.points < 0);
    lost.map(|modifier| format!("{} {}", modifier.test, modifier.why))
        .collect()
}
