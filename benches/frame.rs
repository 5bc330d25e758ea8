//! What a frame costs, and a key, without terminal and engine: pure functions, timed.
//!
//! `cargo bench --bench frame` prints the tables. A frame must not cost more where there are more containers: only what
//! is seen is drawn. Figures never fail a run.

#![expect(
    clippy::print_stdout,
    reason = "a table on the standard output is what a bench is for"
)]

#[expect(dead_code, reason = "the tests of the view use the rest of it")]
#[path = "../tests/it/fixture.rs"]
mod fixture;
#[path = "support/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use quarterdeck::app::{Event, Intent, Model, Screen, update};
use quarterdeck::domain::{
    Clean, Container, Containers, Detail, Health, Level, LogLine, Reading, Sighting, SourceId,
    SourceKind, Stream, Timestamp, Usage, UsageTable,
};
use quarterdeck::shell::terminal::encode::{ColorMode, Encoder, Grid};
use quarterdeck::view::{self, Look};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use table::{Asked, Table, quantile};

const COLUMNS: u16 = 120;
const LINES: u16 = 40;
const FEW: u32 = 50;
const MANY: u32 = 1000;
/// Frames of each screen, of which the middle one counts; `-- --frames 1000` draws more.
const FRAMES: u32 = 200;
const LINES_PER_S: u32 = 10_000;
/// Keys, one each tenth of a second.
const KEYS: u32 = 300;
const IDLE: Duration = Duration::from_mins(1);

fn main() {
    let Some(asked) = Asked::read() else {
        println!("skipped: figures are for `cargo bench`");
        return;
    };
    let count = asked.number("--frames", FRAMES);
    for table in [frames(count), keys(), updates(), idle_bytes()] {
        println!("{}", table.show(asked.markdown));
    }
}

/// The fixture's stack with `count` containers of twenty services, all well.
fn model(count: u32) -> Model {
    let mut model = fixture::calm();
    let (containers, usage) = (containers(count), usage(count, 0));
    see(&mut model, SourceKind::Containers, containers, fixture::NOW);
    see(&mut model, SourceKind::Usage, usage, fixture::NOW);
    update(
        &mut model,
        Event::Resized {
            columns: COLUMNS,
            lines: LINES,
        },
    );
    model
}

fn all(count: u32) -> impl Iterator<Item = Container> {
    (0..count).map(|n| {
        let service = format!("service{:02}", n % 20);
        fixture::container(&service, n / 20 + 1, "hyper-mission/server:1.42.0")
    })
}

fn containers(count: u32) -> Detail {
    Detail::Containers(Containers {
        all: all(count).collect(),
        missing: Vec::new(),
        event_gaps: 0,
    })
}

/// Figures as an idle container has them: a breath of CPU that differs from look to look.
fn usage(count: u32, look: u32) -> Detail {
    let by_id: BTreeMap<_, _> = all(count)
        .zip(0..)
        .map(|(container, n): (_, u32)| {
            let usage = Usage {
                cpu_percent: Some(f64::from((n * 7 + look * 13) % 10) / 300.0),
                memory_bytes: Some(u64::from(n % 9 + 1) << 20),
                memory_limit_bytes: Some(512 << 20),
                network_rx_per_s: Some(0.0),
                network_tx_per_s: Some(0.0),
                block_read_per_s: Some(0.0),
                block_write_per_s: Some(0.0),
                pids: Some(1),
            };
            (container.id, usage)
        })
        .collect();
    Detail::Usage(UsageTable {
        by_id,
        source: Clean::from("cgroup v2"),
    })
}

fn sighting(kind: SourceKind, detail: Detail, at: Timestamp) -> Event {
    Event::Sighted(Box::new(Sighting {
        source: SourceId::new(kind, "engine"),
        at,
        took: Duration::from_millis(2),
        period: Duration::from_secs(2),
        result: Ok(Reading {
            health: Health::Good,
            summary: Clean::from("all healthy"),
            measures: Vec::new(),
            detail,
        }),
    }))
}

fn see(model: &mut Model, kind: SourceKind, detail: Detail, at: Timestamp) {
    update(model, sighting(kind, detail, at));
}

fn draw(model: &Model, look: &Look, encoder: &mut Encoder) -> usize {
    let mut buffer = Buffer::empty(Rect::new(0, 0, COLUMNS, LINES));
    let cursor = view::draw(&mut buffer, model, look);
    encoder
        .encode(Grid::new(&buffer, ColorMode::Ansi256), cursor)
        .len()
}

/// The middle of many frames, in microseconds.
fn frame_us(model: &Model, frames: u32) -> Option<f64> {
    let (look, mut encoder) = (Look::default(), Encoder::new());
    let mut times: Vec<f64> = (0..frames)
        .map(|_| {
            let begun = Instant::now();
            black_box(draw(black_box(model), &look, &mut encoder));
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    quantile(&mut times, 0.5)
}

fn frames(frames: u32) -> Table {
    let mut table = Table::new(format!("frame, drawn and encoded, {COLUMNS}x{LINES}"));
    for screen in Screen::ALL {
        let [few, many] = [FEW, MANY].map(|count| {
            let mut model = model(count);
            update(&mut model, Event::Intent(Intent::Go(screen)));
            frame_us(&model, frames)
        });
        let name = screen.word();
        table.note(format!("{name}, {FEW} containers"), few, "us");
        table.note(format!("{name}, {MANY} containers"), many, "us");
        let ratio = few.zip(many).map(|(few, many)| many / few);
        table.note(format!("{name}, {MANY} over {FEW}"), ratio, "times");
    }
    table
}

/// A batch of the flood that comes between two keys.
fn batch(of: &Model, count: u32) -> Vec<LogLine> {
    let container = of.followed.first().cloned();
    (0..count)
        .map(|n| LogLine {
            at: Some(fixture::NOW),
            container: container.clone(),
            source: Clean::from("service00-1"),
            stream: Stream::Out,
            level: Level::Info,
            text: Clean::line(&format!("GET /api/orders/{n} 200 12 ms")),
        })
        .collect()
}

/// What waits before a key is taken in with it: a twentieth of a second of lines, and a look at usage.
fn keys() -> Table {
    const BATCH: u32 = LINES_PER_S / 20;
    let mut table = Table::new(format!(
        "key to frame in the loop, {MANY} containers, {LINES_PER_S} log lines/s"
    ));
    for screen in [Screen::Overview, Screen::Containers, Screen::Logs] {
        let mut model = model(MANY);
        update(&mut model, Event::Intent(Intent::Go(screen)));
        let (look, mut encoder) = (Look::default(), Encoder::new());
        let mut times = Vec::new();
        for n in 0..KEYS {
            let before = batch(&model, BATCH);
            update(&mut model, Event::Logged(before));
            let waiting = batch(&model, BATCH);
            let look_too = sighting(
                SourceKind::Usage,
                usage(MANY, n),
                fixture::NOW.plus(Duration::from_millis(100) * n),
            );
            let begun = Instant::now();
            update(&mut model, Event::Logged(waiting));
            update(&mut model, look_too);
            update(&mut model, Event::Intent(Intent::Down(1)));
            black_box(draw(&model, &look, &mut encoder));
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        let name = screen.word();
        table.note(format!("{name}, p50"), quantile(&mut times, 0.5), "ms");
        table.below(
            format!("{name}, p99"),
            16.0,
            quantile(&mut times, 0.99),
            "ms",
        );
    }
    table
}

/// What it costs to take in a look at everything.
fn updates() -> Table {
    let mut table = Table::new(format!("taking in a look, {MANY} containers"));
    let mut model = model(MANY);
    for (name, kind) in [
        ("containers", SourceKind::Containers),
        ("usage", SourceKind::Usage),
    ] {
        let mut times = Vec::new();
        for n in 1..=50 {
            let detail = match kind {
                SourceKind::Usage => usage(MANY, n),
                _ => containers(MANY),
            };
            let event = sighting(kind, detail, fixture::NOW.plus(Duration::from_secs(2) * n));
            let begun = Instant::now();
            update(&mut model, event);
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        table.note(name, quantile(&mut times, 0.5), "ms");
    }
    table
}

/// Every source but usage says once more what it said.
fn see_again(model: &mut Model, now: Timestamp) {
    let again: Vec<Sighting> = model
        .board
        .sources
        .iter()
        .filter(|(source, _)| source.kind != SourceKind::Usage)
        .filter_map(|(source, watched)| {
            Some(Sighting {
                source: source.clone(),
                at: now,
                took: Duration::from_millis(2),
                period: watched.period,
                result: Ok(watched.reading()?.clone()),
            })
        })
        .collect();
    for sighting in again {
        update(model, Event::Sighted(Box::new(sighting)));
    }
}

/// A minute in which nothing happens but looks: a tick a second, usage each two, all others each five.
fn idle_bytes() -> Table {
    let mut table = Table::new(format!("bytes of an idle minute, {FEW} containers"));
    let seconds = u32::try_from(IDLE.as_secs()).expect("a minute");
    for screen in [Screen::Overview, Screen::Containers] {
        let mut model = model(FEW);
        update(&mut model, Event::Intent(Intent::Go(screen)));
        let (look, mut encoder) = (Look::default(), Encoder::new());
        draw(&model, &look, &mut encoder);
        let mut bytes = 0;
        for second in 1..=seconds {
            let now = fixture::NOW.plus(Duration::from_secs(second.into()));
            update(&mut model, Event::Tick(now));
            if second % 2 == 0 {
                see(&mut model, SourceKind::Usage, usage(FEW, second), now);
            }
            if second % 5 == 0 {
                see_again(&mut model, now);
            }
            bytes += draw(&model, &look, &mut encoder);
        }
        let rate = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / f64::from(seconds);
        table.below(screen.word(), 70.0, Some(rate), "/s");
    }
    table
}
