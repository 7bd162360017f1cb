//! What is known of the cluster, without asking.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Address;
use crate::wire::messages::{MetadataBroker, MetadataPartition, MetadataResponse, MetadataTopic};
use crate::wire::{ErrorCode, Uuid};

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// Where it listens.
    pub address: Address,
    /// Where it stands (`broker.rack`).
    pub rack: Option<Arc<str>>,
}

/// A partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// The broker that leads it, if one does.
    pub leader: Option<i32>,
    /// The leader's epoch; -1 if the broker asked is too old to tell.
    pub leader_epoch: i32,
    /// What is wrong with it.
    pub error: Option<ErrorCode>,
}

/// A topic, or why it cannot be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; all zero if the broker asked is too old to tell. A topic that was deleted and created
    /// again has another.
    pub id: Uuid,
    /// Whether it is Kafka's own.
    pub internal: bool,
    /// Why there is nothing to tell.
    pub error: Option<ErrorCode>,
    /// Its partitions, in the order of their numbers.
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// A partition.
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        let at = self.partitions.binary_search_by_key(&index, |partition| partition.index).ok()?;
        self.partitions.get(at)
    }
}

/// Which topics are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Every topic there is.
    All,
    /// These.
    Named(BTreeSet<Arc<str>>),
}

impl Default for Wanted {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl Wanted {
    pub(super) fn named(topics: &[&str]) -> Self {
        Self::Named(topics.iter().map(|topic| Arc::from(*topic)).collect())
    }

    /// Whether asking for this asks for that too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Named(_), Self::All) => false,
            (Self::Named(mine), Self::Named(theirs)) => mine.is_superset(theirs),
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        match (&mut *self, more) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Named(mine), Self::Named(more)) => mine.extend(more.iter().cloned()),
        }
    }

    pub(super) fn remove(&mut self, topics: &[&str]) {
        if let Self::Named(mine) = self {
            mine.retain(|topic| !topics.contains(&&**topic));
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Named(topics) if topics.is_empty())
    }
}

/// The cluster as the last answers told of it. Never changed: what is learned makes a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    brokers: HashMap<i32, Broker>,
    topics: HashMap<Arc<str>, Arc<Topic>>,
    cluster_id: Option<Arc<str>>,
}

/// Who leads a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// The broker.
    pub id: i32,
    /// The leader's epoch; -1 if it is not known.
    pub epoch: i32,
}

impl Metadata {
    /// A topic that was asked for.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// All topics that were asked for, in no order.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// A broker.
    pub fn broker(&self, id: i32) -> Option<&Broker> {
        self.brokers.get(&id)
    }

    /// All brokers, in no order.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values()
    }

    /// The cluster's id, if it has told one.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Who leads a partition, if that is known.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        let partition = self.topic(topic)?.partition(partition)?;
        Some(Leader { id: partition.leader?, epoch: partition.leader_epoch })
    }

    /// Whether all these topics are known.
    pub(super) fn knows(&self, topics: &Wanted) -> bool {
        match topics {
            Wanted::All => false,
            Wanted::Named(names) => names.iter().all(|name| self.topics.contains_key(name)),
        }
    }

    /// With what an answer tells. Topics that were not asked for stay as they were; of a partition the
    /// newer leader epoch is kept, since brokers learn of new leaders at different times (KIP-320).
    pub(super) fn with_answer(&self, answer: &MetadataResponse<'_>, asked: &Wanted) -> Self {
        let mut topics = match asked {
            Wanted::All => HashMap::new(),
            Wanted::Named(_) => self.topics.clone(),
        };
        for told in &answer.topics {
            if let Some(name) = told.name.as_deref() {
                let topic = topic(name, told, self.topic(name));
                topics.insert(Arc::clone(&topic.name), Arc::new(topic));
            }
        }
        let brokers = answer.brokers.iter().filter_map(broker).map(|broker| (broker.id, broker)).collect();
        let cluster_id = answer.cluster_id.as_deref().map(Arc::from).or_else(|| self.cluster_id.clone());
        Self { brokers, topics, cluster_id }
    }

    /// Without these topics.
    pub(super) fn without(&self, topics: &[&str]) -> Self {
        let mut it = self.clone();
        it.topics.retain(|name, _| !topics.contains(&&**name));
        it
    }

    /// With a broker that is there too.
    pub(super) fn with_broker(&self, id: i32, address: Address) -> Self {
        let mut it = self.clone();
        let rack = self.broker(id).and_then(|known| known.rack.clone());
        it.brokers.insert(id, Broker { id, address, rack });
        it
    }

    /// With a leader, if its epoch is newer than what is known.
    pub(super) fn with_leader(&self, topic: &str, partition: i32, leader: Leader) -> Option<Self> {
        let (name, known) = self.topics.get_key_value(topic)?;
        let at = known.partitions.binary_search_by_key(&partition, |partition| partition.index).ok()?;
        let mut changed = Topic::clone(known);
        let found = changed.partitions.get_mut(at).filter(|found| found.leader_epoch < leader.epoch)?;
        *found = Partition { leader: Some(leader.id), leader_epoch: leader.epoch, error: None, ..*found };
        let mut it = self.clone();
        it.topics.insert(Arc::clone(name), Arc::new(changed));
        Some(it)
    }
}

/// A broker, if it tells an address that can be one.
fn broker(told: &MetadataBroker<'_>) -> Option<Broker> {
    let address = Address::new(&told.host, told.port).ok()?;
    Some(Broker { id: told.node_id, address, rack: told.rack.as_deref().map(Arc::from) })
}

fn topic(name: &str, told: &MetadataTopic<'_>, known: Option<&Arc<Topic>>) -> Topic {
    let error = ErrorCode::of(told.error_code);
    // Epochs of another topic of that name mean nothing.
    let known = known.filter(|known| known.id == told.topic_id || known.id == Uuid::default());
    let mut partitions = Vec::new();
    if error.is_none() {
        partitions.reserve_exact(told.partitions.len());
        let merged = |told| partition(told, known.and_then(|known| known.partition(told.partition_index)));
        partitions.extend(told.partitions.iter().map(merged));
        partitions.sort_unstable_by_key(|partition| partition.index);
        partitions.dedup_by_key(|partition| partition.index);
    }
    let name = known.map_or_else(|| Arc::from(name), |known| Arc::clone(&known.name));
    Topic { name, id: told.topic_id, internal: told.is_internal, error, partitions }
}

fn partition(told: &MetadataPartition, known: Option<&Partition>) -> Partition {
    match known {
        Some(known) if told.leader_epoch >= 0 && known.leader_epoch > told.leader_epoch => *known,
        _ => Partition {
            index: told.partition_index,
            leader: Some(told.leader_id).filter(|id| *id >= 0),
            leader_epoch: told.leader_epoch,
            error: ErrorCode::of(told.error_code),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(topic: &'static str, id: u8, leaders: &[(i32, i32, i32)]) -> MetadataResponse<'static> {
        let partition = |&(partition_index, leader_id, leader_epoch): &(i32, i32, i32)| MetadataPartition {
            partition_index,
            leader_id,
            leader_epoch,
            ..Default::default()
        };
        let topic = MetadataTopic {
            name: Some(topic.into()),
            topic_id: Uuid([id; 16]),
            partitions: leaders.iter().map(partition).collect(),
            ..Default::default()
        };
        let broker = MetadataBroker { node_id: 1, host: "b".into(), port: 9092, rack: None };
        MetadataResponse { brokers: vec![broker], topics: vec![topic], ..Default::default() }
    }

    fn named(topic: &str) -> Wanted {
        Wanted::named(&[topic])
    }

    #[test]
    fn an_older_leader_epoch_does_not_replace_a_newer_one() {
        let first = Metadata::default().with_answer(&answer("t", 1, &[(0, 1, 5), (1, 1, 5)]), &named("t"));
        let second = first.with_answer(&answer("t", 1, &[(0, 2, 4), (1, 2, 6)]), &named("t"));
        assert_eq!(second.leader("t", 0), Some(Leader { id: 1, epoch: 5 }));
        assert_eq!(second.leader("t", 1), Some(Leader { id: 2, epoch: 6 }));
    }

    #[test]
    fn a_topic_that_was_created_again_starts_with_its_own_epochs() {
        let first = Metadata::default().with_answer(&answer("t", 1, &[(0, 1, 5)]), &named("t"));
        let second = first.with_answer(&answer("t", 2, &[(0, 2, 0)]), &named("t"));
        assert_eq!(second.leader("t", 0), Some(Leader { id: 2, epoch: 0 }));
    }

    #[test]
    fn what_was_not_asked_for_stays_unless_everything_was() {
        let first = Metadata::default().with_answer(&answer("t", 1, &[(0, 1, 5)]), &named("t"));
        let both = first.with_answer(&answer("u", 2, &[(0, 1, 0)]), &named("u"));
        assert_eq!(both.topics().count(), 2);
        let all = both.with_answer(&answer("u", 2, &[(0, 1, 0)]), &Wanted::All);
        assert_eq!(all.topics().map(|topic| &*topic.name).collect::<Vec<_>>(), ["u"]);
    }

    #[test]
    fn a_topic_with_an_error_has_no_partitions() {
        let first = Metadata::default().with_answer(&answer("t", 1, &[(0, 1, 5)]), &named("t"));
        let mut gone = answer("t", 0, &[]);
        gone.topics[0].error_code = 3;
        let second = first.with_answer(&gone, &named("t"));
        assert_eq!(second.topic("t").unwrap().error, Some(ErrorCode::UnknownTopicOrPartition));
        assert_eq!(second.leader("t", 0), None);
    }

    #[test]
    fn partitions_are_found_by_number_whatever_their_order() {
        let told = answer("t", 1, &[(7, 1, 0), (2, -1, 0), (7, 3, 0), (i32::MAX, 1, 0)]);
        let metadata = Metadata::default().with_answer(&told, &named("t"));
        let topic = metadata.topic("t").unwrap();
        assert_eq!(topic.partitions.iter().map(|p| p.index).collect::<Vec<_>>(), [2, 7, i32::MAX]);
        assert_eq!(topic.partition(2).unwrap().leader, None);
        assert_eq!(topic.partition(0), None);
    }

    #[test]
    fn a_leader_is_noted_if_its_epoch_is_newer() {
        let first = Metadata::default().with_answer(&answer("t", 1, &[(0, 1, 5)]), &named("t"));
        assert_eq!(first.with_leader("t", 0, Leader { id: 2, epoch: 5 }), None);
        assert_eq!(first.with_leader("t", 1, Leader { id: 2, epoch: 6 }), None);
        let second = first.with_leader("t", 0, Leader { id: 2, epoch: 6 }).unwrap();
        assert_eq!(second.leader("t", 0), Some(Leader { id: 2, epoch: 6 }));
    }

    #[test]
    fn brokers_without_a_usable_address_are_left_out() {
        let mut told = answer("t", 1, &[]);
        told.brokers.push(MetadataBroker { node_id: 2, host: "\x1b[31m".into(), port: 1, rack: None });
        told.brokers.push(MetadataBroker { node_id: 3, host: "b".into(), port: 70_000, rack: None });
        let metadata = Metadata::default().with_answer(&told, &named("t"));
        assert_eq!(metadata.brokers().map(|broker| broker.id).collect::<Vec<_>>(), [1]);
    }
}
