//! What goes wrong in the range and when, what the trainee should notice, what counts as mitigation: one TOML file each.
//!
//! A scenario file is read entry by entry, so that every problem in it is reported at once, with its line.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What goes wrong. `target` is a replica's name: `server-2`, `redis`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Killed by hand, so that no restart policy brings it back.
    Die { target: String },
    /// Answers, but so many times slower.
    Slow { target: String, factor: f64 },
    /// This part of the replica's own answers is a 500.
    Errors { target: String, ratio: f64 },
    /// A new version replaces these replicas; what the version does is known to the world.
    Deploy { targets: Vec<String>, tag: String },
    /// Somebody lowers the memory limit.
    LimitMemory { target: String, mb: u64 },
    /// Memory grows for as long as the process lives.
    Leak { target: String, mb_per_s: f64 },
    /// The process ends again and again, a while after its start.
    CrashLoop { target: String, after_ms: i64 },
    /// The certificate that is served ends in so many days; on disk lies one with so many.
    Certificate { served_days: f64, disk_days: f64 },
    /// The certificate that is served names another host.
    WrongName {},
    /// Last night's dump ends in the middle.
    BackupTruncated {},
    /// There is no dump of the last nights.
    BackupMissing { nights: u32 },
    /// The gateway resolved the service's name once, and knows one replica only.
    OneUpstream { target: String },
    /// Redis answers every write with an error until it is restarted.
    RedisReadOnly {},
    /// A replica writes into its own file system, so much each second.
    DiskFill { target: String, mb_per_s: f64 },
    /// Prometheus no longer scrapes, and says nothing.
    ScrapeStalls {},
    /// The engine accepts connections and does not answer.
    EngineHangs {},
    /// The engine's socket refuses connections.
    EngineRefuses {},
    /// The engine is back.
    EngineReturns {},
}

/// A number about the world that a sign or a goal is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactName {
    /// Containers of the service `of` that run.
    Running,
    /// Containers of the service `of` whose health check passes.
    Healthy,
    /// Failed part of the users' requests, 0 to 1, over the last 30 s.
    ErrorRatio,
    /// The 95th percentile of replica `of`, or of all where it is absent, in ms, over the last 30 s.
    P95Ms,
    /// Part of the API requests that replica `of` answered, 0 to 1, over the last 30 s.
    Share,
    /// Ends of the process of `of` within the last 120 s that nobody asked for.
    Crashes,
    /// 1 if the last end of `of` was for want of memory.
    OomKilled,
    /// Days until the certificate that is served ends.
    CertificateDays,
    /// Days until the certificate on disk ends.
    CertificateDiskDays,
    /// 1 if the served certificate names the gateway.
    CertificateNameRight,
    /// 1 if last night's dump is whole, or a whole one was taken since.
    BackupGood,
    /// Used part of the disk, 0 to 100.
    DiskPercent,
    /// Seconds since Prometheus' last scrape of a server.
    ScrapeAgeS,
    /// 1 if the engine answers.
    EngineUp,
}

/// A fact within bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pub fact: FactName,
    #[serde(default)]
    pub of: Option<String>,
    #[serde(default)]
    pub at_least: Option<f64>,
    #[serde(default)]
    pub at_most: Option<f64>,
}

impl Condition {
    /// Is this figure within the bounds?
    pub fn holds(&self, figure: f64) -> bool {
        self.at_least.is_none_or(|least| figure >= least)
            && self.at_most.is_none_or(|most| figure <= most)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedFault {
    pub at_s: f64,
    pub what: Fault,
}

/// What the trainee should notice, and until when the world shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    pub by_s: f64,
    pub text: String,
    pub when: Condition,
}

/// One answer to "what is wrong?".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    pub id: String,
    pub text: String,
    #[serde(default)]
    pub right: bool,
}

/// What a person can do to the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    Start,
    Stop,
    Restart,
    Kill,
    Pause,
    Unpause,
    Remove,
    Create,
    Rename,
    Update,
    /// Replace a container by one of the same configuration, perhaps of another image.
    Recreate,
    Exec,
    PruneImages,
    /// Nothing, on purpose.
    Wait,
}

impl Deed {
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Remove => "remove",
            Self::Create => "create",
            Self::Rename => "rename",
            Self::Update => "update",
            Self::Recreate => "recreate",
            Self::Exec => "exec",
            Self::PruneImages => "prune images",
            Self::Wait => "wait",
        }
    }
}

/// One act of the mitigation, exact enough that the range can carry it out itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mend {
    pub does: Deed,
    #[serde(default)]
    pub target: String,
    #[serde(default)]
    pub argv: Vec<String>,
    /// With `recreate`: the image to take.
    #[serde(default)]
    pub image: Option<String>,
    /// With `update`: the new memory limit.
    #[serde(default)]
    pub memory_mb: Option<u64>,
}

/// An act that makes it worse here. `target` may end in `*`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Harmful {
    pub does: Deed,
    pub target: String,
    pub why: String,
}

impl Harmful {
    pub fn covers(&self, does: Deed, target: &str) -> bool {
        self.does == does && matches(&self.target, target)
    }
}

/// Does a name fit a pattern that may end in `*`?
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(front) => name.starts_with(front),
        None => pattern == name,
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hint {
    pub text: String,
}

/// A whole scenario. Seconds count from the start of the range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// The file's name without its ending.
    pub id: String,
    pub title: String,
    /// The one thing this scenario teaches.
    pub teaches: String,
    /// What the trainee is told at the start.
    pub brief: String,
    /// Hour and minute of the simulated day at the start: it decides the load.
    pub clock: (u8, u8),
    pub duration_s: f64,
    /// True where the right thing is to wait: doing nothing brings the goal back.
    pub heals_by_itself: bool,
    pub debrief: String,
    pub faults: Vec<TimedFault>,
    pub signs: Vec<Sign>,
    pub diagnoses: Vec<Diagnosis>,
    pub mitigation: Vec<Mend>,
    /// Further acts that are fine here: target by target, neither wrong nor harmful.
    pub fine: Vec<Mend>,
    pub harmful: Vec<Harmful>,
    /// All of these hold again: the trouble is over.
    pub goal: Vec<Condition>,
    pub hints: Vec<Hint>,
}

impl Scenario {
    /// A range in which nothing goes wrong.
    pub fn calm() -> Self {
        Self {
            id: "calm".into(),
            title: "A calm day".into(),
            teaches: "what normal looks like".into(),
            brief: "Nothing is wrong. Look around.".into(),
            clock: (10, 0),
            duration_s: 3600.0,
            heals_by_itself: true,
            debrief: "Nothing went wrong.".into(),
            faults: Vec::new(),
            signs: Vec::new(),
            diagnoses: Vec::new(),
            mitigation: Vec::new(),
            fine: Vec::new(),
            harmful: Vec::new(),
            goal: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// When the first fault begins, in seconds.
    pub fn fault_at_s(&self) -> Option<f64> {
        self.faults.iter().map(|f| f.at_s).reduce(f64::min)
    }

    /// When the last sign shows, or the last fault begins, in seconds.
    pub fn shown_at_s(&self) -> f64 {
        let faults = self.faults.iter().map(|f| f.at_s);
        let signs = self.signs.iter().map(|s| s.by_s);
        faults.chain(signs).fold(0.0, f64::max)
    }

    pub fn right_diagnosis(&self) -> Option<&Diagnosis> {
        self.diagnoses.iter().find(|d| d.right)
    }
}

/// One thing that is wrong with a scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

#[derive(Debug, Error)]
pub enum ScenarioError {
    #[error("cannot read scenario {path}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
    #[error("no scenario is called {name:?}; there are: {known}")]
    Unknown { name: String, known: String },
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// Id and text of a file in `assets/scenarios`.
macro_rules! shipped {
    ($id:literal) => {
        (
            $id,
            include_str!(concat!("../../assets/scenarios/", $id, ".toml")),
        )
    };
}

/// The scenarios that are shipped in the binary: id and text, in the order of the course.
pub const SHIPPED: &[(&str, &str)] = &[
    shipped!("replica-dies"),
    shipped!("slow-replica"),
    shipped!("bad-deploy"),
    shipped!("out-of-memory"),
    shipped!("certificate-expiring"),
    shipped!("certificate-not-loaded"),
    shipped!("backup-truncated"),
    shipped!("backup-missing"),
    shipped!("one-upstream"),
    shipped!("bad-dependency"),
    shipped!("disk-filling"),
    shipped!("stale-metrics"),
    shipped!("engine-unreachable"),
    shipped!("red-herring"),
];

/// A shipped scenario by its id, or one from a file if the name looks like a path.
pub fn load(name: &str) -> Result<Scenario, ScenarioError> {
    if name == "calm" {
        return Ok(Scenario::calm());
    }
    if name.contains('/') || Path::new(name).extension().is_some() {
        return load_file(Path::new(name));
    }
    let Some((id, text)) = SHIPPED.iter().find(|(id, _)| *id == name) else {
        let known: Vec<&str> = SHIPPED.iter().map(|(id, _)| *id).collect();
        return Err(ScenarioError::Unknown {
            name: name.into(),
            known: format!("calm, {}", known.join(", ")),
        });
    };
    parse(&format!("{id}.toml"), text).map_err(ScenarioError::Problems)
}

fn load_file(path: &Path) -> Result<Scenario, ScenarioError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read {
        path: shown.clone(),
        source,
    })?;
    parse(&shown, &text).map_err(ScenarioError::Problems)
}

/// Reads and lints a scenario: all problems, or the scenario.
pub fn parse(file: &str, text: &str) -> Result<Scenario, Vec<Problem>> {
    let mut reader = Reader {
        file,
        text,
        problems: Vec::new(),
    };
    let table = match text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            reader.problem(line, error.message().to_owned());
            return Err(reader.problems);
        }
    };
    let scenario = reader.scenario(&table);
    reader.lint(&scenario);
    if reader.problems.is_empty() {
        Ok(scenario)
    } else {
        reader.problems.sort_by_key(|p| p.line);
        Err(reader.problems)
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

const KEYS: &[&str] = &[
    "title",
    "teaches",
    "brief",
    "clock",
    "duration_s",
    "heals_by_itself",
    "debrief",
    "fault",
    "sign",
    "diagnosis",
    "mitigation",
    "fine",
    "harmful",
    "goal",
    "hint",
];

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, line: usize, text: String) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line,
            text,
        });
    }

    /// The line of `key = …` at the top, or 1.
    fn line_of_key(&self, key: &str) -> usize {
        let is_key = |line: &str| {
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        self.text
            .lines()
            .position(|line| is_key(line) || line.starts_with(&format!("[{key}")))
            .map_or(1, |at| at + 1)
    }

    /// The line of the nth `[[section]]`, counted from 0.
    fn line_of_entry(&self, section: &str, nth: usize) -> usize {
        let header = format!("[[{section}]]");
        self.text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.trim() == header)
            .nth(nth)
            .map_or(1, |(at, _)| at + 1)
    }

    fn scenario(&mut self, table: &toml::Table) -> Scenario {
        for key in table.keys() {
            if !KEYS.contains(&key.as_str()) {
                let line = self.line_of_key(key).max(self.line_of_entry(key, 0));
                self.problem(line, format!("unknown key `{key}`"));
            }
        }
        Scenario {
            id: Path::new(self.file)
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
            title: self.required(table, "title"),
            teaches: self.required(table, "teaches"),
            brief: self.required(table, "brief"),
            clock: self.clock(table),
            duration_s: self.optional(table, "duration_s").unwrap_or(900.0),
            heals_by_itself: self.optional(table, "heals_by_itself").unwrap_or(false),
            debrief: self.required(table, "debrief"),
            faults: self.entries(table, "fault"),
            signs: self.entries(table, "sign"),
            diagnoses: self.entries(table, "diagnosis"),
            mitigation: self.entries(table, "mitigation"),
            fine: self.entries(table, "fine"),
            harmful: self.entries(table, "harmful"),
            goal: self.entries(table, "goal"),
            hints: self.entries(table, "hint"),
        }
    }

    fn optional<T: DeserializeOwned>(&mut self, table: &toml::Table, key: &str) -> Option<T> {
        let value = table.get(key)?.clone();
        match value.try_into() {
            Ok(value) => Some(value),
            Err(error) => {
                let line = self.line_of_key(key);
                self.problem(line, format!("`{key}`: {}", error.message()));
                None
            }
        }
    }

    fn required(&mut self, table: &toml::Table, key: &str) -> String {
        if !table.contains_key(key) {
            self.problem(1, format!("`{key}` is missing"));
        }
        let text: String = self.optional(table, key).unwrap_or_default();
        if table.contains_key(key) && text.trim().is_empty() {
            let line = self.line_of_key(key);
            self.problem(line, format!("`{key}` is empty"));
        }
        text
    }

    fn clock(&mut self, table: &toml::Table) -> (u8, u8) {
        let Some(text) = self.optional::<String>(table, "clock") else {
            return (14, 0);
        };
        let read = text
            .split_once(':')
            .and_then(|(h, m)| Some((h.parse::<u8>().ok()?, m.parse::<u8>().ok()?)))
            .filter(|(h, m)| *h < 24 && *m < 60);
        if read.is_none() {
            let line = self.line_of_key("clock");
            self.problem(
                line,
                format!("`clock` is {text:?}; write hour and minute, as in \"14:30\""),
            );
        }
        read.unwrap_or((14, 0))
    }

    fn entries<T: DeserializeOwned>(&mut self, table: &toml::Table, section: &str) -> Vec<T> {
        let Some(value) = table.get(section) else {
            return Vec::new();
        };
        let Some(list) = value.as_array() else {
            let line = self.line_of_key(section);
            self.problem(
                line,
                format!("`{section}` must be written as [[{section}]]"),
            );
            return Vec::new();
        };
        let mut read = Vec::new();
        for (nth, entry) in list.iter().enumerate() {
            match entry.clone().try_into() {
                Ok(entry) => read.push(entry),
                Err(error) => {
                    let line = self.line_of_entry(section, nth);
                    self.problem(line, format!("[[{section}]]: {}", error.message()));
                }
            }
        }
        read
    }

    /// Rules that the types cannot say.
    fn lint(&mut self, scenario: &Scenario) {
        self.lint_faults(scenario);
        self.lint_conditions(scenario);
        self.lint_mitigation(scenario);
        if scenario.diagnoses.len() < 2 {
            self.problem(1, "at least two [[diagnosis]] entries are needed".into());
        }
        let right = scenario.diagnoses.iter().filter(|d| d.right).count();
        if right != 1 {
            let line = self.line_of_entry("diagnosis", 0);
            self.problem(
                line,
                format!("exactly one [[diagnosis]] must be right, here {right} are"),
            );
        }
        if scenario.hints.is_empty() {
            self.problem(1, "at least one [[hint]] is needed".into());
        }
    }

    fn lint_faults(&mut self, scenario: &Scenario) {
        if scenario.faults.is_empty() {
            self.problem(1, "at least one [[fault]] is needed".into());
        }
        for (nth, fault) in scenario.faults.iter().enumerate() {
            let line = self.line_of_entry("fault", nth);
            if !(0.0..scenario.duration_s).contains(&fault.at_s) {
                self.problem(
                    line,
                    format!("at_s = {} is outside the scenario", fault.at_s),
                );
            }
            for target in fault.what.targets() {
                self.known_target(line, target);
            }
        }
    }

    fn lint_conditions(&mut self, scenario: &Scenario) {
        if scenario.signs.is_empty() {
            self.problem(1, "at least one [[sign]] is needed".into());
        }
        if scenario.goal.is_empty() {
            self.problem(1, "at least one [[goal]] is needed".into());
        }
        for (nth, sign) in scenario.signs.iter().enumerate() {
            let line = self.line_of_entry("sign", nth);
            self.lint_condition(line, &sign.when);
            if sign.by_s > scenario.duration_s {
                self.problem(line, format!("by_s = {} is after the end", sign.by_s));
            }
        }
        for (nth, goal) in scenario.goal.iter().enumerate() {
            let line = self.line_of_entry("goal", nth);
            self.lint_condition(line, goal);
        }
    }

    fn lint_condition(&mut self, line: usize, condition: &Condition) {
        if condition.at_least.is_none() && condition.at_most.is_none() {
            self.problem(line, "give at_least or at_most".into());
        }
        match (condition.fact, &condition.of) {
            (FactName::Running | FactName::Healthy, Some(service)) => {
                if !SERVICES.contains(&service.as_str()) {
                    self.problem(line, format!("no service is called {service:?}"));
                }
            }
            (
                FactName::Share | FactName::Crashes | FactName::OomKilled | FactName::P95Ms,
                Some(of),
            ) => self.known_target(line, of),
            (
                FactName::Running
                | FactName::Healthy
                | FactName::Share
                | FactName::Crashes
                | FactName::OomKilled,
                None,
            ) => {
                self.problem(line, "this fact needs `of`".into());
            }
            (_, Some(_)) => self.problem(line, "this fact takes no `of`".into()),
            (_, None) => {}
        }
    }

    fn lint_mitigation(&mut self, scenario: &Scenario) {
        if scenario.mitigation.is_empty() {
            self.problem(1, "at least one [[mitigation]] is needed".into());
        }
        for (section, mends) in [
            ("mitigation", &scenario.mitigation),
            ("fine", &scenario.fine),
        ] {
            for (nth, mend) in mends.iter().enumerate() {
                let line = self.line_of_entry(section, nth);
                self.lint_mend(line, mend);
            }
        }
        for (nth, harm) in scenario.harmful.iter().enumerate() {
            let line = self.line_of_entry("harmful", nth);
            if !REPLICAS.iter().any(|name| matches(&harm.target, name)) {
                self.problem(line, format!("{:?} fits no container", harm.target));
            }
        }
    }

    fn lint_mend(&mut self, line: usize, mend: &Mend) {
        if !matches!(mend.does, Deed::Wait | Deed::PruneImages) {
            self.known_target(line, &mend.target);
        }
        if mend.does == Deed::Exec && mend.argv.is_empty() {
            self.problem(line, "exec needs `argv`".into());
        }
        if mend.does == Deed::Update && mend.memory_mb.is_none() {
            self.problem(line, "update needs `memory_mb`".into());
        }
    }

    fn known_target(&mut self, line: usize, target: &str) {
        if !REPLICAS.contains(&target) {
            self.problem(
                line,
                format!(
                    "no container is called {target:?}; there are: {}",
                    REPLICAS.join(", ")
                ),
            );
        }
    }
}

/// The services of the Hyper-Mission stack.
pub const SERVICES: &[&str] = &[
    "gateway",
    "client",
    "server",
    "postgres",
    "redis",
    "prometheus",
    "grafana",
];

/// The replicas as scenarios name them: the service, with a number where there is more than one.
pub const REPLICAS: &[&str] = &[
    "gateway",
    "client",
    "server-1",
    "server-2",
    "server-3",
    "postgres",
    "redis",
    "prometheus",
    "grafana",
];

impl Fault {
    /// What happened, in a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::Die { target } => format!("{target} is killed"),
            Self::Slow { target, .. } => format!("{target} becomes slow"),
            Self::Errors { target, .. } => format!("{target} fails requests"),
            Self::Deploy { tag, .. } => format!("{tag} is deployed"),
            Self::LimitMemory { target, mb } => format!("{target} is limited to {mb} MB"),
            Self::Leak { target, .. } => format!("{target} leaks memory"),
            Self::CrashLoop { target, .. } => format!("{target} crashes again and again"),
            Self::Certificate { served_days, .. } => {
                format!("the certificate ends in {served_days} days")
            }
            Self::WrongName {} => "the certificate names another host".into(),
            Self::BackupTruncated {} => "last night's dump is cut".into(),
            Self::BackupMissing { nights } => format!("no dump for {nights} nights"),
            Self::OneUpstream { target } => format!("the gateway knows {target} only"),
            Self::RedisReadOnly {} => "redis refuses writes".into(),
            Self::DiskFill { target, .. } => format!("{target} fills the disk"),
            Self::ScrapeStalls {} => "prometheus stops scraping".into(),
            Self::EngineHangs {} => "the engine hangs".into(),
            Self::EngineRefuses {} => "the engine refuses".into(),
            Self::EngineReturns {} => "the engine is back".into(),
        }
    }

    /// The replicas that a fault names.
    pub fn targets(&self) -> Vec<&str> {
        match self {
            Self::Die { target }
            | Self::Slow { target, .. }
            | Self::Errors { target, .. }
            | Self::LimitMemory { target, .. }
            | Self::Leak { target, .. }
            | Self::CrashLoop { target, .. }
            | Self::OneUpstream { target }
            | Self::DiskFill { target, .. } => vec![target],
            Self::Deploy { targets, .. } => targets.iter().map(String::as_str).collect(),
            Self::Certificate { .. }
            | Self::WrongName {}
            | Self::BackupTruncated {}
            | Self::BackupMissing { .. }
            | Self::RedisReadOnly {}
            | Self::ScrapeStalls {}
            | Self::EngineHangs {}
            | Self::EngineRefuses {}
            | Self::EngineReturns {} => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn problems_of(text: &str) -> Vec<String> {
        parse("x.toml", text)
            .expect_err("must be refused")
            .iter()
            .map(Problem::to_string)
            .collect()
    }

    #[test]
    fn every_shipped_scenario_lints() {
        for (id, text) in SHIPPED {
            if let Err(problems) = parse(&format!("{id}.toml"), text) {
                panic!("{}", list(&problems));
            }
        }
        assert!(SHIPPED.len() >= 10);
    }

    #[test]
    fn every_file_in_the_folder_is_shipped() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/scenarios");
        for entry in std::fs::read_dir(folder).expect("folder") {
            let name = entry.expect("entry").file_name();
            let id = Path::new(&name)
                .file_stem()
                .expect("stem")
                .to_string_lossy()
                .into_owned();
            assert!(SHIPPED.iter().any(|(known, _)| *known == id), "{id}");
        }
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_lines() {
        let text = "title = \"t\"\nteaches = \"x\"\nbrief = \"b\"\ndebrief = \"d\"\nclock = \"25:00\"\ncolour = 1\n\n[[fault]]\nat_s = 5\nwhat = { kind = \"die\", target = \"server-9\" }\n\n[[fault]]\nat_s = 5\nwhat = { kind = \"melt\" }\n";
        let problems = problems_of(text);
        assert!(problems.iter().any(|p| p.starts_with("x.toml:5: `clock`")));
        assert!(problems.contains(&"x.toml:6: unknown key `colour`".to_owned()));
        assert!(
            problems
                .iter()
                .any(|p| p.starts_with("x.toml:8: no container is called \"server-9\""))
        );
        assert!(
            problems
                .iter()
                .any(|p| p.starts_with("x.toml:12: [[fault]]"))
        );
        assert!(problems.iter().any(|p| p.contains("[[hint]]")));
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        assert!(problems_of("title = \"t\"\nbrief = [\n")[0].starts_with("x.toml:"));
    }

    #[test]
    fn unknown_fields_of_a_fault_are_refused() {
        let text = "[[fault]]\nat_s = 1\nwhat = { kind = \"wrong_name\", host = \"x\" }\n";
        assert!(
            problems_of(text)
                .iter()
                .any(|p| p.starts_with("x.toml:1: [[fault]]") && p.contains("host"))
        );
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = load("meteor").expect_err("unknown").to_string();
        assert!(error.contains("replica-dies"));
    }
}
