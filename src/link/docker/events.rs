//! The engine's own account of what happens, as our nouns.

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::stream::{Stream, StreamExt};
use std::collections::HashMap;

use super::container::{NUMBER, PROJECT, SERVICE, check_of_word};
use super::{Engine, EngineError, LogTime};
use crate::domain::{Clean, ContainerId, EngineEvent, EngineEventKind, Timestamp};

/// What is asked for. Health checks fill the stream with `exec_…` otherwise: 142 events in 12 s for 8 containers.
const ASKED: [&str; 13] = [
    "start",
    "die",
    "stop",
    "kill",
    "oom",
    "pause",
    "unpause",
    "destroy",
    "create",
    "rename",
    "restart",
    "health_status",
    "update",
];

/// An event, and where in the stream it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// To go on from after a break.
    pub time: Option<LogTime>,
    pub event: EngineEvent,
}

impl Engine {
    /// Follows what happens to the containers of `project`, from `since` on. Silence is normal; the end is a break.
    pub async fn events(
        &self,
        project: &str,
        since: Option<LogTime>,
    ) -> Result<impl Stream<Item = Result<Happened, EngineError>> + Send + Unpin + use<>, EngineError>
    {
        // Negotiates first, so that a version that is refused is learned by the way that knows how.
        self.spoken().await?;
        let mut filters: HashMap<&str, Vec<String>> = HashMap::new();
        filters.insert("type", vec!["container".to_owned()]);
        filters.insert("event", ASKED.map(str::to_owned).to_vec());
        filters.insert("label", vec![format!("{PROJECT}={project}")]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(since) = since {
            options = options.since(&since.since());
        }
        let engine = self.clone();
        let docker = self
            .bollard()
            .map_err(|error| self.of_bollard("/events", error))?;
        let raw = docker.events(Some(options.build()));
        Ok(Box::pin(raw.map(move |message| match message {
            Ok(message) => Ok(happened(&message)),
            Err(error) => Err(engine.of_bollard("/events", error)),
        })))
    }
}

fn happened(message: &EventMessage) -> Happened {
    let seconds = || message.time.and_then(|s| s.checked_mul(1_000_000_000));
    let nanos = message.time_nano.or_else(seconds);
    let time = nanos
        .and_then(|n| u64::try_from(n).ok())
        .filter(|n| *n > 0)
        .map(LogTime);
    Happened {
        time,
        event: event(message, time),
    }
}

fn event(message: &EventMessage, time: Option<LogTime>) -> EngineEvent {
    let actor = message.actor.as_ref();
    let attributes = actor.and_then(|a| a.attributes.as_ref());
    let attribute = |key: &str| {
        attributes
            .and_then(|a| a.get(key))
            .map_or("", String::as_str)
    };
    let action = message.action.as_deref().unwrap_or_default();
    let kind = kind(action);
    let (service, number) = (attribute(SERVICE), attribute(NUMBER));
    let who = match (service, number) {
        ("", _) | (_, "") => attribute("name").to_owned(),
        (service, number) => format!("{service}-{number}"),
    };
    EngineEvent {
        at: time.map(Timestamp::from),
        container: actor
            .and_then(|a| a.id.as_deref())
            .map(|id| ContainerId(Clean::line(id))),
        service: Clean::line(service),
        text: Clean::line(&sentence(&who, &kind, &attribute)),
        kind,
    }
}

fn kind(action: &str) -> EngineEventKind {
    use EngineEventKind as Kind;
    match action {
        "create" => Kind::Create,
        "start" => Kind::Start,
        "restart" => Kind::Restart,
        "stop" => Kind::Stop,
        "kill" => Kind::Kill,
        "die" => Kind::Die,
        "oom" => Kind::Oom,
        "pause" => Kind::Pause,
        "unpause" => Kind::Unpause,
        "rename" => Kind::Rename,
        "update" => Kind::Update,
        "destroy" => Kind::Destroy,
        other => match other.strip_prefix("health_status:") {
            Some(word) => Kind::Health(check_of_word(word.trim())),
            None => Kind::Other(Clean::line(other)),
        },
    }
}

fn sentence<'a>(who: &str, kind: &EngineEventKind, attribute: &impl Fn(&str) -> &'a str) -> String {
    use EngineEventKind as Kind;
    let said = match kind {
        Kind::Create => "created".to_owned(),
        Kind::Start => "started".to_owned(),
        Kind::Restart => "restarted".to_owned(),
        Kind::Stop => "stopped".to_owned(),
        Kind::Kill => format!("was sent signal {}", attribute("signal")),
        Kind::Die => format!("died, exit code {}", attribute("exitCode")),
        Kind::Oom => "ran out of memory".to_owned(),
        Kind::Pause => "paused".to_owned(),
        Kind::Unpause => "goes on".to_owned(),
        Kind::Rename => format!(
            "was renamed from {}",
            attribute("oldName").trim_start_matches('/')
        ),
        Kind::Update => "has new limits".to_owned(),
        Kind::Destroy => "was removed".to_owned(),
        Kind::Health(crate::domain::CheckState::Healthy) => "is healthy".to_owned(),
        Kind::Health(crate::domain::CheckState::Unhealthy) => "is unhealthy".to_owned(),
        Kind::Health(crate::domain::CheckState::Starting | crate::domain::CheckState::None) => {
            "has a new health status".to_owned()
        }
        Kind::Gap => "events were lost".to_owned(),
        Kind::Other(word) => word.to_string(),
    };
    format!("{who} {said}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CheckState;

    fn read(json: serde_json::Value) -> Happened {
        happened(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn a_death_names_the_replica_and_the_exit_code() {
        let seen = read(serde_json::json!({
            "Type": "container", "Action": "die", "timeNano": 1_700_000_000_000_000_009_i64,
            "Actor": {"ID": "ab", "Attributes": {SERVICE: "server", NUMBER: "2", "exitCode": "137", "name": "lab-server-2"}}
        }));
        assert_eq!(seen.event.text.as_str(), "server-2 died, exit code 137");
        assert_eq!(seen.event.kind, EngineEventKind::Die);
        assert_eq!(seen.time, Some(LogTime(1_700_000_000_000_000_009)));
        assert_eq!(seen.event.at, Some(Timestamp(1_700_000_000_000)));
    }

    #[test]
    fn health_and_unknown_words_are_kept() {
        assert_eq!(
            kind("health_status: unhealthy"),
            EngineEventKind::Health(CheckState::Unhealthy)
        );
        assert_eq!(
            kind("health_status:healthy"),
            EngineEventKind::Health(CheckState::Healthy)
        );
        assert_eq!(
            kind("evaporate"),
            EngineEventKind::Other(Clean::from("evaporate"))
        );
        let seen = read(serde_json::json!({"Action": "start"}));
        assert_eq!((seen.time, seen.event.container), (None, None));
    }
}
