//! What of a group is in the journal: under `group/consumer/` a head, under `group/consumer-member/` a
//! member. Values are JSON; partitions are kept by their topics' ids.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::persist::{self, Edits};
use super::member::Member;
use super::topics::TopicId;
use super::{Group, Options};
use crate::broker::storage::Journal;

/// Where heads are.
const HEAD: &[u8] = b"group/consumer/";
/// Where members are.
const MEMBER: &[u8] = b"group/consumer-member/";

/// What belongs to no single member.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    epoch: i32,
    target_epoch: i32,
    /// The topics that the target was made for, and their numbers of partitions.
    topics: Vec<(TopicId, i32)>,
}

impl Group {
    /// What has changed since the last [`saved`](Self::saved). All of it has to be written at once, before
    /// anyone is told of it.
    pub(in super::super) fn edits(&self, id: &str) -> Edits {
        let mut edits = Edits::default();
        if self.is_head_changed {
            let topics = self.topics.iter().map(|(id, count)| (*id, *count)).collect();
            let head = Head { epoch: self.epoch, target_epoch: self.target_epoch, topics };
            edits.put(persist::group_key(HEAD, id), value(&head));
        }
        for member_id in &self.changed {
            let key = persist::member_key(MEMBER, id, member_id);
            match self.members.get(member_id) {
                Some(member) => edits.put(key, value(member)),
                None => edits.delete(key),
            }
        }
        edits
    }

    /// All changes are written.
    pub(in super::super) fn saved(&mut self) {
        self.is_head_changed = false;
        self.changed.clear();
    }

    /// What removes it from the journal.
    pub(in super::super) fn delete_records(&self, id: &str, edits: &mut Edits) {
        edits.delete(persist::group_key(HEAD, id));
        for member_id in self.members.keys().chain(&self.changed) {
            edits.delete(persist::member_key(MEMBER, id, member_id));
        }
    }
}

/// The groups of a journal by id. Members have all of their time again. A member that cannot be read is
/// not there, and a head as if it were new.
pub(in super::super) fn load(journal: &Journal, options: &Options, now: i64) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (key, value) in journal.iter(HEAD) {
        let Some(id) = key.strip_prefix(HEAD).and_then(persist::group_of_key) else { continue };
        let group = groups.entry(id.to_owned()).or_default();
        if let Ok(Head { epoch, target_epoch, topics }) = serde_json::from_slice(value) {
            (group.epoch, group.target_epoch) = (epoch, target_epoch);
            group.topics = topics.into_iter().collect();
        }
    }
    for (key, value) in journal.iter(MEMBER) {
        let ids = key.strip_prefix(MEMBER).and_then(persist::member_of_key);
        let member = serde_json::from_slice::<Member>(value).ok();
        let Some(((id, member_id), mut member)) = ids.zip(member) else { continue };
        member.begin_session(options, now);
        member.begin_revocation(now);
        groups.entry(id.to_owned()).or_default().members.insert(member_id.to_owned(), member);
    }
    groups
}

/// Nothing in it has no form in JSON.
fn value(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
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
