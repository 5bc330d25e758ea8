//! What a document and a scene make together.

use std::collections::BTreeMap;

use super::*;
use crate::domain::{
    CheckState, Clean, Container, ContainerId, ContainerState, Drift, Environment, Image, Limits,
    ServiceSpec, Timestamp,
};
use crate::engine::{OnFailure, Person, StepPlan, Target};

pub(super) fn container(service: &str, number: u32, check: CheckState) -> Container {
    Container {
        id: ContainerId(Clean::from(format!(
            "{number:x}{}",
            "0123456789abcdef".repeat(4)
        ))),
        name: Clean::from(format!("hyper-mission-{service}-{number}")),
        project: Clean::from("hyper-mission"),
        service: Clean::from(service),
        number: Some(number),
        state: ContainerState::Running,
        check,
        check_streak: 0,
        check_log: Vec::new(),
        check_command: Clean::default(),
        restarts: 0,
        exit_code: None,
        oom_killed: false,
        error: Clean::default(),
        created_at: Some(Timestamp(1_000)),
        started_at: Some(Timestamp(2_000)),
        finished_at: None,
        image: Image {
            name: Clean::from(format!("hyper-mission/{service}:1")),
            id: Clean::from("sha256:1"),
            digest: None,
        },
        drift: Drift::Same,
        addresses: Vec::new(),
        ports: Vec::new(),
        mounts: Vec::new(),
        labels: BTreeMap::new(),
        limits: Limits::default(),
        restart_policy: Clean::default(),
        user: Clean::default(),
        pid: None,
    }
}

pub(super) fn scene() -> Scene {
    let server = |number| container("server", number, CheckState::Healthy);
    Scene {
        at: Timestamp(1_795_176_221_000),
        stack: Clean::from("hyper-mission"),
        environment: Environment::Development,
        containers: vec![
            container("gateway", 1, CheckState::Healthy),
            server(3),
            server(1),
            server(2),
        ],
        gateway: Entrance {
            service: Some(Clean::from("gateway")),
            url: Some(Clean::from("https://localhost:8443/start?x")),
            behind: Some(Behind {
                service: Clean::from("server"),
                port: 5000,
                path: Clean::from("/api/ping"),
                health: Clean::from("/healthz"),
            }),
        },
        services: vec![ServiceSpec {
            name: Clean::from("server"),
            replicas: Some(3),
            matters: true,
        }],
        earlier: Vec::new(),
        revisions: Vec::new(),
        prechecks: BTreeMap::new(),
        second_person: false,
    }
}

fn answers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[track_caller]
fn shipped(id: &str) -> Document {
    let shelf = Shelf::of(&[]);
    assert!(shelf.problems.is_empty(), "{}", said(&shelf.problems));
    shelf.find(id).unwrap().document.clone()
}

fn said(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn planned(document: &Document, given: &[(&str, &str)], scene: &Scene) -> Planned {
    plan(
        document,
        &answers(given),
        scene,
        Person(Clean::from("anna")),
    )
    .unwrap_or_else(|problems| panic!("{}", said(&problems)))
}

#[track_caller]
fn refused(document: &Document, given: &[(&str, &str)], scene: &Scene) -> String {
    match plan(
        document,
        &answers(given),
        scene,
        Person(Clean::from("anna")),
    ) {
        Ok(planned) => panic!("it was planned: {:#?}", planned.plan.steps),
        Err(problems) => said(&problems),
    }
}

fn groups(planned: &Planned) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for step in &planned.plan.steps {
        if groups.last().is_none_or(|last| *last != *step.group) {
            groups.push(step.group.to_string());
        }
    }
    groups
}

#[test]
fn a_rolling_restart_takes_one_replica_after_the_other_in_the_order_of_their_numbers() {
    let planned = planned(&shipped("rolling-restart"), &[], &scene());
    assert_eq!(groups(&planned), ["server-1", "server-2", "server-3"]);
    let kinds: Vec<&str> = planned.plan.steps[..5]
        .iter()
        .filter_map(|step| step.act["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["drain", "restart", "healthy", "undrain", "wait"]);
    assert_eq!(
        planned.plan.steps[1].act["container"],
        "hyper-mission-server-1"
    );
    assert_eq!(planned.plan.steps[2].act["port"], 5000);
    assert_eq!(planned.plan.target, Target(Clean::from("service/server")));
    assert_eq!(planned.plan.on_failure, OnFailure::Stop);
    let floor = planned.brief.floor.unwrap();
    assert_eq!((floor.serving_min, floor.of, floor.at_once), (2, 3, 1));
}

#[test]
fn every_shipped_runbook_is_read_without_a_problem() {
    let shelf = Shelf::of(&[]);
    assert!(shelf.problems.is_empty(), "{}", said(&shelf.problems));
    assert_eq!(shelf.books.len(), BUILT_IN.len());
}

#[track_caller]
fn replica<'s>(scene: &'s mut Scene, word: &str) -> &'s mut Container {
    let at = scene
        .containers
        .iter()
        .position(|container| *container.replica() == *word);
    &mut scene.containers[at.unwrap()]
}

#[test]
fn the_already_sick_go_first() {
    let mut scene = scene();
    replica(&mut scene, "server-3").check = CheckState::Unhealthy;
    let planned = planned(&shipped("rolling-restart"), &[], &scene);
    assert_eq!(groups(&planned), ["server-3", "server-1", "server-2"]);
    assert_eq!(
        &*planned.brief.changes[0],
        "Restart hyper-mission-server-3 (10s to end by itself) (unhealthy)"
    );
    assert_eq!(&*planned.brief.notes[0], "server-3 is unhealthy already");
}

#[test]
fn a_replica_that_is_not_running_is_sick_too() {
    let mut scene = scene();
    replica(&mut scene, "server-2").state = ContainerState::Exited;
    let planned = planned(&shipped("rolling-restart"), &[], &scene);
    assert_eq!(groups(&planned), ["server-2", "server-1", "server-3"]);
}

#[test]
fn a_plan_that_goes_below_its_floor_is_refused() {
    let mut scene = scene();
    scene
        .containers
        .retain(|container| *container.replica() != *"server-3");
    assert_eq!(
        refused(&shipped("rolling-restart"), &[], &scene),
        "rolling-restart.md:116: \"Take server-1 out of the gateway and let its requests end\" leaves 1 of 2 replicas of \
         `server` serving, and the floor is 2\n     = 2 of 3 are healthy now: bring the others back first (`restart-unhealthy`, `scale`)\n"
    );
}

#[test]
fn a_replica_that_nobody_waits_for_is_not_back() {
    let text = "+++\nid = \"x\"\ntitle = \"X\"\nrisk = \"users\"\n[floor]\nservice = \"server\"\n+++\n\
        ```toml each\nreplica_of = \"server\"\n```\n```toml step\nkind = \"restart\"\ncontainer = \"{replica}\"\n```\n";
    let document = Document::read("x.md", text).unwrap();
    let said = refused(&document, &[], &scene());
    assert!(
        said.starts_with("x.md:11: \"Restart server-2 (10s to end by itself)\" leaves 1 of 3"),
        "{said}"
    );
}

#[test]
fn only_the_sick_are_touched_where_only_they_are_meant() {
    let mut scene = scene();
    let book = shipped("restart-unhealthy");
    let said = refused(&book, &[], &scene);
    assert!(said.contains("there is nothing to do"), "{said}");
    replica(&mut scene, "server-2").check = CheckState::Unhealthy;
    assert_eq!(groups(&planned(&book, &[], &scene)), ["server-2"]);
}

#[test]
fn answers_are_judged_all_at_once() {
    let given = [
        ("service", "sever"),
        ("in_a_row", "100"),
        ("grace", "soon"),
        ("path", "/x;rm -rf"),
        ("min_healty_time", "5s"),
    ];
    let said = refused(&shipped("rolling-restart"), &given, &scene());
    for expected in [
        "there is no parameter `min_healty_time`\n     | min_healty_time=5s\n     = did you mean `min_healthy_time`?",
        "parameter `service` (service): the stack `hyper-mission` has no such service\n     | service=sever\n     = did you mean `server`?",
        "parameter `in_a_row` (integer): 100 is above 60",
        "parameter `grace` (duration): expected number at 0",
        "parameter `path` (text): it does not match ^/[A-Za-z0-9._~/-]{0,120}$",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn a_value_is_what_it_seems_and_no_option() {
    let book = shipped("deploy");
    for image in [
        "-rf",
        "a b",
        "a\nb",
        "a\u{202e}b",
        "",
        "$(id)",
        "a;b",
        "a|b",
        &"a".repeat(300),
    ] {
        let said = refused(&book, &[("image", image)], &scene());
        assert!(
            said.contains("parameter `image` (image): "),
            "{image:?}: {said}"
        );
    }
    let digest = format!("shop/server@sha256:{}", "0f".repeat(32));
    for image in ["server:2", "localhost:5000/a/b_c:v1.2", &digest] {
        let planned = planned(&book, &[("image", image)], &scene());
        assert_eq!(planned.plan.steps[1].act["image"], image);
    }
}

#[test]
fn an_alternative_in_a_pattern_does_not_open_its_end() {
    let parameter = Parameter {
        name: Clean::from("p"),
        kind: Kind::Text {
            pattern: Clean::from("^a|b$"),
        },
        default: None,
        help: Clean::default(),
        line: 1,
    };
    assert!(parameter.accepts("a").is_ok() && parameter.accepts("b").is_ok());
    assert!(parameter.accepts("a;x").is_err() && parameter.accepts("x;b").is_err());
}

#[test]
fn whether_a_failure_is_undone_hangs_on_the_answer() {
    let given = |revert| [("image", "server:2"), ("auto_revert", revert)];
    let of = |revert| {
        planned(&shipped("deploy"), &given(revert), &scene())
            .plan
            .on_failure
    };
    assert_eq!(
        (of("true"), of("false")),
        (OnFailure::Undo, OnFailure::Stop)
    );
}

#[test]
fn a_rollback_offers_the_last_revision_that_was_good() {
    let mut scene = scene();
    let revision = |image: &str, good| Revision {
        service: Clean::from("server"),
        image: Clean::from(image),
        image_id: Clean::default(),
        at: Timestamp(1),
        by: Clean::from("bob"),
        good,
        said: Clean::default(),
    };
    let book = shipped("rollback");
    let said = refused(&book, &[], &scene);
    assert!(said.contains("parameter `image` has no value"), "{said}");
    scene.revisions = vec![
        revision("hyper-mission/server:1", Some(true)),
        revision("hyper-mission/server:4", None),
        revision("hyper-mission/server:3", Some(false)),
        revision("hyper-mission/server:2", Some(true)),
    ];
    let planned = planned(&book, &[], &scene);
    assert_eq!(
        planned.plan.parameters["image"],
        Clean::from("hyper-mission/server:2")
    );
    let choices = book
        .parameter("image")
        .unwrap()
        .choices(&scene, &answers(&[("service", "server")]));
    assert_eq!(choices.len(), 3, "what runs is no way back: {choices:?}");
}

#[test]
fn the_same_three_make_the_same_plan_and_any_change_another() {
    let book = shipped("rolling-restart");
    let first = planned(&book, &[], &scene()).plan;
    assert_eq!(planned(&book, &[], &scene()).plan, first);
    assert_eq!(first.id.0.len(), 64);
    let mut later = scene();
    later.at = Timestamp(later.at.0 + 60_000);
    assert_eq!(
        planned(&book, &[], &later).plan.id,
        first.id,
        "time alone changes nothing"
    );
    let other = planned(&book, &[("settle", "3s")], &scene()).plan;
    assert_ne!(other.id, first.id);
    replica(&mut later, "server-2").started_at = Some(Timestamp(9_000));
    assert_ne!(planned(&book, &[], &later).plan.id, first.id);
}

#[test]
fn facts_of_a_replica_stand_on_the_first_step_that_touches_it() {
    let scene = scene();
    let plan = planned(&shipped("rolling-restart"), &[], &scene).plan;
    let with_facts: Vec<usize> = (0..plan.steps.len())
        .filter(|at| !plan.steps[*at].facts.is_empty())
        .collect();
    assert_eq!(with_facts, [0, 5, 10]);
    let own: Vec<&str> = plan.steps[5].facts.0.keys().map(Clean::as_str).collect();
    assert_eq!(
        own,
        ["container/server-2", "image/server-2", "started/server-2"]
    );
    let whole: Vec<&str> = plan.facts.0.keys().map(Clean::as_str).collect();
    assert_eq!(
        whole,
        [
            "container/gateway-1",
            "image/gateway-1",
            "replicas/server",
            "started/gateway-1"
        ]
    );
}

#[test]
fn a_newer_scene_shows_what_changed_and_the_runs_own_work_is_no_surprise() {
    let mut scene = scene();
    let plan = planned(&shipped("rolling-restart"), &[], &scene).plan;
    assert!(plan.facts.changes(&observe(&scene)).is_empty());
    // The run's own restart of the first replica.
    replica(&mut scene, "server-1").started_at = Some(Timestamp(9_000));
    assert!(plan.facts.changes(&observe(&scene)).is_empty());
    assert!(plan.steps[5].facts.changes(&observe(&scene)).is_empty());
    // Somebody else's of the second.
    replica(&mut scene, "server-2").started_at = Some(Timestamp(9_000));
    let changes = plan.steps[5].facts.changes(&observe(&scene));
    assert_eq!(&*changes[0].fact, "started/server-2");
    // A replica more than the plan knew.
    scene
        .containers
        .push(container("server", 4, CheckState::Healthy));
    assert_eq!(
        &*plan.facts.changes(&observe(&scene))[0].fact,
        "replicas/server"
    );
}

#[test]
fn what_a_deploy_keeps_is_no_replica() {
    let mut scene = scene();
    let mut kept = container("server", 1, CheckState::None);
    kept.name = Clean::from("hyper-mission-server-1-before-r-20261121-031502-ab12");
    kept.state = ContainerState::Exited;
    scene.containers.insert(0, kept);
    let mut next = container("server", 2, CheckState::Starting);
    next.name = Clean::from("hyper-mission-server-2-next-r-20261121-031502-ab12");
    scene.containers.insert(0, next);
    assert_eq!(scene.replicas_of("server").len(), 3);
    let groups = groups(&planned(&shipped("rolling-restart"), &[], &scene));
    assert_eq!(groups, ["server-1", "server-2", "server-3"]);
}

#[test]
fn a_service_that_is_not_behind_the_gateway_is_not_drained() {
    let mut scene = scene();
    scene
        .containers
        .push(container("redis", 1, CheckState::Healthy));
    let plan = planned(&shipped("rolling-restart"), &[("service", "redis")], &scene);
    let kinds: Vec<&str> = plan
        .plan
        .steps
        .iter()
        .filter_map(|step| step.act["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["restart", "healthy", "wait"]);
    assert_eq!(
        plan.plan.steps[1]
            .act
            .get("port")
            .and_then(serde_json::Value::as_u64),
        None
    );
    assert_eq!(
        &*plan.brief.worst_case[0],
        "0 of 1 replicas of redis go on serving; the floor is 0"
    );
}

#[test]
fn a_drill_of_one_of_three_keeps_the_floor_and_undoes_itself() {
    let planned = planned(
        &shipped("stop-replica"),
        &[("replica", "server-2")],
        &scene(),
    );
    assert_eq!(planned.plan.on_failure, OnFailure::Undo);
    assert_eq!(planned.plan.target, Target(Clean::from("service/server")));
    assert_eq!(
        planned.brief.confirmation,
        Confirmation::Typed {
            word: Clean::from("server-2")
        }
    );
    let last_acts: Vec<&str> = planned
        .plan
        .steps
        .iter()
        .filter_map(|step| step.act["kind"].as_str())
        .collect();
    let stop = last_acts.iter().position(|kind| *kind == "stop");
    let start = last_acts.iter().position(|kind| *kind == "start");
    assert!(stop < start && stop.is_some(), "{last_acts:?}");
    assert_eq!(planned.plan.steps[0].act["check"]["healthy"], ">= 3");
}

#[test]
fn scaling_below_the_floor_is_refused() {
    let given = |replicas| [("replicas", replicas), ("serving_min", "2")];
    let said = refused(&shipped("scale"), &given("1"), &scene());
    assert!(
        said.contains("leaves 1 of 3 replicas of `server` serving, and the floor is 2"),
        "{said}"
    );
    assert_eq!(
        planned(&shipped("scale"), &given("2"), &scene())
            .plan
            .steps
            .len(),
        3
    );
}

#[test]
fn the_tap_goes_through_the_entrance_whatever_page_its_url_shows() {
    let planned = planned(&shipped("rolling-restart"), &[], &scene());
    let attached: Attached = serde_json::from_value(planned.plan.attached).unwrap();
    let tap = attached.tap.unwrap();
    assert_eq!(
        (&*tap.url, tap.rate, tap.failures_max),
        ("https://localhost:8443/api/ping", 50, 0)
    );
    assert_eq!(attached.guards[0].check["healthy"], ">= 2");
    assert_eq!(attached.document_sha256.len(), 64);
}

#[test]
fn without_an_entrance_nobody_counts_and_that_is_said() {
    let mut scene = scene();
    scene.gateway.url = None;
    let planned = planned(&shipped("rolling-restart"), &[], &scene);
    assert!(
        planned
            .brief
            .notes
            .iter()
            .any(|note| note.starts_with("nobody counts the users' requests")),
        "{:?}",
        planned.brief.notes
    );
}

#[test]
fn the_expected_time_is_the_middle_of_earlier_runs_on_the_same_target() {
    let mut scene = scene();
    let run = |runbook: &str, target: &str, took_ms| Earlier {
        runbook: Clean::from(runbook),
        target: Target(Clean::from(target)),
        took_ms,
    };
    let book = shipped("rolling-restart");
    assert_eq!(planned(&book, &[], &scene).brief.expected, None);
    scene.earlier = vec![
        run("rolling-restart", "service/server", 50_000),
        run("rolling-restart", "service/server", 10_000),
        run("rolling-restart", "service/redis", 1),
        run("deploy", "service/server", 1),
    ];
    assert_eq!(
        planned(&book, &[], &scene).brief.expected,
        Some((30_000, 2))
    );
    scene
        .earlier
        .push(run("rolling-restart", "service/server", 20_000));
    assert_eq!(
        planned(&book, &[], &scene).brief.expected,
        Some((20_000, 3))
    );
}

#[test]
fn what_nobody_looked_at_did_not_pass() {
    use crate::probe::check::Verdict;
    let mut scene = scene();
    let book = shipped("rolling-restart");
    let wanted = prechecks(&book, &BTreeMap::new(), &scene).unwrap();
    assert_eq!(wanted.len(), 1);
    assert_eq!(wanted[0].check["healthy"], ">= 2");
    let first = planned(&book, &[], &scene);
    assert_eq!(first.brief.checks[0].outcome.verdict, Verdict::CouldNotRun);
    let mut outcome = first.brief.checks[0].outcome.clone();
    outcome.verdict = Verdict::Pass;
    scene.prechecks.insert(wanted[0].block, outcome);
    let second = planned(&book, &[], &scene);
    assert_eq!(second.brief.checks[0].outcome.verdict, Verdict::Pass);
    assert_eq!(second.plan.id, first.plan.id);
}

#[test]
fn a_file_stands_in_for_the_built_in_runbook_of_its_id_and_says_so() {
    let text = "+++\nid = \"deploy\"\ntitle = \"Ours\"\nrisk = \"low\"\n+++\n```toml step\nkind = \"wait\"\ntime = \"1s\"\n```\n";
    let file = |path: &str, text: &str| (Clean::from(path), text.to_owned());
    let shelf = Shelf::of(&[
        file("/r/a.md", text),
        file("/r/b.md", text),
        file("/r/c.md", ""),
    ]);
    let book = shelf.find("deploy").unwrap();
    assert_eq!(&*book.document.title, "Ours");
    assert_eq!(
        &*book.origin.said(),
        "/r/a.md (instead of the built-in one)"
    );
    let problems = said(&shelf.problems);
    assert!(
        problems.contains("/r/b.md:1: the id `deploy` is taken by /r/a.md"),
        "{problems}"
    );
    assert!(problems.contains("/r/c.md:1: "), "{problems}");
    assert_eq!(shelf.books.len(), BUILT_IN.len());
    assert_eq!(
        shelf.find("deplox").unwrap_err().as_str(),
        "there is no runbook `deplox`; did you mean `deploy`?"
    );
}

#[test]
fn a_runbook_is_shown_with_what_the_console_does_at_each_place() {
    let shelf = Shelf::of(&[]);
    let text = show_text(shelf.find("rolling-restart").unwrap());
    for expected in [
        "Rolling restart (rolling-restart)\nrisk users; for a service; key R; holds service/{service}; when a step fails: stop\nbuilt in;",
        "  >> for each replica of {service}, sick ones first:\n",
        "  >> step: drain replica={replica}, if {service} == {upstream.service}\n",
        "docker restart --time 10 server-2",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("```toml"), "{text}");
    let json = show_json(shelf.find("rolling-restart").unwrap());
    assert_eq!(json["schema"], "quarterdeck.runbook/1");
    assert_eq!(json["parameters"][0]["type"], "service");
    assert!(list_text(&shelf).starts_with("ID "));
    assert_eq!(
        list_json(&shelf)["runbooks"].as_array().map(Vec::len),
        Some(BUILT_IN.len())
    );
}

#[test]
fn a_rollback_over_what_somebody_else_deployed_wants_the_image_by_name() {
    let mut scene = scene();
    let revision = |image: &str| Revision {
        service: Clean::from("server"),
        image: Clean::from(image),
        image_id: Clean::default(),
        at: Timestamp(1),
        by: Clean::from("bob"),
        good: Some(true),
        said: Clean::default(),
    };
    scene.revisions = vec![
        revision("hyper-mission/server:7"),
        revision("hyper-mission/server:6"),
    ];
    let book = shipped("rollback");
    let said = refused(&book, &[], &scene);
    assert!(said.contains("somebody else deployed since"), "{said}");
    let planned = planned(&book, &[("image", "hyper-mission/server:6")], &scene);
    let notes: Vec<_> = planned.brief.notes.iter().map(Clean::as_str).collect();
    assert!(
        notes.concat().contains("somebody else deployed"),
        "{notes:?}"
    );
    // The same name, and another build behind it.
    scene.revisions[0].image = Clean::from("hyper-mission/server:1");
    assert_eq!(scene.drifted("server"), None);
    scene.revisions[0].image_id = Clean::from("sha256:other");
    let drifted = scene.drifted("server").unwrap();
    assert!(drifted.contains("another build of it"), "{drifted}");
}

#[test]
fn what_was_kept_is_removed_and_a_failure_there_does_not_go_back_half_way() {
    let given = [("image", "server:2"), ("auto_revert", "true")];
    let Planned { plan, .. } = planned(&shipped("deploy"), &given, &scene());
    let retires = |step: &&StepPlan| step.act["kind"] == "retire";
    assert_eq!(plan.steps.iter().filter(retires).count(), 3);
    for id in plan.ids() {
        let is_retire = retires(&plan.step(id));
        assert_eq!(plan.undoes_after(id), !is_retire, "{}", plan.step(id).title);
    }
}
