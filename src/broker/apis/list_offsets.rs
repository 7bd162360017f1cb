//! ListOffsets (versions 1 to 8): the end (-1; for readers of committed records the last stable
//! offset), the beginning (-2, and -4 of KIP-405), the record with the latest time (-3, KIP-734), or the
//! first record with a given time or a later one.

use super::super::code::{Code, Failure, told};
use super::super::node::{LEADER_EPOCH, blocking};
use super::super::storage::{Log, TimedOffset, Topic};
use super::Call;
use crate::wire::messages::{
    ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic, ListOffsetsResponse,
    ListOffsetsResponsePartition, ListOffsetsResponseTopic,
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;

/// No record, or no time known.
const NONE: TimedOffset = TimedOffset { offset: -1, timestamp: -1 };

pub(super) fn handle<'a>(call: &mut Call<'a>, request: ListOffsetsRequest<'a>) -> ListOffsetsResponse<'a> {
    let committed = request.isolation_level == 1;
    let topics = request.topics.into_iter().map(|topic| of_topic(call, topic, committed)).collect();
    ListOffsetsResponse { topics, ..Default::default() }
}

fn of_topic<'a>(
    call: &Call<'a>,
    asked: ListOffsetsRequestTopic<'a>,
    committed: bool,
) -> ListOffsetsResponseTopic<'a> {
    let topic = call.allow().and_then(|()| Ok(call.node.storage.topic(&asked.name)?));
    let find = |asked: &ListOffsetsRequestPartition| {
        let found = topic.as_deref().map_err(Clone::clone).and_then(|topic| find(topic, asked, committed));
        let (error_code, _) = told(&found);
        let leader_epoch = if found.is_ok() { LEADER_EPOCH } else { -1 };
        let TimedOffset { offset, timestamp } = found.unwrap_or(NONE);
        let partition_index = asked.partition_index;
        ListOffsetsResponsePartition { partition_index, error_code, timestamp, offset, leader_epoch }
    };
    let partitions = asked.partitions.iter().map(find).collect();
    ListOffsetsResponseTopic { name: asked.name, partitions }
}

fn find(topic: &Topic, asked: &ListOffsetsRequestPartition, committed: bool) -> Result<TimedOffset, Failure> {
    if asked.current_leader_epoch > LEADER_EPOCH {
        return Err(Code::UnknownLeaderEpoch.into());
    }
    let log = topic.partition(asked.partition_index)?.lock();
    let end = if committed { log.stable_offset() } else { log.next_offset() };
    let untimed = |offset| Ok(TimedOffset { offset, timestamp: -1 });
    match asked.timestamp {
        LATEST => untimed(end),
        EARLIEST | EARLIEST_LOCAL => untimed(log.start_offset()),
        time if time >= MAX_TIMESTAMP => {
            let found = blocking(|| by_time(&log, time))?;
            // What is not readable yet is not found.
            Ok(found.filter(|found| found.offset < end).unwrap_or(NONE))
        }
        _ => Err(Code::UnsupportedVersion.into()),
    }
}

fn by_time(log: &Log, time: i64) -> Result<Option<TimedOffset>, Failure> {
    let found = match time {
        MAX_TIMESTAMP => log.offset_of_max_time(),
        _ => log.offset_for_time(time),
    };
    Ok(found?)
}
