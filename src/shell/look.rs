//! How the screen looks here: terminal, colours, characters, theme.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::mpsc::SyncSender;

use crate::config::{Background, Colors, Config, Env};
use crate::domain::Clean;
use crate::view::{BUILT_IN, Charset, Look, Theme, ThemeError, ThemeFile};

use super::terminal::encode::ColorMode;
use super::terminal::{Terminal, TerminalEvent, TerminalOptions, TerminalRefusal};

/// A theme is a page; more is something else.
const THEME_BYTES_MAX: u64 = 64 * 1024;
/// More themes than this nobody chooses from.
const THEMES_MAX: usize = 64;

pub(super) fn open_terminal(
    config: &Config,
    env: &Env,
    colorless: bool,
    events: SyncSender<TerminalEvent>,
) -> Result<Terminal, TerminalRefusal> {
    let term = env.text("TERM");
    let colors = match config.screen.colors {
        _ if colorless => ColorMode::None,
        Colors::Off => ColorMode::None,
        Colors::Sixteen => ColorMode::Ansi16,
        Colors::TwoFiftySix => ColorMode::Ansi256,
        Colors::True => ColorMode::TrueColor,
    };
    Terminal::open(
        &TerminalOptions {
            term,
            colors,
            mouse: config.screen.mouse,
        },
        events,
    )
}

/// The look to begin with, its theme's name, and a complaint when the wished-for theme cannot be had.
pub(super) fn first_look(
    config: &Config,
    env: &Env,
    themes: Option<&Path>,
) -> (Look, Clean, Option<Clean>) {
    let charset = if config.screen.ascii || !env.utf8() {
        Charset::Ascii
    } else {
        Charset::Unicode
    };
    let wished = config.screen.theme.clone().unwrap_or_else(|| {
        Clean::from(match config.screen.background {
            Background::Dark => "dark",
            Background::Light => "light",
            Background::Unknown => "default",
        })
    });
    match theme(&wished, themes) {
        Ok(theme) => (Look { theme, charset }, wished, None),
        Err(error) => {
            let complaint = Clean::line(&format!("theme {wished}: {error}"));
            (
                Look {
                    charset,
                    ..Look::default()
                },
                Clean::from("default"),
                Some(complaint),
            )
        }
    }
}

/// A theme of the user goes before a built-in one of the same name.
pub(super) fn theme(name: &str, dir: Option<&Path>) -> Result<Theme, ThemeError> {
    Theme::load(name, |name| {
        let path = dir?.join(format!("{name}.toml"));
        let size = fs::metadata(&path).ok()?.len();
        let text = if size > THEME_BYTES_MAX {
            tracing::warn!(
                "theme {} is larger than {THEME_BYTES_MAX} bytes and is passed over",
                path.display()
            );
            return None;
        } else {
            match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => return None,
                Err(error) => {
                    tracing::warn!("theme {}: {error}", path.display());
                    return None;
                }
            }
        };
        Some(ThemeFile {
            path: Clean::line(&path.to_string_lossy()).to_string(),
            text,
        })
    })
}

/// Built-in themes first, then the user's by name.
pub(super) fn theme_names(dir: Option<&Path>) -> Vec<Clean> {
    let mut names: Vec<Clean> = BUILT_IN
        .iter()
        .map(|(name, _)| Clean::from(*name))
        .collect();
    let entries = dir
        .and_then(|dir| fs::read_dir(dir).ok())
        .into_iter()
        .flatten()
        .flatten();
    let mut own: Vec<Clean> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(Clean::line(name.strip_suffix(".toml")?))
        })
        .filter(|name| !names.contains(name))
        .take(THEMES_MAX)
        .collect();
    own.sort();
    names.extend(own);
    names
}

/// Who sits here, by the uid; the environment may claim anything and is asked only where the system has no name.
pub(super) fn user_name(env: &Env) -> Clean {
    let uid = rustix::process::getuid().as_raw();
    let named = fs::read_to_string("/etc/passwd").ok().and_then(|passwd| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| Clean::line(name))
        })
    });
    named
        .or_else(|| env.text("USER").map(Clean::from))
        .unwrap_or_else(|| Clean::line(&format!("uid {uid}")))
}
