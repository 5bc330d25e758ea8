//! Which files count, and what follows from the age, the number and the proof of those that do.

use std::fs::{File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;

/// 2026-11-20 12:00 UTC.
const NOW: Timestamp = Timestamp(1_795_176_000_000);
const HOUR: u64 = 3600;
const PROVEN: Proven = Proven {
    at: NOW,
    rto_ms: 252_000,
};

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
    let mut probe = BackupProbe::new(spec(place.0.path()));
    probe.proof = Proof::Of(PROVEN);
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
    let mut probe = BackupProbe::new(spec(place.0.path()));
    probe.proof = Proof::Of(PROVEN);
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
    let made = std::process::Command::new("mkfifo")
        .arg(place.path("e.dump"))
        .status();
    assert!(made.expect("mkfifo").success());
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
    let mut probe = BackupProbe::new(spec);
    probe.proof = Proof::Of(PROVEN);
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
    let reading = judge(&spec(Path::new("/b")), Proof::None, files, None, NOW);
    let Detail::Backup(backup) = &reading.detail else {
        panic!("no backup");
    };
    assert_eq!(backup.files.len(), FILES_MAX);
    assert_eq!(backup.last_good().map(|f| f.name.as_str()), Some("300"));
    assert_eq!(backup.kept, 1);
}

#[tokio::test]
async fn a_restore_that_takes_too_long_or_is_too_long_ago_is_poor() {
    let place = Place::new().put("a.dump", &[1; 10], HOUR);
    let mut spec = spec(place.0.path());
    let look = async |spec: &BackupSpec| {
        let mut probe = BackupProbe::new(spec.clone());
        probe.proof = Proof::Of(Proven {
            at: Timestamp(NOW.0 - 30 * 24 * HOUR * 1000),
            rto_ms: 1_200_000,
        });
        probe.look(NOW).await.expect("a reading")
    };
    check(&look(&spec).await, Health::Good, "restored in 20m00s");
    spec.rto = Some(Duration::from_mins(15));
    check(&look(&spec).await, Health::Poor, "promised within 15m00s");
    spec.rto = None;
    spec.proof_max = Some(Duration::from_hours(24 * 7));
    check(&look(&spec).await, Health::Poor, "last restored 30d ago");
}

#[tokio::test]
async fn a_journal_that_nobody_can_read_proves_nothing() {
    let place = Place::new().put("a.dump", &[1; 10], HOUR);
    let (known, view) = tokio::sync::watch::channel(None);
    let mut probe = BackupProbe::new(spec(place.0.path())).proofs(view);
    drop(known);
    let reading = probe.look(NOW).await.expect("a reading");
    check(
        &reading,
        Health::Poor,
        "is not known: the journal cannot be read",
    );
}

#[tokio::test]
async fn what_the_journal_knows_of_a_target_is_taken() {
    let place = Place::new().put("a.dump", &[1; 10], HOUR);
    let proofs = BTreeMap::from([(Clean::from("postgres"), PROVEN)]);
    let (_known, view) = tokio::sync::watch::channel(Some(proofs));
    let mut probe = BackupProbe::new(spec(place.0.path())).proofs(view);
    let reading = probe.look(NOW).await.expect("a reading");
    check(&reading, Health::Good, "restored in 4m12s");
}
