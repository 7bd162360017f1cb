//! All groups by id, and what is common to both protocols: who may commit, read and delete offsets,
//! what is due when, what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::super::code::Code;
use super::super::storage::{self, Change, Journal, Storage};
use super::MAX_GROUPS;
use super::classic::{self, Next};
use super::commits::SWEEP_EVERY;
use super::consumer;
use super::offsets::{Committed, Offsets};
use super::persist::{self, Edits};
use crate::wire::messages::{
    HeartbeatRequest, LeaveGroupRequestMember, LeaveGroupResponseMember, SyncGroupRequest,
};

/// Session timeouts that a member may ask for, in ms (`group.min.session.timeout.ms` and
/// `group.max.session.timeout.ms`).
const SESSION_TIMEOUTS: RangeInclusive<i32> = 6_000..=1_800_000;
/// What is around the groups.
pub(in crate::broker) trait Store {
    /// Keeps changes: all of them or none. Says in the log when it cannot.
    fn apply(&self, changes: &[Change<'_>]) -> storage::Result<()>;

    /// Whether a partition is there.
    fn has_partition(&self, topic: &str, partition: i32) -> bool;
}

/// A group, of either protocol.
#[derive(Debug)]
pub(in crate::broker) enum Kind {
    /// Of the classic protocol.
    Classic(classic::Group),
    /// Of KIP-848's protocol.
    Consumer(consumer::Group),
}

/// Who commits offsets, or reads them.
#[derive(Debug, Clone, Copy)]
pub(in crate::broker) struct Who<'a> {
    /// The member; empty outside a group.
    pub(in crate::broker) member_id: &'a str,
    /// The name that the user gave the member (KIP-345).
    pub(in crate::broker) instance_id: Option<&'a str>,
    /// The member's generation, or its epoch in KIP-848's protocol; -1 outside a group.
    pub(in crate::broker) generation: i32,
}

/// An offset to be committed.
#[derive(Debug, Clone, Copy)]
pub(in crate::broker) struct Commit<'a> {
    pub(in crate::broker) topic: &'a str,
    pub(in crate::broker) partition: i32,
    /// The offset of the next record to read.
    pub(in crate::broker) offset: i64,
    /// The leader's epoch at the last record read; -1 if not known.
    pub(in crate::broker) leader_epoch: i32,
    /// What the member notes with it.
    pub(in crate::broker) metadata: &'a str,
}

/// How offsets are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Mode {
    /// By OffsetCommit, in this version; kept for so many ms, -1 leaves it to the broker.
    Plain { version: i16, retention: i64 },
    /// By TxnOffsetCommit: pending until the producer's transaction ends.
    Transaction { producer_id: i64 },
}

impl Kind {
    /// Its protocol, in ListGroups' word.
    pub(in crate::broker) fn type_name(&self) -> &'static str {
        match self {
            Self::Classic(_) => "classic",
            Self::Consumer(_) => "consumer",
        }
    }

    /// Its state, in words.
    pub(in crate::broker) fn state_name(&self) -> &'static str {
        match self {
            Self::Classic(group) => group.state().name(),
            Self::Consumer(group) => group.state().name(),
        }
    }

    /// What it is for; empty for a group that only keeps offsets.
    pub(in crate::broker) fn protocol_type(&self) -> &str {
        match self {
            Self::Classic(group) => group.protocol_type(),
            Self::Consumer(_) => "consumer",
        }
    }

    /// True when it has no members: it can be deleted, or change its protocol.
    pub(in crate::broker) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// The group, if it is of the classic protocol.
    fn classic(&mut self) -> Option<&mut classic::Group> {
        match self {
            Self::Classic(group) => Some(group),
            Self::Consumer(_) => None,
        }
    }

    /// Whether offsets can be committed by this member.
    pub(super) fn check_commit(&mut self, who: Who<'_>, mode: Mode, now: i64) -> Result<(), Code> {
        match self {
            Self::Classic(group) => group.check_commit(who, mode, now),
            Self::Consumer(group) => group.check_commit(who, mode),
        }
    }

    /// Whether offsets can be read by this member.
    pub(super) fn check_fetch(&self, who: Who<'_>) -> Result<(), Code> {
        match self {
            Self::Classic(_) => Ok(()),
            Self::Consumer(group) => group.check_fetch(who),
        }
    }

    /// Whether offsets can be deleted at all.
    pub(super) fn check_delete_offsets(&self) -> Result<(), Code> {
        match self {
            Self::Classic(group) => group.check_delete_offsets(),
            Self::Consumer(_) => Ok(()),
        }
    }

    /// True when a member reads the topic, or that cannot be known.
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed(topic),
            Self::Consumer(group) => group.subscribes(topic),
        }
    }

    /// The time from which the retention of an offset counts; none while it does not.
    pub(super) fn retained_from(&self, committed: &Committed) -> Option<i64> {
        match self {
            Self::Classic(group) => group.retained_from(committed.time),
            Self::Consumer(_) => Some(committed.time),
        }
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        match self {
            Self::Classic(group) => group.next_deadline(),
            Self::Consumer(group) => group.next_deadline(),
        }
    }

    /// What removes it from the journal.
    pub(super) fn delete_record(&self, id: &str, edits: &mut Edits) {
        match self {
            Self::Classic(_) => edits.delete(persist::group_key(persist::CLASSIC, id)),
            Self::Consumer(group) => group.delete_records(id, edits),
        }
    }
}

/// A group, and when it was last seen to be due.
#[derive(Debug)]
struct Entry {
    kind: Kind,
    due: Option<i64>,
}

/// All groups.
#[derive(Debug)]
pub(in crate::broker) struct Registry {
    groups: BTreeMap<String, Entry>,
    /// When which group is due.
    deadlines: BTreeSet<(i64, String)>,
    pub(super) offsets: Offsets,
    pub(super) next_sweep: i64,
}

impl Registry {
    /// The groups that are in the journal. Their members begin a new session.
    pub(super) fn load(storage: &Storage, options: &consumer::Options, now: i64) -> storage::Result<Self> {
        let mut registry = Self::new(now);
        registry.read(&storage.journal(), options, now);
        // A stop may have come between the end of a topic and that of its offsets.
        let removal = registry.offsets.removal(|place| storage.topic(place.topic).is_err());
        registry.remove(removal, |edits| match edits.is_empty() {
            true => Ok(()),
            false => storage.journal().apply(&edits.changes()),
        })?;
        Ok(registry)
    }

    fn new(now: i64) -> Self {
        let next_sweep = now + SWEEP_EVERY;
        Self { groups: BTreeMap::new(), deadlines: BTreeSet::new(), offsets: Offsets::default(), next_sweep }
    }

    fn read(&mut self, journal: &Journal, options: &consumer::Options, now: i64) {
        self.offsets = Offsets::load(journal);
        for (key, value) in journal.iter(persist::CLASSIC) {
            let id = key.strip_prefix(persist::CLASSIC).and_then(persist::group_of_key);
            if let Some((id, group)) = id.zip(classic::Group::of_value(value, now)) {
                self.insert(id, Kind::Classic(group));
            }
        }
        for (id, group) in consumer::load(journal, options, now) {
            self.insert(&id, Kind::Consumer(group));
        }
        let groups: BTreeSet<String> = self.offsets.groups().map(str::to_owned).collect();
        for id in groups {
            if !self.groups.contains_key(&id) {
                self.insert(&id, Kind::Classic(classic::Group::new(now)));
            }
        }
    }

    /// A group.
    pub(in crate::broker) fn get(&self, id: &str) -> Option<&Kind> {
        self.groups.get(id).map(|entry| &entry.kind)
    }

    /// All groups by id.
    pub(in crate::broker) fn iter(&self) -> impl Iterator<Item = (&str, &Kind)> {
        self.groups.iter().map(|(id, entry)| (id.as_str(), &entry.kind))
    }

    /// Changes a group.
    pub(in crate::broker) fn update<T>(&mut self, id: &str, act: impl FnOnce(&mut Kind) -> T) -> Option<T> {
        let entry = self.groups.get_mut(id)?;
        let result = act(&mut entry.kind);
        self.note_deadline(id);
        Some(result)
    }

    /// Adds a group, or puts one in another's place.
    pub(in crate::broker) fn insert(&mut self, id: &str, kind: Kind) {
        self.take(id);
        self.groups.insert(id.to_owned(), Entry { kind, due: None });
        self.note_deadline(id);
    }

    /// Removes a group.
    pub(super) fn take(&mut self, id: &str) {
        if let Some(due) = self.groups.remove(id).and_then(|entry| entry.due) {
            self.deadlines.remove(&(due, id.to_owned()));
        }
    }

    /// Whether one more group fits.
    ///
    /// # Errors
    /// [`Code::PolicyViolation`].
    pub(in crate::broker) fn check_room(&self) -> Result<(), Code> {
        if self.groups.len() < MAX_GROUPS { Ok(()) } else { Err(Code::PolicyViolation) }
    }

    fn note_deadline(&mut self, id: &str) {
        let Some(entry) = self.groups.get_mut(id) else { return };
        let due = entry.kind.next_deadline();
        if due == entry.due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut entry.due, due) {
            self.deadlines.remove(&(old, id.to_owned()));
        }
        self.deadlines.extend(due.map(|due| (due, id.to_owned())));
    }

    /// When something is due.
    pub(in crate::broker) fn next_deadline(&self) -> Option<i64> {
        let group = self.deadlines.first().map(|(due, _)| *due);
        let sweep = (!self.groups.is_empty()).then_some(self.next_sweep);
        group.into_iter().chain(sweep).min()
    }

    /// Does what is due.
    pub(in crate::broker) fn expire(&mut self, store: &dyn Store, now: i64) {
        while let Some((_, id)) = self.deadlines.first().filter(|(due, _)| *due <= now).cloned() {
            self.expire_group(store, &id, now);
        }
        if self.next_sweep <= now {
            self.sweep(store, now);
        }
    }

    /// Does one of the things that are due in a group.
    fn expire_group(&mut self, store: &dyn Store, id: &str, now: i64) {
        match self.get(id) {
            Some(Kind::Classic(_)) => self.drive(store, id, now, |group| group.expire(now)),
            Some(Kind::Consumer(_)) => self.expire_consumers(store, id, now),
            None => {}
        }
    }

    /// Takes a member into a group of the classic protocol. The reply is sent at once, or when the others
    /// have joined. A new group is written down first.
    pub(in crate::broker) fn join(
        &mut self,
        store: &dyn Store,
        join: &classic::Join<'_>,
        reply: classic::JoinReply,
        now: i64,
    ) {
        let id = &*join.request.group_id;
        if let Err(code) = self.open_for(store, join, now) {
            // When the client has hung up, nobody is there to be told.
            let _ = reply.send(classic::refused_join(&join.request.member_id, code));
            return;
        }
        self.drive(store, id, now, |group| group.join(join, reply, now));
    }

    /// Sees to a group of the classic protocol that can be joined: one that is there, a new one, or one in
    /// the place of another protocol's without members.
    fn open_for(&mut self, store: &dyn Store, join: &classic::Join<'_>, now: i64) -> Result<(), Code> {
        let id = &*join.request.group_id;
        check_joiner(id, join.request.session_timeout_ms)?;
        let mut edits = Edits::default();
        match self.get(id) {
            Some(Kind::Classic(_)) => return Ok(()),
            Some(kind) if !kind.is_empty() => return Err(Code::InconsistentGroupProtocol),
            Some(kind) => kind.delete_record(id, &mut edits),
            None => self.check_room()?,
        }
        if !join.request.member_id.is_empty() {
            return Err(Code::UnknownMemberId);
        }
        let group = classic::Group::new(now);
        if !group.takes(join.request) {
            return Err(Code::InconsistentGroupProtocol);
        }
        edits.put(persist::group_key(persist::CLASSIC, id), group.value());
        store.apply(&edits.changes()).map_err(|_| Code::NotCoordinator)?;
        self.insert(id, Kind::Classic(group));
        Ok(())
    }

    /// Asks for a member's assignment; from the leader it brings everyone's. The reply is sent at once, or
    /// when the leader has assigned.
    pub(in crate::broker) fn sync(
        &mut self,
        store: &dyn Store,
        request: &SyncGroupRequest<'_>,
        reply: classic::SyncReply,
        now: i64,
    ) {
        let id = &*request.group_id;
        let code = if id.is_empty() { Code::InvalidGroupId } else { Code::UnknownMemberId };
        if self.classic(id).is_none() {
            // When the client has hung up, nobody is there to be told.
            let _ = reply.send(classic::refused_sync(code));
            return;
        }
        self.drive(store, id, now, |group| group.sync(request, reply));
    }

    /// Takes a member's sign of life.
    pub(in crate::broker) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest<'_>,
        now: i64,
    ) -> Result<(), Code> {
        let id = &*request.group_id;
        if id.is_empty() {
            return Err(Code::InvalidGroupId);
        }
        let instance = request.group_instance_id.as_deref();
        let beat = |group: &mut classic::Group| {
            group.heartbeat(&request.member_id, instance, request.generation_id, now)
        };
        self.update(id, |kind| kind.classic().map(beat)).flatten().unwrap_or(Err(Code::UnknownMemberId))
    }

    /// Lets members go. What became of each, in order.
    pub(in crate::broker) fn leave<'a>(
        &mut self,
        store: &dyn Store,
        group: &str,
        members: Vec<LeaveGroupRequestMember<'a>>,
        now: i64,
    ) -> Result<Vec<LeaveGroupResponseMember<'a>>, Code> {
        if group.is_empty() {
            return Err(Code::InvalidGroupId);
        }
        if self.classic(group).is_none() {
            let unknown = |member: LeaveGroupRequestMember<'a>| LeaveGroupResponseMember {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code: Code::UnknownMemberId as i16,
            };
            return Ok(members.into_iter().map(unknown).collect());
        }
        let mut left = Vec::new();
        self.drive(store, group, now, |group| {
            let next;
            (left, next) = group.leave(members, now);
            next
        });
        Ok(left)
    }

    fn classic(&mut self, id: &str) -> Option<&mut classic::Group> {
        self.groups.get_mut(id).and_then(|entry| entry.kind.classic())
    }

    /// Does a step in a group of the classic protocol, and writes it down when that is wanted.
    fn drive(
        &mut self,
        store: &dyn Store,
        id: &str,
        now: i64,
        act: impl FnOnce(&mut classic::Group) -> Next,
    ) {
        let Some(group) = self.classic(id) else { return };
        let mut next = act(group);
        while next == Next::Store {
            let (key, value) = (persist::group_key(persist::CLASSIC, id), group.value());
            let stored = store.apply(&[Change::Put(&key, &value)]);
            next = group.stored(stored.map_err(|_| Code::NotCoordinator), now);
        }
        self.note_deadline(id);
    }
}

/// Refuses the empty id, and sessions out of bounds.
fn check_joiner(group: &str, session_timeout: i32) -> Result<(), Code> {
    match group {
        "" => Err(Code::InvalidGroupId),
        _ if SESSION_TIMEOUTS.contains(&session_timeout) => Ok(()),
        _ => Err(Code::InvalidSessionTimeout),
    }
}
