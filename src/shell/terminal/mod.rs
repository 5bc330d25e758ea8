//! The terminal: modes, keys, frames, signals, and the way out.
//!
//! Three threads stand between the program and the terminal: one reads, one writes, one listens for signals. The loop of
//! the program never waits for any of them: it takes [`TerminalEvent`]s and hands over frames. Nothing is asked of the
//! terminal, and nothing that it says unasked becomes a key.

mod clipboard;
pub mod encode;
pub mod input;
pub mod mode;
pub mod panic;
pub mod screen;
pub mod signals;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use self::encode::ColorMode;
use self::input::Input;
use self::mode::Mode;
pub use self::mode::TerminalRefusal;
pub use self::screen::Figures;
use self::screen::Screen;
use self::signals::Signals;
use crate::domain::Clean;

/// The longest text for the clipboard, as sent: what mosh and old xterm forward.
pub const CLIPBOARD_BYTES_MAX: usize = 74_994;

/// A terminal that has taken nothing for this long has nobody in front of it.
pub const STALLED_MAX: Duration = Duration::from_mins(1);

/// A frame that takes longer than this comes over a slow link.
pub const SLOW_WRITE: Duration = Duration::from_millis(200);

/// What a person, the terminal or the system did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalEvent {
    Key(KeyEvent),
    /// Pasted text, line by line. Also letters that came faster than anybody types.
    Paste(Vec<Clean>),
    Mouse(MouseEvent),
    /// Columns and rows. Every frame from now on has this size.
    Resized(u16, u16),
    /// End in good order, now.
    Quit(QuitSignal),
    /// Ctrl-Z was pressed: answer with [`Terminal::suspend`].
    Suspend,
    /// The screen is ours again after a pause.
    Resumed,
    /// The terminal has gone; no key will come.
    InputGone,
}

/// Which signal asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuitSignal {
    Terminate,
    HangUp,
    Interrupt,
    Quit,
}

impl QuitSignal {
    /// What a shell expects of a program that this signal ended.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::HangUp => 128 + 1,
            Self::Interrupt => 128 + 2,
            Self::Quit => 128 + 3,
            Self::Terminate => 128 + 15,
        }
    }
}

/// How the terminal is to be used.
#[derive(Clone, Debug)]
pub struct TerminalOptions {
    /// The value of `TERM`.
    pub term: Option<String>,
    pub colors: ColorMode,
    /// Off by default: with it on, text is selected only with Shift held.
    pub mouse: bool,
}

/// The open terminal. Dropping it closes it.
#[derive(Debug)]
pub struct Terminal {
    mode: Arc<Mode>,
    screen: Screen,
    input: Input,
    signals: Option<Signals>,
    threads: Vec<JoinHandle<()>>,
}

impl Terminal {
    /// Takes the terminal and starts to send events. A full queue loses nothing: keys wait.
    pub fn open(
        options: &TerminalOptions,
        events: SyncSender<TerminalEvent>,
    ) -> Result<Self, TerminalRefusal> {
        let mode = Arc::new(Mode::open(options.term.as_deref(), options.mouse)?);
        Self::start(mode, options, events).map_err(|source| TerminalRefusal::Unusable { source })
    }

    fn start(
        mode: Arc<Mode>,
        options: &TerminalOptions,
        events: SyncSender<TerminalEvent>,
    ) -> io::Result<Self> {
        let (screen, writer) = Screen::start(Arc::clone(&mode), options.colors)?;
        let rest = Self::listen(&mode, &screen, options, events);
        // The thread that writes ends when it is told to, not when nobody needs it.
        let (signals, listener, input, reader) = rest.inspect_err(|_| screen.close())?;
        Ok(Self {
            mode,
            screen,
            input,
            signals: Some(signals),
            threads: vec![writer, listener, reader],
        })
    }

    fn listen(
        mode: &Arc<Mode>,
        screen: &Screen,
        options: &TerminalOptions,
        events: SyncSender<TerminalEvent>,
    ) -> io::Result<(Signals, JoinHandle<()>, Input, JoinHandle<()>)> {
        // Before the screen is taken: a signal in between would leave it taken.
        let (signals, listener) = Signals::start(Arc::clone(mode), screen.clone(), events.clone())?;
        mode.enter()?;
        let (input, reader) = Input::start(Arc::clone(mode), options.mouse, events)?;
        Ok((signals, listener, input, reader))
    }

    /// Installs the panic hook; see [`panic::install`]. The calling thread is the one that draws.
    pub fn catch_panics(
        &self,
        state_dir: PathBuf,
        on_worker: panic::OnWorkerPanic,
    ) -> color_eyre::eyre::Result<()> {
        panic::install(Arc::clone(&self.mode), state_dir, on_worker)
    }

    /// Hands over a complete frame. Returns at once; a newer frame replaces one that waits.
    pub fn show(&self, frame: Buffer, cursor: Option<Position>) {
        self.screen.show(frame, cursor);
    }

    /// Draws the newest frame anew, whatever the terminal shows (Ctrl-L).
    pub fn repaint(&self) {
        self.screen.repaint();
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.mode.size()
    }

    /// How long the terminal has taken nothing although something waits; see [`STALLED_MAX`].
    pub fn stalled_for(&self) -> Duration {
        self.screen.stalled_for()
    }

    /// What drawing has cost so far.
    pub fn figures(&self) -> Figures {
        self.screen.figures()
    }

    /// Gives the terminal back and stops the process until the shell continues it; then comes
    /// [`TerminalEvent::Resumed`] and the newest frame is drawn anew. `false`: there is no shell that could continue us,
    /// so nothing was done.
    pub fn suspend(&self) -> bool {
        signals::pause(&self.mode)
    }

    /// Puts text on the clipboard of the person's own machine. `false`: too long, nothing was sent.
    pub fn copy(&self, text: &[Clean]) -> bool {
        let lines: Vec<&str> = text.iter().map(Clean::as_str).collect();
        match clipboard::clipboard(&lines.join("\n")) {
            Some(bytes) => {
                self.screen.aside(bytes);
                true
            }
            None => false,
        }
    }

    /// Gives the terminal back and ends the threads.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.input.stop();
        self.screen.close();
        self.signals = None;
        // The threads first: the one that hears signals could take the terminal again. None of them waits long.
        for thread in self.threads.drain(..) {
            // A thread that panicked has been reported by the hook.
            let _ = thread.join();
        }
        self.mode.leave();
    }
}
