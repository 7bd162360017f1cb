//! OffsetDelete (key 47), version 0, flexible in none.

use super::super::Text;

message! {
    /// Deletes offsets that a group keeps.
    pub struct OffsetDeleteRequest<'a> {
        /// The group.
        group_id: Text<'a>;
        /// The topics.
        topics: Vec<OffsetDeleteRequestTopic<'a>>;
    }

    /// Partitions of one topic.
    pub struct OffsetDeleteRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<OffsetDeleteRequestPartition>;
    }

    /// One partition.
    pub struct OffsetDeleteRequestPartition {
        /// The partition.
        partition_index: i32;
    }

    /// Whether they are deleted.
    pub struct OffsetDeleteResponse<'a> {
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// The topics.
        topics: Vec<OffsetDeleteResponseTopic<'a>>;
    }

    /// Whether one topic's offsets are deleted.
    pub struct OffsetDeleteResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<OffsetDeleteResponsePartition>;
    }

    /// Whether one partition's offset is deleted.
    pub struct OffsetDeleteResponsePartition {
        /// The partition.
        partition_index: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }
}
