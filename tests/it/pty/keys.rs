//! Keys act, answers do not (faults F51, F52, F57).

use std::time::Duration;

use super::harness::{Launch, Session};
use super::subject;

fn open() -> Session {
    let session = Launch::console().start();
    session.wait_for_text(subject::STACK);
    session
}

/// The link is silent. The silence itself is what is tested, so it is the one wait that is not for something.
fn silence(wait: Duration) {
    std::thread::sleep(wait);
}

#[track_caller]
fn assert_next_key_works(session: &mut Session) {
    assert!(
        subject::is_untouched(&session.screen()),
        "{}",
        session.screen()
    );
    session.send(subject::HELP_KEY);
    session.wait_for_text(subject::HELP);
}

#[test]
fn a_late_answer_is_no_key() {
    let mut session = open();
    for answer in [
        "\x1b]11;rgb:1e1e/1e1e/1e1e\x07",
        "\x1b]lrestart\x1b\\",
        "\x1bP>|XTerm(370)\x1b\\",
        "\x1b[?62;22c",
        "\x1b[12;40R",
        "\x1b[?2026;2$y",
        "\x1b[?1u",
        "\x1b_Gi=31;OK\x1b\\",
        "\x1b[I",
    ] {
        session.send(answer.as_bytes());
    }
    assert_next_key_works(&mut session);
}

#[test]
fn a_late_answer_torn_by_the_link_is_no_key() {
    let mut session = open();
    for (begin, end) in [
        ("\x1b]11;rgb:1e", "1e/1e1e/1e1e\x07"),
        ("\x1bP>|XTe", "rm(370)\x1b\\"),
        ("\x1b[12;", "40R"),
    ] {
        session.send(begin.as_bytes());
        silence(Duration::from_secs(2));
        session.send(end.as_bytes());
    }
    assert_next_key_works(&mut session);
}

#[test]
fn an_answer_nobody_knows_does_not_lock_the_keyboard() {
    let mut session = open();
    session.send(b"\x1b[?2026;2$y");
    assert_next_key_works(&mut session);
}

#[test]
fn half_a_sequence_does_not_lock_the_keyboard() {
    let mut session = open();
    session.send(b"\x1b[");
    silence(Duration::from_millis(200));
    assert_next_key_works(&mut session);
}

#[test]
fn a_paste_is_told_as_a_paste() {
    let mut session = open();
    session.send(b"\x1b[200~qqq\nyes\x1b[201~");
    session.wait_for_text(subject::PASTED);
    assert_next_key_works(&mut session);
}

#[test]
fn letters_faster_than_a_person_are_told_as_a_paste() {
    let mut session = open();
    session.send(b"qqqqqqqq");
    session.wait_for_text(subject::PASTED);
    assert_next_key_works(&mut session);
}

#[test]
fn a_paste_without_an_end_does_not_lock_the_keyboard() {
    let mut session = open();
    session.send(b"\x1b[200~qqq");
    session.wait_for_text(subject::PASTED);
    assert_next_key_works(&mut session);
}
