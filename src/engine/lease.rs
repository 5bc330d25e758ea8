//! Who may speak for a target.
//!
//! One row per target, kept by the store; these are its rules. Every claim gives a higher [`Token`], also after a
//! release, so whatever an older driver still sends can be told from what the present one sends. **Invariant:** an
//! expired lease may be taken over by another driver of the *same run* only; another run waits until that run has ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::plan::Person;
use crate::domain::{Clean, Timestamp};

/// A driver that was silent this long is taken for dead.
pub const LEASE_TTL: Duration = Duration::from_secs(30);

/// Three heartbeats in a lease: one lost write is no takeover.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// Grows with every claim. 0 is nobody's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Token(pub u64);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Clean);

/// One process: host, pid and start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DriverId(pub Clean);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub run: RunId,
    pub driver: DriverId,
    pub by: Person,
    /// Since when the run holds the target; a takeover does not change it.
    pub since: Timestamp,
    pub expires_at: Timestamp,
}

/// The row of one target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tenure {
    /// The last token given out.
    token: Token,
    holder: Option<Holder>,
}

/// A second run is refused, with who holds the target and since when.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("held by run {} of {} since {} (driver {})", .0.run.0, .0.by.0, .0.since.clock(), .0.driver.0)]
pub struct Held(pub Holder);

/// The driver must fall silent: no output with this token any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LeaseLost {
    #[error("another driver took over: token {} is older than {}", .mine.0, .current.0)]
    Fenced { mine: Token, current: Token },
    #[error("the lease ended at {}", .0.clock())]
    Expired(Timestamp),
    #[error("the target was released")]
    Released,
}

impl Tenure {
    pub fn token(&self) -> Token {
        self.token
    }

    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// Takes the target for `run`: when it is free, or when it is this run's and its driver has been silent too long.
    pub fn claim(
        &mut self,
        run: RunId,
        driver: DriverId,
        by: Person,
        now: Timestamp,
    ) -> Result<Token, Held> {
        let since = match &self.holder {
            None => now,
            Some(holder) if holder.run == run && holder.expires_at <= now => holder.since,
            Some(holder) => return Err(Held(holder.clone())),
        };
        self.token = Token(self.token.0 + 1);
        self.holder = Some(Holder {
            run,
            driver,
            by,
            since,
            expires_at: now.plus(LEASE_TTL),
        });
        Ok(self.token)
    }

    /// A heartbeat. A lease that ran out is still its driver's as long as nobody took it.
    pub fn renew(&mut self, token: Token, now: Timestamp) -> Result<(), LeaseLost> {
        self.fence(token)?;
        let holder = self.holder.as_mut().ok_or(LeaseLost::Released)?;
        holder.expires_at = now.plus(LEASE_TTL);
        Ok(())
    }

    /// The holder's process is known to be gone: its lease runs out now instead of later. Its token stays fenced by the
    /// next claim, as after any silence.
    pub fn bury(&mut self, driver: &DriverId, now: Timestamp) {
        if let Some(holder) = self
            .holder
            .as_mut()
            .filter(|holder| holder.driver == *driver)
        {
            holder.expires_at = holder.expires_at.min(now);
        }
    }

    /// May this token record and act now? To be asked in the transaction of every record, and before every act.
    pub fn admits(&self, token: Token, now: Timestamp) -> Result<(), LeaseLost> {
        self.fence(token)?;
        match &self.holder {
            None => Err(LeaseLost::Released),
            Some(holder) if holder.expires_at <= now => Err(LeaseLost::Expired(holder.expires_at)),
            Some(_) => Ok(()),
        }
    }

    /// Gives the target back; only when the run's end is on record.
    pub fn release(&mut self, token: Token) -> Result<(), LeaseLost> {
        self.fence(token)?;
        self.holder = None;
        Ok(())
    }

    fn fence(&self, mine: Token) -> Result<(), LeaseLost> {
        let current = self.token;
        if mine == current {
            Ok(())
        } else {
            Err(LeaseLost::Fenced { mine, current })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn claim(
        tenure: &mut Tenure,
        run: &str,
        driver: &str,
        after_secs: u64,
    ) -> Result<Token, String> {
        let now = START.plus(Duration::from_secs(after_secs));
        let by = Person("ann".into());
        tenure
            .claim(RunId(run.into()), DriverId(driver.into()), by, now)
            .map_err(|held| held.to_string())
    }

    #[test]
    fn a_second_run_is_told_who_holds_the_target_and_since_when() {
        let mut tenure = Tenure::default();
        assert_eq!(claim(&mut tenure, "r1", "a/1", 0), Ok(Token(1)));
        let held = "held by run r1 of ann since 00:16:40Z (driver a/1)";
        assert_eq!(claim(&mut tenure, "r2", "b/1", 1), Err(held.into()));
        // An unfinished run keeps its target, however long its driver is dead.
        assert_eq!(claim(&mut tenure, "r2", "b/1", 9_000), Err(held.into()));
    }

    #[test]
    fn a_silent_driver_is_replaced_and_then_fenced() {
        let mut tenure = Tenure::default();
        let old = claim(&mut tenure, "r1", "a/1", 0).unwrap();
        assert!(claim(&mut tenure, "r1", "b/1", 29).is_err());
        let new = claim(&mut tenure, "r1", "b/1", 30).unwrap();
        let now = START.plus(Duration::from_secs(31));
        let fenced = LeaseLost::Fenced {
            mine: old,
            current: new,
        };
        assert_eq!(tenure.admits(old, now), Err(fenced));
        assert_eq!(tenure.renew(old, now), Err(fenced));
        assert_eq!(tenure.release(old), Err(fenced));
        assert_eq!(tenure.admits(new, now), Ok(()));
        assert_eq!(tenure.holder().unwrap().since, START);
    }

    #[test]
    fn an_expired_lease_acts_again_only_after_its_heartbeat() {
        let mut tenure = Tenure::default();
        let token = claim(&mut tenure, "r1", "a/1", 0).unwrap();
        let late = START.plus(LEASE_TTL);
        assert_eq!(tenure.admits(token, late), Err(LeaseLost::Expired(late)));
        assert_eq!(tenure.renew(token, late), Ok(()));
        assert_eq!(tenure.admits(token, late), Ok(()));
    }

    #[test]
    fn a_driver_that_is_known_to_be_dead_is_not_waited_for() {
        let mut tenure = Tenure::default();
        let old = claim(&mut tenure, "r1", "a/1", 0).unwrap();
        tenure.bury(&DriverId("a/2".into()), START);
        assert!(claim(&mut tenure, "r1", "b/1", 1).is_err(), "another one");
        tenure.bury(&DriverId("a/1".into()), START);
        assert!(claim(&mut tenure, "r2", "b/1", 1).is_err(), "another run");
        assert_eq!(claim(&mut tenure, "r1", "b/1", 1), Ok(Token(2)));
        assert!(tenure.admits(old, START).is_err());
    }

    #[test]
    fn a_token_is_never_given_twice() {
        let mut tenure = Tenure::default();
        let first = claim(&mut tenure, "r1", "a/1", 0).unwrap();
        tenure.release(first).unwrap();
        assert_eq!(tenure.admits(first, START), Err(LeaseLost::Released));
        assert_eq!(claim(&mut tenure, "r2", "a/2", 1), Ok(Token(2)));
    }
}
