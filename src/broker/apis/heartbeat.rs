//! Heartbeat (versions 0 to 4): a member's sign of life; the answer says whether it is to join again.

use super::super::code::number;
use super::Call;
use crate::wire::messages::{HeartbeatRequest, HeartbeatResponse};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: HeartbeatRequest<'a>) -> HeartbeatResponse {
    let error_code = match call.allow() {
        Ok(()) => {
            let groups = &call.node.groups;
            number(groups.with(call.node, |registry, _, now| registry.heartbeat(&request, now)))
        }
        Err(failure) => failure.code,
    };
    HeartbeatResponse { error_code, ..Default::default() }
}
