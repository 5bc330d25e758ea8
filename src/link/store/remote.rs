//! A bucket of an S3-compatible server.
//!
//! An upload of parts is one act there: the object is not to be seen before it is completed, and never half of it. It is
//! read in ranges, so that every request has a deadline that fits its size.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use hyper::body::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};
use tokio::task::JoinHandle;

use super::{StoreError, Stored};
use crate::domain::{Clean, SecretPlace, StoreSpec, Timestamp};

/// A server takes 10,000 parts: 80 GB in all. Two are in memory at most.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Of a part on a slow line.
const REQUEST_MAX: Duration = Duration::from_mins(2);
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A server that is away for less than this is waited for.
const AWAY_MAX: Duration = Duration::from_secs(45);
const TRIES_MAX: usize = 5;

/// More names than this are not a catalogue that was ever pruned.
const ENTRIES_MAX: usize = 20_000;

#[derive(Debug, Clone)]
pub(super) struct Remote {
    bucket: Arc<dyn ObjectStore>,
    prefix: Path,
    place: Clean,
}

impl Remote {
    pub(super) fn open(
        spec: &StoreSpec,
        secret: impl Fn(&SecretPlace) -> Result<String, Clean>,
    ) -> Result<Self, StoreError> {
        let wrong = |reason: Clean| StoreError::Misconfigured {
            name: spec.name.clone(),
            reason,
        };
        let Some(place) = spec.url.strip_prefix("s3://") else {
            let reason = format!("{} is neither file:// nor s3://", spec.url);
            return Err(wrong(Clean::line(&reason)));
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let retry = RetryConfig {
            max_retries: TRIES_MAX,
            retry_timeout: AWAY_MAX,
            ..RetryConfig::default()
        };
        let client = ClientOptions::new()
            .with_timeout(REQUEST_MAX)
            .with_connect_timeout(CONNECT_MAX);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(spec.region.as_ref().map_or("us-east-1", |r| r.as_str()))
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &spec.endpoint {
            builder = builder
                .with_endpoint(endpoint.as_str())
                .with_allow_http(endpoint.starts_with("http://"));
        }
        if let (Some(access), Some(key)) = (&spec.access_key, &spec.secret_key) {
            builder = builder
                .with_access_key_id(secret(access).map_err(wrong)?)
                .with_secret_access_key(secret(key).map_err(wrong)?);
        }
        let bucket = builder
            .build()
            .map_err(|error| wrong(Clean::line(&error.to_string())))?;
        Ok(Self {
            bucket: Arc::new(bucket),
            prefix: Path::from(prefix),
            place: spec.url.clone(),
        })
    }

    fn at(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    fn fault(&self, name: &str, error: &Error) -> StoreError {
        let place = self.place.clone();
        let reason = Clean::line(&chain(error));
        match error {
            Error::NotFound { .. } => StoreError::Missing {
                place,
                name: Clean::line(name),
            },
            Error::AlreadyExists { .. } => StoreError::Exists {
                place,
                name: Clean::line(name),
            },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                StoreError::Denied { place, reason }
            }
            _ if reason.contains("507") => StoreError::Full { place, reason },
            _ => StoreError::Unreachable { place, reason },
        }
    }

    pub(super) async fn begin(&self, name: &str) -> Result<RemoteWriting, StoreError> {
        if self.head(name).await?.is_some() {
            return Err(StoreError::Exists {
                place: self.place.clone(),
                name: Clean::line(name),
            });
        }
        Ok(RemoteWriting {
            remote: self.clone(),
            name: name.to_owned(),
            upload: None,
            part: Vec::new(),
            sending: None,
        })
    }

    pub(super) async fn get(&self, name: &str) -> Result<RemoteFetching, StoreError> {
        match self.head(name).await? {
            Some(stored) => Ok(RemoteFetching {
                remote: self.clone(),
                name: name.to_owned(),
                bytes: stored.bytes,
                read: 0,
            }),
            None => Err(StoreError::Missing {
                place: self.place.clone(),
                name: Clean::line(name),
            }),
        }
    }

    pub(super) async fn list(&self) -> Result<Vec<Stored>, StoreError> {
        let mut listing = self.bucket.list(Some(&self.prefix));
        let mut all = Vec::new();
        while let Some(meta) = listing.next().await {
            let meta = meta.map_err(|error| self.fault("", &error))?;
            // What lies in folders of the prefix is not ours.
            let below = meta
                .location
                .prefix_match(&self.prefix)
                .map(Iterator::count);
            if below != Some(1) {
                continue;
            }
            if all.len() == ENTRIES_MAX {
                return Err(StoreError::Broken {
                    place: self.place.clone(),
                    reason: Clean::line(&format!("more than {ENTRIES_MAX} names: prune it")),
                });
            }
            all.extend(meta.location.filename().map(|name| stored(name, &meta)));
        }
        Ok(all)
    }

    pub(super) async fn head(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        match self.bucket.head(&self.at(name)).await {
            Ok(meta) => Ok(Some(stored(name, &meta))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.fault(name, &error)),
        }
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.bucket.delete(&self.at(name)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.fault(name, &error)),
        }
    }
}

fn stored(name: &str, meta: &object_store::ObjectMeta) -> Stored {
    Stored {
        name: name.to_owned(),
        bytes: meta.size,
        modified: Timestamp(u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0)),
    }
}

/// The cause is what a person can act on, and it is said last.
fn chain(error: &Error) -> String {
    let mut said = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said = format!("{said}: {cause_said}");
        }
        next = cause.source();
    }
    said
}

#[derive(Debug)]
pub(super) struct RemoteWriting {
    remote: Remote,
    name: String,
    /// `None`: all of it fits into one part so far.
    upload: Option<Box<dyn MultipartUpload>>,
    part: Vec<u8>,
    sending: Option<JoinHandle<object_store::Result<()>>>,
}

impl RemoteWriting {
    fn fault(&self, error: &Error) -> StoreError {
        self.remote.fault(&self.name, error)
    }

    pub(super) async fn write(&mut self, block: Bytes) -> Result<(), StoreError> {
        self.part.extend_from_slice(&block);
        while self.part.len() >= PART_BYTES {
            let rest = self.part.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.part, rest);
            self.send(part).await?;
        }
        Ok(())
    }

    /// One part is on its way while the next one is filled.
    async fn send(&mut self, part: Vec<u8>) -> Result<(), StoreError> {
        self.sent().await?;
        let mut upload = match self.upload.take() {
            Some(upload) => upload,
            None => {
                let at = self.remote.at(&self.name);
                let begun = self.remote.bucket.put_multipart(&at).await;
                begun.map_err(|error| self.fault(&error))?
            }
        };
        self.sending = Some(tokio::spawn(upload.put_part(PutPayload::from(part))));
        self.upload = Some(upload);
        Ok(())
    }

    async fn sent(&mut self) -> Result<(), StoreError> {
        let Some(sending) = self.sending.take() else {
            return Ok(());
        };
        match sending.await {
            Ok(done) => done.map_err(|error| self.fault(&error)),
            Err(error) => Err(StoreError::Broken {
                place: self.remote.place.clone(),
                reason: Clean::line(&error.to_string()),
            }),
        }
    }

    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        let done = self.complete().await;
        if done.is_err() {
            self.abandon().await;
        }
        done
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        let part = std::mem::take(&mut self.part);
        if self.upload.is_none() {
            let at = self.remote.at(&self.name);
            let put = self.remote.bucket.put(&at, PutPayload::from(part)).await;
            return put.map(drop).map_err(|error| self.fault(&error));
        }
        if !part.is_empty() {
            self.send(part).await?;
        }
        self.sent().await?;
        if let Some(upload) = &mut self.upload {
            let completed = upload.complete().await;
            completed.map_err(|error| self.remote.fault(&self.name, &error))?;
        }
        self.upload = None;
        Ok(())
    }

    pub(super) async fn abandon(mut self) {
        if let Some(sending) = self.sending.take() {
            sending.abort();
        }
        if let Some(mut upload) = self.upload.take() {
            // Parts of an upload that was never completed are no object; the server's own rules remove what is left.
            if let Err(error) = upload.abort().await {
                tracing::warn!("parts are left in {}: {error}", self.remote.place);
            }
        }
    }
}

impl Drop for RemoteWriting {
    fn drop(&mut self) {
        if let Some(sending) = self.sending.take() {
            sending.abort();
        }
        let Some(mut upload) = self.upload.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { upload.abort().await });
        }
    }
}

#[derive(Debug)]
pub(super) struct RemoteFetching {
    remote: Remote,
    name: String,
    bytes: u64,
    read: u64,
}

impl RemoteFetching {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        const RANGE_BYTES: u64 = 4 * 1024 * 1024;
        if self.read >= self.bytes {
            return Ok(None);
        }
        let range = self.read..self.bytes.min(self.read + RANGE_BYTES);
        let at = self.remote.at(&self.name);
        let block = self.remote.bucket.get_range(&at, range.clone()).await;
        let block = block.map_err(|error| self.remote.fault(&self.name, &error))?;
        if block.is_empty() {
            return Err(StoreError::Broken {
                place: self.remote.place.clone(),
                reason: Clean::line(&format!("{} became shorter while it was read", self.name)),
            });
        }
        self.read += block.len() as u64;
        Ok(Some(block))
    }
}
