//! OffsetCommit (key 8), versions 2 to 9, flexible from 8.

use super::super::Text;

message! {
    /// Keeps offsets for a group.
    pub struct OffsetCommitRequest<'a> {
        /// The group.
        group_id: Text<'a>;
        /// The member's generation, or its epoch in KIP-848's protocol; -1 outside a group.
        generation_id_or_member_epoch: i32 = -1;
        /// The member; empty outside a group.
        member_id: Text<'a>;
        /// The name that the user gave the member (KIP-345).
        group_instance_id: Option<Text<'a>>, in 7..;
        /// How long to keep them, in ms; -1 leaves it to the broker.
        retention_time_ms: i64 = -1, in ..=4;
        /// The topics.
        topics: Vec<OffsetCommitRequestTopic<'a>>;
    }

    /// The offsets of one topic.
    pub struct OffsetCommitRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<OffsetCommitRequestPartition<'a>>;
    }

    /// The offset of one partition.
    pub struct OffsetCommitRequestPartition<'a> {
        /// The partition.
        partition_index: i32;
        /// The offset of the next record to read.
        committed_offset: i64;
        /// The leader's epoch at the last record read; -1 if not known.
        committed_leader_epoch: i32 = -1, in 6..;
        /// What the member notes with it.
        committed_metadata: Option<Text<'a>>;
    }

    /// Whether they are kept.
    pub struct OffsetCommitResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 3..;
        /// The topics.
        topics: Vec<OffsetCommitResponseTopic<'a>>;
    }

    /// Whether one topic's offsets are kept.
    pub struct OffsetCommitResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<OffsetCommitResponsePartition>;
    }

    /// Whether one partition's offset is kept.
    pub struct OffsetCommitResponsePartition {
        /// The partition.
        partition_index: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }
}
