//! Reading: which bytes of which file hold the batches from an offset on. They are sent as they are.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk;
use super::error::{Error, Result};
use super::log::Log;
use super::segment::{Range, Segment};

/// Whole batches in a row in a file. It stays readable while the log is written to, and when the
/// segment is deleted.
#[derive(Debug, Clone)]
pub struct Slice {
    file: Arc<File>,
    path: PathBuf,
    range: Range,
}

impl Slice {
    /// The file, for `sendfile` or `pread`.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the first batch begins in the file.
    pub fn position(&self) -> u64 {
        self.range.position
    }

    /// Bytes of all batches; never 0.
    #[allow(clippy::len_without_is_empty, reason = "there is no empty slice")]
    pub fn len(&self) -> usize {
        self.range.len
    }

    /// Offset of the first batch, which may be below the one asked for.
    pub fn base_offset(&self) -> i64 {
        self.range.base_offset
    }

    /// The offset to read from next.
    pub fn next_offset(&self) -> i64 {
        self.range.next_offset
    }

    /// Appends the batches to a buffer.
    ///
    /// # Errors
    /// [`Error::Io`]; the buffer is as it was then.
    pub fn read_into(&self, buffer: &mut Vec<u8>) -> Result<()> {
        let before = buffer.len();
        buffer.resize(before + self.len(), 0);
        let place = buffer.get_mut(before..).unwrap_or_default();
        let read = disk::read_exact_at(&self.file, place, self.position());
        read.map_err(Error::io(&self.path)).inspect_err(|_| buffer.truncate(before))
    }
}

impl Log {
    /// The batches from the one that holds `from`: as many as begin below `up_to`
    /// ([`next_offset`](Self::next_offset) or [`stable_offset`](Self::stable_offset)), lie in one file and fit
    /// in `max_bytes`, but one at least, so that a reader with a small limit gets on. `None` when there is
    /// nothing to read yet.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`], [`Error::CorruptMessage`] when the file is damaged, [`Error::Io`].
    pub fn read(&self, from: i64, max_bytes: usize, up_to: i64) -> Result<Option<Slice>> {
        self.check_not_deleted()?;
        let (start, next) = (self.start, self.next_offset());
        if !(start..=next).contains(&from) {
            return Err(Error::OffsetOutOfRange { offset: from, start, next });
        }
        let Some(segment) = self.segments_from(from).next().filter(|segment| segment.next > from) else {
            return Ok(None);
        };
        let file = self.file_of(segment)?;
        let range = segment.range(&file, from, max_bytes, up_to)?;
        Ok(range.map(|range| Slice { file, path: segment.path.clone(), range }))
    }

    /// The segments from the one that holds `offset` on.
    pub(super) fn segments_from(&self, offset: i64) -> impl Iterator<Item = &Segment> {
        let later = self.sealed.partition_point(|segment| segment.next <= offset);
        self.sealed.iter().skip(later).chain([&self.active])
    }

    /// The file of a segment, to be read.
    pub(super) fn file_of(&self, segment: &Segment) -> Result<Arc<File>> {
        if segment.base == self.active.base {
            return Ok(Arc::clone(&self.file));
        }
        disk::open_to_read(&segment.path).map(Arc::new)
    }
}
