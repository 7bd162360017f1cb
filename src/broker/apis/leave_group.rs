//! LeaveGroup (versions 0 to 5): one member up to version 2, then several, static ones also by their
//! name alone. The reason (KIP-800) is not kept.

use super::super::code::{Failure, told};
use super::Call;
use crate::wire::messages::{LeaveGroupRequest, LeaveGroupRequestMember, LeaveGroupResponse};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: LeaveGroupRequest<'a>) -> LeaveGroupResponse<'a> {
    let is_single = call.version() < 3;
    let members = if is_single {
        vec![LeaveGroupRequestMember { member_id: request.member_id, ..Default::default() }]
    } else {
        request.members
    };
    let groups = &call.node.groups;
    let left = call.allow().and_then(|()| {
        let left = groups
            .with(call.node, |registry, store, now| registry.leave(store, &request.group_id, members, now));
        left.map_err(Failure::from)
    });
    let (error_code, _) = told(&left);
    let members = left.unwrap_or_default();
    let of_single = members.first().filter(|_| is_single).map(|member| member.error_code);
    LeaveGroupResponse { error_code: of_single.unwrap_or(error_code), members, ..Default::default() }
}
