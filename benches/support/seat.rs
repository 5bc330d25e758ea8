//! The console in a pseudo terminal, as a person sits before it: when what was seen, and what it costs meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

pub(crate) const COLUMNS: u16 = 120;
pub(crate) const LINES: u16 = 40;
/// Cells that are not blank, before one calls it a painted frame.
const PAINTED_CELLS: usize = 40;
/// The kernel counts CPU in ticks of a hundredth of a second, on every Linux.
const TICKS_PER_S: f64 = 100.0;

pub(crate) struct Seat {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    _master: Box<dyn MasterPty + Send>,
    output: Receiver<(Instant, Vec<u8>)>,
    emulator: vt100::Parser,
    started: Instant,
    pub(crate) bytes: usize,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) first_paint: Option<Duration>,
    _state: tempfile::TempDir,
}

impl Seat {
    pub(crate) fn open(arguments: &[&str]) -> Self {
        let state = tempfile::tempdir().expect("a place for state");
        let ours = env!("CARGO_BIN_EXE_quarterdeck").into();
        // Another build can be measured beside this one: `QUARTERDECK_BIN=path`.
        let binary = std::env::var_os("QUARTERDECK_BIN").unwrap_or(ours);
        let mut command = CommandBuilder::new(binary);
        command.args(arguments);
        for name in ["NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("QUARTERDECK_STATE", state.path());
        command.cwd(state.path());
        let pair = native_pty_system()
            .openpty(PtySize {
                rows: LINES,
                cols: COLUMNS,
                pixel_width: 0,
                pixel_height: 0,
            })
            .expect("a pseudo terminal");
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 65536];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                if sender.send((Instant::now(), bytes[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        let started = Instant::now();
        let child = pair
            .slave
            .spawn_command(command)
            .expect("the console starts");
        Self {
            child,
            writer: pair.master.take_writer().expect("a writer"),
            _master: pair.master,
            output,
            emulator: vt100::Parser::new(LINES, COLUMNS, 0),
            started,
            bytes: 0,
            first_byte: None,
            first_paint: None,
            _state: state,
        }
    }

    /// Takes in what comes until `seen` or `limit` from now; says when the last of it came, counted from the start.
    pub(crate) fn watch(
        &mut self,
        limit: Duration,
        seen: impl Fn(&str) -> bool,
    ) -> Option<Duration> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (at, bytes) = match self.output.recv_timeout(left) {
                Ok(output) => output,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            };
            let at = at - self.started;
            self.bytes += bytes.len();
            self.first_byte.get_or_insert(at);
            self.emulator.process(&bytes);
            let screen = self.emulator.screen().contents();
            if self.first_paint.is_none()
                && screen.chars().filter(|c| !c.is_whitespace()).count() >= PAINTED_CELLS
            {
                self.first_paint = Some(at);
            }
            if seen(&screen) {
                return Some(at);
            }
        }
    }

    /// Takes in what comes for so long.
    pub(crate) fn idle(&mut self, time: Duration) {
        let _ = self.watch(time, |_| false);
    }

    pub(crate) fn screen(&self) -> String {
        self.emulator.screen().contents()
    }

    /// Types, and waits until the screen shows what it must; returns how long that took.
    pub(crate) fn key(&mut self, key: &[u8], seen: impl Fn(&str) -> bool) -> Option<Duration> {
        /// A key that has not been answered by then is lost.
        const LOST: Duration = Duration::from_secs(2);
        // What came before is not the answer.
        while let Ok((_, bytes)) = self.output.try_recv() {
            self.bytes += bytes.len();
            self.emulator.process(&bytes);
        }
        let typed = Instant::now();
        self.writer.write_all(key).ok()?;
        self.writer.flush().ok()?;
        let at = self.watch(LOST, seen)?;
        Some(at.saturating_sub(typed - self.started))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap_or_default()
    }

    /// Leaves the console: it is hung up on, and must end.
    pub(crate) fn leave(mut self) {
        /// A console that is still there is ended by force.
        const PATIENCE: Duration = Duration::from_secs(3);
        let _ = self.writer.write_all(b"qq");
        let _ = self.writer.flush();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            self.idle(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of CPU that these processes and their ended children have used.
pub(crate) fn cpu_seconds(pids: &[u32]) -> f64 {
    let used: u32 = pids.iter().filter_map(|pid| ticks(*pid)).sum();
    f64::from(used) / TICKS_PER_S
}

fn ticks(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // utime, stime, and the same of ended children.
    fields
        .get(11..15)?
        .iter()
        .map(|field| field.parse::<u32>().ok())
        .sum()
}

/// The engine: its daemon, its containerd, and a shim for each container.
pub(crate) fn engine_pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            (name.starts_with("dockerd") || name.starts_with("containerd")).then_some(pid)
        })
        .collect()
}

/// Resident and proportional memory in MB.
pub(crate) fn memory_mb(pid: u32) -> Option<(f64, f64)> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(Path::new(&path)).ok()?;
    let of = |name: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1024.0 / 1e6)
    };
    Some((of("Rss:")?, of("Pss:")?))
}

/// Threads of a process.
pub(crate) fn threads(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/task")).ok()?.count())
}
