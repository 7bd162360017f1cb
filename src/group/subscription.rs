//! What members of the classic protocol tell their leader.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::record::TopicPartition;
use crate::wire::messages::{ConsumerProtocolSubscription, ConsumerProtocolTopic};
use crate::wire::{DecodeError, EncodeError};

/// What a member wants to read, and what it has (Java's `ConsumerPartitionAssignor.Subscription`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    /// The topics it wants.
    pub topics: BTreeSet<Arc<str>>,
    /// What its assignor adds.
    pub user_data: Option<Vec<u8>>,
    /// What it has; nothing in eager rebalances.
    pub owned: Vec<TopicPartition>,
    /// The generation in which it got that, if it told.
    pub generation: Option<i32>,
    /// Where it stands.
    pub rack_id: Option<String>,
}

impl Subscription {
    /// Its bytes, as `ConsumerProtocol.serializeSubscription` writes them.
    ///
    /// # Errors
    /// If a name is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let owned: BTreeSet<&TopicPartition> = self.owned.iter().collect();
        let message = ConsumerProtocolSubscription {
            topics: self.topics.iter().map(|topic| (&**topic).into()).collect(),
            user_data: self.user_data.as_deref().map(Into::into),
            owned_partitions: by_topic(owned),
            generation_id: self.generation.unwrap_or(-1),
            rack_id: self.rack_id.as_deref().map(Into::into),
        };
        message.encode()
    }

    /// Reads any version, as `ConsumerProtocol.deserializeSubscription` does.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = ConsumerProtocolSubscription::decode(bytes)?;
        Ok(Self {
            topics: message.topics.iter().map(|topic| Arc::from(&**topic)).collect(),
            user_data: message.user_data.map(Into::into),
            owned: partitions(&message.owned_partitions),
            generation: Some(message.generation_id).filter(|generation| *generation >= 0),
            rack_id: message.rack_id.filter(|rack| !rack.is_empty()).map(Into::into),
        })
    }
}

/// Partitions by topic, topics and partitions in the order in which they come.
pub(super) fn by_topic<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> Vec<ConsumerProtocolTopic<'a>> {
    let mut topics: Vec<ConsumerProtocolTopic<'a>> = Vec::new();
    for place in partitions {
        match topics.last_mut().filter(|last| *last.topic == *place.topic) {
            Some(last) => last.partitions.push(place.partition),
            None => topics.push(ConsumerProtocolTopic {
                topic: (&*place.topic).into(),
                partitions: vec![place.partition],
            }),
        }
    }
    topics
}

/// The reverse.
pub(super) fn partitions(topics: &[ConsumerProtocolTopic<'_>]) -> Vec<TopicPartition> {
    let each = |topic: &ConsumerProtocolTopic<'_>| {
        let name: Arc<str> = Arc::from(&*topic.topic);
        let places = topic.partitions.iter();
        places
            .map(move |partition| TopicPartition { topic: Arc::clone(&name), partition: *partition })
            .collect::<Vec<_>>()
    };
    topics.iter().flat_map(each).collect()
}
