//! Records to standard output: filter, format, count, and the books of what was written.

use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

use super::positions::Positions;
use crate::backends::{Notice, Offsets, RecordSink, StartOrigin, TopicPartition};
use crate::commands::output::{Output, Written};
use crate::commands::tell;
use crate::console;
use crate::filter::Filter;
use crate::format::Format;
use crate::record::RecordRef;

/// The end of the line: where records are printed.
#[derive(Debug)]
pub(super) struct Printer {
    pub(super) positions: Positions,
    filter: Filter,
    /// None: records are only counted.
    format: Option<Format>,
    output: Output,
    /// Records that matched.
    count: u64,
    limit: u64,
    failed: Option<io::Error>,
    /// When the last record came.
    pub(super) last_record: Instant,
    /// When the group gave an assignment last.
    pub(super) assigned_at: Option<Instant>,
    /// Nothing was committed since.
    pub(super) is_fresh: bool,
    commits: bool,
}

impl Printer {
    pub(super) fn new(
        positions: Positions,
        filter: Filter,
        format: Option<Format>,
        limit: Option<u64>,
        commits: bool,
    ) -> io::Result<Self> {
        Ok(Self {
            positions,
            filter,
            format,
            output: Output::stdout()?,
            count: 0,
            limit: limit.unwrap_or(u64::MAX),
            failed: None,
            last_record: Instant::now(),
            assigned_at: None,
            is_fresh: false,
            commits,
        })
    }

    /// Records printed (or counted) so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// True when no more records are wanted, whatever is left in the topics.
    pub(super) fn is_satisfied(&self) -> bool {
        self.count >= self.limit || self.output.is_closed() || self.failed.is_some()
    }

    /// Writes out what is in the buffer, and takes note that it was.
    pub(super) fn flush(&mut self) {
        match self.output.flush() {
            Ok(Written::All) => self.positions.mark_written(),
            // Bytes the reader never took may be in the pipe: a commit would skip them.
            Ok(Written::Closed) => self.positions.freeze(),
            Err(e) => {
                self.positions.freeze();
                self.failed.get_or_insert(e);
            }
        }
    }

    /// Sees whether the reader of standard output has gone, which writing alone shows too late when
    /// nothing more comes.
    pub(super) fn look_at_reader(&mut self) {
        if self.output.reader_is_gone() {
            self.positions.freeze();
        }
    }

    /// Prints the number of records, when that is all that was asked for.
    pub(super) fn print_count(&mut self) {
        if self.format.is_none() {
            let line = format!("{}\n", self.count);
            self.output.buffer().extend_from_slice(line.as_bytes());
            self.flush();
        }
    }

    /// The first error of writing.
    ///
    /// # Errors
    /// That one.
    pub(super) fn result(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl RecordSink for Printer {
    fn record(&mut self, record: &RecordRef<'_>) -> ControlFlow<()> {
        let position = self.positions.at(record.topic, record.partition);
        if !position.wants(record.offset) {
            // The end as it was is reached, though the record that would have told is gone.
            position.advance(record.offset);
            return ControlFlow::Continue(());
        }
        position.take(record.offset + 1);
        if self.filter.is_empty() || self.filter.matches(record) {
            self.count += 1;
            if let Some(format) = &self.format {
                format.append(self.output.buffer(), record);
                if self.output.is_full() {
                    self.flush();
                }
            }
            if self.is_satisfied() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn reached(&mut self, topic: &str, partition: i32, next: i64) {
        self.positions.at(topic, partition).rest(next);
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.positions.set_assigned(partitions, true);
        self.assigned_at = Some(Instant::now());
        self.is_fresh = true;
    }

    fn started(&mut self, partition: &TopicPartition, offset: i64, origin: StartOrigin) {
        self.positions.at(&partition.topic, partition.partition).start(offset, origin);
    }

    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) -> Offsets {
        self.flush();
        if lost && self.commits {
            self.positions.note_lost(partitions);
        }
        let offsets =
            if lost || !self.commits { Offsets::new() } else { self.positions.committable(Some(partitions)) };
        self.positions.set_assigned(partitions, false);
        offsets
    }

    fn notice(&mut self, notice: &Notice) {
        tell(notice);
    }

    fn warn(&mut self, message: &str) {
        console::warn(message);
    }
}
