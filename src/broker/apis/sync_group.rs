//! SyncGroup (versions 0 to 5): waits for the leader's assignment. From version 5 on the member has to
//! say what protocol it takes the group for (KIP-559).

use tokio::sync::oneshot;

use super::super::code::Code;
use super::super::connection::Close;
use super::super::groups::classic;
use super::{Call, Reply};
use crate::wire::messages::{SyncGroupRequest, SyncGroupResponse};

pub(super) async fn answer(call: &mut Call<'_>) -> Result<Option<Reply>, Close> {
    let request: SyncGroupRequest<'_> = call.read()?;
    let says_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    let response = match call.allow() {
        Ok(()) if call.version() >= 5 && !says_protocol => {
            classic::refused_sync(Code::InconsistentGroupProtocol)
        }
        Ok(()) => sync(call, &request).await,
        Err(failure) => SyncGroupResponse { error_code: failure.code, ..Default::default() },
    };
    call.reply(&response).map(Some)
}

async fn sync(call: &Call<'_>, request: &SyncGroupRequest<'_>) -> SyncGroupResponse<'static> {
    let (reply, replied) = oneshot::channel();
    call.node.groups.with(call.node, |registry, store, now| registry.sync(store, request, reply, now));
    // Without an answer it was pushed aside by another request of the same member.
    replied.await.unwrap_or_else(|_| classic::refused_sync(Code::CoordinatorNotAvailable))
}
