//! EndTxn (key 26), versions 0 to 5, flexible from 3.

use super::super::Text;

message! {
    /// Ends a transaction.
    pub struct EndTxnRequest<'a> {
        /// The transactional id.
        transactional_id: Text<'a>;
        /// The producer.
        producer_id: i64;
        /// The producer's epoch.
        producer_epoch: i16;
        /// True commits it, false aborts it.
        committed: bool;
    }

    /// Whether it ended, and the producer's identity from then on.
    pub struct EndTxnResponse {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// The id from now on; -1 if it stays.
        producer_id: i64 = -1, in 5..;
        /// The epoch from now on; -1 if it stays.
        producer_epoch: i16 = -1, in 5..;
    }
}
