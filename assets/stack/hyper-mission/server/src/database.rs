//! The database: one connection, kept alive in the background, and the few queries of this API.
//!
//! A query without a connection fails at once; it never waits for one. Who supervises is `keep`, nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::log;

/// Any query of this API is a single indexed row or a short list.
const QUERY_LIMIT: Duration = Duration::from_secs(3);
/// Three replicas migrate one after the other behind one lock; each takes well under a second.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A restart of the database takes a few seconds and must not turn every replica unhealthy.
const SILENCE_UNTIL_DOWN: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_LAST: Duration = Duration::from_secs(3);
/// Names the migration among all advisory locks of this database.
const MIGRATION_LOCK: i64 = 0x0068_7970_6572;
/// The list of missions shows this many, newest first.
const MISSIONS_MAX: i64 = 100;

/// Applied in order, each once; never edited after a release.
const MIGRATIONS: [(i32, &str); 2] = [
    (
        1,
        "create table users (
            id bigint generated always as identity primary key,
            name text not null unique check (length(name) between 3 and 64),
            password_hash text not null,
            created_at timestamptz not null default now())",
    ),
    (
        2,
        "create table missions (
            id bigint generated always as identity primary key,
            owner bigint not null references users (id) on delete cascade,
            title text not null check (length(title) between 1 and 200),
            created_at timestamptz not null default now());
         create index missions_by_owner on missions (owner, id desc)",
    ),
];

/// Why a query has no answer.
#[derive(Debug)]
pub(crate) enum QueryError {
    /// Not connected, or no answer in time.
    Unavailable,
    /// The row exists already.
    Taken,
    /// The database refused the query; worth a line in the log.
    Refused(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => Self::Taken,
            Some(_) => Self::Refused(error),
            None => Self::Unavailable,
        }
    }
}

/// What is known of the database right now.
pub(crate) struct Database {
    client: watch::Receiver<Option<Arc<Client>>>,
    seen: Arc<Seen>,
}

/// When the database last answered, in ms since the program began, plus one; 0 is never.
struct Seen {
    began: Instant,
    last_ms: AtomicU64,
}

impl Seen {
    fn now(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last_ms.store(ms + 1, Ordering::Relaxed);
    }

    fn silence(&self) -> Option<Duration> {
        let last = self.last_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(
            self.began
                .elapsed()
                .saturating_sub(Duration::from_millis(last)),
        )
    }
}

impl Database {
    /// Starts the supervisor; returns at once.
    pub(crate) fn start(config: tokio_postgres::Config) -> Self {
        let (tx, client) = watch::channel(None);
        let seen = Arc::new(Seen {
            began: Instant::now(),
            last_ms: AtomicU64::new(0),
        });
        tokio::spawn(keep(config, tx, Arc::clone(&seen)));
        Self { client, seen }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.borrow().is_some()
    }

    /// `Err` says since when the database is not usable, in words.
    pub(crate) fn health(&self) -> Result<(), String> {
        match self.seen.silence() {
            None => Err("the database has not been reached yet".to_owned()),
            Some(silence) if silence > SILENCE_UNTIL_DOWN => Err(format!(
                "the database has not answered for {} s",
                silence.as_secs()
            )),
            Some(_) => Ok(()),
        }
    }

    fn client(&self) -> Result<Arc<Client>, QueryError> {
        self.client.borrow().clone().ok_or(QueryError::Unavailable)
    }

    pub(crate) async fn add_user(&self, name: &str, password_hash: &str) -> Result<(), QueryError> {
        let client = self.client()?;
        let sql = "insert into users (name, password_hash) values ($1, $2)";
        in_time(client.execute(sql, &[&name, &password_hash])).await?;
        Ok(())
    }

    /// Id and password hash.
    pub(crate) async fn user(&self, name: &str) -> Result<Option<(i64, String)>, QueryError> {
        let client = self.client()?;
        let row = in_time(client.query_opt(
            "select id, password_hash from users where name = $1",
            &[&name],
        ))
        .await?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    pub(crate) async fn add_mission(&self, owner: i64, title: &str) -> Result<Value, QueryError> {
        let client = self.client()?;
        let sql = "insert into missions (owner, title) values ($1, $2)
                   returning id, title, extract(epoch from created_at)::float8";
        let row = in_time(client.query_one(sql, &[&owner, &title])).await?;
        Ok(mission(&row))
    }

    pub(crate) async fn missions(&self, owner: i64) -> Result<Vec<Value>, QueryError> {
        let client = self.client()?;
        let sql = "select id, title, extract(epoch from created_at)::float8
                   from missions where owner = $1 order by id desc limit $2";
        let rows = in_time(client.query(sql, &[&owner, &MISSIONS_MAX])).await?;
        Ok(rows.iter().map(mission).collect())
    }
}

fn mission(row: &tokio_postgres::Row) -> Value {
    json!({ "id": row.get::<_, i64>(0), "title": row.get::<_, String>(1), "created_at": row.get::<_, f64>(2) })
}

async fn in_time<T>(
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, QueryError> {
    match timeout(QUERY_LIMIT, query).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(QueryError::Unavailable),
    }
}

/// Connects, watches, and connects again, for as long as the program lives.
async fn keep(
    config: tokio_postgres::Config,
    tx: watch::Sender<Option<Arc<Client>>>,
    seen: Arc<Seen>,
) {
    let mut backoff = BACKOFF_FIRST;
    loop {
        match timeout(START_LIMIT, open(&config)).await {
            Ok(Ok((client, connection))) => {
                backoff = BACKOFF_FIRST;
                log::info("database_connected", &json!({}));
                let client = Arc::new(client);
                tx.send_replace(Some(Arc::clone(&client)));
                let reason = until_lost(&client, connection, &seen).await;
                tx.send_replace(None);
                log::warn("database_lost", &json!({ "problem": reason }));
            }
            Ok(Err(error)) => late(&chain(&error), backoff),
            Err(_) => late("no answer in time", backoff),
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_LAST);
    }
}

fn late(problem: &str, backoff: Duration) {
    log::warn(
        "database_late",
        &json!({ "problem": problem, "again_in_ms": backoff.as_millis() }),
    );
}

type Connection = JoinHandle<Result<(), tokio_postgres::Error>>;

/// Aborts the connection when the attempt is given up halfway.
struct Guard(Option<Connection>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.abort();
        }
    }
}

async fn open(
    config: &tokio_postgres::Config,
) -> Result<(Client, Connection), tokio_postgres::Error> {
    let (mut client, connection) = config.connect(NoTls).await?;
    let mut guard = Guard(Some(tokio::spawn(connection)));
    migrate(&mut client).await?;
    let connection = guard.0.take().expect("put there three lines above");
    Ok((client, connection))
}

async fn until_lost(client: &Client, mut connection: Connection, seen: &Seen) -> String {
    seen.now();
    loop {
        tokio::select! {
            ended = &mut connection => return match ended {
                Ok(Ok(())) => "closed".to_owned(),
                Ok(Err(error)) => chain(&error),
                Err(error) => error.to_string(),
            },
            () = sleep(LOOK_EVERY) => match in_time(client.simple_query("select 1")).await {
                Ok(_) => seen.now(),
                Err(problem) => {
                    connection.abort();
                    return format!("{problem:?}");
                }
            },
        }
    }
}

/// Three replicas start at once: the lock lets one at a time look and apply.
async fn migrate(client: &mut Client) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction
        .execute("select pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])
        .await?;
    transaction
        .batch_execute(
            "create table if not exists schema_migrations (
                version int primary key, applied_at timestamptz not null default now())",
        )
        .await?;
    let mut applied = Vec::new();
    for (version, sql) in MIGRATIONS {
        let claim = "insert into schema_migrations (version) values ($1) on conflict do nothing";
        if transaction.execute(claim, &[&version]).await? == 1 {
            transaction.batch_execute(sql).await?;
            applied.push(version);
        }
    }
    transaction.commit().await?;
    if !applied.is_empty() {
        log::info("database_migrated", &json!({ "versions": applied }));
    }
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
