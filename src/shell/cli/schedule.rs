//! `quarterdeck schedule`: cron lines or systemd timers for backups and their rehearsals.
//!
//! Nothing here runs by itself: the host's own scheduler does, and what it starts is `quarterdeck run`, as anybody would
//! type it. Printed by default; `--install` writes units into a folder and starts none of them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};

use super::{Call, EXIT_CANNOT_CREATE, EXIT_CONFIG, put, say};
use crate::domain::{BackupSource, BackupSpec, Clean};

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Write systemd units into this folder, such as /etc/systemd/system, instead of printing cron lines
    #[arg(long, value_name = "FOLDER")]
    install: Option<PathBuf>,
}

/// Says whose a file is: only such a one is written over.
const OURS: &str = "# Made by `quarterdeck schedule`; it is written over when that runs again.\n";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Two weeks of proofs are not worth more than one.
const REHEARSED_EVERY: Duration = Duration::from_hours(7 * 24);

/// A rhythm that cron and systemd both know, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rhythm {
    Minutes(u32),
    Hours(u32),
    Daily,
    Weekly,
}

/// The longest first.
const RHYTHMS: [Rhythm; 12] = [
    Rhythm::Weekly,
    Rhythm::Daily,
    Rhythm::Hours(12),
    Rhythm::Hours(8),
    Rhythm::Hours(6),
    Rhythm::Hours(4),
    Rhythm::Hours(3),
    Rhythm::Hours(2),
    Rhythm::Hours(1),
    Rhythm::Minutes(30),
    Rhythm::Minutes(15),
    Rhythm::Minutes(5),
];

impl Rhythm {
    fn span(self) -> Duration {
        match self {
            Self::Minutes(minutes) => Duration::from_mins(u64::from(minutes)),
            Self::Hours(hours) => HOUR * hours,
            Self::Daily => DAY,
            Self::Weekly => DAY * 7,
        }
    }

    /// The longest that keeps the promise, with a twelfth of it for the work itself.
    fn within(promise: Duration) -> Option<Self> {
        let fits = |rhythm: &Self| rhythm.span() + rhythm.span() / 12 <= promise;
        RHYTHMS.into_iter().find(fits)
    }

    /// Minute, hour, day, month, weekday.
    fn cron(self, hour: u32, minute: u32) -> String {
        match self {
            Self::Minutes(every) => format!("*/{every} * * * *"),
            Self::Hours(every) => format!("{minute} */{every} * * *"),
            Self::Daily => format!("{minute} {hour} * * *"),
            Self::Weekly => format!("{minute} {hour} * * 0"),
        }
    }

    fn calendar(self, hour: u32, minute: u32) -> String {
        match self {
            Self::Minutes(every) => format!("*:0/{every}"),
            Self::Hours(every) => format!("*-*-* 00/{every}:{minute:02}:00"),
            Self::Daily => format!("*-*-* {hour:02}:{minute:02}:00"),
            Self::Weekly => format!("Sun *-*-* {hour:02}:{minute:02}:00"),
        }
    }
}

/// One thing that is started again and again.
#[derive(Debug, PartialEq, Eq)]
struct Job {
    runbook: &'static str,
    target: Clean,
    rhythm: Rhythm,
    hour: u32,
    minute: u32,
}

impl Job {
    fn words(&self, program: &Path, config: &Path) -> Vec<String> {
        vec![
            program.display().to_string(),
            "--config".to_owned(),
            config.display().to_string(),
            "run".to_owned(),
            self.runbook.to_owned(),
            format!("target={}", self.target),
            "--confirm=yes".to_owned(),
        ]
    }

    /// `quarterdeck-backup-app`
    fn unit(&self) -> String {
        format!("quarterdeck-{}-{}", self.runbook, self.target)
    }
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let (Some(file), Some(stack)) = (&config.file, &config.stack) else {
        say(
            "there is no configuration, so nobody can tell what is backed up; see `quarterdeck init`",
        );
        return Ok(ExitCode::from(EXIT_CONFIG));
    };
    let file = call.here.join(file);
    let program = std::env::current_exe().wrap_err("cannot tell where this program is")?;
    let (jobs, left_out) = jobs(&stack.backups);
    for why in &left_out {
        say(why);
    }
    if jobs.is_empty() {
        say("nothing is backed up by us: a [[backup]] with a `service` is");
        return Ok(ExitCode::from(EXIT_CONFIG));
    }
    match &ask.install {
        None => put(&cron(&jobs, &program, &file))?,
        Some(folder) => {
            if let Err(error) = install(&jobs, folder, &program, &file) {
                eprintln!("{}", crate::shell::sanitised(&error));
                return Ok(ExitCode::from(EXIT_CANNOT_CREATE));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is due how often, and what no rhythm can promise.
fn jobs(backups: &[BackupSpec]) -> (Vec<Job>, Vec<String>) {
    let (mut jobs, mut left_out) = (Vec::new(), Vec::new());
    let ours = backups.iter().filter(|backup| backup.source.is_some());
    for (n, backup) in (0..).zip(ours) {
        // Not all at the same moment.
        let minute = n * 7 % 60;
        let job = |runbook, rhythm, hour, minute| Job {
            runbook,
            target: backup.target.clone(),
            rhythm,
            hour,
            minute,
        };
        match Rhythm::within(backup.age_max) {
            Some(rhythm) => jobs.push(job("backup", rhythm, 2, minute)),
            None => left_out.push(format!(
                "{}: no dump keeps a promise of {}; archive the write-ahead log for that",
                backup.target,
                humantime::format_duration(backup.age_max)
            )),
        }
        if matches!(backup.source, Some(BackupSource::Postgres { .. })) {
            let promise = backup.proof_max.unwrap_or(REHEARSED_EVERY * 2);
            let rhythm = Rhythm::within(promise.max(DAY + DAY / 12)).unwrap_or(Rhythm::Daily);
            jobs.push(job("restore-rehearsal", rhythm, 4, minute));
        }
    }
    (jobs, left_out)
}

fn cron(jobs: &[Job], program: &Path, config: &Path) -> String {
    let mut text = "# For `crontab -e` of who may use the engine. A run that fails says so on its output, which cron mails.\n".to_owned();
    for job in jobs {
        let words = job.words(program, config);
        let words: Vec<String> = words.iter().map(|word| in_crontab(word)).collect();
        // A text takes everything.
        let _ = writeln!(
            text,
            "{} {}",
            job.rhythm.cron(job.hour, job.minute),
            words.join(" ")
        );
    }
    text
}

/// For the shell that cron starts; a `%` would end the line there.
fn in_crontab(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._=-+:@".contains(c);
    let quoted = if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    };
    Clean::line(&quoted.replace('%', "\\%")).to_string()
}

/// As one word of a unit's command line.
fn in_unit(word: &str) -> String {
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    Clean::line(&format!("\"{escaped}\"")).to_string()
}

fn service(job: &Job, program: &Path, config: &Path) -> String {
    let words = job.words(program, config);
    let words: Vec<String> = words.iter().map(|word| in_unit(word)).collect();
    format!(
        "{OURS}[Unit]\nDescription=quarterdeck: {} of {}\nAfter=docker.service\n\n\
         [Service]\nType=oneshot\nUser={}\nExecStart={}\n",
        job.runbook,
        job.target,
        rustix::process::getuid().as_raw(),
        words.join(" ")
    )
}

fn timer(job: &Job) -> String {
    format!(
        "{OURS}[Unit]\nDescription=quarterdeck: when {} of {} is due\n\n\
         [Timer]\nOnCalendar={}\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n",
        job.runbook,
        job.target,
        job.rhythm.calendar(job.hour, job.minute)
    )
}

fn install(jobs: &[Job], folder: &Path, program: &Path, config: &Path) -> Result<()> {
    let mut timers = Vec::new();
    for job in jobs {
        let unit = job.unit();
        write(
            &folder.join(format!("{unit}.service")),
            &service(job, program, config),
        )?;
        write(&folder.join(format!("{unit}.timer")), &timer(job))?;
        timers.push(format!("{unit}.timer"));
    }
    put(&format!(
        "{} units are in {}. To start them:\n    systemctl daemon-reload\n    systemctl enable --now {}\n",
        timers.len() * 2,
        Clean::line(&folder.display().to_string()),
        timers.join(" ")
    ))
}

/// Beside its place and then into it, so that systemd never reads half a unit. A unit of somebody else stays.
fn write(path: &Path, text: &str) -> Result<()> {
    let shown = path.display();
    match fs::read_to_string(path) {
        Ok(there) if !there.starts_with(OURS) => {
            return Err(eyre!(
                "{shown} was not made by `quarterdeck schedule`; move it away, or choose another folder"
            ));
        }
        Ok(_) | Err(_) => {}
    }
    let beside = path.with_extension("new");
    fs::write(&beside, text).wrap_err_with(|| format!("cannot write {}", beside.display()))?;
    fs::rename(&beside, path).wrap_err_with(|| format!("cannot write {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_keeps_its_promise_with_room_for_the_work() {
        let of = |hours: u64| Rhythm::within(HOUR * u32::try_from(hours).unwrap());
        assert_eq!(of(26), Some(Rhythm::Daily));
        assert_eq!(of(25), Some(Rhythm::Hours(12)));
        assert_eq!(of(1), Some(Rhythm::Minutes(30)));
        assert_eq!(of(24 * 14), Some(Rhythm::Weekly));
        assert_eq!(Rhythm::within(Duration::from_mins(1)), None);
    }

    fn spec(age_max: Duration) -> BackupSpec {
        BackupSpec {
            age_max,
            source: Some(BackupSource::Postgres {
                service: Clean::from("postgres"),
                database: Clean::from("app"),
                user: Clean::from("app"),
                password: None,
            }),
            ..BackupSpec::of_files(Clean::from("app"), "/b".into(), Clean::from("app-*"))
        }
    }

    #[test]
    fn lines_for_cron_hold_whatever_the_path_is() {
        let (jobs, left_out) = jobs(&[spec(HOUR * 26)]);
        assert!(left_out.is_empty());
        let lines = cron(
            &jobs,
            Path::new("/usr/bin/quarterdeck"),
            Path::new("/srv/a b%'/q.toml"),
        );
        let lines: Vec<&str> = lines.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "0 2 * * * /usr/bin/quarterdeck --config '/srv/a b\\%'\\''/q.toml' run backup target=app --confirm=yes",
                "0 4 * * 0 /usr/bin/quarterdeck --config '/srv/a b\\%'\\''/q.toml' run restore-rehearsal target=app --confirm=yes",
            ]
        );
    }

    #[test]
    fn a_promise_that_no_dump_keeps_is_said() {
        let (jobs, left_out) = jobs(&[spec(Duration::from_mins(1))]);
        assert_eq!(jobs.len(), 1, "the rehearsal");
        assert!(left_out[0].contains("write-ahead log"), "{left_out:?}");
        let (none, _) = super::jobs(&[BackupSpec::of_files(
            Clean::from("x"),
            "/b".into(),
            Clean::from("*"),
        )]);
        assert!(none.is_empty());
    }

    #[test]
    fn units_are_written_over_only_if_they_are_ours() {
        let folder = tempfile::tempdir().unwrap();
        let (jobs, _) = jobs(&[spec(HOUR * 26)]);
        let install = || {
            install(
                &jobs,
                folder.path(),
                Path::new("/q"),
                Path::new("/a%b/c.toml"),
            )
        };
        install().unwrap();
        install().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let service = read("quarterdeck-backup-app.service");
        assert!(
            service.contains("ExecStart=\"/q\" \"--config\" \"/a%%b/c.toml\" \"run\" \"backup\""),
            "{service}"
        );
        assert!(read("quarterdeck-backup-app.timer").contains("OnCalendar=*-*-* 02:00:00"));
        fs::write(folder.path().join("quarterdeck-backup-app.timer"), "theirs").unwrap();
        assert!(install().is_err());
        assert_eq!(read("quarterdeck-backup-app.timer"), "theirs");
    }
}
