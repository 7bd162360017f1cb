//! What can go wrong in storage, in kinds that each have one Kafka error code.

use std::io;
use std::path::{Path, PathBuf};

/// A `Result` of storage.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. The error code a client is sent for each is named in brackets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Before the first offset kept or after the next one to be written (OFFSET_OUT_OF_RANGE, 1).
    #[error("offset {offset} is not in {start} to {next}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: i64,
        /// The first offset that is kept.
        start: i64,
        /// The offset that the next record will get.
        next: i64,
    },
    /// Not a whole batch, or its checksum is wrong (CORRUPT_MESSAGE, 2).
    #[error("corrupt batch: {0}")]
    CorruptMessage(&'static str),
    /// No such topic, or it was deleted (UNKNOWN_TOPIC_OR_PARTITION, 3).
    #[error("unknown topic {0}")]
    UnknownTopic(String),
    /// The topic has no such partition (UNKNOWN_TOPIC_OR_PARTITION, 3).
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// What was asked for.
        partition: i32,
    },
    /// A batch larger than `max.message.bytes` (MESSAGE_TOO_LARGE, 10).
    #[error("a batch of {size} bytes is over the limit of {limit}")]
    MessageTooLarge {
        /// Bytes of the batch with its header.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not a name a topic can have (INVALID_TOPIC_EXCEPTION, 17).
    #[error("'{0}' is not a topic name (1 to 249 of a-z A-Z 0-9 . _ -, not . or ..)")]
    InvalidTopic(String),
    /// The topic is there already (TOPIC_ALREADY_EXISTS, 36).
    #[error("topic {0} exists already")]
    TopicExists(String),
    /// A number of partitions that a topic cannot have (INVALID_PARTITIONS, 37).
    #[error("topic {topic} cannot have {count} partitions ({min} to {max})")]
    InvalidPartitions {
        /// The topic.
        topic: String,
        /// What was asked for.
        count: i32,
        /// The fewest it can have.
        min: i32,
        /// The most it can have.
        max: i32,
    },
    /// A topic setting that is not accepted (INVALID_CONFIG, 40).
    #[error("{name}={value} is not accepted ({allowed})")]
    InvalidConfig {
        /// The setting.
        name: String,
        /// The value it was given.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A batch of an old format (UNSUPPORTED_FOR_MESSAGE_FORMAT, 43).
    #[error("message format {0} is not supported (only 2)")]
    UnsupportedFormat(i8),
    /// A sequence number that leaves a gap (OUT_OF_ORDER_SEQUENCE_NUMBER, 45).
    #[error("producer {producer_id} sent sequence {got} instead of {expected}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The sequence number that follows.
        expected: i32,
        /// The one that came.
        got: i32,
    },
    /// A producer that was replaced by a later one (INVALID_PRODUCER_EPOCH, 47).
    #[error("epoch {got} of producer {producer_id} is over (now {current})")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The epoch that came.
        got: i16,
        /// The epoch that holds.
        current: i16,
    },
    /// A plain batch of a producer whose transaction is open here (INVALID_TXN_STATE, 48).
    #[error("producer {0} has a transaction open and sent a batch outside of it")]
    InvalidTxnState(i64),
    /// A batch whose header contradicts itself (INVALID_RECORD, 87).
    #[error("invalid batch: {0}")]
    InvalidRecord(&'static str),
    /// The data folder is in use by another process; only when it is opened.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The disk or the file system (KAFKA_STORAGE_ERROR, 56).
    #[error("{}: {why}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
}

impl Error {
    /// Puts a path to what the system said; for `map_err`.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |why| Self::Io { path: path.to_owned(), why }
    }
}
