//! The runs of runbooks, newest first; and the line that says on every screen that one is on.

use ratatui::layout::Rect;

use super::{cursor, cursor_style, keys, run, seen_note, split};
use crate::app::story::{RunStory, Standing};
use crate::app::{Model, Pane, Recording, Row, Screen, current, rows, run_health, run_on};
use crate::domain::{Age, Health};
use crate::view::canvas::{Canvas, role};
use crate::view::line::Line;
use crate::view::theme::Role;
use crate::view::widgets::panel::{foot, panel};
use crate::view::widgets::table::{Column, Table, column};
use crate::view::words;

const COLUMNS: [Column; 7] = [
    column("state", 20).keep(),
    column("runbook", 18).keep().grow(12),
    column("target", 18).keep().grow(20),
    column("who", 10).grow(6),
    column("when", 17),
    column("took", 7).right(),
    column("users", 24).grow(40),
];

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let rows = rows(model);
    let (list, detail) = split(model, area, area.height / 2);
    let at = cursor(model, &rows);
    if list.height > 0 {
        table(canvas, list, model, &rows, at);
    }
    if detail.height >= 3
        && let Some(Row::Run(chosen)) = rows.get(at)
    {
        run::draw(canvas, detail, model, chosen);
    }
}

fn table(canvas: &mut Canvas<'_>, area: Rect, model: &Model, rows: &[Row<'_>], at: usize) {
    let mut title = Line::of(Role::Title, "Runs").dim(format!("  {}  newest first", rows.len()));
    let filter = &model.list().filter;
    if !filter.is_empty() {
        title = title.add(Role::Accent, format!("  filter: {}", filter.text()));
    }
    let inside = panel(canvas, area, title, &Line::new(), keys(model, Pane::List));
    if rows.is_empty() {
        let lines = nothing(model).into_iter();
        let lines: Vec<Line<'_>> = lines
            .flat_map(|line| line.wrap(usize::from(inside.width), 2))
            .collect();
        canvas.lines(inside, &lines);
        return;
    }
    let sign = |health: Health| canvas.sign(health);
    let seen = {
        let (signs, marks) = (
            [
                Health::None,
                Health::Good,
                Health::Busy,
                Health::Poor,
                Health::Bad,
            ]
            .map(|health| (health, sign(health))),
            &model.list().marks,
        );
        let sign_of = move |health| {
            signs
                .iter()
                .find(|(known, _)| *known == health)
                .map_or("", |(_, sign)| *sign)
        };
        Table {
            columns: &COLUMNS,
            len: rows.len(),
            cursor: Some(cursor_style(model, at)),
            wide: model.wide,
            cell: &|row, column, _| match &rows[row] {
                Row::Run(run) => cell(model, run, column, &sign_of),
                _ => Line::new(),
            },
            marked: &|row| !marks.is_empty() && marks.contains(&rows[row].key()),
        }
        .draw(canvas, inside)
    };
    foot(canvas, area, &seen_note(seen, rows.len()));
}

fn cell(
    model: &Model,
    run: &RunStory,
    column: usize,
    sign: &dyn Fn(Health) -> &'static str,
) -> Line<'static> {
    let standing = model.story.standing(run, model.now);
    let health = run_health(standing);
    match column {
        0 => Line::of(role(health), format!("{} {}", sign(health), loud(standing))),
        1 => Line::plain(run.plan.runbook.to_string()),
        2 => Line::plain(run.plan.target.0.to_string()),
        3 => Line::plain(run.actor.user.to_string()),
        4 => Line::faint(words::date(model, run.asked_at)),
        5 if standing == Standing::Unconfirmed => Line::faint("-"),
        5 => Line::plain(Age(run.took(model.now)).to_string()),
        _ => match run::tap(run) {
            Some(tap) => Line::of(
                if tap.failed == 0 {
                    Role::Text
                } else {
                    Role::Bad
                },
                tap.failed_of(),
            ),
            None => Line::faint("not measured"),
        },
    }
}

/// Trouble is said aloud.
pub(super) fn loud(standing: Standing) -> String {
    let word = standing.word();
    match run_health(standing) {
        Health::Bad => word.to_uppercase(),
        _ => word.to_owned(),
    }
}

/// What an empty list means.
fn nothing(model: &Model) -> Vec<Line<'static>> {
    if !model.list().filter.is_empty() {
        return vec![Line::faint("no row matches the filter; Esc clears it")];
    }
    let first = match &model.record.recording {
        Recording::Closed(why) => Line::of(
            Role::Unknown,
            format!("runs cannot be seen: the journal cannot be read: {why}"),
        ),
        Recording::Opening => Line::faint(words::LOOKING),
        Recording::Open | Recording::ReadOnly(_) => Line::plain("There was no run yet."),
    };
    let how = if model.offers.is_empty() {
        "There are no runbooks here."
    } else {
        "`a` on any screen lists the runbooks for what is selected; each opens its plan."
    };
    vec![first, Line::new(), Line::faint(how)]
}

/// The run that is on, in the third line of every screen; on the screen of runs the one under the cursor.
pub(in crate::view) fn banner(
    canvas: &Canvas<'_>,
    model: &Model,
    width: u16,
) -> Option<Line<'static>> {
    let own = model.screen == Screen::Runs;
    let run = if own {
        current(model).or_else(|| run_on(model))
    } else {
        run_on(model)
    }?;
    let standing = model.story.standing(run, model.now);
    let health = run_health(standing);
    let over = standing.is_over();
    if own && over && run_on(model).is_none() && !model.zoomed {
        return None;
    }
    let tap = run::tap(run).map(|tap| tap.failed_of());
    let short = tap.clone();
    let took = Age(run.took(model.now));
    let steps = run::progress(run);
    let word = canvas.verdict(health, &loud(standing));
    let keys = || {
        let line = Line::of(Role::Key, "A").dim(" abort");
        if own {
            line.text("  ").add(Role::Key, "p").dim(" pause ")
        } else {
            line.text(" ")
        }
    };
    let id = if own {
        format!(" RUN {} ", run.id.0)
    } else {
        " RUN ".to_owned()
    };
    let name = format!("{} {} ", run.plan.runbook, run.plan.target.0);
    let by = format!(" by {} {took}", run.actor.user);
    let users = tap
        .map(|tap| format!(" │ users: {tap}"))
        .unwrap_or_default();
    let end = |line: Line<'static>| {
        if over {
            line.text(" ")
        } else {
            line.dim(" │ ").join(keys())
        }
    };
    // The longest form that leaves the rest its room.
    let room = if own {
        usize::from(width)
    } else {
        usize::from(width) * 3 / 5
    };
    let forms = [
        end(Line::of(Role::Title, id)
            .text(name.clone())
            .join(word.clone())
            .dim(by)
            .dim(" │ ")
            .text(format!("step {steps}"))
            .text(users.clone())),
        end(Line::of(Role::Title, " RUN ")
            .text(name)
            .join(word.clone())
            .dim(" │ ")
            .text(format!("step {steps}"))
            .text(users.clone())),
        end(Line::of(Role::Title, " RUN ")
            .text(format!("{} ", run.plan.runbook))
            .join(word.clone())
            .dim(" │ ")
            .text(steps.clone())
            .text(users)),
        end(Line::of(role(health), format!(" {} ", canvas.sign(health)))
            .text(format!("RUN {} {took} {steps}", run.plan.runbook))
            .text(short.map(|tap| format!(" │ {tap}")).unwrap_or_default())),
        end(Line::of(Role::Title, " RUN ")
            .join(word)
            .dim(" ")
            .text(steps)),
    ];
    let last = forms[forms.len() - 1].clone();
    Some(
        forms
            .into_iter()
            .find(|form| form.width() <= room)
            .unwrap_or(last),
    )
}
