//! OffsetFetch (key 9), versions 1 to 9, flexible from 6.

use super::super::Text;

message! {
    /// Asks for the offsets kept for groups: up to version 7 one, in the fields of the message itself.
    pub struct OffsetFetchRequest<'a> {
        /// The group.
        group_id: Text<'a>, in ..=7;
        /// What is wanted; null for all that is kept.
        topics: Option<Vec<OffsetFetchRequestTopic<'a>>>, in ..=7, null 2..=7;
        /// The groups and what is wanted of each.
        groups: Vec<OffsetFetchRequestGroup<'a>>, in 8..;
        /// Whether to wait for offsets in transactions that are not decided.
        require_stable: bool, in 7..;
    }

    /// Partitions of one topic.
    pub struct OffsetFetchRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partition_indexes: Vec<i32>;
    }

    /// The offsets wanted of one group.
    pub struct OffsetFetchRequestGroup<'a> {
        /// The group.
        group_id: Text<'a>;
        /// The member, in KIP-848's protocol.
        member_id: Option<Text<'a>>, in 9..;
        /// Its epoch in KIP-848's protocol; -1 outside it.
        member_epoch: i32 = -1, in 9..;
        /// What is wanted; null for all that is kept.
        topics: Option<Vec<OffsetFetchRequestTopic<'a>>>;
    }

    /// The offsets asked for: up to version 7 of one group, in the fields of the message itself.
    pub struct OffsetFetchResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 3..;
        /// The topics.
        topics: Vec<OffsetFetchResponseTopic<'a>>, in ..=7;
        /// What went wrong; 0 if nothing.
        error_code: i16, in 2..=7;
        /// The offsets of each group.
        groups: Vec<OffsetFetchResponseGroup<'a>>, in 8..;
    }

    /// The offsets of one topic.
    pub struct OffsetFetchResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartition<'a>>;
    }

    /// The offset of one partition.
    pub struct OffsetFetchResponsePartition<'a> {
        /// The partition.
        partition_index: i32;
        /// The offset of the next record to read; -1 if none is kept.
        committed_offset: i64;
        /// The leader's epoch at the last record read; -1 if not known.
        committed_leader_epoch: i32 = -1, in 5..;
        /// What the member noted with it.
        metadata: Option<Text<'a>>;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }

    /// The offsets of one group.
    pub struct OffsetFetchResponseGroup<'a> {
        /// The group.
        group_id: Text<'a>;
        /// The topics.
        topics: Vec<OffsetFetchResponseTopic<'a>>;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }
}
