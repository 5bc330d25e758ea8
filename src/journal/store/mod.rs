//! Where the journal lies: SQLite in the state folder, or PostgreSQL for a team. The same words to both.
//!
//! One writer at a time, across processes: the transaction that appends holds the lock, reads the head inside it, and
//! is durable when the number is returned. A store that cannot be trusted is opened to be read and refuses to be
//! written; nothing is repaired or removed here.

mod lease;
mod postgres;
mod reserve;
mod row;
mod sqlite;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;

use super::chain::{Anchor, Flaw, Head, Row, Uncertain, Verdict, Walk};
use super::entry::{Draft, Record, Seq, Unfit};
use crate::domain::Clean;

use lease::Fence;
pub use lease::LeaseError;

/// Format of the tables. A newer one is only read, an older one is brought up to this.
pub const FORMAT: i64 = 2;

/// Entries from the end whose chain is checked at every opening; `verify` checks all.
const TAIL_CHECKED: u64 = 1000;

/// Entries in memory at a time.
const PAGE: u32 = 500;

/// How long a writer waits for another.
const BUSY: Duration = Duration::from_secs(5);

/// How long anything asked of the store may take. Behind it lies a disk or a server that hangs.
const ANSWER: Duration = Duration::from_secs(20);

/// What a run needs before it may begin.
pub const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;

#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    Sqlite(PathBuf),
    Postgres {
        /// `postgres://user@host:port/database`, without a password.
        url: String,
        password: Option<String>,
    },
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl Address {
    /// As people are told of it.
    pub fn place(&self) -> Clean {
        use std::os::unix::ffi::OsStrExt;
        match self {
            Self::Sqlite(path) => Clean::bytes(path.as_os_str().as_bytes()),
            Self::Postgres { url, .. } => Clean::line(url),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// Whether the journal may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Sound,
    /// It was opened to be read.
    Asked,
    /// A newer console has written it.
    Newer {
        found: i64,
    },
    /// An older console has written it; opening it to write brings it up.
    Older {
        found: i64,
    },
    /// The database says of itself that it is damaged.
    Damaged(Clean),
    /// The tables or what guards them are not as they were made.
    Altered(Clean),
    /// The end of the chain does not hold.
    Broken {
        seq: i64,
        flaw: Flaw,
    },
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound => f.write_str("it is sound"),
            Self::Asked => f.write_str("it was opened to be read"),
            Self::Newer { found } => write!(
                f,
                "its format {found} is newer than {FORMAT}, which this console writes; update quarterdeck"
            ),
            Self::Older { found } => write!(f, "its format {found} is older than {FORMAT}"),
            Self::Damaged(what) => write!(
                f,
                "the database is damaged ({what}); `quarterdeck journal export --salvage` saves what can be read"
            ),
            Self::Altered(what) => write!(f, "{what} is not as quarterdeck made it"),
            Self::Broken { seq, flaw } => write!(f, "entry {seq} is broken: {flaw}"),
        }
    }
}

/// What is worth saying after an opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// There is no room for the reserve: on a full disk even an abort could not be recorded.
    NoReserve,
    Migrated {
        from: i64,
        /// A copy of what was there before.
        backup: Clean,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReserve => {
                f.write_str("there is no room for the journal's reserve of 4 MiB; free some space")
            }
            Self::Migrated { from, backup } => write!(
                f,
                "the journal was brought from format {from} to {FORMAT}; a copy is in {backup}"
            ),
        }
    }
}

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("there is no journal at {place} yet; the first entry makes it")]
    Absent { place: Clean },
    #[error(
        "the journal at {place} is gone, its reserve file is there: put it back, or remove {place}.reserve to begin anew"
    )]
    Gone { place: Clean },
    #[error(
        "the journal at {place} is empty, and it was not: put back a copy, or move it and its reserve away"
    )]
    Emptied { place: Clean },
    #[error("cannot make or read {place}")]
    File {
        place: Clean,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the journal at {place} is damaged; `quarterdeck journal export --salvage` saves what can be read"
    )]
    Corrupt {
        place: Clean,
        #[source]
        source: sqlx::Error,
    },
    #[error("the journal at {place} is locked{}", by(holder.as_ref()))]
    Locked { place: Clean, holder: Option<Clean> },
    #[error("the disk of the journal at {place} is full: nothing was recorded")]
    Full {
        place: Clean,
        #[source]
        source: sqlx::Error,
    },
    #[error(
        "{free_mib} MiB are free for the journal at {place}, a run needs {}",
        FREE_BYTES_MIN / (1024 * 1024)
    )]
    Narrow { place: Clean, free_mib: u64 },
    #[error(
        "the journal at {place} is suspect after a failed write; check the disk, then start quarterdeck anew"
    )]
    Suspect {
        place: Clean,
        #[source]
        source: Option<sqlx::Error>,
    },
    #[error("the journal at {place} is not written: {why}")]
    ReadOnly { place: Clean, why: Condition },
    #[error("the server of the journal at {place} accepts no writes")]
    Standby {
        place: Clean,
        #[source]
        source: sqlx::Error,
    },
    #[error(
        "no answer from the journal at {place}; whether the entry was recorded is not known, look before asking again"
    )]
    InDoubt { place: Clean },
    #[error("cannot reach the journal at {place}")]
    Unreachable {
        place: Clean,
        #[source]
        source: sqlx::Error,
    },
    #[error("cannot use the journal at {place}")]
    Unusable {
        place: Clean,
        #[source]
        source: sqlx::Error,
    },
    #[error("the lease of {target} in the journal at {place} cannot be read")]
    Lease {
        place: Clean,
        target: Clean,
        #[source]
        source: serde_json::Error,
    },
    #[error(
        "SQLite {found} is too old, expected 3.51.3: older ones can damage a database in WAL mode"
    )]
    OldSqlite { found: Clean },
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

fn by(holder: Option<&Clean>) -> String {
    match holder {
        Some(holder) => format!(" by {holder} for more than {} s", BUSY.as_secs()),
        None => format!(" for more than {} s, by whom is not known", BUSY.as_secs()),
    }
}

/// A part of the journal; without an end all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub from: Option<Seq>,
    pub to: Option<Seq>,
}

/// What could be read of a damaged journal.
#[derive(Debug)]
pub struct Salvage {
    /// In their order.
    pub records: Vec<Record>,
    /// What could not be read.
    pub lost: Vec<Clean>,
}

enum Base {
    Sqlite(sqlite::Base),
    Postgres(postgres::Base),
}

/// An open journal.
pub struct Journal {
    base: Base,
    place: Clean,
    condition: Condition,
    notices: Vec<Notice>,
    suspect: AtomicBool,
}

/// What an opening found, before the chain is looked at.
struct Opened {
    base: Base,
    condition: Condition,
    notices: Vec<Notice>,
}

impl Journal {
    /// Opens it; with [`Access::Write`] it is made where there is none.
    pub async fn open(address: &Address, access: Access) -> Result<Self, StoreError> {
        let opened = match address {
            Address::Sqlite(path) => sqlite::open(path, access).await?,
            Address::Postgres { url, password } => {
                postgres::open(url, password.as_deref(), access).await?
            }
        };
        let mut journal = Self {
            base: opened.base,
            place: address.place(),
            condition: opened.condition,
            notices: opened.notices,
            suspect: AtomicBool::new(false),
        };
        if matches!(journal.condition, Condition::Sound) {
            journal.condition = journal.tail().await?;
        }
        Ok(journal)
    }

    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Records an entry. When this returns, it is durable. A call that is dropped half-way may have recorded it.
    pub async fn append(&self, draft: &Draft) -> Result<Head, StoreError> {
        match self.append_as(draft, None).await {
            Ok(head) => Ok(head),
            Err(LeaseError::Store(error)) => Err(error),
            Err(LeaseError::Held(_) | LeaseError::Lost(_)) => {
                unreachable!("without a fence no lease is asked")
            }
        }
    }

    async fn append_as(&self, draft: &Draft, fence: Option<Fence<'_>>) -> Result<Head, LeaseError> {
        self.writable()?;
        let written = match self.write(draft, fence).await {
            Err(LeaseError::Store(StoreError::Full { .. }))
                if draft.code.may_use_the_reserve() && self.release_reserve() =>
            {
                self.write(draft, fence).await
            }
            written => written,
        };
        if let Err(LeaseError::Store(StoreError::Suspect { .. })) = &written {
            // What the kernel could not write it may have forgotten: asking it again would be answered with a lie.
            self.suspect.store(true, Ordering::Release);
        }
        written
    }

    async fn write(&self, draft: &Draft, fence: Option<Fence<'_>>) -> Result<Head, LeaseError> {
        match &self.base {
            Base::Sqlite(base) => base.append(draft, fence).await,
            Base::Postgres(base) => base.append(draft, fence).await,
        }
    }

    fn writable(&self) -> Result<(), StoreError> {
        let place = self.place.clone();
        if self.suspect.load(Ordering::Acquire) {
            return Err(StoreError::Suspect {
                place,
                source: None,
            });
        }
        match &self.condition {
            Condition::Sound => Ok(()),
            why => Err(StoreError::ReadOnly {
                place,
                why: why.clone(),
            }),
        }
    }

    /// Whether a run may begin: the journal can be written, and there is room for what a run records.
    pub fn preflight(&self) -> Result<(), StoreError> {
        self.writable()?;
        match &self.base {
            Base::Sqlite(base) => base.preflight(),
            // How full the server's disk is, the server does not say.
            Base::Postgres(_) => Ok(()),
        }
    }

    /// Gives up the reserve; whether there was one.
    pub fn release_reserve(&self) -> bool {
        match &self.base {
            Base::Sqlite(base) => base.release_reserve(),
            Base::Postgres(_) => false,
        }
    }

    pub async fn head(&self) -> Result<Option<Head>, StoreError> {
        let last = self.last(1).await?;
        let head = last.first().and_then(|row| row.record.as_ref().ok());
        Ok(head.and_then(Record::entry).map(|entry| Head {
            seq: entry.seq,
            hash: entry.hash,
        }))
    }

    /// Entries after `seq`, oldest first, at most `most`.
    pub async fn after(&self, seq: Seq, most: u32) -> Result<Vec<Row>, StoreError> {
        self.rows(i64::try_from(seq.0).unwrap_or(i64::MAX), most)
            .await
    }

    /// The last `most` entries, oldest first.
    pub async fn last(&self, most: u32) -> Result<Vec<Row>, StoreError> {
        let mut rows = match &self.base {
            Base::Sqlite(base) => base.rows(row::BACKWARD, i64::MAX, most).await?,
            Base::Postgres(base) => base.rows(row::BACKWARD, i64::MAX, most).await?,
        };
        rows.reverse();
        Ok(rows)
    }

    async fn rows(&self, after: i64, most: u32) -> Result<Vec<Row>, StoreError> {
        match &self.base {
            Base::Sqlite(base) => base.rows(row::FORWARD, after, most).await,
            Base::Postgres(base) => base.rows(row::FORWARD, after, most).await,
        }
    }

    /// Watches for new entries.
    pub async fn follow(&self) -> Result<Follow, StoreError> {
        Ok(Follow(match &self.base {
            Base::Sqlite(base) => Source::Sqlite(base.follow().await?),
            Base::Postgres(base) => Source::Postgres(base.follow().await?),
        }))
    }

    /// Looks whether the chain is whole, and is the one that the anchors have seen.
    pub async fn verify(&self, span: Span, anchors: &[Anchor]) -> Result<Verdict, StoreError> {
        let from = span.from.map_or(1, |seq| seq.0.max(1));
        let before = match from {
            1 => None,
            _ => match self.before(Seq(from)).await? {
                Ok(head) => Some(head),
                Err(verdict) => return Ok(verdict),
            },
        };
        let mut at = before.map_or(i64::MIN, |head| {
            i64::try_from(head.seq.0).unwrap_or(i64::MAX)
        });
        let end = span
            .to
            .map_or(i64::MAX, |seq| i64::try_from(seq.0).unwrap_or(i64::MAX));
        let mut walk = Walk::after(before, anchors);
        loop {
            let rows = match self.rows(at, PAGE).await {
                Ok(rows) => rows,
                Err(StoreError::Corrupt { source, .. }) => {
                    walk.unreadable(Clean::line(&source.to_string()));
                    break;
                }
                Err(error) => return Err(error),
            };
            for row in rows.iter().take_while(|row| row.seq <= end) {
                walk.step(row);
            }
            match rows.last() {
                Some(last) if last.seq < end && !walk.is_over() => at = last.seq,
                Some(_) | None => break,
            }
        }
        Ok(walk.verdict(span.to))
    }

    /// The entry before `from`, which the first of a range must name.
    async fn before(&self, from: Seq) -> Result<Result<Head, Verdict>, StoreError> {
        let at = i64::try_from(from.0).unwrap_or(i64::MAX) - 1;
        let broken = |flaw, last| {
            Ok(Err(Verdict::Broken {
                seq: at,
                flaw,
                last,
            }))
        };
        let row = self.rows(at - 1, 1).await?.pop();
        let Some(row) = row else {
            let head = self.head().await?.map_or(Seq(0), |head| head.seq);
            return Ok(Err(Verdict::CannotDecide(Uncertain::Beyond {
                wanted: from,
                head,
            })));
        };
        if row.seq != at {
            return broken(Flaw::Missing, false);
        }
        match row.record {
            Err(why) => broken(Flaw::Unreadable(why), false),
            Ok(record) if record.hash != record.hashed().to_string() => {
                broken(Flaw::Changed, false)
            }
            Ok(record) => Ok(Ok(Head {
                seq: Seq(from.0 - 1),
                hash: record.hashed(),
            })),
        }
    }

    async fn tail(&self) -> Result<Condition, StoreError> {
        let last = self.last(1).await?.pop();
        let end = last.map_or(0, |row| u64::try_from(row.seq).unwrap_or(0));
        let span = Span {
            from: Some(Seq(end.saturating_sub(TAIL_CHECKED).max(1))),
            to: None,
        };
        Ok(match self.verify(span, &[]).await? {
            Verdict::Broken { seq, flaw, .. } => Condition::Broken { seq, flaw },
            Verdict::Ok { .. } | Verdict::CannotDecide(_) => Condition::Sound,
        })
    }

    /// Ends all connections; SQLite's write-ahead log is brought into its file.
    pub async fn close(self) {
        match self.base {
            Base::Sqlite(base) => base.close().await,
            Base::Postgres(base) => base.close().await,
        }
    }
}

/// Saves what can be read of a damaged SQLite journal, from both of its ends.
pub async fn salvage(address: &Address) -> Result<Salvage, StoreError> {
    match address {
        Address::Sqlite(path) => sqlite::salvage(path).await,
        Address::Postgres { .. } => {
            let journal = Journal::open(address, Access::Read).await?;
            let mut records = Vec::new();
            let mut lost = Vec::new();
            let mut at = i64::MIN;
            loop {
                let rows = journal.rows(at, PAGE).await?;
                let Some(end) = rows.last() else { break };
                at = end.seq;
                for row in rows {
                    match row.record {
                        Ok(record) => records.push(record),
                        Err(why) => {
                            lost.push(Clean::from(format!("entry {}: {why}", row.seq)));
                        }
                    }
                }
            }
            Ok(Salvage { records, lost })
        }
    }
}

/// The head as a writer finds it. One that is no head must not be built upon.
fn head_of(last: Option<(i64, String)>, place: &Clean) -> Result<Option<Head>, StoreError> {
    let Some((seq, hash)) = last else {
        return Ok(None);
    };
    match (u64::try_from(seq), hash.parse()) {
        (Ok(number), Ok(hash)) if number > 0 => Ok(Some(Head {
            seq: Seq(number),
            hash,
        })),
        _ => Err(StoreError::ReadOnly {
            place: place.clone(),
            why: Condition::Broken {
                seq,
                flaw: Flaw::Foreign,
            },
        }),
    }
}

fn head_after(record: &Record) -> Head {
    Head {
        seq: Seq(u64::try_from(record.seq).unwrap_or_default()),
        hash: record.hashed(),
    }
}

enum Source {
    Sqlite(sqlite::Follow),
    Postgres(postgres::Follow),
}

/// A watch for new entries, of this process or another.
pub struct Follow(Source);

impl Follow {
    /// Waits for news, at most for `patience`; whether there may be some. Ask [`Journal::after`] after either answer:
    /// a server that was away for a moment forgets to tell.
    pub async fn news(&mut self, patience: Duration) -> Result<bool, StoreError> {
        match &mut self.0 {
            Source::Sqlite(follow) => follow.news(patience).await,
            Source::Postgres(follow) => follow.news(patience).await,
        }
    }
}
