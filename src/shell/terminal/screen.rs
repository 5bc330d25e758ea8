//! The draw side: one thread that owns what the terminal shows.
//!
//! Whoever draws hands over a complete frame and goes on. The newest frame wins; nothing is queued, so a terminal that
//! stops reading costs one frame of memory and blocks nobody but the thread here. Same frame, no bytes.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use super::encode::{ColorMode, Encoder, Grid};
use super::mode::Mode;

pub(super) const THREAD: &str = "quarterdeck-screen";

/// How long a wait for the terminal lasts before it is looked whether the program still wants to write.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What is waiting for the thread, and what it has done.
#[derive(Debug, Default)]
struct Desk {
    /// The newest frame, not yet taken.
    frame: Option<(Buffer, Option<Position>)>,
    /// A finished sequence that is no frame (the clipboard). The newest wins.
    aside: Option<Vec<u8>>,
    repaint: bool,
    closing: bool,
    done: Figures,
    /// Since when the terminal has not taken a byte although there are some.
    stalled_since: Option<Instant>,
}

/// What drawing has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Frames that changed something.
    pub frames: u64,
    pub bytes: u64,
    /// How long the terminal took for the last of them. More than 200 ms is a slow link.
    pub last_write: Duration,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    news: Condvar,
    mode: Arc<Mode>,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where frames are handed over. Clones draw on the same terminal.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    shared: Arc<Shared>,
}

impl Screen {
    /// Starts the thread that writes.
    pub(super) fn start(mode: Arc<Mode>, colors: ColorMode) -> io::Result<(Self, JoinHandle<()>)> {
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk::default()),
            news: Condvar::new(),
            mode,
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || write_frames(&theirs, colors))?;
        Ok((Self { shared }, thread))
    }

    pub(super) fn show(&self, frame: Buffer, cursor: Option<Position>) {
        self.change(|desk| desk.frame = Some((frame, cursor)));
    }

    pub(super) fn aside(&self, bytes: Vec<u8>) {
        self.change(|desk| desk.aside = Some(bytes));
    }

    pub(super) fn repaint(&self) {
        self.change(|desk| desk.repaint = true);
    }

    pub(super) fn close(&self) {
        self.change(|desk| desk.closing = true);
    }

    pub(super) fn figures(&self) -> Figures {
        self.shared.desk().done
    }

    pub(super) fn stalled_for(&self) -> Duration {
        self.shared
            .desk()
            .stalled_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn change(&self, change: impl FnOnce(&mut Desk)) {
        change(&mut self.shared.desk());
        self.shared.news.notify_one();
    }
}

enum Work {
    Aside(Vec<u8>),
    Frame {
        frame: Option<(Buffer, Option<Position>)>,
        repaint: bool,
    },
}

fn write_frames(shared: &Shared, colors: ColorMode) {
    let mut encoder = Encoder::new();
    let mut latest: Option<(Grid, Option<Position>)> = None;
    while let Some(work) = next_work(shared) {
        // Taken before the bytes are made: a frame made for a stay that is over is not written into the next.
        let epoch = shared.mode.epoch();
        let bytes = match work {
            Work::Aside(bytes) => bytes,
            Work::Frame { frame, repaint } => {
                if let Some((buffer, cursor)) = frame {
                    latest = Some((Grid::new(&buffer, colors), cursor));
                }
                if repaint {
                    encoder.forget();
                }
                match &latest {
                    Some((grid, cursor)) => encoder.encode(grid.clone(), *cursor),
                    None => Vec::new(),
                }
            }
        };
        if bytes.is_empty() {
            continue;
        }
        let whole = shared.mode.is_entered() && write_all(shared, &bytes, epoch);
        if !whole {
            // Part of a frame, or none: what the terminal shows is anybody's guess.
            encoder.forget();
        }
    }
}

fn next_work(shared: &Shared) -> Option<Work> {
    let mut desk = shared
        .news
        .wait_while(shared.desk(), |desk| {
            !desk.closing && !desk.repaint && desk.frame.is_none() && desk.aside.is_none()
        })
        .unwrap_or_else(PoisonError::into_inner);
    if desk.closing {
        return None;
    }
    if let Some(bytes) = desk.aside.take() {
        return Some(Work::Aside(bytes));
    }
    Some(Work::Frame {
        frame: desk.frame.take(),
        repaint: std::mem::take(&mut desk.repaint),
    })
}

/// True if all of it was taken.
fn write_all(shared: &Shared, bytes: &[u8], epoch: u64) -> bool {
    let start = Instant::now();
    let mut left = bytes;
    let mut progress = start;
    while !left.is_empty() {
        match shared.mode.write_some(left, epoch) {
            Ok(0) => {
                shared.desk().stalled_since = Some(progress);
                shared.mode.wait_writable(LOOK_AGAIN);
            }
            Ok(n) => {
                left = &left[n..];
                progress = Instant::now();
                let mut desk = shared.desk();
                desk.stalled_since = None;
                desk.done.bytes += n as u64;
            }
            // The stay is over, or the terminal has gone; the input side reports the latter.
            Err(_over) => break,
        }
        if shared.desk().closing {
            break;
        }
    }
    let mut desk = shared.desk();
    desk.stalled_since = None;
    desk.done.frames += 1;
    desk.done.last_write = start.elapsed();
    left.is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::mode::pretend::{read, terminal, wait_until};
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    const AREA: Rect = Rect::new(0, 0, 80, 24);

    /// A frame full of one text.
    fn frame(text: &str) -> Buffer {
        let mut frame = Buffer::empty(AREA);
        for y in 0..AREA.height {
            frame.set_string(0, y, text.repeat(80 / text.len()), Style::new());
        }
        frame
    }

    fn shows(output: &[u8], text: &str) -> bool {
        let mut emulator = vt100::Parser::new(AREA.height, AREA.width, 0);
        emulator.process(output);
        emulator.screen().contents() == vec![text.repeat(80 / text.len()); 24].join("\n")
    }

    #[test]
    fn a_frame_is_shown_and_the_same_frame_again_costs_nothing() {
        let (mode, pair) = terminal(false);
        let seen = read(&*pair.master);
        mode.enter().unwrap();
        let (screen, thread) = Screen::start(mode, ColorMode::Ansi16).unwrap();
        screen.show(frame("ab"), None);
        wait_until("frame", || shows(&seen.lock().unwrap(), "ab"));
        wait_until("figures", || screen.figures().frames == 1);
        let bytes = screen.figures().bytes;
        screen.show(frame("ab"), None);
        screen.show(frame("abc"), None);
        wait_until("next frame", || shows(&seen.lock().unwrap(), "abc"));
        wait_until("figures", || screen.figures().frames == 2);
        assert!(screen.figures().bytes > bytes);
        assert_eq!(screen.stalled_for(), Duration::ZERO);
        screen.close();
        thread.join().unwrap();
    }

    #[test]
    fn a_terminal_that_stalls_gets_the_newest_frame_and_none_in_between() {
        let (mode, pair) = terminal(false);
        mode.enter().unwrap();
        let (screen, thread) = Screen::start(mode, ColorMode::Ansi16).unwrap();
        wait_until("stall", || {
            screen.repaint();
            screen.show(frame("ab"), None);
            screen.stalled_for() > Duration::ZERO
        });
        let before = screen.figures().frames;
        for i in 0..500 {
            screen.show(frame(["cd", "efg"][i % 2]), None);
        }
        screen.show(frame("last"), None);
        let output = read(&*pair.master);
        wait_until("last frame", || shows(&output.lock().unwrap(), "last"));
        let written = screen.figures().frames - before;
        assert!(written <= 2, "{written} frames, the others were replaced");
        screen.close();
        thread.join().unwrap();
    }

    #[test]
    fn closing_does_not_wait_for_a_terminal_that_stalls() {
        let (mode, _pair) = terminal(false);
        mode.enter().unwrap();
        let (screen, thread) = Screen::start(mode, ColorMode::Ansi16).unwrap();
        wait_until("stall", || {
            screen.repaint();
            screen.show(frame("ab"), None);
            screen.stalled_for() > Duration::ZERO
        });
        let start = Instant::now();
        screen.close();
        thread.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn what_was_drawn_during_a_pause_is_drawn_after_it() {
        let (mode, pair) = terminal(false);
        let seen = read(&*pair.master);
        mode.enter().unwrap();
        let (screen, thread) = Screen::start(Arc::clone(&mode), ColorMode::Ansi16).unwrap();
        screen.show(frame("ab"), None);
        wait_until("frame", || shows(&seen.lock().unwrap(), "ab"));
        mode.pause();
        screen.show(frame("cd"), None);
        wait_until("frame taken", || screen.shared.desk().frame.is_none());
        mode.resume().unwrap();
        screen.repaint();
        wait_until("repaint", || shows(&seen.lock().unwrap(), "cd"));
        screen.close();
        thread.join().unwrap();
    }
}
