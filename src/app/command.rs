//! What can be typed behind `:`. Each command is an intent with a name.

use std::borrow::Cow;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::{Intent, Offer, Screen};
use crate::domain::Level;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub name: Cow<'static, str>,
    pub help: Cow<'static, str>,
    pub intent: Intent,
}

const fn command(name: &'static str, help: &'static str, intent: Intent) -> Command {
    Command {
        name: Cow::Borrowed(name),
        help: Cow::Borrowed(help),
        intent,
    }
}

/// In the order in which an empty palette shows them.
pub const COMMANDS: &[Command] = &[
    command(
        "overview",
        "all concerns on one screen",
        Intent::Go(Screen::Overview),
    ),
    command(
        "containers",
        "state, health, use of each container",
        Intent::Go(Screen::Containers),
    ),
    command(
        "traffic",
        "requests, errors, latency by replica; endpoints",
        Intent::Go(Screen::Traffic),
    ),
    command(
        "certs",
        "certificates as served and on disk",
        Intent::Go(Screen::Certificates),
    ),
    command(
        "backups",
        "age, size and count of backups",
        Intent::Go(Screen::Backups),
    ),
    command(
        "checklist",
        "go-live checklists",
        Intent::Go(Screen::Checklist),
    ),
    command("runs", "runbook runs", Intent::Go(Screen::Runs)),
    command(
        "logs",
        "merged logs of what is selected",
        Intent::Go(Screen::Logs),
    ),
    command(
        "journal",
        "what happened, newest first",
        Intent::Go(Screen::Journal),
    ),
    command(
        "arm",
        "allow changes for 15 minutes: `arm REASON`",
        Intent::Arm,
    ),
    command("disarm", "read-only again", Intent::Disarm),
    command("act", "runbooks that suit the selection", Intent::Act),
    command("abort", "stop the run that is on, safely", Intent::Abort),
    command("worst", "go to the worst item", Intent::Worst),
    command(
        "recheck",
        "look at everything again now (reads only)",
        Intent::Recheck,
    ),
    command("filter", "filter this list", Intent::Filter),
    command("sort", "next order of this list", Intent::Sort),
    command("wide", "more columns", Intent::Wide),
    command("zoom", "this pane alone", Intent::Zoom),
    command("freeze", "hold the screen still", Intent::Freeze),
    command("time", "moments as UTC or as ages", Intent::Times),
    command("theme", "next theme", Intent::NextTheme),
    command(
        "copy",
        "copy the selection to the clipboard (OSC 52)",
        Intent::Copy,
    ),
    command(
        "save",
        "write this view to a text and an SVG file",
        Intent::Save,
    ),
    command(
        "errors",
        "log lines of level error and above",
        Intent::Level(Level::Error),
    ),
    command(
        "warnings",
        "log lines of level warn and above",
        Intent::Level(Level::Warn),
    ),
    command(
        "everything",
        "log lines of every level",
        Intent::Level(Level::Debug),
    ),
    command("own-log", "the console's own log", Intent::OwnLog),
    command("help", "keys of this screen", Intent::Help),
    command("redraw", "draw the screen anew", Intent::Redraw),
    command("suspend", "to the shell; `fg` comes back", Intent::Suspend),
    command("quit", "leave the console", Intent::Leave),
];

/// Commands that match what was typed, best first. An empty text matches all, in their own order.
/// Runbooks are commands as well: each opens its own plan.
pub fn matching(text: &str, offers: &[Offer]) -> Vec<Command> {
    let plans = offers.iter().map(|offer| Command {
        name: Cow::Owned(offer.id.to_string()),
        help: Cow::Owned(format!("plan: {}", offer.title)),
        intent: Intent::Plan(offer.id.clone()),
    });
    let all = COMMANDS.iter().cloned().chain(plans);
    if text.trim().is_empty() {
        return all.collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(text, CaseMatching::Ignore, Normalization::Smart);
    let mut found: Vec<(u32, Command)> = all
        .filter_map(|command| {
            let mut buffer = Vec::new();
            let by_name = pattern.score(Utf32Str::new(&command.name, &mut buffer), &mut matcher);
            let by_help = pattern.score(Utf32Str::new(&command.help, &mut buffer), &mut matcher);
            // A command is known by its name; its help only helps to find it.
            let score = by_name.map(|score| score * 4).max(by_help)?;
            Some((score, command))
        })
        .collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    found.into_iter().map(|(_, command)| command).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_wins_over_the_help() {
        assert_eq!(matching("cert", &[])[0].name, "certs");
        assert_eq!(matching("log", &[])[0].name, "logs");
        assert_eq!(matching("", &[]).len(), COMMANDS.len());
        assert!(matching("zzzz", &[]).is_empty());
    }
}
