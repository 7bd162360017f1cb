//! AddPartitionsToTxn (versions 0 to 3): partitions become part of the producer's transaction, all or
//! none: when one of them is not there, the others are not attempted. Before version 2 PRODUCER_FENCED is
//! not known (KIP-588).

use super::super::code::{Code, Failure};
use super::super::node::now;
use super::super::transactions::{Part, Producer};
use super::Call;
use crate::wire::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnRequestTopic, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResponsePartition, AddPartitionsToTxnResponseTopic,
};

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: AddPartitionsToTxnRequest<'a>,
) -> AddPartitionsToTxnResponse<'a> {
    let added = call.allow().and_then(|()| add(call, &request));
    let added = call.fenced_since(2, added);
    let all_code = match added {
        Ok(all_there) if all_there => 0,
        Ok(_) => Code::OperationNotAttempted as i16,
        Err(failure) => failure.code,
    };
    let told = |topic| told(call, topic, all_code);
    let results_by_topic = request.topics.into_iter().map(told).collect();
    AddPartitionsToTxnResponse { throttle_time_ms: 0, results_by_topic }
}

/// Adds all of them. False, and nothing added, when some are not there.
fn add(call: &Call<'_>, request: &AddPartitionsToTxnRequest<'_>) -> Result<bool, Failure> {
    let mut parts = Vec::new();
    for topic in &request.topics {
        let Ok(found) = call.node.storage.topic(&topic.name) else { return Ok(false) };
        if topic.partitions.iter().any(|partition| found.partition(*partition).is_err()) {
            return Ok(false);
        }
        parts.extend(topic.partitions.iter().map(|partition| Part::Partition(found.id(), *partition)));
    }
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    call.node.transactions.add(call.node, &request.transactional_id, producer, &parts, now())?;
    Ok(true)
}

/// What became of one topic's partitions; `code` of those that are there.
fn told<'a>(
    call: &Call<'a>,
    asked: AddPartitionsToTxnRequestTopic<'a>,
    code: i16,
) -> AddPartitionsToTxnResponseTopic<'a> {
    let topic = call.node.storage.topic(&asked.name);
    let told = |&partition_index: &i32| {
        let is_there = topic.as_ref().is_ok_and(|topic| topic.partition(partition_index).is_ok());
        let is_missing = !is_there && code == Code::OperationNotAttempted as i16;
        let partition_error_code = if is_missing { Code::UnknownTopicOrPartition as i16 } else { code };
        AddPartitionsToTxnResponsePartition { partition_index, partition_error_code }
    };
    let results_by_partition = asked.partitions.iter().map(told).collect();
    AddPartitionsToTxnResponseTopic { name: asked.name, results_by_partition }
}
