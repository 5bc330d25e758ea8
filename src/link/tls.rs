//! TLS as a witness: capture what the server shows first, judge it second.
//!
//! An ordinary client drops the connection at the first thing it dislikes, and the operator learns nothing. Here the
//! handshake goes through whatever is presented; the chain, the proof that the server owns its key and the verdict of
//! a real validator are kept apart. Nothing may be sent on such a stream before it was judged.
//!
//! Not here: TLS older than 1.2. A server that speaks nothing newer is named as such.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage,
    PeerIncompatible, ProtocolVersion, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial::Witness;
use super::x509::{self, Parsed};
use crate::domain::{Clean, Fault, FaultKind, Timestamp, text};

/// Two round trips; a server at its limit may take seconds.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// What the server did in the handshake.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// As sent, leaf first, at most [`x509::CHAIN_MAX`] links. Never empty.
    pub chain: Vec<Parsed>,
    /// Links beyond those shown.
    pub chain_more: usize,
    /// `TLS 1.3`; empty when the handshake broke off before it was agreed on.
    pub protocol: Clean,
    pub cipher: Clean,
    /// An OCSP response was stapled.
    pub stapled: bool,
    /// The server asked for a client certificate.
    pub client_auth: bool,
    /// Why the server's proof that it owns the leaf's key does not count, if it does not.
    pub unproven: Option<Clean>,
    /// Why the handshake broke off after the chain was shown, if it did.
    pub broke_off: Option<Fault>,
    ders: Vec<CertificateDer<'static>>,
}

impl Handshake {
    /// What was shown in the clear to somebody else's hello, and by a server that may not own it.
    pub fn overheard(
        ders: &[Vec<u8>],
        protocol: &str,
        cipher: &str,
        place: &str,
    ) -> Result<Self, Fault> {
        let ders: Vec<_> = ders.iter().cloned().map(CertificateDer::from).collect();
        if ders.is_empty() {
            return Err(no_certificate(place));
        }
        Ok(Self {
            chain: x509::read_chain(&ders)
                .map_err(|fault| Fault::new(fault.kind, format!("{place}: {}", fault.text)))?,
            chain_more: ders.len().saturating_sub(x509::CHAIN_MAX),
            protocol: Clean::from(protocol),
            cipher: Clean::from(cipher),
            stapled: false,
            client_auth: false,
            unproven: None,
            broke_off: None,
            ders,
        })
    }

    /// The server's own certificate.
    ///
    /// # Panics
    /// Never: a handshake that showed no certificate is a fault.
    pub fn leaf(&self) -> &Parsed {
        self.chain
            .first()
            .expect("a handshake without a chain is a fault")
    }
}

/// A handshake, and the stream if it went through to the end.
#[derive(Debug)]
pub struct Shaken<S> {
    pub seen: Handshake,
    pub stream: Option<TlsStream<Witness<S>>>,
}

/// What is spoken inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// Nothing is said about it: mail, databases and the rest answer too.
    Unsaid,
    Http1,
}

/// Who vouches for the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    System,
    /// The authority, or the very certificate, that the configuration names.
    Given,
    No(Distrust, Clean),
}

/// Why a chain is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    Expired,
    NotYetValid,
    WrongName,
    SelfSigned,
    UnknownIssuer,
    /// The certificate of an authority, presented as a server's own.
    AuthorityAsServer,
    /// There is nothing to judge by on our side.
    NotJudged,
    Other,
}

/// The authorities that are trusted. The system's are read at the first need, once.
#[derive(Debug, Default)]
pub struct Roots {
    system: OnceCell<Arc<RootCertStore>>,
}

impl Roots {
    /// Reads nothing yet: the first look that needs them waits for them.
    pub fn system_lazily() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// These instead of the system's.
    pub fn fixed(store: RootCertStore) -> Arc<Self> {
        Arc::new(Self {
            system: OnceCell::new_with(Some(Arc::new(store))),
        })
    }

    /// Reads the system's now, for who measures time and must not measure that.
    pub async fn read(&self) {
        self.system().await;
    }

    async fn system(&self) -> Arc<RootCertStore> {
        let load = || async {
            let loaded = tokio::task::spawn_blocking(load_system).await;
            Arc::new(loaded.unwrap_or_else(|_| RootCertStore::empty()))
        };
        Arc::clone(self.system.get_or_init(load).await)
    }

    /// Asks a validator about a chain: the given authority first, then the system's.
    pub async fn judge(
        &self,
        seen: &Handshake,
        name: &ServerName<'_>,
        ca_file: Option<&Path>,
        now: Timestamp,
    ) -> Verdict {
        let given = match ca_file {
            None => None,
            Some(path) => Some(Given::read(path).await.map(Arc::new)),
        };
        self.judge_by(seen, name, given, now).await
    }

    /// The same, by a file that was read before.
    pub(super) async fn judge_by(
        &self,
        seen: &Handshake,
        name: &ServerName<'_>,
        given: Option<Result<Arc<Given>, Fault>>,
        now: Timestamp,
    ) -> Verdict {
        let given = match given.map(|given| given.map(|given| given.judge(seen, name, now))) {
            None => None,
            Some(Err(fault)) => Some(Verdict::No(Distrust::NotJudged, fault.text)),
            Some(Ok(Verdict::No(why, text))) => Some(Verdict::No(why, text)),
            Some(Ok(trusted)) => return trusted,
        };
        let system = self.system().await;
        match validate(seen, name, &system, now) {
            Ok(()) => Verdict::System,
            Err(verdict) => given.unwrap_or(verdict),
        }
    }
}

/// The certificates of one file: authorities, or the server's own.
#[derive(Debug)]
pub struct Given {
    ders: Vec<CertificateDer<'static>>,
    store: Arc<RootCertStore>,
}

impl Given {
    pub async fn read(path: &Path) -> Result<Self, Fault> {
        let ders = x509::read_pem(path).await?;
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(ders.iter().cloned());
        Ok(Self {
            ders,
            store: Arc::new(store),
        })
    }

    fn judge(&self, seen: &Handshake, name: &ServerName<'_>, now: Timestamp) -> Verdict {
        let leaf = seen.ders.first();
        if leaf.is_some_and(|leaf| self.ders.contains(leaf)) {
            return judge_pinned(seen, name, now);
        }
        match validate(seen, name, &self.store, now) {
            Ok(()) => Verdict::Given,
            Err(verdict) => verdict,
        }
    }
}

fn load_system() -> RootCertStore {
    let mut store = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!("cannot read some of the system's root certificates: {error}");
    }
    store.add_parsable_certificates(loaded.certs);
    store
}

/// The configuration names this very certificate: its dates and its names are all that is left to ask.
fn judge_pinned(seen: &Handshake, name: &ServerName<'_>, now: Timestamp) -> Verdict {
    let leaf = seen.leaf();
    let no = |why, text: &str| Verdict::No(why, Clean::from(text));
    if leaf.link.not_after < now {
        return no(Distrust::Expired, "expired");
    }
    if now < leaf.link.not_before {
        return no(Distrust::NotYetValid, "not yet valid");
    }
    if x509::names_match(&name.to_str(), &leaf.names) {
        Verdict::Given
    } else {
        no(Distrust::WrongName, "wrong name")
    }
}

fn validate(
    seen: &Handshake,
    name: &ServerName<'_>,
    roots: &Arc<RootCertStore>,
    now: Timestamp,
) -> Result<(), Verdict> {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider)
        .build()
        .map_err(|_| {
            let text = "this host has no root certificates to judge by";
            Verdict::No(Distrust::NotJudged, Clean::from(text))
        })?;
    let (leaf, rest) = seen
        .ders
        .split_first()
        .expect("a handshake without a chain is a fault");
    let at = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
    match verifier.verify_server_cert(leaf, rest, name, &[], at) {
        Ok(_) => Ok(()),
        Err(error) => {
            let (why, text) = distrust(&error, &seen.chain);
            Err(Verdict::No(why, text))
        }
    }
}

/// A validator's refusal in words.
fn distrust(error: &Error, chain: &[Parsed]) -> (Distrust, Clean) {
    use CertificateError as Bad;
    let Error::InvalidCertificate(bad) = error else {
        return (Distrust::Other, Clean::from(error.to_string()));
    };
    match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => (Distrust::Expired, "expired".into()),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            (Distrust::NotYetValid, "not yet valid".into())
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            (Distrust::WrongName, "wrong name".into())
        }
        Bad::UnknownIssuer => unknown_issuer(chain),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            (Distrust::Other, "not meant for servers".into())
        }
        Bad::BadSignature => (Distrust::Other, "a signature in the chain is wrong".into()),
        Bad::BadEncoding => (Distrust::Other, "a certificate is malformed".into()),
        other => named_by_validator(&format!("{other:?}"), chain),
    }
}

fn unknown_issuer(chain: &[Parsed]) -> (Distrust, Clean) {
    match chain {
        [only] if only.self_issued => (Distrust::SelfSigned, "self-signed".into()),
        [.., last] if last.self_issued => (
            Distrust::UnknownIssuer,
            format!("its root is not known here: {}", last.label()).into(),
        ),
        [.., last] => (
            Distrust::UnknownIssuer,
            format!(
                "issuer not known or left out of the chain: {}",
                last.link.issuer
            )
            .into(),
        ),
        [] => (Distrust::UnknownIssuer, "issuer not known".into()),
    }
}

/// Refusals that the validator's wrapper has no word for; their names are all there is.
fn named_by_validator(raw: &str, chain: &[Parsed]) -> (Distrust, Clean) {
    if raw.contains("CaUsedAsEndEntity") {
        let text = "the certificate of an authority (CA:TRUE) used as a server's";
        return (Distrust::AuthorityAsServer, text.into());
    }
    if raw.contains("UnsupportedCertVersion") {
        return (Distrust::Other, "a certificate of an old version".into());
    }
    if raw.contains("UnsupportedSignatureAlgorithm") {
        // Every client of today refuses it; a self-signed one would not be trusted with a better signature either.
        return match chain {
            [only] if only.self_issued => (Distrust::SelfSigned, "self-signed".into()),
            _ => (Distrust::Other, "signed in a way no longer accepted".into()),
        };
    }
    (Distrust::Other, Clean::from(raw))
}

/// The name to ask for and to check.
pub fn server_name(host: &str) -> Result<ServerName<'static>, Fault> {
    let host = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(host.to_owned()).map_err(|_| {
        Fault::new(
            FaultKind::Misconfigured,
            format!("{host:?} is no name that TLS can ask for"),
        )
        .remedy("write a host name, in punycode if it is international, or an address")
    })
}

/// Shakes hands with whoever is there and keeps what is shown. `place` is who it is, for the texts.
pub async fn handshake<S>(
    stream: S,
    name: &ServerName<'static>,
    inside: Inside,
    place: &str,
) -> Result<Shaken<S>, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let recorder = Arc::new(Recorder::new());
    let asked = Arc::new(Asked::default());
    let connector = TlsConnector::from(Arc::new(config(&recorder, &asked, inside)));
    let shaking = connector
        .connect(name.clone(), Witness::new(stream))
        .into_fallible();
    let shaken = timeout(HANDSHAKE_DEADLINE, shaking).await;
    let client_auth = asked.0.load(Ordering::Relaxed);
    let (stream, fault) = match shaken {
        Ok(Ok(stream)) => (Some(stream), None),
        Ok(Err((error, witness))) => {
            let fault = explain(&error, witness.first(), place, client_auth);
            (None, Some(fault))
        }
        Err(_) => (None, Some(never_ended(place))),
    };
    let shown = recorder.shown();
    if let (true, Some(fault)) = (shown.ders.is_empty(), &fault) {
        return Err(fault.clone());
    }
    let seen = describe(shown, stream.as_ref(), client_auth, fault, place)?;
    Ok(Shaken { seen, stream })
}

fn describe<S>(
    shown: Shown,
    stream: Option<&TlsStream<Witness<S>>>,
    client_auth: bool,
    broke_off: Option<Fault>,
    place: &str,
) -> Result<Handshake, Fault> {
    if shown.ders.is_empty() {
        return Err(no_certificate(place));
    }
    let connection = stream.map(|stream| stream.get_ref().1);
    let protocol = connection
        .and_then(|connection| connection.protocol_version())
        .or(shown.protocol);
    let suite = connection.and_then(|connection| connection.negotiated_cipher_suite());
    let cipher = suite.and_then(|suite| suite.suite().as_str());
    Ok(Handshake {
        chain: x509::read_chain(&shown.ders)
            .map_err(|fault| Fault::new(fault.kind, format!("{place}: {}", fault.text)))?,
        chain_more: shown.ders.len().saturating_sub(x509::CHAIN_MAX),
        protocol: Clean::from(protocol.map_or("", protocol_words)),
        cipher: Clean::from(cipher.unwrap_or_default().replace("TLS13_", "TLS_")),
        stapled: shown.stapled,
        client_auth,
        unproven: shown.unproven.map(Clean::from),
        broke_off,
        ders: shown.ders,
    })
}

fn protocol_words(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        ProtocolVersion::TLSv1_3 => "TLS 1.3",
        _ => "an unknown TLS",
    }
}

fn config(recorder: &Arc<Recorder>, asked: &Arc<Asked>, inside: Inside) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&recorder.provider))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(recorder) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(Arc::clone(asked) as Arc<dyn ResolvesClientCert>);
    // A resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = match inside {
        Inside::Unsaid => Vec::new(),
        Inside::Http1 => vec![b"http/1.1".to_vec()],
    };
    config
}

/// What the server showed, in the raw.
#[derive(Debug, Default)]
struct Shown {
    ders: Vec<CertificateDer<'static>>,
    stapled: bool,
    unproven: Option<String>,
    protocol: Option<ProtocolVersion>,
}

/// Keeps what is shown and lets everything pass: the judgement comes after.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    shown: Mutex<Shown>,
}

impl Recorder {
    fn new() -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            shown: Mutex::default(),
        }
    }

    fn shown(&self) -> Shown {
        std::mem::take(&mut *self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, note: impl FnOnce(&mut Shown)) {
        note(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn note_proof(
        &self,
        proof: Result<HandshakeSignatureValid, Error>,
        protocol: ProtocolVersion,
    ) -> HandshakeSignatureValid {
        self.note(|shown| {
            shown.unproven = proof.err().map(|error| error.to_string());
            shown.protocol = Some(protocol);
        });
        HandshakeSignatureValid::assertion()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        stapled: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ders = std::iter::once(leaf).chain(rest);
        self.note(|shown| {
            shown.ders = ders.map(|der| der.clone().into_owned()).collect();
            shown.stapled = !stapled.is_empty();
        });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let proof = verify_tls12_signature(message, leaf, signed, algorithms);
        Ok(self.note_proof(proof, ProtocolVersion::TLSv1_2))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let proof = verify_tls13_signature(message, leaf, signed, algorithms);
        Ok(self.note_proof(proof, ProtocolVersion::TLSv1_3))
    }

    /// Also those nobody should use any more: a server that knows nothing better must still show its chain.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let mut schemes = algorithms.supported_schemes();
        schemes.extend([
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ]);
        schemes
    }
}

/// Notes that a client certificate was asked for, and has none to give.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// A broken handshake in words: what the other side said counts more than what the library made of it.
fn explain(error: &io::Error, first: &[u8], place: &str, client_auth: bool) -> Fault {
    if first.first().is_some_and(|&byte| !is_record(byte)) {
        return not_tls(first, place);
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(error) => explain_tls(error, place, client_auth),
        None => Fault::new(
            FaultKind::Refused,
            format!("{place} closed the connection during the TLS handshake"),
        )
        .remedy("is it a TLS port, and does it know the name that is asked for"),
    }
}

/// Change cipher spec, alert, handshake, application: the four kinds a record can be of.
fn is_record(byte: u8) -> bool {
    (20..=23).contains(&byte)
}

fn explain_tls(error: &Error, place: &str, client_auth: bool) -> Fault {
    match error {
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Fault::new(
            FaultKind::Unsupported,
            format!("{place} speaks only TLS older than 1.2"),
        )
        .remedy("enable TLS 1.2 and 1.3 there: browsers refuse the old ones"),
        Error::AlertReceived(alert) => explain_alert(*alert, place, client_auth),
        Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge
            | InvalidMessage::CertificatePayloadTooLarge
            | InvalidMessage::MessageTooLarge,
        ) => Fault::new(
            FaultKind::TooLarge,
            format!("{place} sends a TLS handshake message of over 64 KB"),
        )
        .remedy("if that is its chain: send the leaf and its intermediates only"),
        Error::NoCertificatesPresented => no_certificate(place),
        other => Fault::new(
            FaultKind::Garbled,
            format!("{place} breaks the TLS handshake: {other}"),
        ),
    }
}

fn explain_alert(alert: AlertDescription, place: &str, client_auth: bool) -> Fault {
    let said = alert.as_str().unwrap_or("unknown");
    match alert {
        AlertDescription::UnrecognisedName => Fault::new(
            FaultKind::Refused,
            format!("{place} does not know the name that is asked for"),
        )
        .remedy("check the server's names, or set the name to ask for"),
        AlertDescription::NoApplicationProtocol => Fault::new(
            FaultKind::Unsupported,
            format!("{place} does not speak HTTP/1.1"),
        ),
        _ if client_auth => client_certificate(place),
        _ => Fault::new(
            FaultKind::Refused,
            format!("{place} refuses the TLS handshake: {said}"),
        )
        .remedy("it has no certificate for this name, or no cipher in common with us"),
    }
}

/// The fault of a server that lets nobody in without a client certificate.
pub fn client_certificate(place: &str) -> Fault {
    Fault::new(
        FaultKind::Denied,
        format!("{place} demands a client certificate"),
    )
    .remedy("only its certificate can be watched from here")
}

/// Is this a refusal that follows from our showing no client certificate?
pub fn is_alert(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(Error::AlertReceived(_))) {
            return true;
        }
        // An I/O error hides what it wraps from `source`.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref());
        if matches!(inner, Some(Error::AlertReceived(_))) {
            return true;
        }
        next = error.source();
    }
    false
}

fn no_certificate(place: &str) -> Fault {
    Fault::new(
        FaultKind::Garbled,
        format!("{place} presents no certificate"),
    )
}

fn never_ended(place: &str) -> Fault {
    Fault::new(
        FaultKind::Silent,
        format!(
            "the TLS handshake with {place} did not end within {} s",
            HANDSHAKE_DEADLINE.as_secs()
        ),
    )
    .remedy("is it a TLS port")
}

fn not_tls(first: &[u8], place: &str) -> Fault {
    let fault = Fault::new(
        FaultKind::Garbled,
        format!("{place} is not TLS: got '{}'", greeting(first)),
    );
    if first.starts_with(b"HTTP/") {
        fault.remedy("that is the port for plain http")
    } else {
        fault.remedy("check the port")
    }
}

/// The first line of what was said, cut to what a person needs to recognise it.
pub fn greeting(first: &[u8]) -> String {
    const COLUMNS_MAX: usize = 40;
    let line = first
        .split(|&byte| byte == b'\r' || byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = Clean::bytes(line);
    match text::fit(&line, COLUMNS_MAX) {
        kept if kept.len() < line.len() => format!("{kept}…"),
        kept => kept.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: Error, client_auth: bool, kind: FaultKind, says: &str) {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        let fault = explain(&error, b"\x15\x03\x01", "shop.eu:443", client_auth);
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(fault.to_string().contains(says), "{fault}");
    }

    #[test]
    fn every_way_a_handshake_breaks_has_its_own_text() {
        use AlertDescription as Alert;
        let alert = Error::AlertReceived;
        check(
            alert(Alert::ProtocolVersion),
            false,
            FaultKind::Unsupported,
            "older than 1.2",
        );
        check(
            alert(Alert::UnrecognisedName),
            false,
            FaultKind::Refused,
            "name",
        );
        check(
            alert(Alert::HandshakeFailure),
            false,
            FaultKind::Refused,
            "no certificate for",
        );
        check(
            alert(Alert::CertificateRequired),
            true,
            FaultKind::Denied,
            "client certificate",
        );
        check(
            Error::NoCertificatesPresented,
            false,
            FaultKind::Garbled,
            "no certificate",
        );
        check(
            Error::InvalidMessage(InvalidMessage::CertificatePayloadTooLarge),
            false,
            FaultKind::TooLarge,
            "64 KB",
        );
    }

    #[test]
    fn another_language_is_quoted_cleaned_and_cut() {
        let eof = io::Error::from(io::ErrorKind::UnexpectedEof);
        let say = |first: &[u8]| explain(&eof, first, "shop.eu:443", false).text;
        assert_eq!(
            say(b"HTTP/1.1 400 Bad Request\r\nServer: x"),
            "shop.eu:443 is not TLS: got 'HTTP/1.1 400 Bad Request'"
        );
        assert!(say(b"\x1b[2J\xff").contains("^[[2J\\xFF"));
        assert!(say(&[b'x'; 64]).ends_with("xxx…'"));
        assert!(say(b"").contains("closed the connection"));
    }

    #[test]
    fn names_are_taken_with_a_trailing_dot_and_as_addresses() {
        assert_eq!(server_name("shop.eu.").unwrap().to_str(), "shop.eu");
        assert!(server_name("127.0.0.1").is_ok());
        assert!(server_name("::1").is_ok());
        assert_eq!(
            server_name("a b").unwrap_err().kind,
            FaultKind::Misconfigured
        );
    }
}
