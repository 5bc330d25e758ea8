//! One URL: does it answer, as expected, soon enough?
//!
//! No answer is a fault; an answer that is not the expected one is bad; a late one is poor. Every look opens a
//! connection of its own, as a first visitor would.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Clean, Detail, Endpoint, EndpointSpec, Fault, Health, Measure, Reading, SourceId, SourceKind,
    Thresholds, Timestamp, Unit, text,
};
use crate::link::http::{Answer, Ask, Body, DEADLINE, Follow, Method, fetch};
use crate::link::tls::Roots;
use crate::link::url::Url;
use crate::probe::Look;

#[derive(Debug)]
pub struct EndpointProbe {
    spec: EndpointSpec,
    /// What is asked, or why the configuration does not allow it.
    ask: Result<Ask, Fault>,
    ttfb_ms_max: f64,
    roots: Arc<Roots>,
    looks: u64,
    looks_good: u64,
}

impl EndpointProbe {
    /// Opens nothing: a wrong URL is the fault of every look.
    pub fn new(spec: EndpointSpec, thresholds: &Thresholds, roots: Arc<Roots>) -> Self {
        Self {
            ask: to_ask(&spec),
            ttfb_ms_max: spec.ttfb_ms.map_or(thresholds.ttfb_ms, f64::from),
            spec,
            roots,
            looks: 0,
            looks_good: 0,
        }
    }
}

fn to_ask(spec: &EndpointSpec) -> Result<Ask, Fault> {
    Ok(Ask {
        method: Method::parse(&spec.method)?,
        url: Url::parse(&spec.url)?,
        connect_to: spec.connect_to.clone(),
        origin: None,
        follow: if spec.follow {
            Follow::SameHost
        } else {
            Follow::Never
        },
        body: Body::Count,
        ca_file: spec.ca_file.clone(),
        deadline: DEADLINE,
    })
}

impl Look for EndpointProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Endpoint, self.spec.name.clone())
    }

    fn period(&self) -> Duration {
        self.spec.every
    }

    /// The link's own deadline names the phase that was too slow, so it comes first.
    fn deadline(&self) -> Duration {
        DEADLINE + Duration::from_secs(1)
    }

    async fn look(&mut self, now: Timestamp) -> Result<Reading, Fault> {
        self.looks += 1;
        let ask = self.ask.clone()?;
        let answer = fetch(&ask, &self.roots, now).await?;
        let failures = failures(&self.spec, &answer);
        let health = health(&answer, &failures, self.ttfb_ms_max);
        if health == Health::Good {
            self.looks_good += 1;
        }
        Ok(Reading {
            health,
            summary: summary(&answer, &failures, health, self.ttfb_ms_max),
            measures: measures(&answer),
            detail: Detail::Endpoint(Box::new(self.detail(answer, failures))),
        })
    }
}

impl EndpointProbe {
    fn detail(&self, answer: Answer, failures: Vec<Clean>) -> Endpoint {
        Endpoint {
            name: self.spec.name.clone(),
            url: self.spec.url.clone(),
            hops: answer.hops,
            status: answer.status,
            phases: answer.phases,
            address: answer.address,
            headers: answer.headers,
            body_bytes: answer.body_bytes,
            body_cut: answer.body_cut,
            content_type: answer.content_type,
            failures,
            looks: self.looks,
            looks_good: self.looks_good,
        }
    }
}

fn health(answer: &Answer, failures: &[Clean], ttfb_ms_max: f64) -> Health {
    match (failures.is_empty(), is_late(answer, ttfb_ms_max)) {
        (false, _) => Health::Bad,
        (true, true) => Health::Poor,
        (true, false) => Health::Good,
    }
}

fn is_late(answer: &Answer, ttfb_ms_max: f64) -> bool {
    answer.phases.ttfb_ms.is_some_and(|ms| ms > ttfb_ms_max)
}

/// `200 in 44 ms`, `301 -> https://shop.eu/ in 5 ms`, `503 in 12 ms: expected 200`.
fn summary(answer: &Answer, failures: &[Clean], health: Health, ttfb_ms_max: f64) -> Clean {
    if answer.status == 0 {
        return failures.first().cloned().unwrap_or_default();
    }
    let took = Unit::Milliseconds.show(answer.phases.total_ms.unwrap_or(f64::NAN));
    let leads = match answer.hops.last().and_then(|hop| hop.location.as_ref()) {
        Some(location) => format!(" -> {}", brief(location)),
        None => String::new(),
    };
    let line = format!("{}{leads} in {took}", answer.status);
    let line = match (health, failures) {
        (_, [first]) => format!("{line}: {first}"),
        (_, [first, more @ ..]) => format!("{line}: {first} (+{} more)", more.len()),
        (Health::Poor, []) => format!(
            "{line}: first byte after {}, limit {}",
            Unit::Milliseconds.show(answer.phases.ttfb_ms.unwrap_or(f64::NAN)),
            Unit::Milliseconds.show(ttfb_ms_max),
        ),
        (_, []) => line,
    };
    Clean::from(line)
}

/// A foreign text, cut to what fits into a sentence.
fn brief(raw: &str) -> String {
    const COLUMNS_MAX: usize = 80;
    match text::fit(raw, COLUMNS_MAX) {
        kept if kept.len() < raw.len() => format!("{kept}…"),
        kept => kept.to_owned(),
    }
}

fn measures(answer: &Answer) -> Vec<Measure> {
    let phases = &answer.phases;
    let times = [("ttfb_ms", phases.ttfb_ms), ("total_ms", phases.total_ms)];
    let mut measures: Vec<Measure> = times
        .into_iter()
        .filter_map(|(name, ms)| Some(Measure::new(name, ms?, Unit::Milliseconds)))
        .collect();
    if answer.status != 0 {
        measures.push(Measure::new("status", answer.status.into(), Unit::Count));
    }
    measures
}

/// What is wrong with the answer, and what was expected and not met, in words.
fn failures(spec: &EndpointSpec, answer: &Answer) -> Vec<Clean> {
    let mut failures = answer.failures.clone();
    // Not asked, so there is nothing to hold against the expectations.
    if answer.status == 0 {
        return failures;
    }
    failures.extend(status_failure(spec, answer));
    failures.extend(redirect_failure(spec, answer));
    failures.extend(
        spec.headers
            .iter()
            .filter_map(|(name, holds)| header_failure(answer, name, holds)),
    );
    failures.extend(content_type_failure(spec, answer));
    failures
}

fn status_failure(spec: &EndpointSpec, answer: &Answer) -> Option<Clean> {
    let got = answer.status;
    match spec.status {
        Some(status) if status != got => Some(format!("expected {status}, got {got}").into()),
        None if got >= 400 => Some(format!("expected a status below 400, got {got}").into()),
        Some(_) | None => None,
    }
}

/// The first answer is the one that must lead on, also when it is followed.
fn redirect_failure(spec: &EndpointSpec, answer: &Answer) -> Option<Clean> {
    let expected = spec.redirect_to.as_ref()?;
    let first = answer.hops.first()?;
    let Some(location) = first.location.as_ref() else {
        let text = format!("expected a redirect to {expected}, got {}", first.status);
        return Some(text.into());
    };
    let absolute = Url::parse(&first.url)
        .and_then(|from| from.join(location))
        .map(|url| url.to_string());
    let leads = leads_to(location, expected)
        || absolute.is_ok_and(|absolute| leads_to(&absolute, expected));
    (!leads).then(|| {
        let got = brief(location);
        format!("expected a redirect to {expected}, it leads to {got}").into()
    })
}

/// Begins with it, and not by chance: `https://shop.eu` is no beginning of `https://shop.eu.evil.com`.
fn leads_to(location: &str, expected: &str) -> bool {
    let Some(rest) = location.strip_prefix(expected) else {
        return false;
    };
    let names_host_only = expected
        .split_once("://")
        .is_some_and(|(_, rest)| !rest.contains('/'));
    !names_host_only || rest.is_empty() || rest.starts_with(['/', '?', '#', ':'])
}

fn header_failure(answer: &Answer, name: &str, holds: &str) -> Option<Clean> {
    let values: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(header, _)| header.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect();
    if values.is_empty() {
        return Some(format!("the header {name} is missing").into());
    }
    let met = values.iter().any(|value| contains(value, holds));
    (!met).then(|| {
        let got = brief(values[0]);
        format!("the header {name} is {got:?}, expected {holds:?} in it").into()
    })
}

fn content_type_failure(spec: &EndpointSpec, answer: &Answer) -> Option<Clean> {
    let expected = spec.content_type.as_ref()?;
    let got = &answer.content_type;
    (!contains(got, expected)).then(|| {
        if got.is_empty() {
            format!("expected the content type {expected}, got none").into()
        } else {
            format!("expected the content type {expected}, got {}", brief(got)).into()
        }
    })
}

/// Header values are compared without regard to case: `NoSniff` and `nosniff` mean the same.
fn contains(value: &str, part: &str) -> bool {
    value
        .to_ascii_lowercase()
        .contains(&part.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Hop, Phases};

    fn spec() -> EndpointSpec {
        EndpointSpec {
            name: "shop".into(),
            url: "https://shop.eu/".into(),
            method: "GET".into(),
            status: None,
            headers: std::collections::BTreeMap::new(),
            redirect_to: None,
            follow: false,
            content_type: None,
            ttfb_ms: None,
            ca_file: None,
            connect_to: None,
            every: Duration::from_secs(10),
        }
    }

    fn answer(status: u16, location: Option<&str>) -> Answer {
        Answer {
            hops: vec![Hop {
                url: "https://shop.eu/".into(),
                status,
                location: location.map(Clean::from),
            }],
            status,
            headers: vec![
                ("strict-transport-security".into(), "Max-Age=300".into()),
                ("x-a".into(), "one".into()),
                ("x-a".into(), "two".into()),
            ],
            content_type: "text/html; charset=utf-8".into(),
            phases: Phases {
                ttfb_ms: Some(40.0),
                total_ms: Some(44.2),
                ..Phases::default()
            },
            ..Answer::default()
        }
    }

    #[track_caller]
    fn check(spec: &EndpointSpec, answer: &Answer, says: Option<&str>) {
        let failures = failures(spec, answer);
        match says {
            None => assert!(failures.is_empty(), "{failures:?}"),
            Some(says) => assert!(
                failures.len() == 1 && failures[0].contains(says),
                "{failures:?}"
            ),
        }
    }

    #[test]
    fn any_status_below_400_will_do_unless_one_is_named() {
        check(&spec(), &answer(204, None), None);
        check(&spec(), &answer(302, Some("/x")), None);
        check(&spec(), &answer(404, None), Some("below 400, got 404"));
        let named = EndpointSpec {
            status: Some(404),
            ..spec()
        };
        check(&named, &answer(404, None), None);
        check(&named, &answer(200, None), Some("expected 404, got 200"));
    }

    #[test]
    fn a_redirect_must_lead_where_it_should() {
        let to = |to: &str| EndpointSpec {
            redirect_to: Some(to.into()),
            ..spec()
        };
        let lead = |location| answer(301, Some(location));
        check(&to("https://shop.eu"), &lead("https://shop.eu/de"), None);
        check(&to("https://shop.eu/"), &lead("/de"), None);
        check(&to("/de"), &lead("/de"), None);
        check(
            &to("https://shop.eu"),
            &lead("https://shop.eu.evil.com/"),
            Some("evil"),
        );
        check(&to("https://shop.eu"), &answer(200, None), Some("got 200"));
    }

    #[test]
    fn headers_must_be_there_and_hold_what_they_should() {
        let with = |name: &str, holds: &str| EndpointSpec {
            headers: [(Clean::from(name), Clean::from(holds))].into(),
            ..spec()
        };
        let answer = answer(200, None);
        check(&with("Strict-Transport-Security", "max-age"), &answer, None);
        check(&with("X-A", "two"), &answer, None);
        check(&with("X-A", ""), &answer, None);
        check(&with("X-A", "three"), &answer, Some("\"one\""));
        check(&with("X-B", ""), &answer, Some("X-B is missing"));
    }

    #[test]
    fn the_content_type_is_looked_at_when_it_is_named() {
        let named = |name: &str| EndpointSpec {
            content_type: Some(name.into()),
            ..spec()
        };
        check(&named("text/html"), &answer(200, None), None);
        check(&named("application/json"), &answer(200, None), Some("json"));
    }

    #[test]
    fn a_late_answer_is_poor_and_a_wrong_one_is_bad() {
        let late = answer(200, None);
        assert_eq!(health(&late, &[], 40.0), Health::Good);
        assert_eq!(health(&late, &[], 39.9), Health::Poor);
        assert_eq!(health(&late, &["x".into()], 39.9), Health::Bad);
    }

    #[test]
    fn summaries_stand_on_their_own() {
        let say = |answer: &Answer, health| summary(answer, &[], health, 30.0);
        assert_eq!(say(&answer(200, None), Health::Good), "200 in 44 ms");
        assert_eq!(
            say(&answer(301, Some("/de")), Health::Good),
            "301 -> /de in 44 ms"
        );
        assert_eq!(
            say(&answer(200, None), Health::Poor),
            "200 in 44 ms: first byte after 40 ms, limit 30 ms"
        );
        let failed = ["expected 200".into(), "x".into()];
        assert_eq!(
            summary(&answer(503, None), &failed, Health::Bad, 30.0),
            "503 in 44 ms: expected 200 (+1 more)"
        );
    }

    #[tokio::test]
    async fn a_wrong_configuration_is_the_fault_of_every_look() {
        let wrong = EndpointSpec {
            url: "https://bob:hunter2@shop.eu/".into(),
            ..spec()
        };
        let roots = Roots::system_lazily();
        let mut probe = EndpointProbe::new(wrong, &Thresholds::default(), roots);
        let fault = probe.look(Timestamp(0)).await.unwrap_err();
        assert!(!fault.to_string().contains("hunter2"));
        assert_eq!(probe.source().to_string(), "endpoint/shop");
    }
}
