//! The witness of the journal: a file elsewhere that is told the head of the chain, and asked by `journal verify`.
//!
//! A chain does not show that its end was cut or that all of it was written anew; somebody who saw an earlier head does.
//! The file is only ever appended to. Best is one that the same hand cannot change: another host's, or one that may only
//! grow (`chattr +a`).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::domain::Timestamp;
use crate::engine::RunId;
use crate::journal::{Anchor, Head, Seq};

/// The end of the file that is asked: some thousand heads. What they prove, older ones need not.
const BYTES_ASKED_MAX: u64 = 512 * 1024;

/// Tells it a head. Durable when it returns.
pub(super) fn tell(path: &Path, head: Head, run: &RunId, at: Timestamp) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let line = format!("{}:{}  {}  {}\n", head.seq, head.hash, at.rfc3339(), run.0);
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// The heads that it has seen, oldest first. A line that is none is passed over: people write comments.
pub(super) fn heads(path: &Path) -> io::Result<Vec<Anchor>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(BYTES_ASKED_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES_ASKED_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may begin before what was read.
    let lines = text.lines().skip(usize::from(from > 0));
    Ok(lines.filter_map(head).collect())
}

fn head(line: &str) -> Option<Anchor> {
    let (seq, hash) = line.split_whitespace().next()?.split_once(':')?;
    Some(Anchor {
        seq: Some(Seq(seq.parse().ok()?)),
        hash: hash.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Hash;

    #[test]
    fn what_it_was_told_is_what_it_says_and_only_the_end_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("heads");
        let run = RunId("r-1".into());
        let hash = Hash::NONE;
        for seq in 1..=5000 {
            let head = Head {
                seq: Seq(seq),
                hash,
            };
            if seq % 1000 == 1 {
                tell(&path, head, &run, Timestamp(1_795_231_002_250)).unwrap();
            } else {
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                writeln!(
                    file,
                    "{seq}:{hash}  2026-11-21T03:15:02Z  {}",
                    "x".repeat(60)
                )
                .unwrap();
            }
        }
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"# moved to another host\n\xff\n7:zz\n")
            .unwrap();
        let heads = heads(&path).unwrap();
        assert!((1000..5000).contains(&heads.len()), "{}", heads.len());
        assert_eq!(heads.last().unwrap().seq, Some(Seq(5000)));
        assert!(heads.is_sorted_by_key(|anchor| anchor.seq));
    }

    #[test]
    fn one_that_cannot_be_asked_is_no_witness_that_saw_nothing() {
        assert!(heads(Path::new("/nowhere/heads")).is_err());
    }
}
