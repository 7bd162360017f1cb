//! The spool's books on disk: how far it was acknowledged and how far it was written. Two slots are written in turn,
//! each with a number and a checksum, so that one that is torn leaves the one before it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::private;

/// Bytes of a slot: its number, head, end, checksum, and four that are 0.
const SLOT: usize = 32;

/// Numbers of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// All before this one are done with.
    pub(super) head: u64,
    /// All before this one were written.
    pub(super) end: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    /// Of the slot written last.
    number: u64,
    pub(super) marks: Marks,
}

/// What was found in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    New,
    Sound,
    /// Neither slot is.
    Damaged,
}

impl Ledger {
    /// Opens or creates it.
    pub(super) fn open(path: &Path) -> io::Result<(Self, State)> {
        let file = private::options(path).read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::with_capacity(2 * SLOT);
        io::Read::read_to_end(&mut io::Read::take(&file, 2 * SLOT as u64), &mut bytes)?;
        let slots = bytes.chunks(SLOT).filter_map(parse);
        let latest = slots.max_by_key(|(number, _)| *number);
        let state = match latest {
            Some(_) => State::Sound,
            None if bytes.is_empty() => State::New,
            None => State::Damaged,
        };
        let (number, marks) = latest.unwrap_or_default();
        Ok((Self { file, number, marks }, state))
    }

    /// Writes the marks into the slot that is not the latest.
    pub(super) fn write(&mut self, marks: Marks) -> io::Result<()> {
        self.number += 1;
        let mut slot = [0; SLOT];
        slot[..8].copy_from_slice(&self.number.to_le_bytes());
        slot[8..16].copy_from_slice(&marks.head.to_le_bytes());
        slot[16..24].copy_from_slice(&marks.end.to_le_bytes());
        let sum = crc32c::crc32c(&slot[..24]);
        slot[24..28].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all_at(&slot, self.number % 2 * SLOT as u64)?;
        self.marks = marks;
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn parse(slot: &[u8]) -> Option<(u64, Marks)> {
    let u64_at = |at: usize| slot.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    let sum = slot.get(24..28).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)?;
    let sound = crc32c::crc32c(slot.get(..24)?) == sum;
    let marks = Marks { head: u64_at(8)?, end: u64_at(16)? };
    (sound && marks.head <= marks.end).then_some((u64_at(0)?, marks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_sound_slot_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let marks = |head| Marks { head, end: 9 };
        let (mut ledger, state) = Ledger::open(&path).unwrap();
        assert_eq!((state, ledger.marks), (State::New, Marks::default()));
        for head in 1..4 {
            ledger.write(marks(head)).unwrap();
        }
        let open = || Ledger::open(&path).map(|(ledger, state)| (state, ledger.marks)).unwrap();
        assert_eq!(open(), (State::Sound, marks(3)));
        // The third is in the second slot.
        let flip = |at: usize| {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        };
        flip(SLOT + 9);
        assert_eq!(open(), (State::Sound, marks(2)));
        flip(9);
        assert_eq!(open(), (State::Damaged, Marks::default()));
    }
}
