//! `tls`: the certificate that is served at an endpoint is trusted, and lives for long enough.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_number, suits_text, wishes};
use super::{Eyes, Kind};
use crate::domain::{
    Certificate, CertificateAt, CertificateSpec, Clean, Detail, Expectation, Fault, FaultKind,
    Health, Thresholds, Timestamp, Unit,
};
use crate::link::url::Place;
use crate::probe::Look;
use crate::probe::certificate::CertificateProbe;

/// What `https` speaks on.
const PORT_DEFAULT: u16 = 443;

/// All the probe's own steps and a second.
const DEADLINE: Duration = Duration::from_secs(12);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// `host:port`.
    pub endpoint: Clean,
    /// Whole days until the first certificate of the chain ends.
    pub days: Expectation,
    /// `== TLS 1.3`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Expectation>,
}

impl Tls {
    /// As the configuration watches it, if it does; and judged by this check's days alone.
    fn probe(&self, eyes: &Eyes) -> CertificateProbe {
        let known = eyes.stack.certificates.iter().find(
            |spec| matches!(&spec.at, CertificateAt::Endpoint(place) if *place == self.endpoint),
        );
        let spec = known.cloned().unwrap_or_else(|| CertificateSpec {
            at: CertificateAt::Endpoint(self.endpoint.clone()),
            name: None,
            ca_file: eyes.ca_file.clone(),
            on_disk: None,
            self_signed: false,
            every: Duration::from_mins(1),
        });
        let thresholds = Thresholds {
            certificate_days: [0; 3],
            ..eyes.stack.thresholds.clone()
        };
        CertificateProbe::new(spec, &thresholds, eyes.roots.clone())
    }
}

impl Kind for Tls {
    fn describe(&self) -> Clean {
        let wishes = wishes([
            ("days left", Some(&self.days)),
            ("protocol", self.protocol.as_ref()),
        ]);
        Clean::from(format!("certificate of {}: {wishes}", self.endpoint))
    }

    fn problems(&self) -> Vec<Clean> {
        let place = Place::parse(&self.endpoint, Some(PORT_DEFAULT)).err();
        let protocol = self.protocol.as_ref();
        place
            .map(|fault| Clean::from(fault.to_string()))
            .into_iter()
            .chain(suits_number("days", &self.days, Unit::Days))
            .chain(protocol.and_then(|expected| suits_text("protocol", expected)))
            .collect()
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        json!({ "handshake": self.endpoint })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let reading = self.probe(eyes).look(now).await?;
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
        let left = days(certificate.earliest_expiry.seconds_from(now));
        seen.number("days left", left, Unit::Days, &self.days);
        if let Some(expected) = &self.protocol {
            seen.text("protocol", &certificate.protocol, expected);
        }
        Ok(seen)
    }
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
    use super::days;

    #[test]
    fn a_day_that_has_begun_is_not_left() {
        let shown = [86_400, 86_399, -1].map(|seconds| days(seconds).to_string());
        assert_eq!(shown, ["1", "0", "-1"]);
    }
}
