//! Log lines as bytes: each service in its own manner, stamped with the time of people's clocks.

use serde_json::json;

use super::clock::Clock;
use super::figures::real_ms;
use super::world::{Attempt, LogLine, Request, Saying};

/// The lines of one entry, without their line ends.
pub(super) fn lines(line: &LogLine, clock: &Clock, network: Network) -> Vec<String> {
    let at = line.at;
    let text = match &line.saying {
        Saying::Access(request) => access(request, clock, network),
        Saying::Json { level, text } => json!({
            "level": level,
            "time": clock.format(at, "%Y-%m-%dT%H:%M:%S%.3fZ"),
            "msg": text,
        })
        .to_string(),
        Saying::Postgres { level, text } => {
            format!(
                "{} UTC [1] {level}:  {text}",
                clock.format(at, "%Y-%m-%d %H:%M:%S%.3f")
            )
        }
        Saying::Redis { text } => {
            format!("1:M {} {text}", clock.format(at, "%d %b %Y %H:%M:%S%.3f"))
        }
        Saying::Logfmt { level, text } => {
            format!(
                "ts={} level={level} {text}",
                clock.format(at, "%Y-%m-%dT%H:%M:%S%.3fZ")
            )
        }
        Saying::Nginx { level, text } => {
            format!(
                "{} [{level}] 1#1: {text}",
                clock.format(at, "%Y/%m/%d %H:%M:%S")
            )
        }
        Saying::Plain(text) => text.clone(),
    };
    text.lines().map(str::to_owned).collect()
}

/// The first three parts of the addresses of this range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network(pub(super) [u8; 3]);

impl Network {
    pub(super) fn address(self, host: u8) -> std::net::Ipv4Addr {
        let [a, b, c] = self.0;
        std::net::Ipv4Addr::new(a, b, c, host)
    }

    /// `127.37.4.`
    pub(super) fn front(self) -> String {
        let [a, b, c] = self.0;
        format!("{a}.{b}.{c}.")
    }
}

/// nginx' values for several upstreams are joined by a comma and a blank; absent ones are empty here.
fn joined(attempts: &[Attempt], one: impl Fn(&Attempt) -> String) -> String {
    attempts.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn access(request: &Request, clock: &Clock, network: Network) -> String {
    let attempts = &request.attempts;
    let time = real_ms(clock.wall_ms(request.done)) / 1_000.0;
    let milliseconds = |ms: f64| format!("{:.3}", ms / 1_000.0);
    json!({
        "time": format!("{time:.3}"),
        "remote_addr": request.remote,
        "method": request.method,
        "uri": request.uri,
        "status": request.status,
        "bytes": request.bytes,
        "request_time": milliseconds(request.ms),
        "upstream_addr": joined(attempts, |a| format!("{}:{}", network.address(a.host), a.port)),
        "upstream_status": joined(attempts, |a| a.status.to_string()),
        "upstream_response_time": joined(attempts, |a| milliseconds(a.ms)),
        "request_id": request.id,
    })
    .to_string()
}
