//! The containers as they were last seen, handed from the probe that lists them to those that need their addresses.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::Container;

/// The side that publishes: [`super::containers::ContainersProbe`].
pub type RosterSender = watch::Sender<Arc<[Container]>>;

/// The side that reads: every probe that maps addresses to replicas.
pub type Roster = watch::Receiver<Arc<[Container]>>;

/// An empty roster and a view of it.
pub fn roster() -> (RosterSender, Roster) {
    watch::channel(Arc::from([]))
}
