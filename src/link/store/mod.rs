//! Where backups lie: a local directory, or a bucket of an S3-compatible server.
//!
//! Something is in a store under its name only when it is complete; until then it is not there at all, or under a hidden
//! name that nobody lists. Nothing is ever written over. Names are plain file names: no folder, no link, no `..`.
//! Memory is bounded whatever the size: a block here, at most two parts of 8 MiB on the way to a bucket.

pub mod catalogue;
mod local;
mod remote;
pub mod seal;

use std::path::PathBuf;

use hyper::body::Bytes;
use thiserror::Error;

use crate::domain::{Clean, SecretPlace, StoreSpec, Timestamp};
use local::Local;
use remote::Remote;

/// What is handed over at once, to a store and from it.
pub const BLOCK_BYTES: usize = 256 * 1024;

/// A name in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub name: String,
    pub bytes: u64,
    /// By the store's clock.
    pub modified: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    #[error("{name} is not in {place}")]
    Missing { place: Clean, name: Clean },
    #[error("{place} is not there: {reason}; create it, or mount what it lies on")]
    Nowhere { place: Clean, reason: Clean },
    #[error("{place} is full ({reason}): make room, then do it again")]
    Full { place: Clean, reason: Clean },
    #[error("{place} does not let us ({reason}): check who may write there, and the keys")]
    Denied { place: Clean, reason: Clean },
    #[error("cannot reach {place}: {reason}")]
    Unreachable { place: Clean, reason: Clean },
    #[error("{name} is in {place} already, and nothing is written over")]
    Exists { place: Clean, name: Clean },
    #[error("{name} in {place} is {what}: it is not touched")]
    Hostile {
        place: Clean,
        name: Clean,
        what: Clean,
    },
    #[error("{0} is no name for a file in a store")]
    Name(Clean),
    #[error("the store {name} cannot be used: {reason}")]
    Misconfigured { name: Clean, reason: Clean },
    #[error("{place}: {reason}")]
    Broken { place: Clean, reason: Clean },
}

/// One store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    name: Clean,
    place: Clean,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Local(Local),
    Remote(Remote),
}

impl Store {
    /// Does not connect yet. `secret` fetches what the specification only refers to.
    pub fn open(
        spec: &StoreSpec,
        secret: impl Fn(&SecretPlace) -> Result<String, Clean>,
    ) -> Result<Self, StoreError> {
        let kind = match spec.url.strip_prefix("file://") {
            Some(path) => Kind::Local(Local::new(PathBuf::from(path))),
            None => Kind::Remote(Remote::open(spec, secret)?),
        };
        Ok(Self {
            name: spec.name.clone(),
            place: spec.url.clone(),
            kind,
        })
    }

    /// `local`
    pub fn name(&self) -> &Clean {
        &self.name
    }

    /// `file:///var/backups/app`
    pub fn place(&self) -> &Clean {
        &self.place
    }

    /// Begins to write. Under `name` nothing is there until [`Writing::finish`].
    pub async fn begin(&self, name: &str) -> Result<Writing, StoreError> {
        plain(name)?;
        Ok(Writing(match &self.kind {
            Kind::Local(local) => Way::Local(local.begin(name).await?),
            Kind::Remote(remote) => Way::Remote(remote.begin(name).await?),
        }))
    }

    /// Writes something small, whole.
    pub async fn put(&self, name: &str, content: Vec<u8>) -> Result<(), StoreError> {
        let mut writing = self.begin(name).await?;
        writing.write(Bytes::from(content)).await?;
        writing.finish().await
    }

    /// Reads it block by block.
    pub async fn get(&self, name: &str) -> Result<Fetching, StoreError> {
        plain(name)?;
        Ok(Fetching(match &self.kind {
            Kind::Local(local) => Flow::Local(local.get(name).await?),
            Kind::Remote(remote) => Flow::Remote(remote.get(name).await?),
        }))
    }

    /// Reads something small, whole.
    pub async fn get_small(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let mut fetching = self.get(name).await?;
        if fetching.bytes() > bytes_max {
            return Err(StoreError::Broken {
                place: self.place.clone(),
                reason: Clean::line(&format!(
                    "{name} has {} bytes, and {bytes_max} is the most",
                    fetching.bytes()
                )),
            });
        }
        let mut whole = Vec::new();
        while let Some(block) = fetching.next().await? {
            whole.extend_from_slice(&block);
            if whole.len() as u64 > bytes_max {
                break;
            }
        }
        Ok(whole)
    }

    /// Everything with a plain name, in the order of the names.
    pub async fn list(&self) -> Result<Vec<Stored>, StoreError> {
        let mut all = match &self.kind {
            Kind::Local(local) => local.list().await?,
            Kind::Remote(remote) => remote.list().await?,
        };
        all.retain(|stored| plain(&stored.name).is_ok());
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// `None`: it is not there.
    pub async fn head(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        plain(name)?;
        match &self.kind {
            Kind::Local(local) => local.head(name).await,
            Kind::Remote(remote) => remote.head(name).await,
        }
    }

    /// What is not there is fine.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        plain(name)?;
        match &self.kind {
            Kind::Local(local) => local.delete(name).await,
            Kind::Remote(remote) => remote.delete(name).await,
        }
    }

    /// Removes what was begun and never finished, of the names that begin so. Answers how many.
    pub async fn sweep(&self, beginning: &str) -> Result<usize, StoreError> {
        match &self.kind {
            Kind::Local(local) => local.sweep(beginning).await,
            // A bucket keeps no half objects in sight; its own rules remove the parts.
            Kind::Remote(_) => Ok(0),
        }
    }

    /// Bytes that still fit; `None`: the store does not say.
    pub async fn room(&self) -> Result<Option<u64>, StoreError> {
        match &self.kind {
            Kind::Local(local) => local.room().await.map(Some),
            Kind::Remote(_) => Ok(None),
        }
    }
}

/// Something that is being written. Dropped before [`Writing::finish`], it was never there.
#[derive(Debug)]
pub struct Writing(Way);

#[derive(Debug)]
enum Way {
    Local(local::LocalWriting),
    Remote(remote::RemoteWriting),
}

impl Writing {
    pub async fn write(&mut self, block: Bytes) -> Result<(), StoreError> {
        match &mut self.0 {
            Way::Local(writing) => writing.write(block).await,
            Way::Remote(writing) => writing.write(block).await,
        }
    }

    /// Makes it durable and visible, in this order.
    pub async fn finish(self) -> Result<(), StoreError> {
        match self.0 {
            Way::Local(writing) => writing.finish().await,
            Way::Remote(writing) => writing.finish().await,
        }
    }

    /// Gives up, and waits until nothing is left of it.
    pub async fn abandon(self) {
        match self.0 {
            Way::Local(writing) => drop(writing),
            Way::Remote(writing) => writing.abandon().await,
        }
    }
}

/// Something that is being read.
#[derive(Debug)]
pub struct Fetching(Flow);

#[derive(Debug)]
enum Flow {
    Local(local::LocalFetching),
    Remote(remote::RemoteFetching),
}

impl Fetching {
    /// How much it is, as the store says.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            Flow::Local(fetching) => fetching.bytes(),
            Flow::Remote(fetching) => fetching.bytes(),
        }
    }

    /// `None`: that was all.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        match &mut self.0 {
            Flow::Local(fetching) => fetching.next().await,
            Flow::Remote(fetching) => fetching.next().await,
        }
    }
}

/// A name that cannot leave its folder, hide, or be taken for an option.
fn plain(name: &str) -> Result<(), StoreError> {
    const BYTES_MAX: usize = 250;
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if first && name.bytes().all(rest) && name.len() <= BYTES_MAX && !name.contains("..") {
        return Ok(());
    }
    Err(StoreError::Name(Clean::line(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        assert_eq!(plain("app-20261121T062900Z.dump.age"), Ok(()));
        for name in [
            "", ".", "..", "../a", "a/b", "/a", ".a", "-a", "a..b", "a b", "a\0", "ä",
        ] {
            assert!(plain(name).is_err(), "{name:?}");
        }
    }
}
