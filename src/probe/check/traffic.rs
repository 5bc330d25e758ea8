//! `traffic`: the errors, the p95 and the shares of a service's requests, from the source that the stack names first.
//!
//! Prometheus knows the last minute. The replicas' own metrics and the gateway's log are counted from now on, for a
//! while: what was counted before we looked has no time of ours. Without requests there is nothing to judge, and the
//! check could not be made.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::containers::inspected;
use super::seen::{Seen, suits_number, wishes};
use super::{Eyes, Kind, unconfigured};
use crate::domain::{
    Clean, Container, ContainerId, ContainerState, Detail, Expectation, Fault, FaultKind, Flow,
    Reading, Stream, Timestamp, Traffic as Counted, TrafficSpec, Unit,
};
use crate::link::accesslog::{self, Feeder};
use crate::link::docker::LogRange;
use crate::link::prometheus::Prometheus;
use crate::probe::Look;
use crate::probe::roster::{RosterSender, roster};
use crate::probe::traffic::{AccessLogProbe, MetricsProbe, PrometheusProbe};

/// How long requests are counted where the source has no past: a hundred of them at the default rate of a tap.
const COUNTED_FOR: Duration = Duration::from_secs(2);

/// Two looks, what lies between them, and the list of containers.
const DEADLINE: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    pub service: Clean,
    /// Part of the requests answered with 5xx, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Expectation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<Expectation>,
    /// Of every replica that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Expectation>,
}

impl Kind for Traffic {
    fn describe(&self) -> Clean {
        let wishes = wishes([
            ("errors", self.errors.as_ref()),
            ("p95", self.p95.as_ref()),
            ("share", self.share.as_ref()),
        ]);
        Clean::from(format!("traffic of {}: {wishes}", self.service))
    }

    fn problems(&self) -> Vec<Clean> {
        let number = |what, expected: &Option<Expectation>, unit| {
            suits_number(what, expected.as_ref()?, unit)
        };
        let mut problems: Vec<Clean> = number("errors", &self.errors, Unit::Ratio)
            .into_iter()
            .chain(number("p95", &self.p95, Unit::Milliseconds))
            .chain(number("share", &self.share, Unit::Ratio))
            .collect();
        if self.errors.is_none() && self.p95.is_none() && self.share.is_none() {
            problems.push("nothing is expected; say errors, p95 or share".into());
        }
        problems
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        json!({ "traffic": self.service })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let spec = eyes.stack.traffic.iter().find(|spec| {
            let (TrafficSpec::Metrics { service, .. }
            | TrafficSpec::Prometheus { service, .. }
            | TrafficSpec::AccessLog { service, .. }) = spec;
            *service == self.service
        });
        let spec = spec.ok_or_else(|| {
            let text = format!("no source of traffic is named for {}", self.service);
            unconfigured(&text, "name one: [[traffic]] service, source")
        })?;
        let reading = read(eyes, spec, now).await?;
        let Detail::Traffic(traffic) = reading.detail else {
            let text = "the traffic probe saw no traffic";
            return Err(Fault::new(FaultKind::Broken, text));
        };
        self.seen(&traffic)
    }
}

impl Traffic {
    fn seen(&self, traffic: &Counted) -> Result<Seen, Fault> {
        let total = &traffic.total;
        if total.requests == 0 {
            let text = format!("no requests of {} were counted", self.service);
            return Err(Fault::new(FaultKind::Missing, text)
                .remedy("send some through the gateway, or look again later"));
        }
        let mut seen = Seen {
            got: got(traffic),
            ..Seen::default()
        };
        let known = |figure: Option<f64>| figure.unwrap_or(f64::NAN);
        if let Some(expected) = &self.errors {
            seen.number("errors", known(total.error_ratio()), Unit::Ratio, expected);
        }
        if let Some(expected) = &self.p95 {
            seen.number("p95", known(total.p95_ms), Unit::Milliseconds, expected);
        }
        if let Some(expected) = &self.share {
            for replica in traffic.replicas.iter().filter(|r| r.fault.is_none()) {
                let what = format!("share of {}", replica.replica);
                let share = known(replica.flow.share);
                seen.number(&what, share, Unit::Ratio, expected);
            }
        }
        Ok(seen)
    }
}

fn got(traffic: &Counted) -> Value {
    let flow = |flow: &Flow| {
        json!({
            "requests": flow.requests,
            "errors": flow.errors,
            "per_s": flow.requests_per_s,
            "p95_ms": flow.p95_ms,
            "share": flow.share,
        })
    };
    let replicas: Vec<Value> = traffic
        .replicas
        .iter()
        .map(|replica| {
            json!({
                "replica": replica.replica,
                "flow": flow(&replica.flow),
                "fault": replica.fault.as_ref().map(|fault| &fault.text),
            })
        })
        .collect();
    let (counted, all) = traffic.counted;
    json!({
        "source": traffic.source.word(),
        "total": flow(&traffic.total),
        "replicas": replicas,
        "counted": format!("{counted} of {all}"),
    })
}

async fn read(eyes: &Eyes, spec: &TrafficSpec, now: Timestamp) -> Result<Reading, Fault> {
    let (sender, view) = roster();
    let limits = eyes.stack.thresholds.clone();
    match spec.clone() {
        TrafficSpec::Prometheus {
            service,
            url,
            selector,
            every,
        } => {
            publish(eyes, &service, &sender).await?;
            // The token is for the server that it was given for.
            let prometheus = match &eyes.prometheus {
                Some(own) if eyes.stack.prometheus.as_ref() == Some(&url) => own.clone(),
                Some(_) | None => Prometheus::new(&url),
            };
            let mut probe =
                PrometheusProbe::new(service, prometheus, selector, every, limits, view);
            probe.look(now).await
        }
        TrafficSpec::Metrics {
            service,
            port,
            path,
            every,
        } => {
            publish(eyes, &service, &sender).await?;
            let mut probe = MetricsProbe::new(service, port, path, every, limits, view);
            let begun = Instant::now();
            probe.look(now).await?;
            sleep(COUNTED_FOR).await;
            probe.look(now.plus(begun.elapsed())).await
        }
        TrafficSpec::AccessLog {
            gateway,
            service,
            every,
        } => {
            publish(eyes, &service, &sender).await?;
            let gateways = running(inspected(eyes, &gateway).await?);
            if gateways.is_empty() {
                let text = format!("no running container of {gateway} is known");
                return Err(Fault::new(FaultKind::Missing, text)
                    .remedy("start the gateway, or check its name in the configuration"));
            }
            let (feeder, feed) = accesslog::feed();
            let links: Vec<_> = gateways.iter().map(|_| feeder.link()).collect();
            let mut probe = AccessLogProbe::new(gateway, service, every, limits, view, feed);
            let begun = Instant::now();
            // The first look only begins to count; a fault there is that nothing was counted yet.
            let _ = probe.look(now).await;
            let follow = gateways.iter().map(|one| follow(eyes, &one.id, &feeder));
            match timeout(COUNTED_FOR, join_all(follow)).await {
                Err(_) => {}
                Ok(ended) => {
                    if let Some(fault) = ended.into_iter().find_map(Result::err) {
                        return Err(fault);
                    }
                }
            }
            let reading = probe.look(now.plus(begun.elapsed())).await;
            drop(links);
            reading
        }
    }
}

async fn publish(eyes: &Eyes, service: &str, roster: &RosterSender) -> Result<(), Fault> {
    let all = running(inspected(eyes, service).await?);
    roster.send_replace(Arc::from(all.as_slice()));
    Ok(())
}

fn running(mut all: Vec<Container>) -> Vec<Container> {
    all.retain(|one| one.state == ContainerState::Running);
    all
}

/// Hands the lines of one gateway on until its log ends.
async fn follow(eyes: &Eyes, id: &ContainerId, feeder: &Feeder) -> Result<(), Fault> {
    let head = eyes.engine.log_head(id).await?;
    let range = LogRange {
        tail: Some(0),
        follow: true,
        since: None,
    };
    let mut lines = eyes.engine.logs(id, head.terminal, range).await?;
    while let Some(line) = lines.next().await {
        let line = line?;
        if line.stream == Stream::Out {
            feeder.line(&String::from_utf8_lossy(&line.bytes));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ReplicaTraffic, TrafficSource};

    fn flow(requests: u64, errors: u64, share: Option<f64>) -> Flow {
        Flow {
            requests,
            errors,
            p95_ms: Some(40.0),
            share,
            ..Flow::default()
        }
    }

    fn counted(requests: u64, errors: u64) -> Counted {
        let replica = |name: &str, share| ReplicaTraffic {
            replica: name.into(),
            container: None,
            flow: flow(requests, errors, Some(share)),
            resets: 0,
            fault: None,
        };
        Counted {
            source: TrafficSource::Metrics,
            service: "server".into(),
            window: Duration::from_mins(1),
            replicas: vec![replica("server-1", 0.8), replica("server-2", 0.2)],
            total: flow(requests, errors, None),
            counted: (2, 2),
            uneven: None,
            dropped: 0,
            unreadable: 0,
        }
    }

    fn check() -> Traffic {
        let expect = |text| Some(Expectation::parse(text).unwrap());
        Traffic {
            service: "server".into(),
            errors: expect("< 5 %"),
            p95: expect("< 500 ms"),
            share: expect("between 10 and 60 %"),
        }
    }

    #[test]
    fn every_figure_is_compared_and_every_replicas_share() {
        let seen = check().seen(&counted(100, 6)).unwrap();
        let held: Vec<(&str, bool)> = seen
            .tests
            .iter()
            .map(|test| (&*test.what, test.expected.holds(&test.measured)))
            .collect();
        let expected = [
            ("errors", false),
            ("p95", true),
            ("share of server-1", false),
            ("share of server-2", true),
        ];
        assert_eq!(held, expected);
    }

    #[test]
    fn without_requests_there_is_nothing_to_judge() {
        let fault = check().seen(&counted(0, 0)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Missing);
    }
}
