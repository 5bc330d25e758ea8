//! The one container that a step speaks of: found by a word, and found again by its id.
//!
//! Only containers of the project are found. What `before` saw binds the step to an id: a container that somebody
//! removed or made anew meanwhile is another one, and the step stops before it touches it.

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::Hands;
use crate::domain::{Clean, Container, ContainerId, ContainerState, Fault, Timestamp};
use crate::engine::Finding;
use crate::link::docker::{EngineError, Listed};

/// An engine that restarts is back within seconds; a step has a deadline of its own beside this.
const ENGINE_LOST_MAX: Duration = Duration::from_mins(2);
/// Between two looks at something that takes a moment.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);
/// From the engine's word that it started a process to the state that says so.
const RUNNING_MAX: Duration = Duration::from_secs(10);
/// An act whose answer is lost is looked after and sent again where it did not take effect: twice is bad luck, four
/// times is another problem.
pub(super) const TRIES_MAX: usize = 3;

/// A container as `before` saw it. No environment, no labels: they hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) id: ContainerId,
    pub(super) name: Clean,
    /// `server-2`
    pub(super) replica: Clean,
    pub(super) runs: bool,
    pub(super) started_at: Option<Timestamp>,
}

/// What came of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Done,
    /// The answer is lost: look again.
    InDoubt,
}

impl Seen {
    pub(super) fn of(container: &Container) -> Self {
        Self {
            id: container.id.clone(),
            name: container.name.clone(),
            replica: container.replica(),
            runs: runs(container),
            started_at: container.started_at,
        }
    }

    /// As `before` kept it.
    pub(super) fn read(before: &Value) -> Result<Self, Clean> {
        kept(before)
    }

    /// The same container as it is now.
    pub(super) async fn again(&self, hands: &Hands) -> Result<Container, Clean> {
        match self.if_there(hands).await? {
            Some(container) => Ok(container),
            None => Err(Clean::line(&format!(
                "{} (container {}) is not there any more: somebody removed or replaced it since this step looked; look at what runs, then plan again",
                self.replica, self.id
            ))),
        }
    }

    pub(super) async fn if_there(&self, hands: &Hands) -> Result<Option<Container>, Clean> {
        match patiently(hands, || hands.engine.inspect(&self.id)).await {
            Ok(container) => Ok(Some(container)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(sentence(error)),
        }
    }
}

/// What `before` kept, in the words of the step that wrote it.
pub(super) fn kept<T: for<'de> Deserialize<'de>>(before: &Value) -> Result<T, Clean> {
    T::deserialize(before).map_err(|error| {
        Clean::line(&format!(
            "what this step saw before it started cannot be read: {error}; undo it by hand, or plan again"
        ))
    })
}

pub(super) fn keep<T: Serialize>(seen: &T) -> Result<Value, Clean> {
    serde_json::to_value(seen)
        .map_err(|error| Clean::line(&format!("cannot keep what this step saw: {error}")))
}

/// It has a process, or is about to get one again.
pub(super) fn runs(container: &Container) -> bool {
    match container.state {
        ContainerState::Running | ContainerState::Paused | ContainerState::Restarting => true,
        ContainerState::Created
        | ContainerState::Removing
        | ContainerState::Exited
        | ContainerState::Dead
        | ContainerState::Other(_) => false,
    }
}

/// The containers of the project that are replicas: not those of `compose run`, nor those that `replace` keeps.
pub(super) async fn replicas(hands: &Hands) -> Result<Vec<Listed>, Clean> {
    let mut all = patiently(hands, || hands.engine.list(&hands.project))
        .await
        .map_err(sentence)?;
    all.retain(|one| !one.one_off);
    all.sort_by(|a, b| (&a.service, a.number).cmp(&(&b.service, b.number)));
    Ok(all)
}

/// Exactly one container: by its name, as a replica (`server-2`), or as the only replica of a service.
pub(super) async fn find(hands: &Hands, word: &str) -> Result<Container, Clean> {
    let all = replicas(hands).await?;
    let id = match chosen(&all, word) {
        Ok(one) => one.id.clone(),
        Err(fault) => {
            return Err(match foreign(hands, word).await {
                Some(project) => Clean::line(&format!(
                    "{word} belongs to {project}, not to the project {}: a step touches no container outside it",
                    hands.project
                )),
                None => Clean::line(&format!("{fault} in the project {}", hands.project)),
            });
        }
    };
    patiently(hands, || hands.engine.inspect(&id))
        .await
        .map_err(sentence)
}

fn chosen<'a>(all: &'a [Listed], word: &str) -> Result<&'a Listed, String> {
    if let Some(one) = all.iter().find(|one| one.name.as_str() == word) {
        return Ok(one);
    }
    let is_replica = |one: &&Listed| match word.rsplit_once('-') {
        Some((service, number)) => {
            one.service.as_str() == service && one.number.is_some_and(|n| n.to_string() == number)
        }
        None => false,
    };
    let mut fitting: Vec<&Listed> = all.iter().filter(is_replica).collect();
    if fitting.is_empty() {
        fitting = all
            .iter()
            .filter(|one| one.service.as_str() == word)
            .collect();
    }
    let names = |of: &[&Listed]| {
        let names: Vec<&str> = of.iter().map(|one| one.name.as_str()).collect();
        names.join(", ")
    };
    match fitting[..] {
        [one] => Ok(one),
        [] => {
            let there: Vec<&Listed> = all.iter().collect();
            Err(format!(
                "there is no container {word} among {}",
                names(&there)
            ))
        }
        _ => Err(format!(
            "{word} can be any of {}: name one of them",
            names(&fitting)
        )),
    }
}

/// The project of a container that is not of ours, for the text.
async fn foreign(hands: &Hands, word: &str) -> Option<Clean> {
    let id = ContainerId(Clean::line(word));
    let other = hands.engine.inspect(&id).await.ok()?;
    match other.project {
        project if project.is_empty() => Some(Clean::from("no project")),
        project if project == hands.project => None,
        project => Some(Clean::line(&format!("the project {project}"))),
    }
}

/// Asks, and while the engine is away asks again: looking changes nothing, and an engine that restarts comes back.
pub(super) async fn patiently<T, F>(hands: &Hands, ask: impl Fn() -> F) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, EngineError>> + Send,
{
    let began = Instant::now();
    let mut is_lost = false;
    loop {
        match ask().await {
            Err(error) if error.leaves_doubt() && began.elapsed() < ENGINE_LOST_MAX => {
                if !is_lost {
                    (hands.say)(Clean::line(&format!(
                        "lost the engine: {error}; nothing is sent until it is back"
                    )));
                }
                is_lost = true;
                tokio::select! {
                    () = sleep(LOOK_EVERY) => {}
                    () = hands.hurry.asked() => return Err(error),
                }
            }
            answer => {
                if is_lost && answer.is_ok() {
                    (hands.say)(Clean::line(&format!(
                        "the engine is back after {:.1} s",
                        began.elapsed().as_secs_f64()
                    )));
                }
                return answer;
            }
        }
    }
}

/// Waits for an act. A lost answer is no failure: what came of it is looked at.
pub(super) async fn told(
    hands: &Hands,
    acting: impl Future<Output = Result<(), EngineError>> + Send,
) -> Result<Told, Clean> {
    match acting.await {
        Ok(()) => Ok(Told::Done),
        Err(error) if error.leaves_doubt() => {
            (hands.say)(Clean::line(&format!(
                "no answer whether it was done: {error}; looking again before anything is sent"
            )));
            Ok(Told::InDoubt)
        }
        Err(error) => Err(sentence(error)),
    }
}

/// Waits until it runs, or says why it does not.
pub(super) async fn until_running(hands: &Hands, seen: &Seen) -> Result<Container, Clean> {
    let began = Instant::now();
    loop {
        let now = seen.again(hands).await?;
        let is_late = began.elapsed() > RUNNING_MAX;
        match now.state {
            ContainerState::Running => return Ok(now),
            ContainerState::Exited | ContainerState::Dead => return Err(ended(&now)),
            _ if is_late => return Err(ended(&now)),
            ContainerState::Created
            | ContainerState::Paused
            | ContainerState::Restarting
            | ContainerState::Removing
            | ContainerState::Other(_) => sleep(LOOK_EVERY).await,
        }
    }
}

/// Why a container does not run.
pub(super) fn ended(container: &Container) -> Clean {
    let exit = match container.exit_code {
        Some(137) if container.oom_killed => "it ran out of memory (exit 137)".to_owned(),
        Some(code) => format!("exit {code}"),
        None => "it never ran".to_owned(),
    };
    let error = match container.error.as_str() {
        "" => String::new(),
        error => format!(": {error}"),
    };
    Clean::line(&format!(
        "{} does not stay up: it is {}, {exit}{error}; read its log for the reason",
        container.replica(),
        container.state.word()
    ))
}

/// Stops it if it runs. Says whether anything was to be done.
pub(super) async fn stopped(hands: &Hands, seen: &Seen, grace: Duration) -> Result<bool, Clean> {
    let mut did = false;
    for _ in 0..TRIES_MAX {
        let now = seen.again(hands).await?;
        if !runs(&now) {
            return Ok(did);
        }
        told(hands, hands.engine.stop(&seen.id, grace)).await?;
        did = true;
    }
    match seen.again(hands).await? {
        now if runs(&now) => Err(Clean::line(&format!(
            "{} still runs after it was told to stop; see who starts it again",
            seen.replica
        ))),
        _ => Ok(did),
    }
}

/// Starts it if it does not run, and waits until it does. Says whether anything was to be done.
pub(super) async fn started(hands: &Hands, seen: &Seen) -> Result<bool, Clean> {
    for _ in 0..TRIES_MAX {
        let now = seen.again(hands).await?;
        if runs(&now) {
            until_running(hands, seen).await?;
            return Ok(false);
        }
        if told(hands, hands.engine.start(&seen.id)).await? == Told::Done {
            until_running(hands, seen).await?;
            return Ok(true);
        }
    }
    Err(unanswered(&seen.replica))
}

pub(super) fn unanswered(what: &Clean) -> Clean {
    Clean::line(&format!(
        "the engine lost the answer about {what} {TRIES_MAX} times; see whether it is well: journalctl -u docker"
    ))
}

/// An answer about the world as a finding: what cannot be told is said.
pub(super) fn finding(happened: Result<bool, Clean>) -> Finding {
    match happened {
        Ok(true) => Finding::Happened,
        Ok(false) => Finding::DidNotHappen,
        Err(fault) => Finding::Unclear(fault),
    }
}

/// With its remedy, where there is one.
pub(super) fn sentence(error: EngineError) -> Clean {
    fault(Fault::from(error))
}

pub(super) fn fault(fault: Fault) -> Clean {
    match fault.remedy {
        Some(remedy) => Clean::line(&format!("{}; {remedy}", fault.text)),
        None => fault.text,
    }
}
