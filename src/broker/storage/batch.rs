//! The header of a record batch of format 2 (Kafka's documentation, "Record Batch"), no more of it
//! than storage needs. It moves to `src/wire` when that has one.

use super::error::{Error, Result};
use crate::wire::crc32c;

/// Bytes of a batch's header, which is never compressed.
pub(super) const HEADER: usize = 61;

/// Where the bytes begin that the checksum covers: all but the fields that a broker sets.
pub(super) const CHECKED: usize = 21;

/// Bytes before the ones that the length field counts.
const UNCOUNTED: usize = 12;

const CODEC: i16 = 0b111;
const APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// The leader epoch of every batch: one node is the leader for ever.
const LEADER_EPOCH: i32 = 0;

/// A batch's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Offset of the first record.
    pub(super) base_offset: i64,
    /// Bytes of the whole batch, with the header.
    pub(super) size: usize,
    /// Set by the broker.
    pub(super) leader_epoch: i32,
    /// CRC-32C of the bytes from [`CHECKED`] on.
    pub(super) crc: u32,
    attributes: i16,
    /// Offset of the last record from `base_offset`.
    pub(super) last_delta: i32,
    /// What the timestamps of the records are added to.
    pub(super) base_time: i64,
    /// The largest timestamp of a record; -1 for none.
    pub(super) max_time: i64,
    /// -1 for a producer that is not idempotent.
    pub(super) producer_id: i64,
    /// Epoch of the producer.
    pub(super) producer_epoch: i16,
    /// Sequence number of the first record.
    pub(super) base_sequence: i32,
    /// Number of records.
    pub(super) count: i32,
}

impl Header {
    /// Reads a header; `None` when there are too few bytes for one, it is of another format, or its
    /// length or last offset cannot be.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let base_offset = i64::from_be_bytes(fields.take()?);
        let length = i32::from_be_bytes(fields.take()?);
        let leader_epoch = i32::from_be_bytes(fields.take()?);
        let [2] = fields.take()? else { return None };
        let header = Self {
            base_offset,
            size: usize::try_from(length).ok()? + UNCOUNTED,
            leader_epoch,
            crc: u32::from_be_bytes(fields.take()?),
            attributes: i16::from_be_bytes(fields.take()?),
            last_delta: i32::from_be_bytes(fields.take()?),
            base_time: i64::from_be_bytes(fields.take()?),
            max_time: i64::from_be_bytes(fields.take()?),
            producer_id: i64::from_be_bytes(fields.take()?),
            producer_epoch: i16::from_be_bytes(fields.take()?),
            base_sequence: i32::from_be_bytes(fields.take()?),
            count: i32::from_be_bytes(fields.take()?),
        };
        (header.size >= HEADER && header.last_delta >= 0).then_some(header)
    }

    /// Offset of the last record.
    pub(super) fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_delta))
    }

    /// The offset that follows the batch.
    pub(super) fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence number of the last record; they go round after `i32::MAX`.
    pub(super) fn last_sequence(&self) -> i32 {
        ((i64::from(self.base_sequence) + i64::from(self.last_delta)) & i64::from(i32::MAX)) as i32
    }

    /// Number of the codec that the records are compressed with; 0 for none.
    pub(super) fn codec(&self) -> u8 {
        (self.attributes & CODEC) as u8
    }

    /// True when every record's timestamp is `max_time`, set by the broker.
    pub(super) fn is_append_time(&self) -> bool {
        self.attributes & APPEND_TIME != 0
    }

    /// True for a part of a transaction.
    pub(super) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// True for a marker that ends a transaction.
    pub(super) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// True when the batch stands where it was put by [`stamp`]: no gap before it.
    pub(super) fn follows(&self, offset: i64) -> bool {
        self.base_offset == offset && self.leader_epoch == LEADER_EPOCH
    }
}

/// Fields in a row.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

/// Splits the first batch, whole and with a right checksum, from those that follow.
pub(super) fn split_first(bytes: &mut [u8]) -> Result<(Header, &mut [u8], &mut [u8])> {
    if let Some(&magic) = bytes.get(16)
        && magic != 2
    {
        return Err(Error::UnsupportedFormat(magic as i8));
    }
    let header = Header::parse(bytes).ok_or(Error::CorruptMessage("no whole header"))?;
    let (batch, rest) = bytes.split_at_mut_checked(header.size).ok_or(Error::CorruptMessage("cut off"))?;
    if batch.get(CHECKED..).map(crc32c) != Some(header.crc) {
        return Err(Error::CorruptMessage("wrong checksum"));
    }
    Ok((header, batch, rest))
}

/// What a broker asks of a client's batch beyond its checksum.
pub(super) fn check_client(header: &Header, limit: usize) -> Result<()> {
    let invalid = |why| Err(Error::InvalidRecord(why));
    if header.size > limit {
        return Err(Error::MessageTooLarge { size: header.size, limit });
    }
    if header.count < 1 || header.count - 1 != header.last_delta {
        return invalid("its last offset does not fit the number of records");
    }
    if header.is_control() {
        return invalid("a client cannot send markers");
    }
    if header.codec() > 4 {
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
pub(super) fn stamp_time(batch: &mut [u8], header: &mut Header, now: i64) {
    header.attributes |= APPEND_TIME;
    header.max_time = now;
    set(batch, 21, &header.attributes.to_be_bytes());
    set(batch, 35, &now.to_be_bytes());
    header.crc = batch.get(CHECKED..).map_or(0, crc32c);
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
    let size = HEADER + record.len();
    let mut batch = Vec::with_capacity(size);
    batch.extend_from_slice(&0_i64.to_be_bytes());
    batch.extend_from_slice(&((size - UNCOUNTED) as i32).to_be_bytes());
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
    let crc = crc32c(batch.get(CHECKED..).unwrap_or_default());
    set(&mut batch, 17, &crc.to_be_bytes());
    batch
}

/// Bytes of a marker: every one has this size.
pub(super) const MARKER: usize = HEADER + 17;

/// True for a marker that commits; the bytes are those of the whole batch.
pub(super) fn is_commit(marker: &[u8]) -> bool {
    // Length, attributes, time delta, offset delta and key length are one byte each; then the key.
    marker.get(HEADER + 5..HEADER + 9).is_some_and(|key| key.ends_with(&[0, 1]))
}
