//! What of a group is told to others.

use std::collections::BTreeMap;

use super::Group;
use super::member::Member;
use super::topics::{Places, TopicId, Topics};
use crate::wire::Uuid;
use crate::wire::messages::{
    ConsumerGroupDescribeAssignment, ConsumerGroupDescribeGroup, ConsumerGroupDescribeMember,
    ConsumerGroupDescribeTopic,
};

/// A member of this protocol, as ConsumerGroupDescribe has it.
const CONSUMER: i8 = 1;

/// The topics' names.
type Names<'a> = BTreeMap<TopicId, &'a str>;

/// What a group is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum State {
    /// It has no members.
    Empty,
    /// It has a new epoch and no target for it.
    Assigning,
    /// Members are on their way to the target.
    Reconciling,
    /// All members have what they are to have.
    Stable,
}

impl State {
    /// As the protocol names it.
    pub(in crate::broker) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

impl Group {
    pub(in crate::broker) fn state(&self) -> State {
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch > self.target_epoch {
            State::Assigning
        } else if self.members.values().all(|member| member.is_reconciled_to(self.target_epoch)) {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    /// All that is told of it but its id and what may be done with it.
    pub(in crate::broker) fn describe(&self, topics: &Topics<'_>) -> ConsumerGroupDescribeGroup<'static> {
        let names: Names<'_> = topics.iter().map(|topic| (topic.id, topic.name)).collect();
        let members = self.members.iter().map(|(id, member)| describe(id, member, &names));
        ConsumerGroupDescribeGroup {
            group_state: self.state().name().into(),
            group_epoch: self.epoch,
            assignment_epoch: self.target_epoch,
            assignor_name: self.assignor().name().into(),
            members: members.collect(),
            ..Default::default()
        }
    }
}

fn describe(id: &str, member: &Member, names: &Names<'_>) -> ConsumerGroupDescribeMember<'static> {
    let profile = &member.profile;
    let text = |text: &Option<String>| text.clone().map(Into::into);
    ConsumerGroupDescribeMember {
        member_id: id.to_owned().into(),
        instance_id: text(&profile.instance_id),
        rack_id: text(&profile.rack_id),
        member_epoch: member.epoch,
        client_id: profile.client_id.clone().into(),
        client_host: profile.client_host.clone().into(),
        subscribed_topic_names: profile.names.iter().map(|name| name.clone().into()).collect(),
        subscribed_topic_regex: text(&profile.pattern),
        assignment: assignment(&member.assigned, names),
        target_assignment: assignment(&member.target, names),
        member_type: CONSUMER,
    }
}

/// Partitions with the names of their topics; those of topics that are gone are left out.
fn assignment(places: &Places, names: &Names<'_>) -> ConsumerGroupDescribeAssignment<'static> {
    let mut topic_partitions: Vec<ConsumerGroupDescribeTopic<'static>> = Vec::new();
    for (id, partition) in places {
        if let Some(last) = topic_partitions.last_mut().filter(|last| last.topic_id.0 == *id) {
            last.partitions.push(*partition);
        } else if let Some(name) = names.get(id) {
            topic_partitions.push(ConsumerGroupDescribeTopic {
                topic_id: Uuid(*id),
                topic_name: (*name).to_owned().into(),
                partitions: vec![*partition],
            });
        }
    }
    ConsumerGroupDescribeAssignment { topic_partitions }
}
