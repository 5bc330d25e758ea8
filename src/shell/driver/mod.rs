//! The process that owns a run.
//!
//! It holds the target by a lease with a heartbeat, carries out what the engine asks for in order, and journals. It
//! listens to nobody but the journal: decisions are entries there. [`past`] reads what the journal says of the run,
//! [`desk`] writes it, [`owner`] is the loop, [`deck`] what the loop acts upon, [`word`] turns a person's entry into
//! the engine's input, `spool` keeps what happened while the journal was away, and [`process`] detaches the whole from the terminal it was started at.
//!
//! **Invariant:** nothing is acted upon before the record that permits it is durable under this driver's own token.

pub mod beside;
pub mod deck;
pub mod desk;
mod engine;
pub mod owner;
pub mod past;
pub mod process;
pub mod request;
pub mod run;
mod spool;
pub mod steps;
mod turn;
pub mod word;
mod work;

pub use deck::{Aside, Deck, Said, Say};
pub use desk::{Book, Desk};
pub use owner::{DriveError, Left, Owner};
pub use process::{SUBCOMMAND, spawn_driver};
pub use request::{Requester, new_run};
