//! The gateway's list put in force: written by one rename, tested, read by a signal, and waited for until the last
//! worker with the old list is gone.
//!
//! A list that the gateway's own test refuses is taken back at once; the gateway never sees it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::hurry::broken_off;
use super::target::{self, Seen, fault, patiently, sentence};
use super::upstream::{Listing, Upstream};
use super::{Hands, replicas};
use crate::domain::{CheckState, Clean, Container, ContainerState};
use crate::link::docker::{Command, Process};
use crate::link::rewrite;

/// A test reads some files and resolves some names.
const TEST_MAX: Duration = Duration::from_secs(20);
/// From the signal to the first new worker. nginx takes some milliseconds.
const RELOAD_MAX: Duration = Duration::from_secs(10);
/// nginx changes its workers in a few milliseconds, and so long nothing goes on: a look is one list of processes.
const WORKERS_EVERY: Duration = Duration::from_millis(25);
/// Requests in flight may take seconds: after this long it is looked at less often.
const EAGER_FOR: Duration = Duration::from_secs(2);
/// So often then.
const WORKERS_LATER: Duration = Duration::from_millis(200);
/// A list of a thousand replicas is 60 KB.
const LIST_BYTES_MAX: u64 = 1024 * 1024;
/// What was last in force, beside the list. The gateway includes `*.conf` only.
const GOOD: &str = "good";

/// The one gateway of the stack.
pub(super) struct Gateway<'a> {
    hands: &'a Hands,
    upstream: &'a Upstream,
    seen: Seen,
    networks: BTreeSet<Clean>,
}

/// What a worker is to a reload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Workers {
    serving: BTreeSet<Clean>,
    ending: BTreeSet<Clean>,
}

impl Workers {
    fn of(processes: &[Process]) -> Self {
        let mut all = Self::default();
        for process in processes {
            let command = process.command.as_str();
            if !command.starts_with("nginx: worker process") {
                continue;
            }
            let set = if command.contains("shutting down") {
                &mut all.ending
            } else {
                &mut all.serving
            };
            set.insert(process.pid.clone());
        }
        all
    }

    /// The new configuration serves.
    fn are_new(&self, old: &Self) -> bool {
        self.serving.difference(&old.serving).next().is_some()
    }

    /// Of those that may still have requests by the old one, how many are left.
    fn left_of(&self, old: &Self) -> usize {
        let stale = self.serving.intersection(&old.serving).count();
        stale + self.ending.len()
    }
}

/// The configured upstream, or what to do without one.
pub(super) fn configured(hands: &Hands) -> Result<&Upstream, Clean> {
    hands.upstream.as_deref().ok_or_else(|| {
        Clean::from(
            "the gateway's list of replicas is not configured: add [gateway.upstream] to quarterdeck.toml",
        )
    })
}

/// The replicas of a service that the gateway's list leaves out, by the file alone. Changes nothing.
pub async fn drained_of(upstream: &Upstream, service: &Clean) -> Result<Vec<Clean>, Clean> {
    let listing = listing(upstream).await?;
    let is_listed = listing.service == *service;
    Ok(if is_listed {
        listing.drained
    } else {
        Vec::new()
    })
}

fn path(upstream: &Upstream) -> PathBuf {
    upstream.directory.join(&upstream.file)
}

async fn file(upstream: &Upstream) -> Result<Option<Vec<u8>>, Clean> {
    rewrite::read(path(upstream), LIST_BYTES_MAX)
        .await
        .map_err(fault)
}

async fn default(upstream: &Upstream) -> Result<Vec<u8>, Clean> {
    let path = upstream.default.clone();
    let missing = format!(
        "there is no {}, which says where requests go while nothing is drained",
        path.display()
    );
    let read = rewrite::read(path, LIST_BYTES_MAX).await.map_err(fault)?;
    read.ok_or_else(|| Clean::line(&missing))
}

async fn listing(upstream: &Upstream) -> Result<Listing, Clean> {
    let (file, default) = (file(upstream).await?, default(upstream).await?);
    Listing::read(file.as_deref(), &default, &upstream.service).ok_or_else(|| {
        Clean::line(&format!(
            "{} is neither the default nor written by Quarterdeck: somebody else changed it; put {} in its place, then try again",
            path(upstream).display(),
            upstream.default.display()
        ))
    })
}

impl<'a> Gateway<'a> {
    /// The port its replicas listen on.
    pub(super) fn port(&self) -> u16 {
        self.upstream.port
    }

    pub(super) async fn find(hands: &'a Hands) -> Result<Self, Clean> {
        let upstream = configured(hands)?;
        let container = target::find(hands, &upstream.gateway).await?;
        if container.state != ContainerState::Running {
            return Err(Clean::line(&format!(
                "the gateway {} is {}: it must run to be told anything",
                container.name,
                container.state.word()
            )));
        }
        Ok(Self {
            hands,
            upstream,
            seen: Seen::of(&container),
            networks: container
                .addresses
                .iter()
                .map(|at| at.network.clone())
                .collect(),
        })
    }

    fn path(&self) -> PathBuf {
        path(self.upstream)
    }

    fn good_path(&self) -> PathBuf {
        let name = format!("{}.{GOOD}", self.upstream.file);
        self.upstream.directory.join(name)
    }

    async fn file(&self) -> Result<Option<Vec<u8>>, Clean> {
        file(self.upstream).await
    }

    async fn default(&self) -> Result<Vec<u8>, Clean> {
        default(self.upstream).await
    }

    /// Who is listed now, by the file.
    pub(super) async fn listing(&self) -> Result<Listing, Clean> {
        listing(self.upstream).await
    }

    /// Puts a listing in force. Says how long the last requests by the old one took.
    pub(super) async fn put(&self, wanted: &Listing) -> Result<Duration, Clean> {
        let old = self.put_in_force(wanted).await?;
        self.drained(&old).await
    }

    /// New requests go by the listing when it returns; those by the old one may go on. Enough where nobody who was
    /// listed is to be touched: whoever takes one out later waits for every worker that is not of the newest list.
    pub(super) async fn put_in_force(&self, wanted: &Listing) -> Result<Workers, Clean> {
        let is_default = *wanted == Listing::of(&self.upstream.service);
        let bytes = if is_default {
            self.default().await?
        } else {
            self.rendered(wanted).await?
        };
        let before = self.file().await?;
        self.write(&bytes).await?;
        if let Err(refused) = self.test().await {
            self.take_back(before).await?;
            return Err(Clean::line(&format!(
                "the gateway refuses the new list, and goes on with the old one: {refused}"
            )));
        }
        let old = match self.reload().await {
            Ok(old) => old,
            Err(why) => {
                self.take_back(before).await?;
                return Err(why);
            }
        };
        self.keep_good(&bytes).await?;
        Ok(old)
    }

    /// The list of everybody of the service who runs and is not drained. At least one of them must serve.
    async fn rendered(&self, wanted: &Listing) -> Result<Vec<u8>, Clean> {
        let mut listed = Vec::new();
        let mut serving = 0;
        for container in self.running(&wanted.service).await? {
            let name = container.replica();
            if wanted.has_drained(&name) {
                continue;
            }
            serving += usize::from(serves(&container));
            listed.push((name, self.address(&container)?));
        }
        if serving == 0 {
            let drained: Vec<&str> = wanted.drained.iter().map(Clean::as_str).collect();
            let instead = match drained[..] {
                [] => String::new(),
                _ => format!(" without {}", drained.join(", ")),
            };
            return Err(Clean::line(&format!(
                "no replica of {}{instead} runs and is healthy: users would get nothing; bring one up first",
                wanted.service
            )));
        }
        Ok(wanted.render(self.upstream, &listed))
    }

    async fn running(&self, service: &Clean) -> Result<Vec<Container>, Clean> {
        let mut all = Vec::new();
        for one in replicas(self.hands).await? {
            if one.service != *service || one.state != ContainerState::Running {
                continue;
            }
            let engine = &self.hands.engine;
            match patiently(self.hands, || engine.inspect(&one.id)).await {
                Ok(container) => all.push(container),
                // It ended between the list and now.
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(sentence(error)),
            }
        }
        Ok(all)
    }

    /// Where the gateway reaches a container: on a network that both are on.
    fn address(&self, container: &Container) -> Result<IpAddr, Clean> {
        let shared = container
            .addresses
            .iter()
            .find(|at| self.networks.contains(&at.network));
        shared.and_then(|at| at.ip.parse().ok()).ok_or_else(|| {
            Clean::line(&format!(
                "{} has no address on a network of the gateway: attach both to one",
                container.replica()
            ))
        })
    }

    async fn write(&self, bytes: &[u8]) -> Result<(), Clean> {
        rewrite::replace(self.path(), bytes.to_vec())
            .await
            .map_err(fault)
    }

    async fn keep_good(&self, bytes: &[u8]) -> Result<(), Clean> {
        rewrite::replace(self.good_path(), bytes.to_vec())
            .await
            .map_err(fault)
    }

    async fn take_back(&self, before: Option<Vec<u8>>) -> Result<(), Clean> {
        let done = match before {
            Some(bytes) => rewrite::replace(self.path(), bytes).await,
            None => rewrite::remove(self.path()).await,
        };
        done.map_err(|error| {
            Clean::line(&format!(
                "the old list could not be put back, put {} there by hand: {}",
                self.upstream.default.display(),
                fault(error)
            ))
        })
    }

    /// Tests the configuration as it stands, reloads it, and takes a list back that is the reason of a refusal.
    pub(super) async fn reread(&self) -> Result<(), Clean> {
        let Err(refused) = self.test().await else {
            self.reload().await?;
            return match self.file().await? {
                Some(bytes) => self.keep_good(&bytes).await,
                None => Ok(()),
            };
        };
        let bad = self.file().await?;
        let good = rewrite::read(self.good_path(), LIST_BYTES_MAX)
            .await
            .map_err(fault)?;
        let (Some(good), true) = (&good, good != bad) else {
            return Err(goes_on(&refused, ""));
        };
        self.write(good).await?;
        if self.test().await.is_ok() {
            return Err(goes_on(
                &refused,
                "; the list that was last in force is put back",
            ));
        }
        // The list was not the reason: leave it as it was found.
        self.take_back(bad).await?;
        Err(goes_on(&refused, ""))
    }

    /// Asks the gateway itself whether it would take the configuration.
    async fn test(&self) -> Result<(), Clean> {
        tested(self.hands, &self.seen, &self.upstream.test).await
    }

    async fn reload(&self) -> Result<Workers, Clean> {
        reloaded(self.hands, &self.seen).await
    }

    /// Waits until no worker is left that may still send a request by the old list.
    async fn drained(&self, old: &Workers) -> Result<Duration, Clean> {
        let began = Instant::now();
        let limit = self.upstream.in_flight_limit;
        loop {
            let left = workers(self.hands, &self.seen).await?.left_of(old);
            if left == 0 {
                return Ok(began.elapsed());
            }
            if began.elapsed() > limit {
                return Err(Clean::line(&format!(
                    "{left} workers of the gateway are still busy with requests by the old list after {}; wait for them and try again, or raise in_flight_limit",
                    humantime::format_duration(limit)
                )));
            }
            tokio::select! {
                () = sleep(pause(began)) => {}
                () = self.hands.hurry.asked() => {
                    return Err(broken_off(&format!(
                        "the new list is in force, and {left} workers of the gateway still answer requests by the old one"
                    )));
                }
            }
        }
    }
}

/// Between two looks at the workers.
fn pause(began: Instant) -> Duration {
    if began.elapsed() < EAGER_FOR {
        WORKERS_EVERY
    } else {
        WORKERS_LATER
    }
}

fn goes_on(refused: &Clean, more: &str) -> Clean {
    Clean::line(&format!(
        "the gateway refuses its configuration, and goes on with the old one: {refused}{more}"
    ))
}

/// It is up, and its own health check has nothing against it.
fn serves(container: &Container) -> bool {
    container.state == ContainerState::Running
        && matches!(container.check, CheckState::Healthy | CheckState::None)
}

/// Runs a gateway's own test of its configuration.
pub(super) async fn tested(hands: &Hands, seen: &Seen, test: &[String]) -> Result<(), Clean> {
    let command = Command {
        argv: test.to_vec(),
        deadline: TEST_MAX,
        ..Command::default()
    };
    let ended = patiently(hands, || hands.engine.exec(&seen.id, &command))
        .await
        .map_err(sentence)?;
    match ended.exit {
        0 => Ok(()),
        exit => Err(Clean::line(&format!("exit {exit}, {}", ended.reason()))),
    }
}

/// Sends the signal, and waits for the first new worker. Answers the workers from before.
async fn reloaded(hands: &Hands, seen: &Seen) -> Result<Workers, Clean> {
    let old = workers(hands, seen).await?;
    if old.serving.is_empty() {
        return Err(Clean::line(&format!(
            "{} runs no nginx worker: a reload is for nginx alone",
            seen.name
        )));
    }
    target::told(hands, hands.engine.kill(&seen.id, "HUP")).await?;
    let began = Instant::now();
    while began.elapsed() < RELOAD_MAX {
        if workers(hands, seen).await?.are_new(&old) {
            return Ok(old);
        }
        sleep(pause(began)).await;
    }
    Err(Clean::line(&format!(
        "{} was told to read its configuration again and did not within {}; read its log for the reason",
        seen.name,
        humantime::format_duration(RELOAD_MAX)
    )))
}

async fn workers(hands: &Hands, seen: &Seen) -> Result<Workers, Clean> {
    let processes = patiently(hands, || hands.engine.top(&seen.id))
        .await
        .map_err(sentence)?;
    Ok(Workers::of(&processes))
}

/// For a gateway whose list is not configured: test, signal, new workers.
pub(super) async fn plain_reload(hands: &Hands, seen: &Seen, test: &[String]) -> Result<(), Clean> {
    tested(hands, seen, test)
        .await
        .map_err(|refused| goes_on(&refused, ""))?;
    reloaded(hands, seen).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(rows: &[(&str, &str)]) -> Workers {
        let processes: Vec<Process> = rows
            .iter()
            .map(|(pid, command)| Process {
                pid: Clean::from(*pid),
                command: Clean::from(*command),
            })
            .collect();
        Workers::of(&processes)
    }

    #[test]
    fn a_reload_is_over_when_the_last_old_worker_is_gone() {
        let master = ("1", "nginx: master process nginx -g daemon off;");
        let serving = "nginx: worker process";
        let ending = "nginx: worker process is shutting down";
        let old = workers(&[master, ("7", serving), ("8", serving)]);
        let steps = [
            (vec![master, ("7", serving), ("8", serving)], false, 2),
            (
                vec![master, ("7", serving), ("8", serving), ("9", serving)],
                true,
                2,
            ),
            (
                vec![master, ("7", ending), ("8", serving), ("9", serving)],
                true,
                2,
            ),
            (vec![master, ("7", ending), ("9", serving)], true, 1),
            // Of a reload that somebody else made a moment earlier.
            (vec![master, ("3", ending), ("9", serving)], true, 1),
            (vec![master, ("9", serving)], true, 0),
        ];
        for (rows, are_new, left) in steps {
            let now = workers(&rows);
            assert_eq!(
                (now.are_new(&old), now.left_of(&old)),
                (are_new, left),
                "{rows:?}"
            );
        }
    }
}
