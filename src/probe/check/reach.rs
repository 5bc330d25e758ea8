//! What checks ask of the shell: secrets, and the runs that the journal knows. Probes open neither themselves.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::domain::{Clean, Fault, FaultKind, SecretPlace, Timestamp};

/// Fetches a secret from where it lies. What it returns is never shown, kept or journaled.
pub type Secrets = Arc<dyn Fn(&SecretPlace) -> Result<String, Clean> + Send + Sync>;

/// What the journal knows of a runbook, by its id.
pub type Runs = Arc<dyn Fn(Clean) -> BoxFuture<'static, Result<PastRuns, Fault>> + Send + Sync>;

/// The runs of one runbook in the world that is looked at: never those of a training.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PastRuns {
    /// The last one that ended well.
    pub good: Option<PastRun>,
    /// The last one that ended at all, and how.
    pub last: Option<(PastRun, Clean)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    pub id: Clean,
    pub ended_at: Timestamp,
    pub took_ms: u64,
}

/// What lies beyond the links. Cheap to clone.
#[derive(Clone)]
pub struct Reach {
    pub secret: Secrets,
    pub runs: Runs,
}

impl Reach {
    /// Reaches nothing: a check that needs more says so.
    pub fn nothing() -> Self {
        Self {
            secret: Arc::new(|place| {
                Err(Clean::line(&format!(
                    "no secret is to be had here, so none from {}",
                    place.shown()
                )))
            }),
            runs: Arc::new(|_| {
                Box::pin(async {
                    let text = "no journal is open here";
                    Err(Fault::new(FaultKind::Misconfigured, text)
                        .remedy("ask where the journal of this stack lies"))
                })
            }),
        }
    }
}
