//! Looking up offsets by time: the first record whose timestamp is a given one or later, as Kafka's
//! ListOffsets answers.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use super::disk;
use super::error::{Error, Result};
use super::log::Log;
use crate::wire::Codec;
use crate::wire::batch::{BatchHead, HEAD};

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
    pub fn offset_for_time(&self, time: i64) -> Result<Option<TimedOffset>> {
        self.check_not_deleted()?;
        let wanted = Wanted { time, from: self.start };
        for segment in self.segments_from(self.start).filter(|segment| segment.max_time >= time) {
            let file = self.file_of(segment)?;
            let mut scan = segment.scan_time(&file, time, self.start);
            while let Some((position, header)) = scan.next().map_err(Error::io(&segment.path))? {
                if header.max_timestamp < time || header.last_offset() < self.start {
                    continue;
                }
                let found = wanted.find(&file, position, &header);
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
    pub fn offset_of_max_time(&self) -> Result<Option<TimedOffset>> {
        match self.segments_from(self.start).map(|segment| segment.max_time).max() {
            Some(time) if self.start < self.next_offset() => self.offset_for_time(time),
            _ => Ok(None),
        }
    }
}

impl Wanted {
    /// Looks into a batch. One whose records cannot be read is judged by its head.
    fn find(self, file: &File, position: u64, header: &BatchHead) -> io::Result<Option<TimedOffset>> {
        let whole =
            TimedOffset { offset: header.base_offset.max(self.from), timestamp: header.max_timestamp };
        if header.has_log_append_time() {
            return Ok(Some(whole));
        }
        let Some(codec) = Codec::from_number(header.compression()) else { return Ok(Some(whole)) };
        let mut bytes = vec![0; header.size() - HEAD];
        disk::read_exact_at(file, &mut bytes, position + HEAD as u64)?;
        Ok(self.find_in(header, codec, &bytes).unwrap_or(Some(whole)))
    }

    /// Looks into the records of a batch, decompressed piece by piece.
    fn find_in(self, header: &BatchHead, codec: Codec, bytes: &[u8]) -> io::Result<Option<TimedOffset>> {
        let mut records = BufReader::new(codec.reader(bytes)?);
        for _ in 0..header.records_count {
            let (time_delta, offset_delta) = next_record(&mut records)?;
            let offset = header.base_offset.saturating_add(offset_delta);
            let timestamp = header.base_timestamp.saturating_add(time_delta);
            if timestamp >= self.time && offset >= self.from {
                return Ok(Some(TimedOffset { offset, timestamp }));
            }
        }
        Ok(None)
    }
}

/// Reads a record and returns its time and offset as differences from the batch's.
fn next_record(records: &mut impl BufRead) -> io::Result<(i64, i64)> {
    let len = u64::try_from(varint(records)?).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut record = records.take(len);
    record.read_exact(&mut [0])?;
    let differences = (varint(&mut record)?, varint(&mut record)?);
    io::copy(&mut record, &mut io::sink())?;
    Ok(differences)
}

/// Reads a number in Protocol Buffers' zigzag encoding.
fn varint(bytes: &mut impl Read) -> io::Result<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        bytes.read_exact(&mut byte)?;
        let [byte] = byte;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(io::ErrorKind::InvalidData.into())
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
            assert_eq!(varint(&mut &bytes[..]).unwrap(), value, "{bytes:?}");
        }
        assert!(varint(&mut &[0x80_u8][..]).is_err());
        assert!(varint(&mut &[0x80_u8; 11][..]).is_err());
    }
}
