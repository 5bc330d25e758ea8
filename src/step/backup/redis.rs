//! A Redis server: its data as one file, as `redis-cli --rdb` receives it.

use std::time::Duration;

use tokio::io::DuplexStream;

use super::intake::{Intake, Taken};
use super::postgres::Made;
use super::progress::Progress;
use super::session::WORK_MAX;
use crate::domain::{Clean, ContainerId, Content, DatabaseKeys, RedisContent};
use crate::link::docker::{Command, Engine};
use crate::link::store::seal::Recipients;
use crate::step::Hands;

const PIPE_BYTES: usize = 512 * 1024;
const ASK_MAX: Duration = Duration::from_secs(30);

/// The last of a file of Redis is the byte 255 and a checksum of eight.
const END: (u8, usize) = (255, 9);

pub(super) struct Server {
    pub(super) engine: Engine,
    pub(super) id: ContainerId,
    pub(super) replica: Clean,
    pub(super) user: Option<Clean>,
    pub(super) password: Option<String>,
}

impl Server {
    fn client(&self, words: &[&str], deadline: Duration) -> Command {
        let mut argv = vec!["redis-cli".to_owned()];
        if let Some(user) = &self.user {
            argv.extend(["--user".to_owned(), user.to_string()]);
        }
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        let password = self.password.as_ref();
        Command {
            argv,
            env: password
                .map(|word| format!("REDISCLI_AUTH={word}"))
                .into_iter()
                .collect(),
            deadline,
            ..Command::default()
        }
    }

    async fn info(&self, part: &str) -> Result<String, Clean> {
        let command = self.client(&["-e", "INFO", part], ASK_MAX);
        let asked = self.engine.exec(&self.id, &command).await;
        let ended = asked.map_err(|error| Clean::line(&error.to_string()))?;
        match ended.exit {
            0 => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
            exit => Err(Clean::line(&format!(
                "redis-cli in {} ended with exit {exit}: {}",
                self.replica,
                ended.reason()
            ))),
        }
    }
}

pub(super) async fn copy(
    hands: &Hands,
    server: &Server,
    intake: &mut Intake,
    recipients: Option<&Recipients>,
    progress: &mut Progress,
) -> Result<Made, Clean> {
    let server_version = field(&server.info("server").await?, "redis_version")
        .ok_or_else(|| Clean::line(&format!("{} does not say its version", server.replica)))?;
    let at = (hands.now)();
    let keys = keys(&server.info("keyspace").await?);
    let (sink, from) = tokio::io::duplex(PIPE_BYTES);
    let ((), taken) = tokio::try_join!(
        run(server, sink),
        intake.take(from, recipients, None, progress)
    )?;
    whole(&taken)?;
    Ok(Made {
        at,
        taken,
        content: Content::Redis(RedisContent {
            server_version,
            keys,
        }),
    })
}

async fn run(server: &Server, sink: DuplexStream) -> Result<(), Clean> {
    let command = server.client(&["--rdb", "-"], WORK_MAX);
    let flowed = server
        .engine
        .exec_through(&server.id, &command, tokio::io::empty(), sink);
    let flowed = flowed
        .await
        .map_err(|error| Clean::line(&error.to_string()))?;
    match flowed.ended.exit {
        0 => Ok(()),
        exit => Err(Clean::line(&format!(
            "redis-cli --rdb in {} ended with exit {exit}: {}",
            server.replica,
            flowed.ended.reason()
        ))),
    }
}

fn whole(taken: &Taken) -> Result<(), Clean> {
    let (byte, from_end) = END;
    let end = taken
        .tail
        .len()
        .checked_sub(from_end)
        .and_then(|at| taken.tail.get(at));
    match end {
        Some(last) if *last == byte => Ok(()),
        _ => Err(Clean::from(
            "redis-cli ended well, and the end of the data is missing",
        )),
    }
}

fn field(info: &str, name: &str) -> Option<Clean> {
    let mut lines = info.lines();
    lines.find_map(|line| {
        Some(Clean::line(
            line.strip_prefix(name)?.strip_prefix(':')?.trim(),
        ))
    })
}

/// `db0:keys=12,expires=0,avg_ttl=0`
fn keys(info: &str) -> Vec<DatabaseKeys> {
    let one = |line: &str| {
        let (database, rest) = line.strip_prefix("db")?.split_once(":keys=")?;
        Some(DatabaseKeys {
            database: database.parse().ok()?,
            keys: rest.split(',').next()?.parse().ok()?,
        })
    };
    info.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    #[test]
    fn what_the_server_says_is_read() {
        let info = "# Server\r\nredis_version:7.0.15\r\nredis_git:0\r\n";
        assert_eq!(field(info, "redis_version").unwrap().as_str(), "7.0.15");
        let info = "# Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\ndb3:keys=1,expires=1\r\n";
        let read: Vec<(u32, u64)> = keys(info).iter().map(|k| (k.database, k.keys)).collect();
        assert_eq!(read, [(0, 12), (3, 1)]);
    }

    #[test]
    fn a_file_without_its_end_is_not_whole() {
        let taken = |tail: &[u8]| {
            let digest = Digest {
                bytes: 0,
                sha256: Clean::default(),
            };
            Taken {
                plain: digest.clone(),
                stored: digest,
                tail: tail.to_vec(),
            }
        };
        assert!(whole(&taken(&[1, 255, 1, 2, 3, 4, 5, 6, 7, 8])).is_ok());
        assert!(whole(&taken(&[255, 1])).is_err());
        assert!(whole(&taken(&[])).is_err());
    }
}
