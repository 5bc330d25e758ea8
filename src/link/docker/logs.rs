//! Log lines out of the engine's bytes.
//!
//! The engine sends frames (`stream 0 0 0 length`) whose borders are not line borders: a line over 16 KiB comes in several
//! frames, each with a time stamp of its own, and of a container with a terminal there are no frames at all. This is our
//! own reader and not bollard's, which keeps a frame or an endless line whole in memory, whatever its size.
//!
//! Pure: bytes in, lines out.

use chrono::DateTime;

use crate::domain::{Stream, Timestamp};

/// Of one line. A person reads none of more, and a search through the lines should still find most.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// The longest: `2026-11-20T12:00:00.123456789+01:00 `. The engine itself writes `Z`.
const STAMP_LEN: usize = 36;
const HEADER_LEN: usize = 8;

/// Nanoseconds since the Unix epoch, as the engine stamps lines: fine enough to go on exactly where one stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogTime(pub u64);

impl LogTime {
    /// As the engine's `since` takes it.
    pub(super) fn since(self) -> String {
        format!("{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

impl From<LogTime> for Timestamp {
    fn from(time: LogTime) -> Self {
        Self(time.0 / 1_000_000)
    }
}

/// One line as it was written, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLine {
    pub stream: Stream,
    pub at: Option<LogTime>,
    /// At most [`LINE_BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// Bytes that were left out.
    pub cut: usize,
}

/// Puts lines together out of whatever arrives.
#[derive(Debug)]
pub struct Lines {
    place: Place,
    out: Partial,
    err: Partial,
}

#[derive(Debug)]
enum Place {
    /// Of a container with a terminal: no frames, one stream.
    Unframed,
    Header([u8; HEADER_LEN], usize),
    Payload(Stream, usize),
}

/// The beginning of a line whose end has not come yet.
#[derive(Debug, Default)]
struct Partial {
    at: Option<LogTime>,
    bytes: Vec<u8>,
    cut: usize,
    /// Where a time stamp may stand: after the last line's end, and where a frame begins.
    stamp_at: Option<usize>,
    begun: bool,
}

impl Lines {
    pub fn new(terminal: bool) -> Self {
        let place = if terminal {
            Place::Unframed
        } else {
            Place::Header([0; HEADER_LEN], 0)
        };
        let fresh = || Partial {
            stamp_at: Some(0),
            ..Partial::default()
        };
        Self {
            place,
            out: fresh(),
            err: fresh(),
        }
    }

    /// Takes in bytes and appends the lines that are whole by now.
    pub fn take(&mut self, mut bytes: &[u8], lines: &mut Vec<RawLine>) {
        while !bytes.is_empty() {
            match &mut self.place {
                Place::Unframed => {
                    self.out.take(Stream::Out, bytes, lines);
                    return;
                }
                Place::Header(header, have) => {
                    let n = bytes.len().min(HEADER_LEN - *have);
                    header[*have..*have + n].copy_from_slice(&bytes[..n]);
                    *have += n;
                    bytes = &bytes[n..];
                    if *have == HEADER_LEN {
                        self.begin_frame();
                    }
                }
                Place::Payload(stream, left) => {
                    let n = bytes.len().min(*left);
                    *left -= n;
                    let (stream, ended) = (*stream, *left == 0);
                    let (now, after) = bytes.split_at(n);
                    self.partial(stream).take(stream, now, lines);
                    bytes = after;
                    if ended {
                        self.partial(stream).unstamp();
                        self.place = Place::Header([0; HEADER_LEN], 0);
                    }
                }
            }
        }
    }

    /// The rest without a line end, when the stream has ended.
    pub fn finish(&mut self, lines: &mut Vec<RawLine>) {
        for (stream, partial) in [(Stream::Out, &mut self.out), (Stream::Err, &mut self.err)] {
            if partial.begun {
                lines.push(partial.end(stream));
            }
        }
    }

    fn begin_frame(&mut self) {
        let Place::Header(header, _) = self.place else {
            return;
        };
        let [kind, _, _, _, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        let stream = match kind {
            2 => Stream::Err,
            _ => Stream::Out,
        };
        if length == 0 {
            self.place = Place::Header([0; HEADER_LEN], 0);
            return;
        }
        let partial = self.partial(stream);
        partial.stamp_at = Some(partial.bytes.len());
        self.place = Place::Payload(stream, length);
    }

    fn partial(&mut self, stream: Stream) -> &mut Partial {
        match stream {
            Stream::Err => &mut self.err,
            Stream::Out | Stream::Note => &mut self.out,
        }
    }
}

impl Partial {
    fn take(&mut self, stream: Stream, mut bytes: &[u8], lines: &mut Vec<RawLine>) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.append(&bytes[..end]);
            self.begun = true;
            lines.push(self.end(stream));
            bytes = &bytes[end + 1..];
        }
        self.append(bytes);
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = (LINE_BYTES_MAX + STAMP_LEN).saturating_sub(self.bytes.len());
        let kept = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.cut += bytes.len() - kept;
        self.begun |= !bytes.is_empty();
        if self
            .stamp_at
            .is_some_and(|at| self.bytes.len() >= at + STAMP_LEN)
        {
            self.unstamp();
        }
    }

    /// Takes the time stamp out of the place where one may stand.
    fn unstamp(&mut self) {
        let Some(at) = self.stamp_at.take() else {
            return;
        };
        if let Some((time, length)) = stamp(&self.bytes[at..]) {
            self.bytes.drain(at..at + length);
            self.at = self.at.or(Some(time));
        }
    }

    fn end(&mut self, stream: Stream) -> RawLine {
        self.unstamp();
        let mut bytes = std::mem::take(&mut self.bytes);
        let over = bytes.len().saturating_sub(LINE_BYTES_MAX);
        bytes.truncate(LINE_BYTES_MAX);
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let line = RawLine {
            stream,
            at: self.at.take(),
            bytes,
            cut: self.cut + over,
        };
        *self = Self {
            stamp_at: Some(0),
            ..Self::default()
        };
        line
    }
}

/// A time stamp and the blank after it, at the front of `bytes`.
fn stamp(bytes: &[u8]) -> Option<(LogTime, usize)> {
    let head = &bytes[..bytes.len().min(STAMP_LEN)];
    let looks = head.len() > 20 && head[4] == b'-' && head[10] == b'T';
    if !looks {
        return None;
    }
    // An empty line is its stamp alone, and some look-alikes leave the blank out then.
    let end = head.iter().position(|b| *b == b' ').unwrap_or(head.len());
    let text = std::str::from_utf8(&head[..end]).ok()?;
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    let nanos = u64::try_from(at.timestamp_nanos_opt()?).ok()?;
    Some((LogTime(nanos), (end + 1).min(bytes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: &str = "2026-11-20T12:00:00.000000007Z ";

    fn frame(kind: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0][..], &length, text.as_bytes()].concat()
    }

    fn read(terminal: bool, pieces: &[&[u8]]) -> Vec<RawLine> {
        let (mut lines, mut all) = (Lines::new(terminal), Vec::new());
        for piece in pieces {
            lines.take(piece, &mut all);
        }
        lines.finish(&mut all);
        all
    }

    fn texts(lines: &[RawLine]) -> Vec<String> {
        lines
            .iter()
            .map(|l| String::from_utf8_lossy(&l.bytes).into_owned())
            .collect()
    }

    #[test]
    fn frames_become_lines_with_stream_and_time() {
        let bytes = [
            frame(1, &format!("{STAMP}one\n")),
            frame(2, &format!("{STAMP}two\r\n")),
            frame(1, STAMP),
            frame(1, "\n"),
        ]
        .concat();
        let lines = read(false, &[&bytes]);
        assert_eq!(texts(&lines), ["one", "two", ""]);
        assert_eq!(lines[1].stream, Stream::Err);
        assert!(lines[0].at.is_some() && lines[0].at.unwrap().0 % 1000 == 7);
    }

    #[test]
    fn a_line_in_many_frames_is_one_line_with_one_stamp() {
        let bytes = [
            frame(1, &format!("{STAMP}be")),
            frame(2, &format!("{STAMP}x\n")),
            frame(1, &format!("{STAMP}gin\n")),
        ]
        .concat();
        assert_eq!(texts(&read(false, &[&bytes])), ["x", "begin"]);
    }

    #[test]
    fn a_terminals_lines_have_no_frames_and_may_begin_with_any_byte() {
        let text = format!("{STAMP}\u{1}odd\r\n{STAMP}last");
        let lines = read(true, &[text.as_bytes()]);
        assert_eq!(texts(&lines), ["\u{1}odd", "last"]);
        assert!(lines.iter().all(|l| l.at.is_some()));
    }

    #[test]
    fn an_endless_line_is_cut_and_counted() {
        let text = format!("{STAMP}{}\nnext\n", "x".repeat(1_000_000));
        let bytes = frame(1, &text);
        let lines = read(false, &bytes.chunks(1000).collect::<Vec<_>>());
        assert_eq!(
            (lines[0].bytes.len(), lines[0].cut),
            (LINE_BYTES_MAX, 1_000_000 - LINE_BYTES_MAX)
        );
        assert_eq!(lines[1].bytes, b"next");
    }

    #[test]
    fn a_frame_of_four_gigabytes_takes_no_memory_before_it_comes() {
        let mut lines = Lines::new(false);
        let mut all = Vec::new();
        lines.take(&[1, 0, 0, 0, 255, 255, 255, 255], &mut all);
        lines.take(&vec![b'x'; 1 << 20], &mut all);
        assert!(all.is_empty() && lines.out.bytes.capacity() <= 2 * (LINE_BYTES_MAX + STAMP_LEN));
    }

    #[test]
    fn since_is_written_to_the_nanosecond() {
        assert_eq!(
            LogTime(1_700_000_000_000_000_009).since(),
            "1700000000.000000009"
        );
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_parted_makes_no_difference(
            raw in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..400, terminal in any::<bool>()
        ) {
            let at = at.min(raw.len());
            prop_assert_eq!(read(terminal, &[&raw]), read(terminal, &[&raw[..at], &raw[at..]]));
        }

        #[test]
        fn framed_lines_come_out_as_they_went_in(
            texts_in in proptest::collection::vec("[a-z ]{0,40}", 0..20), at in 0usize..2000
        ) {
            let bytes: Vec<u8> = texts_in.iter().flat_map(|t| frame(1, &format!("{STAMP}{t}\n"))).collect();
            let at = at.min(bytes.len());
            prop_assert_eq!(texts(&read(false, &[&bytes[..at], &bytes[at..]])), texts_in);
        }
    }
}
