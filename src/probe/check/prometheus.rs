//! `prometheus`: whether it watches what it should: targets that answer, rules that are loaded, alerts and their state.
//!
//! A rule that has not been evaluated yet says nothing. What Prometheus lists is its own word; `promql` asks for
//! figures.

mod threshold;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, real, suits_number, suits_text, wishes};
use super::{Eyes, Kind, unconfigured};
use crate::domain::{AlertState, Clean, Expectation, Fault, FaultKind, Rule, Timestamp, Unit};
use crate::link::prometheus::{self as link, Rows, Scraped};

/// The link gives up on each of two questions after four seconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// Of each list in the evidence; all are compared.
const TOLD_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// Whose targets; without `up` and `down` all of them must be up, and there must be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Clean>,
    /// How many of the job's targets answer their scrape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<Expectation>,
    /// How many do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Expectation>,
    /// Rules that must be loaded and be evaluated without an error, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Clean>,
    /// One rule, whose expression or state is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Clean>,
    /// What the rule's expression compares with: `> 5 %`, `> 500 ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Expectation>,
    /// `inactive`, `pending` or `firing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Expectation>,
    /// Whether the rule fires now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fires: Option<bool>,
}

fn word(state: AlertState) -> &'static str {
    match state {
        AlertState::Inactive => "inactive",
        AlertState::Pending => "pending",
        AlertState::Firing => "firing",
    }
}

impl Prometheus {
    fn wants_rules(&self) -> bool {
        self.rule.is_some() || !self.rules.is_empty()
    }

    fn targets_seen(&self, job: &str, all: &[Scraped], seen: &mut Seen) {
        let of_job: Vec<&Scraped> = all.iter().filter(|one| *one.target.job == *job).collect();
        let (up, down): (Vec<&Scraped>, Vec<&Scraped>) =
            of_job.iter().copied().partition(|one| one.target.up);
        if self.up.is_none() && self.down.is_none() {
            if of_job.is_empty() {
                let text = format!("prometheus has no target of the job {job}");
                seen.failures.push(text.into());
            }
            for one in &down {
                let target = &one.target;
                let text = format!("{} of {job} is down: {}", target.instance, target.error);
                seen.failures.push(text.into());
            }
            seen.note(format!("{} of {} targets up", up.len(), of_job.len()));
        }
        if let Some(expected) = &self.up {
            seen.number("targets up", real(up.len()), Unit::Count, expected);
        }
        if let Some(expected) = &self.down {
            seen.number("targets down", real(down.len()), Unit::Count, expected);
        }
        let rows: Vec<Value> = of_job
            .iter()
            .take(TOLD_MAX)
            .map(|one| {
                let target = &one.target;
                json!({ "instance": target.instance, "up": target.up, "error": target.error })
            })
            .collect();
        seen.got = json!({ "targets": rows, "of": of_job.len() });
    }

    fn rules_seen(&self, all: &[Rule], seen: &mut Seen) -> Result<(), Fault> {
        let mut rows = Vec::new();
        for name in self.rules.iter().chain(&self.rule) {
            let rules: Vec<&Rule> = all.iter().filter(|rule| rule.name == *name).collect();
            if rules.is_empty() {
                seen.failures.push(not_loaded(name, all));
            }
            for rule in rules {
                sound(rule, seen)?;
                if rows.len() < TOLD_MAX {
                    rows.push(json!({
                        "rule": rule.name,
                        "group": rule.group,
                        "query": rule.query,
                        "state": word(rule.state),
                        "health": rule.health,
                    }));
                }
                if self.rule.as_ref() == Some(name) {
                    self.rule_seen(rule, seen);
                }
            }
        }
        if let Value::Object(got) = &mut seen.got {
            got.insert("rules".to_owned(), Value::from(rows));
        } else {
            seen.got = json!({ "rules": rows });
        }
        Ok(())
    }

    fn rule_seen(&self, rule: &Rule, seen: &mut Seen) {
        let name = &rule.name;
        if let Some(expected) = &self.threshold {
            if threshold::is_in(expected, &rule.query) {
                seen.note(format!("{name} compares {expected}"));
            } else {
                let text = format!("{name} does not compare {expected}: {}", rule.query);
                seen.failures.push(text.into());
            }
        }
        if let Some(expected) = &self.state {
            let what = format!("state of {name}");
            seen.text(&what, &Clean::from(word(rule.state)), expected);
        }
        let state = word(rule.state);
        match (self.fires, rule.state == AlertState::Firing) {
            (Some(true), false) => seen
                .failures
                .push(format!("{name} does not fire: {state}").into()),
            (Some(false), true) => seen.failures.push(format!("{name} fires").into()),
            (Some(_), _) => seen.note(format!("{name} is {state}")),
            (None, _) => {}
        }
    }
}

fn not_loaded(name: &Clean, all: &[Rule]) -> Clean {
    let names: Vec<&str> = all.iter().take(TOLD_MAX).map(|r| r.name.as_str()).collect();
    if names.is_empty() {
        return Clean::from(format!("the rule {name} is not loaded; no rule is"));
    }
    let names = names.join(", ");
    Clean::from(format!("the rule {name} is not loaded; these are: {names}"))
}

/// A rule that fails is bad; one that has not been evaluated is unknown.
fn sound(rule: &Rule, seen: &mut Seen) -> Result<(), Fault> {
    match rule.health.as_str() {
        "ok" => seen.note(format!("{} is loaded", rule.name)),
        "err" => seen
            .failures
            .push(format!("the rule {} fails: {}", rule.name, rule.error).into()),
        _ => {
            let text = format!("the rule {} has not been evaluated yet", rule.name);
            return Err(Fault::new(FaultKind::Missing, text)
                .remedy("wait for the evaluation interval, and look again"));
        }
    }
    Ok(())
}

fn whole<T>(rows: Rows<T>, what: &str) -> Result<Vec<T>, Fault> {
    if rows.dropped == 0 {
        return Ok(rows.rows);
    }
    let text = format!("prometheus has {} {what} more than are read", rows.dropped);
    Err(Fault::new(FaultKind::TooLarge, text).remedy("ask with the kind promql instead"))
}

fn named(eyes: &Eyes) -> Result<&link::Prometheus, Fault> {
    eyes.prometheus.as_ref().ok_or_else(|| {
        unconfigured(
            "no Prometheus is named",
            "say where it is: [prometheus] url",
        )
    })
}

impl Kind for Prometheus {
    fn describe(&self) -> Clean {
        let mut parts = Vec::new();
        if let Some(job) = &self.job {
            let wishes = wishes([("up", self.up.as_ref()), ("down", self.down.as_ref())]);
            let wishes = if wishes.is_empty() { "all up" } else { &wishes };
            parts.push(format!("targets of {job}: {wishes}"));
        }
        if !self.rules.is_empty() {
            let names: Vec<&str> = self.rules.iter().map(Clean::as_str).collect();
            parts.push(format!("rules {}: loaded", names.join(", ")));
        }
        if let Some(rule) = &self.rule {
            let wishes = wishes([
                ("compares", self.threshold.as_ref()),
                ("state", self.state.as_ref()),
            ]);
            let fires = match self.fires {
                Some(true) => " fires",
                Some(false) => " does not fire",
                None => "",
            };
            let loaded = if wishes.is_empty() && fires.is_empty() {
                " loaded"
            } else {
                ""
            };
            parts.push(
                format!("rule {rule}:{fires}{loaded} {wishes}")
                    .trim_end()
                    .to_owned(),
            );
        }
        Clean::from(parts.join("; "))
    }

    fn problems(&self) -> Vec<Clean> {
        let mut problems: Vec<Clean> = Vec::new();
        if self.job.is_none() && !self.wants_rules() {
            problems.push("nothing is expected; say job, rules or rule".into());
        }
        if self.job.is_none() && (self.up.is_some() || self.down.is_some()) {
            problems.push("up and down are of a job; say which: job = \"server\"".into());
        }
        let of_rule = self.threshold.is_some() || self.state.is_some() || self.fires.is_some();
        if self.rule.is_none() && of_rule {
            problems.push(
                "threshold, state and fires are of one rule; say which: rule = \"HighErrorRate\""
                    .into(),
            );
        }
        for (what, expected) in [("up", &self.up), ("down", &self.down)] {
            let expected = expected.as_ref();
            problems.extend(expected.and_then(|e| suits_number(what, e, Unit::Count)));
        }
        if let Some(expected) = &self.state {
            problems.extend(suits_text("state", expected));
        }
        if let Some(expected) = &self.threshold {
            problems.extend(threshold::problem(expected));
        }
        problems
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        let mut asked = Vec::new();
        if self.job.is_some() {
            asked.push("/api/v1/targets");
        }
        if self.wants_rules() {
            asked.push("/api/v1/rules");
        }
        json!({ "asked": asked, "job": self.job, "rules": self.rules, "rule": self.rule })
    }

    async fn look(&self, eyes: &Eyes, _: Timestamp) -> Result<Seen, Fault> {
        let prometheus = named(eyes)?;
        let mut seen = Seen::default();
        if let Some(job) = &self.job {
            let targets = whole(prometheus.targets().await?, "targets")?;
            self.targets_seen(job, &targets, &mut seen);
        }
        if self.wants_rules() {
            let rules = whole(prometheus.rules().await?, "rules")?;
            self.rules_seen(&rules, &mut seen)?;
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ScrapeTarget;

    fn kind(toml: &str) -> Prometheus {
        let kind: Prometheus = toml::from_str(toml).unwrap();
        assert_eq!(kind.problems(), Vec::<Clean>::new(), "{toml}");
        kind
    }

    fn target(up: bool) -> Scraped {
        Scraped {
            target: ScrapeTarget {
                job: "server".into(),
                instance: "10.0.0.1:5000".into(),
                up,
                error: if up { "" } else { "refused" }.into(),
                last_scrape: None,
            },
            interval: None,
        }
    }

    fn rule(state: AlertState, health: &str) -> Rule {
        Rule {
            group: "g".into(),
            name: "HighErrorRate".into(),
            query: "sum(rate(e[1m])) / sum(rate(a[1m])) > 0.05".into(),
            state,
            health: health.into(),
            error: Clean::default(),
        }
    }

    fn holds(seen: &Seen) -> bool {
        seen.failures.is_empty() && seen.tests.iter().all(|t| t.expected.holds(&t.measured))
    }

    #[test]
    fn targets_are_counted() {
        for (fields, targets, good) in [
            ("", vec![true, true], true),
            ("", vec![true, false], false),
            ("", vec![], false),
            ("up = '>= 2'", vec![true, true, false], true),
            ("up = '>= 3'", vec![true, true, false], false),
            ("down = '== 0'", vec![true, false], false),
        ] {
            let mut seen = Seen::default();
            let targets: Vec<Scraped> = targets.into_iter().map(target).collect();
            let kind = kind(&format!("job = 'server'\n{fields}"));
            kind.targets_seen("server", &targets, &mut seen);
            assert_eq!(holds(&seen), good, "{fields}: {seen:?}");
        }
    }

    #[test]
    fn rules_are_there_sound_and_compare_what_was_planned() {
        use AlertState::{Firing, Inactive};
        for (fields, state, health, good) in [
            ("rules = ['HighErrorRate']", Inactive, "ok", true),
            ("rules = ['HighErrorRate']", Inactive, "err", false),
            ("rules = ['Nobody']", Inactive, "ok", false),
            (
                "rule = 'HighErrorRate'\nthreshold = '> 5 %'",
                Inactive,
                "ok",
                true,
            ),
            (
                "rule = 'HighErrorRate'\nthreshold = '> 1 %'",
                Inactive,
                "ok",
                false,
            ),
            (
                "rule = 'HighErrorRate'\nfires = false",
                Inactive,
                "ok",
                true,
            ),
            ("rule = 'HighErrorRate'\nfires = false", Firing, "ok", false),
            ("rule = 'HighErrorRate'\nfires = true", Firing, "ok", true),
            (
                "rule = 'HighErrorRate'\nstate = '!= firing'",
                Firing,
                "ok",
                false,
            ),
        ] {
            let mut seen = Seen::default();
            let rules = [rule(state, health)];
            kind(fields).rules_seen(&rules, &mut seen).unwrap();
            assert_eq!(holds(&seen), good, "{fields}: {seen:?}");
        }
    }

    #[test]
    fn a_rule_that_was_not_evaluated_is_unknown() {
        let rules = [rule(AlertState::Inactive, "unknown")];
        let kind = kind("rules = ['HighErrorRate']");
        assert!(kind.rules_seen(&rules, &mut Seen::default()).is_err());
    }

    #[test]
    fn what_says_nothing_is_found_before() {
        for (toml, says) in [
            ("", "nothing is expected"),
            ("up = '> 1'", "say which"),
            ("fires = true", "say which"),
            ("rule = 'a'\nthreshold = 'contains 5'", "threshold"),
        ] {
            let kind: Prometheus = toml::from_str(toml).unwrap();
            let problems = kind.problems();
            assert!(problems.iter().any(|p| p.contains(says)), "{problems:?}");
        }
    }
}
