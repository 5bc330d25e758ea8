//! The one text field that may have the cursor.

use tui_input::{Input, InputRequest};

use super::Intent;

/// What the typed text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldUse {
    Palette,
    /// Filters the list of the screen, or searches the logs.
    Filter,
    /// Searches the help.
    Help,
    /// Why the session is armed.
    Reason,
    /// What a runbook asks before it is planned.
    Answer,
    /// The name that confirms a plan.
    Word,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub purpose: FieldUse,
    pub input: Input,
}

/// Nobody types more than this; a paste may.
const TEXT_MAX: usize = 256;

impl Field {
    pub fn new(purpose: FieldUse, text: &str) -> Self {
        Self {
            purpose,
            input: Input::new(text.to_owned()),
        }
    }

    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// Drawn in the footer; the others have their place in what lies over the screen.
    pub fn is_in_footer(&self) -> bool {
        match self.purpose {
            FieldUse::Filter | FieldUse::Help | FieldUse::Reason => true,
            FieldUse::Palette | FieldUse::Answer | FieldUse::Word => false,
        }
    }

    /// Carries out an editing intent; `false` when the intent is none.
    pub fn edit(&mut self, intent: &Intent) -> bool {
        let request = match intent {
            Intent::Type(c) if self.text().len() < TEXT_MAX && !c.is_control() => {
                InputRequest::InsertChar(*c)
            }
            Intent::Type(_) => return true,
            Intent::Erase => InputRequest::DeletePrevChar,
            Intent::EraseWord => InputRequest::DeletePrevWord,
            Intent::EraseAll => InputRequest::DeleteLine,
            Intent::CursorLeft => InputRequest::GoToPrevChar,
            Intent::CursorRight => InputRequest::GoToNextChar,
            Intent::CursorStart => InputRequest::GoToStart,
            Intent::CursorEnd => InputRequest::GoToEnd,
            _ => return false,
        };
        let _ = self.input.handle(request);
        true
    }
}
