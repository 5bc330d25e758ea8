//! The journal as one driver writes it: under its token, or not at all.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::{Clean, Timestamp};
use crate::engine::{DriverId, LeaseLost, Person, RunId, Target, Token};
use crate::journal::{Actor, Code, Draft, Head, Journal, LeaseError, Mode, Moment, StoreError};

/// Where a driver's records go. The journal itself, or in a test one that fails where it is told to.
pub trait Book: Send + Sync + 'static {
    fn journal(&self) -> &Journal;

    /// Durable under this token when it returns.
    fn append(
        &self,
        draft: &Draft,
        target: &Target,
        token: Token,
        now: Timestamp,
    ) -> impl Future<Output = Result<Head, LeaseError>> + Send {
        self.journal().append_fenced(draft, target, token, now)
    }
}

impl Book for Journal {
    fn journal(&self) -> &Journal {
        self
    }
}

/// This moment.
pub type Now = Arc<dyn Fn() -> Moment + Send + Sync>;

/// A driver's place at the journal.
pub struct Desk<B> {
    pub book: B,
    pub now: Now,
    /// Whom the entries name: the user that the driver runs as.
    pub actor: Actor,
    pub mode: Mode,
    pub run: RunId,
    pub target: Target,
    pub driver: DriverId,
    /// The folder where this run's spool lies while the journal is away.
    pub spool: Option<PathBuf>,
}

impl<B: Book> Desk<B> {
    pub fn at(&self) -> Timestamp {
        (self.now)().at
    }

    /// An entry of this moment.
    pub(super) fn draft(&self, code: Code, body: &impl Serialize) -> Result<Draft, StoreError> {
        let body = serde_json::to_value(body).map_err(|source| StoreError::Lease {
            place: Clean::from(code.word()),
            target: self.target.0.clone(),
            source,
        })?;
        Ok(Draft {
            moment: (self.now)(),
            actor: self.actor.clone(),
            mode: self.mode,
            code,
            target: self.target.0.clone(),
            body,
        })
    }

    /// Records under the token. A driver that was held up until its lease ran out gives a heartbeat first: it may go
    /// on as long as nobody took over.
    pub async fn record(
        &self,
        token: Token,
        code: Code,
        body: &impl Serialize,
    ) -> Result<Head, LeaseError> {
        self.append(token, &self.draft(code, body)?).await
    }

    /// The same, for an entry that may be of an earlier moment.
    pub(super) async fn append(&self, token: Token, draft: &Draft) -> Result<Head, LeaseError> {
        let append = || self.book.append(draft, &self.target, token, self.at());
        match append().await {
            Err(LeaseError::Lost(LeaseLost::Expired(_))) => {
                self.renew(token).await?;
                append().await
            }
            written => written,
        }
    }

    pub async fn claim(&self, by: &Person) -> Result<Token, LeaseError> {
        self.book
            .journal()
            .claim(&self.target, &self.run, &self.driver, by, self.at())
            .await
    }

    pub async fn renew(&self, token: Token) -> Result<(), LeaseError> {
        self.book
            .journal()
            .renew(&self.target, token, self.at())
            .await
    }

    /// May this token act now? For an act whose record is older than this driver.
    pub async fn admits(&self, token: Token) -> Result<(), LeaseError> {
        self.renew(token).await
    }

    pub async fn release(&self, token: Token) -> Result<(), LeaseError> {
        self.book.journal().release(&self.target, token).await
    }

    /// Ends the lease of a driver that is known to be gone; also one's own, before it goes.
    pub async fn bury(&self, driver: &DriverId) -> Result<(), LeaseError> {
        self.book
            .journal()
            .bury(&self.target, driver, self.at())
            .await
    }
}
