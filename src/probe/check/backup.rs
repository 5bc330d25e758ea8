//! `backup`: the newest good backup of a target, as it lies in the nearest place.
//!
//! What it cannot know is whether it can be restored: that is proven by a rehearsal, not by a look.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_number, wishes};
use super::{Eyes, Kind};
use crate::domain::{
    BackupSpec, Clean, Detail, Expectation, Fault, FaultKind, Reading, SecretPlace, Timestamp, Unit,
};
use crate::link::store::Store;
use crate::probe::Look;
use crate::probe::backup::BackupProbe;

/// A directory and its manifests, on a slow disk.
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Of a `[[backup]]`.
    pub target: Clean,
    /// Of the newest good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Expectation>,
    /// Of the newest good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Expectation>,
    /// How many good ones there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Expectation>,
}

impl Backup {
    /// Each wish with the name of its measure.
    fn wishes(&self) -> [(&'static str, Option<&Expectation>, Unit); 3] {
        [
            ("age", self.age.as_ref(), Unit::Seconds),
            ("size", self.size.as_ref(), Unit::Bytes),
            ("kept", self.kept.as_ref(), Unit::Count),
        ]
    }

    fn seen(&self, reading: &Reading) -> Seen {
        let mut seen = Seen {
            got: got(reading),
            ..Seen::default()
        };
        for (what, expected, unit) in self.wishes() {
            let Some(expected) = expected else {
                continue;
            };
            match reading
                .measures
                .iter()
                .find(|measure| measure.name == *what)
            {
                Some(measure) => seen.number(what, measure.value, unit, expected),
                // Without a good one it has no age and no size.
                None => seen.failures.push(reading.summary.clone()),
            }
        }
        seen
    }
}

fn got(reading: &Reading) -> Value {
    let newest = match &reading.detail {
        Detail::Backup(backup) => backup
            .last_good()
            .map(|file| json!({ "name": file.name, "at": file.at.rfc3339(), "bytes": file.bytes })),
        _ => None,
    };
    json!({ "summary": reading.summary, "newest_good": newest })
}

fn probe(spec: &BackupSpec) -> BackupProbe {
    let probe = BackupProbe::new(spec.clone());
    let (Some(_), Some(nearest)) = (&spec.source, spec.stores.first()) else {
        return probe;
    };
    // A check has no secrets; the nearest place is a directory and needs none.
    let none = |place: &SecretPlace| {
        Err(Clean::line(&format!(
            "a check does not fetch the secret in {}",
            place.shown()
        )))
    };
    let store = Store::open(nearest, none).map(|store| vec![store]);
    probe.stores(store.map_err(|error| Fault::new(FaultKind::Misconfigured, error.to_string())))
}

impl Kind for Backup {
    fn describe(&self) -> Clean {
        let wishes = wishes(self.wishes().map(|(what, expected, _)| (what, expected)));
        Clean::from(format!("backup of {}: {wishes}", self.target))
    }

    fn problems(&self) -> Vec<Clean> {
        let mut problems: Vec<Clean> = self
            .wishes()
            .into_iter()
            .filter_map(|(what, expected, unit)| suits_number(what, expected?, unit))
            .collect();
        if self
            .wishes()
            .iter()
            .all(|(_, expected, _)| expected.is_none())
        {
            problems.push("nothing is expected; say age, size or kept".into());
        }
        problems
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        json!({ "backup": self.target })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let Some(spec) = eyes.stack.backup(&self.target) else {
            return Err(Fault::new(
                FaultKind::Misconfigured,
                format!("no [[backup]] has the target {}", self.target),
            )
            .remedy("add it to the configuration, or name another target"));
        };
        let reading = probe(spec).look(now).await?;
        Ok(self.seen(&reading))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(age: &str) -> Backup {
        serde_json::from_value(json!({"target": "app", "age": age})).unwrap()
    }

    async fn verdict(check: &Backup, directory: &std::path::Path, now: Timestamp) -> Seen {
        let spec = BackupSpec {
            bytes_min: 1,
            ..BackupSpec::of_files(Clean::from("app"), directory.to_owned(), Clean::from("*"))
        };
        check.seen(&probe(&spec).look(now).await.unwrap())
    }

    #[test]
    fn a_check_that_expects_nothing_is_a_mistake() {
        let nothing: Backup = serde_json::from_value(json!({"target": "app"})).unwrap();
        assert_eq!(nothing.problems().len(), 1);
        assert_eq!(check("< 26 h").problems(), [""; 0]);
    }

    #[tokio::test]
    async fn without_a_good_one_it_fails_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp(1_795_176_000_000);
        let seen = verdict(&check("< 26 h"), dir.path(), now).await;
        assert!(
            seen.failures[0].contains("no backup"),
            "{:?}",
            seen.failures
        );
        std::fs::write(dir.path().join("a.dump"), "x").unwrap();
        let written = std::fs::metadata(dir.path().join("a.dump"))
            .unwrap()
            .modified()
            .unwrap();
        let since = written.duration_since(std::time::UNIX_EPOCH).unwrap();
        let later = Timestamp(u64::try_from(since.as_millis()).unwrap() + 60_000);
        let seen = verdict(&check("< 26 h"), dir.path(), later).await;
        assert!(
            seen.failures.is_empty() && seen.tests.len() == 1,
            "{seen:?}"
        );
    }
}
