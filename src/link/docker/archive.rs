//! One file inside a container, without a program in it: the engine hands it over as an archive.
//!
//! Of the archive only the first entry is read, and of that only its beginning: a path that turns out to be a directory
//! of a terabyte costs one header. Links on the way are the engine's to follow; the last one is told, not followed.

use futures_util::StreamExt;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::{Engine, EngineError, HEADER_DEADLINE, escape};
use crate::domain::{Clean, ContainerId, Timestamp};
use crate::link::files::Kind;

const BLOCK: usize = 512;

/// Names over a hundred bytes come as a record of their own before the entry; it is small.
const EXTRA_BYTES_MAX: usize = 64 * 1024;

/// A file inside a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    pub kind: Kind,
    /// Of a link, where it leads.
    pub leads_to: Clean,
    pub bytes: u64,
    pub mode: u32,
    pub uid: u64,
    pub modified: Timestamp,
    /// The beginning, as much as was asked for.
    pub content: Vec<u8>,
}

impl Engine {
    /// Looks at a path in a container and reads at most so many bytes of it; `None` where there is no such file.
    pub async fn file(
        &self,
        id: &ContainerId,
        path: &str,
        bytes_max: usize,
    ) -> Result<Option<Inside>, EngineError> {
        const WHAT: &str = "a file in a container";
        let url = format!(
            "/containers/{}/archive?path={}",
            escape(&id.0),
            escape(path)
        );
        let body = match self.open(&url).await {
            Ok(body) => body,
            Err(EngineError::Missing { message, .. })
                if message.contains("Could not find the file") =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let wanted = BLOCK * 4 + EXTRA_BYTES_MAX + bytes_max;
        let mut bytes = Vec::new();
        let reading = async {
            let mut pieces = body.into_data_stream();
            while bytes.len() < wanted {
                match pieces.next().await {
                    Some(Ok(piece)) => bytes.extend_from_slice(&piece),
                    Some(Err(error)) => return Err(error.to_string()),
                    None => return Ok(()),
                }
            }
            Ok(())
        };
        match timeout(HEADER_DEADLINE, reading).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(self.garbled(WHAT, &why)),
            Err(_) => return Err(self.shared.wire.silent(WHAT, HEADER_DEADLINE)),
        }
        match first(&bytes, bytes_max) {
            Some(inside) => Ok(Some(inside)),
            None => Err(self.garbled(WHAT, "it is no archive")),
        }
    }
}

/// The first entry of an archive that is a file and not a remark about the next.
fn first(archive: &[u8], bytes_max: usize) -> Option<Inside> {
    let mut rest = archive;
    loop {
        let header = rest.get(..BLOCK)?;
        let bytes = number(&header[124..136])?;
        let padded = usize::try_from(bytes)
            .ok()?
            .checked_next_multiple_of(BLOCK)?;
        let body = &rest[BLOCK..];
        let kind = match header[156] {
            // Remarks: a long name, a long link, further attributes.
            b'x' | b'g' | b'L' | b'K' => {
                rest = body.get(padded..)?;
                continue;
            }
            b'0' | 0 | b'7' => Kind::File,
            b'1' | b'2' => Kind::Link,
            b'5' => Kind::Directory,
            b'6' => Kind::Pipe,
            _ => Kind::Other,
        };
        if &header[257..262] != b"ustar" {
            return None;
        }
        let length = usize::try_from(bytes).ok()?.min(bytes_max).min(body.len());
        return Some(Inside {
            kind,
            leads_to: Clean::bytes(until_nul(&header[157..257])),
            bytes,
            mode: u32::try_from(number(&header[100..108])?).ok()? & 0o7777,
            uid: number(&header[108..116])?,
            modified: Timestamp(number(&header[136..148])?.saturating_mul(1000)),
            content: body[..length].to_vec(),
        });
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// Octal digits; or, where those do not suffice, the plain bytes with the first bit set.
fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let mut value = 0_u64;
        for byte in &field[field.len().saturating_sub(8)..] {
            value = value << 8 | u64::from(*byte);
        }
        return Some(value);
    }
    let text = std::str::from_utf8(until_nul(field)).ok()?.trim();
    if text.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        let mut put = |at: usize, text: &str| {
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, "db.env");
        put(100, "0000640\0");
        put(108, "0000106\0");
        put(124, &format!("{:011o}\0", content.len()));
        put(136, "15130000000\0");
        put(157, link);
        put(257, "ustar\0");
        header[156] = kind;
        header.extend(content);
        header.resize(header.len().next_multiple_of(BLOCK), 0);
        header
    }

    #[test]
    fn the_first_file_is_read_behind_its_remarks() {
        let mut archive = entry(b'x', "", b"30 mtime=1763719200.123456789\n");
        archive.extend(entry(b'0', "", b"PASSWORD=x\n"));
        let inside = first(&archive, 8).unwrap();
        assert_eq!(
            (inside.kind, inside.mode, inside.uid),
            (Kind::File, 0o640, 70)
        );
        assert_eq!(
            (inside.bytes, inside.content.as_slice()),
            (11, b"PASSWORD".as_slice())
        );
        let link = first(&entry(b'2', "../run/db.env", b""), 8).unwrap();
        assert_eq!(
            (link.kind, link.leads_to.as_str()),
            (Kind::Link, "../run/db.env")
        );
        assert!(first(b"not an archive", 8).is_none());
    }

    proptest! {
        #[test]
        fn no_archive_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..1500), at in 0_usize..512, with: u8) {
            let _ = first(&bytes, 100);
            let mut near = entry(b'0', "", b"content");
            near[at] = with;
            let _ = first(&near, 100);
        }
    }
}
