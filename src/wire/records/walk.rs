//! Walking over the batches that a fetch brought for one partition, as Java's `CompletedFetch` does.

use std::collections::{BTreeSet, VecDeque};

use super::super::batch::{BEFORE_LENGTH, Batch, BatchHead};
use super::decode::{BatchRecords, Marker, Outcome};
use super::error::RecordsError;
use super::unpack::Unpacker;

/// The least length that a batch of any format can claim: what Java takes for an overhead.
const LEAST_LENGTH: i32 = 14;
/// Where a batch names its format.
const MAGIC_AT: usize = 16;
/// The format that is read.
const MAGIC: u8 = 2;

/// Whether checksums are looked at (`check.crcs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksums {
    /// They must be right.
    Verify,
    /// They are not looked at.
    Ignore,
}

/// What the next bytes are.
#[derive(Debug)]
pub enum Part<'s> {
    /// Records.
    Records(BatchRecords<'s>),
    /// A transaction's end. Not a record for anyone.
    Marker(Marker),
    /// Records of a transaction that was aborted, left out.
    Aborted(BatchHead),
    /// A control batch of which compaction left no record.
    Empty(BatchHead),
}

/// What was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Control batches.
    pub control: u64,
    /// Records of aborted transactions.
    pub aborted: u64,
}

/// What the walk came to in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All bytes were batches.
    Whole,
    /// The last batch is cut off, as brokers do it: fetch on.
    CutOff,
    /// There are bytes, but not one whole batch that is asked for: fetch more at once.
    TooFew {
        /// The bytes that the batch takes, if its length is among those that are there.
        needed: Option<usize>,
    },
    /// A batch is in error and what follows cannot be told: where it ends, or whose transactions it ended.
    /// Who wants to go on fetches from [`Walk::next_offset`].
    Broken,
}

/// The batches of one partition in a fetch response.
#[derive(Debug)]
pub struct Walk<'a> {
    rest: &'a [u8],
    from: i64,
    next_offset: i64,
    leader_epoch: Option<i32>,
    checksums: Checksums,
    aborted: Option<Aborted>,
    skipped: Skipped,
    progress: Progress,
}

/// A [`Walk`] that is to go on later.
#[derive(Debug)]
pub struct PausedWalk {
    state: Walk<'static>,
    left: usize,
}

impl PausedWalk {
    /// Goes on in the same bytes.
    pub fn resume(self, bytes: &[u8]) -> Walk<'_> {
        Walk { rest: last(bytes, self.left), ..self.state }
    }
}

/// The last bytes of these.
pub(super) fn last(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(count)..).unwrap_or_default()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No batch that is asked for yet.
    Nothing,
    Some,
    Broken,
}

impl<'a> Walk<'a> {
    /// What was fetched from offset `from` on.
    pub fn new(bytes: &'a [u8], from: i64) -> Self {
        Self {
            rest: bytes,
            from,
            next_offset: from,
            leader_epoch: None,
            checksums: Checksums::Verify,
            aborted: None,
            skipped: Skipped::default(),
            progress: Progress::Nothing,
        }
    }

    /// Looks at checksums or not.
    pub fn checksums(self, checksums: Checksums) -> Self {
        Self { checksums, ..self }
    }

    /// Leaves out what was aborted (`read_committed`): the response's list of producer ids and first
    /// offsets.
    pub fn committed(self, aborted: impl IntoIterator<Item = (i64, i64)>) -> Self {
        Self { aborted: Some(Aborted::new(aborted)), ..self }
    }

    /// Bytes that are not walked over yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The walk without the bytes, to go on with later.
    pub fn pause(self) -> PausedWalk {
        let Self { rest, from, next_offset, leader_epoch, checksums, aborted, skipped, progress } = self;
        let state =
            Walk { rest: &[], from, next_offset, leader_epoch, checksums, aborted, skipped, progress };
        PausedWalk { state, left: rest.len() }
    }

    /// Where to fetch next: after the last batch that was walked over, whatever is left of it.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The epoch of the leader that appended the last batch, to be told to the broker (KIP-320).
    pub fn leader_epoch(&self) -> Option<i32> {
        self.leader_epoch
    }

    /// What was left out so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// What the walk came to, once there are no more parts.
    pub fn end(&self) -> End {
        match self.progress {
            Progress::Broken => End::Broken,
            _ if self.rest.is_empty() => End::Whole,
            Progress::Some => End::CutOff,
            Progress::Nothing => End::TooFew { needed: claimed(self.rest) },
        }
    }

    /// The next part. After an error the walk goes on behind the batch, if it can be told where that is.
    pub fn next_part<'s>(&mut self, unpacker: &'s mut Unpacker) -> Option<Result<Part<'s>, RecordsError>>
    where
        'a: 's,
    {
        loop {
            let batch = match self.next_batch() {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    unpacker.trim();
                    return None;
                }
            };
            if batch.head.last_offset() >= self.from {
                return Some(self.part(&batch, unpacker));
            }
            // Below what was asked for, but it may end a transaction.
            if self.aborted.is_some() && batch.head.is_control() {
                match self.part(&batch, unpacker) {
                    Ok(_) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
        }
    }

    /// The next whole batch with a sound head.
    fn next_batch(&mut self) -> Option<Result<Batch<'a>, RecordsError>> {
        if self.progress == Progress::Broken {
            return None;
        }
        match Batch::split(self.rest) {
            Ok(None) => None,
            Ok(Some((batch, rest))) => {
                self.rest = rest;
                Some(Ok(batch))
            }
            Err(error) => {
                let (magic, base_offset) = (self.rest.get(MAGIC_AT).copied(), error.base_offset());
                match claimed(self.rest).and_then(|size| self.rest.get(size..)) {
                    Some(rest) => self.step_over(rest, magic.unwrap_or(MAGIC), base_offset, None),
                    None => self.progress = Progress::Broken,
                }
                Some(Err(error.into()))
            }
        }
    }

    fn part<'s>(&mut self, batch: &Batch<'a>, unpacker: &'s mut Unpacker) -> Result<Part<'s>, RecordsError>
    where
        'a: 's,
    {
        let head = &batch.head;
        let checked = match self.checksums {
            Checksums::Verify => batch.check(),
            Checksums::Ignore => Ok(()),
        };
        if let Err(error) = checked {
            self.step_over(self.rest, MAGIC, head.base_offset, Some(head.next_offset()));
            return Err(error.into());
        }
        let from = self.pass(head);
        if let Some(aborted) = &mut self.aborted
            && aborted.covers(head)
        {
            self.skipped.aborted += u64::from(head.records_count.unsigned_abs());
            return Ok(Part::Aborted(*head));
        }
        if !head.is_control() {
            return Ok(Part::Records(BatchRecords::open(head, batch.records(), unpacker, from)?));
        }
        self.control(batch, unpacker)
    }

    /// Takes a sound batch as walked over; gives the offset that its records are wanted from.
    fn pass(&mut self, head: &BatchHead) -> i64 {
        let from = self.from;
        if head.last_offset() >= from {
            self.progress = Progress::Some;
            self.leader_epoch = (head.partition_leader_epoch >= 0).then_some(head.partition_leader_epoch);
            (self.from, self.next_offset) = (head.next_offset(), head.next_offset());
        }
        from
    }

    fn control<'s>(&mut self, batch: &Batch<'a>, unpacker: &mut Unpacker) -> Result<Part<'s>, RecordsError> {
        let head = &batch.head;
        let marker = BatchRecords::open(head, batch.records(), unpacker, 0).and_then(Marker::read);
        if marker.is_err() && self.aborted.is_some() {
            self.progress = Progress::Broken;
        }
        let marker = marker?;
        self.skipped.control += 1;
        let Some(marker) = marker else { return Ok(Part::Empty(*head)) };
        if let Some(aborted) = &mut self.aborted
            && marker.outcome == Some(Outcome::Abort)
        {
            aborted.active.remove(&marker.producer_id);
        }
        Ok(Part::Marker(marker))
    }

    /// Goes on behind a batch in error, if what follows looks like one: its length is as untrusted as
    /// the rest of it. Under `read_committed` it may have ended a transaction, so the broker must be asked.
    fn step_over(&mut self, rest: &'a [u8], magic: u8, base_offset: i64, next_offset: Option<i64>) {
        let follows = rest.first_chunk().map(|offset| i64::from_be_bytes(*offset));
        let is_sound = follows.is_none_or(|follows| follows > base_offset)
            && rest.get(MAGIC_AT).is_none_or(|next| [magic, MAGIC].contains(next));
        if !is_sound || self.aborted.is_some() {
            self.progress = Progress::Broken;
        }
        let next = follows.filter(|_| is_sound).or(next_offset);
        self.next_offset = next.unwrap_or(base_offset.saturating_add(1)).max(self.next_offset);
        self.rest = rest;
        if self.progress == Progress::Nothing {
            self.progress = Progress::Some;
        }
    }
}

/// The bytes that the batch at the front says it takes, whatever its format.
fn claimed(bytes: &[u8]) -> Option<usize> {
    let length = i32::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
    (length >= LEAST_LENGTH).then(|| BEFORE_LENGTH + length.unsigned_abs() as usize)
}

/// The aborted transactions of a response: those to come by first offset, and the producers whose records
/// are being left out.
#[derive(Debug)]
struct Aborted {
    to_come: VecDeque<(i64, i64)>,
    active: BTreeSet<i64>,
}

impl Aborted {
    fn new(list: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut to_come: Vec<_> = list.into_iter().map(|(producer, first)| (first, producer)).collect();
        to_come.sort_unstable();
        Self { to_come: to_come.into(), active: BTreeSet::new() }
    }

    /// Whether a batch belongs to an aborted transaction. To be asked of every batch with a producer, in
    /// order.
    fn covers(&mut self, head: &BatchHead) -> bool {
        if head.producer_id < 0 {
            return false;
        }
        while let Some(&(first, producer)) = self.to_come.front()
            && first <= head.last_offset()
        {
            self.to_come.pop_front();
            self.active.insert(producer);
        }
        head.is_transactional() && !head.is_control() && self.active.contains(&head.producer_id)
    }
}
