//! `quarterdeck replay`: the console on a recording, or what changed in it as lines.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Report, Result};

use super::{Call, EXIT_NO_INPUT, EXIT_UNREADABLE, put};
use crate::domain::{Age, Clean};
use crate::shell::console::{self, ConsoleOptions};
use crate::shell::recording::{Player, Tape, TapeError};

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// A file that `quarterdeck record` wrote
    file: PathBuf,
    /// Print what turned better or worse, and when, instead of opening the console
    #[arg(long)]
    list: bool,
}

pub(super) fn run(call: &Call, ask: &Ask, options: &ConsoleOptions) -> Result<ExitCode> {
    let tape = match Tape::open(&ask.file) {
        Ok(tape) => tape,
        Err(error) => {
            let code = match error {
                TapeError::Open { .. } => EXIT_NO_INPUT,
                TapeError::Foreign { .. }
                | TapeError::Newer { .. }
                | TapeError::Damaged { .. }
                | TapeError::TooLarge { .. } => EXIT_UNREADABLE,
            };
            eprintln!("{}", crate::shell::sanitised(&Report::new(error)));
            return Ok(ExitCode::from(code));
        }
    };
    let player = Player::new(tape, Clean::line(&ask.file.to_string_lossy()));
    if ask.list {
        put(&list(&player))?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    console::replay(&config, &call.env, options, player)
}

fn list(player: &Player) -> String {
    let tape = player.tape();
    let header = &tape.header;
    let mut text = format!(
        "{} on {}, from {} for {}: {} things seen by version {}\n",
        header.stack.name,
        header.host,
        header.started_at.rfc3339(),
        Age(tape.ended.since(header.started_at)),
        tape.len(),
        header.version,
    );
    for turn in player.turns() {
        let at = Age(turn.at.since(header.started_at)).to_string();
        for line in &turn.lines {
            let _ = writeln!(text, "{at:>7}  {line}");
        }
    }
    if player.turns().is_empty() {
        text.push_str("nothing turned better or worse\n");
    }
    if let Some(remark) = tape.ending.remark() {
        let _ = writeln!(text, "{remark}");
    }
    text
}
