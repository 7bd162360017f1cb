//! OffsetFetch (versions 1 to 9): the offsets of one group, from version 8 on of several; all there are
//! when no topics are named. A place without an offset has -1. Who wants stable ones (KIP-447) is told
//! to wait while a transaction has an offset for the place. What is asked for twice is told once: an
//! answer is never much larger than its request and what is kept.

use std::collections::{BTreeSet, HashSet};

use super::super::code::{Code, Failure, told};
use super::super::groups::{Committed, Place, Registry, Who};
use super::Call;
use crate::wire::messages::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: OffsetFetchRequest<'a>) -> OffsetFetchResponse<'a> {
    let is_single = call.version() < 8;
    let groups = if is_single {
        let OffsetFetchRequest { group_id, topics, .. } = request;
        vec![OffsetFetchRequestGroup { group_id, topics, ..Default::default() }]
    } else {
        request.groups
    };
    let stable = request.require_stable;
    let mut told = HashSet::new();
    let groups = groups.into_iter().filter(|group| told.insert(group.group_id.clone()));
    let groups = groups.map(|group| of_group(call, group, stable));
    if !is_single {
        return OffsetFetchResponse { groups: groups.collect(), ..Default::default() };
    }
    let one = groups.last().unwrap_or_default();
    OffsetFetchResponse { topics: one.topics, error_code: one.error_code, ..Default::default() }
}

fn of_group<'a>(
    call: &Call<'a>,
    asked: OffsetFetchRequestGroup<'a>,
    stable: bool,
) -> OffsetFetchResponseGroup<'a> {
    let who = Who {
        member_id: asked.member_id.as_deref().unwrap_or_default(),
        instance_id: None,
        generation: asked.member_epoch,
    };
    let found = call.allow().and_then(|()| {
        call.node.groups.with(call.node, |registry, _, _| {
            registry.check_fetch(&asked.group_id, who).map_err(Failure::from)?;
            Ok(topics(registry, &asked, stable))
        })
    });
    let (error_code, _) = told(&found);
    let topics = found.unwrap_or_default();
    OffsetFetchResponseGroup { group_id: asked.group_id, topics, error_code }
}

fn topics<'a>(
    registry: &Registry,
    asked: &OffsetFetchRequestGroup<'a>,
    stable: bool,
) -> Vec<OffsetFetchResponseTopic<'a>> {
    let group = &*asked.group_id;
    let partition = |topic: &str, partition| place(registry, Place { group, topic, partition }, stable);
    let Some(topics) = &asked.topics else {
        let all = registry.offsets(group).map(|(name, partitions)| OffsetFetchResponseTopic {
            partitions: partitions.keys().map(|index| partition(name, *index)).collect(),
            name: name.to_owned().into(),
        });
        return all.collect();
    };
    let mut told = HashSet::new();
    let topics = topics.iter().filter(|topic| told.insert(&*topic.name));
    let topics = topics.map(|topic| {
        let indexes: BTreeSet<i32> = topic.partition_indexes.iter().copied().collect();
        let partitions = indexes.into_iter().map(|index| partition(&topic.name, index)).collect();
        OffsetFetchResponseTopic { name: topic.name.clone(), partitions }
    });
    topics.collect()
}

fn place(registry: &Registry, place: Place<'_>, stable: bool) -> OffsetFetchResponsePartition<'static> {
    let none = OffsetFetchResponsePartition {
        partition_index: place.partition,
        committed_offset: -1,
        metadata: Some("".into()),
        ..Default::default()
    };
    if stable && registry.is_pending(place) {
        return OffsetFetchResponsePartition { error_code: Code::UnstableOffsetCommit as i16, ..none };
    }
    match registry.offset(place) {
        Some(Committed { offset, leader_epoch, metadata, .. }) => OffsetFetchResponsePartition {
            committed_offset: *offset,
            committed_leader_epoch: *leader_epoch,
            metadata: Some(metadata.clone().into()),
            ..none
        },
        None => none,
    }
}
