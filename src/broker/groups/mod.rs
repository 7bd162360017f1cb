//! Consumer groups and committed offsets (as Kafka's `GroupCoordinatorService` and what it drives).
//!
//! Nothing but this file knows clocks, locks or tasks: [`Registry`] and the groups in it are driven by
//! calls that are told the time. Who waits for a rebalance is answered through the sending half of a
//! channel that its call brought; when a client hangs up, the receiving half is gone and the answer
//! goes nowhere, while the member stays until its session ends.
//!
//! - [`registry`]: all groups by id, what is common to both protocols.
//! - [`classic`]: a group of the classic protocol.
//! - [`consumer`]: a group of KIP-848's protocol.
//! - [`commits`]: who may commit, read and delete offsets, and how long they are kept.
//! - [`offsets`]: committed offsets, and those of transactions.
//! - [`persist`]: what is in the journal.
//!
//! Differences from Kafka: the first rebalance of a group is not delayed (as with
//! `group.initial.rebalance.delay.ms=0`), so that tests and demonstrations do not wait; a group has at
//! most [`MAX_SIZE`] members (`group.max.size`; Kafka's default is no limit), a member at most 100
//! protocols, the broker at most [`MAX_GROUPS`] groups (`POLICY_VIOLATION`); a group is not moved from
//! one protocol to the other while it has members.

pub(super) mod classic;
mod commits;
pub(in crate::broker) mod consumer;
mod offsets;
pub(super) mod persist;
mod registry;

#[cfg(test)]
mod tests;

pub(super) use offsets::{Committed, Decision};
pub(super) use persist::{Edits, Place};
pub(super) use registry::{Commit, Kind, Mode, Registry, Store, Who};

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::node::{self, Node};
use super::storage::{self, Change};

/// The most members of a group.
pub(super) const MAX_SIZE: usize = 1000;
/// The most groups.
pub(super) const MAX_GROUPS: usize = 10_000;

/// An id that no member has: a random UUID behind the client's name or the member's.
pub(super) fn fresh_member_id(name: &str) -> String {
    let [high, low] = [0, 1].map(|half: u64| RandomState::new().hash_one(half));
    format!(
        "{name}-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        0x4000 | high & 0xfff,
        0x8000 | low >> 48 & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

/// The groups of a broker.
#[derive(Debug)]
pub(super) struct Groups {
    registry: Mutex<Registry>,
    clock: Clock,
    /// Told when something is due earlier than what was due first.
    earlier: Notify,
}

impl Groups {
    /// The groups that are in the journal.
    pub(super) fn load(storage: &storage::Storage, options: &consumer::Options) -> storage::Result<Self> {
        let clock = Clock::start();
        let registry = Registry::load(storage, options, clock.now())?;
        Ok(Self { registry: Mutex::new(registry), clock, earlier: Notify::new() })
    }

    /// When something is due, in ms of the groups' clock.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.lock().next_deadline()
    }

    /// Does what is due.
    pub(super) fn expire(&self, node: &Node) {
        self.with(node, |registry, store, now| registry.expire(store, now));
    }

    /// Does something with the groups that no one sees half done. It is given where changes are kept,
    /// and the time.
    pub(super) fn with<T>(&self, node: &Node, act: impl FnOnce(&mut Registry, &dyn Store, i64) -> T) -> T {
        let act = || {
            let mut registry = self.lock();
            let before = registry.next_deadline();
            let result = act(&mut registry, node, self.clock.now());
            if registry.next_deadline().is_some_and(|after| before.is_none_or(|before| after < before)) {
                self.earlier.notify_one();
            }
            result
        };
        if node.options.storage.fsync == storage::Fsync::Never { act() } else { node::blocking(act) }
    }

    /// Begins to end a producer's transaction: nobody else does anything with offsets until what is
    /// returned is done or dropped.
    pub(super) fn end_transaction(&self, producer_id: i64, decision: Decision) -> Ending<'_> {
        let registry = self.lock();
        let edits = registry.ending(producer_id, decision);
        Ending { registry, edits, producer_id, decision }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a transaction, for its offsets. Dropped without a word, it has not happened.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    registry: MutexGuard<'a, Registry>,
    edits: Edits,
    producer_id: i64,
    decision: Decision,
}

impl Ending<'_> {
    /// What it changes in the journal: to be applied at once with whatever else the end changes.
    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        self.edits.changes()
    }

    /// Makes it true, once the journal has the changes.
    pub(super) fn done(mut self) {
        self.registry.end(self.producer_id, self.decision);
    }
}

/// Does what is due when it is due, for ever.
pub(super) async fn keep_time(node: Arc<Node>) {
    let groups = &node.groups;
    loop {
        let due = async {
            match groups.next_deadline() {
                Some(deadline) => tokio::time::sleep(groups.clock.until(deadline)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => groups.expire(&node),
            () = groups.earlier.notified() => {}
        }
    }
}

/// A clock that shows ms since 1970 when it starts and never jumps after that.
#[derive(Debug)]
struct Clock {
    started: Instant,
    at: i64,
}

impl Clock {
    fn start() -> Self {
        Self { started: Instant::now(), at: node::now() }
    }

    fn now(&self) -> i64 {
        let since = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.at.saturating_add(since)
    }

    /// The time until then, rounded up.
    fn until(&self, time: i64) -> Duration {
        let wait = time.saturating_sub(self.now()).max(-1).saturating_add(1);
        Duration::from_millis(wait.unsigned_abs())
    }
}
