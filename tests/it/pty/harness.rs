//! A binary in a pseudo terminal, with an emulator that shows what a person sees.
//!
//! Waiting is always for something that is seen, with a deadline; nothing here sleeps and hopes.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use quarterdeck::config::VARIABLES;
use rustix::process::{Pid, Signal};

/// A machine with many tests at once is slow; a wedged program is slower.
const DEADLINE: Duration = Duration::from_secs(20);

const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How a binary is started.
pub(super) struct Launch {
    pub(super) columns: u16,
    pub(super) rows: u16,
    /// False: the output is never taken, as by a frozen link.
    pub(super) reads: bool,
    command: CommandBuilder,
    home: tempfile::TempDir,
}

impl Launch {
    /// The program in a UTF-8 terminal with 256 colours, without any configuration.
    pub(super) fn program() -> Self {
        Self::command(CommandBuilder::new(env!("CARGO_BIN_EXE_quarterdeck")))
    }

    /// The console with a stack whose engine is not there.
    pub(super) fn console() -> Self {
        let mut launch = Self::program();
        let config = launch.configured("unix:///nowhere/docker.sock");
        launch.command.arg("-c");
        launch.command.arg(config);
        launch
    }

    /// The console with a configuration that is there already.
    pub(super) fn looking_at(config: &Path) -> Self {
        let mut launch = Self::program();
        launch.command.arg("-c");
        launch.command.arg(config);
        launch
    }

    /// Writes a configuration of the stack that these tests know.
    fn configured(&self, engine: &str) -> PathBuf {
        let path = self.home.path().join("quarterdeck.toml");
        let text = format!(
            "[stack]\nname = \"{}\"\nenvironment = \"test\"\n\n[engine]\naddress = \"{engine}\"\n",
            super::subject::STACK
        );
        std::fs::write(&path, text).expect("a folder of ours");
        path
    }

    pub(super) fn argument(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// A shell with job control, in which the console can be started and paused.
    pub(super) fn shell() -> Self {
        let mut command = CommandBuilder::new("bash");
        command.args(["--norc", "--noprofile", "-i"]);
        command.env("PS1", "PROMPT> ");
        Self::command(command)
    }

    /// What is typed into a shell to start the console.
    pub(super) fn typed(&self) -> String {
        let config = self.configured("unix:///nowhere/docker.sock");
        format!(
            "{} -c {}\r",
            env!("CARGO_BIN_EXE_quarterdeck"),
            config.display()
        )
    }

    fn command(mut command: CommandBuilder) -> Self {
        let home = tempfile::tempdir().expect("a home");
        // The way to programs is the machine's own.
        for name in VARIABLES.into_iter().filter(|name| *name != "PATH") {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("RUST_BACKTRACE", "0");
        command.env("HOME", home.path());
        for (name, folder) in [
            ("XDG_STATE_HOME", "state"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_CONFIG_HOME", "config"),
        ] {
            let folder = home.path().join(folder);
            std::fs::create_dir(&folder).expect("a folder of ours");
            command.env(name, folder);
        }
        command.cwd(home.path());
        Self {
            columns: 80,
            rows: 24,
            reads: true,
            command,
            home,
        }
    }

    pub(super) fn size(mut self, columns: u16, rows: u16) -> Self {
        (self.columns, self.rows) = (columns, rows);
        self
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn args(mut self, words: &[&str]) -> Self {
        self.command.args(words);
        self
    }

    pub(super) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(super) fn never_read(mut self) -> Self {
        self.reads = false;
        self
    }

    pub(super) fn start(self) -> Session {
        let size = size(self.columns, self.rows);
        let pair = native_pty_system()
            .openpty(size)
            .expect("a pseudo terminal");
        let before = flags(&*pair.master);
        let child = pair
            .slave
            .spawn_command(self.command)
            .expect("the binary starts");
        drop(pair.slave);
        let seen = Arc::new(Mutex::new(Seen {
            // The emulator itself fails at a few columns, when a shell's line wraps.
            emulator: vt100::Parser::new(self.rows.max(5), self.columns.max(20), 0),
            output: Vec::new(),
        }));
        let reads = Arc::new(AtomicBool::new(self.reads));
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let (theirs, may_read) = (Arc::clone(&seen), Arc::clone(&reads));
        std::thread::spawn(move || {
            let mut bytes = [0; 8192];
            loop {
                while !may_read.load(Ordering::SeqCst) {
                    std::thread::sleep(LOOK_AGAIN);
                }
                match reader.read(&mut bytes) {
                    Ok(n) if n > 0 => held(&theirs).take(&bytes[..n]),
                    _ => return,
                }
            }
        });
        Session {
            writer: pair.master.take_writer().expect("a writer"),
            master: pair.master,
            child,
            seen,
            reads,
            before,
            home: self.home,
        }
    }
}

struct Seen {
    emulator: vt100::Parser,
    output: Vec<u8>,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        self.emulator.process(bytes);
        self.output.extend_from_slice(bytes);
    }
}

/// A test that failed with the lock held has said why: what is behind the lock is still good.
fn held(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

/// The line settings: input, output and local flags.
type Flags = [u64; 3];

fn flags(master: &dyn MasterPty) -> Flags {
    let termios = master.get_termios().expect("a terminal has settings");
    [
        termios.input_flags.bits().into(),
        termios.output_flags.bits().into(),
        termios.local_flags.bits().into(),
    ]
}

/// A running binary and its terminal.
pub(super) struct Session {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
    reads: Arc<AtomicBool>,
    before: Flags,
    home: tempfile::TempDir,
}

impl Session {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.writer
            .write_all(bytes)
            .expect("the terminal takes input");
        self.writer.flush().expect("the terminal takes input");
    }

    /// What the emulator shows, without colours.
    pub(super) fn screen(&self) -> String {
        held(&self.seen).emulator.screen().contents()
    }

    /// Every byte that left the process, and what the kernel echoed.
    pub(super) fn output(&self) -> Vec<u8> {
        held(&self.seen).output.clone()
    }

    pub(super) fn bytes(&self) -> usize {
        held(&self.seen).output.len()
    }

    /// Looks at more of the emulator than its text.
    pub(super) fn emulator<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(held(&self.seen).emulator.screen())
    }

    #[track_caller]
    pub(super) fn wait_for(&self, what: &str, seen: impl Fn(&str) -> bool) {
        self.wait_until(what, || seen(&self.screen()));
    }

    #[track_caller]
    pub(super) fn wait_for_text(&self, text: &str) {
        self.wait_for(text, |screen| screen.contains(text));
    }

    #[track_caller]
    pub(super) fn wait_until(&self, what: &str, so: impl Fn() -> bool) {
        self.wait_until_at_most(DEADLINE, what, so);
    }

    /// For what takes its time by design.
    #[track_caller]
    pub(super) fn wait_at_most(&self, limit: Duration, what: &str, seen: impl Fn(&str) -> bool) {
        self.wait_until_at_most(limit, what, || seen(&self.screen()));
    }

    #[track_caller]
    fn wait_until_at_most(&self, limit: Duration, what: &str, so: impl Fn() -> bool) {
        let start = Instant::now();
        while !so() {
            assert!(
                start.elapsed() < limit,
                "no {what:?} within {limit:?}; the screen is\n{}\nthe last output is {:?}",
                self.screen(),
                String::from_utf8_lossy(&self.output()[self.bytes().saturating_sub(300)..]),
            );
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Tells the kernel only; see [`Session::emulate_size`].
    pub(super) fn resize(&self, columns: u16, rows: u16) {
        self.master.resize(size(columns, rows)).expect("a new size");
    }

    pub(super) fn emulate_size(&self, columns: u16, rows: u16) {
        let mut seen = held(&self.seen);
        seen.emulator.screen_mut().set_size(rows, columns);
    }

    pub(super) fn pid(&self) -> Pid {
        let pid = self.child.process_id().expect("the process runs");
        Pid::from_raw(i32::try_from(pid).expect("a process id"))
            .expect("no process has the id zero")
    }

    pub(super) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the process runs");
    }

    /// Waits for the end and for the last of the output.
    #[track_caller]
    pub(super) fn wait_exit(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "still running; the screen is\n{}",
                self.screen()
            );
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    pub(super) fn read_again(&self) {
        self.reads.store(true, Ordering::SeqCst);
    }

    /// The screen, the cursor, the paste mode and the line are as they were before the start.
    #[track_caller]
    pub(super) fn assert_restored(&self) {
        self.wait_until("restored screen", || {
            self.emulator(|screen| {
                !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
            })
        });
        self.wait_until("restored line settings", || {
            flags(&*self.master) == self.before
        });
    }

    pub(super) fn is_cooked(&self) -> bool {
        flags(&*self.master) == self.before
    }

    /// Memory in use, in KiB.
    pub(super) fn memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a line for memory");
        let figure = line.split_whitespace().nth(1).expect("a figure");
        figure.parse().expect("a figure")
    }

    /// Where the console was started, and where it saves to.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(super) fn crash_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.home.path().join("state/quarterdeck"));
        entries
            .expect("the state folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
            .collect()
    }

    /// The console's own log, as it is in its file.
    pub(super) fn own_log(&self) -> String {
        let path = self
            .home
            .path()
            .join("state/quarterdeck/log/quarterdeck.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// How long it takes from a key until the screen shows its answer.
    #[track_caller]
    pub(super) fn latency(&mut self, key: &str, text: &str) -> Duration {
        let start = Instant::now();
        self.send(key.as_bytes());
        self.wait_for_text(text);
        start.elapsed()
    }

    /// Waits until a frame has come to its end: nothing has been written for a moment.
    pub(super) fn settle(&self) {
        const QUIET: Duration = Duration::from_millis(25);
        let start = Instant::now();
        let mut seen = (self.bytes(), Instant::now());
        while seen.1.elapsed() < QUIET && start.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(LOOK_AGAIN);
            let bytes = self.bytes();
            if bytes != seen.0 {
                seen = (bytes, Instant::now());
            }
        }
    }

    /// Sends a key and waits until the screen shows that it was taken, and the frame is whole.
    #[track_caller]
    pub(super) fn press(&mut self, key: &str, text: &str) {
        self.send(key.as_bytes());
        self.wait_for_text(text);
        self.settle();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Ended already, or ended here; a test that failed has said why.
        let _ = self.child.kill();
    }
}
