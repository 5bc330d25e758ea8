//! Facts about the world: determinism, and every shipped scenario from its fault to its mitigation.

use proptest::prelude::*;

use super::*;
use crate::range::figures::whole_ms;
use crate::range::scenario::{self, SHIPPED, Scenario};

/// Long enough after an act for health checks, windows and warm-up to settle.
const SETTLED_MS: Ms = 140_000;

fn shipped() -> Vec<Scenario> {
    SHIPPED
        .iter()
        .map(|(id, _)| scenario::load(id).expect("shipped scenarios load"))
        .collect()
}

fn seconds(s: f64) -> Ms {
    whole_ms(s * 1_000.0)
}

#[test]
fn a_calm_world_loses_nothing_and_alerts_nobody() {
    let mut world = World::new(Scenario::calm(), 11);
    world.inject(&scenario::Fault::EngineReturns {});
    world.advance(120_000);
    assert_eq!(world.users.lost, 0);
    assert!(world.users.requests > 4_000, "{}", world.users.requests);
    assert!(
        world.alerts.iter().all(|a| a.phase == AlertPhase::Inactive),
        "{:?}",
        world.alerts
    );
    assert!(world.fact(scenario::FactName::P95Ms, None) < 250.0);
    for server in ["server-1", "server-2", "server-3"] {
        let share = world.fact(scenario::FactName::Share, Some(server));
        assert!((0.3..0.37).contains(&share), "{server} {share}");
    }
}

#[test]
fn every_scenario_shows_its_signs_in_time() {
    for scenario in shipped() {
        let id = scenario.id.clone();
        let mut signs = scenario.signs.clone();
        signs.sort_by(|a, b| a.by_s.total_cmp(&b.by_s));
        let mut world = World::new(scenario, 3);
        let began = seconds(world.scenario.fault_at_s().expect("a fault"));
        world.advance(began - 1_000);
        assert!(
            world.goal_holds(),
            "{id}: the goal must hold before the fault"
        );
        for sign in &signs {
            world.advance(seconds(sign.by_s));
            let figure = world.fact(sign.when.fact, sign.when.of.as_deref());
            assert!(sign.when.holds(figure), "{id}: {} ({figure})", sign.text);
        }
    }
}

#[test]
fn every_mitigation_heals() {
    for scenario in shipped() {
        let id = scenario.id.clone();
        let mut world = World::new(scenario, 5);
        let shown = seconds(world.scenario.shown_at_s());
        world.advance(shown + 20_000);
        for mend in world.scenario.mitigation.clone() {
            world
                .mend(&mend)
                .unwrap_or_else(|refusal| panic!("{id}: {refusal:?}"));
        }
        world.advance(world.now() + SETTLED_MS);
        for goal in &world.scenario.goal {
            let figure = world.fact(goal.fact, goal.of.as_deref());
            assert!(goal.holds(figure), "{id}: {goal:?} is {figure}");
        }
        assert!(world.goal_met().is_some(), "{id}");
    }
}

#[test]
fn doing_nothing_heals_only_what_heals_by_itself() {
    for scenario in shipped() {
        let id = scenario.id.clone();
        let heals = scenario.heals_by_itself;
        let end = seconds(scenario.shown_at_s()) + 160_000;
        let mut world = World::new(scenario, 5);
        world.advance(end);
        assert_eq!(world.goal_met().is_some(), heals, "{id}");
    }
}

#[test]
fn alerts_fire_when_users_suffer() {
    let mut world = World::new(scenario::load("bad-dependency").expect("shipped"), 1);
    world.advance(200_000);
    assert_eq!(
        world.alerts[0].phase,
        AlertPhase::Firing,
        "{:?}",
        world.alerts
    );
}

#[test]
fn a_killed_replica_costs_users_next_to_nothing() {
    let mut world = World::new(scenario::load("replica-dies").expect("shipped"), 9);
    world.advance(120_000);
    assert!(world.users.lost <= 2, "{}", world.users.lost);
    let mut events = world.events().iter().map(|e| e.action.as_str());
    assert!(events.any(|a| a == "die"));
}

#[test]
fn asking_for_the_health_page_often_is_no_load_and_is_always_answered() {
    /// As much as a busy afternoon's users ask for besides.
    const A_SECOND: u32 = 100;
    let mut world = World::new(Scenario::calm(), 3);
    let mut failed = 0;
    for _ in 0..60 {
        for _ in 0..A_SECOND {
            let request = world.serve("GET", "/api/health", "127.0.0.1");
            failed += u32::from(request.is_none_or(|request| request.status != 200));
        }
        world.advance(world.now() + 1_000);
    }
    assert_eq!(failed, 0);
    let sheds = world
        .containers
        .iter()
        .flat_map(|c| c.counters.requests.iter())
        .filter(|((_, status), _)| *status == 503);
    assert_eq!(sheds.count(), 0);
}

#[test]
fn counters_begin_anew_with_the_process() {
    let mut world = World::new(Scenario::calm(), 2);
    let before = world.containers[world.replica("server-1").expect("there")]
        .counters
        .total();
    let container = world.containers[world.replica("server-1").expect("there")]
        .id
        .clone();
    world
        .act(Act::Restart {
            container,
            grace_ms: 10_000,
        })
        .expect("restart");
    world.advance(30_000);
    let after = world.containers[world.replica("server-1").expect("there")]
        .counters
        .total();
    assert!(after < before && after > 50, "{before} {after}");
}

#[test]
fn counters_and_the_access_log_agree() {
    let mut world = World::new(Scenario::calm(), 4);
    let count = |world: &World| -> u64 {
        world
            .of_service(Service::Server)
            .map(|c| c.counters.total())
            .sum()
    };
    let gateway = |world: &World| world.replica("gateway").expect("there");
    let before = count(&world);
    let line = world.containers[gateway(&world)].next_line;
    world.advance(60_000);
    let lines = world.containers[gateway(&world)]
        .logs
        .iter()
        .filter(|l| l.seq >= line);
    let to_servers = lines
        .filter(|l| match &l.saying {
            Saying::Access(request) => request.attempts.last().is_some_and(|a| a.port == 5_000),
            _ => false,
        })
        .count();
    assert_eq!(count(&world) - before, to_servers as u64);
}

#[test]
fn refusals_are_the_engines_own() {
    let mut world = World::new(Scenario::calm(), 4);
    let server = || "hyper-mission-server-1".to_owned();
    let missing = world.act(Act::Start {
        container: "nobody".into(),
    });
    assert_eq!(
        missing,
        Err(Refusal::NotFound("No such container: nobody".into()))
    );
    assert_eq!(
        world.act(Act::Start {
            container: server()
        }),
        Ok(Done::AlreadySo)
    );
    let running = world.act(Act::Remove {
        container: server(),
        force: false,
    });
    assert!(matches!(running, Err(Refusal::Conflict(_))));
    let taken = world.act(Act::Rename {
        container: server(),
        name: "hyper-mission-redis-1".into(),
    });
    assert!(matches!(taken, Err(Refusal::Conflict(_))));
    let body = serde_json::json!({"Image": "nobody/knows:1"});
    let unknown = world.act(Act::Create {
        name: "x1".into(),
        body,
    });
    assert_eq!(
        unknown,
        Err(Refusal::NotFound("No such image: nobody/knows:1".into()))
    );
}

fn exec(world: &mut World, replica: &str, argv: &[&str], stdin: &[u8]) -> ExecAnswer {
    let id = world.containers[world.replica(replica).expect("there")]
        .id
        .clone();
    let argv: Vec<String> = argv.iter().map(|a| (*a).to_owned()).collect();
    world.exec(&id, &argv, stdin).expect("runs")
}

#[test]
fn a_dump_can_be_restored_into_a_scratch_database_and_counted() {
    let mut world = World::new(Scenario::calm(), 4);
    let dump = exec(
        &mut world,
        "postgres",
        &["pg_dump", "-Fc", "-U", "app", "-d", "app"],
        &[],
    );
    assert_eq!(dump.exit, 0);
    assert_eq!(
        exec(
            &mut world,
            "postgres",
            &["createdb", "-U", "app", "scratch"],
            &[]
        )
        .exit,
        0
    );
    let restore = ["pg_restore", "-U", "app", "-d", "scratch", "--no-owner"];
    assert_eq!(exec(&mut world, "postgres", &restore, &dump.stdout).exit, 0);
    let select = |db: &str| {
        let out = [
            "psql",
            "-U",
            "app",
            "-d",
            db,
            "-At",
            "-c",
            "SELECT count(*) FROM missions",
        ];
        out.map(str::to_owned)
    };
    let count = |world: &mut World, db: &str| {
        let argv = select(db);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        String::from_utf8(exec(world, "postgres", &argv, &[]).stdout).expect("text")
    };
    assert_eq!(count(&mut world, "scratch"), count(&mut world, "app"));
    let again = exec(&mut world, "postgres", &restore, &dump.stdout);
    assert_eq!(again.exit, 1);
    let cut = exec(&mut world, "postgres", &restore, &dump.stdout[..5_000]);
    assert_eq!(
        (cut.exit, cut.stderr.ends_with(b"end of file\n")),
        (1, true)
    );
}

#[test]
fn psql_prints_and_complains_as_the_real_one() {
    let mut world = World::new(Scenario::calm(), 4);
    let one = exec(
        &mut world,
        "postgres",
        &["psql", "-U", "app", "-c", "select 1"],
        &[],
    );
    assert_eq!(
        String::from_utf8_lossy(&one.stdout),
        " ?column? \n----------\n        1\n(1 row)\n\n"
    );
    let bare = exec(
        &mut world,
        "postgres",
        &["psql", "-tAc", "select 1", "app"],
        &[],
    );
    assert_eq!(bare.stdout, b"1\n");
    let missing = exec(
        &mut world,
        "postgres",
        &["psql", "-c", "select count(*) from nobody"],
        &[],
    );
    assert_eq!(missing.exit, 1);
    assert!(
        missing
            .stderr
            .starts_with(b"ERROR:  relation \"nobody\" does not exist")
    );
    let no_database = exec(
        &mut world,
        "postgres",
        &["psql", "-d", "nobody", "-c", "select 1"],
        &[],
    );
    assert_eq!(no_database.exit, 2);
    let script = exec(
        &mut world,
        "postgres",
        &["psql", "-v", "ON_ERROR_STOP=1"],
        b"select 1; nonsense;",
    );
    assert_eq!(script.exit, 3);
}

#[test]
fn commands_that_are_not_there_end_with_127() {
    let mut world = World::new(Scenario::calm(), 4);
    assert_eq!(exec(&mut world, "redis", &["pg_dump"], &[]).exit, 127);
    assert_eq!(
        exec(&mut world, "gateway", &["sh", "-c", "nginx -t"], &[]).exit,
        0
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The state does not depend on how often somebody lets time pass.
    #[test]
    fn the_step_size_does_not_matter(seed in 0u64..1_000, steps in prop::collection::vec(1i64..4_000, 1..40)) {
        let scenario = scenario::load("red-herring").expect("shipped");
        let mut often = World::new(scenario.clone(), seed);
        let mut at = 0;
        for step in steps {
            at += step;
            often.advance(at);
        }
        let mut once = World::new(scenario, seed);
        once.advance(at);
        prop_assert!(often == once, "seed {seed}");
    }

    /// The same acts at the same times give the same world; another seed another one.
    #[test]
    fn the_same_seed_and_acts_give_the_same_world(seed in 0u64..1_000, acts in prop::collection::vec((0i64..3_000, 0u8..4, 0usize..9), 0..12)) {
        let play = |seed: u64| {
            let mut world = World::new(Scenario::calm(), seed);
            for (wait, kind, which) in &acts {
                world.advance(world.now() + wait);
                let Some(container) = world.containers.get(*which).map(|c| c.id.clone()) else { continue };
                let act = match kind {
                    0 => Act::Stop { container, grace_ms: 10_000 },
                    1 => Act::Start { container },
                    2 => Act::Restart { container, grace_ms: 100 },
                    _ => Act::Kill { container, signal: "SIGKILL".into() },
                };
                drop(world.act(act));
            }
            world.advance(world.now() + 5_000);
            world
        };
        prop_assert!(play(seed) == play(seed), "seed {seed}");
        prop_assert!(play(seed).containers[0].id != play(seed + 1).containers[0].id);
    }

    /// Whatever is sent to a command, it answers and does not fall over.
    #[test]
    fn no_query_or_command_falls_over(text in "[ -~]{0,60}") {
        let mut world = World::new(Scenario::calm(), 1);
        let answer = exec(&mut world, "postgres", &["psql", "-c", &text], &[]);
        prop_assert!((0..=3).contains(&answer.exit));
        drop(world.query(&text, 0, &|_| 0.0));
    }
}
