//! Walks over the batches in a segment file, header by header, with a few kilobytes of memory.

use std::fs::File;
use std::io;

use super::batch;
use super::disk;
use crate::wire::Crc32c;
use crate::wire::batch::{BatchHead, CHECKED_FROM, HEAD};

/// Bytes that are read at once: some fifty headers when batches are small, and little waste when
/// they are large.
const CHUNK: usize = 8 * 1024;

/// The headers of the batches from a place in a file on.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    chunk: [u8; CHUNK],
    chunk_at: u64,
    chunk_len: usize,
}

impl<'a> Scan<'a> {
    /// A walk from `position`, where a batch begins, to `end`.
    pub(super) fn new(file: &'a File, position: u64, end: u64) -> Self {
        Self { file, position, end, chunk: [0; CHUNK], chunk_at: position, chunk_len: 0 }
    }

    /// Where the next batch begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch's place and header; `None` at the end and where there is no whole batch.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, BatchHead)>> {
        let at = self.position;
        if at + HEAD as u64 > self.end {
            return Ok(None);
        }
        let Some(header) = self.header()? else { return Ok(None) };
        let next = at + header.size() as u64;
        if next > self.end {
            return Ok(None);
        }
        self.position = next;
        Ok(Some((at, header)))
    }

    fn header(&mut self) -> io::Result<Option<BatchHead>> {
        let held = self.chunk_at..self.chunk_at + self.chunk_len as u64;
        if !(held.contains(&self.position) && self.position + HEAD as u64 <= held.end) {
            self.chunk_at = self.position;
            self.chunk_len = disk::read_at(self.file, &mut self.chunk, self.position)?;
        }
        let from = (self.position - self.chunk_at) as usize;
        Ok(self.chunk.get(from..self.chunk_len).and_then(batch::head))
    }
}

/// True when the checksum of the batch at `position` is right.
pub(super) fn is_sound(file: &File, position: u64, header: &BatchHead) -> io::Result<bool> {
    let mut chunk = [0; CHUNK];
    let mut crc = Crc32c::new();
    let (mut at, end) = (position + CHECKED_FROM as u64, position + header.size() as u64);
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        let read = disk::read_at(file, chunk.get_mut(..want).unwrap_or_default(), at)?;
        if read == 0 {
            return Ok(false);
        }
        crc.update(chunk.get(..read).unwrap_or_default());
        at += read as u64;
    }
    Ok(crc.finish() == header.crc)
}
