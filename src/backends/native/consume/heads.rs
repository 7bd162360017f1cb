//! What the heads of fetched batches tell, without a look at their records.

use crate::wire::batch::Batches;

/// The length that a batch claims stands there, and what it does not count.
const LENGTH_AT: usize = 8;
const BEFORE_LENGTH: i64 = 12;

/// The batches of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heads {
    /// Where to fetch on.
    pub(super) next: i64,
    /// The epoch of the leader that appended the last batch; -1 if it has none.
    pub(super) last_epoch: i32,
    pub(super) end: HeadsEnd,
}

/// How they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadsEnd {
    /// With a batch, or with one that is cut off.
    Sound,
    /// Not one batch is whole. It takes so many bytes.
    TooFew(i64),
    /// With what is no batch.
    Flawed,
}

impl Heads {
    /// Walks over the batches that were fetched from offset `from`.
    pub(super) fn of(bytes: &[u8], from: i64) -> Self {
        let (mut next, mut last_epoch, mut end) = (from, -1, HeadsEnd::Sound);
        let mut batches = Batches::new(bytes);
        for batch in batches.by_ref() {
            match batch {
                Ok(batch) if batch.head.next_offset() > next => {
                    (next, last_epoch) = (batch.head.next_offset(), batch.head.partition_leader_epoch);
                }
                Ok(_) => {}
                Err(_) => end = HeadsEnd::Flawed,
            }
        }
        if end == HeadsEnd::Sound && next == from {
            end = HeadsEnd::TooFew(claimed(batches.rest()));
        }
        Self { next, last_epoch, end }
    }
}

/// The bytes that the batch at the front says it takes; 0 if it does not say.
fn claimed(bytes: &[u8]) -> i64 {
    let length = bytes.get(LENGTH_AT..).and_then(<[u8]>::first_chunk);
    length.map_or(0, |length| BEFORE_LENGTH + i64::from(i32::from_be_bytes(*length).max(0)))
}
