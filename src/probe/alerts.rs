//! What Prometheus says is wrong: alerts, rules that cannot be evaluated, targets that are down.

use std::time::Duration;

use super::Look;
use crate::domain::{
    Alert, AlertState, Alerts, Clean, Detail, Fault, Health, Measure, Reading, SourceId,
    SourceKind, Timestamp, Unit,
};
use crate::link::prometheus::Prometheus;

/// Prometheus evaluates its rules every 15 s to 60 s; asking more often shows nothing new.
const PERIOD: Duration = Duration::from_secs(10);

/// Severities that get somebody out of bed.
const CRITICAL: [&str; 4] = ["critical", "page", "disaster", "emergency"];

#[derive(Debug)]
pub struct AlertsProbe {
    prometheus: Prometheus,
}

impl AlertsProbe {
    pub fn new(prometheus: Prometheus) -> Self {
        Self { prometheus }
    }
}

impl Look for AlertsProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Alerts, "prometheus")
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    async fn look(&mut self, _now: Timestamp) -> Result<Reading, Fault> {
        let asked = (
            self.prometheus.alerts(),
            self.prometheus.rules(),
            self.prometheus.targets(),
        );
        // One missing part could be the one with the trouble in it: all or nothing.
        let (alerts, rules, targets) = tokio::try_join!(asked.0, asked.1, asked.2)?;
        let dropped = alerts.dropped + rules.dropped + targets.dropped;
        let seen = Alerts {
            alerts: alerts.rows,
            rules: rules.rows,
            targets: targets.rows.into_iter().map(|row| row.target).collect(),
        };
        Ok(judge(seen, dropped))
    }
}

fn judge(mut seen: Alerts, dropped: u64) -> Reading {
    // Worst first: critical before other, firing before pending, then by name.
    seen.alerts.sort_by(|a, b| {
        let key = |alert: &Alert| (severity(alert), alert.name.clone());
        key(a).cmp(&key(b))
    });
    let firing = seen.alerts.iter().filter(|a| is_firing(a)).count();
    let down = seen.targets.iter().filter(|t| !t.up).count();
    let broken = seen.rules.iter().filter(|r| r.health == "err").count();
    let health = health(&seen, firing, down, broken, dropped);
    let measures = vec![
        Measure::new("alerts firing", count(firing), Unit::Count),
        Measure::new("targets down", count(down), Unit::Count),
        Measure::new("rules broken", count(broken), Unit::Count),
    ];
    Reading {
        health,
        summary: Clean::from(summary(&seen, firing, down, broken, dropped)),
        measures,
        detail: Detail::Alerts(seen),
    }
}

fn health(seen: &Alerts, firing: usize, down: usize, broken: usize, dropped: u64) -> Health {
    let critical = seen.alerts.iter().any(|a| is_firing(a) && is_critical(a));
    if critical {
        Health::Bad
    } else if firing > 0 || down > 0 || broken > 0 || dropped > 0 {
        Health::Poor
    } else if seen.rules.is_empty() {
        // Nobody has told Prometheus what trouble is: its silence says nothing.
        Health::None
    } else {
        Health::Good
    }
}

fn summary(seen: &Alerts, firing: usize, down: usize, broken: usize, dropped: u64) -> String {
    let mut words = Vec::new();
    match seen.alerts.iter().find(|a| is_firing(a)) {
        Some(first) if firing == 1 => words.push(format!("{} is firing", first.name)),
        Some(first) => words.push(format!("{firing} alerts firing, first {}", first.name)),
        None if seen.rules.is_empty() => words.push("no rules loaded".to_owned()),
        None => words.push("no alert firing".to_owned()),
    }
    let pending = seen
        .alerts
        .iter()
        .filter(|a| a.state == AlertState::Pending)
        .count();
    if pending > 0 {
        words.push(format!("{pending} pending"));
    }
    let targets = seen.targets.len();
    words.push(format!("{} of {targets} targets up", targets - down));
    if broken > 0 {
        words.push(format!("{broken} rules cannot be evaluated"));
    }
    if dropped > 0 {
        words.push(format!("{dropped} rows dropped"));
    }
    words.join(", ")
}

fn severity(alert: &Alert) -> u8 {
    match alert.state {
        AlertState::Firing if is_critical(alert) => 0,
        AlertState::Firing => 1,
        AlertState::Pending => 2,
        AlertState::Inactive => 3,
    }
}

fn is_firing(alert: &Alert) -> bool {
    alert.state == AlertState::Firing
}

fn is_critical(alert: &Alert) -> bool {
    CRITICAL
        .iter()
        .any(|word| alert.severity.eq_ignore_ascii_case(word))
}

#[expect(clippy::cast_precision_loss, reason = "at most a thousand rows")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Rule, ScrapeTarget};

    fn alert(name: &str, state: AlertState, severity: &str) -> Alert {
        Alert {
            name: Clean::from(name),
            state,
            severity: Clean::from(severity),
            summary: Clean::default(),
            labels: Vec::new(),
            since: None,
        }
    }

    fn calm() -> Alerts {
        Alerts {
            alerts: Vec::new(),
            rules: vec![Rule {
                group: Clean::from("g"),
                name: Clean::from("Slow"),
                query: Clean::from("up == 0"),
                state: AlertState::Inactive,
                health: Clean::from("ok"),
                error: Clean::default(),
            }],
            targets: vec![ScrapeTarget {
                job: Clean::from("server"),
                instance: Clean::from("10.0.0.7:5000"),
                up: true,
                error: Clean::default(),
                last_scrape: None,
            }],
        }
    }

    #[track_caller]
    fn check(seen: Alerts, health: Health, summary: &str) {
        let reading = judge(seen, 0);
        assert_eq!(
            (reading.health, reading.summary.as_str()),
            (health, summary)
        );
    }

    #[test]
    fn calm_is_good_only_where_rules_watch() {
        check(calm(), Health::Good, "no alert firing, 1 of 1 targets up");
        let blind = Alerts {
            rules: Vec::new(),
            ..calm()
        };
        check(blind, Health::None, "no rules loaded, 1 of 1 targets up");
    }

    #[test]
    fn a_critical_alert_is_bad_and_comes_first() {
        let seen = Alerts {
            alerts: vec![
                alert("Almost", AlertState::Pending, "critical"),
                alert("Slow", AlertState::Firing, "warning"),
                alert("Down", AlertState::Firing, "Critical"),
            ],
            ..calm()
        };
        check(
            seen,
            Health::Bad,
            "2 alerts firing, first Down, 1 pending, 1 of 1 targets up",
        );
    }

    #[test]
    fn other_trouble_is_poor() {
        let warn = vec![alert("Slow", AlertState::Firing, "warning")];
        let seen = Alerts {
            alerts: warn,
            ..calm()
        };
        check(seen, Health::Poor, "Slow is firing, 1 of 1 targets up");
        let mut down = calm();
        down.targets[0].up = false;
        check(down, Health::Poor, "no alert firing, 0 of 1 targets up");
        let mut broken = calm();
        broken.rules[0].health = Clean::from("err");
        check(
            broken,
            Health::Poor,
            "no alert firing, 1 of 1 targets up, 1 rules cannot be evaluated",
        );
    }

    #[test]
    fn a_pending_alert_is_said_and_still_good() {
        let seen = Alerts {
            alerts: vec![alert("Almost", AlertState::Pending, "critical")],
            ..calm()
        };
        check(
            seen,
            Health::Good,
            "no alert firing, 1 pending, 1 of 1 targets up",
        );
    }

    #[test]
    fn what_was_left_out_is_never_good() {
        let reading = judge(calm(), 3);
        assert_eq!(reading.health, Health::Poor);
        assert!(reading.summary.contains("3 rows dropped"));
    }
}
