//! What of a group is in the journal: a head, and an entry for each member. Each is JSON; partitions
//! are kept by their topics' ids.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::member::Member;
use super::topics::TopicId;
use super::{Group, Options};

/// What belongs to no single member.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    epoch: i32,
    target_epoch: i32,
    /// The topics that the target was made for, and their numbers of partitions.
    topics: Vec<(TopicId, i32)>,
}

/// A change to write: of the head (no member) or of a member; without a value it is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Change {
    pub(in crate::broker) member: Option<String>,
    pub(in crate::broker) value: Option<Vec<u8>>,
}

impl Group {
    /// What has changed since the last [`saved`](Self::saved); what it tells goes with an answer only
    /// when this has been written. All of it has to be written at once.
    pub(in crate::broker) fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.is_head_changed {
            let topics = self.topics.iter().map(|(id, count)| (*id, *count)).collect();
            let head = Head { epoch: self.epoch, target_epoch: self.target_epoch, topics };
            changes.push(Change { member: None, value: serde_json::to_vec(&head).ok() });
        }
        for id in &self.changed {
            let value = self.members.get(id).and_then(|member| serde_json::to_vec(member).ok());
            changes.push(Change { member: Some(id.clone()), value });
        }
        changes
    }

    /// All changes are written.
    pub(in crate::broker) fn saved(&mut self) {
        self.is_head_changed = false;
        self.changed.clear();
    }

    /// A group as it was written. Its members have all of their time again. `None` if it cannot be read.
    pub(in crate::broker) fn load<'a>(
        head: &[u8],
        members: impl Iterator<Item = (&'a str, &'a [u8])>,
        options: &Options,
        now: i64,
    ) -> Option<Self> {
        let head: Head = serde_json::from_slice(head).ok()?;
        let mut group = Self { epoch: head.epoch, target_epoch: head.target_epoch, ..Self::default() };
        group.topics = head.topics.into_iter().collect();
        for (id, member) in members {
            let mut member: Member = serde_json::from_slice(member).ok()?;
            member.begin_session(options, now);
            member.begin_revocation(now);
            group.members.insert(id.to_owned(), member);
        }
        Some(group)
    }
}

/// The form of partitions: lists of numbers by topic.
pub(super) mod places {
    use super::super::topics::Places;
    use super::{BTreeMap, Deserialize, Serialize};

    pub(in super::super) fn serialize<S: serde::Serializer>(
        places: &Places,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        let mut by_topic: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in places {
            by_topic.entry(format!("{:032x}", u128::from_be_bytes(*topic))).or_default().push(*partition);
        }
        by_topic.serialize(s)
    }

    pub(in super::super) fn deserialize<'d, D: serde::Deserializer<'d>>(d: D) -> Result<Places, D::Error> {
        let mut places = Places::new();
        for (topic, partitions) in BTreeMap::<String, Vec<i32>>::deserialize(d)? {
            let topic = u128::from_str_radix(&topic, 16).map_err(serde::de::Error::custom)?.to_be_bytes();
            places.extend(partitions.into_iter().map(|partition| (topic, partition)));
        }
        Ok(places)
    }
}
