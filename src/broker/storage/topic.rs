//! A topic: its name, id, settings and partitions, and its entry in the journal.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::log::Log;

/// The most partitions of a topic: each has open files and indexes.
pub const MAX_PARTITIONS: i32 = 1000;

/// A partition's log, shared by everyone who writes to it and reads from it.
#[derive(Debug, Clone)]
pub struct Partition(Arc<Mutex<Log>>);

impl Partition {
    pub(super) fn new(log: Log) -> Self {
        Self(Arc::new(Mutex::new(log)))
    }

    /// The log, for this caller alone. Locked for a moment only: sending what was read needs no lock.
    pub fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A topic's entry in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) id: [u8; 16],
    pub(super) partitions: i32,
    pub(super) configs: Vec<(String, String)>,
}

/// A topic as it is; one with more partitions takes its place when some are added.
#[derive(Debug)]
pub struct Topic {
    pub(super) name: String,
    pub(super) entry: Entry,
    pub(super) partitions: Vec<Partition>,
}

impl Topic {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id, a random UUID: a topic that is deleted and created again has another.
    pub fn id(&self) -> [u8; 16] {
        self.entry.id
    }

    /// The settings that were given to it.
    pub fn configs(&self) -> &[(String, String)] {
        &self.entry.configs
    }

    /// Its partitions, in order.
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Error::UnknownPartition`].
    pub fn partition(&self, index: i32) -> Result<&Partition> {
        let found = usize::try_from(index).ok().and_then(|index| self.partitions.get(index));
        found.ok_or_else(|| Error::UnknownPartition { topic: self.name.clone(), partition: index })
    }
}

/// A random UUID (RFC 9562, version 4). The hasher's keys are the system's random numbers.
pub(super) fn new_id() -> [u8; 16] {
    let [high, low] = [0, 1].map(|half: u64| RandomState::new().hash_one(half));
    let random = (u128::from(high) << 64) | u128::from(low);
    let version = random & !(0xf << 76) | (0x4 << 76);
    (version & !(0x3 << 62) | (0x2 << 62)).to_be_bytes()
}

/// Refuses what Kafka refuses; it is the name of a folder, too.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = (1..=249).contains(&name.len()) && name.bytes().all(is_legal);
    if fits && name != "." && name != ".." { Ok(()) } else { Err(Error::InvalidTopic(name.to_owned())) }
}

/// Refuses a number of partitions below `min` or over [`MAX_PARTITIONS`].
pub(super) fn check_partitions(topic: &str, count: i32, min: i32) -> Result<()> {
    if (min..=MAX_PARTITIONS).contains(&count) {
        return Ok(());
    }
    Err(Error::InvalidPartitions { topic: topic.to_owned(), count, min, max: MAX_PARTITIONS })
}

/// The folder of a partition.
pub(super) fn folder(topics: &Path, name: &str, partition: i32) -> PathBuf {
    topics.join(format!("{name}-{partition}"))
}

/// Where a partition's folder goes to be deleted: never the name of another, whatever is created.
pub(super) fn deleted_folder(topics: &Path, id: [u8; 16], partition: i32) -> PathBuf {
    topics.join(format!("{:032x}-{partition}.deleted", u128::from_be_bytes(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kafka_takes() {
        let longest = "x".repeat(249);
        for name in ["a", "A.b_c-1", "...", longest.as_str()] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let too_long = "x".repeat(250);
        for name in ["", ".", "..", "a/b", "ä", "a b", "a\0", too_long.as_str()] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn ids_are_uuids_and_differ() {
        let (one, two) = (new_id(), new_id());
        assert_ne!(one, two);
        assert_eq!((one[6] >> 4, one[8] >> 6), (4, 2));
    }
}
