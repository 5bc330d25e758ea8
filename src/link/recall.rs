//! What who asks the same again and again remembers between two requests: where a name leads, and whom a file trusts.
//!
//! Nothing is kept for longer than [`AGE_MAX`], and an address that did not answer is forgotten at once: a name that
//! leads elsewhere is followed as a browser would. What could not be looked up is not remembered at all.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::dial::{self, DialError};
use super::tls::Given;
use super::url::Place;
use crate::domain::Fault;

/// Browsers keep a name for a minute, proxies for some seconds. This is short enough to see a change while it is made.
pub const AGE_MAX: Duration = Duration::from_secs(2);

/// The memory of one who asks. One name and one file: the last ones.
#[derive(Debug, Default)]
pub struct Recall {
    addresses: Slot<Place, Vec<SocketAddr>>,
    given: Slot<PathBuf, Arc<Given>>,
}

#[derive(Debug)]
struct Slot<K, V>(Mutex<Option<Kept<K, V>>>);

#[derive(Debug)]
struct Kept<K, V> {
    key: K,
    value: V,
    since: Instant,
}

impl<K, V> Default for Slot<K, V> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<K: PartialEq, V: Clone> Slot<K, V> {
    /// What is young enough. Of those who find it too old only the first looks anew; the others go on with it meanwhile,
    /// or each tenth of a second of a slow resolver would be fifty questions.
    fn get(&self, key: &K) -> Option<V> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = slot.as_mut().filter(|kept| kept.key == *key)?;
        let now = Instant::now();
        if now.duration_since(kept.since) < AGE_MAX {
            return Some(kept.value.clone());
        }
        kept.since = now;
        None
    }

    fn keep(&self, key: K, value: V) {
        let since = Instant::now();
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Kept { key, value, since });
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Recall {
    pub(super) async fn resolve(&self, place: &Place) -> Result<Vec<SocketAddr>, DialError> {
        if let Some(known) = self.addresses.get(place) {
            return Ok(known);
        }
        let found = dial::resolve(place).await;
        match &found {
            Ok(addresses) => self.addresses.keep(place.clone(), addresses.clone()),
            Err(_) => self.addresses.forget(),
        }
        found
    }

    /// No address of it answered.
    pub(super) fn doubt_address(&self) {
        self.addresses.forget();
    }

    pub(super) async fn given(&self, path: &Path) -> Result<Arc<Given>, Fault> {
        let key = path.to_path_buf();
        if let Some(known) = self.given.get(&key) {
            return Ok(known);
        }
        let read = Given::read(path).await.map(Arc::new);
        match &read {
            Ok(given) => self.given.keep(key, given.clone()),
            Err(_) => self.given.forget(),
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_known_for_a_bounded_time_and_looked_up_anew_by_one_alone() {
        let slot = Slot::default();
        assert_eq!(slot.get(&"shop.eu"), None);
        slot.keep("shop.eu", 1);
        assert_eq!(slot.get(&"shop.eu"), Some(1));
        assert_eq!(slot.get(&"other.eu"), None);
        tokio::time::advance(AGE_MAX).await;
        assert_eq!(slot.get(&"shop.eu"), None, "this one looks");
        assert_eq!(slot.get(&"shop.eu"), Some(1), "the others need not");
        slot.keep("shop.eu", 2);
        assert_eq!(slot.get(&"shop.eu"), Some(2));
        slot.forget();
        assert_eq!(slot.get(&"shop.eu"), None);
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_not_remembered() {
        let (recall, place) = (
            Recall::default(),
            Place::parse("does-not-exist.invalid:443", None).unwrap(),
        );
        recall
            .addresses
            .keep(place.clone(), vec!["192.0.2.1:443".parse().unwrap()]);
        assert_eq!(recall.resolve(&place).await.unwrap().len(), 1);
        recall.doubt_address();
        assert!(recall.resolve(&place).await.is_err());
        assert_eq!(recall.addresses.get(&place), None);
    }

    #[tokio::test]
    async fn a_file_that_is_gone_is_an_error_only_when_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let made = rcgen::generate_simple_self_signed(vec!["shop.eu".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        let recall = Recall::default();
        let first = recall.given(&path).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let again = recall.given(&path).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again), "it was read twice");
        recall.given.forget();
        assert!(recall.given(&path).await.is_err());
    }
}
