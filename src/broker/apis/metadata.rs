//! Metadata (versions 0 to 12): this node leads every partition. Topics are asked for by name, from
//! version 10 on also by id; null is all, in version 0 the empty list is. A topic that is not there
//! is created if broker and client (from version 4 on) allow it.

use std::sync::Arc;

use super::super::code::{Code, Failure, told};
use super::super::node::{LEADER_EPOCH, NODE_ID};
use super::super::storage::{self, Topic};
use super::Call;
use crate::wire::messages::{
    MetadataBroker, MetadataPartition, MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataTopic,
};
use crate::wire::{Text, Uuid};

/// Everything that can be done with a topic, as a bit field of Kafka's operations: there is no
/// authorization.
const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// Everything that can be done with the cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

pub(super) fn handle<'a>(call: &mut Call<'a>, request: MetadataRequest<'a>) -> MetadataResponse<'a> {
    let asked = request.topics.as_ref().filter(|topics| !(topics.is_empty() && call.version() == 0));
    let mut topics: Vec<MetadataTopic<'a>> = match asked {
        Some(asked) => asked.iter().map(|topic| find(call, &request, topic)).collect(),
        None => call.node.storage.topics().iter().map(|topic| described(topic)).collect(),
    };
    if request.include_topic_authorized_operations {
        topics.iter_mut().for_each(|topic| topic.topic_authorized_operations = TOPIC_OPERATIONS);
    }
    let operations =
        if request.include_cluster_authorized_operations { CLUSTER_OPERATIONS } else { i32::MIN };
    let address = call.peer.advertised;
    MetadataResponse {
        brokers: vec![MetadataBroker {
            node_id: NODE_ID,
            host: address.ip().to_string().into(),
            port: address.port().into(),
            rack: None,
        }],
        cluster_id: Some(Text::Borrowed(&call.node.cluster_id)),
        controller_id: NODE_ID,
        topics,
        cluster_authorized_operations: operations,
        ..Default::default()
    }
}

/// One topic that was asked for.
fn find<'a>(
    call: &Call<'a>,
    request: &MetadataRequest<'a>,
    asked: &MetadataRequestTopic<'a>,
) -> MetadataTopic<'a> {
    // With an id the name does not count: Java's consumer, which may know no more, leaves it empty.
    let name = asked.name.as_ref().filter(|_| asked.topic_id == Uuid::default());
    let found = call.allow().and_then(|()| match name {
        Some(name) => by_name(call, name, request.allow_auto_topic_creation).map_err(Failure::from),
        None => call.node.storage.topic_by_id(asked.topic_id.0).ok_or(Code::UnknownTopicId.into()),
    });
    match found {
        Ok(topic) => described(&topic),
        Err(_) => MetadataTopic {
            error_code: told(&found).0,
            // Before version 12 there is no null.
            name: name.cloned().or_else(|| (call.version() < 12).then(Text::default)),
            topic_id: asked.topic_id,
            ..Default::default()
        },
    }
}

fn by_name(call: &Call<'_>, name: &str, may_create: bool) -> storage::Result<Arc<Topic>> {
    let node = call.node;
    match node.storage.topic(name) {
        Err(storage::Error::UnknownTopic(_)) if may_create && node.options.auto_create => {
            match node.create_topic(name, None, &[]) {
                // Another client asked for it at the same time.
                Err(storage::Error::TopicExists(_)) => node.storage.topic(name),
                created => created,
            }
        }
        found => found,
    }
}

fn described<'a>(topic: &Topic) -> MetadataTopic<'a> {
    let partitions = (0..).zip(topic.partitions()).map(|(partition_index, _)| MetadataPartition {
        partition_index,
        leader_id: NODE_ID,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        ..Default::default()
    });
    MetadataTopic {
        name: Some(topic.name().to_owned().into()),
        topic_id: Uuid(topic.id()),
        partitions: partitions.collect(),
        ..Default::default()
    }
}
