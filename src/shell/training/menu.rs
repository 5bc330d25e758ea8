//! The menu of scenarios, on the whole screen, before there is a console.

use std::sync::mpsc::sync_channel;

use color_eyre::eyre::Result;
use crossterm::event::KeyEventKind;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{Context, Intent, Menu, MenuEntry};
use crate::config::{Config, Env};
use crate::domain::Clean;
use crate::keys;
use crate::range::scenario::{self, SHIPPED};
use crate::shell::look;
use crate::shell::terminal::{TerminalEvent, TerminalRefusal};
use crate::view;

/// A person types less than this before the menu answers.
const EVENTS_MAX: usize = 64;
const DIFFICULTIES: [&str; 3] = ["first steps", "some practice", "experienced"];

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::shell) enum Choice {
    Scenario(&'static str),
    /// Leave, with this exit code.
    Leave(u8),
}

/// All shipped scenarios, in the order of the course: it goes from easy to hard.
pub(in crate::shell) fn menu() -> Menu {
    let entries = SHIPPED.iter().enumerate().filter_map(|(at, (id, _))| {
        let scenario = scenario::load(id).ok()?;
        Some(MenuEntry {
            id,
            title: Clean::line(&scenario.title),
            teaches: Clean::line(&scenario.teaches),
            difficulty: DIFFICULTIES[at * DIFFICULTIES.len() / SHIPPED.len()],
        })
    });
    Menu {
        entries: entries.collect(),
        selected: 0,
    }
}

/// Lets a person choose.
pub(in crate::shell) fn choose(
    config: &Config,
    env: &Env,
    colorless: bool,
) -> Result<Result<Choice, TerminalRefusal>> {
    let (events, inbox) = sync_channel(EVENTS_MAX);
    let terminal = match look::open_terminal(config, env, colorless, events) {
        Ok(terminal) => terminal,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (look, ..) = look::first_look(config, env, config.paths.themes_dir().as_deref());
    let mut menu = menu();
    let mut size = terminal.size();
    loop {
        let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
        view::menu(&mut buffer, &menu, &look);
        terminal.show(buffer, None);
        match inbox.recv() {
            Ok(TerminalEvent::Key(key)) if key.kind != KeyEventKind::Release => {
                let intent = keys::lookup(Context::Choice, key);
                if let Some(choice) = intent.and_then(|intent| take(&mut menu, &intent)) {
                    return Ok(Ok(choice));
                }
            }
            Ok(TerminalEvent::Resized(columns, lines)) => size = (columns, lines),
            Ok(TerminalEvent::Resumed) => size = terminal.size(),
            Ok(TerminalEvent::Suspend) => {
                // Without a shell to come back from, the menu simply stays.
                let _ = terminal.suspend();
            }
            Ok(TerminalEvent::Quit(signal)) => return Ok(Ok(Choice::Leave(signal.exit_code()))),
            Ok(TerminalEvent::InputGone) | Err(_) => return Ok(Ok(Choice::Leave(129))),
            Ok(TerminalEvent::Key(_) | TerminalEvent::Paste(_) | TerminalEvent::Mouse(_)) => {}
        }
    }
}

fn take(menu: &mut Menu, intent: &Intent) -> Option<Choice> {
    let last = menu.entries.len().saturating_sub(1);
    match intent {
        Intent::Down(n) => menu.selected = menu.selected.saturating_add(usize::from(*n)).min(last),
        Intent::Up(n) => menu.selected = menu.selected.saturating_sub(usize::from(*n)),
        Intent::Open => {
            let entry = menu.entries.get(menu.selected)?;
            return Some(Choice::Scenario(entry.id));
        }
        Intent::Back | Intent::Interrupt => return Some(Choice::Leave(0)),
        _ => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_chosen_and_the_course_gets_harder() {
        let mut menu = menu();
        assert_eq!(menu.entries.len(), SHIPPED.len());
        assert_eq!(menu.entries[0].difficulty, DIFFICULTIES[0]);
        assert_eq!(menu.entries.last().unwrap().difficulty, DIFFICULTIES[2]);
        assert_eq!(take(&mut menu, &Intent::Up(1)), None);
        assert_eq!(take(&mut menu, &Intent::Down(500)), None);
        let last = SHIPPED.last().unwrap().0;
        assert_eq!(take(&mut menu, &Intent::Open), Some(Choice::Scenario(last)));
        assert_eq!(take(&mut menu, &Intent::Back), Some(Choice::Leave(0)));
    }
}
