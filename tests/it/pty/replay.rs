//! A recording, played at a keyboard: it says what it is, stands, steps, jumps, ends, and contacts nobody.

use super::harness::{Launch, Session};
use crate::recording::tape;

fn open(bytes: &[u8], columns: u16, rows: u16) -> (Session, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("night.qdr");
    std::fs::write(&file, bytes).unwrap();
    let session = Launch::program()
        .size(columns, rows)
        // Whoever asked this engine would be seen to wait.
        .env("DOCKER_HOST", "tcp://192.0.2.1:2375")
        .args(&["replay", file.to_str().unwrap()])
        .start();
    (session, folder)
}

fn leave(session: &mut Session) {
    session.send(b"q");
    session.wait_for_text("Leave the console?");
    session.send(b"y");
    assert!(session.wait_exit().success());
    session.assert_restored();
}

#[test]
fn a_recording_is_played_with_keys_and_never_looks_live() {
    let (mut session, _folder) = open(&tape(), 120, 40);
    session.wait_for_text("REPLAY: nothing here is live, this was recorded 2026-11-20 12:03:4");
    session.wait_for_text("hyper-mission");
    session.send(b" ");
    session.wait_for_text("standing x1");
    session.send(b"}");
    session.wait_for_text("1m30s of 2m00s");
    session.wait_for_text("REPLAY 12:05:11Z");
    session.wait_for("trouble", |screen| screen.contains(" bad "));
    session.send(b".");
    session.wait_for_text("1m35s of 2m00s");
    session.send(b"{");
    session.wait_for_text("1m30s of 2m00s");
    session.send(b"{");
    session.wait_for_text(" 0s of 2m00s");
    session.wait_for("calm", |screen| screen.contains("nothing is abnormal"));
    session.send(b"r");
    session.wait_for_text("this is a recording");
    for speed in ["x2", "x5", "x10", "x60"] {
        session.send(b">");
        session.wait_for_text(&format!("standing {speed}"));
    }
    session.send(b"<");
    session.wait_for_text("standing x10");
    session.send(b">");
    session.send(b" ");
    session.wait_for_text("at the end");
    session.wait_for_text("2m00s of 2m00s");
    session.send(b"2");
    session.wait_for_text("[2 Containers]");
    session.wait_for_text("REPLAY: nothing here is live");
    session.send(b"1");
    session.wait_for_text("[1 Overview]");
    leave(&mut session);
    let log = session.own_log();
    assert!(!log.contains("192.0.2.1"), "{log}");
}

#[test]
fn its_keys_stand_in_the_help() {
    let (mut session, _folder) = open(&tape(), 120, 60);
    session.wait_for_text("REPLAY");
    session.send(b" ?");
    session.wait_for_text("to the next change of a health");
    session.send(b"\x1b");
    session.wait_for("the screen", |screen| !screen.contains("Esc closes"));
    leave(&mut session);
}

#[test]
fn a_recording_that_was_cut_says_so_and_shows_what_is_there() {
    let bytes = tape();
    let (mut session, _folder) = open(&bytes[..bytes.len() - 30], 80, 24);
    session.wait_for_text("REPLAY: nothing here is live");
    session.wait_for_text("it is cut: what came later is not there");
    leave(&mut session);
}
