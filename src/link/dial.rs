//! From a name to a connected socket: resolve, then connect, each with a deadline of its own.
//!
//! Both families are asked for and tried in the order in which the resolver gives them. What fails says which step it
//! was: a name that does not resolve is not a host that is down.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::url::Place;
use crate::domain::{Fault, FaultKind};

/// A resolver asks two servers for a second each at best; a person waits no longer.
pub const RESOLVE_DEADLINE: Duration = Duration::from_secs(2);

/// Once round the world is 0.3 s; one lost SYN is repeated after 1 s.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// A name with more addresses is a content network: the first ones stand for the rest.
pub const ADDRESSES_MAX: usize = 8;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DialError {
    #[error("{host} does not resolve")]
    Name { host: String },
    #[error("no answer about the name {host} within {} s", RESOLVE_DEADLINE.as_secs())]
    NameSilent { host: String },
    #[error("{to} refuses connections")]
    Refused { to: Target },
    #[error("no connection to {to} within {} s", CONNECT_DEADLINE.as_secs())]
    Silent { to: Target },
    #[error("no way from here to {to}: {why}")]
    Unreachable { to: Target, why: String },
    #[error("cannot connect to {to}: {why}")]
    Other { to: Target, why: String },
}

impl DialError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Name { .. } | Self::NameSilent { .. } => FaultKind::Name,
            Self::Silent { .. } => FaultKind::Silent,
            Self::Refused { .. } | Self::Unreachable { .. } | Self::Other { .. } => {
                FaultKind::Refused
            }
        }
    }

    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Name { .. } => Some("check the spelling, and the DNS record"),
            Self::NameSilent { .. } => Some("check this host's resolver (/etc/resolv.conf)"),
            Self::Refused { .. } => Some("nothing listens there: is it running, is the port right"),
            Self::Silent { .. } => Some("a firewall may drop it, or the host is down"),
            Self::Unreachable { .. } => Some("check this host's routes"),
            Self::Other { .. } => None,
        }
    }
}

impl From<DialError> for Fault {
    fn from(error: DialError) -> Self {
        let fault = Self::new(error.kind(), error.to_string());
        match error.remedy() {
            Some(remedy) => fault.remedy(remedy),
            None => fault,
        }
    }
}

/// What was to be reached, and through which address: `shop.eu:443 (192.0.2.1)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub place: Place,
    pub address: SocketAddr,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same_port = self.place.port == self.address.port();
        match (self.place.ip() == Some(self.address.ip()), same_port) {
            (true, true) => write!(f, "{}", self.place),
            (_, true) => write!(f, "{} ({})", self.place, self.address.ip()),
            (_, false) => write!(f, "{} (at {})", self.place, self.address),
        }
    }
}

/// All addresses of a place, at most [`ADDRESSES_MAX`], in the resolver's order, none twice. Never empty.
pub async fn resolve(place: &Place) -> Result<Vec<SocketAddr>, DialError> {
    if let Some(ip) = place.ip() {
        return Ok(vec![SocketAddr::new(ip, place.port)]);
    }
    let host = || place.host.clone();
    let looked_up = timeout(
        RESOLVE_DEADLINE,
        lookup_host((place.host.as_str(), place.port)),
    )
    .await
    .map_err(|_| DialError::NameSilent { host: host() })?
    .map_err(|_| DialError::Name { host: host() })?;
    let mut addresses = Vec::new();
    for address in looked_up {
        if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        Err(DialError::Name { host: host() })
    } else {
        Ok(addresses)
    }
}

/// Connects to one address of a place.
pub async fn connect_one(place: &Place, address: SocketAddr) -> Result<TcpStream, DialError> {
    let to = || Target {
        place: place.clone(),
        address,
    };
    match timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await {
        Err(_) => Err(DialError::Silent { to: to() }),
        Ok(Err(error)) => Err(not_connected(to(), &error)),
        Ok(Ok(stream)) => {
            // A small request must not wait for more of it; without this it still works.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
    }
}

/// Connects to the first address that answers; if none does, says why the first one did not.
pub async fn connect(
    place: &Place,
    addresses: &[SocketAddr],
) -> Result<(TcpStream, SocketAddr), DialError> {
    let mut first = None;
    for &address in addresses {
        match connect_one(place, address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| DialError::Name {
        host: place.host.clone(),
    }))
}

fn not_connected(to: Target, error: &io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused { to },
        io::ErrorKind::TimedOut => DialError::Silent { to },
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::AddrNotAvailable => DialError::Unreachable {
            to,
            why: error.to_string(),
        },
        _ => DialError::Other {
            to,
            why: error.to_string(),
        },
    }
}

/// An address that only this host can reach.
pub fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback()
}

/// What a stream's other side first said, and when.
///
/// A TLS library that is answered in another language drops the words; they are the best hint there is.
#[derive(Debug)]
pub struct Witness<S> {
    stream: S,
    first: Vec<u8>,
    first_at: Arc<OnceLock<Instant>>,
}

/// Enough for `HTTP/1.1 400 Bad Request` or an SMTP greeting.
const FIRST_BYTES_MAX: usize = 64;

impl<S> Witness<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            first: Vec::new(),
            first_at: Arc::new(OnceLock::new()),
        }
    }

    /// The first bytes that were read, at most 64.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// Set when the first byte is read; stays readable when the stream has been given away.
    pub fn first_at(&self) -> Arc<OnceLock<Instant>> {
        Arc::clone(&self.first_at)
    }

    fn note(&mut self, read: &[u8]) {
        if read.is_empty() {
            return;
        }
        self.first_at.get_or_init(Instant::now);
        let room = FIRST_BYTES_MAX.saturating_sub(self.first.len());
        self.first.extend_from_slice(&read[..read.len().min(room)]);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Witness<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.note(&buf.filled()[before..]);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Witness<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    fn place(text: &str) -> Place {
        Place::parse(text, None).unwrap()
    }

    #[tokio::test]
    async fn literal_addresses_are_not_looked_up() {
        let six = resolve(&place("[2001:db8::1]:443")).await.unwrap();
        assert_eq!(six, ["[2001:db8::1]:443".parse().unwrap()]);
        let four = resolve(&place("192.0.2.1:443")).await.unwrap();
        assert_eq!(four, ["192.0.2.1:443".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_no_host_that_is_down() {
        let error = resolve(&place("does-not-exist.invalid:443"))
            .await
            .unwrap_err();
        let fault = Fault::from(error);
        assert_eq!(fault.kind, FaultKind::Name);
        assert!(fault.text.contains("does-not-exist.invalid"), "{fault}");
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_the_first_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bad = closed.local_addr().unwrap();
        drop(closed);
        let name = place(&format!("shop.eu:{}", good.port()));
        let (_, address) = connect(&name, &[bad, good]).await.unwrap();
        assert_eq!(address, good);
        let fault = Fault::from(connect(&name, &[bad]).await.unwrap_err());
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.text.contains("shop.eu"), "{fault}");
        assert!(fault.remedy.is_some());
    }

    #[tokio::test]
    async fn a_witness_keeps_the_first_bytes_and_passes_all_on() {
        let said = vec![b'x'; 200];
        let mut witness = Witness::new(said.as_slice());
        let at = witness.first_at();
        assert!(at.get().is_none());
        let mut all = Vec::new();
        witness.read_to_end(&mut all).await.unwrap();
        assert_eq!((all.len(), witness.first().len()), (200, FIRST_BYTES_MAX));
        assert!(at.get().is_some());
    }
}
