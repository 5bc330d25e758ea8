//! A directory of believable dumps, one a night, each with a manifest of counts, size and checksum.

use std::fmt::Write as _;
use std::fs::{self, File, FileTimes};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Days, NaiveTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::dump::{self, Tables};
use super::figures::count;
use super::world::LastNight;

/// A week of nights.
const NIGHTS: u32 = 7;
/// When the dump is written, UTC.
const HOUR: u32 = 2;
/// Rows that come to each table in a day, as a part of what is there: one in so many.
const GROWTH: u64 = 90;
/// A dump that was cut ends after this part.
const CUT: usize = 5;

/// Writes the directory as it is to be believed: all nights, less what did not happen.
pub(super) fn write(
    dir: &Path,
    start_ms: i64,
    tables: &Tables,
    seed: u64,
    last: LastNight,
) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for night in 0..NIGHTS {
        let at = night_time(start_ms, night);
        let name = format!("app-{}", at.format("%Y-%m-%d"));
        let is_missing = matches!(last, LastNight::Missing(nights) if night < nights);
        if is_missing {
            remove(&dir.join(format!("{name}.dump")))?;
            remove(&dir.join(format!("{name}.manifest.json")))?;
            continue;
        }
        let is_cut = night == 0 && last == LastNight::Truncated;
        write_night(dir, &name, at, &earlier(tables, night), seed, is_cut)?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The time of the dump so many nights ago; 0 is the last one before the start.
fn night_time(start_ms: i64, night: u32) -> DateTime<Utc> {
    let start = DateTime::from_timestamp_millis(start_ms).unwrap_or_default();
    let hour = NaiveTime::from_hms_opt(HOUR, 0, 0).unwrap_or_default();
    let today = start.date_naive().and_time(hour).and_utc();
    let last = if today <= start {
        today
    } else {
        today - Days::new(1)
    };
    last - Days::new(u64::from(night))
}

fn earlier(tables: &Tables, night: u32) -> Tables {
    let before = |rows: u64| (0..night).fold(rows, |rows, _| rows - rows / GROWTH);
    tables
        .iter()
        .map(|(name, rows)| (name.clone(), before(*rows)))
        .collect()
}

fn write_night(
    dir: &Path,
    name: &str,
    at: DateTime<Utc>,
    tables: &Tables,
    seed: u64,
    is_cut: bool,
) -> io::Result<()> {
    let bytes = dump::write("app", tables, seed ^ at.timestamp().unsigned_abs());
    let digest = hex(&Sha256::digest(&bytes));
    let manifest = json!({
        "file": format!("{name}.dump"),
        "database": "app",
        "format": "custom",
        "server": "15.8",
        "started": at.to_rfc3339(),
        "bytes": count(bytes.len()),
        "sha256": digest,
        "rows": tables,
    });
    let kept = if is_cut {
        &bytes[..bytes.len() / CUT]
    } else {
        &bytes[..]
    };
    let modified = UNIX_EPOCH + Duration::from_secs(at.timestamp().unsigned_abs());
    put(&dir.join(format!("{name}.dump")), kept, modified)?;
    put(
        &dir.join(format!("{name}.manifest.json")),
        format!("{manifest:#}\n").as_bytes(),
        modified,
    )
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn put(path: &Path, bytes: &[u8], modified: SystemTime) -> io::Result<()> {
    fs::write(path, bytes)?;
    File::options()
        .write(true)
        .open(path)?
        .set_times(FileTimes::new().set_modified(modified))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: i64 = 1_790_000_000_000;

    fn sizes(last: LastNight) -> Vec<u64> {
        let dir = tempfile::tempdir().expect("a folder");
        let tables = Tables::from([("users".into(), 900), ("missions".into(), 4_000)]);
        write(dir.path(), START_MS, &tables, 1, LastNight::Whole).expect("writes");
        write(dir.path(), START_MS, &tables, 1, last).expect("writes");
        let mut files: Vec<_> = fs::read_dir(dir.path())
            .expect("reads")
            .map(|e| e.expect("entry"))
            .filter(|e| e.file_name().to_string_lossy().ends_with(".dump"))
            .collect();
        files.sort_by_key(fs::DirEntry::file_name);
        files
            .iter()
            .map(|f| f.metadata().expect("metadata").len())
            .collect()
    }

    #[test]
    fn a_week_of_growing_dumps_lies_there() {
        let sizes = sizes(LastNight::Whole);
        assert_eq!(sizes.len(), 7);
        assert!(sizes.is_sorted(), "{sizes:?}");
    }

    #[test]
    fn a_cut_dump_is_far_smaller_and_missing_ones_are_missing() {
        let cut = sizes(LastNight::Truncated);
        assert!(cut[6] * 4 < cut[5], "{cut:?}");
        assert_eq!(sizes(LastNight::Missing(3)).len(), 4);
    }
}
