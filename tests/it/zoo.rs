//! The network zoo: servers that misbehave in every way we know of, and what a look at each of them says.
//!
//! All of them are in this process, on loopback, and end with their test. Old cryptography comes from the `openssl`
//! command; without it those tests say that they are skipped.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quarterdeck::domain::{
    Certificate, CertificateAt, CertificateSpec, Clean, Detail, Endpoint, EndpointSpec, Fault,
    FaultKind, Health, Reading, Stapling, Thresholds, Timestamp, Trust,
};
use quarterdeck::link::http::{self, Answer, Ask, Body, Follow, Method};
use quarterdeck::link::tls::{self, Inside, Roots};
use quarterdeck::link::url::Url;
use quarterdeck::probe::Look;
use quarterdeck::probe::certificate::CertificateProbe;
use quarterdeck::probe::endpoint::EndpointProbe;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

// ---------------------------------------------------------------- the keepers

/// A server that ends with its test.
struct Beast {
    address: SocketAddr,
    /// Requests whose head arrived whole.
    asked: Arc<AtomicUsize>,
    /// Bytes it could send before the other side hung up.
    sent: Arc<AtomicUsize>,
    keeper: AbortHandle,
}

impl Drop for Beast {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Beast {
    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// What a server says after a request, or without one.
#[derive(Clone)]
enum Says {
    /// This, and then it hangs up.
    Once(Vec<u8>),
    /// The first, then the second again and again for as long as it is read.
    Forever(Vec<u8>, Vec<u8>),
    /// The first, then one byte now and then.
    Drips(Vec<u8>),
    /// This before it was asked anything.
    Unasked(Vec<u8>),
    Nothing,
}

fn once(text: &str) -> Says {
    Says::Once(text.as_bytes().to_vec())
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok";

async fn serve(says: Says) -> Beast {
    keep(TcpListener::bind("127.0.0.1:0").await.unwrap(), None, says)
}

fn keep(listener: TcpListener, tls: Option<TlsAcceptor>, says: Says) -> Beast {
    let (asked, sent) = (Arc::default(), Arc::default());
    let address = listener.local_addr().unwrap();
    let (asked_by, sent_by) = (Arc::clone(&asked), Arc::clone(&sent));
    let keeper = tokio::spawn(async move {
        // Dropped with the keeper, and its conversations with it.
        let mut talks = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, says) = (tls.clone(), says.clone());
            let (asked, sent) = (Arc::clone(&asked_by), Arc::clone(&sent_by));
            talks.spawn(async move {
                match tls {
                    None => talk(stream, says, &asked, &sent).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            talk(stream, says, &asked, &sent).await;
                        }
                    }
                }
            });
        }
    });
    Beast {
        address,
        asked,
        sent,
        keeper: keeper.abort_handle(),
    }
}

async fn talk<S>(mut stream: S, says: Says, asked: &AtomicUsize, sent: &AtomicUsize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Says::Unasked(bytes) = &says {
        let _ = stream.write_all(bytes).await;
    }
    if !read_head(&mut stream).await {
        return;
    }
    asked.fetch_add(1, Ordering::Relaxed);
    match says {
        Says::Once(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            // Closing with unread bytes would reset the connection under the answer.
            let mut rest = [0; 64];
            while matches!(stream.read(&mut rest).await, Ok(1..)) {}
        }
        Says::Forever(head, again) => {
            let _ = stream.write_all(&head).await;
            while stream.write_all(&again).await.is_ok() {
                sent.fetch_add(again.len(), Ordering::Relaxed);
            }
        }
        Says::Drips(head) => {
            let _ = stream.write_all(&head).await;
            let mut drip = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b"x").await.is_ok() {
                drip.tick().await;
            }
        }
        Says::Unasked(_) | Says::Nothing => std::future::pending().await,
    }
}

/// Reads until the end of a request's head. A TLS hello has no such end: four bytes are enough to answer it.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> bool {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while let Ok(n @ 1..) = stream.read(&mut part).await {
        head.extend_from_slice(&part[..n]);
        if head.starts_with(&[22, 3]) || head.windows(4).any(|end| end == b"\r\n\r\n") {
            return true;
        }
    }
    false
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}

// ---------------------------------------------------------------- the papers

/// Everything is judged at this moment.
const NOW: &str = "2026-06-01T00:00:00Z";

fn now() -> Timestamp {
    Timestamp::parse_rfc3339(NOW).unwrap()
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "zoo authority");
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap();
    Authority {
        der: own.der().clone(),
        pem: own.pem(),
        issuer: Issuer::new(params, key),
    }
}

impl Authority {
    fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add(self.der.clone()).unwrap();
        store
    }

    fn roots(&self) -> Arc<Roots> {
        Roots::fixed(self.store())
    }

    fn signs(&self, params: &CertificateParams) -> Papers {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Papers::new(vec![leaf.der().clone()], leaf.pem(), &key)
    }
}

/// A chain, leaf first, and the leaf's key.
struct Papers {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: PrivateKeyDer<'static>,
}

impl Papers {
    fn new(chain: Vec<CertificateDer<'static>>, pem: String, key: &KeyPair) -> Self {
        Self {
            chain,
            pem,
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }

    fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        Self::new(vec![own.der().clone()], own.pem(), &key)
    }
}

/// Valid through 2026, for these names.
fn for_names(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.distinguished_name.push(DnType::CommonName, "shop");
    params
}

fn until(mut params: CertificateParams, (year, month, day): (i32, u8, u8)) -> CertificateParams {
    params.not_after = date_time_ymd(year, month, day);
    params
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn server_config(papers: Papers, clients: Option<RootCertStore>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .unwrap(),
        ),
    };
    builder.with_single_cert(papers.chain, papers.key).unwrap()
}

async fn serve_tls(papers: Papers) -> Beast {
    serve_config(server_config(papers, None)).await
}

async fn serve_config(config: ServerConfig) -> Beast {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    keep(listener, Some(Arc::new(config).into()), once(OK))
}

// ---------------------------------------------------------------- the visitors

/// Long enough on a busy machine, short enough for a test of what never ends.
const PATIENCE: Duration = Duration::from_millis(700);

fn ask(url: &str) -> Ask {
    Ask {
        method: Method::Get,
        url: Url::parse(url).unwrap(),
        connect_to: None,
        origin: None,
        follow: Follow::Never,
        body: Body::Count,
        ca_file: None,
        deadline: http::DEADLINE,
    }
}

fn no_roots() -> Arc<Roots> {
    Roots::fixed(RootCertStore::empty())
}

async fn fetch(ask: &Ask) -> Result<Answer, Fault> {
    http::fetch(ask, &no_roots(), now()).await
}

async fn fetch_from(says: Says) -> Result<Answer, Fault> {
    let beast = serve(says).await;
    fetch(&ask(&beast.url("http", "/"))).await
}

#[track_caller]
fn is_fault<T: std::fmt::Debug>(result: Result<T, Fault>, kind: FaultKind, says: &str) {
    let fault = result.unwrap_err();
    assert_eq!(fault.kind, kind, "{fault}");
    assert!(fault.to_string().contains(says), "{fault}");
}

#[track_caller]
fn fails(answer: &Answer, says: &str) {
    let found = answer.failures.iter().any(|failure| failure.contains(says));
    assert!(found, "{:?}", answer.failures);
}

fn certificate_spec(at: CertificateAt, name: Option<&str>) -> CertificateSpec {
    CertificateSpec {
        at,
        name: name.map(Clean::from),
        ca_file: None,
        on_disk: None,
        self_signed: false,
        every: Duration::from_mins(1),
    }
}

fn at(beast: &Beast) -> CertificateAt {
    CertificateAt::Endpoint(beast.address.to_string().into())
}

async fn look(spec: CertificateSpec, roots: Arc<Roots>) -> Result<Reading, Fault> {
    let mut probe = CertificateProbe::new(spec, &Thresholds::default(), roots);
    tokio::time::timeout(probe.deadline(), probe.look(now()))
        .await
        .expect("a look ends within its deadline")
}

fn certificate(reading: &Reading) -> &Certificate {
    match &reading.detail {
        Detail::Certificate(certificate) => certificate,
        other => panic!("no certificate: {other:?}"),
    }
}

/// Looks for `shop.eu` at a server with these papers, and says what it saw.
async fn look_at(papers: Papers, authority: &Authority) -> Reading {
    let beast = serve_tls(papers).await;
    let spec = certificate_spec(at(&beast), Some("shop.eu"));
    look(spec, authority.roots()).await.unwrap()
}

#[track_caller]
fn finds(reading: &Reading, health: Health, says: &str) {
    let findings = &certificate(reading).findings;
    assert_eq!(reading.health, health, "{findings:?}");
    assert!(
        findings.iter().any(|finding| finding.contains(says)),
        "{says:?} is not in {findings:?}"
    );
}

fn endpoint_spec(url: &str) -> EndpointSpec {
    EndpointSpec {
        name: "shop".into(),
        url: url.into(),
        method: "GET".into(),
        status: None,
        headers: std::collections::BTreeMap::new(),
        redirect_to: None,
        follow: false,
        content_type: None,
        // A busy machine is not the subject.
        ttfb_ms: Some(5000),
        ca_file: None,
        connect_to: None,
        every: Duration::from_secs(10),
    }
}

fn endpoint_probe(spec: EndpointSpec, roots: Arc<Roots>) -> EndpointProbe {
    EndpointProbe::new(spec, &Thresholds::default(), roots)
}

fn endpoint(reading: &Reading) -> &Endpoint {
    match &reading.detail {
        Detail::Endpoint(endpoint) => endpoint,
        other => panic!("no endpoint: {other:?}"),
    }
}

// ---------------------------------------------------------------- HTTP

#[tokio::test]
async fn a_plain_answer_is_timed_by_phase() {
    let beast = serve(once(OK)).await;
    let mut probe = endpoint_probe(endpoint_spec(&beast.url("http", "/")), no_roots());
    let reading = probe.look(now()).await.unwrap();
    assert_eq!(reading.health, Health::Good, "{}", reading.summary);
    assert!(reading.summary.starts_with("200 in "));
    let seen = endpoint(&reading);
    let phases = seen.phases;
    assert_eq!((seen.body_bytes, seen.body_cut), (2, false));
    assert!(phases.resolve_ms.is_none() && phases.tls_ms.is_none());
    let (first, total) = (phases.ttfb_ms.unwrap(), phases.total_ms.unwrap());
    assert!(phases.connect_ms.unwrap() <= first && first <= total);
    assert!(phases.first_byte_ms.unwrap() <= first);
    assert_eq!((seen.looks, seen.looks_good), (1, 1));
    let names: Vec<&str> = reading.measures.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["ttfb_ms", "total_ms", "status"]);
}

#[tokio::test]
async fn looks_that_fail_count_as_looks() {
    let beast = serve(once("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")).await;
    let mut probe = endpoint_probe(endpoint_spec(&beast.url("http", "/")), no_roots());
    probe.look(now()).await.unwrap();
    let reading = probe.look(now()).await.unwrap();
    assert_eq!(reading.health, Health::Bad);
    assert!(reading.summary.contains("503"), "{}", reading.summary);
    assert_eq!(endpoint(&reading).looks, 2);
    assert_eq!(endpoint(&reading).looks_good, 0);
}

#[tokio::test]
async fn a_dripping_server_ends_at_the_deadline_and_holds_up_nobody() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n";
    let drip_body = serve(Says::Drips(head.into())).await;
    let drip_head = serve(Says::Drips(b"HTTP/1.1 200 OK\r\nX: ".to_vec())).await;
    let good = serve(once(OK)).await;
    let slow = |beast: &Beast| Ask {
        deadline: PATIENCE,
        ..ask(&beast.url("http", "/"))
    };
    let (slow_body, slow_head) = (slow(&drip_body), slow(&drip_head));
    let good_ask = ask(&good.url("http", "/"));
    let begun = Instant::now();
    let others = async {
        let looks = (0..19).map(|_| fetch(&good_ask));
        let answers = futures_util::future::join_all(looks).await;
        assert!(
            answers
                .iter()
                .all(|a| a.as_ref().is_ok_and(|a| a.status == 200))
        );
        begun.elapsed()
    };
    let (body, head, others) = tokio::join!(fetch(&slow_body), fetch(&slow_head), others);
    assert!(others < PATIENCE, "the others waited for the slow ones");
    is_fault(body, FaultKind::Silent, "the answer 200");
    is_fault(head, FaultKind::Silent, "no answer from");
}

#[tokio::test]
async fn a_header_of_10_mb_is_too_large_and_not_read_to_its_end() {
    let head = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    let beast = serve(Says::Forever(head, vec![b'x'; 1024 * 1024])).await;
    let answer = fetch(&ask(&beast.url("http", "/"))).await;
    is_fault(answer, FaultKind::TooLarge, "header");
    // What the sockets' buffers hold, no more.
    assert!(beast.sent.load(Ordering::Relaxed) < 10 * 1024 * 1024);
}

#[tokio::test]
async fn ten_thousand_headers_are_too_many() {
    let lines: Vec<String> = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let head = format!("HTTP/1.1 200 OK\r\n{}", lines.concat());
    is_fault(
        fetch_from(once(&(head + "\r\n"))).await,
        FaultKind::TooLarge,
        "header",
    );
    // Few bytes, but more lines than anybody needs.
    let short = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101));
    is_fault(
        fetch_from(once(&short)).await,
        FaultKind::TooLarge,
        "header",
    );
}

#[tokio::test]
async fn a_compressed_body_is_counted_and_never_expanded() {
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 200\r\n\r\n";
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend([0x1f, 0x8b, 8, 0]);
    bytes.extend([0; 196]);
    let answer = fetch_from(Says::Once(bytes)).await.unwrap();
    assert_eq!((answer.body_bytes, answer.body_cut), (200, false));
    assert!(
        answer
            .headers
            .contains(&("content-encoding".into(), "gzip".into()))
    );
}

#[tokio::test]
async fn an_endless_body_is_cut_at_64_kb() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
    let beast = serve(Says::Forever(head, vec![0; 1024 * 1024])).await;
    let answer = fetch(&ask(&beast.url("http", "/"))).await.unwrap();
    assert_eq!((answer.body_bytes, answer.body_cut), (65_536, true));
    assert_eq!(answer.failures, [""; 0]);
    assert!(beast.sent.load(Ordering::Relaxed) < 10 * 1024 * 1024);
}

#[tokio::test]
async fn a_content_length_that_lies_is_found() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
    fails(
        &fetch_from(once(short)).await.unwrap(),
        "after 9 of 100 bytes",
    );
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more";
    fails(
        &fetch_from(once(long)).await.unwrap(),
        "more than it announced",
    );
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
    fails(&fetch_from(once(chunk)).await.unwrap(), "broke off");
    let wrong = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhel";
    fails(&fetch_from(once(wrong)).await.unwrap(), "broke off");
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!";
    is_fault(fetch_from(once(two)).await, FaultKind::Garbled, "not HTTP");
}

#[tokio::test]
async fn whole_bodies_of_every_kind_are_whole() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let to_the_end = "HTTP/1.0 200 OK\r\n\r\nok";
    let none = "HTTP/1.1 204 No Content\r\n\r\n";
    for (says, bytes) in [(chunked, 2), (to_the_end, 2), (none, 0)] {
        let answer = fetch_from(once(says)).await.unwrap();
        assert_eq!(answer.failures, [""; 0], "{says:?}");
        assert_eq!((answer.body_bytes, answer.body_cut), (bytes, false));
    }
}

#[tokio::test]
async fn what_is_no_http_is_quoted() {
    let garbage = fetch_from(once("\x1b[2Jwhat?\r\n\r\n")).await;
    is_fault(garbage, FaultKind::Garbled, "'^[[2Jwhat?'");
    is_fault(
        fetch_from(Says::Unasked(b"220 mail.shop.eu ESMTP\r\n".to_vec())).await,
        FaultKind::Garbled,
        "220 mail.shop.eu",
    );
    is_fault(
        fetch_from(once("")).await,
        FaultKind::Refused,
        "without an answer",
    );
    let tls = serve_tls(Papers::self_signed(&for_names(&["shop.eu"]))).await;
    let answer = fetch(&ask(&tls.url("http", "/"))).await;
    is_fault(answer, FaultKind::Garbled, "speaks TLS");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_silent() {
    let beast = serve(Says::Nothing).await;
    let ask = Ask {
        deadline: PATIENCE,
        ..ask(&beast.url("http", "/"))
    };
    let says = format!("no answer from {} within 0.7 s", beast.address);
    is_fault(fetch(&ask).await, FaultKind::Silent, &says);
}

// ---------------------------------------------------------------- redirects

fn leads_to(location: &str) -> Says {
    let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    once(&head)
}

async fn follow(says: Says) -> (Answer, Beast) {
    let beast = serve(says).await;
    let ask = Ask {
        follow: Follow::SameHost,
        ..ask(&beast.url("http", "/"))
    };
    (fetch(&ask).await.unwrap(), beast)
}

#[tokio::test]
async fn redirects_are_not_followed_unless_asked() {
    let beast = serve(leads_to("/next")).await;
    let answer = fetch(&ask(&beast.url("http", "/"))).await.unwrap();
    assert_eq!((answer.status, beast.asked()), (302, 1));
    assert_eq!(answer.hops[0].location, Some("/next".into()));
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let (answer, beast) = follow(leads_to("/")).await;
    fails(&answer, "circle");
    assert_eq!(beast.asked(), 1);
    let (answer, beast) = follow(leads_to("x/a")).await;
    fails(&answer, "more than 5");
    assert_eq!((answer.hops.len(), beast.asked()), (6, 6));
}

#[tokio::test]
async fn a_redirect_elsewhere_is_refused_and_nobody_else_is_asked() {
    let other = serve(once(OK)).await;
    let port = other.address.port();
    for (location, says) in [
        (format!("http://localhost:{port}/"), "another host"),
        (format!("//127.0.0.1:{port}/"), "another port"),
        (
            "http://169.254.169.254/latest/meta-data".into(),
            "another host",
        ),
        ("file:///etc/passwd".into(), "not followed"),
        ("javascript:alert(1)".into(), "not followed"),
    ] {
        let (answer, _) = follow(leads_to(&location)).await;
        fails(&answer, says);
        assert_eq!(answer.status, 302);
    }
    assert_eq!(other.asked(), 0);
}

#[tokio::test]
async fn a_redirect_to_https_on_the_same_host_is_followed() {
    let authority = authority();
    let secure = serve_tls(authority.signs(&for_names(&["127.0.0.1"]))).await;
    let plain = serve(leads_to(&secure.url("https", "/"))).await;
    let spec = EndpointSpec {
        follow: true,
        redirect_to: Some("https://127.0.0.1".into()),
        status: Some(200),
        ..endpoint_spec(&plain.url("http", "/"))
    };
    let mut probe = endpoint_probe(spec, authority.roots());
    let reading = probe.look(now()).await.unwrap();
    let seen = endpoint(&reading);
    assert_eq!(reading.health, Health::Good, "{:?}", seen.failures);
    assert_eq!(seen.hops.len(), 2);
    assert!(seen.phases.tls_ms.is_some());
}

// ---------------------------------------------------------------- names and addresses

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_fault_of_the_name() {
    let answer = fetch(&ask("http://does-not-exist.invalid/")).await;
    is_fault(answer, FaultKind::Name, "does-not-exist.invalid");
    let at = CertificateAt::Endpoint("does-not-exist.invalid:443".into());
    let reading = look(certificate_spec(at, None), no_roots()).await;
    is_fault(
        reading,
        FaultKind::Name,
        "does-not-exist.invalid does not resolve",
    );
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let answer = fetch(&ask(&format!("http://{address}/"))).await;
    is_fault(answer, FaultKind::Refused, &address.to_string());
}

#[tokio::test]
async fn a_server_with_ipv6_only_is_reached() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else {
        skipped("no IPv6 on this host");
        return;
    };
    let beast = keep(listener, None, once(OK));
    let answer = fetch(&ask(&beast.url("http", "/"))).await.unwrap();
    assert_eq!(
        (answer.status, &*answer.address),
        (200, &*beast.address.to_string())
    );
}

#[tokio::test]
async fn another_place_to_connect_to_keeps_the_name() {
    let authority = authority();
    let beast = serve_tls(authority.signs(&for_names(&["shop.invalid"]))).await;
    let spec = EndpointSpec {
        connect_to: Some(beast.address.to_string().into()),
        ..endpoint_spec("https://shop.invalid/")
    };
    let reading = endpoint_probe(spec, authority.roots()).look(now()).await;
    assert_eq!(reading.unwrap().health, Health::Good);
}

// ---------------------------------------------------------------- not TLS

async fn shake(says: Says) -> Result<Reading, Fault> {
    let beast = serve(says).await;
    look(certificate_spec(at(&beast), Some("shop.eu")), no_roots()).await
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_quoted() {
    let says = once("HTTP/1.1 400 Bad Request\r\n\r\n");
    is_fault(
        shake(says).await,
        FaultKind::Garbled,
        "is not TLS: got 'HTTP/1.1 400 Bad Request'",
    );
}

#[tokio::test]
async fn garbage_instead_of_tls_is_quoted_and_cleaned() {
    is_fault(
        shake(Says::Unasked(b"\x1b]0;pwned\x07\xff\xfe\r\n".to_vec())).await,
        FaultKind::Garbled,
        "'^[]0;pwned^G\\xFF\\xFE'",
    );
    let records = [&[22, 3, 3, 0, 4][..], &[99, 0, 0, 0]].concat();
    is_fault(
        shake(Says::Once(records)).await,
        FaultKind::Garbled,
        "breaks",
    );
    is_fault(
        shake(once("")).await,
        FaultKind::Refused,
        "closed the connection",
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends_ends_after_5_s() {
    let (ours, _theirs) = tokio::io::duplex(64 * 1024);
    let begun = tokio::time::Instant::now();
    let name = tls::server_name("shop.eu").unwrap();
    let shaken = tls::handshake(ours, &name, Inside::Unsaid, "shop.eu:443").await;
    is_fault(
        shaken,
        FaultKind::Silent,
        "shop.eu:443 did not end within 5 s",
    );
    assert_eq!(begun.elapsed().as_secs(), 5);
}

// ---------------------------------------------------------------- certificates

#[tokio::test]
async fn a_sound_certificate_is_good_and_shown_whole() {
    let authority = authority();
    let reading = look_at(authority.signs(&for_names(&["shop.eu"])), &authority).await;
    assert_eq!(reading.health, Health::Good);
    assert_eq!(reading.summary, "214 d left");
    let seen = certificate(&reading);
    assert_eq!(seen.trust, Trust::System);
    assert_eq!(
        (&*seen.protocol, seen.stapling),
        ("TLS 1.3", Stapling::Absent)
    );
    assert!(seen.cipher.starts_with("TLS_"), "{}", seen.cipher);
    assert!(seen.name_matches && !seen.client_auth && seen.findings.is_empty());
    assert_eq!(seen.chain[0].names, ["shop.eu"]);
    let days: Vec<f64> = reading.measures.iter().map(|m| m.value).collect();
    assert_eq!(days, [214.0, 214.0]);
}

#[tokio::test]
async fn an_authority_that_is_given_is_trusted_beside_the_system() {
    let authority = authority();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = written(folder.path(), "ca.pem", &authority.pem);
    let beast = serve_tls(authority.signs(&for_names(&["shop.eu"]))).await;
    let mut spec = certificate_spec(at(&beast), Some("shop.eu"));
    spec.ca_file = Some(ca_file);
    let reading = look(spec.clone(), no_roots()).await.unwrap();
    assert_eq!(certificate(&reading).trust, Trust::Given);
    assert_eq!(reading.health, Health::Good);
    spec.ca_file = Some(folder.path().join("none.pem"));
    let reading = look(spec, no_roots()).await.unwrap();
    finds(&reading, Health::Unknown, "none.pem does not exist");
}

fn written(folder: &Path, name: &str, pem: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, pem).unwrap();
    path
}

#[tokio::test]
async fn without_roots_nothing_is_called_good_or_bad() {
    let papers = authority().signs(&for_names(&["shop.eu"]));
    let beast = serve_tls(papers).await;
    let spec = certificate_spec(at(&beast), Some("shop.eu"));
    let reading = look(spec, no_roots()).await.unwrap();
    finds(&reading, Health::Unknown, "no root certificates");
}

#[tokio::test]
async fn the_systems_own_roots_do_not_know_the_zoo() {
    let beast = serve_tls(authority().signs(&for_names(&["shop.eu"]))).await;
    let spec = certificate_spec(at(&beast), Some("shop.eu"));
    let reading = look(spec, Roots::system_lazily()).await.unwrap();
    match reading.health {
        Health::Bad => finds(&reading, Health::Bad, "issuer not known"),
        // A host without any root certificates cannot say.
        _ => finds(&reading, Health::Unknown, "no root certificates"),
    }
}

#[tokio::test]
async fn an_expired_certificate_is_bad_and_still_shown() {
    let authority = authority();
    let params = until(for_names(&["shop.eu"]), (2026, 5, 29));
    let reading = look_at(authority.signs(&params), &authority).await;
    finds(&reading, Health::Bad, "expired 3 d ago");
    assert_eq!(reading.summary, "expired 3 d ago");
    let seen = certificate(&reading);
    assert_eq!(seen.chain[0].names, ["shop.eu"]);
    assert_eq!(seen.trust, Trust::No("expired".into()));
    assert_eq!(seen.findings.len(), 1, "said once: {:?}", seen.findings);
}

#[tokio::test]
async fn the_days_left_decide_in_three_steps() {
    let authority = authority();
    for (day, health, summary) in [
        (23, Health::Good, "22 d left"),
        (22, Health::Poor, "21 d left"),
        (8, Health::Bad, "7 d left"),
        (3, Health::Bad, "2 d left"),
    ] {
        let params = until(for_names(&["shop.eu"]), (2026, 6, day));
        let reading = look_at(authority.signs(&params), &authority).await;
        assert_eq!((reading.health, &*reading.summary), (health, summary));
    }
}

#[tokio::test]
async fn a_certificate_of_tomorrow_is_bad() {
    let authority = authority();
    let mut params = for_names(&["shop.eu"]);
    params.not_before = date_time_ymd(2026, 6, 2);
    let reading = look_at(authority.signs(&params), &authority).await;
    finds(&reading, Health::Bad, "not yet valid: from 2026-06-02");
    assert_eq!(reading.summary, "valid from 2026-06-02 00:00Z");
}

#[tokio::test]
async fn a_wrong_name_is_bad_and_the_right_ones_are_listed() {
    let authority = authority();
    let names = ["other.eu", "*.other.eu", "192.0.2.1", "more.eu"];
    let reading = look_at(authority.signs(&for_names(&names)), &authority).await;
    finds(
        &reading,
        Health::Bad,
        "other.eu, *.other.eu, 192.0.2.1 (+1 more)",
    );
    assert!(!certificate(&reading).name_matches);
    assert_eq!(certificate(&reading).findings.len(), 1);
    let reading = look_at(authority.signs(&for_names(&["*.eu"])), &authority).await;
    finds(&reading, Health::Bad, "wrong name");
}

#[tokio::test]
async fn the_common_name_does_not_count() {
    let authority = authority();
    let mut params = for_names(&[]);
    params
        .distinguished_name
        .push(DnType::CommonName, "shop.eu");
    let reading = look_at(authority.signs(&params), &authority).await;
    finds(&reading, Health::Bad, "its CN does not count");
}

#[tokio::test]
async fn an_empty_subject_is_no_trouble() {
    let authority = authority();
    let mut params = for_names(&["shop.eu"]);
    params.distinguished_name = DistinguishedName::new();
    let reading = look_at(authority.signs(&params), &authority).await;
    assert_eq!(reading.health, Health::Good);
    assert_eq!(certificate(&reading).chain[0].subject, "");
}

#[tokio::test]
async fn an_address_is_matched_by_an_address_only() {
    let authority = authority();
    let by_ip = serve_tls(authority.signs(&for_names(&["127.0.0.1"]))).await;
    let reading = look(certificate_spec(at(&by_ip), None), authority.roots()).await;
    assert_eq!(reading.unwrap().health, Health::Good);
    let by_name = serve_tls(authority.signs(&for_names(&["shop.eu"]))).await;
    let reading = look(certificate_spec(at(&by_name), None), authority.roots()).await;
    finds(&reading.unwrap(), Health::Bad, "not for 127.0.0.1");
}

#[tokio::test]
async fn self_signed_is_bad_unless_it_is_expected() {
    let params = for_names(&["shop.eu"]);
    let beast = serve_tls(Papers::self_signed(&params)).await;
    let mut spec = certificate_spec(at(&beast), Some("shop.eu"));
    let roots = authority().roots();
    let reading = look(spec.clone(), Arc::clone(&roots)).await.unwrap();
    finds(&reading, Health::Bad, "not trusted: self-signed");
    spec.self_signed = true;
    let reading = look(spec, roots).await.unwrap();
    finds(
        &reading,
        Health::Good,
        "self-signed, as the configuration expects",
    );
    assert_eq!(reading.summary, "214 d left");
    assert_eq!(certificate(&reading).trust, Trust::No("self-signed".into()));
}

#[tokio::test]
async fn expecting_a_self_signed_one_excuses_nothing_else() {
    let params = until(for_names(&["other.eu"]), (2026, 5, 1));
    let beast = serve_tls(Papers::self_signed(&params)).await;
    let mut spec = certificate_spec(at(&beast), Some("shop.eu"));
    spec.self_signed = true;
    let reading = look(spec, authority().roots()).await.unwrap();
    finds(&reading, Health::Bad, "expired 31 d ago");
    finds(&reading, Health::Bad, "wrong name");
}

#[tokio::test]
async fn an_unknown_issuer_is_named() {
    let papers = authority().signs(&for_names(&["shop.eu"]));
    let reading = look_at(papers, &authority()).await;
    // Both authorities have the same name; the signature tells them apart.
    assert_eq!(reading.health, Health::Bad);
    let mut stranger = CertificateParams::new(Vec::<String>::new()).unwrap();
    stranger.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    stranger
        .distinguished_name
        .push(DnType::CommonName, "stranger");
    let issuer = Issuer::new(stranger, KeyPair::generate().unwrap());
    let key = KeyPair::generate().unwrap();
    let leaf = for_names(&["shop.eu"]).signed_by(&key, &issuer).unwrap();
    let papers = Papers::new(vec![leaf.der().clone()], leaf.pem(), &key);
    finds(
        &look_at(papers, &authority()).await,
        Health::Bad,
        "stranger",
    );
}

#[tokio::test]
async fn an_authoritys_own_certificate_is_no_servers() {
    let mut params = for_names(&["shop.eu"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let folder = tempfile::tempdir().unwrap();
    let papers = Papers::self_signed(&params);
    let pem = written(folder.path(), "own.pem", &papers.pem);
    let beast = serve_tls(papers).await;
    let mut spec = certificate_spec(at(&beast), Some("shop.eu"));
    let roots = authority().roots();
    let reading = look(spec.clone(), Arc::clone(&roots)).await.unwrap();
    finds(&reading, Health::Bad, "CA:TRUE");
    // Named itself by the configuration, it is known; that it is an authority no longer matters.
    spec.ca_file = Some(pem);
    let reading = look(spec, roots).await.unwrap();
    assert_eq!(reading.health, Health::Good);
    assert_eq!(certificate(&reading).trust, Trust::Given);
}

#[tokio::test]
async fn an_issuer_that_ends_first_is_found() {
    let root = authority();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "between");
    params.not_after = date_time_ymd(2026, 6, 6);
    let key = KeyPair::generate().unwrap();
    let between = params.signed_by(&key, &root.issuer).unwrap();
    let der = between.der().clone();
    let middle = Authority {
        issuer: Issuer::new(params, key),
        der: der.clone(),
        pem: between.pem(),
    };
    let mut papers = middle.signs(&for_names(&["shop.eu"]));
    papers.chain.push(der);
    let reading = look_at(papers, &root).await;
    finds(&reading, Health::Bad, "its issuer CN=between: 5 d left");
    let days: Vec<f64> = reading.measures.iter().map(|m| m.value).collect();
    assert_eq!(days, [214.0, 5.0]);
    let seen = certificate(&reading);
    assert_eq!(seen.trust, Trust::System);
    assert!(seen.earliest_expiry < seen.leaf_expiry);
}

#[tokio::test]
async fn must_staple_without_a_staple_is_poor() {
    let authority = authority();
    let mut params = for_names(&["shop.eu"]);
    let oid = [1, 3, 6, 1, 5, 5, 7, 1, 24];
    params.custom_extensions = vec![CustomExtension::from_oid_content(
        &oid,
        vec![0x30, 3, 2, 1, 5],
    )];
    let reading = look_at(authority.signs(&params), &authority).await;
    finds(&reading, Health::Poor, "must-staple");
    assert_eq!(certificate(&reading).stapling, Stapling::Owed);
}

#[tokio::test]
async fn a_long_chain_is_shown_up_to_ten() {
    let authority = authority();
    let mut papers = authority.signs(&for_names(&["shop.eu"]));
    for _ in 0..30 {
        papers.chain.push(authority.der.clone());
    }
    let reading = look_at(papers, &authority).await;
    assert_eq!(certificate(&reading).chain.len(), 10);
    finds(&reading, Health::Good, "31 certificates are sent, 10 shown");
}

#[tokio::test]
async fn issuers_in_a_circle_come_to_an_end() {
    let circle = |own: &str, by: &str| {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, by);
        let issuer = Issuer::new(params.clone(), KeyPair::generate().unwrap());
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, own);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &issuer).unwrap().der().clone()
    };
    let mut papers = authority().signs(&for_names(&["shop.eu"]));
    for _ in 0..4 {
        papers.chain.push(circle("zoo authority", "b"));
        papers.chain.push(circle("b", "zoo authority"));
    }
    let reading = look_at(papers, &authority()).await;
    assert_eq!(reading.health, Health::Bad);
}

#[tokio::test]
async fn a_chain_of_over_64_kb_is_too_large() {
    let authority = authority();
    let mut papers = authority.signs(&for_names(&["shop.eu"]));
    for _ in 0..300 {
        papers.chain.push(authority.der.clone());
    }
    let beast = serve_tls(papers).await;
    let spec = certificate_spec(at(&beast), Some("shop.eu"));
    let reading = look(spec, authority.roots()).await;
    is_fault(reading, FaultKind::TooLarge, "over 64 KB");
}

#[tokio::test]
async fn thousands_of_names_are_counted() {
    let authority = authority();
    let many = |n: usize| -> CertificateParams {
        let names: Vec<String> = (0..n).map(|n| format!("a{n}.shop.eu")).collect();
        let names: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .chain(["shop.eu"])
            .collect();
        for_names(&names)
    };
    let reading = look_at(authority.signs(&many(3000)), &authority).await;
    let leaf = &certificate(&reading).chain[0];
    assert_eq!((leaf.names.len(), leaf.names_more), (50, 2951));
    assert_eq!(reading.health, Health::Good, "the last name counts too");
    let folder = tempfile::tempdir().unwrap();
    let pem = authority.signs(&many(10_000)).pem;
    let file = CertificateAt::File(written(folder.path(), "many.pem", &pem));
    let reading = look(certificate_spec(file, Some("shop.eu")), no_roots()).await;
    let reading = reading.unwrap();
    assert_eq!(certificate(&reading).chain[0].names_more, 9951);
    assert_eq!(certificate(&reading).trust, Trust::NotAsked);
}

#[tokio::test]
async fn renewed_on_disk_but_not_loaded_is_found() {
    let authority = authority();
    let old = authority.signs(&until(for_names(&["shop.eu"]), (2026, 7, 1)));
    let new = authority.signs(&for_names(&["shop.eu"]));
    let folder = tempfile::tempdir().unwrap();
    let old_file = written(folder.path(), "old.pem", &old.pem);
    let new_file = written(folder.path(), "new.pem", &new.pem);
    let (serves_old, serves_new) = (serve_tls(old).await, serve_tls(new).await);
    let compare = async |beast: &Beast, file: &Path| {
        let mut spec = certificate_spec(at(beast), Some("shop.eu"));
        spec.on_disk = Some(file.to_owned());
        look(spec, authority.roots()).await.unwrap()
    };
    let stale = compare(&serves_old, &new_file).await;
    finds(&stale, Health::Poor, "reload it");
    assert!(stale.summary.starts_with("30 d left: renewed on disk"));
    assert_eq!(compare(&serves_new, &new_file).await.health, Health::Good);
    let reverse = compare(&serves_new, &old_file).await;
    finds(&reverse, Health::Poor, "another one than lies on disk");
    let missing = compare(&serves_new, &folder.path().join("none.pem")).await;
    finds(&missing, Health::Poor, "none.pem does not exist");
}

#[tokio::test]
async fn addresses_that_serve_different_certificates_are_found() {
    let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = four.local_addr().unwrap().port();
    let Ok(six) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await else {
        skipped("no IPv6 on this host, or the port is taken");
        return;
    };
    let both = tokio::net::lookup_host(("localhost", port)).await.unwrap();
    if both.count() < 2 {
        skipped("localhost has one address");
        return;
    }
    let authority = authority();
    let tls = |papers| Some(TlsAcceptor::from(Arc::new(server_config(papers, None))));
    let new = authority.signs(&for_names(&["localhost"]));
    let old = authority.signs(&until(for_names(&["localhost"]), (2026, 6, 5)));
    let _four = keep(four, tls(new), once(OK));
    let _six = keep(six, tls(old), once(OK));
    let at = CertificateAt::Endpoint(format!("localhost:{port}").into());
    let reading = look(certificate_spec(at, None), authority.roots())
        .await
        .unwrap();
    finds(&reading, Health::Bad, "its addresses serve different ones");
    assert!(
        reading.summary.starts_with("4 d left"),
        "{}",
        reading.summary
    );
    assert!(
        certificate(&reading).address.contains("[::1]"),
        "the worst is shown"
    );
}

// ---------------------------------------------------------------- who may come in

#[tokio::test]
async fn a_demand_for_a_client_certificate_hides_nothing() {
    let authority = authority();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let papers = authority.signs(&for_names(&["127.0.0.1"]));
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(authority.store()), provider());
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(papers.chain, papers.key)
            .unwrap();
        let beast = serve_config(config).await;
        let spec = certificate_spec(at(&beast), None);
        let reading = look(spec, authority.roots()).await.unwrap();
        finds(&reading, Health::Good, "asks for a client certificate");
        assert!(certificate(&reading).client_auth);
        assert!(!certificate(&reading).protocol.is_empty());
        let spec = endpoint_spec(&beast.url("https", "/"));
        let reading = endpoint_probe(spec, authority.roots()).look(now()).await;
        is_fault(reading, FaultKind::Denied, "demands a client certificate");
    }
}

/// Knows no name at all.
#[derive(Debug)]
struct Nameless;

impl ResolvesServerCert for Nameless {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[tokio::test]
async fn a_server_without_a_certificate_is_no_verdict() {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Nameless));
    let beast = serve_config(config).await;
    let spec = certificate_spec(at(&beast), Some("shop.eu"));
    let reading = look(spec, no_roots()).await;
    is_fault(reading, FaultKind::Refused, "no certificate for this name");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_not_asked() {
    let authority = authority();
    let beast = serve_tls(Papers::self_signed(&for_names(&["127.0.0.1"]))).await;
    let spec = endpoint_spec(&beast.url("https", "/"));
    let mut probe = endpoint_probe(spec, authority.roots());
    let reading = probe.look(now()).await.unwrap();
    assert_eq!(reading.health, Health::Bad);
    assert_eq!(reading.summary, "certificate not trusted: self-signed");
    assert_eq!(endpoint(&reading).status, 0);
    assert_eq!(beast.asked(), 0, "no request went out");
}

#[tokio::test]
async fn without_roots_https_is_not_asked_and_not_called_bad() {
    let beast = serve_tls(authority().signs(&for_names(&["127.0.0.1"]))).await;
    let spec = endpoint_spec(&beast.url("https", "/"));
    let reading = endpoint_probe(spec, no_roots()).look(now()).await;
    is_fault(reading, FaultKind::Misconfigured, "set ca_file");
    assert_eq!(beast.asked(), 0);
}

#[tokio::test]
async fn https_is_asked_when_the_authority_is_given() {
    let authority = authority();
    let folder = tempfile::tempdir().unwrap();
    let beast = serve_tls(authority.signs(&for_names(&["127.0.0.1"]))).await;
    let spec = EndpointSpec {
        ca_file: Some(written(folder.path(), "ca.pem", &authority.pem)),
        content_type: Some("text/plain".into()),
        ..endpoint_spec(&beast.url("https", "/"))
    };
    let reading = endpoint_probe(spec, no_roots()).look(now()).await.unwrap();
    assert_eq!(reading.health, Health::Good, "{}", reading.summary);
    assert!(endpoint(&reading).phases.tls_ms.is_some());
    assert_eq!(beast.asked(), 1);
}

// ---------------------------------------------------------------- old cryptography

/// Runs `openssl`, which knows how to make what nobody should use any more.
fn openssl(folder: &Path, args: &[&str]) -> bool {
    let run = Command::new("openssl")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    run.is_ok_and(|output| output.status.success())
}

/// A self-signed certificate with a weak key and a weak signature, `weak.pem` and `weak.key`.
fn weak_papers(folder: &Path, bits: &str, digest: &str) -> bool {
    let key = format!("rsa:{bits}");
    openssl(
        folder,
        &[
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            &key,
            digest,
            "-subj",
            "/CN=old",
            "-days",
            "36500",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "subjectAltName=DNS:shop.eu",
            "-keyout",
            "weak.key",
            "-out",
            "weak.pem",
        ],
    )
}

/// The moment after now by the real clock: what `openssl` makes begins today.
fn tomorrow() -> Timestamp {
    let epoch = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(0).plus(epoch + Duration::from_hours(24))
}

#[tokio::test]
async fn weak_keys_and_signatures_are_poor() {
    let folder = tempfile::tempdir().unwrap();
    for (bits, digest, says) in [
        ("1024", "-sha256", "RSA key of 1024 bits"),
        ("2048", "-sha1", "signed with RSA SHA-1"),
        ("2048", "-md5", "signed with RSA MD5"),
    ] {
        if !weak_papers(folder.path(), bits, digest) {
            skipped(&format!("no openssl that makes RSA {bits} {digest}"));
            continue;
        }
        let at = CertificateAt::File(folder.path().join("weak.pem"));
        let spec = certificate_spec(at, Some("shop.eu"));
        let mut probe = CertificateProbe::new(spec, &Thresholds::default(), no_roots());
        let reading = probe.look(tomorrow()).await.unwrap();
        finds(&reading, Health::Poor, says);
    }
}

/// `openssl s_server`, ended with its test.
struct OldServer {
    child: std::process::Child,
    port: u16,
}

impl Drop for OldServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn old_server(folder: &Path, args: &[&str]) -> Option<OldServer> {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut child = Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(OldServer { child, port });
        }
        tokio::task::yield_now().await;
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

const WEAK_SERVER: [&str; 6] = [
    "-cert",
    "weak.pem",
    "-key",
    "weak.key",
    "-cipher",
    "ALL:@SECLEVEL=0",
];

#[tokio::test]
async fn a_server_with_a_weak_key_still_shows_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let made = weak_papers(folder.path(), "1024", "-sha1");
    let server = if made {
        old_server(folder.path(), &WEAK_SERVER).await
    } else {
        None
    };
    let Some(server) = server else {
        skipped("no openssl that serves RSA 1024");
        return;
    };
    let at = CertificateAt::Endpoint(format!("127.0.0.1:{}", server.port).into());
    let spec = certificate_spec(at, Some("shop.eu"));
    let mut probe = CertificateProbe::new(spec, &Thresholds::default(), authority().roots());
    let reading = probe.look(tomorrow()).await.unwrap();
    finds(
        &reading,
        Health::Bad,
        "weak: signed with RSA SHA-1, RSA key of 1024 bits",
    );
    finds(&reading, Health::Bad, "was not verified");
    assert_eq!(certificate(&reading).chain[0].key, "RSA 1024");
}

#[tokio::test]
async fn a_server_of_old_tls_only_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&WEAK_SERVER[..], &["-tls1_1"]].concat();
    let server = if weak_papers(folder.path(), "2048", "-sha256") {
        old_server(folder.path(), &args).await
    } else {
        None
    };
    let Some(server) = server else {
        skipped("no openssl that serves TLS 1.1");
        return;
    };
    let at = CertificateAt::Endpoint(format!("127.0.0.1:{}", server.port).into());
    let reading = look(certificate_spec(at, Some("shop.eu")), no_roots()).await;
    is_fault(reading, FaultKind::Unsupported, "only TLS older than 1.2");
}
