//! The journal as a SQLite database: write-ahead log, synchronous FULL, one writer.
//!
//! Before anything is written to a file that is there, it is looked at through a connection that cannot write.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::lease::{self, Fence};
use super::row::{self, insert};
use super::{
    ANSWER, Access, BUSY, Condition, FORMAT, FREE_BYTES_MIN, LeaseError, Notice, Opened, Salvage,
    StoreError, reserve,
};
use crate::domain::Clean;
use crate::engine::{Target, Tenure};
use crate::journal::chain::{Head, Row};
use crate::journal::entry::Draft;

/// The first release without the fault that could damage a database in WAL mode.
const SQLITE_MIN: [u32; 3] = [3, 51, 3];

/// How often a follower looks; one pragma that reads no page.
const LOOK_EVERY: Duration = Duration::from_millis(200);

const TABLE: &str = "CREATE TABLE quarterdeck_journal (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, \
    monotonic_ms INTEGER NOT NULL, boot_id TEXT NOT NULL, uid INTEGER NOT NULL, login_uid INTEGER, \
    user_name TEXT NOT NULL, ssh TEXT, tty TEXT, sudo_user TEXT, mode TEXT NOT NULL, code TEXT NOT NULL, \
    target TEXT NOT NULL, body TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL UNIQUE) STRICT";

const FORMAT_TABLE: &str =
    "CREATE TABLE quarterdeck_journal_format (version INTEGER NOT NULL) STRICT";

/// Who holds which target. Not part of the record: a row is changed at every heartbeat.
const LEASE_TABLE: &str =
    "CREATE TABLE quarterdeck_journal_lease (target TEXT PRIMARY KEY, tenure TEXT NOT NULL) STRICT";

const NO_UPDATE: &str = "CREATE TRIGGER quarterdeck_journal_no_update BEFORE UPDATE ON quarterdeck_journal \
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END";

const NO_DELETE: &str = "CREATE TRIGGER quarterdeck_journal_no_delete BEFORE DELETE ON quarterdeck_journal \
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END";

/// All that there is, by name. What differs from it was made by somebody else.
const SCHEMA: [(&str, &str); 5] = [
    ("quarterdeck_journal", TABLE),
    ("quarterdeck_journal_format", FORMAT_TABLE),
    ("quarterdeck_journal_lease", LEASE_TABLE),
    ("quarterdeck_journal_no_delete", NO_DELETE),
    ("quarterdeck_journal_no_update", NO_UPDATE),
];

pub(super) struct Base {
    /// One connection: SQLite has one writer, and waiting in our own queue is fair.
    writer: Option<SqlitePool>,
    reader: SqlitePool,
    path: PathBuf,
}

fn place(path: &Path) -> Clean {
    Clean::bytes(path.as_os_str().as_bytes())
}

pub(super) async fn open(path: &Path, access: Access) -> Result<Opened, StoreError> {
    let fresh = prepare(path, access)?;
    let mut notices = Vec::new();
    if fresh {
        create(path).await?;
    }
    let reader = connect(path, Access::Read).await?;
    let mut condition = examine(&reader, path).await?;
    let writable = matches!(condition, Condition::Sound | Condition::Older { .. });
    let writer = match access {
        Access::Write if writable => Some(connect(path, Access::Write).await?),
        Access::Write | Access::Read => None,
    };
    if let (Some(writer), Condition::Older { found }) = (&writer, &condition) {
        notices.push(migrate(writer, path, *found).await?);
        condition = examine(&reader, path).await?;
    }
    if writer.is_some() && !reserve::keep(path).map_err(file(path))? {
        notices.push(Notice::NoReserve);
    }
    if access == Access::Read && condition == Condition::Sound {
        condition = Condition::Asked;
    }
    let base = super::Base::Sqlite(Base {
        writer,
        reader,
        path: path.to_owned(),
    });
    Ok(Opened {
        base,
        condition,
        notices,
    })
}

fn file(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let place = place(path);
    move |source| StoreError::File {
        place: place.clone(),
        source,
    }
}

/// Sees to folder and file; whether the database is still to be made.
fn prepare(path: &Path, access: Access) -> Result<bool, StoreError> {
    let was_there = reserve::path(path).exists();
    match fs::metadata(path) {
        Ok(found) if found.len() > 0 => Ok(false),
        Ok(_) if was_there => Err(StoreError::Emptied { place: place(path) }),
        Ok(_) if access == Access::Write => Ok(true),
        Ok(_) => Err(StoreError::Absent { place: place(path) }),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(path)(error)),
        Err(_) if was_there => Err(StoreError::Gone { place: place(path) }),
        Err(_) if access == Access::Read => Err(StoreError::Absent { place: place(path) }),
        Err(_) => make(path).map(|()| true).map_err(file(path)),
    }
}

/// Folders and file are for their owner alone: entries name people, hosts and what is weak.
fn make(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?
        .sync_all()?;
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn options(path: &Path, access: Access) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging();
    match access {
        Access::Read => options.read_only(true),
        Access::Write => options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full),
    }
}

async fn connect(path: &Path, access: Access) -> Result<SqlitePool, StoreError> {
    let connections = match access {
        Access::Read => 2,
        Access::Write => 1,
    };
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ANSWER)
        .connect_with(options(path, access))
        .await
        .map_err(|source| fault(path, source))?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&pool)
        .await
        .map_err(|source| fault(path, source))?;
    if new_enough(&version) {
        return Ok(pool);
    }
    Err(StoreError::OldSqlite {
        found: Clean::line(&version),
    })
}

fn new_enough(version: &str) -> bool {
    let parts: Vec<u32> = version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect();
    parts.as_slice() >= SQLITE_MIN.as_slice()
}

/// Makes the tables in one transaction. Another process may have been quicker.
async fn create(path: &Path) -> Result<(), StoreError> {
    let told = |source| fault(path, source);
    let pool = connect(path, Access::Write).await?;
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(told)?;
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *tx)
        .await
        .map_err(told)?;
    if there == 0 {
        for (_, statement) in SCHEMA {
            sqlx::query(statement)
                .execute(&mut *tx)
                .await
                .map_err(told)?;
        }
        sqlx::query("INSERT INTO quarterdeck_journal_format (version) VALUES ($1)")
            .bind(FORMAT)
            .execute(&mut *tx)
            .await
            .map_err(told)?;
    }
    tx.commit().await.map_err(told)?;
    pool.close().await;
    Ok(())
}

/// Looks over a database without writing.
async fn examine(reader: &SqlitePool, path: &Path) -> Result<Condition, StoreError> {
    /// The smallest page there is; every file of SQLite is a multiple of it.
    const PAGE_BYTES_MIN: u64 = 512;
    let length = fs::metadata(path).map_err(file(path))?.len();
    if !length.is_multiple_of(PAGE_BYTES_MIN) {
        return Ok(Condition::Damaged(Clean::from(
            "the file ends within a page",
        )));
    }
    match look_over(reader).await {
        Ok(condition) => Ok(condition),
        Err(error) => match fault(path, error) {
            StoreError::Corrupt { source, .. } => {
                Ok(Condition::Damaged(Clean::line(&source.to_string())))
            }
            other => Err(other),
        },
    }
}

async fn look_over(reader: &SqlitePool) -> Result<Condition, sqlx::Error> {
    let said: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(3)")
        .fetch_all(reader)
        .await?;
    if said != ["ok"] {
        return Ok(Condition::Damaged(Clean::line(&said.join("; "))));
    }
    let found: Vec<(String, String)> =
        sqlx::query_as("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .fetch_all(reader)
            .await?;
    let has = |name: &str| found.iter().any(|(found, _)| found == name);
    if !has("quarterdeck_journal") || !has("quarterdeck_journal_format") {
        return Ok(Condition::Damaged(Clean::from("its tables are missing")));
    }
    let version: Option<i64> = sqlx::query_scalar("SELECT version FROM quarterdeck_journal_format")
        .fetch_optional(reader)
        .await?;
    match version {
        Some(found) if found > FORMAT => return Ok(Condition::Newer { found }),
        Some(found) if found < FORMAT => return Ok(Condition::Older { found }),
        Some(_) => {}
        None => return Ok(Condition::Damaged(Clean::from("its format is missing"))),
    }
    let expected = SCHEMA.iter().map(|(name, sql)| (*name, *sql));
    let found = found
        .iter()
        .map(|(name, sql)| (name.as_str(), sql.as_str()));
    if found.eq(expected) {
        return Ok(Condition::Sound);
    }
    Ok(Condition::Altered(Clean::from(
        "the schema of the database",
    )))
}

/// Brings an older format up to ours, after a copy was made beside it.
async fn migrate(writer: &SqlitePool, path: &Path, from: i64) -> Result<Notice, StoreError> {
    let told = |source| fault(path, source);
    let backup = free_name(path, from);
    sqlx::query("VACUUM INTO $1")
        .bind(backup.to_string_lossy().into_owned())
        .execute(writer)
        .await
        .map_err(told)?;
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&backup, owner_only)
        .and_then(|()| fs::File::open(&backup)?.sync_all())
        .map_err(file(&backup))?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(told)?;
    // Format 0 had nothing that kept an entry from being changed, format 1 no leases.
    for (name, statement) in SCHEMA {
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = $1")
            .bind(name)
            .fetch_one(&mut *tx)
            .await
            .map_err(told)?;
        if there == 0 {
            sqlx::query(statement)
                .execute(&mut *tx)
                .await
                .map_err(told)?;
        }
    }
    sqlx::query("UPDATE quarterdeck_journal_format SET version = $1")
        .bind(FORMAT)
        .execute(&mut *tx)
        .await
        .map_err(told)?;
    tx.commit().await.map_err(told)?;
    Ok(Notice::Migrated {
        from,
        backup: place(&backup),
    })
}

/// A name beside the database that nobody has.
fn free_name(path: &Path, from: i64) -> PathBuf {
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".format{from}.{n}"));
        PathBuf::from(name)
    };
    (1..u32::MAX)
        .map(name)
        .find(|path| !path.exists())
        .unwrap_or_else(|| name(u32::MAX))
}

impl Base {
    fn writer(&self) -> Result<&SqlitePool, StoreError> {
        self.writer.as_ref().ok_or_else(|| StoreError::ReadOnly {
            place: place(&self.path),
            why: Condition::Asked,
        })
    }

    pub(super) async fn append(
        &self,
        draft: &Draft,
        fence: Option<Fence<'_>>,
    ) -> Result<Head, LeaseError> {
        let told = |source| self.fault(source);
        let mut connection = self.writer()?.acquire().await.map_err(told)?;
        let written = self.write(&mut connection, draft, fence).await;
        if matches!(written, Err(LeaseError::Store(_))) {
            // SQLite may have ended the transaction by itself, and then the connection counts wrongly.
            drop(connection.detach());
        }
        written
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        draft: &Draft,
        fence: Option<Fence<'_>>,
    ) -> Result<Head, LeaseError> {
        let told = |source| self.fault(source);
        let mut tx = connection
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(told)?;
        if let Some(Fence { target, token, now }) = fence {
            let tenure = self.tenure(&mut tx, target).await?;
            tenure.admits(token, now)?;
        }
        let last: Option<(i64, String)> = sqlx::query_as(row::HEAD)
            .fetch_optional(&mut *tx)
            .await
            .map_err(told)?;
        let head = super::head_of(last, &place(&self.path))?;
        let record = draft.after(head).map_err(StoreError::from)?;
        insert!(&record).execute(&mut *tx).await.map_err(told)?;
        tx.commit().await.map_err(told)?;
        Ok(super::head_after(&record))
    }

    async fn tenure(
        &self,
        connection: &mut SqliteConnection,
        target: &Target,
    ) -> Result<Tenure, StoreError> {
        let row: Option<String> = sqlx::query_scalar(lease::READ)
            .bind(target.0.as_str())
            .fetch_optional(connection)
            .await
            .map_err(|source| self.fault(source))?;
        lease::read(&place(&self.path), &target.0, row)
    }

    /// Changes a lease in one transaction.
    pub(super) async fn lease<T>(
        &self,
        target: &Target,
        change: impl FnOnce(&mut Tenure) -> T,
    ) -> Result<T, StoreError> {
        let told = |source| self.fault(source);
        let mut connection = self.writer()?.acquire().await.map_err(told)?;
        let done = async {
            let mut tx = connection
                .begin_with("BEGIN IMMEDIATE")
                .await
                .map_err(told)?;
            let before = self.tenure(&mut tx, target).await?;
            let mut tenure = before.clone();
            let said = change(&mut tenure);
            if tenure != before {
                sqlx::query(lease::WRITE)
                    .bind(target.0.as_str())
                    .bind(lease::write(&tenure))
                    .execute(&mut *tx)
                    .await
                    .map_err(told)?;
            }
            tx.commit().await.map_err(told)?;
            Ok(said)
        };
        let done = done.await;
        if done.is_err() {
            drop(connection.detach());
        }
        done
    }

    pub(super) async fn leases(&self) -> Result<Vec<(String, String)>, StoreError> {
        sqlx::query_as(lease::READ_ALL)
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.fault(source))
    }

    pub(super) async fn rows(
        &self,
        sql: &'static str,
        from: i64,
        most: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = sqlx::query(sql)
            .bind(from)
            .bind(i64::from(most))
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.fault(source))?;
        rows.iter()
            .map(row::read)
            .collect::<Result<_, _>>()
            .map_err(|source| self.fault(source))
    }

    fn fault(&self, source: sqlx::Error) -> StoreError {
        fault(&self.path, source)
    }

    pub(super) fn preflight(&self) -> Result<(), StoreError> {
        let free = reserve::free(&self.path).map_err(file(&self.path))?;
        if free >= FREE_BYTES_MIN {
            return Ok(());
        }
        Err(StoreError::Narrow {
            place: place(&self.path),
            free_mib: free / (1024 * 1024),
        })
    }

    pub(super) fn release_reserve(&self) -> bool {
        reserve::release(&self.path)
    }

    pub(super) async fn follow(&self) -> Result<Follow, StoreError> {
        let connection = options(&self.path, Access::Read)
            .connect()
            .await
            .map_err(|source| self.fault(source))?;
        let mut follow = Follow {
            connection,
            version: 0,
            path: self.path.clone(),
        };
        follow.look().await?;
        Ok(follow)
    }

    pub(super) async fn close(self) {
        self.reader.close().await;
        if let Some(writer) = self.writer {
            writer.close().await;
        }
    }
}

/// Looks at the version that SQLite gives to what others have written.
pub(super) struct Follow {
    connection: SqliteConnection,
    version: i64,
    path: PathBuf,
}

impl Follow {
    pub(super) async fn news(&mut self, patience: Duration) -> Result<bool, StoreError> {
        let until = Instant::now() + patience;
        loop {
            if self.look().await? {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            tokio::time::sleep(left.min(LOOK_EVERY)).await;
        }
    }

    async fn look(&mut self) -> Result<bool, StoreError> {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut self.connection)
            .await
            .map_err(|source| fault(&self.path, source))?;
        let news = version != self.version;
        self.version = version;
        Ok(news)
    }
}

/// Reads single entries from the front until one cannot be read, then from the back.
pub(super) async fn salvage(path: &Path) -> Result<Salvage, StoreError> {
    let mut connection = match options(path, Access::Read).connect().await {
        Ok(connection) => connection,
        // With its write-ahead log it cannot be opened; without it perhaps.
        Err(_) => options(path, Access::Read)
            .immutable(true)
            .connect()
            .await
            .map_err(|source| fault(path, source))?,
    };
    let mut found = Salvage {
        records: Vec::new(),
        lost: Vec::new(),
    };
    let stopped = gather(&mut connection, row::FORWARD, i64::MIN, &mut found).await;
    if let Some(why) = stopped {
        found.lost.push(why);
        let last = found.records.last().map_or(i64::MIN, |record| record.seq);
        let front = found.records.len();
        let stopped = gather(&mut connection, row::BACKWARD, i64::MAX, &mut found).await;
        found.lost.extend(stopped);
        let mut back = found.records.split_off(front);
        back.retain(|record| record.seq > last);
        back.reverse();
        found.records.append(&mut back);
    }
    // What was read is all that this connection was for.
    let _ = connection.close().await;
    Ok(found)
}

/// Why it stopped before the end.
async fn gather(
    connection: &mut SqliteConnection,
    sql: &'static str,
    start: i64,
    found: &mut Salvage,
) -> Option<Clean> {
    let forward = sql == row::FORWARD;
    let mut at = start;
    loop {
        let read = sqlx::query(sql)
            .bind(at)
            .bind(1_i64)
            .fetch_optional(&mut *connection)
            .await
            .and_then(|row| row.as_ref().map(row::read).transpose());
        match read {
            Ok(Some(Row { seq, record })) => {
                match record {
                    Ok(record) => found.records.push(record),
                    Err(why) => found.lost.push(Clean::from(format!("entry {seq}: {why}"))),
                }
                let next = if forward {
                    Some(seq)
                } else {
                    seq.checked_sub(1)
                };
                match next {
                    Some(next) if next != at || !forward => at = next,
                    Some(_) | None => return None,
                }
            }
            Ok(None) => return None,
            Err(error) => return Some(Clean::line(&format!("at entry {at}: {error}"))),
        }
    }
}

/// SQLite's extended result code.
fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// What an error of SQLite means for the journal. <https://www.sqlite.org/rescode.html>
fn fault(path: &Path, source: sqlx::Error) -> StoreError {
    /// The shared memory of the write-ahead log could not grow: the disk is full.
    const IOERR_SHMSIZE: u32 = 4874;
    let place = place(path);
    let Some(code) = code(&source) else {
        return match source {
            sqlx::Error::PoolTimedOut => StoreError::Locked {
                place,
                holder: holder(path),
            },
            sqlx::Error::ColumnDecode { .. } => StoreError::Corrupt { place, source },
            source => StoreError::Unusable { place, source },
        };
    };
    match (code, code & 0xff) {
        (IOERR_SHMSIZE, _) | (_, 13) => StoreError::Full { place, source },
        (_, 5 | 6) => StoreError::Locked {
            place,
            holder: holder(path),
        },
        (_, 10) => StoreError::Suspect {
            place,
            source: Some(source),
        },
        (_, 11 | 26) => StoreError::Corrupt { place, source },
        _ => StoreError::Unusable { place, source },
    }
}

/// Who holds a lock for writing on the database or its shared memory, by the kernel's list.
fn holder(path: &Path) -> Option<Clean> {
    /// The list has a line for each lock of the machine.
    const LINES_MAX: usize = 100_000;
    let mut shared = path.as_os_str().to_owned();
    shared.push("-shm");
    let inodes: Vec<u64> = [path.as_os_str(), &shared]
        .into_iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|found| found.ino())
        .collect();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let ours = std::process::id();
    let pid = locks.lines().take(LINES_MAX).find_map(|line| {
        let (pid, inode) = write_lock(line)?;
        (inodes.contains(&inode) && pid != ours).then_some(pid)
    })?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(Clean::line(&format!("process {pid} ({})", name.trim())))
}

/// `1: POSIX  ADVISORY  WRITE 1234 08:01:5678 120 120`: who and which file. `->` marks one that waits.
fn write_lock(line: &str) -> Option<(u32, u64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, "POSIX" | "OFDLCK", _, "WRITE", pid, file, ..] = words.as_slice() else {
        return None;
    };
    Some((pid.parse().ok()?, file.rsplit(':').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_sqlite_are_compared_as_numbers() {
        for (version, fine) in [
            ("3.51.3", true),
            ("3.51.2", false),
            ("3.52.0", true),
            ("3.9.9", false),
            ("4.0.0", true),
            ("x", false),
        ] {
            assert_eq!(new_enough(version), fine, "{version}");
        }
    }

    #[test]
    fn a_waiting_lock_holds_nothing() {
        let held = "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 120 120";
        assert_eq!(write_lock(held), Some((1234, 5678)));
        assert_eq!(
            write_lock("1: -> POSIX  ADVISORY  WRITE 9 08:01:5 0 0"),
            None
        );
        assert_eq!(
            write_lock("1: POSIX  ADVISORY  READ 1234 08:01:5678 0 0"),
            None
        );
    }
}
