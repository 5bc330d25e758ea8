//! The deck of a real plan: its steps, read once, and the stack they act on.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::deck::{Deck, Said, Say};
use crate::app::story::Story;
use crate::domain::{Clean, Timestamp};
use crate::engine::{Facts, Finding, Plan, RunId, StepId};
use crate::runbook::observe;
use crate::shell::scene::Sight;
use crate::step::{Act, Done, Hands, Hurry, Step};

/// The steps of one plan.
pub struct Steps {
    acts: Vec<Step>,
    sight: Sight,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    run: RunId,
}

impl Steps {
    /// Reads all steps. One that cannot be read is a plan that cannot be run by this console.
    pub(in crate::shell) fn read(
        plan: &Plan,
        sight: Sight,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        run: RunId,
    ) -> Result<Self, Clean> {
        let steps = plan.ids().map(|id| {
            let planned = plan.step(id);
            Step::deserialize(&planned.act).map_err(|error| {
                Clean::line(&format!("{id}, {}, cannot be read: {error}", planned.title))
            })
        });
        Ok(Self {
            acts: steps.collect::<Result<_, _>>()?,
            sight,
            now,
            run,
        })
    }

    fn hands(&self, say: Say, hurry: Hurry) -> Hands {
        let prove = say.clone();
        Hands {
            engine: self.sight.eyes.engine.clone(),
            eyes: self.sight.eyes.clone(),
            now: self.now.clone(),
            project: self.sight.stack.name.clone(),
            run: self.run.clone(),
            upstream: self.sight.upstream.clone(),
            secret: self.sight.eyes.reach.secret.clone(),
            say: Arc::new(move |line| say(Said::Line(line))),
            prove: Arc::new(move |outcome| prove(Said::Check(outcome))),
            hurry,
        }
    }

    fn step(&self, step: StepId) -> Result<&Step, Clean> {
        let missing = || Clean::from(format!("the plan has no {step}"));
        self.acts.get(step.index()).ok_or_else(missing)
    }
}

impl Deck for Steps {
    async fn before(&self, step: StepId, say: Say) -> Result<Value, Clean> {
        let hands = self.hands(say, Hurry::never());
        self.step(step)?.before(&hands).await
    }

    async fn perform(
        &self,
        step: StepId,
        before: Value,
        say: Say,
        hurry: Hurry,
    ) -> Result<Done, Clean> {
        let hands = self.hands(say, hurry);
        self.step(step)?.perform(&hands, &before).await
    }

    async fn undo(
        &self,
        step: StepId,
        before: Value,
        say: Say,
        hurry: Hurry,
    ) -> Result<Done, Clean> {
        let hands = self.hands(say, hurry);
        self.step(step)?.undo(&hands, &before).await
    }

    async fn happened(&self, step: StepId, before: Value, say: Say) -> Finding {
        match self.step(step) {
            Ok(step) => {
                let hands = self.hands(say, Hurry::never());
                step.happened(&hands, &before).await
            }
            Err(fault) => Finding::Unclear(fault),
        }
    }

    /// The facts of the whole stack: what the plan expects is compared by the engine.
    async fn observe(&self, _: Facts) -> Result<Facts, Clean> {
        let nothing_ran = Story::default();
        let scene = self.sight.scene(&nothing_ran, Timestamp::default()).await;
        let scene = scene.map_err(|fault| Clean::from(fault.to_string()))?;
        Ok(observe(&scene))
    }
}
