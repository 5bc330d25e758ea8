//! The engine's documents about containers, images, networks, volumes and the disk.

use serde_json::{Map, Value, json};

use super::route::Call;
use super::{API_VERSION, ENGINE_VERSION};
use crate::range::figures::count;
use crate::range::world::{Container, Image, Ms, PROJECT, Refusal, Service, State, Verdict, World};
use crate::range::yard::Yard;

const NEVER: &str = "0001-01-01T00:00:00Z";
const NETWORK_ID: &str = "5f1d7c2ab3e94c0d8f6a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";

pub(super) fn at(world: &World, reference: &str) -> Result<usize, Refusal> {
    world
        .find(reference)
        .ok_or_else(|| Refusal::NotFound(format!("No such container: {reference}")))
}

pub(super) fn container(world: &World, yard: &Yard, reference: &str) -> Result<Value, Refusal> {
    let c = &world.containers[at(world, reference)?];
    let date = |at: Option<Ms>| at.map_or(NEVER.to_owned(), |at| yard.clock.rfc3339(at));
    let cmd = c.config["Cmd"].as_array().cloned().unwrap_or_default();
    Ok(json!({
        "Id": c.id,
        "Created": date(Some(c.created)),
        "Path": cmd.first().cloned().unwrap_or(json!("")),
        "Args": cmd.get(1..).unwrap_or_default(),
        "State": state(c, yard),
        "Image": c.image_id,
        "ResolvConfPath": format!("/var/lib/docker/containers/{}/resolv.conf", c.id),
        "HostnamePath": format!("/var/lib/docker/containers/{}/hostname", c.id),
        "HostsPath": format!("/var/lib/docker/containers/{}/hosts", c.id),
        "LogPath": format!("/var/lib/docker/containers/{}/{}-json.log", c.id, c.id),
        "Name": format!("/{}", c.name),
        "RestartCount": c.restarts,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "docker-default",
        "ExecIDs": null,
        "HostConfig": c.host_config,
        "GraphDriver": {"Data": null, "Name": "overlay2"},
        "SizeRw": c.layer_bytes,
        "Mounts": mounts(c),
        "Config": c.config,
        "NetworkSettings": network_settings(c, yard),
    }))
}

fn state(c: &Container, yard: &Yard) -> Value {
    let date = |at: Option<Ms>| at.map_or(NEVER.to_owned(), |at| yard.clock.rfc3339(at));
    let is_up = matches!(c.state, State::Running | State::Paused);
    let mut state = json!({
        "Status": c.state.word(),
        "Running": is_up || c.state == State::Restarting,
        "Paused": c.state == State::Paused,
        "Restarting": c.state == State::Restarting,
        "OOMKilled": c.oom_killed,
        "Dead": false,
        "Pid": if is_up { c.pid } else { 0 },
        "ExitCode": c.exit,
        "Error": "",
        "StartedAt": date(c.started),
        "FinishedAt": date(c.finished),
    });
    if let Some(health) = &c.health {
        let log: Vec<Value> = health
            .log
            .iter()
            .map(|e| {
                json!({
                    "Start": yard.clock.rfc3339(e.at - 40),
                    "End": yard.clock.rfc3339(e.at),
                    "ExitCode": e.exit,
                    "Output": e.output,
                })
            })
            .collect();
        state["Health"] =
            json!({"Status": health.verdict.word(), "FailingStreak": health.streak, "Log": log});
    }
    state
}

fn mounts(c: &Container) -> Vec<Value> {
    let binds = c.host_config["Binds"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let parsed = binds.iter().filter_map(Value::as_str).filter_map(|bind| {
        let mut parts = bind.split(':');
        let (source, target) = (parts.next()?, parts.next()?);
        let mode = parts.next().unwrap_or("rw");
        let is_volume = !source.starts_with('/');
        Some(json!({
            "Type": if is_volume { "volume" } else { "bind" },
            "Name": if is_volume { source } else { "" },
            "Source": if is_volume { format!("/var/lib/docker/volumes/{source}/_data") } else { source.to_owned() },
            "Destination": target,
            "Driver": if is_volume { "local" } else { "" },
            "Mode": mode,
            "RW": mode != "ro",
            "Propagation": "",
        }))
    });
    parsed.collect()
}

fn published(c: &Container) -> impl Iterator<Item = (u16, Option<(String, u16)>)> {
    let exposed = c.config["ExposedPorts"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let bindings = c.host_config["PortBindings"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let mut keys: Vec<String> = exposed.keys().chain(bindings.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    keys.into_iter().filter_map(move |key| {
        let inside = key.split('/').next()?.parse().ok()?;
        let binding = &bindings.get(&key).cloned().unwrap_or_default()[0];
        let outside = binding["HostPort"].as_str().and_then(|p| p.parse().ok());
        let ip = binding["HostIp"].as_str().unwrap_or("0.0.0.0").to_owned();
        Some((inside, outside.map(|port| (ip, port))))
    })
}

fn network_settings(c: &Container, yard: &Yard) -> Value {
    let is_up = matches!(c.state, State::Running | State::Paused);
    let mut ports = Map::new();
    for (inside, outside) in published(c).filter(|_| is_up) {
        let bound = outside.map_or(
            Value::Null,
            |(ip, port)| json!([{"HostIp": ip, "HostPort": port.to_string()}]),
        );
        ports.insert(format!("{inside}/tcp"), bound);
    }
    json!({
        "Bridge": "",
        "SandboxID": "",
        "Ports": ports,
        "Networks": {format!("{PROJECT}_default"): endpoint(c, yard)},
    })
}

fn address(c: &Container, yard: &Yard) -> String {
    c.host
        .map_or(String::new(), |host| yard.network.address(host).to_string())
}

fn endpoint(c: &Container, yard: &Yard) -> Value {
    let has_address = c.host.is_some();
    json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": [c.name, c.service.word()],
        "MacAddress": c.host.map_or(String::new(), |h| format!("02:42:ac:12:00:{h:02x}")),
        "NetworkID": NETWORK_ID,
        "EndpointID": if has_address { &c.id[..] } else { "" },
        "Gateway": if has_address { yard.network.address(1).to_string() } else { String::new() },
        "IPAddress": address(c, yard),
        "IPPrefixLen": if has_address { 24 } else { 0 },
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": [c.name, c.service.word(), &c.id[..12]],
    })
}

pub(super) fn list(world: &World, yard: &Yard, call: &Call) -> Value {
    let all = call.flag("all").unwrap_or(false) || !call.filter("status").is_empty();
    let has_size = call.flag("size").unwrap_or(false);
    let shown = world
        .containers
        .iter()
        .rev()
        .filter(|c| all || !matches!(c.state, State::Exited | State::Created))
        .filter(|c| is_wanted(c, call));
    shown.map(|c| summary(world, c, yard, has_size)).collect()
}

fn is_wanted(c: &Container, call: &Call) -> bool {
    let any = |values: Vec<String>, fits: &dyn Fn(&str) -> bool| {
        values.is_empty() || values.iter().any(|v| fits(v))
    };
    let labels = call.filter("label");
    labels.iter().all(|label| match label.split_once('=') {
        Some((key, value)) => c.label(key) == Some(value),
        None => c.label(label).is_some(),
    }) && any(call.filter("name"), &|name| {
        c.name.contains(name.trim_start_matches('/'))
    }) && any(call.filter("id"), &|id| c.id.starts_with(id))
        && any(call.filter("status"), &|status| c.state.word() == status)
        && any(call.filter("health"), &|word| {
            c.health.as_ref().map_or("none", |h| h.verdict.word()) == word
        })
        && any(call.filter("ancestor"), &|image| {
            c.image == image || c.image_id == image
        })
}

fn summary(world: &World, c: &Container, yard: &Yard, has_size: bool) -> Value {
    let ports: Vec<Value> = published(c)
        .filter(|_| matches!(c.state, State::Running | State::Paused))
        .map(|(inside, outside)| match outside {
            Some((ip, port)) => {
                json!({"IP": ip, "PrivatePort": inside, "PublicPort": port, "Type": "tcp"})
            }
            None => json!({"PrivatePort": inside, "Type": "tcp"}),
        })
        .collect();
    let words = c.config["Cmd"].as_array().cloned().unwrap_or_default();
    let command: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    let mut summary = json!({
        "Id": c.id,
        "Names": [format!("/{}", c.name)],
        "Image": c.image,
        "ImageID": c.image_id,
        "Command": command.join(" "),
        "Created": yard.clock.wall_ms(c.created) / 1_000,
        "Ports": ports,
        "Labels": c.config["Labels"],
        "State": c.state.word(),
        "Status": status(c, world.now()),
        "HostConfig": {"NetworkMode": c.host_config["NetworkMode"]},
        "NetworkSettings": {"Networks": {format!("{PROJECT}_default"): endpoint(c, yard)}},
        "Mounts": mounts(c),
    });
    if has_size {
        let image = world
            .images
            .iter()
            .find(|i| i.id == c.image_id)
            .map_or(0, |i| i.bytes);
        summary["SizeRw"] = c.layer_bytes.into();
        summary["SizeRootFs"] = (c.layer_bytes + image).into();
    }
    summary
}

/// `Up 3 days (healthy)`, `Exited (137) 5 seconds ago`.
fn status(c: &Container, now: Ms) -> String {
    let ago = |since: Option<Ms>| span(now - since.unwrap_or(now));
    let health = match c.health.as_ref().map(|h| h.verdict) {
        None => "",
        Some(Verdict::Starting) => " (health: starting)",
        Some(Verdict::Healthy) => " (healthy)",
        Some(Verdict::Unhealthy) => " (unhealthy)",
    };
    match c.state {
        State::Created => "Created".into(),
        State::Running => format!("Up {}{health}", ago(c.started)),
        State::Paused => format!("Up {} (Paused)", ago(c.started)),
        State::Restarting => format!("Restarting ({}) {} ago", c.exit, ago(c.finished)),
        State::Exited => format!("Exited ({}) {} ago", c.exit, ago(c.finished)),
    }
}

/// In the engine's words.
fn span(ms: Ms) -> String {
    let s = ms / 1_000;
    match s {
        ..1 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{s} seconds"),
        60..120 => "About a minute".into(),
        120..3_600 => format!("{} minutes", s / 60),
        3_600..7_200 => "About an hour".into(),
        7_200..172_800 => format!("{} hours", s / 3_600),
        _ => format!("{} days", s / 86_400),
    }
}

pub(super) fn top(world: &World, reference: &str) -> Result<Value, Refusal> {
    let c = &world.containers[at(world, reference)?];
    if !c.is_running() {
        return Err(Refusal::Conflict(format!(
            "Container {} is not running",
            c.id
        )));
    }
    let words = c.config["Cmd"].as_array().cloned().unwrap_or_default();
    let command: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    let command = command.join(" ");
    let row = |user: &str, pid: u32, parent: u32, command: &str| {
        json!([
            user,
            pid.to_string(),
            parent.to_string(),
            "0",
            "00:00",
            "?",
            "00:00:12",
            command
        ])
    };
    let processes = match c.service {
        Service::Gateway => {
            let worker = |pid: u32, word: &str| row("101", pid, c.pid, word);
            let master = format!("nginx: master process {command}");
            let mut rows = vec![row("root", c.pid, 1, &master)];
            let gateway = &world.gateway;
            rows.extend(
                gateway
                    .workers
                    .iter()
                    .map(|pid| worker(*pid, "nginx: worker process")),
            );
            let ending = gateway.ending_workers.iter();
            let ending = ending.filter(|(_, gone)| *gone > world.now());
            rows.extend(
                ending.map(|(pid, _)| worker(*pid, "nginx: worker process is shutting down")),
            );
            rows
        }
        Service::Client
        | Service::Server
        | Service::Postgres
        | Service::Redis
        | Service::Prometheus
        | Service::Grafana
        | Service::Other => vec![row("root", c.pid, 1, &command)],
    };
    Ok(json!({
        "Titles": ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"],
        "Processes": processes,
    }))
}

pub(super) fn info(world: &World) -> Value {
    let of = |state: State| world.containers.iter().filter(|c| c.state == state).count();
    json!({
        "ID": format!("range-{}", world.seed),
        "Name": "practice-range",
        "Containers": world.containers.len(),
        "ContainersRunning": of(State::Running),
        "ContainersPaused": of(State::Paused),
        "ContainersStopped": of(State::Exited) + of(State::Created) + of(State::Restarting),
        "Images": world.images.len(),
        "Driver": "overlay2",
        "DockerRootDir": "/var/lib/docker",
        "LoggingDriver": "json-file",
        "CgroupDriver": "systemd",
        "CgroupVersion": "2",
        "NCPU": 4,
        "MemTotal": 8_589_934_592_u64,
        "OperatingSystem": "Practice range (simulated)",
        "OSType": "linux",
        "Architecture": "x86_64",
        "KernelVersion": "6.1.0-range",
        "ServerVersion": ENGINE_VERSION,
        "Swarm": {"LocalNodeState": "inactive", "ControlAvailable": false},
        "Labels": ["environment=training"],
        "Warnings": null,
        "ApiVersion": API_VERSION,
    })
}

pub(super) fn images(world: &World, yard: &Yard, call: &Call) -> Value {
    let references = call.filter("reference");
    let wanted = |i: &&Image| {
        references.is_empty()
            || references
                .iter()
                .any(|r| i.tag == *r || i.tag.split(':').next() == Some(r))
    };
    world
        .images
        .iter()
        .filter(wanted)
        .map(|image| {
            let uses = world
                .containers
                .iter()
                .filter(|c| c.image_id == image.id)
                .count();
            json!({
                "Id": image.id,
                "ParentId": "",
                "RepoTags": [image.tag],
                "RepoDigests": [digest(image)],
                "Created": yard.clock.wall_ms(image.created) / 1_000,
                "Size": image.bytes,
                "SharedSize": -1,
                "Labels": {},
                "Containers": uses,
            })
        })
        .collect()
}

fn digest(image: &Image) -> String {
    let name = image.tag.split(':').next().unwrap_or_default();
    let hex: String = image
        .id
        .trim_start_matches("sha256:")
        .chars()
        .rev()
        .collect();
    format!("{name}@sha256:{hex}")
}

pub(super) fn image(world: &World, yard: &Yard, reference: &str) -> Result<Value, Refusal> {
    let image = world
        .image(reference)
        .ok_or_else(|| Refusal::NotFound(format!("No such image: {reference}")))?;
    Ok(json!({
        "Id": image.id,
        "RepoTags": [image.tag],
        "RepoDigests": [digest(image)],
        "Parent": "",
        "Created": yard.clock.rfc3339(image.created),
        "Architecture": "amd64",
        "Os": "linux",
        "Size": image.bytes,
        "Config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": null, "Entrypoint": null, "Labels": {}},
        "RootFS": {"Type": "layers", "Layers": [image.id]},
    }))
}

pub(super) fn network(world: &World, yard: &Yard) -> Value {
    let attached: Map<String, Value> = world
        .containers
        .iter()
        .filter(|c| c.host.is_some())
        .map(|c| {
            let ip = format!("{}/24", address(c, yard));
            (
                c.id.clone(),
                json!({"Name": c.name, "EndpointID": c.id, "IPv4Address": ip, "IPv6Address": ""}),
            )
        })
        .collect();
    json!({
        "Name": format!("{PROJECT}_default"),
        "Id": NETWORK_ID,
        "Created": yard.clock.rfc3339(-crate::range::world::AGE_MS),
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv6": false,
        "IPAM": {"Driver": "default", "Options": null, "Config": [{"Subnet": format!("{}0/24", yard.network.front()), "Gateway": yard.network.address(1).to_string()}]},
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "Containers": attached,
        "Options": {},
        "Labels": {"com.docker.compose.network": "default", "com.docker.compose.project": PROJECT},
    })
}

pub(super) fn volumes(yard: &Yard) -> Value {
    ["pg_data", "redis_data", "prometheus_data"]
        .iter()
        .map(|name| {
            json!({
                "Name": format!("{PROJECT}_{name}"),
                "Driver": "local",
                "Mountpoint": format!("/var/lib/docker/volumes/{PROJECT}_{name}/_data"),
                "CreatedAt": yard.clock.rfc3339(-crate::range::world::AGE_MS),
                "Labels": {"com.docker.compose.project": PROJECT, "com.docker.compose.volume": name},
                "Scope": "local",
                "Options": null,
            })
        })
        .collect()
}

pub(super) fn df(world: &World, yard: &Yard) -> Value {
    let everything = Call {
        method: "GET".into(),
        path: "/containers/json".into(),
        query: [("all", "1"), ("size", "1")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        body: Value::Null,
    };
    let layers: u64 = world.images.iter().map(|i| i.bytes).sum();
    let mut volumes = volumes(yard);
    for (at, bytes) in [612_000_000_u64, 4_100_000, 388_000_000]
        .into_iter()
        .enumerate()
    {
        volumes[at]["UsageData"] = json!({"Size": bytes, "RefCount": 1});
    }
    json!({
        "LayersSize": layers,
        "Images": images(world, yard, &everything),
        "Containers": list(world, yard, &everything),
        "Volumes": volumes,
        "BuildCache": [],
        "BuilderSize": 0,
        "ImageCount": count(world.images.len()),
    })
}
