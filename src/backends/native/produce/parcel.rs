//! Records of one partition as they are handed from thread to thread: filled by the command's, sealed,
//! sent and split by the client's, told of by the command's again.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::lines::{Lines, Origin, Timed};
use super::sequence::{Identity, Stamp};
use crate::record::{Headers, RecordRef};
use crate::wire::net::Payload;
use crate::wire::records::{BatchBuffer, Packer, Producer, RecordsError, SealedBatch, TooLong, Unpacker};

/// A batch that is being filled, and what its bytes do not say.
#[derive(Debug)]
pub(super) struct Filled {
    buffer: BatchBuffer,
    lines: Lines,
    /// Bytes of keys and values.
    payload: u64,
    /// When the first record came.
    pub(super) since: Instant,
    /// Bytes it counts for against `buffer.memory`, if not its size: pieces count as much as the whole did.
    charge: Option<usize>,
}

impl Filled {
    /// An empty one.
    pub(super) fn new(buffer: BatchBuffer, since: Instant) -> Self {
        Self { buffer, lines: Lines::default(), payload: 0, since, charge: None }
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes of the batch.
    pub(super) fn size(&self) -> usize {
        self.buffer.size()
    }

    /// Appends a record.
    ///
    /// # Errors
    /// If the batch would be larger than its format can say.
    #[inline]
    pub(super) fn append<H: Headers + ?Sized>(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &H,
        origin: Origin<'_>,
    ) -> Result<(), TooLong> {
        self.buffer.append(timestamp, key, value, headers)?;
        self.payload += (key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) as u64;
        self.lines.push(origin);
        Ok(())
    }

    /// Makes it ready to be sent.
    pub(super) fn seal(self, producer: Option<Producer>, packer: &mut Packer) -> Parcel {
        let charge = self.charge.unwrap_or(self.buffer.size());
        let batch = self.buffer.seal(producer, packer);
        Parcel { batch, lines: self.lines, payload: self.payload, since: self.since, charge }
    }
}

/// A batch as it is sent.
#[derive(Debug)]
pub(super) struct Parcel {
    batch: SealedBatch,
    lines: Lines,
    /// Bytes of keys and values.
    pub(super) payload: u64,
    /// When its first record came.
    pub(super) since: Instant,
    /// Bytes it counts for against `buffer.memory`.
    pub(super) charge: usize,
}

impl Parcel {
    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.batch.len()
    }

    /// What is sent.
    pub(super) fn bytes(&self) -> &[u8] {
        self.batch.bytes()
    }

    /// The producer and sequence that it has.
    pub(super) fn stamped(&self) -> Option<Stamp> {
        let head = self.batch.head();
        let identity = Identity { id: head.producer_id, epoch: head.producer_epoch };
        (head.producer_id >= 0).then_some(Stamp { identity, base: head.base_sequence })
    }

    /// The place of a record in the input.
    pub(super) fn origin(&self, record: usize) -> Origin<'_> {
        self.lines.of(record)
    }

    /// Sets the producer and sequence.
    pub(super) fn stamp(&mut self, producer: Option<Producer>) {
        self.batch.stamp(producer);
    }

    /// Its buffer, for the next batch.
    pub(super) fn recycle(self) -> BatchBuffer {
        self.batch.recycle()
    }

    /// Puts each record into the part that `part` names for its number, in order; parts that stay empty are
    /// left out.
    ///
    /// # Errors
    /// If it cannot be read back.
    pub(super) fn divide(
        &self,
        parts: usize,
        part: impl Fn(usize) -> usize,
        unpacker: &mut Unpacker,
    ) -> Result<Vec<Filled>, RecordsError> {
        let mut filled: Vec<_> = (0..parts).map(|_| Filled::new(BatchBuffer::new(), self.since)).collect();
        for (n, record) in self.batch.records(unpacker)?.enumerate() {
            let record = record?;
            if let Some(filled) = filled.get_mut(part(n)) {
                let origin = self.lines.of(n);
                // No part is larger than the whole.
                let _ = filled.append(record.timestamp, record.key, record.value, &record.headers, origin);
            }
        }
        filled.retain(|filled| filled.len() > 0);
        let mut left = self.charge;
        for part in &mut filled {
            let charge = left.min(part.size());
            part.charge = Some(charge);
            left -= charge;
        }
        if let Some(last) = filled.last_mut() {
            last.charge = last.charge.map(|charge| charge + left);
        }
        Ok(filled)
    }

    /// Lends each record with its place in the input. Its offset counts from `base`, -1 for unknown; its
    /// timestamp is -1 if it came without one, as long as `stamps` does not say otherwise.
    ///
    /// # Errors
    /// If it cannot be read back.
    pub(super) fn for_each(
        &self,
        (topic, partition): (&str, i32),
        (base, stamps): (i64, Stamps),
        unpacker: &mut Unpacker,
        each: &mut dyn FnMut(&RecordRef<'_>, Origin<'_>),
    ) -> Result<(), RecordsError> {
        for (n, record) in self.batch.records(unpacker)?.enumerate() {
            let record = record?;
            let origin = self.lines.of(n);
            let mut lent = record.lend(topic, partition);
            lent.offset = if base < 0 { -1 } else { base.saturating_add(n as i64) };
            lent.timestamp = match (stamps, origin.timed) {
                (Stamps::Appended(at), _) => at,
                (Stamps::AsSent, _) | (_, Timed::ByInput) => record.timestamp,
                (Stamps::OfInput, Timed::Here) => -1,
            };
            each(&lent, origin);
        }
        Ok(())
    }
}

/// Which timestamps are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamps {
    /// Those of the input alone.
    OfInput,
    /// Those that were sent.
    AsSent,
    /// This one, which the broker gave to all of them.
    Appended(i64),
}

/// The batches of a request, in the order of its partitions.
pub(super) struct Load(pub(super) Vec<Arc<Parcel>>);

impl Payload for Load {
    fn gap(&self, number: usize) -> Option<&[u8]> {
        self.0.get(number).map(|parcel| parcel.bytes())
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Load({} batches)", self.0.len())
    }
}

/// A batch in either form, while it waits.
#[derive(Debug)]
pub(super) enum Content {
    /// As it came.
    Filled(Filled),
    /// As it is sent.
    Sealed(Arc<Parcel>),
    /// For the moment between the two.
    Nothing,
}

impl Content {
    /// Number of records.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Filled(filled) => filled.len(),
            Self::Sealed(parcel) => parcel.len(),
            Self::Nothing => 0,
        }
    }

    /// Seals it, or stamps it anew: none as long as the connection that last sent it still holds it.
    pub(super) fn stamped(
        &mut self,
        producer: Option<Producer>,
        packer: &mut Packer,
    ) -> Option<&Arc<Parcel>> {
        match mem::replace(self, Self::Nothing) {
            Self::Filled(filled) => *self = Self::Sealed(Arc::new(filled.seal(producer, packer))),
            Self::Sealed(mut parcel) => {
                let alone = Arc::get_mut(&mut parcel).map(|parcel| parcel.stamp(producer)).is_some();
                *self = Self::Sealed(parcel);
                if !alone {
                    return None;
                }
            }
            Self::Nothing => {}
        }
        self.sealed()
    }

    /// As it is sent, if it is sealed.
    pub(super) fn sealed(&self) -> Option<&Arc<Parcel>> {
        match self {
            Self::Sealed(parcel) => Some(parcel),
            _ => None,
        }
    }

    /// As it would be sent, to be told of.
    pub(super) fn into_parcel(self) -> Option<Arc<Parcel>> {
        match self {
            Self::Filled(filled) => {
                // It is not sent any more: no need to compress it.
                let mut packer = Packer::new(crate::wire::Codec::None, None);
                Some(Arc::new(filled.seal(None, &mut packer)))
            }
            Self::Sealed(parcel) => Some(parcel),
            Self::Nothing => None,
        }
    }
}
