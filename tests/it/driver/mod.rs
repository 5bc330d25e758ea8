//! The loop that owns a run, on a real journal, with a scripted world: it is killed at every record, and nothing is
//! done twice that may not be.

mod away;
mod crash;
mod process;
mod rolling;
mod script;
mod words;
