//! EndTxn (versions 0 to 5): commits or aborts, and is answered when the markers are in every partition.
//! Asked once more it answers the same. From version 5 on the epoch goes up with it, and the answer says
//! what the producer is from then on (KIP-890): only clients that find the feature `transaction.version`,
//! which is not announced, ask so. Before version 2 PRODUCER_FENCED is not known (KIP-588).

use super::super::code::told;
use super::super::groups::Decision;
use super::super::node::now;
use super::super::transactions::{Producer, Protocol};
use super::Call;
use crate::wire::messages::{EndTxnRequest, EndTxnResponse};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: EndTxnRequest<'a>) -> EndTxnResponse {
    let node = call.node;
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let decision = if request.committed { Decision::Commit } else { Decision::Abort };
    let protocol = if call.version() < 5 { Protocol::V1 } else { Protocol::V2 };
    let id = &request.transactional_id;
    let ended =
        call.allow().and_then(|()| node.transactions.end(node, id, producer, decision, protocol, now()));
    let ended = call.fenced_since(2, ended);
    let (error_code, _) = told(&ended);
    let Producer { id: producer_id, epoch: producer_epoch } = match protocol {
        Protocol::V1 => Producer::NONE,
        Protocol::V2 => ended.unwrap_or(Producer::NONE),
    };
    EndTxnResponse { throttle_time_ms: 0, error_code, producer_id, producer_epoch }
}
