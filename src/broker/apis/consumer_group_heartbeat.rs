//! ConsumerGroupHeartbeat (versions 0 and 1): a member of a group of KIP-848's protocol joins, stays, gives
//! up partitions or leaves, and learns what it is to read. In version 0 the broker makes up the id of a
//! member that has none; from version 1 on the client does, and may subscribe by a pattern.

use std::borrow::Cow;

use super::super::code::{Code, Failure, told};
use super::super::groups::consumer::{Assignor, Beat, Topic, Topics};
use super::super::node::{Node, random_id};
use super::Call;
use crate::wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: ConsumerGroupHeartbeatRequest<'a>,
) -> ConsumerGroupHeartbeatResponse<'a> {
    let answer = call.allow().and_then(|()| {
        check(&request, call.version())?;
        heartbeat(call, &request)
    });
    let (error_code, why) = told(&answer);
    let error_message = why.map(|why| why.to_owned().into());
    answer.unwrap_or_else(|_| ConsumerGroupHeartbeatResponse {
        error_code,
        error_message,
        ..Default::default()
    })
}

fn heartbeat(
    call: &Call<'_>,
    request: &ConsumerGroupHeartbeatRequest<'_>,
) -> Result<ConsumerGroupHeartbeatResponse<'static>, Failure> {
    let member_id: Cow<'_, str> = match &*request.member_id {
        "" => random_id().into(),
        id => id.into(),
    };
    let beat = Beat {
        request,
        member_id: &member_id,
        client_id: call.header.client_id.as_deref().unwrap_or_default(),
        client_host: &format!("/{}", call.peer.remote.ip()),
    };
    let node = call.node;
    node.groups.with(node, |registry, store, now| {
        with_topics(node, |topics| {
            registry.consumer_heartbeat(store, beat, topics, &node.options.consumer_groups, now)
        })
    })
}

/// Does something with the topics as they are.
pub(super) fn with_topics<T>(node: &Node, act: impl FnOnce(&Topics<'_>) -> T) -> T {
    let all = node.storage.topics();
    let topics = all.iter().map(|topic| Topic {
        name: topic.name(),
        id: topic.id(),
        partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
    });
    act(&Topics::new(topics.collect()))
}

/// Refuses what is wrong in any group (Kafka's `throwIfConsumerGroupHeartbeatRequestIsInvalid`).
fn check(request: &ConsumerGroupHeartbeatRequest<'_>, version: i16) -> Result<(), Failure> {
    let invalid = |why: &str| Err(Failure::new(Code::InvalidRequest, why));
    let is_empty = |text: &Option<Cow<'_, str>>| text.as_ref().is_some_and(|text| text.trim().is_empty());
    let epoch = request.member_epoch;
    if (version >= 1 || epoch > 0 || epoch == -1) && request.member_id.trim().is_empty() {
        return invalid("MemberId can't be empty.");
    }
    if request.group_id.trim().is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if is_empty(&request.instance_id) {
        return invalid("InstanceId can't be empty.");
    }
    if is_empty(&request.rack_id) {
        return invalid("RackId can't be empty.");
    }
    match epoch {
        0 => check_join(request)?,
        -2 if request.instance_id.is_none() => return invalid("InstanceId can't be null."),
        ..-2 => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    let assignor = request.server_assignor.as_deref().filter(|name| Assignor::named(name).is_none());
    let Some(assignor) = assignor else { return Ok(()) };
    let supported = Assignor::ALL.map(Assignor::name).join(", ");
    let why = format!("ServerAssignor {assignor} is not supported. Supported assignors: {supported}.");
    Err(Failure::new(Code::UnsupportedAssignor, why))
}

fn check_join(request: &ConsumerGroupHeartbeatRequest<'_>) -> Result<(), Failure> {
    let why = if request.rebalance_timeout_ms == -1 {
        "RebalanceTimeoutMs must be provided in first request."
    } else if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
        "TopicPartitions must be empty when (re-)joining."
    } else if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
    } else {
        return Ok(());
    };
    Err(Failure::new(Code::InvalidRequest, why))
}
