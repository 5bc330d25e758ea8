//! `answers`: wait until the application answers through the gateway, several times in a row.
//!
//! An application whose sessions were ended connects again by itself, each in its own time: one good answer says little.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};
use crate::probe::check::{Check, Verdict};

const EVERY: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// The check that has to pass.
    pub check: Check,
    #[serde(default = "in_a_row")]
    pub in_a_row: u32,
    /// If it has not passed so often within this time, the step has failed.
    #[serde(default = "within", with = "super::span")]
    pub within: Duration,
}

fn in_a_row() -> u32 {
    5
}

fn within() -> Duration {
    Duration::from_secs(45)
}

impl Act for Answers {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Wait until {} times in a row: {}",
            self.in_a_row,
            self.check.describe()
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    /// It changes nothing.
    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, _: &Hands) -> Result<Value, Clean> {
        match self.check.problems().into_iter().next() {
            Some(problem) => Err(problem),
            None if self.in_a_row == 0 => Err(Clean::from("in_a_row is 0: nothing would be asked")),
            None => Ok(Value::Null),
        }
    }

    async fn perform(&self, hands: &Hands, _: &Value) -> Result<Done, Clean> {
        let began = Instant::now();
        let mut good = 0;
        loop {
            let outcome = self.check.run(&hands.eyes, (hands.now)()).await;
            good = match outcome.verdict {
                Verdict::Pass => good + 1,
                Verdict::Fail | Verdict::CouldNotRun => 0,
            };
            let (said, is_late) = (outcome.said.clone(), began.elapsed() > self.within);
            if good >= self.in_a_row {
                (hands.prove)(outcome);
                return Ok(Done {
                    said: Clean::line(&format!(
                        "{said}, {good} times in a row after {:.1} s",
                        began.elapsed().as_secs_f64()
                    )),
                });
            }
            if is_late {
                (hands.prove)(outcome);
                return Err(Clean::line(&format!(
                    "{}: not {} times in a row within {}: {said}",
                    self.check.describe(),
                    self.in_a_row,
                    humantime::format_duration(self.within)
                )));
            }
            sleep(EVERY).await;
        }
    }

    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::DidNotHappen
    }
}
