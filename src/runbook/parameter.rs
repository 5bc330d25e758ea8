//! Parameters of a runbook: typed, with defaults and live choices. An answer that is not of its type never reaches a step.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use serde::Serialize;
use serde_json::Value;

use super::problem::{Problems, nearest};
use super::scene::Scene;
use super::template::Names;
use crate::domain::{Clean, Container};

/// Longer is a document, not a value.
const VALUE_BYTES_MAX: usize = 256;

/// A run waits no longer for anything.
const DURATION_MAX: Duration = Duration::from_hours(24);

/// Types as a document writes them.
pub(super) const TYPES: &[&str] = &[
    "service", "replica", "integer", "choice", "flag", "duration", "image", "text",
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// A service of the stack.
    Service,
    /// A replica of the stack: `server-2`.
    Replica,
    Integer {
        min: i64,
        max: i64,
    },
    Choice {
        choices: Vec<Clean>,
    },
    /// `true` or `false`
    Flag,
    /// `10s`, `2m`
    Duration,
    /// An image reference: `registry.example/shop/server:7`.
    Image {
        /// The choices are what the service ran before; without an answer the last one that was good is taken.
        revisions: bool,
    },
    /// The whole text matches the pattern, which is anchored at both ends.
    Text {
        pattern: Clean,
    },
}

impl Kind {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Replica => "replica",
            Self::Integer { .. } => "integer",
            Self::Choice { .. } => "choice",
            Self::Flag => "flag",
            Self::Duration => "duration",
            Self::Image { .. } => "image",
            Self::Text { .. } => "text",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parameter {
    pub name: Clean,
    #[serde(flatten)]
    pub kind: Kind,
    /// `None`: it has to be answered.
    pub default: Option<Clean>,
    pub help: Clean,
    #[serde(skip)]
    pub line: usize,
}

/// Why an answer is refused, and what to write instead.
pub(super) struct Wrong {
    pub(super) says: String,
    pub(super) remedy: String,
}

fn wrong<T>(says: impl Into<String>, remedy: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        says: says.into(),
        remedy: remedy.into(),
    })
}

impl Parameter {
    /// What a person may choose from right now; empty where any value of the type will do. `answers` are those given so far.
    pub fn choices(&self, scene: &Scene, answers: &BTreeMap<String, String>) -> Vec<Clean> {
        match &self.kind {
            Kind::Service => scene.service_names().into_iter().cloned().collect(),
            Kind::Replica => scene.replicas().map(Container::replica).collect(),
            Kind::Choice { choices } => choices.clone(),
            Kind::Flag => vec![Clean::from("true"), Clean::from("false")],
            Kind::Image { revisions: true } => earlier_images(scene, answers)
                .map(|revision| revision.image.clone())
                .collect(),
            Kind::Image { revisions: false } => {
                let mut known: Vec<Clean> = scene
                    .replicas()
                    .filter(|container| concerns(answers, &container.service))
                    .map(|container| container.image.name.clone())
                    .collect();
                known.sort();
                known.dedup();
                known
            }
            Kind::Integer { .. } | Kind::Duration | Kind::Text { .. } => Vec::new(),
        }
    }

    /// The value without an answer: the default, filled in from the stack, or what the stack offers.
    pub fn offered(&self, scene: &Scene, answers: &BTreeMap<String, String>) -> Option<Clean> {
        match &self.kind {
            // Back from what nobody here put there, only a person can say to where.
            Kind::Image { revisions: true }
                if self.default.is_none() && drifted(scene, answers).is_some() =>
            {
                None
            }
            Kind::Image { revisions: true } if self.default.is_none() => {
                earlier_images(scene, answers)
                    .find(|revision| revision.good == Some(true))
                    .map(|revision| revision.image.clone())
            }
            _ => {
                let default = self.default.as_ref()?;
                let filled = Clean::from(Names::of(scene).text(default));
                // A default that comes to nothing is none.
                (!filled.is_empty()).then_some(filled)
            }
        }
    }

    /// Is this text a value of the type, whatever the stack looks like?
    pub(super) fn accepts(&self, text: &str) -> Result<(), Wrong> {
        if text.len() > VALUE_BYTES_MAX {
            return wrong(
                format!("{} bytes are too many", text.len()),
                format!("write at most {VALUE_BYTES_MAX}"),
            );
        }
        if text.is_empty() {
            return wrong("it is empty", "write a value, or leave it out");
        }
        // What is shown would not be what is done.
        if Clean::line(text).as_str() != text {
            return wrong(
                "it holds characters that are not shown as they are",
                "write plain letters, without newlines or control characters",
            );
        }
        if text.starts_with('-') && !matches!(self.kind, Kind::Integer { .. }) {
            return wrong(
                "it begins with `-`, as options do",
                "write it without the dash",
            );
        }
        self.is_of_kind(text)
    }

    fn is_of_kind(&self, text: &str) -> Result<(), Wrong> {
        match &self.kind {
            Kind::Service | Kind::Replica => matches_all(
                text,
                r"[A-Za-z0-9][A-Za-z0-9_.-]*",
                "it is no name",
                "write letters, digits, `_`, `.` and `-`",
            ),
            Kind::Integer { min, max } => match text.parse::<i64>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(()),
                Ok(number) if number < *min => wrong(
                    format!("{number} is below {min}"),
                    format!("write {min} to {max}"),
                ),
                Ok(number) => wrong(
                    format!("{number} is above {max}"),
                    format!("write {min} to {max}"),
                ),
                Err(_) => wrong("it is no whole number", format!("write {min} to {max}")),
            },
            Kind::Choice { choices } => one_of(text, choices.iter().map(Clean::as_str)),
            Kind::Flag => one_of(text, ["true", "false"]),
            Kind::Duration => match humantime::parse_duration(text) {
                Ok(span) if span <= DURATION_MAX => Ok(()),
                Ok(_) => wrong("it is longer than a day", "write a span such as 30s or 2m"),
                Err(error) => wrong(error.to_string(), "write a span such as 30s or 2m"),
            },
            Kind::Image { .. } => matches_all(
                text,
                r"[A-Za-z0-9][A-Za-z0-9._:-]*(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?",
                "it is no image reference",
                "write it as `docker` takes it: name:tag, or name@sha256:…",
            ),
            Kind::Text { pattern } => {
                let fits = whole(pattern).is_ok_and(|pattern| pattern.is_match(text));
                if fits {
                    return Ok(());
                }
                wrong(
                    format!("it does not match {pattern}"),
                    "write it as the pattern says",
                )
            }
        }
    }

    /// Is it there? Services and replicas are looked for in the scene.
    fn is_there(&self, text: &str, scene: &Scene) -> Result<(), Wrong> {
        let known: Vec<Clean> = match self.kind {
            Kind::Service => scene.service_names().into_iter().cloned().collect(),
            Kind::Replica => scene.replicas().map(Container::replica).collect(),
            _ => return Ok(()),
        };
        if known.iter().any(|name| &**name == text) {
            return Ok(());
        }
        let what = self.kind.word();
        let says = format!("the stack `{}` has no such {what}", scene.stack);
        if known.is_empty() {
            return wrong(
                says,
                "no container of it runs: start the stack, or name another with --project",
            );
        }
        let Err(Wrong { remedy, .. }) = one_of(text, known.iter().map(Clean::as_str)) else {
            return Ok(());
        };
        wrong(says, remedy)
    }

    /// A value of the type, to see whether a document would hold with it.
    pub(super) fn sample(&self) -> String {
        let own = Names::samples();
        let default = self.default.as_ref().map(|default| own.text(default));
        match (default, &self.kind) {
            (Some(default), _) => default,
            (None, Kind::Service) => "service".to_owned(),
            (None, Kind::Replica) => "service-1".to_owned(),
            (None, Kind::Integer { min, .. }) => min.to_string(),
            (None, Kind::Choice { choices }) => {
                choices.first().map(ToString::to_string).unwrap_or_default()
            }
            (None, Kind::Flag) => "true".to_owned(),
            (None, Kind::Duration) => "10s".to_owned(),
            (None, Kind::Image { .. }) => "image:1".to_owned(),
            (None, Kind::Text { .. }) => "text".to_owned(),
        }
    }

    /// What a template that is nothing but this parameter becomes: numbers and flags stay what they are.
    pub(super) fn typed(&self, text: &str) -> Value {
        match self.kind {
            Kind::Integer { .. } => text
                .parse::<i64>()
                .map_or_else(|_| Value::from(text), Value::from),
            Kind::Flag => Value::from(text == "true"),
            _ => Value::from(text),
        }
    }
}

/// What the service that is asked about ran before, newest first, without what it runs now.
fn earlier_images<'s>(
    scene: &'s Scene,
    answers: &BTreeMap<String, String>,
) -> impl Iterator<Item = &'s super::scene::Revision> {
    let running: Vec<&Clean> = scene
        .replicas()
        .filter(|container| concerns(answers, &container.service))
        .map(|container| &container.image.name)
        .collect();
    scene.revisions.iter().filter({
        let answers = answers.clone();
        move |revision| concerns(&answers, &revision.service) && !running.contains(&&revision.image)
    })
}

/// Whether the service that is asked about runs what no run has put there.
fn drifted(scene: &Scene, answers: &BTreeMap<String, String>) -> Option<Clean> {
    let mut services = scene.service_names().into_iter();
    services
        .by_ref()
        .filter(|service| concerns(answers, service))
        .find_map(|service| scene.drifted(service))
}

/// The answer called `service` narrows what is offered.
fn concerns(answers: &BTreeMap<String, String>, service: &str) -> bool {
    answers.get("service").is_none_or(|asked| asked == service)
}

/// An anchored pattern, with both anchors around all of it: a `|` at the top would leave each side with one of them.
pub(super) fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    Regex::new(&format!("^(?:{inner})$"))
}

fn matches_all(text: &str, pattern: &str, says: &str, remedy: &str) -> Result<(), Wrong> {
    let whole = format!("^(?:{pattern})$");
    if Regex::new(&whole).is_ok_and(|pattern| pattern.is_match(text)) {
        return Ok(());
    }
    wrong(says, remedy)
}

fn one_of<'w>(text: &str, known: impl IntoIterator<Item = &'w str> + Clone) -> Result<(), Wrong> {
    if known.clone().into_iter().any(|known| known == text) {
        return Ok(());
    }
    let remedy = match nearest(text, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<&str> = known.into_iter().collect();
            format!("write one of: {}", known.join(", "))
        }
    };
    wrong("it is none of the choices", remedy)
}

/// Every parameter with its value. All problems at once: unknown names, missing answers, values of another type, services
/// that are not there.
pub(super) fn resolve(
    parameters: &[Parameter],
    answers: &BTreeMap<String, String>,
    scene: &Scene,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    for (name, value) in answers {
        if parameters.iter().any(|p| &*p.name == name) {
            continue;
        }
        let remedy = match nearest(name, parameters.iter().map(|p| p.name.as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None if parameters.is_empty() => "this runbook takes none".to_owned(),
            None => {
                let known: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
                format!("it takes: {}", known.join(", "))
            }
        };
        let says = format!("there is no parameter `{name}`");
        problems.add(0, &format!("{name}={value}"), &says, &remedy);
    }
    let mut values = BTreeMap::new();
    // What one parameter offers may hang on those before it, answered or not.
    let mut answers = answers.clone();
    for parameter in parameters {
        let name = parameter.name.to_string();
        let given = answers.get(&name).cloned();
        let value = given.or_else(|| parameter.offered(scene, &answers).map(|v| v.to_string()));
        let Some(value) = value else {
            let says = format!("parameter `{name}` has no value");
            problems.add(0, "", &says, &missing_remedy(parameter, scene, &answers));
            continue;
        };
        let checked = parameter
            .accepts(&value)
            .and_then(|()| parameter.is_there(&value, scene));
        if let Err(Wrong { says, remedy }) = checked {
            let says = format!("parameter `{name}` ({}): {says}", parameter.kind.word());
            problems.add(0, &format!("{name}={value}"), &says, &remedy);
            continue;
        }
        answers.insert(name.clone(), value.clone());
        values.insert(name, value);
    }
    values
}

fn missing_remedy(
    parameter: &Parameter,
    scene: &Scene,
    answers: &BTreeMap<String, String>,
) -> String {
    let name = &parameter.name;
    let choices = parameter.choices(scene, answers);
    if parameter.kind == (Kind::Image { revisions: true })
        && let Some(why) = drifted(scene, answers)
    {
        return format!("{why}; look at it, then name the image: {name}=NAME");
    }
    match choices.as_slice() {
        [] if parameter.kind == (Kind::Image { revisions: true }) => {
            format!("no run on record has put another image there; name it: {name}=NAME")
        }
        [] => format!("write {name}={}", parameter.sample()),
        some => {
            let some: Vec<&str> = some.iter().map(Clean::as_str).collect();
            format!("write {name}= one of: {}", some.join(", "))
        }
    }
}
