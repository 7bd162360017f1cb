//! One transactional id: its producer and its transaction (KIP-98, KIP-360, KIP-890; Kafka's
//! `TransactionMetadata` and `TransactionCoordinator`).
//!
//! ```text
//! Empty -> Ongoing -> Prepare(decision) -> Complete(decision) -> Ongoing or Empty
//! ```
//!
//! Nothing here reads a clock or writes: each step gives the state that follows, for the caller to
//! write down before it holds. From `Prepare` on the decision stands, whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use super::super::code::{Code, Failure};
use super::super::groups::Decision;

/// The longest time that a transaction can be given, in ms: Kafka's `transaction.max.timeout.ms`.
const MAX_TIMEOUT_MS: i32 = 15 * 60 * 1000;
/// How long an id without a transaction is remembered, in ms: Kafka's
/// `transactional.id.expiration.ms`.
pub(super) const REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// From this epoch on a producer gets a new id: one epoch is left to fence it with.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// A result with the error a client is sent.
pub(super) type Result<T> = std::result::Result<T, Failure>;

/// A producer as it names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct Producer {
    pub(in crate::broker) id: i64,
    pub(in crate::broker) epoch: i16,
}

impl Producer {
    /// No producer.
    pub(in crate::broker) const NONE: Self = Self { id: -1, epoch: -1 };
}

/// What the end of a transaction does to the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Protocol {
    /// It stays.
    V1,
    /// It goes up by one, so that nothing sent late falls into the next transaction (KIP-890).
    V2,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The producer has done nothing yet.
    Empty,
    /// It has a transaction open.
    Ongoing,
    /// The decision stands; markers are being written.
    Prepare(Decision),
    /// The last transaction is over.
    Complete(Decision),
}

/// What can be part of a transaction: a partition (topic's id and number) or a group's offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Part<'a> {
    Partition([u8; 16], i32),
    Offsets(&'a str),
}

/// What an InitProducerId leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Init {
    /// The open transaction is to be aborted first.
    Abort(Transaction),
    /// This is the answer.
    Ready(Transaction),
}

/// What an EndTxn leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It had ended so before.
    Again,
    /// The decision that is to be carried out.
    Prepared(Transaction),
}

/// A transactional id's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) producer: Producer,
    /// The id before the last new one; -1 for none.
    pub(super) previous_id: i64,
    /// The id to go on with once the markers are written; -1 to keep this one.
    pub(super) next_id: i64,
    /// The epoch before the last change that the producer itself asked for; -1 for none. It may be
    /// asking once more.
    pub(super) last_epoch: i16,
    /// How long a transaction may take, in ms.
    pub(super) timeout_ms: i32,
    pub(super) state: State,
    /// The partitions in the transaction, by topic id.
    pub(super) partitions: BTreeMap<[u8; 16], BTreeSet<i32>>,
    /// The groups whose offsets are in the transaction.
    pub(super) groups: BTreeSet<String>,
    /// When the transaction began, in ms since 1970; -1 before the first.
    pub(super) started_at: i64,
    /// When anything last changed, in ms since 1970.
    pub(super) updated_at: i64,
}

/// Refuses a time that a transaction cannot be given.
pub(super) fn check_timeout(timeout_ms: i32) -> Result<()> {
    if (1..=MAX_TIMEOUT_MS).contains(&timeout_ms) { Ok(()) } else { fail(Code::InvalidTransactionTimeout) }
}

fn fail<T>(code: Code) -> Result<T> {
    Err(code.into())
}

impl Transaction {
    /// A transactional id that is used for the first time.
    pub(super) fn new(id: i64, timeout_ms: i32, now: i64) -> Self {
        Self {
            producer: Producer { id, epoch: 0 },
            previous_id: -1,
            next_id: -1,
            last_epoch: -1,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeMap::new(),
            groups: BTreeSet::new(),
            started_at: -1,
            updated_at: now,
        }
    }

    /// A producer begins, or goes on after an error with the identity that it claims to have (KIP-360).
    /// Any other producer is fenced by the new epoch, or by a new id when there are no more epochs.
    pub(super) fn init(
        &self,
        claim: Option<Producer>,
        timeout_ms: i32,
        now: i64,
        new_id: impl FnOnce() -> Result<i64>,
    ) -> Result<Init> {
        if claim.is_some_and(|claim| !self.may_claim(claim)) {
            return fail(Code::ProducerFenced);
        }
        match self.state {
            State::Prepare(_) => fail(Code::ConcurrentTransactions),
            // One that was replaced does no harm to its successor's transaction.
            State::Ongoing if claim.is_some_and(|claim| claim != self.producer) => fail(Code::ProducerFenced),
            State::Ongoing => Ok(Init::Abort(self.fenced(now))),
            State::Empty | State::Complete(_) => {
                let (producer, last_epoch) = self.next_producer(claim, new_id)?;
                let previous_id = if producer == self.producer { self.previous_id } else { self.producer.id };
                let new = Self::new(producer.id, timeout_ms, now);
                Ok(Init::Ready(Self { producer, last_epoch, previous_id, ..new }))
            }
        }
    }

    /// Whether the id claimed is this producer's, or the one it had before its epochs ran out.
    fn may_claim(&self, claim: Producer) -> bool {
        claim.id == self.producer.id || (self.is_previous(claim.id) && claim.epoch >= LAST_EPOCH)
    }

    /// The producer after an InitProducerId, and the epoch it had before.
    fn next_producer(
        &self,
        claim: Option<Producer>,
        new_id: impl FnOnce() -> Result<i64>,
    ) -> Result<(Producer, i16)> {
        let Producer { id, epoch } = self.producer;
        let last_epoch = match claim {
            None => -1,
            Some(claim) if claim.epoch == epoch => epoch,
            // It did not get the last answer.
            Some(claim) if claim.epoch == self.last_epoch => return Ok((self.producer, self.last_epoch)),
            Some(_) => return fail(Code::ProducerFenced),
        };
        let producer = match epoch {
            LAST_EPOCH.. => Producer { id: new_id()?, epoch: 0 },
            _ => Producer { id, epoch: epoch + 1 },
        };
        Ok((producer, last_epoch))
    }

    /// Makes parts part of the transaction, which begins if it has not. `None` when they are already.
    pub(super) fn add(&self, producer: Producer, parts: &[Part<'_>], now: i64) -> Result<Option<Self>> {
        self.check_producer(producer)?;
        if self.state == State::Ongoing && parts.iter().all(|part| self.has(*part)) {
            return Ok(None);
        }
        let mut next = Self { state: State::Ongoing, updated_at: now, ..self.clone() };
        if self.state != State::Ongoing {
            next.started_at = now;
        }
        for part in parts {
            match *part {
                Part::Partition(topic, partition) => {
                    next.partitions.entry(topic).or_default().insert(partition);
                }
                Part::Offsets(group) => {
                    next.groups.insert(group.to_owned());
                }
            }
        }
        Ok(Some(next))
    }

    /// Refuses to write to what is not part of the producer's transaction.
    pub(super) fn check(&self, producer: Producer, part: Part<'_>) -> Result<()> {
        self.check_producer(producer)?;
        if self.has(part) {
            return Ok(());
        }
        Err(Failure::new(Code::TransactionAbortable, "it is not part of the producer's transaction"))
    }

    fn check_producer(&self, producer: Producer) -> Result<()> {
        match self.state {
            _ if producer.id != self.producer.id => fail(Code::InvalidProducerIdMapping),
            _ if producer.epoch != self.producer.epoch => fail(Code::ProducerFenced),
            State::Prepare(_) => fail(Code::ConcurrentTransactions),
            State::Empty | State::Ongoing | State::Complete(_) => Ok(()),
        }
    }

    /// Whether it is part of the transaction.
    pub(super) fn has(&self, part: Part<'_>) -> bool {
        match part {
            Part::Partition(topic, partition) => {
                self.partitions.get(&topic).is_some_and(|partitions| partitions.contains(&partition))
            }
            Part::Offsets(group) => self.groups.contains(group),
        }
    }

    /// The producer ends its transaction.
    pub(super) fn end(
        &self,
        producer: Producer,
        decision: Decision,
        protocol: Protocol,
        now: i64,
        new_id: impl FnOnce() -> Result<i64>,
    ) -> Result<End> {
        let is_late = protocol == Protocol::V2 && self.is_late(producer);
        if producer.id != self.producer.id && !is_late {
            return fail(Code::InvalidProducerIdMapping);
        }
        // Under V2 the epoch of a transaction that is ending has gone up already.
        let is_right = match (protocol, self.state) {
            (Protocol::V2, State::Prepare(_)) => is_late,
            (Protocol::V2, State::Complete(_)) => is_late || producer == self.producer,
            _ => producer == self.producer,
        };
        if !is_right {
            return fail(Code::ProducerFenced);
        }
        let is_empty_abort = protocol == Protocol::V2 && !is_late && decision == Decision::Abort;
        match self.state {
            State::Ongoing => Ok(End::Prepared(self.prepared(decision, protocol, now, new_id)?)),
            State::Empty | State::Complete(_) if is_empty_abort => {
                let begun = Self { started_at: now, ..self.clone() };
                Ok(End::Prepared(begun.prepared(decision, protocol, now, new_id)?))
            }
            State::Complete(ended) if ended == decision && (protocol == Protocol::V1 || is_late) => {
                Ok(End::Again)
            }
            State::Prepare(ending) if ending == decision => fail(Code::ConcurrentTransactions),
            _ => fail(Code::InvalidTxnState),
        }
    }

    /// Whether a producer asks with the epoch before an end that it did not hear of (KIP-890).
    fn is_late(&self, producer: Producer) -> bool {
        let Producer { id, epoch } = self.producer;
        let before = producer.id == id && producer.epoch.checked_add(1) == Some(epoch);
        before || (self.is_previous(producer.id) && producer.epoch == LAST_EPOCH && epoch == 0)
    }

    fn is_previous(&self, id: i64) -> bool {
        id >= 0 && id == self.previous_id
    }

    fn prepared(
        &self,
        decision: Decision,
        protocol: Protocol,
        now: i64,
        new_id: impl FnOnce() -> Result<i64>,
    ) -> Result<Self> {
        let mut next = Self { state: State::Prepare(decision), updated_at: now, ..self.clone() };
        if protocol == Protocol::V2 {
            let epoch = self.producer.epoch;
            next.next_id = if epoch >= LAST_EPOCH { new_id()? } else { -1 };
            next.producer.epoch = epoch.saturating_add(1);
            next.last_epoch = epoch;
        }
        Ok(next)
    }

    /// The open transaction is to be aborted, and its producer is replaced: it cannot go on.
    pub(super) fn fenced(&self, now: i64) -> Self {
        let Producer { id, epoch } = self.producer;
        Self {
            producer: Producer { id, epoch: epoch.saturating_add(1) },
            last_epoch: -1,
            state: State::Prepare(Decision::Abort),
            updated_at: now,
            ..self.clone()
        }
    }

    /// The transaction after its decision was carried out; itself when there is none.
    pub(super) fn completed(&self, now: i64) -> Self {
        let State::Prepare(decision) = self.state else { return self.clone() };
        let producer = match self.next_id {
            -1 => self.producer,
            id => Producer { id, epoch: 0 },
        };
        let previous_id = if self.next_id == -1 { self.previous_id } else { self.producer.id };
        Self {
            producer,
            previous_id,
            next_id: -1,
            state: State::Complete(decision),
            partitions: BTreeMap::new(),
            groups: BTreeSet::new(),
            updated_at: now,
            ..self.clone()
        }
    }

    /// Leaves out a partition that has its marker.
    pub(super) fn remove(&mut self, topic: [u8; 16], partition: i32) {
        if let Some(partitions) = self.partitions.get_mut(&topic) {
            partitions.remove(&partition);
        }
    }

    /// The partitions in the transaction.
    pub(super) fn partitions(&self) -> impl Iterator<Item = ([u8; 16], i32)> {
        let of_topic = |(topic, partitions): (&[u8; 16], &BTreeSet<i32>)| {
            let topic = *topic;
            partitions.iter().map(move |partition| (topic, *partition)).collect::<Vec<_>>()
        };
        self.partitions.iter().flat_map(of_topic)
    }

    /// When something is to be done without being asked, in ms since 1970: an open transaction is
    /// aborted, an decision is carried out, an id without a transaction is forgotten.
    pub(super) fn due_at(&self) -> i64 {
        match self.state {
            State::Ongoing => self.started_at.saturating_add(i64::from(self.timeout_ms)),
            State::Prepare(_) => self.updated_at,
            State::Empty | State::Complete(_) => self.updated_at.saturating_add(REMEMBERED_MS),
        }
    }
}
