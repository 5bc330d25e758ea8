//! What the environment says; the only reader of it.

use std::env;
use std::time::Duration;

/// The settings of one replica, with the defaults of the reference stack.
#[derive(Clone)]
pub(crate) struct Config {
    /// TCP port of the API, of `/healthz` and of `/metrics`.
    pub(crate) port: u16,
    /// How long a replica told to stop still accepts connections.
    pub(crate) drain: Duration,
    /// The test routes `/api/slow` and `/api/fail` exist.
    pub(crate) chaos: bool,
    /// Release label, shown by `/api/ping`.
    pub(crate) release: String,
    /// Who serves: the container's host name.
    pub(crate) replica: String,
    pub(crate) postgres: tokio_postgres::Config,
    /// `host:port` of Redis.
    pub(crate) redis: String,
}

/// A database that does not take a connection by then is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

impl Config {
    /// Reads the environment; the error names the variable and what was expected.
    pub(crate) fn from_env() -> Result<Self, String> {
        let mut postgres = tokio_postgres::Config::new();
        postgres
            .host(text("POSTGRES_HOST", "postgres"))
            .port(number("POSTGRES_PORT", 5432)?)
            .user(text("POSTGRES_USER", "hyper"))
            .dbname(text("POSTGRES_DB", "hyper_mission"))
            .application_name("hyper-mission-server")
            .connect_timeout(CONNECT_LIMIT)
            .keepalives_idle(Duration::from_secs(10));
        if let Ok(password) = env::var("POSTGRES_PASSWORD") {
            postgres.password(password);
        }
        Ok(Self {
            port: number("PORT", 5000)?,
            drain: Duration::from_millis(number("DRAIN_MS", 500)?),
            chaos: env::var("CHAOS").is_ok_and(|value| value == "1"),
            release: text("RELEASE", "1"),
            replica: hostname(),
            postgres,
            redis: text("REDIS", "redis:6379"),
        })
    }
}

fn text(name: &str, default: &str) -> String {
    env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| default.to_owned())
}

fn number<N: std::str::FromStr>(name: &str, default: N) -> Result<N, String> {
    match env::var(name) {
        Err(_) => Ok(default),
        Ok(value) => value
            .parse()
            .map_err(|_| format!("{name}={value:?}: expected a whole number in range")),
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| text("HOSTNAME", "unknown"))
}
