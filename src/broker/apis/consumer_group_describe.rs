//! ConsumerGroupDescribe (versions 0 and 1): groups of KIP-848's protocol, their members and what those
//! read and are to read. Any other group is not found: a client asks DescribeGroups for it then. What is
//! asked for twice is told once: an answer is never much larger than its request and what is kept.

use std::collections::HashSet;

use super::super::code::{Code, Failure, told};
use super::super::groups::consumer::Topics;
use super::super::groups::{Kind, Registry};
use super::Call;
use super::consumer_group_heartbeat::with_topics;
use super::describe_groups::GROUP_OPERATIONS;
use crate::wire::messages::{
    ConsumerGroupDescribeGroup, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
};

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: ConsumerGroupDescribeRequest<'a>,
) -> ConsumerGroupDescribeResponse<'a> {
    let mut seen = HashSet::new();
    let ids: Vec<_> = request.group_ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
    let (node, allowed) = (call.node, call.allow());
    let found: Vec<_> = node.groups.with(node, |registry, _, _| {
        with_topics(node, |topics| {
            let describe = |id| allowed.clone().and_then(|()| describe(registry, id, topics));
            ids.iter().map(|id| describe(id)).collect()
        })
    });
    let told = |(group_id, found)| {
        let (error_code, why) = told(&found);
        let error_message = why.map(|why| why.to_owned().into());
        let group = found.unwrap_or_default();
        let operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
        ConsumerGroupDescribeGroup {
            group_id,
            error_code,
            error_message,
            authorized_operations: operations,
            ..group
        }
    };
    let groups = ids.into_iter().zip(found).map(told).collect();
    ConsumerGroupDescribeResponse { groups, ..Default::default() }
}

fn describe(
    registry: &Registry,
    id: &str,
    topics: &Topics<'_>,
) -> Result<ConsumerGroupDescribeGroup<'static>, Failure> {
    let why = match registry.get(id) {
        Some(Kind::Consumer(group)) => return Ok(group.describe(topics)),
        Some(Kind::Classic(_)) => format!("Group {id} is not a consumer group."),
        None => format!("Group {id} not found."),
    };
    Err(Failure::new(Code::GroupIdNotFound, why))
}
