//! Forgetting: segments deleted from the front by size and by age, and at a client's wish.

use super::error::{Error, Result};
use super::log::Log;

impl Log {
    /// What has to be done from time to time, every few seconds: syncs when that is due, seals the active
    /// segment when it is old, and deletes what is past the limits. `now` is in milliseconds.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn maintain(&mut self, now: i64) -> Result<()> {
        if self.is_deleted {
            return Ok(());
        }
        self.sync_when_due(now)?;
        self.retain_time(now)?;
        self.retain_bytes()
    }

    /// Deletes the oldest segments as long as the limit in bytes stays filled without them.
    pub(super) fn retain_bytes(&mut self) -> Result<()> {
        let Some(limit) = self.options.retain_bytes else { return Ok(()) };
        let mut size = self.size();
        let mut keep_from = None;
        for segment in &self.sealed {
            size -= segment.size;
            if size < limit {
                break;
            }
            keep_from = Some(segment.next);
        }
        keep_from.map_or(Ok(()), |offset| self.drop_before(offset))
    }

    /// Deletes the oldest segments whose records are all past the limit in time.
    fn retain_time(&mut self, now: i64) -> Result<()> {
        let (Some(limit), Some(span)) = (self.options.retain_ms(), self.options.roll_after()) else {
            return Ok(());
        };
        let is_over = |mark: i64| now.saturating_sub(mark) > limit;
        let since = *self.active_since.get_or_insert(now);
        let is_long = now.saturating_sub(since) >= span;
        if self.active.size > 0 && (is_long || is_over(self.active.age_mark())) {
            self.roll(now)?;
        }
        let old = self.sealed.iter().take_while(|segment| is_over(segment.age_mark()));
        old.last().map(|segment| segment.next).map_or(Ok(()), |offset| self.drop_before(offset))
    }

    /// Makes `before` the first offset that is kept; -1 stands for the next one to be written. Returns
    /// the first offset that is kept then. It holds after a restart, too.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] for one that is not written yet, [`Error::Io`].
    pub fn delete_records(&mut self, before: i64) -> Result<i64> {
        self.check_not_deleted()?;
        let (start, next) = (self.start, self.next_offset());
        let before = if before == -1 { next } else { before };
        if !(0..=next).contains(&before) {
            return Err(Error::OffsetOutOfRange { offset: before, start, next });
        }
        if before > start {
            self.start = before;
            self.checkpoint(true)?;
            self.drop_before(before)?;
        }
        Ok(self.start)
    }

    /// Deletes the sealed segments that end before `offset`, oldest first.
    fn drop_before(&mut self, offset: i64) -> Result<()> {
        while let Some(segment) = self.sealed.front().filter(|segment| segment.next <= offset) {
            segment.remove()?;
            let next_base = self.sealed.get(1).map_or(self.active.base, |segment| segment.base);
            self.sealed.pop_front();
            self.start = self.start.max(next_base);
        }
        self.producers.forget_before(self.start);
        Ok(())
    }
}
