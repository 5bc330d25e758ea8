//! The terminal's modes: taken at the start, given back on every way out.
//!
//! The terminal is opened a second time, for us alone, so that writing never blocks: on a terminal that nobody reads
//! even the way out has an end. Nothing is ever asked of the terminal; an answer that comes late is typed by nobody and
//! read as keys.
//!
//! **Invariant:** after [`Mode::leave`] nothing of a frame is written until [`Mode::enter`].

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, QueueSelector, Termios};
use thiserror::Error;

/// The exit code of a refusal: the way of calling was wrong (`EX_USAGE`).
pub const EXIT_REFUSED: u8 = 64;

/// A terminal that takes nothing for this long while we leave gets only its line settings back.
const LEAVE_MAX: Duration = Duration::from_millis(500);

/// What a terminal is taken to be that does not know its size.
const SIZE_UNKNOWN: (u16, u16) = (80, 24);

/// Alternate screen, bracketed paste, hidden cursor, our fixed title, no mouse yet.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b]2;quarterdeck\x07";
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1000l";
/// Ends a synchronized update that was cut, then colours, paste, cursor, screen.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[0m\x1b[?2004l\x1b[?25h\x1b[?1049l";

/// Why the console is not shown here.
#[derive(Debug, Error)]
pub enum TerminalRefusal {
    #[error("standard {stream} is not a terminal: use `quarterdeck status` instead")]
    NotATerminal { stream: &'static str },
    #[error("TERM is {term}, which cannot show a screen: use `quarterdeck status` instead")]
    Dumb { term: &'static str },
    #[error("cannot open the terminal: use `quarterdeck status` instead")]
    Unusable {
        #[source]
        source: io::Error,
    },
}

impl TerminalRefusal {
    pub fn exit_code(&self) -> u8 {
        EXIT_REFUSED
    }
}

/// One terminal and the state we found it in.
#[derive(Debug)]
pub struct Mode {
    tty: OwnedFd,
    found: Termios,
    mouse: bool,
    /// Odd while the screen is ours. Each way in and each way out counts one up, so that a frame can tell that the
    /// screen it was meant for has gone.
    epoch: AtomicU64,
    /// Left by [`Mode::pause`], and not for good.
    paused: AtomicBool,
    /// Held for one `write` at a time.
    wire: Mutex<()>,
}

impl Mode {
    /// Opens the terminal and remembers its settings; changes nothing yet. `term` is the value of `TERM`.
    pub fn open(term: Option<&str>, mouse: bool) -> Result<Self, TerminalRefusal> {
        match term {
            None | Some("") => return Err(TerminalRefusal::Dumb { term: "not set" }),
            Some("dumb") => return Err(TerminalRefusal::Dumb { term: "dumb" }),
            Some(_) => {}
        }
        let (input, output) = (io::stdin(), io::stdout());
        for (stream, is_terminal) in [
            ("input", rustix::termios::isatty(&input)),
            ("output", rustix::termios::isatty(&output)),
        ] {
            if !is_terminal {
                return Err(TerminalRefusal::NotATerminal { stream });
            }
        }
        let unusable = |source: io::Error| TerminalRefusal::Unusable { source };
        reopen(output.as_fd())
            .and_then(|tty| Self::on(tty, mouse))
            .map_err(unusable)
    }

    /// Remembers the settings of a terminal that was opened for us and does not block.
    pub(super) fn on(tty: OwnedFd, mouse: bool) -> io::Result<Self> {
        let found = rustix::termios::tcgetattr(&tty)?;
        Ok(Self {
            tty,
            found,
            mouse,
            epoch: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            wire: Mutex::new(()),
        })
    }

    /// Takes the screen. Doing it twice does it once.
    pub fn enter(&self) -> io::Result<()> {
        if self.is_entered() {
            return Ok(());
        }
        self.take()?;
        self.epoch.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Gives the terminal back for a while: [`Mode::resume`] takes it again.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        self.leave();
    }

    /// After a stop, ours or not: takes the screen again. A screen that was not ours before stays where it is.
    pub fn resume(&self) -> io::Result<()> {
        if self.paused.swap(false, Ordering::SeqCst) {
            self.enter()
        } else if self.is_entered() {
            self.take()
        } else {
            Ok(())
        }
    }

    fn take(&self) -> io::Result<()> {
        let mut raw = self.found.clone();
        raw.make_raw();
        self.settings(&raw)?;
        let mut bytes = ENTER.to_vec();
        if self.mouse {
            bytes.extend_from_slice(MOUSE_ON);
        }
        self.say(&bytes);
        Ok(())
    }

    /// Gives the terminal back as it was found. Doing it twice does it once. Safe in a panic hook: takes no longer than
    /// half a second, needs no other thread.
    pub fn leave(&self) {
        let guard = self.hold();
        let epoch = self.epoch.load(Ordering::SeqCst);
        if epoch.is_multiple_of(2) {
            return;
        }
        self.epoch.store(epoch + 1, Ordering::SeqCst);
        drop(guard);
        let mut bytes = Vec::new();
        if self.mouse {
            bytes.extend_from_slice(MOUSE_OFF);
        }
        bytes.extend_from_slice(LEAVE);
        self.say(&bytes);
        if self.mouse {
            // Clicks on their way would be typed into the shell. Nothing to do if the terminal has gone.
            let _ = rustix::termios::tcflush(&self.tty, QueueSelector::IFlush);
        }
        // A terminal that has hung up keeps no settings: there is nothing left to restore then.
        let _ = self.settings(&self.found);
    }

    pub fn is_entered(&self) -> bool {
        !self.epoch().is_multiple_of(2)
    }

    /// Which stay on the screen this is.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        match rustix::termios::tcgetwinsize(&self.tty) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            Ok(_) | Err(_) => SIZE_UNKNOWN,
        }
    }

    /// What to read keys from. Reading never blocks.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.tty.as_fd()
    }

    /// Writes what the terminal takes now, for the stay `epoch` only. `Ok(0)`: nothing now; wait and try again.
    ///
    /// # Errors
    /// The terminal has gone, or the stay is over (`Interrupted`).
    pub fn write_some(&self, bytes: &[u8], epoch: u64) -> io::Result<usize> {
        let _held = self.hold();
        if self.epoch() != epoch {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.try_write(bytes)
    }

    /// Waits until the terminal takes more, at most `most`.
    pub fn wait_writable(&self, most: Duration) {
        let mut fds = [PollFd::new(&self.tty, PollFlags::OUT)];
        // A failed wait is a short wait: the write that follows tells what is wrong.
        let _ = rustix::event::poll(&mut fds, Some(&timespec(most)));
    }

    /// Writes outside of frames, within half a second; what the terminal does not take by then is dropped.
    pub fn say(&self, mut bytes: &[u8]) {
        let end = Instant::now() + LEAVE_MAX;
        while !bytes.is_empty() {
            let written = {
                let _held = self.hold();
                self.try_write(bytes)
            };
            let left = end.saturating_duration_since(Instant::now());
            match written {
                Ok(0) if left.is_zero() => return,
                Ok(0) => self.wait_writable(left.min(Duration::from_millis(20))),
                Ok(n) => bytes = &bytes[n..],
                Err(_gone) => return,
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::io::write(&self.tty, bytes) {
            Ok(n) => Ok(n),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }

    fn settings(&self, wanted: &Termios) -> io::Result<()> {
        loop {
            // Never "after what is written has gone out": on a stalled terminal that is never.
            match rustix::termios::tcsetattr(&self.tty, OptionalActions::Now, wanted) {
                Err(Errno::INTR) => {}
                other => return other.map_err(Into::into),
            }
        }
    }

    fn hold(&self) -> MutexGuard<'_, ()> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Ours alone, never blocking, never our controlling terminal by accident.
const OPEN: OFlags = OFlags::RDWR
    .union(OFlags::NOCTTY)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// A description of the same terminal that is ours alone: `O_NONBLOCK` on the inherited one would reach the shell.
fn reopen(terminal: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let name = rustix::termios::ttyname(terminal, Vec::new())?;
    match rustix::fs::open(name.as_c_str(), OPEN, rustix::fs::Mode::empty()) {
        Ok(tty) => Ok(tty),
        // After `su` the device belongs to somebody else; the controlling terminal can still be opened.
        Err(_refused) => Ok(rustix::fs::open(
            Path::new("/dev/tty"),
            OPEN,
            rustix::fs::Mode::empty(),
        )?),
    }
}

/// How a wait is told to the kernel.
pub(super) fn timespec(wait: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(wait.subsec_nanos()),
    }
}

/// Ends the waits of another thread.
#[derive(Debug)]
pub(super) struct Wake {
    listen: File,
    ring: File,
}

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let (listen, ring) = rustix::pipe::pipe_with(flags)?;
        Ok(Self {
            listen: listen.into(),
            ring: ring.into(),
        })
    }

    pub(super) fn ring(&self) {
        // A full pipe has been rung often enough.
        let _ = rustix::io::write(&self.ring, &[1]);
    }

    pub(super) fn listen(&self) -> BorrowedFd<'_> {
        self.listen.as_fd()
    }

    /// Forgets the rings so far.
    pub(super) fn clear(&self) {
        let mut rings = [0; 64];
        while matches!(rustix::io::read(&self.listen, &mut rings), Ok(n) if n > 0) {}
    }
}

/// A terminal for tests: the master's side is the person's.
#[cfg(test)]
pub(super) mod pretend {
    use super::{Mode, OPEN};
    use portable_pty::{MasterPty, PtyPair, PtySize, native_pty_system};
    use std::io::Read;
    use std::sync::{Arc, Mutex};

    pub(in super::super) fn terminal(mouse: bool) -> (Arc<Mode>, PtyPair) {
        let pair = native_pty_system()
            .openpty(PtySize::default())
            .expect("a pseudo terminal");
        let name = pair.master.tty_name().expect("a name");
        let tty = rustix::fs::open(name, OPEN, rustix::fs::Mode::empty()).expect("a slave");
        (Arc::new(Mode::on(tty, mouse).expect("settings")), pair)
    }

    /// Reads for ever; what was read so far.
    pub(in super::super) fn read(master: &dyn MasterPty) -> Arc<Mutex<Vec<u8>>> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut reader = master.try_clone_reader().expect("a reader");
        let theirs = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                theirs.lock().unwrap().extend_from_slice(&bytes[..n]);
            }
        });
        seen
    }

    /// Waits for what is so in the end, with a deadline.
    #[track_caller]
    pub(in super::super) fn wait_until(what: &str, so: impl Fn() -> bool) {
        let start = std::time::Instant::now();
        while !so() {
            assert!(
                start.elapsed() < std::time::Duration::from_secs(10),
                "no {what}"
            );
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bytes: &[u8], what: &str) -> usize {
        String::from_utf8_lossy(bytes).matches(what).count()
    }

    #[test]
    fn the_terminal_is_taken_once_and_given_back_once() {
        let (mode, pair) = pretend::terminal(true);
        let seen = pretend::read(&*pair.master);
        mode.leave();
        mode.enter().unwrap();
        mode.enter().unwrap();
        assert!(mode.is_entered());
        mode.leave();
        mode.leave();
        assert!(!mode.is_entered());
        pretend::wait_until("way out", || {
            count(&seen.lock().unwrap(), "\x1b[?1049l") == 1
        });
        let seen = seen.lock().unwrap();
        for once in ["\x1b[?1049h", "\x1b[?25h", "\x1b[?1006h", "\x1b[?1006l"] {
            assert_eq!(count(&seen, once), 1, "{once:?}");
        }
    }

    #[test]
    fn the_line_is_as_it_was_found() {
        let (mode, _pair) = pretend::terminal(false);
        let local = |mode: &Mode| rustix::termios::tcgetattr(&mode.tty).unwrap().local_modes;
        let found = local(&mode);
        mode.enter().unwrap();
        assert_ne!(local(&mode), found);
        mode.leave();
        assert_eq!(local(&mode), found);
    }

    #[test]
    fn a_pause_ends_on_the_screen_and_an_end_does_not() {
        let (mode, pair) = pretend::terminal(false);
        let _seen = pretend::read(&*pair.master);
        mode.enter().unwrap();
        mode.pause();
        assert!(!mode.is_entered());
        mode.resume().unwrap();
        assert!(mode.is_entered());
        mode.leave();
        mode.resume().unwrap();
        assert!(!mode.is_entered(), "left for good");
    }

    #[test]
    fn nothing_is_written_for_a_stay_that_is_over() {
        let (mode, _pair) = pretend::terminal(false);
        mode.enter().unwrap();
        let stay = mode.epoch();
        assert_eq!(mode.write_some(b"a", stay).unwrap(), 1);
        mode.leave();
        assert!(mode.write_some(b"b", stay).is_err());
        mode.enter().unwrap();
        assert!(mode.write_some(b"c", stay).is_err());
    }

    #[test]
    fn the_way_out_of_a_terminal_that_reads_nothing_has_an_end() {
        let (mode, _pair) = pretend::terminal(false);
        mode.enter().unwrap();
        let stay = mode.epoch();
        while mode.write_some(&[b'x'; 4096], stay).unwrap() > 0 {}
        let start = Instant::now();
        mode.leave();
        assert!(start.elapsed() < LEAVE_MAX + Duration::from_secs(2));
        assert!(!mode.is_entered());
    }

    #[test]
    fn a_terminal_that_cannot_show_a_screen_is_refused_before_it_is_touched() {
        for term in [None, Some(""), Some("dumb")] {
            let refusal = Mode::open(term, false).unwrap_err();
            assert!(matches!(refusal, TerminalRefusal::Dumb { .. }));
            assert!(refusal.to_string().contains("quarterdeck status"));
            assert_eq!(refusal.exit_code(), 64);
        }
    }

    #[test]
    fn the_way_out_undoes_the_way_in() {
        let text = |bytes: &'static [u8]| std::str::from_utf8(bytes).unwrap();
        for (on, off) in [
            ("\x1b[?1049h", "\x1b[?1049l"),
            ("\x1b[?2004h", "\x1b[?2004l"),
            ("\x1b[?25l", "\x1b[?25h"),
        ] {
            assert!(text(ENTER).contains(on));
            assert!(text(LEAVE).contains(off));
        }
        assert!(text(LEAVE).starts_with("\x1b[?2026l"));
        assert!(text(LEAVE).ends_with("\x1b[?1049l"));
    }

    #[test]
    fn a_ring_is_heard_once() {
        let wake = Wake::new().unwrap();
        wake.ring();
        wake.ring();
        wake.clear();
        let mut fds = [PollFd::new(&wake.listen, PollFlags::IN)];
        assert_eq!(
            rustix::event::poll(&mut fds, Some(&timespec(Duration::ZERO))).unwrap(),
            0
        );
    }
}
