//! `quarterdeck init`: a first `quarterdeck.toml`, written from what runs.
//!
//! What is written as set was seen: a TLS port by a handshake, metrics by reading them, Prometheus by its answer, the
//! access log by lines of it. What was not seen stands there as a comment. Nothing that is there is written over.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Call, EXIT_CANNOT_CREATE, exit_of, put, say};
use crate::config::{FILE_NAME, Found, FoundService, write_example};
use crate::domain::{
    CertificateAt, CertificateSpec, Clean, Container, ContainerState, Detail, Fault, Reading,
    Thresholds, Trust,
};
use crate::link::docker::{Engine, LogRange};
use crate::link::fetch::{Bounds, Fetcher};
use crate::link::prometheus::Prometheus;
use crate::link::tls::Roots;
use crate::link::{accesslog, exposition};
use crate::probe::Look;
use crate::probe::certificate::CertificateProbe;
use crate::probe::traffic::REQUESTS;
use crate::shell::clock::Clock;
use crate::shell::collect::runtime;
use crate::shell::discover::discover;
use crate::shell::watches::engine_of;

/// The engine's answers, all together.
const ENGINE_PATIENCE: Duration = Duration::from_secs(15);
const TLS_PATIENCE: Duration = Duration::from_secs(2);
const READY_PATIENCE: Duration = Duration::from_secs(2);
const LOG_PATIENCE: Duration = Duration::from_secs(2);
const METRICS_BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(1),
    body_bytes_max: 8 * 1024 * 1024,
};
/// A project of more services is written by hand.
const SERVICES_MAX: usize = 64;
/// Containers that are looked into, one request each.
const CONTAINERS_MAX: usize = 1000;
/// Ports of a service that are asked for metrics, and published ports that are asked for TLS.
const PORTS_MAX: usize = 8;
/// Files beside the gateway's certificate that may be its authority.
const AUTHORITIES_MAX: usize = 16;
/// The end of the gateway's log: some of it may be errors and starts.
const LOG_LINES: u32 = 50;
/// Ports inside a container that serve TLS by custom.
const TLS_PORTS: [u16; 4] = [443, 8443, 4443, 9443];
/// What entrances are called.
const GATEWAYS: [&str; 10] = [
    "gateway", "nginx", "proxy", "traefik", "caddy", "haproxy", "envoy", "ingress", "edge", "web",
];
/// Readable by all, as a description of a stack without secrets may be; writable by its owner alone.
const FILE_MODE: u32 = 0o644;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Print it instead of writing a file
    #[arg(long, conflicts_with_all = ["force", "file"])]
    stdout: bool,
    /// Where to write it [default: ./quarterdeck.toml]
    file: Option<PathBuf>,
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    let path = call
        .here
        .join(ask.file.as_deref().unwrap_or(Path::new(FILE_NAME)));
    // Said before anything is asked, so that nobody waits for nothing.
    if !ask.stdout && !ask.force && fs::symlink_metadata(&path).is_ok() {
        say(&format!(
            "{} is there already; --force writes over it, --stdout prints instead",
            path.display()
        ));
        return Ok(ExitCode::from(EXIT_CANNOT_CREATE));
    }
    // A file that has problems must not keep a new one from being written.
    let config = match crate::config::Config::without_file(&call.flags, &call.env, &call.here) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return Ok(ExitCode::from(super::EXIT_CONFIG));
        }
    };
    let engine = engine_of(&config);
    let here = config.paths.working_dir.to_string_lossy().into_owned();
    let runtime = runtime()?;
    let found = runtime.block_on(find(&engine, call.project.as_deref(), &here));
    runtime.shutdown_background();
    let (found, notes) = match found {
        Ok(found) => found,
        Err(fault) => {
            say(&fault.to_string());
            return Ok(exit_of(&fault));
        }
    };
    let text = write_example(&found);
    if ask.stdout {
        put(&text)?;
    } else if let Err(error) = write(&path, &text, ask.force) {
        say(&format!("cannot write {}: {error}", path.display()));
        return Ok(ExitCode::from(
            if error.kind() == ErrorKind::PermissionDenied {
                super::EXIT_NOT_PERMITTED
            } else {
                EXIT_CANNOT_CREATE
            },
        ));
    } else {
        say(&format!("wrote {}", path.display()));
    }
    for note in notes {
        say(&note);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whole or not at all: what was there stays until the new one is complete.
fn write(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(FILE_MODE);
    if !force {
        return options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = options
        .open(&new)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What is left of it is of no use; if it cannot be removed either, its name says what it is.
        let _ = fs::remove_file(&new);
    }
    written
}

/// What runs, and what to tell about it.
async fn find(
    engine: &Engine,
    project: Option<&str>,
    here: &str,
) -> Result<(Found, Vec<String>), Fault> {
    let asked = timeout(ENGINE_PATIENCE, containers(engine, project, here)).await;
    let (name, working_dir, containers) = asked.map_err(|_| {
        Fault::new(
            crate::domain::FaultKind::Silent,
            format!("no whole answer from {} in time", engine.address()),
        )
    })??;
    let mut notes = vec![format!("project {name}: {} containers", containers.len())];
    let mut found = Found {
        project: name,
        working_dir,
        services: services(&containers),
        ..Found::default()
    };
    let (metrics, prometheus, gateway) = tokio::join!(
        metrics(&containers),
        prometheus(&containers),
        gateway(&containers)
    );
    for (service, ports) in metrics {
        notes.push(format!(
            "{service}: request metrics on port {}",
            listed(&ports)
        ));
        let service = found
            .services
            .iter_mut()
            .find(|other| other.name == service);
        if let Some(service) = service {
            service.metrics_ports = ports;
        }
    }
    if let Some(port) = prometheus {
        notes.push(format!("Prometheus answers on port {port} of this host"));
        found.prometheus_port = Some(port);
    }
    if let Some(entrance) = gateway {
        notes.extend(entrance.notes());
        found.access_log_of = access_log(engine, &containers, &entrance.service).await;
        if let Some(service) = &found.access_log_of {
            notes.push(format!(
                "{}: writes the JSON access log, sends requests to {service}",
                entrance.service
            ));
        }
        found.ca_file = entrance.ca_file;
        found.gateway = Some((entrance.service, entrance.port));
    } else {
        notes.push("no entrance was found: [gateway] stands there as a comment".to_owned());
    }
    notes.push("edit: environment, the replicas you expect, [[backup]], [[endpoint]]".to_owned());
    Ok((found, notes))
}

async fn containers(
    engine: &Engine,
    project: Option<&str>,
    here: &str,
) -> Result<(Clean, Option<PathBuf>, Vec<Container>), Fault> {
    let name = discover(engine, project, here).await?.stack.name;
    let projects = engine.projects().await?;
    let working_dir = projects
        .iter()
        .find(|other| other.name == name)
        .filter(|other| !other.working_dir.is_empty())
        .map(|other| PathBuf::from(other.working_dir.as_str()));
    let mut all = Vec::new();
    let listed = engine.list(&name).await?;
    for one in listed
        .iter()
        .filter(|one| !one.one_off)
        .take(CONTAINERS_MAX)
    {
        match engine.inspect(&one.id).await {
            Ok(container) => all.push(container),
            // It ended between the two questions.
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((name, working_dir, all))
}

fn services(containers: &[Container]) -> Vec<FoundService> {
    let mut services: BTreeMap<&Clean, FoundService> = BTreeMap::new();
    for container in containers.iter().filter(|c| !c.service.is_empty()) {
        if services.len() >= SERVICES_MAX && !services.contains_key(&container.service) {
            continue;
        }
        let service = services
            .entry(&container.service)
            .or_insert_with(|| FoundService {
                name: container.service.clone(),
                ..FoundService::default()
            });
        service.replicas += u32::from(container.state == ContainerState::Running);
        service.published.extend(published(container));
    }
    let mut services: Vec<FoundService> = services.into_values().collect();
    for service in &mut services {
        service.published.sort_unstable();
        service.published.dedup();
    }
    services
}

/// Ports on this host, and inside.
fn published(container: &Container) -> Vec<(u16, u16)> {
    let ports = container.ports.iter().filter(|port| port.protocol == "tcp");
    ports
        .filter_map(|port| Some((port.host.as_ref()?.1, port.container)))
        .collect()
}

/// The first running container of each service.
fn first_of_each(containers: &[Container]) -> Vec<&Container> {
    let mut seen: Vec<&Container> = Vec::new();
    for container in containers {
        let running = container.state == ContainerState::Running;
        if running && !seen.iter().any(|other| other.service == container.service) {
            seen.push(container);
        }
    }
    seen.truncate(SERVICES_MAX);
    seen
}

/// Services whose replicas count their requests, and on which ports.
async fn metrics(containers: &[Container]) -> Vec<(Clean, Vec<u16>)> {
    let fetch = Fetcher::default();
    let asked = first_of_each(containers).into_iter().map(|container| {
        let fetch = &fetch;
        async move {
            let mut ports: Vec<u16> = container
                .ports
                .iter()
                .filter(|port| port.protocol == "tcp")
                .map(|port| port.container)
                .collect();
            ports.sort_unstable();
            ports.dedup();
            ports.truncate(PORTS_MAX);
            let asked = ports.into_iter().map(|port| async move {
                counts_requests(fetch, container, port)
                    .await
                    .then_some(port)
            });
            let ports: Vec<u16> = join_all(asked).await.into_iter().flatten().collect();
            (container.service.clone(), ports)
        }
    });
    let mut found = join_all(asked).await;
    found.retain(|(_, ports)| !ports.is_empty());
    found
}

async fn counts_requests(fetch: &Fetcher, container: &Container, port: u16) -> bool {
    for address in &container.addresses {
        let host = crate::config::host_port(&address.ip, Some(port));
        let url = format!("http://{host}/metrics");
        if let Ok(answer) = fetch.get(&url, METRICS_BOUNDS).await {
            let seen = exposition::parse(&answer.body, |name| REQUESTS.contains(&name));
            return answer.status == 200 && !seen.samples.is_empty();
        }
    }
    false
}

/// The published port of a service that calls itself Prometheus and answers like it.
async fn prometheus(containers: &[Container]) -> Option<u16> {
    let likely = first_of_each(containers)
        .into_iter()
        .filter(|c| c.service.contains("prometheus") || c.image.name.contains("prometheus"));
    for container in likely {
        for (port, _) in published(container).into_iter().take(PORTS_MAX) {
            let prometheus = Prometheus::new(&format!("http://127.0.0.1:{port}"));
            let ready = timeout(READY_PATIENCE, prometheus.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(port);
            }
        }
    }
    None
}

/// The service at the door.
struct Entrance {
    service: Clean,
    port: Option<u16>,
    ca_file: Option<PathBuf>,
    /// What a validator says of its certificate.
    said: Option<Clean>,
    trusted: bool,
}

impl Entrance {
    fn notes(&self) -> Vec<String> {
        let Some(port) = self.port else {
            return vec![format!(
                "{}: looks like the entrance, and no published port of it answers TLS",
                self.service
            )];
        };
        let said = self.said.as_deref().unwrap_or("a certificate");
        let mut notes = vec![format!("{}: TLS on port {port}, {said}", self.service)];
        match &self.ca_file {
            Some(path) => notes.push(format!("its authority is {}", path.display())),
            None if !self.trusted => notes
                .push("its authority is not known here: set ca_file under [gateway]".to_owned()),
            None => {}
        }
        notes
    }
}

async fn gateway(containers: &[Container]) -> Option<Entrance> {
    let mut doors: Vec<(&Container, u16, u16)> = first_of_each(containers)
        .into_iter()
        .flat_map(|c| {
            published(c)
                .into_iter()
                .map(move |(host, inside)| (c, host, inside))
        })
        .collect();
    doors.sort_by_key(|(container, _, inside)| {
        let named = GATEWAYS.iter().any(|word| container.service.contains(word));
        (!TLS_PORTS.contains(inside), !named)
    });
    for &(container, port, _) in doors.iter().take(PORTS_MAX) {
        let Some((reading, trust)) = shake_hands(port, None).await else {
            continue;
        };
        let mut entrance = Entrance {
            service: container.service.clone(),
            port: Some(port),
            ca_file: None,
            said: Some(reading.summary),
            trusted: matches!(trust, Trust::System),
        };
        if !entrance.trusted
            && let Some((path, said)) = authority(container, port).await
        {
            entrance.ca_file = Some(path);
            entrance.said = Some(said);
            entrance.trusted = true;
        }
        return Some(entrance);
    }
    let (container, _, _) = doors
        .iter()
        .find(|(c, _, _)| GATEWAYS.iter().any(|word| c.service.contains(word)))?;
    Some(Entrance {
        service: container.service.clone(),
        port: None,
        ca_file: None,
        said: None,
        trusted: false,
    })
}

/// A real handshake with a published port of this host.
async fn shake_hands(port: u16, ca_file: Option<PathBuf>) -> Option<(Reading, Trust)> {
    let spec = CertificateSpec {
        at: CertificateAt::Endpoint(Clean::from(format!("localhost:{port}"))),
        name: None,
        ca_file,
        on_disk: None,
        self_signed: false,
        every: TLS_PATIENCE,
    };
    let mut probe = CertificateProbe::new(spec, &Thresholds::default(), Roots::system_lazily());
    let looked = timeout(TLS_PATIENCE, probe.look(Clock::start().now())).await;
    let reading = looked.ok()?.ok()?;
    let trust = match &reading.detail {
        Detail::Certificate(certificate) => certificate.trust.clone(),
        _ => return None,
    };
    Some((reading, trust))
}

/// The authority of the certificate, if it lies beside it among what is mounted into the container.
async fn authority(container: &Container, port: u16) -> Option<(PathBuf, Clean)> {
    let folders = container
        .mounts
        .iter()
        .map(|m| PathBuf::from(m.source.as_str()));
    let mut files: Vec<PathBuf> = folders
        .filter(|path| path.is_absolute())
        .flat_map(|path| match fs::read_dir(&path) {
            Ok(entries) => entries
                .flatten()
                .map(|entry| entry.path())
                .take(AUTHORITIES_MAX)
                .collect(),
            Err(_) => vec![path],
        })
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ["pem", "crt", "cer"].iter().any(|other| ending == *other))
        })
        .filter(|path| fs::metadata(path).is_ok_and(|meta| meta.is_file()))
        .collect();
    // What is called an authority first.
    files.sort_by_key(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        !(name.contains("ca") || name.contains("root"))
    });
    for path in files.into_iter().take(AUTHORITIES_MAX) {
        if let Some((reading, Trust::Given)) = shake_hands(port, Some(path.clone())).await {
            return Some((path, reading.summary));
        }
    }
    None
}

/// Whom the gateway's last requests went to, where its log is the JSON access log.
async fn access_log(engine: &Engine, containers: &[Container], gateway: &Clean) -> Option<Clean> {
    let gateway = containers
        .iter()
        .find(|c| c.service == *gateway && c.state == ContainerState::Running)?;
    let lines = timeout(LOG_PATIENCE, last_lines(engine, gateway))
        .await
        .ok()??;
    let mut by_service: BTreeMap<&Clean, usize> = BTreeMap::new();
    for attempt in lines
        .iter()
        .filter_map(|line| accesslog::parse(line).ok())
        .flat_map(|line| line.attempts)
    {
        let ip = attempt.address.rsplit_once(':').map_or("", |(ip, _)| ip);
        let ip = ip.trim_matches(['[', ']']);
        let upstream = containers
            .iter()
            .find(|c| c.addresses.iter().any(|address| address.ip == *ip));
        if let Some(container) = upstream {
            *by_service.entry(&container.service).or_default() += 1;
        }
    }
    let most = by_service.into_iter().max_by_key(|(_, requests)| *requests);
    most.map(|(service, _)| service.clone())
}

async fn last_lines(engine: &Engine, container: &Container) -> Option<Vec<String>> {
    let head = engine.log_head(&container.id).await.ok()?;
    let range = LogRange {
        tail: Some(LOG_LINES),
        ..LogRange::default()
    };
    let mut lines = engine
        .logs(&container.id, head.terminal, range)
        .await
        .ok()?;
    let mut texts = Vec::new();
    while let Some(Ok(line)) = lines.next().await {
        texts.push(String::from_utf8_lossy(&line.bytes).into_owned());
    }
    Some(texts)
}

fn listed(ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    ports.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_only_written_over_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        write(&path, "one", false).unwrap();
        let error = write(&path, "two", false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }
}
