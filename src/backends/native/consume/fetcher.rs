//! What to fetch from whom: decides, and does nothing. Answers and failures come in (`outcomes`), requests and
//! what is to be told go out.
//!
//! Each broker is asked for all its partitions at once, and again as soon as it has answered while there is room
//! for answers that are not decoded: what bounds memory is that room, so a partition is fetched on while its last
//! batches wait (the Java client skips it until then, and so never fetches one partition ahead). The broker lets
//! partitions take turns when an answer is full.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::frame::{Assigned, Told};
use super::outcomes::may_pass;
use super::partition::{Fault, Id, Partition, State, Trouble, Verdict};
use super::session::{Ask, Session, Terms};
use crate::backends::reset::Reset;
use crate::backends::wired::{errors, is_worth_a_line};
use crate::backends::{Error, ErrorKind, Notice, Status, unknown_topic};
use crate::record::ByPartition;
use crate::wire::net::{Leader, Metadata};
use crate::wire::{ErrorCode, Uuid};

/// Bytes of batches that all brokers together may be asked for at a time, if that leaves each of them
/// [`LEAST_ANSWER`].
const IN_FLIGHT: i32 = 16 << 20;
const LEAST_ANSWER: i32 = 64 << 10;

/// How partitions are read.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) terms: Terms,
    /// Bytes of one partition in an answer (`max.partition.fetch.bytes`).
    pub(super) partition_bytes: i32,
    /// The largest batch that can be taken.
    pub(super) max_batch: i32,
    pub(super) reset: Reset,
    /// How long a topic may be unknown, and how long any trouble may last.
    pub(super) patience: (Duration, Duration),
    /// First and longest pause before another try.
    pub(super) pause: (Duration, Duration),
    /// How long a nearer broker is asked before the leader is again (`metadata.max.age.ms`).
    pub(super) nearer_for: Duration,
}

/// What is known of the cluster.
pub(super) trait View: Send + Sync {
    /// Who leads a partition.
    ///
    /// # Errors
    /// Why nobody does.
    fn leader(&self, topic: &str, partition: i32) -> Result<Leader, ErrorCode>;
    /// The topic's id, which another topic of that name does not have; none if the broker asked is too old to tell.
    fn topic_id(&self, topic: &str) -> Option<Uuid>;
    /// Whether there is such a broker.
    fn has_broker(&self, id: i32) -> bool;
}

impl View for Metadata {
    fn leader(&self, topic: &str, partition: i32) -> Result<Leader, ErrorCode> {
        let topic = self.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let none = topic.error.unwrap_or(ErrorCode::UnknownTopicOrPartition);
        let partition = topic.partition(partition).ok_or(none)?;
        let id = partition.leader.ok_or(partition.error.unwrap_or(ErrorCode::LeaderNotAvailable))?;
        Ok(Leader { id, epoch: partition.leader_epoch })
    }

    fn topic_id(&self, topic: &str) -> Option<Uuid> {
        self.topic(topic).map(|topic| topic.id).filter(|id| *id != Uuid::default())
    }

    fn has_broker(&self, id: i32) -> bool {
        self.broker(id).is_some()
    }
}

/// A question beside fetching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// Where the partition begins or ends.
    Offset(Id, Arc<str>, i32, Reset),
    /// Who leads what.
    Metadata(Arc<str>),
}

/// A broker that partitions are read from.
#[derive(Debug, Default)]
pub(super) struct Broker {
    pub(super) session: Session,
    /// What is read from it, in the order of their turns.
    pub(super) parts: Vec<Id>,
    /// Those of them of which it has to be told something.
    changed: Vec<Id>,
    /// What was read from it before.
    gone: Vec<(Arc<str>, i32)>,
    /// A request is out.
    pub(super) is_busy: bool,
    /// It wants to be left alone until then, or is to be tried again.
    pub(super) not_before: Option<Instant>,
    /// Requests in a row whose session it did not know.
    pub(super) lost_sessions: u32,
}

/// See the module.
pub(super) struct Fetcher {
    pub(super) rules: Rules,
    pub(super) view: Arc<dyn View>,
    pub(super) parts: HashMap<Id, Partition>,
    names: ByPartition<Id>,
    pub(super) brokers: BTreeMap<i32, Broker>,
    pausing: Vec<(Instant, Id)>,
    /// When the first broker that is nearer is not to be asked any more.
    nearer_until: Option<Instant>,
    next_id: Id,
    pub(super) told: Vec<Told>,
    pub(super) questions: Vec<Question>,
    /// The topic that was told last to have been created again.
    pub(super) told_again: Option<Uuid>,
    /// Partitions in trouble, and when it was told of.
    troubled: usize,
    warned: Option<(String, Instant)>,
}

impl Fetcher {
    pub(super) fn new(rules: Rules, view: Arc<dyn View>) -> Self {
        Self {
            rules,
            view,
            parts: HashMap::new(),
            names: ByPartition::default(),
            brokers: BTreeMap::new(),
            pausing: Vec::new(),
            nearer_until: None,
            next_id: 0,
            told: Vec::new(),
            questions: Vec::new(),
            told_again: None,
            troubled: 0,
            warned: None,
        }
    }

    /// Reads these partitions from these offsets.
    pub(super) fn assign(&mut self, starts: Vec<(Arc<Assigned>, i64)>, now: Instant) {
        for (of, offset) in starts {
            self.remove(&of.tp.topic, of.tp.partition, now);
            self.next_id += 1;
            let id = self.next_id;
            self.names.insert(&of.tp.topic, of.tp.partition, id);
            self.parts.insert(id, Partition::new(of, offset));
            self.settle(id, now);
        }
    }

    /// Does not read this partition any more.
    pub(super) fn remove(&mut self, topic: &str, partition: i32, now: Instant) {
        let Some(id) = self.names.remove(topic, partition) else { return };
        self.leave(id);
        self.pausing.retain(|(_, of)| *of != id);
        if self.parts.remove(&id).is_some_and(|part| part.trouble.is_some()) {
            self.untroubled(now);
        }
    }

    /// The cluster has changed.
    pub(super) fn learn(&mut self, view: Arc<dyn View>, now: Instant) {
        self.view = view;
        let placed: Vec<Id> = self.parts_of(|state| matches!(state, State::At(_)));
        for id in placed {
            self.settle(id, now);
        }
        // What waits for a leader may have one.
        for id in mem::take(&mut self.pausing).into_iter().map(|(_, id)| id) {
            match self.target(id, now) {
                Ok(broker) if self.brokers.get(&broker).is_none_or(|b| b.not_before.is_none()) => {
                    self.settle(id, now);
                }
                _ => self.repause(id),
            }
        }
        let view = &self.view;
        self.brokers.retain(|id, broker| broker.is_busy || !broker.parts.is_empty() || view.has_broker(*id));
    }

    fn repause(&mut self, id: Id) {
        if let Some(Partition { state: State::Pausing(until), .. }) = self.parts.get(&id) {
            self.pausing.push((*until, id));
        }
    }

    pub(super) fn parts_of(&self, is_wanted: impl Fn(State) -> bool) -> Vec<Id> {
        let mut ids: Vec<Id> =
            self.parts.iter().filter(|(_, part)| is_wanted(part.state)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Whom to ask for a partition.
    fn target(&mut self, id: Id, now: Instant) -> Result<i32, ErrorCode> {
        let Some(part) = self.parts.get_mut(&id) else { return Err(ErrorCode::UnknownTopicOrPartition) };
        let leader = self.view.leader(&part.of.tp.topic, part.of.tp.partition)?;
        if part.leader_epoch != leader.epoch {
            part.leader_epoch = leader.epoch;
            part.is_changed = true;
        }
        if part.nearer.is_some_and(|(id, until)| now >= until || !self.view.has_broker(id)) {
            part.nearer = None;
        }
        Ok(part.nearer.map_or(leader.id, |(id, _)| id))
    }

    /// Puts a partition where it belongs.
    pub(super) fn settle(&mut self, id: Id, now: Instant) {
        let target = match self.target(id, now) {
            Ok(target) => target,
            Err(code) if may_pass(code) => return self.fail(id, &Fault::of(code), now),
            Err(code) => {
                if let Some(part) = self.parts.get(&id) {
                    let error = errors::of_code(part, code, None);
                    self.end(id, error);
                }
                return;
            }
        };
        if self.is_another(id) && !self.begins_again(id) {
            return;
        }
        let Some(part) = self.parts.get_mut(&id) else { return };
        if part.state == State::At(target) {
            if mem::take(&mut part.is_changed) {
                self.change(target, id);
            }
            return;
        }
        self.leave(id);
        if let Some(part) = self.parts.get_mut(&id) {
            part.state = State::At(target);
        }
        self.brokers.entry(target).or_default().parts.push(id);
        self.change(target, id);
    }

    /// Takes a partition from where it is.
    pub(super) fn leave(&mut self, id: Id) {
        let Some(part) = self.parts.get_mut(&id) else { return };
        if let State::At(at) = part.state
            && let Some(broker) = self.brokers.get_mut(&at)
        {
            broker.parts.retain(|of| *of != id);
            broker.gone.push((Arc::clone(&part.of.tp.topic), part.of.tp.partition));
        }
        part.state = State::Homeless;
    }

    /// The broker has to be told something of a partition with the next request.
    pub(super) fn change(&mut self, at: i32, id: Id) {
        if let Some(broker) = self.brokers.get_mut(&at) {
            broker.changed.push(id);
        }
    }

    /// The requests to make now.
    pub(super) fn asks(&mut self, now: Instant) -> Vec<Ask> {
        let due = |broker: &Broker| {
            !broker.is_busy && !broker.parts.is_empty() && broker.not_before.is_none_or(|at| at <= now)
        };
        let due: Vec<i32> = self.brokers.iter().filter(|(_, b)| due(b)).map(|(id, _)| *id).collect();
        let share = IN_FLIGHT / i32::try_from(self.brokers.len().max(1)).unwrap_or(i32::MAX);
        let most = self.rules.terms.max_bytes.min(share.max(LEAST_ANSWER));
        due.into_iter().filter_map(|id| self.ask(id, most)).collect()
    }

    /// The requests that end all sessions: brokers keep only so many of them.
    pub(super) fn farewells(&self) -> Vec<Ask> {
        self.brokers.iter().filter_map(|(id, broker)| broker.session.farewell(*id)).collect()
    }

    fn ask(&mut self, at: i32, most: i32) -> Option<Ask> {
        let broker = self.brokers.get_mut(&at)?;
        (broker.is_busy, broker.not_before) = (true, None);
        let mut named = mem::take(&mut broker.changed);
        let gone = mem::take(&mut broker.gone);
        // Of a partition it knows already the broker would only tell what is new, not where it ends.
        let is_known = |id: &Id| {
            let part = self.parts.get(id).filter(|part| part.is_fresh && part.state == State::At(at));
            part.is_some_and(|part| broker.session.member(&part.of.tp.topic, part.of.tp.partition).is_some())
        };
        if named.iter().any(is_known) {
            broker.session.starts_over();
        }
        let is_new = broker.session.is_new();
        if is_new {
            named.clone_from(&broker.parts);
        } else {
            named.sort_unstable();
            named.dedup();
        }
        let mut ask = broker.session.begin(at, most);
        let here = |part: &Partition| part.state == State::At(at);
        for (topic, partition) in gone {
            let now = self.names.get(&topic, partition);
            if !is_new && now.and_then(|id| self.parts.get(id)).is_none_or(|part| !here(part)) {
                broker.session.forget(&mut ask, topic, partition);
            }
        }
        for id in named {
            if let Some(part) = self.parts.get_mut(&id).filter(|part| here(part)) {
                ask.hurry |= mem::take(&mut part.is_fresh);
                let place = part.place(self.rules.partition_bytes);
                let tp = &part.of.tp;
                broker.session.name(&mut ask, id, place, &tp.topic, tp.partition);
            }
        }
        Some(ask)
    }

    /// What was to wait until now.
    pub(super) fn tick(&mut self, now: Instant) {
        let (due, later): (Vec<_>, Vec<_>) =
            mem::take(&mut self.pausing).into_iter().partition(|p| p.0 <= now);
        self.pausing = later;
        for (_, id) in due {
            self.settle(id, now);
        }
        if self.nearer_until.is_some_and(|until| until <= now) {
            let expires = |part: &Partition| part.nearer.map(|(_, until)| until);
            let back = self.parts.iter().filter(|(_, part)| expires(part).is_some_and(|until| until <= now));
            for id in back.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.settle(id, now);
            }
            self.nearer_until = self.parts.values().filter_map(expires).min();
        }
    }

    /// A broker nearer than the leader has its records, too: it is asked for a while.
    pub(super) fn prefer(&mut self, id: Id, nearer: i32, now: Instant) {
        let until = now + self.rules.nearer_for;
        if let Some(part) = self.parts.get_mut(&id) {
            part.nearer = Some((nearer, until));
        }
        self.nearer_until = Some(self.nearer_until.map_or(until, |at| at.min(until)));
        self.settle(id, now);
    }

    /// When there is something to do without anything happening.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let pauses = self.pausing.iter().map(|(until, _)| *until);
        let brokers = self.brokers.values().filter(|b| !b.is_busy && !b.parts.is_empty());
        pauses.chain(brokers.filter_map(|broker| broker.not_before)).chain(self.nearer_until).min()
    }

    /// A partition has failed in a way that may pass.
    pub(super) fn fail(&mut self, id: Id, fault: &Fault, now: Instant) {
        self.leave(id);
        match self.trouble(id, fault, now) {
            Some(pause) => {
                let until = now + pause;
                if let Some(part) = self.parts.get_mut(&id) {
                    part.state = State::Pausing(until);
                    self.questions.push(Question::Metadata(Arc::clone(&part.of.tp.topic)));
                    self.pausing.push((until, id));
                }
            }
            None => self.stick(id),
        }
    }

    /// Notes trouble with a partition; how long to wait, unless it ends the reading.
    pub(super) fn trouble(&mut self, id: Id, fault: &Fault, now: Instant) -> Option<Duration> {
        let Rules { patience, pause, .. } = self.rules;
        let part = self.parts.get_mut(&id)?;
        if part.trouble.is_none() {
            self.troubled += 1;
        }
        let trouble = part.trouble.get_or_insert_with(|| Trouble::new(now));
        let lasted = trouble.lasted(now);
        let error = match trouble.again(fault.is_unknown, now, patience) {
            Verdict::Again => {
                let pause = trouble.pause(pause);
                // What is unknown is not tried for long.
                if self.warned.is_none() && !fault.is_unknown && is_worth_a_line(fault.kind, lasted) {
                    let (place, why) = (part.to_string(), format!("{part}: {}", fault.text));
                    self.warned = Some((place.clone(), now.checked_sub(lasted).unwrap_or(now)));
                    self.told.push(Told::Notice(Notice::Lost { place, why }));
                }
                return Some(pause);
            }
            Verdict::Gone => unknown_topic(&part.of.tp.topic),
            Verdict::Enough => given_up(part, fault, lasted),
        };
        let of = Arc::clone(&part.of);
        self.told.push(Told::Failed(of, error));
        None
    }

    /// A partition is well.
    pub(super) fn well(&mut self, id: Id, now: Instant) {
        if self.parts.get_mut(&id).is_some_and(|part| part.trouble.take().is_some()) {
            self.untroubled(now);
        }
    }

    /// One partition less is in trouble; with the last one that is told.
    fn untroubled(&mut self, now: Instant) {
        self.troubled = self.troubled.saturating_sub(1);
        if self.troubled == 0
            && let Some((place, since)) = self.warned.take()
        {
            let after = now.saturating_duration_since(since);
            self.told.push(Told::Notice(Notice::Back { place, after }));
        }
    }

    /// Ends the reading of a partition.
    pub(super) fn stick(&mut self, id: Id) {
        self.leave(id);
        if let Some(part) = self.parts.get_mut(&id) {
            part.state = State::Stuck;
        }
    }

    /// Ends the reading with an error about a partition.
    pub(super) fn end(&mut self, id: Id, error: Error) {
        self.stick(id);
        if let Some(part) = self.parts.get(&id) {
            self.told.push(Told::Failed(Arc::clone(&part.of), error));
        }
    }
}

fn given_up(part: &Partition, fault: &Fault, lasted: Duration) -> Error {
    let kind = if fault.kind == ErrorKind::Other { ErrorKind::Unreachable } else { fault.kind };
    let text = format!("{part}: {}, for {} s now", fault.text, lasted.as_secs());
    Error::new(kind, text).with_status(Status::Persistent)
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("parts", &self.parts)
            .field("brokers", &self.brokers)
            .finish_non_exhaustive()
    }
}
