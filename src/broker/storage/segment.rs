//! A segment: one file of batches in a row, and its index. It knows places, not handles: only the
//! segment that is written to has its file open all the time.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::batch;
use super::disk;
use super::error::{Error, Result};
use super::index::{Entry, Index};
use super::scan::{Scan, is_sound};
use crate::wire::batch::BatchHead;

/// The largest timestamp of a segment without any.
const NO_TIME: i64 = -1;

/// One file of a log.
#[derive(Debug)]
pub(super) struct Segment {
    /// Offset of the first record; the file's name.
    pub(super) base: i64,
    /// The offset that follows the last record.
    pub(super) next: i64,
    /// Bytes of whole batches.
    pub(super) size: u64,
    /// The largest timestamp; -1 when no record has one.
    pub(super) max_time: i64,
    /// The file.
    pub(super) path: PathBuf,
    index: Index,
    interval: u64,
}

/// Batches in a row in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// Where the first begins.
    pub(super) position: u64,
    /// Bytes of all.
    pub(super) len: usize,
    /// Offset of the first's first record.
    pub(super) base_offset: i64,
    /// The offset that follows the last.
    pub(super) next_offset: i64,
}

impl Segment {
    /// A new segment without batches, and its file.
    pub(super) fn create(folder: &Path, base: i64, interval: u64) -> Result<(Self, File)> {
        let (path, index) = paths(folder, base);
        let index = Index::create(index)?;
        let file = disk::open(&path)?;
        file.set_len(0).map_err(Error::io(&path))?;
        Ok((Self { base, next: base, size: 0, max_time: NO_TIME, path, index, interval }, file))
    }

    /// Opens a segment: reads its index and walks from the last entry to the end, so that an index that
    /// is missing or short is made whole. What is not a whole batch in its place is cut off; with
    /// `check` also what has a wrong checksum. Returns the number of bytes cut too.
    pub(super) fn load(folder: &Path, base: i64, interval: u64, check: bool) -> Result<(Self, File, u64)> {
        let (path, index) = paths(folder, base);
        let file = disk::open(&path)?;
        let len = file.metadata().map_err(Error::io(&path))?.len();
        let index = Index::load(index, len);
        let mut segment = Self { base, next: base, size: 0, max_time: NO_TIME, path, index, interval };
        segment.recover(&file, len, check).map_err(Error::io(&segment.path))?;
        let cut = len - segment.size;
        if cut > 0 {
            file.set_len(segment.size).map_err(Error::io(&segment.path))?;
            segment.index.truncate(segment.size);
        }
        Ok((segment, file, cut))
    }

    fn recover(&mut self, file: &File, len: u64, check: bool) -> io::Result<()> {
        if let Some(last) = self.index.last() {
            let found = Scan::new(file, last.position.into(), len).next()?;
            if found.is_some_and(|(_, header)| batch::follows(&header, last.offset)) {
                (self.next, self.size, self.max_time) = (last.offset, last.position.into(), last.time_before);
            } else {
                self.index.truncate(0);
            }
        }
        let mut scan = Scan::new(file, self.size, len);
        while let Some((position, header)) = scan.next()? {
            if !batch::follows(&header, self.next) || (check && !is_sound(file, position, &header)?) {
                break;
            }
            self.note(&header);
        }
        self.index.save_backlog();
        Ok(())
    }

    /// Counts a batch that stands at the end of the file now.
    pub(super) fn note(&mut self, header: &BatchHead) {
        if self.size - self.index.last_position() >= self.interval
            && let Ok(position) = u32::try_from(self.size)
        {
            self.index.push(Entry { offset: header.base_offset, time_before: self.max_time, position });
        }
        self.next = header.next_offset();
        self.size += header.size() as u64;
        self.max_time = self.max_time.max(header.max_timestamp);
    }

    /// Writes the index entries that were kept back, if there are many.
    pub(super) fn save_backlog(&mut self) {
        self.index.save_backlog();
    }

    /// Writes all of the index.
    pub(super) fn save(&mut self) {
        self.index.save();
    }

    /// The first batch that ends at `offset` or later.
    pub(super) fn locate(&self, file: &File, offset: i64) -> io::Result<Option<(u64, BatchHead)>> {
        let mut scan = Scan::new(file, self.index.by_offset(offset), self.size);
        while let Some((position, header)) = scan.next()? {
            if header.last_offset() >= offset {
                return Ok(Some((position, header)));
            }
        }
        Ok(None)
    }

    /// The batches from the one that holds `from`: as many as begin below `up_to` and fit in
    /// `max_bytes`, but one at least.
    ///
    /// # Errors
    /// [`Error::CorruptMessage`] when the file has no batch where there must be one.
    pub(super) fn range(
        &self,
        file: &File,
        from: i64,
        max_bytes: usize,
        up_to: i64,
    ) -> Result<Option<Range>> {
        let Some((position, first)) = self.locate(file, from).map_err(Error::io(&self.path))? else {
            return Err(Error::CorruptMessage("damaged segment"));
        };
        if first.base_offset >= up_to {
            return Ok(None);
        }
        let max_end = position.saturating_add(max_bytes as u64);
        let end = self.end(file, (position, first), max_end, up_to);
        let (end, next_offset) = end.map_err(Error::io(&self.path))?;
        let len = usize::try_from(end - position).map_err(|_| Error::CorruptMessage("damaged segment"))?;
        Ok(Some(Range { position, len, base_offset: first.base_offset, next_offset }))
    }

    /// Where the last batch ends that is within the limits, and the offset that follows it; that of
    /// the first batch when no more is, or when what follows it is damaged.
    fn end(&self, file: &File, first: (u64, BatchHead), max_end: u64, up_to: i64) -> io::Result<(u64, i64)> {
        if up_to >= self.next && max_end >= self.size {
            return Ok((self.size, self.next));
        }
        let (position, first) = first;
        let first_end = position + first.size() as u64;
        let sure = self.index.by_position(max_end).min(self.index.by_offset(up_to));
        let mut scan = Scan::new(file, sure.max(first_end), self.size);
        while let Some((position, header)) = scan.next()? {
            if scan.position() > max_end || header.base_offset >= up_to {
                return Ok((position, header.base_offset));
            }
        }
        let is_whole = scan.position() == self.size;
        Ok(if is_whole { (self.size, self.next) } else { (first_end, first.next_offset()) })
    }

    /// A walk over the batches among which is the first with a record of `time` or later and an offset of
    /// `from` or later.
    pub(super) fn scan_time<'a>(&self, file: &'a File, time: i64, from: i64) -> Scan<'a> {
        Scan::new(file, self.index.by_time(time).max(self.index.by_offset(from)), self.size)
    }

    /// A walk over the batches from the one that holds `offset`, or from one before it.
    pub(super) fn scan_from<'a>(&self, file: &'a File, offset: i64) -> Scan<'a> {
        Scan::new(file, self.index.by_offset(offset), self.size)
    }

    /// The time by which it is judged old: that of its records, else of its file; milliseconds.
    pub(super) fn age_mark(&self) -> i64 {
        if self.max_time >= 0 {
            return self.max_time;
        }
        let modified = std::fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since.and_then(|time| i64::try_from(time.as_millis()).ok()).unwrap_or(i64::MAX)
    }

    /// Deletes the files.
    pub(super) fn remove(&self) -> Result<()> {
        disk::remove_file(&self.path)?;
        disk::remove_file(&self.path.with_extension("index"))
    }
}

/// The files of the segment that begins at `base`: log and index.
fn paths(folder: &Path, base: i64) -> (PathBuf, PathBuf) {
    let log = folder.join(format!("{base:020}.log"));
    let index = log.with_extension("index");
    (log, index)
}

/// The base offsets of a folder's segments, in order.
pub(super) fn list(folder: &Path) -> Result<Vec<i64>> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let name = entry.map_err(Error::io(folder))?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|name| name.len() == 20);
        bases.extend(digits.and_then(|digits| digits.parse::<i64>().ok()).filter(|base| *base >= 0));
    }
    bases.sort_unstable();
    Ok(bases)
}
