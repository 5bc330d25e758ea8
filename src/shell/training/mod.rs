//! Training: a practice range inside this process, who keeps its score, and the records of past trainings.

pub(super) mod control;
pub(super) mod drivers;
mod folder;
pub(super) mod menu;
pub(super) mod records;
mod trainer;

pub(super) use folder::Folder;
pub(super) use trainer::{Course, Trainer};
