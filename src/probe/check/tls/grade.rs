//! The grade of a server after the SSL Labs guide: the score's letter, lowered by the rules that apply.

use serde_json::{Value, json};

use super::rules::{Facts, NOT_TESTED, Reach, Rule, rules};
use super::score::{Score, key_strength};
use crate::domain::Grade;

/// The grade, and how it came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Graded {
    pub(super) grade: Grade,
    /// What it would be if the certificate were trusted and for this name.
    pub(super) trust_ignored: Grade,
    pub(super) score: Score,
    /// Worst first.
    pub(super) rules: Vec<Rule>,
}

impl Graded {
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let keys: Vec<_> = facts
            .keys
            .iter()
            .filter_map(|key| key_strength(key))
            .collect();
        let score = Score::of(facts.survey, &keys);
        let rules = rules(facts);
        // Who has an `A` and nothing against it has an `A+`.
        let letter = match score.letter() {
            Grade::A => Grade::APlus,
            letter => letter,
        };
        let lowest = |rules: &mut dyn Iterator<Item = &Rule>| {
            rules
                .map(|rule| rule.grade)
                .chain([letter])
                .min()
                .unwrap_or(letter)
        };
        Self {
            grade: lowest(&mut rules.iter()),
            trust_ignored: lowest(&mut rules.iter().filter(|rule| rule.reach != Reach::Trust)),
            score,
            rules,
        }
    }

    /// Why it is no better: the rules that hold it where it is, or the score.
    pub(super) fn because(&self) -> Vec<String> {
        let held: Vec<String> = self
            .rules
            .iter()
            .filter(|rule| rule.grade == self.grade)
            .map(Rule::words)
            .collect();
        if held.is_empty() && self.grade < Grade::APlus {
            return vec![self.score_words()];
        }
        held
    }

    fn score_words(&self) -> String {
        let Score {
            protocol,
            key_exchange,
            cipher,
            total,
        } = self.score;
        format!(
            "score {total}: protocols {protocol}, key exchange {key_exchange}, ciphers {cipher}; 80 is an A"
        )
    }

    /// What would make A+, the worst first, none twice.
    pub(super) fn wanting(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for rule in &self.rules {
            let remedy = rule.remedy.to_string();
            if !all.contains(&remedy) {
                all.push(remedy);
            }
        }
        if self.score.letter() < Grade::A {
            all.push(format!("raise the score: {}", self.score_words()));
        }
        all
    }

    pub(super) fn evidence(&self) -> Value {
        let rules: Vec<String> = self.rules.iter().map(Rule::words).collect();
        json!({
            "letter": self.grade.word(),
            "trust_ignored": self.trust_ignored.word(),
            "score": self.score,
            "score_letter": self.score.letter().word(),
            "rules": rules,
            "would_make_a_plus": self.wanting(),
            "note": NOT_TESTED,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{certificate, survey};
    use super::*;
    use crate::domain::{Certificate, Clean, Trust};
    use crate::link::hello::{Exchange, Fallback, Protocol, Survey};
    use crate::probe::check::hsts::Hsts;
    use Protocol::{Ssl2, Ssl3, Tls10, Tls11, Tls12, Tls13};

    /// A good server; each case changes one thing.
    struct Case {
        survey: Survey,
        certificate: Certificate,
        key: &'static str,
        hsts: Result<Hsts, Clean>,
        left_out: Option<Clean>,
    }

    fn case(offers: &[(Protocol, &[u16])]) -> Case {
        Case {
            survey: survey(offers),
            certificate: certificate("RSA SHA-256"),
            key: "RSA 2048",
            hsts: Ok(Hsts::Seconds(31_536_000)),
            left_out: None,
        }
    }

    fn good() -> Case {
        case(&[(Tls12, &[0xC02F, 0xC030]), (Tls13, &[0x1301, 0x1302])])
    }

    impl Case {
        fn graded(&self) -> Graded {
            Graded::of(&Facts {
                survey: &self.survey,
                certificate: &self.certificate,
                keys: &[Clean::from(self.key)],
                left_out: self.left_out.as_ref(),
                hsts: self.hsts.as_ref(),
            })
        }

        #[track_caller]
        fn is(&self, grade: Grade, says: &str) {
            let graded = self.graded();
            assert_eq!(graded.grade, grade, "{:?}", graded.rules);
            let because = graded.because().join("; ");
            assert!(because.contains(says), "{because}");
            assert_eq!(graded.wanting().is_empty(), grade == Grade::APlus);
        }
    }

    #[test]
    fn nothing_against_it_is_a_plus() {
        good().is(Grade::APlus, "");
        case(&[(Tls13, &[0x1301])]).is(Grade::APlus, "");
    }

    #[test]
    fn hsts_decides_between_the_as() {
        let with = |hsts| Case { hsts, ..good() };
        with(Ok(Hsts::Seconds(15_552_000))).is(Grade::APlus, "");
        with(Ok(Hsts::Seconds(15_551_999))).is(Grade::AMinus, "lowered to A-: HSTS of 179 days");
        with(Ok(Hsts::Seconds(0))).is(Grade::AMinus, "HSTS of 0 days");
        with(Ok(Hsts::Invalid)).is(Grade::AMinus, "not valid");
        with(Ok(Hsts::Absent)).is(Grade::A, "no A+: no HSTS");
        with(Err("not http".into())).is(Grade::A, "no A+: HSTS not seen: not http");
    }

    #[test]
    fn old_protocols_cap() {
        let modern: &[u16] = &[0xC02F];
        case(&[(Tls10, &[0xC013]), (Tls12, modern), (Tls13, &[0x1301])])
            .is(Grade::B, "capped to B: TLS 1.0 offered");
        case(&[(Tls11, &[0xC013]), (Tls12, modern)]).is(Grade::B, "capped to B: TLS 1.1 offered");
        case(&[(Tls12, modern)]).is(Grade::AMinus, "lowered to A-: no TLS 1.3");
        case(&[(Tls10, &[0xC013])]).is(Grade::C, "capped to C: no TLS 1.2");
        case(&[(Ssl3, &[0x0035]), (Tls12, modern)]).is(Grade::C, "POODLE");
        case(&[(Ssl3, &[0x0005]), (Tls12, modern)]).is(Grade::B, "SSL 3 offered");
        case(&[(Ssl3, &[0x0035])]).is(Grade::F, "nothing newer than SSL 3");
        case(&[(Ssl2, &[]), (Tls12, modern)]).is(Grade::F, "SSL 2 offered");
    }

    #[test]
    fn weak_ciphers_cap() {
        let beside = |weak: u16| case(&[(Tls12, &[0xC02F, weak]), (Tls13, &[0x1301])]);
        beside(0x000A).is(Grade::C, "64-bit blocks");
        beside(0x0005).is(Grade::C, "RC4 offered with TLS 1.1 or newer");
        beside(0x0008).is(Grade::F, "export");
        beside(0x0009).is(Grade::F, "less than 112 bits");
        beside(0x0034).is(Grade::F, "without a certificate");
        beside(0x0001).is(Grade::F, "less than 112 bits");
        case(&[(Tls10, &[0xC013, 0x0005]), (Tls12, &[0xC02F])]).is(Grade::B, "RC4 offered");
        case(&[(Tls10, &[0xC013, 0x000A]), (Tls12, &[0xC02F])]).is(Grade::B, "TLS 1.0");
        case(&[(Tls12, &[0x0005])]).is(Grade::F, "nothing but RC4");
        case(&[(Tls12, &[0x009C])]).is(Grade::B, "no forward secrecy");
        case(&[(Tls12, &[0xC013])]).is(Grade::B, "no AEAD");
    }

    #[test]
    fn what_a_client_of_today_gets_counts() {
        let mut case = case(&[(Tls12, &[0xC02F, 0x009C])]);
        case.survey.today = Some((Tls12, crate::link::hello::Suite::of(0x009C).unwrap()));
        case.is(Grade::B, "no forward secrecy for clients of today");
    }

    #[test]
    fn weak_keys_cap() {
        let key = |key| Case { key, ..good() };
        key("RSA 1024").is(Grade::B, "weak certificate key: RSA 1024");
        key("RSA 512").is(Grade::F, "RSA 512");
        key("EC P-256").is(Grade::APlus, "");
        let exchange = |bits| {
            let mut case = good();
            case.survey.exchanges.insert(Exchange::Prime(bits));
            case
        };
        exchange(1024).is(Grade::B, "weak key exchange: DH 1024");
        exchange(768).is(Grade::F, "DH 768");
        exchange(2048).is(Grade::APlus, "");
    }

    #[test]
    fn the_certificate_comes_first() {
        let mut case = good();
        case.certificate.trust = Trust::No("self-signed".into());
        case.is(Grade::T, "T: not trusted: self-signed");
        assert_eq!(case.graded().trust_ignored, Grade::APlus);
        let mut case = good();
        case.certificate.name_matches = false;
        case.certificate.trust = Trust::No("wrong name".into());
        case.is(Grade::M, "M: the certificate is not for shop.eu");
        let mut case = good();
        case.left_out = Some("CN=Middle".into());
        case.is(
            Grade::B,
            "capped to B: incomplete chain: CN=Middle is left out",
        );
        let signed = |with| Case {
            certificate: certificate(with),
            ..good()
        };
        signed("RSA SHA-1").is(Grade::T, "signed with SHA-1");
        signed("RSA MD5").is(Grade::F, "MD5");
    }

    #[test]
    fn the_handshake_counts() {
        let mut case = good();
        case.survey.compression = true;
        case.is(Grade::C, "CRIME");
        let mut case = good();
        case.survey.secure_renegotiation = Some(false);
        case.is(Grade::AMinus, "no secure renegotiation");
        let mut case = good();
        case.survey.fallback = Fallback::Unnoticed;
        case.is(Grade::A, "no A+: a forced fallback");
        let mut case = good();
        case.survey.unknown_exchange = true;
        case.is(Grade::AMinus, "cannot be told");
    }

    #[test]
    fn a_low_score_is_told_where_no_rule_holds_it() {
        let graded = Graded {
            grade: Grade::B,
            trust_ignored: Grade::B,
            score: Score {
                protocol: 100,
                key_exchange: 90,
                cipher: 20,
                total: 65,
            },
            rules: Vec::new(),
        };
        assert_eq!(
            graded.because(),
            ["score 65: protocols 100, key exchange 90, ciphers 20; 80 is an A"]
        );
    }
}
