//! What PostgreSQL itself says of its safety net: archiving, standbys, replication slots.
//!
//! An idle server is not late: only write-ahead log that waits counts, never the time since the last was archived or
//! replayed. What is not in use is not spoken of.

use std::time::Duration;

use serde::Deserialize;

use crate::domain::{Age, Clean, Fault, FaultKind, Health, Unit};
use crate::link::docker::{Command, Engine};

/// A full segment is archived within seconds; minutes are news.
const WAITING_POOR_S: f64 = 300.0;

/// A standby that is so far behind, with log to replay, would lose that much.
const LAG_POOR_S: f64 = 60.0;
/// Where the server cannot tell the time, so many bytes do.
const LAG_POOR_BYTES: f64 = 256.0 * 1024.0 * 1024.0;

/// What an idle slot holds back fills the disk.
const HELD_POOR_BYTES: f64 = 1024.0 * 1024.0 * 1024.0;

const ASK_MAX: Duration = Duration::from_secs(5);

/// One question; works on a primary from version 12 on. A standby has nothing of these, and says so.
const QUESTION: &str = "\
    SELECT CASE WHEN pg_is_in_recovery() THEN json_build_object('archive_mode', 'off', 'ready', 0, \
      'standbys', '[]'::json, 'slots', '[]'::json) \
    ELSE json_build_object( \
      'archive_mode', current_setting('archive_mode'), \
      'ready', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'), \
      'waiting_s', (SELECT extract(epoch FROM now() - min(modification)) FROM pg_ls_archive_statusdir() \
        WHERE name LIKE '%.ready'), \
      'failing', (SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) \
        FROM pg_stat_archiver), \
      'standbys', (SELECT coalesce(json_agg(json_build_object('name', application_name, 'state', state, \
        'bytes', pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), \
        'seconds', extract(epoch FROM replay_lag))), '[]') FROM pg_stat_replication), \
      'slots', (SELECT coalesce(json_agg(json_build_object('name', slot_name, 'active', active, \
        'bytes', pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), \
        'lost', coalesce(to_jsonb(s)->>'wal_status', '') = 'lost')), '[]') FROM pg_replication_slots s)) END";

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Net {
    archive_mode: Clean,
    /// Full segments that wait to be archived.
    ready: u64,
    #[serde(default)]
    waiting_s: Option<f64>,
    #[serde(default)]
    failing: bool,
    standbys: Vec<Standby>,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Standby {
    name: Clean,
    state: Clean,
    /// Not replayed yet; `None`: it has not said anything.
    bytes: Option<f64>,
    /// As last measured; stands still when nothing is written.
    seconds: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Slot {
    name: Clean,
    active: bool,
    bytes: Option<f64>,
    lost: bool,
}

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Asked {
    pub project: Clean,
    pub service: Clean,
    pub database: Clean,
    pub user: Clean,
}

pub(super) async fn ask(engine: &Engine, asked: &Asked) -> Result<Net, Fault> {
    let all = engine.list(&asked.project).await?;
    let ours = |one: &&crate::link::docker::Listed| one.service == asked.service && !one.one_off;
    let Some(container) = all.iter().find(ours) else {
        let text = format!("there is no container of {}", asked.service);
        return Err(Fault::new(FaultKind::Missing, text));
    };
    let place = asked.database.replace('\\', "\\\\").replace('\'', "\\'");
    let place = format!("dbname='{place}' application_name='quarterdeck'");
    let argv = [
        "psql",
        "-XqAt",
        "-w",
        "-v",
        "ON_ERROR_STOP=1",
        "-U",
        asked.user.as_str(),
        "-d",
        &place,
        "-c",
        QUESTION,
    ];
    let command = Command {
        argv: argv.map(str::to_owned).into(),
        deadline: ASK_MAX,
        ..Command::default()
    };
    let ended = engine.exec(&container.id, &command).await?;
    if ended.exit != 0 {
        return Err(Fault::new(
            FaultKind::Broken,
            format!("psql: {}", ended.reason()),
        ));
    }
    serde_json::from_slice(&ended.stdout).map_err(|error| {
        Fault::new(
            FaultKind::Garbled,
            format!("the answer of psql cannot be read: {error}"),
        )
    })
}

/// What is worth a word, each with how it is.
pub(super) fn judge(net: &Net) -> Vec<(Health, String)> {
    let mut all = Vec::new();
    all.extend(archiving(net));
    all.extend(net.standbys.iter().map(standby));
    all.extend(net.slots.iter().filter_map(slot));
    all
}

fn archiving(net: &Net) -> Option<(Health, String)> {
    if net.archive_mode == *"off" {
        return None;
    }
    if net.ready == 0 {
        return Some((Health::Good, "log archived".to_owned()));
    }
    let waiting = net.waiting_s.unwrap_or(0.0);
    let said = format!(
        "{} segments of the log wait for {}",
        net.ready,
        age(waiting)
    );
    Some(match (net.failing, waiting > WAITING_POOR_S) {
        (true, _) => (Health::Bad, format!("archiving fails: {said}")),
        (false, true) => (Health::Poor, format!("archiving is late: {said}")),
        (false, false) => (Health::Good, "log archived".to_owned()),
    })
}

fn standby(standby: &Standby) -> (Health, String) {
    let name = &standby.name;
    if standby.state != *"streaming" {
        return (
            Health::Poor,
            format!("standby {name} is {}, not streaming", standby.state),
        );
    }
    let Some(bytes) = standby.bytes else {
        return (
            Health::Poor,
            format!("standby {name} does not say how far it is"),
        );
    };
    if bytes <= 0.0 {
        return (Health::Good, format!("standby {name} has all"));
    }
    let late = standby.seconds.is_some_and(|seconds| seconds > LAG_POOR_S);
    let health = if late || bytes > LAG_POOR_BYTES {
        Health::Poor
    } else {
        Health::Good
    };
    let time = standby
        .seconds
        .map_or_else(String::new, |s| format!(", {}", age(s)));
    (
        health,
        format!("standby {name} is {}{time} behind", Unit::Bytes.show(bytes)),
    )
}

fn slot(slot: &Slot) -> Option<(Health, String)> {
    let held = slot.bytes.unwrap_or(0.0);
    if slot.lost {
        let said = format!(
            "slot {} has lost its log: its standby must be made anew",
            slot.name
        );
        return Some((Health::Bad, said));
    }
    (!slot.active && held > HELD_POOR_BYTES).then(|| {
        let held = Unit::Bytes.show(held);
        (
            Health::Poor,
            format!(
                "nobody reads slot {}, which holds back {held} of log",
                slot.name
            ),
        )
    })
}

fn age(seconds: f64) -> Age {
    Age(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn net(change: &Value) -> Net {
        let mut net = json!({"archive_mode": "on", "ready": 0, "waiting_s": null, "failing": false,
            "standbys": [], "slots": []});
        for (key, value) in change.as_object().unwrap() {
            net[key] = value.clone();
        }
        serde_json::from_value(net).unwrap()
    }

    #[track_caller]
    fn check(change: &Value, health: Health, words: &str) {
        let all = judge(&net(change));
        let worst = all.iter().map(|(health, _)| *health).max();
        assert_eq!(worst, Some(health), "{all:?}");
        let said = |(of, said): &(Health, String)| *of == health && said.contains(words);
        assert!(all.iter().any(said), "{all:?}");
    }

    #[test]
    fn what_is_not_in_use_is_not_spoken_of() {
        assert_eq!(judge(&net(&json!({"archive_mode": "off", "ready": 3}))), []);
    }

    #[test]
    fn only_log_that_waits_is_late() {
        // Failed once, long ago, and nothing has been written since: nothing is missing.
        check(&json!({"failing": true}), Health::Good, "log archived");
        check(
            &json!({"ready": 1, "waiting_s": 2.0}),
            Health::Good,
            "log archived",
        );
        check(
            &json!({"ready": 4, "waiting_s": 900.0}),
            Health::Poor,
            "4 segments of the log wait for 15m00s",
        );
        check(
            &json!({"ready": 1, "waiting_s": 2.0, "failing": true}),
            Health::Bad,
            "archiving fails",
        );
    }

    #[test]
    fn an_idle_standby_is_not_behind_whatever_the_clock_says() {
        let standby = |state: &str, bytes: Value, seconds: Value| json!({"standbys": [{"name": "b", "state": state, "bytes": bytes, "seconds": seconds}]});
        check(
            &standby("streaming", json!(0), json!(86_400)),
            Health::Good,
            "log archived",
        );
        assert!(
            judge(&net(&standby("streaming", json!(0), json!(86_400))))
                .iter()
                .all(|(h, _)| *h == Health::Good)
        );
        check(
            &standby("streaming", json!(8192), json!(120)),
            Health::Poor,
            "2m00s behind",
        );
        check(
            &standby("streaming", json!(1_000_000_000), Value::Null),
            Health::Poor,
            "behind",
        );
        check(
            &standby("catchup", json!(0), json!(0)),
            Health::Poor,
            "not streaming",
        );
        check(
            &standby("streaming", Value::Null, Value::Null),
            Health::Poor,
            "does not say",
        );
    }

    #[test]
    fn a_slot_that_nobody_reads_fills_the_disk() {
        let slot = |active: bool, bytes: u64, lost: bool| json!({"slots": [{"name": "s", "active": active, "bytes": bytes, "lost": lost}]});
        check(
            &slot(false, 2_000_000_000, false),
            Health::Poor,
            "nobody reads slot s",
        );
        check(
            &slot(true, 2_000_000_000, false),
            Health::Good,
            "log archived",
        );
        check(&slot(true, 0, true), Health::Bad, "lost its log");
    }
}
