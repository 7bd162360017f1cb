//! What the leader of the classic protocol tells the members.

use std::collections::BTreeSet;

use super::subscription::{by_topic, partitions};
use crate::record::TopicPartition;
use crate::wire::messages::ConsumerProtocolAssignment;
use crate::wire::{DecodeError, EncodeError};

/// The bytes of an assignment, as `ConsumerProtocol.serializeAssignment` writes them.
///
/// # Errors
/// If a name is too long.
pub fn encode(places: &[TopicPartition]) -> Result<Vec<u8>, EncodeError> {
    let sorted: BTreeSet<&TopicPartition> = places.iter().collect();
    ConsumerProtocolAssignment { assigned_partitions: by_topic(sorted), user_data: None }.encode()
}

/// Reads any version. No bytes at all are no partitions: a leader that knows nothing of a member tells it
/// nothing.
///
/// # Errors
/// If the bytes are something else.
pub fn decode(bytes: &[u8]) -> Result<Vec<TopicPartition>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(partitions(&ConsumerProtocolAssignment::decode(bytes)?.assigned_partitions))
}
