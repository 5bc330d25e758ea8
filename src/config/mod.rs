//! `quarterdeck.toml`, flags and environment: the only reader of them.
//!
//! Nothing is guessed and nothing is swallowed: every problem of a file is reported at once with its place and its
//! remedy ([`Problems`]), and every effective value knows who set it ([`Settings`]). The first of these files that is
//! there is read, and no other: `--config`, `QUARTERDECK_CONFIG`, `./quarterdeck.toml`,
//! `$XDG_CONFIG_HOME/quarterdeck/quarterdeck.toml`, `/etc/quarterdeck/quarterdeck.toml`. Without any of them there is no
//! stack, and the console discovers what runs.
//!
//! The format, whole (`assets/quarterdeck.example.toml` shows it at work). Relative paths count from the file's folder.
//!
//! | table | keys, with defaults where there is one |
//! |---|---|
//! | `[stack]` | `name`: the Compose project; `environment = "production"`, `staging`, `development`, `training` or a word; `services = ["a", "b"]`: short for tables that have only a name |
//! | `[engine]` | `address = "unix://…"`, `tcp://host:port`, `ssh://user@host`; `tls_dir`: `ca.pem`, `cert.pem`, `key.pem` for `tcp://`. Default: `DOCKER_HOST` with `DOCKER_CERT_PATH`, then the local socket |
//! | `[gateway]` | `service`; `url`: watched as an endpoint, and over https its certificate; `ca_file` |
//! | `[gateway.upstream]` | `directory`, `file = "api.conf"`, `default`, `service`, `port`, `variable = "api"`, `test = ["nginx", "-t", "-q"]`, `in_flight_limit = "15 s"`, `path = "/"`: answers GET through the gateway without a login, `health = "/healthz"`: of a replica at its own address |
//! | `[[service]]` | `name`, `replicas`, `matters = true` |
//! | `[[traffic]]` | `kind = "metrics"`: `service`, `port`, `path = "/metrics"`, `every = "5 s"`; `kind = "prometheus"`: `service`, `url` (of `[prometheus]`), `selector = ""`, `every = "10 s"`; `kind = "access-log"`: `gateway` (of `[gateway]`), `service`, `every = "5 s"` |
//! | `[[endpoint]]` | `url`, `name` (the URL), `method = "GET"`, `status`, `headers = { name = "part" }`, `redirect_to`, `follow = false`, `content_type`, `ttfb`, `ca_file`, `connect_to`, `every = "10 s"` |
//! | `[[certificate]]` | `endpoint = "host:port"` or `file`, `name`, `ca_file`, `on_disk`, `self_signed = false`, `every = "5 min"` |
//! | `[[backup]]` | `target`, `directory`, `pattern` (ours: `"<target>-*"`), `age_max = "26 h"` or `rpo`, `keep_min = 3`, `size_min = "1 KB"`, `shrink_max = "20 %"`, `every = "1 min"`; made by us: `service`, `kind = "postgres"`, `redis` or `files`, `database`, `user = "postgres"`, `password = { file = "…" }` or `{ env = "…" }`, `path`, `recipients_file`, `identity_file`, `rto`, `proof_max` |
//! | `[backup.keep]` | `daily = 7`, `weekly = 4`, `monthly = 6`, `min = 3` |
//! | `[[backup.store]]` | further stores: `name`, `url = "file:///…"` or `"s3://bucket/prefix"`, `endpoint`, `region`, `access_key`, `secret_key` |
//! | `[prometheus]` | `url`, `token = { file = "…" }` or `{ env = "…" }` |
//! | `[disk]` | `paths = ["/"]` |
//! | `[[checklist]]` | `file`, `max_age = "24 h"`: how old a proof may be where the page does not say |
//! | `[runbooks]` | `folder`: runbooks of one's own, `*.md`; one with the id of a built-in runbook stands in for it; `second_person = false`: a destructive runbook waits for somebody else's yes |
//! | `[thresholds]` | `errors = "5 %"`, `latency = "500 ms"` (p95), `share_off = "50 %"`, `ttfb = "100 ms"`, `certificate_days = [21, 7, 3]`, `disk_free_poor = "15 %"`, `disk_free_bad = "5 %"`, `memory = "90 %"`, `restarts = 3` |
//! | `[journal]` | `store = "sqlite:$XDG_STATE_HOME/quarterdeck/journal.db"` or `"postgres://host/database?user=name"`; `password = { file = "…" }` or `{ env = "…" }`: of PostgreSQL |
//! | `[screen]` | `theme`, `ascii = "auto"`, `mouse = false`, `time = "utc"` or `local` |
//!
//! **Invariant:** no secret is in a [`Config`], in its [`Settings`] or in a [`Problem`]; only where it lies.

mod backup;
mod engine;
mod env;
mod example;
mod file;
mod journal;
mod problem;
mod reader;
mod screen;
mod secret;
mod settings;
mod trust;
mod value;

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

pub use engine::{EngineAddress, EngineConfig, LOCAL_SOCKET, host_port};
pub use env::{Env, Paths, VARIABLES};
pub use example::{Found, FoundService, write_example};
pub use journal::{JournalConfig, JournalStore};
pub use problem::{Problem, Problems};
pub use screen::{Background, Clock, Colors, ScreenConfig, Terminal};
pub use secret::{Secret, SecretError, SecretRef};
pub use settings::{Origin, Setting, Settings};
pub use trust::{Distrust, Weakness};

use crate::domain::{Clean, Stack};
use file::File;
use problem::Source;
use screen::Ascii;
use settings::shown_path;
use value::Parsed;

/// A configuration for a thousand containers is a tenth of this.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The name of the file wherever it lies.
pub const FILE_NAME: &str = "quarterdeck.toml";

const PROMETHEUS_CREDENTIALS: &str = "take them out; [prometheus] token = { file = \"path\" } or { env = \"NAME\" } says where the secret lies";

/// What the command line said.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`, `-c`
    pub config: Option<PathBuf>,
    /// `--host`, `-H`: the engine's address.
    pub host: Option<String>,
    /// `--theme`
    pub theme: Option<String>,
    /// `--ascii`
    pub ascii: bool,
    /// `--local-time`
    pub local_time: bool,
}

/// The entrance, beside the endpoint and the certificate that follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    pub service: Option<Clean>,
    pub url: Option<Clean>,
    /// `host:port` of an https URL.
    pub tls: Option<Clean>,
    pub ca_file: Option<PathBuf>,
    /// How it is told where requests go; `None`: it cannot be told.
    pub upstream: Option<GatewayUpstream>,
}

/// The gateway's list of replicas: a file that its nginx includes, from which a replica is taken out before it is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayUpstream {
    /// On this host; the gateway has it mounted and includes every `*.conf` in it.
    pub directory: PathBuf,
    pub file: Clean,
    /// What the list says while every replica is in.
    pub default: PathBuf,
    /// Whose replicas are listed.
    pub service: Clean,
    pub port: u16,
    /// The nginx variable that the list defines, without `$`.
    pub variable: Clean,
    /// Run inside the gateway before it reads anything.
    pub test: Vec<Clean>,
    /// Longest that the last requests of a replica that was taken out may take.
    pub in_flight_limit: Duration,
    /// What the service answers to GET through the gateway, without a login: users' requests are measured with it.
    pub path: Clean,
    /// What a replica answers at its own address while it is well.
    pub health: Clean,
}

/// All that was configured, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read; `None`: there is none, and what runs is discovered.
    pub file: Option<PathBuf>,
    /// `None`: no file, or one without `[stack]`.
    pub stack: Option<Stack>,
    pub engine: EngineConfig,
    pub gateway: Option<Gateway>,
    /// What Prometheus wants as a bearer token, where it wants one.
    pub prometheus_token: Option<SecretRef>,
    /// Runbooks beside the built-in ones. Never in the user's own folder: what may act is the stack's business.
    pub runbooks: Option<PathBuf>,
    /// Destructive runbooks begin when a second person has said yes too.
    pub second_person: bool,
    pub journal: JournalConfig,
    pub screen: ScreenConfig,
    /// The filter of the console's own log.
    pub log: Option<Clean>,
    pub paths: Paths,
    pub settings: Settings,
}

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("{said_by} names {}, and there is no such file", shown_path(path))]
    Missing {
        path: PathBuf,
        said_by: &'static str,
    },
    #[error("cannot read {}", shown_path(path))]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is not a file; name the file itself", shown_path(path))]
    NotAFile { path: PathBuf },
    #[error(
        "{} is larger than {FILE_BYTES_MAX} bytes; a configuration is a page or two, is this the right file?",
        shown_path(path)
    )]
    TooLarge { path: PathBuf },
    #[error("{0}")]
    Problems(Problems),
}

impl ConfigError {
    /// The problems with their places, where the file could be read at all.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Problems(problems) => &problems.all,
            Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. } => &[],
        }
    }
}

/// Where the file may lie, first come first served. `said_by` where somebody named it: then it must be there.
struct Candidate {
    path: PathBuf,
    said_by: Option<&'static str>,
}

fn candidates(flags: &Flags, env: &Env, paths: &Paths) -> Vec<Candidate> {
    let named = |path: PathBuf, by| {
        vec![Candidate {
            path: value::joined(&paths.working_dir, &path),
            said_by: Some(by),
        }]
    };
    if let Some(path) = &flags.config {
        return named(path.clone(), "--config");
    }
    if let Some(path) = env.raw("QUARTERDECK_CONFIG") {
        return named(PathBuf::from(path), "QUARTERDECK_CONFIG");
    }
    let folders = [
        Some(paths.working_dir.clone()),
        paths.config_dir.clone(),
        Some(PathBuf::from("/etc/quarterdeck")),
    ];
    let there = folders.into_iter().flatten();
    there
        .map(|folder| Candidate {
            path: folder.join(FILE_NAME),
            said_by: None,
        })
        .collect()
}

/// Reads the first candidate that is there. One that is there and cannot be read is an error, not a reason to go on.
fn find(candidates: Vec<Candidate>) -> Result<Option<(PathBuf, Vec<u8>)>, ConfigError> {
    for Candidate { path, said_by } in candidates {
        match (read_file(&path), said_by) {
            (Ok(bytes), _) => return Ok(Some((path, bytes))),
            (Err(ConfigError::Unreadable { source, .. }), said_by)
                if matches!(
                    source.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory
                ) =>
            {
                if let Some(said_by) = said_by {
                    return Err(ConfigError::Missing { path, said_by });
                }
            }
            (Err(error), _) => return Err(error),
        }
    }
    Ok(None)
}

fn read_file(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // A pipe would be waited for without end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ConfigError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

/// The text of a file without its byte order mark.
fn decode<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str, Problems> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (good, bad) = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => bytes.split_at(error.valid_up_to()),
    };
    let good = String::from_utf8_lossy(good);
    let name = format!("\\x{:02X}", bad[0]);
    let rest = String::from_utf8_lossy(&bad[1..]);
    let text = format!("{good}{name}{rest}");
    let wide = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let (says, remedy) = if wide {
        ("this file is written in UTF-16", "save it as UTF-8")
    } else {
        (
            "this byte is not UTF-8",
            "save the file as UTF-8, or type this letter anew",
        )
    };
    let mut problems = Problems::default();
    problems.push(|| {
        Source::file(shown_path(path), &text).problem(
            &(good.len()..good.len() + name.len()),
            None,
            says,
            remedy,
        )
    });
    Err(problems)
}

/// The text of a file, read as `path`: for `config check` and editors. Flags and variables have no say in it.
pub fn check(path: &Path, bytes: &[u8]) -> Result<(), Problems> {
    let base = path.parent().unwrap_or(Path::new("."));
    file::parse(path, base, decode(path, bytes)?).map(|_| ())
}

impl Config {
    /// Finds, reads and resolves everything. `working_dir` is what relative paths on the command line count from.
    pub fn load(flags: &Flags, env: &Env, working_dir: &Path) -> Result<Self, ConfigError> {
        let paths = Paths::new(env, working_dir);
        let found = find(candidates(flags, env, &paths))?;
        Self::resolve(flags, env, paths, found)
    }

    /// What holds without any file: for a check-up of a host whose file cannot be read.
    pub fn without_file(flags: &Flags, env: &Env, working_dir: &Path) -> Result<Self, ConfigError> {
        Self::resolve(flags, env, Paths::new(env, working_dir), None)
    }

    fn resolve(
        flags: &Flags,
        env: &Env,
        paths: Paths,
        found: Option<(PathBuf, Vec<u8>)>,
    ) -> Result<Self, ConfigError> {
        let mut file = File::default();
        let mut problems = Problems::default();
        if let Some((path, bytes)) = &found {
            let base = path.parent().unwrap_or(&paths.working_dir);
            match decode(path, bytes).and_then(|text| file::parse(path, base, text)) {
                Ok(read) => file = read,
                Err(found) => problems = found,
            }
        }
        let mut resolve = Resolve {
            flags,
            env,
            settings: std::mem::take(&mut file.settings),
            problems,
        };
        let engine = resolve.engine(&file, &paths.working_dir);
        let screen = resolve.screen(&file);
        let journal = resolve.journal(&mut file, &paths);
        let log = resolve.log();
        if !resolve.problems.is_empty() {
            return Err(ConfigError::Problems(resolve.problems));
        }
        Ok(Self {
            file: found.map(|(path, _)| path),
            stack: file.stack,
            engine,
            gateway: file.gateway,
            prometheus_token: file.prometheus_token,
            runbooks: file.runbooks,
            second_person: file.second_person,
            journal,
            screen,
            log,
            paths,
            settings: resolve.settings,
        })
    }

    /// Why the file, or the folder of runbooks, must not be acted upon; empty: it may. Looking at the stack goes on in any case. `euid` is the user
    /// that the console runs as.
    pub fn permissions(&self, euid: u32) -> Vec<Distrust> {
        let mut found: Vec<Distrust> = Vec::new();
        for path in self.file.iter().chain(&self.runbooks) {
            for distrust in trust::look(path, euid) {
                // Two files of one folder share what is wrong above them.
                if !found.contains(&distrust) {
                    found.push(distrust);
                }
            }
        }
        found
    }
}

/// Flags, variables and the file have their say, in this order.
struct Resolve<'a> {
    flags: &'a Flags,
    env: &'a Env,
    settings: Settings,
    problems: Problems,
}

impl Resolve<'_> {
    /// A value from a flag or a variable, or a problem that names it.
    fn take<T>(
        &mut self,
        key: &str,
        text: &str,
        origin: Origin,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<T> {
        match parse(text) {
            Ok(value) => {
                self.settings.set(
                    key,
                    Clean::line(&format!("\"{}\"", problem::mask(text))),
                    origin,
                );
                Some(value)
            }
            Err(wrong) => {
                let name = match &origin {
                    Origin::Env(name) => format!("environment variable {name}"),
                    Origin::Flag(flag) => format!("flag {flag}"),
                    Origin::Default | Origin::File { .. } => key.to_owned(),
                };
                let source = Source::value(&name, text);
                self.problems
                    .push(|| source.problem(&(0..text.len()), None, &wrong.says, &wrong.remedy));
                None
            }
        }
    }

    fn variable<T>(
        &mut self,
        key: &str,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<T> {
        let text = self.env.text(name)?;
        self.take(key, &text, Origin::Env(name), parse)
    }

    fn engine(&mut self, file: &File, working_dir: &Path) -> EngineConfig {
        let address = if let Some(host) = &self.flags.host {
            self.take(
                "engine.address",
                host,
                Origin::Flag("--host"),
                engine::address,
            )
        } else if let Some(address) = &file.address {
            Some(address.clone())
        } else if self.env.has("DOCKER_HOST") {
            self.variable("engine.address", "DOCKER_HOST", engine::address)
        } else {
            self.settings.set(
                "engine.address",
                Clean::line(&format!("\"unix://{LOCAL_SOCKET}\"")),
                Origin::Default,
            );
            None
        };
        let address = address.unwrap_or_else(|| EngineAddress::Unix(PathBuf::from(LOCAL_SOCKET)));
        let origin = self
            .settings
            .get("engine.address")
            .map_or(Origin::Default, |setting| setting.origin.clone());
        let tls_dir = match (&address, &file.tls_dir) {
            (EngineAddress::Tcp { .. }, Some(dir)) => Some(dir.clone()),
            (EngineAddress::Tcp { .. }, None) => self.docker_tls(working_dir),
            (EngineAddress::Unix(_) | EngineAddress::Ssh { .. }, _) => None,
        };
        EngineConfig {
            address,
            origin,
            tls_dir,
        }
    }

    /// As Docker's own tools read them, but for one thing: with TLS, the engine's certificate is always verified.
    fn docker_tls(&mut self, working_dir: &Path) -> Option<PathBuf> {
        if let Some(dir) = self.env.raw("DOCKER_CERT_PATH") {
            let dir = value::joined(working_dir, Path::new(dir));
            self.settings.set(
                "engine.tls_dir",
                Clean::line(&format!("\"{}\"", shown_path(&dir))),
                Origin::Env("DOCKER_CERT_PATH"),
            );
            return Some(dir);
        }
        if !self.env.has("DOCKER_TLS_VERIFY") {
            return None;
        }
        let dir = self.env.folder("HOME")?.join(".docker");
        self.settings.set(
            "engine.tls_dir",
            Clean::line(&format!("\"{}\"", shown_path(&dir))),
            Origin::Env("DOCKER_TLS_VERIFY"),
        );
        Some(dir)
    }

    fn screen(&mut self, file: &File) -> ScreenConfig {
        ScreenConfig {
            theme: self.theme(file),
            ascii: self.ascii(file).resolve(self.env),
            colors: self.colors(),
            mouse: file.mouse,
            clock: self.clock(file),
            background: Background::guess(self.env),
            terminal: Terminal::of(self.env),
            over_ssh: self.env.has("SSH_CONNECTION"),
        }
    }

    fn theme(&mut self, file: &File) -> Option<Clean> {
        let name = |text: &str| value::name(&toml::de::DeValue::String(text.into()));
        let theme = match &self.flags.theme {
            Some(theme) => self.take("screen.theme", theme, Origin::Flag("--theme"), name),
            None => self
                .variable("screen.theme", "QUARTERDECK_THEME", name)
                .or_else(|| file.theme.clone()),
        };
        if theme.is_none() {
            self.settings
                .set("screen.theme", Clean::from("\"auto\""), Origin::Default);
        }
        theme.filter(|theme| *theme != "auto")
    }

    fn ascii(&mut self, file: &File) -> Ascii {
        if self.flags.ascii {
            self.settings
                .set("screen.ascii", Clean::from("true"), Origin::Flag("--ascii"));
            return Ascii::Always;
        }
        if let Some(ascii) = self
            .variable("screen.ascii", "QUARTERDECK_ASCII", Ascii::word)
            .or(file.ascii)
        {
            return ascii;
        }
        self.settings
            .set("screen.ascii", Clean::from("\"auto\""), Origin::Default);
        Ascii::Auto
    }

    fn colors(&mut self) -> Colors {
        let colors = Colors::of(self.env);
        let by = ["NO_COLOR", "COLORTERM", "TERM"]
            .into_iter()
            .find(|name| self.env.has(name));
        let shown = Clean::line(&format!("\"{}\"", colors.word()));
        self.settings.set(
            "screen.colors",
            shown,
            by.map_or(Origin::Default, Origin::Env),
        );
        colors
    }

    fn clock(&mut self, file: &File) -> Clock {
        if self.flags.local_time {
            self.settings.set(
                "screen.time",
                Clean::from("\"local\""),
                Origin::Flag("--local-time"),
            );
            return Clock::Local;
        }
        file.clock
    }

    fn journal(&mut self, file: &mut File, paths: &Paths) -> JournalConfig {
        let store = file.journal_store.take().or_else(|| {
            let store = JournalStore::Sqlite(paths.journal_file()?);
            self.settings
                .set("journal.store", store.shown(), Origin::Default);
            Some(store)
        });
        JournalConfig {
            store,
            password: file.journal_password.take(),
        }
    }

    fn log(&mut self) -> Option<Clean> {
        let plain = |text: &str| value::clean(&toml::de::DeValue::String(text.into()));
        self.variable("log", "QUARTERDECK_LOG", plain)
    }
}

#[cfg(test)]
mod tests;
