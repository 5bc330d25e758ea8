//! One program of this host, run to its end: an argument array, never a shell.
//!
//! The program is named by its absolute path and gets a small fixed environment, no input, and a process group of its
//! own, so that whatever it starts ends with it. What it writes is kept up to a bound and read to the end, so that a
//! talkative program neither fills our memory nor waits for us. Who drops the future ends the group.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::time::timeout;

use crate::domain::{Clean, Fault, FaultKind};

/// Of each of the two outputs. A person reads a page; what is over is counted.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Linux takes 128 KiB in one argument; a runbook's command line is a line.
pub const ARGUMENT_BYTES_MAX: usize = 16 * 1024;

/// More words than this are a list, and belong into a file.
pub const ARGUMENTS_MAX: usize = 256;

/// From the polite signal to the other one.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long the output may stay open after the program has ended: something that it left behind holds it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// All that a program finds in its environment. Words of our own (tokens among them) stay with us.
const ENVIRONMENT: [(&str, &str); 2] = [
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    // So that a pattern that fits here fits on every host.
    ("LC_ALL", "C.UTF-8"),
];

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program's absolute path, then its arguments.
    pub argv: Vec<String>,
    /// Then it is ended, with everything it started.
    pub deadline: Duration,
}

impl Command {
    /// Why it cannot be run whatever this host has, if it cannot.
    pub fn problem(&self) -> Option<Fault> {
        checked(&self.argv).err()
    }
}

/// How a program ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub exit: Exit,
    pub out: Output,
    pub err: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    /// Ended by this signal, which was not ours.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
        }
    }
}

/// What was written to one of the outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// The first [`OUTPUT_BYTES_MAX`] bytes.
    pub kept: Vec<u8>,
    /// Bytes beyond them.
    pub more: u64,
}

impl Output {
    /// The first lines, cleaned; says what is missing.
    pub fn lines(&self, most: usize) -> Vec<Clean> {
        let text = String::from_utf8_lossy(&self.kept);
        let all = text.lines().count();
        let mut lines = Clean::lines(&text, most);
        if all > most {
            lines.push(Clean::from(format!("[{} lines more]", all - most)));
        }
        if self.more > 0 {
            lines.push(Clean::from(format!("[cut: {} bytes more]", self.more)));
        }
        lines
    }

    /// All that was kept as one line, without the blanks at its ends: for comparing.
    pub fn text(&self) -> Clean {
        Clean::bytes(self.kept.trim_ascii())
    }
}

/// Runs it to its end. That it ended badly is no fault; that it could not be run, or not to its end, is.
pub async fn run(command: &Command) -> Result<Ended, Fault> {
    let program = checked(&command.argv)?;
    let mut child = tokio::process::Command::new(program)
        .args(&command.argv[1..])
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| not_started(program, &error))?;
    let mut group = Group::of(&child);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let mut outputs = (Output::default(), Output::default());
    let ended = {
        let read = async {
            tokio::join!(drain(out, &mut outputs.0), drain(err, &mut outputs.1));
        };
        timeout(command.deadline, until_ended(&mut child, read)).await
    };
    match ended {
        Ok(Ok((status, Held::Released))) => {
            group.is_over();
            Ok(ended_as(status, outputs))
        }
        // Something it left behind holds its output: the group is ended as it is dropped.
        Ok(Ok((status, Held::ByOthers))) => Ok(ended_as(status, outputs)),
        Ok(Err(error)) => Err(Fault::new(
            FaultKind::Broken,
            format!("cannot wait for {}: {error}", shown(program)),
        )),
        Err(_) => {
            end(&mut child, &group).await;
            Err(too_late(command, &outputs.1))
        }
    }
}

fn ended_as(status: ExitStatus, (out, err): (Output, Output)) -> Ended {
    let exit = match status.code() {
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.signal().unwrap_or_default()),
    };
    Ended { exit, out, err }
}

/// Does anybody still hold the output of a program that has ended?
enum Held {
    Released,
    ByOthers,
}

async fn until_ended(
    child: &mut Child,
    read: impl Future<Output = ()>,
) -> io::Result<(ExitStatus, Held)> {
    let mut read = std::pin::pin!(read);
    let waited = tokio::select! {
        biased;
        () = &mut read => None,
        status = child.wait() => Some(status?),
    };
    match waited {
        None => Ok((child.wait().await?, Held::Released)),
        Some(status) => match timeout(LAST_WORDS, read).await {
            Ok(()) => Ok((status, Held::Released)),
            Err(_) => Ok((status, Held::ByOthers)),
        },
    }
}

/// Politely first.
async fn end(child: &mut Child, group: &Group) {
    group.signal(Signal::TERM);
    if timeout(GRACE, child.wait()).await.is_err() {
        group.signal(Signal::KILL);
        // It cannot refuse; if the kernel holds it back, there is nothing more to do.
        let _ = timeout(GRACE, child.wait()).await;
    }
}

/// The program and all that it started. Dropping it ends what is left.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Nobody left to hear it is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Nobody of it is known to be left, and its number may soon be another's.
    fn is_over(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Reads to the end, and keeps the beginning.
async fn drain(from: Option<impl AsyncRead + Unpin>, into: &mut Output) {
    let Some(mut from) = from else { return };
    // On the heap: a future that holds it is moved about.
    let mut piece = vec![0; 8192];
    loop {
        match from.read(&mut piece).await {
            // A pipe that breaks has said what it had to say.
            Ok(0) | Err(_) => return,
            Ok(read) => {
                let room = OUTPUT_BYTES_MAX - into.kept.len();
                let kept = read.min(room);
                into.kept.extend_from_slice(&piece[..kept]);
                into.more += (read - kept) as u64;
            }
        }
    }
}

/// The program's path, if all of it may be run at all.
fn checked(argv: &[String]) -> Result<&str, Fault> {
    let wrong =
        |text: String, remedy: &str| Err(Fault::new(FaultKind::Misconfigured, text).remedy(remedy));
    let Some(program) = argv.first() else {
        return wrong(
            "the command is empty".to_owned(),
            "name a program by its absolute path",
        );
    };
    if !program.starts_with('/') {
        return wrong(
            format!("{} is no absolute path", shown(program)),
            "write where the program lies, such as /usr/bin/pg_isready: nothing is searched for",
        );
    }
    if argv.len() > ARGUMENTS_MAX {
        return wrong(
            format!("{} has over {ARGUMENTS_MAX} arguments", shown(program)),
            "put them into a file",
        );
    }
    for argument in argv {
        if argument.contains('\0') {
            return wrong(
                format!("an argument of {} holds a NUL", shown(program)),
                "take it out: no program can be given one",
            );
        }
        if argument.len() > ARGUMENT_BYTES_MAX {
            return wrong(
                format!(
                    "an argument of {} is over {ARGUMENT_BYTES_MAX} bytes long",
                    shown(program)
                ),
                "put it into a file",
            );
        }
    }
    Ok(program)
}

fn shown(program: impl AsRef<OsStr>) -> Clean {
    Clean::line(&program.as_ref().to_string_lossy())
}

fn not_started(program: &str, error: &io::Error) -> Fault {
    let (kind, remedy) = match error.kind() {
        io::ErrorKind::NotFound => (
            FaultKind::Missing,
            "install it on this host, or mend the path",
        ),
        io::ErrorKind::PermissionDenied => (
            FaultKind::Denied,
            "make it executable for the user that quarterdeck runs as",
        ),
        _ => (FaultKind::Broken, "try it by hand"),
    };
    let text = format!("cannot start {}: {error}", shown(program));
    Fault::new(kind, text).remedy(remedy)
}

fn too_late(command: &Command, err: &Output) -> Fault {
    let program = command.argv.first().map(shown).unwrap_or_default();
    let limit = command.deadline;
    let last = err.lines(1).into_iter().next();
    let said = last
        .map(|line| format!(", having said: {line}"))
        .unwrap_or_default();
    Fault::new(
        FaultKind::Silent,
        format!("{program} did not end within {limit:?} and was ended{said}"),
    )
    .remedy("give it more time, or find out what it waits for")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tokio::time::{Instant, sleep};

    fn command(argv: &[&str]) -> Command {
        Command {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            deadline: Duration::from_secs(20),
        }
    }

    /// A test needs a program that does several things; what is tested gets no shell from us.
    fn script(text: &str) -> Command {
        command(&["/bin/sh", "-c", text])
    }

    async fn refused(command: &Command, kind: FaultKind, says: &str) {
        let fault = run(command).await.unwrap_err();
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(fault.to_string().contains(says), "{fault}");
    }

    #[tokio::test]
    async fn a_program_ends_with_its_code_and_its_words() {
        let ended = run(&script("echo out; echo err >&2; exit 3"))
            .await
            .unwrap();
        assert_eq!(ended.exit, Exit::Code(3));
        assert_eq!(ended.out.text(), "out");
        assert_eq!(ended.err.text(), "err");
        let killed = run(&script("kill -9 $$")).await.unwrap();
        assert_eq!(killed.exit, Exit::Signal(9));
    }

    /// Each of these does something in a shell, in an option parser or in a list of words.
    const HOSTILE: [&str; 20] = [
        "; rm -rf /",
        "&& reboot",
        "| cat",
        "$(id)",
        "`id`",
        "${IFS}",
        "$HOME",
        "-rf",
        "--help",
        "a\nb",
        "\r\n",
        "\t",
        "*",
        "~",
        "{a,b}",
        "'\"",
        ">x",
        "\\",
        "%s%n",
        "\u{1b}]0;x\u{7}",
    ];

    #[tokio::test]
    async fn arguments_arrive_as_they_are_written() {
        // Every pair: four hundred words, in as many runs as there are beginnings.
        for first in HOSTILE {
            let words: Vec<String> = HOSTILE
                .iter()
                .map(|second| format!("{first}{second}"))
                .collect();
            let mut argv = vec!["/usr/bin/printf", "%s\\0"];
            argv.extend(words.iter().map(String::as_str));
            let ended = run(&command(&argv)).await.unwrap();
            let expected: String = words.iter().flat_map(|word| [word, "\0"]).collect();
            assert_eq!(String::from_utf8(ended.out.kept).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn nothing_of_our_environment_is_handed_on() {
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let ended = run(&command(&["/usr/bin/env"])).await.unwrap();
        let text = String::from_utf8(ended.out.kept).unwrap();
        let mut names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split('=').next())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["LC_ALL", "PATH"]);
        let input = run(&command(&["/bin/cat"])).await.unwrap();
        assert_eq!((input.exit, input.out.text()), (Exit::Code(0), "".into()));
    }

    #[tokio::test]
    async fn what_cannot_be_run_says_why() {
        let wrong = FaultKind::Misconfigured;
        refused(&command(&[]), wrong, "empty").await;
        refused(&command(&["ls"]), wrong, "absolute").await;
        refused(&command(&["/bin/ls", "a\0b"]), wrong, "NUL").await;
        refused(
            &command(&["/bin/nowhere"]),
            FaultKind::Missing,
            "/bin/nowhere",
        )
        .await;
        let plain = tempfile::NamedTempFile::new().unwrap();
        let plain = command(&[plain.path().to_str().unwrap()]);
        refused(&plain, FaultKind::Denied, "executable").await;
        let long = "x".repeat(ARGUMENT_BYTES_MAX + 1);
        refused(&command(&["/bin/ls", &long]), wrong, "file").await;
    }

    #[tokio::test]
    async fn a_talkative_program_is_read_to_its_end_and_kept_to_a_bound() {
        let command = command(&["/usr/bin/head", "-c", "1000000", "/dev/zero"]);
        let ended = run(&command).await.unwrap();
        assert_eq!(ended.exit, Exit::Code(0));
        assert_eq!(ended.out.kept.len(), OUTPUT_BYTES_MAX);
        assert_eq!(ended.out.more, 1_000_000 - OUTPUT_BYTES_MAX as u64);
    }

    #[tokio::test]
    async fn lines_are_cleaned_and_counted() {
        let ended = run(&script("printf 'a\\033[2J\\nb\\nc\\n'")).await.unwrap();
        assert_eq!(ended.out.lines(2), ["a^[[2J", "b", "[1 lines more]"]);
    }

    #[tokio::test]
    async fn what_does_not_end_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("child");
        // Deaf to the polite signal, and so is its child.
        let text = format!(
            "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 0.1; done' & wait; wait",
            path.display()
        );
        let mut command = script(&text);
        command.deadline = Duration::from_millis(500);
        let begun = Instant::now();
        refused(&command, FaultKind::Silent, "did not end within 500ms").await;
        assert!(begun.elapsed() >= GRACE);
        is_gone(&path).await;
    }

    #[tokio::test]
    async fn who_no_longer_waits_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("child");
        let command = script(&format!("echo $$ > {}; exec sleep 600", path.display()));
        let dropped = timeout(Duration::from_secs(5), async {
            tokio::select! {
                ended = run(&command) => panic!("{ended:?}"),
                () = written(&path) => {}
            }
        });
        dropped.await.unwrap();
        is_gone(&path).await;
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_does_not_hold_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("child");
        let text = format!("sleep 600 & echo $! > {}; echo done", path.display());
        let begun = Instant::now();
        let ended = run(&script(&text)).await.unwrap();
        assert_eq!(
            (ended.exit, ended.out.text()),
            (Exit::Code(0), "done".into())
        );
        assert!(begun.elapsed() < Duration::from_secs(10));
        is_gone(&path).await;
    }

    async fn written(path: &Path) {
        while std::fs::read_to_string(path).map_or(true, |text| !text.ends_with('\n')) {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// A process that has ended and that nobody has waited for is gone enough.
    async fn is_gone(path: &Path) {
        written(path).await;
        let id = std::fs::read_to_string(path).unwrap().trim().to_owned();
        for _ in 0..400 {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
            match stat {
                Ok(stat) if !stat.contains(") Z ") => sleep(Duration::from_millis(10)).await,
                Ok(_) | Err(_) => return,
            }
        }
        panic!("process {id} still runs");
    }
}
