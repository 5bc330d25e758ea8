//! One small file that others read while we change it: read whole, replaced by one rename.
//!
//! Whoever opens the file sees the old text or the new one, and never a part of either, whatever crashes when. Disks may
//! hang, so all of it runs beside the loop.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::domain::{Clean, Fault, FaultKind};

/// Ends the name of a text that is not in place yet. Nothing that includes `*.conf` takes it.
const PART: &str = ".new";
/// The reader is another user, in a container.
const MODE: u32 = 0o644;

/// The whole file, or `None` where there is none.
pub async fn read(path: PathBuf, bytes_max: u64) -> Result<Option<Vec<u8>>, Fault> {
    beside(move || {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault("read", &path, &error)),
        };
        let mut bytes = Vec::new();
        file.take(bytes_max + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| fault("read", &path, &error))?;
        if bytes.len() as u64 > bytes_max {
            let text = format!("{} is over {bytes_max} bytes", path.display());
            return Err(Fault::new(FaultKind::TooLarge, text));
        }
        Ok(Some(bytes))
    })
    .await
}

/// Puts `bytes` in the place of the file, with one rename inside its directory, durable when this returns.
pub async fn replace(path: PathBuf, bytes: Vec<u8>) -> Result<(), Fault> {
    beside(move || put(&path, &bytes).map_err(|error| fault("write", &path, &error))).await
}

/// Removes the file. One that is not there is fine.
pub async fn remove(path: PathBuf) -> Result<(), Fault> {
    beside(move || match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(fault("remove", &path, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    })
    .await
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    let part = PathBuf::from(part);
    // What a crash left behind, or a link that somebody put there, is not written through.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&part)?;
    file.write_all(bytes)?;
    // The mask of the process must not hide it from its reader.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Fault::new(FaultKind::Broken, error.to_string())),
    }
}

fn fault(verb: &str, path: &Path, error: &io::Error) -> Fault {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => FaultKind::Missing,
        io::ErrorKind::PermissionDenied => FaultKind::Denied,
        _ => FaultKind::Broken,
    };
    let place = Clean::line(&path.display().to_string());
    Fault::new(kind, format!("cannot {verb} {place}: {error}"))
        .remedy("see that the directory is there, and that it is ours to write")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_replaced_as_a_whole_and_readable_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.conf");
        assert_eq!(read(path.clone(), 10).await, Ok(None));
        replace(path.clone(), b"one".to_vec()).await.unwrap();
        // As a crash leaves it.
        fs::write(dir.path().join("api.conf.new"), "half").unwrap();
        replace(path.clone(), b"two".to_vec()).await.unwrap();
        assert_eq!(read(path.clone(), 10).await, Ok(Some(b"two".to_vec())));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            MODE
        );
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        remove(path.clone()).await.unwrap();
        assert_eq!(remove(path).await, Ok(()));
    }

    #[tokio::test]
    async fn what_is_too_large_or_nowhere_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.conf");
        fs::write(&path, "0123456789").unwrap();
        let large = read(path, 9).await.unwrap_err();
        assert_eq!(large.kind, FaultKind::TooLarge);
        let nowhere = dir.path().join("no/where.conf");
        let missing = replace(nowhere, Vec::new()).await.unwrap_err();
        assert_eq!(missing.kind, FaultKind::Missing);
        assert!(missing.text.contains("cannot write"), "{missing}");
    }
}
