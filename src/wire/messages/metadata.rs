//! Metadata (key 3), versions 0 to 12, flexible from 9.

use super::super::{Text, Uuid};

message! {
    /// Asks what topics there are and who leads their partitions.
    pub struct MetadataRequest<'a> {
        /// The topics; null for all. In version 0 an empty list stands for all.
        topics: Option<Vec<MetadataRequestTopic<'a>>>, null 1..;
        /// Whether the broker may create topics that do not exist.
        allow_auto_topic_creation: bool = true, in 4..;
        /// Whether to say what the client may do with the cluster.
        include_cluster_authorized_operations: bool, in 8..=10;
        /// Whether to say what the client may do with the topics.
        include_topic_authorized_operations: bool, in 8..;
    }

    /// A topic asked for, by name or by id.
    pub struct MetadataRequestTopic<'a> {
        /// The topic's id; all zero if it has none or is named.
        topic_id: Uuid, in 10..;
        /// The topic; null if it is named by its id.
        name: Option<Text<'a>>, null 10..;
    }

    /// The brokers, and the topics asked for.
    pub struct MetadataResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 3..;
        /// The brokers alive.
        brokers: Vec<MetadataBroker<'a>>;
        /// The cluster's id.
        cluster_id: Option<Text<'a>>, in 2..;
        /// The broker to send administration to; -1 if there is none.
        controller_id: i32 = -1, in 1..;
        /// The topics.
        topics: Vec<MetadataTopic<'a>>;
        /// What the client may do with the cluster, as a bit field; the lowest number if not asked for.
        cluster_authorized_operations: i32 = i32::MIN, in 8..=10;
    }

    /// One broker.
    pub struct MetadataBroker<'a> {
        /// Its id.
        node_id: i32;
        /// Its host name or address.
        host: Text<'a>;
        /// Its port.
        port: i32;
        /// Where it stands.
        rack: Option<Text<'a>>, in 1..;
    }

    /// One topic.
    pub struct MetadataTopic<'a> {
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// The topic; null if it was asked for by an id that is not known.
        name: Option<Text<'a>>, null 12..;
        /// The topic's id; all zero if it has none or is named.
        topic_id: Uuid, in 10..;
        /// Whether it is Kafka's own.
        is_internal: bool, in 1..;
        /// The partitions.
        partitions: Vec<MetadataPartition>;
        /// What the client may do with it, as a bit field; the lowest number if not asked for.
        topic_authorized_operations: i32 = i32::MIN, in 8..;
    }

    /// One partition.
    pub struct MetadataPartition {
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// The partition.
        partition_index: i32;
        /// The broker that leads it; -1 if there is none.
        leader_id: i32;
        /// The leader's epoch; -1 if not known.
        leader_epoch: i32 = -1, in 7..;
        /// All replicas.
        replica_nodes: Vec<i32>;
        /// The replicas in sync.
        isr_nodes: Vec<i32>;
        /// The replicas that cannot be reached.
        offline_replicas: Vec<i32>, in 5..;
    }
}
