//! A stream that is what it was said to be, or breaks off: its length and its SHA-256 are compared at its end.
//!
//! Whoever reads it to the end without an error has read every byte, and no other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, ReadBuf};

use crate::domain::Digest;

/// How `pg_dump`'s own format begins.
const CUSTOM: &[u8] = b"PGDMP";

/// What the bytes have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// For sentences: `app-20261121T062900Z.dump`.
    pub name: String,
    pub digest: Digest,
    /// It has to begin as a custom-format dump does: anything else is never handed on.
    pub custom: bool,
}

/// Wraps a source.
pub struct Checked<R> {
    source: R,
    promise: Promise,
    hash: Sha256,
    bytes: u64,
    head: Vec<u8>,
    ended: bool,
}

impl<R> Checked<R> {
    pub fn new(source: R, promise: Promise) -> Self {
        Self {
            source,
            promise,
            hash: Sha256::new(),
            bytes: 0,
            head: Vec::new(),
            ended: false,
        }
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hash.update(piece);
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.bytes > self.promise.digest.bytes {
            return Err(self.altered(&format!("longer than {} bytes", self.promise.digest.bytes)));
        }
        let room = CUSTOM.len().saturating_sub(self.head.len());
        self.head.extend_from_slice(&piece[..piece.len().min(room)]);
        if self.promise.custom && !CUSTOM.starts_with(&self.head) {
            return Err(io::Error::other(format!(
                "{} is no dump in PostgreSQL's custom format: a plain SQL dump runs whatever stands in it, so none is restored; make it with pg_dump --format=custom",
                self.promise.name
            )));
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        let promised = &self.promise.digest;
        if self.bytes != promised.bytes {
            let says = format!("{} of {} bytes", self.bytes, promised.bytes);
            return Err(self.altered(&says));
        }
        let found = hex(&std::mem::take(&mut self.hash).finalize());
        if found != promised.sha256.as_str() {
            return Err(self.altered(&format!("sha256 {found}")));
        }
        Ok(())
    }

    fn altered(&self, found: &str) -> io::Error {
        io::Error::other(format!(
            "{} is not what its manifest says: {found}, expected {} bytes with sha256 {}; take another backup, or the copy in another store",
            self.promise.name, self.promise.digest.bytes, self.promise.digest.sha256
        ))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Checked<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.source).poll_read(context, into))?;
        let piece = &into.filled()[before..];
        let checked = if piece.is_empty() {
            this.end()
        } else {
            this.take(piece)
        };
        if checked.is_err() {
            // What is wrong is not handed on.
            into.set_filled(before);
        }
        Poll::Ready(checked)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::domain::Clean;

    fn promise(of: &[u8]) -> Promise {
        Promise {
            name: "x.dump".to_owned(),
            digest: Digest {
                bytes: u64::try_from(of.len()).unwrap(),
                sha256: Clean::from(hex(&Sha256::digest(of))),
            },
            custom: true,
        }
    }

    async fn read(found: &[u8], promised: &[u8]) -> Result<usize, String> {
        let mut out = Vec::new();
        let mut stream = Checked::new(found, promise(promised));
        let read = stream.read_to_end(&mut out).await;
        read.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn only_the_whole_and_unaltered_stream_ends_well() {
        let whole = b"PGDMP and the rest of it";
        assert_eq!(read(whole, whole).await, Ok(whole.len()));
        for cut in [0, 1, 12, whole.len() - 1] {
            let said = read(&whole[..cut], whole).await.unwrap_err();
            assert!(
                said.contains(&format!("{cut} of {} bytes", whole.len())),
                "{said}"
            );
        }
        for at in 0..whole.len() {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 1;
            assert!(read(&flipped, whole).await.is_err(), "byte {at}");
        }
        let longer = [whole.as_slice(), b"x"].concat();
        assert!(read(&longer, whole).await.unwrap_err().contains("longer"));
    }

    #[tokio::test]
    async fn plain_sql_is_refused_although_its_hash_is_right() {
        let sql = b"\\! rm -rf /\n";
        assert!(read(sql, sql).await.unwrap_err().contains("plain SQL"));
    }
}
