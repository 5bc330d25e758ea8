//! `quarterdeck record` and `quarterdeck replay --list` as processes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use quarterdeck::domain::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::fixture;
use crate::range_command::Served;

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const CANARY: &str = "canary-4f1d-must-not-be-written";

/// When the recording of [`tape`] begins.
pub(crate) const BEGAN: Timestamp = Timestamp(fixture::NOW.0);

/// A recording of two minutes in which all is well for one and a half, and much is not from then on.
pub(crate) fn tape() -> Vec<u8> {
    /// In step with what the fixture says of its sources.
    const EVERY_MS: u64 = 5_000;
    const TROUBLE_MS: u64 = 90_000;
    const END_MS: u64 = 120_000;
    let (calm, troubled) = (fixture::calm(), fixture::troubled());
    let mut lines = vec![json!({
        "schema": "quarterdeck.recording/1",
        "version": "0.1.0",
        "started_at": BEGAN,
        "host": "ops-1",
        "stack": fixture::stack(),
        "sources": [],
    })];
    let sighted = |board: &quarterdeck::domain::Board, at: u64| -> Vec<Value> {
        let seen = board.sources.iter().filter_map(|(source, watched)| {
            let reading = watched.reading()?;
            let sighting = json!({
                "source": source, "at": at, "took": Duration::from_millis(3),
                "period": Duration::from_secs(10), "result": { "Ok": reading },
            });
            Some(json!({ "at": at, "what": { "sighted": sighting } }))
        });
        seen.collect()
    };
    for ms in (0..=END_MS).step_by(usize::try_from(EVERY_MS).unwrap()) {
        let at = BEGAN.0 + ms;
        match ms {
            0 => lines.extend(sighted(&calm.board, at)),
            TROUBLE_MS => lines.extend(sighted(&troubled.board, at)),
            _ => {
                let board = if ms < TROUBLE_MS { &calm } else { &troubled };
                let seen = board.board.sources.iter();
                let seen = seen.filter(|(_, watched)| watched.reading().is_some());
                lines.extend(seen.map(|(source, _)| {
                    let again = json!({ "source": source, "seen_at": at, "took": Duration::ZERO });
                    json!({ "at": at, "what": { "again": again } })
                }));
            }
        }
    }
    lines.push(json!({ "at": BEGAN.0 + END_MS, "what": { "ended": "time" } }));
    let text: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
    // In frames, as a recorder flushes it.
    let frames = text.chunks(50).map(|lines| {
        let lines = lines.concat();
        zstd::bulk::compress(lines.as_bytes(), 3).unwrap()
    });
    frames.flatten().collect()
}

fn quarterdeck(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
    command.args(words).stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = quarterdeck(words).output().unwrap();
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8(said).unwrap())
}

fn record(dir: &Path, file: &str) -> Child {
    let config = dir.join("range/quarterdeck.toml");
    quarterdeck(&["record", file, "-c", config.to_str().unwrap()])
        .env("QUARTERDECK_TEST_TOKEN", CANARY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn unpacked(file: &str) -> String {
    let mut text = Vec::new();
    let mut decoder = zstd::stream::read::Decoder::new(std::fs::File::open(file).unwrap()).unwrap();
    // A file that is cut is read as far as it goes.
    let _ = std::io::Read::read_to_end(&mut decoder, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits until what is in the file fits.
fn until(file: &str, fits: impl Fn(&str) -> bool) {
    let began = Instant::now();
    loop {
        if Path::new(file).exists() && fits(&unpacked(file)) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "never: {}", unpacked(file));
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_recording_is_ended_or_killed_and_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().canonicalize().unwrap();
    let (_served, ready) = Served::start("calm", &dir.join("range"));
    assert!(ready.starts_with("ready "), "{ready}");
    // A secret lies in the environment and in a file, and the configuration names both places.
    let config = dir.join("range/quarterdeck.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let token = "[prometheus]\ntoken = { env = \"QUARTERDECK_TEST_TOKEN\" }\n";
    assert!(text.contains("[prometheus]\n"), "{text}");
    std::fs::write(&config, text.replacen("[prometheus]\n", token, 1)).unwrap();

    let ended = dir.join("ended.qdr");
    let killed = dir.join("killed.qdr");
    let (ended, killed) = (ended.to_str().unwrap(), killed.to_str().unwrap());
    let (first, mut second) = (record(&dir, ended), record(&dir, killed));
    let is_seen = |text: &str| {
        let kinds = ["containers", "traffic", "alerts", "usage"];
        kinds
            .iter()
            .all(|kind| text.contains(&format!("{{\"kind\":\"{kind}\"")))
            && text.contains("\"logged\"")
    };
    until(ended, is_seen);
    until(killed, is_seen);
    send(&first, Signal::INT);
    send(&second, Signal::KILL);
    second.wait().unwrap();
    let output = first.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("quarterdeck replay "), "{said}");

    for (file, is_cut) in [(ended, false), (killed, true)] {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (code, said) = run(&["replay", "--list", file]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.starts_with("hyper-mission on "), "{said}");
        assert_eq!(said.contains("it is cut"), is_cut, "{said}");
        let text = unpacked(file);
        assert!(!text.contains(CANARY) && !text.contains("QUARTERDECK_TEST_TOKEN"));
        assert!(!text.contains("com.docker.compose"), "labels are not shown");
    }
    let before = std::fs::read(ended).unwrap();
    let (code, said) = run(&["record", ended, "-c", config.to_str().unwrap()]);
    assert_eq!(code, Some(73), "{said}");
    assert!(said.contains("there already"), "{said}");
    assert_eq!(std::fs::read(ended).unwrap(), before);
}

#[test]
fn a_recording_ends_by_itself_after_the_time_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().canonicalize().unwrap();
    let (_served, _) = Served::start("calm", &dir.join("range"));
    let (config, file) = (dir.join("range/quarterdeck.toml"), dir.join("short.qdr"));
    let (config, file) = (config.to_str().unwrap(), file.to_str().unwrap());
    let words = [
        "record",
        file,
        "--for",
        "2s",
        "--without-logs",
        "-c",
        config,
    ];
    let (code, said) = run(&words);
    assert_eq!(code, Some(0), "{said}");
    let text = unpacked(file);
    assert!(text.contains("{\"ended\":\"time\"}"), "{text}");
    assert!(!text.contains("\"logged\""));
}

#[test]
fn nothing_to_record_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.qdr");
    let file = file.to_str().unwrap();
    let words = ["record", file, "-H", "unix:///nowhere/docker.sock"];
    let output = quarterdeck(&words).current_dir(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(!Path::new(file).exists());
}

#[test]
fn the_list_tells_what_turned_and_when() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("night.qdr");
    std::fs::write(&file, tape()).unwrap();
    let (code, said) = run(&["replay", "--list", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let first = said.lines().nth(1).unwrap_or_default();
    assert!(first.trim_start().starts_with("1m30s"), "{said}");
    assert!(said.contains("server-2"), "{said}");
    std::fs::write(&file, "no recording\n").unwrap();
    let (code, said) = run(&["replay", file.to_str().unwrap()]);
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("`quarterdeck record FILE` writes one"),
        "{said}"
    );
    let (code, _) = run(&["replay", "/nowhere/night.qdr"]);
    assert_eq!(code, Some(66));
}
