//! A turn whose journal is away: what happens meanwhile is kept, and comes first when it is back.

use tokio::time::{Instant, timeout_at};

use super::{Answer, Next, Purpose, Turn, shown};
use crate::domain::Clean;
use crate::engine::{Act, Recorded, RunEvent, StepId, Version};
use crate::journal::Code;
use crate::shell::driver::deck::{Deck, Said};
use crate::shell::driver::desk::Book;
use crate::shell::driver::owner::Broken;
use crate::shell::driver::work::evidence;
use crate::step::Done;

impl<B: Book, D: Deck> Turn<B, D> {
    /// What waits on this host comes before anything new.
    pub(super) async fn catch_up(&mut self) -> Result<(), Broken> {
        let plan = self.run.plan();
        self.spool
            .bring_back(&self.desk, self.token, plan, self.since)
            .await?;
        Ok(())
    }

    /// The journal is away, and the act under way is permitted by what it has: it may end, and what becomes of it is kept.
    /// Nothing else begins.
    pub(in crate::shell::driver) async fn let_end(&mut self) {
        let acts = self
            .purposes
            .values()
            .filter_map(|(purpose, _)| match purpose {
                Purpose::Act(act) => Some(*act),
                Purpose::Check(_) | Purpose::Look(_) => None,
            });
        let Some(act) = acts.last() else { return };
        let until = Instant::now() + self.run.plan().step(act.step).deadline;
        while let Ok(next) = timeout_at(until, self.next()).await {
            match next {
                Next::Answer(Answer::Outcome(of, result)) if of == act => {
                    return self.keep_outcome(of, result).await;
                }
                Next::Said(step, said) => self.keep_said(step, said).await,
                Next::News | Next::Answer(_) => {}
            }
        }
    }

    async fn keep_outcome(&mut self, act: Act, result: Result<Done, Clean>) {
        while let Ok((step, said)) = self.lines.try_recv() {
            self.keep_said(step, said).await;
        }
        let event = RunEvent {
            version: Version::default(),
            at: self.desk.at(),
            kind: act.became(result.map(drop)),
        };
        let recorded = Recorded {
            run: self.desk.run.clone(),
            token: self.token,
            decision: None,
            event,
        };
        if let Ok(draft) = self.desk.draft(Code::RunEvent, &recorded) {
            self.spool.keep(&draft).await;
        }
    }

    async fn keep_said(&mut self, step: StepId, said: Said) {
        let (what, value) = shown(said);
        let evidence = evidence(&self.desk, Some(step), what, value);
        if let Ok(draft) = self.desk.draft(Code::Evidence, &evidence) {
            self.spool.keep(&draft).await;
        }
    }
}
