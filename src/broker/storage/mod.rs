//! The broker's storage: a folder with a log per partition, and a journal for everything that is
//! small.
//!
//! ```text
//! DIR/lock                                       held while a process uses the folder
//! DIR/meta                                       journal: topics, and what the broker keeps there
//! DIR/topics/NAME-PARTITION/state                start offset, producers (checkpoint)
//! DIR/topics/NAME-PARTITION/00000000000000000000.log    a segment: batches as clients sent them
//! DIR/topics/NAME-PARTITION/00000000000000000000.index  where in it to look for offsets and times
//! ```
//!
//! It is not the format of a Kafka data folder. Nothing here knows the protocol beyond the header of
//! a record batch, and nothing is held in memory but sparse indexes, producers and the journal.

mod batch;
mod checkpoint;
mod disk;
mod error;
mod index;
mod journal;
mod log;
mod options;
mod producers;
mod read;
mod recover;
mod retain;
mod scan;
mod segment;
mod store;
mod time;
mod topic;

#[cfg(test)]
mod tests;

pub use disk::Fsync;
pub use error::{Error, Result};
pub use journal::{Change, Journal};
pub use log::{Appended, Log};
pub use options::Options;
pub use producers::Aborted;
pub use read::Slice;
pub use recover::Recovery;
pub use store::Storage;
pub use time::TimedOffset;
pub use topic::{MAX_PARTITIONS, Partition, Topic};
