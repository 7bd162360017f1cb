//! DeleteRecords (key 21), versions 0 to 2, flexible from 2.

use super::super::Text;

message! {
    /// Deletes the oldest records of partitions.
    pub struct DeleteRecordsRequest<'a> {
        /// The topics.
        topics: Vec<DeleteRecordsRequestTopic<'a>>;
        /// How long to wait for it, in ms.
        timeout_ms: i32;
    }

    /// Partitions of one topic.
    pub struct DeleteRecordsRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<DeleteRecordsRequestPartition>;
    }

    /// Up to where to delete in one partition.
    pub struct DeleteRecordsRequestPartition {
        /// The partition.
        partition_index: i32;
        /// The first offset to keep; -1 for none, up to the high watermark.
        offset: i64;
    }

    /// What became of the partitions.
    pub struct DeleteRecordsResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// The topics.
        topics: Vec<DeleteRecordsResponseTopic<'a>>;
    }

    /// What became of one topic's partitions.
    pub struct DeleteRecordsResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<DeleteRecordsResponsePartition>;
    }

    /// What became of one partition.
    pub struct DeleteRecordsResponsePartition {
        /// The partition.
        partition_index: i32;
        /// The first offset that is left; -1 if it failed.
        low_watermark: i64;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }
}
