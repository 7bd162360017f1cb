//! InitProducerId (key 22), versions 0 to 5, flexible from 2.

use super::super::Text;

message! {
    /// Asks for a producer's id and epoch.
    pub struct InitProducerIdRequest<'a> {
        /// The transactional id; null without transactions.
        transactional_id: Option<Text<'a>>;
        /// How long a transaction may take before the broker aborts it, in ms.
        transaction_timeout_ms: i32;
        /// The id it has; -1 for none.
        producer_id: i64 = -1, in 3..;
        /// The epoch it has; -1 for none.
        producer_epoch: i16 = -1, in 3..;
    }

    /// The producer's id and epoch.
    pub struct InitProducerIdResponse {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// The producer's id; -1 if there is none.
        producer_id: i64 = -1;
        /// The producer's epoch.
        producer_epoch: i16;
    }
}
