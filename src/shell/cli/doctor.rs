//! `quarterdeck doctor`: looks over what the console stands on, and says what to do about what is wrong.
//!
//! Changes nothing: a folder is asked for its permissions, not written to. What could not be looked at is unknown, and
//! unknown is not well.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use rustix::fs::{Access as Wish, access};
use serde::Serialize;

use super::{Call, put};
use crate::config::{Config, EngineAddress};
use crate::domain::{CertificateAt, Clean, ContainerState, Fault, Health, Stack};
use crate::link::cgroup;
use crate::link::docker::{Access, Api, Engine};
use crate::link::hostfacts;
use crate::link::prometheus::Prometheus;
use crate::report::sign;
use crate::shell::clock::Clock;
use crate::shell::collect::runtime;
use crate::shell::watches::engine_of;
use crate::step::left_throwaways;

/// All questions to the outside together.
const PATIENCE: Duration = Duration::from_secs(8);
/// A log of a week of trouble and a few saved views.
const STATE_FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Containers that are asked for their cgroup: one that runs is enough, the next may be about to end.
const CGROUPS_TRIED_MAX: usize = 3;
/// Problems of a configuration that are told here; `config check` tells all.
const PROBLEMS_MAX: usize = 3;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq)]
struct Check {
    name: &'static str,
    health: Health,
    text: Clean,
    remedy: Option<Clean>,
}

impl Check {
    fn new(name: &'static str, health: Health, text: &str) -> Self {
        Self {
            name,
            health,
            text: Clean::line(text),
            remedy: None,
        }
    }

    fn remedy(mut self, remedy: &str) -> Self {
        self.remedy = Some(Clean::line(remedy));
        self
    }

    fn fault(name: &'static str, health: Health, fault: &Fault) -> Self {
        Self {
            remedy: fault.remedy.clone(),
            ..Self::new(name, health, &fault.text)
        }
    }
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let (config, mut checks) = configuration(call);
    if let Some(config) = &config {
        checks.extend(outside(config)?);
    }
    checks.push(clock());
    if let Some(config) = &config {
        checks.extend(state_folder(config));
        checks.push(own_log(config));
    }
    checks.extend(screen(call));
    if let Some(config) = &config {
        checks.extend(ssh(call, config));
    }
    checks.push(authorities());
    if let Some(stack) = config.as_ref().and_then(|config| config.stack.as_ref()) {
        checks.extend(files(stack));
    }
    let code = exit_code(&checks);
    put(&if ask.json {
        document(&checks, code)?
    } else {
        page(&checks)
    })?;
    Ok(ExitCode::from(code))
}

/// 0 all well, 1 something to mend or unknown, 2 something that does not work.
fn exit_code(checks: &[Check]) -> u8 {
    let worst = |wanted: &[Health]| checks.iter().any(|check| wanted.contains(&check.health));
    if worst(&[Health::Bad]) {
        2
    } else {
        u8::from(worst(&[Health::Poor, Health::Unknown]))
    }
}

fn page(checks: &[Check]) -> String {
    let mut out = String::new();
    for check in checks {
        let (sign, word) = (sign(check.health), check.health.word());
        let _ = writeln!(out, "{sign:<4} {word:<7} {:<14} {}", check.name, check.text);
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(out, "{:28}-> {remedy}", "");
        }
    }
    out
}

fn document(checks: &[Check], exit_code: u8) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'c> {
        schema: &'static str,
        generated_at: String,
        version: &'static str,
        exit_code: u8,
        checks: Vec<Row<'c>>,
    }
    #[derive(Serialize)]
    struct Row<'c> {
        check: &'static str,
        health: &'static str,
        text: &'c Clean,
        remedy: Option<&'c Clean>,
    }
    let rows = checks.iter().map(|check| Row {
        check: check.name,
        health: check.health.word(),
        text: &check.text,
        remedy: check.remedy.as_ref(),
    });
    let document = Document {
        schema: "quarterdeck.doctor/1",
        generated_at: Clock::start().now().rfc3339(),
        version: env!("CARGO_PKG_VERSION"),
        exit_code,
        checks: rows.collect(),
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

/// The configuration; where its file cannot be used, what holds without one.
fn configuration(call: &Call) -> (Option<Config>, Vec<Check>) {
    const NAME: &str = "configuration";
    let config = match Config::load(&call.flags, &call.env, &call.here) {
        Ok(config) => config,
        Err(error) => {
            let mut checks: Vec<Check> = error
                .problems()
                .iter()
                .take(PROBLEMS_MAX)
                .map(|problem| {
                    let text = problem.to_string();
                    Check::new(NAME, Health::Bad, text.lines().next().unwrap_or_default())
                        .remedy("`quarterdeck config check` shows every problem and its remedy")
                })
                .collect();
            if checks.is_empty() {
                checks.push(Check::new(NAME, Health::Bad, &error.to_string()));
            }
            let rest = Config::without_file(&call.flags, &call.env, &call.here);
            return (rest.ok(), checks);
        }
    };
    let mut checks = vec![match (&config.file, &config.stack) {
        (Some(path), Some(stack)) => Check::new(
            NAME,
            Health::Good,
            &format!("{} describes {}", path.display(), stack.name),
        ),
        (Some(path), None) => Check::new(
            NAME,
            Health::Poor,
            &format!("{} has no [stack]", path.display()),
        )
        .remedy("`quarterdeck init --stdout` shows what could stand there"),
        (None, _) => Check::new(NAME, Health::None, "none: a running project is looked for")
            .remedy("`quarterdeck init` writes one from what runs"),
    }];
    checks.extend(
        config
            .permissions(rustix::process::geteuid().as_raw())
            .into_iter()
            .map(|distrust| {
                Check::new("permissions", Health::Poor, &distrust.to_string())
                    .remedy(&distrust.remedy())
            }),
    );
    if let Some(token) = &config.prometheus_token
        && let Err(error) = token.read(|name| std::env::var_os(name))
    {
        checks.push(Check::new("token", Health::Bad, &error.to_string()));
    }
    (Some(config), checks)
}

/// What must be asked: the engine, cgroups, Prometheus.
fn outside(config: &Config) -> Result<Vec<Check>> {
    let runtime = runtime()?;
    let engine = engine_of(config);
    let mut checks: Vec<Check> = socket(config).into_iter().collect();
    if config.engine.is_unprotected() {
        checks.push(
            Check::new(
                "engine",
                Health::Poor,
                "TCP without TLS to another host: anybody on the way owns it",
            )
            .remedy("use ssh://, or TLS with [engine] tls_dir"),
        );
    }
    let stack = config.stack.as_ref();
    checks.extend(runtime.block_on(async {
        let look = async {
            let mut checks = vec![api(&engine).await];
            if checks[0].health.is_trouble() && checks[0].health != Health::Poor {
                return checks;
            }
            checks.extend(cgroups(&engine, stack).await);
            checks.extend(throwaways(&engine).await);
            checks
        };
        let (mut checks, prometheus) = tokio::join!(
            async {
                tokio::time::timeout(PATIENCE, look)
                    .await
                    .unwrap_or_else(|_| {
                        let text = format!("no answer within {} s", PATIENCE.as_secs());
                        vec![Check::new("engine", Health::Bad, &text)]
                    })
            },
            prometheus(config)
        );
        checks.extend(prometheus);
        checks
    }));
    runtime.shutdown_background();
    Ok(checks)
}

/// What rehearsals that broke off have left. Nothing is no news.
async fn throwaways(engine: &Engine) -> Option<Check> {
    const NAME: &str = "rehearsals";
    match left_throwaways(engine, Clock::start().now()).await {
        Ok(left) if left.is_empty() => None,
        Ok(left) => {
            let names: Vec<&str> = left.iter().map(|one| one.name.as_str()).collect();
            let text = format!("left behind: {}", names.join(", "));
            let remedy = "the next restore-rehearsal removes them; or docker rm --force --volumes";
            Some(Check::new(NAME, Health::Poor, &text).remedy(remedy))
        }
        Err(error) => Some(Check::fault(NAME, Health::Unknown, &Fault::from(error))),
    }
}

/// The engine's socket as a file, whether or not somebody listens.
fn socket(config: &Config) -> Option<Check> {
    let EngineAddress::Unix(path) = &config.engine.address else {
        return None;
    };
    let shown = path.display();
    Some(match fs::metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            Check::new("socket", Health::Bad, &format!("{shown} is not a socket"))
                .remedy("name the engine's socket with --host unix:///path or [engine] address")
        }
        Ok(_) => {
            let text = format!("{shown}: {}", Access::of(path));
            if access(path, Wish::READ_OK | Wish::WRITE_OK).is_ok() {
                Check::new("socket", Health::Good, &text)
            } else {
                Check::new("socket", Health::Bad, &text)
                    .remedy("join the group of the socket and log in again, or ask its owner")
            }
        }
        Err(error) => Check::new("socket", Health::Bad, &format!("{shown}: {error}")).remedy(
            "start the engine, or say where it is: --host, DOCKER_HOST or [engine] address",
        ),
    })
}

async fn api(engine: &Engine) -> Check {
    match engine.facts().await {
        Ok(facts) => {
            let text = format!(
                "{} at {}, API {} (it has up to {})",
                facts.version, facts.address, facts.api, facts.api_max
            );
            match Api::parse(&facts.api) {
                Some(api) if api < Api::CURRENT => Check::new("engine", Health::Poor, &text)
                    .remedy("some things are not offered by this API; update the engine"),
                Some(_) | None => Check::new("engine", Health::Good, &text),
            }
        }
        Err(error) => Check::fault("engine", Health::Bad, &Fault::from(error)),
    }
}

/// Whether usage can be read from files, which costs nothing, or must be asked for.
async fn cgroups(engine: &Engine, stack: Option<&Stack>) -> Option<Check> {
    const NAME: &str = "cgroups";
    let project = match stack {
        Some(stack) => stack.name.clone(),
        None => engine.projects().await.ok()?.into_iter().next()?.name,
    };
    let listed = engine.list(&project).await.ok()?;
    let running = listed
        .iter()
        .filter(|one| one.state == ContainerState::Running)
        .take(CGROUPS_TRIED_MAX);
    let mut tried = 0;
    let mut reader = cgroup::Reader::new(Path::new("/proc"));
    for one in running {
        let Ok(container) = engine.inspect(&one.id).await else {
            continue;
        };
        tried += 1;
        if let Some((_, generation)) = reader.read(&container.id, container.pid) {
            let text = format!("usage is read from {} files", generation.word());
            return Some(Check::new(NAME, Health::Good, &text));
        }
    }
    Some(if tried == 0 {
        Check::new(
            NAME,
            Health::Unknown,
            &format!("no container of {project} runs"),
        )
    } else {
        Check::new(
            NAME,
            Health::Poor,
            "the containers' cgroup files cannot be read; the engine is asked instead",
        )
        .remedy("run the console on the host of the engine, outside a container")
    })
}

async fn prometheus(config: &Config) -> Option<Check> {
    let url = config.stack.as_ref()?.prometheus.as_ref()?;
    let mut prometheus = Prometheus::new(url);
    if let Some(token) = &config.prometheus_token {
        prometheus = prometheus.token(token.read(|name| std::env::var_os(name)));
    }
    Some(match prometheus.ready().await {
        Ok(()) => Check::new("prometheus", Health::Good, &format!("{url} is ready")),
        Err(fault) => Check::fault("prometheus", Health::Bad, &fault),
    })
}

fn clock() -> Check {
    const NAME: &str = "clock";
    const REMEDY: &str = "`timedatectl` tells more; certificates and ages go by this clock";
    let host = match hostfacts::read(&[]) {
        Ok(facts) => facts.host,
        Err(fault) => return Check::fault(NAME, Health::Unknown, &fault),
    };
    let error = host
        .clock_error_ms
        .map(|ms| format!(", off by {ms:.0} ms at most"))
        .unwrap_or_default();
    match host.clock_synced {
        Some(true) => Check::new(
            NAME,
            Health::Good,
            &format!("kept by a time service{error}"),
        ),
        Some(false) => Check::new(NAME, Health::Poor, "no time service keeps it").remedy(REMEDY),
        None => Check::new(
            NAME,
            Health::Unknown,
            "the kernel does not say whether it is kept",
        )
        .remedy(REMEDY),
    }
}

fn state_folder(config: &Config) -> Vec<Check> {
    const NAME: &str = "state folder";
    let Some(dir) = &config.paths.state_dir else {
        return vec![
            Check::new(NAME, Health::Poor, "there is none, for there is no home")
                .remedy("set HOME or XDG_STATE_HOME"),
        ];
    };
    let shown = dir.display();
    let there = dir.ancestors().find(|path| path.is_dir());
    let there = there.unwrap_or(Path::new("/"));
    if access(there, Wish::WRITE_OK | Wish::EXEC_OK).is_err() {
        let text = format!(
            "{shown} cannot be written: {} is closed to us",
            there.display()
        );
        return vec![
            Check::new(NAME, Health::Poor, &text)
                .remedy("give it to the user of the console, or set XDG_STATE_HOME"),
        ];
    }
    let free = hostfacts::read(&[there.to_owned()])
        .ok()
        .and_then(|facts| facts.host.disks.first().map(|disk| disk.free_bytes));
    vec![match free {
        None => Check::new(
            NAME,
            Health::Unknown,
            &format!("{shown}: free space unknown"),
        ),
        Some(free) => {
            let text = format!("{shown}, {} MB free", free / 1_000_000);
            if free < STATE_FREE_BYTES_MIN {
                Check::new(NAME, Health::Poor, &text).remedy("make room on this disk")
            } else {
                Check::new(NAME, Health::Good, &text)
            }
        }
    }]
}

fn own_log(config: &Config) -> Check {
    const NAME: &str = "own log";
    let Some(path) = config.paths.log_file() else {
        return Check::new(NAME, Health::Poor, "not written: there is no state folder");
    };
    let shown = path.display();
    match fs::metadata(&path) {
        Ok(_) if access(&path, Wish::WRITE_OK).is_err() => {
            Check::new(NAME, Health::Poor, &format!("{shown} cannot be written"))
                .remedy("remove it, or give it to the user of the console")
        }
        Ok(meta) => {
            let size = meta.size() / 1000;
            Check::new(NAME, Health::Good, &format!("{shown}, {size} KB"))
        }
        Err(_) => Check::new(NAME, Health::Good, &format!("{shown}, not begun yet")),
    }
}

/// What the screen would look like here.
fn screen(call: &Call) -> Vec<Check> {
    let env = &call.env;
    let mut checks = vec![
        if env.utf8() {
            Check::new("locale", Health::Good, "writes UTF-8")
        } else {
            Check::new(
                "locale",
                Health::Poor,
                "does not write UTF-8: signs are plain ASCII",
            )
            .remedy("set LANG to a UTF-8 locale, such as C.UTF-8")
        },
        match env.text("TERM").as_deref() {
            None => Check::new(
                "terminal",
                Health::Poor,
                "TERM is not set: there is no screen",
            )
            .remedy("use a terminal, or `quarterdeck status` without one"),
            Some("dumb") => {
                Check::new("terminal", Health::Poor, "TERM is dumb: there is no screen")
                    .remedy("use `quarterdeck status`, or set TERM to what the terminal is")
            }
            Some(term) => Check::new("terminal", Health::Good, &format!("TERM is {term}")),
        },
    ];
    let colors = match () {
        () if env.has("NO_COLOR") => "none, as NO_COLOR says; signs and words carry all",
        () if env.has("COLORTERM") => "as many as COLORTERM says",
        () => "as many as TERM says",
    };
    checks.push(Check::new("colours", Health::None, colors));
    if env.has("TMUX") {
        checks.push(
            Check::new(
                "tmux",
                Health::None,
                "copies pass through tmux, if it lets them",
            )
            .remedy("tmux set -g set-clipboard on"),
        );
    }
    checks
}

fn ssh(call: &Call, config: &Config) -> Option<Check> {
    let EngineAddress::Ssh { .. } = config.engine.address else {
        return None;
    };
    let path = call.env.raw("PATH").unwrap_or_default();
    let found = std::env::split_paths(path)
        .map(|dir| dir.join("ssh"))
        .find(|file| access(file, Wish::EXEC_OK).is_ok());
    Some(match found {
        Some(file) => Check::new("ssh", Health::Good, &file.display().to_string()),
        None => Check::new("ssh", Health::Bad, "there is no ssh in PATH")
            .remedy("install the OpenSSH client"),
    })
}

fn authorities() -> Check {
    const NAME: &str = "authorities";
    let found = rustls_native_certs::load_native_certs();
    match found.certs.len() {
        0 => Check::new(
            NAME,
            Health::Poor,
            "this host trusts no certificate authority",
        )
        .remedy("install ca-certificates, or set SSL_CERT_FILE; a ca_file works without"),
        n => Check::new(NAME, Health::Good, &format!("{n} are trusted on this host")),
    }
}

/// Every file and folder that the configuration names.
fn files(stack: &Stack) -> Vec<Check> {
    let mut named: Vec<&PathBuf> = stack
        .endpoints
        .iter()
        .filter_map(|spec| spec.ca_file.as_ref())
        .collect();
    for spec in &stack.certificates {
        named.extend(&spec.ca_file);
        named.extend(&spec.on_disk);
        if let CertificateAt::File(path) = &spec.at {
            named.push(path);
        }
    }
    named.sort();
    named.dedup();
    let mut checks: Vec<Check> = named.into_iter().map(|path| readable(path)).collect();
    let mut folders: Vec<&PathBuf> = stack.backups.iter().map(|spec| &spec.directory).collect();
    folders.sort();
    folders.dedup();
    checks.extend(folders.into_iter().map(|path| listable(path)));
    checks
}

fn readable(path: &Path) -> Check {
    let shown = path.display();
    // A pipe would be waited for without end.
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Check::new(
            "certificate",
            Health::Bad,
            &format!("{shown} is not a file"),
        ),
        Ok(_) => match fs::File::open(path) {
            Ok(_) => Check::new("certificate", Health::Good, &format!("{shown} can be read")),
            Err(error) => Check::new("certificate", Health::Bad, &format!("{shown}: {error}"))
                .remedy("let the user of the console read it"),
        },
        Err(error) => Check::new("certificate", Health::Bad, &format!("{shown}: {error}"))
            .remedy("mend the path in the configuration, or let the console read its folder"),
    }
}

fn listable(path: &Path) -> Check {
    let shown = path.display();
    match fs::read_dir(path) {
        Ok(_) => Check::new("backups", Health::Good, &format!("{shown} can be read")),
        Err(error) => Check::new("backups", Health::Bad, &format!("{shown}: {error}"))
            .remedy("mend the path in [[backup]], or let the user of the console read it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_not_well_and_bad_is_worst() {
        let of = |health| Check::new("x", health, "");
        assert_eq!(exit_code(&[of(Health::Good), of(Health::None)]), 0);
        assert_eq!(exit_code(&[of(Health::Good), of(Health::Unknown)]), 1);
        assert_eq!(exit_code(&[of(Health::Bad), of(Health::Unknown)]), 2);
    }

    #[test]
    fn hostile_names_are_shown_and_not_obeyed() {
        let check = Check::new("x", Health::Bad, "a\x1b]0;b\x07").remedy("c\u{202e}d");
        let page = page(std::slice::from_ref(&check));
        assert!(
            page.lines().all(|line| !line.contains(char::is_control)),
            "{page:?}"
        );
        assert!(
            !document(std::slice::from_ref(&check), 2)
                .unwrap()
                .contains('\u{202e}')
        );
    }
}
