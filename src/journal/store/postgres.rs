//! The journal in PostgreSQL, where a team shares it: an advisory lock makes one writer, a notification tells followers.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Postgres, Transaction};
use tokio::time::timeout;

use super::lease::{self, Fence};
use super::row::{self, insert};
use super::{ANSWER, Access, BUSY, Condition, FORMAT, LeaseError, Notice, Opened, StoreError};
use crate::domain::Clean;
use crate::engine::{Target, Tenure};
use crate::journal::chain::{Head, Row};
use crate::journal::entry::Draft;

/// The lock of the one writer: `quarterd` as a number.
const LOCK: i64 = 0x7175_6172_7465_7264;

const CHANNEL: &str = "quarterdeck_journal";

/// A console looks, records and listens.
const CONNECTIONS_MAX: u32 = 4;

const SCHEMA: &str = "
CREATE TABLE quarterdeck_journal (
    seq bigint PRIMARY KEY, at_ms bigint NOT NULL, monotonic_ms bigint NOT NULL, boot_id text NOT NULL,
    uid bigint NOT NULL, login_uid bigint, user_name text NOT NULL, ssh text, tty text, sudo_user text,
    mode text NOT NULL, code text NOT NULL, target text NOT NULL, body text NOT NULL, prev_hash text NOT NULL,
    hash text NOT NULL UNIQUE);
CREATE TABLE quarterdeck_journal_format (version bigint NOT NULL);
";

/// Who holds which target; missing before format 2. Not part of the record: a row is changed at every heartbeat.
const LEASES: &str = "CREATE TABLE IF NOT EXISTS quarterdeck_journal_lease (target text PRIMARY KEY, tenure text NOT NULL)";

/// Also what was missing in format 0.
const GUARDS: &str = "
CREATE OR REPLACE FUNCTION quarterdeck_journal_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$;
DROP TRIGGER IF EXISTS quarterdeck_journal_append_only ON quarterdeck_journal;
CREATE TRIGGER quarterdeck_journal_append_only BEFORE UPDATE OR DELETE ON quarterdeck_journal
    FOR EACH ROW EXECUTE FUNCTION quarterdeck_journal_refuse();
DROP TRIGGER IF EXISTS quarterdeck_journal_no_truncate ON quarterdeck_journal;
CREATE TRIGGER quarterdeck_journal_no_truncate BEFORE TRUNCATE ON quarterdeck_journal
    FOR EACH STATEMENT EXECUTE FUNCTION quarterdeck_journal_refuse();
";

/// What there was before it was brought up to format 2; of an attempt that was cut short nothing is left.
const COPY: &str = "CREATE TABLE quarterdeck_journal_before_2 AS TABLE quarterdeck_journal";

/// Triggers that are in force. `O` and `A`: not disabled.
const GUARDS_THERE: &str = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'quarterdeck_journal'::regclass \
    AND tgname LIKE 'quarterdeck_journal_%' AND tgenabled IN ('O', 'A')";

pub(super) struct Base {
    pool: PgPool,
    /// Boxed for its size.
    options: Box<PgConnectOptions>,
    place: Clean,
}

pub(super) async fn open(
    url: &str,
    password: Option<&str>,
    access: Access,
) -> Result<Opened, StoreError> {
    let place = Clean::line(url);
    let unreachable = |source| StoreError::Unreachable {
        place: place.clone(),
        source,
    };
    let options = options(url, password).map_err(unreachable)?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ANSWER)
        .connect_with(options.clone())
        .await
        .map_err(unreachable)?;
    let base = Base {
        pool,
        options: Box::new(options),
        place,
    };
    let mut notices = Vec::new();
    let mut condition = base.examine().await?;
    if access == Access::Write && condition.is_none() {
        base.make().await?;
        condition = base.examine().await?;
    }
    let Some(mut condition) = condition else {
        return Err(StoreError::Absent {
            place: base.place.clone(),
        });
    };
    if let (Access::Write, Condition::Older { found }) = (access, &condition) {
        notices.push(base.migrate(*found).await?);
        condition = base.examine().await?.unwrap_or(condition);
    }
    if access == Access::Read && condition == Condition::Sound {
        condition = Condition::Asked;
    }
    Ok(Opened {
        base: super::Base::Postgres(base),
        condition,
        notices,
    })
}

fn options(url: &str, password: Option<&str>) -> Result<PgConnectOptions, sqlx::Error> {
    let wait = |span: Duration| format!("{}ms", span.as_millis());
    let mut options = PgConnectOptions::from_str(url)?
        .application_name("quarterdeck")
        .options([
            ("lock_timeout", wait(BUSY)),
            ("statement_timeout", wait(ANSWER)),
            ("idle_in_transaction_session_timeout", wait(ANSWER)),
        ])
        .disable_statement_logging();
    if let Some(password) = password {
        options = options.password(password);
    }
    let host = options.get_host();
    let here = options.get_socket().is_some()
        || host.starts_with('/')
        || matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]");
    // What the URL says about TLS holds. Where it is silent, another host has to prove who it is.
    if !here && !url.contains("sslmode=") {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    Ok(options)
}

impl Base {
    /// `None`: there is no journal yet.
    async fn examine(&self) -> Result<Option<Condition>, StoreError> {
        let told = |source| self.fault(source);
        let there: bool = sqlx::query_scalar(
            "SELECT to_regclass('quarterdeck_journal') IS NOT NULL AND to_regclass('quarterdeck_journal_format') IS NOT NULL",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(told)?;
        if !there {
            return Ok(None);
        }
        let version: Option<i64> =
            sqlx::query_scalar("SELECT version FROM quarterdeck_journal_format")
                .fetch_optional(&self.pool)
                .await
                .map_err(told)?;
        let leases: bool =
            sqlx::query_scalar("SELECT to_regclass('quarterdeck_journal_lease') IS NOT NULL")
                .fetch_one(&self.pool)
                .await
                .map_err(told)?;
        let guards: i64 = sqlx::query_scalar(GUARDS_THERE)
            .fetch_one(&self.pool)
            .await
            .map_err(told)?;
        Ok(Some(match version {
            None => Condition::Damaged(Clean::from("its format is missing")),
            Some(found) if found > FORMAT => Condition::Newer { found },
            Some(found) if found < FORMAT => Condition::Older { found },
            Some(_) if !leases => Condition::Altered(Clean::from("the table of leases")),
            Some(_) if guards < 2 => {
                Condition::Altered(Clean::from("what keeps entries from being changed"))
            }
            Some(_) => Condition::Sound,
        }))
    }

    /// Makes the tables in one transaction. Another process may have been quicker.
    async fn make(&self) -> Result<(), StoreError> {
        let told = |source| self.fault(source);
        let mut tx = self.locked().await?;
        let there: bool =
            sqlx::query_scalar("SELECT to_regclass('quarterdeck_journal') IS NOT NULL")
                .fetch_one(&mut *tx)
                .await
                .map_err(told)?;
        if !there {
            for statements in [SCHEMA, LEASES, GUARDS] {
                sqlx::raw_sql(statements)
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
        tx.commit().await.map_err(told)
    }

    /// Brings an older format up to ours, in one transaction with the copy that is kept.
    async fn migrate(&self, from: i64) -> Result<Notice, StoreError> {
        let told = |source| self.fault(source);
        let mut tx = self.locked().await?;
        for statements in [COPY, LEASES, GUARDS] {
            sqlx::raw_sql(statements)
                .execute(&mut *tx)
                .await
                .map_err(told)?;
        }
        sqlx::query("UPDATE quarterdeck_journal_format SET version = $1")
            .bind(FORMAT)
            .execute(&mut *tx)
            .await
            .map_err(told)?;
        tx.commit().await.map_err(told)?;
        Ok(Notice::Migrated {
            from,
            backup: Clean::from("the table quarterdeck_journal_before_2"),
        })
    }

    async fn locked(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        let mut tx = self
            .pool
            .begin_with("BEGIN")
            .await
            .map_err(|source| self.fault(source))?;
        let locked = sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(LOCK)
            .execute(&mut *tx)
            .await;
        match locked {
            Ok(_) => Ok(tx),
            Err(source) if code(&source).as_deref() == Some("55P03") => {
                drop(tx);
                Err(StoreError::Locked {
                    place: self.place.clone(),
                    holder: self.holder().await,
                })
            }
            Err(source) => Err(self.fault(source)),
        }
    }

    fn in_doubt(&self) -> StoreError {
        StoreError::InDoubt {
            place: self.place.clone(),
        }
    }

    pub(super) async fn append(
        &self,
        draft: &Draft,
        fence: Option<Fence<'_>>,
    ) -> Result<Head, LeaseError> {
        timeout(ANSWER, self.write(draft, fence))
            .await
            .unwrap_or_else(|_| Err(self.in_doubt().into()))
    }

    async fn commit(&self, tx: Transaction<'static, Postgres>) -> Result<(), StoreError> {
        tx.commit().await.map_err(|source| match &source {
            sqlx::Error::Database(_) => self.fault(source),
            // The commit was sent. Nobody has said what became of it.
            _ => self.in_doubt(),
        })
    }

    async fn tenure(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        target: &Target,
    ) -> Result<Tenure, StoreError> {
        let row: Option<String> = sqlx::query_scalar(lease::READ)
            .bind(target.0.as_str())
            .fetch_optional(&mut **tx)
            .await
            .map_err(|source| self.fault(source))?;
        lease::read(&self.place, &target.0, row)
    }

    /// Changes a lease in one transaction, under the lock of the one writer.
    pub(super) async fn lease<T>(
        &self,
        target: &Target,
        change: impl FnOnce(&mut Tenure) -> T,
    ) -> Result<T, StoreError> {
        let done = async {
            let mut tx = self.locked().await?;
            let before = self.tenure(&mut tx, target).await?;
            let mut tenure = before.clone();
            let said = change(&mut tenure);
            if tenure != before {
                sqlx::query(lease::WRITE)
                    .bind(target.0.as_str())
                    .bind(lease::write(&tenure))
                    .execute(&mut *tx)
                    .await
                    .map_err(|source| self.fault(source))?;
            }
            self.commit(tx).await?;
            Ok(said)
        };
        timeout(ANSWER, done)
            .await
            .unwrap_or_else(|_| Err(self.in_doubt()))
    }

    pub(super) async fn leases(&self) -> Result<Vec<(String, String)>, StoreError> {
        let asked = sqlx::query_as(lease::READ_ALL).fetch_all(&self.pool);
        timeout(ANSWER, asked)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(|source| self.fault(source))
    }

    async fn write(&self, draft: &Draft, fence: Option<Fence<'_>>) -> Result<Head, LeaseError> {
        let told = |source| self.fault(source);
        let mut tx = self.locked().await?;
        sqlx::query("SET LOCAL synchronous_commit = on")
            .execute(&mut *tx)
            .await
            .map_err(told)?;
        if let Some(Fence { target, token, now }) = fence {
            self.tenure(&mut tx, target).await?.admits(token, now)?;
        }
        let last: Option<(i64, String)> = sqlx::query_as(row::HEAD)
            .fetch_optional(&mut *tx)
            .await
            .map_err(told)?;
        let head = super::head_of(last, &self.place)?;
        let record = draft.after(head).map_err(StoreError::from)?;
        insert!(&record).execute(&mut *tx).await.map_err(told)?;
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(record.seq.to_string())
            .execute(&mut *tx)
            .await
            .map_err(told)?;
        self.commit(tx).await?;
        Ok(super::head_after(&record))
    }

    pub(super) async fn rows(
        &self,
        sql: &'static str,
        from: i64,
        most: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let asked = sqlx::query(sql)
            .bind(from)
            .bind(i64::from(most))
            .fetch_all(&self.pool);
        let rows = timeout(ANSWER, asked)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(|source| self.fault(source))?;
        rows.iter()
            .map(row::read)
            .collect::<Result<_, _>>()
            .map_err(|source| self.fault(source))
    }

    /// Whose connection holds the writer's lock.
    async fn holder(&self) -> Option<Clean> {
        const WHO: &str = "SELECT format('%s from %s (%s, server process %s)', a.usename, \
            coalesce(host(a.client_addr), 'this host'), a.application_name, a.pid) \
            FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted \
            AND ((l.classid::bigint << 32) | l.objid::bigint) = $1 LIMIT 1";
        let who: Option<String> = sqlx::query_scalar(WHO)
            .bind(LOCK)
            .fetch_optional(&self.pool)
            .await
            .ok()?;
        who.map(|who| Clean::line(&who))
    }

    pub(super) async fn follow(&self) -> Result<Follow, StoreError> {
        let told = |source| self.fault(source);
        // A connection of its own: closing the journal waits for those of its pool.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(ANSWER)
            .connect_with(PgConnectOptions::clone(&self.options))
            .await
            .map_err(told)?;
        let mut listener = PgListener::connect_with(&pool).await.map_err(told)?;
        listener.listen(CHANNEL).await.map_err(told)?;
        Ok(Follow {
            listener,
            place: self.place.clone(),
        })
    }

    fn fault(&self, source: sqlx::Error) -> StoreError {
        fault(&self.place, source)
    }

    pub(super) async fn close(self) {
        self.pool.close().await;
    }
}

pub(super) struct Follow {
    listener: PgListener,
    place: Clean,
}

impl Follow {
    pub(super) async fn news(&mut self, patience: Duration) -> Result<bool, StoreError> {
        match timeout(patience, self.listener.recv()).await {
            Ok(Ok(_)) => {
                // One look shows all that is new.
                while self.listener.next_buffered().is_some() {}
                Ok(true)
            }
            Ok(Err(source)) => Err(fault(&self.place, source)),
            Err(_) => Ok(false),
        }
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// What an error of PostgreSQL means for the journal. Classes: `53` resources, `58` the server's own disk, `XX` damage.
fn fault(place: &Clean, source: sqlx::Error) -> StoreError {
    let place = place.clone();
    match code(&source).as_deref() {
        Some("55P03") => StoreError::Locked {
            place,
            holder: None,
        },
        Some("53100") => StoreError::Full { place, source },
        Some("25006") => StoreError::Standby { place, source },
        Some("58030") => StoreError::Suspect {
            place,
            source: Some(source),
        },
        Some("XX001" | "XX002") => StoreError::Corrupt { place, source },
        Some(_) => StoreError::Unusable { place, source },
        None => match source {
            sqlx::Error::ColumnDecode { .. } => StoreError::Corrupt { place, source },
            source => StoreError::Unreachable { place, source },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, verified: bool) {
        let mode = options(url, None).unwrap().get_ssl_mode();
        assert_eq!(matches!(mode, PgSslMode::VerifyFull), verified, "{url}");
    }

    #[test]
    fn another_host_has_to_prove_who_it_is_unless_told_otherwise() {
        check("postgres://ops@db.example/ops", true);
        check("postgres://ops@db.example/ops?sslmode=require", false);
        check("postgres://ops@127.0.0.1:5433/ops", false);
        check("postgres:///ops?host=/run/postgresql", false);
    }
}
