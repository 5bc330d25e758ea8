//! `promql`: a question to Prometheus, every answer of which must be as expected.
//!
//! No answer is no data, not a zero. A value takes the unit that is expected of it, as Prometheus writes numbers:
//! seconds, bytes, parts of one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_number};
use super::{Eyes, Kind, unconfigured};
use crate::domain::{Clean, Expectation, Fault, FaultKind, Timestamp};
use crate::link::exposition::shown;
use crate::link::prometheus::Point;

/// The link gives up after four.
const DEADLINE: Duration = Duration::from_secs(6);

/// Series told one by one in the evidence; all are compared.
const TOLD_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promql {
    pub query: Clean,
    pub value: Expectation,
}

impl Kind for Promql {
    fn describe(&self) -> Clean {
        Clean::from(format!("{} {}", self.query, self.value))
    }

    fn problems(&self) -> Vec<Clean> {
        if self.query.trim().is_empty() {
            return vec!["the query is empty; write an expression such as sum(up)".into()];
        }
        suits_number("value", &self.value, self.value.natural_unit())
            .into_iter()
            .collect()
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        json!({ "query": self.query })
    }

    async fn look(&self, eyes: &Eyes, _: Timestamp) -> Result<Seen, Fault> {
        let prometheus = eyes.prometheus.as_ref().ok_or_else(|| {
            unconfigured(
                "no Prometheus is named",
                "say where it is: [prometheus] url",
            )
        })?;
        let answer = prometheus.query(&self.query).await?;
        if answer.samples.is_empty() {
            let text = format!("prometheus has no data for {}", self.query);
            return Err(Fault::new(FaultKind::Missing, text)
                .remedy("check the expression, and that Prometheus scrapes what it names"));
        }
        if answer.dropped > 0 {
            let text = format!("{} has {} series too many", self.query, answer.dropped);
            return Err(Fault::new(FaultKind::TooLarge, text).remedy("sum them, or name fewer"));
        }
        let rows: Vec<Value> = answer.samples.iter().take(TOLD_MAX).map(row).collect();
        let mut seen = Seen {
            got: json!({
                "series": rows,
                "of": answer.samples.len(),
                "warnings": answer.warnings,
            }),
            ..Seen::default()
        };
        let unit = self.value.natural_unit();
        for point in &answer.samples {
            seen.number(&name(point), point.value, unit, &self.value);
        }
        Ok(seen)
    }
}

/// Prometheus' own way to write a series; a number without labels is a value.
fn name(point: &Point) -> String {
    if point.labels.is_empty() {
        return "value".to_owned();
    }
    let labels: Vec<String> = point
        .labels
        .iter()
        .map(|(name, value)| format!("{}={:?}", shown(name), shown(value)))
        .collect();
    format!("{{{}}}", labels.join(","))
}

fn row(point: &Point) -> Value {
    json!({ "series": Clean::from(name(point)), "value": point.value.to_string() })
}
