//! From a stream to the stores: hashed, encrypted where that is wanted, and in no store before all of it is there.
//!
//! One block is in memory, and what a store holds back itself. The nearest store has to take everything; another that
//! fails is left out and said, because a backup at home is better than none.

use crate::link::store::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::progress::Progress;
use crate::domain::{BackupName, Clean, Digest, Manifest};
use crate::link::store::catalogue::Hasher;
use crate::link::store::seal::{Recipients, Sealer};
use crate::link::store::{BLOCK_BYTES, Store, Writing};

/// A store, and how writing to it stands.
struct Into {
    store: Store,
    writing: Option<Writing>,
    fault: Option<Clean>,
}

/// What went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) plain: Digest,
    pub(super) stored: Digest,
    /// The last bytes before encryption.
    pub(super) tail: Vec<u8>,
}

/// Writing one backup to its stores.
pub(super) struct Intake {
    name: BackupName,
    into: Vec<Into>,
}

/// Enough to know the end of a dump by.
const TAIL_BYTES: usize = 16;

impl Intake {
    /// The first store has to be there; the others may be missing.
    pub(super) async fn begin(stores: &[Store], name: &BackupName) -> Result<Self, Clean> {
        let mut into = Vec::new();
        for store in stores {
            let begun = store.begin(name.as_str()).await;
            let (writing, fault) = match begun {
                Ok(writing) => (Some(writing), None),
                Err(error) if into.is_empty() => return Err(Clean::line(&error.to_string())),
                Err(error) => (None, Some(Clean::line(&error.to_string()))),
            };
            into.push(Into {
                store: store.clone(),
                writing,
                fault,
            });
        }
        Ok(Self {
            name: name.clone(),
            into,
        })
    }

    /// Takes the stream to its end. `beside` gets a copy of the plain bytes for as long as it takes them.
    pub(super) async fn take<R: AsyncRead + Unpin>(
        &mut self,
        mut from: R,
        recipients: Option<&Recipients>,
        mut beside: Option<DuplexStream>,
        progress: &mut Progress,
    ) -> Result<Taken, Clean> {
        let mut sealer = recipients.map(Sealer::new).transpose()?;
        let (mut plain, mut stored) = (Hasher::default(), Hasher::default());
        let mut tail = Vec::new();
        loop {
            let block = filled(&mut from).await?;
            if block.is_empty() {
                break;
            }
            plain.take(&block);
            tail.extend_from_slice(&block[block.len().saturating_sub(TAIL_BYTES)..]);
            tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
            if let Some(listener) = &mut beside
                && listener.write_all(&block).await.is_err()
            {
                // It has heard what it wanted.
                beside = None;
            }
            let block = match &mut sealer {
                Some(sealer) => sealer.push(&block)?,
                None => Bytes::from(block),
            };
            stored.take(&block);
            self.write(&block).await?;
            progress.at(plain.bytes());
        }
        drop(beside);
        if let Some(sealer) = sealer {
            let last = sealer.finish()?;
            stored.take(&last);
            self.write(&last).await?;
        }
        Ok(Taken {
            plain: plain.digest(),
            stored: stored.digest(),
            tail,
        })
    }

    async fn write(&mut self, block: &Bytes) -> Result<(), Clean> {
        if block.is_empty() {
            return Ok(());
        }
        for (at, into) in self.into.iter_mut().enumerate() {
            let Some(writing) = &mut into.writing else {
                continue;
            };
            if let Err(error) = writing.write(block.clone()).await {
                let fault = Clean::line(&error.to_string());
                if at == 0 {
                    return Err(fault);
                }
                into.fault = Some(fault);
                if let Some(writing) = into.writing.take() {
                    writing.abandon().await;
                }
            }
        }
        Ok(())
    }

    /// Makes it visible: the file, then its manifest, store by store. Answers what did not get there.
    pub(super) async fn finish(mut self, manifest: &Manifest) -> Result<Vec<Clean>, Clean> {
        for (at, into) in self.into.iter_mut().enumerate() {
            let Some(writing) = into.writing.take() else {
                continue;
            };
            if let Err(fault) = finish(&into.store, writing, &self.name, manifest).await {
                if at == 0 {
                    return Err(fault);
                }
                into.fault = Some(fault);
            }
        }
        Ok(self
            .into
            .into_iter()
            .filter_map(|into| into.fault)
            .collect())
    }

    /// Waits until nothing is left of it.
    pub(super) async fn abandon(self) {
        for into in self.into {
            if let Some(writing) = into.writing {
                writing.abandon().await;
            }
        }
    }
}

async fn finish(
    store: &Store,
    writing: Writing,
    name: &BackupName,
    manifest: &Manifest,
) -> Result<(), Clean> {
    let said = |error: crate::link::store::StoreError| Clean::line(&error.to_string());
    writing.finish().await.map_err(said)?;
    let put = store.put(&name.manifest(), manifest.written()).await;
    if let Err(error) = put {
        // Without its manifest it is no backup.
        store.delete(name.as_str()).await.map_err(said)?;
        return Err(said(error));
    }
    Ok(())
}

/// A whole block, or what was left.
async fn filled<R: AsyncRead + Unpin>(from: &mut R) -> Result<Vec<u8>, Clean> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut limited = from.take(BLOCK_BYTES as u64);
    let read = limited.read_to_end(&mut block).await;
    read.map_err(|error| Clean::line(&format!("the stream broke off: {error}")))?;
    Ok(block)
}
