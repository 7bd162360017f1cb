//! The sparse index of a segment: where to begin to look for an offset or a time. One entry per some
//! kilobytes of log, in memory and in a file beside the segment.
//!
//! The file is a convenience: entries have a checksum each, are written after the batches they point
//! at, and are made anew from the segment when they are missing.

use std::path::{Path, PathBuf};

use super::disk;
use super::error::{Error, Result};
use crate::wire::crc32c;

/// Bytes of an entry in the file.
const ENTRY: usize = 24;

/// Entries that are kept back before they are written, so that the file is rarely opened.
const BACKLOG: usize = 64;

/// A batch that can be found without a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The batch's base offset.
    pub(super) offset: i64,
    /// The largest timestamp of the batches of the segment before it. It never falls from entry to
    /// entry, so that the first batch with a given timestamp can be found by bisection.
    pub(super) time_before: i64,
    /// Where the batch begins in the file.
    pub(super) position: u32,
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        let (fields, crc) = bytes.split_at_mut(ENTRY - 4);
        let parts =
            [&self.offset.to_be_bytes()[..], &self.time_before.to_be_bytes(), &self.position.to_be_bytes()];
        for (place, byte) in fields.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        crc.copy_from_slice(&crc32c(fields).to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ENTRY]) -> Option<Self> {
        let (fields, crc) = bytes.split_last_chunk::<4>()?;
        let (offset, rest) = fields.split_first_chunk()?;
        let (time, position) = rest.split_first_chunk()?;
        (crc32c(fields) == u32::from_be_bytes(*crc)).then_some(Self {
            offset: i64::from_be_bytes(*offset),
            time_before: i64::from_be_bytes(*time),
            position: u32::from_be_bytes(*position.first_chunk()?),
        })
    }
}

/// The index of one segment. The first batch has no entry: it begins at 0.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    entries: Vec<Entry>,
    saved: usize,
}

impl Index {
    /// The index of a new segment.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        disk::remove_file(&path)?;
        Ok(Self { path, entries: Vec::new(), saved: 0 })
    }

    /// Reads the file as far as it is sound and points into the first `size` bytes of the segment.
    pub(super) fn load(path: PathBuf, size: u64) -> Self {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let mut entries: Vec<Entry> = Vec::new();
        for entry in bytes.as_chunks::<ENTRY>().0.iter().map_while(Entry::decode) {
            let ascends = entries.last().is_none_or(|last| {
                last.offset < entry.offset
                    && last.position < entry.position
                    && last.time_before <= entry.time_before
            });
            if !ascends || u64::from(entry.position) >= size {
                break;
            }
            entries.push(entry);
        }
        let saved = entries.len();
        Self { path, entries, saved }
    }

    /// The last entry.
    pub(super) fn last(&self) -> Option<Entry> {
        self.entries.last().copied()
    }

    /// Where the last batch with an entry begins.
    pub(super) fn last_position(&self) -> u64 {
        self.last().map_or(0, |entry| u64::from(entry.position))
    }

    /// Forgets the entries of batches at `size` and after it, because the segment was cut there.
    pub(super) fn truncate(&mut self, size: u64) {
        let n = self.entries.partition_point(|entry| u64::from(entry.position) < size);
        self.entries.truncate(n);
        self.saved = self.saved.min(n);
    }

    /// Adds the entry of a batch.
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// A place at or before the first batch that ends at `offset` or later.
    pub(super) fn by_offset(&self, offset: i64) -> u64 {
        self.before(|entry| entry.offset <= offset)
    }

    /// A place at or before the first batch whose largest timestamp is `time` or later.
    pub(super) fn by_time(&self, time: i64) -> u64 {
        self.before(|entry| entry.time_before < time)
    }

    /// The last place with an entry that is not after `position`.
    pub(super) fn by_position(&self, position: u64) -> u64 {
        self.before(|entry| u64::from(entry.position) <= position)
    }

    fn before(&self, reached: impl FnMut(&Entry) -> bool) -> u64 {
        let n = self.entries.partition_point(reached);
        n.checked_sub(1).and_then(|n| self.entries.get(n)).map_or(0, |entry| u64::from(entry.position))
    }

    /// Writes the entries that were kept back, if there are many.
    pub(super) fn save_backlog(&mut self) {
        if self.entries.len() - self.saved >= BACKLOG {
            self.save();
        }
    }

    /// Writes the entries that are not in the file yet. Failing costs time at the next start, no more,
    /// and it is tried again with the next entries.
    pub(super) fn save(&mut self) {
        let Some(unsaved) = self.entries.get(self.saved..).filter(|unsaved| !unsaved.is_empty()) else {
            return;
        };
        let bytes: Vec<u8> = unsaved.iter().flat_map(Entry::encode).collect();
        if write(&self.path, &bytes, (self.saved * ENTRY) as u64).is_ok() {
            self.saved = self.entries.len();
        }
    }
}

fn write(path: &Path, bytes: &[u8], position: u64) -> Result<()> {
    let file = disk::open(path)?;
    let cut = file.set_len(position);
    cut.and_then(|()| disk::append_at(&file, bytes, position, false)).map_err(Error::io(path))
}
