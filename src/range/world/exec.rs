//! Commands inside containers: they exit, print and complain as the real ones do, as far as steps and probes call them.

mod postgres;

use super::{Certificate, EngineMode, Ms, Refusal, Service, World};
use crate::range::figures::{count, real_ms, whole};
use crate::range::scenario::Deed;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecAnswer {
    pub exit: i64,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// How long it takes, in simulated time.
    pub takes_ms: Ms,
}

impl ExecAnswer {
    pub(super) fn out(text: impl Into<Vec<u8>>) -> Self {
        Self {
            stdout: text.into(),
            ..Self::default()
        }
    }

    pub(super) fn failed(exit: i64, text: impl Into<Vec<u8>>) -> Self {
        Self {
            exit,
            stderr: text.into(),
            ..Self::default()
        }
    }

    fn err(text: impl Into<Vec<u8>>) -> Self {
        Self::failed(0, text)
    }
}

impl World {
    /// Runs a command in a container, its standard input given as a whole.
    pub fn exec(
        &mut self,
        container: &str,
        argv: &[String],
        stdin: &[u8],
    ) -> Result<ExecAnswer, Refusal> {
        let at = self.at(container)?;
        if !self.containers[at].is_running() {
            let id = &self.containers[at].id;
            return Err(Refusal::Conflict(format!("Container {id} is not running")));
        }
        if argv.is_empty() {
            return Err(Refusal::BadRequest("No exec command specified".into()));
        }
        self.note_deed(at, Deed::Exec, argv);
        Ok(self.run(self.containers[at].service, argv, stdin))
    }

    fn run(&mut self, service: Service, argv: &[String], stdin: &[u8]) -> ExecAnswer {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let name = words[0].rsplit('/').next().unwrap_or_default();
        match (service, name) {
            (_, "sh" | "bash" | "ash") => self.run_shell(service, &words, stdin),
            (_, "true") => ExecAnswer::default(),
            (_, "false") => ExecAnswer::failed(1, ""),
            (_, "echo") => ExecAnswer::out(format!("{}\n", words[1..].join(" "))),
            (_, "cat") if words.len() == 1 => ExecAnswer::out(stdin),
            (_, "df") => self.df(&words),
            (Service::Gateway, "nginx") => self.nginx(&words),
            (Service::Gateway, "certbot") => self.certbot(&words),
            (Service::Postgres, _) if postgres::knows(name) => self.run_postgres(&words, stdin),
            (Service::Redis, "redis-cli") => self.redis_cli(&words),
            (Service::Server, "node") if words.get(1) == Some(&"--version") => {
                ExecAnswer::out("v20.15.1\n")
            }
            _ => not_found(words[0]),
        }
    }

    /// `sh -c` of one plain command; pipes and expansions are not the range's business.
    fn run_shell(&mut self, service: Service, words: &[&str], stdin: &[u8]) -> ExecAnswer {
        let [_, "-c" | "-ec", line] = words else {
            return ExecAnswer::failed(
                2,
                format!("{}: only `-c COMMAND` works in the range\n", words[0]),
            );
        };
        if line.contains(['|', '>', '<', '$', '`', ';', '&', '*']) {
            return ExecAnswer::failed(
                2,
                format!("sh: the range runs plain commands only: {line}\n"),
            );
        }
        let inner: Vec<String> = split(line).into_iter().map(str::to_owned).collect();
        if inner.is_empty() {
            return ExecAnswer::default();
        }
        let mut answer = self.run(service, &inner, stdin);
        if answer.exit == NOT_FOUND {
            answer = ExecAnswer::failed(NOT_FOUND, format!("sh: {}: not found\n", inner[0]));
        }
        answer
    }

    fn df(&self, words: &[&str]) -> ExecAnswer {
        let used = self.disk_used();
        let total = self.disk.total_bytes;
        let percent = (used * 100).div_ceil(total);
        let is_human = words
            .iter()
            .any(|w| w.starts_with("-h") || *w == "--human-readable");
        let size = |bytes: u64| {
            if is_human {
                let tenths = bytes * 10 / 1_073_741_824;
                format!("{}.{}G", tenths / 10, tenths % 10)
            } else {
                (bytes / 1024).to_string()
            }
        };
        let unit = if is_human { "Size" } else { "1024-blocks" };
        ExecAnswer::out(format!(
            "Filesystem           {unit}      Used Available Capacity Mounted on\noverlay              {}  {}  {}  {percent}% /\n",
            size(total),
            size(used),
            size(total - used)
        ))
    }

    fn nginx(&mut self, words: &[&str]) -> ExecAnswer {
        match words[1..] {
            ["-v"] => ExecAnswer::err("nginx version: nginx/1.27.0\n"),
            ["-t" | "-tq" | "-q", ..] => self.nginx_test(&words[1..]),
            ["-s", "reload"] => {
                self.load_gateway();
                ExecAnswer::err("2026/01/01 00:00:00 [notice] 41#41: signal process started\n")
            }
            ["-s", other] => {
                ExecAnswer::failed(1, format!("nginx: invalid option: \"-s {other}\"\n"))
            }
            _ => ExecAnswer::failed(
                1,
                format!("nginx: invalid option: \"{}\"\n", words[1..].join(" ")),
            ),
        }
    }

    /// `nginx -t`, with `-q` and `-c FILE`.
    fn nginx_test(&self, words: &[&str]) -> ExecAnswer {
        const FILE: &str = "/etc/nginx/nginx.conf";
        let mut words = words.iter().copied();
        let (mut file, mut is_quiet) = (FILE, false);
        while let Some(word) = words.next() {
            match word {
                "-t" => {}
                "-q" | "-tq" => is_quiet = true,
                "-c" => file = words.next().unwrap_or_default(),
                other => {
                    return ExecAnswer::failed(1, format!("nginx: invalid option: \"{other}\"\n"));
                }
            }
        }
        let complaint = match &self.gateway.list_on_disk {
            _ if file != FILE => Some(format!(
                "open() \"{file}\" failed (2: No such file or directory)"
            )),
            Ok(_) => None,
            Err(complaint) => Some(complaint.clone()),
        };
        match complaint {
            Some(complaint) => ExecAnswer::failed(
                1,
                format!(
                    "nginx: [emerg] {complaint}\nnginx: configuration file {file} test failed\n"
                ),
            ),
            None if is_quiet => ExecAnswer::default(),
            None => ExecAnswer::err(format!(
                "nginx: the configuration file {file} syntax is ok\nnginx: configuration file {file} test is successful\n"
            )),
        }
    }

    /// Renews when the certificate on disk has less than 30 days, as certbot does by itself.
    fn certbot(&mut self, words: &[&str]) -> ExecAnswer {
        const RENEW_BELOW_DAYS: f64 = 30.0;
        const DAYS: f64 = 90.0;
        if words.get(1) != Some(&"renew") {
            return ExecAnswer::failed(1, "certbot: only `renew` works in the range\n");
        }
        let started = real_ms(self.now) / 86_400_000.0;
        let is_forced = words.contains(&"--force-renewal");
        let disk = self.gateway.on_disk;
        if !is_forced && disk.name_right && disk.days - started > RENEW_BELOW_DAYS {
            return ExecAnswer::out(
                "The following certificates are not due for renewal yet:\n  /etc/letsencrypt/live/hyper-mission/fullchain.pem\nNo renewals were attempted.\n",
            );
        }
        self.gateway.on_disk = Certificate {
            serial: self.next_serial(),
            days: DAYS + started,
            name_right: true,
        };
        ExecAnswer {
            takes_ms: 3_000,
            ..ExecAnswer::out(
                "Congratulations, all renewals succeeded:\n  /etc/letsencrypt/live/hyper-mission/fullchain.pem (success)\n",
            )
        }
    }

    fn redis_cli(&self, words: &[&str]) -> ExecAnswer {
        let command: Vec<String> = words[1..].iter().map(|w| w.to_lowercase()).collect();
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let is_read_only = !self.redis_works();
        match command[..] {
            ["ping"] => ExecAnswer::out("PONG\n"),
            ["dbsize"] => ExecAnswer::out("322\n"),
            ["set", ..] if is_read_only => ExecAnswer::out(
                "(error) MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.\n",
            ),
            ["set", ..] => ExecAnswer::out("OK\n"),
            ["info", ..] => ExecAnswer::out(format!(
                "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nused_memory:1873240\r\nmaxmemory:67108864\r\nmaxmemory_policy:volatile-ttl\r\n\r\n# Persistence\r\nloading:0\r\nrdb_changes_since_last_save:0\r\nrdb_last_bgsave_status:{status}\r\nrdb_last_save_time:{}\r\naof_enabled:1\r\naof_last_write_status:{status}\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n",
                self.now / 1_000,
                status = if is_read_only { "err" } else { "ok" },
            )),
            _ => ExecAnswer::out(format!(
                "(error) ERR unknown command '{}'\n",
                command.first().copied().unwrap_or_default()
            )),
        }
    }

    /// May the engine be spoken to?
    pub fn engine_answers(&self) -> bool {
        self.engine == EngineMode::Answers
    }
}

const NOT_FOUND: i64 = 127;

/// As the engine says it, into the command's own output.
fn not_found(name: &str) -> ExecAnswer {
    ExecAnswer {
        exit: NOT_FOUND,
        stdout: format!("OCI runtime exec failed: exec failed: unable to start container process: exec: \"{name}\": executable file not found in $PATH: unknown\r\n").into_bytes(),
        ..ExecAnswer::default()
    }
}

/// Words, with single and double quotes.
fn split(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| *c == '\'' || *c == '"');
        let (word, after) = match quote {
            Some(quote) => rest[1..].split_once(quote).unwrap_or((&rest[1..], "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// Whether a command reads its standard input to the end before it answers.
pub(in crate::range) fn wants_input(argv: &[String]) -> bool {
    let is = |name: &str| {
        argv.iter()
            .any(|a| a.rsplit('/').next() == Some(name) || a.starts_with(&format!("{name} ")))
    };
    let has_own = argv.iter().any(|a| {
        a.starts_with("-c")
            || a.starts_with("--command")
            || a.starts_with("-tAc")
            || a.starts_with("-Atc")
    });
    let reads_from_psql = is("psql") && !has_own;
    reads_from_psql || is("pg_restore") || is("cat")
}

/// Time that moving so many bytes takes.
fn transfer_ms(bytes: usize) -> Ms {
    /// Of a laptop's disk, with compression.
    const BYTES_PER_MS: u64 = 20_000;
    i64::try_from(count(bytes) / BYTES_PER_MS).unwrap_or(0)
        + i64::try_from(whole(40.0)).unwrap_or(0)
}
