//! Containers: a table, the one under the cursor in full, and the end of its log.

use ratatui::layout::Rect;

use super::overview::{happening_line, newest};
use super::{cursor, cursor_style, empty, fault, halves, keys, seen_note, split, title};
use crate::app::{Model, Pane, Row, rows};
use crate::domain::{
    CheckState, Container, ContainerState, Drift, Health, SourceKind, Unit, Usage, Watched, board,
};
use crate::view::Look;
use crate::view::canvas::{Canvas, role, sign};
use crate::view::line::Line;
use crate::view::panels::logs;
use crate::view::theme::Role;
use crate::view::widgets::chart::{Chart, Fill};
use crate::view::widgets::facts::{Facts, scrolled};
use crate::view::widgets::panel::{Keys, foot, panel};
use crate::view::widgets::spark::{resample, spark};
use crate::view::widgets::table::{Column, Table, column};
use crate::view::words::{self, bytes, columns, number};

const NAME: usize = 0;
const HEALTH: usize = 1;
const STATE: usize = 2;
const UP: usize = 3;
const RESTARTS: usize = 4;
const CPU: usize = 5;
const MEMORY: usize = 6;
const NETWORK: usize = 7;
const BLOCK: usize = 8;
const IMAGE: usize = 9;
const PORTS: usize = 10;

/// CPU is a figure and a short history beside it.
const CPU_SPARK: usize = 6;

const COLUMNS: [Column; 12] = [
    column("name", 13).keep().grow(6),
    column("health", 15).keep(),
    column("state", 9).keep(),
    column("up", 7).right(),
    column("rst", 3).right(),
    column("cpu %", 12).right(),
    column("memory / limit", 15).right(),
    column("net in/out per s", 16).right(),
    column("disk r/w per s", 16).right(),
    column("image", 16).grow(16),
    column("ports", 12).grow(8),
    column("drift", 10),
];

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let rows = rows(model);
    let wanted = columns(rows.len()).saturating_add(3).max(5);
    let most = if area.height >= 30 {
        area.height * 55 / 100
    } else {
        area.height * 6 / 10
    };
    let (list, detail) = split(model, area, wanted.min(most.max(5)));
    let at = cursor(model, &rows);
    if list.height > 0 {
        table(canvas, list, model, &rows, at);
    }
    let Some(Row::Container(container)) = rows.get(at) else {
        if detail.height > 0 {
            panel(
                canvas,
                detail,
                Line::new(),
                &Line::new(),
                keys(model, Pane::Detail),
            );
        }
        return;
    };
    below(canvas, detail, model, container);
}

fn below(canvas: &mut Canvas<'_>, area: Rect, model: &Model, container: &Container) {
    /// Log and facts stand side by side from here on.
    const SIDE_BY_SIDE: u16 = 110;
    if area.height < 3 {
        return;
    }
    if area.width < SIDE_BY_SIDE {
        facts_panel(canvas, area, model, container);
        return;
    }
    let (left, right) = halves(area, area.width * 56 / 100);
    facts_panel(canvas, left, model, container);
    let charted = if area.height >= 14 { 7 } else { 0 };
    let chart = Rect {
        height: charted,
        ..right
    };
    let log = Rect {
        y: right.y + charted,
        height: right.height - charted,
        ..right
    };
    cpu_chart(canvas, chart, model, container);
    let title = Line::of(Role::Title, "Log").dim(format!("  {}  l opens", container.replica()));
    let inside = panel(canvas, log, title, &Line::new(), Keys::Elsewhere);
    logs::tail(canvas, inside, model, &container.id);
}

fn table(canvas: &mut Canvas<'_>, area: Rect, model: &Model, rows: &[Row<'_>], at: usize) {
    let board = model.shown();
    let now = model.shown_at();
    let watched = board.of_kind(SourceKind::Containers).next().map(|(_, w)| w);
    let note = watched.map_or_else(Line::new, |watched| words::age(watched, now));
    let title = title(model, "Containers", rows.len());
    let inside = panel(canvas, area, title, &note, keys(model, Pane::List));
    if rows.is_empty() {
        let line = empty(model, SourceKind::Containers, "no engine is watched");
        canvas.line(inside, &line);
        return;
    }
    let marks = &model.list().marks;
    let usage = board.of_kind(SourceKind::Usage).next().map(|(_, w)| w);
    let counts = |watched: Option<&Watched>| {
        watched.is_some_and(|watched| watched.health(now) != Health::Unknown)
    };
    let scene = Scene {
        model,
        look: canvas.look,
        counts: counts(watched),
        usage_counts: counts(usage),
    };
    let seen = Table {
        columns: &COLUMNS,
        len: rows.len(),
        cursor: Some(cursor_style(model, at)),
        wide: model.wide,
        cell: &|row, column, width| match &rows[row] {
            Row::Container(container) => cell(&scene, container, column, width),
            _ => Line::new(),
        },
        marked: &|row| !marks.is_empty() && marks.contains(&rows[row].key()),
    };
    let seen = seen.draw(canvas, inside);
    let mut foot_line = seen_note(seen, rows.len());
    if let Some(line) = watched.and_then(|w| fault(model, w)) {
        foot_line = line;
    }
    foot(canvas, area, &foot_line);
}

/// What the cells are made from.
struct Scene<'a> {
    model: &'a Model,
    look: &'a Look,
    /// The readings are not stale.
    counts: bool,
    usage_counts: bool,
}

fn cell<'a>(scene: &Scene<'_>, container: &'a Container, column: usize, width: usize) -> Line<'a> {
    let model = scene.model;
    let now = model.shown_at();
    let used = model.shown().usage(&container.id);
    let said = if scene.usage_counts {
        Role::Text
    } else {
        Role::Dim
    };
    match column {
        NAME => Line::plain(container.replica().to_string()),
        HEALTH => health_cell(scene, container),
        STATE if !scene.counts => Line::faint(container.state.word()),
        STATE => state_cell(container),
        UP => Line::plain(
            container
                .since()
                .map_or_else(|| "-".to_owned(), |at| words::since(now, at)),
        ),
        RESTARTS => restarts_cell(model, container),
        CPU => cpu_cell(model, container, used, said),
        MEMORY => memory_cell(model, used, said),
        NETWORK => Line::of(
            said,
            pair(used.map(|u| (u.network_rx_per_s, u.network_tx_per_s))),
        ),
        BLOCK => Line::of(
            said,
            pair(used.map(|u| (u.block_read_per_s, u.block_write_per_s))),
        ),
        IMAGE => Line::faint(container.image.name.as_str()),
        PORTS => Line::faint(ports(container)),
        _ => drift_cell(container, width),
    }
}

/// Sign, word and age: the cell that a person looks at first.
fn health_cell<'a>(scene: &Scene<'_>, container: &Container) -> Line<'a> {
    let health = container.health();
    let word = match (&container.state, container.check) {
        (ContainerState::Running, CheckState::None) => "no check".to_owned(),
        (ContainerState::Running, CheckState::Healthy) => "ok".to_owned(),
        (ContainerState::Running, CheckState::Starting) => "starting".to_owned(),
        (ContainerState::Running, CheckState::Unhealthy) => "UNHEALTHY".to_owned(),
        (ContainerState::Exited | ContainerState::Dead, _) => match container.exit_code {
            Some(_) if container.oom_killed => "OOM-KILLED".to_owned(),
            Some(code) => format!("exit {code}"),
            None => "ended".to_owned(),
        },
        (ContainerState::Restarting, _) => "RESTARTING".to_owned(),
        (other, _) => other.word().to_owned(),
    };
    let charset = scene.look.charset;
    if !scene.counts {
        let sign = sign(Health::Unknown, charset);
        return Line::of(Role::Unknown, format!("{sign} was {word}"));
    }
    let sign = sign(health, charset);
    Line::of(role(health), format!("{sign} {word}"))
}

fn state_cell(container: &Container) -> Line<'_> {
    let said = match container.state {
        ContainerState::Running => Role::Text,
        _ => role(container.health()),
    };
    Line::of(said, container.state.word())
}

fn restarts_cell<'a>(model: &Model, container: &Container) -> Line<'a> {
    let said = match container.restarts {
        0 => Role::Dim,
        n if n >= model.shown().stack.thresholds.restarts => Role::Poor,
        _ => Role::Text,
    };
    Line::of(said, container.restarts.to_string())
}

fn cpu_cell<'a>(
    model: &Model,
    container: &Container,
    used: Option<&Usage>,
    said: Role,
) -> Line<'a> {
    let figure = match used.and_then(|usage| usage.cpu_percent) {
        Some(cpu) if cpu.is_finite() => format!("{cpu:.1}"),
        Some(_) => "[?]".to_owned(),
        None => "-".to_owned(),
    };
    let now = model.shown_at();
    let history = model
        .history
        .cpu(&container.id)
        .map(|series| series.last(60, now))
        .unwrap_or_default();
    // Against one core at least: noise of an idle container is no mountain.
    let top = history.iter().flatten().copied().fold(20.0, f32::max);
    let drawn = spark(&resample(&history, newest(now), CPU_SPARK), Some(top));
    Line::of(Role::Chart1, drawn).add(said, format!(" {figure:>5}"))
}

fn memory_cell<'a>(model: &Model, used: Option<&Usage>, said: Role) -> Line<'a> {
    let Some(usage) = used else {
        return Line::faint("-");
    };
    let ratio = match (usage.memory_bytes, usage.memory_limit_bytes) {
        (Some(memory), Some(limit)) if limit > 0 => words::float(memory) / words::float(limit),
        _ => 0.0,
    };
    let said = if ratio >= model.shown().stack.thresholds.memory_ratio {
        Role::Poor
    } else {
        said
    };
    let limit = usage
        .memory_limit_bytes
        .map_or_else(|| "none".to_owned(), |limit| bytes(Some(limit)));
    Line::of(said, bytes(usage.memory_bytes)).dim(format!(" / {limit}"))
}

fn pair(both: Option<(Option<f64>, Option<f64>)>) -> String {
    both.map_or_else(
        || "-".to_owned(),
        |(a, b)| format!("{} / {}", number(a, Unit::Bytes), number(b, Unit::Bytes)),
    )
}

fn ports(container: &Container) -> String {
    let mut all: Vec<String> = container
        .ports
        .iter()
        .map(|port| match &port.host {
            Some((_, host)) => format!("{host}:{}", port.container),
            None => port.container.to_string(),
        })
        .collect();
    all.dedup();
    if all.is_empty() {
        "-".to_owned()
    } else {
        all.join(",")
    }
}

fn drift_cell<'a>(container: &Container, _width: usize) -> Line<'a> {
    match container.drift {
        Drift::Same => Line::faint("same"),
        Drift::Differs(_) => Line::of(Role::Poor, "DIFFERS"),
        Drift::Unknown(_) => Line::faint("not known"),
    }
}

fn cpu_chart(canvas: &mut Canvas<'_>, area: Rect, model: &Model, container: &Container) {
    if area.height < 4 {
        return;
    }
    let now = model.shown_at();
    let title = Line::of(Role::Title, "CPU").dim(format!("  {}  5m", container.replica()));
    let limit = container.limits.cpus;
    let note = Line::faint(limit.map_or_else(
        || "no limit".to_owned(),
        |cpus| format!("limit {cpus} cores"),
    ));
    let inside = panel(canvas, area, title, &note, Keys::Elsewhere);
    let values = model
        .history
        .cpu(&container.id)
        .map(|series| series.last(60, now))
        .unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a limit of cores for a line of a chart"
    )]
    let limit = limit.map(|cpus| (cpus * 100.0) as f32);
    Chart {
        values: &values,
        newest: newest(now),
        fill: Fill::Area,
        role: Role::Chart1,
        limit,
        floor: 10.0,
        label: &|value| {
            if value < 10.0 {
                format!("{value:.1} %")
            } else {
                format!("{value:.0} %")
            }
        },
        from: "5m ago",
    }
    .draw(canvas, inside);
}

fn facts_panel(canvas: &mut Canvas<'_>, area: Rect, model: &Model, container: &Container) {
    let title = Line::of(Role::Title, container.replica().to_string())
        .dim(format!("  {}", container.id.short()));
    let inside = panel(canvas, area, title, &Line::new(), keys(model, Pane::Detail));
    let lines = facts(canvas, model, container, inside.width);
    scrolled(canvas, inside, &lines, model.list().scroll_detail);
}

fn facts<'a>(
    canvas: &Canvas<'_>,
    model: &'a Model,
    container: &'a Container,
    width: u16,
) -> Vec<Line<'a>> {
    const NAMES: usize = 9;
    /// More is for the journal.
    const CHANGES_MAX: usize = 12;
    let mut facts = Facts::new(width, NAMES);
    let (health, words) = match model.shown().trouble_of(container) {
        Some((health, words)) => (health, words.to_string()),
        None => (container.health(), board::state_in_words(container)),
    };
    facts.line("state", canvas.verdict(health, &words));
    times(&mut facts, model, container);
    check(&mut facts, canvas, model, container);
    ends(&mut facts, container);
    image(&mut facts, container);
    surroundings(&mut facts, container);
    let name = container.replica();
    let mut changes = model
        .happenings
        .newest()
        .filter(|happening| happening.about == name)
        .take(CHANGES_MAX)
        .peekable();
    if changes.peek().is_some() {
        facts.heading("What happened to it");
        for happening in changes {
            facts.free(happening_line(canvas, model, happening));
        }
    }
    facts.lines
}

fn times(facts: &mut Facts<'_>, model: &Model, container: &Container) {
    let now = model.shown_at();
    let word = match container.state {
        ContainerState::Exited | ContainerState::Dead => "ended",
        ContainerState::Created => "created",
        _ => "started",
    };
    if let Some(at) = container.since() {
        let pid = container
            .pid
            .map_or_else(String::new, |pid| format!(", pid {pid}"));
        facts.fact(
            word,
            format!("{} ({} ago){pid}", at.date_minute(), words::since(now, at)),
        );
    }
}

fn check<'a>(facts: &mut Facts<'a>, canvas: &Canvas<'_>, model: &Model, container: &'a Container) {
    if container.check == CheckState::None {
        let text = match container.state {
            ContainerState::Running => "none is defined: nobody knows whether it works",
            _ => "nobody looks while it does not run",
        };
        facts.line("check", Line::faint(text));
        return;
    }
    facts.fact("check", container.check_command.as_str());
    for output in container.check_log.iter().rev().take(3) {
        let health = if output.exit == 0 {
            Health::Good
        } else {
            Health::Bad
        };
        let at = output
            .at
            .map_or_else(String::new, |at| format!("{} ", words::moment(model, at)));
        let line = Line::faint(at)
            .join(canvas.verdict(health, &format!("exit {}  ", output.exit)))
            .text(output.output.as_str());
        facts.line("", line);
    }
}

fn ends<'a>(facts: &mut Facts<'a>, container: &'a Container) {
    let mut line = Line::plain(match container.exit_code {
        Some(code) => format!("last exit {code}"),
        None => "never ended".to_owned(),
    });
    if container.oom_killed {
        line = line.text(", ").add(Role::Bad, "killed for memory (OOM)");
    }
    let policy = if container.restart_policy.is_empty() {
        "no"
    } else {
        container.restart_policy.as_str()
    };
    let line = line.dim(format!(
        "  restarts {}  policy {policy}",
        container.restarts
    ));
    facts.line("ends", line);
    if !container.error.is_empty() {
        facts.line("error", Line::of(Role::Bad, container.error.as_str()));
    }
}

fn image<'a>(facts: &mut Facts<'a>, container: &'a Container) {
    facts.fact("image", container.image.name.as_str());
    facts.line("id", Line::faint(short(&container.image.id)));
    if let Some(digest) = &container.image.digest {
        facts.line("digest", Line::faint(short(digest)));
    }
    facts.line(
        "drift",
        match &container.drift {
            Drift::Same => Line::faint("none: the tag still names what runs"),
            Drift::Differs(how) => Line::of(Role::Poor, "DIFFERS: ").text(how.as_str()),
            Drift::Unknown(why) => Line::faint("not known: ").dim(why.as_str()),
        },
    );
}

/// `sha256:5d0a1c44be9f0f0b`: enough to compare by eye.
fn short(digest: &str) -> &str {
    const DIGITS: usize = 16;
    let start = digest.find(':').map_or(0, |at| at + 1);
    let end = start + crate::domain::text::fit(&digest[start..], DIGITS).len();
    &digest[..end]
}

fn surroundings<'a>(facts: &mut Facts<'a>, container: &'a Container) {
    let limits = &container.limits;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    facts.fact(
        "limits",
        format!(
            "memory {}, cpus {}, pids {}",
            or_none(limits.memory_bytes.map(|b| bytes(Some(b)))),
            or_none(limits.cpus.map(|cpus| cpus.to_string())),
            or_none(limits.pids.map(|pids| pids.to_string())),
        ),
    );
    let addresses: Vec<String> = container
        .addresses
        .iter()
        .map(|address| format!("{} {}", address.network, address.ip))
        .collect();
    facts.fact("networks", addresses.join(", "));
    facts.fact("ports", ports(container));
    for mount in &container.mounts {
        let mode = if mount.writable { "rw" } else { "ro" };
        facts.line(
            "mount",
            Line::plain(format!("{} on {} ", mount.source, mount.target)).dim(mode),
        );
    }
    if !container.user.is_empty() {
        facts.fact("user", container.user.as_str());
    }
    for (name, value) in &container.labels {
        facts.line("label", Line::faint(format!("{name}={value}")));
    }
}
