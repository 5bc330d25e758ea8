//! A panic: the terminal first, then a short report, then the end.
//!
//! A panic in a task is not the end of the console: it becomes a message, and the screen stays. A panic in a thread that
//! the screen depends on is the end, with the terminal as it was found and exit code 70.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Thread, ThreadId};
use std::time::{SystemTime, UNIX_EPOCH};

use color_eyre::config::{HookBuilder, PanicHook};
use color_eyre::eyre;

use super::mode::Mode;
use super::{input, screen, signals};
use crate::domain::Clean;

/// `EX_SOFTWARE`: an error of ours.
pub const EXIT_PANIC: u8 = 70;

/// A backtrace is long, but not longer than this.
const REPORT_LINES_MAX: usize = 2000;

/// Threads without which there is no screen. The thread that installs the hook is one of them too.
const SCREEN_THREADS: [&str; 3] = [input::THREAD, screen::THREAD, signals::THREAD];

/// What happens with a panic that is not the end.
pub type OnWorkerPanic = Box<dyn Fn(Clean) + Send + Sync>;

/// Installs the one hook; a later call replaces it. The calling thread is the one that draws: its panics end the program.
///
/// Crash files go to `state_dir`. `on_worker` must not block: it runs in the thread that panics.
///
/// # Errors
/// The theme of reports cannot be set up.
pub fn install(mode: Arc<Mode>, state_dir: PathBuf, on_worker: OnWorkerPanic) -> eyre::Result<()> {
    let (reporter, errors) = HookBuilder::blank()
        .display_env_section(false)
        .try_into_hooks()?;
    // How errors are printed is settled once for a process: a second console (a training that starts again) finds it so.
    let _ = errors.install();
    let outlet = Outlet {
        mode,
        state_dir,
        on_worker,
        reporter,
        screen_thread: std::thread::current().id(),
    };
    std::panic::set_hook(Box::new(move |panic| outlet.report(panic)));
    Ok(())
}

struct Outlet {
    mode: Arc<Mode>,
    state_dir: PathBuf,
    on_worker: OnWorkerPanic,
    reporter: PanicHook,
    screen_thread: ThreadId,
}

impl Outlet {
    fn report(&self, panic: &PanicHookInfo<'_>) {
        let ends = carries_the_screen(&std::thread::current(), self.screen_thread);
        if ends {
            self.mode.leave();
        }
        let story = story(panic);
        let full = self.reporter.panic_report(panic).to_string();
        let file = write_report(&self.state_dir, &full);
        if ends {
            self.print(&ending(&story, &file));
            std::process::exit(EXIT_PANIC.into());
        }
        (self.on_worker)(story);
    }

    /// Standard error may be a file; if it is the terminal, a stalled one must not hold up the end.
    fn print(&self, text: &str) {
        if rustix::termios::isatty(io::stderr()) {
            self.mode.say(text.replace('\n', "\r\n").as_bytes());
        } else {
            // The program ends with code 70 in any case.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}

fn carries_the_screen(thread: &Thread, screen_thread: ThreadId) -> bool {
    thread.id() == screen_thread
        || thread
            .name()
            .is_some_and(|name| SCREEN_THREADS.contains(&name))
}

/// What happened and where, in one clean line.
fn story(panic: &PanicHookInfo<'_>) -> Clean {
    let what = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(at) => Clean::line(&format!("{what} ({}:{})", at.file(), at.line())),
        None => Clean::line(what),
    }
}

fn ending(story: &Clean, file: &io::Result<PathBuf>) -> String {
    let mut text = format!(
        "quarterdeck: internal error: {story}\n  the terminal was restored; runs and services are not affected\n"
    );
    let _ = match file {
        Ok(path) => writeln!(
            text,
            "  report: {}",
            Clean::line(&path.display().to_string())
        ),
        Err(e) => writeln!(
            text,
            "  no report was written: {}",
            Clean::line(&e.to_string())
        ),
    };
    text
}

/// Writes the sanitised report where only its owner reads it.
fn write_report(state_dir: &Path, full: &str) -> io::Result<PathBuf> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let name = format!("crash-{}-{}.txt", since.as_millis(), std::process::id());
    std::fs::create_dir_all(state_dir)?;
    let path = state_dir.join(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    for line in Clean::lines(full, REPORT_LINES_MAX) {
        writeln!(file, "{line}")?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_report_is_clean_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let path = write_report(&state, "one\n\x1b]52;c;aGk=\x07\ntwo").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "one\n^[]52;c;aGk=^G\ntwo\n");
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_ending_names_the_report_or_says_why_there_is_none() {
        let story = Clean::line("boom \x1b[2J (a.rs:1)");
        let text = ending(&story, &Ok(PathBuf::from("/state/crash-1.txt")));
        assert!(text.contains("/state/crash-1.txt"));
        assert!(!text.contains('\x1b'));
        let text = ending(&story, &Err(io::ErrorKind::StorageFull.into()));
        assert!(text.contains("no report was written"));
    }

    #[test]
    fn only_threads_of_the_screen_end_the_program() {
        let here = std::thread::current();
        assert!(carries_the_screen(&here, here.id()));
        for (name, ends) in [(screen::THREAD, true), ("tokio-runtime-worker", false)] {
            let theirs = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(std::thread::current)
                .unwrap()
                .join()
                .unwrap();
            assert_eq!(carries_the_screen(&theirs, here.id()), ends, "{name}");
        }
    }
}
