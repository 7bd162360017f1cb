//! TxnOffsetCommit (key 28), versions 0 to 5, flexible from 3.

use super::super::Text;

message! {
    /// Keeps offsets for a group once the transaction is committed.
    pub struct TxnOffsetCommitRequest<'a> {
        /// The transactional id.
        transactional_id: Text<'a>;
        /// The group.
        group_id: Text<'a>;
        /// The producer.
        producer_id: i64;
        /// The producer's epoch.
        producer_epoch: i16;
        /// The generation it belongs to; -1 outside a group.
        generation_id: i32 = -1, in 3..;
        /// The member; empty outside a group.
        member_id: Text<'a>, in 3..;
        /// The name that the user gave the member (KIP-345).
        group_instance_id: Option<Text<'a>>, in 3..;
        /// The topics.
        topics: Vec<TxnOffsetCommitRequestTopic<'a>>;
    }

    /// The offsets of one topic.
    pub struct TxnOffsetCommitRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<TxnOffsetCommitRequestPartition<'a>>;
    }

    /// The offset of one partition.
    pub struct TxnOffsetCommitRequestPartition<'a> {
        /// The partition.
        partition_index: i32;
        /// The offset of the next record to read.
        committed_offset: i64;
        /// The leader's epoch at the last record read; -1 if not known.
        committed_leader_epoch: i32 = -1, in 2..;
        /// What the member notes with it.
        committed_metadata: Option<Text<'a>>;
    }

    /// Whether they will be kept.
    pub struct TxnOffsetCommitResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// The topics.
        topics: Vec<TxnOffsetCommitResponseTopic<'a>>;
    }

    /// Whether one topic's offsets will be kept.
    pub struct TxnOffsetCommitResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<TxnOffsetCommitResponsePartition>;
    }

    /// Whether one partition's offset will be kept.
    pub struct TxnOffsetCommitResponsePartition {
        /// The partition.
        partition_index: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }
}
