//! From the start to every kind of end (faults F13, F14, F15, F58, F59, F60) and what leaves the process (R9).

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::harness::{Launch, Session};
use super::sequences::foreign;
use super::subject;

fn open(launch: Launch) -> Session {
    let session = launch.start();
    session.wait_for_text(subject::STACK);
    session
}

#[track_caller]
fn assert_only_ours(session: &Session) {
    assert_eq!(foreign(&session.output()), None);
}

#[test]
fn the_terminal_is_taken_and_given_back() {
    let mut session = open(Launch::console());
    session.emulator(|screen| {
        assert!(screen.alternate_screen());
        assert!(screen.bracketed_paste());
        assert!(screen.hide_cursor());
    });
    assert!(!session.is_cooked());
    subject::quit(&mut session);
    assert!(session.wait_exit().success());
    session.assert_restored();
    assert_only_ours(&session);
}

#[test]
fn a_signal_that_ends_gives_the_terminal_back() {
    for (signal, code) in [
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::INT, 130),
        (Signal::QUIT, 131),
    ] {
        let mut session = open(Launch::console());
        session.signal(signal);
        assert_eq!(session.wait_exit().exit_code(), code, "{signal:?}");
        session.assert_restored();
        assert_only_ours(&session);
    }
}

#[test]
fn a_second_signal_gives_the_terminal_back_too() {
    let mut session = open(Launch::console());
    session.signal(Signal::TERM);
    // The first may have ended it already: then there is nobody to signal, which is as good.
    let _ = rustix::process::kill_process(session.pid(), Signal::TERM);
    session.wait_exit();
    session.assert_restored();
}

#[test]
fn a_loop_that_sticks_is_ended_by_the_second_signal() {
    let mut session = open(Launch::console().env("QUARTERDECK_PANIC_AT", "Overview:k:stick"));
    session.send(b"k");
    session.wait_until("stuck", || session.own_log().contains("sticks on request"));
    let start = Instant::now();
    while !session.has_ended() {
        assert!(start.elapsed() < Duration::from_secs(20), "still there");
        // Signals closer together count as one, so this one is sent again and again.
        session.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(session.wait_exit().exit_code(), 143);
    session.assert_restored();
}

#[test]
fn the_clipboard_is_written_on_request_only() {
    let is_copy =
        |session: &Session| String::from_utf8_lossy(&session.output()).contains("\x1b]52;c;");
    let mut session = open(Launch::console());
    session.send(subject::HELP_KEY);
    session.wait_for_text(subject::HELP);
    session.send(b"\x1b");
    session.wait_for("no help", |screen| !screen.contains(subject::HELP));
    session.wait_for_text("tiny-stack");
    assert!(!is_copy(&session));
    session.send(subject::COPY_KEY);
    session.wait_until("copy", || is_copy(&session));
    assert_only_ours(&session);
}

/// Starts the console in a shell and pauses it as `pause` says.
#[track_caller]
fn pause_and_continue(pause: impl FnOnce(&mut Session)) {
    let shell = Launch::shell();
    let start = shell.typed();
    let mut session = shell.start();
    session.wait_for_text("PROMPT>");
    session.send(start.as_bytes());
    session.wait_for_text(subject::STACK);
    pause(&mut session);
    session.wait_for_text("Stopped");
    // The paste mode is the shell's own at its prompt.
    let (alternate, hidden) =
        session.emulator(|screen| (screen.alternate_screen(), screen.hide_cursor()));
    assert!(!alternate && !hidden);
    session.send(b"fg\r");
    session.wait_for_text(subject::STACK);
    session.emulator(|screen| assert!(screen.alternate_screen()));
    session.send(subject::HELP_KEY);
    session.wait_for_text(subject::HELP);
    session.send(b"q");
    subject::quit(&mut session);
    session.wait_until("the shell's screen", || {
        session.emulator(|screen| !screen.alternate_screen())
    });
    session.wait_for("a prompt", |screen| screen.trim_end().ends_with("PROMPT>"));
    session.send(b"exit\r");
    session.wait_exit();
}

#[test]
fn ctrl_z_pauses_and_fg_draws_anew() {
    pause_and_continue(|session| session.send(b"\x1a"));
}

#[test]
fn a_stop_from_outside_pauses_and_fg_draws_anew() {
    pause_and_continue(|session| {
        let children = format!(
            "/proc/{0}/task/{0}/children",
            session.pid().as_raw_nonzero()
        );
        let children = std::fs::read_to_string(children).expect("the shell runs");
        let console = children.split_whitespace().next().expect("a child");
        let console = rustix::process::Pid::from_raw(console.parse().unwrap()).unwrap();
        rustix::process::kill_process(console, Signal::TSTP).expect("the console runs");
    });
}

#[test]
fn without_a_shell_there_is_no_pause() {
    let mut session = open(Launch::console());
    session.signal(Signal::TSTP);
    session.send(b"\x1a");
    session.send(subject::HELP_KEY);
    session.wait_for_text(subject::HELP);
    session.emulator(|screen| assert!(screen.alternate_screen()));
}

#[test]
fn a_continue_draws_anew() {
    let mut session = open(Launch::console());
    session.signal(Signal::STOP);
    session.signal(Signal::CONT);
    session.wait_until("a second repaint", || {
        let output = session.output();
        output.windows(4).filter(|w| w == b"\x1b[2J").count() >= 2
    });
    subject::quit(&mut session);
    assert!(session.wait_exit().success());
    session.assert_restored();
}

#[track_caller]
fn assert_panic_reported(mut session: Session) {
    assert_eq!(session.wait_exit().exit_code(), 70);
    session.assert_restored();
    session.wait_for_text("internal error: an accident on request ^[]52;c;aGk=^G^[[2J");
    session.wait_for_text("report: ");
    assert_only_ours(&session);
    let output = session.output();
    let output = String::from_utf8_lossy(&output);
    assert!(!output.contains("\x1b]52;"), "the message was obeyed");
    for way_out in ["\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l"] {
        assert!(output.contains(way_out), "{way_out:?}");
    }
    let files = session.crash_files();
    assert_eq!(files.len(), 1, "{files:?}");
    let report = std::fs::read_to_string(&files[0]).unwrap();
    assert!(report.contains("an accident on request"), "{report}");
    assert!(!report.contains('\x1b'));
}

#[test]
fn a_panic_of_the_screen_restores_reports_and_ends() {
    assert_panic_reported(Launch::console().env("QUARTERDECK_PANIC_AT", "ui").start());
}

#[test]
fn a_panic_on_a_key_restores_reports_and_ends() {
    let mut session = open(Launch::console().env("QUARTERDECK_PANIC_AT", "Containers:k"));
    // The same key elsewhere is harmless.
    session.send(b"k");
    session.press("2", "[2 Cont]");
    session.send(b"k");
    assert_panic_reported(session);
}

#[test]
fn a_panic_of_a_worker_leaves_the_screen_alone() {
    let mut session = open(Launch::console().env("QUARTERDECK_PANIC_AT", "worker"));
    session.wait_for_text("a part of the console broke: an accident on request ^[]52");
    session.emulator(|screen| assert!(screen.alternate_screen()));
    assert!(!session.is_cooked());
    session.send(b"9");
    session.wait_for_text("[9 Jour]");
    session.wait_for("an incident row", |screen| {
        {
            screen
                .lines()
                .any(|line| line.contains("console") && line.contains("a part of the console"))
        }
    });
    session.send(subject::HELP_KEY);
    session.wait_for_text(subject::HELP);
    assert_only_ours(&session);
}

#[test]
fn a_terminal_that_reads_nothing_stops_nobody() {
    let stalled = Duration::from_secs(6);
    let mut session = Launch::console().size(200, 60).never_read().start();
    let start = Instant::now();
    let mut memory = Vec::new();
    while start.elapsed() < stalled {
        // Each asks for a full repaint.
        session.send(b"\x0c");
        std::thread::sleep(Duration::from_millis(50));
        memory.push(session.memory_kib());
    }
    let (early, late) = (memory[memory.len() / 4], memory[memory.len() - 1]);
    assert!(late < early + 2048, "{early} KiB became {late} KiB");
    session.signal(Signal::TERM);
    let asked = Instant::now();
    assert_eq!(session.wait_exit().exit_code(), 143);
    assert!(asked.elapsed() < Duration::from_secs(3));
    assert!(session.is_cooked());
    session.read_again();
}

#[test]
fn a_terminal_that_nobody_reads_for_a_minute_is_left() {
    let mut session = Launch::console().size(200, 60).never_read().start();
    let start = Instant::now();
    // Frames enough to fill what the kernel holds for a reader.
    while start.elapsed() < Duration::from_secs(2) {
        session.send(b"\x0c");
        std::thread::sleep(Duration::from_millis(50));
    }
    while !session.has_ended() {
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(90), "still there");
        std::thread::sleep(Duration::from_millis(200));
    }
    let waited = start.elapsed();
    assert!(
        waited > Duration::from_secs(58),
        "a short stall is waited out, not {waited:?}"
    );
    assert_eq!(session.wait_exit().exit_code(), 129);
    assert!(session.is_cooked());
    session.read_again();
}

#[test]
fn every_size_is_drawn() {
    for (columns, rows) in [
        (1, 1),
        (2, 1),
        (20, 5),
        (60, 15),
        (80, 24),
        (200, 60),
        (500, 200),
    ] {
        let mut session = Launch::console().size(columns, rows).start();
        session.wait_until("a frame", || session.bytes() > 60);
        if columns >= 20 {
            session.wait_for_text(subject::STACK);
        }
        subject::quit(&mut session);
        assert!(session.wait_exit().success(), "{columns}x{rows}");
        session.assert_restored();
        assert_only_ours(&session);
    }
}

#[test]
fn a_storm_of_sizes_ends_with_the_right_one() {
    let mut session = open(Launch::console());
    let start = Instant::now();
    for i in 0..2000u16 {
        session.resize(60 + i % 100, 15 + i % 30);
    }
    let storm = start.elapsed();
    session.resize(90, 30);
    session.emulate_size(90, 30);
    session.wait_for("the last size", |screen| {
        subject::shows_size(screen, 90, 30)
    });
    subject::quit(&mut session);
    assert!(session.wait_exit().success());
    // Two frames for a size (the old one repainted, then the new one), twenty sizes a second, and a second's clock.
    let most = 60 + 2 * u64::try_from(storm.as_millis()).unwrap() / 50;
    let frames = subject::frames(&session);
    assert!(frames < most, "{frames} frames for {storm:?}");
}

#[test]
fn a_terminal_that_cannot_show_a_screen_is_told_what_to_use() {
    for launch in [
        Launch::console().env("TERM", "dumb"),
        Launch::console().env("TERM", ""),
        Launch::console().without_env("TERM"),
    ] {
        let mut session = launch.start();
        assert_eq!(session.wait_exit().exit_code(), 64);
        session.wait_for_text("quarterdeck status");
        assert!(!session.output().contains(&0x1b), "no escape is sent");
    }
}

#[test]
fn a_pipe_is_told_what_to_use() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
        .env("TERM", "xterm")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(output.stdout, b"");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("quarterdeck status"), "{told}");
}

#[test]
fn without_utf8_everything_is_ascii() {
    for launch in [
        Launch::console().env("LANG", "C"),
        Launch::console().env("LC_ALL", "POSIX"),
        Launch::console().argument("--ascii"),
    ] {
        let mut session = open(launch);
        for screen in "123456789".chars() {
            session.press(&screen.to_string(), &format!("[{screen} "));
        }
        assert!(session.output().is_ascii());
    }
}

#[test]
fn without_colour_no_colour_is_sent() {
    let mut session = open(Launch::console().env("NO_COLOR", "1"));
    subject::quit(&mut session);
    session.wait_exit();
    let output = String::from_utf8_lossy(&session.output()).into_owned();
    for sequence in output.split("\x1b[").skip(1) {
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        if sequence[end..].starts_with('m') {
            let codes = &sequence[..end];
            let is_colour = |code: &str| {
                let code: u16 = code.parse().unwrap_or(0);
                matches!(code, 30..=49 | 58 | 90..=107)
            };
            assert!(!codes.split(';').any(is_colour), "{codes:?}");
        }
    }
}
