//! How to draw, as far as it is known before the terminal is opened. Nothing here asks the terminal.

use toml::de::DeValue;

use super::env::Env;
use super::value::{Parsed, wrong};
use crate::domain::Clean;

/// Which clock people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// What two people in two places can talk about.
    #[default]
    Utc,
    Local,
}

impl Clock {
    pub(super) const WORDS: &'static [(&'static str, Self)] =
        &[("utc", Self::Utc), ("local", Self::Local)];
}

/// Which set of signs and frames to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ascii {
    Auto,
    Always,
    Never,
}

impl Ascii {
    pub(super) fn parse(value: &DeValue<'_>) -> Parsed<Self> {
        match value {
            DeValue::Boolean(true) => Ok(Self::Always),
            DeValue::Boolean(false) => Ok(Self::Never),
            DeValue::String(word) if word == "auto" => Ok(Self::Auto),
            _ => wrong(
                "expected true, false or \"auto\"",
                "write true, false or \"auto\"",
            ),
        }
    }

    /// As the variable spells it.
    pub(super) fn word(text: &str) -> Parsed<Self> {
        match text {
            "1" | "true" | "yes" | "on" => Ok(Self::Always),
            "0" | "false" | "no" | "off" => Ok(Self::Never),
            "auto" => Ok(Self::Auto),
            _ => wrong(
                "expected 1, 0 or auto",
                "set it to 1, 0 or auto, or unset it",
            ),
        }
    }

    pub(super) fn resolve(self, env: &Env) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => !env.utf8() || env.text("TERM").is_some_and(|term| term == "linux"),
        }
    }
}

/// What is behind the text, as far as `COLORFGBG` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    Dark,
    Light,
    Unknown,
}

impl Background {
    /// `15;0`: the last number is the background's colour.
    pub(super) fn guess(env: &Env) -> Self {
        let value = env.text("COLORFGBG");
        match value
            .as_deref()
            .and_then(|value| value.rsplit(';').next()?.parse::<u8>().ok())
        {
            Some(0..=6 | 8) => Self::Dark,
            Some(7 | 9..=15) => Self::Light,
            _ => Self::Unknown,
        }
    }
}

/// What the terminal calls itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// Cursor moves and colours can be expected.
    Full,
    /// `TERM=dumb`, or none: no screen can be drawn; `quarterdeck status` can.
    Dumb,
}

/// How many colours the terminal says it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colors {
    /// `NO_COLOR`: signs and words carry all.
    Off,
    Sixteen,
    TwoFiftySix,
    True,
}

impl Colors {
    pub(super) fn of(env: &Env) -> Self {
        let term = env.text("TERM").unwrap_or_default();
        match env.text("COLORTERM").as_deref() {
            _ if env.has("NO_COLOR") => Self::Off,
            Some("truecolor" | "24bit") => Self::True,
            _ if term.ends_with("-direct") => Self::True,
            _ if term.contains("256color") => Self::TwoFiftySix,
            _ => Self::Sixteen,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::Sixteen => "16",
            Self::TwoFiftySix => "256",
            Self::True => "true",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenConfig {
    /// `None`: chosen by the background.
    pub theme: Option<Clean>,
    /// Signs and frames in plain ASCII.
    pub ascii: bool,
    pub colors: Colors,
    pub mouse: bool,
    pub clock: Clock,
    pub background: Background,
    pub terminal: Terminal,
    /// The line may be slow, and its replies late: ask the terminal nothing.
    pub over_ssh: bool,
}

impl Terminal {
    pub(super) fn of(env: &Env) -> Self {
        match env.text("TERM").as_deref() {
            None | Some("dumb" | "unknown") => Self::Dumb,
            Some(_) => Self::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_ascii_where_the_locale_cannot_show_others() {
        assert!(Ascii::Auto.resolve(&Env::of([("LANG", "C")])));
        assert!(Ascii::Auto.resolve(&Env::of([("LANG", "C.UTF-8"), ("TERM", "linux")])));
        assert!(!Ascii::Auto.resolve(&Env::of([("LANG", "C.UTF-8"), ("TERM", "xterm-256color")])));
        assert!(!Ascii::Never.resolve(&Env::of([])));
    }

    #[test]
    fn the_background_is_read_and_never_guessed_wildly() {
        let of = |value| Background::guess(&Env::of([("COLORFGBG", value)]));
        assert_eq!(of("15;0"), Background::Dark);
        assert_eq!(of("0;default;15"), Background::Light);
        assert_eq!(of("0;default"), Background::Unknown);
        assert_eq!(Background::guess(&Env::of([])), Background::Unknown);
    }

    #[test]
    fn no_color_goes_before_all_that_the_terminal_can() {
        let full = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")];
        assert_eq!(Colors::of(&Env::of(full)), Colors::True);
        assert_eq!(
            Colors::of(&Env::of([full[0], full[1], ("NO_COLOR", "1")])),
            Colors::Off
        );
        assert_eq!(Colors::of(&Env::of([full[0]])), Colors::TwoFiftySix);
        assert_eq!(
            Colors::of(&Env::of([("TERM", "linux"), ("NO_COLOR", "")])),
            Colors::Sixteen
        );
    }

    #[test]
    fn a_dumb_or_nameless_terminal_gets_no_screen() {
        assert_eq!(Terminal::of(&Env::of([("TERM", "dumb")])), Terminal::Dumb);
        assert_eq!(Terminal::of(&Env::of([])), Terminal::Dumb);
        assert_eq!(
            Terminal::of(&Env::of([("TERM", "tmux-256color")])),
            Terminal::Full
        );
    }
}
