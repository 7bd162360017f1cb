//! InitProducerId (versions 0 to 5): a new id with epoch 0 for an idempotent producer, whatever it had
//! before. Transactional ids belong to the transaction coordinator, and are refused without one.

use super::super::code::{Code, Failure, told};
use super::Call;
use crate::wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: InitProducerIdRequest<'a>) -> InitProducerIdResponse {
    let id = call.allow().and_then(|()| match request.transactional_id {
        None => Ok(call.node.new_producer_id()?),
        Some(_) => Err(Failure::from(Code::UnsupportedVersion)),
    });
    let (error_code, _) = told(&id);
    let producer_epoch = if id.is_ok() { 0 } else { -1 };
    InitProducerIdResponse { throttle_time_ms: 0, error_code, producer_id: id.unwrap_or(-1), producer_epoch }
}
