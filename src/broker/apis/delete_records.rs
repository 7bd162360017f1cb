//! DeleteRecords (versions 0 to 2): moves the first offset forward; -1 is to the end.

use super::super::code::{Failure, told};
use super::super::node::blocking;
use super::super::storage::Topic;
use super::Call;
use crate::wire::messages::{
    DeleteRecordsRequest, DeleteRecordsRequestPartition, DeleteRecordsRequestTopic, DeleteRecordsResponse,
    DeleteRecordsResponsePartition, DeleteRecordsResponseTopic,
};

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: DeleteRecordsRequest<'a>,
) -> DeleteRecordsResponse<'a> {
    let topics = request.topics.into_iter().map(|topic| of_topic(call, topic)).collect();
    DeleteRecordsResponse { topics, ..Default::default() }
}

fn of_topic<'a>(call: &Call<'a>, asked: DeleteRecordsRequestTopic<'a>) -> DeleteRecordsResponseTopic<'a> {
    let topic = call.allow().and_then(|()| Ok(call.node.storage.topic(&asked.name)?));
    let delete = |asked: &DeleteRecordsRequestPartition| {
        let deleted = topic.as_deref().map_err(Clone::clone).and_then(|topic| delete(call, topic, asked));
        let (error_code, _) = told(&deleted);
        let low_watermark = deleted.unwrap_or(-1);
        DeleteRecordsResponsePartition { partition_index: asked.partition_index, low_watermark, error_code }
    };
    let partitions = asked.partitions.iter().map(delete).collect();
    DeleteRecordsResponseTopic { name: asked.name, partitions }
}

fn delete(call: &Call<'_>, topic: &Topic, asked: &DeleteRecordsRequestPartition) -> Result<i64, Failure> {
    let log = topic.partition(asked.partition_index)?;
    let start = blocking(|| log.lock().delete_records(asked.offset))?;
    // Who waits below it must be told that it is out of range.
    call.node.waiters.wake((topic.id(), asked.partition_index));
    Ok(start)
}
