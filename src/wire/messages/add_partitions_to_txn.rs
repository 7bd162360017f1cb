//! AddPartitionsToTxn (key 24), versions 0 to 3, flexible from 3.
//!
//! Versions from 4 on are spoken between brokers.

use super::super::Text;

message! {
    /// Makes partitions part of a transaction.
    pub struct AddPartitionsToTxnRequest<'a> {
        /// The transactional id.
        transactional_id: Text<'a>;
        /// The producer.
        producer_id: i64;
        /// The producer's epoch.
        producer_epoch: i16;
        /// The topics.
        topics: Vec<AddPartitionsToTxnRequestTopic<'a>>;
    }

    /// Partitions of one topic.
    pub struct AddPartitionsToTxnRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<i32>;
    }

    /// Which are part of it now.
    pub struct AddPartitionsToTxnResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// The topics.
        results_by_topic: Vec<AddPartitionsToTxnResponseTopic<'a>>;
    }

    /// What became of one topic's partitions.
    pub struct AddPartitionsToTxnResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// Its partitions.
        results_by_partition: Vec<AddPartitionsToTxnResponsePartition>;
    }

    /// What became of one partition.
    pub struct AddPartitionsToTxnResponsePartition {
        /// The partition.
        partition_index: i32;
        /// What went wrong; 0 if nothing.
        partition_error_code: i16;
    }
}
