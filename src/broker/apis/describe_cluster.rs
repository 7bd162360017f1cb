//! DescribeCluster (versions 0 to 2): this node, which is its own controller.

use super::super::code::{Code, Failure, told};
use super::super::node::NODE_ID;
use super::Call;
use super::metadata::CLUSTER_OPERATIONS;
use crate::wire::Text;
use crate::wire::messages::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};

/// Asks for brokers, not controllers.
const BROKERS: i8 = 1;

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse<'a> {
    let endpoint_type = request.endpoint_type;
    let asked = call.allow().and_then(|()| match endpoint_type {
        BROKERS => Ok(()),
        _ => Err(Failure::new(Code::MismatchedEndpointType, "this is a broker")),
    });
    let (error_code, why) = told(&asked);
    let error_message = why.map(|why| why.to_owned().into());
    let operations =
        if request.include_cluster_authorized_operations { CLUSTER_OPERATIONS } else { i32::MIN };
    let address = call.peer.advertised;
    let this = DescribeClusterBroker {
        broker_id: NODE_ID,
        host: address.ip().to_string().into(),
        port: address.port().into(),
        rack: None,
        is_fenced: false,
    };
    DescribeClusterResponse {
        throttle_time_ms: 0,
        error_code,
        error_message,
        endpoint_type,
        cluster_id: Text::Borrowed(&call.node.cluster_id),
        controller_id: NODE_ID,
        brokers: if asked.is_ok() { vec![this] } else { Vec::new() },
        cluster_authorized_operations: operations,
    }
}
