//! Screens and keys of the real console, looked at through a terminal.

use std::path::Path;
use std::time::{Duration, Instant};

use quarterdeck::range::scenario::Fault;

use super::harness::{Launch, Session};
use super::sequences::foreign;
use super::stage::{Scripted, Yard};
use super::subject;
use crate::fake_engine::container;
use crate::stack::reference_stack;

const SCREENS: [(&str, &str); 9] = [
    ("[1 ", "Last happenings"),
    ("[2 ", "server-3"),
    ("[3 ", "server"),
    ("[4 ", "localhost"),
    ("[5 ", "postgres"),
    ("[6 ", "Checklist"),
    ("[7 ", "Runs"),
    ("[8 ", "Logs"),
    ("[9 ", "Journal"),
];

/// The digit of a tab: `[2 ` has 2.
fn digit(tab: &str) -> &str {
    &tab[1..2]
}

fn copies(session: &Session) -> usize {
    let output = session.output();
    String::from_utf8_lossy(&output)
        .matches("\x1b]52;c;")
        .count()
}

/// The lines in which a text stands.
fn lines_with<'s>(screen: &'s str, text: &str) -> Vec<&'s str> {
    screen.lines().filter(|line| line.contains(text)).collect()
}

/// Prints what was measured; answers median and 99th percentile.
fn percentiles(what: &str, mut all: Vec<Duration>) -> (Duration, Duration) {
    all.sort();
    let (median, late) = (all[all.len() / 2], all[(all.len() - 1) * 99 / 100]);
    eprintln!("{what}: median {median:?}, p99 {late:?} of {}", all.len());
    (median, late)
}

#[test]
fn every_screen_opens_with_what_it_is_for_and_with_help() {
    let yard = Yard::calm();
    let mut session = yard.open();
    for (tab, text) in SCREENS {
        session.press(digit(tab), tab);
        session.wait_for_text(text);
        session.press("?", subject::HELP);
        session.send(b"\x1b");
        session.wait_for("no help", |screen| !screen.contains(subject::HELP));
    }
    assert_eq!(foreign(&session.output()), None);
    assert_eq!(copies(&session), 0);
}

#[test]
fn letters_in_a_filter_are_no_commands() {
    let yard = Yard::calm();
    let mut session = yard.open();
    session.press("2", "[2 ");
    session.press("/", "Enter accept");
    let mut typed = String::new();
    for key in ["q", "!", "P", "y", "1", "S", "?", ":"] {
        typed.push_str(key);
        session.press(key, &format!("filter: {typed}"));
    }
    let screen = session.screen();
    assert!(screen.contains("[2 "), "{screen}");
    for trace in ["FROZEN", "Leave the console?", subject::HELP, "saved as"] {
        assert!(!screen.contains(trace), "{trace} in\n{screen}");
    }
    assert_eq!(copies(&session), 0);
    session.send(b"\x1b");
    session.wait_for("all rows again", |screen| {
        screen.contains("server-1") && screen.contains("redis-1")
    });
    session.settle();
    session.press("/", "Enter accept");
    for key in "redis".chars() {
        session.send(&[u8::try_from(key).unwrap()]);
    }
    session.wait_for("one row", |screen| {
        screen.contains("redis-1") && !screen.contains("server-1")
    });
}

#[test]
fn the_palette_finds_a_command_and_runs_it() {
    let yard = Yard::calm();
    let mut session = yard.open();
    session.press(":", "Enter accept");
    session.press("cer", "certificates as served");
    session.press("\r", "[4 ");
    session.press(":", "Enter accept");
    session.press("zzz", "zzz");
    session.press("\r", "no command `zzz`");
}

#[test]
fn one_step_leads_in_and_one_leads_out() {
    let yard = Yard::calm();
    let mut session = yard.open();
    session.press("2", "[2 ");
    session.press("s", "sorted by name");
    session.press("\r", "image");
    session.wait_for("the detail alone", |screen| {
        !screen.contains("redis-1") || !screen.contains("server-3")
    });
    session.send(b"\x1b");
    session.wait_for("the list again", |screen| {
        screen.contains("redis-1") && screen.contains("server-3")
    });
    session.press("z", "[2 ");
    session.press("T", "theme ");
    // From the pane alone to the pane, to the list, to where we came from.
    for _ in 0..3 {
        session.send(b"q");
        session.settle();
    }
    session.wait_for_text("[1 ");
    session.press("q", "Leave the console?");
    session.send(b"n");
    session.wait_for("no question", |screen| {
        !screen.contains("Leave the console?")
    });
    session.send(b"\x03");
    session.wait_for_text("Leave the console?");
    session.send(b"\x03");
    assert!(session.wait_exit().success());
    session.assert_restored();
    assert_eq!(foreign(&session.output()), None);
}

#[test]
fn a_frozen_screen_says_so_and_views_are_saved_and_copied_on_request_only() {
    let yard = Yard::calm();
    let mut session = yard.open();
    session.press("2", "[2 ");
    session.press("P", "FROZEN");
    session.send(b"P");
    session.wait_for("time again", |screen| !screen.contains("FROZEN"));
    session.press("S", "saved as");
    let mut endings: Vec<String> = std::fs::read_dir(session.home())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains("server-3"), "{}", path.display());
            path.extension().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    endings.sort();
    assert_eq!(endings, ["svg", "txt"]);
    assert_eq!(copies(&session), 0);
    session.press("y", "Copied");
    session.wait_until("the clipboard's bytes", || copies(&session) == 1);
    session.send(b"\x1b");
    session.wait_for("no pane", |screen| !screen.contains("Copied"));
    assert_eq!(copies(&session), 1);
}

#[test]
fn logs_are_followed_searched_and_filtered_by_level() {
    let yard = Yard::calm();
    let mut session = yard.open();
    session.press("8", "[8 ");
    session.wait_for("lines", |screen| lines_with(screen, "INFO").len() > 3);
    session.press("e", "level: ERROR");
    session.press("d", "level: DEBUG");
    session.press("/", "Enter accept");
    for key in "zqzq".chars() {
        session.send(&[u8::try_from(key).unwrap()]);
    }
    session.wait_for("no line", |screen| {
        screen.contains("zqzq") && lines_with(screen, "INFO").is_empty()
    });
    session.send(b"\x1b");
    session.wait_for("lines again", |screen| {
        !screen.contains("zqzq") && !lines_with(screen, "INFO").is_empty()
    });
    session.press("k", "[8 ");
    session.wait_for("a log that stands still", |screen| {
        !screen.contains("following the newest")
    });
}

#[test]
fn a_replica_that_dies_is_on_screen_within_a_second_and_one_key_away() {
    let yard = Yard::calm();
    let mut session = yard.open();
    let target = "server-2".to_owned();
    let start = Instant::now();
    yard.inject(&Fault::Die { target });
    session.wait_for("the death", |screen| screen.contains("server-2"));
    let took = start.elapsed();
    eprintln!("a death is on screen after {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    session.press("!", "1 of ");
    session.wait_for("the worst row", |screen| {
        !lines_with(screen, "▸").is_empty() && !lines_with(screen, "server-2").is_empty()
    });
}

/// Changes to and fro between two screens.
#[track_caller]
fn walk(session: &mut Session, times: usize) -> Vec<Duration> {
    (0..times)
        .flat_map(|_| ["[2 ", "[1 "])
        .map(|tab| session.latency(digit(tab), tab))
        .collect()
}

#[test]
fn while_the_engine_is_silent_keys_are_answered_and_nothing_of_it_is_green() {
    let yard = Yard::calm();
    let mut session = yard.open();
    yard.inject(&Fault::EngineHangs {});
    let (median, _) = percentiles("keys with a silent engine", walk(&mut session, 50));
    assert!(median < Duration::from_millis(50), "{median:?}");
    session.press("2", "[2 ");
    // The list is looked at every ten seconds; five missed looks make it stale.
    session.wait_at_most(
        Duration::from_secs(75),
        "rows that nobody vouches for",
        |screen| screen.contains("server-3") && !screen.contains("● ok"),
    );
    session.press("1", "[1 ");
    session.wait_for("an unknown concern", |screen| {
        lines_with(screen, "2 Containers")
            .iter()
            .any(|line| line.contains("? ") && !line.contains("● ok"))
    });
    yard.inject(&Fault::EngineReturns {});
    session.press("r", "looking at everything again");
    session.press("2", "[2 ");
    session.wait_for("green rows", |screen| screen.contains("● ok"));
    assert_eq!(foreign(&session.output()), None);
}

#[test]
fn an_engine_that_refuses_is_told_grows_old_and_comes_back() {
    let yard = Yard::calm();
    let mut session = yard.open();
    yard.inject(&Fault::EngineRefuses {});
    session.press("r", "looking at everything again");
    session.press("9", "cannot be seen");
    session.wait_for_text("engine ok old");
    yard.inject(&Fault::EngineReturns {});
    // The first recheck may come before anybody listens again.
    let start = Instant::now();
    while !session.screen().contains("engine ok <") {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{}",
            session.screen()
        );
        session.send(b"r");
        session.settle();
    }
}

#[test]
fn a_quiet_stack_costs_few_bytes() {
    let scripted = Scripted::start();
    scripted.engine.set(|world| {
        world.containers = (1..=6)
            .map(|n| container("server", n, "running", Some("healthy")))
            .collect();
    });
    let session = scripted.launch().start();
    session.wait_for_text("6/6 healthy");
    // Silence is what is measured here: first until everything has been seen, then for the figure.
    std::thread::sleep(Duration::from_secs(4));
    let before = session.bytes();
    std::thread::sleep(Duration::from_secs(10));
    let cost = session.bytes() - before;
    eprintln!("ten quiet seconds cost {cost} bytes");
    assert!(cost < 4000, "{cost} bytes");
}

#[test]
fn every_screen_is_drawn_at_every_size() {
    let yard = Yard::calm();
    let mut session = yard.open();
    for (columns, rows) in [(80, 24), (60, 15), (40, 10), (20, 5), (1, 1), (200, 60)] {
        session.resize(columns, rows);
        for (tab, _) in SCREENS {
            // The help is opened and closed; a pause between, or the keys count as a paste.
            for key in [digit(tab), "?", "q"] {
                session.send(key.as_bytes());
                session.settle();
            }
        }
    }
    session.resize(120, 40);
    session.emulate_size(120, 40);
    session.send(b"\x0c");
    session.wait_for("the last size", |screen| {
        screen.lines().count() == 40 && screen.contains("[9 ") && screen.contains("q back")
    });
    assert_eq!(foreign(&session.output()), None);
}

#[test]
fn ten_thousand_lines_a_second_hold_up_no_key() {
    let scripted = Scripted::start();
    scripted.engine.set(|world| {
        world.flood = 10_000;
        world.containers = vec![container("server", 1, "running", Some("healthy"))];
    });
    let mut session = scripted.launch().start();
    session.wait_for_text("1/1 healthy");
    session.press("8", "request ");
    let start = Instant::now();
    let mut all = Vec::new();
    while start.elapsed() < Duration::from_secs(5) {
        all.push(session.latency("e", "level: ERROR"));
        all.push(session.latency("d", "level: DEBUG"));
    }
    let (_, late) = percentiles("keys under ten thousand lines a second", all);
    let memory = session.memory_kib() / 1024;
    eprintln!("memory under the flood: {memory} MiB");
    assert!(late < Duration::from_millis(250), "{late:?}");
    assert!(memory < 200, "{memory} MiB");
}

fn docker(words: &[&str]) {
    let output = std::process::Command::new("docker").args(words).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
}

#[test]
fn a_real_replica_that_is_stopped_is_on_screen_within_a_second_and_so_is_its_return() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let config =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/stack/hyper-mission/quarterdeck.toml");
    let session = Launch::looking_at(&config).size(120, 40).start();
    session.wait_for_text("server 3/3");
    let replica = stack.containers("server")[0].clone();
    docker(&["stop", "--time", "2", &replica]);
    let stopped = Instant::now();
    session.wait_for_text("server 2/3");
    let took = stopped.elapsed();
    docker(&["start", &replica]);
    let started = Instant::now();
    session.wait_for("the return", |screen| !screen.contains("server 2/3"));
    let back = started.elapsed();
    eprintln!("a stop is on screen after {took:?}, its return after {back:?}");
    // Whoever holds the stack next finds it whole.
    session.wait_at_most(Duration::from_mins(1), "health", |screen| {
        screen.contains("server 3/3")
    });
    assert!(took < Duration::from_secs(3), "{took:?}");
}
