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
pub enum Wanted {
    /// Every topic there is.
    All,
    /// These.
    Named(BTreeSet<Arc<str>>),
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
}
