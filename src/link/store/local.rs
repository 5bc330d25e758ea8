//! A directory of this host.
//!
//! Files are for their owner alone (0600). A new one is written under a hidden name, made durable, then renamed; the
//! rename never replaces anything. A link is never followed, and what is not a regular file with one name is not read.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use hyper::body::Bytes;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{BLOCK_BYTES, StoreError, Stored};
use crate::domain::{Clean, Timestamp};

/// What is begun and not finished: `.app-20261121T062900Z.dump.part`.
const UNFINISHED: &str = ".part";

/// More names than this in one directory are not a catalogue that was ever pruned.
const ENTRIES_MAX: usize = 20_000;

#[derive(Debug, Clone)]
pub(super) struct Local {
    directory: PathBuf,
}

/// Work on a disk may hang; it runs beside the loop.
async fn beside<T: Send + 'static>(
    place: &Clean,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(StoreError::Broken {
            place: place.clone(),
            reason: Clean::line(&error.to_string()),
        }),
    }
}

impl Local {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn place(&self) -> Clean {
        Clean::line(&self.directory.display().to_string())
    }

    fn open(&self) -> Result<OwnedFd, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.directory, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => StoreError::Nowhere {
                place: self.place(),
                reason: Clean::line(&errno.to_string()),
            },
            errno => fault(&self.place(), "", errno),
        })
    }

    pub(super) async fn begin(&self, name: &str) -> Result<LocalWriting, StoreError> {
        let (local, name, place) = (self.clone(), name.to_owned(), self.place());
        let work = move || {
            let directory = local.open()?;
            let place = local.place();
            if look(&directory, &name)
                .map_err(|e| fault(&place, &name, e))?
                .is_some()
            {
                return Err(StoreError::Exists {
                    place,
                    name: Clean::line(&name),
                });
            }
            let hidden = format!(".{name}{UNFINISHED}");
            // What an attempt that broke off has left; runs of one target exclude each other.
            remove(&directory, &hidden).map_err(|e| fault(&place, &hidden, e))?;
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&directory, &hidden, flags, Mode::RUSR | Mode::WUSR)
                .map_err(|errno| fault(&place, &hidden, errno))?;
            Ok(LocalWriting {
                open: Some(Open {
                    directory,
                    hidden,
                    name,
                    file: File::from(file),
                }),
                place,
            })
        };
        beside(&place, work).await
    }

    pub(super) async fn get(&self, name: &str) -> Result<LocalFetching, StoreError> {
        let (local, name, place) = (self.clone(), name.to_owned(), self.place());
        let work = move || {
            let directory = local.open()?;
            let place = local.place();
            // Non-blocking: a pipe in place of the file must not wait for its writer.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&directory, &name, flags, Mode::empty())
                .map_err(|errno| fault(&place, &name, errno))?;
            let file = File::from(file);
            let metadata = file
                .metadata()
                .map_err(|error| of_io(&place, &name, &error))?;
            if let Some(what) = odd(metadata.is_file(), metadata.nlink()) {
                return Err(StoreError::Hostile {
                    place,
                    name: Clean::line(&name),
                    what: Clean::from(what),
                });
            }
            Ok(LocalFetching {
                file: Some(file),
                bytes: metadata.len(),
                place,
                name,
            })
        };
        beside(&place, work).await
    }

    pub(super) async fn list(&self) -> Result<Vec<Stored>, StoreError> {
        let (local, place) = (self.clone(), self.place());
        beside(&place, move || local.names()).await
    }

    fn names(&self) -> Result<Vec<Stored>, StoreError> {
        let directory = self.open()?;
        let place = self.place();
        let entries = rustix::fs::Dir::read_from(&directory).map_err(|e| fault(&place, "", e))?;
        let mut all = Vec::new();
        for (at, entry) in entries.enumerate() {
            if at == ENTRIES_MAX {
                return Err(StoreError::Broken {
                    place,
                    reason: Clean::line(&format!(
                        "more than {ENTRIES_MAX} names; give the backups a directory of their own"
                    )),
                });
            }
            let entry = entry.map_err(|errno| fault(&place, "", errno))?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            all.extend(look(&directory, name).map_err(|errno| fault(&place, name, errno))?);
        }
        // Links, pipes and files with a second name are not backups.
        Ok(all
            .into_iter()
            .filter(|seen| seen.odd.is_none())
            .map(|seen| seen.stored)
            .collect())
    }

    pub(super) async fn head(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        let (local, name, place) = (self.clone(), name.to_owned(), self.place());
        let work = move || {
            let directory = local.open()?;
            let place = local.place();
            match look(&directory, &name).map_err(|errno| fault(&place, &name, errno))? {
                Some(Seen {
                    odd: Some(what), ..
                }) => Err(StoreError::Hostile {
                    place,
                    name: Clean::line(&name),
                    what: Clean::from(what),
                }),
                Some(seen) => Ok(Some(seen.stored)),
                None => Ok(None),
            }
        };
        beside(&place, work).await
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let (local, name, place) = (self.clone(), name.to_owned(), self.place());
        let work = move || {
            let directory = local.open()?;
            let place = local.place();
            remove(&directory, &name).map_err(|errno| fault(&place, &name, errno))?;
            rustix::fs::fsync(&directory).map_err(|errno| fault(&place, &name, errno))
        };
        beside(&place, work).await
    }

    pub(super) async fn sweep(&self, beginning: &str) -> Result<usize, StoreError> {
        let (local, place) = (self.clone(), self.place());
        let hidden = format!(".{beginning}");
        let work = move || {
            let directory = local.open()?;
            let place = local.place();
            let ours = |stored: &Stored| {
                stored.name.starts_with(&hidden) && stored.name.ends_with(UNFINISHED)
            };
            let left: Vec<Stored> = local.names()?.into_iter().filter(ours).collect();
            for stored in &left {
                remove(&directory, &stored.name).map_err(|e| fault(&place, &stored.name, e))?;
            }
            Ok(left.len())
        };
        beside(&place, work).await
    }

    pub(super) async fn room(&self) -> Result<u64, StoreError> {
        let (local, place) = (self.clone(), self.place());
        let work = move || {
            let room = rustix::fs::fstatvfs(local.open()?)
                .map_err(|errno| fault(&local.place(), "", errno))?;
            Ok(room.f_bavail.saturating_mul(room.f_frsize))
        };
        beside(&place, work).await
    }
}

struct Seen {
    stored: Stored,
    /// Why it is no backup, whatever its name.
    odd: Option<&'static str>,
}

fn look(directory: &OwnedFd, name: &str) -> Result<Option<Seen>, Errno> {
    let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let is_file = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    Ok(Some(Seen {
        stored: Stored {
            name: name.to_owned(),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified: Timestamp(seconds.saturating_mul(1000)),
        },
        #[expect(
            clippy::useless_conversion,
            reason = "its width differs by architecture"
        )]
        odd: odd(is_file, u64::from(stat.st_nlink)),
    }))
}

fn odd(is_file: bool, names: u64) -> Option<&'static str> {
    if !is_file {
        return Some("a link, a folder or a pipe, not a file");
    }
    (names != 1).then_some("a file with a second name (hard link)")
}

fn remove(directory: &OwnedFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

fn fault(place: &Clean, name: &str, errno: Errno) -> StoreError {
    let place = place.clone();
    let reason = Clean::line(&errno.to_string());
    match errno {
        Errno::NOENT => StoreError::Missing {
            place,
            name: Clean::line(name),
        },
        Errno::NOSPC | Errno::DQUOT => StoreError::Full { place, reason },
        Errno::ACCESS | Errno::PERM | Errno::ROFS => StoreError::Denied { place, reason },
        Errno::EXIST => StoreError::Exists {
            place,
            name: Clean::line(name),
        },
        Errno::LOOP => StoreError::Hostile {
            place,
            name: Clean::line(name),
            what: Clean::from("a link"),
        },
        _ => StoreError::Broken { place, reason },
    }
}

fn of_io(place: &Clean, name: &str, error: &std::io::Error) -> StoreError {
    match Errno::from_io_error(error) {
        Some(errno) => fault(place, name, errno),
        None => StoreError::Broken {
            place: place.clone(),
            reason: Clean::line(&error.to_string()),
        },
    }
}

#[derive(Debug)]
pub(super) struct LocalWriting {
    /// `None` only while a thread has it, and after a failure.
    open: Option<Open>,
    place: Clean,
}

#[derive(Debug)]
struct Open {
    directory: OwnedFd,
    hidden: String,
    name: String,
    file: File,
}

impl Drop for Open {
    /// Given up: the hidden file goes. When even that fails, the next attempt sweeps it.
    fn drop(&mut self) {
        let _ = remove(&self.directory, &self.hidden);
    }
}

impl LocalWriting {
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Open) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(mut open) = self.open.take() else {
            return Err(StoreError::Broken {
                place: self.place.clone(),
                reason: Clean::from("writing there has failed before"),
            });
        };
        let (open, done) = beside(&self.place, move || {
            let done = work(&mut open)?;
            Ok((open, done))
        })
        .await?;
        self.open = Some(open);
        Ok(done)
    }

    pub(super) async fn write(&mut self, block: Bytes) -> Result<(), StoreError> {
        let place = self.place.clone();
        self.with(move |open| {
            let written = open.file.write_all(&block);
            written.map_err(|error| of_io(&place, &open.name, &error))
        })
        .await
    }

    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        let place = self.place.clone();
        self.with(move |open| {
            let synced = open.file.sync_all();
            synced.map_err(|error| of_io(&place, &open.name, &error))?;
            let directory = &open.directory;
            rustix::fs::renameat_with(
                directory,
                &open.hidden,
                directory,
                &open.name,
                RenameFlags::NOREPLACE,
            )
            .map_err(|errno| fault(&place, &open.name, errno))?;
            rustix::fs::fsync(directory).map_err(|errno| fault(&place, &open.name, errno))
        })
        .await
    }
}

#[derive(Debug)]
pub(super) struct LocalFetching {
    file: Option<File>,
    bytes: u64,
    place: Clean,
    name: String,
}

impl LocalFetching {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some(mut file) = self.file.take() else {
            return Ok(None);
        };
        let (place, name) = (self.place.clone(), self.name.clone());
        let (file, block) = beside(&self.place, move || {
            let mut block = Vec::with_capacity(BLOCK_BYTES);
            let read = (&mut file).take(BLOCK_BYTES as u64).read_to_end(&mut block);
            read.map_err(|error| of_io(&place, &name, &error))?;
            Ok((file, block))
        })
        .await?;
        if block.is_empty() {
            return Ok(None);
        }
        self.file = Some(file);
        Ok(Some(Bytes::from(block)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place() -> (tempfile::TempDir, Local) {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::new(dir.path().to_owned());
        (dir, local)
    }

    #[tokio::test]
    async fn a_file_is_there_only_when_it_is_finished_and_is_its_owners_alone() {
        let (dir, local) = place();
        let mut writing = local.begin("a.dump").await.unwrap();
        writing.write(Bytes::from_static(b"one")).await.unwrap();
        assert_eq!(local.head("a.dump").await.unwrap(), None);
        writing.write(Bytes::from_static(b"two")).await.unwrap();
        writing.finish().await.unwrap();
        let mode = std::fs::metadata(dir.path().join("a.dump"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut fetching = local.get("a.dump").await.unwrap();
        assert_eq!(fetching.bytes(), 6);
        assert_eq!(fetching.next().await.unwrap().unwrap(), "onetwo");
        assert_eq!(fetching.next().await.unwrap(), None);
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 1, "no hidden one is left");
    }

    #[tokio::test]
    async fn what_is_given_up_leaves_nothing() {
        let (dir, local) = place();
        let mut writing = local.begin("a.dump").await.unwrap();
        writing.write(Bytes::from_static(b"one")).await.unwrap();
        drop(writing);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_a_crash_left_is_swept() {
        let (dir, local) = place();
        std::fs::write(dir.path().join(".app-1.dump.part"), "x").unwrap();
        std::fs::write(dir.path().join(".other-1.dump.part"), "x").unwrap();
        assert_eq!(local.sweep("app-").await.unwrap(), 1);
        assert!(dir.path().join(".other-1.dump.part").exists());
    }

    #[tokio::test]
    async fn nothing_is_written_over() {
        let (dir, local) = place();
        let writing = local.begin("a").await.unwrap();
        std::fs::write(dir.path().join("a"), "theirs").unwrap();
        let error = writing.finish().await.unwrap_err();
        assert!(matches!(error, StoreError::Exists { .. }), "{error}");
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"theirs");
        let error = local.begin("a").await.unwrap_err();
        assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    }

    #[tokio::test]
    async fn links_and_pipes_are_not_read() {
        let (dir, local) = place();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("real"), "x").unwrap();
        std::fs::hard_link(path("real"), path("second")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), Mode::RUSR).unwrap();
        for name in ["second", "link", "pipe"] {
            let error = local.get(name).await.unwrap_err();
            assert!(
                matches!(error, StoreError::Hostile { .. }),
                "{name}: {error}"
            );
        }
        assert!(local.list().await.unwrap().is_empty());
        assert!(
            local.begin("link").await.is_err(),
            "a link is not written through"
        );
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_not_made() {
        let (dir, _) = place();
        let local = Local::new(dir.path().join("unmounted"));
        let error = local.begin("a").await.unwrap_err();
        assert!(error.to_string().contains("create it, or mount"), "{error}");
    }
}
