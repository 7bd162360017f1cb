//! Transactions (KIP-98): which producer a transactional id has, what is part of its transaction, and
//! how that ends.
//!
//! - `state`: one transactional id; each step is a function from one state to the next.
//! - `persist`: the same in the journal.
//! - `surroundings`: what the steps need of the broker.
//! - `timer`: what happens without being asked.
//! - `recover`: what is done at the start.
//!
//! A step holds its transactional id, so two of the same id do not meet half-way. Its state is in the
//! journal before it holds; the decision of a transaction before the first marker is written; and the
//! committed offsets come with the state that says that all markers are written. Whatever stops the
//! broker in between, the next start goes on from there.
//!
//! Locks: an id's, then the storage's.

mod persist;
mod recover;
mod state;
mod surroundings;
mod timer;

#[cfg(test)]
mod tests;

pub(super) use recover::recover;
pub(super) use state::{Part, Producer, Protocol};
pub(super) use surroundings::Surroundings;
pub(super) use timer::keep_time;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::code::{Code, Failure};
use super::groups::Decision;
use super::storage::{self, Change, Journal};
use state::{End, Init, Result, State, Transaction, check_timeout};
use timer::Timer;

/// From a failure of the disk to the next attempt at what has to be done, in ms.
const RETRY_MS: i64 = 1000;

/// A transactional id; empty when it is new or was forgotten.
#[derive(Debug, Default)]
struct Slot {
    transaction: Option<Transaction>,
    /// Nothing is done unasked before this time, in ms since 1970.
    not_before: i64,
}

type Shared = Arc<Mutex<Slot>>;

/// All transactional ids.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    slots: Mutex<HashMap<Arc<str>, Shared>>,
    timer: Timer,
}

impl Transactions {
    /// The transactional ids of a journal. What is due, such as an decision that was not carried out to its
    /// end, waits for [`tick`](Self::tick).
    pub(super) fn load(journal: &Journal) -> Self {
        let known = journal.iter(persist::PREFIX).filter_map(|(key, value)| {
            let transaction = Some(persist::decode(value)?);
            let slot = Slot { transaction, not_before: i64::MIN };
            Some((persist::id(key)?.into(), Arc::new(Mutex::new(slot))))
        });
        Self { slots: Mutex::new(known.collect()), timer: Timer::default() }
    }

    /// Gives a producer its identity, and fences all others of that transactional id. A transaction
    /// that one of them left open is aborted first.
    pub(super) fn init(
        &self,
        around: &impl Surroundings,
        id: &str,
        timeout_ms: i32,
        claim: Option<Producer>,
        now: i64,
    ) -> Result<Producer> {
        check_id(id)?;
        check_timeout(timeout_ms)?;
        loop {
            let shared = Arc::clone(self.slots().entry(id.into()).or_default());
            let mut slot = lock(&shared);
            // It may have been forgotten meanwhile.
            if !self.slots().get(id).is_some_and(|known| Arc::ptr_eq(known, &shared)) {
                continue;
            }
            let producer = self.init_in(&mut slot, around, id, timeout_ms, claim, now);
            self.remove_if_empty(id, &shared, &slot);
            return producer;
        }
    }

    fn init_in(
        &self,
        slot: &mut Slot,
        around: &impl Surroundings,
        id: &str,
        timeout_ms: i32,
        claim: Option<Producer>,
        now: i64,
    ) -> Result<Producer> {
        let new_id = || around.new_producer_id().map_err(unwritten);
        let next = match &slot.transaction {
            None => Transaction::new(new_id()?, timeout_ms, now),
            Some(transaction) => match transaction.init(claim, timeout_ms, now, new_id)? {
                Init::Ready(next) => next,
                Init::Abort(prepared) => {
                    self.store(slot, around, id, prepared)?;
                    if !self.carry_out(slot, around, id, now) {
                        return Err(Code::ConcurrentTransactions.into());
                    }
                    return self.init_in(slot, around, id, timeout_ms, claim, now);
                }
            },
        };
        let producer = next.producer;
        self.store(slot, around, id, next)?;
        Ok(producer)
    }

    /// Makes parts part of a producer's transaction, which begins with the first.
    pub(super) fn add(
        &self,
        around: &impl Surroundings,
        id: &str,
        producer: Producer,
        parts: &[Part<'_>],
        now: i64,
    ) -> Result<()> {
        self.hold(id, |slot| match slot.known()?.add(producer, parts, now)? {
            Some(next) => self.store(slot, around, id, next),
            None => Ok(()),
        })
    }

    /// Writes to a part of a producer's transaction, which cannot end meanwhile.
    pub(super) fn write<T>(
        &self,
        id: &str,
        producer: Producer,
        part: Part<'_>,
        write: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.hold(id, |slot| {
            slot.known()?.check(producer, part)?;
            write()
        })
    }

    /// Ends a producer's transaction. When this returns its markers are written; but if the disk failed
    /// on the way, when it has recovered: the decision stands. Returns the producer's identity from now
    /// on.
    pub(super) fn end(
        &self,
        around: &impl Surroundings,
        id: &str,
        producer: Producer,
        decision: Decision,
        protocol: Protocol,
        now: i64,
    ) -> Result<Producer> {
        self.hold(id, |slot| {
            let transaction = slot.known()?;
            let new_id = || around.new_producer_id().map_err(unwritten);
            let End::Prepared(prepared) = transaction.end(producer, decision, protocol, now, new_id)? else {
                return Ok(transaction.producer);
            };
            let after = prepared.completed(now).producer;
            self.store(slot, around, id, prepared)?;
            self.carry_out(slot, around, id, now);
            Ok(after)
        })
    }

    /// Does all that is due, and returns when there is something to do next, in ms since 1970.
    pub(super) fn tick(&self, around: &impl Surroundings, now: i64) -> i64 {
        self.timer.begin();
        let mut next = i64::MAX;
        for (id, shared) in self.all() {
            let mut slot = lock(&shared);
            if slot.due_at() <= now {
                self.see_to(&mut slot, around, &id, now);
            }
            next = next.min(slot.due_at());
            self.remove_if_empty(&id, &shared, &slot);
        }
        self.timer.set(next);
        next
    }

    /// Does what is due of one transactional id.
    fn see_to(&self, slot: &mut Slot, around: &impl Surroundings, id: &str, now: i64) {
        let Some(transaction) = &slot.transaction else { return };
        match transaction.state {
            State::Ongoing => {
                let (time, fenced) = (transaction.timeout_ms, transaction.fenced(now));
                around.log(format_args!("transaction of {id:?} aborted: it took longer than {time} ms"));
                match self.store(slot, around, id, fenced) {
                    Ok(()) => drop(self.carry_out(slot, around, id, now)),
                    Err(_) => slot.not_before = now.saturating_add(RETRY_MS),
                }
            }
            State::Prepare(_) => drop(self.carry_out(slot, around, id, now)),
            State::Empty | State::Complete(_) => match around.keep(Change::Delete(&persist::key(id))) {
                Ok(()) => slot.transaction = None,
                Err(_) => slot.not_before = now.saturating_add(RETRY_MS),
            },
        }
    }

    /// The partitions of all transactions that are not over, with the producers.
    pub(super) fn open(&self) -> HashSet<(i64, [u8; 16], i32)> {
        let mut open = HashSet::new();
        for (_, shared) in self.all() {
            let slot = lock(&shared);
            let of_one = slot.transaction.iter().flat_map(|transaction| {
                transaction.partitions().map(|(topic, partition)| (transaction.producer.id, topic, partition))
            });
            open.extend(of_one);
        }
        open
    }

    /// Writes an decision's markers and what goes with them. False when the disk failed: it is tried
    /// again after a while.
    fn carry_out(&self, slot: &mut Slot, around: &impl Surroundings, id: &str, now: i64) -> bool {
        let done = try_carry_out(slot, around, id, now);
        if let Err(error) = &done {
            around.log(format_args!("transaction of {id:?} is not over yet: {error}"));
            slot.not_before = now.saturating_add(RETRY_MS);
        }
        self.timer.expect(slot.due_at());
        done.is_ok()
    }

    /// Writes a state down; from then on it holds.
    fn store(&self, slot: &mut Slot, around: &impl Surroundings, id: &str, next: Transaction) -> Result<()> {
        let value = persist::encode(&next);
        around.keep(Change::Put(&persist::key(id), &value)).map_err(unwritten)?;
        slot.transaction = Some(next);
        self.timer.expect(slot.due_at());
        Ok(())
    }

    /// Takes a step of a transactional id.
    fn hold<T>(&self, id: &str, step: impl FnOnce(&mut Slot) -> Result<T>) -> Result<T> {
        check_id(id)?;
        let shared = self.slots().get(id).cloned().ok_or(Code::InvalidProducerIdMapping)?;
        let mut slot = lock(&shared);
        step(&mut slot)
    }

    fn remove_if_empty(&self, id: &str, shared: &Shared, slot: &Slot) {
        let mut slots = self.slots();
        if slot.transaction.is_none() && slots.get(id).is_some_and(|known| Arc::ptr_eq(known, shared)) {
            slots.remove(id);
        }
    }

    /// All transactional ids, to be held one by one.
    fn all(&self) -> Vec<(Arc<str>, Shared)> {
        self.slots().iter().map(|(id, shared)| (Arc::clone(id), Arc::clone(shared))).collect()
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Arc<str>, Shared>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn known(&self) -> Result<&Transaction> {
        self.transaction.as_ref().ok_or(Code::InvalidProducerIdMapping.into())
    }

    fn due_at(&self) -> i64 {
        self.transaction.as_ref().map_or(i64::MAX, |transaction| transaction.due_at().max(self.not_before))
    }
}

/// Goes on with an decision: markers that are written are not written again.
fn try_carry_out(slot: &mut Slot, around: &impl Surroundings, id: &str, now: i64) -> storage::Result<()> {
    let Some(transaction) = &mut slot.transaction else { return Ok(()) };
    let State::Prepare(decision) = transaction.state else { return Ok(()) };
    for (topic, partition) in transaction.partitions().collect::<Vec<_>>() {
        around.mark(topic, partition, transaction.producer, decision, now)?;
        transaction.remove(topic, partition);
    }
    let completed = transaction.completed(now);
    let (key, value) = (persist::key(id), persist::encode(&completed));
    around.settle(transaction.producer.id, decision, Change::Put(&key, &value))?;
    *transaction = completed;
    Ok(())
}

fn lock(shared: &Shared) -> MutexGuard<'_, Slot> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_id(id: &str) -> Result<()> {
    if id.is_empty() { Err(Code::InvalidRequest.into()) } else { Ok(()) }
}

/// What a client is told when a state could not be written down: to try again, as by Kafka's
/// `TransactionStateManager`.
fn unwritten(error: storage::Error) -> Failure {
    Failure::new(Code::NotCoordinator, error.to_string())
}
