//! Consumer groups of KIP-848's protocol: the broker assigns, and members learn of it by heartbeats.
//!
//! No sockets, no clock, no disk: time and topics are passed in. A group has an epoch, which grows with
//! every change of members, subscriptions or subscribed topics; a target assignment, made for an epoch;
//! and members on their way to it, each with an epoch of its own. Behaviour is that of Kafka 4.1's
//! `GroupMetadataManager`, but for this:
//!
//! - The default heartbeat interval is 1 s, not 5 s. Members learn of a new target by their heartbeats
//!   alone, and a partition changes hands in up to two of them: a demonstration need not wait for ten
//!   seconds. Clients send as often as they are told to, and on one machine there are few of them.
//! - A member's epoch before is remembered until it has another, however many heartbeats go between: it
//!   may have missed several answers.
//! - Patterns are resolved and changes of topics noticed at the next heartbeat, not in the background.
//! - Members of the classic protocol cannot be in such a group (Kafka with
//!   `group.consumer.migration.policy=disabled`).
//!
//! [`member`]: a member on its way. [`assignor`]: who gets what. [`topics`]: topics and patterns.
//! [`persist`]: what is in the journal. [`describe`]: what others are told. [`drive`]: what is done with
//! groups of this protocol among all groups.

mod assignor;
mod describe;
mod drive;
mod member;
mod options;
mod persist;
mod topics;

#[cfg(test)]
mod tests;

pub(in crate::broker) use assignor::Assignor;
pub use options::Options;
pub(super) use persist::load;
pub(in crate::broker) use topics::{Topic, Topics};

use std::collections::{BTreeMap, BTreeSet};

use assignor::Wish;
use member::{AWAY, JOIN, LEAVE, Member, News, Progress};
use topics::{Pattern, Places, TopicId};

use super::super::code::{Code, Failure};
use super::registry::{Mode, Who};
use crate::wire::Uuid;
use crate::wire::messages::{
    ConsumerGroupHeartbeatAssignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatTopic,
};

/// A heartbeat and who sent it. The request is valid in itself.
#[derive(Debug, Clone, Copy)]
pub(in crate::broker) struct Beat<'a> {
    pub(in crate::broker) request: &'a ConsumerGroupHeartbeatRequest<'a>,
    /// The request's, or a new one if it has none.
    pub(in crate::broker) member_id: &'a str,
    pub(in crate::broker) client_id: &'a str,
    pub(in crate::broker) client_host: &'a str,
}

/// A group.
#[derive(Debug, Default)]
pub(in crate::broker) struct Group {
    epoch: i32,
    /// The epoch that the target was made for.
    target_epoch: i32,
    /// The topics subscribed to, and their numbers of partitions.
    topics: BTreeMap<TopicId, i32>,
    members: BTreeMap<String, Member>,
    /// What the patterns in use match, at the topics of `stamp`.
    patterns: BTreeMap<String, BTreeSet<TopicId>>,
    stamp: Option<u64>,
    is_head_changed: bool,
    /// Members to be written to the journal.
    changed: BTreeSet<String>,
}

/// Who sends a heartbeat.
enum Sender {
    Known,
    New,
    /// A static member that comes back with another id than the one it left with.
    Back(String),
}

impl Group {
    /// Takes a heartbeat: a join and a departure are some, too.
    ///
    /// # Errors
    /// What Kafka answers; nothing has changed then.
    pub(super) fn heartbeat(
        &mut self,
        beat: Beat<'_>,
        topics: &Topics<'_>,
        options: &Options,
        now: i64,
    ) -> Result<ConsumerGroupHeartbeatResponse<'static>, Failure> {
        let request = beat.request;
        if matches!(request.member_epoch, LEAVE | AWAY) {
            return self.leave(beat);
        }
        let owned = request.topic_partitions.as_deref().map(places);
        self.check_room(beat.member_id, options)?;
        let sender = self.sender(beat, owned.as_ref())?;
        let pattern = request.subscribed_topic_regex.as_deref().unwrap_or_default();
        if !pattern.is_empty() && !self.patterns.contains_key(pattern) {
            Pattern::new(pattern)?;
        }
        let mut member = self.enter(sender, beat.member_id);
        let assigned = member.assigned.clone();
        let news = member.update(request, beat.client_id, beat.client_host);
        member.begin_session(options, now);
        let id = beat.member_id;
        self.members.insert(id.to_owned(), member);
        if news > News::None {
            self.changed.insert(id.to_owned());
        }
        self.refresh(topics, news);
        self.assign(topics);
        self.advance(id, owned.as_ref(), now);
        Ok(self.answer(id, request, &assigned, options))
    }

    fn check_room(&self, id: &str, options: &Options) -> Result<(), Failure> {
        if self.members.len() < options.max_members || self.members.contains_key(id) {
            return Ok(());
        }
        let why = format!(
            "The consumer group has reached its maximum capacity of {} members.",
            options.max_members
        );
        Err(Failure::new(Code::GroupMaxSizeReached, why))
    }

    /// The member that bears a name (KIP-345), and its id.
    fn named(&self, instance_id: &str) -> Option<(&String, &Member)> {
        let mut members = self.members.iter();
        members.find(|(_, member)| member.profile.instance_id.as_deref() == Some(instance_id))
    }

    /// Finds out who sends, or refuses it.
    fn sender(&self, beat: Beat<'_>, owned: Option<&Places>) -> Result<Sender, Failure> {
        let (id, epoch) = (beat.member_id, beat.request.member_epoch);
        if let Some(instance) = beat.request.instance_id.as_deref() {
            return self.static_sender(id, epoch, instance, owned);
        }
        match self.members.get(id) {
            Some(member) => member.check_epoch(epoch, owned).map(|()| Sender::Known),
            None if epoch == JOIN => Ok(Sender::New),
            None => Err(unknown_member(id)),
        }
    }

    fn static_sender(
        &self,
        id: &str,
        epoch: i32,
        instance: &str,
        owned: Option<&Places>,
    ) -> Result<Sender, Failure> {
        if epoch != JOIN {
            self.holder(id, instance)?.check_epoch(epoch, owned)?;
            return Ok(Sender::Known);
        }
        match self.named(instance) {
            None if self.members.contains_key(id) => Ok(Sender::Known),
            None => Ok(Sender::New),
            Some((old, member)) if member.epoch == AWAY => Ok(Sender::Back(old.clone())),
            Some((holder, _)) => {
                let why = format!(
                    "Static member {id} with instance id {instance} cannot join the group because the \
                     instance id is owned by {holder} member."
                );
                Err(Failure::new(Code::UnreleasedInstanceId, why))
            }
        }
    }

    /// The static member of a name, if it has this id.
    fn holder(&self, id: &str, instance: &str) -> Result<&Member, Failure> {
        let Some((holder, member)) = self.named(instance) else {
            let why = format!("Instance id {instance} is unknown.");
            return Err(Failure::new(Code::UnknownMemberId, why));
        };
        if holder == id {
            return Ok(member);
        }
        let why = format!("Static member {id} with instance id {instance} was fenced by member {holder}.");
        Err(Failure::new(Code::FencedInstanceId, why))
    }

    /// The member as it enters. One that is back gets what it had, from the start.
    fn enter(&mut self, sender: Sender, id: &str) -> Member {
        let (old, is_back) = match &sender {
            Sender::Known => (id, false),
            Sender::New => return self.new_member(id),
            Sender::Back(old) => (old.as_str(), true),
        };
        let Some(mut member) = self.members.remove(old) else { return self.new_member(id) };
        if is_back {
            self.changed.extend([old.to_owned(), id.to_owned()]);
            (member.epoch, member.previous_epoch) = (JOIN, JOIN);
        }
        member
    }

    fn new_member(&mut self, id: &str) -> Member {
        self.changed.insert(id.to_owned());
        Member::new()
    }

    /// Looks at the topics again if there is a reason to, and begins an epoch if they have changed or the
    /// subscriptions have.
    fn refresh(&mut self, topics: &Topics<'_>, news: News) {
        let is_subscription = news == News::Subscription || self.epoch == 0;
        if !is_subscription && self.stamp == Some(topics.stamp()) {
            return;
        }
        if self.stamp.replace(topics.stamp()) != Some(topics.stamp()) {
            self.patterns.clear();
        }
        let used: BTreeSet<&String> =
            self.members.values().filter_map(|member| member.profile.pattern.as_ref()).collect();
        self.patterns.retain(|pattern, _| used.contains(pattern));
        for pattern in used {
            if !self.patterns.contains_key(pattern) {
                self.patterns.insert(pattern.clone(), topics.matching(pattern));
            }
        }
        let ids = self.members.values().flat_map(|member| self.subscribed(member, topics));
        let ids: BTreeSet<TopicId> = ids.collect();
        let subscribed = topics.iter().filter(|topic| ids.contains(&topic.id));
        let counts = subscribed.map(|topic| (topic.id, topic.partitions)).collect();
        if is_subscription || counts != self.topics {
            self.topics = counts;
            self.begin_epoch();
        }
    }

    fn subscribed(&self, member: &Member, topics: &Topics<'_>) -> BTreeSet<TopicId> {
        member.subscribed(topics, |pattern| self.patterns.get(pattern).cloned().unwrap_or_default())
    }

    fn begin_epoch(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.is_head_changed = true;
    }

    /// The assignor that most members ask for.
    fn assignor(&self) -> Assignor {
        let count = |assignor: Assignor| {
            self.members.values().filter(|member| member.profile.assignor == Some(assignor)).count()
        };
        let asked = Assignor::ALL.into_iter().filter(|assignor| count(*assignor) > 0);
        asked.rev().max_by_key(|assignor| count(*assignor)).unwrap_or(Assignor::DEFAULT)
    }

    /// Makes a target if there is none for the epoch.
    fn assign(&mut self, topics: &Topics<'_>) {
        if self.epoch <= self.target_epoch {
            return;
        }
        let wish = |(id, member)| {
            let (id, member): (&String, &Member) = (id, member);
            let instance = member.profile.instance_id.as_deref();
            Wish {
                name: instance.unwrap_or(id),
                is_static: instance.is_some(),
                topics: self.subscribed(member, topics),
                held: &member.target,
            }
        };
        let wishes: Vec<Wish<'_>> = self.members.iter().map(wish).collect();
        let shares = self.assignor().assign(&wishes, &self.topics);
        for ((id, member), share) in self.members.iter_mut().zip(shares) {
            if member.target != share {
                member.target = share;
                self.changed.insert(id.clone());
            }
        }
        self.target_epoch = self.epoch;
        self.is_head_changed = true;
    }

    /// Brings a member closer to its target.
    fn advance(&mut self, id: &str, owned: Option<&Places>, now: i64) {
        let Some(mut member) = self.members.remove(id) else { return };
        let is_change = member.advance(self.target_epoch, owned, |places| {
            let others = self.members.values().flat_map(|other| [&other.assigned, &other.revoking]);
            others.flat_map(|taken| taken & places).collect()
        });
        if is_change {
            member.begin_revocation(now);
            self.changed.insert(id.to_owned());
        }
        self.members.insert(id.to_owned(), member);
    }

    /// The answer to a heartbeat: with what the member is to have if that has changed, and to a join or a
    /// full request.
    fn answer(
        &self,
        id: &str,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        assigned_before: &Places,
        options: &Options,
    ) -> ConsumerGroupHeartbeatResponse<'static> {
        let Some(member) = self.members.get(id) else { return ConsumerGroupHeartbeatResponse::default() };
        let has_subscription =
            request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
        let is_full =
            request.rebalance_timeout_ms != -1 && has_subscription && request.topic_partitions.is_some();
        let is_told = request.member_epoch == JOIN || is_full || member.assigned != *assigned_before;
        ConsumerGroupHeartbeatResponse {
            member_id: Some(id.to_owned().into()),
            member_epoch: member.epoch,
            heartbeat_interval_ms: options.heartbeat_interval_ms(),
            assignment: is_told.then(|| assignment(&member.assigned)),
            ..Default::default()
        }
    }

    /// A member leaves: for good, or a static one for a while, in which it keeps what it has.
    fn leave(&mut self, beat: Beat<'_>) -> Result<ConsumerGroupHeartbeatResponse<'static>, Failure> {
        let (id, epoch) = (beat.member_id, beat.request.member_epoch);
        match beat.request.instance_id.as_deref() {
            Some(instance) => drop(self.holder(id, instance)?),
            None if self.members.contains_key(id) => {}
            None => return Err(unknown_member(id)),
        }
        match self.members.get_mut(id).filter(|_| epoch == AWAY) {
            Some(member) => {
                member.epoch = AWAY;
                member.revoking.clear();
                member.revocation_ends = None;
                self.changed.insert(id.to_owned());
            }
            None => self.remove(id),
        }
        Ok(ConsumerGroupHeartbeatResponse {
            member_id: Some(id.to_owned().into()),
            member_epoch: epoch,
            ..Default::default()
        })
    }

    /// Removes a member: what it had is free.
    fn remove(&mut self, id: &str) {
        if self.members.remove(id).is_some() {
            self.changed.insert(id.to_owned());
            self.begin_epoch();
        }
    }

    /// When [`expire`](Self::expire) has something to do, in ms.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.members.values().map(Member::ends).min()
    }

    /// Removes the members whose time has run out.
    pub(super) fn expire(&mut self, now: i64) {
        let late = self.members.iter().filter(|(_, member)| member.ends() <= now);
        let late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        for id in late {
            self.remove(&id);
        }
    }

    /// True without members.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Refuses offsets of someone who is not a member at its epoch. Without members, whoever is in no
    /// group may commit.
    pub(super) fn check_commit(&self, who: Who<'_>, mode: Mode) -> Result<(), Code> {
        if who.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(who.member_id).ok_or(Code::UnknownMemberId)?;
        let is_epoch = member.epoch == who.generation;
        match mode {
            Mode::Plain { version: ..9, .. } => Err(Code::UnsupportedVersion),
            _ if is_epoch => Ok(()),
            Mode::Plain { .. } => Err(Code::StaleMemberEpoch),
            Mode::Transaction { .. } => Err(Code::IllegalGeneration),
        }
    }

    /// Refuses to tell offsets to someone who says it is a member and is not, at its epoch.
    pub(super) fn check_fetch(&self, who: Who<'_>) -> Result<(), Code> {
        if who.generation < 0 && who.member_id.is_empty() {
            return Ok(());
        }
        let member = self.members.get(who.member_id).ok_or(Code::UnknownMemberId)?;
        if member.epoch == who.generation { Ok(()) } else { Err(Code::StaleMemberEpoch) }
    }

    /// True if a member subscribes to the topic: its offsets are not deleted then.
    pub(super) fn subscribes(&self, topic: &str) -> bool {
        let matches = |pattern: &String| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(topic));
        let is_pattern = |member: &Member| member.profile.pattern.as_ref().is_some_and(matches);
        self.members.values().any(|member| member.profile.names.contains(topic) || is_pattern(member))
    }
}

impl Member {
    fn begin_session(&mut self, options: &Options, now: i64) {
        self.session_ends = now.saturating_add(options.session_timeout_ms());
    }

    fn begin_revocation(&mut self, now: i64) {
        let ends = now.saturating_add(self.profile.rebalance_timeout_ms.max(0).into());
        self.revocation_ends = (self.progress == Progress::Unrevoked && self.epoch != AWAY).then_some(ends);
    }

    fn ends(&self) -> i64 {
        self.revocation_ends.map_or(self.session_ends, |ends| ends.min(self.session_ends))
    }
}

fn unknown_member(id: &str) -> Failure {
    Failure::new(Code::UnknownMemberId, format!("Member {id} is not a member of the group."))
}

/// Partitions as they are on the wire.
fn places(topics: &[ConsumerGroupHeartbeatTopic]) -> Places {
    let of_topic = |topic: &ConsumerGroupHeartbeatTopic| {
        let id = topic.topic_id.0;
        topic.partitions.iter().map(move |partition| (id, *partition)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

fn assignment(places: &Places) -> ConsumerGroupHeartbeatAssignment {
    let mut topic_partitions: Vec<ConsumerGroupHeartbeatTopic> = Vec::new();
    for (topic, partition) in places {
        match topic_partitions.last_mut().filter(|last| last.topic_id.0 == *topic) {
            Some(last) => last.partitions.push(*partition),
            None => topic_partitions
                .push(ConsumerGroupHeartbeatTopic { topic_id: Uuid(*topic), partitions: vec![*partition] }),
        }
    }
    ConsumerGroupHeartbeatAssignment { topic_partitions }
}
