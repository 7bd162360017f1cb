//! Writing record batches: records go straight into the bytes that are sent.

use super::super::batch::{BEFORE_LENGTH, BatchHead, HEAD, TRANSACTIONAL};
use super::decode::BatchRecords;
use super::error::RecordsError;
use super::pack::Packer;
use super::unpack::Unpacker;
use super::varint;
use crate::record::Headers;

/// The most bytes that a batch's length field can say.
const MOST: usize = i32::MAX as usize;

/// The idempotent or transactional producer of a batch (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence number of the batch's first record.
    pub base_sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transaction: Transaction,
}

/// Whether a batch is part of its producer's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// It is not.
    Outside,
    /// It is.
    Inside,
}

/// A record that would make a batch larger than its format can say (2 GiB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record batch larger than 2 GiB")]
pub struct TooLong;

/// The differences from its batch that a record holds.
#[derive(Debug, Clone, Copy)]
struct Deltas {
    timestamp: i64,
    offset: i64,
}

/// A batch that records are appended to: one buffer, with the head's place left free in front.
#[derive(Debug, Default)]
pub struct BatchBuffer {
    bytes: Vec<u8>,
    records: i32,
    first_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuffer {
    /// An empty batch, without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for `bytes`, head included.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes.saturating_add(varint::Row::ROOM)), ..Self::default() }
    }

    /// An empty batch in a buffer that was used before.
    fn from_bytes(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, ..Self::default() }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        usize::try_from(self.records).unwrap_or_default()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes of the batch, head included, as long as it is not compressed.
    pub fn size(&self) -> usize {
        self.bytes.len().max(HEAD)
    }

    /// Bytes it has room for, head included, as [`Self::with_capacity`] takes them.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity().saturating_sub(varint::Row::ROOM)
    }

    /// The first record's timestamp, which those of the others are relative to (ms since 1970).
    pub fn first_timestamp(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.first_timestamp)
    }

    /// The largest timestamp of a record (ms since 1970).
    pub fn max_timestamp(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.max_timestamp)
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        *self = Self::from_bytes(std::mem::take(&mut self.bytes));
    }

    /// The bytes, exactly, by which a record would make the batch longer.
    #[inline]
    pub fn size_of_next<H: Headers + ?Sized>(
        &self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &H,
    ) -> usize {
        let length = length(self.deltas(timestamp), key, value, headers);
        varint::size(length as i64) + length
    }

    /// Appends a record. Its timestamp (ms since 1970) is taken as it is: `now` is the caller's to know.
    ///
    /// # Errors
    /// If the batch would be larger than 2 GiB; it is as it was.
    #[inline]
    pub fn append<H: Headers + ?Sized>(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &H,
    ) -> Result<(), TooLong> {
        let deltas = self.deltas(timestamp);
        let length = length(deltas, key, value, headers);
        if length > MOST.saturating_sub(self.bytes.len() + HEAD) {
            return Err(TooLong);
        }
        self.begin(timestamp);
        let bytes = &mut self.bytes;
        bytes.reserve(varint::size(length as i64) + length + varint::Row::ROOM);
        let value_length = value.map_or(NULL, |value| value.len() as i64);
        varint::Row::append(bytes, |row| {
            // The attributes of a record are 0: none are defined.
            row.put(length as i64).put(0).put(deltas.timestamp).put(deltas.offset);
            match key {
                Some(key) => row.put(key.len() as i64),
                None => row.put(NULL).put(value_length),
            };
        });
        if let Some(key) = key {
            bytes.extend_from_slice(key);
            varint::Row::append(bytes, |row| _ = row.put(value_length));
        }
        bytes.extend_from_slice(value.unwrap_or_default());
        put_headers(bytes, headers);
        self.records += 1;
        Ok(())
    }

    #[inline]
    fn begin(&mut self, timestamp: i64) {
        if self.records == 0 {
            self.bytes.resize(HEAD, 0);
            self.first_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    #[inline]
    fn deltas(&self, timestamp: i64) -> Deltas {
        let first = if self.records == 0 { timestamp } else { self.first_timestamp };
        Deltas { timestamp: timestamp.wrapping_sub(first), offset: i64::from(self.records) }
    }

    /// Makes the batch ready to be sent: head, compression, checksum. It must have records: no broker
    /// takes a batch without.
    pub fn seal(mut self, producer: Option<Producer>, packer: &mut Packer) -> SealedBatch {
        let codec = packer.pack(&mut self.bytes);
        let head = BatchHead {
            base_offset: 0,
            batch_length: (self.size() - BEFORE_LENGTH) as i32,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: i16::from(codec.number()),
            last_offset_delta: (self.records - 1).max(0),
            base_timestamp: self.first_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records_count: self.records,
        };
        self.bytes.resize(self.size(), 0);
        let mut sealed = SealedBatch { bytes: self.bytes, head };
        sealed.stamp(producer);
        sealed
    }
}

/// Bytes of a record after the number that tells them.
#[inline]
fn length<H: Headers + ?Sized>(
    deltas: Deltas,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &H,
) -> usize {
    1 + varint::size(deltas.timestamp)
        + varint::size(deltas.offset)
        + bytes_length(key)
        + bytes_length(value)
        + headers_length(headers)
}

#[inline]
fn bytes_length(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::size(bytes.len() as i64) + bytes.len())
}

#[inline]
fn headers_length<H: Headers + ?Sized>(headers: &H) -> usize {
    let count = headers.count();
    let mut length = varint::size(count as i64);
    if count > 0 {
        headers.for_each(&mut |name, value| length += bytes_length(Some(name)) + bytes_length(value));
    }
    length
}

#[inline]
fn put_bytes(into: &mut Vec<u8>, bytes: Option<&[u8]>) {
    varint::put(into, bytes.map_or(NULL, |bytes| bytes.len() as i64));
    into.extend_from_slice(bytes.unwrap_or_default());
}

/// The length of what is null.
const NULL: i64 = -1;

#[inline]
fn put_headers<H: Headers + ?Sized>(into: &mut Vec<u8>, headers: &H) {
    let count = headers.count();
    varint::put(into, count as i64);
    if count > 0 {
        headers.for_each(&mut |name, value| {
            put_bytes(into, Some(name));
            put_bytes(into, value);
        });
    }
}

/// A batch as it is sent.
#[derive(Debug)]
pub struct SealedBatch {
    bytes: Vec<u8>,
    head: BatchHead,
}

impl SealedBatch {
    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of memory it holds.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Its head.
    pub fn head(&self) -> &BatchHead {
        &self.head
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        usize::try_from(self.head.records_count).unwrap_or_default()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets the producer, its epoch and sequence, as often as need be: the records stay as they are,
    /// only the checksum is computed again.
    pub fn stamp(&mut self, producer: Option<Producer>) {
        let head = &mut self.head;
        let attributes = head.attributes & !TRANSACTIONAL;
        (head.producer_id, head.producer_epoch, head.base_sequence, head.attributes) = match producer {
            None => (-1, -1, -1, attributes),
            Some(Producer { id, epoch, base_sequence, transaction }) => match transaction {
                Transaction::Outside => (id, epoch, base_sequence, attributes),
                Transaction::Inside => (id, epoch, base_sequence, attributes | TRANSACTIONAL),
            },
        };
        head.write(&mut self.bytes);
    }

    /// Reads the records back, to report or to split them. Their offsets count from 0.
    ///
    /// # Errors
    /// If they cannot be decompressed.
    pub fn records<'s>(&'s self, unpacker: &'s mut Unpacker) -> Result<BatchRecords<'s>, RecordsError> {
        let packed = self.bytes.get(HEAD..).unwrap_or_default();
        BatchRecords::open(&self.head, packed, unpacker, 0)
    }

    /// An empty batch with this one's memory.
    pub fn recycle(self) -> BatchBuffer {
        BatchBuffer::from_bytes(self.bytes)
    }
}
