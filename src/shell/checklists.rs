//! Reads the configured checklists for the console, beside the loop: a plan may lie on a slow disk, and a journal be
//! long.

use std::thread;

use color_eyre::eyre::{Result, WrapErr};

use super::cli::checklist::{read, runtime, signed};
use crate::app::{Checklists, Listed};
use crate::checklist::Signatures;
use crate::config::Config;
use crate::domain::Clean;

/// Reads them once and hands them to `done`. A page that cannot be read is a problem to show, and no reason to stop.
pub(super) fn start(config: &Config, done: impl FnOnce(Checklists) + Send + 'static) -> Result<()> {
    if files(config).is_empty() {
        return Ok(());
    }
    let config = config.clone();
    thread::Builder::new()
        .name("checklists".to_owned())
        .spawn(move || done(load(&config)))
        .wrap_err("cannot start the thread that reads the checklists")?;
    Ok(())
}

fn files(config: &Config) -> &[std::path::PathBuf] {
    config
        .stack
        .as_ref()
        .map_or(&[], |stack| stack.checklists.as_slice())
}

fn load(config: &Config) -> Checklists {
    let mut read_so_far = Checklists::default();
    for file in files(config) {
        let list = match read(file) {
            Ok(list) => list,
            Err(error) => {
                let problem = Clean::line(&format!("{error:#}"));
                read_so_far.problems.push(problem);
                continue;
            }
        };
        let signatures = runtime().and_then(|runtime| runtime.block_on(signed(config, &list)));
        let signatures = signatures.unwrap_or_else(|error| {
            let problem = Clean::line(&format!("signatures cannot be read: {error:#}"));
            read_so_far.problems.push(problem);
            Signatures::default()
        });
        read_so_far.pages.push(Listed { list, signatures });
    }
    read_so_far
}
