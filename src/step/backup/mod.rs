//! Backups: made, copied, pruned.
//!
//! `backup` makes one: streamed out of the container into the stores, with a manifest taken in the same snapshot. Until
//! all of it is there, listed and hashed, nothing of it is to be seen. `backup-copy` brings to the other stores what they
//! lack. `backup-prune` removes what the policy does not keep.

mod copy;
mod intake;
mod listed;
mod place;
mod postgres;
mod progress;
mod prune;
mod redis;
mod session;
mod survey;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::target::{self, Seen};
use super::{Act, Done, Hands};
use crate::domain::{
    Age, BackupForm, BackupName, BackupSource, BackupSpec, Clean, Content, Encryption,
    MANIFEST_SCHEMA, Manifest, ServiceImage, StoredFile, Timestamp,
};
use crate::engine::{Finding, Repeat, Undo};
use crate::link::store::catalogue::{self, Catalogue};
use crate::link::store::{Store, StoreError};
use intake::Intake;
use postgres::Made;
use progress::{Progress, size};

pub use copy::BackupCopy;
pub use prune::BackupPrune;

/// Beyond the size of the last one: what may have come since, and what others write meanwhile.
const ROOM_PERCENT: u64 = 120;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// A target of the configuration that is backed up by us.
    pub target: Clean,
}

/// What `before` saw, and the name that the backup gets: every attempt makes the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    seen: Seen,
    name: BackupName,
    /// Bytes of the last one before encryption.
    last: Option<u64>,
}

fn form(source: &BackupSource) -> BackupForm {
    match source {
        BackupSource::Postgres { .. } => BackupForm::Dump,
        BackupSource::Redis { .. } => BackupForm::Rdb,
    }
}

fn said(error: &StoreError) -> Clean {
    Clean::line(&error.to_string())
}

/// Not begun when the last one would not fit again.
async fn room(nearest: &Store, catalogue: &Catalogue) -> Result<(), Clean> {
    let Some(last) = catalogue.newest_good() else {
        return Ok(());
    };
    let Some(room) = nearest.room().await.map_err(|error| said(&error))? else {
        return Ok(());
    };
    let wanted = last.file.digest.bytes / 100 * ROOM_PERCENT;
    if room >= wanted {
        return Ok(());
    }
    Err(Clean::line(&format!(
        "{} has {} left, and the last backup had {}: make room, or prune the old ones first",
        nearest.place(),
        size(room),
        size(last.file.digest.bytes)
    )))
}

impl Backup {
    async fn make(
        &self,
        hands: &Hands,
        begun: &Begun,
        stores: &[Store],
    ) -> Result<(Manifest, Vec<Clean>), Clean> {
        let (spec, source) = place::spec(hands, &self.target)?;
        let recipients = place::recipients(spec)?;
        let images = images(hands).await?;
        let mut progress = Progress::begin(hands, begun.last);
        let mut intake = Intake::begin(stores, &begun.name).await?;
        let made = match source {
            BackupSource::Postgres {
                database,
                user,
                password,
                ..
            } => {
                let server = session::Server {
                    engine: hands.engine.clone(),
                    id: begun.seen.id.clone(),
                    replica: begun.seen.replica.clone(),
                    database: database.clone(),
                    user: user.clone(),
                    password: place::password(hands, password.as_ref())?,
                    application: Clean::line(&format!("quarterdeck backup {}", self.target)),
                };
                let keys = recipients.as_ref();
                postgres::dump(hands, &server, &mut intake, keys, &mut progress).await
            }
            BackupSource::Redis { user, password, .. } => {
                let server = redis::Server {
                    engine: hands.engine.clone(),
                    id: begun.seen.id.clone(),
                    replica: begun.seen.replica.clone(),
                    user: user.clone(),
                    password: place::password(hands, password.as_ref())?,
                };
                let keys = recipients.as_ref();
                redis::copy(hands, &server, &mut intake, keys, &mut progress).await
            }
        };
        let made = match made {
            Ok(made) => made,
            Err(fault) => {
                intake.abandon().await;
                return Err(fault);
            }
        };
        let encryption = recipients.map(|keys| Encryption {
            with: Clean::from("age"),
            recipients: keys.shown(),
        });
        let manifest = self.manifest(hands, begun, made, (encryption, images));
        let left_out = intake.finish(&manifest).await?;
        Ok((manifest, left_out))
    }

    fn manifest(
        &self,
        hands: &Hands,
        begun: &Begun,
        made: Made,
        (encryption, images): (Option<Encryption>, Vec<ServiceImage>),
    ) -> Manifest {
        let took = (hands.now)().since(made.at).as_millis();
        Manifest {
            schema: MANIFEST_SCHEMA,
            target: self.target.clone(),
            made_at: made.at,
            took_ms: u64::try_from(took).unwrap_or(u64::MAX),
            made_by: Clean::from(concat!("quarterdeck ", env!("CARGO_PKG_VERSION"))),
            run: hands.run.0.clone(),
            file: StoredFile {
                name: begun.name.clone(),
                digest: made.taken.stored,
            },
            plain: made.taken.plain,
            encryption,
            images,
            content: made.content,
        }
    }
}

/// What runs, per service.
async fn images(hands: &Hands) -> Result<Vec<ServiceImage>, Clean> {
    let all = target::replicas(hands).await?;
    let mut images: Vec<ServiceImage> = Vec::new();
    for one in all {
        let image = ServiceImage {
            service: one.service,
            image: one.image,
            id: one.image_id,
        };
        if !images.contains(&image) {
            images.push(image);
        }
    }
    Ok(images)
}

fn summary(manifest: &Manifest, stores: &[Store], left_out: &[Clean]) -> Clean {
    let names: Vec<&str> = stores.iter().map(|store| store.name().as_str()).collect();
    let content = match &manifest.content {
        Content::Postgres(content) => {
            format!("{} tables, {} rows", content.tables.len(), content.rows())
        }
        Content::Redis(content) => {
            let keys: u64 = content.keys.iter().map(|one| one.keys).sum();
            format!("{keys} keys")
        }
    };
    let sealed = match &manifest.encryption {
        Some(encryption) => format!(", encrypted for {} keys", encryption.recipients.len()),
        None => String::new(),
    };
    let took = Age(std::time::Duration::from_millis(manifest.took_ms));
    let place = if left_out.is_empty() {
        format!(", in {}", names.join(" and "))
    } else {
        let why: Vec<&str> = left_out.iter().map(Clean::as_str).collect();
        format!("; not in every store, run backup-copy: {}", why.join("; "))
    };
    let said = format!(
        "{}: {}{sealed}, {content}, in {took}{place}",
        manifest.file.name,
        size(manifest.file.digest.bytes)
    );
    Clean::line(&said)
}

/// Is there a whole one of that name?
async fn there(store: &Store, target: &Clean, name: &BackupName) -> Result<bool, Clean> {
    let catalogue = catalogue::read(store, target)
        .await
        .map_err(|error| said(&error))?;
    let entry = catalogue.find(name.as_str());
    Ok(entry.is_some_and(|entry| entry.reject.is_none()))
}

/// Removes a backup, its manifest first: what has none is no backup.
async fn remove(store: &Store, name: &BackupName) -> Result<(), Clean> {
    store
        .delete(&name.manifest())
        .await
        .map_err(|error| said(&error))?;
    store
        .delete(name.as_str())
        .await
        .map_err(|error| said(&error))
}

/// Removes what an attempt at the same name has left.
async fn clear(stores: &[Store], spec: &BackupSpec, name: &BackupName) -> Result<(), Clean> {
    for (at, store) in stores.iter().enumerate() {
        let cleared = async {
            let beginning = format!("{}-", spec.target);
            store
                .sweep(&beginning)
                .await
                .map_err(|error| said(&error))?;
            remove(store, name).await
        };
        match cleared.await {
            // Another store may be away; what it holds is looked at when it is written to.
            Err(fault) if at == 0 => return Err(fault),
            Err(_) | Ok(()) => {}
        }
    }
    Ok(())
}

impl Act for Backup {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Back up {}", self.target))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let (spec, source) = place::spec(hands, &self.target)?;
        let recipients = place::recipients(spec)?;
        let stores = place::stores(hands, spec)?;
        let container = target::find(hands, source.service()).await?;
        let now: Timestamp = (hands.now)();
        let name = BackupName::new(&self.target, now, form(source), recipients.is_some());
        let name = name.ok_or_else(|| {
            Clean::line(&format!("{} cannot be part of a file's name", self.target))
        })?;
        let catalogue = catalogue::read(&stores[0], &self.target).await;
        let catalogue = catalogue.map_err(|error| said(&error))?;
        room(&stores[0], &catalogue).await?;
        target::keep(&Begun {
            seen: Seen::of(&container),
            name,
            last: catalogue.newest_good().map(|manifest| manifest.plain.bytes),
        })
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let begun: Begun = target::kept(before)?;
        let (spec, _) = place::spec(hands, &self.target)?;
        let stores = place::stores(hands, spec)?;
        if there(&stores[0], &self.target, &begun.name).await? {
            return Ok(Done {
                said: Clean::line(&format!("{} is there already", begun.name)),
            });
        }
        begun.seen.again(hands).await?;
        clear(&stores, spec, &begun.name).await?;
        let (manifest, left_out) = self.make(hands, &begun, &stores).await?;
        Ok(Done {
            said: summary(&manifest, &stores, &left_out),
        })
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let begun: Begun = target::kept(before)?;
        let (spec, _) = place::spec(hands, &self.target)?;
        for store in place::stores(hands, spec)? {
            remove(&store, &begun.name).await?;
        }
        Ok(Done {
            said: Clean::line(&format!("{} is removed", begun.name)),
        })
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looked = async {
            let begun: Begun = target::kept(before)?;
            let (spec, _) = place::spec(hands, &self.target)?;
            let stores = place::stores(hands, spec)?;
            there(&stores[0], &self.target, &begun.name).await
        };
        match looked.await {
            Ok(true) => Finding::Happened,
            Ok(false) => Finding::DidNotHappen,
            Err(fault) => Finding::Unclear(fault),
        }
    }
}
