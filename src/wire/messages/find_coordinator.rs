//! FindCoordinator (key 10), versions 0 to 6, flexible from 3.

use super::super::Text;

message! {
    /// Asks which broker coordinates groups or transactional ids.
    pub struct FindCoordinatorRequest<'a> {
        /// The group or transactional id.
        key: Text<'a>, in ..=3;
        /// What is coordinated: 0 groups, 1 transactional ids.
        key_type: i8, in 1..;
        /// The groups or transactional ids.
        coordinator_keys: Vec<Text<'a>>, in 4..;
    }

    /// The coordinators asked for: up to version 3 one, in the fields of the message itself.
    pub struct FindCoordinatorResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 1..;
        /// What went wrong; 0 if nothing.
        error_code: i16, in ..=3;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>, in 1..=3;
        /// The coordinator's id.
        node_id: i32, in ..=3;
        /// Its host name or address.
        host: Text<'a>, in ..=3;
        /// Its port.
        port: i32, in ..=3;
        /// Their coordinators.
        coordinators: Vec<FindCoordinatorResult<'a>>, in 4..;
    }

    /// The coordinator of one key.
    pub struct FindCoordinatorResult<'a> {
        /// Which group or transactional id.
        key: Text<'a>;
        /// The coordinator's id.
        node_id: i32;
        /// Its host name or address.
        host: Text<'a>;
        /// Its port.
        port: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>;
    }
}
