//! What holds for every store.

use std::time::{Duration, Instant};

use quarterdeck::domain::Timestamp;
use quarterdeck::engine::{DriverId, LEASE_TTL, LeaseLost, Person, RunId, Target, Token};
use quarterdeck::journal::{
    Access, Address, Anchor, Code, Condition, Flaw, Journal, LeaseError, Seq, Span, StoreError,
    Verdict,
};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, SqliteConnection};

use super::{draft, filled, sqlite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    all(&sqlite(dir.path())).await;
}

/// Everything, in order, on a store that is still empty.
pub(super) async fn all(address: &Address) {
    let absent = Journal::open(address, Access::Read).await.err().unwrap();
    assert!(matches!(absent, StoreError::Absent { .. }), "{absent:?}");
    let head = filled(address, 5).await;
    assert_eq!(head.seq, Seq(5));
    entries_are_read_back(address).await;
    nothing_can_be_changed(address).await;
    every_byte_counts(address).await;
    many_writers_keep_the_chain(address).await;
    followers_are_told(address).await;
    appending_is_quick(address).await;
    leases_fence_the_record(address).await;
    of_many_drivers_one_takes_the_target(address).await;
    cuts_show_against_an_anchor(address).await;
    other_formats_are_kept_from_harm(address).await;
}

async fn entries_are_read_back(address: &Address) {
    let journal = Journal::open(address, Access::Read).await.unwrap();
    assert_eq!(journal.condition(), &Condition::Asked);
    let refused = journal.append(&draft(Code::Note, "x")).await.err().unwrap();
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
    let rows = journal.after(Seq(2), 2).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [3, 4]);
    let entry = rows[0].record.as_ref().unwrap().entry().unwrap();
    let written = draft(Code::Note, "entry 2");
    assert_eq!(
        (entry.actor, entry.moment, entry.mode, entry.body),
        (written.actor, written.moment, written.mode, written.body)
    );
    journal.close().await;
}

async fn nothing_can_be_changed(address: &Address) {
    for sql in [
        "UPDATE quarterdeck_journal SET target = 'x'",
        "DELETE FROM quarterdeck_journal",
    ] {
        let said = execute(address, sql).await.unwrap_err().to_string();
        assert!(said.contains("append-only"), "{said}");
    }
}

/// With the guards out of the way, as an intruder would: every change of every byte of every field is found.
async fn every_byte_counts(address: &Address) {
    disarm(address).await;
    let rows = {
        let journal = Journal::open(address, Access::Read).await.unwrap();
        let rows = journal.after(Seq(0), 10).await.unwrap();
        journal.close().await;
        rows
    };
    let intact = Journal::open(address, Access::Read).await.unwrap();
    assert!(
        matches!(intact.condition(), Condition::Altered(_)),
        "the missing guards are seen"
    );
    // A connection to the server takes long; the chain that is checked is the same.
    let stride = match address {
        Address::Sqlite(_) => 1,
        Address::Postgres { .. } => 16,
    };
    let mut tried = 0;
    for row in rows {
        let record = row.record.unwrap();
        let texts = [
            ("boot_id", &record.boot_id),
            ("user_name", &record.user),
            ("ssh", record.ssh.as_ref().unwrap()),
            ("tty", record.tty.as_ref().unwrap()),
            ("sudo_user", record.sudo_user.as_ref().unwrap()),
            ("mode", &record.mode),
            ("code", &record.code),
            ("target", &record.target),
            ("body", &record.body),
            ("prev_hash", &record.prev_hash),
            ("hash", &record.hash),
        ];
        for (column, text) in texts {
            for at in (0..text.len()).step_by(stride) {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << (at % 6);
                // PostgreSQL has no text with a zero in it.
                bytes[at] = bytes[at].max(1);
                let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
                let changed = quoted(&String::from_utf8(bytes).unwrap());
                tampered(&intact, address, row.seq, column, &changed, &quoted(text)).await;
                tried += 1;
            }
        }
        let numbers = [
            ("at_ms", record.at_ms),
            ("monotonic_ms", record.monotonic_ms),
            ("uid", record.uid),
            ("login_uid", record.login_uid.unwrap()),
        ];
        for (column, number) in numbers {
            for byte in 0..8 {
                let changed = (number ^ (1 << (8 * byte))).to_string();
                tampered(
                    &intact,
                    address,
                    row.seq,
                    column,
                    &changed,
                    &number.to_string(),
                )
                .await;
                tried += 1;
            }
        }
        for column in ["ssh", "tty", "sudo_user", "login_uid"] {
            let back = match column {
                "login_uid" => "1000".to_owned(),
                "ssh" => "'192.0.2.7 40000 192.0.2.1 22'".to_owned(),
                "tty" => "'/dev/pts/1'".to_owned(),
                _ => "'ada'".to_owned(),
            };
            tampered(&intact, address, row.seq, column, "NULL", &back).await;
        }
        for elsewhere in [row.seq + 100, row.seq | (1 << 40)] {
            let sql = |to: i64, from: i64| {
                format!("UPDATE quarterdeck_journal SET seq = {to} WHERE seq = {from}")
            };
            execute(address, &sql(elsewhere, row.seq)).await.unwrap();
            assert_eq!(first_bad(&intact).await, Some(row.seq), "moved away");
            execute(address, &sql(row.seq, elsewhere)).await.unwrap();
        }
    }
    assert_eq!(first_bad(&intact).await, None, "all is as it was");
    assert!(tried > 1000 / stride, "{tried}");
    intact.close().await;
    rearm(address).await;
}

async fn tampered(
    journal: &Journal,
    address: &Address,
    seq: i64,
    column: &str,
    changed: &str,
    back: &str,
) {
    let sql = |value: &str| {
        format!("UPDATE quarterdeck_journal SET {column} = {value} WHERE seq = {seq}")
    };
    execute(address, &sql(changed)).await.unwrap();
    let found = first_bad(journal).await;
    assert_eq!(found, Some(seq), "{column} of {seq} as {changed}");
    execute(address, &sql(back)).await.unwrap();
}

async fn first_bad(journal: &Journal) -> Option<i64> {
    match journal.verify(Span::default(), &[]).await.unwrap() {
        Verdict::Broken { seq, .. } => Some(seq),
        Verdict::Ok { count, .. } => {
            assert_eq!(count, 5);
            None
        }
        Verdict::CannotDecide(why) => panic!("{why}"),
    }
}

async fn many_writers_keep_the_chain(address: &Address) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..20 {
        let address = address.clone();
        writers.spawn(async move {
            let journal = Journal::open(&address, Access::Write).await.unwrap();
            for n in 0..3 {
                let text = format!("writer {writer}, {n}");
                journal
                    .append(&draft(Code::RunEvent, &text))
                    .await
                    .unwrap_or_else(|error| panic!("{error}"));
            }
            journal.close().await;
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    check_ok(address, 65).await;
}

async fn check_ok(address: &Address, entries: u64) {
    let journal = Journal::open(address, Access::Write).await.unwrap();
    assert_eq!(journal.condition(), &Condition::Sound);
    let verdict = journal.verify(Span::default(), &[]).await.unwrap();
    assert!(
        matches!(verdict, Verdict::Ok { count, .. } if count == entries),
        "{verdict:?}"
    );
    let part = Span {
        from: Some(Seq(4)),
        to: Some(Seq(6)),
    };
    let verdict = journal.verify(part, &[]).await.unwrap();
    assert!(
        matches!(verdict, Verdict::Ok { count: 3, head, .. } if head.seq == Seq(6)) || entries < 6,
        "{verdict:?}"
    );
    journal.close().await;
}

async fn followers_are_told(address: &Address) {
    let writer = Journal::open(address, Access::Write).await.unwrap();
    let reader = Journal::open(address, Access::Read).await.unwrap();
    let mut follow = reader.follow().await.unwrap();
    assert!(!follow.news(Duration::from_millis(1)).await.unwrap());
    let head = writer.append(&draft(Code::Note, "news")).await.unwrap();
    assert!(follow.news(Duration::from_secs(20)).await.unwrap());
    let rows = reader.after(Seq(head.seq.0 - 1), 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    writer.close().await;
    reader.close().await;
}

async fn appending_is_quick(address: &Address) {
    let journal = Journal::open(address, Access::Write).await.unwrap();
    let mut taken = Vec::new();
    for n in 0..101 {
        let began = Instant::now();
        journal
            .append(&draft(Code::RunEvent, &n.to_string()))
            .await
            .unwrap();
        taken.push(began.elapsed());
    }
    journal.close().await;
    taken.sort();
    eprintln!(
        "{address:?}: an entry is durable after {:?} at the median",
        taken[50]
    );
    assert!(taken[50] < Duration::from_millis(250), "{:?}", taken[50]);
}

async fn cuts_show_against_an_anchor(address: &Address) {
    let journal = Journal::open(address, Access::Write).await.unwrap();
    let head = journal
        .append(&draft(Code::Note, "the last"))
        .await
        .unwrap();
    journal.close().await;
    disarm(address).await;
    let sql = format!("DELETE FROM quarterdeck_journal WHERE seq = {}", head.seq);
    execute(address, &sql).await.unwrap();
    rearm(address).await;
    let journal = Journal::open(address, Access::Read).await.unwrap();
    let without = journal.verify(Span::default(), &[]).await.unwrap();
    assert!(
        matches!(without, Verdict::Ok { anchors_met: 0, .. }),
        "{without:?}"
    );
    for seq in [None, Some(head.seq)] {
        let anchor = Anchor {
            seq,
            hash: head.hash,
        };
        let verdict = journal.verify(Span::default(), &[anchor]).await.unwrap();
        let Verdict::Broken { seq, flaw, .. } = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(u64::try_from(seq).unwrap(), head.seq.0);
        assert!(matches!(flaw, Flaw::Cut | Flaw::Unknown), "{flaw}");
    }
    journal.close().await;
}

async fn other_formats_are_kept_from_harm(address: &Address) {
    let format =
        |version: i64| format!("UPDATE quarterdeck_journal_format SET version = {version}");
    execute(address, &format(3)).await.unwrap();
    let newer = Journal::open(address, Access::Write).await.unwrap();
    assert_eq!(newer.condition(), &Condition::Newer { found: 3 });
    assert!(newer.append(&draft(Code::Note, "x")).await.is_err());
    assert!(!newer.last(1).await.unwrap().is_empty(), "it is still read");
    newer.close().await;
    the_format_before_leases_is_brought_up(address, &format(1)).await;
    if matches!(address, Address::Postgres { .. }) {
        execute(address, "DROP TABLE quarterdeck_journal_before_2")
            .await
            .unwrap();
    }
    disarm(address).await;
    execute(address, &format(0)).await.unwrap();
    let older = Journal::open(address, Access::Write).await.unwrap();
    assert_eq!(older.condition(), &Condition::Sound);
    assert_eq!(older.notices().len(), 1, "{:?}", older.notices());
    older
        .append(&draft(Code::JournalMigrated, "1"))
        .await
        .unwrap();
    older.close().await;
    nothing_can_be_changed(address).await;
}

async fn the_format_before_leases_is_brought_up(address: &Address, format: &str) {
    execute(address, "DROP TABLE quarterdeck_journal_lease")
        .await
        .unwrap();
    execute(address, format).await.unwrap();
    let read = Journal::open(address, Access::Read).await.unwrap();
    assert_eq!(read.condition(), &Condition::Older { found: 1 });
    assert_eq!(read.tenures().await.unwrap(), []);
    read.close().await;
    let entries = {
        let written = Journal::open(address, Access::Write).await.unwrap();
        assert_eq!(written.condition(), &Condition::Sound);
        let said = written.notices()[0].to_string();
        assert!(said.contains("from format 1 to 2"), "{said}");
        let (target, by) = (target("service/new"), Person("ada".into()));
        let token = written
            .claim(&target, &run("r1"), &driver("a/1"), &by, NOW)
            .await
            .unwrap();
        written.release(&target, token).await.unwrap();
        let head = written.head().await.unwrap().unwrap();
        written.close().await;
        head.seq.0
    };
    check_ok(address, entries).await;
}

const NOW: Timestamp = Timestamp(1_795_000_000_000);

fn target(name: &str) -> Target {
    Target(name.into())
}

fn run(name: &str) -> RunId {
    RunId(name.into())
}

fn driver(name: &str) -> DriverId {
    DriverId(name.into())
}

async fn leases_fence_the_record(address: &Address) {
    let journal = Journal::open(address, Access::Write).await.unwrap();
    let (app, by) = (target("service/app"), Person("ada".into()));
    let claim = async |run_id: &str, driver_id: &str, now: Timestamp| {
        journal
            .claim(&app, &run(run_id), &driver(driver_id), &by, now)
            .await
    };
    let record = async |token: Token, now: Timestamp| {
        journal
            .append_fenced(&draft(Code::RunEvent, "act"), &app, token, now)
            .await
    };
    let old = claim("r1", "a/1", NOW).await.unwrap();
    let head = record(old, NOW).await.unwrap();
    let refused = claim("r2", "b/1", NOW).await.err().unwrap();
    let said = "held by run r1 of ada since";
    assert!(matches!(refused, LeaseError::Held(_)), "{refused}");
    assert!(refused.to_string().starts_with(said), "{refused}");
    // Nobody else's target is touched by it.
    let other = journal
        .claim(&target("service/web"), &run("r2"), &driver("b/1"), &by, NOW)
        .await
        .unwrap();
    assert_eq!(other, Token(1));

    let late = NOW.plus(LEASE_TTL);
    assert!(
        record(old, late).await.is_err(),
        "a lease that ran out writes"
    );
    journal.renew(&app, old, late).await.unwrap();
    let head = {
        let next = record(old, late).await.unwrap();
        assert_eq!(next.seq.0, head.seq.0 + 1, "a refused record took a number");
        next
    };
    journal.bury(&app, &driver("a/1"), late).await.unwrap();
    let new = claim("r1", "a/2", late).await.unwrap();
    assert!(new > old);
    for lost in [
        record(old, late).await.map(|_| ()),
        journal.renew(&app, old, late).await,
        journal.release(&app, old).await,
    ] {
        let lost = lost.err().unwrap();
        let fenced = LeaseLost::Fenced {
            mine: old,
            current: new,
        };
        assert!(
            matches!(&lost, LeaseError::Lost(why) if *why == fenced),
            "{lost}"
        );
    }
    let next = record(new, late).await.unwrap();
    assert_eq!(next.seq.0, head.seq.0 + 1);

    let reader = Journal::open(address, Access::Read).await.unwrap();
    let tenure = reader.tenure(&app).await.unwrap();
    assert_eq!(tenure.holder().unwrap().driver, driver("a/2"));
    assert_eq!(tenure.holder().unwrap().since, NOW);
    assert!(
        reader.renew(&app, new, late).await.is_err(),
        "a reader writes"
    );
    reader.close().await;
    journal.release(&app, new).await.unwrap();
    assert!(
        record(new, late).await.is_err(),
        "after its release it writes"
    );
    let all = journal.tenures().await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all.iter().filter(|(_, t)| t.holder().is_some()).count(), 1);
    journal.close().await;
}

async fn of_many_drivers_one_takes_the_target(address: &Address) {
    let mut drivers = tokio::task::JoinSet::new();
    for n in 0..16 {
        let address = address.clone();
        drivers.spawn(async move {
            let journal = Journal::open(&address, Access::Write).await.unwrap();
            let (id, by) = (format!("race-{}", n % 2), Person("ada".into()));
            let driver = driver(&format!("host/{n}"));
            let claimed = journal
                .claim(&target("service/race"), &run(&id), &driver, &by, NOW)
                .await;
            journal.close().await;
            match claimed {
                Ok(token) => Some(token),
                Err(LeaseError::Held(_)) => None,
                Err(error) => panic!("{error}"),
            }
        });
    }
    let winners: Vec<Token> = drivers.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners, [Token(1)]);
}

const DISARM: &[&str] = &[
    "DROP TRIGGER quarterdeck_journal_no_update",
    "DROP TRIGGER quarterdeck_journal_no_delete",
];
const REARM: &[&str] = &[
    "CREATE TRIGGER quarterdeck_journal_no_update BEFORE UPDATE ON quarterdeck_journal \
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
    "CREATE TRIGGER quarterdeck_journal_no_delete BEFORE DELETE ON quarterdeck_journal \
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
];

async fn disarm(address: &Address) {
    guards(
        address,
        DISARM,
        "ALTER TABLE quarterdeck_journal DISABLE TRIGGER ALL",
    )
    .await;
}

async fn rearm(address: &Address) {
    guards(
        address,
        REARM,
        "ALTER TABLE quarterdeck_journal ENABLE TRIGGER ALL",
    )
    .await;
}

async fn guards(address: &Address, sqlite: &[&str], postgres: &str) {
    match address {
        Address::Sqlite(_) => {
            for sql in sqlite {
                execute(address, sql).await.unwrap();
            }
        }
        Address::Postgres { .. } => execute(address, postgres).await.unwrap(),
    }
}

/// As somebody who has the database and not the console.
pub(super) async fn execute(address: &Address, sql: &str) -> Result<(), sqlx::Error> {
    let sql = AssertSqlSafe(sql.to_owned());
    match address {
        Address::Sqlite(path) => {
            let mut connection =
                SqliteConnection::connect(&format!("sqlite:{}", path.display())).await?;
            sqlx::raw_sql(sql).execute(&mut connection).await?;
            connection.close().await
        }
        Address::Postgres { url, .. } => {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::raw_sql(sql).execute(&mut connection).await?;
            connection.close().await
        }
    }
}
