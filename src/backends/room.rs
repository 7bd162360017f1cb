//! How much a publisher may take before it has told what became of it.

/// What may be owed, and what is. Bytes are whatever the owner counts.
#[derive(Debug)]
pub(crate) struct Room {
    max_bytes: usize,
    max_records: usize,
    bytes: usize,
    records: usize,
}

impl Room {
    pub(crate) fn new(max_bytes: usize, max_records: usize) -> Self {
        Self { max_bytes, max_records, bytes: 0, records: 0 }
    }

    /// True if a record of `size` bytes may be taken. One that is larger than all there is may, when nothing
    /// else is owed: it could never go otherwise.
    #[inline]
    pub(crate) fn is_for(&self, size: usize) -> bool {
        self.records == 0 || (self.records < self.max_records && self.bytes + size <= self.max_bytes)
    }

    /// Bytes and records that may still be taken.
    #[cfg(feature = "native")]
    pub(crate) fn left(&self) -> (usize, usize) {
        (self.max_bytes.saturating_sub(self.bytes), self.max_records.saturating_sub(self.records))
    }

    /// Records are owed that made their batch so much larger.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize, records: usize) {
        self.bytes += bytes;
        self.records += records;
    }

    /// So much is no longer owed.
    pub(crate) fn give_back(&mut self, bytes: usize, records: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.records = self.records.saturating_sub(records);
    }

    /// Nothing is owed any more.
    pub(crate) fn clear(&mut self) {
        (self.bytes, self.records) = (0, 0);
    }

    /// Records owed.
    pub(crate) fn owed(&self) -> usize {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ends_with_bytes_or_records_but_one_record_always_goes() {
        let mut room = Room::new(100, 2);
        assert!(room.is_for(1000));
        room.take(60, 1);
        assert!(room.is_for(40) && !room.is_for(41));
        room.take(10, 1);
        #[cfg(feature = "native")]
        assert_eq!(room.left(), (30, 0));
        assert!(!room.is_for(1));
        room.give_back(70, 2);
        assert_eq!((room.owed(), room.is_for(1000)), (0, true));
    }
}
