//! Round trips, bounds, damage.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::read::Ending;
use super::write::Bounds;
use super::*;
use crate::app::{Event, Intent, Mode, Model, Playback, Screen, Session, update};
use crate::domain::{
    Board, CheckState, Container, ContainerId, ContainerState, Containers, Drift, Fault, FaultKind,
    Image, Level, Limits, Measure, SourceKind, Stream, Traffic, TrafficSource, Unit,
};

const BEGAN: Timestamp = Timestamp(1_795_176_000_000);

fn c(text: &str) -> Clean {
    Clean::from(text)
}

fn header() -> Header {
    let sources = vec![(source("page"), Duration::from_secs(5))];
    Header::new(Stack::discovered(c("shop")), sources, c("ops-1"), BEGAN)
}

fn source(name: &str) -> SourceId {
    SourceId::new(SourceKind::Endpoint, name)
}

fn after(ms: u64) -> Timestamp {
    Timestamp(BEGAN.0 + ms)
}

fn sighted(name: &str, ms: u64, result: Result<Reading, Fault>) -> Event {
    Event::Sighted(Box::new(Sighting {
        source: source(name),
        at: after(ms),
        took: Duration::from_micros(ms),
        period: Duration::from_secs(5),
        result,
    }))
}

fn reading(health: Health, detail: Detail) -> Reading {
    Reading {
        health,
        summary: Clean::line("a\x1b[2J\u{202e}b"),
        measures: Vec::new(),
        detail,
    }
}

fn good(name: &str, ms: u64) -> Event {
    sighted(name, ms, Ok(reading(Health::Good, Detail::None)))
}

fn bad(name: &str, ms: u64) -> Event {
    sighted(name, ms, Ok(reading(Health::Bad, Detail::None)))
}

fn line(container: &str, text: &str, level: Level) -> LogLine {
    LogLine {
        at: Some(BEGAN),
        container: Some(ContainerId(c(container))),
        source: c("web-1"),
        stream: Stream::Out,
        level,
        text: Clean::line(text),
    }
}

fn container(id: &str) -> Container {
    let none = || Clean::default();
    Container {
        id: ContainerId(c(id)),
        name: c("shop-web-1"),
        project: c("shop"),
        service: c("web"),
        number: Some(1),
        state: ContainerState::Running,
        check: CheckState::Healthy,
        check_streak: 0,
        check_log: Vec::new(),
        check_command: none(),
        restarts: 0,
        exit_code: None,
        oom_killed: false,
        error: none(),
        created_at: None,
        started_at: None,
        finished_at: None,
        image: Image::default(),
        drift: Drift::Same,
        addresses: Vec::new(),
        ports: Vec::new(),
        mounts: Vec::new(),
        labels: [(c("traefik.basicauth"), c("hunter2-canary"))].into(),
        limits: Limits::default(),
        restart_policy: none(),
        user: none(),
        pid: None,
    }
}

fn containers(ms: u64, all: Vec<Container>) -> Event {
    let detail = Detail::Containers(Containers {
        all,
        ..Containers::default()
    });
    Event::Sighted(Box::new(Sighting {
        source: SourceId::new(SourceKind::Containers, "shop"),
        at: after(ms),
        took: Duration::ZERO,
        period: Duration::from_secs(5),
        result: Ok(reading(Health::Good, detail)),
    }))
}

struct Bench {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("night.qdr");
    Bench {
        _folder: folder,
        path,
    }
}

/// Writes what came in at these milliseconds, each in a frame of its own.
fn record(path: &Path, events: &[(u64, Event)], end: Option<End>) {
    let mut recorder = Recorder::create(path, &header()).unwrap();
    for (ms, event) in events {
        assert_eq!(
            recorder.take(after(*ms), event.clone()).unwrap(),
            Room::Left
        );
        recorder.flush().unwrap();
    }
    if let Some(end) = end {
        let last = events.last().map_or(0, |(ms, _)| *ms);
        recorder.end(after(last), end).unwrap();
    }
}

fn model(board: Board) -> Model {
    let session = Session {
        host: c("ops-1"),
        user: c("anna"),
        mode: Mode::Replay,
        pid: 1,
        version: "0",
        config: c("night.qdr"),
        remote: false,
        started: BEGAN,
    };
    Model::new(board, session, BEGAN)
}

fn loaded(path: &Path) -> (Player, Model) {
    let player = Player::new(Tape::open(path).unwrap(), c("night.qdr"));
    let mut model = model(player.empty_board());
    model.replay = Some(player.replay(BEGAN));
    (player, model)
}

/// What following the stack itself would have shown.
fn live(events: &[(u64, Event)]) -> Model {
    let mut board = Board::new(header().stack);
    for (source, period) in header().sources {
        board.expect(source, period, BEGAN);
    }
    let mut model = model(board);
    for (ms, event) in events {
        update(&mut model, event.clone());
        update(&mut model, Event::Tick(after(*ms)));
    }
    model
}

#[track_caller]
fn assert_same(replayed: &Model, live: &Model) {
    assert_eq!(replayed.now, live.now);
    // NaN is no equal of itself; as text it is.
    assert_eq!(format!("{:?}", replayed.board), format!("{:?}", live.board));
    assert_eq!(replayed.history, live.history);
    assert_eq!(replayed.happenings, live.happenings);
    assert_eq!(replayed.logs.lost, live.logs.lost);
}

fn any_result() -> impl Strategy<Value = Result<Reading, Fault>> {
    let health = prop_oneof![
        Just(Health::None),
        Just(Health::Good),
        Just(Health::Busy),
        Just(Health::Poor),
        Just(Health::Bad)
    ];
    let number = prop_oneof![
        // A zero below zero is the same figure, and is not told apart.
        any::<f64>().prop_map(|value| value + 0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY)
    ];
    let good = (health, number, any::<String>(), any::<bool>()).prop_map(
        |(health, value, text, is_traffic)| {
            let flow = Flow {
                p95_ms: Some(value),
                requests: 3,
                ..Flow::default()
            };
            let traffic = Traffic {
                source: TrafficSource::Metrics,
                service: Clean::line(&text),
                window: Duration::from_secs(10),
                replicas: Vec::new(),
                total: flow,
                counted: (1, 1),
                uneven: None,
                dropped: 0,
                unreadable: 0,
            };
            let detail = if is_traffic {
                Detail::Traffic(traffic)
            } else {
                Detail::None
            };
            let mut reading = reading(health, detail);
            reading.measures = vec![Measure::new("m", value, Unit::Ratio)];
            Ok(reading)
        },
    );
    let fault = any::<String>().prop_map(|text| Err(Fault::new(FaultKind::Silent, text)));
    prop_oneof![4 => good, 1 => fault]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_replay_ends_as_following_the_stack_did(
        looks in prop::collection::vec((0_u64..4_000, 0_usize..3, any_result(), 0_u8..10), 1..40),
        back in 0_usize..4,
    ) {
        let mut events = Vec::new();
        let mut ms = 0;
        for (pause, name, result, kind) in looks {
            ms += pause;
            let event = match kind {
                0 => Event::LogLost(pause),
                1 => Event::Told { at: after(ms), health: Health::Poor, about: c("x"), text: c("y") },
                _ => sighted(["page", "api", "shop"][name], ms, result),
            };
            events.push((ms, event));
        }
        let bench = bench();
        record(&bench.path, &events, Some(End::Asked));
        let (mut player, mut model) = loaded(&bench.path);
        player.beat(&mut model, Duration::from_hours(1), BEGAN);
        let live = live(&events);
        assert_same(&model, &live);
        for _ in 0..back {
            player.take(&mut model, Playback::PreviousChange, BEGAN);
        }
        player.take(&mut model, Playback::Toggle, BEGAN);
        player.beat(&mut model, Duration::from_hours(1), BEGAN);
        assert_same(&model, &live);
    }

    #[test]
    fn damage_never_panics_and_never_invents(at in 0_usize..4_000, with in any::<u8>()) {
        let bench = bench();
        let events: Vec<(u64, Event)> = (1..40).map(|n| (n * 100, good("page", n * 100))).collect();
        record(&bench.path, &events, Some(End::Asked));
        let mut bytes = fs::read(&bench.path).unwrap();
        let at = at % bytes.len();
        let was = std::mem::replace(&mut bytes[at], with);
        fs::write(&bench.path, &bytes).unwrap();
        match Tape::open(&bench.path) {
            // The length of a frame can be changed so that it seems cut: then it says so.
            Ok(tape) => prop_assert!(was == with || tape.ending == Ending::Cut),
            Err(error) => prop_assert!(error.to_string().contains("night.qdr"), "{error}"),
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_replayed_as_far_as_it_goes() {
    const CHECKSUM: usize = 4;
    let bench = bench();
    let events: Vec<(u64, Event)> = (1..=6).map(|n| (n * 100, bad("page", n * 100))).collect();
    record(&bench.path, &events, Some(End::Asked));
    let whole = fs::read(&bench.path).unwrap();
    let mut most = 0;
    for length in 1..whole.len() {
        fs::write(&bench.path, &whole[..length]).unwrap();
        match Tape::open(&bench.path) {
            Ok(tape) => {
                // The end has been said before the checksum that closes its frame.
                let is_said = whole.len() - length <= CHECKSUM;
                assert_eq!(tape.ending == Ending::Cut, !is_said, "{length}");
                assert!(
                    tape.len() >= most,
                    "{length}: more of the file, less of the tape"
                );
                most = tape.len();
            }
            Err(error) => assert!(most == 0, "{length}: {error}"),
        }
    }
    assert_eq!(most, 6);
}

#[test]
fn labels_are_left_out_and_the_file_is_its_owners() {
    let bench = bench();
    let events = [(0, containers(0, vec![container("aa")]))];
    record(&bench.path, &events, None);
    let mode = fs::metadata(&bench.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = zstd::decode_all(fs::File::open(&bench.path).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("shop-web-1"), "{text}");
    assert!(
        !text.contains("canary") && !text.contains("traefik"),
        "{text}"
    );
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}'));
    let again = Recorder::create(&bench.path, &header()).unwrap_err();
    assert!(again.to_string().contains("there already"), "{again}");
}

#[test]
fn what_has_not_changed_takes_a_short_line() {
    let bench = bench();
    let mut recorder = Recorder::create(&bench.path, &header()).unwrap();
    let all: Vec<Container> = (0..50).map(|n| container(&format!("{n:02}"))).collect();
    recorder.take(after(0), containers(0, all.clone())).unwrap();
    let (_, before) = recorder.size();
    recorder.take(after(10), containers(10, all)).unwrap();
    let (lines, bytes) = recorder.size();
    assert_eq!(lines, 3);
    assert!(bytes - before < 250, "{}", bytes - before);
}

#[test]
fn a_recording_ends_at_its_bound_and_says_so() {
    for bounds in [
        Bounds {
            bytes: 20_000,
            lines: 10_000,
        },
        Bounds {
            bytes: 1 << 20,
            lines: 30,
        },
    ] {
        let bench = bench();
        let mut recorder = Recorder::bounded(&bench.path, &header(), bounds).unwrap();
        let mut at = 0;
        while recorder.take(after(at), bad(&at.to_string(), at)).unwrap() == Room::Left {
            at += 1;
        }
        recorder.end(after(at), End::Full).unwrap();
        let tape = Tape::open(&bench.path).unwrap();
        assert_eq!(tape.ending, Ending::Said(End::Full));
        assert_eq!(tape.len() as u64, at);
        let unpacked = zstd::decode_all(fs::File::open(&bench.path).unwrap()).unwrap();
        assert!(unpacked.len() as u64 <= bounds.bytes);
        let lines = String::from_utf8(unpacked).unwrap().lines().count();
        assert!(lines as u64 <= bounds.lines);
    }
}

#[test]
fn a_flood_of_log_lines_is_counted_and_leaves_room_for_errors() {
    let bench = bench();
    let mut recorder = Recorder::create(&bench.path, &header()).unwrap();
    let flood = vec![line("aa", "x", Level::Info); 6_000];
    recorder.take(after(0), Event::Logged(flood)).unwrap();
    let errors = vec![line("aa", "broken", Level::Error); 5];
    recorder.take(after(1), Event::Logged(errors)).unwrap();
    recorder.beat(after(2)).unwrap();
    recorder.end(after(3), End::Asked).unwrap();
    let tape = Tape::open(&bench.path).unwrap();
    let kept: Vec<&LogLine> = tape.logged_before(tape.len()).collect();
    assert_eq!(kept.len(), 4_000 + 5);
    assert_eq!(kept.iter().filter(|l| l.level == Level::Error).count(), 5);
    let lost = (0..tape.len()).find_map(|n| match tape.event(n) {
        Some(Event::LogLost(lost)) => Some(lost),
        _ => None,
    });
    assert_eq!(lost, Some(2_000));
}

#[test]
fn what_is_no_recording_is_refused_with_its_place_and_a_remedy() {
    let bench = bench();
    let refused = |bytes: &[u8]| {
        fs::write(&bench.path, bytes).unwrap();
        Tape::open(&bench.path).unwrap_err().to_string()
    };
    let packed = |text: &str| zstd::bulk::compress(text.as_bytes(), 1).unwrap();
    let front = serde_json::to_string(&header()).unwrap();
    for (bytes, why) in [
        (Vec::new(), "it is empty"),
        (b"{}\n".to_vec(), "does not begin as compressed data"),
        (packed("hello\n"), "says nothing of a recording"),
        (
            packed("{\"schema\":\"shop/1\",\"version\":\"1\"}\n"),
            "names something else",
        ),
        (
            packed("{\"schema\":\"quarterdeck.recording/2\",\"version\":\"9.1\"}\n"),
            "replay it with version 9.1 or a newer one",
        ),
        (
            packed("{\"schema\":\"quarterdeck.recording/1\",\"version\":\"1\"}\n"),
            "night.qdr:1: not the front",
        ),
        (
            packed(&format!("{front}\n{{\"at\":1}}\n")),
            "night.qdr:2: not a line",
        ),
        (
            packed(&format!("{front}\n{{\"at\":1,\"what\":{{\"lost\":1}}}}\n")),
            "night.qdr:2: it goes back in time",
        ),
        (
            packed(&format!(
                "{front}\n{{\"at\":{0},\"what\":{{\"ended\":\"time\"}}}}\n{{\"at\":{0},\"what\":{{\"lost\":1}}}}\n",
                BEGAN.0
            )),
            "night.qdr:3: it goes on after its end",
        ),
        (
            packed(&format!(
                "{front}\n{{\"at\":{},\"what\":{{\"dance\":1}}}}\n",
                BEGAN.0
            )),
            "night.qdr:2: not a line",
        ),
    ] {
        let said = refused(&bytes);
        assert!(said.contains(why), "{said}");
    }
    let said = Tape::open(Path::new("/nowhere/night.qdr")).unwrap_err();
    assert!(said.to_string().contains("/nowhere/night.qdr"));
    let said = Tape::open(Path::new("/dev/null")).unwrap_err();
    assert!(said.to_string().contains("it is not a file"), "{said}");
}

#[test]
fn a_text_that_was_cut_is_cut_once() {
    let bench = bench();
    let mut long = reading(Health::Good, Detail::None);
    long.summary = Clean::line(&"\x1b\u{ad}x".repeat(5_000));
    let events = [(0, sighted("page", 0, Ok(long.clone())))];
    record(&bench.path, &events, Some(End::Asked));
    let back = Tape::open(&bench.path).unwrap().sighting(0).unwrap();
    assert_eq!(back.result, Ok(long));
}

#[test]
fn it_plays_steps_and_jumps() {
    let bench = bench();
    let mut events: Vec<(u64, Event)> = (0..30)
        .map(|n| (n * 1_000, good("page", n * 1_000)))
        .collect();
    events.push((30_500, bad("page", 30_500)));
    events.push((50_000, good("page", 50_000)));
    events.push((60_000, good("page", 60_000)));
    record(&bench.path, &events, Some(End::Time));
    let (mut player, mut model) = loaded(&bench.path);
    let at = |model: &Model| model.now.since(BEGAN).as_millis();
    player.beat(&mut model, Duration::from_secs(2), BEGAN);
    assert_eq!(at(&model), 2_000);
    player.take(&mut model, Playback::Faster, BEGAN);
    player.beat(&mut model, Duration::from_secs(1), BEGAN);
    assert_eq!(at(&model), 4_000);
    player.take(&mut model, Playback::Step, BEGAN);
    assert_eq!(at(&model), 5_000);
    player.beat(&mut model, Duration::from_secs(9), BEGAN);
    assert_eq!(at(&model), 5_000, "a step stands still");
    player.take(&mut model, Playback::NextChange, BEGAN);
    assert_eq!(at(&model), 31_000);
    assert_eq!(model.board.health(model.now), Health::Bad);
    player.take(&mut model, Playback::NextChange, BEGAN);
    let (later, good_again) = (at(&model), model.board.health(model.now));
    assert!(later > 31_000 && good_again != Health::Bad, "{later}");
    player.take(&mut model, Playback::PreviousChange, BEGAN);
    player.take(&mut model, Playback::PreviousChange, BEGAN);
    assert_eq!(at(&model), 0, "before the first change is the start");
    player.take(&mut model, Playback::Toggle, BEGAN);
    player.beat(&mut model, Duration::from_hours(1), BEGAN);
    assert_eq!(at(&model), 60_000);
    assert!(!player.is_playing());
    assert!(player.take(&mut model, Playback::Toggle, BEGAN).is_some());
}

#[test]
fn the_logs_of_what_is_selected_come_out_of_the_recording() {
    let bench = bench();
    let lines = ["aa", "bb", "aa"].map(|id| line(id, id, Level::Info));
    let events = [
        (0, containers(0, vec![container("aa"), container("bb")])),
        (1_000, Event::Logged(lines.to_vec())),
        (2_000, Event::Logged(vec![line("bb", "later", Level::Info)])),
    ];
    record(&bench.path, &events, Some(End::Asked));
    let (mut player, mut model) = loaded(&bench.path);
    player.beat(&mut model, Duration::from_millis(1_500), BEGAN);
    assert_eq!(model.logs.len(), 0, "nobody has asked for them");
    update(&mut model, Event::Intent(Intent::Go(Screen::Logs)));
    player.refill(&mut model);
    assert_eq!(model.logs.len(), 3);
    player.beat(&mut model, Duration::from_secs(1), BEGAN);
    assert_eq!(model.logs.len(), 4);
    player.take(&mut model, Playback::PreviousChange, BEGAN);
    assert_eq!((model.logs.len(), model.screen), (0, Screen::Logs));
    player.beat(&mut model, Duration::ZERO, BEGAN);
    player.take(&mut model, Playback::Step, BEGAN);
    assert_eq!(model.logs.len(), 3);
}
