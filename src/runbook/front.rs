//! The front matter of a runbook.

use std::collections::BTreeSet;
use std::time::Duration;

use super::document::{Document, FailureRule, FloorRule, GuardRule, Scope, TapRule};
use super::parameter::{Kind, Parameter, TYPES, Wrong, whole};
use super::planned::Risk;
use super::problem::{Problems, meant};
use super::scan::Page;
use super::table::{Fields, Piece, Table};
use super::template;
use crate::domain::Clean;
use crate::engine::{GuardId, OnFailure, Resume};

const KEYS: &[&str] = &[
    "id",
    "title",
    "risk",
    "scope",
    "key",
    "target",
    "confirm",
    "on_failure",
    "on_guard",
    "resume",
    "patience",
    "parameter",
    "floor",
    "tap",
    "guard",
];

const RISKS: &[(&str, Risk)] = &[
    ("low", Risk::Low),
    ("users", Risk::Users),
    ("destructive", Risk::Destructive),
    ("data", Risk::Data),
];

const SCOPES: &[(&str, Scope)] = &[
    ("stack", Scope::Stack),
    ("service", Scope::Service),
    ("replica", Scope::Replica),
    ("gateway", Scope::Gateway),
];

/// Without a word for it, a question stays open for so long.
const PATIENCE: Duration = Duration::from_hours(1);

/// One request every 20 ms is enough to see a gap of 100 ms, and nothing to a gateway.
const TAP_RATE: u32 = 50;
/// More would be a load test.
const TAP_RATE_MAX: u32 = 500;
const GUARD_EVERY: Duration = Duration::from_secs(2);
/// One bad look may be chance.
const GUARD_IN_A_ROW: u32 = 3;
/// A plan takes no more replicas out at the same time.
const AT_ONCE_MAX: u32 = 100;

/// What the front matter says.
pub(super) struct Front {
    id: Clean,
    title: Clean,
    risk: Risk,
    scope: Scope,
    key: Option<char>,
    target: Clean,
    confirm: Option<Clean>,
    on_failure: FailureRule,
    on_guard: OnFailure,
    resume: Resume,
    patience: Duration,
    parameters: Vec<Parameter>,
    floor: Option<FloorRule>,
    tap: Option<TapRule>,
    guards: Vec<GuardRule>,
}

impl Front {
    pub(super) fn document(self, name: Clean) -> Document {
        Document {
            name,
            sha256: Clean::default(),
            id: self.id,
            title: self.title,
            risk: self.risk,
            scope: self.scope,
            key: self.key,
            target: self.target,
            confirm: self.confirm,
            on_failure: self.on_failure,
            on_guard: self.on_guard,
            resume: self.resume,
            patience: self.patience,
            parameters: self.parameters,
            floor: self.floor,
            tap: self.tap,
            guards: self.guards,
            sections: Vec::new(),
            page: Vec::new(),
            page_line: 1,
        }
    }
}

/// `None`: there is none, or it lacks what a runbook cannot do without. That has been said.
pub(super) fn read(page: &Page, problems: &mut Problems) -> Option<Front> {
    let (line, text) = page.front.as_ref()?;
    let piece = Piece {
        first_line: line + 1,
        text,
    };
    let mut table = piece.read(problems);
    if table.line == 0 {
        return None;
    }
    table.line = *line;
    let mut fields = Fields::of(&table, "the front matter", problems);
    fields.refuse_others(KEYS);
    let id = id(&mut fields);
    let title = fields
        .required("title", "title = \"What it does\"")
        .map(Clean::line);
    let risk = fields
        .required(
            "risk",
            "risk = \"low\", \"users\", \"destructive\" or \"data\"",
        )
        .and_then(|_| fields.word("risk", RISKS));
    let scope = scope(&mut fields);
    let key = key(&mut fields);
    let target = fields.text("target").map(Clean::line);
    let confirm = fields.text("confirm").map(Clean::line);
    let on_failure = on_failure(&mut fields);
    let on_guard = fields
        .word(
            "on_guard",
            &[("stop", OnFailure::Stop), ("undo", OnFailure::Undo)],
        )
        .unwrap_or(OnFailure::Stop);
    let resume = fields
        .word("resume", &[("ask", Resume::Ask), ("auto", Resume::Auto)])
        .unwrap_or(Resume::Ask);
    let patience = fields.span("patience").unwrap_or(PATIENCE);
    let parameter_tables = fields.tables("parameter");
    let floor_table = fields.table("floor");
    let tap_table = fields.table("tap");
    let guard_tables = fields.tables("guard");

    let parameters = parameters(&parameter_tables, problems);
    let floor = floor_table.and_then(|table| floor(table, problems));
    let tap = tap_table.and_then(|table| tap(table, problems));
    let guards = guards(&guard_tables, problems);
    Some(Front {
        id: id?,
        title: title?,
        risk: risk?,
        scope,
        key,
        target: target.unwrap_or_else(|| default_target(&parameters)),
        confirm,
        on_failure,
        on_guard,
        resume,
        patience,
        parameters,
        floor,
        tap,
        guards,
    })
}

/// A run holds the service that is asked about, else the stack.
fn default_target(parameters: &[Parameter]) -> Clean {
    let service = parameters.iter().find(|p| p.kind == Kind::Service);
    Clean::from(match service {
        Some(parameter) => format!("service/{{{}}}", parameter.name),
        None => "stack/{stack}".to_owned(),
    })
}

/// Letters, digits and dashes: it stands in file names, journals and on the command line.
fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 64
        && text.chars().all(plain)
}

fn id(fields: &mut Fields<'_, '_>) -> Option<Clean> {
    let id = fields.required("id", "id = \"rolling-restart\"")?;
    if !is_id(id) {
        fields.wrong(
            "id",
            "an id is made of small letters, digits and `-`",
            "write it as in id = \"rolling-restart\"",
        );
    }
    Some(Clean::line(id))
}

/// Shift letters that mean something to the console itself, on one screen or another.
const TAKEN_KEYS: &str = "ADEGHLNPSTUVZ";

fn key(fields: &mut Fields<'_, '_>) -> Option<char> {
    let text = fields.text("key")?;
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if TAKEN_KEYS.contains(letter) => {
            let free: String = ('A'..='Z').filter(|c| !TAKEN_KEYS.contains(*c)).collect();
            let says = format!("`{letter}` is a key of the console itself");
            fields.wrong("key", &says, &format!("write one of: {free}"));
            None
        }
        (Some(letter), None) if letter.is_ascii_uppercase() => Some(letter),
        _ => {
            fields.wrong(
                "key",
                "a runbook's key is one Shift letter",
                "write a capital letter, as in key = \"R\"",
            );
            None
        }
    }
}

/// `stop`, `undo`, or `undo if {auto_revert}`.
fn on_failure(fields: &mut Fields<'_, '_>) -> FailureRule {
    match fields.text("on_failure") {
        None | Some("stop") => FailureRule::Stop,
        Some("undo") => FailureRule::Undo,
        Some(text) => match text.strip_prefix("undo if ") {
            Some(condition) => FailureRule::UndoIf(Clean::line(condition)),
            None => {
                fields.wrong(
                    "on_failure",
                    "nobody can tell what happens when a step fails",
                    "write \"stop\", \"undo\" or \"undo if {parameter}\"",
                );
                FailureRule::Stop
            }
        },
    }
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(plain)
}

/// Words that templates have without a parameter.
pub(super) const OWN_NAMES: &[&str] = &["stack", "gateway", "upstream"];

fn parameters(tables: &[&Table], problems: &mut Problems) -> Vec<Parameter> {
    let mut all: Vec<Parameter> = Vec::new();
    for table in tables {
        let Some(parameter) = parameter(table, problems) else {
            continue;
        };
        let name = &parameter.name;
        if let Some(first) = all.iter().find(|other| other.name == *name) {
            let says = format!(
                "the parameter `{name}` is there twice, first on line {}",
                first.line
            );
            Fields::of(table, "", problems).wrong("name", &says, "give this one another name");
        } else if OWN_NAMES.contains(&name.as_str())
            || **name == *"replica" && parameter.kind != Kind::Replica
        {
            let says = format!("`{name}` means something else in a template");
            Fields::of(table, "", problems).wrong("name", &says, "give this one another name");
        }
        all.push(parameter);
    }
    all
}

fn parameter(table: &Table, problems: &mut Problems) -> Option<Parameter> {
    let mut fields = Fields::of(table, "[[parameter]]", problems);
    fields.refuse_others(&[
        "name", "type", "default", "min", "max", "choices", "pattern", "help", "from",
    ]);
    let name = fields.required("name", "name = \"service\"");
    if name.is_some_and(|name| !is_name(name)) {
        fields.wrong(
            "name",
            "a name is made of small letters, digits and `_`",
            "write it as in name = \"min_healthy_time\"",
        );
    }
    let kind = kind(&mut fields);
    let default = fields.scalar("default");
    let help = fields.text("help").map(Clean::line).unwrap_or_default();
    let parameter = Parameter {
        name: Clean::line(name?),
        kind: kind?,
        default: default.as_deref().map(Clean::line),
        help,
        line: table.line,
    };
    if let Some(default) = default.filter(|text| template::names(text).is_empty())
        && let Err(Wrong { says, remedy }) = parameter.accepts(&default)
    {
        Fields::of(table, "", problems).wrong("default", &format!("`default`: {says}"), &remedy);
    }
    Some(parameter)
}

fn kind(fields: &mut Fields<'_, '_>) -> Option<Kind> {
    let word = fields.required("type", "type = \"service\", or another type")?;
    let kind = match word {
        "service" => Kind::Service,
        "replica" => Kind::Replica,
        "integer" => integer(fields),
        "choice" => choice(fields)?,
        "flag" => Kind::Flag,
        "duration" => Kind::Duration,
        "image" => Kind::Image {
            revisions: fields
                .word("from", &[("revisions", true), ("anywhere", false)])
                .unwrap_or(false),
        },
        "text" => pattern(fields)?,
        other => {
            let says = format!("there is no type \"{other}\"");
            fields.wrong("type", &says, &meant(other, TYPES));
            return None;
        }
    };
    for (key, of) in [
        ("min", "integer"),
        ("max", "integer"),
        ("choices", "choice"),
        ("pattern", "text"),
        ("from", "image"),
    ] {
        if word != of && fields.has(key) {
            let says = format!("`{key}` belongs to the type {of}, and this is {word}");
            fields.wrong(key, &says, "take it out, or change the type");
        }
    }
    Some(kind)
}

fn integer(fields: &mut Fields<'_, '_>) -> Kind {
    let min = fields.integer("min").unwrap_or(0);
    let max = fields.integer("max").unwrap_or(i64::from(u32::MAX));
    if min > max {
        let says = format!("nothing is from {min} to {max}");
        fields.wrong("min", &says, "write a `min` that is not above `max`");
    }
    Kind::Integer {
        min: min.min(max),
        max,
    }
}

fn choice(fields: &mut Fields<'_, '_>) -> Option<Kind> {
    let choices = fields.texts("choices").unwrap_or_default();
    if choices.is_empty() {
        fields.wrong(
            "choices",
            "there is nothing to choose from",
            "add choices = [\"a\", \"b\"]",
        );
        return None;
    }
    Some(Kind::Choice { choices })
}

/// A text without a pattern could be anything, and one that is not anchored holds whatever is around it.
fn pattern(fields: &mut Fields<'_, '_>) -> Option<Kind> {
    let pattern = fields.required("pattern", "pattern = \"^[a-z0-9-]{1,40}$\"")?;
    if !(pattern.starts_with('^') && pattern.ends_with('$')) {
        fields.wrong(
            "pattern",
            "the pattern is not anchored: it would take any text around it",
            &format!("write \"^(?:{pattern})$\""),
        );
        return None;
    }
    if let Err(error) = whole(pattern) {
        let says = error.to_string();
        let says = says.lines().last().unwrap_or("it cannot be read").trim();
        fields.wrong(
            "pattern",
            &format!("`pattern`: {says}"),
            "correct the pattern",
        );
        return None;
    }
    Some(Kind::Text {
        pattern: Clean::line(pattern),
    })
}

fn floor(table: &Table, problems: &mut Problems) -> Option<FloorRule> {
    let mut fields = Fields::of(table, "[floor]", problems);
    fields.refuse_others(&["service", "at_once", "serving_min"]);
    let service = fields.required("service", "service = \"{service}\"");
    let at_once = fields.within("at_once", 1..AT_ONCE_MAX + 1);
    let serving_min = fields.scalar("serving_min");
    Some(FloorRule {
        service: Clean::line(service?),
        at_once: at_once.unwrap_or(1),
        serving_min: serving_min.as_deref().map(Clean::line),
        line: table.line,
    })
}

fn tap(table: &Table, problems: &mut Problems) -> Option<TapRule> {
    let mut fields = Fields::of(table, "[tap]", problems);
    fields.refuse_others(&["path", "rate", "failures"]);
    let path = fields.required("path", "path = \"/\"");
    let rate = fields.within("rate", 1..TAP_RATE_MAX + 1);
    let failures = fields.within("failures", 0..u32::MAX);
    Some(TapRule {
        path: Clean::line(path?),
        rate: rate.unwrap_or(TAP_RATE),
        failures: u64::from(failures.unwrap_or(0)),
    })
}

fn guards(tables: &[&Table], problems: &mut Problems) -> Vec<GuardRule> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for table in tables {
        let mut fields = Fields::of(table, "[[guard]]", problems);
        fields.refuse_others(&["id", "title", "every", "in_a_row", "check"]);
        let id = fields.required("id", "id = \"errors\"");
        let title = fields.required("title", "title = \"what is watched\"");
        let every = fields.span("every").unwrap_or(GUARD_EVERY);
        let in_a_row = fields.within("in_a_row", 1..101).unwrap_or(GUARD_IN_A_ROW);
        let check = fields.table("check");
        if !fields.has("check") {
            fields.wrong(
                "check",
                "`check` is missing in [[guard]]",
                "add check = { kind = \"traffic\", service = \"{service}\", errors = \"< 5 %\" }",
            );
        }
        if let Some(id) = id
            && !seen.insert(id)
        {
            fields.wrong(
                "id",
                &format!("the guard `{id}` is there twice"),
                "give this one another id",
            );
        }
        if let (Some(id), Some(title), Some(check)) = (id, title, check) {
            all.push(GuardRule {
                id: GuardId(Clean::line(id)),
                title: Clean::line(title),
                every,
                in_a_row,
                check: check.clone(),
            });
        }
    }
    all
}

fn scope(fields: &mut Fields<'_, '_>) -> Scope {
    fields.word("scope", SCOPES).unwrap_or(Scope::Stack)
}
