//! DescribeGroups (versions 0 to 6): groups of the classic protocol and their members. One that is not
//! there is `Dead`, from version 6 on an error. What is asked for twice is told once: an answer is never
//! much larger than its request and what is kept.

use std::collections::HashSet;

use super::super::code::Code;
use super::super::groups::{Kind, Registry};
use super::Call;
use crate::wire::messages::{DescribeGroupsGroup, DescribeGroupsRequest, DescribeGroupsResponse};

/// What anyone may do with a group, as a bit field of Kafka's `AclOperation`: Read, Delete, Describe,
/// DescribeConfigs, AlterConfigs.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: DescribeGroupsRequest<'a>,
) -> DescribeGroupsResponse<'a> {
    let allowed = call.allow();
    let version = call.version();
    let mut told = HashSet::new();
    let ids: Vec<_> = request.groups.into_iter().filter(|id| told.insert(id.clone())).collect();
    let mut groups: Vec<_> = call.node.groups.with(call.node, |registry, _, _| {
        let describe = |id: &str| match &allowed {
            Ok(()) => describe(registry, id, version),
            Err(failure) => DescribeGroupsGroup { error_code: failure.code, ..Default::default() },
        };
        ids.iter().map(|id| describe(id)).collect()
    });
    for (group, id) in groups.iter_mut().zip(ids) {
        group.group_id = id;
        if request.include_authorized_operations {
            group.authorized_operations = GROUP_OPERATIONS;
        }
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}

fn describe<'a>(registry: &Registry, id: &str, version: i16) -> DescribeGroupsGroup<'a> {
    let why = match registry.get(id) {
        Some(Kind::Classic(group)) => return group.describe(),
        Some(_) => format!("Group {id} is not a classic group."),
        None => format!("Group {id} not found."),
    };
    let dead = DescribeGroupsGroup { group_state: "Dead".into(), ..Default::default() };
    if version < 6 {
        return dead;
    }
    DescribeGroupsGroup { error_code: Code::GroupIdNotFound as i16, error_message: Some(why.into()), ..dead }
}
