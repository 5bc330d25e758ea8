//! What the configuration says of a target, and the stores it names.

use crate::domain::{BackupSource, BackupSpec, Clean, SecretPlace};
use crate::link::store::Store;
use crate::link::store::seal::Recipients;
use crate::step::Hands;

/// A target that is backed up by us.
pub(super) fn spec<'a>(
    hands: &'a Hands,
    target: &Clean,
) -> Result<(&'a BackupSpec, &'a BackupSource), Clean> {
    let stack = &hands.eyes.stack;
    let Some(spec) = stack.backup(target) else {
        let known: Vec<&str> = stack
            .backups
            .iter()
            .map(|one| one.target.as_str())
            .collect();
        return Err(Clean::line(&format!(
            "no [[backup]] of the configuration has the target {target}; there are: {}",
            known.join(", ")
        )));
    };
    match &spec.source {
        Some(source) => Ok((spec, source)),
        None => Err(Clean::line(&format!(
            "the backups of {target} are made by somebody else: to make them here, add `service` to its [[backup]]"
        ))),
    }
}

/// The stores, the nearest first.
pub(super) fn stores(hands: &Hands, spec: &BackupSpec) -> Result<Vec<Store>, Clean> {
    let secret = |place: &SecretPlace| (hands.secret)(place);
    let open = |store| Store::open(store, secret).map_err(|error| Clean::line(&error.to_string()));
    let stores: Vec<Store> = spec.stores.iter().map(open).collect::<Result<_, _>>()?;
    if stores.is_empty() {
        return Err(Clean::line(&format!("{} has no store", spec.target)));
    }
    Ok(stores)
}

pub(super) fn recipients(spec: &BackupSpec) -> Result<Option<Recipients>, Clean> {
    let file = spec.recipients_file.as_deref();
    file.map(Recipients::read).transpose()
}

pub(super) fn password(
    hands: &Hands,
    place: Option<&SecretPlace>,
) -> Result<Option<String>, Clean> {
    place.map(|place| (hands.secret)(place)).transpose()
}
