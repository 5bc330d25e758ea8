//! `rehearse`: a backup into a PostgreSQL that exists for nothing else, and the proof that it can be restored.
//!
//! One step from start to end, because the time is what is measured: the throwaway is made, filled, counted, asked, and
//! removed whatever came of it. A backup without tables, a count that differs and a question that was not asked are
//! failures; there is no way to pass without having looked.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::beside::tools_of;
use super::database::refill::{Goal, Strictness};
use super::database::{Server, literal, place, tally};
use super::proof::{Matched, matched, prove};
use super::supply::{self, Chosen, NEWEST, Pinned};
use super::target::{self, keep, kept, patiently, sentence};
use super::throwaway;
use super::{Act, Done, Hands};
use crate::domain::{
    Age, BackupSource, BackupSpec, Clean, ContainerId, Expectation, Measured, RehearsalQuery,
};
use crate::engine::{Finding, Repeat, Undo};
use crate::probe::check::Verdict;

/// The only database of the throwaway; the dump does not know its name.
const DATABASE: &str = "rehearsal";
const RESTORER: &str = "quarterdeck_restorer";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rehearse {
    /// The target of a `[[backup]]`.
    pub target: Clean,
    /// Its name, or `newest`.
    #[serde(default = "newest")]
    pub backup: Clean,
}

fn newest() -> Clean {
    Clean::from(NEWEST)
}

#[derive(Serialize, Deserialize)]
struct Seen {
    backup: Pinned,
    /// Of the real one: what the throwaway is made like.
    like: ContainerId,
}

/// What the question of the configuration gave.
#[derive(Debug, Serialize)]
struct Asked {
    query: Clean,
    value: Clean,
    expected: Clean,
    holds: bool,
}

/// What a rehearsal found.
struct Found {
    matched: Matched,
    asked: Option<Asked>,
}

impl Found {
    fn is_good(&self) -> bool {
        self.matched.is_whole() && self.asked.as_ref().is_none_or(|asked| asked.holds)
    }

    fn said(&self) -> Clean {
        match &self.asked {
            Some(asked) if !asked.holds => Clean::line(&format!(
                "{}; {} gives {}, expected {}",
                self.matched.said(),
                asked.query,
                asked.value,
                asked.expected
            )),
            Some(_) | None => self.matched.said(),
        }
    }
}

impl Rehearse {
    async fn rehearsed(&self, hands: &Hands, seen: &Seen) -> Result<Done, Clean> {
        let spec = place::spec(hands, &self.target)?;
        let began = (hands.now)();
        let clock = Instant::now();
        let chosen = supply::choose(spec, &Clean::from(seen.backup.name.as_str())).await?;
        if chosen.pinned() != seen.backup {
            return Err(Clean::line(&format!(
                "{} is another one than when this step began; plan again",
                seen.backup.name
            )));
        }
        let found = restored(hands, spec, &chosen, &seen.like).await?;
        let rto = clock.elapsed();
        let rpo = began.since(chosen.manifest.made_at);
        let good = found.is_good();
        let said = if good {
            Clean::line(&format!(
                "{}, RTO {:.1} s, RPO {}",
                found.said(),
                rto.as_secs_f64(),
                Age(rpo)
            ))
        } else {
            Clean::line(&format!("{}: {}", chosen.name(), found.said()))
        };
        let evidence = json!({
            "kind": "restore-rehearsal",
            "target": self.target,
            "backup": chosen.name(),
            "sha256": chosen.manifest.file.digest.sha256,
            "made_at": chosen.manifest.made_at,
            "rto_ms": u64::try_from(rto.as_millis()).unwrap_or(u64::MAX),
            "rpo_ms": u64::try_from(rpo.as_millis()).unwrap_or(u64::MAX),
            "matched": found.matched,
            "query": found.asked,
        });
        let verdict = if good { Verdict::Pass } else { Verdict::Fail };
        prove(hands, began, verdict, &said, evidence);
        if good { Ok(Done { said }) } else { Err(said) }
    }
}

/// Makes the throwaway, restores into it and looks at what came of it.
async fn restored(
    hands: &Hands,
    spec: &BackupSpec,
    chosen: &Chosen,
    like: &ContainerId,
) -> Result<Found, Clean> {
    let real = patiently(hands, || hands.engine.inspect_raw(like)).await;
    let real = real.map_err(sentence)?;
    let image = real["Image"].as_str().unwrap_or_default();
    let image = hands.engine.image_raw(image).await.map_err(sentence)?;
    let server = throwaway::make(hands, &real, image.as_ref()).await?;
    tools_of(hands, &server, chosen).await?;
    (hands.say)(Clean::line(&format!(
        "{} is up; restoring {} into it",
        server.replica,
        chosen.name()
    )));
    let like = format!(
        "TEMPLATE template0 ENCODING {}",
        literal(&chosen.content.encoding)
    );
    let goal = Goal {
        server: &server,
        apart: &server.user,
        database: DATABASE,
        restorer: RESTORER,
        like: &like,
        strictness: Strictness::Alone,
    };
    goal.prepare(hands).await?;
    let made = goal.extensions(hands, &chosen.content).await?;
    goal.pour(hands, chosen.open(spec).await?, made).await?;
    let found = tally::tally(hands, &server, DATABASE).await?;
    let asked = match &spec.rehearsal {
        Some(question) => Some(ask(hands, &server, question).await?),
        None => None,
    };
    Ok(Found {
        matched: matched(&chosen.tally(), &found),
        asked,
    })
}

/// The one question of the user's choice: by the restorer, who can do no harm.
async fn ask(hands: &Hands, server: &Server, question: &RehearsalQuery) -> Result<Asked, Clean> {
    let asker = Server {
        user: Clean::from(RESTORER),
        ..server.clone()
    };
    let value = asker.value(hands, DATABASE, &question.query).await?;
    let holds = holds(&question.value, &value);
    Ok(Asked {
        query: Clean::line(&question.query),
        expected: Clean::line(&question.value.to_string()),
        value,
        holds,
    })
}

/// A value that reads as a number is one where a number is expected.
fn holds(expected: &Expectation, value: &Clean) -> bool {
    if let Ok(number) = value.trim().parse::<f64>() {
        let measured = Measured::Number(number, expected.natural_unit());
        if let Ok(holds) = expected.compare(&measured) {
            return holds;
        }
    }
    expected.holds(&Measured::Text(value.clone()))
}

impl Act for Rehearse {
    fn describe(&self) -> Clean {
        Clean::line(&format!(
            "Restore the {} backup of {} into a throwaway PostgreSQL and compare it with its manifest",
            self.backup, self.target
        ))
    }

    fn repeat(&self) -> Repeat {
        Repeat::Safe
    }

    /// What is left of it is removed.
    fn undoable(&self) -> Undo {
        Undo::Present
    }

    async fn before(&self, hands: &Hands) -> Result<Value, Clean> {
        let spec = place::spec(hands, &self.target)?;
        let Some(BackupSource::Postgres { service, .. }) = &spec.source else {
            return Err(Clean::line(&format!(
                "{} is no PostgreSQL database of the stack: only those are rehearsed",
                self.target
            )));
        };
        let like = target::find(hands, service).await?;
        let chosen = supply::choose(spec, &self.backup).await?;
        keep(&Seen {
            backup: chosen.pinned(),
            like: like.id,
        })
    }

    async fn perform(&self, hands: &Hands, before: &Value) -> Result<Done, Clean> {
        let seen: Seen = kept(before)?;
        let left = throwaway::remove(hands).await?;
        if left > 0 {
            (hands.say)(Clean::line(&format!(
                "{left} throwaways of earlier rehearsals are removed"
            )));
        }
        let rehearsed = self.rehearsed(hands, &seen).await;
        // Whatever came of it; and a throwaway that stays is no success.
        match (rehearsed, throwaway::remove(hands).await) {
            (Ok(done), Ok(_)) => Ok(done),
            (Ok(done), Err(fault)) => Err(Clean::line(&format!(
                "{}; but the throwaway is still there: {fault}",
                done.said
            ))),
            (Err(fault), _) => Err(fault),
        }
    }

    async fn undo(&self, hands: &Hands, _: &Value) -> Result<Done, Clean> {
        throwaway::remove(hands).await?;
        Ok(Done {
            said: Clean::from("no throwaway of this rehearsal is left"),
        })
    }

    async fn happened(&self, _: &Hands, _: &Value) -> Finding {
        Finding::DidNotHappen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_compared_as_a_number_where_one_is_expected() {
        let holds = |expected: &str, value: &str| {
            super::holds(&Expectation::parse(expected).unwrap(), &Clean::from(value))
        };
        assert!(holds(">= 3", "12"));
        assert!(!holds(">= 3", "2"));
        assert!(!holds(">= 3", ""));
        assert!(holds("contains ab", "cabd"));
    }
}
