//! Cipher suites by their registered number and name. What a suite is worth is in its name.
//!
//! Not here: suites with a shared key, a password or Kerberos, which no server of the web offers.

use super::Protocol;

/// One suite, by its registered name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    pub id: u16,
    pub name: &'static str,
}

const fn suite(id: u16, name: &'static str) -> Suite {
    Suite { id, name }
}

impl Suite {
    pub fn of(id: u16) -> Option<&'static Self> {
        SUITES.iter().find(|suite| suite.id == id)
    }

    /// Before `_WITH_`: how the key is agreed on and who vouches for it. Empty in TLS 1.3, which agrees on it elsewhere.
    fn exchange(&self) -> &'static str {
        let named = self.name.split_once("_WITH_");
        named.map_or("", |(exchange, _)| exchange.trim_start_matches("TLS_"))
    }

    /// After `_WITH_`: what encrypts.
    fn encryption(&self) -> &'static str {
        let named = self.name.split_once("_WITH_");
        named.map_or(self.name.trim_start_matches("TLS_"), |(_, rest)| rest)
    }

    /// Strength of the encryption. Triple DES counts as what it is worth.
    pub fn bits(&self) -> u16 {
        let encryption = self.encryption();
        let has = |part: &str| encryption.contains(part);
        match () {
            () if has("NULL") => 0,
            () if has("_40_") || has("DES40") => 40,
            () if encryption.starts_with("DES_") || has("RC4_56") => 56,
            () if has("3DES") => 112,
            () if has("CHACHA20") || has("_256_") || encryption.ends_with("_256") => 256,
            () => 128,
        }
    }

    /// Who steals the server's key later cannot read what was recorded earlier.
    pub fn forward_secret(&self) -> bool {
        let exchange = self.exchange();
        self.tls13() || exchange.starts_with("ECDHE_") || exchange.starts_with("DHE_")
    }

    /// The encryption notices by itself that somebody changed it.
    pub fn authenticated(&self) -> bool {
        let modes = ["GCM", "CCM", "POLY1305"];
        modes.iter().any(|mode| self.name.contains(mode))
    }

    /// Nobody vouches for the key: whoever sits in between may read along.
    pub fn anonymous(&self) -> bool {
        self.exchange().contains("anon")
    }

    pub fn export(&self) -> bool {
        self.exchange().contains("EXPORT")
    }

    pub fn rc4(&self) -> bool {
        self.name.contains("RC4")
    }

    pub fn cbc(&self) -> bool {
        self.name.contains("CBC")
    }

    /// Blocks of 64 bits repeat after 32 GB.
    pub fn small_blocks(&self) -> bool {
        let encryption = self.encryption();
        ["DES", "IDEA", "RC2"]
            .iter()
            .any(|cipher| encryption.contains(cipher))
    }

    fn tls13(&self) -> bool {
        self.exchange().is_empty()
    }

    /// Is it defined for this protocol?
    pub fn fits(&self, protocol: Protocol) -> bool {
        let newer =
            self.authenticated() || self.name.ends_with("SHA256") || self.name.ends_with("SHA384");
        match protocol {
            Protocol::Ssl2 => false,
            Protocol::Tls13 => self.tls13(),
            Protocol::Tls12 => !self.tls13(),
            Protocol::Ssl3 | Protocol::Tls10 | Protocol::Tls11 => !self.tls13() && !newer,
        }
    }
}

/// What browsers of today offer, in their order.
pub(super) const TODAY: [u16; 18] = [
    0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A,
    0xC014, 0x009C, 0x009D, 0x002F, 0x0035, 0x000A,
];

/// All that are asked about, the better ones first.
#[rustfmt::skip]
pub(super) const SUITES: [Suite; 139] = [
    suite(0x1302, "TLS_AES_256_GCM_SHA384"),
    suite(0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    suite(0x1301, "TLS_AES_128_GCM_SHA256"),
    suite(0x1304, "TLS_AES_128_CCM_SHA256"),
    suite(0x1305, "TLS_AES_128_CCM_8_SHA256"),
    suite(0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    suite(0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    suite(0xC0AD, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM"),
    suite(0xC0AF, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8"),
    suite(0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    suite(0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    suite(0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    suite(0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    suite(0xC0AC, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM"),
    suite(0xC0AE, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"),
    suite(0xC05D, "TLS_ECDHE_ECDSA_WITH_ARIA_256_GCM_SHA384"),
    suite(0xC061, "TLS_ECDHE_RSA_WITH_ARIA_256_GCM_SHA384"),
    suite(0xC05C, "TLS_ECDHE_ECDSA_WITH_ARIA_128_GCM_SHA256"),
    suite(0xC060, "TLS_ECDHE_RSA_WITH_ARIA_128_GCM_SHA256"),
    suite(0x009F, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
    suite(0x00A3, "TLS_DHE_DSS_WITH_AES_256_GCM_SHA384"),
    suite(0xC09F, "TLS_DHE_RSA_WITH_AES_256_CCM"),
    suite(0xC0A3, "TLS_DHE_RSA_WITH_AES_256_CCM_8"),
    suite(0xCCAA, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    suite(0x009E, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
    suite(0x00A2, "TLS_DHE_DSS_WITH_AES_128_GCM_SHA256"),
    suite(0xC09E, "TLS_DHE_RSA_WITH_AES_128_CCM"),
    suite(0xC0A2, "TLS_DHE_RSA_WITH_AES_128_CCM_8"),
    suite(0xC053, "TLS_DHE_RSA_WITH_ARIA_256_GCM_SHA384"),
    suite(0xC057, "TLS_DHE_DSS_WITH_ARIA_256_GCM_SHA384"),
    suite(0xC052, "TLS_DHE_RSA_WITH_ARIA_128_GCM_SHA256"),
    suite(0xC056, "TLS_DHE_DSS_WITH_ARIA_128_GCM_SHA256"),
    suite(0xC00A, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    suite(0xC014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    suite(0xC024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
    suite(0xC028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    suite(0xC009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    suite(0xC013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    suite(0xC023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    suite(0xC027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    suite(0xC073, "TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384"),
    suite(0xC077, "TLS_ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384"),
    suite(0xC072, "TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256"),
    suite(0xC076, "TLS_ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256"),
    suite(0x0038, "TLS_DHE_DSS_WITH_AES_256_CBC_SHA"),
    suite(0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    suite(0x006A, "TLS_DHE_DSS_WITH_AES_256_CBC_SHA256"),
    suite(0x006B, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"),
    suite(0x0032, "TLS_DHE_DSS_WITH_AES_128_CBC_SHA"),
    suite(0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    suite(0x0040, "TLS_DHE_DSS_WITH_AES_128_CBC_SHA256"),
    suite(0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"),
    suite(0x0087, "TLS_DHE_DSS_WITH_CAMELLIA_256_CBC_SHA"),
    suite(0x0088, "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA"),
    suite(0x00C3, "TLS_DHE_DSS_WITH_CAMELLIA_256_CBC_SHA256"),
    suite(0x00C4, "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA256"),
    suite(0x0044, "TLS_DHE_DSS_WITH_CAMELLIA_128_CBC_SHA"),
    suite(0x0045, "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA"),
    suite(0x0099, "TLS_DHE_DSS_WITH_SEED_CBC_SHA"),
    suite(0x009A, "TLS_DHE_RSA_WITH_SEED_CBC_SHA"),
    suite(0x00BD, "TLS_DHE_DSS_WITH_CAMELLIA_128_CBC_SHA256"),
    suite(0x00BE, "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA256"),
    suite(0x009D, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    suite(0xC02E, "TLS_ECDH_ECDSA_WITH_AES_256_GCM_SHA384"),
    suite(0xC032, "TLS_ECDH_RSA_WITH_AES_256_GCM_SHA384"),
    suite(0xC09D, "TLS_RSA_WITH_AES_256_CCM"),
    suite(0xC0A1, "TLS_RSA_WITH_AES_256_CCM_8"),
    suite(0x009C, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    suite(0xC02D, "TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256"),
    suite(0xC031, "TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256"),
    suite(0xC09C, "TLS_RSA_WITH_AES_128_CCM"),
    suite(0xC0A0, "TLS_RSA_WITH_AES_128_CCM_8"),
    suite(0xC051, "TLS_RSA_WITH_ARIA_256_GCM_SHA384"),
    suite(0xC050, "TLS_RSA_WITH_ARIA_128_GCM_SHA256"),
    suite(0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    suite(0x003D, "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    suite(0xC005, "TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA"),
    suite(0xC00F, "TLS_ECDH_RSA_WITH_AES_256_CBC_SHA"),
    suite(0xC026, "TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA384"),
    suite(0xC02A, "TLS_ECDH_RSA_WITH_AES_256_CBC_SHA384"),
    suite(0x002F, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    suite(0x003C, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    suite(0xC004, "TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA"),
    suite(0xC00E, "TLS_ECDH_RSA_WITH_AES_128_CBC_SHA"),
    suite(0xC025, "TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA256"),
    suite(0xC029, "TLS_ECDH_RSA_WITH_AES_128_CBC_SHA256"),
    suite(0x0084, "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA"),
    suite(0x00C0, "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA256"),
    suite(0x0007, "TLS_RSA_WITH_IDEA_CBC_SHA"),
    suite(0x0041, "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA"),
    suite(0x0096, "TLS_RSA_WITH_SEED_CBC_SHA"),
    suite(0x00BA, "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA256"),
    suite(0x00A7, "TLS_DH_anon_WITH_AES_256_GCM_SHA384"),
    suite(0x00A6, "TLS_DH_anon_WITH_AES_128_GCM_SHA256"),
    suite(0xC007, "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA"),
    suite(0xC011, "TLS_ECDHE_RSA_WITH_RC4_128_SHA"),
    suite(0xC008, "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA"),
    suite(0xC012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    suite(0xC006, "TLS_ECDHE_ECDSA_WITH_NULL_SHA"),
    suite(0xC010, "TLS_ECDHE_RSA_WITH_NULL_SHA"),
    suite(0x003A, "TLS_DH_anon_WITH_AES_256_CBC_SHA"),
    suite(0x006D, "TLS_DH_anon_WITH_AES_256_CBC_SHA256"),
    suite(0xC019, "TLS_ECDH_anon_WITH_AES_256_CBC_SHA"),
    suite(0x0004, "TLS_RSA_WITH_RC4_128_MD5"),
    suite(0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
    suite(0x0018, "TLS_DH_anon_WITH_RC4_128_MD5"),
    suite(0x0034, "TLS_DH_anon_WITH_AES_128_CBC_SHA"),
    suite(0x006C, "TLS_DH_anon_WITH_AES_128_CBC_SHA256"),
    suite(0xC016, "TLS_ECDH_anon_WITH_RC4_128_SHA"),
    suite(0xC018, "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"),
    suite(0x000A, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    suite(0x0013, "TLS_DHE_DSS_WITH_3DES_EDE_CBC_SHA"),
    suite(0x0016, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    suite(0x001B, "TLS_DH_anon_WITH_3DES_EDE_CBC_SHA"),
    suite(0xC003, "TLS_ECDH_ECDSA_WITH_3DES_EDE_CBC_SHA"),
    suite(0xC00D, "TLS_ECDH_RSA_WITH_3DES_EDE_CBC_SHA"),
    suite(0xC017, "TLS_ECDH_anon_WITH_3DES_EDE_CBC_SHA"),
    suite(0x0009, "TLS_RSA_WITH_DES_CBC_SHA"),
    suite(0x0012, "TLS_DHE_DSS_WITH_DES_CBC_SHA"),
    suite(0x0015, "TLS_DHE_RSA_WITH_DES_CBC_SHA"),
    suite(0x001A, "TLS_DH_anon_WITH_DES_CBC_SHA"),
    suite(0x0062, "TLS_RSA_EXPORT1024_WITH_DES_CBC_SHA"),
    suite(0x0064, "TLS_RSA_EXPORT1024_WITH_RC4_56_SHA"),
    suite(0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5"),
    suite(0x0006, "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5"),
    suite(0x0008, "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA"),
    suite(0x0011, "TLS_DHE_DSS_EXPORT_WITH_DES40_CBC_SHA"),
    suite(0x0014, "TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA"),
    suite(0x0017, "TLS_DH_anon_EXPORT_WITH_RC4_40_MD5"),
    suite(0x0019, "TLS_DH_anon_EXPORT_WITH_DES40_CBC_SHA"),
    suite(0x0001, "TLS_RSA_WITH_NULL_MD5"),
    suite(0x0002, "TLS_RSA_WITH_NULL_SHA"),
    suite(0x003B, "TLS_RSA_WITH_NULL_SHA256"),
    suite(0xC015, "TLS_ECDH_anon_WITH_NULL_SHA"),
    suite(0x0089, "TLS_DH_anon_WITH_CAMELLIA_256_CBC_SHA"),
    suite(0x00C5, "TLS_DH_anon_WITH_CAMELLIA_256_CBC_SHA256"),
    suite(0x0046, "TLS_DH_anon_WITH_CAMELLIA_128_CBC_SHA"),
    suite(0x009B, "TLS_DH_anon_WITH_SEED_CBC_SHA"),
    suite(0x00BF, "TLS_DH_anon_WITH_CAMELLIA_128_CBC_SHA256"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(id: u16, bits: u16, says: &str) {
        let suite = Suite::of(id).unwrap();
        let facts = [
            (suite.forward_secret(), "secret"),
            (suite.authenticated(), "authenticated"),
            (suite.anonymous(), "anonymous"),
            (suite.export(), "export"),
            (suite.rc4(), "rc4"),
            (suite.small_blocks(), "small"),
            (suite.cbc(), "cbc"),
        ];
        let told: Vec<&str> = facts
            .iter()
            .filter(|fact| fact.0)
            .map(|fact| fact.1)
            .collect();
        assert_eq!(
            (suite.bits(), told.join(" ").as_str()),
            (bits, says),
            "{}",
            suite.name
        );
    }

    #[test]
    fn a_suite_is_what_its_name_says() {
        check(0x1302, 256, "secret authenticated");
        check(0x1303, 256, "secret authenticated");
        check(0xC02F, 128, "secret authenticated");
        check(0xC0AE, 128, "secret authenticated");
        check(0xC0AD, 256, "secret authenticated");
        check(0xC014, 256, "secret cbc");
        check(0x0033, 128, "secret cbc");
        check(0x009C, 128, "authenticated");
        check(0x002F, 128, "cbc");
        check(0x000A, 112, "small cbc");
        check(0x0005, 128, "rc4");
        check(0x0003, 40, "export rc4");
        check(0x0008, 40, "export small cbc");
        check(0x0009, 56, "small cbc");
        check(0x0064, 56, "export rc4");
        check(0xC005, 256, "cbc");
        check(0x0034, 128, "anonymous cbc");
        check(0x0001, 0, "");
    }

    #[test]
    fn no_suite_is_listed_twice_and_each_fits_a_protocol() {
        for (n, suite) in SUITES.iter().enumerate() {
            assert!(
                SUITES[..n]
                    .iter()
                    .all(|other| other.id != suite.id && other.name != suite.name)
            );
            assert!(suite.fits(Protocol::Tls12) != suite.fits(Protocol::Tls13));
            assert!(!suite.fits(Protocol::Tls10) || suite.fits(Protocol::Tls12));
        }
        assert!(TODAY.iter().all(|&id| Suite::of(id).is_some()));
    }
}
