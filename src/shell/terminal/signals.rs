//! Signals: an orderly end, a new size, a pause.
//!
//! A thread of its own listens, so that a program whose loop is stuck still gives the terminal back: the first signal
//! that ends asks the loop, the second does not ask.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Signal, kill_current_process_group};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::mode::Mode;
use super::screen::Screen;
use super::{QuitSignal, TerminalEvent};
use crate::shell::stat::ProcessStat;

pub(super) const THREAD: &str = "quarterdeck-signals";

/// A window that is dragged sends hundreds of sizes a second; twenty layouts a second are enough.
pub const RESIZE_GAP: Duration = Duration::from_millis(50);

/// A hang-up is often told twice, by the kernel and by the shell: signals this close together are one.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// How often a loop that takes no events is offered one again.
const OFFER_AGAIN: Duration = Duration::from_millis(20);

/// Stops the thread when dropped.
#[derive(Debug)]
pub(super) struct Signals {
    _stop: oneshot::Sender<()>,
}

impl Signals {
    pub(super) fn start(
        mode: Arc<Mode>,
        screen: Screen,
        events: SyncSender<TerminalEvent>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let listeners = {
            let _inside = runtime.enter();
            Listeners::new()?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                let mut desk = Desk {
                    size: mode.size(),
                    mode,
                    screen,
                    events,
                    waiting: Vec::new(),
                    quit_at: None,
                };
                runtime.block_on(desk.listen(listeners, stopped));
            })?;
        Ok((Self { _stop: stop }, thread))
    }
}

struct Listeners {
    quit: [(QuitSignal, Listener); 4],
    resize: Listener,
    pause: Listener,
    resume: Listener,
}

impl Listeners {
    fn new() -> io::Result<Self> {
        Ok(Self {
            quit: [
                (QuitSignal::Terminate, signal(SignalKind::terminate())?),
                (QuitSignal::HangUp, signal(SignalKind::hangup())?),
                (QuitSignal::Interrupt, signal(SignalKind::interrupt())?),
                (QuitSignal::Quit, signal(SignalKind::quit())?),
            ],
            resize: signal(SignalKind::window_change())?,
            pause: signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?,
            resume: signal(SignalKind::from_raw(Signal::CONT.as_raw()))?,
        })
    }
}

struct Desk {
    mode: Arc<Mode>,
    screen: Screen,
    events: SyncSender<TerminalEvent>,
    size: (u16, u16),
    /// Events the loop had no room for. At most one of a kind.
    waiting: Vec<TerminalEvent>,
    quit_at: Option<Instant>,
}

impl Desk {
    async fn listen(&mut self, mut on: Listeners, mut stopped: oneshot::Receiver<()>) {
        let mut resize_due: Option<Instant> = None;
        let mut resized_at = Instant::now() - RESIZE_GAP;
        let [term, hup, int, quit] = &mut on.quit;
        loop {
            let offer = !self.waiting.is_empty();
            tokio::select! {
                _ = &mut stopped => return,
                _ = term.1.recv() => self.quit(term.0),
                _ = hup.1.recv() => self.quit(hup.0),
                _ = int.1.recv() => self.quit(int.0),
                _ = quit.1.recv() => self.quit(quit.0),
                _ = on.resize.recv() => {
                    let due = (resized_at + RESIZE_GAP).max(Instant::now());
                    resize_due = resize_due.or(Some(due));
                }
                () = at(resize_due) => {
                    (resize_due, resized_at) = (None, Instant::now());
                    self.resize();
                }
                // What continues us is a signal too: that arm tells the loop.
                _ = on.pause.recv() => {
                    pause(&self.mode);
                }
                _ = on.resume.recv() => self.resume(),
                () = tokio::time::sleep(OFFER_AGAIN), if offer => self.offer(),
            }
        }
    }

    fn quit(&mut self, signal: QuitSignal) {
        match self.quit_at {
            None => {
                self.quit_at = Some(Instant::now());
                self.tell(TerminalEvent::Quit(signal));
            }
            Some(first) if first.elapsed() < SAME_SIGNAL => {}
            Some(_) => {
                self.mode.leave();
                std::process::exit(signal.exit_code().into());
            }
        }
    }

    fn resize(&mut self) {
        self.size = self.mode.size();
        // Even if the size is the old one again: the terminal may have wrapped or cut what it showed.
        self.screen.repaint();
        self.tell(TerminalEvent::Resized(self.size.0, self.size.1));
    }

    /// Continued, after our own pause or after a `kill -STOP`: the terminal was somebody else's meanwhile.
    fn resume(&mut self) {
        // A terminal that has gone is reported by the input side.
        let _ = self.mode.resume();
        self.screen.repaint();
        self.tell(TerminalEvent::Resumed);
        if self.mode.size() != self.size {
            self.resize();
        }
    }

    fn tell(&mut self, event: TerminalEvent) {
        let kind = std::mem::discriminant(&event);
        self.waiting
            .retain(|waiting| std::mem::discriminant(waiting) != kind);
        self.waiting.push(event);
        self.offer();
    }

    fn offer(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        for event in waiting.by_ref() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push(event);
                    break;
                }
                // Nobody is left to be told; the second signal still ends the program.
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
        self.waiting.extend(waiting);
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Gives the terminal back and stops the process; the signal that continues it takes the terminal again. Without a shell
/// that could continue us, does nothing and says so with `false`.
///
/// The stop may come a moment after this has returned: frames of that moment are not written.
pub(super) fn pause(mode: &Mode) -> bool {
    if is_orphaned() {
        return false;
    }
    mode.pause();
    // SIGSTOP, not SIGTSTP: the latter is ours, and would come back here.
    if kill_current_process_group(Signal::STOP).is_err() {
        // Not stopped, so nobody will continue us. A terminal that has gone is reported by the input side.
        let _ = mode.resume();
        return false;
    }
    true
}

/// Nobody in our session waits for us: stopped, we would stay stopped (`ssh host -t quarterdeck`).
fn is_orphaned() -> bool {
    let Some(own) = ProcessStat::of_this_process() else {
        return true;
    };
    match ProcessStat::of(own.parent) {
        Some(parent) => parent.session != own.session || own.session == own.group,
        None => true,
    }
}
