//! `{name}` in the values of a document, and conditions. A template fills a value and nothing else: no shell ever sees it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::parameter::{Kind, Parameter};
use super::scene::{Behind, Scene};
use crate::domain::{Clean, Container};

/// What is known of a replica by name.
pub(super) struct Replica<'a> {
    /// `server-2`
    pub(super) word: &'a str,
    pub(super) container: &'a str,
    pub(super) number: u32,
    pub(super) service: &'a str,
}

/// While a document is looked at without a stack.
pub(super) const SAMPLE: Replica<'static> = Replica {
    word: "service-1",
    container: "service-1",
    number: 1,
    service: "service",
};

/// What a template may name, and what that is for now.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// As text, and as the value that a template of this name alone becomes.
    known: BTreeMap<String, (String, Value)>,
}

impl Names {
    /// What every template may name, of this stack.
    pub(super) fn of(scene: &Scene) -> Self {
        let mut names = Self::default();
        names.set_own(
            &scene.stack,
            scene.gateway.service.as_deref().unwrap_or_default(),
            scene.gateway.behind.as_ref(),
        );
        names
    }

    /// What every template may name, while a document is looked at without a stack.
    pub(super) fn samples() -> Self {
        let mut names = Self::default();
        let behind = Behind {
            service: Clean::from("service"),
            port: 5000,
            path: Clean::from("/"),
            health: Clean::from("/healthz"),
        };
        names.set_own("stack", "gateway", Some(&behind));
        names
    }

    /// `{stack}`, `{gateway}`, `{upstream.service}`, `{upstream.port}`, `{upstream.path}`, `{upstream.health}`; empty,
    /// 0 and the root where there is no gateway.
    pub(super) fn set_own(&mut self, stack: &str, gateway: &str, behind: Option<&Behind>) {
        let service = behind.map_or("", |behind| &behind.service);
        let port = behind.map_or(0, |behind| behind.port);
        let path = behind.map_or("/", |behind| &behind.path);
        let health = behind.map_or("/", |behind| &behind.health);
        self.set("stack", stack, Value::from(stack));
        self.set("gateway", gateway, Value::from(gateway));
        self.set("upstream.service", service, Value::from(service));
        self.set("upstream.port", &port.to_string(), Value::from(port));
        self.set("upstream.path", path, Value::from(path));
        self.set("upstream.health", health, Value::from(health));
    }

    pub(super) fn set_parameter(&mut self, parameter: &Parameter, value: &str) {
        self.set(&parameter.name, value, parameter.typed(value));
    }

    /// `{service.replicas}`: how many replicas there are of it, or of the service that this replica belongs to.
    pub(super) fn set_count(&mut self, parameter: &Parameter, replicas: usize) {
        if matches!(parameter.kind, Kind::Service | Kind::Replica) {
            let name = format!("{}.replicas", parameter.name);
            self.set(&name, &replicas.to_string(), Value::from(replicas));
        }
    }

    /// `{replica}`, `{replica.name}`, `{replica.number}`, `{replica.service}`.
    pub(super) fn set_replica(&mut self, name: &str, replica: &Replica<'_>) {
        let Replica {
            word,
            container,
            number,
            service,
        } = *replica;
        self.set(name, word, Value::from(word));
        self.set(&format!("{name}.name"), container, Value::from(container));
        self.set(
            &format!("{name}.number"),
            &number.to_string(),
            Value::from(number),
        );
        self.set(&format!("{name}.service"), service, Value::from(service));
    }

    /// As [`Self::set_replica`], of one that is there.
    pub(super) fn set_container(&mut self, name: &str, container: &Container) {
        let replica = Replica {
            word: &container.replica(),
            container: &container.name,
            number: container.number.unwrap_or_default(),
            service: &container.service,
        };
        self.set_replica(name, &replica);
    }

    /// `{floor}`: how many have to go on serving, where the runbook has a floor.
    pub(super) fn set_floor(&mut self, least: u32) {
        self.set("floor", &least.to_string(), Value::from(least));
    }

    fn set(&mut self, name: &str, text: &str, value: Value) {
        self.known.insert(name.to_owned(), (text.to_owned(), value));
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &str> + Clone {
        self.known.keys().map(String::as_str)
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// The text with every name filled in. A name that is not known stays as it is; reading the document has said so.
    pub(super) fn text(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, name, after)) = next(rest) {
            out.push_str(before);
            match self.known.get(name) {
                Some((text, _)) => out.push_str(text),
                None => {
                    out.push('{');
                    out.push_str(name);
                    out.push('}');
                }
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// As [`Self::text`], but a template that is nothing but one name keeps its type: a number stays a number.
    pub(super) fn value(&self, template: &str) -> Value {
        if let Some(("", name, "")) = next(template)
            && let Some((_, value)) = self.known.get(name)
        {
            return value.clone();
        }
        Value::from(self.text(template))
    }
}

/// Names in a template, in order.
pub(super) fn names(template: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some((_, name, after)) = next(rest) {
        found.push(name);
        rest = after;
    }
    found
}

/// The next `{name}`: what is before it, the name, what is after it. Braces around anything else are plain text, so that
/// a query such as `up{job="server"}` can be written as it is.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        let inner = &text[open + 1..];
        let name = &inner[..inner
            .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c)))
            .unwrap_or(inner.len())];
        if name.starts_with(|c: char| c.is_ascii_lowercase())
            && let Some(after) = inner[name.len()..].strip_prefix('}')
        {
            return Some((&text[..open], name, after));
        }
        from = open + 1;
    }
    None
}

/// `{flag}`, `{word} == value`, `{word} != value`: whether it holds, or why nobody can tell.
pub(super) fn holds(condition: &str, names: &Names) -> Result<bool, String> {
    let filled = |part: &str| names.text(part.trim());
    if let Some((left, right)) = condition.split_once("!=") {
        return Ok(filled(left) != filled(right));
    }
    if let Some((left, right)) = condition.split_once("==") {
        return Ok(filled(left) == filled(right));
    }
    match filled(condition).as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!(
            "a condition is true or false, and this is `{other}`"
        )),
    }
}
