//! A connection that is kept: one HTTP/1.1 request after the other, byte by byte our own.
//!
//! For who sends ten thousand requests a second, or a request that changes something: the caller writes the request,
//! here it is sent once and its answer is read to the end, bounded. Nothing is followed, repeated or decompressed. An
//! `https` server that is not trusted gets no request.

mod parse;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::dial::{self, DialError, Witness};
use super::tls::{self, Distrust, Inside, Roots, Verdict};
use super::url::{Place, Scheme, Url};
use crate::domain::{Clean, Fault, FaultKind, Timestamp};
use parse::{Head, Length};

/// An answer without a body fits; ten thousand of these are 40 MB.
const BUFFER_BYTES: usize = 4 * 1024;

/// One that has a large body is read in larger pieces.
const BUFFER_LARGE_BYTES: usize = 32 * 1024;

/// Browsers and servers stop between 8 and 256 KB.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// An answer that is to be compared is a page; what is over is counted and passed over.
pub const BODY_BYTES_KEPT: usize = 64 * 1024;

/// `100 Continue`, `103 Early Hints`: more than this is no conversation.
const INTERIM_MAX: usize = 8;

/// Where requests go, and whom to trust there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Way {
    pub url: Url,
    pub addresses: Arc<[SocketAddr]>,
    pub ca_file: Option<PathBuf>,
    pub roots: Arc<Roots>,
}

/// Why there is no answer, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Broke {
    #[error(transparent)]
    Connect(#[from] DialError),
    #[error("{0}")]
    Shake(Fault),
    #[error("certificate not trusted: {0}")]
    Distrust(Clean),
    /// Before the first byte of an answer.
    #[error("the connection was closed without an answer")]
    Closed,
    #[error("the answer broke off")]
    Truncated,
    #[error("the answer is not HTTP/1.1")]
    Garbled,
    #[error("the connection broke: {0}")]
    Io(Clean),
}

/// What a caller wants to know of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    pub status: u16,
    pub body_bytes: u64,
    /// The connection may be used again.
    pub keep: bool,
}

/// All of an answer, for who compares it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Whole {
    /// Names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// At most [`BODY_BYTES_KEPT`].
    pub body: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<Witness<TcpStream>>>),
}

/// An open connection.
pub struct Kept {
    stream: Stream,
    buffer: Vec<u8>,
    /// The head of the last answer, as it came.
    head: usize,
}

impl Way {
    /// Looks the name up. `connect_to`: `host` or `host:port` to connect to instead.
    pub async fn to(
        url: Url,
        connect_to: Option<&str>,
        ca_file: Option<PathBuf>,
        roots: Arc<Roots>,
    ) -> Result<Self, Fault> {
        let place = match connect_to {
            Some(instead) => Place::parse(instead, Some(url.place.port))?,
            None => url.place.clone(),
        };
        let addresses = dial::resolve(&place).await?.into();
        // What is read from disk is not read while the first request waits.
        roots.read().await;
        Ok(Self {
            url,
            addresses,
            ca_file,
            roots,
        })
    }

    /// Connects, shakes hands, judges.
    pub async fn open(&self, now: Timestamp) -> Result<Kept, Broke> {
        let (stream, _) = dial::connect(&self.url.place, &self.addresses).await?;
        let stream = match self.url.scheme {
            Scheme::Http => Stream::Plain(stream),
            Scheme::Https => Stream::Tls(Box::new(self.shake(stream, now).await?)),
        };
        Ok(Kept {
            stream,
            buffer: Vec::new(),
            head: 0,
        })
    }

    async fn shake(
        &self,
        stream: TcpStream,
        now: Timestamp,
    ) -> Result<TlsStream<Witness<TcpStream>>, Broke> {
        let place = self.url.place.to_string();
        let name = tls::server_name(&self.url.place.host).map_err(Broke::Shake)?;
        let shaken = tls::handshake(stream, &name, Inside::Http1, &place)
            .await
            .map_err(Broke::Shake)?;
        let Some(stream) = shaken.stream else {
            let unsaid = || Fault::new(FaultKind::Garbled, "the TLS handshake broke off");
            let fault = shaken.seen.broke_off.clone().unwrap_or_else(unsaid);
            return Err(Broke::Shake(fault));
        };
        let ca_file = self.ca_file.as_deref();
        let verdict = self.roots.judge(&shaken.seen, &name, ca_file, now).await;
        match (verdict, shaken.seen.unproven) {
            (Verdict::System | Verdict::Given, None) => Ok(stream),
            (Verdict::No(Distrust::NotJudged, why), _) => {
                let text = format!("cannot judge the certificate of {place}: {why}");
                let fault = Fault::new(FaultKind::Misconfigured, text)
                    .remedy("install the system's CA certificates, or set ca_file");
                Err(Broke::Shake(fault))
            }
            (Verdict::System | Verdict::Given, Some(why)) | (Verdict::No(_, why), _) => {
                Err(Broke::Distrust(why))
            }
        }
    }
}

fn broke(error: &io::Error) -> Broke {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Broke::Closed,
        _ => Broke::Io(Clean::line(&error.to_string())),
    }
}

/// A body, or what of it is left.
struct Body {
    bytes: u64,
    /// Where what has been read of it, and not been passed over, begins in the buffer.
    at: usize,
}

impl Kept {
    /// Sends a request and reads its answer to the end. `is_head`: the answer has no body whatever it announces.
    ///
    /// Cancelled halfway, or failed, the connection is of no use any more.
    pub async fn ask(
        &mut self,
        request: &[u8],
        is_head: bool,
        mut whole: Option<&mut Whole>,
    ) -> Result<Answer, Broke> {
        self.buffer.clear();
        self.send(request).await?;
        let head = self.head(is_head).await?;
        if let Some(whole) = whole.as_deref_mut() {
            whole.headers = parse::headers(&self.buffer[..self.head]);
        }
        let mut kept = whole.map(|whole| &mut whole.body);
        let mut body = Body {
            bytes: 0,
            at: self.head,
        };
        let ended = match head.length {
            Length::None => Ok(true),
            Length::Bytes(length) => self.pass(length, &mut body, &mut kept).await.map(|()| true),
            Length::Chunked => self.chunks(&mut body, &mut kept).await.map(|()| true),
            Length::UntilEnd => self.rest(&mut body, &mut kept).await.map(|()| false),
        };
        let ended = ended.map_err(|error| match error {
            Broke::Closed => Broke::Truncated,
            other => other,
        })?;
        Ok(Answer {
            status: head.status,
            body_bytes: body.bytes,
            // What is said beyond the answer belongs to no request of ours.
            keep: ended && head.keep && body.at >= self.buffer.len(),
        })
    }

    /// The head of the last answer, for who looks for one header in it. Empty where a large body came after it.
    pub fn last_head(&self) -> &[u8] {
        self.buffer.get(..self.head).unwrap_or_default()
    }

    /// The value of a header of the last answer, if its head is still there.
    pub fn header(&self, name: &str) -> Option<&str> {
        parse::header(self.last_head(), name)
    }

    async fn send(&mut self, request: &[u8]) -> Result<(), Broke> {
        let sent = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(request).await,
            Stream::Tls(stream) => match stream.write_all(request).await {
                Ok(()) => stream.flush().await,
                Err(error) => Err(error),
            },
        };
        sent.map_err(|error| broke(&error))
    }

    /// Reads some more; the end of the connection is `Closed`.
    async fn fill(&mut self) -> Result<(), Broke> {
        if self.buffer.capacity() - self.buffer.len() < BUFFER_BYTES / 4 {
            self.buffer.reserve(BUFFER_BYTES);
        }
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.buffer).await,
            Stream::Tls(stream) => stream.read_buf(&mut self.buffer).await,
        };
        match read {
            Ok(0) => Err(Broke::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(broke(&error)),
        }
    }

    async fn head(&mut self, is_head: bool) -> Result<Head, Broke> {
        let mut interim = 0;
        loop {
            match parse::head(&self.buffer, is_head) {
                Ok(Some(head)) if head.status < 200 => {
                    interim += 1;
                    if interim > INTERIM_MAX || head.status == 101 {
                        return Err(Broke::Garbled);
                    }
                    self.buffer.drain(..head.end);
                }
                Ok(Some(head)) => {
                    self.head = head.end;
                    return Ok(head);
                }
                Ok(None) if self.buffer.len() > HEAD_BYTES_MAX => return Err(Broke::Garbled),
                Ok(None) => match self.fill().await {
                    Err(Broke::Closed) if !self.buffer.is_empty() => return Err(Broke::Truncated),
                    filled => filled?,
                },
                Err(()) => return Err(Broke::Garbled),
            }
        }
    }

    /// Passes over so many bytes, and keeps the first of them where they are wanted.
    async fn pass(
        &mut self,
        length: u64,
        body: &mut Body,
        kept: &mut Option<&mut Vec<u8>>,
    ) -> Result<(), Broke> {
        let mut left = length;
        if length > BUFFER_BYTES as u64 {
            self.buffer.reserve(BUFFER_LARGE_BYTES);
        }
        loop {
            let there = self.buffer.len() - body.at;
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(there);
            keep(kept, &self.buffer[body.at..body.at + take]);
            body.at += take;
            body.bytes += take as u64;
            left -= take as u64;
            if left == 0 {
                return Ok(());
            }
            self.more(body).await?;
        }
    }

    /// Reads on; what has been passed over makes room, except for the head, as long as all fits beside it.
    async fn more(&mut self, body: &mut Body) -> Result<(), Broke> {
        if body.at == self.buffer.len() && self.buffer.len() > self.head + BUFFER_BYTES {
            self.buffer.truncate(self.head);
            body.at = self.head;
        }
        self.fill().await
    }

    async fn chunks(
        &mut self,
        body: &mut Body,
        kept: &mut Option<&mut Vec<u8>>,
    ) -> Result<(), Broke> {
        loop {
            let line = self.line(body).await?;
            let size = parse::chunk_size(&line).ok_or(Broke::Garbled)?;
            if size == 0 {
                break;
            }
            self.pass(size, body, kept).await?;
            if !self.line(body).await?.is_empty() {
                return Err(Broke::Garbled);
            }
        }
        // What comes after the last chunk, up to the empty line.
        while !self.line(body).await?.is_empty() {}
        Ok(())
    }

    async fn line(&mut self, body: &mut Body) -> Result<Vec<u8>, Broke> {
        loop {
            let rest = &self.buffer[body.at..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest[..end].trim_ascii_end().to_vec();
                body.at += end + 1;
                return Ok(line);
            }
            if rest.len() > HEAD_BYTES_MAX {
                return Err(Broke::Garbled);
            }
            self.fill().await?;
        }
    }

    async fn rest(
        &mut self,
        body: &mut Body,
        kept: &mut Option<&mut Vec<u8>>,
    ) -> Result<(), Broke> {
        loop {
            let there = self.buffer.len() - body.at;
            keep(kept, &self.buffer[body.at..]);
            body.at += there;
            body.bytes += there as u64;
            match self.more(body).await {
                Ok(()) => {}
                Err(Broke::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn keep(kept: &mut Option<&mut Vec<u8>>, piece: &[u8]) {
    if let Some(kept) = kept {
        let room = BODY_BYTES_KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

#[cfg(test)]
mod tests;
