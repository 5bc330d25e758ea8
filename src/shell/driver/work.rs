//! One act, from looking to its outcome: what was seen is durable before anything is done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::deck::{Deck, Say};
use super::desk::{Book, Desk};
use super::turn::Answer;
use crate::domain::Clean;
use crate::engine::{Act, Deed, Evidence, EvidenceKind, StepId};
use crate::journal::{Code, LeaseError, StoreError};
use crate::step::{Done, Hurry};

/// What each step saw when it first began.
pub(super) type Befores = Arc<Mutex<BTreeMap<StepId, Value>>>;

pub(super) fn seen(befores: &Befores, step: StepId) -> Option<Value> {
    let befores = befores.lock().unwrap_or_else(PoisonError::into_inner);
    befores.get(&step).cloned()
}

pub(super) fn evidence<B: Book>(
    desk: &Desk<B>,
    step: Option<StepId>,
    what: EvidenceKind,
    value: Value,
) -> Evidence {
    Evidence {
        run: desk.run.clone(),
        step,
        what,
        value,
    }
}

/// The run was to end before this attempt did anything.
fn not_begun() -> Clean {
    Clean::from("broken off, since the run is to end: this attempt had done nothing yet")
}

/// One act, from looking to its outcome.
pub(super) struct Work<B, D> {
    pub(super) desk: Arc<Desk<B>>,
    pub(super) deck: Arc<D>,
    pub(super) befores: Befores,
    pub(super) say: Say,
    pub(super) hurry: Hurry,
    pub(super) act: Act,
}

impl<B: Book, D: Deck> Work<B, D> {
    pub(super) async fn carry_out(self) -> Answer {
        let act = self.act;
        let result = match act.deed {
            Deed::Perform => self.perform().await,
            Deed::Undo => self.undo().await,
        };
        match result {
            Ok(result) => Answer::Outcome(act, result),
            Err(error) => Answer::Unrecorded(error),
        }
    }

    /// Every attempt goes by what the first one saw: what that began may be half done.
    async fn perform(self) -> Result<Result<Done, Clean>, LeaseError> {
        let step = self.act.step;
        let before = if let Some(before) = seen(&self.befores, step) {
            self.desk.admits(self.act.token).await?;
            before
        } else {
            let looked = tokio::select! {
                looked = self.deck.before(step, self.say.clone()) => looked,
                () = self.hurry.asked() => Err(not_begun()),
            };
            let before = match looked {
                Ok(before) => before,
                Err(fault) => return Ok(Err(fault)),
            };
            self.keep(before.clone()).await?;
            before
        };
        if self.hurry.is_asked() {
            return Ok(Err(not_begun()));
        }
        Ok(self.deck.perform(step, before, self.say, self.hurry).await)
    }

    async fn undo(self) -> Result<Result<Done, Clean>, LeaseError> {
        let step = self.act.step;
        let Some(before) = seen(&self.befores, step) else {
            let said = Clean::from("it had done nothing yet");
            return Ok(Ok(Done { said }));
        };
        self.desk.admits(self.act.token).await?;
        Ok(self.deck.undo(step, before, self.say, self.hurry).await)
    }

    /// Makes what was seen durable. In a task of its own: an act that is given up must not break a transaction off.
    async fn keep(&self, before: Value) -> Result<(), LeaseError> {
        let (desk, step, token) = (self.desk.clone(), self.act.step, self.act.token);
        let befores = self.befores.clone();
        let kept = tokio::spawn(async move {
            let evidence = evidence(&desk, Some(step), EvidenceKind::Before, before.clone());
            desk.record(token, Code::Evidence, &evidence).await?;
            let mut befores = befores.lock().unwrap_or_else(PoisonError::into_inner);
            befores.entry(step).or_insert(before);
            Ok(())
        });
        kept.await.unwrap_or_else(|_| {
            // It broke off: whether it is durable is not known, so nothing may be done.
            let place = self.desk.target.0.clone();
            Err(StoreError::InDoubt { place }.into())
        })
    }
}
