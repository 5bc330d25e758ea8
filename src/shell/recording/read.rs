//! Reads a recording. It comes from anywhere: every size is bounded, every line is looked at before it is believed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use zstd::stream::read::Decoder;

use super::{
    BYTES_MAX, End, FAMILY, Header, LINE_BYTES_MAX, LINES_MAX, Record, SCHEMA, What, meant,
    renumber,
};
use crate::app::Event;
use crate::domain::{Clean, LogLine, Sighting, SourceId, Timestamp};

/// What a file of zstd begins with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The window that a frame may ask for, as a power of two: ours have 256 KiB and a reading of 16 MiB at most.
const WINDOW_LOG_MAX: u32 = 25;

/// Nothing is looked at more seldom than once in so long a time; multiples of it must not overflow.
const PERIOD_MAX: Duration = Duration::from_hours(24 * 31);

#[derive(Debug, Error)]
pub(in crate::shell) enum TapeError {
    #[error("cannot read {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no recording: {why}; `quarterdeck record FILE` writes one", path.display())]
    Foreign { path: PathBuf, why: &'static str },
    #[error(
        "{}:1: written as {schema} by version {version}, and this program reads {SCHEMA}: replay it with version {version} or a newer one",
        path.display()
    )]
    Newer {
        path: PathBuf,
        schema: Clean,
        version: Clean,
    },
    #[error(
        "{}:{line}: {why}; the file was changed or broken on its way: copy it once more from where it was recorded",
        path.display()
    )]
    Damaged {
        path: PathBuf,
        line: u64,
        why: Clean,
    },
    #[error(
        "{}:{line}: more than a recording holds ({LINES_MAX} lines, {BYTES_MAX} bytes); it was not written by `quarterdeck record`",
        path.display()
    )]
    TooLarge { path: PathBuf, line: u64 },
}

/// How a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::shell) enum Ending {
    Said(End),
    /// In the middle: the recorder was killed, or the file is not all there.
    Cut,
}

impl Ending {
    /// What is worth a word on screen.
    pub(in crate::shell) fn remark(self) -> Option<Clean> {
        match self {
            Self::Said(End::Asked | End::Time) => None,
            Self::Said(End::Full) => Some(Clean::from("it was full and ended there")),
            Self::Cut => Some(Clean::from("it is cut: what came later is not there")),
        }
    }
}

/// One thing that was seen.
#[derive(Debug)]
enum Seen {
    Sighted(Box<Sighting>),
    /// The same as at this place, later.
    Again {
        of: usize,
        seen_at: Timestamp,
        took: Duration,
    },
    Logged(Vec<LogLine>),
    Lost(u64),
    Told(Box<Event>),
}

/// A recording in memory.
#[derive(Debug)]
pub(in crate::shell) struct Tape {
    pub(in crate::shell) header: Header,
    pub(in crate::shell) ending: Ending,
    /// The last moment that is known.
    pub(in crate::shell) ended: Timestamp,
    seen: Vec<(Timestamp, Seen)>,
}

impl Tape {
    pub(in crate::shell) fn open(path: &Path) -> Result<Self, TapeError> {
        let open = |source| TapeError::Open {
            path: path.to_owned(),
            source,
        };
        let foreign = |why| TapeError::Foreign {
            path: path.to_owned(),
            why,
        };
        let file = File::open(path).map_err(open)?;
        // A pipe would keep us waiting, a device has no end.
        if !file.metadata().map_err(open)?.is_file() {
            return Err(foreign("it is not a file"));
        }
        let mut file = BufReader::new(file);
        match file.fill_buf().map_err(open)? {
            [] => return Err(foreign("it is empty")),
            start if !start.starts_with(&MAGIC) => {
                return Err(foreign("it does not begin as compressed data"));
            }
            _ => {}
        }
        let mut decoder = Decoder::with_buffer(file).map_err(open)?;
        decoder.window_log_max(WINDOW_LOG_MAX).map_err(open)?;
        Reading::new(path, BufReader::new(decoder)).read()
    }

    /// How many things were seen.
    pub(in crate::shell) fn len(&self) -> usize {
        self.seen.len()
    }

    /// When the thing at this place came in.
    pub(in crate::shell) fn at(&self, place: usize) -> Option<Timestamp> {
        self.seen.get(place).map(|(at, _)| *at)
    }

    /// The thing at this place as it came in.
    pub(in crate::shell) fn event(&self, place: usize) -> Option<Event> {
        Some(match &self.seen.get(place)?.1 {
            Seen::Sighted(sighting) => Event::Sighted(sighting.clone()),
            Seen::Again { .. } => Event::Sighted(Box::new(self.sighting(place)?)),
            Seen::Logged(lines) => Event::Logged(lines.clone()),
            Seen::Lost(lines) => Event::LogLost(*lines),
            Seen::Told(event) => Event::clone(event),
        })
    }

    /// What a source saw, where this place is about that.
    pub(in crate::shell) fn sighting(&self, place: usize) -> Option<Sighting> {
        match &self.seen.get(place)?.1 {
            Seen::Sighted(sighting) => Some(Sighting::clone(sighting)),
            Seen::Again { of, seen_at, took } => {
                let Seen::Sighted(first) = &self.seen.get(*of)?.1 else {
                    return None;
                };
                Some(Sighting {
                    at: *seen_at,
                    took: *took,
                    ..Sighting::clone(first)
                })
            }
            Seen::Logged(_) | Seen::Lost(_) | Seen::Told(_) => None,
        }
    }

    /// The log lines of all places before this one, oldest first.
    pub(in crate::shell) fn logged_before(&self, place: usize) -> impl Iterator<Item = &LogLine> {
        let before = self.seen.iter().take(place);
        before.flat_map(|(_, seen)| match seen {
            Seen::Logged(lines) => lines.as_slice(),
            _ => &[],
        })
    }
}

/// Line by line through a file.
struct Reading<'a, R> {
    path: &'a Path,
    from: R,
    line: u64,
    bytes: u64,
    /// Where each source was last seen in full.
    last: BTreeMap<SourceId, usize>,
    seen: Vec<(Timestamp, Seen)>,
}

impl<'a, R: BufRead> Reading<'a, R> {
    fn new(path: &'a Path, from: R) -> Self {
        Self {
            path,
            from,
            line: 0,
            bytes: 0,
            last: BTreeMap::new(),
            seen: Vec::new(),
        }
    }

    fn read(mut self) -> Result<Tape, TapeError> {
        let Some(first) = self.next()? else {
            return Err(self.damaged("it is cut before its first line ends"));
        };
        let header = self.header(&first)?;
        let mut ended = header.started_at;
        let mut ending = Ending::Cut;
        while let Some(line) = self.next()? {
            let record: Record = serde_json::from_slice(&line)
                .map_err(|error| self.damaged(&format!("not a line of a recording: {error}")))?;
            if ending != Ending::Cut {
                return Err(self.damaged("it goes on after its end"));
            }
            if record.at < ended {
                return Err(self.damaged("it goes back in time"));
            }
            ended = record.at;
            match record.what {
                What::Ended(why) => ending = Ending::Said(why),
                what => {
                    let seen = self.believed(what, record.at)?;
                    self.seen.push((record.at, seen));
                }
            }
        }
        Ok(Tape {
            header,
            ending,
            ended,
            seen: self.seen,
        })
    }

    fn header(&self, line: &[u8]) -> Result<Header, TapeError> {
        /// What every form of the file has said, and will say.
        #[derive(Deserialize)]
        struct Front {
            schema: Clean,
            version: Clean,
        }
        let Ok(front) = serde_json::from_slice::<Front>(line) else {
            return Err(self.foreign("its first line says nothing of a recording"));
        };
        if !front.schema.starts_with(FAMILY) {
            return Err(self.foreign("its first line names something else"));
        }
        if front.schema != SCHEMA {
            return Err(TapeError::Newer {
                path: self.path.to_owned(),
                schema: front.schema,
                version: front.version,
            });
        }
        let header: Header = serde_json::from_slice(line)
            .map_err(|error| self.damaged(&format!("not the front of a recording: {error}")))?;
        if header
            .sources
            .iter()
            .any(|(_, period)| *period > PERIOD_MAX)
        {
            return Err(self.damaged("no watch looks so seldom"));
        }
        Ok(header)
    }

    fn believed(&mut self, what: What, came_in: Timestamp) -> Result<Seen, TapeError> {
        let here = self.seen.len();
        Ok(match what {
            What::Sighted(mut sighting) => {
                if sighting.at > came_in || sighting.period > PERIOD_MAX {
                    return Err(self.damaged("no watch looks at such a time"));
                }
                if let Ok(reading) = &mut sighting.result {
                    renumber(reading, meant);
                }
                self.last.insert(sighting.source.clone(), here);
                Seen::Sighted(sighting)
            }
            What::Again {
                source,
                seen_at,
                took,
            } => match self.last.get(&source) {
                Some(of) if seen_at <= came_in => Seen::Again {
                    of: *of,
                    seen_at,
                    took,
                },
                Some(_) => return Err(self.damaged("no watch looks at such a time")),
                None => {
                    let why = format!("{source} is said to be as before, and was never seen");
                    return Err(self.damaged(&why));
                }
            },
            What::Logged(lines) => Seen::Logged(lines),
            What::Lost(lines) => Seen::Lost(lines),
            What::Told {
                at,
                health,
                about,
                text,
            } => Seen::Told(Box::new(Event::Told {
                at,
                health,
                about,
                text,
            })),
            What::Ended(_) => return Err(self.damaged("it ends twice")),
        })
    }

    /// The next whole line; `None` at the end, wherever that is.
    fn next(&mut self) -> Result<Option<Vec<u8>>, TapeError> {
        let mut line = Vec::new();
        let read = self
            .from
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        self.line += 1;
        self.bytes += line.len() as u64;
        let is_whole = line.pop_if(|last| *last == b'\n').is_some();
        match read {
            // The frame is not all there: so much was written when the recorder was killed.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(self.damaged(&format!("cannot be unpacked: {error}"))),
            Ok(_) => {}
        }
        let is_long = line.len() as u64 + 1 >= LINE_BYTES_MAX;
        if is_long || self.line > LINES_MAX || self.bytes > BYTES_MAX {
            return Err(TapeError::TooLarge {
                path: self.path.to_owned(),
                line: self.line,
            });
        }
        Ok(is_whole.then_some(line))
    }

    fn damaged(&self, why: &str) -> TapeError {
        TapeError::Damaged {
            path: self.path.to_owned(),
            line: self.line.max(1),
            why: Clean::line(why),
        }
    }

    fn foreign(&self, why: &'static str) -> TapeError {
        TapeError::Foreign {
            path: self.path.to_owned(),
            why,
        }
    }
}
