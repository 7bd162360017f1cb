//! CreatePartitions (versions 0 to 3): only more of them, and only on this node.

use super::super::code::{Code, Failure, told};
use super::super::node::{NODE_ID, blocking};
use super::super::storage::{self, MAX_PARTITIONS};
use super::Call;
use crate::wire::messages::{
    CreatePartitionsRequest, CreatePartitionsRequestTopic, CreatePartitionsResponse,
    CreatePartitionsResponseTopic,
};

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: CreatePartitionsRequest<'a>,
) -> CreatePartitionsResponse<'a> {
    let add = |asked: CreatePartitionsRequestTopic<'a>| {
        let added = call.allow().and_then(|()| add(call, &asked, request.validate_only));
        let (error_code, why) = told(&added);
        let error_message = why.map(|why| why.to_owned().into());
        CreatePartitionsResponseTopic { name: asked.name, error_code, error_message }
    };
    let results = request.topics.into_iter().map(add).collect();
    CreatePartitionsResponse { results, ..Default::default() }
}

fn add(
    call: &Call<'_>,
    asked: &CreatePartitionsRequestTopic<'_>,
    validate_only: bool,
) -> Result<(), Failure> {
    let storage = &call.node.storage;
    let topic = storage.topic(&asked.name)?;
    let there = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
    if let Some(assignments) = &asked.assignments {
        let is_all =
            i32::try_from(assignments.len()).is_ok_and(|new| new == asked.count.saturating_sub(there));
        if !is_all || assignments.iter().any(|of| of.broker_ids != [NODE_ID]) {
            let why = format!("each new partition needs one replica, on broker {NODE_ID}");
            return Err(Failure::new(Code::InvalidReplicaAssignment, why));
        }
    }
    if validate_only {
        let min = there.saturating_add(1);
        if !(min..=MAX_PARTITIONS).contains(&asked.count) {
            let (topic, count) = (topic.name().to_owned(), asked.count);
            return Err(storage::Error::InvalidPartitions { topic, count, min, max: MAX_PARTITIONS }.into());
        }
        return Ok(());
    }
    blocking(|| storage.add_partitions(&asked.name, asked.count))?;
    Ok(())
}
