//! The screen as it is, in files: text for a ticket, SVG for a report.

use std::fs::OpenOptions;
use std::io::Write;

use color_eyre::eyre::{Result, WrapErr};
use ratatui::buffer::Buffer;

use crate::app::Screen;
use crate::domain::Timestamp;
use crate::view::picture;

/// Writes `quarterdeck-<screen>-<time>.txt` and `.svg` into the working folder; returns the name without its ending.
/// A file that is there already is never written over.
pub(super) fn view(frame: &Buffer, screen: Screen, now: Timestamp) -> Result<String> {
    let moment: String = now
        .rfc3339()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let stem = format!("quarterdeck-{}-{moment}", screen.word().to_lowercase());
    write(&format!("{stem}.txt"), &picture::text(frame))?;
    write(&format!("{stem}.svg"), &picture::svg(frame, screen.word()))?;
    Ok(stem)
}

fn write(name: &str, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(name)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .wrap_err_with(|| format!("cannot write {name} in the working folder"))
}
