//! An accident on request: `QUARTERDECK_PANIC_AT` lets the tests see how the console ends. Nobody else sets it.
//!
//! `ui` breaks the loop after the first frame, `worker` breaks a task behind it, `Containers:j` breaks the loop when this
//! key is pressed on this screen, and `Containers:j:stick` makes the loop stick there instead.

use std::time::Duration;

use crossterm::event::KeyEvent;

use crate::app::Screen;
use crate::config::Env;
use crate::keys;

use super::console::screen_named;

/// What a panic says may come from anywhere, so this one says the worst.
const HOSTILE: &str = "an accident on request \x1b]52;c;aGk=\x07\x1b[2J";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Accident {
    Ui,
    Worker,
    Key {
        screen: Screen,
        key: String,
        sticks: bool,
    },
}

impl Accident {
    /// `None` where there is no request, or one that makes no sense: then nothing must break.
    pub(super) fn requested(env: &Env) -> Option<Self> {
        let text = env.text("QUARTERDECK_PANIC_AT")?;
        let mut words = text.split(':');
        match (words.next()?, words.next(), words.next()) {
            ("ui", None, None) => Some(Self::Ui),
            ("worker", None, None) => Some(Self::Worker),
            (screen, Some(key), how @ (None | Some("stick"))) => Some(Self::Key {
                screen: screen_named(screen)?,
                key: key.to_owned(),
                sticks: how.is_some(),
            }),
            _ => None,
        }
    }

    pub(super) fn on_first_frame(&self) {
        assert!(*self != Self::Ui, "{HOSTILE}");
    }

    /// Called in a task.
    pub(super) fn in_worker(&self) {
        assert!(*self != Self::Worker, "{HOSTILE}");
    }

    pub(super) fn on_key(&self, at: Screen, pressed: KeyEvent) {
        let Self::Key {
            screen,
            key,
            sticks,
        } = self
        else {
            return;
        };
        if *screen != at || keys::spell(pressed).as_ref() != Some(key) {
            return;
        }
        assert!(*sticks, "{HOSTILE}");
        tracing::warn!("sticks on request");
        loop {
            std::thread::sleep(Duration::from_mins(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<&Accident>) {
        let env = Env::read(|name| (name == "QUARTERDECK_PANIC_AT").then(|| value.into()));
        assert_eq!(Accident::requested(&env).as_ref(), expected);
    }

    #[test]
    fn only_a_request_that_makes_sense_breaks_anything() {
        check("ui", Some(&Accident::Ui));
        check("worker", Some(&Accident::Worker));
        check(
            "containers:j",
            Some(&Accident::Key {
                screen: Screen::Containers,
                key: "j".to_owned(),
                sticks: false,
            }),
        );
        for nothing in ["", "yes", "Nowhere:j", "ui:j:x", "Containers:j:k"] {
            check(nothing, None);
        }
    }
}
