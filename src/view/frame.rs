//! The first three lines and the last: they stand on every screen and never scroll.

use ratatui::layout::{Position, Rect};
use unicode_width::UnicodeWidthStr;

use super::canvas::{Canvas, role, small_sign};
use super::line::Line;
use super::theme::Role;
use super::{Glance, panels, plan, replay, training, words};
use crate::app::{
    Field, FieldUse, Intent, Mode, Model, Overlay, Pane, Screen, Selection, answers, current,
    run_health, run_on, suiting,
};
use crate::domain::{Environment, Freshness, Health, SourceKind, Subject, Timestamp};
use crate::keys;

/// Draws header and footer; returns what is between them, and the cursor of a field in the footer.
pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    area: Rect,
    model: &Model,
    glance: &Glance,
) -> (Rect, Option<Position>) {
    let area = match striped(model, area.width) {
        Some(striped) => stripes(canvas, area, &striped),
        None => area,
    };
    let row = |y| Rect {
        y,
        height: 1,
        ..area
    };
    header(canvas, row(area.y), model);
    tabs(canvas, row(area.y + 1), model);
    status(canvas, row(area.y + 2), model, glance);
    let cursor = footer(canvas, row(area.bottom() - 1), model);
    let body = Rect {
        y: area.y + 3,
        height: area.height - 4,
        ..area
    };
    (body, cursor)
}

pub(super) fn is_training(model: &Model) -> bool {
    model.session.mode == Mode::Training || model.shown().stack.environment == Environment::Training
}

/// Bars above and below a screen that does not show production as it is now.
struct Striped {
    role: Role,
    /// What the bars are made of: told apart without colour.
    stripe: &'static str,
    above: String,
    below: String,
}

fn striped(model: &Model, width: u16) -> Option<Striped> {
    let room = width.saturating_sub(8);
    if let Some(recording) = &model.replay {
        return Some(Striped {
            role: Role::Frozen,
            stripe: "<",
            above: replay::banner(model, recording, room),
            below: replay::bar(model, recording, room),
        });
    }
    if !is_training(model) {
        return None;
    }
    let above = " TRAINING: nothing here is production ".to_owned();
    Some(Striped {
        role: Role::Training,
        stripe: "/",
        below: training::bar(model, room).unwrap_or_else(|| above.clone()),
        above,
    })
}

/// Practice and the past cannot be mistaken for production.
fn stripes(canvas: &mut Canvas<'_>, area: Rect, striped: &Striped) -> Rect {
    let style = canvas.style(striped.role);
    for (y, words) in [
        (area.y, &striped.above),
        (area.bottom() - 1, &striped.below),
    ] {
        for x in area.x..area.right() {
            canvas.symbol(x, y, striped.stripe, style);
        }
        let width = words::columns(words.width());
        if area.width > width + 8 {
            canvas.put(area.x + (area.width - width) / 2, y, width, words, style);
        }
    }
    Rect {
        y: area.y + 1,
        height: area.height - 2,
        ..area
    }
}

/// The loudness of an environment is a role.
pub(super) fn environment(model: &Model) -> (Role, String) {
    let environment = &model.shown().stack.environment;
    let role = match environment {
        Environment::Production => Role::Production,
        Environment::Training => Role::Training,
        Environment::Staging | Environment::Development | Environment::Other(_) => {
            Role::Environment
        }
    };
    (role, environment.word().to_owned())
}

/// Modes as words, the surprising ones loud.
pub(super) fn modes(model: &Model) -> Vec<(Role, String)> {
    let mut all = vec![match model.session.mode {
        Mode::ReadOnly => (Role::Dim, "READ-ONLY".to_owned()),
        Mode::Armed { until } => (
            Role::Armed,
            format!(" ARMED {} ", minutes_left(model, until)),
        ),
        Mode::Training => (Role::Training, " TRAINING ".to_owned()),
        Mode::Replay => (
            Role::Frozen,
            format!(" REPLAY {} ", model.shown_at().clock()),
        ),
    }];
    if let Some(frozen) = &model.frozen {
        all.push((Role::Frozen, format!(" FROZEN at {} ", frozen.at.clock())));
    }
    if model.slow_link {
        all.push((Role::Poor, "SLOW LINK".to_owned()));
    }
    all
}

/// `14 min left`: rounded up, so that a minute that is shown is not over yet.
fn minutes_left(model: &Model, until: Timestamp) -> String {
    format!("{} min left", until.since(model.now).as_secs().div_ceil(60))
}

pub(super) fn stack_name(model: &Model) -> String {
    let name = &model.shown().stack.name;
    if model.is_training() {
        format!("SIM {name}")
    } else {
        name.to_string()
    }
}

fn header(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let (loud, word) = environment(model);
    let mut start = Line::of(loud, format!(" {word} "))
        .text(" ")
        .add(Role::Title, stack_name(model));
    let mut end = Line::new();
    for (role, word) in modes(model) {
        end = end.dim(" │ ").add(role, word);
    }
    let session = &model.session;
    let engine = engine(canvas, model);
    let clock = Line::of(Role::Header, model.shown_at().minute());
    let right = |engine: bool, word: &Line<'static>| {
        if engine {
            word.clone().dim(" │ ").join(clock.clone()).text(" ")
        } else {
            clock.clone().text(" ")
        }
    };
    // Who and where give way first, the mode never does.
    let host = || Line::faint(" │ ").add(Role::Header, session.host.as_str());
    let user = || Line::faint(" │ ").add(Role::Header, session.user.as_str());
    let middles = [host().join(user()), host(), Line::new()];
    let rights = [right(true, &engine), right(false, &engine)];
    let room = usize::from(area.width);
    let fitting = rights.iter().find_map(|right| {
        middles
            .iter()
            .find(|middle| start.width() + middle.width() + end.width() + right.width() < room)
            .map(|middle| (middle.clone(), right.clone()))
    });
    let (middle, right) = fitting.unwrap_or_default();
    if start.width() + end.width() >= room {
        start = Line::of(loud, format!(" {word} "));
    }
    canvas.line(area, &start.join(middle).join(end));
    canvas.line_right(area, &right);
}

/// The link that everything hangs on: the engine, or else the containers' own source.
fn engine(canvas: &Canvas<'_>, model: &Model) -> Line<'static> {
    let board = model.shown();
    let now = model.shown_at();
    let source = board
        .of_kind(SourceKind::Engine)
        .chain(board.of_kind(SourceKind::Containers))
        .next();
    let Some((_, watched)) = source else {
        return Line::faint("no engine");
    };
    let word = match watched.freshness(now) {
        Freshness::Fresh | Freshness::Old(_) => match watched.health(now) {
            Health::Good | Health::None => "ok ",
            other => {
                return Line::faint("engine ")
                    .join(canvas.verdict(other, other.word()))
                    .text(" ")
                    .join(words::age(watched, now));
            }
        },
        Freshness::Never | Freshness::Stale(_) => "",
    };
    Line::faint(format!("engine {word}")).join(words::age(watched, now))
}

/// Short names for eighty columns.
fn short(screen: Screen) -> &'static str {
    match screen {
        Screen::Overview => "Over",
        Screen::Containers => "Cont",
        Screen::Traffic => "Traf",
        Screen::Certificates => "Cert",
        Screen::Backups => "Bkup",
        Screen::Checklist => "Chk",
        Screen::Runs => "Run",
        Screen::Logs => "Log",
        Screen::Journal => "Jour",
    }
}

fn tabs(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    const LONG: usize = 110;
    let concerns = model.shown().concerns(model.shown_at());
    let mut line = Line::new();
    for screen in Screen::ALL {
        let name = if usize::from(area.width) >= LONG {
            screen.word()
        } else {
            short(screen)
        };
        let worst = concerns
            .iter()
            .filter(|concern| screen_of(concern.subject) == screen)
            .filter(|concern| concern.freshness.age.is_some() || concern.health == Health::Bad)
            .map(|concern| concern.health)
            .max()
            .unwrap_or(Health::None)
            .max(runs_health(model, screen));
        let word = format!("{} {name}", screen.digit());
        line = if screen == model.screen {
            line.add(Role::TabActive, format!("[{word}]"))
        } else {
            line.add(Role::Tab, format!(" {word}"))
        };
        let sign = small_sign(worst, canvas.look.charset);
        line = line.add(role(worst), sign).text(" ");
    }
    canvas.line(area, &line);
}

/// Of the tab of runs: loud while one waits for a person or has nobody.
fn runs_health(model: &Model, screen: Screen) -> Health {
    match (screen, run_on(model)) {
        (Screen::Runs, Some(run)) => run_health(model.story.standing(run, model.now)),
        _ => Health::None,
    }
}

/// The screen that shows a subject in full.
pub(super) fn screen_of(subject: Subject) -> Screen {
    match subject {
        Subject::Engine | Subject::Alerts | Subject::Host => Screen::Overview,
        Subject::Containers => Screen::Containers,
        Subject::Traffic | Subject::Endpoints => Screen::Traffic,
        Subject::Certificates => Screen::Certificates,
        Subject::Backups => Screen::Backups,
    }
}

fn status(canvas: &mut Canvas<'_>, area: Rect, model: &Model, glance: &Glance) {
    if let Some(Overlay::Plan(sheet)) = &model.overlay {
        canvas.line(area, &plan::banner(model, sheet));
        return;
    }
    let area = match panels::runs::banner(canvas, model, area.width) {
        // On its own screen the run is what matters most; elsewhere it stands beside the rest.
        Some(run) if model.screen == Screen::Runs => {
            canvas.line(area, &run);
            return;
        }
        Some(run) => {
            let width = canvas.line_right(area, &run);
            Rect {
                width: area.width.saturating_sub(width),
                ..area
            }
        }
        None => area,
    };
    let line = Line::plain(" ").join(counts(canvas, glance));
    let used = canvas.line(area, &line);
    let Some(worst) = glance.findings.first() else {
        return;
    };
    let rest = Rect {
        x: area.x + used,
        width: area.width - used,
        ..area
    };
    let tail = Line::faint(format!(
        "  {}  ! goes there ",
        words::since(model.shown_at(), worst.since)
    ));
    let tail_width = words::columns(tail.width());
    let said = Line::faint(" │ worst: ")
        .add(role(worst.health), format!("{} ", worst.about))
        .text(worst.text.as_str());
    if rest.width > tail_width + 30 {
        canvas.line(
            Rect {
                width: rest.width - tail_width,
                ..rest
            },
            &said,
        );
        canvas.line_right(rest, &tail);
    } else {
        canvas.line(rest, &said);
    }
}

/// `✖ 1 bad  ▲ 2 poor  ? 1 unknown`, or that nothing is abnormal, or that we are still looking.
pub(super) fn counts(canvas: &Canvas<'_>, glance: &Glance) -> Line<'static> {
    if glance.seen == 0 {
        return Line::of(Role::Busy, words::LOOKING).dim(if glance.sources == 0 {
            " nothing is watched yet"
        } else {
            " nothing has been seen yet"
        });
    }
    let mut line = Line::new();
    for health in [Health::Bad, Health::Poor, Health::Unknown, Health::Busy] {
        let n = glance.count(health);
        if n > 0 {
            let gap = if line.pieces.is_empty() { "" } else { "  " };
            let word = format!("{gap}{} {n} {}", canvas.sign(health), health.word());
            line = line.add(role(health), word);
        }
    }
    if !glance.findings.is_empty() {
        return line;
    }
    if glance.seen < glance.sources {
        let unseen = glance.sources - glance.seen;
        return Line::of(Role::Busy, words::LOOKING).dim(format!(
            " {unseen} of {} sources not seen yet",
            glance.sources
        ));
    }
    canvas
        .verdict(Health::Good, "nothing is abnormal")
        .dim(format!(
            "   {} of {} sources seen",
            glance.seen, glance.sources
        ))
}

fn footer(canvas: &mut Canvas<'_>, area: Rect, model: &Model) -> Option<Position> {
    if let Some(field) = &model.field
        && field.is_in_footer()
    {
        return Some(field_line(canvas, area, field));
    }
    if let Some((_, health, text)) = &model.notice {
        let mut line = Line::plain(" ");
        if *health != Health::None {
            line = line.join(canvas.verdict(*health, ""));
        }
        canvas.line(
            area,
            &line.add(role(*health).max(Role::Text), text.as_str()),
        );
        return None;
    }
    hints(canvas, area, model);
    None
}

/// A text field in one row, with its prompt; returns where the cursor stands.
pub(super) fn field_line(canvas: &mut Canvas<'_>, area: Rect, field: &Field) -> Position {
    let prompt = match field.purpose {
        FieldUse::Palette => " : ",
        FieldUse::Filter => " / filter: ",
        FieldUse::Help => " / search help: ",
        FieldUse::Reason => " why (it is recorded): ",
        FieldUse::Answer => "> ",
        FieldUse::Word => "  > ",
    };
    let hint = match field.purpose {
        FieldUse::Word => Line::faint("  paste is ignored here "),
        FieldUse::Answer => Line::faint("  Tab choice  Enter accept "),
        _ => Line::faint("  Enter accept  Esc clear "),
    };
    let room = usize::from(area.width)
        .saturating_sub(prompt.len() + 1)
        .max(1);
    let room = if room > hint.width() + 20 && field.purpose != FieldUse::Palette {
        canvas.line_right(area, &hint);
        room - hint.width()
    } else {
        room
    };
    let input = &field.input;
    let skipped = input.visual_scroll(room);
    let shown = skip_columns(input.value(), skipped);
    let prompt_width = words::columns(prompt.len());
    canvas.line(area, &Line::of(Role::Key, prompt));
    let style = canvas.style(Role::Text);
    canvas.put(
        area.x + prompt_width.min(area.width),
        area.y,
        words::columns(room).min(area.width.saturating_sub(prompt_width)),
        crate::domain::text::fit(shown, room),
        style,
    );
    let at = words::columns(input.visual_cursor().saturating_sub(skipped));
    Position {
        x: (area.x + prompt_width)
            .saturating_add(at)
            .min(area.right().saturating_sub(1)),
        y: area.y,
    }
}

/// The text without its first columns.
fn skip_columns(text: &str, columns: usize) -> &str {
    let skipped = crate::domain::text::fit(text, columns);
    &text[skipped.len()..]
}

/// Keys that mean nothing while no run is on.
fn is_about_a_run(intent: &Intent) -> bool {
    matches!(
        intent,
        Intent::Abort | Intent::Pause | Intent::Undo | Intent::Detach
    )
}

fn is_run_view(model: &Model) -> bool {
    model.context() == model.place() && model.screen == Screen::Runs && model.pane == Pane::Detail
}

/// Whether the run on the screen waits for an answer.
fn asks(model: &Model) -> bool {
    current(model).is_some_and(|run| !answers(model, run).is_empty())
}

/// Letters of runbooks that suit the row under the cursor.
fn letters(model: &Model) -> Vec<(char, String)> {
    if model.context() != model.place() || model.offers.is_empty() {
        return Vec::new();
    }
    let subject = Selection::of(model);
    suiting(model, &subject)
        .into_iter()
        .filter_map(|offer| Some((offer.key?, offer.id.to_string())))
        .collect()
}

/// Keys that work here, in the order of the table; help and the way back are never left out.
fn hints(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let mut bindings: Vec<_> = keys::working(model.context())
        .filter(|binding| !binding.hint.is_empty())
        .filter(|binding| !is_about_a_run(&binding.intent) || run_on(model).is_some())
        .filter(|binding| binding.intent != Intent::Open || !is_run_view(model) || asks(model))
        .collect();
    // In the view of a run, what can be done about it stands before what can be looked at.
    if is_run_view(model) {
        bindings.sort_by_key(|binding| !is_about_a_run(&binding.intent));
    }
    let takes = |hint: &str| hint.width() + 2;
    let must = |intent: &Intent| matches!(intent, Intent::Help | Intent::Leave | Intent::Back);
    let mut room = usize::from(area.width).saturating_sub(
        1 + bindings
            .iter()
            .filter(|binding| must(&binding.intent))
            .map(|binding| takes(binding.hint))
            .sum::<usize>(),
    );
    let mut line = Line::plain(" ");
    if let Some(key) = model.prefix {
        line = line.add(Role::Accent, format!("{key}… "));
    }
    for binding in bindings {
        if !must(&binding.intent) {
            if takes(binding.hint) > room {
                room = 0;
                continue;
            }
            room -= takes(binding.hint);
        }
        let hint = match binding.intent {
            Intent::Open if is_run_view(model) => "Enter answer",
            _ => binding.hint,
        };
        let (key, word) = hint.rsplit_once(' ').unwrap_or((hint, ""));
        line = line.add(Role::Key, key).dim(format!(" {word}  "));
        if binding.intent == Intent::Act {
            for (letter, id) in letters(model) {
                let takes = id.width() + 4;
                if takes <= room {
                    room -= takes;
                    line = line
                        .add(Role::Key, letter.to_string())
                        .dim(format!(" {id}  "));
                }
            }
        }
    }
    canvas.line(area, &line);
}
