//! What a database holds, seen in the very snapshot that is dumped.
//!
//! The statements that count are written by the server itself (`\gexec`), so no name of a table ever passes through us.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::session::{SAME_TEXT, Session};
use crate::domain::{Clean, Extension, SequenceAt, TableCount};

/// The database as a whole, and the name under which others may use its snapshot.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Head {
    pub(super) exported: String,
    pub(super) database: Clean,
    pub(super) system_identifier: Clean,
    pub(super) server_version: Clean,
    pub(super) server_version_num: u32,
    pub(super) encoding: Clean,
    pub(super) bytes: u64,
    pub(super) lsn: Clean,
}

/// Everything else.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    pub(super) extensions: Vec<Extension>,
    pub(super) tables: Vec<TableCount>,
    pub(super) sequences: Vec<SequenceAt>,
    /// Tables of which the dump's list must hold the data, by their number in the server's catalogue.
    pub(super) dumped: BTreeSet<u32>,
}

#[derive(Deserialize)]
struct Listed {
    oid: u32,
    dumped: bool,
}

const HEAD: &str = "\
    SELECT json_build_object('exported', pg_export_snapshot(), 'database', current_database(), \
    'system_identifier', (SELECT system_identifier::text FROM pg_control_system()), \
    'server_version', current_setting('server_version'), \
    'server_version_num', current_setting('server_version_num')::int, \
    'encoding', current_setting('server_encoding'), \
    'bytes', pg_database_size(current_database()), \
    'lsn', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END);";

/// The tables that hold rows of their own, of every schema, and no partitioned heads.
const TABLES: &str = "\
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' \
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY n.nspname, c.relname";

const EXTENSIONS: &str = "SELECT json_build_object('name', extname, 'version', extversion) \
    FROM pg_extension ORDER BY extname;";

const SEQUENCES: &str = "SELECT json_build_object('schema', schemaname, 'sequence', sequencename, \
    'last_value', last_value) FROM pg_sequences ORDER BY schemaname, sequencename;";

/// Begins the transaction whose snapshot everything is seen in.
pub(super) async fn begin(session: &mut Session) -> Result<Head, Clean> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;";
    session.row(&format!("{SAME_TEXT}\n{begin}\n{HEAD}")).await
}

/// Counts. `tell` hears each table as it is done.
pub(super) async fn take(
    session: &mut Session,
    tell: impl FnMut(&TableCount),
) -> Result<Survey, Clean> {
    let extensions = session.rows(EXTENSIONS, |_| ()).await?;
    let sequences = session.rows(SEQUENCES, |_| ()).await?;
    let listed = format!(
        "SELECT json_build_object('oid', c.oid::int8, 'dumped', NOT EXISTS (SELECT FROM pg_depend d \
         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) {TABLES};"
    );
    let listed: Vec<Listed> = session.rows(&listed, |_| ()).await?;
    let count = format!(
        "SELECT format('SELECT json_build_object(''schema'', %L, ''table'', %L, ''rows'', count(*), \
         ''checksum'', coalesce(sum(hashtextextended((of_row.*)::text COLLATE \"C\", 0)), 0)::text) \
         FROM ONLY %I.%I AS of_row', n.nspname, c.relname, n.nspname, c.relname) {TABLES} \\gexec"
    );
    let tables: Vec<TableCount> = session.rows(&count, tell).await?;
    if tables.len() != listed.len() {
        return Err(Clean::line(&format!(
            "{} of {} tables were counted: a backup without its counts proves nothing",
            tables.len(),
            listed.len()
        )));
    }
    let dumped = listed
        .into_iter()
        .filter(|one| one.dumped)
        .map(|one| one.oid);
    Ok(Survey {
        extensions,
        tables,
        sequences,
        dumped: dumped.collect(),
    })
}
