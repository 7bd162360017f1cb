//! DescribeCluster (key 60), versions 0 to 2, all flexible.

use super::super::Text;

message! {
    /// Asks which brokers there are.
    pub struct DescribeClusterRequest {
        /// Whether to say what the client may do with the cluster.
        include_cluster_authorized_operations: bool;
        /// Whose addresses: 1 brokers, 2 controllers.
        endpoint_type: i8 = 1, in 1..;
        /// Whether to name brokers that are not in service.
        include_fenced_brokers: bool, in 2..;
    }

    /// The brokers there are.
    pub struct DescribeClusterResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>;
        /// Whose addresses: 1 brokers, 2 controllers.
        endpoint_type: i8 = 1, in 1..;
        /// The cluster's id.
        cluster_id: Text<'a>;
        /// The broker to send administration to; -1 if there is none.
        controller_id: i32 = -1;
        /// The brokers alive.
        brokers: Vec<DescribeClusterBroker<'a>>;
        /// What the client may do with the cluster, as a bit field; the lowest number if not asked for.
        cluster_authorized_operations: i32 = i32::MIN;
    }

    /// One broker.
    pub struct DescribeClusterBroker<'a> {
        /// Its id.
        broker_id: i32;
        /// Its host name or address.
        host: Text<'a>;
        /// Its port.
        port: i32;
        /// Where it stands.
        rack: Option<Text<'a>>;
        /// Whether it is not in service.
        is_fenced: bool, in 2..;
    }
}
