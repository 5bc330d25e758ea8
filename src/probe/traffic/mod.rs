//! Requests per replica, from three sources that differ in what they can know.
//!
//! | source | knows | does not know |
//! |---|---|---|
//! | [`MetricsProbe`] | what each replica counted, even with Prometheus down | requests that never reached a replica |
//! | [`PrometheusProbe`] | the same, over a history that began before we looked | the last scrape interval |
//! | [`AccessLogProbe`] | what users got, and every retry | requests that never reached the gateway |
//!
//! All three count over [`WINDOW`], judge by the same rules (`verdict`), and leave a replica that could not be counted
//! out of every sum, with the reason beside it. Moments are those of arrival here; no source's own clock is believed.

mod accesslog;
mod latency;
mod metrics;
mod prometheus;
mod replicas;
mod status;
mod verdict;
mod window;

use std::time::Duration;

pub use accesslog::AccessLogProbe;
pub use metrics::{MetricsProbe, REQUESTS};
pub use prometheus::PrometheusProbe;

/// Short enough to see a deploy go wrong, long enough that a rate does not jump with every look.
pub const WINDOW: Duration = Duration::from_mins(1);

/// A whole number of requests. What is negative, no number or too large is cut to the nearest that can be.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a double saturates, which is what is wanted"
)]
fn whole(requests: f64) -> u64 {
    requests.round() as u64
}

/// A count as a double, for ratios.
#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio needs no more than 52 bits"
)]
fn real(count: u64) -> f64 {
    count as f64
}
