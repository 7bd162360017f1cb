//! AddOffsetsToTxn (versions 0 to 4): a group's offsets become part of the producer's transaction. Before
//! version 2 PRODUCER_FENCED is not known (KIP-588); version 4 is as version 3.

use super::super::code::told;
use super::super::node::now;
use super::super::transactions::{Part, Producer};
use super::Call;
use crate::wire::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: AddOffsetsToTxnRequest<'a>,
) -> AddOffsetsToTxnResponse {
    let node = call.node;
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let parts = [Part::Offsets(&request.group_id)];
    let added = call
        .allow()
        .and_then(|()| node.transactions.add(node, &request.transactional_id, producer, &parts, now()));
    let added = call.fenced_since(2, added);
    AddOffsetsToTxnResponse { throttle_time_ms: 0, error_code: told(&added).0 }
}
