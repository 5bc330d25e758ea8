//! `quarterdeck version`: which build this is.

use std::env::consts::{ARCH, OS};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;
use serde::Serialize;

use super::put;

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Build {
    schema: &'static str,
    version: &'static str,
    /// Left out where the build was not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    target: String,
    features: [&'static str; 0],
}

pub(super) fn run(ask: &Ask) -> Result<ExitCode> {
    let build = Build {
        schema: "quarterdeck.version/1",
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("QUARTERDECK_COMMIT"),
        target: target(),
        features: [],
    };
    put(&if ask.json {
        format!("{}\n", serde_json::to_string_pretty(&build)?)
    } else {
        let commit = build.commit.map(|commit| format!(" ({commit})"));
        format!(
            "quarterdeck {}{} for {}\n",
            build.version,
            commit.unwrap_or_default(),
            build.target
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The target as the compiler spells it, as far as it tells the program.
fn target() -> String {
    let vendor = if cfg!(target_vendor = "apple") {
        "apple"
    } else {
        "unknown"
    };
    let libc = if cfg!(target_env = "musl") {
        "-musl"
    } else if cfg!(target_env = "gnu") {
        "-gnu"
    } else {
        ""
    };
    format!("{ARCH}-{vendor}-{OS}{libc}")
}
