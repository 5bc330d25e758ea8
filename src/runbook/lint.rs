//! What only shows when a document is looked at as a whole: names that templates use, kinds and their fields, the way back.

use serde_json::{Map, Value};

use super::document::{BlockIs, Document, EachBlock, FailureRule, Section, When};
use super::examine::examine;
use super::parameter::{Kind, Parameter};
use super::problem::{Problems, meant};
use super::table::Table;
use super::template::{self, Names, SAMPLE};
use crate::domain::Clean;
use crate::engine::Undo;
use crate::probe::check::Check;
use crate::step::{Act, Step};

pub(super) fn lint(document: &Document, problems: &mut Problems) {
    let mut names = samples(&document.parameters);
    if document.floor.is_some() {
        names.set_floor(1);
    }
    front_templates(document, &names, problems);
    for guard in &document.guards {
        let what = format!("the guard `{}`", guard.id.0);
        check(&guard.check, &names, &what, problems);
    }
    let mut acts = 0;
    for section in &document.sections {
        acts += self::section(document, section, &names, problems);
    }
    if acts == 0 && problems.is_empty() {
        problems.add(
            1,
            "",
            "this runbook does nothing: it has no step",
            "add a block: ```toml step, with kind = \"…\"",
        );
    }
}

/// A value for each name, to see whether the document would hold with it.
fn samples(parameters: &[Parameter]) -> Names {
    let mut names = Names::samples();
    for parameter in parameters {
        let sample = parameter.sample();
        names.set_parameter(parameter, &sample);
        names.set_count(parameter, 1);
        if parameter.kind == Kind::Replica {
            names.set_replica(&parameter.name, &SAMPLE);
        }
    }
    names
}

fn known_names(text: &str, line: usize, names: &Names, problems: &mut Problems) {
    for name in template::names(text) {
        if names.knows(name) {
            continue;
        }
        let known: Vec<&str> = names.words().collect();
        let says = format!("there is no parameter `{name}`");
        problems.add(line, text, &says, &meant(name, &known));
    }
}

fn table_templates(table: &Table, names: &Names, problems: &mut Problems) {
    table.each_text(&mut |text, line| known_names(text, line, names, problems));
}

fn front_templates(document: &Document, names: &Names, problems: &mut Problems) {
    let mut see = |text: &Clean| known_names(text, 1, names, problems);
    see(&document.target);
    if let Some(confirm) = &document.confirm {
        see(confirm);
    }
    if let FailureRule::UndoIf(condition) = &document.on_failure {
        see(condition);
    }
    if let Some(tap) = &document.tap {
        see(&tap.path);
    }
    if let Some(floor) = &document.floor {
        known_names(&floor.service, floor.line, names, problems);
        if let Some(least) = &floor.serving_min {
            known_names(least, floor.line, names, problems);
            if least.contains("{floor}") {
                let says = "the floor cannot be written with itself";
                problems.add(floor.line, least, says, "write a number, or a parameter");
            }
        }
    }
    if let FailureRule::UndoIf(rule) = &document.on_failure
        && let Err(says) = template::holds(rule, names)
    {
        problems.add(
            1,
            rule,
            &says,
            "write \"undo if {flag}\" or \"undo if {word} == value\"",
        );
    }
    // A default may name the stack, and nothing that another answer decides.
    let mut own = Names::default();
    own.set_own("", "", None);
    for parameter in &document.parameters {
        if let Some(default) = &parameter.default {
            known_names(default, parameter.line, &own, problems);
        }
    }
}

/// How many steps it has.
fn section(
    document: &Document,
    section: &Section,
    names: &Names,
    problems: &mut Problems,
) -> usize {
    let mut names = names.clone();
    let mut each: Option<&EachBlock> = None;
    let mut acts = 0;
    for block in &section.blocks {
        match &block.is {
            BlockIs::Each(block_each) => {
                known_names(&block_each.replica_of, block.line, &names, problems);
                if each.is_some() {
                    problems.add(
                        block.line,
                        "```toml each",
                        "there is an each block under this heading already",
                        "begin a heading of its own for the second",
                    );
                }
                each = Some(block_each);
                names.set_replica("replica", &SAMPLE);
            }
            BlockIs::Step(step) => {
                acts += 1;
                table_templates(&step.act, &names, problems);
                texts(
                    block.line,
                    [step.title.as_ref(), step.condition.as_ref()],
                    &names,
                    problems,
                );
                condition(block.line, step.condition.as_ref(), &names, problems);
                let what = format!("the step `{}`", step.kind);
                let filled = fill(&step.act, &names);
                let read = examine::<Step>(&step.act, filled, &what, problems);
                if let Some(read) = read
                    && read.undoable() == Undo::None
                    && !step.no_undo
                    && document.on_failure != FailureRule::Stop
                {
                    let says = format!(
                        "{what} cannot be undone, and this runbook undoes itself when a step fails"
                    );
                    problems.add(
                        block.line,
                        "```toml step",
                        &says,
                        "say so on the step: undo = \"none\"",
                    );
                }
            }
            BlockIs::Check(of) => {
                acts += usize::from(of.when == When::Step);
                let what = format!("the check `{}`", of.kind);
                check(&of.check, &names, &what, problems);
                texts(
                    block.line,
                    [Some(&of.title), of.condition.as_ref()],
                    &names,
                    problems,
                );
                condition(block.line, of.condition.as_ref(), &names, problems);
            }
            BlockIs::Ask(ask) => {
                acts += 1;
                texts(
                    block.line,
                    [Some(&ask.question), ask.condition.as_ref()],
                    &names,
                    problems,
                );
                condition(block.line, ask.condition.as_ref(), &names, problems);
            }
        }
    }
    if let (Some(_), Some(block)) = (each, section.blocks.last())
        && matches!(block.is, BlockIs::Each(_))
    {
        problems.add(
            block.line,
            "```toml each",
            "nothing follows this each block under its heading",
            "put the blocks that are repeated below it",
        );
    }
    acts
}

/// A check of a kind that there is, with expectations that can be met.
fn check(table: &Table, names: &Names, what: &str, problems: &mut Problems) {
    table_templates(table, names, problems);
    if let Some(check) = examine::<Check>(table, fill(table, names), what, problems) {
        for problem in check.problems() {
            let (says, remedy) = problem.split_once("; ").unwrap_or((&problem, "correct it"));
            problems.add(table.line, "", &format!("{what}: {says}"), remedy);
        }
    }
}

fn texts<'t>(
    line: usize,
    texts: impl IntoIterator<Item = Option<&'t Clean>>,
    names: &Names,
    problems: &mut Problems,
) {
    for text in texts.into_iter().flatten() {
        known_names(text, line, names, problems);
    }
}

fn condition(line: usize, condition: Option<&Clean>, names: &Names, problems: &mut Problems) {
    let Some(condition) = condition else {
        return;
    };
    let all_known = template::names(condition)
        .iter()
        .all(|name| names.knows(name));
    if let Err(says) = template::holds(condition, names)
        && all_known
    {
        problems.add(
            line,
            condition,
            &says,
            "write if = \"{flag}\" or if = \"{word} == value\"",
        );
    }
}

pub(super) fn fill(table: &Table, names: &Names) -> Map<String, Value> {
    table.json(&mut |text, _| names.value(text))
}
