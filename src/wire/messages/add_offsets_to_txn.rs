//! AddOffsetsToTxn (key 25), versions 0 to 4, flexible from 3.

use super::super::Text;

message! {
    /// Makes a group's offsets part of a transaction.
    pub struct AddOffsetsToTxnRequest<'a> {
        /// The transactional id.
        transactional_id: Text<'a>;
        /// The producer.
        producer_id: i64;
        /// The producer's epoch.
        producer_epoch: i16;
        /// The group.
        group_id: Text<'a>;
    }

    /// Whether they are.
    pub struct AddOffsetsToTxnResponse {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }
}
