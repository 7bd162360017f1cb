//! Produce (versions 3 to 11): batches are checked, given their offsets and written as they came.
//! Acks 1 and -1 are the same on one node. With acks 0 there is no answer: when such a request fails,
//! the connection is closed, as that is all a client can notice. Throttling: none.
//!
//! A batch of a transaction is written if its partition is part of its producer's transaction
//! (KIP-890); else it is refused with TRANSACTION_ABORTABLE, before version 11 with INVALID_TXN_STATE.

use super::super::code::{Code, Failure, told};
use super::super::connection::Close;
use super::super::node::Node;
use super::super::storage::{Appended, Topic};
use super::super::transactions::{Part, Producer};
use super::{Call, Reply};
use crate::wire::batch::BatchHead;
use crate::wire::messages::{
    ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse, ProduceResponsePartition,
    ProduceResponseTopic,
};

pub(super) fn answer(call: &mut Call<'_>) -> Result<Option<Reply>, Close> {
    let request: ProduceRequest<'_> = call.read()?;
    let acks = request.acks;
    let id = request.transactional_id.as_deref();
    let topics = request.topic_data.into_iter();
    let responses: Vec<_> = topics.map(|topic| write(call, acks, id, topic)).collect();
    if acks != 0 {
        return call.reply(&ProduceResponse { responses, ..Default::default() }).map(Some);
    }
    let mut partitions = responses.iter().flat_map(|topic| &topic.partition_responses);
    if partitions.any(|partition| partition.error_code != 0) { Err(Close::Unanswerable) } else { Ok(None) }
}

fn write<'a>(
    call: &mut Call<'a>,
    acks: i16,
    id: Option<&str>,
    asked: ProduceRequestTopic<'a>,
) -> ProduceResponseTopic<'a> {
    let topic = match acks {
        -1..=1 => call.allow().and_then(|()| Ok(call.node.storage.topic(&asked.name)?)),
        _ => Err(Code::InvalidRequiredAcks.into()),
    };
    let version = call.version();
    let mut write = |partition: &ProduceRequestPartition<'_>| {
        let topic = topic.as_deref().map_err(Clone::clone);
        let written = topic.and_then(|topic| append(call.node, topic, id, partition, &mut call.peer.batches));
        let written = written.map_err(|failure| for_producer(failure, version));
        outcome(partition.index, &written)
    };
    let partition_responses = asked.partition_data.iter().map(&mut write).collect();
    ProduceResponseTopic { name: asked.name, partition_responses }
}

/// Appends to one partition: in a copy of the batches, since their offsets are set in place.
fn append(
    node: &Node,
    topic: &Topic,
    id: Option<&str>,
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
    let Some(producer) = transactional(batches) else { return Ok(node.append(topic, asked.index, batches)?) };
    let id = id.ok_or(Code::TransactionalIdAuthorizationFailed)?;
    let part = Part::Partition(topic.id(), asked.index);
    topic.partition(asked.index)?;
    node.transactions.write(id, producer, part, || Ok(node.append(topic, asked.index, batches)?))
}

/// The producer of a batch that is part of a transaction. With more than one batch the log takes none
/// that has a producer, so the first is enough.
fn transactional(batches: &[u8]) -> Option<Producer> {
    let head = BatchHead::read(batches).ok().flatten().filter(BatchHead::is_transactional)?;
    Some(Producer { id: head.producer_id, epoch: head.producer_epoch }).filter(|producer| producer.id >= 0)
}

/// The coordinator's errors in codes that a producer expects (Kafka's `AddPartitionsToTxnManager` and
/// `ReplicaManager`): one that was replaced may abort, one whose last transaction is still ending is to
/// try again.
fn for_producer(failure: Failure, version: i16) -> Failure {
    let failure = failure
        .instead(Code::ProducerFenced, Code::InvalidProducerEpoch)
        .instead(Code::ConcurrentTransactions, Code::NotEnoughReplicas);
    match version {
        ..11 => failure.instead(Code::TransactionAbortable, Code::InvalidTxnState),
        _ => failure,
    }
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
