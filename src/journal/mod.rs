//! The append-only, hash-chained record of what was asked for, refused, done and decided.
//!
//! [`entry`] and [`chain`] are pure: what an entry is, its canonical bytes, and whether a row of entries is whole.
//! [`store`] keeps them in SQLite or PostgreSQL. Beside the record, and no part of it,
//! lie the leases: who may speak for which target, by the engine's rules. Absent on purpose: an update, a deletion, a
//! clock, and any knowledge of what a run is. Entries are handed in whole, with their moment.
//!
//! **Invariant:** an entry whose sequence number was returned is durable; nothing here changes or removes one.

pub mod canonical;
pub mod chain;
pub mod entry;
pub mod store;

pub use chain::{Anchor, Flaw, Head, Uncertain, Verdict, Walk};
pub use entry::{Actor, Claims, Code, Draft, Entry, Hash, Mode, Moment, Record, Seq, Unfit};
pub use store::{
    Access, Address, Condition, Follow, Journal, LeaseError, Notice, Salvage, Span, StoreError,
    salvage,
};
