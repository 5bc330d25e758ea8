//! The gateway on HTTP and HTTPS: a redirect, security headers, and answers that are as good, slow or bad as the world says.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::body::{self, Body};
use super::door;
use super::figures::whole_ms;
use super::world::routes::ROUTES;
use super::world::{self, Certificate, Service, World};
use super::yard::Yard;

/// A handshake that takes longer is a peer that has gone.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Our own authority, and the certificates that it signs.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new(start_ms: i64) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Practice range authority");
        valid(&mut params, start_ms, -30.0, 3_650.0);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority's certificate as PEM.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    fn leaf(&self, wanted: Certificate, start_ms: i64) -> Result<Leaf, rcgen::Error> {
        let names = if wanted.name_right {
            vec![
                "localhost".to_owned(),
                "hyper-mission.test".to_owned(),
                "127.0.0.1".to_owned(),
            ]
        } else {
            vec!["staging.hyper-mission.test".to_owned()]
        };
        let mut params = CertificateParams::new(names.clone())?;
        params
            .distinguished_name
            .push(DnType::CommonName, names[0].as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid(&mut params, start_ms, wanted.days - 90.0, wanted.days);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf {
            serial: wanted.serial,
            pem: format!("{}{}", certificate.pem(), self.pem),
            chain: vec![certificate.der().clone(), self.der.clone()],
            key: key.serialize_der(),
        })
    }
}

/// Sets when a certificate begins and ends, in days from the start. rcgen's dates are of a crate that is not ours to name.
fn valid(params: &mut CertificateParams, start_ms: i64, from_days: f64, to_days: f64) {
    let since_1970 = |days: f64| {
        let seconds = start_ms / 1_000 + whole_ms(days * 86_400.0);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.try_into().unwrap_or(0))
    };
    params.not_before = since_1970(from_days);
    params.not_after = since_1970(to_days);
}

struct Leaf {
    serial: u32,
    pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

/// What is served now and what lies on disk, as the world wants it.
pub(super) struct Certificates {
    authority: Authority,
    start_ms: i64,
    on_disk: Option<Leaf>,
    served: Arc<Served>,
    served_serial: u32,
}

/// The certificate that new connections get.
#[derive(Debug, Default)]
pub(super) struct Served(Mutex<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    #[error("cannot serve a certificate that was just made")]
    Serve(#[from] rustls::Error),
    #[error("cannot write a certificate to disk")]
    Write(#[from] std::io::Error),
}

impl Certificates {
    pub(super) fn new(start_ms: i64) -> Result<Self, CertificateError> {
        Ok(Self {
            authority: Authority::new(start_ms)?,
            start_ms,
            on_disk: None,
            served: Arc::new(Served::default()),
            served_serial: 0,
        })
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) fn served(&self) -> Arc<Served> {
        self.served.clone()
    }

    /// Makes what the world wants and is not there yet.
    pub(super) fn follow(
        &mut self,
        gateway: &world::Gateway,
        file: &Path,
    ) -> Result<(), CertificateError> {
        if self.served_serial != gateway.served.serial {
            let kept = self
                .on_disk
                .take_if(|leaf| leaf.serial == gateway.served.serial);
            let leaf = match kept {
                Some(leaf) => leaf,
                None => self.authority.leaf(gateway.served, self.start_ms)?,
            };
            self.serve(&leaf)?;
            if leaf.serial == gateway.on_disk.serial {
                std::fs::write(file, &leaf.pem)?;
                self.on_disk = Some(leaf);
            }
        }
        let is_on_disk = self
            .on_disk
            .as_ref()
            .is_some_and(|l| l.serial == gateway.on_disk.serial);
        if !is_on_disk {
            let leaf = self.authority.leaf(gateway.on_disk, self.start_ms)?;
            std::fs::write(file, &leaf.pem)?;
            self.on_disk = Some(leaf);
        }
        Ok(())
    }

    fn serve(&mut self, leaf: &Leaf) -> Result<(), CertificateError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.clone()));
        let key = rustls::crypto::ring::sign::any_supported_type(&key)?;
        let certified = CertifiedKey::new(leaf.chain.clone(), key);
        let mut served = self.served.0.lock().unwrap_or_else(PoisonError::into_inner);
        *served = Some(Arc::new(certified));
        self.served_serial = leaf.serial;
        Ok(())
    }
}

fn is_open(world: &World) -> bool {
    let now = world.now();
    world
        .containers
        .iter()
        .any(|c| c.service == Service::Gateway && c.accepts(now))
}

/// The plain port: every request is sent to the other one.
pub(super) async fn plain(
    yard: Arc<Yard>,
    listener: TcpListener,
    address: SocketAddr,
    https_port: u16,
) {
    let serve = move |stream: TcpStream, _| {
        door::http(stream, move |request| {
            let response = redirect(&request, https_port);
            async move { response }
        })
    };
    door::keep(yard, listener, address, is_open, serve).await;
}

fn redirect(request: &Request<Incoming>, https_port: u16) -> Response<Body> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .unwrap_or("localhost");
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let mut response = body::answer(
        StatusCode::MOVED_PERMANENTLY,
        "text/html",
        "<html><head><title>301 Moved Permanently</title></head></html>\n",
    );
    if let Ok(location) = HeaderValue::from_str(&format!("https://{host}:{https_port}{path}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
        .headers_mut()
        .insert(header::SERVER, HeaderValue::from_static("nginx"));
    response
}

/// The TLS settings of the gateway: one provider, HTTP/1.1, the certificate of the moment.
pub(super) fn acceptor(served: Arc<Served>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(served);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

pub(super) async fn tls(
    yard: Arc<Yard>,
    listener: TcpListener,
    address: SocketAddr,
    acceptor: TlsAcceptor,
) {
    let shared = yard.clone();
    let serve = move |stream: TcpStream, peer: SocketAddr| {
        let (yard, acceptor) = (shared.clone(), acceptor.clone());
        async move {
            let shaken = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await;
            if let Ok(Ok(stream)) = shaken {
                door::http(stream, move |request| respond(yard.clone(), request, peer)).await;
            }
        }
    };
    door::keep(yard, listener, address, is_open, serve).await;
}

async fn respond(yard: Arc<Yard>, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    let method = request.method().as_str().to_owned();
    let uri = request
        .uri()
        .path_and_query()
        .map_or("/", |p| p.as_str())
        .to_owned();
    // The body is read so that the connection can be used again; the world does not look at it.
    if body::collected(request.into_body()).await.is_none() {
        return dressed(body::answer(
            StatusCode::PAYLOAD_TOO_LARGE,
            "text/plain",
            "too large\n",
        ));
    }
    let served = yard.with(|w| w.serve(&method, &uri, &peer.ip().to_string()));
    let Some(served) = served else {
        return dressed(body::answer(
            StatusCode::BAD_GATEWAY,
            "text/plain",
            "bad gateway\n",
        ));
    };
    tokio::time::sleep(Duration::from_millis(real_time(served.ms))).await;
    let status = StatusCode::from_u16(served.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match served.route {
        Some(route) if status.is_success() => page(status, ROUTES[route].route, &uri),
        _ if served.attempts.is_empty() || served.status == 502 => body::answer(
            status,
            "text/html",
            format!("<html><head><title>{status}</title></head></html>\n"),
        ),
        _ => body::json(
            status,
            &json!({"error": status.canonical_reason().unwrap_or("error")}),
        ),
    };
    if let Ok(id) = HeaderValue::from_str(&served.id) {
        response.headers_mut().insert("X-Request-Id", id);
    }
    dressed(response)
}

/// A probe waits as long as a user would: latency is never compressed.
fn real_time(ms: f64) -> u64 {
    /// nginx' `proxy_read_timeout` here.
    const READ_TIMEOUT_MS: u64 = 10_000;
    super::figures::whole(ms).min(READ_TIMEOUT_MS)
}

fn page(status: StatusCode, route: &str, uri: &str) -> Response<Body> {
    match route {
        "/" => body::answer(
            status,
            "text/html; charset=utf-8",
            "<!doctype html>\n<title>Hyper-Mission</title>\n<div id=\"root\"></div>\n<script src=\"/assets/index-7c1e.js\"></script>\n",
        ),
        "/assets/:file" => body::answer(
            status,
            "text/javascript",
            "console.log(\"practice range\");\n",
        ),
        "/api/health" => body::json(status, &json!({"status": "ok"})),
        "/api/missions" => body::json(
            status,
            &json!({"missions": [{"id": 1, "name": "Perseverance"}], "total": 1}),
        ),
        _ => body::json(status, &json!({"path": uri})),
    }
}

/// The headers that the go-live plan asks for.
fn dressed(mut response: Response<Body>) -> Response<Body> {
    const HEADERS: &[(&str, &str)] = &[
        ("server", "nginx"),
        (
            "strict-transport-security",
            "max-age=63072000; includeSubDomains",
        ),
        ("content-security-policy", "default-src 'self'"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ];
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(*name, HeaderValue::from_static(value));
    }
    response
}
