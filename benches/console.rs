//! What the console costs and how quick it is, measured on the real binary in a terminal of 120 by 40.
//!
//! `cargo bench --bench console` prints the table; `-- --markdown` prints it for a document, `-- --seconds 60` looks
//! longer. Figures are printed beside what is promised and never fail a run: a machine that is busy with something else
//! says nothing about the program.

#![expect(
    clippy::print_stdout,
    reason = "a table on the standard output is what a bench is for"
)]

#[path = "support/flood.rs"]
mod flood;
#[path = "support/seat.rs"]
mod seat;
#[path = "support/table.rs"]
mod table;
#[path = "support/yard.rs"]
mod yard;

use std::time::{Duration, Instant};

use flood::Flood;
use seat::Seat;
use table::{Asked, Table, quantile};
use yard::Yard;

const CONTAINERS: usize = 50;
/// Starts of which the middle one counts.
const STARTS: usize = 5;
/// After the start, before one calls it idle.
const SETTLE: Duration = Duration::from_secs(8);
/// A board that is not complete by then never will be.
const COMPLETE_MAX: Duration = Duration::from_secs(15);
/// Percent of a core that the engine may use without us, for what it uses because of us to be seen.
const ENGINE_CALM: f64 = 5.0;
/// Keys of which the slowest hundredth is named.
const KEYS: usize = 200;
const KEY_PAUSE: Duration = Duration::from_millis(40);

fn main() {
    let Some(asked) = Asked::read() else {
        println!("skipped: figures are for `cargo bench`");
        return;
    };
    let seconds = asked.number("--seconds", 30);
    match Yard::start(CONTAINERS) {
        Ok(yard) => {
            println!("{}", starts(&yard).show(asked.markdown));
            for screen in ["overview", "containers"] {
                println!("{}", idle(&yard, screen, seconds).show(asked.markdown));
            }
        }
        Err(why) => println!("skipped: {why}\n"),
    }
    println!("{}", keys().show(asked.markdown));
}

/// From the start of the process to the first frame, and to a board on which nothing is still looked for.
fn starts(yard: &Yard) -> Table {
    let mut first = Vec::new();
    let mut paint = Vec::new();
    let mut whole = Vec::new();
    for _ in 0..STARTS {
        let mut seat = Seat::open(&["--project", &yard.project]);
        let complete = seat.watch(COMPLETE_MAX, is_complete);
        first.extend(seat.first_byte.map(milliseconds));
        paint.extend(seat.first_paint.map(milliseconds));
        match complete {
            Some(at) => whole.push(milliseconds(at)),
            None => println!("not complete after {COMPLETE_MAX:?}:\n{}", seat.screen()),
        }
        seat.leave();
    }
    let mut table = Table::new(format!(
        "start, {CONTAINERS} containers, 120x40, middle of {STARTS}"
    ));
    table.note("first byte", quantile(&mut first, 0.5), "ms");
    table.below("first painted frame", 25.0, quantile(&mut paint, 0.5), "ms");
    table.below("board complete", 150.0, quantile(&mut whole, 0.5), "ms");
    table
}

/// Every source of the overview has answered.
fn is_complete(screen: &str) -> bool {
    screen.contains(&format!("0/{CONTAINERS} healthy")) && !screen.contains("looking")
}

/// Nobody touches a key.
fn idle(yard: &Yard, screen: &str, seconds: u32) -> Table {
    let mut table = Table::new(format!(
        "idle, {CONTAINERS} containers, screen {screen}, {seconds} s"
    ));
    let time = Duration::from_secs(u64::from(seconds));
    let engine = seat::engine_pids();
    let before = percent(&engine, || std::thread::sleep(time));
    let mut seat = Seat::open(&["--project", &yard.project, "--screen", screen]);
    seat.idle(SETTLE);
    let own = [seat.pid()];
    let bytes = seat.bytes;
    let mut with = 0.0;
    let cpu = percent(&own, || {
        with = percent(&engine, || seat.idle(time));
    });
    let written = f64::from(u32::try_from(seat.bytes - bytes).unwrap_or(u32::MAX));
    let memory = seat::memory_mb(seat.pid());
    let threads = seat::threads(seat.pid()).and_then(|n| u32::try_from(n).ok());
    table.below("own CPU of a core", 0.5, Some(cpu), "%");
    table.below(
        "bytes to the terminal",
        70.0,
        Some(written / f64::from(seconds)),
        "/s",
    );
    table.below("resident memory", 20.0, memory.map(|(rss, _)| rss), "MB");
    table.note("proportional memory", memory.map(|(_, pss)| pss), "MB");
    table.note("threads", threads.map(f64::from), "");
    if before < ENGINE_CALM {
        table.below("engine's extra CPU", 0.5, Some(with - before), "%");
    } else {
        // A difference of two such figures is weather.
        table.note("engine's extra CPU, lost in others' work", None, "%");
    }
    table.note("engine's CPU without us", Some(before), "%");
    seat.leave();
    table
}

/// CPU of `pids` while `act` goes on, in percent of a core.
fn percent(pids: &[u32], act: impl FnOnce()) -> f64 {
    let (cpu, begun) = (seat::cpu_seconds(pids), Instant::now());
    act();
    (seat::cpu_seconds(pids) - cpu) / begun.elapsed().as_secs_f64() * 100.0
}

/// Keys among a thousand containers whose logs never stop.
fn keys() -> Table {
    let flood = Flood {
        containers: 1000,
        lines_per_s: 10_000,
    };
    let home = tempfile::tempdir().expect("a folder for a socket");
    let host = format!("unix://{}", flood.start(home.path()).display());
    let mut table = Table::new(format!(
        "key to frame, {} containers, {} log lines/s",
        flood.containers, flood.lines_per_s
    ));
    let mut seat = Seat::open(&[
        "--host",
        &host,
        "--project",
        flood::PROJECT,
        "--screen",
        "containers",
    ]);
    let there = seat.watch(COMPLETE_MAX, |screen| screen.contains("of 1000"));
    if there.is_none() {
        println!(
            "no thousand containers after {COMPLETE_MAX:?}:\n{}",
            seat.screen()
        );
    }
    seat.idle(Duration::from_secs(3));
    let cursor = |screen: &str| {
        screen
            .lines()
            .find(|line| line.contains('▸'))
            .map(str::to_owned)
    };
    let mut moved = Vec::new();
    for _ in 0..KEYS {
        let before = cursor(&seat.screen());
        let took = seat.key(b"j", |screen| cursor(screen) != before);
        moved.extend(took.map(milliseconds));
        seat.idle(KEY_PAUSE);
    }
    note(&mut table, "cursor down, screen containers", &mut moved);
    seat.key(b"8", |screen| screen.contains("all services"));
    seat.idle(Duration::from_secs(3));
    let wraps = |screen: &str| screen.contains("wrapped");
    let mut wrapped = Vec::new();
    for _ in 0..KEYS {
        let before = wraps(&seat.screen());
        let took = seat.key(b"x", |screen| wraps(screen) != before);
        wrapped.extend(took.map(milliseconds));
        seat.idle(KEY_PAUSE);
    }
    note(&mut table, "wrap lines, screen logs", &mut wrapped);
    let memory = seat::memory_mb(seat.pid());
    table.note("resident memory then", memory.map(|(rss, _)| rss), "MB");
    seat.leave();
    table
}

fn note(table: &mut Table, what: &str, times: &mut [f64]) {
    if times.len() < KEYS {
        println!("{what}: {} of {KEYS} keys were answered", times.len());
    }
    table.note(format!("{what}, p50"), quantile(times, 0.5), "ms");
    table.below(format!("{what}, p99"), 16.0, quantile(times, 0.99), "ms");
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
