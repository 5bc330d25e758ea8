//! The part of `PromQL` that consoles and rules use, evaluated at one instant over series that are handed in.
//!
//! Selectors with matchers and ranges, `rate`, `irate`, `increase`, `histogram_quantile`, the aggregations with `by` and
//! `without`, arithmetic and filtering comparisons. Everything else is an error that names it, as Prometheus' own are.

mod parse;

use std::collections::BTreeMap;

use thiserror::Error;

use super::figures::real_ms;
use super::world::Ms;
use parse::{Aggregate, Expr, Matcher, Selector};

/// How far back an instant selector looks: Prometheus' default.
const LOOKBACK_MS: Ms = 300_000;
/// Deeper nesting than any panel writes; a bound on recursion.
pub(super) const DEPTH_MAX: usize = 40;
/// Marks the end of a series, as Prometheus' staleness marker does.
pub const STALE: f64 = f64::NEG_INFINITY;

pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub at: Ms,
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub labels: Labels,
    /// Oldest first.
    pub points: Vec<Point>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Scalar(f64),
    /// A metric's own name is the label `__name__`.
    Vector(Vec<(Labels, f64)>),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    #[error("invalid parameter \"query\": 1:{column}: parse error: {text}")]
    Parse { column: usize, text: String },
    #[error("invalid parameter \"query\": the range does not know {0}")]
    Unknown(String),
}

/// Where the figures come from, and what the moments are called.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// All series of a metric, with their points after a moment.
    pub series: &'a dyn Fn(&str, Ms) -> Vec<Series>,
    /// Seconds since 1970 of a moment, as people's clocks have it.
    pub wall_s: &'a dyn Fn(Ms) -> f64,
}

/// Evaluates `text` at the time `at`.
pub fn evaluate(text: &str, at: Ms, source: Source<'_>) -> Result<Value, QueryError> {
    let expr = parse::parse(text)?;
    Evaluation { at, source }.value(&expr)
}

struct Evaluation<'a> {
    at: Ms,
    source: Source<'a>,
}

impl Evaluation<'_> {
    fn value(&self, expr: &Expr) -> Result<Value, QueryError> {
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(*number)),
            Expr::Selector(selector) if selector.range_ms.is_some() => Err(QueryError::Unknown(
                "a range vector outside of rate, irate and increase".into(),
            )),
            Expr::Selector(selector) => Ok(Value::Vector(self.instant(selector))),
            Expr::Call(name, arguments) => self.call(name, arguments),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(op, left, right) => binary(op, self.value(left)?, self.value(right)?),
        }
    }

    fn selected(&self, selector: &Selector) -> Vec<Series> {
        let from = self.at - selector.range_ms.unwrap_or(LOOKBACK_MS);
        let mut all = (self.source.series)(&selector.name, from);
        all.retain(|series| selector.matchers.iter().all(|m| fits(m, &series.labels)));
        all
    }

    fn instant(&self, selector: &Selector) -> Vec<(Labels, f64)> {
        let named = |(mut labels, point): (Labels, Point)| {
            labels.insert("__name__".into(), selector.name.clone());
            (labels, point.value)
        };
        self.points(selector).into_iter().map(named).collect()
    }

    /// The newest point of each series that is not too old.
    fn points(&self, selector: &Selector) -> Vec<(Labels, Point)> {
        let mut vector = Vec::new();
        for series in self.selected(selector) {
            let seen = series.points.iter().rev().find(|p| p.at <= self.at);
            if let Some(point) = seen
                && point.at > self.at - LOOKBACK_MS
                && point.value > STALE
            {
                vector.push((series.labels, *point));
            }
        }
        vector
    }

    fn call(&self, name: &str, arguments: &[Expr]) -> Result<Value, QueryError> {
        match (name, arguments) {
            ("rate" | "increase" | "irate", [Expr::Selector(selector)]) => {
                Ok(Value::Vector(self.grown(name, selector)?))
            }
            ("time", []) => Ok(Value::Scalar((self.source.wall_s)(self.at))),
            ("timestamp", [Expr::Selector(selector)]) if selector.range_ms.is_none() => {
                let points = self.points(selector).into_iter();
                let stamps = points.map(|(labels, point)| (labels, (self.source.wall_s)(point.at)));
                Ok(Value::Vector(stamps.collect()))
            }
            ("vector", [inner]) => match self.value(inner)? {
                Value::Scalar(number) => Ok(Value::Vector(vec![(Labels::new(), number)])),
                vector @ Value::Vector(_) => Ok(vector),
            },
            ("histogram_quantile", [part, inner]) => {
                let (Value::Scalar(part), Value::Vector(vector)) =
                    (self.value(part)?, self.value(inner)?)
                else {
                    return Err(QueryError::Unknown(
                        "these arguments of histogram_quantile".into(),
                    ));
                };
                Ok(Value::Vector(quantiles(part, vector)))
            }
            _ => Err(QueryError::Unknown(format!(
                "function \"{name}\" with these arguments"
            ))),
        }
    }

    /// Growth of counters over a range; a counter that falls began anew.
    fn grown(&self, name: &str, selector: &Selector) -> Result<Vec<(Labels, f64)>, QueryError> {
        let Some(range) = selector.range_ms else {
            return Err(QueryError::Unknown(format!("{name} of an instant vector")));
        };
        let mut vector = Vec::new();
        for series in self.selected(selector) {
            let inside = |p: &&Point| p.at > self.at - range && p.at <= self.at && p.value > STALE;
            let mut points: Vec<&Point> = series.points.iter().filter(inside).collect();
            if name == "irate" && points.len() > 2 {
                points.drain(..points.len() - 2);
            }
            let (Some(first), Some(last)) = (points.first(), points.last()) else {
                continue;
            };
            if first.at == last.at {
                continue;
            }
            let step = |pair: &[&Point]| {
                let grown = pair[1].value - pair[0].value;
                if grown < 0.0 { pair[1].value } else { grown }
            };
            let sum: f64 = points.windows(2).map(step).sum();
            let per_s = sum * 1_000.0 / real_ms(last.at - first.at);
            let factor = if name == "increase" {
                real_ms(range) / 1_000.0
            } else {
                1.0
            };
            vector.push((series.labels, per_s * factor));
        }
        Ok(vector)
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<Value, QueryError> {
        let Value::Vector(vector) = self.value(&aggregate.of)? else {
            return Err(QueryError::Unknown(format!("{} of a scalar", aggregate.op)));
        };
        let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
        for (labels, value) in vector {
            let key = grouped(aggregate, labels);
            groups.entry(key).or_default().push(value);
        }
        let fold = |values: &[f64]| match aggregate.op.as_str() {
            "sum" => values.iter().sum(),
            "avg" => values.iter().sum::<f64>() / length(values),
            "min" => values.iter().copied().fold(f64::INFINITY, f64::min),
            "max" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            _ => length(values),
        };
        let folded = groups
            .into_iter()
            .map(|(labels, values)| (labels, fold(&values)));
        Ok(Value::Vector(folded.collect()))
    }
}

fn length(values: &[f64]) -> f64 {
    super::figures::real(super::figures::count(values.len()))
}

fn grouped(aggregate: &Aggregate, mut labels: Labels) -> Labels {
    labels.remove("__name__");
    match (&aggregate.labels, aggregate.is_without) {
        (None, _) => Labels::new(),
        (Some(names), true) => {
            labels.retain(|name, _| !names.contains(name));
            labels
        }
        (Some(names), false) => {
            labels.retain(|name, _| names.contains(name));
            labels
        }
    }
}

fn fits(matcher: &Matcher, labels: &Labels) -> bool {
    let value = labels.get(&matcher.label).map_or("", String::as_str);
    let is = match matcher.pattern.as_ref() {
        Some(pattern) => pattern.is_match(value),
        None => matcher.value == value,
    };
    is != matcher.is_negated
}

/// Quantiles of histograms whose buckets differ in `le` only, interpolated as Prometheus does.
fn quantiles(part: f64, vector: Vec<(Labels, f64)>) -> Vec<(Labels, f64)> {
    let mut groups: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (mut labels, value) in vector {
        labels.remove("__name__");
        let bound = match labels.remove("le").as_deref() {
            Some("+Inf") => f64::INFINITY,
            Some(le) => match le.parse() {
                Ok(bound) => bound,
                Err(_) => continue,
            },
            None => continue,
        };
        groups.entry(labels).or_default().push((bound, value));
    }
    let mut all = Vec::new();
    for (labels, mut buckets) in groups {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.push((labels, quantile(part, &buckets)));
    }
    all
}

fn quantile(part: f64, buckets: &[(f64, f64)]) -> f64 {
    let total = buckets.last().map_or(0.0, |b| b.1);
    if total <= 0.0 || buckets.len() < 2 {
        return f64::NAN;
    }
    let rank = part * total;
    let at = buckets
        .iter()
        .position(|b| b.1 >= rank)
        .unwrap_or(buckets.len() - 1);
    if buckets[at].0.is_infinite() {
        return buckets[buckets.len() - 2].0;
    }
    let (from, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    let inside = buckets[at].1 - below;
    if inside <= 0.0 {
        return buckets[at].0;
    }
    from + (buckets[at].0 - from) * (rank - below) / inside
}

fn binary(op: &str, left: Value, right: Value) -> Result<Value, QueryError> {
    let keep = |l: f64, r: f64| -> Option<f64> {
        let is = match op {
            "+" => return Some(l + r),
            "-" => return Some(l - r),
            "*" => return Some(l * r),
            "/" => return Some(l / r),
            ">" => l > r,
            "<" => l < r,
            ">=" => l >= r,
            "<=" => l <= r,
            "==" => (l - r).abs() < f64::EPSILON,
            _ => (l - r).abs() >= f64::EPSILON,
        };
        is.then_some(l)
    };
    let changes = "+-*/".contains(op);
    let bare = |mut labels: Labels| {
        if changes {
            labels.remove("__name__");
        }
        labels
    };
    match (left, right) {
        (Value::Scalar(l), Value::Scalar(r)) if changes => {
            Ok(Value::Scalar(keep(l, r).unwrap_or(f64::NAN)))
        }
        (Value::Scalar(_), Value::Scalar(_)) => Err(QueryError::Unknown(
            "comparisons between scalars without bool".into(),
        )),
        (Value::Vector(vector), Value::Scalar(r)) => Ok(Value::Vector(
            vector
                .into_iter()
                .filter_map(|(l, v)| Some((bare(l), keep(v, r)?)))
                .collect(),
        )),
        (Value::Scalar(l), Value::Vector(vector)) if changes => Ok(Value::Vector(
            vector
                .into_iter()
                .filter_map(|(n, v)| Some((bare(n), keep(l, v)?)))
                .collect(),
        )),
        (Value::Scalar(_), Value::Vector(_)) => Err(QueryError::Unknown(
            "comparisons with a scalar on the left".into(),
        )),
        (Value::Vector(left), Value::Vector(right)) => {
            let nameless = |labels: &Labels| {
                let mut labels = labels.clone();
                labels.remove("__name__");
                labels
            };
            let right: BTreeMap<Labels, f64> =
                right.iter().map(|(l, v)| (nameless(l), *v)).collect();
            let matched = left.into_iter().filter_map(|(labels, l)| {
                let r = right.get(&nameless(&labels))?;
                Some((bare(labels), keep(l, *r)?))
            });
            Ok(Value::Vector(matched.collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(metric: &str, _: Ms) -> Vec<Series> {
        let points = |per_s: f64| -> Vec<Point> {
            (0..13)
                .map(|n| Point {
                    at: n * 5_000,
                    value: per_s * real_ms(n) * 5.0,
                })
                .collect()
        };
        let labels = |instance: &str, status: &str| {
            BTreeMap::from([
                ("instance".to_owned(), instance.to_owned()),
                ("status".to_owned(), status.to_owned()),
            ])
        };
        if metric != "http_requests_total" {
            return Vec::new();
        }
        vec![
            Series {
                labels: labels("21:5000", "200"),
                points: points(9.0),
            },
            Series {
                labels: labels("21:5000", "500"),
                points: points(1.0),
            },
            Series {
                labels: labels("22:5000", "200"),
                points: points(10.0),
            },
        ]
    }

    const SOURCE: Source<'static> = Source {
        series: &series,
        wall_s: &|at| 1_000_000.0 + real_ms(at) / 1_000.0,
    };

    #[track_caller]
    fn check(text: &str, expected: &[(&str, f64)]) {
        let Value::Vector(vector) = evaluate(text, 60_000, SOURCE).expect(text) else {
            panic!("{text}: not a vector");
        };
        let seen: Vec<(String, f64)> = vector
            .into_iter()
            .map(|(labels, v)| {
                (
                    labels.get("instance").cloned().unwrap_or_default(),
                    (v * 1e6).round() / 1e6,
                )
            })
            .collect();
        let expected: Vec<(String, f64)> = expected
            .iter()
            .map(|(l, v)| ((*l).to_owned(), *v))
            .collect();
        assert_eq!(seen, expected, "{text}");
    }

    #[test]
    fn rates_are_summed_and_compared() {
        check("sum(rate(http_requests_total[1m]))", &[("", 20.0)]);
        check(
            "sum by (instance) (rate(http_requests_total[1m]))",
            &[("21:5000", 10.0), ("22:5000", 10.0)],
        );
        check(
            "sum(rate(http_requests_total[1m])) by (instance)",
            &[("21:5000", 10.0), ("22:5000", 10.0)],
        );
        check(
            "sum by (instance) (rate(http_requests_total{status=~\"5..\"}[1m])) / sum by (instance) (rate(http_requests_total[1m])) > 0.05",
            &[("21:5000", 0.1)],
        );
        check("sum(rate(http_requests_total[1m])) > 21", &[]);
        check(
            "2 * sum(increase(http_requests_total{status!=\"500\"}[1m]))",
            &[("", 2280.0)],
        );
        check("nothing_known", &[]);
    }

    #[test]
    fn moments_are_those_of_peoples_clocks() {
        check(
            "max by (instance) (timestamp(http_requests_total{status=\"200\"}))",
            &[("21:5000", 1_000_060.0), ("22:5000", 1_000_060.0)],
        );
        check("vector(time())", &[("", 1_000_060.0)]);
    }

    #[test]
    fn quantiles_interpolate() {
        let buckets = [(0.1, 50.0), (0.5, 100.0), (f64::INFINITY, 100.0)];
        assert!((quantile(0.75, &buckets) - 0.3).abs() < 1e-9);
        assert!(quantile(0.5, &[(0.1, 0.0), (f64::INFINITY, 0.0)]).is_nan());
    }

    #[test]
    fn what_is_not_known_is_named() {
        let error = |text| evaluate(text, 0, SOURCE).expect_err(text).to_string();
        assert!(error("predict_linear(x[5m], 3600)").contains("predict_linear"));
        assert!(error("sum(").contains("parse error"));
        assert!(error("x[5m]").contains("range vector"));
    }
}
