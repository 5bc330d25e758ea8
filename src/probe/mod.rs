//! Look once; a file per kind.
//!
//! A probe never changes anything, never decides when it looks, and never fails: what it could not see is a [`Fault`],
//! which is data. When to look, for how long and how to back off is decided in `watch`, once for all.

pub mod alerts;
pub mod backup;
pub mod certificate;
pub mod check;
pub mod containers;
pub mod endpoint;
pub mod engine;
pub mod guard;
pub mod host;
pub mod load;
pub mod roster;
pub mod span;
pub mod tap;
pub mod traffic;
pub mod usage;
pub mod ways;

use std::future::Future;
use std::time::Duration;

use crate::domain::{Fault, Reading, SourceId, Timestamp};

/// Something that can be looked at again and again.
pub trait Look: Send + 'static {
    fn source(&self) -> SourceId;

    /// How often to look.
    fn period(&self) -> Duration;

    /// How long one look may take before it counts as failed.
    fn deadline(&self) -> Duration {
        /// Ten times what a healthy source on a bad line needs.
        const DEADLINE: Duration = Duration::from_secs(5);
        DEADLINE
    }

    /// Looks once. Cancel-safe: dropped when the deadline passes.
    fn look(&mut self, now: Timestamp) -> impl Future<Output = Result<Reading, Fault>> + Send;
}
