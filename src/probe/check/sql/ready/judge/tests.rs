//! What the ready-made questions make of rows, sound and broken.

use super::*;
use crate::probe::check::Check;
use crate::probe::check::tests::read;

fn sql(about: &str, fields: &str) -> Sql {
    let text = format!(
        "kind = 'sql'\nservice = 'postgres'\ndatabase = 'app'\nabout = '{about}'\n{fields}"
    );
    let check = read(&text);
    assert_eq!(check.problems(), Vec::<Clean>::new(), "{text}");
    match check {
        Check::Sql(sql) => sql,
        other => panic!("{other:?}"),
    }
}

fn rows(text: &str) -> Vec<Row> {
    text.lines()
        .map(|line| line.split('|').map(str::to_owned).collect())
        .collect()
}

const NOW: Timestamp = Timestamp(1_795_176_000_000);

fn look(about: &str, fields: &str, text: &str) -> Result<Seen, Fault> {
    let sql = sql(about, fields);
    sql.ready_seen(sql.about.unwrap(), &rows(text), NOW)
}

#[track_caller]
fn check(about: &str, fields: &str, text: &str, holds: bool) {
    let seen = look(about, fields, text).unwrap();
    let all = seen.tests.iter().all(|t| t.expected.holds(&t.measured));
    assert_eq!(
        all && seen.failures.is_empty(),
        holds,
        "{about} {fields}: {seen:?}"
    );
}

#[track_caller]
fn unknown(about: &str, fields: &str, text: &str) {
    let seen = look(about, fields, text);
    assert!(seen.is_err(), "{about} {fields}: {seen:?}");
}

#[test]
fn rows_are_counted_by_table() {
    let fields = "counts = { users = '>= 2', 'public.orders' = 0 }";
    check("counts", fields, "users|3\npublic.orders|0", true);
    check("counts", fields, "users|1\npublic.orders|0", false);
    unknown("counts", fields, "users|3");
}

#[test]
fn a_lag_is_that_of_what_is_not_replayed() {
    let want = "value = '< 10 s'";
    // Idle: nothing to replay, and no figure of a lag.
    check("replication-lag", want, "primary|b|streaming|0|", true);
    check("replication-lag", want, "primary|b|streaming|100|3.5", true);
    check("replication-lag", want, "primary|b|streaming|100|30", false);
    check("replication-lag", want, "primary|b|catchup|100|3", false);
    // A quiet primary: the last change is old, and all of it is replayed.
    check("replication-lag", want, "standby||streaming|0|86400", true);
    // Cut off: what it has is replayed, and it gets no more.
    check(
        "replication-lag",
        want,
        "standby||not receiving|0|86400",
        false,
    );
    check("replication-lag", want, "", false);
    check(
        "replication-lag",
        "standbys = '>= 2'",
        "primary|b|streaming|0|",
        false,
    );
    unknown("replication-lag", want, "primary|b|streaming|100|");
}

const POOLS: &str = "database|user|cl_active|cl_waiting|sv_active|maxwait|maxwait_us|pool_mode\npgbouncer|pgbouncer|1|0|0|0|0|statement\n";

#[test]
fn a_pool_in_which_clients_wait_is_too_small() {
    let pools = |row: &str| format!("{POOLS}{row}");
    let quiet = pools("app|app|3|0|3|0|0|transaction");
    check("pgbouncer-pools", "", &quiet, true);
    let wants = "maxwait = '< 1 s'\npool_mode = '== transaction'";
    check("pgbouncer-pools", wants, &quiet, true);
    let busy = pools("app|app|3|2|3|1|500000|session");
    check("pgbouncer-pools", "", &busy, false);
    check(
        "pgbouncer-pools",
        "value = '< 5'\nmaxwait = '< 2 s'",
        &busy,
        true,
    );
    check(
        "pgbouncer-pools",
        "value = '< 5'\nmaxwait = '< 1 s'",
        &busy,
        false,
    );
    check(
        "pgbouncer-pools",
        "value = '< 5'\npool_mode = '== transaction'",
        &busy,
        false,
    );
    check("pgbouncer-pools", "", POOLS, false);
    unknown("pgbouncer-pools", "", "");
    unknown("pgbouncer-pools", "", "a|b\n1|2");
}

#[test]
fn partitions_are_there_and_reach_far_enough() {
    let day = "FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')";
    let table = format!("events|p|events_11|{day}\nevents|p|events_rest|DEFAULT");
    let of = |more: &str| format!("tables = ['events']\n{more}");
    check("partitions", &of("value = '>= 2'"), &table, true);
    check("partitions", &of("value = '>= 3'"), &table, false);
    check("partitions", &of("ahead = '> 3 days'"), &table, true);
    check("partitions", &of("ahead = '> 30 days'"), &table, false);
    check("partitions", &of(""), "events|p||", false);
    check("partitions", &of(""), "events|r||", false);
    check("partitions", &of(""), "events|||", false);
    unknown(
        "partitions",
        &of("ahead = '> 3 days'"),
        "events|p|a|FOR VALUES FROM (1) TO (2)",
    );
}

#[test]
fn indexes_are_valid_used_and_there() {
    let old = "since||8640000";
    check("indexes", "", old, true);
    check("indexes", "", &format!("invalid|public.i|\n{old}"), false);
    check(
        "indexes",
        "unused = '== 0'",
        &format!("unused|public.i|8192\n{old}"),
        false,
    );
    check("indexes", "unused = '== 0'", old, true);
    check(
        "indexes",
        "missing = '== 0'",
        &format!("missing|orders (fk)|\n{old}"),
        false,
    );
    // Yesterday's figures know nothing of the month's report.
    unknown(
        "indexes",
        "unused = '== 0'",
        "unused|public.i|8192\nsince||86400",
    );
}

#[test]
fn row_level_security_is_on_with_a_policy() {
    check("row-level-security", "", "public.a|t|t|f|1", true);
    check("row-level-security", "", "public.a|t|f|f|1", false);
    check("row-level-security", "", "public.a|t|t|f|0", false);
    check("row-level-security", "tables = ['a']", "a|f|f|f|0", false);
    unknown("row-level-security", "", "");
}

#[test]
fn nobody_comes_over_the_network_in_the_clear() {
    let hba = |rules: &str| format!("rule|local||trust||all all|1\n{rules}\nssl|on|||||0");
    let tls_only =
        "rule|host|127.0.0.1|trust||all all|2\nrule|hostssl|all|scram-sha-256||all all|3";
    check("tls-required", "", &hba(tls_only), true);
    check(
        "tls-required",
        "",
        &hba(tls_only).replace("ssl|on", "ssl|off"),
        false,
    );
    check(
        "tls-required",
        "",
        &hba("rule|host|all|scram-sha-256||all all|2"),
        false,
    );
    let closed = "rule|hostnossl|all|reject||all all|2\nrule|host|all|scram-sha-256||all all|3";
    check("tls-required", "", &hba(closed), true);
    // The first rule that fits counts.
    let late = "rule|hostnossl|all|reject||all all|9\nrule|host|all|md5||all all|3";
    check("tls-required", "", &hba(late), false);
    let here = format!("{}\nplain|app|10.0.0.9||||77", hba(tls_only));
    check("tls-required", "", &here, false);
    unknown("tls-required", "", "ssl|on|||||0");
    unknown("tls-required", "", &hba("rule||||invalid address||2"));
}

#[test]
fn settings_are_compared_in_their_units() {
    let text = "max_connections|100||f\nshared_buffers|16384|8kB|f\nlog_min_duration_statement|250|ms|f\nwal_level|replica||f";
    for (fields, holds) in [
        ("max_connections = '>= 100'", true),
        ("max_connections = 200", false),
        ("shared_buffers = '>= 128 MB'", true),
        ("shared_buffers = '> 1 GB'", false),
        ("log_min_duration_statement = '<= 0.5 s'", true),
        ("wal_level = '== replica'", true),
        ("wal_level = '== logical'", false),
        ("nobody_has_this = 1", false),
    ] {
        check(
            "settings",
            &format!("settings = {{ {fields} }}"),
            text,
            holds,
        );
    }
    let waits = "max_connections|100||t";
    check(
        "settings",
        "settings = { max_connections = 100 }",
        waits,
        false,
    );
}

#[test]
fn what_belongs_to_another_question_is_found() {
    for (text, says) in [
        ("about = 'settings'", "no setting is named"),
        (
            "about = 'counts'\nvalue = 1\ncounts = { a = 1 }",
            "value says nothing",
        ),
        ("about = 'indexes'\nahead = '> 1 d'", "ahead says nothing"),
        (
            "about = 'indexes'\nquery = 'SELECT 1'",
            "either query or about",
        ),
        ("about = 'partitions'", "no table is named"),
        ("about = 'replication-lag'\nvalue = '< 5 MB'", "value"),
    ] {
        let text = format!("kind = 'sql'\nservice = 'p'\ndatabase = 'd'\n{text}");
        let problems = read(&text).problems();
        assert!(
            problems.iter().any(|p| p.contains(says)),
            "{text}: {problems:?}"
        );
    }
}
