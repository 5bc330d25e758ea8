//! `backup-copy`: what lies at home is brought to the other stores, and read back there.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::progress::{Progress, size};
use super::{place, remove, said};
use crate::domain::{BackupName, Clean, Manifest};
use crate::engine::{Finding, Repeat, Undo};
use crate::link::store::Store;
use crate::link::store::catalogue::{self, Hasher};
use crate::step::target;
use crate::step::{Act, Done, Hands};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupCopy {
    /// A target of the configuration that has more than one store.
    pub target: Clean,
}

/// What a store lacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lacking {
    store: Clean,
    names: Vec<BackupName>,
}

impl BackupCopy {
    /// The store at home, and the others.
    fn stores(&self, hands: &Hands) -> Result<(Store, Vec<Store>), Clean> {
        let (spec, _) = place::spec(hands, &self.target)?;
        let mut stores = place::stores(hands, spec)?;
        let home = stores.remove(0);
        if stores.is_empty() {
            return Err(Clean::line(&format!(
                "{} has one store: add a [[backup.store]] to its [[backup]], on another machine",
                self.target
            )));
        }
        Ok((home, stores))
    }

    /// Whole ones at home that the other has not, or not whole; newest first.
    async fn lacking(&self, home: &Store, other: &Store) -> Result<Vec<Manifest>, Clean> {
        let here = catalogue::read(home, &self.target)
            .await
            .map_err(|error| said(&error))?;
        let there = catalogue::read(other, &self.target)
            .await
            .map_err(|error| said(&error))?;
        let has = |manifest: &Manifest| {
            let entry = there.find(manifest.file.name.as_str());
            entry.is_some_and(|entry| {
                entry.reject.is_none() && entry.manifest.as_ref() == Some(manifest)
            })
        };
        let good = here
            .entries
            .into_iter()
            .filter(|entry| entry.reject.is_none());
        Ok(good
            .filter_map(|entry| entry.manifest)
            .filter(|manifest| !has(manifest))
            .collect())
    }
}

/// Copies one, reads it back, and only then writes the manifest.
async fn bring(
    manifest: &Manifest,
    (home, other): (&Store, &Store),
    progress: &mut Progress,
) -> Result<(), Clean> {
    let name = &manifest.file.name;
    remove(other, name).await?;
    let mut fetching = home
        .get(name.as_str())
        .await
        .map_err(|error| said(&error))?;
    let mut writing = other
        .begin(name.as_str())
        .await
        .map_err(|error| said(&error))?;
    let mut hash = Hasher::default();
    let poured = async {
        while let Some(block) = fetching.next().await.map_err(|error| said(&error))? {
            hash.take(&block);
            writing.write(block).await.map_err(|error| said(&error))?;
            progress.at(hash.bytes());
        }
        Ok::<(), Clean>(())
    };
    let poured = poured.await;
    let whole = poured.and_then(|()| {
        if hash.digest() == manifest.file.digest {
            return Ok(());
        }
        Err(Clean::line(&format!(
            "{name} in {} is not what was written: it is not copied; make a new backup, and look at that disk",
            home.place()
        )))
    });
    if let Err(fault) = whole {
        writing.abandon().await;
        return Err(fault);
    }
    writing.finish().await.map_err(|error| said(&error))?;
    if let Err(fault) = catalogue::verify(other, manifest).await {
        remove(other, name).await?;
        return Err(fault);
    }
    let put = other.put(&name.manifest(), manifest.written()).await;
    put.map_err(|error| said(&error))
}

impl Act for BackupCopy {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Copy the backups of {} to the stores that lack them",
            self.target
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let (home, others) = self.stores(hands)?;
        let mut all = Vec::new();
        for other in &others {
            let lacking = self.lacking(&home, other).await?;
            all.push(Lacking {
                store: other.name().clone(),
                names: lacking
                    .into_iter()
                    .map(|manifest| manifest.file.name)
                    .collect(),
            });
        }
        target::keep(&all)
    }

    async fn perform(&self, hands: &Hands, _: &Value) -> Result<Done, Clean> {
        let (home, others) = self.stores(hands)?;
        let (mut many, mut bytes) = (0_u32, 0_u64);
        for other in &others {
            other
                .sweep(&format!("{}-", self.target))
                .await
                .map_err(|error| said(&error))?;
            for manifest in self.lacking(&home, other).await? {
                let mut progress = Progress::begin(hands, Some(manifest.file.digest.bytes));
                bring(&manifest, (&home, other), &mut progress).await?;
                (hands.say)(Clean::line(&format!(
                    "{} is in {}, read back and identical",
                    manifest.file.name,
                    other.place()
                )));
                many += 1;
                bytes = bytes.saturating_add(manifest.file.digest.bytes);
            }
        }
        let said = match many {
            0 => "every store has them all".to_owned(),
            many => format!("{many} copied, {}", size(bytes)),
        };
        Ok(Done {
            said: Clean::line(&said),
        })
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let all: Vec<Lacking> = target::kept(before)?;
        let (_, others) = self.stores(hands)?;
        let mut removed = 0;
        for lacking in &all {
            let store = others.iter().find(|store| *store.name() == lacking.store);
            let Some(store) = store else {
                return Err(Clean::line(&format!(
                    "there is no store {} any more: remove by hand what was copied to it",
                    lacking.store
                )));
            };
            for name in &lacking.names {
                remove(store, name).await?;
                removed += 1;
            }
        }
        Ok(Done {
            said: Clean::line(&format!("{removed} copies are removed")),
        })
    }

    async fn happened(&self, hands: &Hands, _: &Value) -> Finding {
        let looked = async {
            let (home, others) = self.stores(hands)?;
            for other in &others {
                if !self.lacking(&home, other).await?.is_empty() {
                    return Ok(false);
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
