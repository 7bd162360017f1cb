//! Records in batches of format 2 (KIP-98), both ways, without an allocation per record.
//!
//! - [`BatchBuffer`]: records are appended as the bytes that are sent; [`BatchBuffer::seal`] puts the head in
//!   front and compresses by a [`Packer`]. A [`SealedBatch`] can be stamped again for a retry and read back.
//! - [`Walk`]: over the batches in a fetch response; each lends its records from where they stand, or from the
//!   one buffer of an [`Unpacker`].
//!
//! Fetched bytes are not trusted: whatever they are, reading them ends with records or a
//! [`RecordsError`], and takes no more memory than [`DECOMPRESSED_MAX`].

mod decode;
mod encode;
mod error;
mod pack;
mod unpack;
mod varint;
mod walk;

#[cfg(test)]
mod tests;

pub use decode::{BatchRecords, DecodedRecord, Marker, Outcome, PausedRecords, RecordHeaders};
pub use encode::{BatchBuffer, Producer, SealedBatch, TooLong, Transaction};
pub use error::{Flaw, RecordsError, Wrong};
pub use pack::Packer;
pub use unpack::{DECOMPRESSED_MAX, Unpacker};
pub use walk::{Checksums, End, Part, PausedWalk, Skipped, Walk};
