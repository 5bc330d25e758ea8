//! The leases beside the journal: one row per target. Its rules are [`Tenure`]'s; here they are asked and kept in one
//! transaction, so that two processes never both believe what only one may.

use serde_json::{from_str, to_string};
use thiserror::Error;

use super::{Base, Condition, Journal, StoreError};
use crate::domain::{Clean, Timestamp};
use crate::engine::{DriverId, Held, LeaseLost, Person, RunId, Target, Tenure, Token};
use crate::journal::chain::Head;
use crate::journal::entry::Draft;

pub(super) const READ: &str = "SELECT tenure FROM quarterdeck_journal_lease WHERE target = $1";

pub(super) const READ_ALL: &str =
    "SELECT target, tenure FROM quarterdeck_journal_lease ORDER BY target LIMIT 10000";

pub(super) const WRITE: &str = "INSERT INTO quarterdeck_journal_lease (target, tenure) VALUES ($1, $2) \
    ON CONFLICT (target) DO UPDATE SET tenure = excluded.tenure";

#[derive(Debug, Error)]
pub enum LeaseError {
    #[error(transparent)]
    Held(#[from] Held),
    #[error(transparent)]
    Lost(#[from] LeaseLost),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who asks, to be compared with the row in the transaction of the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fence<'a> {
    pub target: &'a Target,
    pub token: Token,
    pub now: Timestamp,
}

/// A row as it is read; none is a target that nobody ever held.
pub(super) fn read(place: &Clean, target: &str, row: Option<String>) -> Result<Tenure, StoreError> {
    let Some(text) = row else {
        return Ok(Tenure::default());
    };
    from_str(&text).map_err(|source| StoreError::Lease {
        place: place.clone(),
        target: Clean::line(target),
        source,
    })
}

pub(super) fn write(tenure: &Tenure) -> String {
    to_string(tenure).expect("a tenure has text keys and whole numbers")
}

impl Journal {
    /// Takes the target for a run; see [`Tenure::claim`]. Durable when it returns.
    pub async fn claim(
        &self,
        target: &Target,
        run: &RunId,
        driver: &DriverId,
        by: &Person,
        now: Timestamp,
    ) -> Result<Token, LeaseError> {
        let claim =
            |tenure: &mut Tenure| tenure.claim(run.clone(), driver.clone(), by.clone(), now);
        Ok(self.lease(target, claim).await??)
    }

    /// A heartbeat; see [`Tenure::renew`].
    pub async fn renew(
        &self,
        target: &Target,
        token: Token,
        now: Timestamp,
    ) -> Result<(), LeaseError> {
        Ok(self
            .lease(target, |tenure| tenure.renew(token, now))
            .await??)
    }

    /// Gives the target back; see [`Tenure::release`].
    pub async fn release(&self, target: &Target, token: Token) -> Result<(), LeaseError> {
        Ok(self.lease(target, |tenure| tenure.release(token)).await??)
    }

    /// Ends the lease of a process that is known to be gone; see [`Tenure::bury`].
    pub async fn bury(
        &self,
        target: &Target,
        driver: &DriverId,
        now: Timestamp,
    ) -> Result<(), LeaseError> {
        Ok(self
            .lease(target, |tenure| tenure.bury(driver, now))
            .await?)
    }

    /// Changes a target's row in one transaction; a row that stays the same is not written.
    async fn lease<T: Send>(
        &self,
        target: &Target,
        change: impl FnOnce(&mut Tenure) -> T + Send,
    ) -> Result<T, StoreError> {
        self.writable()?;
        match &self.base {
            Base::Sqlite(base) => base.lease(target, change).await,
            Base::Postgres(base) => base.lease(target, change).await,
        }
    }

    /// The row of one target.
    pub async fn tenure(&self, target: &Target) -> Result<Tenure, StoreError> {
        let all = self.tenures().await?;
        let found = all.into_iter().find(|(name, _)| name == target);
        Ok(found.map(|(_, tenure)| tenure).unwrap_or_default())
    }

    /// All rows, by target.
    pub async fn tenures(&self) -> Result<Vec<(Target, Tenure)>, StoreError> {
        if matches!(self.condition, Condition::Older { .. }) {
            // Before there were leases, nobody held one.
            return Ok(Vec::new());
        }
        let rows = match &self.base {
            Base::Sqlite(base) => base.leases().await?,
            Base::Postgres(base) => base.leases().await?,
        };
        let read = rows.into_iter().map(|(target, row)| {
            let tenure = read(&self.place, &target, Some(row))?;
            Ok((Target(Clean::line(&target)), tenure))
        });
        read.collect()
    }

    /// Records an entry if the token may still speak for the target: asked and written in one transaction, so a
    /// driver that was replaced records nothing.
    pub async fn append_fenced(
        &self,
        draft: &Draft,
        target: &Target,
        token: Token,
        now: Timestamp,
    ) -> Result<Head, LeaseError> {
        let fence = Fence { target, token, now };
        self.append_as(draft, Some(fence)).await
    }
}
