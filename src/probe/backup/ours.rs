//! Catalogues of ours: what the manifests say, whether the files agree, and what the other stores have.

use std::time::Duration;

use super::files::reject_size;
use crate::domain::{
    BackupFile, BackupSpec, Clean, Content, Copies, Fault, FaultKind, Keep, Made, Manifest, Ours,
    Timestamp,
};
use crate::link::store::catalogue::{Catalogue, Entry, Reader};
use crate::link::store::{Store, StoreError};

/// Between a file and its manifest: younger than this is no half backup, but one that is being finished.
const FINISHING: Duration = Duration::from_mins(1);

/// The stores, each with what was read before.
#[derive(Debug)]
pub(super) struct Shelves(Vec<(Store, Reader)>);

impl Shelves {
    pub(super) fn new(stores: Vec<Store>) -> Self {
        Self(
            stores
                .into_iter()
                .map(|store| (store, Reader::default()))
                .collect(),
        )
    }

    pub(super) async fn look(
        &mut self,
        spec: &BackupSpec,
        now: Timestamp,
    ) -> Result<(Vec<BackupFile>, Ours), Fault> {
        let mut shelves = self.0.iter_mut();
        let Some((nearest, reader)) = shelves.next() else {
            let text = format!("{} has no store", spec.target);
            return Err(Fault::new(FaultKind::Misconfigured, text));
        };
        let home = reader.read(nearest, &spec.target).await;
        let home = home.map_err(|error| fault(&error))?;
        let mut copies = Vec::new();
        for (store, reader) in shelves {
            let there = reader.read(store, &spec.target).await;
            copies.push(compared(store, &home, there));
        }
        let keep = Keep {
            min: spec.keep.min.max(spec.keep_min),
            ..spec.keep
        };
        let ours = Ours {
            newest: home.newest_good().map(made),
            copies,
            removable: many(home.removable(keep).len()),
            rto_max_s: spec.rto.map(|rto| rto.as_secs()),
            rto_ms: None,
        };
        Ok((files(spec, &home, now), ours))
    }
}

fn many(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn fault(error: &StoreError) -> Fault {
    let kind = match error {
        StoreError::Missing { .. } | StoreError::Nowhere { .. } => FaultKind::Missing,
        StoreError::Denied { .. } => FaultKind::Denied,
        StoreError::Unreachable { .. } => FaultKind::Refused,
        StoreError::Misconfigured { .. } | StoreError::Name(_) => FaultKind::Misconfigured,
        StoreError::Full { .. }
        | StoreError::Exists { .. }
        | StoreError::Hostile { .. }
        | StoreError::Broken { .. } => FaultKind::Broken,
    };
    Fault::new(kind, error.to_string())
}

/// What of the nearest store another has: the same manifest, and a file of the size it says.
fn compared(store: &Store, home: &Catalogue, there: Result<Catalogue, StoreError>) -> Copies {
    let (kept, lacking, fault) = match there {
        Ok(there) => {
            let good = |entry: &&Entry| entry.reject.is_none();
            let has = |entry: &&Entry| {
                there
                    .entries
                    .iter()
                    .filter(good)
                    .any(|other| other.manifest == entry.manifest)
            };
            let kept = there.entries.iter().filter(good).count();
            let lacking = home
                .entries
                .iter()
                .filter(good)
                .filter(|entry| !has(entry))
                .count();
            (many(kept), many(lacking), None)
        }
        Err(error) => (0, 0, Some(Clean::line(&error.to_string()))),
    };
    Copies {
        store: store.name().clone(),
        place: store.place().clone(),
        kept,
        lacking,
        fault,
    }
}

/// As files, newest first; judged oldest first, since each is measured against the last one that counted.
fn files(spec: &BackupSpec, home: &Catalogue, now: Timestamp) -> Vec<BackupFile> {
    let mut last_good = None;
    let mut files: Vec<BackupFile> = Vec::new();
    for entry in home.entries.iter().rev() {
        let bytes = entry.stored.as_ref().map_or(0, |stored| stored.bytes);
        let small = || reject_size(spec, bytes, last_good).map(Clean::from);
        let reject = entry.reject.clone().or_else(small);
        if reject.is_none() {
            last_good = Some(bytes);
        }
        let name = entry
            .manifest
            .as_ref()
            .map(|manifest| Clean::line(manifest.file.name.as_str()));
        files.push(BackupFile {
            name: name.unwrap_or_else(|| Clean::line(&entry.manifest_name)),
            at: entry.made_at().unwrap_or_default(),
            bytes,
            reject,
        });
    }
    for stray in &home.strays {
        if now.since(stray.modified) >= FINISHING {
            files.push(BackupFile {
                name: Clean::line(&stray.name),
                at: stray.modified,
                bytes: stray.bytes,
                reject: Some(Clean::from("without a manifest: never finished")),
            });
        }
    }
    files.sort_by(|a, b| (b.at, &b.name).cmp(&(a.at, &a.name)));
    files
}

fn made(manifest: &Manifest) -> Made {
    let (source, content) = match &manifest.content {
        Content::Postgres(content) => (
            format!(
                "database {} of PostgreSQL {}, system {}",
                content.database, content.server_version, content.system_identifier
            ),
            format!("{} tables, {} rows", content.tables.len(), content.rows()),
        ),
        Content::Redis(content) => {
            let keys: u64 = content.keys.iter().map(|one| one.keys).sum();
            (
                format!("Redis {}", content.server_version),
                format!("{keys} keys"),
            )
        }
    };
    Made {
        name: Clean::line(manifest.file.name.as_str()),
        sha256: manifest.file.digest.sha256.clone(),
        source: Clean::line(&source),
        content: Clean::line(&content),
        run: manifest.run.clone(),
        took_ms: manifest.took_ms,
        keys: manifest
            .encryption
            .as_ref()
            .map(|keys| many(keys.recipients.len())),
    }
}
