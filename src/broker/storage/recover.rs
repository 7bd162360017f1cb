//! Opening a log after whatever happened to it: a clean stop, kill -9, a power cut.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::batch::MARKER;
use super::checkpoint::Checkpoint;
use super::disk;
use super::error::{Error, Result};
use super::log::{Log, note_producer};
use super::options::Options;
use super::producers::Producers;
use super::segment::{self, Segment};
use crate::private;

/// What opening a log found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Bytes that were no whole and sound batches, and were cut off.
    pub cut_bytes: u64,
    /// Batches that were read to know the producers; 0 after a clean stop.
    pub replayed: u64,
}

impl Log {
    /// Opens the log in a folder, and makes both when they are not there. A torn tail is cut off: the last
    /// segment's checksums are looked at from its last index entry on. Producers, transactions and
    /// indexes are brought up to date, in memory bounded by what they are.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path, options: Options) -> Result<(Self, Recovery)> {
        private::folder(folder).map_err(Error::io(folder))?;
        let checkpoint = Checkpoint::read(folder);
        let mut recovery = Recovery::default();
        let mut log = Self::load(folder, options, checkpoint.as_ref(), &mut recovery)?;
        match checkpoint {
            Some(checkpoint) if checkpoint.covers <= log.next_offset() => {
                log.checkpointed = checkpoint.covers;
                log.producers = checkpoint.producers;
                recovery.replayed = log.replay(checkpoint.covers)?;
            }
            // One that is ahead must not be believed either when the log has grown again.
            Some(_) => {
                recovery.replayed = log.replay(0)?;
                log.checkpoint(false)?;
            }
            None => recovery.replayed = log.replay(0)?,
        }
        log.producers.forget_before(log.start);
        Ok((log, recovery))
    }

    /// The log with all of its segments, but without producers.
    fn load(
        folder: &Path,
        options: Options,
        checkpoint: Option<&Checkpoint>,
        recovery: &mut Recovery,
    ) -> Result<Self> {
        let start = checkpoint.map_or(0, |checkpoint| checkpoint.start);
        let mut bases = segment::list(folder)?;
        let newest = bases.pop();
        let mut sealed = VecDeque::new();
        for base in bases {
            let (segment, _, cut) = Segment::load(folder, base, options.index_interval, false)?;
            recovery.cut_bytes += cut;
            sealed.push_back(segment);
        }
        let (active, file) = match newest {
            Some(base) => {
                let (segment, file, cut) = Segment::load(folder, base, options.index_interval, true)?;
                recovery.cut_bytes += cut;
                (segment, file)
            }
            None => Segment::create(folder, start, options.index_interval)?,
        };
        let first = sealed.front().map_or(active.base, |segment| segment.base);
        let mut log = Self {
            folder: folder.to_owned(),
            options,
            sealed,
            active,
            file: Arc::new(file),
            start: start.max(first),
            producers: Producers::default(),
            active_since: None,
            synced_at: 0,
            is_synced: false,
            checkpointed: 0,
            is_deleted: false,
        };
        log.skip_to_start()?;
        Ok(log)
    }

    /// When records before the start offset were lost that had been deleted anyway, their offsets are
    /// not given out again.
    fn skip_to_start(&mut self) -> Result<()> {
        if self.start > self.next_offset() {
            let (segment, file) = Segment::create(&self.folder, self.start, self.options.index_interval)?;
            self.sealed.push_back(std::mem::replace(&mut self.active, segment));
            self.file = Arc::new(file);
        }
        Ok(())
    }

    /// Reads the headers of the batches from `offset` on to learn of their producers.
    fn replay(&mut self, offset: i64) -> Result<u64> {
        let (mut count, mut producers) = (0, std::mem::take(&mut self.producers));
        for segment in self.segments_from(offset) {
            let replayed = replay(segment, &*self.file_of(segment)?, offset, &mut producers);
            count += replayed.map_err(Error::io(&segment.path))?;
        }
        self.producers = producers;
        Ok(count)
    }
}

fn replay(segment: &Segment, file: &File, offset: i64, producers: &mut Producers) -> io::Result<u64> {
    let mut count = 0;
    let mut scan = segment.scan_from(file, offset);
    while let Some((position, header)) = scan.next()? {
        if header.base_offset < offset {
            continue;
        }
        let mut marker = [0; MARKER];
        if header.is_control() {
            disk::read_at(file, &mut marker, position)?;
        }
        note_producer(producers, &header, &marker);
        count += 1;
    }
    Ok(count)
}
