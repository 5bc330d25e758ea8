//! `http`: one answer of one URL, or several one after the other, each on a connection of its own.
//!
//! Nothing is followed: a redirect is an answer. Without an expected status anything below 400 will do. Nothing is
//! asked for but `GET` and `HEAD`: a check changes nothing.

mod size;
mod times;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cookie::{CookieFlag, cookies};
use super::seen::{Seen, suits_number, suits_text, wishes};
use super::{Eyes, Kind, unconfigured};
use crate::domain::{Clean, Expectation, Fault, FaultKind, Measured, Timestamp, Unit};
use crate::link::http::{Answer, Ask, Body, DEADLINE, Follow, Method, fetch};
use crate::link::url::Url;
use times::{PERCENTILE_DEFAULT, Phase, TIMES_MAX, percentile};

/// Bytes of a body kept in the evidence, where the body is expected to say something.
const EXCERPT_BYTES: usize = 500;

/// However many answers are asked for.
const DEADLINE_ALL: Duration = Duration::from_mins(1);

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
    /// `GET`, or `HEAD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Clean>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Expectation>,
    /// Where a redirect leads, as a whole URL: `== https://shop.eu/`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Expectation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Expectation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Expectation>,
    /// The handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Expectation>,
    /// From the very start to the first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttfb: Option<Expectation>,
    /// From the very start to the last byte, of at most 64 KB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Expectation>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<Clean, Expectation>,
    /// Headers that must not be there: `["Server", "X-Powered-By"]`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Clean>,
    /// For how long the answer may be kept, by its `Cache-Control`: `>= 1 h`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Expectation>,
    /// What is left of the body when it is compressed: `< 60 %`. Without compression it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed: Option<Expectation>,
    /// What every cookie must carry: `["Secure", "HttpOnly", "SameSite"]`. At least one cookie must be set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<CookieFlag>,
    /// The first 64 KB, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Expectation>,
    /// How often to ask, one after the other; times are then those that `percentile` of all stay below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// 95 unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentile: Option<u8>,
}

impl Http {
    fn method(&self) -> Result<Method, Fault> {
        Method::parse(self.method.as_deref().unwrap_or("GET"))
    }

    fn phases(&self) -> [(Phase, Option<&Expectation>); 5] {
        [
            (Phase::Dns, self.dns.as_ref()),
            (Phase::Connect, self.connect.as_ref()),
            (Phase::Tls, self.tls.as_ref()),
            (Phase::Ttfb, self.ttfb.as_ref()),
            (Phase::Total, self.total.as_ref()),
        ]
    }

    /// `ttfb`, or `ttfb p95 of 20`.
    fn phase_words(&self, phase: Phase) -> String {
        match self.times {
            None | Some(1) => phase.word().to_owned(),
            Some(times) => {
                let percent = self.percentile.unwrap_or(PERCENTILE_DEFAULT);
                format!("{} p{percent} of {times}", phase.word())
            }
        }
    }

    fn url(&self, gateway: Option<&Clean>) -> Result<Url, Fault> {
        whole_url(&self.url, gateway)
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
                    let value = values
                        .iter()
                        .find(|value| expected.holds(&Measured::Text((*value).clone())));
                    seen.text(&what, value.unwrap_or(first), expected);
                }
            }
        }
    }
}

/// A URL that is only a path is asked of the gateway.
pub(super) fn whole_url(url: &Clean, gateway: Option<&Clean>) -> Result<Url, Fault> {
    if !url.starts_with('/') {
        return Url::parse(url);
    }
    let gateway = gateway.ok_or_else(|| {
        let text = format!("{url} is only a path, and no gateway is known");
        unconfigured(&text, "write the whole URL")
    })?;
    Url::parse(gateway)?.join(url)
}

/// How a place is to be reached and trusted, as the configuration says of an endpoint there.
pub(super) fn ask_for(eyes: &Eyes, url: Url, body: Body) -> Ask {
    let configured = eyes
        .stack
        .endpoints
        .iter()
        .find(|spec| Url::parse(&spec.url).is_ok_and(|known| known.place == url.place));
    let ca_file = configured.and_then(|spec| spec.ca_file.clone());
    Ask {
        method: Method::Get,
        connect_to: configured.and_then(|spec| spec.connect_to.clone()),
        origin: None,
        follow: Follow::Never,
        body,
        ca_file: ca_file.or_else(|| eyes.ca_file.clone()),
        deadline: DEADLINE,
        url,
    }
}

/// A cookie's name and attributes are worth a look, its value is nobody's business; of the others even less is.
pub(super) fn shown_value(name: &str, value: &Clean) -> Clean {
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
        let named = |(name, expected): (&Clean, &Expectation)| {
            (format!("header {name}"), Some(expected.clone()))
        };
        let phases = self.phases();
        let phases = phases
            .iter()
            .map(|(phase, e)| (self.phase_words(*phase), e.cloned()));
        let one = |what: &str, expected: &Option<Expectation>| (what.to_owned(), expected.clone());
        let all: Vec<(String, Option<Expectation>)> =
            [one("status", &self.status), one("redirect", &self.redirect)]
                .into_iter()
                .chain(phases)
                .chain(self.header.iter().map(named))
                .chain([
                    one("max-age", &self.max_age),
                    one("compressed", &self.compressed),
                    one("body", &self.body),
                ])
                .collect();
        let mut told = wishes(all.iter().map(|(what, e)| (what.as_str(), e.as_ref())));
        let mut also = |text: String| {
            let comma = if told.is_empty() { "" } else { ", " };
            told = format!("{told}{comma}{text}");
        };
        if !self.absent.is_empty() {
            also(format!("no {}", self.absent.join(", ")));
        }
        if !self.cookies.is_empty() {
            also(format!("cookies {}", flags(&self.cookies)));
        }
        let told = if told.is_empty() {
            "status below 400"
        } else {
            &told
        };
        let method = self.method.as_deref().unwrap_or("GET");
        Clean::from(format!("{method} {}: {told}", self.url))
    }

    fn problems(&self) -> Vec<Clean> {
        let number = |what, expected: &Option<Expectation>, unit| {
            suits_number(what, expected.as_ref()?, unit)
        };
        // A path is joined to whatever the gateway is.
        let url = self.url(Some(&Clean::from("https://gateway/"))).err();
        let faults = url.into_iter().chain(self.method().err());
        let phases = self.phases();
        let phases = phases
            .iter()
            .filter_map(|(phase, e)| suits_number(phase.word(), (*e)?, Unit::Milliseconds));
        let headers = self
            .header
            .iter()
            .filter_map(|(name, expected)| suits_text(&format!("header {name}"), expected));
        let texts = [("redirect", &self.redirect), ("body", &self.body)];
        faults
            .map(|fault| Clean::from(fault.to_string()))
            .chain(number("status", &self.status, Unit::Count))
            .chain(phases)
            .chain(headers)
            .chain(number("max_age", &self.max_age, Unit::Seconds))
            .chain(number("compressed", &self.compressed, Unit::Ratio))
            .chain(
                texts
                    .into_iter()
                    .filter_map(|(what, e)| suits_text(what, e.as_ref()?)),
            )
            .chain(self.times_problem())
            .collect()
    }

    /// The link's own deadline names the phase that was too slow, so it comes first.
    fn deadline(&self) -> Duration {
        let beside = if self.compressed.is_some() { 2 } else { 0 };
        let asked = (self.times.unwrap_or(1) + beside).min(TIMES_MAX);
        (DEADLINE * asked).min(DEADLINE_ALL) + Duration::from_secs(1)
    }

    fn sent(&self) -> Value {
        let method = self.method.as_deref().unwrap_or("GET");
        match self.times {
            None => json!({ "method": method, "url": self.url }),
            Some(times) => json!({ "method": method, "url": self.url, "times": times }),
        }
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let url = self.url(eyes.gateway.as_ref())?;
        let body = match self.body {
            Some(_) => Body::Keep,
            None => Body::Count,
        };
        let mut ask = ask_for(eyes, url, body);
        ask.method = self.method()?;
        let mut answers = Vec::new();
        for _ in 0..self.times.unwrap_or(1) {
            answers.push(fetch(&ask, &eyes.roots, now).await?);
        }
        // One that is not as expected stands for all.
        let worst = answers.iter().find(|answer| self.is_off(answer));
        let shown = worst.or(answers.last()).ok_or_else(|| {
            Fault::new(FaultKind::Misconfigured, "nothing was asked for")
                .remedy("set times to 1 or more")
        })?;
        let mut seen = self.seen(shown, &answers, &ask.url);
        if let (Some(expected), true) = (&self.compressed, shown.status != 0) {
            ask.method = Method::Get;
            ask.body = Body::Count;
            let squeezed = fetch(&ask, &eyes.roots, now).await?;
            ask.body = Body::Keep;
            let plain = fetch(&ask, &eyes.roots, now).await?;
            match size::compressed(&squeezed, &plain)? {
                Ok(part) => seen.number("compressed to", part, Unit::Ratio, expected),
                Err(why) => seen.failures.push(why),
            }
        }
        Ok(seen)
    }
}

impl Http {
    fn times_problem(&self) -> Option<Clean> {
        let times = self.times.unwrap_or(1);
        if times == 0 || times > TIMES_MAX {
            let text = format!(
                "times: {times} is not between 1 and {TIMES_MAX}; for more there is the kind \"load\""
            );
            return Some(text.into());
        }
        let percent = self.percentile.unwrap_or(PERCENTILE_DEFAULT);
        if percent == 0 || percent > 100 {
            return Some(format!("percentile: {percent} is not between 1 and 100").into());
        }
        (self.percentile.is_some() && times < 2)
            .then(|| "percentile: one answer has none; set times too".into())
    }

    fn is_off(&self, answer: &Answer) -> bool {
        let status = Measured::Number(answer.status.into(), Unit::Count);
        let bad_status = match &self.status {
            Some(expected) => !expected.holds(&status),
            None => answer.status >= 400,
        };
        bad_status || !answer.failures.is_empty()
    }

    fn seen(&self, answer: &Answer, all: &[Answer], url: &Url) -> Seen {
        let mut seen = Seen {
            got: self.got(answer, all),
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
        self.redirect_test(answer, url, &mut seen);
        for (phase, expected) in self.phases() {
            if let Some(expected) = expected {
                let values = all.iter().filter_map(|one| phase.of(&one.phases)).collect();
                let percent = self.percentile.unwrap_or(PERCENTILE_DEFAULT);
                let ms = percentile(values, percent);
                seen.number(&self.phase_words(phase), ms, Unit::Milliseconds, expected);
            }
        }
        self.header_tests(answer, &mut seen);
        self.keeping_tests(answer, &mut seen);
        self.body_test(answer, &mut seen);
        if seen.tests.is_empty() && seen.failures.is_empty() {
            let any = Expectation::equals(answer.status.into());
            seen.number("status", answer.status.into(), Unit::Count, &any);
        }
        seen
    }

    fn redirect_test(&self, answer: &Answer, url: &Url, seen: &mut Seen) {
        let Some(expected) = &self.redirect else {
            return;
        };
        let redirects = (300..400).contains(&answer.status);
        match size::header(answer, "location").filter(|_| redirects) {
            None => {
                let text = format!("no redirect: status {}, expected {expected}", answer.status);
                seen.failures.push(text.into());
            }
            Some(location) => match url.join(location) {
                Ok(whole) => seen.text("redirect", &Clean::from(whole.to_string()), expected),
                Err(fault) => seen
                    .failures
                    .push(format!("redirect: {}", fault.text).into()),
            },
        }
    }

    /// Headers that must not be there, what may be cached, what cookies carry.
    fn keeping_tests(&self, answer: &Answer, seen: &mut Seen) {
        for name in &self.absent {
            let lower = name.to_ascii_lowercase();
            if let Some(value) = size::header(answer, &lower) {
                let value = shown_value(name, value);
                seen.failures
                    .push(format!("header {name} is there: {value:?}").into());
            }
        }
        if let Some(expected) = &self.max_age {
            match size::max_age(answer) {
                Ok(seconds) => seen.number("max-age", seconds, Unit::Seconds, expected),
                Err(why) => seen.failures.push(why),
            }
        }
        if !self.cookies.is_empty() {
            let bad = cookie_failures(answer, &self.cookies);
            seen.failures.extend(bad);
        }
    }

    fn body_test(&self, answer: &Answer, seen: &mut Seen) {
        let Some(expected) = &self.body else { return };
        let body = String::from_utf8_lossy(&answer.body);
        // A text of ours is cut at 4 KB; the expectation is asked about all that was read.
        if !expected.holds_in(&body) {
            let excerpt = excerpt(&answer.body);
            let text = format!("body {excerpt:?}, expected {expected}");
            seen.failures.push(text.into());
        }
    }

    fn got(&self, answer: &Answer, all: &[Answer]) -> Value {
        let told = |name: &str| {
            const ALWAYS: [&str; 5] = [
                "content-type",
                "content-encoding",
                "cache-control",
                "location",
                "set-cookie",
            ];
            ALWAYS.contains(&name)
                || self
                    .header
                    .keys()
                    .chain(&self.absent)
                    .any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let headers: Vec<(&Clean, Clean)> = answer
            .headers
            .iter()
            .filter(|(name, _)| told(name))
            .map(|(name, value)| (name, shown_value(name, value)))
            .collect();
        let statuses: Vec<u16> = all.iter().map(|answer| answer.status).collect();
        let ttfb: Vec<Option<f64>> = all.iter().map(|answer| answer.phases.ttfb_ms).collect();
        let many = (all.len() > 1).then(|| json!({ "statuses": statuses, "ttfb_ms": ttfb }));
        json!({
            "status": answer.status,
            "address": answer.address,
            "phases": answer.phases,
            "headers": headers,
            "body_bytes": answer.body_bytes,
            "body": self.body.as_ref().map(|_| excerpt(&answer.body)),
            "all": many,
        })
    }
}

fn flags(flags: &[CookieFlag]) -> String {
    let words: Vec<&str> = flags.iter().map(|flag| flag.word()).collect();
    words.join(" ")
}

fn cookie_failures(answer: &Answer, wanted: &[CookieFlag]) -> Vec<Clean> {
    let set = cookies(answer);
    if set.is_empty() {
        return vec!["no cookie is set: ask for a URL that sets one".into()];
    }
    let lacking = |cookie: &super::cookie::Cookie| {
        let lacks: Vec<CookieFlag> = wanted
            .iter()
            .copied()
            .filter(|flag| !cookie.has(*flag))
            .collect();
        let text = format!("cookie {} without {}", cookie.label(), flags(&lacks));
        (!lacks.is_empty()).then(|| Clean::from(text))
    };
    set.iter().filter_map(lacking).collect()
}

fn excerpt(body: &[u8]) -> Clean {
    Clean::bytes(&body[..body.len().min(EXCERPT_BYTES)])
}
