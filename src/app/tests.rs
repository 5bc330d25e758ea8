//! The rules of the console's behaviour, by event and effect.

use std::time::Duration;

use crate::domain::{
    Board, CheckState, Clean, Container, ContainerId, ContainerState, Containers, Detail, Drift,
    Health, Image, Limits, Reading, Sighting, SourceId, SourceKind, Stack, Timestamp,
};

use super::{
    Effect, Event, FieldUse, Intent, LogSource, Mode, Model, Overlay, Row, RowKey, Screen, Session,
    rows, update,
};

fn model() -> Model {
    let session = Session {
        host: Clean::from("ops-1"),
        user: Clean::from("anna"),
        mode: Mode::ReadOnly,
        pid: 1,
        version: "0",
        config: Clean::from("quarterdeck.toml"),
        remote: false,
        started: Timestamp(0),
    };
    let mut model = Model::new(
        Board::new(Stack::discovered(Clean::from("shop"))),
        session,
        Timestamp(1_000_000),
    );
    model.themes = vec![Clean::from("default"), Clean::from("mono")];
    model
}

fn container(service: &str, number: u32, check: CheckState) -> Container {
    Container {
        id: ContainerId(Clean::line(&format!("{service}{number:060}"))),
        name: Clean::line(&format!("shop_{service}_{number}")),
        project: Clean::from("shop"),
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
        created_at: None,
        started_at: Some(Timestamp(1)),
        finished_at: None,
        image: Image::default(),
        drift: Drift::Same,
        addresses: Vec::new(),
        ports: Vec::new(),
        mounts: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        limits: Limits::default(),
        restart_policy: Clean::from("always"),
        user: Clean::default(),
        pid: None,
    }
}

fn see(model: &mut Model, at: u64, all: Vec<Container>) -> Vec<Effect> {
    let health = Health::worst(all.iter().map(Container::health));
    let detail = Detail::Containers(Containers {
        all,
        missing: Vec::new(),
        event_gaps: 0,
    });
    let reading = Reading {
        health,
        summary: Clean::from("seen"),
        measures: Vec::new(),
        detail,
    };
    update(
        model,
        Event::Sighted(Box::new(Sighting {
            source: SourceId::new(SourceKind::Containers, "shop"),
            at: Timestamp(at),
            took: Duration::ZERO,
            period: Duration::from_secs(10),
            result: Ok(reading),
        })),
    )
}

fn want(model: &mut Model, intent: Intent) -> Vec<Effect> {
    update(model, Event::Intent(intent))
}

fn three(sick: u32) -> Vec<Container> {
    let check = |n| {
        if n == sick {
            CheckState::Unhealthy
        } else {
            CheckState::Healthy
        }
    };
    (1..=3).map(|n| container("web", n, check(n))).collect()
}

fn names(model: &Model) -> Vec<String> {
    rows(model)
        .iter()
        .map(|row| row.name().to_string())
        .collect()
}

fn under_cursor(model: &Model) -> Option<RowKey> {
    model.list().selected.clone()
}

#[test]
fn the_sick_replica_stands_first_and_the_cursor_stays_on_its_row() {
    let mut model = model();
    see(&mut model, 1_000_000, three(0));
    want(&mut model, Intent::Go(Screen::Containers));
    want(&mut model, Intent::Down(1));
    let chosen = under_cursor(&model);
    see(&mut model, 1_001_000, three(3));
    assert_eq!(names(&model), ["web-3", "web-1", "web-2"]);
    assert_eq!(under_cursor(&model), chosen);
}

#[test]
fn a_change_of_health_is_written_down_once() {
    let mut model = model();
    see(&mut model, 1_000_000, three(0));
    see(&mut model, 1_001_000, three(2));
    see(&mut model, 1_002_000, three(2));
    let told: Vec<String> = model
        .happenings
        .newest()
        .map(|h| format!("{} {}", h.about, h.text))
        .collect();
    assert_eq!(told, ["web-2 running -> UNHEALTHY"]);
}

#[test]
fn typing_a_filter_never_triggers_a_command() {
    let mut model = model();
    see(&mut model, 1_000_000, three(0));
    want(&mut model, Intent::Go(Screen::Containers));
    want(&mut model, Intent::Filter);
    for c in "web-2".chars() {
        assert!(
            want(&mut model, Intent::Type(c))
                .iter()
                .all(|effect| matches!(effect, Effect::Follow(_) | Effect::WantUsage(_)))
        );
    }
    assert_eq!(names(&model), ["web-2"]);
    want(&mut model, Intent::Submit);
    assert_eq!(names(&model), ["web-2"]);
    want(&mut model, Intent::Back);
    assert_eq!(names(&model).len(), 3);
}

#[test]
fn pasted_text_reaches_a_field_and_nothing_else() {
    let mut model = model();
    let effects = update(&mut model, Event::Pasted(Clean::from("q!y")));
    assert!(effects.is_empty() && model.screen == Screen::Overview && model.overlay.is_none());
    want(&mut model, Intent::Palette);
    update(&mut model, Event::Pasted(Clean::from("logs")));
    assert_eq!(model.field.as_ref().unwrap().text(), "logs");
    want(&mut model, Intent::Submit);
    assert_eq!(model.screen, Screen::Logs);
}

#[test]
fn q_at_the_root_asks_and_esc_never_leaves() {
    let mut model = model();
    for _ in 0..5 {
        assert!(want(&mut model, Intent::Back).is_empty());
    }
    assert!(want(&mut model, Intent::Leave).is_empty());
    assert_eq!(model.overlay, Some(Overlay::Leave));
    want(&mut model, Intent::Back);
    assert_eq!(model.overlay, None);
    want(&mut model, Intent::Leave);
    assert_eq!(want(&mut model, Intent::Quit), [Effect::Quit]);
}

#[test]
fn two_interrupts_within_two_seconds_leave() {
    let mut model = model();
    assert!(want(&mut model, Intent::Interrupt).is_empty());
    assert_eq!(want(&mut model, Intent::Interrupt), [Effect::Quit]);
    let mut model = self::model();
    want(&mut model, Intent::Interrupt);
    update(&mut model, Event::Tick(Timestamp(1_010_000)));
    assert!(want(&mut model, Intent::Interrupt).is_empty());
}

#[test]
fn the_worst_item_is_one_key_away_and_the_next_worst_one_more() {
    let mut model = model();
    let mut all = three(2);
    all[2].state = ContainerState::Paused;
    see(&mut model, 1_000_000, all);
    want(&mut model, Intent::Worst);
    assert_eq!(model.screen, Screen::Containers);
    let first = under_cursor(&model).unwrap();
    want(&mut model, Intent::Worst);
    let second = under_cursor(&model).unwrap();
    assert!(first.0.starts_with("web") && first != second);
    want(&mut model, Intent::Back);
    want(&mut model, Intent::Back);
    assert_eq!(model.screen, Screen::Overview);
}

#[test]
fn only_what_is_on_screen_is_followed() {
    let mut model = model();
    see(&mut model, 1_000_000, three(0));
    assert!(model.followed.is_empty());
    let effects = want(&mut model, Intent::Go(Screen::Containers));
    let first = rows(&model).first().map(Row::key).unwrap();
    assert!(effects.contains(&Effect::Follow(vec![ContainerId(first.0)])));
    want(&mut model, Intent::Logs);
    assert!(matches!(model.log_view.source, LogSource::Container(..)));
    want(&mut model, Intent::NextSource);
    assert_eq!(model.followed.len(), 3);
    let effects = want(&mut model, Intent::Go(Screen::Overview));
    assert!(effects.contains(&Effect::Follow(Vec::new())));
}

#[test]
fn a_frozen_screen_keeps_its_board_while_the_world_goes_on() {
    let mut model = model();
    see(&mut model, 1_000_000, three(0));
    want(&mut model, Intent::Freeze);
    see(&mut model, 1_001_000, three(1));
    assert!(model.shown().findings(model.shown_at()).is_empty());
    want(&mut model, Intent::Freeze);
    assert_eq!(model.shown().findings(model.now).len(), 1);
}

#[test]
fn an_unknown_theme_is_refused_with_the_list_of_those_there_are() {
    let mut model = model();
    want(&mut model, Intent::Palette);
    for c in "theme nope".chars() {
        want(&mut model, Intent::Type(c));
    }
    assert!(want(&mut model, Intent::Submit).is_empty());
    let (_, _, text) = model.notice.clone().unwrap();
    assert_eq!(text.as_str(), "no theme `nope`; there are default, mono");
    assert_eq!(
        want(&mut model, Intent::NextTheme),
        [Effect::Theme(Clean::from("mono"))]
    );
}

#[test]
fn help_is_closed_by_the_keys_that_open_it() {
    let mut model = model();
    want(&mut model, Intent::Help);
    want(&mut model, Intent::Filter);
    assert_eq!(model.field.as_ref().unwrap().purpose, FieldUse::Help);
    want(&mut model, Intent::Back);
    want(&mut model, Intent::Back);
    assert_eq!(model.overlay, None);
}
