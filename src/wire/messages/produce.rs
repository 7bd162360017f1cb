//! Produce (key 0), versions 3 to 11, flexible from 9.
//!
//! The broker announces versions 0 to 2 as well ([`super::ApiVersionsResponse::served`] says why). With
//! `acks` 0 there is no response. The topics of version 13 are ids.

use super::super::{Records, Text};

message! {
    /// Writes record batches.
    pub struct ProduceRequest<'a> {
        /// The transactional id; null outside a transaction.
        transactional_id: Option<Text<'a>>;
        /// How many replicas are to have it before the answer: 0 (no answer at all), 1, or -1 for
        /// all in sync.
        acks: i16;
        /// How long to wait for the replicas, in ms.
        timeout_ms: i32;
        /// What to write, by topic.
        topic_data: Vec<ProduceRequestTopic<'a>>;
    }

    /// What to write to one topic.
    pub struct ProduceRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// Its partitions.
        partition_data: Vec<ProduceRequestPartition<'a>>;
    }

    /// What to write to one partition.
    pub struct ProduceRequestPartition<'a> {
        /// The partition.
        index: i32;
        /// The batches: one, in the versions served.
        records: Option<Records<'a>>;
    }

    /// What became of the batches.
    pub struct ProduceResponse<'a> {
        /// The topics.
        responses: Vec<ProduceResponseTopic<'a>>;
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// Where the brokers named as leaders are.
        node_endpoints: Vec<ProduceNode<'a>>, in 10.., tag 0;
    }

    /// What became of the batches for one topic.
    pub struct ProduceResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// Its partitions.
        partition_responses: Vec<ProduceResponsePartition<'a>>;
    }

    /// What became of the batch for one partition.
    pub struct ProduceResponsePartition<'a> {
        /// The partition.
        index: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// The offset of the batch's first record; -1 if it was refused or is not known.
        base_offset: i64;
        /// The batch's timestamp if the broker set it, in ms since 1970; else -1.
        log_append_time_ms: i64 = -1;
        /// The first offset there is; -1 if not known.
        log_start_offset: i64 = -1, in 5..;
        /// Which records were refused, if not the batch as such.
        record_errors: Vec<ProduceRecordError<'a>>, in 8..;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>, in 8..;
        /// Who leads it now, if the broker asked does not.
        current_leader: ProduceLeader, in 10.., tag 0;
    }

    /// Why one record of a batch was refused.
    pub struct ProduceRecordError<'a> {
        /// The record's place in the batch.
        batch_index: i32;
        /// Why, in words.
        batch_index_error_message: Option<Text<'a>>;
    }

    /// Who leads a partition now.
    pub struct ProduceLeader {
        /// The broker; -1 if not known.
        leader_id: i32 = -1;
        /// The leader's epoch; -1 if not known.
        leader_epoch: i32 = -1;
    }

    /// Where a broker named as leader is.
    pub struct ProduceNode<'a> {
        /// Its id.
        node_id: i32;
        /// Its host name or address.
        host: Text<'a>;
        /// Its port.
        port: i32;
        /// Where it stands.
        rack: Option<Text<'a>>;
    }
}
