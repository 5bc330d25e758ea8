//! The loop that owns a run: from taking it up to its end, or until another driver has it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::beside::Beside;
use super::deck::{Aside, Deck};
use super::desk::{Book, Desk};
use super::past::Past;
use super::process;
use super::spool::Spool;
use super::turn::Turn;
use crate::app::story::person;
use crate::engine::{
    Finished, HEARTBEAT, Held, Holder, InputKind, Interruption, LEASE_TTL, LeaseLost, Phase,
    ReplayError, Run, RunId, Token, Verdict,
};
use crate::journal::{Code, LeaseError, Seq, StoreError};

/// How often a driver tries again that cannot write its journal.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// How long it tries. The run then lies where it is, for `resume`.
const TRY_FOR: Duration = Duration::from_mins(10);

/// How a driver left its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    Ended(Verdict),
    /// Nobody has said yes to this plan.
    Unconfirmed,
    /// Another driver speaks for the target now.
    Replaced(LeaseLost),
    /// It was told to go; the run can be taken up again.
    Told,
    /// The engine is gone, and all that was left to do was to wait for a person; the run can be taken up again.
    Forsaken,
}

#[derive(Debug, Error)]
pub enum DriveError {
    #[error("the journal knows no run {}", .0.0)]
    Unknown(RunId),
    #[error(transparent)]
    Held(#[from] Held),
    #[error("the journal of this run cannot be followed: {0}")]
    Replay(#[from] ReplayError),
    #[error("the plan is not the one that its number names: it was changed after it was made")]
    OtherPlan,
    #[error(transparent)]
    Journal(#[from] StoreError),
}

/// Why one taking-up came to its end.
pub(super) enum Broken {
    Lease(LeaseLost),
    /// A record could not be written, or it is not known whether it was: nothing is done any more but reading it again.
    Journal(StoreError),
    Hopeless(DriveError),
}

impl From<LeaseError> for Broken {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Held(held) => Self::Hopeless(held.into()),
            LeaseError::Lost(lost) => Self::Lease(lost),
            LeaseError::Store(error) => Self::Journal(error),
        }
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Journal(error)
    }
}

impl From<ReplayError> for Broken {
    fn from(error: ReplayError) -> Self {
        Self::Hopeless(error.into())
    }
}

/// One driver with one run.
pub struct Owner<B, D> {
    pub desk: Arc<Desk<B>>,
    pub deck: Arc<D>,
    /// From the guards and the tap.
    pub asides: mpsc::Receiver<Aside>,
    /// The guards and the tap themselves, where there are any.
    pub beside: Option<Beside>,
    /// Becomes true when the process is to go.
    pub stop: watch::Receiver<bool>,
    /// Where in the journal the run was asked for, or any entry before.
    pub since: Seq,
}

impl<B: Book, D: Deck> Owner<B, D> {
    /// Takes the run up and drives it to its end.
    pub async fn drive(mut self) -> Result<Left, DriveError> {
        let mut trouble: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let broken = match self.take_up().await {
                Ok(left) => return Ok(left),
                Err(broken) => broken,
            };
            let error = match broken {
                Broken::Lease(lost) => return Ok(Left::Replaced(lost)),
                Broken::Hopeless(error) => return Err(error),
                Broken::Journal(error) => error,
            };
            // A new trouble, when it had gone well for a while.
            if began.elapsed() > TRY_FOR {
                trouble = None;
            }
            let since = *trouble.get_or_insert_with(Instant::now);
            let forgets = matches!(error, StoreError::Suspect { .. });
            if forgets || since.elapsed() > TRY_FOR {
                return Err(error.into());
            }
            tracing::error!("nothing is done, the journal cannot be written: {error}");
            tokio::select! {
                () = sleep(TRY_AGAIN) => {}
                () = told(&mut self.stop) => return Ok(Left::Told),
            }
        }
    }

    async fn take_up(&mut self) -> Result<Left, Broken> {
        let read = Past::read(self.desk.book.journal(), &self.desk.run, self.since).await?;
        let Some(asked) = read else {
            return Err(Broken::Hopeless(DriveError::Unknown(self.desk.run.clone())));
        };
        // A run that ended long ago needs no target, as far as nobody holds it for that run any more.
        let token = self.claim(&asked).await?;
        // Read under the new token: whatever an older driver still wrote is in it, and nothing follows.
        let past = Past::read(self.desk.book.journal(), &self.desk.run, asked.request.seq).await?;
        let mut past = past.unwrap_or(asked);
        let plan = past.requested.plan.clone();
        // What an earlier driver on this host saw and could not record comes before anything new.
        let mut spool = Spool::of(self.desk.spool.as_deref());
        let request = past.request.seq;
        if spool.bring_back(&self.desk, token, &plan, request).await? {
            let read = Past::read(self.desk.book.journal(), &self.desk.run, request).await?;
            past = read.unwrap_or(past);
        }
        let run = Run::replay(plan, &past.events)?;
        if let Phase::Ended(verdict) = run.state().phase() {
            return self.close(&past, verdict, token).await;
        }
        let (first, heard) = match run.state().phase() {
            Phase::New => match past.confirmation() {
                Some(entry) => {
                    let by = person(&entry.actor);
                    (InputKind::Begin { by, token }, Some(entry.seq))
                }
                None => {
                    self.desk.release(token).await?;
                    return Ok(Left::Unconfirmed);
                }
            },
            _ => {
                let same = past.boot_id.as_ref() == Some(&(self.desk.now)().boot_id);
                let cause = if same {
                    Interruption::Process
                } else {
                    Interruption::Host
                };
                (InputKind::Recover { cause, token }, None)
            }
        };
        let mut turn = Turn::new(&self.desk, &self.deck, run, token, &past);
        let left = self.live(&mut turn, first, heard, &past).await;
        if let Err(Broken::Journal(_)) = &left {
            tokio::select! {
                () = turn.let_end() => {}
                () = told(&mut self.stop) => {}
            }
        }
        turn.quiet().await;
        left
    }

    /// From the first input to the end, a loss, or a signal.
    async fn live(
        &mut self,
        turn: &mut Turn<B, D>,
        first: InputKind,
        heard: Option<Seq>,
        past: &Past,
    ) -> Result<Left, Broken> {
        turn.begin(first, heard).await?;
        for entry in &past.unheard {
            if Some(entry.seq) != heard {
                turn.decide(entry).await?;
            }
        }
        let mut beat = Instant::now() + HEARTBEAT;
        loop {
            if let Phase::Ended(verdict) = turn.run.state().phase() {
                return self.finish(turn, verdict).await;
            }
            let wake = turn.wakes_in().min(HEARTBEAT);
            tokio::select! {
                () = told(&mut self.stop) => {
                    self.leave(turn, "the driver was told to go").await?;
                    return Ok(Left::Told);
                }
                () = sleep_until(beat) => {
                    beat = Instant::now() + HEARTBEAT;
                    turn.beat().await?;
                }
                Some(aside) = self.asides.recv() => match aside {
                    Aside::EngineGone { fault } if turn.waits_for_a_person() => {
                        self.leave(turn, &fault).await?;
                        return Ok(Left::Forsaken);
                    }
                    aside => turn.aside(aside).await?,
                },
                done = turn.next() => turn.take(done).await?,
                () = sleep(wake) => turn.tick().await?,
            }
        }
    }

    /// The run's end is on record: its last words, and then the target is free.
    async fn finish(&mut self, turn: &mut Turn<B, D>, verdict: Verdict) -> Result<Left, Broken> {
        // Told while it ends: nobody reads the channel any more, and it must not be waited for.
        self.asides.close();
        if let Some(beside) = self.beside.take() {
            if let Some(serving) = beside.serving() {
                turn.counted(serving);
            }
            if let Some(figures) = beside.end().await {
                turn.measured(&figures);
            }
        }
        let finished = Finished {
            run: self.desk.run.clone(),
            verdict,
            tap: turn.tap.clone(),
            serving: turn.serving.clone(),
        };
        self.desk
            .record(turn.token, Code::RunFinished, &finished)
            .await?;
        self.desk.release(turn.token).await?;
        Ok(Left::Ended(verdict))
    }

    /// It had ended, and its driver went before it could say so and let go.
    async fn close(&self, past: &Past, verdict: Verdict, token: Token) -> Result<Left, Broken> {
        if !past.finished {
            let finished = Finished {
                run: self.desk.run.clone(),
                verdict,
                tap: past.tap.clone(),
                serving: past.serving.clone(),
            };
            self.desk
                .record(token, Code::RunFinished, &finished)
                .await?;
        }
        self.desk.release(token).await?;
        Ok(Left::Ended(verdict))
    }

    /// The process goes. The run stays as it is; whoever resumes it need not wait for the lease.
    async fn leave(&self, turn: &mut Turn<B, D>, why: &str) -> Result<(), Broken> {
        turn.quiet().await;
        let text = format!(
            "{why}, the run is left as it is; `quarterdeck resume {}` goes on with it",
            self.desk.run.0
        );
        tracing::warn!("{text}");
        let note = json!({ "run": self.desk.run.0, "text": text });
        if let Err(error) = self.desk.record(turn.token, Code::Note, &note).await {
            tracing::warn!("the journal does not say that this driver goes: {error}");
        }
        self.desk.bury(&self.desk.driver).await?;
        Ok(())
    }

    /// Takes the target. A holder that is known to be gone is not waited for; one that may be alive is, until its
    /// lease has run out without a heartbeat.
    async fn claim(&self, past: &Past) -> Result<Token, Broken> {
        let by = person(&past.request.actor);
        let mut waited = Duration::ZERO;
        loop {
            let holder = match self.desk.claim(&by).await {
                Ok(token) => return Ok(token),
                Err(LeaseError::Held(Held(holder))) => holder,
                Err(other) => return Err(other.into()),
            };
            if holder.run != self.desk.run {
                self.free_after_the_end(&holder).await?;
                continue;
            }
            let own = holder.driver == self.desk.driver;
            if own || process::is_gone(&holder.driver) {
                self.desk.bury(&holder.driver).await?;
                continue;
            }
            // It is longer than a lease now: somebody renews it.
            if waited > LEASE_TTL {
                return Err(Broken::Hopeless(Held(holder).into()));
            }
            waited += TRY_AGAIN;
            sleep(TRY_AGAIN).await;
        }
    }

    /// Frees the target from a run that ended without its driver letting go. Another run is not touched.
    async fn free_after_the_end(&self, holder: &Holder) -> Result<(), Broken> {
        let journal = self.desk.book.journal();
        let held = || Broken::Hopeless(Held(holder.clone()).into());
        let past = Past::read(journal, &holder.run, Seq(0)).await?;
        let past = past.ok_or_else(held)?;
        let run = Run::replay(past.requested.plan, &past.events).map_err(|_| held())?;
        let over = matches!(run.state().phase(), Phase::Ended(_));
        let now = self.desk.at();
        let dead = holder.expires_at <= now || process::is_gone(&holder.driver);
        if !over || !dead {
            return Err(held());
        }
        let target = &self.desk.target;
        journal.bury(target, &holder.driver, now).await?;
        let token = journal
            .claim(target, &holder.run, &self.desk.driver, &holder.by, now)
            .await?;
        journal.release(target, token).await?;
        Ok(())
    }
}

/// Waits until the process is to go; for ever, where nobody can say so any more.
async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
