//! `quarterdeck backups`: how they are, as a table, a document or one line; and `backups verify`, which reads them whole.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::{Result, WrapErr};

use super::{Call, EXIT_USAGE, Form, put, say};
use crate::domain::{BackupSpec, Clean, Stack, Unit};
use crate::link::store::Store;
use crate::link::store::catalogue::{self, Entry};
use crate::report;
use crate::shell::secrets;

/// As a monitoring system understands them.
const BAD: u8 = 2;
const UNKNOWN: u8 = 3;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Ask {
    #[command(flatten)]
    form: Form,
    /// One line with figures, as Nagios and its heirs read it
    #[arg(long, conflicts_with = "json")]
    check: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read every backup of the catalogue whole and compare it with its manifest
    Verify {
        /// Only this target
        target: Option<String>,
    },
}

pub(super) fn run(call: &Call, ask: &Ask) -> Result<ExitCode> {
    if let Some(Verb::Verify { target }) = &ask.verb {
        return verify(call, target.as_deref());
    }
    let look = |board: &_, now, session: &_| {
        let report = report::backups(board, now, session);
        let line = report::backups_line(board, now, report.exit_code);
        (report, line)
    };
    let (report, line) = match call.look(ask.form.timeout, look)? {
        Ok(seen) => seen,
        Err(code) => return Ok(code),
    };
    match (ask.form.json, ask.check) {
        (true, _) => put(&report.json)?,
        (false, true) => put(&format!("{line}\n"))?,
        (false, false) => put(&report.text)?,
    }
    Ok(ExitCode::from(report.exit_code))
}

fn verify(call: &Call, target: Option<&str>) -> Result<ExitCode> {
    let config = match call.config() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let Some(stack) = &config.stack else {
        say("there is no stack in the configuration, and so no backup");
        return Ok(ExitCode::from(EXIT_USAGE));
    };
    let specs = match chosen(stack, target) {
        Ok(specs) => specs,
        Err(remedy) => {
            say(&remedy);
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .wrap_err("cannot start the runtime")?;
    let mut worst = 0;
    for spec in specs {
        worst = worst.max(runtime.block_on(all_of(spec))?);
    }
    Ok(ExitCode::from(worst))
}

fn chosen<'s>(stack: &'s Stack, target: Option<&str>) -> Result<Vec<&'s BackupSpec>, String> {
    let ours: Vec<&BackupSpec> = stack
        .backups
        .iter()
        .filter(|s| s.source.is_some())
        .collect();
    let names: Vec<&str> = ours.iter().map(|spec| spec.target.as_str()).collect();
    match target {
        _ if ours.is_empty() => Err(
            "no [[backup]] has a `service`: what others make has no manifest to compare with"
                .to_owned(),
        ),
        None => Ok(ours),
        Some(target) => {
            let found = ours.iter().find(|spec| spec.target == *target);
            found.map(|spec| vec![*spec]).ok_or_else(|| {
                format!(
                    "no backup of {target} is made here; there are: {}",
                    names.join(", ")
                )
            })
        }
    }
}

/// Every store of a target. Answers the exit code.
async fn all_of(spec: &BackupSpec) -> Result<u8> {
    let stores = match secrets::stores(spec) {
        Ok(stores) => stores,
        Err(error) => {
            put(&format!("[?] {}: {error}\n", spec.target))?;
            return Ok(UNKNOWN);
        }
    };
    let mut worst = 0;
    for store in &stores {
        worst = worst.max(all_in(spec, store).await?);
    }
    Ok(worst)
}

async fn all_in(spec: &BackupSpec, store: &Store) -> Result<u8> {
    let catalogue = match catalogue::read(store, &spec.target).await {
        Ok(catalogue) => catalogue,
        Err(error) => {
            put(&format!(
                "[?] {} in {}: {error}\n",
                spec.target,
                store.name()
            ))?;
            return Ok(UNKNOWN);
        }
    };
    if catalogue.entries.is_empty() {
        put(&format!(
            "[X] {} in {}: no backup\n",
            spec.target,
            store.name()
        ))?;
        return Ok(BAD);
    }
    let mut worst = 0;
    for entry in &catalogue.entries {
        worst = worst.max(one(store, entry).await?);
    }
    Ok(worst)
}

async fn one(store: &Store, entry: &Entry) -> Result<u8> {
    let verified = match (&entry.manifest, &entry.reject) {
        (Some(manifest), None) => catalogue::verify(store, manifest).await.map(|()| manifest),
        (_, Some(reason)) => Err(reason.clone()),
        (None, None) => Err(Clean::from("it has no manifest that can be read")),
    };
    let (line, code) = match verified {
        Ok(manifest) => {
            let name = &manifest.file.name;
            let size = size(manifest.file.digest.bytes);
            let hash = &manifest.file.digest.sha256;
            (
                format!(
                    "[ok] {name} in {}: {size}, sha256 {hash} as written",
                    store.name()
                ),
                0,
            )
        }
        Err(reason) => (
            format!(
                "[X] {} in {}: {reason}",
                Clean::line(&entry.manifest_name),
                store.name()
            ),
            BAD,
        ),
    };
    put(&format!("{line}\n"))?;
    Ok(code)
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn size(bytes: u64) -> String {
    Unit::Bytes.show(bytes as f64)
}
