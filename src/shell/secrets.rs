//! Secrets, fetched from where they lie for whoever may have them.

use crate::config::SecretRef;
use crate::domain::{BackupSpec, Clean, SecretPlace};
use crate::link::store::{Store, StoreError};

/// What it returns is never shown, kept or journaled.
pub(super) fn fetch(place: &SecretPlace) -> Result<String, Clean> {
    let place = match place {
        SecretPlace::File(path) => SecretRef::File(path.clone()),
        SecretPlace::Env(name) => SecretRef::Env(name.clone()),
    };
    let secret = place.read(|name| std::env::var_os(name));
    let secret = secret.map_err(|error| Clean::line(&error.to_string()))?;
    Ok(secret.expose().to_owned())
}

/// The stores of a backup's target, the nearest first.
pub(super) fn stores(spec: &BackupSpec) -> Result<Vec<Store>, StoreError> {
    spec.stores
        .iter()
        .map(|store| Store::open(store, fetch))
        .collect()
}
