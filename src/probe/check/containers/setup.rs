//! How replicas are set up: image, user, limits, mounts, and what a container must not be.

use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CONCURRENCY, Containers, TOLD_MAX};
use crate::domain::{Clean, ContainerId, Expectation, Fault, Unit};
use crate::link::docker::Listed;
use crate::probe::check::Eyes;
use crate::probe::check::seen::{Seen, suits_number, suits_text};

/// What a container must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Must {
    NotRoot,
    MemoryLimit,
    CpuLimit,
    HealthCheck,
    Unprivileged,
    /// The engine's socket is not in it: who has it is root on the host.
    NoSocket,
    /// What is mounted from the host cannot be written; volumes can.
    ReadOnlyMounts,
    /// Its own root file system cannot be written.
    ReadOnlyRoot,
    /// It shares neither network nor processes with the host.
    OwnNamespaces,
}

impl Must {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::NotRoot => "not root",
            Self::MemoryLimit => "memory limit",
            Self::CpuLimit => "cpu limit",
            Self::HealthCheck => "health check",
            Self::Unprivileged => "unprivileged",
            Self::NoSocket => "no engine socket",
            Self::ReadOnlyMounts => "read-only mounts",
            Self::ReadOnlyRoot => "read-only root",
            Self::OwnNamespaces => "own namespaces",
        }
    }

    /// What is wrong, if something is.
    fn broken(self, setup: &Setup<'_>) -> Option<String> {
        let says = |is_so: bool, what: &str| is_so.then(|| what.to_owned());
        match self {
            Self::NotRoot => says(setup.user() == "root", "runs as root"),
            Self::MemoryLimit => says(setup.memory().is_none(), "has no memory limit"),
            Self::CpuLimit => says(setup.cpus().is_none(), "has no cpu limit"),
            Self::HealthCheck => says(!setup.has_health_check(), "has no health check"),
            Self::Unprivileged => says(setup.flag("/HostConfig/Privileged"), "is privileged"),
            Self::NoSocket => setup
                .sockets()
                .map(|path| format!("holds the engine's socket, as {path}")),
            Self::ReadOnlyMounts => {
                let writable = setup.writable();
                let list = writable.join(", ");
                (!writable.is_empty()).then(|| format!("may write {list} of the host"))
            }
            Self::ReadOnlyRoot => says(
                !setup.flag("/HostConfig/ReadonlyRootfs"),
                "may write its root file system",
            ),
            Self::OwnNamespaces => setup
                .shared()
                .map(|what| format!("shares its {what} with the host")),
        }
    }
}

/// A container, as the engine's own words describe it.
struct Setup<'a>(&'a Value);

impl Setup<'_> {
    fn str(&self, pointer: &str) -> &str {
        let value = self.0.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default()
    }

    fn flag(&self, pointer: &str) -> bool {
        self.0
            .pointer(pointer)
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    /// Zero and less mean none to the engine.
    fn limit(&self, pointer: &str) -> Option<f64> {
        let value = self.0.pointer(pointer).and_then(Value::as_f64)?;
        (value > 0.0).then_some(value)
    }

    /// Without its group; nobody, 0 and root are all root.
    fn user(&self) -> &str {
        let user = self.str("/Config/User");
        match user.split(':').next().unwrap_or_default() {
            "" | "0" | "root" => "root",
            user => user,
        }
    }

    fn memory(&self) -> Option<f64> {
        self.limit("/HostConfig/Memory")
    }

    fn cpus(&self) -> Option<f64> {
        let nano = self.limit("/HostConfig/NanoCpus").map(|nano| nano / 1e9);
        let quota = || {
            let period = self.limit("/HostConfig/CpuPeriod").unwrap_or(100_000.0);
            Some(self.limit("/HostConfig/CpuQuota")? / period)
        };
        nano.or_else(quota)
    }

    fn has_health_check(&self) -> bool {
        let test = self.0.pointer("/Config/Healthcheck/Test");
        let first = test.and_then(|test| test.get(0)).and_then(Value::as_str);
        first.is_some_and(|word| word != "NONE")
    }

    fn mounts(&self) -> impl Iterator<Item = &Value> {
        self.0
            .pointer("/Mounts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    fn sockets(&self) -> Option<String> {
        let text = |mount: &Value, key: &str| {
            mount
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        self.mounts().find_map(|mount| {
            let source = text(mount, "Source");
            let is_socket = ["docker.sock", "containerd.sock", "podman.sock"]
                .iter()
                .any(|name| source.ends_with(name));
            // A directory above it brings it along.
            let above = matches!(
                source.trim_end_matches('/'),
                "/var/run" | "/run" | "/var" | ""
            );
            let bind = text(mount, "Type") == "bind";
            (bind && (is_socket || above)).then(|| text(mount, "Destination"))
        })
    }

    fn writable(&self) -> Vec<String> {
        self.mounts()
            .filter(|mount| mount.get("Type").and_then(Value::as_str) == Some("bind"))
            .filter(|mount| mount.get("RW").and_then(Value::as_bool) != Some(false))
            .filter_map(|mount| Some(mount.get("Source")?.as_str()?.to_owned()))
            .collect()
    }

    fn shared(&self) -> Option<&'static str> {
        [
            ("/HostConfig/NetworkMode", "network"),
            ("/HostConfig/PidMode", "processes"),
            ("/HostConfig/IpcMode", "memory segments"),
            ("/HostConfig/UTSMode", "name"),
        ]
        .into_iter()
        .find(|(pointer, _)| self.str(pointer) == "host")
        .map(|(_, what)| what)
    }
}

impl Containers {
    pub(super) fn wants_setup(&self) -> bool {
        !self.must.is_empty()
            || self
                .setup_wishes()
                .iter()
                .any(|(_, wanted)| wanted.is_some())
    }

    pub(super) fn setup_wishes(&self) -> [(&'static str, Option<&Expectation>); 6] {
        [
            ("image size", self.image_size.as_ref()),
            ("digest", self.digest.as_ref()),
            ("user", self.user.as_ref()),
            ("memory limit", self.memory.as_ref()),
            ("cpu limit", self.cpus.as_ref()),
            ("restart", self.restart.as_ref()),
        ]
    }

    pub(super) fn setup_problems(&self) -> Vec<Clean> {
        let suits = |(what, expected): (&'static str, Option<&Expectation>)| match what {
            "image size" | "memory limit" => suits_number(what, expected?, Unit::Bytes),
            "cpu limit" => suits_number(what, expected?, Unit::Count),
            _ => suits_text(what, expected?),
        };
        self.setup_wishes().into_iter().filter_map(suits).collect()
    }

    /// Of every replica that runs. None at all has shown nothing of what was asked, which is bad.
    pub(super) async fn setup_seen(
        &self,
        eyes: &Eyes,
        running: &[&Listed],
        seen: &mut Seen,
    ) -> Result<(), Fault> {
        if running.is_empty() {
            let text = format!(
                "no running container of {} is there to look at",
                self.service
            );
            seen.failures.push(text.into());
            return Ok(());
        }
        let wants_image = self.image_size.is_some() || self.digest.is_some();
        let ids: Vec<ContainerId> = running.iter().map(|one| one.id.clone()).collect();
        let looks: Vec<_> = stream::iter(ids)
            .map(|id| async move { looked(eyes, &id, wants_image).await })
            .buffered(CONCURRENCY)
            .collect()
            .await;
        let mut rows = Vec::new();
        for (one, look) in running.iter().zip(looks) {
            let (container, image) = match look {
                Ok(look) => look,
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(error.into()),
            };
            let setup = Setup(&container);
            if rows.len() < TOLD_MAX {
                rows.push(json!({
                    "name": one.name,
                    "user": Clean::line(setup.user()),
                    "memory_bytes": setup.memory(),
                    "cpus": setup.cpus(),
                    "restart": Clean::line(setup.str("/HostConfig/RestartPolicy/Name")),
                    "privileged": setup.flag("/HostConfig/Privileged"),
                    "image_bytes": image.pointer("/Size"),
                    "image_id": Clean::line(setup.str("/Image")),
                }));
            }
            self.one_seen(&one.name, &setup, &image, seen);
        }
        if let Value::Object(got) = &mut seen.got {
            got.insert("setup".to_owned(), Value::from(rows));
        }
        Ok(())
    }

    fn one_seen(&self, name: &Clean, setup: &Setup<'_>, image: &Value, seen: &mut Seen) {
        for must in &self.must {
            match must.broken(setup) {
                Some(why) => seen.failures.push(Clean::line(&format!("{name} {why}"))),
                None => seen.note(format!("{name}: {}", must.word())),
            }
        }
        let numbers = [
            (
                &self.image_size,
                "image size",
                image.pointer("/Size").and_then(Value::as_f64),
                Unit::Bytes,
            ),
            (&self.memory, "memory limit", setup.memory(), Unit::Bytes),
            (&self.cpus, "cpu limit", setup.cpus(), Unit::Count),
        ];
        for (expected, what, value, unit) in numbers {
            match (expected, value) {
                (None, _) => {}
                (Some(expected), Some(value)) => {
                    seen.number(&format!("{what} of {name}"), value, unit, expected);
                }
                (Some(_), None) => seen.failures.push(format!("{name} has no {what}").into()),
            }
        }
        let texts = [
            (&self.digest, "digest", digest(setup, image)),
            (&self.user, "user", setup.user().to_owned()),
            (
                &self.restart,
                "restart",
                match setup.str("/HostConfig/RestartPolicy/Name") {
                    "" => "no".to_owned(),
                    policy => policy.to_owned(),
                },
            ),
        ];
        for (expected, what, value) in texts {
            if let Some(expected) = expected {
                seen.text(&format!("{what} of {name}"), &Clean::line(&value), expected);
            }
        }
    }
}

/// The registry's digest where the image came from one, else its own id.
fn digest(setup: &Setup<'_>, image: &Value) -> String {
    let from_registry = image.pointer("/RepoDigests/0").and_then(Value::as_str);
    let digest = from_registry.and_then(|text| text.rsplit('@').next());
    digest.unwrap_or(setup.str("/Image")).to_owned()
}

/// The container, and its image where that is asked about.
async fn looked(
    eyes: &Eyes,
    id: &ContainerId,
    wants_image: bool,
) -> Result<(Value, Value), crate::link::docker::EngineError> {
    let container = eyes.engine.inspect_raw(id).await?;
    let image_id = Setup(&container).str("/Image").to_owned();
    let image = if wants_image {
        eyes.engine.image_raw(&image_id).await?.unwrap_or_default()
    } else {
        Value::Null
    };
    Ok((container, image))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Value {
        json!({
            "Image": "sha256:1",
            "Config": { "User": "70:70", "Healthcheck": { "Test": ["CMD", "true"] } },
            "HostConfig": {
                "Memory": 1024, "NanoCpus": 500_000_000, "Privileged": false, "ReadonlyRootfs": true,
                "NetworkMode": "shop_edge", "RestartPolicy": { "Name": "always" }
            },
            "Mounts": [
                { "Type": "bind", "Source": "/etc/app", "Destination": "/app", "RW": false },
                { "Type": "volume", "Source": "/var/lib/docker/volumes/d", "Destination": "/d", "RW": true }
            ]
        })
    }

    #[track_caller]
    fn check(must: Must, pointer: &str, broken: Value) {
        let mut container = sound();
        assert_eq!(must.broken(&Setup(&container)), None, "{must:?}");
        *container.pointer_mut(pointer).unwrap() = broken;
        assert!(must.broken(&Setup(&container)).is_some(), "{must:?}");
    }

    #[test]
    fn every_demand_holds_of_a_sound_container_and_not_of_a_broken_one() {
        check(Must::NotRoot, "/Config/User", json!(""));
        check(Must::NotRoot, "/Config/User", json!("0:0"));
        check(Must::MemoryLimit, "/HostConfig/Memory", json!(0));
        check(Must::CpuLimit, "/HostConfig/NanoCpus", json!(0));
        check(Must::HealthCheck, "/Config/Healthcheck", json!(null));
        check(
            Must::HealthCheck,
            "/Config/Healthcheck/Test",
            json!(["NONE"]),
        );
        check(Must::Unprivileged, "/HostConfig/Privileged", json!(true));
        check(
            Must::NoSocket,
            "/Mounts/0/Source",
            json!("/var/run/docker.sock"),
        );
        check(Must::NoSocket, "/Mounts/0/Source", json!("/run"));
        check(Must::ReadOnlyMounts, "/Mounts/0/RW", json!(true));
        check(
            Must::ReadOnlyRoot,
            "/HostConfig/ReadonlyRootfs",
            json!(false),
        );
        check(
            Must::OwnNamespaces,
            "/HostConfig/NetworkMode",
            json!("host"),
        );
    }

    #[test]
    fn a_quota_is_a_limit_of_cores_too() {
        let quota = json!({ "HostConfig": { "CpuQuota": 50_000, "CpuPeriod": 100_000 } });
        assert_eq!(Setup(&quota).cpus(), Some(0.5));
        assert_eq!(Setup(&json!({})).cpus(), None);
    }
}
