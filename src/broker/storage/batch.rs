//! What a broker does with a record batch beyond reading its head: it judges, stamps, and writes the
//! markers that end transactions.

use super::error::{Error, Result};
use crate::wire::batch::{
    BEFORE_LENGTH, BatchHead, CHECKED_FROM, CONTROL, HEAD, LOG_APPEND_TIME, TRANSACTIONAL,
};
use crate::wire::{Codec, crc32c};

/// The leader epoch of every batch: one node is the leader for ever.
const LEADER_EPOCH: i32 = 0;

/// Reads a head; `None` when there are too few bytes for one, or they are not that of a batch.
pub(super) fn head(bytes: &[u8]) -> Option<BatchHead> {
    BatchHead::read(bytes).ok().flatten()
}

/// True when the batch stands where it was put by [`stamp`]: no gap before it.
pub(super) fn follows(head: &BatchHead, offset: i64) -> bool {
    head.base_offset == offset && head.partition_leader_epoch == LEADER_EPOCH
}

/// Splits the first batch, whole and with a right checksum, from those that follow.
pub(super) fn split_first(bytes: &mut [u8]) -> Result<(BatchHead, &mut [u8], &mut [u8])> {
    if let Some(&magic) = bytes.get(16)
        && magic != 2
    {
        return Err(Error::UnsupportedFormat(magic as i8));
    }
    let header = head(bytes).ok_or(Error::CorruptMessage("no whole header"))?;
    let (batch, rest) = bytes.split_at_mut_checked(header.size()).ok_or(Error::CorruptMessage("cut off"))?;
    if batch.get(CHECKED_FROM..).map(crc32c) != Some(header.crc) {
        return Err(Error::CorruptMessage("wrong checksum"));
    }
    Ok((header, batch, rest))
}

/// What a broker asks of a client's batch beyond its checksum.
pub(super) fn check_client(header: &BatchHead, limit: usize) -> Result<()> {
    let invalid = |why| Err(Error::InvalidRecord(why));
    if header.size() > limit {
        return Err(Error::MessageTooLarge { size: header.size(), limit });
    }
    if header.records_count < 1 || header.records_count - 1 != header.last_offset_delta {
        return invalid("its last offset does not fit the number of records");
    }
    if header.is_control() {
        return invalid("a client cannot send markers");
    }
    if Codec::from_number(header.compression()).is_none() {
        return invalid("unknown compression");
    }
    if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return invalid("a producer id without epoch and sequence");
    }
    if header.producer_id < 0 && header.is_transactional() {
        return invalid("a transaction without a producer id");
    }
    Ok(())
}

/// Gives a batch its place in the log. The checksum does not cover these fields.
pub(super) fn stamp(batch: &mut [u8], base_offset: i64) {
    set(batch, 0, &base_offset.to_be_bytes());
    set(batch, 12, &LEADER_EPOCH.to_be_bytes());
}

/// Gives all records of a batch the time `now` and makes its checksum right again.
pub(super) fn stamp_time(batch: &mut [u8], header: &mut BatchHead, now: i64) {
    header.attributes |= LOG_APPEND_TIME;
    header.max_timestamp = now;
    set(batch, 21, &header.attributes.to_be_bytes());
    set(batch, 35, &now.to_be_bytes());
    header.crc = batch.get(CHECKED_FROM..).map_or(0, crc32c);
    set(batch, 17, &header.crc.to_be_bytes());
}

fn set<const N: usize>(bytes: &mut [u8], at: usize, field: &[u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *place = *field;
    }
}

/// The batch that ends a transaction (Kafka's documentation, "Control Batches"): one record whose key
/// is version and type, and whose value is version and coordinator epoch. The base offset is not set.
pub(super) fn marker(producer_id: i64, epoch: i16, commit: bool, now: i64) -> Vec<u8> {
    // Lengths and deltas are zigzag varints: 2n for a small n.
    let record =
        [&[32, 0, 0, 0, 8][..], &[0, 0, 0, u8::from(commit)], &[12], &[0, 0, 0, 0, 0, 0], &[0]].concat();
    let size = HEAD + record.len();
    let mut batch = Vec::with_capacity(size);
    batch.extend_from_slice(&0_i64.to_be_bytes());
    batch.extend_from_slice(&((size - BEFORE_LENGTH) as i32).to_be_bytes());
    batch.extend_from_slice(&LEADER_EPOCH.to_be_bytes());
    batch.push(2);
    batch.extend_from_slice(&[0; 4]);
    batch.extend_from_slice(&(TRANSACTIONAL | CONTROL).to_be_bytes());
    batch.extend_from_slice(&0_i32.to_be_bytes());
    batch.extend_from_slice(&now.to_be_bytes());
    batch.extend_from_slice(&now.to_be_bytes());
    batch.extend_from_slice(&producer_id.to_be_bytes());
    batch.extend_from_slice(&epoch.to_be_bytes());
    batch.extend_from_slice(&(-1_i32).to_be_bytes());
    batch.extend_from_slice(&1_i32.to_be_bytes());
    batch.extend_from_slice(&record);
    let crc = crc32c(batch.get(CHECKED_FROM..).unwrap_or_default());
    set(&mut batch, 17, &crc.to_be_bytes());
    batch
}

/// Bytes of a marker: every one has this size.
pub(super) const MARKER: usize = HEAD + 17;

/// True for a marker that commits; the bytes are those of the whole batch.
pub(super) fn is_commit(marker: &[u8]) -> bool {
    // Length, attributes, time delta, offset delta and key length are one byte each; then the key.
    marker.get(HEAD + 5..HEAD + 9).is_some_and(|key| key.ends_with(&[0, 1]))
}
