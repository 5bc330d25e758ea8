//! One test binary: linking is the slow part.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod acting;
mod architecture;
mod checklist;
mod checks;
mod cli;
mod contract;
mod death;
mod driver;
mod engine;
mod fake_engine;
mod faults;
mod fixture;
mod journal;
mod kinds;
mod metrics;
mod pty;
mod range;
mod range_command;
mod recording;
mod runbooks;
mod runs;
mod shipped;
mod simulation;
mod stack;
mod steps;
mod view;
mod voyage;
mod zoo;
