//! The three marks of the SSL Labs guide, and the letter that they make before any rule.

use serde::Serialize;

use crate::domain::Grade;
use crate::link::hello::{Exchange, Protocol, Strength, Survey};

/// Out of a hundred each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Score {
    pub(super) protocol: u32,
    pub(super) key_exchange: u32,
    pub(super) cipher: u32,
    /// 30 % protocol, 30 % key exchange, 40 % cipher; a zero anywhere is a zero.
    pub(super) total: u32,
}

impl Score {
    pub(super) fn of(survey: &Survey, keys: &[Strength]) -> Self {
        let protocols = survey.offers.iter().map(|offer| protocol(offer.protocol));
        let ciphers = survey.suites().map(|(_, suite)| cipher(suite.bits()));
        let exchanges = survey.exchanges.iter().copied();
        let strengths = keys
            .iter()
            .copied()
            .chain(exchanges.filter_map(Exchange::strength));
        let anonymous = survey.suites().any(|(_, suite)| suite.anonymous());
        let key_exchange = match strengths.map(strength).min() {
            Some(_) if anonymous => 0,
            weakest => weakest.unwrap_or(0),
        };
        let (protocol, cipher) = (best_and_worst(protocols), best_and_worst(ciphers));
        let total = if protocol == 0 || key_exchange == 0 || cipher == 0 {
            0
        } else {
            // The first and the last are sums of two.
            (protocol * 30 + key_exchange * 60 + cipher * 40) / 200
        };
        Self {
            protocol: protocol / 2,
            key_exchange,
            cipher: cipher / 2,
            total,
        }
    }

    pub(super) fn letter(self) -> Grade {
        match self.total {
            80.. => Grade::A,
            65..80 => Grade::B,
            50..65 => Grade::C,
            35..50 => Grade::D,
            20..35 => Grade::E,
            0..20 => Grade::F,
        }
    }
}

fn best_and_worst(marks: impl Iterator<Item = u32>) -> u32 {
    let ends = marks.fold(None, |ends, mark| match ends {
        None => Some((mark, mark)),
        Some((low, high)) => Some((mark.min(low), mark.max(high))),
    });
    ends.map_or(0, |(low, high)| low + high)
}

fn protocol(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Ssl2 => 0,
        Protocol::Ssl3 => 80,
        Protocol::Tls10 => 90,
        Protocol::Tls11 => 95,
        Protocol::Tls12 | Protocol::Tls13 => 100,
    }
}

/// A key, a prime or a curve. Elliptic curves reach with 225 bits what a prime reaches with 4096 in the guide's table.
pub(super) fn strength(strength: Strength) -> u32 {
    match strength {
        Strength::Prime(0..512) | Strength::Curve(0..110) => 20,
        Strength::Prime(512..1024) | Strength::Curve(110..123) => 40,
        Strength::Prime(1024..2048) | Strength::Curve(123..163) => 80,
        Strength::Prime(2048..4096) | Strength::Curve(163..225) => 90,
        Strength::Prime(4096..) | Strength::Curve(225..) => 100,
    }
}

fn cipher(bits: u16) -> u32 {
    match bits {
        0 => 0,
        1..128 => 20,
        128..256 => 80,
        256.. => 100,
    }
}

/// A certificate's key as `x509` words it: `RSA 2048`, `EC P-256`, `Ed25519`.
pub(super) fn key_strength(words: &str) -> Option<Strength> {
    match words {
        "Ed25519" => return Some(Strength::Curve(253)),
        "Ed448" => return Some(Strength::Curve(448)),
        _ => {}
    }
    let (kind, size) = words.split_once(' ')?;
    let size = size.trim_start_matches("P-").trim_start_matches("secp");
    let bits = size.trim_end_matches("k1").parse().ok()?;
    match kind {
        "RSA" => Some(Strength::Prime(bits)),
        "EC" => Some(Strength::Curve(bits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::survey;
    use super::*;

    #[track_caller]
    fn check(offers: &[(Protocol, &[u16])], key: &str, marks: [u32; 4], letter: Grade) {
        let keys = [key_strength(key).unwrap()];
        let score = Score::of(&survey(offers), &keys);
        let got = [
            score.protocol,
            score.key_exchange,
            score.cipher,
            score.total,
        ];
        assert_eq!((got, score.letter()), (marks, letter));
    }

    #[test]
    fn the_guides_worked_case_is_93() {
        let offers: [(Protocol, &[u16]); 2] = [
            (Protocol::Tls12, &[0xC02F, 0xC030]),
            (Protocol::Tls13, &[0x1301, 0x1302]),
        ];
        check(&offers, "RSA 2048", [100, 90, 90, 93], Grade::A);
    }

    #[test]
    fn the_best_and_the_worst_make_the_mark() {
        let old: [(Protocol, &[u16]); 2] =
            [(Protocol::Ssl3, &[0x0005]), (Protocol::Tls12, &[0xC030])];
        check(&old, "RSA 4096", [90, 100, 90, 93], Grade::A);
        check(
            &[(Protocol::Tls12, &[0x000A])],
            "RSA 2048",
            [100, 90, 20, 65],
            Grade::B,
        );
        check(
            &[(Protocol::Tls12, &[0x0008])],
            "RSA 512",
            [100, 40, 20, 50],
            Grade::C,
        );
        check(
            &[(Protocol::Tls12, &[0xC030])],
            "EC P-256",
            [100, 100, 100, 100],
            Grade::A,
        );
    }

    #[test]
    fn a_zero_anywhere_is_a_zero() {
        check(
            &[(Protocol::Ssl2, &[])],
            "RSA 2048",
            [0, 90, 0, 0],
            Grade::F,
        );
        check(
            &[(Protocol::Tls12, &[0x0034])],
            "RSA 2048",
            [100, 0, 80, 0],
            Grade::F,
        );
        check(
            &[(Protocol::Tls12, &[0x0001])],
            "RSA 2048",
            [100, 90, 0, 0],
            Grade::F,
        );
    }

    #[test]
    fn keys_are_read_from_their_words() {
        assert_eq!(key_strength("RSA 3072"), Some(Strength::Prime(3072)));
        assert_eq!(key_strength("EC P-384"), Some(Strength::Curve(384)));
        assert_eq!(key_strength("EC secp256k1"), Some(Strength::Curve(256)));
        assert_eq!(key_strength("EC 224"), Some(Strength::Curve(224)));
        assert_eq!(key_strength("Ed25519"), Some(Strength::Curve(253)));
        assert_eq!(key_strength("DSA"), None);
    }
}
