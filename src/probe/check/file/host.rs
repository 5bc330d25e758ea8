//! A file of this host. Blocking: runs beside the loop.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::Found;
use crate::domain::{Clean, Fault, FaultKind, Timestamp};
use crate::link::files::{self, Kind};

/// A host with more people on it asks another service who they are.
const PASSWD_BYTES_MAX: u64 = 1024 * 1024;

/// Looks, and reads at most so many bytes. `None`: there is nothing of this name.
pub(super) fn found(path: &Path, bytes_max: usize) -> Result<Option<Found>, Fault> {
    let at_fault = |error: &io::Error| fault(path, error);
    let own = match std::fs::symlink_metadata(path) {
        Ok(own) => own,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(at_fault(&error)),
    };
    let leads_to = if own.is_symlink() {
        Some(std::fs::read_link(path).map_err(|error| at_fault(&error))?)
    } else {
        None
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        // A link that leads nowhere: nothing is there to be read.
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(at_fault(&error)),
    };
    let content = if bytes_max > 0 && metadata.is_file() {
        beginning(path, bytes_max).map_err(|error| at_fault(&error))?
    } else {
        Vec::new()
    };
    let passwd = passwd();
    Ok(Some(Found {
        kind: kind(&metadata),
        leads_to: leads_to.map(|target| Clean::line(&target.display().to_string())),
        bytes: metadata.len(),
        mode: metadata.mode() & 0o7777,
        owner: owner(&passwd, u64::from(metadata.uid())),
        modified: modified(&metadata),
        content,
    }))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn fault(path: &Path, error: &io::Error) -> Fault {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => FaultKind::Denied,
        _ => FaultKind::Broken,
    };
    let text = format!("cannot look at {}: {error}", path.display());
    let fault = Fault::new(kind, Clean::line(&text));
    match kind {
        FaultKind::Denied => fault.remedy("let this user read it, or look as one who may"),
        _ => fault,
    }
}

/// Without waiting for the writer of a pipe that was put in its place.
fn beginning(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(files::NONBLOCK)
        .open(path)?
        .take(bytes_max as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn kind(metadata: &Metadata) -> Kind {
    files::kind(metadata.file_type())
}

fn modified(metadata: &Metadata) -> Timestamp {
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    Timestamp(seconds.saturating_mul(1000))
}

/// People, as this host itself knows them; where it does not say, numbers are shown.
fn passwd() -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open("/etc/passwd")
        .and_then(|file| file.take(PASSWD_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => bytes,
        Err(_) => Vec::new(),
    }
}

/// The name that a list of people has for a number, or the number.
pub(super) fn owner(passwd: &[u8], uid: u64) -> Clean {
    let text = String::from_utf8_lossy(passwd);
    let number = uid.to_string();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    });
    Clean::line(name.unwrap_or(&number))
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn an_owner_has_a_name_where_there_is_a_list_of_them() {
        let passwd = b"root:x:0:0::/root:/bin/sh\npostgres:x:70:70::/:/bin/sh\n";
        assert_eq!(owner(passwd, 70), "postgres");
        assert_eq!(owner(passwd, 7), "7");
        assert_eq!(owner(b"", 0), "0");
    }
}
