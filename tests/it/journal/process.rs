//! The commands, and a writer that is killed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn quarterdeck(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
    command
        .env_clear()
        .env("HOME", state)
        .env("XDG_STATE_HOME", state)
        .current_dir(state);
    command
}

fn journal(state: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = quarterdeck(state)
        .arg("journal")
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (status.code(), said)
}

#[test]
fn notes_are_recorded_shown_verified_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    assert_eq!(journal(state, &["verify"]).0, Some(3), "there is none yet");
    assert_eq!(journal(state, &["note", "all", "is", "well"]).0, Some(0));
    let (code, head) = journal(state, &["note", "a|b \u{1b}[31m"]);
    assert_eq!(code, Some(0), "{head}");
    let (code, said) = journal(state, &["tail", "-n", "2"]);
    assert!(code == Some(0) && said.contains("all is well"), "{said}");
    assert!(
        said.contains("^[[31m") && !said.contains('\u{1b}'),
        "{said}"
    );
    let (code, said) = journal(state, &["verify", "--anchor", head.trim()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(head.trim()), "{said}");
    let (_, lines) = journal(state, &["export"]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let (_, page) = journal(state, &["export", "--format", "md"]);
    assert!(page.contains("a\\|b"), "{page}");
    let other = format!("2:{}", "0".repeat(64));
    assert_eq!(journal(state, &["verify", "--anchor", &other]).0, Some(2));
    assert_eq!(journal(state, &["verify", "--to", "9"]).0, Some(3));
}

#[test]
fn a_changed_byte_ends_with_two_and_names_the_entry() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    for text in ["one", "first-bad", "three"] {
        assert_eq!(journal(state, &["note", text]).0, Some(0));
    }
    let path = state.join("quarterdeck/journal.db");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|w| w == b"first-bad").unwrap();
    bytes[at] = b'F';
    fs::write(&path, bytes).unwrap();
    let (code, said) = journal(state, &["verify"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("entry 2"), "{said}");
    assert_eq!(
        journal(state, &["note", "x"]).0,
        Some(73),
        "a broken chain is not built upon"
    );
}

#[test]
fn a_writer_that_is_killed_leaves_a_whole_chain_with_all_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    for round in 1..=5_usize {
        let mut child = quarterdeck(state)
            .args(["journal", "note", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            // It ends when the reader of the pipe is gone.
            while input.write_all(b"a line\n").is_ok() {}
        });
        let mut acknowledged = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..round * 7 {
            acknowledged.clear();
            output.read_line(&mut acknowledged).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        writer.join().unwrap();
        let (code, said) = journal(state, &["verify", "--anchor", acknowledged.trim()]);
        assert_eq!(code, Some(0), "{said}");
    }
}
