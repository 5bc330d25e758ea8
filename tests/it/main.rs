//! One test binary: linking is the slow part.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod acting;
mod architecture;
mod backups;
mod bucket;
mod checklist;
mod checks;
mod cli;
mod contract;
mod death;
mod deeds;
mod driver;
mod engine;
mod fake_engine;
mod faults;
mod fixture;
mod grades;
mod journal;
mod kinds;
mod metrics;
mod no_record;
mod proving;
mod pty;
mod range;
mod range_command;
mod recording;
mod restores;
mod runbooks;
mod runs;
mod second_engine;
mod shipped;
mod simulation;
mod stack;
mod steps;
mod view;
mod voyage;
mod zoo;
