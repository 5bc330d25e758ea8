//! Backups as files: is there one that counts, and is it young enough?
//!
//! What a look can know: age, size, size against the predecessor, the kind of file, and for `pg_dump`'s own formats
//! whether the end of the dump is there. What it cannot know: whether the content can be restored. A dump cut at a
//! place that happens to look like an end, a flipped byte, a dump of the wrong database all pass here. Therefore a
//! backup that nobody has restored is never good, only poor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::Look;
use crate::domain::{
    Age, Backup, BackupFile, BackupSpec, Clean, Detail, Fault, FaultKind, Health, Measure, Reading,
    SourceId, SourceKind, Timestamp, Unit,
};
use crate::link::files::{self, Blocking, Ends, Entry, Kind};

/// Files kept in a reading, as its type promises.
const FILES_MAX: usize = 100;

/// Files whose content is looked at; older ones were looked at when they were new.
const CONTENTS_MAX: usize = 20;

/// A writer that pauses longer than this between two writes is not told from one that has ended.
const WRITING: Duration = Duration::from_secs(5);

/// A file dated later than this was made by a wrong clock, and would be young for ever.
const FUTURE_MAX: Duration = Duration::from_mins(5);

/// Names that tools give to what is not finished.
const UNFINISHED: [&str; 5] = [".part", ".partial", ".tmp", ".temp", ".inprogress"];

#[derive(Debug)]
pub struct BackupProbe {
    spec: BackupSpec,
    proven: Option<Timestamp>,
    /// Sizes at the last look: what has grown since is being written.
    sizes: BTreeMap<OsString, u64>,
    work: Blocking<Result<Vec<Found>, Fault>>,
}

/// An entry, and how it begins and ends where that was looked at.
#[derive(Debug)]
struct Found {
    entry: Entry,
    ends: Option<Result<Ends, Fault>>,
}

impl BackupProbe {
    pub fn new(spec: BackupSpec) -> Self {
        Self {
            spec,
            proven: None,
            sizes: BTreeMap::new(),
            work: Blocking::default(),
        }
    }

    /// When a restore was last rehearsed with success.
    #[must_use]
    pub fn proven(mut self, at: Option<Timestamp>) -> Self {
        self.proven = at;
        self
    }
}

impl Look for BackupProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Backup, self.spec.target.clone())
    }

    fn period(&self) -> Duration {
        self.spec.every
    }

    async fn look(&mut self, now: Timestamp) -> Result<Reading, Fault> {
        if self.spec.pattern.contains('/') || self.spec.pattern.is_empty() {
            return Err(Fault::new(
                FaultKind::Misconfigured,
                format!("the pattern {:?} is no file name", self.spec.pattern),
            )
            .remedy("put the path into `directory`, and only a name with * and ? into `pattern`"));
        }
        let directory = self.spec.directory.clone();
        let pattern = self.spec.pattern.clone();
        let found = self.work.run(move || find(&directory, &pattern)).await??;
        let files = sift(&self.spec, &self.sizes, &found, now);
        self.sizes = found
            .iter()
            .map(|f| (f.entry.name.clone(), f.entry.bytes))
            .collect();
        Ok(judge(&self.spec, self.proven, files, now))
    }
}

fn find(directory: &Path, pattern: &str) -> Result<Vec<Found>, Fault> {
    let mut read = 0;
    let listed = files::list(directory, pattern)?;
    Ok(listed
        .into_iter()
        .map(|entry| {
            let worth = entry.kind == Kind::File && entry.bytes > 0 && read < CONTENTS_MAX;
            read += usize::from(worth);
            let ends = worth.then(|| files::ends(directory, &entry));
            Found { entry, ends }
        })
        .collect())
}

/// Judges each file, oldest first, since a file is measured against the last one that counted.
fn sift(
    spec: &BackupSpec,
    sizes: &BTreeMap<OsString, u64>,
    found: &[Found],
    now: Timestamp,
) -> Vec<BackupFile> {
    let mut last_good: Option<u64> = None;
    let mut files: Vec<BackupFile> = found
        .iter()
        .rev()
        .map(|one| {
            let entry = &one.entry;
            let reject = reject_kind(entry)
                .or_else(|| reject_time(entry, sizes.get(&entry.name), now))
                .or_else(|| reject_size(spec, entry.bytes, last_good))
                .or_else(|| reject_content(one.ends.as_ref()));
            if reject.is_none() {
                last_good = Some(entry.bytes);
            }
            BackupFile {
                name: entry.shown(),
                at: entry.modified,
                bytes: entry.bytes,
                reject: reject.map(Clean::from),
            }
        })
        .collect();
    files.reverse();
    files
}

fn reject_kind(entry: &Entry) -> Option<String> {
    match entry.kind {
        Kind::File if entry.names > 1 => Some(format!(
            "has {} names (hard link): it can change under the other one",
            entry.names
        )),
        Kind::File => None,
        Kind::Link => Some("a link, not a file".to_owned()),
        Kind::Directory => Some("a directory, not a file".to_owned()),
        Kind::Pipe => Some("a pipe, not a file".to_owned()),
        Kind::Other => Some("a device or socket, not a file".to_owned()),
    }
}

fn reject_time(entry: &Entry, before: Option<&u64>, now: Timestamp) -> Option<String> {
    let name = entry.name.to_string_lossy();
    let unfinished = UNFINISHED.iter().any(|ending| name.ends_with(ending));
    if name.starts_with('.') || unfinished {
        return Some("a temporary name: not finished".to_owned());
    }
    if entry.modified > now.plus(FUTURE_MAX) {
        return Some(format!(
            "dated in the future: {}",
            entry.modified.date_minute()
        ));
    }
    let grown = before.is_some_and(|&bytes| entry.bytes > bytes);
    if grown || now.since(entry.modified) < WRITING {
        return Some("being written".to_owned());
    }
    None
}

fn reject_size(spec: &BackupSpec, bytes: u64, last_good: Option<u64>) -> Option<String> {
    if bytes == 0 {
        return Some("empty".to_owned());
    }
    if bytes < spec.bytes_min {
        return Some(format!(
            "{}, and {} is the least",
            size(bytes),
            size(spec.bytes_min)
        ));
    }
    let before = last_good.filter(|&before| before > bytes)?;
    // In percent, by integers: a backup may be larger than a double counts exactly.
    let lost = u128::from(before - bytes) * 100 / u128::from(before);
    (lost > u128::from(spec.shrink_max_percent))
        .then(|| format!("{lost} % smaller than the one before ({})", size(before)))
}

fn reject_content(ends: Option<&Result<Ends, Fault>>) -> Option<String> {
    match ends? {
        Ok(ends) => cut_short(ends).map(ToOwned::to_owned),
        Err(fault) => Some(fault.to_string()),
    }
}

/// What `pg_dump` writes last in its custom format: the number 0, as a sign byte and four bytes.
const CUSTOM_END: [u8; 5] = [0; 5];

/// Cheap signs that a dump of `pg_dump` was cut. Their absence proves nothing.
fn cut_short(ends: &Ends) -> Option<&'static str> {
    let has = |bytes: &[u8], words: &[u8]| bytes.windows(words.len()).any(|w| w == words);
    if ends.head.starts_with(b"PGDMP") {
        return (!ends.tail.ends_with(&CUSTOM_END)).then_some("cut: a pg_dump without its end");
    }
    let is_sql = has(&ends.head, b"-- PostgreSQL database dump")
        || has(&ends.head, b"-- PostgreSQL database cluster dump");
    (is_sql && !has(&ends.tail, b" dump complete")).then_some("cut: an SQL dump without its end")
}

fn judge(
    spec: &BackupSpec,
    proven: Option<Timestamp>,
    mut files: Vec<BackupFile>,
    now: Timestamp,
) -> Reading {
    let kept = files.iter().filter(|file| file.reject.is_none()).count();
    let kept = u32::try_from(kept).unwrap_or(u32::MAX);
    let newest = files.first().cloned();
    let good = files.iter().find(|file| file.reject.is_none()).cloned();
    shorten(&mut files);
    let backup = Backup {
        target: spec.target.clone(),
        directory: Clean::line(&spec.directory.to_string_lossy()),
        pattern: spec.pattern.clone(),
        files,
        kept,
        age_max_s: spec.age_max.as_secs(),
        keep_min: spec.keep_min,
        proven,
    };
    let (health, summary) = match (&good, &newest) {
        (Some(good), Some(newest)) => weigh(&backup, good, newest, now),
        (None, Some(newest)) => (Health::Bad, no_good(newest)),
        (_, None) => (
            Health::Bad,
            format!("no backup: nothing fits {} there", backup.pattern),
        ),
    };
    Reading {
        health,
        summary: Clean::from(summary),
        measures: measures(&backup, good.as_ref(), now),
        detail: Detail::Backup(backup),
    }
}

/// Keeps the newest, and the last good one even where a hundred bad ones lie on top of it.
fn shorten(files: &mut Vec<BackupFile>) {
    let good = files.iter().position(|file| file.reject.is_none());
    if let Some(at) = good.filter(|&at| at >= FILES_MAX) {
        files.swap(at, FILES_MAX - 1);
    }
    files.truncate(FILES_MAX);
}

fn no_good(newest: &BackupFile) -> String {
    let why = newest.reject.as_deref().unwrap_or_default();
    format!("no good backup: the newest, {}, is {why}", newest.name)
}

fn weigh(
    backup: &Backup,
    good: &BackupFile,
    newest: &BackupFile,
    now: Timestamp,
) -> (Health, String) {
    let age = now.since(good.at);
    let mut words = vec![
        format!("last good {} ago", Age(age)),
        size(good.bytes),
        format!("{} kept", backup.kept),
    ];
    let mut health = Health::Good;
    let mut find = |worse: Health, what: String| {
        health = health.max(worse);
        words.push(what);
    };
    if age > Duration::from_secs(backup.age_max_s) {
        let promise = Age(Duration::from_secs(backup.age_max_s));
        find(Health::Bad, format!("promised every {promise}"));
    }
    match &newest.reject {
        // The next one under way is no trouble.
        Some(why) if *why == *"being written" => find(Health::Good, "one being written".to_owned()),
        Some(why) => find(Health::Poor, format!("the newest does not count: {why}")),
        None => {}
    }
    if backup.kept < backup.keep_min {
        find(Health::Poor, format!("{} promised", backup.keep_min));
    }
    if backup.proven.is_none() {
        let word = if age > Duration::from_secs(backup.age_max_s) {
            "never restored"
        } else {
            "fresh, never restored"
        };
        find(Health::Poor, word.to_owned());
    }
    (health, words.join(", "))
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn size(bytes: u64) -> String {
    Unit::Bytes.show(bytes as f64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a measure is a double; sizes are compared as integers"
)]
fn measures(backup: &Backup, good: Option<&BackupFile>, now: Timestamp) -> Vec<Measure> {
    let mut all = vec![Measure::new("kept", f64::from(backup.kept), Unit::Count)];
    if let Some(good) = good {
        let age = now.since(good.at).as_secs_f64();
        all.push(Measure::new("age", age, Unit::Seconds));
        all.push(Measure::new("size", good.bytes as f64, Unit::Bytes));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use super::*;

    /// 2026-11-20 12:00 UTC.
    const NOW: Timestamp = Timestamp(1_795_176_000_000);
    const HOUR: u64 = 3600;

    fn spec(directory: &Path) -> BackupSpec {
        BackupSpec {
            age_max: Duration::from_secs(24 * HOUR),
            keep_min: 1,
            bytes_min: 1,
            ..BackupSpec::of_files(
                Clean::from("postgres"),
                directory.to_owned(),
                Clean::from("*.dump"),
            )
        }
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn put(self, name: &str, content: &[u8], age_s: u64) -> Self {
            std::fs::write(self.path(name), content).expect("written");
            self.date(name, NOW.0 / 1000 - age_s);
            self
        }

        fn date(&self, name: &str, epoch_s: u64) {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(epoch_s);
            File::options()
                .write(true)
                .open(self.path(name))
                .and_then(|file| file.set_times(FileTimes::new().set_modified(at)))
                .expect("dated");
        }

        async fn look(&self) -> Reading {
            let mut probe = BackupProbe::new(spec(self.0.path()));
            probe.look(NOW).await.expect("a reading")
        }
    }

    #[track_caller]
    fn check(reading: &Reading, health: Health, words: &str) {
        assert_eq!(reading.health, health, "{}", reading.summary);
        assert!(reading.summary.contains(words), "{}", reading.summary);
    }

    fn rejected(reading: &Reading, name: &str) -> Option<String> {
        let Detail::Backup(backup) = &reading.detail else {
            panic!("no backup");
        };
        let file = backup.files.iter().find(|file| file.name == *name);
        file.expect("listed")
            .reject
            .as_ref()
            .map(ToString::to_string)
    }

    #[tokio::test]
    async fn a_fresh_backup_that_nobody_restored_is_poor() {
        let place = Place::new().put("a.dump", &[1; 2048], 35_340);
        check(
            &place.look().await,
            Health::Poor,
            "last good 9h49m ago, 2.0 KB, 1 kept, fresh, never restored",
        );
    }

    #[tokio::test]
    async fn a_fresh_backup_with_a_rehearsal_is_good() {
        let place = Place::new().put("a.dump", &[1; 2048], HOUR);
        let mut probe = BackupProbe::new(spec(place.0.path())).proven(Some(NOW));
        let reading = probe.look(NOW).await.expect("a reading");
        check(
            &reading,
            Health::Good,
            "last good 1h00m ago, 2.0 KB, 1 kept",
        );
        assert!(!reading.summary.contains("never"));
    }

    #[tokio::test]
    async fn a_broken_promise_is_bad_even_if_proven() {
        let place = Place::new().put("a.dump", &[1; 10], 25 * HOUR);
        let mut probe = BackupProbe::new(spec(place.0.path())).proven(Some(NOW));
        let reading = probe.look(NOW).await.expect("a reading");
        check(&reading, Health::Bad, "promised every 1d 00h");
    }

    #[tokio::test]
    async fn nothing_there_is_bad_and_no_directory_is_a_fault() {
        check(&Place::new().look().await, Health::Bad, "no backup");
        let fault = BackupProbe::new(spec(Path::new("/nonexistent/x")))
            .look(NOW)
            .await
            .expect_err("nowhere to look");
        assert_eq!(fault.kind, FaultKind::Missing);
    }

    #[tokio::test]
    async fn empty_and_small_files_do_not_count() {
        let place = Place::new()
            .put("c.dump", b"", HOUR)
            .put("b.dump", &[1; 50], 2 * HOUR)
            .put("a.dump", &[1; 100], 3 * HOUR);
        let reading = place.look().await;
        check(&reading, Health::Poor, "last good 3h00m ago, 100 B, 1 kept");
        assert_eq!(rejected(&reading, "c.dump").as_deref(), Some("empty"));
        assert_eq!(
            rejected(&reading, "b.dump").as_deref(),
            Some("50 % smaller than the one before (100 B)")
        );
    }

    #[tokio::test]
    async fn links_pipes_and_second_names_do_not_count() {
        let place = Place::new().put("a.dump", &[1; 10], HOUR);
        std::fs::hard_link(place.path("a.dump"), place.path("b.dump")).expect("linked");
        std::os::unix::fs::symlink("/etc/passwd", place.path("c.dump")).expect("linked");
        std::fs::create_dir(place.path("d.dump")).expect("made");
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            place.path("e.dump"),
            rustix::fs::Mode::RUSR,
        )
        .expect("a pipe");
        let reading = place.look().await;
        check(&reading, Health::Bad, "no good backup");
        let why = |name| rejected(&reading, name).unwrap_or_default();
        assert!(why("a.dump").contains("hard link") && why("b.dump").contains("hard link"));
        assert!(why("c.dump").contains("a link"));
        assert!(why("d.dump").contains("a directory"));
        assert!(why("e.dump").contains("a pipe"));
    }

    #[tokio::test]
    async fn what_is_being_written_does_not_count_and_is_no_trouble() {
        let place = Place::new()
            .put("a.dump", &[1; 10], HOUR)
            .put("b.dump", &[1; 10], 2);
        let reading = place.look().await;
        check(&reading, Health::Poor, "last good 1h00m ago");
        check(&reading, Health::Poor, "one being written");
        assert!(!reading.summary.contains("does not count"));
    }

    #[tokio::test]
    async fn a_file_that_grew_since_the_last_look_is_being_written() {
        let place = Place::new().put("a.dump", &[1; 10], 600);
        let mut probe = BackupProbe::new(spec(place.0.path()));
        let first = probe.look(NOW).await.expect("a reading");
        assert_eq!(rejected(&first, "a.dump"), None);
        let place = place.put("a.dump", &[1; 20], 300);
        let second = probe.look(NOW).await.expect("a reading");
        assert_eq!(
            rejected(&second, "a.dump").as_deref(),
            Some("being written")
        );
        let third = probe.look(NOW).await.expect("a reading");
        assert_eq!(rejected(&third, "a.dump"), None);
        drop(place);
    }

    #[tokio::test]
    async fn a_file_from_the_future_is_not_young_for_ever() {
        let place = Place::new().put("a.dump", &[1; 10], HOUR);
        place.date("a.dump", NOW.0 / 1000 + 100_000);
        check(&place.look().await, Health::Bad, "dated in the future");
    }

    #[tokio::test]
    async fn a_cut_dump_does_not_count() {
        let whole = [b"PGDMP\x01\x0e\x00".as_slice(), &[7; 600], &[0; 5]].concat();
        let sql: &[u8] = b"--\n-- PostgreSQL database dump\n--\nCREATE\n";
        let done = [sql, b"--\n-- PostgreSQL database dump complete\n--\n\n"].concat();
        let place = Place::new().put("a.dump", &whole, 4 * HOUR).put(
            "b.dump",
            &whole[..whole.len() - 3],
            3 * HOUR,
        );
        let reading = place.look().await;
        assert_eq!(rejected(&reading, "a.dump"), None);
        let why = rejected(&reading, "b.dump").unwrap_or_default();
        assert!(why.contains("without its end"), "{why}");
        let place = Place::new()
            .put("a.dump", sql, 4 * HOUR)
            .put("b.dump", &done, 3 * HOUR);
        let reading = place.look().await;
        assert!(rejected(&reading, "a.dump").is_some());
        assert_eq!(rejected(&reading, "b.dump"), None);
    }

    #[tokio::test]
    async fn a_pattern_cannot_leave_its_directory() {
        let place = Place::new();
        let spec = BackupSpec {
            pattern: Clean::from("../../etc/*"),
            ..spec(place.0.path())
        };
        let fault = BackupProbe::new(spec).look(NOW).await.expect_err("refused");
        assert_eq!(fault.kind, FaultKind::Misconfigured);
    }

    #[tokio::test]
    async fn too_few_kept_is_poor() {
        let place = Place::new().put("a.dump", &[1; 10], HOUR);
        let spec = BackupSpec {
            keep_min: 7,
            ..spec(place.0.path())
        };
        let mut probe = BackupProbe::new(spec).proven(Some(NOW));
        let reading = probe.look(NOW).await.expect("a reading");
        check(&reading, Health::Poor, "1 kept, 7 promised");
    }

    #[test]
    fn the_last_good_one_is_kept_under_any_number_of_bad_ones() {
        let file = |n: u64, reject: Option<&str>| BackupFile {
            name: Clean::from(n.to_string()),
            at: Timestamp(NOW.0 - n * 60_000),
            bytes: 10,
            reject: reject.map(Clean::from),
        };
        let mut files: Vec<_> = (0..300).map(|n| file(n, Some("empty"))).collect();
        files.push(file(300, None));
        let reading = judge(&spec(Path::new("/b")), None, files, NOW);
        let Detail::Backup(backup) = &reading.detail else {
            panic!("no backup");
        };
        assert_eq!(backup.files.len(), FILES_MAX);
        assert_eq!(backup.last_good().map(|f| f.name.as_str()), Some("300"));
        assert_eq!(backup.kept, 1);
    }
}
