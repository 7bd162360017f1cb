//! TxnOffsetCommit (versions 0 to 5): offsets that are committed when the producer's transaction is, for a
//! group that is part of it, by a member that may commit (from version 3 on it says who it is,
//! KIP-447). From version 5 on the request makes the group part of the transaction itself (KIP-890).
//!
//! Kafka looks for what it wants in this order: partitions that are there, the transaction, the group.
//! A transaction without the group is TRANSACTION_ABORTABLE, before version 4 INVALID_TXN_STATE.

use super::super::code::{Code, Failure, number};
use super::super::groups::{Commit, Store, Who};
use super::super::node::now;
use super::super::transactions::{Part, Producer};
use super::Call;
use crate::wire::Text;
use crate::wire::messages::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: TxnOffsetCommitRequest<'a>,
) -> TxnOffsetCommitResponse<'a> {
    let commits = commits(&request);
    let is_there = |commit: &Commit<'_>| call.node.has_partition(commit.topic, commit.partition);
    let kept = if commits.iter().any(is_there) {
        call.allow().and_then(|()| keep(call, &request, &commits))
    } else {
        Ok(commits.iter().map(|_| Err(Code::UnknownTopicOrPartition)).collect())
    };
    let codes: Vec<i16> = match kept {
        Ok(kept) => kept.into_iter().map(number).collect(),
        Err(failure) => {
            let failure = for_producer(failure, call.version());
            let unknown = Code::UnknownTopicOrPartition as i16;
            commits.iter().map(|commit| if is_there(commit) { failure.code } else { unknown }).collect()
        }
    };
    respond(request, &codes)
}

/// Keeps all offsets for the end of the transaction. What became of each.
fn keep(
    call: &Call<'_>,
    request: &TxnOffsetCommitRequest<'_>,
    commits: &[Commit<'_>],
) -> Result<Vec<Result<(), Code>>, Failure> {
    if request.group_id.is_empty() {
        return Err(Code::InvalidGroupId.into());
    }
    let node = call.node;
    let id = &request.transactional_id;
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let part = Part::Offsets(&request.group_id);
    if call.version() >= 5 {
        node.transactions.add(node, id, producer, &[part], now())?;
    }
    let who = Who {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    node.transactions.write(id, producer, part, || {
        Ok(node.groups.with(node, |groups, store, now| {
            groups.commit_in_transaction(store, &request.group_id, who, producer.id, commits, now)
        }))
    })
}

/// The offsets of a request, in order.
fn commits<'r>(request: &'r TxnOffsetCommitRequest<'_>) -> Vec<Commit<'r>> {
    let topics = request.topics.iter();
    let all = topics.flat_map(|topic| topic.partitions.iter().map(|partition| (&topic.name, partition)));
    let commit = |(topic, partition): (&'r Text<'_>, &'r TxnOffsetCommitRequestPartition<'_>)| Commit {
        topic,
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_deref().unwrap_or_default(),
    };
    all.map(commit).collect()
}

/// The coordinator's errors in codes that a producer expects here (Kafka's `AddPartitionsToTxnManager`).
fn for_producer(failure: Failure, version: i16) -> Failure {
    let failure = failure.instead(Code::ProducerFenced, Code::InvalidProducerEpoch);
    let failure = match version {
        ..4 => failure.instead(Code::TransactionAbortable, Code::InvalidTxnState),
        _ => failure,
    };
    match version {
        ..5 => failure.instead(Code::ConcurrentTransactions, Code::CoordinatorNotAvailable),
        _ => failure,
    }
}

/// The response with the code of each offset, in order.
fn respond<'a>(request: TxnOffsetCommitRequest<'a>, codes: &[i16]) -> TxnOffsetCommitResponse<'a> {
    let mut codes = codes.iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(codes.by_ref());
        let told = |(partition, code): (&TxnOffsetCommitRequestPartition<'_>, &i16)| {
            TxnOffsetCommitResponsePartition { partition_index: partition.partition_index, error_code: *code }
        };
        TxnOffsetCommitResponseTopic { name: topic.name, partitions: partitions.map(told).collect() }
    });
    TxnOffsetCommitResponse { throttle_time_ms: 0, topics: topics.collect() }
}
