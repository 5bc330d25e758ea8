//! What a driver saw while its journal was away: kept on this host until the journal is back.
//!
//! A spool permits nothing. What permits an act is recorded in the journal itself, or the act does not happen. Here lies
//! only what has happened by then: what became of the act under way, what it said, what was measured. It is a journal of
//! its own in the state folder, with the same chain and as durable, and it outlives its driver: whoever takes the run up
//! again on this host brings it into the journal first, in its order.
//!
//! **Invariant:** what lies here is removed only when the journal has it, or says why it does not count.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::desk::{Book, Desk};
use super::owner::Broken;
use crate::app::story::run_of;
use crate::domain::Clean;
use crate::engine::{Plan, Recorded, Run, RunEvent, Token};
use crate::journal::{
    Access, Address, Code, Draft, Entry, Journal, LeaseError, Record, Seq, Span, StoreError,
    Verdict,
};

/// Entries asked for at a time.
const PAGE: u32 = 500;

/// A step that talks through hours without a journal is cut short; what became of it is kept in any case.
const EVIDENCE_MAX: u32 = 5000;

/// The spool of one run.
pub(super) struct Spool {
    /// A folder for this run alone; none where this host has no state folder.
    folder: Option<PathBuf>,
    journal: Option<Journal>,
    evidence: u32,
}

impl Spool {
    pub(super) fn of(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Path::to_owned),
            journal: None,
            evidence: 0,
        }
    }

    fn file(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join("journal.db"))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.journal.is_none() && !self.file().is_some_and(|file| file.exists())
    }

    /// Keeps what has happened. Durable when it returns true; false: there is nowhere to keep it, which the log says.
    pub(super) async fn keep(&mut self, draft: &Draft) -> bool {
        if draft.code == Code::Evidence {
            self.evidence += 1;
            if self.evidence > EVIDENCE_MAX {
                return false;
            }
        }
        match self.append(draft).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!("what happened cannot be kept on this host either: {error}");
                false
            }
        }
    }

    async fn append(&mut self, draft: &Draft) -> Result<bool, StoreError> {
        if self.journal.is_none() {
            let Some(file) = self.file() else {
                tracing::warn!("there is no state folder to keep what happened meanwhile");
                return Ok(false);
            };
            self.journal = Some(Journal::open(&Address::Sqlite(file), Access::Write).await?);
        }
        if let Some(journal) = &self.journal {
            journal.append(draft).await?;
        }
        Ok(true)
    }

    /// Brings all of it into the journal, which is back, and removes it here. Whether there was anything.
    pub(super) async fn bring_back<B: Book>(
        &mut self,
        desk: &Desk<B>,
        token: Token,
        plan: &Plan,
        since: Seq,
    ) -> Result<bool, Broken> {
        if self.is_empty() {
            return Ok(false);
        }
        let kept = match self.read().await {
            Ok(kept) => kept,
            Err(why) => {
                let text = format!(
                    "what was kept on this host while the journal was away cannot be read: {why}"
                );
                self.tell(desk, token, &text).await?;
                return Ok(true);
            }
        };
        let mut known = of_run(desk, since).await?;
        let mut added = 0_u32;
        for entry in &kept {
            // Its receipt was lost on the way, or an earlier driver did not come further.
            if known.iter().any(|one| is_same(one, entry)) {
                continue;
            }
            if let Err(why) = fits(plan, &known, entry) {
                self.tell(desk, token, &why).await?;
                continue;
            }
            let draft = draft_of(entry);
            let head = desk.append(token, &draft).await?;
            known.push(Entry {
                seq: head.seq,
                ..entry.clone()
            });
            added += 1;
        }
        let text =
            format!("the journal was away; {added} entries that were kept meanwhile are in it now");
        self.tell(desk, token, &text).await?;
        self.remove().await;
        Ok(true)
    }

    async fn tell<B: Book>(&self, desk: &Desk<B>, token: Token, text: &str) -> Result<(), Broken> {
        tracing::warn!("{text}");
        let body = json!({ "run": desk.run.0, "text": Clean::line(text) });
        desk.record(token, Code::JournalRecovered, &body).await?;
        Ok(())
    }

    /// All that lies here, where its chain is whole.
    async fn read(&mut self) -> Result<Vec<Entry>, Clean> {
        let fault = |error: StoreError| Clean::line(&error.to_string());
        let Some(file) = self.file() else {
            return Ok(Vec::new());
        };
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => Journal::open(&Address::Sqlite(file), Access::Write)
                .await
                .map_err(fault)?,
        };
        let read = async {
            match journal.verify(Span::default(), &[]).await.map_err(fault)? {
                Verdict::Ok { .. } => all(&journal, Seq(0)).await.map_err(fault),
                Verdict::Broken { seq, flaw, .. } => {
                    Err(Clean::line(&format!("entry {seq} of it is broken: {flaw}")))
                }
                // A crash came between making it and the first entry.
                Verdict::CannotDecide(_) => Ok(Vec::new()),
            }
        };
        let entries = read.await;
        self.journal = Some(journal);
        entries
    }

    /// One rename, so that a crash leaves all of it or nothing.
    async fn remove(&mut self) {
        if let Some(journal) = self.journal.take() {
            journal.close().await;
        }
        self.evidence = 0;
        let Some(folder) = self.folder.clone() else {
            return;
        };
        let aside = folder.with_extension("done");
        let removed = tokio::task::spawn_blocking(move || {
            std::fs::rename(&folder, &aside)?;
            std::fs::remove_dir_all(&aside)
        });
        if let Ok(Err(error)) = removed.await {
            tracing::warn!("what was kept and is in the journal now cannot be removed: {error}");
        }
    }
}

/// Whether an event still follows from what the journal says: the engine's own rules decide, and another driver that took
/// the run up meanwhile has gone its own way.
fn fits(plan: &Plan, known: &[Entry], entry: &Entry) -> Result<(), String> {
    let recorded = |entry: &Entry| Recorded::deserialize(&entry.body).ok();
    if entry.code != Code::RunEvent {
        return Ok(());
    }
    let Some(late) = recorded(entry) else {
        return Err("an event that was kept meanwhile cannot be read".to_owned());
    };
    let events: Vec<RunEvent> = known
        .iter()
        .filter(|entry| entry.code == Code::RunEvent)
        .filter_map(|entry| Some(recorded(entry)?.event))
        .collect();
    let run = Run::replay(plan.clone(), &events).map_err(|error| error.to_string())?;
    let word = late.event.kind.word();
    let step = late
        .event
        .kind
        .step()
        .map_or_else(String::new, |step| step.to_string());
    let superseded =
        format!("{step} {word}, an earlier driver saw; the run had gone on without knowing it");
    if run.token() != late.token {
        return Err(superseded);
    }
    let all = events.iter().chain([&late.event]);
    match Run::replay(plan.clone(), all) {
        Ok(_) => Ok(()),
        Err(_) => Err(superseded),
    }
}

/// The same word of the same moment.
fn is_same(one: &Entry, other: &Entry) -> bool {
    one.moment == other.moment && one.code == other.code && one.body == other.body
}

fn draft_of(entry: &Entry) -> Draft {
    Draft {
        moment: entry.moment.clone(),
        actor: entry.actor.clone(),
        mode: entry.mode,
        code: entry.code,
        target: entry.target.clone(),
        body: entry.body.clone(),
    }
}

/// What the journal has of this run.
async fn of_run<B: Book>(desk: &Desk<B>, since: Seq) -> Result<Vec<Entry>, LeaseError> {
    let before = Seq(since.0.saturating_sub(1));
    let mut entries = all(desk.book.journal(), before).await?;
    entries.retain(|entry| run_of(entry).as_ref() == Some(&desk.run));
    Ok(entries)
}

async fn all(journal: &Journal, after: Seq) -> Result<Vec<Entry>, StoreError> {
    let (mut at, mut entries) = (after, Vec::new());
    loop {
        let rows = journal.after(at, PAGE).await?;
        let Some(last) = rows.last() else {
            return Ok(entries);
        };
        at = Seq(u64::try_from(last.seq).unwrap_or(u64::MAX));
        let records = rows.iter().filter_map(|row| row.record.as_ref().ok());
        entries.extend(records.filter_map(Record::entry));
    }
}
