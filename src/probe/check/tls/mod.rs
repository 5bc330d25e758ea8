//! `tls`: what is served at an endpoint is trusted and lives for long enough, and speaks only what is still good.
//!
//! The grade is that of the SSL Labs guide, with every rule that lowered it and what would make it an A+. Protocols and
//! ciphers are asked for one by one only where the check wants to know them.

mod grade;
mod rules;
mod score;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::hsts::{self, Hsts};
use super::seen::{Seen, suits_grade, suits_number, suits_text, wishes};
use super::{Eyes, Kind};
use crate::domain::{
    Certificate, CertificateAt, CertificateSpec, Clean, Detail, Expectation, Fault, FaultKind,
    Health, Measured, Reading, Thresholds, Timestamp, Trust, Unit,
};
use crate::link::dial;
use crate::link::hello::{SURVEY_DEADLINE, Suite, Survey, survey};
use crate::link::http::{Answer, Ask, Body, DEADLINE as HTTP_DEADLINE, Follow, Method, fetch};
use crate::link::tls::Handshake;
use crate::link::url::{Place, Scheme, Url};
use crate::link::x509;
use crate::probe::Look;
use crate::probe::certificate::CertificateProbe;
use grade::Graded;
use rules::Facts;

/// What `https` speaks on.
const PORT_DEFAULT: u16 = 443;

/// All the probe's own steps and a second.
const DEADLINE: Duration = Duration::from_secs(12);

/// Ciphers of one protocol that are told by name.
const CIPHERS_TOLD_MAX: usize = 60;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// `host:port`.
    pub endpoint: Clean,
    /// Whole days until the first certificate of the chain ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Expectation>,
    /// What we agree on with the server: `== TLS 1.3`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Expectation>,
    /// What every protocol that is offered must be: `matches ^TLS 1\.[23]$`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Expectation>,
    /// What every cipher that is offered must be, by its registered name: `matches GCM|CHACHA20`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciphers: Option<Expectation>,
    /// After the SSL Labs guide: `>= A`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Expectation>,
}

impl Tls {
    fn place(&self) -> Result<Place, Fault> {
        Place::parse(&self.endpoint, Some(PORT_DEFAULT))
    }

    /// As the configuration watches it, if it does.
    fn spec(&self, eyes: &Eyes) -> CertificateSpec {
        let known = eyes.stack.certificates.iter().find(
            |spec| matches!(&spec.at, CertificateAt::Endpoint(place) if *place == self.endpoint),
        );
        known.cloned().unwrap_or_else(|| CertificateSpec {
            at: CertificateAt::Endpoint(self.endpoint.clone()),
            name: None,
            ca_file: eyes.ca_file.clone(),
            on_disk: None,
            self_signed: false,
            every: Duration::from_mins(1),
        })
    }

    fn surveys(&self) -> bool {
        self.grade.is_some() || self.protocols.is_some() || self.ciphers.is_some()
    }
}

impl Kind for Tls {
    fn describe(&self) -> Clean {
        let wishes = wishes([
            ("days left", self.days.as_ref()),
            ("protocol", self.protocol.as_ref()),
            ("protocols", self.protocols.as_ref()),
            ("ciphers", self.ciphers.as_ref()),
            ("grade", self.grade.as_ref()),
        ]);
        let what = if self.surveys() { "TLS" } else { "certificate" };
        Clean::from(format!("{what} of {}: {wishes}", self.endpoint))
    }

    fn problems(&self) -> Vec<Clean> {
        let none = self.days.is_none() && self.protocol.is_none() && !self.surveys();
        let texts = [
            ("protocol", &self.protocol),
            ("protocols", &self.protocols),
            ("ciphers", &self.ciphers),
        ];
        let place = self.place().err();
        place
            .map(|fault| Clean::from(fault.to_string()))
            .into_iter()
            .chain(
                none.then(|| {
                    "nothing is expected; write days = \"> 21\" or grade = \">= A\"".into()
                }),
            )
            .chain(
                self.days
                    .as_ref()
                    .and_then(|days| suits_number("days", days, Unit::Days)),
            )
            .chain(
                texts
                    .into_iter()
                    .filter_map(|(what, e)| suits_text(what, e.as_ref()?)),
            )
            .chain(
                self.grade
                    .as_ref()
                    .and_then(|grade| suits_grade("grade", grade)),
            )
            .collect()
    }

    fn deadline(&self) -> Duration {
        if self.surveys() {
            DEADLINE + SURVEY_DEADLINE + HTTP_DEADLINE
        } else {
            DEADLINE
        }
    }

    fn sent(&self) -> Value {
        if self.surveys() {
            json!({ "handshake": self.endpoint, "hellos": "one for each protocol and cipher" })
        } else {
            json!({ "handshake": self.endpoint })
        }
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let server = Server {
            place: self.place()?,
            spec: self.spec(eyes),
            eyes,
            now,
        };
        let (reading, surveyed) = server.look(self.surveys()).await?;
        let Detail::Certificate(certificate) = reading.detail else {
            let text = "the certificate probe saw no certificate";
            return Err(Fault::new(FaultKind::Broken, text));
        };
        let mut seen = Seen {
            got: got(&certificate),
            ..Seen::default()
        };
        match reading.health {
            Health::Unknown => {
                let text = format!("{}: {}", self.endpoint, reading.summary);
                return Err(Fault::new(FaultKind::Misconfigured, text));
            }
            Health::Bad => seen.failures.push(reading.summary),
            Health::Good | Health::Poor | Health::Busy | Health::None => {}
        }
        if let Some(expected) = &self.days {
            let left = days(certificate.earliest_expiry.seconds_from(now));
            seen.number("days left", left, Unit::Days, expected);
        }
        if let Some(expected) = &self.protocol {
            seen.text("protocol", &certificate.protocol, expected);
        }
        if let Some(survey) = &surveyed {
            self.see(survey, &mut seen);
            self.see_grade(&server, survey, &certificate, &mut seen)
                .await;
        }
        Ok(seen)
    }
}

impl Tls {
    /// What is offered, one by one.
    fn see(&self, survey: &Survey, seen: &mut Seen) {
        put(&mut seen.got, "offered", offered(survey));
        if let Some(expected) = &self.protocols {
            let words = survey.offers.iter().map(|offer| offer.protocol.word());
            each(seen, "protocol", words, expected);
        }
        if let Some(expected) = &self.ciphers {
            let mut names: Vec<&str> = Vec::new();
            for (_, suite) in survey.suites() {
                if !names.contains(&suite.name) {
                    names.push(suite.name);
                }
            }
            each(seen, "cipher", names.into_iter(), expected);
        }
    }

    async fn see_grade(
        &self,
        server: &Server<'_>,
        survey: &Survey,
        certificate: &Certificate,
        seen: &mut Seen,
    ) {
        let Some(expected) = &self.grade else { return };
        let hsts = server.hsts(certificate).await;
        let left_out = server.left_out(certificate).await;
        let keys = leaf_keys(survey, certificate);
        let graded = Graded::of(&Facts {
            survey,
            certificate,
            keys: &keys,
            left_out: left_out.as_ref(),
            hsts: hsts.as_ref(),
        });
        if !expected.holds(&Measured::Grade(graded.grade)) {
            seen.failures
                .extend(graded.because().into_iter().map(Clean::from));
        }
        seen.grade("grade", graded.grade, expected);
        let mut evidence = graded.evidence();
        put(&mut evidence, "keys", json!(keys));
        put(&mut evidence, "hsts", hsts_words(&hsts));
        put(&mut seen.got, "grade", evidence);
    }
}

/// Those that are not as expected, one by one; or the first, if all are.
fn each<'a>(
    seen: &mut Seen,
    what: &str,
    words: impl Iterator<Item = &'a str>,
    expected: &Expectation,
) {
    let words: Vec<Clean> = words.map(Clean::from).collect();
    let mut bad = words
        .iter()
        .filter(|word| !expected.holds_in(word))
        .peekable();
    if bad.peek().is_some() {
        bad.for_each(|word| seen.text(what, word, expected));
        return;
    }
    let all = format!("all {} {what}s, such as", words.len());
    if let Some(first) = words.last() {
        seen.text(&all, first, expected);
    }
}

/// Whose protocols are asked for.
struct Server<'a> {
    place: Place,
    spec: CertificateSpec,
    eyes: &'a Eyes,
    now: Timestamp,
}

impl Server<'_> {
    fn name(&self) -> &str {
        self.spec.name.as_deref().unwrap_or(&self.place.host)
    }

    /// Judged by the check's own days alone.
    fn probe(&self) -> CertificateProbe {
        let thresholds = Thresholds {
            certificate_days: [0; 3],
            ..self.eyes.stack.thresholds.clone()
        };
        CertificateProbe::new(self.spec.clone(), &thresholds, self.eyes.roots.clone())
    }

    /// The certificate, and all that is spoken if that is asked for.
    async fn look(&self, surveys: bool) -> Result<(Reading, Option<Survey>), Fault> {
        let mut probe = self.probe();
        let looked = probe.look(self.now).await;
        if !surveys {
            return Ok((looked?, None));
        }
        let address = match looked.as_ref().map(|reading| &reading.detail) {
            Ok(Detail::Certificate(certificate)) => certificate.address.parse().ok(),
            _ => None,
        };
        let address = match address {
            Some(address) => address,
            None => self.first_address().await?,
        };
        let surveyed = survey(&self.place, address, self.name()).await;
        match (looked, surveyed) {
            (Ok(reading), surveyed) => Ok((reading, Some(surveyed?))),
            // What our TLS library does not speak any more still shows its certificate in the clear.
            (Err(_), Ok(survey)) if !survey.chains.is_empty() => {
                let reading = self.overheard(&probe, &survey, address).await?;
                Ok((reading, Some(survey)))
            }
            (Err(fault), _) => Err(fault),
        }
    }

    async fn first_address(&self) -> Result<SocketAddr, Fault> {
        let addresses = dial::resolve(&self.place).await?;
        let (_, address) = dial::connect(&self.place, &addresses).await?;
        Ok(address)
    }

    async fn overheard(
        &self,
        probe: &CertificateProbe,
        survey: &Survey,
        address: SocketAddr,
    ) -> Result<Reading, Fault> {
        let best = survey.offers.last();
        let protocol = best.map_or("", |offer| offer.protocol.word());
        let cipher = best.and_then(|offer| offer.suites.first());
        let cipher = cipher.map_or("", |suite| suite.name);
        let place = self.place.to_string();
        let handshake = Handshake::overheard(&survey.chains[0], protocol, cipher, &place)?;
        probe
            .judge_overheard(&self.place, address, handshake, self.now)
            .await
    }

    /// What the start page says; or why it could not be asked.
    async fn hsts(&self, certificate: &Certificate) -> Result<Hsts, Clean> {
        let ask = Ask {
            method: Method::Get,
            url: Url {
                scheme: Scheme::Https,
                place: Place {
                    host: self.name().to_owned(),
                    port: self.place.port,
                },
                path: "/".to_owned(),
            },
            connect_to: Some(certificate.address.clone()),
            origin: None,
            follow: Follow::Never,
            body: Body::Count,
            ca_file: self.spec.ca_file.clone(),
            deadline: HTTP_DEADLINE,
        };
        match fetch(&ask, &self.eyes.roots, self.now).await {
            Ok(Answer { status: 0, .. }) => {
                Err("not asked for, the certificate is not trusted".into())
            }
            Ok(answer) => Ok(hsts::of(&answer)),
            Err(fault) => Err(fault.text),
        }
    }

    /// The issuer at the end of the chain, if it is an intermediate that the named authorities know and clients may not.
    async fn left_out(&self, certificate: &Certificate) -> Option<Clean> {
        let last = certificate.chain.last()?;
        let path = self.spec.ca_file.as_deref()?;
        if certificate.trust != Trust::Given || last.subject == last.issuer {
            return None;
        }
        let ders = x509::read_pem(path).await.ok()?;
        let known = x509::read_chain(&ders).ok()?;
        let mut links = known.iter().map(|known| &known.link);
        let issuer = links.find(|link| link.subject == last.issuer)?;
        (issuer.subject != issuer.issuer).then(|| issuer.subject.clone())
    }
}

/// Of every leaf that was shown, none twice.
fn leaf_keys(survey: &Survey, certificate: &Certificate) -> Vec<Clean> {
    let shown = survey.chains.iter().filter_map(|chain| {
        let leaf = x509::read(chain.first()?, x509::Position::Leaf).ok()?;
        Some(leaf.link.key)
    });
    let own = certificate.chain.first().map(|leaf| leaf.key.clone());
    let mut keys: Vec<Clean> = shown.chain(own).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn hsts_words(hsts: &Result<Hsts, Clean>) -> Value {
    match hsts {
        Ok(Hsts::Seconds(seconds)) => json!({ "max_age_seconds": seconds }),
        Ok(Hsts::Absent) => json!("absent"),
        Ok(Hsts::Invalid) => json!("not valid"),
        Err(why) => json!({ "not_seen": why }),
    }
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(key.to_owned(), value);
    }
}

fn offered(survey: &Survey) -> Value {
    let protocols: Map<String, Value> = survey
        .offers
        .iter()
        .map(|offer| (offer.protocol.word().to_owned(), names(&offer.suites)))
        .collect();
    let exchanges: Vec<String> = survey.exchanges.iter().map(|one| one.words()).collect();
    let today = survey
        .today
        .map(|(protocol, suite)| format!("{} {}", protocol.word(), suite.name));
    json!({
        "ciphers": protocols,
        "a_client_of_today_gets": today,
        "servers_own_order": survey.own_order,
        "key_exchanges": exchanges,
        "compression": survey.compression,
        "secure_renegotiation": survey.secure_renegotiation,
        "session_tickets": survey.tickets,
        "forced_fallback": format!("{:?}", survey.fallback).to_lowercase(),
        "hellos": survey.hellos,
        "notes": survey.notes,
    })
}

fn names(suites: &[&Suite]) -> Value {
    let told = suites
        .iter()
        .take(CIPHERS_TOLD_MAX)
        .map(|suite| suite.name.to_owned());
    let more = suites.len().saturating_sub(CIPHERS_TOLD_MAX);
    let rest = (more > 0).then(|| format!("and {more} more"));
    told.chain(rest).collect::<Vec<_>>().into()
}

/// Whole days, rounded down: a day that has begun to end is not left.
#[expect(clippy::cast_precision_loss, reason = "days are far below 2^52")]
fn days(seconds: i64) -> f64 {
    seconds.div_euclid(86_400) as f64
}

fn got(certificate: &Certificate) -> Value {
    let leaf = certificate.chain.first();
    json!({
        "address": certificate.address,
        "name": certificate.name,
        "subject": leaf.map(|link| &link.subject),
        "issuer": leaf.map(|link| &link.issuer),
        "fingerprint": leaf.map(|link| &link.fingerprint),
        "ends": certificate.earliest_expiry.rfc3339(),
        "trust": certificate.trust,
        "protocol": certificate.protocol,
        "findings": certificate.findings,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{ChainLink, Stapling};
    use crate::link::hello::{Fallback, Offer, Protocol};

    /// What would be seen of a sound server that offers this, oldest protocol first, best cipher first.
    pub(super) fn survey(offers: &[(Protocol, &[u16])]) -> Survey {
        let offer = |(protocol, ids): &(Protocol, &[u16])| Offer {
            protocol: *protocol,
            suites: ids.iter().map(|id| Suite::of(*id).unwrap()).collect(),
        };
        let offers: Vec<Offer> = offers.iter().map(offer).collect();
        let best = offers.last().unwrap();
        Survey {
            today: best.suites.first().map(|suite| (best.protocol, *suite)),
            own_order: Some(true),
            fallback: Fallback::Noticed,
            secure_renegotiation: Some(true),
            compression: false,
            tickets: true,
            exchanges: BTreeSet::new(),
            unknown_exchange: false,
            chains: Vec::new(),
            hellos: 30,
            notes: Vec::new(),
            offers,
        }
    }

    /// A sound one, signed like this.
    pub(super) fn certificate(signature: &str) -> Certificate {
        let leaf = ChainLink {
            subject: "CN=shop.eu".into(),
            issuer: "CN=Middle".into(),
            serial: "01".into(),
            not_before: Timestamp(0),
            not_after: Timestamp(1),
            key: "RSA 2048".into(),
            signature: signature.into(),
            names: vec!["shop.eu".into()],
            names_more: 0,
            fingerprint: Clean::default(),
            is_ca: false,
            weak: None,
        };
        Certificate {
            place: "shop.eu:443".into(),
            address: "192.0.2.1:443".into(),
            name: "shop.eu".into(),
            chain: vec![leaf],
            name_matches: true,
            trust: Trust::System,
            earliest_expiry: Timestamp(1),
            leaf_expiry: Timestamp(1),
            protocol: "TLS 1.3".into(),
            cipher: Clean::default(),
            stapling: Stapling::Absent,
            client_auth: false,
            findings: Vec::new(),
        }
    }

    #[test]
    fn a_day_that_has_begun_is_not_left() {
        let shown = [86_400, 86_399, -1].map(|seconds| days(seconds).to_string());
        assert_eq!(shown, ["1", "0", "-1"]);
    }

    #[test]
    fn everything_offered_is_held_to_what_is_expected() {
        let survey = survey(&[
            (Protocol::Tls10, &[0xC013]),
            (Protocol::Tls12, &[0xC02F, 0xC013]),
        ]);
        let tls: Tls = toml::from_str(
            "endpoint = 'shop.eu'\nprotocols = 'matches ^TLS 1\\.[23]$'\nciphers = 'matches ^TLS_ECDHE'",
        )
        .unwrap();
        let mut seen = Seen {
            got: json!({}),
            ..Seen::default()
        };
        tls.see(&survey, &mut seen);
        let told: Vec<String> = seen
            .tests
            .iter()
            .map(|test| format!("{} {}", test.what, test.measured))
            .collect();
        assert_eq!(
            told,
            [
                "protocol \"TLS 1.0\"",
                "all 2 ciphers, such as \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\""
            ]
        );
        assert_eq!(
            seen.got["offered"]["ciphers"]["TLS 1.2"][0],
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
        );
    }

    #[test]
    fn something_must_be_expected() {
        let problems = |fields: &str| {
            let text = format!("endpoint = 'shop.eu'\n{fields}");
            toml::from_str::<Tls>(&text).unwrap().problems()
        };
        assert!(problems("")[0].contains("nothing is expected"));
        assert!(problems("grade = '>= A-'").is_empty());
        assert!(problems("grade = '> 3'")[0].contains("a grade is measured"));
        assert!(problems("protocols = '< 3'")[0].contains("a text"));
    }
}
