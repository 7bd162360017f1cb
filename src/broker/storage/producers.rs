//! What a partition remembers of its producers: the epoch and last batches of each, so that a batch
//! sent twice is written once (KIP-98), the transactions that are open, and those that were aborted.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use crate::wire::batch::BatchHead;

/// Batches that are remembered of each producer: as many as a client may have under way.
const WINDOW: usize = 5;

/// Producers that are remembered of a partition; beyond it the one that wrote longest ago is
/// forgotten, as if it were new when it comes again.
const MAX_PRODUCERS: usize = 10_000;

/// An aborted transaction. Readers that want committed records only skip the producer's records from
/// its first offset to its marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aborted {
    /// The producer.
    pub producer_id: i64,
    /// Offset of the transaction's first record here.
    pub first_offset: i64,
    /// Offset of its marker.
    pub last_offset: i64,
    /// What was stable once it was over: no transaction that ended later began before.
    stable: i64,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    first: i32,
    last: i32,
    base_offset: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Producer {
    epoch: i16,
    /// The last batches of this epoch, newest last.
    sent: VecDeque<Sent>,
    /// Offset of the last batch or marker.
    last_offset: i64,
    /// First offset of the open transaction.
    open: Option<i64>,
}

impl Producer {
    fn enter(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.sent.clear();
        }
    }

    /// The same batch, when it is one of the last.
    fn find(&self, header: &BatchHead) -> Option<&Sent> {
        let range = (header.base_sequence, header.last_sequence());
        let same = |sent: &&Sent| (sent.first, sent.last) == range;
        self.sent.iter().find(same).filter(|_| header.producer_epoch == self.epoch)
    }

    /// A batch must begin where the last one ended, and with 0 in a new epoch. One that was written
    /// before those that are remembered is out of order like any other
    /// (Kafka's `ProducerAppendInfo.checkSequence`).
    fn check_sequence(&self, header: &BatchHead) -> Result<()> {
        let (producer_id, got) = (header.producer_id, header.base_sequence);
        let last = self.sent.back().filter(|_| header.producer_epoch == self.epoch);
        let expected = last.map_or(0, |sent| sent.last.checked_add(1).unwrap_or(0));
        if got == expected { Ok(()) } else { Err(Error::OutOfOrderSequence { producer_id, expected, got }) }
    }
}

/// The producers of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// First offset and producer of each open transaction.
    open: BTreeMap<i64, i64>,
    /// In order of their markers.
    aborted: Vec<Aborted>,
}

impl Producers {
    /// Judges a client's batch. `Some` is the base offset it was given when it came before: one of the
    /// last batches, sent again.
    pub(super) fn check(&self, header: &BatchHead) -> Result<Option<i64>> {
        let Some(producer) = self.by_id.get(&header.producer_id) else { return Ok(None) };
        if let Some(sent) = producer.find(header) {
            return Ok(Some(sent.base_offset));
        }
        self.check_epoch(header.producer_id, header.producer_epoch)?;
        producer.check_sequence(header)?;
        if producer.open.is_some() && !header.is_transactional() {
            return Err(Error::InvalidTxnState(header.producer_id));
        }
        Ok(None)
    }

    /// Refuses a producer that was replaced.
    pub(super) fn check_epoch(&self, producer_id: i64, epoch: i16) -> Result<()> {
        match self.by_id.get(&producer_id) {
            Some(producer) if epoch < producer.epoch => {
                Err(Error::InvalidProducerEpoch { producer_id, got: epoch, current: producer.epoch })
            }
            _ => Ok(()),
        }
    }

    /// Remembers a client's batch that was written.
    pub(super) fn note(&mut self, header: &BatchHead) {
        if header.producer_id < 0 {
            return;
        }
        let producer = self.producer(header.producer_id);
        producer.enter(header.producer_epoch);
        producer.last_offset = header.base_offset;
        if producer.sent.len() == WINDOW {
            producer.sent.pop_front();
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        producer.sent.push_back(Sent { first, last, base_offset: header.base_offset });
        if header.is_transactional() && producer.open.is_none() {
            producer.open = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
    }

    /// Remembers a marker that was written: the producer's transaction is over.
    pub(super) fn end(&mut self, marker: &BatchHead, commit: bool) {
        let producer_id = marker.producer_id;
        let producer = self.producer(producer_id);
        producer.enter(marker.producer_epoch);
        producer.last_offset = marker.base_offset;
        let Some(first_offset) = producer.open.take() else { return };
        self.open.remove(&first_offset);
        if !commit {
            let last_offset = marker.base_offset;
            let stable = self.first_open().unwrap_or(marker.next_offset());
            self.aborted.push(Aborted { producer_id, first_offset, last_offset, stable });
        }
    }

    fn producer(&mut self, id: i64) -> &mut Producer {
        if self.by_id.len() >= MAX_PRODUCERS && !self.by_id.contains_key(&id) {
            self.forget_one();
        }
        self.by_id.entry(id).or_default()
    }

    fn forget_one(&mut self) {
        let idle = self.by_id.iter().filter(|(_, producer)| producer.open.is_none());
        if let Some((&id, _)) = idle.min_by_key(|(_, producer)| producer.last_offset) {
            self.by_id.remove(&id);
        }
    }

    /// First offset of the oldest open transaction.
    pub(super) fn first_open(&self) -> Option<i64> {
        self.open.first_key_value().map(|(&offset, _)| offset)
    }

    /// The transactions that are open here: producer, its epoch, first offset.
    pub(super) fn open(&self) -> impl Iterator<Item = (i64, i16, i64)> {
        let epoch = |id| self.by_id.get(&id).map_or(0, |producer| producer.epoch);
        self.open.iter().map(move |(&offset, &producer_id)| (producer_id, epoch(producer_id), offset))
    }

    /// The aborted transactions with records from `from` to before `up_to`.
    pub(super) fn aborted(&self, from: i64, up_to: i64) -> Vec<Aborted> {
        let first = self.aborted.partition_point(|aborted| aborted.last_offset < from);
        let mut found = Vec::new();
        for aborted in self.aborted.iter().skip(first) {
            if aborted.first_offset < up_to {
                found.push(*aborted);
            }
            if aborted.stable >= up_to {
                break;
            }
        }
        found
    }

    /// Forgets the aborted transactions that ended before `start`.
    pub(super) fn forget_before(&mut self, start: i64) {
        let gone = self.aborted.partition_point(|aborted| aborted.last_offset < start);
        self.aborted.drain(..gone);
    }
}
