//! What can happen to a file: cut, written over, locked, no room. No panic, and nothing is lost without a word.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use quarterdeck::journal::{
    Access, Address, Anchor, Code, Journal, Seq, Span, StoreError, Verdict, salvage,
};

use super::{draft, filled, sqlite};

fn path_of(address: &Address) -> &Path {
    match address {
        Address::Sqlite(path) => path,
        Address::Postgres { .. } => panic!("a file is expected"),
    }
}

/// Whether everything is there and said to be whole.
async fn whole(address: &Address, anchor: Anchor) -> bool {
    let Ok(journal) = Journal::open(address, Access::Read).await else {
        return false;
    };
    let verdict = journal.verify(Span::default(), &[anchor]).await;
    journal.close().await;
    matches!(verdict, Ok(Verdict::Ok { .. }))
}

#[tokio::test]
async fn folder_and_file_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let address = sqlite(dir.path());
    filled(&address, 1).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path_of(&address)), 0o600);
    assert_eq!(mode(path_of(&address).parent().unwrap()), 0o700);
}

#[tokio::test]
async fn a_file_that_was_cut_or_removed_is_never_taken_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let address = sqlite(dir.path());
    let head = filled(&address, 60).await;
    let anchor = Anchor {
        seq: Some(head.seq),
        hash: head.hash,
    };
    assert!(whole(&address, anchor).await);
    let path = path_of(&address);
    let bytes = fs::read(path).unwrap();
    for length in [0, 1, 4095, 4096, 8192, bytes.len() - 4096, bytes.len() - 1] {
        fs::write(path, &bytes[..length]).unwrap();
        if let Ok(journal) = Journal::open(&address, Access::Write).await {
            let said = journal.append(&draft(Code::Note, "x")).await;
            assert!(said.is_err(), "written to after a cut to {length}");
            journal.close().await;
        }
        // What is cut within the last page may hold no entry; then all of them are still there.
        assert!(
            length + 1 == bytes.len() || !whole(&address, anchor).await,
            "cut to {length}"
        );
        assert_eq!(
            fs::read(path).unwrap(),
            &bytes[..length],
            "a damaged file is left as it is"
        );
        if let Ok(found) = salvage(&address).await {
            assert!(!found.lost.is_empty() || found.records.len() < 60 || length > 8192);
        }
    }
    fs::remove_file(path).unwrap();
    let gone = Journal::open(&address, Access::Write).await.err().unwrap();
    assert!(matches!(gone, StoreError::Gone { .. }), "{gone}");
}

/// A generator for tests: the same seed, the same bytes.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }
}

#[tokio::test]
async fn no_random_damage_is_a_panic_or_a_silent_loss() {
    const SEED: u64 = 0x5EED_0020;
    eprintln!("seed {SEED:#x}");
    let dir = tempfile::tempdir().unwrap();
    let address = sqlite(dir.path());
    let head = filled(&address, 20).await;
    let path = path_of(&address);
    let bytes = fs::read(path).unwrap();
    let anchor = Anchor {
        seq: Some(head.seq),
        hash: head.hash,
    };
    let mut dice = Dice(SEED);
    let mut noticed = 0;
    for round in 0..2000 {
        let mut damaged = bytes.clone();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(damaged.len());
            damaged[at] = u8::try_from(dice.roll(256)).unwrap();
        }
        fs::write(path, &damaged).unwrap();
        let Ok(journal) = Journal::open(&address, Access::Read).await else {
            noticed += 1;
            continue;
        };
        match journal.verify(Span::default(), &[anchor]).await {
            Ok(Verdict::Ok { count, .. }) => assert_eq!(count, 20, "round {round}"),
            Ok(Verdict::Broken { .. } | Verdict::CannotDecide(_)) | Err(_) => noticed += 1,
        }
        journal.close().await;
    }
    eprintln!("noticed {noticed} of 2000; the others hit no entry");
    assert!(noticed > 200, "{noticed}");
}

#[tokio::test]
async fn a_locked_journal_names_who_holds_it() {
    use sqlx::{Connection, SqliteConnection};
    let dir = tempfile::tempdir().unwrap();
    let address = sqlite(dir.path());
    filled(&address, 1).await;
    let url = format!("sqlite:{}", path_of(&address).display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE")
        .execute(&mut other)
        .await
        .unwrap();
    let journal = Journal::open(&address, Access::Write).await.unwrap();
    let locked = journal.append(&draft(Code::Note, "x")).await.err().unwrap();
    assert!(matches!(locked, StoreError::Locked { .. }), "{locked:?}");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    assert_eq!(
        journal.append(&draft(Code::Note, "x")).await.unwrap().seq,
        Seq(2)
    );
    journal.close().await;
}

struct Mounted<'d>(&'d Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn on_a_full_disk_nothing_begins_and_an_abort_is_still_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"])
        .arg(dir.path())
        .output();
    if !mounted.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: a small disk cannot be mounted here");
        return;
    }
    let _mounted = Mounted(dir.path());
    let address = sqlite(dir.path());
    let journal = Journal::open(&address, Access::Write).await.unwrap();
    let narrow = journal.preflight().err().unwrap();
    assert!(matches!(narrow, StoreError::Narrow { .. }), "{narrow}");
    let text = "x".repeat(50_000);
    let mut recorded = 0;
    let full = loop {
        match journal.append(&draft(Code::RunEvent, &text)).await {
            Ok(head) => recorded = head.seq.0,
            Err(error) => break error,
        }
        assert!(recorded < 1000, "the disk is never full");
    };
    assert!(matches!(full, StoreError::Full { .. }), "{full:?}");
    let abort = journal
        .append(&draft(Code::DecisionAbort, "disk full"))
        .await
        .unwrap();
    assert_eq!(abort.seq.0, recorded + 1);
    let verdict = journal.verify(Span::default(), &[]).await.unwrap();
    assert!(
        matches!(verdict, Verdict::Ok { head, .. } if head == abort),
        "{verdict:?}"
    );
    journal.close().await;
}
