//! How a scenario's faults, and those that are injected by hand, come into the world.

use super::{Certificate, EngineMode, LastNight, Saying, Service, World};
use crate::range::figures::{real_ms, whole_ms};
use crate::range::scenario::Fault;

impl World {
    pub(super) fn due_faults(&mut self) {
        while let Some(fault) = self.scenario.faults.get(self.next_fault) {
            if whole_ms(fault.at_s * 1000.0) > self.now {
                return;
            }
            let what = fault.what.clone();
            self.next_fault += 1;
            self.inject(&what);
        }
    }

    /// Lets a fault begin now because a person wants it, and remembers that.
    pub fn inject_by_hand(&mut self, fault: &Fault) {
        /// More than an instructor has patience for; the oldest ones tell the story.
        const REMEMBERED_MAX: usize = 1_000;
        if self.injected.len() < REMEMBERED_MAX {
            self.injected.push((self.now, fault.describe()));
        }
        self.inject(fault);
    }

    /// Lets a fault begin now. One that names a replica that is not there has no effect.
    pub fn inject(&mut self, fault: &Fault) {
        self.fault_began.get_or_insert(self.now);
        match fault {
            Fault::Die { target } => self.die_by_hand(target),
            Fault::Slow { target, factor } => self.ail(target, |a| a.slow = *factor),
            Fault::Errors { target, ratio } => self.ail(target, |a| a.errors = *ratio),
            Fault::Deploy { targets, tag } => {
                for target in targets {
                    self.replace_at_once(target, tag);
                }
            }
            Fault::LimitMemory { target, mb } => self.limit_memory(target, *mb),
            Fault::Leak { target, mb_per_s } => self.ail(target, |a| a.leak_mb_per_s = *mb_per_s),
            Fault::CrashLoop { target, after_ms } => {
                self.ail(target, |a| a.crash_after_ms = Some(*after_ms));
            }
            Fault::Certificate {
                served_days,
                disk_days,
            } => self.age_certificates(*served_days, *disk_days),
            Fault::WrongName {} => {
                let serial = self.next_serial();
                self.gateway.served.serial = serial;
                self.gateway.served.name_right = false;
                self.gateway.on_disk = self.gateway.served;
            }
            Fault::BackupTruncated {} => self.backups.last_night = LastNight::Truncated,
            Fault::BackupMissing { nights } => {
                self.backups.last_night = LastNight::Missing(*nights);
            }
            Fault::OneUpstream { target } => self.pin(target),
            Fault::RedisReadOnly {} => self.redis_read_only(),
            Fault::DiskFill { target, mb_per_s } => {
                self.ail(target, |a| a.fill_mb_per_s = *mb_per_s);
            }
            Fault::ScrapeStalls {} => self.scrape_stalled = true,
            Fault::EngineHangs {} => self.engine = EngineMode::Hangs,
            Fault::EngineRefuses {} => self.engine = EngineMode::Refuses,
            Fault::EngineReturns {} => self.engine = EngineMode::Answers,
        }
    }

    fn ail(&mut self, target: &str, change: impl FnOnce(&mut super::container::Ailment)) {
        if let Some(at) = self.replica(target) {
            change(&mut self.containers[at].ailment);
        }
    }

    fn die_by_hand(&mut self, target: &str) {
        if let Some(at) = self.replica(target) {
            self.containers[at].stopped_by_hand = true;
            self.emit(at, "kill", &[("signal", "9".into())]);
            self.end(at, 137, false);
        }
    }

    fn limit_memory(&mut self, target: &str, mb: u64) {
        if let Some(at) = self.replica(target) {
            let bytes = mb * 1024 * 1024;
            self.containers[at].host_config["Memory"] = bytes.into();
            self.containers[at].host_config["MemorySwap"] = bytes.into();
            self.emit(at, "update", &[]);
        }
    }

    fn age_certificates(&mut self, served_days: f64, disk_days: f64) {
        let since_start = real_ms(self.now) / 86_400_000.0;
        let serial = self.next_serial();
        self.gateway.served = Certificate {
            serial,
            days: served_days + since_start,
            name_right: true,
        };
        self.gateway.on_disk = self.gateway.served;
        if (served_days - disk_days).abs() > f64::EPSILON {
            self.gateway.on_disk.serial = serial + 1;
            self.gateway.on_disk.days = disk_days + since_start;
        }
    }

    pub(super) fn next_serial(&self) -> u32 {
        self.gateway.served.serial.max(self.gateway.on_disk.serial) + 1
    }

    fn pin(&mut self, target: &str) {
        if let Some(at) = self.replica(target) {
            self.gateway.pinned = true;
            self.gateway.upstreams = vec![self.containers[at].id.clone()];
        }
    }

    fn redis_read_only(&mut self) {
        if let Some(at) = self.replica("redis") {
            let now = self.now;
            self.containers[at].ailment.read_only = true;
            let text = "# Background saving error".to_owned();
            self.containers[at].say(now, false, Saying::Redis { text });
        }
    }

    /// What a careless deployment does: the old replica is gone, the new one starts, all in one moment.
    fn replace_at_once(&mut self, target: &str, tag: &str) {
        let Some(at) = self.replica(target) else {
            return;
        };
        let name = self.containers[at].name.clone();
        let mut body = self.containers[at].creation();
        body["Image"] = tag.into();
        self.end(at, 0, false);
        self.emit(at, "destroy", &[]);
        self.containers.remove(at);
        if let Ok(id) = self.create(&name, body)
            && let Some(new) = self.find(&id)
        {
            self.begin(new);
        }
    }

    /// Is Redis there, and does it take writes?
    pub(super) fn redis_works(&self) -> bool {
        self.of_service(Service::Redis)
            .any(|c| c.accepts(self.now) && !c.ailment.read_only)
    }
}
