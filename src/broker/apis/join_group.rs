//! JoinGroup (versions 0 to 9): waits until all members have joined. From version 4 on a new member is
//! given an id first, to come back with (KIP-394); static members keep their seat (KIP-345); a leader
//! that comes back may be told not to assign (KIP-814). The reason (KIP-800) is not kept.

use tokio::sync::oneshot;

use super::super::code::Code;
use super::super::connection::Close;
use super::super::groups::{self, classic};
use super::{Call, Reply};
use crate::wire::messages::{JoinGroupRequest, JoinGroupResponse};

pub(super) async fn answer(call: &mut Call<'_>) -> Result<Option<Reply>, Close> {
    let request: JoinGroupRequest<'_> = call.read()?;
    let mut response = match call.allow() {
        Ok(()) => join(call, &request).await,
        Err(failure) => JoinGroupResponse {
            error_code: failure.code,
            member_id: request.member_id.to_string().into(),
            ..Default::default()
        },
    };
    if call.version() < 7 {
        response.protocol_name.get_or_insert_default();
    }
    call.reply(&response).map(Some)
}

async fn join(call: &Call<'_>, request: &JoinGroupRequest<'_>) -> JoinGroupResponse<'static> {
    let client_id = call.header.client_id.as_deref().unwrap_or_default();
    let join = classic::Join {
        request,
        version: call.version(),
        client_id,
        client_host: &format!("/{}", call.peer.remote.ip()),
        fresh_id: &groups::fresh_member_id(request.group_instance_id.as_deref().unwrap_or(client_id)),
    };
    let (reply, replied) = oneshot::channel();
    call.node.groups.with(call.node, |registry, store, now| registry.join(store, &join, reply, now));
    // Without an answer it was pushed aside by another request of the same member.
    replied.await.unwrap_or_else(|_| classic::refused_join(&request.member_id, Code::CoordinatorNotAvailable))
}
