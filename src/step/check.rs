//! `check`: a check that must pass before the run goes on.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};
use crate::probe::check::{Check, Verdict};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckStep {
    pub check: Check,
}

impl Act for CheckStep {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Check {}", self.check.describe()))
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
            None => Ok(Value::Null),
        }
    }

    /// What was seen is kept as evidence, good or bad.
    async fn perform(&self, hands: &Hands, _: &Value) -> Result<Done, Clean> {
        let outcome = self.check.run(&hands.eyes, (hands.now)()).await;
        let (verdict, said) = (outcome.verdict, outcome.said.clone());
        (hands.prove)(outcome);
        let what = self.check.describe();
        match verdict {
            Verdict::Pass => Ok(Done { said }),
            Verdict::Fail => Err(Clean::line(&format!("{what}: {said}"))),
            Verdict::CouldNotRun => Err(Clean::line(&format!("could not look: {what}: {said}"))),
        }
    }

    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::DidNotHappen
    }
}
