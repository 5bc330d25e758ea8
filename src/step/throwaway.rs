//! A PostgreSQL that exists for one rehearsal: made like the real one, out of reach of everybody, and always removed.
//!
//! It has no network at all: what is restored in it is reached only by the engine's own way into a container. It
//! belongs to no Compose project, so nothing counts it as part of the stack, and its label names the run.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Hands;
use super::database::Server;
use super::target::{patiently, sentence};
use crate::domain::{Clean, Container, Timestamp};
use crate::link::docker::{Engine, EngineError, Labelled};

/// Names the run that made it.
const LABEL: &str = "quarterdeck.rehearsal";
/// A rehearsal that takes longer is not one that somebody waits for; what is older was left.
const LEFT_AFTER: Duration = Duration::from_hours(6);
/// A new cluster takes 3 s on a calm machine.
const READY_MAX: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What it may use where the real one has no limit.
const MEMORY_BYTES: u64 = 1024 * 1024 * 1024;
const NANO_CPUS: u64 = 1_000_000_000;
const PROCESSES_MAX: u64 = 256;
/// Sorting in parallel goes through it; Docker's own 64 MB are not enough for that.
const SHARED_BYTES_MIN: u64 = 128 * 1024 * 1024;
/// The superuser of the throwaway; its password is nobody's, for there is no way in that asks for it.
const SUPERUSER: &str = "postgres";
const DATA: &str = "/var/lib/postgresql/data";

/// Makes and starts it. `like` is the engine's own JSON of the real one, `image` that of its image.
pub(super) async fn make(
    hands: &Hands,
    like: &Value,
    image: Option<&Value>,
) -> Result<Server, Clean> {
    let name = name(hands);
    let body = body(like, image, &hands.run.0, &password());
    let id = hands.engine.create(&name, &body).await.map_err(sentence)?;
    hands.engine.start(&id).await.map_err(sentence)?;
    let server = Server {
        id,
        replica: Clean::line(&name),
        user: Clean::from(SUPERUSER),
    };
    ready(hands, &server).await?;
    Ok(server)
}

/// Removes what this run made, and whatever earlier runs left. Says how many of those there were.
pub(super) async fn remove(hands: &Hands) -> Result<usize, Clean> {
    let all = patiently(hands, || hands.engine.labelled(LABEL)).await;
    let all = all.map_err(sentence)?;
    let now = (hands.now)();
    let mut left = 0;
    for one in all {
        let own = one.value == hands.run.0;
        if !own && !is_left(&one, now) {
            continue;
        }
        patiently(hands, || hands.engine.discard(&one.id))
            .await
            .map_err(sentence)?;
        left += usize::from(!own);
    }
    Ok(left)
}

/// Throwaways that no run can still be using.
pub async fn left(engine: &Engine, now: Timestamp) -> Result<Vec<Labelled>, EngineError> {
    let mut all = engine.labelled(LABEL).await?;
    all.retain(|one| is_left(one, now));
    Ok(all)
}

/// One whose age nobody knows may be in use.
fn is_left(one: &Labelled, now: Timestamp) -> bool {
    one.made_at.is_some_and(|at| now.since(at) > LEFT_AFTER)
}

fn name(hands: &Hands) -> String {
    format!("quarterdeck-rehearsal-{}", hands.run.0)
}

/// Fresh for each; it opens nothing that can be reached.
fn password() -> String {
    use std::hash::{BuildHasher, RandomState};
    let chance = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", chance(), chance())
}

fn body(like: &Value, image: Option<&Value>, run: &str, password: &str) -> Value {
    let limit = |field: &str, otherwise: u64| {
        let asked = like["HostConfig"][field].as_u64();
        asked.filter(|limit| *limit > 0).unwrap_or(otherwise)
    };
    let environment = [
        format!("POSTGRES_USER={SUPERUSER}"),
        format!("POSTGRES_DB={SUPERUSER}"),
        format!("POSTGRES_PASSWORD={password}"),
    ];
    let shared = limit("ShmSize", SHARED_BYTES_MIN).max(SHARED_BYTES_MIN);
    let mut body = json!({
        // What runs, not what a name points at by now.
        "Image": like["Image"],
        "Env": environment,
        "Labels": {LABEL: run},
        "NetworkDisabled": true,
        "HostConfig": {
            "NetworkMode": "none",
            "Memory": limit("Memory", MEMORY_BYTES),
            "NanoCpus": limit("NanoCpus", NANO_CPUS),
            "PidsLimit": PROCESSES_MAX,
            "ShmSize": shared,
            "SecurityOpt": ["no-new-privileges"],
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        },
    });
    let settings = preloaded(like);
    if !settings.is_empty() {
        body["Cmd"] = json!(settings);
    }
    // The data lies in a volume without a name, which is removed with the container.
    let declared = image.and_then(|image| image["Config"]["Volumes"].as_object());
    if declared.is_none_or(serde_json::Map::is_empty) {
        body["Volumes"] = json!({ DATA: {} });
    }
    body
}

/// Libraries that the real one loads at its start: without them an extension cannot be restored. Nothing else of its
/// command is taken: files that it names are not there.
fn preloaded(like: &Value) -> Vec<String> {
    let words = like["Config"]["Cmd"].as_array().into_iter().flatten();
    let setting = words
        .filter_map(Value::as_str)
        .find(|word| word.starts_with("shared_preload_libraries="));
    match setting {
        Some(setting) => vec!["-c".to_owned(), setting.to_owned()],
        None => Vec::new(),
    }
}

/// The server of the first initialisation listens on its socket only, and is not the one meant.
async fn ready(hands: &Hands, server: &Server) -> Result<(), Clean> {
    let began = Instant::now();
    loop {
        let asked = ["pg_isready", "-q", "-h", "127.0.0.1", "-U", SUPERUSER];
        let said = match server.tool(hands, &asked).await {
            Ok(ended) if ended.exit == 0 => return Ok(()),
            Ok(ended) => ended.reason(),
            Err(fault) => fault,
        };
        let now = hands.engine.inspect(&server.id).await.map_err(sentence)?;
        if !super::target::runs(&now) || began.elapsed() > READY_MAX {
            return Err(not_ready(hands, &now, &said).await);
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn not_ready(hands: &Hands, container: &Container, said: &Clean) -> Clean {
    let last = last_line(hands, container).await.unwrap_or_default();
    Clean::line(&format!(
        "the throwaway PostgreSQL of {} did not come up: it is {} {said} {last}; see whether this host has memory and disk for one more",
        container.image.name,
        container.state.word(),
    ))
}

/// Of its log, for the reason.
async fn last_line(hands: &Hands, container: &Container) -> Option<Clean> {
    use futures_util::StreamExt;
    let range = crate::link::docker::LogRange {
        tail: Some(1),
        since: None,
        follow: false,
    };
    let mut lines = hands.engine.logs(&container.id, false, range).await.ok()?;
    let line = lines.next().await?.ok()?;
    Some(Clean::bytes(&line.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like() -> Value {
        json!({
            "Image": "sha256:1",
            "Config": {
                "Env": ["POSTGRES_PASSWORD=secret"],
                "Cmd": ["postgres", "-c", "shared_preload_libraries=timescaledb", "-c", "config_file=/etc/p"],
                "Labels": {"com.docker.compose.project": "shop"},
            },
            "HostConfig": {
                "Memory": 512, "NanoCpus": 0, "ShmSize": 0,
                "PortBindings": {"5432/tcp": [{"HostPort": "5432"}]},
                "Binds": ["pg_data:/var/lib/postgresql/data"],
            },
        })
    }

    #[test]
    fn it_takes_nothing_of_the_real_one_that_others_could_reach() {
        let image = json!({"Config": {"Volumes": {"/var/lib/postgresql/data": {}}}});
        let made = body(&like(), Some(&image), "r-1", "p");
        let text = made.to_string();
        for word in [
            "secret",
            "pg_data",
            "PortBindings",
            "compose",
            "config_file",
        ] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        assert_eq!(made["HostConfig"]["NetworkMode"], "none");
        assert_eq!(made["HostConfig"]["Memory"], 512);
        assert_eq!(made["HostConfig"]["NanoCpus"], NANO_CPUS);
        assert_eq!(made["Labels"][LABEL], "r-1");
        assert_eq!(
            made["Cmd"],
            json!(["-c", "shared_preload_libraries=timescaledb"])
        );
        assert_eq!(made["Volumes"], Value::Null, "the image declares one");
    }

    #[test]
    fn data_is_in_a_volume_even_if_the_image_declares_none() {
        let made = body(&like(), None, "r-1", "p");
        assert_eq!(made["Volumes"], json!({ DATA: {} }));
    }

    #[test]
    fn only_what_is_old_was_left() {
        let now = Timestamp(0).plus(LEFT_AFTER * 2);
        let one = |made_at| Labelled {
            id: crate::domain::ContainerId(Clean::from("a")),
            name: Clean::from("a"),
            value: Clean::from("r-0"),
            made_at,
        };
        assert!(is_left(&one(Some(Timestamp(0))), now));
        assert!(!is_left(&one(Some(now)), now));
        assert!(!is_left(&one(None), now));
    }
}
