//! What can be wrong with record batches.

use super::super::batch::BatchError;
use super::super::codec::Codec;

/// Fetched bytes that are not the records they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// The head of a batch, or its checksum.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// What a batch holds.
    #[error("a record batch at offset {base_offset} {flaw}")]
    Content {
        /// The batch's first offset.
        base_offset: i64,
        /// What is wrong.
        flaw: Flaw,
    },
}

impl RecordsError {
    /// The first offset of the batch.
    pub fn base_offset(&self) -> i64 {
        match *self {
            Self::Content { base_offset, .. } => base_offset,
            Self::Batch(error) => error.base_offset(),
        }
    }
}

/// What is wrong with the records of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A codec without meaning.
    #[error("that is compressed by codec {0}, which is none")]
    Codec(u8),
    /// Bytes that the codec cannot read.
    #[error("that {0} cannot decompress")]
    Packed(Codec),
    /// Larger than [`super::DECOMPRESSED_MAX`].
    #[error("that is larger than {0} bytes when decompressed")]
    Large(usize),
    /// Fewer records than the head says it has.
    #[error("that ends after {0} of its {1} records")]
    Missing(u32, u32),
    /// More bytes than its records have.
    #[error("with {0} bytes after its last record")]
    Trailing(usize),
    /// A record.
    #[error("whose record {index} {wrong}")]
    Record {
        /// Which: 0 is the batch's first.
        index: u32,
        /// What is wrong with it.
        wrong: Wrong,
    },
    /// A control batch that is not one.
    #[error("that should end a transaction, but does not say how")]
    Marker,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is longer than the batch, or a field is longer than it.
    #[error("is cut off")]
    CutOff,
    /// A number that does not end or does not fit.
    #[error("has a number that is too long")]
    Varint,
    /// A negative length or count, other than -1 for null.
    #[error("has a length of {0}")]
    Length(i32),
    /// More bytes than its fields take.
    #[error("has {0} bytes after its last header")]
    Trailing(usize),
    /// An offset that is not between the one before it and the batch's last.
    #[error("has offset +{0}, which is out of order")]
    Offset(i32),
}
