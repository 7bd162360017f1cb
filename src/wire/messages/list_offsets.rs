//! ListOffsets (key 2), versions 1 to 8, flexible from 6.
//!
//! Version 0 had another form, with several offsets a partition.

use super::super::Text;

message! {
    /// Asks for offsets by time.
    pub struct ListOffsetsRequest<'a> {
        /// Which replica reads; -1 for a client.
        replica_id: i32;
        /// 0 reads all records, 1 only those of committed transactions.
        isolation_level: i8, in 2..;
        /// The topics.
        topics: Vec<ListOffsetsRequestTopic<'a>>;
    }

    /// Partitions of one topic.
    pub struct ListOffsetsRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<ListOffsetsRequestPartition>;
    }

    /// A time in one partition.
    pub struct ListOffsetsRequestPartition {
        /// The partition.
        partition_index: i32;
        /// The leader's epoch as the client knows it, to be refused if it is not the current one;
        /// -1 if it does not know.
        current_leader_epoch: i32 = -1, in 4..;
        /// The earliest time of the record sought, in ms since 1970; -1 for the end, -2 for the
        /// beginning, -3 for the record with the latest time (from version 7 on, KIP-734).
        timestamp: i64;
    }

    /// The offsets asked for.
    pub struct ListOffsetsResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 2..;
        /// The topics.
        topics: Vec<ListOffsetsResponseTopic<'a>>;
    }

    /// The offsets in one topic.
    pub struct ListOffsetsResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The partitions.
        partitions: Vec<ListOffsetsResponsePartition>;
    }

    /// The offset in one partition.
    pub struct ListOffsetsResponsePartition {
        /// The partition.
        partition_index: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// The time of the record at the offset, in ms since 1970; -1 if not known.
        timestamp: i64 = -1;
        /// The offset; -1 if no record is that late.
        offset: i64 = -1;
        /// The leader's epoch; -1 if not known.
        leader_epoch: i32 = -1, in 4..;
    }
}
