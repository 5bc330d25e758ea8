//! The texts of the ready-made questions. Names go in quoted, whatever they hold.

use crate::domain::Clean;

/// What this server is, where it stands, and who follows it.
///
/// Of a primary: a row for each standby, with the bytes that it has not replayed and the lag by the server's own
/// figures. Of a standby: whether it receives, whether all that it received is replayed, and how old the last replayed
/// change is.
pub(super) const LAG: &str = "\
SELECT 'primary', coalesce(application_name, ''), coalesce(state, ''), \
coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::text, ''), \
coalesce(extract(epoch FROM replay_lag)::text, '') \
FROM pg_stat_replication WHERE NOT pg_is_in_recovery() \
UNION ALL \
SELECT 'standby', '', coalesce((SELECT status FROM pg_stat_wal_receiver LIMIT 1), 'not receiving'), \
coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text, ''), \
coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp())::text, '') \
WHERE pg_is_in_recovery()";

/// Kind, name, and a figure: invalid ones, those nobody used, foreign keys without an index, and since when it counts.
pub(super) const INDEXES: &str = "\
SELECT 'invalid', format('%I.%I', n.nspname, c.relname), '' \
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE (NOT i.indisvalid OR NOT i.indisready) AND n.nspname !~ '^pg_' \
UNION ALL \
SELECT 'unused', format('%I.%I', s.schemaname, s.indexrelname), pg_relation_size(s.indexrelid)::text \
FROM pg_stat_user_indexes s JOIN pg_index i ON i.indexrelid = s.indexrelid \
WHERE s.idx_scan = 0 AND NOT i.indisunique AND NOT i.indisprimary \
UNION ALL \
SELECT 'missing', format('%s (%s)', k.conrelid::regclass, k.conname), '' \
FROM pg_constraint k WHERE k.contype = 'f' AND NOT EXISTS (\
SELECT 1 FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indisvalid \
AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey) \
UNION ALL \
SELECT 'since', '', extract(epoch FROM now() - coalesce(\
(SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()), pg_postmaster_start_time()))::text";

/// Whether TLS is on, the rules of who may connect how, in their order, and sessions that came over the network plain.
pub(super) const TLS: &str = "\
SELECT 'ssl', current_setting('ssl'), '', '', '', '', 0 \
UNION ALL \
SELECT 'rule', coalesce(type, ''), coalesce(address, ''), coalesce(auth_method, ''), coalesce(error, ''), \
coalesce(array_to_string(database, ','), '') || ' ' || coalesce(array_to_string(user_name, ','), ''), line_number \
FROM pg_hba_file_rules \
UNION ALL \
SELECT 'plain', coalesce(a.usename, ''), host(a.client_addr), '', '', '', a.pid \
FROM pg_stat_activity a JOIN pg_stat_ssl s ON s.pid = a.pid \
WHERE NOT s.ssl AND a.client_addr IS NOT NULL AND NOT a.client_addr <<= '127.0.0.0/8' AND a.client_addr <> '::1' \
ORDER BY 1, 7";

fn literal(text: &str) -> String {
    // As a string of characters and no escapes, whatever the server's settings are.
    if text.contains('\\') {
        return format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// `"public"."users"` of `public.users`.
fn identifier(name: &str) -> String {
    let parts: Vec<String> = name
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    parts.join(".")
}

fn literals<'a>(names: impl IntoIterator<Item = &'a Clean>) -> String {
    let all: Vec<String> = names.into_iter().map(|name| literal(name)).collect();
    all.join(", ")
}

/// A list of tables to join with: as they are written, and as SQL names them.
fn named(tables: &[Clean]) -> String {
    let quoted: Vec<String> = tables
        .iter()
        .map(|table| literal(&identifier(table)))
        .collect();
    format!(
        "unnest(ARRAY[{}], ARRAY[{}]) AS t(name, quoted)",
        literals(tables),
        quoted.join(", ")
    )
}

pub(super) fn table_problem(name: &str) -> Option<Clean> {
    let parts = name.split('.').count();
    let empty = name.split('.').any(str::is_empty);
    (empty || parts > 2)
        .then(|| Clean::from(format!("{name:?} is no table; write users or public.users")))
}

pub(super) fn setting_problem(name: &str) -> Option<Clean> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    (name.is_empty() || !name.chars().all(fine)).then(|| {
        Clean::from(format!(
            "{name:?} is no setting; write one such as max_connections"
        ))
    })
}

pub(super) fn counts<'a>(tables: impl IntoIterator<Item = &'a Clean>) -> String {
    let one = |table: &Clean| {
        format!(
            "SELECT {}, count(*) FROM {}",
            literal(table),
            identifier(table)
        )
    };
    let all: Vec<String> = tables.into_iter().map(one).collect();
    all.join(" UNION ALL ")
}

/// Table, partition, and its bounds. A table that is none has a row without a partition.
pub(super) fn partitions(tables: &[Clean]) -> String {
    format!(
        "SELECT t.name, coalesce(p.relkind::text, ''), coalesce(c.oid::regclass::text, ''), \
coalesce(pg_get_expr(c.relpartbound, c.oid), '') \
FROM {} \
LEFT JOIN pg_class p ON p.oid = to_regclass(t.quoted) \
LEFT JOIN pg_inherits i ON i.inhparent = p.oid \
LEFT JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition \
ORDER BY 1, 3",
        named(tables)
    )
}

/// Table, whether it is there, whether the rule holds for all but the owner, for the owner too, and how many policies.
pub(super) fn row_security(tables: &[Clean]) -> String {
    let which = if tables.is_empty() {
        "(SELECT format('%s.%s', n.nspname, c.relname), format('%I.%I', n.nspname, c.relname) \
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition \
AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_') AS t(name, quoted)"
            .to_owned()
    } else {
        named(tables)
    };
    format!(
        "SELECT t.name, c.oid IS NOT NULL, coalesce(c.relrowsecurity, false), \
coalesce(c.relforcerowsecurity, false), \
(SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) \
FROM {which} LEFT JOIN pg_class c ON c.oid = to_regclass(t.quoted) ORDER BY 1"
    )
}

pub(super) fn settings<'a>(names: impl IntoIterator<Item = &'a Clean>) -> String {
    format!(
        "SELECT name, setting, coalesce(unit, ''), pending_restart FROM pg_settings \
WHERE name IN ({}) ORDER BY 1",
        literals(names)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        let name = Clean::from("public.us\"ers'; DROP TABLE x; --");
        let text = counts([&name]);
        assert_eq!(
            text,
            "SELECT 'public.us\"ers''; DROP TABLE x; --', count(*) FROM \"public\".\"us\"\"ers'; DROP TABLE x; --\""
        );
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
        assert!(table_problem("a..b").is_some() && table_problem("public.users").is_none());
        assert!(setting_problem("max_connections").is_none() && setting_problem("a b").is_some());
    }
}
