//! What lowers a grade whatever the score is, after the SSL Labs guide 2009r. One row, one rule.
//!
//! Not here, because no hello shows it: Heartbleed, CCS injection, Ticketbleed, ROBOT, POODLE against TLS, insecure
//! renegotiation by the client, revocation. A grade of ours is an estimate, and says so.

use serde::Serialize;

use super::score::{key_strength, strength};
use crate::domain::{Certificate, ChainLink, Clean, Grade, Trust};
use crate::link::hello::{Exchange, Fallback, Protocol, Suite, Survey};
use crate::probe::check::hsts::{Hsts, LONG_SECONDS};

/// What is not tested, for the evidence.
pub(super) const NOT_TESTED: &str = "estimate: revocation, Heartbleed, CCS injection, Ticketbleed, ROBOT, POODLE against TLS and renegotiation by the client are not tested";

/// What a grade is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) survey: &'a Survey,
    pub(super) certificate: &'a Certificate,
    /// Every leaf key that was shown, in words.
    pub(super) keys: &'a [Clean],
    /// The issuer that the server leaves out, where somebody here knows it.
    pub(super) left_out: Option<&'a Clean>,
    /// Or why it could not be asked for.
    pub(super) hsts: Result<&'a Hsts, &'a Clean>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reach {
    /// About the certificate: the grade without these is told too.
    Trust,
    Cap,
    /// An `A` becomes `A-`.
    Warning,
    /// An `A` is no `A+`.
    Short,
}

/// One rule that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) reach: Reach,
    /// At most this.
    pub(super) grade: Grade,
    pub(super) why: Clean,
    /// What makes it go away.
    pub(super) remedy: Clean,
}

impl Rule {
    /// `capped to B: TLS 1.0 offered`.
    pub(super) fn words(&self) -> String {
        let Self { grade, why, .. } = self;
        match self.reach {
            Reach::Trust => format!("{grade}: {why}"),
            Reach::Cap => format!("capped to {grade}: {why}"),
            Reach::Warning => format!("lowered to {grade}: {why}"),
            Reach::Short => format!("no A+: {why}"),
        }
    }
}

fn rule(reach: Reach, grade: Grade, why: impl Into<Clean>, remedy: impl Into<Clean>) -> Rule {
    Rule {
        reach,
        grade,
        why: why.into(),
        remedy: remedy.into(),
    }
}

/// All that apply, worst first.
pub(super) fn rules(facts: &Facts<'_>) -> Vec<Rule> {
    let mut rules = certificate_rules(facts);
    rules.extend(protocol_rules(facts.survey));
    rules.extend(suite_rules(facts.survey));
    rules.extend(key_rules(facts));
    rules.extend(handshake_rules(facts));
    rules.sort_by_key(|rule| rule.grade);
    rules
}

fn certificate_rules(facts: &Facts<'_>) -> Vec<Rule> {
    let Facts {
        certificate,
        left_out,
        ..
    } = facts;
    let mut rules = Vec::new();
    if let Trust::No(why) = &certificate.trust
        && (certificate.name_matches || why != "wrong name")
    {
        let remedy = "serve a certificate, with its intermediates, that clients trust";
        rules.push(rule(
            Reach::Trust,
            Grade::T,
            format!("not trusted: {why}"),
            remedy,
        ));
    }
    if !certificate.name_matches {
        let why = format!("the certificate is not for {}", certificate.name);
        let remedy = format!("serve a certificate for {}", certificate.name);
        rules.push(rule(Reach::Trust, Grade::M, why, remedy));
    }
    if let Some(issuer) = left_out {
        let why = format!("incomplete chain: {issuer} is left out");
        let remedy = "send the intermediate certificates after the server's own";
        rules.push(rule(Reach::Cap, Grade::B, why, remedy));
    }
    rules.extend(signature_rule(&certificate.chain));
    rules
}

fn signature_rule(chain: &[ChainLink]) -> Option<Rule> {
    // Nobody checks the signature of a root that is sent along.
    let judged = chain
        .iter()
        .enumerate()
        .filter(|(n, link)| *n == 0 || link.subject != link.issuer);
    let signed = |with: &str| {
        judged
            .clone()
            .any(|(_, link)| link.signature.ends_with(with))
    };
    let remedy = "have the certificate issued anew, signed with SHA-256";
    if signed("MD5") || signed("MD2") {
        return Some(rule(Reach::Cap, Grade::F, "signed with MD5 or MD2", remedy));
    }
    signed("SHA-1").then(|| rule(Reach::Trust, Grade::T, "signed with SHA-1", remedy))
}

fn protocol_rules(survey: &Survey) -> Vec<Rule> {
    use Protocol::{Ssl2, Ssl3, Tls10, Tls11, Tls12, Tls13};
    let has = |protocol| survey.offers(protocol).is_some();
    let modern = has(Tls12) || has(Tls13);
    let best = survey.offers.last().map(|offer| offer.protocol);
    let poodle = survey
        .suites()
        .any(|(protocol, suite)| protocol == Ssl3 && suite.cbc());
    let off = |protocol: Protocol| format!("switch {} off", protocol.word());
    let on = "offer TLS 1.2 and TLS 1.3";
    let cap = Reach::Cap;
    [
        (has(Ssl2), rule(cap, Grade::F, "SSL 2 offered", off(Ssl2))),
        (
            best == Some(Ssl3),
            rule(cap, Grade::F, "nothing newer than SSL 3 offered", on),
        ),
        (
            poodle,
            rule(cap, Grade::C, "SSL 3 with CBC offered: POODLE", off(Ssl3)),
        ),
        (!modern, rule(cap, Grade::C, "no TLS 1.2", on)),
        (has(Ssl3), rule(cap, Grade::B, "SSL 3 offered", off(Ssl3))),
        (
            has(Tls10),
            rule(cap, Grade::B, "TLS 1.0 offered", off(Tls10)),
        ),
        (
            has(Tls11),
            rule(cap, Grade::B, "TLS 1.1 offered", off(Tls11)),
        ),
        (
            !has(Tls13),
            rule(Reach::Warning, Grade::AMinus, "no TLS 1.3", "offer TLS 1.3"),
        ),
    ]
    .into_iter()
    .filter_map(applies)
    .collect()
}

fn applies((applies, rule): (bool, Rule)) -> Option<Rule> {
    applies.then_some(rule)
}

fn suite_rules(survey: &Survey) -> Vec<Rule> {
    let any = |bad: fn(&Suite) -> bool| survey.suites().any(|(_, suite)| bad(suite));
    let newer = |bad: fn(&Suite) -> bool| {
        survey
            .suites()
            .any(|(protocol, suite)| protocol >= Protocol::Tls11 && bad(suite))
    };
    let some = survey.suites().next().is_some();
    let rc4_only = some && survey.suites().all(|(_, suite)| suite.rc4());
    let today = |good: fn(&Suite) -> bool| match survey.today {
        Some((_, suite)) => good(suite),
        // A client of today gets nothing at all: what the others get counts.
        None => any(good),
    };
    let take = |what: &str| format!("take {what} off the list of ciphers");
    let first = |what: &str| format!("offer {what}, and prefer them to all others");
    let cap = Reach::Cap;
    [
        (
            any(Suite::export),
            rule(
                cap,
                Grade::F,
                "export ciphers offered",
                take("export ciphers"),
            ),
        ),
        (
            any(Suite::anonymous),
            rule(
                cap,
                Grade::F,
                "ciphers without a certificate offered",
                take("anonymous ciphers"),
            ),
        ),
        (
            any(|suite| suite.bits() < 112),
            rule(
                cap,
                Grade::F,
                "ciphers of less than 112 bits offered",
                take("everything below 128 bits"),
            ),
        ),
        (
            rc4_only,
            rule(cap, Grade::F, "nothing but RC4 offered", "offer AES-GCM"),
        ),
        (
            newer(Suite::rc4),
            rule(
                cap,
                Grade::C,
                "RC4 offered with TLS 1.1 or newer",
                take("RC4"),
            ),
        ),
        (
            newer(Suite::small_blocks),
            rule(
                cap,
                Grade::C,
                "64-bit blocks (3DES) offered with TLS 1.1 or newer",
                take("3DES, DES and IDEA"),
            ),
        ),
        (
            any(Suite::rc4),
            rule(cap, Grade::B, "RC4 offered", take("RC4")),
        ),
        (
            !today(Suite::forward_secret),
            rule(
                cap,
                Grade::B,
                "no forward secrecy for clients of today",
                first("ECDHE ciphers"),
            ),
        ),
        (
            !today(Suite::authenticated),
            rule(
                cap,
                Grade::B,
                "no AEAD cipher for clients of today",
                first("AES-GCM or ChaCha20-Poly1305"),
            ),
        ),
    ]
    .into_iter()
    .filter_map(applies)
    .collect()
}

/// Of the certificates' keys and of what session keys are made of.
fn key_rules(facts: &Facts<'_>) -> Vec<Rule> {
    let keys = facts.keys.iter().filter_map(|words| {
        let mark = strength(key_strength(words)?);
        let remedy = "use a key of RSA 2048 bits or more, or of P-256";
        key_rule(mark, &format!("weak certificate key: {words}"), remedy)
    });
    let exchanges = facts
        .survey
        .exchanges
        .iter()
        .filter_map(|exchange: &Exchange| {
            let mark = strength(exchange.strength()?);
            let remedy = "use a prime of 2048 bits or more (ssl_dhparam), or ECDHE alone";
            key_rule(
                mark,
                &format!("weak key exchange: {}", exchange.words()),
                remedy,
            )
        });
    let unknown = facts.survey.unknown_exchange.then(|| {
        let why = "a key exchange whose strength cannot be told";
        rule(
            Reach::Warning,
            Grade::AMinus,
            why,
            "use named groups: x25519, P-256",
        )
    });
    keys.chain(exchanges).chain(unknown).collect()
}

fn key_rule(mark: u32, why: &str, remedy: &str) -> Option<Rule> {
    match mark {
        0..=40 => Some(rule(Reach::Cap, Grade::F, why, remedy)),
        41..=80 => Some(rule(Reach::Cap, Grade::B, why, remedy)),
        _ => None,
    }
}

fn handshake_rules(facts: &Facts<'_>) -> Vec<Rule> {
    let survey = facts.survey;
    let mut rules = Vec::new();
    if survey.compression {
        let why = "TLS compression: CRIME";
        rules.push(rule(
            Reach::Cap,
            Grade::C,
            why,
            "switch TLS compression off",
        ));
    }
    if survey.secure_renegotiation == Some(false) {
        let why = "no secure renegotiation";
        let remedy = "update the TLS library: RFC 5746 is of 2010";
        rules.push(rule(Reach::Warning, Grade::AMinus, why, remedy));
    }
    if survey.fallback == Fallback::Unnoticed {
        let why = "a forced fallback to an older protocol goes unnoticed";
        let remedy = "update the TLS library (TLS_FALLBACK_SCSV), or offer one protocol";
        rules.push(rule(Reach::Short, Grade::A, why, remedy));
    }
    rules.extend(hsts_rule(facts.hsts));
    rules
}

fn hsts_rule(hsts: Result<&Hsts, &Clean>) -> Option<Rule> {
    let remedy = format!("send Strict-Transport-Security: max-age={LONG_SECONDS} or more");
    let (reach, grade, why) = match hsts {
        Ok(Hsts::Seconds(LONG_SECONDS..)) => return None,
        Ok(Hsts::Seconds(seconds)) => {
            let why = format!("HSTS of {} days, 180 are asked for", seconds / 86_400);
            (Reach::Warning, Grade::AMinus, why)
        }
        Ok(Hsts::Invalid) => (
            Reach::Warning,
            Grade::AMinus,
            "HSTS header not valid".to_owned(),
        ),
        Ok(Hsts::Absent) => (Reach::Short, Grade::A, "no HSTS".to_owned()),
        Err(why) => (Reach::Short, Grade::A, format!("HSTS not seen: {why}")),
    };
    Some(rule(reach, grade, why, remedy))
}
