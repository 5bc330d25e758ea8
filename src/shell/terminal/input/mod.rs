//! The input side: one thread that reads the terminal, so that nothing else waits for it.
//!
//! The thread knows bytes and time; what they mean is decided in `filter` and `decode`, which know neither thread
//! nor terminal.

mod decode;
pub mod filter;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use self::filter::{Filter, Pressed};
use super::TerminalEvent;
use super::mode::{Mode, Wake, timespec};
use crate::domain::Clean;

pub(super) const THREAD: &str = "quarterdeck-input";

/// What the kernel keeps for a terminal at most.
const PACKET_BYTES_MAX: usize = 4096;

/// More lines than this are no text for a field.
const PASTE_LINES_MAX: usize = 1000;

/// How often a loop that takes no events is offered the next. Keys wait; they are not dropped.
const OFFER_AGAIN: Duration = Duration::from_millis(10);

/// How often it is looked whether the screen is ours again, after a pause.
const PAUSE_LOOK: Duration = Duration::from_millis(50);

/// Stops the thread when told to.
#[derive(Debug)]
pub(super) struct Input {
    wake: Arc<Wake>,
    stop: Arc<AtomicBool>,
}

impl Input {
    pub(super) fn start(
        mode: Arc<Mode>,
        mouse: bool,
        events: SyncSender<TerminalEvent>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let wake = Arc::new(Wake::new()?);
        let stop = Arc::new(AtomicBool::new(false));
        let mut reader = Reader {
            mode,
            wake: Arc::clone(&wake),
            stop: Arc::clone(&stop),
            events,
            filter: Filter::new(mouse),
            start: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                // An end is one of: told to stop, nobody listens, no terminal. Only the last is news.
                if let End::Gone = reader.run() {
                    reader.deliver(TerminalEvent::InputGone);
                }
            })?;
        Ok((Self { wake, stop }, thread))
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake.ring();
    }
}

/// Why there is no more input.
enum End {
    Stopped,
    Gone,
}

struct Reader {
    mode: Arc<Mode>,
    wake: Arc<Wake>,
    stop: Arc<AtomicBool>,
    events: SyncSender<TerminalEvent>,
    filter: Filter,
    start: Instant,
}

impl Reader {
    fn run(&mut self) -> End {
        let mut packet = [0; PACKET_BYTES_MAX];
        loop {
            let ready = self.wait();
            if self.stop.load(Ordering::SeqCst) {
                return End::Stopped;
            }
            let read = if ready {
                rustix::io::read(self.mode.input(), &mut packet).map(Some)
            } else {
                Ok(None)
            };
            let now = self.start.elapsed();
            let pressed = match read {
                Ok(None) => self.filter.tick(now),
                Ok(Some(0)) => return End::Gone,
                Ok(Some(n)) => self.filter.feed(&packet[..n], now),
                Err(Errno::AGAIN | Errno::INTR) => Vec::new(),
                Err(_gone) => return End::Gone,
            };
            for pressed in pressed {
                if !self.deliver(event(pressed)) {
                    return End::Stopped;
                }
            }
        }
    }

    /// True if there is something to read; false if it is time to look at the clock.
    fn wait(&self) -> bool {
        let now = self.start.elapsed();
        let due = self.filter.due().map(|due| due.saturating_sub(now));
        // During a pause the keys are the shell's.
        let ours = self.mode.is_entered();
        let wait = if ours { due } else { Some(PAUSE_LOOK) };
        let wait: Option<Timespec> = wait.map(|wait| timespec(wait + Duration::from_micros(500)));
        let (input, wake) = (self.mode.input(), self.wake.listen());
        let mut fds = [
            PollFd::new(&wake, PollFlags::IN),
            PollFd::new(&input, PollFlags::IN),
        ];
        let watched = if ours { &mut fds[..] } else { &mut fds[..1] };
        match rustix::event::poll(watched, wait.as_ref()) {
            Ok(_) => {
                let ready = ours && !watched[1].revents().is_empty();
                if !watched[0].revents().is_empty() {
                    self.wake.clear();
                }
                ready && self.mode.is_entered()
            }
            // Interrupted: as if nothing had come.
            Err(_interrupted) => false,
        }
    }

    /// False if nobody wants events any more.
    fn deliver(&self, event: TerminalEvent) -> bool {
        let mut offered = event;
        loop {
            match self.events.try_send(offered) {
                Ok(()) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => offered = back,
            }
            if self.stop.load(Ordering::SeqCst) {
                return false;
            }
            std::thread::sleep(OFFER_AGAIN);
        }
    }
}

fn event(pressed: Pressed) -> TerminalEvent {
    match pressed {
        Pressed::Key(key) if key == PAUSE => TerminalEvent::Suspend,
        Pressed::Key(key) => TerminalEvent::Key(key),
        Pressed::Mouse(mouse) => TerminalEvent::Mouse(mouse),
        Pressed::Paste(text) => TerminalEvent::Paste(Clean::lines(&text, PASTE_LINES_MAX)),
    }
}

/// Ctrl-Z: in raw mode a key, for the person the pause of the shell.
const PAUSE: KeyEvent = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL);

#[cfg(test)]
mod tests {
    use super::super::mode::pretend::terminal;
    use super::*;
    use std::io::Write as _;
    use std::sync::mpsc::sync_channel;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[test]
    fn keys_wait_for_a_loop_that_is_busy() {
        let (mode, pair) = terminal(false);
        mode.enter().unwrap();
        let (send, events) = sync_channel(1);
        let (input, thread) = Input::start(mode, false, send).unwrap();
        let mut person = pair.master.take_writer().unwrap();
        // Escape ends a burst, so that letters stay letters.
        for letter in "abcdefgh".chars() {
            write!(person, "{letter}\x1b[A").unwrap();
        }
        for letter in "abcdefgh".chars() {
            for code in [KeyCode::Char(letter), KeyCode::Up] {
                let event = events.recv_timeout(DEADLINE).unwrap();
                let key = KeyEvent::new(code, KeyModifiers::NONE);
                assert_eq!(event, TerminalEvent::Key(key));
            }
        }
        input.stop();
        thread.join().unwrap();
    }

    #[test]
    fn a_loop_that_takes_nothing_does_not_hold_up_the_end() {
        let (mode, pair) = terminal(false);
        mode.enter().unwrap();
        let (send, _events) = sync_channel(1);
        let (input, thread) = Input::start(mode, false, send).unwrap();
        pair.master
            .take_writer()
            .unwrap()
            .write_all(b"\x1b[A\x1b[A\x1b[A\x1b[A")
            .unwrap();
        input.stop();
        thread.join().unwrap();
    }

    #[test]
    fn a_paste_is_clean_and_ctrl_z_is_a_pause() {
        let (mode, pair) = terminal(false);
        mode.enter().unwrap();
        let (send, events) = sync_channel(8);
        let (input, thread) = Input::start(mode, false, send).unwrap();
        let mut person = pair.master.take_writer().unwrap();
        person
            .write_all(b"\x1b[200~a\x1b[2J\rb\x1b[201~\x1a")
            .unwrap();
        let lines = ["a\x1b[2J", "b"].map(Clean::line).to_vec();
        assert_eq!(
            events.recv_timeout(DEADLINE),
            Ok(TerminalEvent::Paste(lines))
        );
        assert_eq!(events.recv_timeout(DEADLINE), Ok(TerminalEvent::Suspend));
        input.stop();
        thread.join().unwrap();
    }

    #[test]
    fn a_terminal_that_has_gone_is_told() {
        let (mode, pair) = terminal(false);
        mode.enter().unwrap();
        let (send, events) = sync_channel(1);
        let (_input, thread) = Input::start(mode, false, send).unwrap();
        drop(pair);
        assert_eq!(events.recv_timeout(DEADLINE), Ok(TerminalEvent::InputGone));
        thread.join().unwrap();
    }
}
