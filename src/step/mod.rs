//! Act once on the stack; a file per kind.
//!
//! A step is data (it is part of the plan that a person confirms) that knows how to act. It acts in three parts: it
//! looks at what is there ([`Act::before`]) and that is made durable, then it does what is missing ([`Act::perform`]),
//! and it can be undone by what it saw ([`Act::undo`]). A step that says [`Repeat::Safe`] may be performed again with the
//! same `before` after any crash: it does only what is still missing.

mod answers;
mod backup;
mod beside;
mod check;
mod command;
mod compare;
mod database;
mod drain;
mod exec;
mod gateway;
mod healthy;
mod http;
mod hurry;
mod migrate;
mod notify;
mod persistence;
mod proof;
mod recreate;
mod rehearse;
mod reload;
mod replace;
mod restart;
mod retire;
mod scale;
mod start;
mod stop;
mod supply;
mod swap;
mod switch;
mod target;
mod throwaway;
mod undrain;
mod upstream;
mod wait;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Clean, Timestamp};
use crate::engine::{Finding, Repeat, RunId, Undo};
use crate::link::docker::Engine;
pub use crate::probe::check::Secrets;
use crate::probe::check::{Eyes, Outcome};
use crate::probe::span;

pub use self::http::Http;
pub use answers::Answers;
pub use backup::{Backup, BackupCopy, BackupPrune};
pub use beside::{Beside, Verify};
pub use check::CheckStep;
pub use command::Command;
pub use compare::Compare;
pub use drain::Drain;
pub use exec::Exec;
pub use gateway::drained_of;
pub use healthy::Healthy;
pub use hurry::{Hasten, Hurry};
pub use migrate::CopyBeside;
pub use notify::Notify;
pub use persistence::Persistence;
pub use rehearse::Rehearse;
pub use reload::Reload;
pub use replace::Replace;
pub use restart::Restart;
pub use retire::Retire;
pub use scale::Scale;
pub use start::Start;
pub use stop::Stop;
pub use swap::Swap;
pub use switch::{Colour, Switch};
pub use throwaway::left as left_throwaways;
pub use undrain::Undrain;
pub use upstream::Upstream;
pub use wait::Wait;

use hurry::broken_off;
use target::replicas;

/// Docker's own default.
const GRACE: Duration = Duration::from_secs(10);

/// What a step may touch, given by the driver.
#[derive(Clone)]
pub struct Hands {
    pub engine: Engine,
    /// What checks look with.
    pub eyes: Eyes,
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The Compose project: a step touches no container outside it.
    pub project: Clean,
    pub run: RunId,
    /// How the gateway is told where requests go; `None` where `[gateway.upstream]` is not configured.
    pub upstream: Option<Arc<Upstream>>,
    /// Fetches a secret from where it lies. What it returns is never shown, kept or journaled.
    pub secret: Secrets,
    /// Lines for the run's log while the step is at work; each is journaled.
    pub say: Arc<dyn Fn(Clean) + Send + Sync>,
    /// What a check saw, for the journal's evidence.
    pub prove: Arc<dyn Fn(Outcome) + Send + Sync>,
    /// Tells a step at work that a person wants the run to end.
    pub hurry: Hurry,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// One line for the run's log: `server-2 restarted, healthy after 3.1 s`.
    pub said: Clean,
}

/// What every kind of step can do. Faults are sentences that name the object and the remedy.
pub trait Act {
    /// One line, in the imperative: `Restart server-2 (10 s to end by itself)`.
    fn describe(&self) -> Clean;

    fn repeat(&self) -> Repeat;

    /// Whether there is an undo at all.
    fn undoable(&self) -> Undo;

    /// Looks at what the step will change. Changes nothing. What it returns is journaled before anything happens, so
    /// it holds no secret.
    fn before(&self, hands: &Hands) -> impl Future<Output = Result<Value, Clean>> + Send;

    /// Cancel-safe as far as possible: dropped when the step's deadline passes. Where it waits it listens to
    /// [`Hands::hurry`], and says how it leaves things.
    fn perform(
        &self,
        hands: &Hands,
        before: &Value,
    ) -> impl Future<Output = Result<Done, Clean>> + Send;

    /// Puts back what `before` saw. Looks first, so it may be repeated.
    fn undo(
        &self,
        hands: &Hands,
        before: &Value,
    ) -> impl Future<Output = Result<Done, Clean>> + Send;

    /// After a crash or a deadline: did it happen?
    fn happened(&self, hands: &Hands, before: &Value) -> impl Future<Output = Finding> + Send;
}

/// A step of any kind, as a runbook writes it: `kind = "wait"` and the fields of that kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Step {
    Restart(Restart),
    Stop(Stop),
    Start(Start),
    Replace(Replace),
    Retire(Retire),
    Scale(Scale),
    Exec(Exec),
    Command(Command),
    Http(Http),
    Wait(Wait),
    Drain(Drain),
    Undrain(Undrain),
    Reload(Reload),
    Switch(Switch),
    Healthy(Healthy),
    Notify(Notify),
    Check(CheckStep),
    Rehearse(Rehearse),
    RestoreBeside(Beside),
    VerifyBeside(Verify),
    CopyBeside(CopyBeside),
    CompareLive(Compare),
    SwapDatabase(Swap),
    Answers(Answers),
    Persistence(Persistence),
    Backup(Backup),
    BackupCopy(BackupCopy),
    BackupPrune(BackupPrune),
}

fn grace() -> Duration {
    GRACE
}

fn unsafe_to_repeat() -> Repeat {
    Repeat::Unsafe
}

fn gateway_service() -> Clean {
    Clean::from("gateway")
}

/// An undo that is a command of its own.
fn undo_by(argv: Option<&[String]>) -> Undo {
    match argv {
        Some(_) => Undo::Present,
        None => Undo::None,
    }
}

/// A command as a person reads it. Quoted where a blank would hide where an argument ends; it is never run from this.
fn shown(argv: &[String]) -> Clean {
    let plain = |word: &str| !word.is_empty() && !word.contains([' ', '\'', '"', '\t', '\n']);
    let words = argv.iter().map(|word| {
        if plain(word) {
            word.clone()
        } else {
            format!("{word:?}")
        }
    });
    Clean::line(&words.collect::<Vec<_>>().join(" "))
}

/// Calls the same on whatever kind it is.
macro_rules! each {
    ($step:expr, $of:ident => $call:expr) => {
        match $step {
            Step::Restart($of) => $call,
            Step::Stop($of) => $call,
            Step::Start($of) => $call,
            Step::Replace($of) => $call,
            Step::Retire($of) => $call,
            Step::Scale($of) => $call,
            Step::Exec($of) => $call,
            Step::Command($of) => $call,
            Step::Http($of) => $call,
            Step::Wait($of) => $call,
            Step::Drain($of) => $call,
            Step::Undrain($of) => $call,
            Step::Reload($of) => $call,
            Step::Switch($of) => $call,
            Step::Healthy($of) => $call,
            Step::Notify($of) => $call,
            Step::Check($of) => $call,
            Step::Rehearse($of) => $call,
            Step::RestoreBeside($of) => $call,
            Step::VerifyBeside($of) => $call,
            Step::CopyBeside($of) => $call,
            Step::CompareLive($of) => $call,
            Step::SwapDatabase($of) => $call,
            Step::Answers($of) => $call,
            Step::Persistence($of) => $call,
            Step::Backup($of) => $call,
            Step::BackupCopy($of) => $call,
            Step::BackupPrune($of) => $call,
        }
    };
}

impl Step {
    /// It changes nothing, so that it may end at any moment.
    fn only_looks(&self) -> bool {
        match self {
            Self::Wait(_)
            | Self::Healthy(_)
            | Self::Check(_)
            | Self::VerifyBeside(_)
            | Self::CompareLive(_)
            | Self::Answers(_) => true,
            Self::Restart(_)
            | Self::Stop(_)
            | Self::Start(_)
            | Self::Replace(_)
            | Self::Retire(_)
            | Self::Scale(_)
            | Self::Exec(_)
            | Self::Command(_)
            | Self::Http(_)
            | Self::Drain(_)
            | Self::Undrain(_)
            | Self::Reload(_)
            | Self::Switch(_)
            | Self::Notify(_)
            | Self::Rehearse(_)
            | Self::RestoreBeside(_)
            | Self::CopyBeside(_)
            | Self::SwapDatabase(_)
            | Self::Persistence(_)
            | Self::Backup(_)
            | Self::BackupCopy(_)
            | Self::BackupPrune(_) => false,
        }
    }
}

impl Act for Step {
    fn describe(&self) -> Clean {
        each!(self, of => of.describe())
    }

    fn repeat(&self) -> Repeat {
        each!(self, of => of.repeat())
    }

    fn undoable(&self) -> Undo {
        each!(self, of => of.undoable())
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        each!(self, of => of.before(hands).await)
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let performing = async { each!(self, of => of.perform(hands, before).await) };
        if !self.only_looks() {
            return performing.await;
        }
        tokio::select! {
            biased;
            done = performing => done,
            () = hands.hurry.asked() => Err(broken_off("nothing was changed by it")),
        }
    }

    async fn undo(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        each!(self, of => of.undo(hands, before).await)
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        each!(self, of => of.happened(hands, before).await)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::domain::Stack;
    use crate::link::docker::Address;
    use crate::link::tls::Roots;
    use crate::probe::check::Reach;

    /// Hands on an engine that is not there, for steps that need none.
    pub(super) fn hands() -> Hands {
        let engine = Engine::new(Address::Unix("/nowhere/docker.sock".into()), "/nowhere");
        let project = Clean::from("shop");
        Hands {
            eyes: Eyes {
                engine: engine.clone(),
                stack: Arc::new(Stack::discovered(project.clone())),
                prometheus: None,
                roots: Roots::system_lazily(),
                ca_file: None,
                gateway: None,
                reach: Reach::nothing(),
            },
            engine,
            now: Arc::new(Timestamp::default),
            project,
            run: RunId(Clean::from("r-1")),
            upstream: None,
            secret: Arc::new(|place| Err(Clean::line(&format!("no secret in {}", place.shown())))),
            say: Arc::new(|_| ()),
            prove: Arc::new(|_| ()),
            hurry: Hurry::never(),
        }
    }

    /// A server that answers one request, and what it heard.
    pub(super) async fn listening(status: &str, body: &str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            let mut chunk = [0; 4096];
            // Small requests come whole, or as a head and a body.
            loop {
                let read = stream.read(&mut chunk).await.unwrap();
                heard.extend_from_slice(&chunk[..read]);
                let text = String::from_utf8_lossy(&heard);
                let length = text
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                if read == 0 || body == Some(length.unwrap_or(0)) {
                    break;
                }
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(heard).unwrap()
        });
        (url, heard)
    }

    #[tokio::test]
    async fn a_gateway_whose_list_is_not_configured_cannot_be_drained() {
        let step = read(json!({"kind": "switch", "to": "green"}));
        let fault = step.before(&hands()).await.unwrap_err();
        assert!(fault.contains("add [gateway.upstream]"), "{fault}");
    }

    #[tokio::test]
    async fn a_check_that_cannot_look_is_no_pass() {
        let step = read(json!({
            "kind": "check", "check": {"kind": "command", "argv": ["/nowhere/at/all"], "exit": "== 0"},
        }));
        let proofs = Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = proofs.clone();
        let hands = Hands {
            prove: Arc::new(move |outcome: Outcome| kept.lock().unwrap().push(outcome.verdict)),
            ..hands()
        };
        let fault = step.perform(&hands, &Value::Null).await.unwrap_err();
        assert!(fault.contains("could not look"), "{fault}");
        assert_eq!(
            *proofs.lock().unwrap(),
            [crate::probe::check::Verdict::CouldNotRun]
        );
    }

    #[track_caller]
    fn read(step: Value) -> Step {
        serde_json::from_value(step).unwrap()
    }

    #[test]
    fn every_kind_is_read_with_its_defaults_and_described() {
        let kinds = [
            (
                json!({"kind": "restart", "container": "server-2"}),
                "Restart server-2 (10s to end by itself)",
            ),
            (
                json!({"kind": "stop", "container": "server-2", "grace": "1m"}),
                "Stop server-2 (1m to end by itself)",
            ),
            (
                json!({"kind": "start", "container": "server-2"}),
                "Start server-2",
            ),
            (
                json!({"kind": "replace", "container": "server-2", "image": "shop:2"}),
                "Replace server-2 by one of shop:2",
            ),
            (
                json!({"kind": "retire", "container": "server-2"}),
                "Remove what was kept of server-2",
            ),
            (
                json!({"kind": "scale", "service": "server", "replicas": 4}),
                "Scale server to 4",
            ),
            (
                json!({"kind": "exec", "container": "redis", "argv": ["redis-cli", "set", "a b", ""]}),
                "Run redis-cli set \"a b\" \"\" in redis",
            ),
            (
                json!({"kind": "command", "argv": ["/bin/true"]}),
                "Run /bin/true on this host",
            ),
            (
                json!({"kind": "http", "method": "POST", "url": "http://x/", "status": 204}),
                "Send POST http://x/",
            ),
            (json!({"kind": "wait", "time": "2m"}), "Wait 2m"),
            (
                json!({"kind": "drain", "replica": "server-2"}),
                "Take server-2 out of the gateway and let its requests end",
            ),
            (
                json!({"kind": "undrain", "replica": "server-2"}),
                "Put server-2 back into the gateway",
            ),
            (
                json!({"kind": "reload"}),
                "Test and reload the configuration of gateway",
            ),
            (
                json!({"kind": "switch", "to": "green"}),
                "Send all requests to green",
            ),
            (
                json!({"kind": "healthy", "container": "server-2"}),
                "Wait until server-2 is healthy 3 times in a row over 10s",
            ),
            (
                json!({"kind": "notify", "url": {"env": "HOOK"}, "text": "done"}),
                "Tell people: done",
            ),
            (json!({"kind": "backup", "target": "app"}), "Back up app"),
            (
                json!({"kind": "backup-copy", "target": "app"}),
                "Copy the backups of app to the stores that lack them",
            ),
            (
                json!({"kind": "backup-prune", "target": "app"}),
                "Remove the backups of app that the policy does not keep",
            ),
        ];
        for (written, said) in kinds {
            let step = read(written);
            assert_eq!(step.describe().as_str(), said);
            let kept = serde_json::to_value(&step).unwrap();
            assert_eq!(read(kept), step, "a plan keeps what a document says");
        }
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let wrong = json!({"kind": "restart", "container": "server-2", "graec": "1s"});
        let error = serde_json::from_value::<Step>(wrong).unwrap_err();
        assert!(error.to_string().contains("graec"), "{error}");
    }

    #[test]
    fn what_runs_foreign_commands_is_not_repeated_unless_the_document_says_so() {
        let bare = read(json!({"kind": "exec", "container": "a", "argv": ["x"]}));
        assert_eq!(
            (bare.repeat(), bare.undoable()),
            (Repeat::Unsafe, Undo::None)
        );
        let kind =
            read(json!({"kind": "command", "argv": ["x"], "repeat": "safe", "undo_argv": ["y"]}));
        assert_eq!(
            (kind.repeat(), kind.undoable()),
            (Repeat::Safe, Undo::Present)
        );
        let restart = read(json!({"kind": "restart", "container": "a"}));
        assert_eq!(
            (restart.repeat(), restart.undoable()),
            (Repeat::Safe, Undo::Present)
        );
        assert_eq!(
            read(json!({"kind": "retire", "container": "a"})).undoable(),
            Undo::None
        );
    }
}
