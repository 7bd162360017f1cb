//! Reading the records of one batch where they stand.

use std::ops::ControlFlow;

use super::super::batch::BatchHead;
use super::super::codec::Codec;
use super::error::{Flaw, RecordsError, Wrong};
use super::unpack::Unpacker;
use super::varint;
use super::walk::last;
use crate::record::{EachHeader, Headers, RecordRef, TimestampType};

/// A record, borrowed from fetched bytes or from what they were decompressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedRecord<'a> {
    /// Offset.
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC; -1 when there is none.
    pub timestamp: i64,
    /// What `timestamp` means.
    pub timestamp_type: TimestampType,
    /// Key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is null (a tombstone).
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: RecordHeaders<'a>,
}

impl DecodedRecord<'_> {
    /// As what a sink is lent.
    #[inline]
    pub fn lend<'r>(&'r self, topic: &'r str, partition: i32) -> RecordRef<'r> {
        RecordRef {
            topic,
            partition,
            offset: self.offset,
            timestamp: self.timestamp,
            timestamp_type: self.timestamp_type,
            key: self.key,
            value: self.value,
            headers: &self.headers,
        }
    }
}

/// The headers of a record, as bytes that were found to hold so many; parsed when asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordHeaders<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> RecordHeaders<'a> {
    /// Takes them off the end of a record.
    #[inline]
    fn take(rest: &'a [u8]) -> Result<Self, Wrong> {
        // Most records have none.
        if let [0] = rest { Ok(Self::default()) } else { Self::take_some(rest) }
    }

    fn take_some(mut rest: &'a [u8]) -> Result<Self, Wrong> {
        let count = int(&mut rest)?;
        let headers = Self { bytes: rest, count: usize::try_from(count).map_err(|_| Wrong::Length(count))? };
        if count > 0 {
            rest = headers.check()?;
        }
        if rest.is_empty() { Ok(headers) } else { Err(Wrong::Trailing(rest.len())) }
    }

    /// Finds as many headers as there should be, and what follows them.
    fn check(self) -> Result<&'a [u8], Wrong> {
        let mut rest = self.bytes;
        // Each takes two bytes: a count that lies ends soon.
        for _ in 0..self.count {
            take_header(&mut rest)?;
        }
        Ok(rest)
    }

    /// Name and value of each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| take_header(&mut rest).ok())
    }
}

impl Headers for RecordHeaders<'_> {
    fn for_each(&self, each: EachHeader<'_>) {
        self.iter().for_each(|(name, value)| each(name, value));
    }

    fn count(&self) -> usize {
        self.count
    }
}

fn take_header<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Wrong> {
    Ok((take_bytes(rest)?.ok_or(Wrong::Length(-1))?, take_bytes(rest)?))
}

#[inline]
fn int(rest: &mut &[u8]) -> Result<i32, Wrong> {
    varint::take_int(rest).ok_or_else(|| no_number(rest))
}

/// Why there is no number at the front.
#[cold]
fn no_number(rest: &[u8]) -> Wrong {
    let ends = rest.len() >= varint::LONGEST || rest.iter().any(|byte| *byte < 0x80);
    if ends { Wrong::Varint } else { Wrong::CutOff }
}

/// Takes a length and as many bytes; none for a length of -1.
#[inline]
fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Wrong> {
    match int(rest)? {
        -1 => Ok(None),
        len => take(rest, len).map(Some),
    }
}

#[inline]
fn take<'a>(rest: &mut &'a [u8], len: i32) -> Result<&'a [u8], Wrong> {
    let Ok(len) = usize::try_from(len) else { return Err(Wrong::Length(len)) };
    let (bytes, tail) = rest.split_at_checked(len).ok_or(Wrong::CutOff)?;
    *rest = tail;
    Ok(bytes)
}

/// What the timestamps of a batch's records are made of.
#[derive(Debug, Clone, Copy)]
enum Time {
    /// This, and what each record adds.
    From(i64),
    /// This, for all: the time of the broker that appended them.
    Appended(i64),
}

impl Time {
    #[inline]
    fn of(self, delta: i64) -> (i64, TimestampType) {
        match self {
            Self::Appended(time) => (time, TimestampType::LogAppend),
            Self::From(base) => match base.wrapping_add(delta) {
                -1 => (-1, TimestampType::NotAvailable),
                time => (time, TimestampType::Create),
            },
        }
    }
}

/// The records of a batch, from an offset on. Ends after the first error.
#[derive(Debug, Clone)]
pub struct BatchRecords<'a> {
    head: BatchHead,
    time: Time,
    rest: &'a [u8],
    /// How many are still to come.
    left: u32,
    /// The least that the next record's offset can be more than the batch's.
    least_delta: i32,
    from: i64,
}

impl<'a> BatchRecords<'a> {
    /// The records behind a head, decompressed if need be, without those below offset `from`.
    pub(super) fn open(
        head: &BatchHead,
        packed: &'a [u8],
        unpacker: &'a mut Unpacker,
        from: i64,
    ) -> Result<Self, RecordsError> {
        let flawed = |flaw| RecordsError::Content { base_offset: head.base_offset, flaw };
        let number = head.compression();
        let codec = Codec::from_number(number).ok_or(flawed(Flaw::Codec(number)))?;
        let rest = match codec {
            Codec::None => packed,
            // A batch that was compacted to its head.
            _ if head.records_count == 0 && packed.is_empty() => packed,
            codec => unpacker.unpack(codec, packed).map_err(flawed)?,
        };
        Ok(Self {
            head: *head,
            time: match head.has_log_append_time() {
                true => Time::Appended(head.max_timestamp),
                false => Time::From(head.base_timestamp),
            },
            rest,
            left: u32::try_from(head.records_count).unwrap_or_default(),
            least_delta: 0,
            from,
        })
    }

    /// The head of the batch.
    pub fn head(&self) -> &BatchHead {
        &self.head
    }

    /// The epoch of the leader that appended the batch, if known (KIP-320).
    pub fn leader_epoch(&self) -> Option<i32> {
        (self.head.partition_leader_epoch >= 0).then_some(self.head.partition_leader_epoch)
    }

    /// What is left, without the bytes, to go on with later.
    pub fn pause(self) -> PausedRecords {
        let Self { head, time, rest, left, least_delta, from } = self;
        let state = BatchRecords { head, time, rest: &[], left, least_delta, from };
        PausedRecords { state, left: rest.len() }
    }

    /// Calls `each` with the records until it breaks or there are no more: faster than the iterator, which
    /// moves every record through memory (4 ns of 14).
    ///
    /// # Errors
    /// As the iterator's; the records before it were passed on.
    #[inline]
    pub fn lend_each(
        &mut self,
        mut each: impl FnMut(&DecodedRecord<'a>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, RecordsError> {
        while self.left > 0 {
            let were_left = self.rest.len();
            let record = match self.record() {
                Ok(record) => record,
                Err(wrong) => return Err(self.fail(wrong, were_left)),
            };
            self.left -= 1;
            if record.offset >= self.from && each(&record).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        match self.rest.len() {
            0 => Ok(ControlFlow::Continue(())),
            trailing => Err(self.end(Flaw::Trailing(trailing))),
        }
    }

    #[inline(always)]
    fn record(&mut self) -> Result<DecodedRecord<'a>, Wrong> {
        let length = int(&mut self.rest)?;
        let mut rest = take(&mut self.rest, length)?;
        // Attributes, of which none are defined.
        rest = rest.get(1..).ok_or(Wrong::CutOff)?;
        let time_delta = varint::take_long(&mut rest).ok_or_else(|| no_number(rest))?;
        let offset_delta = int(&mut rest)?;
        if offset_delta < self.least_delta || offset_delta > self.head.last_offset_delta {
            return Err(Wrong::Offset(offset_delta));
        }
        self.least_delta = offset_delta.saturating_add(1);
        let key = take_bytes(&mut rest)?;
        let value = take_bytes(&mut rest)?;
        let headers = RecordHeaders::take(rest)?;
        let (timestamp, timestamp_type) = self.time.of(time_delta);
        let offset = self.head.base_offset.wrapping_add(i64::from(offset_delta));
        Ok(DecodedRecord { offset, timestamp, timestamp_type, key, value, headers })
    }

    #[cold]
    fn fail(&mut self, wrong: Wrong, were_left: usize) -> RecordsError {
        let count = self.head.records_count.unsigned_abs();
        let index = count - self.left;
        self.end(match were_left {
            0 => Flaw::Missing(index, count),
            _ => Flaw::Record { index, wrong },
        })
    }

    #[cold]
    fn end(&mut self, flaw: Flaw) -> RecordsError {
        (self.left, self.rest) = (0, &[]);
        RecordsError::Content { base_offset: self.head.base_offset, flaw }
    }
}

/// Records of a batch that are to be read later.
#[derive(Debug)]
pub struct PausedRecords {
    state: BatchRecords<'static>,
    left: usize,
}

impl PausedRecords {
    /// Goes on. `walked` are the bytes up to the batch's end; the unpacker is the one that the batch was opened
    /// with, and has opened none since.
    pub fn resume<'a>(self, walked: &'a [u8], unpacker: &'a Unpacker) -> BatchRecords<'a> {
        let source = if self.state.head.compression() == 0 { walked } else { unpacker.unpacked() };
        BatchRecords { rest: last(source, self.left), ..self.state }
    }
}

impl<'a> Iterator for BatchRecords<'a> {
    type Item = Result<DecodedRecord<'a>, RecordsError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            let were_left = self.rest.len();
            match self.record() {
                Err(wrong) => return Some(Err(self.fail(wrong, were_left))),
                Ok(record) => {
                    self.left -= 1;
                    if record.offset >= self.from {
                        return Some(Ok(record));
                    }
                }
            }
        }
        let trailing = self.rest.len();
        (trailing > 0).then(|| Err(self.end(Flaw::Trailing(trailing))))
    }
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its records count.
    Commit,
    /// They do not.
    Abort,
}

/// A control batch: the end of a transaction, or something between brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Its offset.
    pub offset: i64,
    /// The offset after it.
    pub next_offset: i64,
    /// The producer whose transaction ends.
    pub producer_id: i64,
    /// The epoch of the producer.
    pub producer_epoch: i16,
    /// How; none when it says something else (Kafka has other control records, and may have more).
    pub outcome: Option<Outcome>,
}

impl Marker {
    /// Reads it off the records of a control batch; none if the batch was compacted to its head.
    pub(super) fn read(mut records: BatchRecords<'_>) -> Result<Option<Self>, RecordsError> {
        let head = records.head;
        let Some(record) = records.next().transpose()? else { return Ok(None) };
        let outcome = match record.key {
            // Version, then type (Kafka's ControlRecordType).
            Some([_, _, 0, 0, ..]) => Some(Outcome::Abort),
            Some([_, _, 0, 1, ..]) => Some(Outcome::Commit),
            Some([_, _, _, _, ..]) => None,
            _ => return Err(records.end(Flaw::Marker)),
        };
        Ok(Some(Self {
            offset: record.offset,
            next_offset: head.next_offset(),
            producer_id: head.producer_id,
            producer_epoch: head.producer_epoch,
            outcome,
        }))
    }
}
