//! Record batches (magic 2, KIP-98): their heads, which is all that a broker looks at.
//!
//! A batch is 61 bytes of head, then records, compressed as one if at all. Base offset and leader
//! epoch stand before what the checksum covers, so a broker sets them in place and leaves the
//! rest as it came. The layout is in the protocol guide, "Record Batch".

use super::crc32c::crc32c;
use super::reader::Reader;

/// The head's length in bytes: the least that a batch takes.
pub const HEAD: usize = 61;
/// Base offset and length, which the length does not count.
pub(crate) const BEFORE_LENGTH: usize = 12;
/// Where the format's version stands, in every version.
const MAGIC_AT: usize = 16;
/// The format's version.
const MAGIC: u8 = 2;
/// Where the checksum stands.
const CRC_AT: usize = 17;
/// From where on the checksum covers a batch.
pub const CHECKED_FROM: usize = 21;

const COMPRESSION: i16 = 0b111;
pub(crate) const LOG_APPEND_TIME: i16 = 1 << 3;
pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
pub(crate) const CONTROL: i16 = 1 << 5;

/// Bytes that are not the record batch they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A format from before Kafka 0.11, or none at all.
    #[error("records in format {magic} at offset {base_offset}, only format 2 is read")]
    Magic {
        /// The format's version.
        magic: i8,
        /// The batch's first offset.
        base_offset: i64,
    },
    /// A length smaller than the head's.
    #[error("a record batch of {length} bytes at offset {base_offset}, which is too short")]
    Length {
        /// The length it claims.
        length: i32,
        /// The batch's first offset.
        base_offset: i64,
    },
    /// A checksum that is not that of the bytes.
    #[error("a record batch at offset {base_offset} whose checksum is wrong")]
    Checksum {
        /// The batch's first offset.
        base_offset: i64,
    },
    /// A negative number of records, or a last offset before the first.
    #[error("a record batch at offset {base_offset} with {records} records to offset +{last_offset_delta}")]
    Count {
        /// The batch's first offset.
        base_offset: i64,
        /// How many records it claims.
        records: i32,
        /// How much larger the last offset is than the first.
        last_offset_delta: i32,
    },
}

impl BatchError {
    /// The batch's first offset.
    pub fn base_offset(&self) -> i64 {
        match *self {
            Self::Magic { base_offset, .. }
            | Self::Length { base_offset, .. }
            | Self::Checksum { base_offset }
            | Self::Count { base_offset, .. } => base_offset,
        }
    }
}

/// The head of a record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHead {
    /// The offset of the first record.
    pub base_offset: i64,
    /// The bytes of the batch after this number: 12 less than all.
    pub batch_length: i32,
    /// The epoch of the leader that appended it; -1 from a producer.
    pub partition_leader_epoch: i32,
    /// The CRC32C of everything after it.
    pub crc: u32,
    /// How it is compressed, and properties, which have methods here.
    pub attributes: i16,
    /// How much larger the last record's offset is than the first's, also if that was compacted away.
    pub last_offset_delta: i32,
    /// The timestamp that the records' are relative to, in ms since 1970.
    pub base_timestamp: i64,
    /// The largest timestamp of a record, in ms since 1970.
    pub max_timestamp: i64,
    /// The idempotent or transactional producer; -1 for neither.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// The first record's sequence number; -1 without a producer id.
    pub base_sequence: i32,
    /// How many records.
    pub records_count: i32,
}

impl BatchHead {
    /// Reads the head at the start of `bytes`; none if they end before it does.
    ///
    /// # Errors
    /// If it is another format, or numbers in it contradict each other.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, BatchError> {
        Self::magic_is_known(bytes)?;
        let Some(head) = Self::fields(&mut Reader::new(bytes)) else { return Ok(None) };
        let Self { base_offset, batch_length, last_offset_delta, records_count, .. } = head;
        if (batch_length as i64) < (HEAD - BEFORE_LENGTH) as i64 {
            return Err(BatchError::Length { length: batch_length, base_offset });
        }
        if records_count < 0 || last_offset_delta < 0 || head.last_offset_checked().is_none() {
            let records = records_count;
            return Err(BatchError::Count { base_offset, records, last_offset_delta });
        }
        Ok(Some(head))
    }

    /// Older formats are told as soon as the byte that names them is there: they can be shorter.
    fn magic_is_known(bytes: &[u8]) -> Result<(), BatchError> {
        match (bytes.first_chunk(), bytes.get(MAGIC_AT)) {
            (Some(offset), Some(&magic)) if magic != MAGIC => {
                Err(BatchError::Magic { magic: magic as i8, base_offset: i64::from_be_bytes(*offset) })
            }
            _ => Ok(()),
        }
    }

    fn fields(r: &mut Reader<'_>) -> Option<Self> {
        let (base_offset, batch_length) = (r.i64().ok()?, r.i32().ok()?);
        let partition_leader_epoch = r.i32().ok()?;
        r.i8().ok()?;
        Some(Self {
            base_offset,
            batch_length,
            partition_leader_epoch,
            crc: r.u32().ok()?,
            attributes: r.i16().ok()?,
            last_offset_delta: r.i32().ok()?,
            base_timestamp: r.i64().ok()?,
            max_timestamp: r.i64().ok()?,
            producer_id: r.i64().ok()?,
            producer_epoch: r.i16().ok()?,
            base_sequence: r.i32().ok()?,
            records_count: r.i32().ok()?,
        })
    }

    /// Writes it over the first bytes of a batch and sets the checksum there (and here) to that of
    /// what follows. Does nothing with fewer bytes than a head has.
    pub fn write(&mut self, batch: &mut [u8]) {
        let Some(head) = batch.first_chunk_mut() else { return };
        *head = self.bytes();
        self.crc = crc32c(batch.get(CHECKED_FROM..).unwrap_or_default());
        set(batch, CRC_AT, self.crc.to_be_bytes());
    }

    fn bytes(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        set(&mut head, 0, self.base_offset.to_be_bytes());
        set(&mut head, 8, self.batch_length.to_be_bytes());
        set(&mut head, 12, self.partition_leader_epoch.to_be_bytes());
        set(&mut head, MAGIC_AT, [MAGIC]);
        set(&mut head, CRC_AT, self.crc.to_be_bytes());
        set(&mut head, 21, self.attributes.to_be_bytes());
        set(&mut head, 23, self.last_offset_delta.to_be_bytes());
        set(&mut head, 27, self.base_timestamp.to_be_bytes());
        set(&mut head, 35, self.max_timestamp.to_be_bytes());
        set(&mut head, 43, self.producer_id.to_be_bytes());
        set(&mut head, 51, self.producer_epoch.to_be_bytes());
        set(&mut head, 53, self.base_sequence.to_be_bytes());
        set(&mut head, 57, self.records_count.to_be_bytes());
        head
    }

    /// The bytes of the batch, head included.
    pub fn size(&self) -> usize {
        BEFORE_LENGTH + usize::try_from(self.batch_length).unwrap_or_default()
    }

    /// The offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset that follows the last record's.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// The last record's sequence number; they go round after `i32::MAX`.
    pub fn last_sequence(&self) -> i32 {
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) & i64::from(i32::MAX)) as i32
    }

    fn last_offset_checked(&self) -> Option<i64> {
        self.base_offset.checked_add(i64::from(self.last_offset_delta))?.checked_add(1)
    }

    /// How the records are compressed: 0 not, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 mean nothing.
    pub fn compression(&self) -> u8 {
        (self.attributes & COMPRESSION) as u8
    }

    /// Whether the broker set the timestamps, to [`Self::max_timestamp`] for all.
    pub fn has_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether it is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it holds a transaction's end, not records of a user.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
}

/// A whole record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Its head.
    pub head: BatchHead,
    /// All of it, head included.
    pub bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Splits the first batch off `bytes`, and gives what follows it; none if it is cut off.
    /// Its checksum is not looked at.
    ///
    /// # Errors
    /// As [`BatchHead::read`].
    pub fn split(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, BatchError> {
        let Some(head) = BatchHead::read(bytes)? else { return Ok(None) };
        let split = bytes.split_at_checked(head.size());
        Ok(split.map(|(bytes, rest)| (Self { head, bytes }, rest)))
    }

    /// What follows the head: the records, compressed as [`BatchHead::compression`] says.
    pub fn records(&self) -> &'a [u8] {
        self.bytes.get(HEAD..).unwrap_or_default()
    }

    /// Checks the checksum.
    ///
    /// # Errors
    /// If it is that of other bytes.
    pub fn check(&self) -> Result<(), BatchError> {
        let checked = self.bytes.get(CHECKED_FROM..).unwrap_or_default();
        if crc32c(checked) == self.head.crc {
            return Ok(());
        }
        Err(BatchError::Checksum { base_offset: self.head.base_offset })
    }
}

/// Walks batches that stand one after another, as in a segment or in a fetch response. A batch
/// that is cut off ends the walk: the broker sends as many bytes as were asked for, not as many
/// batches. An error ends it too.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Batches<'a> {
    /// The batches in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, failed: false }
    }

    /// What has not been walked: at the end, the batch that is cut off or in error.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match Batch::split(self.rest) {
            Ok(None) => None,
            Ok(Some((batch, rest))) => {
                self.rest = rest;
                Some(Ok(batch))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

/// Sets the offset of a batch's first record, in place. The checksum stays right.
pub fn set_base_offset(batch: &mut [u8], offset: i64) {
    set(batch, 0, offset.to_be_bytes());
}

/// Sets the epoch of the leader that appends a batch, in place. The checksum stays right.
pub fn set_leader_epoch(batch: &mut [u8], epoch: i32) {
    set(batch, BEFORE_LENGTH, epoch.to_be_bytes());
}

/// Overwrites a field; does nothing where the bytes end before it.
fn set<const N: usize>(bytes: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = field;
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::records::{
        Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    };

    use super::super::arbitrary::Gen;
    use super::*;

    fn record(offset: i64, first: i64) -> Record {
        Record {
            transactional: true,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 4,
            producer_id: 1 << 40,
            producer_epoch: 9,
            timestamp_type: TimestampType::Creation,
            offset,
            sequence: 100 + (offset - first) as i32,
            timestamp: 1_700_000_000_000 + 10 * (offset - first),
            key: None,
            value: Some(vec![b'x'; offset as usize % 100].into()),
            headers: Default::default(),
        }
    }

    /// A batch of `count` records from offset `first` on, by the oracle.
    fn batch(first: i64, count: i64) -> Vec<u8> {
        let records: Vec<Record> = (first..first + count).map(|at| record(at, first)).collect();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        let mut bytes = Vec::new();
        RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
        bytes
    }

    fn offsets(batches: &mut Batches<'_>) -> Vec<(i64, i64)> {
        let offsets = |batch: Batch<'_>| (batch.head.base_offset, batch.head.last_offset());
        batches.map(|batch| offsets(batch.unwrap())).collect()
    }

    #[test]
    fn a_head_is_the_oracles() {
        let bytes = batch(1000, 25);
        let (batch, rest) = Batch::split(&bytes).unwrap().unwrap();
        let expected = BatchHead {
            base_offset: 1000,
            batch_length: bytes.len() as i32 - 12,
            partition_leader_epoch: 4,
            crc: u32::from_be_bytes(bytes[17..21].try_into().unwrap()),
            attributes: TRANSACTIONAL,
            last_offset_delta: 24,
            base_timestamp: 1_700_000_000_000,
            max_timestamp: 1_700_000_000_240,
            producer_id: 1 << 40,
            producer_epoch: 9,
            base_sequence: 100,
            records_count: 25,
        };
        assert_eq!((batch.head, rest.len()), (expected, 0));
        assert_eq!((batch.head.last_offset(), batch.head.size()), (1024, bytes.len()));
        assert!(batch.head.is_transactional() && !batch.head.is_control());
        assert_eq!(batch.records().len(), bytes.len() - HEAD);
        assert_eq!(batch.check(), Ok(()));

        let mut written = bytes.clone();
        written[..HEAD].fill(0xee);
        BatchHead { crc: 0, ..expected }.write(&mut written);
        assert_eq!(written, bytes);
    }

    #[test]
    fn offset_and_epoch_are_set_in_place() {
        let mut bytes = batch(0, 7);
        set_base_offset(&mut bytes, 5_000_000_000);
        set_leader_epoch(&mut bytes, 12);
        let (batch, _) = Batch::split(&bytes).unwrap().unwrap();
        assert_eq!((batch.head.base_offset, batch.head.partition_leader_epoch), (5_000_000_000, 12));
        assert_eq!(batch.check(), Ok(()));
        let theirs = RecordBatchDecoder::decode(&mut &bytes[..]).unwrap();
        let offsets: Vec<i64> = theirs.records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (5_000_000_000..5_000_000_007).collect::<Vec<_>>());
    }

    #[test]
    fn a_batch_that_is_cut_off_ends_the_walk() {
        let (first, second) = (batch(0, 3), batch(3, 40));
        let both = [&first[..], &second[..]].concat();
        for end in 0..=both.len() {
            let mut batches = Batches::new(&both[..end]);
            let (expected, walked) = match end {
                end if end < first.len() => (vec![], 0),
                end if end < both.len() => (vec![(0, 2)], first.len()),
                _ => (vec![(0, 2), (3, 42)], both.len()),
            };
            assert_eq!(offsets(&mut batches), expected, "cut at {end}");
            assert_eq!(batches.rest().len(), end - walked);
        }
    }

    #[test]
    fn every_damaged_byte_that_matters_is_found() {
        let bytes = batch(77, 3);
        for at in CHECKED_FROM..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let found = match Batch::split(&damaged) {
                Ok(batch) => batch.unwrap().0.check().is_err(),
                Err(_) => true,
            };
            assert!(found, "byte {at}");
        }
    }

    #[test]
    fn other_formats_and_contradictions_are_refused() {
        let damaged = |at: usize, value: &[u8]| {
            let mut bytes = batch(5, 2);
            bytes[at..at + value.len()].copy_from_slice(value);
            BatchHead::read(&bytes).unwrap_err()
        };
        let base_offset = 5;
        assert_eq!(damaged(16, &[1]), BatchError::Magic { magic: 1, base_offset });
        assert_eq!(damaged(8, &[0, 0, 0, 48]), BatchError::Length { length: 48, base_offset });
        assert_eq!(damaged(8, &[0xff; 4]), BatchError::Length { length: -1, base_offset });
        let (records, last_offset_delta) = (-1, 1);
        let count = BatchError::Count { base_offset, records, last_offset_delta };
        assert_eq!(damaged(57, &[0xff; 4]), count);
        let text = count.to_string();
        assert_eq!(text, "a record batch at offset 5 with -1 records to offset +1");
        let end = i64::MAX.to_be_bytes();
        assert!(matches!(damaged(0, &end), BatchError::Count { .. }));
    }

    #[test]
    fn an_old_format_is_told_before_its_short_head_ends() {
        let mut old = [0; 20];
        old[16] = 1;
        let mut batches = Batches::new(&old);
        assert!(matches!(batches.next(), Some(Err(BatchError::Magic { magic: 1, .. }))));
        assert_eq!(batches.next(), None);
    }

    #[test]
    fn random_bytes_are_survived() {
        let mut g = Gen::new(3);
        for _ in 0..20_000 {
            let mut bytes = g.bytes(150);
            // Half of them as the format that is read, or nothing else would be reached.
            bytes.get_mut(16).into_iter().for_each(|magic| *magic &= 2);
            set_base_offset(&mut bytes, 0);
            set_leader_epoch(&mut bytes, 0);
            let mut batches = Batches::new(&bytes);
            let walked: usize = batches.by_ref().flatten().map(|batch| batch.bytes.len()).sum();
            assert_eq!(walked + batches.rest().len(), bytes.len());
        }
    }
}
