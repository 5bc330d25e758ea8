//! What `list` and `inspect` say about containers, as our nouns.

use std::collections::BTreeMap;

use serde_json::Value;

use super::reply::At;
use crate::domain::{
    Address, CheckOutput, CheckState, Clean, Container, ContainerId, ContainerState, Drift, Image,
    Limits, Mount, Port,
};

pub(super) const PROJECT: &str = "com.docker.compose.project";
pub(super) const SERVICE: &str = "com.docker.compose.service";
/// The label with a replica's number.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// Between a container's name and the id of the run that replaced it and keeps it aside.
pub const KEPT: &str = "-before-";
/// Between a container's name and the id of the run that is about to put this one in its place.
pub const NEXT: &str = "-next-";
/// How the id of a run begins.
const RUN: &str = "r-";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
const SWARM_PROJECT: &str = "com.docker.stack.namespace";
const SWARM_SERVICE: &str = "com.docker.swarm.service.name";
const SWARM_TASK: &str = "com.docker.swarm.task.name";

/// The engine keeps five results of a health check.
const CHECK_LOG_MAX: usize = 5;
/// A container with more of anything than this is an attack on memory, not a container.
const PARTS_MAX: usize = 256;

/// A Compose project, as its containers' labels tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    pub name: Clean,
    pub services: Vec<Clean>,
    pub running: u32,
    /// Newest Compose writes absolute paths, the old one relative to `working_dir`.
    pub config_files: Clean,
    pub working_dir: Clean,
}

/// One line of the engine's list. Cheap to get, so it decides what must be inspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: ContainerId,
    pub name: Clean,
    pub project: Clean,
    pub service: Clean,
    pub number: Option<u32>,
    /// Made by `docker compose run`, or kept aside by a run of ours: no replica.
    pub one_off: bool,
    pub state: ContainerState,
    pub check: CheckState,
    pub image: Clean,
    pub image_id: Clean,
    config_files: Clean,
    working_dir: Clean,
}

impl Listed {
    pub(super) fn read(entry: At<'_>) -> Option<Self> {
        let id = entry.at("Id").text();
        let labels = entry.at("Labels");
        let names = Names::of(labels);
        let name = entry.at("Names").items().next().map_or("", At::str);
        let by_compose = labels.at(ONE_OFF).str().eq_ignore_ascii_case("true");
        (!id.is_empty()).then(|| Self {
            id: ContainerId(id),
            name: Clean::line(name.trim_start_matches('/')),
            project: names.project,
            service: names.service,
            number: names.number,
            one_off: by_compose || is_aside(name),
            state: ContainerState::parse(entry.at("State").str()),
            check: check_of_status(entry.at("Status").str()),
            image: entry.at("Image").text(),
            image_id: entry.at("ImageID").text(),
            config_files: labels.at(CONFIG_FILES).text(),
            working_dir: labels.at(WORKING_DIR).text(),
        })
    }

    /// As much of a container as the list alone tells; `why` says what the rest is missing for.
    pub fn as_container(&self, why: Clean) -> Container {
        Container {
            id: self.id.clone(),
            name: self.name.clone(),
            project: self.project.clone(),
            service: self.service.clone(),
            number: self.number,
            state: self.state.clone(),
            check: self.check,
            check_streak: 0,
            check_log: Vec::new(),
            check_command: Clean::default(),
            restarts: 0,
            exit_code: None,
            oom_killed: false,
            error: why.clone(),
            created_at: None,
            started_at: None,
            finished_at: None,
            image: Image {
                name: self.image.clone(),
                id: self.image_id.clone(),
                digest: None,
            },
            drift: Drift::Unknown(why),
            addresses: Vec::new(),
            ports: Vec::new(),
            mounts: Vec::new(),
            labels: BTreeMap::new(),
            limits: Limits::default(),
            restart_policy: Clean::default(),
            user: Clean::default(),
            pid: None,
        }
    }
}

/// Groups listed containers by their project, sorted by name.
pub(super) fn projects(listed: &[Listed]) -> Vec<Project> {
    let mut by_name: BTreeMap<&Clean, Project> = BTreeMap::new();
    for one in listed.iter().filter(|one| !one.project.is_empty()) {
        let project = by_name.entry(&one.project).or_insert_with(|| Project {
            name: one.project.clone(),
            ..Project::default()
        });
        if !one.one_off && !project.services.contains(&one.service) {
            project.services.push(one.service.clone());
        }
        if one.state == ContainerState::Running {
            project.running += 1;
        }
        // Recreated containers carry the newest paths, and the list has the newest first.
        if project.config_files.is_empty() {
            project.config_files = one.config_files.clone();
            project.working_dir = one.working_dir.clone();
        }
    }
    let mut projects: Vec<Project> = by_name.into_values().collect();
    for project in &mut projects {
        project.services.sort();
    }
    projects
}

/// It has the labels of the replica that it was or will be, and is none now.
fn is_aside(name: &str) -> bool {
    [KEPT, NEXT]
        .iter()
        .filter_map(|sign| name.rsplit_once(sign))
        .any(|(_, run)| run.starts_with(RUN))
}

struct Names {
    project: Clean,
    service: Clean,
    number: Option<u32>,
}

impl Names {
    fn of(labels: At<'_>) -> Self {
        let project = labels.at(PROJECT).text();
        if !project.is_empty() {
            return Self {
                project,
                service: labels.at(SERVICE).text(),
                number: labels.at(NUMBER).str().parse().ok(),
            };
        }
        let project = labels.at(SWARM_PROJECT).text();
        let service = labels.at(SWARM_SERVICE).str();
        let bare = service
            .strip_prefix(&*project)
            .and_then(|s| s.strip_prefix('_'));
        // `web_server.2.x4k…`
        let slot = labels.at(SWARM_TASK).str().split('.').nth(1);
        Self {
            service: Clean::line(bare.unwrap_or(service)),
            number: slot.and_then(|n| n.parse().ok()),
            project,
        }
    }
}

/// Engines before API 1.52 tell the health only in the text for people: `Up 2 hours (healthy)`.
fn check_of_status(status: &str) -> CheckState {
    if status.contains("(healthy)") {
        CheckState::Healthy
    } else if status.contains("(unhealthy)") {
        CheckState::Unhealthy
    } else if status.contains("(health: starting)") {
        CheckState::Starting
    } else {
        CheckState::None
    }
}

pub(super) fn check_of_word(word: &str) -> CheckState {
    match word {
        "healthy" => CheckState::Healthy,
        "unhealthy" => CheckState::Unhealthy,
        "starting" => CheckState::Starting,
        _ => CheckState::None,
    }
}

/// What `inspect` says. `None` where even the id is missing.
pub(super) fn inspected(value: &Value) -> Option<Container> {
    let root = At::root(value);
    let (config, host, state) = (root.at("Config"), root.at("HostConfig"), root.at("State"));
    let id = root.at("Id").text();
    if id.is_empty() {
        return None;
    }
    let names = Names::of(config.at("Labels"));
    let health = state.at("Health");
    let status = ContainerState::parse(state.at("Status").str());
    let finished_at = state.at("FinishedAt").time();
    let check_command = config.at("Healthcheck").at("Test");
    Some(Container {
        id: ContainerId(id),
        name: Clean::line(root.at("Name").str().trim_start_matches('/')),
        project: names.project,
        service: names.service,
        number: names.number,
        check: match status {
            // A stopped container keeps the last verdict of its check, which says nothing any more.
            ContainerState::Running | ContainerState::Paused => {
                check_of_word(health.at("Status").str())
            }
            _ => CheckState::None,
        },
        check_streak: number(health.at("FailingStreak")),
        check_log: check_log(health),
        check_command: one_line(check_command.items().skip(1)),
        restarts: number(root.at("RestartCount")),
        exit_code: finished_at.and(state.at("ExitCode").i64()),
        oom_killed: state.at("OOMKilled").flag(),
        error: state.at("Error").text(),
        created_at: root.at("Created").time(),
        started_at: state.at("StartedAt").time(),
        finished_at,
        image: Image {
            name: config.at("Image").text(),
            id: root.at("Image").text(),
            digest: None,
        },
        drift: Drift::Unknown(Clean::from("not compared yet")),
        addresses: addresses(root.at("NetworkSettings")),
        ports: ports(root.at("NetworkSettings").at("Ports")),
        mounts: mounts(root.at("Mounts")),
        labels: config
            .at("Labels")
            .entries()
            .take(PARTS_MAX)
            .map(|(key, value)| (Clean::line(key), value.text()))
            .collect(),
        limits: limits(host),
        restart_policy: host.at("RestartPolicy").at("Name").text(),
        user: config.at("User").text(),
        pid: state
            .at("Pid")
            .u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0),
        state: status,
    })
}

fn number(at: At<'_>) -> u32 {
    at.u64().map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
}

fn one_line<'a>(words: impl Iterator<Item = At<'a>>) -> Clean {
    let words: Vec<&str> = words.take(PARTS_MAX).map(At::str).collect();
    Clean::line(&words.join(" "))
}

fn check_log(health: At<'_>) -> Vec<CheckOutput> {
    let mut log: Vec<CheckOutput> = health
        .at("Log")
        .items()
        .take(PARTS_MAX)
        .map(|entry| CheckOutput {
            at: entry.at("End").time(),
            exit: entry.at("ExitCode").i64().unwrap_or(-1),
            output: Clean::line(entry.at("Output").str().trim_end()),
        })
        .collect();
    log.drain(..log.len().saturating_sub(CHECK_LOG_MAX));
    log
}

fn addresses(settings: At<'_>) -> Vec<Address> {
    settings
        .at("Networks")
        .entries()
        .take(PARTS_MAX)
        .filter(|(_, network)| !network.at("IPAddress").str().is_empty())
        .map(|(name, network)| Address {
            network: Clean::line(name),
            ip: network.at("IPAddress").text(),
        })
        .collect()
}

fn ports(ports: At<'_>) -> Vec<Port> {
    let mut all = Vec::new();
    for (name, bindings) in ports.entries().take(PARTS_MAX) {
        let (container, protocol) = name.split_once('/').unwrap_or((name, "tcp"));
        let Ok(container) = container.parse() else {
            continue;
        };
        let port = |host| Port {
            host,
            container,
            protocol: Clean::line(protocol),
        };
        let before = all.len();
        for binding in bindings.items().take(PARTS_MAX) {
            if let Ok(number) = binding.at("HostPort").str().parse() {
                all.push(port(Some((binding.at("HostIp").text(), number))));
            }
        }
        if all.len() == before {
            all.push(port(None));
        }
    }
    all
}

fn mounts(mounts: At<'_>) -> Vec<Mount> {
    mounts
        .items()
        .take(PARTS_MAX)
        .map(|mount| Mount {
            source: match mount.at("Name").str() {
                "" => mount.at("Source").text(),
                name => Clean::line(name),
            },
            target: mount.at("Destination").text(),
            writable: mount.at("RW").flag(),
        })
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no host has 2^53 billionths of a core"
)]
fn limits(host: At<'_>) -> Limits {
    let quota = || {
        let period = host.at("CpuPeriod").limit().unwrap_or(100_000);
        host.at("CpuQuota")
            .limit()
            .map(|quota| quota as f64 / period as f64)
    };
    Limits {
        memory_bytes: host.at("Memory").limit(),
        cpus: host
            .at("NanoCpus")
            .limit()
            .map(|n| n as f64 / 1e9)
            .or_else(quota),
        pids: host.at("PidsLimit").limit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_inspected_container_is_read_whole() {
        let container = inspected(&json!({
            "Id": "ab12", "Name": "/lab-server-2", "Created": "2026-11-20T12:00:00.5Z", "RestartCount": 2, "Image": "sha256:1",
            "State": {"Status": "running", "Pid": 42, "StartedAt": "2026-11-20T12:00:01Z", "FinishedAt": "0001-01-01T00:00:00Z", "ExitCode": 0,
                "Health": {"Status": "unhealthy", "FailingStreak": 4, "Log": [{"End": "2026-11-20T12:00:09Z", "ExitCode": 1, "Output": "no\n"}]}},
            "Config": {"Image": "server:1", "Healthcheck": {"Test": ["CMD", "curl", "-f"]}, "Labels": {PROJECT: "lab", SERVICE: "server", NUMBER: "2"}},
            "HostConfig": {"Memory": 1024, "NanoCpus": 500_000_000, "PidsLimit": null, "RestartPolicy": {"Name": "always"}},
            "NetworkSettings": {"Networks": {"lab_default": {"IPAddress": "10.0.0.2"}}, "Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "53/udp": null}},
            "Mounts": [{"Name": "data", "Source": "/var/lib/x", "Destination": "/data", "RW": true}]
        }))
        .unwrap();
        assert_eq!(container.replica().as_str(), "server-2");
        assert_eq!(
            (container.check, container.check_streak, container.pid),
            (CheckState::Unhealthy, 4, Some(42))
        );
        assert_eq!(container.exit_code, None, "it has never ended");
        assert_eq!(container.check_command.as_str(), "curl -f");
        assert_eq!(
            container.limits,
            Limits {
                memory_bytes: Some(1024),
                cpus: Some(0.5),
                pids: None
            }
        );
        assert_eq!(container.ports.len(), 2);
        assert_eq!(
            container.ports.iter().filter(|p| p.host.is_some()).count(),
            1
        );
        assert_eq!(container.mounts[0].source.as_str(), "data");
    }

    #[test]
    fn unknown_words_empty_dates_and_wrong_types_cost_only_themselves() {
        let container = inspected(&json!({
            "Id": "ab", "Name": 7, "Created": "", "RestartCount": -1, "State": {"Status": "stopped", "Pid": "x", "FinishedAt": "soon"},
            "Config": {"Labels": null}, "HostConfig": {"Memory": -1, "CpuQuota": 50000}, "Mounts": {}, "Future": [[]]
        }))
        .unwrap();
        assert_eq!(
            container.state,
            ContainerState::Other(Clean::from("stopped"))
        );
        assert_eq!(
            (container.created_at, container.restarts, container.pid),
            (None, 0, None)
        );
        assert_eq!(container.limits.cpus, Some(0.5));
        assert_eq!(inspected(&json!({"State": {}})), None);
        assert_eq!(inspected(&json!("nonsense")), None);
    }

    #[test]
    fn the_lists_status_text_tells_the_health() {
        let list = |status: &str| {
            let entry = json!({"Id": "1", "Names": ["/a"], "State": "running", "Status": status});
            Listed::read(At::root(&entry)).unwrap().check
        };
        assert_eq!(list("Up 2 hours (healthy)"), CheckState::Healthy);
        assert_eq!(list("Up 1 second (health: starting)"), CheckState::Starting);
        assert_eq!(list("Up 2 hours (unhealthy)"), CheckState::Unhealthy);
        assert_eq!(list("Up 2 hours (Paused)"), CheckState::None);
    }

    #[test]
    fn swarm_tasks_have_names_too() {
        let labels = json!({SWARM_PROJECT: "web", SWARM_SERVICE: "web_server", SWARM_TASK: "web_server.2.x4k"});
        let names = Names::of(At::root(&labels));
        assert_eq!(
            (names.project.as_str(), names.service.as_str(), names.number),
            ("web", "server", Some(2))
        );
    }
}
