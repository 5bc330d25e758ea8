//! One HTTP request on a connection of its own, timed by phase.
//!
//! Nothing is reused, nothing decompressed, nothing followed unless asked: the figures are those of a first visitor.
//! At most [`BODY_BYTES_MAX`] of a body are read and a header is at most [`HEADER_BYTES_MAX`]: whatever a server
//! sends, a look ends within its deadline and its memory. An `https` server that is not trusted gets no request.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use rustls::pki_types::ServerName;

use super::dial::{self, DialError, Witness};
use super::recall::Recall;
use super::tls::{self, Distrust, Handshake, Inside, Roots, Shaken, Verdict};
use super::url::{Place, Scheme, Url};
use crate::domain::{Clean, Fault, FaultKind, Hop, Phases, Timestamp, text};

/// Enough to time the transfer of a page, too little to hurt when there is no end.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Browsers and servers stop between 8 and 256 KB.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Real answers have twenty.
pub const HEADERS_MAX: usize = 100;

/// `http` to `https`, to the locale, to the login: three. More is a circle.
pub const HOPS_MAX: usize = 5;

/// All of one look: names, connections, handshakes, redirects and the body.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// A look never changes anything: there are no other methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
}

impl Method {
    pub fn parse(word: &str) -> Result<Self, Fault> {
        match word {
            "GET" => Ok(Self::Get),
            "HEAD" => Ok(Self::Head),
            other => Err(Fault::new(
                FaultKind::Misconfigured,
                format!("the method {other:?} is not for looking"),
            )
            .remedy("use GET or HEAD")),
        }
    }

    fn hyper(self) -> hyper::Method {
        match self {
            Self::Get => hyper::Method::GET,
            Self::Head => hyper::Method::HEAD,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    Never,
    /// On the same host and port, or from `http` to `https` of the same host; at most [`HOPS_MAX`] times.
    SameHost,
}

/// What becomes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Count,
    /// Up to [`BODY_BYTES_MAX`], and asked for uncompressed: it is to be read.
    Keep,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub method: Method,
    pub url: Url,
    /// `host` or `host:port` to connect to instead of where the name leads.
    pub connect_to: Option<Clean>,
    /// The site in whose name a browser would ask, to see what the server allows others.
    pub origin: Option<Clean>,
    pub follow: Follow,
    pub body: Body,
    /// Authorities trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    pub deadline: Duration,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// In order; the last one is this answer.
    pub hops: Vec<Hop>,
    /// 0 when the server was not trusted and so was not asked.
    pub status: u16,
    pub headers: Vec<(Clean, Clean)>,
    pub content_type: Clean,
    /// Of the last hop, except for `ttfb_ms` and `total_ms`, which count from the very start.
    pub phases: Phases,
    pub address: Clean,
    pub body_bytes: u64,
    pub body_cut: bool,
    /// Empty unless it was to be kept.
    pub body: Vec<u8>,
    /// What is wrong with the answer whatever was expected: not trusted, broken off, a redirect that is not followed.
    pub failures: Vec<Clean>,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Connecting,
    Shaking,
    Waiting,
    Reading { status: u16, bytes: usize },
}

/// A request without an answer: how far it came, and why no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    pub stage: Stage,
    pub fault: Fault,
}

/// Asks, and follows if it should.
pub async fn fetch(ask: &Ask, roots: &Roots, now: Timestamp) -> Result<Answer, Fault> {
    let asked = fetch_staged(ask, roots, None, now).await;
    asked.map_err(|unanswered| unanswered.fault)
}

/// As [`fetch`], and says of a request without an answer how far it came. Who asks often may remember.
pub async fn fetch_staged(
    ask: &Ask,
    roots: &Roots,
    recall: Option<&Recall>,
    now: Timestamp,
) -> Result<Answer, Unanswered> {
    let mut stage = Stage::Connecting;
    let trust = Trust { roots, recall };
    let asking = walk(ask, trust, now, &mut stage);
    let answered = match timeout(ask.deadline, asking).await {
        Ok(answered) => answered,
        Err(_) => Err(too_late(ask, stage)),
    };
    answered.map_err(|fault| Unanswered { stage, fault })
}

fn too_late(ask: &Ask, stage: Stage) -> Fault {
    let place = &ask.url.place;
    let limit = ask.deadline.as_secs_f32();
    let text = match stage {
        Stage::Connecting => format!("no connection to {place} within {limit} s"),
        Stage::Shaking => format!("the TLS handshake with {place} did not end within {limit} s"),
        Stage::Waiting => format!("no answer from {place} within {limit} s"),
        Stage::Reading { status, bytes } => format!(
            "the answer {status} of {place} did not end within {limit} s: {bytes} bytes until then"
        ),
    };
    Fault::new(FaultKind::Silent, text)
}

/// By what a server is found and judged.
#[derive(Debug, Clone, Copy)]
struct Trust<'a> {
    roots: &'a Roots,
    recall: Option<&'a Recall>,
}

impl Trust<'_> {
    async fn resolve(self, place: &Place) -> Result<Vec<SocketAddr>, DialError> {
        match self.recall {
            Some(recall) => recall.resolve(place).await,
            None => dial::resolve(place).await,
        }
    }

    async fn judge(
        self,
        seen: &Handshake,
        name: &ServerName<'_>,
        ca_file: Option<&Path>,
        now: Timestamp,
    ) -> Verdict {
        match (self.recall, ca_file) {
            (Some(recall), Some(path)) => {
                let given = Some(recall.given(path).await);
                self.roots.judge_by(seen, name, given, now).await
            }
            (_, ca_file) => self.roots.judge(seen, name, ca_file, now).await,
        }
    }
}

async fn walk(
    ask: &Ask,
    trust: Trust<'_>,
    now: Timestamp,
    stage: &mut Stage,
) -> Result<Answer, Fault> {
    let mut start = Instant::now();
    let mut url = ask.url.clone();
    let mut hops: Vec<Hop> = Vec::new();
    let mut seen = vec![url.clone()];
    loop {
        let mut answer = one(ask, &url, trust, now, &mut start, stage).await?;
        let location = location(&answer);
        if answer.status != 0 {
            hops.push(Hop {
                url: Clean::from(url.to_string()),
                status: answer.status,
                location: location.as_deref().map(Clean::from),
            });
        }
        let next = match (ask.follow, location) {
            (Follow::SameHost, Some(location)) => next_hop(&url, &location, &seen),
            (Follow::Never, _) | (Follow::SameHost, None) => {
                answer.hops = hops;
                return Ok(answer);
            }
        };
        match next {
            Ok(next) => {
                seen.push(next.clone());
                url = next;
            }
            Err(refusal) => {
                answer.failures.push(refusal);
                answer.hops = hops;
                return Ok(answer);
            }
        }
    }
}

/// Where a redirect leads, raw.
fn location(answer: &Answer) -> Option<String> {
    let redirects = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
    let header = answer.headers.iter().find(|(name, _)| *name == "location");
    header
        .filter(|_| redirects)
        .map(|(_, value)| value.to_string())
}

/// The next URL, or why it is not asked.
fn next_hop(from: &Url, location: &str, seen: &[Url]) -> Result<Url, Clean> {
    let next = from
        .join(location)
        .map_err(|fault| Clean::from(format!("redirect not followed: {}", fault.text)))?;
    let refuse = |why: &str| Err(Clean::from(format!("redirect not followed: {why}")));
    let upgrade = from.scheme == Scheme::Http && next.scheme == Scheme::Https;
    if next.place.host != from.place.host {
        return refuse(&format!("it leads to another host, {}", next.place));
    }
    if from.scheme == Scheme::Https && next.scheme == Scheme::Http {
        return refuse("it leads from https down to http");
    }
    if next.place.port != from.place.port && !upgrade {
        return refuse(&format!("it leads to another port, {}", next.place));
    }
    if seen.contains(&next) {
        return refuse(&format!("it leads in a circle, back to {next}"));
    }
    if seen.len() > HOPS_MAX {
        return refuse(&format!("more than {HOPS_MAX} in a row"));
    }
    Ok(next)
}

/// Where to connect: the URL's own place, or the one it is replaced by.
fn connect_place(ask: &Ask, url: &Url) -> Result<Place, Fault> {
    let Some(instead) = &ask.connect_to else {
        return Ok(url.place.clone());
    };
    let mut place = Place::parse(instead, Some(url.place.port))?;
    // After a redirect to https the port that was meant for http no longer fits.
    if url.place.port != ask.url.place.port {
        place.port = url.place.port;
    }
    Ok(place)
}

fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1000.0
}

/// One request, no redirects.
async fn one(
    ask: &Ask,
    url: &Url,
    trust: Trust<'_>,
    now: Timestamp,
    start: &mut Instant,
    stage: &mut Stage,
) -> Result<Answer, Fault> {
    *stage = Stage::Connecting;
    let mut answer = Answer::default();
    let stream = connect(ask, url, trust, &mut answer).await?;
    if url.scheme == Scheme::Http {
        let way = Way {
            start: *start,
            client_auth: false,
        };
        exchange(ask, url, stream, way, stage, &mut answer).await?;
        return Ok(answer);
    }
    *stage = Stage::Shaking;
    let name = tls::server_name(&url.place.host)?;
    let begun = Instant::now();
    let shaken = tls::handshake(stream, &name, Inside::Http1, &url.place.to_string()).await;
    let Shaken { seen, stream } = shaken?;
    let shook = Instant::now();
    answer.phases.tls_ms = Some(ms(begun, shook));
    let stream = stream.ok_or_else(|| broke_off(&seen, url))?;
    let verdict = trust.judge(&seen, &name, ask.ca_file.as_deref(), now).await;
    // The time that we spend on judging is ours, not the server's.
    *start += shook.elapsed();
    let way = Way {
        start: *start,
        client_auth: seen.client_auth,
    };
    match refusal(&seen, verdict, url)? {
        None => exchange(ask, url, stream, way, stage, &mut answer).await?,
        Some(refusal) => {
            answer.phases.total_ms = Some(ms(*start, Instant::now()));
            answer.failures.push(refusal);
        }
    }
    Ok(answer)
}

/// Resolves and connects, and notes how long each took and where it led.
async fn connect(
    ask: &Ask,
    url: &Url,
    trust: Trust<'_>,
    answer: &mut Answer,
) -> Result<TcpStream, Fault> {
    let place = connect_place(ask, url)?;
    let begun = Instant::now();
    let addresses = trust.resolve(&place).await?;
    let resolved = Instant::now();
    let connected = dial::connect(&place, &addresses).await;
    if let (Err(_), Some(recall)) = (&connected, trust.recall) {
        recall.doubt_address();
    }
    let (stream, address) = connected?;
    answer.address = Clean::from(address.to_string());
    // A literal address is not resolved.
    answer.phases.resolve_ms = place.ip().is_none().then(|| ms(begun, resolved));
    answer.phases.connect_ms = Some(ms(resolved, Instant::now()));
    Ok(stream)
}

/// What an exchange must know of how its connection came to be.
#[derive(Debug, Clone, Copy)]
struct Way {
    start: Instant,
    /// The server asked for a client certificate, and got none.
    client_auth: bool,
}

fn broke_off(seen: &Handshake, url: &Url) -> Fault {
    let unsaid = || {
        Fault::new(
            FaultKind::Garbled,
            format!("{} broke the TLS handshake off", url.place),
        )
    };
    seen.broke_off.clone().unwrap_or_else(unsaid)
}

/// Why this server is not asked. That we have nothing to judge by is our fault, not the server's.
fn refusal(seen: &Handshake, verdict: Verdict, url: &Url) -> Result<Option<Clean>, Fault> {
    let text = match (verdict, &seen.unproven) {
        (Verdict::No(Distrust::NotJudged, why), _) => {
            let text = format!("cannot judge the certificate of {}: {why}", url.place);
            return Err(Fault::new(FaultKind::Misconfigured, text)
                .remedy("install the system's CA certificates, or set ca_file"));
        }
        (Verdict::No(_, why), _) => format!("certificate not trusted: {why}"),
        (Verdict::System | Verdict::Given, Some(why)) => {
            format!("the server does not prove that the certificate is its own: {why}")
        }
        (Verdict::System | Verdict::Given, None) => return Ok(None),
    };
    Ok(Some(Clean::from(text)))
}

fn request(ask: &Ask, url: &Url) -> Result<Request<Empty<Bytes>>, Fault> {
    let encoding = match ask.body {
        // Said so that it can be seen whether the server compresses; what it sends is counted, never unpacked.
        Body::Count => "gzip",
        Body::Keep => "identity",
    };
    let mut request = Request::builder()
        .method(ask.method.hyper())
        .uri(&url.path)
        .header(header::HOST, url.authority())
        .header(
            header::USER_AGENT,
            concat!("quarterdeck/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::ACCEPT, "*/*")
        .header(header::ACCEPT_ENCODING, encoding)
        .header(header::CONNECTION, "close");
    if let Some(origin) = &ask.origin {
        request = request.header(header::ORIGIN, origin.as_str());
    }
    request.body(Empty::new()).map_err(|error| {
        Fault::new(
            FaultKind::Misconfigured,
            format!("cannot ask for {url}: {error}"),
        )
    })
}

/// What was read of one answer.
struct Got {
    status: u16,
    headers: HeaderMap,
    bytes: usize,
    kept: Vec<u8>,
    cut: bool,
    broken: Option<Clean>,
}

impl Got {
    fn take(&mut self, piece: Option<&Bytes>, wanted: Body) {
        let Some(piece) = piece else { return };
        if wanted == Body::Keep {
            let room = BODY_BYTES_MAX.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        self.bytes += piece.len();
    }
}

/// Sends the request and reads the answer, and drives the connection meanwhile: no task outlives the look.
async fn exchange<S>(
    ask: &Ask,
    url: &Url,
    stream: S,
    way: Way,
    stage: &mut Stage,
    answer: &mut Answer,
) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    *stage = Stage::Waiting;
    let request = request(ask, url)?;
    let witness = Witness::new(stream);
    let first_at = witness.first_at();
    let (mut sender, mut connection) = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .handshake(TokioIo::new(witness))
        .await
        .map_err(|error| Fault::new(FaultKind::Broken, error.to_string()))?;
    let sent = Instant::now();
    let talked = {
        let talk = pin!(async {
            let response = sender.send_request(request).await?;
            Ok::<_, hyper::Error>(read(response, ask.body, stage).await)
        });
        match select(talk, &mut connection).await {
            Either::Left((talked, _)) => talked,
            // The connection has said all; what it said still waits to be read.
            Either::Right((_, talk)) => talk.await,
        }
    };
    let ended = Instant::now();
    let parts = connection.into_parts();
    let witness = parts.io.into_inner();
    let got = talked.map_err(|error| no_answer(&error, witness.first(), url, way))?;
    let first = first_at.get().copied().unwrap_or(ended);
    let phases = &mut answer.phases;
    phases.first_byte_ms = Some(ms(sent, first));
    phases.transfer_ms = Some(ms(first, ended));
    phases.ttfb_ms = Some(ms(way.start, first));
    phases.total_ms = Some(ms(way.start, ended));
    fill(answer, got);
    // Some servers end a body with one more line break; nobody minds.
    if !parts.read_buf.trim_ascii().is_empty() && !answer.body_cut {
        answer
            .failures
            .push("the server sends more than it announced".into());
    }
    Ok(())
}

fn fill(answer: &mut Answer, got: Got) {
    answer.status = got.status;
    answer.content_type = got
        .headers
        .get(header::CONTENT_TYPE)
        .map(|value| Clean::bytes(value.as_bytes()))
        .unwrap_or_default();
    answer.headers = got.headers.iter().map(shown_header).collect();
    answer.body_bytes = got.bytes as u64;
    answer.body_cut = got.cut;
    answer.body = got.kept;
    answer.failures.extend(got.broken);
}

fn shown_header((name, value): (&HeaderName, &hyper::header::HeaderValue)) -> (Clean, Clean) {
    (Clean::from(name.as_str()), Clean::bytes(value.as_bytes()))
}

async fn read(response: Response<Incoming>, wanted: Body, stage: &mut Stage) -> Got {
    let (head, mut body) = response.into_parts();
    let status = head.status.as_u16();
    let mut got = Got {
        status,
        headers: head.headers,
        bytes: 0,
        kept: Vec::new(),
        cut: false,
        broken: None,
    };
    *stage = Stage::Reading { status, bytes: 0 };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => got.take(frame.data_ref(), wanted),
            Err(error) => {
                got.broken = broken(&error, &got);
                break;
            }
        }
        if got.bytes > BODY_BYTES_MAX {
            got.bytes = BODY_BYTES_MAX;
            got.cut = true;
            break;
        }
        *stage = Stage::Reading {
            status,
            bytes: got.bytes,
        };
    }
    got
}

/// Why the body ended before its end, if it did.
fn broken(error: &hyper::Error, got: &Got) -> Option<Clean> {
    let announced = got.headers.get(header::CONTENT_LENGTH);
    let chunked = got.headers.contains_key(header::TRANSFER_ENCODING);
    // A body without a length ends with the connection, and many servers close TLS without saying so.
    if announced.is_none() && !chunked && is_eof(error) {
        return None;
    }
    let bytes = got.bytes;
    let text = match announced {
        Some(length) => format!(
            "the body broke off after {bytes} of {} bytes",
            Clean::bytes(length.as_bytes())
        ),
        None => format!("the body broke off after {bytes} bytes: {error}"),
    };
    Some(Clean::from(text))
}

fn is_eof(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    source.is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// A request that got no answer, in words.
fn no_answer(error: &hyper::Error, first: &[u8], url: &Url, way: Way) -> Fault {
    let place = &url.place;
    if error.is_parse_too_large() {
        let text = format!("{place} sends a header of over 64 KB or {HEADERS_MAX} lines");
        return Fault::new(FaultKind::TooLarge, text);
    }
    if way.client_auth && tls::is_alert(error) {
        return tls::client_certificate(&place.to_string());
    }
    if error.is_parse() {
        return not_http(first, url);
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        Fault::new(
            FaultKind::Refused,
            format!("{place} closed the connection without an answer"),
        )
    } else {
        Fault::new(
            FaultKind::Refused,
            format!("the connection to {place} broke: {}", root_cause(error)),
        )
    }
}

fn not_http(first: &[u8], url: &Url) -> Fault {
    let place = &url.place;
    // A TLS alert: what a TLS server says to a plain request.
    if first.starts_with(&[21, 3]) {
        return Fault::new(
            FaultKind::Garbled,
            format!("{place} speaks TLS, not plain http"),
        )
        .remedy("write https in the URL");
    }
    let text = format!("{place} is not HTTP/1: got '{}'", tls::greeting(first));
    Fault::new(FaultKind::Garbled, text).remedy("check the port")
}

fn root_cause(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    text::fit(&text, 120).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[track_caller]
    fn refused(from: &str, location: &str, says: &str) {
        let why = next_hop(&url(from), location, &[url(from)]).unwrap_err();
        assert!(why.contains(says), "{why}");
    }

    #[test]
    fn redirects_stay_on_their_host() {
        refused(
            "http://shop.eu/",
            "http://169.254.169.254/latest",
            "another host",
        );
        refused("http://shop.eu/", "//evil.eu/", "another host");
        refused("http://shop.eu/", "file:///etc/passwd", "no URL");
        refused(
            "http://shop.eu/",
            "gopher://shop.eu/",
            "only http and https",
        );
        refused("http://shop.eu/", "http://shop.eu:6379/", "another port");
        refused("https://shop.eu/", "https://shop.eu:8443/", "another port");
        refused("https://shop.eu/", "http://shop.eu/", "down to http");
        refused("http://shop.eu/", "/", "circle");
        let next = next_hop(&url("http://shop.eu/"), "https://SHOP.eu/x", &[]).unwrap();
        assert_eq!(next.to_string(), "https://shop.eu/x");
    }

    #[test]
    fn credentials_in_a_redirect_are_not_repeated() {
        let why = next_hop(&url("http://shop.eu/"), "http://a:hunter2@shop.eu/", &[]);
        assert!(!why.unwrap_err().contains("hunter2"));
    }

    #[test]
    fn five_redirects_are_followed_and_a_sixth_is_not() {
        let from = url("http://shop.eu/");
        let seen = |n: usize| -> Vec<Url> {
            (0..n)
                .map(|n| url(&format!("http://shop.eu/{n}")))
                .collect()
        };
        assert!(next_hop(&from, "/x", &seen(HOPS_MAX)).is_ok());
        assert!(next_hop(&from, "/x", &seen(HOPS_MAX + 1)).is_err());
    }

    #[test]
    fn another_place_to_connect_to_keeps_to_the_port_it_names() {
        let mut ask = Ask {
            method: Method::Get,
            url: url("http://shop.eu/"),
            connect_to: Some("127.0.0.1:8080".into()),
            origin: None,
            follow: Follow::SameHost,
            body: Body::Count,
            ca_file: None,
            deadline: DEADLINE,
        };
        let at = |ask: &Ask, to: &str| connect_place(ask, &url(to)).unwrap().to_string();
        assert_eq!(at(&ask, "http://shop.eu/x"), "127.0.0.1:8080");
        assert_eq!(at(&ask, "https://shop.eu/"), "127.0.0.1:443");
        ask.connect_to = Some("::1".into());
        assert_eq!(at(&ask, "http://shop.eu/"), "[::1]:80");
    }

    #[test]
    fn only_methods_that_look_are_allowed() {
        assert_eq!(Method::parse("GET"), Ok(Method::Get));
        assert_eq!(Method::parse("HEAD"), Ok(Method::Head));
        assert!(Method::parse("DELETE").is_err());
    }
}
