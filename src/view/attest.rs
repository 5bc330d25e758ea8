//! Over the checklist: a signature that is being written, and one item for a whole room.

use ratatui::layout::{Position, Rect};

use super::canvas::{Canvas, rows_of};
use super::frame;
use super::line::Line;
use super::overlays::{middle, over};
use super::theme::Role;
use super::words::columns;
use crate::app::{Attest, Listed, Model, Present, Saying, Step};
use crate::checklist::{Call, Item, Judged, PartState, Phase, State};
use crate::domain::{Age, Clean, Health};

const WIDTH: u16 = 92;

/// What a state is to the eye.
pub(super) fn health(state: State) -> Health {
    match state {
        State::Proven | State::Signed => Health::Good,
        State::Waived => Health::Poor,
        State::Dropped => Health::None,
        State::Failed => Health::Bad,
        State::Open | State::HalfSigned => Health::None,
        State::Unproven
        | State::Expired
        | State::Changed
        | State::Unreadable
        | State::CouldNotRun => Health::Unknown,
    }
}

pub(super) fn call_health(call: Call) -> Health {
    match call {
        Call::Go => Health::Good,
        Call::NoGo => Health::Bad,
        Call::CouldNotTell => Health::Unknown,
    }
}

/// Who answers for an item: its owner, else its phase's, else that of a phase around it.
pub(super) fn owner<'a>(page: &'a Listed, phase: &'a Phase, item: &'a Item) -> Option<&'a Clean> {
    const NAMES: [&str; 3] = ["owner", "assignee", "responsible"];
    let mut up = Some(phase);
    if let Some(own) = NAMES.iter().find_map(|name| item.field(name)) {
        return Some(own);
    }
    while let Some(phase) = up {
        if let Some(theirs) = NAMES.iter().find_map(|name| phase.field(name)) {
            return Some(theirs);
        }
        up = phase.parent.and_then(|index| page.list.phases.get(index));
    }
    None
}

pub(super) fn attest(
    canvas: &mut Canvas<'_>,
    area: Rect,
    model: &Model,
    attest: &Attest,
) -> Option<Position> {
    let (title, note) = match attest.saying {
        Saying::Sign => ("Sign", "on record, under your name, for these words"),
        Saying::Waive => ("Waive", "on record: we go on without it until that day"),
    };
    let inside = over(
        canvas,
        middle(area, WIDTH, 11),
        Line::of(Role::Title, title).text(format!("  {}", attest.title)),
        &Line::faint(note),
    );
    let word = attest.item.0.as_str();
    let mut rows = Vec::new();
    if attest.saying == Saying::Waive {
        rows.push((Step::Until, "until, the last day", attest.until.as_str()));
    }
    rows.push((
        Step::Reason,
        "what was seen, and why",
        attest.reason.as_str(),
    ));
    rows.push((Step::Word, "the item's name", ""));
    let mut cursor = None;
    let mut places = rows_of(inside);
    for (step, name, value) in rows {
        let row = places.next()?;
        let mark = if step == attest.at { "> " } else { "  " };
        let used = canvas.line(
            row,
            &Line::of(Role::Accent, mark).text(format!("{name:<24}")),
        );
        let rest = Rect {
            x: row.x + used,
            width: row.width.saturating_sub(used),
            ..row
        };
        if step == attest.at {
            let field = model.field.as_ref();
            cursor = field.map(|field| frame::field_line(canvas, rest, field));
        } else {
            canvas.line(rest, &Line::plain(value.to_owned()));
        }
    }
    places.next();
    let mut below = vec![
        Line::faint("type ")
            .add(Role::Key, word.to_owned())
            .dim(" to say it; Esc says nothing"),
    ];
    if attest.second {
        below.push(Line::faint(
            "A second person has to sign too: your own two signatures are one.",
        ));
    }
    for (row, line) in places.zip(&below) {
        canvas.line(row, line);
    }
    cursor
}

/// One item, large, with who speaks and how late it is.
pub(super) fn present(canvas: &mut Canvas<'_>, area: Rect, model: &Model, present: &Present) {
    let Some(page) = model.checklists.page(&present.list) else {
        return;
    };
    let Some((phase, item)) = page.list.find_id(&present.item.0) else {
        return;
    };
    let (at, of) = present.position(&page.list);
    let inside = over(
        canvas,
        area,
        Line::of(Role::Title, page.title().to_string()).dim(format!("  {at} of {of}")),
        &Line::faint("j next  k back  r verify  Esc ends"),
    );
    let judged = page.judge(phase, item, model.shown_at());
    let lines = large(canvas, model, page, &judged, inside.width);
    let clock = clock(model, present, page);
    let height = columns(lines.len());
    let top = inside.height.saturating_sub(height + 2) / 2;
    let body = Rect {
        y: inside.y + top,
        height: inside.height.saturating_sub(top + 1),
        ..inside
    };
    canvas.lines(body, &lines);
    let last = Rect {
        y: inside.y + inside.height.saturating_sub(1),
        height: 1,
        ..inside
    };
    canvas.line(last, &clock);
}

fn large<'a>(
    canvas: &Canvas<'_>,
    model: &Model,
    page: &'a Listed,
    judged: &Judged<'a>,
    width: u16,
) -> Vec<Line<'a>> {
    let wide = usize::from(width).saturating_sub(8).max(20);
    let inset = |lines: Vec<Line<'a>>| {
        let lines = lines.into_iter();
        lines
            .map(|line| Line::plain("    ").join(line))
            .collect::<Vec<_>>()
    };
    let path: Vec<&str> = page
        .list
        .path(judged.phase)
        .into_iter()
        .map(Clean::as_str)
        .collect();
    let mut out = inset(vec![Line::faint(path.join(" > ")), Line::new()]);
    // Wide letters are as large as a terminal gets.
    for line in Line::plain(judged.item.title.to_string()).wrap(wide / 2, 0) {
        let text: String = line.pieces.iter().map(|(_, text)| text.as_ref()).collect();
        let spaced: Vec<String> = text.trim().chars().map(String::from).collect();
        out.extend(inset(vec![
            Line::of(Role::Title, spaced.join(" ")),
            Line::new(),
        ]));
    }
    let state = canvas.verdict(health(judged.state), judged.state.word());
    out.extend(inset(vec![state]));
    out.extend(inset(Line::plain(judged.why.to_string()).wrap(wide, 0)));
    for part in &judged.parts {
        if let (Some(known), PartState::Fresh | PartState::Old) = (part.known, part.state) {
            let age = Age(model.shown_at().since(known.at()));
            let text = format!("seen {age} ago of {}, by {}", Age(part.max_age), known.who);
            out.extend(inset(vec![Line::faint(text)]));
        }
    }
    out.push(Line::new());
    if let Some(owner) = owner(page, judged.phase, judged.item) {
        let line = Line::faint("speaks  ").add(Role::Title, owner.to_string());
        out.extend(inset(vec![line]));
    }
    if let (State::Failed, Some(helps)) = (judged.state, &judged.item.demand.helps) {
        out.extend(inset(vec![Line::faint("helps   ").text(helps.to_string())]));
    }
    out
}

fn clock(model: &Model, present: &Present, page: &Listed) -> Line<'static> {
    let (so_far, all) = present.planned(&page.list);
    let elapsed = model.now.since(present.begun);
    let here = model.now.since(present.since);
    let late = elapsed.as_secs() > u64::from(so_far) * 60;
    let role = if late { Role::Poor } else { Role::Text };
    Line::faint("    elapsed ")
        .add(role, Age(elapsed).to_string())
        .dim(format!(
            " of {so_far}m planned until here, {all}m in all; this item {}",
            Age(here)
        ))
        .add(role, if late { "  late" } else { "" })
}
