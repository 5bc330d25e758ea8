//! Files in one directory: what lies there, and how a file begins and ends.
//!
//! Names are matched by pattern inside the directory and nowhere else. A link is never followed, a pipe never waited
//! for, and a file that was swapped between listing and opening is not read. Blocking, so it runs beside the loop
//! ([`Blocking`]): a dead network disk must stop nothing but the look at it.

use std::ffi::OsString;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use tokio::task::JoinHandle;

use crate::domain::{Clean, Fault, FaultKind, Timestamp};

/// Entries read of a directory. A backup every ten minutes, kept for two months, is fewer.
pub const ENTRIES_MAX: usize = 10_000;

/// Enough for a magic number, or for the last lines of an SQL dump.
pub const END_BYTES: usize = 512;

/// For opening what may be a pipe: nobody waits for its writer.
pub const NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Link,
    Directory,
    Pipe,
    /// A socket or a device.
    Other,
}

/// A name in a directory, as `lstat` sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: OsString,
    pub kind: Kind,
    pub bytes: u64,
    /// By the disk's clock.
    pub modified: Timestamp,
    /// How many names the file has: more than one is a hard link.
    pub names: u64,
    /// Device and inode.
    pub identity: (u64, u64),
}

impl Entry {
    pub fn shown(&self) -> Clean {
        Clean::bytes(self.name.as_bytes())
    }
}

/// The first and the last [`END_BYTES`] of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ends {
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
}

/// The entries whose name fits the pattern, newest first.
pub fn list(directory: &Path, pattern: &str) -> Result<Vec<Entry>, Fault> {
    let entries = std::fs::read_dir(directory).map_err(|source| fault(directory, &source))?;
    let mut found = Vec::new();
    for (index, entry) in entries.enumerate() {
        if index == ENTRIES_MAX {
            return Err(crowded(directory));
        }
        let entry = entry.map_err(|source| fault(directory, &source))?;
        if !fits(pattern, &entry.file_name().to_string_lossy()) {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) => found.push(seen(entry.file_name(), &metadata)),
            // Gone between the two calls: rotated away, and no longer there to be judged.
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(fault(&entry.path(), &source)),
        }
    }
    found.sort_by(|a, b| (b.modified, &b.name).cmp(&(a.modified, &a.name)));
    Ok(found)
}

/// Half a directory would hide the newest file: better none.
fn crowded(directory: &Path) -> Fault {
    Fault::new(
        FaultKind::TooLarge,
        format!("more than {ENTRIES_MAX} entries in {}", path(directory)),
    )
    .remedy("give the backups a directory of their own, or rotate them")
}

fn seen(name: OsString, metadata: &Metadata) -> Entry {
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    let milliseconds = u64::try_from(metadata.mtime_nsec() / 1_000_000).unwrap_or(0);
    Entry {
        name,
        kind: kind(metadata.file_type()),
        bytes: metadata.len(),
        modified: Timestamp(seconds.saturating_mul(1000).saturating_add(milliseconds)),
        names: metadata.nlink(),
        identity: (metadata.dev(), metadata.ino()),
    }
}

/// What a name stands for.
pub fn kind(of: FileType) -> Kind {
    if of.is_file() {
        Kind::File
    } else if of.is_symlink() {
        Kind::Link
    } else if of.is_dir() {
        Kind::Directory
    } else if of.is_fifo() {
        Kind::Pipe
    } else {
        Kind::Other
    }
}

/// Reads how a listed file begins and ends.
pub fn ends(directory: &Path, entry: &Entry) -> Result<Ends, Fault> {
    let place = directory.join(&entry.name);
    let at_fault = |source: io::Error| fault(&place, &source);
    // Non-blocking: opening a pipe that was put in place of the file must not wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened =
        rustix::fs::open(&place, flags, Mode::empty()).map_err(|errno| at_fault(errno.into()))?;
    let mut file = File::from(opened);
    let now = file.metadata().map_err(at_fault)?;
    if !now.is_file() || (now.dev(), now.ino()) != entry.identity {
        return Err(Fault::new(
            FaultKind::Missing,
            format!("{} was replaced while it was looked at", path(&place)),
        ));
    }
    let head = chunk(&mut file).map_err(at_fault)?;
    let start = now.len().saturating_sub(END_BYTES as u64);
    file.seek(SeekFrom::Start(start)).map_err(at_fault)?;
    let tail = chunk(&mut file).map_err(at_fault)?;
    Ok(Ends { head, tail })
}

fn chunk(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(END_BYTES);
    file.take(END_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Does a name fit a pattern of `*` and `?`? As in a shell, a leading dot must be written.
pub fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where the last star was, and how much of the name it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

fn path(of: &Path) -> Clean {
    Clean::bytes(of.as_os_str().as_bytes())
}

fn fault(place: &Path, source: &io::Error) -> Fault {
    let kind = match source.kind() {
        io::ErrorKind::NotFound => FaultKind::Missing,
        io::ErrorKind::PermissionDenied => FaultKind::Denied,
        io::ErrorKind::NotADirectory => FaultKind::Misconfigured,
        _ => FaultKind::Broken,
    };
    Fault::new(kind, format!("cannot read {}: {source}", path(place)))
}

/// One piece of blocking work at a time.
///
/// A look that is dropped at its deadline cannot end a thread that hangs in the kernel. The next look waits for that
/// same thread instead of starting another, so a dead disk costs one thread and not one per look.
#[derive(Debug)]
pub struct Blocking<T> {
    running: Option<JoinHandle<T>>,
}

impl<T> Default for Blocking<T> {
    fn default() -> Self {
        Self { running: None }
    }
}

impl<T: Send + 'static> Blocking<T> {
    pub async fn run(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        if let Some(left_over) = &mut self.running {
            // What an abandoned look saw is as old as that look: it is not used.
            let _ = left_over.await;
            self.running = None;
        }
        let job = self.running.insert(tokio::task::spawn_blocking(work));
        let done = job.await;
        self.running = None;
        done.map_err(|source| Fault::new(FaultKind::Broken, source.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_reach_names_only() {
        for (pattern, name, expected) in [
            ("*", "db.dump", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("db-*.dump", "db-2026.dump", true),
            ("db-*.dump", "db-2026.dump.part", false),
            ("db-????.dump", "db-2026.dump", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("?", "é", true),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_slow() {
        assert!(!fits(&"*a".repeat(100), &"a".repeat(99)));
    }

    #[test]
    fn links_and_pipes_are_seen_and_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("file"), "0123").expect("written");
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).expect("linked");
        std::fs::create_dir(dir.path().join("dir")).expect("made");
        let found = list(dir.path(), "*").expect("listed");
        let kind = |name: &str| found.iter().find(|e| e.name == name).map(|e| e.kind);
        assert_eq!(kind("file"), Some(Kind::File));
        assert_eq!(kind("link"), Some(Kind::Link));
        assert_eq!(kind("dir"), Some(Kind::Directory));
        let link = found.iter().find(|e| e.name == "link").expect("there");
        assert!(ends(dir.path(), link).is_err());
    }

    #[test]
    fn a_file_swapped_after_listing_is_not_read() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a"), "good").expect("written");
        let found = list(dir.path(), "a").expect("listed");
        assert_eq!(
            ends(dir.path(), &found[0]).expect("read").head,
            b"good".to_vec()
        );
        std::fs::write(dir.path().join("b"), "evil").expect("written");
        std::fs::rename(dir.path().join("b"), dir.path().join("a")).expect("swapped");
        let fault = ends(dir.path(), &found[0]).expect_err("another file");
        assert!(fault.text.contains("replaced"), "{fault}");
    }

    #[test]
    fn a_missing_directory_is_missing() {
        let fault = list(Path::new("/nonexistent/backups"), "*").expect_err("not there");
        assert_eq!(fault.kind, FaultKind::Missing);
    }

    #[tokio::test]
    async fn a_hanging_look_is_waited_for_and_not_doubled() {
        let (release, hang) = mpsc::channel::<()>();
        let mut blocking = Blocking::default();
        {
            let hanging = blocking.run(move || {
                let _ = hang.recv();
                1
            });
            let mut hanging = std::pin::pin!(hanging);
            // One poll starts it; then the look is dropped, as at its deadline.
            let first = futures_util::poll!(hanging.as_mut());
            assert!(first.is_pending());
        }
        assert!(blocking.running.is_some(), "still one thread");
        drop(release);
        assert_eq!(blocking.run(|| 2).await, Ok(2));
    }

    proptest! {
        #[test]
        fn a_name_fits_itself_and_its_stars(name in "[a-z0-9-]{1,20}", at in 0_usize..20) {
            prop_assert!(fits(&name, &name));
            let cut = at.min(name.len());
            let (begins, ends) = (format!("{}*", &name[..cut]), format!("*{}", &name[cut..]));
            prop_assert!(fits(&begins, &name) && fits(&ends, &name));
        }
    }
}
