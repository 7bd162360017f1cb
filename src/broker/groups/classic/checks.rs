//! Who is who in a classic group, what that allows with offsets, and what is told of it.

use std::collections::BTreeSet;

use super::super::super::code::Code;
use super::super::registry::{Mode, Who};
use super::member::Member;
use super::{Group, State};
use crate::wire::messages::{DescribeGroupsGroup, DescribeGroupsMember};
use crate::wire::{DecodeError, Reader};

/// What a group of consumers is for.
const CONSUMER: &str = "consumer";

impl Group {
    /// Whether this is a member; one with a name, whether it has the name.
    pub(super) fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), Code> {
        match instance.map(|instance| self.instances.get(instance)) {
            Some(None) => Err(Code::UnknownMemberId),
            Some(Some(current)) if current != id => Err(Code::FencedInstanceId),
            _ if self.members.contains_key(id) => Ok(()),
            _ => Err(Code::UnknownMemberId),
        }
    }

    /// Whether offsets can be committed by this member, for which that is a sign of life. Outside a
    /// group (generation -1), only while it has no members.
    pub(in crate::broker) fn check_commit(&mut self, who: Who<'_>, mode: Mode, now: i64) -> Result<(), Code> {
        let is_outside = who.generation < 0;
        if is_outside && self.state == State::Empty {
            return Ok(());
        }
        let is_plain = matches!(mode, Mode::Plain { .. });
        let is_anonymous = is_outside && who.member_id.is_empty() && who.instance_id.is_none();
        if !is_anonymous {
            self.check_member(who.member_id, who.instance_id)?;
            if who.generation != self.generation {
                return Err(Code::IllegalGeneration);
            }
        } else if is_plain {
            return Err(Code::UnknownMemberId);
        }
        match self.state {
            State::CompletingRebalance if is_plain => return Err(Code::RebalanceInProgress),
            State::PreparingRebalance | State::Stable if is_plain => self.touch(who.member_id, now),
            _ => {}
        }
        Ok(())
    }

    /// Whether offsets can be deleted at all.
    pub(in crate::broker) fn check_delete_offsets(&self) -> Result<(), Code> {
        let knows_topics = self.state == State::Empty || self.protocol_type() == CONSUMER;
        if knows_topics { Ok(()) } else { Err(Code::NonEmptyGroup) }
    }

    /// True when a member reads the topic, or that cannot be known.
    pub(in crate::broker) fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.protocol_type() == CONSUMER,
        }
    }

    /// The time from which the retention of an offset counts that was committed at this time; none while
    /// it does not.
    pub(in crate::broker) fn retained_from(&self, committed: i64) -> Option<i64> {
        match (&self.protocol_type, self.state) {
            (None, _) => Some(committed),
            (Some(_), State::Empty) => Some(self.changed_at),
            (Some(_), State::Stable) if self.subscribed.is_some() => Some(committed),
            _ => None,
        }
    }

    /// The topics that the members of a group of consumers read; none for other groups, and when a
    /// member tells it in another form.
    pub(super) fn subscriptions(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type() != CONSUMER {
            return None;
        }
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            read_topics(member.metadata(protocol), &mut topics).ok()?;
        }
        Some(topics)
    }

    /// The group in words; of a stable one with what the members told.
    pub(in crate::broker) fn describe(&self) -> DescribeGroupsGroup<'static> {
        let protocol = self.protocol.as_deref().filter(|_| self.state == State::Stable);
        let describe = |(id, member): (&String, &Member)| DescribeGroupsMember {
            member_id: id.clone().into(),
            group_instance_id: member.instance_id.clone().map(Into::into),
            client_id: member.client_id.clone().into(),
            client_host: member.client_host.clone().into(),
            member_metadata: protocol.map_or_else(Vec::new, |name| member.metadata(name).to_vec()).into(),
            member_assignment: member.assignment.clone().into(),
        };
        DescribeGroupsGroup {
            group_state: self.state.name().into(),
            protocol_type: self.protocol_type().to_owned().into(),
            protocol_data: protocol.unwrap_or_default().to_owned().into(),
            members: self.members.iter().map(describe).collect(),
            ..Default::default()
        }
    }
}

/// Reads the topics of a subscription (Kafka's `ConsumerProtocolSubscription`): they stand at the same
/// place in all versions.
fn read_topics(metadata: &[u8], topics: &mut BTreeSet<String>) -> Result<(), DecodeError> {
    let mut r = Reader::new(metadata);
    r.i16()?;
    for _ in 0..r.i32()? {
        let len = r.short_length()?.unwrap_or_default();
        topics.insert(r.str(len)?.to_owned());
    }
    Ok(())
}
