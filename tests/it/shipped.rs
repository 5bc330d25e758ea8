//! What ships beside the program is read and linted: themes, scenarios, the example configuration, the README's tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use quarterdeck::config;
use quarterdeck::domain::{CheckState, Clean, Environment, ServiceSpec};
use quarterdeck::engine::{OnFailure, Person};
use quarterdeck::keys::{Group, Place, TABLE};
use quarterdeck::probe::check::Check;
use quarterdeck::range::scenario;
use quarterdeck::runbook::{self, Behind, Document, Entrance, Planned, Problem, Scene, Shelf};
use quarterdeck::step::Step;
use quarterdeck::view::{BUILT_IN, Theme};

use crate::fixture;

#[test]
fn every_theme_loads_and_every_theme_file_is_built_in() {
    for (name, _) in BUILT_IN {
        if let Err(error) = Theme::load(name, |_| None) {
            panic!("{name}: {error}");
        }
    }
    let built_in: BTreeSet<String> = BUILT_IN
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(stems("themes", "toml"), built_in);
}

#[test]
fn every_scenario_is_shipped_and_reads_without_a_problem() {
    let names: BTreeSet<String> = stems("assets/scenarios", "toml");
    assert!(names.len() >= 10, "{names:?}");
    for name in &names {
        let path = format!("assets/scenarios/{name}.toml");
        let text = fs::read_to_string(&path).unwrap();
        if let Err(problems) = scenario::parse(&path, &text) {
            panic!("{path}: {problems:?}");
        }
        assert!(
            text.contains("[debrief]") || text.contains("debrief"),
            "{path} has no debrief"
        );
    }
}

#[test]
fn every_shipped_configuration_is_right() {
    for path in [
        "assets/quarterdeck.example.toml",
        "assets/stack/hyper-mission/quarterdeck.toml",
    ] {
        if let Err(problems) = config::check(Path::new(path), &fs::read(path).unwrap()) {
            panic!("{problems}");
        }
    }
}

/// The fixture's stack, with a second colour.
fn scene() -> Scene {
    let services = [
        ("gateway", 1),
        ("server", 3),
        ("server-green", 2),
        ("redis", 1),
        ("postgres", 1),
    ];
    let replicas = |(service, many)| {
        let image = format!("hyper-mission/{service}:1");
        (1..=many).map(move |number| fixture::container(service, number, &image))
    };
    Scene {
        at: fixture::NOW,
        stack: Clean::from("hyper-mission"),
        environment: Environment::Development,
        containers: services.into_iter().flat_map(replicas).collect(),
        gateway: Entrance {
            service: Some(Clean::from("gateway")),
            url: Some(Clean::from("https://localhost:8443/")),
            behind: Some(Behind {
                service: Clean::from("server"),
                port: 5000,
                path: Clean::from("/api/ping"),
                health: Clean::from("/healthz"),
            }),
        },
        services: services
            .map(|(name, replicas)| ServiceSpec {
                name: Clean::from(name),
                replicas: Some(replicas),
                matters: true,
            })
            .to_vec(),
        earlier: Vec::new(),
        revisions: Vec::new(),
        prechecks: BTreeMap::new(),
        second_person: false,
    }
}

type Answers = &'static [(&'static str, &'static str)];

/// What each runbook that ships has to be told, and how its failure ends. A new one is entered here.
const ANSWERS: &[(&str, Answers, OnFailure)] = &[
    ("backup", &[("target", "app")], OnFailure::Undo),
    ("backup-copy", &[("target", "app")], OnFailure::Stop),
    ("backup-prune", &[("target", "app")], OnFailure::Stop),
    ("blue-green", &[("to", "green")], OnFailure::Undo),
    (
        "deploy",
        &[("image", "hyper-mission/server:2")],
        OnFailure::Undo,
    ),
    ("gateway-reload", &[], OnFailure::Stop),
    ("gateway-rollback", &[("what", "files")], OnFailure::Stop),
    (
        "migrate-database",
        &[
            ("target", "app"),
            ("from_service", "postgres"),
            ("from_database", "staging"),
        ],
        OnFailure::Undo,
    ),
    ("persistence-check", &[("target", "app")], OnFailure::Stop),
    ("restart-unhealthy", &[], OnFailure::Stop),
    ("restore", &[("target", "app")], OnFailure::Undo),
    ("restore-rehearsal", &[("target", "app")], OnFailure::Undo),
    (
        "rollback",
        &[("image", "hyper-mission/server:0")],
        OnFailure::Undo,
    ),
    ("rolling-restart", &[], OnFailure::Stop),
    ("scale", &[("replicas", "5")], OnFailure::Undo),
    ("stop-replica", &[("replica", "server-2")], OnFailure::Undo),
];

fn said(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn shipped_runbook(id: &str) -> Document {
    let path = format!("runbooks/{id}.md");
    let text = fs::read_to_string(&path).unwrap();
    Document::read(&path, &text).unwrap_or_else(|problems| panic!("{}", said(&problems)))
}

#[track_caller]
fn planned(id: &str, answers: &[(&str, &str)], scene: &Scene) -> Planned {
    let answers = answers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    let by = Person(Clean::from("anna"));
    runbook::plan(&shipped_runbook(id), &answers, scene, by)
        .unwrap_or_else(|problems| panic!("{}", said(&problems)))
}

#[test]
fn every_runbook_is_built_in_and_read_without_a_problem() {
    let shelf = Shelf::of(&[]);
    assert!(shelf.problems.is_empty(), "{}", said(&shelf.problems));
    let built_in: BTreeSet<String> = shelf
        .books
        .iter()
        .map(|book| book.document.id.to_string())
        .collect();
    assert_eq!(stems("runbooks", "md"), built_in);
    let told: BTreeSet<String> = ANSWERS.iter().map(|(id, ..)| (*id).to_owned()).collect();
    assert_eq!(told, built_in);
}

#[test]
fn every_runbook_makes_a_plan_whose_steps_and_checks_are_what_they_say() {
    for (id, answers, on_failure) in ANSWERS {
        let mut scene = scene();
        if *id == "restart-unhealthy" {
            scene.containers[3].check = CheckState::Unhealthy;
        }
        let Planned { plan, brief } = planned(id, answers, &scene);
        assert_eq!(plan.on_failure, *on_failure, "{id}");
        for step in &plan.steps {
            let read: Step = serde_json::from_value(step.act.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), step.act, "{id}");
            if step.act["kind"] == "check" {
                let check: Check = serde_json::from_value(step.act["check"].clone()).unwrap();
                assert_eq!(check.problems(), [""; 0], "{id}");
            }
            assert!(!step.title.contains('{'), "{id}: {}", step.title);
        }
        let attached: runbook::Attached = serde_json::from_value(plan.attached.clone()).unwrap();
        for guard in &attached.guards {
            let check: Check = serde_json::from_value(guard.check.clone()).unwrap();
            assert_eq!(check.problems(), [""; 0], "{id}");
        }
        assert!(
            !brief.changes.is_empty() && !brief.worst_case.is_empty(),
            "{id}"
        );
        assert!(
            !brief.undo.is_empty() && !brief.unchanged.is_empty(),
            "{id}"
        );
    }
}

#[test]
fn every_runbook_is_a_page_that_can_be_followed_by_hand() {
    for id in stems("runbooks", "md") {
        let document = shipped_runbook(&id);
        let by_hand = document
            .page
            .iter()
            .filter(|line| line.starts_with("    ") && line.trim().len() > 5);
        assert!(by_hand.count() >= 2, "{id} has no commands for a person");
        let prose = document
            .page
            .iter()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
        assert!(prose.count() >= 2, "{id} explains nothing");
        assert!(
            document.parameters.iter().all(|p| !p.help.is_empty()),
            "{id}"
        );
    }
}

#[test]
fn no_runbook_takes_a_key_of_the_console_or_of_another_runbook() {
    let page = |key: &str| {
        let text = format!(
            "+++\nid = \"x\"\ntitle = \"X\"\nrisk = \"low\"\nkey = \"{key}\"\n+++\n```toml step\nkind = \"wait\"\ntime = \"1s\"\n```\n"
        );
        Document::read("x.md", &text)
    };
    let shift = |key: &str| key.len() == 1 && key.chars().all(|c| c.is_ascii_uppercase());
    for key in TABLE
        .iter()
        .flat_map(|binding| binding.keys)
        .filter(|key| shift(key))
    {
        assert!(
            page(key).is_err(),
            "a runbook could take `{key}` from the console"
        );
    }
    assert!(page("R").is_ok());
    let keys: Vec<char> = Shelf::of(&[])
        .books
        .iter()
        .filter_map(|book| book.document.key)
        .collect();
    let different: BTreeSet<&char> = keys.iter().collect();
    assert_eq!(different.len(), keys.len(), "{keys:?}");
}

#[test]
fn the_readme_lists_the_keys_of_the_table() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (from, to) = ("compared by a test -->\n", "<!-- end of keys -->");
    let start = readme.find(from).expect("the marker of the keys") + from.len();
    let end = readme.find(to).expect("the end of the keys");
    let table = key_table();
    if std::env::var_os("QUARTERDECK_WRITE_README").is_some() {
        fs::write(
            "README.md",
            format!("{}{table}{}", &readme[..start], &readme[end..]),
        )
        .unwrap();
        return;
    }
    assert!(
        readme[start..end] == table,
        "the README's keys are not those of src/keys/table.rs; QUARTERDECK_WRITE_README=1 cargo test readme writes them:\n{table}"
    );
}

fn key_table() -> String {
    let mut table = String::from("| key | where | does |\n|---|---|---|\n");
    for group in [Group::Move, Group::Look, Group::Act, Group::Anywhere] {
        for binding in TABLE.iter().filter(|binding| binding.group == group) {
            let place = match binding.place {
                Place::Everywhere => "everywhere",
                Place::Screens => "all screens",
                Place::Lists | Place::Marks => "lists",
                Place::Replay => "a recording",
                Place::Rows => "containers, traffic",
                Place::Traffic => "traffic",
                Place::Logs => "logs",
                Place::Runs => "runs",
                Place::Checklist => "checklist",
                // What a text field and a question take is what every program takes; the help shows it.
                _ => continue,
            };
            let keys: Vec<String> = binding
                .written()
                .split(' ')
                .map(|key| format!("`{key}`"))
                .collect();
            let _ = writeln!(table, "| {} | {place} | {} |", keys.join(" "), binding.help);
        }
    }
    table
}

/// Every command that the README shows is run by somebody: here it is said by whom, and looked whether that is so.
#[test]
fn every_command_of_the_readme_is_run_by_a_test_or_by_ci() {
    let readme = fs::read_to_string("README.md").unwrap();
    let ci = fs::read_to_string(".ci/run").unwrap();
    let shown: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .collect();
    for command in &shown {
        let run = RUN_BY.iter().find(|(shown, _)| shown == command);
        let Some((_, by)) = run else {
            panic!("`{command}` stands in the README, and nobody is said to run it")
        };
        assert!(
            ci.contains(by) || is_a_test(by),
            "`{command}` is said to be run by `{by}`, which is not there"
        );
    }
    for (command, _) in RUN_BY {
        assert!(
            shown.contains(command),
            "`{command}` stands no longer in the README"
        );
    }
}

/// A command, and the text in `.ci/run` or the name of the test that runs it.
const RUN_BY: &[(&str, &str)] = &[
    (
        "cargo run --release -- train",
        "cargo run --release -- train",
    ),
    ("cargo test", "cargo test --locked"),
    ("cargo install --path .", "cargo install --locked --path ."),
    (
        "cd where/your/compose/file/is",
        "cd \"$(dirname \"$0\")/..\"",
    ),
    (
        "quarterdeck init",
        "init_writes_what_runs_and_status_works_with_it",
    ),
    ("quarterdeck", "cargo run --release -- train"),
    (
        "quarterdeck plan rolling-restart service=server",
        "a_rolling_restart_loses_no_request_and_restarting_all_at_once_loses_many",
    ),
    (
        "quarterdeck run rolling-restart service=server --confirm=server",
        "a_rolling_restart_loses_no_request_and_restarting_all_at_once_loses_many",
    ),
    (
        "quarterdeck runs last",
        "a_driver_that_is_killed_three_times_is_resumed_and_every_replica_is_restarted_once",
    ),
    (
        "quarterdeck record night.qdr --for 8h",
        "a_recording_ends_by_itself_after_the_time_it_was_given",
    ),
    (
        "quarterdeck replay night.qdr",
        "a_recording_is_played_with_keys_and_never_looks_live",
    ),
    (
        "quarterdeck replay night.qdr --list",
        "the_list_tells_what_turned_and_when",
    ),
    (
        "quarterdeck train --instructor",
        "an_instructor_lets_faults_begin_while_the_trainee_watches",
    ),
    ("assets/stack/up", "assets/stack/up"),
    (
        "cargo run --release -- -c assets/stack/hyper-mission/quarterdeck.toml",
        "cargo run --release -- -c assets/stack/hyper-mission/quarterdeck.toml",
    ),
    (
        "cargo run --release -- -c assets/stack/hyper-mission/quarterdeck.toml status",
        "cargo run --release -- -c assets/stack/hyper-mission/quarterdeck.toml status",
    ),
    ("assets/stack/down", "assets/stack/down"),
];

fn is_a_test(name: &str) -> bool {
    let folders = ["tests/it", "tests/it/pty"].map(|folder| fs::read_dir(folder).unwrap());
    folders.into_iter().flatten().any(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|end| end == "rs")
            && path.file_name().is_some_and(|file| file != "shipped.rs")
            && fs::read_to_string(path)
                .unwrap()
                .contains(&format!("fn {name}("))
    })
}

fn stems(dir: &str, end: &str) -> BTreeSet<String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == end))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}
