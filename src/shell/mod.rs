//! Terminal, event loop, effects; one file per subcommand.

mod accident;
mod attesting;
mod backstage;
mod changes;
mod checklists;
mod clerk;
pub mod cli;
mod clock;
mod collect;
mod console;
mod discover;
pub mod driver;
pub mod identity;
mod look;
mod own_log;
mod past_runs;
mod proofs;
mod proving;
mod recording;
mod revisions;
pub mod runbooks;
mod save;
mod scene;
mod secrets;
mod stat;
pub mod terminal;
mod training;
mod watches;
mod witness;

use crate::domain::Clean;

/// An error with its causes, safe to print: foreign text in a cause is shown, never obeyed.
pub fn sanitised(report: &color_eyre::Report) -> String {
    /// A chain of causes is a handful of lines.
    const CAUSES_MAX: usize = 12;
    let mut lines = vec![format!("quarterdeck: {}", Clean::line(&report.to_string()))];
    for cause in report.chain().skip(1).take(CAUSES_MAX) {
        lines.push(format!("  because: {}", Clean::line(&cause.to_string())));
    }
    lines.join("\n")
}
