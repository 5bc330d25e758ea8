//! What a check said when it was made once, with what it was said from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Clean, Timestamp};

/// "Looked and it is bad" and "could not look" are different words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    Fail,
    CouldNotRun,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::CouldNotRun => "could not run",
        }
    }
}

/// What was seen, so that anybody can look again and compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub verdict: Verdict,
    /// One line: `200 in 12 ms, expected < 100 ms`.
    pub said: Clean,
    /// What was sent, what came back (bounded, without secrets), the measurement and its expectation.
    pub evidence: Value,
    pub at: Timestamp,
    pub took_ms: u64,
}
