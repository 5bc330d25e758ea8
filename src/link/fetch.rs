//! A bounded HTTP request: one answer in memory, or a fault.
//!
//! No redirects, no retries, no proxy, no decompression: what was asked is what answered, and no answer is larger in
//! memory than it was on the wire. Clients are made when they are first needed. The one for plain HTTP has no root
//! certificates at all, so it works in an image that has none; only the first `https` address loads the system's.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Url, redirect};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use crate::config::Secret;
use crate::domain::{Clean, Fault, FaultKind};

/// A TCP handshake inside a data centre takes a millisecond, on a bad line half a second.
pub const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The body grows in steps of this size, so that a body at its limit does not hold twice the limit.
const GROWTH_BYTES: usize = 256 * 1024;

/// Causes of a failure that are put into words; deeper ones repeat what was said.
const CAUSES_MAX: usize = 6;

/// How long an answer may take in all, and how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From the first packet to the last byte of the body.
    pub total: Duration,
    pub body_bytes_max: usize,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent<'a> {
    /// `POST`, `PUT`, `PATCH`, `DELETE` or `GET`.
    pub method: &'a str,
    pub url: &'a str,
    /// Goes as JSON where it is JSON, else as plain text.
    pub body: Option<&'a str>,
}

/// Any status: what it means is for the caller to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Asks over HTTP. Light until the first request.
#[derive(Debug, Default, Clone)]
pub struct Fetcher {
    plain: OnceCell<Client>,
    secure: OnceCell<Client>,
    /// Goes with every request. Marked as sensitive: it shows as such wherever it is formatted.
    bearer: Option<HeaderValue>,
}

impl Fetcher {
    /// Every request says who asks. Only for a fetcher of one server: its secret is nobody else's business.
    pub fn with_bearer(secret: &Secret) -> Result<Self, Fault> {
        Self::bearing(secret.expose())
    }

    /// As [`Self::with_bearer`], of a token that was fetched already.
    pub fn bearing(token: &str) -> Result<Self, Fault> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            Fault::new(
                FaultKind::Misconfigured,
                "the token cannot stand in a header",
            )
            .remedy("write the token alone on one line, in plain ASCII")
        })?;
        bearer.set_sensitive(true);
        Ok(Self {
            bearer: Some(bearer),
            ..Self::default()
        })
    }

    pub async fn get(&self, url: &str, bounds: Bounds) -> Result<Answer, Fault> {
        let url = address(url)?;
        let request = self.client(&url).await?.get(url.clone());
        bounded(&url, self.signed(request), bounds).await
    }

    /// Sends a form, for questions that are too long for an address.
    pub async fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        bounds: Bounds,
    ) -> Result<Answer, Fault> {
        let url = address(url)?;
        let request = self.client(&url).await?.post(url.clone()).form(form);
        bounded(&url, self.signed(request), bounds).await
    }

    /// Sends a request that may change something, once.
    pub async fn send(&self, sent: Sent<'_>, bounds: Bounds) -> Result<Answer, Fault> {
        let url = address(sent.url)?;
        let method = method(sent.method)?;
        let mut request = self.client(&url).await?.request(method, url.clone());
        if let Some(body) = sent.body {
            let is_json = serde_json::from_str::<serde_json::Value>(body).is_ok();
            let kind = if is_json {
                "application/json"
            } else {
                "text/plain; charset=utf-8"
            };
            request = request.header(CONTENT_TYPE, kind).body(body.to_owned());
        }
        bounded(&url, self.signed(request), bounds).await
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer),
            None => request,
        }
    }

    async fn client(&self, url: &Url) -> Result<&Client, Fault> {
        if url.scheme() == "https" {
            self.secure
                .get_or_try_init(|| async { build(system_roots().await?) })
                .await
        } else {
            self.plain
                .get_or_try_init(|| async { build(RootCertStore::empty()) })
                .await
        }
    }
}

fn address(raw: &str) -> Result<Url, Fault> {
    let wrong = |why: &str| {
        Fault::new(
            FaultKind::Misconfigured,
            format!("{}: {why}", Clean::line(raw)),
        )
        .remedy("write an address such as http://127.0.0.1:9090")
    };
    let url = Url::parse(raw).map_err(|source| wrong(&source.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "http" | "https" => Err(wrong("no host")),
        _ => Err(wrong("neither http nor https")),
    }
}

fn method(word: &str) -> Result<Method, Fault> {
    match word {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        other => Err(Fault::new(
            FaultKind::Misconfigured,
            format!("{other:?} is no method to send with"),
        )
        .remedy("write POST, PUT, PATCH, DELETE or GET")),
    }
}

/// The system's roots are read from files: not on the loop.
async fn system_roots() -> Result<RootCertStore, Fault> {
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
        .await
        .map_err(|source| Fault::new(FaultKind::Broken, source.to_string()))?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken > 0 {
        return Ok(roots);
    }
    Err(Fault::new(
        FaultKind::Misconfigured,
        "this host has no root certificates, so no https address can be trusted",
    )
    .remedy("install ca-certificates or set SSL_CERT_FILE"))
}

fn build(roots: RootCertStore) -> Result<Client, Fault> {
    let broken = |source: &dyn Error| Fault::new(FaultKind::Broken, causes(source));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| broken(&source))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientBuilder::new()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_MAX)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|source| broken(&source))
}

async fn bounded(url: &Url, request: RequestBuilder, bounds: Bounds) -> Result<Answer, Fault> {
    match tokio::time::timeout(bounds.total, exchange(url, request, bounds.body_bytes_max)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::new(
            FaultKind::Silent,
            format!(
                "no whole answer from {} within {:?}",
                place(url),
                bounds.total
            ),
        )),
    }
}

async fn exchange(
    url: &Url,
    request: RequestBuilder,
    body_bytes_max: usize,
) -> Result<Answer, Fault> {
    let mut response = request.send().await.map_err(|source| fault(url, &source))?;
    let status = response.status().as_u16();
    let announced = response.content_length().unwrap_or(0);
    if announced > body_bytes_max as u64 {
        return Err(too_large(url, body_bytes_max));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|source| fault(url, &source))?
    {
        if body.len() + chunk.len() > body_bytes_max {
            return Err(too_large(url, body_bytes_max));
        }
        if body.capacity() - body.len() < chunk.len() {
            body.reserve_exact(chunk.len().max(GROWTH_BYTES));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

fn too_large(url: &Url, limit: usize) -> Fault {
    let limit = limit / 1024;
    Fault::new(
        FaultKind::TooLarge,
        format!("the answer of {} is over {limit} KB", place(url)),
    )
    .remedy(
        "look at what it exports: a label with a value per user or per address is the usual cause",
    )
}

/// Host and port only: an address may carry a password.
fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn fault(url: &Url, source: &reqwest::Error) -> Fault {
    let place = place(url);
    let why = causes(source);
    let new = |kind, text: String| Fault::new(kind, text);
    if source.is_timeout() {
        return new(
            FaultKind::Silent,
            format!("no connection to {place} within {CONNECT_MAX:?}"),
        );
    }
    if why.contains("dns error") {
        return new(
            FaultKind::Name,
            format!("the name of {place} does not resolve: {why}"),
        );
    }
    if why.contains("certificate") {
        return new(
            FaultKind::Denied,
            format!("the certificate of {place} is not trusted: {why}"),
        );
    }
    if source.is_connect() {
        return new(FaultKind::Refused, format!("cannot reach {place}: {why}"));
    }
    new(
        FaultKind::Garbled,
        format!("{place} broke off or does not speak HTTP: {why}"),
    )
}

/// The chain below the outermost error, which only repeats the address.
fn causes(source: &dyn Error) -> String {
    let mut words = Vec::new();
    let mut next = source.source();
    while let Some(cause) = next.filter(|_| words.len() < CAUSES_MAX) {
        let text = cause.to_string();
        // The layer between says only that connecting failed, which the layers below say better.
        if words.last() != Some(&text) && !text.starts_with("client error") {
            words.push(text);
        }
        next = cause.source();
    }
    if words.is_empty() {
        words.push(source.to_string());
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(raw: &str, why: &str) {
        let fault = address(raw).expect_err("not an address we ask");
        assert_eq!(fault.kind, FaultKind::Misconfigured);
        assert!(fault.text.contains(why), "{fault}");
    }

    #[test]
    fn only_http_addresses_are_asked() {
        refused("file:///etc/passwd", "neither http nor https");
        refused("prometheus:9090", "neither http nor https");
        refused("", "relative URL");
        assert!(address("http://10.0.0.7:5000/metrics").is_ok());
    }

    #[test]
    fn a_place_never_shows_the_password() {
        let url = Url::parse("https://ops:secret@prom.example/x?token=1").expect("an address");
        assert_eq!(place(&url), "prom.example:443");
    }

    #[test]
    fn a_client_without_roots_can_be_built() {
        assert!(build(RootCertStore::empty()).is_ok());
    }
}
