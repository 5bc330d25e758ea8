//! Something that the engine says has happened.

use serde::{Deserialize, Serialize};

use super::{CheckState, Clean, ContainerId, Health, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineEventKind {
    Create,
    Start,
    Restart,
    Stop,
    Kill,
    Die,
    Oom,
    Pause,
    Unpause,
    Rename,
    Update,
    Destroy,
    Health(CheckState),
    /// The stream of events broke here: what happened meanwhile is unknown, and the list was read anew.
    Gap,
    /// A word this version does not know.
    Other(Clean),
}

impl EngineEventKind {
    /// What it says of itself. Most are plain facts: whether they are trouble, the next look at the container tells.
    pub fn health(&self) -> Health {
        match self {
            Self::Gap => Health::Unknown,
            Self::Oom | Self::Kill => Health::Poor,
            Self::Create
            | Self::Start
            | Self::Restart
            | Self::Stop
            | Self::Die
            | Self::Pause
            | Self::Unpause
            | Self::Rename
            | Self::Update
            | Self::Destroy
            | Self::Health(_)
            | Self::Other(_) => Health::None,
        }
    }
}

/// One happening. A hint to look, never the truth itself: the engine drops events when it is busy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineEvent {
    /// By the engine's clock; by ours for a gap.
    pub at: Option<Timestamp>,
    pub kind: EngineEventKind,
    /// `None` where it is about no single container.
    pub container: Option<ContainerId>,
    pub service: Clean,
    /// One line that stands on its own: `server-2 died, exit code 137`.
    pub text: Clean,
}
