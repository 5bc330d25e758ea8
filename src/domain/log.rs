//! One line of a container's log.

use serde::{Deserialize, Serialize};

use super::{Clean, ContainerId, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    Out,
    Err,
    /// Not a container's: an event of the stack, a gap, a note of ours.
    Note,
}

/// How loud a line is, as far as its text says. Ordered: `Error` is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }

    /// Reads the level out of a line, in the forms that are common: `ERROR`, `level=warn`, `"level":"error"`, `[warn]`,
    /// `LOG:`, an HTTP status in an access log. What says nothing is `Info`.
    pub fn guess(line: &str) -> Self {
        /// The level stands at the front; looking further would find the word in somebody's message.
        const LOOKED_AT: usize = 160;
        let head = super::text::fit(line, LOOKED_AT);
        let mut found = None;
        for word in head
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|w| (3..=8).contains(&w.len()))
        {
            found = match word.as_bytes() {
                w if eq(w, "error")
                    || eq(w, "err")
                    || eq(w, "fatal")
                    || eq(w, "panic")
                    || eq(w, "crit")
                    || eq(w, "critical")
                    || eq(w, "emerg")
                    || eq(w, "alert") =>
                {
                    Some(Self::Error)
                }
                w if eq(w, "warn") || eq(w, "warning") => Some(Self::Warn),
                w if eq(w, "info") || eq(w, "notice") || eq(w, "log") => Some(Self::Info),
                w if eq(w, "debug") || eq(w, "trace") => Some(Self::Debug),
                _ => continue,
            };
            break;
        }
        found.unwrap_or(Self::Info)
    }
}

fn eq(word: &[u8], other: &str) -> bool {
    word.eq_ignore_ascii_case(other.as_bytes())
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The engine's time stamp of the line.
    pub at: Option<Timestamp>,
    pub container: Option<ContainerId>,
    /// `server-1`; shown in the gutter, so that a line can never imitate another's.
    pub source: Clean,
    pub stream: Stream,
    pub level: Level,
    pub text: Clean,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_where_programs_write_them() {
        let cases = [
            ("2026-11-20 12:00:00 ERROR pool exhausted", Level::Error),
            ("level=warn msg=\"slow\"", Level::Warn),
            ("{\"level\":\"error\",\"msg\":\"x\"}", Level::Error),
            ("2026/11/20 12:00:00 [warn] 7#7: upstream", Level::Warn),
            ("GET /errors 200", Level::Info),
            ("DEBUG no error here", Level::Debug),
        ];
        for (line, level) in cases {
            assert_eq!(Level::guess(line), level, "{line}");
        }
    }
}
