//! One run: what it waits for, what users notice, what would stop it, its steps and its log.

use std::fmt::Write;
use std::time::Duration;

use ratatui::layout::Rect;
use serde::Deserialize;
use serde_json::Value;

use super::{halves, keys, runs};
use crate::app::story::{RunStory, Standing, Weight};
use crate::app::{Model, Pane, answers, is_own, run_health};
use crate::domain::{Age, Clean, Container, Health, Timestamp};
use crate::engine::{
    Deed, Gate, HoldCause, OnFailure, Phase, Question, Serving, StepId, StepState, Verdict, Wait,
};
use crate::view::canvas::{Canvas, role};
use crate::view::line::Line;
use crate::view::plan::attached;
use crate::view::theme::Role;
use crate::view::widgets::facts::Facts;
use crate::view::widgets::panel::{Keys, foot, panel};
use crate::view::widgets::table::first_seen;
use crate::view::words::{self, columns};

/// Room for steps beside the rest.
const WIDE: u16 = 100;
const NAME: usize = 9;
/// From this height on the log shows its lines in full.
const LOG_HIGH: u16 = 10;
/// Failed requests that are shown one by one; the figures count all.
const REQUESTS_SHOWN: usize = 4;

/// What users noticed, as the driver wrote it; fields that are not shown here are left alone.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(in crate::view) struct Tap {
    pub sent: u64,
    pub failed: u64,
    /// Due and never sent, because the tap itself was held up.
    pub missed: u64,
    pub p99_ms: Option<u64>,
}

pub(in crate::view) fn tap(run: &RunStory) -> Option<Tap> {
    let ended = run.finished.as_ref().map(|(finished, _)| &finished.tap);
    let value = ended.filter(|tap| !tap.is_null()).or(run.tap.as_ref())?;
    Tap::deserialize(value).ok()
}

impl Tap {
    /// `0 of 6,214 failed`
    pub(super) fn failed_of(&self) -> String {
        format!(
            "{} of {} failed",
            thousands(self.failed),
            thousands(self.sent)
        )
    }

    /// `0 of 6,214 failed, at least 2 of 3 serving, p99 38 ms`
    fn line(&self, run: &RunStory) -> Line<'static> {
        let role = if self.failed == 0 {
            Role::Text
        } else {
            Role::Bad
        };
        let mut line = Line::of(role, self.failed_of());
        if let Some(served) = served_line(run) {
            line = line.text(", ").join(served);
        }
        if let Some(p99) = self.p99_ms {
            line = line.text(format!(", p99 {p99} ms"));
        }
        if self.missed > 0 {
            let text = format!(", {} never sent", thousands(self.missed));
            line = line.add(Role::Unknown, text);
        }
        line
    }
}

/// How many replicas served at least, as the run's drivers looked.
fn served(run: &RunStory) -> Option<&Serving> {
    let ended = run.finished.as_ref();
    let last = ended.and_then(|(finished, _)| finished.serving.as_ref());
    last.or(run.serving.as_ref())
}

/// `at least 2 of 3 serving`: loud below the floor, and never good where nobody could tell.
fn served_line(run: &RunStory) -> Option<Line<'static>> {
    let served = served(run)?;
    let floor = run.brief.as_ref().and_then(|brief| brief.floor.as_ref());
    let min = floor.map_or(0, |floor| floor.serving_min);
    let role = match served.least {
        None => Role::Unknown,
        Some(least) if least < min => Role::Bad,
        Some(_) => Role::Text,
    };
    Some(Line::of(role, served.line().to_string()))
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `14/26`: the step that decides what happens next.
pub(in crate::view) fn progress(run: &RunStory) -> String {
    let of = run.plan.steps.len();
    match run.state.phase() {
        Phase::Ended(Verdict::Completed) => format!("{of}/{of}"),
        Phase::New => format!("0/{of}"),
        _ => {
            let at = run.last_step().map_or(0, |step| step.index() + 1);
            format!("{at}/{of}")
        }
    }
}

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, run: &RunStory) {
    let standing = model.story.standing(run, model.now);
    let health = run_health(standing);
    let title = Line::of(Role::Title, format!("Run {}", run.id.0))
        .text("  ")
        .join(canvas.verdict(health, &runs::loud(standing)))
        .dim(format!("  {} {}", run.plan.runbook, run.plan.target.0));
    let note = if standing.is_over() {
        Line::faint(format!(
            "{} by {}",
            run.asked_at.date_minute(),
            run.actor.user
        ))
    } else {
        Line::new()
    };
    if area.width < WIDE || area.height < 14 {
        let inside = panel(canvas, area, title, &note, keys(model, Pane::Detail));
        narrow(canvas, inside, model, run, standing);
        never_stops(canvas, area, standing);
        return;
    }
    let (left, right) = halves(area, area.width * 56 / 100);
    let inside = panel(canvas, left, title, &note, keys(model, Pane::Detail));
    never_stops(canvas, left, standing);
    let mut facts = Facts::new(inside.width, NAME);
    position(canvas, &mut facts, model, run, standing);
    let top = columns(facts.lines.len()).min(inside.height);
    canvas.lines(inside, &facts.lines);
    let below = Rect {
        y: inside.y + top,
        height: inside.height - top,
        ..inside
    };
    let mut rules = Facts::new(inside.width, NAME);
    stop_rules(canvas, &mut rules, model, run, standing);
    let rule_lines = columns(rules.lines.len()).min(below.height / 2);
    let (middle, bottom) = (
        Rect {
            height: below.height - rule_lines,
            ..below
        },
        Rect {
            y: below.bottom() - rule_lines,
            height: rule_lines,
            ..below
        },
    );
    steps(canvas, middle, model, run);
    canvas.lines(bottom, &rules.lines);
    beside(canvas, right, model, run);
}

/// Said as long as it matters.
fn never_stops(canvas: &mut Canvas<'_>, area: Rect, standing: Standing) {
    if !standing.is_over() {
        let note = Line::faint("leaving this screen never stops the run: its driver owns it");
        foot(canvas, area, &note);
    }
}

/// Replicas, what users notice, and the log.
fn beside(canvas: &mut Canvas<'_>, area: Rect, model: &Model, run: &RunStory) {
    let replicas = replica_lines(canvas, model, run);
    let first = if replicas.is_empty() {
        0
    } else {
        columns(replicas.len())
            .saturating_add(2)
            .min(area.height / 3)
    };
    let users = user_lines(run, usize::from(area.width.saturating_sub(4)));
    let second = columns(users.len()).saturating_add(2).min(area.height / 3);
    let part = |y: u16, height: u16| Rect { y, height, ..area };
    if first > 0 {
        let title = Line::of(Role::Title, "Replicas");
        let inside = panel(
            canvas,
            part(area.y, first),
            title,
            &Line::new(),
            Keys::Elsewhere,
        );
        canvas.lines(inside, &replicas);
    }
    let title = Line::of(Role::Title, "What users notice").dim("  requests through the gateway");
    let inside = panel(
        canvas,
        part(area.y + first, second),
        title,
        &Line::new(),
        Keys::Elsewhere,
    );
    canvas.lines(inside, &users);
    let rest = part(
        area.y + first + second,
        area.height.saturating_sub(first + second),
    );
    let title = Line::of(Role::Title, "Log of the run");
    let inside = panel(canvas, rest, title, &Line::new(), Keys::Elsewhere);
    log(canvas, inside, model, run);
}

/// Eighty columns: the same, in the order of what matters.
fn narrow(canvas: &mut Canvas<'_>, area: Rect, model: &Model, run: &RunStory, standing: Standing) {
    let mut facts = Facts::new(area.width, NAME);
    position(canvas, &mut facts, model, run, standing);
    facts.line("users", users_line(run));
    if area.height >= 12 {
        for line in replica_lines(canvas, model, run).into_iter().take(6) {
            facts.free(line);
        }
        if !standing.is_over() {
            let rules = rules(canvas, model, run);
            let line = rules.into_iter().fold(Line::new(), |line, rule| {
                let gap = if line.pieces.is_empty() { "" } else { "  " };
                line.text(gap).join(rule)
            });
            facts.line("stops", line);
            facts.fact("then", if_it_stops(run));
        }
    }
    let used = columns(facts.lines.len()).min(area.height);
    canvas.lines(area, &facts.lines);
    let rest = Rect {
        y: area.y + used,
        height: area.height - used,
        ..area
    };
    let (above, below) = (
        Rect {
            height: rest.height * 3 / 5,
            ..rest
        },
        Rect {
            y: rest.y + rest.height * 3 / 5,
            height: rest.height - rest.height * 3 / 5,
            ..rest
        },
    );
    steps(canvas, above, model, run);
    log(canvas, below, model, run);
}

/// Where the run stands and what it waits for; loud when it waits for a person or has nobody.
fn position<'a>(
    canvas: &Canvas<'_>,
    facts: &mut Facts<'a>,
    model: &'a Model,
    run: &'a RunStory,
    standing: Standing,
) {
    let now = model.now;
    match standing {
        Standing::Ownerless => ownerless(canvas, facts, model, run),
        Standing::Ended(verdict) => ended(canvas, facts, run, verdict),
        Standing::Unconfirmed => facts.fact("now", "planned; nobody has confirmed it"),
        Standing::Starting => facts.fact("now", "confirmed; its driver is starting"),
        Standing::UnderWay | Standing::Asking(_) => {
            facts.line("now", waits(run, now));
            if let Standing::Asking(question) = standing {
                asks(canvas, facts, model, run, question);
            }
        }
    }
    if let Some(fault) = &run.unsound {
        facts.line("journal", canvas.verdict(Health::Bad, fault));
    }
    facts.line(
        "took",
        Line::plain(Age(run.took(now)).to_string()).join(expected(run)),
    );
}

fn expected(run: &RunStory) -> Line<'static> {
    match run.brief.as_ref().and_then(|brief| brief.expected) {
        Some((ms, _)) => Line::faint(format!(" of about {}", Age(Duration::from_millis(ms)))),
        None => Line::new(),
    }
}

fn title_of(run: &RunStory, step: StepId) -> String {
    run.plan.get(step).map_or_else(String::new, |plan| {
        if plan.group.is_empty() || plan.title.contains(plan.group.as_str()) {
            plan.title.to_string()
        } else {
            format!("{}: {}", plan.group, plan.title)
        }
    })
}

/// What is waited for, since when and until when.
fn waits(run: &RunStory, now: Timestamp) -> Line<'static> {
    let since = run.state.since();
    let of = |limit: Duration| {
        format!(
            "  {} of {}, until {}",
            Age(now.since(since)),
            Age(limit),
            since.plus(limit).clock()
        )
    };
    match run.state.wait(&run.plan) {
        Wait::Act(act) => {
            let limit = run.plan.step(act.step).deadline;
            let deed = match act.deed {
                Deed::Perform => "",
                Deed::Undo => "undoing ",
            };
            Line::plain(format!("{deed}{}", title_of(run, act.step))).dim(of(limit))
        }
        Wait::Look(look) => Line::plain(format!(
            "looks whether all is as planned, before {}",
            title_of(run, look.step)
        )),
        Wait::Check(act) => {
            let limit = run.plan.step(act.step).deadline;
            Line::plain(format!(
                "asks whether {} did happen",
                title_of(run, act.step)
            ))
            .dim(of(limit))
        }
        Wait::Person(_) => Line::of(Role::Poor, "waits for a person").dim(of(run.plan.patience)),
        Wait::Begin => Line::plain("has not begun"),
        Wait::Recovery => Line::plain("is being taken up"),
        Wait::Nothing(verdict) => Line::plain(verdict.word()),
    }
}

fn asks<'a>(
    canvas: &Canvas<'_>,
    facts: &mut Facts<'a>,
    model: &'a Model,
    run: &'a RunStory,
    question: Question,
) {
    let fault = |step: StepId| {
        let story = run.steps.get(step.index());
        story
            .and_then(|story| story.fault.as_ref())
            .map_or("", Clean::as_str)
    };
    let line = match question {
        Question::Failed { step } => canvas.verdict(Health::Bad, "FAILED ").text(format!(
            "{}: {}",
            title_of(run, step),
            fault(step)
        )),
        Question::Doubt { step } => canvas.verdict(Health::Bad, "IN DOUBT ").text(format!(
            "whether it happened is not known: {} {}",
            title_of(run, step),
            fault(step)
        )),
        Question::Open { step, gate } => {
            let who = match gate {
                Gate::Approve if is_own(model, run) => {
                    "somebody else has to approve; you asked for this run: "
                }
                Gate::Approve => "a second person approves: ",
                Gate::Open | Gate::Confirm => "a person says go on: ",
            };
            canvas.verdict(Health::Poor, who).text(title_of(run, step))
        }
        Question::Resume => {
            let why = run.state.hold().map(held).unwrap_or_default();
            canvas.verdict(Health::Poor, "PAUSED ").text(why)
        }
    };
    facts.line("asks", line);
    let words: Vec<&str> = answers(model, run)
        .iter()
        .map(|answer| answer.word)
        .collect();
    facts.line(
        "answer",
        Line::of(Role::Key, "Enter").dim(format!(": {}", words.join(", "))),
    );
}

fn held(cause: &HoldCause) -> String {
    match cause {
        HoldCause::Person(by) => format!("by {}", by.0),
        HoldCause::Guard { guard, fault } => format!("by the guard {}: {fault}", guard.0),
        HoldCause::HostRestarted => "because the host was started anew".to_owned(),
        HoldCause::FactsUnseen { fault } => format!("because nothing can be seen: {fault}"),
    }
}

/// A run that nobody is at work on: its exact last step, and the way on.
fn ownerless<'a>(canvas: &Canvas<'_>, facts: &mut Facts<'a>, model: &'a Model, run: &'a RunStory) {
    let holder = model.story.holder(run);
    let driver = holder.map(|holder| holder.driver.0.to_string());
    let driver = driver
        .or_else(|| run.driver.as_ref().map(|(up, _)| up.driver.0.to_string()))
        .unwrap_or_else(|| "none ever began".to_owned());
    facts.line(
        "now",
        canvas.verdict(Health::Bad, "OWNERLESS ").text(format!(
            "nobody is at work on it; its driver ({driver}) said nothing for {}",
            words::since(model.now, run.last_at)
        )),
    );
    if let Some(step) = run.last_step() {
        facts.fact(
            "last step",
            format!(
                "{} of {}: {} - {}",
                step.index() + 1,
                run.plan.steps.len(),
                title_of(run, step),
                run.state.record(step).state
            ),
        );
    }
    facts.line(
        "answer",
        Line::of(Role::Key, "Enter").dim(format!(
            ": a new driver takes it up where it stands (or `quarterdeck resume {}`)",
            run.id.0
        )),
    );
}

fn ended<'a>(canvas: &Canvas<'_>, facts: &mut Facts<'a>, run: &'a RunStory, verdict: Verdict) {
    let health = run_health(Standing::Ended(verdict));
    let word = match verdict {
        Verdict::Completed => "all steps are done",
        Verdict::Unwound => "what was started was undone",
        Verdict::Stopped => "stopped where it was; nothing was undone by itself",
        Verdict::Aborted => "aborted by a person; what was done stays as it is",
        Verdict::Stuck => "an undo failed: only a person can say how things are now",
    };
    facts.line(
        "ended",
        canvas
            .verdict(health, &runs::loud(Standing::Ended(verdict)))
            .text(format!("  {word}"))
            .dim(format!("  {}", run.state.now().clock())),
    );
    let failed = run.plan.ids().find_map(|step| {
        let story = run.steps.get(step.index())?;
        Some((step, story.fault.as_ref()?))
    });
    if let Some((step, fault)) = failed {
        facts.line(
            "because",
            Line::plain(format!("{}: {fault}", title_of(run, step))),
        );
    }
}

/// What would stop it, how that stands, and what happens then.
fn stop_rules(
    canvas: &Canvas<'_>,
    facts: &mut Facts<'_>,
    model: &Model,
    run: &RunStory,
    standing: Standing,
) {
    if standing.is_over() {
        return;
    }
    facts.free(Line::of(Role::Title, "STOP RULES"));
    for rule in rules(canvas, model, run) {
        facts.free(rule);
    }
    facts.fact("then", if_it_stops(run));
}

/// What happens when one of them does not hold.
fn if_it_stops(run: &RunStory) -> &'static str {
    match run.plan.on_failure {
        OnFailure::Stop => "it holds at that step and asks; nothing else is touched",
        OnFailure::Undo => "what was started is undone, the last step first",
    }
}

/// Each stop rule with its value and its limit.
fn rules(canvas: &Canvas<'_>, model: &Model, run: &RunStory) -> Vec<Line<'static>> {
    let mut rules = Vec::new();
    if let Some(floor) = run.brief.as_ref().and_then(|brief| brief.floor.as_ref()) {
        let serving = serving(model, &floor.service);
        let holds = serving >= u64::from(floor.serving_min);
        let health = if holds { Health::Good } else { Health::Bad };
        let text = format!("{serving} healthy, at least {}", floor.serving_min);
        rules.push(canvas.verdict(health, &text));
    }
    let attached = attached(&run.plan);
    for guard in attached.iter().flat_map(|attached| &attached.guards) {
        let (health, said) = stands(run.guards.get(&guard.id.0));
        let said = Line::faint(format!("  {said}"));
        rules.push(canvas.verdict(health, &guard.title).join(said));
    }
    if let Some(spec) = attached.as_ref().and_then(|attached| attached.tap.as_ref()) {
        let (health, said) = match tap(run).map(|tap| tap.failed) {
            None => (Health::Unknown, "no figure yet".to_owned()),
            Some(n) if n <= spec.failures_max => (Health::Good, n.to_string()),
            Some(n) => (Health::Bad, n.to_string()),
        };
        let text = format!("requests failed: {said}, at most {}", spec.failures_max);
        rules.push(canvas.verdict(health, &text));
    }
    rules
}

/// How a guard stands, as the driver wrote it; what it does not say is unknown.
fn stands(value: Option<&Value>) -> (Health, String) {
    let Some(value) = value else {
        return (Health::Unknown, "not looked at yet".to_owned());
    };
    let outcome = value.get("outcome").unwrap_or(value);
    let said = outcome.get("said").and_then(Value::as_str).unwrap_or("");
    let health = match outcome.get("verdict").and_then(Value::as_str) {
        Some("pass") => Health::Good,
        Some("fail") => Health::Bad,
        _ => Health::Unknown,
    };
    (health, Clean::line(said).to_string())
}

fn containers_of<'a>(model: &'a Model, service: &'a str) -> impl Iterator<Item = &'a Container> {
    let all = model.board.containers().map_or(&[][..], |all| &all.all);
    all.iter()
        .filter(move |container| &*container.service == service)
}

fn serving(model: &Model, service: &str) -> u64 {
    let well = containers_of(model, service)
        .filter(|container| matches!(container.health(), Health::Good | Health::None));
    well.count().try_into().unwrap_or(u64::MAX)
}

/// The service that the run is about.
fn service(run: &RunStory) -> Option<&str> {
    let floor = run.brief.as_ref().and_then(|brief| brief.floor.as_ref());
    floor
        .map(|floor| floor.service.as_str())
        .or_else(|| run.plan.target.0.strip_prefix("service/"))
}

/// Each replica with its state, its age, and how far the run is with it.
fn replica_lines(canvas: &Canvas<'_>, model: &Model, run: &RunStory) -> Vec<Line<'static>> {
    let Some(service) = service(run) else {
        return Vec::new();
    };
    let lines = containers_of(model, service).map(|container| {
        let name = container.replica();
        let up = container.since().map_or_else(String::new, |since| {
            format!("up {}", words::since(model.now, since))
        });
        let words = crate::domain::board::state_in_words(container);
        let word = words.split(',').next().unwrap_or_default().to_owned();
        let health = container.health();
        Line::plain(format!("{name:<14}"))
            .join(canvas.verdict(health, &word))
            .to(32)
            .dim(format!("{up:<10}"))
            .join(part_of(run, &name))
    });
    lines.collect()
}

fn is_over(run: &RunStory) -> bool {
    matches!(run.state.phase(), Phase::Ended(_))
}

/// How far the run is with one replica.
fn part_of(run: &RunStory, group: &str) -> Line<'static> {
    use StepState as S;
    let of: Vec<StepId> = run
        .plan
        .ids()
        .filter(|id| &*run.plan.step(*id).group == group)
        .collect();
    if of.is_empty() {
        return Line::new();
    }
    let state = |id: &StepId| run.state.record(*id).state;
    let current = run.state.current();
    if current.is_some_and(|step| of.contains(&step)) {
        return Line::of(Role::Busy, "now");
    }
    if of
        .iter()
        .all(|id| matches!(state(id), S::Done | S::Skipped))
    {
        return Line::plain("done");
    }
    if of.iter().all(|id| state(id) == S::Waiting) && is_over(run) {
        return Line::faint("not touched");
    }
    let untouched = |id: &StepId| matches!(state(id), S::Undone | S::Kept | S::Waiting);
    if is_over(run) && of.iter().all(untouched) {
        return Line::of(Role::Poor, "undone");
    }
    if of.iter().all(|id| state(id) == S::Waiting) {
        return Line::faint("waiting");
    }
    Line::of(Role::Poor, "in part")
}

/// What users noticed, in one line.
fn users_line(run: &RunStory) -> Line<'static> {
    match (tap(run), served_line(run)) {
        (Some(tap), _) => tap.line(run),
        (None, Some(served)) => Line::faint("requests are not measured in this run, ").join(served),
        (None, None) => Line::faint("not measured in this run"),
    }
}

fn user_lines(run: &RunStory, width: usize) -> Vec<Line<'static>> {
    let mut lines = users_line(run).wrap(width, 2);
    if tap(run).is_none() {
        return lines;
    }
    for request in run.requests.iter().rev().take(REQUESTS_SHOWN) {
        lines.push(Line::of(Role::Bad, failed_request(request)));
    }
    if let Some(floor) = run.brief.as_ref().and_then(|brief| brief.floor.as_ref()) {
        let text = format!(
            "planned: at least {} of {} serve all the time",
            floor.serving_min, floor.of
        );
        lines.push(Line::faint(text));
    }
    lines
}

/// `12:01:20Z bad status 502 from server-2 after 12 ms`
fn failed_request(request: &Value) -> String {
    let text = |key: &str| request.get(key).and_then(Value::as_str).map(Clean::line);
    let number = |key: &str| request.get(key).and_then(Value::as_u64);
    let mut said = number("at").map_or(String::new(), |at| Timestamp(at).clock());
    if let Some(failure) = text("failure") {
        let _ = write!(said, " {}", failure.replace('_', " "));
    }
    if let Some(status) = number("status") {
        let _ = write!(said, " {status}");
    }
    if let Some(replica) = text("replica") {
        let _ = write!(said, " from {replica}");
    }
    if let Some(ms) = number("latency_ms") {
        let _ = write!(said, " after {ms} ms");
    }
    said
}

/// The steps under their replicas; the current one stays in sight.
fn steps(canvas: &mut Canvas<'_>, area: Rect, model: &Model, run: &RunStory) {
    let mut lines = Vec::new();
    let mut at = 0;
    let current = run.last_step();
    let mut group = None;
    for id in run.plan.ids() {
        let step = run.plan.step(id);
        if group != Some(&step.group) && !step.group.is_empty() {
            lines.push(
                Line::of(Role::Accent, step.group.to_string())
                    .text("  ")
                    .join(part_of(run, &step.group)),
            );
        }
        group = Some(&step.group);
        if current == Some(id) {
            at = lines.len();
        }
        lines.push(step_line(canvas, model, run, id, current == Some(id)));
    }
    let height = usize::from(area.height);
    let first = match model.list().scroll_detail {
        0 => first_seen(lines.len(), at, height),
        scroll => usize::from(scroll).min(lines.len().saturating_sub(height)),
    };
    canvas.lines(area, &lines[first.min(lines.len())..]);
}

fn step_line(
    canvas: &Canvas<'_>,
    model: &Model,
    run: &RunStory,
    id: StepId,
    here: bool,
) -> Line<'static> {
    use StepState as S;
    let state = run.state.record(id).state;
    let story = run.steps.get(id.index());
    let health = match state {
        S::Waiting | S::Skipped | S::Kept => Health::None,
        S::Ready | S::Running | S::Undoing => Health::Busy,
        S::Done => Health::Good,
        S::Undone | S::Interrupted | S::UndoInterrupted => Health::Poor,
        S::Doubted | S::Unclear => Health::Unknown,
        S::Failed | S::UndoFailed => Health::Bad,
    };
    let took = story.and_then(|story| {
        let began = story.started_at?;
        let end = story.ended_at.unwrap_or(match run.state.phase() {
            Phase::Ended(_) => run.state.now(),
            _ => model.now,
        });
        Some(span(end.since(began)))
    });
    let pointer = if here { "▸" } else { " " };
    let sign = match state {
        S::Waiting => Line::faint(canvas.sign(Health::None).to_owned()),
        _ => Line::of(role(health), canvas.sign(health)),
    };
    let title = run.plan.step(id).title.to_string();
    let mut line = Line::of(Role::Accent, pointer)
        .dim(format!("{:>3} ", id.index() + 1))
        .join(sign)
        .text(" ")
        .add(
            if state == S::Waiting {
                Role::Dim
            } else {
                Role::Text
            },
            title,
        );
    if !matches!(state, S::Waiting | S::Done | S::Running) {
        line = line.add(role(health).max(Role::Text), format!("  {state}"));
    }
    match took {
        Some(took) => line.dim(format!("  {took}")),
        None => line,
    }
}

/// `3 ms`, `2.2 s`, `1m12s`
fn span(span: Duration) -> String {
    match span.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        ms @ 1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => Age(span).to_string(),
    }
}

/// The newest lines, at the bottom.
fn log(canvas: &mut Canvas<'_>, area: Rect, model: &Model, run: &RunStory) {
    let height = usize::from(area.height);
    let first = run.lines.len().saturating_sub(height);
    let lines: Vec<Line<'_>> = run
        .lines
        .iter()
        .skip(first)
        .flat_map(|line| {
            let role = match line.weight {
                Weight::Quiet => Role::Text,
                Weight::Notable => Role::Accent,
                Weight::Loud => Role::Bad,
            };
            let shown = Line::faint(format!("{} ", words::moment(model, line.at)))
                .add(role, line.text.as_str());
            // What went wrong is read to its end; the rest where there is room.
            if line.weight == Weight::Loud || area.height >= LOG_HIGH {
                shown.wrap(usize::from(area.width), 10)
            } else {
                vec![shown]
            }
        })
        .collect();
    let first = lines.len().saturating_sub(height);
    canvas.lines(area, &lines[first..]);
}
