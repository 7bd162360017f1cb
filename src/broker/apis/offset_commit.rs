//! OffsetCommit (versions 2 to 9): by a member in its generation, or from outside of a group that has no
//! members. Partitions that are not there are refused, and notes of more than 4096 characters. The
//! empty group is served, as in Kafka. What is acknowledged is in the journal.

use super::super::code::number;
use super::super::groups::{Commit, Mode, Who};
use super::Call;
use crate::wire::messages::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: OffsetCommitRequest<'a>) -> OffsetCommitResponse<'a> {
    let codes = match call.allow() {
        Ok(()) => commit(call, &request),
        Err(failure) => commits(&request).iter().map(|_| failure.code).collect(),
    };
    let mut codes = codes.into_iter();
    let topics = request.topics.into_iter().map(|topic| told(topic, &mut codes)).collect();
    OffsetCommitResponse { topics, ..Default::default() }
}

fn told<'a>(
    topic: OffsetCommitRequestTopic<'a>,
    codes: &mut impl Iterator<Item = i16>,
) -> OffsetCommitResponseTopic<'a> {
    let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
    let told = |(partition_index, error_code)| OffsetCommitResponsePartition { partition_index, error_code };
    OffsetCommitResponseTopic { partitions: indexes.zip(codes).map(told).collect(), name: topic.name }
}

/// The codes of all partitions, in order.
fn commit(call: &Call<'_>, request: &OffsetCommitRequest<'_>) -> Vec<i16> {
    let who = Who {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
    };
    let mode = Mode::Plain { version: call.version(), retention: request.retention_time_ms };
    let commits = commits(request);
    let outcomes = call.node.groups.with(call.node, |registry, store, now| {
        registry.commit(store, &request.group_id, who, mode, &commits, now)
    });
    outcomes.into_iter().map(number).collect()
}

fn commits<'a>(request: &'a OffsetCommitRequest<'_>) -> Vec<Commit<'a>> {
    let commits = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| Commit {
            topic: &topic.name,
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_deref().unwrap_or_default(),
        })
    });
    commits.collect()
}
