//! The plan as a dialog: what changes, what does not, what it costs, what was checked, and the word that starts it.
//!
//! Always in the same order. What has to be decided stands below and never scrolls; the rest scrolls above it.

use ratatui::layout::{Position, Rect};
use serde::Deserialize;

use super::canvas::Canvas;
use super::frame;
use super::line::Line;
use super::theme::Role;
use super::widgets::facts::{Facts, scrolled};
use super::widgets::panel::{Keys, panel};
use super::words::{self, columns, plural};
use crate::app::{Model, PLAN_LIFE, Readiness, Sheet, risk_word};
use crate::domain::{Age, Clean, Health};
use crate::engine::{Gate, Plan, Repeat, StepPlan, Undo};
use crate::runbook::{Attached, Brief, Confirmation, Floor};

/// Room for what changes beside what does not.
const WIDE: u16 = 100;
/// Room for a list with a line each.
const HIGH: u16 = 28;
/// Changes with a line each where there is little room.
const LINES_LOW: usize = 6;
/// The names of facts.
const NAME: usize = 10;

/// What the driver was given beside the steps.
pub(super) fn attached(plan: &Plan) -> Option<Attached> {
    Attached::deserialize(&plan.attached).ok()
}

/// The line below the tabs while a plan is on the screen.
pub(super) fn banner(model: &Model, sheet: &Sheet) -> Line<'static> {
    let (loud, word) = frame::environment(model);
    let age = model.now.since(sheet.planned.brief.made_at);
    let left = PLAN_LIFE.saturating_sub(age);
    let valid = format!(
        " Valid for {}; refused if the world changes.",
        words::calm(left)
    );
    let line = Line::plain(" ");
    if model.is_training() {
        return line
            .add(Role::Training, " PRACTICE ")
            .text(" Nothing here reaches production.")
            .dim(valid);
    }
    line.add(loud, format!(" CONFIRM: {word} "))
        .add(Role::Title, " You are about to change it.")
        .dim(valid)
}

pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    area: Rect,
    model: &Model,
    sheet: &Sheet,
) -> Option<Position> {
    canvas.clear(area);
    let plan = &sheet.planned.plan;
    let (loud, word) = frame::environment(model);
    let title = Line::of(Role::Title, format!("PLAN {}", short(&plan.id.0)))
        .text(format!("  {}  {}  ", plan.runbook, plan.target.0))
        .add(loud, format!(" {word} "))
        .text(format!(" {}", frame::stack_name(model)))
        .dim(format!(", host {}", model.session.host));
    let note = Line::faint("nothing has been changed yet");
    let inside = panel(canvas, area, title, &note, Keys::Here);
    let below = columns(question(canvas, model, sheet, inside.width).len()).min(inside.height);
    let above = Rect {
        height: inside.height.saturating_sub(below + 1),
        ..inside
    };
    let lines = body(canvas, model, sheet, inside);
    scrolled(canvas, above, &lines, sheet.scroll);
    let question_area = Rect {
        y: inside.bottom() - below,
        height: below,
        ..inside
    };
    let style = canvas.style(Role::Border);
    if question_area.y > inside.y {
        for x in inside.x..inside.right() {
            canvas.symbol(x, question_area.y - 1, "─", style);
        }
    }
    let lines = question(canvas, model, sheet, inside.width);
    canvas.lines(question_area, &lines);
    typed(canvas, question_area, model, sheet)
}

/// `9c41…e0`
fn short(id: &Clean) -> String {
    let text = id.as_str();
    match (text.get(..6), text.get(text.len().saturating_sub(2)..)) {
        (Some(first), Some(last)) if text.len() > 12 => format!("{first}…{last}"),
        _ => text.to_owned(),
    }
}

fn body<'a>(canvas: &Canvas<'_>, model: &'a Model, sheet: &'a Sheet, area: Rect) -> Vec<Line<'a>> {
    let (plan, brief) = (&sheet.planned.plan, &sheet.planned.brief);
    let mut facts = Facts::new(area.width, NAME);
    facts.lines.extend(changes(brief, area));
    if area.height >= HIGH {
        facts.gap();
    }
    facts.line("risk", risk(canvas, plan, brief));
    if let Some(floor) = &brief.floor {
        facts.fact("at once", at_once(floor));
    }
    named(&mut facts, "worst case", &brief.worst_case);
    facts.line("time", time(brief));
    named(&mut facts, "undo", &brief.undo);
    facts.line("checks", checks_in_short(canvas, model, brief));
    named(&mut facts, "note", &brief.notes);
    checks(canvas, &mut facts, model, brief);
    facts.gap();
    facts.fact(
        "who",
        format!(
            "{} on {}{}",
            plan.requested_by.0,
            model.session.host,
            if model.session.remote {
                ", over SSH"
            } else {
                ""
            }
        ),
    );
    facts.fact(
        "reason",
        if model.armed_for.is_empty() {
            "none yet: `:arm REASON` asks for it"
        } else {
            model.armed_for.as_str()
        },
    );
    let answers: Vec<String> = plan
        .parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    facts.fact(
        "asked for",
        format!("{} {}", plan.runbook, answers.join(" ")),
    );
    facts.fact("digest", plan.id.0.as_str());
    if let Some(attached) = attached(plan) {
        facts.fact("document", format!("sha256 {}", attached.document_sha256));
    }
    steps(&mut facts, plan);
    facts.lines
}

/// Lines under one name.
fn named<'a>(facts: &mut Facts<'a>, name: &'static str, lines: &'a [Clean]) {
    for (n, text) in lines.iter().enumerate() {
        facts.fact(if n == 0 { name } else { "" }, text.as_str());
    }
}

/// Side by side where there is room, else one after the other.
fn changes(brief: &Brief, area: Rect) -> Vec<Line<'_>> {
    let marked = |mark: &'static str, role, all: &[Clean]| -> Vec<Line<'static>> {
        all.iter()
            .map(|text| Line::of(role, format!("{mark} ")).text(text.to_string()))
            .collect()
    };
    let changed = marked("~", Role::Accent, &brief.changes);
    let kept = marked("=", Role::Dim, &brief.unchanged);
    let width = usize::from(area.width);
    if area.height < HIGH {
        // A line each, as long as they leave room for the rest.
        let all = [changed, kept].into_iter();
        return if brief.changes.len() + brief.unchanged.len() <= LINES_LOW {
            all.flatten().flat_map(|line| line.wrap(width, 2)).collect()
        } else {
            all.flat_map(|all| joined(all).wrap(width, 2)).collect()
        };
    }
    if area.width < WIDE {
        let mut lines = vec![Line::of(Role::Title, "WHAT WILL CHANGE")];
        lines.extend(changed.into_iter().flat_map(|line| line.wrap(width, 2)));
        lines.push(Line::of(Role::Title, "WHAT WILL NOT"));
        lines.extend(kept.into_iter().flat_map(|line| line.wrap(width, 2)));
        return lines;
    }
    let half = width / 2;
    let cut = |all: Vec<Line<'static>>| -> Vec<Line<'static>> {
        all.into_iter()
            .flat_map(|line| line.wrap(half - 2, 2))
            .collect()
    };
    let (left, right) = (cut(changed), cut(kept));
    let mut lines = vec![
        Line::of(Role::Title, "WHAT WILL CHANGE")
            .to(half)
            .add(Role::Title, "WHAT WILL NOT"),
    ];
    for row in 0..left.len().max(right.len()) {
        let one = left.get(row).cloned().unwrap_or_default();
        lines.push(match right.get(row) {
            Some(other) => one.to(half).join(other.clone()),
            None => one,
        });
    }
    lines
}

fn joined(all: Vec<Line<'static>>) -> Line<'static> {
    let mut line = Line::new();
    for (n, next) in all.into_iter().enumerate() {
        if n > 0 {
            line = line.text("  ");
        }
        line = line.join(next);
    }
    line
}

fn risk(canvas: &Canvas<'_>, plan: &Plan, brief: &Brief) -> Line<'static> {
    let risk = attached(plan).map(|attached| attached.risk);
    let (health, word) = risk.map_or((Health::Unknown, "not said"), risk_word);
    let line = match health {
        Health::None => Line::plain(word),
        health => canvas.verdict(health, word),
    };
    match brief.confirmation {
        Confirmation::Approved { .. } => line.dim("; a second person has to approve"),
        Confirmation::Yes | Confirmation::Typed { .. } => line,
    }
}

fn at_once(floor: &Floor) -> String {
    format!(
        "{} out; at least {} of {} of {} serve all the time",
        floor.at_once, floor.serving_min, floor.of, floor.service
    )
}

fn time(brief: &Brief) -> Line<'static> {
    match brief.expected {
        Some((ms, runs)) => {
            let span = Age(std::time::Duration::from_millis(ms));
            Line::plain(format!("about {span}"))
                .dim(format!(" (median of {})", plural(words_of(runs), "run")))
        }
        None => Line::plain("not known").dim(" (no earlier run of this on the same target)"),
    }
}

fn words_of(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// `● 2 of 2 hold, 3s ago`
fn checks_in_short(canvas: &Canvas<'_>, model: &Model, brief: &Brief) -> Line<'static> {
    let worst = Health::worst(brief.checks.iter().map(crate::runbook::Precheck::health));
    if brief.checks.is_empty() {
        return Line::faint("none: this runbook checks nothing before it starts");
    }
    let hold = brief
        .checks
        .iter()
        .filter(|check| check.health() == Health::Good);
    let text = format!("{} of {} hold", hold.count(), brief.checks.len());
    let age = words::since(model.now, brief.made_at);
    canvas.verdict(worst, &text).dim(format!(", {age} ago"))
}

fn checks(canvas: &Canvas<'_>, facts: &mut Facts<'_>, model: &Model, brief: &Brief) {
    facts.gap();
    facts.free(Line::of(Role::Title, "CHECKED").dim(format!(
        "  {}, {} ago; all must still hold at the start",
        brief.made_at.clock(),
        words::since(model.now, brief.made_at)
    )));
    if brief.checks.is_empty() {
        facts.free(Line::faint("this runbook checks nothing before it starts"));
    }
    for check in &brief.checks {
        let word = match check.health() {
            Health::Good => "",
            Health::Bad => "FAILS ",
            _ => "COULD NOT LOOK ",
        };
        facts.free(
            canvas
                .verdict(check.health(), word)
                .text(check.title.to_string())
                .dim(format!("  {}", check.outcome.said)),
        );
    }
}

fn steps(facts: &mut Facts<'_>, plan: &Plan) {
    facts.gap();
    facts.free(
        Line::of(Role::Title, format!("STEPS {}", plan.steps.len()))
            .dim("  in this order; no shell is used, each command is the list of its arguments"),
    );
    let mut group = None;
    for (n, step) in plan.steps.iter().enumerate() {
        if group != Some(&step.group) && !step.group.is_empty() {
            facts.free(Line::of(Role::Accent, step.group.to_string()));
        }
        group = Some(&step.group);
        facts.free(step_line(n + 1, step));
    }
}

fn step_line(number: usize, step: &StepPlan) -> Line<'static> {
    let mut line = Line::faint(format!("{number:>3} ")).text(step.title.to_string());
    if let Some(argv) = step.act.get("argv") {
        line = line.dim(format!("  {}", Clean::line(&argv.to_string())));
    }
    let mut said = vec![format!("at most {}", Age(step.deadline))];
    match step.gate {
        Gate::Open => {}
        Gate::Confirm => said.push("asks before".to_owned()),
        Gate::Approve => said.push("a second person approves before".to_owned()),
    }
    if step.undo == Undo::None {
        said.push("no undo".to_owned());
    }
    if step.repeat == Repeat::Unsafe {
        said.push("never repeated by itself".to_owned());
    }
    line.dim(format!("  ({})", said.join(", ")))
}

/// What is asked, with an empty line where the word is typed.
fn question(canvas: &Canvas<'_>, model: &Model, sheet: &Sheet, width: u16) -> Vec<Line<'static>> {
    let plan = &sheet.planned.plan;
    let width = usize::from(width);
    let (loud, word) = frame::environment(model);
    let mut lines = Vec::new();
    let target = &plan.target.0;
    let what = if model.is_training() {
        Line::of(Role::Training, " PRACTICE ")
            .text(format!(" This acts on {target} of the practice yard only."))
    } else {
        Line::of(loud, format!(" {word} "))
            .add(Role::Title, format!(" This will act on {target}, LIVE."))
    };
    let readiness = sheet.readiness(model);
    let asked = match sheet.word(model) {
        Some(word) => format!(" To start, type exactly: {word}"),
        None => " To start, press y.".to_owned(),
    };
    let may = readiness != Readiness::Disarmed;
    lines.extend(
        what.text(if may { asked } else { String::new() })
            .wrap(width, 2),
    );
    if let Confirmation::Approved { .. } = sheet.planned.brief.confirmation {
        let text = "Data is at stake: then somebody else has to approve, with `quarterdeck approve RUN` or in their console.";
        lines.extend(Line::of(Role::Poor, text).wrap(width, 2));
    }
    if may && sheet.word(model).is_some() {
        lines.push(Line::new());
    }
    let start = match readiness {
        Readiness::Ready => Line::of(Role::Armed, " Start ").text(match sheet.word(model) {
            Some(_) => " Enter starts it",
            None => " y starts it",
        }),
        Readiness::Unmatched | Readiness::TooSoon => {
            Line::faint("[ Start ]  off: ").dim(readiness.remedy())
        }
        Readiness::Disarmed | Readiness::Unproven | Readiness::Expired => {
            Line::faint("[ Start ]  off: ").join(canvas.verdict(Health::Poor, readiness.remedy()))
        }
    };
    let cancel = if readiness == Readiness::Ready {
        Line::faint("[ Cancel ]  Esc")
    } else {
        Line::of(Role::Focus, "[ Cancel ]").dim("  Esc")
    };
    lines.push(cancel.to(20).join(start));
    lines
}

/// The field for the word, in the last line but one of the question.
fn typed(canvas: &mut Canvas<'_>, area: Rect, model: &Model, sheet: &Sheet) -> Option<Position> {
    let field = model.field.as_ref()?;
    sheet.word(model)?;
    if area.height < 2 {
        return None;
    }
    let row = Rect {
        y: area.bottom() - 2,
        height: 1,
        ..area
    };
    Some(frame::field_line(canvas, row, field))
}
