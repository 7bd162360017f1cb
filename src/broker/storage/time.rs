//! Looking up offsets by time: the first record whose timestamp is a given one or later, as Kafka's
//! ListOffsets answers.

use std::fs::File;
use std::io;

use super::batch::{HEADER, Header};
use super::disk;
use super::error::{Error, Result};
use super::log::Log;

/// Decompresses the records of a batch: the number of the codec (1 gzip, 2 snappy, 3 lz4, 4 zstd) and
/// the bytes after the header. `None` when it cannot; the answer is then the batch's first offset.
pub type Decompress<'a> = &'a mut dyn FnMut(u8, &[u8]) -> Option<Vec<u8>>;

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds.
    pub timestamp: i64,
}

/// What is looked for: a timestamp and an offset that a record must both reach.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    time: i64,
    from: i64,
}

impl Log {
    /// The first record whose timestamp (milliseconds) is `time` or later; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn offset_for_time(&self, time: i64, decompress: Decompress<'_>) -> Result<Option<TimedOffset>> {
        self.check_not_deleted()?;
        let wanted = Wanted { time, from: self.start };
        for segment in self.segments_from(self.start).filter(|segment| segment.max_time >= time) {
            let file = self.file_of(segment)?;
            let mut scan = segment.scan_time(&file, time, self.start);
            while let Some((position, header)) = scan.next().map_err(Error::io(&segment.path))? {
                if header.max_time < time || header.last_offset() < self.start {
                    continue;
                }
                let found = wanted.find(&file, position, &header, decompress);
                if let Some(found) = found.map_err(Error::io(&segment.path))? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The first of the records with the largest timestamp; `None` without records.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn offset_of_max_time(&self, decompress: Decompress<'_>) -> Result<Option<TimedOffset>> {
        match self.segments_from(self.start).map(|segment| segment.max_time).max() {
            Some(time) if self.start < self.next_offset() => self.offset_for_time(time, decompress),
            _ => Ok(None),
        }
    }
}

impl Wanted {
    /// Looks into a batch.
    fn find(
        self,
        file: &File,
        position: u64,
        header: &Header,
        decompress: Decompress<'_>,
    ) -> io::Result<Option<TimedOffset>> {
        let whole = TimedOffset { offset: header.base_offset.max(self.from), timestamp: header.max_time };
        if header.is_append_time() {
            return Ok(Some(whole));
        }
        let mut bytes = vec![0; header.size - HEADER];
        disk::read_exact_at(file, &mut bytes, position + HEADER as u64)?;
        if header.codec() == 0 {
            return Ok(self.find_in(header, &bytes));
        }
        let records = decompress(header.codec(), &bytes);
        Ok(records.map_or(Some(whole), |records| self.find_in(header, &records)))
    }

    /// Looks into the records of a batch, as far as they can be read.
    fn find_in(self, header: &Header, mut records: &[u8]) -> Option<TimedOffset> {
        loop {
            let (time_delta, offset_delta) = next_record(&mut records)?;
            let offset = header.base_offset.checked_add(offset_delta)?;
            let timestamp = header.base_time.checked_add(time_delta)?;
            if timestamp >= self.time && offset >= self.from {
                return Some(TimedOffset { offset, timestamp });
            }
        }
    }
}

/// Takes a record and returns its time and offset as differences from the batch's.
fn next_record(records: &mut &[u8]) -> Option<(i64, i64)> {
    let len = usize::try_from(varint(records)?).ok()?;
    let (mut record, rest) = records.split_at_checked(len)?;
    *records = rest;
    record = record.get(1..)?;
    Some((varint(&mut record)?, varint(&mut record)?))
}

/// Takes a number in Protocol Buffers' zigzag encoding.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_go_both_ways_from_zero() {
        for (bytes, value) in [
            (&[0][..], 0),
            (&[1], -1),
            (&[2], 1),
            (&[0x80, 1], 64),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MIN),
        ] {
            assert_eq!(varint(&mut &bytes[..]), Some(value), "{bytes:?}");
        }
        assert_eq!(varint(&mut &[0x80_u8][..]), None);
        assert_eq!(varint(&mut &[0x80_u8; 11][..]), None);
    }
}
