//! Which stack to look at when none is configured: one of the projects that run.

use std::time::Duration;

use crate::domain::{Clean, Fault, FaultKind, Sighting, SourceId, SourceKind, Stack, Timestamp};
use crate::link::docker::{Engine, Project};

/// Between two looks for a project when none runs.
pub(super) const DISCOVER_PERIOD: Duration = Duration::from_secs(3);

/// A project that runs, as a stack without any expectation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) stack: Stack,
    /// Projects beside it.
    others: usize,
}

impl Found {
    /// What to say about the projects that are not shown, if there are any.
    pub(super) fn others(&self) -> Option<Clean> {
        let others = self.others;
        (others > 0).then(|| {
            Clean::from(format!(
                "{others} other projects run here; --project NAME shows one of them"
            ))
        })
    }
}

/// Looks once. `named`: only this project; `here`: the folder that we were started in.
pub(super) async fn discover(
    engine: &Engine,
    named: Option<&str>,
    here: &str,
) -> Result<Found, Fault> {
    let projects = engine.projects().await?;
    let Some(project) = choose(&projects, named, here) else {
        return Err(nothing_found(
            named,
            projects.iter().map(|project| project.name.as_str()),
        ));
    };
    let mut stack = Stack::discovered(project.name.clone());
    stack.disks.retain(|path| path.is_dir());
    let others = projects
        .iter()
        .filter(|other| other.name != project.name)
        .count();
    Ok(Found { stack, others })
}

/// What the engine's row says while there is nothing to look at.
pub(super) fn blind(engine: &Engine, fault: Fault, now: Timestamp) -> Sighting {
    Sighting {
        source: SourceId::new(SourceKind::Engine, engine.address().to_string()),
        at: now,
        took: Duration::ZERO,
        period: DISCOVER_PERIOD,
        result: Err(fault),
    }
}

/// Of the projects that run, the one to show when none is configured: the one named, the one that was started from
/// here, or the one with the most containers.
pub(super) fn choose<'p>(
    projects: &'p [Project],
    named: Option<&str>,
    here: &str,
) -> Option<&'p Project> {
    match named {
        Some(name) => projects.iter().find(|project| project.name == *name),
        None => projects
            .iter()
            .filter(|project| project.running > 0)
            .max_by_key(|project| (project.working_dir == *here, project.running)),
    }
}

fn nothing_found<'p>(named: Option<&str>, projects: impl Iterator<Item = &'p str>) -> Fault {
    /// More names than this fit on no line.
    const NAMES_MAX: usize = 8;
    match named {
        Some(name) => {
            let there: Vec<&str> = projects.take(NAMES_MAX).collect();
            let there = if there.is_empty() {
                "none".to_owned()
            } else {
                there.join(", ")
            };
            Fault::new(
                FaultKind::Missing,
                format!("no Compose project `{name}` on this engine; there are: {there}"),
            )
        }
        None => Fault::new(FaultKind::Missing, "no Compose project runs on this engine")
            .remedy("start one, or name one with --project"),
    }
}
