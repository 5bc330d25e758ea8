//! A certificate as it is served at every address behind a name, or as it lies in a file.
//!
//! Everything is shown first and judged second: an expired certificate still has a name, an issuer and a date. Whether
//! our own clock can be believed is not asked here.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::domain::{
    Certificate, CertificateAt, CertificateSpec, ChainLink, Clean, Detail, Fault, Health, Measure,
    Reading, SourceId, SourceKind, Stapling, Thresholds, Timestamp, Trust, Unit,
};
use crate::link::dial::{self, CONNECT_DEADLINE, DialError, RESOLVE_DEADLINE};
use crate::link::tls::{self, Distrust, HANDSHAKE_DEADLINE, Handshake, Inside, Roots, Verdict};
use crate::link::url::Place;
use crate::link::x509::{self, Parsed};
use crate::probe::Look;

/// What `https` speaks on, when the configuration names no port.
const PORT_DEFAULT: u16 = 443;

const DAY_SECONDS: i64 = 86_400;

#[derive(Debug)]
pub struct CertificateProbe {
    spec: CertificateSpec,
    ladder: Ladder,
    roots: Arc<Roots>,
}

impl CertificateProbe {
    /// Opens nothing.
    pub fn new(spec: CertificateSpec, thresholds: &Thresholds, roots: Arc<Roots>) -> Self {
        let [notice, bad, urgent] = thresholds.certificate_days.map(i64::from);
        Self {
            spec,
            ladder: Ladder {
                notice,
                bad,
                urgent,
            },
            roots,
        }
    }

    fn place(&self) -> Clean {
        match &self.spec.at {
            CertificateAt::Endpoint(place) => place.clone(),
            CertificateAt::File(path) => Clean::from(path.display().to_string()),
        }
    }
}

impl Look for CertificateProbe {
    /// One server may be asked for several names; they are different sources.
    fn source(&self) -> SourceId {
        let place = self.place();
        let name = match &self.spec.name {
            Some(name) if !place.starts_with(name.as_str()) => format!("{place} ({name})").into(),
            Some(_) | None => place,
        };
        SourceId::new(SourceKind::Certificate, name)
    }

    fn period(&self) -> Duration {
        self.spec.every
    }

    /// The steps have deadlines of their own and name what was too slow; this is their sum and a second.
    fn deadline(&self) -> Duration {
        RESOLVE_DEADLINE + CONNECT_DEADLINE + HANDSHAKE_DEADLINE + Duration::from_secs(1)
    }

    async fn look(&mut self, now: Timestamp) -> Result<Reading, Fault> {
        match &self.spec.at {
            CertificateAt::Endpoint(place) => self.look_at_servers(place, now).await,
            CertificateAt::File(path) => self.look_at_file(path, now).await,
        }
    }
}

/// One thing to say, and how bad it is. `Good` is worth saying and no trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    health: Health,
    about: About,
    text: Clean,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// The leaf's dates: the summary begins with them anyway.
    Dates,
    Else,
}

impl Finding {
    fn new(health: Health, text: impl Into<Clean>) -> Self {
        Self {
            health,
            about: About::Else,
            text: text.into(),
        }
    }
}

/// Days left up to which it is poor, bad, and urgent.
#[derive(Debug, Clone, Copy)]
struct Ladder {
    notice: i64,
    bad: i64,
    urgent: i64,
}

impl Ladder {
    fn judge(self, link: &ChainLink, now: Timestamp) -> Option<(Health, String)> {
        let left = link.not_after.seconds_from(now);
        let words = left_words(left);
        if left < 0 {
            let at = link.not_after.date_minute();
            return Some((Health::Bad, format!("{words}, at {at}")));
        }
        if now < link.not_before {
            let text = format!("not yet valid: from {}", link.not_before.date_minute());
            return Some((Health::Bad, text));
        }
        match left {
            _ if left <= self.urgent * DAY_SECONDS => {
                Some((Health::Bad, format!("{words}, urgent: renew it now")))
            }
            _ if left <= self.bad * DAY_SECONDS => {
                Some((Health::Bad, format!("{words}: renew it")))
            }
            _ if left <= self.notice * DAY_SECONDS => {
                Some((Health::Poor, format!("{words}: renewal is due")))
            }
            _ => None,
        }
    }
}

/// `87 d left`, `5 h left`, `expired 3 d ago`.
fn left_words(seconds: i64) -> String {
    let span = seconds.unsigned_abs();
    let span = match span {
        0..3600 => format!("{} min", span / 60),
        3600..86_400 => format!("{} h", span / 3600),
        _ => format!("{} d", span / 86_400),
    };
    if seconds < 0 {
        format!("expired {span} ago")
    } else {
        format!("{span} left")
    }
}

/// One address behind the name, and what it showed.
struct Seen {
    address: SocketAddr,
    handshake: Handshake,
    verdict: Verdict,
}

/// One address that showed nothing.
struct Unseen {
    address: SocketAddr,
    fault: Fault,
    /// It may be us: there is no way there from here, or it is this very host's other family.
    ours: bool,
}

impl CertificateProbe {
    async fn look_at_servers(&self, place: &str, now: Timestamp) -> Result<Reading, Fault> {
        let place = Place::parse(place, Some(PORT_DEFAULT))?;
        let name = self.spec.name.as_deref().unwrap_or(&place.host);
        tls::server_name(name)?;
        let addresses = dial::resolve(&place).await?;
        let looks = addresses
            .iter()
            .map(|&address| self.look_at(&place, name, address, now));
        let (mut seen, mut unseen) = (Vec::new(), Vec::new());
        for look in join_all(looks).await {
            match look {
                Ok(one) => seen.push(one),
                Err(one) => unseen.push(one),
            }
        }
        let judged = seen
            .iter()
            .map(|seen| self.judge(seen, name, now))
            .max_by_key(|(_, findings)| worst(findings));
        let Some((mut certificate, mut findings)) = judged else {
            let first = unseen.into_iter().next().map(|unseen| unseen.fault);
            return Err(first.expect("a resolved name has an address"));
        };
        findings.extend(differences(&seen));
        findings.extend(unseen.iter().map(unanswered));
        findings.extend(self.on_disk(&seen, now).await);
        certificate.place = self.place();
        Ok(reading(certificate, findings, now))
    }

    async fn look_at(
        &self,
        place: &Place,
        name: &str,
        address: SocketAddr,
        now: Timestamp,
    ) -> Result<Seen, Unseen> {
        let unseen = |fault, ours| Unseen {
            address,
            fault,
            ours,
        };
        let stream = dial::connect_one(place, address).await.map_err(|error| {
            let local = matches!(error, DialError::Refused { .. }) && dial::is_local(address.ip());
            let ours = local || matches!(error, DialError::Unreachable { .. });
            unseen(error.into(), ours)
        })?;
        let server = tls::server_name(name).map_err(|fault| unseen(fault, true))?;
        let shaken = tls::handshake(stream, &server, Inside::Unsaid, &place.to_string()).await;
        let handshake = shaken.map_err(|fault| unseen(fault, false))?.seen;
        let ca_file = self.spec.ca_file.as_deref();
        let verdict = self.roots.judge(&handshake, &server, ca_file, now).await;
        Ok(Seen {
            address,
            handshake,
            verdict,
        })
    }

    /// What there is to say about a chain that was shown to somebody else's hello.
    pub async fn judge_overheard(
        &self,
        place: &Place,
        address: SocketAddr,
        handshake: Handshake,
        now: Timestamp,
    ) -> Result<Reading, Fault> {
        let name = self.spec.name.as_deref().unwrap_or(&place.host);
        let server = tls::server_name(name)?;
        let ca_file = self.spec.ca_file.as_deref();
        let verdict = self.roots.judge(&handshake, &server, ca_file, now).await;
        let seen = Seen {
            address,
            handshake,
            verdict,
        };
        let (mut certificate, findings) = self.judge(&seen, name, now);
        certificate.place = self.place();
        Ok(reading(certificate, findings, now))
    }

    /// One address's certificate, and everything to say about it.
    fn judge(&self, seen: &Seen, name: &str, now: Timestamp) -> (Certificate, Vec<Finding>) {
        let shaken = &seen.handshake;
        let leaf = shaken.leaf();
        let trusted = matches!(seen.verdict, Verdict::System | Verdict::Given);
        let mut findings = self.date_findings(&shaken.chain, trusted, now);
        findings.extend(name_finding(leaf, name));
        findings.extend(self.trust_finding(&seen.verdict, leaf, &findings));
        findings.extend(weak_findings(&shaken.chain));
        findings.extend(handshake_findings(shaken));
        let certificate = Certificate {
            address: Clean::from(seen.address.to_string()),
            name: Clean::from(name),
            name_matches: x509::names_match(name, &leaf.names),
            trust: match &seen.verdict {
                Verdict::System => Trust::System,
                Verdict::Given => Trust::Given,
                Verdict::No(_, why) => Trust::No(why.clone()),
            },
            protocol: shaken.protocol.clone(),
            cipher: shaken.cipher.clone(),
            stapling: stapling(shaken),
            client_auth: shaken.client_auth,
            ..unserved(&shaken.chain)
        };
        (certificate, findings)
    }

    fn date_findings(&self, chain: &[Parsed], trusted: bool, now: Timestamp) -> Vec<Finding> {
        let Some((leaf, rest)) = chain.split_first() else {
            return Vec::new();
        };
        let own = self
            .ladder
            .judge(&leaf.link, now)
            .map(|(health, text)| Finding {
                health,
                about: About::Dates,
                text: text.into(),
            });
        // Nobody asks the dates of a root that is sent along.
        let issuers = rest.iter().filter(|link| !link.self_issued);
        let of_issuer = |issuer: &Parsed| {
            let (health, text) = self.ladder.judge(&issuer.link, now)?;
            // The validator found a way round an issuer that has ended.
            let round = trusted && issuer.link.not_after < now;
            let health = if round { Health::Poor } else { health };
            let text = format!("its issuer {}: {text}", issuer.label());
            Some(Finding::new(health, text))
        };
        own.into_iter()
            .chain(issuers.filter_map(of_issuer))
            .collect()
    }

    /// What the validator says, where the dates and the name have not said it yet.
    fn trust_finding(&self, verdict: &Verdict, leaf: &Parsed, said: &[Finding]) -> Option<Finding> {
        let Verdict::No(why, text) = verdict else {
            return None;
        };
        let already_bad = said.iter().any(|finding| finding.health == Health::Bad);
        let bad = || Some(Finding::new(Health::Bad, format!("not trusted: {text}")));
        let expected = || {
            let what = if leaf.self_issued {
                "self-signed"
            } else {
                text
            };
            let text = format!("{what}, as the configuration expects");
            Some(Finding::new(Health::Good, text))
        };
        match why {
            Distrust::Expired | Distrust::NotYetValid | Distrust::WrongName if already_bad => None,
            Distrust::SelfSigned | Distrust::UnknownIssuer if self.spec.self_signed => expected(),
            Distrust::AuthorityAsServer if self.spec.self_signed && leaf.self_issued => expected(),
            Distrust::NotJudged if self.spec.self_signed && self.spec.ca_file.is_none() => {
                expected()
            }
            Distrust::NotJudged => Some(Finding::new(
                Health::Unknown,
                format!("cannot be judged: {text}"),
            )),
            Distrust::Expired
            | Distrust::NotYetValid
            | Distrust::WrongName
            | Distrust::SelfSigned
            | Distrust::UnknownIssuer
            | Distrust::AuthorityAsServer
            | Distrust::Other => bad(),
        }
    }

    /// Is what is served what lies on disk? The oldest that is served counts.
    async fn on_disk(&self, seen: &[Seen], now: Timestamp) -> Option<Finding> {
        let path = self.spec.on_disk.as_deref()?;
        let served = seen
            .iter()
            .map(|seen| seen.handshake.leaf())
            .min_by_key(|leaf| leaf.link.not_after)?;
        match read_file(path).await {
            Ok(chain) => disk_finding(&chain.first()?.link, &served.link, self.ladder, now),
            Err(fault) => Some(Finding::new(
                Health::Poor,
                format!("cannot compare with the file: {}", fault.text),
            )),
        }
    }

    async fn look_at_file(&self, path: &Path, now: Timestamp) -> Result<Reading, Fault> {
        let chain = read_file(path).await?;
        let leaf = chain
            .first()
            .expect("a file without a certificate is a fault");
        let mut findings = self.date_findings(&chain, false, now);
        let name = self.spec.name.clone();
        if let Some(name) = &name {
            findings.extend(name_finding(leaf, name));
        }
        findings.extend(weak_findings(&chain));
        findings.extend(order_finding(&chain));
        let certificate = Certificate {
            place: self.place(),
            name_matches: name
                .as_ref()
                .is_none_or(|name| x509::names_match(name, &leaf.names)),
            name: name.unwrap_or_default(),
            ..unserved(&chain)
        };
        Ok(reading(certificate, findings, now))
    }
}

async fn read_file(path: &Path) -> Result<Vec<Parsed>, Fault> {
    let ders = x509::read_pem(path).await?;
    x509::read_chain(&ders)
        .map_err(|fault| Fault::new(fault.kind, format!("{}: {}", path.display(), fault.text)))
}

/// What the chain alone says.
fn unserved(chain: &[Parsed]) -> Certificate {
    let ends = || chain.iter().map(|link| link.link.not_after);
    Certificate {
        place: Clean::default(),
        address: Clean::default(),
        name: Clean::default(),
        chain: chain.iter().map(|link| link.link.clone()).collect(),
        name_matches: true,
        trust: Trust::NotAsked,
        earliest_expiry: ends().min().unwrap_or_default(),
        leaf_expiry: ends().next().unwrap_or_default(),
        protocol: Clean::default(),
        cipher: Clean::default(),
        stapling: Stapling::Absent,
        client_auth: false,
        findings: Vec::new(),
    }
}

fn stapling(shaken: &Handshake) -> Stapling {
    match (shaken.stapled, shaken.leaf().must_staple) {
        (true, _) => Stapling::Given,
        (false, true) => Stapling::Owed,
        (false, false) => Stapling::Absent,
    }
}

fn name_finding(leaf: &Parsed, name: &str) -> Option<Finding> {
    if x509::names_match(name, &leaf.names) {
        return None;
    }
    let text = if leaf.link.names.is_empty() {
        format!("wrong name: it is for no name at all, not for {name} (its CN does not count)")
    } else {
        format!("wrong name: it is for {}, not for {name}", name_list(leaf))
    };
    Some(Finding::new(Health::Bad, text))
}

/// The first names, and how many more there are.
fn name_list(leaf: &Parsed) -> String {
    /// What fits into a line; all of them are in the detail.
    const NAMED: usize = 3;
    let first: Vec<&str> = leaf
        .link
        .names
        .iter()
        .take(NAMED)
        .map(Clean::as_str)
        .collect();
    match leaf.names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} (+{more} more)", first.join(", ")),
    }
}

fn weak_findings(chain: &[Parsed]) -> Vec<Finding> {
    let weak = |(n, link): (usize, &Parsed)| {
        let what = link.link.weak.as_ref()?;
        let text = match n {
            0 => format!("weak: {what}"),
            _ => format!("weak: its issuer {} is {what}", link.label()),
        };
        Some(Finding::new(Health::Poor, text))
    };
    chain.iter().enumerate().filter_map(weak).collect()
}

fn handshake_findings(shaken: &Handshake) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(why) = &shaken.unproven {
        let text = format!("the server's proof that it owns the key was not verified: {why}");
        findings.push(Finding::new(Health::Poor, text));
    }
    if stapling(shaken) == Stapling::Owed {
        let text = "it says must-staple, and the server staples no OCSP response";
        findings.push(Finding::new(Health::Poor, text));
    }
    if shaken.client_auth {
        let text = "the server asks for a client certificate";
        findings.push(Finding::new(Health::Good, text));
    } else if let Some(fault) = &shaken.broke_off {
        let text = format!("broke off after the certificate: {}", fault.text);
        findings.push(Finding::new(Health::Poor, text));
    }
    if shaken.chain_more > 0 {
        let sent = shaken.chain.len() + shaken.chain_more;
        let text = format!("{sent} certificates are sent, {} shown", shaken.chain.len());
        findings.push(Finding::new(Health::Good, text));
    }
    findings
}

/// The addresses of a name should serve one certificate.
fn differences(seen: &[Seen]) -> Option<Finding> {
    let leaf = |seen: &Seen| seen.handshake.leaf().link.clone();
    let first = leaf(seen.first()?);
    if seen
        .iter()
        .all(|one| leaf(one).fingerprint == first.fingerprint)
    {
        return None;
    }
    let each: Vec<String> = seen
        .iter()
        .map(|one| {
            format!(
                "{} until {}",
                one.address.ip(),
                leaf(one).not_after.date_minute()
            )
        })
        .collect();
    let text = format!("its addresses serve different ones: {}", each.join(", "));
    Some(Finding::new(Health::Poor, text))
}

fn unanswered(unseen: &Unseen) -> Finding {
    let health = if unseen.ours {
        Health::Good
    } else {
        Health::Poor
    };
    let text = format!(
        "nothing seen at {}: {}",
        unseen.address.ip(),
        unseen.fault.text
    );
    Finding::new(health, text)
}

/// Renewed on disk is not renewed: the server must load it.
fn disk_finding(
    disk: &ChainLink,
    served: &ChainLink,
    ladder: Ladder,
    now: Timestamp,
) -> Option<Finding> {
    if disk.fingerprint == served.fingerprint {
        return None;
    }
    let which = format!(
        "serial {}, until {}",
        disk.serial,
        disk.not_after.date_minute()
    );
    let disk_is_newer = (disk.not_after, disk.not_before) > (served.not_after, served.not_before);
    if !disk_is_newer {
        let text =
            format!("the server serves another one than lies on disk ({which}): check the path");
        return Some(Finding::new(Health::Poor, text));
    }
    let text =
        format!("renewed on disk ({which}) but the server still serves the old one: reload it");
    let pressing = ladder.judge(served, now).map(|(health, _)| health);
    Some(Finding::new(pressing.unwrap_or(Health::Poor), text))
}

/// In a file for a server every certificate is followed by its issuer. A bundle of authorities has no order.
fn order_finding(chain: &[Parsed]) -> Option<Finding> {
    let leaf = chain.first()?;
    if leaf.link.is_ca {
        return None;
    }
    let gap = chain
        .windows(2)
        .find(|pair| pair[0].link.issuer != pair[1].link.subject)?;
    let text = format!(
        "broken chain: {} is not followed by its issuer, {}",
        gap[0].label(),
        gap[0].link.issuer
    );
    Some(Finding::new(Health::Bad, text))
}

fn worst(findings: &[Finding]) -> Health {
    let all = findings.iter().map(|finding| finding.health);
    Health::worst(all.chain([Health::Good]))
}

fn reading(mut certificate: Certificate, mut findings: Vec<Finding>, now: Timestamp) -> Reading {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.health));
    let summary = summary(&certificate, findings.first(), now);
    let health = worst(&findings);
    certificate.findings = findings.into_iter().map(|finding| finding.text).collect();
    let days = |name: &str, at: Timestamp| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of centuries fit into 53 bits"
        )]
        let days = at.seconds_from(now) as f64 / DAY_SECONDS as f64;
        Measure::new(name, days, Unit::Days)
    };
    Reading {
        health,
        summary,
        measures: vec![
            days("days_left", certificate.leaf_expiry),
            days("chain_days_left", certificate.earliest_expiry),
        ],
        detail: Detail::Certificate(Box::new(certificate)),
    }
}

/// The dates, and the worst of what else there is to say.
fn summary(certificate: &Certificate, worst: Option<&Finding>, now: Timestamp) -> Clean {
    let begins = certificate.chain.first().map(|leaf| leaf.not_before);
    let dates = match begins {
        Some(begins) if now < begins => format!("valid from {}", begins.date_minute()),
        Some(_) | None => left_words(certificate.leaf_expiry.seconds_from(now)),
    };
    match worst {
        Some(finding) if finding.health > Health::Good && finding.about == About::Else => {
            format!("{dates}: {}", finding.text).into()
        }
        Some(_) | None => dates.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;
    const NOW: Timestamp = Timestamp(20_000 * DAY);
    const LADDER: Ladder = Ladder {
        notice: 21,
        bad: 7,
        urgent: 3,
    };

    fn link(begins_days: i64, ends_days: i64) -> ChainLink {
        let at = |days: i64| Timestamp(NOW.0.checked_add_signed(days * DAY.cast_signed()).unwrap());
        ChainLink {
            subject: "CN=shop".into(),
            issuer: "CN=authority".into(),
            serial: "01:02".into(),
            not_before: at(begins_days),
            not_after: at(ends_days),
            key: "EC P-256".into(),
            signature: "ECDSA SHA-256".into(),
            names: vec!["shop.eu".into()],
            names_more: 0,
            fingerprint: format!("{begins_days}/{ends_days}").into(),
            is_ca: false,
            weak: None,
        }
    }

    #[test]
    fn the_ladder_has_21_7_and_3_days() {
        let judge = |days| LADDER.judge(&link(-300, days), NOW);
        assert_eq!(judge(22), None);
        let is = |days, health, says: &str| {
            let (found, text) = judge(days).unwrap();
            assert_eq!(found, health, "{days}");
            assert!(text.contains(says), "{text}");
        };
        is(21, Health::Poor, "21 d left");
        is(8, Health::Poor, "8 d left");
        is(7, Health::Bad, "7 d left");
        is(4, Health::Bad, "4 d left");
        is(3, Health::Bad, "urgent");
        is(0, Health::Bad, "urgent");
        is(-3, Health::Bad, "expired 3 d ago");
        let (health, text) = LADDER.judge(&link(2, 300), NOW).unwrap();
        assert_eq!(health, Health::Bad);
        assert!(text.contains("not yet valid"), "{text}");
    }

    #[test]
    fn what_is_left_reads_well() {
        let said = [87 * 86_400, 86_399, 3599, 0, -1, -3 * 86_400].map(left_words);
        assert_eq!(
            said,
            [
                "87 d left",
                "23 h left",
                "59 min left",
                "0 min left",
                "expired 0 min ago",
                "expired 3 d ago"
            ]
        );
    }

    #[test]
    fn renewed_on_disk_is_not_renewed() {
        let old = |days| link(-80, days);
        let renewed = link(-1, 89);
        let find = |disk: &ChainLink, served: &ChainLink| disk_finding(disk, served, LADDER, NOW);
        assert_eq!(find(&renewed, &renewed), None);
        let early = find(&renewed, &old(30)).unwrap();
        assert_eq!(early.health, Health::Poor);
        assert!(early.text.contains("serial 01:02"), "{}", early.text);
        assert!(early.text.contains("reload it"), "{}", early.text);
        assert_eq!(find(&renewed, &old(5)).unwrap().health, Health::Bad);
        let reverse = find(&old(5), &renewed).unwrap();
        assert_eq!(reverse.health, Health::Poor);
        assert!(reverse.text.contains("another one than lies on disk"));
    }

    fn probe(at: CertificateAt, name: Option<&str>) -> CertificateProbe {
        let spec = CertificateSpec {
            at,
            name: name.map(Clean::from),
            ca_file: None,
            on_disk: None,
            self_signed: false,
            every: Duration::from_mins(1),
        };
        CertificateProbe::new(spec, &Thresholds::default(), Roots::system_lazily())
    }

    #[test]
    fn one_server_asked_for_two_names_is_two_sources() {
        let source = |name| {
            let at = CertificateAt::Endpoint("192.0.2.1:443".into());
            probe(at, name).source().to_string()
        };
        assert_eq!(source(None), "certificate/192.0.2.1:443");
        assert_eq!(
            source(Some("shop.eu")),
            "certificate/192.0.2.1:443 (shop.eu)"
        );
    }

    #[tokio::test]
    async fn a_file_that_is_missing_is_a_fault_and_no_verdict() {
        let at = CertificateAt::File("/does/not/exist.pem".into());
        let fault = probe(at, None).look(NOW).await.unwrap_err();
        assert_eq!(fault.kind, crate::domain::FaultKind::Missing);
    }
}
