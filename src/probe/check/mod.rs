//! A probe with an expectation: *pass*, *fail* or *could not run*, with its evidence. A file per kind.
//!
//! A check looks through the same clients and probes as the watches do and changes nothing. What it could not see is
//! neither good nor bad, and says so.

mod backup;
mod command;
mod containers;
mod cookie;
mod dns;
mod file;
mod flow;
mod grafana;
mod headers;
mod hosts;
mod hsts;
mod http;
mod load;
mod port;
mod prometheus;
mod promql;
mod reach;
mod redis;
mod run;
mod seen;
mod sql;
mod tls;
mod traffic;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::domain::{Clean, Fault, FaultKind, Stack, Timestamp};
use crate::link::docker::Engine;
use crate::link::prometheus::Prometheus;
use crate::link::tls::Roots;

pub use self::http::Http;
pub use crate::domain::{Outcome, Verdict};
pub use backup::Backup;
pub use command::Command;
pub use containers::Containers;
pub use cookie::CookieFlag;
pub use dns::Dns;
pub use file::File;
pub use flow::Flow;
pub use grafana::Grafana;
pub use headers::Headers;
pub use load::Load;
pub use port::Port;
pub use prometheus::Prometheus as PrometheusCheck;
pub use promql::Promql;
pub use reach::{PastRun, PastRuns, Reach, Runs, Secrets};
pub use redis::Redis;
pub use run::Run;
pub use sql::Sql;
pub use tls::Tls;
pub use traffic::Traffic;

use seen::Seen;

/// What a check may look with, given by the shell. Cheap to clone; opens nothing by itself.
#[derive(Clone)]
pub struct Eyes {
    pub engine: Engine,
    /// Whose containers, traffic sources and certificates.
    pub stack: Arc<Stack>,
    /// With its token.
    pub prometheus: Option<Prometheus>,
    pub roots: Arc<Roots>,
    /// Authorities that are trusted beside the system's, where nothing else names them.
    pub ca_file: Option<PathBuf>,
    /// `https://localhost:8443`: what a URL that is only a path belongs to.
    pub gateway: Option<Clean>,
    /// Secrets and the journal's runs, fetched by the shell.
    pub reach: Reach,
}

/// A check of any kind, as a document writes it: `kind = "http"` and the fields of that kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Check {
    Containers(Containers),
    Traffic(Traffic),
    /// Far larger than the others: it can expect most.
    Http(Box<Http>),
    Tls(Tls),
    Headers(Headers),
    Promql(Promql),
    Sql(Sql),
    Command(Command),
    Backup(Backup),
    Port(Port),
    Dns(Dns),
    File(File),
    Prometheus(PrometheusCheck),
    Grafana(Grafana),
    Redis(Redis),
    Run(Run),
    Load(Load),
    Flow(Flow),
}

/// What every kind can do.
trait Kind {
    /// One line, as a thing that is or is not so: `server: healthy >= 2`.
    fn describe(&self) -> Clean;

    /// What is wrong with it whatever it may see: an expectation that says nothing about what is measured.
    fn problems(&self) -> Vec<Clean>;

    /// Ends by itself before this; after it the check has failed to look.
    fn deadline(&self) -> Duration;

    /// What will be asked, for the evidence; known also when nothing comes back.
    fn sent(&self) -> Value;

    /// Looks once. Cancel-safe.
    fn look(&self, eyes: &Eyes, now: Timestamp)
    -> impl Future<Output = Result<Seen, Fault>> + Send;
}

/// Calls the same on whatever kind it is.
macro_rules! each {
    ($check:expr, $of:ident => $call:expr) => {
        match $check {
            Check::Containers($of) => $call,
            Check::Traffic($of) => $call,
            Check::Http(boxed) => {
                let $of = &**boxed;
                $call
            }
            Check::Tls($of) => $call,
            Check::Headers($of) => $call,
            Check::Promql($of) => $call,
            Check::Sql($of) => $call,
            Check::Command($of) => $call,
            Check::Backup($of) => $call,
            Check::Port($of) => $call,
            Check::Dns($of) => $call,
            Check::File($of) => $call,
            Check::Prometheus($of) => $call,
            Check::Grafana($of) => $call,
            Check::Redis($of) => $call,
            Check::Run($of) => $call,
            Check::Load($of) => $call,
            Check::Flow($of) => $call,
        }
    };
}

impl Check {
    /// One line, as a thing that is or is not so: `server: healthy >= 2`.
    pub fn describe(&self) -> Clean {
        each!(self, of => of.describe())
    }

    /// What is wrong with it whatever it may see, each with its remedy. Empty: it can be made.
    pub fn problems(&self) -> Vec<Clean> {
        each!(self, of => of.problems())
    }

    /// It changes something on the other side: nothing to repeat every few seconds.
    pub fn writes(&self) -> bool {
        matches!(self, Self::Flow(flow) if flow.writes())
    }

    /// Makes it once. Ends within its deadline and never fails otherwise than by its verdict.
    pub async fn run(&self, eyes: &Eyes, now: Timestamp) -> Outcome {
        each!(self, of => made(of, eyes, now).await)
    }
}

async fn made(check: &impl Kind, eyes: &Eyes, now: Timestamp) -> Outcome {
    let begun = Instant::now();
    let seen = match check.problems().into_iter().next() {
        Some(problem) => Err(Fault::new(FaultKind::Misconfigured, problem)),
        None => {
            let limit = check.deadline();
            match timeout(limit, check.look(eyes, now)).await {
                Ok(seen) => seen,
                Err(_) => {
                    let text = format!("{}: nothing seen within {limit:?}", check.describe());
                    Err(Fault::new(FaultKind::Silent, text))
                }
            }
        }
    };
    let took = begun.elapsed();
    let (verdict, said, evidence) = seen::judged(&check.sent(), seen);
    Outcome {
        verdict,
        said,
        evidence,
        at: now.plus(took),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The fault of a check that needs something which the configuration does not name.
fn unconfigured(what: &str, remedy: &str) -> Fault {
    Fault::new(FaultKind::Misconfigured, what).remedy(remedy)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::Environment;
    use crate::link::docker::Address;
    use serde_json::json;

    /// Eyes that reach nothing: there is no engine, and nobody to ask.
    pub(in crate::probe) fn blind() -> Eyes {
        let mut stack = Stack::discovered("shop".into());
        stack.environment = Environment::Development;
        let address = Address::Unix("/nowhere/docker.sock".into());
        Eyes {
            engine: Engine::new(address, "/nowhere"),
            stack: Arc::new(stack),
            prometheus: None,
            roots: Roots::system_lazily(),
            ca_file: None,
            gateway: None,
            reach: Reach::nothing(),
        }
    }

    pub(in crate::probe) fn read(toml: &str) -> Check {
        toml::from_str(toml).unwrap()
    }

    /// Every kind once, as a document writes it, and as one line tells it.
    const KINDS: [(&str, &str); 17] = [
        (
            "kind = 'containers'\nservice = 'server'\nhealthy = '>= 2'",
            "server: healthy >= 2",
        ),
        (
            "kind = 'traffic'\nservice = 'server'\nerrors = '< 5 %'\np95 = '< 500 ms'",
            "traffic of server: errors < 5 %, p95 < 500 ms",
        ),
        (
            "kind = 'http'\nurl = 'https://shop.eu/'\nstatus = 200\nttfb = '< 100 ms'\nheader = { 'Cache-Control' = 'contains max-age' }",
            "GET https://shop.eu/: status == 200, ttfb < 100 ms, header Cache-Control contains max-age",
        ),
        (
            "kind = 'tls'\nendpoint = 'shop.eu:443'\ndays = '> 21'",
            "certificate of shop.eu:443: days left > 21",
        ),
        (
            "kind = 'promql'\nquery = 'sum(up)'\nvalue = '>= 3'",
            "sum(up) >= 3",
        ),
        (
            "kind = 'sql'\nservice = 'postgres'\ndatabase = 'app'\nquery = 'SELECT 1'\nvalue = '== 1'",
            "SELECT 1 in app: value == 1",
        ),
        (
            "kind = 'headers'\nurl = '/'\ngrade = '>= B'",
            "headers of /: grade >= B",
        ),
        (
            "kind = 'command'\nargv = ['/bin/true']\nexit = 0",
            "/bin/true: exit == 0",
        ),
        (
            "kind = 'port'\naddress = 'shop.eu:443'\nwithin = '< 1 s'",
            "port shop.eu:443: open, connected in < 1 s",
        ),
        (
            "kind = 'dns'\nname = 'shop.eu'\nrecord = 'AAAA'\ncount = '>= 2'",
            "AAAA of shop.eu: how many >= 2",
        ),
        (
            "kind = 'file'\npath = '/etc/db.env'\nin = 'server'\nmode = '== 0640'",
            "/etc/db.env in server: mode == 0640",
        ),
        (
            "kind = 'prometheus'\njob = 'server'\nup = '>= 3'\nrule = 'HighErrorRate'\nthreshold = '> 5 %'",
            "targets of server: up >= 3; rule HighErrorRate: compares > 5 %",
        ),
        (
            "kind = 'grafana'\nurl = 'http://127.0.0.1:3003'\ndatasources = ['Prometheus']",
            "grafana at http://127.0.0.1:3003: well, data source Prometheus",
        ),
        (
            "kind = 'redis'\nservice = 'redis'\npersistence = 'aof'\npolicy = '== noeviction'",
            "redis redis: answers, keeps aof, policy == noeviction",
        ),
        (
            "kind = 'run'\nrunbook = 'backup'\nage = '< 30 d'\ntook = '< 15 min'",
            "the last good run of backup: age < 30 d, took < 15 min",
        ),
        (
            "kind = 'load'\nurl = '/api/ping'\nrate = 100\nfor = '20s'\nfailed = 0\neven = true",
            "load of 100 requests a second on /api/ping for 20s: failed == 0, even share",
        ),
        (
            "kind = 'flow'\nsteps = [{ method = 'POST', path = '/login' }, { path = '/me' }]",
            "journey of 2 requests, POST /login to GET /me (WRITES, and leaves what it wrote)",
        ),
    ];

    #[test]
    fn every_kind_is_read_described_and_written_again() {
        for (text, line) in KINDS {
            let check = read(text);
            assert_eq!(check.describe(), line);
            assert_eq!(check.problems(), Vec::<Clean>::new());
            let written = serde_json::to_value(&check).unwrap();
            assert_eq!(serde_json::from_value::<Check>(written).unwrap(), check);
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_refused() {
        for (text, _) in KINDS {
            let error = toml::from_str::<Check>(&format!("{text}\nsurprise = 1")).unwrap_err();
            assert!(error.to_string().contains("surprise"), "{error}");
        }
        let error = serde_json::from_value::<Check>(json!({"kind": "magic"})).unwrap_err();
        assert!(error.to_string().contains("magic"), "{error}");
    }

    #[track_caller]
    fn problem(text: &str, says: &str) {
        let problems = read(text).problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(says), "{problems:?}");
    }

    #[test]
    fn an_expectation_that_says_nothing_is_found_before_it_is_needed() {
        problem(
            "kind = 'http'\nurl = 'https://shop.eu/'\nttfb = '< 5 %'",
            "ttfb: \"< 5 %\": a time is measured",
        );
        problem(
            "kind = 'tls'\nendpoint = 'shop.eu:443'\ndays = 'contains 3'",
            "days",
        );
        problem(
            "kind = 'containers'\nservice = 'server'\nhealthy = '> 1 ms'",
            "without a unit",
        );
        problem(
            "kind = 'containers'\nservice = 'server'",
            "nothing is expected",
        );
        problem("kind = 'http'\nurl = 'ftp://shop.eu/'", "ftp");
        problem("kind = 'http'\nurl = '/'\nmethod = 'POST'", "POST");
        problem("kind = 'http'\nurl = '/'\ntimes = 1000", "load");
        problem("kind = 'http'\nurl = '/'\npercentile = 99", "set times");
        problem("kind = 'http'\nurl = '/'\ncompressed = '< 3 s'", "part");
        problem("kind = 'headers'\nurl = '/'", "nothing is expected");
        problem(
            "kind = 'tls'\nendpoint = 'shop.eu:443'\ngrade = '== good'",
            "a grade",
        );
        problem("kind = 'command'\nargv = ['ls']", "absolute");
        problem("kind = 'promql'\nquery = ' '\nvalue = '> 1'", "query");
    }

    #[tokio::test]
    async fn what_could_not_be_seen_is_neither_good_nor_bad() {
        let eyes = blind();
        for text in [
            KINDS[0].0,
            KINDS[1].0,
            KINDS[4].0,
            KINDS[5].0,
            "kind = 'http'\nurl = '/api'",
            "kind = 'http'\nurl = 'http://127.0.0.1:1/'",
            "kind = 'tls'\nendpoint = '127.0.0.1:1'\ndays = '> 1'",
            "kind = 'command'\nargv = ['/nowhere/program']",
            "kind = 'command'\nargv = ['ls']",
        ] {
            let outcome = read(text).run(&eyes, Timestamp(5)).await;
            assert_eq!(outcome.verdict, Verdict::CouldNotRun, "{text}: {outcome:?}");
            assert!(!outcome.said.is_empty());
            assert!(outcome.evidence["fault"]["kind"].is_string(), "{text}");
            assert!(outcome.at >= Timestamp(5));
        }
    }
}
