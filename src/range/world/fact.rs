//! The world as numbers: what signs and goals are written with.

use super::{Container, EngineMode, LastNight, Ms, Service, Verdict, World};
use crate::range::figures::{count, real, real_ms};
use crate::range::scenario::{Condition, FactName};

/// Crashes older than this are history.
const CRASHES_WINDOW_MS: Ms = 120_000;
const DAY_MS: f64 = 86_400_000.0;

impl World {
    pub fn holds(&self, condition: &Condition) -> bool {
        condition.holds(self.fact(condition.fact, condition.of.as_deref()))
    }

    /// The figure of a fact; 0 for a replica that is not there.
    pub fn fact(&self, fact: FactName, of: Option<&str>) -> f64 {
        let of_name = of.unwrap_or_default();
        let replica = self.replica(of_name).map(|at| &self.containers[at]);
        match fact {
            FactName::Running => self.counted(of_name, Container::is_running),
            FactName::Healthy => self.counted(of_name, is_healthy),
            FactName::ErrorRatio => self.error_ratio(),
            FactName::P95Ms if of.is_some() => replica.map_or(0.0, |c| self.p95_ms(Some(&c.id))),
            FactName::P95Ms => self.p95_ms(None),
            FactName::Share => replica.map_or(0.0, |c| self.share(&c.id)),
            FactName::Crashes => replica.map_or(0.0, |c| self.crashes(c)),
            FactName::OomKilled => flag(replica.is_some_and(|c| c.oom_killed)),
            FactName::CertificateDays => self.days_left(self.gateway.served.days),
            FactName::CertificateDiskDays => self.days_left(self.gateway.on_disk.days),
            FactName::CertificateNameRight => flag(self.gateway.served.name_right),
            FactName::BackupGood => {
                flag(self.backups.last_night == LastNight::Whole || self.backups.dumped.is_some())
            }
            FactName::DiskPercent => real(self.disk_used()) * 100.0 / real(self.disk.total_bytes),
            FactName::ScrapeAgeS => real_ms(self.now - self.scraped) / 1_000.0,
            FactName::EngineUp => flag(self.engine == EngineMode::Answers),
        }
    }

    fn counted(&self, service: &str, is: impl Fn(&Container) -> bool) -> f64 {
        let service = Service::parse(service);
        real(count(self.of_service(service).filter(|c| is(c)).count()))
    }

    fn crashes(&self, container: &Container) -> f64 {
        let recent = |at: &&Ms| self.now - **at <= CRASHES_WINDOW_MS;
        real(count(container.crashes.iter().filter(recent).count()))
    }

    fn days_left(&self, days: f64) -> f64 {
        days - real_ms(self.now) / DAY_MS
    }
}

/// Running, and its health check passes where it has one.
fn is_healthy(container: &Container) -> bool {
    container.is_running()
        && container
            .health
            .as_ref()
            .is_none_or(|h| h.verdict == Verdict::Healthy)
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}
