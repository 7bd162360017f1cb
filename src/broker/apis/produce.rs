//! Produce (versions 3 to 11): batches are checked, given their offsets and written as they came.
//! Acks 1 and -1 are the same on one node. With acks 0 there is no answer: when such a request fails,
//! the connection is closed, as that is all a client can notice. Throttling: none.

use super::super::code::{Code, Failure, told};
use super::super::connection::Close;
use super::super::node::Node;
use super::super::storage::{Appended, Topic};
use super::{Call, Reply};
use crate::wire::messages::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse, ProduceResponsePartition,
    ProduceResponseTopic,
};

pub(super) fn answer(call: &mut Call<'_>) -> Result<Option<Reply>, Close> {
    let request: ProduceRequest<'_> = call.read()?;
    let acks = request.acks;
    let responses: Vec<_> = request.topic_data.into_iter().map(|topic| write(call, acks, topic)).collect();
    if acks != 0 {
        return call.reply(&ProduceResponse { responses, ..Default::default() }).map(Some);
    }
    let mut partitions = responses.iter().flat_map(|topic| &topic.partition_responses);
    if partitions.any(|partition| partition.error_code != 0) { Err(Close::Unanswerable) } else { Ok(None) }
}

fn write<'a>(call: &mut Call<'a>, acks: i16, asked: ProduceRequestTopic<'a>) -> ProduceResponseTopic<'a> {
    let topic = match acks {
        -1..=1 => call.allow().and_then(|()| Ok(call.node.storage.topic(&asked.name)?)),
        _ => Err(Code::InvalidRequiredAcks.into()),
    };
    let mut write = |partition: &ProduceRequestPartition<'_>| {
        let topic = topic.as_deref().map_err(Clone::clone);
        let written = topic.and_then(|topic| append(call.node, topic, partition, &mut call.peer.batches));
        outcome(partition.index, &written)
    };
    let partition_responses = asked.partition_data.iter().map(&mut write).collect();
    ProduceResponseTopic { name: asked.name, partition_responses }
}

/// Appends to one partition: in a copy of the batches, since their offsets are set in place.
fn append(
    node: &Node,
    topic: &Topic,
    asked: &ProduceRequestPartition<'_>,
    batches: &mut Vec<u8>,
) -> Result<(Appended, i64), Failure> {
    let records = asked.records.unwrap_or_default().bytes();
    if records.is_empty() {
        return Err(Failure::new(Code::InvalidRecord, "no record batch"));
    }
    batches.clear();
    batches.shrink_to(1 << 20);
    batches.extend_from_slice(records);
    Ok(node.append(topic, asked.index, batches)?)
}

fn outcome<'a>(index: i32, written: &Result<(Appended, i64), Failure>) -> ProduceResponsePartition<'a> {
    let (error_code, why) = told(written);
    let unplaced = ProduceResponsePartition {
        index,
        error_code,
        base_offset: -1,
        error_message: why.map(|why| why.to_owned().into()),
        ..Default::default()
    };
    match written {
        Ok((appended, log_start_offset)) => ProduceResponsePartition {
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time.unwrap_or(-1),
            log_start_offset: *log_start_offset,
            ..unplaced
        },
        Err(_) => unplaced,
    }
}
