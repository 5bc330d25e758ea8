//! `redis`: it answers, it keeps what it is told, it has a limit and a policy; its Sentinels agree on a master.
//!
//! Asked over its own protocol, or with the `redis-cli` of its own container. That nothing was saved for long says
//! nothing while nothing has changed: the age that counts is that of changes that are not on disk.

mod ask;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_number, suits_text, wishes};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, FaultKind, SecretPlace, Timestamp, Unit};
use crate::link::redis::Reply;
use crate::link::url::Place;

/// The start of `redis-cli`, and the way there.
const DEADLINE: Duration = Duration::from_secs(15);

const PORT: u16 = 6379;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// In whose container `redis-cli` asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Clean>,
    /// Or where it listens: `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Clean>,
    /// Inside the container; a Sentinel listens on 26379.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Clean>,
    /// Where it lies: `{ env = "NAME" }` or `{ file = "path" }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretPlace>,
    /// What must be kept on disk, and have been written well the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// For how long there have been changes that no snapshot holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<Expectation>,
    /// What it does when its memory is full: `== volatile-ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Expectation>,
    /// The limit of its memory; none is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Expectation>,
    /// How much of the limit is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Expectation>,
    /// `master` or `slave`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Expectation>,
    /// How many replicas hang on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Expectation>,
    /// Asked of a Sentinel: enough of them must be there to elect another master of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Clean>,
    /// Where the master of that name is: `== 10.0.0.2:6379`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<Expectation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persistence {
    Aof,
    Rdb,
    Both,
}

impl Persistence {
    fn word(self) -> &'static str {
        match self {
            Self::Aof => "aof",
            Self::Rdb => "rdb",
            Self::Both => "aof and rdb",
        }
    }
}

/// `name:value` lines of `INFO`.
struct Info<'a>(&'a str);

impl<'a> Info<'a> {
    fn get(&self, name: &str) -> Result<&'a str, Fault> {
        let found = self.0.lines().find_map(|line| {
            let (key, value) = line.trim_end().split_once(':')?;
            (key == name).then_some(value)
        });
        found.ok_or_else(|| {
            let text = format!("redis does not say its {name}");
            Fault::new(FaultKind::Unsupported, text)
                .remedy("check that this user may ask INFO, and that it is Redis 5 or later")
        })
    }

    fn number(&self, name: &str) -> Result<f64, Fault> {
        let text = self.get(name)?;
        text.parse().map_err(|_| {
            let text = format!("redis says {name}:{}", Clean::line(text));
            Fault::new(FaultKind::Garbled, text)
        })
    }
}

impl Redis {
    fn place(&self) -> Clean {
        match (&self.address, &self.service) {
            (Some(address), _) => address.clone(),
            (None, service) => service.clone().unwrap_or_default(),
        }
    }

    fn wants_info(&self) -> bool {
        self.persistence.is_some()
            || [
                &self.unsaved,
                &self.policy,
                &self.memory,
                &self.used,
                &self.role,
                &self.replicas,
            ]
            .iter()
            .any(|wanted| wanted.is_some())
    }

    fn questions(&self) -> Vec<Vec<String>> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let mut all: Vec<Vec<String>> = vec![words(&["PING"])];
        if self.wants_info() {
            all.push(words(&["INFO"]));
        }
        if let Some(name) = &self.quorum {
            all.push(words(&["SENTINEL", "ckquorum", name]));
            all.push(words(&["SENTINEL", "get-master-addr-by-name", name]));
        }
        all
    }

    fn seen(&self, replies: &[Reply], now: Timestamp) -> Result<Seen, Fault> {
        let mut seen = Seen::default();
        let mut replies = replies.iter();
        let mut next = || replies.next().unwrap_or(&Reply::Nothing);
        let mut got = serde_json::Map::new();
        match next() {
            Reply::Text(text) if text == "PONG" => seen.note("it answers"),
            Reply::Refused(why) => return Err(refused(why)),
            _ => {
                let text = "redis answers a ping with something else";
                return Err(Fault::new(FaultKind::Garbled, text).remedy("check the port"));
            }
        }
        if self.wants_info() {
            match next() {
                Reply::Text(text) => self.info_seen(&Info(text), now, &mut seen, &mut got)?,
                Reply::Refused(why) => return Err(refused(why)),
                _ => return Err(Fault::new(FaultKind::Garbled, "INFO is no text")),
            }
        }
        if let Some(name) = &self.quorum {
            let quorum = next().clone();
            self.sentinel_seen(name, &quorum, next(), &mut seen, &mut got)?;
        }
        seen.got = Value::Object(got);
        Ok(seen)
    }

    fn info_seen(
        &self,
        info: &Info<'_>,
        now: Timestamp,
        seen: &mut Seen,
        got: &mut serde_json::Map<String, Value>,
    ) -> Result<(), Fault> {
        if info.number("loading")? > 0.0 {
            let text = "redis still loads its data";
            return Err(Fault::new(FaultKind::Silent, text).remedy("look again when it has"));
        }
        if let Some(wanted) = self.persistence {
            persisted(wanted, info, seen, got)?;
        }
        if let Some(expected) = &self.unsaved {
            let changes = info.number("rdb_changes_since_last_save")?;
            let saved = info.number("rdb_last_save_time")?;
            let age = if changes > 0.0 {
                (seconds(now) - saved).max(0.0)
            } else {
                0.0
            };
            got.insert("changes_since_last_save".into(), json!(changes));
            seen.number("unsaved for", age, Unit::Seconds, expected);
        }
        if let Some(expected) = &self.policy {
            let policy = Clean::line(info.get("maxmemory_policy")?);
            seen.text("policy", &policy, expected);
        }
        if self.memory.is_some() || self.used.is_some() {
            let limit = info.number("maxmemory")?;
            if limit <= 0.0 {
                seen.failures
                    .push("redis has no limit of memory (maxmemory 0)".into());
            } else {
                let used = info.number("used_memory")? / limit;
                if let Some(expected) = &self.memory {
                    seen.number("memory limit", limit, Unit::Bytes, expected);
                }
                if let Some(expected) = &self.used {
                    seen.number("memory used", used, Unit::Ratio, expected);
                }
            }
        }
        if let Some(expected) = &self.role {
            seen.text("role", &Clean::line(info.get("role")?), expected);
        }
        if let Some(expected) = &self.replicas {
            let count = info.number("connected_slaves")?;
            seen.number("replicas", count, Unit::Count, expected);
        }
        Ok(())
    }

    fn sentinel_seen(
        &self,
        name: &Clean,
        quorum: &Reply,
        master: &Reply,
        seen: &mut Seen,
        got: &mut serde_json::Map<String, Value>,
    ) -> Result<(), Fault> {
        match quorum {
            Reply::Text(text) if text.starts_with("OK") => seen.note(Clean::line(text)),
            Reply::Refused(why) if why.starts_with("NOQUORUM") => {
                seen.failures.push(Clean::line(why));
            }
            Reply::Refused(why) if why.contains("No such master") => {
                let text = format!("the Sentinel watches no master of the name {name}");
                seen.failures.push(text.into());
            }
            Reply::Refused(why) => return Err(refused(why)),
            _ => return Err(Fault::new(FaultKind::Garbled, "ckquorum gives no word")),
        }
        let address = match master {
            Reply::List(parts) => match parts.as_slice() {
                [Reply::Text(host), Reply::Text(port)] => Some(format!("{host}:{port}")),
                _ => None,
            },
            _ => None,
        };
        got.insert("master".into(), json!(address.as_deref().map(Clean::line)));
        match (&self.master, address) {
            (Some(expected), Some(address)) => {
                seen.text("master", &Clean::line(&address), expected);
            }
            (Some(_), None) => {
                let text = format!("the Sentinel knows no address of {name}");
                seen.failures.push(text.into());
            }
            (None, Some(address)) => seen.note(Clean::line(&format!("master {address}"))),
            (None, None) => {}
        }
        Ok(())
    }
}

/// What must be kept is kept, and its last writing went well.
fn persisted(
    wanted: Persistence,
    info: &Info<'_>,
    seen: &mut Seen,
    got: &mut serde_json::Map<String, Value>,
) -> Result<(), Fault> {
    let (aof, rdb) = match wanted {
        Persistence::Aof => (true, false),
        Persistence::Rdb => (false, true),
        Persistence::Both => (true, true),
    };
    let mut well = |what: &str, field: &str| -> Result<(), Fault> {
        let status = Clean::line(info.get(field)?);
        got.insert(field.to_owned(), json!(status));
        if status == "ok" {
            seen.note(format!("{what} written well"));
        } else {
            let text = format!("the last writing of the {what} failed ({field}:{status})");
            seen.failures.push(text.into());
        }
        Ok(())
    };
    if rdb {
        well("snapshot", "rdb_last_bgsave_status")?;
    }
    if aof {
        if info.number("aof_enabled")? > 0.0 {
            well("append-only file", "aof_last_write_status")?;
        } else {
            seen.failures
                .push("redis keeps no append-only file (aof_enabled:0)".into());
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
fn seconds(now: Timestamp) -> f64 {
    (now.0 / 1000) as f64
}

fn refused(why: &str) -> Fault {
    let text = format!("redis refuses: {}", Clean::line(why));
    let word = why.split_whitespace().next().unwrap_or_default();
    match word {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Fault::new(FaultKind::Denied, text)
            .remedy("say where its password lies: password = { env = \"NAME\" }"),
        "DENIED" => Fault::new(FaultKind::Denied, text)
            .remedy("it is in protected mode: ask in its own container, with service"),
        "LOADING" => Fault::new(FaultKind::Silent, text).remedy("look again when it has loaded"),
        _ => Fault::new(FaultKind::Garbled, text)
            .remedy("check that the port is the right one: a Sentinel listens on 26379"),
    }
}

impl Kind for Redis {
    fn describe(&self) -> Clean {
        let mut parts = vec!["answers".to_owned()];
        if let Some(wanted) = self.persistence {
            parts.push(format!("keeps {}", wanted.word()));
        }
        let wishes = wishes([
            ("unsaved for", self.unsaved.as_ref()),
            ("policy", self.policy.as_ref()),
            ("memory limit", self.memory.as_ref()),
            ("memory used", self.used.as_ref()),
            ("role", self.role.as_ref()),
            ("replicas", self.replicas.as_ref()),
            ("master", self.master.as_ref()),
        ]);
        if let Some(name) = &self.quorum {
            parts.push(format!("quorum for {name}"));
        }
        if !wishes.is_empty() {
            parts.push(wishes);
        }
        Clean::from(format!("redis {}: {}", self.place(), parts.join(", ")))
    }

    fn problems(&self) -> Vec<Clean> {
        let mut problems: Vec<Clean> = Vec::new();
        match (&self.service, &self.address) {
            (Some(_), None) => {}
            (None, Some(address)) => {
                let place = Place::parse(address, Some(PORT));
                problems.extend(place.err().map(|fault| Clean::from(fault.to_string())));
                if self.port.is_some() {
                    problems.push("port: write it into the address".into());
                }
            }
            _ => problems.push("say either service or address".into()),
        }
        let texts = [
            ("policy", &self.policy),
            ("role", &self.role),
            ("master", &self.master),
        ];
        for (what, expected) in texts {
            problems.extend(expected.as_ref().and_then(|e| suits_text(what, e)));
        }
        let numbers = [
            ("unsaved", &self.unsaved, Unit::Seconds),
            ("memory", &self.memory, Unit::Bytes),
            ("used", &self.used, Unit::Ratio),
            ("replicas", &self.replicas, Unit::Count),
        ];
        for (what, expected, unit) in numbers {
            problems.extend(expected.as_ref().and_then(|e| suits_number(what, e, unit)));
        }
        if self.master.is_some() && self.quorum.is_none() {
            problems.push("master is asked of a Sentinel by name; say quorum = \"NAME\"".into());
        }
        let name = self.quorum.as_ref();
        if name.is_some_and(|name| name.is_empty() || name.contains(char::is_whitespace)) {
            problems.push("quorum: this is no name of a master".into());
        }
        problems
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        let asked: Vec<Clean> = self
            .questions()
            .iter()
            .map(|words| Clean::line(&words.join(" ")))
            .collect();
        json!({ "to": self.place(), "port": self.port, "asked": asked })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let replies = self.replies(eyes).await?;
        self.seen(&replies, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Persistence\r\nloading:0\r\nrdb_changes_since_last_save:3\r\nrdb_last_bgsave_status:ok\r\nrdb_last_save_time:1000\r\naof_enabled:1\r\naof_last_write_status:ok\r\nmaxmemory:1000\r\nused_memory:400\r\nmaxmemory_policy:noeviction\r\nrole:master\r\nconnected_slaves:1\r\n";

    fn kind(fields: &str) -> Redis {
        let kind: Redis = toml::from_str(&format!("service = 'redis'\n{fields}")).unwrap();
        assert_eq!(kind.problems(), Vec::<Clean>::new(), "{fields}");
        kind
    }

    #[track_caller]
    fn check(fields: &str, info: &str, holds: bool) {
        let replies = [Reply::Text("PONG".into()), Reply::Text(info.into())];
        let seen = kind(fields).seen(&replies, Timestamp(1_060_000)).unwrap();
        let all = seen.tests.iter().all(|t| t.expected.holds(&t.measured));
        assert_eq!(all && seen.failures.is_empty(), holds, "{fields}: {seen:?}");
    }

    #[test]
    fn what_redis_says_of_itself_is_compared() {
        check("persistence = 'both'", INFO, true);
        let no_aof = INFO.replace("aof_enabled:1", "aof_enabled:0");
        check("persistence = 'aof'", &no_aof, false);
        check("persistence = 'rdb'", &no_aof, true);
        let failed = INFO.replace("bgsave_status:ok", "bgsave_status:err");
        check("persistence = 'rdb'", &failed, false);
        check("unsaved = '< 2 min'", INFO, true);
        check("unsaved = '< 30 s'", INFO, false);
        check("policy = '== noeviction'", INFO, true);
        check("memory = '<= 1 KB'\nused = '< 50 %'", INFO, true);
        check("used = '< 10 %'", INFO, false);
        check(
            "memory = '> 0 B'",
            &INFO.replace("maxmemory:1000", "maxmemory:0"),
            false,
        );
        check("role = '== master'\nreplicas = '>= 1'", INFO, true);
    }

    #[test]
    fn an_idle_redis_has_nothing_unsaved() {
        let idle = INFO.replace("save:3", "save:0");
        check("unsaved = '< 1 s'", &idle, true);
    }

    #[test]
    fn what_redis_does_not_say_is_not_known() {
        let replies = [Reply::Text("PONG".into()), Reply::Text("loading:0".into())];
        let fault = kind("persistence = 'rdb'").seen(&replies, Timestamp(0));
        assert!(fault.unwrap_err().text.contains("does not say"));
        let denied = [Reply::Refused("NOAUTH Authentication required.".into())];
        let fault = kind("").seen(&denied, Timestamp(0)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Denied);
    }

    #[test]
    fn sentinels_agree_or_do_not() {
        let kind = kind("port = 26379\nquorum = 'mymaster'\nmaster = '== 10.0.0.2:6379'");
        let master =
            |host: &str| Reply::List(vec![Reply::Text(host.into()), Reply::Text("6379".into())]);
        let ok = Reply::Text(
            "OK 3 usable Sentinels. Quorum and failover authorization can be reached".into(),
        );
        let no = Reply::Refused("NOQUORUM 1 usable Sentinels.".into());
        for (quorum, host, good) in [
            (&ok, "10.0.0.2", true),
            (&ok, "10.0.0.3", false),
            (&no, "10.0.0.2", false),
        ] {
            let replies = [Reply::Text("PONG".into()), quorum.clone(), master(host)];
            let seen = kind.seen(&replies, Timestamp(0)).unwrap();
            let all = seen.tests.iter().all(|t| t.expected.holds(&t.measured));
            assert_eq!(all && seen.failures.is_empty(), good, "{seen:?}");
        }
    }
}
