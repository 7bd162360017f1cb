//! OffsetDelete (version 0): of partitions of topics that no member reads.

use super::super::code::{Failure, number, told};
use super::Call;
use crate::wire::messages::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: OffsetDeleteRequest<'a>) -> OffsetDeleteResponse<'a> {
    let places = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (&*topic.name, partition.partition_index)));
    let places: Vec<(&str, i32)> = places.collect();
    let deleted = call.allow().and_then(|()| {
        let deleted = call
            .node
            .groups
            .with(call.node, |registry, store, _| registry.delete_offsets(store, &request.group_id, &places));
        deleted.map_err(Failure::from)
    });
    let (error_code, _) = told(&deleted);
    let Ok(outcomes) = deleted else { return OffsetDeleteResponse { error_code, ..Default::default() } };
    let mut codes = outcomes.into_iter().map(number);
    let topics = request.topics.into_iter().map(|topic| outcome(topic, &mut codes)).collect();
    OffsetDeleteResponse { topics, ..Default::default() }
}

fn outcome<'a>(
    topic: OffsetDeleteRequestTopic<'a>,
    codes: &mut impl Iterator<Item = i16>,
) -> OffsetDeleteResponseTopic<'a> {
    let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
    let told = |(partition_index, error_code)| OffsetDeleteResponsePartition { partition_index, error_code };
    OffsetDeleteResponseTopic { partitions: indexes.zip(codes).map(told).collect(), name: topic.name }
}
