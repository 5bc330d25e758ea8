//! Backups: is there one that counts, is it young enough, is there a copy, and has anybody restored one?
//!
//! Two kinds of places: files by pattern, whoever makes them, and our own catalogue, whose manifests say what was written.
//!
//! What a look can know: age, size, size against the predecessor, the kind of file, and for `pg_dump`'s own formats
//! whether the end of the dump is there. What it cannot know: whether the content can be restored. A dump cut at a
//! place that happens to look like an end, a flipped byte, a dump of the wrong database all pass here. Therefore a
//! backup that nobody has restored is never good, only poor.

mod files;
mod ours;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::Look;
use crate::domain::{
    Age, Backup, BackupFile, BackupSpec, Clean, Detail, Fault, FaultKind, Health, Measure, Ours,
    Proven, Reading, SourceId, SourceKind, Timestamp, Unit,
};
use crate::link::docker::Engine;
use crate::link::files::Blocking;
use crate::link::store::Store;
use files::{Found, find, sift};
use ours::Shelves;

pub use server::Asked;

/// Files kept in a reading, as its type promises.
const FILES_MAX: usize = 100;

/// How long the first look waits for the journal to be read.
const JOURNAL_WAIT: Duration = Duration::from_secs(2);

/// What is known of restores.
#[derive(Debug, Clone, Copy)]
enum Proof {
    /// The journal could not be read.
    Unknown,
    None,
    Of(Proven),
}

impl Proof {
    fn proven(self) -> Option<Proven> {
        match self {
            Self::Of(proven) => Some(proven),
            Self::Unknown | Self::None => None,
        }
    }
}

pub struct BackupProbe {
    spec: BackupSpec,
    proof: Proof,
    /// From the journal; `None` until it was read.
    proofs: Option<watch::Receiver<Option<BTreeMap<Clean, Proven>>>>,
    /// Sizes at the last look: what has grown since is being written.
    sizes: BTreeMap<OsString, u64>,
    work: Blocking<Result<Vec<Found>, Fault>>,
    /// Stores with catalogues of ours, or why they cannot be opened; `None`: files by pattern.
    shelves: Option<Result<Shelves, Fault>>,
    /// What knows of archiving, standbys and slots.
    server: Option<(Engine, Asked)>,
}

impl BackupProbe {
    pub fn new(spec: BackupSpec) -> Self {
        Self {
            spec,
            proof: Proof::None,
            proofs: None,
            sizes: BTreeMap::new(),
            work: Blocking::default(),
            shelves: None,
            server: None,
        }
    }

    /// Catalogues of ours, the nearest store first.
    #[must_use]
    pub fn stores(mut self, stores: Result<Vec<Store>, Fault>) -> Self {
        self.shelves = Some(stores.map(Shelves::new));
        self
    }

    /// The PostgreSQL that is backed up: it says how its own safety net is.
    #[must_use]
    pub fn server(mut self, engine: Engine, asked: Asked) -> Self {
        self.server = Some((engine, asked));
        self
    }

    /// Restores that were rehearsed with success, per target, as the journal knows them.
    #[must_use]
    pub fn proofs(mut self, known: watch::Receiver<Option<BTreeMap<Clean, Proven>>>) -> Self {
        self.proofs = Some(known);
        self
    }

    /// The journal is read beside the first look.
    async fn proof(&mut self) -> Proof {
        if let Some(proofs) = &mut self.proofs {
            let read = timeout(JOURNAL_WAIT, proofs.wait_for(Option::is_some)).await;
            let known = match &read {
                Ok(Ok(known)) => known.as_ref(),
                Ok(Err(_)) | Err(_) => None,
            };
            self.proof = match known.map(|known| known.get(&self.spec.target)) {
                Some(Some(proven)) => Proof::Of(*proven),
                Some(None) => Proof::None,
                None => Proof::Unknown,
            };
        }
        self.proof
    }
}

impl Look for BackupProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Backup, self.spec.target.clone())
    }

    fn period(&self) -> Duration {
        self.spec.every
    }

    /// The journal, the server and every store.
    fn deadline(&self) -> Duration {
        const DEADLINE: Duration = Duration::from_secs(20);
        DEADLINE
    }

    async fn look(&mut self, now: Timestamp) -> Result<Reading, Fault> {
        let proof = self.proof().await;
        if let Some(shelves) = &mut self.shelves {
            let shelves = shelves.as_mut().map_err(|fault| fault.clone())?;
            let (files, ours) = shelves.look(&self.spec, now).await?;
            let net = net(self.server.as_ref()).await;
            return Ok(judge(&self.spec, proof, files, Some((ours, net)), now));
        }
        if self.spec.pattern.contains('/') || self.spec.pattern.is_empty() {
            return Err(Fault::new(
                FaultKind::Misconfigured,
                format!("the pattern {:?} is no file name", self.spec.pattern),
            )
            .remedy("put the path into `directory`, and only a name with * and ? into `pattern`"));
        }
        let directory = self.spec.directory.clone();
        let pattern = self.spec.pattern.clone();
        let found = self.work.run(move || find(&directory, &pattern)).await??;
        let files = sift(&self.spec, &self.sizes, &found, now);
        self.sizes = found
            .iter()
            .map(|f| (f.entry.name.clone(), f.entry.bytes))
            .collect();
        Ok(judge(&self.spec, proof, files, None, now))
    }
}

fn judge(
    spec: &BackupSpec,
    proof: Proof,
    mut files: Vec<BackupFile>,
    ours: Option<(Ours, Net)>,
    now: Timestamp,
) -> Reading {
    let kept = files.iter().filter(|file| file.reject.is_none()).count();
    let kept = u32::try_from(kept).unwrap_or(u32::MAX);
    let newest = files.first().cloned();
    let good = files.iter().find(|file| file.reject.is_none()).cloned();
    shorten(&mut files);
    let proven = proof.proven();
    let (ours, net) = ours.unzip();
    let ours = ours.map(|ours| Ours {
        rto_ms: proven.map(|proven| proven.rto_ms),
        ..ours
    });
    let found = restored(spec, proof, good.as_ref(), now);
    let found = found.into_iter().chain(net.unwrap_or_default());
    let backup = Backup {
        target: spec.target.clone(),
        directory: Clean::line(&spec.directory.to_string_lossy()),
        pattern: spec.pattern.clone(),
        files,
        kept,
        age_max_s: spec.age_max.as_secs(),
        keep_min: spec.keep_min,
        proven: proven.map(|proven| proven.at),
        ours,
    };
    let (health, summary) = match (&good, &newest) {
        (Some(good), Some(newest)) => {
            let (mut health, mut words) = weigh(&backup, good, newest, now);
            for (worse, word) in found {
                health = health.max(worse);
                words.push(word);
            }
            (health, words.join(", "))
        }
        (None, Some(newest)) => (Health::Bad, no_good(newest)),
        (_, None) => (
            Health::Bad,
            format!("no backup: nothing fits {} there", backup.pattern),
        ),
    };
    Reading {
        health,
        summary: Clean::from(summary),
        measures: measures(&backup, good.as_ref(), now),
        detail: Detail::Backup(backup),
    }
}

/// Keeps the newest, and the last good one even where a hundred bad ones lie on top of it.
fn shorten(files: &mut Vec<BackupFile>) {
    let good = files.iter().position(|file| file.reject.is_none());
    if let Some(at) = good.filter(|&at| at >= FILES_MAX) {
        files.swap(at, FILES_MAX - 1);
    }
    files.truncate(FILES_MAX);
}

fn no_good(newest: &BackupFile) -> String {
    let why = newest.reject.as_deref().unwrap_or_default();
    format!("no good backup: the newest, {}, is {why}", newest.name)
}

fn weigh(
    backup: &Backup,
    good: &BackupFile,
    newest: &BackupFile,
    now: Timestamp,
) -> (Health, Vec<String>) {
    let age = now.since(good.at);
    let mut words = vec![
        format!("last good {} ago", Age(age)),
        size(good.bytes),
        format!("{} kept", backup.kept),
    ];
    let mut health = Health::Good;
    let mut find = |worse: Health, what: String| {
        health = health.max(worse);
        words.push(what);
    };
    if age > Duration::from_secs(backup.age_max_s) {
        let promise = Age(Duration::from_secs(backup.age_max_s));
        find(Health::Bad, format!("promised every {promise}"));
    }
    match &newest.reject {
        // The next one under way is no trouble.
        Some(why) if *why == *"being written" => find(Health::Good, "one being written".to_owned()),
        Some(why) => find(Health::Poor, format!("the newest does not count: {why}")),
        None => {}
    }
    if backup.kept < backup.keep_min {
        find(Health::Poor, format!("{} promised", backup.keep_min));
    }
    for copies in backup.ours.iter().flat_map(|ours| &ours.copies) {
        match &copies.fault {
            Some(fault) => find(
                Health::Poor,
                format!("cannot look into {}: {fault}", copies.store),
            ),
            None if copies.lacking > 0 => find(
                Health::Poor,
                format!("{} lacks {} of them", copies.store, copies.lacking),
            ),
            None => find(Health::Good, format!("copied to {}", copies.store)),
        }
    }
    (health, words)
}

/// What is worth a word, each with how it is.
type Net = Vec<(Health, String)>;

async fn net(server: Option<&(Engine, Asked)>) -> Net {
    let Some((engine, asked)) = server else {
        return Vec::new();
    };
    match server::ask(engine, asked).await {
        Ok(net) => server::judge(&net),
        Err(fault) => {
            let said = format!("how its log is archived is not known: {fault}");
            vec![(Health::Poor, said)]
        }
    }
}

/// A backup that nobody has restored is a hope, however fresh it is.
fn restored(spec: &BackupSpec, proof: Proof, good: Option<&BackupFile>, now: Timestamp) -> Net {
    let fresh = good.is_some_and(|good| now.since(good.at) <= spec.age_max);
    let proven = match proof {
        Proof::Of(proven) => proven,
        Proof::Unknown => {
            let word = "whether it was ever restored is not known: the journal cannot be read";
            return vec![(Health::Poor, word.to_owned())];
        }
        Proof::None if fresh => return vec![(Health::Poor, "fresh, never restored".to_owned())],
        Proof::None => return vec![(Health::Poor, "never restored".to_owned())],
    };
    let mut all = Vec::new();
    let (since, took) = (now.since(proven.at), Duration::from_millis(proven.rto_ms));
    if spec.proof_max.is_some_and(|most| since > most) {
        all.push((Health::Poor, format!("last restored {} ago", Age(since))));
    }
    match spec.rto.filter(|most| took > *most) {
        Some(most) => all.push((
            Health::Poor,
            format!("restored in {}, promised within {}", Age(took), Age(most)),
        )),
        None => all.push((Health::Good, format!("restored in {}", Age(took)))),
    }
    all
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn size(bytes: u64) -> String {
    Unit::Bytes.show(bytes as f64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a measure is a double; sizes are compared as integers"
)]
fn measures(backup: &Backup, good: Option<&BackupFile>, now: Timestamp) -> Vec<Measure> {
    let mut all = vec![Measure::new("kept", f64::from(backup.kept), Unit::Count)];
    if let Some(good) = good {
        let age = now.since(good.at).as_secs_f64();
        all.push(Measure::new("age", age, Unit::Seconds));
        all.push(Measure::new("size", good.bytes as f64, Unit::Bytes));
    }
    all
}
