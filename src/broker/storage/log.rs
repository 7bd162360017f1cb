//! The log of one partition: batches in a row, in segment files, as clients sent them.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch;
use super::checkpoint::Checkpoint;
use super::disk::{self, Fsync};
use super::error::{Error, Result};
use super::options::Options;
use super::producers::{Aborted, Producers};
use super::segment::Segment;
use crate::wire::batch::BatchHead;

/// A partition's log. It is written to by one at a time; what [`read`](Self::read) hands out can be
/// sent while others write.
#[derive(Debug)]
pub struct Log {
    pub(super) folder: PathBuf,
    pub(super) options: Options,
    /// The segments that are not written to any more, oldest first.
    pub(super) sealed: VecDeque<Segment>,
    /// The one that is.
    pub(super) active: Segment,
    pub(super) file: Arc<File>,
    /// The first offset that is kept.
    pub(super) start: i64,
    pub(super) producers: Producers,
    /// When the first batch of the active segment came, as far as this process knows.
    pub(super) active_since: Option<i64>,
    /// When the active segment was last made to outlive the machine.
    pub(super) synced_at: i64,
    pub(super) is_synced: bool,
    /// What the checkpoint file covers.
    pub(super) checkpointed: i64,
    /// Set when the topic is deleted: its files are not to be written to again.
    pub(super) is_deleted: bool,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: i64,
    /// The time the records were given; `None` when they keep their own.
    pub log_append_time: Option<i64>,
    /// True when the batch came before: it was not written again.
    pub is_duplicate: bool,
}

impl Log {
    /// The first offset that is kept ("log start offset", "low watermark").
    pub fn start_offset(&self) -> i64 {
        self.start
    }

    /// The offset that the next record will get ("log end offset"; on one node also the "high
    /// watermark").
    pub fn next_offset(&self) -> i64 {
        self.active.next
    }

    /// The offset before which no transaction is open: readers of committed records stop here.
    pub fn stable_offset(&self) -> i64 {
        self.producers.first_open().map_or(self.next_offset(), |first| first.max(self.start))
    }

    /// The aborted transactions with records from `from` to before `up_to`, which is an offset that
    /// follows a batch, in the order of their markers.
    pub fn aborted(&self, from: i64, up_to: i64) -> Vec<Aborted> {
        self.producers.aborted(from, up_to)
    }

    /// The transactions that are open here: producer, its epoch, first offset.
    pub fn open_transactions(&self) -> impl Iterator<Item = (i64, i16, i64)> {
        self.producers.open()
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.size).sum::<u64>() + self.active.size
    }

    /// What the log may take and keep.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Changes what the log may take and keep; from the next append on.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Appends batches of one produce request, all or none. Their offsets are set in place; with
    /// [`Options::append_time`] their time too (`now`, milliseconds). A batch with a producer id must
    /// come alone, as from Kafka's clients.
    ///
    /// # Errors
    /// [`Error::CorruptMessage`], [`Error::UnsupportedFormat`], [`Error::MessageTooLarge`],
    /// [`Error::InvalidRecord`] for what is no sound batch; [`Error::OutOfOrderSequence`],
    /// [`Error::InvalidProducerEpoch`], [`Error::InvalidTxnState`] for what its producer should not have
    /// sent; [`Error::Io`]. Nothing is written then.
    pub fn append(&mut self, batches: &mut [u8], now: i64) -> Result<Appended> {
        self.check_not_deleted()?;
        let log_append_time = self.options.append_time.then_some(now);
        if let Some(base_offset) = self.check(batches)? {
            return Ok(Appended { base_offset, log_append_time: None, is_duplicate: true });
        }
        let base_offset = self.write(batches, log_append_time, now)?;
        Ok(Appended { base_offset, log_append_time, is_duplicate: false })
    }

    /// Ends a producer's transaction with a marker and returns the marker's offset. `now` is in
    /// milliseconds.
    ///
    /// # Errors
    /// [`Error::InvalidProducerEpoch`] when the producer was replaced, [`Error::Io`].
    pub fn append_marker(&mut self, producer_id: i64, epoch: i16, commit: bool, now: i64) -> Result<i64> {
        self.check_not_deleted()?;
        self.producers.check_epoch(producer_id, epoch)?;
        self.write(&mut batch::marker(producer_id, epoch, commit, now), None, now)
    }

    pub(super) fn check_not_deleted(&self) -> Result<()> {
        if self.is_deleted {
            return Err(Error::UnknownTopic(
                self.folder.file_name().unwrap_or_default().display().to_string(),
            ));
        }
        Ok(())
    }

    /// Judges all batches; `Some` is the offset that the only one was given when it came before.
    fn check(&self, batches: &mut [u8]) -> Result<Option<i64>> {
        if i32::try_from(batches.len()).is_err() {
            return Err(Error::MessageTooLarge { size: batches.len(), limit: i32::MAX as usize });
        }
        let mut duplicate = None;
        let (mut rest, mut count, mut has_producer) = (batches, 0, false);
        while !rest.is_empty() || count == 0 {
            let (header, _, tail) = batch::split_first(rest)?;
            batch::check_client(&header, self.options.max_batch_bytes)?;
            if header.producer_id >= 0 {
                duplicate = self.producers.check(&header)?;
                has_producer = true;
            }
            count += 1;
            rest = tail;
        }
        if has_producer && count > 1 {
            return Err(Error::InvalidRecord("an idempotent producer sends one batch a partition"));
        }
        Ok(duplicate)
    }

    /// Writes batches that were judged. Only when they are in the file, the log knows of them.
    fn write(&mut self, batches: &mut [u8], time: Option<i64>, now: i64) -> Result<i64> {
        let base_offset = self.next_offset();
        stamp(batches, base_offset, time);
        if self.active.size > 0 && self.active.size + batches.len() as u64 > self.options.roll_bytes() {
            self.roll(now)?;
            self.retain_bytes()?;
        }
        let sync = self.options.fsync == Fsync::EveryAppend;
        let written = disk::append_at(&self.file, batches, self.active.size, sync);
        written.map_err(Error::io(&self.active.path))?;
        if self.active.size == 0 {
            self.active_since = Some(now);
        }
        self.is_synced = sync;
        self.note(batches);
        self.sync_when_due(now)?;
        Ok(base_offset)
    }

    /// Counts batches that are in the file now.
    fn note(&mut self, batches: &[u8]) {
        for (header, bytes) in (Batches { rest: batches }) {
            self.active.note(&header);
            note_producer(&mut self.producers, &header, bytes);
        }
        self.active.save_backlog();
    }

    /// Seals the active segment and begins another.
    pub(super) fn roll(&mut self, now: i64) -> Result<()> {
        self.sync(now)?;
        self.active.save();
        let (segment, file) = Segment::create(&self.folder, self.next_offset(), self.options.index_interval)?;
        if self.options.fsync != Fsync::Never {
            disk::sync_folder_of(&segment.path)?;
        }
        self.sealed.push_back(std::mem::replace(&mut self.active, segment));
        self.file = Arc::new(file);
        self.active_since = None;
        self.checkpoint(self.options.fsync != Fsync::Never)
    }

    /// Writes down the start offset and the producers as they are now.
    pub(super) fn checkpoint(&mut self, sync: bool) -> Result<()> {
        let (start, covers) = (self.start, self.next_offset());
        Checkpoint::write(&self.folder, start, covers, &self.producers, sync)?;
        self.checkpointed = covers;
        Ok(())
    }

    /// Makes what was written outlive the machine, unless that is left to the system.
    fn sync(&mut self, now: i64) -> Result<()> {
        if !self.is_synced && self.options.fsync != Fsync::Never {
            self.file.sync_data().map_err(Error::io(&self.active.path))?;
            self.is_synced = true;
        }
        self.synced_at = now;
        Ok(())
    }

    /// The same, when the interval asked for has passed.
    pub(super) fn sync_when_due(&mut self, now: i64) -> Result<()> {
        match self.options.fsync {
            Fsync::Interval(every) if now.saturating_sub(self.synced_at) >= every.as_millis() as i64 => {
                self.sync(now)
            }
            _ => Ok(()),
        }
    }

    /// Writes index and checkpoint, so that the next start has little to read. Dropping a log does
    /// the same and keeps quiet about errors.
    ///
    /// # Errors
    /// [`Error::Io`]; no record is lost then.
    pub fn close(&mut self) -> Result<()> {
        if self.is_deleted {
            return Ok(());
        }
        self.sync(self.synced_at)?;
        self.active.save();
        if self.checkpointed != self.next_offset() {
            self.checkpoint(self.options.fsync != Fsync::Never)?;
        }
        Ok(())
    }

    /// Lets go of the files because the topic is deleted: every later call fails.
    pub(super) fn delete(&mut self) {
        self.is_deleted = true;
    }

    /// Folder of the segments.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // What could not be written is read from the segments at the next start.
        let _ = self.close();
    }
}

/// Gives batches in a row the offsets from `next` on.
fn stamp(batches: &mut [u8], mut next: i64, time: Option<i64>) {
    let mut rest = batches;
    while let Some(mut header) = batch::head(rest) {
        let Some((bytes, tail)) = rest.split_at_mut_checked(header.size()) else { return };
        batch::stamp(bytes, next);
        if let Some(now) = time {
            batch::stamp_time(bytes, &mut header, now);
        }
        next += i64::from(header.last_offset_delta) + 1;
        rest = tail;
    }
}

/// Tells the producers of a batch; of a marker, the bytes say what it ends.
pub(super) fn note_producer(producers: &mut Producers, header: &BatchHead, bytes: &[u8]) {
    if header.is_control() {
        producers.end(header, batch::is_commit(bytes));
    } else {
        producers.note(header);
    }
}

/// Batches in a row that were judged before.
struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Batches<'a> {
    type Item = (BatchHead, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = batch::head(self.rest)?;
        let (bytes, rest) = self.rest.split_at_checked(header.size())?;
        self.rest = rest;
        Some((header, bytes))
    }
}
