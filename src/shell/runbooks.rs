//! Reads the runbooks of the configured folder, beside those that ship with the program.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use color_eyre::eyre::{Result, WrapErr, bail, eyre};

use crate::config::Config;
use crate::domain::Clean;
use crate::runbook::{DOCUMENT_BYTES_MAX, Shelf};

/// Nobody chooses among more.
const FILES_MAX: usize = 200;

/// All runbooks. A folder that is configured and cannot be read is an error: another runbook than meant would run.
pub fn shelf(config: &Config) -> Result<Shelf> {
    let Some(folder) = &config.runbooks else {
        return Ok(Shelf::of(&[]));
    };
    // A user's own folder decides how things look, never what is done to the stack.
    if let Some(own) = &config.paths.config_dir
        && folder.starts_with(own)
    {
        bail!(
            "runbooks are not read from {}: put them beside the stack's configuration",
            shown(folder)
        );
    }
    let mut files = Vec::new();
    for path in pages(folder)? {
        files.push((shown(&path), read(&path)?));
    }
    Ok(Shelf::of(&files))
}

/// Every `*.md` of the folder, by name.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || {
        format!(
            "cannot read the folder of runbooks {}; see [runbooks] folder in the configuration",
            shown(folder)
        )
    };
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).wrap_err_with(cannot)? {
        let path = entry.wrap_err_with(cannot)?.path();
        if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
        if pages.len() > FILES_MAX {
            bail!(
                "{} holds more than {FILES_MAX} runbooks; is this the right folder?",
                shown(folder)
            );
        }
    }
    pages.sort();
    Ok(pages)
}

/// The text of a document. What is larger than a document is cut off: reading it says so.
pub fn read(path: &Path) -> Result<String> {
    let cannot = || format!("cannot read {}", shown(path));
    // A pipe would be waited for without end.
    if !fs::metadata(path).wrap_err_with(cannot)?.is_file() {
        bail!("{} is not a file", shown(path));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .wrap_err_with(cannot)?
        .take(DOCUMENT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .wrap_err_with(cannot)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
        eyre!(
            "{}:{line}: this is not UTF-8; save the file as UTF-8",
            shown(path)
        )
    })
}

pub(super) fn shown(path: &Path) -> Clean {
    use std::os::unix::ffi::OsStrExt;
    Clean::bytes(path.as_os_str().as_bytes())
}
