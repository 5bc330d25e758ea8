//! `dns`: what a name leads to, as the name servers of this host say, or one that the document names.
//!
//! A name that has no such record was looked up, and fails; a server that is silent, refuses or fails has told nothing.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, real, suits_number, suits_text, wishes};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, Timestamp, Unit};
use crate::link::dns::{self, Answer, Code, Type};
use crate::link::url::Place;

const PORT: u16 = 53;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    pub name: Clean,
    #[serde(default)]
    pub record: RecordKind,
    /// All that it leads to, sorted, as one text: `192.0.2.1, 192.0.2.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Expectation>,
    /// Each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Expectation>,
    /// How many; without it, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Expectation>,
    /// How long the shortest-lived of them may be remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Expectation>,
    /// The address of a name server to ask instead of those of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Clean>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordKind {
    #[default]
    A,
    #[serde(rename = "AAAA")]
    Aaaa,
    #[serde(rename = "CNAME")]
    Cname,
}

impl RecordKind {
    fn word(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
        }
    }

    fn asked(self) -> Type {
        match self {
            Self::A => Type::A,
            Self::Aaaa => Type::Aaaa,
            Self::Cname => Type::Cname,
        }
    }
}

impl Dns {
    fn own_server(&self) -> Option<Result<SocketAddr, Clean>> {
        let text = self.server.as_ref()?;
        let place = Place::parse(text, Some(PORT)).ok();
        let address = place.and_then(|place| Some(SocketAddr::new(place.ip()?, place.port)));
        Some(address.ok_or_else(|| {
            Clean::from(format!(
                "server: {text:?} is no address; write one such as 192.0.2.53 or 127.0.0.1:5353"
            ))
        }))
    }

    fn seen(&self, answer: &Answer) -> Seen {
        let mut values: Vec<&Clean> = answer.records.iter().map(|r| &r.value).collect();
        values.sort();
        let ttl = answer.records.iter().map(|record| record.ttl_s).min();
        let mut seen = Seen {
            got: json!({
                "records": values,
                "aliases": answer.aliases,
                "ttl_s": ttl,
                "exists": answer.code == Code::NoError,
            }),
            ..Seen::default()
        };
        if let Some(expected) = &self.count {
            seen.number("records", real(values.len()), Unit::Count, expected);
        } else if values.is_empty() {
            let why = match answer.code {
                Code::NoSuchName => "there is no such name",
                Code::NoError | Code::Other(_) => "the name has none",
            };
            let record = self.record.word();
            seen.failures
                .push(format!("no {record} record of {}: {why}", self.name).into());
            return seen;
        }
        let all: Vec<&str> = values.iter().map(|value| value.as_str()).collect();
        let all = Clean::from(all.join(", "));
        if let Some(expected) = &self.value {
            seen.text("records", &all, expected);
        }
        if let Some(expected) = &self.each {
            for value in &values {
                seen.text("record", value, expected);
            }
        }
        if let (Some(expected), Some(ttl)) = (&self.ttl, ttl) {
            seen.number("ttl", f64::from(ttl), Unit::Seconds, expected);
        }
        if seen.tests.is_empty() {
            seen.note(all);
        }
        seen
    }
}

impl Kind for Dns {
    fn describe(&self) -> Clean {
        let wishes = wishes([
            ("records", self.value.as_ref()),
            ("each", self.each.as_ref()),
            ("how many", self.count.as_ref()),
            ("ttl", self.ttl.as_ref()),
        ]);
        let wishes = if wishes.is_empty() { "there" } else { &wishes };
        let record = self.record.word();
        Clean::from(format!("{record} of {}: {wishes}", self.name))
    }

    fn problems(&self) -> Vec<Clean> {
        let text = |what, expected: &Option<Expectation>| suits_text(what, expected.as_ref()?);
        let number = |what, expected: &Option<Expectation>, unit| {
            suits_number(what, expected.as_ref()?, unit)
        };
        let name = Place::parse(&self.name, Some(PORT));
        let name = match &name {
            Err(fault) => Some(Clean::from(format!("name: {fault}"))),
            Ok(place) if place.ip().is_some() => {
                Some("name: an address is not looked up; write a name".into())
            }
            Ok(_) if self.name.contains(':') => {
                Some("name: a port belongs to the kind port; write the name alone".into())
            }
            Ok(_) => None,
        };
        name.into_iter()
            .chain(text("value", &self.value))
            .chain(text("each", &self.each))
            .chain(number("count", &self.count, Unit::Count))
            .chain(number("ttl", &self.ttl, Unit::Seconds))
            .chain(self.own_server().and_then(Result::err))
            .collect()
    }

    fn deadline(&self) -> Duration {
        dns::DEADLINE
    }

    fn sent(&self) -> Value {
        json!({ "name": self.name, "record": self.record.word(), "server": self.server })
    }

    async fn look(&self, _: &Eyes, _: Timestamp) -> Result<Seen, Fault> {
        let servers = match self.own_server() {
            Some(Ok(server)) => vec![server],
            // Said by the lint.
            Some(Err(_)) => Vec::new(),
            None => dns::servers().await?,
        };
        let answer = dns::ask(&servers, &self.name, self.record.asked()).await?;
        Ok(self.seen(&answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::dns::Record;

    fn answer(code: Code, values: &[&str]) -> Answer {
        Answer {
            code,
            records: values
                .iter()
                .map(|value| Record {
                    value: (*value).into(),
                    ttl_s: 60,
                })
                .collect(),
            aliases: Vec::new(),
            cut: false,
        }
    }

    #[track_caller]
    fn check(fields: &str, values: &[&str], holds: bool) {
        let dns: Dns = toml::from_str(&format!("name = 'shop.eu'\n{fields}")).unwrap();
        assert_eq!(dns.problems(), Vec::<Clean>::new());
        let code = if values.is_empty() {
            Code::NoSuchName
        } else {
            Code::NoError
        };
        let seen = dns.seen(&answer(code, values));
        let all = seen.tests.iter().all(|t| t.expected.holds(&t.measured));
        assert_eq!(all && seen.failures.is_empty(), holds, "{fields}: {seen:?}");
    }

    #[test]
    fn what_a_name_leads_to_is_compared() {
        let two = ["192.0.2.2", "192.0.2.1"];
        check("", &two, true);
        check("", &[], false);
        check("value = '== 192.0.2.1, 192.0.2.2'", &two, true);
        check("value = 'contains 192.0.2.2'", &two, true);
        check("each = 'matches ^192\\.0\\.2\\.'", &two, true);
        check("each = '== 192.0.2.1'", &two, false);
        check("count = '>= 2'\nttl = '<= 5 min'", &two, true);
        check("count = 0", &[], true);
        check("count = 0", &two, false);
        check("ttl = '< 30 s'", &two, false);
    }

    #[test]
    fn what_cannot_be_asked_is_found_before() {
        let problems = |toml: &str| toml::from_str::<Dns>(toml).unwrap().problems();
        assert!(problems("name = '192.0.2.1'")[0].contains("write a name"));
        assert!(problems("name = 'shop.eu:53'")[0].contains("port"));
        let server = "name = 'shop.eu'\nserver = 'dns.shop.eu'";
        assert!(problems(server)[0].contains("no address"));
    }
}
