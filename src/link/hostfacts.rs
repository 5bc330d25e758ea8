//! What the kernel says about this host: disks, load, memory.
//!
//! Reads `/proc` and asks `statvfs`; no command is run. The clock's state needs a call that safe code does not have
//! (`adjtimex`), so it is left unsaid rather than guessed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::domain::{Clean, Disk, Fault, FaultKind, Host};

/// `/proc/meminfo` is 1.5 KB, `/proc/loadavg` thirty bytes.
const PROC_BYTES_MAX: u64 = 64 * 1024;

/// What could be read, and what of the disks could not.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub host: Host,
    pub unread: Vec<Fault>,
}

/// Reads the facts. Blocking: a disk may hang.
pub fn read(disks: &[PathBuf]) -> Result<Facts, Fault> {
    read_from(Path::new("/proc"), Path::new("/sys"), disks)
}

fn read_from(proc: &Path, sys: &Path, disks: &[PathBuf]) -> Result<Facts, Fault> {
    let (load1, load5) = load(&text(&proc.join("loadavg"))?)?;
    let meminfo = text(&proc.join("meminfo"))?;
    let (memory_bytes, memory_available_bytes) = memory(&meminfo)?;
    let (disks, unread) = disks_of(disks);
    let host = Host {
        name: Clean::line(
            rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .as_ref(),
        ),
        disks,
        load1,
        load5,
        cores: cores(&sys.join("devices/system/cpu/online")),
        memory_bytes,
        memory_available_bytes,
        clock_error_ms: None,
        clock_synced: None,
    };
    Ok(Facts { host, unread })
}

fn text(path: &Path) -> Result<String, Fault> {
    let read = || {
        let mut out = String::new();
        File::open(path)?
            .take(PROC_BYTES_MAX)
            .read_to_string(&mut out)
            .map(|_| out)
    };
    read().map_err(|source: std::io::Error| {
        Fault::new(
            FaultKind::Unsupported,
            format!("cannot read {}: {source}", path.display()),
        )
    })
}

fn load(loadavg: &str) -> Result<(f64, f64), Fault> {
    let mut words = loadavg
        .split_ascii_whitespace()
        .map(|word| word.parse::<f64>().ok().filter(|load| load.is_finite()));
    match (words.next().flatten(), words.next().flatten()) {
        (Some(one), Some(five)) => Ok((one, five)),
        _ => Err(garbled("loadavg", loadavg)),
    }
}

/// Total and available, in bytes.
fn memory(meminfo: &str) -> Result<(u64, u64), Fault> {
    let field = |name: &str| {
        meminfo.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?.strip_prefix(':')?;
            let kilobytes: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
            kilobytes.checked_mul(1024)
        })
    };
    match (field("MemTotal"), field("MemAvailable")) {
        (Some(total), Some(available)) => Ok((total, available)),
        _ => Err(garbled("meminfo", meminfo)),
    }
}

fn garbled(name: &str, content: &str) -> Fault {
    let first = content.lines().next().unwrap_or_default();
    Fault::new(
        FaultKind::Garbled,
        format!("/proc/{name} is not as expected: {}", Clean::line(first)),
    )
}

/// The host's cores, not the share of them that this process may use: the load counts them all.
fn cores(online: &Path) -> u32 {
    let counted = text(online).ok().and_then(|list| ranges(list.trim()));
    counted.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1))
    })
}

/// Counts `0-3,6`.
fn ranges(cores: &str) -> Option<u32> {
    cores.split(',').try_fold(0_u32, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// Directories on one device are one disk; the first one named stands for it.
fn disks_of(paths: &[PathBuf]) -> (Vec<Disk>, Vec<Fault>) {
    let mut devices = BTreeSet::new();
    let (mut disks, mut unread) = (Vec::new(), Vec::new());
    for path in paths {
        match disk(path) {
            Ok((device, disk)) if devices.insert(device) => disks.push(disk),
            Ok(_) => {}
            Err(fault) => unread.push(fault),
        }
    }
    (disks, unread)
}

fn disk(path: &Path) -> Result<(u64, Disk), Fault> {
    let shown = Clean::bytes(path.as_os_str().as_bytes());
    let missing = |source: std::io::Error| {
        let kind = match source.kind() {
            std::io::ErrorKind::PermissionDenied => FaultKind::Denied,
            _ => FaultKind::Missing,
        };
        Fault::new(
            kind,
            format!("cannot look at the disk of {shown}: {source}"),
        )
    };
    let device = fs::metadata(path).map_err(missing)?.dev();
    let stat = rustix::fs::statvfs(path).map_err(|errno| missing(errno.into()))?;
    let inodes = (stat.f_files > 0).then(|| {
        let percent = stat.f_favail.saturating_mul(100) / stat.f_files;
        u8::try_from(percent).unwrap_or(100).min(100)
    });
    let disk = Disk {
        path: shown.clone(),
        size_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        // What is kept back for root is not free for the services.
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes_free_ratio_percent: inodes,
    };
    Ok((device, disk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(load("0.42 0.50 0.61 2/345 6789\n"), Ok((0.42, 0.5)));
        let meminfo = "MemTotal:  8000 kB\nMemFree: 1 kB\nMemAvailable:   2000 kB\n";
        assert_eq!(memory(meminfo), Ok((8000 * 1024, 2000 * 1024)));
        assert_eq!((ranges("0-3,6"), ranges("0")), (Some(5), Some(1)));
    }

    #[test]
    fn what_is_not_as_expected_is_a_fault_and_no_zero() {
        assert_eq!(load("NaN 1").expect_err("no load").kind, FaultKind::Garbled);
        assert!(memory("MemTotal: 1 kB\n").is_err());
        assert_eq!((ranges("3-0"), ranges("")), (None, None));
    }

    #[test]
    fn this_host_can_be_read_and_one_device_is_one_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let again = dir.path().join(".");
        let facts = read(&[dir.path().to_owned(), again, PathBuf::from("/nonexistent")])
            .expect("this host");
        assert_eq!(facts.host.disks.len(), 1);
        assert!(facts.host.disks[0].size_bytes >= facts.host.disks[0].free_bytes);
        assert!(facts.host.memory_bytes > facts.host.memory_available_bytes);
        assert!(facts.host.cores >= 1);
        assert_eq!(facts.unread.len(), 1);
        assert_eq!(facts.unread[0].kind, FaultKind::Missing);
    }

    #[test]
    fn a_host_without_proc_is_unsupported() {
        let none = Path::new("/nonexistent");
        let fault = read_from(none, none, &[]).expect_err("nothing to read");
        assert_eq!(fault.kind, FaultKind::Unsupported);
    }
}
