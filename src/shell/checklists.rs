//! Finds and reads checklists with what the journal says of them. For the console beside the loop: a plan may lie on a
//! slow disk, and a journal be long.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr, eyre};

use crate::app::{Checklists, Listed};
use crate::checklist::{BUILT_IN, Checklist, MAX_AGE, Marks};
use crate::config::Config;
use crate::domain::{ChecklistSpec, Clean, Environment};
use crate::journal::{Access, Address, Head, Journal, Mode, Record, Seq};

use super::cli::journal::address;

/// A plan is a page or thirty; what is larger is no plan.
const PLAN_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Entries of the journal asked for at a time.
const PAGE: u32 = 500;

/// Reads them once and hands them to `done`. A page that cannot be read is a problem to show, and no reason to stop.
pub(super) fn start(config: &Config, done: impl FnOnce(Checklists) + Send + 'static) -> Result<()> {
    if specs(config).is_empty() {
        return Ok(());
    }
    let config = config.clone();
    thread::Builder::new()
        .name("checklists".to_owned())
        .spawn(move || done(load_all(&config)))
        .wrap_err("cannot start the thread that reads the checklists")?;
    Ok(())
}

pub(super) fn specs(config: &Config) -> &[ChecklistSpec] {
    config
        .stack
        .as_ref()
        .map_or(&[], |stack| stack.checklists.as_slice())
}

fn load_all(config: &Config) -> Checklists {
    let mut read_so_far = Checklists::default();
    for spec in specs(config) {
        match read(&spec.file) {
            Ok(list) => read_so_far.pages.push(listed(list, spec.max_age)),
            Err(error) => {
                let problem = Clean::line(&format!("{error:#}"));
                read_so_far.problems.push(problem);
            }
        }
    }
    let told = super::collect::runtime()
        .and_then(|runtime| runtime.block_on(mark(config, &mut read_so_far.pages)));
    if let Err(error) = told {
        let problem = Clean::line(&format!("proofs and signatures cannot be read: {error:#}"));
        read_so_far.problems.push(problem);
    }
    read_so_far
}

pub(super) fn listed(list: Checklist, max_age: Duration) -> Listed {
    Listed {
        list,
        marks: Marks::of_age(max_age),
    }
}

/// A page by its file, by the name of a configured one, or by the name of one that ships with the program.
pub(super) fn find(config: Option<&Config>, word: &Path) -> Result<Listed> {
    let specs = config.map_or(&[][..], specs);
    if word.is_file() {
        let known = specs.iter().find(|spec| is_same(&spec.file, word));
        let max_age = known.map_or(MAX_AGE, |spec| spec.max_age);
        return Ok(listed(read(word)?, max_age));
    }
    let name = word.to_string_lossy();
    if let Some(spec) = specs.iter().find(|spec| is_called(&spec.file, &name)) {
        return Ok(listed(read(&spec.file)?, spec.max_age));
    }
    let shipped = BUILT_IN
        .iter()
        .find(|(id, _)| *id == name || format!("{id}.md") == name);
    match shipped {
        Some((id, text)) => {
            let list = Checklist::read(&format!("{id}.md"), text.as_bytes());
            Ok(listed(list, MAX_AGE))
        }
        None => Ok(listed(read(word)?, MAX_AGE)),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// `go-live` and `go-live.md` are `go-live.checklist.md`.
fn is_called(file: &Path, name: &str) -> bool {
    let own = name_of(file);
    let stem = own.strip_suffix(".md").unwrap_or(&own);
    let bare = stem.strip_suffix(".checklist").unwrap_or(stem);
    [own.as_str(), stem, bare].contains(&name)
}

pub(super) fn load(file: &Path) -> Result<Vec<u8>> {
    let shown = Clean::line(&file.to_string_lossy());
    let mut bytes = Vec::new();
    fs::File::open(file)
        .and_then(|open| open.take(PLAN_BYTES_MAX + 1).read_to_end(&mut bytes))
        .wrap_err_with(|| format!("cannot read {shown}"))?;
    if bytes.len() as u64 > PLAN_BYTES_MAX {
        return Err(eyre!(
            "{shown} has more than 16 MB: that is no plan; name the Markdown file itself"
        ));
    }
    Ok(bytes)
}

pub(super) fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

fn read(file: &Path) -> Result<Checklist> {
    Ok(Checklist::read(&name_of(file), &load(file)?))
}

/// Practice proves nothing of production, and has its own word in the journal.
pub(super) fn mode(config: &Config) -> Mode {
    match config.stack.as_ref().map(|stack| &stack.environment) {
        Some(Environment::Training) => Mode::Training,
        _ => Mode::Live,
    }
}

/// Takes in what the journal says of these pages. A journal that is not there yet says nothing.
pub(super) async fn mark(config: &Config, pages: &mut [Listed]) -> Result<()> {
    let address = address(config)?;
    if matches!(&address, Address::Sqlite(path) if !path.exists()) {
        return Ok(());
    }
    let journal = Journal::open(&address, Access::Read).await?;
    let done = catch_up(&journal, Seq(0), mode(config), pages).await;
    journal.close().await;
    done.map(|_| ())
}

/// Takes in what came after an entry; returns the last one's number.
pub(super) async fn catch_up(
    journal: &Journal,
    mut at: Seq,
    mode: Mode,
    pages: &mut [Listed],
) -> Result<Seq> {
    loop {
        let rows = journal.after(at, PAGE).await?;
        let Some(end) = rows.last() else {
            return Ok(at);
        };
        at = Seq(u64::try_from(end.seq).unwrap_or(u64::MAX));
        let records = rows.iter().filter_map(|row| row.record.as_ref().ok());
        for entry in records.filter_map(Record::entry) {
            for page in &mut *pages {
                page.take(&entry, mode);
            }
        }
    }
}

/// The head of the chain that an export is sealed with.
pub(super) async fn head(config: &Config) -> Result<Option<Head>> {
    let address = address(config)?;
    if matches!(&address, Address::Sqlite(path) if !path.exists()) {
        return Ok(None);
    }
    let journal = Journal::open(&address, Access::Read).await?;
    let head = journal.head().await;
    journal.close().await;
    Ok(head?)
}

/// Where an import writes: beside the plan.
pub(super) fn beside(plan: &Path) -> PathBuf {
    plan.with_extension("checklist.md")
}
