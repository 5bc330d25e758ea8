//! `quarterdeck checklist export`: the decision, with everything it goes by, as one document to keep.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr};

use super::super::{Call, put};
use super::import::write;
use super::verify::on_record;
use crate::domain::Clean;
use crate::report::{gate_html, gate_json, gate_junit, gate_markdown};

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The plan's file, or its name
    #[arg(value_name = "LIST")]
    file: PathBuf,
    #[arg(long, value_name = "FORMAT", default_value = "html")]
    format: Format,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A page to read and to print
    Html,
    /// The same as Markdown
    Md,
    /// For scripts
    Json,
    /// For a pipeline's test report
    Junit,
}

pub(super) fn run(call: &Call, ask: &Export) -> Result<ExitCode> {
    let (page, seal) = match on_record(call, &ask.file)? {
        Ok(found) => found,
        Err(code) => return Ok(code),
    };
    let text = match ask.format {
        Format::Html => gate_html(&page, &seal),
        Format::Md => gate_markdown(&page, &seal),
        Format::Json => gate_json(&page, &seal),
        Format::Junit => gate_junit(&page, &seal),
    };
    match &ask.out {
        None => put(&text)?,
        Some(out) => {
            let shown = Clean::line(&out.to_string_lossy());
            write(out, &text).wrap_err_with(|| format!("cannot write {shown}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
