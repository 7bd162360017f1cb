//! A queue of records on disk, for one process at a time: what is appended is still there after a kill, in order,
//! until it is acknowledged.
//!
//! The folder has a `lock`, segments (`NUMBER.spool`, frames in a row, named by the first record's number), a
//! `ledger` and, after a run that left records between delivered ones, `done`. What is appended is with the operating
//! system when the call returns, so that a kill loses none of it; it is forced to the disk at most a second later,
//! which is what a power cut can cost.
//!
//! Every order of events is safe to stop at: records are written before the ledger says so, the ledger is forced to
//! the disk before a segment that it is done with is removed, and nothing is ever overwritten but the older one of
//! the ledger's two slots. Whatever is found, opening ends well or names what it cannot read; damage is counted in
//! records, by their numbers.
//!
//! Why not a crate: embedded stores (redb, fjall) write every record several times and give space back by
//! compaction, where a queue is appended to and unlinked; the queues there are (yaque) are not kept up and do not tell
//! damage. What is needed of them is less than their interfaces.

mod frame;
mod ledger;
mod ranges;
mod store;

#[cfg(test)]
mod tests;

pub use ranges::Ranges;
pub use store::{Error, Fed, Store};
