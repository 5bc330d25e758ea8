//! Prometheus' HTTP API over what the simulated Prometheus has scraped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use super::body::{self, Body};
use super::door;
use super::figures::{real_ms, whole_ms};
use super::promql::{Labels, Value};
use super::world::{AlertPhase, Alerting, Ms, RULES, Rule, Service, World};
use super::yard::Yard;

/// As Prometheus bounds a range query.
const POINTS_MAX: i64 = 11_000;

fn is_open(world: &World) -> bool {
    let now = world.now();
    world
        .containers
        .iter()
        .any(|c| c.service == Service::Prometheus && c.accepts(now))
}

pub(super) async fn keep(yard: Arc<Yard>, listener: TcpListener, address: SocketAddr) {
    let shared = yard.clone();
    let serve = move |stream, _| {
        let yard = shared.clone();
        door::http(stream, move |request| respond(yard.clone(), request))
    };
    door::keep(yard, listener, address, is_open, serve).await;
}

async fn respond(yard: Arc<Yard>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let mut pairs = body::pairs(request.uri().query().unwrap_or_default());
    if request.method() == hyper::Method::POST {
        let Some(form) = body::collected(request.into_body()).await else {
            return failed("bad_data", "the form is too large or was cut");
        };
        pairs.extend(body::pairs(&String::from_utf8_lossy(&form)));
    }
    match path.as_str() {
        "/-/ready" => body::answer(
            StatusCode::OK,
            "text/plain",
            "Prometheus Server is Ready.\n",
        ),
        "/-/healthy" => body::answer(
            StatusCode::OK,
            "text/plain",
            "Prometheus Server is Healthy.\n",
        ),
        "/api/v1/query" => query(&yard, &pairs),
        "/api/v1/query_range" => query_range(&yard, &pairs),
        "/api/v1/alerts" => good(&json!({"alerts": yard.with(|w| alerts(w, &yard))})),
        "/api/v1/rules" => good(&yard.with(|w| rules(w, &yard))),
        "/api/v1/targets" => good(&yard.with(|w| targets(w, &yard))),
        "/api/v1/status/buildinfo" => good(&json!({"version": "2.53.0", "goVersion": "go1.22.4"})),
        _ => body::answer(StatusCode::NOT_FOUND, "text/plain", "404 page not found\n"),
    }
}

fn good(data: &Json) -> Response<Body> {
    body::json(StatusCode::OK, &json!({"status": "success", "data": data}))
}

fn failed(kind: &str, text: &str) -> Response<Body> {
    body::json(
        StatusCode::BAD_REQUEST,
        &json!({"status": "error", "errorType": kind, "error": text}),
    )
}

/// Seconds since 1970, or a date, as a moment of the world.
fn moment(yard: &Yard, text: &str) -> Option<Ms> {
    let wall_ms = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => whole_ms(seconds * 1_000.0),
        Ok(_) => return None,
        Err(_) => chrono::DateTime::parse_from_rfc3339(text)
            .ok()?
            .timestamp_millis(),
    };
    Some(yard.clock.world_ms(wall_ms))
}

fn seconds(yard: &Yard, at: Ms) -> f64 {
    real_ms(yard.clock.wall_ms(at)) / 1_000.0
}

/// The query with this range's addresses as the world names them: by their last part.
fn localized(yard: &Yard, pairs: &BTreeMap<String, String>) -> Option<String> {
    let text = pairs.get("query").filter(|q| !q.trim().is_empty())?;
    let front = yard.network.front();
    Some(
        text.replace(&front.replace('.', "\\\\."), "")
            .replace(&front, ""),
    )
}

fn query(yard: &Yard, pairs: &BTreeMap<String, String>) -> Response<Body> {
    let Some(text) = localized(yard, pairs) else {
        return failed(
            "bad_data",
            "invalid parameter \"query\": unknown position: parse error: no expression found in input",
        );
    };
    let now = yard.with(|w| w.now());
    let at = match pairs.get("time") {
        None => now,
        Some(time) => match moment(yard, time) {
            // Our tick may be a moment behind the asker's clock.
            Some(at) => at,
            None => {
                return failed(
                    "bad_data",
                    &format!(
                        "invalid parameter \"time\": cannot parse {time:?} to a valid timestamp"
                    ),
                );
            }
        },
    };
    match yard.with(|w| w.query(&text, at, &|at| seconds(yard, at))) {
        Err(error) => failed("bad_data", &error.to_string()),
        Ok(Value::Scalar(number)) => {
            good(&json!({"resultType": "scalar", "result": [seconds(yard, at), shown(number)]}))
        }
        Ok(Value::Vector(vector)) => {
            let one = |(labels, value): (Labels, f64)| json!({"metric": global(yard, labels), "value": [seconds(yard, at), shown(value)]});
            let result: Vec<Json> = vector.into_iter().map(one).collect();
            good(&json!({"resultType": "vector", "result": result}))
        }
    }
}

fn query_range(yard: &Yard, pairs: &BTreeMap<String, String>) -> Response<Body> {
    let at = |name: &str| pairs.get(name).and_then(|t| moment(yard, t));
    let step = pairs
        .get("step")
        .and_then(|s| s.trim_end_matches('s').parse::<f64>().ok())
        .filter(|s| *s > 0.0);
    let (Some(text), Some(start), Some(end), Some(step)) =
        (localized(yard, pairs), at("start"), at("end"), step)
    else {
        return failed(
            "bad_data",
            "invalid parameter: query, start, end and step are needed",
        );
    };
    let step_ms = yard
        .clock
        .world_ms(yard.clock.wall_ms(1) + whole_ms(step * 1_000.0))
        .max(1);
    if end < start || (end - start) / step_ms > POINTS_MAX {
        return failed(
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        );
    }
    let mut series: BTreeMap<Labels, Vec<Json>> = BTreeMap::new();
    let mut moment = start;
    while moment <= end {
        match yard.with(|w| w.query(&text, moment, &|at| seconds(yard, at))) {
            Err(error) => return failed("bad_data", &error.to_string()),
            Ok(Value::Scalar(number)) => series
                .entry(Labels::new())
                .or_default()
                .push(json!([seconds(yard, moment), shown(number)])),
            Ok(Value::Vector(vector)) => {
                for (labels, value) in vector {
                    series
                        .entry(labels)
                        .or_default()
                        .push(json!([seconds(yard, moment), shown(value)]));
                }
            }
        }
        moment += step_ms;
    }
    let one = |(labels, values): (Labels, Vec<Json>)| json!({"metric": global(yard, labels), "values": values});
    let result: Vec<Json> = series.into_iter().map(one).collect();
    good(&json!({"resultType": "matrix", "result": result}))
}

/// Instances with their whole address.
fn global(yard: &Yard, mut labels: Labels) -> Labels {
    if let Some(instance) = labels.get_mut("instance") {
        *instance = format!("{}{instance}", yard.network.front());
    }
    labels
}

/// Prometheus' own spelling of numbers.
fn shown(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 {
            "+Inf".into()
        } else {
            "-Inf".into()
        }
    } else {
        value.to_string()
    }
}

fn alert(yard: &Yard, rule: &Rule, state: &Alerting) -> Json {
    json!({
        "labels": {"alertname": rule.name, "severity": rule.severity},
        "annotations": {"summary": rule.summary},
        "state": state.phase.word(),
        "activeAt": yard.clock.rfc3339(state.since.unwrap_or_default()),
        "value": format!("{:e}", state.value),
    })
}

fn alerts(world: &World, yard: &Yard) -> Vec<Json> {
    let active = RULES
        .iter()
        .zip(&world.alerts)
        .filter(|(_, a)| a.phase != AlertPhase::Inactive);
    active
        .map(|(rule, state)| alert(yard, rule, state))
        .collect()
}

fn rules(world: &World, yard: &Yard) -> Json {
    let all: Vec<Json> = RULES
        .iter()
        .zip(&world.alerts)
        .map(|(rule, state)| {
            let is_active = state.phase != AlertPhase::Inactive;
            json!({
                "type": "alerting",
                "name": rule.name,
                "query": rule.query,
                "duration": rule.for_ms / 1_000,
                "labels": {"severity": rule.severity},
                "annotations": {"summary": rule.summary},
                "alerts": if is_active { vec![alert(yard, rule, state)] } else { Vec::new() },
                "health": "ok",
                "state": state.phase.word(),
                "evaluationTime": 0.0012,
                "lastEvaluation": yard.clock.rfc3339(world.scraped),
            })
        })
        .collect();
    json!({"groups": [{"name": "hyper-mission", "file": "/etc/prometheus/rules.yml", "interval": 5, "rules": all}]})
}

fn targets(world: &World, yard: &Yard) -> Json {
    let known = world
        .samples
        .iter()
        .filter_map(|(host, ring)| Some((*host, ring.back()?)));
    let active: Vec<Json> = known
        .filter_map(|(host, sample)| {
            let up = sample.up?;
            let instance = format!("{}:{}", yard.network.address(host), super::metrics::PORT);
            Some(json!({
                "discoveredLabels": {"__address__": instance, "job": "server"},
                "labels": {"instance": instance, "job": "server"},
                "scrapePool": "server",
                "scrapeUrl": format!("http://{instance}/metrics"),
                "globalUrl": format!("http://{instance}/metrics"),
                "lastError": if up { String::new() } else { format!("Get \"http://{instance}/metrics\": dial tcp {instance}: connect: connection refused") },
                "lastScrape": yard.clock.rfc3339(sample.at),
                "lastScrapeDuration": 0.004,
                "health": if up { "up" } else { "down" },
                "scrapeInterval": "5s",
                "scrapeTimeout": "2s",
            }))
        })
        .collect();
    json!({"activeTargets": active, "droppedTargets": []})
}
