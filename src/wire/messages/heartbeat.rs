//! Heartbeat (key 12), versions 0 to 4, flexible from 4.

use super::super::Text;

message! {
    /// Keeps a membership alive.
    pub struct HeartbeatRequest<'a> {
        /// The group.
        group_id: Text<'a>;
        /// The generation it belongs to.
        generation_id: i32;
        /// The member.
        member_id: Text<'a>;
        /// The name that the user gave the member (KIP-345).
        group_instance_id: Option<Text<'a>>, in 3..;
    }

    /// Whether the membership still holds.
    pub struct HeartbeatResponse {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 1..;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }
}
