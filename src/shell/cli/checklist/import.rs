//! `quarterdeck checklist import`: a plan as its author wrote it becomes the annotated page.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr};

use super::super::{EXIT_CANNOT_CREATE, put, say};
use crate::checklist::annotate;
use crate::domain::Clean;
use crate::shell::checklists::{beside, load, name_of};

#[derive(Debug, Args)]
pub(super) struct Import {
    plan: PathBuf,
    /// The page to write; `-` is standard output [default: the plan's name with .checklist.md]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// An annotated page of an earlier version, whose ids, accepted checks and notes are kept
    #[arg(long, value_name = "OLD")]
    onto: Option<PathBuf>,
    /// Write over a page that is there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(ask: &Import) -> Result<ExitCode> {
    let plan = load(&ask.plan)?;
    let out = match (&ask.out, &ask.onto) {
        (Some(out), _) => out.clone(),
        (None, Some(onto)) => onto.clone(),
        (None, None) => beside(&ask.plan),
    };
    let to_stdout = out.as_os_str() == "-";
    let there = match fs::symlink_metadata(&out) {
        Ok(_) if !to_stdout => Some(load(&out)?),
        _ => None,
    };
    // What is written over is carried on, named or not: nobody's decisions are lost to a forgotten flag.
    let onto = match &ask.onto {
        Some(onto) => Some(load(onto)?),
        None => there.clone(),
    };
    let made = annotate(&name_of(&ask.plan), &plan, onto.as_deref());
    for remark in &made.list.remarks {
        say(&format!(
            "{}:{}: {}",
            made.list.name, remark.line, remark.text
        ));
    }
    if onto.is_some() {
        for line in made.difference.to_string().lines() {
            eprintln!("{}", Clean::line(line));
        }
    }
    if to_stdout {
        put(&made.text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = Clean::line(&out.to_string_lossy());
    if there.as_deref() == Some(made.text.as_bytes()) {
        say(&format!(
            "{shown} is as it would be written: nothing changes"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    if there.is_some() && !ask.force {
        say(&format!(
            "{shown} is there already, and nothing was written; --force writes over it, --out names another file"
        ));
        return Ok(ExitCode::from(EXIT_CANNOT_CREATE));
    }
    write(&out, &made.text).wrap_err_with(|| format!("cannot write {shown}"))?;
    let (items, proposed) = made
        .list
        .items()
        .fold((0, 0), |(items, blocks), (_, item)| {
            (items + 1, blocks + item.blocks.len())
        });
    say(&format!(
        "{shown}: {items} items, {proposed} checks under them; read them, fill in what is open, and set `accepted = true`"
    ));
    Ok(ExitCode::SUCCESS)
}

/// All of it or nothing: beside the file first, then in its place.
pub(super) fn write(out: &Path, text: &str) -> io::Result<()> {
    let mut beside = out.as_os_str().to_owned();
    beside.push(format!(".new-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)?;
    let done = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, out));
    if done.is_err() {
        let _ = fs::remove_file(&beside);
    }
    done
}
