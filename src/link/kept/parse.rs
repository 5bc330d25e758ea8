//! Heads of answers: as much of HTTP/1.1 as says where an answer ends and whether another may follow.

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    None,
    Bytes(u64),
    Chunked,
    UntilEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) length: Length,
    pub(super) keep: bool,
    /// Bytes of it, with the empty line.
    pub(super) end: usize,
}

/// Reads a head; `None` while it is not all there, an error where it is none.
pub(super) fn head(bytes: &[u8], is_head: bool) -> Result<Option<Head>, ()> {
    const BEGIN: &[u8] = b"HTTP/1.";
    let shown = bytes.len().min(BEGIN.len());
    if bytes[..shown] != BEGIN[..shown] {
        return Err(());
    }
    let mut lines = Lines { bytes, at: 0 };
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    let status = status(first).ok_or(())?;
    // HTTP/1.0 keeps nothing unless it says so.
    let mut keep = first.get(7) == Some(&b'1');
    let (mut announced, mut chunked) = (None, false);
    loop {
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = field(line) else {
            return Err(());
        };
        // Most headers are none of the three.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = number(value, 10).ok_or(())?;
                if announced.is_some_and(|known| known != length) {
                    return Err(());
                }
                announced = Some(length);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                chunked = holds(value, b"chunked");
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                keep = (keep && !holds(value, b"close")) || holds(value, b"keep-alive");
            }
            _ => {}
        }
    }
    let length = match (status, announced) {
        (100..=199 | 204 | 304, _) => Length::None,
        _ if is_head => Length::None,
        _ if chunked => Length::Chunked,
        (_, Some(length)) => Length::Bytes(length),
        (_, None) => Length::UntilEnd,
    };
    Ok(Some(Head {
        status,
        length,
        keep,
        end: lines.at,
    }))
}

/// Lines without their ends, as long as they are whole.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += end + 1;
        let line = &rest[..end];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

fn status(line: &[u8]) -> Option<u16> {
    let digits = line.get(9..12)?;
    let after = line.get(12).is_none_or(|byte| *byte == b' ');
    let status = u16::try_from(number(digits, 10)?).ok()?;
    (line.get(8) == Some(&b' ') && after && status >= 100).then_some(status)
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

fn number(digits: &[u8], base: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, byte| {
        let digit = char::from(*byte).to_digit(base)?;
        sum.checked_mul(u64::from(base))?.checked_add(digit.into())
    })
}

fn holds(value: &[u8], word: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
}

/// The size before a chunk; what stands behind a semicolon is for others.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    number(digits.trim_ascii(), 16)
}

/// The first value of a header in a head.
pub(super) fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let found = Lines { bytes: head, at: 0 }
        .skip(1)
        .filter_map(field)
        .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))?;
    std::str::from_utf8(found.1).ok()
}

pub(super) fn headers(head: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Lines { bytes: head, at: 0 }
        .skip(1)
        .filter_map(field)
        .map(|(name, value)| (text(name).to_ascii_lowercase(), text(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, length: Length, keep: bool) {
        let head = head(text.as_bytes(), false).unwrap().unwrap();
        assert_eq!(
            (head.length, head.keep, head.end),
            (length, keep, text.len()),
            "{text}"
        );
        for cut in 0..text.len() {
            assert_eq!(super::head(&text.as_bytes()[..cut], false), Ok(None));
        }
    }

    #[test]
    fn a_head_says_where_the_answer_ends() {
        let ok = "HTTP/1.1 200 OK\r\n";
        check(
            &format!("{ok}Content-Length: 5\r\n\r\n"),
            Length::Bytes(5),
            true,
        );
        check(
            &format!("{ok}content-length: 5\nConnection: Close\n\n"),
            Length::Bytes(5),
            false,
        );
        check(
            &format!("{ok}Transfer-Encoding: gzip, chunked\r\n\r\n"),
            Length::Chunked,
            true,
        );
        check(&format!("{ok}\r\n"), Length::UntilEnd, true);
        check(
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            Length::Bytes(0),
            false,
        );
        check(
            "HTTP/1.1 304\r\nContent-Length: 5\r\n\r\n",
            Length::None,
            true,
        );
    }

    #[test]
    fn what_is_no_head_is_refused_at_once() {
        for text in [
            "SSH-2.0-OpenSSH",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert_eq!(head(text.as_bytes(), false), Err(()), "{text}");
        }
        assert_eq!(chunk_size(b"1F; name=value"), Some(31));
        assert_eq!(chunk_size(b"ffffffffffffffffff"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..40, with: u8) {
            let _ = head(&bytes, false);
            let mut near = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec();
            let length = near.len();
            near[at % length] = with;
            let _ = head(&near, true);
            let _ = headers(&near);
            let _ = header(&near, "content-length");
            let _ = chunk_size(&bytes);
        }
    }
}
