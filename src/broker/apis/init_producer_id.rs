//! InitProducerId (versions 0 to 5): a new id with epoch 0 for an idempotent producer, whatever it had
//! before; for a transactional one the id's producer with its next epoch, once the transaction that
//! another left open is aborted. From version 3 on a producer may say who it is, to go on after an error
//! (KIP-360). Before version 4 PRODUCER_FENCED is not known (KIP-588).

use super::super::code::{Code, Failure, told};
use super::super::node::now;
use super::super::transactions::Producer;
use super::Call;
use crate::wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: InitProducerIdRequest<'a>) -> InitProducerIdResponse {
    let producer = call.allow().and_then(|()| init(call, &request));
    let producer = call.fenced_since(4, producer);
    let (error_code, _) = told(&producer);
    let Producer { id: producer_id, epoch: producer_epoch } = producer.unwrap_or(Producer::NONE);
    InitProducerIdResponse { throttle_time_ms: 0, error_code, producer_id, producer_epoch }
}

fn init(call: &Call<'_>, request: &InitProducerIdRequest<'_>) -> Result<Producer, Failure> {
    let claim = match (request.producer_id, request.producer_epoch) {
        (-1, -1) => None,
        (-1, _) | (_, -1) => {
            return Err(Failure::new(Code::InvalidRequest, "producer id and epoch come together"));
        }
        (id, epoch) => Some(Producer { id, epoch }),
    };
    let node = call.node;
    match &request.transactional_id {
        None => Ok(Producer { id: node.new_producer_id()?, epoch: 0 }),
        Some(id) => node.transactions.init(node, id, request.transaction_timeout_ms, claim, now()),
    }
}
