//! The host that the console runs on: disks, load, memory.

use std::path::PathBuf;
use std::time::Duration;

use super::Look;
use crate::domain::{
    Clean, Detail, Disk, Fault, Health, Host, Measure, Reading, SourceId, SourceKind, Thresholds,
    Timestamp, Unit,
};
use crate::link::files::Blocking;
use crate::link::hostfacts::{self, Facts};

/// A disk that fills in less than this cannot be saved by looking.
const PERIOD: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct HostProbe {
    disks: Vec<PathBuf>,
    thresholds: Thresholds,
    work: Blocking<Result<Facts, Fault>>,
}

impl HostProbe {
    pub fn new(disks: Vec<PathBuf>, thresholds: Thresholds) -> Self {
        Self {
            disks,
            thresholds,
            work: Blocking::default(),
        }
    }
}

impl Look for HostProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Host, "this host")
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    async fn look(&mut self, _now: Timestamp) -> Result<Reading, Fault> {
        let disks = self.disks.clone();
        let facts = self.work.run(move || hostfacts::read(&disks)).await??;
        Ok(judge(facts, &self.thresholds))
    }
}

fn judge(facts: Facts, thresholds: &Thresholds) -> Reading {
    let Facts { host, unread } = facts;
    let disks = host.disks.iter().map(|disk| disk_health(disk, thresholds));
    let memory =
        if used_part(host.memory_bytes, host.memory_available_bytes) > thresholds.memory_ratio {
            Health::Poor
        } else {
            Health::Good
        };
    // The load is shown and never judged: a long queue of jobs that nobody waits for is no finding.
    let blind = if unread.is_empty() {
        Health::Good
    } else {
        Health::Unknown
    };
    let health = Health::worst(disks.chain([memory, blind]));
    Reading {
        health,
        summary: Clean::from(summary(&host, &unread)),
        measures: measures(&host),
        detail: Detail::Host(host),
    }
}

fn disk_health(disk: &Disk, thresholds: &Thresholds) -> Health {
    let free = match disk.inodes_free_ratio_percent {
        // No inode left is as full as no byte left.
        Some(percent) => free_part(disk).min(f64::from(percent) / 100.0),
        None => free_part(disk),
    };
    if free < thresholds.disk_free_bad {
        Health::Bad
    } else if free < thresholds.disk_free_poor {
        Health::Poor
    } else {
        Health::Good
    }
}

/// A file system of size zero (`/proc`, some overlays) has nothing that could run out.
fn free_part(disk: &Disk) -> f64 {
    1.0 - used_part(disk.size_bytes, disk.free_bytes)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio of sizes needs no more than 52 bits"
)]
fn used_part(total: u64, free: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    1.0 - free.min(total) as f64 / total as f64
}

fn fullest(host: &Host) -> Option<&Disk> {
    host.disks
        .iter()
        .min_by(|a, b| free_part(a).total_cmp(&free_part(b)))
}

fn summary(host: &Host, unread: &[Fault]) -> String {
    let mut words = Vec::new();
    if let Some(disk) = fullest(host) {
        let name = match host.disks.len() {
            1 => "disk".to_owned(),
            _ => format!("disk {}", disk.path),
        };
        let used = Unit::Ratio.show(1.0 - free_part(disk));
        words.push(format!("{name} {used} used"));
        if let Some(percent @ 0..15) = disk.inodes_free_ratio_percent {
            words.push(format!("{percent} % of its inodes free"));
        }
    }
    words.push(format!("load {:.1} of {}", host.load1, host.cores));
    words.push(format!(
        "memory {} free",
        bytes(host.memory_available_bytes)
    ));
    words.extend(unread.iter().map(ToString::to_string));
    words.join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn bytes(n: u64) -> String {
    Unit::Bytes.show(n as f64)
}

fn measures(host: &Host) -> Vec<Measure> {
    let mut all = vec![
        Measure::new("load 1 min", host.load1, Unit::Count),
        Measure::new(
            "memory used",
            used_part(host.memory_bytes, host.memory_available_bytes),
            Unit::Ratio,
        ),
    ];
    if let Some(disk) = fullest(host) {
        all.push(Measure::new(
            "disk used",
            1.0 - free_part(disk),
            Unit::Ratio,
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FaultKind;

    fn disk(path: &str, free: u64, inodes: Option<u8>) -> Disk {
        Disk {
            path: Clean::from(path),
            size_bytes: 100,
            free_bytes: free,
            inodes_free_ratio_percent: inodes,
        }
    }

    fn calm() -> Host {
        Host {
            name: Clean::from("prod-1"),
            disks: vec![disk("/", 39, Some(80))],
            load1: 0.4,
            load5: 0.5,
            cores: 2,
            memory_bytes: 16 << 30,
            memory_available_bytes: 12 << 30,
            clock_error_ms: None,
            clock_synced: None,
        }
    }

    #[track_caller]
    fn check(host: Host, health: Health, words: &str) {
        let facts = Facts {
            host,
            unread: Vec::new(),
        };
        let reading = judge(facts, &Thresholds::default());
        assert_eq!(reading.health, health, "{}", reading.summary);
        assert!(reading.summary.contains(words), "{}", reading.summary);
    }

    #[test]
    fn a_calm_host_reads_as_one_line() {
        check(
            calm(),
            Health::Good,
            "disk 61 % used, load 0.4 of 2, memory 12 GB free",
        );
    }

    #[test]
    fn the_fullest_disk_decides_and_is_named() {
        let disks = vec![disk("/", 50, None), disk("/data", 10, None)];
        check(
            Host { disks, ..calm() },
            Health::Poor,
            "disk /data 90 % used",
        );
        let disks = vec![disk("/", 4, None)];
        check(Host { disks, ..calm() }, Health::Bad, "disk 96 % used");
    }

    #[test]
    fn running_out_of_inodes_is_running_out() {
        let disks = vec![disk("/", 50, Some(2))];
        check(
            Host { disks, ..calm() },
            Health::Bad,
            "2 % of its inodes free",
        );
    }

    #[test]
    fn short_memory_is_poor_and_high_load_is_only_shown() {
        let host = Host {
            memory_available_bytes: 1 << 30,
            ..calm()
        };
        check(host, Health::Poor, "memory 1.0 GB free");
        let host = Host {
            load1: 9.5,
            load5: 9.1,
            ..calm()
        };
        check(host, Health::Good, "load 9.5 of 2");
    }

    #[test]
    fn a_disk_that_cannot_be_seen_is_unknown_not_good() {
        let facts = Facts {
            host: calm(),
            unread: vec![Fault::new(FaultKind::Missing, "cannot look at /data")],
        };
        let reading = judge(facts, &Thresholds::default());
        assert_eq!(reading.health, Health::Unknown);
        assert!(reading.summary.ends_with("cannot look at /data"));
    }

    #[tokio::test]
    async fn this_host_can_be_looked_at() {
        let mut probe = HostProbe::new(vec![PathBuf::from("/")], Thresholds::default());
        let reading = probe.look(Timestamp(0)).await.expect("a reading");
        assert!(reading.summary.contains("% used"), "{}", reading.summary);
    }
}
