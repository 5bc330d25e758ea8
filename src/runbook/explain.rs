//! A runbook for people and for scripts: what it is, what it asks for, what it does, and its page.

use std::fmt::Write;

use serde_json::{Value, json};

use super::document::{Block, BlockIs, Document, FailureRule, Order, When};
use super::parameter::{Kind, Parameter};
use super::planned::Risk;
use super::shelf::{Book, Shelf};
use super::table::Table;
use crate::domain::Clean;
use crate::engine::Gate;

const LIST_SCHEMA: &str = "quarterdeck.runbooks/1";
const SHOW_SCHEMA: &str = "quarterdeck.runbook/1";

fn risk_word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Users => "users",
        Risk::Destructive => "destructive",
        Risk::Data => "data",
    }
}

/// All runbooks as a table.
pub fn list_text(shelf: &Shelf) -> String {
    let mut rows = vec![["ID", "RISK", "FOR", "KEY", "TITLE", "FROM"].map(str::to_owned)];
    rows.extend(shelf.books.iter().map(|book| {
        let document = &book.document;
        [
            document.id.to_string(),
            risk_word(document.risk).to_owned(),
            document.scope.word().to_owned(),
            document.key.map(String::from).unwrap_or_default(),
            document.title.to_string(),
            book.origin.said().to_string(),
        ]
    }));
    columns(&rows)
}

pub fn list_json(shelf: &Shelf) -> Value {
    let books: Vec<Value> = shelf.books.iter().map(head).collect();
    json!({"schema": LIST_SCHEMA, "runbooks": books})
}

fn head(book: &Book) -> Value {
    let document = &book.document;
    json!({
        "id": document.id,
        "title": document.title,
        "risk": document.risk,
        "scope": document.scope,
        "key": document.key,
        "from": book.origin.said(),
        "sha256": document.sha256,
    })
}

pub fn show_json(book: &Book) -> Value {
    let document = &book.document;
    let mut shown = head(book);
    let sections = document.sections.iter().filter(|s| !s.blocks.is_empty());
    let sections: Vec<Value> = sections
        .map(|section| {
            let blocks: Vec<Value> = section.blocks.iter().map(block_json).collect();
            json!({"heading": section.heading, "line": section.line, "blocks": blocks})
        })
        .collect();
    let rest = json!({
        "schema": SHOW_SCHEMA,
        "target": document.target,
        "on_failure": on_failure(document),
        "parameters": document.parameters,
        "sections": sections,
        "page": document.page,
    });
    if let (Value::Object(shown), Value::Object(rest)) = (&mut shown, rest) {
        shown.extend(rest);
    }
    shown
}

fn block_json(block: &Block) -> Value {
    let (word, of) = match &block.is {
        BlockIs::Step(step) => (
            "step",
            json!({"act": raw(&step.act), "title": step.title, "if": step.condition}),
        ),
        BlockIs::Check(check) => (
            "check",
            json!({"check": raw(&check.check), "title": check.title, "when": check.when, "if": check.condition}),
        ),
        BlockIs::Ask(ask) => (
            "ask",
            json!({"question": ask.question, "if": ask.condition}),
        ),
        BlockIs::Each(each) => ("each", json!({"replica_of": each.replica_of})),
    };
    json!({"line": block.line, "block": word, "of": of})
}

fn raw(table: &Table) -> Value {
    Value::Object(table.json(&mut |text, _| json!(Clean::line(text))))
}

fn on_failure(document: &Document) -> Clean {
    match &document.on_failure {
        FailureRule::Stop => Clean::from("stop"),
        FailureRule::Undo => Clean::from("undo"),
        FailureRule::UndoIf(condition) => Clean::from(format!("undo if {condition}, else stop")),
    }
}

/// The whole runbook: its head, its parameters, its page with what the console does at each place.
pub fn show_text(book: &Book) -> String {
    let document = &book.document;
    let mut out = String::new();
    let _ = writeln!(out, "{} ({})", document.title, document.id);
    let key = document
        .key
        .map(|key| format!("; key {key}"))
        .unwrap_or_default();
    let _ = writeln!(
        out,
        "risk {}; for a {}{key}; holds {}; when a step fails: {}",
        risk_word(document.risk),
        document.scope.word(),
        document.target,
        on_failure(document),
    );
    let _ = writeln!(out, "{}; sha256 {}", book.origin.said(), document.sha256);
    if !document.parameters.is_empty() {
        let rows: Vec<[String; 4]> = document.parameters.iter().map(parameter_row).collect();
        let _ = write!(out, "\nParameters\n{}", columns(&rows));
    }
    let around = around(document);
    if !around.is_empty() {
        out.push('\n');
    }
    for line in around {
        let _ = writeln!(out, "{line}");
    }
    page(document, &mut out);
    out
}

fn parameter_row(parameter: &Parameter) -> [String; 4] {
    let kind = match &parameter.kind {
        Kind::Integer { min, max } => format!("integer {min} to {max}"),
        Kind::Choice { choices } => {
            let choices: Vec<&str> = choices.iter().map(Clean::as_str).collect();
            choices.join(" | ")
        }
        Kind::Flag => "true | false".to_owned(),
        Kind::Text { pattern } => format!("text {pattern}"),
        Kind::Image { revisions: true } => "image it ran before".to_owned(),
        Kind::Service | Kind::Replica | Kind::Duration | Kind::Image { revisions: false } => {
            parameter.kind.word().to_owned()
        }
    };
    let default = match &parameter.default {
        Some(default) => format!("= {default}"),
        None => "required".to_owned(),
    };
    [
        format!("  {}", parameter.name),
        kind,
        default,
        parameter.help.to_string(),
    ]
}

/// What holds around the steps: floor, tap, guards.
fn around(document: &Document) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(floor) = &document.floor {
        let least = match &floor.serving_min {
            Some(least) => format!("at least {least} go on serving"),
            None => "all others go on serving".to_owned(),
        };
        said.push(format!(
            "Floor: at most {} of {} out at once; {least}",
            floor.at_once, floor.service
        ));
    }
    if let Some(tap) = &document.tap {
        said.push(format!(
            "Tap: {} requests a second to {} through the gateway; more than {} failed stop the run",
            tap.rate, tap.path, tap.failures
        ));
    }
    for guard in &document.guards {
        said.push(format!(
            "Guard {}: {}, every {}; {} failures in a row stop the run",
            guard.id.0,
            guard.title,
            humantime::format_duration(guard.every),
            guard.in_a_row
        ));
    }
    said
}

/// The page, every block of ours as one line that says what it does.
fn page(document: &Document, out: &mut String) {
    let mut number = document.page_line;
    let mut lines = document.page.iter();
    while let Some(line) = lines.next() {
        let block = document.blocks().find(|block| block.line == number);
        number += 1;
        let Some(block) = block else {
            let _ = writeln!(out, "{line}");
            continue;
        };
        let _ = writeln!(out, "  >> {}", block_line(block));
        let sign = line.trim_start().chars().next().unwrap_or('`');
        for inner in lines.by_ref() {
            number += 1;
            if !inner.is_empty()
                && inner.trim().len() >= 3
                && inner.trim().chars().all(|c| c == sign)
            {
                break;
            }
        }
    }
}

fn block_line(block: &Block) -> String {
    let only_if = |condition: &Option<Clean>| {
        condition
            .as_ref()
            .map(|condition| format!(", if {condition}"))
            .unwrap_or_default()
    };
    match &block.is {
        BlockIs::Step(step) => {
            let gate = match step.gate {
                Gate::Open => "",
                Gate::Confirm => ", asks first",
                Gate::Approve => ", a second person approves first",
            };
            let what = step.title.clone().unwrap_or_else(|| written(&step.act));
            format!("step: {what}{gate}{}", only_if(&step.condition))
        }
        BlockIs::Check(check) => {
            let when = match check.when {
                When::Before => " (while planning)",
                When::Step => "",
            };
            let what = written(&check.check);
            format!(
                "check{when}: {}: {what}{}",
                check.title,
                only_if(&check.condition)
            )
        }
        BlockIs::Ask(ask) => format!("asks: {}{}", ask.question, only_if(&ask.condition)),
        BlockIs::Each(each) => {
            let which = if each.only_sick {
                "sick replica"
            } else {
                "replica"
            };
            let order = match each.order {
                Order::SickFirst => "sick ones first",
                Order::Number => "by number",
            };
            format!("for each {which} of {}, {order}:", each.replica_of)
        }
    }
}

/// `drain replica={replica}`
fn written(table: &Table) -> Clean {
    let Value::Object(fields) = raw(table) else {
        return Clean::default();
    };
    let mut words = Vec::new();
    for (name, value) in &fields {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match name.as_str() {
            "kind" => words.insert(0, value),
            _ => words.push(format!("{name}={value}")),
        }
    }
    Clean::from(words.join(" "))
}

/// Cells under each other; the last is neither cut nor padded.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |text: &str| Clean::line(text).width();
    let widths: Vec<usize> = (0..N)
        .map(|at| rows.iter().map(|row| width(&row[at])).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(
                ' ',
                widths[at].saturating_sub(width(cell)) + 2,
            ));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
