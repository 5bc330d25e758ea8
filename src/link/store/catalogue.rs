//! The backups of one target in one store: what their manifests say, and whether what lies there agrees.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, Stored};
use crate::domain::{
    BackupName, Clean, Digest, MANIFEST_BYTES_MAX, Manifest, Timestamp, is_manifest_of,
};

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `app-20261121T062900Z.manifest.json`
    pub manifest_name: String,
    /// `None`: the manifest cannot be read, and `reject` says why.
    pub manifest: Option<Manifest>,
    /// What the store says of the file.
    pub stored: Option<Stored>,
    /// Why it does not count: no file, another size, no manifest that can be read.
    pub reject: Option<Clean>,
}

impl Entry {
    pub fn made_at(&self) -> Option<Timestamp> {
        self.manifest.as_ref().map(|manifest| manifest.made_at)
    }
}

/// All of them, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    pub entries: Vec<Entry>,
    /// Files with a backup's name and no manifest: of an attempt that broke off, or of one that is at work.
    pub strays: Vec<Stored>,
}

impl Catalogue {
    /// The newest whose file is there with the size that was written. Only [`verify`] says more.
    pub fn newest_good(&self) -> Option<&Manifest> {
        let counts = |entry: &&Entry| entry.reject.is_none();
        self.entries.iter().find(counts)?.manifest.as_ref()
    }

    pub fn find(&self, name: &str) -> Option<&Entry> {
        let named = |entry: &&Entry| {
            let manifest = entry.manifest.as_ref();
            manifest.is_some_and(|manifest| manifest.file.name.as_str() == name)
        };
        self.entries.iter().find(named)
    }
}

/// Reads catalogues again and again without fetching what has not changed.
#[derive(Debug, Default)]
pub struct Reader {
    known: BTreeMap<String, (Stored, Result<Manifest, Clean>)>,
}

impl Reader {
    pub async fn read(&mut self, store: &Store, target: &str) -> Result<Catalogue, StoreError> {
        let listed = store.list().await?;
        let by_name: BTreeMap<&str, &Stored> = listed
            .iter()
            .map(|stored| (stored.name.as_str(), stored))
            .collect();
        let manifests = listed
            .iter()
            .filter(|stored| is_manifest_of(target, &stored.name));
        let mut catalogue = Catalogue::default();
        let mut known = BTreeMap::new();
        for stored in manifests {
            let read = match self.known.remove(&stored.name) {
                Some((before, read)) if before == *stored => read,
                _ => match fetch(store, &stored.name).await {
                    // Removed since it was listed.
                    Err(StoreError::Missing { .. }) => continue,
                    Err(error) => return Err(error),
                    Ok(read) => read,
                },
            };
            known.insert(stored.name.clone(), (stored.clone(), read.clone()));
            catalogue.entries.push(entry(stored, read, &by_name));
        }
        self.known = known;
        catalogue
            .entries
            .sort_by(|a, b| b.manifest_name.cmp(&a.manifest_name));
        let claimed = |name: &BackupName| by_name.contains_key(name.manifest().as_str());
        catalogue.strays = listed
            .iter()
            .filter(|stored| {
                let name = BackupName::parse(&stored.name);
                name.is_some_and(|name| name.target() == Some(target) && !claimed(&name))
            })
            .cloned()
            .collect();
        Ok(catalogue)
    }
}

/// Reads a catalogue once.
pub async fn read(store: &Store, target: &str) -> Result<Catalogue, StoreError> {
    Reader::default().read(store, target).await
}

async fn fetch(store: &Store, name: &str) -> Result<Result<Manifest, Clean>, StoreError> {
    let text = store.get_small(name, MANIFEST_BYTES_MAX).await?;
    Ok(Manifest::read(&text).map_err(|error| Clean::line(&error.to_string())))
}

fn entry(
    listed: &Stored,
    read: Result<Manifest, Clean>,
    by_name: &BTreeMap<&str, &Stored>,
) -> Entry {
    let manifest_name = listed.name.clone();
    let manifest = match read {
        Ok(manifest) => manifest,
        Err(reason) => {
            return Entry {
                manifest_name,
                manifest: None,
                stored: None,
                reject: Some(reason),
            };
        }
    };
    let stored = by_name.get(manifest.file.name.as_str()).copied().cloned();
    let reject = if manifest.file.name.manifest() == manifest_name {
        disagreement(&manifest, stored.as_ref())
    } else {
        Some(format!("the manifest is of {}", manifest.file.name))
    };
    Entry {
        manifest_name,
        stored,
        reject: reject.map(|reason| Clean::line(&reason)),
        manifest: Some(manifest),
    }
}

fn disagreement(manifest: &Manifest, stored: Option<&Stored>) -> Option<String> {
    let written = manifest.file.digest.bytes;
    match stored {
        None => Some("the file is gone".to_owned()),
        Some(stored) if stored.bytes < written => Some(format!(
            "cut: {} of {written} bytes are there",
            stored.bytes
        )),
        Some(stored) if stored.bytes > written => Some(format!(
            "altered: {} bytes are there, {written} were written",
            stored.bytes
        )),
        Some(_) => None,
    }
}

/// Reads all of a backup's file and compares it with what was written.
pub async fn verify(store: &Store, manifest: &Manifest) -> Result<(), Clean> {
    let name = manifest.file.name.as_str();
    let digest = digest(store, name).await;
    let digest = digest.map_err(|error| Clean::line(&error.to_string()))?;
    if digest == manifest.file.digest {
        return Ok(());
    }
    Err(Clean::line(&format!(
        "{name} in {} is not what was written: {} bytes with sha256 {}, written were {} with {}",
        store.place(),
        digest.bytes,
        digest.sha256,
        manifest.file.digest.bytes,
        manifest.file.digest.sha256
    )))
}

/// Size and hash of what lies there, read whole.
pub async fn digest(store: &Store, name: &str) -> Result<Digest, StoreError> {
    let mut fetching = store.get(name).await?;
    let mut hash = Hasher::default();
    while let Some(block) = fetching.next().await? {
        hash.take(&block);
    }
    Ok(hash.digest())
}

/// Counts and hashes what goes by.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    bytes: u64,
    sha256: Sha256,
}

impl Hasher {
    pub fn take(&mut self, block: &[u8]) {
        self.bytes += block.len() as u64;
        self.sha256.update(block);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn digest(self) -> Digest {
        use std::fmt::Write;
        let mut digits = String::with_capacity(64);
        for byte in self.sha256.finalize() {
            write!(digits, "{byte:02x}").expect("a string takes everything");
        }
        Digest {
            bytes: self.bytes,
            sha256: Clean::from(digits),
        }
    }
}
