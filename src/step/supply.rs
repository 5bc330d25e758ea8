//! The backup that a restore or a rehearsal takes: chosen by its manifest, read as a stream that proves itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::sink;

use super::database::tally::{Count, Tally};
use crate::domain::{
    BackupName, BackupSpec, Clean, Content, Digest, Manifest, PostgresContent, is_manifest_of,
};
use crate::link::checked::{Checked, Promise};

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
}

impl Chosen {
    fn of(manifest: Manifest) -> Result<Self, Clean> {
        match &manifest.content {
            Content::Postgres(content) => Ok(Self {
                content: content.clone(),
                manifest,
            }),
            Content::Redis(_) | Content::Files(_) => Err(Clean::line(&format!(
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
    pub(super) async fn examine(&self, spec: &BackupSpec) -> Result<(), Clean> {
        let mut dump = self.open(spec).await?;
        let read = tokio::io::copy(&mut dump, &mut sink()).await;
        read.map_err(|error| Clean::line(&error.to_string()))?;
        Ok(())
    }
}

/// The newest backup of a target, or the one of that name.
pub(super) async fn choose(spec: &BackupSpec, word: &Clean) -> Result<Chosen, Clean> {
    let folder = folder(spec)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| Clean::line(&e.to_string()))? {
        let name = entry
            .map_err(|e| Clean::line(&e.to_string()))?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if is_manifest_of(&spec.target, &name) {
            names.push(name);
        }
    }
    names.sort();
    let wanted = if *word == *NEWEST {
        names.pop()
    } else {
        BackupName::parse(word).map(|name| name.manifest())
    };
    let Some(wanted) = wanted else {
        return Err(Clean::line(&format!(
            "there is no backup {word} of {}",
            spec.target
        )));
    };
    let text = std::fs::read(folder.join(wanted)).map_err(|e| Clean::line(&e.to_string()))?;
    Chosen::of(Manifest::read(&text).map_err(|e| Clean::line(&e.to_string()))?)
}

fn folder(spec: &BackupSpec) -> Result<PathBuf, Clean> {
    Ok(spec.directory.clone())
}

impl Chosen {
    pub(super) async fn open(&self, spec: &BackupSpec) -> Result<Checked<tokio::fs::File>, Clean> {
        let file = tokio::fs::File::open(folder(spec)?.join(self.name().as_str())).await;
        let file = file.map_err(|e| Clean::line(&e.to_string()))?;
        Ok(Checked::new(
            file,
            Promise {
                name: self.name().to_string(),
                digest: self.manifest.plain.clone(),
                custom: true,
            },
        ))
    }
}
