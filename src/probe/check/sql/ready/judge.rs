//! What the rows of the ready-made questions say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::{Age, Clean, Expectation, Fault, FaultKind, Measured, Timestamp, Unit};
use crate::probe::check::seen::{Seen, real};
use crate::probe::check::sql::Sql;
use crate::probe::check::sql::ask::Row;

mod bound;

/// Rows told in the evidence; all are judged.
const TOLD_MAX: usize = 50;

/// Figures of fewer days do not show that nobody uses an index: the month's report has not run yet.
const DAYS_UNTIL_UNUSED: f64 = 7.0;

fn cell(row: &Row, at: usize) -> &str {
    row.get(at).map_or("", String::as_str)
}

fn figure(row: &Row, at: usize) -> Option<f64> {
    cell(row, at).parse().ok()
}

fn got(rows: &[Row]) -> Value {
    let told: Vec<Vec<Clean>> = rows
        .iter()
        .take(TOLD_MAX)
        .map(|row| row.iter().map(|cell| Clean::line(cell)).collect())
        .collect();
    json!({ "rows": told, "of": rows.len() })
}

fn begin(rows: &[Row]) -> Seen {
    Seen {
        got: got(rows),
        ..Seen::default()
    }
}

fn garbled(what: &str) -> Fault {
    let text = format!("the database says nothing of {what} that could be read");
    Fault::new(FaultKind::Garbled, text).remedy("check that it is PostgreSQL 12 or later")
}

pub(super) fn counts(wanted: &BTreeMap<Clean, Expectation>, rows: &[Row]) -> Result<Seen, Fault> {
    let mut seen = begin(rows);
    for (table, expected) in wanted {
        let row = rows.iter().find(|row| cell(row, 0) == table.as_str());
        let count = row.and_then(|row| figure(row, 1));
        let count = count.ok_or_else(|| garbled(&format!("the rows of {table}")))?;
        seen.number(&format!("rows of {table}"), count, Unit::Count, expected);
    }
    Ok(seen)
}

/// No lag where there is nothing to replay; the time since the last change where there is; unknown where nobody says.
pub(super) fn lag(sql: &Sql, rows: &[Row]) -> Result<Seen, Fault> {
    let mut seen = begin(rows);
    let mut followers = 0;
    for row in rows {
        let name = Clean::line(cell(row, 1));
        let (state, behind) = (cell(row, 2), figure(row, 3));
        let who = if cell(row, 0) == "standby" {
            "this standby".to_owned()
        } else {
            format!("standby {name}")
        };
        if state != "streaming" {
            seen.failures
                .push(Clean::line(&format!("{who} does not follow: {state}")));
            continue;
        }
        followers += 1;
        let Some(behind) = behind else {
            return Err(garbled(
                "how far a standby is (its user must be in pg_monitor)",
            ));
        };
        let seconds = if behind <= 0.0 {
            0.0
        } else {
            figure(row, 4).ok_or_else(|| garbled("how old the last replayed change is"))?
        };
        match &sql.value {
            Some(expected) => {
                seen.number(&format!("lag of {who}"), seconds, Unit::Seconds, expected);
            }
            None => seen.note(format!("{who} follows")),
        }
    }
    match &sql.standbys {
        Some(expected) => seen.number("standbys", real(followers), Unit::Count, expected),
        None if rows.is_empty() => seen.failures.push("no standby follows".into()),
        None => {}
    }
    Ok(seen)
}

/// A pool of clients that wait is too small, whatever else it does.
pub(super) fn pools(sql: &Sql, rows: &[Row]) -> Result<Seen, Fault> {
    let mut seen = begin(rows);
    let Some((names, pools)) = rows.split_first() else {
        return Err(garbled("pools"));
    };
    let column = |name: &str| names.iter().position(|known| known == name);
    let missing = || {
        let text = "this is no list of pgBouncer's pools";
        Fault::new(FaultKind::Garbled, text).remedy(
            "write its console's database (pgbouncer), its host and port, and a user of stats_users",
        )
    };
    let database = column("database").ok_or_else(missing)?;
    let waiting = column("cl_waiting").ok_or_else(missing)?;
    let (wait, micros) = (column("maxwait").ok_or_else(missing)?, column("maxwait_us"));
    let mode = column("pool_mode");
    let of_users = |row: &&Row| cell(row, database) != "pgbouncer";
    let mut count = 0;
    for row in pools.iter().filter(of_users) {
        count += 1;
        let name = Clean::line(cell(row, database));
        let number = |at: usize| figure(row, at).ok_or_else(missing);
        let clients = number(waiting)?;
        match &sql.value {
            Some(expected) => {
                seen.number(
                    &format!("clients that wait for {name}"),
                    clients,
                    Unit::Count,
                    expected,
                );
            }
            None if clients > 0.0 => seen
                .failures
                .push(format!("{clients:.0} clients wait for a connection to {name}").into()),
            None => seen.note(format!("nobody waits for {name}")),
        }
        if let Some(expected) = &sql.maxwait {
            let part = micros.map_or(Ok(0.0), number)? / 1e6;
            let longest = number(wait)? + part;
            seen.number(
                &format!("longest wait for {name}"),
                longest,
                Unit::Seconds,
                expected,
            );
        }
        if let Some(expected) = &sql.pool_mode {
            let mode = mode.ok_or_else(missing)?;
            seen.text(
                &format!("pool mode of {name}"),
                &Clean::line(cell(row, mode)),
                expected,
            );
        }
    }
    if count == 0 {
        seen.failures
            .push("pgBouncer has no pool: nobody has connected through it".into());
    }
    Ok(seen)
}

pub(super) fn partitions(sql: &Sql, rows: &[Row], now: Timestamp) -> Result<Seen, Fault> {
    let mut seen = begin(rows);
    for table in &sql.tables {
        let of_table: Vec<&Row> = rows
            .iter()
            .filter(|row| cell(row, 0) == table.as_str())
            .collect();
        let kind = of_table.first().map_or("", |row| cell(row, 1));
        if kind != "p" {
            let why = if kind.is_empty() {
                "is not there"
            } else {
                "is not partitioned"
            };
            seen.failures.push(format!("{table} {why}").into());
            continue;
        }
        let parts: Vec<&Row> = of_table
            .into_iter()
            .filter(|row| !cell(row, 2).is_empty())
            .collect();
        match &sql.value {
            Some(expected) => {
                let what = format!("partitions of {table}");
                seen.number(&what, real(parts.len()), Unit::Count, expected);
            }
            None if parts.is_empty() => {
                seen.failures
                    .push(format!("{table} has no partition").into());
            }
            None => seen.note(format!("{table} has {} partitions", parts.len())),
        }
        if let Some(expected) = &sql.ahead {
            let newest = parts
                .iter()
                .filter_map(|row| bound::upper(cell(row, 3)))
                .max();
            let Some(newest) = newest else {
                let text = format!("the partitions of {table} do not end on a day");
                return Err(Fault::new(FaultKind::Unsupported, text)
                    .remedy("take `ahead` out: only partitions by time have it"));
            };
            let left = seconds(newest.seconds_from(now));
            seen.number(&format!("{table} ahead"), left, Unit::Seconds, expected);
        }
    }
    Ok(seen)
}

#[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
fn seconds(span: i64) -> f64 {
    span as f64
}

pub(super) fn indexes(sql: &Sql, rows: &[Row]) -> Result<Seen, Fault> {
    let mut seen = begin(rows);
    let of_kind = |kind: &str| -> Vec<String> {
        rows.iter()
            .filter(|row| cell(row, 0) == kind)
            .map(|row| cell(row, 1).to_owned())
            .collect()
    };
    let invalid = of_kind("invalid");
    match &sql.value {
        Some(expected) => {
            seen.number(
                "invalid indexes",
                real(invalid.len()),
                Unit::Count,
                expected,
            );
        }
        None if invalid.is_empty() => seen.note("no index is invalid"),
        None => seen.failures.push(Clean::line(&format!(
            "{} indexes are invalid: {}",
            invalid.len(),
            invalid.join(", ")
        ))),
    }
    if let Some(expected) = &sql.unused {
        let since = rows.iter().find(|row| cell(row, 0) == "since");
        let since = since.and_then(|row| figure(row, 2));
        let since = since.ok_or_else(|| garbled("since when its figures count"))?;
        if since < DAYS_UNTIL_UNUSED * 86_400.0 {
            let age = Age(std::time::Duration::from_secs_f64(since.max(0.0)));
            let text =
                format!("the figures count for {age} only: too short to call an index unused");
            return Err(Fault::new(FaultKind::Missing, text).remedy(format!(
                "look again when they are {DAYS_UNTIL_UNUSED} days old"
            )));
        }
        let unused = of_kind("unused");
        seen.number("unused indexes", real(unused.len()), Unit::Count, expected);
    }
    if let Some(expected) = &sql.missing {
        let missing = of_kind("missing");
        let what = "foreign keys without an index";
        seen.number(what, real(missing.len()), Unit::Count, expected);
    }
    Ok(seen)
}

/// On, and with a policy: without one nobody but the owner sees a row, which nobody meant.
pub(super) fn row_security(tables: &[Clean], rows: &[Row]) -> Result<Seen, Fault> {
    let mut seen = begin(rows);
    let known: BTreeSet<&str> = rows.iter().map(|row| cell(row, 0)).collect();
    if rows.is_empty() || tables.iter().any(|table| !known.contains(table.as_str())) {
        return Err(garbled("the tables"));
    }
    for row in rows {
        let name = Clean::line(cell(row, 0));
        let policies = figure(row, 4).ok_or_else(|| garbled("the policies"))?;
        let wrong = match (cell(row, 1), cell(row, 2), policies > 0.0) {
            ("t", "t", true) => None,
            ("t", "t", false) => Some("row-level security is on and there is no policy"),
            ("t", _, _) => Some("row-level security is off"),
            _ => Some("there is no such table"),
        };
        match wrong {
            Some(why) => seen.failures.push(format!("{name}: {why}").into()),
            None => seen.note(format!("{name}: on, {policies:.0} policies")),
        }
    }
    Ok(seen)
}

/// Nobody may come over the network in the clear: by the rules in their order, and by who is there now.
pub(super) fn tls(sql: &Sql, rows: &[Row]) -> Result<Seen, Fault> {
    let mut seen = begin(rows);
    let of_kind = |kind: &'static str| rows.iter().filter(move |row| cell(row, 0) == kind);
    match of_kind("ssl").next().map(|row| cell(row, 1)) {
        Some("on") => seen.note("ssl is on"),
        Some(other) => seen.failures.push(format!("ssl is {other}").into()),
        None => return Err(garbled("ssl")),
    }
    let mut rules: Vec<&Row> = of_kind("rule").collect();
    rules.sort_by_key(|row| cell(row, 6).parse::<u64>().unwrap_or(u64::MAX));
    if rules.is_empty() {
        let text = "the rules of pg_hba.conf cannot be read";
        return Err(Fault::new(FaultKind::Denied, text)
            .remedy("ask as a superuser, or as a member of pg_read_all_settings"));
    }
    for rule in rules {
        let (kind, address, method) = (cell(rule, 1), cell(rule, 2), cell(rule, 3));
        if !cell(rule, 4).is_empty() {
            let text = format!(
                "line {} of pg_hba.conf has a mistake: {}",
                cell(rule, 6),
                cell(rule, 4)
            );
            return Err(Fault::new(FaultKind::Misconfigured, Clean::line(&text))
                .remedy("mend it: what the server goes by is not what stands there"));
        }
        if !matches!(kind, "host" | "hostnossl") {
            continue;
        }
        if method == "reject" {
            if address == "all" && cell(rule, 5) == "all all" {
                break;
            }
            continue;
        }
        if matches!(address, "127.0.0.1" | "::1" | "samehost") {
            continue;
        }
        let text = format!(
            "line {} of pg_hba.conf lets {address} in without TLS ({kind} … {method})",
            cell(rule, 6)
        );
        seen.failures.push(Clean::line(&text));
    }
    let plain = of_kind("plain").count();
    match &sql.value {
        Some(expected) => seen.number("plain sessions", real(plain), Unit::Count, expected),
        None if plain > 0 => seen
            .failures
            .push(format!("{plain} sessions from the network are not encrypted").into()),
        None => seen.note("no session from the network is plain"),
    }
    Ok(seen)
}

pub(super) fn settings(wanted: &BTreeMap<Clean, Expectation>, rows: &[Row]) -> Seen {
    let mut seen = begin(rows);
    for (name, expected) in wanted {
        let Some(row) = rows.iter().find(|row| cell(row, 0) == name.as_str()) else {
            seen.failures
                .push(format!("this server has no setting {name}").into());
            continue;
        };
        if cell(row, 3) == "t" {
            let text = format!("{name} is changed in the file, and waits for a restart");
            seen.failures.push(text.into());
        }
        let measured = setting(cell(row, 1), cell(row, 2), expected);
        seen.measured(name, measured, expected);
    }
    seen
}

/// In a unit of ours where it has one; else as a number where a number is expected, else as the text it is.
fn setting(value: &str, unit: &str, expected: &Expectation) -> Measured {
    let text = || Measured::Text(Clean::line(value));
    let Ok(number) = value.parse::<f64>() else {
        return text();
    };
    let (number, unit) = match unit {
        "B" => (number, Unit::Bytes),
        "kB" => (number * 1024.0, Unit::Bytes),
        "8kB" => (number * 8192.0, Unit::Bytes),
        "16kB" => (number * 16_384.0, Unit::Bytes),
        "MB" => (number * 1_048_576.0, Unit::Bytes),
        "ms" => (number, Unit::Milliseconds),
        "s" => (number, Unit::Seconds),
        "min" => (number * 60.0, Unit::Seconds),
        _ => (number, Unit::Count),
    };
    let measured = Measured::Number(number, unit);
    if expected.compare(&measured).is_ok() {
        measured
    } else {
        text()
    }
}

#[cfg(test)]
mod tests;
