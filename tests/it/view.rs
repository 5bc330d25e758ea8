//! Frames: what they say, at every size, in every look.

use quarterdeck::app::{
    Checklists, Event, Intent, Listed, Mode, Model, Overlay, Page, Progress, Question, Replay,
    Saying, Screen, Training, update,
};
use quarterdeck::checklist::{Act, Checklist, Marks, Proof, Signer, annotate, sign_off};
use quarterdeck::domain::{Clean, Detail, Environment, Outcome, SourceKind, Timestamp, Verdict};
use quarterdeck::keys::{Place, TABLE};
use quarterdeck::runbook::Confirmation;
use quarterdeck::view::{self, BUILT_IN, Charset, Look, Theme, picture};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier};

use crate::fixture;
use crate::voyage::{self, Voyage, heard};

fn look(theme: &str, charset: Charset) -> Look {
    Look {
        theme: Theme::load(theme, |_| None).expect("it is built in"),
        charset,
    }
}

fn frame(model: &Model, look: &Look, columns: u16, lines: u16) -> (Buffer, Option<Position>) {
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, lines));
    let cursor = view::draw(&mut buffer, model, look);
    (buffer, cursor)
}

fn text(model: &Model, columns: u16, lines: u16) -> String {
    picture::text(&frame(model, &Look::default(), columns, lines).0)
}

fn ascii(model: &Model, columns: u16, lines: u16) -> String {
    picture::text(&frame(model, &look("mono", Charset::Ascii), columns, lines).0)
}

/// The fixture on a screen, with the log of what that screen follows.
fn on(mut model: Model, screen: Screen) -> Model {
    update(&mut model, Event::Intent(Intent::Go(screen)));
    fixture::logged(&mut model);
    model
}

fn pressed(mut model: Model, intents: &[Intent]) -> Model {
    for intent in intents {
        update(&mut model, Event::Intent(intent.clone()));
    }
    model
}

fn typed(text: &str) -> Vec<Intent> {
    text.chars().map(Intent::Type).collect()
}

/// The same as a recording of an hour that is played, or has come to its end.
fn replayed(mut model: Model, playing: bool) -> Model {
    let ahead = |seconds: u64| Timestamp(model.now.0 + seconds * 1000);
    let began = Timestamp(model.now.0 - 1_200_000);
    model.replay = Some(Replay {
        file: Clean::from("night.qdr"),
        began,
        ended: if playing { ahead(2_400) } else { model.now },
        changes: vec![Timestamp(began.0 + 600_000), model.now, ahead(1_000)],
        remark: (!playing).then(|| Clean::from("the file ends in the middle")),
        playing,
        speed: 10,
        wall: Timestamp(0),
    });
    if !playing && let Some(replay) = &mut model.replay {
        replay.changes.truncate(1);
    }
    model.session.mode = Mode::Replay;
    model
}

/// On the screen of a checklist that was imported and partly signed, at an item with a proposal.
fn planned(mut model: Model) -> Model {
    let plan = include_bytes!("plans/hyper-mission.md");
    let page = annotate("hyper-mission.checklist.md", plan, None).text;
    let page = page.replacen("accepted = false", "accepted = true", 1);
    let list = Checklist::read("hyper-mission.checklist.md", page.as_bytes());
    let mut marks = Marks::default();
    let by = Signer {
        name: Clean::from("ann"),
        uid: 1000,
    };
    for (word, act) in [
        ("Correct loading", Act::Signed),
        (
            "Lighthouse",
            Act::Waived {
                until: Clean::from("2026-12-01"),
            },
        ),
    ] {
        let (_, item) = list.find(word).unwrap();
        let body = serde_json::to_value(sign_off(&list, item, act, "looked at it")).unwrap();
        marks.sign(&list, &body, &by, fixture::NOW);
    }
    let pages = vec![Listed { list, marks }];
    let read = Checklists {
        pages,
        ..Checklists::default()
    };
    update(&mut model, Event::Checklists(Box::new(read)));
    pressed(on(model, Screen::Checklist), &[Intent::Down(7)])
}

/// A list whose items are proven, old, failing and open; and what is done with it.
fn gate(mut model: Model) -> Vec<(&'static str, Model)> {
    const PAGE: &str = "# Launch\n## Phase 1: Speed\n**Owner**: web\n### Success criteria\n- [ ] The first byte is there in less than 100 ms <!-- item:ttfb -->\n  ```toml check\n  kind = \"http\"\n  url = \"/\"\n  ttfb = \"< 100 ms\"\n  ```\n- [ ] Three replicas <!-- item:replicas -->\n  ```toml check\n  kind = \"containers\"\n  service = \"server\"\n  healthy = \"== 3\"\n  helps = \"rolling-restart\"\n  ```\n- [ ] A replica was stopped under load <!-- item:chaos -->\n  ```toml check\n  kind = \"drill\"\n  runbook = \"stop-replica\"\n  ```\n- [ ] The release is signed off <!-- item:release -->\n  ```toml check\n  kind = \"ask\"\n  second = true\n  ```\n";
    let list = Checklist::read("launch.md", PAGE.as_bytes());
    let mut marks = Marks::default();
    let proofs = [
        ("ttfb", Verdict::Pass, "ttfb 12 ms (< 100 ms)", 14),
        ("replicas", Verdict::Fail, "healthy 2, expected == 3", 0),
    ];
    for (id, verdict, said, hours) in proofs {
        let (_, item) = list.find_id(id).unwrap();
        let at = Timestamp(fixture::NOW.0 - hours * 3_600_000 - 60_000);
        let outcome = Outcome {
            verdict,
            said: Clean::from(said),
            evidence: serde_json::json!({ "sent": { "service": "server" }, "got": { "of": 3 } }),
            at,
            took_ms: 12,
        };
        let asked = Clean::from("server: healthy == 3");
        let proof = Proof::of(&list, item, &item.demand.asked[0], asked, outcome);
        let body = serde_json::to_value(proof).unwrap();
        marks.prove(&list, &body, &Clean::from("ann"), at);
    }
    let read = Checklists {
        pages: vec![Listed { list, marks }],
        ..Checklists::default()
    };
    update(&mut model, Event::Checklists(Box::new(read)));
    let place = Clean::from("journal.db");
    let state = quarterdeck::app::Recording::Open;
    update(&mut model, Event::Recording { place, state });
    let model = pressed(on(model, Screen::Checklist), &[Intent::Down(3)]);
    let mut sign = vec![Intent::Attest(Saying::Waive)];
    sign.extend(typed("2999-01-01"));
    sign.push(Intent::Submit);
    sign.extend(typed("a part is late"));
    vec![
        ("checklist-gate", model.clone()),
        ("checklist-waive", pressed(model.clone(), &sign)),
        (
            "checklist-present",
            pressed(model.clone(), &[Intent::Present]),
        ),
        (
            "checklist-open",
            pressed(model, &[Intent::OnlyOpen, Intent::Down(1)]),
        ),
    ]
}

/// Every screen and every overlay, with a name for each.
fn gallery() -> Vec<(String, Model)> {
    let troubled = fixture::troubled();
    let mut all: Vec<(String, Model)> = Screen::ALL
        .into_iter()
        .map(|screen| (screen.word().to_lowercase(), on(troubled.clone(), screen)))
        .collect();
    let mut palette = vec![Intent::Palette];
    palette.extend(typed("lo"));
    let mut filter = vec![Intent::Filter];
    filter.extend(typed("server"));
    let mut training = fixture::calm();
    training.session.mode = Mode::Training;
    training.board.stack.environment = Environment::Training;
    let containers = on(troubled.clone(), Screen::Containers);
    let mut more = |name: &str, model: Model| all.push((name.to_owned(), model));
    for (name, model) in runs() {
        more(name, model);
    }
    more("calm", fixture::calm());
    more("unseen", fixture::unseen());
    more("stale", fixture::stale());
    more("training", training);
    more("replay", replayed(troubled.clone(), true));
    more("replay-end", replayed(fixture::calm(), false));
    more("help", pressed(containers.clone(), &[Intent::Help]));
    more("palette", pressed(troubled.clone(), &palette));
    more("leave", pressed(troubled.clone(), &[Intent::Leave]));
    more("own-log", pressed(troubled.clone(), &[Intent::OwnLog]));
    more("copied", pressed(containers.clone(), &[Intent::Copy]));
    more("frozen", pressed(containers.clone(), &[Intent::Freeze]));
    more("filter", pressed(containers.clone(), &filter));
    more("zoomed", pressed(containers, &[Intent::Open]));
    let plan = planned(troubled.clone());
    more("checklist-plan", plan.clone());
    more("checklist-item", pressed(plan, &[Intent::Open]));
    for (name, model) in gate(troubled.clone()) {
        more(name, model);
    }
    more(
        "endpoint",
        pressed(on(troubled, Screen::Traffic), &[Intent::Bottom]),
    );
    all
}

/// Plans, runs and what is asked about them.
fn runs() -> Vec<(&'static str, Model)> {
    let armed = |mut model: Model| {
        let reason = Clean::from("server-2 is exhausted");
        let at = model.now;
        update(&mut model, Event::Armed { at, reason });
        model.notice = None;
        model
    };
    let offered = || {
        heard(
            on(fixture::troubled(), Screen::Containers),
            &Voyage::requested(),
            true,
        )
    };
    let plan = |mut model: Model, confirmation, letters: &str| {
        let runbook = Clean::from("rolling-restart");
        update(&mut model, Event::Intent(Intent::Plan(runbook.clone())));
        let result = Ok(Box::new(voyage::planned(confirmation)));
        let at = model.now;
        let planned = Event::Planned {
            runbook,
            at,
            result,
        };
        update(&mut model, planned);
        let now = model.now.plus(std::time::Duration::from_secs(3));
        update(&mut model, Event::Tick(now));
        pressed(model, &typed(letters))
    };
    let word = || Clean::from("server");
    let approved = Confirmation::Approved { word: word() };
    let of = |voyage: &Voyage, alive| {
        let model = heard(fixture::troubled(), voyage, alive);
        pressed(on(model, Screen::Runs), &[Intent::Open])
    };
    let (way, failed) = (voyage::under_way(), voyage::failed());
    let (unwound, done) = (voyage::unwound(), voyage::completed());
    let mut practice = armed(offered());
    practice.board.stack.environment = Environment::Training;
    vec![
        ("plan-read-only", plan(offered(), voyage::typed(), "")),
        ("plan", plan(armed(offered()), voyage::typed(), "ser")),
        (
            "plan-ready",
            plan(armed(offered()), voyage::typed(), "server"),
        ),
        ("plan-data", plan(armed(offered()), approved, "")),
        ("plan-yes", plan(armed(offered()), Confirmation::Yes, "")),
        (
            "plan-practice",
            plan(practice, voyage::typed(), "practice se"),
        ),
        ("plan-menu", pressed(offered(), &[Intent::Act])),
        (
            "plan-form",
            pressed(offered(), &[Intent::Plan(Clean::from("deploy"))]),
        ),
        ("run-under-way", of(&way, true)),
        ("run-abort", pressed(of(&way, true), &[Intent::Abort])),
        ("run-failed", of(&failed, true)),
        (
            "run-answers",
            pressed(of(&failed, true), &[Intent::Open, Intent::Down(1)]),
        ),
        ("run-ownerless", of(&way, false)),
        ("run-unwound", of(&unwound, true)),
        ("run-completed", of(&done, true)),
        ("run-elsewhere", heard(fixture::troubled(), &way, true)),
        (
            "run-leave",
            pressed(heard(fixture::troubled(), &way, true), &[Intent::Leave]),
        ),
        ("run-list", pressed(of(&way, true), &[Intent::Detach])),
        (
            "run-journal",
            on(heard(fixture::troubled(), &way, true), Screen::Journal),
        ),
    ]
}

/// Pictures of the fixture for a person to look at: `QUARTERDECK_PICTURES=directory` writes them.
#[test]
fn pictures_of_all_screens_can_be_written() {
    let directory = std::env::var_os("QUARTERDECK_PICTURES").map(std::path::PathBuf::from);
    for (name, model) in gallery() {
        for (columns, lines) in [(120, 40), (80, 24)] {
            for theme in ["default", "dark"] {
                let buffer = frame(&model, &look(theme, Charset::Unicode), columns, lines).0;
                let svg = picture::svg(&buffer, &name);
                assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
                if let Some(directory) = &directory {
                    let file = format!("{name}-{columns}-{theme}.svg");
                    std::fs::write(directory.join(file), svg).expect("the directory is there");
                }
            }
        }
    }
}

#[test]
fn screens_look_as_they_did() {
    for (name, model) in gallery() {
        // The console's own log is the test's own log: whatever the other tests wrote.
        if name == "own-log" {
            continue;
        }
        insta::assert_snapshot!(format!("{name}_120x40"), text(&model, 120, 40));
        insta::assert_snapshot!(format!("{name}_80x24"), text(&model, 80, 24));
    }
}

#[test]
fn ascii_screens_look_as_they_did() {
    let model = fixture::troubled();
    insta::assert_snapshot!("ascii_overview_120x40", ascii(&model, 120, 40));
    let model = on(model, Screen::Containers);
    insta::assert_snapshot!("ascii_containers_80x24", ascii(&model, 80, 24));
    insta::assert_snapshot!("ascii_small_20x5", ascii(&model, 20, 5));
    for (name, model) in runs() {
        insta::assert_snapshot!(format!("ascii_{name}_20x5"), ascii(&model, 20, 5));
    }
}

#[test]
fn no_size_panics_on_any_screen_or_overlay() {
    let look = look("mono", Charset::Unicode);
    let mut models = gallery();
    models.push(("hostile".to_owned(), hostile()));
    for (n, (name, mut model)) in models.into_iter().enumerate() {
        // All sizes in steps; the steps of the models differ, so that together they meet nearly all.
        for lines in (1..=56_u16).step_by(5) {
            for columns in (1..=190_u16).step_by(11) {
                let columns = columns + u16::try_from(n % 11).expect("below eleven");
                let lines = lines + u16::try_from(n % 5).expect("below five");
                model.size = quarterdeck::app::Size { columns, lines };
                let (buffer, cursor) = frame(&model, &look, columns, lines);
                assert_eq!(buffer.area, Rect::new(0, 0, columns, lines), "{name}");
                if let Some(at) = cursor {
                    assert!(at.x < columns && at.y < lines, "{name} {columns}x{lines}");
                }
            }
        }
        frame(&model, &look, 500, 200);
    }
}

#[test]
fn every_small_size_is_drawn_for_the_worst_model() {
    let look = look("default", Charset::Unicode);
    for screen in Screen::ALL {
        let model = on(hostile(), screen);
        for lines in 1..=24 {
            for columns in 1..=81 {
                if lines < 16 || columns > 58 {
                    frame(&model, &look, columns, lines);
                }
            }
        }
    }
}

/// Names with marks, wide letters, emptiness and length wherever text comes from outside.
fn hostile() -> Model {
    let mut model = fixture::troubled();
    let names = [
        Clean::line(""),
        Clean::line("漢字漢字漢字漢字漢字漢字漢字漢字"),
        Clean::line("a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}b"),
        Clean::line("\u{202e}evil\u{1b}]52;c;x\u{7}"),
        Clean::line(&"long ".repeat(2000)),
        Clean::line("👩‍👩‍👧‍👦🏳️‍🌈"),
    ];
    let mut pick = names.iter().cycle().cloned();
    for watched in model.board.sources.values_mut() {
        let Some((_, reading)) = &mut watched.last else {
            continue;
        };
        let mut next = || pick.next().expect("a cycle has no end");
        reading.summary = next();
        match &mut reading.detail {
            Detail::Containers(containers) => {
                for container in &mut containers.all {
                    container.number = None;
                    container.name = next();
                    container.service = next();
                    container.image.name = next();
                    container.image.id = next();
                    container.check_command = next();
                    container.error = next();
                    container.restarts = u32::MAX;
                }
            }
            Detail::Usage(table) => {
                for usage in table.by_id.values_mut() {
                    usage.cpu_percent = Some(f64::NAN);
                    usage.memory_limit_bytes = Some(0);
                    usage.network_rx_per_s = Some(f64::INFINITY);
                }
            }
            Detail::Traffic(traffic) => {
                for replica in &mut traffic.replicas {
                    replica.replica = next();
                    replica.flow.share = Some(f64::NAN);
                    replica.flow.requests_per_s = Some(-1.0);
                }
            }
            Detail::Endpoint(endpoint) => {
                endpoint.url = next();
                endpoint.phases.tls_ms = Some(f64::NAN);
                endpoint.headers = vec![(next(), next())];
            }
            Detail::Certificate(certificate) => {
                certificate.chain.clear();
                certificate.findings = vec![next()];
            }
            Detail::Backup(backup) => backup.files.clear(),
            Detail::Alerts(_) | Detail::Host(_) | Detail::Engine(_) | Detail::None => {}
        }
    }
    model.board.stack.name = names[1].clone();
    model.session.host = names[4].clone();
    model
}

#[test]
fn every_cell_is_ascii_when_only_ascii_may_be_drawn() {
    let look = look("default", Charset::Ascii);
    let mut models = gallery();
    models.extend(Screen::ALL.map(|screen| ("hostile".to_owned(), on(hostile(), screen))));
    for (name, model) in models {
        for (columns, lines) in [(120, 40), (80, 24), (30, 8)] {
            let (buffer, _) = frame(&model, &look, columns, lines);
            for cell in &buffer.content {
                assert!(cell.symbol().is_ascii(), "{name}: {:?}", cell.symbol());
            }
        }
    }
}

#[test]
fn foreign_text_never_moves_the_border_beside_it() {
    for screen in [Screen::Containers, Screen::Logs, Screen::Certificates] {
        let (buffer, _) = frame(&on(hostile(), screen), &Look::default(), 80, 24);
        for y in 4..6 {
            assert_eq!(buffer[(79, y)].symbol(), "│", "{screen:?} line {y}");
        }
    }
}

#[test]
fn the_same_model_gives_the_same_frame() {
    let model = fixture::troubled();
    let look = Look::default();
    assert_eq!(frame(&model, &look, 120, 40), frame(&model, &look, 120, 40));
}

#[test]
fn a_quiet_second_changes_no_cell() {
    let mut model = fixture::calm();
    let first = frame(&model, &Look::default(), 120, 40).0;
    let next = model.now.plus(std::time::Duration::from_secs(1));
    update(&mut model, Event::Tick(next));
    let second = frame(&model, &Look::default(), 120, 40).0;
    assert_eq!(first.diff(&second).len(), 0);
}

#[test]
fn trouble_has_a_look_of_its_own_in_every_theme() {
    let model = on(fixture::troubled(), Screen::Containers);
    for (theme, _) in BUILT_IN {
        let (buffer, _) = frame(&model, &look(theme, Charset::Unicode), 120, 40);
        let quiet = find(&buffer, "client-1");
        let loud = find(&buffer, "UNHEALTHY");
        assert_ne!(
            (quiet.fg, quiet.bg, quiet.modifier),
            (loud.fg, loud.bg, loud.modifier),
            "{theme}"
        );
    }
}

/// The style of the first letter of a word on the screen.
#[track_caller]
fn find(buffer: &Buffer, word: &str) -> ratatui::buffer::Cell {
    for y in 3..buffer.area.height {
        let line: Vec<&str> = (0..buffer.area.width)
            .map(|x| buffer[(x, y)].symbol())
            .collect();
        for x in 0..line.len() {
            if line[x..].concat().starts_with(word) {
                let x = u16::try_from(x).expect("a column");
                return buffer[(x, y)].clone();
            }
        }
    }
    panic!("{word} is not on the screen");
}

#[test]
fn a_bar_under_the_cursor_is_not_turned_round() {
    let model = on(fixture::troubled(), Screen::Containers);
    let (buffer, _) = frame(&model, &Look::default(), 120, 40);
    assert!(
        find(&buffer, "server-2")
            .modifier
            .contains(Modifier::REVERSED)
    );
    assert!(!find(&buffer, "▁▁▁").modifier.contains(Modifier::REVERSED));
}

#[test]
fn a_calm_stack_has_no_colour_of_trouble() {
    let (buffer, _) = frame(&fixture::calm(), &Look::default(), 120, 40);
    for y in 1..40 {
        for x in 0..120 {
            let cell = &buffer[(x, y)];
            assert!(
                !matches!(cell.fg, Color::Red | Color::Yellow | Color::Magenta),
                "{x},{y} {:?}",
                cell.symbol()
            );
        }
    }
}

#[test]
fn without_colour_signs_and_words_say_it() {
    let (buffer, _) = frame(
        &on(fixture::troubled(), Screen::Containers),
        &look("mono", Charset::Unicode),
        120,
        40,
    );
    assert!(
        buffer
            .content
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    );
    let shown = picture::text(&buffer);
    for word in ["✖ UNHEALTHY", "● ok", "– no check", "READ-ONLY", "PROD"] {
        assert!(shown.contains(word), "{word}");
    }
    assert!(buffer[(1, 0)].modifier.contains(Modifier::REVERSED));
}

#[test]
fn before_anything_was_seen_nothing_is_said_to_be_well() {
    for screen in [
        Screen::Overview,
        Screen::Containers,
        Screen::Traffic,
        Screen::Certificates,
        Screen::Backups,
    ] {
        let shown = text(&on(fixture::unseen(), screen), 120, 40);
        assert!(shown.contains("looking…"), "{screen:?}\n{shown}");
        for lie in ["● ok", " 0/", "nothing is abnormal", "0 %"] {
            assert!(!shown.contains(lie), "{screen:?} says {lie:?}\n{shown}");
        }
    }
}

#[test]
fn stale_data_is_kept_marked_and_never_good() {
    let shown = text(&fixture::stale(), 120, 40);
    assert!(shown.contains("[?] 2m"), "{shown}");
    assert!(!shown.contains("● ok       2 Containers"));
    let shown = text(&on(fixture::stale(), Screen::Containers), 120, 40);
    assert!(
        shown.contains("no answer from /var/run/docker.sock within 5 s; is the engine running?"),
        "{shown}"
    );
    assert!(shown.contains("? was UNHEALTHY") && shown.contains("? was ok"));
    assert!(!shown.contains("● ok"), "what is stale is not good");
}

#[test]
fn the_first_three_lines_stand_on_every_screen() {
    for (name, model) in gallery() {
        for (columns, lines) in [(120, 40), (80, 24), (60, 15)] {
            let shown = text(&model, columns, lines);
            let top: String = shown.lines().take(4).collect();
            let word = model.board.stack.environment.word();
            assert!(top.contains(word), "{name} {columns}x{lines}\n{shown}");
            assert!(
                // A plan and a run have the third line for themselves.
                ["bad", "abnormal", "looking", "CONFIRM", "PRACTICE", "RUN"]
                    .iter()
                    .any(|w| top.contains(w)),
                "{name}\n{shown}"
            );
        }
    }
}

#[test]
fn modes_are_words_in_the_header() {
    let mut model = fixture::troubled();
    for (mode, word) in [
        (Mode::ReadOnly, "READ-ONLY"),
        (Mode::Replay, "REPLAY"),
        (Mode::Training, "TRAINING"),
        (
            Mode::Armed {
                until: fixture::NOW.plus(std::time::Duration::from_secs(700)),
            },
            "ARMED 12 min left",
        ),
    ] {
        model.session.mode = mode;
        let shown = text(&model, 80, 24);
        assert!(shown.contains(word), "{shown}");
        assert_eq!(shown.contains("////"), mode == Mode::Training);
        assert_eq!(shown.contains("SIM hyper-mission"), mode == Mode::Training);
    }
    let frozen = pressed(fixture::troubled(), &[Intent::Freeze]);
    assert!(text(&frozen, 80, 24).contains("FROZEN"));
}

#[test]
fn twenty_by_five_still_tells_environment_counts_worst_and_keys() {
    let shown = ascii(&fixture::troubled(), 20, 5);
    for word in ["PROD", "[X]3", "[!]", "min 60x15", "? : q"] {
        assert!(shown.contains(word), "{word}\n{shown}");
    }
    assert!(
        shown
            .lines()
            .nth(2)
            .is_some_and(|line| line.starts_with("[X] "))
    );
}

/// The fixture in a training.
fn trainee() -> Model {
    let mut model = fixture::troubled();
    model.session.mode = Mode::Training;
    model.training = Some(Training {
        title: Clean::from("A replica dies"),
        brief: Clean::from("You have the watch."),
        act_with: Clean::from("DOCKER_HOST=unix:///run/range/docker.sock"),
        causes: ["server-2 was killed", "memory", "disk"]
            .map(Clean::from)
            .to_vec(),
        hints: vec![Clean::from("Which replica answers?")],
        hints_left: 1,
        progress: Progress::default(),
        noticed: false,
        usual: std::collections::BTreeSet::new(),
        wrong: std::collections::BTreeSet::from([1]),
        right: None,
        debrief: Some(vec![Clean::from("A replica dies: 70 points")]),
    });
    model
}

#[test]
fn help_lists_every_key_of_the_table() {
    for screen in Screen::ALL {
        for model in [
            fixture::troubled(),
            trainee(),
            replayed(fixture::troubled(), true),
        ] {
            let (is_training, is_replay) = (model.training.is_some(), model.replay.is_some());
            let shown = text(&pressed(on(model, screen), &[Intent::Help]), 120, 200);
            let is_there = |place: Place| {
                (is_training || !place.is_of_training()) && (is_replay || place != Place::Replay)
            };
            let is_strange = |place| matches!(place, Place::Training | Place::Replay);
            let bindings = TABLE
                .iter()
                .filter(|b| is_there(b.place) || is_strange(b.place));
            for binding in bindings {
                let found = shown
                    .lines()
                    .any(|line| line.contains(&binding.written()) && line.contains(binding.help));
                assert_eq!(
                    found,
                    is_there(binding.place),
                    "{screen:?}: {} {}\n{shown}",
                    binding.written(),
                    binding.help
                );
            }
        }
    }
}

#[test]
fn a_training_is_drawn_at_every_size_and_says_what_it_is() {
    let pages = [Page::Briefing, Page::Hints, Page::Debrief];
    let overlays = pages
        .map(|page| Overlay::Page { page, scroll: 0 })
        .into_iter()
        .chain([
            Overlay::Causes { selected: 2 },
            Overlay::Ask(Question::GiveUp),
            Overlay::Ask(Question::Restart),
        ]);
    for (overlay, word) in overlays.zip([
        "You have the watch",
        "Which replica answers",
        "70 points",
        "server-2 was killed",
        "Give up?",
        "Start again?",
    ]) {
        let mut model = trainee();
        model.overlay = Some(overlay);
        for (columns, lines) in [(1, 1), (20, 5), (60, 15), (80, 24), (200, 60)] {
            let shown = text(&model, columns, lines);
            if columns >= 80 {
                assert!(shown.contains(word), "{word}\n{shown}");
                assert!(shown.contains("TRAINING: nothing here is production"));
                assert!(shown.contains("ended │ 0 points"), "{shown}");
            }
        }
    }
}

#[test]
fn help_can_be_searched() {
    let mut intents = vec![Intent::Help, Intent::Filter];
    intents.extend(typed("freeze"));
    let shown = text(&pressed(fixture::troubled(), &intents), 120, 40);
    assert!(shown.contains("freeze the screen") && !shown.contains("half a page"));
}

#[test]
fn the_footer_shows_only_keys_that_work_here() {
    let footer = |screen| {
        let shown = text(&on(fixture::troubled(), screen), 120, 40);
        shown.lines().last().unwrap_or_default().to_owned()
    };
    assert!(footer(Screen::Logs).contains("f follow"));
    assert!(!footer(Screen::Containers).contains("f follow"));
    assert!(footer(Screen::Containers).contains("l logs"));
    for screen in Screen::ALL {
        assert!(footer(screen).contains("? help"), "{screen:?}");
    }
}

#[test]
fn a_text_field_has_the_cursor() {
    let mut filter = vec![Intent::Filter];
    filter.extend(typed("漢字x"));
    let model = pressed(on(fixture::troubled(), Screen::Containers), &filter);
    let (buffer, cursor) = frame(&model, &Look::default(), 80, 24);
    let cursor = cursor.expect("a field is open");
    assert_eq!((cursor.x, cursor.y), (11 + 5, 23));
    assert!(picture::text(&buffer).contains("/ filter: 漢字x"));
    let model = pressed(fixture::troubled(), &[Intent::Palette]);
    assert!(frame(&model, &Look::default(), 80, 24).1.is_some());
    assert!(
        frame(&fixture::troubled(), &Look::default(), 80, 24)
            .1
            .is_none()
    );
}

#[test]
fn the_palette_teaches_keys() {
    let mut intents = vec![Intent::Palette];
    intents.extend(typed("freeze"));
    let shown = text(&pressed(fixture::troubled(), &intents), 80, 24);
    let line = shown.lines().find(|line| line.contains("hold the screen"));
    assert!(line.is_some_and(|line| line.contains(" P ")), "{shown}");
}

#[test]
fn a_thousand_containers_cost_no_more_cells_and_the_cursor_is_seen() {
    let mut model = fixture::troubled();
    for (id, watched) in &mut model.board.sources {
        if let (SourceKind::Containers, Some((_, reading))) = (id.kind, &mut watched.last)
            && let Detail::Containers(containers) = &mut reading.detail
        {
            containers.all = (1..=1000)
                .map(|n| fixture::container("server", n, "hyper-mission/server:1.42.0"))
                .collect();
        }
    }
    let model = pressed(on(model, Screen::Containers), &[Intent::Bottom]);
    let shown = text(&model, 120, 40);
    assert!(
        shown.contains("▸  server-1000") || shown.contains("▸ server-1000"),
        "{shown}"
    );
    assert!(shown.contains("of 1000"));
}
