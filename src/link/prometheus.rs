//! Prometheus' HTTP API: questions, alerts, rules, targets.
//!
//! Reads what the API has promised since version 2.0 and passes over what it does not know. Nothing is judged here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::exposition::{BODY_BYTES_MAX, SERIES_MAX, shown};
use super::fetch::{Answer, Bounds, Fetcher};
use crate::config::{Secret, SecretError};
use crate::domain::{Alert, AlertState, Clean, Fault, FaultKind, Rule, ScrapeTarget, Timestamp};

/// Prometheus itself gives up on a query after two minutes; the screen does not wait that long.
const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(4),
    body_bytes_max: BODY_BYTES_MAX,
};

/// More alerts, rules or targets than anybody scrolls through.
pub const ROWS_MAX: usize = 1_000;

/// Words kept of an answer that is no JSON.
const EXCERPT_BYTES: usize = 120;

/// One server.
#[derive(Debug, Clone)]
pub struct Prometheus {
    base: String,
    /// Or why its token cannot be had: then it is not asked at all.
    fetch: Result<Fetcher, Fault>,
}

/// An instant vector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vector {
    pub samples: Vec<Point>,
    /// Prometheus' own doubts about the answer.
    pub warnings: Vec<Clean>,
    /// Series beyond our limit.
    pub dropped: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub labels: BTreeMap<String, String>,
    /// When Prometheus evaluated it, by its own clock, in seconds.
    pub at_s: f64,
    pub value: f64,
}

impl Point {
    /// A label that is not there is empty, as the query language has it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// A list, and how many were left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows<T> {
    pub rows: Vec<T>,
    pub dropped: u64,
}

/// A target, and how often it is scraped.
#[derive(Debug, Clone, PartialEq)]
pub struct Scraped {
    pub target: ScrapeTarget,
    /// `None` before Prometheus 2.31.
    pub interval: Option<Duration>,
}

impl Prometheus {
    /// `base` is an address such as `http://127.0.0.1:9090`, with a path where Prometheus lives under one.
    pub fn new(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            fetch: Ok(Fetcher::default()),
        }
    }

    /// Proves who asks with every question. A token that cannot be had is the fault of every look.
    #[must_use]
    pub fn token(mut self, token: Result<Secret, SecretError>) -> Self {
        self.fetch = match token {
            Ok(secret) => Fetcher::with_bearer(&secret),
            Err(error) => Err(Fault::new(FaultKind::Misconfigured, error.to_string())
                .remedy("mend it, or take the token out of [prometheus], and start again")),
        };
        self
    }

    /// Asks whether it takes questions.
    pub async fn ready(&self) -> Result<(), Fault> {
        let answer = self
            .fetcher()?
            .get(&format!("{}/-/ready", self.base), BOUNDS)
            .await?;
        if answer.status == 200 {
            return Ok(());
        }
        denied(&answer)?;
        Err(Fault::new(
            FaultKind::Garbled,
            format!("status {} to /-/ready", answer.status),
        )
        .remedy("check that the address is that of Prometheus, and that it has started"))
    }

    fn fetcher(&self) -> Result<&Fetcher, Fault> {
        self.fetch.as_ref().map_err(Clone::clone)
    }

    /// Asks for the value of an expression now.
    pub async fn query(&self, expression: &str) -> Result<Vector, Fault> {
        let url = format!("{}/api/v1/query", self.base);
        let answer = self
            .fetcher()?
            .post(&url, &[("query", expression)], BOUNDS)
            .await?;
        vector(&answer)
    }

    pub async fn alerts(&self) -> Result<Rows<Alert>, Fault> {
        let (data, _) = envelope::<AlertsDto>(&self.get("alerts").await?)?;
        Ok(Rows::cut(data.alerts.into_iter().map(AlertDto::alert)))
    }

    pub async fn rules(&self) -> Result<Rows<Rule>, Fault> {
        let (data, _) = envelope::<RulesDto>(&self.get("rules").await?)?;
        Ok(Rows::cut(data.groups.into_iter().flat_map(|group| {
            let name = shown(&group.name);
            group.rules.into_iter().map(move |r| r.rule(name.clone()))
        })))
    }

    pub async fn targets(&self) -> Result<Rows<Scraped>, Fault> {
        let (data, _) = envelope::<TargetsDto>(&self.get("targets?state=active").await?)?;
        Ok(Rows::cut(
            data.active_targets.into_iter().map(TargetDto::scraped),
        ))
    }

    async fn get(&self, path: &str) -> Result<Answer, Fault> {
        let url = format!("{}/api/v1/{path}", self.base);
        self.fetcher()?.get(&url, BOUNDS).await
    }
}

impl<T> Rows<T> {
    fn cut(all: impl Iterator<Item = T>) -> Self {
        let mut all = all;
        let rows = all.by_ref().take(ROWS_MAX).collect();
        Self {
            rows,
            dropped: all.count() as u64,
        }
    }
}

/// The envelope around every answer.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Envelope<T> {
    Success {
        data: T,
        #[serde(default)]
        warnings: Vec<String>,
    },
    Error {
        #[serde(default, rename = "errorType")]
        kind: String,
        #[serde(default)]
        error: String,
    },
}

fn envelope<T: DeserializeOwned>(answer: &Answer) -> Result<(T, Vec<Clean>), Fault> {
    denied(answer)?;
    match serde_json::from_slice::<Envelope<T>>(&answer.body) {
        Ok(Envelope::Success { data, warnings }) => {
            Ok((data, warnings.iter().map(|w| shown(w)).collect()))
        }
        Ok(Envelope::Error { kind, error }) => Err(refusal(&kind, &error)),
        Err(source) => Err(not_ours(answer, &source)),
    }
}

fn denied(answer: &Answer) -> Result<(), Fault> {
    if !matches!(answer.status, 401 | 403) {
        return Ok(());
    }
    Err(Fault::new(
        FaultKind::Denied,
        format!("prometheus answered {}", answer.status),
    )
    .remedy("say where its token lies: [prometheus] token = { file = \"path\" }"))
}

/// Prometheus' own word for what went wrong.
fn refusal(kind: &str, error: &str) -> Fault {
    let ours = match kind {
        "timeout" | "canceled" => FaultKind::Silent,
        "bad_data" | "execution" => FaultKind::Misconfigured,
        "not_found" => FaultKind::Missing,
        _ => FaultKind::Garbled,
    };
    Fault::new(
        ours,
        format!("prometheus refused ({}): {}", shown(kind), shown(error)),
    )
}

fn not_ours(answer: &Answer, source: &serde_json::Error) -> Fault {
    let excerpt = &answer.body[..answer.body.len().min(EXCERPT_BYTES)];
    Fault::new(
        FaultKind::Garbled,
        format!(
            "status {} and no answer of Prometheus' API ({source}): {}",
            answer.status,
            Clean::bytes(excerpt)
        ),
    )
    .remedy("check that the address is that of Prometheus, with its path prefix")
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "snake_case")]
enum ResultDto {
    Vector(Vec<PointDto>),
    Scalar((f64, String)),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct PointDto {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// Native histograms have no `value`: they are left out, and counted.
    value: Option<(f64, String)>,
}

fn vector(answer: &Answer) -> Result<Vector, Fault> {
    let (data, warnings) = envelope::<ResultDto>(answer)?;
    let rows = match data {
        ResultDto::Vector(rows) => rows,
        ResultDto::Scalar(value) => vec![PointDto {
            metric: BTreeMap::new(),
            value: Some(value),
        }],
        ResultDto::Matrix(_) | ResultDto::String(_) => {
            return Err(Fault::new(
                FaultKind::Garbled,
                "prometheus answered with something that is not an instant vector",
            ));
        }
    };
    let total = rows.len();
    let samples: Vec<Point> = rows
        .into_iter()
        .take(SERIES_MAX)
        .filter_map(PointDto::point)
        .collect();
    let dropped = (total - samples.len()) as u64;
    Ok(Vector {
        samples,
        warnings,
        dropped,
    })
}

impl PointDto {
    fn point(self) -> Option<Point> {
        let (at_s, value) = self.value?;
        Some(Point {
            labels: self.metric,
            at_s,
            value: value.parse().ok()?,
        })
    }
}

#[derive(Deserialize)]
struct AlertsDto {
    alerts: Vec<AlertDto>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlertDto {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    state: String,
    active_at: Option<String>,
}

impl AlertDto {
    fn alert(self) -> Alert {
        let text = |of: &BTreeMap<String, String>, key: &str| {
            of.get(key).map(|v| shown(v)).unwrap_or_default()
        };
        let summary = ["summary", "description", "message"]
            .into_iter()
            .map(|key| text(&self.annotations, key))
            .find(|text| !text.is_empty())
            .unwrap_or_default();
        Alert {
            name: text(&self.labels, "alertname"),
            state: alert_state(&self.state),
            severity: text(&self.labels, "severity"),
            summary,
            since: self.active_at.as_deref().and_then(Timestamp::parse_rfc3339),
            labels: self
                .labels
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "alertname" | "severity"))
                .map(|(key, value)| (shown(key), shown(value)))
                .collect(),
        }
    }
}

/// A word we do not know counts as firing: it is listed as active, and nothing may hide behind a new word.
fn alert_state(word: &str) -> AlertState {
    match word {
        "inactive" | "unknown" | "" => AlertState::Inactive,
        "pending" => AlertState::Pending,
        _ => AlertState::Firing,
    }
}

#[derive(Deserialize)]
struct RulesDto {
    groups: Vec<GroupDto>,
}

#[derive(Deserialize)]
struct GroupDto {
    #[serde(default)]
    name: String,
    #[serde(default)]
    rules: Vec<RuleDto>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct RuleDto {
    name: String,
    query: String,
    state: String,
    health: String,
    last_error: String,
}

impl RuleDto {
    fn rule(self, group: Clean) -> Rule {
        Rule {
            group,
            name: shown(&self.name),
            query: Clean::line(&self.query),
            state: alert_state(&self.state),
            health: shown(&self.health),
            error: shown(&self.last_error),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetsDto {
    #[serde(default)]
    active_targets: Vec<TargetDto>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct TargetDto {
    labels: BTreeMap<String, String>,
    scrape_pool: String,
    last_error: String,
    last_scrape: String,
    health: String,
    scrape_interval: String,
}

impl TargetDto {
    fn scraped(self) -> Scraped {
        let up = self.health == "up";
        let error = match self.last_error.as_str() {
            "" if !up => Clean::from("not scraped yet"),
            text => shown(text),
        };
        let label = |key: &str| self.labels.get(key).map(|v| shown(v));
        let target = ScrapeTarget {
            job: label("job").unwrap_or_else(|| shown(&self.scrape_pool)),
            instance: label("instance").unwrap_or_default(),
            up,
            error,
            last_scrape: Timestamp::parse_rfc3339(&self.last_scrape),
        };
        Scraped {
            target,
            interval: humantime::parse_duration(&self.scrape_interval).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_vector_is_read_with_its_warnings_and_its_odd_numbers() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"instance":"10.0.0.7:5000","le":"+Inf"},"value":[1435781451.781,"+Inf"]},
            {"metric":{},"value":[1,"NaN"]},
            {"metric":{"a":"b"},"histogram":[1,{"count":"1"}]}]},
            "warnings":["half a truth"],"infos":["new"]}"#;
        let seen = vector(&answer(200, body)).expect("a vector");
        assert_eq!(seen.samples.len(), 2);
        assert_eq!(seen.samples[0].label("instance"), "10.0.0.7:5000");
        assert!(seen.samples[0].value.is_infinite() && seen.samples[1].value.is_nan());
        assert_eq!(seen.warnings, [Clean::from("half a truth")]);
        assert_eq!(seen.dropped, 1, "a native histogram is no number");
    }

    #[track_caller]
    fn faulty(status: u16, body: &str, kind: FaultKind, text: &str) {
        let fault = vector(&answer(status, body)).expect_err("no vector");
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(fault.text.contains(text), "{fault}");
    }

    #[test]
    fn what_prometheus_refuses_is_said_in_its_words() {
        faulty(
            400,
            r#"{"status":"error","errorType":"bad_data","error":"parse error: x"}"#,
            FaultKind::Misconfigured,
            "parse error: x",
        );
        faulty(
            503,
            r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#,
            FaultKind::Silent,
            "query timed out",
        );
    }

    #[test]
    fn somebody_elses_answer_is_garbled_not_empty() {
        faulty(404, "<html>\x1b[2J", FaultKind::Garbled, "<html>^[[2J");
        faulty(401, "", FaultKind::Denied, "401");
        faulty(
            200,
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
            FaultKind::Garbled,
            "not an instant vector",
        );
        faulty(
            200,
            r#"{"status":"success","data":{}}"#,
            FaultKind::Garbled,
            "200",
        );
    }

    #[test]
    fn alerts_rules_and_targets_are_read() {
        let body = r#"{"status":"success","data":{"alerts":[{"labels":{"alertname":"Slow","severity":"page","job":"server"},
            "annotations":{"description":"p95 is up"},"state":"firing","activeAt":"2026-11-20T12:00:00.5Z","value":"1e+00"}]}}"#;
        let (data, _) = envelope::<AlertsDto>(&answer(200, body)).expect("alerts");
        let alert = data.alerts.into_iter().map(AlertDto::alert).next();
        let alert = alert.expect("one alert");
        assert_eq!(alert.name, "Slow");
        assert_eq!(alert.state, AlertState::Firing);
        assert_eq!(alert.summary, "p95 is up");
        assert_eq!(alert.labels, [(Clean::from("job"), Clean::from("server"))]);
        assert!(alert.since.is_some());

        let target = TargetDto {
            health: "unknown".to_owned(),
            scrape_interval: "15s".to_owned(),
            ..TargetDto::default()
        };
        let scraped = target.scraped();
        assert!(!scraped.target.up);
        assert_eq!(scraped.target.error, "not scraped yet");
        assert_eq!(scraped.interval, Some(Duration::from_secs(15)));
    }

    #[test]
    fn a_new_word_for_an_alerts_state_hides_nothing() {
        assert_eq!(alert_state("exploding"), AlertState::Firing);
        assert_eq!(alert_state("pending"), AlertState::Pending);
    }

    #[test]
    fn rows_beyond_the_limit_are_counted() {
        let cut = Rows::cut(0..ROWS_MAX + 3);
        assert_eq!((cut.rows.len(), cut.dropped), (ROWS_MAX, 3));
    }
}
