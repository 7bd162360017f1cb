//! The batches of one partition from when they are handed over until their outcome is known, without
//! sockets or clock: what may be sent next, and what each answer leads to.
//!
//! All batches stay in one queue in the order of their records. One that is to be sent again keeps its
//! place, and the later ones wait for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::fault::{Class, Fault, Leaders};
use super::parcel::{Content, Filled, Parcel};
use super::sequence::{Identity, Sequences, Stamp};
use crate::backends::{Error, ErrorKind, Fate, Status, TopicPartition};
use crate::wire::net::{Backoff, Random};
use crate::wire::records::{Packer, Unpacker};

/// How long a topic may be unknown to its brokers before its records are given up.
pub(super) const MISSING_FOR: Duration = Duration::from_secs(5);
/// When a batch is looked at again that its last connection still holds.
const HELD_FOR: Duration = Duration::from_millis(1);

/// Whether the broker is to tell repeated batches from new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idempotence {
    On,
    Off,
}

/// What holds for all partitions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub(super) idempotence: Idempotence,
    /// Tries beyond the first.
    pub(super) retries: u32,
    /// The time a batch has from its first record to its acknowledgement.
    pub(super) delivery: Duration,
    /// First and longest pause before the next try.
    pub(super) retry: (Duration, Duration),
    /// Batches of one partition that may be in flight: an idempotent producer's are told apart up to 5.
    pub(super) window: usize,
}

/// What sealing and splitting take.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) packer: Packer,
    pub(super) unpacker: Unpacker,
    pub(super) random: Random,
}

/// Where an acknowledged batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    /// The first record's offset; -1 if it is not told.
    pub(super) base: i64,
    /// The time the broker gave to the records, if it did.
    pub(super) appended: Option<i64>,
}

impl Placed {
    /// Written, nobody says where.
    pub(super) const SOMEWHERE: Self = Self { base: -1, appended: None };
}

/// A batch whose outcome is known.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) parcel: Arc<Parcel>,
    pub(super) outcome: Result<Placed, (Fate, Error)>,
}

/// What came of an event.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) settled: Vec<Settled>,
    /// Leaders are to be asked for again.
    pub(super) refresh: bool,
    /// Records to be sent again that may have been written, and that nobody will know from new ones.
    pub(super) resent: u64,
    /// Nothing that is sent will be taken any more.
    pub(super) fatal: Option<(ErrorKind, String)>,
}

/// A batch and how it stands.
#[derive(Debug)]
struct Entry {
    ticket: u64,
    content: Content,
    state: State,
    /// What it is known by to the broker.
    stamp: Option<Stamp>,
    /// The stamp that its bytes have.
    written: Option<Stamp>,
    /// A batch before it is missing for good: under this stamp it cannot have been written.
    behind_gap: bool,
    tries: u32,
    /// It was sent before.
    again: bool,
    /// It may have been written.
    in_doubt: bool,
    deadline: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    InFlight,
}

/// The batches of a partition.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) place: TopicPartition,
    policy: Policy,
    queue: VecDeque<Entry>,
    in_flight: usize,
    next_ticket: u64,
    sequences: Sequences,
    /// Numbers are missing: the next epoch begins as soon as those before are answered.
    gap: bool,
    /// Bytes that a batch of this topic may have, as far as refusals have shown.
    limit: Arc<AtomicUsize>,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Since when the brokers do not know the topic.
    missing: Option<Instant>,
    trouble: Option<Trouble>,
}

/// The last failure in words, and when the first one was since anything was delivered.
#[derive(Debug)]
struct Trouble {
    kind: ErrorKind,
    why: String,
    since: SystemTime,
}

impl Lane {
    pub(super) fn new(place: TopicPartition, policy: Policy, limit: Arc<AtomicUsize>) -> Self {
        Self {
            place,
            policy,
            queue: VecDeque::new(),
            in_flight: 0,
            next_ticket: 0,
            sequences: Sequences::default(),
            gap: false,
            limit,
            backoff: Backoff::new(policy.retry.0, policy.retry.1),
            not_before: None,
            missing: None,
            trouble: None,
        }
    }

    /// Takes a batch.
    pub(super) fn push(&mut self, filled: Filled) {
        let deadline = deadline(filled.since, self.policy.delivery);
        let entry = self.entry(Content::Filled(filled), deadline);
        self.queue.push_back(entry);
    }

    fn entry(&mut self, content: Content, deadline: Instant) -> Entry {
        self.next_ticket += 1;
        Entry {
            ticket: self.next_ticket,
            content,
            state: State::Waiting,
            stamp: None,
            written: None,
            behind_gap: false,
            tries: 0,
            again: false,
            in_doubt: false,
            deadline,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When the first batch is out of time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.queue.front().map(|entry| entry.deadline)
    }

    /// When there may be something to send again that is to wait.
    pub(super) fn pause(&self) -> Option<Instant> {
        self.not_before
    }

    /// There is a new leader: no reason to wait.
    pub(super) fn hurry(&mut self) {
        self.not_before = None;
        self.missing = None;
    }

    /// Whether it waits for another producer id than `given`.
    pub(super) fn needs_identity(&self, given: Option<Identity>) -> bool {
        let waits = self.policy.idempotence == Idempotence::On && !self.queue.is_empty();
        waits && self.sequences.needs_other_than(given)
    }

    /// Which batch may be sent: the first that waits, unless it was sent before and others before it are not
    /// answered. Without sequence numbers it also waits for those before it that were.
    fn sendable(&self) -> Option<usize> {
        let at = self.queue.iter().position(|entry| entry.state == State::Waiting)?;
        let mut before = self.queue.iter().take(at);
        let alone = self.queue.get(at)?.again
            || self.policy.idempotence == Idempotence::Off && before.any(|entry| entry.again);
        (self.in_flight < self.window() && (!alone || at == 0)).then_some(at)
    }

    /// How many batches may be in flight.
    fn window(&self) -> usize {
        match self.policy.idempotence {
            Idempotence::On if !self.sequences.is_known() => 1,
            _ => self.policy.window,
        }
    }

    /// The size of the batch that may be sent now, made ready.
    pub(super) fn ready(
        &mut self,
        now: Instant,
        given: Option<Identity>,
        tools: &mut Tools,
    ) -> Option<usize> {
        if self.not_before.is_some_and(|not_before| not_before > now) {
            return None;
        }
        self.not_before = None;
        self.close_gap();
        let at = self.sendable()?;
        self.fit(at, tools);
        let stamp = match self.policy.idempotence {
            Idempotence::Off => None,
            Idempotence::On => Some(self.stamp(at, given)?),
        };
        let entry = self.queue.get_mut(at)?;
        if entry.written == stamp
            && let Some(parcel) = entry.content.sealed()
        {
            return Some(parcel.bytes().len());
        }
        match entry.content.stamped(stamp.map(Stamp::producer), &mut tools.packer) {
            Some(parcel) => {
                entry.written = stamp;
                Some(parcel.bytes().len())
            }
            None => {
                self.not_before = Some(now + HELD_FOR);
                None
            }
        }
    }

    /// Takes what is ready.
    pub(super) fn take(&mut self) -> Option<(u64, Arc<Parcel>)> {
        let at = self.sendable()?;
        let entry = self.queue.get_mut(at)?;
        let parcel = Arc::clone(entry.content.sealed()?);
        entry.state = State::InFlight;
        entry.tries += 1;
        self.in_flight += 1;
        Some((entry.ticket, parcel))
    }

    /// The stamp of a batch; none while there is no id, or while it is to be seen whether the numbers go on.
    fn stamp(&mut self, at: usize, given: Option<Identity>) -> Option<Stamp> {
        let entry = self.queue.get_mut(at)?;
        match entry.stamp {
            Some(_) if entry.behind_gap => None,
            Some(stamp) => Some(stamp),
            None if self.gap || self.sequences.is_unresolved() => None,
            None => {
                entry.stamp = self.sequences.assign(entry.content.len(), given);
                entry.stamp
            }
        }
    }

    /// Begins the next epoch, once all batches are answered that can still be written in this one.
    fn close_gap(&mut self) {
        if !self.gap && !self.sequences.is_unresolved() || self.in_flight > 0 {
            return;
        }
        let numbered = |entry: &&Entry| entry.stamp.is_some() && !entry.behind_gap;
        if self.queue.iter().any(|entry| numbered(&entry)) {
            return;
        }
        if self.sequences.is_unresolved() && self.sequences.resolve() && !self.gap {
            return;
        }
        self.gap = false;
        self.sequences.bump();
        for entry in self.queue.iter_mut().filter(|entry| entry.stamp.is_some()) {
            (entry.stamp, entry.behind_gap, entry.in_doubt) = (None, false, false);
        }
    }

    /// Numbers are missing from batch `at` on.
    fn open_gap(&mut self, at: usize) {
        self.gap = true;
        for entry in self.queue.iter_mut().skip(at).filter(|entry| entry.stamp.is_some()) {
            entry.behind_gap = true;
        }
    }

    /// Splits a batch that was never sent and is larger than refusals have shown to be of use.
    fn fit(&mut self, at: usize, tools: &mut Tools) {
        let limit = self.limit.load(Ordering::Relaxed);
        while self.queue.get(at).is_some_and(|entry| {
            matches!(&entry.content, Content::Filled(filled) if filled.size() > limit && filled.len() > 1)
        }) {
            let Some(entry) = self.queue.get_mut(at) else { return };
            // Not compressed, as it is taken apart at once.
            let mut plain = Packer::new(crate::wire::Codec::None, None);
            if entry.content.stamped(None, &mut plain).is_none() || self.halve(at, tools).is_none() {
                return;
            }
        }
    }

    /// Replaces a sealed batch by its halves, which keep its sequence numbers; none if it cannot be read back,
    /// else the size of the larger half. Never for one that may have been written.
    fn halve(&mut self, at: usize, tools: &mut Tools) -> Option<usize> {
        let parcel = self.queue.get(at)?.content.sealed().cloned()?;
        let middle = parcel.len() / 2;
        let halves = parcel.divide(2, |n| usize::from(n >= middle), &mut tools.unpacker).ok()?;
        let old = self.queue.remove(at)?;
        let (mut done, mut larger) = (0, 0);
        for (n, half) in halves.into_iter().enumerate() {
            let mut entry = self.entry(Content::Nothing, old.deadline);
            entry.stamp = old.stamp.map(|stamp| stamp.after(done));
            entry.behind_gap = old.behind_gap;
            done += half.len();
            larger = larger.max(half.size());
            entry.content = Content::Filled(half);
            self.queue.insert(at + n, entry);
        }
        Some(larger)
    }

    /// What became of a batch that was in flight.
    pub(super) fn answered(
        &mut self,
        (ticket, parcel): (u64, Arc<Parcel>),
        answer: Result<Placed, Fault>,
        now: Instant,
        tools: &mut Tools,
        effects: &mut Effects,
    ) {
        let Some(at) = self.queue.iter().position(|entry| entry.ticket == ticket) else {
            return self.answered_late(&parcel, &answer);
        };
        // The entry holds it, alone from here on.
        drop(parcel);
        if let Some(entry) = self.queue.get_mut(at) {
            entry.state = State::Waiting;
            entry.again = true;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        match answer {
            Ok(placed) => self.delivered(at, placed, effects),
            Err(fault) => self.refused(at, &fault, now, tools, effects),
        }
    }

    /// It was given up in the meantime; what is known now tells whether numbers are missing.
    fn answered_late(&mut self, parcel: &Parcel, answer: &Result<Placed, Fault>) {
        if answer.is_ok()
            && let Some(stamp) = parcel.stamped()
        {
            self.sequences.acknowledge(stamp, parcel.len());
        }
    }

    fn delivered(&mut self, at: usize, placed: Placed, effects: &mut Effects) {
        let Some(entry) = self.queue.remove(at) else { return };
        if let Some(stamp) = entry.stamp {
            self.sequences.acknowledge(stamp, entry.content.len());
        }
        self.backoff.reset();
        (self.not_before, self.missing, self.trouble) = (None, None, None);
        effects.settled.extend(entry.settled(Ok(placed)));
    }

    fn refused(&mut self, at: usize, fault: &Fault, now: Instant, tools: &mut Tools, effects: &mut Effects) {
        effects.refresh |= fault.leaders() == Leaders::Doubtful;
        let numbered = self.policy.idempotence == Idempotence::On;
        let several = self.queue.get(at).is_some_and(|entry| entry.content.len() > 1);
        // What begins an epoch has the only number that there can be: another epoch would be refused, too.
        let begins = self.queue.get(at).and_then(|entry| entry.stamp).is_some_and(|stamp| stamp.base == 0);
        match fault.class() {
            Class::Duplicate => self.delivered(at, Placed::SOMEWHERE, effects),
            Class::Sequence if numbered && !begins => {
                // Behind others, it only tells that those are not written yet.
                if at == 0 {
                    self.open_gap(0);
                }
                self.try_again(at, fault, now, tools, effects);
            }
            Class::TooLarge if several => self.split(at, fault, tools, effects),
            Class::Records if several => self.set_aside(at, fault, tools, effects),
            Class::Missing => self.not_found(at, fault, now, tools, effects),
            Class::Again => self.try_again(at, fault, now, tools, effects),
            Class::InDoubt => {
                if let Some(entry) = self.queue.get_mut(at) {
                    entry.in_doubt = true;
                }
                let (records, batches) =
                    (self.queue.get(at).map_or(0, |entry| entry.content.len()), self.queue.len());
                self.try_again(at, fault, now, tools, effects);
                if !numbered && self.queue.len() == batches {
                    effects.resent += records as u64;
                }
            }
            Class::Fatal => {
                effects.fatal = Some(fault.reason());
                self.fail(at, fault.error(&self.place), effects);
            }
            Class::Sequence | Class::TooLarge | Class::Records | Class::Final => {
                self.fail(at, fault.error(&self.place), effects);
            }
        }
    }

    fn try_again(
        &mut self,
        at: usize,
        fault: &Fault,
        now: Instant,
        tools: &mut Tools,
        effects: &mut Effects,
    ) {
        // Whatever becomes of it: this is when it failed first.
        let (kind, why) = fault.trouble();
        self.blame(kind, &why);
        let Some(entry) = self.queue.get_mut(at) else { return };
        // A try that never left does not count, nor one that only came too early.
        if fault.was_unsent() || fault.class() == Class::Sequence && at > 0 {
            entry.tries = entry.tries.saturating_sub(1);
        }
        if entry.tries > self.policy.retries {
            return self.fail(at, fault.error(&self.place), effects);
        }
        if self.not_before.is_none_or(|not_before| not_before <= now) {
            self.not_before = Some(now + self.backoff.after_failure(&mut tools.random));
        }
    }

    fn not_found(
        &mut self,
        at: usize,
        fault: &Fault,
        now: Instant,
        tools: &mut Tools,
        effects: &mut Effects,
    ) {
        let since = *self.missing.get_or_insert(now);
        if now.saturating_duration_since(since) < MISSING_FOR {
            return self.try_again(at, fault, now, tools, effects);
        }
        self.fail(at, fault.error(&self.place), effects);
    }

    /// The broker looks at the size before anything else: a batch that is too large was not written before
    /// either.
    fn split(&mut self, at: usize, fault: &Fault, tools: &mut Tools, effects: &mut Effects) {
        match self.halve(at, tools) {
            Some(larger) => drop(self.limit.fetch_min(larger, Ordering::Relaxed)),
            None => self.fail(at, fault.error(&self.place), effects),
        }
    }

    /// Fails the records that are to blame; the others are sent without them.
    fn set_aside(&mut self, at: usize, fault: &Fault, tools: &mut Tools, effects: &mut Effects) {
        let Fault::Code { records, .. } = fault else { return };
        let parcel = self.queue.get(at).and_then(|entry| entry.content.sealed()).cloned();
        let is_bad = |n| usize::from(records.contains(&n));
        let parts = parcel.and_then(|parcel| parcel.divide(2, is_bad, &mut tools.unpacker).ok());
        let parts: Option<[Filled; 2]> = parts.and_then(|parts| parts.try_into().ok());
        // Else all are to blame, or none that there is.
        let Some([good, bad]) = parts else { return self.fail(at, fault.error(&self.place), effects) };
        let deadline = deadline(good.since, self.policy.delivery);
        let good = self.entry(Content::Filled(good), deadline);
        if let Some(entry) = self.queue.get_mut(at) {
            entry.content = Content::Filled(bad);
        }
        self.fail(at, fault.error(&self.place), effects);
        self.queue.insert(at.min(self.queue.len()), good);
    }

    /// Gives a batch up. If it is not known to be missing, the numbers after it are in doubt; else they
    /// have a gap before them.
    fn fail(&mut self, at: usize, error: Error, effects: &mut Effects) {
        let Some(entry) = self.queue.remove(at) else { return };
        let fate = entry.fate();
        match fate {
            Fate::Unknown if entry.stamp.is_some() => self.sequences.doubt(),
            Fate::Failed if entry.stamp.is_some() => self.open_gap(at),
            _ => {}
        }
        if entry.state == State::InFlight {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        let error = error.with_attempts(entry.tries, self.trouble.as_ref().map(|trouble| trouble.since));
        effects.settled.extend(entry.settled(Err((fate, error))));
    }

    /// Gives up what is out of time.
    pub(super) fn expire(&mut self, now: Instant, effects: &mut Effects) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            let after = self.policy.delivery;
            let error = self.late(&format!("not delivered within {after:?}"));
            self.fail(0, error, effects);
        }
    }

    /// Gives up everything for want of time.
    pub(super) fn abandon(&mut self, effects: &mut Effects) {
        while !self.queue.is_empty() {
            let error = self.late("not acknowledged in time");
            self.fail(0, error, effects);
        }
    }

    fn late(&self, what: &str) -> Error {
        let (kind, why) = match &self.trouble {
            // The other partitions may be better off.
            Some(Trouble {
                kind: kind @ (ErrorKind::UnknownTopic | ErrorKind::Unreachable), why, ..
            }) => (*kind, format!(": {why}")),
            Some(Trouble { why, .. }) => (ErrorKind::TimedOut, format!(": {why}")),
            None => (ErrorKind::TimedOut, String::new()),
        };
        Error::new(kind, format!("{}: {what}{why}", self.place)).with_status(Status::Persistent)
    }

    /// Gives up what is not in flight: it would be refused.
    pub(super) fn refuse(&mut self, (kind, why): (ErrorKind, &str), effects: &mut Effects) {
        while let Some(at) = self.queue.iter().position(|entry| entry.state == State::Waiting) {
            self.fail(at, Error::new(kind, format!("{}: {why}", self.place)), effects);
        }
    }

    /// The brokers do not know the topic, says metadata.
    pub(super) fn unknown(&mut self, fault: &Fault, now: Instant, effects: &mut Effects) {
        let since = *self.missing.get_or_insert(now);
        if now.saturating_duration_since(since) >= MISSING_FOR {
            let (kind, why) = fault.reason();
            self.refuse((kind, &why), effects);
        } else {
            let (kind, why) = fault.trouble();
            self.blame(kind, &why);
        }
    }

    /// What keeps batches from being sent, in words.
    pub(super) fn blame(&mut self, kind: ErrorKind, why: &str) {
        let since = self.trouble.as_ref().map_or_else(SystemTime::now, |trouble| trouble.since);
        self.trouble = Some(Trouble { kind, why: why.to_owned(), since });
    }
}

impl Entry {
    fn fate(&self) -> Fate {
        if self.in_doubt || self.state == State::InFlight { Fate::Unknown } else { Fate::Failed }
    }

    fn settled(self, outcome: Result<Placed, (Fate, Error)>) -> Option<Settled> {
        self.content.into_parcel().map(|parcel| Settled { parcel, outcome })
    }
}

fn deadline(since: Instant, delivery: Duration) -> Instant {
    since.checked_add(delivery).unwrap_or_else(|| since + Duration::from_secs(30 * 86_400))
}
