//! A PostgreSQL database: `pg_dump` and the counts in one snapshot, the dump listed while it goes by.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream};

use super::intake::{Intake, Taken};
use super::listed;
use super::progress::Progress;
use super::session::{Server, Session, WORK_MAX};
use super::survey::{self, Head, Survey};
use crate::domain::{Clean, Content, PostgresContent, Timestamp};
use crate::link::docker::{Command, EngineError, Flowed};
use crate::link::store::seal::Recipients;
use crate::step::Hands;

/// Between the container and the stores.
const PIPE_BYTES: usize = 512 * 1024;
const LIST_BYTES: usize = 64 * 1024;

/// A table that somebody holds exclusively is waited for so long.
const LOCK_MAX_MS: u32 = 60_000;

/// `pg_dump --version`
const VERSION_MAX: Duration = Duration::from_secs(30);

/// What `pg_dump` writes last in its own format: the number 0, as a sign byte and four bytes.
const END: [u8; 5] = [0; 5];

/// What was made, and of which moment.
pub(super) struct Made {
    pub(super) at: Timestamp,
    pub(super) taken: Taken,
    pub(super) content: Content,
}

/// Ends our sessions in the server unless all went well: a dump whose reader is gone would go on for hours.
struct Leftovers(Option<Server>);

impl Drop for Leftovers {
    fn drop(&mut self) {
        let Some(server) = self.0.take() else {
            return;
        };
        // Without a runtime the program is ending; the next attempt does it first of all.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            if let Err(fault) = server.end_leftovers().await {
                tracing::warn!("what is left of a broken-off backup may be at work yet: {fault}");
            }
        });
    }
}

impl Leftovers {
    async fn end(mut self) -> Result<(), Clean> {
        match self.0.take() {
            Some(server) => server.end_leftovers().await.map(drop),
            None => Ok(()),
        }
    }
}

pub(super) async fn dump(
    hands: &Hands,
    server: &Server,
    intake: &mut Intake,
    recipients: Option<&Recipients>,
    progress: &mut Progress,
) -> Result<Made, Clean> {
    let left = server.end_leftovers().await?;
    if left > 0 {
        (hands.say)(Clean::line(&format!(
            "ended {left} sessions in {} that an earlier attempt had left",
            server.replica
        )));
    }
    let dumped_by = version(server).await?;
    let leftovers = Leftovers(Some(server.clone()));
    let mut session = Session::open(server);
    let at = (hands.now)();
    let head = survey::begin(&mut session).await?;
    let made = flow(server, &mut session, &head, intake, (recipients, progress)).await;
    drop(session);
    let (taken, survey) = match made {
        Ok(made) => {
            let mut leftovers = leftovers;
            leftovers.0 = None;
            made
        }
        Err(fault) => {
            // Why it failed matters more than that what is left could not be ended: the next attempt does that too.
            if let Err(also) = leftovers.end().await {
                (hands.say)(also);
            }
            return Err(fault);
        }
    };
    Ok(Made {
        at,
        taken,
        content: Content::Postgres(content(head, survey, dumped_by)),
    })
}

/// Everything at once: the dump out of the container, through the list, into the stores; and the counts beside it.
async fn flow(
    server: &Server,
    session: &mut Session,
    head: &Head,
    intake: &mut Intake,
    (recipients, progress): (Option<&Recipients>, &mut Progress),
) -> Result<(Taken, Survey), Clean> {
    let (sink, from) = tokio::io::duplex(PIPE_BYTES);
    let (beside, listing) = tokio::io::duplex(LIST_BYTES);
    let ((), listed, taken, survey) = tokio::try_join!(
        run(server, &head.exported, sink),
        list(server, listing),
        intake.take(from, recipients, Some(beside), progress),
        survey::take(session, |_| ()),
    )?;
    if !taken.tail.ends_with(&END) {
        return Err(Clean::from(
            "pg_dump ended well, and the end of the dump is missing",
        ));
    }
    listed::compare(&survey.dumped, &listed)?;
    Ok((taken, survey))
}

async fn run(server: &Server, snapshot: &str, sink: DuplexStream) -> Result<(), Clean> {
    let snapshot = format!("--snapshot={snapshot}");
    let wait = format!("--lock-wait-timeout={LOCK_MAX_MS}");
    let command = server.client("pg_dump", &["-Fc", &wait, &snapshot]);
    let flowed = server
        .engine
        .exec_through(&server.id, &command, tokio::io::empty(), sink);
    ended("pg_dump", server, flowed.await)
}

/// `pg_restore -l` reads the head of the dump, and ends when it has it.
async fn list(server: &Server, from: DuplexStream) -> Result<BTreeSet<u32>, Clean> {
    let command = Command {
        argv: ["pg_restore", "-l"].map(str::to_owned).into(),
        deadline: WORK_MAX,
        ..Command::default()
    };
    let (sink, out) = tokio::io::duplex(LIST_BYTES);
    let reading = async {
        let mut lines = BufReader::new(out).lines();
        let mut listed = BTreeSet::new();
        while let Ok(Some(line)) = lines.next_line().await {
            listed.extend(listed::table_data(&line));
        }
        listed
    };
    let (flowed, listed) = tokio::join!(
        server.engine.exec_through(&server.id, &command, from, sink),
        reading
    );
    ended("pg_restore -l", server, flowed)?;
    Ok(listed)
}

fn ended(program: &str, server: &Server, flowed: Result<Flowed, EngineError>) -> Result<(), Clean> {
    let flowed = flowed.map_err(|error| Clean::line(&error.to_string()))?;
    if flowed.ended.exit != 0 {
        return Err(Clean::line(&format!(
            "{program} in {} ended with exit {}: {}",
            server.replica,
            flowed.ended.exit,
            flowed.ended.reason()
        )));
    }
    let drawn = flowed.drawn.map(drop);
    drawn.map_err(|error| Clean::line(&format!("the output of {program} was lost: {error}")))
}

async fn version(server: &Server) -> Result<Clean, Clean> {
    let command = Command {
        argv: ["pg_dump", "--version"].map(str::to_owned).into(),
        deadline: VERSION_MAX,
        ..Command::default()
    };
    let asked = server.engine.exec(&server.id, &command).await;
    let ended = asked.map_err(|error| Clean::line(&error.to_string()))?;
    match ended.exit {
        0 => Ok(Clean::bytes(ended.stdout.trim_ascii())),
        exit => Err(Clean::line(&format!(
            "there is no pg_dump in {} (exit {exit}): {}",
            server.replica,
            ended.reason()
        ))),
    }
}

fn content(head: Head, survey: Survey, dumped_by: Clean) -> PostgresContent {
    PostgresContent {
        database: head.database,
        system_identifier: head.system_identifier,
        server_version: head.server_version,
        server_version_num: head.server_version_num,
        dumped_by,
        encoding: head.encoding,
        database_bytes: head.bytes,
        snapshot: Clean::line(&head.exported),
        lsn: head.lsn,
        extensions: survey.extensions,
        tables: survey.tables,
        sequences: survey.sequences,
    }
}
