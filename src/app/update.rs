//! The only writer of state.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    Clean, Container, ContainerId, Detail, Finding, Health, LogLine, Sighting, SourceKind, Subject,
    Timestamp,
};

use super::model::NOTICE;
use super::{
    Effect, Event, Field, FieldUse, Frozen, Happening, Intent, LogSource, Model, Overlay, Pane,
    Played, Row, RowKey, Screen, Search, arms, attest, checklists, matching, replay, rows, runs,
    training,
};

/// So many logs are followed at once; more would drown a person and the engine.
const FOLLOWED_MAX: usize = 64;

/// Usage is asked for so many containers at most where each costs the engine a request.
const WANTED_MAX: usize = 128;

/// Two Ctrl-C within this leave at once.
const TWICE: Duration = Duration::from_secs(2);

/// Takes in one event and says what the shell must do.
pub fn update(model: &mut Model, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    // Ten thousand lines a second are no reason to ask ten thousand times what is on screen.
    let moves = !matches!(
        event,
        Event::Logged(_)
            | Event::LogLost(_)
            | Event::Told { .. }
            | Event::Noted { .. }
            | Event::SlowLink(_)
            | Event::Played(Played::Logs(_))
    );
    match event {
        Event::Tick(now) => {
            tick(model, now);
            effects = arms::tick(model);
        }
        Event::Sighted(sighting) => sighted(model, *sighting),
        Event::Logged(lines) => logged(model, lines),
        Event::LogLost(lines) => model.logs.lost += lines,
        Event::Told {
            at,
            health,
            about,
            text,
        } => model.happenings.push(Happening {
            at,
            health,
            about,
            text,
        }),
        Event::Resized { columns, lines } => model.size = super::Size { columns, lines },
        Event::Pasted(text) => pasted(model, &text),
        Event::Noted { health, text } => note(model, health, text),
        Event::Checklists(read) => checklists::read(model, *read),
        Event::Proving(proving) => model.checklists.proving = proving,
        Event::SlowLink(slow) => model.slow_link = slow,
        Event::Trained(news) => {
            if let Some((health, text)) = training::trained(model, news) {
                note(model, health, text);
            }
        }
        Event::Played(news) => {
            replay::played(model, news);
            let now = model.now;
            tick(model, now);
        }
        Event::Intent(intent) => effects = intend(model, intent),
        Event::Journaled(_)
        | Event::Held(_)
        | Event::Recording { .. }
        | Event::Offered(_)
        | Event::Armed { .. }
        | Event::Planned { .. }
        | Event::Started(_) => heard(model, event),
    }
    if moves {
        want(model, &mut effects);
    }
    effects
}

/// What the shell answers, and what the journal says.
fn heard(model: &mut Model, event: Event) {
    match event {
        Event::Journaled(entries) => {
            for entry in entries {
                model.story.take(&entry);
                let mode = checklists::mode(model);
                model.checklists.take(&entry, mode);
                model.record.push(entry);
            }
        }
        Event::Held(holders) => model.story.hold(holders),
        Event::Recording { place, state } => {
            model.record.place = place;
            model.record.recording = state;
        }
        Event::Offered(offers) => model.offers = offers,
        Event::Armed { at, reason } => arms::armed(model, reason, at),
        Event::Planned {
            runbook,
            at,
            result,
        } => arms::planned(model, &runbook, at, result),
        Event::Started(result) => arms::started(model, result),
        _ => {}
    }
}

fn tick(model: &mut Model, now: Timestamp) {
    model.now = model.now.max(now);
    if model
        .notice
        .as_ref()
        .is_some_and(|(until, ..)| *until <= model.felt_now())
    {
        model.notice = None;
    }
}

pub(super) fn note(model: &mut Model, health: Health, text: impl Into<Clean>) {
    model.notice = Some((model.felt_now().plus(NOTICE), health, text.into()));
}

fn sighted(model: &mut Model, sighting: Sighting) {
    model.now = model.now.max(sighting.at);
    model.history.take(&sighting);
    tell_changes(model, &sighting);
    model.board.take(sighting);
}

/// Writes down what is different from what was last seen.
fn tell_changes(model: &mut Model, sighting: &Sighting) {
    let before = model.board.sources.get(&sighting.source);
    let Some(before) = before.and_then(|watched| watched.reading()) else {
        return;
    };
    let at = sighting.at;
    let mut told = Vec::new();
    match (&sighting.result, &before.detail) {
        (Ok(after), Detail::Containers(old)) => {
            let Detail::Containers(new) = &after.detail else {
                return;
            };
            tell_containers(&mut told, &old.all, &new.all, at);
        }
        (Ok(after), _)
            if after.health != before.health && sighting.source.kind != SourceKind::Usage =>
        {
            told.push(Happening {
                at,
                health: after.health,
                about: sighting.source.name.clone(),
                text: Clean::line(&format!(
                    "{} {} -> {}: {}",
                    sighting.source.kind.word(),
                    before.health.word(),
                    after.health.word(),
                    after.summary
                )),
            });
        }
        (Err(fault), _)
            if model
                .board
                .sources
                .get(&sighting.source)
                .is_some_and(|watched| watched.fault.is_none()) =>
        {
            told.push(Happening {
                at,
                health: Health::Unknown,
                about: sighting.source.name.clone(),
                text: Clean::line(&format!(
                    "{} cannot be seen: {}",
                    sighting.source.kind.word(),
                    fault.text
                )),
            });
        }
        _ => {}
    }
    for happening in told {
        model.happenings.push(happening);
    }
}

fn tell_containers(told: &mut Vec<Happening>, old: &[Container], new: &[Container], at: Timestamp) {
    let mut say = |health, container: &Container, text: String| {
        told.push(Happening {
            at,
            health,
            about: container.replica(),
            text: Clean::line(&text),
        });
    };
    let before: BTreeMap<&ContainerId, &Container> = by_id(old);
    for after in new {
        match before.get(&after.id) {
            None => say(
                after.health().max(Health::None),
                after,
                format!("new container, {}", after.state.word()),
            ),
            Some(before) if before.state != after.state || before.check != after.check => {
                let words = crate::domain::board::state_in_words(after);
                say(
                    after.health(),
                    after,
                    format!("{} -> {words}", before.state.word()),
                );
            }
            Some(before)
                if before.restarts != after.restarts || before.started_at != after.started_at =>
            {
                say(
                    after.health().max(Health::Poor),
                    after,
                    format!("restarted ({} times)", after.restarts),
                );
            }
            Some(_) => {}
        }
    }
    let after = by_id(new);
    for before in old.iter().filter(|before| !after.contains_key(&before.id)) {
        say(Health::Poor, before, "container removed".to_owned());
    }
}

fn by_id(all: &[Container]) -> BTreeMap<&ContainerId, &Container> {
    all.iter()
        .map(|container| (&container.id, container))
        .collect()
}

fn logged(model: &mut Model, lines: Vec<LogLine>) {
    for line in lines {
        // A line that was under way when the selection moved on belongs to nobody any more.
        if line
            .container
            .as_ref()
            .is_none_or(|id| model.followed.contains(id))
        {
            model.logs.push(line);
        }
    }
}

fn pasted(model: &mut Model, text: &Clean) {
    match &mut model.field {
        Some(field) if field.purpose == FieldUse::Word => note(
            model,
            Health::Poor,
            "paste is ignored here: type the name, letter by letter",
        ),
        Some(field) => {
            for c in text.chars() {
                field.edit(&Intent::Type(c));
            }
            field_changed(model);
        }
        None => note(
            model,
            Health::None,
            "pasted text is ignored here: keys do not come from the clipboard",
        ),
    }
}

fn intend(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let prefix = model.prefix.take();
    if intent != Intent::Worst {
        model.worst_seen = 0;
    }
    if matches!(intent, Intent::Type(_)) && arms::is_deaf(model) {
        return Vec::new();
    }
    if model
        .field
        .as_mut()
        .is_some_and(|field| field.edit(&intent))
    {
        field_changed(model);
        return Vec::new();
    }
    if let Some(effects) = training::overlaid(model, &intent) {
        return effects;
    }
    if let Some(effects) = overlaid(model, &intent) {
        return effects;
    }
    let noticed = training::notice(model, &intent);
    let mut effects = carry_out(model, intent, prefix);
    effects.extend(noticed);
    effects
}

fn carry_out(model: &mut Model, intent: Intent, prefix: Option<char>) -> Vec<Effect> {
    match intent {
        Intent::Go(screen) => go(model, screen),
        Intent::NextPane | Intent::PreviousPane => {
            model.pane = match model.pane {
                Pane::List => Pane::Detail,
                Pane::Detail => Pane::List,
            };
        }
        Intent::Down(_)
        | Intent::Up(_)
        | Intent::HalfDown
        | Intent::HalfUp
        | Intent::PageDown
        | Intent::PageUp
        | Intent::Top
        | Intent::Bottom => travel(model, &intent),
        Intent::Left | Intent::Right => scroll_detail(model, &intent),
        Intent::Open if model.screen == Screen::Runs && model.pane == Pane::Detail => {
            runs::ask(model);
        }
        Intent::Open => open(model),
        Intent::Arm => return arms::arm(model, ""),
        Intent::Disarm => return arms::disarm(model),
        Intent::Act if model.screen == Screen::Checklist => return checklists::act(model),
        Intent::Act => arms::menu(model),
        Intent::ProveAll => return attest::prove(model, true),
        Intent::Recheck if model.screen == Screen::Checklist => return attest::prove(model, false),
        Intent::Attest(saying) => attest::begin(model, saying),
        Intent::OnlyOpen => attest::only_open(model),
        Intent::Present => attest::present(model),
        Intent::Plan(id) => return arms::open(model, &id, &BTreeMap::new()),
        Intent::Abort | Intent::Pause | Intent::Undo => return runs::intend(model, &intent),
        Intent::Detach => runs::detach(model),
        Intent::Leave if at_root(model) => model.overlay = Some(Overlay::Leave),
        Intent::Back | Intent::Leave => back(model),
        Intent::Quit => return leave(model),
        Intent::Interrupt => return interrupt(model),
        Intent::Help => {
            model.overlay = Some(Overlay::Help {
                scroll: 0,
                search: Clean::default(),
            });
        }
        Intent::Palette => {
            model.field = Some(Field::new(FieldUse::Palette, ""));
            model.overlay = Some(Overlay::Palette { selected: 0 });
        }
        Intent::Filter => {
            let text = current_search(model).text().to_owned();
            model.field = Some(Field::new(FieldUse::Filter, &text));
        }
        Intent::NextMatch => find(model, Direction::Newer),
        Intent::PreviousMatch => find(model, Direction::Older),
        Intent::Worst => worst(model),
        Intent::Mark
        | Intent::UnmarkAll
        | Intent::Sort
        | Intent::Wide
        | Intent::Wrap
        | Intent::Zoom
        | Intent::Times
        | Intent::Follow
        | Intent::Level(_)
        | Intent::NextSource
        | Intent::WindowShorter
        | Intent::WindowLonger
        | Intent::Freeze
        | Intent::OwnLog => adjust(model, &intent),
        Intent::Logs => logs_of_selection(model),
        Intent::Copy
        | Intent::Save
        | Intent::Recheck
        | Intent::Redraw
        | Intent::Suspend
        | Intent::Theme(_)
        | Intent::NextTheme => return ask(model, intent),
        // `g` was pressed twice: the first one is the prefix of this one.
        Intent::Prefix('g') if prefix == Some('g') => travel(model, &Intent::Top),
        Intent::Prefix(key) => model.prefix = Some(key),
        Intent::Hint | Intent::Diagnose | Intent::GiveUp | Intent::RestartScenario => {
            return training::intend(model, &intent);
        }
        Intent::Playback(playback) => return replay::intend(model, playback),
        Intent::Type(_)
        | Intent::Erase
        | Intent::EraseWord
        | Intent::EraseAll
        | Intent::CursorLeft
        | Intent::CursorRight
        | Intent::CursorStart
        | Intent::CursorEnd
        | Intent::Submit
        | Intent::Yes => {}
    }
    Vec::new()
}

/// Intents that change how something is shown, and nothing else.
fn adjust(model: &mut Model, intent: &Intent) {
    match intent {
        Intent::Mark => mark(model),
        Intent::UnmarkAll => model.list_mut().marks.clear(),
        Intent::Sort => {
            let list = model.list_mut();
            list.sort = list.sort.next();
            let word = list.sort.word();
            note(model, Health::None, format!("sorted by {word}"));
        }
        Intent::Wide => model.wide = !model.wide,
        Intent::Wrap => model.log_view.wrap = !model.log_view.wrap,
        Intent::Zoom => model.zoomed = !model.zoomed,
        Intent::Times => {
            model.times = match model.times {
                super::Times::Utc => super::Times::Ago,
                super::Times::Ago => super::Times::Utc,
            };
        }
        Intent::Follow => {
            model.log_view.follow = !model.log_view.follow;
            model.log_view.bottom = if model.log_view.follow {
                None
            } else {
                newest_line(model)
            };
        }
        Intent::Level(level) => model.log_view.level = *level,
        Intent::NextSource => next_source(model),
        Intent::WindowShorter => model.window = model.window.shorter(),
        Intent::WindowLonger => model.window = model.window.longer(),
        Intent::Freeze => freeze(model),
        Intent::OwnLog => model.overlay = Some(Overlay::OwnLog),
        _ => {}
    }
}

/// Intents that the shell carries out.
fn ask(model: &mut Model, intent: Intent) -> Vec<Effect> {
    match intent {
        Intent::Copy => copy(model),
        Intent::Save => vec![Effect::Save],
        Intent::Recheck if model.replay.is_some() => {
            let text = "this is a recording: what was not looked at then cannot be looked at now";
            note(model, Health::None, text);
            Vec::new()
        }
        Intent::Recheck => {
            note(
                model,
                Health::None,
                "looking at everything again (reads only)",
            );
            vec![Effect::Recheck(None)]
        }
        Intent::Redraw => vec![Effect::Redraw],
        Intent::Suspend => vec![Effect::Suspend],
        Intent::Theme(name) => theme(model, name),
        Intent::NextTheme => {
            let at = model
                .themes
                .iter()
                .position(|theme| *theme == model.theme)
                .map_or(0, |at| at + 1);
            match model.themes.get(at % model.themes.len().max(1)).cloned() {
                Some(name) => theme(model, name),
                None => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// Keys while something lies over the screen; `None` lets the screen have the intent.
fn overlaid(model: &mut Model, intent: &Intent) -> Option<Vec<Effect>> {
    if matches!(model.overlay, Some(Overlay::Plan(_))) {
        return arms::plan_key(model, intent)
            .or_else(|| matches!(intent, Intent::Interrupt).then(|| interrupt(model)));
    }
    if model.field.is_some() {
        return field_key(model, intent);
    }
    match (model.overlay.as_mut()?, intent) {
        (_, Intent::Redraw | Intent::Suspend | Intent::Save | Intent::Freeze) => None,
        (_, Intent::Interrupt) => Some(interrupt(model)),
        (Overlay::Menu { .. }, _) => Some(arms::menu_key(model, intent)),
        (Overlay::Present(_), _) => Some(attest::present_key(model, intent)),
        (Overlay::Answers { .. }, _) => Some(runs::answer_key(model, intent)),
        (Overlay::Sure(sure), Intent::Yes) => {
            let sure = sure.clone();
            Some(runs::decided(model, &sure))
        }
        (Overlay::Leave, Intent::Quit | Intent::Leave | Intent::Open | Intent::Submit) => {
            Some(leave(model))
        }
        (Overlay::Help { scroll, .. }, Intent::Down(n)) => {
            *scroll = scroll.saturating_add(*n);
            Some(Vec::new())
        }
        (Overlay::Help { scroll, .. }, Intent::Up(n)) => {
            *scroll = scroll.saturating_sub(*n);
            Some(Vec::new())
        }
        (Overlay::Help { search, .. }, Intent::Filter) => {
            model.field = Some(Field::new(FieldUse::Help, search));
            Some(Vec::new())
        }
        // A screen's digit leaves the help for that screen: nobody should be trapped in a page of text.
        (Overlay::Help { .. }, Intent::Go(screen)) => {
            let screen = *screen;
            model.overlay = None;
            go(model, screen);
            Some(Vec::new())
        }
        (_, Intent::Back | Intent::Leave | Intent::Help | Intent::Open | Intent::OwnLog) => {
            model.overlay = None;
            Some(Vec::new())
        }
        _ => Some(Vec::new()),
    }
}

fn field_key(model: &mut Model, intent: &Intent) -> Option<Vec<Effect>> {
    let asks_why = is_asking_why(model);
    match (intent, model.overlay.as_mut()) {
        (Intent::Submit | Intent::Open, Some(Overlay::Palette { selected })) => {
            let typed = model
                .field
                .as_ref()
                .map(|field| field.text().to_owned())
                .unwrap_or_default();
            let chosen = *selected;
            model.field = None;
            model.overlay = None;
            Some(run_command(model, &typed, chosen))
        }
        (Intent::Redraw | Intent::Suspend, _) => None,
        (Intent::Interrupt, _) => Some(interrupt(model)),
        (_, Some(Overlay::Form(_))) => Some(arms::form_key(model, intent)),
        (_, Some(Overlay::Attest(_))) => Some(attest::key(model, intent)),
        (Intent::Submit, _) if asks_why => {
            let reason = model.field.take().map(|field| field.text().to_owned());
            let reason = reason.filter(|reason| !reason.trim().is_empty());
            let Some(reason) = reason else {
                note(model, Health::Poor, "not armed: a reason is needed");
                return Some(Vec::new());
            };
            Some(arms::arm(model, &reason))
        }
        (Intent::Submit | Intent::Open, _) => {
            model.field = None;
            Some(Vec::new())
        }
        (Intent::Down(_), Some(Overlay::Palette { selected })) => {
            *selected = selected.saturating_add(1);
            Some(Vec::new())
        }
        (Intent::Up(_), Some(Overlay::Palette { selected })) => {
            *selected = selected.saturating_sub(1);
            Some(Vec::new())
        }
        (Intent::Back | Intent::Leave, overlay) => {
            let palette = matches!(overlay, Some(Overlay::Palette { .. }));
            let purpose = model.field.take().map(|field| field.purpose);
            if palette {
                model.overlay = None;
            } else if purpose == Some(FieldUse::Filter) {
                set_search(model, "");
            }
            Some(Vec::new())
        }
        _ => Some(Vec::new()),
    }
}

fn is_asking_why(model: &Model) -> bool {
    model
        .field
        .as_ref()
        .is_some_and(|field| field.purpose == FieldUse::Reason)
}

fn run_command(model: &mut Model, typed: &str, chosen: usize) -> Vec<Effect> {
    if let Some(name) = typed.trim().strip_prefix("theme ") {
        return theme(model, Clean::line(name.trim()));
    }
    if let Some(reason) = typed.trim().strip_prefix("arm ") {
        return arms::arm(model, reason);
    }
    if let Some(effects) = arms::command(model, typed) {
        return effects;
    }
    let found = matching(typed, &model.offers);
    match found.get(chosen.min(found.len().saturating_sub(1))) {
        Some(command) => intend(model, command.intent.clone()),
        None => {
            note(
                model,
                Health::Poor,
                format!("no command `{typed}`; : and Enter lists them all"),
            );
            Vec::new()
        }
    }
}

/// The text in the field has changed: filters and searches follow while one types.
fn field_changed(model: &mut Model) {
    let Some(field) = &model.field else { return };
    let text = field.text().to_owned();
    match (field.purpose, &mut model.overlay) {
        (FieldUse::Palette, Some(Overlay::Palette { selected })) => *selected = 0,
        (FieldUse::Help, Some(Overlay::Help { search, scroll })) => {
            *search = Clean::line(&text);
            *scroll = 0;
        }
        (FieldUse::Filter, _) => set_search(model, &text),
        (
            FieldUse::Palette
            | FieldUse::Help
            | FieldUse::Reason
            | FieldUse::Answer
            | FieldUse::Word,
            _,
        ) => {}
    }
}

fn current_search(model: &Model) -> &Search {
    if model.screen == Screen::Logs {
        &model.log_view.search
    } else {
        &model.list().filter
    }
}

fn set_search(model: &mut Model, text: &str) {
    let search = Search::new(text);
    if model.screen == Screen::Logs {
        model.log_view.search = search;
    } else {
        model.list_mut().filter = search;
    }
}

pub(super) fn go(model: &mut Model, screen: Screen) {
    /// Deeper than anybody remembers.
    const TRAIL_MAX: usize = 16;
    if model.screen != screen {
        model.came_from.push(model.screen);
        if model.came_from.len() > TRAIL_MAX {
            model.came_from.remove(0);
        }
        model.screen = screen;
        model.pane = Pane::List;
        model.zoomed = false;
        // The overview is the root: from there nothing leads back but out.
        if screen == Screen::Overview {
            model.came_from.clear();
        }
    }
}

fn at_root(model: &Model) -> bool {
    model.came_from.is_empty()
        && model.screen == Screen::Overview
        && model.pane == Pane::List
        && !model.zoomed
}

fn back(model: &mut Model) {
    if !current_search(model).is_empty() {
        set_search(model, "");
    } else if model.zoomed {
        // Enter goes two steps at once, into the detail and to its full size; so does the way back.
        model.zoomed = false;
        model.pane = Pane::List;
    } else if model.pane == Pane::Detail {
        model.pane = Pane::List;
    } else if let Some(screen) = model.came_from.pop() {
        model.screen = screen;
    } else if model.screen == Screen::Overview {
        note(model, Health::None, "this is the root; q leaves");
    } else {
        model.screen = Screen::Overview;
    }
}

fn leave(model: &mut Model) -> Vec<Effect> {
    model.overlay = None;
    vec![Effect::Quit]
}

fn interrupt(model: &mut Model) -> Vec<Effect> {
    if model
        .interrupted
        .is_some_and(|at| model.felt_now().since(at) <= TWICE)
    {
        return leave(model);
    }
    model.interrupted = Some(model.felt_now());
    model.field = None;
    model.overlay = Some(Overlay::Leave);
    Vec::new()
}

/// Moves the cursor of the list, or scrolls what has the focus.
fn travel(model: &mut Model, intent: &Intent) {
    if model.screen == Screen::Logs {
        return travel_logs(model, intent);
    }
    if model.pane == Pane::Detail {
        return scroll_detail(model, intent);
    }
    let all = rows(model);
    if all.is_empty() {
        return;
    }
    let last = all.len() - 1;
    let at = position(model, &all);
    let page = usize::from(model.size.lines / 2).max(1);
    let to = match intent {
        Intent::Down(n) => at.saturating_add(usize::from(*n)),
        Intent::Up(n) => at.saturating_sub(usize::from(*n)),
        Intent::HalfDown => at.saturating_add(page / 2 + 1),
        Intent::HalfUp => at.saturating_sub(page / 2 + 1),
        Intent::PageDown => at.saturating_add(page),
        Intent::PageUp => at.saturating_sub(page),
        Intent::Top => 0,
        Intent::Bottom => last,
        _ => at,
    }
    .min(last);
    let key = all[to].key();
    select(model, key, to);
}

/// Where the cursor stands: on its row, or where that row was before it went away.
fn position(model: &Model, all: &[Row<'_>]) -> usize {
    let list = model.list();
    list.selected
        .as_ref()
        .and_then(|selected| all.iter().position(|row| row.is(selected)))
        .unwrap_or(list.at)
        .min(all.len().saturating_sub(1))
}

pub(super) fn select(model: &mut Model, key: RowKey, at: usize) {
    let list = model.list_mut();
    list.selected = Some(key);
    list.at = at;
    list.scroll_detail = 0;
}

fn scroll_detail(model: &mut Model, intent: &Intent) {
    let step = match intent {
        Intent::Down(n) => i32::from(*n),
        Intent::Up(n) => -i32::from(*n),
        Intent::HalfDown | Intent::PageDown => i32::from(model.size.lines / 4),
        Intent::HalfUp | Intent::PageUp => -i32::from(model.size.lines / 4),
        Intent::Top => i32::from(i16::MIN),
        _ => 0,
    };
    let list = model.list_mut();
    list.scroll_detail =
        u16::try_from((i32::from(list.scroll_detail) + step).clamp(0, 500)).unwrap_or(0);
}

fn newest_line(model: &Model) -> Option<u64> {
    model
        .logs
        .newest()
        .find(|(_, line)| model.log_view.shows(line))
        .map(|(number, _)| number)
}

fn travel_logs(model: &mut Model, intent: &Intent) {
    let page = u64::from(model.size.lines.saturating_sub(8)).max(1);
    let shown: Vec<u64> = model
        .logs
        .newest()
        .filter(|(_, line)| model.log_view.shows(line))
        .map(|(number, _)| number)
        .collect();
    let Some(newest) = shown.first().copied() else {
        return;
    };
    // Counted from the newest line, in lines that are shown.
    let at = model.log_view.bottom.map_or(0, |bottom| {
        shown.iter().position(|n| *n <= bottom).unwrap_or(0)
    }) as u64;
    let to = match intent {
        Intent::Down(n) => at.saturating_sub(u64::from(*n)),
        Intent::Up(n) => at + u64::from(*n),
        Intent::HalfDown => at.saturating_sub(page / 2),
        Intent::HalfUp => at + page / 2,
        Intent::PageDown => at.saturating_sub(page),
        Intent::PageUp => at + page,
        Intent::Top => u64::MAX,
        _ => 0,
    };
    let to = usize::try_from(to)
        .unwrap_or(usize::MAX)
        .min(shown.len().saturating_sub(1));
    model.log_view.follow = to == 0;
    model.log_view.bottom = if to == 0 {
        None
    } else {
        Some(shown.get(to).copied().unwrap_or(newest))
    };
}

#[derive(Clone, Copy)]
enum Direction {
    Newer,
    Older,
}

/// `n` and `N`: the next row or line that matches. A filter hides the rest already, so this moves by one.
fn find(model: &mut Model, direction: Direction) {
    let step = match (model.screen, direction) {
        (Screen::Logs, Direction::Older) => Intent::Down(1),
        (Screen::Logs, Direction::Newer) | (_, Direction::Older) => Intent::Up(1),
        (_, Direction::Newer) => Intent::Down(1),
    };
    travel(model, &step);
}

fn mark(model: &mut Model) {
    let all = rows(model);
    let Some(row) = all.get(position(model, &all)) else {
        return;
    };
    let key = row.key();
    let marks = &mut model.list_mut().marks;
    if !marks.remove(&key) {
        marks.insert(key);
    }
    travel(model, &Intent::Down(1));
}

/// The row under the cursor.
pub(super) fn selected<'a>(model: &Model, all: &'a [Row<'_>]) -> Option<&'a Row<'a>> {
    all.get(position(model, all))
}

fn open(model: &mut Model) {
    let target = {
        let all = rows(model);
        match selected(model, &all) {
            Some(Row::Finding(finding)) => Some(place_of(model, finding)),
            _ => None,
        }
    };
    match target {
        Some((screen, key)) => visit(model, screen, key),
        None if model.screen == Screen::Logs => {}
        None => {
            model.pane = Pane::Detail;
            model.zoomed = true;
        }
    }
}

/// The screen and the row that a finding is about.
fn place_of(model: &Model, finding: &Finding) -> (Screen, Option<RowKey>) {
    let source = RowKey(Clean::line(&finding.source.to_string()));
    match finding.subject {
        Subject::Containers => {
            let id = model.board.containers().and_then(|containers| {
                containers
                    .all
                    .iter()
                    .filter(|container| {
                        container.replica() == finding.about || container.service == finding.about
                    })
                    .max_by_key(|container| container.health())
                    .map(|container| RowKey(container.id.0.clone()))
            });
            (Screen::Containers, id)
        }
        Subject::Traffic => (Screen::Traffic, None),
        Subject::Endpoints => (Screen::Traffic, Some(source)),
        Subject::Certificates => (Screen::Certificates, Some(source)),
        Subject::Backups => (Screen::Backups, Some(source)),
        Subject::Engine | Subject::Alerts | Subject::Host => (Screen::Overview, None),
    }
}

fn visit(model: &mut Model, screen: Screen, key: Option<RowKey>) {
    go(model, screen);
    if let Some(key) = key {
        // A filter that hides the row would make the jump a lie.
        model.list_mut().filter = Search::default();
        let at = rows(model)
            .iter()
            .position(|row| row.key() == key)
            .unwrap_or(0);
        select(model, key, at);
    }
}

fn worst(model: &mut Model) {
    let findings = model.shown().findings(model.shown_at());
    if findings.is_empty() {
        return note(model, Health::Good, "nothing is abnormal");
    }
    let nth = model.worst_seen % findings.len();
    model.worst_seen = nth + 1;
    let (screen, key) = place_of(model, &findings[nth]);
    let key = match screen {
        Screen::Overview => Some(Row::Finding(Box::new(findings[nth].clone())).key()),
        _ => key,
    };
    visit(model, screen, key);
    note(
        model,
        findings[nth].health,
        format!(
            "{} of {}: {} {}",
            nth + 1,
            findings.len(),
            findings[nth].about,
            findings[nth].text
        ),
    );
}

fn freeze(model: &mut Model) {
    model.frozen = match model.frozen.take() {
        Some(_) => None,
        None => Some(Box::new(Frozen {
            board: model.board.clone(),
            at: model.now,
        })),
    };
}

fn theme(model: &mut Model, name: Clean) -> Vec<Effect> {
    if !model.themes.contains(&name) {
        let known = model
            .themes
            .iter()
            .map(Clean::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        note(
            model,
            Health::Poor,
            format!("no theme `{name}`; there are {known}"),
        );
        return Vec::new();
    }
    note(model, Health::None, format!("theme {name}"));
    model.theme = name.clone();
    vec![Effect::Theme(name)]
}

fn copy(model: &mut Model) -> Vec<Effect> {
    let text = if model.screen == Screen::Logs {
        let bottom = model.log_view.bottom.unwrap_or(u64::MAX);
        model
            .logs
            .newest()
            .find(|(number, line)| *number <= bottom && model.log_view.shows(line))
            .map(|(_, line)| line.text.clone())
    } else {
        let all = rows(model);
        selected(model, &all).map(|row| match row {
            Row::Container(container) => container.id.0.clone(),
            Row::Certificate {
                certificate: Some(certificate),
                ..
            } => certificate.chain.first().map_or_else(
                || certificate.place.clone(),
                |leaf| leaf.fingerprint.clone(),
            ),
            Row::Finding(finding) => Clean::line(&format!("{} {}", finding.about, finding.text)),
            Row::Endpoint {
                endpoint: Some(endpoint),
                ..
            } => endpoint.url.clone(),
            Row::Happening(happening) => Clean::line(&format!(
                "{} {} {}",
                happening.at.rfc3339(),
                happening.about,
                happening.text
            )),
            other => other.name(),
        })
    };
    let Some(text) = text else {
        note(model, Health::None, "nothing to copy here");
        return Vec::new();
    };
    model.overlay = Some(Overlay::Copied(text.clone()));
    vec![Effect::Copy(text)]
}

fn logs_of_selection(model: &mut Model) {
    let source = {
        let all = rows(model);
        match selected(model, &all) {
            Some(Row::Container(container)) => Some(LogSource::Container(
                container.id.clone(),
                container.replica(),
            )),
            Some(Row::Replica {
                replica, traffic, ..
            }) => Some(match &replica.container {
                Some(id) => LogSource::Container(id.clone(), replica.replica.clone()),
                None => LogSource::Service(traffic.service.clone()),
            }),
            _ => None,
        }
    };
    if let Some(source) = source {
        look_at_logs_of(model, source);
    }
    go(model, Screen::Logs);
}

fn look_at_logs_of(model: &mut Model, source: LogSource) {
    if model.log_view.source != source {
        model.log_view.source = source;
        model.log_view.bottom = None;
        model.log_view.follow = true;
        model.logs.clear();
    }
}

/// All, then each service, then all again.
fn next_source(model: &mut Model) {
    let names: Vec<Clean> = model
        .board
        .services()
        .into_iter()
        .map(|service| service.name)
        .collect();
    let at = match &model.log_view.source {
        LogSource::Service(name) => names
            .iter()
            .position(|other| other == name)
            .map_or(0, |at| at + 1),
        LogSource::All | LogSource::Container(..) => 0,
    };
    let next = names
        .get(at)
        .map_or(LogSource::All, |name| LogSource::Service(name.clone()));
    look_at_logs_of(model, next);
}

/// Says what the screen needs from the watches, when that has changed.
fn want(model: &mut Model, effects: &mut Vec<Effect>) {
    let followed = logs_wanted(model);
    if followed != model.followed {
        // Lines of what is no longer followed would stand among the new ones without being told apart by time.
        if !model.followed.iter().all(|id| followed.contains(id)) {
            model.logs.clear();
        }
        model.followed.clone_from(&followed);
        effects.push(Effect::Follow(followed));
    }
    let wanted = usage_wanted(model);
    if wanted != model.wanted {
        model.wanted.clone_from(&wanted);
        effects.push(Effect::WantUsage(wanted));
    }
}

fn logs_wanted(model: &Model) -> Vec<ContainerId> {
    let all = model
        .board
        .containers()
        .map_or(&[][..], |containers| &containers.all);
    match model.screen {
        Screen::Logs => match &model.log_view.source {
            LogSource::All => all
                .iter()
                .filter(|container| model.board.stack.matters(&container.service))
                .map(|container| container.id.clone())
                .take(FOLLOWED_MAX)
                .collect(),
            LogSource::Service(name) => all
                .iter()
                .filter(|container| container.service == *name)
                .map(|container| container.id.clone())
                .take(FOLLOWED_MAX)
                .collect(),
            LogSource::Container(id, _) => vec![id.clone()],
        },
        Screen::Containers => {
            let rows = rows(model);
            match selected(model, &rows) {
                Some(Row::Container(container)) => vec![container.id.clone()],
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

fn usage_wanted(model: &Model) -> Vec<ContainerId> {
    let mut wanted: Vec<ContainerId> = Vec::new();
    if model.screen == Screen::Containers {
        let rows = rows(model);
        let at = position(model, &rows);
        let page = usize::from(model.size.lines);
        for row in rows.iter().skip(at.saturating_sub(page)).take(2 * page) {
            if let Row::Container(container) = row {
                wanted.push(container.id.clone());
            }
        }
    }
    if !model.board.stack.services.is_empty() {
        for container in model
            .board
            .containers()
            .map_or(&[][..], |containers| &containers.all)
        {
            if wanted.len() >= WANTED_MAX {
                break;
            }
            if model.board.stack.matters(&container.service) && !wanted.contains(&container.id) {
                wanted.push(container.id.clone());
            }
        }
    }
    wanted.truncate(WANTED_MAX);
    wanted.sort();
    wanted
}
