//! Key presses become intents. Footer, help and the README's table are drawn from the same [`TABLE`].
//!
//! **Invariant:** no key changes production. A key that acts on the stack opens a plan, and a plan asks.

mod table;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::{Context, FieldUse, Intent, Offer, Screen, is_text};

pub use table::{Binding, Group, Place, TABLE};

/// What a key means here; `None` means nothing, on purpose.
pub fn lookup(context: Context, key: KeyEvent) -> Option<Intent> {
    let written = spell(key)?;
    if let Some(binding) = TABLE
        .iter()
        .find(|binding| binding.place.is_in(context) && binding.keys.contains(&&*written))
    {
        return Some(binding.intent.clone());
    }
    match key.code {
        KeyCode::Char(c)
            if is_text(context) && (key.modifiers - KeyModifiers::SHIFT).is_empty() =>
        {
            Some(Intent::Type(c))
        }
        _ => None,
    }
}

/// The plan that a runbook's own letter opens, on a screen. Letters of the table, and those that delete elsewhere, are
/// nobody's.
pub fn runbook(context: Context, key: KeyEvent, offers: &[Offer]) -> Option<Intent> {
    let KeyCode::Char(letter @ 'A'..='Z') = key.code else {
        return None;
    };
    let is_screen = matches!(context, Context::Screen(_) | Context::Training(_));
    let is_plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
    if !is_screen || !is_plain || !is_free(letter) {
        return None;
    }
    let offer = offers.iter().find(|offer| offer.key == Some(letter))?;
    Some(Intent::Plan(offer.id.clone()))
}

/// Whether a runbook may have this letter: nothing else has it, anywhere, and it deletes in no other program.
pub fn is_free(letter: char) -> bool {
    const NEVER: [char; 2] = ['D', 'X'];
    let is_bound = |binding: &Binding| binding.keys.iter().any(|key| key.chars().eq([letter]));
    letter.is_ascii_uppercase() && !NEVER.contains(&letter) && !TABLE.iter().any(is_bound)
}

/// The bindings that work here, in the order of the table.
pub fn working(context: Context) -> impl Iterator<Item = &'static Binding> {
    TABLE
        .iter()
        .filter(move |binding| binding.place.is_in(context))
}

/// How a key is written in the table: `j`, `C-d`, `Tab`, `S-Tab`, `F1`.
pub fn spell(key: KeyEvent) -> Option<String> {
    let name = match key.code {
        KeyCode::Char(' ') => "Space".to_owned(),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::F(n) => format!("F{n}"),
        KeyCode::Enter => "Enter".to_owned(),
        KeyCode::Esc => "Esc".to_owned(),
        KeyCode::Tab => "Tab".to_owned(),
        KeyCode::BackTab => "S-Tab".to_owned(),
        KeyCode::Up => "Up".to_owned(),
        KeyCode::Down => "Down".to_owned(),
        KeyCode::Left => "Left".to_owned(),
        KeyCode::Right => "Right".to_owned(),
        KeyCode::Home => "Home".to_owned(),
        KeyCode::End => "End".to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::Backspace => "Backspace".to_owned(),
        KeyCode::Delete => "Delete".to_owned(),
        _ => return None,
    };
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return Some(format!("C-{}", name.to_lowercase()));
    }
    if key.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    Some(name)
}

impl Place {
    /// Only there in a training.
    pub fn is_of_training(self) -> bool {
        matches!(self, Self::Training | Self::Page)
    }

    /// Does a binding of this place work in this context?
    pub fn is_in(self, context: Context) -> bool {
        let screen = match context {
            Context::Screen(screen) | Context::Training(screen) | Context::Replay(screen) => {
                Some(screen)
            }
            Context::Field(_)
            | Context::Help
            | Context::Leave
            | Context::Popup
            | Context::Page
            | Context::Choice
            | Context::Present
            | Context::Question
            | Context::PlanToAnswer
            | Context::PlanToRead => None,
        };
        match self {
            Self::Everywhere => true,
            Self::Screens => screen.is_some(),
            Self::Lists => matches!(
                screen,
                Some(
                    Screen::Overview
                        | Screen::Containers
                        | Screen::Traffic
                        | Screen::Certificates
                        | Screen::Backups
                        | Screen::Runs
                        | Screen::Journal
                )
            ),
            // A recording is not acted on, so nothing is marked in it.
            Self::Marks => Self::Lists.is_in(context) && !matches!(context, Context::Replay(_)),
            Self::Replay => matches!(context, Context::Replay(_)),
            Self::Rows => matches!(screen, Some(Screen::Containers | Screen::Traffic)),
            Self::Runs => screen == Some(Screen::Runs),
            Self::Traffic => screen == Some(Screen::Traffic),
            Self::Logs => screen == Some(Screen::Logs),
            Self::Field => matches!(context, Context::Field(_)),
            Self::Palette => matches!(context, Context::Field(FieldUse::Palette)),
            Self::Help => context == Context::Help,
            Self::Leave => context == Context::Leave,
            Self::Overlays => matches!(
                context,
                Context::Help
                    | Context::Popup
                    | Context::Leave
                    | Context::Page
                    | Context::Choice
                    | Context::Present
                    | Context::Question
                    | Context::PlanToAnswer
                    | Context::PlanToRead
            ),
            Self::Checklist => matches!(
                context,
                Context::Screen(Screen::Checklist) | Context::Training(Screen::Checklist)
            ),
            Self::Present => context == Context::Present,
            Self::Training => matches!(context, Context::Training(_) | Context::Page),
            Self::Page => context == Context::Page,
            Self::Choice => context == Context::Choice,
            Self::Question => context == Context::Question,
            Self::Form => context == Context::Field(FieldUse::Answer),
            Self::Plan => matches!(
                context,
                Context::PlanToAnswer | Context::PlanToRead | Context::Field(FieldUse::Word)
            ),
            Self::PlanPage => matches!(context, Context::PlanToAnswer | Context::PlanToRead),
            Self::PlanYes => context == Context::PlanToAnswer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Screen;

    fn press(context: Context, code: KeyCode) -> Option<Intent> {
        lookup(context, KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn a_letter_is_text_in_a_field_and_a_command_on_a_screen() {
        let j = KeyCode::Char('j');
        assert_eq!(
            press(Context::Field(FieldUse::Filter), j),
            Some(Intent::Type('j'))
        );
        assert_eq!(
            press(Context::Screen(Screen::Containers), j),
            Some(Intent::Down(1))
        );
    }

    #[test]
    fn keys_that_delete_elsewhere_do_nothing_here() {
        for screen in Screen::ALL {
            let context = Context::Screen(screen);
            for code in [
                KeyCode::Delete,
                KeyCode::Backspace,
                KeyCode::Char('D'),
                KeyCode::Char('X'),
            ] {
                assert_eq!(press(context, code), None, "{screen:?} {code:?}");
            }
            assert_eq!(
                lookup(
                    context,
                    KeyEvent::new(KeyCode::Char('k'), KeyModifiers::CONTROL)
                ),
                None
            );
        }
    }

    #[test]
    fn no_key_means_two_things_in_one_place() {
        let contexts = Screen::ALL
            .into_iter()
            .map(Context::Screen)
            .chain(Screen::ALL.map(Context::Training))
            .chain(Screen::ALL.map(Context::Replay))
            .chain([Context::Help, Context::Leave, Context::Popup])
            .chain([
                Context::Page,
                Context::Choice,
                Context::Question,
                Context::Present,
            ])
            .chain([Context::PlanToAnswer, Context::PlanToRead])
            .chain(
                [
                    FieldUse::Filter,
                    FieldUse::Palette,
                    FieldUse::Help,
                    FieldUse::Reason,
                    FieldUse::Answer,
                    FieldUse::Word,
                ]
                .map(Context::Field),
            );
        for context in contexts {
            let mut seen = std::collections::BTreeMap::new();
            for binding in working(context) {
                for key in binding.keys {
                    if let Some(other) = seen.insert(*key, binding.help) {
                        panic!("{key} in {context:?}: `{other}` and `{}`", binding.help);
                    }
                }
            }
        }
    }

    #[test]
    fn help_leave_and_back_work_in_every_place_that_is_no_text() {
        for screen in Screen::ALL {
            let context = Context::Screen(screen);
            assert_eq!(press(context, KeyCode::Char('?')), Some(Intent::Help));
            assert_eq!(press(context, KeyCode::Esc), Some(Intent::Back));
            assert_eq!(press(context, KeyCode::Char('q')), Some(Intent::Leave));
        }
    }
}
