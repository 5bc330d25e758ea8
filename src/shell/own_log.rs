//! The console's own log: a pane (tui-logger) and a file in the state folder.
//!
//! Nothing of it ever goes to the terminal's standard error while the screen is up.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::Config;

/// A file of this size is put aside at the next start; one old file is kept.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Starts to log. A folder that cannot be written costs the file, not the console.
pub(super) fn start(config: &Config) {
    let level = match config.log.as_deref() {
        Some("trace") => LevelFilter::TRACE,
        Some("debug") => LevelFilter::DEBUG,
        Some("warn") => LevelFilter::WARN,
        Some("error") => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    tui_logger::set_default_level(tui_logger::LevelFilter::Trace);
    let file = config.paths.log_file().and_then(|path| open(&path));
    let to_file = file.map(|file| {
        fmt::layer()
            .with_ansi(false)
            .with_writer(Mutex::new(file))
            .with_filter(level)
    });
    let ours = tracing_subscriber::filter::filter_fn(|of| of.target().starts_with("quarterdeck"));
    // Only our own words: a library's debug lines may hold requests with secrets in them.
    let pane = tui_logger::TuiTracingSubscriberLayer
        .with_filter(level)
        .with_filter(ours.clone());
    let begun = tracing_subscriber::registry()
        .with(pane)
        .with(to_file.with_filter(ours))
        .try_init();
    if begun.is_err() {
        tracing::debug!("somebody logs already");
    }
    tracing::info!(
        "quarterdeck {} started, process {}",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
}

/// Moves what was logged into the pane; called before it is drawn, so that no thread has to wake for it.
pub(super) fn collect() {
    tui_logger::move_events();
}

fn open(path: &Path) -> Option<File> {
    fs::create_dir_all(path.parent()?).ok()?;
    if fs::metadata(path).is_ok_and(|file| file.len() > FILE_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1")).ok()?;
    }
    OpenOptions::new().create(true).append(true).open(path).ok()
}
