//! FindCoordinator (versions 0 to 6): this node, for groups (0) and transactional ids (1). From version
//! 4 on several at once.

use super::super::code::{Code, Failure, told};
use super::super::node::NODE_ID;
use super::Call;
use crate::wire::Text;
use crate::wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse, FindCoordinatorResult};

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: FindCoordinatorRequest<'a>,
) -> FindCoordinatorResponse<'a> {
    let found = call.allow().and_then(|()| match request.key_type {
        0 | 1 => Ok(()),
        other => {
            Err(Failure::new(Code::InvalidRequest, format!("coordinators of type {other} are not here")))
        }
    });
    if call.version() >= 4 {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| coordinator(call, key, &found)).collect();
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let one = coordinator(call, request.key, &found);
    FindCoordinatorResponse {
        error_code: one.error_code,
        error_message: one.error_message,
        node_id: one.node_id,
        host: one.host,
        port: one.port,
        ..Default::default()
    }
}

fn coordinator<'a>(call: &Call<'a>, key: Text<'a>, found: &Result<(), Failure>) -> FindCoordinatorResult<'a> {
    let (error_code, why) = told(found);
    let error_message = why.map(|why| why.to_owned().into());
    if error_code != 0 {
        return FindCoordinatorResult {
            key,
            node_id: -1,
            port: -1,
            error_code,
            error_message,
            ..Default::default()
        };
    }
    let address = call.peer.advertised;
    let host = address.ip().to_string().into();
    FindCoordinatorResult {
        key,
        node_id: NODE_ID,
        host,
        port: address.port().into(),
        error_code,
        error_message,
    }
}
