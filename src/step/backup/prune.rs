//! `backup-prune`: what the policy does not keep is removed, store by store.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{place, remove, said};
use crate::domain::{BackupName, Clean, Keep};
use crate::engine::{Finding, Repeat, Undo};
use crate::link::store::Store;
use crate::link::store::catalogue;
use crate::step::target;
use crate::step::{Act, Done, Hands};

/// Names that a line of the log shows.
const NAMED_MAX: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupPrune {
    /// A target of the configuration that is backed up by us.
    pub target: Clean,
}

/// What is to go from one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Doomed {
    store: Clean,
    names: Vec<BackupName>,
}

impl BackupPrune {
    fn stores(&self, hands: &Hands) -> Result<(Keep, Vec<Store>), Clean> {
        let (spec, _) = place::spec(hands, &self.target)?;
        let keep = Keep {
            min: spec.keep.min.max(spec.keep_min),
            ..spec.keep
        };
        Ok((keep, place::stores(hands, spec)?))
    }

    async fn doomed(&self, store: &Store, keep: Keep) -> Result<Vec<BackupName>, Clean> {
        let read = catalogue::read(store, &self.target).await;
        Ok(read.map_err(|error| said(&error))?.removable(keep))
    }
}

impl Act for BackupPrune {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Remove the backups of {} that the policy does not keep",
            self.target
        ))
    }

    /// Only what was named before, and only while the policy still lets it go.
    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::None
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let (keep, stores) = self.stores(hands)?;
        let mut all = Vec::new();
        for store in &stores {
            let names = self.doomed(store, keep).await?;
            let shown: Vec<&str> = names
                .iter()
                .take(NAMED_MAX)
                .map(BackupName::as_str)
                .collect();
            (hands.say)(Clean::line(&format!(
                "{} to remove from {}: {}",
                names.len(),
                store.place(),
                shown.join(", ")
            )));
            all.push(Doomed {
                store: store.name().clone(),
                names,
            });
        }
        target::keep(&all)
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let all: Vec<Doomed> = target::kept(before)?;
        let (keep, stores) = self.stores(hands)?;
        let mut removed = 0_u32;
        for one in &all {
            let Some(store) = stores.iter().find(|store| *store.name() == one.store) else {
                return Err(Clean::line(&format!(
                    "there is no store {} any more: plan again",
                    one.store
                )));
            };
            let now = self.doomed(store, keep).await?;
            for name in one.names.iter().filter(|name| now.contains(name)) {
                remove(store, name).await?;
                removed += 1;
            }
        }
        Ok(Done {
            said: Clean::line(&format!("{removed} removed")),
        })
    }

    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looked = async {
            let all: Vec<Doomed> = target::kept(before)?;
            let (_, stores) = self.stores(hands)?;
            for one in &all {
                for store in stores.iter().filter(|store| *store.name() == one.store) {
                    let read = catalogue::read(store, &self.target).await;
                    let left = read.map_err(|error| said(&error))?;
                    if one
                        .names
                        .iter()
                        .any(|name| left.find(name.as_str()).is_some())
                    {
                        return Ok(false);
                    }
                }
            }
            Ok::<bool, Clean>(true)
        };
        match looked.await {
            Ok(true) => Finding::Happened,
            Ok(false) => Finding::DidNotHappen,
            Err(fault) => Finding::Unclear(fault),
        }
    }
}
