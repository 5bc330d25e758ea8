//! What the journal says of one run until now.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::app::story::run_of;
use crate::domain::Clean;
use crate::engine::{
    Evidence, EvidenceKind, Finished, PlanId, Recorded, Requested, RunEvent, RunId, Serving, StepId,
};
use crate::journal::{Code, Entry, Journal, Record, Seq, StoreError};

/// Entries asked for at a time.
const PAGE: u32 = 500;

/// All that a driver needs to take a run up.
#[derive(Debug, Clone)]
pub struct Past {
    pub requested: Requested,
    /// Who asked, when and in which world.
    pub request: Entry,
    pub events: Vec<RunEvent>,
    /// What each step saw when it first began.
    pub befores: BTreeMap<StepId, Value>,
    /// Decisions that nobody has heard yet, in their order.
    pub unheard: Vec<Entry>,
    /// The boot of the machine that last recorded an event.
    pub boot_id: Option<Clean>,
    pub finished: bool,
    /// The last figures of the tap.
    pub tap: Value,
    /// How many replicas served at least, until the driver before this one went.
    pub serving: Option<Serving>,
    /// The last entry that was read.
    pub seq: Seq,
    heard: u64,
}

impl Past {
    /// Reads from `since` on. `None`: nobody asked for such a run.
    pub async fn read(
        journal: &Journal,
        run: &RunId,
        since: Seq,
    ) -> Result<Option<Self>, StoreError> {
        let mut past: Option<Self> = None;
        let mut at = Seq(since.0.saturating_sub(1));
        loop {
            let rows = journal.after(at, PAGE).await?;
            let Some(last) = rows.last() else { break };
            at = Seq(u64::try_from(last.seq).unwrap_or(u64::MAX));
            let records = rows.iter().filter_map(|row| row.record.as_ref().ok());
            for entry in records.filter_map(Record::entry) {
                match &mut past {
                    None => past = Self::asked(entry, run),
                    Some(past) if run_of(&entry).as_ref() == Some(run) => past.take(entry),
                    Some(_) => {}
                }
            }
        }
        if let Some(past) = &mut past {
            past.seq = at;
            let heard = past.heard;
            past.unheard.retain(|entry| entry.seq.0 > heard);
        }
        Ok(past)
    }

    fn asked(entry: Entry, run: &RunId) -> Option<Self> {
        if entry.code != Code::RunRequested {
            return None;
        }
        let requested = Requested::deserialize(&entry.body).ok()?;
        (requested.run == *run).then(|| Self {
            requested,
            seq: entry.seq,
            request: entry,
            events: Vec::new(),
            befores: BTreeMap::new(),
            unheard: Vec::new(),
            boot_id: None,
            finished: false,
            tap: Value::Null,
            serving: None,
            heard: 0,
        })
    }

    fn take(&mut self, entry: Entry) {
        match entry.code {
            Code::RunEvent => {
                if let Ok(recorded) = Recorded::deserialize(&entry.body) {
                    self.events.push(recorded.event);
                    self.heard = self.heard.max(recorded.decision.unwrap_or(0));
                    self.boot_id = Some(entry.moment.boot_id);
                }
            }
            Code::Refused => {
                let decision = entry.body.get("decision").and_then(Value::as_u64);
                self.heard = self.heard.max(decision.unwrap_or(0));
            }
            Code::Evidence => {
                if let Ok(evidence) = Evidence::deserialize(&entry.body) {
                    self.evidence(evidence);
                }
            }
            Code::RunFinished => self.finished |= Finished::deserialize(&entry.body).is_ok(),
            code if code.is_decision() => self.unheard.push(entry),
            _ => {}
        }
    }

    fn evidence(&mut self, evidence: Evidence) {
        match (evidence.what, evidence.step) {
            (EvidenceKind::Before, Some(step)) => {
                self.befores.entry(step).or_insert(evidence.value);
            }
            (EvidenceKind::Tap, _) => self.tap = evidence.value,
            (EvidenceKind::Serving, _) => self.serving = Serving::deserialize(&evidence.value).ok(),
            _ => {}
        }
    }

    /// The first unheard word that confirms this plan.
    pub fn confirmation(&self) -> Option<&Entry> {
        let plan = &self.requested.plan.id;
        self.unheard.iter().find(|entry| {
            entry.code == Code::DecisionConfirm && plan_of(entry).as_ref() == Some(plan)
        })
    }
}

fn plan_of(entry: &Entry) -> Option<PlanId> {
    let plan = entry.body.get("plan")?;
    PlanId::deserialize(plan).ok()
}
