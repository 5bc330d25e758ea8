//! Hostile text from every source, on every screen (faults F49, F50, F54, F55, F56).

use serde_json::json;

use super::harness::Session;
use super::sequences::foreign;
use super::stage::Scripted;
use crate::fake_engine::{container, frame};

/// What terminals have been known to obey, to mismeasure or to choke on.
fn canaries() -> Vec<String> {
    let mut all: Vec<String> = [
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b]52;c;?\x07",
        "\x1b]0;evil\x07",
        "\x1b]2;evil\x1b\\",
        "\x1b[21t",
        "\x1b[20t",
        "\x1b]l",
        "\x1bP$qm\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1b[6n",
        "\x1b[5n",
        "\x1b[c",
        "\x1b[>c",
        "\x1b[=c",
        "\x1b[>q",
        "\x1b[?2026$p",
        "\x1b[?1049l",
        "\x1b[?1000h",
        "\x1b[2J\x1b[H",
        "\x1b[3J",
        "\x1b[31;5;8m",
        "\x1b[1;1r",
        "\x1b[4i",
        "\x1b[999;999H",
        "\x1bc",
        "\x1b#8",
        "\x1b(0",
        "\x1bG\x1bQ",
        "\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
        "\x1b]4;0;?\x07",
        "\x1b]10;?\x07",
        "\x1b]11;?\x07",
        "\x1b]50;?\x07",
        "\x1b]1337;File=:AA==\x07",
        "\x1b_Gf=100;AA==\x1b\\",
        "\x1bPq#0~\x1b\\",
        "\x1b^private\x1b\\",
        "\x1bXstring\x1b\\",
        "\x1b",
        "\x1b[",
        "\x1b]52;c;",
        "\x07\x07\x07",
        "a\x08\x08\x08b",
        "over\rwritten",
        "two\nlines",
        "\x0b\x0c\x0e\x0f",
        "\x7f\x7f",
        "nul\0nul",
        "\u{9b}2J",
        "\u{9d}52;c;ZXZpbA==\u{9c}",
        "\u{90}$qm\u{9c}",
        "\u{85}\u{84}\u{8d}",
        "abc\u{202e}fed",
        "\u{2066}isolated\u{2069}",
        "zero\u{200b}\u{200c}\u{200d}\u{feff}width",
        "\u{e0041}\u{e0042}tags",
        "\u{2028}line\u{2029}paragraph",
        "漢字漢字漢字漢字漢字",
        "👩‍👩‍👧‍👦🏳️‍🌈👍🏽",
        "\u{1f1e9}\u{1f1ea}\u{1f1e9}",
        "ﷺ꧅𒐫",
        "\t\ttabs\t",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(format!("e{}", "\u{301}".repeat(200)));
    all.push("x".repeat(5000));
    all
}

/// An engine that says the worst in every field that is free text.
fn hostile() -> Scripted {
    let scripted = Scripted::start();
    let words = canaries();
    let containers = words.iter().zip(1..).map(|(canary, n)| {
        let mut value = container("server", n, "running", Some("unhealthy"));
        value["Name"] = json!(format!("/lab-server-{n}{canary}"));
        value["Config"]["Image"] = json!(canary);
        value["Config"]["Cmd"] = json!([canary, canary]);
        value["Config"]["Healthcheck"] = json!({"Test": ["CMD", canary]});
        value["Config"]["Labels"]["com.docker.compose.service"] = json!(format!("s{n}{canary}"));
        value["Config"]["Labels"][canary.as_str()] = json!(canary);
        value["State"]["Error"] = json!(canary);
        value["State"]["Health"] = json!({"Status": "unhealthy", "FailingStreak": 3, "Log": [
            {"Start": "2026-11-20T12:00:00Z", "End": "2026-11-20T12:00:01Z", "ExitCode": 1, "Output": canary}]});
        value["Mounts"] = json!([{"Type": "bind", "Source": canary, "Destination": canary, "RW": true}]);
        value
    });
    let containers: Vec<_> = containers.collect();
    let mut log = Vec::new();
    for canary in canaries() {
        log.extend(frame(&format!("2026-11-20T12:00:00.000000001Z {canary}\n")));
    }
    log.extend(frame(&format!(
        "2026-11-20T12:00:00.000000002Z {}\n",
        "\x1b]0;long".repeat(131_072)
    )));
    scripted.engine.set(|world| {
        world.containers = containers;
        world.log = log;
    });
    scripted
}

/// Every box ends in the last column: no text has pushed it away or drawn over it.
#[track_caller]
fn assert_aligned(session: &Session) {
    session.emulator(|screen| {
        let (rows, columns) = screen.size();
        for row in 3..rows - 1 {
            let cell = |column| {
                let cell = screen.cell(row, column).expect("within the screen");
                cell.contents().to_owned()
            };
            let (first, last) = (cell(0), cell(columns - 1));
            assert!(
                "╭│╰".contains(first.as_str()) && "╮│╯".contains(last.as_str()),
                "row {row} has {first:?} and {last:?} at its ends\n{}",
                screen.contents()
            );
        }
    });
}

#[test]
fn hostile_text_from_every_source_is_shown_and_never_obeyed() {
    let scripted = hostile();
    let mut session = scripted.launch().start();
    session.wait_for_text("lab");
    session.press("2", "[2 ");
    session.wait_for_text("UNHEALTHY");
    for screen in "123456789".chars() {
        session.press(&screen.to_string(), &format!("[{screen} "));
        // Through the rows, into a detail and out again.
        for key in [
            "\x04", "\x04", "\x04", "\r", "j", "j", "\x1b", "\x04", "\x04", "\x04", "\x04", "w",
            "t", "G",
        ] {
            session.send(key.as_bytes());
            session.settle();
            assert_aligned(&session);
        }
        session.send(b"\x1b");
        session.settle();
    }
    session.press("2", "[2 ");
    session.press("y", "Copied");
    session.send(b"\x1b");
    session.press("!", "1 of ");
    session.press("8", "[8 ");
    session.wait_for_text("^[");
    session.settle();
    assert_aligned(&session);
    assert_eq!(foreign(&session.output()), None);
    let output = String::from_utf8_lossy(&session.output()).into_owned();
    assert_eq!(
        output.matches("\x1b]52;").count(),
        1,
        "only what was asked for is copied"
    );
    for hidden in [
        '\u{202e}',
        '\u{2066}',
        '\u{200b}',
        '\u{feff}',
        '\u{e0041}',
        '\u{2028}',
        '\u{9b}',
    ] {
        assert!(!output.contains(hidden), "{hidden:?} has left the process");
    }
}
