//! `retire`: remove what `replace` kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::target::{self, Seen, Told, patiently, runs, sentence, told};
use super::{Act, Done, Hands};
use crate::domain::Clean;
use crate::engine::{Finding, Repeat, Undo};
use crate::link::docker::KEPT;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retire {
    /// A container of the project by its name, or a replica: `server-2`. What was kept of it goes, not itself.
    pub container: Clean,
}

/// What was kept, of this run and of earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Old {
    replica: Clean,
    kept: Vec<Seen>,
}

impl Act for Retire {
    fn describe(&self) -> Clean {
        Clean::line(&format!("Remove what was kept of {}", self.container))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    fn undoable(&self) -> Undo {
        Undo::None
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let container = target::find(hands, &self.container).await?;
        let all = patiently(hands, || hands.engine.list(&hands.project))
            .await
            .map_err(sentence)?;
        let sign = format!("{}{KEPT}", container.name);
        let mut kept = Vec::new();
        for one in all.iter().filter(|one| one.name.starts_with(&sign)) {
            let old = patiently(hands, || hands.engine.inspect(&one.id))
                .await
                .map_err(sentence)?;
            kept.push(Seen::of(&old));
        }
        target::keep(&Old {
            replica: container.replica(),
            kept,
        })
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let old: Old = target::kept(before)?;
        for seen in &old.kept {
            for _ in 0..target::TRIES_MAX {
                let Some(now) = seen.if_there(hands).await? else {
                    break;
                };
                if runs(&now) {
                    return Err(Clean::line(&format!(
                        "{} runs: somebody started what was kept; stop it first, or keep it",
                        now.name
                    )));
                }
                if told(hands, hands.engine.remove(&seen.id, false)).await? == Told::Done {
                    break;
                }
            }
        }
        let said = match old.kept.len() {
            0 => format!("nothing was kept of {}", old.replica),
            1 => format!("what was kept of {} is removed", old.replica),
            many => format!("{many} old containers of {} are removed", old.replica),
        };
        Ok(Done {
            said: Clean::line(&said),
        })
    }

    async fn undo(&self, _: &Hands, _: &Value) -> Result<Done, Clean> {
        Ok(Done::default())
    }

    async fn happened(&self, hands: &Hands, before: &Value) -> Finding {
        let looking = async {
            let old: Old = target::kept(before)?;
            for seen in &old.kept {
                if seen.if_there(hands).await?.is_some() {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        target::finding(looking.await)
    }
}
