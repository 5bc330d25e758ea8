//! Certificates: DER and PEM in, our nouns out.
//!
//! Reads what a validator refuses: expired, version 1, SHA-1, CA used as a server. A certificate that cannot be
//! judged must still be shown. Whether it is trusted is asked in `tls`, whether that is good in `probe`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo, X509Version};

use crate::domain::{ChainLink, Clean, Fault, FaultKind, Timestamp};

/// A person reads no more names than this; the rest is counted.
pub const NAMES_MAX: usize = 50;

/// Longest chain that is shown. A sound one has two or three links.
pub const CHAIN_MAX: usize = 10;

/// The system's whole bundle of roots is 230 KB.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// NIST SP 800-131A: shorter RSA keys are disallowed since 2014.
const RSA_BITS_MIN: usize = 2048;

/// A subject alternative name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AltName {
    /// As written: an international name stays in punycode.
    Dns(String),
    Ip(IpAddr),
    /// Mail, URI, directory name: shown, never matched against a host.
    Other(String),
}

impl AltName {
    fn shown(&self) -> Clean {
        match self {
            Self::Dns(name) => Clean::from(name.as_str()),
            Self::Ip(ip) => Clean::from(ip.to_string()),
            Self::Other(text) => Clean::from(text.as_str()),
        }
    }
}

/// One certificate, with what a judgement needs beyond what is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub link: ChainLink,
    /// All names, also those beyond [`NAMES_MAX`].
    pub names: Vec<AltName>,
    /// Subject and issuer are the same: a root, or a self-signed certificate.
    pub self_issued: bool,
    /// The certificate asks for a stapled OCSP response (RFC 7633).
    pub must_staple: bool,
}

impl Parsed {
    /// What to call it in a sentence: the subject, else its first name, else its serial number.
    pub fn label(&self) -> Clean {
        let link = &self.link;
        match (link.subject.is_empty(), link.names.first()) {
            (false, _) => link.subject.clone(),
            (true, Some(name)) => name.clone(),
            (true, None) => Clean::from(format!("serial {}", link.serial)),
        }
    }
}

/// Where in the chain a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    Leaf,
    /// Issuer of another one: a self-issued one here is a root, whose own signature nobody checks.
    Beyond,
}

/// Reads one certificate.
pub fn read(der: &[u8], position: Position) -> Result<Parsed, Fault> {
    let (_, x509) = X509Certificate::from_der(der).map_err(|error| {
        Fault::new(
            FaultKind::Garbled,
            format!(
                "a certificate of {} bytes cannot be read: {error}",
                der.len()
            ),
        )
    })?;
    let names = alt_names(&x509);
    let self_issued = x509.subject().as_raw() == x509.issuer().as_raw();
    let root = self_issued && position == Position::Beyond;
    let link = ChainLink {
        subject: Clean::from(x509.subject().to_string()),
        issuer: Clean::from(x509.issuer().to_string()),
        serial: Clean::from(x509.raw_serial_as_string()),
        not_before: moment(x509.validity().not_before),
        not_after: moment(x509.validity().not_after),
        key: Clean::from(key_words(x509.public_key())),
        signature: Clean::from(signature_words(&x509.signature_algorithm)),
        names: names.iter().take(NAMES_MAX).map(AltName::shown).collect(),
        names_more: u32::try_from(names.len().saturating_sub(NAMES_MAX)).unwrap_or(u32::MAX),
        fingerprint: Clean::from(fingerprint(der)),
        is_ca: x509.is_ca(),
        weak: if root { None } else { weakness(&x509) },
    };
    Ok(Parsed {
        link,
        names,
        self_issued,
        must_staple: must_staple(&x509),
    })
}

/// Reads a chain, leaf first, at most [`CHAIN_MAX`] links. One that cannot be read fails the whole.
pub fn read_chain<D: AsRef<[u8]>>(ders: &[D]) -> Result<Vec<Parsed>, Fault> {
    let positions = std::iter::once(Position::Leaf).chain(std::iter::repeat(Position::Beyond));
    ders.iter()
        .take(CHAIN_MAX)
        .zip(positions)
        .map(|(der, position)| read(der.as_ref(), position))
        .collect()
}

/// Does one of the names stand for this host (RFC 6125)? The common name is never asked.
///
/// A wildcard is the whole left-most label and stands for exactly one; an address matches an address only.
pub fn names_match(host: &str, names: &[AltName]) -> bool {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return names.contains(&AltName::Ip(ip));
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    names.iter().any(|name| match name {
        AltName::Dns(pattern) => dns_matches(host, pattern),
        AltName::Ip(_) | AltName::Other(_) => false,
    })
}

fn dns_matches(host: &str, pattern: &str) -> bool {
    if host.is_empty() || !pattern.is_ascii() {
        return false;
    }
    let Some(zone) = pattern.strip_prefix("*.") else {
        return !pattern.contains('*') && host.eq_ignore_ascii_case(pattern);
    };
    // `*.eu` would stand for a whole country.
    let wide = !zone.contains('.');
    let Some((label, rest)) = host.split_once('.') else {
        return false;
    };
    !wide && !zone.contains('*') && !label.is_empty() && rest.eq_ignore_ascii_case(zone)
}

/// The certificates in a PEM file; keys and other sections in it are passed over.
pub async fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let path = PathBuf::from(path);
    let reading = tokio::task::spawn_blocking(move || read_pem_now(&path));
    reading
        .await
        .unwrap_or_else(|error| Err(Fault::new(FaultKind::Broken, error.to_string())))
}

fn read_pem_now(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let shown = path.display();
    let bytes = read_bounded(path)?;
    let ders = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| {
            Fault::new(
                FaultKind::Garbled,
                format!("{shown} is damaged: {}", pem_words(&error)),
            )
        })?;
    if ders.is_empty() {
        Err(Fault::new(
            FaultKind::Garbled,
            format!("{shown} holds no PEM certificate"),
        )
        .remedy("it should hold -----BEGIN CERTIFICATE-----"))
    } else {
        Ok(ders)
    }
}

fn pem_words(error: &rustls::pki_types::pem::Error) -> &'static str {
    use rustls::pki_types::pem::Error;
    match error {
        Error::MissingSectionEnd { .. } => "a section has no END line",
        Error::IllegalSectionStart { .. } => "a BEGIN line is not well-formed",
        Error::Base64Decode(_) => "what should be base64 is not",
        _ => "not well-formed PEM",
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, Fault> {
    let cannot = |error: io::Error| cannot_read(path, &error);
    // Asked before opening: to open a pipe nobody writes to would wait for ever.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        let text = format!("{} is no file", path.display());
        return Err(Fault::new(FaultKind::Misconfigured, text));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        Err(Fault::new(
            FaultKind::TooLarge,
            format!("{} is over 1 MB: no certificate file", path.display()),
        ))
    } else {
        Ok(bytes)
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Fault {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            Fault::new(FaultKind::Missing, format!("{shown} does not exist"))
        }
        io::ErrorKind::PermissionDenied => {
            Fault::new(FaultKind::Denied, format!("{shown} may not be read"))
                .remedy("give this user the right to read it")
        }
        _ => Fault::new(FaultKind::Missing, format!("cannot read {shown}: {error}")),
    }
}

fn moment(time: ASN1Time) -> Timestamp {
    Timestamp(u64::try_from(time.timestamp()).unwrap_or(0) * 1000)
}

fn alt_names(x509: &X509Certificate<'_>) -> Vec<AltName> {
    let Ok(Some(extension)) = x509.subject_alternative_name() else {
        return Vec::new();
    };
    extension.value.general_names.iter().map(alt_name).collect()
}

fn alt_name(name: &GeneralName<'_>) -> AltName {
    match name {
        GeneralName::DNSName(name) => AltName::Dns((*name).to_owned()),
        GeneralName::IPAddress(bytes) => ip_name(bytes),
        GeneralName::RFC822Name(mail) => AltName::Other(format!("mail:{mail}")),
        GeneralName::URI(uri) => AltName::Other(format!("uri:{uri}")),
        GeneralName::DirectoryName(name) => AltName::Other(format!("directory:{name}")),
        GeneralName::RegisteredID(oid) => AltName::Other(format!("id:{oid}")),
        GeneralName::OtherName(oid, _) => AltName::Other(format!("other:{oid}")),
        GeneralName::X400Address(_) => AltName::Other("x400".to_owned()),
        GeneralName::EDIPartyName(_) => AltName::Other("edi".to_owned()),
        GeneralName::Invalid(_, bytes) => {
            AltName::Other(format!("unreadable:{}", Clean::bytes(bytes)))
        }
    }
}

fn ip_name(bytes: &[u8]) -> AltName {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return AltName::Ip(Ipv4Addr::from(four).into());
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(sixteen) => AltName::Ip(Ipv6Addr::from(sixteen).into()),
        Err(_) => AltName::Other(format!("address of {} bytes", bytes.len())),
    }
}

fn key_words(key: &SubjectPublicKeyInfo<'_>) -> String {
    let oid = key.algorithm.algorithm.to_id_string();
    match (oid.as_str(), key.parsed()) {
        ("1.3.101.112", _) => "Ed25519".to_owned(),
        ("1.3.101.113", _) => "Ed448".to_owned(),
        (_, Ok(PublicKey::RSA(rsa))) => format!("RSA {}", rsa.key_size()),
        (_, Ok(PublicKey::EC(point))) => {
            curve(&key.algorithm).map_or_else(|| format!("EC {}", point.key_size()), str::to_owned)
        }
        (_, Ok(PublicKey::DSA(_))) => "DSA".to_owned(),
        _ => oid,
    }
}

fn curve(algorithm: &AlgorithmIdentifier<'_>) -> Option<&'static str> {
    let oid = algorithm.parameters.as_ref()?.as_oid().ok()?;
    match oid.to_id_string().as_str() {
        "1.2.840.10045.3.1.7" => Some("EC P-256"),
        "1.3.132.0.34" => Some("EC P-384"),
        "1.3.132.0.35" => Some("EC P-521"),
        "1.3.132.0.10" => Some("EC secp256k1"),
        _ => None,
    }
}

/// Object identifier, and what people call it.
const SIGNATURES: [(&str, &str); 17] = [
    ("1.2.840.113549.1.1.2", "RSA MD2"),
    ("1.2.840.113549.1.1.4", "RSA MD5"),
    ("1.2.840.113549.1.1.5", "RSA SHA-1"),
    ("1.2.840.113549.1.1.14", "RSA SHA-224"),
    ("1.2.840.113549.1.1.11", "RSA SHA-256"),
    ("1.2.840.113549.1.1.12", "RSA SHA-384"),
    ("1.2.840.113549.1.1.13", "RSA SHA-512"),
    ("1.2.840.10045.4.1", "ECDSA SHA-1"),
    ("1.2.840.10045.4.3.1", "ECDSA SHA-224"),
    ("1.2.840.10045.4.3.2", "ECDSA SHA-256"),
    ("1.2.840.10045.4.3.3", "ECDSA SHA-384"),
    ("1.2.840.10045.4.3.4", "ECDSA SHA-512"),
    ("1.2.840.10040.4.3", "DSA SHA-1"),
    ("2.16.840.1.101.3.4.3.2", "DSA SHA-256"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.3.14.3.2.29", "RSA SHA-1"),
];

fn signature_words(algorithm: &AlgorithmIdentifier<'_>) -> String {
    if let Ok(SignatureAlgorithm::RSASSA_PSS(pss)) = SignatureAlgorithm::try_from(algorithm) {
        return match pss.hash_algorithm_oid().to_id_string().as_str() {
            "2.16.840.1.101.3.4.2.1" => "RSA-PSS SHA-256".to_owned(),
            "2.16.840.1.101.3.4.2.2" => "RSA-PSS SHA-384".to_owned(),
            "2.16.840.1.101.3.4.2.3" => "RSA-PSS SHA-512".to_owned(),
            "1.3.14.3.2.26" => "RSA-PSS SHA-1".to_owned(),
            other => format!("RSA-PSS {other}"),
        };
    }
    let oid = algorithm.algorithm.to_id_string();
    let known = SIGNATURES.iter().find(|(known, _)| *known == oid);
    known.map_or(oid, |(_, words)| (*words).to_owned())
}

/// Everything that is weak by today's rules, in one line.
fn weakness(x509: &X509Certificate<'_>) -> Option<Clean> {
    let mut found = Vec::new();
    let signature = signature_words(&x509.signature_algorithm);
    if ["MD2", "MD5", "SHA-1"]
        .iter()
        .any(|old| signature.ends_with(old))
    {
        found.push(format!("signed with {signature}"));
    }
    if let Ok(PublicKey::RSA(rsa)) = x509.public_key().parsed()
        && rsa.key_size() < RSA_BITS_MIN
    {
        found.push(format!("RSA key of {} bits", rsa.key_size()));
    }
    if x509.version() != X509Version::V3 {
        found.push(format!("version {}", x509.version().0 + 1));
    }
    (!found.is_empty()).then(|| Clean::from(found.join(", ")))
}

fn must_staple(x509: &X509Certificate<'_>) -> bool {
    /// RFC 7633: the TLS features a server must show; 5 is `status_request`.
    const FEATURES: &str = "1.3.6.1.5.5.7.1.24";
    const STATUS_REQUEST: [u8; 3] = [2, 1, 5];
    x509.extensions().iter().any(|extension| {
        extension.oid.to_id_string() == FEATURES
            && extension
                .value
                .windows(STATUS_REQUEST.len())
                .any(|bytes| bytes == STATUS_REQUEST)
    })
}

fn fingerprint(der: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(der) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, KeyPair};

    /// Host asked for, name in the certificate, do they match?
    const NAMES: [(&str, &str, bool); 44] = [
        ("shop.eu", "shop.eu", true),
        ("SHOP.eu", "shop.EU", true),
        ("shop.eu.", "shop.eu", true),
        ("shop.eu", "shop.eu.", false),
        ("shop.eu..", "shop.eu", false),
        ("www.shop.eu", "shop.eu", false),
        ("shop.eu", "www.shop.eu", false),
        ("shop.eu.evil.com", "shop.eu", false),
        ("evilshop.eu", "shop.eu", false),
        ("www.shop.eu", "*.shop.eu", true),
        ("WWW.shop.eu.", "*.Shop.eu", true),
        ("shop.eu", "*.shop.eu", false),
        ("a.b.shop.eu", "*.shop.eu", false),
        (".shop.eu", "*.shop.eu", false),
        ("www.shop.eu", "*.*.eu", false),
        ("a.b.shop.eu", "*.*.shop.eu", false),
        ("www.shop.eu", "w*.shop.eu", false),
        ("www.shop.eu", "*w.shop.eu", false),
        ("www.shop.eu", "www.*.eu", false),
        ("www.shop.eu", "www.shop.*", false),
        ("shop.eu", "*.eu", false),
        ("shop.eu", "*", false),
        ("shop", "*", false),
        ("shop.eu", "*.", false),
        ("*.shop.eu", "*.shop.eu", true),
        ("xn--bcher-kva.eu", "xn--bcher-kva.eu", true),
        ("xn--bcher-kva.eu", "bücher.eu", false),
        ("bücher.eu", "bücher.eu", false),
        ("xn--bcher-kva.shop.eu", "*.shop.eu", true),
        ("xn--shp-7cd.eu", "shop.eu", false),
        ("localhost", "localhost", true),
        ("localhost", "localhost.", false),
        ("", "shop.eu", false),
        ("", "", false),
        (".", "", false),
        ("shop.eu", "", false),
        ("shop_1.eu", "shop_1.eu", true),
        ("shop.eu", " shop.eu", false),
        ("shop.eu", "shop.eu\0.evil.com", false),
        ("192.0.2.1", "192.0.2.1", false),
        ("192.0.2.1", "*.0.2.1", false),
        ("::1", "::1", false),
        ("1.shop.eu", "*.shop.eu", true),
        ("shop.eu:443", "shop.eu", false),
    ];

    #[test]
    fn names_match_as_rfc_6125_says() {
        for (host, name, matches) in NAMES {
            let names = [AltName::Dns(name.to_owned())];
            assert_eq!(names_match(host, &names), matches, "{host} against {name}");
        }
    }

    #[test]
    fn an_address_matches_an_address_only() {
        let ip = |text: &str| AltName::Ip(text.parse().unwrap());
        assert!(names_match("192.0.2.1", &[ip("192.0.2.1")]));
        assert!(names_match("::1", &[ip("0:0::1")]));
        assert!(!names_match("192.0.2.2", &[ip("192.0.2.1")]));
        assert!(!names_match("shop.eu", &[ip("192.0.2.1")]));
        assert!(!names_match("shop.eu", &[AltName::Other("shop.eu".into())]));
        assert!(!names_match("shop.eu", &[]));
    }

    fn parsed(params: &CertificateParams) -> Parsed {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        read(certificate.der(), Position::Leaf).unwrap()
    }

    #[test]
    fn a_certificate_is_read_whole() {
        let mut params =
            CertificateParams::new(vec!["shop.eu".into(), "127.0.0.1".into()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "shop\x1b[31m");
        params.not_after = rcgen::date_time_ymd(2031, 1, 1);
        let read = parsed(&params);
        assert_eq!(read.link.names, ["shop.eu", "127.0.0.1"]);
        assert_eq!(read.link.key, "EC P-256");
        assert_eq!(read.link.signature, "ECDSA SHA-256");
        assert_eq!(read.link.not_after.date_minute(), "2031-01-01 00:00Z");
        assert!(read.link.subject.contains("shop^[[31m"));
        assert_eq!(read.link.fingerprint.len(), 64);
        assert!(read.self_issued && !read.link.is_ca && !read.must_staple);
        assert_eq!(read.link.weak, None);
    }

    #[test]
    fn ten_thousand_names_are_counted_and_fifty_shown() {
        let names: Vec<String> = (0..10_000).map(|n| format!("a{n}.shop.eu")).collect();
        let read = parsed(&CertificateParams::new(names).unwrap());
        assert_eq!((read.link.names.len(), read.link.names_more), (50, 9950));
        assert!(names_match("a9999.shop.eu", &read.names));
    }

    #[test]
    fn the_common_name_is_never_a_name() {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "shop.eu");
        assert!(!names_match("shop.eu", &parsed(&params).names));
    }

    #[test]
    fn must_staple_and_authorities_are_seen() {
        let mut params = CertificateParams::new(vec!["shop.eu".into()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let oid = [1, 3, 6, 1, 5, 5, 7, 1, 24];
        params.custom_extensions = vec![CustomExtension::from_oid_content(
            &oid,
            vec![0x30, 3, 2, 1, 5],
        )];
        let read = parsed(&params);
        assert!(read.must_staple && read.link.is_ca);
    }

    #[test]
    fn what_is_no_certificate_is_a_fault() {
        for der in [&b""[..], b"\x30\x82\xff\xff", &[0x30; 300]] {
            let fault = read(der, Position::Leaf).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Garbled);
        }
    }

    #[tokio::test]
    async fn a_file_that_gives_no_certificate_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        let kind = async |path: &Path| read_pem(path).await.unwrap_err().kind;
        assert_eq!(kind(&path).await, FaultKind::Missing);
        assert_eq!(kind(folder.path()).await, FaultKind::Misconfigured);
        std::fs::write(&path, "hello").unwrap();
        assert_eq!(kind(&path).await, FaultKind::Garbled);
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n!!\n").unwrap();
        assert_eq!(kind(&path).await, FaultKind::Garbled);
        std::fs::write(&path, vec![b'x'; 1024 * 1024 + 1]).unwrap();
        assert_eq!(kind(&path).await, FaultKind::TooLarge);
    }

    #[tokio::test]
    async fn keys_beside_certificates_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("both.pem");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["shop.eu".into()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        std::fs::write(&path, format!("{}{pem}{pem}", key.serialize_pem())).unwrap();
        assert_eq!(read_pem(&path).await.unwrap().len(), 2);
    }

    fn sound_der() -> Vec<u8> {
        let names = vec!["shop.eu".into(), "127.0.0.1".into(), "bob@shop.eu".into()];
        let params = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_is_read_or_refused_and_nothing_else(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
            cuts in any::<bool>(),
        ) {
            let mut der = sound_der();
            for (at, byte) in damage {
                let at = at.index(der.len());
                der[at] = byte;
            }
            if cuts {
                der.truncate(cut.index(der.len()));
            }
            match read(&der, Position::Leaf) {
                Ok(read) => prop_assert!(read.link.names.len() <= NAMES_MAX),
                Err(fault) => prop_assert_eq!(fault.kind, FaultKind::Garbled),
            }
        }

        #[test]
        fn no_name_matches_by_a_part_of_itself(host in "[a-z.*-]{0,12}", name in "[a-z.*-]{0,12}") {
            let names = [AltName::Dns(name.clone())];
            let whole = host.strip_suffix('.').unwrap_or(&host) == name;
            let wild = name.strip_prefix("*.").is_some_and(|zone| host.contains(zone));
            prop_assert!(!names_match(&host, &names) || whole || wild);
        }
    }
}
