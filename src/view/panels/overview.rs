//! All concerns on one screen: how each is, what needs a person, what happened, how old it all is.

use ratatui::layout::Rect;

use super::{cursor, cursor_style, halves, keys};
use crate::app::{Happening, Model, Pane, Row, Window, rows};
use crate::domain::{
    AlertState, Concern, Disk, Finding, Health, SourceKind, Subject, Timestamp, Unit,
};
use crate::view::canvas::{Canvas, role, rows_of};
use crate::view::frame::screen_of;
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::widgets::chart::{Chart, Fill};
use crate::view::widgets::facts::bar;
use crate::view::widgets::panel::{Keys, foot, panel};
use crate::view::widgets::spark::{resample, spark};
use crate::view::widgets::table::first_seen;
use crate::view::words::{self, columns, number};

/// Room for two columns of panels.
const WIDE: u16 = 110;
const HIGH: u16 = 26;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    if model.zoomed {
        return match model.pane {
            Pane::List => needs_you(canvas, area, model),
            Pane::Detail => happenings(canvas, area, model),
        };
    }
    if area.width >= WIDE && area.height >= HIGH {
        large(canvas, area, model);
    } else {
        compact(canvas, area, model);
    }
}

fn large(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let concerns = model.shown().concerns(model.shown_at());
    let (left, right) = halves(area, area.width * 62 / 100);
    let cards = cards_height(&concerns, left.height);
    let (top, bottom) = cut(left, cards);
    cards_panel(canvas, top, model, &concerns);
    requests(canvas, bottom, model);
    let sources = columns(kinds(model).len()) + 2;
    let needs = (right.height.saturating_sub(sources) * 55 / 100).max(8);
    let (top, rest) = cut(right, needs);
    let (middle, bottom) = cut(rest, rest.height.saturating_sub(sources));
    needs_you(canvas, top, model);
    happenings(canvas, middle, model);
    freshness(canvas, bottom, model);
}

fn compact(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let mut concerns = model.shown().concerns(model.shown_at());
    concerns.sort_by_key(|concern| std::cmp::Reverse(concern.health.max(Health::Good)));
    let all = (columns(concerns.len()) + 2).clamp(3, area.height.max(7) - 4);
    let (top, rest) = cut(area, all);
    let title = Line::of(Role::Title, "Concerns").dim("  worst first");
    let inside = panel(canvas, top, title, &Line::new(), Keys::Elsewhere);
    if concerns.is_empty() {
        canvas.line(inside, &Line::faint(words::LOOKING));
    }
    for (row, concern) in rows_of(inside).zip(&concerns) {
        concern_line(canvas, row, model, concern);
    }
    let found = columns(rows(model).len()).max(1) + 3;
    let needs = found
        .clamp(5, (rest.height * 6 / 10).max(5))
        .min(rest.height);
    let needs = if rest.height < needs + 3 {
        rest.height
    } else {
        needs
    };
    let (middle, bottom) = cut(rest, needs);
    needs_you(canvas, middle, model);
    if bottom.height >= 3 {
        happenings(canvas, bottom, model);
    }
}

fn cut(area: Rect, top: u16) -> (Rect, Rect) {
    let top = top.min(area.height);
    (
        Rect {
            height: top,
            ..area
        },
        Rect {
            y: area.y + top,
            height: area.height - top,
            ..area
        },
    )
}

/// Lines a card takes under its heading.
const CARD: u16 = 3;

fn cards_height(concerns: &[Concern], height: u16) -> u16 {
    /// A chart below this says nothing.
    const CHART_MIN: u16 = 7;
    let wanted = columns(concerns.len()) * CARD + 1;
    wanted
        .max(3)
        .min(height.saturating_sub(CHART_MIN).max(height / 2))
}

fn cards_panel(canvas: &mut Canvas<'_>, area: Rect, model: &Model, concerns: &[Concern]) {
    let title = Line::of(Role::Title, format!("Stack {}", model.shown().stack.name));
    let inside = panel(canvas, area, title, &Line::new(), Keys::Elsewhere);
    if concerns.is_empty() {
        canvas.line(inside, &Line::faint(words::LOOKING));
        return;
    }
    let mut y = inside.y;
    for concern in concerns {
        let left = inside.bottom().saturating_sub(y);
        if left == 0 {
            break;
        }
        let at = Rect {
            y,
            height: CARD.min(left),
            ..inside
        };
        concern_line(canvas, at, model, concern);
        if at.height > 1 {
            let below = Rect {
                x: at.x + INDENT,
                y: at.y + 1,
                width: at.width.saturating_sub(INDENT),
                height: 1,
            };
            if let Some(line) = substance(canvas, model, concern.subject, usize::from(below.width))
            {
                // What no longer counts is kept, but not in the colours of news.
                let line = if concern.health == Health::Unknown {
                    Line::faint(
                        line.pieces
                            .into_iter()
                            .map(|(_, text)| text)
                            .collect::<String>(),
                    )
                } else {
                    line
                };
                canvas.line(below, &line);
            }
        }
        y += CARD;
    }
}

/// Where the summary begins.
const INDENT: u16 = 26;

/// `● ok       2 Containers   8/8 healthy            4m   <5s`
fn concern_line(canvas: &mut Canvas<'_>, area: Rect, model: &Model, concern: &Concern) {
    let now = model.shown_at();
    let never = concern.freshness.age.is_none();
    let blind = concern.blind == concern.sources && concern.blind > 0;
    let faulty = never
        && model.shown().sources.iter().any(|(id, watched)| {
            Subject::of(id.kind) == concern.subject && watched.fault.is_some()
        });
    let verdict = if never && !faulty {
        Line::of(Role::Busy, words::LOOKING)
    } else {
        canvas.verdict(concern.health, loud(concern.health))
    };
    let screen = screen_of(concern.subject);
    let digit = if screen == crate::app::Screen::Overview {
        ' '
    } else {
        screen.digit()
    };
    let line = verdict
        .to(11)
        .dim(format!("{digit} "))
        .add(Role::Title, concern.subject.word())
        .to(usize::from(INDENT));
    let used = canvas.line(area, &line);
    let mut tail = Line::new();
    if concern.health.is_trouble()
        && !concern.freshness.stale
        && let Some(since) = concern.since
    {
        tail = tail
            .add(role(concern.health), words::since(now, since))
            .text("  ");
    }
    tail = tail.join(concern_age(concern, now));
    let rest = Rect {
        x: area.x + used,
        width: area.width.saturating_sub(used),
        height: 1,
        ..area
    };
    let tail_width = canvas.line_right(rest, &tail);
    let text = Rect {
        width: rest.width.saturating_sub(tail_width + 2),
        ..rest
    };
    let said = if blind { Role::Unknown } else { Role::Text };
    if !never || faulty {
        canvas.line(text, &Line::of(said, concern.summary.as_str()));
    }
}

/// Trouble is said aloud.
fn loud(health: Health) -> &'static str {
    match health {
        Health::None => "none",
        Health::Good => "ok",
        Health::Busy => "busy",
        Health::Poor => "POOR",
        Health::Unknown => "UNKNOWN",
        Health::Bad => "BAD",
    }
}

fn concern_age(concern: &Concern, _now: Timestamp) -> Line<'static> {
    match concern.freshness.age {
        None => Line::new(),
        Some(age) if concern.freshness.stale => {
            Line::of(Role::Unknown, format!("[?] {}", words::calm(age)))
        }
        Some(age) if age > concern.freshness.period * 5 / 2 => {
            Line::of(Role::Poor, format!("old {}", words::calm(age)))
        }
        Some(_) => Line::faint(words::bound(concern.freshness.period)),
    }
}

/// The second line of a card: figures beside their limits.
fn substance<'a>(
    canvas: &Canvas<'_>,
    model: &'a Model,
    subject: Subject,
    width: usize,
) -> Option<Line<'a>> {
    match subject {
        Subject::Engine => {
            let engine = model.shown().engine()?;
            Some(Line::faint(format!(
                "{}  version {}  API {}",
                engine.address, engine.version, engine.api
            )))
        }
        Subject::Containers => {
            // Before anything was seen there is nothing to count: none is not zero.
            model.shown().containers()?;
            Some(services(canvas, model))
        }
        Subject::Traffic => traffic(model, width),
        Subject::Endpoints => Some(endpoints(canvas, model)),
        Subject::Certificates => certificates(model),
        Subject::Backups => backups(model),
        Subject::Alerts => alerts(model),
        Subject::Host => host(model),
    }
}

/// The services' roll-up: quiet ones dim, troubled ones with sign and colour.
fn services<'a>(canvas: &Canvas<'_>, model: &Model) -> Line<'a> {
    let mut line = Line::new();
    let mut services = model.shown().services();
    services.sort_by_key(|service| std::cmp::Reverse(service.health.max(Health::Good)));
    for service in services {
        let wanted = service.expected.unwrap_or(service.there);
        let text = format!("{} {}/{wanted}", service.name, service.well);
        line = if service.health.is_trouble() && service.matters {
            let sign = canvas.sign(service.health);
            line.add(role(service.health), format!("{text} {sign}"))
        } else {
            line.dim(text)
        };
        line = line.text("  ");
    }
    line
}

fn traffic<'a>(model: &Model, width: usize) -> Option<Line<'a>> {
    const SPARK: usize = 30;
    let now = model.shown_at();
    let (source, _, traffic) = model.shown().best_traffic(now)?;
    let total = &traffic.total;
    let line = Line::plain(format!(
        "{}  p95 {}  errors {}",
        number(total.requests_per_s, Unit::PerSecond),
        number(total.p95_ms, Unit::Milliseconds),
        number(total.error_ratio(), Unit::Ratio),
    ));
    let series = model.history.total(&source.name)?;
    let buckets = Window::Minutes15.buckets();
    let values: Vec<Option<f32>> = series
        .last(buckets, now)
        .into_iter()
        .map(|bucket| bucket.and_then(|bucket| bucket.requests_per_s))
        .collect();
    let cells = SPARK.min(width.saturating_sub(line.width() + 2));
    let drawn = spark(&resample(&values, newest(now), cells), None);
    Some(line.to(34).add(Role::Chart1, drawn).dim(" 15m"))
}

/// Number of the bucket that is open now; `History` cuts time in the same way.
pub(super) fn newest(now: Timestamp) -> u64 {
    const BUCKET_MS: u64 = 5000;
    now.0 / BUCKET_MS
}

fn endpoints<'a>(canvas: &Canvas<'_>, model: &'a Model) -> Line<'a> {
    let now = model.shown_at();
    let mut line = Line::new();
    for (id, watched) in model.shown().of_kind(SourceKind::Endpoint) {
        let health = watched.health(now);
        let text = match model.shown().endpoints().find(|(other, ..)| *other == id) {
            Some((_, _, endpoint)) => format!(
                "{} {} {}",
                id.name,
                endpoint.status,
                number(endpoint.phases.ttfb_ms, Unit::Milliseconds)
            ),
            None => id.name.to_string(),
        };
        line = if health.is_trouble() && watched.reading().is_some() {
            line.add(role(health), format!("{text} {}", canvas.sign(health)))
        } else {
            line.dim(text)
        }
        .text("  ");
    }
    line
}

fn certificates(model: &Model) -> Option<Line<'_>> {
    let now = model.shown_at();
    let mut all: Vec<_> = model
        .shown()
        .certificates()
        .map(|(id, watched, certificate)| (certificate.leaf_expiry, id, watched.health(now)))
        .collect();
    all.sort_by_key(|(end, ..)| *end);
    let mut line = Line::new();
    for (end, id, health) in all {
        let text = format!("{} {} d", id.name, end.seconds_from(now).div_euclid(86_400));
        let said = if health.is_trouble() {
            role(health)
        } else {
            Role::Dim
        };
        line = line.add(said, text).text("  ");
    }
    (line.width() > 0).then_some(line)
}

fn backups(model: &Model) -> Option<Line<'_>> {
    let now = model.shown_at();
    let mut line = Line::new();
    for (_, watched, backup) in model.shown().backups() {
        let health = watched.health(now);
        let text = match backup.last_good() {
            Some(file) => format!(
                "{} {} ago, {}",
                backup.target,
                words::since(now, file.at),
                words::bytes(Some(file.bytes))
            ),
            None => format!("{}: no good one", backup.target),
        };
        let said = if health.is_trouble() {
            role(health)
        } else {
            Role::Dim
        };
        line = line.add(said, text).text("  ");
    }
    (line.width() > 0).then_some(line)
}

fn alerts(model: &Model) -> Option<Line<'_>> {
    let alerts = model.shown().alerts()?;
    let count = |state| {
        alerts
            .alerts
            .iter()
            .filter(|alert| alert.state == state)
            .count()
    };
    let up = alerts.targets.iter().filter(|target| target.up).count();
    Some(Line::faint(format!(
        "{} firing  {} pending  {} rules  scrape targets {up}/{} up",
        count(AlertState::Firing),
        count(AlertState::Pending),
        alerts.rules.len(),
        alerts.targets.len(),
    )))
}

fn host(model: &Model) -> Option<Line<'_>> {
    let host = model.shown().host()?;
    let thresholds = &model.shown().stack.thresholds;
    let used = host
        .memory_bytes
        .saturating_sub(host.memory_available_bytes);
    let mut line = Line::faint(format!("load {:.1}/{}  memory ", host.load1, host.cores))
        .join(ratio_bar(used, host.memory_bytes, 5, Role::Dim));
    // The fullest first: it must not be the one that is cut off.
    let mut disks: Vec<_> = host.disks.iter().collect();
    let free = |disk: &Disk| words::float(disk.free_bytes) / words::float(disk.size_bytes.max(1));
    disks.sort_by(|a, b| free(a).total_cmp(&free(b)));
    for disk in disks {
        let used = disk.size_bytes.saturating_sub(disk.free_bytes);
        let free = free(disk);
        let said = if free < thresholds.disk_free_bad {
            Role::Bad
        } else if free < thresholds.disk_free_poor {
            Role::Poor
        } else {
            Role::Dim
        };
        line = line
            .text("  ")
            .add(said, disk.path.as_str())
            .text(" ")
            .join(ratio_bar(used, disk.size_bytes, 5, said));
    }
    Some(line)
}

fn ratio_bar<'a>(used: u64, of: u64, width: usize, said: Role) -> Line<'a> {
    let part = words::float(used) / words::float(of.max(1));
    bar(part, width, said).add(said, format!(" {:.0} %", part * 100.0))
}

/// Requests a second of the whole stack, an hour of it.
fn requests(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    if area.height < 4 {
        return;
    }
    let now = model.shown_at();
    let best = model.shown().best_traffic(now);
    let title = Line::of(Role::Title, "Requests a second").dim("  1h");
    let note = best.as_ref().map_or_else(Line::new, |(_, _, traffic)| {
        Line::faint(format!(
            "{}, {} of {} replicas counted",
            traffic.source.word(),
            traffic.counted.0,
            traffic.counted.1
        ))
    });
    let inside = panel(canvas, area, title, &note, Keys::Elsewhere);
    let Some((source, ..)) = best else {
        canvas.line(
            inside,
            &super::empty(
                model,
                SourceKind::Traffic,
                "no source of traffic is configured",
            ),
        );
        return;
    };
    let values: Vec<Option<f32>> = model
        .history
        .total(&source.name)
        .map(|series| {
            series
                .last(Window::Hour.buckets(), now)
                .into_iter()
                .map(|bucket| bucket.and_then(|bucket| bucket.requests_per_s))
                .collect()
        })
        .unwrap_or_default();
    Chart {
        values: &values,
        newest: newest(now),
        fill: Fill::Area,
        role: Role::Chart1,
        limit: None,
        floor: 1.0,
        label: &|value| format!("{value:.0}"),
        from: "1h ago",
    }
    .draw(canvas, inside);
}

/// What needs a person, worst first; the one under the cursor in full.
fn needs_you(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let all = rows(model);
    let now = model.shown_at();
    let title = Line::of(Role::Title, "Needs you").dim("  worst first");
    let inside = panel(canvas, area, title, &Line::new(), keys(model, Pane::List));
    if all.is_empty() {
        let line = if model.shown().sources.values().all(|w| w.last.is_none()) {
            Line::faint(words::LOOKING)
        } else {
            Line::faint("Nothing is abnormal.")
        };
        canvas.line(inside, &line);
        return;
    }
    let at = cursor(model, &all);
    let full = match all.get(at) {
        Some(Row::Finding(finding)) => selected_text(canvas, finding, usize::from(inside.width)),
        _ => Vec::new(),
    };
    let room = usize::from(inside.height);
    let below = full.len().min(room / 3);
    let height = room - below;
    // A finding is a line of its own; the detail of the chosen one follows it directly.
    let first = first_seen(all.len(), at, height);
    let mut lines_at = rows_of(inside);
    for (n, row) in all.iter().enumerate().skip(first).take(height) {
        let Row::Finding(finding) = row else { continue };
        let Some(place) = lines_at.next() else { break };
        finding_line(canvas, place, finding, now, n == at);
        if n == at {
            canvas.tint(place, cursor_style(model, at).role);
            for line in full.iter().take(below) {
                let Some(place) = lines_at.next() else { break };
                canvas.line(place, line);
            }
        }
    }
    let shown = all.len().min(first + height);
    if shown < all.len() || first > 0 {
        foot(
            canvas,
            area,
            &Line::faint(format!("{}-{shown} of {}", first + 1, all.len())),
        );
    } else {
        foot(canvas, area, &Line::faint("nothing else is abnormal"));
    }
}

fn selected_text<'a>(canvas: &Canvas<'_>, finding: &Finding, width: usize) -> Vec<Line<'a>> {
    let indent = if canvas.is_ascii() { 7 } else { 5 };
    let place = format!("{}: {}", finding.source.kind.word(), finding.text);
    Line::plain(" ".repeat(indent))
        .dim(place)
        .wrap(width, indent)
}

fn finding_line(
    canvas: &mut Canvas<'_>,
    area: Rect,
    finding: &Finding,
    now: Timestamp,
    chosen: bool,
) {
    let tail = Line::faint(format!(" {}", words::since(now, finding.since)));
    let width = canvas.line_right(area, &tail);
    let pointer = if chosen { "▸ " } else { "  " };
    let line = Line::of(Role::Accent, pointer)
        .add(
            role(finding.health),
            format!("{} {}", canvas.sign(finding.health), finding.about),
        )
        .text("  ")
        .add(
            if chosen { Role::Text } else { Role::Dim },
            finding.text.as_str(),
        );
    canvas.line(
        Rect {
            width: area.width.saturating_sub(width),
            ..area
        },
        &line,
    );
}

fn happenings(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let title = Line::of(Role::Title, "Last happenings");
    let inside = panel(canvas, area, title, &Line::new(), keys(model, Pane::Detail));
    let scroll = usize::from(model.list().scroll_detail);
    let all = model.happenings.newest();
    let first = scroll.min(all.len().saturating_sub(usize::from(inside.height)));
    if all.len() == 0 {
        canvas.line(inside, &Line::faint("nothing has changed since we look"));
    }
    for (row, happening) in rows_of(inside).zip(all.skip(first)) {
        canvas.line(row, &happening_line(canvas, model, happening));
    }
}

pub(super) fn happening_line<'a>(
    canvas: &Canvas<'_>,
    model: &Model,
    happening: &'a Happening,
) -> Line<'a> {
    Line::faint(words::moment(model, happening.at))
        .text(" ")
        .add(
            role(happening.health),
            format!("{} ", canvas.sign(happening.health)),
        )
        .text(happening.about.as_str())
        .dim(" ")
        .dim(happening.text.as_str())
}

fn kinds(model: &Model) -> Vec<SourceKind> {
    let mut kinds: Vec<SourceKind> = model.shown().sources.keys().map(|id| id.kind).collect();
    kinds.dedup();
    kinds
}

/// Every kind of source: how many answer, and how old the oldest answer is.
fn freshness(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let now = model.shown_at();
    let title = Line::of(Role::Title, "Data");
    let inside = panel(canvas, area, title, &Line::new(), Keys::Elsewhere);
    for (row, kind) in rows_of(inside).zip(kinds(model)) {
        let all: Vec<_> = model.shown().of_kind(kind).map(|(_, w)| w).collect();
        let seen = all
            .iter()
            .filter(|w| w.health(now) != Health::Unknown)
            .count();
        let fresh = all
            .iter()
            .filter(|w| {
                !matches!(
                    w.freshness(now),
                    crate::domain::Freshness::Never | crate::domain::Freshness::Stale(_)
                )
            })
            .count();
        let oldest = all.iter().max_by_key(|w| (w.last.is_none(), w.age(now)));
        let counted = format!("{fresh} of {}", all.len());
        let said = if fresh < all.len() && seen < all.len() {
            Role::Unknown
        } else {
            Role::Dim
        };
        let line = Line::faint(kind.word()).to(14).add(said, counted);
        canvas.line(row, &line);
        if let Some(oldest) = oldest {
            canvas.line_right(row, &words::age(oldest, now));
        }
    }
}
