//! A stored row and its columns, for both databases.

use sqlx::{ColumnIndex, Decode, Type};

use crate::domain::Clean;
use crate::journal::chain::Row;
use crate::journal::entry::Record;

/// `$1`: after which number, `$2`: how many.
pub(super) const FORWARD: &str = "SELECT seq, at_ms, monotonic_ms, boot_id, uid, login_uid, user_name, ssh, tty, \
    sudo_user, mode, code, target, body, prev_hash, hash FROM quarterdeck_journal WHERE seq > $1 ORDER BY seq LIMIT $2";

/// `$1`: before which number, `$2`: how many.
pub(super) const BACKWARD: &str = "SELECT seq, at_ms, monotonic_ms, boot_id, uid, login_uid, user_name, ssh, tty, \
    sudo_user, mode, code, target, body, prev_hash, hash FROM quarterdeck_journal WHERE seq <= $1 ORDER BY seq DESC LIMIT $2";

pub(super) const INSERT: &str = "INSERT INTO quarterdeck_journal (seq, at_ms, monotonic_ms, boot_id, uid, login_uid, \
    user_name, ssh, tty, sudo_user, mode, code, target, body, prev_hash, hash) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

pub(super) const HEAD: &str = "SELECT seq, hash FROM quarterdeck_journal ORDER BY seq DESC LIMIT 1";

/// Binds a record to [`INSERT`].
macro_rules! insert {
    ($record:expr) => {{
        let record = $record;
        sqlx::query($crate::journal::store::row::INSERT)
            .bind(record.seq)
            .bind(record.at_ms)
            .bind(record.monotonic_ms)
            .bind(&record.boot_id)
            .bind(record.uid)
            .bind(record.login_uid)
            .bind(&record.user)
            .bind(&record.ssh)
            .bind(&record.tty)
            .bind(&record.sudo_user)
            .bind(&record.mode)
            .bind(&record.code)
            .bind(&record.target)
            .bind(&record.body)
            .bind(&record.prev_hash)
            .bind(&record.hash)
    }};
}
pub(super) use insert;

/// Reads a row. What cannot be read of it is said in its place; without a number it is no row at all.
pub(super) fn read<'r, R>(row: &'r R) -> Result<Row, sqlx::Error>
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let seq = row.try_get("seq")?;
    let record = record(row, seq).map_err(|error| Clean::line(&error.to_string()));
    Ok(Row { seq, record })
}

fn record<'r, R>(row: &'r R, seq: i64) -> Result<Record, sqlx::Error>
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(Record {
        seq,
        at_ms: row.try_get("at_ms")?,
        monotonic_ms: row.try_get("monotonic_ms")?,
        boot_id: row.try_get("boot_id")?,
        uid: row.try_get("uid")?,
        login_uid: row.try_get("login_uid")?,
        user: row.try_get("user_name")?,
        ssh: row.try_get("ssh")?,
        tty: row.try_get("tty")?,
        sudo_user: row.try_get("sudo_user")?,
        mode: row.try_get("mode")?,
        code: row.try_get("code")?,
        target: row.try_get("target")?,
        body: row.try_get("body")?,
        prev_hash: row.try_get("prev_hash")?,
        hash: row.try_get("hash")?,
    })
}
