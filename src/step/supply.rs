//! The backup that a restore or a rehearsal takes: chosen by its manifest, read as a stream that proves itself.

use serde::{Deserialize, Serialize};
use tokio::io::sink;

use super::Hands;
use super::database::tally::{Count, Tally};
use crate::domain::{
    BackupName, BackupSpec, Clean, Content, Digest, Manifest, PostgresContent, StoreSpec,
};
use crate::link::checked::{Blocks, Checked, Promise};
use crate::link::store::seal::Opened;
use crate::link::store::{Store, catalogue};

/// The word for the newest one.
pub(super) const NEWEST: &str = "newest";

/// Which backup is meant, whatever is made or put beside it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pinned {
    pub(super) name: BackupName,
    pub(super) digest: Digest,
}

/// A backup of a PostgreSQL database with its manifest.
pub(super) struct Chosen {
    pub(super) manifest: Manifest,
    pub(super) content: PostgresContent,
    /// Where it is read from.
    store: Clean,
}

impl Chosen {
    fn of(manifest: Manifest, store: Clean) -> Result<Self, Clean> {
        match &manifest.content {
            Content::Postgres(content) => Ok(Self {
                content: content.clone(),
                manifest,
                store,
            }),
            Content::Redis(_) => Err(Clean::line(&format!(
                "{} is no backup of a PostgreSQL database",
                manifest.file.name
            ))),
        }
    }

    pub(super) fn name(&self) -> &BackupName {
        &self.manifest.file.name
    }

    pub(super) fn pinned(&self) -> Pinned {
        Pinned {
            name: self.name().clone(),
            digest: self.manifest.file.digest.clone(),
        }
    }

    /// What a restore of it has to hold.
    pub(super) fn tally(&self) -> Tally {
        let tables = self.content.tables.iter();
        let one = |table: &crate::domain::TableCount| {
            let count = Count {
                rows: table.rows,
                checksum: table.checksum.to_string(),
            };
            ((table.schema.to_string(), table.table.to_string()), count)
        };
        tables.map(one).collect()
    }

    /// Reads all of it and hands nothing on: an altered one is found before anything is done with it.
    pub(super) async fn examine(&self, hands: &Hands, spec: &BackupSpec) -> Result<(), Clean> {
        let mut dump = self.open(hands, spec).await?;
        let read = tokio::io::copy(&mut dump, &mut sink()).await;
        read.map_err(|error| Clean::line(&error.to_string()))?;
        Ok(())
    }
}

/// The newest backup of a target that counts, or the one of that name: in the nearest store that has it.
pub(super) async fn choose(
    hands: &Hands,
    spec: &BackupSpec,
    word: &Clean,
) -> Result<Chosen, Clean> {
    if *word != *NEWEST && BackupName::parse(word).is_none() {
        return Err(Clean::line(&format!("{word:?} is no name of a backup")));
    }
    let mut why = Vec::new();
    for store in &spec.stores {
        match within(hands, store, &spec.target, word).await {
            Ok(manifest) => return Chosen::of(manifest, store.name.clone()),
            Err(reason) => why.push(format!("{}: {reason}", store.name)),
        }
    }
    Err(Clean::line(&format!(
        "there is no good backup {word} of {}: {}; see `quarterdeck backups`",
        spec.target,
        if why.is_empty() {
            "it has no store".to_owned()
        } else {
            why.join("; ")
        }
    )))
}

async fn within(
    hands: &Hands,
    store: &StoreSpec,
    target: &Clean,
    word: &Clean,
) -> Result<Manifest, Clean> {
    let store = opened(hands, store)?;
    let catalogue = catalogue::read(&store, target).await;
    let catalogue = catalogue.map_err(|error| Clean::line(&error.to_string()))?;
    if *word == *NEWEST {
        for entry in &catalogue.entries {
            match (&entry.reject, &entry.manifest) {
                (None, Some(manifest)) => return Ok(manifest.clone()),
                (reject, _) => (hands.say)(Clean::line(&format!(
                    "{} is passed over: {}",
                    entry.manifest_name,
                    reject.clone().unwrap_or_default()
                ))),
            }
        }
        return Err(match catalogue.entries.first() {
            None => Clean::from("none is there"),
            Some(entry) => Clean::line(&format!(
                "none counts; {}: {}",
                entry.manifest_name,
                entry.reject.clone().unwrap_or_default()
            )),
        });
    }
    match catalogue.find(word) {
        None => Err(Clean::from("it is not there")),
        Some(entry) => match (&entry.reject, &entry.manifest) {
            (None, Some(manifest)) => Ok(manifest.clone()),
            (reject, _) => Err(reject.clone().unwrap_or_default()),
        },
    }
}

fn opened(hands: &Hands, store: &StoreSpec) -> Result<Store, Clean> {
    Store::open(store, |place| (hands.secret)(place))
        .map_err(|error| Clean::line(&error.to_string()))
}

impl Chosen {
    /// The dump as `pg_dump` wrote it: decrypted, and broken off where it is not what the manifest says.
    pub(super) async fn open(
        &self,
        hands: &Hands,
        spec: &BackupSpec,
    ) -> Result<Checked<Blocks>, Clean> {
        let Some(store) = spec.store(&self.store) else {
            return Err(Clean::line(&format!(
                "{} has no store {}",
                spec.target, self.store
            )));
        };
        let fetching = opened(hands, store)?.get(self.name().as_str()).await;
        let fetching = fetching.map_err(|error| Clean::line(&error.to_string()))?;
        let blocks = match (&self.manifest.encryption, &spec.identity_file) {
            (None, _) => Blocks::plain(fetching),
            (Some(_), Some(identity)) => Blocks::opened(Opened::new(fetching, identity).await?),
            (Some(_), None) => {
                return Err(Clean::line(&format!(
                    "{} is encrypted, and no private key is configured: add identity_file to its [[backup]]",
                    self.name()
                )));
            }
        };
        Ok(Checked::new(
            blocks,
            Promise {
                name: self.name().to_string(),
                digest: self.manifest.plain.clone(),
                custom: true,
            },
        ))
    }
}
