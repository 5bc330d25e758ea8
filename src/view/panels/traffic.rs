//! Traffic: requests by replica, charts of the window, endpoints by phase, and what stands under the cursor.

use ratatui::layout::Rect;

use super::overview::newest;
use super::{cursor, cursor_style, empty, fault, halves, keys, stale};
use crate::app::{Bucket, Model, Pane, Row, rows};
use crate::domain::{
    Clean, Endpoint, Flow, Health, Phases, ReplicaTraffic, SourceId, SourceKind, Traffic, Unit,
    Watched,
};
use crate::view::canvas::{Canvas, role, sign};
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::widgets::chart::{Chart, Fill};
use crate::view::widgets::facts::{Facts, bar};
use crate::view::widgets::panel::{Keys, foot, panel};
use crate::view::widgets::spark::{resample, spark};
use crate::view::widgets::table::{Column, Cursor, Table, column};
use crate::view::words::{self, columns, number};

const REPLICA_COLUMNS: [Column; 11] = [
    column("replica", 16).keep().grow(6),
    column("state", 12).keep(),
    column("rps", 8).right().keep(),
    column("share", 12),
    column("p95", 8).right(),
    column("5xx", 7).right(),
    column("p50", 8).right(),
    column("p99", 8).right(),
    column("4xx", 7).right(),
    column("rps trend", 10).grow(22),
    column("resets", 6).right(),
];

const ENDPOINT_COLUMNS: [Column; 11] = [
    column("endpoint", 14).keep().grow(10),
    column("state", 12).keep(),
    column("status", 6).right(),
    column("TTFB", 8).right(),
    column("total", 8).right(),
    column("dns", 7).right(),
    column("connect", 7).right(),
    column("tls", 7).right(),
    column("first byte", 10).right(),
    column("good looks", 10).right(),
    column("age", 8).right(),
];

/// What the screen is drawn from.
struct Scene<'a> {
    model: &'a Model,
    rows: Vec<Row<'a>>,
    /// Rows of replicas; the endpoints come after them.
    replicas: usize,
    at: usize,
    best: Option<(&'a SourceId, &'a Watched, &'a Traffic)>,
}

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let rows = rows(model);
    let scene = Scene {
        model,
        replicas: rows
            .iter()
            .filter(|row| matches!(row, Row::Replica { .. }))
            .count(),
        at: cursor(model, &rows),
        rows,
        best: model.shown().best_traffic(model.shown_at()),
    };
    if model.zoomed {
        return match model.pane {
            Pane::List if scene.at < scene.replicas => scene.replica_table(canvas, area),
            Pane::List => scene.endpoint_table(canvas, area),
            Pane::Detail => scene.detail(canvas, area),
        };
    }
    let endpoints = columns(scene.rows.len() - scene.replicas);
    let replica_lines = (columns(scene.replicas).max(1) + 5).min((area.height * 4 / 10).max(6));
    let top = take(area, replica_lines);
    let rest = below(area, replica_lines);
    scene.replica_table(canvas, top);
    let wide = area.width >= 110 && rest.height >= 20;
    let charts = if wide {
        (rest.height * 4 / 10).max(8)
    } else {
        0
    };
    if wide {
        let (left, right) = halves(take(rest, charts), area.width / 2);
        scene.rate_chart(canvas, left);
        scene.latency_chart(canvas, right);
    }
    let rest = below(rest, charts);
    let endpoint_lines = (endpoints.max(1) + 3).min((rest.height / 2).max(4));
    scene.endpoint_table(canvas, take(rest, endpoint_lines));
    scene.detail(canvas, below(rest, endpoint_lines));
}

fn take(area: Rect, lines: u16) -> Rect {
    Rect {
        height: lines.min(area.height),
        ..area
    }
}

fn below(area: Rect, lines: u16) -> Rect {
    let lines = lines.min(area.height);
    Rect {
        y: area.y + lines,
        height: area.height - lines,
        ..area
    }
}

impl Scene<'_> {
    fn cursor_in(&self, first: usize, len: usize) -> Option<Cursor> {
        let at = self.at.checked_sub(first).filter(|at| *at < len)?;
        Some(cursor_style(self.model, at))
    }

    fn keys_of(&self, replicas: bool) -> Keys {
        let there = (self.at < self.replicas) == replicas;
        Keys::here(there && self.model.pane == Pane::List)
    }

    fn replica_table(&self, canvas: &mut Canvas<'_>, area: Rect) {
        if area.height == 0 {
            return;
        }
        let model = self.model;
        let mut title = Line::of(Role::Title, "Replicas");
        let mut note = Line::new();
        if let Some((_, watched, traffic)) = self.best {
            title = title.dim(format!(
                "  {} over {} from {}, ",
                traffic.service,
                words::calm(traffic.window),
                traffic.source.word()
            ));
            let (counted, all) = traffic.counted;
            let said = if counted < all { Role::Poor } else { Role::Dim };
            title = title.add(said, format!("{counted} of {all} counted"));
            note = words::age(watched, model.shown_at());
        }
        let filter = &model.list().filter;
        if !filter.is_empty() {
            title = title.add(Role::Accent, format!("  filter: {}", filter.text()));
        }
        let inside = panel(canvas, area, title, &note, self.keys_of(true));
        let Some((source, watched, traffic)) = self.best else {
            let nothing = "no source of traffic is configured";
            canvas.line(inside, &empty(model, SourceKind::Traffic, nothing));
            return;
        };
        let look = canvas.look;
        let lines = columns(self.replicas).saturating_add(1);
        let body = take(inside, lines.min(inside.height.saturating_sub(2).max(2)));
        let history = History {
            model,
            source: &source.name,
        };
        Table {
            columns: &REPLICA_COLUMNS,
            len: self.replicas,
            cursor: self.cursor_in(0, self.replicas),
            wide: model.wide,
            cell: &|row, column, width| match &self.rows[row] {
                Row::Replica { replica, .. } => {
                    let health = self.rows[row].health(model.shown_at());
                    let sign = sign(health, look.charset);
                    replica_cell(&history, traffic, replica, (health, sign), column, width)
                }
                _ => Line::new(),
            },
            marked: &|row| model.list().marks.contains(&self.rows[row].key()),
        }
        .draw(canvas, body);
        self.totals(canvas, below(inside, body.height), watched, traffic);
    }

    /// The sum, and what must be known about it.
    fn totals(&self, canvas: &mut Canvas<'_>, area: Rect, watched: &Watched, traffic: &Traffic) {
        let total = &traffic.total;
        let said = if stale(watched, self.model) {
            Role::Dim
        } else {
            Role::Title
        };
        let mut sum = Line::of(said, "  all counted").add(
            said,
            format!(
                "   {}   p50 {}   p95 {}   p99 {}   5xx {}",
                number(total.requests_per_s, Unit::PerSecond),
                number(total.p50_ms, Unit::Milliseconds),
                number(total.p95_ms, Unit::Milliseconds),
                number(total.p99_ms, Unit::Milliseconds),
                number(total.error_ratio(), Unit::Ratio),
            ),
        );
        if traffic.unreadable > 0 {
            sum = sum.dim(format!("   {} lines unreadable", traffic.unreadable));
        }
        if traffic.dropped > 0 {
            sum = sum.dim(format!("   {} series over our limit", traffic.dropped));
        }
        let mut lines = vec![sum];
        if let Some(line) = fault(self.model, watched) {
            lines.push(Line::plain("  ").join(line));
        } else if let Some(uneven) = &traffic.uneven {
            let verdict = canvas.verdict(Health::Poor, "uneven: ");
            lines.push(Line::plain("  ").join(verdict).text(uneven.as_str()));
        } else if spread_evenly(traffic, self.model.shown().stack.thresholds.share_off) {
            lines.push(Line::faint("  the load is spread evenly"));
        }
        canvas.lines(area, &lines);
    }

    fn series(&self, pick: impl Fn(Bucket) -> Option<f32>) -> Vec<Option<f32>> {
        let Some((source, ..)) = self.best else {
            return Vec::new();
        };
        let model = self.model;
        let selected = match self.rows.get(self.at) {
            Some(Row::Replica { replica, .. }) if model.pane == Pane::Detail => {
                model.history.replica(&source.name, &replica.replica)
            }
            _ => model.history.total(&source.name),
        };
        selected
            .map(|series| series.last(model.window.buckets(), model.shown_at()))
            .unwrap_or_default()
            .into_iter()
            .map(|bucket| bucket.and_then(&pick))
            .collect()
    }

    fn rate_chart(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let window = self.model.window;
        let title = Line::of(Role::Title, "Requests a second").dim("  all counted");
        let note = Line::faint(format!("{}  [ ] window", window.word()));
        let inside = panel(canvas, area, title, &note, Keys::Elsewhere);
        Chart {
            values: &self.series(|bucket| bucket.requests_per_s),
            newest: newest(self.model.shown_at()),
            fill: Fill::Area,
            role: Role::Chart1,
            limit: None,
            floor: 1.0,
            label: &|value| format!("{value:.0}"),
            from: &format!("{} ago", window.word()),
        }
        .draw(canvas, inside);
    }

    fn latency_chart(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let window = self.model.window;
        let limit = self.model.shown().stack.thresholds.latency_ms;
        let title = Line::of(Role::Title, "p95 latency");
        let note = Line::faint(format!("limit {}", Unit::Milliseconds.show(limit)));
        let inside = panel(canvas, area, title, &note, Keys::Elsewhere);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a limit in milliseconds for a line of a chart"
        )]
        let limit = limit as f32;
        Chart {
            values: &self.series(|bucket| bucket.p95_ms),
            newest: newest(self.model.shown_at()),
            fill: Fill::Line,
            role: Role::Chart2,
            limit: Some(limit),
            floor: 10.0,
            label: &|value| format!("{value:.0} ms"),
            from: &format!("{} ago", window.word()),
        }
        .draw(canvas, inside);
    }

    fn endpoint_table(&self, canvas: &mut Canvas<'_>, area: Rect) {
        if area.height < 3 {
            return;
        }
        let model = self.model;
        let len = self.rows.len() - self.replicas;
        let title = Line::of(Role::Title, "Endpoints").dim(format!("  {len}  asked from here"));
        let inside = panel(canvas, area, title, &Line::new(), self.keys_of(false));
        if len == 0 {
            let nothing = "no endpoint is configured";
            canvas.line(inside, &empty(model, SourceKind::Endpoint, nothing));
            return;
        }
        let look = canvas.look;
        let seen = Table {
            columns: &ENDPOINT_COLUMNS,
            len,
            cursor: self.cursor_in(self.replicas, len),
            wide: model.wide,
            cell: &|row, column, _| match &self.rows[self.replicas + row] {
                Row::Endpoint {
                    source,
                    watched,
                    endpoint,
                } => {
                    let sign = sign(watched.health(model.shown_at()), look.charset);
                    endpoint_cell(model, (&source.name, watched, *endpoint), sign, column)
                }
                _ => Line::new(),
            },
            marked: &|row| {
                model
                    .list()
                    .marks
                    .contains(&self.rows[self.replicas + row].key())
            },
        }
        .draw(canvas, inside);
        foot(canvas, area, &super::seen_note(seen, len));
    }

    fn detail(&self, canvas: &mut Canvas<'_>, area: Rect) {
        if area.height < 3 {
            return;
        }
        let model = self.model;
        let row = self.rows.get(self.at);
        let name = row.map(Row::name).unwrap_or_default();
        let title = Line::of(Role::Title, name.to_string());
        let inside = panel(canvas, area, title, &Line::new(), keys(model, Pane::Detail));
        let mut facts = Facts::new(inside.width, 10);
        match row {
            Some(Row::Replica {
                traffic, replica, ..
            }) => replica_facts(&mut facts, traffic, replica),
            Some(Row::Endpoint {
                watched, endpoint, ..
            }) => endpoint_facts(&mut facts, canvas, model, watched, *endpoint),
            _ => facts.free(Line::faint("nothing is selected")),
        }
        facts.draw(canvas, inside, model.list().scroll_detail);
    }
}

struct History<'a> {
    model: &'a Model,
    source: &'a Clean,
}

impl History<'_> {
    fn rate(&self, replica: &Clean, width: usize) -> String {
        let now = self.model.shown_at();
        let values: Vec<Option<f32>> = self
            .model
            .history
            .replica(self.source, replica)
            .map(|series| series.last(self.model.window.buckets(), now))
            .unwrap_or_default()
            .into_iter()
            .map(|bucket| bucket.and_then(|bucket| bucket.requests_per_s))
            .collect();
        spark(&resample(&values, newest(now), width), None)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a window are far below 2^52"
)]
fn client_ratio(flow: &Flow) -> Option<f64> {
    (flow.requests > 0).then(|| flow.client_errors as f64 / flow.requests as f64)
}

fn replica_cell<'a>(
    history: &History<'_>,
    traffic: &Traffic,
    replica: &'a ReplicaTraffic,
    (health, sign): (Health, &str),
    column: usize,
    width: usize,
) -> Line<'a> {
    const SHARE_BAR: usize = 6;
    let flow = &replica.flow;
    let thresholds = &history.model.shown().stack.thresholds;
    let over = |value: Option<f64>, limit: f64| {
        if value.is_some_and(|value| value > limit) {
            Role::Bad
        } else {
            Role::Text
        }
    };
    let ms = |value| Line::plain(number(value, Unit::Milliseconds));
    match column {
        0 => Line::plain(replica.replica.as_str()),
        1 if replica.fault.is_some() => Line::of(Role::Unknown, format!("{sign} not seen")),
        1 if health == Health::Unknown => Line::of(Role::Unknown, format!("{sign} stale")),
        1 => Line::of(role(health), format!("{sign} counted")),
        2 => Line::plain(number(flow.requests_per_s, Unit::PerSecond)),
        3 => match flow.share {
            Some(share) => {
                let off = is_off(share, traffic, thresholds.share_off);
                let said = if off { Role::Poor } else { Role::Chart1 };
                bar(share, SHARE_BAR, said).add(
                    if off { Role::Poor } else { Role::Text },
                    format!(" {:>3.0} %", share * 100.0),
                )
            }
            None => Line::faint("-"),
        },
        4 => Line::of(
            over(flow.p95_ms, thresholds.latency_ms),
            number(flow.p95_ms, Unit::Milliseconds),
        ),
        5 => Line::of(
            over(flow.error_ratio(), thresholds.error_ratio),
            number(flow.error_ratio(), Unit::Ratio),
        ),
        6 => ms(flow.p50_ms),
        7 => ms(flow.p99_ms),
        8 => Line::plain(number(client_ratio(flow), Unit::Ratio)),
        9 => Line::of(Role::Chart1, history.rate(&replica.replica, width)),
        _ => match replica.resets {
            0 => Line::faint("0"),
            n => Line::plain(n.to_string()),
        },
    }
}

fn replica_facts<'a>(facts: &mut Facts<'a>, traffic: &'a Traffic, replica: &'a ReplicaTraffic) {
    if let Some(fault) = &replica.fault {
        facts.line(
            "not seen",
            Line::of(Role::Unknown, fault.text.as_str())
                .dim("; not in the total, and not counted as well"),
        );
        if let Some(remedy) = &fault.remedy {
            facts.line("next", Line::plain(remedy.as_str()));
        }
    }
    let flow = &replica.flow;
    facts.fact(
        "window",
        format!(
            "{} requests, {} failed (5xx or no answer), {} refused (4xx) in {}",
            flow.requests,
            flow.errors,
            flow.client_errors,
            words::calm(traffic.window)
        ),
    );
    facts.fact(
        "latency",
        format!(
            "p50 {}  p95 {}  p99 {}",
            number(flow.p50_ms, Unit::Milliseconds),
            number(flow.p95_ms, Unit::Milliseconds),
            number(flow.p99_ms, Unit::Milliseconds)
        ),
    );
    facts.fact(
        "resets",
        match replica.resets {
            0 => "none: its counters only grew since we look".to_owned(),
            n => format!("{n}: its counters began anew; the replica was restarted"),
        },
    );
    facts.fact("source", traffic.source.word());
}

fn endpoint_cell<'a>(
    model: &Model,
    (name, watched, endpoint): (&'a Clean, &Watched, Option<&'a Endpoint>),
    sign: &str,
    column: usize,
) -> Line<'a> {
    let now = model.shown_at();
    let health = watched.health(now);
    let ms = |pick: fn(&Phases) -> Option<f64>| {
        Line::plain(number(
            endpoint.and_then(|endpoint| pick(&endpoint.phases)),
            Unit::Milliseconds,
        ))
    };
    match column {
        0 => Line::plain(name.as_str()),
        1 if watched.last.is_none() && watched.fault.is_none() => Line::faint(words::LOOKING),
        1 => Line::of(role(health), format!("{sign} {}", health.word())),
        2 => Line::plain(endpoint.map_or_else(|| "-".to_owned(), |e| e.status.to_string())),
        3 => {
            let limit = model.shown().stack.thresholds.ttfb_ms;
            let ttfb = endpoint.and_then(|endpoint| endpoint.phases.ttfb_ms);
            let said = if ttfb.is_some_and(|ttfb| ttfb > limit) {
                Role::Poor
            } else {
                Role::Text
            };
            Line::of(said, number(ttfb, Unit::Milliseconds))
        }
        4 => ms(|phases| phases.total_ms),
        5 => ms(|phases| phases.resolve_ms),
        6 => ms(|phases| phases.connect_ms),
        7 => ms(|phases| phases.tls_ms),
        8 => ms(|phases| phases.first_byte_ms),
        9 => Line::faint(endpoint.map_or_else(
            || "-".to_owned(),
            |endpoint| format!("{}/{}", endpoint.looks_good, endpoint.looks),
        )),
        _ => words::age(watched, now),
    }
}

fn endpoint_facts<'a>(
    facts: &mut Facts<'a>,
    canvas: &Canvas<'_>,
    model: &'a Model,
    watched: &'a Watched,
    endpoint: Option<&'a Endpoint>,
) {
    if let Some(line) = fault(model, watched) {
        facts.line("fault", line);
    }
    let Some(endpoint) = endpoint else {
        facts.free(Line::faint(words::LOOKING));
        return;
    };
    for failure in &endpoint.failures {
        facts.line(
            "expected",
            canvas.verdict(Health::Poor, "").text(failure.as_str()),
        );
    }
    facts.fact("url", endpoint.url.as_str());
    phases(facts, &endpoint.phases);
    for (n, hop) in endpoint.hops.iter().enumerate() {
        let line = Line::plain(format!("{} ", hop.status)).dim(hop.url.as_str());
        let line = match &hop.location {
            Some(location) => line.dim(" → ").text(location.as_str()),
            None => line,
        };
        facts.line(if n == 0 { "answers" } else { "" }, line);
    }
    let cut = if endpoint.body_cut {
        ", more not read"
    } else {
        ""
    };
    facts.fact(
        "body",
        format!(
            "{}{cut}, {}",
            words::bytes(Some(endpoint.body_bytes)),
            endpoint.content_type
        ),
    );
    facts.fact("address", endpoint.address.as_str());
    for (n, (name, value)) in endpoint.headers.iter().enumerate() {
        let line = Line::plain(format!("{name}: ")).dim(value.as_str());
        facts.line(if n == 0 { "headers" } else { "" }, line);
    }
}

/// Where the time went, as one bar in pieces.
fn phases(facts: &mut Facts<'_>, phases: &Phases) {
    const BAR: f64 = 40.0;
    let parts = [
        ("dns", phases.resolve_ms, Role::Chart4),
        ("connect", phases.connect_ms, Role::Chart3),
        ("tls", phases.tls_ms, Role::Chart2),
        ("first byte", phases.first_byte_ms, Role::Chart1),
        ("transfer", phases.transfer_ms, Role::Dim),
    ];
    let whole: f64 = parts
        .iter()
        .filter_map(|(_, ms, _)| *ms)
        .filter(|ms| ms.is_finite() && *ms > 0.0)
        .sum();
    if whole <= 0.0 {
        return;
    }
    let mut line = Line::new();
    let mut words = Line::new();
    for (name, ms, role) in parts {
        let Some(ms) = ms.filter(|ms| ms.is_finite() && *ms >= 0.0) else {
            continue;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a bar of forty cells"
        )]
        let cells = (ms / whole * BAR).round() as usize;
        line = line.add(role, "█".repeat(cells));
        words = words
            .add(role, format!("{name} "))
            .text(format!("{}  ", Unit::Milliseconds.show(ms)));
    }
    facts.line("time", line);
    facts.line("", words);
}

/// Further from the even share than the limit allows; `limit` is a part of the even share.
fn is_off(share: f64, traffic: &Traffic, limit: f64) -> bool {
    let even = 1.0 / f64::from(traffic.counted.0.max(1));
    (share - even).abs() > even * limit
}

/// Said only where every replica's share is known and near the even one.
fn spread_evenly(traffic: &Traffic, limit: f64) -> bool {
    let near = |replica: &ReplicaTraffic| {
        let share = replica.flow.share;
        share.is_some_and(|share| !is_off(share, traffic, limit))
    };
    !traffic.replicas.is_empty() && traffic.replicas.iter().all(near)
}
