//! Counters in the Prometheus text format, version 0.0.4.
//!
//! `/healthz` and `/metrics` are not counted: a scrape every five seconds would dilute every error rate.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Upper bounds of the duration buckets, in seconds, as they are written.
const BUCKETS: [(&str, f64); 12] = [
    ("0.005", 0.005),
    ("0.01", 0.01),
    ("0.025", 0.025),
    ("0.05", 0.05),
    ("0.1", 0.1),
    ("0.25", 0.25),
    ("0.5", 0.5),
    ("1", 1.0),
    ("2.5", 2.5),
    ("5", 5.0),
    ("7.5", 7.5),
    ("10", 10.0),
];

/// Method and route; both from closed sets, so that no client can add series.
pub(crate) type Family = (&'static str, &'static str);

#[derive(Default)]
struct Durations {
    /// Not cumulative; summed up when written.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum_s: f64,
}

#[derive(Default)]
struct Series {
    requests: BTreeMap<(Family, u16), u64>,
    durations: BTreeMap<Family, Durations>,
}

/// All figures of this process.
pub(crate) struct Metrics {
    started: SystemTime,
    in_flight: AtomicI64,
    series: Mutex<Series>,
}

/// Facts that are not counted here but belong into the same answer.
pub(crate) struct Gauges<'a> {
    pub(crate) database_up: bool,
    pub(crate) draining: bool,
    pub(crate) release: &'a str,
    pub(crate) replica: &'a str,
}

/// Counts as in flight for as long as it lives; a request that is dropped halfway leaves no trace behind.
pub(crate) struct InFlight<'a>(&'a AtomicI64);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            started: SystemTime::now(),
            in_flight: AtomicI64::new(0),
            series: Mutex::new(Series::default()),
        }
    }

    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    pub(crate) fn count(&self, family: Family, status: u16, took: Duration) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        *series.requests.entry((family, status)).or_default() += 1;
        let durations = series.durations.entry(family).or_default();
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|(_, bound)| seconds <= *bound) {
            durations.buckets[bucket] += 1;
        }
        durations.count += 1;
        durations.sum_s += seconds;
    }

    /// The whole exposition.
    pub(crate) fn text(&self, gauges: &Gauges<'_>) -> String {
        let mut out = String::with_capacity(4096);
        self.write_requests(&mut out);
        let started = self
            .started
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let singles = [
            (
                "http_requests_in_flight",
                "Requests being answered now.",
                self.in_flight.load(Ordering::Relaxed).to_string(),
            ),
            (
                "process_start_time_seconds",
                "When this process started, seconds since the epoch.",
                format!("{started:.3}"),
            ),
            (
                "app_database_up",
                "1 when the database answered the last look.",
                flag(gauges.database_up),
            ),
            (
                "app_draining",
                "1 while this replica is told to stop.",
                flag(gauges.draining),
            ),
        ];
        for (name, help, value) in singles {
            line(
                &mut out,
                format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"),
            );
        }
        let (release, replica) = (escaped(gauges.release), escaped(gauges.replica));
        out += "# HELP app_info Who this is.\n# TYPE app_info gauge\n";
        line(
            &mut out,
            format_args!("app_info{{release=\"{release}\",replica=\"{replica}\"}} 1"),
        );
        out
    }

    fn write_requests(&self, out: &mut String) {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        *out +=
            "# HELP http_requests_total Requests answered.\n# TYPE http_requests_total counter\n";
        for (((method, route), status), count) in &series.requests {
            line(
                out,
                format_args!(
                    "http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}"
                ),
            );
        }
        *out += "# HELP http_request_duration_seconds Time to the answer.\n# TYPE http_request_duration_seconds histogram\n";
        for ((method, route), durations) in &series.durations {
            let labels = format!("method=\"{method}\",route=\"{route}\"");
            let mut below = 0;
            for ((bound, _), count) in BUCKETS.iter().zip(durations.buckets) {
                below += count;
                line(
                    out,
                    format_args!(
                        "http_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {below}"
                    ),
                );
            }
            let (count, sum) = (durations.count, durations.sum_s);
            line(
                out,
                format_args!(
                    "http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {count}"
                ),
            );
            line(
                out,
                format_args!("http_request_duration_seconds_sum{{{labels}}} {sum:.6}"),
            );
            line(
                out,
                format_args!("http_request_duration_seconds_count{{{labels}}} {count}"),
            );
        }
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a String cannot fail");
}

fn flag(value: bool) -> String {
    u8::from(value).to_string()
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        metrics.text(&Gauges {
            database_up: true,
            draining: false,
            release: "1",
            replica: "a\"b",
        })
    }

    #[test]
    fn buckets_are_cumulative_and_the_last_one_holds_all() {
        let metrics = Metrics::new();
        for ms in [1, 20, 300, 60_000] {
            metrics.count(("GET", "/api/ping"), 200, Duration::from_millis(ms));
        }
        let text = text(&metrics);
        let bucket =
            |le: &str| format!("_bucket{{method=\"GET\",route=\"/api/ping\",le=\"{le}\"}} ");
        for (le, count) in [
            ("0.005", 1),
            ("0.025", 2),
            ("0.25", 2),
            ("0.5", 3),
            ("10", 3),
            ("+Inf", 4),
        ] {
            assert!(
                text.contains(&format!("{}{count}\n", bucket(le))),
                "{le}: {text}"
            );
        }
        assert!(text.contains(
            "http_requests_total{method=\"GET\",route=\"/api/ping\",status=\"200\"} 4\n"
        ));
    }

    #[test]
    fn a_request_dropped_halfway_is_no_longer_in_flight() {
        let metrics = Metrics::new();
        let request = metrics.begin();
        assert!(text(&metrics).contains("http_requests_in_flight 1\n"));
        drop(request);
        assert!(text(&metrics).contains("http_requests_in_flight 0\n"));
    }

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        assert!(text(&Metrics::new()).contains("replica=\"a\\\"b\""));
    }
}
