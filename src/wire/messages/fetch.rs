//! Fetch (key 1), versions 4 to 12, flexible from 12.
//!
//! From version 13 on topics are ids, which is of no use to a client that is given names.

use super::super::{Records, Text};

message! {
    /// Asks for record batches, waiting for them if need be.
    pub struct FetchRequest<'a> {
        /// Which replica reads; -1 for a client.
        replica_id: i32 = -1;
        /// How long to wait for `min_bytes`, in ms.
        max_wait_ms: i32;
        /// How many bytes of batches are worth an answer before `max_wait_ms`.
        min_bytes: i32;
        /// How many bytes of batches to answer with at most; a first batch larger than that is sent
        /// all the same.
        max_bytes: i32 = i32::MAX;
        /// 0 reads all records, 1 only those of committed transactions.
        isolation_level: i8;
        /// The session (KIP-227); 0 for none.
        session_id: i32, in 7..;
        /// How many requests there were in this session; 0 opens one, -1 is outside (KIP-227).
        session_epoch: i32 = -1, in 7..;
        /// What to read; within a session, only what changes.
        topics: Vec<FetchRequestTopic<'a>>;
        /// Partitions that leave the session.
        forgotten_topics_data: Vec<FetchForgottenTopic<'a>>, in 7..;
        /// Where the client stands (KIP-392).
        rack_id: Text<'a>, in 11..;
    }

    /// Partitions of one topic.
    pub struct FetchRequestTopic<'a> {
        /// The topic.
        topic: Text<'a>;
        /// The partitions.
        partitions: Vec<FetchRequestPartition>;
    }

    /// From where to read one partition.
    pub struct FetchRequestPartition {
        /// The partition.
        partition: i32;
        /// The leader's epoch as the client knows it, to be refused if it is not the current one;
        /// -1 if it does not know.
        current_leader_epoch: i32 = -1, in 9..;
        /// The offset to start from.
        fetch_offset: i64;
        /// The leader's epoch at the last record read; -1 if not known.
        last_fetched_epoch: i32 = -1, in 12..;
        /// The reader's first offset, from replicas only.
        log_start_offset: i64 = -1, in 5..;
        /// How many bytes of its batches to answer with at most.
        partition_max_bytes: i32;
    }

    /// Partitions of one topic that leave the session.
    pub struct FetchForgottenTopic<'a> {
        /// The topic.
        topic: Text<'a>;
        /// The partitions.
        partitions: Vec<i32>;
    }

    /// Record batches.
    pub struct FetchResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16, in 7..;
        /// The session (KIP-227); 0 for none.
        session_id: i32, in 7..;
        /// The topics.
        responses: Vec<FetchResponseTopic<'a>>;
    }

    /// The batches of one topic.
    pub struct FetchResponseTopic<'a> {
        /// The topic.
        topic: Text<'a>;
        /// The partitions.
        partitions: Vec<FetchResponsePartition<'a>>;
    }

    /// The batches of one partition.
    pub struct FetchResponsePartition<'a> {
        /// The partition.
        partition_index: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// The offset after the last record that all replicas in sync have.
        high_watermark: i64;
        /// The offset before which all transactions are decided; -1 if not known.
        last_stable_offset: i64 = -1;
        /// The first offset there is; -1 if not known.
        log_start_offset: i64 = -1, in 5..;
        /// Transactions among these batches that were aborted, for readers of committed records.
        aborted_transactions: Option<Vec<FetchAbortedTransaction>>;
        /// A broker nearer to the client (KIP-392); -1 if there is none.
        preferred_read_replica: i32 = -1, in 11..;
        /// The batches. The last may be cut off. Empty by default, as null is not what clients expect.
        records: Option<Records<'a>> = Some(Records::default());
        /// Where the reader's log leaves the leader's, if it does.
        diverging_epoch: FetchDivergingEpoch, in 12.., tag 0;
        /// Who leads it now, if the client's epoch is out of date.
        current_leader: FetchLeader, in 12.., tag 1;
    }

    /// A transaction whose records are not to be read.
    pub struct FetchAbortedTransaction {
        /// The producer.
        producer_id: i64;
        /// The offset of its first record here.
        first_offset: i64;
    }

    /// The last epoch and offset that reader and leader have in common.
    pub struct FetchDivergingEpoch {
        /// The epoch; -1 if there is none.
        epoch: i32 = -1;
        /// The offset after its last record; -1 if there is none.
        end_offset: i64 = -1;
    }

    /// Who leads a partition now.
    pub struct FetchLeader {
        /// The broker; -1 if not known.
        leader_id: i32 = -1;
        /// The leader's epoch; -1 if not known.
        leader_epoch: i32 = -1;
    }
}
