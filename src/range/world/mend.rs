//! A scenario's mitigation, carried out as the acts a person would do. Tests and demonstrations use it.

use serde_json::json;

use super::{Act, Done, Ms, Refusal, World};
use crate::range::scenario::{Deed, Mend};

/// As Compose gives it.
const GRACE_MS: Ms = 10_000;
/// Longer than every process here takes to end.
const SETTLE_MS: Ms = 2_000;

impl World {
    /// Does one act of a mitigation and lets the time pass that it takes.
    pub fn mend(&mut self, mend: &Mend) -> Result<(), Refusal> {
        let container = match self.replica(&mend.target) {
            Some(at) => self.containers[at].id.clone(),
            None => mend.target.clone(),
        };
        let signal = || mend.argv.first().cloned().unwrap_or_else(|| "KILL".into());
        match mend.does {
            Deed::Wait => {}
            Deed::Start => drop(self.act(Act::Start { container })?),
            Deed::Stop => drop(self.act(Act::Stop {
                container,
                grace_ms: GRACE_MS,
            })?),
            Deed::Restart => drop(self.act(Act::Restart {
                container,
                grace_ms: GRACE_MS,
            })?),
            Deed::Kill => drop(self.act(Act::Kill {
                container,
                signal: signal(),
            })?),
            Deed::Pause => drop(self.act(Act::Pause { container })?),
            Deed::Unpause => drop(self.act(Act::Unpause { container })?),
            Deed::Remove => drop(self.act(Act::Remove {
                container,
                force: true,
            })?),
            Deed::PruneImages => drop(self.act(Act::PruneImages)?),
            Deed::Update => self.mend_limit(container, mend.memory_mb)?,
            Deed::Exec => drop(self.exec(&container, &mend.argv, &[])?),
            Deed::Recreate | Deed::Create | Deed::Rename => {
                self.recreate(&container, mend.image.as_deref())?;
            }
        }
        self.advance(self.now() + SETTLE_MS);
        Ok(())
    }

    fn mend_limit(&mut self, container: String, mb: Option<u64>) -> Result<(), Refusal> {
        let bytes = mb.unwrap_or_default() * 1024 * 1024;
        let body = json!({"Memory": bytes, "MemorySwap": bytes});
        self.act(Act::Update { container, body })?;
        Ok(())
    }

    /// The old one aside and stopped, the new one started, the old one removed.
    fn recreate(&mut self, container: &str, image: Option<&str>) -> Result<(), Refusal> {
        let at = self.at(container)?;
        let old = self.containers[at].id.clone();
        let name = self.containers[at].name.clone();
        let mut body = self.containers[at].creation();
        if let Some(image) = image {
            body["Image"] = image.into();
        }
        self.act(Act::Rename {
            container: old.clone(),
            name: format!("{name}-old"),
        })?;
        self.act(Act::Stop {
            container: old.clone(),
            grace_ms: GRACE_MS,
        })?;
        self.advance(self.now() + SETTLE_MS);
        if let Done::Created { id } = self.act(Act::Create { name, body })? {
            self.act(Act::Start { container: id })?;
        }
        self.act(Act::Remove {
            container: old,
            force: true,
        })?;
        Ok(())
    }
}
