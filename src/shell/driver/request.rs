//! What people ask of runs, as entries: the plan that was shown, and every word about it. One place for the console and
//! the commands.

use std::hash::{BuildHasher, RandomState};

use serde::Serialize;
use serde_json::json;

use crate::domain::{Clean, Timestamp};
use crate::engine::{Decision, Plan, PlanId, Requested, RunId, StepId};
use crate::journal::{Code, Draft, Head, Journal, Mode, StoreError};
use crate::runbook::Planned;
use crate::shell::identity::Identity;

/// `r-20261121-031502-ab12`: sorts by time, and is typed in parts.
pub fn new_run(now: Timestamp) -> RunId {
    // Each state of the standard library's hasher begins with chance of the system's.
    let chance = RandomState::new().hash_one(now.0) & 0xFFFF;
    let stamp: String = now
        .rfc3339()
        .chars()
        .take(19)
        .filter(|c| c.is_ascii_digit() || *c == 'T')
        .map(|c| if c == 'T' { '-' } else { c })
        .collect();
    RunId(Clean::from(format!("r-{stamp}-{chance:04x}")))
}

/// Who asks, and in which world.
#[derive(Debug, Clone)]
pub struct Requester {
    pub identity: Identity,
    pub mode: Mode,
}

impl Requester {
    /// Records the plan as it was shown. Nothing happens yet.
    pub async fn request(
        &self,
        journal: &Journal,
        planned: &Planned,
    ) -> Result<(RunId, Head), StoreError> {
        let run = new_run(self.identity.moment().at);
        let brief = serde_json::to_value(&planned.brief).unwrap_or_default();
        let requested = Requested {
            run: run.clone(),
            plan: planned.plan.clone(),
            brief,
        };
        let target = planned.plan.target.0.clone();
        let draft = self.draft(Code::RunRequested, target, &requested);
        let head = journal.append(&draft).await?;
        Ok((run, head))
    }

    /// Records a decision about a run. `plan`: the one that was seen.
    pub async fn decide(
        &self,
        journal: &Journal,
        code: Code,
        run: &RunId,
        plan: &PlanId,
        step: Option<StepId>,
        reason: &Clean,
    ) -> Result<Head, StoreError> {
        let decision = Decision {
            run: run.clone(),
            plan: Some(plan.clone()),
            step,
            reason: reason.clone(),
        };
        let draft = self.draft(code, run.0.clone(), &decision);
        journal.append(&draft).await
    }

    /// What was asked for and not done: on record too.
    pub async fn refused(
        &self,
        journal: &Journal,
        plan: &Plan,
        why: &str,
    ) -> Result<Head, StoreError> {
        let body = json!({
            "runbook": plan.runbook,
            "plan": plan.id,
            "reason": Clean::line(why),
        });
        let draft = self.draft(Code::Refused, plan.target.0.clone(), &body);
        journal.append(&draft).await
    }

    fn draft(&self, code: Code, target: Clean, body: &impl Serialize) -> Draft {
        Draft {
            moment: self.identity.moment(),
            actor: self.identity.actor.clone(),
            mode: self.mode,
            code,
            target,
            body: serde_json::to_value(body).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_name_says_when_and_can_be_typed() {
        let run = new_run(Timestamp(1_795_231_002_250)).0.to_string();
        assert!(run.starts_with("r-20261121-"), "{run}");
        assert_eq!(run.len(), "r-20261121-031502-ab12".len(), "{run}");
    }
}
