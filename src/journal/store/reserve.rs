//! Room put aside beside the database, so that on a full disk an abort can still be recorded.
//!
//! The file is also a mark: where it lies, there was a journal. Given up, it is emptied and not removed.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Room for a hundred entries, their pages and the write-ahead log.
pub(super) const BYTES: u64 = 4 * 1024 * 1024;

pub(super) fn path(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(".reserve");
    PathBuf::from(name)
}

/// Puts the room aside if it is not; whether it is now. The mark is there in any case.
pub(super) fn keep(database: &Path) -> io::Result<bool> {
    let path = path(database);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)?;
    if file.metadata()?.len() >= BYTES {
        return Ok(true);
    }
    // A reserve that fills the disk would bring about what it is there for.
    if free(database)? < 2 * BYTES {
        return Ok(false);
    }
    let kept = match fallocate(&file, FallocateFlags::empty(), 0, BYTES) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let page = [0xA5; 4096];
            (0..BYTES / 4096).try_for_each(|_| file.write_all(&page))
        }
        Err(errno) => Err(errno.into()),
    };
    match kept.and_then(|()| file.sync_all()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            file.set_len(0)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives the room back; whether there was any.
pub(super) fn release(database: &Path) -> bool {
    let path = path(database);
    let there = fs::metadata(&path).is_ok_and(|file| file.len() > 0);
    there
        && OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| {
                file.set_len(0)?;
                file.sync_all()
            })
            .is_ok()
}

/// Bytes that are free for us where the database lies.
pub(super) fn free(database: &Path) -> io::Result<u64> {
    let folder = database
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let told = statvfs(folder.unwrap_or(Path::new(".")))?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_kept_given_up_once_and_leaves_a_mark() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("journal.db");
        assert!(!release(&database), "there is none yet");
        assert!(keep(&database).unwrap());
        assert_eq!(fs::metadata(path(&database)).unwrap().len(), BYTES);
        assert!(release(&database));
        assert!(!release(&database), "it is given up already");
        assert_eq!(fs::metadata(path(&database)).unwrap().len(), 0);
        assert!(keep(&database).unwrap(), "it comes back with the room");
    }
}
