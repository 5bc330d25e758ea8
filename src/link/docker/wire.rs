//! HTTP/1.1 to the engine: over its socket, TCP, TLS or ssh, with a deadline and a largest size for everything.
//!
//! Answers to short questions share a few kept connections; a stream has a connection of its own. What the bytes mean
//! is not known here.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::HeaderMap;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::address::Address;
use super::error::EngineError;
use crate::domain::Clean;
use crate::link::ssh::{Far, Tunnel};

/// A socket answers at once, a host on the other side of the world within half a second.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// From the question to the first line of the answer. A busy engine was seen to take 1.5 s.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// For the whole of one question and its answer.
pub const TOTAL_DEADLINE: Duration = Duration::from_secs(30);
/// Connections kept open between questions: as many as are asked at the same time.
const IDLE_MAX: usize = 8;
/// Of the answer's head. The engine sends a dozen.
const HEADERS_MAX: usize = 100;
/// Of the answer's head, and of one read.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A whole answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The way to one engine.
pub(super) struct Wire {
    address: Address,
    /// Where a private directory for an ssh socket may be made.
    runtime: PathBuf,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    tls: tokio::sync::OnceCell<Arc<ClientConfig>>,
    tunnel: tokio::sync::Mutex<Option<Tunnel>>,
}

trait Line: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

impl Wire {
    pub(super) fn new(address: Address, runtime: PathBuf) -> Self {
        Self {
            address,
            runtime,
            idle: Mutex::default(),
            tls: tokio::sync::OnceCell::new(),
            tunnel: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Asks for `path` and reads the whole answer, at most `bytes_max` of it.
    pub(super) async fn get(&self, path: &str, bytes_max: usize) -> Result<Reply, EngineError> {
        let whole = async {
            let (response, sender) = self.ask(path).await?;
            let reply = self.read(path, response, bytes_max).await?;
            self.keep(sender);
            Ok(reply)
        };
        match timeout(TOTAL_DEADLINE, whole).await {
            Ok(result) => result,
            Err(_) => Err(self.silent(path, TOTAL_DEADLINE)),
        }
    }

    /// Tells the engine to do something, once: an act whose answer is lost may have taken effect, so it is never sent
    /// again here. `answer_max` is how long the engine may take to do it.
    pub(super) async fn act(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        answer_max: Duration,
        bytes_max: usize,
    ) -> Result<Reply, EngineError> {
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.host())
            .header("user-agent", "quarterdeck")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|error| self.unusable(path, &error))?;
        let mut sender = self.connect::<Full<Bytes>>().await?;
        let whole = async {
            let answered = sender.send_request(request).await;
            let response = answered.map_err(|error| self.broken(path, &error))?;
            self.read(path, response, bytes_max).await
        };
        match timeout(answer_max, whole).await {
            Ok(result) => result,
            Err(_) => Err(self.silent(path, answer_max)),
        }
    }

    /// Asks for `path` on a connection of its own and hands over the answer as it comes.
    pub(super) async fn open(&self, path: &str) -> Result<Response<Incoming>, EngineError> {
        let mut sender = self.connect::<Full<Bytes>>().await?;
        let request = self.request(path)?;
        self.within(HEADER_DEADLINE, path, sender.send_request(request))
            .await
    }

    /// Carries any request on a connection of its own.
    pub(super) async fn carry<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, EngineError>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let what = request.uri().path().to_owned();
        let mut sender = self.connect::<B>().await?;
        self.within(HEADER_DEADLINE, &what, sender.send_request(request))
            .await
    }

    /// Asks over a kept connection, and once more over a new one if the engine had closed the kept one meanwhile.
    async fn ask(
        &self,
        path: &str,
    ) -> Result<(Response<Incoming>, SendRequest<Full<Bytes>>), EngineError> {
        if let Some(mut sender) = self.kept() {
            let request = self.request(path)?;
            let asked = async {
                sender.ready().await?;
                sender.send_request(request).await
            };
            match timeout(HEADER_DEADLINE, asked).await {
                Ok(Ok(response)) => return Ok((response, sender)),
                // Looking changes nothing, so asking again is safe.
                Ok(Err(_)) => self.forget_idle(),
                Err(_) => return Err(self.silent(path, HEADER_DEADLINE)),
            }
        }
        let mut sender = self.connect().await?;
        let request = self.request(path)?;
        let response = self
            .within(HEADER_DEADLINE, path, sender.send_request(request))
            .await?;
        Ok((response, sender))
    }

    async fn read(
        &self,
        path: &str,
        response: Response<Incoming>,
        bytes_max: usize,
    ) -> Result<Reply, EngineError> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, bytes_max).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => self.broken(path, &error),
            Err(_) => EngineError::TooLarge {
                what: Clean::line(path),
                limit: bytes_max,
            },
        })?;
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    fn request(&self, path: &str) -> Result<Request<Full<Bytes>>, EngineError> {
        Request::get(path)
            .header("host", self.host())
            .header("user-agent", "quarterdeck")
            .body(Full::default())
            .map_err(|error| self.unusable(path, &error))
    }

    fn unusable(&self, path: &str, error: &hyper::http::Error) -> EngineError {
        EngineError::Garbled {
            address: self.shown(),
            what: Clean::line(path),
            reason: Clean::line(&error.to_string()),
        }
    }

    /// What goes into the `Host` header.
    pub(super) fn host(&self) -> &str {
        match &self.address {
            Address::Tcp { host, .. } | Address::Tls { host, .. } if !host.contains(':') => host,
            _ => "engine",
        }
    }

    fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push(sender);
        }
    }

    fn forget_idle(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    async fn connect<B>(&self) -> Result<SendRequest<B>, EngineError>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let line = self.dial().await?;
        let shaken = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(line));
        let (sender, connection) = self
            .within(CONNECT_DEADLINE, "the connection", shaken)
            .await?;
        // Moves the bytes; ends by itself when the sender and the answer's body are dropped. Its error reaches whoever
        // waits for the answer.
        tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    async fn dial(&self) -> Result<Box<dyn Line>, EngineError> {
        match &self.address {
            Address::Unix(path) => Ok(Box::new(self.dial_socket(path.clone()).await?)),
            Address::Tcp { host, port } => Ok(Box::new(self.dial_tcp(host, *port).await?)),
            Address::Tls { host, port, .. } => {
                let tcp = self.dial_tcp(host, *port).await?;
                self.dial_tls(host, tcp).await
            }
            Address::Ssh { .. } => {
                let socket = self.tunnel_socket().await?;
                Ok(Box::new(self.dial_socket(socket).await?))
            }
        }
    }

    async fn dial_socket(&self, path: PathBuf) -> Result<UnixStream, EngineError> {
        match timeout(CONNECT_DEADLINE, UnixStream::connect(&path)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(source)) => Err(EngineError::of_socket(&path, source)),
            Err(_) => Err(self.silent("the connection", CONNECT_DEADLINE)),
        }
    }

    async fn dial_tcp(&self, host: &str, port: u16) -> Result<TcpStream, EngineError> {
        let connected = async {
            let addresses: Vec<_> = tokio::net::lookup_host((host, port))
                .await
                .map_err(|source| EngineError::Name {
                    host: Clean::line(host),
                    source,
                })?
                .collect();
            TcpStream::connect(&*addresses)
                .await
                .map_err(|source| EngineError::Refused {
                    address: self.shown(),
                    source,
                })
        };
        match timeout(CONNECT_DEADLINE, connected).await {
            Ok(result) => result,
            Err(_) => Err(self.silent("the connection", CONNECT_DEADLINE)),
        }
    }

    async fn dial_tls(&self, host: &str, tcp: TcpStream) -> Result<Box<dyn Line>, EngineError> {
        let failed = |reason: String| EngineError::Tls {
            address: self.shown(),
            reason: Clean::line(&reason),
        };
        let config = self
            .tls
            .get_or_try_init(|| async { self.tls_config() })
            .await?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| failed(e.to_string()))?;
        let connector = tokio_rustls::TlsConnector::from(config.clone());
        match timeout(CONNECT_DEADLINE, connector.connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(self.silent("the TLS handshake", CONNECT_DEADLINE)),
        }
    }

    fn tls_config(&self) -> Result<Arc<ClientConfig>, EngineError> {
        let certs = match &self.address {
            Address::Tls { certs, .. } => certs.clone(),
            Address::Unix(_) | Address::Tcp { .. } | Address::Ssh { .. } => None,
        };
        let directory = certs.clone().unwrap_or_default();
        let failed = |reason: String| EngineError::Certificates {
            directory: directory.clone(),
            reason: Clean::line(&reason),
        };
        let mut roots = RootCertStore::empty();
        match &certs {
            Some(certs) => {
                for cert in pem_certificates(&certs.join("ca.pem")).map_err(failed)? {
                    roots
                        .add(cert)
                        .map_err(|e| failed(format!("ca.pem: {e}")))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(e.to_string()))?
            .with_root_certificates(roots);
        let config = match certs.filter(|c| c.join("key.pem").exists()) {
            Some(certs) => {
                let chain = pem_certificates(&certs.join("cert.pem")).map_err(failed)?;
                let key = PrivateKeyDer::from_pem_file(certs.join("key.pem"))
                    .map_err(|e| failed(format!("key.pem: {e}")))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|e| failed(e.to_string()))?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    /// The near end of the tunnel; a tunnel that has ended is opened anew.
    async fn tunnel_socket(&self) -> Result<PathBuf, EngineError> {
        let Address::Ssh {
            user,
            host,
            port,
            socket,
        } = &self.address
        else {
            return Err(EngineError::NotASocket(PathBuf::new()));
        };
        let mut tunnel = self.tunnel.lock().await;
        if let Some(open) = tunnel.as_mut()
            && open.is_open()
        {
            return Ok(open.socket());
        }
        *tunnel = None;
        let far = Far {
            user: user.as_deref(),
            host,
            port: *port,
            socket,
        };
        let open = tunnel.insert(Tunnel::open(far, &self.runtime).await?);
        Ok(open.socket())
    }

    async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        answer: impl Future<Output = Result<T, hyper::Error>>,
    ) -> Result<T, EngineError> {
        match timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.broken(what, &error)),
            Err(_) => Err(self.silent(what, limit)),
        }
    }

    pub(super) fn broken(&self, what: &str, error: &hyper::Error) -> EngineError {
        let (address, what, reason) = (self.shown(), Clean::line(what), Clean::line(&chain(error)));
        if error.is_parse() {
            EngineError::Garbled {
                address,
                what,
                reason,
            }
        } else {
            EngineError::BrokenOff {
                address,
                what,
                reason,
            }
        }
    }

    pub(super) fn silent(&self, what: &str, limit: Duration) -> EngineError {
        EngineError::Silent {
            address: self.shown(),
            what: Clean::line(what),
            limit,
        }
    }

    pub(super) fn shown(&self) -> Clean {
        Clean::line(&self.address.to_string())
    }
}

fn pem_certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let name = path.file_name().unwrap_or_default().display().to_string();
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{name}: {error}"))
}

/// An error with its causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
